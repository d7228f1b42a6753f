"""Effects: what boosting misses of the differences between groups, to be put right in every implicate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fusionpy.model.areas import Area
from fusionpy.model.schema import Schema

__all__ = ["MOST_CELLS", "Effect", "Effects", "Factor", "Missed", "Pair"]

MOST_TOLD = 3  # factors of an effect
MOST_CELLS = 400  # levels of a pair


@dataclass(frozen=True, kw_only=True)
class Factor:
    """A predictor in a few levels.

    Attributes
    ----------
    name : str
    edges : (e,) float64
        Ascending: a level has the values above one and up to the next. Behind these levels comes that of
        missing values.
    """

    name: str
    edges: NDArray[np.float64]

    @property
    def n_levels(self) -> int:
        """Number of levels."""
        return len(self.edges) + 2

    def levels(self, values: NDArray[np.float64], exponent: int = 0) -> NDArray[np.intp]:
        """Find the levels of values, which may have been multiplied by a power of 2.

        Examples
        --------
        >>> Factor(name="rooms", edges=np.array([2.0, 4.0])).levels(np.array([2, 3, 9, np.nan])).tolist()
        [0, 1, 2, 3]
        """
        found = np.searchsorted(np.ldexp(self.edges, exponent), values)
        return np.where(np.isnan(values), len(self.edges) + 1, found)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two predictors whose levels have effects together, beyond those that each has.

    Attributes
    ----------
    one, other : Factor
        In levels of their own: fewer than each has by itself.
    """

    one: Factor
    other: Factor

    @property
    def names(self) -> tuple[str, str]:
        """Names of both."""
        return self.one.name, self.other.name

    @property
    def name(self) -> str:
        """What to call them together."""
        return " × ".join(self.names)

    @property
    def n_levels(self) -> int:
        """Number of levels: the other's within each of the one's."""
        return self.one.n_levels * self.other.n_levels

    def levels(self, one: NDArray[np.intp], other: NDArray[np.intp]) -> NDArray[np.intp]:
        """Find the levels from those of both.

        Examples
        --------
        >>> few, more = (Factor(name=name, edges=np.arange(1.0, n)) for name, n in (("a", 2), ("b", 4)))
        >>> Pair(one=few, other=more).levels(np.array([0, 1, 2]), np.array([3, 0, 4])).tolist()
        [3, 5, 14]
        """
        return one * self.other.n_levels + other


@dataclass(frozen=True, kw_only=True)
class Effect:
    """Effects of the factors' levels on what one model expects, from `kernels.mixed`.

    Attributes
    ----------
    target : str
        Name of the model's target: of a mean, its percentiles move along; of classes, effects are on the
        logit.
    is_relative : bool
        Whether effects on a mean are shares of it, not added to it.
    column : int
        Of the classes the one that is meant (of two, 0 stands for the second); 0 for a mean.
    sds : (f,) float64
        Of the effects of each factor, pair and area.
    columns : (k,) intp
        Places of the effects among the levels of all factors, pairs and areas; the last is that of the
        constant.
    mean : (k,) float64
        Posterior means.
    root : (r, r) float64
        Lower triangle, the square of which is the posterior covariance of the effects that are not apart.
    share : float
        Of more than two classes this one's among donors, by which its draws go with those of the others.
    refits : (b, k) float64
        By how much each refit's expectations of the levels are off those of all.
    ties : (q, r) float64
        For the effects apart, of the last area (right before the constant): minus by how much their mean
        rises with each of the others. None are apart without areas.
    alone : (q,) float64
        Their standard deviation, given the others.
    """

    target: str
    column: int
    sds: NDArray[np.float64]
    columns: NDArray[np.intp]
    mean: NDArray[np.float64]
    root: NDArray[np.float64]
    refits: NDArray[np.float64]
    share: float = 0.0
    is_relative: bool = False
    ties: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 0)))
    alone: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def around(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Make standard normal numbers, (k,), deviations of effects from their means."""
        n_rest = len(self.root) - 1
        rest = self.root @ np.append(z[:n_rest], z[-1])
        if not len(self.alone):
            return np.asarray(rest)
        apart = self.alone * z[n_rest:-1] - self.ties @ rest
        return np.concatenate([rest[:-1], apart, rest[-1:]])


@dataclass(frozen=True, kw_only=True)
class Missed:
    """Between the levels of which predictors a model missed differences, and how large ones.

    Attributes
    ----------
    variable, of : str
        The fusion variable, and which number or chance of it is meant.
    scale : str
        Of the effects: "logit" of a chance, "share" of a mean, or "its unit", the variable's.
    sds : mapping of str to float
        Standard deviations of the effects that are not 0, by predictor or area, the largest first.
    """

    variable: str
    of: str
    scale: str
    sds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Effects of one step.

    Attributes
    ----------
    factors : tuple of Factor
    each : tuple of Effect
    pairs : tuple of Pair
        Whose levels stand behind those of the factors.
    areas : tuple of Area
        Whose levels stand behind those of the pairs; the one with the most levels is the last.
    """

    factors: tuple[Factor, ...]
    each: tuple[Effect, ...]
    pairs: tuple[Pair, ...] = ()
    areas: tuple[Area, ...] = ()

    @property
    def groups(self) -> tuple[Factor | Pair | Area, ...]:
        """Factors, pairs and areas, in the order of their levels."""
        return *self.factors, *self.pairs, *self.areas

    def told(self, schema: Schema) -> list[str]:
        """Tell, for each model, the predictors between whose levels it missed most."""
        lines = []
        for missed in self.missed(schema):
            sizes = [f"{sd:.3g}" if sd < 1000 else f"{sd:,.0f}" for sd in missed.sds.values()]
            first, *others = zip(sizes[:MOST_TOLD], missed.sds, strict=False) if sizes else [("", "")]
            found = f"sd {first[0]} ({missed.scale}) between levels of {first[1]}" if sizes else "none"
            lines.append(", ".join([f"effects on {missed.of}: {found}", *(f"{a} of {b}" for a, b in others)]))
        return lines

    def missed(self, schema: Schema) -> list[Missed]:
        """List what each model missed of the differences between levels."""
        names = [group.name for group in self.groups]
        found = []
        for effect in self.each:
            name, _, kind = effect.target.rpartition("_")
            variable = schema[name]
            is_logit = kind == "z" or variable.is_categorical
            scale = "logit" if is_logit else "share" if effect.is_relative else "its unit"
            of = f"{name}, being 0" if kind == "z" else name
            if is_logit and kind != "z" and variable.kind != "logical":
                # Of two classes the effects are on the second.
                of = f"{name}, class {variable.levels[effect.column or (variable.n_classes == 2)]}"
            sds = {each: float(sd) for each, sd in zip(names, effect.sds, strict=True) if sd}
            largest = dict(sorted(sds.items(), key=lambda pair: -pair[1]))
            found.append(Missed(variable=name, of=of, scale=scale, sds=largest))
        return found

    def first(self) -> NDArray[np.intp]:
        """Find where the levels of each factor, pair and area begin, and where the last one's end."""
        sizes = [group.n_levels for group in self.groups]
        return np.concatenate([[0], np.cumsum(sizes)]).astype(np.intp)
