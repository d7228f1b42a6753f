"""LightGBM's hyperparameters: which there are, what values they may have, and which of them do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fusionpy.engines.base import Entries, expand_grid
from fusionpy.errors import few, is_whole, meant, shown

__all__ = ["HYPERPARAMETERS", "ONE_VALUE", "check_hyper", "settle_hyper", "settled", "usual_hyper"]

# Entries that LightGBM reads when it bins the data: one value for the whole grid.
ONE_VALUE = ("min_data_in_leaf", "max_bin", "min_data_in_bin", "max_cat_threshold")
HYPERPARAMETERS = (
    *("boosting", "data_sample_strategy", "num_leaves", "max_depth", "learning_rate", "num_iterations"),
    *("feature_fraction", "feature_fraction_bynode", "bagging_fraction", "bagging_freq", "extra_trees"),
    *(
        "min_sum_hessian_in_leaf",
        "min_gain_to_split",
        "lambda_l1",
        "lambda_l2",
        "linear_lambda",
        "path_smooth",
    ),
    *("top_rate", "other_rate", "drop_rate", "skip_drop", "cat_l2", "cat_smooth", "max_cat_to_onehot"),
    *("max_delta_step", "max_drop", "uniform_drop", "xgboost_dart_mode"),
    *("min_data_per_group", *ONE_VALUE),
)
# What LightGBM takes for "boosting", and what it makes of it.
BOOSTINGS = {
    "gbdt": "gbdt",
    "dart": "dart",
    "rf": "rf",
    "goss": "gbdt",
    "gbrt": "gbdt",
    "random_forest": "rf",
}
_USUAL = {
    "boosting": "gbdt",
    "data_sample_strategy": "bagging",
    "num_leaves": 31,
    "feature_fraction": 0.8,
    "num_iterations": 2500,
    "learning_rate": 0.1,
    "max_depth": 5,
    "max_bin": 255,
    "min_data_in_bin": 3,
    "max_cat_threshold": 32,
    "min_data_in_leaf": 20,
}
_OF_METHOD: dict[str, dict[str, Any]] = {
    "2024": {"num_leaves": [16, 32, 64], "max_depth": -1, "min_data_in_leaf": None},
    "fusionModel": {"data_sample_strategy": "goss"},
}
_CHOICES = {"boosting": tuple(BOOSTINGS), "data_sample_strategy": ("bagging", "goss")}
_FLAGS = ("extra_trees", "uniform_drop", "xgboost_dart_mode")
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
    "max_drop": -1,
}
_MOST_LEAVES = 131_072
_SHARES = ("feature_fraction", "feature_fraction_bynode")  # above 0
_SHARES_OR_NONE = ("top_rate", "other_rate", "drop_rate", "skip_drop")
_CLASHING = (
    *("boosting", "data_sample_strategy", "bagging_freq", "bagging_fraction", "feature_fraction"),
    *("top_rate", "other_rate"),
)
_STOPPING = ("early_stopping_round", "early_stopping_rounds", "early_stopping", "n_iter_no_change")
_THREADS = ("num_threads", "num_thread", "nthread", "nthreads", "n_jobs")
_ELSEWHERE = {  # what sets them instead
    **dict.fromkeys(("seed", "random_seed", "random_state"), "`seed` of `train()` is the one that counts"),
    **dict.fromkeys(_THREADS, "`cores` of `train()` says it"),
}
_OBJECTIVE = ("objective", "objective_type", "app", "application", "loss")
_ALIASES = {
    alias: name
    for name, aliases in {
        "boosting": "boosting_type boost",
        "num_iterations": "num_iteration n_iter num_tree num_trees num_round num_rounds nrounds "
        "num_boost_round n_estimators max_iter",
        "learning_rate": "shrinkage_rate eta",
        "num_leaves": "num_leaf max_leaves max_leaf max_leaf_nodes",
        "feature_fraction": "sub_feature colsample_bytree",
        "feature_fraction_bynode": "sub_feature_bynode colsample_bynode",
        "min_data_in_leaf": "min_data_per_leaf min_data min_child_samples min_samples_leaf",
        "min_sum_hessian_in_leaf": "min_sum_hessian_per_leaf min_sum_hessian min_hessian min_child_weight",
        "bagging_fraction": "sub_row subsample bagging",
        "bagging_freq": "subsample_freq",
        "extra_trees": "extra_tree",
        "lambda_l1": "reg_alpha l1_regularization",
        "lambda_l2": "reg_lambda lambda l2_regularization",
        "min_gain_to_split": "min_split_gain",
        "drop_rate": "rate_drop",
        "max_bin": "max_bins",
        "max_delta_step": "max_tree_output max_leaf_output",
    }.items()
    for alias in aliases.split()
}


def usual_hyper(method: str) -> dict[str, Any]:
    """Tell what a method of `train` sets; that of others, the default's."""
    return {**_USUAL, **_OF_METHOD.get(method, {})}


def settle_hyper(hyper: Mapping[str, Any], n: int) -> dict[str, Any]:
    """Set what depends on the number of donors: leaves have a thousandth of them, but not fewer than 20."""
    if hyper.get("min_data_in_leaf") is not None:
        return dict(hyper)
    return {**hyper, "min_data_in_leaf": max(20, round(0.001 * n))}


