"""What a Parquet file would take in memory, weighed page by page before Arrow unpacks any of it.

A page of a few bytes can stand for any number of equal values, and one long text can be repeated as often as
there are rows. The file's end tells sizes too, but nobody makes it tell the truth: Arrow goes by the pages.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fusionpy.errors import counted, few

__all__ = ["Scale", "open_scale"]

# Whatever the file's size, and for each byte of it: one value in 2**20 rows takes some 200 bytes on disk.
MOST_CELLS, CELLS_PER_BYTE = 2**22, 2**13
FREE, BYTES_PER_BYTE = 2**25, 2**9  # bytes of a page, or of text and lists that are read at once
LEVEL = 256  # bytes of a text that may be a level: repeated ones stay codes
BYTES_PER_ROW = 32  # of text that is repeated
AT_ONCE = 2**23  # bytes that are unpacked to be weighed
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
_DATA, _DICTIONARY, _DATA_2 = 0, 2, 3  # kinds of pages
_DATA_HEADERS = {_DATA: (5, 2), _DICTIONARY: (7, 2), _DATA_2: (8, 4)}  # where header and encoding stand
_BY_DICTIONARY, _BY_PREFIX = (2, 8), 7  # encodings
_ENDLESS = "its pages are damaged"


@dataclass(frozen=True)
class _Page:
    kind: int
    unpacked: int
    n_values: int
    encoding: int


class Scale:
    """Weighs columns of a Parquet file.

    Parameters
    ----------
    source : Path or bytes
    metadata : pyarrow.parquet.FileMetaData
        What stands at its end.
    size : int
        Of the file, in bytes.

    Raises
    ------
    OSError
        If it claims more rows than a file of that size may.
    """

    def __init__(self, source: Path | bytes, metadata: pq.FileMetaData, size: int) -> None:
        self.source, self.metadata, self.size = source, metadata, size
        self.most = FREE + BYTES_PER_BYTE * size
        self.weights: dict[tuple[int, int], int] = {}  # of a column in a row group
        sizes = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
        if metadata.num_rows < 0 or min(sizes, default=0) < 0 or sum(sizes) != metadata.num_rows:
            raise OSError("It is damaged: its parts do not have as many rows as it says")
        if metadata.num_rows * len(metadata.schema) > MOST_CELLS + CELLS_PER_BYTE * size:
            claim = f"It claims to hold {metadata.num_rows:,} rows in {counted(size, 'byte')}"
            raise OSError(f"{claim}, as only a file that is built to harm does")
        self.coded = _coded(metadata)
        self.places: dict[str, list[int]] = {}
        for place in range(len(metadata.schema)):
            name = metadata.schema.column(place).path.split(".")[0]
            self.places.setdefault(name, []).append(place)
        # A name may have dots of its own.
        self.places |= {metadata.schema.column(p).path: [p] for p in range(len(metadata.schema))}

    def weigh(self, groups: Sequence[int], names: Sequence[str]) -> None:
        """Refuse columns that would take memory out of proportion.

        Parameters
        ----------
        groups : sequence of int
            Row groups that are to be read.
        names : sequence of str
            Columns.

        Raises
        ------
        OSError
            Naming the column.
        """
        n_rows = sum(self.metadata.row_group(g).num_rows for g in groups)
        places = [place for name in dict.fromkeys(names) for place in self.places.get(name, ())]
        if not all((g, place) in self.weights for place in places for g in groups):
            with _bytes_of(self.source) as content:
                for place in places:
                    for g in groups:
                        self.weights[g, place] = self._weigh(content, g, place)
        total = 0
        for place in places:
            weight = sum(self.weights[g, place] for g in groups)
            total += max(weight - BYTES_PER_ROW * n_rows, 0)
            if total > self.most:
                raise self._too_much(self.metadata.schema.column(place).path)

    def _weigh(self, content: Any, g: int, place: int) -> int:
        """Bytes that the texts and lists of one column in one row group take, or at most may take."""
        group, column = self.metadata.row_group(g), self.metadata.schema.column(place)
        most = self.most + BYTES_PER_ROW * group.num_rows
        unpacked = n_values = widest = dictionary = by_dictionary = n_repeated = by_prefix = 0
        for page in _pages(content, group.column(place)):
            unpacked += page.unpacked
            widest = max(widest, page.unpacked)
            if page.kind == _DICTIONARY:
                dictionary = page.unpacked
                continue
            n_values += page.n_values
            if page.encoding in _BY_DICTIONARY:
                by_dictionary, n_repeated = dictionary, n_repeated + page.n_values
            elif page.encoding == _BY_PREFIX:
                by_prefix = max(by_prefix, page.unpacked)
        nested = column.max_repetition_level > 0
        # Older releases of Arrow make room for as many values as the column claims to have.
        if n_values != group.column(place).num_values or (not nested and n_values != group.num_rows):
            raise OSError(f"Its column {few([column.path], '`')} does not have as many values as it says")
        width = _WIDTHS.get(column.physical_type, max(column.length, 1))
        weight = n_values * max(width, 4) if nested or width > max(_WIDTHS.values()) else 0
        if widest > self.most or weight > most:
            raise self._too_much(column.path)
        if column.physical_type != "BYTE_ARRAY":
            return weight
        if unpacked > most:
            raise self._too_much(column.path)
        weight += unpacked
        if by_prefix:
            weight += self._read_gently(g, column.path, max(1, AT_ONCE // by_prefix), most)
        if n_repeated * by_dictionary <= BYTES_PER_ROW * group.num_rows:
            return weight + n_repeated * by_dictionary
        return weight + self._read_gently(g, column.path, 2**16, most, n_repeated)

    def _read_gently(self, g: int, path: str, n_rows: int, most: int, n_repeated: int = 0) -> int:
        """Add up texts that share what they consist of, few at a time; repeated ones as codes."""
        source = io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source
        total = 0
        by_code = [path] if n_repeated else None
        is_coded = path in self.coded
        with pq.ParquetFile(source, metadata=self.metadata, read_dictionary=by_code) as file:
            for batch in file.iter_batches(n_rows, [g], [path], use_threads=False):
                for array in batch.columns:
                    n_bytes, longest = _decoded(array)
                    total += n_bytes
                    if n_repeated and longest <= LEVEL and is_coded:
                        return 0
                    if n_repeated and longest * n_repeated <= most:
                        return longest * n_repeated  # no text is longer than those in the dictionary
                if total > most:
                    raise self._too_much(path)
        return total

    def _too_much(self, path: str) -> OSError:
        claim = f"Its column {few([path], '`')} takes memory out of all proportion to its {self.size:,} bytes"
        return OSError(f"{claim}, as only a file that is built to harm does")


def _coded(metadata: pq.FileMetaData) -> set[str]:
    """Columns that are read as levels and codes, so that no text is had more than once."""
    try:
        schema = metadata.schema.to_arrow_schema()
    except (pa.ArrowException, OSError, ValueError):  # whoever reads the file says what is wrong
        return set()
    return {each.name for each in schema if pa.types.is_dictionary(each.type)}


def open_scale(source: Path | bytes, metadata: pq.FileMetaData) -> Scale:
    """Make ready to weigh a file.

    Parameters
    ----------
    source : Path or bytes
    metadata : pyarrow.parquet.FileMetaData

    Raises
    ------
    OSError
        If it claims more rows than a file of its size may.
    """
    return Scale(source, metadata, len(source) if isinstance(source, bytes) else source.stat().st_size)


@contextmanager
def _bytes_of(source: Path | bytes) -> Iterator[Any]:
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def _decoded(array: pa.Array) -> tuple[int, int]:
    """Bytes of a column once its texts are written out, whatever they are nested in; and of the longest."""
    if pa.types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary).cast(pa.int64())
        return pc.sum(lengths.take(array.indices)).as_py() or 0, pc.max(lengths).as_py() or 0
    parts = []
    if pa.types.is_struct(array.type):
        parts = array.flatten()
    elif pa.types.is_map(array.type):
        parts = [array.keys, array.items]
    elif pa.types.is_nested(array.type):
        parts = [array.flatten()]
    if not parts:
        return int(array.nbytes), 0
    found = [_decoded(each) for each in parts]
    return sum(each for each, _ in found), max(longest for _, longest in found)


def _pages(content: Any, chunk: pq.ColumnChunkMetaData) -> Iterator[_Page]:
    """Read the heads of a column's pages in a row group."""
    place = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        place = min(place, chunk.dictionary_page_offset)
    stop = place + chunk.total_compressed_size
    if not 0 <= place <= stop <= len(content):
        raise OSError(f"It is cut off, or {_ENDLESS}")
    n_values = 0
    while place < stop and n_values < chunk.num_values:
        try:
            head, place = _read_struct(content, place, stop)
            kind, unpacked, packed = head[1], head[2], head[3]
            about, encoding = _DATA_HEADERS.get(kind, (0, 0))
            found = head.get(about, {})
            page = _Page(kind, unpacked, found.get(1, 0), found.get(encoding, -1))
        except (KeyError, IndexError, AttributeError, TypeError):
            raise OSError(f"It is damaged: {_ENDLESS}") from None
        if min(packed, page.unpacked, page.n_values) < 0:
            raise OSError(f"It is damaged: {_ENDLESS}")
        place += packed
        if kind not in _DATA_HEADERS:  # Arrow passes over what it does not know
            continue
        n_values += page.n_values if kind != _DICTIONARY else 0
        yield page


