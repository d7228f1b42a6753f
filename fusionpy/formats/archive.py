"""The `.fsn` model archive: a ZIP of LightGBM text models, Parquet tables and a JSON manifest.

Members that the R package knows (``<step>/<variable>_<kind>.txt``) stand where it expects them; what only
fusionpy needs lies under ``fusionpy/``, with ``manifest.json``. Nothing in an archive is ever executed, and
every number that is used without looking later on is checked here.
"""

from __future__ import annotations

import io
import os
import platform
import stat
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fusionpy.engines import boosting
from fusionpy.engines.boosting import Booster, Target
from fusionpy.errors import ArchiveError, ArgumentError, shown
from fusionpy.formats.aside import check_writable, shown_path, written_aside
from fusionpy.formats.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    PoolsEntry,
    StepEntry,
    damaged,
    read_manifest,
    write_manifest,
)
from fusionpy.formats.model_text import check_model_text
from fusionpy.model import FusionModel, Known, Pools, Step
from fusionpy.schema import Schema

__all__ = ["FORMAT_VERSION", "library_versions", "read_fsn", "write_fsn"]

DONORS, COUNTS = "fusionpy/donor.parquet", "fusionpy/counts.parquet"
KNOWN = "fusionpy/known.parquet"
MOST_MEMBERS = 200_000
MOST_BYTES = 16 * 2**30  # of all members, unpacked
MOST_RATIO = 400  # unpacked over packed: model text and tables stay far below
MOST_CELLS = 2**30  # of all tables: Parquet can hold as many equal ones as it likes in a few bytes
MOST_SCALED = 1e150  # of a cluster centre: squares of distances stay finite
WEIGHTS = (1e-100, 1e100)
_LIBRARIES = ("fusionpy", "lightgbm", "numpy", "scipy", "numba", "pyarrow")


def library_versions() -> dict[str, str]:
    """Versions of Python, fusionpy and the libraries that a model's numbers depend on."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _LIBRARIES}}


def write_fsn(model: FusionModel, path: str | os.PathLike[str]) -> None:
    """Write a model to a `.fsn` archive.

    Parameters
    ----------
    model : FusionModel
    path : path
        Ends with ``.fsn``. Replaced only when the archive is complete.

    Raises
    ------
    ArgumentError
        If `model` is something else.
    OutputError
        If it cannot be written.

    Notes
    -----
    The same model gives the same bytes. `metadata.rds` and `donor.fst`, by which the R package reads an
    archive, come with the R bridge.
    """
    if not isinstance(model, FusionModel):
        raise ArgumentError(f"`model` must be what `train()` returned, not {shown(model)}.")
    target = check_writable(path, "path", (".fsn",))
    width = len(str(len(model.steps)))
    with (
        written_aside(target) as aside,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        _add(archive, MANIFEST, write_manifest(model))
        donors = {name: model.donors[:, j] for j, name in enumerate(model.donor_columns)}
        _add(archive, DONORS, _table(donors | {"W..": model.weight}))
        counts = {f"refit{b}": each.astype(np.uint8) for b, each in enumerate(model.counts)}
        _add(archive, COUNTS, _table(counts))
        if model.known is not None:
            _add(archive, KNOWN, _table(_known_columns(model.known)))
        for number, step in enumerate(model.steps, 1):
            folder = f"{number:0{width}d}"
            for name, booster in step.final.items():
                _add(archive, f"{folder}/{name}.txt", boosting.text(booster))
            for m, member in enumerate(step.members):
                for name, booster in member.items():
                    _add(archive, f"fusionpy/{folder}/{m}/{name}.txt", boosting.text(booster))
            if step.pools is not None:
                _add_pools(archive, f"fusionpy/{folder}", step.pools)


def _add(archive: zipfile.ZipFile, name: str, content: str | bytes) -> None:
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o644 << 16
    archive.writestr(info, content)


def _known_columns(known: Known) -> dict[str, NDArray[np.float64]]:
    parts = {"x": known.x, "y": known.y, "e": known.expected}
    return {f"{part}{j}": values[:, j] for part, values in parts.items() for j in range(values.shape[1])}


def _table(columns: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _add_pools(archive: zipfile.ZipFile, folder: str, pools: Pools) -> None:
    columns = {name: pools.centres[:, j] for j, name in enumerate(pools.columns)}
    sizes = pools.sizes.astype(np.int32)
    _add(archive, f"{folder}/centres.parquet", _table(columns | {"N..": sizes}))
    _add(archive, f"{folder}/pools.parquet", _table({"donor": pools.member.astype(np.int32)}))


def read_fsn(path: str | os.PathLike[str]) -> FusionModel:
    """Read a model from a `.fsn` archive.

    Parameters
    ----------
    path : path

    Returns
    -------
    FusionModel

    Raises
    ------
    ArgumentError
        If `path` is not a path.
    ArchiveError
        If it is not such an archive, is damaged, was written by a newer version, or is built to harm.

    Notes
    -----
    Nothing is unpacked to disk or executed. Member names and declared sizes are checked first.
    """
    if not isinstance(path, str | os.PathLike):
        wanted = "a FusionModel or the path of a `.fsn` archive"
        raise ArgumentError(
            f"`fsn` must be {wanted}, not {shown(path)}.", hint="Pass what `train()` returned, or wrote."
        )
    headline = f"'{shown_path(path)}' cannot be read as a model archive."
    hint = "Pass the file that `train(fsn=...)` wrote, whole and unchanged."
    try:
        with zipfile.ZipFile(Path(path).expanduser()) as archive:
            problem = _suspicious(archive)
            if problem:
                raise ArchiveError("", [problem], "Use archives from people you trust only.")
            return _read(_Members(archive))
    except ArchiveError as error:
        raise ArchiveError(headline, error.problems, error.hint or hint) from None
    except FileNotFoundError:
        raise ArchiveError(headline, ["There is no such file."], "Check the path and the folder.") from None
    except zipfile.BadZipFile:
        raise ArchiveError(headline, ["It is damaged, cut off, or another kind of file."], hint) from None
    except IsADirectoryError:
        raise ArchiveError(headline, ["It is a folder."], "Name the file in it.") from None
    except OSError as error:
        raise ArchiveError(
            headline, [f"{error.strerror or 'It cannot be opened'}."], "Check the path."
        ) from None
    except Exception as error:
        # Whatever a damaged archive makes zlib, pyarrow or LightGBM raise.
        raise ArchiveError(headline, [f"It is damaged ({type(error).__name__})."], hint) from None


def _suspicious(archive: zipfile.ZipFile) -> str | None:
    """Say what makes an archive unsafe to open."""
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        return f"It has {len(infos):,} members: no model needs as many."
    names = [info.filename for info in infos]
    if len(set(names)) < len(names):
        return "It has several members of the same name."
    for info in infos:
        name = _quoted(info.filename)
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


def _quoted(name: str) -> str:
    """Show a member's name on part of a line."""
    name = name if name.isprintable() else repr(name)[1:-1]
    return f"'{name}'" if len(name) <= 80 else f"'{name[:40]}...{name[-37:]}'"


