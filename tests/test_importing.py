"""What importing brings along: nothing heavy that a call does not need."""

import subprocess
import sys
import textwrap

import pytest

import fusionpy

HEAVY = {"dask", "jinja2", "lightgbm", "matplotlib", "pandas", "plotnine", "polars", "scipy.stats", "sklearn"}


def brought_by(script):
    """Which of the heavy libraries a script of its own process imports."""
    tail = f"\nimport sys\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script) + tail]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


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
