"""Groups of records, one by one."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionpy.kernels.cells import group_errors, means_by_group, quantile_cells, shares_by_group

seeds = st.integers(0, 2**32)


@given(seeds)
def test_fifths_equal_pandas(seed):
    rng = np.random.default_rng(seed)
    values = rng.choice([rng.normal(size=40), rng.integers(0, 6, 40) * 1.0])
    values[rng.random(40) < 0.1] = np.nan
    expected = pd.qcut(pd.Series(values), 5, labels=False, duplicates="drop").fillna(-1)
    assert quantile_cells(values).tolist() == expected.tolist()


def test_a_constant_is_one_group():
    assert quantile_cells(np.full(4, 3.0)).tolist() == [0] * 4


@given(seeds)
def test_groups_one_by_one(seed):
    rng = np.random.default_rng(seed)
    cell, w = rng.integers(-1, 4, 30), rng.integers(0, 3, 30) * 1.0
    codes, values = rng.integers(0, 3, (30, 2)), rng.normal(size=30)
    means, shares = (
        means_by_group(cell, 4, values, w),
        shares_by_group(cell, 4, codes, 3, w),
    )
    for c in range(4):
        inside = cell == c
        if not w[inside].sum():
            assert np.isnan(means[c])
            assert np.isnan(shares[c]).all()
            continue
        assert means[c] == pytest.approx(np.average(values[inside], weights=w[inside]))
        for k in range(3):
            one = (codes[inside] == k).mean(axis=1)
            assert shares[c, k] == pytest.approx(np.average(one, weights=w[inside]))


def test_no_numbers_are_in_no_group():
    assert quantile_cells(np.full(3, np.nan)).tolist() == [-1] * 3


def test_errors_of_groups_are_relative_and_of_groups_that_count():
    drawn = np.array([[1.2, 0.02], [np.nan, 0.3]])
    true = np.array([[1.0, 0.02], [0.5, 0.4]])
    assert group_errors(drawn, true, 0.02).tolist() == pytest.approx([0.2, 0.25])
    assert group_errors(drawn, true, 0.01).tolist() == pytest.approx([0.2, 0.0, 0.25])
