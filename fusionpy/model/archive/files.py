"""Files of a `.fsn` archive, read with distrust: an archive is data from strangers."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fusionpy.engines.base import Engine, Model, Target
from fusionpy.errors import ArchiveError
from fusionpy.formats.pages import open_scale
from fusionpy.model.archive.entries import damaged
from fusionpy.model.archive.places import unprefixed

__all__ = ["MOST_SCALED", "ArchiveFiles", "quoted", "suspicious"]

MOST_MEMBERS = 200_000
MOST_BYTES = 2**24  # of all members, unpacked, and for each byte of the archive:
BYTES_PER_BYTE = 64
MOST_RATIO = 400  # unpacked over packed, of a member: model text and tables stay far below
MOST_SCALED = 1e150  # of a cluster centre: squares of distances stay finite
MOST_CELLS = (
    2**22
)  # of all tables, as Parquet holds equal ones in a few bytes; and for each of the archive's:
CELLS_PER_BYTE = 32


def suspicious(archive: zipfile.ZipFile, size: int) -> str | None:
    """Say what makes an archive of so many bytes unsafe to open."""
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        return f"It has {len(infos):,} members: no model needs as many."
    names = [unprefixed(info.filename) for info in infos]
    if len(set(names)) < len(names):
        return "It has several members of the same name."
    for info in infos:
        name = quoted(info.filename)
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in info.filename:
            return f"Member {name} points outside of it."
        if stat.S_ISLNK(info.external_attr >> 16):
            return f"Member {name} is a link."
        if info.flag_bits & 0x1:
            return f"Member {name} is encrypted."
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            return f"Member {name} is compressed in an unusual way."
        if info.file_size > 2**20 and info.file_size > MOST_RATIO * max(info.compress_size, 1):
            return (
                f"Member {name} claims to unpack to {info.file_size:,} bytes: no model is packed as tightly."
            )
    total = sum(info.file_size for info in infos)
    most = MOST_BYTES + BYTES_PER_BYTE * size
    return (
        f"It claims to unpack to {total:,} bytes: no model of its size is as large." if total > most else None
    )


def quoted(name: str) -> str:
    """Show a member's name on part of a line."""
    name = name if name.isprintable() else repr(name)[1:-1]
    return f"'{name}'" if len(name) <= 80 else f"'{name[:40]}...{name[-37:]}'"


class ArchiveFiles:
    """Files of an archive, read no further than their declared size."""

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self.archive = archive
        self.size = size  # of the archive's file, in bytes
        self.infos = {unprefixed(info.filename): info for info in archive.infolist()}
        self.names = set(self.infos)
        self.cells = 0

    def read(self, name: str) -> bytes:
        """Unpack a member."""
        if name not in self.names:
            raise damaged(f"{quoted(name)} is missing from it")
        info = self.infos[name]
        try:
            with self.archive.open(info) as member:
                content = member.read(info.file_size + 1)
        except Exception:  # zlib, zipfile
            raise damaged(f"{quoted(name)} cannot be unpacked") from None
        if len(content) != info.file_size:
            raise damaged(f"{quoted(name)} is not of the size it declares")
        return content

    def count_cells(self, name: str, n_rows: int, n_columns: int) -> None:
        """Refuse a table that claims more cells than the archive's size gives reason to expect."""
        self.cells += n_rows * n_columns
        if n_rows < 0 or self.cells > MOST_CELLS + CELLS_PER_BYTE * self.size:
            raise damaged(f"{quoted(name)} claims to hold {n_rows:,} rows: no model of its size has as many")

    def table(self, name: str, columns: Sequence[str], missing: bool = False) -> dict[str, NDArray[Any]]:
        """Read a table that has these columns, of finite numbers, or any ones if `missing` allows them."""
        content = self.read(name)
        try:
            file = pq.ParquetFile(io.BytesIO(content))
            self.count_cells(name, file.metadata.num_rows, len(file.schema_arrow))
            if file.schema_arrow.names != list(columns):
                raise damaged(f"{quoted(name)} does not have the columns it should have")
            if not _is_flat(file):
                raise damaged(f"{quoted(name)} does not hold plain numbers")
            open_scale(content, file.metadata).weigh(range(file.num_row_groups), columns)
            table = file.read()
        except ArchiveError:
            raise
        except Exception:  # pyarrow
            raise damaged(f"{quoted(name)} is not a Parquet table") from None
        numbers = {column: table.column(column).combine_chunks() for column in columns}
        if any(array.null_count for array in numbers.values()):
            raise damaged(f"{quoted(name)} does not hold plain numbers")
        values = {column: array.to_numpy(zero_copy_only=False) for column, array in numbers.items()}
        if not missing and not all(np.isfinite(each).all() for each in values.values()):
            raise damaged(f"{quoted(name)} holds numbers that are missing or infinite")
        return values

    def model(self, name: str, engine: Engine, target: Target, n_features: int) -> Model:
        """Read a model of an engine, which judges its text."""
        content = self.read(name)
        try:
            return engine.read(content.decode(), target, n_features)
        except UnicodeDecodeError:
            raise damaged(f"{quoted(name)} is not a model of {engine.title}: it is not text") from None
        except ValueError as error:
            raise damaged(f"{quoted(name)} is not a model of {engine.title}: {error}") from None


def _is_flat(file: pq.ParquetFile) -> bool:
    """Tell, before anything is read, whether a table holds numbers of the kinds that we write."""
    columns = [file.metadata.schema.column(j) for j in range(len(file.metadata.schema))]
    flat = all(c.max_repetition_level == 0 and c.physical_type in ("DOUBLE", "INT32") for c in columns)
    return flat and all(_is_plain(kind) for kind in file.schema_arrow.types)


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float64(kind) or pa.types.is_int32(kind) or pa.types.is_uint8(kind))
