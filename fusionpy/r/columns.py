"""R's columns in Arrow's form, and back, through the memory of R's vectors."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.formats.fst.columns import levels_array
from fusionpy.formats.r_types import KINDS, Kind, field_of, from_arrow, kind_of_field, to_arrow, zone_of_field
from fusionpy.frames.tables import Unreadable, is_text
from fusionpy.r.session import helper, rinterface

__all__ = ["KIND_KEY", "Facts", "facts_of", "give_column", "give_text", "take_column", "take_text"]

INT_NA = np.int32(-(2**31))
KIND_KEY = b"fst"  # of a field's metadata: which of R's types it is, where Arrow's does not tell
UNREADABLE = {"list": "lists", "complex": "complex numbers", "expression": "R's expressions"}
STORAGE = {
    10: "logical",
    8: "integer",
    9: "double",
    11: "double",
    12: "raw",
}  # what R makes, of a kind's storage
PLAIN = ("AsIs", "factor", "ordered", "noquote")  # classes that can go without a word


class Facts(NamedTuple):
    """What decides how a column of a data frame is read.

    Attributes
    ----------
    typeof : str
        R's name of what it is made of.
    length : int
    classes : tuple of str
    is_vector : bool
        Not a matrix.
    units : str
        Of a difftime; else empty.
    zone : str or None
        Of a time: empty if it is there but says nothing.
    """

    typeof: str
    length: int
    classes: tuple[str, ...]
    is_vector: bool
    units: str
    zone: str | None


def facts_of(frame: Any) -> tuple[list[str], int, list[Facts]]:
    """Tell the names, the number of rows and the facts of the columns of one of R's data frames."""
    names, n_rows, columns = helper("facts")(frame)
    found = []
    for typeof, length, classes, is_vector, units, zone in columns:
        named = None if zone is rinterface().NULL else str(zone[0])
        facts = Facts(typeof[0], int(length[0]), tuple(classes), bool(is_vector[0]), str(units[0]), named)
        found.append(facts)
    texts = take_text(names)
    if texts is None:
        return [str(i) for i in range(1, len(found) + 1)], int(n_rows[0]), found
    return ["NA" if name is None else name for name in texts.to_pylist()], int(n_rows[0]), found


def take_column(name: str, column: Any, facts: Facts) -> tuple[pa.Field, pa.Array, list[str]]:
    """Read one of R's columns.

    Parameters
    ----------
    name : str
    column : rpy2.rinterface.SexpVector
    facts : Facts

    Returns
    -------
    pyarrow.Field
        Tells the R type in its metadata, where Arrow's type does not.
    pyarrow.Array
        R's NA is null, and a NaN is not.
    list of str
        What the column lost, for people.

    Raises
    ------
    Unreadable
        If it is not a plain vector, a factor, or a date or time.
    """
    if "POSIXlt" in facts.classes:
        column = helper("counted_time")(column)
        facts = facts._replace(typeof="double", classes=("POSIXct",))
    elif "data.frame" in facts.classes or not facts.is_vector:
        raise Unreadable("a data frame" if facts.is_vector else "a matrix")
    if facts.typeof == "character":
        array = take_text(column)
        if array is None:
            raise Unreadable("text in an encoding that is not known")
        return pa.field(name, array.type), array, _dropped(facts, ())
    if "factor" in facts.classes:
        array = _take_factor(column, facts)
        return pa.field(name, array.type), array, _dropped(facts, ())
    if facts.typeof not in ("logical", "integer", "double", "raw"):
        raise Unreadable(UNREADABLE.get(facts.typeof, f"an R object of type {facts.typeof}"))
    kind, known = _kind_of(facts)
    values = _values(column)
    if facts.typeof == "integer" and kind.storage == 9:  # R keeps some dates in either
        values = np.where(values == INT_NA, np.nan, values.astype(np.float64))
    if facts.units == "weeks" and "difftime" in kind.name:
        with np.errstate(invalid="ignore"):  # R's NA is a signalling NaN
            values = np.where(values == INT_NA, values, values * 7)
    if kind.storage == 11:
        values = values.view(np.int64)
    field = field_of(name, kind, facts.zone)
    if kind.name == "integer64":
        field = field.with_metadata({KIND_KEY: b"integer64"})
    lost = _dropped(facts, known)
    array = to_arrow(kind, values, field.type)
    if (
        kind.storage == 9
        and kind.name != "double"
        and (n_lost := array.null_count - int(np.isnan(values).sum()))
    ):
        lost.append(f"{n_lost:,} infinite, or too far from 1970, made missing")
    return field, array, lost


