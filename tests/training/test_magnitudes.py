"""Variables far from 0, very large or very small: what is learned of them is what is learned of any other."""

import functools
import itertools

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pacing import quick, slow

import fusionpy
from fusionpy.engines.lightgbm import boosting, rewriting
from fusionpy.engines.lightgbm.model_text import check_model_text
from fusionpy.engines.lightgbm.rewriting import Unit

K = {"seed": 1, "quiet": True}
SMALL = {"refits": 2, "nfolds": 2, "hyper": {"num_leaves": 7, "num_iterations": 20}}
N = 600


@pytest.fixture(scope="module")
def survey():
    r = np.random.default_rng(1)
    x = pd.DataFrame({"a": r.normal(size=N), "b": r.integers(0, 9, N).astype(float)})
    y = 2 * x["a"] + 0.1 * x["b"] + 0.5 * r.normal(size=N)
    inflated = np.where(r.random(N) < 0.4, 0, np.exp(y))
    return x.assign(y=y, z=inflated, u=r.random(N) + x["a"])


def fused(survey, y, **more):
    model = fusionpy.train(survey, y, ["a", "b"], **{**K, **SMALL, **more})
    return model, fusionpy.fuse(survey[["a", "b"]], model, M=2, **K)


@pytest.fixture(scope="module")
def plain(survey):
    """What is fused of the survey as it is: trained once, and compared with many others."""
    made = {}

    def get(y, **more):
        key = repr((y, more))
        if key not in made:
            made[key] = fused(survey, y, **more)[1]
        return made[key]

    return get


@pytest.mark.parametrize(
    ("y", "exponent"),
    quick(
        itertools.product((["y"], ["z"], [["y", "u"]], ["z", "u"]), (-900, -300, 120, 310)),
        [(["y"], 310), (["z"], -900), ([["y", "u"]], -900), (["z", "u"], 310)],
    ),
)
def test_the_unit_does_not_matter(survey, plain, y, exponent):
    """Multiplied by a power of 2, a fusion variable comes from the very same donors."""
    columns = [name for each in y for name in ([each] if isinstance(each, str) else each)]
    changed = survey.assign(**{columns[0]: np.ldexp(survey[columns[0]], exponent)})
    _, found = fused(changed, y)
    # What is drawn later hangs on it as a predictor, so all columns tell.
    assert np.array_equal(np.ldexp(found[columns[0]], -exponent), plain(y)[columns[0]])
    assert found[columns[1:]].equals(plain(y)[columns[1:]])


@pytest.fixture(scope="module")
def by_unit(survey):
    """Donors with a predictor multiplied by a power of 2, and a model of them."""

    @functools.cache
    def train(power):
        donor = survey.assign(b=np.ldexp(survey["b"], power))
        return donor, fusionpy.train(donor, ["y", "u"], ["a", "b"], **K, **SMALL)

    return train


@pytest.mark.parametrize(
    "exponent", [-1000, *(pytest.param(each, marks=pytest.mark.slow) for each in (-130, 200)), 1015]
)
@pytest.mark.parametrize("n_rows", [N, 7 * N])  # by LightGBM itself, and by compiled forests
def test_the_unit_of_a_predictor_does_not_matter(survey, by_unit, exponent, n_rows):
    rows = np.arange(n_rows) % N
    found = []
    for power in (0, exponent):
        donor, model = by_unit(power)
        found.append(fusionpy.fuse(donor.iloc[rows].reset_index(drop=True)[["a", "b"]], model, M=2, **K))
    assert found[0].equals(found[1])


@pytest.mark.parametrize(
    ("method", "far"),
    quick(
        itertools.product(("default", "2024", "fusionModel"), (1e5, -1e8, 1e10, 1e13)),
        [("default", 1e13), ("2024", 1e13), ("fusionModel", 1e5)],
    ),
)
def test_far_from_zero(survey, plain, far, method):
    more = {"method": method, "refits": None, "nfolds": 2, "nclusters": 100}
    near = plain(["y"], **more)
    model, found = fused(survey.assign(y=survey["y"] + far), ["y"], **more)
    x = np.tile(survey["a"], 2)
    whole, moved = (np.corrcoef(x, values)[0, 1] for values in (near["y"], found["y"] - far))
    assert moved == pytest.approx(whole, abs=0.02)
    tuning = model.steps[0].tuning["y_m"]
    assert 0 < tuning.loss < 2 * survey["y"].var()  # in the variable's own unit
    assert float(model.steps[0].pools.r2) > 0.8


