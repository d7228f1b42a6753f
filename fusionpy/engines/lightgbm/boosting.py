"""Gradient boosting by LightGBM: bin, fit, predict, and models as text.

LightGBM is imported where it is used: with what it imports in turn (scikit-learn, if it is there), that takes
longer than most calls of verbs that do without it.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.base import Cancelled, Target, Tuning
from fusionpy.engines.lightgbm import rewriting
from fusionpy.engines.lightgbm.rewriting import OWN, Unit, restate
from fusionpy.errors import FusionError

if TYPE_CHECKING:
    import lightgbm

    Booster: TypeAlias = "lightgbm.Booster | Written"
else:
    Booster = Any  # others name it in annotations only

__all__ = [
    "BOOSTINGS",
    "HYPERPARAMETERS",
    "ONE_VALUE",
    "Bins",
    "Booster",
    "Problem",
    "Written",
    "add",
    "fit",
    "one_thread",
    "parameters",
    "parse",
    "predict",
    "refusals_told",
    "settled",
    "text",
]

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
_METRIC = {
    "binary": "binary_logloss",
    "multiclass": "multi_logloss",
    "regression": "l2",
    "quantile": "quantile",
}


# One thread gives the same bits on any number of cores; models are fitted side by side instead.
_QUIETLY = {"num_threads": 1, "verbosity": -1}
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


class Bins:
    """Donors' predictors, binned once for all models of a step that are fitted on the same donors.

    Parameters
    ----------
    matrix : (n, q) float64
        All donors, not copied before they are binned.
    names : sequence of str
        The predictors.
    categorical : sequence of int
        Which of them are nominal.
    rows : (m,) intp, optional
        Donors that models are fitted on; missing: all.
    columns : (p,) sequence of int, optional
        The predictors' columns of `matrix`; missing: all.
    exponents : (p,) intp, optional
        Powers of 2 that LightGBM is given the predictors multiplied by; missing: 0.

    Notes
    -----
    LightGBM keeps a byte where the matrix has eight (two from 256 bins on). Models of several labels are
    fitted side by side, so none of them owns the binned data: each takes a `Problem.subset`.

    Examples
    --------
    >>> bins = Bins(np.arange(200.0).reshape(100, 2), ["a", "b"], [])
    >>> bins.dataset({}).num_data(), bins.dataset({}) is bins.dataset({})
    (100, True)
    """

    def __init__(
        self,
        matrix: NDArray[np.float64],
        names: Sequence[str],
        categorical: Sequence[int],
        *,
        rows: NDArray[np.intp] | None = None,
        columns: Sequence[int] | None = None,
        exponents: NDArray[np.intp] | None = None,
    ) -> None:
        self.matrix = matrix
        self.names = list(names)
        self.categorical = list(categorical)
        self.rows = np.arange(len(matrix)) if rows is None else rows
        self.columns = np.arange(matrix.shape[1]) if columns is None else np.asarray(columns)
        self.exponents = exponents
        self._lock = threading.Lock()
        self._data: Any = None

    def scale(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply predictors by the powers of 2 that models see them in.

        Parameters
        ----------
        matrix : (n, p) float64

        Returns
        -------
        (n, p) float64
        """
        return matrix if self.exponents is None else np.ldexp(matrix, self.exponents)

    def dataset(self, params: Mapping[str, Any]) -> Any:
        """Bin the data, the first time it is asked for."""
        import lightgbm as lgb

        with self._lock:
            if self._data is None:
                binning = {k: v for k, v in params.items() if k in ONE_VALUE} | _QUIETLY
                data = lgb.Dataset(
                    self.scale(self.matrix[np.ix_(self.rows, self.columns)]),
                    label=np.zeros(len(self.rows), dtype=np.float32),  # subsets are given their own
                    feature_name=self.names,
                    categorical_feature=self.categorical,
                    params={**binning, "feature_pre_filter": False},
                    free_raw_data=True,
                )
                self._data = data.construct()
            return self._data

    @property
    def n_bins(self) -> int:
        """Bins of all columns together, once they are there."""
        return sum(self._data.feature_num_bin(j) for j in range(len(self.columns)))

    def release(self) -> None:
        """Let go of the binned data."""
        with self._lock:
            self._data = None


