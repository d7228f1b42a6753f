"""The sections on validation, on the held-out scorecard, and on estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from scipy.special import stdtr

from fusionpy.errors import ArgumentError, few, shown
from fusionpy.evaluation.scorecard import PREDICTED
from fusionpy.figures import ALL_SIZE, ONE_SIZE, svg_text
from fusionpy.figures.charts import score_dots
from fusionpy.frames.tables import as_table
from fusionpy.reporting.exhibits import Figure, Section, Table, chunks, in_parts, plain_table
from fusionpy.reporting.numbers import count, decimals_for, fixed, is_missing, percent, significant

__all__ = ["ScorecardLike", "ValidationLike", "estimates_section", "scores_section", "validation_section"]

WIDTH = 7.0  # inches
PANEL = (0.85 * ONE_SIZE[0], 0.85 * ONE_SIZE[1])  # two stand side by side
PANELS_MOST = 4  # measures in a figure
TOGETHER = "all together"
DECIMALS_SHOWN, DECIMALS_MOST = 6, 30  # of an estimate
MEASURES = {
    "crps": ("CRPS", "continuous ranked probability score over that of unconditional draws"),
    "brier": ("Brier score", "Brier score over that of the true shares"),
    "energy": ("Energy score", "energy score of all fusion variables over that of unconditional draws"),
    "cover90": ("Coverage of 90 %", "share of true values within the central 90 % range of their own draws"),
    "zero_err": ("Error of zeros", "absolute difference of the shares of zeros"),
    "share_err": ("Error of shares", "largest absolute difference of a class’s share"),
    "w1": ("Wasserstein distance", "distance of the two distributions over the true standard deviation"),
    "q90": ("90th percentile", "drawn over true"),
    "q99": ("99th percentile", "drawn over true"),
    "mean": ("Mean", "drawn over true"),
    "top1": (
        "Top 1 %",
        "share of the total that the highest hundredth of the records holds, drawn over true",
    ),
    "corr_err": ("Error of correlations", "mean absolute difference of Spearman’s correlations, all pairs"),
    "auc": ("Detectability", "area under the curve of boosted trees that tell fused from true records"),
    "subgroup": ("Error of subgroups", "median relative error of means and shares of subgroups"),
}
KNOWN = (
    *("name", "n", "n_donors", "n_eff", "y", "level", "type"),
    *("est", "se", "df", "moe", "lower", "upper", "fmi"),
)
MEASURED = {
    "est": "error of the simulated estimates",
    "vad": "value added over the mean of the whole sample",
    "moe": "uncertainty of simulated over that of observed estimates",
}


class ValidationLike(Protocol):
    """What `validate` returns, as far as a report needs it."""

    @property
    def summary(self) -> Any:
        """Averages by variable: columns y, est, vad, moe."""

    @property
    def figures(self) -> Mapping[str, Any]:
        """Figures: of all variables by their metric, then by metric, colon and variable."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Numbers of records, implicates (M), subsets and estimates, and the least size of a subset."""

    @property
    def subset_vars(self) -> Sequence[str]:
        """Variables that make the subsets."""

    @property
    def notes(self) -> Sequence[str]:
        """What was left out."""


class ScorecardLike(Protocol):
    """What `score` returns, as far as a report needs it."""

    @property
    def table(self) -> Any:
        """Columns way, y, measure, value, aim."""

    @property
    def n(self) -> int:
        """Records."""

    @property
    def M(self) -> int:
        """Implicates."""

    @property
    def notes(self) -> Sequence[str]:
        """What was left out, and why."""


def as_pandas(data: Any, argument: str) -> pd.DataFrame:
    """Take any kind of table; categories become text."""
    frame = as_table(data, argument).frame.to_pandas().reset_index(drop=True)
    for name in frame.columns:
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            frame[name] = frame[name].astype(object)
    return pd.DataFrame(frame)


