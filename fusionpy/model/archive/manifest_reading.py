"""The manifest of an archive, read with distrust: nothing in it is believed before it is checked."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pyarrow as pa

from fusionpy.engines import ENGINES, USUAL_ENGINE, find_engine
from fusionpy.engines.base import Target, Tuning
from fusionpy.errors import ArchiveError, FusionError, Problems, few, is_whole, shown, warn
from fusionpy.formats.notes import read_json
from fusionpy.model.archive.effects import read_areas, read_effects_entry
from fusionpy.model.archive.entries import ManifestEntry, damaged
from fusionpy.model.archive.manifest import FORMAT, GONE, Manifest, PoolsEntry, StepEntry
from fusionpy.model.archive.places import FORMAT_VERSION, FORMAT_VERSIONS
from fusionpy.model.areas import Area
from fusionpy.model.options import METHODS, Options
from fusionpy.model.ranges import QUARTILES, Range
from fusionpy.model.rules import Rule, orient, parse_rule, unfit
from fusionpy.model.schema import Schema
from fusionpy.model.variables import Variable, is_number

__all__ = ["read_manifest"]

_ANY = (-sys.float_info.max, sys.float_info.max)  # of a predictor's values

_MOST_EXPONENT = 2_100  # of a power of 2 between two numbers of eight bytes

_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")

_STORAGE: dict[str, Any] = {  # Arrow type of values, or of levels: what Python has for it
    **dict.fromkeys(_INTEGERS, int),
    **dict.fromkeys(("float", "double"), (int, float)),
    "string": str,
    "bool": bool,
}


def read_manifest(content: bytes, most_members: int, size: int | None = None) -> Manifest:
    """Read a manifest, and check that its entries fit each other.

    Parameters
    ----------
    content : bytes
    most_members : int
        More models than that cannot be in the archive.
    size : int, optional
        Of the archive, in bytes; bounds how much the manifest may hold.

    Returns
    -------
    Manifest

    Raises
    ------
    ArchiveError
        Saying which entry is wrong.
    """
    try:
        root = ManifestEntry(read_json(content, size))
    except ValueError:
        raise damaged("its manifest.json is not JSON, or has far too much in it") from None
    if not isinstance(root.value, dict) or root.value.get("format") != FORMAT:
        raise ArchiveError("", ["Its manifest.json is not that of a fusionpy model."])
    version = root["format_version"].value
    if not is_whole(version, 1) or version not in FORMAT_VERSIONS:
        problem = f"Its format version is {shown(version)}; this fusionpy reads 1 to {FORMAT_VERSION}."
        raise ArchiveError("", [problem], "Upgrade fusionpy to read archives that newer versions wrote.")
    x, y = (tuple(_read_variable(each) for each in root[role].each()) for role in ("x", "y"))
    schema = Schema(x, y)
    if len(set(schema.names)) < len(schema.names) or not x or not y or "M" in {v.name for v in y}:
        raise damaged("its variables have impossible names")
    engine = _read_engine(root["engine"]) if "engine" in root.value else USUAL_ENGINE
    options = replace(_read_options(root["options"]), engine=engine)
    n_refits = root["n_refits"].whole(0, most_members)
    rules = [_read_rule(each) for each in root["rules"].each()] if "rules" in root.value else []
    areas = read_areas(root["areas"], schema) if "areas" in root.value else ()
    steps = _read_steps(root["steps"], schema, most_members, rules, areas)
    _check_rules(rules, schema, steps)
    _warn_of_scores(root["steps"], schema)
    n_stand_ins = {step.n_stand_ins for step in steps}
    if n_refits != options.refits or len(n_stand_ins) > 1 or (n_refits and n_stand_ins != {n_refits}):
        raise damaged("its refits are not as many as it says")
    versions = {name: each.text() for name, each in root["versions"].named().items()}
    if "fusionpy" not in versions:
        raise damaged("it does not say which fusionpy wrote it")
    donor_columns = root["donor_columns"].texts([v.name for v in y])
    taken = [name for step in steps if step.pools is not None for name in step.variables]
    if not set(taken) <= set(donor_columns):
        raise damaged("donors' values of its fusion variables are missing")
    seed = None if root["seed"].value is None else root["seed"].whole(0, 2**63 - 1)
    seconds = root["seconds"].number(0)
    ranges = _read_ranges(root["ranges"], x) if "ranges" in root.value else None
    return Manifest(
        *(schema, options, seed, seconds, versions, donor_columns, n_refits, steps, tuple(rules), ranges),
        version=int(version),
    )


def _read_engine(entry: ManifestEntry) -> str:
    """Read which engine the models are of; it must be there, as nothing else can tell what they predict."""
    name = entry.text()
    if name not in ENGINES:
        problem = f"Its models are of the engine {shown(name)}; this fusionpy has {few(ENGINES)}."
        raise ArchiveError("", [problem], "Read it with the fusionpy that has this engine, or a newer one.")
    try:
        find_engine(name)
    except FusionError as error:
        raise ArchiveError("", [error.headline, *error.problems], error.hint) from None
    return name


def _read_variable(entry: ManifestEntry) -> Variable:
    kind = entry["kind"].one_of(("continuous", "ordered", "nominal", "logical"))
    storage, text = entry["storage"].one_of((*_STORAGE, "halffloat")), entry["text"].flag()
    levels = tuple(each.value for each in entry["levels"].each())
    if kind in ("continuous", "logical"):
        fits = not levels and not text
        fits &= storage == "bool" if kind == "logical" else is_number(pa.type_for_alias(storage))
    else:
        python = _STORAGE.get(storage, ())
        fits = all(isinstance(v, python) and (storage == "bool" or not isinstance(v, bool)) for v in levels)
        fits = fits and len(set(levels)) == len(levels) and bool(levels)
        fits &= not text or (kind == "nominal" and storage == "string")
    if fits and levels:
        try:
            fits = pa.array(levels, type=pa.type_for_alias(storage)).null_count == 0
        except (pa.ArrowException, OverflowError):
            fits = False
    if not fits:
        raise damaged(f"the levels of {entry.place} do not fit its kind")
    exponent = 0
    if kind == "continuous" and "exponent" in entry.named():
        exponent = entry["exponent"].whole(-_MOST_EXPONENT, _MOST_EXPONENT)
    return Variable(entry["name"].text(), kind, levels, storage, text, exponent)


def _read_ranges(entry: ManifestEntry, x: Sequence[Variable]) -> dict[str, Range]:
    """Read what donors have of predictors."""
    known = {variable.name: variable for variable in x}
    found = {}
    for name, each in entry.named().items():
        if name == GONE:
            each.flag()
            continue
        if name not in known:
            raise damaged(f"{entry.place} names {few([name])}, which is no predictor")
        if known[name].is_categorical:
            most = max(known[name].n_classes - 1, 0)
            found[name] = Range(absent=tuple(code.whole(0, most) for code in each["absent"].each()))
            continue
        low, high, median = (each[key].number(*_ANY) for key in ("low", "high", "median"))
        sizes = tuple(size.number(0, _ANY[1]) for size in each["sizes"].each())
        if (
            not low <= median <= high
            or 0 in sizes
            or len(sizes) not in (0, len(QUARTILES))
            or sorted(sizes) != list(sizes)
        ):
            raise damaged(f"{each.place} is no range")
        found[name] = Range(low, high, median, sizes)
    return found


def _warn_of_scores(steps: ManifestEntry, schema: Schema) -> None:
    """Tell of variables whose models predict the normal scores of ranks, as an option of before had it."""
    known = [variable.name for variable in schema.y]
    if scored := [name for each in steps.each() for name in each["ranked"].texts(known)]:
        warn(
            f"{few(scored, '`')}: trained with `{GONE}`, which is no more. Fused values stay the same, but"
            " permutation importance judges these models by the wrong scale: train again for that."
        )


def _read_options(entry: ManifestEntry) -> Options:
    """Read every option as what its default is."""
    found: dict[str, Any] = {}
    known = {
        field.name: getattr(METHODS["default"], field.name)
        for field in fields(Options)
        if field.name != "engine"
    }
    for name, each in entry.named().items():
        if name == GONE:
            each.flag()
            continue
        if name not in known:
            raise damaged(f"{entry.place} has an unknown entry {few([name])}")
        default = known[name]
        if name == "nfolds":
            share = isinstance(each.value, float) and 0 < each.value < 1
            found[name] = each.value if share else each.whole(2, 10**6)
        elif isinstance(default, str):
            found[name] = each.text()
        elif isinstance(default, bool):
            found[name] = each.flag()
        elif isinstance(default, int):
            found[name] = each.whole(0, 10**9)
        elif isinstance(default, tuple):
            found[name] = tuple(one.whole(1, 10**9) for one in each.each())
        else:
            found[name] = {key: value.plain() for key, value in each.named().items()}
    for name in ("untie", "effects", "tails"):  # before there were such options
        found.setdefault(name, False)
    if set(found) != set(known) or len(found["krange"]) != 2:
        raise damaged(f"{entry.place} lacks entries")
    return Options(**found)


def _read_rule(entry: ManifestEntry) -> Rule:
    rule = parse_rule(entry.text())
    if rule is None:
        raise damaged(f"{entry.place} is no rule")
    return rule


def _check_rules(rules: Sequence[Rule], schema: Schema, steps: Sequence[StepEntry]) -> None:
    """Rules must be of variables that fit them, in the order in which they become known."""
    problems = Problems(ArchiveError, "")
    order = [step.variables for step in steps]
    order += [
        (rule.variable,) for rule in rules if rule.variable and not any(rule.variable in s for s in order)
    ]
    found = orient(rules, [v.name for v in schema.x], order, problems)
    problems.found = problems.found or [problem for rule in rules if (problem := unfit(rule, schema))]
    if problems.found or (list(rules) != found and not any(rule.kind == "sum" for rule in rules)):
        raise damaged("its rules do not fit its variables")


def _read_steps(
    entry: ManifestEntry,
    schema: Schema,
    most_members: int,
    rules: Sequence[Rule],
    areas: tuple[Area, ...],
) -> tuple[StepEntry, ...]:
    """Read the steps; what predicts a step must be known by then, as totals are once their parts are."""
    steps: list[StepEntry] = []
    known = [variable.name for variable in schema.x]
    waiting = [variable.name for variable in schema.y]
    for each in entry.each():
        step = _read_step(each, schema, known, waiting, most_members, areas)
        steps.append(step)
        known += step.variables
        waiting = [name for name in waiting if name not in step.variables]
        for rule in rules:
            if rule.kind == "sum" and rule.variable in waiting and set(rule.parts) <= set(known):
                known.append(rule.variable)
                waiting.remove(rule.variable)
    if waiting:
        raise damaged(f"it has no step for {few(waiting)}")
    return tuple(steps)


def _read_step(
    entry: ManifestEntry,
    schema: Schema,
    known: Sequence[str],
    waiting: Sequence[str],
    most_members: int,
    areas: tuple[Area, ...],
) -> StepEntry:
    variables = entry["variables"].texts(waiting)
    predictors = entry["predictors"].texts(known)
    if not variables or not predictors:
        raise damaged(f"{entry.place} has no variables, or no predictors")
    targets = tuple(_read_target(each) for each in entry["targets"].each())
    place = 0
    for name in variables:
        mine = targets[place:][: sum(target.variable == name for target in targets)]
        place += len(mine)
        if not _is_complete(schema[name], mine):
            raise damaged(f"the models of {entry.place} do not fit its variables")
    if place < len(targets):
        raise damaged(f"the models of {entry.place} do not fit its variables")
    by_name = {target.name: target for target in targets}
    solo = len(variables) == 1
    drawn = solo and schema[variables[0]].is_categorical
    pools = (
        None if drawn else _read_pools(entry["pools"], [t for t in targets if not (solo and t.kind == "z")])
    )
    if drawn and entry["pools"].value is not None:
        raise damaged(f"{entry.place} has pools that it cannot use")
    tuning = {name: _read_tuning(entry["tuning"][name]) for name in by_name}
    calibrations = {
        name: _read_calibration(each, by_name.get(name))
        for name, each in entry["calibrations"].named().items()
    }
    n_stand_ins = entry["n_members"].whole(0, most_members)
    effects = None
    if "effects" in entry.named():
        effects = read_effects_entry(entry["effects"], schema, targets, areas)
    if areas and effects is None:
        raise damaged(f"{entry.place} lacks the effects of its areas")
    return StepEntry(variables, predictors, targets, n_stand_ins, calibrations, tuning, pools, effects)


def _read_target(entry: ManifestEntry) -> Target:
    return Target(
        entry["variable"].text(),
        entry["kind"].text(),
        entry["objective"].one_of(("binary", "multiclass", "regression", "quantile")),
        entry["n_classes"].whole(1, 10**6),
        entry["alpha"].number(0, 1),
    )


def _is_complete(variable: Variable, targets: Sequence[Target]) -> bool:
    """Tell whether these models, in this order, are all that a variable needs."""
    found = [(target.variable, target.kind, target.objective, target.n_classes) for target in targets]
    if variable.is_categorical:
        classes = variable.n_classes
        kind = ("binary", 1) if classes == 2 else ("multiclass", classes)
        return classes > 1 and found == [(variable.name, "m", *kind)]
    zero = [(variable.name, "z", "binary", 1)]
    rest = found[1:] if found[:1] == zero else found
    quantiles = [(variable.name, f"q{j}", "quantile", 1) for j in range(1, len(rest))]
    return len(rest) > 1 and rest == [(variable.name, "m", "regression", 1), *quantiles]


def _read_tuning(entry: ManifestEntry) -> Tuning:
    params = {name: each.plain() for name, each in entry["params"].named().items()}
    grid = [{name: value.plain() for name, value in row.named().items()} for row in entry["grid"].each()]
    return Tuning(params, entry["rounds"].whole(0, 10**9), entry["loss"].number(at_all=True), grid)


def _read_calibration(entry: ManifestEntry, target: Target | None) -> tuple[float, ...]:
    """Read a temperature, and an offset per class."""
    values = tuple(each.number(-500, 500) for each in entry.each())
    if target is None or target.objective not in ("binary", "multiclass"):
        raise damaged(f"{entry.place} is for no model of classes")
    classes = target.n_classes if target.objective == "multiclass" else 2
    if values and (len(values) != 1 + classes or values[0] < 1e-3):
        raise damaged(f"{entry.place} must be a temperature and an offset for each of {classes} classes")
    return values


def _read_pools(entry: ManifestEntry, targets: Sequence[Target]) -> PoolsEntry:
    columns = entry["columns"].texts()
    if columns != tuple(name for target in targets for name in target.columns):
        raise damaged(f"{entry.place} are not of the models' expectations")
    centre = [math.nan if each.value is None else each.number() for each in entry["centre"].each()]
    scale = [math.nan if each.value is None else each.number(1e-300) for each in entry["scale"].each()]
    if not len(centre) == len(scale) == len(columns) or np.isnan(centre).tolist() != np.isnan(scale).tolist():
        raise damaged(f"{entry.place} have not as many scales as expectations")
    r2 = math.nan if entry["r2"].value is None else entry["r2"].number(at_all=True)
    return PoolsEntry(columns, np.array(centre), np.array(scale), r2)
