"""LASSO paths from weighted correlations."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fusionpy.kernels.grams import Gram

__all__ = ["Path", "lasso_path"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
N_PENALTIES = 100
LEAST_GAIN, MOST_DEVIANCE, FEWEST_PENALTIES = 1e-5, 0.999, 5  # when a path ends early: glmnet's rules
MOST_PASSES = 100_000


class Path(NamedTuple):
    """A LASSO path, from the largest penalty on.

    Attributes
    ----------
    penalty : (m,) float64
        Of a target with standard deviation 1.
    deviance : (m,) float64
        Share of the target's weighted variance that is explained.
    coefficient : (m, p) float64
        Of predictors and target with standard deviation 1.
    full : bool
        The path ended because one more predictor would have been too many.
    """

    penalty: Array
    deviance: Array
    coefficient: Array
    full: bool


def lasso_path(
    gram: Gram, target: int, predictors: Index, *, most: int | None = None, tolerance: float = 1e-7
) -> Path:
    """Fit a weighted Gaussian LASSO for a sequence of penalties.

    Parameters
    ----------
    gram : Gram
    target : int
        Column to explain.
    predictors : (p,) intp
        Columns to explain it by.
    most : int, optional
        The path ends before the penalty at which more predictors than this would have come in.
    tolerance : float
        Coordinate descent ends when no squared change of a coefficient exceeds it: glmnet's `thresh`.

    Returns
    -------
    Path

    Notes
    -----
    Coordinate descent with covariance updates (Friedman, Hastie and Tibshirani 2010, *Journal of Statistical
    Software* 33(1), section 2.2), on correlations instead of rows. The penalties are glmnet's: 100, evenly
    spaced on the log scale from the least that keeps all coefficients 0 down to 0.0001 of it (0.01 with fewer
    rows than predictors). So are the rules by which a path ends early: once a step adds less than 1e-5 of the
    deviance explained, or that exceeds 0.999. With the same tolerance its numbers are glmnet's to rounding.

    Examples
    --------
    >>> from fusionpy.kernels.grams import weighted_gram
    >>> x = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 2.0], [2.0, 1.0, 3.1], [3.0, 0.0, 4.0]])
    >>> path = lasso_path(weighted_gram(x, np.ones(4)), 2, np.array([0, 1]), most=1)
    >>> path.full, (path.coefficient[-1] != 0).tolist(), bool(path.deviance[-1] > 0.99)
    (True, [True, False], True)
    """
    inner = np.ascontiguousarray(gram.correlation[np.ix_(predictors, predictors)])
    outer = np.ascontiguousarray(gram.correlation[predictors, target])
    ratio = 1e-4 if gram.n >= len(predictors) else 1e-2
    limit = len(predictors) if most is None else most
    found = _descend(inner, outer, ratio, N_PENALTIES, limit, tolerance)
    penalty, deviance, coefficient, full = found
    return Path(penalty, deviance, coefficient, bool(full))


@njit(cache=True, nogil=True)
def _shrink(value, penalty):  # type: ignore[no-untyped-def]
    if value > penalty:
        return value - penalty
    if value < -penalty:
        return value + penalty
    return 0.0


@njit(cache=True, nogil=True)
def _descend(inner, outer, ratio, n_penalties, most, tolerance):  # type: ignore[no-untyped-def]
    """Descend along the path; `gradient` is that of the explained deviance, halved."""
    p = len(outer)
    gradient, beta = outer.copy(), np.zeros(p)
    entered, is_in, n_in = np.empty(p, dtype=np.intp), np.zeros(p, dtype=np.bool_), 0
    coefficient, deviance = np.zeros((n_penalties, p)), np.zeros(n_penalties)
    top = np.abs(outer).max() if p else 0.0
    penalty = np.full(n_penalties, ratio ** (1.0 / (n_penalties - 1)))
    penalty[0] = top
    for m in range(1, n_penalties):  # one by one, so that they are glmnet's to the last bit
        penalty[m] *= penalty[m - 1]
    if top == 0.0:
        return penalty[:1], deviance[:1], coefficient[:1], False
    explained, passes = 0.0, 0
    for m in range(n_penalties):
        before = explained
        while True:
            # Those that have entered come first, as in glmnet: fewer others then come in by mistake.
            explained, n_passes = _settle(
                inner, gradient, beta, entered[:n_in], penalty[m], tolerance, explained
            )
            passes += n_passes + 1
            widest = 0.0
            for k in range(p):
                old = beta[k]
                new = _shrink(gradient[k] + old * inner[k, k], penalty[m])
                if new == old:
                    continue
                if not is_in[k]:
                    if n_in == most:
                        return penalty[:m], deviance[:m], coefficient[:m], True
                    is_in[k] = True
                    entered[n_in] = k
                    n_in += 1
                change = new - old
                beta[k] = new
                explained += change * (2.0 * gradient[k] - change)
                widest = max(widest, change * change)
                for j in range(p):
                    gradient[j] -= change * inner[k, j]
            if widest < tolerance or passes > MOST_PASSES:
                break
        coefficient[m], deviance[m] = beta, explained
        if passes > MOST_PASSES:
            return penalty[: m + 1], deviance[: m + 1], coefficient[: m + 1], False
        slow = explained - before < LEAST_GAIN * explained or explained > MOST_DEVIANCE
        if m + 1 >= FEWEST_PENALTIES and slow:
            return penalty[: m + 1], deviance[: m + 1], coefficient[: m + 1], False
    return penalty, deviance, coefficient, False


@njit(cache=True, nogil=True)
def _settle(inner, gradient, beta, entered, penalty, tolerance, explained):  # type: ignore[no-untyped-def]
    """Coordinate descent over the predictors that have entered; the others' gradients follow at the end."""
    start = beta.copy()
    passes = 0
    while passes <= MOST_PASSES:
        widest = 0.0
        for k in entered:
            old = beta[k]
            new = _shrink(gradient[k] + old * inner[k, k], penalty)
            if new == old:
                continue
            change = new - old
            beta[k] = new
            explained += change * (2.0 * gradient[k] - change)
            widest = max(widest, change * change)
            for j in entered:
                gradient[j] -= change * inner[k, j]
        passes += 1
        if widest < tolerance:
            break
    held = np.zeros(len(beta), dtype=np.bool_)
    for k in entered:
        held[k] = True
    for j in range(len(beta)):
        if not held[j]:
            total = 0.0
            for k in entered:
                total += (beta[k] - start[k]) * inner[k, j]
            gradient[j] -= total
    return explained, passes
