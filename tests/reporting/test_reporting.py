import datetime
import io
import re
import stat
import sys
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import plotnine as p9
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

import fusionpy
from fusionpy import datasets
from fusionpy.figures import browser
from fusionpy.figures.charts import effect_dots, importance_bars, score_dots
from fusionpy.reporting import report
from fusionpy.reporting.exhibits import Figure, Section, Table, chunks, numbered, plain_table
from fusionpy.reporting.files import escaped, latex
from fusionpy.reporting.model import train_call
from fusionpy.reporting.numbers import decimals_for, fixed, significant
from fusionpy.reporting.references import REFERENCES
from fusionpy.reporting.results import estimates_section
from fusionpy.reporting.svg import inline_svg

HOSTILE = '<script>alert("x")</script>&amp;</td></table>'
Y = ["heating_fuel", "gas_bill", "solar", ["food_share", "housing_share"]]
X = ["region", "rooms", "income", "urban"]


@dataclass
class Validation:
    summary: pd.DataFrame
    figures: dict
    sizes: dict
    subset_vars: tuple = ("region", HOSTILE)
    notes: tuple = (f"A note {HOSTILE}.",)


@dataclass
class Scores:
    table: pd.DataFrame
    n: int = 500
    M: int = 4
    notes: tuple = ()


@pytest.fixture(scope="module")
def donor():
    frame = datasets.load_donor().head(1200)
    return frame.assign(region=frame["region"].cat.rename_categories({"south": HOSTILE}))


@pytest.fixture(scope="module")
def recipient():
    frame = datasets.load_recipient().head(2000)
    return frame.assign(region=frame["region"].cat.rename_categories({"south": HOSTILE}))


@pytest.fixture(scope="module")
def model(donor):
    hyper = {"num_iterations": 8}
    return fusionpy.train(donor, Y, X, weight="weight", refits=2, hyper=hyper, seed=1, cores=2, quiet=True)


@pytest.fixture(scope="module")
def estimates():
    est, moe = np.array([10076.4, 9000.1, 0.153]), np.array([193.2, 88.0, 0.0161])
    df = np.array([12.5, 1e9, 33.0])
    frame = pd.DataFrame(
        {"region": ["northeast", HOSTILE, None], "n": [100, 200, 300], "n_eff": [90.4, 150, 280]}
    )
    frame = frame.assign(y=["gas_bill", "gas_bill", "heating_fuel"], level=[None, None, "piped_gas"])
    frame = frame.assign(type=["mean", "mean", "proportion"], est=est, se=moe / student.ppf(0.95, df), df=df)
    return frame.assign(moe=moe, lower=est - moe, upper=est + moe, fmi=[0.25, 0.5, 0.125])


@pytest.fixture(scope="module")
def validation():
    points = pd.DataFrame({"x": [0.1, 0.4, 0.9], "y": [1.0, 0.5, 0.7]})
    figure = p9.ggplot(points, p9.aes("x", "y")) + p9.geom_point() + p9.geom_line()
    summary = pd.DataFrame(
        {"y": ["gas_bill", HOSTILE], "est": [0.1, 0.2], "vad": [0.9, 0.8], "moe": [1.1, 1.2]}
    )
    sizes = {"records": 1200, "M": 4, "subsets": 60, "estimates": 1234, "min_size": 30}
    return Validation(summary, {"est": figure, "vad:gas_bill": figure, f"moe:{HOSTILE}": figure}, sizes)


@pytest.fixture(scope="module")
def scores():
    rows = [
        (way, y, measure, value + shift, aim)
        for way, shift in (("fused", 0.0), ("random hot deck", 0.25))
        for y, measure, value, aim in (
            (None, "energy", 0.75, 0.0),
            ("gas_bill", "crps", 0.7, 0.0),
            ("gas_bill", "cover90", 0.5, 0.9),
            ("heating_fuel", "brier", 0.9, 0.0),
            ("heating_fuel", "made_up", np.nan, 0.0),
        )
    ]
    table = pd.DataFrame(rows, columns=["way", "y", "measure", "value", "aim"])
    return Scores(table, notes=(f"A note {HOSTILE}.",))


@pytest.fixture(scope="module")
def everything(model, donor, recipient, validation, scores, estimates):
    return {
        "model": model,
        "donor": donor,
        "recipient": recipient,
        "validation": validation,
        "scores": scores,
        "estimates": {f"Estimates {HOSTILE}": estimates, "More": estimates.head(1)},
        "title": f"A title {HOSTILE}",
        "authors": ["A. Author", HOSTILE],
        "notes": ["One.", HOSTILE],
        "labels": {"income": f"Income {HOSTILE}", "gas_bill": "Gas bill, $ a year"},
        "weight": "weight",
        "date": "2026-11-05",
        "quiet": True,
    }


