"""What boosting missed: effects of predictors on donors' residuals, by models that did not see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.drawing.steps import expected_columns
from fusionpy.kernels.interactions import chance_of_none, left_of_normal, sums_of
from fusionpy.kernels.mixed import (
    FAR,
    Mixed,
    fit_logits,
    fit_normal,
    lower_root,
    project,
)
from fusionpy.model import FusionModel
from fusionpy.model.effects import MOST_CELLS, Effect, Effects, Pair
from fusionpy.training.donors import Donors
from fusionpy.training.levels import Design, design_of
from fusionpy.training.out_of_fold import Expected, expected_by_others, prepare_refits
from fusionpy.training.parts import Part, list_parts, values_of

__all__ = ["learn_effects"]

MOST_PAIRS = 3  # of a model, the surest
UNSURE = 1.0  # pairs of a model that are taken without need, on average
LEAST_GAIN, MOST_GAIN = 0.7, 3.0  # of what is expected in the end, by a change of what models expect


def learn_effects(
    model: FusionModel, donors: Donors, seed: int, cores: int, is_told: bool = True
) -> tuple[FusionModel, Expected | None]:
    """Learn the effects of all steps from what fusing each donor would give on average.

    Parameters
    ----------
    model : FusionModel
        With refits.
    donors : Donors
    seed, cores : int
    is_told : bool
        Whether what is expected of the donors with the effects is wanted, too.

    Returns
    -------
    FusionModel, Expected or None
        With effects, and what is expected of the donors.
    """
    design = design_of(model, donors)
    model = _having(model, design.effects, [])
    prepared = prepare_refits(model)  # once: effects change no tree and no pool
    parts = [part for step in model.steps for part in list_parts(model, step, donors)]
    how: dict[str, Any] = {
        "seed": seed,
        "cores": cores,
        "prepared": prepared,
        "is_given": _is_given(model, parts),
    }
    every = _Expectations.of_donors(model, donors, each=True, **how)
    known = np.flatnonzero(~np.isnan(every.in_the_end.average).any(axis=1))
    y, mine = donors.y[known], design.some(known)
    old = every.some(known)
    first = [_Case.of(part, model, y, mine, old.of(part)) for part in parts]
    found = [case.fit() for case in first]
    pairs = [case.find_pairs(one) for case, one in zip(first, found, strict=True)]
    found = [case.fit(own) if own else one for case, own, one in zip(first, pairs, found, strict=True)]
    effects = [
        _first(part, one, _deviations(part, model, design.having(own), every.of(part), one))
        for part, own, one in zip(parts, pairs, found, strict=True)
    ]
    model = _having(model, design.effects, list(zip(effects, pairs, strict=True)))
    # And now it is known what becomes of them in the end.
    new = _Expectations.of_donors(model, donors, **how).some(known)
    second = [_Case.of(part, model, y, mine, new.of(part)) for part in parts]
    gains = [
        _gain(part, model, mine.having(own), one, old.of(part), new.of(part))
        for part, own, one in zip(parts, pairs, found, strict=True)
    ]
    more = [case.fit(own) for case, own in zip(second, pairs, strict=True)]
    effects = [
        _add(effect, one, part.unit, gain)
        for effect, one, part, gain in zip(effects, more, parts, gains, strict=True)
    ]
    model = _having(model, design.effects, list(zip(effects, pairs, strict=True)))
    if not is_told:
        return model, None
    return model, expected_by_others(model, donors.x, seed, cores, prepared, areas=donors.area_codes)


def _is_given(model: FusionModel, parts: Sequence[Part]) -> bool:
    """Tell whether what is expected of any part depends on what donors said in the steps before."""
    drawn = {variable.name for variable in model.schema.y}
    later = {v for step in model.steps if drawn & set(step.predictors) for v in step.variables}
    later |= {rule.variable for rule in model.rules}
    return any(part.is_given and part.variable in later for part in parts)


@dataclass(frozen=True)
class _Expectations:
    """What is expected of the donors.

    Attributes
    ----------
    in_the_end : Expected
        Whatever is drawn of them in the steps before.
    given : Expected
        By what they said in the steps before.
    """

    in_the_end: Expected
    given: Expected

    @classmethod
    def of_donors(
        cls, model: FusionModel, donors: Donors, is_given: bool, each: bool = False, **how: Any
    ) -> _Expectations:
        """Find both; the second only if it is another for any part."""
        how |= {"areas": donors.area_codes, "each": each}
        in_the_end = expected_by_others(model, donors.x, **how)
        if not is_given:
            return cls(in_the_end, in_the_end)
        return cls(in_the_end, expected_by_others(model, donors.x, true=donors.y, **how))

    def of(self, part: Part) -> Expected:
        """Choose by a part."""
        return self.given if part.is_given else self.in_the_end

    def some(self, rows: NDArray[np.intp]) -> _Expectations:
        """Take some of the donors."""
        return _Expectations(self.in_the_end.some(rows), self.given.some(rows))


def _gain(
    part: Part, model: FusionModel, design: Design, found: Mixed, before: Expected, after: Expected
) -> float:
    """Tell by how much a mean moves in the end where what is expected beforehand moves by 1.

    Not by 1 if models expect smaller differences than there are between the donors in their pools, or pools
    mix donors of whom they expect different values.
    """
    if part.is_logit or len(found.columns) < 2:
        return 1.0
    columns = expected_columns(model)[part.variable]
    old, new = (part.expected(each, columns) for each in (before, after))
    moved, weight = part.scaled(new - old, old, design.weight)
    weight = weight * (part.told(before) & part.told(after))
    wanted = sums_of(design.codes, design.sizes, found)
    wanted = wanted - np.average(wanted, weights=weight) if weight.any() else wanted
    square = float(weight @ wanted**2)
    gain = float(weight @ (wanted * moved)) / square if square > 0 else 1.0
    return float(np.clip(gain, LEAST_GAIN, MOST_GAIN))


def _having(
    model: FusionModel, blank: Effects, effects: Sequence[tuple[Effect, Sequence[Pair]]]
) -> FusionModel:
    """Give each step the effects on its targets, and the pairs that any of them has."""
    steps = []
    for step in model.steps:
        names = {target.name for target in step.targets}
        own = [(effect, pairs) for effect, pairs in effects if effect.target in names]
        every = replace(blank, pairs=tuple({pair.names: pair for _, pairs in own for pair in pairs}.values()))
        placed = tuple(_placed(effect, replace(blank, pairs=tuple(pairs)), every) for effect, pairs in own)
        steps.append(replace(step, effects=replace(every, each=placed)))
    return replace(model, steps=tuple(steps))


def _placed(effect: Effect, own: Effects, every: Effects) -> Effect:
    """Find the places of a model's effects among the levels that all the step's models have effects on."""
    if own.pairs == every.pairs:
        return effect
    names, n_factors = [pair.names for pair in every.pairs], len(own.factors)
    among = [n_factors + names.index(pair.names) for pair in own.pairs]
    at = np.array([*range(n_factors), *among, *range(n_factors + len(names), len(every.groups))])
    first, firsts = own.first(), every.first()
    group = np.searchsorted(first, effect.columns[:-1], side="right") - 1
    columns = firsts[at[group]] + effect.columns[:-1] - first[group]
    sds = np.zeros(len(every.groups))
    sds[at] = effect.sds
    return replace(effect, columns=np.append(columns, firsts[-1]), sds=sds)


@dataclass(frozen=True)
class _Case:
    """What the effects on one model are learned from.

    Attributes
    ----------
    design : Design
        Of the donors that tell of it.
    value : (n,) float64 or bool
        What is off the expected mean, on the scale of the effects; of a chance whether it came true.
    weight : (n,) float64
    chance : (n,) float64, or None
        Expected.
    """

    design: Design
    value: NDArray[Any]
    weight: NDArray[np.float64]
    chance: NDArray[np.float64] | None

    @classmethod
    def of(
        cls, part: Part, model: FusionModel, y: NDArray[np.float64], design: Design, expected: Expected
    ) -> _Case:
        """Find what is off."""
        values = values_of(part.variable, model, y)
        thought = part.expected(expected, expected_columns(model)[part.variable])
        if part.is_logit:
            return cls(design, values == (0 if part.is_zero else part.level), design.weight, thought)
        if part.variable in expected.chances:
            rows = np.flatnonzero((values != 0) & part.told(expected))
            design, values, thought = design.some(rows), values[rows], thought[rows]
        return cls(design, *part.scaled(values - thought, thought, design.weight), None)

    def fit(self, pairs: Sequence[Pair] = ()) -> Mixed:
        """Fit the effects."""
        design = self.design.having(pairs)
        levels = design.codes, design.sizes
        if self.chance is None:
            return fit_normal(*levels, self.value, self.weight, design.n_areas)
        return fit_logits(*levels, self.value, self.chance, self.weight, design.n_areas)

    def find_pairs(self, found: Mixed) -> list[Pair]:
        """Find the predictors whose levels have effects together beyond each one's own: the surest pairs.

        Of chances none: what came true tells too little of so many cells.
        """
        if self.chance is not None:
            return []
        design = self.design
        left = left_of_normal(design.codes, design.sizes, self.value, self.weight, found)
        places = list(combinations(range(len(design.coarse)), 2))
        sure = []
        for a, b in places:
            pair = Pair(one=design.coarse[a], other=design.coarse[b])
            if pair.n_levels <= MOST_CELLS:
                sizes = pair.one.n_levels, pair.other.n_levels
                chance = chance_of_none(design.coarse_codes[a], design.coarse_codes[b], sizes, *left)
                if chance < UNSURE / len(places):
                    sure.append((chance, a, b, pair))
        return [pair for *_, pair in sorted(sure, key=lambda each: each[:3])[:MOST_PAIRS]]


def _deviations(
    part: Part, model: FusionModel, design: Design, every: Expected, found: Mixed
) -> NDArray[np.float64]:
    """Find by how much each refit's expectations of the levels are off those of all refits."""
    columns = expected_columns(model)[part.variable]
    thought = part.expected(every, columns)
    out = []
    for rows, expected in every.refits:
        mine, own, others = design.some(rows), part.expected(expected, columns), thought[rows]
        weight = mine.weight * (part.told(expected) & part.told(every)[rows])
        if part.is_logit:
            steep = np.maximum(others * (1 - others), FAR)
            value, weight = (own - others) / steep, weight * steep
        else:
            value, weight = part.scaled(own - others, others, weight)
        out.append(project(mine.codes, mine.sizes, value, weight, found, mine.n_areas))
    return np.stack(out)


