"""What boosting missed: effects of predictors on donors' residuals, by models that did not see them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fusionpy.drawing.steps import expected_columns
from fusionpy.kernels.magnitudes import binary_exponent
from fusionpy.kernels.mixed import FAR, Mixed, fit_logits, fit_normal, lower_root, project, safe_logit
from fusionpy.model import FusionModel, Step
from fusionpy.model.areas import Area
from fusionpy.model.effects import Effect, Effects, Factor
from fusionpy.model.variables import Variable
from fusionpy.training.donors import Donors
from fusionpy.training.out_of_fold import Expected, expected_by_others, prepare_refits

__all__ = ["learn_effects"]

CUTS = 8  # levels of a number, with about as many donors in each
SKEWED = 0.4  # skewness from which on effects on a variable that is never negative are shares of its mean
SLIGHT = 0.01  # share of the overall mean that a mean is taken to be at least
PASSES = 2


@dataclass(frozen=True)
class _Design:
    """The donors' levels of all factors."""

    factors: tuple[Factor, ...]
    codes: NDArray[np.intp]
    weight: NDArray[np.float64]
    areas: tuple[Area, ...]

    @property
    def sizes(self) -> list[int]:
        return [*(factor.n_levels for factor in self.factors), *(area.n_levels for area in self.areas)]

    @property
    def n_areas(self) -> int:
        return len(self.areas)

    def some(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> _Design:
        """Take some donors."""
        return _Design(self.factors, self.codes[:, rows], self.weight[rows], self.areas)


@dataclass(frozen=True)
class _Part:
    """What an effect is on: one model of a step, and of its classes one."""

    target: str
    column: int
    variable: str
    is_zero: bool = False
    level: int | None = None  # class whose chance it is
    unit: int = 0  # power of 2 in which effects on a mean are fitted: squares neither vanish nor overflow
    is_relative: bool = False  # a mean of amounts, none below 0, of which effects are shares
    least: float = 0.0  # that such a mean is taken to be

    @property
    def is_logit(self) -> bool:
        return self.is_zero or self.level is not None

    def expected(self, expected: Expected, columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Take what is expected: a mean (of what is not zero), or a chance."""
        if self.is_zero:
            return 1 - expected.chances[self.variable]
        found = expected.average[:, columns[self.level or 0]]
        if self.variable in expected.chances:
            return found / np.maximum(expected.chances[self.variable], FAR)
        return found

    def is_told(self, expected: Expected) -> NDArray[np.bool_]:
        """Tell the donors of whom the mean is known: not where a zero is all that is expected."""
        if self.is_logit or self.variable not in expected.chances:
            return np.full(len(expected.average), True)
        return np.asarray(expected.chances[self.variable] > FAR)

    def scaled(
        self, value: NDArray[np.float64], mean: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bring what is off a mean to the scale of the effects, and weights to their precision there.

        Of amounts variances are taken to be in proportion to means, so that levels' means come out right.
        """
        if not self.is_relative:
            return np.ldexp(value, -self.unit), weight
        mean = np.maximum(mean, self.least)
        return value / mean, weight * (mean / self.least)


def learn_effects(model: FusionModel, donors: Donors, seed: int, cores: int) -> tuple[FusionModel, Expected]:
    """Learn the effects of all steps from what fusing each donor would give on average.

    Parameters
    ----------
    model : FusionModel
        With refits.
    donors : Donors
    seed, cores : int

    Returns
    -------
    FusionModel, Expected
        With effects, and what is expected of the donors with them.
    """
    design = _design_of(model, donors)
    nothing = Effects(factors=design.factors, areas=design.areas, each=())
    model = _having(model, nothing, [])
    prepared = prepare_refits(model)  # once: effects change no tree and no pool
    areas = donors.area_codes
    every = expected_by_others(model, donors.x, seed, cores, prepared, each=True, areas=areas)
    known = np.flatnonzero(~np.isnan(every.average).any(axis=1))
    y, mine = donors.y[known], design.some(known)
    parts = [part for step in model.steps for part in _parts(model, step, donors)]
    effects: list[Effect] = []
    for _ in range(PASSES):
        expected = every.some(known)
        each = [(part, _learn(part, model, y, mine, expected)) for part in parts]
        if not effects:
            effects = [
                _first(part, found, _deviations(part, model, design, every, found)) for part, found in each
            ]
        else:
            effects = [_add(old, found, part.unit) for old, (part, found) in zip(effects, each, strict=True)]
        model = _having(model, nothing, effects)
        every = expected_by_others(model, donors.x, seed, cores, prepared, areas=areas)
    return model, every


def _having(model: FusionModel, blank: Effects, effects: Sequence[Effect]) -> FusionModel:
    """Give each step the effects on its targets."""
    steps = []
    for step in model.steps:
        names = {target.name for target in step.targets}
        own = tuple(effect for effect in effects if effect.target in names)
        steps.append(replace(step, effects=replace(blank, each=own)))
    return replace(model, steps=tuple(steps))


def _design_of(model: FusionModel, donors: Donors) -> _Design:
    """Find the levels of predictors and areas; of a category that is an area, too, once."""
    named = {area.name for area in donors.areas}
    chosen = [
        (_factor(variable, values), values)
        for variable, values in zip(model.schema.x, donors.x.T, strict=True)
        if not (variable.is_categorical and variable.name in named)
    ]
    levels = [factor.levels(values) for factor, values in chosen]
    codes = np.stack([*levels, *donors.area_codes])
    return _Design(tuple(factor for factor, _ in chosen), codes, donors.weight, donors.areas)


def _factor(variable: Variable, values: NDArray[np.float64]) -> Factor:
    """Take a predictor's levels, or cut its numbers into as many."""
    if variable.is_categorical:
        return Factor(
            name=variable.name, edges=np.arange(max(variable.n_classes - 1, 0), dtype=np.float64) + 0.5
        )
    known = values[np.isfinite(values)]
    seen = np.unique(known)
    if len(seen) <= CUTS:
        return Factor(name=variable.name, edges=seen[:-1])
    edges = np.unique(np.quantile(known, np.arange(1, CUTS) / CUTS, method="lower"))
    return Factor(name=variable.name, edges=edges[edges < seen[-1]])


def _parts(model: FusionModel, step: Step, donors: Donors) -> Iterator[_Part]:
    """List what a step's effects are on."""
    for variable in step.variables:
        classes = model.schema[variable].n_classes
        if step.is_inflated:
            yield _Part(f"{variable}_z", 0, variable, is_zero=True)
        if not classes:
            values = _values(variable, model, donors.y)
            values = values[values != 0] if step.is_inflated else values
            if _is_amount(values):
                yield _Part(
                    f"{variable}_m", 0, variable, is_relative=True, least=SLIGHT * float(values.mean())
                )
            else:
                yield _Part(f"{variable}_m", 0, variable, unit=binary_exponent(values))
        elif classes == 2:
            yield _Part(f"{variable}_m", 0, variable, level=1)
        else:
            yield from (_Part(f"{variable}_m", level, variable, level=level) for level in range(classes))


def _values(variable: str, model: FusionModel, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the donors' values of a variable."""
    return y[:, [each.name for each in model.schema.y].index(variable)]


def _is_amount(values: NDArray[np.float64]) -> bool:
    """Tell amounts, of which groups differ in shares rather than by so much: none below 0, and skewed."""
    if not len(values) or values.min() < 0 or values.min() == values.max():
        return False
    apart = np.ldexp(values, -binary_exponent(values))
    apart -= apart.mean()
    return bool((apart**3).mean() > SKEWED * (apart**2).mean() ** 1.5)


def _learn(
    part: _Part, model: FusionModel, y: NDArray[np.float64], design: _Design, expected: Expected
) -> Mixed:
    """Fit the effects on donors' residuals."""
    values = _values(part.variable, model, y)
    thought = part.expected(expected, expected_columns(model)[part.variable])
    if part.is_logit:
        happened = values == (0 if part.is_zero else part.level)
        return fit_logits(design.codes, design.sizes, happened, thought, design.weight, design.n_areas)
    rows = np.arange(len(values))
    if part.variable in expected.chances:
        rows = np.flatnonzero((values != 0) & part.is_told(expected))
    mine = design.some(rows)
    residual, weight = part.scaled((values - thought)[rows], thought[rows], mine.weight)
    return fit_normal(mine.codes, mine.sizes, residual, weight, mine.n_areas)


def _deviations(
    part: _Part, model: FusionModel, design: _Design, every: Expected, found: Mixed
) -> NDArray[np.float64]:
    """Find by how much each refit's expectations of the levels are off those of all refits."""
    columns = expected_columns(model)[part.variable]
    thought = part.expected(every, columns)
    out = []
    for rows, expected in every.refits:
        mine, own, others = design.some(rows), part.expected(expected, columns), thought[rows]
        weight = mine.weight * (part.is_told(expected) & part.is_told(every)[rows])
        if part.is_logit:
            value = safe_logit(own) - safe_logit(others)
            weight = weight * np.maximum(others * (1 - others), FAR)
        else:
            value, weight = part.scaled(own - others, others, weight)
        out.append(project(mine.codes, mine.sizes, value, weight, found, mine.n_areas))
    return np.stack(out)


def _first(part: _Part, found: Mixed, refits: NDArray[np.float64]) -> Effect:
    return Effect(
        target=part.target,
        column=part.column,
        is_relative=part.is_relative,
        sds=np.ldexp(np.sqrt(found.variances), part.unit),
        columns=found.columns,
        mean=np.ldexp(found.mean, part.unit),
        root=np.ldexp(lower_root(found.covariance), part.unit),
        refits=np.ldexp(refits, part.unit),
        ties=found.ties if len(found.alone) else np.empty((0, 0)),
        alone=np.ldexp(np.sqrt(found.alone), part.unit),
    )


def _add(old: Effect, new: Mixed, unit: int) -> Effect:
    """Add what the second pass has found; how sure the effects are is known from the first."""
    columns = np.union1d(old.columns, new.columns)
    place, more = np.searchsorted(columns, old.columns), np.searchsorted(columns, new.columns)
    mean = np.zeros(len(columns))
    mean[place] += old.mean
    mean[more] += np.ldexp(new.mean, unit)
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
        sds=np.maximum(old.sds, np.ldexp(np.sqrt(new.variances), unit)),
        columns=columns,
        mean=mean,
        root=root,
        refits=refits,
        ties=ties,
        alone=alone,
    )
