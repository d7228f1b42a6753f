"""Codes of columns, and forests on them. That they predict as LightGBM does is tested in test_trees.py."""

import dataclasses
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import halved

import fusionpy.kernels.forest
from fusionpy.kernels.forest import Cut, Trees, cuts_of, encode, encode_columns, grow
from fusionpy.kernels.forest.instructions import SOURCE
from fusionpy.kernels.forest.machines import machine_for, named, works

CI = Path(__file__).parents[2] / ".ci"
BYTE = np.dtype(np.uint8)
MACHINES = ("loops",) if machine_for(BYTE) is named("loops") else ("vectors", "loops")
TINY = float(np.float32(1e-35))


def predict(forest, codes, rows=None):
    """Predict with every machine that works here: the same bits."""
    first, *others = [
        fusionpy.kernels.forest.predict(forest, codes, rows, machine=machine) for machine in MACHINES
    ]
    assert all(np.array_equal(first, other, equal_nan=True) for other in others)
    return first


def random_tree(rng, n_leaves, n_features):
    """Nodes of a tree that grows at random leaves, numbered as LightGBM does."""
    left, right = np.full(n_leaves - 1, -1), np.full(n_leaves - 1, -1)
    parent = {0: None}
    for node in range(n_leaves - 1):
        leaf = int(rng.integers(0, node + 1))
        if parent[leaf] is not None:
            side, at = parent[leaf]
            side[at] = node
        left[node], right[node] = -1 - leaf, -2 - node
        parent[leaf], parent[node + 1] = (left, node), (right, node)
    return left, right, rng.integers(0, n_features, n_leaves - 1)


def random_model(rng, n_trees, most_leaves, n_classes=1, transform="identity", n_features=4):
    """Trees over small whole numbers; the last feature is split by category only."""
    n_leaves = rng.integers(1, most_leaves + 1, n_trees * n_classes)
    trees = [random_tree(rng, int(n), n_features) for n in n_leaves]
    left, right, feature = (np.concatenate(part).astype(np.intp) for part in zip(*trees, strict=True))
    by_set = feature == n_features - 1
    kind = np.where(by_set, 1, rng.choice([0, 2, 4, 6, 8, 10], len(feature)))
    threshold = np.where(by_set, np.cumsum(by_set) - 1, rng.integers(-2, 8, len(feature)) + 0.5)
    sets = [np.flatnonzero(rng.random(40) < 0.3) for _ in range(by_set.sum())]
    return Trees(
        n_features=n_features,
        n_classes=n_classes,
        transform=transform,
        divisor=1,
        n_leaves=n_leaves.astype(np.intp),
        feature=feature,
        threshold=threshold,
        kind=kind.astype(np.intp),
        left=left,
        right=right,
        leaf=rng.normal(size=n_leaves.sum()),
        set_start=np.cumsum([0, *map(len, sets)]).astype(np.intp),
        category=np.concatenate([np.empty(0, dtype=np.intp), *sets]).astype(np.intp),
    )


def goes_left(model, node, value):
    """LightGBM's rules, one value at a time."""
    kind, threshold = model.kind[node], model.threshold[node]
    if kind & 1:
        one = slice(*model.set_start[int(threshold) : int(threshold) + 2])
        return not np.isnan(value) and -1 < value < 2**31 and int(value) in model.category[one]
    if np.isnan(value) and not kind & 8:
        value = 0.0
    if (kind & 4 and abs(value) <= TINY) or np.isnan(value):
        return bool(kind & 2)
    return value <= threshold


def walk(model, x):
    """Sums of leaves, each tree walked from its root."""
    out = np.zeros((len(x), model.n_classes))
    for r, row in enumerate(x):
        a = b = 0
        for t, n in enumerate(model.n_leaves):
            node = 0 if n > 1 else -1
            while node >= 0:
                side = model.left if goes_left(model, a + node, row[model.feature[a + node]]) else model.right
                node = side[a + node]
            out[r, t % model.n_classes] += model.leaf[b - 1 - node]
            a, b = a + n - 1, b + n
    return out


