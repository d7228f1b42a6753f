"""The levels that effects are of: donors', of predictors, of pairs of them, and of areas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fusionpy.model import FusionModel
from fusionpy.model.effects import Effects, Factor, Pair
from fusionpy.model.variables import Variable
from fusionpy.training.donors import Donors

__all__ = ["Design", "design_of"]

CUTS = 8  # levels of a number, with about as many donors in each
CUTS_OF_PAIR = 4  # beside another predictor's


@dataclass(frozen=True)
class Design:
    """The donors' levels of all factors, of pairs of them, and of areas.

    Attributes
    ----------
    effects : Effects
        Of which nothing is known but whose they are.
    codes : (g, n) intp
        Levels of ``effects.groups``.
    weight : (n,) float64
    coarse : tuple of Factor
        Of which pairs are made.
    coarse_codes : (f, n) intp
    """

    effects: Effects
    codes: NDArray[np.intp]
    weight: NDArray[np.float64]
    coarse: tuple[Factor, ...]
    coarse_codes: NDArray[np.intp]

    @property
    def sizes(self) -> list[int]:
        """Numbers of levels."""
        return [group.n_levels for group in self.effects.groups]

    @property
    def n_areas(self) -> int:
        """Number of areas."""
        return len(self.effects.areas)

    def some(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Design:
        """Take some donors."""
        codes, coarse = self.codes[:, rows], self.coarse_codes[:, rows]
        return replace(self, codes=codes, weight=self.weight[rows], coarse_codes=coarse)

    def having(self, pairs: Sequence[Pair]) -> Design:
        """Add the levels of some pairs to those of factors and areas."""
        if not pairs:
            return self
        places = {factor.name: place for place, factor in enumerate(self.coarse)}
        codes = [
            pair.levels(*(self.coarse_codes[places[one.name]] for one in (pair.one, pair.other)))
            for pair in pairs
        ]
        at = len(self.effects.factors)
        effects = replace(self.effects, pairs=tuple(pairs))
        return replace(self, effects=effects, codes=np.stack([*self.codes[:at], *codes, *self.codes[at:]]))


def design_of(model: FusionModel, donors: Donors) -> Design:
    """Find the levels of predictors and areas; of a category that is an area, too, once."""
    named = {area.name for area in donors.areas}
    chosen = [
        (_factor(variable, values, CUTS), _factor(variable, values, CUTS_OF_PAIR), values)
        for variable, values in zip(model.schema.x, donors.x.T, strict=True)
        if not (variable.is_categorical and variable.name in named)
    ]
    levels = [factor.levels(values) for factor, _, values in chosen]
    coarse = [factor.levels(values) for _, factor, values in chosen]
    effects = Effects(factors=tuple(factor for factor, *_ in chosen), areas=donors.areas, each=())
    return Design(
        effects,
        np.stack([*levels, *donors.area_codes]),
        donors.weight,
        tuple(factor for _, factor, _ in chosen),
        np.array(coarse, dtype=np.intp).reshape(len(chosen), len(donors.x)),
    )


def _factor(variable: Variable, values: NDArray[np.float64], cuts: int) -> Factor:
    """Take a predictor's levels, or cut its numbers into as many."""
    if variable.is_categorical:
        return Factor(
            name=variable.name, edges=np.arange(max(variable.n_classes - 1, 0), dtype=np.float64) + 0.5
        )
    known = values[np.isfinite(values)]
    seen = np.unique(known)
    if len(seen) <= cuts:
        return Factor(name=variable.name, edges=seen[:-1])
    edges = np.unique(np.quantile(known, np.arange(1, cuts) / cuts, method="lower"))
    return Factor(name=variable.name, edges=edges[edges < seen[-1]])
