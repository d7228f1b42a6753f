"""Fst files of implicates, as R's `read_fsd` reads them, read and written as tables of any format are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from fusionpy.formats.base import ROWS_AT_ONCE, Append, Format, Stored
from fusionpy.formats.fst import FstFile, open_fst
from fusionpy.formats.fst.writer import FstWriter
from fusionpy.formats.labels import Run, runs_of
from fusionpy.formats.notes import noted_attributes, with_metadata
from fusionpy.frames.levels import noted_types, typed_levels

__all__ = ["FST"]

LEVELS = "levels"  # in the note of a file: types of levels that it has as text
ZONELESS = "zoneless"  # likewise: times that R has in UTC, and that had no zone
COMPRESS = 90  # as the reference writes them


def _open(path: Path) -> Stored:
    file: FstFile = open_fst(path)
    made = noted_attributes(file.schema)
    schema, typed = _retyped_schema(file, made.pop(LEVELS, None), made.pop(ZONELESS, None))
    schema = schema.remove_metadata() if not made else with_metadata(schema, made)

    def read(first: int, n_rows: int, names: Sequence[str], cores: int) -> pa.Table:
        table = file.read(list(names), first, n_rows, cores=cores)
        columns = [
            _retyped(column, typed[name]) if name in typed else column.cast(schema.field(name).type)
            for name, column in zip(names, table.columns, strict=True)
        ]
        fields = [schema.field(name) for name in names]
        return pa.Table.from_arrays(columns, schema=pa.schema(fields, schema.metadata))

    def runs() -> Iterator[Run]:
        for start, n_rows in stored.windows(0, file.n_rows, ROWS_AT_ONCE):
            yield from runs_of(read(start, n_rows, ["M"], 1).column("M").combine_chunks())

    is_sorted = file.keys[:1] == ("M",)
    stored = Stored(path, schema, file.n_rows, made, is_sorted, None, read, runs, keys=file.keys)
    return stored


def _retyped_schema(file: FstFile, levels: Any, zoneless: Any) -> tuple[pa.Schema, dict[str, pa.Array]]:
    """Give columns the types that are noted: levels that are no text, and times that had no zone."""
    schema, typed = file.schema, {}
    for name, kind in levels.items() if isinstance(levels, dict) else ():
        place = schema.get_field_index(name)
        if place < 0 or not pa.types.is_dictionary(schema.field(place).type):
            continue
        texts = file.read([name], 0, 0).column(0).combine_chunks().dictionary
        values = typed_levels(texts, str(kind))
        if values is not None:
            typed[name] = values
            ordered = schema.field(place).type.ordered
            kind = pa.dictionary(pa.int32(), values.type, ordered=ordered)
            schema = schema.set(place, schema.field(place).with_type(kind))
    for name in zoneless if isinstance(zoneless, list) else ():
        place = schema.get_field_index(name) if isinstance(name, str) else -1
        if place >= 0 and getattr(schema.field(place).type, "tz", None) == "UTC":
            field = schema.field(place)
            schema = schema.set(place, field.with_type(pa.timestamp(field.type.unit)))
    return schema, typed


def _retyped(column: pa.ChunkedArray, levels: pa.Array) -> pa.ChunkedArray:
    """Put levels of another type in the place of a factor's texts."""
    kind = pa.dictionary(pa.int32(), levels.type, ordered=column.type.ordered)
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.indices, levels, ordered=column.type.ordered)
        for chunk in column.chunks
    ]
    return pa.chunked_array(chunks, kind)


@contextmanager
def _write(target: Path, schema: pa.Schema, keys: Sequence[str]) -> Iterator[Append]:
    zoneless = [each.name for each in schema if pa.types.is_timestamp(each.type) and each.type.tz is None]
    told = {LEVELS: noted_types(schema), ZONELESS: zoneless}
    told = {key: value for key, value in told.items() if value}
    if told:
        schema = with_metadata(schema, {**noted_attributes(schema), **told})
    with FstWriter(target, schema, COMPRESS, keys=keys) as writer:
        yield writer.append


FST = Format("fst", (".fsd", ".fst"), _open, _write, mark=(44, b"PAAP"))
