"""From a donor survey to the numbers that the LASSO models take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import Problems, SchemaError, counted, few, warn
from fusionpy.frames.tables import Table, Unreadable
from fusionpy.kernels.uniforms import FILL, SAMPLE, uniforms
from fusionpy.model.schema import Schema, positive_weights, weight_column

__all__ = ["Donors", "read_donors"]

Array = NDArray[np.float64]

FEWEST_DONORS = 50
UNFIT, RECODE = "`data` cannot be screened.", "Mend these columns, or leave them out."


@dataclass(frozen=True, eq=False)
class Donors:
    """The donors that are used, and the variables that vary among them.

    Attributes
    ----------
    schema : Schema
    matrix : (n, p) float64
        Values and level codes, in the order of ``schema.names``; nothing is missing.
    weight : (n,) float64
        Positive.
    x, y : tuple of str
        Those that vary.
    notes : tuple of str
    """

    schema: Schema
    matrix: Array
    weight: Array
    x: tuple[str, ...]
    y: tuple[str, ...]
    notes: tuple[str, ...]


def read_donors(
    table: Table, x: Sequence[str], y: Sequence[str], weight: str | None, fraction: float, seed: int
) -> Donors:
    """Read, sample and complete the donors.

    Parameters
    ----------
    table : Table
    x, y : sequence of str
        Predictors and fusion variables.
    weight : str or None
    fraction : float
        Share of the donors to use, in (0, 1].
    seed : int

    Returns
    -------
    Donors

    Raises
    ------
    SchemaError
        Naming every column that cannot be used, and why.

    Warns
    -----
    FusionWarning
        For fusion variables that do not vary, text columns and negative weights.

    Notes
    -----
    Missing numbers become the median, missing categories random draws from the others. Reference, section 4,
    part 1.
    """
    if table.n_rows < FEWEST_DONORS:
        problem = f"It has {counted(table.n_rows, 'row')}; at least {FEWEST_DONORS} donors are needed."
        raise SchemaError(UNFIT, [problem], "Pass the whole donor survey.")
    problems = Problems(SchemaError, UNFIT, RECODE)
    weights = _weights(table, weight, problems)
    rows = _sample(weights, fraction, seed)
    part = table if len(rows) == table.n_rows else replace(table, frame=table.frame[rows], n_rows=len(rows))
    # What never varies is left out before the schema is learned.
    flat = [name for name in (*x, *y) if _is_flat(part, name, name in x)]
    kept_x, kept_y = ([name for name in names if name not in flat] for names in (x, y))
    if not kept_x:
        problems.add("No predictor varies.")
    if not kept_y:
        problems.add("No fusion variable varies.")
    schema = Schema.learn(table, kept_x, kept_y, problems)
    if len(rows) < FEWEST_DONORS:
        needed = f"at least {FEWEST_DONORS} are needed"
        raise SchemaError(UNFIT, [f"{counted(len(rows), 'donor')} of positive weight; {needed}."])
    matrix = schema.encode(part, schema.names)
    notes = [*_tell_flat([name for name in flat if name in x], [name for name in flat if name in y])]
    if filled := _fill(schema, matrix, seed):
        notes.append(f"Missing values were filled in {few(filled, '`')}.")
    return Donors(schema, matrix, weights[rows], tuple(kept_x), tuple(kept_y), tuple(notes))


def _tell_flat(x: Sequence[str], y: Sequence[str]) -> list[str]:
    """Say which columns are left out as they do not vary."""
    if y:
        message = f"Fusion variables with one value only are left out: {few(y, '`')}."
        warn(message)
    roles = (("predictors", x), ("fusion variables", y))
    return [
        f"Left out, as they have one value only: {role} {few(names, '`')}." for role, names in roles if names
    ]


def _weights(table: Table, weight: str | None, problems: Problems) -> Array:
    """Read survey weights; what is wrong with them is noted."""
    if weight is None:
        return np.ones(table.n_rows)
    values = positive_weights(weight_column(table, weight), weight)
    if isinstance(values, str):
        problems.add(f"weight `{weight}`: {values}.")
        return np.ones(table.n_rows)
    return values


def _sample(weights: Array, fraction: float, seed: int) -> NDArray[np.intp]:
    """Choose donors of positive weight, each with the same chance; their rows rise."""
    rows = np.flatnonzero(weights > 0)
    n = max(min(FEWEST_DONORS, len(rows)), round(fraction * len(rows)))
    if n >= len(rows):
        return rows
    u = uniforms(seed, SAMPLE, len(weights))[0, rows]
    return np.sort(rows[np.argsort(u, kind="stable")[:n]])


def _is_flat(table: Table, name: str, is_predictor: bool) -> bool:
    """Tell whether a column has one value only; a predictor's missing values are no value."""
    if name not in table.names:
        return False
    try:
        array = table.column(name)
        n_missing = array.null_count
        seen = pc.unique(array.indices if pa.types.is_dictionary(array.type) else array).drop_null()
    except (Unreadable, pa.ArrowNotImplementedError):  # the schema will say what is wrong with it
        return False
    if pa.types.is_floating(seen.type):
        n_missing += int(pc.sum(pc.is_nan(array)).as_py() or 0)
        seen = seen.filter(pc.invert(pc.is_nan(seen)))
    if is_predictor:
        return len(seen) <= 1
    return len(seen) == 1 and n_missing == 0


def _fill(schema: Schema, matrix: Array, seed: int) -> list[str]:
    """Complete the predictors in place; tell which had holes."""
    filled = []
    for j, variable in enumerate(schema.x):
        column = matrix[:, j]
        holes = np.isnan(column)
        if not holes.any():
            continue
        filled.append(variable.name)
        known = column[~holes]
        if variable.is_categorical:
            u = uniforms(seed, FILL, len(column), step=j)[0, holes]
            column[holes] = known[(u * len(known)).astype(np.intp)]
        else:
            column[holes] = np.median(known)
    return filled
