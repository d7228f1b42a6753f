"""Implicates, in memory or on disk, read one at a time."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from fusionpy.errors import ArgumentError, SchemaError, few
from fusionpy.formats.atomic import shown_path
from fusionpy.formats.base import Stored
from fusionpy.formats.labels import NoLabels, Run, runs_of
from fusionpy.formats.notes import noted_attributes
from fusionpy.formats.stored import open_stored
from fusionpy.frames.digests import digest_columns, moved_columns, read_note
from fusionpy.frames.returned import attributes_of
from fusionpy.frames.tables import FIRST, ROWS, Table, Unreadable, as_table
from fusionpy.kernels.digests import Digest

__all__ = ["Implicates", "check_order", "open_implicates"]

Reader = Callable[[int, int, Sequence[str]], pa.Table]  # first row, number of rows, columns


@dataclass(frozen=True)
class Implicates:
    """M implicates of one recipient survey, wherever they are kept.

    Attributes
    ----------
    kind : {"pandas", "polars", "pyarrow"}
        What results should be: the kind of frame they came as, pandas for files.
    names : tuple of str
        Columns other than M.
    labels : tuple
        Values of the column M, ascending.
    n_rows : int
        Records in each.
    attributes : dict
        How they were made, if that is known.
    in_memory : bool
    """

    kind: str
    names: tuple[str, ...]
    labels: tuple[Any, ...]
    n_rows: int
    attributes: Mapping[str, Any]
    in_memory: bool
    _read: Reader
    _fetch: Callable[[str], pa.Array] | None = None

    @property
    def M(self) -> int:
        """Number of implicates."""
        return len(self.labels)

    def unusable(self, names: Sequence[str]) -> dict[str, str]:
        """Tell which columns of a frame cannot be had in Arrow's form, and what they hold."""
        found = {}
        for name in names if self._fetch is not None else ():
            try:
                self._fetch(name)  # type: ignore[misc]
            except Unreadable as error:
                found[name] = str(error)
        return found

    def read(self, number: int, names: Sequence[str]) -> pa.Table:
        """Read some columns of one implicate; safe to call from several threads.

        Parameters
        ----------
        number : int
            From 0.
        names : sequence of str

        Returns
        -------
        pyarrow.Table
            One chunk a column, in the recipient's order.
        """
        if not names:
            return pa.table({})
        table = self._read(number * self.n_rows, self.n_rows, names)
        return table.unify_dictionaries().combine_chunks()


def open_implicates(source: Any, argument: str = "implicates") -> Implicates:
    """Open implicates, from a data frame or from files, without reading more than column M.

    Parameters
    ----------
    source : pandas or polars DataFrame, pyarrow Table, or path
        As `fuse` returns or writes them: a column M and the same number of rows for each of its values. Paths
        are of Parquet files, of ``.fsd`` and ``.fst`` files, or of folders of Parquet files, such as
        `fusionpy.distributed.fuse` writes; their rows are sorted by M.
    argument : str
        What to call it in errors.

    Returns
    -------
    Implicates

    Raises
    ------
    ArgumentError
        If a file cannot be read.
    SchemaError
        If they are no implicates.
    """
    if not isinstance(source, str | os.PathLike):
        return _from_table(as_table(source, argument), argument)
    hint = "Pass a file that `fuse(fsd=...)` wrote, or a data frame."
    if str(source).lower().endswith((".csv", ".csv.gz")):
        problem = "It is a CSV file; implicates are read from Parquet and fst files."
        raise ArgumentError(f"'{shown_path(source)}' cannot be read.", [problem], hint)
    return _from_stored(open_stored(source, hint), argument)


