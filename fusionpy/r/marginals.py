"""What compare_with_r() estimates of either side's implicates, and how it sets them side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import FusionError, few
from fusionpy.frames.tables import to_floats
from fusionpy.kernels.classes import cut_classes
from fusionpy.model.variables import is_number

__all__ = ["Group", "Statistic", "estimate", "groups_of", "statistics_of", "tabulate"]

Array = NDArray[np.float64]
DECILES = np.arange(1, 10) / 10
N_CLASSES = 5  # into which a numeric `by` is cut


class Group(NamedTuple):
    """Some of the recipient's n records: the places `rows` (k,) intp, and what they are called."""

    by: str | None
    label: str | None
    rows: NDArray[np.intp]


class Statistic(NamedTuple):
    """What is estimated of one variable: a level's share, its mean, or a quantile."""

    y: str
    level: str | None
    name: str


def groups_of(recipients: pa.Table, by: Sequence[str]) -> Iterator[Group]:
    """List all records, then those of each level of each `by`."""
    yield Group(None, None, np.arange(recipients.num_rows))
    for name in by:
        column = recipients.column(name).combine_chunks()
        if is_number(column.type):
            values = to_floats(column)
            codes = cut_classes(values, N_CLASSES)
            parts = [values[codes == code] for code in range(codes.max(initial=-1) + 1)]
            labels = [
                f"{v.min():.6g}" if v.min() == v.max() else f"{v.min():.6g} to {v.max():.6g}" for v in parts
            ]
        else:
            labels = _levels(column)
            values = _codes(column, labels)
            codes = np.where(np.isnan(values), -1, values).astype(np.intp)
        for code, label in enumerate(labels):
            if (rows := np.flatnonzero(codes == code)).size:
                yield Group(name, label, rows)


def _levels(column: Any) -> list[str]:
    if pa.types.is_boolean(column.type):
        return ["False", "True"]
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(column.type):
        return [str(level) for level in column.dictionary.to_pylist()]
    return sorted({str(value) for value in pc.unique(column).drop_null().to_pylist()})


def _codes(column: Any, levels: Sequence[str]) -> Array:
    """Code a categorical column: (n,) float64, NaN where missing or not among the levels."""
    if pa.types.is_boolean(column.type):
        return to_floats(column.cast(pa.int8()))
    coded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    place = {level: float(code) for code, level in enumerate(levels)}
    lookup = np.array([*(place.get(str(v), np.nan) for v in coded.dictionary.to_pylist()), np.nan])
    return np.asarray(lookup[np.array(coded.indices.cast(pa.int64()).fill_null(len(lookup) - 1))])


def statistics_of(donors: pa.Table, outcomes: Sequence[str]) -> Iterator[Statistic]:
    """List what to estimate of every variable."""
    for name in outcomes:
        column = donors.column(name).combine_chunks()
        if not is_number(column.type):
            yield from (Statistic(name, level, "share") for level in _levels(column))
            continue
        yield Statistic(name, None, "mean")
        yield from (Statistic(name, None, f"q{round(100 * share)}") for share in DECILES)
        if (to_floats(column) == 0).any():
            yield Statistic(name, None, "zero")


def estimate(
    fused: pa.Table, statistics: Sequence[Statistic], groups: Sequence[Group], n: int, M: int
) -> Array:
    """Estimate every statistic in every implicate: (M, groups, statistics) float64."""
    out = np.full((M, len(groups), len(statistics)), np.nan)
    missing = [each.y for each in statistics if each.y not in fused.column_names]
    if fused.num_rows != n * M or missing:
        problem = f"It has {fused.num_rows:,} rows and the columns {few(fused.column_names, '`')}."
        raise FusionError("What R's fuse() returned is not as it should be.", [problem])
    for name in dict.fromkeys(each.y for each in statistics):
        of_y = [(s, each) for s, each in enumerate(statistics) if each.y == name]
        column = fused.column(name).combine_chunks()
        levels = [each.level for _, each in of_y if each.level is not None]
        values = (_codes(column, levels) if levels else to_floats(column)).reshape(M, n)
        for g, group in enumerate(groups):
            part = values[:, group.rows]
            if levels:
                found = [(part == code).mean(axis=1) for code in range(len(levels))]
            else:
                found = [part.mean(axis=1), *np.quantile(part, DECILES, axis=1), (part == 0).mean(axis=1)]
            for (s, _), values_of in zip(of_y, found, strict=False):
                out[:, g, s] = values_of
    return out


def tabulate(
    mine: Array, theirs: Array, statistics: Sequence[Statistic], groups: Sequence[Group]
) -> pd.DataFrame:
    """Lay out (repeats, M, groups, statistics) estimates of either side, with their difference."""
    squared = np.zeros(mine.shape[2:])
    for side in (mine, theirs):
        drawn = side[0] if len(side) == 1 else side.mean(axis=1)
        squared += drawn.var(axis=0, ddof=1) / len(drawn)
    python, r = (side.mean(axis=(0, 1)) for side in (mine, theirs))
    difference, se = python - r, np.sqrt(squared)
    # Rounding errors of averages that are the same in every implicate are no difference.
    difference[np.abs(difference) <= 1e-12 * np.maximum(np.abs(python), np.abs(r))] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(difference == 0, 0.0, difference / se)
    rows = [
        {
            "by": group.by,
            "group": group.label,
            "n": len(group.rows),
            "y": each.y,
            "level": each.level,
            "statistic": each.name,
            "python": python[g, s],
            "r": r[g, s],
            "difference": difference[g, s],
            "se": se[g, s],
            "z": z[g, s],
        }
        for g, group in enumerate(groups)
        for s, each in enumerate(statistics)
    ]
    return pd.DataFrame(rows)