class _Members:
    """Members of an archive, read no further than their declared size."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive
        self.names = set(archive.namelist())
        self.cells = 0

    def read(self, name: str) -> bytes:
        if name not in self.names:
            raise damaged(f"{_quoted(name)} is missing from it")
        info = self.archive.getinfo(name)
        try:
            with self.archive.open(info) as member:
                content = member.read(info.file_size + 1)
        except Exception:  # zlib, zipfile
            raise damaged(f"{_quoted(name)} cannot be unpacked") from None
        if len(content) != info.file_size:
            raise damaged(f"{_quoted(name)} is not of the size it declares")
        return content

    def table(self, name: str, columns: Sequence[str], missing: bool = False) -> dict[str, NDArray[Any]]:
        """Read a table that has these columns, of finite numbers, or missing ones if that is allowed."""
        content = self.read(name)
        try:
            file = pq.ParquetFile(io.BytesIO(content))
            self.cells += file.metadata.num_rows * len(file.schema_arrow)
            if self.cells > MOST_CELLS:
                raise damaged(
                    f"{_quoted(name)} claims to hold {file.metadata.num_rows:,} rows: no model has as many"
                )
            found = file.schema_arrow
            table = file.read() if found.names == list(columns) else None
        except ArchiveError:
            raise
        except Exception:  # pyarrow
            raise damaged(f"{_quoted(name)} is not a Parquet table") from None
        if table is None:
            raise damaged(f"{_quoted(name)} does not have the columns it should have")
        numbers = {column: table.column(column).combine_chunks() for column in columns}
        if any(array.null_count or not _is_plain(array.type) for array in numbers.values()):
            raise damaged(f"{_quoted(name)} does not hold plain numbers")
        values = {column: array.to_numpy(zero_copy_only=False) for column, array in numbers.items()}
        if not all((np.isfinite(each) | (missing & np.isnan(each))).all() for each in values.values()):
            raise damaged(f"{_quoted(name)} holds numbers that are missing or infinite")
        return values

    def booster(self, name: str, target: Target, n_features: int) -> Booster:
        content = self.read(name)
        try:
            model = content.decode()
            check_model_text(model, n_features, target.objective, target.n_classes)
            return boosting.parse(model)
        except UnicodeDecodeError:
            raise damaged(f"{_quoted(name)} is not a model of LightGBM: it is not text") from None
        except ValueError as error:
            raise damaged(f"{_quoted(name)} is not a model of LightGBM: {error}") from None


def _is_plain(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float64(kind) or pa.types.is_int32(kind) or pa.types.is_uint8(kind))


def _read(members: _Members) -> FusionModel:
    if MANIFEST not in members.names and "metadata.rds" in members.names:
        hint = "Archives written by R open with the R bridge, which this version does not have yet."
        raise ArchiveError("", ["It was written by R's fusionModel."], hint)
    manifest = read_manifest(members.read(MANIFEST), len(members.names))
    donor = members.table(DONORS, [*manifest.donor_columns, "W.."])
    weight = donor.pop("W..").astype(np.float64)
    if len(weight) == 0 or weight.min() < WEIGHTS[0] or weight.max() > WEIGHTS[1]:
        raise damaged("its donors' weights are not all positive")
    donors = np.stack([*donor.values()], axis=1).astype(np.float64) if donor else np.empty((len(weight), 0))
    _check_donors(manifest.schema, manifest.donor_columns, donors)
    counts = members.table(COUNTS, [f"refit{b}" for b in range(manifest.n_refits)])
    refits = np.stack([*counts.values()]).astype(np.float64) if counts else np.empty((0, len(weight)))
    if refits.shape[1] != len(weight) or (refits < 0).any():
        raise damaged("its refits are not of its donors")
    width = len(str(len(manifest.steps)))
    steps = tuple(
        _read_step(members, f"{number:0{width}d}", entry, len(weight))
        for number, entry in enumerate(manifest.steps, 1)
    )
    return FusionModel(
        manifest.schema,
        steps,
        manifest.options,
        manifest.seed,
        donors,
        manifest.donor_columns,
        weight,
        refits,
        manifest.seconds,
        manifest.versions,
        _read_known(members, manifest.schema, len(weight)) if KNOWN in members.names else None,
        manifest.rules,
    )


def _read_known(members: _Members, schema: Schema, n_donors: int) -> Known:
    sizes = {"x": len(schema.x), "y": len(schema.y), "e": sum(max(v.n_classes, 1) for v in schema.y)}
    names = [f"{part}{j}" for part, size in sizes.items() for j in range(size)]
    table = members.table(KNOWN, names, missing=True)
    values = np.stack([*table.values()], axis=1).astype(np.float64)
    if len(values) != n_donors:
        raise damaged(f"{_quoted(KNOWN)} is not of its {n_donors:,} donors")
    x, y, expected = np.split(values, np.cumsum([sizes["x"], sizes["y"]]), axis=1)
    # Codes are looked up in the levels without a check.
    for variable, column in zip((*schema.x, *schema.y), np.hstack([x, y]).T, strict=True):
        codes = column[~np.isnan(column)]
        if variable.is_categorical and not np.isin(codes, np.arange(variable.n_classes)).all():
            raise damaged(f"donors have values of {_quoted(variable.name)} that are none of its levels")
    return Known(x, y, expected)


def _check_donors(schema: Schema, columns: Sequence[str], donors: NDArray[np.float64]) -> None:
    """Donors' classes must be codes of their levels."""
    for name, values in zip(columns, donors.T, strict=True):
        variable = schema[name]
        codes = np.floor(values)
        if (
            variable.is_categorical
            and not ((codes == values) & (codes >= 0) & (codes < variable.n_classes)).all()
        ):
            raise damaged(f"donors have values of {_quoted(name)} that are none of its levels")


