"""Running lines and the super smoother."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import halved

from fusionpy.kernels.supersmoother import SPANS, running_lines, supersmooth


def window_lines(x, y, w, span, narrow):
    """Fit every window's line from scratch, with and without the point itself."""
    n = len(x)
    half = max(int(0.5 * span * n + 0.5 + 1e-9), 2)
    fitted, left_out = np.empty(n), np.zeros(n)
    for j in range(n):
        start = max(min(j - half, n - 2 * half - 1), 0)
        window = range(start, min(start + 2 * half + 1, n))
        fitted[j] = line(x, y, w, window, narrow, x[j])
        sxx = spread(x, w, window)
        pull = w[j] / w[window].sum()
        if sxx > narrow**2:
            pull += w[j] * (x[j] - np.average(x[window], weights=w[window])) ** 2 / sxx
        left_out[j] = abs(y[j] - fitted[j]) / (1 - pull)
    return fitted, left_out


def spread(x, w, window):
    return (w[window] * (x[window] - np.average(x[window], weights=w[window])) ** 2).sum()


def line(x, y, w, window, narrow, at):
    window = np.asarray(window)
    if spread(x, w, window) <= narrow**2:
        return np.average(y[window], weights=w[window])
    level = np.polyfit(x[window] - at, y[window], 1, w=np.sqrt(w[window]))[1]
    return level


def sample(seed, n):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.gamma(2, 1, n))
    return x, np.sin(2 * x) + rng.normal(size=n) / 3, rng.exponential(size=n) + 0.1


@given(st.integers(0, 2**32), st.integers(6, 60), st.sampled_from([0.05, 0.2, 0.5, 1.0]))
def test_running_lines_equal_lines_from_scratch(seed, n, span):
    x, y, w = sample(seed, n)
    narrow = 1e-3 * (x[-1] - x[0])
    fitted, left_out = running_lines(x, y, w, span, narrow)
    expected, expected_left_out = window_lines(x, y, w, span, narrow)
    assert fitted == pytest.approx(expected, rel=1e-7, abs=1e-7)
    assert left_out == pytest.approx(expected_left_out, rel=1e-6, abs=1e-6)


def test_left_out_residual_is_that_of_the_line_without_the_point():
    x, y, w = sample(3, 30)
    left_out = running_lines(x, y, w, 0.2, 0.0)[1]
    for j in (0, 7, 15, 29):
        start = max(min(j - 3, 30 - 7), 0)
        others = [i for i in range(start, start + 7) if i != j]
        assert left_out[j] == pytest.approx(abs(y[j] - line(x, y, w, others, 0.0, x[j])), rel=1e-8)


def test_points_of_one_x_share_their_weighted_mean():
    x, y, w = np.array([0, 1, 1, 1, 2, 3, 4.0]), np.arange(7.0) ** 2, np.arange(1, 8.0)
    apart = window_lines(x, y, w, 0.2, 0.0)[0]
    fitted = running_lines(x, y, w, 0.2, 0.0)[0]
    assert fitted[1:4] == pytest.approx(np.average(apart[1:4], weights=w[1:4]))
    assert fitted[[0, 4, 5, 6]] == pytest.approx(apart[[0, 4, 5, 6]])


