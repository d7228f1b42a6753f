"""Cluster centres of donors' conditional expectations, and the nearest of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["cluster_centres", "nearest"]

_TREE_COLUMNS = 12  # beyond, a KD-tree visits nearly everything: a matrix product is quicker
_BLOCK = 4_000_000  # distances held at once


def nearest(
    query: NDArray[np.float64], points: NDArray[np.float64], k: int, cores: int = 1
) -> NDArray[np.intp]:
    """Find the k nearest points of each query row, exactly.

    Parameters
    ----------
    query : (n, d) float64
    points : (m, d) float64
    k : int
        At most m.
    cores : int
        Threads.

    Returns
    -------
    (n, k) intp
        Rows of `points`, nearest first (Euclidean).

    Notes
    -----
    A KD-tree up to 12 columns, else distances by blocks. The reference searches within 10 % of the
    nearest distance only; this is exact.

    Examples
    --------
    >>> nearest(np.array([[0.9]]), np.array([[0.0], [1.0], [3.0]]), 2).tolist()
    [[1, 0]]
    """
    if points.shape[1] <= _TREE_COLUMNS:
        found = cKDTree(points).query(query, k=np.arange(1, k + 1), workers=cores)[1]
        return np.asarray(found, dtype=np.intp)
    out = np.empty((len(query), k), dtype=np.intp)
    # The norm of the query row is the same for all points, so it is left out.
    half_norm = 0.5 * (points**2).sum(axis=1)
    rows = max(1, _BLOCK // len(points))
    for start in range(0, len(query), rows):
        distance = half_norm - query[start : start + rows] @ points.T
        if k == 1:
            out[start : start + rows, 0] = distance.argmin(axis=1)
            continue
        some = np.argpartition(distance, k - 1, axis=1)[:, :k] if k < len(points) else None
        if some is None:
            out[start : start + rows] = np.argsort(distance, axis=1, kind="stable")
        else:
            order = np.argsort(np.take_along_axis(distance, some, axis=1), axis=1, kind="stable")
            out[start : start + rows] = np.take_along_axis(some, order, axis=1)
    return out


def cluster_centres(
    points: NDArray[np.float64], n_clusters: int, rounds: int = 30, cores: int = 1
) -> NDArray[np.float64]:
    """k-means centres from starting centres spread over the distance from the middle.

    Parameters
    ----------
    points : (n, d) float64
        Scaled expectations.
    n_clusters : int
        Wanted number; 0 means none: every distinct row is its own centre.
    rounds : int
        At most so many rounds.
    cores : int
        Threads.

    Returns
    -------
    (k, d) float64
        In ascending order: `n_clusters` of them, or all distinct rows where there are no more than that.

    Notes
    -----
    Lloyd's algorithm. Starting centres: distinct rows ordered by their distance from the columns' medians,
    at equally spaced type-1 quantiles of it. Reference, section 2, "Clusters". A centre that loses all
    its rows stays where it was.

    Examples
    --------
    >>> cluster_centres(np.array([[0.0], [0.2], [5.0], [5.2], [5.4]]), 2).tolist()
    [[0.1], [5.2]]
    """
    distinct = np.unique(points, axis=0)
    if n_clusters == 0 or len(distinct) <= n_clusters:
        return distinct
    distance = np.sqrt(((distinct - np.median(points, axis=0)) ** 2).sum(axis=1))
    order = np.argsort(distance, kind="stable")
    rank = np.ceil(np.linspace(0, 1, n_clusters) * len(distinct)).astype(np.intp)
    centres = distinct[order[np.maximum(rank, 1) - 1]]
    label = np.full(len(points), -1, dtype=np.intp)
    for _ in range(rounds):
        found = nearest(points, centres, 1, cores)[:, 0]
        if np.array_equal(found, label):
            break
        label = found
        size = np.bincount(label, minlength=n_clusters)
        held = size > 0
        for j in range(points.shape[1]):
            total = np.bincount(label, weights=points[:, j], minlength=n_clusters)
            centres[held, j] = total[held] / size[held]
    return np.unique(centres, axis=0)
