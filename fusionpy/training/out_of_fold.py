"""What is expected of each donor by models that have not seen it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from fusionpy.drawing.steps import expected_columns, simulate
from fusionpy.drawing.urns import NEVER, prepare
from fusionpy.model import FusionModel

__all__ = ["expected_by_others"]


def expected_by_others(
    model: FusionModel, x: NDArray[np.float64], seed: int, cores: int
) -> NDArray[np.float64]:
    """Average what fusing each donor would give, by the refits that did not see it.

    Parameters
    ----------
    model : FusionModel
        With refits.
    x : (n, p) float64
        The donors' predictors.
    seed, cores : int

    Returns
    -------
    (n, e) float64
        A column per continuous fusion variable, one per class of the others; NaN for a donor that all refits
        saw.

    Notes
    -----
    Donors outside a refit's resample have no weight in its pools, so none is drawn for itself.
    """
    n_columns = sum(len(columns) for columns in expected_columns(model).values())
    prepared = prepare(model, n_rows=int((model.counts == 0).sum()) // max(1, len(model.counts)))

    def average(refit: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        rows = np.flatnonzero(model.counts[refit] == 0)
        expected = np.empty((len(rows), n_columns))
        weight = model.weight * np.maximum(model.counts[refit], NEVER)
        how = {"seed": seed, "implicate": refit, "first": 0, "kblock": 10}
        simulate(model, x[rows], weight=weight, expected=expected, prepared=prepared, **how)
        return rows, expected

    total, number = np.zeros((len(x), n_columns)), np.zeros(len(x))
    with ThreadPoolExecutor(cores) as pool:
        for rows, expected in pool.map(average, range(len(model.counts))):
            total[rows] += expected
            number[rows] += 1
    with np.errstate(invalid="ignore"):
        return np.asarray(total / np.where(number > 0, number, np.nan)[:, None])
