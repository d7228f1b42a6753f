"""R's columns, in raw buffers, as Arrow's, and back.

A column is told by its name and one of the kinds of `fusionpy.formats.r_types`, which are R's own. Its
values come in pieces, each a buffer of what R has in memory: doubles, 32-bit integers (logical values and
factors' codes too), the bits of integer64, or texts that end with a zero byte each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import SchemaError
from fusionpy.formats.r_types import (
    INT_NA,
    KINDS,
    Kind,
    field_of,
    from_arrow,
    kind_of_field,
    to_arrow,
    zone_of_field,
)
from fusionpy.frames.levels import text_levels

__all__ = ["MOST_ROWS", "Packed", "read_frame", "tell_fields"]

ABSENT = "absent"  # a column that R has but did not send: its name is told, for errors to know of it
MOST_ROWS = 2**27  # of a piece: its buffer is well below 2 GiB, the most that R reads at once
FACTORS = ("factor", "ordered")
Put = Callable[[bytearray], int]


def read_frame(told: Mapping[str, Any], buffers: Sequence[bytearray]) -> pa.Table:
    """Make a table of what R packed; numbers are not copied.

    Parameters
    ----------
    told : mapping
        ``rows``, and ``columns``: of each its ``name``, ``kind``, ``pieces``, of factors ``levels``, of times
        ``zone``.
    buffers : sequence of bytearray
        Those that pieces and levels name by their places. They belong to the table from then on.

    Returns
    -------
    pyarrow.Table
        R's NA is null; a double's NaN is not. Columns that were not sent are of type null.

    Raises
    ------
    SchemaError
        If a factor is broken.

    Examples
    --------
    >>> piece = {"rows": 2, "buffer": 0}
    >>> column = {"name": "a", "kind": "integer", "pieces": [piece]}
    >>> sent = bytearray(np.array([7, -(2**31)], np.int32).tobytes())
    >>> read_frame({"rows": 2, "columns": [column]}, [sent])["a"].to_pylist()
    [7, None]
    """
    fields, arrays = [], []
    for column in told["columns"]:
        if column["kind"] == ABSENT:
            fields.append(pa.field(column["name"], pa.null()))
            arrays.append(pa.chunked_array([pa.nulls(told["rows"])]))
            continue
        kind = KINDS[column["kind"]]
        field = field_of(column["name"], kind, column.get("zone"))
        levels = _texts(column["levels"], buffers) if kind.name in FACTORS else None
        pieces = [_read_piece(kind, field, piece, levels, buffers) for piece in column["pieces"]]
        fields.append(field)
        arrays.append(pa.chunked_array(pieces, type=pieces[0].type if pieces else field.type))
    return pa.table(
        arrays, schema=pa.schema([f.with_type(a.type) for f, a in zip(fields, arrays, strict=True)])
    )


def _read_piece(
    kind: Kind,
    field: pa.Field,
    piece: Mapping[str, Any],
    levels: pa.Array | None,
    buffers: Sequence[bytearray],
) -> pa.Array:
    if kind.name == "character":
        return _texts(piece, buffers)
    values = np.frombuffer(buffers[piece["buffer"]], dtype="<i4" if kind.storage == 10 else kind.element)
    if levels is None:
        return to_arrow(kind, values, field.type)
    missing = values == INT_NA
    values -= 1  # in place: R counts from 1
    try:
        codes = pa.array(values, mask=missing if missing.any() else None)
        return pa.DictionaryArray.from_arrays(codes, levels, ordered=kind.name == "ordered")
    except (pa.ArrowException, IndexError):
        problem = f"`{field.name}`: a factor with codes that none of its {len(levels):,} levels has."
        raise SchemaError("A column cannot be used.", [problem], "Make it again with `factor()`.") from None


def _texts(piece: Mapping[str, Any], buffers: Sequence[bytearray]) -> pa.Array:
    """Texts that end with a zero byte each; ``missing`` has the places of those that are NA, from 0."""
    data = np.frombuffer(buffers[piece["buffer"]], dtype=np.uint8)
    is_end = data == 0
    ends = np.flatnonzero(is_end)
    missing = (
        np.frombuffer(buffers[piece["missing"]], dtype="<i4") if piece.get("missing") is not None else None
    )
    offsets = np.concatenate([[0], ends - np.arange(len(ends))])
    wide = len(data) >= 2**31
    offsets = offsets.astype(np.int64 if wide else np.int32)
    valid = None
    if missing is not None:
        is_valid = np.ones(len(ends), dtype=np.bool_)
        is_valid[missing] = False
        valid = pa.py_buffer(np.packbits(is_valid, bitorder="little"))
    return pa.Array.from_buffers(
        pa.large_string() if wide else pa.string(),
        len(ends),
        [valid, pa.py_buffer(offsets), pa.py_buffer(data[~is_end])],
    )


def tell_fields(table: pa.Table) -> dict[str, Any]:
    """Tell rows, and names and kinds of columns."""
    return {"rows": table.num_rows, "columns": [_tell(field) for field in table.schema]}


def _tell(field: pa.Field) -> dict[str, Any]:
    kind = kind_of_field(field)
    if kind is None:
        problem = f"`{field.name}`: {field.type}, which R does not have."
        raise SchemaError("A column cannot be given to R.", [problem], "Leave it out.")
    told: dict[str, Any] = {"name": field.name, "kind": kind.name}
    if kind.has_zone:
        told["zone"] = zone_of_field(field)
    return told


class Packed:
    """A table on its way to R, column by column: each is packed when it is asked for, and then let go.

    Parameters
    ----------
    table : pyarrow.Table
    most_rows : int
        Of a piece.

    Examples
    --------
    >>> buffers = []
    >>> packed = Packed(pa.table({"a": pa.array([1, None], pa.int32())}))
    >>> packed.pack(0, lambda buffer: buffers.append(buffer) or len(buffers) - 1)
    {'name': 'a', 'kind': 'integer', 'pieces': [{'rows': 2, 'buffer': 0}]}
    >>> np.frombuffer(buffers[0], np.int32)
    array([          1, -2147483648], dtype=int32)
    """

    def __init__(self, table: pa.Table, most_rows: int = MOST_ROWS) -> None:
        self.told = tell_fields(table)
        self._fields = list(table.schema)
        self._columns: list[pa.ChunkedArray | None] = list(table.columns)
        self._most_rows = most_rows

    def pack(self, place: int, put: Put) -> dict[str, Any]:
        """Pack one column: tell of it as `read_frame` takes it, and put its buffers where they are kept.

        Raises
        ------
        SchemaError
            If it has values that R cannot hold, or was packed before.
        """
        field, column = self._fields[place], self._columns[place]
        if column is None:
            raise SchemaError(f"Column `{field.name}` was packed before.")
        self._columns[place] = None
        told = _tell(field)
        kind = KINDS[told["kind"]]
        if kind.name in FACTORS:
            column = column.unify_dictionaries()
            levels = column.chunk(0).dictionary if column.num_chunks else pa.array([], pa.string())
            told["levels"] = _pack_texts([text_levels(levels)], put)
        starts = range(0, max(1, len(column)), self._most_rows)
        pieces = [column.slice(start, self._most_rows).chunks for start in starts]
        try:
            told["pieces"] = [_pack_piece(kind, chunks, put) for chunks in pieces]
        except ValueError as error:
            raise SchemaError("A column cannot be given to R.", [f"`{field.name}`: {error}."]) from None
        return told


def _pack_piece(kind: Kind, chunks: Sequence[pa.Array], put: Put) -> dict[str, Any]:
    if kind.name == "character":
        return _pack_texts(chunks, put)
    element = np.dtype("<i4") if kind.storage == 10 else kind.element
    n_rows = sum(len(chunk) for chunk in chunks)
    buffer = bytearray(n_rows * element.itemsize)
    out = np.frombuffer(buffer, dtype=element)
    start = 0
    for chunk in chunks:
        out[start : start + len(chunk)] = _numbers(kind, chunk)
        start += len(chunk)
    return {"rows": n_rows, "buffer": put(buffer)}


def _numbers(kind: Kind, chunk: pa.Array) -> NDArray[Any]:
    if kind.name not in FACTORS:
        return from_arrow(kind, chunk)
    codes = chunk.indices.cast(pa.int32())
    missing = codes.is_null().to_numpy(zero_copy_only=False)
    codes = np.array(codes.fill_null(0)) + np.int32(1)
    codes[missing] = INT_NA
    return np.asarray(codes)


def _pack_texts(chunks: Sequence[pa.Array], put: Put) -> dict[str, Any]:
    texts = pa.chunked_array([chunk.cast(pa.large_string()) for chunk in chunks], type=pa.large_string())
    missing = np.flatnonzero(texts.is_null().to_numpy()).astype("<i4")
    texts = pc.replace_substring(texts, "\0", "") if _has_zeros(texts) else texts
    nothing, end = (pa.scalar(each, pa.large_string()) for each in ("", "\0"))
    ended = pc.binary_join_element_wise(texts.fill_null(nothing), nothing, end)
    buffer = bytearray()
    for chunk in ended.chunks:
        offsets = np.frombuffer(chunk.buffers()[1], np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
        buffer += memoryview(chunk.buffers()[2])[offsets[0] : offsets[-1]] if len(chunk) else b""
    told: dict[str, Any] = {"rows": len(texts), "buffer": put(buffer)}
    if len(missing):
        told["missing"] = put(bytearray(missing.tobytes()))
    return told


def _has_zeros(texts: pa.ChunkedArray) -> bool:
    """Tell whether a text has a zero byte inside, which R cannot hold."""
    return bool(pc.any(pc.match_substring(texts, "\0")).as_py())
