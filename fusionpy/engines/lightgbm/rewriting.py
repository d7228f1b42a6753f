"""LightGBM's models rewritten, as text: to predict in another unit, or the sum of what two predict."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionpy.kernels.magnitudes import float32_unit

__all__ = ["OWN", "Unit", "add", "restate", "unit_of"]

_TREE = re.compile(r"Tree=[0-9]+\n(.*?\n\n\n)", re.DOTALL)
_AVERAGE = "\naverage_output\n"


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
        See `fusionpy.kernels.magnitudes.float32_unit`.
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
    head, trees, tail = _parts(model)
    first = len(trees) if _AVERAGE in head else 1
    return _whole(
        head, [_restated(tree, unit.scale, unit.centre * (k < first)) for k, tree in enumerate(trees)], tail
    )


def add(base: str, model: str) -> str:
    """Make one model of two, which predicts the sum of what they predict.

    Parameters
    ----------
    base, model : str
        LightGBM's texts of models of the same predictors, without a transform of their sums. What else the
        text says of itself is taken from `model`.

    Returns
    -------
    str

    Examples
    --------
    >>> import lightgbm as lgb
    >>> x = np.random.default_rng(1).random((200, 2))
    >>> quiet = {"verbosity": -1, "num_threads": 1}
    >>> one, two = (lgb.train(quiet, lgb.Dataset(x, label=x[:, j]), num_boost_round=3) for j in (0, 1))
    >>> both = lgb.Booster(model_str=add(one.model_to_string(), two.model_to_string()))
    >>> bool(np.allclose(both.predict(x), one.predict(x) + two.predict(x), rtol=1e-12))
    True
    """
    _, under, _ = _parts(_summed(base))
    head, over, tail = _parts(_summed(model))
    return _whole(head, [*under, *over], tail)


def _parts(model: str) -> tuple[str, list[str], str]:
    """Part a text into its header, its trees without their numbers, and what follows."""
    trees = list(_TREE.finditer(model))
    return model[: trees[0].start()], [tree[1] for tree in trees], model[trees[-1].end() :]


def _whole(head: str, trees: list[str], tail: str) -> str:
    """Put parts together again."""
    numbered = [f"Tree={number}\n{tree}" for number, tree in enumerate(trees)]
    sizes = "tree_sizes=" + " ".join(str(len(tree)) for tree in numbered)
    return re.sub(r"(?m)^tree_sizes=.*$", sizes, head, count=1) + "".join(numbered) + tail


def _summed(model: str) -> str:
    """Turn the average of a random forest's trees into a sum."""
    head, trees, tail = _parts(model)
    if _AVERAGE not in head:
        return model
    return _whole(
        head.replace(_AVERAGE, "\n", 1), [_restated(tree, 1 / len(trees), 0) for tree in trees], tail
    )


def _restated(tree: str, scale: float, centre: float) -> str:
    """Change what a tree predicts."""

    def change(line: re.Match[str]) -> str:
        numbers = (format(float(each) * scale + centre, ".17g") for each in line[2].split())
        return f"\n{line[1]}=" + " ".join(numbers)

    return re.sub(r"\n(leaf_value|internal_value)=(.*)", change, tree)
