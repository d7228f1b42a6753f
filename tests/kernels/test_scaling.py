"""Expectations on a common scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import norm

from fusionpy.kernels.scaling import (
    columns_scale,
    percentiles,
    quantile_columns,
    scale_columns,
    scale_sorted,
    sort_quantiles,
    unscale_columns,
)

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False)


def test_percentiles():
    assert percentiles(3) == pytest.approx([1 / 6, 1 / 2, 5 / 6])
    assert percentiles(1).tolist() == [0.5]


@given(arrays(np.float64, st.tuples(st.integers(2, 30), st.integers(1, 4)), elements=NUMBERS))
def test_scale_by_hand_and_back(values):
    centre, scale = columns_scale(values)
    scaled = scale_columns(values, centre, scale)
    q = norm.ppf(0.001)
    for j, column in enumerate(values.T):
        if ((column >= 0) & (column <= 1)).all():
            assert np.isnan(centre[j])
            assert np.isnan(scale[j])
            assert np.array_equal(scaled[:, j], column)
            continue
        mad = 1.4826 * np.median(np.abs(column - np.median(column)))
        assert scale[j] == (mad or np.std(column, ddof=1) or 1)
        by_hand = ((column - np.median(column)) / scale[j] - q) / (2 * norm.ppf(0.999))
        assert scaled[:, j] == pytest.approx(by_hand, rel=1e-9, abs=1e-9)
    back = unscale_columns(scaled, centre, scale)
    assert back == pytest.approx(values, rel=1e-6, abs=1e-6 * max(1, np.abs(values).max()))


def test_scale_of_a_constant_column():
    centre, scale = columns_scale(np.full((5, 1), 7.0))
    assert (centre[0], scale[0]) == (7, 1)
    assert scale_columns(np.array([[7.0]]), centre, scale)[0, 0] == pytest.approx(0.5)


def test_quantiles_are_sorted_within_each_variable():
    columns = ["a_z", "a_m1", "a_q1", "a_q2", "b_q_m1", "b_q_q1", "b_q_q2", "b_q_q3"]
    values = np.array([[0.5, 9.0, 4.0, 3.0, 8.0, 7.0, 6.0, 5.0]])
    assert sort_quantiles(values, columns).tolist() == [[0.5, 9.0, 3.0, 4.0, 8.0, 5.0, 6.0, 7.0]]
    assert values[0, 2] == 4  # the caller's array is left alone


@given(st.integers(0, 2**32), st.booleans())
def test_scaling_in_one_pass_gives_the_same_bits(seed, is_sorted):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(40, 9)) * rng.choice([0.1, 1e4], 9)
    values[::3, 2] = values[::3, 4]
    values[:, 7] = rng.random(40)  # lies in [0, 1]: it is left alone
    columns = ["a_m1", "a_q1", "a_q2", "a_q3", "b_q1", "b_m1", "b_q2", "c_m1", "b_q3"]
    centre, scale = columns_scale(values)
    expected = sort_quantiles(values, columns) if is_sorted else values
    found = values.copy()
    scale_sorted(found, centre, scale, quantile_columns(columns) if is_sorted else [])
    assert np.array_equal(found, scale_columns(expected, centre, scale))
    if is_sorted:
        assert (np.diff(expected[:, [1, 2, 3]], axis=1) >= 0).all()
