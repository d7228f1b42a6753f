"""Regressions of one implicate: what a formula makes of its columns, and coefficients by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.analysis.expressions import Expression, evaluate_expression
from fusionpy.analysis.formulas import Formula
from fusionpy.analysis.groups import Array, Cells, Levels
from fusionpy.errors import SchemaError
from fusionpy.kernels.quantiles import sort_groups
from fusionpy.kernels.regression import Basis, Fit, find_basis, fit, sandwich
from fusionpy.model.variables import is_number

__all__ = ["Design", "formula_problem", "level_columns", "make_design"]

CONSTANT = "(Intercept)"


@dataclass
class Design:
    """A formula's response and columns, and the regressions in all groups.

    Attributes
    ----------
    formula : Formula
    cell : (n,) intp
    n_cells : int
    x : (n, p) float64
    y : (n,) float64
        NaN, as in `x`, where missing.
    names : list of str
        What the columns' coefficients are called, as R does.
    undefined : tuple of (str, int)
        Expressions that are not finite where their columns are, and in how many records.
    """

    formula: Formula
    cell: Cells
    n_cells: int
    x: Array
    y: Array
    names: list[str]
    undefined: tuple[tuple[str, int], ...] = ()
    _groups: list[tuple[NDArray[np.intp], Basis]] | None = None
    _fits: tuple[Array, list[Fit]] | None = field(default=None, repr=False)

    @property
    def validity(self) -> Array:
        """Zeros where a record has all values, NaN elsewhere."""
        return np.asarray(0 * self.y + (0 * self.x).sum(axis=1))

    def fits(self, w: Array) -> list[Fit]:
        """Regress in every group; the first weights decide which columns depend on others."""
        if self._groups is None:
            start, row = sort_groups(self.cell, self.n_cells, self.validity)
            rows = [row[start[c] : start[c + 1]] for c in range(self.n_cells)]
            self._groups = [(each, find_basis(self.x[each], np.maximum(w[each], 0))) for each in rows]
        before = self._fits  # threads share this: what is looked at must be what is returned
        if before is not None and before[0] is w:
            return before[1]
        family = self.formula.family
        found = [fit(basis, self.y[rows], w[rows], family) for rows, basis in self._groups]
        if before is None:  # the survey's own weights, which the variance asks for again
            self._fits = w, found
        return found

    def coefficients(self, w: Array) -> Array:
        """Coefficients by group: (k, p) float64, NaN of those that depend on others."""
        found = [each.coefficients for each in self.fits(w)]
        return np.stack(found) if found else np.empty((0, len(self.names)))

    def variances(self, w: Array) -> Array:
        """Estimate sampling variances by linearisation: (k, p) float64."""
        fits = self.fits(w)
        assert self._groups is not None
        found = [sandwich(basis, one, w[rows]) for one, (rows, basis) in zip(fits, self._groups, strict=True)]
        return np.stack(found) if found else np.empty((0, len(self.names)))

    def influences(self, w: Array, names: Sequence[str]) -> Array:
        """Tell how coefficients change with records' weights: (n, names) float64, 0 of those not here."""
        found = np.zeros((len(self.y), len(names)))
        place = [list(names).index(name) for name in self.names]
        fits = self.fits(w)
        assert self._groups is not None
        for one, (rows, basis) in zip(fits, self._groups, strict=True):
            mine = (basis.z * one.residuals[:, None]) @ one.back.T
            found[rows[:, None], place] = np.nan_to_num(mine)
        return found

    @property
    def ranks(self) -> Array:
        """Columns of every group that do not depend on others: (k,) float64."""
        return np.array([each.kept.sum() for _, each in self._groups or ()], dtype=np.float64)


def level_columns(formula: Formula, kinds: Mapping[str, pa.DataType]) -> list[str]:
    """Tell which columns are predictors by their levels.

    Parameters
    ----------
    formula : Formula
    kinds : mapping of str to pyarrow.DataType

    Returns
    -------
    list of str
    """
    return [
        name
        for name in formula.alone
        if name in kinds and (name in formula.of_levels or not is_number(kinds[name]))
    ]


def formula_problem(formula: Formula, columns: Mapping[str, pa.Array]) -> str | None:
    """Say why columns do not do for a formula, which has all that it names, if they do not.

    Parameters
    ----------
    formula : Formula
    columns : mapping
        Of an implicate.

    Returns
    -------
    str or None
    """
    few = {name: columns[name].slice(0, 0) for name in formula.variables}
    try:
        evaluate_expression(formula.response, few)
        for each in formula.factors:
            if not each.levels_of:
                evaluate_expression(each, few)
    except ValueError as error:
        return str(error)
    return None


