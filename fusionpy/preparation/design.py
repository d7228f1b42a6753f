"""The columns that LASSO models see: predictors, targets, and the rows that each target is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionpy.kernels.inflation import is_inflated
from fusionpy.model.schema import Schema
from fusionpy.model.variables import Variable

__all__ = ["Design", "LassoTarget", "build_design", "lump_classes"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

X_CLASSES = 5  # dummies of a nominal predictor: four levels and the others together
Y_CLASSES = 20  # of a fusion variable


@dataclass(frozen=True)
class LassoTarget:
    """What one LASSO model explains.

    Attributes
    ----------
    column : int
        Of the design.
    subset : int
        Which rows: place in `Design.subsets`.
    share : float
        What it counts among the targets of its step.
    ranked : int
        Rows that its correlations with predictors are of: place in `Design.subsets`.
    """

    column: int
    subset: int
    share: float
    ranked: int


@dataclass(frozen=True, eq=False)
class Design:
    """Columns of predictors and targets.

    Attributes
    ----------
    matrix : (n, q) float64
        Nothing is missing.
    weight : (n,) float64
        Positive.
    rank_weight : (n,) float64
        Weights in the correlations of ranks.
    subsets : tuple of (k,) intp
        Rows that targets are fitted on: first all of them, then the non-zero ones of each inflated variable.
    owner : tuple of str
        Variable that a step is given if it uses the column; "" is none.
    columns : dict of str to list of int
        Columns of each variable where it predicts.
    targets : dict of str to list of LassoTarget
        Targets of each fusion variable.
    as_reference : bool
        Steps are to be put in order with the reference's faults too.
    """

    matrix: Array
    weight: Array
    rank_weight: Array
    subsets: tuple[Index, ...]
    owner: tuple[str, ...]
    columns: dict[str, list[int]]
    targets: dict[str, list[LassoTarget]]
    as_reference: bool = False


def lump_classes(code: Array, most: int, as_reference: bool = False) -> list[Array]:
    """Turn level codes into dummies, rare levels together.

    Parameters
    ----------
    code : (n,) float64
        Level codes; whole numbers.
    most : int
        At most so many dummies.
    as_reference : bool
        As version 2.4.0 of the reference has them, see Notes.

    Returns
    -------
    list of (n,) float64
        In the order of the levels, the rare ones' last; for two levels one dummy alone.

    Notes
    -----
    With more than `most` levels the ``most - 1`` most frequent ones (of rows; of equals the first) have a
    dummy each, all others one together. Reference, section 4.

    Version 2.4.0 of the reference answers as if, with `most` levels or more, the rarest were among the others
    and the values were sorted, apart from the rest of their records; and it has two dummies for two levels.

    Examples
    --------
    >>> [dummy.tolist() for dummy in lump_classes(np.array([3.0, 0, 3, 1, 0, 7]), 3)]
    [[0.0, 1.0, 0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0, 1.0]]
    """
    levels, place, count = np.unique(code, return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    kept = np.arange(len(levels))
    lumped = len(levels) > most - as_reference
    if lumped:
        kept = np.sort(np.argsort(-count, kind="stable")[: most - 1])
        place = np.sort(place) if as_reference else place
    elif len(levels) == 2 and not as_reference:
        kept = kept[1:]
    dummies = [(place == level).astype(np.float64) for level in kept]
    if lumped:
        dummies.append(1.0 - np.sum(dummies, axis=0))
    return dummies


def build_design(
    schema: Schema,
    matrix: Array,
    weight: Array,
    x: Sequence[str],
    y: Sequence[str],
    *,
    as_reference: bool = False,
) -> Design:
    """Lay out the columns of predictors and targets.

    Parameters
    ----------
    schema : Schema
    matrix : (n, p) float64
        Values and level codes, in the order of ``schema.names``; nothing is missing.
    weight : (n,) float64
        Positive.
    x, y : sequence of str
        Predictors and fusion variables to lay out.
    as_reference : bool
        With the reference's faults, see Notes.

    Returns
    -------
    Design

    Notes
    -----
    As predictors, continuous, ordered and logical variables are one column, nominal ones dummies; an inflated
    fusion variable is two: is it other than 0, and its value. As targets, classes are dummies that count by
    their weighted shares; an inflated variable is two of equal count, the second on its non-zero rows.
    Reference, section 4.

    Version 2.4.0 of the reference has other dummies (see `lump_classes`), of fusion variables as of
    predictors, nominal predictors' last, and ordered fusion variables predict by theirs. Its correlations are
    unweighted, those of an inflated variable's value over all rows. Such a variable's value comes before
    whether it is zero, which predicts but never makes it a predictor, and each counts as much as a variable
    of the block.
    """
    layout = _Layout(weight, len(matrix), as_reference)
    nominal = [name for name in x if schema[name].kind == "nominal"]
    plain = [name for name in x if name not in nominal]
    for name in [*plain, *nominal] if as_reference else x:
        layout.add_predictor(schema[name], matrix[:, schema.names.index(name)])
    for name in y:
        layout.add_outcome(schema[name], matrix[:, schema.names.index(name)])
    return layout.finish()


class _Layout:
    """Gathers columns, and who owns them."""

    def __init__(self, weight: Array, n: int, as_reference: bool) -> None:
        self.weight = weight
        self.as_reference = as_reference
        self.subsets: list[Index] = [np.arange(n)]
        self.values: list[Array] = []
        self.owner: list[str] = []
        self.columns: dict[str, list[int]] = {}
        self.targets: dict[str, list[LassoTarget]] = {}

    def add(self, name: str, values: Array) -> int:
        self.values.append(values)
        self.owner.append(name)
        return len(self.values) - 1

    def add_predictor(self, variable: Variable, values: Array) -> None:
        """Add a variable that the recipient has."""
        columns = [values]
        if variable.kind == "nominal":
            columns = lump_classes(values, X_CLASSES, self.as_reference)
        self.columns[variable.name] = [self.add(variable.name, column) for column in columns]

    def add_outcome(self, variable: Variable, values: Array) -> None:
        """Add a fusion variable: its targets, and its columns as a predictor of later steps."""
        name = variable.name
        if variable.kind == "continuous" and is_inflated(values):
            nonzero = self.add("" if self.as_reference else name, (values != 0).astype(np.float64))
            value, subset = self.add(name, values), len(self.subsets)
            self.subsets.append(np.flatnonzero(values))
            self.columns[name] = [nonzero, value]
            self.targets[name] = (
                [LassoTarget(value, subset, 1.0, 0), LassoTarget(nonzero, 0, 1.0, 0)]
                if self.as_reference
                else [LassoTarget(nonzero, 0, 0.5, 0), LassoTarget(value, subset, 0.5, subset)]
            )
            return
        if variable.kind in ("continuous", "logical"):
            self.columns[name] = [self.add(name, values)]
            self.targets[name] = [LassoTarget(self.columns[name][0], 0, 1.0, 0)]
            return
        dummies = lump_classes(values, X_CLASSES if self.as_reference else Y_CLASSES, self.as_reference)
        places = [self.add(name, dummy) for dummy in dummies]
        mass = np.array([self.weight @ dummy for dummy in dummies])
        shares = mass / mass.sum() if mass.any() else np.ones(len(mass))
        self.targets[name] = [
            LassoTarget(place, 0, float(share), 0) for place, share in zip(places, shares, strict=True)
        ]
        alone = variable.kind == "ordered" and len(dummies) > 1 and not self.as_reference
        self.columns[name] = [self.add(name, values)] if alone else places

    def finish(self) -> Design:
        matrix = np.array(self.values).T  # columns are contiguous
        weight, rank_weight = self.weight, self.weight
        if self.as_reference:  # its bits decide what glmnet takes of two columns that say the same
            weight = weight / float(np.mean(weight.astype(np.longdouble)))
            rank_weight = np.ones(len(matrix))
        return Design(
            matrix,
            weight,
            rank_weight,
            tuple(self.subsets),
            tuple(self.owner),
            self.columns,
            self.targets,
            self.as_reference,
        )
