"""Nearest points and cluster centres."""

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from fusionpy.kernels.clusters import cluster_centres, index_points, nearest, nearest_one, nearest_others


@given(st.integers(0, 2**32), st.integers(1, 16), st.integers(1, 40), st.integers(1, 60))
def test_nearest_equals_brute_force(seed, d, n, m):
    rng = np.random.default_rng(seed)
    query, points = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    k = int(rng.integers(1, m + 1))
    assert np.array_equal(nearest(query, points, k), reference.nearest(query, points, k))


def test_nearest_on_several_cores_and_in_blocks(monkeypatch):
    rng = np.random.default_rng(1)
    query, points = rng.normal(size=(500, 14)), rng.normal(size=(90, 14))
    whole = nearest(query, points, 7)
    monkeypatch.setattr("fusionpy.kernels.clusters._BLOCK", 1000)
    assert np.array_equal(nearest(query, points, 7), whole)
    low = nearest(query[:, :3], points[:, :3], 7, cores=2)
    assert np.array_equal(low, nearest(query[:, :3], points[:, :3], 7))


def test_every_distinct_row_is_a_centre_when_there_are_few():
    points = np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 5.0]])
    assert cluster_centres(points, 5).tolist() == [[0.0, 5.0], [1.0, 2.0]]
    assert len(cluster_centres(points, 2)) == 2
    rng = np.random.default_rng(2)
    assert len(cluster_centres(rng.normal(size=(50, 2)), 0)) == 50


@given(st.integers(0, 2**32))
def test_centres_equal_plain_lloyd(seed):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(80, 2))
    mine = cluster_centres(points, 7)
    # The same deterministic start: type-1 quantiles of the distance from the medians.
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    order = np.argsort(distance)
    ranks = [max(int(np.ceil(p * 80 - 1e-9)), 1) - 1 for p in np.linspace(0, 1, 7)]
    expected = reference.lloyd(points, points[order[ranks]])
    expected = expected[np.lexsort(expected.T[::-1])]
    assert mine == pytest.approx(expected)


def test_clusters_that_are_there_are_found():
    rng = np.random.default_rng(3)
    truth = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 30.0]])
    points = np.vstack([t + rng.normal(scale=0.1, size=(60, 2)) for t in truth])
    found = cluster_centres(points, 3)
    assert np.abs(found[nearest(truth, found, 1)[:, 0]] - truth).max() < 0.1


@given(st.integers(0, 2**32), st.integers(1, 14), st.integers(1, 300))
def test_the_nearest_one_equals_brute_force(seed, d, m):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(m, d))
    query = np.concatenate([rng.normal(size=(30, d)), points[:5], rng.normal(size=(5, d)) * 1e3])
    found = nearest_one(query, index_points(points))
    assert np.array_equal(found, reference.nearest(query, points, 1)[:, 0])


@given(st.integers(0, 2**32), st.integers(1, 6))
def test_of_equally_near_points_it_is_the_one_that_nearest_finds(seed, d):
    rng = np.random.default_rng(seed)
    points = np.unique(rng.integers(-3, 4, (60, d)).astype(float), axis=0)
    query = rng.integers(-8, 9, (200, d)) / 2
    distance = np.sort(((query[:, None] - points) ** 2).sum(axis=2), axis=1)
    assert (distance[:, 0] == distance[:, 1]).any()
    assert np.array_equal(nearest_one(query, index_points(points)), nearest(query, points, 1)[:, 0])


def test_points_that_differ_by_rounding_are_equally_near():
    third = 1 / 3
    points = np.array([[third * 3 - 2 / 3], [third], [1 - 2 / 3], [5.0]])  # three spellings of a third
    query = np.array([[0.0], [0.3], [1.0], [1e6]])
    assert np.array_equal(nearest_one(query, index_points(points)), nearest(query, points, 1)[:, 0])


@given(st.integers(0, 2**32), st.integers(2, 13))
def test_nearest_others_by_sorting(seed, d):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(40, d))
    found = nearest_others(points, 3, np.arange(40), rng)
    distance = ((points[:, None] - points) ** 2).sum(2)
    np.fill_diagonal(distance, np.inf)
    # Nearly equal distances may change places.
    expected = np.sort(distance, axis=1)[:, :3]
    np.testing.assert_allclose(np.take_along_axis(distance, found, 1), expected, rtol=0.02, atol=1e-3)


def test_equally_near_records_are_chosen_among_at_random():
    found = nearest_others(np.zeros((200, 2)), 10, np.arange(200), np.random.default_rng(1))
    assert not (found == np.arange(200)[:, None]).any()
    assert len(np.unique(found)) > 150


def test_nearest_among_few():
    found = nearest_others(np.arange(3.0)[:, None], 10, np.arange(3), np.random.default_rng(1))
    assert np.sort(found, axis=1).tolist() == [[1, 2], [0, 2], [0, 1]]


@pytest.mark.parametrize("k", [1, 4, 5])
def test_all_points_in_many_columns_nearest_first(k):
    rng = np.random.default_rng(4)
    query, points = rng.normal(size=(9, 13)), rng.normal(size=(5, 13))
    assert np.array_equal(nearest(query, points, k), reference.nearest(query, points, k))