@pytest.fixture(scope="module")
def full(everything, tmp_path_factory):
    """The page of everything, and the folder of its tables."""
    folder = tmp_path_factory.mktemp("full")
    written = report(folder / "report.html", tables=folder / "tables", **everything)
    assert [Path(file) for file in written if not Path(file).is_file()] == []
    return (folder / "report.html").read_text("utf-8"), folder / "tables", written


VOID = {"meta", "link", "br", "hr", "img", "input"}


@dataclass
class Page(HTMLParser):
    """What a page holds, in order; a tag that is not closed, or closed twice, fails."""

    html: str
    open: list = field(default_factory=list)
    tags: list = field(default_factory=list)
    texts: list = field(default_factory=list)

    def __post_init__(self):
        super().__init__(convert_charrefs=True)
        self.feed(self.html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert [tag] == self.open[-1:], f"</{tag}> at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data):
        self.texts.append((tuple(self.open), data))

    @property
    def text(self):
        return " ".join("".join(text for tags, text in self.texts if "style" not in tags).split())

    def every(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_well_formed(full):
    page = Page(full[0])
    assert full[0].startswith("<!DOCTYPE html>")
    assert page.every("html") == [{"lang": "en"}]
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        for key in ("aria-labelledby", "href", "xlink:href"):
            value = attrs.get(key, "")
            for name in value.split() if key == "aria-labelledby" else [value]:
                if key == "aria-labelledby" or name.startswith("#"):
                    assert name.lstrip("#") in ids
        for reference in re.findall(r"url\(#(.*?)\)", " ".join(str(value) for value in attrs.values())):
            assert reference in ids
    headings = [tag for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    assert set(headings) == {"h1", "h2", "h3"}


def test_accessible(full):
    page = Page(full[0])
    assert {attrs.get("scope") for attrs in page.every("th")} == {"col", "row"}
    assert len(page.every("thead")) == len(page.every("table")) > 8
    svgs = page.every("svg")
    assert len(svgs) == len(page.every("title")) - 1 == len(page.every("desc")) > 3
    assert all(svg["role"] == "img" and svg["aria-labelledby"] for svg in svgs)
    boxes = [attrs for attrs in page.every("div") if "scroll" in attrs.get("class", "")]
    assert all(box["tabindex"] == "0" and box["role"] == "region" for box in boxes)


def test_loads_nothing(full):
    page = Page(full[0])
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "img", "object", "embed", "video", "audio", "base", "form"}
    assert page.every("link") == [{"rel": "icon", "href": "data:,"}]
    links = [attrs["href"] for attrs in page.every("a") if not attrs["href"].startswith("#")]
    assert links
    assert all(link.startswith("https://doi.org/10.") for link in links)
    for tag, attrs in page.tags:
        assert not [key for key in attrs if key.startswith("on") or key in ("src", "srcset", "data")]
        if tag != "a":
            assert "http" not in " ".join(str(value) for value in attrs.values())
    assert not re.search(r"@import|@font-face|url\((?!#)", full[0])


def test_hostile_names_are_only_text(full):
    html, _, _ = full
    assert "<script" not in html
    page = Page(html)
    assert page.text.count(HOSTILE) >= 8
    assert page.every("meta")[-1]["content"] == "2026-11-05"
    assert {"name": "author", "content": HOSTILE} in page.every("meta")


def numbers_of(page, kind):
    return [
        int(n)
        for tags, text in page.texts
        for n in re.findall(rf"^{kind} (\d+)\.$", text)
        if "figcaption" in tags
    ]


PARTS = [
    *[("model",), ("donor",), ("validation",), ("scores",), ("estimates",), ("donor", "estimates")],
    *[("model", "donor"), ("model", "recipient"), ("model", "estimates", "scores"), ("scores", "validation")],
]
FAST = [("model", "estimates", "scores"), ("validation",), ("donor",), ("estimates",), ("donor", "estimates")]
FAST += [("model", "recipient")]


@pytest.mark.parametrize(
    "parts",
    [pytest.param(each, marks=() if each in FAST else pytest.mark.slow, id="+".join(each)) for each in PARTS],
)
def test_what_is_absent_leaves_no_hole(everything, tmp_path, parts):
    given = {name: everything[name] for name in parts}
    report(tmp_path / "a.html", **given, quiet=True, date="2026-11-05")
    page = Page((tmp_path / "a.html").read_text("utf-8"))
    for kind in ("Table", "Figure"):
        found = numbers_of(page, kind)
        assert found == list(range(1, len(found) + 1))
        mentioned = {int(n) for n in re.findall(rf"{kind}s? (\d+)", page.text)}
        assert mentioned <= set(found)
        assert set(found) == set() or min(mentioned) == 1
    ordinals = [int(text) for tags, text in page.texts if tags[-2:] == ("h2", "span")]
    contents = [text for tags, text in page.texts if tags[-2:] == ("li", "a") and "nav" in tags]
    assert ordinals == list(range(1, len(contents) + 1))
    assert ("Importance of predictors" in contents) == ("model" in parts)
    assert ("Held-out scorecard" in contents) == ("scores" in parts)
    assert ("Reproducibility" in contents) == ("model" in parts)
    assert {"Limits", "How to cite", "References"} <= set(contents)
    assert ("neither validation nor held-out" in page.text) == (not {"validation", "scores"} & set(parts))


def test_cited_is_listed_and_nothing_else(full, everything, tmp_path):
    for html in (full[0], None):
        if html is None:
            report(tmp_path / "a.html", donor=everything["donor"], quiet=True)
            html = (tmp_path / "a.html").read_text("utf-8")
        page = Page(html)
        cited = {attrs["href"][5:] for attrs in page.every("a") if attrs["href"].startswith("#ref-")}
        listed = [attrs["id"][4:] for attrs in page.every("li") if "id" in attrs]
        assert set(listed) == cited
        assert listed == sorted(listed)
        assert "ummel2024" in cited
    assert {"kish1965", "ke2017"} == cited - {"ummel2024", "dorazio2006"}


def test_methods_follow_the_model(donor, model, tmp_path):
    plain = fusionpy.train(
        donor, "rooms", ["urban", "income"], method="2024", hyper={"num_iterations": 5}, seed=1, quiet=True
    )
    texts = {}
    for name, each in (("default", model), ("2024", plain)):
        report(tmp_path / "a.html", model=each, quiet=True)
        texts[name] = Page((tmp_path / "a.html").read_text("utf-8")).text
    for part in (
        "one donor gives all of its values",
        "Bayesian bootstrap",
        "These are calibrated",
        "at most 2,000",
    ):
        assert part in texts["default"]
        assert part not in texts["2024"]
    assert "Every donor’s scaled expectations are a centre of their own" in texts["2024"]
    assert "trained without refits, so they are too narrow" in texts["2024"]
    assert "16, 32, 64" in texts["2024"]  # the grid


def test_effects_are_told(donor, tmp_path):
    small = {"hyper": {"num_iterations": 3}, "refits": 2, "seed": 1, "quiet": True}
    model = fusionpy.train(donor, "rooms", ["urban", "income"], effects=True, **small)
    report(tmp_path / "a.html", model=model, quiet=True)
    text = Page((tmp_path / "a.html").read_text("utf-8")).text
    assert "the effects are drawn from their posterior distribution" in text
    assert "Harville" in text
    assert "Effects of predictors on what models miss" in text
    assert "effects" not in train_call(model, None)
    without = fusionpy.train(donor, "rooms", ["urban", "income"], effects=False, **small)
    assert "effects=False" in train_call(without, None)
    assert "between areas" not in text


def test_effects_are_drawn_by_model(donor, tmp_path):
    small = {"hyper": {"num_iterations": 3}, "refits": 2, "seed": 1, "quiet": True}
    model = fusionpy.train(donor, ["rooms", "tenure"], ["urban", "income"], effects=True, **small)
    pages = []
    for sds in ([0.25, 1500.0], [0.0, 0.0]):
        steps = [
            replace(
                step,
                effects=replace(
                    step.effects,
                    each=tuple(
                        replace(e, sds=np.array(sds + [0.0] * len(step.effects.pairs)))
                        for e in step.effects.each
                    ),
                ),
            )
            for step in model.steps
        ]
        report(tmp_path / "a.html", model=replace(model, steps=tuple(steps)), quiet=True)
        pages.append(Page((tmp_path / "a.html").read_text("utf-8")).text)
    assert "rooms (its unit)" in pages[0]
    assert "effects on rooms: sd 1,500 (its unit) between levels of income, 0.25 of urban" in pages[0]
    assert "effects on tenure, class renter: sd 1,500 (logit) between levels of income" in pages[0]
    assert "What the models missed" in pages[0]
    assert "What the models missed" not in pages[1]
    assert "Effects: " not in pages[1]


def test_areas_are_told(donor, tmp_path):
    small = {"hyper": {"num_iterations": 3}, "refits": 2, "seed": 1, "quiet": True}
    model = fusionpy.train(donor, "rooms", ["urban", "income"], areas="region", **small)
    report(tmp_path / "a.html", model=model, quiet=True)
    text = " ".join(Page((tmp_path / "a.html").read_text("utf-8")).text.split())
    assert "differences between levels of predictors, and between areas (region), is learned" in text
    assert (
        "Those of areas without donors are drawn from the distribution of the effects of all areas." in text
    )
    assert "Areas with effects of their own" in text
    assert f"region ({len(model.areas[0].levels)} levels)" in text
    assert 'areas=["region"]' in train_call(model, None)


@pytest.mark.slow
def test_same_inputs_same_page(full, everything, tmp_path):
    again = report(tmp_path / "b.html", tables=tmp_path / "tables", **everything)
    assert (tmp_path / "b.html").read_text("utf-8") == full[0]
    for file in again[1:]:
        assert Path(file).read_bytes() == (full[1] / Path(file).name).read_bytes()
    other = {**everything, "date": datetime.date(2027, 1, 2)}
    report(tmp_path / "b.html", **other)
    changed = (tmp_path / "b.html").read_text("utf-8")
    assert changed != full[0]
    back = changed.replace("2027-01-02", "2026-11-05").replace("2 January 2027", "5 November 2026")
    assert back.replace("2027", "2026") == full[0]


def test_tables_as_files(full, estimates):
    _, folder, written = full
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(Path(file).name for file in written[1:])
    page = Page(full[0])
    assert len(names) == 2 * len(numbers_of(page, "Table"))
    for path in folder.glob("*.tex"):
        lines = path.read_text("utf-8").splitlines()
        body = [line for line in lines if line.endswith(r"\\")]
        columns = re.search(r"begin\{tabular\}\{([lr]+)\}", "\n".join(lines))[1]
        assert {len(re.findall(r"(?<!\\)&", line)) for line in body} == {len(columns) - 1}
        frame = pd.read_csv(path.with_suffix(".csv"))
        assert len(body) == len(frame) + 1
    (path,) = folder.glob("*estimates_1.csv")
    wanted = estimates.astype({"region": object, "level": object}).fillna({"region": "", "level": ""})
    pd.testing.assert_frame_equal(pd.read_csv(path, keep_default_na=False), wanted, check_dtype=False)


def test_estimates_are_rounded_by_their_margins(estimates):
    (table,) = estimates_section(estimates).exhibits
    headers = list(table.headers)
    assert headers[:4] == ["region", "Variable", "Level", "Estimate of"]
    assert {"Margin (90 %)", "Interval (90 %)"} <= set(headers)
    rows = [dict(zip(headers, row, strict=True)) for row in table.rows]
    assert [row["Estimate"] for row in rows] == ["10,076", "9,000", "0.153"]
    assert [row["Margin (90 %)"] for row in rows] == ["193", "88", "0.016"]
    assert rows[1]["Interval (90 %)"] == "8,912 to 9,088"
    assert [row["Effective n"] for row in rows] == ["90", "150", "280"]
    assert rows[2]["region"] == "–"


def test_estimates_of_other_sizes_are_not_shown_as_zero():
    """Of one variable and type: groups of large and of tiny means; and what only powers of ten can show."""
    frame = pd.DataFrame(
        {
            "town": list("abcde"),
            "y": ["z"] * 5,
            "type": ["mean"] * 5,
            "est": [1234567.0, 765432.0, 0.0123, 4.56e-9, 2000000.0],
            "se": [1000.0, 900.0, 0.0005, 1e-10, 2000.0],
            "df": [50.0] * 5,
            "moe": [1676.0, 1508.0, 0.00084, 1.68e-10, 3352.0],
        }
    )
    (table,) = estimates_section(frame).exhibits
    rows = [dict(zip(table.headers, row, strict=True)) for row in table.rows]
    assert [row["Estimate"] for row in rows] == [
        "1,234,567",
        "765,432",
        "0.01230",
        "4.56 × 10⁻⁹",
        "2,000,000",
    ]
    assert [row["Margin (90 %)"] for row in rows] == ["1,676", "1,508", "0.00084", "1.7 × 10⁻¹⁰", "3,352"]
    alone = frame.drop(columns=["se", "df", "moe"])
    (table,) = estimates_section(alone).exhibits
    assert [row[-1] for row in table.rows] == ["1,234,567", "765,432", "0.0123", "4.56 × 10⁻⁹", "2,000,000"]


@given(
    level=st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]),
    df=st.one_of(st.floats(1.5, 500), st.just(np.inf)),
    se=st.floats(1e-3, 1e6),
)
def test_the_level_is_read_off_the_margins(level, df, se):
    frame = pd.DataFrame(
        {"y": ["a"], "est": [1.0], "se": [se], "df": [df], "moe": [se * student.ppf(0.5 + level / 2, df)]}
    )
    (table,) = estimates_section(frame).exhibits
    assert f"Margin ({round(100 * level)} %)" in table.headers


