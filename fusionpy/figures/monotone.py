"""The figure of monotonic(), by plotnine: what was given, and the function that takes its place."""

# mypy: disable-error-code=no-untyped-call

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["monotone_chart"]

POINT, LINE = "#0072b2", "#d55e00"
POINTS_MOST = 2000  # more would be one blot
SHOWN = 0.995  # of the points: a few far ones would press the others together
SIZE = (6.4, 4.0)  # inches


def monotone_chart(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    fitted: NDArray[np.float64],
    weight: NDArray[np.float64],
    names: tuple[str, str] = ("x", "y"),
) -> Any:
    """Draw points and the monotone function that was made of them.

    Parameters
    ----------
    x, y, fitted : (n,) float64
    weight : (n,) float64
        Areas of the points; those of zero weight are not drawn.
    names : (str, str)
        Of x and y.

    Returns
    -------
    plotnine.ggplot
        With at most 2000 points, evenly spaced in the order of x, and without those far above or below; its
        caption says so.

    Examples
    --------
    >>> x = np.arange(5.0)
    >>> monotone_chart(x, x, x, np.ones(5)).labels.x
    'x'
    """
    import pandas as pd
    import plotnine as p9  # takes seconds to import, so only when it is used

    distinct, first = np.unique(x, return_index=True)
    line = pd.DataFrame({"x": distinct, "y": fitted[first]})
    used = np.flatnonzero(weight > 0)
    low, high = np.quantile(y[used], [1 - SHOWN, SHOWN])
    low, high = min(low, fitted.min()), max(high, fitted.max())
    near = used[(y[used] >= low) & (y[used] <= high)]
    order = near[np.lexsort((y[near], x[near]))]
    drawn = order[np.linspace(0, len(order) - 1, min(len(order), POINTS_MOST)).astype(np.intp)]
    points = pd.DataFrame({"x": x[drawn], "y": y[drawn], "weight": weight[drawn]})
    said = []
    if len(drawn) < len(order):
        said.append(f"{len(drawn):,} of {len(order):,} records drawn.")
    if n_far := len(used) - len(near):
        said.append(f"{n_far:,} far record{'s' if n_far > 1 else ''} not shown.")
    mark = p9.geom_line if len(line) > 1 else p9.geom_point
    return (
        p9.ggplot(line, p9.aes("x", "y"))
        + p9.geom_point(p9.aes(size="weight"), points, colour=POINT, alpha=0.3, stroke=0)
        + mark(colour=LINE, size=1.1)
        + p9.scale_size_area(max_size=3, guide=None)
        + p9.labs(x=names[0], y=names[1], caption="Line: the monotone function. " + " ".join(said))
        + p9.theme_minimal(base_size=10)
        + p9.theme(
            figure_size=SIZE,
            panel_grid_minor=p9.element_blank(),
            plot_caption=p9.element_text(ha="left", size=8, color="#555555"),
            axis_title=p9.element_text(color="#1a1a1a", size=9),
            axis_text=p9.element_text(color="#333333"),
            plot_background=p9.element_rect(fill="white", color="white"),
        )
    )
