"""How often the boosters are fitted again, and to which donors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusionpy.kernels.strata import bootstrap_counts
from fusionpy.kernels.uniforms import BOOTSTRAP, uniforms

__all__ = ["left_out_refit", "refit_counts"]


def refit_counts(
    n: int, refits: int, seed: int, replicate_ratio: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """How often each donor enters each refit.

    Parameters
    ----------
    n : int
        Number of donors.
    refits : int
    seed : int
    replicate_ratio : (n, R) float64, optional
        Replicate weights over the full-sample weight.

    Returns
    -------
    (refits, n) float64
    """
    out = np.empty((refits, n))
    length = max(n, 0 if replicate_ratio is None else replicate_ratio.shape[1])
    for b in range(refits):
        out[b] = bootstrap_counts(uniforms(seed, BOOTSTRAP, length, implicate=b)[0], replicate_ratio)[:n]
    return out


def left_out_refit(counts: NDArray[np.float64], u: NDArray[np.float64]) -> NDArray[np.intp]:
    """For each donor one of the refits that left it out, drawn at random; -1 if none did."""
    left_out = counts == 0
    number = left_out.sum(axis=0)
    wanted = np.floor(u * number).astype(np.intp)
    place = np.cumsum(left_out, axis=0) - 1
    found = (left_out & (place == wanted)).argmax(axis=0) if len(counts) else np.zeros(len(u), dtype=np.intp)
    return np.where(number > 0, found, -1)
