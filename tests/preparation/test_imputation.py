"""impute(): what is filled, what is left, and what is refused."""

import itertools
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pacing import slow
from scipy.stats import spearmanr

import fusionpy
from fusionpy import progress
from fusionpy.errors import ArgumentError, FusionWarning, SchemaError
from fusionpy.model.schema import Variable
from fusionpy.preparation import imputation, imputation_predictors, incomplete
from fusionpy.preparation.imputation import impute
from fusionpy.preparation.imputation_predictors import level_coordinates

ORDER = ["low", "middle", "high"]


def survey(n=240, seed=0):
    """A survey with a column of every kind, without holes."""
    rng = np.random.default_rng(seed)
    income = rng.lognormal(3, 0.6, n).round(2)
    level = np.searchsorted(np.quantile(income, [0.3, 0.7]), income + rng.normal(0, 4, n))
    return pd.DataFrame(
        {
            "income": income,
            "rooms": rng.poisson(1 + np.log(income)).astype(float),
            "members": pd.array(rng.integers(1, 6, n), dtype="Int64"),
            "owner": pd.array(rng.random(n) < income / (income + 20), dtype="boolean"),
            "class": pd.Categorical.from_codes(level, ORDER, ordered=True),
            "fuel": pd.Categorical.from_codes(rng.integers(0, 3, n), ["gas", "oil", "wood", "never seen"]),
            "town": np.array(["Ulm", "Bath", "Pau"])[rng.integers(0, 3, n)],
            "age": rng.integers(18, 90, n),
        },
        index=np.arange(n) * 2 + 5,
    )


def with_holes(frame, share=0.15, seed=1, keep=("age",)):
    rng = np.random.default_rng(seed)
    out = frame.copy()
    for name in out.columns.difference(keep):
        out[name] = out[name].mask(rng.random(len(out)) < share)
    return out


def as_kind(frame, kind):
    if kind == "pandas":
        return frame
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table if kind == "pyarrow" else pl.from_arrow(table)


def columns_of(frame):
    """Columns as lists of plain values, None where missing."""
    if isinstance(frame, pd.DataFrame):
        return {name: [None if pd.isna(v) else v for v in frame[name]] for name in frame}
    return {
        name: [None if v is None or v != v else v for v in values]
        for name, values in (
            frame.to_pydict() if isinstance(frame, pa.Table) else frame.to_dict(as_series=False)
        ).items()
    }


def types_of(frame):
    return frame.schema if not isinstance(frame, pd.DataFrame) else dict(frame.dtypes)


@pytest.mark.parametrize("kind", [slow("pandas"), "polars", slow("pyarrow")])
def test_every_kind_of_column_is_filled_by_its_own_values(kind):
    data = as_kind(with_holes(survey(120)), kind)
    completed = impute(data, seed=1, quiet=True)
    assert type(completed) is type(data)
    if kind == "pyarrow":
        assert completed.schema.equals(data.schema)
    else:
        assert types_of(completed) == types_of(data)
    before, after = columns_of(data), columns_of(completed)
    assert list(before) == list(after)
    for name, old in before.items():
        new = after[name]
        assert None not in new
        assert all(o in (n, None) for o, n in zip(old, new, strict=True)), name
        assert set(new) <= set(old), name


def test_levels_index_and_the_callers_own_frame():
    data = with_holes(survey())
    kept = data.copy()
    completed = impute(data, seed=1, quiet=True)
    pd.testing.assert_frame_equal(data, kept)
    assert completed.index.equals(data.index)
    assert completed["class"].cat.categories.tolist() == ORDER
    assert completed["class"].cat.ordered
    assert completed["fuel"].cat.categories.tolist()[-1] == "never seen"
    assert (completed["rooms"] % 1 == 0).all()
    assert completed.attrs["fusionpy"] == {"seed": 1, "M": 1, "made_by": "impute"}
    completed.loc[:, "age"] = 0
    pd.testing.assert_frame_equal(data, kept)


