"""The table of statistics: each by brute force, and told of wherever statistics are."""

import inspect

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import reference
from scipy.optimize import root
from scipy.special import expit
from typer.testing import CliRunner

import fusionpy
from fusionpy.analysis.designs import make_design
from fusionpy.analysis.estimand import Estimand
from fusionpy.analysis.formulas import read_formula
from fusionpy.analysis.groups import Levels
from fusionpy.analysis.measured import Measured
from fusionpy.analysis.statistics import (
    STATISTICS,
    Statistic,
    estimate_variance,
    evaluate,
    has_levels,
    misfit,
)
from fusionpy.analysis.variances import Terms
from fusionpy.cli.app import app
from fusionpy.errors import ArgumentError, SchemaError

RNG = np.random.default_rng(5)
N = 60
CELL = RNG.integers(0, 2, N)
W = RNG.gamma(2, 1, N) * (RNG.random(N) > 0.1)
X = RNG.gamma(2, 5, N).round(1)
Z = RNG.gamma(3, 2, N)
CODE = RNG.integers(0, 3, N)
KNOWN = W.sum()  # the survey's sum of weights is known
SHARE = 0.3


FORMULAS = {
    "lm": read_formula("log(x) ~ z + fuel"),
    "glm": read_formula("I(x > 8) ~ z + fuel, family=binomial", takes_family=True),
}


def slope(w, inside):
    """Coefficient of z."""
    a = design_by_hand()[inside] * np.sqrt(w[inside])[:, None]
    return np.linalg.lstsq(a, np.log(X[inside]) * np.sqrt(w[inside]), rcond=None)[0][1]


def design_by_hand():
    return np.column_stack([np.ones(N), Z, CODE == 1, CODE == 2]).astype(float)


def log_odds(w, inside):
    """Coefficient of z where the likelihood is largest."""
    a, y, w = design_by_hand()[inside], X[inside] > 8, w[inside]

    def score(b):
        return a.T @ (w * (y - expit(a @ b)))

    return root(score, np.zeros(4), tol=1e-13).x[1]


def total(values):
    return lambda w, inside: (w * values * inside).sum() / w.sum() * KNOWN


# Of weights and whether a record is in the group; whether other groups' records matter to the variance.
BY_HAND = {
    "mean": (lambda w, inside: np.average(X[inside], weights=w[inside]), False),
    "sum": (total(X), True),
    "median": (lambda w, inside: reference.quantile(w[inside], X[inside], 0.5), None),
    "quantile": (lambda w, inside: reference.quantile(w[inside], X[inside], SHARE), None),
    "ratio": (lambda w, inside: (w * X)[inside].sum() / (w * Z)[inside].sum(), False),
    "share": (lambda w, inside: (w * X)[inside].sum() / (w * X).sum(), True),
    "gini": (lambda w, inside: reference.gini(w[inside], X[inside]), False),
    "proportion": (lambda w, inside: np.average(CODE[inside] == 1, weights=w[inside]), False),
    "count": (total(CODE == 1), True),
    "lm": (slope, False),
    "glm": (log_odds, False),
}


def measured(name):
    statistic = STATISTICS[name]
    if statistic.of == "formula":
        fuel = pa.DictionaryArray.from_arrays(CODE, ["a", "b", "c"])
        columns = {"x": pa.array(X), "z": pa.array(Z), "fuel": fuel}
        formula = FORMULAS[name]
        design = make_design(formula, columns, {}, CELL, 2)
        estimand = Estimand(name, "x", formula=formula)
        return Measured(estimand, CELL, 2, None, names=design.names, design=design)
    estimand = Estimand(name, "x", "z" if statistic.takes == "pair" else "")
    if statistic.takes == "share":
        estimand = Estimand(name, "x", share=SHARE)
    if statistic.of == "numbers":
        return Measured(estimand, CELL, 2, X, other=Z if estimand.other else None)
    levels = Levels()
    codes = levels.codes(pa.DictionaryArray.from_arrays(CODE, ["a", "b", "c"]))
    return Measured(estimand, CELL, 2, codes, levels)


@pytest.mark.parametrize("name", [name for name, each in STATISTICS.items() if each.of != "records"])
def test_value_and_variance_by_brute_force(name):
    by_hand, is_of_all = BY_HAND[name]  # a new statistic has to be there
    data, column = measured(name), 0 if STATISTICS[name].of == "numbers" else 1
    found = evaluate(data, W)
    variance = estimate_variance(data, W, found, Terms("barnard-rubin", 0, 0))
    assert found.shape == variance.shape
    for group in range(2):
        inside = group == CELL
        assert found[group, column] == pytest.approx(by_hand(W, inside))
        if is_of_all is not None:
            w = W if is_of_all else np.where(inside, W, 0)
            wanted = reference.linearised(lambda v, inside=inside: by_hand(v, inside), w)
            assert variance[group, column] == pytest.approx(wanted, rel=1e-5)


