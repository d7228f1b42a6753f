"""fuse(): simulate fusion variables for a recipient survey."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.drawing import draw_weights, simulate
from fusionpy.errors import ArgumentError, Problems, SchemaError, few, is_whole, settle_seed, shown
from fusionpy.formats.archive import read_fsn
from fusionpy.formats.aside import check_writable
from fusionpy.formats.fst_types import kind_of_field
from fusionpy.formats.fst_writer import MOST_ROWS
from fusionpy.formats.stored import ENDINGS, is_fst, with_metadata, write_stored
from fusionpy.frames import Table, Unreadable, as_table, return_table, take_names
from fusionpy.model import BLOCK_POOL, FusionModel
from fusionpy.progress import announce, track

__all__ = ["fuse"]

ROWS_MOST, ROWS_LEAST = 50_000, 1_000
BYTES_PER_CELL = 8 * 4  # a chunk's predictors, their copies for a step, and expectations


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
) -> Any:
    """Simulate a model's fusion variables for every record of a recipient survey, M times over.

    Parameters
    ----------
    data : pandas or polars DataFrame, or pyarrow Table
        The recipient survey: every predictor of the model, of the same kind, categories with the same levels
        in the same order.
    fsn : FusionModel or path
        What `train` returned, or wrote.
    fsd : path, optional
        Stream the result to this file instead of returning it: ``.parquet``, or ``.fsd`` or ``.fst``, which
        R's `fusionModel::read_fsd` reads, too. Peak memory then does not depend on M.
    M : int
        Implicates.
    retain : str or sequence of str, optional
        Columns of `data` to carry along just as they are, an identifier for instance.
    kblock : int
        Nearest donors (5 to 30) that make a block's pool.
    margin : float
        Safety factor on the memory of a chunk; a negative whole number forces that many chunks.
    cores : int
        Threads. The result does not depend on it.
    seed : int, optional
        Same seed, same draws. Missing: drawn, and recorded in the result's metadata.
    offset : int
        Number of the first row. A recipient in parts, each with the number of rows before it as its offset,
        gets the draws that it would get as a whole.
    chunk : int, optional
        Rows worked on at a time, instead of `margin`. The result does not depend on it.
    quiet : bool
        No progress.

    Returns
    -------
    the kind of table that `data` is
        ``M * n`` rows: column `M` (1 to M, ascending), the retained columns, the fusion variables in the
        model's order, with the donor's types and levels. Rows of an implicate are in the recipient's order.
        With `fsd`: the file's path, as a string. Seed, M, offset and method are kept in
        ``.attrs["fusionpy"]`` (pandas), the schema metadata (pyarrow), the file's (Parquet), or after the
        last column (fst: R does not look there).

    Raises
    ------
    ArgumentError
        If arguments are wrong.
    SchemaError
        If columns do not match the model's.
    ArchiveError
        If `fsn` cannot be read.
    OutputError
        If `fsd` cannot be written.

    Notes
    -----
    Ummel et al. (2024), "General strategy". Draws are a function of seed, implicate, step and row number
    alone: they do not depend on cores, chunks, on M, or on what else is drawn. Continuous values are always
    values of donors; a block's values always come from one donor.

    Examples
    --------
    >>> import fusionpy
    >>> donor, recipient = fusionpy.datasets.load_donor(), fusionpy.datasets.load_recipient()
    >>> model = fusionpy.train(donor, y=["electricity"], x=["region", "rooms"], refits=0, seed=1, quiet=True)
    >>> fused = fusionpy.fuse(recipient.head(3), model, M=2, retain="hid", seed=1, quiet=True)
    >>> fused.columns.to_list(), fused["M"].to_list()
    (['M', 'hid', 'electricity'], [1, 1, 1, 2, 2, 2])
    """
    problems = Problems(
        ArgumentError, "`fuse()` cannot start.", "See `help(fusionpy.fuse)` for what it takes."
    )
    _check_arguments(M, kblock, margin, cores, offset, chunk, problems)
    kept = take_names(retain, "retain", problems, once=True)
    seed_given = seed is not None
    seed = settle_seed(seed, problems)
    problems.stop()
    target = check_writable(fsd, "fsd", ENDINGS) if fsd is not None else None
    model = fsn if isinstance(fsn, FusionModel) else read_fsn(fsn)
    table = as_table(data)
    x_names = [variable.name for variable in model.schema.x]
    clashes = _check_retained(table, kept, model, target)
    model.schema.check_recipient(
        table, x_names, "the model" if isinstance(fsn, FusionModel) else f"'{fsn}'", clashes
    )
    if target is not None and is_fst(target) and int(M) * table.n_rows > MOST_ROWS:
        problem = f"`M` = {M} makes {int(M) * table.n_rows:,} rows, more than R's data frames can have."
        raise ArgumentError(
            "`fsd` cannot be written as fst.", [problem], "Write Parquet, or fewer implicates."
        )
    if clashes:
        raise SchemaError(
            "`retain` cannot be carried along.", clashes, "Rename or recode these columns, or leave them out."
        )
    attributes: dict[str, object] = {
        "seed": seed,
        "M": int(M),
        "offset": int(offset),
        "method": model.options.method,
        "model_seed": model.seed,
        "fusionpy": model.versions["fusionpy"],
    }
    if not seed_given:
        announce(f"fuse: seed {seed} was drawn; give it again to repeat this result", quiet)
    x = model.schema.encode(table, x_names)
    # A table that is returned gets the retained columns as they are, at the end.
    retained = table.arrow(kept if target is not None else [])
    rows = _chunk_rows(table.n_rows, len(model.schema.names), margin, cores, chunk)
    schema = with_metadata(_result_schema(model, retained), attributes)

    def draw(implicate: int, start: int) -> NDArray[np.float64]:
        part = x[start : start + rows]
        return simulate(
            model,
            part,
            seed=seed,
            implicate=implicate,
            first=int(offset) + start,
            kblock=int(kblock),
            weight=draw_weights(model, seed, implicate),
        )

    starts = range(0, table.n_rows, rows)
    with track("fuse", int(M) * len(starts), quiet) as tick:
        work = product(range(int(M)), starts)
        drawn = in_order(draw, product(range(int(M)), starts), int(cores), tick)
        pieces = (
            _piece(model, schema, implicate, values, retained.slice(start, len(values)))
            for (implicate, start), values in zip(work, drawn, strict=True)
        )
        if target is not None:
            written = _for_r(schema, model, retained) if is_fst(target) else schema
            with write_stored(target, written) as write:
                for piece in pieces:
                    write(piece)
            return str(target)
        # An empty piece keeps the levels even if there are no recipients.
        empty = _piece(model, schema, 0, np.empty((0, len(model.schema.y))), retained.slice(0, 0))
        fused = pa.concat_tables([empty, *pieces])
    return return_table(fused, table.kind, attributes, table, kept, int(M))


def in_order(
    draw: Callable[[int, int], NDArray[np.float64]],
    work: Iterable[tuple[int, int]],
    cores: int,
    tick: Callable[[], None],
) -> Iterator[NDArray[np.float64]]:
    """Run pieces on several threads, yield them in order, and hold no more than the threads need.

    Parameters
    ----------
    draw : callable
        Of an implicate and a first row.
    work : iterable of (implicate, first row)
    cores : int
    tick : callable
        Called when a piece is done.

    Yields
    ------
    (n, q) float64
    """
    ahead = iter(work)
    waiting: deque[Future[NDArray[np.float64]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            for _ in range(cores):
                if (item := next(ahead, None)) is not None:
                    waiting.append(pool.submit(draw, *item))
            while waiting:
                done = waiting.popleft().result()
                if (item := next(ahead, None)) is not None:
                    waiting.append(pool.submit(draw, *item))
                tick()
                yield done
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _check_arguments(
    M: int, kblock: int, margin: float, cores: int, offset: int, chunk: int | None, problems: Problems
) -> None:
    """Note impossible values."""
    for name, value, low, high in (
        ("M", M, 1, 2**31),
        ("cores", cores, 1, 2**31),
        ("offset", offset, 0, 2**62),
    ):
        if not is_whole(value, low):
            problems.add(f"`{name}` must be a whole number of at least {low}, not {shown(value)}.")
        elif value >= high:
            problems.add(f"`{name}` is too large: {shown(value)}.")
    if chunk is not None and not is_whole(chunk, 1):
        problems.add(f"`chunk` must be a number of rows, at least 1, not {shown(chunk)}.")
    if not is_whole(kblock, 5) or kblock > BLOCK_POOL:
        problems.add(f"`kblock` must be a whole number from 5 to {BLOCK_POOL}, not {shown(kblock)}.")
    is_number = isinstance(margin, int | float) and not isinstance(margin, bool)
    if not is_number or not 0 < abs(margin) < 1e300:
        problems.add(f"`margin` must be a number other than 0, not {shown(margin)}.")
    elif margin < 0 and not float(margin).is_integer():
        problems.add(f"`margin`, if negative, must be a whole number (of chunks), not {shown(margin)}.")


def _check_retained(table: Table, names: Sequence[str], model: FusionModel, target: Path | None) -> list[str]:
    """Say which columns cannot be carried along, and why."""
    taken = {"M", *(variable.name for variable in model.schema.y)}
    unknown = [name for name in names if name not in table.names and name not in taken]
    found = [f"`retain` names {few(unknown, '`')}, not in `data`."] if unknown else []
    if both := [name for name in names if name in taken]:
        found.append(f"`retain` names {few(both, '`')}, which the result has of its own.")
    for_r = target is not None and is_fst(target)
    for name in names if target is not None else ():
        try:
            if name not in table.names:
                continue
            kind = table.column(name).type
            if for_r and kind_of_field(pa.field(name, kind)) is None:
                found.append(f"`retain` names `{name}`: R has no columns of type {kind}.")
        except Unreadable as error:
            found.append(f"`retain` names `{name}`: a file cannot hold its {error}.")
    return found


def _chunk_rows(n: int, columns: int, margin: float, cores: int, chunk: int | None) -> int:
    if chunk is not None:
        return int(chunk)
    if margin < 0:
        return max(1, -(-n // int(-margin)))
    fits = int(_free_memory() / (4 * margin * cores * columns * BYTES_PER_CELL))
    return max(ROWS_LEAST, min(ROWS_MOST, fits))


def _free_memory() -> int:
    """Bytes of memory that are free, or a modest guess where the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return 2**30


