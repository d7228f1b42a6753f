"""What `analyze` is asked for: estimands, from a mapping or from text, groupings, how to estimate them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np

from fusionpy.analysis.estimand import Estimand
from fusionpy.analysis.reading import read_estimands, told_apart
from fusionpy.analysis.statistics import STATISTICS
from fusionpy.errors import ArgumentError, Problems, few, settle_seed, shown
from fusionpy.frames.tables import take_names
from fusionpy.kernels.rubin import Combining
from fusionpy.progress import tell_of_seed

__all__ = ["GROUPING", "REPLICATING", "Layout", "Question", "ask", "refuse_own"]

POOLINGS = ("auto", "barnard-rubin", "records", "rubin", "fusionacs")
REPLICATING = ("rubin", "fusionacs")  # others' results: what they say of margins is no business of ours
LAYOUTS = ("fusionpy", "fusionModel", "fusionacs")
Layout = Literal["fusionpy", "fusionModel", "fusionacs"]
GROUPING = "grouping"  # the result's column that tells of several
DESIGNS = ("sdr", "brr", "fay", "jk1", "bootstrap")
FAY_RHO = 0.5
OF_RESULT = ("n", "n_eff", "y", "level", "type", "est", "se", "df", "moe", "lower", "upper", "fmi")
OF_LAYOUT = {"fusionpy": (), "fusionModel": ("N",), "fusionacs": ("N", "N_eff", "lhs", "rhs", "cv")}


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
    asked_pooling : str or None
        "records" if noise of draws is to be taken out of total variances, "auto" if that is to be settled.
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
    asked_pooling: Literal["auto", "records"] | None
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
    estimands = told_apart(read_estimands(x, problems))
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
        pooling="barnard-rubin" if pooling in ("auto", "records") else pooling,
        asked_pooling=pooling if pooling in ("auto", "records") else None,
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
    problems.level(level)
    problems.whole("cores", cores, 1)
