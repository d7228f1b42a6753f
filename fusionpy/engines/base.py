"""What an engine is: how it is asked, and what it answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fusionpy.kernels.forest.codes import Trees

__all__ = [
    "MOST_VALUE",
    "Bins",
    "Cancelled",
    "Engine",
    "Entries",
    "Folds",
    "Model",
    "Problem",
    "Search",
    "Target",
    "Tuning",
    "expand_grid",
]

MOST_VALUE = 1e100  # that a model may predict: sums and squared distances stay finite
Model: TypeAlias = Any  # what an engine fitted, or read; what it looks like is known to the engine alone
_Made = TypeVar("_Made")


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


@dataclass(frozen=True)
class Tuning:
    """What cross-validation found.

    Attributes
    ----------
    params : dict
        The chosen hyperparameters.
    rounds : int
        Boosting rounds; 1 of an engine that has none.
    loss : float
        Mean validation loss at those rounds.
    grid : list of dict
        Every candidate with `best_score`, `best_iter` and `final_model`.
    """

    params: dict[str, Any]
    rounds: int
    loss: float
    grid: list[dict[str, Any]]


class Bins:
    """Donors' predictors, which all models of a step that are fitted on the same donors share.

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
        Powers of 2 that models see the predictors multiplied by; missing: 0.

    Notes
    -----
    An engine that wants them in another form, such as bins of a byte, makes that once, by `once`. Models are
    fitted side by side, so none of them owns it.

    Examples
    --------
    >>> bins = Bins(np.arange(6.0).reshape(3, 2), ["a", "b"], [], rows=np.array([0, 2]))
    >>> bins.values().tolist(), bins.values(np.array([1])).tolist()
    ([[0.0, 1.0], [4.0, 5.0]], [[4.0, 5.0]])
    >>> bins.once(dict) is bins.once(dict)
    True
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
        self._made: Any = None

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

    def values(self, some: NDArray[np.intp] | None = None) -> NDArray[np.float64]:
        """Copy the predictors as models see them.

        Parameters
        ----------
        some : (k,) intp, optional
            Places in `rows`; missing: all.

        Returns
        -------
        (k, p) float64
            Numbers and codes of levels, NaN where missing.
        """
        rows = self.rows if some is None else self.rows[some]
        return self.scale(self.matrix[np.ix_(rows, self.columns)])

    def once(self, make: Callable[[], _Made]) -> _Made:
        """Take an engine's own form of them, which is made the first time that it is asked for."""
        with self._lock:
            if self._made is None:
                self._made = make()
            return self._made  # type: ignore[no-any-return]  # an engine makes one thing only

    def release(self) -> None:
        """Let go of the engine's own form."""
        with self._lock:
            self._made = None


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
    """

    target: Target
    bins: Bins
    label: NDArray[np.float64]
    weight: NDArray[np.float64]
    monotone: Sequence[int] | None = None


class Search(Protocol):
    """Cross-validation of every candidate in a grid, in pieces that can be done side by side.

    Until `settle` says that it is over, every fold is boosted, in any order or at once, and `settle` called.
    Then `tuning` is what was found, and there are the chosen candidate's models of the folds.
    """

    tuning: Tuning | None

    @property
    def n_folds(self) -> int:
        """Number of folds."""

    def boost(self, fold: int, interrupted: Callable[[], bool] = ...) -> None:
        """Do a piece of work on one fold; raise `Cancelled` if `interrupted` says so."""

    def settle(self) -> bool:
        """Tell whether all is done; no fold is boosted meanwhile."""

    def predict(self, fold: int, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predict with the model of a fold, as `Engine.predict` does."""

    def models(self) -> list[Model]:
        """Models of the folds, to be kept."""


