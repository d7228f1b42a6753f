"""Programs that find leaves: boosted trees as instructions for blocks of rows.

A tree is not walked from its root, row by row: all of its nodes are worked through from the leaves up, each
for a block of rows at a time. A node chooses, by a byte of a plane (see `codes`), between the bytes
that were found below it on either side; the byte that the root chooses is the number of the row's leaf. One
instruction works on a tile of up to seven nodes; `instructions` says what each kind does.

All trees are written together, level by level, in arrays: quick enough without a compiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fusionpy.kernels.forest.instructions import (
    BITS,
    FORK_1,
    FORK_2,
    FOUR,
    INPUT,
    INPUT_MASK,
    LEAF,
    LIMIT,
    MASK,
    N_BYTES,
    ONE,
    SOURCE,
    TILE_3,
    VALUE,
    WIDTH,
)

__all__ = ["write_program"]

Numbers = NDArray[np.intp]
N_BYTE = 256  # what a byte can be
TOGETHER = 8  # at most so many trees are found before they are added
PER_BITS = 6  # parts that one instruction adds to those before
KIND_OF_LEVELS = np.array([-1, FORK_1, FORK_2, TILE_3])
# By a tile's levels: which of the 15 places of its heap are its nodes, and which are below them.
TESTED = np.arange(7) < np.array([0, 1, 3, 7])[:, None]
BELOW = np.array([[0] * 8, [1, 2] * 4, [3, 4, 5, 6] * 2, list(range(7, 15))])
IS_BELOW = np.arange(8) < np.array([0, 2, 4, 8])[:, None]


@dataclass(frozen=True)
class _Finds:
    """What is to be found: of each tree the byte that numbers its leaf, or three of them.

    Attributes
    ----------
    tree, shift : (f,) intp
        Which byte of which tree's.
    beside : (f,) intp
        Its place among those that are added together.
    begun, number : (f,) intp
        Where the leaves of these begin, and what of these the tree's first is.
    sums : (s, 6) intp
        Additions: behind which find, kind, output, first leaf, and the first and number of places that are
        added.
    """

    tree: Numbers
    shift: Numbers
    beside: Numbers
    begun: Numbers
    number: Numbers
    sums: Numbers


@dataclass(frozen=True)
class _Nodes:
    """Nodes of all finds; m of them, and behind them one for each byte that may be known.

    Attributes
    ----------
    origin : (m + 256,) intp
        Which of the given nodes each is; the one behind the last if none.
    yes, no : (m + 256,) intp
        What is below; below a known byte is that byte.
    height : (m + 256,) intp
        Levels of nodes.
    root : (f,) intp
    """

    origin: Numbers
    yes: Numbers
    no: Numbers
    height: Numbers
    root: Numbers


@dataclass(frozen=True)
class _Tiles:
    """Tiles, level after level.

    Attributes
    ----------
    at : (t, 15) intp
        Nodes, and what is below them, as a heap.
    levels : (t,) intp
    find : (t,) intp
    below : (t, 4) intp
        What it chooses among: numbers of tiles; -1 if it is known.
    bounds : list of int
        Where each level's tiles begin.
    """

    at: Numbers
    levels: Numbers
    find: Numbers
    below: Numbers
    bounds: list[int]


def write_program(
    n_leaves: Numbers,
    output: Numbers,
    children: tuple[Numbers, Numbers],
    tests: Sequence[Numbers],
    leaf: NDArray[np.float64],
    n_rows: int,
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.float64], int]:
    """Write the instructions that find every tree's leaf, and add it.

    Parameters
    ----------
    n_leaves : (t,) intp
    output : (t,) intp
        To which output each tree adds.
    children : two of (m,) intp
        Of each node if its test is met, and if not: a node of the tree, or -1 - leaf.
    tests : start (m + 1,), row (e,), mask (e,), limit (m,), all intp
        As in `codes.NodeTests`, with rows of bytes for planes.
    leaf : (l,) float64
    n_rows : int
        Rows of bytes that are taken: row 0, which is zero, and the planes.

    Returns
    -------
    place : (o, WIDTH) int32
    byte : (o, N_BYTES) uint8
    leaf : (l,) float64
        In the order in which the instructions use them.
    n_rows : int
        Rows of bytes that are needed.

    Notes
    -----
    Outputs are worked through one after the other, each output's trees in their order. Up to eight trees
    that have 256 leaves together number them in one byte. Of a tree with more leaves the bytes of the
    number are found one by one.
    """
    finds = _group(n_leaves, output)
    nodes, ordered = _settle(finds, n_leaves, children, leaf)
    tiles = _lay_out(nodes)
    start, row, mask, limit = tests
    n_parts, limit = np.append(np.diff(start), 0), np.append(limit, 0)
    node = np.where(TESTED[tiles.levels], nodes.origin[tiles.at[:, :7]], len(limit) - 1)
    parts = n_parts[node]
    n_bits = np.where(parts > 1, -(-parts // PER_BITS), 0)
    last, slot, sum_at = _arrange(finds, tiles, n_bits.sum(axis=1))
    size = len(last) + len(sum_at) + int(n_bits.sum())
    place, byte = np.zeros((size, WIDTH), dtype=np.int32), np.zeros((size, N_BYTES), dtype=np.uint8)

    # A tree's own row is slot 0, the others are shared. A tile may write the row that it reads.
    own = n_rows + finds.beside[tiles.find]
    place[last, 0], place[last, 1] = KIND_OF_LEVELS[tiles.levels], _row(slot, own, n_rows)
    # Where nothing is asked row 0 is read: it is zero and meets every test.
    t, i = np.nonzero(parts)
    asked = node[t, i]
    place[last[t], SOURCE + i], byte[last[t], MASK + i] = row[start[asked]], mask[start[asked]]
    byte[last[t], LIMIT + i] = limit[asked]
    t, i = np.nonzero(n_bits)
    asked = node[t, i]
    n_below = (tiles.below >= 0).sum(axis=1)
    above = np.cumsum(n_bits[:, ::-1], axis=1)[:, ::-1]  # how many come from here up to the tile
    borrowed = _row(
        (n_below[:, None] + np.cumsum(n_bits > 0, axis=1) - 1 + slot[:, None])[t, i], own[t], n_rows
    )
    place[last[t], SOURCE + i], byte[last[t], MASK + i] = borrowed, 255
    _write_bits((place, byte), last[t] - above[t, i], borrowed, (start[asked], n_parts[asked]), row, mask)

    known = tiles.at[np.arange(len(last))[:, None], BELOW[tiles.levels]] - (len(nodes.origin) - N_BYTE)
    t, i = np.nonzero(IS_BELOW[tiles.levels] & (known >= 0))
    byte[last[t], VALUE + i] = known[t, i]
    t, i = np.nonzero(tiles.below >= 0)
    place[last[t], INPUT + i], byte[last[t], INPUT_MASK + i] = place[last[tiles.below[t, i]], 1], 255
    _write_sums(place, sum_at, finds.sums, n_rows)
    most = int(place[:, 1:LEAF].max(initial=0))
    return place, byte, ordered, max(n_rows + TOGETHER, most + 1)


def _row(slot: Numbers, own: Numbers, n_rows: int) -> Numbers:
    return np.where(slot > 0, n_rows + TOGETHER - 1 + slot, own)


def _group(n_leaves: Numbers, output: Numbers) -> _Finds:
    """Find which trees are added together, and how their leaves are numbered."""
    finds: list[tuple[int, ...]] = []
    sums: list[tuple[int, ...]] = []
    sizes, outputs = n_leaves.tolist(), output.tolist()
    waiting = filled = begun = last = 0

    def add() -> None:
        sums.extend((len(finds) - 1, FOUR, last, begun, i, 4) for i in range(0, waiting - 3, 4))
        sums.extend((len(finds) - 1, ONE, last, begun, i, 1) for i in range(waiting - waiting % 4, waiting))

    for tree in np.argsort(output, kind="stable").tolist():
        n = sizes[tree]
        if waiting == TOGETHER or filled + n - begun > N_BYTE or outputs[tree] != last:
            add()
            waiting, begun, last = 0, filled, outputs[tree]
        if n <= N_BYTE:
            finds.append((tree, 0, waiting, begun, filled - begun))
            waiting += 1
        else:
            finds.extend((tree, 8 * i, i, begun, 0) for i in range(3))
            sums.append((len(finds) - 1, ONE, last, begun, 0, 3))
            begun += n
        filled += n
    add()
    tree, shift, beside, first, number = np.array(finds, dtype=np.intp).reshape(-1, 5).T
    return _Finds(tree, shift, beside, first, number, np.array(sums, dtype=np.intp).reshape(-1, 6))


def _settle(
    finds: _Finds, n_leaves: Numbers, children: tuple[Numbers, Numbers], leaf: NDArray[np.float64]
) -> tuple[_Nodes, NDArray[np.float64]]:
    """Put nodes of all finds together, and leaves from left to right, a subtree's side by side."""
    leaves = n_leaves[finds.tree]
    size = leaves - 1  # a tree has one node less than leaves
    m, n_given = int(size.sum()), len(children[0])
    own, own_leaf = np.cumsum(size) - size, m + np.cumsum(leaves) - leaves
    shift_node = (np.cumsum(n_leaves - 1) - n_leaves + 1)[finds.tree] - own
    shift_leaf = (np.cumsum(n_leaves) - n_leaves)[finds.tree] - own_leaf
    origin = np.arange(m) + np.repeat(shift_node, size)
    first, first_leaf = np.repeat(own, size), np.repeat(own_leaf, size)
    yes, no = (np.where(c >= 0, first + c, first_leaf - 1 - c) for c in (side[origin] for side in children))
    root = np.where(size > 0, own, own_leaf)
    levels, level = [], root[size > 0]
    while len(level):
        levels.append(level)
        below = np.concatenate([yes[level], no[level]])
        level = below[below < m]
    count, number = np.ones((2, m + int(leaves.sum())), dtype=np.intp)
    for level in reversed(levels):
        count[level] = count[yes[level]] + count[no[level]]
    number[root] = finds.number
    for level in levels:
        number[yes[level]] = number[level]
        number[no[level]] = number[level] + count[yes[level]]
    ordered = np.empty(len(leaf))
    n_all = np.arange(m, len(number))
    ordered[np.repeat(finds.begun, leaves) + number[m:]] = leaf[n_all + np.repeat(shift_leaf, leaves)]
    # From here on what is below a node is a node, or m + a byte.
    ref, height = np.empty_like(number), np.zeros(m + N_BYTE, dtype=np.intp)
    ref[m:] = m + (number[m:] >> np.repeat(finds.shift, leaves)) % N_BYTE
    for level in reversed(levels):
        a, b = ref[yes[level]], ref[no[level]]
        same = (a == b) & (a >= m)
        ref[level] = np.where(same, a, level)
        height[level] = np.where(same, 0, 1 + np.maximum(height[a], height[b]))
    known = m + np.arange(N_BYTE)
    nodes = _Nodes(
        np.concatenate([origin, np.full(N_BYTE, n_given)]),
        np.concatenate([ref[yes], known]),
        np.concatenate([ref[no], known]),
        height,
        ref[root],
    )
    return nodes, ordered