def test_each_is_told_of_in_docstring_error_and_command():
    docstring = inspect.getdoc(fusionpy.analyze)
    with pytest.raises(ArgumentError) as refused:
        fusionpy.analyze({"maen": "x"}, pd.DataFrame({"M": [1, 2], "x": [1.0, 2.0]}), quiet=True)
    command = CliRunner().invoke(app, ["analyze", "--help"]).output
    for each in STATISTICS.values():
        assert f"'{each.name}'" in str(refused.value)
        for name in (each.name, *each.others):
            assert f'"{name}"' in docstring
            assert each.of == "records" or f" {name}" in command.partition("Statistics are")[2]


SPREAD = Statistic(
    "spread",
    "numbers",
    lambda data, w: np.sqrt(data.moments(w).spread / data.moments(w).total),
    lambda data, w, estimate, terms: estimate**2 * (1 if terms.rule == "rubin" else 2),
    others=("sd",),
)


@pytest.fixture
def survey():
    rng = np.random.default_rng(1)
    pieces = [
        pd.DataFrame({"M": m, "x": rng.gamma(2, 5, N), "kind": rng.choice(["a", "b"], N)})
        for m in range(1, 9)
    ]
    replicates = {f"r{j}": W * rng.uniform(0.5, 1.5, N) for j in range(20)}
    return pd.concat(pieces, ignore_index=True), pd.DataFrame({"w": W, "town": CELL, **replicates})


def test_a_new_statistic_is_an_entry(survey, monkeypatch):
    monkeypatch.setitem(STATISTICS, "spread", SPREAD)
    implicates, static = survey
    how = {"static": static, "weight": "w", "by": "town", "quiet": True}
    found = fusionpy.analyze({"spread": "x"}, implicates, **how)
    pd.testing.assert_frame_equal(found, fusionpy.analyze("sd(x)", implicates, **how))
    assert found["type"].tolist() == ["spread", "spread"]
    each = implicates.groupby("M")["x"]
    for group in range(2):
        inside = group == CELL
        spreads = [np.sqrt(np.cov(x[inside], aweights=W[inside], ddof=0)) for _, x in each]
        assert found["est"][group] == pytest.approx(np.mean(spreads))
        between = (1 + 1 / 8) * np.var(spreads, ddof=1)
        assert found["se"][group] ** 2 == pytest.approx(2 * np.mean(np.square(spreads)) + between)
    as_reference = fusionpy.analyze({"spread": "x"}, implicates, pooling="rubin", **how)
    assert (as_reference["se"] < found["se"]).all()
    replicated = fusionpy.analyze(
        {"spread": "x"}, implicates, rep_weights=[f"r{j}" for j in range(20)], **how
    )
    assert replicated["est"].tolist() == found["est"].tolist()
    assert (replicated["se"] != found["se"]).all()
    with pytest.raises(SchemaError, match="has levels, of which there is no spread"):
        fusionpy.analyze({"spread": "kind"}, implicates, **how)


def test_records_are_resampled_for_a_statistic_without_a_formula(survey, monkeypatch):
    monkeypatch.setitem(STATISTICS, "plain", Statistic("plain", "numbers", STATISTICS["mean"].value))
    implicates, static = survey
    how = {"static": static, "weight": "w", "seed": 3, "quiet": True}
    found = fusionpy.analyze({"plain": "x", "mean": "x"}, implicates, **how)
    custom = {"custom": lambda frame, w: np.average(frame["x"], weights=w)}
    same = fusionpy.analyze(custom, implicates, **how)
    assert found.attrs["fusionpy"]["seed"] == 3
    by_type = found.set_index("type")
    assert by_type["est"]["plain"] == by_type["est"]["mean"]
    assert by_type["se"]["plain"] == pytest.approx(same["se"].item())
    assert by_type["se"]["plain"] == pytest.approx(by_type["se"]["mean"], rel=0.25)


def test_what_a_statistic_is_not_of(monkeypatch):
    text, number, flag = pa.string(), pa.float64(), pa.bool_()
    monkeypatch.setitem(STATISTICS, "mode", Statistic("mode", "levels", STATISTICS["count"].value))
    assert misfit(Estimand("mode", "x"), number) == "is numeric, of which there is no mode"
    assert misfit(Estimand("count", "x"), number) == "is numeric: ask for its 'sum'"
    assert misfit(Estimand("quantile", "x", share=0.9), text) == "has levels, of which there is no p90"
    fits = [("mode", text), ("mode", flag), ("mean", text), ("mean", number), ("gini", flag), ("count", flag)]
    assert [misfit(Estimand(how, "x"), kind) for how, kind in fits] == [None] * len(fits)


@pytest.mark.parametrize(
    ("how", "of_text", "of_logical"),
    [("mean", True, True), ("sum", True, True), ("count", True, True), ("gini", False, False)],
)
def test_which_are_of_levels(how, of_text, of_logical):
    estimand = Estimand(how, "y")
    assert has_levels(estimand, pa.string()) is of_text
    assert has_levels(estimand, pa.bool_()) is of_logical
    assert has_levels(estimand, pa.float64()) is False
