"""What models tell apart in a column, and columns coded by it.

Between two neighbouring thresholds, or within a category, all values go the same way at every node of all
models. So a column is coded once, by the `Cut` of all models that will see it; see `kernels.forest`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "BY_SET",
    "Cut",
    "NodeTests",
    "Nodes",
    "Trees",
    "cuts_of",
    "encode",
    "encode_columns",
    "join_nodes",
    "make_tests",
]

ZERO = float(np.float32(1e-35))  # LightGBM takes what is not further from zero for zero
BY_SET, DEFAULT_LEFT = 1, 2  # bits of a node's kind
ZERO_MISSING, NAN_MISSING = 4, 8  # its other bits: what counts as missing
ANY_MISSING = ZERO_MISSING | NAN_MISSING


@dataclass(frozen=True)
class Trees:
    """A LightGBM model as arrays, tree after tree.

    Attributes
    ----------
    n_features : int
    n_classes : int
        Columns of its predictions; tree t adds to column ``t % n_classes``.
    transform : {"identity", "sigmoid", "softmax"}
        What is done to the sums.
    divisor : int
        By which the sums are divided before that: rounds of a random forest, otherwise 1.
    n_leaves : (t,) intp
        A tree has one node less than leaves.
    feature : (m,) intp
        Of each node.
    threshold : (m,) float64
        Values up to it go left; for a split by category the number of its set.
    kind : (m,) intp
        LightGBM's decision type: 1 by category, 2 missing goes left, 4 zero is missing, 8 NaN is missing.
    left, right : (m,) intp
        Children: a node of the tree, or -1 - leaf.
    leaf : (l,) float64
    set_start : (s + 1,) intp
        Where in `category` each set begins.
    category : (c,) intp
        Categories that go left, set after set.
    """

    n_features: int
    n_classes: int
    transform: str
    divisor: int
    n_leaves: NDArray[np.intp]
    feature: NDArray[np.intp]
    threshold: NDArray[np.float64]
    kind: NDArray[np.intp]
    left: NDArray[np.intp]
    right: NDArray[np.intp]
    leaf: NDArray[np.float64]
    set_start: NDArray[np.intp]
    category: NDArray[np.intp]


@dataclass(frozen=True)
class Cut:
    """What some models tell apart in a column.

    Attributes
    ----------
    edges : (e,) float64
        Ascending; code ``first + i`` stands for the values above ``edges[i - 1]`` and up to ``edges[i]``.
    first : {0, 1}
        Code of the lowest values; 1 if code 0 is kept for NaN.
    missing : int
        Code of NaN.
    """

    edges: NDArray[np.float64]
    first: int
    missing: int

    @property
    def n_codes(self) -> int:
        """Number of codes."""
        return self.first + len(self.edges) + 1


@dataclass(frozen=True)
class Nodes:
    """Nodes of several models, one after the other.

    Attributes
    ----------
    column, kind : (m,) intp
    threshold : (m,) float64
        For a split by category the number of its set among all.
    set_start, category
        As in `Trees`.
    """

    column: NDArray[np.intp]
    kind: NDArray[np.intp]
    threshold: NDArray[np.float64]
    set_start: NDArray[np.intp]
    category: NDArray[np.intp]

    def categories(self, nodes: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Categories of some nodes' sets, and of which of these nodes each is."""
        chosen = self.threshold[nodes].astype(np.intp)
        first, size = self.set_start[chosen], np.diff(self.set_start)[chosen]
        which = np.repeat(np.arange(len(nodes)), size)
        return self.category[np.repeat(first, size) + _count_within(size)], which


def _count_within(size: NDArray[np.intp]) -> NDArray[np.intp]:
    """Count from 0 in each of groups of these sizes."""
    return np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)


def join_nodes(models: Sequence[Trees], columns: Sequence[Sequence[int]]) -> Nodes:
    """Join the nodes of models.

    Parameters
    ----------
    models : sequence of Trees
    columns : sequence of sequence of int
        Of each model, its features' places among all columns.

    Returns
    -------
    Nodes
    """
    thresholds, starts, n_sets, n_categories = [], [np.zeros(1, dtype=np.intp)], 0, 0
    for model in models:
        thresholds.append(model.threshold + np.where(model.kind & BY_SET, n_sets, 0))
        starts.append(model.set_start[1:] + n_categories)
        n_sets += len(model.set_start) - 1
        n_categories += len(model.category)
    places = [np.asarray(p, dtype=np.intp)[m.feature] for m, p in zip(models, columns, strict=True)]
    whole, none = np.empty(0, dtype=np.intp), np.empty(0)
    return Nodes(
        column=np.concatenate([whole, *places]),
        kind=np.concatenate([whole, *(model.kind for model in models)]),
        threshold=np.concatenate([none, *thresholds]),
        set_start=np.concatenate(starts),
        category=np.concatenate([whole, *(model.category for model in models)]),
    )