def _number(content: Any, place: int) -> tuple[int, int]:
    """Read a number of Thrift's compact protocol, without a sign."""
    byte = content[place]
    if byte < 128:
        return byte, place + 1
    found, shift = byte & 127, 7
    while byte > 127:
        if shift > 63:
            raise IndexError
        place += 1
        byte = content[place]
        found |= (byte & 127) << shift
        shift += 7
    return found, place + 1


def _read_struct(content: Any, place: int, stop: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Read the numbers in a structure, and in those within it, by the numbers of their fields."""
    found: dict[int, Any] = {}
    field = 0
    while True:
        if place >= stop or depth > 4:
            raise IndexError
        byte = content[place]
        place += 1
        if byte == 0:
            return found, place
        kind, step = byte & 15, byte >> 4
        if step:
            field += step
        else:
            number, place = _number(content, place)
            field = (number >> 1) ^ -(number & 1)
        if kind in (1, 2):  # true and false have no bytes of their own
            continue
        if 4 <= kind <= 6:
            number, place = _number(content, place)
            found[field] = (number >> 1) ^ -(number & 1)
        elif kind == 8:
            number, place = _number(content, place)
            place += number
        elif kind == 12:
            found[field], place = _read_struct(content, place, stop, depth + 1)
        elif kind in (3, 7):
            place += 1 if kind == 3 else 8
        else:  # lists, sets and maps: no head of a page has them
            raise IndexError
