"""Models that R's fusionModel trained: `metadata.rds` and `donor.fst` of a `.fsn` archive, all distrusted.

How a model was trained is told by the grid that was tried, and by the constants in R's call, which is never
evaluated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines import USUAL_ENGINE, find_engine
from fusionpy.engines.base import MOST_VALUE, Target
from fusionpy.errors import ArchiveError, ArgumentError, few
from fusionpy.formats.fst import open_fst
from fusionpy.formats.rds import Damaged, read_rds
from fusionpy.formats.rds.reader import NotPlain
from fusionpy.formats.rds.values import NA_INTEGER
from fusionpy.kernels.scaling import percentiles
from fusionpy.model import BLOCK_POOL, FusionModel, Pools, Step
from fusionpy.model.archive.entries import damaged
from fusionpy.model.archive.files import MOST_SCALED, ArchiveFiles, quoted
from fusionpy.model.archive.r_metadata import METADATA, Entry
from fusionpy.model.archive.r_settings import options, seconds, tunings, versions
from fusionpy.model.options import METHODS
from fusionpy.model.schema import Schema
from fusionpy.model.variables import Kind, Variable

__all__ = ["R_DONORS", "read_r_archive"]

PLAIN = 'If it is in the call, do this in R: m <- readRDS(f); m$call <- call("train"); saveRDS(m, f).'
R_DONORS = "donor.fst"
_KINDS: dict[tuple[str, ...], tuple[Kind, str]] = {
    ("numeric",): ("continuous", "double"),
    ("integer",): ("continuous", "int32"),
    ("logical",): ("logical", "bool"),
    ("factor",): ("nominal", "string"),
    ("ordered", "factor"): ("ordered", "string"),
}
_BY_STEP = ("xpreds", "ycenter", "yscale", "kcenters", "kneighbors")
_TOLD_BY_STEP = ("cluster_mean_r2", "hyper_results")  # of how the model was made


def read_r_archive(packed: ArchiveFiles) -> FusionModel:
    """Read a model that R's fusionModel trained.

    Parameters
    ----------
    packed : ArchiveFiles
        Of an archive with `metadata.rds`.

    Returns
    -------
    FusionModel
        Drawn from as R does: by its boosters, centres, pools and integer weights. It has no seed, as R
        keeps none.

    Raises
    ------
    ArchiveError
        Naming the entry that is missing, damaged, or does not fit the others.

    Notes
    -----
    R keeps the tuning of a block's last variable only; of its other models the loss is NaN.

    What R itself passes over, when it opens an archive, does no harm here either: what folders are called,
    files of no step, columns of `donor.fst` that are no fusion variables, and entries of the metadata that
    only tell how the model was made. R takes the i-th folder, in the text order of their names, for step i;
    here a step's folder is the one that has the models of its variables, which is the same wherever R's way
    works.
    """
    try:
        root = Entry(read_rds(packed.read(METADATA), packed.size))
    except NotPlain as found:
        raise ArchiveError("", [f"Its {METADATA} cannot be used: {found}."], PLAIN) from None
    except Damaged as damage:
        raise damaged(f"{quoted(METADATA)} ({damage})") from None
    root.must(root.value is not None and root.value.kind == "list", "a list")
    x, y = _variables(root["xclass"], root["xlevels"]), _variables(root["yclass"], root["ylevels"])
    variables = _order(root["ylist"], y)
    schema = Schema(tuple(x.values()), tuple(y[name] for names in variables for name in names))
    if not x or len(set(schema.names)) < len(schema.names) or "M" in y:
        raise damaged("its variables have impossible names")
    _check_types(root["ytype"], y)
    pooled = {
        name for names in variables for name in names if len(names) > 1 or not schema[name].is_categorical
    }
    donors, weight = _donors(packed, schema, pooled)
    if (n := _rows(root.get("nobs"))) > len(weight):
        raise damaged(f"{quoted(R_DONORS)} holds {len(weight):,} donors, not {n:,}")
    ptiles = _ptiles(root, pooled)
    steps = _steps(packed, root, schema, variables, ptiles, donors, len(weight))
    return FusionModel(
        schema=schema,
        steps=steps,
        options=options(root, steps, len(ptiles)),
        seed=None,
        donors=np.stack([*donors.values()], axis=1) if donors else np.empty((len(weight), 0)),
        donor_columns=tuple(donors),
        weight=weight,
        counts=np.empty((0, len(weight))),
        seconds=seconds(root.get("timing")),
        versions=versions(root.get("version")),
    )


def _variables(classes: Entry, levels: Entry) -> dict[str, Variable]:
    known = levels.named()
    found = {}
    for name, each in classes.named().items():
        kind, storage = _KINDS.get(each.texts(), ("", ""))
        each.must(bool(kind), f"a class that fusionModel has, not {few(each.texts())}")
        own: tuple[str, ...] = ()
        if storage == "string":
            if name not in known:
                raise damaged(f"{levels.place} has no entry {few([name])}")
            own = known[name].texts()
            known[name].must(bool(own) and len(set(own)) == len(own), "levels, none of them twice")
        found[name] = Variable(name, kind, own, storage)  # type: ignore[arg-type]
    return found


def _order(entry: Entry, y: Mapping[str, Variable]) -> list[tuple[str, ...]]:
    """Variables of each step."""
    waiting = list(y)
    steps = []
    for each in entry.each():
        steps.append(each.names_among(waiting))
        waiting = [name for name in waiting if name not in steps[-1]]
    if waiting or not steps:
        raise damaged(f"it has no step for {few(waiting)}" if waiting else "it has no steps")
    return steps


def _check_types(entry: Entry, y: Mapping[str, Variable]) -> None:
    """Types must be those that follow from the classes; without names, in any order."""
    found = entry.texts()
    names = entry.value.names if entry.value is not None else None
    wanted = {name: variable.model_type for name, variable in y.items()}
    fits = sorted(found) == sorted(wanted.values())
    if names is not None:
        fits = fits and dict(zip(names, found, strict=False)) == wanted
    if not fits:
        raise damaged(f"{METADATA}/ytype does not fit the classes of its variables")


def _ptiles(root: Entry, pooled: Collection[str]) -> NDArray[np.float64]:
    """Percentiles of the quantile models; where R's list of them is missing, as many as there are models."""
    entry = root.get("ptiles")
    if entry.is_null:
        centres = [each.value.names for each in root["ycenter"].each() if each.value is not None]
        columns = [str(name).rpartition("_") for names in centres for name in names or ()]
        kinds = {kind for y, _, kind in columns if y in pooled}
        number = sum(kind[:1] == "q" and kind[1:].isdigit() for kind in kinds)
        return percentiles(number or METHODS["fusionModel"].nquantiles)
    found = entry.numbers()
    if not len(found) or not ((found > 0) & (found < 1)).all() or (np.diff(found) <= 0).any():
        raise damaged(f"{METADATA}/ptiles must be rising shares between 0 and 1")
    return found