def some_rows(rng, n, n_columns):
    x = rng.integers(-3, 10, (n, n_columns)) + rng.choice([0, 0.5, 0.25, -TINY], (n, n_columns))
    x[:, -1] = rng.integers(-2, 45, n)
    x[rng.random(x.shape) < 0.2] = np.nan
    x[rng.random(x.shape) < 0.05] = rng.choice([np.inf, -np.inf, TINY, -TINY, -0.0, 1e300])
    return x


@halved
@given(st.integers(0, 2**32), st.integers(1, 12), st.integers(1, 300), st.integers(1, 3))
def test_sums_equal_a_walk(seed, n_trees, most_leaves, n_classes):
    rng = np.random.default_rng(seed)
    model = random_model(rng, n_trees, most_leaves, n_classes)
    cuts = cuts_of([model], [range(4)])
    x = some_rows(rng, 40, 4)
    found = predict(grow([model], cuts, [range(4)]), encode_columns(x, cuts))
    assert np.array_equal(found, walk(model, x))


@halved
@given(st.integers(0, 2**32))
def test_codes_of_more_models_than_are_asked(seed):
    rng = np.random.default_rng(seed)
    models = [random_model(rng, 3, 12) for _ in range(4)]
    columns = [rng.permutation(6)[:4].tolist() for _ in models]
    cuts = cuts_of(models, columns)
    x = some_rows(rng, 30, len(cuts))
    codes = encode_columns(x, cuts)
    for chosen in ([2], [3, 0], [1, 1, 2]):
        wanted = [walk(models[i], x[:, columns[i]]) for i in chosen]
        forest = grow([models[i] for i in chosen], cuts, [columns[i] for i in chosen])
        assert np.array_equal(predict(forest, codes), np.hstack(wanted))


@given(st.lists(st.floats(allow_nan=False), max_size=300), st.integers(0, 2**32), st.booleans())
def test_codes_are_places_among_edges(edges, seed, own):
    edges = np.unique(edges)
    cut = Cut(edges, int(own), 0 if own else min(1, len(edges)))
    rng = np.random.default_rng(seed)
    pool = np.concatenate(
        [edges, np.nextafter(edges, 1), np.nextafter(edges, -1), [0.0, np.inf, -np.inf, np.nan]]
    )
    values = rng.choice(pool, 200)
    found = encode(values, cut)
    banded = np.where(np.abs(values) <= TINY, 0.0, values)
    wanted = np.where(np.isnan(values), cut.missing, np.searchsorted(edges, banded) + cut.first)
    assert found.tolist() == wanted.tolist()
    assert found.dtype == (np.uint8 if cut.n_codes <= 256 else np.uint16)


