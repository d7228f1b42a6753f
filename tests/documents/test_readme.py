"""The README: its code runs and prints what it shows, and its numbers are those of the studies' tables."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
# Text between fences, by the language that the fence names.
BLOCKS = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", README)
EFFECTS = {"population": "embedded", "donors": "1000", "times": "10", "way": "effects", "part": "domains"}
# Of every number in bold: the table in validation/, the row that it is from, the column, and a power of that.
NUMBERS = {
    "1.009": ("holdout/summary.csv", {"way": "R fusionModel 2.4.0", "measure": "energy"}, "to_default", 1),
    "0.913": ("coverage/summary.csv", EFFECTS, "coverage", 1),
    "0.69": ("benchmarks/fuse.csv", {"piece": "nation", "M": "40"}, "peak_gb", 1),
    "1.18": ("benchmarks/r_script.csv", {"piece": "from_r"}, "cpu_ratio", -1),
}


def code(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 120


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Give what the code prints, in a terminal of 100 columns."""
    (script,) = code("python")
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path_factory.mktemp("readme"),
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_python_runs(printed: str) -> None:
    assert "[200000 rows x 6 columns]" in printed


@pytest.mark.slow
def test_python_prints_what_is_shown(printed: str, pinned: None) -> None:
    assert printed == "".join(code("text"))


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_those_of_the_studies(number: str) -> None:
    file, where, column, power = NUMBERS[number]
    with (ROOT / "validation" / file).open(newline="", encoding="utf-8") as lines:
        (row,) = [row for row in csv.DictReader(lines) if where.items() <= row.items()]
    assert number == f"{float(row[column]) ** power:.{len(number.partition('.')[2])}f}"


def test_no_other_number_is_claimed() -> None:
    assert re.findall(r"\*\*([\d.,]+)\*\*", README) == list(NUMBERS)


def test_links_lead_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", README)
    here = [target for target in targets if not target.startswith("https://")]
    assert len(here) > 10
    assert [target for target in here if not (ROOT / target).exists()] == []


def test_it_tells_how_the_tests_are_run() -> None:
    assert any(line.startswith("make test") for line in "".join(code("")).splitlines())
    assert "make test VENV=.venv" in (ROOT / ".ci" / "run").read_text("utf-8")