def test_polars_nan_and_pandas_objects_count_as_missing():
    flags = pd.Series([True, False, None] * 40, dtype=object)
    words = pd.Series(["a", None, "b"] * 40, dtype=object)
    data = pd.DataFrame({"flags": flags, "words": words, "x": np.arange(120.0)})
    completed = impute(data, seed=1, quiet=True)
    assert completed.dtypes.tolist() == [object, object, np.float64]
    assert set(completed["flags"]) == {True, False}
    assert set(completed["words"]) == {"a", "b"}
    frame = pl.DataFrame({"x": np.arange(120.0), "y": [1.0, float("nan"), 3.0, None] * 30})
    filled = impute(frame, seed=1, quiet=True)["y"]
    assert set(filled) == {1.0, 3.0}


@pytest.mark.parametrize("kind", ["pandas", slow("polars"), slow("pyarrow")])
def test_several_completed_data_sets(kind):
    data = as_kind(with_holes(survey()), kind)
    completed = impute(data, M=3, seed=1, quiet=True)
    names = completed.column_names if kind == "pyarrow" else list(completed.columns)
    columns = columns_of(completed)
    assert names == ["M", *columns_of(data)]
    assert columns["M"] == [1] * 240 + [2] * 240 + [3] * 240
    for name, old in columns_of(data).items():
        parts = [columns[name][k * 240 : (k + 1) * 240] for k in range(3)]
        assert all(o in (n, None) for part in parts for o, n in zip(old, part, strict=True))
        if name == "age":
            assert parts[0] == parts[1] == parts[2]
        else:
            assert parts[0] != parts[1] != parts[2]
    table = fusionpy.analyze({"mean": ["income", "class"]}, completed)
    assert len(table) == 4
    assert np.isfinite(np.asarray(table["moe"], dtype=float)).all()


def test_same_seed_same_result_on_any_cores_and_in_any_pieces(monkeypatch):
    data = with_holes(survey(80), keep=("age", "town", "members", "income"))
    one = impute(data, M=2, seed=1, quiet=True)
    monkeypatch.setattr(imputation, "ROWS_AT_ONCE", 7)
    pd.testing.assert_frame_equal(one, impute(data, M=2, seed=1, cores=2, quiet=True))
    assert not one.equals(impute(data, M=2, seed=2, quiet=True))


def test_fewest_missing_first_and_the_drawn_seed_is_told(monkeypatch, capsys):
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.normal(size=(120, 4)), columns=list("abcd"))
    data.loc[:29, "a"], data.loc[:9, "b"], data.loc[:19, "d"] = np.nan, np.nan, np.nan
    completed = impute(data)
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[-1] for line in said[1:]] == ["b", "d", "a"]
    seed = completed.attrs["fusionpy"]["seed"]
    assert said[0] == f"impute: seed {seed} was drawn; give it again to repeat this result"
    pd.testing.assert_frame_equal(completed, impute(data, seed=seed, quiet=True))
    assert capsys.readouterr().err == ""


def test_the_metadata_of_arrow_tables_is_kept():
    table = pa.table({"x": np.arange(60.0), "y": [None, *range(59)]}).replace_schema_metadata({"who": "me"})
    found = impute(table, seed=4, quiet=True).schema.metadata
    assert found[b"who"] == b"me"
    assert b'"seed": 4' in found[b"fusionpy"]


# Association.


@pytest.mark.parametrize("M", [slow(1), 3])
def test_variables_missing_together_stay_correlated(M):
    rng = np.random.default_rng(3)
    a = rng.normal(size=900)
    data = pd.DataFrame({"a": a, "b": a + rng.normal(0, 0.3, 900), "noise": rng.normal(size=900)})
    holes = rng.random(900) < 0.3
    data.loc[holes, ["a", "b"]] = np.nan
    data.loc[:4, "b"] = np.nan
    completed = impute(data, M=M, seed=1, quiet=True)
    parts = [completed.iloc[900 * part : 900 * (part + 1)][holes] for part in range(M)]
    # One part alone has .3 to .95, by the seed.
    assert np.mean([part["a"].corr(part["b"]) for part in parts]) > 0.5


def test_imputed_values_follow_their_predictors_and_vary_as_much_as_observed_ones():
    data = survey(900)
    data = data[["income", "rooms", "class", "age"]].reset_index(drop=True)
    holes = np.random.default_rng(5).random(900) < 0.3
    truth = data["income"].copy()
    data.loc[holes, "income"] = np.nan
    completed = impute(data, M=5, seed=1, quiet=True)
    drawn = completed["income"].to_numpy().reshape(5, -1)[:, holes]
    assert np.corrcoef(drawn.mean(axis=0), truth[holes])[0, 1] > 0.6
    assert np.std(np.log(drawn)) == pytest.approx(np.std(np.log(truth[holes])), rel=0.15)


