"""Gradient boosting by LightGBM: tune, fit, predict, and models as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from fusionpy.errors import FusionError

__all__ = [
    "HYPERPARAMETERS",
    "ONE_VALUE",
    "Booster",
    "Cancelled",
    "Problem",
    "Target",
    "Tuning",
    "expand_grid",
    "fit",
    "parse",
    "predict",
    "text",
    "tune",
    "version",
]

Booster = lgb.Booster

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
    *("min_data_per_group", *ONE_VALUE),
)
_METRIC = {
    "binary": "binary_logloss",
    "multiclass": "multi_logloss",
    "regression": "l2",
    "quantile": "quantile",
}


class Cancelled(Exception):  # noqa: N818  (not an error: the user's own wish)
    """Raised inside a fit when the user has interrupted."""


@dataclass(frozen=True)
class Target:
    """One model of a step.

    Attributes
    ----------
    variable : str
        The fusion variable.
    kind : str
        "z" (is it zero?), "m" (mean or class probabilities), "q1", "q2", … (percentiles).
    objective : {"binary", "multiclass", "regression", "quantile"}
    n_classes : int
        Of a multiclass model; otherwise 1.
    alpha : float
        Percentile of a quantile model.
    """

    variable: str
    kind: str
    objective: str
    n_classes: int = 1
    alpha: float = 0.5

    @property
    def name(self) -> str:
        """The archive's name for it: variable, underscore, kind."""
        return f"{self.variable}_{self.kind}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its conditional expectations."""
        if self.kind == "m":
            return tuple(f"{self.name}{j + 1}" for j in range(self.n_classes))
        return (self.name,)


@dataclass
class Problem:
    """The data of one target: binned once, used by every fold and refit.

    Attributes
    ----------
    matrix : (n, p) float64
    label : (n,) float64
    weight : (n,) float64
        Mean 1.
    names : sequence of str
        The predictors.
    categorical : sequence of int
        Which of them are nominal.
    """

    target: Target
    matrix: NDArray[np.float64]
    label: NDArray[np.float64]
    weight: NDArray[np.float64]
    names: Sequence[str]
    categorical: Sequence[int]
    monotone: Sequence[int] | None = None
    _bins: dict[str, Any] = field(default_factory=dict, repr=False)

    def dataset(self, params: Mapping[str, Any]) -> Any:
        """Bin the data, the first time it is asked for."""
        if "full" not in self._bins:
            binning = {k: v for k, v in params.items() if k in (*ONE_VALUE, "num_threads", "verbosity")}
            data = lgb.Dataset(
                self.matrix,
                label=self.label,
                weight=self.weight,
                feature_name=list(self.names),
                categorical_feature=list(self.categorical),
                params={**binning, "feature_pre_filter": False},
                free_raw_data=False,
            )
            self._bins["full"] = data.construct()
        return self._bins["full"]

    def release(self) -> None:
        """Let go of the binned data."""
        self._bins.clear()


@dataclass(frozen=True)
class Tuning:
    """What cross-validation found.

    Attributes
    ----------
    params : dict
        The chosen hyperparameters.
    rounds : int
        Boosting rounds.
    loss : float
        Mean validation loss at those rounds.
    grid : list of dict
        Every candidate with `best_score`, `best_iter` and `final_model`.
    """

    params: dict[str, Any]
    rounds: int
    loss: float
    grid: list[dict[str, Any]]


def version() -> str:
    """LightGBM's version."""
    return str(lgb.__version__)


