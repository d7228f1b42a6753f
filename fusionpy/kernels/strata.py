"""Folds for cross-validation, and the weights of bootstrap refits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, pdtr

__all__ = ["assign_folds", "assign_split", "bootstrap_counts", "redraw_factors", "strata_of"]


def strata_of(values: NDArray[np.float64], categorical: bool) -> NDArray[np.intp]:
    """Strata that folds are balanced on: the classes, or the deciles of a continuous variable.

    Parameters
    ----------
    values : (n,) float64
    categorical : bool

    Returns
    -------
    (n,) intp

    Notes
    -----
    Reference, section 2, "Cross-validation".

    Examples
    --------
    >>> strata_of(np.arange(20.0), categorical=False).tolist()[:4]
    [0, 0, 1, 1]
    """
    if not categorical:
        cuts = np.quantile(values, np.arange(1, 10) / 10)
        return np.searchsorted(np.unique(cuts), values, side="left").astype(np.intp)
    return np.unique(values, return_inverse=True)[1].astype(np.intp)


def assign_folds(stratum: NDArray[np.intp], n_folds: int, u: NDArray[np.float64]) -> NDArray[np.intp]:
    """Deal the rows of every stratum evenly to the folds, in random order.

    Parameters
    ----------
    stratum : (n,) intp
    n_folds : int
    u : (n,) float64
        Uniforms; they shuffle the rows within strata.

    Returns
    -------
    (n,) intp
        In ``[0, n_folds)``. In any stratum the folds' sizes differ by at most one, and over all rows too.

    Examples
    --------
    >>> np.bincount(assign_folds(np.array([0, 0, 0, 1, 1, 1]), 2, np.linspace(0, 0.9, 6))).tolist()
    [3, 3]
    """
    order = np.lexsort((u, stratum))
    fold = np.empty(len(stratum), dtype=np.intp)
    fold[order] = np.arange(len(stratum)) % n_folds
    return fold


def bootstrap_counts(
    u: NDArray[np.float64], replicate_ratio: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    r"""How often each donor enters one bootstrap of the donor survey.

    Parameters
    ----------
    u : (n,) float64
        Uniforms, one per donor; with replicate weights only the first R are used.
    replicate_ratio : (n, R) float64, optional
        The survey's replicate weights divided by the full-sample weight.

    Returns
    -------
    (n,) float64
        Whole numbers with mean and variance 1: about 37 % are 0.

    Notes
    -----
    Poisson bootstrap: the Poisson(1) quantile at u. With replicate weights the quantile is taken at
    :math:`\Phi(z_i)`, :math:`z_i = c \sum_r g_r (w_{ir}/w_i - 1)` with g standard normal and c such that z
    has mean square 1, so that donors of one sampling unit enter or stay out together, as the survey's own
    design has it; c reproduces the scale factor of jackknife, balanced repeated replication and successive
    differences, as each of them gives a record's weight unit relative variance. A generalised bootstrap
    (Beaumont and Patak 2012).

    Examples
    --------
    >>> bootstrap_counts(np.array([0.1, 0.5, 0.9, 0.99])).tolist()
    [0.0, 1.0, 2.0, 4.0]
    """
    if replicate_ratio is None:
        return _poisson_quantile(u)
    normal = ndtri(np.clip(u[: replicate_ratio.shape[1]], 1e-12, 1 - 1e-12))
    deviation = replicate_ratio - 1.0
    scale = 1.0 / np.sqrt((deviation**2).sum(axis=1).mean())
    z = scale * (deviation @ normal)
    return _poisson_quantile(ndtr(z))


def redraw_factors(u: NDArray[np.float64], counts: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Factors that redraw donor weights for one implicate: a Bayesian bootstrap.

    Parameters
    ----------
    u : (n,) float64
        Uniforms, fresh for every implicate.
    counts : (n,) float64, optional
        The donors' counts in the implicate's refit, which the factors then follow.

    Returns
    -------
    (n,) float64
        Standard exponential.

    Notes
    -----
    Rubin (1981), "The Bayesian bootstrap". A count c is a Poisson quantile of some uniform between F(c - 1)
    and F(c); the factor is the exponential quantile of a fresh uniform in that interval. So it is exponential
    whatever the refit, rises with the donor's count, and the errors of a refit and of its pools add
    up as they do when both come from one resample of the survey.

    Examples
    --------
    >>> redraw_factors(np.array([0.5, 0.5, 0.5]), np.array([0.0, 1.0, 2.0])).round(2).tolist()
    [0.2, 0.8, 1.76]
    """
    if counts is not None:
        low = np.where(counts > 0, pdtr(np.maximum(counts - 1, 0), 1.0), 0.0)
        u = low + (pdtr(counts, 1.0) - low) * u
    return np.asarray(-np.log1p(-u))


def _poisson_quantile(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Smallest count whose Poisson(1) distribution function reaches u."""
    reached = pdtr(np.arange(18), 1.0)  # the 18th differs from 1 by less than 2**-53
    return np.searchsorted(reached, u, side="left").astype(np.float64)


def assign_split(stratum: NDArray[np.intp], share: float, u: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Choose rows for training, the same share of every stratum.

    Parameters
    ----------
    stratum : (n,) intp
    share : float
        Share of rows that train, in (0, 1).
    u : (n,) float64
        Uniforms; they shuffle the rows within strata.

    Returns
    -------
    (n,) bool
        True for training rows. At least one row is on either side when n > 1.

    Examples
    --------
    >>> assign_split(np.zeros(5, dtype=np.intp), 0.8, np.array([0.3, 0.1, 0.9, 0.5, 0.7])).sum()
    np.int64(4)
    """
    n = len(stratum)
    order = np.lexsort((u, stratum))
    step = np.floor(np.arange(1, n + 1) * (1 - share) + 1e-9)
    held_out = np.diff(step, prepend=0.0) > 0
    if not held_out.any():
        held_out[-1] = True
    train = np.empty(n, dtype=bool)
    train[order] = ~held_out
    return train
