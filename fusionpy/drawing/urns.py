"""Urns: the donors of each centre, with the weights by which they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.drawing.predictions import Predictions, prepare_predictions, stand_ins_of
from fusionpy.drawing.shifts import Shift, draw_shifts
from fusionpy.errors import ArgumentError
from fusionpy.kernels.clusters import Index, index_points
from fusionpy.kernels.draws import running_totals
from fusionpy.kernels.scaling import quantile_columns
from fusionpy.kernels.strata import redraw_factors
from fusionpy.kernels.uniforms import REWEIGHT, uniforms
from fusionpy.model import FusionModel, Pools, Step

__all__ = [
    "NEVER",
    "ReadyModel",
    "Urn",
    "Weights",
    "draw_weights",
    "drawn_by_record",
    "pool_means",
    "prepare",
    "weigh",
]

NEVER = 1e-9  # weight of donors outside a refit's resample: drawn only if a pool holds no other


@dataclass(frozen=True)
class Urn:
    """The pools of one step, ready to be drawn from.

    Attributes
    ----------
    index : Index
        Of the centres.
    together : sequence of sequence of int
        Expectations that are sorted within a record.
    start : (c + 1,) intp
    member : (m,) intp
    donors : (d, q) float64
        The donors' values of the step's variables.
    codes : sequence of (d,), or None
        The same as predictors; None for a variable that predicts nothing.
    """

    index: Index
    together: Sequence[Sequence[int]]
    start: NDArray[np.intp]
    member: NDArray[np.intp]
    donors: NDArray[np.float64]
    codes: Sequence[NDArray[Any] | None]


@dataclass(frozen=True)
class ReadyModel:
    """A model made ready to draw from, by `prepare`.

    Attributes
    ----------
    model : FusionModel
    predictions : Predictions
    urns : tuple of _Urn or None
        Of each step; None for a categorical variable on its own.
    """

    model: FusionModel
    predictions: Predictions
    urns: tuple[Urn | None, ...]

    @property
    def rule_columns(self) -> tuple[str, ...]:
        """Predictors of which rules want the values, not the codes; none if they are not coded."""
        if self.predictions.coding.cuts is None:
            return ()
        asked = {name for rule in self.model.rules for name in rule.names}
        return tuple(variable.name for variable in self.model.schema.x if variable.name in asked)


@dataclass(frozen=True)
class Weights:
    """What is drawn once for an implicate, by `weigh`: weights of donors, and effects.

    Attributes
    ----------
    weight : (d,) float64
    totals : tuple of (m,) float64 or None
        Of each step, added up within its pools.
    shifts : tuple of Shift or None
        Of each step, by its effects.
    """

    weight: NDArray[np.float64]
    totals: tuple[NDArray[np.float64] | None, ...]
    shifts: tuple[Shift | None, ...]


def prepare(
    model: FusionModel,
    *,
    implicates: Sequence[int] | None = None,
    kblock: int = 10,
    n_rows: int | None = None,
) -> ReadyModel:
    """Do once what all draws from a model need.

    Parameters
    ----------
    model : FusionModel
    implicates : sequence of int, optional
        Those that are going to be drawn, from 0; any, if they are not given.
    kblock : int
        Donors in a block's pools.
    n_rows : int, optional
        Number of records that each of its stand-ins is going to predict, of all implicates together. Without
        it, or if they are few, the engine itself predicts.

    Returns
    -------
    ReadyModel
    """
    predictions = prepare_predictions(model, stand_ins_of(model, implicates), n_rows)
    return ReadyModel(
        model, predictions, tuple(_urn(model, step, kblock, predictions) for step in model.steps)
    )


def _urn(model: FusionModel, step: Step, kblock: int, predictions: Predictions) -> Urn | None:
    pools = step.pools
    if pools is None:
        return None
    if step.is_block and pools.sizes.min() < min(kblock, model.n_donors):
        kept = int(pools.sizes.min())
        problem = f"`kblock` is {kblock}, but the model keeps {kept} donors for each centre of a block."
        raise ArgumentError("Blocks cannot be drawn.", [problem], f"Pass `kblock={kept}` at most.")
    start, member = _members(pools, kblock if step.is_block else None)
    donors = model.donors[:, [model.donor_columns.index(variable) for variable in step.variables]]
    coding = predictions.coding
    codes = [
        coding.encode(name, np.ascontiguousarray(donors[:, j])) if name in coding.names else None
        for j, name in enumerate(step.variables)
    ]
    together = quantile_columns(pools.columns) if model.options.sort_quantiles else []
    return Urn(index_points(pools.centres), together, start, member, donors, codes)


def weigh(
    prepared: ReadyModel,
    weight: NDArray[np.float64],
    seed: int,
    implicate: int,
    certain: bool = False,
    unseen: Sequence[NDArray[np.uint64]] = (),
) -> Weights:
    """Add up donors' weights in all pools, and draw the effects.

    Parameters
    ----------
    prepared : ReadyModel
    weight : (d,) float64
        From `draw_weights`.
    seed, implicate : int
    certain : bool
        Take the effects' posterior means instead of drawing them.
    unseen : sequence of (u,) uint64
        Of each area the keys of levels that no donor has.

    Returns
    -------
    Weights
    """
    totals = (None if urn is None else running_totals(urn.start, urn.member, weight) for urn in prepared.urns)
    coding = prepared.predictions.coding
    shifts = draw_shifts(prepared.model, coding, seed, implicate, certain, unseen)
    return Weights(weight, tuple(totals), shifts)


def draw_weights(model: FusionModel, seed: int, implicate: int) -> NDArray[np.float64]:
    """Weights by which donors are drawn in one implicate.

    Parameters
    ----------
    model : FusionModel
    seed : int
    implicate : int
        From 0.

    Returns
    -------
    (n,) float64
        Positive. Survey weights; times the counts of the implicate's refit; or, if they are redrawn, times
        standard exponentials, which may follow those counts.

    Notes
    -----
    Exponentials that follow the counts give wider and more honest margins (`validation/coverage`), but
    implicates of one refit are then more alike: the held-out CRPS of kwh rises by 0.9 %.
    """
    refits = model.options.refits
    counts = model.counts[implicate % refits] if refits else None
    factor = np.ones(model.n_donors) if counts is None else counts
    if model.options.redraw:
        u = uniforms(seed, REWEIGHT, model.n_donors, implicate=implicate)[0]
        factor = redraw_factors(u, counts if model.options.follow else None)
    return np.asarray(model.weight * np.maximum(factor, NEVER))


def drawn_by_record(model: FusionModel, with_refits: bool = False) -> FusionModel:
    """Let donors be drawn by survey weight, as if pool weights were redrawn for each record by itself.

    Parameters
    ----------
    model : FusionModel
    with_refits : bool
        Draw one of the refits for each record and step, too, not one for all of an implicate.

    Returns
    -------
    FusionModel
        The same but for its options and counts.
    """
    options = replace(model.options, redraw=False, refits=0 if with_refits else model.options.refits)
    return replace(model, options=options, counts=np.ones_like(model.counts))


def _members(pools: Pools, kblock: int | None) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Boundaries and donors of the pools, of a block's only the nearest donors."""
    if kblock is None:
        return pools.start, pools.member
    size = int(pools.sizes[0])  # of a block all pools are of one size
    first = pools.member.reshape(-1, size)[:, :kblock]
    return np.arange(len(first) + 1) * first.shape[1], np.ascontiguousarray(first).ravel()


def pool_means(
    model: FusionModel,
    step: Step,
    start: NDArray[np.intp],
    member: NDArray[np.intp],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Average a step's variables over each pool: means, and shares of every class."""
    total = np.add.reduceat(weight[member], start[:-1])
    columns = []
    for variable in step.variables:
        values = model.donors[member, model.donor_columns.index(variable)]
        n_classes = model.schema[variable].n_classes
        each = [values == c for c in range(n_classes)] if n_classes else [values]
        columns += [np.add.reduceat(weight[member] * value, start[:-1]) / total for value in each]
    return np.stack(columns, axis=1)
