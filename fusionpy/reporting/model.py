"""The sections on the model, and on what its predictors are worth."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fusionpy.engines import USUAL_ENGINE, find_engine
from fusionpy.evaluation.importances import importance
from fusionpy.figures import svg_text
from fusionpy.figures.charts import effect_dots, importance_bars
from fusionpy.kernels.scaling import percentiles
from fusionpy.model import FusionModel
from fusionpy.model.options import METHODS, Options, usual_options
from fusionpy.reporting.exhibits import Figure, Section, Table, chunks, in_parts, plain_table
from fusionpy.reporting.numbers import count, fixed, percent, significant

__all__ = ["importance_section", "model_section", "train_call"]

LOSSES = {
    "binary": "log loss",
    "multiclass": "log loss",
    "regression": "squared error",
    "quantile": "pinball loss",
}
STEP_HEADERS = {
    "variable": "Fusion variable",
    "step": "Step",
    "type": "Type",
    "model": "Model of",
    "loss_kind": "Loss",
    "loss": "Validation loss",
    "rounds": "Rounds",
    "pool_median": "Donors in pools",
    "r2": "R²",
}
COLUMNS_MOST = 8  # fusion variables across a table
PANELS_MOST = 6  # fusion variables in a figure
BARS_MOST = 10  # predictors in a panel
EFFECTS_MOST = 6  # predictors in a panel of effects
WIDTH = 7.0  # inches


def model_section(model: FusionModel) -> Section:
    """Describe the trained model.

    Parameters
    ----------
    model : FusionModel

    Returns
    -------
    Section
    """
    facts = {
        "method": model.options.method,
        "n_steps": len(model.steps),
        "n_models": sum(len(step.targets) for step in model.steps),
        "refits": model.options.refits,
        "design": model.options.follow,
        "has_pools": any(step.pools is not None for step in model.steps),
    }
    effects = _effects_figures(model)
    facts["effects"] = bool(effects)
    exhibits: tuple[Table | Figure, ...] = (
        _steps_table(model),
        *effects,
        _settings_table(model),
        _hyper_table(model),
    )
    return Section("model", "Model", exhibits, facts)


def _effects_figures(model: FusionModel) -> list[Figure]:
    """Show between the levels of which predictors models missed differences, and how large ones."""
    rows: list[tuple[str, str, float]] = []
    told: dict[str, list[str]] = {}
    for step in model.steps:
        if step.effects is None:
            continue
        for missed, line in zip(
            step.effects.missed(model.schema), step.effects.told(model.schema), strict=True
        ):
            panel = f"{missed.of.split(', class ')[0]} ({missed.scale})"
            told.setdefault(panel, []).append(line)
            rows += [(panel, x, sd) for x, sd in missed.sds.items()]
    if not rows:
        return []
    table = pd.DataFrame(rows, columns=["panel", "x", "sd"])
    table["largest"] = table.groupby(["panel", "x"])["sd"].transform("max")
    table = table.sort_values("largest", ascending=False, kind="stable")
    shown = table.groupby("panel")["x"].transform(lambda x: pd.factorize(x)[0]) < EFFECTS_MOST
    parts = chunks([panel for panel in told if panel in set(table["panel"])], PANELS_MOST)
    found = []
    for number, panels in enumerate(parts, 1):
        some = table[shown & table["panel"].isin(panels)]
        some = some.sort_values("panel", key=lambda column: column.map(panels.index), kind="stable")
        figure, height = effect_dots(some)
        caption = "Effects: what models missed of the differences between a predictor’s levels, by model."
        alt = "Dots. " + "; ".join(line for panel in panels for line in told[panel]) + "."
        svg = svg_text(figure, WIDTH, height)
        found.append(Figure(f"effects-{number}", in_parts(caption, number, len(parts)), alt, (svg,)))
    return found


def _model_name(kind: str, objective: str, alpha: float) -> str:
    if kind == "z":
        return "whether it is zero"
    if objective in ("binary", "multiclass"):
        return "class probabilities"
    return "mean" if kind == "m" else f"percentile {significant(100 * alpha)}"


def _steps_table(model: FusionModel) -> Table:
    summary = model.summary()
    firsts = _firsts(model, summary)
    frame = pd.DataFrame(_steps_rows(model, summary, firsts))
    frame["r2"] = frame["r2"].astype(np.float64)
    shown = frame.drop(columns=["pool_least", "pool_most"])
    pools = [_pools_told(row) if is_first else "" for row, is_first in zip(summary, firsts, strict=True)]
    cells = {
        "pool_median": pools,
        **{name: [text.replace(" ", "\u00a0") for text in frame[name]] for name in ("model", "loss_kind")},
        "r2": ["" if value != value else fixed(value, 3) for value in frame["r2"]],
    }
    note = (
        "Rounds and loss are those of cross-validation. Donors in pools: median, least and most. R²: share "
        "of the variance of the centres’ expected values that the means of their pools explain."
    )
    if any(step.is_block for step in model.steps):
        note += " A block’s pools are kept this large; fuse(kblock=) says how much of them is used."
    table = plain_table(
        "steps", "The models of each fusion variable.", shown, STEP_HEADERS, cells, note, grouped=True
    )
    return replace(table, frame=frame)


def _steps_rows(
    model: FusionModel, summary: Sequence[Mapping[str, Any]], firsts: Sequence[bool]
) -> list[dict[str, Any]]:
    """One row per model of a step; what pools are like stands with the first one that they are of."""
    targets = [target for step in model.steps for target in step.targets]
    chosen = [name for name, value in model.options.hyper.items() if isinstance(value, list | tuple)]
    rows: list[dict[str, Any]] = []
    for target, row, is_first in zip(targets, summary, firsts, strict=True):
        low, high = row["pool_range"] or (None, None)
        tuning = model.steps[row["step"] - 1].tuning[target.name]
        rows.append(
            {
                "variable": row["variable"],
                "step": row["step"],
                "type": row["type"],
                "model": _model_name(target.kind, target.objective, target.alpha),
                "loss_kind": LOSSES[target.objective],
                "loss": row["loss"],
                "rounds": row["rounds"],
                **{name: tuning.params.get(name) for name in chosen},
                "pool_median": row["pool_median"] if is_first else None,
                "pool_least": low if is_first else None,
                "pool_most": high if is_first else None,
                "r2": row["r2"] if is_first else None,
            }
        )
    return rows


def _firsts(model: FusionModel, summary: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Tell which rows are the first of their pools: those of a variable, or of a block."""
    found, seen = [], set[tuple[int, str]]()
    for row in summary:
        whose = (row["step"], "" if model.steps[row["step"] - 1].is_block else row["variable"])
        found.append(whose not in seen)
        seen.add(whose)
    return found


