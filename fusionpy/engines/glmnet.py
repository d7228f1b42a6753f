"""LASSO paths by glmnet, through the optional package python-glmnet."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from fusionpy.kernels.grams import weighted_gram
from fusionpy.kernels.lasso import N_PENALTIES, Path

__all__ = ["glmnet_path", "has_glmnet"]

Array = NDArray[np.float64]


def has_glmnet() -> bool:
    """Tell whether python-glmnet is installed."""
    return find_spec("glmnet") is not None and find_spec("glmnet._glmnet") is not None


def glmnet_path(
    matrix: Array, target: Array, weight: Array, *, most: int | None = None, tolerance: float = 1e-7
) -> Path:
    """Fit a weighted Gaussian LASSO path by glmnet's own code.

    Parameters
    ----------
    matrix : (n, p) float64
        Predictors.
    target : (n,) float64
    weight : (n,) float64
        Non-negative.
    most : int, optional
        The path ends before the penalty at which more predictors than this would have come in.
    tolerance : float
        glmnet's `thresh`.

    Returns
    -------
    Path
        Just as `fusionpy.kernels.lasso.lasso_path` gives it.

    Notes
    -----
    Calls the compiled ``elnet`` itself, as the package's classes keep neither the deviance explained nor the
    number of predictors that have come in. A negative error code means that the path ended early.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0]])
    >>> path = glmnet_path(x, np.array([1.0, 2.0, 3.1, 4.0]), np.ones(4), most=1) if has_glmnet() else None
    >>> path is None or (path.full, (path.coefficient[-1] != 0).tolist()) == (True, [True, False])
    True
    """
    elnet = import_module("glmnet._glmnet").elnet

    n, p = matrix.shape
    both = weighted_gram(np.column_stack([matrix, target]), weight)
    sd = both.sd[:p]
    if both.sd[p] == 0 or not sd.any():  # glmnet stops on these
        return Path(np.zeros(1), np.zeros(1), np.zeros((1, p)), False)
    limit = p if most is None else min(most, p)
    bounds = np.asfortranarray(np.repeat([[-9.9e35], [9.9e35]], p, axis=1))
    constant = np.flatnonzero(sd == 0) + 1
    lmu, _, compressed, order, n_in, deviance, penalty, _, error = elnet(
        1 if p < 500 else 2,  # as glmnet chooses: by covariances, or by residuals
        1.0,
        np.array(matrix, order="F"),  # elnet overwrites what it is given
        np.array(target),
        np.array(weight),
        np.array([len(constant), *constant], dtype=np.int32),
        np.ones(p),
        bounds,
        limit,
        1e-4 if n >= p else 1e-2,
        np.zeros(N_PENALTIES),
        tolerance,
        ne=p + 1,
        nlam=N_PENALTIES,
    )
    if error > 0:
        raise RuntimeError(f"glmnet gave up with error {error}")
    coefficient = np.zeros((lmu, p))
    for m in range(lmu):
        coefficient[m, order[: n_in[m]] - 1] = compressed[: n_in[m], m]
    penalty = penalty[:lmu] / both.sd[p]
    if lmu > 2:  # glmnet reports the first one as infinite; R's puts it where the sequence begins
        penalty[0] = penalty[1] ** 2 / penalty[2]
    return Path(penalty, deviance[:lmu], coefficient * sd / both.sd[p], -20_000 < error <= -10_000)
