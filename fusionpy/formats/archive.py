"""The `.fsn` model archive: a ZIP of LightGBM text models, Parquet tables and a JSON manifest.

Members that the R package knows (``<step>/<variable>_<kind>.txt``) stand where it expects them; what only
fusionpy needs lies under ``fusionpy/``, with ``manifest.json``. Nothing in an archive is ever executed.
"""

from __future__ import annotations

import io
import json
import os
import platform
import stat
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fusionpy.engines import boosting
from fusionpy.engines.boosting import Booster, Target, Tuning
from fusionpy.errors import ArchiveError
from fusionpy.formats.aside import written_aside
from fusionpy.model import FusionModel, Options, Pools, Step
from fusionpy.schema import Schema, Variable

__all__ = ["FORMAT_VERSION", "library_versions", "read_fsn", "write_fsn"]

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MOST_MEMBERS = 200_000
MOST_BYTES = 16 * 2**30  # of all members, unpacked
MOST_RATIO = 400  # unpacked over packed: model text and tables stay far below
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
        Replaced only when the archive is complete.

    Raises
    ------
    OutputError
        If it cannot be written.

    Notes
    -----
    The same model gives the same bytes. `metadata.rds` and `donor.fst`, by which the R package reads an archive,
    come with the R bridge.
    """
    width = len(str(len(model.steps)))
    with (
        written_aside(Path(path)) as aside,
        zipfile.ZipFile(aside, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        _add(archive, MANIFEST, json.dumps(_manifest(model), indent=1, sort_keys=True))
        donors = {name: model.donors[:, j] for j, name in enumerate(model.donor_columns)}
        _add(archive, "fusionpy/donor.parquet", _table(donors | {"W..": model.weight}))
        counts = {f"refit{b}": each.astype(np.uint8) for b, each in enumerate(model.counts)}
        _add(archive, "fusionpy/counts.parquet", _table(counts))
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


def _manifest(model: FusionModel) -> dict[str, Any]:
    return {
        "format": "fusionpy model",
        "format_version": FORMAT_VERSION,
        "options": {**asdict(model.options), "hyper": dict(model.options.hyper)},
        "seed": model.seed,
        "seconds": model.seconds,
        "versions": dict(model.versions),
        "x": [_variable(v) for v in model.schema.x],
        "y": [_variable(v) for v in model.schema.y],
        "donor_columns": list(model.donor_columns),
        "n_refits": len(model.counts),
        "steps": [_step(step) for step in model.steps],
    }


def _variable(variable: Variable) -> dict[str, Any]:
    return {**asdict(variable), "levels": list(variable.levels)}


def _step(step: Step) -> dict[str, Any]:
    pools = step.pools
    return {
        "variables": list(step.variables),
        "predictors": list(step.predictors),
        "targets": [asdict(target) for target in step.targets],
        "n_members": len(step.members),
        "temperatures": dict(step.temperatures),
        "ranked": list(step.ranked),
        "tuning": {name: asdict(tuning) for name, tuning in step.tuning.items()},
        "pools": pools
        and {
            "columns": list(pools.columns),
            "centre": [None if np.isnan(v) else float(v) for v in pools.centre],
            "scale": [None if np.isnan(v) else float(v) for v in pools.scale],
            "r2": None if np.isnan(pools.r2) else pools.r2,
        },
    }


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
    ArchiveError
        If it is not such an archive, is damaged, was written by a newer version, or is built to harm.

    Notes
    -----
    Nothing is unpacked to disk or executed. Member names and declared sizes are checked first.
    """
    source = Path(path).expanduser()
    headline = f"'{path}' cannot be read as a model archive."
    hint = "Pass the file that `train(fsn=...)` wrote, whole and unchanged."
    try:
        with zipfile.ZipFile(source) as archive:
            problem = _suspicious(archive)
            if problem:
                raise ArchiveError(headline, [problem], "Use archives from people you trust only.")
            return _read(_Members(archive))
    except ArchiveError as error:
        raise ArchiveError(headline, error.problems or [error.headline], error.hint or hint) from None
    except FileNotFoundError:
        raise ArchiveError(headline, ["There is no such file."], hint) from None
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise ArchiveError(headline, [f"{str(error).rstrip('.')}."], hint) from None
    except (KeyError, TypeError, ValueError, IndexError, pa.ArrowException, NotImplementedError, RuntimeError) as error:
        raise ArchiveError(headline, [f"Its content is damaged ({type(error).__name__}: {error})."], hint) from None


def _suspicious(archive: zipfile.ZipFile) -> str | None:
    """Say what makes an archive unsafe to open."""
    infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        return f"It has {len(infos)} members."
    names = [info.filename for info in infos]
    if len(set(names)) < len(names):
        return "It has several members of the same name."
    for info in infos:
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts or ":" in info.filename or "\x00" in info.filename:
            return f"Member name {info.filename!r} points outside of it."
        if stat.S_ISLNK(info.external_attr >> 16):
            return f"Member {info.filename!r} is a link."
        if info.flag_bits & 0x1:
            return f"Member {info.filename!r} is encrypted."
        if info.file_size > 2**20 and info.file_size > MOST_RATIO * max(info.compress_size, 1):
            return f"Member {info.filename!r} claims to unpack to {info.file_size:,} bytes."
    total = sum(info.file_size for info in infos)
    return f"It claims to unpack to {total:,} bytes." if total > MOST_BYTES else None


