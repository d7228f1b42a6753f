"""The plain machine: what `kernels.vector_machine` does, in operations on arrays that any numba compiles.

The same bits, more slowly: it takes over where the other does not compile.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fusionpy.kernels.blocks import begin_block, finish_block
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
def _choose(place, byte, work, heap, n):  # type: ignore[no-untyped-def]
    """Choose by n nodes, from the last up to the root; what is chosen is at the top of the heap."""
    for i in range(n + 1):
        heap[n + i, :] = byte[VALUE + i]
        if place[0] != TILE_3:
            heap[n + i, :] |= work[place[INPUT + i]] & byte[INPUT_MASK + i]
    for i in range(n - 1, -1, -1):
        met = work[place[SOURCE + i]] & byte[MASK + i] <= byte[LIMIT + i]
        heap[i, :] = np.where(met, heap[2 * i + 1], heap[2 * i + 2])
    work[place[1], :] = heap[0]


@njit(cache=True, nogil=True)
def _gather(place, byte, work, bits):  # type: ignore[no-untyped-def]
    bits[:] = 0
    for i in range(7):
        bits |= work[place[SOURCE + i]] & byte[MASK + i]
    work[place[1], :] = bits


@njit(cache=True, nogil=True)
def _add(place, work, leaf, total, n_trees, n_bytes):  # type: ignore[no-untyped-def]
    """Add leaves of trees, one tree after the other."""
    out = total[place[1]]
    for tree in range(n_trees):
        number = np.full(BLOCK, place[LEAF], np.intp)
        for i in range(n_bytes):
            number += work[place[SOURCE + tree * n_bytes + i]].astype(np.intp) << 8 * i
        out += leaf[number]


@njit(cache=True, nogil=True)
def run_by_loops(  # type: ignore[no-untyped-def]
    codes, plane_column, plane_start, plane_table, place, byte, leaf, models, work, total, out
):
    """Run a program on block after block; arguments as in `kernels.machines.Machine`."""
    heap = np.empty((15, BLOCK), dtype=np.uint8)
    for first in range(0, out.shape[0], BLOCK):
        n = min(BLOCK, out.shape[0] - first)
        begin_block(codes, plane_column, plane_start, plane_table, work, total, first, n)
        for o in range(place.shape[0]):
            kind = place[o, 0]
            if kind == TILE_3:
                _choose(place[o], byte[o], work, heap, 7)
            elif kind == FORK_2:
                _choose(place[o], byte[o], work, heap, 3)
            elif kind == FORK_1:
                _choose(place[o], byte[o], work, heap, 1)
            elif kind == BITS:
                _gather(place[o], byte[o], work, heap[0])
            elif kind == FOUR:
                _add(place[o], work, leaf, total, 4, 1)
            else:
                _add(place[o], work, leaf, total, 1, 3)
        finish_block(total, models, first, n, out)
