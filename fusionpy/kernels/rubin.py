"""Pool the estimates of several implicates: Rubin's rules, and two later ways to count degrees of freedom."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

__all__ = ["Combined", "Combining", "combine", "margin_of_error"]

Array = NDArray[np.float64]
Combining = Literal["rubin", "fusionacs", "barnard-rubin"]


class Combined(NamedTuple):
    """Combined estimates; every field is (k,) float64, NaN where it is not defined.

    Attributes
    ----------
    est : mean of the implicates' estimates.
    within : mean of their sampling variances.
    between : variance of the estimates, with whatever was added to it.
    se : square root of the total variance.
    df : degrees of freedom, may be infinite.
    moe : half the width of the interval.
    fmi : fraction of missing information.
    """

    est: Array
    within: Array
    between: Array
    se: Array
    df: Array
    moe: Array
    fmi: Array


def combine(
    estimates: Array,
    within: Array,
    *,
    rule: Combining = "barnard-rubin",
    complete_df: Array | float = np.inf,
    level: float = 0.90,
    more_between: Array | float = 0.0,
) -> Combined:
    r"""Pool M estimates of each of k quantities.

    Parameters
    ----------
    estimates, within : (M, k) float64
        Each implicate's estimate and its sampling variance; NaN where an implicate has none.
    rule : {"barnard-rubin", "rubin", "fusionacs"}
        How degrees of freedom are counted.
    complete_df : (k,) float64
        Degrees of freedom that complete data would have.
    level : float
        Of the margin, between 0 and 1.
    more_between : (k,) float64
        Added to the variance between implicates (the reference's replicate part).

    Returns
    -------
    Combined

    Notes
    -----
    With U the mean within variance, B the variance between, :math:`T = U + (1 + 1/M) B`,
    :math:`r = (1 + 1/M) B / U` and :math:`\lambda = r / (1 + r)`:

    * ``rubin`` (Rubin 1987): :math:`\nu = (M - 1) / \lambda^2`. As in the reference, M counts implicates
      without an estimate, too, though U and B are of the others; in the other rules it does not;
    * ``barnard-rubin`` (Barnard and Rubin 1999, *Biometrika* 86:948): :math:`1 / (1 / \nu + 1 / \nu_o)` with
      :math:`\nu_o = (\nu_c + 1) / (\nu_c + 3) \, \nu_c (1 - \lambda)`, :math:`\nu_c` the complete data's;
    * ``fusionacs`` (reference, section 5): :math:`(M - 1)(1 + U/B)^2 / [1 / (M - 1) + \sum v_m^2 / (M B)^2]`
      with :math:`v_m` the within variances, :math:`\nu_c` where that is not finite. It is not Barnard and
      Rubin's formula: where B dominates it gives about :math:`(M - 1)^2`, so margins that are too narrow.

    Fraction of missing information: :math:`(r + 2 / (\nu + 3)) / (1 + r)`. With one implicate only the
    estimate is defined.

    Examples
    --------
    >>> pooled = combine(np.array([[10.0], [12.0], [11.0]]), np.array([[1.0], [1.0], [1.0]]), rule="rubin")
    >>> pooled.est, pooled.se.round(4), pooled.df
    (array([11.]), array([1.5275]), array([6.125]))
    """
    known = ~np.isnan(estimates)
    n_known = known.sum(axis=0).astype(np.float64)
    # The reference's formulas have all M even where some implicates have no estimate.
    M = np.full_like(n_known, len(estimates)) if rule == "rubin" else n_known
    filled = np.where(known, estimates, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        est = filled.sum(axis=0) / n_known
        spread = (np.where(known, filled - est, 0.0) ** 2).sum(axis=0)
        between = np.where(n_known > 1, spread / (n_known - 1), np.nan) + more_between
        ubar = np.where(known, within, 0.0).sum(axis=0) / n_known
        extra = (1 + 1 / M) * between
        total = ubar + extra
        share = np.where(total > 0, extra / total, np.where(np.isnan(total), np.nan, 0.0))
        df = _degrees(rule, M, share, ubar, between, np.where(known, within, 0.0), complete_df)
        fmi = share + (1 - share) * np.where(share > 0, 2 / (df + 3), 0.0)
    se = np.sqrt(total)
    return Combined(est, ubar, between, se, df, margin_of_error(se, df, level), fmi)


def _degrees(
    rule: Combining,
    M: Array,
    share: Array,
    ubar: Array,
    between: Array,
    within: Array,
    complete: Array | float,
) -> Array:
    """Count degrees of freedom; `share` is the part of the variance that is between implicates."""
    complete = np.broadcast_to(np.asarray(complete, dtype=np.float64), share.shape)
    if rule == "fusionacs":
        scaled = (within**2).sum(axis=0) / (M * between) ** 2
        df = (M - 1) * (1 + ubar / between) ** 2 / (1 / (M - 1) + scaled)
        return np.where(np.isnan(share), np.nan, np.where(np.isfinite(df), df, complete))
    rubin = np.asarray((M - 1) / share**2)
    if rule == "rubin":
        return rubin
    # (df + 1) / (df + 3) goes to 1 as df grows without bound.
    shrink = np.where(np.isinf(complete), 1.0, (complete + 1) / (complete + 3))
    observed = np.where(share < 1, shrink * complete * (1 - share), 0.0)
    return np.asarray(1 / (1 / rubin + 1 / observed))


def margin_of_error(se: Array, df: Array, level: float) -> Array:
    """Half the width of an interval: Student's quantile times the standard error.

    Parameters
    ----------
    se, df : (k,) float64
        `df` may be infinite; where it is below 1, the margin is missing.
    level : float

    Returns
    -------
    (k,) float64

    Notes
    -----
    Student's distribution has tails so heavy below one degree of freedom that its quantiles, 6.3 at 1 and a
    level of 0.9, are 630 at 0.3 and above 1e44 at 0.02: such a margin says nothing of the estimate.

    Examples
    --------
    >>> margin_of_error(np.array([1.0, 1.0]), np.array([np.inf, 10.0]), 0.9).round(4)
    array([1.6449, 1.8125])
    """
    share = 0.5 + level / 2
    bounded = np.where(np.isfinite(df) & (df >= 1), df, 1.0)
    quantile = np.where(np.isinf(df), ndtri(share), stdtrit(bounded, share))
    return np.asarray(np.where(df >= 1, quantile, np.nan) * se)
