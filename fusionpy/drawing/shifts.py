"""Effects at work: drawn once for an implicate, added to what is expected of each record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fusionpy.drawing.predictions import Coding
from fusionpy.engines.base import Target
from fusionpy.kernels.mixed import add_effects
from fusionpy.kernels.uniforms import AREA, EFFECT, uniforms, uniforms_of
from fusionpy.model import FusionModel
from fusionpy.model.effects import Effects, Factor

__all__ = ["LEAST", "Shift", "draw_shifts"]

LEAST = 0.05  # of what is expected, that is left of it whatever the effects
APART = 2**32  # random numbers that each effect may take
LOWEST = 2.0**-54  # half of the least uniform above 0

Floats = NDArray[np.float64]
Codes = tuple[NDArray[Any], NDArray[np.int32]]  # of columns (c, n), and of areas (a, n)


@dataclass(frozen=True)
class Shift:
    """Effects of one step in one implicate.

    Attributes
    ----------
    places : mapping of str to list of int
        Of each target its columns in `tables`.
    constant : (k,) float64
    start : (f, 2) intp
        Each factor's place among the columns that are coded, and its first row in `tables`.
    tables : (t, k) float64
        Effects of each code.
    factors : tuple of (Factor, int), or None
        Where columns are not coded: how to, and the power of 2 that they are multiplied by.
    area_start : (g, 2) intp
        Each area's place among the areas that are coded, and its first row in `area_tables`.
    area_tables : (l, k) float64
        Effects of the areas' levels: those that donors have, that of missing values, and those that they
        have not.
    relative : frozenset of str
        Targets whose effects are shares of what is expected.
    """

    places: dict[str, list[int]]
    constant: Floats
    start: NDArray[np.intp]
    tables: Floats
    factors: tuple[tuple[Factor, int], ...] | None
    area_start: NDArray[np.intp]
    area_tables: Floats
    relative: frozenset[str] = frozenset()

    def classes(self, p: Floats, target: str, coded: Codes, rows: NDArray[np.intp] | None = None) -> Floats:
        """Shift the logits of the classes of a target, (n, k).

        Of two classes that of the second; of more those of all, which then add up to 1 again.
        """
        if target not in self.places:
            return p
        odds = p * np.exp(self._total(target, coded, rows))  # times 1 - p
        new = odds / (odds + 1 - p)
        if p.shape[1] == 2:
            return np.stack([1 - new[:, 1], new[:, 1]], axis=1)
        return np.asarray(new / new.sum(axis=1, keepdims=True))

    def expectations(
        self,
        expected: Floats,
        targets: Sequence[Target],
        coded: Codes,
        rows: NDArray[np.intp] | None,
    ) -> None:
        """Shift what is expected of a step's variables in place, a mean and its percentiles alike."""
        at = 0
        totals: dict[str, Floats] = {}
        for target in targets:
            mine = expected[:, at : at + target.n_classes]
            at += target.n_classes
            if target.objective == "multiclass":
                mine[:] = self.classes(mine, target.name, coded, rows)
            elif target.objective == "binary":
                mine[:] = self.classes(np.hstack([1 - mine, mine]), target.name, coded, rows)[:, 1:]
            elif (of_mean := f"{target.variable}_m") in self.places:
                if of_mean not in totals:
                    totals[of_mean] = self._total(of_mean, coded, rows)
                if of_mean in self.relative:
                    mine *= np.maximum(1 + totals[of_mean], LEAST)
                else:
                    mine += totals[of_mean]

    def _total(self, target: str, coded: Codes, rows: NDArray[np.intp] | None) -> Floats:
        """Add up a target's effects on some records."""
        columns, start, (codes, areas) = self.places[target], self.start, coded
        wanted = every = np.arange(codes.shape[1]) if rows is None else rows
        if self.factors is not None:
            each = zip(self.factors, start[:, 0], strict=True)
            levels = [factor.levels(codes[place][wanted], exponent) for (factor, exponent), place in each]
            codes = np.stack(levels) if levels else np.empty((0, len(wanted)), dtype=np.intp)
            start, wanted = np.stack([np.arange(len(start)), start[:, 1]], axis=1), np.arange(len(wanted))
        out = np.tile(self.constant[columns], (len(wanted), 1))
        add_effects(codes, wanted, np.ascontiguousarray(self.tables[:, columns]), start, out)
        if len(self.area_start):
            tables = np.ascontiguousarray(self.area_tables[:, columns])
            add_effects(areas, every, tables, self.area_start, out)
        return out


