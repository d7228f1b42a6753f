"""A recipient survey, wherever it is: read, checked and coded window by window of rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.drawing.urns import ReadyModel
from fusionpy.errors import SchemaError
from fusionpy.formats.base import Stored
from fusionpy.formats.stored import open_stored
from fusionpy.frames.digests import digest_columns, digest_of
from fusionpy.frames.tables import Table, Unreadable, as_table, is_text
from fusionpy.fusion.code_store import Coded, spool
from fusionpy.kernels.digests import Digest
from fusionpy.model import FusionModel
from fusionpy.model.areas import AreaCodes, area_problems
from fusionpy.model.ranges import Tally, tally
from fusionpy.model.schema import Schema
from fusionpy.model.variables import Variable, is_number

__all__ = ["Recipient", "check_frame", "code_recipient", "digest_others", "open_recipient", "read_along"]

HINT = "Pass a data frame, a Parquet file or a folder of them, or an fst file."
MOST_BESIDE = 8  # columns of a file that are read for their digests alone
NO_ROWS = Digest(0, 0, 0)
WINDOW = 2**18  # rows of a file that are read at a time, where its pieces are no larger


@dataclass(frozen=True)
class Recipient:
    """A recipient survey, in memory or on disk.

    Attributes
    ----------
    kind : {"pandas", "polars", "pyarrow"}
        What a result should be: the kind of frame it is, pandas for files.
    n_rows : int
    names : tuple of str
        Of the columns.
    head : Table
        The frame itself; of a file a table without rows, which has the types.
    stored : Stored or None
        The file.
    """

    kind: Literal["pandas", "polars", "pyarrow"]
    n_rows: int
    names: tuple[str, ...]
    head: Table
    stored: Stored | None

    def windows(self, most: int) -> Iterator[tuple[int, int]]:
        """Divide the rows: first row and number of rows of each window, `most` where that can be."""
        if self.stored is not None:
            yield from self.stored.windows(0, self.n_rows, most)
            return
        for first in range(0, self.n_rows, most):
            yield first, min(most, self.n_rows - first)

    def window(self, first: int, n_rows: int, names: Sequence[str]) -> Table:
        """Take some rows.

        Parameters
        ----------
        first, n_rows : int
        names : sequence of str
            The columns that are wanted; of a file no others are read.

        Returns
        -------
        Table
        """
        if self.stored is not None:
            return as_table(self.stored.read(first, n_rows, names))
        frame = self.head.frame[first : first + n_rows]
        return replace(self.head, frame=frame, n_rows=n_rows)

    def ends(self, name: str) -> tuple[int, int]:
        """Find the least and the most of a column of whole numbers; 0 if it has none."""
        low, high = [], []
        for first, n_rows in self.windows(WINDOW):
            found = pc.min_max(self.window(first, n_rows, [name]).column(name)).as_py()
            low.append(found["min"])
            high.append(found["max"])
        return (
            min((value for value in low if value is not None), default=0),
            max((value for value in high if value is not None), default=0),
        )


def open_recipient(data: Any) -> Recipient:
    """Open a recipient survey; of a file only the head is read.

    Parameters
    ----------
    data : pandas or polars DataFrame, pyarrow Table, or path
        Of a Parquet file, a folder of them, or an fst file.

    Returns
    -------
    Recipient

    Raises
    ------
    ArgumentError
        If a file cannot be read.
    SchemaError
        For another kind of object, or columns of the same name.
    """
    if not isinstance(data, str | os.PathLike):
        table = as_table(data)
        return Recipient(table.kind, table.n_rows, table.names, table, None)
    stored = open_stored(data, HINT)
    head = as_table(stored.schema.empty_table())
    return Recipient("pandas", stored.n_rows, stored.names, head, stored)


def read_along(recipient: Recipient, names: Sequence[str]) -> Callable[[int, int], pa.Table]:
    """Read columns along with the rows that are worked on, no more than a window at a time.

    Parameters
    ----------
    recipient : Recipient
    names : sequence of str

    Returns
    -------
    callable
        Of a first row and a number of rows; for one thread. Rows are best asked for in their order.
    """
    if recipient.stored is None or not names:
        whole = recipient.head.arrow(names)
        return lambda first, n_rows: whole.slice(first, n_rows)
    edges = [*(first for first, _ in recipient.windows(WINDOW)), recipient.n_rows]
    held: tuple[int, pa.Table] | None = None

    def read(first: int, n_rows: int) -> pa.Table:
        nonlocal held
        parts, stop = [], first + n_rows
        while first < stop:
            place = int(np.searchsorted(edges, first, side="right")) - 1
            if held is None or held[0] != place:
                held = None  # let go of one window before the next is read
                size = edges[place + 1] - edges[place]
                held = place, recipient.window(edges[place], size, names).arrow(names)
            part = held[1].slice(first - edges[place], stop - first)
            parts.append(part)
            first += part.num_rows
        return pa.concat_tables(parts) if parts else recipient.head.arrow(names)

    return read


def digest_others(recipient: Recipient, known: Iterable[str]) -> dict[str, Digest]:
    """Digest further columns of a recipient, of a file no more than a few.

    Parameters
    ----------
    recipient : Recipient
    known : iterable of str
        Columns of which there is a digest.

    Returns
    -------
    dict of str to Digest
    """
    done = set(known)
    names = [name for name in recipient.names if name not in done]
    if recipient.stored is None:
        return digest_columns(recipient.head, names)
    names = names[:MOST_BESIDE]
    found: dict[str, Digest] = {}
    for first, n_rows in recipient.windows(WINDOW) if names else ():
        for name, digest in digest_columns(recipient.window(first, n_rows, names), names).items():
            found[name] = found.get(name, NO_ROWS) + digest
    return {name: digest for name, digest in found.items() if digest.n == recipient.n_rows}


def check_frame(recipient: Recipient, model: FusionModel, called: str, problems: Sequence[str] = ()) -> None:
    """Refuse a frame that does not fit a model; a file is looked at while it is coded.

    Parameters
    ----------
    recipient : Recipient
    model : FusionModel
    called : str
        What to call the model in errors.
    problems : sequence of str
        What is wrong with retained columns, to be told after what is wrong with the predictors.

    Raises
    ------
    SchemaError
        Naming every predictor, and area, that differs from training's, and how.
    """
    if recipient.stored is None:
        unfit = area_problems(model.areas, recipient.head)
        _check_table(model.schema, recipient.head, called, problems, unfit)


@contextmanager
def code_recipient(
    recipient: Recipient,
    prepared: ReadyModel,
    rows: int,
    called: str,
    problems: Sequence[str] = (),
    *,
    spill: bool = False,
    folder: Path | None = None,
    digest: bool = False,
) -> Iterator[Coded]:
    """Code a recipient's predictors, and check them if it is a file, in one pass.

    Parameters
    ----------
    recipient : Recipient
    prepared : ReadyModel
    rows : int
        Of a block.
    called, problems
        As for `check_frame`: a file is checked while it is read.
    spill : bool
        Keep the codes in a temporary file.
    folder : Path, optional
        Where to make it.
    digest : bool
        Digest the predictors, too.

    Yields
    ------
    Coded

    Raises
    ------
    SchemaError
        Naming every predictor, and area, that differs from training's, and how.
    ArgumentError
        If a file is damaged.
    """
    schema, coding = prepared.model.schema, prepared.predictions.coding
    x, ranges, areas = schema.x, prepared.model.ranges, AreaCodes(prepared.model.areas)
    with spool(spill, folder) as file:
        shape = len(x), len(prepared.rule_columns), len(areas.areas)
        coded = Coded(recipient.n_rows, rows, shape, coding.dtype, file)
        known = [v for v in x if v.name in recipient.names] if recipient.stored is not None else []
        sketches = {v.name: recipient.head.column(v.name) for v in known}
        for first, n_rows in recipient.windows(WINDOW):
            codes = np.zeros((shape[0], n_rows), dtype=coding.dtype)
            values = np.zeros((shape[1], n_rows))
            for j, variable in enumerate(x):
                name = variable.name
                if name not in recipient.names:  # told at the end, with all else
                    continue
                array = _fetch(recipient, first, n_rows, name, called)
                if digest and (found := digest_of(array)) is not None:
                    coded.digests[name] = coded.digests.get(name, NO_ROWS) + found
                if recipient.stored is not None:
                    sketches[name] = _sketch(variable, sketches[name], array)
                column = _values(schema, name, array)
                if gaps := int(np.isnan(column).sum()):
                    coded.n_missing[name] = coded.n_missing.get(name, 0) + gaps
                if (known_range := ranges.get(name)) is not None:
                    coded.tallies[name] = tally(known_range, column) + coded.tallies.get(name, Tally())
                codes[j] = coding.encode(name, column)
                if name in prepared.rule_columns:
                    values[prepared.rule_columns.index(name)] = column
            coded.append(codes, values, _code_areas(areas, recipient, first, n_rows, called))
        if recipient.stored is not None:
            unfit = {**area_problems(areas.areas, recipient.head), **areas.problems}
            _check_table(schema, _sketched(sketches, recipient), called, problems, unfit)
        coded.unseen, coded.matched = areas.unseen(), areas.matched()
        yield coded


def _code_areas(
    areas: AreaCodes, recipient: Recipient, first: int, n_rows: int, called: str
) -> NDArray[np.int32]:
    """Code the areas of some records."""
    codes = np.zeros((len(areas.areas), n_rows), dtype=np.int32)
    for place, area in enumerate(areas.areas):
        if area.name in recipient.names:  # others are told at the end
            codes[place] = areas.encode(place, _fetch(recipient, first, n_rows, area.name, called))
    return codes


def _fetch(recipient: Recipient, first: int, n_rows: int, name: str, called: str) -> pa.Array:
    try:
        return recipient.window(first, n_rows, [name]).column(name)
    except Unreadable as error:
        headline = f"`data` does not match the predictors of {called}."
        raise SchemaError(headline, [f"`{name}`: has {error}."], "Recode this column.") from None


def _values(schema: Schema, name: str, array: pa.Array) -> NDArray[np.float64]:
    """Values, or level codes; anything where an error is going to be told."""
    if pa.types.is_null(array.type):
        return np.full(len(array), np.nan)
    try:
        return schema.encode(as_table(pa.table({name: array})), [name])[:, 0]
    except (pa.ArrowException, ValueError, TypeError):
        return np.full(len(array), np.nan)


def _sketch(variable: Variable, before: pa.Array, array: pa.Array) -> pa.Array:
    """Choose the few values from which a check sees what is wrong with a column, window after window."""
    return pa.chunked_array([before, _few_of(variable, array)]).combine_chunks()


def _few_of(variable: Variable, array: pa.Array) -> pa.Array:
    kind = array.type
    if len(array) == 0:
        return array
    if pa.types.is_dictionary(kind):  # its levels come along
        some = pc.index(array.indices.is_valid(), True).as_py()
        return array.slice(max(some, 0), 1)
    if pa.types.is_integer(kind):
        ends = pc.min_max(array)
        return pa.array([ends["min"].as_py(), ends["max"].as_py()], kind)
    if is_number(kind):
        infinite = pc.fill_null(pc.is_inf(array), False)
        first = pc.index(pc.fill_null(pc.is_finite(array), False), True).as_py()
        return pa.concat_arrays([array.slice(max(first, 0), 1), array.filter(infinite)])
    if is_text(kind):
        seen = pc.unique(array)
        known = pc.is_in(seen, value_set=pa.array(list(map(str, variable.levels)), kind))
        some = max(pc.index(known, True).as_py(), 0)
        return pa.concat_arrays([seen.slice(some, 1), seen.filter(pc.invert(known))])
    return array.slice(max(pc.index(array.is_valid(), True).as_py(), 0), 1)


def _sketched(sketches: dict[str, pa.Array], recipient: Recipient) -> Table:
    """Put sketches together as a table that claims to have all of the file's columns."""
    longest = max(map(len, sketches.values()), default=0)
    padded = {
        name: array.take(pa.array([*range(len(array)), *[None] * (longest - len(array))], pa.int64()))
        for name, array in sketches.items()
    }
    return replace(as_table(pa.table(padded)), names=recipient.names, guessed=recipient.head.guessed)


def _check_table(
    schema: Schema, table: Table, called: str, problems: Sequence[str], unfit: Mapping[str, str]
) -> None:
    schema.check_recipient(table, [variable.name for variable in schema.x], called, problems, unfit)
    if problems:
        hint = "Rename or recode these columns, or leave them out."
        raise SchemaError("`retain` cannot be carried along.", problems, hint)
