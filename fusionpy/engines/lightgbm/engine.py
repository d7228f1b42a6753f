"""LightGBM as an engine."""

from __future__ import annotations

from fusionpy.engines.base import Engine, Target
from fusionpy.engines.lightgbm.binning import bin_donors
from fusionpy.engines.lightgbm.boosting import Booster, Written, add, fit, predict, text
from fusionpy.engines.lightgbm.hyper import ONE_VALUE, check_hyper, settle_hyper, usual_hyper
from fusionpy.engines.lightgbm.model_text import check_model_text, without_ranges
from fusionpy.engines.lightgbm.searching import Search
from fusionpy.engines.lightgbm.splits import split_totals
from fusionpy.engines.lightgbm.trees import trees_of

__all__ = ["ENGINE"]


def write(booster: Booster) -> str:
    """Write a model, without what it tells of the donors' values."""
    return without_ranges(text(booster))


def read(model: str, target: Target, n_features: int) -> Booster:
    """Check a text; LightGBM itself reads it when it is first needed."""
    check_model_text(model, n_features, target.objective, target.n_classes)
    return Written(model)


ENGINE = Engine(
    title="LightGBM",
    libraries=("lightgbm",),
    usual=usual_hyper,
    check=check_hyper,
    settle=settle_hyper,
    bin=bin_donors,
    search=Search,
    fit=fit,
    predict=predict,
    write=write,
    read=read,
    for_r=True,
    can_slope=True,
    one_value=ONE_VALUE,
    add=add,
    compile=trees_of,
    split_totals=split_totals,
)
