"""The manifest of a `.fsn` archive: a model's plain data as JSON, and back, distrusting every entry."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.base import Target, Tuning
from fusionpy.model import FusionModel, Step
from fusionpy.model.archive.places import FORMAT_VERSION
from fusionpy.model.effects import Effects, Factor
from fusionpy.model.options import Options
from fusionpy.model.ranges import Range
from fusionpy.model.rules import Rule
from fusionpy.model.schema import Schema
from fusionpy.model.variables import Variable

__all__ = [
    "FORMAT",
    "GONE",
    "MANIFEST",
    "EffectsEntry",
    "Manifest",
    "PoolsEntry",
    "StepEntry",
    "write_manifest",
]

FORMAT = "fusionpy model"
MANIFEST = "manifest.json"
GONE = "rank_scale"  # an option of before, without which older releases do not read an archive


@dataclass(frozen=True)
class PoolsEntry:
    """What the manifest says of a step's pools."""

    columns: tuple[str, ...]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    r2: float


@dataclass(frozen=True)
class EffectEntry:
    """What it says of one effect: as `Effect` has it, with the number of levels, and how many are apart."""

    target: Target
    column: int
    sds: NDArray[np.float64]
    is_relative: bool
    share: float
    size: int
    apart: int


@dataclass(frozen=True)
class EffectsEntry:
    """What the manifest says of a step's effects.

    Attributes
    ----------
    blank : Effects
        Whose tables are not read yet.
    each : tuple of EffectEntry
    """

    blank: Effects
    each: tuple[EffectEntry, ...]


@dataclass(frozen=True)
class StepEntry:
    """What the manifest says of a step."""

    variables: tuple[str, ...]
    predictors: tuple[str, ...]
    targets: tuple[Target, ...]
    n_stand_ins: int
    calibrations: Mapping[str, tuple[float, ...]]
    tuning: Mapping[str, Tuning]
    pools: PoolsEntry | None
    effects: EffectsEntry | None


@dataclass(frozen=True)
class Manifest:
    """All that the manifest says."""

    schema: Schema
    options: Options
    seed: int | None
    seconds: float
    versions: Mapping[str, str]
    donor_columns: tuple[str, ...]
    n_refits: int
    steps: tuple[StepEntry, ...]
    rules: tuple[Rule, ...]
    ranges: Mapping[str, Range] | None  # None in archives that older releases wrote
    version: int = FORMAT_VERSION


def write_manifest(model: FusionModel, obstacles: Sequence[str] = ()) -> str:
    """Write a model's plain data as JSON.

    Parameters
    ----------
    model : FusionModel
    obstacles : sequence of str
        Why R's fusionModel cannot use the model, for people to read.

    Returns
    -------
    str
    """
    options = {**asdict(model.options), "hyper": dict(model.options.hyper)}
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "engine": options.pop("engine"),  # no option, as older releases refuse options that they do not know
        "options": {**options, GONE: False},
        "seed": model.seed,
        "seconds": model.seconds,
        "versions": dict(model.versions),
        "x": [_variable(v) for v in model.schema.x],
        "y": [_variable(v) for v in model.schema.y],
        "donor_columns": list(model.donor_columns),
        "n_refits": len(model.counts),
        "steps": [_step(step) for step in model.steps],
        "rules": [rule.text for rule in model.rules],
        "ranges": {name: _range(each) for name, each in model.ranges.items()},
        "not_for_r": list(obstacles),
    }
    if model.areas:
        content["areas"] = [{**asdict(area), "levels": list(area.levels)} for area in model.areas]
    return json.dumps(_sorted(content), indent=1)


def _sorted(value: Any) -> Any:
    """Sort the keys of all objects; but hyperparameters stay in the caller's order, which R is told."""
    if isinstance(value, dict):
        kept = ("grid", "params", "hyper")
        return {key: value[key] if key in kept else _sorted(value[key]) for key in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


def _variable(variable: Variable) -> dict[str, Any]:
    content = {**asdict(variable), "levels": list(variable.levels)}
    if not variable.exponent:
        del content["exponent"]
    return content


def _range(known: Range) -> dict[str, Any]:
    if math.isinf(known.low):
        return {"absent": list(known.absent)}
    return {"low": known.low, "high": known.high, "median": known.median, "sizes": list(known.sizes)}


def _step(step: Step) -> dict[str, Any]:
    pools = step.pools
    return {
        "variables": list(step.variables),
        "predictors": list(step.predictors),
        "targets": [asdict(target) for target in step.targets],
        "n_members": len(step.stand_ins),
        "calibrations": {name: list(values) for name, values in step.calibrations.items()},
        "ranked": [],  # by variables trained with what is gone
        "tuning": {name: asdict(tuning) for name, tuning in step.tuning.items()},
        "effects": step.effects and _effects(step.effects),
        "pools": pools
        and {
            "columns": list(pools.columns),
            "centre": [None if np.isnan(v) else float(v) for v in pools.centre],
            "scale": [None if np.isnan(v) else float(v) for v in pools.scale],
            "r2": None if np.isnan(pools.r2) else pools.r2,
        },
    }


def _effects(effects: Effects) -> dict[str, Any]:
    factors = [_factor(factor) for factor in effects.factors]
    pairs = [[_factor(pair.one), _factor(pair.other)] for pair in effects.pairs]
    each = [
        {"target": e.target, "column": e.column, "sds": e.sds.tolist(), "size": len(e.mean)}
        | ({"relative": True} if e.is_relative else {})
        | ({"share": e.share} if e.share else {})
        | ({"apart": len(e.alone)} if len(e.alone) else {})
        for e in effects.each
    ]
    return {"factors": factors} | ({"pairs": pairs} if pairs else {}) | {"each": each}


def _factor(factor: Factor) -> dict[str, Any]:
    return {"name": factor.name, "edges": factor.edges.tolist()}
