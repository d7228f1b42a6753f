"""Draws of classes and donors."""

import itertools

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from fusionpy.kernels.draws import (
    calibrate,
    draw_by_totals,
    draw_classes,
    draw_donors,
    fit_calibration,
    nearest_within,
    running_totals,
)


def random_pools(rng, n_donors=30, n_pools=8):
    """Pools, some of a single member; donors of no weight in front, in the middle and at the end of them.

    Half of the time weights are eighths, and most pools have a weight of two, so that running totals, and the
    uniforms that fall on them, are exact: a pool of less weight than that gets a donor of its own.
    """
    sizes = np.where(rng.random(n_pools) < 0.3, 1, rng.integers(1, 12, n_pools))
    pools = [rng.permutation(n_donors)[:k] for k in sizes]
    weight = rng.integers(0, 3, n_donors) * rng.random(n_donors)
    if rng.random() < 0.5:
        weight = rng.integers(0, 3, n_donors) / 8
    no_weight = np.flatnonzero(weight == 0)
    for c, pool in enumerate(pools):
        lead, tail = (rng.permutation(no_weight)[: rng.integers(0, 3)] for _ in range(2))
        inner = pool
        if weight[pool].sum() < 2:
            inner = rng.permutation(np.append(pool, len(weight)))
            weight = np.append(weight, 2 - weight[pool].sum())
        pools[c] = np.concatenate([lead, inner, tail]).astype(np.intp)
    start = np.concatenate([[0], np.cumsum([len(pool) for pool in pools])])
    return start, np.concatenate(pools), weight


def edge_uniforms(rng, start, member, weight):
    """Centres and uniforms: any, 0, the largest below 1, those that fall on a running total or beside it."""
    centre, u = [rng.integers(0, len(start) - 1, 40)], [rng.random(40)]
    for c, (a, b) in enumerate(itertools.pairwise(start)):
        reached = np.cumsum(weight[member[a:b]])
        share = (reached / reached[-1])[reached < reached[-1]]
        edges = np.concatenate([share, np.nextafter(share, 0), np.nextafter(share, 1), [0.0, 1 - 2**-53]])
        u.append(edges)
        centre.append(np.full(len(edges), c))
    return np.concatenate(centre), np.concatenate(u)


@given(st.integers(0, 2**32))
def test_donors_equal_brute_force(seed):
    rng = np.random.default_rng(seed)
    start, member, weight = random_pools(rng)
    centre, u = edge_uniforms(rng, start, member, weight)
    found = draw_donors(centre, start, member, weight, u)
    assert found.tolist() == reference.draw_donors(centre, start, member, weight, u).tolist()
    reached = running_totals(start, member, weight)
    sums = [np.cumsum(weight[member[a:b]]) for a, b in itertools.pairwise(start)]
    assert np.array_equal(reached, np.concatenate(sums))
    assert np.array_equal(draw_by_totals(centre, start, member, weight, reached, u), found)
    assert (weight[found] > 0).all()
    for c, donor in zip(centre, found, strict=True):
        assert donor in member[start[c] : start[c + 1]]


@pytest.mark.parametrize(
    "size", [0.1 + 0.2, 5e-324]
)  # of the latter nearly all of it is rounded to all of it
def test_zero_weight_is_never_drawn_even_at_the_edges(size):
    start, member = np.array([0, 1, 4]), np.array([3, 0, 1, 2])
    weight = np.array([0.0, size, 0.0, 1.0])
    u = np.array([0.0, 0.4, np.nextafter(1, 0)])
    assert draw_donors(np.ones(3, np.intp), start, member, weight, u).tolist() == [1, 1, 1]


def test_donors_come_in_proportion_to_their_weights():
    weight = np.array([1.0, 2.0, 3.0, 0.0, 4.0])
    u = np.random.default_rng(1).random(40_000)
    drawn = draw_donors(np.zeros(40_000, np.intp), np.array([0, 5]), np.arange(5), weight, u)
    counts = np.bincount(drawn, minlength=5)
    assert counts[3] == 0
    assert chisquare(counts[[0, 1, 2, 4]], 4000 * weight[[0, 1, 2, 4]]).pvalue > 1e-3


