"""The section on data: samples, fusion variables, predictors in both surveys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusionpy.errors import SchemaError
from fusionpy.frames import Table as Survey
from fusionpy.kernels.estimates import group_moments, group_shares
from fusionpy.model import FusionModel
from fusionpy.reporting.exhibits import Section, Table, plain_table
from fusionpy.reporting.numbers import count, fixed, is_missing, percent, significant
from fusionpy.schema import Variable

__all__ = ["Sample", "data_section"]

LEVELS_MOST = 12  # of a variable, listed one by one
LARGE_DIFFERENCE = 0.1  # standardised difference that is worth a look (Austin 2009)
KINDS = {
    "continuous": "continuous",
    "ordered": "ordered categories",
    "nominal": "categories",
    "logical": "yes or no",
}


@dataclass(frozen=True)
class Sample:
    """A survey handed to the report.

    Attributes
    ----------
    table : Survey
    weight : (n,) float64 or None
        Survey weights; None: all are 1.
    """

    table: Survey
    weight: NDArray[np.float64] | None

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights, of which negative ones count as 0."""
        return np.ones(self.table.n_rows) if self.weight is None else np.maximum(self.weight, 0)


def data_section(
    model: FusionModel | None, donor: Sample | None, recipient: Sample | None, labels: Mapping[str, str]
) -> Section | None:
    """Describe the samples and their variables.

    Parameters
    ----------
    model : FusionModel, optional
    donor, recipient : Sample, optional
    labels : mapping
        What variables mean, with their units.

    Returns
    -------
    Section or None
        None if there is nothing to describe.

    Raises
    ------
    SchemaError
        If a survey's columns are not those of the model.
    """
    if model is None and donor is None and recipient is None:
        return None
    exhibits = [_samples_table(model, donor, recipient)]
    facts: dict[str, Any] = {"has_donor": donor is not None, "has_recipient": recipient is not None}
    if model is not None:
        facts["large"] = LARGE_DIFFERENCE
        exhibits.append(_outcomes_table(model, donor, labels))
        exhibits.append(_predictors_table(model, donor, recipient, labels))
        facts["compared"] = donor is not None and recipient is not None
        facts["weighted"] = any(each is not None and each.weight is not None for each in (donor, recipient))
    return Section("data", "Data", tuple(exhibits), facts)


def _samples_table(model: FusionModel | None, donor: Sample | None, recipient: Sample | None) -> Table:
    """Sizes of the samples."""
    rows: list[dict[str, Any]] = []
    used = model.n_donors if model is not None else None
    if donor is not None:
        rows.append({"survey": "Donor", **_sizes(donor.table.n_rows, donor.weight, used)})
    elif model is not None:
        rows.append({"survey": "Donor", **_sizes(None, model.weight, used, scaled=True)})
    if recipient is not None:
        rows.append({"survey": "Recipient", **_sizes(recipient.table.n_rows, recipient.weight, None)})
    frame = pd.DataFrame(rows)
    frame = frame.loc[:, frame.notna().any()]
    headers = {
        "survey": "Survey",
        "records": "Records",
        "used": "Records in training",
        "weights": "Sum of weights",
        "effective": "Effective sample size",
        "design_effect": "Design effect of weighting",
    }
    cells = {name: [count(value) for value in frame[name]] for name in frame.columns[1:]}
    if "design_effect" in frame:
        cells["design_effect"] = [fixed(value, 2) for value in frame["design_effect"]]
    return plain_table("samples", "The samples.", frame, headers, cells)


def _sizes(
    n: int | None, weight: NDArray[np.float64] | None, used: int | None, scaled: bool = False
) -> dict[str, float | None]:
    """Sizes of one sample; with `scaled` the sum of weights means nothing."""
    sizes: dict[str, float | None] = {"records": n, "used": used, "weights": None}
    sizes |= {"effective": None, "design_effect": None}
    if weight is not None and (positive := weight[weight > 0]).any():
        effective = float(positive.sum() ** 2 / (positive**2).sum())
        sizes |= {"effective": effective, "design_effect": len(positive) / effective}
        sizes["weights"] = None if scaled else float(positive.sum())
    return sizes