@dataclass(frozen=True)
class Problem:
    """The data of one target.

    Attributes
    ----------
    target : Target
    bins : Bins
        Of n rows.
    label, weight : (n,) float64
        Weights have mean 1.
    monotone : sequence of int, optional
        +1, 0 or -1 for each predictor: how the expectation moves with it.
    unit : Unit
        What LightGBM, which keeps labels in four bytes, is given them in.
    """

    target: Target
    bins: Bins
    label: NDArray[np.float64]
    weight: NDArray[np.float64]
    monotone: Sequence[int] | None = None
    unit: Unit = OWN

    def bin(self, hyper: Mapping[str, Any]) -> None:
        """Bin the data now, for all problems that share them.

        Raises
        ------
        FusionError
            If LightGBM cannot.
        """
        with refusals_told(self.target):
            self.bins.dataset(hyper)

    def subset(self, rows: NDArray[np.intp], params: Mapping[str, Any]) -> Any:
        """Take some rows of the binned data, with their labels and weights.

        Parameters
        ----------
        rows : (k,) intp
            Ascending.
        params : dict
            What LightGBM will be told of the fit.

        Returns
        -------
        lightgbm.Dataset
            A copy of the rows' bins, which may be given other weights.
        """
        data = self.bins.dataset(params).subset([])
        data.used_indices = rows.astype(np.int32)  # no list of Python's numbers, which would be kept
        data.construct()
        data.set_field("label", self.unit.apply(self.label[rows]).astype(np.float32))
        # As LightGBM does: equal weights are none, but those of a subset are kept even if they are equal.
        if not (self.weight == 1).all():
            data.set_field("weight", self.weight[rows].astype(np.float32))
        return data


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


def parameters(problem: Problem, hyper: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Everything that LightGBM is told of one fit."""
    target = problem.target
    params = {k: v for k, v in settled(hyper).items() if k != "num_iterations"}
    params |= {
        "objective": target.objective,
        "metric": _METRIC[target.objective],
        "seed": seed,
        **_QUIETLY,
        "feature_pre_filter": False,
        "deterministic": True,
    }
    if target.objective == "multiclass":
        params["num_class"] = target.n_classes
    if target.objective == "quantile":
        params["alpha"] = target.alpha
    if problem.monotone is not None:
        params["monotone_constraints"] = list(problem.monotone)
    problem.bins.dataset(params)
    # One thread adds the same numbers in the same order either way: this only says which is quicker.
    by_row = problem.bins.n_bins <= _BINS_BY_ROW
    params["force_row_wise" if by_row else "force_col_wise"] = True
    return params


@contextmanager
def refusals_told(target: Target) -> Iterator[None]:
    """Say in our words which model LightGBM refused to fit."""
    import lightgbm as lgb

    try:
        yield
    except lgb.basic.LightGBMError as error:
        headline = f"LightGBM refused to fit a model of `{target.variable}`."
        raise FusionError(headline, [str(error)], "Check the entries of `hyper`.") from None


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

    with refusals_told(problem.target):
        params = parameters(problem, tuning.params, seed)
        # A resample may hold none of a rare variable's few non-zero rows: then all of them are used.
        if count is not None and count.any():
            rows = np.flatnonzero(count)
            weight = problem.weight[rows] * count[rows]
            data = problem.subset(rows, params)
            data.set_weight(weight / weight.mean())
        else:
            data = problem.subset(np.arange(len(problem.label)), params)
        booster = lgb.train(params, data, num_boost_round=tuning.rounds, callbacks=[check])
    return parse(restate(text(booster), problem.unit))


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
