"""What README.md has of the tables: their figure, and the blocks that hold numbers."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from replicating import BASE

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pages import table

SHOWN = {  # ways, as the figure and tables call them
    "complete data": "complete data",
    "effects, areas": "effects, states among them",
    "effects": "effects",
    "rectified": "rectified",
    BASE: "10 refits, without effects",
    "one set of models": "one set of models",
}
COLOURS = ["#000000", "#CC79A7", "#E69F00", "#009E73", "#0072B2", "#D55E00"]
TITLES = {"embedded": "embedded", "acs": "ACS 2024"}
PARTS = {"domains": "domains of predictors", "areas": "states", "statistics": "other statistics"}
PLAIN = {
    "one set of models": "one set of models (cross-fitted), survey weights",
    "... redrawn": "… pool weights redrawn",
    "refits": "10 refits, pools weighted by the refit's resample",
    BASE: "10 refits, pool weights redrawn independently (the default, without effects)",
    "refits, following": "10 refits, redrawn weights that follow the resample (with replicate weights)",
}
NONE = "*Not measured yet.*\n"
BY = ["population", "part", "donors", "times"]


def draw(summary: pd.DataFrame, path: Path) -> None:
    """Plot coverage against the number of recipients."""
    import plotnine as p9
    from plotnine.exceptions import PlotnineWarning

    shown = summary[summary["way"].isin(SHOWN) & (summary["part"] != "statistics")].copy()
    ways = [way for way in SHOWN if way in set(shown["way"])]
    colours = [colour for way, colour in zip(SHOWN, COLOURS, strict=True) if way in ways]
    shown["way"] = pd.Categorical(shown["way"], ways).rename_categories(SHOWN)
    # Side by side, as some of them agree.
    shown["times"] *= 1.06 ** (shown["way"].cat.codes.to_numpy() - (len(ways) - 1) / 2)
    shown["low"] = shown["coverage"] - 1.96 * shown["coverage_se"]
    shown["high"] = shown["coverage"] + 1.96 * shown["coverage_se"]
    of = zip(shown["population"], shown["part"], shown["donors"], strict=True)
    panels = [f"{TITLES[name]}, {PARTS[part]}:\n{donors:,} donors" for name, part, donors in of]
    shown["panel"] = pd.Categorical(panels, list(dict.fromkeys(panels)))
    rows = int(np.ceil(len(set(panels)) / 2))
    figure = (
        p9.ggplot(shown, p9.aes("times", "coverage", color="way", shape="way"))
        + p9.annotate("rect", xmin=0.7, xmax=140, ymin=0.88, ymax=0.92, fill="#dddddd", alpha=0.6)
        + p9.geom_hline(yintercept=0.9, linetype="dashed", color="#888888")
        + p9.geom_line()
        + p9.geom_errorbar(p9.aes(ymin="low", ymax="high"), width=0.06)
        + p9.geom_point(size=2.5)
        + p9.scale_x_log10(breaks=[1, 3, 10, 30, 100], labels=["1", "3", "10", "30", "100"])
        + p9.scale_color_manual(colours)
        + p9.facet_wrap("panel", ncol=2)
        + p9.labs(
            x="Recipients per donor",
            y="Share of 90 % margins that hold the truth",
            color="",
            shape="",
            title="Coverage of domain means and proportions",
            caption="Bars: 95 % intervals over replications. Band: .88 to .92.",
        )
        + p9.theme_minimal(base_size=10)
        + p9.theme(
            figure_size=(7, 1.2 + 2.6 * rows),
            legend_position="bottom",
            plot_background=p9.element_rect(fill="white", color="none"),
        )
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PlotnineWarning)  # a line of one point is none
        figure.save(path, dpi=150, verbose=False)


def number(value: float, digits: int = 3) -> str:
    """Write a number below 1 without its zero."""
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"


def measured(row: pd.Series | None, column: str, error: str, digits: int = 3) -> str:
    """Write a number and its standard error; a dash where it was not measured."""
    if row is None or np.isnan(row[column]):
        return "–"
    error_shown = f"\u00a0±\u00a0{number(row[error], digits)}" if row[error] == row[error] else ""
    return f"{number(row[column], digits)}{error_shown}"


def _of(group: pd.DataFrame, way: str) -> pd.Series | None:
    rows = group[group["way"] == way]
    return rows.iloc[0] if len(rows) else None


def coverage(summary: pd.DataFrame) -> str:
    """Lay out coverage of domain means of the embedded population."""
    head = ["donors", "recipients", "implicates without effects", "rectified", "complete data"]
    head += ["rectified margin ÷ theirs", "replications"]
    rows = []
    for (n, times), group in summary.groupby(["donors", "times"]):
        found = {way: _of(group, way) for way in (BASE, "rectified", "complete data")}
        shown = [measured(row, "coverage", "coverage_se") for row in found.values()]
        shown[1] = f"**{shown[1]}**"
        rectified = found["rectified"]
        if rectified is not None:
            ratio = number(rectified["margin_to_base"], 2)
            runs = dict.fromkeys(f"{row['replications']:.0f}" for row in found.values() if row is not None)
            rows.append([f"{n:,}", f"{times:,} ×", *shown, ratio, ", ".join(runs)])
    return table(head, rows)


def effects(summary: pd.DataFrame) -> str:
    """Lay out what effects bring, in both populations: coverage, errors and margins."""
    ways = ["effects, areas", "effects"]
    head = ["population", "of", "donors", "recipients", "without", "with effects", "… of states, too"]
    head += ["complete data", "error ÷ without", "margin ÷ without", "replications"]
    rows = []
    for (name, part, n, times), group in summary.groupby(BY, sort=False):
        last = next((row for way in ways if (row := _of(group, way)) is not None), None)
        if last is None:
            continue
        order = (BASE, "effects", "effects, areas", "complete data")
        shown = [measured(_of(group, way), "coverage", "coverage_se") for way in order]
        shown += [measured(last, f"{each}_to_base", f"{each}_se", 2) for each in ("rmse", "margin")]
        runs = str(int(last["replications"]))
        rows.append([TITLES[name], PARTS[part], f"{n:,}", f"{times:,} ×", *shown, runs])
    return table(head, rows) if rows else NONE


def statistics(measures: pd.DataFrame) -> str:
    """Lay out coverage by statistic and measure, with effects and without, at the most recipients."""
    head = ["population", "donors", "recipients", "statistic", "of", "without", "with effects"]
    head += ["complete data", "error ÷ without", "margin ÷ without"]
    rows = []
    measures = measures[measures["part"] != "areas"]
    by = ["population", "donors", "times", "part", "statistic", "measure"]
    for (name, n, times, _, statistic, measure), group in measures.groupby(by, sort=False):
        own = _of(group, "effects")
        if own is None or times not in (10, 100):
            continue
        shown = [measured(_of(group, way), "coverage", "coverage_se") for way in (BASE, "effects")]
        shown += [measured(_of(group, "complete data"), "coverage", "coverage_se")]
        shown += [measured(own, f"{each}_to_base", f"{each}_se", 2) for each in ("rmse", "margin")]
        rows.append([TITLES[name], f"{n:,}", f"{times:,} ×", statistic, f"`{measure}`", *shown])
    return table(head, rows) if rows else NONE


def parts(summary: pd.DataFrame) -> str:
    """Lay out what refits and redrawn weights bring."""
    own = summary[(summary["donors"] == 1000) & (summary["times"] == 10)]
    rows = []
    for way, label in PLAIN.items():
        found = _of(own, way)
        if found is not None:
            numbers = [number(found[name], 2) for name in ("margin_to_base", "bias_to_sd")]
            rows.append([label, measured(found, "coverage", "coverage_se"), *numbers])
    return table(
        ["implicates", "coverage", "margin ÷ that of the default without effects", "median bias ÷ its sd"],
        rows,
    )


def findings(summary: pd.DataFrame) -> str:
    """Write the sentences that hold numbers."""

    def reach(way: str, column: str, digits: int) -> str:
        found = summary.loc[summary["way"] == way, column]
        return f"{number(found.min(), digits)} to {number(found.max(), digits)}"

    def alone() -> Iterable[str]:
        own = summary[(summary["times"] == 100) & (summary["way"] == BASE)]
        for _, row in own.iterrows():
            yield f"{measured(row, 'coverage', 'coverage_se')} ({row['donors']:,} donors)"

    return f"""\
With a hundred times as many recipients as donors, the share of margins without effects that hold the
truth is {" and ".join(alone())}. Of rectified margins it is {reach("rectified", "coverage", 3)},
whatever the size, and of complete data's {reach("complete data", "coverage", 3)}. The median bias of an
estimate is {reach(BASE, "bias_to_sd", 2)} of its error's standard deviation without effects, and
{reach("rectified", "bias_to_sd", 2)} when rectified.
"""


def page(summary: pd.DataFrame, measures: pd.DataFrame) -> dict[str, str]:
    """Make the tables and the sentences of README.md that hold numbers."""
    own = summary[(summary["population"] == "embedded") & (summary["part"] == "domains")]
    return {
        "coverage": coverage(own),
        "findings": findings(own),
        "parts": parts(own),
        "effects": effects(summary),
        "statistics": statistics(measures),
    }