def expand_grid(hyper: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the entries that hold several values.

    Examples
    --------
    >>> expand_grid({"num_leaves": [16, 32], "max_depth": 5})
    [{'num_leaves': 16, 'max_depth': 5}, {'num_leaves': 32, 'max_depth': 5}]
    """
    many = {k: list(v) if isinstance(v, list | tuple) else [v] for k, v in hyper.items()}
    return [dict(zip(many, values, strict=True)) for values in product(*many.values())]


def _parameters(problem: Problem, hyper: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Everything that LightGBM is told of one fit."""
    target = problem.target
    params = {k: v for k, v in hyper.items() if k != "num_iterations"}
    params |= {
        "objective": target.objective,
        "metric": _METRIC[target.objective],
        "seed": seed,
        "num_threads": 1,  # the same bits on any number of cores; models run side by side instead
        "verbosity": -1,
        "feature_pre_filter": False,
        "deterministic": True,
        "force_col_wise": True,
    }
    if target.objective == "multiclass":
        params["num_class"] = target.n_classes
    if target.objective == "quantile":
        params["alpha"] = target.alpha
    if problem.monotone is not None and target.kind != "z":
        params["monotone_constraints"] = list(problem.monotone)
    return params


@contextmanager
def _refusals_told(target: Target) -> Iterator[None]:
    """Say in our words which model LightGBM refused to fit."""
    try:
        yield
    except lgb.basic.LightGBMError as error:
        headline = f"LightGBM refused to fit a model of `{target.variable}`."
        raise FusionError(headline, [str(error)], "Check the entries of `hyper`.") from None


def tune(
    problem: Problem,
    grid: Sequence[Mapping[str, Any]],
    folds: Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]],
    patience: int,
    seed: int,
    interrupted: Callable[[], bool] = lambda: False,
) -> tuple[Tuning, list[Booster]]:
    """Choose hyperparameters and the number of rounds by validation loss.

    Parameters
    ----------
    problem : Problem
    grid : sequence of dict
        Candidates; `num_iterations` bounds the rounds.
    folds : sequence of (train rows, validation rows)
    patience : int
        Boosting stops when the mean validation loss has not improved for so many rounds.
    seed : int
    interrupted : callable
        Asked at every round.

    Returns
    -------
    Tuning
    list of Booster
        The chosen candidate's model of each fold, cut at the chosen round.

    Raises
    ------
    Cancelled
        If `interrupted` said so.
    """

    def check(_: object) -> None:
        if interrupted():
            raise Cancelled

    rows: list[dict[str, Any]] = []
    best: tuple[float, int, dict[str, Any], Any] | None = None
    for hyper in grid:
        params = _parameters(problem, hyper, seed)
        with _refusals_told(problem.target):
            history: dict[str, Any] = lgb.cv(
                params,
                problem.dataset(params),
                num_boost_round=int(hyper.get("num_iterations", 2500)),
                folds=[(np.asarray(a), np.asarray(b)) for a, b in folds],
                callbacks=[lgb.early_stopping(patience, verbose=False), check],
                return_cvbooster=True,
            )
        losses = next(v for k, v in history.items() if k.endswith("-mean"))
        rounds = int(np.argmin(losses)) + 1
        loss = float(losses[rounds - 1])
        rows.append({**hyper, "best_score": loss, "best_iter": rounds, "final_model": False})
        if best is None or loss < best[0]:
            best = loss, rounds, dict(hyper), history["cvbooster"]
    assert best is not None
    loss, rounds, chosen, cv_booster = best
    for row in rows:
        row["final_model"] = all(row[k] == v for k, v in chosen.items())
    boosters = [parse(b.model_to_string(num_iteration=rounds)) for b in cv_booster.boosters]
    return Tuning(chosen, rounds, loss, rows), boosters


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

    def check(_: object) -> None:
        if interrupted():
            raise Cancelled

    params = _parameters(problem, tuning.params, seed)
    with _refusals_told(problem.target):
        data = problem.dataset(params)
        # A resample may hold none of a rare variable's few non-zero rows: then all of them are used.
        if count is not None and count.any():
            rows = np.flatnonzero(count)
            weight = problem.weight[rows] * count[rows]
            data = data.subset(rows.tolist()).construct()
            data.set_weight(weight / weight.mean())
        booster = lgb.train(params, data, num_boost_round=tuning.rounds, callbacks=[check])
    return parse(text(booster))


def predict(booster: Booster, matrix: NDArray[np.float64], cores: int = 1) -> NDArray[np.float64]:
    """Predict with a model.

    Parameters
    ----------
    booster : Booster
    matrix : (n, p) float64
        Predictors in the booster's order.
    cores : int
        Threads.

    Returns
    -------
    (n, k) float64
        k = number of classes for multiclass models, else 1.
    """
    found = np.asarray(booster.predict(matrix, num_threads=cores), dtype=np.float64)
    return found.reshape(len(matrix), -1)


def text(booster: Booster) -> str:
    """Write a model as LightGBM text; `parse` gives back the same predictions, bit for bit."""
    return str(booster.model_to_string(num_iteration=-1))


def parse(model: str) -> Booster:
    """Read a model from LightGBM text. It holds numbers only: nothing in it is executed.

    Raises
    ------
    ValueError
        If the text is not a model.
    """
    try:
        return Booster(model_str=model)
    except lgb.basic.LightGBMError as error:
        raise ValueError(str(error)) from None
