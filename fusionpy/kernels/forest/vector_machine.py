"""The machine of vectors: instructions given to the compiler as operations on vectors of bytes.

Not as loops that it would have to turn into vectors, as those of `plain_machine`: that takes it
longer, and what it makes is slower. These are LLVM's own words, which may change from release to release.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

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
    N_BYTES,
    SOURCE,
    TILE_3,
    VALUE,
    WIDTH,
)

__all__ = ["run_by_vectors"]

_BYTES, _DOUBLES = 64, 8  # of a vector: what the widest processors take, others take it in parts
_byte, _short, _long, _double = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.DoubleType()


def _number(value: int) -> Any:
    return ir.Constant(_long, value)


class _Operands:
    """An instruction's operands, in code that is being built."""

    def __init__(self, builder: Any, arrays: list[Any], which: Any) -> None:
        places, known, self.work, self.leaf, self.total = arrays
        self.builder = builder
        self.places = builder.gep(places, [builder.mul(which, _number(WIDTH))])
        self.known = builder.gep(known, [builder.mul(which, _number(N_BYTES))])

    def place(self, i: int) -> Any:
        """Load a place."""
        return self.builder.zext(self.builder.load(self.builder.gep(self.places, [_number(i)])), _long)

    def row(self, i: int, rows: Any) -> Any:
        """Point to the row that a place names."""
        return self.builder.gep(rows, [self.builder.mul(self.place(i), _number(BLOCK))])

    def fill(self, i: int) -> Any:
        """Fill a vector with one of the bytes."""
        nothing = ir.Constant(ir.VectorType(_byte, _BYTES), ir.Undefined)
        one = self.builder.load(self.builder.gep(self.known, [_number(i)]))
        first = self.builder.insert_element(nothing, one, ir.Constant(_short, 0))
        everywhere = ir.Constant(ir.VectorType(_short, _BYTES), [0] * _BYTES)
        return self.builder.shuffle_vector(first, nothing, everywhere)

    def part(self, row: Any, first: Any, kind: Any, n: int) -> Any:
        """Point to n numbers of a row, as a vector."""
        return self.builder.bitcast(self.builder.gep(row, [first]), ir.VectorType(kind, n).as_pointer())

    def masked(self, row: Any, mask: Any, first: Any) -> Any:
        """Load a vector of bytes under a mask."""
        return self.builder.and_(self.builder.load(self.part(row, first, _byte, _BYTES), align=1), mask)


