"""The table of predictors: what they are, and how alike donors and recipients are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusionpy.kernels.distances import kolmogorov, total_variation
from fusionpy.model import FusionModel
from fusionpy.model.ranges import Range, learn_ranges, strangers, tally, told_range
from fusionpy.model.variables import Variable
from fusionpy.reporting.exhibits import Table, plain_table
from fusionpy.reporting.numbers import fixed, percent, significant
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

__all__ = ["predictors_table"]

Array = NDArray[np.float64]

HEADERS = {
    "predictor": "Predictor",
    "description": "Meaning, unit",
    "kind": "Kind",
    "levels": "Levels",
    "level": "Level",
    "donor": "Donor",
    "recipient": "Recipient",
    "difference": "Standardised difference",
    "distance": "Rank distance",
}


def predictors_table(
    model: FusionModel,
    donor: Respondents | None,
    recipient: Respondents | None,
    labels: Mapping[str, str],
) -> Table:
    """List the predictors and, if both surveys are there, how alike they are.

    Parameters
    ----------
    model : FusionModel
    donor, recipient : Respondents, optional
    labels : mapping
        What variables mean.

    Returns
    -------
    Table
        Predictors of which recipients have what donors have not are in bold.
    """
    if donor is None and recipient is None:
        return _plain(model, labels)
    names = [variable.name for variable in model.schema.x]
    sides = {
        side: (encode(model, sample, names, side), sample.weights)
        for side, sample in (("donor", donor), ("recipient", recipient))
        if sample is not None
    }
    ranges = model.ranges
    if not ranges and "donor" in sides:
        ranges = learn_ranges(model.schema, sides["donor"][0])
    strange = _strange(model, ranges, *sides["recipient"]) if "recipient" in sides else {}
    cells: dict[str, list[str]] = {side: [] for side in sides}
    records: list[dict[str, Any]] = []
    for j, variable in enumerate(model.schema.x):
        columns = {side: (matrix[:, j], weight) for side, (matrix, weight) in sides.items()}
        records += _rows(variable, columns, told_range(ranges.get(variable.name)), labels, cells)
    frame = pd.DataFrame(records).dropna(axis="columns", how="all")
    frame = frame[[name for name in HEADERS if name in frame]]
    cells |= {name: blank(frame[name]) for name in ("description", "kind", "level") if name in frame}
    for name in ("difference", "distance"):
        if name in frame:
            cells[name] = [
                fixed(value, 2) if name in row else ""
                for row, value in zip(records, frame[name], strict=True)
            ]
    surveys = "in both surveys" if len(sides) == 2 else f"in the {next(iter(sides))} survey"
    table = plain_table(
        "predictors",
        f"The predictors {surveys}.",
        frame,
        HEADERS,
        cells,
        _note(len(sides) == 2, strange),
        grouped=True,
    )
    return replace(
        table, bold=frozenset(row for row, name in enumerate(frame["predictor"]) if name in strange)
    )


def _plain(model: FusionModel, labels: Mapping[str, str]) -> Table:
    """List the predictors as the model knows them."""
    rows = [
        {
            "predictor": variable.name,
            "description": labels.get(variable.name),
            "kind": KINDS[variable.kind],
            "levels": levels_text(variable) or told_range(model.ranges.get(variable.name)),
        }
        for variable in model.schema.x
    ]
    frame = pd.DataFrame(rows).dropna(axis="columns", how="all")
    cells = {name: blank(frame[name]) for name in ("description", "levels") if name in frame}
    headers = HEADERS | {"levels": "Levels or range"}
    return plain_table("predictors", "The predictors, which both surveys have.", frame, headers, cells)


def _rows(
    variable: Variable,
    columns: Mapping[str, tuple[Array, Array]],
    told: str | None,
    labels: Mapping[str, str],
    cells: Mapping[str, list[str]],
) -> list[dict[str, Any]]:
    """Describe a predictor: a row for a number, for the levels one each, and for missing values."""
    stats = {side: _statistics(variable, *column) for side, column in columns.items()}
    rows: list[dict[str, Any]] = []
    for level in next(iter(stats.values())):
        means = {side: each[level] for side, each in stats.items()}
        if level == "(missing)" and not any(mean for mean, _ in means.values()):
            continue
        shown: dict[str, Any] = {"predictor": variable.name, "level": level}
        if not rows:
            shown["description"] = labels.get(variable.name)
            shown["kind"] = KINDS[variable.kind] + (f", {told}" if told else "")
        is_share = variable.is_categorical or level == "(missing)"
        for side, (mean, spread) in means.items():
            shown[side] = mean
            cells[side].append(percent(mean) if is_share else f"{significant(mean)} ({significant(spread)})")
        if len(columns) == 2:
            shown["difference"] = _difference(means["donor"], means["recipient"])
            if not rows:
                shown["distance"] = _distance(variable, *columns["donor"], *columns["recipient"])
        rows.append(shown)
    return rows


def _strange(model: FusionModel, ranges: Mapping[str, Range], matrix: Array, weight: Array) -> dict[str, str]:
    """Find the predictors of which recipients, by weight, have what donors have not."""
    tallies = {
        variable.name: tally(ranges[variable.name], matrix[:, j], weight)
        for j, variable in enumerate(model.schema.x)
        if variable.name in ranges
    }
    return strangers(ranges, tallies, model.n_donors)


def _note(compared: bool, strange: Mapping[str, str]) -> str:
    parts = ["Means with standard deviations in brackets, and shares."]
    if compared:
        parts += [
            "Standardised difference: that of the means over the root of the mean variance.",
            "Rank distance: the largest difference between the cumulative distributions (Kolmogorov and"
            " Smirnov’s); of unordered categories, the share that would have to change.",
        ]
    if strange:
        told = "; ".join(f"{name}: {what}" for name, what in strange.items())
        parts.append(f"In bold: recipients unlike the donors. {told}.")
    return " ".join(parts)


def _distance(variable: Variable, donor: Array, v: Array, recipient: Array, w: Array) -> float:
    """Distance of two weighted samples, of the values that are known."""
    a, b = (there & (weight > 0) for there, weight in ((~np.isnan(donor), v), (~np.isnan(recipient), w)))
    if not a.any() or not b.any():
        return float("nan")
    if variable.kind == "nominal":
        return total_variation(shares_of(variable, donor, v), shares_of(variable, recipient, w))
    return kolmogorov(donor[a], v[a], recipient[b], w[b])


def _statistics(variable: Variable, values: Array, weight: Array) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of a predictor, or of each of its classes' indicators."""
    missing = float(weight[np.isnan(values)].sum() / weight.sum())
    found: dict[str, tuple[float, float]] = {}
    if variable.is_categorical:
        shares = shares_of(variable, values, weight)
        names = class_names(variable)
        keep = [1] if variable.kind == "logical" else range(len(names))
        found = {names[k]: (float(shares[k]), float(np.sqrt(shares[k] * (1 - shares[k])))) for k in keep}
    else:
        found = {"": mean_spread(values, weight)}
    return found | {"(missing)": (missing, float(np.sqrt(missing * (1 - missing))))}


def _difference(donor: tuple[float, float], recipient: tuple[float, float]) -> float:
    spread = np.sqrt((donor[1] ** 2 + recipient[1] ** 2) / 2)
    if spread == 0:
        return 0.0 if donor[0] == recipient[0] else float("nan")
    return float((recipient[0] - donor[0]) / spread)