def _read_step(members: _Members, folder: str, entry: StepEntry, n_donors: int) -> Step:
    def models(folder: str) -> dict[str, Booster]:
        return {
            target.name: members.booster(f"{folder}/{target.name}.txt", target, len(entry.predictors))
            for target in entry.targets
        }

    pools = None
    if entry.pools is not None:
        pools = _read_pools(members, f"fusionpy/{folder}", entry.pools, n_donors)
        if len(entry.variables) > 1 and pools.sizes.min() < pools.sizes.max():
            raise damaged(f"the donor pools in 'fusionpy/{folder}' are not of one size")
    return Step(
        entry.variables,
        entry.predictors,
        entry.targets,
        models(folder),
        tuple(models(f"fusionpy/{folder}/{m}") for m in range(entry.n_members)),
        entry.calibrations,
        pools,
        entry.tuning,
        entry.ranked,
    )


def _read_pools(members: _Members, folder: str, entry: PoolsEntry, n_donors: int) -> Pools:
    table = members.table(f"{folder}/centres.parquet", [*entry.columns, "N.."])
    sizes = table.pop("N..").astype(np.intp)
    member = members.table(f"{folder}/pools.parquet", ["donor"])["donor"].astype(np.intp)
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
    # The kernels index by these without looking: a wrong number here would read foreign memory.
    if not len(sizes) or (sizes < 1).any() or start[-1] != len(member) or not _within(member, n_donors):
        raise damaged(f"the donor pools in '{folder}' do not fit its {n_donors:,} donors")
    centres = np.stack([*table.values()], axis=1).astype(np.float64)
    if np.abs(centres).max() > MOST_SCALED:
        raise damaged(f"the cluster centres in '{folder}' are impossible")
    return Pools(entry.columns, entry.centre, entry.scale, centres, start, member, entry.r2)


def _within(rows: NDArray[np.intp], number: int) -> bool:
    return bool(((rows >= 0) & (rows < number)).all())
