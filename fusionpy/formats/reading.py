"""read_fsd(): implicates from a file, or the part of them that is wanted."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fusionpy.errors import ArgumentError, Problems, few, is_whole, meant, shown, warn
from fusionpy.formats.atomic import shown_path
from fusionpy.formats.base import Stored
from fusionpy.formats.labels import NoLabels
from fusionpy.formats.notes import with_metadata
from fusionpy.formats.row_filter import Matches, match_rows
from fusionpy.formats.stored import ENDINGS, holds_fst, open_stored
from fusionpy.frames.digests import note_first, read_note
from fusionpy.frames.forking import INSTEAD, LOST, has_lost_polars
from fusionpy.frames.returned import return_table
from fusionpy.frames.tables import ROWS, Unreadable, as_table, take_names

__all__ = ["read_fsd"]

ROWS_AT_ONCE = 2**19
KINDS = ("pandas", "polars", "pyarrow")


def read_fsd(
    path: str | os.PathLike[str],
    *,
    columns: str | Sequence[str] | None = None,
    M: float | None = 1,
    where: Any = None,
    cores: int = 1,
    kind: Literal["pandas", "polars", "pyarrow"] = "pandas",
) -> Any:
    """Read implicates from a file: some columns, the first M implicates, the rows that match.

    Parameters
    ----------
    path : path
        What ``fuse(fsd=...)`` wrote, here or in R: ``.fsd``, ``.fst`` (or an fst file of any name) or
        ``.parquet``; or the folder that `fusionpy.distributed.fuse` wrote.
    columns : str or sequence of str, optional
        In the order wanted; M is one of them. All, if left out.
    M : int or None
        The first so many implicates; all if None or infinite. Of a file without a column M all rows are read.
    where : data frame or mapping, optional
        Only rows with these values. A pandas, polars or pyarrow table: rows that equal one of its rows in all
        of its columns, however many they are. A mapping from column to a value or a list of values: rows that
        have one of them in each of its columns. Missing values equal each other.
    cores : int
        Threads. The result does not depend on it.
    kind : {"pandas", "polars", "pyarrow"}
        Of the result.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame or pyarrow.Table
        Rows in the file's order. Categories keep their levels and their order. Whole numbers beside missing
        values are pandas' nullable integers. How the file was made, if that
        is noted there, is in ``.attrs["fusionpy"]`` (pandas) or the schema's metadata (pyarrow).

    Raises
    ------
    ArgumentError
        If arguments are wrong, or the file cannot be read.
    SchemaError
        If `where` is a data frame that cannot be used.

    Warns
    -----
    FusionWarning
        If the file has fewer than M implicates.

    Notes
    -----
    Reference, section 8. Only the columns and the rows that are needed are read, a piece at a time: memory is
    that of the result and of one piece.

    Examples
    --------
    >>> import tempfile, fusionpy
    >>> donor, recipient = fusionpy.datasets.load_donor(), fusionpy.datasets.load_recipient()
    >>> model = fusionpy.train(donor, y=["electricity"], x=["region", "rooms"], refits=0, seed=1, quiet=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = fusionpy.fuse(
    ...         recipient.head(3), model, f"{folder}/fused.fsd", M=2, retain="hid", seed=1, quiet=True
    ...     )
    ...     one = fusionpy.read_fsd(path)
    ...     both = fusionpy.read_fsd(path, M=None, columns=["M", "hid"], where={"hid": recipient["hid"][1]})
    >>> one.columns.to_list(), len(one), both["M"].to_list()
    (['M', 'hid', 'electricity'], 3, [1, 2])
    """
    problems = Problems(
        ArgumentError, "`read_fsd()` cannot start.", "See `help(fusionpy.read_fsd)` for what it takes."
    )
    _check_path(path, problems)
    wanted = take_names(columns, "columns", problems, once=True)
    if columns is not None and not wanted and not problems.found:
        problems.add("`columns` names no column; leave it out to read all of them.")
    everything = M is None or (isinstance(M, float) and math.isinf(M) and M > 0)
    if not everything and not is_whole(M, 1):
        problems.add(f"`M` must be a whole number of at least 1, or None for all, not {shown(M)}.")
    problems.whole("cores", cores, 1)
    problems.choice("kind", kind, KINDS)
    if kind == "polars" and has_lost_polars():
        problems.add(LOST)
        problems.hint = INSTEAD
    problems.stop()

    asked = _as_asked(where, problems)
    problems.stop()
    stored = open_stored(path)
    names = wanted or list(stored.names)
    if not names:
        problems.add(f"'{shown_path(stored.path.name)}' has no columns.")
    _check_columns(stored, wanted, asked, problems)
    problems.stop()
    matches = match_rows(asked, stored.schema, problems)
    problems.stop()
    first, stop, labels = _span(stored, None if everything or M is None else int(M))
    tables = list(_pieces(stored, first, stop, names, labels, matches, int(cores)))
    table = pa.concat_tables(tables).unify_dictionaries()
    attributes = _noted(stored.attributes, table, whole=not matches and labels is None and first == 0)
    metadata = {**(table.schema.metadata or {}), **with_metadata(table.schema, attributes).metadata}
    return return_table(table.replace_schema_metadata(metadata), kind, attributes)


def _noted(attributes: Mapping[str, Any], table: pa.Table, whole: bool) -> dict[str, Any]:
    """Tell how a table was made; digests of its rows only if they are all there, in their order."""
    noted = read_note(attributes.get(ROWS)) if whole and "M" in table.column_names else {}
    n_rows = next((each.n for each in noted.values()), 0)
    if not table.num_rows >= n_rows > 0 or not pa.types.is_integer(table.schema.field("M").type):
        return {name: value for name, value in attributes.items() if name != ROWS}
    is_first = pc.all(pc.equal(table.column("M").slice(0, n_rows), 1)).as_py()
    if is_first:
        return note_first(attributes, table, n_rows)
    return {name: value for name, value in attributes.items() if name != ROWS}


def _check_path(path: Any, problems: Problems) -> None:
    """Note a path that cannot be one of a file of implicates."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path):
        problems.add(f"`path` must be the path of a file, not {shown(path)}.")
        return
    ending = Path(path).suffix
    known = ending.lower() in ENDINGS or Path(path).is_dir() or holds_fst(Path(path))
    if not known:
        problems.add(f"`path` must end with {few(ENDINGS)}, not '{ending}': {shown_path(path)}.")


def _as_asked(where: Any, problems: Problems) -> list[pa.Table]:
    """Take what is wanted as tables: rows must be equal to a row of each of them."""
    if where is None:
        return []
    columns: dict[str, pa.Array] = {}
    if isinstance(where, Mapping):
        for name, value in where.items():
            array = _values(value)
            if not isinstance(name, str):
                problems.add(f"`where` must map names of columns to values, not {shown(name)}.")
            elif array is None:
                problems.add(f"`where` has values for `{name}` that are not of one type: {shown(value)}.")
            else:
                columns[name] = array
        return [pa.table({name: array}) for name, array in columns.items()]
    table = as_table(where, "where")
    for name in table.names:
        try:
            columns[name] = table.column(name)
        except Unreadable as error:
            problems.add(f"`where` has a column `{name}` with {error}.")
    return [pa.table(columns)] if columns else []


def _values(value: Any) -> pa.Array | None:
    """Take a value, or a list of them; None if Arrow cannot hold them."""
    is_list = hasattr(value, "__len__") and not isinstance(value, str | bytes)
    try:
        if hasattr(value, "to_arrow"):  # polars
            value = value.to_arrow()
        value = list(value) if isinstance(value, set | frozenset) else value if is_list else [value]
        try:
            array = pa.array(value)
        except OverflowError:  # whole numbers of 64 bits without a sign
            array = pa.array(value, pa.uint64())
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _check_columns(
    stored: Stored, wanted: Sequence[str], asked: Sequence[pa.Table], problems: Problems
) -> None:
    """Note columns that the file does not have."""
    for argument, names in (
        ("columns", wanted),
        ("where", [name for table in asked for name in table.column_names]),
    ):
        unknown = [name for name in names if name not in stored.names]
        if unknown:
            guess = meant(unknown[0], stored.names) if len(unknown) == 1 else ""
            called = f"'{shown_path(stored.path.name)}'"
            problems.add(f"`{argument}` names {few(unknown, '`')}{guess}, not in {called}.")
            problems.hint = f"It has {few(stored.names, '`')}."


def _span(stored: Stored, most: int | None) -> tuple[int, int, set[Any] | None]:
    """Find the rows of the first implicates: from where to where, and their labels if others lie between."""
    if most is None or "M" not in stored.names:
        return 0, stored.n_rows, None
    found: dict[Any, list[tuple[int, int]]] = {}
    at = 0
    try:
        for label, n_rows in stored.runs():
            if stored.is_sorted and label not in found and len(found) == most:
                break
            found.setdefault(label, []).append((at, at + n_rows))
            at += n_rows
    except NoLabels:
        raise ArgumentError(
            "`read_fsd()` cannot start.",
            [f"Column `M` of '{shown_path(stored.path.name)}' must hold numbers, none missing."],
            "Pass `M=None` to read all rows.",
        ) from None
    if len(found) < most:
        message = f"`M` is {most}, but '{shown_path(stored.path.name)}' has {len(found)} implicates."
        warn(message)
    chosen = sorted(found)[:most]
    parts = sorted(part for label in chosen for part in found[label])
    if not parts:
        return 0, 0, None
    first, stop = parts[0][0], parts[-1][1]
    has_others = stop - first > sum(b - a for a, b in parts)
    return first, stop, set(chosen) if has_others else None


def _pieces(
    stored: Stored,
    first: int,
    stop: int,
    names: Sequence[str],
    labels: set[Any] | None,
    matches: Sequence[Matches],
    cores: int,
) -> Iterator[pa.Table]:
    """Read rows, a piece at a time if not all of them are kept; at least one table."""
    if labels is not None:
        matches = [Matches.of(pa.table({"M": sorted(labels)}), stored.schema), *matches]
    if not matches:
        yield stored.read(first, stop - first, names, cores)
        return
    yield stored.read(first, 0, names, 1)  # it has the levels, even if no row matches
    looked_at = list(dict.fromkeys(name for each in matches for name in each.names))
    rest = [name for name in names if name not in looked_at]
    for start, n_rows in stored.windows(first, stop, ROWS_AT_ONCE):
        piece = stored.read(start, n_rows, looked_at, cores)
        kept = np.ones(n_rows, dtype=np.bool_)
        for each in matches:
            kept &= each.found(piece)
        if not kept.any():
            continue
        low, high = kept.argmax(), n_rows - kept[::-1].argmax()
        piece, kept = piece.slice(low, high - low), kept[low:high]
        if rest:
            others = stored.read(start + int(low), len(kept), rest, cores)
            for name, column in zip(rest, others.columns, strict=True):
                piece = piece.append_column(stored.schema.field(name), column)
        yield piece.select(list(names)).filter(pa.array(kept))
