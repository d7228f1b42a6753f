"""Pool implicates of records that the models were not fitted to, nor to any values of theirs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtr

from fusionpy.kernels.rubin import Combined, margin_of_error

__all__ = [
    "FEWEST_REFITS",
    "by_refits",
    "least_of_rule",
    "share_of_refits",
    "share_of_rule",
    "without_noise",
]

Array = NDArray[np.float64]

FEWEST_REFITS = 6  # moments of the variance between them exist from six on
NO_SHARE = 10.0  # times as many recipients as donors from which Rubin's total variance stands
WHOLE, WHOLE_WITH_EFFECTS = 1.0, 2.75  # up to which the new one does, and where effects lessen models' bias
LITTLE, MUCH = 0.2, 0.5  # of the variance between implicates, as noise: nothing, or all, is to be gained


def share_of_rule(n_donors: int, n_recipients: int, has_effects: bool = False) -> float:
    r"""Tell to what part total variances are without the draws' noise, the rest being Rubin's.

    Parameters
    ----------
    n_donors, n_recipients : int
    has_effects : bool
        Whether effects make up for some of the models' bias.

    Returns
    -------
    float
        1 where recipients are no more than donors (2.75 times as many with effects), 0 from ten times as
        many on.

    Notes
    -----
    With r recipients per donor, :math:`(r^{-2} - 10^{-2}) / (1 - 10^{-2})`; r and 10 are divided by 2.75 with
    effects. What Rubin's variance has too
    much falls with r, what it does not have, the models' bias, does not: `validation/coverage`.

    Examples
    --------
    >>> [round(share_of_rule(1000, n), 3) for n in (500, 1000, 2000, 3000, 10_000)]
    [1.0, 1.0, 0.242, 0.102, 0.0]
    """
    whole = WHOLE_WITH_EFFECTS if has_effects else WHOLE
    ratio, end = max(n_recipients / max(n_donors, 1) / whole, 1.0), NO_SHARE / whole
    return float(max(ratio**-2 - end**-2, 0.0) / (1 - end**-2))


def least_of_rule(n_donors: int, n_recipients: int, has_effects: bool) -> float:
    """Tell what part of the complete data's variance a total without the draws' noise is at least.

    Parameters
    ----------
    n_donors, n_recipients, has_effects
        As for `share_of_rule`.

    Returns
    -------
    float
        Half of r / (1 + r) with r recipients per donor, which is what donors and recipients together would
        give, were the values of all known, and that they were equally sure: a guard. Without effects 1, for
        models' bias.

    Examples
    --------
    >>> [round(least_of_rule(1000, n, True), 3) for n in (500, 1000, 3000)], least_of_rule(1000, 500, False)
    ([0.167, 0.25, 0.375], 1.0)
    """
    return n_recipients / (n_donors + n_recipients) / 2 if has_effects else 1.0


def share_of_refits(n_donors: int, n_recipients: int, has_effects: bool) -> float:
    """Tell to what part total variances are those by refits, see `by_refits`, the rest being Rubin's.

    Parameters
    ----------
    n_donors, n_recipients, has_effects
        As for `share_of_rule`.

    Returns
    -------
    float
        1 - 10 / r with more than ten recipients per donor: there the noise of draws is too little to make up
        for how few refits are. Without effects 0.

    Examples
    --------
    >>> [round(share_of_refits(1000, n, True), 3) for n in (10_000, 20_000, 100_000)]
    [0.0, 0.5, 0.9]
    """
    return max(1 - NO_SHARE * n_donors / max(n_recipients, 1), 0.0) if has_effects else 0.0


def by_refits(
    pooled: Combined, noise: Array, M: int, *, refits: int, level: float = 0.90, share: float = 1.0
) -> Combined:
    r"""Count the refits in the variance between implicates, of which Rubin's rules think as draws.

    Parameters
    ----------
    pooled, M, refits, level
        As for `without_noise`.
    noise : (k,) float64
        As there; where it is NaN, none is thought of.
    share : float
        Of the new variance in the result.

    Returns
    -------
    Combined

    Notes
    -----
    With `without_noise`'s names and k, :math:`T = U + f B`,
    :math:`f = \frac{M - 1}{M} \frac{R + 1}{R - 1}`,
    with :math:`k (T / (f B))^2` degrees of freedom.

    Examples
    --------
    >>> rubin = Combined(*np.array([[5.0], [0.1], [1.2], [1.16], [20.0], [2.0], [0.9]]))
    >>> new = by_refits(rubin, np.array([0.05]), 20, refits=10)
    >>> new.se.round(3), new.df.round(1)
    (array([1.222]), array([10.8]))
    """
    R = min(refits, M)
    if R < FEWEST_REFITS or share == 0:
        return pooled
    U, B = pooled.within, pooled.between
    with np.errstate(invalid="ignore", divide="ignore"):
        k, factor = _freedom(B, np.minimum(np.nan_to_num(noise), U), M, R), _factor(M, R)
        total = U + factor * B
        df = k * (total / (factor * B)) ** 2
        known = (B > 0) & np.isfinite(total)
    return _blended(pooled, total, df, share, known, level)


def _blended(
    pooled: Combined, total: Array, df: Array, share: Array | float, known: NDArray[np.bool_], level: float
) -> Combined:
    """Give a new variance and its degrees of freedom a share in those of before, where they are known."""
    U = pooled.within
    with np.errstate(invalid="ignore", divide="ignore"):
        se = np.where(known, np.sqrt((1 - share) * pooled.se**2 + share * total), pooled.se)
        df = np.where(share == 1, df, 1 / ((1 - share) / pooled.df + share / df))
        df = np.where(known, df, pooled.df)
        extra = np.clip(1 - U / se**2, 0.0, 1.0)
        fmi = np.where(known, extra + (1 - extra) * np.where(extra > 0, 2 / (df + 3), 0.0), pooled.fmi)
    return Combined(pooled.est, U, pooled.between, se, df, margin_of_error(se, df, level), fmi)


def _freedom(B: Array, E: Array, M: int, R: int) -> Array:
    """Degrees of freedom of the variance between implicates: of what refits make theirs, else the draws'."""
    of_refits = np.maximum(B - E, 0.0) / B
    return np.asarray(1 / (of_refits**2 / (R - 1) + (1 - of_refits**2) / (M - 1)))


