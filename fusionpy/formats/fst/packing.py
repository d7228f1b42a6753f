"""Columns of fst files, packed block by block as they come.

Which algorithm a block gets is R's choice (section 8 of the format's description): the larger `compress`, the
more blocks get the stronger one. A column keeps its last, unfinished block until more rows come.
"""

from __future__ import annotations

import io
import struct
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.formats.fst.codecs import ALGORITHMS, MOST_UNPACKED, compress, encode_blocks
from fusionpy.formats.fst.columns import ENTRY, TEXT_RATIO
from fusionpy.formats.r_types import Kind, from_arrow
from fusionpy.frames.levels import text_levels

__all__ = ["FactorColumn", "NumberColumn", "Spool", "TextColumn", "column_of", "text_vector"]

STRINGS = 2047  # of a block
BUFFERED = 2**16  # bytes of a column that are held before they go to the spool
COPIED = 2**20
UTF_8 = 2
# Weak and strong algorithm at `compress` 1 to 50 and 51 to 100, by storage type.
CHOICES = {
    8: ((0, 2), (2, 4)),
    9: ((0, 1), (1, 3)),
    10: ((8, 7), (7, 9)),
    11: ((0, 5), (5, 6)),
    12: ((0, 1), (1, 3)),
}
FEW_LEVELS = ((12, 10), (10, 14))
MORE_LEVELS = ((11, 15), (15, 15))
TEXT_ENDS, TEXT = CHOICES[8], CHOICES[9]