def _lay_out(nodes: _Nodes) -> _Tiles:
    """Cut trees into tiles, from their roots down."""
    parts: list[tuple[Numbers, ...]] = []
    bounds = [0]
    node, find = nodes.root, np.arange(len(nodes.root))
    while len(node) or not parts:
        height = nodes.height[node]
        inner = np.minimum(nodes.height[nodes.yes[node]], nodes.height[nodes.no[node]]) > 0
        levels = np.where(height <= 3, 3, np.where((height > 4) & inner, 2, 1))
        at = np.empty((len(node), 15), dtype=np.intp)
        at[:, 0] = node
        for i in range(7):
            at[:, 2 * i + 1], at[:, 2 * i + 2] = nodes.yes[at[:, i]], nodes.no[at[:, i]]
        found = at[np.arange(len(node))[:, None], BELOW[levels, :4]]
        is_tile = IS_BELOW[levels, :4] & (nodes.height[found] > 0)
        bounds.append(bounds[-1] + len(node))
        below = np.full(found.shape, -1)
        below[is_tile] = bounds[-1] + np.arange(is_tile.sum())
        parts.append((at, levels, find, below))
        node, find = found[is_tile], np.repeat(find, is_tile.sum(axis=1))
    every_at, every_levels, every_find, every_below = (
        np.concatenate(part) for part in zip(*parts, strict=True)
    )
    return _Tiles(every_at, every_levels, every_find, every_below, bounds)


