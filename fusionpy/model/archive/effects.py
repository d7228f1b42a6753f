"""Effects in a `.fsn` archive: their tables, and what the manifest says of them, read with distrust."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.base import Target
from fusionpy.model.archive.entries import ManifestEntry, damaged
from fusionpy.model.archive.files import ArchiveFiles
from fusionpy.model.archive.manifest import EffectsEntry
from fusionpy.model.archive.places import Places
from fusionpy.model.effects import Effect, Effects, Factor
from fusionpy.model.schema import Schema

__all__ = ["effect_tables", "read_effects", "read_effects_entry"]

MOST_EFFECT = 1e290  # in the unit of a variable
MOST_LOGIT = 500.0


def effect_tables(effects: Effects) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """Make the tables: of the effects, one upon the other, and of the lower triangles of their spreads."""
    each = effects.each
    table = {
        "column": np.concatenate([e.columns for e in each]).astype(np.int32),
        "mean": np.concatenate([e.mean for e in each]),
    }
    refits = np.concatenate([e.refits for e in each], axis=1)
    table |= {f"refit{b}": values for b, values in enumerate(refits)}
    return table, {"root": np.concatenate([e.root[np.tril_indices(len(e.mean))] for e in each])}


def read_effects_entry(
    entry: ManifestEntry, schema: Schema, targets: Sequence[Target]
) -> EffectsEntry | None:
    """Read what the manifest says; None if it says that there are none."""
    if entry.value is None:
        return None
    x, known = [variable.name for variable in schema.x], {target.name: target for target in targets}
    factors = []
    for each in entry["factors"].each():
        edges = np.array([edge.number() for edge in each["edges"].each()], dtype=np.float64)
        if (np.diff(edges) <= 0).any():
            raise damaged(f"{each.place} has edges that do not ascend")
        factors.append(Factor(name=each["name"].one_of(x), edges=edges))
    if len({factor.name for factor in factors}) < len(factors):
        raise damaged(f"{entry.place} names a factor twice")
    most = sum(factor.n_levels for factor in factors) + 1
    found = []
    for each in entry["each"].each():
        target = known[each["target"].one_of(list(known))]
        column = each["column"].whole(0, target.n_classes - 1)
        variances = np.array([one.number(0) for one in each["variances"].each()], dtype=np.float64)
        if len(variances) != len(factors) or target.objective == "quantile":
            raise damaged(f"{each.place} does not fit its factors, or its model")
        found.append((target, column, variances, each["size"].whole(1, most)))
    if not found or len({(target.name, column) for target, column, *_ in found}) < len(found):
        raise damaged(f"{entry.place} has no effects, or some of them twice")
    return EffectsEntry(tuple(factors), tuple(found))


def read_effects(
    packed: ArchiveFiles, places: Places, number: int, entry: EffectsEntry, n_refits: int
) -> Effects:
    """Read the tables of a step's effects."""
    names = [f"refit{b}" for b in range(n_refits)]
    table = packed.table(places.of_step(number, "effects"), ["column", "mean", *names])
    root = packed.table(places.of_step(number, "spreads"), ["root"])["root"].astype(np.float64)
    sizes = np.array([size for *_, size in entry.each])
    triangles = sizes * (sizes + 1) // 2
    if len(table["mean"]) != sizes.sum() or len(root) != triangles.sum():
        raise damaged(f"the effects of step {number + 1} are not as many as it says")
    n_levels = sum(factor.n_levels for factor in entry.factors)
    at, parts = np.cumsum(sizes)[:-1], np.split(root, np.cumsum(triangles)[:-1])
    columns, mean = (np.split(table[name], at) for name in ("column", "mean"))
    refits = [np.split(table[name], at) for name in names]
    each = []
    for place, (target, column, variances, size) in enumerate(entry.each):
        own = columns[place].astype(np.intp)
        # Kernels add them up without looking.
        if own[0] < 0 or own[-1] != n_levels or (np.diff(own) <= 0).any():
            raise damaged(f"the effects of step {number + 1} are not of its factors' levels")
        lower = np.zeros((size, size))
        lower[np.tril_indices(size)] = parts[place]
        values = np.stack([mean[place], *(one[place] for one in refits)]).astype(np.float64)
        most = MOST_EFFECT if target.objective == "regression" else MOST_LOGIT
        if max(np.abs(values).max(), np.abs(lower).max()) > most:
            raise damaged(f"the effects of step {number + 1} are impossible")
        each.append(
            Effect(
                target=target.name,
                column=column,
                variances=variances,
                columns=own,
                mean=values[0],
                root=lower,
                refits=values[1:],
            )
        )
    return Effects(factors=entry.factors, each=tuple(each))