def _kind_of(facts: Facts) -> tuple[Kind, tuple[str, ...]]:
    """Find what a vector's class makes of it, and the classes that say so."""
    classes, whole = facts.classes, facts.typeof == "integer"
    if facts.typeof in ("integer", "double"):
        if "Date" in classes:
            return KINDS["IDate" if whole and "IDate" in classes else "Date"], ("IDate", "Date")
        if "POSIXct" in classes:
            return KINDS["integer POSIXct" if whole else "POSIXct"], ("POSIXct", "POSIXt")
        if "ITime" in classes:
            return KINDS["integer ITime" if whole else "ITime"], ("ITime",)
        units = "days" if facts.units == "weeks" else facts.units
        name = f"integer difftime {units}" if whole else f"difftime {units}"
        if "difftime" in classes and name in KINDS:
            return KINDS[name], ("difftime", "hms")
    if facts.typeof == "double":
        for name in ("integer64", "nanotime"):
            if name in classes:
                return KINDS[name], (name,)
    return KINDS[facts.typeof], ()


def _dropped(facts: Facts, known: Sequence[str]) -> list[str]:
    lost = [each for each in facts.classes if each not in known and each not in PLAIN]
    return [f"class '{each}' dropped" for each in lost[:1]]


def _take_factor(column: Any, facts: Facts) -> pa.DictionaryArray:
    levels = helper("levels")(column)
    texts = (
        take_text(levels)
        if facts.typeof == "integer" and isinstance(levels, rinterface().StrSexpVector)
        else None
    )
    if texts is None:
        raise Unreadable("a factor without levels of text")
    values = _values(column)
    codes = np.where(values == INT_NA, np.int32(-1), values - np.int32(1)).astype(np.int32)
    if ((codes < -1) | (codes >= len(texts)) | ((values != INT_NA) & (codes == -1))).any():
        raise Unreadable("a factor with codes that none of its levels has")
    return levels_array(codes, texts, "ordered" in facts.classes)


def take_text(column: Any) -> pa.Array | None:
    """Read an R vector of text: its distinct values once, and codes; None if that cannot be done."""
    if not len(column):
        return pa.array([], pa.string())
    found = helper("take_text")(column)
    if found is rinterface().NULL:
        return None
    codes, joined = found
    distinct = bytes(_values(joined)).decode("utf-8").split("\0")[:-1]
    places = _values(codes)
    indices = pa.array(places - np.int32(1), mask=places == INT_NA)
    return pa.array(distinct, pa.string()).take(indices)


def _values(vector: Any) -> NDArray[Any]:
    """Copy the memory of an R vector: int32 of integers, factors and logicals, float64, uint8."""
    kinds = {
        10: ("LOGICAL", np.int32),
        13: ("INTEGER", np.int32),
        14: ("REAL", np.float64),
        24: ("RAW", np.uint8),
    }
    pointer, dtype = kinds[int(vector.typeof)]
    return np.frombuffer(_memory(vector, pointer, np.dtype(dtype).itemsize), dtype=dtype).copy()


def _memory(vector: Any, pointer: str, size: int) -> Any:
    """Look at the memory of an R vector, for as long as R keeps it."""
    if not len(vector):
        return b""
    rlib = importlib.import_module("rpy2.rinterface_lib.openrlib")
    return rlib.ffi.buffer(getattr(rlib, pointer)(vector.__sexp__._cdata), size * len(vector))


