"""The plain machine: what `vector_machine` does, in loops that any numba compiles.

The same bits, more slowly: it takes over where the other does not compile.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fusionpy.kernels.forest.blocks import begin_block, finish_block
from fusionpy.kernels.forest.instructions import (
    BITS,
    BLOCK,
    FORK_1,
    FORK_2,
    FOUR,
    INPUT,
    INPUT_MASK,
    LEAF,
    LIMIT,
    MASK,
    SOURCE,
    TILE_3,
    VALUE,
)

__all__ = ["run_by_loops"]


@njit(cache=True, nogil=True)
def _mix(row, mask, out, n):  # type: ignore[no-untyped-def]
    """Add what n bytes of a row have under a mask."""
    for r in range(n):
        out[r] |= row[r] & mask


@njit(cache=True, nogil=True)
def _select(row, mask, limit, yes, no, out, n):  # type: ignore[no-untyped-def]
    """Choose by one node; both are read first, or the compiler would not do many at a time."""
    for r in range(n):
        a, b = yes[r], no[r]
        out[r] = a if row[r] & mask <= limit else b


@njit(cache=True, nogil=True)
def _choose(place, byte, work, heap, levels, n):  # type: ignore[no-untyped-def]
    """Choose by nodes of some levels, from the last up to the root; its choice is at the top of the heap."""
    nodes = 2**levels - 1
    for i in range(nodes + 1):
        heap[nodes + i, :] = byte[VALUE + i]
        if place[0] != TILE_3:
            _mix(work[place[INPUT + i]], byte[INPUT_MASK + i], heap[nodes + i], n)
    for i in range(nodes - 1, -1, -1):
        row, mask, limit = work[place[SOURCE + i]], byte[MASK + i], byte[LIMIT + i]
        _select(row, mask, limit, heap[2 * i + 1], heap[2 * i + 2], heap[i], n)
    work[place[1], :] = heap[0]


@njit(cache=True, nogil=True)
def _gather(place, byte, work, bits, n):  # type: ignore[no-untyped-def]
    bits[:] = 0
    for i in range(7):
        _mix(work[place[SOURCE + i]], byte[MASK + i], bits, n)
    work[place[1], :] = bits


@njit(cache=True, nogil=True)
def _add_four(place, work, leaf, out, n):  # type: ignore[no-untyped-def]
    a, b = work[place[SOURCE]], work[place[SOURCE + 1]]
    c, d = work[place[SOURCE + 2]], work[place[SOURCE + 3]]
    for r in range(n):
        out[r] = out[r] + leaf[a[r]] + leaf[b[r]] + leaf[c[r]] + leaf[d[r]]


@njit(cache=True, nogil=True)
def _add_one(place, work, leaf, out, n):  # type: ignore[no-untyped-def]
    low, middle, high = work[place[SOURCE]], work[place[SOURCE + 1]], work[place[SOURCE + 2]]
    for r in range(n):
        out[r] += leaf[low[r] + (np.intp(middle[r]) << 8) + (np.intp(high[r]) << 16)]


@njit(cache=True, nogil=True)
def run_by_loops(  # type: ignore[no-untyped-def]
    codes, plane_column, plane_start, plane_table, place, byte, leaf, models, work, total, out
):
    """Run a program on block after block; arguments as in `machines.Machine`."""
    heap = np.empty((15, BLOCK), dtype=np.uint8)
    for first in range(0, out.shape[0], BLOCK):
        n = min(BLOCK, out.shape[0] - first)
        begin_block(codes, plane_column, plane_start, plane_table, work, total, first, n)
        for o in range(place.shape[0]):
            kind = place[o, 0]
            if kind == TILE_3:
                _choose(place[o], byte[o], work, heap, 3, n)
            elif kind == FORK_2:
                _choose(place[o], byte[o], work, heap, 2, n)
            elif kind == FORK_1:
                _choose(place[o], byte[o], work, heap, 1, n)
            elif kind == BITS:
                _gather(place[o], byte[o], work, heap[0], n)
            elif kind == FOUR:
                _add_four(place[o], work, leaf[place[o, LEAF] :], total[place[o, 1]], n)
            else:
                _add_one(place[o], work, leaf[place[o, LEAF] :], total[place[o, 1]], n)
        finish_block(total, models, first, n, out)
