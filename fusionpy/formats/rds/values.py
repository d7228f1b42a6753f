"""R's vectors, lists and calls as plain values, and ways to make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NA_INTEGER",
    "NA_REAL",
    "RKind",
    "RValue",
    "as_r_text",
    "call",
    "character",
    "data_frame",
    "double",
    "factor",
    "integer",
    "is_na",
    "logical",
    "matrix",
    "r_list",
]

RKind = Literal[
    "logical", "integer", "double", "complex", "character", "raw", "list", "pairlist", "call", "symbol"
]
NA_INTEGER = -(2**31)  # R's NA of integers and logicals
_NA_BITS = 0x7FF00000000007A2  # a NaN whose lower word is 1954
NA_REAL = np.array([_NA_BITS], dtype=np.uint64).view(np.float64)
_LOWER = np.uint64(2**32 - 1)


@dataclass(frozen=True, eq=False)
class RValue:
    """One R object; NULL is None.

    Attributes
    ----------
    kind : str
        "logical" and "integer" hold (n,) int32, with `NA_INTEGER` for NA; "double" (n,) float64, whose NA is
        a NaN of its own (`is_na`); "complex" (n,) complex128; "raw" (n,) uint8; "character" a tuple of str,
        or None for NA; "list", "pairlist" and "call" a tuple of values, a call's function first; "symbol" its
        name.
    values : array or tuple
    attributes : dict of str to RValue
        In R's order. The names of a pairlist's or call's elements are there as well.
    """

    kind: RKind
    values: NDArray[Any] | tuple[Any, ...]
    attributes: Mapping[str, RValue | None] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def names(self) -> tuple[str | None, ...] | None:
        """Names of the elements, if they have any."""
        return self._texts("names")

    @property
    def classes(self) -> tuple[str | None, ...]:
        """Its S3 classes."""
        return self._texts("class") or ()

    @property
    def dim(self) -> tuple[int, ...]:
        """Lengths of a matrix's sides; of a vector none."""
        found = self.attributes.get("dim")
        return tuple(found.values.tolist()) if isinstance(found, RValue) and found.kind == "integer" else ()  # type: ignore[union-attr]

    def _texts(self, attribute: str) -> tuple[str | None, ...] | None:
        found = self.attributes.get(attribute)
        return tuple(found.values) if isinstance(found, RValue) and found.kind == "character" else None

    def entries(self) -> dict[str, RValue | None]:
        """Elements of a list by name; of several of the same name the first, as R has it."""
        found: dict[str, RValue | None] = {}
        for name, value in zip(self.names or (), self.values, strict=False):
            found.setdefault(name or "", value)
        return found


def is_na(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell R's NA from numbers and from NaN.

    Examples
    --------
    >>> is_na(np.array([1.0, NA_REAL[0], np.nan])).tolist()
    [False, True, False]
    """
    lower = np.ascontiguousarray(values).view(np.uint64) & _LOWER
    return np.asarray(np.isnan(values) & (lower == 1954))


def _with_names(kind: RKind, values: Any, names: Iterable[str] | None) -> RValue:
    return RValue(kind, values, {} if names is None else {"names": character(names)})


def logical(values: Iterable[bool | None]) -> RValue:
    """Make a logical vector; None is NA."""
    return RValue("logical", np.array([NA_INTEGER if v is None else int(v) for v in values], dtype=np.int32))


def integer(values: Any, names: Iterable[str] | None = None) -> RValue:
    """Make an integer vector; `NA_INTEGER` is NA."""
    return _with_names("integer", np.asarray(values, dtype=np.int32).ravel(), names)


def double(values: Any, names: Iterable[str] | None = None) -> RValue:
    """Make a numeric vector; every NaN becomes NA."""
    found = np.array(values, dtype=np.float64).ravel()
    bits = found.view(np.uint64)  # copied as bits: arithmetic may turn NA into another NaN
    bits[np.isnan(found)] = _NA_BITS
    return _with_names("double", found, names)


def character(values: Iterable[str | None], names: Iterable[str] | None = None) -> RValue:
    """Make a character vector; None is NA."""
    return _with_names("character", tuple(values), names)


def r_list(values: Iterable[RValue | None] | Mapping[str, RValue | None]) -> RValue:
    """Make a list, with names if it is made of a dict."""
    if isinstance(values, Mapping):
        return _with_names("list", tuple(values.values()), values)
    return RValue("list", tuple(values))


def matrix(values: NDArray[Any], columns: Sequence[str] | None = None, rows: bool = False) -> RValue:
    """Make a matrix of integers, or of numbers.

    Parameters
    ----------
    values : (n, p) int32 or float64
    columns : sequence of str, optional
        Names of the columns.
    rows : bool
        Rows are named "1", "2" and so on.

    Returns
    -------
    RValue
    """
    make = integer if values.dtype == np.int32 else double
    attributes: dict[str, RValue | None] = {"dim": integer(values.shape)}
    if columns is not None:
        row_names = character(str(i) for i in range(1, len(values) + 1)) if rows else None
        attributes["dimnames"] = r_list([row_names, character(columns)])
    return RValue(
        "integer" if make is integer else "double", make(values.ravel(order="F")).values, attributes
    )


def factor(values: Sequence[str]) -> RValue:
    """Make an unordered factor, its levels in order of appearance."""
    levels = list(dict.fromkeys(values))
    attributes = {"levels": character(levels), "class": character(["factor"])}
    return RValue("integer", integer([levels.index(value) + 1 for value in values]).values, attributes)


def data_frame(columns: Mapping[str, RValue], n_rows: int) -> RValue:
    """Make a data frame whose rows have no names."""
    attributes = {
        "names": character(columns),
        "row.names": integer([NA_INTEGER, -n_rows]),
        "class": character(["data.frame"]),
    }
    return RValue("list", tuple(columns.values()), attributes)


def call(function: str) -> RValue:
    """Make a call without arguments."""
    return RValue("call", (RValue("symbol", (function,)),))


def as_r_text(value: float) -> str:
    """Write a number as R's `as.character` does: up to 15 digits, fixed unless that is longer.

    Examples
    --------
    >>> [as_r_text(value) for value in (2.0, 0.1 + 0.2, 1e5, 123456.0, 1 / 3, 1e-5)]
    ['2', '0.3', '1e+05', '123456', '0.333333333333333', '1e-05']
    """
    if value != value or value in (float("inf"), float("-inf")):
        return "NaN" if value != value else "Inf" if value > 0 else "-Inf"
    if value == 0:
        return "0"
    shortest = f"{value:.14e}"
    digits, _, exponent = shortest.partition("e")
    digits = digits.rstrip("0").rstrip(".")
    scientific = f"{digits}e{exponent}"
    decimals = max(len(digits.lstrip("-").replace(".", "")) - 1 - int(exponent), 0)
    fixed = f"{value:.{decimals}f}"
    return fixed if len(fixed) <= len(scientific) else scientific
