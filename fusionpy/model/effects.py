"""Effects: what boosting misses of the differences between groups, to be put right in every implicate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Effect", "Effects", "Factor"]

MOST_TOLD = 3  # factors of an effect


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
class Effect:
    """Effects of the factors' levels on what one model expects, from `kernels.mixed`.

    Attributes
    ----------
    target : str
        Name of the model's target: of a mean, its percentiles move along; of classes, effects are on the
        logit.
    column : int
        Of the classes the one that is meant (of two, 0 stands for the second); 0 for a mean.
    variances : (f,) float64
        Of each factor's effects.
    columns : (k,) intp
        Places of the effects among the levels of all factors; the last is that of the constant.
    mean : (k,) float64
        Posterior means.
    root : (k, k) float64
        Lower triangle, the square of which is the posterior covariance.
    refits : (r, k) float64
        By how much each refit's expectations of the levels are off those of all.
    """

    target: str
    column: int
    variances: NDArray[np.float64]
    columns: NDArray[np.intp]
    mean: NDArray[np.float64]
    root: NDArray[np.float64]
    refits: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Effects:
    """Effects of one step.

    Attributes
    ----------
    factors : tuple of Factor
    each : tuple of Effect
    """

    factors: tuple[Factor, ...]
    each: tuple[Effect, ...]

    def told(self) -> list[str]:
        """Tell, for each model, the predictors between whose levels it missed most."""
        lines = []
        for effect in self.each:
            largest = sorted(
                zip(-np.sqrt(effect.variances), self.factors, strict=True), key=lambda pair: pair[0]
            )
            parts = [f"{-spread:.3g} between levels of {factor.name}" for spread, factor in largest if spread]
            of_class = f", class {effect.column + 1}" if effect.column else ""
            found = ", ".join(parts[:MOST_TOLD]) or "none"
            lines.append(f"effects on {effect.target}{of_class}: {found}")
        return lines

    def first(self) -> NDArray[np.intp]:
        """Find where the levels of each factor begin, and where the last one's end."""
        return np.concatenate([[0], np.cumsum([each.n_levels for each in self.factors])]).astype(np.intp)
