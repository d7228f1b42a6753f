"""LightGBM's models as arrays, read from their text."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numba import config
from numpy.typing import NDArray

from fusionpy.engines.lightgbm.boosting import Booster, Written, one_thread
from fusionpy.kernels.forest.codes import BY_SET, Trees

__all__ = ["trees_of"]

TRANSFORMS = {
    "binary": "sigmoid",
    "multiclass": "softmax",
    "regression": "identity",
    "quantile": "identity",
}


def trees_of(booster: Booster) -> Trees:
    """Read a model's trees.

    Parameters
    ----------
    booster : Booster

    Returns
    -------
    Trees
        Of the rounds that ``Booster.predict`` uses.

    Raises
    ------
    ValueError
        If the model has linear leaves, or an objective that fusionpy does not use; or if numba would compute
        its probabilities with other last bits than LightGBM does. `Booster.predict` remains.

    Examples
    --------
    >>> import lightgbm as lgb
    >>> from fusionpy.kernels.forest import cuts_of, encode_columns, grow, predict
    >>> x = np.random.default_rng(1).random((200, 2))
    >>> quiet = {"verbosity": -1, "num_threads": 1}
    >>> booster = lgb.train(quiet, lgb.Dataset(x, label=x[:, 0] - x[:, 1]), num_boost_round=5)
    >>> models, columns = [trees_of(booster)], [[0, 1]]
    >>> cuts = cuts_of(models, columns)
    >>> found = predict(grow(models, cuts, columns), encode_columns(x, cuts))
    >>> bool((found[:, 0] == booster.predict(x)).all())
    True
    """
    if isinstance(booster, Written):
        text = booster.text
    else:
        with one_thread():
            text = str(booster.model_to_string())
    head, _, rest = text.partition("\n\n")
    body = rest[: rest.find("end of trees")]
    lines = dict(line.partition("=")[::2] for line in head.split("\n"))
    objective, *settings = lines["objective"].split(" ")
    if objective not in TRANSFORMS or "sqrt" in settings:
        raise ValueError(f"it was fitted for '{lines['objective']}', of which fusionpy has no compiled form")
    if any(setting.startswith("sigmoid:") and setting != "sigmoid:1" for setting in settings):
        raise ValueError(f"it was fitted for '{lines['objective']}', not 'sigmoid:1'")
    if TRANSFORMS[objective] != "identity" and getattr(config, "USING_SVML", False):
        raise ValueError("numba takes `exp` from Intel's SVML here, whose last bits are not LightGBM's")
    if any(_array(body, "is_linear", int)):
        raise ValueError("it has linear leaves, which fusionpy does not use")
    n_leaves = _array(body, "num_leaves", int)
    per_round = int(lines["num_tree_per_iteration"])
    kind, threshold = _array(body, "decision_type", int), _array(body, "threshold", float)
    n_sets = _array(body, "num_cat", int)
    # A set's number among all instead of its number in the tree.
    threshold += np.where(kind & BY_SET, np.repeat(np.cumsum(n_sets) - n_sets, n_leaves - 1), 0)
    set_start, category = _sets(body)
    return Trees(
        n_features=int(lines["max_feature_idx"]) + 1,
        n_classes=per_round,
        transform=TRANSFORMS[objective],
        divisor=len(n_leaves) // per_round if "average_output" in lines else 1,
        n_leaves=n_leaves,
        feature=_array(body, "split_feature", int),
        threshold=threshold,
        kind=kind,
        left=_array(body, "left_child", int),
        right=_array(body, "right_child", int),
        leaf=_array(body, "leaf_value", float),
        set_start=set_start,
        category=category,
    )


def _lines(body: str, key: str) -> list[str]:
    """Every tree's line of a key, of those that have one."""
    return re.findall(f"\n{key}=(.*)", body)


def _array(body: str, key: str, kind: type[int] | type[float]) -> NDArray[Any]:
    """Join one array of all trees."""
    numbers = " ".join(_lines(body, key)).split()
    return np.array([*map(kind, numbers)], dtype=np.intp if kind is int else np.float64)


def _sets(body: str) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Categories of all trees' sets: bits of words of 32, the lowest first."""
    sizes = [np.diff([*map(int, edges.split())]) for edges in _lines(body, "cat_boundaries")]
    edges = 32 * np.cumsum(np.concatenate([np.zeros(1, dtype=np.intp), *sizes]))
    words = _array(body, "cat_threshold", int).astype("<u4")
    bit = np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little"))
    which = np.searchsorted(edges, bit, side="right") - 1
    return np.searchsorted(bit, edges), bit - edges[which]
