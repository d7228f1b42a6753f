"""The section on data: samples, fusion variables, predictors in both surveys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusionpy.model import FusionModel
from fusionpy.model.ranges import range_of, told_range
from fusionpy.model.variables import Variable
from fusionpy.reporting.exhibits import Section, Table, plain_table
from fusionpy.reporting.numbers import count, fixed, percent, significant
from fusionpy.reporting.predictors import predictors_table
from fusionpy.reporting.samples import (
    KINDS,
    Respondents,
    blank,
    class_names,
    encode,
    levels_text,
    mean_spread,
    shares_of,
)

__all__ = ["data_section"]

LARGE_DIFFERENCE = 0.1  # standardised difference that is worth a look (Austin 2009)


def data_section(
    model: FusionModel | None,
    donor: Respondents | None,
    recipient: Respondents | None,
    labels: Mapping[str, str],
) -> Section | None:
    """Describe the samples and their variables.

    Parameters
    ----------
    model : FusionModel, optional
    donor, recipient : Respondents, optional
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
        exhibits.append(predictors_table(model, donor, recipient, labels))
        facts["compared"] = donor is not None and recipient is not None
        facts["weighted"] = any(each is not None and each.weight is not None for each in (donor, recipient))
    return Section("data", "Data", tuple(exhibits), facts)


def _samples_table(
    model: FusionModel | None, donor: Respondents | None, recipient: Respondents | None
) -> Table:
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


def _outcomes_table(model: FusionModel, donor: Respondents | None, labels: Mapping[str, str]) -> Table:
    """Describe the fusion variables, as the donors have them."""
    step_of = {name: number for number, step in enumerate(model.steps, 1) for name in step.variables}
    values: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    if donor is not None:
        matrix = encode(model, donor, [variable.name for variable in model.schema.y], "donor")
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
                "levels": levels_text(variable)
                or (None if found is None else _range_text(variable, found[0])),
                "donors": None if found is None else _profile(variable, *found),
            }
        )
    frame = pd.DataFrame(rows).dropna(axis="columns", how="all")
    headers = {
        "step": "Step",
        "variable": "Fusion variable",
        "description": "Meaning, unit",
        "kind": "Kind",
        "levels": "Levels or range",
        "donors": "Donors",
    }
    frame = frame[["variable", *(name for name in frame if name != "variable")]]
    cells = {name: blank(frame[name]) for name in ("description", "levels") if name in frame}
    note = "Variables of the same step are a block: their values come from one donor." * any(
        step.is_block for step in model.steps
    )
    return plain_table(
        "fusion variables", "The fusion variables, in the donor survey.", frame, headers, cells, note
    )


def _range_text(variable: Variable, values: NDArray[np.float64]) -> str | None:
    return told_range(range_of(values)) if variable.kind == "continuous" else None


def _profile(variable: Variable, values: NDArray[np.float64], weight: NDArray[np.float64]) -> str:
    """Say in a line how a fusion variable is distributed."""
    if variable.is_categorical:
        share = shares_of(variable, values, weight)
        names = class_names(variable)
        most = np.argsort(-share, kind="stable")[:3]
        if variable.kind == "logical":
            return f"{percent(share[1])} yes"
        listed = ", ".join(f"{names[k]} {percent(share[k])}" for k in most)
        return listed + (", …" if len(share) > len(most) else "")
    mean, spread = mean_spread(values, weight)
    zero = float(weight[values == 0].sum() / weight.sum())
    text = f"mean {significant(mean)}, SD {significant(spread)}"
    return f"{text}, {percent(zero)} zero" if zero > 0 else text
