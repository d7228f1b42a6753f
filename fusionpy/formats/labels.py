"""The column `M` of stored implicates: where each begins and ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["NoLabels", "Run", "runs_of"]

Run = tuple[Any, int]  # a value of M, and how many rows have it in succession


class NoLabels(Exception):  # noqa: N818  (told to the user as a problem of the file)
    """A column M that does not number implicates."""


def runs_of(column: pa.Array) -> list[Run]:
    """Tell the runs of equal values.

    Raises
    ------
    NoLabels
        If it holds anything but whole numbers.

    Examples
    --------
    >>> runs_of(pa.array([1, 1, 2]))
    [(1, 2), (2, 1)]
    """
    if column.null_count or not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise NoLabels
    if not len(column):
        return []
    encoded = pc.run_end_encode(column)
    values = encoded.values.to_pylist()
    if any(value % 1 != 0 for value in values):  # NaN and infinite ones, too
        raise NoLabels
    ends = np.asarray(encoded.run_ends.to_numpy(zero_copy_only=False))
    return list(zip(values, np.diff(ends, prepend=0).tolist(), strict=True))