def _first(part: Part, found: Mixed, refits: NDArray[np.float64]) -> Effect:
    return Effect(
        target=part.target,
        column=part.column,
        is_relative=part.is_relative,
        share=part.share,
        sds=np.ldexp(np.sqrt(found.variances), part.unit),
        columns=found.columns,
        mean=np.ldexp(found.mean, part.unit),
        root=np.ldexp(lower_root(found.covariance), part.unit),
        refits=np.ldexp(refits, part.unit),
        ties=found.ties if len(found.alone) else np.empty((0, 0)),
        alone=np.ldexp(np.sqrt(found.alone), part.unit),
    )


def _add(old: Effect, new: Mixed, unit: int, gain: float) -> Effect:
    """Add what the second pass has found; how sure the effects are is known from the first.

    What becomes of them in the end is `gain` times as much, so that they are that much smaller.
    """
    columns = np.union1d(old.columns, new.columns)
    place, more = np.searchsorted(columns, old.columns), np.searchsorted(columns, new.columns)
    mean = np.zeros(len(columns))
    mean[place] += old.mean
    mean[more] += np.ldexp(new.mean, unit) / gain
    refits = np.zeros((len(old.refits), len(columns)))
    refits[:, place] = old.refits
    # Those apart stand right before the constant, in both or in either.
    n_apart = max(len(old.alone), len(new.alone))
    rest = np.r_[0 : len(columns) - 1 - n_apart, len(columns) - 1]
    own = np.searchsorted(rest, place[np.isin(place, rest)])
    root = np.zeros((len(rest), len(rest)))
    root[np.ix_(own, own)] = old.root
    alone, ties = np.zeros(n_apart), np.zeros((n_apart, len(rest) if n_apart else 0))
    if len(old.alone):
        alone[:], ties[:, own] = old.alone, old.ties
    return replace(
        old,
        sds=np.maximum(old.sds, np.ldexp(np.sqrt(new.variances), unit)) / gain,
        columns=columns,
        mean=mean,
        root=root / gain,
        refits=refits / gain,
        ties=ties,
        alone=alone / gain,
    )
