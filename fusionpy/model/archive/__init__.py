"""The `.fsn` model archive: a ZIP of models as text, Parquet tables and a JSON manifest.

Files that the R package knows (``<step>/<variable>_<kind>.txt``, ``metadata.rds``, ``donor.fst``) stand
where it expects them; what only fusionpy needs lies at the root, as ``fusionpy~...``, with ``manifest.json``:
see `fusionpy.model.archive.places`. Archives that R wrote have none of that and are read by
`fusionpy.model.archive.r_reading`. Nothing in an archive is executed, and every number that is used without
looking later on is checked.
"""

from __future__ import annotations

import io
import os
import platform
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fusionpy.engines import USUAL_ENGINE, find_engine
from fusionpy.engines.base import Engine, Model, Target
from fusionpy.errors import ArchiveError, ArgumentError, shown
from fusionpy.formats.atomic import check_writable, shown_path, written_aside
from fusionpy.model import FusionModel, Known, Pools, Step
from fusionpy.model.archive.effects import apart_table, effect_tables, read_effects
from fusionpy.model.archive.entries import damaged
from fusionpy.model.archive.files import MOST_SCALED, ArchiveFiles, quoted, suspicious
from fusionpy.model.archive.manifest import FORMAT, MANIFEST, PoolsEntry, StepEntry, write_manifest
from fusionpy.model.archive.manifest_reading import read_manifest
from fusionpy.model.archive.places import FORMAT_VERSION, Places, is_ours
from fusionpy.model.archive.r_metadata import METADATA
from fusionpy.model.archive.r_reading import read_r_archive
from fusionpy.model.archive.r_writing import obstacles, r_members
from fusionpy.model.ranges import learn_ranges
from fusionpy.model.schema import Schema

__all__ = ["FORMAT_VERSION", "as_model", "library_versions", "put_model", "read_fsn", "write_fsn"]

WEIGHTS = (1e-100, 1e100)
_LIBRARIES = ("numpy", "scipy", "numba", "pyarrow")


def library_versions(engine: str = USUAL_ENGINE) -> dict[str, str]:
    """Versions of Python, fusionpy and the libraries that a model's numbers depend on."""
    names = ("fusionpy", *find_engine(engine).libraries, *_LIBRARIES)
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in names}}


def write_fsn(model: FusionModel, path: str | os.PathLike[str]) -> None:
    """Write a model to a `.fsn` archive.

    Parameters
    ----------
    model : FusionModel
    path : path
        Ends with ``.fsn``. Replaced only when the archive is complete. A new file is for its owner only (mode
        0600), as it holds microdata; one that is replaced keeps its mode.

    Raises
    ------
    ArgumentError
        If `model` is something else.
    OutputError
        If it cannot be written.

    Notes
    -----
    The same model gives the same bytes. R's `fusionModel::fuse()` and `importance()` take the archive as one
    of their own, by `metadata.rds` and `donor.fst`: R then draws with the models of all donors, without
    calibrations, refits or redrawn weights. A model that they would draw something else from lacks these
    two; its manifest says why, under `not_for_r`: totals that are added up, rules, a variable named `W`,
    another engine.
    """
    if not isinstance(model, FusionModel):
        raise ArgumentError(f"`model` must be what `train()` returned, not {shown(model)}.")
    with written_aside(check_writable(path, "path", (".fsn",), folders=True), private=True) as aside:
        put_model(model, aside)


