"""Predictors of a column that is filled, chosen anew for each."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from fusionpy.model.variables import Variable
from fusionpy.preparation.incomplete import Array, Rows

__all__ = ["outcomes_of", "screen"]

ROWS_MANY, COLUMNS_MANY = 10_000, 20  # beyond either, predictors are screened

CORRELATED = 0.025

FEWEST_PREDICTORS, MOST_PREDICTORS = 5, 30

LEVELS_FITTED = 30  # beyond, levels are drawn from donors rather than from probabilities

COORDINATES = 3

SHRINKAGE = 5.0  # records that pull a level's means towards the overall ones

DUMMIES = 4  # most frequent levels of a nominal variable that are correlated with others


def screen(matrix: Array, nominal: Sequence[bool], values: Array, is_nominal: bool, n_rows: int) -> list[int]:
    """Choose predictors: those that vary, of many only those that are correlated with the variable."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a predictor that no donor has
        varies = np.nanmin(matrix, axis=0) < np.nanmax(matrix, axis=0)
    columns = np.flatnonzero(varies)
    if n_rows <= ROWS_MANY and len(nominal) < COLUMNS_MANY:
        return [int(j) for j in columns]
    target = _design(values[:, None], [is_nominal])
    strength = np.array(
        [_strongest(_design(matrix[:, [j]], [nominal[int(j)]], keep_missing=True), target) for j in columns]
    )
    ranked = columns[np.argsort(-strength, kind="stable")]
    n_kept = int(np.clip((strength > CORRELATED).sum(), FEWEST_PREDICTORS, MOST_PREDICTORS))
    return sorted(int(j) for j in ranked[:n_kept])


def _design(matrix: Array, nominal: Sequence[bool], keep_missing: bool = False) -> Array:
    """Ranks of numbers and ordered levels, dummies of the most frequent levels of the others, standardised.

    Parameters
    ----------
    matrix : (n, p) float64
    nominal : (p,) sequence of bool
    keep_missing : bool
        Leave NaN where a value is missing, instead of the mean, 0.

    Returns
    -------
    (n, d) float64
        Constant ones are 0.
    """
    from scipy.stats import rankdata  # takes half a second to import, so only when it is used

    columns = []
    for values, by_level in zip(matrix.T, nominal, strict=True):
        known = ~np.isnan(values)
        if not by_level:
            columns.append(rankdata(values, nan_policy="omit"))
            continue
        levels, counts = np.unique(values[known], return_counts=True)
        frequent = levels[np.argsort(-counts, kind="stable")[: DUMMIES if len(levels) > 2 else 1]]
        columns += [np.where(known, values == level, np.nan) for level in frequent]
    design = np.stack(columns, axis=1)
    design -= np.nanmean(design, axis=0)
    spread = np.sqrt(np.nanmean(design**2, axis=0))
    design /= np.where(spread > 0, spread, 1)
    return design if keep_missing else np.nan_to_num(design)


def _strongest(some: Array, other: Array) -> float:
    """Largest absolute correlation of two sets of columns, over the rows where the first are known."""
    known = ~np.isnan(some[:, 0])
    some, other = some[known], other[known]
    some, other = some - some.mean(axis=0), other - other.mean(axis=0)
    size = np.sqrt((some**2).sum(axis=0))[:, None] * np.sqrt((other**2).sum(axis=0))
    return float(np.abs((some.T @ other) / np.where(size > 0, size, np.inf)).max())


def outcomes_of(
    variable: Variable, values: Array, matrix: Array, nominal: Sequence[bool]
) -> tuple[tuple[Variable, ...], Array]:
    """Settle what is simulated in place of a variable, and the donors' values of it.

    Parameters
    ----------
    variable : Variable
    values : (n,) float64
        Donors' values or level codes.
    matrix : (n, p) float64
        Their predictors.
    nominal : (p,) sequence of bool

    Returns
    -------
    tuple of Variable
    (n, q) float64
        The first column is in one-to-one correspondence with the values. Itself if continuous; codes of the
        observed levels if they are few; otherwise coordinates, to be taken from one donor.
    """
    if variable.kind == "continuous":
        return (Variable(variable.name, "continuous"),), values[:, None]
    levels, codes = np.unique(values, return_inverse=True)
    if variable.kind == "logical" or len(levels) <= LEVELS_FITTED:
        named = replace(variable, levels=() if variable.kind == "logical" else tuple(levels))
        return (named,), codes[:, None].astype(np.float64)
    if variable.kind == "ordered":
        return (Variable(variable.name, "continuous"),), codes[:, None] + np.float64(1)  # none of them 0
    places = level_coordinates(codes, _design(matrix, nominal))
    names = [f"{variable.name} {k}" for k in range(places.shape[1])]  # no predictor's name has a space
    return tuple(Variable(name, "continuous") for name in names), places[codes]


def level_coordinates(codes: Rows, design: Array) -> Array:
    """Place levels where their records lie on average among the predictors.

    Parameters
    ----------
    codes : (n,) intp
        Level of each record; every level has one.
    design : (n, d) float64
        Predictors, with mean 0 and variance 1.

    Returns
    -------
    (k, q) float64
        Leading principal components of the levels' means, each mean shrunk towards 0 as if 5 records there
        were added to it. No two levels are alike in the first.

    Examples
    --------
    >>> design = np.array([[-1.0], [-1.0], [0.5], [0.5], [1.0]])
    >>> np.abs(level_coordinates(np.array([0, 0, 1, 1, 2]), design)).round(3).tolist()
    [[0.286], [0.143], [0.167]]
    """
    number = np.bincount(codes).astype(np.float64)
    total = np.zeros((len(number), design.shape[1]))
    np.add.at(total, codes, design)
    mean = total / (number + SHRINKAGE)[:, None]
    axes = np.linalg.svd(np.sqrt(number)[:, None] * mean, full_matrices=False)[2][:COORDINATES]
    places = np.asarray(mean @ axes.T)
    apart = 1e-9 * (np.ptp(places[:, 0]) or 1.0)
    places[:, 0] += apart * np.arange(len(number))
    return places
