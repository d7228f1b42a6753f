"""Column data of fst files, read for a window of rows: numbers, strings and factors.

Sections 4 to 6 of the format's description. Nothing is trusted: whatever a file says about positions and
sizes is compared with what there is before anything is read or allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.formats import Damaged
from fusionpy.formats.fst.codecs import (
    ALGORITHMS,
    MOST_STORED,
    MOST_UNPACKED,
    decode_blocks,
    decompress,
    unpack,
)
from fusionpy.formats.fst.source import CUT, Source

__all__ = [
    "TEXT_RATIO",
    "has_levels",
    "levels_array",
    "read_annotation",
    "read_factor",
    "read_fixed",
    "read_strings",
    "strings_end",
]

MOST_TEXT = 2**31 - 1  # bytes of an Arrow array of strings
MOST_ANNOTATION = 1000  # bytes: the name of a time zone
# ZSTD can pack text 30,000 times over; 6,000 letters that are the same in all rows come to 4,000 times.
TEXT_RATIO, TEXT_ANYWAY = 2**12, 2**24
GROUPS_AT_ONCE, CODES_AT_ONCE, DECODED_AT_ONCE = 2**12, 2**16, 2**13
FIXED_RATIO = {8: 32, 12: 8, 13: 4}  # elements of an 8-byte group, by algorithm id
LATIN_1 = 1
INT32, UINT32 = np.dtype("<i4"), np.dtype("<u4")
ENTRY = np.dtype([("end", "<u8"), ("ends_id", "<u2"), ("text_id", "<u2"), ("ends_size", "<i4")])


def read_annotation(source: Source, position: int) -> tuple[str | None, int]:
    """Read a column's annotation, and where its elements start."""
    word = int.from_bytes(source.read(position, 4), "little")
    length = word & 0x7FFFFFFF
    source.check(position + 4, length)
    if not word >> 31:
        return None, position + 4 + length
    if length > MOST_ANNOTATION:
        raise Damaged("a column's time zone is too long")
    try:
        return source.read(position + 4, length).decode(), position + 4 + length
    except UnicodeDecodeError:
        raise Damaged("a column's time zone is not text") from None


