"""Friedman's super smoother: running lines whose span follows what the data say of it, place by place."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["SPANS", "running_lines", "supersmooth"]

Array = NDArray[np.float64]

# Four-byte numbers in R, whose smooth is so repeated to its last digits.
SPANS = (float(np.float32(0.05)), float(np.float32(0.2)), 0.5)
"""Shares of the points on which the tweeter, the midrange and the woofer put a line."""

_NARROW = float(np.float32(1e-3))  # of the spread of x: a window no wider gets a level, not a line
_LEAST = float(np.float32(1e-7))  # of the ratio of errors that `bass` raises to a power


@njit(cache=True, nogil=True)
def running_lines(x, y, w, span, narrow):  # type: ignore[no-untyped-def]
    r"""Smooth by a weighted least-squares line through each point's neighbours.

    Parameters
    ----------
    x : (n,) float64
        Ascending.
    y : (n,) float64
    w : (n,) float64
        Weights, not negative; no window, and no x of several points, may have zeros only.
    span : float
        Share of the points that make a window; at least 5 points do, or all if there are fewer.
    narrow : float
        In units of x. A window whose weighted sum of squared deviations is at most its square gets a level.

    Returns
    -------
    fitted : (n,) float64
        The same for points of the same x.
    left_out : (n,) float64
        Absolute residual of each point from the line of its window without itself.

    Notes
    -----
    Sums are updated as the window moves (Friedman 1984, section 2), in an order that leaves R's last bits, as
    they decide between spans where residuals are all but 0; at the ends the window stays where it is. The
    left-out residual is :math:`|r| / (1 - w (1 / \sum w + (x - \bar x)^2 / S_{xx}))`.

    Examples
    --------
    >>> x = np.arange(6.0)
    >>> running_lines(x, 2 * x + 1, np.ones(6), 0.5, 0.0)[0].round(12).tolist()
    [1.0, 3.0, 5.0, 7.0, 9.0, 11.0]
    """
    n = len(x)
    half = max(int(0.5 * span * n + 0.5 + 1e-9), 2)  # halves go up, whatever rounding made of them
    fitted, left_out = np.empty(n), np.zeros(n)
    window = (0.0, 0.0, 0.0, 0.0, 0.0)
    first, behind = 0, min(2 * half + 1, n)  # the window is [first, behind)
    for k in range(behind):
        window = _take_in(window, x[k], y[k], w[k])
    for j in range(n):
        if j > half and behind < n:  # near the ends it stays where it is
            window = _take_out(window, x[first], y[first], w[first])
            window = _take_in(window, x[behind], y[behind], w[behind])
            first, behind = first + 1, behind + 1
        total, mean_x, mean_y, sxx, sxy = window
        has_slope = sxx > narrow * narrow
        gap = x[j] - mean_x
        fitted[j] = (sxy / sxx * gap if has_slope else 0.0) + mean_y
        pull = w[j] * (1 / total + (gap * gap / sxx if has_slope else 0.0))
        if pull < 1:
            left_out[j] = abs(y[j] - fitted[j]) / (1 - pull)
        elif j > 0:
            left_out[j] = left_out[j - 1]
    _level_ties(x, w, fitted)
    return fitted, left_out


@njit(cache=True, nogil=True)
def _take_in(window, x, y, w):  # type: ignore[no-untyped-def]
    """Add a point to a window's weight, means, and sums of squares and products."""
    before, mean_x, mean_y, sxx, sxy = window
    total = before + w
    if total > 0:
        mean_x = (before * mean_x + w * x) / total
        mean_y = (before * mean_y + w * y) / total
    pull = total * w * (x - mean_x) / before if before > 0 else 0.0
    return total, mean_x, mean_y, sxx + pull * (x - mean_x), sxy + pull * (y - mean_y)


@njit(cache=True, nogil=True)
def _take_out(window, x, y, w):  # type: ignore[no-untyped-def]
    """Take a point out of them."""
    before, mean_x, mean_y, sxx, sxy = window
    total = before - w
    pull = before * w * (x - mean_x) / total if total > 0 else 0.0
    sxx, sxy = sxx - pull * (x - mean_x), sxy - pull * (y - mean_y)
    if total > 0:
        mean_x = (before * mean_x - w * x) / total
        mean_y = (before * mean_y - w * y) / total
    return total, mean_x, mean_y, sxx, sxy