def test_a_narrow_window_gets_its_level():
    x = np.array([0.0, 1e-9, 2e-9, 3e-9, 4e-9, 1.0, 2.0, 3.0, 4.0, 5.0])
    y = np.array([0.0, 4.0, 1.0, 5.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert running_lines(x, y, np.ones(10), 0.05, 1e-6)[0][0] == pytest.approx(2.0)


def chosen_by_hand(x, y, w, bass):
    """Friedman's steps one by one, with windows from scratch."""
    n = len(x)
    narrow = 1e-3 * (x[3 * (n // 4) - 1] - x[n // 4 - 1])
    fits, errors = [], []
    for span in SPANS:
        fitted, left_out = window_lines(x, y, w, span, narrow)
        fits.append(fitted)
        errors.append(window_lines(x, left_out, w, SPANS[1], narrow)[0])
    best = []
    for e in np.transpose(errors):
        span = SPANS[int(np.argmin(e))]
        if bass and 0 < e.min() < e[2]:
            span += (SPANS[2] - span) * max(1e-7, e.min() / e[2]) ** (10 - bass)
        best.append(span)
    best = window_lines(x, np.array(best), w, SPANS[1], narrow)[0]
    mixed = [np.interp(span, SPANS, three) for span, three in zip(best, np.transpose(fits), strict=True)]
    return window_lines(x, np.array(mixed), w, SPANS[0], narrow)[0]


@halved
@given(st.integers(0, 2**32), st.integers(8, 80), st.sampled_from([0.0, 4.0, 10.0]))
def test_supersmooth_equals_its_steps_by_hand(seed, n, bass):
    x, y, w = sample(seed, n)
    distinct, fitted = supersmooth(x, y, w, bass)
    assert distinct.tolist() == x.tolist()
    assert fitted == pytest.approx(chosen_by_hand(x, y, w, bass), rel=1e-6, abs=1e-6)


@given(st.integers(0, 2**32))
def test_the_order_of_the_rows_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    x, y, w = rng.integers(0, 9, 50) / 2, rng.permutation(50) * 1.0, rng.integers(1, 4, 50) * 1.0
    order = rng.permutation(50)
    for mine, other in zip(supersmooth(x, y, w), supersmooth(x[order], y[order], w[order]), strict=True):
        assert mine.tolist() == other.tolist()


@given(st.integers(0, 2**32), st.floats(-5, 5), st.floats(-5, 5), st.integers(2, 200))
def test_a_line_stays_a_line(seed, level, slope, n):
    x, _, w = sample(seed, n)
    assert supersmooth(x, level + slope * x, w)[1] == pytest.approx(level + slope * x, rel=1e-6, abs=1e-6)


def test_only_ratios_of_weights_matter():
    x, y, w = sample(8, 200)
    assert supersmooth(x, y, 1e6 * w)[1] == pytest.approx(supersmooth(x, y, w)[1], abs=1e-3)


def test_it_finds_a_curve_better_than_any_of_its_spans():
    """Friedman's own case: flat and noisy on one side, curved and quiet on the other."""
    rng = np.random.default_rng(1)
    x = np.sort(rng.random(400))
    truth = np.sin(2 * np.pi * (1 - x) ** 2)
    y, w = truth + x * rng.normal(size=400), np.ones(400)
    error = np.abs(supersmooth(x, y, w)[1] - truth).mean()
    assert error < 0.9 * min(np.abs(running_lines(x, y, w, s, 0.0)[0] - truth).mean() for s in SPANS)


def test_more_bass_is_smoother():
    x, y, w = sample(4, 300)
    rough = [np.abs(np.diff(supersmooth(x, y, w, bass)[1], 2)).sum() for bass in (0.0, 5.0, 10.0)]
    assert rough[0] > rough[1] > rough[2]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_few_points(n):
    x, y = np.arange(n) * 1.0, np.array([3.0, 1.0, 4.0, 1.0, 5.0])[:n]
    _, fitted = supersmooth(x, y, np.ones(n))
    expected = y if n == 1 else np.polyval(np.polyfit(x, y, 1), x)
    assert fitted == pytest.approx(expected)


def test_one_x_gets_the_weighted_mean():
    distinct, fitted = supersmooth(np.full(3, 7.0), np.array([1.0, 2.0, 6.0]), np.array([1.0, 1.0, 2.0]))
    assert (distinct.tolist(), fitted.tolist()) == ([7.0], [3.75])


def test_nothing():
    assert [each.tolist() for each in supersmooth(np.empty(0), np.empty(0), np.empty(0))] == [[], []]


def test_quartiles_that_are_equal_do_not_stop_it():
    x = np.r_[np.zeros(40), 1.0, 2.0, 3.0]
    _, fitted = supersmooth(x, 2 * x, np.ones(43))
    assert fitted == pytest.approx([0, 2, 4, 6], abs=0.5)
    assert (np.diff(fitted) > 0).all()
