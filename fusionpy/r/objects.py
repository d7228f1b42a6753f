"""Data frames taken from R and handed to it: read_rds(), read_rda(), from_r(), to_r()."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from fusionpy.errors import ArgumentError, Problems, SchemaError, few, grouped, repeated, shown, warn
from fusionpy.formats.r_types import KINDS, to_arrow
from fusionpy.frames.returned import return_table
from fusionpy.frames.tables import Table, Unreadable, as_table, is_text
from fusionpy.r.columns import KIND_KEY, facts_of, give_column, give_text, take_column, take_text
from fusionpy.r.session import helper, rinterface

__all__ = ["from_r", "read_rda", "read_rds", "table_of", "to_r", "value_to_r"]

Kind = Literal["pandas", "polars", "pyarrow"]
KINDS_OF_TABLE = ("pandas", "polars", "pyarrow")
MARKS = "r"  # of a pandas frame's attrs: the R types that its own do not tell
# R's NA as a NaN that does not signal: its last bits are what R knows it by.
QUIET_NA = np.array([0x7FF80000000007A2], dtype=np.uint64).view(np.float64)
NAN = "nan"  # the mark of a column with NaNs that are not NA


def read_rds(path: str | os.PathLike[str], *, kind: Kind = "pandas", row_names: str | None = None) -> Any:
    """Read the data frame that R's ``saveRDS()`` wrote.

    Parameters
    ----------
    path : path
        Of a data.frame, data.table or tibble. Only read files that you trust (see `fusionpy.r`).
    kind : {"pandas", "polars", "pyarrow"}
        What to return.
    row_names : str, optional
        Keep the names of rows as a first column of this name. Missing: they are dropped.

    Returns
    -------
    DataFrame or Table
        Its types as `from_r` tells them.

    Raises
    ------
    ArgumentError
        If the file cannot be read, or arguments are wrong.
    SchemaError
        If it holds something else than a data frame, or columns that are no plain vectors.
    ImportError
        If rpy2 is not installed.

    Examples
    --------
    >>> from fusionpy.r import read_rds
    >>> survey = read_rds("survey.rds")  # doctest: +SKIP
    """
    _check_kind(kind, row_names, "read_rds")
    found = _read("read_rds", path, "saveRDS()")
    return _returned(table_of(found[0], f"What {_named(path)} holds", row_names), kind)


def read_rda(
    path: str | os.PathLike[str], *, kind: Kind = "pandas", row_names: str | None = None
) -> dict[str, Any]:
    """Read the data frames that R's ``save()`` wrote to an ``.rda`` or ``.RData`` file.

    Parameters
    ----------
    path : path
        Only read files that you trust (see `fusionpy.r`).
    kind, row_names
        As for `read_rds`.

    Returns
    -------
    dict of str to DataFrame or Table
        By name, in the order saved. Objects of other kinds are left out, with a warning.

    Raises
    ------
    ArgumentError
        If the file cannot be read, or arguments are wrong.
    SchemaError
        If it holds no data frame, or one with columns that are no plain vectors.
    ImportError
        If rpy2 is not installed.

    Examples
    --------
    >>> from fusionpy.r import read_rda
    >>> surveys = read_rda("surveys.rda")  # doctest: +SKIP
    """
    _check_kind(kind, row_names, "read_rda")
    names, objects = _read("read_rda", path, "save()")
    texts = take_text(names)
    told = [str(name) for name in texts.to_pylist()] if texts is not None else list(names)
    is_frame = [bool(helper("is_frame")(each)[0]) for each in objects]
    others = [
        f"`{name}` ({_class(each)})"
        for name, each, yes in zip(told, objects, is_frame, strict=True)
        if not yes
    ]
    if not any(is_frame):
        problem = f"It holds {few(others, '')}." if others else "It is empty."
        raise SchemaError(
            f"{_named(path)} has no data frame.", [problem], "Save one in R: save(survey, file = ...)."
        )
    if others:
        warn(f"{_named(path)}: no data frames, so left out: {few(others, '')}.")
    frames = {}
    for name, each, yes in zip(told, objects, is_frame, strict=True):
        if yes:
            frames[name] = _returned(table_of(each, f"`{name}` in {_named(path)}", row_names), kind)
    return frames


def from_r(frame: Any, *, kind: Kind = "pandas", row_names: str | None = None) -> Any:
    """Take a data frame from R.

    Parameters
    ----------
    frame : rpy2 object
        A data.frame, data.table or tibble.
    kind : {"pandas", "polars", "pyarrow"}
        What to return.
    row_names : str, optional
        Keep the names of rows as a first column of this name. Missing: they are dropped.

    Returns
    -------
    DataFrame or Table
        Its rows and columns in R's order. See Notes for the types.

    Raises
    ------
    SchemaError
        If it is no data frame, has several columns of the same name, or columns that are lists, matrices or
        complex numbers; all of them are named.

    Notes
    -----
    ================== =========================== ==================================================
    R                  Arrow                       pandas
    ================== =========================== ==================================================
    logical            bool                        bool; boolean where some are missing
    integer            int32                       int32; Int32 where some are missing
    integer64          int64                       int64; Int64 where some are missing
    numeric            double                      float64; NaN is missing, be it R's NA or its NaN
    character          string                      what pandas makes of text
    factor, ordered    dictionary (ordered)        category (ordered), unused levels kept
    Date, IDate        date32                      date32[day][pyarrow]; parts of a day are dropped
    POSIXct, POSIXlt   timestamp (us; s) with zone datetime64 with zone; UTC if R's is the session's
    difftime           duration (us; s)            timedelta64
    ITime              time32, time64              the same, of pyarrow
    raw                uint8                       uint8
    ================== =========================== ==================================================

    What such a type does not tell (an integer64, a difftime's unit, a NaN that is not NA) is noted in the
    fields' metadata (pyarrow) or in ``.attrs["r"]`` (pandas; polars has no place for it), and `to_r` heeds
    it, so that a frame that goes there and back is the same. Times are kept to the microsecond; weeks become
    days. A factor's missing level (R's ``addNA``) becomes a missing value. Dates and times that are infinite
    become missing, and other classes are dropped, with a warning.
    """
    _check_kind(kind, row_names, "from_r")
    if not hasattr(frame, "typeof"):
        problem = f"It must be one of rpy2's objects, not {shown(frame)}."
        raise SchemaError("`frame` cannot be taken from R.", [problem])
    return _returned(table_of(frame, "`frame`", row_names), kind)


def to_r(data: Any) -> Any:
    """Hand a data frame to R.

    Parameters
    ----------
    data : pandas or polars DataFrame, or pyarrow Table
        Its index is not handed over.

    Returns
    -------
    rpy2.rinterface.ListSexpVector
        A data.frame, which rpy2 can pass to any function of R.

    Raises
    ------
    SchemaError
        If columns cannot be had in R: nested ones, decimals, numbers out of its range; all of them are named.
    ImportError
        If rpy2 is not installed.

    Notes
    -----
    As `from_r`, reversed. Integers of 64 bits become R's plain ones if all of them fit and they did not come
    from an integer64 (of R's package bit64), and else integer64. Missing numbers of a pandas frame (NaN)
    become NA. Levels of a category become text. Times without a zone are taken to be of UTC.
    """
    rinterface()
    table = as_table(data)
    marks: Mapping[str, Any] = data.attrs.get(MARKS, {}) if table.kind == "pandas" else {}
    columns, bad = [], []
    for name in table.names:
        try:
            field, array = _arrow_column(table, data, name, marks.get(name, {}))
            give_text(pa.array([name]))
            columns.append(give_column(field, array))
        except Unreadable as error:
            bad.append(("", name, str(error)))
    problems = Problems(
        SchemaError, "`data` cannot be handed to R.", "Recode these columns, or leave them out."
    )
    for problem in grouped(bad):
        problems.add(problem)
    problems.stop()
    return helper("as_frame")(
        rinterface().ListSexpVector(columns), give_text(pa.array(table.names, pa.string())), table.n_rows
    )


def _arrow_column(table: Table, data: Any, name: str, mark: Mapping[str, str]) -> tuple[pa.Field, pa.Array]:
    """Fetch a column, and what is known of its R type."""
    if table.kind == "pyarrow":
        field = data.schema.field(name)
        array = table.column(name)
        return pa.field(name, array.type, metadata=field.metadata), array
    if NAN in mark and data[name].dtype == np.float64:  # its NaNs and NAs are told apart by their bits
        return pa.field(name, pa.float64()), to_arrow(KINDS["double"], data[name].to_numpy(), pa.float64())
    array = table.column(name)
    if pa.types.is_null(array.type) and mark.get(KIND_KEY.decode()) == "character":
        array = array.cast(pa.string())
    told = {key.encode(): value.encode() for key, value in mark.items() if key != NAN}
    return pa.field(name, array.type, metadata=told or None), array


def table_of(frame: Any, what: str, row_names: str | None = None) -> tuple[pa.Table, int]:
    """Read one of R's data frames.

    Parameters
    ----------
    frame : rpy2 object
    what : str
        What to call it in errors.
    row_names : str, optional

    Returns
    -------
    pyarrow.Table
        Its fields' metadata tell R types that Arrow's do not.
    int
        Number of rows, which a table without columns does not tell.

    Raises
    ------
    SchemaError
    """
    if not bool(helper("is_frame")(frame)[0]):
        hint = "Make a data frame of it in R first."
        raise SchemaError(f"{what} is not a data frame.", [f"It is of class {_class(frame)}."], hint)
    names, n_rows, facts = facts_of(frame)
    problems = Problems(SchemaError, f"{what} cannot be read.", "Rename, recode or drop these columns in R.")
    if twice := repeated([*names, *([row_names] if row_names else [])]):
        problems.add(f"Several columns have the same name: {few(twice, '`')}.")
    vectors = [each for each in facts if each.is_vector and not {"POSIXlt", "data.frame"} & {*each.classes}]
    if len(names) != len(facts) or any(each.length != n_rows for each in vectors):
        problems.add("It is damaged: its columns are not of the same length, or have no names.")
    problems.stop()
    fields, arrays, bad, lost = [], [], [], []
    if row_names:
        fields.append(pa.field(row_names, pa.string()))
        arrays.append(take_text(helper("row_names")(frame)))
    for i, (name, each) in enumerate(zip(names, facts, strict=True), 1):
        try:
            field, array, losses = take_column(name, helper("column")(frame, i), each)
        except Unreadable as error:
            bad.append(("", name, str(error)))
            continue
        fields.append(field)
        arrays.append(array)
        lost += [("", name, loss) for loss in losses]
    for problem in grouped(bad):
        problems.add(problem)
    problems.stop()
    if lost:
        warn(f"{what}: {' '.join(grouped(lost))}")
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields)), n_rows


def _returned(found: tuple[pa.Table, int], kind: str) -> Any:
    """Turn what was read into the kind of table asked for."""
    table, n_rows = found
    if kind == "pyarrow":
        return table
    if kind == "polars":
        if table.num_columns:
            return return_table(table, kind, {})
        import polars as pl

        return pl.DataFrame()
    frame = pd.DataFrame(
        {
            field.name: _series(table.column(field.name).combine_chunks(), field.type)
            for field in table.schema
        },
        index=pd.RangeIndex(n_rows),
    )
    marks = {field.name: _marks(field, table.column(field.name)) for field in table.schema}
    if any(marks.values()):
        frame.attrs[MARKS] = {name: mark for name, mark in marks.items() if mark}
    return frame


def _marks(field: pa.Field, column: pa.ChunkedArray) -> dict[str, str]:
    """Tell what pandas' type does not: the R type, and whether NaN and NA are both meant."""
    marks = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    if pa.types.is_floating(field.type) and pc.any(pc.is_nan(column)).as_py():
        marks[NAN] = "kept"
    if is_text(field.type) and column.null_count == len(column):
        marks[KIND_KEY.decode()] = "character"  # nothing in an object column would tell
    return marks


def _series(array: Any, kind: pa.DataType) -> pd.Series:
    """Make a pandas column that loses nothing."""
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    if pa.types.is_floating(kind):
        values = array.to_numpy(zero_copy_only=False)
        if array.null_count and pc.any(pc.is_nan(array)).as_py():
            values = values.copy()
            values[np.asarray(pc.is_null(array))] = QUIET_NA
        return pd.Series(values)
    nullable = {pa.bool_(): pd.BooleanDtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
    if kind in nullable and array.null_count:
        return array.to_pandas(types_mapper=nullable.get)
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return array.to_pandas(types_mapper=pd.ArrowDtype)
    return array.to_pandas()


def value_to_r(value: Any) -> Any:
    """Make an R value of an argument: NULL, a vector or (of a mapping, or different things) a list."""
    low = rinterface()
    if value is None or hasattr(value, "typeof"):  # nothing, or R's own
        return low.NULL if value is None else value
    if isinstance(value, Mapping):
        listed = low.ListSexpVector([value_to_r(each) for each in value.values()])
        return helper("named")(listed, give_text(pa.array([str(name) for name in value], pa.string())))
    values = (
        list(value) if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else [value]
    )
    makers: tuple[tuple[type | tuple[type, ...], Callable[[list[Any]], Any]], ...] = (
        (str, lambda texts: give_text(pa.array(texts, pa.string()))),
        ((bool, np.bool_), low.BoolSexpVector),
        (
            (int, float, np.integer, np.floating),
            lambda numbers: low.FloatSexpVector([float(v) for v in numbers]),
        ),
    )
    for types, make in makers:
        if all(isinstance(each, types) for each in values):
            return make(values)
    return low.ListSexpVector([value_to_r(each) for each in values])


def _check_kind(kind: str, row_names: str | None, verb: str) -> None:
    problems = Problems(ArgumentError, f"`{verb}()` cannot start.")
    problems.choice("kind", kind, KINDS_OF_TABLE)
    if row_names is not None and (not isinstance(row_names, str) or not row_names):
        problems.add(f"`row_names` must be a column name, not {shown(row_names)}.")
    problems.stop()


def _read(function: str, path: str | os.PathLike[str], writer: str) -> Any:
    """Have R read a file."""
    place = Path(path).expanduser()
    headline = f"{_named(path)} cannot be read."
    hint = f"Pass a file that R's {writer} wrote."
    if not place.is_file():
        problem = "It is a folder." if place.is_dir() else "There is no such file."
        raise ArgumentError(headline, [problem], hint)
    found = helper(function)(give_text(pa.array([str(place.resolve())])))
    if found.typeof == rinterface().RTYPES.STRSXP:
        raise ArgumentError(headline, [f"R says: {str(found[0]).strip()}."], hint)
    return found


def _named(path: str | os.PathLike[str]) -> str:
    return f"'{Path(path).name}'"


def _class(value: Any) -> str:
    return few(str(helper("kind")(value)[0]).split(", "))
