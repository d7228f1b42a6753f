"""fuse(): simulate fusion variables for a recipient survey."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.errors import ArgumentError, Problems, few, settle_seed, shown
from fusionpy.formats.atomic import check_writable
from fusionpy.formats.fst.writer import MOST_ROWS
from fusionpy.formats.notes import with_metadata
from fusionpy.formats.r_types import KIND_KEY, kind_of_field
from fusionpy.formats.stored import ENDINGS, is_fst, write_stored
from fusionpy.frames.digests import digest_columns, note_first, noted_columns
from fusionpy.frames.returned import return_table
from fusionpy.frames.tables import ROWS, Unreadable, as_table, take_names
from fusionpy.fusion.chunks import (
    MOST_NOTED,
    Drawing,
    DrawingPlan,
    check_redraw,
    noted,
    open_drawing,
    redrawn,
)
from fusionpy.fusion.memory import take_memory
from fusionpy.fusion.recipients import Recipient, open_recipient
from fusionpy.model import BLOCK_POOL, FusionModel
from fusionpy.model.archive import as_model
from fusionpy.progress import announce, tell_of_seed, track

__all__ = ["Key", "fuse", "fuse_keyed"]

ONE_FILE = 'fuse: one implicate has no margins of error; redraw="single" makes it look more like a survey'


@dataclass(frozen=True)
class Key:
    """How a file for R is to be ordered: by M, and then by the key of a data.table.

    Attributes
    ----------
    columns : tuple of str
        Retained columns that are the key of the file, after M.
    order : array of int64, optional
        Rows of the recipient in the order of the key. Missing: they are in that order already.
    """

    columns: tuple[str, ...] = ()
    order: NDArray[np.int64] | None = None

    def sorted(self, tables: Iterable[tuple[int, pa.Table]]) -> Iterator[tuple[int, pa.Table]]:
        """Put the rows of every implicate in order; one implicate is held at a time, if they are not yet."""
        if self.order is None:
            yield from tables
            return
        held: list[pa.Table] = []
        for implicate, table in tables:
            held.append(table)
            if sum(part.num_rows for part in held) == len(self.order):
                yield implicate, pa.concat_tables(held).take(self.order)
                held = []

    def noted(self, drawing: Drawing, recipient: Recipient) -> Drawing:
        """Note digests of the recipient's rows in the order in which they are written."""
        if self.order is None:
            return drawing
        moved = recipient.head.arrow(recipient.names).take(self.order)
        digests = digest_columns(as_table(moved), list(recipient.names)[:MOST_NOTED])
        attributes = {**drawing.attributes, ROWS: noted_columns(digests)}
        return replace(drawing, attributes=attributes, schema=with_metadata(drawing.schema, attributes))


