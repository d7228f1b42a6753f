"""What objects show of themselves: at most 100 columns wide, tables in a notebook, kinds in words."""

from __future__ import annotations

import html
import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from typer.testing import CliRunner

import fusionpy
from fusionpy.analysis.table import Estimates
from fusionpy.cli import app
from fusionpy.cli.tables import lay_out
from fusionpy.evaluation.scorecard import Scorecard
from fusionpy.figures.layout import Grid, Page, filled
from fusionpy.model.kinds import is_code_like, listed_kinds, told_kind
from fusionpy.model.ranges import Range
from fusionpy.model.variables import Variable

LONG = "a_name_that_goes_on_and_on_and_on_as_names_of_surveys_do"
words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=30)
cells = st.lists(words, min_size=1, max_size=4).map(" ".join)


@given(st.data(), st.integers(1, 14), st.integers(0, 5))
@settings(max_examples=20)
def test_no_line_is_too_long_and_nothing_is_lost(data: st.DataObject, n_columns: int, n_rows: int) -> None:
    numeric = tuple(data.draw(st.lists(st.booleans(), min_size=n_columns, max_size=n_columns)))
    rows = tuple(
        tuple(
            data.draw(st.integers(0, 10**9)).__format__(",") if number else data.draw(cells)
            for number in numeric
        )
        for _ in range(n_rows)
    )
    headers = tuple(f"h{j}" for j in range(n_columns))
    text = Grid(headers, rows, numeric).text()
    if all(cell.isascii() for row in rows for cell in row):
        assert all(cell_len(line) <= 100 for line in text.splitlines())
    squeezed = re.sub(r"\s", "", text)
    for row in rows:
        for cell, number in zip(row, numeric, strict=True):
            if number:
                assert cell in text
            assert all(letter in squeezed for letter in re.sub(r"\s", "", cell))


def test_a_grid_as_html_is_escaped() -> None:
    shown = Page("<b>", (Grid(("<i>", "n"), (("<script>", "1"),), (False, True)),), ("a & b",)).html()
    assert "<script>" not in shown
    assert "<i>" not in shown
    assert "a &amp; b" in shown
    assert "text-align: right" in shown


def test_columns_that_do_not_fit_come_below() -> None:
    n = 30
    grid = Grid(tuple(f"column{j}" for j in range(n)), (tuple("1234567" for _ in range(n)),) * 2, (True,) * n)
    blocks = grid.text().split("\n\n")
    assert len(blocks) == 4
    assert [line.split()[0] for line in blocks[1].splitlines()[1:]] == ["1", "2"]
    assert sum(block.count("column") for block in blocks) == n


def lines_of(shown: Any) -> list[str]:
    return repr(shown).splitlines()


@pytest.fixture(scope="module")
def donor() -> pd.DataFrame:
    r = np.random.default_rng(1)
    n = 300
    frame = pd.DataFrame(
        {
            "region": pd.Categorical(r.choice(["north", "south <&>"], n)),
            "school": pd.Categorical(
                r.choice(["low", "mid", "high", "top"], n), ["low", "mid", "high", "top"], ordered=True
            ),
            "age": r.integers(18, 90, n),
            "urban": r.random(n) < 0.5,
            LONG: r.normal(0, 1, n),
        }
    )
    frame["solar"] = (r.random(n) < 0.4).astype(int)
    frame["mood"] = r.integers(1, 6, n)
    frame["rooms"] = r.integers(0, 6, n)
    frame["rent"] = np.exp(r.normal(6, 1, n)) * (r.random(n) > 0.4)
    frame[f"y_{LONG}"] = frame["age"] + r.normal(0, 1, n)
    frame["fuel"] = pd.Categorical(r.choice(["gas", "oil"], n))
    return frame


Y = ["solar", "mood", "rooms", ["rent", f"y_{LONG}"], "fuel"]
X = ["region", "school", "age", "urban", LONG]


@pytest.fixture(scope="module")
def model(donor: pd.DataFrame) -> fusionpy.FusionModel:
    hyper = {"num_iterations": 3}
    return fusionpy.train(donor, Y, X, hyper=hyper, nquantiles=9, refits=0, nclusters=10, seed=1, quiet=True)


def test_a_model_tells_what_every_column_was_taken_for(model: fusionpy.FusionModel) -> None:
    text = " ".join(repr(model).split())
    for told in (
        "region (2 levels: north, south <&>)",
        "school (4 levels: low < mid < high < …)",
        "quantities age (",
        "yes/no urban",
        "solar quantity, 0 to 1",
        "mood quantity, 1 to 5",
        "rooms quantity, 0 to 5",
        "fuel unordered, 2 levels",
    ):
        assert told in text, told
    assert max(map(len, lines_of(model))) <= 100
    page = model._repr_html_()
    assert "south &lt;&amp;&gt;" in page
    assert page.count("<table>") == 2


