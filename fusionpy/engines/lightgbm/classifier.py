"""A classifier by LightGBM that tries to tell two samples apart."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

__all__ = ["held_out_probability"]

ROUNDS = 150
_PARAMETERS = {
    "objective": "binary",
    "num_leaves": 15,
    "learning_rate": 0.05,
    "min_data_in_leaf": 40,
    "verbose": -1,
    # The same bits on any number of cores: folds run side by side instead.
    "num_threads": 1,
    "deterministic": True,
    "force_col_wise": True,
}


def held_out_probability(
    matrix: NDArray[np.float64],
    label: NDArray[np.bool_],
    weight: NDArray[np.float64],
    fold: NDArray[np.intp],
    *,
    seed: int = 0,
    cores: int = 1,
) -> NDArray[np.float64]:
    """Predict each record's label by a model that has not seen its fold.

    Parameters
    ----------
    matrix : (n, p) float64
        NaN: missing.
    label : (n,) bool
    weight : (n,) float64
        Mean 1.
    fold : (n,) intp
        Fold of each record, from 0.
    seed : int
    cores : int
        Threads. The result does not depend on it.

    Returns
    -------
    (n,) float64
        Probability that the label is true.

    Notes
    -----
    Boosted trees: 150 rounds of 15 leaves, each of at least 40 records, learning rate 0.05.

    Examples
    --------
    >>> x = np.arange(400.0)
    >>> found = held_out_probability(x[:, None], x < 200, np.ones(400), np.arange(400) % 2)
    >>> bool((found[:180] > 0.9).all() and (found[220:] < 0.1).all())
    True
    """
    import lightgbm as lgb  # see `boosting`

    parameters = {**_PARAMETERS, "seed": seed % 2**31}
    out = np.empty(len(matrix))

    def predict_fold(f: int) -> None:
        held = fold == f
        data = lgb.Dataset(matrix[~held], label[~held].astype(np.float64), weight=weight[~held])
        booster = lgb.train(parameters, data, num_boost_round=ROUNDS)
        out[held] = booster.predict(matrix[held], num_threads=1)

    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(predict_fold, range(int(fold.max()) + 1)))
    return out