def _outcomes_table(model: FusionModel, donor: Sample | None, labels: Mapping[str, str]) -> Table:
    """Describe the fusion variables, as the donors have them."""
    step_of = {name: number for number, step in enumerate(model.steps, 1) for name in step.variables}
    values: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    if donor is not None:
        matrix = _encode(model, donor, [variable.name for variable in model.schema.y], "donor")
        values = {variable.name: (matrix[:, j], donor.weights) for j, variable in enumerate(model.schema.y)}
    else:
        values = {name: (model.donors[:, j], model.weight) for j, name in enumerate(model.donor_columns)}
    rows = []
    for variable in model.schema.y:
        found = values.get(variable.name)
        rows.append(
            {
                "step": step_of[variable.name],
                "variable": variable.name,
                "description": labels.get(variable.name),
                "kind": KINDS[variable.kind],
                "levels": _levels_text(variable),
                "donors": None if found is None else _profile(variable, *found),
            }
        )
    frame = pd.DataFrame(rows).dropna(axis="columns", how="all")
    headers = {
        "step": "Step",
        "variable": "Fusion variable",
        "description": "Meaning, unit",
        "kind": "Kind",
        "levels": "Levels",
        "donors": "Donors",
    }
    frame = frame[["variable", *(name for name in frame if name != "variable")]]
    cells = {name: _blank(frame[name]) for name in ("description", "levels") if name in frame}
    note = "Variables of the same step are a block: their values come from one donor." * any(
        step.is_block for step in model.steps
    )
    return plain_table(
        "fusion variables", "The fusion variables, in the donor survey.", frame, headers, cells, note
    )


def _levels_text(variable: Variable) -> str | None:
    if not variable.levels:
        return None
    link = " < " if variable.kind == "ordered" else ", "
    shown = link.join(str(level) for level in variable.levels[:LEVELS_MOST])
    more = len(variable.levels) - LEVELS_MOST
    return f"{shown} and {more} more" if more > 0 else shown


def _profile(variable: Variable, values: NDArray[np.float64], weight: NDArray[np.float64]) -> str:
    """Say in a line how a fusion variable is distributed."""
    if variable.is_categorical:
        share = _shares(variable, values, weight)
        names = _class_names(variable)
        most = np.argsort(-share, kind="stable")[:3]
        if variable.kind == "logical":
            return f"{percent(share[1])} yes"
        listed = ", ".join(f"{names[k]} {percent(share[k])}" for k in most)
        return listed + (", …" if len(share) > len(most) else "")
    mean, spread = _mean_spread(values, weight)
    zero = float(weight[values == 0].sum() / weight.sum())
    text = f"mean {significant(mean)}, SD {significant(spread)}"
    return f"{text}, {percent(zero)} zero" if zero > 0 else text


