"""The machines that run programs: the one of vectors where it works, the plain one where it does not.

The first is built from LLVM's own instructions. They are not part of what numba promises, so that another
release of it may not take them: this is tried once, when a first forest predicts.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

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
    N_BYTES,
    ONE,
    SOURCE,
    TILE_3,
    VALUE,
    WIDTH,
)

__all__ = ["Kind", "Machine", "machine_for", "named", "works"]

Kind = Literal["vectors", "loops"]


class Machine(Protocol):
    """What predicts, block after block."""

    def __call__(
        self,
        codes: NDArray[Any],
        plane_column: NDArray[np.intp],
        plane_start: NDArray[np.intp],
        plane_table: NDArray[np.uint8],
        place: NDArray[np.int32],
        byte: NDArray[np.uint8],
        leaf: NDArray[np.float64],
        models: NDArray[np.intp],
        work: NDArray[np.uint8],
        total: NDArray[np.float64],
        out: NDArray[np.float64],
    ) -> None:
        """Run a program.

        Parameters
        ----------
        codes, plane_column, plane_start, plane_table, place, byte, leaf, models
            As in `Forest` and `predict`.
        work : (n_rows, BLOCK) uint8
            To work with; row 0 is zero.
        total : (k, BLOCK) float64
            To work with.
        out : (n, k) float64
            Holds the result.
        """


def named(kind: Kind) -> Machine:
    """Fetch a machine.

    Parameters
    ----------
    kind : {"vectors", "loops"}

    Returns
    -------
    Machine

    Raises
    ------
    Exception
        Of any kind, where LLVM or numba have changed.
    """
    if kind == "vectors":
        from fusionpy.kernels.forest.vector_machine import run_by_vectors

        return run_by_vectors
    from fusionpy.kernels.forest.plain_machine import run_by_loops

    return run_by_loops


@cache
def machine_for(codes: np.dtype[Any]) -> Machine:
    """Choose the machine for codes of a type: the one of vectors, if it compiles and gives what it should.

    Parameters
    ----------
    codes : dtype

    Returns
    -------
    Machine
    """
    try:
        fast = named("vectors")
        if works(fast, codes):
            return fast
    except Exception:  # whatever the compiler says: there is another way
        pass
    return named("loops")


def works(machine: Machine, codes: np.dtype[Any]) -> bool:
    """Run a program with every kind of instruction, and compare with what numpy makes of it.

    Parameters
    ----------
    machine : Machine
    codes : dtype

    Returns
    -------
    bool
    """
    x = np.arange(256)
    eighth = x // 32
    fork = np.where(x <= 63, eighth, 10 * (x // 64))
    last = np.where(x <= 200, fork, 40)
    place, byte = _every_kind()
    out = np.empty((len(x), 1))
    machine(
        x[None].astype(codes),
        np.zeros(1, dtype=np.intp),
        np.full(1, -1, dtype=np.intp),
        np.empty(0, dtype=np.uint8),
        place,
        byte,
        np.arange(2100.0),
        np.array([[0, 1, 0, 1]], dtype=np.intp),
        np.zeros((6, BLOCK), dtype=np.uint8),
        np.empty((1, BLOCK)),
        out,
    )
    four, one = 4 + eighth + fork + last + eighth, 1 + eighth + 256 * eighth  # leaf i is worth i
    return np.array_equal(out[:, 0], four + one)


def _every_kind() -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Write: of a byte in row 1 a copy, its eighth, two choices, in rows 2 to 5; their sums."""
    place, byte = np.zeros((6, WIDTH), dtype=np.int32), np.zeros((6, N_BYTES), dtype=np.uint8)
    place[:, :2] = [(BITS, 2), (TILE_3, 3), (FORK_2, 4), (FORK_1, 5), (FOUR, 0), (ONE, 0)]
    place[0, SOURCE : SOURCE + 2], byte[0, MASK : MASK + 2] = 1, [15, 240]
    limits = np.array([127, 63, 191, 31, 95, 159, 223])
    for o, n in ((1, 7), (2, 3), (3, 1)):
        place[o, SOURCE : SOURCE + n], byte[o, MASK : MASK + n] = 2, 255
        byte[o, LIMIT : LIMIT + n] = limits[:n]
    byte[1, VALUE : VALUE + 8] = range(8)
    byte[2, VALUE + 1 : VALUE + 4] = [10, 20, 30]
    byte[3, LIMIT], byte[3, VALUE + 1] = 200, 40
    place[2:4, INPUT], byte[2:4, INPUT_MASK] = [3, 4], 255
    place[4:, LEAF] = 1
    place[4, SOURCE : SOURCE + 4], place[5, SOURCE : SOURCE + 3] = [3, 4, 5, 3], [3, 3, 0]
    return place, byte
