"""Units in which four bytes are enough, and in which LightGBM tells values apart."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from fusionpy.kernels.magnitudes import binary_exponent, float32_unit, telling_exponent


@given(st.integers(0, 2**32), st.floats(-1e15, 1e15), st.integers(-300, 300))
def test_four_bytes_hold_what_eight_do(seed, far, power):
    values = np.random.default_rng(seed).normal(size=50) * 2.0**power + far
    assume(values.std() > 4 * np.spacing(np.abs(values).max()))
    centre, scale = float32_unit(values)
    small = ((values - centre) / scale).astype(np.float32).astype(np.float64)
    back = small * scale + centre
    # Of the standard deviation; but never closer than the values themselves are.
    assert np.abs(back - values).max() <= 1e-3 * values.std() + 4 * np.spacing(np.abs(values).max())
    assert float(np.log2(scale)).is_integer()


@given(st.integers(0, 2**32), st.integers(-1070, 1020))
def test_lightgbm_tells_values_apart(seed, power):
    r = np.random.default_rng(seed)
    values = np.ldexp(r.permutation(40.0 + np.arange(40)), power - 6)
    values[np.isinf(values)] = 1e308
    seen = np.ldexp(values, telling_exponent(values))
    assert np.isfinite(seen).all()
    assert np.abs(seen).max() <= 1e300
    assert (np.abs(seen) > 1e-35).all()


def test_binary_exponents_are_next_above():
    found = [binary_exponent(np.array(values)) for values in ([0.1, -0.2], [1.0, 0.5], [-8.0], [0.0], [])]
    assert found == [-2, 1, 4, 0, 0]