def _pools_told(row: Mapping[str, Any]) -> str:
    """Say how many donors pools have: the median, the least and the most."""
    low, high = row["pool_range"] or (None, None)
    if low is None:
        return "none"
    return count(low) if low == high else f"{count(row['pool_median'])} ({low}–{high})"


def _settings_table(model: FusionModel) -> Table:
    options = model.options
    told = _options_told(options)
    if model.areas:
        names = ", ".join(f"{area.name} ({count(len(area.levels))} levels)" for area in model.areas)
        told.append(("areas", "Areas with effects of their own", names))
    rows = [{"setting": what, "argument": name, "value": value} for name, what, value in told]
    headers = {"setting": "Setting", "argument": "Argument", "value": "Value"}
    return plain_table("settings", "Settings of the method.", pd.DataFrame(rows), headers)


def _options_told(options: Options) -> list[tuple[str, str, str]]:
    """Name, meaning and value of every option that is a choice of the method."""

    def flag(value: bool) -> str:
        return "yes" if value else "no"

    shares = ", ".join(significant(100 * share) for share in percentiles(options.nquantiles))
    folds = f"{options.nfolds} folds" if options.nfolds >= 1 else f"{percent(options.nfolds, 0)} train"
    low, high = options.krange
    return [
        ("method", "Preset", options.method),
        ("nfolds", "Cross-validation", folds),
        ("patience", "Rounds without gain after which boosting stops", count(options.patience)),
        ("nquantiles", "Conditional percentiles", shares),
        (
            "nclusters",
            "Clusters of expectations at most",
            count(options.nclusters) if options.nclusters else "none",
        ),
        ("krange", "Donors in a pool", f"{low} to {high}"),
        ("tolerant", "Pool sizes by the tolerance rule", flag(options.tolerant)),
        ("tails", "Pools of a fixed size in the tails", flag(options.tails)),
        ("crossfit", "Donors’ expectations from models that did not see them", flag(options.crossfit)),
        ("calibrate", "Class probabilities calibrated", flag(options.calibrate)),
        ("effects", "Effects of predictors on what models miss", flag(options.effects)),
        ("refits", "Refits on bootstraps of the donors", count(options.refits)),
        ("replicate_weights", "Bootstraps follow the donor survey’s replicate weights", flag(options.follow)),
        ("redraw", "Donor weights redrawn for every implicate", flag(options.redraw)),
        ("untie", "Equal values spread apart where percentiles are learned", flag(options.untie)),
    ]