def _arrange(finds: _Finds, tiles: _Tiles, n_bits: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """Put all in order: what is below a tile comes first, then its bits, itself; additions behind the trees.

    Returns
    -------
    last : (t,) intp
        Which instruction each tile is.
    slot : (t,) intp
        Where its result is kept. What is found below has this slot and the next ones.
    sum_at : (s,) intp
        Which instructions the additions are.
    """
    total, is_tile = 1 + n_bits, tiles.below >= 0
    each = np.zeros_like(tiles.below)  # instructions for what is below
    levels = list(pairwise(tiles.bounds))
    for low, high in reversed(levels):
        each[low:high] = np.where(is_tile[low:high], total[tiles.below[low:high]], 0)
        total[low:high] += each[low:high].sum(axis=1)
    start, slot = np.zeros((2, len(total)), dtype=np.intp)
    behind, n_finds = finds.sums[:, 0], len(finds.tree)
    end = np.cumsum(total[:n_finds])  # the first tiles are the roots
    start[:n_finds] = end - total[:n_finds] + np.searchsorted(behind, np.arange(n_finds))
    before, rank = np.cumsum(each, axis=1) - each, np.cumsum(is_tile, axis=1) - 1
    for low, high in levels:
        t, i = np.nonzero(is_tile[low:high])
        t += low
        start[tiles.below[t, i]] = start[t] + before[t, i]
        slot[tiles.below[t, i]] = slot[t] + rank[t, i]
    return start + total - 1, slot, end[behind] + np.arange(len(behind))


def _write_bits(
    sheet: tuple[NDArray[np.int32], NDArray[np.uint8]],
    first: Numbers,
    target: Numbers,
    parts: tuple[Numbers, Numbers],
    row: Numbers,
    mask: Numbers,
) -> None:
    """Write what brings bits of several planes together, six of them and those before at a time."""
    place, byte = sheet
    start, size = parts
    within = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
    o, i, part = (
        np.repeat(first, size) + within // PER_BITS,
        within % PER_BITS,
        np.repeat(start, size) + within,
    )
    place[o, 0], place[o, 1] = BITS, np.repeat(target, size)
    place[o, SOURCE + i], byte[o, MASK + i] = row[part], mask[part]
    later = within >= PER_BITS
    place[o[later], SOURCE + PER_BITS], byte[o[later], MASK + PER_BITS] = np.repeat(target, size)[later], 255


def _write_sums(place: NDArray[np.int32], at: Numbers, sums: Numbers, n_rows: int) -> None:
    """Write the additions of leaves whose numbers are found."""
    _behind, kind, output, begun, first, size = sums.T
    place[at, 0], place[at, 1], place[at, LEAF] = kind, output, begun
    for i in range(4):
        place[at, SOURCE + i] = np.where(i < size, n_rows + first + i, 0)
