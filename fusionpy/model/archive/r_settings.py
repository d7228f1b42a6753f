"""How a model of R's was trained, from its metadata: call, hyperparameters, versions."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any

from fusionpy.engines.base import Model, Target, Tuning
from fusionpy.errors import few
from fusionpy.formats.rds.values import NA_INTEGER, RValue
from fusionpy.model import Step
from fusionpy.model.archive.entries import damaged
from fusionpy.model.archive.files import quoted
from fusionpy.model.archive.r_metadata import Entry
from fusionpy.model.options import Options, usual_options

__all__ = ["options", "seconds", "tunings", "versions"]

_SECONDS = {"secs": 1, "mins": 60, "hours": 3600, "days": 86_400, "weeks": 604_800}

_FOUND = ("best_score", "best_iter", "final_model")  # of a grid's columns, those that tuning found


def tunings(
    entry: Entry, targets: Sequence[Target], last: str, final: Mapping[str, Model], zero: str
) -> dict[str, Tuning]:
    """Read what was tried for each model; of a block R keeps its last variable's."""
    grids = {} if entry.is_null else entry.named()
    kinds = {target.kind for target in targets if target.variable == last}
    if grids and ("z" in grids) != ("z" in kinds):  # whether zeros are drawn is told by this file alone
        raise damaged(f"{quoted(zero)} is {'missing' if 'z' in grids else 'too many'} by {entry.place}")
    found = {}
    for target in targets:
        rounds = final[target.name].current_iteration()  # R has boosters of LightGBM only
        rows = _grid(grids[target.kind]) if target.variable == last and target.kind in grids else []
        best = next((row for row in rows if row["final_model"] is True), None)
        chosen = {k: v for k, v in (best or {}).items() if k not in _FOUND}
        loss = float("nan") if best is None or best["best_score"] is None else float(best["best_score"])
        found[target.name] = Tuning(chosen, int(rounds), loss, rows)
    return found


def _grid(entry: Entry) -> list[dict[str, Any]]:
    """Read a data frame as rows, its factors as text."""
    columns: dict[str, list[Any]] = {}
    for name, each in entry.named().items():
        columns[name] = _column(each)
    entry.must(set(_FOUND) <= set(columns), f"a data frame with {few(_FOUND)}")
    entry.must(len({len(values) for values in columns.values()}) == 1, "a data frame")
    scores = columns["best_score"]
    entry.must(
        all(v is None or isinstance(v, int | float) for v in scores), "a data frame with numbers as scores"
    )
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _column(entry: Entry) -> list[Any]:
    """Read a column as plain values, None for NA."""
    found = entry.of_kind(("logical", "integer", "double", "character"), "a column")
    levels = found.attributes.get("levels")
    values: Any = found.values
    if found.kind == "character":
        return list(values)
    if isinstance(levels, RValue) and found.kind == "integer":
        texts = Entry(levels, f"the levels of {entry.place}").texts()
        entry.must(bool(((values >= 1) & (values <= len(texts))).all()), "a factor")
        return [texts[code - 1] for code in values.tolist()]
    if found.kind == "double":
        return [
            None if v != v else int(v) if v.is_integer() and abs(v) < 2**53 else v for v in values.tolist()
        ]
    make = bool if found.kind == "logical" else int
    return [None if v == NA_INTEGER else make(v) for v in values.tolist()]


def options(root: Entry, steps: Sequence[Step], n_quantiles: int) -> Options:
    """Tell how the model was trained, as far as the archive says."""
    known = usual_options("fusionModel")
    call = root.get("call").value
    given = _constants(call)
    sizes = [s.pools.sizes for s in steps if s.pools is not None and not s.is_block]
    krange: Any = known.krange
    if "krange" in given:
        found = given["krange"]
        if isinstance(found, tuple) and all(0 < k < 1e9 for k in found):
            krange = int(min(found)), int(max(found))
        elif sizes:
            krange = min(int(s.min()) for s in sizes), max(int(s.max()) for s in sizes)
    whole = given.get("nclusters", known.nclusters)
    nclusters = (
        known.nclusters if not isinstance(whole, float | int) else 0 if whole > 1e9 else int(max(whole, 0))
    )
    folds: Any = given.get("nfolds", known.nfolds)
    if not isinstance(folds, float | int) or not (0 < folds < 1 or 2 <= folds <= 10**6):
        folds = known.nfolds
    hyper = dict(known.hyper)
    rows = [row for step in steps for tuning in step.tuning.values() for row in tuning.grid]
    for name in dict.fromkeys(name for row in rows for name in row if name not in (*_FOUND, "num_threads")):
        values = [*dict.fromkeys(row[name] for row in rows if name in row)]
        hyper[name] = values[0] if len(values) == 1 else values
    return replace(
        known,
        nfolds=folds if folds < 1 else int(folds),
        nquantiles=n_quantiles,
        nclusters=nclusters,
        krange=krange,
        hyper=hyper,
        sort_quantiles=False,  # R leaves them as they are, its centres too
    )


def _constants(value: RValue | None) -> dict[str, float | tuple[float, ...] | None]:
    """Find the numbers, and pairs of numbers, in R's call; None for what is neither."""
    if value is None or value.kind != "call":
        return {}
    found: dict[str, float | tuple[float, ...] | None] = {}
    for name, each in zip(value.names or (), value.values, strict=False):
        number = _constant(each)
        is_pair = isinstance(each, RValue) and each.kind == "call" and len(each) == 3
        if number is None and is_pair and _function(each) in ("c", ":"):
            pair = [_constant(part) for part in each.values[1:]]
            found[str(name)] = None if None in pair else tuple(float(v or 0) for v in pair)
        else:
            found[str(name)] = number
    return found


def _function(value: RValue | None) -> str:
    first = value.values[0] if value is not None else None
    return str(first.values[0]) if isinstance(first, RValue) and first.kind == "symbol" else ""


def _constant(value: RValue | None) -> float | None:
    if value is None or value.kind not in ("double", "integer") or len(value) != 1:
        return None
    number = float(value.values[0])
    return None if number != number or number == NA_INTEGER else number


def seconds(entry: Entry) -> float:
    """Read how long something took."""
    if entry.is_null:
        return 0.0
    found = entry.numbers()
    units = entry.value.attributes.get("units") if entry.value is not None else None
    unit = str(units.values[0]) if isinstance(units, RValue) and len(units) == 1 else "secs"
    entry.must(len(found) == 1 and 0 <= found[0] < 1e12 and unit in _SECONDS, "a time span")
    return float(found[0]) * _SECONDS[unit]


def versions(entry: Entry) -> dict[str, str]:
    """Versions of fusionModel and R, as far as they are told, and of the fusionpy that reads."""
    whole = entry.value is not None and entry.value.kind == "list" and entry.value.names is not None
    found = {}
    for name, each in (entry.named() if whole else {}).items():
        if each.value is not None and each.value.kind == "character":
            text = ".".join(each.texts()[:1])
        else:
            text = _dotted(each)
        if re.fullmatch(r"[0-9]{1,9}(?:[.-][0-9]{1,9}){0,9}", text):
            found[name] = text.replace("-", ".")
    return {**found, "fusionpy": metadata.version("fusionpy")}


def _dotted(entry: Entry) -> str:
    parts = entry.each()
    entry.must(len(parts) == 1, "a version")
    numbers = parts[0].numbers()
    entry.must(len(numbers) < 10 and bool(((numbers >= 0) & (numbers < 1e9)).all()), "a version")
    return ".".join(str(int(number)) for number in numbers)