def put_model(model: FusionModel, path: Path) -> None:
    """Write a model's archive into a file of any name.

    Parameters
    ----------
    model : FusionModel
    path : Path
    """
    with (
        path.open("wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive,
    ):
        try:
            _put(model, archive)
        except BaseException:
            archive.fp = None  # or else it tries, unasked, to end the file when it is forgotten
            raise


def _put(model: FusionModel, archive: zipfile.ZipFile) -> None:
    """Write all files in the text order of their names, as R's are: its `importance()` lists models so."""
    files = _contents(model)
    for name in sorted(files):
        _add(archive, name, files[name]())


def _contents(model: FusionModel) -> dict[str, Callable[[], str | bytes]]:
    """List the files, each with what makes its content when its turn comes."""
    places, engine = Places(len(model.steps)), find_engine(model.options.engine)
    why_not = obstacles(model)
    found: dict[str, Callable[[], str | bytes]] = {MANIFEST: partial(write_manifest, model, why_not)}
    if not why_not:
        found |= r_members(model)
    donors = {name: model.donors[:, j] for j, name in enumerate(model.donor_columns)}
    counts = {f"refit{b}": each.astype(np.uint8) for b, each in enumerate(model.counts)}
    found[places.table("donor")] = partial(_table, donors | {"W..": model.weight})
    found[places.table("counts")] = partial(_table, counts)
    if model.known is not None:
        found[places.table("known")] = partial(_table, _known_columns(model.known))
    for number, step in enumerate(model.steps):
        for target in step.targets:
            found[places.final(number, target)] = partial(engine.write, step.final[target.name])
            for m, stand_in in enumerate(step.stand_ins):
                name = places.stand_in(number, m, target, step.variables)
                found[name] = partial(engine.write, stand_in[target.name])
        if step.pools is not None:
            centres, pools = _pool_columns(step.pools)
            found[places.of_step(number, "centres")] = partial(_table, centres)
            found[places.of_step(number, "pools")] = partial(_table, pools)
        if step.effects is not None:
            effects, spreads = effect_tables(step.effects)
            found[places.of_step(number, "effects")] = partial(_table, effects)
            found[places.of_step(number, "spreads")] = partial(_table, spreads)
            if (apart := apart_table(step.effects)) is not None:
                found[places.of_step(number, "apart")] = partial(_table, apart)
    return found


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


def _pool_columns(pools: Pools) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    centres = {name: pools.centres[:, j] for j, name in enumerate(pools.columns)}
    return centres | {"N..": pools.sizes.astype(np.int32)}, {"donor": pools.member.astype(np.int32)}


def as_model(fsn: FusionModel | str | os.PathLike[str]) -> FusionModel:
    """Return a model as it is, or read it from its archive."""
    return fsn if isinstance(fsn, FusionModel) else read_fsn(fsn)


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
    Nothing is unpacked to disk or executed. Member names and declared sizes are checked first. An archive
    that R's fusionModel wrote gives a model that draws as R does; it has no seed, as R keeps none, and
    ``versions`` tells the versions of fusionModel and R.
    """
    if not isinstance(path, str | os.PathLike):
        wanted = "a FusionModel or the path of a `.fsn` archive"
        raise ArgumentError(
            f"`fsn` must be {wanted}, not {shown(path)}.", hint="Pass what `train()` returned, or wrote."
        )
    headline = f"'{shown_path(path)}' cannot be read as a model archive."
    hint = "Pass the file that `train(fsn=...)` wrote, whole and unchanged."
    try:
        place = Path(path).expanduser()
        with zipfile.ZipFile(place) as archive:
            size = place.stat().st_size
            problem = suspicious(archive, size)
            if problem:
                raise ArchiveError("", [problem], "Use archives from people you trust only.")
            return _read(ArchiveFiles(archive, size))
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
        # Whatever a damaged archive makes zlib, pyarrow or an engine raise.
        raise ArchiveError(headline, [f"It is damaged ({type(error).__name__})."], hint) from None


def _read(packed: ArchiveFiles) -> FusionModel:
    if METADATA in packed.names and not _has_ours(packed):
        return read_r_archive(packed)
    if MANIFEST not in packed.names and not _has_ours(packed):
        problem = (
            f"It has neither a {MANIFEST}, as fusionpy writes, nor a {METADATA}, as R's fusionModel does."
        )
        raise ArchiveError("", [problem])
    manifest = read_manifest(packed.read(MANIFEST), len(packed.names), packed.size)
    places = Places(len(manifest.steps), manifest.version)
    donor = packed.table(places.table("donor"), [*manifest.donor_columns, "W.."])
    weight = donor.pop("W..").astype(np.float64)
    if len(weight) == 0 or weight.min() < WEIGHTS[0] or weight.max() > WEIGHTS[1]:
        raise damaged("its donors' weights are not all positive")
    donors = np.stack([*donor.values()], axis=1).astype(np.float64) if donor else np.empty((len(weight), 0))
    _check_donors(manifest.schema, manifest.donor_columns, donors)
    counts = packed.table(places.table("counts"), [f"refit{b}" for b in range(manifest.n_refits)])
    refits = np.stack([*counts.values()]).astype(np.float64) if counts else np.empty((0, len(weight)))
    if refits.shape[1] != len(weight) or (refits < 0).any():
        raise damaged("its refits are not of its donors")
    engine = find_engine(manifest.options.engine)
    steps = tuple(
        _read_step(packed, places, engine, number, entry, refits.shape)
        for number, entry in enumerate(manifest.steps)
    )
    at = places.table("known")
    known = _read_known(packed, at, manifest.schema, len(weight)) if at in packed.names else None
    ranges = manifest.ranges
    if ranges is None:
        ranges = {} if known is None else learn_ranges(manifest.schema, known.x)
    return FusionModel(
        schema=manifest.schema,
        steps=steps,
        options=manifest.options,
        seed=manifest.seed,
        donors=donors,
        donor_columns=manifest.donor_columns,
        weight=weight,
        counts=refits,
        seconds=manifest.seconds,
        versions=manifest.versions,
        known=known,
        rules=manifest.rules,
        ranges=ranges,
    )


def _has_ours(packed: ArchiveFiles) -> bool:
    """Tell whether anything in an archive is ours; a manifest of somebody else's is passed over, as by R."""
    if any(map(is_ours, packed.names)):
        return True
    return MANIFEST in packed.names and FORMAT.encode() in packed.read(MANIFEST)


def _read_known(packed: ArchiveFiles, place: str, schema: Schema, n_donors: int) -> Known:
    sizes = {"x": len(schema.x), "y": len(schema.y), "e": sum(max(v.n_classes, 1) for v in schema.y)}
    names = [f"{part}{j}" for part, size in sizes.items() for j in range(size)]
    table = packed.table(place, names, missing=True)
    values = np.stack([*table.values()], axis=1).astype(np.float64)
    if len(values) != n_donors:
        raise damaged(f"{quoted(place)} is not of its {n_donors:,} donors")
    x, y, expected = np.split(values, np.cumsum([sizes["x"], sizes["y"]]), axis=1)
    if np.isinf(y).any() or np.isinf(expected).any():  # of the predictors trees may use infinite ones
        raise damaged(f"{quoted(place)} holds numbers that are infinite")
    # Codes are looked up in the levels without a check.
    for variable, column in zip((*schema.x, *schema.y), np.hstack([x, y]).T, strict=True):
        codes = column[~np.isnan(column)]
        if variable.is_categorical and not np.isin(codes, np.arange(variable.n_classes)).all():
            raise damaged(f"donors have values of {quoted(variable.name)} that are none of its levels")
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
            raise damaged(f"donors have values of {quoted(name)} that are none of its levels")


def _read_step(
    packed: ArchiveFiles,
    places: Places,
    engine: Engine,
    number: int,
    entry: StepEntry,
    shape: tuple[int, ...],
) -> Step:
    def models(place: Callable[[Target], str]) -> dict[str, Model]:
        return {
            target.name: packed.model(place(target), engine, target, len(entry.predictors))
            for target in entry.targets
        }

    n_refits, n_donors = shape
    pools = effects = None
    if entry.effects is not None:
        effects = read_effects(packed, places, number, entry.effects, n_refits)
    if entry.pools is not None:
        pools = _read_pools(packed, places, number, entry.pools, n_donors)
        if len(entry.variables) > 1 and pools.sizes.min() < pools.sizes.max():
            raise damaged(f"the donor pools of step {number + 1} are not of one size")
    return Step(
        variables=entry.variables,
        predictors=entry.predictors,
        targets=entry.targets,
        final=models(partial(places.final, number)),
        stand_ins=tuple(
            models(partial(places.stand_in, number, m, variables=entry.variables))
            for m in range(entry.n_stand_ins)
        ),
        calibrations=entry.calibrations,
        pools=pools,
        tuning=entry.tuning,
        effects=effects,
    )


def _read_pools(packed: ArchiveFiles, places: Places, number: int, entry: PoolsEntry, n_donors: int) -> Pools:
    table = packed.table(places.of_step(number, "centres"), [*entry.columns, "N.."])
    sizes = table.pop("N..").astype(np.intp)
    member = packed.table(places.of_step(number, "pools"), ["donor"])["donor"].astype(np.intp)
    start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
    # The kernels index by these without looking: a wrong number here would read foreign memory.
    if not len(sizes) or (sizes < 1).any() or start[-1] != len(member) or not _within(member, n_donors):
        raise damaged(f"the donor pools of step {number + 1} do not fit its {n_donors:,} donors")
    centres = np.stack([*table.values()], axis=1).astype(np.float64)
    if np.abs(centres).max() > MOST_SCALED:
        raise damaged(f"the cluster centres of step {number + 1} are impossible")
    return Pools(
        columns=entry.columns,
        centre=entry.centre,
        scale=entry.scale,
        centres=centres,
        start=start,
        member=member,
        r2=entry.r2,
    )


def _within(rows: NDArray[np.intp], number: int) -> bool:
    return bool(((rows >= 0) & (rows < number)).all())
