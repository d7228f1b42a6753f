"""R's column types, as fst files number them, and Arrow's.

Section 3 of the format's description. An Arrow field whose type alone does not tell which R type it came
from, or should become, says so in its metadata: ``fst`` is one of `KINDS`, ``fst.tzone`` tells of a time
zone that R does not name ("absent", or "" if it is there but empty).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.formats import Damaged
from fusionpy.frames.level_notes import is_plain_level

__all__ = [
    "KINDS",
    "KIND_KEY",
    "Kind",
    "field_of",
    "from_arrow",
    "kind_of",
    "kind_of_field",
    "to_arrow",
    "zone_of_field",
]

KIND_KEY, ZONE_KEY = b"fst", b"fst.tzone"
INT_NA, LONG_NA = np.int32(-(2**31)), np.int64(-(2**63))
DOUBLE_NA = np.uint64(0x7FF00000000007A2)
DOUBLE_NA_LOW = 1954
MICRO, DAY = 1_000_000, 86_400
SECONDS = {4: 1, 5: 60, 6: 3600, 7: DAY}  # of difftime's units
UNITS = {4: "secs", 5: "mins", 6: "hours", 7: "days"}


@dataclass(frozen=True)
class Kind:
    """One of R's types: its numbers in the file, the stored element, and what Arrow calls it.

    `arrow` is None for what also depends on the column: factors and times with a zone.
    """

    name: str
    attribute: int
    storage: int
    arrow: pa.DataType | None
    scale: int = 0

    @property
    def base(self) -> int:
        """The base type, which says the same as the storage type."""
        return self.storage - 4

    @property
    def element(self) -> np.dtype[Any]:
        """Stored numbers; of factors and logical values, too."""
        return np.dtype({9: "<f8", 11: "<i8", 12: "u1"}.get(self.storage, "<i4"))

    @property
    def has_zone(self) -> bool:
        """Whether its annotation is a time zone."""
        return self.attribute in (6, 12)


_EACH = [
    Kind("character", 2, 6, pa.string()),
    Kind("factor", 3, 7, None),
    Kind("ordered", 4, 7, None),
    Kind("integer", 5, 8, pa.int32()),
    Kind("integer POSIXct", 6, 8, None),
    *(Kind(f"integer difftime {unit}", 7, 8, pa.duration("s"), scale) for scale, unit in UNITS.items()),
    Kind("IDate", 8, 8, pa.date32()),
    Kind("integer ITime", 9, 8, pa.time32("s"), 4),
    Kind("double", 10, 9, pa.float64()),
    Kind("Date", 11, 9, pa.date32()),
    Kind("POSIXct", 12, 9, None),
    *(Kind(f"difftime {unit}", 13, 9, pa.duration("us"), scale) for scale, unit in UNITS.items()),
    Kind("ITime", 14, 9, pa.time64("us"), 4),
    Kind("logical", 15, 10, pa.bool_()),
    Kind("integer64", 16, 11, pa.int64()),
    Kind("nanotime", 17, 11, pa.timestamp("ns", "UTC"), 1),
    Kind("raw", 18, 12, pa.uint8()),
]
KINDS = {kind.name: kind for kind in _EACH}
_BY_NUMBERS = {(kind.storage, kind.attribute, kind.scale): kind for kind in _EACH}
_SCALED = {kind.attribute for kind in _EACH if kind.scale}
# What a column is if its attribute is none of those that go with its storage type.
_PLAIN = {6: "character", 7: "factor", 8: "integer", 9: "double", 10: "logical", 11: "integer64", 12: "raw"}


def kind_of(storage: int, attribute: int, scale: int) -> Kind:
    """Find what a file's numbers stand for.

    Raises
    ------
    Damaged
        If they stand for nothing.

    Examples
    --------
    >>> kind_of(9, 13, 5).name
    'difftime mins'
    """
    if storage not in _PLAIN:
        raise Damaged(f"a column has storage type {storage}, which is not known")
    kind = _BY_NUMBERS.get((storage, attribute, scale if attribute in _SCALED else 0))
    if kind is None and attribute in _SCALED:
        raise Damaged(f"a column of times has unit {scale}, which is not known")
    return kind or KINDS[_PLAIN[storage]]


def field_of(name: str, kind: Kind, zone: str | None) -> pa.Field:
    """Make the Arrow field of a column that is read."""
    told = {}
    kind_type = kind.arrow
    if kind.storage == 7:
        kind_type = pa.dictionary(pa.int32(), pa.string(), ordered=kind.name == "ordered")
    elif kind.has_zone:
        # Without a zone R shows local time, but what is stored is always counted in UTC.
        kind_type = pa.timestamp("s" if kind.storage == 8 else "us", zone or "UTC")
        if not zone:
            told[ZONE_KEY] = "absent" if zone is None else ""
    plain = pa.field(name, kind_type)
    if kind_of_field(plain) != kind:
        told[KIND_KEY] = kind.name
    return plain.with_metadata(told) if told else plain


def kind_of_field(field: pa.Field) -> Kind | None:
    """Find the R type that an Arrow field becomes in a file; None if there is none.

    Examples
    --------
    >>> kind_of_field(pa.field("a", pa.int16())).name, kind_of_field(pa.field("a", pa.list_(pa.int8())))
    ('integer', None)
    """
    kind = field.type
    asked = KINDS.get((field.metadata or {}).get(KIND_KEY, b"").decode(errors="replace"))
    if asked is not None and _same_family(kind, asked):
        return asked
    is_ = pa.types
    if is_.is_dictionary(kind):
        levels = kind.value_type
        can_be_text = _is_text(levels) or is_plain_level(levels) or is_.is_null(levels)
        return KINDS["ordered" if kind.ordered else "factor"] if can_be_text else None
    for found, name in (
        (_is_text(kind), "character"),
        (is_.is_boolean(kind) or is_.is_null(kind), "logical"),
        (is_.is_integer(kind), "integer" if _fits_integer(kind) else "integer64"),
        (is_.is_floating(kind), "double"),
        (is_.is_date(kind), "Date"),
        (is_.is_timestamp(kind), "POSIXct"),
        (is_.is_duration(kind), "difftime secs"),
        (is_.is_time(kind), "integer ITime" if kind == pa.time32("s") else "ITime"),
    ):
        if found:
            return KINDS[name]
    return None


def _same_family(given: pa.DataType, asked: Kind) -> bool:
    if asked.has_zone:
        return bool(pa.types.is_timestamp(given))
    if asked.storage == 7:
        return False
    return bool(asked.arrow == given) or (asked.name == "nanotime" and bool(pa.types.is_timestamp(given)))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _fits_integer(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind)) and (kind.bit_width < 32 or bool(kind == pa.int32()))


def zone_of_field(field: pa.Field) -> str | None:
    """Find the time zone to write: of a time without one, which Arrow means as it stands, UTC."""
    told = (field.metadata or {}).get(ZONE_KEY)
    if told is not None and field.type.tz == "UTC":
        return None if told == b"absent" else ""
    return field.type.tz or "UTC"


def to_arrow(kind: Kind, values: NDArray[Any], arrow: pa.DataType) -> pa.Array:
    """Turn stored numbers into an Arrow array.

    Parameters
    ----------
    kind : Kind
        Any but text and factors.
    values : (n,) array of ``kind.element``
    arrow : pyarrow.DataType

    Returns
    -------
    pyarrow.Array
        R's NA is null; a double's NaN is not. Dates and times that are not finite, or beyond what Arrow can
        hold, are null.

    Examples
    --------
    >>> to_arrow(KINDS["difftime mins"], np.array([1.5]), pa.duration("us")).to_pylist()
    [datetime.timedelta(seconds=90)]
    """
    missing = _missing(kind, values)
    unit = SECONDS[kind.scale] if "difftime" in kind.name else 1
    if kind.storage == 10:
        return _array(arrow, np.packbits(values != 0, bitorder="little"), len(values), missing)
    if kind.storage == 9 and kind.name != "double":
        scale, most = (1, 2**31) if kind.name == "Date" else (unit * MICRO, 2**63)
        if kind.name == "ITime":
            most = DAY * MICRO
        usable = np.abs(values) < most / scale
        usable &= values >= 0 if kind.name == "ITime" else True
        whole = np.floor(np.where(usable, values, 0.0))
        count = whole.astype(np.int64) * scale
        if kind.name != "Date":
            # The part behind the point alone, as a large number would hide its last digits.
            count += np.rint((np.where(usable, values, 0.0) - whole) * scale).astype(np.int64)
        usable &= count < most  # rounded up
        values, missing = count, ~usable
    elif kind.name == "integer ITime":
        missing |= (values < 0) | (values >= DAY)
    elif kind.storage == 8 and arrow.bit_width == 64:
        values = values.astype(np.int64) * unit
    width = {32: np.int32, 64: np.int64}.get(arrow.bit_width)
    if width is not None and kind.name != "double":
        values = values.astype(width, copy=False)
    return _array(arrow, np.ascontiguousarray(values), len(values), missing)


def _missing(kind: Kind, values: NDArray[Any]) -> NDArray[np.bool_]:
    if kind.storage == 12:
        return np.zeros(len(values), dtype=np.bool_)
    if kind.storage != 9:
        return np.asarray(values == (LONG_NA if kind.storage == 11 else INT_NA))
    missing: NDArray[np.bool_] = np.isnan(values)
    if missing.any():
        missing &= np.ascontiguousarray(values).view("<u4")[::2] == DOUBLE_NA_LOW
    return missing


def _array(arrow: pa.DataType, values: NDArray[Any], n: int, missing: NDArray[np.bool_]) -> pa.Array:
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    return pa.Array.from_buffers(arrow, n, [valid, pa.py_buffer(values)])


def from_arrow(kind: Kind, array: pa.Array) -> NDArray[Any]:
    """Turn an Arrow array into the numbers to store: `to_arrow` reversed, from any type that fits.

    Parameters
    ----------
    kind : Kind
        Any but text and factors.
    array : pyarrow.Array

    Returns
    -------
    (n,) array of ``kind.element``

    Raises
    ------
    ValueError
        Saying what a column of this kind cannot hold.

    Examples
    --------
    >>> from_arrow(KINDS["integer"], pa.array([1, None], pa.int8()))
    array([          1, -2147483648], dtype=int32)
    """
    missing = pc.is_null(array).to_numpy(zero_copy_only=False)
    if kind.storage == 12 and missing.any():
        raise ValueError("missing values, which R's raw vectors do not have")
    if kind.storage == 9:
        values = _doubles(kind, array)
        # A NaN is not to be taken for NA because of its other bits.
        values[np.isnan(values)] = np.nan
        values[missing] = DOUBLE_NA.view(np.float64)
        return values
    lowest = LONG_NA if kind.storage == 11 else INT_NA
    try:
        counts = _integers(kind, array)
    except pa.ArrowInvalid:
        raise ValueError("numbers that are too large") from None
    if kind.storage != 12 and (counts[~missing] <= lowest).any():
        raise ValueError(f"{lowest}, which is NA to R")
    if kind.storage != 11 and (counts[~missing] >= 2**31).any():
        raise ValueError("numbers that are too large")
    counts[missing] = 0 if kind.storage == 12 else lowest
    return counts.astype(kind.element)


def _integers(kind: Kind, array: pa.Array) -> NDArray[np.int64]:
    if pa.types.is_null(array.type) or pa.types.is_boolean(array.type):
        array = array.cast(pa.bool_()).fill_null(False).cast(pa.int8())
    elif pa.types.is_temporal(array.type):
        plain = pa.timestamp("ns" if kind.name == "nanotime" else "s", getattr(array.type, "tz", None))
        array = array.cast(plain if pa.types.is_timestamp(array.type) else kind.arrow)
        array = array.cast(pa.int32() if array.type.bit_width == 32 else pa.int64())
    counts = np.array(array.cast(pa.int64()).fill_null(0), dtype=np.int64)
    unit = SECONDS[kind.scale] if "difftime" in kind.name else 1
    if (counts % unit).any():
        raise ValueError(f"times that are not whole {UNITS[kind.scale]}")
    return counts // unit


def _doubles(kind: Kind, array: pa.Array) -> NDArray[np.float64]:
    if not pa.types.is_temporal(array.type):
        return np.array(array.cast(pa.float64()).fill_null(0.0), dtype=np.float64)
    if kind.name == "Date":
        array = array.cast(pa.date32()).cast(pa.int32())
        return np.array(array.fill_null(0), dtype=np.float64)
    per_second = {"s": 1, "ms": 1000, "us": MICRO, "ns": 1000 * MICRO}[array.type.unit]
    width = pa.int32() if array.type.bit_width == 32 else pa.int64()
    counts = np.array(array.cast(width).fill_null(0), dtype=np.int64)
    per_unit = per_second * (SECONDS[kind.scale] if "difftime" in kind.name else 1)
    return np.asarray(counts // per_unit + (counts % per_unit) / per_unit, dtype=np.float64)