def fuse(
    data: Any,
    fsn: FusionModel | str | os.PathLike[str],
    fsd: str | os.PathLike[str] | None = None,
    *,
    M: int = 1,
    retain: str | Sequence[str] | None = None,
    kblock: int = 10,
    margin: float = 2,
    cores: int = 1,
    seed: int | None = None,
    offset: int = 0,
    chunk: int | None = None,
    quiet: bool = False,
    memory: float | str | None = None,
    redraw: Literal["implicate", "record", "single"] = "implicate",
) -> Any:
    """Simulate a model's fusion variables for every record of a recipient survey, M times over.

    Parameters
    ----------
    data : pandas or polars DataFrame, pyarrow Table, or path
        The recipient survey: every predictor of the model, of the same kind, categories with the same levels
        in the same order, and its areas. A path is that of a Parquet file, of a folder of them, or of an
        ``.fst`` or ``.fsd`` file, of which no more than `memory` is held at a time.
    fsn : FusionModel or path
        What `train` returned, or wrote.
    fsd : path, optional
        Stream the result to this file instead of returning it: ``.parquet``, or ``.fsd`` or ``.fst``, which
        R's `fusionModel::read_fsd` reads, too. Peak memory then does not depend on M, nor, if `data` is a
        path, on the number of its rows.
    M : int
        Implicates.
    retain : str or sequence of str, optional
        Columns of `data` to carry along just as they are, an identifier for instance.
    kblock : int
        Nearest donors (5 to 30) that make a block's pool.
    margin : float
        Safety factor on the memory of a chunk; a negative whole number forces that many chunks, whatever
        `memory` is.
    cores : int
        Threads. The result does not depend on it.
    seed : int, optional
        Same seed, same draws. Missing: drawn, and recorded in the result's metadata.
    offset : int
        Number of the first row. A recipient in parts, each with the number of rows before it as its offset,
        gets the draws that it would get as a whole.
    chunk : int, optional
        Rows that a thread works on at a time, instead of what `margin` and `memory` allow (20,000 at most).
        The result does not depend on it.
    quiet : bool
        No progress.
    memory : int or str, optional
        Bytes, or text such as "2GB", that the recipient's codes and the chunks in hand may take, beside the
        model, the libraries, and what is returned. Codes that do not fit go to a temporary file. Half of what
        the machine, its container and its limits leave free, unless given. The result does not depend on it.
    redraw : {"implicate", "record", "single"}
        What of an implicate's chance all its records share. "implicate": the weights by which donors are
        drawn from pools, redrawn as the model has it, and the refit. "record": the refit alone; donors repeat
        less, an implicate looks more like a survey, and margins of error hold the truth as often. "single":
        nothing, for one data set (M = 1) that is to look like a survey, and can have no margins.

    Returns
    -------
    the kind of table that `data` is, pandas if it is a path
        ``M * n`` rows: column `M` (1 to M, ascending), the retained columns, the fusion variables in the
        model's order, with the donor's types and levels. Rows of an implicate are in the recipient's order.
        With `fsd`: the file's path, as a string. Seed, M, offset and method are kept in
        ``.attrs["fusionpy"]`` (pandas), the schema metadata (pyarrow), the file's (Parquet), or after the
        last column (fst: R does not look there); and digests of the recipient's columns, by which `analyze`
        notices rows in another order.

    Raises
    ------
    ArgumentError
        If arguments are wrong, or memory does not suffice for the least of chunks.
    SchemaError
        If columns do not match the model's; before anything is written.
    ArchiveError
        If `fsn` cannot be read.
    OutputError
        If `fsd` cannot be written.

    Warns
    -----
    FusionWarning
        If recipients lack values of a predictor that no donor lacked: the models take them for 0, or for none
        of the levels. If they are unlike the donors in a predictor: more than 5 % of them outside of the
        donors' range, or at levels that no donor has, or values some power of ten larger or smaller.

    Notes
    -----
    Ummel et al. (2024), "General strategy". Draws are a function of seed, implicate, step and row number
    alone: they do not depend on cores, chunks, on M, or on what else is drawn. Continuous values are always
    values of donors; a block's values always come from one donor. Weights redrawn record by record are, on
    average, the survey weights, which draw then.

    Examples
    --------
    >>> import fusionpy
    >>> donor, recipient = fusionpy.datasets.load_donor(), fusionpy.datasets.load_recipient()
    >>> model = fusionpy.train(donor, y=["electricity"], x=["region", "rooms"], refits=0, seed=1, quiet=True)
    >>> fused = fusionpy.fuse(recipient.head(3), model, M=2, retain="hid", seed=1, quiet=True)
    >>> fused.columns.to_list(), fused["M"].to_list()
    (['M', 'hid', 'electricity'], [1, 1, 1, 2, 2, 2])
    """
    how = {"M": M, "retain": retain, "kblock": kblock, "margin": margin, "cores": cores, "seed": seed}
    more = {"offset": offset, "chunk": chunk, "quiet": quiet, "memory": memory, "redraw": redraw}
    return fuse_keyed(data, fsn, fsd, Key(), **how, **more)


def fuse_keyed(
    data: Any,
    fsn: FusionModel | str | os.PathLike[str],
    fsd: str | os.PathLike[str] | None,
    key: Key,
    *,
    M: Any,
    retain: Any,
    kblock: Any,
    margin: Any,
    cores: Any,
    seed: Any,
    offset: Any = 0,
    chunk: Any = None,
    quiet: Any = False,
    memory: Any = None,
    redraw: Any = "implicate",
) -> Any:
    """Fuse as `fuse` does; a file's rows are in the order of a key, which is noted in it.

    Draws are those that `fuse` makes: rows are put in order after they are drawn.
    """
    problems = Problems(
        ArgumentError, "`fuse()` cannot start.", "See `help(fusionpy.fuse)` for what it takes."
    )
    _check_arguments(M, kblock, margin, cores, offset, chunk, redraw, problems)
    kept = take_names(retain, "retain", problems, once=True)
    seed_given = seed is not None
    seed = settle_seed(seed, problems)
    budget = take_memory(memory, problems)
    problems.stop()
    sources = {"data": data, "fsn": fsn}
    target = check_writable(fsd, "fsd", ENDINGS, sources, folders=True) if fsd is not None else None
    model = redrawn(as_model(fsn), redraw)
    recipient = open_recipient(data)
    clashes = _check_retained(recipient, kept, model, target)
    implicates = range(int(M))
    _check_length(target, len(implicates) * recipient.n_rows, M)
    _tell(None if seed_given else seed, M == 1 and model.options.redraw, quiet)
    opening = open_drawing(
        recipient,
        model,
        implicates,
        # A frame that is returned gets the retained columns as they are, at the end.
        kept if target is not None or recipient.stored is not None else [],
        DrawingPlan(seed, int(offset), int(kblock), int(cores), budget, margin, chunk),
        noted(model, seed, len(implicates), int(offset), recipient.n_rows, redraw),
        called="the model" if isinstance(fsn, FusionModel) else f"'{fsn}'",
        problems=clashes,
        folder=None if target is None else next(each for each in target.parents if each.is_dir()),
        note_rows=True,
    )
    with opening as drawing, track("fuse", len(implicates) * len(drawing.coded.starts), quiet) as tick:
        if target is not None:
            drawing = key.noted(drawing, recipient)
            schema = _for_r(drawing.schema, model, recipient, kept) if is_fst(target) else drawing.schema
            return _written(target, schema, key, drawing.tables(implicates, tick))
        # An empty piece keeps the levels even if there are no recipients.
        fused = pa.concat_tables([drawing.empty(), *(table for _, table in drawing.pieces(implicates, tick))])
    told = note_first(drawing.attributes, fused, recipient.n_rows)
    fused = fused.replace_schema_metadata(with_metadata(fused.schema, told).metadata)
    if recipient.stored is not None:
        return return_table(fused.unify_dictionaries(), recipient.kind, told)
    return return_table(fused, recipient.kind, told, recipient.head, kept, len(implicates))