def test_estimates_of_one_implicate_have_no_margins():
    frame = pd.DataFrame({"y": ["a"], "est": [1234.5], "se": [np.nan], "df": [np.nan], "moe": [np.nan]})
    (table,) = estimates_section(frame).exhibits
    assert table.headers == ("Variable", "Estimate")
    assert table.rows == (("a", "1,234"),)


def shown_table(html, key):
    """Cells of a table on the page, by its caption."""
    found = re.search(rf"<b>Table \d+\.</b> {key}.*?<table.*?>(.*?)</table>", html, re.DOTALL)[1]
    rows = re.findall(r"<tr>(.*?)</tr>", found, re.DOTALL)
    return [
        [re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL)]
        for row in rows
    ]


def test_samples(full, donor, recipient):
    header, of_donors, of_recipients = shown_table(full[0], "The samples")
    assert header[:3] == ["Survey", "Records", "Records in training"]
    for row, frame in ((of_donors, donor), (of_recipients, recipient)):
        w = frame["weight"].to_numpy()
        effective = w.sum() ** 2 / (w**2).sum()
        assert row[1] == f"{len(frame):,}"
        assert row[3:] == [f"{w.sum():,.0f}", f"{effective:,.0f}", f"{len(frame) / effective:.2f}"]


def kolmogorov_by_hand(x, v, y, w):
    """Largest difference of the shares up to any value."""
    return max(abs(v[x <= t].sum() / v.sum() - w[y <= t].sum() / w.sum()) for t in {*x, *y})


