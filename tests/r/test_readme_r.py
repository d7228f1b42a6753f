"""The README's R code, run as it stands: a new library, a new environment of Python; then a fusion."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.r
ROOT = Path(__file__).parents[2]
# What comes from CRAN must be here already; the packages of this repository are installed.
BEFORE = """
install.packages <- function(pkgs, repos = getOption("repos"), ...) {
  if (is.null(repos)) return(utils::install.packages(pkgs, repos = NULL, ...))
  missing <- setdiff(pkgs, rownames(installed.packages()))
  if (length(missing) > 0) stop("not installed: ", toString(missing))
}
"""
AFTER = """
library(fusionpy)
donor <- load_donor()
recipient <- load_recipient()
x <- c("region", "rooms", "income")
train(donor, y = c("insulation", "electricity"), x, fsn = "model.fsn", weight = "weight")
fused <- fuse(recipient, fsn = "model.fsn", M = 10)
found <- analyze(list(mean = "electricity"), fused, static = recipient, by = "region")
cat("python:", fusionpy_config()$python, "\\n")
cat("version:", fusionpy_config()$version, "\\n")
cat("libraries:", dirname(find.package("fusionpy")), dirname(find.package("fusionModel")), "\\n")
cat("rows:", nrow(fused), nrow(recipient), "\\n")
cat("estimate:", found$est, "\\n")
"""


def test_from_r(tmp_path: Path) -> None:
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    (code,) = re.findall(r"(?ms)^```r\n(.*?)^```$", (ROOT / "README.md").read_text("utf-8"))
    installation = (ROOT / "docs" / "installation.md").read_text("utf-8")
    (facade,) = re.findall(r"(?m)^install\.packages\(\"r/fusionModel.*$", installation)
    clone = tmp_path / "clone"  # what the code leaves behind is not left in this repository
    for name in ("fusionpy", "r"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, clone / name)
    (tmp_path / "library").mkdir()
    script = tmp_path / "readme.R"
    script.write_text("\n".join([BEFORE, code, facade, AFTER]), "utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "RETICULATE_PYTHON"}
    environment |= {
        "R_LIBS": str(tmp_path / "library"),
        "WORKON_HOME": str(tmp_path / "environments"),
        "PIP_CONSTRAINT": str(ROOT / ".ci/constraints.txt"),
    }
    done = subprocess.run(
        ["Rscript", "--vanilla", script],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(re.findall(r"(?m)^(\w+): (.*?) ?$", done.stdout))
    assert said["python"].startswith(str(tmp_path / "environments"))
    assert (
        said["version"]
        == re.search(r'(?m)^version = "(.*)"', (ROOT / "pyproject.toml").read_text("utf-8"))[1]
    )
    assert said["libraries"].split() == [str(tmp_path / "library")] * 2
    fused, recipients = map(int, said["rows"].split())
    assert fused == 10 * recipients > 0
    assert all(5_000 < float(each) < 20_000 for each in said["estimate"].split())
    assert (clone / "model.fsn").exists()
