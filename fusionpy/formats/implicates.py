"""Implicates on disk, written piece by piece."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fusionpy.formats.aside import written_aside

__all__ = ["METADATA_KEY", "with_metadata", "write_parquet"]

METADATA_KEY = b"fusionpy"


def with_metadata(schema: pa.Schema, attributes: Mapping[str, object]) -> pa.Schema:
    """Note in an Arrow schema how the data were made."""
    return schema.with_metadata({METADATA_KEY: json.dumps(dict(attributes)).encode()})


@contextmanager
def write_parquet(target: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Write a Parquet file table by table; it appears under its name when it is complete.

    Parameters
    ----------
    target : Path
    schema : pyarrow.Schema

    Yields
    ------
    callable
        Appends one table.
    """
    with written_aside(target) as aside, pq.ParquetWriter(aside, schema, compression="zstd") as writer:
        yield lambda table: writer.write_table(table)