def test_predictors_are_compared(full, donor, recipient):
    rows = shown_table(full[0], "The predictors")
    where = rows[0].index("Level")
    by = {(row[0], row[where]): row[where + 1 :] for row in rows[1:]}
    kinds = {row[0]: row[where - 1] for row in rows[1:] if row[where - 1]}
    assert (kinds["rooms"], kinds["urban"]) == ("quantity, 1 to 9", "yes or no")
    a, b = ((frame["rooms"].to_numpy(float), frame["weight"].to_numpy(float)) for frame in (donor, recipient))
    (m1, s1), (m2, s2) = (
        (np.average(v, weights=w), np.sqrt(np.cov(v, aweights=w, ddof=0))) for v, w in (a, b)
    )
    difference = (m2 - m1) / np.sqrt((s1**2 + s2**2) / 2)
    assert by["rooms", ""] == [
        f"{m1:.2f} ({s1:.2f})",
        f"{m2:.2f} ({s2:.2f})",
        f"{difference:.2f}".replace("-", "−"),
        f"{kolmogorov_by_hand(*a, *b):.2f}",
    ]
    p1, p2 = (np.average(frame["urban"], weights=frame["weight"]) for frame in (donor, recipient))
    spread = np.sqrt((p1 * (1 - p1) + p2 * (1 - p2)) / 2)
    found = by["urban", "yes"]
    assert found[:2] == [f"{100 * p1:.1f} %", f"{100 * p2:.1f} %"]
    assert float(found[2].replace("−", "-")) == pytest.approx((p2 - p1) / spread, abs=0.006)
    missing = [np.average(frame["income"].isna(), weights=frame["weight"]) for frame in (donor, recipient)]
    assert by["income", "(missing)"][:2] == [f"{100 * share:.1f} %" for share in missing]
    assert ("rooms", "(missing)") not in by


