"""What rules demand of the records of a step."""

import numpy as np

from fusionpy.drawing.limits import Limits


def test_values_on_their_bounds_fit():
    low = np.array([[1.0, -np.inf], [0.0, 0.0], [2.0, 2.0]])
    high = np.array([[1.0, np.inf], [9.0, 5.0], [3.0, 3.0]])
    limited = Limits(low, high, np.ones((3, 2), dtype=bool))
    values = np.array([[2.0, 3.0], [1.0, 7.0], [9.0, 5.5], [0.0, 5.0]])
    assert limited.fit(values, np.array([2, 0, 1, 1])).tolist() == [True, True, False, True]
    assert limited.fit(values[:2], np.array([1, 1])).tolist() == [True, False]
