"""Blocks of rows on their way through a machine: planes of bytes come in, sums of leaves go out."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["TRANSFORMS", "begin_block", "finish_block"]

TRANSFORMS = ("identity", "sigmoid", "softmax")
SIGMOID, SOFTMAX = 1, 2


@njit(cache=True, nogil=True, error_model="numpy")
def begin_block(  # type: ignore[no-untyped-def]
    codes, plane_column, plane_start, plane_table, work, total, first, n
):
    """Fill the planes of n rows, and set their sums to nothing."""
    for q in range(plane_column.shape[0]):
        column, start = plane_column[q], plane_start[q]
        if start < 0:
            for r in range(n):
                work[1 + q, r] = codes[column, first + r]
        else:
            for r in range(n):
                work[1 + q, r] = plane_table[start + codes[column, first + r]]
    total[:] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def finish_block(total, models, first, n, out):  # type: ignore[no-untyped-def]
    """Turn sums into predictions, in LightGBM's order of operations and with its `exp`."""
    for m in range(models.shape[0]):
        begin, end, transform, divisor = models[m, 0], models[m, 1], models[m, 2], float(models[m, 3])
        for r in range(n):
            most, whole = -np.inf, 1.0
            for k in range(begin, end):
                total[k, r] /= divisor
                most = max(most, total[k, r])
            if transform == SOFTMAX:
                whole = 0.0
                for k in range(begin, end):
                    total[k, r] = math.exp(total[k, r] - most)
                    whole += total[k, r]
            for k in range(begin, end):
                x = total[k, r]
                if transform == SIGMOID:
                    x = 1.0 / (1.0 + math.exp(-x))
                out[first + r, k] = x / whole
