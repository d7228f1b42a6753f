"""Gradient boosting by LightGBM: fit, predict, and models as text.

LightGBM is imported where it is used: with what it imports in turn (scikit-learn, if it is there), that takes
longer than most calls of verbs that do without it.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.base import Cancelled, Problem, Tuning
from fusionpy.engines.lightgbm import rewriting
from fusionpy.engines.lightgbm.binning import QUIETLY, binned, count_bins, refusals_told, subset
from fusionpy.engines.lightgbm.hyper import settled
from fusionpy.engines.lightgbm.rewriting import restate, unit_of
from fusionpy.errors import FusionError

if TYPE_CHECKING:
    import lightgbm

    Booster: TypeAlias = "lightgbm.Booster | Written"
else:
    Booster = Any  # others name it in annotations only

__all__ = ["Booster", "Written", "add", "fit", "one_thread", "parameters", "parse", "predict", "text"]

_METRIC = {
    "binary": "binary_logloss",
    "multiclass": "multi_logloss",
    "regression": "l2",
    "quantile": "quantile",
}
_BINS_BY_ROW = 1024  # histograms of so many bins fit a core's first cache: then data are best read by row


class _Calls:
    """Calls of LightGBM that are under way and must keep to one thread, and what was allowed before them."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.lock, self.number, self.before = threading.Lock(), 0, -1


_calls = _Calls()
if hasattr(os, "register_at_fork"):  # a child has no other thread that could end its calls
    os.register_at_fork(after_in_child=_calls.forget)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep LightGBM to one thread where it takes no `num_threads`, which is where it handles texts.

    Notes
    -----
    Threads of GNU's OpenMP, once started, are lost to children of ``fork``, which wait for them for ever
    (LightGBM, FAQ: "LightGBM hangs when multithreading (OpenMP) and using forking in Linux at the same
    time"). So none are started: parents may read models and fuse, and children, too.
    """
    import lightgbm as lgb

    library = lgb.basic._LIB  # type: ignore[attr-defined]  # Python's interface has no such call
    with _calls.lock:
        if not _calls.number:
            found = ctypes.c_int(0)
            library.LGBM_GetMaxThreads(ctypes.byref(found))
            _calls.before = found.value
            library.LGBM_SetMaxThreads(ctypes.c_int(1))
        _calls.number += 1
    try:
        yield
    finally:
        with _calls.lock:
            _calls.number -= 1
            if not _calls.number:
                library.LGBM_SetMaxThreads(ctypes.c_int(_calls.before))


def parameters(problem: Problem, hyper: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Everything that LightGBM is told of one fit."""
    target = problem.target
    params = {k: v for k, v in settled(hyper).items() if k != "num_iterations"}
    params |= {
        "objective": target.objective,
        "metric": _METRIC[target.objective],
        "seed": seed,
        **QUIETLY,
        "feature_pre_filter": False,
        "deterministic": True,
    }
    if target.objective == "multiclass":
        params["num_class"] = target.n_classes
    if target.objective == "quantile":
        params["alpha"] = target.alpha
    if problem.monotone is not None:
        params["monotone_constraints"] = list(problem.monotone)
    # One thread adds the same numbers in the same order either way: this only says which is quicker.
    by_row = count_bins(binned(problem.bins, params)) <= _BINS_BY_ROW
    params["force_row_wise" if by_row else "force_col_wise"] = True
    return params


def fit(
    problem: Problem,
    tuning: Tuning,
    seed: int,
    count: NDArray[np.float64] | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Booster:
    """Fit the final model, or a refit on a resample.

    Parameters
    ----------
    problem : Problem
    tuning : Tuning
        Hyperparameters and rounds.
    seed : int
    count : (n,) float64, optional
        How often each row enters the resample; its weight is multiplied by it.
    interrupted : callable
        Asked at every round.

    Returns
    -------
    Booster
    """
    import lightgbm as lgb

    def check(_: object) -> None:
        if interrupted():
            raise Cancelled

    unit = unit_of(problem.label, problem.target.objective)
    with refusals_told(problem.target):
        params = parameters(problem, tuning.params, seed)
        # A resample may hold none of a rare variable's few non-zero rows: then all of them are used.
        if count is not None and count.any():
            rows = np.flatnonzero(count)
            weight = problem.weight[rows] * count[rows]
            data = subset(problem, rows, params, unit)
            data.set_weight(weight / weight.mean())
        else:
            data = subset(problem, np.arange(len(problem.label)), params, unit)
        booster = lgb.train(params, data, num_boost_round=tuning.rounds, callbacks=[check])
    return parse(restate(text(booster), unit))


def predict(booster: Booster, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Predict with a model, in one thread.

    Parameters
    ----------
    booster : Booster
    matrix : (n, p) float64
        Predictors in the booster's order.

    Returns
    -------
    (n, k) float64
        k = number of classes for multiclass models, else 1.
    """
    found = np.asarray(booster.predict(matrix, num_threads=1), dtype=np.float64)
    return found.reshape(len(matrix), -1)


def text(booster: Booster, rounds: int = -1) -> str:
    """Write a model as LightGBM text, all of it or its first rounds only.

    Of `text`, `parse` gives back the same predictions, bit for bit.
    """
    if isinstance(booster, Written) and rounds == -1:
        return booster.text
    with one_thread():
        return str(booster.model_to_string(num_iteration=rounds))


def add(base: Booster, booster: Booster) -> Booster:
    """Make one model of two: it predicts the sum of what they predict.

    Parameters
    ----------
    base, booster : Booster
        Of the same predictors, for means or percentiles.

    Returns
    -------
    Booster
    """
    return parse(rewriting.add(text(base), text(booster)))


class Written:
    """A model as its text, which is all that is needed to compile or to keep it.

    LightGBM reads it, and gives what is asked of a ``lightgbm.Booster``, when something else is.

    Attributes
    ----------
    text : str
        As `text` writes it, and checked.
    """

    def __init__(self, model: str) -> None:
        self.text = model
        self._booster: lightgbm.Booster | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._booster is None:
            try:
                self._booster = parse(self.text)
            except ValueError as error:
                told = "Make the archive again, or ask for it where it comes from."
                raise FusionError("LightGBM cannot read a model.", [str(error)], told) from None
        return getattr(self._booster, name)


def parse(model: str) -> lightgbm.Booster:
    """Read a model from LightGBM text. It holds numbers only: nothing in it is executed.

    Raises
    ------
    ValueError
        If the text is not a model.
    """
    import lightgbm as lgb

    try:
        with one_thread():
            return lgb.Booster(model_str=model)
    except lgb.basic.LightGBMError as error:
        raise ValueError(str(error)) from None
