"""What fused records must satisfy: sums, bounds, zeros; and what expectations must: directions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fusionpy.errors import Problems, counted, few, meant, repeated, shown
from fusionpy.model.schema import Schema

__all__ = [
    "Rule",
    "allowed",
    "broken",
    "check_donors",
    "limits",
    "orient",
    "parse_rule",
    "read_rules",
    "unfit",
]

Array = NDArray[np.float64]
Column = Callable[[str], Array]  # values or level codes of a variable
TOLERANCE = 1e-9  # relative
_NAME = r"[^\W\d][\w.]*"
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_SUM = re.compile(r"(?P<left>[^=<>]+?)\s*=\s*(?P<right>[^=<>]+)")
_BOUND = re.compile(rf"(?P<a>{_NAME}|{_NUMBER})\s*(?P<sign><=|>=)\s*(?P<b>{_NAME}|{_NUMBER})")
_ZERO = re.compile(rf"(?P<part>{_NAME})\s*=\s*0\s+unless\s+(?P<flag>{_NAME})(?:\s+in\s+(?P<levels>.+))?")
_TREND = re.compile(rf"(?P<y>{_NAME})\s+(?P<way>rises|falls)\s+with\s+(?P<x>{_NAME})")


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes
    ----------
    kind : str
        "sum": `parts` sum to `variable`, or to `value` if there is no variable. "most", "least": `variable`
        is at most, at least, the variable `other`, or `value`. "zero": `variable` is 0 unless `other` is
        true, or one of `levels`. "rises", "falls": the expectation of `variable` does with `other`.
    variable : str
        The fusion variable that is made to obey; empty if there is none.
    parts : tuple of str
    other : str
    value : float
    levels : tuple of str
    """

    kind: Literal["sum", "most", "least", "zero", "rises", "falls"]
    variable: str
    parts: tuple[str, ...] = ()
    other: str = ""
    value: float = 0.0
    levels: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The rule as it is written; `parse_rule` reads it back."""
        right = self.other or f"{self.value:.17g}"
        if self.kind == "sum":
            return f"{' + '.join(self.parts)} = {self.variable or f'{self.value:.17g}'}"
        if self.kind == "zero":
            among = f" in {'|'.join(self.levels)}" if self.levels else ""
            return f"{self.variable} = 0 unless {self.other}{among}"
        if self.kind in ("rises", "falls"):
            return f"{self.variable} {self.kind} with {self.other}"
        return f"{self.variable} {'<=' if self.kind == 'most' else '>='} {right}"

    @property
    def names(self) -> tuple[str, ...]:
        """Every variable it speaks of."""
        return tuple(name for name in (self.variable, *self.parts, self.other) if name)


def parse_rule(text: str) -> Rule | None:
    """Read one rule; None if it cannot be understood.

    Parameters
    ----------
    text : str
        ``income = wages + other``, ``a + b = 1``, ``debt <= assets``, ``share <= 1``,
        ``gas = 0 unless fuel in piped|bottled``, ``gas = 0 unless has_gas``, ``rent rises with rooms``.

    Returns
    -------
    Rule or None

    Examples
    --------
    >>> parse_rule("income = wages + other").text
    'wages + other = income'
    >>> parse_rule("1 >= share").text, parse_rule("gas = 0 unless fuel in piped | bottled").levels
    ('share <= 1', ('piped', 'bottled'))
    """
    text = text.strip()
    if found := _ZERO.fullmatch(text):
        levels = tuple(level.strip() for level in (found["levels"] or "").split("|"))
        return Rule("zero", found["part"], other=found["flag"], levels=levels if found["levels"] else ())
    if found := _TREND.fullmatch(text):
        return Rule("rises" if found["way"] == "rises" else "falls", found["y"], other=found["x"])
    if found := _BOUND.fullmatch(text):
        a, b, below = found["a"], found["b"], found["sign"] == "<="
        if re.fullmatch(_NUMBER, a):
            a, b, below = b, a, not below
        if re.fullmatch(_NUMBER, a):
            return None
        kind: Literal["most", "least"] = "most" if below else "least"
        is_number = re.fullmatch(_NUMBER, b)
        return Rule(kind, a, value=float(b)) if is_number else Rule(kind, a, other=b)
    if found := _SUM.fullmatch(text):
        sides = [[part.strip() for part in found[side].split("+")] for side in ("left", "right")]
        if len(sides[0]) == 1:
            sides.reverse()
        parts, total = sides
        if len(parts) < 2 or len(total) != 1 or not all(re.fullmatch(_NAME, part) for part in parts):
            return None
        if re.fullmatch(_NUMBER, total[0]):
            return Rule("sum", "", tuple(parts), value=float(total[0]))
        return Rule("sum", total[0], tuple(parts)) if re.fullmatch(_NAME, total[0]) else None
    return None


def read_rules(bounds: Any, identities: Any, monotone: Any, problems: Problems) -> list[Rule]:
    """Read the arguments of `train` that hold rules; what is wrong with them is noted.

    Parameters
    ----------
    bounds, identities : str or sequence of str, or None
    monotone : mapping of str to mapping of str to int, or None
    problems : Problems

    Returns
    -------
    list of Rule
    """
    rules = []
    for argument, given, kinds in (
        ("bounds", bounds, ("most", "least", "zero")),
        ("identities", identities, ("sum",)),
    ):
        example = (
            "'debt <= assets' or 'gas = 0 unless has_gas'"
            if argument == "bounds"
            else "'income = wages + other'"
        )
        texts = [given] if isinstance(given, str) else [] if given is None else given
        if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
            problems.add(f"`{argument}` must be text such as {example}, or a list of it, not {shown(given)}.")
            continue
        for text in texts:
            rule = parse_rule(text)
            if rule is None or rule.kind not in kinds:
                problems.add(f"`{argument}`: '{text}' is not understood; write {example}.")
            else:
                rules.append(rule)
    return [*dict.fromkeys(rules), *_trends(monotone, problems)]


def _trends(monotone: Any, problems: Problems) -> list[Rule]:
    if monotone is None:
        return []
    wanted = "a mapping such as {'rent': {'rooms': +1}}, with +1 or -1"
    if not isinstance(monotone, Mapping) or not all(isinstance(each, Mapping) for each in monotone.values()):
        problems.add(f"`monotone` must be {wanted}, not {shown(monotone)}.")
        return []
    rules = []
    for y, signs in monotone.items():
        for x, sign in signs.items():
            if isinstance(sign, bool) or sign not in (1, -1):
                problems.add(f"`monotone` must be {wanted}, not {shown(sign)} for `{x}`.")
            else:
                rules.append(Rule("rises" if sign == 1 else "falls", str(y), other=str(x)))
    return rules


def orient(
    rules: Sequence[Rule], x: Sequence[str], steps: Sequence[Sequence[str]], problems: Problems
) -> list[Rule]:
    """Make each bound bind the variable that is simulated later; what cannot be done is noted.

    Parameters
    ----------
    rules : sequence of Rule
    x : sequence of str
        The recipients' own variables.
    steps : sequence of sequence of str
        Fusion variables, step by step.
    problems : Problems

    Returns
    -------
    list of Rule
    """
    place = {name: i for i, step in enumerate(steps) for name in step} | dict.fromkeys(x, -1)
    done = []
    totals = [rule.variable for rule in rules if rule.kind == "sum" and rule.variable]
    if twice := repeated(totals):
        problems.add(f"`identities` has several sums for {few(twice, '`')}.")
    for rule in rules:
        unknown = [name for name in rule.names if name not in place]
        if unknown:
            problems.add(
                f"'{rule.text}': {few(unknown, '`')} is neither in `x` nor in `y`{meant(unknown[0], place)}."
            )
            continue
        if rule.kind in ("most", "least") and rule.other and place[rule.other] > place[rule.variable]:
            turned: Literal["most", "least"] = "least" if rule.kind == "most" else "most"
            rule = replace(rule, kind=turned, variable=rule.other, other=rule.variable)
        must = rule.parts if rule.kind == "sum" else (rule.variable,)
        own = [name for name in must if place[name] < 0]
        if own and (rule.kind != "sum" or not rule.variable):
            problems.add(f"'{rule.text}': {few(own, '`')} is the recipients' own, and is not simulated.")
        elif rule.kind == "sum" and rule.variable and place[rule.variable] < 0:
            problems.add(f"'{rule.text}': the total is the recipients' own; fuse shares of it instead.")
        elif rule.kind != "sum" and rule.variable in totals:
            problems.add(f"'{rule.text}': `{rule.variable}` is a sum; say it of the parts.")
        elif rule.kind in ("zero", "rises", "falls") and place[rule.other] > place[rule.variable]:
            problems.add(f"'{rule.text}': put `{rule.other}` before `{rule.variable}` in `y`.")
        elif rule.kind in ("rises", "falls") and place[rule.other] == place[rule.variable]:
            problems.add(f"'{rule.text}': both are in one block.")
        else:
            done.append(rule)
    return done


def check_donors(rules: Sequence[Rule], schema: Schema, matrix: Array, problems: Problems) -> None:
    """Note rules that variables cannot have, and those that donors break.

    Parameters
    ----------
    rules : sequence of Rule
    schema : Schema
    matrix : (n, p) float64
        Donors, columns as in ``schema.names``.
    problems : Problems
    """
    for rule in rules:
        wrong = unfit(rule, schema)
        if wrong:
            problems.add(f"'{rule.text}': {wrong}.")
            continue
        if rule.kind in ("rises", "falls"):
            continue
        found, worst = broken(rule, lambda name: matrix[:, schema.names.index(name)], schema)
        if n_broken := int(found.sum()):
            donors = f"{counted(n_broken, 'donor')} of {len(matrix):,} break it"
            problems.add(f"'{rule.text}': {donors}, by up to {worst:.3g}; mend them, or leave the rule out.")


def unfit(rule: Rule, schema: Schema) -> str | None:
    """Say why variables are not of the kinds that a rule is for."""
    numbers = [rule.variable, *rule.parts, *([rule.other] if rule.kind in ("most", "least") else [])]
    levelled = [name for name in numbers if name and schema[name].is_categorical]
    if rule.kind in ("rises", "falls"):
        y, x = schema[rule.variable], schema[rule.other]
        if y.model_type == "multiclass":
            return f"`{y.name}` has more than two levels, for which there is no rising"
        return f"the levels of `{x.name}` have no order" if x.kind == "nominal" else None
    if levelled:
        return f"{few(levelled, '`')} must be numeric"
    if rule.kind != "zero":
        return None
    flag = schema[rule.other]
    if not rule.levels:
        return (
            None
            if flag.kind == "logical"
            else f"`{flag.name}` is not logical: name its levels, as in '... in a|b'"
        )
    strange = [level for level in rule.levels if level not in map(str, flag.levels)]
    return f"`{flag.name}` has no level {few(strange)}" if strange else None


def allowed(rule: Rule, column: Column, schema: Schema) -> NDArray[np.bool_]:
    """Tell the records in which a "zero" rule allows its variable to be other than 0."""
    flag = column(rule.other)
    if not rule.levels:
        return np.asarray(flag == 1)
    codes = [code for code, level in enumerate(schema[rule.other].levels) if str(level) in rule.levels]
    return np.isin(flag, codes)


def limits(
    rules: Sequence[Rule], variable: str, together: Sequence[str], column: Column, n: int
) -> tuple[Array, Array] | None:
    """Find the bounds of a variable in each of n records.

    Parameters
    ----------
    rules : sequence of Rule
    variable : str
    together : sequence of str
        What comes from the same donor: no bound, as donors obey.
    column : callable
    n : int

    Returns
    -------
    (n,) float64, twice, or None
        Least and most; infinite where there is none, as where the bound is missing.
    """
    own = [
        rule
        for rule in rules
        if rule.kind in ("most", "least") and rule.variable == variable and rule.other not in together
    ]
    if not own:
        return None
    low, high = np.full(n, -np.inf), np.full(n, np.inf)
    for rule in own:
        bound = column(rule.other) if rule.other else np.full(n, rule.value)
        if rule.kind == "most":
            high = np.fmin(high, bound)
        else:
            low = np.fmax(low, bound)
    return low, high


def broken(rule: Rule, column: Column, schema: Schema) -> tuple[NDArray[np.bool_], float]:
    """Tell which records break a rule, and by how much at most; missing values break none.

    Parameters
    ----------
    rule : Rule
    column : callable
        Values, or codes of the levels, of a variable.
    schema : Schema
        Has the levels.

    Returns
    -------
    (n,) bool, and float
        Numbers are allowed to differ by 1e-9 of their size.
    """
    if rule.kind == "sum":
        total = column(rule.variable) if rule.variable else np.float64(rule.value)
        gap = np.abs(sum(column(part) for part in rule.parts) - total)
        size = np.maximum(1.0, np.abs(total))
    elif rule.kind == "zero":
        value = column(rule.variable)
        gap, size = np.where(allowed(rule, column, schema), 0.0, np.abs(value)), np.ones(len(value))
        gap = np.where(np.isnan(column(rule.other)), np.nan, gap)
    else:
        value = column(rule.variable)
        bound = column(rule.other) if rule.other else np.full(len(value), rule.value)
        gap = (value - bound) * (1 if rule.kind == "most" else -1)
        size = np.maximum(1.0, np.abs(bound))
    found = np.asarray(gap > TOLERANCE * size)
    return found, float(gap[found].max()) if found.any() else 0.0