def _mean_spread(values: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[float, float]:
    """Weighted mean and standard deviation of the values that are known."""
    moments = group_moments(np.zeros(len(values), dtype=np.intp), 1, weight, values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(moments.mean[0]), float(np.sqrt(moments.spread[0] / moments.total[0]))


def _shares(
    variable: Variable, values: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weighted share of each class among the values that are known."""
    code = np.where(np.isnan(values), -1, values).astype(np.intp)
    cell = np.zeros(len(code), dtype=np.intp)
    return np.asarray(group_shares(cell, 1, weight, code, variable.n_classes).share[0])


def _class_names(variable: Variable) -> list[str]:
    return ["no", "yes"] if variable.kind == "logical" else [str(level) for level in variable.levels]


def _predictors_table(
    model: FusionModel, donor: Sample | None, recipient: Sample | None, labels: Mapping[str, str]
) -> Table:
    """List the predictors and, if both surveys are there, how alike they are."""
    headers = {
        "predictor": "Predictor",
        "description": "Meaning, unit",
        "kind": "Kind",
        "levels": "Levels",
        "level": "Level",
        "donor": "Donor",
        "recipient": "Recipient",
        "difference": "Standardised difference",
    }
    if donor is None and recipient is None:
        rows = [
            {
                "predictor": variable.name,
                "description": labels.get(variable.name),
                "kind": KINDS[variable.kind],
                "levels": _levels_text(variable),
            }
            for variable in model.schema.x
        ]
        frame = pd.DataFrame(rows).dropna(axis="columns", how="all")
        blank = {name: _blank(frame[name]) for name in ("description", "levels") if name in frame}
        return plain_table("predictors", "The predictors, which both surveys have.", frame, headers, blank)
    names = [variable.name for variable in model.schema.x]
    sides = {
        side: (_encode(model, sample, names, side), sample.weights)
        for side, sample in (("donor", donor), ("recipient", recipient))
        if sample is not None
    }
    cells: dict[str, list[str]] = {side: [] for side in (*sides, *(["difference"] * (len(sides) == 2)))}
    records: list[dict[str, Any]] = []
    for j, variable in enumerate(model.schema.x):
        stats = {
            side: _statistics(variable, matrix[:, j], weight) for side, (matrix, weight) in sides.items()
        }
        for place, level in enumerate(next(iter(stats.values()))):
            shown: dict[str, Any] = {
                "predictor": variable.name,
                "description": labels.get(variable.name),
                "level": level,
            }
            means = {side: each[level] for side, each in stats.items()}
            if level == "(missing)" and not any(mean for mean, _ in means.values()):
                continue
            if place and (variable.is_categorical or level == "(missing)"):
                shown["description"] = None
            for side, (mean, spread) in means.items():
                shown[side] = mean
                is_share = variable.is_categorical or level == "(missing)"
                cells[side].append(
                    percent(mean) if is_share else f"{significant(mean)} ({significant(spread)})"
                )
            if len(sides) == 2:
                shown["difference"] = _difference(means["donor"], means["recipient"])
                cells["difference"].append(fixed(shown["difference"], 2))
            records.append(shown)
    frame = pd.DataFrame(records).dropna(axis="columns", how="all")
    if "description" in frame:
        cells["description"] = _blank(frame["description"])
    surveys = "in both surveys" if len(sides) == 2 else f"in the {next(iter(sides))} survey"
    note = "Means with standard deviations in brackets, and shares."
    if len(sides) == 2:
        note += " Standardised difference: that of the means over the root of the mean variance."
    return plain_table("predictors", f"The predictors {surveys}.", frame, headers, cells, note, grouped=True)


def _blank(column: pd.Series) -> list[str]:
    """Write nothing where a cell holds nothing."""
    return ["" if is_missing(value) else str(value) for value in column]


def _statistics(
    variable: Variable, values: NDArray[np.float64], weight: NDArray[np.float64]
) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of a predictor, or of each of its classes' indicators."""
    missing = float(weight[np.isnan(values)].sum() / weight.sum())
    found: dict[str, tuple[float, float]] = {}
    if variable.is_categorical:
        shares = _shares(variable, values, weight)
        names = _class_names(variable)
        keep = [1] if variable.kind == "logical" else range(len(names))
        found = {names[k]: (float(shares[k]), float(np.sqrt(shares[k] * (1 - shares[k])))) for k in keep}
    else:
        found = {"": _mean_spread(values, weight)}
    return found | {"(missing)": (missing, float(np.sqrt(missing * (1 - missing))))}


def _difference(donor: tuple[float, float], recipient: tuple[float, float]) -> float:
    spread = np.sqrt((donor[1] ** 2 + recipient[1] ** 2) / 2)
    if spread == 0:
        return 0.0 if donor[0] == recipient[0] else float("nan")
    return float((recipient[0] - donor[0]) / spread)


def _encode(model: FusionModel, sample: Sample, names: list[str], argument: str) -> NDArray[np.float64]:
    """Encode a survey's columns; if they do not fit, say which survey's."""
    try:
        model.schema.check_recipient(sample.table, names, "the model")
    except SchemaError as error:
        headline = error.headline.replace("`data`", f"`{argument}`").replace("predictors", "variables")
        hint = f"Pass the survey that the model was {'trained on' if argument == 'donor' else 'made for'}."
        raise SchemaError(headline, error.problems, hint) from None
    return model.schema.encode(sample.table, names)
