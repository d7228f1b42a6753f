"""Effects in a `.fsn` archive: their tables, and what the manifest says of them, read with distrust."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.base import Target
from fusionpy.model.archive.entries import ManifestEntry, damaged
from fusionpy.model.archive.files import ArchiveFiles
from fusionpy.model.archive.manifest import EffectEntry, EffectsEntry
from fusionpy.model.archive.places import Places
from fusionpy.model.areas import Area
from fusionpy.model.effects import MOST_CELLS, Effect, Effects, Factor, Pair
from fusionpy.model.schema import Schema

__all__ = ["apart_table", "effect_tables", "read_areas", "read_effects", "read_effects_entry"]

MOST_EFFECT = 1e290  # in the unit of a variable
MOST_LOGIT = 500.0
WHOLE = re.compile(r"-?\d+")
MOST_TIE = 1 + 1e-6  # of what an area's mean follows: shares of its donors


def effect_tables(effects: Effects) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Make the tables: of the effects, one upon the other, and of the lower triangles of their spreads."""
    each = effects.each
    table = {
        "column": np.concatenate([e.columns for e in each]).astype(np.int32),
        "mean": np.concatenate([e.mean for e in each]),
    }
    refits = np.concatenate([e.refits for e in each], axis=1)
    table |= {f"refit{b}": values for b, values in enumerate(refits)}
    return table, {"root": np.concatenate([e.root[np.tril_indices(len(e.root))] for e in each])}


def apart_table(effects: Effects) -> dict[str, NDArray[Any]] | None:
    """Make the table of how effects apart go with the others, row by row, and of their own spreads."""
    parts = [part for e in effects.each if len(e.alone) for part in (e.ties.ravel(), e.alone)]
    return {"apart": np.concatenate(parts)} if parts else None


def read_areas(entry: ManifestEntry, schema: Schema) -> tuple[Area, ...]:
    """Read which areas there are."""
    found = []
    for each in entry.each():
        name, kind = each["name"].text(), each["kind"].one_of(("text", "number"))
        levels = each["levels"].texts()
        if not levels or (kind == "number" and not all(map(WHOLE.fullmatch, levels))):
            raise damaged(f"the levels of {each.place} do not fit its kind")
        found.append(Area(name=name, kind=kind, levels=levels))
    names = [area.name for area in found]
    if len(set(names)) < len(names) or {variable.name for variable in schema.y} & set(names):
        raise damaged(f"{entry.place} has impossible names")
    return tuple(found)


def read_effects_entry(
    entry: ManifestEntry, schema: Schema, targets: Sequence[Target], areas: tuple[Area, ...] = ()
) -> EffectsEntry | None:
    """Read what the manifest says; None if it says that there are none."""
    if entry.value is None:
        return None
    x, known = [variable.name for variable in schema.x], {target.name: target for target in targets}
    factors = [_read_factor(each, x) for each in entry["factors"].each()]
    if len({factor.name for factor in factors}) < len(factors):
        raise damaged(f"{entry.place} names a factor twice")
    pairs = _read_pairs(entry["pairs"], x) if "pairs" in entry.named() else []
    blank = Effects(factors=tuple(factors), pairs=tuple(pairs), areas=areas, each=())
    most = int(blank.first()[-1]) + 1
    found = []
    for each in entry["each"].each():
        target = known[each["target"].one_of(list(known))]
        column = each["column"].whole(0, target.n_classes - 1)
        sds = np.array([one.number(0) for one in each["sds"].each()], dtype=np.float64)
        if len(sds) != len(blank.groups) or target.objective == "quantile":
            raise damaged(f"{each.place} does not fit its factors, or its model")
        size, apart = each["size"].whole(1, most), 0
        if "apart" in each.named():
            apart = each["apart"].whole(1, size - 1)
            if not areas or apart != areas[-1].n_levels:
                raise damaged(f"{each.place} is not of as many levels as its areas have")
        is_relative = "relative" in each.named() and each["relative"].flag()
        if is_relative and target.objective != "regression":
            raise damaged(f"{each.place} is relative, but not of a mean")
        share = each["share"].number(0, 1) if "share" in each.named() else 0.0
        if share and target.objective != "multiclass":
            raise damaged(f"{each.place} has a share, but is not of a class")
        found.append(EffectEntry(target, column, sds, is_relative, share, size, apart))
    if not found or len({(each.target.name, each.column) for each in found}) < len(found):
        raise damaged(f"{entry.place} has no effects, or some of them twice")
    return EffectsEntry(blank, tuple(found))