@pytest.mark.parametrize(("n_edges", "kind"), [(255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_codes_are_as_narrow_as_they_can_be(n_edges, kind):
    cut = Cut(np.arange(n_edges, dtype=np.float64), 0, 0)
    values = np.arange(n_edges + 1) - 0.5
    assert encode(values, cut).dtype == kind
    assert encode(values, cut).tolist() == list(range(n_edges + 1))
    assert encode_columns(values[:, None], [cut]).dtype == kind


def test_columns_that_no_model_uses_have_one_code():
    rng = np.random.default_rng(1)
    model = random_model(rng, 2, 4, n_features=2)
    cuts = cuts_of([model], [[1, 3]])
    assert [cut.n_codes for cut in cuts][0::2] == [1, 1]
    assert encode_columns(some_rows(rng, 20, 4), cuts)[[0, 2]].tolist() == [[0] * 20] * 2


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("some", [False, True])
def test_rows_and_blocks(n, some):
    rng = np.random.default_rng(n)
    models = [random_model(rng, 9, 20), random_model(rng, 3, 20, 3, "softmax")]
    cuts = cuts_of(models, [range(4)] * 2)
    codes = encode_columns(some_rows(rng, 5000, 4), cuts)
    forest = grow(models, cuts, [range(4)] * 2)
    rows = rng.integers(0, 5000, n) if some else np.arange(n)
    found = predict(forest, codes, rows) if some else predict(forest, codes[:, :n])
    assert found.shape == (n, 4)
    assert np.array_equal(found, predict(forest, codes)[rows])


def test_wide_codes_predict_the_same():
    rng = np.random.default_rng(1)
    model = random_model(rng, 20, 40)
    cuts = cuts_of([model], [range(4)])
    codes = encode_columns(some_rows(rng, 500, 4), cuts)
    forest = grow([model], cuts, [range(4)])
    for kind in (np.uint16, np.uint32):
        assert np.array_equal(predict(forest, codes.astype(kind)), predict(forest, codes))


def test_transforms_by_hand():
    rng = np.random.default_rng(1)
    model = random_model(rng, 5, 10, 3)
    cuts = cuts_of([model], [range(4)])
    codes = encode_columns(some_rows(rng, 100, 4), cuts)

    def changed(**fields):
        return predict(grow([dataclasses.replace(model, **fields)], cuts, [range(4)]), codes)

    total = changed()
    assert np.array_equal(changed(divisor=5), total / 5)
    assert changed(transform="sigmoid") == pytest.approx(1 / (1 + np.exp(-total)), rel=1e-14)
    odds = np.exp(total / 5)
    found = changed(transform="softmax", divisor=5)
    assert found == pytest.approx(odds / odds.sum(axis=1, keepdims=True), rel=1e-14)


def test_a_chain_and_many_categories():
    # One leaf at every node of 200, and sets of hundreds of categories: more bits than one instruction takes.
    n = 200
    node = np.arange(n)
    sets = [np.arange(i, 700, 3) for i in range(n)]
    model = Trees(
        n_features=1,
        n_classes=1,
        transform="identity",
        divisor=1,
        n_leaves=np.array([n + 1]),
        feature=np.zeros(n, dtype=np.intp),
        threshold=node.astype(np.float64),
        kind=np.ones(n, dtype=np.intp),
        left=-1 - node,
        right=np.where(node < n - 1, node + 1, -1 - n),
        leaf=np.random.default_rng(1).normal(size=n + 1),
        set_start=np.cumsum([0, *map(len, sets)]),
        category=np.concatenate(sets),
    )
    cuts = cuts_of([model], [[0]])
    x = np.arange(-2.0, 703)[:, None]
    assert np.array_equal(predict(grow([model], cuts, [[0]]), encode_columns(x, cuts)), walk(model, x))


@pytest.mark.parametrize("n_leaves", [256, 257, 66_000])
def test_numbers_of_one_to_three_bytes(n_leaves):
    rng = np.random.default_rng(n_leaves)
    left, right, _ = random_tree(rng, n_leaves, 1)
    small = random_model(rng, 3, 5)
    n = n_leaves - 1
    model = dataclasses.replace(
        small,
        n_leaves=np.array([n_leaves, *small.n_leaves]),
        feature=np.concatenate([np.arange(n) % 3, small.feature]),
        threshold=np.concatenate([rng.integers(-2, 8, n) + 0.5, small.threshold]),
        kind=np.concatenate([np.full(n, 8), small.kind]),
        left=np.concatenate([left, small.left]),
        right=np.concatenate([right, small.right]),
        leaf=np.concatenate([rng.normal(size=n_leaves), small.leaf]),
    )
    cuts = cuts_of([model], [range(4)])
    x = some_rows(rng, 60, 4)
    forest = grow([model], cuts, [range(4)])
    assert np.array_equal(predict(forest, encode_columns(x, cuts)), walk(model, x))


@pytest.mark.parametrize("n_trees", range(1, 18))
def test_any_number_of_trees_of_one_leaf_or_more(n_trees):
    rng = np.random.default_rng(n_trees)
    model = random_model(rng, n_trees, 2)
    cuts = cuts_of([model], [range(4)])
    x = some_rows(rng, 30, 4)
    forest = grow([model], cuts, [range(4)])
    assert np.array_equal(predict(forest, encode_columns(x, cuts)), walk(model, x))


@pytest.mark.compiled
def test_threads_do_not_meet():
    rng = np.random.default_rng(1)
    model = random_model(rng, 60, 30)
    cuts = cuts_of([model], [range(4)])
    codes = encode_columns(some_rows(rng, 40_000, 4), cuts)
    forest = grow([model], cuts, [range(4)])
    starts = range(0, 40_000, 5000)
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda start: predict(forest, codes[:, start : start + 5000]), starts))
    assert np.array_equal(np.vstack(parts), predict(forest, codes))


def test_vectors_predict_with_the_numba_that_is_known():
    """Another numba may not take them, which costs time only; of this one it would be news."""
    pins = [
        (CI / name).read_text("utf-8").splitlines() for name in ("constraints.txt", "constraints-oldest.txt")
    ]
    if numba.config.DISABLE_JIT or all(f"numba=={numba.__version__}" not in lines for lines in pins):
        pytest.skip(f"numba {numba.__version__} is another; the machine that runs is of {MACHINES[0]}")
    for kind in ("u1", "u2", "u4"):
        assert machine_for(np.dtype(kind)) is named("vectors")


@pytest.mark.parametrize("kind", ["u1", "u2", "u4"])
def test_machines_work(kind):
    assert all(works(named(machine), np.dtype(kind)) for machine in MACHINES)


@pytest.mark.parametrize("instruction", range(6))
@pytest.mark.parametrize("what", ["place", "byte", "leaf"])
def test_a_machine_that_gets_one_instruction_wrong_is_found_out(instruction, what):
    def wrong(codes, column, start, table, place, byte, leaf, *others):
        if what == "byte":
            byte[instruction] = 0
        elif what == "place":
            place[instruction, SOURCE] = 0
        else:
            leaf[1 + 257 * instruction] = np.nan
        named("loops")(codes, column, start, table, place, byte, leaf, *others)

    adds = instruction >= 4  # its bytes are not used
    assert works(wrong, BYTE) == (adds and what == "byte")


@pytest.mark.parametrize("trouble", ["does not compile", "is wrong"])
def test_the_plain_machine_takes_over(trouble, monkeypatch):
    def broken(*given):
        if trouble == "does not compile":
            raise numba.TypingError("no such thing")

    machine_for.cache_clear()
    monkeypatch.setitem(
        sys.modules, "fusionpy.kernels.forest.vector_machine", SimpleNamespace(run_by_vectors=broken)
    )
    assert machine_for(BYTE) is named("loops")
    machine_for.cache_clear()


@given(st.integers(0, 2**32))
def test_more_thresholds_than_a_byte_can_number(seed):
    rng = np.random.default_rng(seed)
    n = 700
    left, right, _ = random_tree(rng, n + 1, 1)
    model = dataclasses.replace(
        random_model(rng, 1, 2, n_features=1),
        n_leaves=np.array([n + 1]),
        feature=np.zeros(n, dtype=np.intp),
        threshold=rng.permutation(n) - 200.5,
        kind=rng.choice([0, 2, 4, 6, 8, 10], n),
        left=left,
        right=right,
        leaf=rng.normal(size=n + 1),
    )
    cuts = cuts_of([model], [[0]])
    x = np.append(rng.integers(-250, 600, 60) * 1.0, [np.nan, 0.0, TINY])[:, None]
    assert np.array_equal(predict(grow([model], cuts, [[0]]), encode_columns(x, cuts)), walk(model, x))
