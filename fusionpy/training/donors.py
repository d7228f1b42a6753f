"""The donors: their rows and weights, checked before anything is learned of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.errors import (
    Problems,
    SchemaError,
    counted,
    few,
    grouped,
    warn,
)
from fusionpy.frames.tables import Table, as_table
from fusionpy.model.areas import Area
from fusionpy.model.rules import Rule, check_donors
from fusionpy.model.schema import RECODE, UNFIT, Schema, positive_weights, weight_column
from fusionpy.training.areas import read_areas
from fusionpy.training.planning import FusionPlan

__all__ = ["FEWEST_DONORS", "FEWEST_NONZERO", "Donors", "check_rules", "read_donors"]

FEWEST_DONORS = 50

FEWEST_NONZERO = 5


@dataclass(frozen=True)
class Donors:
    """The donors that are learned from: those of positive weight.

    Attributes
    ----------
    schema : Schema
    matrix : (n, p) float64
        Columns as in ``schema.names``.
    weight : (n,) float64
        Of mean 1.
    replicates : (n, R) float64 or None
        Replicate weights over the full-sample weight.
    areas : tuple of Area
    area_codes : (a, n) intp
        Their levels of the areas.
    """

    schema: Schema
    matrix: NDArray[np.float64]
    weight: NDArray[np.float64]
    replicates: NDArray[np.float64] | None
    areas: tuple[Area, ...]
    area_codes: NDArray[np.intp]

    @property
    def x(self) -> NDArray[np.float64]:
        """Their predictors."""
        return self.matrix[:, : len(self.schema.x)]

    @property
    def y(self) -> NDArray[np.float64]:
        """Their fusion variables."""
        return self.matrix[:, len(self.schema.x) :]


def read_donors(
    data: Any,
    plan: FusionPlan,
    weight: str | None,
    replicate_weights: Sequence[str] | None,
    areas: Sequence[str] = (),
) -> Donors:
    """Take from a survey what a plan needs; refuse what cannot be learned from."""
    table = as_table(data)
    if table.n_rows < FEWEST_DONORS:
        problem = f"It has {counted(table.n_rows, 'row')}; at least {FEWEST_DONORS} donors are needed."
        raise SchemaError(UNFIT, [problem], "Pass the whole donor survey.")
    unfit = Problems(SchemaError, UNFIT, RECODE)
    weights, replicates = _weights(table, weight, replicate_weights, unfit)
    used = np.flatnonzero(weights > 0)
    learned, codes = read_areas(table, areas, used, unfit)
    schema = Schema.learn(table, plan.predictors, plan.outcomes, unfit, boosted=True)
    matrix = schema.encode(table, schema.names)[used]
    _check_enough(schema, matrix)
    weights = weights[used] / weights[used].mean()
    replicates = None if replicates is None else replicates[used]
    return Donors(schema, matrix, weights, replicates, learned, codes)


def _weights(
    table: Table, weight: str | None, replicate_weights: Sequence[str] | None, problems: Problems
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Survey weights, and replicate weights relative to them; what is wrong with them is noted."""
    if weight is None:
        return np.ones(table.n_rows), None
    roles = {weight: "weight", **dict.fromkeys(replicate_weights or (), "replicate weight")}
    columns = {name: weight_column(table, name) for name in roles}
    wrong = [(roles[name], name, each) for name, each in columns.items() if isinstance(each, str)]
    for problem in grouped(wrong):
        problems.add(problem)
    if wrong:
        return np.ones(table.n_rows), None
    given, *replicates = (each for each in columns.values() if not isinstance(each, str))
    full = positive_weights(given, weight)
    if isinstance(full, str):
        problems.add(f"weight `{weight}`: {full}.")
        return np.ones(table.n_rows), None
    if not replicates:
        return full, None
    ratio = np.stack(replicates, axis=1) / np.where(full > 0, full, 1)[:, None]
    if np.abs(ratio[full > 0] - 1).max() == 0:
        problems.add(
            "The replicate weights all equal the full-sample weight: they say nothing of the design."
        )
    return full, ratio


def _check_enough(schema: Schema, matrix: NDArray[np.float64]) -> None:
    """Refuse donors too few, or too alike, to learn from."""
    hint = "Pass more donors of positive weight, or leave these variables out of `y`."
    problems = Problems(SchemaError, UNFIT, hint)
    if (n := len(matrix)) < FEWEST_DONORS:
        problems.add(f"{counted(n, 'donor')} of positive weight; at least {FEWEST_DONORS} are needed.")
        problems.stop()
    found, constant = [], []
    for variable in schema.y:
        values = matrix[:, schema.names.index(variable.name)]
        n_nonzero = int((values != 0).sum())
        if variable.is_categorical and variable.n_classes < 2:
            found.append((variable.name, "one level only; there is nothing to learn"))
        elif (values == values[0]).all():
            constant.append(variable.name)
        elif variable.kind == "continuous" and n_nonzero < FEWEST_NONZERO:
            problem = f"only {counted(n_nonzero, 'value')} other than 0; at least {FEWEST_NONZERO} are needed"
            found.append((variable.name, problem))
    for problem in grouped(("fusion variable", name, problem) for name, problem in found):
        problems.add(problem)
    problems.stop()
    if constant:
        told = "all donors of positive weight have the same value, and so will all recipients"
        warn(f"{few(constant, '`')}: {told}.")


def check_rules(rules: Sequence[Rule], donors: Donors) -> None:
    """Refuse rules that donors break, or that their variables cannot have."""
    hint = "Fused records can only be made to obey what donors obey."
    problems = Problems(SchemaError, "`data` does not satisfy `bounds`, `identities` or `monotone`.", hint)
    check_donors(rules, donors.schema, donors.matrix, problems)
    problems.stop()