def _instruction(build: Callable[[Any, _Operands], None]) -> Any:
    """Make a function for compiled code of what builds it."""

    def typed(_: Any, place: Any, byte: Any, work: Any, leaf: Any, total: Any, which: Any) -> Any:
        arrays = (place, byte, work, leaf, total)
        if any(array.layout != "C" for array in arrays):
            return None

        def code(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            data = [
                context.make_array(t)(context, builder, a).data for t, a in zip(arrays, given, strict=False)
            ]
            build(builder, _Operands(builder, data, given[5]))
            return context.get_dummy_value()

        return types.void(*arrays, types.int64), code

    return intrinsic(typed)


def _choose(levels: int, *, reads: bool) -> Any:
    """Make an instruction that chooses by nodes of some levels; what it chooses among it reads, or knows."""
    n = 2**levels - 1

    def build(builder: Any, operands: _Operands) -> None:
        row, fill = operands.row, operands.fill
        out, work = row(1, operands.work), operands.work
        tests = [(row(SOURCE + i, work), fill(MASK + i)) for i in range(n)]
        limits, values = ([fill(start + i) for i in range(n + 1)] for start in (LIMIT, VALUE))
        inputs = [(row(INPUT + i, work), fill(INPUT_MASK + i)) for i in range(n + 1)] if reads else []
        with cgutils.for_range(builder, _number(BLOCK // _BYTES), intp=_long) as loop:
            r = builder.mul(loop.index, _number(_BYTES))
            found = values
            if reads:
                found = [builder.or_(v, operands.masked(*x, r)) for v, x in zip(values, inputs, strict=True)]
            for i in reversed(range(n)):  # the last two and the last node, and so up to the root
                yes, no = found[-2:]
                met = builder.icmp_unsigned("<=", operands.masked(*tests[i], r), limits[i])
                found = [builder.select(met, yes, no), *found[:-2]]
            builder.store(found[0], operands.part(out, r, _byte, _BYTES), align=1)

    return _instruction(build)


def _build_bits(builder: Any, operands: _Operands) -> None:
    out, work = operands.row(1, operands.work), operands.work
    parts = [(operands.row(SOURCE + i, work), operands.fill(MASK + i)) for i in range(7)]
    with cgutils.for_range(builder, _number(BLOCK // _BYTES), intp=_long) as loop:
        r = builder.mul(loop.index, _number(_BYTES))
        bits = reduce(builder.or_, [operands.masked(*part, r) for part in parts])
        builder.store(bits, operands.part(out, r, _byte, _BYTES), align=1)


def _add(n_trees: int, n_bytes: int) -> Any:
    """Make an instruction that adds leaves of trees, one tree after the other."""
    wide = ir.VectorType(_long, _DOUBLES)

    def build(builder: Any, operands: _Operands) -> None:
        total, leaf = operands.row(1, operands.total), builder.gep(operands.leaf, [operands.place(LEAF)])
        rows = [operands.row(SOURCE + i, operands.work) for i in range(n_trees * n_bytes)]
        with cgutils.for_range(builder, _number(BLOCK // _DOUBLES), intp=_long) as loop:
            r = builder.mul(loop.index, _number(_DOUBLES))
            place = operands.part(total, r, _double, _DOUBLES)
            x = builder.load(place, align=8)
            for tree in range(n_trees):
                number = ir.Constant(wide, [0] * _DOUBLES)
                for i, row in enumerate(rows[tree * n_bytes : (tree + 1) * n_bytes]):
                    byte = builder.load(operands.part(row, r, _byte, _DOUBLES), align=1)
                    shift = ir.Constant(wide, [8 * i] * _DOUBLES)
                    number = builder.or_(number, builder.shl(builder.zext(byte, wide), shift))
                leaves = ir.Constant(ir.VectorType(_double, _DOUBLES), ir.Undefined)
                for lane in (ir.Constant(_short, j) for j in range(_DOUBLES)):
                    one = builder.load(builder.gep(leaf, [builder.extract_element(number, lane)]))
                    leaves = builder.insert_element(leaves, one, lane)
                x = builder.fadd(x, leaves)
            builder.store(x, place, align=8)

    return _instruction(build)


_tile_3 = _choose(3, reads=False)
_fork_2, _fork_1 = _choose(2, reads=True), _choose(1, reads=True)
_bits, _four, _one = _instruction(_build_bits), _add(4, 1), _add(1, 3)


@njit(cache=True, nogil=True, error_model="numpy")
def run_by_vectors(  # type: ignore[no-untyped-def]
    codes, plane_column, plane_start, plane_table, place, byte, leaf, models, work, total, out
):
    """Run a program on block after block; arguments as in `machines.Machine`."""
    for first in range(0, out.shape[0], BLOCK):
        n = min(BLOCK, out.shape[0] - first)
        begin_block(codes, plane_column, plane_start, plane_table, work, total, first, n)
        for o in range(place.shape[0]):
            kind = place[o, 0]
            if kind == TILE_3:
                _tile_3(place, byte, work, leaf, total, o)
            elif kind == FORK_2:
                _fork_2(place, byte, work, leaf, total, o)
            elif kind == FORK_1:
                _fork_1(place, byte, work, leaf, total, o)
            elif kind == BITS:
                _bits(place, byte, work, leaf, total, o)
            elif kind == FOUR:
                _four(place, byte, work, leaf, total, o)
            else:
                _one(place, byte, work, leaf, total, o)
        finish_block(total, models, first, n, out)
