"""Weights as small integers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["integerize_weights"]


def integerize_weights(weight: NDArray[np.float64]) -> NDArray[np.int64]:
    """Small integers nearly proportional to the weights, for drawing donors as the reference does.

    Parameters
    ----------
    weight : (n,) float64
        Non-negative, at least one positive.

    Returns
    -------
    (n,) int64
        0 where the weight is 0, else at least 1.

    Notes
    -----
    ``z = 1 + round(mx (w - min w) / r)`` for weights of mean 1, with ``r = max w / min w`` and ``mx = max(r,
    10^i)``, the first i from 1 for which the correlation of w and z reaches 0.999. Reference, section 1.
    Zero weights, which stop the reference, stay zero.

    Examples
    --------
    >>> integerize_weights(np.array([2.0, 2.0, 0.0])).tolist()
    [1, 1, 0]
    """
    out = np.zeros(len(weight), dtype=np.int64)
    used = weight > 0
    w = weight[used] / weight[used].mean()
    low, high = w.min(), w.max()
    if low == high:
        out[used] = 1
        return out
    ratio = high / low
    for i in range(1, 16):
        top = max(ratio, 10.0**i)
        z = 1 + np.round(top * (w - low) / ratio)
        if z.max() > z.min() and np.corrcoef(w, z)[0, 1] >= 0.999:
            break
    out[used] = z.astype(np.int64)
    return out
