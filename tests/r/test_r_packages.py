"""The R packages in r/ agree with each other and with the Python package. `make r-check` checks the rest."""

import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

HERE = Path(__file__).parents[2] / "r"
BASE = {"grDevices", "graphics", "grid", "methods", "parallel", "stats", "tools", "utils"}  # come with R


def fields_of(package):
    text = re.sub(r"\n\s+", " ", (HERE / package / "DESCRIPTION").read_text(encoding="utf-8"))
    return dict(line.split(": ", 1) for line in text.splitlines())


def exports_of(package):
    text = (HERE / package / "NAMESPACE").read_text(encoding="utf-8")
    return {name.strip() for names in re.findall(r"export\(([^)]*)\)", text) for name in names.split(",")}


def test_the_version_is_that_of_python():
    assert fields_of("fusionpy")["Version"] == version("fusionpy")


def test_the_facade_exports_what_fusionpy_exports():
    assert "train" in exports_of("fusionpy")
    assert exports_of("fusionModel") == exports_of("fusionpy")


@pytest.mark.parametrize("package", ["fusionpy", "fusionModel"])
def test_every_export_has_a_help_page(package):
    pages = "".join(page.read_text(encoding="utf-8") for page in (HERE / package / "man").glob("*.Rd"))
    assert exports_of(package) <= set(re.findall(r"\\alias\{([^}]*)\}", pages))


def test_ci_installs_what_the_package_names():
    fields = fields_of("fusionpy")
    named = re.sub(r"\([^)]*\)", "", f"{fields['Imports']},{fields['Suggests']}").replace(" ", "").split(",")
    listed = re.search(r"names=\(([^)]*)\)", (HERE.parent / ".ci/run").read_text(encoding="utf-8"))
    assert set(named) - BASE <= set(listed[1].split())


@pytest.mark.r
def test_help_pages_are_what_roxygen_writes(tmp_path):
    script = """
    note <- read.dcf("DESCRIPTION", "RoxygenNote")
    if (!requireNamespace("roxygen2", quietly = TRUE) || packageVersion("roxygen2") != note) quit(status = 77)
    roxygen2::roxygenise(".", roclets = c("rd", "namespace"), load_code = "source")
    """
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    package = tmp_path / "fusionpy"
    shutil.copytree(HERE / "fusionpy", package)
    done = subprocess.run(
        ["Rscript", "--vanilla", "-e", script], cwd=package, capture_output=True, text=True, check=False
    )
    if done.returncode == 77:
        pytest.skip("roxygen2 is not installed, or another version of it")
    assert done.returncode == 0, done.stderr
    for page in ["NAMESPACE", *sorted(f"man/{page.name}" for page in (package / "man").glob("*.Rd"))]:
        assert (HERE / "fusionpy" / page).read_text("utf-8") == (package / page).read_text("utf-8"), page