def test_implicates_condition_on_their_own_earlier_imputations():
    work = incomplete.Incomplete(
        ("a", "b"), (), np.array([[1.0, np.nan], [np.nan, 5.0], [3.0, np.nan]]), np.ones(3), 2
    )
    work.filled[0] = np.array([1]), np.array([[10.0], [20.0]])
    found = work.view([1, 0], np.array([2, 1, 1]), np.array([0, 0, 1]))
    assert found[:, 1].tolist() == [3.0, 10.0, 20.0]
    assert np.isnan(found[0, 0])
    assert found[1:, 0].tolist() == [5.0, 5.0]


# Columns that cannot be learned.


def base(n=120):
    return pd.DataFrame({"x": np.random.default_rng(2).normal(size=n), "y": np.arange(n) % 7.0})


def test_a_column_without_values_is_left():
    data = base().assign(y=lambda d: d["y"].mask(d.index < 9), nothing=np.nan, none=None)
    with pytest.warns(FusionWarning, match="No values at all, left as they are: `nothing`, `none`"):
        completed = impute(data, seed=1, quiet=True)
    assert completed[["nothing", "none"]].isna().to_numpy().all()
    assert completed["y"].notna().all()
    with pytest.warns(FusionWarning, match="`nothing`"):
        pd.testing.assert_frame_equal(
            impute(data[["x", "nothing"]], seed=1, quiet=True), data[["x", "nothing"]]
        )


def test_a_column_with_one_value_gets_it():
    data = base().assign(flag=pd.array([True, None] * 60, dtype="boolean"), two=[2.0, *[np.nan] * 119])
    with pytest.warns(FusionWarning, match="only value that was observed: `flag`, `two`"):
        completed = impute(data, seed=1, quiet=True)
    assert completed["flag"].all()
    assert (completed["two"] == 2).all()


@pytest.mark.parametrize("M", [1, 4])
def test_two_observed_rows_are_drawn_from(M):
    data = base().assign(rare=["u", "v", *[None] * 118])
    with pytest.warns(FusionWarning, match="drawn from the values observed: `rare`"):
        completed = impute(data, M=M, seed=1, quiet=True)
    assert set(completed["rare"]) == {"u", "v"}


def test_a_lone_column_and_one_with_too_few_other_than_zero():
    lone = base()[["y"]].mask(base().index.to_series() < 30)
    with pytest.warns(FusionWarning, match="predictors, to learn from; .*`y`"):
        completed = impute(lone, seed=1, quiet=True)
    assert completed["y"].notna().all()
    data = base().assign(zeros=lambda d: np.select([d.index < 20, d.index < 24], [np.nan, 3.0], 0.0))
    with pytest.warns(FusionWarning, match="`zeros`"):
        assert set(impute(data, seed=1, quiet=True)["zeros"]) <= {0.0, 3.0}


def test_too_few_values_are_drawn_by_weight():
    data = pd.DataFrame({"v": [0.0] * 20 + [1.0] * 20 + [np.nan] * 400, "w": [1.0] * 20 + [3.0] * 420})
    with pytest.warns(FusionWarning, match="`v`"):
        completed = impute(data, weight="w", M=40, seed=1, quiet=True)
    drawn = completed["v"].to_numpy().reshape(40, -1)[:, 40:]
    assert drawn.mean() == pytest.approx(0.75, abs=0.03)
    # The observed values are resampled: shares vary by more than the 400 draws of each.
    assert drawn.mean(axis=1).std() > 1.5 * np.sqrt(0.75 * 0.25 / 400)


def test_rows_without_weight_teach_nothing():
    data = survey(300).reset_index(drop=True)
    data["w"] = np.where(data.index < 100, 0.0, 1.5)
    data.loc[:99, "income"] = -999.0
    data.loc[::4, "income"] = np.nan
    completed = impute(data, weight="w", seed=1, quiet=True)
    assert (completed.loc[::4, "income"] > 0).all()
    assert (completed["w"] == data["w"]).all()


