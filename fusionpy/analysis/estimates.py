"""Estimate what is asked for in one implicate: values by group, and their sampling variances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.analysis.designs import make_design
from fusionpy.analysis.estimand import Estimand
from fusionpy.analysis.groups import Array, Levels, column_values
from fusionpy.analysis.measured import Measured, Replicates
from fusionpy.analysis.noise import has_noise, noise_between
from fusionpy.analysis.statistics import STATISTICS, estimate_variance, evaluate, has_levels, statistic_of
from fusionpy.analysis.variances import Terms
from fusionpy.frames.returned import return_table
from fusionpy.kernels.estimates import (
    Moments,
    Shares,
)
from fusionpy.kernels.rubin import Combining

__all__ = ["Answer", "answer", "can_group", "count_infinite", "measure"]


class Answer(NamedTuple):
    """One implicate's answer to one estimand, for k groups and L levels.

    Attributes
    ----------
    n, n_eff : (k,) float64
    estimate, variance : (k, L) float64
        NaN where not defined.
    replicate : (k, L) float64
        The estimate with this implicate's replicate weight; of no use without.
    absent : (group, level) of float
        What is to be taken for groups and levels that other implicates have, and this one does not.
    infinite : tuple of (str, int)
        As of `Measured`.
    spent : (k,) float64, or float
        Degrees of freedom that estimates take: as many as a regression has coefficients, else 1.
    noise : (k, L) float64, optional
        Part of the variance that each record's own draw makes, by comparison with the implicate before.
    """

    n: Array
    n_eff: Array
    estimate: Array
    variance: Array
    replicate: Array
    absent: tuple[float, float]
    infinite: tuple[tuple[str, int], ...] = ()
    spent: Array | float = 1.0
    noise: Array | None = None


def can_group(kind: pa.DataType) -> bool:
    """Tell whether records can be put into groups by the values of an Arrow type.

    Examples
    --------
    >>> can_group(pa.dictionary("int8", "string")), can_group(pa.list_(pa.int8()))
    (True, False)
    """
    is_ = pa.types
    if is_.is_nested(kind) or is_.is_interval(kind) or isinstance(kind, pa.BaseExtensionType):
        return False
    return not is_.is_float16(kind)


def count_infinite(array: pa.Array) -> int:
    """Count infinite values of a numeric column, which `column_values` takes for missing."""
    return int(pc.sum(pc.is_inf(array)).as_py() or 0) if pa.types.is_floating(array.type) else 0


def answer(
    data: Measured,
    w: Array,
    rule: Combining,
    replicates: Replicates | None,
    implicate: int,
    seed: int,
    before: Measured | None = None,
) -> Answer:
    """Estimate in one implicate, with the sampling variance that a way of pooling wants.

    Parameters
    ----------
    data : Measured
    w : (n,) float64
    rule : str
        "rubin" and "fusionacs" take the reference's variances, "barnard-rubin" ours.
    replicates : Replicates or None
    implicate : int
        From 0.
    seed : int
        For what has to be drawn: the variance of a user's function, or of a median as the reference has it.
    before : Measured, optional
        The same of the implicate before, with the same weights, if noise is to be told apart.

    Returns
    -------
    Answer
    """
    estimate = evaluate(data, w)
    basis: Moments | Shares
    basis = data.shares(w) if data.levels is not None else data.moments(w, _validity(data))
    replicate = np.full_like(estimate, np.nan)
    if replicates is not None and rule == "rubin":
        replicate = evaluate(data, replicates.weights[:, implicate % len(replicates)])[:, : estimate.shape[1]]
    if replicates is not None and rule != "rubin":
        variance = _replicate_variance(data, estimate, replicates)
    else:
        variance = estimate_variance(data, w, estimate, Terms(rule, implicate, seed))
    of_nothing = statistic_of(data).of_nothing
    absent = of_nothing, 0.0 if data.levels is not None else np.nan
    variance = np.where(basis.n[:, None] > 0, variance, of_nothing)
    spent = data.design.ranks if data.design is not None else 1.0
    noise = None
    if before is not None and has_noise(data):
        of_values = variance if replicates is None else None
        noise = noise_between((before, evaluate(before, w)), (data, estimate), w, of_values)
    return Answer(basis.n, basis.n_eff, estimate, variance, replicate, absent, data.infinite, spent, noise)


def _validity(data: Measured) -> Array:
    """Zeros where a record counts, NaN where it lacks a value."""
    if statistic_of(data).of == "records":
        return np.zeros(len(data.cell))
    if data.design is not None:
        return data.design.validity
    return np.asarray(data.x if data.other is None else 0 * data.x + 0 * data.other)


def _replicate_variance(data: Measured, estimate: Array, replicates: Replicates) -> Array:
    """Scaled sum of squared differences; a replicate without a value for a group is left out of it."""
    total, number = np.zeros_like(estimate), np.zeros_like(estimate)
    # The user's function may have a state. What threads share, as the order of values, the estimate has made.
    cores = 1 if statistic_of(data).of == "records" else replicates.cores
    with ThreadPoolExecutor(cores) as pool:
        for found in pool.map(lambda r: evaluate(data, replicates.weights[:, r]), range(len(replicates))):
            difference = found[:, : estimate.shape[1]] - estimate
            total += np.nan_to_num(difference) ** 2
            number += ~np.isnan(difference)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(replicates.scale * len(replicates) * total / number)


def measure(
    estimand: Estimand,
    columns: Mapping[str, pa.Array],
    cell: NDArray[np.intp],
    n_cells: int,
    levels: dict[str, Levels],
    kind: str,
    before: Sequence[Measured],
) -> Measured:
    """Take from an implicate what an estimand needs.

    Parameters
    ----------
    estimand : Estimand
    columns : mapping
        Of the implicate.
    cell : (n,) intp
        Group of each record.
    n_cells : int
    levels : dict of Levels
        Those met so far, by column; gets those that are met here.
    kind : str
        Of frame that a function of the user's takes.
    before : sequence of Measured
        Of the implicate before.

    Returns
    -------
    Measured
    """
    if STATISTICS[estimand.how].of == "records":
        table = pa.table(dict(columns))
        names = next((data.names for data in before if data.estimand == estimand), [])

        def frame(rows: NDArray[np.intp]) -> Any:
            return return_table(table.take(pa.array(rows)), kind, {})

        return Measured(estimand, cell, n_cells, None, frame=frame, names=names)
    if estimand.formula is not None:
        design = make_design(estimand.formula, columns, levels, cell, n_cells)
        names = next((data.names for data in before if data.estimand == estimand), [])
        names += [name for name in design.names if name not in names]
        infinite = tuple((name, n) for name in estimand.variables if (n := count_infinite(columns[name])))
        infinite += design.undefined
        return Measured(estimand, cell, n_cells, None, names=names, infinite=infinite, design=design)
    column = columns[estimand.y]
    if not has_levels(estimand, column.type):
        other = column_values(columns[estimand.other]) if estimand.other else None
        infinite = tuple((name, n) for name in estimand.variables if (n := count_infinite(columns[name])))
        return Measured(estimand, cell, n_cells, column_values(column), other=other, infinite=infinite)
    known = levels.setdefault(estimand.y, Levels())
    return Measured(estimand, cell, n_cells, known.codes(column), known)