class _Members:
    """Members of an archive, read no further than their declared size."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self.archive = archive

    def read(self, name: str) -> bytes:
        try:
            info = self.archive.getinfo(name)
        except KeyError:
            raise ArchiveError("", [f"Member '{name}' is missing."]) from None
        with self.archive.open(info) as member:
            content = member.read(info.file_size + 1)
        if len(content) != info.file_size:
            raise ArchiveError("", [f"Member '{name}' is not of the size it declares."])
        return content

    def table(self, name: str) -> pa.Table:
        return pq.read_table(io.BytesIO(self.read(name)))

    def booster(self, name: str) -> Booster:
        return boosting.parse(self.read(name).decode())


def _read(members: _Members) -> FusionModel:
    if "metadata.rds" in members.archive.namelist() and MANIFEST not in members.archive.namelist():
        hint = "Archives written by R open with the R bridge, which this version does not have yet."
        raise ArchiveError("", ["It was written by R's fusionModel."], hint)
    manifest = json.loads(members.read(MANIFEST))
    if not isinstance(manifest, dict) or manifest.get("format") != "fusionpy model":
        raise ArchiveError("", ["Its manifest is not that of a fusionpy model."])
    if manifest.get("format_version") != FORMAT_VERSION:
        found = manifest.get("format_version")
        hint = "Upgrade fusionpy to read archives of newer versions."
        raise ArchiveError("", [f"Its format version is {found!r}; this fusionpy reads {FORMAT_VERSION}."], hint)
    schema = Schema(
        tuple(_read_variable(v) for v in manifest["x"]), tuple(_read_variable(v) for v in manifest["y"])
    )
    given = manifest["options"]
    options = Options(**{**given, "krange": tuple(given["krange"])})
    donor = members.table("fusionpy/donor.parquet")
    columns = tuple(manifest["donor_columns"])
    weight = donor.column("W..").to_numpy()
    donors = np.stack([donor.column(c).to_numpy() for c in columns], axis=1) if columns else np.empty((len(weight), 0))
    counts = members.table("fusionpy/counts.parquet")
    refits = np.empty((manifest["n_refits"], len(weight)))
    for b in range(len(refits)):
        refits[b] = counts.column(f"refit{b}").to_numpy()
    width = len(str(len(manifest["steps"])))
    steps = tuple(
        _read_step(members, f"{number:0{width}d}", each, len(weight))
        for number, each in enumerate(manifest["steps"], 1)
    )
    model = FusionModel(
        schema, steps, options, manifest["seed"], donors, columns, weight, refits, manifest["seconds"], manifest["versions"]
    )
    _check_consistent(model)
    return model


def _read_variable(entry: Mapping[str, Any]) -> Variable:
    variable = Variable(**{**entry, "levels": tuple(entry["levels"])})
    if variable.kind not in ("continuous", "ordered", "nominal", "logical"):
        raise ValueError(f"unknown kind {variable.kind!r}")
    return variable


def _read_step(members: _Members, folder: str, entry: Mapping[str, Any], n_donors: int) -> Step:
    targets = tuple(Target(**target) for target in entry["targets"])
    names = [target.name for target in targets]
    return Step(
        tuple(entry["variables"]),
        tuple(entry["predictors"]),
        targets,
        {name: members.booster(f"{folder}/{name}.txt") for name in names},
        tuple(
            {name: members.booster(f"fusionpy/{folder}/{m}/{name}.txt") for name in names}
            for m in range(entry["n_members"])
        ),
        entry["temperatures"],
        entry["pools"] and _read_pools(members, f"fusionpy/{folder}", entry["pools"], n_donors),
        {name: Tuning(**entry["tuning"][name]) for name in names},
        tuple(entry["ranked"]),
    )


def _read_pools(members: _Members, folder: str, entry: Mapping[str, Any], n_donors: int) -> Pools:
    table = members.table(f"{folder}/centres.parquet")
    columns = tuple(entry["columns"])
    sizes = table.column("N..").to_numpy().astype(np.intp)
    member = members.table(f"{folder}/pools.parquet").column("donor").to_numpy().astype(np.intp)
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
    # The kernels index by these without looking: a wrong number here would read foreign memory.
    if (sizes < 1).any() or start[-1] != len(member) or (member < 0).any() or (member >= n_donors).any():
        raise ArchiveError("", [f"The donor pools in '{folder}' do not fit its {n_donors} donors."])
    numbers = [np.array([np.nan if v is None else v for v in entry[k]]) for k in ("centre", "scale")]
    if {len(number) for number in numbers} != {len(columns)}:
        raise ArchiveError("", [f"The scales in '{folder}' do not fit its expectations."])
    centres = np.stack([table.column(name).to_numpy() for name in columns], axis=1)
    r2 = float("nan") if entry["r2"] is None else float(entry["r2"])
    return Pools(columns, numbers[0], numbers[1], centres, start, member, r2)


def _check_consistent(model: FusionModel) -> None:
    """Refuse archives whose parts contradict each other."""
    known = set(model.schema.names)
    for number, step in enumerate(model.steps, 1):
        strange = [name for name in (*step.variables, *step.predictors) if name not in known]
        if strange:
            raise ArchiveError("", [f"Step {number} names unknown variables {strange[:5]}."])
        for booster in (*step.final.values(), *(b for member in step.members for b in member.values())):
            if booster.num_feature() != len(step.predictors):
                raise ArchiveError("", [f"A model of step {number} has not as many predictors as the step."])
        taken = step.variables if step.pools is not None else ()
        if not set(taken) <= set(model.donor_columns):
            raise ArchiveError("", [f"Donors' values for step {number} are missing."])
    if sorted(name for step in model.steps for name in step.variables) != sorted(v.name for v in model.schema.y):
        raise ArchiveError("", ["Its steps do not make its fusion variables."])
    if model.options.refits != len(model.counts):
        raise ArchiveError("", ["Its refits are not as many as it says."])