def test_negative_weights_count_as_zero():
    data = base().assign(w=[-1.0, -2.0] + [1.0] * 118, y=lambda d: d["y"].mask(d.index > 99))
    with pytest.warns(FusionWarning, match="2 negative weights in `w`: taken as 0"):
        assert impute(data, weight="w", seed=1, quiet=True)["y"].notna().all()


def test_ignored_columns_are_left_and_not_used():
    data = with_holes(survey(120)).assign(day=pd.Timestamp("2026-01-01"), note=None)
    data.loc[data.index[3], "day"] = pd.NaT
    one = impute(data, ignore=["day", "note", "age", "town"], seed=1, quiet=True)
    pd.testing.assert_frame_equal(one[["day", "note", "town"]], data[["day", "note", "town"]])
    other = impute(data.assign(age=0), ignore=["day", "note", "age", "town"], seed=1, quiet=True)
    pd.testing.assert_frame_equal(one.drop(columns="age"), other.drop(columns="age"))


def test_names_that_r_would_not_take():
    data = base().rename(columns={"x": "2nd home", "y": "a b"}).assign(**{"a.b": 1.0, "M": base()["x"]})
    data.loc[::5, "a b"] = np.nan
    completed = impute(data, seed=1, quiet=True)
    assert completed.columns.tolist() == data.columns.tolist()
    assert completed["a b"].notna().all()
    data["2nd home"] = pd.Timestamp("2026-01-01")
    with pytest.raises(SchemaError, match="`2nd home`: dates or times"):
        impute(data, seed=1)


# Many levels.


def test_many_levels_keep_their_association():
    rng = np.random.default_rng(1)
    x = rng.normal(size=1500)
    code = np.clip(np.round((0.3 * x + rng.normal(0, 0.1, 1500) + 0.9) / 1.8 * 220), 0, 219).astype(int)
    shuffled = rng.permutation(220)
    data = pd.DataFrame({"x": x, "noise": rng.normal(size=1500), "county": shuffled[code].astype(str)})
    assert data["county"].nunique() > 160
    holes = rng.random(1500) < 0.2
    data.loc[holes, "county"] = None
    completed = impute(data, seed=1, quiet=True)
    drawn = np.argsort(shuffled)[completed.loc[holes, "county"].astype(int)]
    assert np.corrcoef(drawn, x[holes])[0, 1] > 0.6


@pytest.mark.slow
def test_two_hundred_levels_are_warned_of():
    code = np.arange(500) % 210
    data = pd.DataFrame({"x": code + 0.0, "county": pd.Categorical(code.astype(str)), "rank": code % 50})
    data["rank"] = pd.Categorical(data["rank"], range(50), ordered=True)
    data.loc[::9, ["county", "rank"]] = None
    with pytest.warns(FusionWarning, match=r"Many levels.*`county \(210\)`"):
        completed = impute(data, seed=1, quiet=True)
    assert completed.notna().all(axis=None)
    # More than 30 ordered levels are drawn as numbers are.
    filled = completed.iloc[::9]
    assert np.corrcoef(filled["rank"].cat.codes, filled["x"] % 50)[0, 1] > 0.4


@given(st.integers(0, 2**32))
def test_level_coordinates_by_hand(seed):
    rng = np.random.default_rng(seed)
    n_levels, width = int(rng.integers(2, 9)), int(rng.integers(1, 6))
    codes = np.concatenate([np.arange(n_levels), rng.integers(0, n_levels, 30)])
    design = rng.normal(size=(len(codes), width))
    rows = [design[codes == k] for k in range(n_levels)]
    mean = np.array([each.sum(axis=0) / (len(each) + 5) for each in rows])
    number = np.array([len(each) for each in rows])
    values, axes = np.linalg.eigh(mean.T @ (number[:, None] * mean))
    expected = mean @ axes[:, np.argsort(-values)[: min(3, n_levels)]]
    found = level_coordinates(codes, design)
    assert np.abs(found) == pytest.approx(np.abs(expected), abs=1e-6)
    assert len(np.unique(found[:, 0])) == n_levels


def test_levels_that_are_alike_have_places_of_their_own():
    found = level_coordinates(np.array([0, 1, 2]), np.zeros((3, 2)))
    assert len(np.unique(found[:, 0])) == 3


# Choosing predictors and records.


