"""Archives of every released format, made once (``archives/make.py``), open for ever and draw the same."""

from __future__ import annotations

import json
import zipfile

import pandas as pd
import pytest
from kept import ARCHIVES, FOLDER
from pandas.testing import assert_frame_equal

import fusionpy
from fusionpy.errors import ArchiveError


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
def test_written_again_it_is_of_today_and_draws_the_same(path, tmp_path):
    model = fusionpy.read_fsn(path)
    fusionpy.write_fsn(model, tmp_path / "again.fsn")
    with zipfile.ZipFile(tmp_path / "again.fsn") as archive:
        assert json.loads(archive.read("manifest.json"))["format_version"] == len(ARCHIVES)
        folders = {name.split("/")[0] for name in archive.namelist() if "/" in name}
    assert folders == {"1", "2", "3"}
    recipient = fusionpy.datasets.load_recipient().head(40)
    again = fusionpy.read_fsn(tmp_path / "again.fsn")
    assert again.describe() == model.describe()
    arguments = {"M": 2, "seed": 2, "quiet": True}
    assert_frame_equal(
        fusionpy.fuse(recipient, again, **arguments), fusionpy.fuse(recipient, model, **arguments)
    )


def test_a_format_is_read_from_its_own_places(tmp_path):
    """An archive that says 1 and has its members where 2 has them is damaged, not half-read."""
    with zipfile.ZipFile(ARCHIVES[-1]) as archive, zipfile.ZipFile(tmp_path / "a.fsn", "w") as left:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "manifest.json":
                content = content.replace(b'"format_version": 2', b'"format_version": 1')
            left.writestr(name, content)
    with pytest.raises(ArchiveError, match=r"'fusionpy/donor.parquet' is missing"):
        fusionpy.read_fsn(tmp_path / "a.fsn")


@pytest.mark.parametrize("path", ARCHIVES, ids=lambda path: path.stem)
def test_it_opens_as_an_archive_of_r(path, tmp_path):
    theirs = tmp_path / "r.fsn"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(theirs, "w") as left:
        for name in archive.namelist():
            if not name.startswith(("fusionpy/", "fusionpy~", "manifest")):
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


def test_an_option_that_is_no_more_is_told_and_changes_no_draw(tmp_path):
    """Written by the last tree that could boost variables on the normal scores of their ranks."""
    with pytest.warns(fusionpy.FusionWarning, match=r"^`gas_bill`, `savings`, `electricity`: trained with"):
        model = fusionpy.read_fsn(FOLDER / "rank-scale.fsn")
    recipient = fusionpy.datasets.load_recipient().head(40)
    before = pd.read_csv(FOLDER / "rank-scale.csv")
    assert_frame_equal(fusionpy.fuse(recipient, model, M=2, seed=2, quiet=True), before, check_dtype=False)
    fusionpy.write_fsn(model, tmp_path / "again.fsn")
    with zipfile.ZipFile(tmp_path / "again.fsn") as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["options"]["rank_scale"] is False  # older releases ask for it
    assert [step["ranked"] for step in manifest["steps"]] == [[], [], []]
