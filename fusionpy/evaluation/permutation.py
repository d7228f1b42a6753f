"""By how much the loss on held-out donors rises when a predictor's values change hands."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusionpy.engines import find_engine
from fusionpy.engines.base import Engine, Model, Target
from fusionpy.errors import SchemaError, counted
from fusionpy.frames.tables import Table
from fusionpy.kernels.draws import calibrate
from fusionpy.kernels.losses import absolute_loss, log_loss, relative_rise, squared_loss
from fusionpy.kernels.magnitudes import binary_exponent
from fusionpy.kernels.uniforms import PERMUTE, uniforms
from fusionpy.model import FusionModel, Step
from fusionpy.model.schema import positive_weights, weight_column

__all__ = ["PERMUTATION", "HeldOut", "read_held_out", "rises"]

Array = NDArray[np.float64]
PERMUTATION = ("permutation", "permutation_se")


@dataclass(frozen=True)
class HeldOut:
    """Donors that a model was not trained on.

    Attributes
    ----------
    matrix : (n, p + q) float64
        Predictors and fusion variables, as in ``model.schema.names``.
    weight : (n,) float64
        Positive.
    """

    matrix: Array
    weight: Array


def read_held_out(model: FusionModel, table: Table, weight: str | None) -> HeldOut:
    """Read the held-out donors.

    Parameters
    ----------
    model : FusionModel
    table : Table
    weight : str or None
        Column of survey weights.

    Returns
    -------
    HeldOut
        Without those of zero weight.

    Raises
    ------
    SchemaError
        If columns are missing, or not what the model's were.
    """
    names = model.schema.names
    model.schema.check_recipient(table, names, "the model, or its fusion variables")
    weights = _weights(table, weight)
    used = np.flatnonzero(weights > 0)
    return HeldOut(model.schema.encode(table, names)[used], weights[used])


def _weights(table: Table, name: str | None) -> Array:
    """(n,) Survey weights, or 1.

    Raises
    ------
    SchemaError
        If there is no such column, or it cannot be used.
    """
    if name is None:
        return np.ones(table.n_rows)
    values = positive_weights(weight_column(table, name, "records"), name)
    if isinstance(values, str):
        hint = "Mend this column, or leave `weight` out."
        raise SchemaError("`weight` cannot be used.", [f"`{name}`: {values}."], hint)
    return values


@dataclass(frozen=True)
class _Judged:
    """One model and the held-out records that it is judged on.

    Attributes
    ----------
    rows : (r,) intp
        Records, of n.
    matrix : (r, p) float64
        Predictors in the model's order.
    truth : (r,) float64
        Classes, or values on the scale that the model predicts.
    """

    target: Target
    engine: Engine
    model: Model
    calibration: tuple[float, ...]
    rows: NDArray[np.intp]
    matrix: Array
    truth: Array

    @property
    def has_classes(self) -> bool:
        """Whether it predicts probabilities."""
        return self.target.objective in ("binary", "multiclass")

    def losses(self, matrix: Array) -> Array:
        """(r,) Loss of every record if the predictors were these."""
        found = self.engine.predict(self.model, matrix)
        if self.has_classes:
            probability = np.hstack([1 - found, found]) if found.shape[1] == 1 else found
            return log_loss(calibrate(probability, self.calibration), self.truth.astype(np.intp))
        # Only shares of losses are told; squares of very small or large numbers would vanish or overflow.
        power = -binary_exponent(self.truth)
        predicted, truth = np.ldexp(found[:, 0], power), np.ldexp(self.truth, power)
        if self.target.objective == "quantile":
            return absolute_loss(predicted, truth, self.target.alpha)
        return squared_loss(predicted, truth)


def _judged(model: FusionModel, step: Step, target: Target, held: HeldOut) -> _Judged:
    """Find the records that a model is judged on.

    Raises
    ------
    SchemaError
        If there are fewer than two.
    """
    names, variable = model.schema.names, target.variable
    values = held.matrix[:, names.index(variable)]
    is_used = ~np.isnan(values)
    is_inflated = f"{variable}_z" in step.final
    if is_inflated and target.kind != "z":
        is_used &= values != 0
    rows = np.flatnonzero(is_used)
    if len(rows) < 2:
        other = " other than 0" if is_inflated and target.kind != "z" else ""
        problem = f"`{variable}` has {counted(len(rows), 'value')}{other}; at least 2 are needed."
        raise SchemaError("`data` has too few records.", [problem], "Pass more donors of positive weight.")
    truth = values[rows]
    if target.kind == "z":
        truth = (truth == 0).astype(np.float64)
    columns = [names.index(name) for name in step.predictors]
    calibration = tuple(step.calibrations.get(target.name, ()))
    matrix = np.ascontiguousarray(held.matrix[rows][:, columns])
    if (exponents := model.schema.exponents(step.predictors)) is not None:
        matrix = np.ldexp(matrix, exponents)
    engine = find_engine(model.options.engine)
    return _Judged(target, engine, step.final[target.name], calibration, rows, matrix, truth)


def rises(
    model: FusionModel,
    held: HeldOut,
    used: pd.DataFrame,
    n_repeats: int,
    seed: int,
    cores: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Permute every predictor that a model uses.

    Parameters
    ----------
    model : FusionModel
    held : HeldOut
    used : DataFrame
        Columns `y`, `model`, `x`: which model uses which predictor.
    n_repeats, seed, cores : int

    Returns
    -------
    DataFrame
        Of every model: columns `y`, `model`, `x`, `permutation`, `permutation_se`.
    DataFrame
        Averages of a variable's models: the same without `model`.

    Raises
    ------
    SchemaError
        If a model has fewer than two records to be judged on.
    """
    rows: list[dict[str, Any]] = []
    averages: list[dict[str, Any]] = []
    for step in model.steps:
        for variable in step.variables:
            judged = [_judged(model, step, t, held) for t in step.targets if t.variable == variable]
            mine = used[used["y"] == variable]
            place = {each.target.kind: each for each in judged}
            pairs = [(place[kind], name) for kind, name in zip(mine["model"], mine["x"], strict=True)]
            before = {kind: each.losses(each.matrix) for kind, each in place.items()}
            total: dict[str, tuple[float, Array]] = {}
            for (each, name), rise in zip(
                pairs, _permuted(model, step, pairs, before, n_repeats, seed, cores), strict=True
            ):
                kind = each.target.kind
                # Log loss has no unit, and may be next to nothing: its rise is told as it is.
                unit = np.ones(len(rise)) if each.has_classes else before[kind]
                share, influence = relative_rise(rise, unit, held.weight[each.rows])
                label = {"y": variable, "model": kind, "x": name}
                rows.append({**label, **_entry(share, influence, len(influence))})
                known, spread = total.setdefault(name, (0.0, np.zeros(len(held.weight))))
                spread[each.rows] += influence / len(judged)
                total[name] = known + share / len(judged), spread
            n = max(len(each.rows) for each in judged)
            averages += [{"y": variable, "x": name, **_entry(*found, n)} for name, found in total.items()]
    return _framed(rows, ["y", "model", "x"]), _framed(averages, ["y", "x"])


