"""The columns that LASSO models see: predictors, targets, and the rows that each target is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionpy.kernels.scaling import is_inflated
from fusionpy.schema import Schema, Variable

__all__ = ["Design", "Target", "build_design", "lump_classes"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]

X_CLASSES = 5  # dummies of a nominal predictor: four levels and the others together
Y_CLASSES = 20  # of a fusion variable


@dataclass(frozen=True)
class Target:
    """What one LASSO model explains.

    Attributes
    ----------
    column : int
        Of the design.
    subset : int
        Which rows: place in `Design.subsets`.
    share : float
        What it counts among the targets of its variable; these shares sum to 1.
    """

    column: int
    subset: int
    share: float


@dataclass(frozen=True, eq=False)
class Design:
    """Columns of predictors and targets.

    Attributes
    ----------
    matrix : (n, q) float64
        Nothing is missing.
    weight : (n,) float64
        Positive.
    subsets : tuple of (k,) intp
        Rows that targets are fitted on: first all of them, then the non-zero ones of each inflated variable.
    owner : tuple of str
        Variable of each column.
    columns : dict of str to list of int
        Columns of each variable where it predicts.
    targets : dict of str to list of Target
        Targets of each fusion variable.
    """

    matrix: Array
    weight: Array
    subsets: tuple[Index, ...]
    owner: tuple[str, ...]
    columns: dict[str, list[int]]
    targets: dict[str, list[Target]]


def lump_classes(code: Array, most: int) -> list[Array]:
    """Turn level codes into dummies, rare levels together.

    Parameters
    ----------
    code : (n,) float64
        Level codes; whole numbers.
    most : int
        At most so many dummies.

    Returns
    -------
    list of (n,) float64
        In the order of the levels, the rare ones' last; one dummy alone for two levels, as the other says
        the same.

    Notes
    -----
    With more than `most` levels the ``most - 1`` most frequent ones (of rows; of equals the first) have a
    dummy each, all others one together. Reference, section 4.

    Examples
    --------
    >>> [dummy.tolist() for dummy in lump_classes(np.array([3.0, 0, 3, 1, 0, 7]), 3)]
    [[0.0, 1.0, 0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0, 1.0]]
    """
    levels, place, count = np.unique(code, return_inverse=True, return_counts=True)
    place = place.reshape(-1)
    kept = np.arange(len(levels))
    if len(levels) > most:
        kept = np.sort(np.argsort(-count, kind="stable")[: most - 1])
    elif len(levels) == 2:
        kept = kept[1:]
    dummies = [(place == level).astype(np.float64) for level in kept]
    if len(levels) > most:
        dummies.append(1.0 - np.sum(dummies, axis=0))
    return dummies


def build_design(schema: Schema, matrix: Array, weight: Array, x: Sequence[str], y: Sequence[str]) -> Design:
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

    Returns
    -------
    Design

    Notes
    -----
    As predictors, continuous, ordered and logical variables are one column, nominal ones dummies; an inflated
    fusion variable is two: is it other than 0, and its value. As targets, classes are dummies that count by
    their weighted shares; an inflated variable is two of equal count, the second on its non-zero rows.
    Reference, section 4.
    """
    layout = _Layout(weight, len(matrix))
    for name in x:
        values, variable = matrix[:, schema.names.index(name)], schema[name]
        dummies = lump_classes(values, X_CLASSES) if variable.kind == "nominal" else [values]
        layout.columns[name] = [layout.add(name, dummy) for dummy in dummies]
    for name in y:
        layout.add_outcome(schema[name], matrix[:, schema.names.index(name)])
    return layout.finish()


class _Layout:
    """Gathers columns, and who owns them."""

    def __init__(self, weight: Array, n: int) -> None:
        self.weight = weight
        self.subsets: list[Index] = [np.arange(n)]
        self.values: list[Array] = []
        self.owner: list[str] = []
        self.columns: dict[str, list[int]] = {}
        self.targets: dict[str, list[Target]] = {}

    def add(self, name: str, values: Array) -> int:
        self.values.append(values)
        self.owner.append(name)
        return len(self.values) - 1

    def add_outcome(self, variable: Variable, values: Array) -> None:
        """Add a fusion variable: its targets, and its columns as a predictor of later steps."""
        name = variable.name
        if variable.kind == "continuous" and is_inflated(values):
            nonzero, value = self.add(name, (values != 0).astype(np.float64)), self.add(name, values)
            self.subsets.append(np.flatnonzero(values))
            self.columns[name] = [nonzero, value]
            self.targets[name] = [Target(nonzero, 0, 0.5), Target(value, len(self.subsets) - 1, 0.5)]
            return
        if variable.kind in ("continuous", "logical"):
            self.columns[name] = [self.add(name, values)]
            self.targets[name] = [Target(self.columns[name][0], 0, 1.0)]
            return
        dummies = lump_classes(values, Y_CLASSES)
        places = [self.add(name, dummy) for dummy in dummies]
        mass = np.array([self.weight @ dummy for dummy in dummies])
        shares = mass / mass.sum() if mass.any() else np.ones(len(mass))
        self.targets[name] = [
            Target(place, 0, float(share)) for place, share in zip(places, shares, strict=True)
        ]
        alone = variable.kind == "ordered" and len(dummies) > 1
        self.columns[name] = [self.add(name, values)] if alone else places

    def finish(self) -> Design:
        matrix = np.array(self.values).T  # columns are contiguous
        return Design(matrix, self.weight, tuple(self.subsets), tuple(self.owner), self.columns, self.targets)
