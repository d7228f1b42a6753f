"""The commands that tell of a model: `info` and `importance`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import fusionpy
from fusionpy.cli.declared import Declared
from fusionpy.cli.surveys import open_survey
from fusionpy.cli.tables import TABLE_ENDINGS, lay_out, write_table
from fusionpy.errors import Problems
from fusionpy.figures.layout import Grid
from fusionpy.formats.atomic import check_writable
from fusionpy.model.archive.r_writing import obstacles

__all__ = ["importance", "info"]


def info(problems: Problems, *, fsn: str, as_json: bool) -> None:
    """Show a model's steps, rounds, losses, pools and options."""
    model = fusionpy.read_fsn(fsn)
    about = model.describe()
    if as_json:
        known = {name: each for name, each in model.ranges.items() if not model.schema[name].is_categorical}
        variables = [
            {"name": v.name, "role": role, "kind": v.kind, "levels": list(v.levels)}
            | ({"range": [known[v.name].low, known[v.name].high]} if v.name in known else {})
            for role, those in (("x", model.schema.x), ("y", model.schema.y))
            for v in those
        ]
        more = {"variables": variables, "models": model.summary(), "not_for_r": obstacles(model)}
        print(json.dumps(_plain(about | more), indent=2))
        return
    print(model)
    options = about["options"]
    named = {
        "options": {name: value for name, value in options.items() if name != "hyper"},
        "hyper": options["hyper"],
        "versions": about["versions"],
    }
    rows = [
        (title, ", ".join(f"{name}\xa0{_plain(value)}" for name, value in items.items()))
        for title, items in named.items()
    ]
    rows += [("not for R", obstacle) for obstacle in obstacles(model)]
    print("\n" + Grid(("how", ""), tuple(rows), (False, False)).text())


def importance(
    problems: Problems,
    *,
    fsn: str,
    data: str | None,
    weight: str | None,
    out: str | None,
    declared: Declared,
    **rest: Any,
) -> None:
    """Show what predictors are worth to a model: gain, cover, frequency, and permutation on request."""
    if declared and data is None:
        problems.add("`--ordered`, `--nominal`, `--text` and `--missing` are for `--data`.")
    problems.stop()
    inputs = {"fsn": fsn, "--data": data}
    target = check_writable(out, "--out", TABLE_ENDINGS, inputs) if out is not None else None
    model = fusionpy.read_fsn(fsn)
    donors = None
    if data is not None:
        survey = open_survey(data)
        known = {v.name: v for v in (*model.schema.x, *model.schema.y)}
        learned = {name: v for name, v in known.items() if name not in declared.ordered}
        donors = survey.read([*known, *([weight] if weight else [])], declared, learned)
    table = fusionpy.importance(model, data=donors, weight=weight, **rest)
    print(lay_out(table).text())
    if target is not None:
        write_table(table, target)


def _plain(value: Any) -> Any:
    """Make data fit for JSON: lists for tuples, null for NaN."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
