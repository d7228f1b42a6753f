"""What the rules leave of a recipient's donors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.drawing.urns import ReadyModel
from fusionpy.model import FusionModel, Step
from fusionpy.model.rules import allowed, limits

__all__ = ["Limits", "Records", "limits_of"]


class Records:
    """Some recipients in one implicate; what is known of them grows step by step."""

    def __init__(
        self,
        prepared: ReadyModel,
        codes: NDArray[Any],
        values: NDArray[np.float64],
        areas: NDArray[np.int32],
        true: NDArray[np.float64] | None = None,
    ) -> None:
        model, self._coding = prepared.model, prepared.predictions.coding
        self.n_rows = codes.shape[1]
        self.codes = np.empty((len(self._coding.names), self.n_rows), dtype=self._coding.dtype)
        self.codes[: len(codes)] = codes
        self.areas, self._true = areas, true
        self.drawn = np.empty((len(model.schema.y), self.n_rows))
        self._y = {variable.name: j for j, variable in enumerate(model.schema.y)}
        given = zip(prepared.rule_columns, values, strict=True)
        x = zip((variable.name for variable in model.schema.x), codes, strict=True)
        self._x = dict(x if self._coding.cuts is None else given)

    @property
    def coded(self) -> tuple[NDArray[Any], NDArray[np.int32]]:
        """Codes of columns and of areas, by which effects are added."""
        return self.codes, self.areas

    def column(self, name: str) -> NDArray[np.float64]:
        """Values, or level codes, of a variable that is known."""
        found = self.drawn[self._y[name]] if name in self._y else self._x[name]
        return np.asarray(found)

    def learn(self, name: str, values: NDArray[np.float64], codes: NDArray[Any] | None = None) -> None:
        """Take what was drawn of a variable; its codes as a predictor too, if they are known.

        Or what is true of it, where that is known.
        """
        if self._true is not None:
            values, codes = self._true[self._y[name]], None
        self.drawn[self._y[name]] = values
        if name in self._coding.names:
            place = self._coding.names.index(name)
            self.codes[place] = self._coding.encode(name, self.column(name)) if codes is None else codes


@dataclass(frozen=True)
class Limits:
    """What rules demand of the records of one step.

    Attributes
    ----------
    low, high : (n, q) float64
        Least and most of each of the step's variables.
    nonzero : (n, q) bool
        Whether a variable may be other than 0.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    nonzero: NDArray[np.bool_]

    def fit(self, values: NDArray[np.float64], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Tell the records whose drawn values are all within their bounds."""
        return np.asarray(((values >= self.low[rows]) & (values <= self.high[rows])).all(axis=1))


def limits_of(model: FusionModel, step: Step, records: Records) -> Limits | None:
    """Find what rules demand of a step, given what is known by then; None if nothing."""
    mine = [rule for rule in model.rules if rule.variable in step.variables]
    if not any(rule.kind in ("most", "least", "zero") for rule in mine):
        return None
    shape = records.n_rows, len(step.variables)
    found = Limits(np.full(shape, -np.inf), np.full(shape, np.inf), np.ones(shape, dtype=bool))
    for j, variable in enumerate(step.variables):
        bounds = limits(mine, variable, step.variables, records.column, records.n_rows)
        if bounds is not None:
            found.low[:, j], found.high[:, j] = bounds
            if "int" in model.schema[variable].storage:  # a bound that is taken itself must be whole
                found.low[:, j], found.high[:, j] = np.ceil(bounds[0]), np.floor(bounds[1])
        for rule in mine:
            if rule.kind == "zero" and rule.variable == variable and rule.other not in step.variables:
                found.nonzero[:, j] &= allowed(rule, records.column, model.schema)
    return found