def _rows(entry: Entry) -> int:
    """Read how many donors the model was trained on; 0 if that is not told."""
    found = np.zeros(1) if entry.is_null else entry.numbers()
    entry.must(len(found) == 1 and bool(0 <= found[0] < 2**31), "a number of rows")
    return int(found[0])


def _donors(
    packed: ArchiveFiles, schema: Schema, pooled: Collection[str]
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Read donors' values of the fusion variables that are taken from donors, and their weights."""
    content = packed.read(R_DONORS)
    try:
        file = open_fst(content)
        wanted = [name for name in file.names if name in pooled or name == "W"]
        packed.count_cells(R_DONORS, file.n_rows, len(wanted))
        if not file.n_rows or len(set(wanted)) < len(wanted) or "W" not in wanted:
            raise damaged(f"{quoted(R_DONORS)} does not hold donors with weights `W`")
        table = file.read(wanted)
    except ArgumentError as error:
        why = error.problems[0].rstrip(".") if error.problems else "unknown"
        raise damaged(f"{quoted(R_DONORS)} cannot be read ({why[0].lower()}{why[1:]})") from None
    found = {}
    for name in table.column_names:
        column = table.column(name)
        if str(column.type) not in ("double", "int32") or column.null_count:
            raise damaged(f"{quoted(R_DONORS)} does not hold plain numbers")
        found[name] = column.combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64)
        if not (np.abs(found[name]) <= MOST_VALUE).all():
            raise damaged(f"{quoted(R_DONORS)} holds numbers that are missing or impossible")
    weight = found.pop("W")
    if weight.min() <= 0:
        raise damaged("its donors' weights are not all positive")
    for name, values in found.items():
        if schema[name].is_categorical and not np.isin(values, np.arange(schema[name].n_classes)).all():
            raise damaged(f"donors have values of {quoted(name)} that are none of its levels")
    return found, weight


def _steps(
    packed: ArchiveFiles,
    root: Entry,
    schema: Schema,
    variables: Sequence[tuple[str, ...]],
    ptiles: NDArray[np.float64],
    donors: Mapping[str, NDArray[np.float64]],
    n_donors: int,
) -> tuple[Step, ...]:
    """Read every step: its models, and its pools."""
    n_steps = len(variables)
    entries = {key: root[key].steps(n_steps) for key in _BY_STEP}
    entries |= {key: root.get(key).steps(n_steps, optional=True) for key in _TOLD_BY_STEP}
    folders, engine = _folders(packed, variables), find_engine(USUAL_ENGINE)
    known = [variable.name for variable in schema.x]
    steps = []
    for number, names in enumerate(variables):
        entry = {key: every[number] for key, every in entries.items()}
        folder = folders[number]
        predictors = entry["xpreds"].names_among(known)
        targets = tuple(target for name in names for target in _targets(packed, folder, schema[name], ptiles))
        final = {
            target.name: packed.model(f"{folder}/{target.name}.txt", engine, target, len(predictors))
            for target in targets
        }
        solo = len(names) == 1
        pools = None
        if solo and schema[names[0]].is_categorical:
            if any(not entry[key].is_null for key in ("kcenters", "kneighbors")):
                raise damaged(f"{entry['kcenters'].place} are of a step that has no pools")
        else:
            if absent := [name for name in names if name not in donors]:
                raise damaged(f"{quoted(R_DONORS)} lacks {few(absent)}")
            pools = _pools(entry, [t for t in targets if not (solo and t.kind == "z")], solo, n_donors)
        tuning = tunings(entry["hyper_results"], targets, names[-1], final, f"{folder}/{names[-1]}_z.txt")
        steps.append(
            Step(
                variables=names,
                predictors=predictors,
                targets=targets,
                final=final,
                stand_ins=(),
                calibrations={},
                pools=pools,
                tuning=tuning,
            )
        )
        known += names
    return tuple(steps)


