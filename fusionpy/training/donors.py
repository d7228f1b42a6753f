"""The donors: their rows and weights, checked before anything is learned of them."""

from __future__ import annotations

from collections.abc import Sequence

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
from fusionpy.frames.tables import Table
from fusionpy.model.rules import Rule, check_donors
from fusionpy.model.schema import UNFIT, Schema, positive_weights, weight_column

__all__ = ["check_enough", "check_rows", "check_rules", "donor_weights"]

FEWEST_DONORS = 50

FEWEST_NONZERO = 5


def check_rows(table: Table) -> None:
    """Refuse too few donors."""
    if table.n_rows < FEWEST_DONORS:
        problem = f"It has {counted(table.n_rows, 'row')}; at least {FEWEST_DONORS} donors are needed."
        raise SchemaError(UNFIT, [problem], "Pass the whole donor survey.")


def donor_weights(
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


def check_enough(schema: Schema, matrix: NDArray[np.float64]) -> None:
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


def check_rules(rules: Sequence[Rule], schema: Schema, matrix: NDArray[np.float64]) -> None:
    """Refuse rules that donors break, or that their variables cannot have."""
    hint = "Fused records can only be made to obey what donors obey."
    problems = Problems(SchemaError, "`data` does not satisfy `bounds`, `identities` or `monotone`.", hint)
    check_donors(rules, schema, matrix, problems)
    problems.stop()