def _factor(M: int, R: int) -> float:
    """1 + 1 / R over what the variance between M implicates of R refits expects."""
    return (M - 1) / M * (R + 1) / (R - 1)


def without_noise(
    pooled: Combined,
    noise: Array,
    M: int,
    *,
    refits: int,
    complete_df: Array | float = np.inf,
    level: float = 0.90,
    share: float | None = None,
    at_least: float = 1.0,
) -> Combined:
    r"""Take the noise of draws out of total variances, in which Rubin's rules count it twice too often.

    Parameters
    ----------
    pooled : Combined of (k,) float64
        Of M implicates, by Rubin's rules.
    noise : (k,) float64
        Part of `within` that each record's own draw makes; where it is NaN nothing changes.
    M : int
    refits : int
        Implicate m was drawn from refit m mod `refits`.
    complete_df : (k,) float64
        Degrees of freedom that complete data would have.
    level : float
        Of the margin.
    share : float, optional
        Of the new variance in the result, from 0 to 1, where noise is at least half of the variance between
        implicates; less where it is less, none from a fifth down; the rest is the old one. Missing: 1
        everywhere.
    at_least : float
        Part of U, see below, that the new variance is at least.

    Returns
    -------
    Combined

    Notes
    -----
    See "Pooling implicates" in ``docs/methods.md``; after Reiter (2008, *Biometrika* 95:933). With
    within-variance U, its noise E, variance between implicates B, and :math:`\tau` the variance that B
    estimates, k of the degrees of freedom of which are the refits' and the others the implicates',

    .. math:: T = (U - E) + \frac{M - 1}{M} \frac{R + 1}{R - 1} (\tau - E) + E / M, \qquad
        \tau = k B / \chi^2_k, \quad \tau \ge E,

    for R refits, at most M. Its mean and variance over :math:`\tau`, with those of :math:`U - E`, which has
    the complete data's degrees of freedom, give a scaled inverse chi-squared distribution by its moments, the
    scale and degrees of freedom of which are the result's. It is at least U, or a part of it: fused records
    tell no more than observed ones would, or donors' and observed ones together.

    Examples
    --------
    >>> rubin = Combined(*np.array([[5.0], [1.0], [1.2], [1.5], [40.0], [2.5], [0.5]]))
    >>> new = without_noise(rubin, np.array([0.6]), 20, refits=10)
    >>> rubin.se, new.se.round(3)
    (array([1.5]), array([1.061]))
    """
    R = min(refits, M)
    if R < FEWEST_REFITS or share == 0:
        return pooled
    U, B = pooled.within, pooled.between
    with np.errstate(invalid="ignore", divide="ignore"):
        E = np.minimum(noise, U)
        k = _freedom(B, E, M, R)
        reach = np.where(E > 0, k * B / E, np.inf)  # of the chi-squared variable
        inside = chdtr(k, reach)
        first = k * B / (k - 2) * chdtr(k - 2, reach) / inside
        second = (k * B) ** 2 / ((k - 2) * (k - 4)) * chdtr(k - 4, reach) / inside
        own = np.broadcast_to(np.asarray(complete_df, dtype=np.float64), U.shape)
        per = np.where(np.isinf(own), 1.0, own / (own - 2))
        factor = _factor(M, R)
        mean = (U - E) * per + factor * (first - E) + E / M
        spread = factor**2 * np.maximum(second - first**2, 0.0)
        spread = spread + np.where(np.isinf(own), 0.0, 2 * ((U - E) * per) ** 2 / (own - 4))
        df = 4 + 2 * mean**2 / spread
        total = np.maximum(np.where(np.isinf(df), mean, mean * (df - 2) / df), at_least * U)
        known = (B > 0) & (own > 4) & (inside > 0) & np.isfinite(total) & ~np.isnan(E)
        s = 1.0 if share is None else share * np.clip((E / B - LITTLE) / (MUCH - LITTLE), 0.0, 1.0)
    return _blended(pooled, total, df, s, known, level)
