"""Models of variables that four-byte numbers would blur: fitted in another unit, told in their own."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionpy.kernels.scaling import float32_unit

__all__ = ["OWN", "Unit", "restate", "unit_of"]

_TREE = re.compile(r"Tree=[0-9]+\n.*?\n\n\n", re.DOTALL)


@dataclass(frozen=True)
class Unit:
    """The unit in which LightGBM is given a label: ``(label - centre) / scale``.

    Attributes
    ----------
    centre, scale : float
        Scale is a power of 2.
    """

    centre: float = 0.0
    scale: float = 1.0

    @property
    def is_own(self) -> bool:
        """Whether it is the variable's own."""
        return self.centre == 0 and self.scale == 1

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Put values into this unit."""
        return values if self.is_own else (values - self.centre) / self.scale

    def undo(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Put them back into the variable's own."""
        return values if self.is_own else values * self.scale + self.centre

    def restate_loss(self, loss: float, objective: str) -> float:
        """Tell a loss in the variable's own unit: it grows with the scale, squared for means."""
        return loss * self.scale ** (2 if objective == "regression" else 1)


OWN = Unit()


def unit_of(label: NDArray[np.float64], objective: str) -> Unit:
    """Choose the unit of a label.

    Parameters
    ----------
    label : (n,) float64
    objective : {"binary", "multiclass", "regression", "quantile"}

    Returns
    -------
    Unit
        See `fusionpy.kernels.scaling.float32_unit`.
    """
    return Unit(*float32_unit(label)) if objective in ("regression", "quantile") else OWN


def restate(model: str, unit: Unit) -> str:
    """Rewrite a model's text so that it predicts in the variable's own unit.

    Parameters
    ----------
    model : str
        LightGBM's text of a model.
    unit : Unit
        Of the label that it was fitted on.

    Returns
    -------
    str
        The text as it came where nothing is to be done.

    Examples
    --------
    >>> import lightgbm as lgb
    >>> x = np.random.default_rng(1).random((200, 2))
    >>> data, quiet = lgb.Dataset(x, label=x[:, 0]), {"verbosity": -1, "num_threads": 1}
    >>> booster = lgb.train(quiet, data, num_boost_round=3)
    >>> same = lgb.Booster(model_str=restate(booster.model_to_string(), Unit(1000.0, 2.0))).predict(x)
    >>> bool(np.allclose(same, booster.predict(x) * 2 + 1000, rtol=1e-12))
    True
    """
    if unit.is_own:
        return model
    is_average = "\naverage_output\n" in model.partition("\n\n")[0]
    trees: list[str] = []

    def rewrite(found: re.Match[str]) -> str:
        tree = found[0]
        centre = unit.centre if is_average or not trees else 0.0
        for key in ("leaf_value", "internal_value"):
            tree = re.sub(rf"\n{key}=.*", lambda line: _changed(line[0], unit.scale, centre), tree, count=1)
        trees.append(tree)
        return tree

    text = _TREE.sub(rewrite, model)
    return re.sub(r"(?m)^tree_sizes=.*$", "tree_sizes=" + " ".join(str(len(t)) for t in trees), text, count=1)


def _changed(line: str, scale: float, centre: float) -> str:
    """Change the numbers of one line."""
    key, _, numbers = line.partition("=")
    return f"{key}=" + " ".join(format(float(each) * scale + centre, ".17g") for each in numbers.split())