def test_codes_that_are_trained_as_quantities_are_noted(
    donor: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    how: dict[str, Any] = {"refits": 0, "nclusters": 5, "hyper": {"num_iterations": 1}, "seed": 1}
    fusionpy.train(donor, ["solar", "mood", "rooms", "fuel"], ["age"], **how)
    said = [line for line in capsys.readouterr().err.splitlines() if "taken as" in line]
    assert said == [
        "train: taken as quantities, not as categories: `solar` (0, 1), `mood` (1, 2, 3, 4, 5). If they are "
        "codes, make them categories, or True and False."
    ]
    fusionpy.train(donor, ["solar"], ["age"], **how, quiet=True)
    fusionpy.train(donor, ["rooms"], ["age"], **how)
    assert "taken as" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([0, 1], True),
        ([1, 2], True),
        (range(1, 6), True),
        (range(1, 11), True),
        ([-9, -8, 1, 2, 3], True),
        ([0, 1, -1], True),
        (range(1, 12), False),
        (range(6), False),
        ([0.5, 1], False),
        ([0, 100], False),
        ([1, -1], False),
        (range(1000), False),
    ],
)
def test_what_looks_like_codes(values: Any, wanted: bool) -> None:
    assert is_code_like(np.array([*values, *values], dtype=float)) == wanted


def test_kinds_in_words() -> None:
    plain = Variable("a", "continuous", storage="int64")
    assert told_kind(plain) == "quantity"
    assert told_kind(Variable("a", "logical", storage="bool")) == "yes/no"
    assert told_kind(Variable("a", "nominal", ("x",), "string")) == "unordered, 1 level"
    known = {"a": Range(0, 120_000, 5)}
    long = Variable("b", "nominal", ("x" * 99, "\n"), "string")
    assert listed_kinds([long, plain], known) == [
        ("quantities", "a (0 to 120,000)"),
        ("unordered", f"b (2 levels: {'x' * 19}…, \\n)"),
    ]


def test_every_object_is_readable(donor: pd.DataFrame, model: fusionpy.FusionModel) -> None:
    fused = fusionpy.fuse(donor, model, M=3, seed=1, quiet=True)
    by = ["region", "school", "urban"]
    valid = fusionpy.validate(donor, fused, by, plot=False, quiet=True)
    card = fusionpy.score(donor, fused, x=X, classifier=False, quiet=True, seed=0)
    prepared = fusionpy.prep_xy(donor, Y, X, seed=1, quiet=True)
    estimates = fusionpy.analyze(
        {"mean": ["rent", f"y_{LONG}", "fuel"]},
        fused,
        static=donor[by].assign(place="in a " + LONG),
        by=[*by, "place"],
        quiet=True,
    )
    for shown in (valid, card, prepared, estimates, model):
        assert max(map(len, lines_of(shown))) <= 100, type(shown)
        page = shown._repr_html_()
        assert page.count("<table>") >= 1
        assert "south <&>" not in page
    assert html.unescape(estimates._repr_html_()).count(LONG) >= len(estimates)


def test_notes_are_broken_into_lines() -> None:
    text = Page("x " * 99, (), ("note " * 99,)).text()
    assert max(map(len, text.splitlines())) <= 100
    assert filled("a") == "a"


@pytest.mark.slow
def test_figures_are_shown_in_a_notebook(donor: pd.DataFrame, model: fusionpy.FusionModel) -> None:
    fused = fusionpy.fuse(donor, model, M=3, seed=1, quiet=True)
    valid = fusionpy.validate(donor, fused, "region", plot=False, y=["rent", "fuel"], quiet=True)
    figures = fusionpy.plot_valid(valid)
    assert isinstance(figures, dict)
    assert (
        repr(figures)
        == "9 figures: est, vad, moe, est:rent, vad:rent, moe:rent, est:fuel, vad:fuel, moe:fuel"
    )
    page = figures._repr_html_()
    assert page.count('src="data:image/png;base64,') == 3
    assert "Not drawn here: est:rent, vad:rent" in page
    chosen = fusionpy.plot_valid(valid, y="rent")._repr_html_()
    assert chosen.count("<img") == 6
    assert "Not drawn" not in chosen


def test_small_scores_are_not_shown_as_zero() -> None:
    row = {"way": "fused", "y": "a", "measure": "crps", "value": 1.234e-7, "aim": 0.0, "n": 9}
    zero = row | {"measure": "w1", "value": 0.0}
    text = repr(Scorecard(pd.DataFrame([row, zero]), 9, 2, 0))
    assert "1.23e-07" in text
    assert "0.0000" in text


@given(st.floats(1e-14, 1e14), st.floats(1e-3, 1e3))
def test_no_estimate_is_shown_as_zero_beside_a_smaller_margin(est: float, ratio: float) -> None:
    table = Estimates({"y": ["a", "b"], "est": [est, 1e6], "moe": [est / ratio, 1e5]})
    shown = table._grid().rows[0]
    value, margin = (float(cell.replace(",", "")) for cell in shown[1:])
    assert margin == pytest.approx(est / ratio, rel=0.051)
    assert value == pytest.approx(est, abs=0.051 * est / ratio)
    assert len(shown[1]) <= 22


def test_importance_on_the_command_line(donor: pd.DataFrame, tmp_path: Any) -> None:
    how: dict[str, Any] = {
        "refits": 0,
        "nclusters": 5,
        "hyper": {"num_iterations": 3},
        "seed": 1,
        "quiet": True,
    }
    fusionpy.train(donor, [f"y_{LONG}", "fuel"], X, fsn=tmp_path / "m.fsn", **how)
    for more in ((), ("--detailed",)):
        result = CliRunner().invoke(app, ["importance", str(tmp_path / "m.fsn"), *more])
        assert result.exit_code == 0, result.output
        assert max(map(len, result.stdout.splitlines())) <= 100
        assert "gain" in result.stdout
    tiny = pd.DataFrame({"x": ["a", "b"], "gain": [1.2e-5, 0.0], "n": [1, 2]})
    assert lay_out(tiny).rows == (("a", "1.20e-05", "1"), ("b", "0.0000", "2"))
