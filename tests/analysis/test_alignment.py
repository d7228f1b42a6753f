"""Columns in another order are known by their values, whatever type those have."""

import numpy as np
import pyarrow as pa
import pytest

from fusionpy.analysis.alignment import n_moved, same_numbers

N = 30
WHOLE = np.arange(N)
BEYOND = [2**63 + 1 + i for i in range(N)]  # as floats, all the same


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (pa.array(WHOLE), pa.array(WHOLE[::-1].astype(np.int32))),
        (pa.array(WHOLE), pa.array(WHOLE[::-1].astype(np.float64))),
        (pa.array(WHOLE / 4), pa.array(WHOLE[::-1] / 4)),
        (pa.array([np.nan, *map(float, WHOLE[1:])]), pa.array([*WHOLE[:0:-1].tolist(), None])),
        (pa.array([None, *WHOLE[1:].tolist()]), pa.array([*WHOLE[:0:-1].tolist(), None])),
        (pa.array(BEYOND, pa.uint64()), pa.array(BEYOND[::-1], pa.uint64())),
        (pa.array(WHOLE), pa.array([str(i) for i in WHOLE[::-1]])),
        (pa.array([str(i) for i in WHOLE]), pa.array(WHOLE[::-1])),
        (pa.array([None, *map(str, WHOLE[1:])]), pa.array([*map(str, WHOLE[:0:-1]), None])),
    ],
)
def test_the_same_values_in_another_order(a, b):
    assert n_moved(a, b) == N
    assert n_moved(a, a) == n_moved(b, b) == 0


def test_other_values_or_few_different_ones_are_no_other_order():
    assert n_moved(pa.array(WHOLE), pa.array(WHOLE + 1)) == 0
    assert n_moved(pa.array(WHOLE[:20]), pa.array(WHOLE[:20][::-1])) == 20
    assert n_moved(pa.array(WHOLE[:19]), pa.array(WHOLE[:19][::-1])) == 0
    assert n_moved(pa.array(BEYOND, pa.uint64()), pa.array([float(i) for i in BEYOND])) == 0
    assert n_moved(pa.array([[1]] * N), pa.array(WHOLE)) == 0


def test_the_same_numbers_of_any_type():
    whole = pa.array(WHOLE)
    assert same_numbers(whole, whole)
    assert same_numbers(whole, pa.array(WHOLE.astype(np.float32)))
    assert same_numbers(pa.array([1, None]), pa.array([1.0, np.nan]))
    assert not same_numbers(whole, pa.array(WHOLE[::-1]))
    assert same_numbers(whole, pa.array(["a"] * N))  # that has none
    assert same_numbers(pa.array(["a"] * N), whole)
