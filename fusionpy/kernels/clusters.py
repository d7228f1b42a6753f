"""Cluster centres of donors' conditional expectations, and the nearest of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.spatial import cKDTree

__all__ = ["Index", "cluster_centres", "index_points", "nearest", "nearest_one"]

_TREE_COLUMNS = 12  # beyond, a KD-tree visits nearly everything: a matrix product is quicker
_BLOCK = 4_000_000  # distances held at once
_LEAF = 8  # points at most in a leaf of our own tree
_JITTER = 1e-5  # standard deviations; squared, it is well above the rounding error of a squared distance
_EQUAL = 1 + 1e-12  # squared distances closer than this may differ by rounding alone


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


@dataclass(frozen=True)
class Index:
    """Points, laid out so that the nearest of them is found quickly; made by `index_points`.

    Attributes
    ----------
    points : (m, d) float64
    tree : cKDTree or None
        Settles which of equally near points it is; None if there are too many columns.
    order : (m,) intp
        Rows of `points`, leaf after leaf.
    ordered : (m, d) float64
        The points in that order.
    start : (leaves + 1,) intp
        Leaf boundaries.
    low, high : (2 * leaves, d) float64
        The box around each node's points. Node 1 is the root, nodes 2i and 2i + 1 are halves of node i, and
        the leaves come last.
    axis : (leaves,) intp
    cut : (leaves,) float64
        Where along which axis each inner node is halved.
    """

    points: NDArray[np.float64]
    tree: Any
    order: NDArray[np.intp]
    ordered: NDArray[np.float64]
    start: NDArray[np.intp]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    axis: NDArray[np.intp]
    cut: NDArray[np.float64]


def index_points(points: NDArray[np.float64]) -> Index:
    """Lay out points for `nearest_one`.

    Parameters
    ----------
    points : (m, d) float64
        At least one.

    Returns
    -------
    Index
    """
    m, d = points.shape
    leaves = 1 << max(0, int(np.ceil(np.log2(m / _LEAF))))
    low, high = np.full((2 * leaves, d), np.inf), np.full((2 * leaves, d), -np.inf)
    axis, cut = np.zeros(leaves, dtype=np.intp), np.zeros(leaves)
    rows: dict[int, NDArray[np.intp]] = {1: np.arange(m)}
    for node in range(1, 2 * leaves):
        mine = rows.pop(node)
        if len(mine):
            low[node], high[node] = points[mine].min(axis=0), points[mine].max(axis=0)
        if node < leaves:
            axis[node] = np.argmax(high[node] - low[node]) if len(mine) else 0
            mine = mine[np.argsort(points[mine, axis[node]], kind="stable")]
            half = (len(mine) + 1) // 2
            cut[node] = points[mine[half - 1], axis[node]] if half else 0.0
            rows[2 * node], rows[2 * node + 1] = mine[:half], mine[half:]
        else:
            rows[node] = mine
    found = [rows[node] for node in range(leaves, 2 * leaves)]
    order = np.concatenate(found)
    start = np.cumsum([0, *map(len, found)]).astype(np.intp)
    tree = cKDTree(points) if d <= _TREE_COLUMNS else None
    return Index(points, tree, order, np.ascontiguousarray(points[order]), start, low, high, axis, cut)


def nearest_one(query: NDArray[np.float64], index: Index) -> NDArray[np.intp]:
    """Find the nearest point of each query row: what `nearest` finds with k = 1, sooner.

    Parameters
    ----------
    query : (n, d) float64
        C-contiguous.
    index : Index

    Returns
    -------
    (n,) intp
        Rows of the points.

    Notes
    -----
    A tree of boxes, each with its half of the points (Friedman, Bentley and Finkel 1977). Where two points
    are equally near but for rounding, `nearest` says which it is, so that both always agree.

    Examples
    --------
    >>> nearest_one(np.array([[0.9], [2.9]]), index_points(np.array([[0.0], [1.0], [3.0]]))).tolist()
    [1, 2]
    """
    if index.tree is None:
        return nearest(query, index.points, 1)[:, 0]
    out = np.empty(len(query), dtype=np.intp)
    own = index.order, index.ordered, index.start, index.low, index.high, index.axis, index.cut
    _nearest_one(query, *own, _EQUAL, out)
    unsure = np.flatnonzero(out < 0)
    if len(unsure):
        out[unsure] = index.tree.query(query[unsure], k=[1])[1][:, 0]
    return out


@njit(cache=True, nogil=True)
def _nearest_one(query, order, ordered, start, low, high, axis, cut, equal, out):  # type: ignore[no-untyped-def]
    """Fill `out`; -1 where two points are equally near."""
    d = query.shape[1]
    leaves = len(start) - 1
    waiting, bound = np.empty(64, dtype=np.intp), np.empty(64)
    for i in range(len(query)):
        best, second, where = np.inf, np.inf, -1
        n_waiting, node = 0, 1
        while True:
            while node < leaves:
                near = 2 * node + (query[i, axis[node]] > cut[node])
                far = near ^ 1
                away = 0.0
                for j in range(d):
                    value = query[i, j]
                    side = max(low[far, j] - value, value - high[far, j], 0.0)
                    away += side * side
                if away <= best * equal:
                    waiting[n_waiting], bound[n_waiting] = far, away
                    n_waiting += 1
                node = near
            for p in range(start[node - leaves], start[node - leaves + 1]):
                away = 0.0
                for j in range(d):
                    side = query[i, j] - ordered[p, j]
                    away += side * side
                if away < best:
                    second = best
                    best = away
                    where = p
                elif away < second:
                    second = away
            while n_waiting > 0 and bound[n_waiting - 1] > best * equal:
                n_waiting -= 1
            if n_waiting == 0:
                break
            n_waiting -= 1
            node = waiting[n_waiting]
        out[i] = order[where] if where >= 0 and second > best * equal else -1


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


def nearest_others(
    points: NDArray[np.float64], k: int, candidates: NDArray[np.intp], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Find the k nearest other records of each record.

    Parameters
    ----------
    points : (n, d) float64
        On comparable scales.
    k : int
    candidates : (m,) intp
        Rows that can be found.
    rng : numpy.random.Generator
        Decides between records that are equally near.

    Returns
    -------
    (n, k) intp
        Rows of `points`, never the record's own; fewer columns if there are fewer candidates.

    Examples
    --------
    >>> points = np.array([[0.0], [1.0], [5.0], [6.5]])
    >>> nearest_others(points, 1, np.arange(4), np.random.default_rng(1)).ravel().tolist()
    [1, 0, 3, 2]
    """
    n = len(points)
    points = points + _JITTER * rng.standard_normal(points.shape)
    found = candidates[nearest(points, points[candidates], min(k + 1, len(candidates)))]
    is_own = found == np.arange(n)[:, None]
    others = np.argsort(is_own, axis=1, kind="stable")[:, : min(k, len(candidates) - 1)]
    return np.take_along_axis(found, others, axis=1)