def _folders(packed: ArchiveFiles, variables: Sequence[tuple[str, ...]]) -> list[str]:
    """Find the folder of each step: the one that has the models of its variables."""
    models: dict[str, set[str]] = {}
    for name in packed.names:
        folder, _, file = name.rpartition("/")
        if folder and file:
            models.setdefault(folder, set()).add(file)
    if len(models) != len(variables):
        told = f"{len(models):,} folders that hold files, {few(sorted(models))}"
        raise damaged(f"it has {told}, for {len(variables):,} steps")
    by_file: dict[str, list[str]] = {}
    for folder, files in models.items():
        for file in files:
            by_file.setdefault(file, []).append(folder)
    found = []
    for number, names in enumerate(variables, 1):
        files = {f"{name}_m.txt" for name in names}
        having = [folder for folder in by_file.get(f"{names[0]}_m.txt", []) if files <= models[folder]]
        if len(having) != 1:
            many = "several folders have" if having else "no folder has"
            raise damaged(f"{many} all models of step {number} ({few(sorted(files))})")
        found += having
    return found


def _targets(
    packed: ArchiveFiles, folder: str, variable: Variable, ptiles: NDArray[np.float64]
) -> list[Target]:
    name = variable.name
    if variable.is_categorical:
        classes = variable.n_classes
        if classes < 2:
            raise damaged(f"{quoted(name)} has fewer than two levels")
        return [Target(name, "m", *(("binary", 1) if classes == 2 else ("multiclass", classes)))]
    found = [Target(name, "m", "regression")]
    found += [Target(name, f"q{j}", "quantile", alpha=float(share)) for j, share in enumerate(ptiles, 1)]
    if f"{folder}/{name}_z.txt" in packed.names:
        found.insert(0, Target(name, "z", "binary"))
    return found


def _pools(entry: Mapping[str, Entry], targets: Sequence[Target], solo: bool, n_donors: int) -> Pools:
    """Read scales, centres and pools of a step."""
    columns = tuple(name for target in targets for name in target.columns)
    scaling = []
    for key in ("ycenter", "yscale"):
        found = entry[key].numbers()
        names = entry[key].value.names  # type: ignore[union-attr]
        entry[key].must(
            len(found) == len(columns) and names in (None, columns), "of the models' expectations"
        )
        scaling.append(found)
    centre, scale = scaling
    scaled = ~np.isnan(centre)
    if not ((np.abs(centre[scaled]) <= MOST_VALUE) & (scale[scaled] >= 1e-40)).all() or not np.array_equal(
        scaled, ~np.isnan(scale)
    ):
        raise damaged(f"{entry['yscale'].place} are no scales, or do not fit its centres")
    centres = entry["kcenters"].matrix("double", "a matrix of numbers").astype(np.float64, order="C")
    if centres.shape[1] != len(columns) or entry["kcenters"].columns() not in (None, columns):
        raise damaged(f"{entry['kcenters'].place} are not of the models' expectations")
    if not len(centres) or not (np.abs(centres) <= MOST_SCALED).all():
        raise damaged(f"{entry['kcenters'].place} are impossible")
    donor = entry["kneighbors"].whole_matrix()
    given = donor != NA_INTEGER
    size = given.sum(axis=1)
    padded = np.array_equal(given, np.arange(donor.shape[1]) < size[:, None])
    member = donor[given].astype(np.intp)  # row by row: pool after pool
    inside = bool(((member >= 1) & (member <= n_donors)).all())
    # The kernels index by these without looking: a wrong number here would read foreign memory.
    if len(donor) != len(centres) or not padded or not inside or (size < 1).any():
        raise damaged(f"{entry['kneighbors'].place} do not fit its {n_donors:,} donors")
    if not solo and (size.min() < size.max() or size.max() > BLOCK_POOL):
        raise damaged(f"{entry['kneighbors'].place} are not of one size")
    start = np.concatenate([[0], np.cumsum(size)]).astype(np.intp)
    r2 = entry["cluster_mean_r2"]
    fit = np.nan if r2.is_null else r2.numbers()[:1].sum() if r2.numbers().size == 1 else np.nan
    return Pools(
        columns=columns,
        centre=centre,
        scale=scale,
        centres=centres,
        start=start,
        member=member - 1,
        r2=float(fit),
    )
