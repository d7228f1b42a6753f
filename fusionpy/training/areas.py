"""The areas of train(): columns whose levels get effects of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.errors import Problems, few, grouped, shown
from fusionpy.frames.tables import Table, take_names
from fusionpy.model.areas import Area, learn_area
from fusionpy.training.planning import FusionPlan

__all__ = ["MOST_BESIDE", "MOST_LEVELS", "check_area_roles", "read_areas", "settle_areas"]

MOST_LEVELS = 5_000  # of the area that has most: their equations are diagonal
MOST_BESIDE = 1_000  # of all others together: theirs are not


def settle_areas(
    areas: Any, effects: Any, method: Any, fitted: dict[str, Any], problems: Problems
) -> list[str]:
    """Take the names of areas, which need effects; note what does not go with them.

    Parameters
    ----------
    areas, effects, method
        As they were given.
    fitted : dict
        Other arguments, of which effects need some.
    problems : Problems

    Returns
    -------
    list of str
    """
    names = take_names(areas, "areas", problems, once=True)
    if not names:
        return []
    if effects is not None and not effects:
        problems.add("`areas` have effects, which `effects` = False leaves out; choose one.")
    if method in ("2024", "fusionModel"):
        problems.add(f"`areas` go with `method` 'default' only, not {shown(method)}.")
    for name in ("refits", "crossfit"):
        if (value := fitted[name]) is not None and not value:
            problems.add(f"`areas` need models that have left donors out: `{name}` cannot be {shown(value)}.")
    return names


def check_area_roles(
    names: Sequence[str], plan: FusionPlan, weight: Any, replicate_weights: Any, problems: Problems
) -> None:
    """Note areas that are something else, too; a predictor may be one.

    Parameters
    ----------
    names : sequence of str
    plan : FusionPlan
    weight, replicate_weights
        As they were given.
    problems : Problems
    """
    replicates = replicate_weights if isinstance(replicate_weights, Sequence) else ()
    others = {"y": plan.outcomes, "weight": (weight,), "replicate_weights": replicates}
    for argument, columns in others.items():
        if both := [name for name in names if name in columns]:
            problems.add(f"`areas` and `{argument}` both name {few(both, '`')}; give each column one role.")


def read_areas(
    table: Table, names: Sequence[str], used: NDArray[np.intp], problems: Problems
) -> tuple[tuple[Area, ...], NDArray[np.intp]]:
    """Learn the areas of the donors; what is wrong with them is noted.

    Parameters
    ----------
    table : Table
    names : sequence of str
    used : (n,) intp
        The rows that count.
    problems : Problems

    Returns
    -------
    tuple of Area, (a, n) intp
        Those with more levels later; codes of the rows.
    """
    found, wrong = [], []
    for name in names:
        learned = learn_area(table, name, used)
        if isinstance(learned, str):
            wrong.append(("area", name, learned))
        else:
            found.append(learned)
    for problem in grouped(wrong):
        problems.add(problem)
    found.sort(key=lambda pair: pair[0].n_levels)
    areas = tuple(area for area, _ in found)
    _check_sizes(areas, problems)
    codes = np.stack([codes for _, codes in found]) if found else np.empty((0, len(used)))
    return areas, codes.astype(np.intp)


def _check_sizes(areas: Sequence[Area], problems: Problems) -> None:
    """Refuse levels too many to be solved for."""
    sizes = [len(area.levels) for area in areas]
    if sizes and sizes[-1] > MOST_LEVELS:
        told = f"{sizes[-1]:,} levels with donors; at most {MOST_LEVELS:,} can be learned"
        problems.add(f"area `{areas[-1].name}`: {told}. Group them, or leave it out.")
    if sum(sizes[:-1]) > MOST_BESIDE:
        listed = few([area.name for area in areas[:-1]], "`")
        told = f"{sum(sizes[:-1]):,} levels with donors, beside those of `{areas[-1].name}`"
        problems.add(f"areas {listed}: {told}; at most {MOST_BESIDE:,} can be learned. Leave some out.")
