"""Pooling of records that models were not fitted to: noise of draws, told apart by comparing implicates."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose
from pandas.testing import assert_frame_equal

import fusionpy
from fusionpy.analysis.designs import make_design
from fusionpy.analysis.estimand import Estimand
from fusionpy.analysis.formulas import read_formula
from fusionpy.analysis.groups import Levels
from fusionpy.analysis.measured import Measured
from fusionpy.analysis.noise import noise_between
from fusionpy.analysis.statistics import estimate_variance, evaluate
from fusionpy.analysis.variances import Terms

N, M, REFITS = 1200, 8, 6
RNG = np.random.default_rng(8)


def population(n, rng):
    frame = pd.DataFrame({"age": rng.integers(18, 90, n), "urban": rng.random(n) < 0.7})
    frame["kwh"] = 100 * frame["age"] + rng.normal(0, 900, n)
    frame["fuel"] = pd.Categorical(np.where(rng.random(n) < 0.3 + 0.4 * frame["urban"], "gas", "oil"))
    return frame.assign(weight=rng.uniform(0.5, 2, n))


DONOR = population(600, RNG)
RECIPIENT = population(N, RNG).drop(columns=["kwh", "fuel"])
X = ["mean(kwh)", "mean(fuel)", "sum(kwh)", "sum(fuel)", "ratio(kwh, age)", "median(kwh)", "p90(kwh)"]


@pytest.fixture(scope="module")
def model():
    return fusionpy.train(
        DONOR,
        ["kwh", "fuel"],
        ["age", "urban"],
        weight="weight",
        refits=REFITS,
        nfolds=2,
        seed=1,
        quiet=True,
        effects=False,
    )


@pytest.fixture(scope="module")
def fused(model):
    return fusionpy.fuse(RECIPIENT, model, M=M, seed=1, quiet=True)


def analyze(fused, x=X, **how):
    how = {"static": RECIPIENT, "weight": "weight", "by": "urban", "quiet": True, **how}
    return fusionpy.analyze(x, fused, **how)


def measured(how, y, cell, x, other=None):
    estimand = Estimand(how, y, "age" if other is not None else "", share=0.9 if how == "quantile" else 0.5)
    levels = None
    if y == "fuel":
        levels = Levels()
        levels.codes(pa.array(["gas", "oil"]))
    return Measured(estimand, cell, 2, x, levels, other)


def regressed(how, cell, x):
    """Of what differs between implicates on what does not."""
    y = "kwh" if how == "lm" else "I(kwh > 5)"
    formula = read_formula(f"{y} ~ z, binomial" if how == "glm" else f"{y} ~ z", takes_family=how == "glm")
    columns = {"kwh": pa.array(x), "z": pa.array(np.arange(len(x)) % 7)}
    design = make_design(formula, columns, {}, cell, 2)
    names = design.names[::-1]
    return Measured(Estimand(how, y, formula=formula), cell, 2, None, names=names, design=design)


@pytest.mark.parametrize(
    "how", ["mean", "sum", "ratio", "proportion", "count", "median", "quantile", "lm", "glm"]
)
def test_noise_is_what_differs_between_implicates(how):
    """What records have in common is none: only the part that is drawn anew counts, on average exactly."""
    rng, n = np.random.default_rng(5), 500
    cell = rng.integers(2, size=n)
    w = rng.uniform(0.5, 2, n)
    other = rng.uniform(1, 3, n) if how == "ratio" else None
    base = rng.normal(5, 2, n)
    y = "fuel" if how in ("proportion", "count") else "kwh"
    found, own, total = [], [], []
    for _ in range(100 if how in ("lm", "glm") else 300):
        sides = []
        for _ in range(2):
            x = base + rng.normal(0, 1.5, n)
            if how in ("lm", "glm"):
                data = regressed(how, cell, x)
            else:
                data = measured(how, y, cell, (x > 5).astype(np.intp) if y == "fuel" else x, other)
            sides.append((data, evaluate(data, w)))
        variance = estimate_variance(*sides[1][:1], w, sides[1][1], Terms("barnard-rubin", 0, 0))
        found.append(noise_between(*sides, w, variance)[:, 0])
        own += [side[1][:, 0] for side in sides]
        total.append(variance[:, 0])
    # The recipients are the same every time: all that varies is noise.
    assert_allclose(np.mean(found, axis=0), np.var(own, axis=0, ddof=1), rtol=0.3)
    assert (np.mean(found, axis=0) < np.mean(total, axis=0)).all()
    same = noise_between(sides[0], sides[0], w, variance)
    assert_allclose(same[:, 0], 0, atol=1e-9 * np.mean(total))


def test_noise_of_groups_that_are_drawn():
    """A record's influence moves with it: by hand, over all records and groups."""
    rng, n = np.random.default_rng(6), 500
    w, sides = rng.uniform(0.5, 2, n), []
    for _ in range(2):
        data = measured("mean", "kwh", rng.integers(2, size=n), rng.normal(5, 2, n))
        sides.append((data, evaluate(data, w)))
    found = noise_between(*sides, w, None)[:, 0]
    for g in (0, 1):
        u = []
        for data, mean in sides:
            mine = data.cell == g
            u.append(np.where(mine, data.x - mean[g, 0], 0) / w[mine].sum())
        k = (sides[1][0].cell == g).sum()
        assert found[g] == pytest.approx((w**2 * (u[0] - u[1]) ** 2).sum() / 2 * k / (k - 1))


