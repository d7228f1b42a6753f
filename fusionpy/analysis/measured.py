"""Estimates of one implicate, by group, with their variances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.analysis.designs import Design
from fusionpy.analysis.estimand import Estimand
from fusionpy.analysis.groups import Array, Cells, Levels
from fusionpy.kernels.estimates import (
    Moments,
    Shares,
    group_moments,
    group_shares,
)
from fusionpy.kernels.quantiles import (
    Sorted,
    sort_groups,
)

__all__ = ["Measured", "Replicates"]


@dataclass
class Replicates:
    """Replicate weights and what their spread is worth.

    Attributes
    ----------
    weights : (n, R) float64, one column after the other
    scale : float
        The variance is ``scale`` times the sum of squared differences from the full-sample estimate.
    cores : int
        Threads that work on them.
    """

    weights: Array
    scale: float
    cores: int = 1

    def __len__(self) -> int:
        return int(self.weights.shape[1])


@dataclass
class Measured:
    """What one estimand needs of one implicate.

    Attributes
    ----------
    estimand : Estimand
    cell : (n,) intp
    n_cells : int
    x : (n,) float64
        Values, NaN where missing; of a categorical variable its codes, -1 where missing.
    levels : Levels or None
    other : (n,) float64, of a ratio
    frame : callable, of a user's function
        Makes the frame of some rows.
    names : list of str
        Of what the user's function returns, once that is known.
    infinite : tuple of (str, int)
        Columns with infinite values, which are taken for missing, and how many.
    design : Design or None
        Of a regression.
    """

    estimand: Estimand
    cell: Cells
    n_cells: int
    x: Any
    levels: Levels | None = None
    other: Array | None = None
    frame: Callable[[NDArray[np.intp]], Any] | None = None
    names: list[str] = field(default_factory=list)
    infinite: tuple[tuple[str, int], ...] = ()
    design: Design | None = None
    _moments: tuple[Array, Moments] | None = None  # with the weights last used
    _shares: tuple[Array, Shares] | None = None
    _order: Sorted | None = None
    _parts: list[tuple[NDArray[np.intp], Any]] | None = None

    @property
    def order(self) -> Sorted:
        """Rows by group and value."""
        if self._order is None:
            self._order = sort_groups(self.cell, self.n_cells, self.x)
        return self._order

    @property
    def parts(self) -> list[tuple[NDArray[np.intp], Any]]:
        """Rows of each group, and their frame."""
        if self._parts is None:
            assert self.frame is not None
            start, row = sort_groups(self.cell, self.n_cells, np.zeros(len(self.cell)))
            rows = [row[start[c] : start[c + 1]] for c in range(self.n_cells)]
            self._parts = [(each, self.frame(each)) for each in rows]
        return self._parts

    def moments(self, w: Array, x: Array | None = None) -> Moments:
        """Moments by group of the variable, or of another in its place."""
        if x is not None and x is not self.x:
            return group_moments(self.cell, self.n_cells, w, x)
        found = self._moments  # threads share this: what is looked at must be what is returned
        if found is None or found[0] is not w:
            found = self._moments = w, group_moments(self.cell, self.n_cells, w, self.x)
        return found[1]

    def shares(self, w: Array) -> Shares:
        """Weights of the levels by group."""
        assert self.levels is not None
        found = self._shares
        if found is None or found[0] is not w:
            levels = len(self.levels.labels)
            found = self._shares = w, group_shares(self.cell, self.n_cells, w, self.x, levels)
        return found[1]
