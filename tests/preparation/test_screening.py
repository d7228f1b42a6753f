"""prep_xy(): the order of steps, and the predictors of each."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

import fusionpy
from fusionpy.engines.glmnet import has_glmnet
from fusionpy.errors import ArgumentError, FusionWarning, SchemaError
from fusionpy.frames.tables import as_table
from fusionpy.model.schema import Schema
from fusionpy.preparation.design import build_design, lump_classes
from fusionpy.preparation.donors import read_donors
from fusionpy.preparation.screening import Prepared, prep_xy
from fusionpy.training.planning import plan_steps

N = 600
X = ["age", "region", "size", "owner", "town"]
Y = ["rent", ["heat", "cool"], "kind", "income"]


def make_donor(n=N):
    rng = np.random.default_rng(11)
    age = rng.integers(18, 95, n)
    region = rng.choice(
        ["north", "south", "east", "west", "isles", "moor"], n, p=[0.3, 0.3, 0.2, 0.1, 0.06, 0.04]
    )
    size = rng.integers(0, 4, n)
    income = 20 * age + 900 * size + rng.normal(0, 300, n)
    rent = np.where(rng.random(n) < 0.4, 0.0, 0.3 * income + 400 * (region == "south") + rng.normal(0, 90, n))
    heat = 0.5 * rent + 200 * (region == "moor") + rng.normal(0, 80, n)
    frame = pd.DataFrame(
        {
            "age": age,
            "region": pd.Categorical(region),
            "size": pd.Categorical.from_codes(size, ["tiny", "small", "medium", "large"], ordered=True),
            "owner": rng.random(n) < 0.6,
            "town": pd.Categorical(rng.choice(["Ayr", "Bath"], n)),
            "income": income,
            "rent": rent,
            "heat": heat,
            "cool": 0.2 * heat + rng.normal(0, 30, n),
            "kind": pd.Categorical.from_codes(
                np.digitize(income + rng.normal(0, 500, n), [1200, 2600]), ["flat", "house", "other"]
            ),
            "w": rng.integers(1, 4, n).astype(float),
        }
    )
    return frame


DONOR = make_donor()


def prepare(data=DONOR, y=Y, x=X, **how):
    return prep_xy(data, y, x, **{"quiet": True, "weight": "w", "seed": 1, **how})


def same(a, b):
    assert (a.y, a.x, a.xpredictors, a.xforce, a.xoriginal) == (
        b.y,
        b.x,
        b.xpredictors,
        b.xforce,
        b.xoriginal,
    )


def scores_of(prepared):
    return pd.DataFrame(prepared.scores).set_index(["round", "step"])


def test_a_chain_is_found():
    """Each variable is a noisy copy of the one before, so only that order explains all there is."""
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({f"x{j}": rng.normal(size=2000) for j in range(30)})
    frame["a"] = frame["x0"] + 0.3 * rng.normal(size=2000)
    frame["b"] = frame["a"] + frame["x1"] + 0.3 * rng.normal(size=2000)
    frame["c"] = frame["b"] ** 2 + frame["b"] + 0.3 * rng.normal(size=2000)
    names = [f"x{j}" for j in range(30)]
    found = prep_xy(frame, ["c", "b", "a"], names, quiet=True)
    assert found.y == ["a", "b", "c"]
    assert found.x[0][0] == "x0"
    assert found.x[1][:3] == ["a", "x0", "x1"]
    assert "b" in found.x[2]
    assert all(20 <= len(names) < 32 for names in found.x)


def test_what_comes_back():
    found = prepare(xforce="town")
    assert isinstance(found, Prepared)
    assert sorted(map(str, found.y)) == sorted(map(str, Y))
    assert all("town" in names for names in found.x)
    assert found.xforce == ["town"]
    assert found.xoriginal == X
    assert found.xpredictors == [name for name in X if any(name in names for names in found.x)]
    assert found.seed == 1
    placed = []
    for step, names in zip(found.y, found.x, strict=True):
        earlier = [name for name in names if name not in X]
        assert earlier == [name for name in placed if name in names]  # in their order, and first
        assert names[len(earlier) :] == [name for name in X if name in names]
        placed += [step] if isinstance(step, str) else step


def test_scores_tell_every_round():
    found = prepare()
    scores = found.scores
    assert list(scores.columns) == ["round", "step", "deviance", "best", "ratio", "chosen"]
    assert scores["round"].value_counts().sort_index().tolist() == [4, 3, 2, 1]
    assert scores["ratio"].to_numpy() == pytest.approx((scores["deviance"] / scores["best"]).to_numpy())
    chosen = scores[scores["chosen"]]
    assert chosen["step"].to_list() == [
        step if isinstance(step, str) else ", ".join(step) for step in found.y
    ]
    assert (chosen["ratio"].to_numpy() == scores.groupby("round")["ratio"].max().to_numpy()).all()
    assert scores.groupby("step")["best"].std().max() == 0


def test_training_takes_the_result():
    found = prepare()
    hyper = {"num_iterations": 5}
    model = fusionpy.train(
        DONOR, found.y, found.x, weight="w", refits=0, nfolds=2, hyper=hyper, seed=1, quiet=True
    )
    assert [list(step.variables) for step in model.steps] == [
        [step] if isinstance(step, str) else step for step in found.y
    ]
    fused = fusionpy.fuse(DONOR.head(20), fsn=model, seed=1, quiet=True)
    assert len(fused) == 20
    problems = fusionpy.errors.Problems(ArgumentError, "")
    plan_steps(found.y, found.x, problems)
    assert not problems.found


@pytest.mark.parametrize(
    "change", [{"cores": 2}, {"cores": 5}, {"seed": 2}, {"weight": "w", "fraction": 1.0}]
)
def test_nothing_depends_on_cores_or_an_unused_seed(change):
    a, b = prepare(), prepare(**change)
    same(a, b)
    pd.testing.assert_frame_equal(a.scores, b.scores, check_exact=True)


@pytest.mark.skipif(not has_glmnet(), reason="python-glmnet is not installed")
@pytest.mark.parametrize("change", [{}, {"xmax": 3}, {"method": "fusionModel"}, {"weight": None}])
def test_glmnet_gives_the_same(change):
    """It works on the rows of each target itself, not on the Gram matrix of a subset."""
    a, b = prepare(**change), prepare(solver="glmnet", **change)
    same(a, b)
    assert a.scores["deviance"].to_numpy() == pytest.approx(b.scores["deviance"].to_numpy(), abs=1e-8)


def test_other_kinds_of_frame():
    found = prepare()
    sizes = ["tiny", "small", "medium", "large"]
    polars = pl.from_pandas(DONOR.astype({"size": str})).with_columns(pl.col("size").cast(pl.Enum(sizes)))
    arrow = pa.Table.from_pandas(DONOR, preserve_index=False)
    for frame, kind in ((polars, pl.DataFrame), (arrow, pa.Table)):
        for fraction in (1, 0.5):
            other, mine = prepare(frame, fraction=fraction), prepare(fraction=fraction)
            same(other, mine)
            assert isinstance(other.scores, kind)
            theirs = other.scores["ratio"].to_numpy()
            assert theirs == pytest.approx(mine.scores["ratio"].to_numpy(), abs=1e-12)
            assert repr(other) == repr(mine)
    assert found.y


def test_integer_weights_are_repeated_rows():
    y = ["kind", ["heat", "cool"], "income"]  # whether rent is inflated is told by rows, not weights
    repeated = DONOR.loc[DONOR.index.repeat(DONOR["w"].astype(int))]
    a, b = prepare(y=y), prepare(repeated, y=y, weight=None)
    same(a, b)
    assert a.scores["deviance"].to_numpy() == pytest.approx(b.scores["deviance"].to_numpy(), abs=1e-9)


def test_donors_of_zero_weight_play_no_part():
    wild = DONOR.copy()
    out = np.arange(len(wild)) % 3 == 0
    wild.loc[out, "income"] = 1e6
    wild.loc[out, "w"] = 0.0
    a, b = prepare(wild), prepare(DONOR[~out])
    same(a, b)
    assert a.scores["deviance"].to_numpy() == pytest.approx(b.scores["deviance"].to_numpy(), abs=1e-12)


def test_negative_weights_count_as_zero():
    some, none = DONOR.copy(), DONOR.copy()
    some.loc[:50, "w"], none.loc[:50, "w"] = -1.0, 0.0
    with pytest.warns(FusionWarning, match="51 negative weights in `w`: taken as 0"):
        a = prepare(some)
    same(a, prepare(none))


def test_a_fraction_is_a_sample():
    a, b, c = (prepare(fraction=0.3, seed=seed) for seed in (1, 1, 2))
    assert a.scores["deviance"].to_list() == b.scores["deviance"].to_list()
    assert a.scores["deviance"].to_list() != c.scores["deviance"].to_list()
    whole = scores_of(prepare())["best"]
    assert scores_of(a)["best"].loc[1].to_numpy() == pytest.approx(whole.loc[1].to_numpy(), abs=0.1)
    assert len(prepare(fraction=1e-9).y) == 4  # no fewer than 50 donors


def test_missing_predictors_are_filled():
    holes = DONOR.copy()
    holes["age"] = holes["age"].astype(float)
    holes.loc[::9, "age"] = np.nan
    holes.loc[::7, "region"] = None
    holes["owner"] = holes["owner"].astype("boolean")
    holes.loc[::5, "owner"] = pd.NA
    found = prepare(holes)
    assert found.notes == ("Missing values were filled in `age`, `region`, `owner`.",)
    assert "i Missing values were filled" in repr(found)
    median = holes.assign(age=holes["age"].fillna(holes["age"].median()))
    same(found, prepare(median))
    assert prepare(holes, x=["age"]).scores["deviance"].to_list() == (
        prepare(median, x=["age"]).scores["deviance"].to_list()
    )
    again, other = prepare(holes, cores=2), prepare(holes, seed=9)
    assert again.scores["deviance"].to_list() == found.scores["deviance"].to_list()
    assert other.scores["deviance"].to_list() != found.scores["deviance"].to_list()


def test_filled_categories_follow_those_observed():
    from fusionpy.frames.tables import as_table
    from fusionpy.preparation.donors import read_donors

    holes = pd.concat([make_donor(6000)] * 2, ignore_index=True)
    holes.loc[: len(holes) // 2, "region"] = None
    donors = read_donors(as_table(holes), ["region"], ["income"], None, 1, 3)
    shares = np.bincount(donors.matrix[:6000, 0].astype(int)) / 6000
    assert shares == pytest.approx(np.bincount(holes["region"].cat.codes[6001:]) / 5999, abs=0.02)


def test_constants_are_dropped():
    flat = DONOR.assign(
        same=1.0,
        void=pd.Series([None] * N, dtype="object"),
        one=pd.Categorical(["a"] * N, ["a", "b"]),
        few=pd.Series([2.0] + [np.nan] * (N - 1)),
    )
    found = prepare(flat, x=["same", "age", "void", "one", *X[1:], "few"], xforce="same")
    plain = prepare()
    assert (found.y, found.x) == (plain.y, plain.x)
    assert found.xpredictors == plain.xpredictors
    note = "Left out, as they have one value only: predictors `same`, `void`, `one`, `few`."
    assert found.notes == (note,)


def test_constant_fusion_variables_are_dropped_with_a_warning():
    flat = DONOR.assign(same=1.0, also=True)
    with pytest.warns(FusionWarning, match="one value only are left out: `same`, `also`"):
        found = prepare(flat, y=["same", ["heat", "also"], "income"])
    assert sorted(found.y) == ["heat", "income"]


def test_a_variable_that_varies_among_donors_of_no_weight_only():
    odd = DONOR.assign(odd=np.arange(N) < 9, w=np.where(np.arange(N) < 9, 0.0, 1.0))
    assert prepare(odd, x=[*X, "odd"]).notes == ("Left out, as they have one value only: predictors `odd`.",)
    with pytest.warns(FusionWarning, match="left out: `odd`"):
        assert "odd" not in prepare(odd, y=[*Y, "odd"]).y


def test_text_is_nominal():
    text = DONOR.assign(region=DONOR["region"].astype(str))
    with pytest.warns(
        FusionWarning, match="Text columns are taken as nominal, their levels sorted: `region`"
    ):
        found = prepare(text)
    same(found, prepare())


def test_what_cannot_be_explained_still_has_a_place():
    noise = DONOR.assign(rare=np.arange(N) == 7)
    found = prepare(noise, y=["rare", "income"], x=["age", "owner"])
    assert set(found.y) == {"rare", "income"}
    assert all(found.x)


def test_xmax_ends_paths():
    few, many = prepare(xmax=1), prepare()
    best = [each.scores.groupby("step")["best"].max() for each in (few, many)]
    assert (best[0] <= best[1]).all()
    assert best[0].sum() < 0.8 * best[1].sum()


def test_thresholds():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({f"x{j}": rng.normal(size=800) for j in range(40)})
    frame["y"] = frame[[f"x{j}" for j in range(30)]] @ np.linspace(1, 0.05, 30) + rng.normal(size=800)
    names = list(frame.columns[:40])

    def count(**how):
        return len(prep_xy(frame, "y", names, quiet=True, **how).x[0])

    assert count(lasso_thresh=0.5) == 20  # topped up
    assert 20 < count(lasso_thresh=0.95) < count(lasso_thresh=1, cor_thresh=0.0)
    assert count(lasso_thresh=1, cor_thresh=0.99) == 20


def test_the_method_of_fusionmodel_takes_lumped_predictors_out_of_their_records():
    found = prepare(method="fusionModel")
    places = np.random.default_rng(5).permutation(len(DONOR))
    shuffled = DONOR.assign(region=DONOR["region"].array[places])
    again = prepare(shuffled, method="fusionModel")
    assert (found.y, found.x) == (again.y, again.x)
    assert found.scores["deviance"].to_list() == again.scores["deviance"].to_list()
    assert prepare().scores["deviance"].to_list() != prepare(shuffled).scores["deviance"].to_list()


def test_members_of_a_block_count_for_the_most_that_can_be_explained():
    """Of shares that sum to 1 the others tell all; the reference does not ask them."""
    rng = np.random.default_rng(3)
    age, part = rng.normal(size=500), rng.dirichlet([3, 3, 3], 500)
    frame = pd.DataFrame(
        {"age": age, "size": rng.normal(size=500), **{f"p{k}": part[:, k] for k in range(3)}}
    )
    call = {"data": frame, "y": [["p0", "p1", "p2"]], "x": ["age", "size"], "quiet": True}
    best = [prep_xy(**call, method=method).scores["best"][0] for method in ("default", "fusionModel")]
    assert best[0] > 0.99
    assert best[1] < 0.05


@pytest.mark.parametrize("method", ["default", "fusionModel"])
def test_the_input_is_left_alone(method):
    before = DONOR.copy(deep=True)
    prepare(method=method)
    pd.testing.assert_frame_equal(DONOR, before)


def test_designs_with_the_faults_of_the_reference():
    n = 200
    rng = np.random.default_rng(8)
    code, flag, pair = (
        rng.choice(5, n, p=[0.3, 0.1, 0.2, 0.2, 0.2]),
        rng.integers(0, 2, n),
        rng.integers(0, 2, n),
    )
    bill, grade = np.where(rng.random(n) < 0.4, 0, 50 + rng.random(n)), rng.integers(0, 3, n)
    frame = pd.DataFrame(
        {
            "place": pd.Categorical.from_codes(code, list("abcde")),
            "tenure": pd.Categorical.from_codes(pair, ["own", "rent"]),
            "age": rng.random(n),
            "solar": flag.astype(bool),
            "bill": bill,
            "grade": pd.Categorical.from_codes(grade, list("xyz"), ordered=True),
            "class": pd.Categorical.from_codes(code[::-1], list("fghij"), ordered=True),
        }
    )
    x, y = ["place", "tenure", "age"], ["solar", "bill", "grade", "class"]
    weight = rng.random(n) + 0.5
    donors = read_donors(as_table(frame), x, y, None, 1, 0)
    right, faulty = (
        build_design(donors.schema, donors.matrix, weight, x, y, as_reference=each) for each in (False, True)
    )
    sums = [design.matrix[:, design.columns["place"]] for design in (right, faulty)]
    assert_array_equal(sums[0], code[:, None] == np.arange(5))
    lumped = np.array([0, 2, 3, 4, 1])  # the rarest of five levels counts as the others
    assert_array_equal(sums[1], np.sort(code)[:, None] == lumped)
    assert [right.owner[j] for j in (0, -1)] == ["place", "class"]
    assert faulty.owner[0] == "age"  # dummies last
    assert [len(design.columns["tenure"]) for design in (right, faulty)] == [1, 2]
    assert [len(design.columns["class"]) for design in (right, faulty)] == [1, 5]
    assert_array_equal(right.matrix[:, right.columns["class"][0]], code[::-1])
    assert_array_equal(faulty.matrix[:, faulty.columns["class"]], np.sort(code)[:, None] == lumped)
    assert_array_equal(right.weight, weight)
    assert faulty.weight == pytest.approx(weight / weight.mean())
    assert_array_equal(right.rank_weight, weight)
    assert_array_equal(faulty.rank_weight, 1)
    assert [right.owner[j] for j in right.columns["bill"]] == ["bill", "bill"]
    assert [faulty.owner[j] for j in faulty.columns["bill"]] == ["", "bill"]
    assert [(target.subset, target.ranked) for target in right.targets["bill"]] == [(0, 0), (1, 1)]
    assert [(target.subset, target.ranked) for target in faulty.targets["bill"]] == [(1, 0), (0, 0)]
    assert [sum(t.share for t in design.targets["bill"]) for design in (right, faulty)] == [1, 2]
    assert [len(design.columns["grade"]) for design in (right, faulty)] == [1, 3]


def test_it_prints():
    text = repr(prepare())
    assert text.splitlines()[0] == "Prepared: 4 steps for 5 fusion variables, 5 of 5 predictors used"
    assert re.search(r"\n1  income +0\.\d{3} +\d+% +5\n", text)
    assert "heat, cool" in text


def test_the_figure():
    figure = prepare().figure
    assert len(figure.data) == 10
    drawn = figure.draw()
    assert drawn.get_axes()
    one = prepare(y="income").figure
    assert one.draw()


def test_progress_is_told(capsys):
    prepare(quiet=False, x=[*X, "one"], data=DONOR.assign(one=1))
    said = capsys.readouterr().err
    assert "prep_xy: Left out, as they have one value only: predictors `one`." in said
    assert "prep_xy: 14/14" in said
    prepare()
    assert capsys.readouterr().err == ""


@given(st.lists(st.integers(0, 8), min_size=1, max_size=60), st.integers(2, 6))
def test_lumped_dummies(code, most):
    found = lump_classes(np.array(code, dtype=float), most)
    levels = sorted(set(code))
    if len(levels) > most:
        kept = sorted(sorted(levels, key=lambda level: -code.count(level))[: most - 1])
    else:
        kept = levels[1:] if len(levels) == 2 else levels
    expected = [[float(c == level) for c in code] for level in kept]
    if len(levels) > most:
        expected.append([float(c not in kept) for c in code])
    assert [dummy.tolist() for dummy in found] == expected


def test_the_design():
    from fusionpy.frames.tables import as_table

    table = as_table(DONOR)
    names = ["income", "rent", "kind", "size2", "town2"]
    table = as_table(DONOR.assign(size2=DONOR["size"], town2=DONOR["town"]))
    schema = Schema.learn(table, X, names)
    design = build_design(schema, schema.encode(table, schema.names), DONOR["w"].to_numpy(), X, names)
    sizes = {name: len(columns) for name, columns in design.columns.items()}
    assert sizes == {
        "age": 1, "region": 5, "size": 1, "owner": 1, "town": 1,
        "income": 1, "rent": 2, "kind": 3, "size2": 1, "town2": 1,
    }  # fmt: skip
    assert {name: len(targets) for name, targets in design.targets.items()} == {
        "income": 1, "rent": 2, "kind": 3, "size2": 4, "town2": 1,
    }  # fmt: skip
    for name, targets in design.targets.items():
        assert sum(target.share for target in targets) == pytest.approx(1)
        assert all(design.owner[target.column] == name for target in targets)
    share = DONOR.groupby("kind", observed=True)["w"].sum() / DONOR["w"].sum()
    assert [target.share for target in design.targets["kind"]] == pytest.approx(share.to_list())
    zero, value = design.targets["rent"]
    assert design.matrix[:, zero.column].tolist() == (DONOR["rent"] != 0).astype(float).to_list()
    assert design.subsets[value.subset].tolist() == np.flatnonzero(DONOR["rent"]).tolist()
    other = design.matrix[:, design.columns["region"]]
    assert (other.sum(axis=1) == 1).all()
    assert other[:, -1].sum() == DONOR["region"].isin(["isles", "moor"]).sum()


BAD_ARGUMENTS = [
    ({"cor_thresh": 1.5}, "`cor_thresh` must be a number from 0 to 1, not 1.5."),
    ({"cor_thresh": "5"}, "`cor_thresh` must be a number from 0 to 1, not '5'."),
    ({"lasso_thresh": 0}, "`lasso_thresh` must be a number above 0, and at most 1, not 0."),
    ({"lasso_thresh": float("nan")}, "`lasso_thresh` must be a number above 0, and at most 1, not nan."),
    ({"xmax": 0}, "`xmax` must be a whole number of at least 1, not 0."),
    ({"fraction": 1.5}, "`fraction` must be a number above 0, and at most 1, not 1.5."),
    ({"cores": 0}, "`cores` must be a whole number of at least 1, not 0."),
    ({"seed": -1}, "`seed` must be a whole number from 0 to 2**63 - 1, not -1"),
    ({"solver": "lars"}, "`solver` must be one of 'gram', 'glmnet', not 'lars'."),
    ({"solver": ["gram"]}, "`solver` must be one of 'gram', 'glmnet', not ['gram']."),
    ({"method": "2024"}, "`method` must be one of 'default', 'fusionModel', not '2024'."),
    ({"quiet": 1}, "`quiet` must be True or False, not 1."),
    ({"xforce": "agee"}, "`xforce` names `agee`, which `x` does not."),
    ({"xforce": 3}, "`xforce` must be a name or a list of names, not 3."),
    ({"xforce": ["age", 3]}, "`xforce` must be a name or a list of names, not ['age', 3]."),
    ({"x": [["age"], ["age", "town"]]}, "`x` must be one list of names: which of them each step uses"),
    ({"x": []}, "`x` is empty: name at least one predictor."),
    ({"x": ["age", "rent"]}, "`x` and `y` both name `rent`; give each column one role."),
    ({"y": ["rent", ["heat", "rent"]]}, "`y` names `rent` more than once."),
    ({"y": []}, "`y` is empty: name at least one fusion variable."),
    ({"weight": 2}, "`weight` must be the name of a column, not 2."),
    ({"weight": "age"}, "`weight` and `x` both name `age`; give each column one role."),
]


@pytest.mark.parametrize(("given", "said"), BAD_ARGUMENTS, ids=[str(given) for given, _ in BAD_ARGUMENTS])
def test_arguments_that_cannot_be(given, said):
    with pytest.raises(ArgumentError, match=re.escape(said)) as caught:
        prepare(**given)
    assert str(caught.value).startswith("`prep_xy()` cannot start.")
    assert len(caught.value.problems) == 1


def test_all_that_is_wrong_with_arguments_is_told():
    with pytest.raises(ArgumentError) as caught:
        prepare(x=["age", 4], y=[[]], cor_thresh=-1, xmax=2.5, cores="two", fraction=True)
    assert len(caught.value.problems) == 6


BAD_DATA = [
    ({}, {"x": ["age", "region_"]}, "predictor `region_`: not in `data` (is `region` meant?)."),
    ({"rent": np.nan}, {}, "fusion variable `rent`: no values at all."),
    ({"rent": DONOR["rent"].where(DONOR["age"] > 30)}, {}, "missing values; drop those donors, or impute"),
    ({"age": [[1]] * N}, {}, "predictor `age`: lists or records; only numbers"),
    ({"rent": [{"a": 1}] * N}, {}, "fusion variable `rent`: lists or records; only numbers"),
    (
        {"age": DONOR["age"].astype(float).where(DONOR["age"] > 30, np.inf)},
        {},
        "infinite values, which cannot be used",
    ),
    ({"age": pd.Timestamp("2026-01-01") + pd.to_timedelta(DONOR["age"], "D")}, {}, "dates or times"),
    ({"w": DONOR["w"].where(DONOR["age"] > 30)}, {}, "weight `w`: "),
    ({"w": "much"}, {}, "weight `w`: weights must be numeric, not text."),
    ({"w": -1.0}, {}, "weight `w`: no weight is positive."),
    ({"w": np.inf}, {}, "weight `w`: 600 infinite values, which cannot be used."),
    ({}, {"weight": "ww"}, "weight `ww`: not in `data`."),
    ({"age": 3}, {"x": "age"}, "No predictor varies."),
    ({"w": (np.arange(N) < 40) * 1.0}, {}, "40 donors of positive weight; at least 50 are needed."),
]


@pytest.mark.parametrize(("columns", "given", "said"), BAD_DATA)
def test_data_that_cannot_be(columns, given, said):
    with pytest.raises(SchemaError, match=re.escape(said)) as caught:
        prepare(DONOR.assign(**columns), **given)
    assert str(caught.value).startswith("`data` cannot be screened.")


def test_data_too_small_or_no_data():
    with pytest.raises(SchemaError, match="It has 49 rows; at least 50 donors are needed"):
        prepare(DONOR.head(49))
    with pytest.raises(SchemaError, match="It must be a data frame, not 'data"):
        prepare("data.csv")
    with pytest.raises(SchemaError, match="No fusion variable varies"):
        prepare(DONOR.assign(income=3), y="income")


def test_glmnet_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr("fusionpy.preparation.screening.has_glmnet", lambda: False)
    with pytest.raises(ArgumentError, match="'glmnet' needs python-glmnet: `pip install 'fusionpy"):
        prepare(solver="glmnet")
