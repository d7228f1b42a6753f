"""What `analyze` is asked for: estimands, from a mapping or from text, groupings, how to estimate them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np

from fusionpy.analysis.estimand import Estimand
from fusionpy.analysis.statistics import STATISTICS, Statistic, find_statistic
from fusionpy.errors import ArgumentError, Problems, few, meant, settle_seed, shown
from fusionpy.frames.tables import take_names
from fusionpy.kernels.rubin import Combining
from fusionpy.progress import tell_of_seed

__all__ = ["GROUPING", "REPLICATING", "Layout", "Question", "ask", "read_estimands", "refuse_own"]

POOLINGS = ("barnard-rubin", "rubin", "fusionacs")
REPLICATING = ("rubin", "fusionacs")  # others' results: what they say of margins is no business of ours
LAYOUTS = ("fusionpy", "fusionModel", "fusionacs")
Layout = Literal["fusionpy", "fusionModel", "fusionacs"]
GROUPING = "grouping"  # the result's column that tells of several
DESIGNS = ("sdr", "brr", "fay", "jk1", "bootstrap")
FAY_RHO = 0.5
OF_RESULT = ("n", "n_eff", "y", "level", "type", "est", "se", "df", "moe", "lower", "upper", "fmi")
OF_LAYOUT = {"fusionpy": (), "fusionModel": ("N",), "fusionacs": ("N", "N_eff", "lhs", "rhs", "cv")}
_CALL = re.compile(r"(?:(?P<name>[^=~()]+?)\s*[=~]\s*|~\s*)?(?P<how>[\w.]+)\s*\((?P<inside>.*)\)")
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True, kw_only=True)
class Question:
    """What `analyze` is asked for, checked.

    Attributes
    ----------
    estimands : tuple of Estimand
    by : tuple of str
        Columns that groups are made of; of several groupings all that any has.
    groupings : tuple of tuple of str
        Each is estimated for by itself.
    has_several : bool
        Whether groupings were asked for as several, be it one.
    weight : str or None
    replicates : tuple of str
        Replicate weights.
    scale : float
        What the mean squared difference of replicate estimates is multiplied by.
    fun : callable or None
    pooling : str
    level : float
    cores : int
    seed : int
    layout : str
        Whose columns and rows the result has.
    """

    estimands: tuple[Estimand, ...]
    by: tuple[str, ...]
    groupings: tuple[tuple[str, ...], ...]
    has_several: bool
    weight: str | None
    replicates: tuple[str, ...]
    scale: float
    fun: Callable[[Any], Any] | None
    pooling: Combining
    level: float
    cores: int
    seed: int
    layout: Layout

    @property
    def needed(self) -> list[str]:
        """Columns that estimands and groups name."""
        return list(dict.fromkeys([*(v for each in self.estimands for v in each.variables), *self.by]))

    @property
    def draws(self) -> bool:
        """Whether a variance has to be drawn, so that the seed matters."""
        asked = [STATISTICS[each.how] for each in self.estimands]
        is_resampled = not self.replicates or self.pooling == "rubin"
        return any(
            (is_resampled and each.variance is None) or self.pooling in each.drawn_by for each in asked
        )

    def tell_of_seed(self, quiet: bool) -> None:
        """Say which seed was drawn, if it matters."""
        if self.draws:
            tell_of_seed("analyze", self.seed, quiet)

    @property
    def everything(self) -> bool:
        """Whether a function of the user's may look at any column."""
        return self.fun is not None or any(STATISTICS[each.how].of == "records" for each in self.estimands)


