"""Areas under the curve and folds of pairs, against all pairs and scikit-learn."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold

from fusionpy.kernels.detection import paired_folds, weighted_auc

seeds = st.integers(0, 2**32)


@given(seeds)
def test_auc_equals_all_pairs_and_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    label, value, w = rng.permutation(np.arange(12) < 5), rng.integers(0, 6, 12) / 6, rng.random(12)
    pairs = [(i, j) for i, j in itertools.product(range(12), repeat=2) if label[i] and not label[j]]
    wins = sum(w[i] * w[j] * ((value[i] > value[j]) + (value[i] == value[j]) / 2) for i, j in pairs)
    found = weighted_auc(label, value, w)
    assert found == pytest.approx(wins / sum(w[i] * w[j] for i, j in pairs))
    assert found == pytest.approx(roc_auc_score(label, value, sample_weight=w))


def test_auc_needs_both_labels():
    assert np.isnan(weighted_auc(np.array([True, True]), np.zeros(2), np.ones(2)))


@given(st.integers(5, 300), st.integers(2, 5))
def test_folds_are_even(n, n_folds):
    size = np.bincount(paired_folds(n, n_folds), minlength=n_folds)
    assert size.sum() == n
    assert np.ptp(size) <= 1


@pytest.mark.parametrize(("n", "n_folds"), [(12, 5), (40, 3), (101, 5)])
def test_folds_are_those_of_scikit_learn(n, n_folds):
    pair, label = np.repeat(np.arange(n), 2), np.tile([0, 1], n)
    mine = paired_folds(n, n_folds)
    for f, (_, held) in enumerate(StratifiedGroupKFold(n_folds).split(pair, label, pair)):
        assert np.unique(pair[held]).tolist() == np.flatnonzero(mine == f).tolist()
