"""Charts for reports, by plotnine: what predictors are worth, and how fused data score."""

# mypy: disable-error-code=no-untyped-call

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

__all__ = ["effect_dots", "importance_bars", "score_dots"]

BLUE = "#0072b2"
# After Okabe and Ito, each with a contrast of at least 3 to white; shapes tell the ways apart without colour.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#555555", "#8a6d00")
SHAPES = ("o", "^", "s", "D", "v", "P")
ROW, PANEL = 0.19, 0.62  # inches: of a bar, and of a panel's title and axis
_PART = "\t"  # between a panel's name and a row's, in levels that must be unique


def _theme() -> Any:
    import plotnine as p9  # takes seconds to import, so only when it is used

    return p9.theme_minimal(base_size=9) + p9.theme(
        panel_grid_minor=p9.element_blank(),
        panel_grid_major_y=p9.element_blank(),
        strip_text=p9.element_text(ha="left", weight="bold", color="#1a1a1a"),
        axis_text=p9.element_text(color="#333333"),
        axis_title=p9.element_text(color="#1a1a1a"),
        panel_spacing_x=0.03,
        panel_spacing_y=0.035,
        legend_position="bottom",
        legend_title=p9.element_blank(),
        plot_background=p9.element_rect(fill="white", color="white"),
    )


def _last_part(names: Sequence[float] | Sequence[str]) -> list[str]:
    return [str(name).split(_PART)[-1] for name in names]


def _in_panels(panel: pd.Series, name: pd.Series) -> tuple[pd.DataFrame, int, float]:
    """Place rows of a name each in panels; give the panels in a line, and the figure's height, too."""
    panels, keys = list(dict.fromkeys(panel)), panel + _PART + name
    order = list(dict.fromkeys(keys))[::-1]
    places = pd.DataFrame({"panel": pd.Categorical(panel, panels), "row": pd.Categorical(keys, order)})
    columns = min(2, len(panels))
    most = int(keys.groupby(panel).nunique().max())
    return places.set_axis(panel.index), columns, round(-(-len(panels) // columns) * (PANEL + ROW * most), 2)


def importance_bars(table: pd.DataFrame) -> tuple[Any, float]:
    """Draw the predictors' shares of gain, a panel for each fusion variable.

    Parameters
    ----------
    table : DataFrame
        Columns `y`, `x`, `gain`: the bars, in the order in which they are to stand.

    Returns
    -------
    figure : plotnine.ggplot
    height : float
        In inches, at which the bars are of the same thickness whatever their number.

    Examples
    --------
    >>> table = pd.DataFrame({"y": ["a", "a", "b"], "x": ["u", "v", "u"], "gain": [0.7, 0.3, 1.0]})
    >>> importance_bars(table)[1]
    1.0
    """
    import plotnine as p9

    places, columns, height = _in_panels(table["y"], table["x"])
    bars = places.assign(gain=100 * table["gain"])
    figure = (
        p9.ggplot(bars)
        + p9.geom_segment(p9.aes(x=0, xend="gain", y="row", yend="row"), size=2.6, color=BLUE)
        + p9.facet_wrap("panel", scales="free_y", ncol=columns)
        + p9.scale_x_continuous(expand=(0, 0, 0.04, 0))
        + p9.scale_y_discrete(labels=_last_part)
        + p9.labs(x="Share of gain, %", y="")
        + _theme()
    )
    return figure, height


def effect_dots(table: pd.DataFrame) -> tuple[Any, float]:
    """Draw how large effects are, a panel for each model, a row for each predictor.

    Parameters
    ----------
    table : DataFrame
        Columns `panel`, `x`, `sd`: the dots, those of a panel's rows in the order in which they are to stand.

    Returns
    -------
    figure : plotnine.ggplot
    height : float
        In inches.

    Examples
    --------
    >>> table = pd.DataFrame({"panel": ["a", "a", "b"], "x": ["u", "v", "u"], "sd": [0.7, 0.3, 1.0]})
    >>> effect_dots(table)[1]
    1.0
    """
    import plotnine as p9

    places, columns, height = _in_panels(table["panel"], table["x"])
    dots = places.assign(sd=table["sd"])
    figure = (
        p9.ggplot(dots, p9.aes("sd", "row"))
        + p9.geom_point(size=2.2, color=BLUE)
        + p9.facet_wrap("panel", scales="free", ncol=columns)
        + p9.expand_limits(x=0)
        + p9.scale_y_discrete(labels=_last_part)
        + p9.labs(x="Standard deviation of effects", y="")
        + _theme()
        + p9.theme(panel_grid_major_y=p9.element_line(color="#dddddd"))
    )
    return figure, height


def score_dots(table: pd.DataFrame) -> tuple[Any, float]:
    """Draw scores of several ways to fuse, a panel for each measure.

    Parameters
    ----------
    table : DataFrame
        Columns `way`, `y`, `measure`, `value`, `aim`.

    Returns
    -------
    figure : plotnine.ggplot
    height : float
        In inches.

    Examples
    --------
    >>> rows = {
    ...     "way": ["fused", "hot deck"],
    ...     "y": ["a", "a"],
    ...     "measure": "crps",
    ...     "value": [0.7, 0.8],
    ...     "aim": 0,
    ... }
    >>> score_dots(pd.DataFrame(rows))[1]
    1.41
    """
    import plotnine as p9

    measures = list(dict.fromkeys(table["measure"]))
    ways, names = list(dict.fromkeys(table["way"])), list(dict.fromkeys(table["y"]))
    keys = table["measure"] + _PART + table["y"]
    order = [f"{measure}{_PART}{name}" for measure in measures for name in reversed(names)]
    dots = pd.DataFrame(
        {
            "panel": pd.Categorical(table["measure"], measures),
            "row": pd.Categorical(keys, [key for key in order if key in set(keys)]),
            "way": pd.Categorical(table["way"], ways),
            "value": table["value"],
        }
    )
    aims = table.drop_duplicates("measure")[["measure", "aim"]]
    lines_at = pd.DataFrame({"panel": pd.Categorical(aims["measure"], measures), "aim": aims["aim"]})
    columns = min(2, len(measures))
    figure = (
        p9.ggplot(dots, p9.aes("value", "row", color="way", shape="way"))
        + p9.geom_vline(p9.aes(xintercept="aim"), lines_at, color="#777777", linetype="dashed", size=0.4)
        + p9.geom_point(size=2.2)
        + p9.facet_wrap("panel", scales="free", ncol=columns)
        + p9.scale_y_discrete(labels=_last_part)
        + p9.scale_color_manual([COLOURS[j % len(COLOURS)] for j in range(len(ways))])
        + p9.scale_shape_manual([SHAPES[j % len(SHAPES)] for j in range(len(ways))])
        + p9.labs(x="", y="")
        + _theme()
        + p9.theme(panel_grid_major_y=p9.element_line(color="#dddddd"))
    )
    lines = -(-len(measures) // columns)
    rows = int(table.groupby("measure")["y"].nunique().max())
    return figure, round(lines * (PANEL + 1.4 * ROW * rows) + 0.52, 2)
