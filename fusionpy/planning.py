"""Order the steps, and say what predicts each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fusionpy.errors import Problems, few, repeated, shown
from fusionpy.model import Plan

__all__ = ["check_roles", "plan_steps"]


def plan_steps(y: Any, x: Any, problems: Problems) -> tuple[list[Plan], list[str]]:
    """Order the steps, and say what predicts each of them; nothing if they cannot be planned."""
    blocks = [(step,) if isinstance(step, str) else _names(step) for step in _listed(y, "y", problems)]
    given = _listed(x, "x", problems)
    shared = any(isinstance(each, str) for each in given)
    lists = [_names(given)] * len(blocks) if shared else [_names(each) for each in given]
    wrong = []
    if None in blocks:
        wrong.append("`y` must hold names, and blocks (lists) of names, only.")
    if () in blocks:
        wrong.append("`y` holds an empty block.")
    if None in lists:
        wrong.append("`x` must hold names only, or a list of names for every step.")
    if () in lists:
        wrong.append("`x` holds an empty list.")
    elif blocks and given and None not in lists and len(lists) != len(blocks):
        wanted = f"a list of names for each step of `y`, so {len(blocks)} of them, not {len(lists)}"
        wrong.append(f"`x` must hold {wanted}.")
    for problem in wrong:
        problems.add(problem)
    if wrong or not blocks or not given:
        return [], []
    steps = [(block or (), names or ()) for block, names in zip(blocks, lists, strict=True)]
    outcomes = [name for block, _ in steps for name in block]
    if twice := repeated(outcomes):
        problems.add(f"`y` names {few(twice, '`')} more than once.")
    for i in range(len(steps)):
        _check_step(i, steps, shared, problems)
    predictors = list(dict.fromkeys(name for _, names in steps for name in names if name not in outcomes))
    if not predictors:
        problems.add("`x` names fusion variables only; name columns that the recipient has.")
    if not shared:
        return [Plan(block, names) for block, names in steps], predictors
    # Earlier fusion variables come first, as in the reference's archives.
    earlier = [tuple(name for block, _ in steps[:i] for name in block) for i in range(len(steps))]
    return [Plan(block, (*earlier[i], *names)) for i, (block, names) in enumerate(steps)], predictors


def _check_step(
    i: int, steps: Sequence[tuple[tuple[str, ...], tuple[str, ...]]], shared: bool, problems: Problems
) -> None:
    """Note what a step's predictors cannot be; `shared` if `x` is one list for all steps."""
    block, names = steps[i]
    where = "`x`" if shared else f"`x` of step {i + 1} ({few(block, '`')})"
    if twice := repeated(names):
        problems.add(f"{where} names {few(twice, '`')} more than once.")
    own = [name for name in names if name in block]
    later = [name for step, _ in steps[i + 1 :] for name in step if name in names]
    outcomes = {name for step, _ in steps for name in step}
    both = [name for name in names if name in outcomes]
    if shared and both:
        problems.add(f"`x` and `y` both name {few(both, '`')}; give each column one role.")
    if not shared and own:
        problems.add(f"{where} names {few(own, '`')}, which that step is to simulate.")
    if not shared and later:
        problems.add(f"{where} names {few(later, '`')}, which only a later step simulates.")


def _names(value: Any) -> tuple[str, ...] | None:
    """Names in a list, or None if it is something else."""
    is_list = isinstance(value, Sequence | np.ndarray) or hasattr(value, "to_list")
    names = tuple(value) if is_list and not isinstance(value, str) else (None,)
    return None if any(not isinstance(name, str) for name in names) else names


def _listed(value: Any, argument: str, problems: Problems) -> list[Any]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, Sequence | np.ndarray) and not hasattr(value, "to_list"):
        problems.add(f"`{argument}` must be a name or a list of names, not {shown(value)}.")
        return []
    every = list(value)
    if not every:
        what = "fusion variable" if argument == "y" else "predictor"
        problems.add(f"`{argument}` is empty: name at least one {what}.")
    return every


def check_roles(
    x: Sequence[str], y: Sequence[str], weight: Any, replicate_weights: Any, problems: Problems
) -> None:
    """Note weights that are not names, or columns that are something else too."""
    named: dict[str, list[str]] = {}
    if weight is not None:
        named["weight"] = [weight] if isinstance(weight, str) else []
        if not isinstance(weight, str):
            problems.add(f"`weight` must be the name of a column, not {shown(weight)}.")
    if replicate_weights is not None:
        names = named["replicate_weights"] = list(_names(replicate_weights) or ())
        if not names:
            problems.add(
                f"`replicate_weights` must be a list of column names, not {shown(replicate_weights)}."
            )
        if weight is None:
            problems.add("`replicate_weights` needs `weight`, the full-sample weight they belong to.")
        if twice := repeated(names):
            problems.add(f"`replicate_weights` names {few(twice, '`')} more than once.")
        if isinstance(weight, str) and weight in names:
            problems.add(f"`replicate_weights` names `{weight}`, which is `weight`.")
    for argument, names in named.items():
        for other, columns in (("x", x), ("y", y)):
            if both := [name for name in names if name in columns]:
                problems.add(
                    f"`{argument}` and `{other}` both name {few(both, '`')}; give each column one role."
                )
