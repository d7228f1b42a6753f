"""Surveys handed to the report: their columns as numbers, and what is said of a variable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusionpy.errors import SchemaError
from fusionpy.frames.tables import Table as Survey
from fusionpy.kernels.estimates import group_moments, group_shares
from fusionpy.model import FusionModel
from fusionpy.model.variables import Variable
from fusionpy.reporting.numbers import is_missing

__all__ = [
    "KINDS",
    "Respondents",
    "blank",
    "class_names",
    "encode",
    "levels_text",
    "mean_spread",
    "shares_of",
]

LEVELS_MOST = 12  # of a variable, listed one by one
KINDS = {
    "continuous": "quantity",
    "ordered": "ordered categories",
    "nominal": "unordered categories",
    "logical": "yes or no",
}


@dataclass(frozen=True)
class Respondents:
    """A survey handed to the report.

    Attributes
    ----------
    table : Survey
    weight : (n,) float64 or None
        Survey weights, none negative; None: all are 1.
    """

    table: Survey
    weight: NDArray[np.float64] | None

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights, or 1."""
        return np.ones(self.table.n_rows) if self.weight is None else self.weight


def levels_text(variable: Variable) -> str | None:
    """List a variable's levels, the first dozen of them."""
    if not variable.levels:
        return None
    link = " < " if variable.kind == "ordered" else ", "
    shown = link.join(str(level) for level in variable.levels[:LEVELS_MOST])
    more = len(variable.levels) - LEVELS_MOST
    return f"{shown} and {more} more" if more > 0 else shown


def mean_spread(values: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[float, float]:
    """Weighted mean and standard deviation of the values that are known."""
    moments = group_moments(np.zeros(len(values), dtype=np.intp), 1, weight, values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(moments.mean[0]), float(np.sqrt(moments.spread[0] / moments.total[0]))


def shares_of(
    variable: Variable, values: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted share of each class among the values that are known."""
    code = np.where(np.isnan(values), -1, values).astype(np.intp)
    cell = np.zeros(len(code), dtype=np.intp)
    return np.asarray(group_shares(cell, 1, weight, code, variable.n_classes).share[0])


def class_names(variable: Variable) -> list[str]:
    """Name the classes of a categorical or logical variable."""
    return ["no", "yes"] if variable.kind == "logical" else [str(level) for level in variable.levels]


def blank(column: pd.Series) -> list[str]:
    """Write nothing where a cell holds nothing."""
    return ["" if is_missing(value) else str(value) for value in column]


def encode(model: FusionModel, sample: Respondents, names: list[str], argument: str) -> NDArray[np.float64]:
    """Encode a survey's columns; if they do not fit, say which survey's."""
    try:
        model.schema.check_recipient(sample.table, names, "the model")
    except SchemaError as error:
        headline = error.headline.replace("`data`", f"`{argument}`").replace("predictors", "variables")
        hint = f"Pass the survey that the model was {'trained on' if argument == 'donor' else 'made for'}."
        raise SchemaError(headline, error.problems, hint) from None
    return model.schema.encode(sample.table, names)
