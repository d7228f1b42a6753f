"""A folder of Parquet files, read as one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from fusionpy.formats.base import HINT, Stored, unreadable_told
from fusionpy.formats.folders import Part, parts_of
from fusionpy.formats.labels import Run
from fusionpy.formats.notes import with_metadata
from fusionpy.formats.parquet import open_parquet
from fusionpy.formats.stored_levels import with_guessed_levels
from fusionpy.formats.widths import Different, brought, common_schema

__all__ = ["is_finished", "open_folder"]

AGAIN = "Call `fusionpy.distributed.fuse()` again: it makes this file anew."


def open_folder(folder: Path) -> Stored:
    """Open a folder, of which see `fusionpy.formats.folders.parts_of`; only heads of files are read."""
    parts, noted = parts_of(folder)
    first = _open_part(parts[0])
    labelled = parts[0].label is not None
    known = all(part.n_rows is not None for part in parts)
    opened = [] if known else [_open_part(part) for part in parts]
    starts = np.cumsum([0, *([part.n_rows for part in parts] if known else [one.n_rows for one in opened])])
    schema = _shared_schema(opened, first)
    schema = _with_labels(schema) if labelled else schema
    if noted is not None:
        schema = with_metadata(schema, noted)
    edges = {0, *starts.tolist()}
    for start, one in zip(starts.tolist(), opened, strict=False):
        edges |= {start + edge for edge in one.edges or ()}

    def read(at: int, n_rows: int, names: Sequence[str], cores: int) -> pa.Table:
        chosen = np.flatnonzero((starts[:-1] < at + n_rows) & (starts[1:] > at)).tolist()
        if not chosen:  # no rows, but levels
            chosen = np.flatnonzero((starts[:-1] <= at) & (starts[1:] > at)).tolist() or [0]
        tables = []
        for p in chosen:
            low, high = (int(np.clip(row, starts[p], starts[p + 1]) - starts[p]) for row in (at, at + n_rows))
            size = int(starts[p + 1] - starts[p])
            tables.append(_read_part(parts[p], size, low, high - low, names, schema, cores))
        return pa.concat_tables(tables).replace_schema_metadata(schema.metadata)

    def runs() -> Iterator[Run]:
        for p, part in enumerate(parts):
            if labelled:
                yield part.label, int(starts[p + 1] - starts[p])
            else:
                yield from opened[p].runs()

    attributes = first.attributes if noted is None else noted
    told = {name: each for name, each in first.told.items() if each.levels is None}
    for one in opened:  # which may tell of other numbers of levels
        for name, each in told.items():
            if one.told.get(name, each).n_levels != each.n_levels:
                told[name] = replace(each, n_levels=0)
    n_rows, pieces = int(starts[-1]), tuple(sorted(edges))
    return with_guessed_levels(Stored(folder, schema, n_rows, attributes, labelled, pieces, read, runs, told))


def _open_part(part: Part) -> Stored:
    with unreadable_told(part.path, AGAIN if part.noted else HINT):
        return open_parquet(part.path)


def is_finished(part: Part) -> bool:
    """Tell whether a file of a data set is there, whole as far as its foot tells, and what it should be."""
    try:
        one = open_parquet(part.path)
    except (pa.ArrowException, OSError, ValueError):
        return False
    return set(part.notes) <= set(one.attributes) and part.amiss(one.n_rows, one.attributes) is None


def _shared_schema(opened: Sequence[Stored], first: Stored) -> pa.Schema:
    """Find types that hold the columns of all files of a data set, or refuse files with different columns."""
    others = [one for one in opened if not one.schema.equals(first.schema)]
    try:
        every = [first, *others]
        return common_schema([one.schema for one in every], [one.path.name for one in every])
    except Different as difference:
        raise OSError(str(difference)) from None


def _with_labels(schema: pa.Schema) -> pa.Schema:
    """Put column M, which the folders' names tell, before the others."""
    place = schema.get_field_index("M")
    return (schema if place < 0 else schema.remove(place)).insert(0, pa.field("M", pa.int32()))


def _read_part(
    part: Part, size: int, first: int, n_rows: int, names: Sequence[str], schema: pa.Schema, cores: int
) -> pa.Table:
    """Read rows of one file, whose name may tell column M."""
    one = _open_part(part)
    with unreadable_told(part.path, AGAIN if part.noted else HINT):
        if one.n_rows != size:
            raise OSError(f"It has {one.n_rows:,} rows, and should have {size:,}")
        if amiss := part.amiss(one.n_rows, one.attributes):
            raise OSError(amiss)
    own = [name for name in names if name != "M" or part.label is None]
    columns = dict(zip(own, one.read(first, n_rows, own, cores).columns, strict=True))
    if len(own) < len(names):
        columns["M"] = pa.chunked_array([np.full(n_rows, part.label, dtype=np.int32)])
    with unreadable_told(part.path, AGAIN if part.noted else HINT):
        try:
            return brought(pa.table({name: columns[name] for name in names}), schema)
        except Different as difference:
            raise OSError(f"Its {difference}") from None
