"""LightGBM's hyperparameters: which there are, and what values they may have."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np

from fusionpy.engines.boosting import HYPERPARAMETERS
from fusionpy.errors import few, is_whole, meant, shown

__all__ = ["check_hyper"]

_CHOICES = {"boosting": ("gbdt", "dart", "rf"), "data_sample_strategy": ("bagging", "goss")}
_FLAGS = ("extra_trees",)
_WHOLE = {  # least
    "num_leaves": 2,
    "max_depth": -1,
    "num_iterations": 1,
    "bagging_freq": 0,
    "max_cat_to_onehot": 1,
    "min_data_per_group": 1,
    "min_data_in_leaf": 1,
    "max_bin": 2,
    "min_data_in_bin": 1,
    "max_cat_threshold": 1,
}
_MOST_LEAVES = 131_072
_SHARES = ("feature_fraction", "feature_fraction_bynode")  # above 0
_SHARES_OR_NONE = ("top_rate", "other_rate", "drop_rate", "skip_drop")


def check_hyper(hyper: object) -> tuple[dict[str, list[Any]], list[str]]:
    """Check hyperparameters and their values.

    Parameters
    ----------
    hyper : mapping
        Of one value, or of several.

    Returns
    -------
    dict of str to list
        The values of every entry, as plain Python numbers.
    list of str
        What is wrong.

    Examples
    --------
    >>> check_hyper({"num_leaves": [16, 32], "max_bin": 63.0})
    ({'num_leaves': [16, 32], 'max_bin': [63]}, [])
    >>> check_hyper({"learning_rate": -1})[1]
    ["`hyper` entry 'learning_rate' must be a number above 0 and at most 10, not -1."]
    """
    if not isinstance(hyper, Mapping):
        return {}, [f"`hyper` must be a mapping of LightGBM's parameters to values, not {shown(hyper)}."]
    problems, quote = [], "'"
    unknown = [name for name in hyper if name not in HYPERPARAMETERS]
    for name in unknown:
        problems.append(f"`hyper` cannot have {few([name])}{meant(str(name), HYPERPARAMETERS, quote)}.")
    found: dict[str, list[Any]] = {}
    for name, value in hyper.items():
        if name in unknown:
            continue
        many = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)
        values = [_plain(name, each) for each in (value if many else [value])]
        wanted = next((w for each in values if (w := _fault(name, each))), None)
        if not values:
            problems.append(f"`hyper` entry '{name}' has no value.")
        elif wanted:
            problems.append(f"`hyper` entry '{name}' must be {wanted}, not {shown(value)}.")
        else:
            found[name] = values
    return found, problems + ([] if problems else _clashes(found))


def _plain(name: str, value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if name in _WHOLE and is_whole(value, -1) else value


def _fault(name: str, value: Any) -> str | None:
    """Say what a value should have been, if it is something else."""
    if name in _CHOICES:
        return None if isinstance(value, str) and value in _CHOICES[name] else f"one of {few(_CHOICES[name])}"
    if name in _FLAGS:
        return None if isinstance(value, bool) else "True or False"
    if name == "min_data_in_leaf" and value is None:
        return None
    if name in _WHOLE:
        least = _WHOLE[name]
        if name == "num_leaves":
            fits = is_whole(value, least) and value <= _MOST_LEAVES
            return None if fits else f"a whole number from {least} to {_MOST_LEAVES:,}"
        return None if is_whole(value, least) and value < 2**31 else f"a whole number of at least {least}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    if name in _SHARES:
        return None if is_number and 0 < value <= 1 else "a number above 0 and at most 1"
    if name == "bagging_fraction":  # fewer would leave small surveys nothing
        return None if is_number and 0.1 <= value <= 1 else "a number from 0.1 to 1"
    if name in _SHARES_OR_NONE:
        return None if is_number and 0 <= value <= 1 else "a number from 0 to 1"
    if name == "learning_rate":
        return None if is_number and 0 < value <= 10 else "a number above 0 and at most 10"
    return None if is_number and value >= 0 else "a number of at least 0"


def _clashes(found: Mapping[str, list[Any]]) -> list[str]:
    """Say which values LightGBM would not take together."""
    problems = []
    goss = "goss" in found.get("data_sample_strategy", ())
    frequency, share = found.get("bagging_freq", [0]), found.get("bagging_fraction", [1.0])
    if goss and max(frequency) > 0 and min(share) < 1:
        problems.append("`hyper`: data_sample_strategy 'goss' cannot be had together with bagging.")
    if "rf" in found.get("boosting", ()) and (min(frequency) == 0 or max(share) == 1 or goss):
        problems.append("`hyper`: boosting 'rf' needs a bagging_freq above 0 and a bagging_fraction below 1.")
    rates = [*product(found.get("top_rate", [0.2]), found.get("other_rate", [0.1]))]
    if goss and (max(a + b for a, b in rates) > 1 or min(min(each) for each in rates) == 0):
        problems.append("`hyper`: top_rate and other_rate must be above 0, and not above 1 together.")
    return problems