def ask(
    x: Any,
    *,
    weight: Any,
    rep_weights: Any,
    by: Any,
    fun: Any,
    var_scale: Any,
    pooling: Any,
    level: Any,
    cores: Any,
    seed: Any,
    layout: Any = "fusionpy",
) -> Question:
    """Understand the arguments of `analyze`.

    Raises
    ------
    ArgumentError
        Naming all that is wrong.
    """
    problems = Problems(
        ArgumentError, "`analyze()` cannot start.", "See `help(fusionpy.analyze)` for what it takes."
    )
    estimands = read_estimands(x, problems)
    groupings, has_several = _take_groupings(by, problems)
    groups = list(dict.fromkeys(name for grouping in groupings for name in grouping))
    own = [*OF_RESULT, *OF_LAYOUT.get(str(layout), ())]
    own += [GROUPING] if has_several else []
    own += ["name"] if any(each.name for each in estimands) else []
    refuse_own(groups, own, problems)
    problems.choice("layout", layout, LAYOUTS)
    replicates = take_names(rep_weights, "rep_weights", problems)
    scale = _scale(var_scale, len(replicates), problems)
    _check_arguments(weight, fun, pooling, level, cores, problems)
    seed = settle_seed(seed, problems)
    problems.stop()
    return Question(
        estimands=tuple(estimands),
        by=tuple(groups),
        groupings=groupings,
        has_several=has_several,
        weight=weight,
        replicates=tuple(replicates),
        scale=scale,
        fun=fun,
        pooling=pooling,
        level=level,
        cores=int(cores),
        seed=seed,
        layout=layout,
    )


def _take_groupings(by: Any, problems: Problems) -> tuple[tuple[tuple[str, ...], ...], bool]:
    """Take one grouping, or several, and tell which: names alone are one, a list with lists is several."""
    is_list = isinstance(by, Sequence) and not isinstance(by, str)
    if not is_list or not any(each is None or isinstance(each, list | tuple) for each in by):
        return (tuple(dict.fromkeys(take_names(by, "by", problems))),), False
    found = [tuple(dict.fromkeys(take_names(each, "by", problems))) for each in by]
    return tuple(dict.fromkeys(found)), True


def refuse_own(by: Sequence[str], own: Sequence[str], problems: Problems) -> None:
    """Note groups by columns that are called as some of the result's own are."""
    if taken := [name for name in by if name in own]:
        which = "which the result has as a column" if len(taken) == 1 else "which the result has as columns"
        problems.add(
            f"`by` names {few(taken, '`')}, {which} of its own: rename {'it' if len(taken) == 1 else 'them'} "
            f"in the data, or let `fun` make a copy with another name, `{taken[0]}_group` for instance."
        )


def _scale(var_scale: Any, n_replicates: int, problems: Problems) -> float:
    """Settle what the mean squared difference of replicate estimates is multiplied by."""
    name, rho = (
        var_scale if isinstance(var_scale, tuple | list) and len(var_scale) == 2 else (var_scale, FAY_RHO)
    )
    is_rho = isinstance(rho, Real) and not isinstance(rho, bool) and 0 <= float(rho) < 1
    if isinstance(name, str) and name.lower() in DESIGNS and is_rho:
        R = max(n_replicates, 2)
        design = name.lower()
        by_design = {
            "sdr": 4.0,
            "brr": 1.0,
            "fay": 1 / (1 - float(rho)) ** 2,
            "jk1": R - 1.0,
            "bootstrap": R / (R - 1),
        }
        return by_design[design]
    if (
        isinstance(name, Real)
        and not isinstance(name, bool)
        and name == var_scale
        and 0 < float(name) < np.inf
    ):
        return float(name)
    wanted = f"a positive number, one of {few(DESIGNS)}, or ('fay', rho) with rho in [0, 1)"
    problems.add(f"`var_scale` must be {wanted}, not {shown(var_scale)}.")
    return 4.0


def _check_arguments(weight: Any, fun: Any, pooling: Any, level: Any, cores: Any, problems: Problems) -> None:
    problems.name("weight", weight, "the name of a column")
    if fun is not None and not callable(fun):
        problems.add(f"`fun` must be a function, not {shown(fun)}.")
    problems.choice("pooling", pooling, POOLINGS)
    if not isinstance(level, float) or not 0 < level < 1:
        problems.add(f"`level` must be a number between 0 and 1, such as 0.9, not {shown(level)}.")
    problems.whole("cores", cores, 1)


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
