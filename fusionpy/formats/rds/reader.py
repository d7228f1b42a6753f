"""Objects of R in the bytes of a serialization, binary or ASCII: data alone, and no more than was written."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.formats import Damaged
from fusionpy.formats.rds.values import NA_INTEGER, NA_REAL, RKind, RValue, as_r_text, is_na

__all__ = ["MOST_BYTES", "MOST_RATIO", "Ascii", "Binary", "NotPlain", "Reader"]

MOST_BYTES = 2**31  # unpacked

MOST_RATIO = 400  # unpacked over packed, beyond the first MiB

# Beside one for each byte of the file:
MOST_OBJECTS = 2**16

MOST_TEXTS = 2**18

MOST_COMPACT = 2**18  # elements that stand in a few bytes

MOST_DEPTH = 100

_REFUSED = {
    3: "a function",
    4: "an environment",
    5: "a promise",
    7: "a function",
    8: "a function",
    17: "dots",
    20: "an expression",
    21: "byte code",
    22: "a pointer",
    23: "a weak reference",
    25: "an S4 object",
    **dict.fromkeys((239, 240, 243, 244), "byte code"),
    **dict.fromkeys((241, 242, 245, 246, 247, 248, 249, 250, 252, 253), "an environment"),
}

_NIL, _SYMBOL, _PAIRS, _CALL, _TEXT = 0, 1, 2, 6, 9

_POINTER = 22

_ALTREP, _MISSING, _NULL, _REFERENCE = 238, 251, 254, 255

_NUMBERS: dict[int, RKind] = {10: "logical", 13: "integer", 14: "double", 15: "complex", 24: "raw"}

_HAS_ATTRIBUTES, _HAS_TAG = 0x200, 0x400

_BYTES, _LATIN1, _UTF8 = 2, 4, 8

_NATIVE = {"UTF-8": "utf-8", "ISO-8859-1": "latin-1", "latin1": "latin-1", "CP1252": "cp1252"}

_ESCAPE = re.compile(rb"\\([0-7]{1,3}|.)", re.DOTALL)

_ESCAPED = {b"n": b"\n", b"t": b"\t", b"v": b"\v", b"b": b"\b", b"r": b"\r", b"f": b"\f", b"a": b"\a"}

_WRAPPERS = {f"wrap_{kind}" for kind in ("real", "string", "logical", "integer", "complex", "raw", "list")}


class NotPlain(Damaged):
    """A file holds what could act, or what only R can make sense of."""


class Binary:
    """Numbers and text in binary, big-endian (XDR) or little-endian (native)."""

    def __init__(self, data: bytes, order: str) -> None:
        self.data, self.place = data, 0
        self.order = order
        self.one = struct.Struct(f"{order}i")

    def take(self, size: int) -> int:
        """Go on by so many bytes; return where they begin."""
        begin = self.place
        if size < 0 or size > len(self.data) - begin:
            raise Damaged("it is cut off")
        self.place = begin + size
        return begin

    def whole(self) -> int:
        """Read a whole number."""
        number: int = self.one.unpack_from(self.data, self.take(4))[0]
        return number

    def text(self, size: int) -> bytes:
        """Read a text of so many bytes."""
        begin = self.take(size)
        return self.data[begin : begin + size]

    def expect(self, n: int) -> None:
        """Refuse a number of elements that cannot follow."""
        if n > (len(self.data) - self.place) // 4:
            raise Damaged("it is cut off")

    def numbers(self, kind: RKind, n: int) -> NDArray[Any]:
        """Read n numbers of a kind."""
        unit, wanted = {
            "double": ("u8", np.float64),
            "complex": ("u8", np.complex128),
            "raw": ("u1", np.uint8),
        }.get(kind, ("u4", np.int32))
        n *= 2 if kind == "complex" else 1
        begin = self.take(n * int(unit[1]))
        found = np.frombuffer(self.data, self.order + unit, n, begin)
        return found.astype(unit).view(wanted)  # as bits, so that every NA stays what it is

    def finish(self) -> None:
        """Refuse whatever is left."""
        if self.place < len(self.data):
            raise Damaged("there is more in it than belongs there")


class Ascii:
    """Numbers and text as words."""

    def __init__(self, data: bytes) -> None:
        self.words: Iterator[re.Match[bytes]] = re.finditer(rb"\S+", data)
        self.size, self.place = len(data), 0

    def word(self) -> bytes:
        """Take the next word."""
        found = next(self.words)
        self.place = found.end()
        return found[0]

    def whole(self) -> int:
        """Read a whole number."""
        return self._whole(self.word())

    @staticmethod
    def _whole(word: bytes) -> int:
        number = NA_INTEGER if word == b"NA" else int(word)
        if not -(2**31) <= number < 2**31:
            raise Damaged("it has impossible numbers")
        return number

    def text(self, size: int) -> bytes:
        """Read a text of so many bytes."""
        if size == 0:
            return b""
        found = _ESCAPE.sub(self._unescaped, self.word())
        if len(found) != size:
            raise Damaged("a text in it has not the length it should have")
        return found

    def _unescaped(self, found: re.Match[bytes]) -> bytes:
        code = found[1]
        if code[:1] in b"01234567":
            return bytes([int(code, 8) & 0xFF])
        return _ESCAPED.get(code, code)

    def expect(self, n: int) -> None:
        """Refuse a number of elements that cannot follow."""
        if n > (self.size - self.place) // 2:
            raise Damaged("it is cut off")

    def numbers(self, kind: RKind, n: int) -> NDArray[Any]:
        """Read n numbers of a kind."""
        self.expect(n)
        words = [self.word() for _ in range(2 * n if kind == "complex" else n)]
        if kind in ("double", "complex"):
            found = np.array([self._number(word) for word in words], dtype=np.float64)
            for place in [i for i, word in enumerate(words) if word == b"NA"]:
                found[place : place + 1].view(np.uint64)[:] = NA_REAL.view(np.uint64)
            return found.view(np.complex128) if kind == "complex" else found
        if kind == "raw":
            return np.array([int(word, 16) for word in words], dtype=np.uint8)
        return np.array([self._whole(word) for word in words], dtype=np.int32)

    @staticmethod
    def _number(word: bytes) -> float:
        text = word.decode("ascii").lower()
        return float("nan") if text == "na" else float.fromhex(text) if "0x" in text else float(text)

    def finish(self) -> None:
        """Refuse whatever is left."""
        if next(self.words, None) is not None:
            raise Damaged("there is more in it than belongs there")


class Reader:
    """Objects, one within the other."""

    def __init__(self, source: Binary | Ascii, size: int, pointers: bool = False) -> None:
        self.source = source
        self.pointers = pointers
        self.size = size  # of the file, packed
        self.symbols: list[RValue] = []
        self.known: dict[tuple[bytes, int], str] = {}  # texts seen, as R repeats most of them
        self.n_objects = self.n_texts = self.n_compact = 0
        self.native = "utf-8"

    def read(self) -> RValue | None:
        """Read the one object that the bytes are."""
        version, _writer, _reader = self.source.whole(), self.source.whole(), self.source.whole()
        if version not in (2, 3):
            raise Damaged(f"it is of version {version}; only 2 and 3 can be read")
        if version == 3:
            encoding = self.source.text(self.source.whole()).decode("ascii")
            self.native = _NATIVE.get(encoding, "utf-8")
        found = self.item(0)
        self.source.finish()
        return found

    def item(self, depth: int) -> RValue | None:
        """Read one object within others."""
        return self._item(self.source.whole(), depth)

    def _item(self, flags: int, depth: int) -> RValue | None:
        self.n_objects += 1
        if depth > MOST_DEPTH or self.n_objects > MOST_OBJECTS + self.size:
            raise Damaged("it is nested too deep, or has too many parts")
        kind = flags & 0xFF
        if kind in (_NIL, _NULL):
            return None
        if kind == _SYMBOL:
            return self._symbol()
        if kind == _MISSING:
            return RValue("symbol", ("",))
        if kind == _REFERENCE:
            return self._reference(flags)
        if kind in (_PAIRS, _CALL):
            return self._pairs(flags, depth)
        if kind == _ALTREP:
            return self._altrep(depth)
        if kind == _POINTER and self.pointers:
            self._skip_pointer(flags, depth)
            return None
        if kind in _NUMBERS:
            number = _NUMBERS[kind]
            values: Any = self.source.numbers(number, self._length())
        elif kind == 16:
            number, values = "character", self._texts()
        elif kind == 19:
            number, values = "list", self._elements(depth)
        else:
            raise NotPlain(f"it holds {_REFUSED.get(kind, 'something unknown')}; only plain data are read")
        return RValue(number, values, self._attributes(depth) if flags & _HAS_ATTRIBUTES else {})

    def _length(self) -> int:
        length = self.source.whole()
        if length == -1:
            high, low = self.source.whole(), self.source.whole()
            length = (high << 32) + (low & 0xFFFFFFFF)
        if length < 0:
            raise Damaged("it has impossible lengths")
        return length

    def _elements(self, depth: int) -> tuple[RValue | None, ...]:
        length = self._length()
        self.source.expect(length)
        return tuple([self.item(depth + 1) for _ in range(length)])

    def _texts(self) -> tuple[str | None, ...]:
        length = self._length()
        self.source.expect(length)
        return tuple([self._text(self.source.whole()) for _ in range(length)])

    def _text(self, flags: int) -> str | None:
        self.n_texts += 1
        if flags & 0xFF != _TEXT or self.n_texts > MOST_TEXTS + self.size:
            raise Damaged("what should be text in it is not, or there is too much of it")
        size = self.source.whole()
        if size == -1:
            return None
        content, encoding = self.source.text(size), (flags >> 12) & (_BYTES | _LATIN1 | _UTF8)
        found = self.known.get((content, encoding))
        if found is None:
            found = self.known[content, encoding] = self._decoded(content, encoding)
        return found

    def _decoded(self, content: bytes, encoding: int) -> str:
        codec = "utf-8" if encoding & _UTF8 else "latin-1" if encoding & _LATIN1 else self.native
        try:
            return content.decode("ascii" if encoding & _BYTES else codec)
        except UnicodeDecodeError:
            raise Damaged("a text in it is not in the encoding it should be in") from None

    def _symbol(self) -> RValue:
        name = self._text(self.source.whole())
        self.symbols.append(RValue("symbol", ("NA" if name is None else name,)))
        return self.symbols[-1]

    def _reference(self, flags: int) -> RValue:
        place = flags >> 8 or self.source.whole()
        if not 1 <= place <= len(self.symbols):
            raise Damaged("it refers to what is not there")
        return self.symbols[place - 1]

    def _skip_pointer(self, flags: int, depth: int) -> None:
        """Read what goes along with a pointer, and what it counts as where it is referred to."""
        self.symbols.append(RValue("symbol", ("",)))
        self.item(depth + 1)
        self.item(depth + 1)
        if flags & _HAS_ATTRIBUTES:
            self._attributes(depth)

    def _pairs(self, flags: int, depth: int, dotted: bool = False) -> RValue:
        """Read a pairlist, or a call, cell after cell."""
        kind: RKind = "call" if flags & 0xFF == _CALL else "pairlist"
        attributes: dict[str, RValue | None] = {}
        names, values = [], []
        while flags & 0xFF in (_PAIRS, _CALL):
            more = self._attributes(depth) if flags & _HAS_ATTRIBUTES else {}
            attributes = attributes or more
            tag = self.item(depth + 1) if flags & _HAS_TAG else None
            if tag is not None and tag.kind != "symbol":
                raise Damaged("a name in it is not a name")
            names.append("" if tag is None else str(tag.values[0]))
            values.append(self.item(depth + 1))
            flags = self.source.whole()
        if flags & 0xFF not in (_NIL, _NULL):
            if not dotted:
                raise Damaged("a list in it has no end")
            values.append(self._item(flags, depth + 1))
            names.append("")
        if any(names):
            attributes = {"names": RValue("character", tuple(names)), **attributes}
        return RValue(kind, tuple(values), attributes)

    def _attributes(self, depth: int) -> dict[str, RValue | None]:
        flags = self.source.whole()
        if flags & 0xFF in (_NIL, _NULL):
            return {}
        if flags & 0xFF != _PAIRS:
            raise Damaged("its attributes are no list")
        pairs = self._pairs(flags, depth + 1)
        names = pairs.names or ()
        if len(set(names)) < len(pairs) or "" in names:
            raise Damaged("its attributes have impossible names")
        return {str(name): value for name, value in zip(names, pairs.values, strict=True)}

    def _altrep(self, depth: int) -> RValue:
        """Read what R keeps in short: sequences, numbers that are to be text, and vectors with notes."""
        about, state = self.item(depth + 1), self._state(depth + 1)
        attributes = self._attributes(depth)
        name = ""
        if about is not None and about.kind == "pairlist" and isinstance(about.values[0], RValue):
            name = str(about.values[0].values[0]) if about.values[0].kind == "symbol" else ""
        if name in ("compact_intseq", "compact_realseq") and state is not None and state.kind == "double":
            found = self._sequence(state.values, "integer" if name == "compact_intseq" else "double")
        elif name in _WRAPPERS or name == "deferred_string":
            first = state.values[0] if state is not None and state.kind in ("pairlist", "list") else None
            if not isinstance(first, RValue):
                raise Damaged("a vector in it is damaged")
            found = first if name in _WRAPPERS else self._formatted(first)
        else:
            raise Damaged("it holds a vector of an unknown kind")
        return RValue(found.kind, found.values, attributes)

    def _state(self, depth: int) -> RValue | None:
        flags = self.source.whole()
        return self._pairs(flags, depth, dotted=True) if flags & 0xFF == _PAIRS else self._item(flags, depth)

    def _count(self, n: int) -> None:
        self.n_compact += n
        if self.n_compact > MOST_COMPACT + self.size:
            raise Damaged("it has sequences of impossible length")

    def _sequence(self, state: Any, kind: RKind) -> RValue:
        length, first, step = map(float, state)
        if not 0 <= length <= MOST_COMPACT + self.size or not length.is_integer() or step not in (1, -1):
            raise Damaged("it has sequences of impossible length")
        self._count(int(length))
        values = first + step * np.arange(int(length))
        if kind == "double":
            return RValue(kind, values)
        if not (np.abs(values) < 2**31).all():
            raise Damaged("it has impossible numbers")
        return RValue(kind, values.astype(np.int32))

    def _formatted(self, numbers: RValue) -> RValue:
        self._count(len(numbers))
        if numbers.kind == "integer":
            texts = [None if v == NA_INTEGER else str(v) for v in numbers.values.tolist()]  # type: ignore[union-attr]
        elif numbers.kind == "double":
            values: Any = numbers.values
            texts = [None if na else as_r_text(v) for v, na in zip(values, is_na(values), strict=True)]
        else:
            raise Damaged("a vector in it is damaged")
        return RValue("character", tuple(texts))
