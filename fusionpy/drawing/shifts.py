"""Effects at work: drawn once for an implicate, added to what is expected of each record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from fusionpy.drawing.predictions import Coding
from fusionpy.engines.base import Target
from fusionpy.kernels.mixed import add_effects
from fusionpy.kernels.uniforms import AREA, EFFECT, uniforms, uniforms_of
from fusionpy.model import FusionModel
from fusionpy.model.effects import Effects, Factor, Pair

__all__ = ["LEAST", "Shift", "draw_shifts"]

LEAST = 0.05  # of what is expected, that is left of it whatever the effects
APART = 2**32  # random numbers that each effect may take
LOWEST = 2.0**-54  # half of the least uniform above 0
SMALL = 1e-9

Floats = NDArray[np.float64]
Codes = tuple[NDArray[Any], NDArray[np.int32]]  # of columns (c, n), and of areas (a, n)


@dataclass(frozen=True)
class _Reading:
    """How to tell a record's level of a factor.

    Attributes
    ----------
    place : int
        Of the predictor among the columns.
    of_codes : (c,) intp, or None
        The level of each code; None where columns are not coded.
    factor : Factor
    exponent : int
        Power of 2 that the column is multiplied by.
    """

    place: int
    of_codes: NDArray[np.intp] | None
    factor: Factor
    exponent: int

    @classmethod
    def of(cls, factor: Factor, coding: Coding) -> _Reading:
        """Find the predictor, and the levels of its codes."""
        exponent, place = coding.exponents.get(factor.name, 0), coding.names.index(factor.name)
        if coding.cuts is None:
            return cls(place, None, factor, exponent)
        cut = coding.cuts[place]
        of_codes = np.concatenate([[np.nan] * cut.first, cut.edges, [np.inf]])
        return cls(place, factor.levels(of_codes, exponent), factor, exponent)

    def levels(self, codes: NDArray[Any], rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Find the levels of some records."""
        values = codes[self.place][rows]
        return self.factor.levels(values, self.exponent) if self.of_codes is None else self.of_codes[values]


@dataclass(frozen=True)
class _Tables:
    """Effects by rows, one upon the other: of codes, or of levels.

    Attributes
    ----------
    start : (g, 2) intp
        Each one's place among the codes, and its first row.
    rows : (t, k) float64
    """

    start: NDArray[np.intp]
    rows: Floats

    @classmethod
    def of(cls, tables: Sequence[tuple[int, Floats]], k: int) -> _Tables:
        """Stack the tables of some places."""
        ends = np.cumsum([0, *(len(table) for _, table in tables)])
        start = [(place, end) for (place, _), end in zip(tables, ends, strict=False)]
        rows = np.concatenate([np.zeros((0, k)), *(table for _, table in tables)])
        return cls(np.array(start, dtype=np.intp).reshape(-1, 2), rows)

    def add(self, codes: NDArray[Any], rows: NDArray[np.intp], columns: Sequence[int], out: Floats) -> None:
        """Add up the effects of some records' codes, of some columns."""
        tables = np.ascontiguousarray(self.rows[:, columns])
        each = np.split(tables.any(axis=1), self.start[1:, 1])
        start = self.start[[own.any() for own in each][: len(self.start)]]
        if len(start):
            add_effects(codes, rows, tables, start, out)