def _framed(rows: list[dict[str, Any]], keys: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[*keys, *PERMUTATION])
    return frame.astype({**dict.fromkeys(keys, "str"), **dict.fromkeys(PERMUTATION, "float64")})


def _entry(share: float, influence: Array, n: int) -> dict[str, float]:
    """Tell a share, and its standard error from what each of n records does to it."""
    values = share, float(np.sqrt(n / (n - 1) * (influence @ influence)))
    return dict(zip(PERMUTATION, values, strict=True))


def _permuted(
    model: FusionModel,
    step: Step,
    pairs: list[tuple[_Judged, str]],
    before: dict[str, Array],
    n_repeats: int,
    seed: int,
    cores: int,
) -> Iterator[Array]:
    """Yield, of each pair of model and predictor, how much every record's loss rises, (r,) float64."""

    def rise(pair: tuple[_Judged, str]) -> Array:
        each, name = pair
        j, place = step.predictors.index(name), model.schema.names.index(name)
        matrix, total = each.matrix.copy(), np.zeros(len(each.rows))
        for repeat in range(n_repeats):
            # By the records' numbers, so that models of the same records see the same permutation.
            u = uniforms(seed, PERMUTE, int(each.rows[-1]) + 1, implicate=repeat, step=place)[0]
            matrix[:, j] = each.matrix[np.argsort(u[each.rows], kind="stable"), j]
            total += each.losses(matrix)
        return np.asarray(total / n_repeats - before[each.target.kind])

    with ThreadPoolExecutor(cores) as pool:
        yield from pool.map(rise, pairs)