@pytest.mark.parametrize("kind", ["polars", "pyarrow"])
def test_any_kind_of_table(full, everything, tmp_path, kind):
    def turned(frame):
        table = __import__("pyarrow").Table.from_pandas(frame, preserve_index=False)
        return table if kind == "pyarrow" else __import__("polars").from_arrow(table)

    pytest.importorskip(kind)
    frames = {name: everything[name] for name in ("donor", "recipient")}
    # Arrow cannot tell None from nothing among pandas' text, so the region is always there.
    estimates = everything["estimates"]["More"]
    texts = []
    for turn in (lambda frame: frame, turned):
        given = {name: turn(frame) for name, frame in frames.items()}
        report(tmp_path / "a.html", **given, estimates=turn(estimates), quiet=True, date="2026-11-05")
        texts.append((tmp_path / "a.html").read_text("utf-8"))
    assert texts[0] == texts[1]


def test_the_call_repeats_the_model(donor, model):
    scope = {"fusionpy": fusionpy, "donor": donor}
    code = train_call(model, "weight")
    assert "num_iterations" in code
    exec(code.replace("seed=1,", "seed=1, quiet=True, cores=2,"), scope)
    for mine, theirs in zip(scope["model"].steps, model.steps, strict=True):
        assert {k: v.model_to_string() for k, v in mine.final.items()} == {
            k: v.model_to_string() for k, v in theirs.final.items()
        }
    assert np.array_equal(scope["model"].counts, model.counts)


def test_the_call_of_a_preset(donor):
    each = fusionpy.train(
        donor,
        ["solar", "rooms"],
        [["urban", "income"], ["urban", "solar"]],
        method="2024",
        hyper={"num_iterations": 3, "num_leaves": [4, 8]},
        nfolds=0.8,
        krange=(5, 20),
        seed=7,
        quiet=True,
    )
    code = train_call(each, None)
    for part in (
        'x=[["urban", "income"], ["urban", "solar"]]',
        'method="2024"',
        "nfolds=0.8",
        "krange=(5, 20)",
    ):
        assert part in code
    assert "min_data_in_leaf" not in code
    assert "patience" not in code
    scope = {"fusionpy": fusionpy, "donor": donor}
    exec(code.replace("seed=7,", "seed=7, quiet=True,"), scope)
    assert scope["model"].summary() == each.summary()