def validation_section(validation: ValidationLike) -> Section:
    """Show how well fused donors reproduce their survey's own estimates.

    Parameters
    ----------
    validation : ValidationLike

    Returns
    -------
    Section

    Raises
    ------
    ArgumentError
        If it is something else.
    """
    _must_have(
        validation, "validation", "validate()", ("summary", "figures", "sizes", "subset_vars", "notes")
    )
    summary = as_pandas(validation.summary, "validation")
    headers = {"y": "Fusion variable", "est": "Error", "vad": "Value added", "moe": "Uncertainty ratio"}
    cells = {"est": [percent(value) for value in summary["est"]]}
    note = " ".join(
        [
            "Averages of the smoothed curves. Error: |simulated − observed| / |observed|. Value added: 1 is",
            "best, 0 is no better than the mean of the whole sample. Uncertainty ratio: relative margin of",
            "simulated over that of observed estimates.",
            *validation.notes,
        ]
    )
    exhibits: list[Table | Figure] = [
        plain_table("validation", "Validation by fusion variable.", summary, headers, cells, note)
    ]
    together: dict[str, Any] = {}
    apart: dict[str, dict[str, Any]] = {}
    for name, figure in validation.figures.items():
        measure, _, variable = name.partition(":")
        if variable:
            apart.setdefault(variable, {})[measure] = figure
        else:
            together[measure] = figure
    for number, (measure, figure) in enumerate(together.items(), 1):
        what = MEASURED.get(measure, measure)
        caption = f"All fusion variables: {what}, by the subset’s share of the sample."
        alt = f"A curve for each fusion variable: {what}. {_listed(summary, measure)}"
        exhibits.append(Figure(f"validation-{number}", caption, alt, (svg_text(figure, *ALL_SIZE),)))
    for number, (variable, figures) in enumerate(apart.items(), len(together) + 1):
        what = ", ".join(MEASURED.get(measure, measure) for measure in figures)
        alt = f"A point for each subset, and a curve: {what}."
        svgs = tuple(svg_text(figure, *PANEL) for figure in figures.values())
        exhibits.append(Figure(f"validation-{number}", f"{variable}: {what}, by subset.", alt, svgs))
    facts = {
        **{name: count(size) for name, size in validation.sizes.items()},
        "subset_vars": list(validation.subset_vars),
    }
    return Section("validation", "Validation", tuple(exhibits), facts)


def _listed(summary: pd.DataFrame, measure: str) -> str:
    """Say the averages, for those who do not see the curves."""
    if measure not in summary:
        return ""
    pairs = zip(summary["y"], summary[measure], strict=True)
    return f"Averages: {', '.join(f'{y} {significant(value)}' for y, value in pairs)}."


def scores_section(scores: ScorecardLike) -> Section:
    """Show how fused values score on held-out records, beside simpler ways to fuse.

    Parameters
    ----------
    scores : ScorecardLike

    Returns
    -------
    Section

    Raises
    ------
    ArgumentError
        If it is something else.
    """
    _must_have(scores, "scores", "score()", ("table", "n", "M", "notes"))
    table = as_pandas(scores.table, "scores")
    lacking = [name for name in ("way", "y", "measure", "value", "aim") if name not in table]
    if lacking:
        raise ArgumentError("`scores` must be what `score()` returned.", [f"Its table lacks {few(lacking)}."])
    table["y"] = [TOGETHER if is_missing(y) else str(y) for y in table["y"]]
    table["name"] = [MEASURES.get(measure, (measure, ""))[0] for measure in table["measure"]]
    exhibits: list[Table | Figure] = [_scores_table(table, scores)]
    # Measures of all variables together are few numbers: the table says them as well.
    drawn = table[table["way"] != PREDICTED]
    apart = drawn[(drawn["y"] != TOGETHER) & np.isfinite(drawn["value"].astype(np.float64))]
    measures = list(dict.fromkeys(apart["name"]))
    parts = chunks(measures, PANELS_MOST if apart["y"].nunique() > 5 else PANELS_MOST + 2) if measures else []
    for number, names in enumerate(parts, 1):
        some = apart[apart["name"].isin(names)].assign(measure=lambda frame: frame["name"])
        figure, height = score_dots(some)
        caption = "Scores on held-out records, by measure and fusion variable. Lines: what is aimed at."
        caption = in_parts(caption, number, len(parts))
        exhibits.append(
            Figure(f"scores-{number}", caption, _medians(some), (svg_text(figure, WIDTH, height),))
        )
    known = [measure for measure in dict.fromkeys(table["measure"]) if measure in MEASURES]
    facts = {
        "n": count(scores.n),
        "M": scores.M,
        "ways": [way for way in dict.fromkeys(table["way"]) if way != PREDICTED],
        "predicted": PREDICTED in set(table["way"]),
        "definitions": [MEASURES[measure] for measure in known],
    }
    return Section("scores", "Held-out scorecard", tuple(exhibits), facts)


