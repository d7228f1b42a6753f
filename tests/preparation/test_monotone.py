"""monotonic(): kinds of vectors, shape, mean, spending, thinning, spline, figure and what is refused."""

import math
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fusionpy
from fusionpy.errors import FusionWarning
from fusionpy.kernels.supersmoother import supersmooth
from fusionpy.preparation.monotone import monotonic


def survey(seed=1, n=300, decimals=1):
    rng = np.random.default_rng(seed)
    x = np.where(rng.random(n) < 0.2, 0.0, rng.gamma(2, 10, n).round(decimals))
    y = np.maximum(3 * x**0.8 + rng.normal(size=n) * x / 3, 0).round(2)
    return x, y, rng.exponential(size=n) + 0.1


raising = pytest.mark.filterwarnings("ignore:`y` is 0 at some")


def is_monotone(x, fitted):
    """One value for one x, and never a step back."""
    order = np.argsort(x, kind="stable")
    steps, ahead = np.diff(fitted[order]), np.diff(x[order])
    return (steps[ahead == 0] == 0).all() and ((steps >= 0).all() or (steps <= 0).all())


@raising
@given(st.integers(0, 2**32), st.integers(1, 120), st.booleans(), st.booleans())
def test_spending_rises_from_nothing_and_keeps_its_mean(seed, n, fast, weighted):
    x, y, w = survey(seed, n, decimals=0)
    w = w if weighted else None
    if x[y > 0].size == 0 or np.corrcoef(np.r_[0, x], np.r_[0, y])[0, 1] < 0.5:
        return
    fitted = monotonic(x, y, w=w, fast=fast)
    assert is_monotone(x, fitted)
    assert (fitted[x == 0] == 0).all()
    least = y[y > 0].min()
    assert (fitted[x > 0] >= least).all()
    means = [np.average(each, weights=w) for each in (fitted, y)]
    assert means[0] >= means[1] * (1 - 1e-9)
    if fitted[x > 0].min() > least:  # the floor did not lift any
        assert means[0] == pytest.approx(means[1], rel=1e-9)


@given(st.integers(0, 2**32), st.integers(1, 120), st.floats(-50, 50), st.booleans(), st.booleans())
def test_any_numbers_become_monotone_and_keep_their_mean(seed, n, slope, fast, weighted):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n).round(1)
    y, w = slope * x + rng.normal(size=n) * 20, rng.exponential(size=n) + 0.1
    fitted = monotonic(x, y, w=w if weighted else None, expend=False, fast=fast)
    assert is_monotone(x, fitted)
    mean = np.average(y, weights=w if weighted else None)
    assert np.average(fitted, weights=w if weighted else None) == pytest.approx(mean, rel=1e-9, abs=1e-9)


def test_a_falling_variable_falls():
    rng = np.random.default_rng(3)
    x = rng.random(200)
    fitted = monotonic(x, 5 - 4 * x + rng.normal(size=200) / 3, expend=False)
    assert is_monotone(x, fitted)
    assert np.corrcoef(x, fitted)[0, 1] < -0.95


def test_mean_is_kept_by_a_factor_where_nothing_is_negative_and_else_by_a_shift():
    x, y, w = survey()
    free = monotonic(x, y, w=w, preserve=False)
    kept = monotonic(x, y, w=w)
    ratio = kept[x > 0] / free[x > 0]
    assert ratio == pytest.approx(np.average(y, weights=w) / np.average(free, weights=w))
    free = monotonic(x, y - 5, w=w, preserve=False, expend=False)
    kept = monotonic(x, y - 5, w=w, expend=False)
    assert kept - free == pytest.approx(np.average(y - 5 - free, weights=w))


def test_without_its_rules_it_is_the_sorted_smooth():
    x, y, w = survey()
    at, smooth = supersmooth(x, y, w / w.mean())
    fitted = monotonic(x, y, w=w, preserve=False, expend=False)
    assert fitted == pytest.approx(np.interp(x, at, np.sort(smooth)), rel=1e-12)


def test_spending_where_there_is_no_consumption_and_none_where_there_is():
    x, y, _ = survey()
    wrong = y.copy()
    wrong[x == 0] = 40.0
    wrong[np.flatnonzero(x > 0)[:5]] = 0.0
    mended = np.where(x > 0, np.where(wrong > 0, wrong, wrong[(x > 0) & (wrong > 0)].min()), 0.0)
    with pytest.warns(FusionWarning) as told:
        free = monotonic(x, wrong, preserve=False)
    assert [str(each.message).split(":")[0] for each in told] == [
        "`y` is not 0 at some `x` of 0",
        "`y` is 0 at some `x` above 0",
    ]
    assert free == pytest.approx(monotonic(x, mended, preserve=False))
    with pytest.warns(FusionWarning):
        assert monotonic(x, wrong).mean() == pytest.approx(wrong.mean(), rel=1e-9)
    assert monotonic(x, wrong, preserve=False, expend=False)[x == 0].min() > 0


