"""What a booster's trees split on, read from its text."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.lightgbm.boosting import Booster, text

__all__ = ["split_totals"]

_ARRAYS = re.compile(r"^(split_feature|split_gain|internal_count)=(.+)$", re.MULTILINE)


def split_totals(booster: Booster) -> NDArray[np.float64]:
    """Add up the splits of each predictor, over all trees.

    Parameters
    ----------
    booster : Booster

    Returns
    -------
    (p, 3) float64
        By predictor, in the booster's order: gain (in units of the loss), cover (donors that reached the
        predictor's splits), frequency (number of splits).

    Notes
    -----
    The definitions of LightGBM's own ``lgb.importance``, before it divides by their sums. Gain and frequency
    are also had from ``Booster.feature_importance``; cover stands in the text only, as ``internal_count``.

    Examples
    --------
    >>> from fusionpy.engines.base import Bins, Problem, Target, Tuning
    >>> from fusionpy.engines.lightgbm.boosting import fit
    >>> x = np.repeat([[0.0, 5.0], [1.0, 5.0]], 100, axis=0)
    >>> target = Target("y", "m", "regression")
    >>> problem = Problem(target, Bins(x, ["a", "b"], []), 3 * x[:, 0], np.ones(200))
    >>> split_totals(fit(problem, Tuning({}, 1, 0.0, []), seed=1))
    array([[450., 200.,   1.],
           [  0.,   0.,   0.]])
    """
    found: dict[str, list[NDArray[np.float64]]] = {
        "split_feature": [],
        "split_gain": [],
        "internal_count": [],
    }
    model = text(booster)
    for name, values in _ARRAYS.findall(model):
        found[name].append(np.array(values.split(), dtype=np.float64))
    n_features = int(model.partition("\nmax_feature_idx=")[2].partition("\n")[0]) + 1
    totals = np.zeros((n_features, 3))
    if not found["split_feature"]:  # trees of a single leaf
        return totals
    feature, gain, count = (np.concatenate(arrays) for arrays in found.values())
    columns = (gain, count, np.ones(len(feature)))
    for j, column in enumerate(columns):
        totals[:, j] = np.bincount(feature.astype(np.intp), column, len(totals))
    return totals