@dataclass(frozen=True)
class Entries:
    """Hyperparameters as they were given, checked.

    Attributes
    ----------
    values : dict of str to list
        The values of every entry, as plain Python numbers. Those without effect are among them, but for
        numbers of threads: the table of what was tried tells them, as R's does.
    problems : list of str
        What is wrong.
    idle : list of str
        Which entries have no effect, and why.
    replacing : list of str
        Which would have another effect in fusionModel, by a fault of it, and have none here.
    """

    values: dict[str, list[Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    replacing: list[str] = field(default_factory=list)


def expand_grid(hyper: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the entries that hold several values; the first entry varies fastest, as in R.

    Examples
    --------
    >>> expand_grid({"num_leaves": [16, 32], "max_depth": 5})
    [{'num_leaves': 16, 'max_depth': 5}, {'num_leaves': 32, 'max_depth': 5}]
    """
    many = {k: list(v) if isinstance(v, list | tuple) else [v] for k, v in hyper.items()}
    rows = product(*reversed(many.values()))
    return [dict(zip(many, reversed(values), strict=True)) for values in rows]


Array: TypeAlias = NDArray[np.float64]
Folds: TypeAlias = Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What learns and predicts: functions over problems, and over models that only they look into.

    An engine is a module that has one of these by the name `ENGINE`, and a line in `ENGINES` of
    `fusionpy.engines`.
    Its functions may be called by many threads at once, and their results depend on their arguments alone.

    Attributes
    ----------
    title : str
        What people call it.
    libraries : tuple of str
        Distributions that its numbers depend on: archives tell their versions.
    usual : callable (method) -> dict
        Hyperparameters that a method of `train` sets where nothing is given.
    check : callable (hyper, usual) -> Entries
        Checks what the user gave.
    settle : callable (hyper, n) -> dict
        Sets what depends on the number of donors.
    bin : callable (problem, hyper) -> None
        Puts the predictors of a problem into the engine's own form (`Bins.once`), if it has one.
    search : callable (problem, grid, folds, patience, seed) -> Search
        Begins a cross-validation. Folds are pairs of rows: to fit on, and to judge by. After `patience`
        rounds without gain, boosting stops.
    fit : callable (problem, tuning, seed, count, interrupted) -> Model
        Fits on all rows; if `count`, (n,) float64, is not None, on the resample that has each row so often,
        or on all rows if that is empty. Raises `Cancelled` if `interrupted` says so.
    predict : callable (model, matrix) -> (n, k) float64
        Predicts in one thread, from predictors as `Bins.values` has them: means, percentiles, the probability
        of 1, or those of all k classes.
    write : callable (model) -> str
        Text, from which `read` makes a model of the same predictions, bit for bit. It holds numbers and
        names, nothing that would be executed.
    read : callable (text, target, n_features) -> Model
        Raises ValueError, saying what is wrong, if the text is not what `write` could have written for that
        target and so many predictors: it comes from strangers.
    for_r : bool
        Whether R's fusionModel reads what `write` writes.
    can_slope : bool
        Whether it obeys `Problem.monotone`; if not, `train` takes no `monotone`.
    one_value : tuple of str
        Hyperparameters that are the same for the whole grid.
    add : callable (base, model) -> Model, optional
        One model that predicts the sum of two. Without it percentiles of variables with ties do not start at
        the mean.
    compile : callable (model) -> Trees, optional
        The model's trees, which fusionpy then predicts with itself, by the same bits. Raises ValueError for a
        model that has none.
    split_totals : callable (model) -> (p, 3) float64, optional
        By predictor: gain, cover and number of splits, which `importance` tells shares of.
    """

    title: str
    libraries: tuple[str, ...]
    usual: Callable[[str], dict[str, Any]]
    check: Callable[[object, Mapping[str, Any]], Entries]
    settle: Callable[[Mapping[str, Any], int], dict[str, Any]]
    bin: Callable[[Problem, Mapping[str, Any]], None]
    search: Callable[[Problem, Sequence[Mapping[str, Any]], Folds, int, int], Search]
    fit: Callable[[Problem, Tuning, int, Array | None, Callable[[], bool]], Model]
    predict: Callable[[Model, Array], Array]
    write: Callable[[Model], str]
    read: Callable[[str, Target, int], Model]
    for_r: bool = False
    can_slope: bool = False
    one_value: tuple[str, ...] = ()
    add: Callable[[Model, Model], Model] | None = None
    compile: Callable[[Model], Trees] | None = None
    split_totals: Callable[[Model], Array] | None = None