def test_scores_side_by_side(full):
    rows = shown_table(full[0], "Scores on held-out")
    assert rows[0] == ["Fusion variable", "Measure", "Better", "fused", "random hot deck"]
    assert rows[1] == ["all together", "Energy score", "lower", "0.750", "1.000"]
    assert ["gas_bill", "Coverage of 90 %", "near 0.90", "0.500", "0.750"] in rows
    assert ["heating_fuel", "made_up", "lower", "–", "–"] in rows


def test_what_was_predicted_is_no_other_way_to_fuse(scores, tmp_path):
    more = scores.table[scores.table["y"] == "gas_bill"].head(1).assign(way="predicted", measure="mean")
    texts = []
    for one in (scores, Scores(pd.concat([scores.table, more]))):
        report(tmp_path / "page.html", scores=one, quiet=True)
        texts.append(" ".join((tmp_path / "page.html").read_text("utf-8").split()))
        assert "of the same records: random hot deck." in texts[-1]
    assert ["is what the models expect" in text for text in texts] == [False, True]


def labels_of(figure):
    import matplotlib.pyplot as plt

    drawn = figure.draw()
    drawn.canvas.draw()
    found = [[label.get_text() for label in axes.get_yticklabels()] for axes in drawn.axes]
    plt.close(drawn)
    return found


def test_bars_stand_by_falling_gain():
    table = pd.DataFrame({"y": ["b", "b", "a"], "x": ["u", "v", "u"], "gain": [0.8, 0.2, 1.0]})
    figure, height = importance_bars(table)
    assert labels_of(figure) == [["v", "u"], ["u"]]  # from below
    assert importance_bars(pd.concat([table] * 2).assign(y=list("cdefgh")))[1] > height


def test_effects_stand_by_predictor_the_largest_first():
    table = pd.DataFrame(
        {"panel": ["f", "f", "f", "g"], "x": ["u", "v", "u", "v"], "sd": [0.9, 0.5, 0.1, 1200.0]}
    )
    figure, height = effect_dots(table)
    assert labels_of(figure) == [["v", "u"], ["v"]]  # from below
    assert effect_dots(pd.concat([table] * 2).assign(panel=list("ffghijkl")))[1] > height


def test_dots_have_a_row_for_each_variable():
    rows = {"way": ["f", "f", "f"], "y": ["a", "b", "b"], "measure": ["m", "m", "n"], "value": [1.0, 2, 3]}
    figure, _ = score_dots(pd.DataFrame(rows).assign(aim=0.0))
    assert labels_of(figure) == [["b", "a"], ["b"]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "There is nothing to report"),
        ({"estimates": 3}, "`estimates` cannot be used"),
        ({"scores": pd.DataFrame()}, "`scores` must be what `score()` returned"),
        ({"validation": 3}, "`validation` must be what `validate()` returned"),
        ({"model": 3}, "`model` must be a FusionModel"),
        ({"estimates": pd.DataFrame({"y": ["a"]}), "date": "soon"}, "`date` must be a date"),
        ({"estimates": pd.DataFrame({"y": ["a"]}), "authors": 3}, "`authors` must be text"),
        ({"estimates": pd.DataFrame({"y": ["a"]}), "labels": ["a"]}, "`labels` must map"),
        ({"estimates": pd.DataFrame({"y": ["a"]}), "title": 3}, "`title` must be text"),
        ({"donor": pd.DataFrame({"y": ["a"]}), "weight": "w"}, "no survey has as a column"),
        ({"donor": pd.DataFrame({"w": ["a"]}), "weight": "w"}, "Weights must be numeric, not text"),
        ({"donor": pd.DataFrame({"w": [1.0, np.nan]}), "weight": "w"}, "1 missing value"),
        ({"donor": pd.DataFrame({"w": []})}, "has no rows"),
    ],
)
def test_what_is_refused(tmp_path, given, said):
    with pytest.raises(fusionpy.FusionError, match=re.escape(said)):
        report(tmp_path / "a.html", **given, quiet=True)
    assert not (tmp_path / "a.html").exists()


