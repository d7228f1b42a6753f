"""What `score` returns: a table of measures, and how it prints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fusionpy.errors import counted, few
from fusionpy.evaluation.violations import tell_violations
from fusionpy.figures.layout import Grid, Page

__all__ = ["AIMS", "FLOOR", "FUSED", "HOT_DECK", "PREDICTED", "UNCONDITIONAL", "Scorecard"]

FUSED, UNCONDITIONAL = "fused", "unconditional draw"
HOT_DECK, FLOOR = "random hot deck", "sampling floor"
PREDICTED = "predicted"  # by models, before anything is drawn
AIMS = {
    **{"crps": 0.0, "brier": 0.0, "cover90": 0.9, "zero_err": 0.0, "share_err": 0.0, "w1": 0.0},
    **{
        "q90": 1.0,
        "q99": 1.0,
        "mean": 1.0,
        "top1": 1.0,
        "energy": 0.0,
        "corr_err": 0.0,
        "auc": 0.5,
        "subgroup": 0.0,
    },
}


@dataclass(frozen=True, eq=False, repr=False)
class Scorecard:
    """How near implicates come to the truth, beside two baselines and the least that a sample allows.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per way of making implicates (`way`: "fused", "unconditional draw", "random hot deck",
        "sampling floor"; of `cross_score` also "predicted"), variable (`y`; None: of all variables together)
        and `measure`, with its `value` (NaN: not defined here, see `notes`), its `aim` and the number `n` of
        records it rests on.
    n : int
        Records.
    M : int
        Implicates.
    seed : int
        Of the baselines' draws.
    notes : tuple of str
        What was left out, or could not be computed, and why.
    violations : pandas.DataFrame or None
        Shares of records that break each rule.
    """

    table: pd.DataFrame
    n: int
    M: int
    seed: int
    notes: tuple[str, ...] = ()
    violations: pd.DataFrame | None = None

    def wide(self) -> pd.DataFrame:
        """Lay the ways side by side.

        Returns
        -------
        pandas.DataFrame
            Columns `y`, `measure` and one for each way; the measures of all variables together come first.
        """
        ways = list(dict.fromkeys(self.table["way"]))
        found = {
            (way, y, measure): value
            for way, y, measure, value in self.table[["way", "y", "measure", "value"]].itertuples(index=False)
        }
        rows = sorted(dict.fromkeys((y, m) for _, y, m in found), key=lambda row: row[0] is not None)
        columns = {way: [found.get((way, *row), np.nan) for row in rows] for way in ways}
        names = {
            "y": pd.Series([y for y, _ in rows], dtype=object),
            "measure": pd.Series([measure for _, measure in rows], dtype=object),
        }
        return pd.DataFrame({**names, **columns})

    def to_dict(self, way: str = FUSED) -> dict[str, Any]:
        """Nest one way's values, ready for JSON.

        Parameters
        ----------
        way : str

        Returns
        -------
        dict
            `n`, `M`, `by` (variable, then measure), and the measures of all variables together; what is not
            defined is None.
        """
        by: dict[str, dict[str, float | None]] = {}
        joint: dict[str, float | None] = {}
        part = self.table[self.table["way"] == way]
        for y, measure, value in part[["y", "measure", "value"]].itertuples(index=False):
            (joint if y is None else by.setdefault(y, {}))[measure] = None if np.isnan(value) else value
        return {"n": self.n, "M": self.M, "by": by, **joint}

    def _page(self) -> Page:
        wide = self.wide()
        aims = self.table.drop_duplicates("measure").set_index("measure")["aim"]
        ways = tuple(map(str, wide.columns[2:]))
        rows = []
        before: object = self
        for y, measure, *values in wide.itertuples(index=False):
            name = ("all" if y is None else few([y], "")) if y is not before else ""
            aim = aims[measure]
            rows.append((name, measure, *map(_number, values), f"near {aim:.2g}" if aim else "lower"))
            before = y
        headline = f"Scorecard: {counted(self.n, 'record')}, M = {self.M}, seed {self.seed}"
        numeric = (False, False, *[True] * len(ways), False)
        grid = Grid(("", "measure", *ways, "better"), tuple(rows), numeric)
        return Page(headline, (grid,), (*tell_violations(self.violations), *self.notes))

    def __repr__(self) -> str:
        return self._page().text()

    def _repr_html_(self) -> str:
        return self._page().html()


def _number(value: float) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1000 else f"{value:.3g}"