def _result_schema(model: FusionModel, retained: pa.Table) -> pa.Schema:
    fields = [pa.field("M", pa.int32()), *retained.schema]
    fields += [pa.field(variable.name, variable.arrow_type) for variable in model.schema.y]
    return pa.schema(fields)


def _for_r(schema: pa.Schema, model: FusionModel, retained: pa.Table) -> pa.Schema:
    """Make whole numbers R's integers where all of them fit: its integer64 needs a package to be seen."""
    for place, field in enumerate(schema):
        if not pa.types.is_integer(field.type) or field.type.bit_width < 32 or field.metadata:
            continue  # metadata tell which of R's types it is
        if field.name in retained.column_names:
            ends = pc.min_max(retained.column(field.name)).as_py()
            low, high = ends["min"] or 0, ends["max"] or 0
        elif field.name in model.donor_columns:  # every value drawn is one of theirs
            values = model.donors[:, model.donor_columns.index(field.name)]
            low, high = np.nanmin(values), np.nanmax(values)
        else:
            continue
        if low > -(2**31) and high < 2**31:
            schema = schema.set(place, field.with_type(pa.int32()))
    return schema


def _piece(
    model: FusionModel, schema: pa.Schema, implicate: int, drawn: NDArray[np.float64], retained: pa.Table
) -> pa.Table:
    """One chunk of one implicate, in the donor's types."""
    columns = [pa.array(np.full(len(drawn), implicate + 1, dtype=np.int32)), *retained.columns]
    columns += [variable.decode(drawn[:, j]) for j, variable in enumerate(model.schema.y)]
    return pa.Table.from_arrays(columns, schema=schema)