def test_no_result_is_less_than_the_least_that_is_spent():
    x = np.r_[0.0, np.arange(1, 41.0)]
    y = np.r_[0.0, np.maximum(10 * (x[1:] - 12), 7.0)]
    fitted = monotonic(x, y, preserve=False)
    assert fitted[1:].min() == 7.0


def test_records_of_no_consumption_count_once_whatever_their_number():
    x, y, _ = survey()
    more = np.r_[np.zeros(500), x], np.r_[np.zeros(500), y]
    assert monotonic(*more, preserve=False)[500:] == pytest.approx(monotonic(x, y, preserve=False))


@pytest.mark.parametrize("none", [0.0, math.nan])
@pytest.mark.filterwarnings("ignore:`w` has 7 missing values. such records have no say")
def test_records_without_weight_have_no_say(none):
    """Missing weights never; zeros where a window, or a place, has no others."""
    x, y, w = survey()
    far = np.r_[x, np.arange(500.0, 506.0), 1.0], np.r_[y, 0.01 + np.zeros(6), 9e9]
    fitted = monotonic(*far, w=np.r_[w, np.full(7, none)])
    assert fitted[:-7] == pytest.approx(monotonic(x, y, w=w))
    assert (fitted[-7:-1] == fitted[:-7].max()).all()  # beyond the others it goes on level
    twice = monotonic(np.r_[x, 0.77, 0.77], np.r_[y, 9, 99], w=np.r_[w, 0.0, 0.0])
    assert twice[:-2] == pytest.approx(monotonic(x, y, w=w))


def test_records_of_zero_weight_are_points_of_a_window():
    """As in the reference. Their own values do not matter, only that they are there."""
    x, y, w = survey()
    one = [monotonic(np.r_[x, 20.05], np.r_[y, value], w=np.r_[w, 0.0]) for value in (0.5, 900.0)]
    assert one[0].tolist() == one[1].tolist()
    assert one[0][:-1] == pytest.approx(monotonic(x, y, w=w), rel=0.05)
    assert one[0][:-1].tolist() != monotonic(x, y, w=w).tolist()
    assert one[0][-1] > one[0][:-1][x < 20.05].max()


@raising
def test_integers_are_rounded_and_stay_integers():
    x, y, w = survey()
    for kind in (np.int64, np.int16, np.uint32):
        fitted = monotonic(x, y.astype(kind), w=w)
        assert fitted.dtype == kind
        assert fitted.tolist() == np.round(monotonic(x, y.astype(kind).astype(float), w=w)).tolist()


@pytest.mark.filterwarnings("ignore:`y` is not 0 at some `x` of 0")
def test_a_type_too_narrow_for_the_result_is_told():
    # Three quarters of the weight are on a record of no consumption, whose 255 go to the others.
    with pytest.raises(fusionpy.ArgumentError, match="`y` is of type uint8, which cannot hold a fitted"):
        monotonic([0, 1, 2, 3], np.array([255, 100, 150, 200], np.uint8), w=[3, 0.3, 0.3, 0.4])


@pytest.mark.parametrize("x_kind", [np.array, list, pd.Series, pl.Series, pa.array])
@pytest.mark.parametrize(
    "kind",
    [np.array, pd.Series, pl.Series, pa.array, lambda values: pa.chunked_array([values[:9], values[9:]])],
)
def test_the_kind_of_vector_is_that_of_y(x_kind, kind):
    x, y, w = survey(n=40)
    given_y = kind(y)
    fitted = monotonic(x_kind(x), given_y, w=x_kind(w))
    assert type(fitted) is type(given_y)
    assert np.asarray(fitted).tolist() == monotonic(x, y, w=w).tolist()


def test_a_list_gives_an_array():
    fitted = monotonic([1, 2, 3], [1, 2, 3])
    assert isinstance(fitted, np.ndarray)
    assert fitted.tolist() == [1, 2, 3]


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "Int64", "Float64", "int64[pyarrow]"])
def test_pandas_keeps_index_name_and_type(dtype):
    x, y, _ = survey(n=50)
    index = pd.Index(np.arange(50) * 2 + 7, name="hid")
    mine = pd.Series(y.round(), index=index, name="bill").astype(dtype)
    fitted = monotonic(pd.Series(x, index=index), mine)
    assert fitted.index.equals(index)
    assert (fitted.name, fitted.dtype) == ("bill", mine.dtype)
    assert fitted.to_numpy(float) == pytest.approx(monotonic(x, y.round()), abs=0.51)


