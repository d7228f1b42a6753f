"""What models predict of held-out records, beside what is drawn of them: where means and tails are lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from fusionpy.drawing.predictions import stand_ins_of
from fusionpy.drawing.steps import simulate
from fusionpy.drawing.urns import draw_weights, prepare
from fusionpy.evaluation.columns import Array
from fusionpy.evaluation.scorecard import FUSED, PREDICTED, Scorecard
from fusionpy.frames.tables import as_table
from fusionpy.kernels.marginals import top_share
from fusionpy.model import FusionModel
from fusionpy.model.areas import code_areas

__all__ = ["predicted_means", "with_predicted"]


def predicted_means(model: FusionModel, records: pa.Table, M: int, seed: int) -> dict[str, Array]:
    """Average what the models of the first implicates predict, one of each stand-in.

    Parameters
    ----------
    model : FusionModel
    records : pyarrow.Table
        That `fuse` has taken.
    M : int
        Implicates that were drawn.
    seed : int
        Of their draws: steps see the same values of those before them.

    Returns
    -------
    dict of str to (n,) float64
        Of each continuous fusion variable.
    """
    names = [variable.name for variable in model.schema.x]
    table = as_table(records)
    x = model.schema.encode(table, names)
    areas, coder = code_areas(model.areas, table)
    implicates = range(min(M, len(stand_ins_of(model))))
    prepared = prepare(model, implicates=implicates, n_rows=len(x))
    total = {v.name: np.zeros(len(x)) for v in model.schema.y if not v.is_categorical}
    for implicate in implicates:
        means = {name: np.zeros(len(x)) for name in total}
        weight = draw_weights(model, seed, implicate)
        simulate(
            model,
            x,
            seed=seed,
            implicate=implicate,
            first=0,
            kblock=10,
            weight=weight,
            means=means,
            prepared=prepared,
            areas=areas,
            unseen=coder.unseen(),
        )
        for name, found in means.items():
            total[name] += found / len(implicates)
    return total


def with_predicted(
    card: Scorecard, truth: Mapping[str, Array], predicted: Mapping[str, Array], weight: Array
) -> Scorecard:
    """Add to a scorecard the mean of what is predicted, and what the highest hundredth has of its total.

    Parameters
    ----------
    card : Scorecard
    truth, predicted : mapping of str to (n,) float64
    weight : (n,) float64

    Returns
    -------
    Scorecard
        With rows of the way "predicted", behind those that are fused: relative to the truth.
    """
    fused = card.table[card.table["way"] == FUSED]
    rows = fused[fused["measure"].isin(["mean", "top1"]) & fused["y"].isin(list(predicted))].copy()
    rows["way"] = PREDICTED
    rows["value"] = [
        value
        if np.isnan(value)  # not defined for draws either
        else _measure(measure, predicted[y], weight) / _measure(measure, truth[y], weight)
        for y, measure, value in rows[["y", "measure", "value"]].itertuples(index=False)
    ]
    others = card.table[card.table["way"] != FUSED]
    return replace(card, table=pd.concat([fused, rows, others], ignore_index=True))


def _measure(measure: str, values: Array, weight: Array) -> float:
    return float(np.average(values, weights=weight) if measure == "mean" else top_share(values, weight))