def give_column(field: pa.Field, array: pa.Array) -> Any:
    """Make an R vector: `take_column` reversed.

    Parameters
    ----------
    field : pyarrow.Field
        As `take_column` returns it, or any other: 64-bit integers that all fit then become R's plain ones.
    array : pyarrow.Array

    Returns
    -------
    rpy2.rinterface.SexpVector

    Raises
    ------
    Unreadable
        If R has no type for it.
    """
    if pa.types.is_integer(field.type) and KIND_KEY not in (field.metadata or {}):
        array = _narrowed(array)
        field = field.with_type(array.type)
    kind = kind_of_field(field)
    if kind is None:
        raise Unreadable(f"values of type {field.type}")
    if kind.name == "nanotime":
        kind = KINDS["POSIXct"]
    if pa.types.is_dictionary(field.type):
        return _give_factor(array)
    if kind.name == "character":
        return give_text(array)
    try:
        values = from_arrow(kind, array)
    except (ValueError, pa.ArrowException) as error:
        raise Unreadable(str(error)) from None
    return _dressed(_vector(STORAGE[kind.storage], values), _attributes(kind, field))


def _narrowed(array: pa.Array) -> pa.Array:
    """Make 32-bit integers of wider ones, if all of them fit; R's least one is its NA."""
    bounds = pc.min_max(array)
    low, high = bounds["min"].as_py(), bounds["max"].as_py()
    fits = low is None or (low > -(2**31) and high < 2**31)
    return array.cast(pa.int32()) if fits else array


def _attributes(kind: Kind, field: pa.Field) -> dict[str, Any]:
    if kind.has_zone:
        zone = zone_of_field(field)
        # R knows no zones by their distance from UTC; the instants are the same.
        zone = "UTC" if zone and zone[0] in "+-" else zone
        return {"class": ["POSIXct", "POSIXt"], **({} if zone is None else {"tzone": [zone]})}
    if "difftime" in kind.name:
        return {"class": ["difftime"], "units": [kind.name.rsplit(" ", 1)[1]]}
    name = kind.name.removeprefix("integer ")
    classes = {"Date": ["Date"], "IDate": ["IDate", "Date"], "ITime": ["ITime"], "integer64": ["integer64"]}
    return {"class": classes[name]} if name in classes else {}


def _dressed(vector: Any, attributes: dict[str, Any]) -> Any:
    if not attributes:
        return vector
    low = rinterface()
    values = [low.StrSexpVector(each) if isinstance(each, list) else each for each in attributes.values()]
    listed = helper("named")(low.ListSexpVector(values), low.StrSexpVector(list(attributes)))
    return helper("with_attributes")(vector, listed)


def _vector(storage: str, values: NDArray[Any]) -> Any:
    """Make an R vector of these numbers, bit for bit."""
    vector = helper("allocate")(rinterface().StrSexpVector([storage]), float(len(values)))
    pointer = {"logical": "LOGICAL", "integer": "INTEGER", "double": "REAL", "raw": "RAW"}[storage]
    if len(values):
        memory = np.frombuffer(_memory(vector, pointer, values.dtype.itemsize), dtype=np.uint8)
        memory[:] = np.ascontiguousarray(values).view(np.uint8)
    return vector


def give_text(array: pa.Array) -> Any:
    """Make an R vector of text; null is NA.

    Raises
    ------
    Unreadable
        For text with a zero byte, which R's cannot have.
    """
    array = array.cast(pa.large_string())
    coded = array.dictionary_encode()
    distinct = coded.dictionary.to_pylist()
    if any("\0" in value for value in distinct):
        raise Unreadable("text with a zero byte")
    joined = "".join(f"{value}\0" for value in distinct).encode()
    codes = np.array(coded.indices.cast(pa.int32()).fill_null(0), dtype=np.int32) + np.int32(1)
    codes[np.array(pc.is_null(array))] = INT_NA
    bytes_ = _vector("raw", np.frombuffer(joined, dtype=np.uint8))
    return helper("give_text")(_vector("integer", codes), bytes_, len(distinct))


def _give_factor(array: pa.DictionaryArray) -> Any:
    kind = array.type.value_type
    levels = array.dictionary if is_text(kind) else pa.array([str(v) for v in array.dictionary.to_pylist()])
    coded = levels_array(
        np.array(array.indices.cast(pa.int32()).fill_null(-1), dtype=np.int32), levels, array.type.ordered
    )
    codes = np.array(coded.indices.fill_null(-1), dtype=np.int32)
    vector = _vector("integer", np.where(codes < 0, INT_NA, codes + np.int32(1)).astype(np.int32))
    classes = ["ordered", "factor"] if array.type.ordered else ["factor"]
    return _dressed(vector, {"levels": give_text(coded.dictionary), "class": classes})