def brute_strength(values, by_level, target, target_by_level):
    """Largest absolute Spearman correlation; levels count as dummies of the most frequent ones."""

    def columns(v, nominal):
        if not nominal:
            return [v]
        levels, counts = np.unique(v[~np.isnan(v)], return_counts=True)
        top = levels[np.argsort(-counts, kind="stable")][:4]
        return [np.where(np.isnan(v), np.nan, v == level) for level in top]

    pairs = itertools.product(columns(values, by_level), columns(target, target_by_level))
    return max(abs(spearmanr(a, b).statistic) for a, b in pairs)


@given(st.integers(0, 2**32), st.booleans())
@settings(max_examples=20)
def test_screening_equals_brute_force(seed, target_is_nominal):
    rng = np.random.default_rng(seed)
    n, p = 200, 24
    target = rng.integers(0, 4, n).astype(float)
    matrix = rng.normal(size=(n, p)) + rng.normal(0, 0.15, p) * target[:, None]
    nominal = [j % 5 == 0 for j in range(p)]
    matrix[:, nominal] = np.clip(np.round(matrix[:, nominal]), -2, 3)
    strength = np.array(
        [brute_strength(matrix[:, j], nominal[j], target, target_is_nominal) for j in range(p)]
    )
    chosen = imputation_predictors.screen(matrix, nominal, target, target_is_nominal, n)
    assert chosen == sorted(np.flatnonzero(strength > 0.025))


def test_screening_has_bounds_and_drops_what_does_not_vary():
    rng = np.random.default_rng(4)
    target = rng.normal(size=20_000)
    noise = rng.normal(size=(20_000, 12))
    noise[:, 3], noise[:, 4] = 7.0, np.nan
    noise[:, 8] += 0.1 * target
    noise[::3, 8] = np.nan
    chosen = imputation_predictors.screen(noise, [False] * 12, target, False, 20_000)
    assert len(chosen) == 5
    assert 8 in chosen
    assert not {3, 4} & set(chosen)
    few_rows = imputation_predictors.screen(noise[:500], [False] * 12, target[:500], False, 500)
    assert few_rows == [j for j in range(12) if j not in (3, 4)]
    many = 0.5 * target[:300, None] + rng.normal(size=(300, 60))
    assert len(imputation_predictors.screen(many, [False] * 60, target[:300], False, 300)) == 30


def test_large_surveys_train_on_a_stratified_sample(monkeypatch):
    monkeypatch.setattr(imputation, "SAMPLE_LEAST", 100)
    codes = np.repeat([0.0, 1.0], [900, 100])[:, None]
    variable = Variable("v", "nominal", ("a", "b"), "string")
    work = incomplete.Incomplete(("v",), (variable,), codes, np.ones(1000), 1, (0,), {0: np.arange(1000)})
    rows = imputation._sample(work, 0, 3, 1)
    assert np.bincount(codes[rows, 0].astype(int)).tolist() == [90, 10]
    assert len(imputation._sample(work, 0, 20, 1)) == 200
    monkeypatch.setattr(imputation, "SAMPLE_MOST", 50)
    assert len(imputation._sample(work, 0, 20, 1)) == 50


def test_a_sample_too_poor_to_learn_from_falls_back(monkeypatch):
    monkeypatch.setattr(imputation, "SAMPLE_LEAST", 60)
    data = base(400).assign(v=lambda d: np.select([d.index < 3, d.index < 9], [np.nan, 5.0], 0.0))
    assert set(impute(data, seed=1, quiet=True)["v"]) <= {0.0, 5.0}


# Any holes at all.


@given(st.integers(0, 2**32), st.floats(0.02, 1.0), st.integers(1, 2))
@settings(max_examples=5)
def test_whatever_is_missing(seed, share, M):
    rng = np.random.default_rng(seed)
    full = survey(int(rng.integers(1, 80)), seed)
    data = with_holes(full, share, seed + 1, keep=rng.choice(full.columns, 2))
    if not data.isna().any(axis=None):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FusionWarning)
        completed = impute(data, M=M, seed=1, quiet=True)
    for part in range(M):
        rows = completed.iloc[part * len(data) : (part + 1) * len(data)].set_axis(data.index)
        for name in data:
            known = data[name].notna()
            pd.testing.assert_series_equal(rows.loc[known, name], data.loc[known, name])
            assert rows[name].notna().all() == known.any()
            assert rows[name].dtype == data[name].dtype


# What is refused.

