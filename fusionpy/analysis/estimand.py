"""What is estimated: a statistic of a variable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fusionpy.analysis.formulas import Formula

__all__ = ["Estimand"]


@dataclass(frozen=True)
class Estimand:
    """One quantity to be estimated in every group.

    Attributes
    ----------
    how : str
        A name of `STATISTICS`; "proportion" and "count" are of categorical variables only, "mean" and "sum"
        of a categorical variable are the same.
    y : str
        The variable; of a ratio its numerator; of a function of the user's, a name for it; of a regression
        its response, or its formula.
    other : str
        A ratio's denominator.
    share : float
        Which quantile.
    function : callable, optional
        The user's, of a group's records and their weights.
    name : str, optional
        What the user calls it.
    formula : Formula, optional
        A regression's.
    """

    how: str
    y: str
    other: str = ""
    share: float = 0.5
    function: Callable[[Any, Any], Any] | None = None
    name: str | None = None
    formula: Formula | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns that it needs; none stands for all."""
        if self.how == "custom":
            return ()
        if self.formula is not None:
            return self.formula.variables
        return (self.y, self.other) if self.other else (self.y,)

    @property
    def label(self) -> str:
        """Its entry in column `y` of the result."""
        return f"{self.y}/{self.other}" if self.other else self.y

    @property
    def call(self) -> str:
        """What it is, as a call: ``mean(kwh)``."""
        how = {"proportion": "prop"}.get(self.how, self.type)
        of = self.formula.text if self.formula is not None else ", ".join(self.variables) or self.y
        return f"{how}({of}{', family=' + self.formula.family if self.formula and how == 'glm' else ''})"

    @property
    def type(self) -> str:
        """Its entry in column `type` of the result, unless the variable turns out to be categorical."""
        return f"p{self.share * 100:.10g}" if self.how == "quantile" else self.how
