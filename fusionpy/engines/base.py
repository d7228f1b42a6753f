"""What an engine is: how it is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Cancelled", "Target", "Tuning"]


class Cancelled(Exception):  # noqa: N818  (not an error: the user's own wish)
    """Raised inside a fit when the user has interrupted."""


@dataclass(frozen=True)
class Target:
    """One model of a step.

    Attributes
    ----------
    variable : str
        The fusion variable.
    kind : str
        "z" (is it zero?), "m" (mean or class probabilities), "q1", "q2", … (percentiles).
    objective : {"binary", "multiclass", "regression", "quantile"}
    n_classes : int
        Of a multiclass model; otherwise 1.
    alpha : float
        Percentile of a quantile model.
    """

    variable: str
    kind: str
    objective: str
    n_classes: int = 1
    alpha: float = 0.5

    @property
    def name(self) -> str:
        """The archive's name for it: variable, underscore, kind."""
        return f"{self.variable}_{self.kind}"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its conditional expectations."""
        if self.kind == "m":
            return tuple(f"{self.name}{j + 1}" for j in range(self.n_classes))
        return (self.name,)


@dataclass(frozen=True)
class Tuning:
    """What cross-validation found.

    Attributes
    ----------
    params : dict
        The chosen hyperparameters.
    rounds : int
        Boosting rounds.
    loss : float
        Mean validation loss at those rounds.
    grid : list of dict
        Every candidate with `best_score`, `best_iter` and `final_model`.
    """

    params: dict[str, Any]
    rounds: int
    loss: float
    grid: list[dict[str, Any]]
