"""What is to be estimated, from a mapping or from text: ``{"mean": "kwh"}``, ``"total = sum(kwh)"``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fusionpy.analysis.estimand import Estimand
from fusionpy.analysis.formulas import read_formula
from fusionpy.analysis.statistics import STATISTICS, Statistic, find_statistic
from fusionpy.errors import Problems, few, meant, shown

__all__ = ["read_estimands", "told_apart"]

_CALL = re.compile(r"(?:(?P<name>[^=~()]+?)\s*[=~]\s*|~\s*)?(?P<how>[\w.]+)\s*\((?P<inside>.*)\)")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")


def read_estimands(x: Any, problems: Problems) -> list[Estimand]:
    """Understand `x` of `analyze`; what cannot be understood is noted.

    Parameters
    ----------
    x : str, sequence of str, or mapping
    problems : Problems

    Returns
    -------
    list of Estimand

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> problems = Problems(ArgumentError, "No.")
    >>> found = read_estimands({"mean": ["kwh", "fuel"], "p90": "kwh", "ratio": ("kwh", "rooms")}, problems)
    >>> [(each.type, each.label) for each in found]
    [('mean', 'kwh'), ('mean', 'fuel'), ('p90', 'kwh'), ('ratio', 'kwh/rooms')]
    >>> [each.name for each in read_estimands(["bill = sum(kwh)", "mean_bill ~ mean(kwh)"], problems)]
    ['bill', 'mean_bill']
    """
    found: list[Estimand] = []
    if isinstance(x, Mapping):
        for how, what in x.items():
            found += _from_entry(how, what, problems)
    elif isinstance(x, str):
        found += _from_text(x, problems)
    elif isinstance(x, Sequence) and x and all(isinstance(each, Estimand) for each in x):
        found += x
    elif isinstance(x, Sequence) and all(isinstance(each, str) for each in x):
        for each in x:
            found += _from_text(each, problems)
    else:
        problems.add(
            f"`x` must be a mapping such as {{'mean': ['a']}}, or text such as 'mean(a)', not {shown(x)}."
        )
        return []
    if not found and not problems.found:
        problems.add("`x` asks for nothing.")
    return list(dict.fromkeys(found))


def _from_entry(how: Any, what: Any, problems: Problems) -> Iterator[Estimand]:
    """One entry of a mapping."""
    known = _named(how) if isinstance(how, str) else None
    if known is None:
        problems.add(f"`x` has the entry {shown(how)}{meant(str(how), STATISTICS, chr(39))}: {_known()}.")
        return
    statistic, share = known
    if statistic.takes == "function":
        yield from _functions(statistic.name, what, problems)
    elif statistic.takes == "formula":
        for text in [what] if isinstance(what, str) or not isinstance(what, Iterable) else what:
            yield from _formula(statistic.name, text, None, problems)
    elif statistic.takes == "pair":
        pairs = [what] if _is_pair(what) else list(what) if isinstance(what, list | tuple) else [what]
        for pair in pairs:
            yield from _pair(statistic.name, pair, problems)
    elif statistic.takes == "share" and share is None:
        yield from _with_shares(statistic.name, what, problems)
    else:
        names = [what] if isinstance(what, str) else list(what) if isinstance(what, Iterable) else [None]
        if not all(isinstance(name, str) for name in names):
            wanted = "must be a column name or a list of them"
            problems.add(f"`x` entry '{statistic.name}' {wanted}, not {shown(what)}.")
            return
        share = 0.5 if share is None else share
        yield from (Estimand(statistic.name, str(name), share=share) for name in names)


def _from_text(text: str, problems: Problems) -> Iterator[Estimand]:
    """One estimand in text: ``mean(a)``, ``total = sum(a)``, ``quantile(a, 0.9)``, ``ratio(a, b)``."""
    found = _CALL.fullmatch(text.strip())
    known = found and _named(found["how"])
    if not found or not known or known[0].takes == "function":
        hint = meant(found["how"], STATISTICS, "'") if found else ""
        problems.add(
            f"`x`: '{text}' is not understood{hint}; write 'mean(a)', 'quantile(a, 0.9)' or 'name = sum(a)'."
        )
        return
    statistic, share = known
    how = statistic.name
    name = found["name"].strip() if found["name"] else None
    if statistic.takes == "formula":
        yield from _formula(how, found["inside"], name, problems)
        return
    inside = [part.strip() for part in found["inside"].split(",")]
    if statistic.takes == "pair":
        parts = inside if len(inside) == 2 else found["inside"].split("/")
        for each in _pair(how, tuple(part.strip() for part in parts), problems):
            yield Estimand(how, each.y, each.other, name=name)
        return
    if statistic.takes == "share" and share is None:
        share = _number(inside.pop()) if len(inside) == 2 else None
        if share is None or not 0 < share < 1:
            problems.add(f"`x`: '{text}' needs a share between 0 and 1, as in '{how}(a, 0.9)'.")
            return
    if len(inside) != 1 or not inside[0]:
        problems.add(f"`x`: '{text}' must name one column.")
        return
    yield Estimand(how, inside[0], share=0.5 if share is None else share, name=name)


def _named(how: str) -> tuple[Statistic, float | None] | None:
    """Find a statistic by name, and its share if the name tells it."""
    if found := _PERCENTILE.fullmatch(how):
        share = float(found[1]) / 100
        return (STATISTICS["quantile"], share) if 0 < share < 1 else None
    statistic = find_statistic(how)
    return None if statistic is None else (statistic, None)


def _functions(how: str, what: Any, problems: Problems) -> Iterator[Estimand]:
    functions = what if isinstance(what, Mapping) else {getattr(what, "__name__", how): what}
    for name, function in functions.items():
        if not callable(function) or not isinstance(name, str):
            problems.add(f"`x` entry '{how}' must be a function, or a mapping of them, not {shown(what)}.")
        else:
            yield Estimand(how, name, function=function)


def _formula(how: str, text: Any, name: str | None, problems: Problems) -> Iterator[Estimand]:
    """Read a regression: ``log(a) ~ b + c``, of "glm" with a family after a comma."""
    try:
        if not isinstance(text, str):
            raise ValueError(f"it must be a formula such as 'y ~ a + b', not {shown(text)}")
        formula = read_formula(text, takes_family=how == "glm")
    except ValueError as error:
        problems.add(f"`x` entry '{how}': {error}.")
    else:
        yield Estimand(how, formula.response.label, name=name, formula=formula)


def _with_shares(how: str, what: Any, problems: Problems) -> Iterator[Estimand]:
    wanted = "a mapping of columns to shares, such as {'a': [0.1, 0.9]}, or pairs, such as ('a', 0.9)"
    items = list(what.items()) if isinstance(what, Mapping) else [what] if _is_pair(what, float) else what
    if not isinstance(items, Sequence) or isinstance(items, str):
        problems.add(f"`x` entry '{how}' must be {wanted}, not {shown(what)}.")
        return
    for item in items:
        name, shares = item if isinstance(item, tuple | list) and len(item) == 2 else (None, ())
        several = shares if isinstance(shares, list | tuple) else [shares]
        if not isinstance(name, str) or not all(_is_share(share) for share in several) or not several:
            problems.add(f"`x` entry '{how}' must be {wanted}, shares between 0 and 1; not {shown(item)}.")
        else:
            yield from (Estimand(how, name, share=float(share)) for share in several)


def _pair(how: str, pair: Any, problems: Problems) -> Iterator[Estimand]:
    parts = pair.split("/") if isinstance(pair, str) else pair
    names = [part.strip() for part in parts] if _is_pair(parts) or isinstance(pair, str) else []
    if len(names) == 2 and all(names):
        yield Estimand(how, names[0], names[1])
    else:
        problems.add(
            f"`x` entry '{how}' must be pairs of columns, such as ('a', 'b') or 'a/b', not {shown(pair)}."
        )


def _is_pair(what: Any, second: type = str) -> bool:
    return (
        isinstance(what, tuple | list)
        and len(what) == 2
        and isinstance(what[0], str)
        and isinstance(what[1], second)
    )


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _known() -> str:
    return f"known are {few(STATISTICS, most=20)} and percentiles such as 'p90'"


def told_apart(estimands: Sequence[Estimand]) -> list[Estimand]:
    """Call regressions by their formulas, where names and responses do not tell them apart.

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> found = read_estimands(["lm(y ~ a)", "lm(y ~ b)", "x = lm(y ~ c)"], Problems(ArgumentError, "No."))
    >>> [each.y for each in told_apart(found)]
    ['y ~ a', 'y ~ b', 'y']
    """
    found = Counter((each.how, each.y, each.name) for each in estimands)
    return [
        replace(each, y=each.formula.text)
        if each.formula is not None and found[each.how, each.y, each.name] > 1
        else each
        for each in estimands
    ]
