"""The head of an fst file: what columns it has, and where; read with every claim checked, and written.

Sections 1 and 2 of the format's description.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fusionpy.formats import Damaged
from fusionpy.formats.fst.codecs import hashed
from fusionpy.formats.fst.columns import read_annotation, read_strings, strings_end
from fusionpy.formats.fst.source import Source
from fusionpy.formats.notes import NOTE_KEY
from fusionpy.formats.r_types import Kind, kind_of

__all__ = [
    "FEW_ROWS",
    "Column",
    "Header",
    "data_start",
    "pack_header",
    "pack_note",
    "read_header",
    "read_note",
]

MAGIC = 0x50414150
NOTE_END = struct.Struct("<QI8s")  # hash and size of what stands before it, and the key
MOST_NOTE = 2**20  # bytes
ROWS_PER_BYTE = 2048  # no column packs its rows more tightly: 16384 elements need 8 bytes of index
FEW_ROWS = 2**14  # as many as columns that take no space at all may have
TABLE, CHUNKSET, NAMES, INDEX, DATA = 48, 80, 24, 96, 24  # sizes of the blocks, but for what each column adds
DAMAGED_HEAD = "its head is damaged"
DAMAGED_INDEX = "its index of columns is damaged"


@dataclass(frozen=True)
class Column:
    """Where a column lies, and what it holds."""

    name: str
    kind: Kind
    zone: str | None
    position: int
    end: int  # nothing behind it belongs to the column


@dataclass(frozen=True)
class Header:
    """What the head of a file tells."""

    n_rows: int
    keys: tuple[str, ...]
    columns: tuple[Column, ...]


def read_header(source: Source) -> Header:
    """Read and check the head of a file.

    Raises
    ------
    Damaged
    """
    if source.end < TABLE:
        raise Damaged("it is too short for an fst file")
    content = source.read(0, TABLE)
    own_hash, least, n_columns, n_keys = struct.unpack("<Q16xIi8xi4x", content)
    if own_hash != hashed(content[8:]):
        raise Damaged("it does not start as fst files do, or was written by fst before version 0.8.0")
    if least > 1:
        raise Damaged(f"it needs a reader of version {least} of the format, and this is one of version 1")
    if not 0 <= n_keys <= max(n_columns, 0):
        raise Damaged(DAMAGED_HEAD)
    position = TABLE
    keys: tuple[int, ...] = ()
    if n_keys:
        content = _checked(source, position, 8 + 4 * (n_keys + n_keys % 2), DAMAGED_HEAD)
        keys = struct.unpack_from(f"<{n_keys}i", content, 8)
        position += len(content)
        if not all(0 <= key < n_columns for key in keys):
            raise Damaged("its keys are columns that there are not")
    chunkset = _checked(source, position, CHUNKSET + 8 * n_columns, DAMAGED_HEAD)
    position += len(chunkset)
    _checked(source, position, NAMES, DAMAGED_HEAD)
    position += NAMES
    names = read_strings(source, position, n_columns, 0, n_columns).to_pylist()
    if None in names:
        raise Damaged("a column has no name")
    position = strings_end(source, position, n_columns)
    index = _checked(source, position, INDEX, DAMAGED_INDEX)
    position += INDEX
    data = _checked(source, position, DATA + 8 * n_columns, DAMAGED_INDEX)
    n_rows = _count_rows(source, chunkset, index)
    positions = struct.unpack_from(f"<{n_columns}Q", data, DATA)
    numbers = np.frombuffer(chunkset, dtype="<u2", offset=CHUNKSET).reshape(4, n_columns)
    ends = _ends(source, positions, position + len(data), n_rows)
    columns = []
    for name, at, end, attribute, storage, scale in zip(
        names, positions, ends, *numbers[:2].tolist(), numbers[3].astype(np.int16).tolist(), strict=True
    ):
        kind = kind_of(storage, attribute, scale)
        zone = read_annotation(source.before(end), at)[0] if kind.has_zone else None
        if zone is not None and not zone.isprintable():
            raise Damaged("a column's time zone is not text")
        columns.append(Column(name, kind, zone, at, end))
    return Header(n_rows, tuple(names[key] for key in keys), tuple(columns))


def _checked(source: Source, position: int, size: int, problem: str) -> bytes:
    """Read a block that starts with the hash of its rest."""
    content = source.read(position, size)
    if struct.unpack_from("<Q", content)[0] != hashed(content[8:]):
        raise Damaged(problem)
    return content


def _count_rows(source: Source, chunkset: bytes, index: bytes) -> int:
    (n_rows,) = struct.unpack_from("<Q", chunkset, 64)
    chunks = struct.unpack_from("<4Q", index, 64)
    if chunks != (n_rows, 0, 0, 0):
        raise Damaged("it gives two different numbers of rows")
    if n_rows > max(FEW_ROWS, ROWS_PER_BYTE * source.end):
        raise Damaged(f"it is said to have {n_rows:,} rows, more than {source.end:,} bytes can hold")
    return int(n_rows)


def _ends(source: Source, positions: Sequence[int], first: int, n_rows: int) -> list[int]:
    """Give each column the bytes up to the next one, so that no two can claim the same bytes."""
    borders = sorted({*positions, source.end})
    if positions and (borders[0] < first or borders[-1] > source.end):
        raise Damaged("a column lies where it cannot")
    if n_rows and len(set(positions)) < len(positions):
        raise Damaged("two columns lie in the same place")
    following = dict(zip(borders, [*borders[1:], source.end], strict=True))
    return [following[position] for position in positions]


def pack_note(note: bytes) -> bytes:
    """Lay out what is noted of a file behind its last column, where R does not look.

    Parameters
    ----------
    note : bytes
        Nothing is written of none.

    Returns
    -------
    bytes
    """
    return note + NOTE_END.pack(hashed(note), len(note), NOTE_KEY) if note else b""


def read_note(source: Source) -> bytes:
    """Read what is noted of a file; nothing if it has no sound note.

    Examples
    --------
    >>> import io
    >>> content = b"columns" + pack_note(b"made by me")
    >>> read_note(Source(io.BytesIO(content), len(content)))
    b'made by me'
    """
    if source.end < NOTE_END.size:
        return b""
    own_hash, size, key = NOTE_END.unpack(source.read(source.end - NOTE_END.size, NOTE_END.size))
    if key != NOTE_KEY or not 0 < size <= min(MOST_NOTE, source.end - NOTE_END.size):
        return b""
    note = source.read(source.end - NOTE_END.size - size, size)
    return note if own_hash == hashed(note) else b""


def data_start(n_columns: int, n_keys: int, names_size: int) -> int:
    """Tell where the first column lies: how long the head is.

    Parameters
    ----------
    n_columns, n_keys : int
    names_size : int
        Bytes of the vector of names.
    """
    keys_size = 8 + 4 * (n_keys + n_keys % 2) if n_keys else 0
    return TABLE + keys_size + CHUNKSET + NAMES + names_size + INDEX + DATA + 16 * n_columns


def pack_header(
    kinds: Sequence[Kind], n_rows: int, keys: Sequence[int], names: bytes, positions: Sequence[int]
) -> bytes:
    """Lay out the head of a file.

    Parameters
    ----------
    kinds : sequence of Kind
        Of the columns.
    n_rows : int
    keys : sequence of int
        Numbers of the key columns, from 0.
    names : bytes
        The vector of the columns' names.
    positions : sequence of int
        Of the columns' blobs in the file.

    Returns
    -------
    bytes
    """
    n, k = len(kinds), len(keys)
    key_index = _hash_first(struct.pack(f"<{k}i", *keys) + bytes(4 * (k % 2))) if k else b""
    table = struct.pack("<IiQIiQii", 1, 1, 0, 1, n, TABLE + len(key_index), k, MAGIC)
    numbers = [
        number
        for row in zip(
            *((kind.attribute, kind.storage, kind.base, kind.scale) for kind in kinds), strict=True
        )
        for number in row
    ]
    chunkset = struct.pack(f"<Ii6QQii{4 * n}H", 1, 0, *[0] * 6, n_rows, n, 0, *numbers)
    names_head = _hash_first(struct.pack("<IiQ", 1, 0, 0))
    before = _hash_first(table) + key_index + _hash_first(chunkset) + names_head + names
    data_at = len(before) + INDEX
    index = struct.pack("<IiQH6x4Q4Q", 1, 0, 0, 4, data_at, 0, 0, 0, n_rows, 0, 0, 0)
    data = struct.pack(f"<IiQ{n}Q", 1, 0, 0, *positions)
    return before + _hash_first(index) + _hash_first(data)


def _hash_first(content: bytes) -> bytes:
    return struct.pack("<Q", hashed(content)) + content