def _scores_table(table: pd.DataFrame, scores: ScorecardLike) -> Table:
    """Lay the ways side by side."""
    ways = list(dict.fromkeys(table["way"]))
    wide = table.drop_duplicates(["y", "name"])[["y", "name", "measure", "aim"]].reset_index(drop=True)
    # A stable sort keeps the measures' order.
    wide = wide.sort_values("y", key=lambda names: names != TOGETHER, kind="stable", ignore_index=True)
    found = table.set_index(["y", "measure", "way"])["value"]
    for way in ways:
        wide[way] = [
            found.get((y, measure, way), np.nan)
            for y, measure in zip(wide["y"], wide["measure"], strict=True)
        ]
    cells = {way: [fixed(value, 3) for value in wide[way]] for way in ways}
    cells["aim"] = ["lower" if aim == 0 else f"near {significant(aim, 2)}" for aim in wide["aim"]]
    headers = {"y": "Fusion variable", "name": "Measure", "aim": "Better"}
    note = " ".join(["–: not defined.", *scores.notes])
    shown = plain_table(
        "scores",
        "Scores on held-out records.",
        wide.drop(columns="measure"),
        headers,
        cells,
        note,
        grouped=True,
    )
    numeric = tuple(header in ways for header in shown.headers)
    return replace(shown, numeric=numeric, frame=wide.drop(columns="name"))


def _medians(table: pd.DataFrame) -> str:
    """Say where the ways lie, for those who do not see the dots."""
    medians = table.groupby(["measure", "way"], sort=False)["value"].median()
    parts = [
        f"{measure}: " + ", ".join(f"{way} {significant(value)}" for way, value in some.droplevel(0).items())
        for measure, some in medians.groupby(level=0, sort=False)
    ]
    return f"Dots. Medians over the fusion variables: {'; '.join(parts)}."


def estimates_section(estimates: Any) -> Section:
    """Show estimates with their margins of error.

    Parameters
    ----------
    estimates : table, or mapping of caption to table
        From `analyze`.

    Returns
    -------
    Section
    """
    given = (
        dict(estimates) if isinstance(estimates, Mapping) else {"Estimates from the fused survey.": estimates}
    )
    exhibits = []
    how: dict[str, set[Any]] = {"M": set(), "pooling": set(), "level": set(), "rectified": set()}
    for number, (caption, data) in enumerate(given.items(), 1):
        frame = as_pandas(data, "estimates")
        for name, values in how.items():
            values |= {value for key, value in _made(data).items() if key == name}
        caption = str(caption) if str(caption).endswith(".") else f"{caption}."
        exhibits.append(_estimates_table(f"estimates-{number}", caption, frame, _made(data).get("level")))
    facts = {name: sorted(values) for name, values in how.items()}
    return Section("estimates", "Estimates", tuple(exhibits), facts)


def _made(data: Any) -> dict[str, Any]:
    """Find how `analyze` made a table, if the table remembers."""
    made = getattr(data, "attrs", {}).get("fusionpy", {})
    return dict(made) if isinstance(made, Mapping) else {}