def cuts_of(models: Sequence[Trees], columns: Sequence[Sequence[int]]) -> list[Cut]:
    """Find what models tell apart in each column.

    Parameters
    ----------
    models : sequence of Trees
    columns : sequence of sequence of int
        Of each model, its features' places among all columns.

    Returns
    -------
    list of Cut
        One per column, up to the last one named.
    """
    joined = join_nodes(models, columns)
    cuts = []
    for column in range(1 + max((max(places, default=-1) for places in columns), default=-1)):
        nodes = np.flatnonzero(joined.column == column)
        by_set = joined.kind[nodes] & BY_SET > 0
        missing = np.unique(joined.kind[nodes[~by_set]] & ANY_MISSING)
        edges = np.concatenate(
            [
                joined.threshold[nodes[~by_set]],
                *_edges_of_categories(np.unique(joined.categories(nodes[by_set])[0])),
                [-ZERO, ZERO] if ZERO_MISSING in missing else [],
            ]
        )
        edges = np.unique(edges)
        if NAN_MISSING in missing or (by_set.any() and not by_set.all()):
            cuts.append(Cut(edges, 1, 0))
        elif by_set.any():
            cuts.append(Cut(edges, 0, 0))  # below all edges there is no category
        else:
            cuts.append(Cut(edges, 0, int(np.searchsorted(edges, 0.0))))
    return cuts


