"""Golden importances of a model that R trained: `importance()` of fusionModel on ``readme.fsn``."""

import json
import zipfile

import pandas as pd
import pytest

from fusionpy.bridge.calls import CALLS
from fusionpy.engines.lightgbm import boosting
from fusionpy.engines.lightgbm.splits import split_totals
from fusionpy.evaluation.importances import MEASURES, model_shares, summarise


@pytest.fixture(scope="module")
def detailed(shared):
    folder = shared / "reference/models"
    about = json.loads((folder / "readme.json").read_text())
    frames = []
    with zipfile.ZipFile(folder / "readme.fsn") as archive:
        for name in archive.namelist():
            if name.endswith(".txt"):
                booster = boosting.parse(archive.read(name).decode())
                step, _, rest = name.removesuffix(".txt").partition("/")
                y, _, kind = rest.rpartition("_")
                predictors = tuple(about["xpreds"][int(step) - 1])
                frames.append(model_shares(y, kind, predictors, split_totals(booster)))
    return pd.concat(frames, ignore_index=True)


def assert_same(mine, theirs, keys):
    both = theirs.merge(mine, on=keys, how="outer", suffixes=("", "_mine"), indicator=True)
    assert (both["_merge"] == "both").all()
    for measure in MEASURES:
        assert both[f"{measure}_mine"].to_numpy() == pytest.approx(both[measure].to_numpy(), rel=1e-6)


def test_detailed(detailed, shared):
    assert_same(detailed, pd.read_csv(shared / "reference/importance_detailed.csv"), ["y", "model", "x"])


def test_summary(detailed, shared):
    assert_same(summarise(detailed), pd.read_csv(shared / "reference/importance_summary.csv"), ["y", "x"])


@pytest.mark.parametrize("part", ["summary", "detailed"])
def test_rows_as_r_gets_them(shared, part):
    # A block, three percentiles, an inflated variable: order and all.
    fsn = str(shared / "reference/models/block.fsn")
    found = CALLS["importance"]({"fsn": fsn}, {"data": None}, None).frames[part].to_pandas()
    golden = pd.read_csv(shared / f"reference/original/importance_block_{part}.csv")
    names = [name for name in golden.columns if name not in MEASURES]
    assert list(found.columns) == list(golden.columns)
    assert found[names].astype(str).equals(golden[names].astype(str))
    assert found[list(MEASURES)].to_numpy() == pytest.approx(golden[list(MEASURES)].to_numpy(), rel=1e-6)