def test_statistics_of_which_it_is_not_known():
    cell, w, x = np.zeros(50, dtype=np.intp), np.ones(50), np.arange(50.0)
    data = Measured(Estimand("gini", "kwh"), cell, 1, x)
    side = data, evaluate(data, w)
    assert np.isnan(noise_between(side, side, w, np.ones((1, 1)))).all()
    data = Measured(Estimand("median", "kwh"), cell, 1, x)
    side = data, evaluate(data, w)
    assert np.isnan(noise_between(side, side, w, None)).all()


def test_a_mean_by_hand(fused):
    found = analyze(fused, "mean(kwh)", pooling="records", by=None)
    values = fused["kwh"].to_numpy().reshape(M, N)
    w = RECIPIENT["weight"].to_numpy()
    means = [np.average(v, weights=w) for v in values]
    pairs = zip(values[::2], values[1::2], means[::2], means[1::2], strict=True)
    noise = [(w**2 * ((a - b) - (p - q)) ** 2).sum() / 2 * N / (N - 1) for a, b, p, q in pairs]
    E = np.mean(noise) / w.sum() ** 2
    U = np.mean([N / (N - 1) * (w**2 * (v - m) ** 2).sum() for v, m in zip(values, means, strict=True)]) / (
        w.sum() ** 2
    )
    B = np.var(means, ddof=1)
    part = max(B - E, 0) / B
    k = 1 / (part**2 / (REFITS - 1) + (1 - part**2) / (M - 1))
    complete = w.sum() ** 2 / (w**2).sum() - 1
    rng = np.random.default_rng(1)
    tau = k * B / rng.chisquare(k, 4_000_000)
    tau = tau[tau >= E]
    T = (U - E) * complete / rng.chisquare(complete, len(tau)) + E / M
    T += (M - 1) / M * (REFITS + 1) / (REFITS - 1) * (tau - E)
    df = 4 + 2 * T.mean() ** 2 / T.var()
    assert found["se"].item() ** 2 == pytest.approx(max(T.mean() * (df - 2) / df, U), rel=0.01)
    assert found["est"].item() == pytest.approx(np.mean(means))


def test_it_is_chosen_by_what_fuse_noted(model, fused):
    plain, full = analyze(fused, pooling="barnard-rubin"), analyze(fused, pooling="records")
    found = analyze(fused)
    assert found.attrs["fusionpy"]["pooling"] == "records"
    assert plain.attrs["fusionpy"]["pooling"] == "barnard-rubin"
    same = ["est", "n", "n_eff"]
    assert_frame_equal(pd.DataFrame(found)[same], pd.DataFrame(plain)[same])
    assert (full["se"] < plain["se"]).all()
    assert ((found["se"] <= plain["se"]) & (found["se"] >= full["se"])).all()  # two recipients per donor
    assert (found["se"] < plain["se"]).any()
    strange = fused.copy()
    strange.attrs = {"fusionpy": {**fused.attrs["fusionpy"], "effects": True}}
    assert (analyze(strange)["se"] <= found["se"]).all()
    assert (analyze(strange)["se"] < found["se"]).any()
    strange.attrs = {}
    assert_frame_equal(analyze(strange), plain)
    few = fusionpy.fuse(RECIPIENT, model, M=5, seed=1, quiet=True)
    assert analyze(few).attrs["fusionpy"]["pooling"] == "barnard-rubin"
    lone = fused[np.tile(np.arange(N) < 400, M)]  # of how many recipients they are is noted
    some = analyze(lone, static=RECIPIENT[:400])
    full = analyze(lone, static=RECIPIENT[:400], pooling="records")
    assert (some["se"] > full["se"] * (1 + 1e-9)).any()


def noting(fused, **notes):
    strange = fused.copy()
    strange.attrs = {"fusionpy": {**fused.attrs["fusionpy"], **notes}}
    return strange