def read_fixed(
    source: Source, position: int, n: int, first: int, stop: int, kind: np.dtype[Any]
) -> NDArray[Any]:
    """Read elements `first` to `stop` of a column of numbers.

    Parameters
    ----------
    source : Source
        Up to the column's end.
    position : int
        Of the column's blob.
    n : int
        Rows of the file.
    first, stop : int
        Of the window, from 0.
    kind : numpy.dtype
        Of an element.

    Returns
    -------
    (stop - first,) array of `kind`

    Raises
    ------
    Damaged
    """
    start = _skip_annotation(source, position)
    if first >= stop:
        return np.empty(0, dtype=kind)
    largest, second = struct.unpack("<II", source.read(start, 8))
    if largest:
        return _read_blocks(source, start, second, n, first, stop, kind)
    if second == 0:
        source.check(start + 8, n * kind.itemsize)
        content = source.read(start + 8 + first * kind.itemsize, (stop - first) * kind.itemsize)
        return np.frombuffer(content, dtype=kind)
    if second not in FIXED_RATIO:
        raise Damaged(f"a column is stored in an unknown way ({second})")
    group = FIXED_RATIO[second]
    source.check(start + 8, 8 * -(-n // group))
    low, high = first // group, -(-stop // group)
    packed = memoryview(source.read(start + 8 + 8 * low, 8 * (high - low)))
    elements = np.empty((high - low) * group, dtype=kind)
    for at in range(0, high - low, GROUPS_AT_ONCE):
        some = elements[at * group : (at + GROUPS_AT_ONCE) * group]
        some[:] = unpack(second, [packed[8 * at :][: len(some) // group * 8]], len(some), kind)[0]
    return elements[first - low * group : stop - low * group]


def _skip_annotation(source: Source, position: int) -> int:
    word = int.from_bytes(source.read(position, 4), "little")
    return position + 4 + (word & 0x7FFFFFFF)


def _read_blocks(
    source: Source, start: int, per_block: int, n: int, first: int, stop: int, kind: np.dtype[Any]
) -> NDArray[Any]:
    if not 1 <= per_block <= MOST_UNPACKED // kind.itemsize:
        raise Damaged(f"a column's blocks hold {per_block:,} elements, which the format does not allow")
    n_blocks = -(-n // per_block)
    body = 16 + 8 * n_blocks
    source.check(start, body)
    low, high = first // per_block, -(-stop // per_block)
    index = np.frombuffer(source.read(start + 8 + 8 * low, 8 * (high - low + 1)), dtype="<u8")
    edges = (index & np.uint64(2**48 - 1)).astype(np.int64)
    sizes = np.diff(edges)
    if edges[0] < body or sizes.min() < 1 or sizes.max() > MOST_STORED:
        raise Damaged("the index of a column's blocks is damaged")
    stored = source.read(start + int(edges[0]), int(edges[-1] - edges[0]))
    elements = decode_blocks(
        memoryview(stored),
        edges - edges[0],
        (index[:-1] >> np.uint64(48)).astype(np.int64),
        per_block,
        min(high * per_block, n) - low * per_block,
        kind,
    )
    return elements[first - low * per_block : stop - low * per_block]


def read_factor(
    source: Source, position: int, n: int, first: int, stop: int
) -> tuple[NDArray[np.int32], pa.Array]:
    """Read codes `first` to `stop` of a factor, and its levels.

    Returns
    -------
    codes : (stop - first,) int32
        From 0; -1 is missing.
    levels : pyarrow string Array
        As they are stored: one may be null, or occur twice.

    Raises
    ------
    Damaged
    """
    n_levels, codes_at = _factor_head(source, position)
    if n_levels == 0:
        return np.full(stop - first, -1, dtype=np.int32), pa.array([], pa.string())
    if not position + 16 < codes_at <= source.end:
        raise Damaged(CUT)
    levels = read_strings(source.before(codes_at), position + 16, n_levels, 0, n_levels).combine_chunks()
    codes = read_fixed(source, codes_at, n, first, stop, INT32)
    if not codes.flags.writeable:
        codes = codes.copy()
    for at in range(0, len(codes), CODES_AT_ONCE):
        some = codes[at : at + CODES_AT_ONCE]
        missing = some == np.int32(-(2**31))
        some -= 1  # of what is missing this makes the largest number
        some[missing] = -1
        if some.max() >= n_levels or some.min() < -1 or (some < 0).sum() > missing.sum():
            raise Damaged("a factor has a code that none of its levels has")
    return codes, levels


def has_levels(source: Source, position: int) -> bool:
    """Tell whether a factor has any levels; if not, its codes take no space, however many they are."""
    return _factor_head(source, position)[0] > 0


def _factor_head(source: Source, position: int) -> tuple[int, int]:
    version, n_levels, codes_at = struct.unpack("<IIQ", source.read(position, 16))
    if version > 1:
        raise Damaged(f"a factor is stored in version {version} of the format, which is not known")
    return n_levels, codes_at


def levels_array(codes: NDArray[np.int32], levels: pa.Array, ordered: bool) -> pa.DictionaryArray:
    """Make a dictionary array; a missing or repeated level, which Arrow's users do not expect, is dropped.

    Examples
    --------
    >>> array = levels_array(np.array([0, 1, 2, -1], np.int32), pa.array(["a", None, "a"]), ordered=False)
    >>> array.to_pylist(), array.dictionary.to_pylist()
    (['a', None, 'a', None], ['a'])
    """
    first = _first_places(levels)
    kept = first == np.arange(len(levels))
    if not kept.all():
        place = np.where(first < 0, -1, np.cumsum(kept)[first] - 1).astype(np.int32)
        levels, codes = levels.filter(pa.array(kept)), np.append(place, np.int32(-1))[codes]
    missing = codes < 0
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    buffers = [valid, pa.py_buffer(np.ascontiguousarray(codes))]
    indices = pa.Array.from_buffers(pa.int32(), len(codes), buffers)
    return pa.DictionaryArray.from_arrays(indices, levels, ordered=ordered)


def _first_places(strings: pa.Array) -> NDArray[np.intp]:
    """Tell where each string occurs first, -1 if it is null; by sorting, as hashes take more memory."""
    order = np.asarray(pc.array_sort_indices(strings)).astype(np.intp)  # stable, nulls last
    n = len(strings) - strings.null_count
    some = strings.take(pa.array(order[:n]))
    is_new = np.ones(n, dtype=np.bool_)
    is_new[1:] = pc.not_equal(some.slice(1), some.slice(0, max(n - 1, 0))).to_numpy(zero_copy_only=False)
    first = np.full(len(strings), -1, dtype=np.intp)
    first[order[:n]] = order[:n][is_new][np.cumsum(is_new) - 1]
    return first


@dataclass(frozen=True)
class _Vector:
    """What the first bytes of a vector of strings tell of it."""

    source: Source
    position: int
    n: int
    per_block: int
    compressed: bool
    encoding: int

    @classmethod
    def open(cls, source: Source, position: int, n: int) -> _Vector:
        flags, per_block = struct.unpack("<II", source.read(position, 8))
        if per_block == 0:
            raise Damaged("a column's blocks of text hold no strings")
        vector = cls(source, position, n, per_block, bool(flags & 1), flags >> 1 & 7)
        source.check(position, vector.body)
        return vector

    @property
    def n_blocks(self) -> int:
        return -(-self.n // self.per_block)

    @property
    def body(self) -> int:
        """Where the first block starts, from the vector's start."""
        return 8 + (16 if self.compressed else 8) * self.n_blocks

    def index(self, low: int, high: int) -> tuple[NDArray[Any], list[int]]:
        """Read the index entries of some blocks; where each starts, and where the last one ends."""
        width = 16 if self.compressed else 8
        before = int(low > 0)
        kind = ENTRY if self.compressed else np.dtype([("end", "<u8")])
        content = self.source.read(self.position + 8 + width * (low - before), width * (high - low + before))
        entries = np.frombuffer(content, dtype=kind)
        edges = [self.body] * (1 - before) + [int(end) for end in entries["end"]]
        if edges[0] < self.body or any(a >= b for a, b in pairwise(edges)):
            raise Damaged("the index of a column's text is damaged")
        return entries[before:], edges


def strings_end(source: Source, position: int, n: int) -> int:
    """Tell where a vector of strings ends."""
    if n == 0:
        return position
    vector = _Vector.open(source, position, n)
    end = position + vector.index(vector.n_blocks - 1, vector.n_blocks)[1][-1]
    source.check(position, end - position)
    return end


def read_strings(source: Source, position: int, n: int, first: int, stop: int) -> pa.ChunkedArray:
    """Read strings `first` to `stop` of a vector.

    Returns
    -------
    pyarrow string ChunkedArray
        One chunk, unless it is more text than that can hold.

    Raises
    ------
    Damaged
    """
    if first >= stop:
        return pa.chunked_array([], pa.string())
    vector = _Vector.open(source, position, n)
    low, high = first // vector.per_block, -(-stop // vector.per_block)
    entries, edges = vector.index(low, high)
    stored = memoryview(source.read(position + edges[0], edges[-1] - edges[0]))
    blocks = _blocks(vector, low, entries, edges, stored)
    chunks = [_strings(part, vector.encoding == LATIN_1) for part in _parts(blocks)]
    return pa.chunked_array(chunks, pa.string()).slice(first - low * vector.per_block, stop - first)


@dataclass(frozen=True)
class _Block:
    ends: NDArray[np.uint32]  # cumulative lengths
    missing: NDArray[np.bool_] | None
    text: bytes


def _blocks(
    vector: _Vector, low: int, entries: NDArray[Any], edges: list[int], stored: memoryview
) -> Iterator[_Block]:
    most, claimed = max(TEXT_ANYWAY, TEXT_RATIO * len(stored)), 0
    for i, entry in enumerate(entries.tolist()):
        block = stored[edges[i] - edges[0] : edges[i + 1] - edges[0]]
        m = min(vector.per_block, vector.n - (low + i) * vector.per_block)
        _, ends_id, text_id, ends_size = entry if vector.compressed else (*entry, 0, 0, 4 * m)
        bits_size = 4 * (1 + m // 32)
        # The bits of missing strings are never packed: they bound what a block can claim to hold.
        if ends_size < 0 or ends_size + bits_size > len(block):
            raise Damaged(CUT)
        if ends_id not in (0, 2, 4) or text_id not in (0, 1, 3):
            raise Damaged("text is packed in an unknown way")
        ends = unpack(ends_id, [block[:ends_size]], m, INT32)[0].view(UINT32)
        if (ends[1:] < ends[:-1]).any() or ends[-1] > MOST_TEXT:
            raise Damaged("the lengths of strings are damaged")
        text, size = block[ends_size + bits_size :], int(ends[-1])
        claimed += size
        if claimed > most:
            raise Damaged(f"{len(stored):,} bytes of text are said to unpack to more than {most:,}")
        yield _Block(
            ends,
            _missing(block[ends_size : ends_size + bits_size], m),
            decompress(ALGORITHMS[text_id].codec, [text], size) if size else b"",
        )


def _missing(bits: memoryview, m: int) -> NDArray[np.bool_] | None:
    if not bits[m // 8] >> m % 8 & 1:
        return None
    return np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=m, bitorder="little").view(np.bool_)


def _parts(blocks: Iterator[_Block]) -> Iterator[list[_Block]]:
    """Divide blocks where Arrow's offsets would overflow."""
    part: list[_Block] = []
    size = 0
    for block in blocks:
        if size + len(block.text) > MOST_TEXT:
            yield part
            part, size = [], 0
        part.append(block)
        size += len(block.text)
    yield part


def _strings(blocks: list[_Block], latin_1: bool) -> pa.Array:
    """Put blocks together as one array of strings."""
    n = sum(len(block.ends) for block in blocks)
    offsets = np.zeros(n + 1, dtype=np.int32)
    missing = np.zeros(n, dtype=np.bool_)
    row = base = 0
    for block in blocks:
        stop = row + len(block.ends)
        np.add(block.ends, base, out=offsets[row + 1 : stop + 1], casting="unsafe")
        if block.missing is not None:
            missing[row:stop] = block.missing
        row, base = stop, base + len(block.text)
    text = b"".join(block.text for block in blocks)
    valid = pa.py_buffer(np.packbits(~missing, bitorder="little")) if missing.any() else None
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(text)]
    if text.isascii():
        return pa.Array.from_buffers(pa.string(), n, buffers)
    array = pa.Array.from_buffers(pa.binary(), n, buffers)
    if not latin_1:
        try:
            return array.cast(pa.string())
        except pa.ArrowInvalid:  # R writes one encoding for all strings, but does not convert them to it
            pass
    starts = range(0, n, DECODED_AT_ONCE)
    return pa.concat_arrays([_decode(array.slice(at, DECODED_AT_ONCE), latin_1) for at in starts])


def _decode(array: pa.Array, latin_1: bool) -> pa.Array:
    """Decode strings, each different one once."""
    coded = array.dictionary_encode()
    strings = [None if each is None else _decoded(each, latin_1) for each in coded.dictionary.to_pylist()]
    return pa.array(strings, pa.string()).take(coded.indices)


def _decoded(text: bytes, latin_1: bool) -> str:
    try:
        return text.decode("latin-1" if latin_1 else "utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")
