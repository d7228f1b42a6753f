"""Predictions of a model's stand-ins: columns coded once, forests compiled once, whoever asks for them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines import find_engine
from fusionpy.engines.base import Engine, Model
from fusionpy.kernels.forest import Cut, Forest, Trees, cuts_of, encode, grow, predict
from fusionpy.kernels.forest.codes import NAN_MISSING
from fusionpy.model import FusionModel, Step
from fusionpy.model.effects import Factor

__all__ = ["Coding", "Predictions", "prepare_predictions", "stand_ins_of"]

WORTHWHILE = 1_000  # rows per stand-in from which compiling its forests takes less time than it saves
FINAL = -1  # number of the stand-in that is fitted on all donors


@dataclass(frozen=True)
class Coding:
    """How the columns that boosters see are coded.

    Attributes
    ----------
    names : tuple of str
        Predictors in the schema's order, then the fusion variables that predict others.
    cuts : tuple of Cut, or None
        Of each column. None: values are not coded, and boosters see them as they are.
    dtype : dtype
        Of the codes of all columns.
    exponents : mapping of str to int
        Of columns that boosters see multiplied by a power of 2.
    """

    names: tuple[str, ...]
    cuts: tuple[Cut, ...] | None
    dtype: np.dtype[Any]
    exponents: Mapping[str, int] = field(default_factory=dict)

    def encode(self, name: str, values: NDArray[np.float64]) -> NDArray[Any]:
        """Code a column, or part of it.

        Parameters
        ----------
        name : str
        values : (n,) float64

        Returns
        -------
        (n,) dtype
        """
        if exponent := self.exponents.get(name):
            with np.errstate(over="ignore"):  # recipients' values may be larger than any donor's
                values = np.ldexp(values, exponent)
        if self.cuts is None:
            return values
        return encode(values, self.cuts[self.names.index(name)]).astype(self.dtype, copy=False)


class Predictions:
    """Predictions by the stand-ins of a model; from `prepare_predictions`. Safe to share among threads.

    Parameters
    ----------
    model : FusionModel
    coding : Coding
    trees : mapping of (step, stand-in) to a Trees for each of the step's targets
        None if predictions are to be the engine's own.

    Attributes
    ----------
    coding : Coding
    """

    def __init__(
        self,
        model: FusionModel,
        coding: Coding,
        trees: Mapping[tuple[int, int], Sequence[Trees]] | None,
    ) -> None:
        self.coding = coding
        self._model, self._trees = model, trees
        self._engine = find_engine(model.options.engine)
        place = {name: j for j, name in enumerate(coding.names)}
        self._places = [[place[name] for name in step.predictors] for step in model.steps]
        self._forests: dict[tuple[int, int, int, int], Forest] = {}
        self._lock = threading.Lock()

    def predict(
        self,
        number: int,
        stand_in: int,
        targets: slice,
        codes: NDArray[Any],
        rows: NDArray[np.intp] | None = None,
    ) -> NDArray[np.float64]:
        """Predict some targets of a step.

        Parameters
        ----------
        number : int
            Of the step.
        stand_in : int
            Of the step's stand-ins; `FINAL` for the models fitted on all donors.
        targets : slice
            Which of the step's targets.
        codes : (c, n) dtype of the coding
        rows : (r,) intp, optional
            Predict only these.

        Returns
        -------
        (n or r, k) float64
            What the engine predicts by each, side by side.
        """
        if self._trees is None:
            step = self._model.steps[number]
            columns = codes[self._places[number]]
            matrix = np.ascontiguousarray((columns if rows is None else columns[:, rows]).T)
            found = [self._engine.predict(each, matrix) for each in _models(step, stand_in)[targets]]
            return np.hstack(found)
        return predict(self._forest(number, stand_in, targets), codes, rows)

    def without_gaps(self, stand_in: int) -> set[str]:
        """Name the columns that trees split on, and that no donor lacked when they were grown.

        Parameters
        ----------
        stand_in : int
            Of whose trees.

        Returns
        -------
        set of str

        Notes
        -----
        Trees mark the splits of a column that had missing values; at others a missing value goes with 0, or
        with none of the levels.
        """
        split, gaps = set(), set()
        for number, step in enumerate(self._model.steps):
            try:
                models = (self._trees or {}).get((number, stand_in)) or _compiled(
                    self._engine, step, stand_in
                )
            except ValueError:
                continue
            for trees in models:
                named = np.asarray(step.predictors, dtype=object)[trees.feature]
                split |= set(named)
                gaps |= set(named[trees.kind & NAN_MISSING > 0])
        return split - gaps

    def _forest(self, number: int, stand_in: int, targets: slice) -> Forest:
        """Compile a forest, the first time that it is asked for."""
        assert self._trees is not None
        assert self.coding.cuts is not None
        first, stop, _ = targets.indices(len(self._model.steps[number].targets))
        key = number, stand_in, first, stop
        with self._lock:
            if key not in self._forests:
                models = self._trees[number, stand_in][targets]
                self._forests[key] = grow(models, self.coding.cuts, [self._places[number]] * len(models))
            return self._forests[key]


def stand_ins_of(model: FusionModel, implicates: Sequence[int] | None = None) -> list[int]:
    """List the stand-ins that some implicates are drawn with.

    Parameters
    ----------
    model : FusionModel
    implicates : sequence of int, optional
        From 0; all there could be if they are not given.

    Returns
    -------
    list of int
    """
    n_stand_ins = len(model.steps[0].stand_ins)
    if not n_stand_ins:
        return [FINAL]
    if model.assignment == "record" or implicates is None:
        return list(range(n_stand_ins))
    return sorted({implicate % n_stand_ins for implicate in implicates})


def prepare_predictions(
    model: FusionModel, stand_ins: Sequence[int], n_rows: int | None = None
) -> Predictions:
    """Make ready to predict with some stand-ins of a model.

    Parameters
    ----------
    model : FusionModel
    stand_ins : sequence of int
    n_rows : int, optional
        Rows that each of them is going to predict. Forests are compiled if there are enough of them.

    Returns
    -------
    Predictions

    Notes
    -----
    The codes of a column tell apart what any of the stand-ins' trees do, so that all share them. A model that
    has no compiled form is predicted by its engine; nothing but the time it takes depends on that.
    """
    used = {name for step in model.steps for name in step.predictors}
    names = tuple(v.name for v in model.schema.x) + tuple(v.name for v in model.schema.y if v.name in used)
    exponents = {name: exponent for name in names if (exponent := model.schema[name].exponent)}
    engine, trees = find_engine(model.options.engine), None
    if n_rows is not None and n_rows >= WORTHWHILE:
        try:
            trees = {
                (number, stand_in): _compiled(engine, step, stand_in)
                for number, step in enumerate(model.steps)
                for stand_in in stand_ins
            }
        except ValueError:
            trees = None
    if trees is None:
        return Predictions(model, Coding(names, None, np.dtype(np.float64), exponents), None)
    every = [(number, one) for (number, _), several in trees.items() for one in several]
    places = [[names.index(name) for name in step.predictors] for step in model.steps]
    cuts = cuts_of([one for _, one in every], [places[number] for number, _ in every])
    # Columns that no tree uses have no cuts.
    cuts += [Cut(np.empty(0), 0, 0)] * (len(names) - len(cuts))
    for factor in _factors(model):
        j = names.index(factor.name)
        edges = np.ldexp(factor.edges, exponents.get(factor.name, 0))
        cuts[j] = Cut(np.union1d(cuts[j].edges, edges), 1, 0)
    dtype = np.min_scalar_type(max((cut.n_codes for cut in cuts), default=1) - 1)
    return Predictions(model, Coding(names, tuple(cuts), dtype, exponents), trees)


def _compiled(engine: Engine, step: Step, stand_in: int) -> list[Trees]:
    """Take the trees of a stand-in's models; a ValueError tells that there is no compiled form of them."""
    if engine.compile is None:
        raise ValueError(f"{engine.title} has no trees")
    return [engine.compile(each) for each in _models(step, stand_in)]


def _models(step: Step, stand_in: int) -> list[Model]:
    """List a stand-in's models in the order of the targets."""
    models = step.final if stand_in == FINAL else step.stand_ins[stand_in]
    return [models[target.name] for target in step.targets]


def _factors(model: FusionModel) -> list[Factor]:
    """List the factors whose effects are at work in a model, each once."""
    every = [step.effects for step in model.steps if step.effects]
    found = [factor for effects in every for factor in effects.factors]
    found += [factor for effects in every for pair in effects.pairs for factor in (pair.one, pair.other)]
    return list({(factor.name, *factor.edges): factor for factor in found}.values())
