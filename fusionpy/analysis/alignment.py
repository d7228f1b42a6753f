"""Columns that implicates and static data both have: whether they are in the same order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.analysis.groups import column_values
from fusionpy.model.variables import is_number

__all__ = ["n_moved", "same_numbers"]

ENOUGH_VALUES = 20


def n_moved(a: pa.Array, b: pa.Array) -> int:
    """Count the rows in which two columns differ, if they have the same values in another order; otherwise 0.

    Few different values may be the same by chance, in a simulated column and the true one.
    """
    if a.equals(b):  # as a rule, and quickly
        return 0
    try:
        values = [_comparable(x, a.type, b.type) for x in (a, b)]
    except (pa.ArrowException, TypeError):  # nothing that can be compared
        return 0
    codes, different = pd.factorize(np.concatenate(values), use_na_sentinel=False)
    one, two = np.split(codes, 2)
    n_differ = int(np.count_nonzero(one != two))
    n_one, n_two = (np.bincount(part, minlength=len(different)) for part in (one, two))
    return n_differ if len(different) >= ENOUGH_VALUES and np.array_equal(n_one, n_two) else 0


def _comparable(array: pa.Array, one: pa.DataType, other: pa.DataType) -> NDArray[Any]:
    """Bring a column to a form in which values of both types are equal if they are the same."""
    if pa.types.is_integer(one) and pa.types.is_integer(other) and pa.uint64() not in (one, other):
        whole = array.cast(pa.int64()).fill_null(-(2**63)).to_numpy(zero_copy_only=False)
        return np.asarray(whole)
    is_whole = pa.types.is_integer(one) and pa.types.is_integer(other)
    return column_values(array) if is_number(one) and is_number(other) and not is_whole else _texts(array)


def _texts(array: pa.Array) -> NDArray[np.object_]:
    values = array.cast(pa.string()).fill_null("").to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=object)


def same_numbers(a: pa.Array, b: pa.Array) -> bool:
    """Tell whether two columns have the same numbers; those that have none are told of elsewhere."""
    if a.equals(b) or not (is_number(a.type) and is_number(b.type)):
        return True
    return np.array_equal(column_values(a), column_values(b), equal_nan=True)
