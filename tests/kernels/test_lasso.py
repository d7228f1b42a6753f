"""LASSO paths, against their optimality, closed forms, scikit-learn and glmnet."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import halved
from sklearn.linear_model import lasso_path as sklearn_path

from fusionpy.engines.glmnet import glmnet_path, has_glmnet
from fusionpy.kernels.grams import weighted_gram
from fusionpy.kernels.lasso import lasso_path

needs_glmnet = pytest.mark.skipif(not has_glmnet(), reason="python-glmnet is not installed")


def survey(seed, n=400, p=12):
    """Correlated predictors of all scales, dummies among them, a target, weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) @ rng.normal(size=(p, p)) * rng.uniform(0.01, 100, p) + 1000 * rng.random(p)
    X[:, : p // 4] = X[:, : p // 4] > np.quantile(X[:, : p // 4], 0.7, axis=0)
    coefficient = rng.normal(size=p) * (rng.random(p) < 0.5)
    y = X / X.std(axis=0) @ coefficient + 2 * rng.normal(size=n)
    return X, y, rng.gamma(2, 1, n)


def fitted(X, y, w, **how):
    return lasso_path(weighted_gram(np.column_stack([X, y]), w), X.shape[1], np.arange(X.shape[1]), **how)


def standardised(X, w):
    share = w / w.sum()
    centred = X - share @ X
    return centred / np.sqrt(share @ centred**2)


@pytest.mark.compiled
@halved
@given(st.integers(0, 2**32), st.sampled_from([30, 400]))
def test_paths_are_optimal(seed, n):
    """The conditions under which coefficients minimise the penalised loss, on the rows themselves."""
    X, y, w = survey(seed, n, p=40)
    path = fitted(X, y, w, tolerance=1e-18)
    Z, target, share = standardised(X, w), standardised(y, w), w / w.sum()
    for penalty, deviance, beta in zip(path.penalty, path.deviance, path.coefficient, strict=True):
        residual = target - Z @ beta
        slope = Z.T @ (share * residual)
        assert (np.abs(slope) <= penalty + 1e-7).all()
        active = beta != 0
        assert slope[active] == pytest.approx(penalty * np.sign(beta[active]), abs=1e-7)
        assert deviance == pytest.approx(1 - share @ residual**2, abs=1e-9)


def test_orthogonal_predictors_in_closed_form():
    z = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=float)
    y = 3 * z[:, 0] - 2 * z[:, 1] + 0.5 * z[:, 2]
    path = fitted(z, y, np.ones(4))
    ols = np.array([3, -2, 0.5]) / np.sqrt(3**2 + 2**2 + 0.5**2)
    soft = np.sign(ols) * np.maximum(np.abs(ols) - path.penalty[:, None], 0)
    assert path.coefficient == pytest.approx(soft, abs=1e-12)


def test_penalties_and_early_ends_are_glmnets():
    X, y, w = survey(3)
    path = fitted(X, y, w)
    Z, target = standardised(X, w), standardised(y, w)
    assert path.penalty[0] == pytest.approx(np.abs(Z.T @ (w / w.sum() * target)).max())
    assert path.penalty[1:] / path.penalty[:-1] == pytest.approx(1e-4 ** (1 / 99))
    assert path.coefficient[0].tolist() == [0] * 12
    gain = np.diff(path.deviance)
    assert len(path.penalty) < 100
    assert gain[-1] < 1e-5 * path.deviance[-1]
    assert (gain[3:-1] >= 1e-5 * path.deviance[4:-1]).all()
    exact = fitted(X, X @ np.ones(12), w)
    assert exact.deviance[-1] > 0.999 >= exact.deviance[-2]
    few = fitted(X[:8], y[:8], w[:8])
    assert few.penalty[1:] / few.penalty[:-1] == pytest.approx(0.01 ** (1 / 99))


