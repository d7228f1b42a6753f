"""Summary, figure and README of the held-out study, from its scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

BASE, FLOOR = "default", "sampling floor"
SECONDS = ["train_seconds", "fuse_seconds"]
LEVEL = 0.90
TEST_TO_TRAIN = 0.25  # households of a split that are recipients, for each that is a donor
AIMS = {"cover90": 0.9, "auc": 0.5, "q99": 1.0}
DIFFERENCES = ("auc", "cover90", "q99", "zero_err", "share_err")
POOLED = {"crps": stats.gmean, "brier": stats.gmean, "w1": stats.gmean, "cover90": np.mean}
"""Measures of single variables that are averaged over those that have them."""


def with_pooled(scores: pd.DataFrame) -> pd.DataFrame:
    """Add the averages over variables; index way and split."""
    table = scores.set_index(["way", "split"])
    for kind, average in POOLED.items():
        columns = [name for name in table if name.startswith(f"{kind} ")]
        table[kind] = average(table[columns].to_numpy(), axis=1)
    return table


def kind_of(measure: str) -> str:
    """Take the variable away: the kind of "crps kwh" is "crps"."""
    return measure.split(" ")[0]


def interval(values: np.ndarray, ratio: float = 0.0) -> tuple[float, float, float]:
    """Mean and t interval of values that were had on several splits.

    `ratio`, of recipients to donors, widens it because the splits share households: the variance of the mean
    is then taken as (1 / n + ratio) times that of the values (Nadeau and Bengio 2003, "Inference for the
    generalization error", Machine Learning 52:239).
    """
    n = len(values)
    if n < 2:
        return float(np.mean(values)), np.nan, np.nan
    half = stats.t.ppf((1 + LEVEL) / 2, n - 1) * values.std(ddof=1) * np.sqrt(1 / n + ratio)
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Compare every way with the default on the splits that both have: one row per way and measure."""
    table = with_pooled(scores)
    base = table.loc[BASE]
    rows = []
    for way in table.index.unique("way"):
        for measure in table.columns:
            own = table.loc[way][measure].dropna()
            own = own[own.index.isin(base.index)]
            if own.empty:
                continue
            there = base.loc[own.index, measure]
            aim = AIMS.get(kind_of(measure), 0.0)
            is_difference = kind_of(measure) in DIFFERENCES
            with np.errstate(divide="ignore"):  # some need no training
                apart = (own - there if is_difference else np.log(own / there)).to_numpy()
            apart = apart if np.isfinite(apart).all() else np.full(len(apart), np.nan)
            shown = (lambda v: v) if is_difference else np.exp
            mean, low, high = (shown(v) for v in interval(apart))
            _, low_wide, high_wide = (shown(v) for v in interval(apart, TEST_TO_TRAIN))
            rows.append(
                {
                    "way": way,
                    "measure": measure,
                    "aim": aim,
                    "splits": len(own),
                    "mean": own.mean(),
                    "compared": "difference" if is_difference else "ratio",
                    "to_default": mean,
                    **dict.fromkeys(("low", "high", "low_wide", "high_wide"), np.nan),
                    "worse": int(((own - aim).abs() > (there - aim).abs()).sum()),
                    "better": int(((own - aim).abs() < (there - aim).abs()).sum()),
                }
            )
            if way != BASE:
                rows[-1] |= {"low": low, "high": high, "low_wide": low_wide, "high_wide": high_wide}
    return pd.DataFrame(rows)


# The figure ---------------------------------------------------------------------------------------------

PANELS = {
    "energy": "Energy score of all variables",
    "crps kwh": "CRPS of kwh",
    "crps": "CRPS of the three numbers",
    "brier": "Brier score of the five classes",
    "subgroup": "Error in subgroups",
    "corr_err": "Error of correlations",
    "auc": "AUC of a classifier (diff.)",
    "cover90 kwh": "Cover of kwh's 90 % ranges (diff.)",
}
COLOURS = {
    **{"default": "#000000", "fusionModel": "#0072B2", "R fusionModel 2.4.0": "#0072B2"},
    **{"unconditional draw": "#777777", "sampling floor": "#777777"},
}
OTHERS = "#D55E00"
NEAR = 1.35  # times the largest deviation of the better half: beyond it a way is named at the edge


def draw(summary: pd.DataFrame, scores: pd.DataFrame, path: Path) -> None:
    """Dots, intervals and the splits' own values: one panel for each measure."""
    table = with_pooled(scores)
    ways = list(summary["way"].unique())
    figure, axes = plt.subplots(2, 4, figsize=(11, 6.2), sharey=True)
    for ax, (measure, title) in zip(axes.flat, PANELS.items(), strict=True):
        part = summary[summary["measure"] == measure].set_index("way")
        draw_panel(ax, part, table[measure], ways)
        ax.set_title(title, fontsize=9, loc="left")
    axes[0, 0].set_ylim(len(ways) - 0.4, -0.6)
    axes[0, 0].set_yticks(range(len(ways)), ways)
    figure.supxlabel(
        "Relative to the default (dashed): left of it is better, but cover is best at the dotted line.\n"
        "Dots: mean of the splits; ticks: each split. Thick: 90 % t interval over the splits; thin: allowing"
        " for their overlap. Arrows: beyond the panel.",
        fontsize=8,
    )
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_panel(ax: Axes, part: pd.DataFrame, values: pd.Series, ways: list[str]) -> None:
    """One measure of all ways that have it."""
    is_ratio = part["compared"].iloc[0] == "ratio"
    centre = 1.0 if is_ratio else 0.0
    far = (part["to_default"] - centre).abs().drop(BASE).sort_values()
    better_half = part.loc[far.index[: (len(far) + 2) // 2]]
    ends = better_half[["low_wide", "high_wide", "to_default"]].to_numpy() - centre
    limit = max(NEAR * float(np.nanmax(np.abs(ends))), 0.005)
    shown = part.loc[far.index[far <= limit], ["low_wide", "high_wide"]].to_numpy()
    left, right = min(float(np.nanmin(shown)), centre), max(float(np.nanmax(shown)), centre)
    margin = 0.06 * (right - left)
    ax.axvline(centre, color="#888888", linestyle="--", linewidth=1, zorder=0)
    if (aim := float(part["aim"].iloc[0])) == 0.9:
        ax.axvline(aim - part.loc[BASE, "mean"], color="#888888", linestyle=":", linewidth=1, zorder=0)
    for place, way in enumerate(ways):
        if way not in part.index:
            continue
        row, colour = part.loc[way], COLOURS.get(way, OTHERS)
        if abs(row["to_default"] - centre) > limit:
            beyond = row["to_default"] > centre
            value = short(row["to_default"], 2)
            edge, text = (right + margin, f"{value} →") if beyond else (left - margin, f"← {value} ")
            ax.text(
                edge, place, text, ha="right" if beyond else "left", va="center", color=colour, fontsize=8
            )
            continue
        each = values.loc[way].dropna()
        there = values.loc[BASE].loc[each.index]
        each = (each / there if is_ratio else each - there).to_numpy()
        if way != BASE:
            ax.plot(each, np.full(len(each), place + 0.22), "|", color=colour, markersize=5, alpha=0.7)
            ax.hlines(place, row["low_wide"], row["high_wide"], color=colour, linewidth=0.9)
            ax.hlines(place, row["low"], row["high"], color=colour, linewidth=3)
        ax.plot(row["to_default"], place, "o", color=colour, markersize=5)
    ax.set_xlim(left - margin, right + margin)
    ax.locator_params(axis="x", nbins=4)
    ax.tick_params(labelsize=8)
    ax.grid(axis="y", color="#eeeeee")
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


# The page -----------------------------------------------------------------------------------------------

COLUMNS = {
    "energy": "energy",
    "crps kwh": "CRPS kwh",
    "crps": "CRPS, 3 numbers",
    "brier": "Brier, 5 classes",
    "subgroup": "subgroup",
    "corr_err": "corr_err",
    "auc": "AUC",
}


def main_table(summary: pd.DataFrame) -> str:
    """Every way beside the default."""
    cells = summary.set_index(["way", "measure"])
    lines = [f"| way | {' | '.join(COLUMNS.values())} |", "| --- " * (len(COLUMNS) + 1) + "|"]
    for way in summary["way"].unique():
        row = []
        for measure in COLUMNS:
            if (way, measure) not in cells.index:
                row.append("–")
                continue
            cell = cells.loc[(way, measure)]
            if way == BASE:
                row.append(short(cell["mean"], 4))
                continue
            digits = 2 if measure in ("subgroup", "corr_err") else 3
            low, high = (short(cell[end], digits) for end in ("low", "high"))
            between = "–" if cell["compared"] == "ratio" else " to "
            row.append(f"{short(cell['to_default'], digits)} ({low}{between}{high})")
        lines.append(f"| {way} | {' | '.join(row)} |")
    return "\n".join(lines)


def by_split(scores: pd.DataFrame) -> str:
    """Tabulate two measures for each split."""
    table = with_pooled(scores)
    splits = sorted(table.index.unique("split"))
    shown = {"energy": "energy", "crps kwh": "kwh"}
    head = [f"{label} {seed}" for label in shown.values() for seed in splits]
    lines = [f"| way | {' | '.join(head)} |", "| --- " * (len(head) + 1) + "|"]
    for way in table.index.unique("way"):
        row = []
        for measure in shown:
            for seed in splits:
                own = table[measure].get((way, seed), np.nan)
                base = table.loc[(BASE, seed), measure]
                digits = 4 if way == BASE else 3
                row.append("–" if np.isnan(own) else short(own if way == BASE else own / base, digits))
        if set(row) != {"–"}:
            lines.append(f"| {way} | {' | '.join(row)} |")
    return "\n".join(lines)


def levels(summary: pd.DataFrame) -> str:
    """Tabulate what is not a ratio: coverage, tails, seconds."""
    shown: dict[str, tuple[str, Callable[[float], str]]] = {
        "cover90 kwh": ("cover90 kwh", lambda v: short(v, 3)),
        "cover90 ceiling_fans": ("cover90 ceiling_fans", lambda v: short(v, 3)),
        "cover90 window_ac": ("cover90 window_ac", lambda v: short(v, 3)),
        "q99 kwh": ("q99 kwh", lambda v: short(v, 3)),
        "w1 kwh": ("w1 kwh", lambda v: short(v, 4)),
        "share_err heat_fuel": ("share_err heat_fuel", lambda v: short(v, 4)),
        "train_seconds": ("train, CPU s", lambda v: f"{v:.1f}" if v < 10 else f"{v:.0f}"),
        "fuse_seconds": ("fuse, CPU s", lambda v: f"{v:.1f}" if v < 10 else f"{v:.0f}"),
    }
    mean = summary.set_index(["way", "measure"])["mean"]
    lines = [
        f"| way | {' | '.join(label for label, _ in shown.values())} |",
        "| --- " * (len(shown) + 1) + "|",
    ]
    for way in summary["way"].unique():
        values = [(mean.get((way, measure), np.nan), form) for measure, (_, form) in shown.items()]
        lines.append(f"| {way} | {' | '.join('–' if np.isnan(v) else form(v) for v, form in values)} |")
    return "\n".join(lines)


def better(summary: pd.DataFrame) -> str:
    """List the measures on which a way is nearer to the aim than the default on each of its splits."""
    whole = ~summary["measure"].isin(SECONDS) & (summary["way"] != FLOOR) & (summary["way"] != BASE)
    whole &= ~summary["measure"].str.startswith("cover90") | (summary["measure"] == "cover90 kwh")
    found = summary[whole & (summary["better"] == summary["splits"])]
    base = summary[summary["way"] == BASE].set_index("measure")["mean"]
    lines = ["| measure | default | nearer to the aim on every split |", "| --- | --- | --- |"]
    for measure, part in found.groupby("measure", sort=False):
        others = [f"{way} {short(mean, 4)}" for way, mean in zip(part["way"], part["mean"], strict=True)]
        lines.append(f"| {measure} | {short(base[measure], 4)} | {', '.join(others)} |")
    return "\n".join(lines)


def short(value: float, digits: int) -> str:
    """Write a number without its leading zero."""
    text = f"{value:.{digits}f}"
    text = text[1:] if text.startswith("0.") else "-" + text[2:] if text.startswith("-0.") else text
    return text.replace("-", "−")


def with_tables(page: str, summary: pd.DataFrame, scores: pd.DataFrame) -> str:
    """Put the tables between the page's markers."""
    made = {
        "main": main_table(summary),
        "better": better(summary),
        "levels": levels(summary),
        "splits": by_split(scores),
    }
    for name, table in made.items():
        start, end = f"<!-- {name}: written by run.py -->\n", "<!-- end -->"
        before, rest = page.split(start)
        page = f"{before}{start}\n{table}\n\n{end}{rest.split(end, 1)[1]}"
    return page


def write_tables(folder: Path) -> None:
    """Write summary, figure and the tables of the page from `scores.csv`."""
    scores = pd.read_csv(folder / "scores.csv")
    summary = summarise(scores)
    summary.to_csv(folder / "summary.csv", index=False, float_format="%.5f")
    draw(summary, scores, folder / "holdout.png")
    page = folder / "README.md"
    page.write_text(with_tables(page.read_text(), summary, scores))
