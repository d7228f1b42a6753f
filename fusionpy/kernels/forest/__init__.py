"""Predictions of boosted trees, bit for bit LightGBM's, from columns that are coded once.

    cuts = cuts_of(models, columns)          # models: sequence of Trees; columns: of each, its features'
    codes = encode_columns(values, cuts)     # (p, n) unsigned
    forest = grow(models[:4], cuts, columns[:4])
    expected = predict(forest, codes)        # (n, k), what Booster.predict gives, side by side

`cuts` and `codes` have one entry, or row, for every column of all models together; `columns` says for each
model where among them its features are. Forests of different steps use the same codes; rows of variables that
are drawn later may hold anything until a forest that uses them is asked.

`codes` makes the codes, `programs` the instructions, which one of `machines` runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.kernels.forest.blocks import TRANSFORMS
from fusionpy.kernels.forest.codes import (
    BY_SET,
    Cut,
    Trees,
    cuts_of,
    encode,
    encode_columns,
    join_nodes,
    make_tests,
)
from fusionpy.kernels.forest.instructions import BLOCK
from fusionpy.kernels.forest.machines import Kind, machine_for, named
from fusionpy.kernels.forest.programs import write_program

__all__ = ["Cut", "Forest", "Trees", "cuts_of", "encode", "encode_columns", "grow", "predict"]


@dataclass(frozen=True)
class Forest:
    """Several models compiled for coded columns; made by `grow`, used by `predict`.

    Attributes
    ----------
    n_outputs : int
        Columns of the predictions.
    plane_column : (q,) intp
        Which column each plane is made from.
    plane_start : (q,) intp
        Where its table begins in `plane_table`, or -1: the codes are its bytes.
    plane_table : (.,) uint8
        A plane's byte for each code of its column.
    n_rows : int
        Bytes to work with per row of data: one of zero, planes, results of subtrees.
    place, byte, leaf
        The program; from `programs.write_program`.
    models : (k, 4) intp
        Of each model its first output, the one behind its last, the transform and the divisor.
    """

    n_outputs: int
    plane_column: NDArray[np.intp]
    plane_start: NDArray[np.intp]
    plane_table: NDArray[np.uint8]
    n_rows: int
    place: NDArray[np.int32]
    byte: NDArray[np.uint8]
    leaf: NDArray[np.float64]
    models: NDArray[np.intp]


def grow(models: Sequence[Trees], cuts: Sequence[Cut], columns: Sequence[Sequence[int]]) -> Forest:
    """Compile models for columns that are coded.

    Parameters
    ----------
    models : sequence of Trees
        One or more, predicted in one pass over the rows.
    cuts : sequence of Cut
        From `cuts_of` these models, or more.
    columns : sequence of sequence of int
        As for `cuts_of`.

    Returns
    -------
    Forest
    """
    nodes = join_nodes(models, columns)
    tests = make_tests(nodes, cuts)
    tables = [table for _, table in tests.planes]
    table_start = np.cumsum([0, *map(len, tables)])[:-1]
    as_coded = [np.array_equal(table, np.arange(len(table))) for table in tables]
    ends = np.cumsum([model.n_classes for model in models])
    output = [
        end - model.n_classes + np.arange(len(model.n_leaves)) % model.n_classes
        for model, end in zip(models, ends.tolist(), strict=True)
    ]
    left, right = (np.concatenate([getattr(model, side) for model in models]) for side in ("left", "right"))
    by_set = nodes.kind & BY_SET > 0
    place, byte, leaf, n_rows = write_program(
        np.concatenate([model.n_leaves for model in models]),
        np.concatenate(output),
        (np.where(by_set, right, left), np.where(by_set, left, right)),
        (tests.start, 1 + tests.plane, tests.mask, tests.limit),
        np.concatenate([model.leaf for model in models]),
        1 + len(tables),
    )
    about = [
        (end - model.n_classes, end, TRANSFORMS.index(model.transform), model.divisor)
        for model, end in zip(models, ends.tolist(), strict=True)
    ]
    return Forest(
        n_outputs=int(ends[-1]),
        plane_column=np.array([column for column, _ in tests.planes], dtype=np.intp),
        plane_start=np.where(as_coded, -1, table_start).astype(np.intp),
        plane_table=np.concatenate([np.empty(0, dtype=np.uint8), *tables]),
        n_rows=n_rows,
        place=place,
        byte=byte,
        leaf=leaf,
        models=np.array(about, dtype=np.intp),
    )


def predict(
    forest: Forest, codes: NDArray[Any], rows: NDArray[np.intp] | None = None, *, machine: Kind | None = None
) -> NDArray[np.float64]:
    """Predict with all models of a forest.

    Parameters
    ----------
    forest : Forest
    codes : (p, n) uint8, uint16 or uint32
        From `encode_columns`, or rows from `encode` put together.
    rows : (r,) intp, optional
        Predict only these.
    machine : {"vectors", "loops"}, optional
        Which one predicts, to the same bits; the faster one that works if not given.

    Returns
    -------
    (n or r, k) float64
        ``Booster.predict`` of each model, side by side, bit for bit.

    Notes
    -----
    One thread, and the interpreter is released: chunks can be predicted side by side.
    """
    column = forest.plane_column
    if rows is not None:
        column, place = np.unique(column, return_inverse=True)
        codes, column = codes[column[:, None], rows], place
    out = np.empty((codes.shape[1], forest.n_outputs))
    run = machine_for(codes.dtype) if machine is None else named(machine)
    run(
        np.ascontiguousarray(codes),
        column,
        forest.plane_start,
        forest.plane_table,
        forest.place,
        forest.byte,
        forest.leaf,
        forest.models,
        np.zeros((forest.n_rows, BLOCK), dtype=np.uint8),
        np.empty((forest.n_outputs, BLOCK)),
        out,
    )
    return out
