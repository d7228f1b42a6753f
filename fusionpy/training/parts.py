"""What effects are on: of each step the means and chances that its models expect."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fusionpy.kernels.magnitudes import binary_exponent
from fusionpy.kernels.mixed import FAR
from fusionpy.model import FusionModel, Step
from fusionpy.training.donors import Donors
from fusionpy.training.out_of_fold import Expected

__all__ = ["Part", "list_parts", "values_of"]

SKEWED = 0.4  # skewness from which on effects on a variable that is never negative are shares of its mean
SLIGHT = 0.01  # share of the overall mean that a mean is taken to be at least


@dataclass(frozen=True)
class Part:
    """What an effect is on: one model of a step, and of its classes one."""

    target: str
    column: int
    variable: str
    is_zero: bool = False
    level: int | None = None  # class whose chance it is
    unit: int = 0  # power of 2 in which effects on a mean are fitted: squares neither vanish nor overflow
    is_relative: bool = False  # a mean of amounts, none below 0, of which effects are shares
    least: float = 0.0  # that such a mean is taken to be
    share: float = 0.0  # of more than two classes, this one's
    is_inflated: bool = False

    @property
    def is_logit(self) -> bool:
        """Whether effects are on the logit of a chance."""
        return self.is_zero or self.level is not None

    @property
    def is_given(self) -> bool:
        """Whether donors' own values of the steps before are what is expected of them follows from.

        Effects on means make up for the steps before, too. Those on chances, and on means of what is not
        zero, cannot: chances of one who drew another fuel are not a little, but altogether off.
        """
        return self.is_logit or self.is_inflated

    def expected(self, expected: Expected, columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Take what is expected: a mean (of what is not zero), or a chance."""
        if self.is_zero:
            return 1 - expected.chances[self.variable]
        found = expected.average[:, columns[self.level or 0]]
        if self.variable in expected.chances:
            return found / np.maximum(expected.chances[self.variable], FAR)
        return found

    def told(self, expected: Expected) -> NDArray[np.bool_]:
        """Tell the donors of whom the mean is known: not where a zero is all that is expected."""
        if self.is_logit or self.variable not in expected.chances:
            return np.full(len(expected.average), True)
        return np.asarray(expected.chances[self.variable] > FAR)

    def scaled(
        self, value: NDArray[np.float64], mean: NDArray[np.float64], weight: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Bring what is off a mean to the scale of the effects, and weights to their precision there.

        Of amounts variances are taken to be in proportion to means, so that levels' means come out right.
        """
        if not self.is_relative:
            return np.ldexp(value, -self.unit), weight
        mean = np.maximum(mean, self.least)
        return value / mean, weight * (mean / self.least)


def list_parts(model: FusionModel, step: Step, donors: Donors) -> Iterator[Part]:
    """List what a step's effects are on."""
    for variable in step.variables:
        classes = model.schema[variable].n_classes
        if step.is_inflated:
            yield Part(f"{variable}_z", 0, variable, is_zero=True)
        if not classes:
            values = values_of(variable, model, donors.y)
            values = values[values != 0] if step.is_inflated else values
            mean = Part(f"{variable}_m", 0, variable, is_inflated=step.is_inflated)
            if _is_amount(values):
                yield replace(mean, is_relative=True, least=SLIGHT * float(values.mean()))
            else:
                yield replace(mean, unit=binary_exponent(values))
        elif classes == 2:
            yield Part(f"{variable}_m", 0, variable, level=1)
        else:
            values = values_of(variable, model, donors.y)
            for level in range(classes):
                share = float(np.average(values == level, weights=donors.weight))
                yield Part(f"{variable}_m", level, variable, level=level, share=share)


def values_of(variable: str, model: FusionModel, y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take the donors' values of a variable."""
    return y[:, [each.name for each in model.schema.y].index(variable)]


def _is_amount(values: NDArray[np.float64]) -> bool:
    """Tell amounts, of which groups differ in shares rather than by so much: none below 0, and skewed."""
    if not len(values) or values.min() < 0 or values.min() == values.max():
        return False
    apart = np.ldexp(values, -binary_exponent(values))
    apart -= apart.mean()
    return bool((apart**3).mean() > SKEWED * (apart**2).mean() ** 1.5)