def test_polars_and_pyarrow_keep_name_and_type():
    x, y, _ = survey(n=50)
    fitted = monotonic(x, pl.Series("bill", y.round().astype(int), pl.Int32))
    assert (fitted.name, fitted.dtype) == ("bill", pl.Int32)
    assert monotonic(x, pa.array(y, pa.float32())).type == pa.float32()


def test_the_input_is_left_alone():
    x, y, w = survey()
    copies = [each.copy() for each in (x, y, w)]
    monotonic(x, y, w=w)
    for each, copy in zip((x, y, w), copies, strict=True):
        assert (each == copy).all()


@given(st.integers(0, 2**32))
def test_the_order_of_records_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    x, y, w = survey(seed, 60)
    x = x + 0.5  # of records of no consumption only the first one's weight counts
    y += np.linspace(0, 1e-6, 60)  # of records of the same x and y the first comes first, as in R
    order = rng.permutation(60)
    mine, other = (monotonic(x[o], y[o], w=w[o], expend=False) for o in (np.arange(60), order))
    assert mine[order] == pytest.approx(other, rel=1e-9)


def test_thinning_keeps_the_shape_and_follows_the_seed():
    x, y, w = survey(n=20_000)
    every = monotonic(x, y, w=w, nmax=math.inf)
    thin = monotonic(x, y, w=w, nmax=4000, seed=1)
    assert thin.tolist() == monotonic(x, y, w=w, nmax=4000, seed=1).tolist()
    assert thin.tolist() != monotonic(x, y, w=w, nmax=4000, seed=2).tolist()
    assert is_monotone(x, thin)
    assert np.average(thin, weights=w) == pytest.approx(np.average(y, weights=w), rel=1e-9)
    assert np.average(np.abs(thin - every), weights=w) < 0.02 * np.average(y, weights=w)


def test_a_seed_that_was_drawn_is_told_only_if_it_was_used(capsys):
    x, y, _ = survey()
    monotonic(x, y)
    assert capsys.readouterr().err == ""
    fitted = monotonic(x, y, nmax=100)
    told = capsys.readouterr().err
    assert told.startswith("monotonic: seed ")
    assert fitted.tolist() == monotonic(x, y, nmax=100, seed=int(told.split()[2])).tolist()


def test_the_spline_comes_only_where_sorting_distorts():
    x = np.linspace(0.1, 4, 400)
    rising, hump = 2 + np.sqrt(x), 2 + x + 2 * np.sin(3 * x)
    assert monotonic(x, rising, fast=False).tolist() == monotonic(x, rising).tolist()
    slow, fast = monotonic(x, hump, fast=False), monotonic(x, hump)
    assert is_monotone(x, slow)
    # The best monotone curve in least squares is at least as near as the sorted smooth.
    assert ((slow - hump) ** 2).sum() < ((fast - hump) ** 2).sum()
    falls = monotonic(x, -hump, fast=False, expend=False)
    assert falls == pytest.approx(-monotonic(x, hump, fast=False, expend=False), rel=1e-6)


def test_one_place_gets_the_mean():
    assert monotonic([2, 2, 2], [1.0, 2.0, 6.0]).tolist() == [3.0, 3.0, 3.0]
    assert monotonic([2], [5.0]).tolist() == [5.0]


@raising
def test_nothing_is_spent_at_all():
    assert monotonic([0, 1, 2], [0.0, 0.0, 0.0]).tolist() == [0.0, 0.0, 0.0]
    with pytest.warns(FusionWarning) as told:
        assert monotonic([0, 0], [1.0, 2.0]).tolist() == [0.0, 0.0]
    assert "All fitted values are 0" in str(told[-1].message)


def test_the_figure_has_the_records_and_the_function():
    x, y, w = survey(n=3000)
    w[:10] = 0
    fitted, figure = monotonic(pl.Series("gas", x), pd.Series(y, name="bill"), w=w, plot=True)
    assert fitted.tolist() == monotonic(x, y, w=w).tolist()
    assert (figure.labels.x, figure.labels.y) == ("gas", "bill")
    points, line = figure.layers[0]._data, figure.data
    assert len(points) == 2000
    assert "2,000 of " in figure.labels.caption
    assert "not shown" in figure.labels.caption
    assert (points["weight"] > 0).all()
    at = dict(zip(x, fitted, strict=True))
    assert [at[value] for value in line["x"]] == line["y"].to_list()
    assert is_monotone(line["x"].to_numpy(), line["y"].to_numpy())


