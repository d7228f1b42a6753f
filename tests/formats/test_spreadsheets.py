"""CSV tables hold no formulas, whatever levels and names a survey has; and they can be read back."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import halved
from typer.testing import CliRunner

import fusionpy
from fusionpy.cli import app, tables
from fusionpy.formats.spreadsheets import as_csv, without_marks

FORMULAS = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1")
FAST = {"nfolds": 2, "refits": 0, "seed": 1, "quiet": True, "hyper": {"num_iterations": 3}}


def cells(text):
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


def acts(cell):
    """What a spreadsheet would take for a formula."""
    try:
        float(cell)
    except ValueError:
        return cell[:1] in tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20") and cell not in ("+", "-")
    return False


TEXTS = st.one_of(
    st.sampled_from(FORMULAS),
    st.text(st.sampled_from("'=+-@\t\r\n1.e,;\"a"), max_size=5),
    st.floats(allow_nan=False).map(str),
)


@halved
@given(st.lists(TEXTS, min_size=1, max_size=6), st.lists(TEXTS, unique=True, min_size=2, max_size=2))
@pytest.mark.parametrize("kind", ["object", "string", "category"])
def test_no_cell_acts_and_all_come_back(kind, values, names):
    frame = pd.DataFrame({names[0]: pd.Series(values, dtype=kind), names[1]: [-1.5] * len(values)})
    text = as_csv(frame)
    assert [cell for cell in cells(text) if acts(cell)] == []
    rows = list(csv.reader(io.StringIO(text, newline="")))
    again = without_marks(pd.DataFrame(rows[1:], columns=rows[0], dtype=object))
    assert again.columns.to_list() == names
    assert again.iloc[:, 0].to_list() == values
    assert again.iloc[:, 1].to_list() == ["-1.5"] * len(values)


def test_numbers_stay_numbers():
    frame = pd.DataFrame({"a": [-1.5, np.nan, -np.inf], "b": ["-7", "+1e-5", "-.5"], "c": ["-", "x", None]})
    assert pd.read_csv(io.StringIO(as_csv(frame)))["b"].tolist() == [-7, 1e-5, -0.5]
    assert as_csv(frame) == "a,b,c\n-1.5,-7,-\n,+1e-5,x\n-inf,-.5,\n"


@pytest.fixture(scope="module")
def hostile():
    """A survey whose levels are formulas."""
    rng = np.random.default_rng(1)
    n = 400
    level = pd.Categorical(rng.choice(FORMULAS, n), categories=FORMULAS)
    y = pd.Categorical(rng.choice(FORMULAS[:3], n), categories=FORMULAS[:3])
    return pd.DataFrame(
        {"group": level, "x": rng.normal(size=n), "y": y, "=z": level, "w": rng.uniform(1, 2, n)}
    )


@pytest.fixture(scope="module")
def fused(hostile, tmp_path_factory):
    folder = tmp_path_factory.mktemp("formulas")
    model = fusionpy.train(hostile, "y", ["group", "x"], **FAST, fsn=folder / "m.fsn")
    fusionpy.fuse(
        hostile, model, folder / "f.parquet", M=3, retain=["group", "=z", "x", "w"], seed=1, quiet=True
    )
    hostile.to_parquet(folder / "d.parquet")
    return folder


def written(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.csv"))
    assert found
    return found


@pytest.mark.parametrize(
    "command",
    [
        "analyze f.parquet mean(y) --by group,=z --weight w --out {}/a.csv",
        "validate d.parquet f.parquet --subset-vars group --weight w --min-size 10 --no-plot --out {}",
        "importance m.fsn --out {}/i.csv",
    ],
)
def test_the_command_line_writes_no_formulas(fused, tmp_path, monkeypatch, command):
    monkeypatch.chdir(fused)
    result = CliRunner().invoke(app, command.format(tmp_path).split())
    assert result.exit_code == 0, result.output
    for path in written(tmp_path):
        assert [cell for cell in cells(path.read_bytes().decode()) if acts(cell)] == []


@pytest.mark.filterwarnings("ignore::fusionpy.errors.FusionWarning")
def test_tables_of_a_report_hold_no_formulas(hostile, fused, tmp_path):
    found = fusionpy.analyze("mean(y)", str(fused / "f.parquet"), by="group", quiet=True)
    fusionpy.report(
        tmp_path / "r.html",
        model=fusionpy.read_fsn(fused / "m.fsn"),
        donor=hostile,
        estimates={"=level": found},
        tables=tmp_path / "tables",
    )
    for path in written(tmp_path):
        assert [cell for cell in cells(path.read_bytes().decode()) if acts(cell)] == []


def test_estimates_are_read_back_as_they_were(fused, tmp_path):
    table = fusionpy.analyze("mean(y)", str(fused / "f.parquet"), by="group", quiet=True)
    tables.write_table(table, tmp_path / "e.csv")
    again = tables.read_table(str(tmp_path / "e.csv"))
    assert again["group"].tolist() == [str(each) for each in table["group"]]
    assert again["est"].tolist() == table["est"].tolist()