@pytest.mark.parametrize(
    "path", ["a.txt", [], ["a.html", "b.html"], ["a.html", "b.pdf", "c.pdf"], "no/a.html", 3]
)
def test_paths_that_are_refused(tmp_path, monkeypatch, estimates, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fusionpy.FusionError, match="`path`"):
        report(path, estimates=estimates, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_columns_that_do_not_fit(tmp_path, model, recipient):
    with pytest.raises(fusionpy.SchemaError, match=r"`recipient` does not match(.|\n)*`rooms`"):
        report(tmp_path / "a.html", model=model, recipient=recipient.drop(columns="rooms"), quiet=True)


def test_it_says_what_it_wrote(tmp_path, estimates, capsys):
    report(tmp_path / "a.html", estimates=estimates)
    assert "a.html" in capsys.readouterr().err
    report(tmp_path / "a.html", estimates=estimates, quiet=True)
    assert capsys.readouterr().err == ""


def test_no_browser(tmp_path, monkeypatch, estimates):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv(browser.BROWSER_VARIABLE, raising=False)
    monkeypatch.setattr(browser, "PLACES", ())
    paths = [tmp_path / "a.html", tmp_path / "a.pdf"]
    with pytest.raises(
        fusionpy.OutputError, match=r"no browser(.|\n)*page itself is written(.|\n)*Install Chromium"
    ):
        report(paths, estimates=estimates, quiet=True)
    assert [path.exists() for path in paths] == [True, False]
    with pytest.raises(fusionpy.OutputError, match="no browser"):
        report(tmp_path / "b.pdf", estimates=estimates, quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def program(folder, name, script):
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport sys, time\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.skipif(sys.platform == "win32", reason="the programs are scripts")
def test_browsers_that_fail(tmp_path, monkeypatch, estimates):
    quiet = program(tmp_path, "quiet", "print('cannot open display', file=sys.stderr)")
    with pytest.raises(fusionpy.OutputError, match="cannot open display"):
        browser.print_pdf(quiet, tmp_path / "a.html", tmp_path / "a.pdf")
    slow = program(tmp_path, "slow", "time.sleep(60)")
    with pytest.raises(fusionpy.OutputError, match=r"within 0\.5 seconds"):
        browser.print_pdf(slow, tmp_path / "a.html", tmp_path / "a.pdf", 0.5)
    with pytest.raises(fusionpy.OutputError, match="does not start"):
        browser.print_pdf(str(tmp_path / "none"), tmp_path / "a.html", tmp_path / "a.pdf")
    monkeypatch.setenv(browser.BROWSER_VARIABLE, "/no/such/browser")
    with pytest.raises(fusionpy.OutputError, match=r"FUSIONPY_BROWSER is '/no/such/browser'"):
        browser.find_browser()
    wanted = "print_to = [a for a in sys.argv if a.startswith('--print-to-pdf=')][0].partition('=')[2]"
    good = program(tmp_path, "good", f"{wanted}\nopen(print_to, 'w').write('%PDF ' + sys.argv[-1])")
    monkeypatch.setenv(browser.BROWSER_VARIABLE, good)
    assert report(tmp_path / "c.pdf", estimates=estimates, quiet=True) == [str(tmp_path / "c.pdf")]
    assert (tmp_path / "c.pdf").read_text().startswith("%PDF file:///")


def test_svg_that_would_act_is_tamed():
    drawing = f"""<?xml version="1.0"?><!DOCTYPE svg>
    <svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"
      viewBox="0 0 9 9" width="9pt">
    <metadata>m</metadata><style>* {{ color: red }}</style><script>alert(1)</script>
    <defs><clipPath id="c"><rect width="1"/></clipPath><g id="m" onload="x()"><path d="M 1.23456 2
-3.0001 4"/></g></defs>
    <a href="https://example.org"><text>gone</text></a>
    <g clip-path="url(#c)"><use xlink:href="#m"/><image href="https://example.org/a.png"/></g>
    <rect fill="url(https://example.org/#x)" onclick="x()"/><text>{"&lt;b&gt;"}</text>
    <rect style="clip-path: url(#c); font-family: 'A', b; fill: red"/></svg>"""
    found = inline_svg(drawing, "f9", "T <i>", "D")
    root = ElementTree.fromstring(found)
    tags = {element.tag for element in root.iter()}
    assert not tags & {"script", "style", "metadata", "a"}
    assert "example.org" not in found
    assert "alert" not in found
    assert not re.search(r"\son\w+=", found)
    (used,) = root.findall(".//use")
    (marker,) = root.findall(".//g[@id]")
    (clip,) = root.findall(".//clipPath")
    assert used.attrib == {"href": f"#{marker.attrib['id']}"}
    clipped = f"url(#{clip.attrib['id']})"
    assert root.find(".//g[@clip-path]").attrib == {"clip-path": clipped}
    assert all(each.attrib["id"].startswith("f9-") for each in (marker, clip))
    assert root.find("title").text == "T <i>"
    assert root.find("text").text == "<b>"
    assert root.find(".//path").attrib == {"d": "M 1.23 2 -3.00 4"}
    assert "style" not in root.find(".//g[@id]").attrib
    assert root.findall("rect")[-1].attrib == {"style": f"clip-path: {clipped}; fill: red"}
    for wrong in ("<p>", "<svg/>", "<p/>"):
        with pytest.raises(ValueError, match="not SVG"):
            inline_svg(wrong, "a", "", "")


finite = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e14, max_value=1e14)


@given(value=finite, digits=st.integers(2, 6))
def test_significant_digits_are_right(value, digits):
    text = significant(value, digits).replace(",", "").replace("−", "-")
    if "×" in text:
        plain = text.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
        number, _, power = plain.partition(" × 10")
        text = f"{number}e{power}"
    assert float(text) == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits), abs=1e-300)