def _estimates_table(key: str, caption: str, frame: pd.DataFrame, level: float | None) -> Table:
    frame = frame.dropna(axis="columns", how="all")
    by = [name for name in frame.columns if name not in KNOWN]
    level = _margin_level(frame) if level is None else level
    of_level = "" if level is None else f" ({significant(100 * level, 2)} %)"
    decimals = _decimals(frame)
    cells: dict[str, list[str]] = {
        name: [_written(value, places) for value, places in zip(frame[name], decimals, strict=True)]
        for name in ("est", "se", "moe", "lower", "upper")
        if name in frame
    }
    for name, write in (
        ("n", count),
        ("n_eff", count),
        ("n_donors", count),
        ("df", significant),
        ("fmi", lambda v: fixed(v, 2)),
    ):
        if name in frame:
            cells[name] = [write(value) for value in frame[name]]
    shown = frame.copy()
    if "lower" in cells and "upper" in cells:
        cells["lower"] = [f"{a} to {b}" for a, b in zip(cells["lower"], cells.pop("upper"), strict=True)]
        shown = shown.drop(columns="upper")
    first = [name for name in ("name", "y", "level", "type") if name in shown]
    rest = [
        name for name in ("est", "se", "moe", "lower", "df", "fmi", "n", "n_eff", "n_donors") if name in shown
    ]
    shown = shown[[*by, *first, *rest]]
    headers = {
        "name": "Name",
        "y": "Variable",
        "level": "Level",
        "type": "Estimate of",
        "est": "Estimate",
        "se": "Standard error",
        "moe": f"Margin{of_level}",
        "lower": f"Interval{of_level}",
        "df": "df",
        "fmi": "FMI",
        "n": "Records",
        "n_eff": "Effective n",
        "n_donors": "Donors",
    }
    note = "df: degrees of freedom." * ("df" in frame)
    note += " FMI: fraction of missing information." * ("fmi" in frame)
    table = plain_table(key, caption, shown, headers, cells, note.strip())
    return replace(table, frame=frame)


def _decimals(frame: pd.DataFrame) -> list[int]:
    """Choose decimals by the margins, the same for all rows of a variable and type that are of like size."""
    if "est" not in frame:
        return [3] * len(frame)
    names = [name for name in ("y", "type") if name in frame]
    keys = [tuple(row) for row in frame[names].itertuples(index=False)]
    found: dict[tuple[Any, ...], list[float]] = {}
    margins = frame["moe"] if "moe" in frame else [None] * len(frame)
    # Without a margin, as with one implicate, three digits of the estimate do.
    errors = [
        abs(est) / 10 if is_missing(margin) or margin == 0 else margin
        for margin, est in zip(margins, frame["est"], strict=True)
    ]
    for key, error in zip(keys, errors, strict=True):
        found.setdefault(key, []).append(error)
    shared = {key: decimals_for([float(np.nanmedian(each))], DECIMALS_MOST) for key, each in found.items()}
    own = [decimals_for([error], DECIMALS_MOST) for error in errors]
    return [alone if alone > shared[key] + 1 else shared[key] for key, alone in zip(keys, own, strict=True)]


def _written(value: Any, decimals: int) -> str:
    """Write an estimate, or its margin, with so many decimals; with powers of ten where there are many."""
    if decimals <= DECIMALS_SHOWN or is_missing(value) or not math.isfinite(value) or value == 0:
        return fixed(value, decimals)
    return significant(value, max(2, decimals + math.floor(math.log10(abs(value))) + 1))


def _margin_level(frame: pd.DataFrame) -> float | None:
    """Find the level of the margins, from margin, standard error and degrees of freedom."""
    if not {"moe", "se", "df"} <= set(frame.columns):
        return None
    moe, se, df = (frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in ("moe", "se", "df"))
    known = np.flatnonzero((se > 0) & (moe > 0) & (df > 0))
    if not len(known):
        return None
    row = known[0]
    return round(2 * float(stdtr(min(df[row], 1e10), moe[row] / se[row])) - 1, 3)


def _must_have(given: Any, argument: str, maker: str, names: tuple[str, ...]) -> None:
    if not all(hasattr(given, name) for name in names):
        raise ArgumentError(f"`{argument}` must be what `{maker}` returned, not {shown(given)}.")