def settled(hyper: Mapping[str, Any]) -> dict[str, Any]:
    """Take the entries that LightGBM is to be told of, as it has them since version 4.

    Boosting "goss", as older versions had it, is gradient boosting with that sampling.

    Examples
    --------
    >>> settled({"boosting": "goss", "num_leaves": 4, "nonsense": 3})
    {'boosting': 'gbdt', 'num_leaves': 4, 'data_sample_strategy': 'goss'}
    """
    found = {name: value for name, value in hyper.items() if name in HYPERPARAMETERS}
    if "boosting" in found:
        found["boosting"] = BOOSTINGS[found["boosting"]]
    if hyper.get("boosting") == "goss":
        found["data_sample_strategy"] = "goss"
    return found


def check_hyper(hyper: object, usual: Mapping[str, Any]) -> Entries:
    """Check hyperparameters and their values.

    Parameters
    ----------
    hyper : mapping
        Of one value, or of several.
    usual : mapping
        Those that the method sets where nothing is given.

    Returns
    -------
    Entries

    Examples
    --------
    >>> check_hyper({"num_leaves": [16, 32], "max_bin": 63.0}, {}).values
    {'num_leaves': [16, 32], 'max_bin': [63]}
    >>> check_hyper({"learning_rate": -1}, {}).problems
    ["`hyper` entry 'learning_rate' must be a number above 0 and at most 10, not -1."]
    >>> check_hyper({"reg_lambda": 2}, {}).values
    {'lambda_l2': [2]}
    """
    if not isinstance(hyper, Mapping):
        wanted = "a mapping of LightGBM's parameters to values"
        return Entries(problems=[f"`hyper` must be {wanted}, not {shown(hyper)}."])
    found = Entries()
    for given, value in hyper.items():
        name = _own_name(given, hyper, usual)
        many = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim == 1)
        values = [_plain(name, each) for each in (value if many else [value])]
        idle = name not in HYPERPARAMETERS
        fault = next((w for each in values if (w := _fault(name, each, idle))), None)
        if name in _STOPPING:
            why = "the method says when boosting stops (`patience`, in Python)"
            found.problems.append(f"`hyper` cannot have '{name}': {why}.")
        elif not isinstance(given, str):
            found.problems.append(f"`hyper` has an entry {shown(given)}, which is no name.")
        elif not values:
            found.problems.append(f"`hyper` entry '{given}' has no value.")
        elif fault:
            found.problems.append(f"`hyper` entry '{given}' must be {fault}, not {shown(value)}.")
        else:
            if name not in _THREADS:
                found.values[name] = values
            if idle:
                told = found.replacing if name in _OBJECTIVE else found.idle
                told.append(f"`hyper` entry {few([name])} has no effect: {_why(name)}.")
    if not found.problems:
        found.problems.extend(_clashes(found.values, usual))
    return found


def _own_name(name: Any, hyper: Mapping[Any, Any], usual: Mapping[str, Any]) -> Any:
    """LightGBM's own name for an alias, unless that is set too: then LightGBM passes over the alias."""
    own = _ALIASES.get(name, name) if isinstance(name, str) else name
    rivals = [other for other in hyper if other != name and _ALIASES.get(other, other) == own]
    return name if own in usual or rivals else own


def _why(name: str) -> str:
    """Say why an entry has no effect."""
    if name in _OBJECTIVE:
        return (
            "every model keeps the objective that its kind has (in fusionModel percentiles would lose theirs)"
        )
    if name in _ELSEWHERE:
        return _ELSEWHERE[name]
    if name in _ALIASES:
        return f"'{_ALIASES[name]}', which means the same, is set"
    return f"no such parameter is passed to LightGBM{meant(name, HYPERPARAMETERS, chr(39))}"


def _plain(name: Any, value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if name in _WHOLE and is_whole(value, -1) else value


def _fault(name: Any, value: Any, idle: bool) -> str | None:
    """Say what a value should have been, if it is something else."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    if idle:
        fits = is_number or isinstance(value, bool | str)
        return None if fits else "a number, a string, True or False"
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
    if name in _SHARES:
        return None if is_number and 0 < value <= 1 else "a number above 0 and at most 1"
    if name == "bagging_fraction":  # fewer would leave small surveys nothing
        return None if is_number and 0.1 <= value <= 1 else "a number from 0.1 to 1"
    if name in _SHARES_OR_NONE:
        return None if is_number and 0 <= value <= 1 else "a number from 0 to 1"
    if name == "learning_rate":
        return None if is_number and 0 < value <= 10 else "a number above 0 and at most 10"
    return None if is_number and value >= 0 else "a number of at least 0"


def _clashes(found: Mapping[str, list[Any]], usual: Mapping[str, Any]) -> list[str]:
    """Say which values LightGBM would not take together."""
    given = {**usual, **found}
    problems: dict[str, None] = {}
    for each in expand_grid({name: given[name] for name in _CLASHING if name in given}):
        row = settled(each)
        goss = row.get("data_sample_strategy") == "goss"
        bagging = row.get("bagging_freq", 0) > 0 and row.get("bagging_fraction", 1) < 1
        top, other = row.get("top_rate", 0.2), row.get("other_rate", 0.1)
        if goss and bagging:
            problems["data_sample_strategy 'goss' cannot be had together with bagging"] = None
        if row.get("boosting") == "rf" and not goss and not bagging and row.get("feature_fraction", 1) == 1:
            wanted = "a bagging_freq above 0 and a bagging_fraction below 1, a feature_fraction below 1"
            problems[f"boosting 'rf' needs {wanted}, or data_sample_strategy 'goss'"] = None
        if goss and (top + other > 1 or min(top, other) == 0):
            problems["top_rate and other_rate must be above 0, and not above 1 together"] = None
    return [f"`hyper`: {problem}." for problem in problems]
