"""Notes in files: ours of how data were made, and those of strangers, JSON that is read under a limit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

__all__ = ["NOTE_KEY", "noted_attributes", "read_json", "with_metadata", "without_bad_notes"]

NOTE_KEY = b"fusionpy"  # of a schema's metadata
# A list of empty lists takes forty times its size in memory. So many, whatever the file's size: some 30 MB
MOST_VALUES = 2**18
PANDAS = b"pandas"
_MARKS = (b",", b"[", b"{")


def read_json(content: bytes, size: int | None = None) -> Any:
    """Read JSON that does not have more values than its file gives reason to expect.

    Parameters
    ----------
    content : bytes
    size : int, optional
        Of the file that it stands in, packed. Its own, if left out.

    Returns
    -------
    dict, list, str, int, float, bool or None

    Raises
    ------
    ValueError
        If it is no JSON, has too many values, or nests them too deep.

    Examples
    --------
    >>> read_json(b'{"a": [1, 2]}')
    {'a': [1, 2]}
    """
    if sum(map(content.count, _MARKS)) > MOST_VALUES + (len(content) if size is None else size):
        raise ValueError("it has more values than it can need")
    try:
        return json.loads(content)
    except RecursionError:
        raise ValueError("its values are nested too deep") from None


def without_bad_notes(schema: pa.Schema) -> pa.Schema:
    """Drop what a file tells pandas of its columns, if pandas could not follow it.

    Parameters
    ----------
    schema : pyarrow.Schema

    Returns
    -------
    pyarrow.Schema
        The same, or without the notes.
    """
    notes = schema.metadata or {}
    if PANDAS not in notes:
        return schema
    try:
        read_json(notes[PANDAS])
        schema.empty_table().to_pandas()
    except Exception:  # what pyarrow raises depends on what is wrong with them
        return schema.with_metadata({key: value for key, value in notes.items() if key != PANDAS})
    return schema


def with_metadata(schema: pa.Schema, attributes: Mapping[str, object]) -> pa.Schema:
    """Note in an Arrow schema how the data were made."""
    return schema.with_metadata({NOTE_KEY: json.dumps(dict(attributes)).encode()})


def noted_attributes(schema: pa.Schema) -> dict[str, Any]:
    """Take what is noted in a schema of how the data were made; nothing if that is not ours."""
    try:
        made = read_json((schema.metadata or {}).get(NOTE_KEY, b"{}"))
    except ValueError:
        return {}
    return made if isinstance(made, dict) else {}
