"""The figure of what predictors are worth by any measure: the report's bars, and margins."""

# mypy: disable-error-code=no-untyped-call

from __future__ import annotations

from typing import Any

import pandas as pd

from fusionpy.figures.charts import importance_bars

__all__ = ["measure_bars"]

TITLES = {
    "gain": "Share of gain, %",
    "cover": "Share of cover, %",
    "frequency": "Share of splits, %",
    "permutation": "Rise of the loss if permuted: %; of classes 0.01 nats",
}
NORMAL = 1.645  # 90 % of a normal distribution is within so many standard errors
DARK = "#1a1a1a"
WIDTH = 7.0  # inches


def measure_bars(table: pd.DataFrame, measure: str) -> Any:
    """Draw a measure of the predictors' worth, a panel for each fusion variable.

    Parameters
    ----------
    table : DataFrame
        Columns `y`, `x` and the measure: the bars, in the order in which they are to stand. For "permutation"
        also `permutation_se`.
    measure : {"gain", "cover", "frequency", "permutation"}

    Returns
    -------
    plotnine.ggplot

    Examples
    --------
    >>> table = pd.DataFrame({"y": "a", "x": ["u", "v"], "cover": [0.7, 0.3]})
    >>> measure_bars(table, "cover").labels.x
    'Share of cover, %'
    """
    import plotnine as p9  # takes seconds to import, so only when it is used

    figure, height = importance_bars(table.assign(gain=table[measure]))
    figure = figure + p9.labs(x=TITLES[measure], y="") + p9.theme(figure_size=(WIDTH, max(height, 1.2)))
    if measure != "permutation":
        return figure
    margin = 100 * NORMAL * table["permutation_se"].to_numpy()
    ends = figure.data.assign(low=figure.data["gain"] - margin, high=figure.data["gain"] + margin)
    columns = min(2, table["y"].nunique())
    return (
        figure
        + p9.facet_wrap("panel", scales="free", ncol=columns)  # rises of different losses
        + p9.geom_segment(p9.aes(x="low", xend="high", y="row", yend="row"), ends, size=0.5, color=DARK)
        + p9.geom_vline(xintercept=0, size=0.3, color=DARK)
    )
