"""Weighted regressions: independent columns, coefficients, sandwich variances."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.special import expit

__all__ = ["Basis", "Fit", "find_basis", "fit", "sandwich"]

Array = NDArray[np.float64]

TOLERANCE = 1e-7  # of a column's length that must be its own, as R's lm() has it
STEPS_MOST = 50
CONVERGED = 1e-10  # change of the deviance, relative to it
FLATTEST = 1e6  # how much more variable a coefficient may be than if all outcomes were even


class Basis(NamedTuple):
    """Columns of a design that do not depend on those before, made orthonormal.

    Attributes
    ----------
    kept : (p,) bool
    z : (n, q) float64
        The kept columns times the inverse of `triangle`.
    triangle : (q, q) float64
    """

    kept: NDArray[np.bool_]
    z: Array
    triangle: Array


class Fit(NamedTuple):
    """A regression's coefficients.

    Attributes
    ----------
    coefficients : (p,) float64
        NaN of columns that depend on those before, and where data do not bound them.
    residuals : (n,) float64
        What is observed less what is expected.
    back : (p, q) float64
        By which sums of ``w z residual`` become changes of coefficients; rows of NaN where these are.
    """

    coefficients: Array
    residuals: Array
    back: Array


def find_basis(x: Array, w: Array) -> Basis:
    """Find the columns of a design that do not depend on those before.

    Parameters
    ----------
    x : (n, p) float64
    w : (n,) float64
        Not negative.

    Returns
    -------
    Basis

    Notes
    -----
    As R's `lm` has it: a column goes if what is left of it, once it is regressed on those kept before, is at
    most 1e-7 of its length.

    Examples
    --------
    >>> x = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0], [1.0, 1.0, 0.0]])
    >>> find_basis(x, np.ones(3)).kept
    array([ True,  True, False])
    """
    rooted = np.sqrt(w)[:, None] * x
    length = np.sqrt((rooted**2).sum(axis=0))
    keep = [int(j) for j in np.flatnonzero(length > 0)]
    while True:
        triangle = np.linalg.qr(rooted[:, keep], mode="r")
        own = np.zeros(len(keep))  # columns beyond the number of rows have nothing of their own
        own[: len(triangle)] = np.abs(np.diagonal(triangle))
        lost = np.flatnonzero(own <= TOLERANCE * length[keep])
        if not len(lost):
            break
        del keep[lost[0]]
    kept = np.isin(np.arange(x.shape[1]), keep)
    z = np.zeros((len(x), len(keep)))
    if z.size:
        z = solve_triangular(triangle, x[:, keep].T, trans="T").T
    return Basis(kept, np.ascontiguousarray(z), np.asarray(triangle))


def fit(basis: Basis, y: Array, w: Array, family: str = "gaussian") -> Fit:
    """Regress, by weighted least squares or, of other families, by iterating them.

    Parameters
    ----------
    basis : Basis
        Of the same records, not of the same weights.
    y : (n,) float64
    w : (n,) float64
        May be negative, as replicate weights are, if the family is "gaussian"; else these count as 0.
    family : {"gaussian", "binomial", "poisson"}
        Each with its canonical link: identity, logit, log.

    Returns
    -------
    Fit
    """
    z = basis.z
    if family == "gaussian":
        information = (z.T * w) @ z
        own = _solved(information, z.T @ (w * y))
        expected = z @ own
        slack = None
    else:
        w = np.maximum(w, 0.0)
        own, expected, information = _iterated(z, y, w, family)
        slack = (z.T * w) @ z  # what the information would be if each record told as much as it can
    size = len(basis.kept)
    coefficients, back = np.full(size, np.nan), np.full((size, z.shape[1]), np.nan)
    if not np.isnan(own).any():
        inverse = np.linalg.pinv(information, hermitian=True)
        backwards = solve_triangular(basis.triangle, np.eye(len(own))) if len(own) else np.zeros((0, 0))
        coefficients[basis.kept] = backwards @ own
        back[basis.kept] = backwards @ inverse
        if slack is not None and len(own):
            least = np.asarray(np.linalg.pinv(slack, hermitian=True), dtype=np.float64)
            ratio = _spreads(backwards, np.asarray(inverse, dtype=np.float64)) / _spreads(backwards, least)
            endless = np.flatnonzero(basis.kept)[ratio > FLATTEST]
            coefficients[endless], back[endless] = np.nan, np.nan
    return Fit(coefficients, y - expected, back)


def _spreads(backwards: Array, inverse: Array) -> Array:
    return np.asarray(np.einsum("jq,qr,jr->j", backwards, inverse, backwards))


def _solved(information: Array, sums: Array) -> Array:
    """Solve for coefficients; NaN if weights leave some of them undetermined."""
    if not len(sums):
        return sums
    spread = np.linalg.eigvalsh(information) if np.isfinite(information).all() else np.zeros(1)
    if np.abs(spread).min() <= TOLERANCE**2 * max(np.abs(spread).max(), np.finfo(float).tiny):
        return np.full_like(sums, np.nan)
    return np.asarray(np.linalg.solve(information, sums))


def _iterated(z: Array, y: Array, w: Array, family: str) -> tuple[Array, Array, Array]:
    """Iterate weighted least squares (McCullagh and Nelder 1989): coefficients, expectations, information."""
    expected = (y + 0.5) / 2 if family == "binomial" else y + 0.1  # as R begins
    eta = np.log(expected / (1 - expected)) if family == "binomial" else np.log(expected)
    own = np.full(z.shape[1], np.nan)
    before = np.inf
    for _ in range(STEPS_MOST):
        spread = np.maximum(expected * (1 - expected) if family == "binomial" else expected, 1e-300)
        weight = w * spread
        information = (z.T * weight) @ z
        own = _solved(information, z.T @ (weight * eta + w * (y - expected)))
        if np.isnan(own).any():
            break
        eta = np.clip(z @ own, -700, 700)
        expected = expit(eta) if family == "binomial" else np.exp(eta)
        deviance = _deviance(y, expected, w, family)
        if abs(before - deviance) <= CONVERGED * (abs(deviance) + CONVERGED):
            break
        before = deviance
    spread = expected * (1 - expected) if family == "binomial" else expected
    return own, expected, (z.T * (w * spread)) @ z


def _deviance(y: Array, expected: Array, w: Array, family: str) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        if family == "binomial":
            told = np.where(y > 0, y * np.log(expected / y), 0)
            told += np.where(y < 1, (1 - y) * np.log((1 - expected) / (1 - y)), 0)
        else:
            told = np.where(y > 0, y * np.log(expected / y), 0) + y - expected
    return float(-2 * (w * np.maximum(told, -1e300)).sum())


def sandwich(basis: Basis, found: Fit, w: Array) -> Array:
    r"""Estimate the sampling variances of coefficients by linearisation: (p,) float64.

    Parameters
    ----------
    basis : Basis
    found : Fit
        With these weights.
    w : (n,) float64

    Notes
    -----
    Of records drawn with replacement (Binder 1983): :math:`n / (n - 1) \sum \psi \psi'` with the influence
    :math:`\psi = A^{-1} w x (y - \mu)` of each of the n records of positive weight, A the sum of
    :math:`w x x' V(\mu)`.
    """
    used = int((w > 0).sum())
    if used < 2:
        return np.full(len(found.coefficients), np.nan)
    middle = (basis.z.T * (w * found.residuals) ** 2) @ basis.z
    return np.asarray(used / (used - 1) * np.einsum("jq,qr,jr->j", found.back, middle, found.back))