def _read_factor(entry: ManifestEntry, x: Sequence[str]) -> Factor:
    edges = np.array([edge.number() for edge in entry["edges"].each()], dtype=np.float64)
    if (np.diff(edges) <= 0).any():
        raise damaged(f"{entry.place} has edges that do not ascend")
    return Factor(name=entry["name"].one_of(x), edges=edges)


def _read_pairs(entry: ManifestEntry, x: Sequence[str]) -> list[Pair]:
    found = []
    for each in entry.each():
        both = [_read_factor(one, x) for one in each.each()]
        if len(both) != 2 or both[0].name == both[1].name:
            raise damaged(f"{each.place} is not a pair")
        pair = Pair(one=both[0], other=both[1])
        if pair.n_levels > MOST_CELLS:
            raise damaged(f"{each.place} has {pair.n_levels} levels")
        found.append(pair)
    if len({frozenset(pair.names) for pair in found}) < len(found):
        raise damaged(f"{entry.place} names a pair twice")
    return found


def read_effects(
    packed: ArchiveFiles, places: Places, number: int, entry: EffectsEntry, n_refits: int
) -> Effects:
    """Read the tables of a step's effects."""
    names = [f"refit{b}" for b in range(n_refits)]
    table = packed.table(places.of_step(number, "effects"), ["column", "mean", *names])
    root = packed.table(places.of_step(number, "spreads"), ["root"])["root"].astype(np.float64)
    sizes, n_apart = np.array([(each.size, each.apart) for each in entry.each]).T
    n_rest = sizes - n_apart
    triangles, oblongs = n_rest * (n_rest + 1) // 2, n_apart * n_rest + n_apart
    beside = np.empty(0)
    if oblongs.any():
        beside = packed.table(places.of_step(number, "apart"), ["apart"])["apart"].astype(np.float64)
    if (len(table["mean"]), len(root), len(beside)) != (sizes.sum(), triangles.sum(), oblongs.sum()):
        raise damaged(f"the effects of step {number + 1} are not as many as it says")
    n_levels = int(entry.blank.first()[-1])
    at = np.cumsum(sizes)[:-1]
    columns, mean = (np.split(table[name], at) for name in ("column", "mean"))
    refits = [np.split(table[name], at) for name in names]
    parts, others = np.split(root, np.cumsum(triangles)[:-1]), np.split(beside, np.cumsum(oblongs)[:-1])
    each = []
    for place, told in enumerate(entry.each):
        size, q = told.size, told.apart
        own = columns[place].astype(np.intp)
        # Kernels add them up without looking.
        ends = own[-1] == n_levels and own[-1 - q] == n_levels - q
        if own[0] < 0 or not ends or (np.diff(own) <= 0).any():
            raise damaged(f"the effects of step {number + 1} are not of its factors' levels")
        lower = np.zeros((size - q, size - q))
        lower[np.tril_indices(size - q)] = parts[place]
        ties, alone = np.split(others[place], [q * (size - q)])
        values = np.stack([mean[place], *(one[place] for one in refits)]).astype(np.float64)
        is_in_its_unit = told.target.objective == "regression" and not told.is_relative
        most = MOST_EFFECT if is_in_its_unit else MOST_LOGIT
        largest = max(np.abs(values).max(), np.abs(lower).max(), np.abs(alone).max(initial=0))
        if largest > most or np.abs(ties).max(initial=0) > MOST_TIE or (alone < 0).any():
            raise damaged(f"the effects of step {number + 1} are impossible")
        each.append(
            Effect(
                target=told.target.name,
                column=told.column,
                sds=told.sds,
                is_relative=told.is_relative,
                share=told.share,
                columns=own,
                mean=values[0],
                root=lower,
                refits=values[1:],
                ties=ties.reshape(q, size - q) if q else np.empty((0, 0)),
                alone=alone,
            )
        )
    return replace(entry.blank, each=tuple(each))
