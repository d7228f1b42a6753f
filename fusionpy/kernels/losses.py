"""What each record's prediction costs, and how much dearer one set of predictions is than another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["absolute_loss", "log_loss", "relative_rise", "squared_loss"]

Array = NDArray[np.float64]
LEAST = 1e-15  # probability


def squared_loss(predicted: Array, truth: Array) -> Array:
    """Square the errors.

    Parameters
    ----------
    predicted, truth : (n,) float64

    Returns
    -------
    (n,) float64

    Examples
    --------
    >>> squared_loss(np.array([1.0, 5.0]), np.array([2.0, 2.0])).tolist()
    [1.0, 9.0]
    """
    return np.asarray((predicted - truth) ** 2)


def absolute_loss(predicted: Array, truth: Array, share: float) -> Array:
    """Weigh absolute errors so that the quantile costs least ("pinball").

    Parameters
    ----------
    predicted, truth : (n,) float64
    share : float
        Of the quantile that is predicted.

    Returns
    -------
    (n,) float64

    Notes
    -----
    Koenker and Bassett (1978), *Econometrica* 46:33.

    Examples
    --------
    >>> absolute_loss(np.array([1.0, 5.0]), np.array([2.0, 2.0]), 0.75).tolist()
    [0.75, 0.75]
    """
    error = truth - predicted
    return np.asarray(np.where(error >= 0, share, share - 1) * error)


def log_loss(probability: Array, truth: NDArray[np.intp]) -> Array:
    """Take minus the logarithm of the true class's probability.

    Parameters
    ----------
    probability : (n, k) float64
        Rows sum to one.
    truth : (n,) intp
        Classes.

    Returns
    -------
    (n,) float64
        At most that of a probability of 1e-15.

    Examples
    --------
    >>> log_loss(np.array([[1.0, 0.0], [0.5, 0.5]]), np.array([0, 1])).round(4).tolist()
    [-0.0, 0.6931]
    """
    return np.asarray(-np.log(np.maximum(probability[np.arange(len(truth)), truth], LEAST)))


def relative_rise(rise: Array, loss: Array, weight: Array) -> tuple[float, Array]:
    r"""By what share a mean loss rises, and what each record does to that.

    Parameters
    ----------
    rise : (n,) float64
        Of each record's loss.
    loss : (n,) float64
        From which it rises.
    weight : (n,) float64
        Positive weights.

    Returns
    -------
    share : float
        NaN if the mean loss is 0.
    influence : (n,) float64
        The root of their sum of squares is the share's standard error, but for :math:`n / (n - 1)`.

    Notes
    -----
    A ratio :math:`\hat R = \sum w_i a_i / \sum w_i b_i`, linearised: :math:`w_i (a_i - \hat R b_i) / \sum w_i
    b_i` (Cochran 1977, *Sampling Techniques*, section 6.4).

    Examples
    --------
    >>> share, influence = relative_rise(np.array([1.0, 0.0]), np.array([1.0, 3.0]), np.ones(2))
    >>> share, influence.tolist()
    (0.25, [0.1875, -0.1875])
    """
    total = float(weight @ loss)
    if total <= 0:
        return float("nan"), np.full(len(rise), np.nan)
    share = float(weight @ rise) / total
    return share, np.asarray(weight * (rise - share * loss) / total)
