"""The figure of prep_xy(), by plotnine: what is explained of each step, round by round."""

# mypy: disable-error-code=no-untyped-call

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = ["explained_chart"]

LINE, CHOSEN = "#777777", "#0072b2"
WIDTH, ROW, FRAME = 7.0, 0.26, 1.3  # inches: of the figure, of a step's label, of title and axis
LONGEST = 28  # letters of a label


def explained_chart(table: pd.DataFrame) -> Any:
    """Draw, for each step, the share explained of what could be, until it is placed.

    Parameters
    ----------
    table : DataFrame
        Columns `round`, `step`, `ratio`, `chosen`.

    Returns
    -------
    plotnine.ggplot
        A line for each step; it ends, with a point and the step's name, in the round that places it.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "round": [1, 1, 2],
    ...         "step": ["a", "b", "b"],
    ...         "ratio": [0.9, 0.4, 0.5],
    ...         "chosen": [True, False, True],
    ...     }
    ... )
    >>> explained_chart(table).labels.x
    'Round'
    """
    import plotnine as p9  # takes seconds to import, so only when it is used

    lines = table.assign(share=100 * table["ratio"], step=table["step"].astype(object))
    ends = lines[lines["chosen"].astype(bool)].copy()
    ends["label"] = [name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…" for name in ends["step"]]
    n_rounds = int(lines["round"].max())
    every = max(1, -(-n_rounds // 10))
    return (
        p9.ggplot(lines, p9.aes("round", "share", group="step"))
        + (p9.geom_line(color=LINE, size=0.4, alpha=0.6) if n_rounds > 1 else p9.geom_blank())
        + p9.geom_point(data=ends, color=CHOSEN, size=2)
        + p9.geom_text(
            p9.aes(label="label"), data=ends, ha="left", va="bottom", size=8, angle=25, nudge_x=0.08
        )
        + p9.scale_x_continuous(breaks=list(range(1, n_rounds + 1, every)), expand=(0.03, 0, 0.16, 0.3))
        + p9.scale_y_continuous(expand=(0.04, 0, 0.14, 0))
        + p9.labs(
            x="Round",
            y="Explained, % of what could be",
            title="What each step’s predictors explain",
            caption="A step is placed where its line ends: it has the highest share of those that are left.",
        )
        + p9.theme_minimal(base_size=10)
        + p9.theme(
            figure_size=(WIDTH, min(8.0, max(3.6, FRAME + ROW * n_rounds))),
            panel_grid_minor=p9.element_blank(),
            plot_title=p9.element_text(ha="left", weight="bold", size=12),
            plot_caption=p9.element_text(ha="left", size=8, color="#555555"),
            plot_background=p9.element_rect(fill="white", color="white"),
        )
    )
