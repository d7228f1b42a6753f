"""Formulas and the arithmetic in them: what is understood, what is refused, and that nothing is run."""

import numpy as np
import pyarrow as pa
import pytest

from fusionpy.analysis.designs import make_design
from fusionpy.analysis.expressions import evaluate_expression, read_expression
from fusionpy.analysis.formulas import read_formula

COLUMNS = {
    "y": pa.array([1.0, 2.0, None, 4.0, 5.0]),
    "x": pa.array([0, 1, 2, 3, 4], pa.int32()),
    "my var": pa.array([1.0, 2.0, 3.0, 4.0, 5.0]),
    "a.b": pa.array([2.0, 2.0, 2.0, 4.0, 4.0]),
    "on": pa.array([True, False, None, True, True]),
    "fuel": pa.array(["gas", "oil", "gas", None, "wood"]),
}


def terms(text):
    found = read_formula(text)
    return [":".join(found.factors[f].label for f in term) for term in found.terms], found.has_constant


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("y ~ 1", ([], True)),
        ("y ~ x + fuel - 1", (["x", "fuel"], False)),
        ("y ~ 0 + x:fuel + x", (["x", "x:fuel"], False)),
        ("y ~ b + b:a + a", (["b", "a", "b:a"], True)),
        ("y ~ a:b + b + c", (["b", "c", "a:b"], True)),
        ("y ~ (a + b + c)^2 - a:b", (["a", "b", "c", "a:c", "b:c"], True)),
        ("y ~ a / b", (["a", "a:b"], True)),
        (
            "y ~ I(x^2)*`my var` + log(`a b`+1)",
            (["I(x^2)", "`my var`", "log(`a b` + 1)", "I(x^2):`my var`"], True),
        ),
        ("y ~ as.factor(x) + I(fuel == 'a^b')", (["factor(x)", 'I(fuel == "a^b")'], True)),
    ],
)
def test_terms_as_r_orders_them(text, wanted):
    assert terms(text) == wanted


def test_columns_that_are_needed():
    found = read_formula("log(`my var`) ~ x * I(a.b > 2) + factor(rooms) + x")
    assert found.variables == ("my var", "x", "a.b", "rooms")
    assert found.of_levels == ("rooms",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("y", "is no formula"),
        ("~ x", "is no formula"),
        ("y ~ a ~ b", "is no formula"),
        ("y ~ .", "stands for no columns"),
        ("y ~ a | b", "has a '|'"),
        ("y ~ {x}", "has a '{'"),
        ("y + z ~ x", "must have one response"),
        ("factor(y) ~ x", "cannot be a response"),
        ("I(1 + 1) ~ x", "cannot be a response"),
        ("y ~ 0", "has no terms"),
        ("y ~ 2:x", "multiplies a term by a number"),
        ("y ~ log(x", "is not understood"),
        ("y ~ poly(x, 2)", "a function that formulas lack"),
        ("y ~ factor(x + 1)", "must be of one column"),
        ("y ~ I(x if x else 0)", "is not understood"),
        ("y ~ I(lambda: x)", "is not understood"),
        ("y ~ I(x.system('true'))", "a function that formulas lack"),
        ("y ~ I(open('x'))", "a function that formulas lack"),
        ("y ~ a, family=binomial", "must be one formula"),
    ],
)
def test_what_is_refused(text, why):
    with pytest.raises(ValueError, match=why.replace("|", r"\|").replace("{", r"\{")):
        read_formula(text)


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("y ~ x, binomial", "binomial"),
        ('y ~ x, family = "quasibinomial"', "binomial"),
        ("y ~ x, family=poisson()", "poisson"),
        ("y ~ x, family=binomial(link='logit')", "binomial"),
        ("y ~ log(x)", "gaussian"),
        ("y ~ x, family=binomial(probit)", None),
        ("y ~ x, family=gamma", None),
        ("y ~ x, binomial, 3", None),
    ],
)
def test_families(text, family):
    if family is None:
        with pytest.raises(ValueError, match="is no family that is known"):
            read_formula(text, takes_family=True)
    else:
        assert read_formula(text, takes_family=True).family == family