def _algorithm(choices: tuple[tuple[int, int], tuple[int, int]], level: int, number: int) -> int:
    """Choose a block's algorithm: the strong one for a share of the blocks, evenly spread."""
    upper = level > 50
    share = level - 50 if upper else level
    return choices[upper][(number + 1) * share // 50 > number * share // 50]


class Spool:
    """A temporary file that several columns write to, bit by bit, and are read back from one by one."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.end = 0

    def strand(self) -> Strand:
        """Begin a column's bytes."""
        return Strand(self)


class Strand:
    """One column's bytes in a spool."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.size = 0
        self.pieces: list[tuple[int, int]] = []
        self.buffer = bytearray()

    def write(self, content: bytes) -> None:
        """Append bytes."""
        self.buffer += content
        self.size += len(content)
        if len(self.buffer) >= BUFFERED:
            self.spool.file.seek(self.spool.end)
            self.spool.file.write(self.buffer)
            self.pieces.append((self.spool.end, len(self.buffer)))
            self.spool.end += len(self.buffer)
            self.buffer = bytearray()

    def clear(self) -> None:
        """Forget all of them."""
        self.size, self.pieces, self.buffer = 0, [], bytearray()

    def copy_to(self, out: IO[bytes]) -> None:
        """Write all of them to another file."""
        for start, size in self.pieces:
            self.spool.file.seek(start)
            for done in range(0, size, COPIED):
                out.write(self.spool.file.read(min(COPIED, size - done)))
        out.write(self.buffer)


class NumberColumn:
    """A column of fixed-width elements: everything but text and factors."""

    def __init__(self, strand: Strand, kind: Kind, level: int, zone: str | None = None) -> None:
        self.strand, self.kind, self.level, self.zone = strand, kind, level, zone
        self.choices = CHOICES.get(kind.storage, FEW_LEVELS)
        self.is_raw = level == 0 and kind.storage not in (7, 10)
        self.per_block = MOST_UNPACKED // kind.element.itemsize
        self.rest: NDArray[Any] = np.empty(0, dtype=kind.element)
        self.n = 0
        self.sizes: list[int] = []
        self.algorithms: list[int] = []

    def append(self, array: pa.Array) -> None:
        """Add an Arrow array."""
        self.add(from_arrow(self.kind, array))

    def add(self, values: NDArray[Any]) -> None:
        """Add elements as they are stored."""
        self.n += len(values)
        if self.is_raw:
            self.strand.write(values.tobytes())
            return
        values = np.concatenate([self.rest, values])
        whole = len(values) // self.per_block * self.per_block
        self._pack(values[:whole].reshape(-1, self.per_block))
        self.rest = values[whole:].copy()

    def _pack(self, blocks: NDArray[Any]) -> None:
        first = len(self.sizes)
        chosen = [_algorithm(self.choices, self.level, first + i) for i in range(len(blocks))]
        for block in encode_blocks(blocks, chosen):
            self.strand.write(block)
            self.sizes.append(len(block))
        self.algorithms += chosen

    def finish(self) -> None:
        """Pack what is left."""
        if len(self.rest):
            self._pack(self.rest[None, :])
            self.rest = self.rest[:0]

    def head(self, position: int) -> bytes:
        """Lay out what stands before the strand's bytes, in a blob at `position`."""
        zone = None if self.zone is None else self.zone.encode()
        start = struct.pack("<I", 0 if zone is None else 2**31 | len(zone)) + (zone or b"")
        if self.n == 0:
            return start
        if self.is_raw:
            return start + bytes(8)
        n_blocks = len(self.sizes)
        edges = 16 + 8 * n_blocks + np.cumsum([0, *self.sizes], dtype=np.uint64)
        index = edges | np.array([*self.algorithms, 0], dtype=np.uint64) << np.uint64(48)
        return start + struct.pack("<II", max(self.sizes), self.per_block) + index.astype("<u8").tobytes()


class TextColumn:
    """A vector of strings."""

    def __init__(self, strand: Strand, level: int) -> None:
        self.strand, self.level = strand, level
        self.rest = pa.array([], pa.large_string())
        self.entries: list[tuple[int, int, int, int]] = []
        self.is_ascii = True

    def append(self, array: pa.Array) -> None:
        """Add an Arrow array of strings."""
        array = pa.concat_arrays([self.rest, array.cast(pa.large_string())])
        whole = len(array) // STRINGS * STRINGS
        for start in range(0, whole, STRINGS):
            self._pack(array.slice(start, STRINGS))
        self.rest = array.slice(whole)

    def finish(self) -> None:
        """Pack what is left."""
        if len(self.rest):
            self._pack(self.rest)
            self.rest = self.rest.slice(0, 0)

    def _pack(self, array: pa.Array) -> None:
        missing = pc.is_null(array).to_numpy(zero_copy_only=False)
        array = array.fill_null("NA")  # R stores these letters, too
        _, offsets, text = array.buffers()
        starts = np.frombuffer(offsets, np.int64, len(array) + 1, 8 * array.offset)
        if starts[-1] - starts[0] >= 2**31:
            raise ValueError("strings that are too long")
        written = bytes(text[int(starts[0]) : int(starts[-1])]) if text is not None else b""
        if b"\0" in written:
            raise ValueError("strings with a zero byte, which R's cannot have")
        self.is_ascii &= written.isascii()
        ends = (starts[1:] - starts[0]).astype("<u4")
        bits = np.zeros(32 * (1 + len(array) // 32), dtype=np.uint8)
        bits[: len(array)] = missing
        bits[len(array)] = missing.any()
        ends_id, text_id = 0, 0
        if self.level:
            ends_id = _algorithm(TEXT_ENDS, self.level, len(self.entries))
            text_id = _algorithm(TEXT, self.level, len(self.entries))
        packed_ends = encode_blocks(ends.view("<i4")[None, :], [ends_id])[0]
        packed = compress(ALGORITHMS[text_id].codec, written)
        if len(written) > TEXT_RATIO * (len(packed_ends) + len(bits) // 8 + len(packed)):
            text_id, packed = TEXT[0][1], compress("lz4", written)  # no reader need believe that ratio
        self.strand.write(packed_ends)
        self.strand.write(np.packbits(bits, bitorder="little").tobytes())
        self.strand.write(packed)
        self.entries.append((self.strand.size, ends_id, text_id, len(packed_ends)))

    def head(self, position: int) -> bytes:
        """Lay out what stands before the strand's bytes, in a blob at `position`."""
        if not self.entries:
            return b""
        index = np.array(self.entries, dtype=ENTRY)
        index["end"] += np.uint64(8 + (16 if self.level else 8) * len(index))
        flags = int(self.level > 0) | (0 if self.is_ascii else UTF_8 << 1)
        rest = index.tobytes() if self.level else index["end"].tobytes()
        return struct.pack("<II", flags, STRINGS) + rest


def text_vector(array: pa.Array, level: int) -> bytes:
    """Lay out a whole vector of strings: names or levels."""
    out = io.BytesIO()
    column = TextColumn(Spool(io.BytesIO()).strand(), level)
    column.append(array)
    column.finish()
    out.write(column.head(0))
    column.strand.copy_to(out)
    return out.getvalue()


class FactorColumn:
    """A factor: its levels are those of the first table, and whatever later ones add."""

    def __init__(self, strand: Strand, kind: Kind, level: int) -> None:
        self.strand, self.level = strand, level
        self.codes = NumberColumn(strand, kind, level)
        self.levels = pa.array([], pa.string())

    def append(self, array: pa.DictionaryArray) -> None:
        """Add an Arrow dictionary of text, numbers, truth values or times."""
        levels = text_levels(array.dictionary)
        if not levels.equals(self.levels):
            known = pa.concat_arrays([self.levels, levels])
            self.levels = pc.unique(known).drop_null()
        place = pc.index_in(levels, value_set=self.levels).fill_null(-1).to_numpy(zero_copy_only=False)
        code = np.append(np.where(place < 0, np.int32(-(2**31)), place + 1), -(2**31)).astype(np.int32)
        indices = array.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
        n = len(self.levels)
        self.codes.choices = FEW_LEVELS if n < 128 else MORE_LEVELS if n < 32768 else CHOICES[8]
        self.codes.add(code[indices])

    def finish(self) -> None:
        """Pack what is left."""
        self.codes.finish()

    def head(self, position: int) -> bytes:
        """Lay out what stands before the strand's bytes, in a blob at `position`."""
        if not len(self.levels):
            self.strand.clear()
            return struct.pack("<IIQ", 1, 0, position + 16)
        levels = text_vector(self.levels, self.level)
        start = struct.pack("<IIQ", 1, len(self.levels), position + 16 + len(levels))
        return start + levels + self.codes.head(0)


def column_of(
    spool: Spool, kind: Kind, level: int, zone: str | None
) -> NumberColumn | TextColumn | FactorColumn:
    """Begin a column."""
    if kind.storage == 6:
        return TextColumn(spool.strand(), level)
    if kind.storage == 7:
        return FactorColumn(spool.strand(), kind, level)
    return NumberColumn(spool.strand(), kind, level, zone)