@given(st.integers(0, 2**32), st.integers(1, 6), st.booleans())
def test_classes_equal_brute_force(seed, k, exact):
    """Impossible classes in front, in the middle, at the end; uniforms on the steps of the distribution."""
    rng = np.random.default_rng(seed)
    p = rng.random((30, k)) * rng.integers(0, 2, (30, k))
    if exact:  # sixteenths, which add up without rounding, to one or less
        p = rng.multinomial(rng.choice([4, 16]), np.full(k, 1 / k), 30) / 16
    p[np.arange(30), rng.integers(0, k, 30)] += (p.sum(axis=1) == 0) * 0.01
    reached = np.cumsum(p, axis=1)
    steps = np.minimum(reached / reached[:, -1:], 1 - 2**-53)
    u = np.hstack([rng.random((30, 3)), np.zeros((30, 1)), np.full((30, 1), 1 - 2**-53), steps])
    rows = np.repeat(np.arange(30), u.shape[1])
    found = draw_classes(p[rows], u.ravel())
    assert found.tolist() == reference.draw_classes(p[rows], u.ravel()).tolist()
    assert (p[rows, found] > 0).all()


def test_the_impossible_is_never_drawn_even_if_rounding_reaches_the_end():
    p = np.array([[0.0, 5e-324, 0.0]])  # nearly all of which is rounded to all of it
    assert [draw_classes(p, np.array([u]))[0] for u in (0.0, 0.4, 0.9)] == [1, 1, 1]


@given(st.integers(0, 2**32), st.floats(0.5, 3.0))
def test_calibrate_by_hand(seed, temperature):
    rng = np.random.default_rng(seed)
    p, offset = rng.dirichlet(np.ones(4), 6), rng.normal(size=4)
    shifted = p ** (1 / temperature) * np.exp(offset)
    assert calibrate(p, [temperature, *offset]) == pytest.approx(shifted / shifted.sum(1, keepdims=True))
    assert calibrate(p, ()) is p


def test_calibration_leaves_the_impossible_impossible():
    assert calibrate(np.array([[0.7, 0.3, 1e-15, 0.0]]), [3.0, 0, 0, 0, 0])[0, 2:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("true", [0.7, 1.0, 1.6])
def test_calibration_of_a_known_distribution(true):
    rng = np.random.default_rng(4)
    p = rng.dirichlet(np.full(3, 0.8), 60_000)
    real = calibrate(p, [true, 0.3, 0.0, -0.5])
    label = draw_classes(real, rng.random(len(p)))
    found = fit_calibration(p, label, np.ones(len(p)))
    assert found[0] == pytest.approx(true, abs=0.04)
    assert np.diff(found[1:]) == pytest.approx([-0.3, -0.5], abs=0.05)


def test_calibrated_shares_are_the_observed_ones():
    rng = np.random.default_rng(5)
    p = np.hstack(
        [rng.dirichlet(np.ones(3), 3000), np.full((3000, 1), 1e-15)]
    )  # the fourth class has no rows
    label = rng.choice(3, 3000, p=[0.7, 0.2, 0.1])
    weight = rng.random(3000)
    found = calibrate(p, fit_calibration(p, label, weight))
    observed = np.bincount(label, weights=weight, minlength=4) / weight.sum()
    mean = (found * weight[:, None]).sum(0) / weight.sum()
    assert mean == pytest.approx(observed, abs=1e-4)


@given(st.integers(0, 2**32), st.integers(2, 20), st.sampled_from([0.5, 1.0, 2.0, 0.7, 1.9]))
def test_calibrated_probabilities_have_the_bits_of_the_plain_formula(seed, k, temperature):
    rng = np.random.default_rng(seed)
    p = np.maximum(rng.dirichlet(np.full(k, 0.3), 50), 1e-9)
    p[::5, 0] = 1e-15
    before, calibration = p.copy(), (temperature, *rng.normal(size=k))
    powered = np.where(p > 1e-12, p, 0.0) ** (1 / temperature) * np.exp(np.array(calibration[1:]))
    expected = powered / powered.sum(axis=1, keepdims=True)
    assert np.array_equal(calibrate(p, calibration), expected)
    assert np.array_equal(p, before)


@given(st.integers(0, 2**32 - 1))
def test_nearest_within_bounds_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    n_donors, n = 12, 30
    start = np.array([0, 5, 9, 10])
    member = rng.integers(0, n_donors, 10)
    weight = rng.choice([0.0, 1.0, 2.5], n_donors)
    value = rng.integers(0, 6, (n_donors, 2)).astype(float)
    centre = rng.integers(0, 3, n)
    drawn = member[start[centre]]
    low, high = rng.integers(-1, 3, (n, 2)).astype(float), rng.integers(2, 7, (n, 2)).astype(float)
    found = nearest_within(centre, start, member, weight, drawn, value, low, high)
    for r in range(n):
        pool = [
            i
            for i in member[start[centre[r]] : start[centre[r] + 1]]
            if weight[i] > 0 and (value[i] >= low[r]).all() and (value[i] <= high[r]).all()
        ]
        best = min(pool, key=lambda i: np.abs(value[i] - value[drawn[r]]).sum(), default=-1)
        assert found[r] == best
