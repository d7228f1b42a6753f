"""Archives of every released format, made once (``archives/make.py``), open for ever and draw the same."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

import fusionpy

FOLDER = Path(__file__).parent / "archives"
ARCHIVES = sorted(FOLDER.glob("format-*.fsn"))


def test_every_format_has_one():
    assert [path.stem for path in ARCHIVES] == [f"format-{n}" for n in range(1, len(ARCHIVES) + 1)]
    assert ARCHIVES


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_it_opens_and_draws_the_same(path):
    recipient = fusionpy.datasets.load_recipient().head(40)
    fused = fusionpy.fuse(recipient, path, M=2, seed=2, quiet=True)
    before = pd.read_csv(path.with_suffix(".csv"))
    assert_frame_equal(
        fused.astype({"heating_fuel": str}), before.astype({"heating_fuel": str}), check_dtype=False
    )
    assert not fusionpy.importance(path).empty
    assert "FusionModel: 3 steps from 300 donors" in repr(fusionpy.read_fsn(path))


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_it_opens_as_an_archive_of_r(path, tmp_path):
    theirs = tmp_path / "r.fsn"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(theirs, "w") as left:
        for name in archive.namelist():
            if not name.startswith(("fusionpy/", "manifest")):
                left.writestr(name, archive.read(name))
    model = fusionpy.read_fsn(theirs)
    assert [step.variables for step in model.steps] == [
        ("heating_fuel",),
        ("gas_bill",),
        ("electricity", "solar"),
    ]
    recipient = fusionpy.datasets.load_recipient().head(40)
    fused = fusionpy.fuse(recipient, model, M=2, seed=2, quiet=True)
    assert len(fused) == 80