@pytest.mark.parametrize(
    ("text", "wanted", "is_logical"),
    [
        ("I(x^2 + 1)", [1, 2, 5, 10, 17], False),
        ("-x^2", [0, -1, -4, -9, -16], False),
        ("sqrt(x) * 2", [0, 2, np.sqrt(8), np.sqrt(12), 4], False),
        ("np.log(`my var`)", np.log([1, 2, 3, 4, 5]), False),
        ("x / a.b", [0, 0.5, 1, 0.75, 1], False),
        ("y > 1", [0, 1, np.nan, 1, 1], True),
        ("I(on)", [1, 0, np.nan, 1, 1], True),
        ("on + 1", [2, 1, np.nan, 2, 2], False),
        ("I(fuel == 'gas')", [1, 0, 1, np.nan, 0], True),
        ("'gas' != fuel", [0, 1, 0, np.nan, 1], True),
        ("I(on == TRUE)", [1, 0, np.nan, 1, 1], True),
        ("abs(x - 2)", [2, 1, 0, 1, 2], False),
        ("I(pi)", [np.pi] * 5, False),
    ],
)
def test_values(text, wanted, is_logical):
    found = evaluate_expression(read_expression(text), COLUMNS)
    assert found.values == pytest.approx(np.array(wanted, dtype=float), nan_ok=True)
    assert (found.is_logical, found.n_undefined) == (is_logical, 0)


def test_what_is_not_finite_is_missing_and_counted():
    found = evaluate_expression(read_expression("log(x - 1) + y"), COLUMNS)
    assert np.isnan(found.values).tolist() == [True, True, True, False, False]
    assert found.n_undefined == 2  # of row 2 the column itself is missing
    assert evaluate_expression(read_expression("x * 9^9^9^9"), COLUMNS).n_undefined == 5


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("log(fuel)", "`fuel` has levels"),
        ("I(x == 'a')", "`x` is not text"),
        ("I(fuel > 'a')", "by == or !="),
        ("I('a' == 'b')", "by == or !="),
    ],
)
def test_columns_that_do_not_do(text, why):
    with pytest.raises(ValueError, match=why):
        evaluate_expression(read_expression(text), COLUMNS)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("y ~ fuel", ["(Intercept)", "fueloil", "fuelwood"]),
        ("y ~ fuel - 1", ["fuelgas", "fueloil", "fuelwood"]),
        ("y ~ on + fuel - 1", ["onFALSE", "onTRUE", "fueloil", "fuelwood"]),
        ("y ~ x:fuel", ["(Intercept)", "x:fuelgas", "x:fueloil", "x:fuelwood"]),
        ("y ~ on:x + x", ["(Intercept)", "x", "onTRUE:x"]),
        ("y ~ I(x > 1) - 1", ["I(x > 1)FALSE", "I(x > 1)TRUE"]),
        ("y ~ factor(a.b)", ["(Intercept)", "factor(a.b)4"]),
        (
            "y ~ on * fuel",
            ["(Intercept)", "onTRUE", "fueloil", "fuelwood", "onTRUE:fueloil", "onTRUE:fuelwood"],
        ),
    ],
)
def test_names_of_coefficients(text, names):
    """`on:x + x` is `onTRUE:x` in R, too, as `on` comes first in the formula."""
    design = make_design(read_formula(text), COLUMNS, {}, np.zeros(5, dtype=np.intp), 1)
    assert design.names == names
    assert design.x.shape == (5, len(names))


def test_values_of_columns():
    design = make_design(read_formula("y ~ fuel:x"), COLUMNS, {}, np.zeros(5, dtype=np.intp), 1)
    wanted = [[1, 0, 0, 0], [1, 0, 1, 0], [1, 2, 0, 0], [1, np.nan, np.nan, np.nan], [1, 0, 0, 4]]
    np.testing.assert_array_equal(design.x, wanted)
    assert np.isnan(design.validity).tolist() == [False, False, True, True, False]
