"""How fst files pack blocks of elements: byte transforms (numpy) under LZ4 or ZSTD.

Sections 4.4 and 4.5 of the format's description; all transforms work on many blocks at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lz4.block
import numpy as np
import xxhash
import zstandard
from numpy.typing import NDArray

from fusionpy.formats import Damaged

__all__ = [
    "ALGORITHMS",
    "MOST_STORED",
    "MOST_UNPACKED",
    "compress",
    "decode_blocks",
    "decompress",
    "encode_blocks",
    "hashed",
    "unpack",
]

SEED = 912824571
MOST_UNPACKED = 16384  # bytes of a block of numbers: R's reader has buffers of this size
MOST_STORED = 17040
BLOCKS_AT_ONCE = 32  # half a megabyte: what is worked on stays in the processor's cache
LZ4_RATIO, ZSTD_RATIO = 255, 2**15  # no valid input is packed more tightly
ZSTD_LEAST = 9  # bytes of a frame with any content
PLAIN_RATIO = 8  # what is packed more tightly, and is large, is unpacked with more care
ZSTD_WINDOW = 2**23  # most memory that a frame may ask for in order to be unpacked bit by bit
READ_AT_ONCE = 2**16
ZSTD_LEVEL = 3
INT_NA = np.int32(-(2**31))
NOT_255 = re.compile(rb"[^\xff]", re.DOTALL)

Bytes = NDArray[np.uint8]
Elements = NDArray[Any]


def hashed(content: bytes) -> int:
    """Hash a header's block.

    Examples
    --------
    >>> hex(hashed(b"abc"))
    '0x1b2b6d69e56246e4'
    """
    return xxhash.xxh64_intdigest(content, seed=SEED)


@dataclass(frozen=True)
class Transform:
    """A rearrangement of the elements of equally long blocks, before they are compressed.

    Notes
    -----
    `size` gives the bytes of a block of n elements, `encode` turns ``(k, n)`` elements into ``(k, size)``
    bytes, and `decode` turns them back.
    """

    size: Callable[[int], int]
    encode: Callable[[Elements], Bytes]
    decode: Callable[[Bytes, int], Elements]


@dataclass(frozen=True)
class Algorithm:
    """What an algorithm id stands for: a codec, a transform, and the element size (0: any)."""

    codec: str
    transform: Transform | None
    width: int


def _shuffle(elements: Elements) -> Bytes:
    """Gather the bytes of the same rank of groups of eight elements, the most significant first."""
    k, n = elements.shape
    width = elements.dtype.itemsize
    raw = np.ascontiguousarray(elements).view(np.uint8)
    groups, split = n // 8, n // 8 * 8 * width
    if width == 4:
        planes = raw[:, :split].reshape(k, groups, 4, 2, 4).transpose(0, 4, 1, 3, 2)[:, ::-1, :, :, ::-1]
    else:
        planes = raw[:, :split].reshape(k, groups, 8, 8).transpose(0, 3, 1, 2)[:, ::-1, :, ::-1]
    return np.concatenate([planes.reshape(k, split), raw[:, split:]], axis=1)


def _unshuffle(packed: Bytes, n: int, kind: type[np.int32] | type[np.int64]) -> Elements:
    k = len(packed)
    width = np.dtype(kind).itemsize
    groups, split = n // 8, n // 8 * 8 * width
    out = np.empty((k, n * width), dtype=np.uint8)
    out[:, split:] = packed[:, split:]
    # Byte ranks one after the other: several times faster than transposing everything at once.
    planes = packed[:, :split].reshape(k, width, 8 * groups)
    within = out[:, :split].reshape(k, 8 * groups, width)
    for rank in range(width):
        plane = planes[:, width - 1 - rank]
        if width == 4:
            plane = plane.reshape(k, groups, 2, 4)[..., ::-1].swapaxes(2, 3)
        else:
            plane = plane.reshape(k, groups, 8)[..., ::-1]
        within[:, :, rank] = plane.reshape(k, 8 * groups)
    return out.view(kind)


def _padded(elements: Elements, group: int) -> Elements:
    short = -elements.shape[1] % group
    return np.pad(elements, ((0, 0), (0, short))) if short else elements


def _to_logic(elements: Elements) -> Bytes:
    k = len(elements)
    pairs = _padded(elements, 32).reshape(k, -1, 16, 2).swapaxes(2, 3)
    bits = np.empty((*pairs.shape[:3], 32), dtype=np.uint8)
    bits[..., :16] = pairs & 1
    bits[..., :15:-1] = pairs < 0
    return np.packbits(bits.reshape(k, -1), axis=1, bitorder="little")


def _from_logic(packed: Bytes, n: int) -> Elements:
    k = len(packed)
    bits = np.unpackbits(packed, axis=1, bitorder="little").reshape(k, -1, 2, 32)
    codes = bits[..., :16].astype(np.int32)
    codes |= bits[..., :15:-1].astype(np.int32) << 31
    return codes.swapaxes(2, 3).reshape(k, -1)[:, :n]


def _narrowed(elements: Elements, half: int, sign: int) -> Elements:
    """Keep the low bits and the sign, groups of ``2 * half`` elements with odd and even ones apart."""
    narrow = (elements & (sign - 1)) | np.where(elements < 0, sign, 0)
    kind = np.uint8 if half == 4 else np.uint16
    pairs = _padded(narrow.astype(kind), 2 * half).reshape(len(elements), -1, half, 2)
    return np.ascontiguousarray(pairs.swapaxes(2, 3)[..., ::-1]).reshape(len(elements), -1)


def _widened(narrow: Elements, half: int, sign: int, n: int) -> Elements:
    pairs = narrow.reshape(len(narrow), -1, 2, half)[..., ::-1].swapaxes(2, 3)
    codes = pairs.reshape(len(narrow), -1)[:, :n].astype(np.int32)
    return np.where(codes & sign, (codes & (sign - 1)) | INT_NA, codes)


def _groups(n: int, group: int) -> int:
    return 8 * -(-n // group)


SHUFFLE_4 = Transform(lambda n: 4 * n, _shuffle, lambda b, n: _unshuffle(b, n, np.int32))
SHUFFLE_8 = Transform(lambda n: 8 * n, _shuffle, lambda b, n: _unshuffle(b, n, np.int64))
LOGIC = Transform(lambda n: _groups(n, 32), _to_logic, _from_logic)
BYTE = Transform(
    lambda n: _groups(n, 8), lambda e: _narrowed(e, 4, 0x80), lambda b, n: _widened(b, 4, 0x80, n)
)
SHORT = Transform(
    lambda n: _groups(n, 4),
    lambda e: _narrowed(e, 2, 0x8000).view(np.uint8),
    lambda b, n: _widened(b.view(np.uint16), 2, 0x8000, n),
)
ALGORITHMS = (
    Algorithm("none", None, 0),
    Algorithm("lz4", None, 0),
    Algorithm("lz4", SHUFFLE_4, 4),
    Algorithm("zstd", None, 0),
    Algorithm("zstd", SHUFFLE_4, 4),
    Algorithm("lz4", SHUFFLE_8, 8),
    Algorithm("zstd", SHUFFLE_8, 8),
    Algorithm("lz4", LOGIC, 4),
    Algorithm("none", LOGIC, 4),
    Algorithm("zstd", LOGIC, 4),
    Algorithm("lz4", BYTE, 4),
    Algorithm("lz4", SHORT, 4),
    Algorithm("none", BYTE, 4),
    Algorithm("none", SHORT, 4),
    Algorithm("zstd", BYTE, 4),
    Algorithm("zstd", SHORT, 4),
)


def compress(codec: str, content: Any) -> bytes:
    """Compress bytes as one raw LZ4 block or one ZSTD frame, or not at all ("none")."""
    if codec == "lz4":
        return bytes(lz4.block.compress(content, store_size=False))
    if codec == "zstd":
        return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(content)
    return bytes(content)


def decompress(codec: str, stored: Sequence[memoryview], size: int) -> bytes:
    """Unpack pieces of `size` bytes each, and join them.

    Raises
    ------
    Damaged
        If a piece does not unpack, or not to so many bytes. Not much is allocated that it does not fill.
    """
    if codec == "none":
        if any(len(piece) < size for piece in stored):
            raise Damaged("a block is shorter than its elements are")
        return b"".join(piece[:size] for piece in stored)
    if any(size > (LZ4_RATIO if codec == "lz4" else ZSTD_RATIO) * len(piece) for piece in stored):
        raise Damaged("a block is too small for what it is said to hold")
    try:
        if size > MOST_UNPACKED and any(size > PLAIN_RATIO * len(piece) for piece in stored):
            pieces = [_unpack_carefully(codec, piece, size) for piece in stored]
        elif codec == "lz4":
            pieces = [lz4.block.decompress(piece, uncompressed_size=size) for piece in stored]
        else:
            # Frames need not tell their size; one that tells another is not even tried.
            if not {zstandard.frame_content_size(piece) for piece in stored} <= {size, -1}:
                raise Damaged("a block unpacks to another size than it should")
            decompressor = zstandard.ZstdDecompressor()
            pieces = [decompressor.decompress(piece, max_output_size=size) for piece in stored]
    except (zstandard.ZstdError, lz4.block.LZ4BlockError, ValueError, MemoryError) as error:
        raise Damaged(f"a block does not unpack ({codec.upper()})") from error
    if any(len(piece) != size for piece in pieces):
        raise Damaged("a block unpacks to another size than it should")
    return b"".join(pieces)


def _unpack_carefully(codec: str, stored: memoryview, size: int) -> bytes:
    """Unpack a piece that is said to become much larger: no further than it does."""
    if codec == "lz4":
        if lz4_size(bytes(stored)) != size:
            raise Damaged("a block unpacks to another size than it should")
        return bytes(lz4.block.decompress(stored, uncompressed_size=size))
    out = bytearray()
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
    with decompressor.stream_reader(stored) as reader:
        while len(out) <= size and (content := reader.read(READ_AT_ONCE)):
            out += content
    return bytes(out)


def lz4_size(stored: bytes) -> int:
    """Count the bytes that a raw LZ4 block unpacks to, from the lengths in it; -1 if they lead out of it.

    Examples
    --------
    >>> lz4_size(compress("lz4", bytes(10_000)))
    10000
    """
    at = size = 0
    while at < len(stored):
        token, at = stored[at], at + 1
        literals, at = _lz4_length(stored, at, token >> 4)
        at, size = at + literals, size + literals
        if at == len(stored):
            return size
        match, at = _lz4_length(stored, at + 2, token & 15)
        size += match + 4
    return -1


def _lz4_length(stored: bytes, at: int, first: int) -> tuple[int, int]:
    """Read a length that goes on in following bytes if its first part is 15."""
    if first < 15:
        return first, at
    end = NOT_255.search(stored, at)
    if end is None:
        return first, len(stored) + 1
    return first + 255 * (end.start() - at) + stored[end.start()], end.end()


def unpack(algorithm: int, stored: Sequence[memoryview], n: int, kind: np.dtype[Any]) -> Elements:
    """Unpack blocks of `n` elements each.

    Parameters
    ----------
    algorithm : int
        The id of all of them.
    stored : sequence of memoryview
    n : int
    kind : numpy.dtype
        Of an element.

    Returns
    -------
    (k, n) array of `kind`

    Raises
    ------
    Damaged
    """
    how = ALGORITHMS[algorithm] if algorithm < len(ALGORITHMS) else None
    if how is None or how.width not in (0, kind.itemsize):
        raise Damaged(f"a block is packed in a way ({algorithm}) that its column cannot be")
    size = how.transform.size(n) if how.transform else n * kind.itemsize
    packed = np.frombuffer(decompress(how.codec, stored, size), dtype=np.uint8).reshape(len(stored), size)
    return how.transform.decode(packed, n).view(kind) if how.transform else packed.view(kind)


def least_stored(n: int, kind: np.dtype[Any]) -> NDArray[np.int64]:
    """Tell how many bytes a block of n elements has at least: by algorithm, and 0 of those not known."""
    sizes = [how.transform.size(n) if how.transform else n * kind.itemsize for how in ALGORITHMS]
    least = [
        {"none": size, "lz4": -(-size // LZ4_RATIO), "zstd": ZSTD_LEAST}[how.codec]
        for how, size in zip(ALGORITHMS, sizes, strict=True)
    ]
    return np.array([*least, 0], dtype=np.int64)


def decode_blocks(
    stored: memoryview,
    edges: NDArray[np.int64],
    algorithms: NDArray[np.int64],
    per_block: int,
    n: int,
    kind: np.dtype[Any],
) -> Elements:
    """Unpack consecutive blocks of a column.

    Parameters
    ----------
    stored : memoryview
    edges : (k + 1,) int64
        Where each block starts in `stored`, and where the last one ends; checked by the caller.
    algorithms : (k,) int64
        Ids.
    per_block : int
        Elements of a full block; only the last may hold fewer.
    n : int
        Elements of all of them.
    kind : numpy.dtype

    Returns
    -------
    (n,) array of `kind`

    Raises
    ------
    Damaged
    """
    n_full = n // per_block
    least = least_stored(per_block, kind)[np.minimum(algorithms[:n_full], len(ALGORITHMS))]
    if (np.diff(edges)[:n_full] < least).any():
        raise Damaged("a block is too small for what it is said to hold")
    out = np.empty(n, dtype=kind)
    body = out[: n_full * per_block].reshape(n_full, per_block)
    pieces = [stored[a:b] for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
    for low in range(0, n_full, BLOCKS_AT_ONCE):
        used = algorithms[low : min(low + BLOCKS_AT_ONCE, n_full)]
        for algorithm in set(used.tolist()):
            rows = low + np.flatnonzero(used == algorithm)
            body[rows] = unpack(algorithm, [pieces[row] for row in rows], per_block, kind)
    if n_full < len(pieces):
        out[n_full * per_block :] = unpack(int(algorithms[-1]), pieces[-1:], n - n_full * per_block, kind)[0]
    return out


def encode_blocks(blocks: Elements, algorithms: Sequence[int]) -> list[bytes]:
    """Pack blocks, each in its own way.

    Parameters
    ----------
    blocks : (k, n) array
    algorithms : sequence of k int
        Ids.

    Returns
    -------
    list of k bytes

    Examples
    --------
    >>> encode_blocks(np.array([[1, 2, 3, -(2**31)]], np.int32), [13])[0].hex()
    '0300010000800200'
    """
    packed: list[bytes] = [b""] * len(blocks)
    for low in range(0, len(blocks), BLOCKS_AT_ONCE):
        used = algorithms[low : low + BLOCKS_AT_ONCE]
        for algorithm in set(used):
            how = ALGORITHMS[algorithm]
            rows = [low + i for i, each in enumerate(used) if each == algorithm]
            chosen = np.ascontiguousarray(blocks[rows])
            content = how.transform.encode(chosen) if how.transform else chosen.view(np.uint8)
            for row, each in zip(rows, np.ascontiguousarray(content), strict=True):
                packed[row] = compress(how.codec, each)
    return packed