def test_with_effects_margins_may_be_below_those_of_complete_data(fused):
    """Of as many recipients as donors, where all that differs is noise of draws: without effects not."""
    drawn = fused.assign(kwh=np.random.default_rng(5).normal(size=len(fused)))
    drawn.attrs = fused.attrs
    x, both = ["mean(kwh)"], (False, True)
    without, found = (analyze(noting(drawn, n_donors=N, effects=each), x) for each in both)
    complete = analyze(
        noting(drawn[: 2 * N].assign(M=np.repeat([1, 2], N), kwh=np.tile(drawn["kwh"][:N], 2))), x
    )
    assert (without["se"] > 0.97 * complete["se"]).all()
    assert (found["se"] <= without["se"]).all()
    assert (found["se"] < 0.9 * without["se"]).any()
    assert (found["se"] > 0.49 * without["se"]).all()  # a quarter of the variance at least


def test_with_effects_refits_are_counted_where_recipients_are_many(fused):
    plain = analyze(fused, pooling="barnard-rubin")
    few, many, most = (analyze(noting(fused, n_donors=N // r, effects=True)) for r in (10, 20, 100))
    assert_frame_equal(pd.DataFrame(few), pd.DataFrame(plain))
    whole = (M - 1) / M * (REFITS + 1) / (REFITS - 1) / (1 + 1 / M)  # times Rubin's, of the variance between
    assert (plain["se"] < many["se"]).all()
    assert (many["se"] < most["se"]).all()
    assert (most["se"] ** 2 < whole * plain["se"] ** 2).all()
    assert (most["moe"] > plain["moe"]).all()
    without = analyze(noting(fused, n_donors=N // 100, effects=False))
    assert_frame_equal(pd.DataFrame(without), pd.DataFrame(plain))


def test_ten_times_as_many_recipients_have_rubins_margins(model):
    many = pd.concat([RECIPIENT] * 5, ignore_index=True)
    fused = fusionpy.fuse(many, model, M=6, seed=1, quiet=True)
    found = analyze(fused, "mean(kwh)", static=many)
    assert found.attrs["fusionpy"]["pooling"] == "barnard-rubin"


def test_what_is_not_drawn_and_what_is_not_known_stay(fused):
    x = ["mean(age)", "gini(kwh)", "share(kwh)"]
    old, new = (pd.DataFrame(analyze(fused, x, pooling=each)) for each in ("barnard-rubin", "records"))
    assert_frame_equal(old, new)
    assert analyze(fused, "mean(age)").attrs["fusionpy"]["pooling"] == "barnard-rubin"
    own = fused.assign(weight=np.tile(RECIPIENT["weight"], M))
    how = {"static": RECIPIENT.drop(columns="weight"), "x": "mean(kwh)"}
    old, new = (pd.DataFrame(analyze(own, pooling=each, **how)) for each in ("barnard-rubin", "records"))
    assert_frame_equal(old, new)  # implicates have weights of their own


def test_rectified_estimates_are_as_they_were(model, fused):
    found = analyze(fused, "mean(kwh)", rectify=model)
    assert found.attrs["fusionpy"]["pooling"] == "barnard-rubin"
    assert_frame_equal(found, analyze(fused, "mean(kwh)", rectify=model, pooling="records"))


def test_groups_that_are_drawn_and_several_groupings(fused):
    found = analyze(fused, "mean(kwh)", by=["fuel"], pooling="records")
    assert (found["se"] > 0).all()
    both = analyze(fused, "mean(kwh)", by=[["fuel"], ["urban"]], pooling="records")
    assert_allclose(both["se"][both["grouping"] == "fuel"], found["se"])


def test_replicate_weights(fused):
    rng = np.random.default_rng(2)
    replicates = {f"r{j}": RECIPIENT["weight"] * rng.exponential(size=N) for j in range(30)}
    static = RECIPIENT.assign(**replicates)
    how = {"static": static, "rep_weights": list(replicates), "var_scale": "bootstrap"}
    x = ["mean(kwh)", "median(kwh)"]
    old, new = (analyze(fused, x, pooling=each, **how) for each in ("barnard-rubin", "records"))
    is_mean = old["type"] == "mean"
    assert (new["se"] < old["se"])[is_mean].all()
    assert (new["se"] == old["se"])[~is_mean].all()


def test_frames_and_files_have_the_same(model, fused, tmp_path):
    found = analyze(fused)
    path = fusionpy.fuse(RECIPIENT, model, tmp_path / "fused.parquet", M=M, seed=1, quiet=True)
    assert_frame_equal(analyze(path), found)
    made = fusionpy.fuse(pl.from_pandas(RECIPIENT), model, M=M, seed=1, quiet=True)
    of_polars = analyze(made, static=pl.from_pandas(RECIPIENT))
    assert_allclose(of_polars["se"].to_numpy(), found["se"])