def test_a_block_is_matched_on_small_amounts_too(survey):
    """Amounts within [0, 1], and small: distances passed over them, and went by the other variable alone."""
    rate, other = np.exp(survey["y"] / 2), 3 * survey["b"] + np.random.default_rng(3).normal(size=N)
    found = {}
    for scale in (1, 1e-3, 1e-30):
        _, fused_ones = fused(survey.assign(y=rate * scale, u=other), [["y", "u"]])
        found[scale] = np.corrcoef(np.tile(survey["a"], 2), np.log(fused_ones["y"]))[0, 1]
    assert found[1e-3] == pytest.approx(found[1], abs=0.03)
    assert found[1e-30] == pytest.approx(found[1], abs=0.03)
    assert found[1] > 0.7


def test_archives_keep_it(survey, tmp_path):
    donor = survey.assign(b=survey["b"] * 1e-200, y=survey["y"] * 1e-150 + 1e-147)
    model, found = fused(donor, ["y", "u"], fsn=tmp_path / "model.fsn")
    read = fusionpy.read_fsn(tmp_path / "model.fsn")
    assert fusionpy.fuse(donor[["a", "b"]], read, M=2, **K).equals(found)
    assert read.schema == model.schema
    assert any("apart in R" in why for why in fusionpy.model.archive.r_writing.obstacles(model))


def test_importance_does_not_hang_on_the_unit(survey):
    tables = []
    for power, far in ((0, 0.0), (-600, 0.0), (0, 1e9)):
        donor = survey.assign(b=np.ldexp(survey["b"], power), y=np.ldexp(survey["y"], power) + far)
        model = fusionpy.train(donor, ["y"], ["a", "b"], **K, **SMALL)
        tables.append(fusionpy.importance(model, data=donor, n_repeats=3, seed=0))
    numbers = [table.select_dtypes("number").to_numpy() for table in tables]
    assert numbers[1] == pytest.approx(numbers[0], rel=1e-6, nan_ok=True)
    assert numbers[2] == pytest.approx(numbers[0], rel=0.3, abs=0.02, nan_ok=True)


@pytest.mark.parametrize(("scale", "far"), [(1e-200, 0.0), slow((1e60, 0.0)), (1.0, 1e9)])
def test_impute_does_not_hang_on_the_unit(survey, scale, far):
    gaps = np.random.default_rng(2).random(N) < 0.3
    changed = survey.assign(y=survey["y"] * scale + far)
    changed.loc[gaps, "y"] = np.nan
    filled = fusionpy.impute(changed[["a", "b", "y"]], **K)
    back = (filled["y"][gaps] - far) / scale
    assert np.corrcoef(back, survey["y"][gaps])[0, 1] > 0.85


@given(
    st.integers(0, 2**32),
    st.sampled_from(["regression", "quantile"]),
    st.sampled_from(
        [{}, {"boosting": "dart"}, {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6}]
    ),
    st.floats(-1e9, 1e9),
    st.integers(-900, 300),
)
@settings(max_examples=25, deadline=None)
def test_rewritten_models_predict_what_they_say(seed, objective, hyper, centre, power):
    r = np.random.default_rng(seed)
    x = r.normal(size=(200, 3)).round(1)
    quiet = {"verbosity": -1, "num_threads": 1, "objective": objective, "num_leaves": 5, **hyper}
    models = [lgb.train(quiet, lgb.Dataset(x, label=x[:, j] + r.normal(size=200)), 6) for j in (0, 1)]
    one, two = (model.predict(x) for model in models)
    texts = [boosting.text(model) for model in models]
    unit = Unit(centre, 2.0**power)
    moved = rewriting.restate(texts[0], unit)
    both = rewriting.add(texts[0], texts[1])
    for text in (moved, both):
        check_model_text(text, 3, objective, 1)  # what archives are held to
    found = boosting.parse(moved).predict(x)
    assert found == pytest.approx(unit.undo(one), rel=1e-9, abs=1e-9 * 2.0**power + 1e-15 * abs(centre))
    assert boosting.parse(both).predict(x) == pytest.approx(one + two, rel=1e-9, abs=1e-9)
    assert rewriting.restate(texts[0], Unit()) == texts[0]
