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
from fusionpy.kernels.uniforms import EFFECT, uniforms
from fusionpy.model import FusionModel
from fusionpy.model.effects import Effect, Effects, Factor

__all__ = ["Shift", "draw_shifts"]

APART = 2**32  # random numbers that each effect may take

Floats = NDArray[np.float64]


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
    """

    places: dict[str, list[int]]
    constant: Floats
    start: NDArray[np.intp]
    tables: Floats
    factors: tuple[tuple[Factor, int], ...] | None

    def classes(
        self, p: Floats, target: str, codes: NDArray[Any], rows: NDArray[np.intp] | None = None
    ) -> Floats:
        """Shift the logits of the classes of a target, (n, k).

        Of two classes that of the second; of more those of all, which then add up to 1 again.
        """
        if target not in self.places:
            return p
        odds = p * np.exp(self._total(target, codes, rows))  # times 1 - p
        new = odds / (odds + 1 - p)
        if p.shape[1] == 2:
            return np.stack([1 - new[:, 1], new[:, 1]], axis=1)
        return np.asarray(new / new.sum(axis=1, keepdims=True))

    def expectations(
        self,
        expected: Floats,
        targets: Sequence[Target],
        codes: NDArray[Any],
        rows: NDArray[np.intp] | None,
    ) -> None:
        """Shift what is expected of a step's variables in place, a mean and its percentiles alike."""
        at = 0
        totals: dict[str, Floats] = {}
        for target in targets:
            mine = expected[:, at : at + target.n_classes]
            at += target.n_classes
            if target.objective == "multiclass":
                mine[:] = self.classes(mine, target.name, codes, rows)
            elif target.objective == "binary":
                mine[:] = self.classes(np.hstack([1 - mine, mine]), target.name, codes, rows)[:, 1:]
            elif (of_mean := f"{target.variable}_m") in self.places:
                if of_mean not in totals:
                    totals[of_mean] = self._total(of_mean, codes, rows)
                mine += totals[of_mean]

    def _total(self, target: str, codes: NDArray[Any], rows: NDArray[np.intp] | None) -> Floats:
        """Add up a target's effects on some records."""
        columns, start = self.places[target], self.start
        wanted = np.arange(codes.shape[1]) if rows is None else rows
        if self.factors is not None:
            each = zip(self.factors, start[:, 0], strict=True)
            levels = [factor.levels(codes[place][wanted], exponent) for (factor, exponent), place in each]
            codes = np.stack(levels) if levels else np.empty((0, len(wanted)), dtype=np.intp)
            start, wanted = np.stack([np.arange(len(start)), start[:, 1]], axis=1), np.arange(len(wanted))
        out = np.tile(self.constant[columns], (len(wanted), 1))
        add_effects(codes, wanted, np.ascontiguousarray(self.tables[:, columns]), start, out)
        return out


def draw_shifts(
    model: FusionModel, coding: Coding, seed: int, implicate: int, certain: bool = False
) -> tuple[Shift | None, ...]:
    """Draw the effects of all steps for an implicate.

    Parameters
    ----------
    model : FusionModel
    coding : Coding
    seed, implicate : int
    certain : bool
        Take their posterior means instead.

    Returns
    -------
    tuple of Shift or None
        None for a step without effects.

    Notes
    -----
    The draws take the place of how the refits differ: what the implicate's own refit expects of the levels
    otherwise than all refits on average is taken away, or it would count twice. Where each record has a refit
    of its own, that is nothing on average.
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
                b = b + _around(effect, uniforms(seed, EFFECT, len(b), **how)[0])
                if has_refit and len(effect.refits):
                    b = b - effect.refits[implicate % len(effect.refits)]
            drawn[effect.columns, place] = b
        shifts.append(_shift(step.effects, drawn, coding))
    return tuple(shifts)


def _around(effect: Effect, u: Floats) -> Floats:
    """Draw how far effects are from their means."""
    return np.asarray(effect.root @ ndtri(np.maximum(u, 2.0**-54)))


def _shift(effects: Effects, drawn: Floats, coding: Coding) -> Shift:
    """Make tables by codes of effects by levels."""
    first = effects.first()
    tables, start, used, n_rows = [drawn[:0]], [], [], 0
    for factor, low, high in zip(effects.factors, first[:-1], first[1:], strict=True):
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
    places: dict[str, list[int]] = {}
    for place, effect in enumerate(effects.each):
        places.setdefault(effect.target, []).append(place)
    return Shift(
        places=places,
        constant=drawn[-1],
        start=np.array(start, dtype=np.intp).reshape(-1, 2),
        tables=np.concatenate(tables),
        factors=tuple(used) if coding.cuts is None else None,
    )
