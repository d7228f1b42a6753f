"""What importing brings along: nothing heavy that a call does not need."""

import subprocess
import sys
import textwrap

import pytest

import fusionpy
from fusionpy.cli.commands import COMMANDS

HEAVY = {"dask", "jinja2", "lightgbm", "matplotlib", "pandas", "plotnine", "polars", "scipy.stats", "sklearn"}


# All that may be imported: of fusionpy itself, and of other packages.
OF_THE_PACKAGE = {"fusionpy", "fusionpy.frames", "fusionpy.frames.forking"}
OF_THE_COMMAND = OF_THE_PACKAGE | {"fusionpy.cli", "fusionpy.errors", "fusionpy.words"}
OF_THE_COMMAND |= {
    f"fusionpy.cli.{module}"
    for module in ("app", "arguments", "commands", "derived", "examples", "options", "signatures")
}
OF_TYPER = {
    "annotated_doc",
    "annotated_types",
    "click",
    "pydantic",
    "pydantic_core",
    "shellingham",
    "typer",
    "typing_extensions",
    "typing_inspection",
}


def brought_by(script):
    """Which of the heavy libraries a script of its own process imports."""
    tail = f"\nimport sys\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script) + tail]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def modules_of(script):
    """All modules that a script imports, other than Python's own and those of its start."""
    head = "import sys\nbefore = set(sys.modules)\n"
    tail = "\nprint(*sorted(set(sys.modules) - before), file=sys.stderr)"
    command = [sys.executable, "-c", head + textwrap.dedent(script) + tail]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    names = done.stderr.splitlines()[-1].split()
    return {name for name in names if name.partition(".")[0] not in sys.stdlib_module_names}


def fit(modules, ours, others):
    """Take what may not be imported."""
    packages = {name.partition(".")[0] for name in modules}
    own = {name for name in modules if name.partition(".")[0] == "fusionpy"}
    return own - ours, {
        name for name in packages - others - {"fusionpy"} if not name.startswith("_sysconfig")
    }


def test_every_public_name_is_found_where_it_is_said_to_be():
    homes = fusionpy._HOMES
    listed = [name for names in homes.values() for name in names]
    assert sorted([*listed, "datasets"]) == sorted(fusionpy.__all__)
    for home, names in homes.items():
        module = sys.modules.get(f"fusionpy.{home}") or __import__(f"fusionpy.{home}", fromlist=[""])
        for name in names:
            assert getattr(fusionpy, name) is getattr(module, name)
    assert set(fusionpy.__all__) <= set(dir(fusionpy))


def test_modules_are_there_without_being_imported_and_nothing_else_is():
    assert fusionpy.errors.ArgumentError is fusionpy.ArgumentError
    for name in ("nothing", "_nothing", "__wrapped__"):
        with pytest.raises(AttributeError, match=f"module 'fusionpy' has no attribute '{name}'"):
            getattr(fusionpy, name)


def test_importing_brings_no_heavy_library():
    assert brought_by("import fusionpy, fusionpy.bridge") == set()


def test_all_that_importing_may_import():
    assert fit(modules_of("import fusionpy"), OF_THE_PACKAGE, set()) == (set(), set())


@pytest.mark.parametrize(
    "calls", [["--help"], ["", "--version", "nothing", *(f"{name} -h" for name in COMMANDS)]]
)
def test_all_that_help_may_import(calls):
    script = f"""
    from fusionpy.cli import main
    for call in {calls!r}:
        sys.argv = ["fusionpy", *call.split()]
        try:
            main()
        except SystemExit:
            pass
    """
    by_typer = fit(modules_of("import typer"), set(), set())[1]  # rich, by older releases
    assert fit(modules_of(script), OF_THE_COMMAND, OF_TYPER | by_typer) == (set(), set())


@pytest.mark.slow
def test_estimates_need_no_lightgbm():
    script = """
    import pandas as pd
    import fusionpy
    implicates = pd.DataFrame({"M": [1, 1, 1, 2, 2, 2], "a": [1.0, 2.0, 7.0, 1.0, 2.5, 6.0]})
    fusionpy.analyze({"mean": "a"}, implicates)
    """
    assert brought_by(script) == {"pandas"}


def test_fusing_with_an_archive_needs_no_lightgbm(tmp_path):
    donor = fusionpy.datasets.load_donor().head(300)
    y = ["insulation", "electricity"]
    fusionpy.train(
        donor,
        y,
        ["region", "rooms"],
        fsn=tmp_path / "m.fsn",
        refits=2,
        hyper={"num_iterations": 5},
        quiet=True,
    )
    script = f"""
    import fusionpy
    recipient = fusionpy.datasets.load_recipient().head(1000)
    fusionpy.fuse(recipient, {str(tmp_path / "m.fsn")!r}, M=2, quiet=True)
    """
    assert brought_by(script) == {"pandas"}