@pytest.mark.parametrize("most", [1, 3, 7])
def test_no_more_predictors_than_asked_for(most):
    X, y, w = survey(4)
    path, whole = fitted(X, y, w, most=most), fitted(X, y, w)
    n = len(path.penalty)
    assert path.full
    assert not whole.full
    assert (path.coefficient != 0).any(axis=0).sum() <= most
    assert (whole.coefficient[n] != 0).sum() > most
    assert path.deviance == pytest.approx(whole.deviance[:n], abs=1e-12)


def test_what_does_not_vary_explains_nothing_and_is_not_explained():
    X, y, w = survey(5)
    X[:, 4] = 7.0
    assert not fitted(X, y, w).coefficient[:, 4].any()
    path = fitted(X, np.ones(len(y)), w)
    assert path.deviance.tolist() == [0.0]
    assert fitted(X[:, :0], y, w).deviance.tolist() == [0.0]


def test_duplicates_and_dummies_of_all_levels():
    X, y, w = survey(6)
    level = np.random.default_rng(6).integers(0, 3, len(y))
    dummies = (level[:, None] == np.arange(3)).astype(float)
    path = fitted(np.column_stack([X, X[:, 5], dummies]), y + 5 * level, w)
    one = fitted(np.column_stack([X, dummies[:, 1:]]), y + 5 * level, w)
    assert path.deviance[-1] == pytest.approx(one.deviance[-1], abs=2e-4)


def test_agrees_with_scikit_learn():
    X, y, w = survey(7, 800, 30)
    path = fitted(X, y, w, tolerance=1e-16)
    root = np.sqrt(w / w.mean())
    Z, target = standardised(X, w) * root[:, None], standardised(y, w) * root
    _, theirs, _ = sklearn_path(Z, target, alphas=path.penalty, tol=1e-12, max_iter=100_000)
    assert path.coefficient == pytest.approx(theirs.T, abs=1e-6)


@pytest.mark.compiled
@needs_glmnet
@pytest.mark.parametrize("tolerance", [1e-7, 1e-14])
@pytest.mark.parametrize(
    ("n", "p", "most"), [(2000, 60, None), (2000, 60, 15), (50, 80, None), (50, 80, 100), (700, 12, 3)]
)
def test_agrees_with_glmnet(n, p, most, tolerance):
    X, y, w = survey(n + p, n, p)
    mine, theirs = (fit(X, y, w, most=most, tolerance=tolerance) for fit in (fitted, glmnet_path))
    assert mine.full == theirs.full
    assert len(mine.penalty) == len(theirs.penalty)
    assert mine.penalty == pytest.approx(theirs.penalty, rel=1e-10)
    assert mine.deviance == pytest.approx(theirs.deviance, abs=1e-9)
    assert mine.coefficient == pytest.approx(theirs.coefficient, abs=1e-9)


@pytest.mark.compiled
@needs_glmnet
def test_agrees_with_glmnet_where_it_works_on_residuals():
    rng = np.random.default_rng(8)
    X, w = rng.normal(size=(800, 510)), rng.gamma(2, 1, 800)  # it does so from 500 predictors on
    y = X[:, :20] @ rng.normal(size=20) + rng.normal(size=800)
    mine, theirs = (fit(X, y, w, tolerance=1e-13, most=100) for fit in (fitted, glmnet_path))
    n = min(len(mine.penalty), len(theirs.penalty))
    assert n > 20
    assert mine.deviance[:n] == pytest.approx(theirs.deviance[:n], abs=1e-7)
    assert mine.coefficient[:n] == pytest.approx(theirs.coefficient[:n], abs=1e-5)


@needs_glmnet
def test_glmnet_does_not_stop_on_constants():
    X, y, w = survey(9)
    X[:, 2] = 3.0
    before = X.copy(), y.copy(), w.copy()
    assert glmnet_path(X, y, w).coefficient == pytest.approx(fitted(X, y, w).coefficient, abs=1e-9)
    assert all((a == b).all() for a, b in zip(before, (X, y, w), strict=True))
    assert glmnet_path(X, np.ones(len(y)), w).deviance.tolist() == [0.0]
    assert glmnet_path(np.ones((len(y), 2)), y, w).coefficient.tolist() == [[0.0, 0.0]]
