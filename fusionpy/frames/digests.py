"""What tells whether rows are those, and in the order, that were fused: digests of their columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.frames.tables import FIRST, ROWS, Table, Unreadable, is_text, to_floats
from fusionpy.kernels.digests import (
    Digest,
    Hashes,
    digest_codes,
    digest_hashes,
    digest_numbers,
    hash_numbers,
    hash_texts,
)

__all__ = [
    "digest_columns",
    "digest_of",
    "finder",
    "moved_columns",
    "note_first",
    "noted_columns",
    "read_note",
]


def digest_of(array: pa.Array) -> Digest | None:
    """Digest a column of numbers, booleans, text or categories, whatever their type; others have none.

    Parameters
    ----------
    array : pyarrow.Array

    Returns
    -------
    Digest or None

    Examples
    --------
    >>> digest_of(pa.array([1, 2, None])) == digest_of(pa.array([1.0, 2.0, float("nan")], pa.float32()))
    True
    >>> digest_of(pa.array(["a", "b"])) == digest_of(pa.array(["a", "b"]).dictionary_encode())
    True
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        levels = _hashes(array.dictionary)
        if levels is None:
            return None
        hashes = np.concatenate([levels, hash_numbers(np.array([np.nan]))])
        codes = array.indices
        if codes.null_count:
            codes = pc.fill_null(codes.cast(pa.int64()), len(levels))
        return digest_codes(hashes, codes.to_numpy(zero_copy_only=False))
    if (values := _numbers(array)) is not None:
        return digest_numbers(values)
    of_texts = _hashes(array)
    return None if of_texts is None else digest_hashes(of_texts)


def _hashes(array: pa.Array) -> Hashes | None:
    if (values := _numbers(array)) is not None:
        return hash_numbers(values)
    return _hashes_of_texts(array) if is_text(array.type) else None


def _numbers(array: pa.Array) -> NDArray[np.float64] | None:
    kind = array.type
    if pa.types.is_boolean(kind):
        return to_floats(array.cast(pa.int8()))
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind)
    return to_floats(array) if is_number else None


def _hashes_of_texts(array: pa.Array) -> Hashes:
    _, starts, content = array.buffers()
    if not len(array) or starts is None:
        return np.empty(0, dtype=np.uint64)
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    start: NDArray[Any] = np.frombuffer(
        starts, width, len(array) + 1, array.offset * np.dtype(width).itemsize
    )
    letters = np.frombuffer(content, np.uint8) if content is not None else np.empty(0, dtype=np.uint8)
    return hash_texts(start, letters, array.is_valid().to_numpy(zero_copy_only=False))


def digest_columns(table: Table, names: Iterable[str]) -> dict[str, Digest]:
    """Digest columns of a frame, those that can be.

    Examples
    --------
    >>> from fusionpy.frames.tables import as_table
    >>> digest_columns(as_table(pa.table({"a": [1, 2], "b": [[1], [2]]})), ["a", "b"])["a"].n
    2
    """
    found = {}
    for name in names:
        try:
            digest = digest_of(table.column(name))
        except (Unreadable, pa.ArrowException, TypeError, ValueError):  # no reason not to fuse
            continue
        if digest is not None:
            found[name] = digest
    return found


def finder(table: Table) -> Callable[[str], Digest | None]:
    """Make a function that digests a column of a frame, by its name."""
    return lambda name: digest_columns(table, [name]).get(name)


def noted_columns(digests: Mapping[str, Digest]) -> str:
    """Write digests of columns of the same rows as a text, to be kept with what was made of them.

    Examples
    --------
    >>> noted_columns({"a": Digest(2, 10, 255)})
    '{"rows": 2, "columns": {"a": "000000000000000a00000000000000ff"}}'
    """
    rows = next((each.n for each in digests.values()), 0)
    columns = {name: f"{each.ordered:016x}{each.unordered:016x}" for name, each in digests.items()}
    return json.dumps({"rows": rows, "columns": columns})


def note_first(attributes: Mapping[str, object], table: pa.Table, n_rows: int) -> dict[str, object]:
    """Note digests of the first implicate, beside those of its recipient, so that both can be held to them.

    Parameters
    ----------
    attributes : mapping
        What is noted of how the implicates were made.
    table : pyarrow.Table
        The implicates, the first of which comes first.
    n_rows : int
        Of each.

    Returns
    -------
    dict
        Without digests of the recipient's if there are none of the first implicate's.
    """
    noted = {name: value for name, value in attributes.items() if name not in (ROWS, FIRST)}
    names = [name for name in table.column_names if name != "M"]
    part = table.slice(0, n_rows).select(names).unify_dictionaries().combine_chunks()
    found = {name: digest_of(_whole(part.column(name))) for name in names}
    digests = {name: digest for name, digest in found.items() if digest is not None}
    if ROWS not in attributes or not digests or not n_rows:
        return noted
    return {**noted, ROWS: attributes[ROWS], FIRST: noted_columns(digests)}


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def read_note(text: Any) -> dict[str, Digest]:
    """Read what `noted_columns` wrote; nothing of what is no such text.

    Examples
    --------
    >>> read_note(noted_columns({"a": Digest(2, 10, 255)}))
    {'a': Digest(n=2, ordered=10, unordered=255)}
    >>> read_note(None), read_note("{}"), read_note('{"rows": 1, "columns": {"a": "xyz"}}')
    ({}, {}, {})
    """
    try:
        made = json.loads(text)
        rows = int(made["rows"])
        return {
            str(name): Digest(rows, int(each[:16], 16), int(each[16:32], 16))
            for name, each in made["columns"].items()
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}


def moved_columns(
    noted: Mapping[str, Digest], names: Iterable[str], find: Callable[[str], Digest | None]
) -> tuple[list[str], list[str]]:
    """Tell columns that are just as they were noted, and those with the same values in another order.

    Parameters
    ----------
    noted : dict of Digest
    names : iterable of str
        Columns that there are now.
    find : callable
        Digests one.

    Returns
    -------
    list of str, list of str
        Those that are the same, those that were moved; others hold other values now.

    Examples
    --------
    >>> one, other = digest_of(pa.array([1, 2])), digest_of(pa.array([2, 1]))
    >>> moved_columns({"a": one, "b": one}, ["b", "a", "c"], {"a": one, "b": other}.get)
    (['a'], ['b'])
    """
    same: list[str] = []
    moved: list[str] = []
    for name in names:
        before = noted.get(name)
        now = find(name) if before is not None else None
        if before is None or now is None or now.n != before.n or now.unordered != before.unordered:
            continue
        (same if now.ordered == before.ordered else moved).append(name)
    return same, moved
