"""What a result says of margins that are not to be believed: one line, only when it is true."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fusionpy
from fusionpy.errors import FusionWarning
from fusionpy.formats.notes import noted_attributes

N = 3000
RNG = np.random.default_rng(4)


def population(n, rng):
    frame = pd.DataFrame(
        {
            "region": pd.Categorical(rng.choice(["north", "south", "west"], n)),
            "age": rng.integers(18, 90, n),
            "urban": rng.random(n) < 0.7,
        }
    )
    frame["kwh"] = 100 * frame["age"] + 500.0 * frame["urban"] + rng.normal(0, 900, n)
    return frame


DONOR = population(500, RNG)
RECIPIENT = population(N, RNG).drop(columns="kwh")
RECIPIENT = RECIPIENT.assign(
    county=RNG.integers(8, size=N),
    age_group=pd.cut(RECIPIENT["age"], [0, 34, 64, 99], labels=["young", "middle", "old"]),
    region_urban=RECIPIENT["region"].astype(str) + np.where(RECIPIENT["urban"], " urban", " rural"),
)
X = ["region", "age", "urban"]


@pytest.fixture(scope="module")
def models():
    how = {"nfolds": 2, "seed": 1, "quiet": True}
    return {refits: fusionpy.train(DONOR, ["kwh"], X, refits=refits, **how) for refits in (0, 3)}


@pytest.fixture(scope="module")
def fused(models):
    return {n: fusionpy.fuse(RECIPIENT, model, M=6, seed=1, quiet=True) for n, model in models.items()}


def caveats(implicates, by=None, x="mean(kwh)", static=RECIPIENT, **how):
    found = fusionpy.analyze(x, implicates, static=static, by=by, quiet=True, **how)
    line = found.attrs["fusionpy"].get("caveats", "")
    assert "\n" not in line
    assert not line or repr(found).rpartition("\n\n")[2].split() == line.split()
    return line


def test_models_without_refits(fused):
    line = caveats(fused[0])
    assert line.startswith("Margins leave out the uncertainty of the models")
    assert "`refits=10`" in line
    assert caveats(fused[3]) == ""
    assert caveats(fused[0], x="mean(age)") == ""  # nothing is fused
    assert caveats(fused[0], x="mean(age)", fun=lambda frame: frame[["age"]]) != ""  # may be made of anything
    for pooling in ("rubin", "fusionacs"):
        assert caveats(fused[0], pooling=pooling) == ""


def test_groups_that_no_model_knew(fused):
    line = caveats(fused[3], "county")
    assert line.startswith("Margins by `county` may be too narrow, as no model knew it")
    assert "`county`" in caveats(fused[3], ["region", "county"])
    assert caveats(fused[3], [["region"], ["county"]]) == line
    assert caveats(fused[3], "county", x="mean(age)") == ""


@pytest.mark.parametrize("by", ["region", "age_group", "region_urban", ["age_group", "region_urban"]])
def test_groups_that_follow_from_what_models_know(fused, by):
    assert caveats(fused[3], by) == ""


def test_groups_that_are_made_by_a_function(fused):
    def made(frame):
        return pd.DataFrame({"much": frame["kwh"] > 5000})

    assert caveats(fused[3], "much", x="mean(age)", fun=made) == ""


def test_predictors_that_are_not_at_hand(fused):
    assert "`age_group`" in caveats(fused[3], "age_group", static=RECIPIENT[["age_group"]])


def test_predictors_among_the_implicates(models):
    kept = fusionpy.fuse(RECIPIENT, models[3], M=6, retain=["age", "age_group", "county"], seed=1, quiet=True)
    assert caveats(kept, "age_group", static=None) == ""
    assert "`county`" in caveats(kept, "county", static=None)


def test_few_degrees_of_freedom(fused):
    small = RECIPIENT.assign(region=np.where(np.arange(N) < 2, "lone", "rest"))
    with pytest.warns(FusionWarning, match="less than one degree of freedom"):
        line = caveats(fused[3], "region", static=small)
    assert "1 margin would rest on less than one degree of freedom, and is missing: make larger" in line


def test_strangers_implicates_have_none(fused):
    strange = fused[0].copy()
    strange.attrs = {}
    assert caveats(strange, "county") == ""
    strange.attrs = {"fusionpy": {"refits": "0", "known": "age", "fused": [1]}}
    assert caveats(strange, "county") == ""


def test_rectified_estimates_have_none(models, fused):
    assert caveats(fused[3], "region", rectify=models[3]) == ""


def test_frames_that_cannot_show_it_have_it_said(models, capsys):
    for make, kind in ((pl.from_pandas, pl.DataFrame), (pa.Table.from_pandas, pa.Table)):
        recipient = make(RECIPIENT)
        implicates = fusionpy.fuse(recipient, models[0], M=2, seed=1, quiet=True)
        capsys.readouterr()
        found = fusionpy.analyze("mean(kwh)", implicates, static=recipient)
        assert isinstance(found, kind)
        said = capsys.readouterr().err
        assert said.count("analyze: Margins leave out the uncertainty of the models") == 1
        if kind is pa.Table:
            assert noted_attributes(found.schema)["caveats"].startswith("Margins leave out")
        fusionpy.analyze("mean(kwh)", implicates, static=recipient, quiet=True)
        assert "Margins" not in capsys.readouterr().err


def test_tables_without_margins_do_not_speak_of_them(fused):
    found = fusionpy.analyze("mean(kwh)", fused[0], quiet=True)
    assert "refits" in found._repr_html_()
    assert "refits" not in repr(found[["y", "est"]])


def test_files_tell_it(models, tmp_path):
    for name in ("a.parquet", "a.fsd"):
        path = fusionpy.fuse(RECIPIENT, models[0], tmp_path / name, M=2, seed=1, quiet=True)
        assert "refits" in caveats(path)


def test_nothing_is_warned_of(models, fused):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        caveats(fused[0], "county")


def test_what_fuse_notes(models, fused):
    noted = fused[3].attrs["fusionpy"]
    assert (noted["refits"], noted["redraw"], noted["n_donors"]) == (3, True, len(DONOR))
    assert fused[3].attrs["fusionpy_rows"]["known"] == X
    assert fused[3].attrs["fusionpy_rows"]["fused"] == ["kwh"]
    plain = replace(models[3], options=replace(models[3].options, redraw=False))
    assert not fusionpy.fuse(RECIPIENT, plain, seed=1, quiet=True).attrs["fusionpy"]["redraw"]
