"""Writing RDS files that R's `readRDS` reads: version 3, XDR, packed by gzip."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from fusionpy.formats.rds.values import RKind, RValue

__all__ = ["write_rds"]

_HEAD = b"X\n" + struct.pack(">iii", 3, 0x00040000, 0x00030500) + struct.pack(">i", 5) + b"UTF-8"
_GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\x03"  # as R writes it: no time, Unix
_CODES: dict[RKind, int] = {
    **{"symbol": 1, "pairlist": 2, "call": 6, "logical": 10, "integer": 13, "double": 14},
    **{"complex": 15, "character": 16, "list": 19, "raw": 24},
}
_OBJECT, _HAS_ATTRIBUTES, _HAS_TAG, _NULL, _TEXT = 0x100, 0x200, 0x400, 254, 9
_UTF8, _ASCII = 8 << 12, 64 << 12


def write_rds(value: RValue | None) -> bytes:
    """Write an R object as `saveRDS` does.

    Parameters
    ----------
    value : RValue or None
        None is R's NULL.

    Returns
    -------
    bytes
        The same for the same value.

    Raises
    ------
    ValueError
        If a text has a zero byte, which R cannot hold.

    Notes
    -----
    After "R Internals", "Serialization Formats". Objects that R made come out, unpacked, byte for byte as R
    writes them, but for the version of R in the head.

    Examples
    --------
    >>> from fusionpy.formats.rds.values import integer
    >>> zlib.decompress(write_rds(integer([1, 2])), wbits=31)[-16:].hex(" ", 4)
    '0000000d 00000002 00000001 00000002'
    """
    writer = _Writer()
    writer.item(value)
    content = b"".join([_HEAD, *writer.parts])
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    return _GZIP + packed + struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF)


class _Writer:
    """Parts of a file in the making."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.symbols: dict[str, int] = {}

    def whole(self, number: int) -> None:
        self.parts.append(struct.pack(">i", number))

    def item(self, value: RValue | None) -> None:
        if value is None:
            self.whole(_NULL)
        elif value.kind == "symbol":
            self._symbol(str(value.values[0]))
        elif value.kind in ("pairlist", "call"):
            self._pairs(value)
        else:
            self._vector(value)

    def _vector(self, value: RValue) -> None:
        flags = _CODES[value.kind] | (_HAS_ATTRIBUTES if value.attributes else 0)
        self.whole(flags | (_OBJECT if "class" in value.attributes else 0))
        self.whole(len(value))
        values: Any = value.values
        if value.kind == "character":
            for text in values:
                self._text(text)
        elif value.kind == "list":
            for each in values:
                self.item(each)
        else:
            bits = np.ascontiguousarray(values)
            unit = {"raw": "u1", "double": "u8", "complex": "u8"}.get(value.kind, "u4")
            self.parts.append(bits.view(unit).astype(f">{unit}").tobytes())
        self._attributes(value.attributes)

    def _attributes(self, attributes: Any) -> None:
        if attributes:
            for name, value in attributes.items():
                self.whole(_CODES["pairlist"] | _HAS_TAG)
                self._symbol(name)
                self.item(value)
            self.whole(_NULL)

    def _pairs(self, value: RValue) -> None:
        names = value.names or ("",) * len(value)
        more = {name: each for name, each in value.attributes.items() if name != "names"}
        flags = _CODES[value.kind]
        if more:
            flags |= _HAS_ATTRIBUTES | (_OBJECT if "class" in more else 0)
        for name, each in zip(names, value.values, strict=True):
            self.whole(flags | (_HAS_TAG if name else 0))
            self._attributes(more)
            if name:
                self._symbol(name)
            self.item(each)
            flags, more = _CODES["pairlist"], {}
        self.whole(_NULL)

    def _symbol(self, name: str) -> None:
        if not name:
            self.whole(251)  # an argument left out
        elif name in self.symbols:
            self.whole(self.symbols[name] << 8 | 255)
        else:
            self.symbols[name] = len(self.symbols) + 1
            self.whole(_CODES["symbol"])
            self._text(name)

    def _text(self, text: str | None) -> None:
        if text is None:
            self.parts.append(struct.pack(">ii", _TEXT, -1))
            return
        content = text.encode()
        if b"\0" in content:
            raise ValueError("a text with a zero byte, which R cannot hold")
        flags = _TEXT | (_ASCII if text.isascii() else _UTF8)
        self.parts.append(struct.pack(">ii", flags, len(content)) + content)
