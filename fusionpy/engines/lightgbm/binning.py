"""Donors' predictors in LightGBM's bins, and rows of them with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.base import Bins, Problem, Target
from fusionpy.engines.lightgbm.hyper import ONE_VALUE
from fusionpy.engines.lightgbm.rewriting import OWN, Unit
from fusionpy.errors import FusionError

__all__ = ["QUIETLY", "bin_donors", "binned", "count_bins", "refusals_told", "subset"]

# One thread gives the same bits on any number of cores; models are fitted side by side instead.
QUIETLY = {"num_threads": 1, "verbosity": -1}


@contextmanager
def refusals_told(target: Target) -> Iterator[None]:
    """Say in our words which model LightGBM refused to fit."""
    import lightgbm as lgb

    try:
        yield
    except lgb.basic.LightGBMError as error:
        headline = f"LightGBM refused to fit a model of `{target.variable}`."
        raise FusionError(headline, [str(error)], "Check the entries of `hyper`.") from None


def binned(bins: Bins, params: Mapping[str, Any]) -> Any:
    """Bin the donors, the first time that it is asked for.

    Parameters
    ----------
    bins : Bins
    params : mapping
        Of hyperparameters, of which some say how.

    Returns
    -------
    lightgbm.Dataset
        LightGBM keeps a byte where the matrix has eight (two from 256 bins on). Models of several labels are
        fitted side by side: each takes a `subset`.

    Examples
    --------
    >>> bins = Bins(np.arange(200.0).reshape(100, 2), ["a", "b"], [])
    >>> binned(bins, {}).num_data(), binned(bins, {}) is binned(bins, {})
    (100, True)
    """
    import lightgbm as lgb

    def make() -> Any:
        told = {k: v for k, v in params.items() if k in ONE_VALUE} | QUIETLY
        data = lgb.Dataset(
            bins.values(),
            label=np.zeros(len(bins.rows), dtype=np.float32),  # subsets are given their own
            feature_name=bins.names,
            categorical_feature=bins.categorical,
            params={**told, "feature_pre_filter": False},
            free_raw_data=True,
        )
        return data.construct()

    return bins.once(make)


def bin_donors(problem: Problem, hyper: Mapping[str, Any]) -> None:
    """Bin the donors now, for all problems that share them.

    Raises
    ------
    FusionError
        If LightGBM cannot.
    """
    with refusals_told(problem.target):
        binned(problem.bins, hyper)


def count_bins(data: Any) -> int:
    """Bins of all columns together."""
    return sum(data.feature_num_bin(j) for j in range(data.num_feature()))


def subset(problem: Problem, rows: NDArray[np.intp], params: Mapping[str, Any], unit: Unit = OWN) -> Any:
    """Take some rows of the binned data, with their labels and weights.

    Parameters
    ----------
    problem : Problem
    rows : (k,) intp
        Ascending.
    params : dict
        What LightGBM will be told of the fit.
    unit : Unit
        What it is given labels in, of which it keeps four bytes.

    Returns
    -------
    lightgbm.Dataset
        A copy of the rows' bins, which may be given other weights.
    """
    data = binned(problem.bins, params).subset([])
    data.used_indices = rows.astype(np.int32)  # no list of Python's numbers, which would be kept
    data.construct()
    data.set_field("label", unit.apply(problem.label[rows]).astype(np.float32))
    # As LightGBM does: equal weights are none, but those of a subset are kept even if they are equal.
    if not (problem.weight == 1).all():
        data.set_field("weight", problem.weight[rows].astype(np.float32))
    return data
