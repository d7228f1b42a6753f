"""What the models of a target, as they come, expect of each donor: always models that have not seen it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.base import Search
from fusionpy.kernels.draws import fit_calibration
from fusionpy.training.targets import Fit, Work

__all__ = ["predict_by_folds", "predict_donors"]

AT_ONCE = 10_000  # donors whose predictors are copied to be predicted


def predict_by_folds(work: Work, fit: Fit, search: Search) -> None:
    """Predict the donors that no refit left out, by the fold models; keep these if they are wanted."""
    options = work.options
    predicted = np.empty((len(work.matrix), fit.target.n_classes))
    if options.crossfit:
        fold = np.where(work.assigned < 0, fit.sample.fold, -1)
        for number in np.unique(fold[fold >= 0]):
            rows = np.flatnonzero(fold == number)
            _predict(partial(search.predict, int(number)), work, fit, rows, predicted)
            if fit.base is not None and fit.base.predicted is not None:
                predicted[rows] += fit.base.predicted[rows]
        if not options.refits and options.nfolds >= 1:
            fit.keep_folds(search.models(), work.engine)
    fit.predicted = predicted


def _predict(
    model: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    work: Work,
    fit: Fit,
    rows: NDArray[np.intp],
    out: NDArray[np.float64],
) -> None:
    """Predict some donors, not all at once: their predictors are copied."""
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        bins = fit.sample.bins
        out[some] = model(bins.scale(work.matrix[np.ix_(some, bins.columns)]))


def predict_donors(work: Work, fit: Fit) -> None:
    """Predict the other donors, by a refit that did not see them if there is one; calibrate on them.

    Each refit predicts once.
    """
    assert fit.final is not None
    assert fit.predicted is not None
    options, predicted = work.options, fit.predicted
    unseen = work.assigned < 0
    rows = np.flatnonzero(unseen & (fit.sample.fold < 0)) if options.crossfit else work.every
    _predict(partial(work.engine.predict, fit.final), work, fit, rows, predicted)
    if not options.crossfit:
        return
    is_classes = fit.target.objective in ("binary", "multiclass")
    calibrated = options.calibrate and is_classes and len(work.plans[fit.step].variables) == 1
    total, number = np.zeros_like(predicted), np.zeros(len(predicted))
    found = np.empty_like(predicted)
    for refit, model in enumerate(fit.refits):
        own = work.assigned == refit
        rows = np.flatnonzero(work.counts[refit] == 0 if calibrated else own)
        _predict(partial(work.engine.predict, model), work, fit, rows, found)
        predicted[own] = found[own]
        total[rows] += found[rows]
        number[rows] += 1
    if calibrated:
        # What implicates draw from is the mixture of the refits, here of those that left a donor out. A
        # single one's probabilities are noisier; calibrating them would flatten every implicate, and
        # with it the differences between groups.
        mean = np.where(number[:, None] > 0, total / np.maximum(number, 1)[:, None], predicted)
        probability = np.hstack([1 - mean, mean]) if mean.shape[1] == 1 else mean
        label = fit.problem.label.astype(np.intp)
        fit.calibration = fit_calibration(probability, label, fit.problem.weight)