def _tell(drawn_seed: int | None, is_one: bool, quiet: bool) -> None:
    """Say which seed was drawn, and that there is more to one implicate."""
    if drawn_seed is not None:
        tell_of_seed("fuse", drawn_seed, quiet)
    if is_one:
        announce(ONE_FILE, quiet)


def _check_length(target: Path | None, n_rows: int, M: Any) -> None:
    """Refuse more rows than R can read."""
    if target is not None and is_fst(target) and n_rows > MOST_ROWS:
        problem = f"`M` = {M} makes {n_rows:,} rows, more than R's data frames can have."
        raise ArgumentError(
            "`fsd` cannot be written as fst.", [problem], "Write Parquet, or fewer implicates."
        )


def _written(target: Path, schema: pa.Schema, key: Key, tables: Iterable[tuple[int, pa.Table]]) -> str:
    """Write implicates as they are drawn, each in the order of the key."""
    with write_stored(target, schema, ("M", *key.columns)) as write:
        for _, table in key.sorted(tables):
            write(table)
    return str(target)


def _check_arguments(
    M: int,
    kblock: int,
    margin: float,
    cores: int,
    offset: int,
    chunk: int | None,
    redraw: str,
    problems: Problems,
) -> None:
    """Note impossible values."""
    check_redraw(redraw, M, problems)
    for name, value, low, high in (
        ("M", M, 1, None),
        ("cores", cores, 1, None),
        ("offset", offset, 0, 2**62 - 1),
    ):
        problems.whole(name, value, low, high)
    if chunk is not None:
        problems.whole("chunk", chunk, 1, 2**62)
    problems.between("kblock", kblock, 5, BLOCK_POOL)
    is_number = isinstance(margin, int | float) and not isinstance(margin, bool)
    if not is_number or not 0 < abs(margin) < 1e300:
        problems.add(f"`margin` must be a number other than 0, not {shown(margin)}.")
    elif margin < 0 and not float(margin).is_integer():
        problems.add(f"`margin`, if negative, must be a whole number (of chunks), not {shown(margin)}.")


def _check_retained(
    recipient: Recipient, names: Sequence[str], model: FusionModel, target: Path | None
) -> list[str]:
    """Say which columns cannot be carried along, and why."""
    taken = {"M", *(variable.name for variable in model.schema.y)}
    unknown = [name for name in names if name not in recipient.names and name not in taken]
    found = [f"`retain` names {few(unknown, '`')}, not in `data`."] if unknown else []
    if both := [name for name in names if name in taken]:
        found.append(f"`retain` names {few(both, '`')}, which the result has of its own.")
    for_r = target is not None and is_fst(target)
    for name in names if target is not None else ():
        try:
            if name not in recipient.names:
                continue
            kind = recipient.head.plain_column(name).type
            if for_r and kind_of_field(pa.field(name, kind)) is None:
                found.append(f"`retain` names `{name}`: R has no columns of type {kind}.")
        except Unreadable as error:
            found.append(f"`retain` names `{name}`: a file cannot hold its {error}.")
    return found


def _for_r(schema: pa.Schema, model: FusionModel, recipient: Recipient, kept: Sequence[str]) -> pa.Schema:
    """Make whole numbers R's integers where all of them fit: its integer64 needs a package to be seen."""
    for place, field in enumerate(schema):
        is_told = KIND_KEY in (field.metadata or {})  # which of R's types it is
        if is_told or not pa.types.is_integer(field.type) or field.type.bit_width < 32:
            continue
        if field.name in kept:
            low, high = recipient.ends(field.name)
        elif field.name in model.donor_columns:  # every value drawn is one of theirs
            values = model.donors[:, model.donor_columns.index(field.name)]
            low, high = int(np.nanmin(values)), int(np.nanmax(values))
        else:
            continue
        if low > -(2**31) and high < 2**31:
            schema = schema.set(place, field.with_type(pa.int32()))
    return schema