def _hyper_table(model: FusionModel) -> Table:
    hyper = dict(model.options.hyper)
    shown = {
        name: ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        for name, value in hyper.items()
    }
    frame = pd.DataFrame({"hyperparameter": list(shown), "value": list(shown.values())})
    grid = any(isinstance(value, list | tuple) for value in hyper.values())
    note = "Several values: the one with the least validation loss was chosen for each model." if grid else ""
    title = find_engine(model.options.engine).title
    headers = {"hyperparameter": f"Hyperparameter of {title}", "value": "Value"}
    return plain_table("hyperparameters", "Hyperparameters of the boosters.", frame, headers, note=note)


def importance_section(model: FusionModel) -> Section | None:
    """Show what the predictors are worth to each fusion variable.

    Parameters
    ----------
    model : FusionModel

    Returns
    -------
    Section or None
        None if no model has a split.
    """
    if find_engine(model.options.engine).split_totals is None:
        return None
    table = importance(model)
    if table.empty:
        return None
    outcomes = list(dict.fromkeys(table["y"]))
    exhibits: list[Table | Figure] = []
    parts = chunks(outcomes, PANELS_MOST)
    for number, names in enumerate(parts, 1):
        some = table[table["y"].isin(names)]
        bars = some.groupby("y", sort=False).head(BARS_MOST)
        figure, height = importance_bars(bars)
        caption = f"The {BARS_MOST} most important predictors of each fusion variable by share of gain."
        if table.groupby("y").size().max() <= BARS_MOST:
            caption = "Importance of the predictors of each fusion variable: share of gain."
        leaders = some.groupby("y", sort=False).first()
        alt = "Bars of the share of gain. First of each: " + "; ".join(
            f"{y}: {row['x']} ({percent(row['gain'], 0)})" for y, row in leaders.iterrows()
        )
        exhibits.append(
            Figure(
                f"importance-{number}",
                in_parts(caption, number, len(parts)),
                f"{alt}.",
                (svg_text(figure, WIDTH, height),),
            )
        )
    parts = chunks(outcomes, COLUMNS_MOST)
    wide = table.pivot_table(index="x", columns="y", values="gain", sort=False)
    order = wide.fillna(0).mean(axis=1).sort_values(ascending=False, kind="stable").index
    for number, names in enumerate(parts, 1):
        part = wide.loc[order, names].dropna(how="all").reset_index()
        part.columns = pd.Index([str(name) for name in part.columns])
        cells = {name: [percent(value) for value in part[name]] for name in names}
        exhibits.append(
            plain_table(
                f"importance-{number}",
                in_parts("Share of gain by predictor and fusion variable.", number, len(parts)),
                part,
                {"x": "Predictor"},
                cells,
                "Each column sums to 100 %. –: the predictor is not used.",
            )
        )
    return Section("importance", "Importance of predictors", tuple(exhibits), {"n": len(outcomes)})


def train_call(model: FusionModel, weight: str | None) -> str:
    """Write the call of `train` that repeats a model.

    Parameters
    ----------
    model : FusionModel
    weight : str, optional
        The weights' column, if it is known.

    Returns
    -------
    str
        Python code.
    """
    options = model.options
    engine = find_engine(options.engine)
    preset = usual_options(options.method if options.method in METHODS else "default", options.engine)
    x = [variable.name for variable in model.schema.x]
    known, usual = list(x), True
    for step in model.steps:
        usual &= set(step.predictors) == set(known)
        known += step.variables
    y = [list(step.variables) if step.is_block else step.variables[0] for step in model.steps]
    given: dict[str, Any] = {"y": y, "x": x if usual else [list(step.predictors) for step in model.steps]}
    if weight is not None:
        given["weight"] = weight
    if options.follow:
        given["replicate_weights"] = ["…"]
    if options.method != "default":
        given["method"] = options.method
    for name in (
        *("nfolds", "nquantiles", "nclusters", "krange", "refits", "patience", "crossfit"),
        *("redraw", "untie", "calibrate", "tolerant", "tails", "effects"),
    ):
        if getattr(options, name) != getattr(preset, name):
            given[name] = getattr(options, name)
    if model.areas:
        given["areas"] = [area.name for area in model.areas]
    if not (options.refits and options.crossfit):
        given.pop("effects", None)  # which need both
    usual_hyper = engine.settle(preset.hyper, model.n_donors)
    if hyper := {name: v for name, v in options.hyper.items() if usual_hyper.get(name) != v}:
        given["hyper"] = hyper
    if options.engine != USUAL_ENGINE:
        given["engine"] = options.engine
    if model.seed is not None:
        given["seed"] = model.seed
    lines = [f"    {name}={_code(value)}," for name, value in given.items()]
    return "\n".join(["model = fusionpy.train(", "    donor,", *lines, ")"])


def _code(value: Any) -> str:
    if isinstance(value, list | str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