def _edges_of_categories(
    categories: NDArray[np.intp],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Edges below and above the values that are, their decimals cut off, in each category."""
    low = np.nextafter(categories.astype(np.float64), -np.inf)
    low[categories == 0] = -1.0
    return low, np.nextafter(categories + 1.0, -np.inf)


def encode(values: NDArray[np.float64], cut: Cut) -> NDArray[Any]:
    """Code a column.

    Parameters
    ----------
    values : (n,) float64
    cut : Cut

    Returns
    -------
    (n,) uint8, or uint16 or uint32 if there are more than 256 or 65,536 codes

    Examples
    --------
    >>> encode(np.array([1.0, 1.5, 2.0, 2.5, np.nan]), Cut(np.array([1.0, 2.0]), 1, 0)).tolist()
    [1, 2, 2, 3, 0]
    """
    out = np.empty(len(values), dtype=np.min_scalar_type(cut.n_codes - 1))
    _encode(np.ascontiguousarray(values, dtype=np.float64), cut.edges, cut.first, cut.missing, out)
    return out


@njit(cache=True, nogil=True)
def _encode(values, edges, first, missing, out):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        value = values[i]
        if abs(value) <= ZERO:
            value = 0.0
        if math.isnan(value):
            out[i] = missing
            continue
        low, count = 0, len(edges)
        while count > 0:
            half = count >> 1
            if edges[low + half] < value:
                low += half + 1
                count -= half + 1
            else:
                count = half
        out[i] = first + low


def encode_columns(values: NDArray[np.float64], cuts: Sequence[Cut]) -> NDArray[Any]:
    """Code all columns of a matrix.

    Parameters
    ----------
    values : (n, p) float64
    cuts : sequence of p Cut

    Returns
    -------
    (p, n) uint8, or uint16 or uint32 if a column has more than 256 or 65,536 codes
    """
    most = max((cut.n_codes for cut in cuts), default=1)
    out = np.empty((len(cuts), len(values)), dtype=np.min_scalar_type(most - 1))
    for j, cut in enumerate(cuts):
        _encode(
            np.ascontiguousarray(values[:, j], dtype=np.float64), cut.edges, cut.first, cut.missing, out[j]
        )
    return out


@dataclass(frozen=True)
class NodeTests:
    """What nodes ask: whether the byte of a plane, only its bits under a mask, is at most a limit.

    A plane has a byte for each code of a column. A node by category may ask for bits of several planes, and
    whether none of them is set; its test is met if the value goes right. Other nodes' tests are met if it
    goes left.

    Attributes
    ----------
    start : (m + 1,) intp
        Where in `plane` and `mask` each node's planes are.
    plane : (e,) intp
    mask : (e,) intp
    limit : (m,) intp
    planes : list of (column, (n_codes,) uint8)
    """

    start: NDArray[np.intp]
    plane: NDArray[np.intp]
    mask: NDArray[np.intp]
    limit: NDArray[np.intp]
    planes: list[tuple[int, NDArray[np.uint8]]]


def make_tests(nodes: Nodes, cuts: Sequence[Cut]) -> NodeTests:
    """Turn nodes into tests of bytes.

    Parameters
    ----------
    nodes : Nodes
    cuts : sequence of Cut
        Of these models, or more.

    Returns
    -------
    NodeTests
    """
    planes: list[tuple[int, NDArray[np.uint8]]] = []
    found: list[tuple[NDArray[np.intp], ...]] = [(np.empty(0, dtype=np.intp),) * 3]
    limit = np.zeros(len(nodes.column), dtype=np.intp)
    for column in np.unique(nodes.column).tolist():
        cut, mine = cuts[column], np.flatnonzero(nodes.column == column)
        by_set = nodes.kind[mine] & BY_SET > 0
        numeric, nominal = mine[~by_set], mine[by_set]
        missing = np.where(nodes.kind[numeric] & ANY_MISSING, nodes.kind[numeric], 0)
        for kind in np.unique(missing).tolist():
            alike = numeric[missing == kind]
            plane, limit[alike], tables = _test_thresholds(cut, kind, nodes.threshold[alike])
            found.append((alike, len(planes) + plane, np.full(len(alike), 255)))
            planes += [(column, table) for table in tables]
        if len(nominal):
            node, plane, mask, tables = _test_sets(cut, *nodes.categories(nominal))
            found.append((nominal[node], len(planes) + plane, mask))
            planes += [(column, table) for table in tables]
    node, plane, mask = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(node, kind="stable")
    start = np.searchsorted(node[order], np.arange(len(limit) + 1))
    return NodeTests(start, plane[order], mask[order], limit, planes)


def _test_thresholds(
    cut: Cut, kind: int, threshold: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp], list[NDArray[np.uint8]]]:
    """Of each threshold its plane and limit; and the planes."""
    place, last = _places(cut, kind, threshold)
    if place.max() < 256:
        return np.zeros(len(last), dtype=np.intp), last, [place.astype(np.uint8)]
    every = np.unique(last)  # more places than bytes: a plane for every 255 limits
    plane, limit = np.divmod(np.searchsorted(every, last), 255)
    parts = [every[first : first + 255] for first in range(0, len(every), 255)]
    return plane, limit, [np.searchsorted(part, place).astype(np.uint8) for part in parts]


def _test_sets(
    cut: Cut, category: NDArray[np.intp], node: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], list[NDArray[np.uint8]]]:
    """Give each category in use a bit of a plane; return nodes, their planes and masks, and the planes."""
    low, high = _edges_of_categories(category)
    first = _code_of(cut, low) + 1
    size = _code_of(cut, high) - first + 1  # above 1 where a threshold of another model parts a category
    code, bit = np.unique(np.repeat(first, size) + _count_within(size), return_inverse=True)
    n_planes = max(-(-len(code) // 8), 1)
    key, entry = np.unique(np.repeat(node, size) * n_planes + bit // 8, return_inverse=True)
    mask = np.bincount(entry, weights=1 << bit % 8, minlength=len(key)).astype(np.intp)
    tables = np.zeros((n_planes, cut.n_codes), dtype=np.uint8)
    tables[np.arange(len(code)) // 8, code] = 1 << np.arange(len(code)) % 8
    return key // n_planes, key % n_planes, mask, list(tables)


def _code_of(cut: Cut, values: Any) -> NDArray[np.intp]:
    """Code values that are not NaN, one by one."""
    return np.asarray(cut.first + np.searchsorted(cut.edges, values))


def _places(cut: Cut, kind: int, threshold: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Put a column's codes in the order in which thresholds part them.

    Parameters
    ----------
    cut : Cut
    kind : int
        What counts as missing, and whether it goes left; 0 if nothing does.
    threshold : (t,) float64

    Returns
    -------
    (n_codes,) intp
        Each code's place.
    (t,) intp
        Of each threshold the last place that goes left.
    """
    last = _code_of(cut, threshold)
    apart = np.zeros(cut.n_codes, dtype=np.bool_)  # does not go by its value
    apart[: cut.first] = True
    if kind & ZERO_MISSING:
        apart[_code_of(cut, 0.0)] = True
    place = np.cumsum(~apart, dtype=np.intp)
    most = place[last]
    if kind == 0:  # then LightGBM takes NaN for 0
        place[: cut.first] = place[_code_of(cut, 0.0)]
        return place - 1, most - 1
    place[apart] = 0 if kind & DEFAULT_LEFT else place.max() + 1
    return place, most