def make_design(
    formula: Formula,
    columns: Mapping[str, pa.Array],
    levels: dict[str, Levels],
    cell: Cells,
    n_cells: int,
) -> Design:
    """Make a formula's columns, as R's `model.matrix` does with treatment contrasts.

    Parameters
    ----------
    formula : Formula
    columns : mapping
        Of an implicate.
    levels : dict of Levels
        Those met so far, by column; gets those that are met here.
    cell : (n,) intp
    n_cells : int

    Returns
    -------
    Design

    Raises
    ------
    SchemaError
        If the response is not what its family has.

    Notes
    -----
    The level of reference is the first that some record of the first implicate has, of logical columns False.
    Levels that no record has make no column. A factor of a term is coded by contrasts if an earlier term has
    the rest of the term, by all levels otherwise; without a constant, the first factor of levels by all.
    """
    response = evaluate_expression(formula.response, columns)
    _check_response(formula, response.values)
    undefined = {formula.response.label: response.n_undefined}
    coded: list[dict[str, Array]] = []  # by contrasts
    full: list[dict[str, Array]] = []
    is_of_levels = []
    for each in formula.factors:
        column = columns[each.levels_of] if each.levels_of else None
        if column is not None and (each.as_levels or not is_number(column.type)):
            less, every = _dummies(each, column, levels.setdefault(each.levels_of, Levels()))
        else:
            found = evaluate_expression(each, columns)
            undefined[each.label] = found.n_undefined
            less = every = {each.label: found.values}
            if found.is_logical:
                less = {f"{each.label}TRUE": found.values}
                every = {f"{each.label}FALSE": 1 - found.values, **less}
        coded.append(less)
        full.append(every)
        is_of_levels.append(less is not every)
    n = len(response.values)
    named: dict[str, Array] = {CONSTANT: np.ones(n)} if formula.has_constant else {}
    is_first = not formula.has_constant
    for place, term in enumerate(formula.terms):
        parts: list[dict[str, Array]] = []
        for factor in term:
            rest = set(term) - {factor}
            has_rest = not rest or any(rest <= set(before) for before in formula.terms[:place])
            by_all = not has_rest or (is_first and is_of_levels[factor])
            is_first = is_first and not is_of_levels[factor]
            parts.append(full[factor] if by_all else coded[factor])
        named |= _products(parts)
    x = np.column_stack(list(named.values())) if named else np.empty((n, 0))
    infinite = tuple((label, number) for label, number in undefined.items() if number)
    return Design(formula, cell, n_cells, x, response.values, list(named), infinite)


def _check_response(formula: Formula, y: Array) -> None:
    """Refuse responses that a family does not have."""
    most = {"binomial": 1.0, "poisson": np.inf}.get(formula.family)
    if most is not None and ((y < 0) | (y > most)).any():
        span = "between 0 and 1" if most == 1 else "0 or more"
        raise SchemaError(
            "`x` and `by` do not fit the data.",
            [f"`{formula.response.label}` must be {span}, as the family is {formula.family}."],
            "Ask for another family, or for a response such as `I(y > 0)`.",
        )


def _products(parts: list[dict[str, Array]]) -> dict[str, Array]:
    """Multiply each column of one factor by each of the next, the first's varying fastest."""
    found = parts[0]
    for more in parts[1:]:
        found = {
            f"{name}:{other}": values * others
            for other, others in more.items()
            for name, values in found.items()
        }
    return found


def _dummies(
    expression: Expression, column: pa.Array, levels: Levels
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Make a column for each level that some record has: without the level of reference, and with it."""
    codes = levels.codes(column)
    used = set(np.unique(codes[codes >= 0]).tolist())
    missing = np.where(codes < 0, np.nan, 0.0)
    reference = levels.reference
    every = {
        code: (f"{expression.label}{_level_name(levels.labels[code])}", (codes == code) + missing)
        for code in levels.order
        if code in used or code == reference
    }
    contrasts = dict(pair for code, pair in every.items() if code != reference)
    return contrasts, dict(pair for code, pair in every.items() if code in used)


def _level_name(label: object) -> str:
    """Write a level as R does."""
    if isinstance(label, bool):
        return "TRUE" if label else "FALSE"
    return f"{label:.15g}" if isinstance(label, float) else str(label)