def check_order(
    implicates: Implicates,
    argument: str,
    names: Sequence[str],
    find: Callable[[str], Digest | None],
) -> None:
    """Refuse columns beside implicates that are not in the order in which the recipient was fused.

    Parameters
    ----------
    implicates : Implicates
    argument : str
        What to call the columns beside them.
    names : sequence of str
    find : callable
        Digests one of them.

    Raises
    ------
    SchemaError
        If columns have the values that they had when they were fused, in other rows, and implicates have not
        been moved likewise; or if implicates have been moved, and columns have not.

    Notes
    -----
    `fuse` notes digests of the recipient's columns, and of the first implicate's that it returns; files are
    taken to be as they were written. Columns with other values than then tell nothing. If both were moved,
    they may have been sorted alike.
    """
    noted = read_note(implicates.attributes.get(ROWS))
    if next((each.n for each in noted.values()), -1) != implicates.n_rows:
        return
    first = read_note(implicates.attributes.get(FIRST))
    if implicates.in_memory and (not first or implicates.labels[0] != 1):
        return
    same, moved = moved_columns(noted, names, find)
    if not same and not moved:
        return
    implicates_moved: list[str] = []
    if implicates.in_memory:
        table = implicates.read(0, [name for name in implicates.names if name in first])
        digest = digest_columns(as_table(table), table.column_names).get
        implicates_moved = moved_columns(first, table.column_names, digest)[1]
    if moved and not implicates_moved:
        raise SchemaError(
            f"`{argument}` is in another order than `implicates`.",
            [f"{few(moved, '`')}: the values that were fused, but not in the same rows."],
            "Sort it as the recipient was when it was fused; what was moved on purpose needs another name.",
        )
    if implicates_moved and not moved:
        raise SchemaError(
            f"`implicates` are in another order than `{argument}`.",
            [f"{few(implicates_moved, '`')}: the values that were drawn, but not in the same rows."],
            "Pass them as `fuse()` returned them, or sort both in the same way.",
        )


def _from_table(table: Table, argument: str) -> Implicates:
    """Implicates in memory; their rows may be in any order of M."""
    _check_has_m(table.names, argument)
    try:
        column = table.column("M")
    except Unreadable as error:
        raise _no_implicates(argument, f"Its column `M` holds {error}.") from None
    labels, n_rows, is_sorted = _implicates(_table_runs(column), argument)
    order = None if is_sorted else pa.array(np.argsort(column.to_numpy(zero_copy_only=False), kind="stable"))
    held: dict[str, pa.Array] = {}

    def fetch(name: str) -> pa.Array:
        if name not in held:
            column = table.plain_column(name)
            held[name] = column if order is None else column.take(order)
        return held[name]

    def read(first: int, n_rows: int, names: Sequence[str]) -> pa.Table:
        return pa.table({name: fetch(name).slice(first, n_rows) for name in names})

    names = tuple(name for name in table.names if name != "M")
    return Implicates(table.kind, names, labels, n_rows, _noted(table), True, read, fetch)


def _noted(table: Table) -> dict[str, Any]:
    """Tell how a frame of implicates was made."""
    native = table.frame.to_native()
    return noted_attributes(native.schema) if table.kind == "pyarrow" else attributes_of(table)


def _table_runs(column: pa.Array) -> Iterator[Run]:
    yield from runs_of(column)


def _from_stored(stored: Stored, argument: str) -> Implicates:
    """Implicates in a file, sorted by M."""
    _check_has_m(stored.names, argument)
    labels, n_rows, is_sorted = _implicates(stored.runs(), argument)
    if not is_sorted:
        hint = "Sort them, or read the file into a frame."
        raise _no_implicates(argument, "Its rows are not sorted by M.", hint)
    names = tuple(name for name in stored.names if name != "M")
    return Implicates("pandas", names, labels, n_rows, stored.attributes, False, stored.read)


def _implicates(runs: Iterable[Run], argument: str) -> tuple[tuple[Any, ...], int, bool]:
    """Tell labels, rows of each, and whether they are sorted."""
    rows: dict[Any, int] = {}
    met = []
    try:
        for label, number in runs:
            rows[label] = rows.get(label, 0) + number
            met.append(label)
    except NoLabels:
        raise _no_implicates(argument, "Its column `M` must hold whole numbers, none missing.") from None
    if not rows:
        raise _no_implicates(argument, "It has no rows.")
    sizes = sorted(set(rows.values()))
    if len(sizes) > 1:
        usual = max(sizes, key=list(rows.values()).count)
        odd = next(label for label, number in rows.items() if number != usual)
        problem = f"Implicates differ in rows: M = {odd} has {rows[odd]:,}, others {usual:,}."
        raise _no_implicates(argument, problem)
    return tuple(sorted(rows)), sizes[0], all(a <= b for a, b in itertools.pairwise(met))


def _check_has_m(names: Sequence[str], argument: str) -> None:
    if "M" not in names:
        raise _no_implicates(argument, f"It has no column `M` (columns: {few(names, '`')}).")


def _no_implicates(argument: str, problem: str, hint: str | None = None) -> SchemaError:
    hint = (
        hint or "Pass what `fuse()` returned or wrote: a column M, and the same rows for each of its values."
    )
    return SchemaError(f"`{argument}` are no implicates.", [problem], hint)
