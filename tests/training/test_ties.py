"""Variables of which many donors share a value: what is spread, what comes out in the end."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pacing import slow

import fusionpy
from fusionpy.engines.lightgbm import boosting
from fusionpy.training import fitting

K = {"seed": 1, "quiet": True}
COUNTS = arrays(np.float64, st.integers(2, 60), elements=st.integers(-6, 6).map(float))


def world(kind, n, seed):
    """Make a survey whose y is a count, a rating, or rounded, heaped or top-coded."""
    r = np.random.default_rng(seed)
    x = pd.DataFrame({"a": r.integers(0, 5, n), "b": r.normal(size=n)})
    signal = 0.6 * x["a"].to_numpy() + 0.5 * x["b"].to_numpy()
    amount = np.exp(6.5 + 0.35 * signal + 0.5 * r.normal(size=n))
    heap = r.random(n)
    score = 3 + 1.2 * signal + 1.5 * r.normal(size=n)
    y = {
        "exact": lambda: x["a"] + 1.0,
        "rating": lambda: np.clip(np.round(x["a"] + 1 + 0.35 * r.normal(size=n)), 1, 5),
        "counts 0-5": lambda: np.minimum(r.poisson(np.exp(0.55 * signal - 1)), 5),
        "counts 1-10": lambda: np.clip(np.round(score), 1, 10),
        "score": lambda: score,
        "rounded": lambda: np.round(amount, -2),
        "heaped": lambda: np.choose(
            (heap // 0.3).astype(int), [np.round(amount, -digits) for digits in (3, 2, 1, 0)]
        ),
        "top-coded": lambda: np.minimum(amount, 2600),
    }[kind]()
    return x.assign(y=np.asarray(y, dtype=float))


KINDS = ("exact", "rating", "counts 0-5", "counts 1-10", "rounded", "heaped", "top-coded")


def errors_of_groups(kind, seed, **given):
    """Errors of fused group means by a and by b, in standard deviations of y; and the donors' own."""
    donor, recipient = world(kind, 2000, seed), world(kind, 4000, seed + 100)
    model = fusionpy.train(donor, ["y"], ["a", "b"], **K, cores=2, **given)
    fused = fusionpy.fuse(recipient[["a", "b"]], model, M=10, cores=2, **K)
    truth = world(kind, 100_000, seed + 200)
    spread = truth["y"].std()
    found = fused["y"].groupby(np.tile(recipient["a"], 10)).mean()
    means = [frame.groupby("a")["y"].mean() for frame in (donor, truth)]
    return ((found - means[1]) / spread).to_numpy(), ((means[0] - means[1]) / spread).to_numpy()


# Where a continuous variable of the same kind has .09: what is left is no matter of ties.
@pytest.mark.parametrize(
    ("kind", "least"),
    [
        ("heaped", 0.07),
        pytest.param("rating", 0.05, marks=pytest.mark.slow),
        pytest.param("exact", 0.01, marks=pytest.mark.slow),
        pytest.param("counts 0-5", 0.1, marks=pytest.mark.slow),
        pytest.param("counts 1-10", 0.11, marks=pytest.mark.slow),
        pytest.param("rounded", 0.055, marks=pytest.mark.slow),
        pytest.param("top-coded", 0.065, marks=pytest.mark.slow),
    ],
)
def test_group_means(kind, least):
    """Root mean squared errors, in standard deviations of y; the donors' own are .01 to .05."""
    errors = np.array([errors_of_groups(kind, seed, refits=0)[0] for seed in (0, 1)])
    assert np.sqrt((errors**2).mean()) < least


@pytest.mark.parametrize("refits", [0, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.parametrize("y", [["y"], slow([["y", "u"]])])
def test_a_scale_of_five_points_keeps_its_means(y, refits):
    """The means were 1.07, 2, 3, 4.21 and 4.85."""
    r = np.random.default_rng(1)
    donor = pd.DataFrame({"x1": r.normal(size=2000), "x2": r.integers(0, 5, 2000)})
    donor = donor.assign(y=donor["x2"] + 1, u=donor["x1"] + r.normal(size=2000))
    model = fusionpy.train(donor, y, ["x1", "x2"], refits=refits, cores=2, **K)
    fused = fusionpy.fuse(donor[["x1", "x2"]], model, M=5, cores=2, **K)
    means = fused["y"].groupby(np.tile(donor["x2"], 5)).mean()
    assert means.to_numpy() == pytest.approx(np.arange(1, 6), abs=0.05)
    assert fused["y"].dtype == donor["y"].dtype


def test_percentiles_start_at_the_mean(monkeypatch):
    """Of tied variables; their models are sums of the mean's and of what is left."""
    fits, predicted = {}, {}
    finish = fitting._finish

    def kept(work, plan, found):
        fits.update({fit.target.name: fit for fit in found})
        predicted.update({fit.target.name: fit.predicted for fit in found})
        return finish(work, plan, found)

    monkeypatch.setattr(fitting, "_finish", kept)
    donor = world("counts 1-10", 400, 1).assign(u=lambda frame: frame["b"] + np.arange(400) / 100)
    given = {"refits": 2, "nfolds": 2, "hyper": {"num_iterations": 9, "num_leaves": 4}, **K}
    model = fusionpy.train(donor, ["y", "u"], ["a", "b"], **given)
    assert {name for name, fit in fits.items() if fit.base} == {"y_q1", "y_q2", "y_q3"}
    trees = {name: booster.num_trees() for name, booster in model.steps[0].final.items()}
    tuning = model.steps[0].tuning
    for name in ("y_q1", "y_q2", "y_q3"):
        assert trees[name] == trees["y_m"] + tuning[name].rounds
        left = fits[name].problem.label + predicted["y_m"][:, 0]
        assert left == pytest.approx(fits[name].sample.spread)
    plain = fusionpy.train(donor, ["y", "u"], ["a", "b"], untie=False, **given)
    assert not any(fit.base for fit in fits.values())
    for name in ("u_m", "u_q1"):  # what has no ties is learned as ever
        texts = [boosting.text(each.steps[1].final[name]) for each in (model, plain)]
        assert texts[0] == texts[1]
    assert [each.options.untie for each in (model, plain)] == [True, False]
