"""Figures of a validation: smoothed curves of estimates, their bias and their margins of error."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from fusionpy import figures as drawing
from fusionpy.errors import ArgumentError, counted, few, shown
from fusionpy.evaluation.comparisons import METRICS
from fusionpy.figures.layout import filled
from fusionpy.formats.atomic import check_writable
from fusionpy.frames.tables import as_table

__all__ = ["FIGURES_SHOWN", "Figures", "draw_figures", "figure_files", "figure_names"]

FIGURES_SHOWN = 3  # in a notebook, unless variables are chosen

ENDINGS = (".png", ".svg", ".pdf")


class Figures(dict[str, Any]):
    """Figures by name, which a notebook shows.

    Parameters
    ----------
    figures : mapping of str to plotnine.ggplot
    n_shown : int
        How many a notebook shows.
    """

    def __init__(self, figures: Mapping[str, Any], n_shown: int) -> None:
        super().__init__(figures)
        self.n_shown = n_shown

    def __repr__(self) -> str:
        """Name the figures."""
        return filled(f"{counted(len(self), 'figure')}: {', '.join(self)}")

    def _repr_html_(self) -> str:
        """Draw the first figures, and name the others."""
        shown_names = list(self)[: self.n_shown]
        parts = []
        for name in shown_names:
            size = drawing.ALL_SIZE if ":" not in name else drawing.ONE_SIZE
            content = base64.b64encode(drawing.png(self[name], *size)).decode()
            alt = escape(name)
            parts.append(
                f'<img alt="{alt}" title="{alt}" src="data:image/png;base64,{content}" '
                f'style="max-width: {size[0]}in; width: 100%">'
            )
        if others := list(self)[self.n_shown :]:
            names = escape(few(others, ""))
            parts.append(f"<p>Not drawn here: {names}. Pass <code>y=</code>, or take them by name.</p>")
        return "<div>\n" + "\n".join(parts) + "\n</div>"


def figure_names(names: Sequence[str]) -> Iterator[str]:
    """Name the figures of some variables: those of all, then each variable's."""
    yield from METRICS
    yield from (f"{metric}:{name}" for name in names for metric in METRICS)


def figure_files(path: str | os.PathLike[str], names: Sequence[str]) -> dict[str, Path]:
    """Name the files, and make the folder for them."""
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise ArgumentError("`plot_valid()` cannot start.", [f"`path` must be a path, not {shown(path)}."])
    base = Path(path).expanduser()
    stem, ending = (f"{base.stem}_", base.suffix) if base.suffix.lower() in ENDINGS else ("", ENDINGS[0])
    if not stem and not base.exists():
        check_writable(base.with_name(f"{base.name}{ENDINGS[0]}"), "path", ENDINGS)
        base.mkdir(exist_ok=True)
    folder = base.parent if stem else base
    targets: dict[str, Path] = {}
    for name in names:
        file = stem + re.sub(r"[^\w.-]+", "_", name)
        while any(target.stem.casefold() == file.casefold() for target in targets.values()):
            file += "_"
        targets[name] = check_writable(folder / f"{file}{ending}", "path", ENDINGS)
    return targets


def draw_figures(table: Any, smooth: Any, summary: Any, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Draw all figures of a validation, or of some of its variables."""
    columns = ("share", "y", "level", *METRICS)
    points = as_table(table).arrow(columns).to_pandas()
    curves = as_table(smooth).arrow(("metric", "share", "y", "value")).to_pandas()
    chosen = list(dict.fromkeys(as_table(summary).column("y").to_pylist()))
    chosen = chosen if names is None else [name for name in chosen if name in names]
    found: dict[str, Any] = {}
    for metric in METRICS:
        part = curves[(curves["metric"] == metric) & curves["y"].isin(chosen)]
        found[metric] = drawing.all_curves(metric, part)
    for name in chosen:
        for metric in METRICS:
            dots = points.loc[points["y"] == name, ["share", metric]]
            curve = curves[(curves["metric"] == metric) & (curves["y"] == name)]
            found[f"{metric}:{name}"] = drawing.one_curve(metric, name, dots, curve)
    return found
