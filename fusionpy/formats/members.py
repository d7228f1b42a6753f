"""Members of a `.fsn` archive, read with distrust: an archive is data from strangers."""

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

from fusionpy.engines import boosting
from fusionpy.engines.boosting import Booster, Target
from fusionpy.errors import ArchiveError
from fusionpy.formats.manifest import damaged
from fusionpy.formats.model_text import check_model_text

__all__ = ["MOST_CELLS", "MOST_SCALED", "Members", "quoted", "suspicious"]

MOST_MEMBERS = 200_000
MOST_BYTES = 16 * 2**30  # of all members, unpacked
MOST_RATIO = 400  # unpacked over packed: model text and tables stay far below
MOST_SCALED = 1e150  # of a cluster centre: squares of distances stay finite
MOST_CELLS = 2**30  # of all tables: Parquet can hold as many equal ones as it likes in a few bytes


def suspicious(archive: zipfile.ZipFile) -> str | None:
    """Say what makes an archive unsafe to open."""
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        return f"It has {len(infos):,} members: no model needs as many."
    names = [info.filename for info in infos]
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
    return f"It claims to unpack to {total:,} bytes: no model is as large." if total > MOST_BYTES else None


def quoted(name: str) -> str:
    """Show a member's name on part of a line."""
    name = name if name.isprintable() else repr(name)[1:-1]
    return f"'{name}'" if len(name) <= 80 else f"'{name[:40]}...{name[-37:]}'"


class Members:
    """Members of an archive, read no further than their declared size."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.names = set(archive.namelist())
        self.cells = 0

    def read(self, name: str) -> bytes:
        """Unpack a member."""
        if name not in self.names:
            raise damaged(f"{quoted(name)} is missing from it")
        info = self.archive.getinfo(name)
        try:
            with self.archive.open(info) as member:
                content = member.read(info.file_size + 1)
        except Exception:  # zlib, zipfile
            raise damaged(f"{quoted(name)} cannot be unpacked") from None
        if len(content) != info.file_size:
            raise damaged(f"{quoted(name)} is not of the size it declares")
        return content

    def table(self, name: str, columns: Sequence[str], missing: bool = False) -> dict[str, NDArray[Any]]:
        """Read a table that has these columns, of finite numbers, or missing ones if that is allowed."""
        content = self.read(name)
        try:
            file = pq.ParquetFile(io.BytesIO(content))
            self.cells += file.metadata.num_rows * len(file.schema_arrow)
            if self.cells > MOST_CELLS:
                raise damaged(
                    f"{quoted(name)} claims to hold {file.metadata.num_rows:,} rows: no model has as many"
                )
            found = file.schema_arrow
            table = file.read() if found.names == list(columns) else None
        except ArchiveError:
            raise
        except Exception:  # pyarrow
            raise damaged(f"{quoted(name)} is not a Parquet table") from None
        if table is None:
            raise damaged(f"{quoted(name)} does not have the columns it should have")
        numbers = {column: table.column(column).combine_chunks() for column in columns}
        if any(array.null_count or not _is_plain(array.type) for array in numbers.values()):
            raise damaged(f"{quoted(name)} does not hold plain numbers")
        values = {column: array.to_numpy(zero_copy_only=False) for column, array in numbers.items()}
        if not all((np.isfinite(each) | (missing & np.isnan(each))).all() for each in values.values()):
            raise damaged(f"{quoted(name)} holds numbers that are missing or infinite")
        return values

    def booster(self, name: str, target: Target, n_features: int) -> Booster:
        """Read a LightGBM model."""
        content = self.read(name)
        try:
            model = content.decode()
            check_model_text(model, n_features, target.objective, target.n_classes)
            return boosting.parse(model)
        except UnicodeDecodeError:
            raise damaged(f"{quoted(name)} is not a model of LightGBM: it is not text") from None
        except ValueError as error:
            raise damaged(f"{quoted(name)} is not a model of LightGBM: {error}") from None


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float64(kind) or pa.types.is_int32(kind) or pa.types.is_uint8(kind))
