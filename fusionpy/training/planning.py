"""Order the steps, and say what predicts each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusionpy.errors import Problems, few, repeated, shown
from fusionpy.model.rules import Rule, orient

__all__ = ["FusionPlan", "StepPlan", "check_roles", "plan_steps", "settle_plan"]


@dataclass(frozen=True)
class StepPlan:
    """One step: its variables, and its predictors in the boosters' order.

    Attributes
    ----------
    variables, predictors : tuple of str
    derived : bool
        The variable is the sum of its predictors, and is not learned.
    signs : dict of str to tuple of int
        For each variable whose expectation is monotone: +1, 0 or -1 for every predictor.
    """

    variables: tuple[str, ...]
    predictors: tuple[str, ...]
    derived: bool = False
    signs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class FusionPlan:
    """What is to be learned, and which rules fused records obey.

    Attributes
    ----------
    steps : list of StepPlan
        In the order in which they are simulated.
    predictors : list of str
        Columns that the recipient has.
    rules : list of Rule
    """

    steps: list[StepPlan]
    predictors: list[str]
    rules: list[Rule]

    @property
    def outcomes(self) -> list[str]:
        """The fusion variables."""
        return [name for step in self.steps for name in step.variables]


def settle_plan(
    y: Any, x: Any, rules: Sequence[Rule], weight: Any, replicate_weights: Any, problems: Problems
) -> FusionPlan:
    """Plan a fusion: the steps in their order, what predicts each, and the rules as they bind them."""
    steps, predictors = plan_steps(y, x, problems, rules)
    bound = orient(rules, predictors, [step.variables for step in steps], problems) if steps else []
    plan = FusionPlan(steps, predictors, bound)
    check_roles(predictors, plan.outcomes, weight, replicate_weights, problems)
    return plan


def plan_steps(
    y: Any, x: Any, problems: Problems, rules: Sequence[Rule] = ()
) -> tuple[list[StepPlan], list[str]]:
    """Order the steps, and say what predicts each of them; nothing if they cannot be planned.

    Parts of a fixed total become one block; a total that is a variable comes right after its parts, as a
    derived step.
    """
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
    steps, derived = _arranged(steps, rules, shared, problems)
    outcomes = [name for block, _ in steps for name in block]
    if twice := repeated(outcomes):
        problems.add(f"`y` names {few(twice, '`')} more than once.")
    for i, (block, _) in enumerate(steps):
        if block not in derived:
            _check_step(i, steps, shared, problems)
    learned = [names for block, names in steps if block not in derived]
    predictors = list(dict.fromkeys(name for names in learned for name in names if name not in outcomes))
    if not predictors:
        problems.add("`x` names fusion variables only; name columns that the recipient has.")
    plans = []
    for i, (block, names) in enumerate(steps):
        # Earlier fusion variables come first, as in the reference's archives.
        earlier = [name for step, _ in steps[:i] for name in step] if shared and block not in derived else []
        order = (*earlier, *names)
        signs = {name: tuple(_sign(rules, name, other) for other in order) for name in block}
        signs = {name: each for name, each in signs.items() if any(each)}
        plans.append(StepPlan(block, order, block in derived, signs))
    return plans, predictors


def _sign(rules: Sequence[Rule], y: str, x: str) -> int:
    """Tell the direction that a rule gives to the expectation of y with x."""
    kinds = [rule.kind for rule in rules if rule.variable == y and rule.other == x]
    return 1 if "rises" in kinds else -1 if "falls" in kinds else 0


def _arranged(
    steps: list[tuple[tuple[str, ...], tuple[str, ...]]],
    rules: Sequence[Rule],
    shared: bool,
    problems: Problems,
) -> tuple[list[tuple[tuple[str, ...], tuple[str, ...]]], set[tuple[str, ...]]]:
    """Arrange the steps so that sums hold, and tell which of them are derived."""
    derived: set[tuple[str, ...]] = set()
    for rule in rules:
        involved = [i for i, (block, _) in enumerate(steps) if set(block) & set(rule.parts)]
        if rule.kind != "sum" or not involved:
            continue
        if not rule.variable:
            if len(involved) > 1:
                block = tuple(name for i in involved for name in steps[i][0])
                names = tuple(dict.fromkeys(name for i in involved for name in steps[i][1]))
                names = tuple(name for name in names if name not in block)
                steps = [step for i, step in enumerate(steps) if i not in involved[1:]]
                steps[involved[0]] = block, names
            continue
        total = next((i for i, (block, _) in enumerate(steps) if rule.variable in block), None)
        if total is None or involved == [total]:  # all of them come from one donor
            continue
        if len(steps[total][0]) > 1:
            problems.add(f"'{rule.text}': put all of it in one block of `y`, or `{rule.variable}` in none.")
        elif any(
            set(rule.parts) & set(block) and block in derived and total < i
            for i, (block, _) in enumerate(steps)
        ):
            problems.add(f"'{rule.text}': sums of sums must be told from the inside out.")
        else:
            step = (rule.variable,), rule.parts
            after = [each for i, each in enumerate(steps) if i != total]
            last = max(i for i, (block, _) in enumerate(after) if set(block) & set(rule.parts))
            steps = [*after[: last + 1], step, *after[last + 1 :]]
            derived.add(step[0])
    return steps, derived


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