@given(value=finite, decimals=st.integers(0, 6))
def test_fixed_decimals_are_right(value, decimals):
    text = fixed(value, decimals)
    assert float(text.replace(",", "").replace("−", "-")) == float(f"{value:.{decimals}f}")
    assert not text.startswith("−0") or float(text.replace("−", "-").replace(",", "")) != 0


@given(error=st.floats(1e-4, 1e6))
def test_decimals_leave_two_digits(error):
    places = decimals_for([error])
    if places:
        assert error * 10**places * (1 + 1e-9) >= 10
        assert error * 10**places < 100
    else:
        assert error * (1 + 1e-9) >= 10


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=30))
def test_latex_specials_never_stand_alone(text):
    bare = re.sub(
        r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater)\{\}", "", escaped(text)
    )
    bare = re.sub(r"\\(textbar|textquotedbl|ldots)\{\}|\$(-|\\times|\\infty|\^\{[-0-9]+\})\$", "", bare)
    assert not re.search(r"(?<!\\)[&%$#_{}~^\\<>|\"]", re.sub(r"\\[&%$#_{}]", "", bare))


def test_long_tables_are_cut_on_the_page_only():
    frame = pd.DataFrame({"a": range(500)})
    table = plain_table("k", "C.", frame)
    assert (len(table.shown), table.n_left_out, table.is_long) == (120, 380, True)
    assert latex(table).count(r"\\") == 501


def test_numbers_run_through_sections():
    def table(key):
        return Table(key, "", (), (), (), pd.DataFrame())

    sections = [
        Section("a", "A", (table("t"), Figure("f-1", "", "", ()), Figure("f-2", "", "", ()))),
        Section("b", "B", (table("t"), Figure("f-1", "", "", ()), table("t-2"), Figure("f-3", "", "", ()))),
    ]
    first, second = numbered(sections)
    assert (first.refer("f"), first.refer("t")) == ("Figures 1 and 2", "Table 1")
    assert (second.refer("t"), second.refer("f", "Figure")) == ("Tables 2 and 3", "Figures 3 and 4")
    assert [each.number for each in second.exhibits] == [2, 3, 3, 4]


@given(n=st.integers(1, 60), most=st.integers(1, 9))
def test_chunks_are_even(n, most):
    parts = chunks([str(j) for j in range(n)], most)
    assert [name for part in parts for name in part] == [str(j) for j in range(n)]
    sizes = [len(part) for part in parts]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


def test_references_are_in_order():
    assert list(REFERENCES) == sorted(REFERENCES)
    for reference in REFERENCES.values():
        assert re.search(r"\((\d{4})\)$", reference.authors)[1] == reference.short[-4:]


def test_written_tables_read_back_as_they_were(full):
    for path in full[1].glob("*importance*.csv"):
        frame = pd.read_csv(io.StringIO(path.read_text("utf-8")), index_col=0)
        assert frame.sum().to_numpy() == pytest.approx(1)


# --- Predictors of which recipients have what donors have not


def test_other_units_are_in_bold(model, donor, recipient, tmp_path):
    """The standardised difference of incomes in thousands is not even large."""
    wrong = recipient.assign(income=recipient["income"] / 1000)
    path, *_ = fusionpy.report(
        tmp_path / "r.html",
        model=model,
        donor=donor,
        recipient=wrong,
        weight="weight",
        tables=tmp_path,
        quiet=True,
    )
    html = Path(path).read_text(encoding="utf-8")
    (bold,) = re.findall(r'<tr class="bold">(.*?)</tr>', html, re.DOTALL)[:1]
    assert ">income<" in bold
    assert "In bold: recipients unlike the donors. income: values are about 1,000 times smaller" in html
    assert 'class="bold"' in html
    (tex,) = tmp_path.glob("*predictors.tex")
    assert r"\textbf{income}" in tex.read_text(encoding="utf-8")
    frame = pd.read_csv(next(tmp_path.glob("*predictors.csv")))
    (distance,) = frame.loc[(frame["predictor"] == "income") & frame["distance"].notna(), "distance"]
    assert distance > 0.98


def test_recipients_like_the_donors_have_nothing_in_bold(full):
    assert 'class="bold"' not in full[0]
    assert "In bold" not in full[0]


def test_a_survey_shows_outliers_by_weight(model, donor, recipient, tmp_path):
    """Few records of much weight lie outside of the donors' range."""
    few = recipient.assign(rooms=recipient["rooms"].where(recipient.index >= 40, -9))
    heavy = few.assign(weight=few["weight"].where(few.index >= 40, few["weight"] * 10))
    for frame, marked in ((few, False), (heavy, True)):
        path, *_ = fusionpy.report(
            tmp_path / "r.html", model=model, recipient=frame, weight="weight", quiet=True
        )
        html = Path(path).read_text(encoding="utf-8")
        assert (
            "rooms: 1" in html and "are outside the donors’ range" in html.replace("&#39;", "’")
        ) == marked