HOLES = base().assign(y=lambda d: d["y"].mask(d.index < 9), w=1.0, word="a")
REFUSED = [
    ([1, 2], {}, SchemaError, "`data` cannot be used"),
    (HOLES, {"M": 0}, ArgumentError, "`M` must be a whole number of at least 1, not 0"),
    (HOLES, {"M": 2**31}, ArgumentError, "`M` must be a whole number from 1 to 1,000,000, not 2147483648"),
    (HOLES, {"M": True}, ArgumentError, "`M` must be a whole number"),
    (HOLES, {"cores": 1.5}, ArgumentError, "`cores` must be a whole number of at least 1, not 1.5"),
    (HOLES, {"seed": -1}, ArgumentError, "`seed` must be a whole number from 0"),
    (HOLES, {"quiet": "no"}, ArgumentError, "`quiet` must be True or False, not 'no'"),
    (HOLES, {"weight": 3}, ArgumentError, "`weight` must be the name of a column, not 3"),
    (HOLES, {"ignore": 3}, ArgumentError, "`ignore` must be a column name or a list of them, not 3"),
    (HOLES, {"ignore": ["x", 3]}, ArgumentError, "`ignore` must be a column name or a list of them"),
    (HOLES, {"ignore": ["x", "x"]}, ArgumentError, "`ignore` names `x` more than once"),
    (HOLES, {"ignore": "wordd"}, SchemaError, r"`ignore` names `wordd`, not in `data` \(is `word` meant\?\)"),
    (HOLES, {"weight": "v"}, SchemaError, "weight `v`: not in `data`"),
    (HOLES, {"weight": "word"}, SchemaError, "weight `word`: weights must be numeric, not text"),
    (HOLES, {"weight": "y"}, SchemaError, "weight `y`: 9 missing values; drop those records"),
    (HOLES.assign(w=np.inf), {"weight": "w"}, SchemaError, "weight `w`: 120 infinite values"),
    (HOLES.assign(w=0.0), {"weight": "w"}, SchemaError, "weight `w`: no weight is positive"),
    (HOLES.assign(w=1j), {"weight": "w"}, SchemaError, "weight `w`: .*weights must be numeric"),
    (HOLES.rename(columns={"x": "M"}), {"M": 2}, SchemaError, "`M`: the name is reserved"),
    (HOLES[["x", "w"]], {}, SchemaError, "Nothing is missing"),
    (HOLES, {"ignore": "y"}, SchemaError, "Nothing is missing"),
    (HOLES.head(0), {}, SchemaError, "It has no rows"),
    (HOLES.assign(x=np.inf), {}, SchemaError, "`x`: 120 infinite values"),
    (HOLES.assign(x=pd.Timestamp("2026-01-01")), {}, SchemaError, "`x`: dates or times; only numbers"),
    (HOLES.assign(x=[[1]] * 120), {}, SchemaError, "`x`: lists or records"),
    (HOLES.assign(x=[1, "a"] * 60), {}, SchemaError, "`x`: values of different types"),
    (HOLES.assign(x=2**60), {}, SchemaError, "`x`: whole numbers beyond"),
    (pd.concat([HOLES, HOLES[["x"]]], axis=1), {}, SchemaError, "same name: `x`"),
    (
        pd.DataFrame({"x": [str(i) for i in range(1200)], "y": [None, *range(1199)]}),
        {},
        SchemaError,
        "`x`: 1,200 different texts; group them",
    ),
]


@pytest.mark.parametrize(("data", "how", "kind", "said"), REFUSED, ids=[each[3][:40] for each in REFUSED])
def test_what_is_refused(data, how, kind, said):
    with pytest.raises(kind, match=said):
        impute(data, **{"quiet": True, "seed": 1} | how)


def test_all_problems_at_once():
    with pytest.raises(ArgumentError) as told:
        impute(HOLES, M=0, cores=0, seed=-1, weight=1, ignore=2, quiet=None)
    assert len(told.value.problems) == 6
    bad = HOLES.assign(x=np.inf, day=pd.Timestamp("2026-01-01"))
    with pytest.raises(SchemaError) as told:
        impute(bad, weight="v", ignore="u")
    assert len(told.value.problems) == 4
    assert str(told.value).splitlines()[-1] == "  i Mend these columns, or name them in `ignore`."
