"""The demo's comparison of fused estimates with the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from scipy.special import stdtrit

__all__ = ["show_comparison", "thin"]

ESTIMATES = (  # label, column, level whose share is wanted
    ("electricity, kWh", "electricity", None),
    ("gas bill, $", "gas_bill", None),
    ("savings, $", "savings", None),
    ("vehicles", "vehicles", None),
    ("% heating with piped gas", "heating_fuel", "piped_gas"),
    ("% with poor insulation", "insulation", "poor"),
    ("% with solar panels", "solar", True),
)
BY_REGION = (ESTIMATES[0], ESTIMATES[4])
CORRELATIONS = (
    ("electricity", "gas_bill"),
    ("electricity", "vehicles"),
    ("food_share", "housing_share"),
    ("income", "savings"),
)
NOTE = """\
Margin (90 %): t * sqrt((1 + 1/M) * B) by Rubin's rules, B being the variance between the {M} implicates. \
The recipients' own sampling variance is left out, because the truth is that of the same households. The \
margin covers {covered} of {total} true values. These are not independent: all rest on one donor sample.
"""


def thin(frame: pd.DataFrame, n: int) -> pd.DataFrame:
    """Take `n` rows at equal distances, or all if there are fewer."""
    rows = np.linspace(0, len(frame) - 1, min(n, len(frame))).astype(np.intp)
    return frame.iloc[rows].reset_index(drop=True)


def show_comparison(recipient: pd.DataFrame, fused: pd.DataFrame, truth: pd.DataFrame, M: int) -> None:
    """Print weighted means, shares and correlations of the fused survey beside the true ones.

    Parameters
    ----------
    recipient : DataFrame, n rows
    fused : DataFrame, M * n rows
    truth : DataFrame, n rows
    M : int
    """
    weight = recipient["weight"].to_numpy()
    covered: list[bool] = []
    overall = _table("All households", "fused", "margin", "true", "covered")
    for label, column, level in ESTIMATES:
        overall.add_row(label, *_row(fused, truth, column, level, weight, M, covered))
    regions = _table("By region", "fused", "margin", "true", "covered")
    for label, column, level in BY_REGION:
        for region in recipient["region"].cat.categories:
            inside = np.where(recipient["region"] == region, weight, 0.0)
            regions.add_row(f"{label}: {region}", *_row(fused, truth, column, level, inside, M, covered))
    pairs = _table("Correlations", "fused", "lowest", "highest", "true")
    for a, b in CORRELATIONS:
        each = [_correlation(fused[fused["M"] == m], recipient, a, b) for m in range(1, M + 1)]
        numbers = (np.mean(each), min(each), max(each), _correlation(truth, recipient, a, b))
        pairs.add_row(f"{a}, {b}", *(f"{number:.2f}" for number in numbers))
    console = Console(width=80, highlight=False)
    console.print(overall, regions, pairs)
    console.print(NOTE.format(M=M, covered=sum(covered), total=len(covered)))


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left", title_style="bold")
    table.add_column("", min_width=36)
    for column in columns:
        table.add_column(column, justify="right", min_width=7)
    return table


def _row(
    fused: pd.DataFrame,
    truth: pd.DataFrame,
    column: str,
    level: object,
    weight: NDArray[np.float64],
    M: int,
    covered: list[bool],
) -> list[str]:
    """Estimate one weighted mean from all implicates and from the truth."""
    each = _values(fused, column, level).reshape(M, -1) @ weight / weight.sum()
    true = float(_values(truth, column, level) @ weight / weight.sum())
    margin = float(stdtrit(M - 1, 0.95) * np.sqrt((1 + 1 / M) * each.var(ddof=1)))
    covered.append(bool(abs(each.mean() - true) <= margin))
    decimals = max(0, 3 - len(str(int(true))))
    return [
        *(f"{number:,.{decimals}f}" for number in (each.mean(), margin, true)),
        "yes" if covered[-1] else "no",
    ]


def _values(frame: pd.DataFrame, column: str, level: object) -> NDArray[np.float64]:
    """Values, or with a level 100 where it is and 0 elsewhere, so that their mean is a percentage."""
    values = frame[column] if level is None else 100 * (frame[column] == level)
    return np.asarray(values, dtype=np.float64)


def _correlation(frame: pd.DataFrame, recipient: pd.DataFrame, a: str, b: str) -> float:
    """Compute a weighted correlation of the households where both variables are known."""
    columns = [
        np.asarray(frame[name] if name in frame else recipient[name], dtype=np.float64) for name in (a, b)
    ]
    known = np.isfinite(columns[0]) & np.isfinite(columns[1])
    cov = np.cov(columns[0][known], columns[1][known], aweights=recipient["weight"].to_numpy()[known])
    return float(cov[0, 1] / np.sqrt(cov[0, 0] * cov[1, 1]))
