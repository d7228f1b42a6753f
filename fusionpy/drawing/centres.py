"""What a step's models expect of records, and the centres that are nearest to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fusionpy.drawing.limits import Limits, Records
from fusionpy.drawing.predictions import FINAL
from fusionpy.drawing.urns import ReadyModel, Weights
from fusionpy.kernels.clusters import nearest_one
from fusionpy.kernels.scaling import scale_sorted
from fusionpy.model import Step

__all__ = ["expectations", "nearest_centres", "note_means", "predict_step"]


def predict_step(
    prepared: ReadyModel,
    number: int,
    targets: slice,
    records: Records,
    u: NDArray[np.float64],
    implicate: int,
    rows: NDArray[np.intp] | None = None,
) -> NDArray[np.float64]:
    """Predict with the stand-in of this implicate, or for each record."""
    model, predictions = prepared.model, prepared.predictions
    n_stand_ins = len(model.steps[number].stand_ins)
    if model.assignment != "record":
        stand_in = implicate % n_stand_ins if n_stand_ins else FINAL
        return predictions.predict(number, stand_in, targets, records.codes, rows)
    chosen = np.floor((u if rows is None else u[rows]) * n_stand_ins).astype(np.intp)
    n_columns = sum(target.n_classes for target in model.steps[number].targets[targets])
    out = np.empty((len(chosen), n_columns))
    for m in range(n_stand_ins):
        mine = np.flatnonzero(chosen == m)
        if len(mine):
            which = mine if rows is None else rows[mine]
            out[mine] = predictions.predict(number, m, targets, records.codes, which)
    return out


def expectations(
    prepared: ReadyModel,
    number: int,
    targets: slice,
    records: Records,
    u: NDArray[np.float64],
    implicate: int,
    weights: Weights,
    rows: NDArray[np.intp] | None,
) -> NDArray[np.float64]:
    """Predict what centres are of: of all records, or of some rows."""
    step = prepared.model.steps[number]
    if rows is not None and len(rows) == 0:
        return np.empty((0, sum(target.n_classes for target in step.targets[targets])))
    expected = predict_step(prepared, number, targets, records, u, implicate, rows)
    if (shift := weights.shifts[number]) is not None:
        shift.expectations(expected, step.targets[targets], records.coded, rows)
    return expected


def note_means(
    step: Step,
    targets: slice,
    expected: NDArray[np.float64],
    chance: NDArray[np.float64] | None,
    limited: Limits | None,
    means: Mapping[str, NDArray[np.float64]],
) -> None:
    """Keep what the models expect of the step's numbers, all records'."""
    at = 0
    for target in step.targets[targets]:
        if target.kind == "z":  # in a block; its mean comes next
            chance = 1 - expected[:, at]
        if target.objective == "regression":
            mine = expected[:, at] if chance is None else chance * expected[:, at]
            if limited is not None:
                mine = mine * limited.nonzero[:, step.variables.index(target.variable)]
            means[target.variable][:] = mine
            chance = None
        at += target.n_classes


def nearest_centres(prepared: ReadyModel, number: int, expected: NDArray[np.float64]) -> NDArray[np.intp]:
    """Find the centre nearest to each record's expectations, which are scaled in place."""
    urn, pools = prepared.urns[number], prepared.model.steps[number].pools
    assert urn is not None
    assert pools is not None
    if len(expected) == 0:
        return np.empty(0, dtype=np.intp)
    scale_sorted(expected, pools.centre, pools.scale, urn.together)
    return nearest_one(expected, urn.index)
