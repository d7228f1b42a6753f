"""Numbers cut into classes, by one-dimensional k-means done slowly."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fusionpy.kernels.classes import cut_classes


def slow_classes(x, k):
    """Hartigan's rule by brute force: sums of squares from scratch at each move."""
    values = sorted(set(x))
    start = [values[round(r) - 1] for r in np.linspace(1, len(values), k)]
    code = [min(range(k), key=lambda c: (abs(v - start[c]), c)) for v in x]

    def squares(codes):
        parts = [[v for v, c in zip(x, codes, strict=True) if c == j] for j in range(k)]
        return sum(sum((v - sum(p) / len(p)) ** 2 for v in p) for p in parts if p)

    moved = True
    while moved:
        moved = False
        for i in range(len(x)):
            if code.count(code[i]) == 1:
                continue
            options = [squares([*code[:i], c, *code[i + 1 :]]) for c in range(k)]
            best = min(range(k), key=lambda c: options[c])
            if options[best] < options[code[i]] * (1 - 1e-12) - 1e-12:
                code[i], moved = best, True
    means = sorted(
        {c: np.mean([v for v, d in zip(x, code, strict=True) if d == c]) for c in code}.items(),
        key=lambda e: e[1],
    )
    rank = {c: r for r, (c, _) in enumerate(means)}
    return [rank[c] for c in code]


@given(st.lists(st.integers(-20, 20), min_size=7, max_size=25), st.integers(2, 5))
def test_classes_equal_brute_force(values, k):
    x = np.array(values, dtype=float) + 0.3137 * np.array(values) ** 2  # no ties
    found = cut_classes(x, k)
    if len(set(values)) <= k:
        assert found.tolist() == np.unique(x, return_inverse=True)[1].tolist()
    else:
        assert found.tolist() == slow_classes(x.tolist(), k)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(np.nan), min_size=1, max_size=60))
def test_classes_are_ordered_intervals(values):
    x = np.round(values, 3)  # differences that floating point can tell
    found = cut_classes(x)
    assert (found == -1).tolist() == np.isnan(x).tolist()
    codes = sorted(set(found[found >= 0].tolist()))
    assert codes == list(range(len(codes)))
    assert len(codes) == min(5, len(set(x[~np.isnan(x)].tolist())))
    for code in codes[1:]:
        assert x[found == code - 1].max() < x[found == code].min()


def test_classes_of_one_value_and_of_none():
    assert cut_classes(np.full(3, 2.0)).tolist() == [0, 0, 0]
    assert cut_classes(np.full(2, np.nan)).tolist() == [-1, -1]
