"""What is expected of each donor by models that have not seen it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fusionpy.drawing.steps import expected_columns, simulate
from fusionpy.drawing.urns import NEVER, ReadyModel, prepare
from fusionpy.model import FusionModel

__all__ = ["Expected", "expected_by_others", "prepare_refits"]


@dataclass(frozen=True)
class Expected:
    """What is expected of some donors.

    Attributes
    ----------
    average : (n, e) float64
        A column per continuous fusion variable, one per class of the others; NaN for a donor that all refits
        saw.
    chances : mapping of str to (n,) float64
        That a zero-inflated variable is not 0.
    refits : tuple of ((m,) intp, Expected)
        The donors that each refit did not see, and what it expects of them; none if they were not asked for.
    """

    average: NDArray[np.float64]
    chances: Mapping[str, NDArray[np.float64]]
    refits: tuple[tuple[NDArray[np.intp], Expected], ...] = ()

    def some(self, rows: NDArray[np.intp]) -> Expected:
        """Take some of the donors."""
        return Expected(self.average[rows], {name: chance[rows] for name, chance in self.chances.items()})


def prepare_refits(model: FusionModel) -> ReadyModel:
    """Make ready to ask each refit for what it expects of the donors that it did not see."""
    return prepare(model, n_rows=int((model.counts == 0).sum()) // max(1, len(model.counts)))


def expected_by_others(
    model: FusionModel,
    x: NDArray[np.float64],
    seed: int,
    cores: int,
    prepared: ReadyModel | None = None,
    each: bool = False,
    areas: NDArray[np.intp] | None = None,
    true: NDArray[np.float64] | None = None,
) -> Expected:
    """Average what fusing each donor would give, by the refits that did not see it.

    Parameters
    ----------
    model : FusionModel
        With refits.
    x : (n, p) float64
        The donors' predictors.
    seed, cores : int
    prepared : ReadyModel, optional
        From `prepare_refits`, of the same model but for its effects (not their factors); worth it if there
        are several calls.
    each : bool
        Keep what each refit expects, too.
    areas : (a, n) intp, optional
        The donors' levels of the model's areas, if it has effects of theirs.
    true : (n, q) float64, optional
        What donors said: each step's expectations are then those of their true values of the steps before.

    Returns
    -------
    Expected

    Notes
    -----
    Donors outside a refit's resample have no weight in its pools, so none is drawn for itself. Of effects
    the posterior means are at work.
    """
    n_columns = sum(len(columns) for columns in expected_columns(model).values())
    inflated = [step.variables[0] for step in model.steps if step.is_inflated]
    ready = prepare_refits(model) if prepared is None else replace(prepared, model=model)

    def average(refit: int) -> tuple[NDArray[np.intp], Expected]:
        rows = np.flatnonzero(model.counts[refit] == 0)
        expected, chances = np.empty((len(rows), n_columns)), {name: np.empty(len(rows)) for name in inflated}
        weight = model.weight * np.maximum(model.counts[refit], NEVER)
        simulate(
            model,
            x[rows],
            seed=seed,
            implicate=refit,
            first=0,
            kblock=10,
            weight=weight,
            expected=expected,
            chances=chances,
            prepared=ready,
            certain=True,
            areas=None if areas is None else areas[:, rows].astype(np.int32),
            true=None if true is None else true[rows],
        )
        return rows, Expected(expected, chances)

    total, number = np.zeros((len(x), n_columns)), np.zeros(len(x))
    chance, kept = {name: np.zeros(len(x)) for name in inflated}, []
    with ThreadPoolExecutor(cores) as pool:
        for rows, found in pool.map(average, range(len(model.counts))):
            total[rows] += found.average
            number[rows] += 1
            for name in inflated:
                chance[name][rows] += found.chances[name]
            if each:
                kept.append((rows, found))
    with np.errstate(invalid="ignore"):
        times = np.where(number > 0, number, np.nan)
        chances = {name: values / times for name, values in chance.items()}
        return Expected(total / times[:, None], chances, tuple(kept))
