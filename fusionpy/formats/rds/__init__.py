"""R's RDS files (`saveRDS`), read without R: plain vectors, lists and calls, and nothing that could act.

All encodings (XDR, native, ASCII), versions 2 and 3 and compressions that R writes, after the chapter
"Serialization Formats" of "R Internals". `fusionpy.formats.rds.writer` writes them.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib

from fusionpy.formats import Damaged
from fusionpy.formats.rds.reader import MOST_BYTES, MOST_RATIO, Ascii, Binary, Reader
from fusionpy.formats.rds.values import RValue

__all__ = ["Damaged", "read_rda", "read_rds"]

_RDA = {b"RDX2\n", b"RDX3\n", b"RDA2\n", b"RDA3\n", b"RDB2\n", b"RDB3\n"}


def read_rds(content: bytes, size: int | None = None, *, pointers: bool = False) -> RValue | None:
    """Read what R's `saveRDS` wrote.

    Parameters
    ----------
    content : bytes
        Packed or not.
    size : int, optional
        Of the file that it stands in, if that is packed once more: what it may unpack to goes by it.
    pointers : bool
        Take pointers, which point nowhere any more, for NULL: every data.table has one among its attributes.

    Returns
    -------
    RValue or None
        None is R's NULL.

    Raises
    ------
    Damaged
        If it is not such a file, is damaged, cut off or far larger than its size lets expect, or holds what
        is not plain (`NotPlain`): functions, environments, pointers, S4 objects. Calls are read, never
        evaluated.

    Examples
    --------
    >>> from fusionpy.formats.rds.values import character
    >>> from fusionpy.formats.rds.writer import write_rds
    >>> read_rds(write_rds(character(["a", None]))).values
    ('a', None)
    """
    size = len(content) if size is None else min(size, len(content))
    data = _unpacked(content, size)
    kind, data = data[:2], data[2:]
    try:
        if kind == b"X\n":
            return Reader(Binary(data, ">"), size, pointers).read()
        if kind == b"B\n":
            return Reader(Binary(data, "<"), size, pointers).read()
        if kind == b"A\n":
            return Reader(Ascii(data), size, pointers).read()
    except (ValueError, OverflowError, RecursionError, StopIteration, struct.error):
        raise Damaged("it is cut off, or damaged") from None
    raise Damaged("it is not a file that R's `saveRDS` wrote")


def read_rda(content: bytes) -> dict[str, RValue | None]:
    """Read what R's `save` wrote: objects by their names.

    Parameters
    ----------
    content : bytes
        Packed or not. What `saveRDS` wrote will do as well, and is named "".

    Returns
    -------
    dict of str to RValue

    Raises
    ------
    Damaged
        As `read_rds`.

    Examples
    --------
    >>> from fusionpy.formats.rds.values import character
    >>> from fusionpy.formats.rds.writer import write_rds
    >>> list(read_rda(write_rds(character(["a"]))))
    ['']
    """
    data = _unpacked(content, len(content))
    if data[:5] not in _RDA:
        return {"": read_rds(data, len(content), pointers=True)}
    found = read_rds(data[5:], len(content), pointers=True)
    if found is not None and found.kind != "pairlist":
        raise Damaged("it is not a file that R's `save` wrote")
    return {} if found is None else found.entries()


def _unpacked(content: bytes, size: int) -> bytes:
    """Unpack, no further than a file of that size may reach."""
    most = min(MOST_BYTES, 2**20 + MOST_RATIO * size)
    try:
        if content.startswith(b"\x1f\x8b"):
            gzip = zlib.decompressobj(wbits=31)
            found, whole = gzip.decompress(content, most + 1), gzip
        elif content.startswith(b"BZh"):
            bzip = bz2.BZ2Decompressor()
            found, whole = bzip.decompress(content, most + 1), bzip  # type: ignore[assignment]
        elif content.startswith(b"\xfd7zXZ\0"):
            xz = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=2**28)
            found, whole = xz.decompress(content, most + 1), xz  # type: ignore[assignment]
        else:
            return content
    except (zlib.error, OSError, EOFError, lzma.LZMAError, ValueError):
        raise Damaged("it cannot be unpacked") from None
    if len(found) > most:
        raise Damaged(f"it unpacks to more than {most:,} bytes")
    if not whole.eof:
        raise Damaged("it is cut off")
    return found
