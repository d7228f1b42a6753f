"""The committed pages of the studies say what the studies' tables say."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

VALIDATION = Path(__file__).parents[2] / "validation"
ROW = re.compile(r"^\| .* \| (-?[\d.]+) \| (.*?) \| `([\w./]+):(\d+)`, `(\w+)` \| `.+` \|$", re.M)


def load(script: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a script of validation/, which finds its neighbours by `sys.path`."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    path = VALIDATION / script
    spec = importlib.util.spec_from_file_location(f"validation_{path.parent.name}_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # dataclasses look for theirs
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pages(monkeypatch):
    return load("pages.py", monkeypatch)


def test_summary_is_what_the_tables_make(monkeypatch, pages):
    blocks = pages.blocks_of(VALIDATION / "README.md")
    made = load("summary.py", monkeypatch).made()
    assert blocks == {name: text.strip() for name, text in made.items()}


def test_every_number_stands_in_its_cell():
    rows = ROW.findall((VALIDATION / "README.md").read_text("utf-8"))
    assert len(rows) > 20
    for number, _, file, line, column in rows:
        with (VALIDATION / file).open(newline="", encoding="utf-8") as lines:
            head, *body = csv.reader(lines)
        cell = body[int(line) - 2][head.index(column)]
        digits = len(number.partition(".")[2])
        assert number == f"{float(cell):.{digits}f}", (file, line, column)


def test_every_study_is_there():
    studies = re.findall(r"(?m)^\| (\w+) \| .*`.+:\d+`", (VALIDATION / "README.md").read_text("utf-8"))
    assert list(dict.fromkeys(studies)) == ["recs2015", "holdout", "coverage", "speed"]


def test_every_row_of_the_summary_has_a_number_and_a_cell():
    text = (VALIDATION / "README.md").read_text("utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    heads = [line for line in lines if line.startswith("| study ")]
    assert len(ROW.findall(text)) == len(lines) - len(heads)


def test_page_of_recs2015_is_what_its_tables_make(monkeypatch, pages):
    study = load("recs2015/run.py", monkeypatch)
    made = json.loads((VALIDATION / "recs2015" / "made.json").read_text("utf-8"))
    blocks = study.page(pd.read_csv(VALIDATION / "recs2015" / "summary.csv"), made)
    committed = pages.blocks_of(VALIDATION / "recs2015" / "README.md")
    assert committed == {name: text.strip() for name, text in blocks.items()}


def test_summary_of_recs2015_is_what_its_runs_make(monkeypatch):
    study = load("recs2015/run.py", monkeypatch)
    made = study.summarise(pd.read_csv(VALIDATION / "recs2015" / "runs.csv"))
    committed = pd.read_csv(VALIDATION / "recs2015" / "summary.csv")
    pd.testing.assert_frame_equal(made, committed, check_dtype=False, rtol=0, atol=6e-6)


def test_page_of_speed_is_what_the_benchmarks_make(monkeypatch, pages):
    study = load("speed/run.py", monkeypatch)
    rows, _ = study.collect(VALIDATION)
    assert pages.blocks_of(VALIDATION / "speed" / "README.md") == {"table": study.page(rows).strip()}


def test_markers_that_do_not_match_are_refused(tmp_path, pages):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n<!-- made: one -->\n\nold\n\n<!-- end -->\n\nBy hand.\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"markers for \['one'\]"):
        pages.fill(page, {"two": "new"})
    pages.fill(page, {"one": "| new |\n"})
    assert (
        page.read_text("utf-8") == "# A page\n\n<!-- made: one -->\n\n| new |\n\n<!-- end -->\n\nBy hand.\n"
    )


def test_a_row_must_be_the_only_one(tmp_path, pages):
    file = tmp_path / "numbers.csv"
    file.write_text("way,value\na,1\nb,2\nb,3\n", encoding="utf-8")
    assert pages.find_row(file, {"way": "a"}) == (2, {"way": "a", "value": "1"})
    assert pages.find_row(file, {"way": "c"}) is None
    with pytest.raises(SystemExit, match="2 rows"):
        pages.find_row(file, {"way": "b"})