def draw_shifts(
    model: FusionModel,
    coding: Coding,
    seed: int,
    implicate: int,
    certain: bool = False,
    unseen: Sequence[NDArray[np.uint64]] = (),
) -> tuple[Shift | None, ...]:
    """Draw the effects of all steps for an implicate.

    Parameters
    ----------
    model : FusionModel
    coding : Coding
    seed, implicate : int
    certain : bool
        Take their posterior means instead.
    unseen : sequence of (u,) uint64
        Of each area the keys of levels that no donor has.

    Returns
    -------
    tuple of Shift or None
        None for a step without effects.

    Notes
    -----
    The draws take the place of how the refits differ: what the implicate's own refit expects of the levels
    otherwise than all refits on average is taken away, or it would count twice. Where each record has a refit
    of its own, that is nothing on average. Of an area's levels without donors nothing is known but how levels
    differ: their effects are drawn from that, each by its key, wherever it is met.
    """
    has_refit = model.assignment == "implicate"
    shifts: list[Shift | None] = []
    for number, step in enumerate(model.steps):
        if step.effects is None:
            shifts.append(None)
            continue
        drawn = np.zeros((step.effects.first()[-1] + 1, len(step.effects.each)))
        for place, effect in enumerate(step.effects.each):
            b = effect.mean
            if not certain:
                how = {"implicate": implicate, "step": number, "first": place * APART}
                b = b + effect.around(_normal(uniforms(seed, EFFECT, len(b), **how)[0]))
                if has_refit and len(effect.refits):
                    b = b - effect.refits[implicate % len(effect.refits)]
            drawn[effect.columns, place] = b
        strange = _unseen(step.effects, number, unseen, seed, implicate, certain)
        shifts.append(_shift(step.effects, drawn, coding, strange))
    return tuple(shifts)


def _normal(u: Floats) -> Floats:
    return np.asarray(ndtri(np.maximum(u, LOWEST)))


def _unseen(
    effects: Effects,
    number: int,
    unseen: Sequence[NDArray[np.uint64]],
    seed: int,
    implicate: int,
    certain: bool,
) -> list[Floats]:
    """Draw, for each area, the effects of levels that no donor has."""
    found = []
    for area, keys in enumerate(unseen):
        drawn = np.zeros((len(keys), len(effects.each)))
        for place, effect in enumerate(effects.each):
            spread = effect.sds[len(effects.factors) + area]
            if spread and not certain and len(keys):
                own = keys + np.uint64(place)
                u = uniforms_of(seed, AREA, own, implicate=implicate, step=number)
                drawn[:, place] = spread * _normal(u)
        found.append(drawn)
    return found


def _shift(effects: Effects, drawn: Floats, coding: Coding, unseen: Sequence[Floats]) -> Shift:
    """Make tables by codes of effects by levels."""
    first = effects.first()
    tables, start, used, n_rows = [drawn[:0]], [], [], 0
    for factor, low, high in zip(effects.factors, first, first[1:], strict=False):
        mine = drawn[low:high]
        if not mine.any():
            continue
        exponent, place = coding.exponents.get(factor.name, 0), coding.names.index(factor.name)
        if coding.cuts is not None:
            cut = coding.cuts[place]
            of_codes = np.concatenate([[np.nan] * cut.first, cut.edges, [np.inf]])
            mine = mine[factor.levels(of_codes, exponent)]
        tables.append(mine)
        start.append((place, n_rows))
        used.append((factor, exponent))
        n_rows += len(mine)
    area_tables, area_start, n_area_rows = [drawn[:0]], [], 0
    for area in range(len(effects.areas)):
        low, high = first[len(effects.factors) + area : len(effects.factors) + area + 2]
        own = drawn[low:high]
        if area < len(unseen):
            own = np.concatenate([own, unseen[area]])
        if own.any():
            area_tables.append(own)
            area_start.append((area, n_area_rows))
            n_area_rows += len(own)
    places: dict[str, list[int]] = {}
    for place, effect in enumerate(effects.each):
        places.setdefault(effect.target, []).append(place)
    return Shift(
        places=places,
        constant=drawn[-1],
        start=np.array(start, dtype=np.intp).reshape(-1, 2),
        tables=np.concatenate(tables),
        factors=tuple(used) if coding.cuts is None else None,
        area_start=np.array(area_start, dtype=np.intp).reshape(-1, 2),
        area_tables=np.concatenate(area_tables),
        relative=frozenset(effect.target for effect in effects.each if effect.is_relative),
    )
