"""Figures of a validation: drawn without warnings, told apart, and the same every time."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import quick, slow

from fusionpy import figures

SHARE = np.linspace(0.01, 0.6, 30)
METRICS = ["est", "vad", "moe"]


def curves(n):
    names = [f"variable_{k}" for k in range(n)]
    parts = [
        pd.DataFrame({"share": SHARE, "y": y, "value": 0.1 * k + 0.3 * SHARE}) for k, y in enumerate(names)
    ]
    return pd.concat(parts, ignore_index=True)


def points(metric, n=200):
    rng = np.random.default_rng(2)
    value = {"est": np.abs(rng.standard_t(1, n)), "vad": rng.random(n), "moe": np.exp(rng.normal(size=n))}
    return pd.DataFrame({"share": rng.uniform(0.01, 0.6, n), metric: value[metric]})


def texts(svg):
    root = ET.fromstring(svg)
    return ["".join(element.itertext()).strip() for element in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("metric", quick(METRICS, ["est", "moe"]))
def test_svg_is_text_and_always_the_same(metric):
    def draw():
        return figures.svg_text(figures.all_curves(metric, curves(5)), 7, 4)

    svg = draw()
    assert svg == draw()
    assert svg.startswith("<svg")
    assert not re.search(r"20\d\d-\d\d-\d\d", svg)
    found = texts(svg)
    assert figures.TITLES[metric] in found
    assert figures.X_TITLE in found
    assert figures.Y_TITLES[metric] in found
    assert {"5%", "10%", "60%"} <= set(found)
    root = ET.fromstring(svg)
    assert (root.get("width"), root.get("height")) == ("504pt", "288pt")


@pytest.mark.parametrize("metric", quick(METRICS, ["vad"]))
def test_legend_is_in_the_order_of_the_curves_ends(metric):
    found = [t for t in texts(figures.svg_text(figures.all_curves(metric, curves(12)), 7, 4.2)) if "var" in t]
    assert found == [f"variable_{k}" for k in range(11, -1, -1)]


def test_up_to_twenty_four_variables_look_different():
    drawn = figures.all_curves("est", curves(24)).draw()
    lines = drawn.axes[0].lines
    looks = {(str(c.get_color()), str(c._dash_pattern)) for c in lines}
    plt.close(drawn)
    assert len(lines) == len(looks) == 24


@pytest.mark.parametrize("metric", METRICS)
def test_points_that_are_not_shown_are_counted(metric):
    data = points(metric)
    part = curves(1)
    found = texts(figures.svg_text(figures.one_curve(metric, "kwh", data, part), 5, 4))
    said = [int(t.split()[0]) for t in found if "far point" in t]
    assert {"kwh", figures.TITLES[metric]} <= set(found)
    if metric == "vad":
        assert said == []
    else:
        ends = figures._ends(metric, data[metric], part["value"])
        assert said == [int(((data[metric] < ends[0]) | (data[metric] > ends[1])).sum())]
        assert 0 < said[0] <= (5 if metric == "est" else 10)


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), slow(("pdf", b"%PDF")), ("svg", b"<?xml")])
def test_files_are_the_same_every_time(tmp_path, kind, start):
    written = []
    for name in ("a.part", "b.part"):
        figure = figures.one_curve("moe", "kwh", points("moe", 20), curves(1))
        figures.write_figure(figure, tmp_path / name, kind, 4, 3)
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    assert written[0].startswith(start)


def test_nothing_to_draw_is_drawn():
    empty = pd.DataFrame({"share": [], "y": [], "value": []}, dtype=float).astype({"y": object})
    for metric in METRICS:
        none = pd.DataFrame({"share": [], metric: []}, dtype=float)
        assert "<svg" in figures.svg_text(figures.one_curve(metric, "kwh", none, empty), 4, 3)
        one = pd.DataFrame({"share": [0.2], "y": ["a"], "value": [0.5]})
        assert "<svg" in figures.svg_text(figures.all_curves(metric, one), 4, 3)
        assert "<svg" in figures.svg_text(figures.all_curves(metric, empty), 4, 3)


@given(st.floats(1e-4, 0.9), st.floats(0.001, 1))
def test_breaks_are_inside_and_apart(low, width):
    high = min(1.0, low + width)
    found = figures.x_breaks(low, high)
    assert found == sorted(found)
    assert len(found) >= 2
    assert low * (1 - 1e-6) <= found[0] <= found[-1] <= high * (1 + 1e-6)
    gaps = np.diff(np.sqrt(found)) / (np.sqrt(high) - np.sqrt(low))
    assert (gaps >= figures.CLOSEST - 1e-6).all()


def test_colours_are_told_apart_from_white_and_each_other():
    def luminance(colour):
        channel = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channel]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    assert all(1.05 / (luminance(c) + 0.05) > 2.2 for c in figures.COLOURS)
    assert len(set(figures.COLOURS)) * len(figures.STROKES) >= 24


def test_plotnine_waits_until_it_is_needed():
    code = "import sys, fusionpy.evaluation.validation; sys.exit('plotnine' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode
        == 0
    )