@dataclass(frozen=True)
class Shift:
    """Effects of one step in one implicate.

    Attributes
    ----------
    places : mapping of str to list of int
        Of each target its columns in tables.
    constant : (k,) float64
    factors : _Tables
        By codes of columns; where these are not coded, by levels of `readings`.
    readings : tuple of _Reading, or None
        Where columns are not coded: how to tell the factors' levels.
    pairs : tuple of (Pair, _Reading, _Reading, _Tables)
        By levels.
    areas : _Tables
        By codes of areas: of levels that donors have, of missing values, and of levels that they have not.
    relative : frozenset of str
        Targets whose effects are shares of what is expected.
    """

    places: dict[str, list[int]]
    constant: Floats
    factors: _Tables
    readings: tuple[_Reading, ...] | None
    pairs: tuple[tuple[Pair, _Reading, _Reading, _Tables], ...]
    areas: _Tables
    relative: frozenset[str] = frozenset()

    def classes(self, p: Floats, target: str, coded: Codes, rows: NDArray[np.intp] | None = None) -> Floats:
        """Shift the logits of the classes of a target, (n, k).

        Of two classes that of the second; of more those of all, which then add up to 1 again.
        """
        if target not in self.places:
            return p
        mine = p[:, 1:] if p.shape[1] == 2 else p
        odds = self._total(target, coded, rows)
        np.exp(odds, out=odds)
        odds *= mine  # times 1 - p
        whole = odds + 1
        whole -= mine
        odds /= whole
        if p.shape[1] == 2:
            return np.hstack([1 - odds, odds])
        odds /= odds.sum(axis=1, keepdims=True)
        return odds

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
        columns, (codes, areas) = self.places[target], coded
        wanted = np.arange(codes.shape[1]) if rows is None else rows
        each = np.arange(len(wanted))
        out = np.tile(self.constant[columns], (len(wanted), 1))
        if self.readings is None:
            self.factors.add(codes, wanted, columns, out)
        elif self.readings:
            levels = np.stack([reading.levels(codes, wanted) for reading in self.readings])
            self.factors.add(levels, each, columns, out)
        for pair, one, other, tables in self.pairs:
            if tables.rows[:, columns].any():  # finding levels takes longer than adding effects
                levels = pair.levels(one.levels(codes, wanted), other.levels(codes, wanted))
                tables.add(levels[None], each, columns, out)
        self.areas.add(areas, wanted, columns, out)
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
    differ: their effects are drawn from that, each by its key, wherever it is met. Draws of the chances of
    more than two classes go against each other as shares of a sample do.
    """
    has_refit = model.assignment == "implicate"
    shifts: list[Shift | None] = []
    for number, step in enumerate(model.steps):
        if step.effects is None:
            shifts.append(None)
            continue
        n_levels = step.effects.first()[-1] + 1
        drawn = np.zeros((n_levels, len(step.effects.each)))
        z = np.zeros((len(step.effects.each), n_levels))
        if not certain:
            for place, own in enumerate(z):
                how = {"implicate": implicate, "step": number, "first": place * APART}
                own[:] = _normal(uniforms(seed, EFFECT, n_levels, **how)[0])
            z = _opposed(z, step.effects)
        for place, effect in enumerate(step.effects.each):
            b = effect.mean
            if not certain:
                b = b + effect.around(z[place, effect.columns])
                if has_refit and len(effect.refits):
                    b = b - effect.refits[implicate % len(effect.refits)]
            drawn[effect.columns, place] = b
        strange = _unseen(step.effects, number, unseen, seed, implicate, certain)
        shifts.append(_shift(step.effects, drawn, coding, strange))
    return tuple(shifts)


def _opposed(z: Floats, effects: Effects) -> Floats:
    """Let the classes' numbers correlate as shares of a sample do, by their own shares.

    Drawn each by itself, they would vary too little once they add up to 1: of two of the same size by a
    factor of the root of 2.
    """
    share = np.array([effect.share for effect in effects.each])
    root = np.sqrt(share)[:, None]
    return np.asarray((z - root * (root * z).sum(axis=0)) / np.sqrt(np.maximum(1 - share, SMALL))[:, None])


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
            spread = effect.sds[len(effect.sds) - len(effects.areas) + area]
            if spread and not certain and len(keys):
                own = keys + np.uint64(place)
                u = uniforms_of(seed, AREA, own, implicate=implicate, step=number)
                drawn[:, place] = spread * _normal(u)
        found.append(drawn)
    return found


def _shift(effects: Effects, drawn: Floats, coding: Coding, unseen: Sequence[Floats]) -> Shift:
    """Make tables by codes of effects by levels."""
    first, k = effects.first(), drawn.shape[1]
    each = [drawn[low:high] for low, high in pairwise(first)]
    n_factors, n_before_areas = len(effects.factors), len(each) - len(effects.areas)
    used = [
        (_Reading.of(factor, coding), own)
        for factor, own in zip(effects.factors, each, strict=False)
        if own.any()
    ]
    pairs = [
        (pair, _Reading.of(pair.one, coding), _Reading.of(pair.other, coding), _Tables.of([(0, own)], k))
        for pair, own in zip(effects.pairs, each[n_factors:], strict=False)
        if own.any()
    ]
    areas = list(enumerate(each[n_before_areas:]))
    areas = [(a, np.concatenate([own, *unseen[a : a + 1]])) for a, own in areas]
    if coding.cuts is None:
        factors = [(place, own) for place, (_, own) in enumerate(used)]
    else:
        factors = [(reading.place, own[reading.of_codes]) for reading, own in used]
    places: dict[str, list[int]] = {}
    for place, effect in enumerate(effects.each):
        places.setdefault(effect.target, []).append(place)
    return Shift(
        places=places,
        constant=drawn[-1],
        factors=_Tables.of(factors, k),
        readings=tuple(reading for reading, _ in used) if coding.cuts is None else None,
        pairs=tuple(pairs),
        areas=_Tables.of([(a, own) for a, own in areas if own.any()], k),
        relative=frozenset(effect.target for effect in effects.each if effect.is_relative),
    )