@pytest.mark.slow
def test_plotnine_is_imported_only_for_a_figure():
    code = "import sys, fusionpy as m; m.monotonic([1, 2], [1, 2]); print('plotnine' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_figures_can_be_drawn(tmp_path):
    for n in (1, 60):
        x, y, _ = survey(n=n)
        figure = monotonic(x, y, plot=True)[1]
        figure.save(tmp_path / "figure.svg", verbose=False)
        assert "<svg" in (tmp_path / "figure.svg").read_text()


GOOD = [1.0, 2.0, 3.0]
REFUSED = {
    "text": ({"y": ["a", "b", "c"]}, "`y` must hold numbers, not text."),
    "booleans": ({"x": [True, False, True]}, r"`x` must hold numbers, not logical \(True or False\)."),
    "dates": (
        {"x": np.array(["2020-01-01"] * 3, "datetime64[D]")},
        "`x` must hold numbers, not dates or times",
    ),
    "a frame": (
        {"y": pd.DataFrame({"a": GOOD})},
        "`y` must be a numpy array, a pandas or polars Series or a",
    ),
    "a number": ({"x": 3}, "`x` must be a numpy array, .* of numbers, not 3."),
    "a matrix": ({"x": np.ones((3, 2))}, "`x` must be a numpy array"),
    "mixed": ({"y": pd.Series([1, "a", 2.0])}, "`y` must be a numpy array"),
    "missing x": ({"x": [1.0, math.nan, 2.0]}, "`x` has 1 missing value; drop or impute these records."),
    "missing y": ({"y": pa.array([1, None, None])}, "`y` has 2 missing values"),
    "missing in pandas": ({"y": pd.Series([1, None, 2], dtype="Int64")}, "`y` has 1 missing value"),
    "missing w": ({"w": [math.nan] * 3}, "`w` has no positive value"),
    "infinite": ({"y": [1.0, math.inf, 2.0]}, "`y` has infinite values, or values beyond 1e.100."),
    "lengths": ({"x": [1.0, 2.0]}, "They must be of the same length: `x` 2, `y` 3."),
    "indices": (
        {"x": pd.Series(GOOD, index=[3, 4, 5]), "y": pd.Series(GOOD)},
        r"Their indices differ: align them, or call `.reset_index\(drop=True\)` on each.",
    ),
    "nothing": ({"x": [], "y": []}, "`y` has no values."),
    "negative spending": ({"y": [-1.0, 2.0, 3.0]}, "`y` has 1 negative value while `expend` is True; pass"),
    "negative consumption": ({"x": [-1.0, -2.0, 3.0]}, "`x` has 2 negative values while `expend` is True"),
    "negative weights": ({"w": [-1.0, -2.0, 0.0]}, "`w` has no positive value"),
    "no weight": ({"w": [0, 0, 0]}, "`w` has no positive value."),
    "nmax": ({"nmax": 1}, "`nmax` must be a whole number of at least 2, or infinite, not 1."),
    "nmax as text": (
        {"nmax": "all"},
        "`nmax` must be a whole number of at least 2, or infinite, not 'all'.",
    ),
    "seed": ({"seed": -1}, "`seed` must be a whole number"),
    "flags": ({"preserve": 1, "plot": "yes"}, r"(?s)`preserve` must be True or False, not 1.*`plot` must be"),
    "several": (
        {"x": ["a"] * 3, "y": [math.nan] * 3, "fast": 0},
        "(?s)`fast` must.*`x` must hold.*`y` has 3",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    given, said = REFUSED[case]
    with pytest.raises(fusionpy.ArgumentError, match=said):
        monotonic(**{"x": GOOD, "y": GOOD, **given})


def test_spending_that_falls_is_told_where_it_must_begin_at_nothing():
    """A group of few records in a grouped call may well be so: the others must not fail for it."""
    x, y = np.arange(1, 30.0), 100 - 3 * np.arange(1, 30.0)
    with pytest.warns(FusionWarning, match="`y` falls as `x` rises, yet nothing is spent where `x` is 0"):
        fitted = monotonic(np.r_[0.0, x], np.r_[0.0, y])
    assert fitted[0] == 0
    assert is_monotone(x, fitted[1:])
    assert fitted[1] > fitted[-1]
    assert fitted.mean() == pytest.approx(y.sum() / 30)
    assert is_monotone(x, monotonic(x, y))


def test_few_points_are_smoothed_with_a_fixed_span():
    x, y, w = (each[:39] for each in survey(n=40))
    at, smooth = supersmooth(x, y, w / w.mean(), span=0.3)
    fitted = monotonic(x, y, w=w, preserve=False, expend=False)
    assert fitted == pytest.approx(np.interp(x, at, np.sort(smooth)), rel=1e-12)
