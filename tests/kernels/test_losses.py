"""Losses of records, and relative rises of their mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from fusionpy.kernels.losses import absolute_loss, log_loss, relative_rise, squared_loss


@given(st.integers(0, 2**32), st.floats(0.01, 0.99))
def test_mean_losses_equal_those_of_scikit_learn(seed, share):
    rng = np.random.default_rng(seed)
    truth, predicted, w = rng.normal(size=40), rng.normal(size=40), rng.random(40) + 0.1
    label, p = rng.permutation(np.arange(40) % 3), rng.dirichlet(np.ones(3), 40)
    for mine, theirs in (
        (squared_loss(predicted, truth), metrics.mean_squared_error(truth, predicted, sample_weight=w)),
        (
            absolute_loss(predicted, truth, share),
            metrics.mean_pinball_loss(truth, predicted, sample_weight=w, alpha=share),
        ),
        (log_loss(p, label), metrics.log_loss(label, p, sample_weight=w)),
    ):
        assert np.average(mine, weights=w) == pytest.approx(theirs)


def test_an_impossible_class_costs_much_but_not_everything():
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-15))


@given(st.integers(0, 2**32))
def test_influences_are_derivatives_with_respect_to_the_weights(seed):
    rng = np.random.default_rng(seed)
    rise, loss, w = rng.normal(size=12), rng.random(12) + 0.1, rng.random(12) + 0.5
    share, influence = relative_rise(rise, loss, w)
    assert share == pytest.approx((w * rise).sum() / (w * loss).sum())
    for i in range(12):
        step = np.zeros(12)
        step[i] = 1e-6
        ends = [relative_rise(rise, loss, w + sign * step)[0] for sign in (1, -1)]
        assert influence[i] == pytest.approx(w[i] * (ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-8)


def test_no_loss_can_rise_by_no_share():
    share, influence = relative_rise(np.ones(2), np.zeros(2), np.ones(2))
    assert np.isnan(share)
    assert np.isnan(influence).all()
    assert relative_rise(np.array([1e-9, 0]), np.array([1e-9, 3e-9]), np.ones(2))[0] == pytest.approx(0.25)