@njit(cache=True, nogil=True)
def _level_ties(x, w, fitted):  # type: ignore[no-untyped-def]
    """Give points of the same x the weighted mean of what was fitted to them, in place."""
    n = len(x)
    start = 0
    for j in range(1, n + 1):
        if j < n and x[j] == x[start]:
            continue
        if j - start > 1:
            total = weighted = 0.0
            for i in range(start, j):
                total += w[i]
                weighted += w[i] * fitted[i]
            fitted[start:j] = weighted / total
        start = j


@njit(cache=True, nogil=True)
def _middle_width(x):  # type: ignore[no-untyped-def]
    """Distance between about the quartiles of x; between wider places where these are equal."""
    n = len(x)
    low = max(n // 4, 1)
    high = max(3 * (n // 4), min(2, n))
    while x[high - 1] == x[low - 1] and (low > 1 or high < n):
        high = min(high + 1, n)
        low = max(low - 1, 1)
    return x[high - 1] - x[low - 1]


def supersmooth(
    x: Array, y: Array, w: Array, bass: float = 0.0, span: float | None = None
) -> tuple[Array, Array]:
    r"""Smooth by running lines, each of the span that foresees its neighbourhood best.

    Parameters
    ----------
    x, y : (n,) float64
        In any order.
    w : (n,) float64
        Weights, not negative; no window, and no x of several points, may have zeros only.
    bass : float
        From 0 to 10: how much to favour the largest span; 0 not at all.
    span : float, optional
        Of running lines that are to do by themselves. Missing: the best ones.

    Returns
    -------
    distinct : (k,) float64
        The values of x, ascending.
    fitted : (k,) float64
        The smooth at each.

    Notes
    -----
    Friedman (1984), "A variable span smoother", Stanford report PUB-3477, section 3; R's `supsmu` is the
    same. Lines of three spans are fitted, and the absolute left-out residuals of each smoothed over the
    midrange; where one span's are least, it is the best. The best spans are smoothed over the midrange, what
    the two nearest of the three fits say there is interpolated, and the result smoothed over the tweeter.
    With `bass` the best span moves to the woofer by :math:`(e_{best} / e_{woofer})^{10 - bass}` of the
    distance.

    Points of the same x come in the order of their y, and of the same y as they were given, as in R: that
    decides which of them are in a window.

    Examples
    --------
    >>> distinct, fitted = supersmooth(
    ...     np.array([2.0, 0.0, 1.0, 1.0]), np.array([5.0, 1.0, 2.0, 4.0]), np.ones(4)
    ... )
    >>> distinct.tolist(), fitted.round(12).tolist()
    ([0.0, 1.0, 2.0], [1.0, 3.0, 5.0])
    """
    order = np.lexsort((y, x))
    ascending = x[order]
    is_first = np.r_[True, ascending[1:] > ascending[:-1]][: len(x)]
    smooth = _smooth(ascending, y[order], w[order], float(bass), -1.0 if span is None else float(span))
    return ascending[is_first], smooth[is_first]


@njit(cache=True, nogil=True)
def _smooth(x, y, w, bass, span):  # type: ignore[no-untyped-def]
    """(n,) The smooth at ascending x."""
    n = len(x)
    if n == 0 or x[n - 1] <= x[0]:
        return np.full(n, (w * y).sum() / w.sum() if n else 0.0)
    narrow = _NARROW * _middle_width(x)
    if span > 0:
        return running_lines(x, y, w, span, narrow)[0]
    fits, errors = np.empty((3, n)), np.empty((3, n))
    for s in range(3):
        fits[s], left_out = running_lines(x, y, w, SPANS[s], narrow)
        errors[s] = running_lines(x, left_out, w, SPANS[1], narrow)[0]
    best = np.empty(n)
    for j in range(n):
        chosen = np.argmin(errors[:, j])
        best[j] = SPANS[chosen]
        least, widest = errors[chosen, j], errors[2, j]
        if bass > 0 and 0 < least < widest:
            best[j] += (SPANS[2] - SPANS[chosen]) * max(_LEAST, least / widest) ** (10 - bass)
    best = running_lines(x, best, w, SPANS[1], narrow)[0]
    mixed = np.empty(n)
    for j in range(n):
        here = min(max(best[j], SPANS[0]), SPANS[2])
        near = 0 if here < SPANS[1] else 2
        share = (here - SPANS[1]) / (SPANS[near] - SPANS[1])
        mixed[j] = (1 - share) * fits[1, j] + share * fits[near, j]
    return running_lines(x, mixed, w, SPANS[0], narrow)[0]
