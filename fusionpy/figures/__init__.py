"""Figures of a validation, by plotnine; and any plotnine figure as SVG text or a file."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # importing plotnine takes seconds, so it is imported where it is used
    import pandas as pd

__all__ = ["ALL_SIZE", "ONE_SIZE", "all_curves", "one_curve", "svg_text", "write_figure"]

ALL_SIZE, ONE_SIZE = (7.0, 4.2), (5.4, 4.0)  # inches, of a figure of all variables and of one
DPI = 200
# Okabe and Ito's colours without yellow, each told from its neighbours under every common colour blindness.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000")
STROKES: tuple[Any, ...] = ("solid", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
BREAKS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
CLOSEST = 0.08  # of the width of the axis: labels nearer to each other than this would touch
SHOWN = 0.98  # of the points: a few far ones would press the others together
_CLIP = re.compile(rb'<clipPath id="([^"]+)"')
X_TITLE = "Subset’s share of sample (square-root scale)"
TITLES = {"est": "Error of estimates", "vad": "Value added", "moe": "Uncertainty ratio"}
Y_TITLES = {
    "est": "|sim. – obs.| / |obs.|",
    "vad": "Share of the mean’s error removed",
    "moe": "Relative margin, sim. / obs.",
}
CAPTIONS = {
    "est": "Lower is better.",
    "vad": "1 is best; 0 no better than the whole sample’s mean.",
    "moe": "Above 1: simulated estimates are the less certain.",
}


def _plotnine() -> Any:
    import plotnine

    return plotnine


def all_curves(metric: str, curves: pd.DataFrame) -> Any:
    """Draw the smoothed metric of every variable.

    Parameters
    ----------
    metric : {"est", "vad", "moe"}
    curves : pandas.DataFrame
        Columns `share`, `y` and `value`.

    Returns
    -------
    plotnine.ggplot
        Its legend is in the order in which the curves end at the right, highest first.
    """
    import pandas as pd

    p9 = _plotnine()

    curves = curves.dropna(subset=["value"])
    last = curves.sort_values("share").groupby("y")["value"].last()
    names = last.sort_values(ascending=False, kind="stable").index.to_list()
    styled = sorted(names)  # a variable looks the same in every figure
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(styled)}
    strokes = {name: STROKES[i // len(COLOURS) % len(STROKES)] for i, name in enumerate(styled)}
    data = curves.assign(y=pd.Categorical(curves["y"].astype(object), names))
    labels = [_shortened(name) for name in names]
    scales = [
        p9.scale_colour_manual([colours[name] for name in names], labels=labels, breaks=names),
        p9.scale_linetype_manual([strokes[name] for name in names], labels=labels, breaks=names),
    ]
    caption = f"Smoothed medians over subsets. {CAPTIONS[metric]}"
    return (
        p9.ggplot(data, p9.aes("share", "value", colour="y", linetype="y"))
        + _reference_line(metric)
        + _lines(data, size=0.8)
        + scales
        + _axes(metric, data["share"], *_ends(metric, data["value"].head(0), data["value"]))
        + p9.labs(title=TITLES[metric], caption=caption, colour="", linetype="")
        + _theme(ALL_SIZE)
    )


def one_curve(metric: str, name: str, points: pd.DataFrame, curve: pd.DataFrame) -> Any:
    """Draw one variable's metric: a point for each subset, and the smoothed medians.

    Parameters
    ----------
    metric : {"est", "vad", "moe"}
    name : str
        The variable.
    points : pandas.DataFrame
        Columns `share` and `metric`; missing values are left out.
    curve : pandas.DataFrame
        Columns `share` and `value`.

    Returns
    -------
    plotnine.ggplot
        The farthest two percent of the points are beyond its edge; its caption says how many.
    """
    p9 = _plotnine()

    data = points.rename(columns={metric: "value"}).dropna(subset=["value"])
    caption = f"Points: subsets (and levels); line: smoothed medians.\n{CAPTIONS[metric]}"
    bottom, top = _ends(metric, data["value"], curve["value"])
    if n_beyond := int(((data["value"] > top) | (data["value"] < bottom)).sum()):
        caption += f"\n{n_beyond} far point{'s' if n_beyond > 1 else ''} not shown."
    return (
        p9.ggplot(data, p9.aes("share", "value"))
        + _reference_line(metric)
        + p9.geom_point(colour=COLOURS[0], alpha=0.35, size=1.4, stroke=0)
        + _lines(curve.dropna(subset=["value"]).assign(y=name), colour=COLOURS[1], size=1.1)
        + _axes(metric, data["share"], bottom, top)
        + p9.labs(title=_shortened(name, 32), subtitle=TITLES[metric], caption=caption)
        + _theme(ONE_SIZE)
    )


def _shortened(name: str, most: int = 26) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _lines(curves: pd.DataFrame, **looks: Any) -> list[Any]:
    """Draw curves; where all subsets are of one size, there is only a point."""
    p9 = _plotnine()
    n = curves.groupby("y", observed=True)["share"].transform("size")
    long, single = curves[n > 1], curves[n == 1]
    lines = [p9.geom_line(data=long, **looks)] if len(long) else []
    return [*lines, p9.geom_point(data=single, **looks | {"size": 2.5})] if len(single) else lines


def _reference_line(metric: str) -> list[Any]:
    """Where observed and simulated estimates are equally certain."""
    p9 = _plotnine()

    return [p9.geom_hline(yintercept=1, colour="#888888", size=0.4)] if metric == "moe" else []


def _ends(metric: str, points: Sequence[float], curve: Sequence[float]) -> tuple[float, float]:
    """Choose what of the vertical axis is shown: all of the curves, and nearly all of the points."""
    if metric == "vad":
        return 0.0, 1.0
    values, far = np.asarray(curve, dtype=float), np.asarray(points, dtype=float)
    ends = [*values[np.isfinite(values)], *([1.0] if metric == "moe" else [0.0])]
    if len(far):
        ends += np.quantile(far, [1 - SHOWN, SHOWN]).tolist()
    bottom = min(ends) if metric == "moe" else 0.0
    return bottom, max(*ends, bottom + 1e-3)


def _axes(metric: str, shares: Sequence[float], bottom: float, top: float) -> list[Any]:
    p9 = _plotnine()

    x = np.asarray(shares, dtype=float)
    ends = (float(x.min()), float(x.max())) if len(x) else (0.01, 1.0)
    room = 0.03 * (top - bottom)
    return [
        p9.scale_x_continuous(
            trans="sqrt",
            breaks=x_breaks(*ends),
            minor_breaks=[],
            labels=_percents,
            limits=None if len(x) else ends,
        ),
        p9.scale_y_continuous(labels=_percents if metric == "est" else _plain),
        p9.coord_cartesian(ylim=(bottom - room, top + room)),
        p9.labs(x=X_TITLE, y=Y_TITLES[metric]),
    ]


def x_breaks(low: float, high: float) -> list[float]:
    """Choose shares to label on a square-root axis: round ones, not too near to each other.

    Examples
    --------
    >>> x_breaks(0.01, 0.7)
    [0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    """
    span = np.sqrt(high) - np.sqrt(low)
    chosen: list[float] = []
    for each in BREAKS:
        if low <= each * (1 + 1e-9) and each <= high * (1 + 1e-9):
            if chosen and np.sqrt(each) - np.sqrt(chosen[-1]) < CLOSEST * span:
                continue
            chosen.append(each)
    return chosen if len(chosen) > 1 else sorted({low, high})


def _percents(values: Sequence[float]) -> list[str]:
    return [f"{100 * value:.4g}%" for value in values]


def _plain(values: Sequence[float]) -> list[str]:
    return [f"{value:.4g}" for value in values]


def _theme(size: tuple[float, float]) -> Any:
    p9 = _plotnine()

    return p9.theme_minimal(base_size=10) + p9.theme(
        figure_size=size,
        panel_grid_minor=p9.element_blank(),
        plot_title=p9.element_text(ha="left", weight="bold", size=12),
        plot_subtitle=p9.element_text(ha="left", size=10),
        plot_caption=p9.element_text(ha="left", size=8, color="#555555"),
        axis_title=p9.element_text(color="#1a1a1a", size=9),
        axis_text=p9.element_text(color="#333333"),
        legend_key_width=28,
        legend_title=p9.element_blank(),
        plot_background=p9.element_rect(fill="white", color="white"),
    )


def svg_text(figure: Any, width: float, height: float) -> str:
    """Draw a plotnine figure as SVG; its text stays text.

    Parameters
    ----------
    figure : plotnine.ggplot
    width, height : float
        Inches.

    Returns
    -------
    str
        The ``<svg>`` element, without a preamble: it can stand in a web page. The same figure gives the same
        text.
    """
    buffer = io.BytesIO()
    _save(figure, buffer, "svg", width, height)
    text = buffer.getvalue().decode()
    return text[text.index("<svg") :]


def png(figure: Any, width: float, height: float) -> bytes:
    """Draw a plotnine figure as PNG.

    Parameters
    ----------
    figure : plotnine.ggplot
    width, height : float
        Inches.

    Returns
    -------
    bytes
    """
    buffer = io.BytesIO()
    _save(figure, buffer, "png", width, height)
    return buffer.getvalue()


def write_figure(figure: Any, path: Path, kind: str, width: float, height: float) -> None:
    """Write a plotnine figure to a file.

    Parameters
    ----------
    figure : plotnine.ggplot
    path : Path
        Of any name.
    kind : {"png", "svg", "pdf"}
    width, height : float
        Inches.
    """
    with path.open("wb") as file:
        _save(figure, file, kind, width, height)


def _save(figure: Any, target: Any, kind: str, width: float, height: float) -> None:
    import matplotlib.pyplot as plt

    p9 = _plotnine()

    # No dates, versions or random identifiers, so that the same figure gives the same bytes.
    metadata = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None},
    }
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "fusionpy", "pdf.fonttype": 42}
    drawn = (figure + p9.theme(figure_size=(width, height))).draw()
    buffer = io.BytesIO()
    try:
        with plt.rc_context(settings):
            drawn.savefig(buffer, format=kind, dpi=DPI, metadata=metadata[kind])
    finally:
        plt.close(drawn)
    content = buffer.getvalue()
    target.write(_with_stable_clips(content) if kind == "svg" else content)


def _with_stable_clips(svg: bytes) -> bytes:
    """Name clipping paths by content and place: older matplotlib names them by where they lie in memory."""
    names = dict.fromkeys(_CLIP.findall(svg))
    bare = _CLIP.sub(b"", svg)
    for name in names:
        bare = bare.replace(b"#" + name, b"#")
    digest = hashlib.sha256(bare).hexdigest()[:8]
    for place, name in enumerate(names):
        svg = svg.replace(name, f"clip-{digest}-{place}".encode())
    return svg
