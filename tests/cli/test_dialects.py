"""CSV files as people have them: semicolons, decimal commas, other encodings; read right, or refused."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import fusionpy
from fusionpy.cli.dialects import find_dialect
from fusionpy.cli.surveys import open_survey
from fusionpy.errors import ArgumentError, FusionError

ARCHIVE = Path(__file__).parents[1] / "archives" / "format-1.fsn"
SURVEY = pd.DataFrame(
    {
        "hid": [1, 2, 3],
        "income": [1234.5, -0.25, np.nan],
        "who, where": ["a; b", 'say "x"', "c,d"],
        "größe": [1, 2, 3],
        "owns": [True, False, True],
    }
)


def read(path, **more):
    survey = open_survey(str(path))
    return survey.read(survey.names, **more).to_pandas()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize(
    ("separator", "decimal"), [(",", "."), (";", ","), (";", "."), ("\t", "."), ("\t", ","), ("|", ".")]
)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_what_is_written_is_read(tmp_path, encoding, separator, decimal, ending):
    path = tmp_path / f"a{ending}"
    SURVEY.to_csv(path, index=False, sep=separator, decimal=decimal, encoding=encoding)
    found = read(path)
    pd.testing.assert_frame_equal(found, SURVEY)
    assert find_dialect(path).separator == separator


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n1\n2\n", {"a": [1, 2]}),
        ("a;b\n1;2\n", {"a": [1], "b": [2]}),
        ("a,b;c\n1,2\n", {"a": [1], "b;c": [2]}),
        ("a;b,c\n1;2\n", {"a": [1], "b,c": [2]}),
        ('a,b\n1,"x\ny;z"\n', {"a": [1], "b": ["x\ny;z"]}),
        ("a;b\n1,250;2\n", {"a": [1.25], "b": [2]}),  # where semicolons separate, commas are decimal
        ("a;b\n01.02.2020;x,y\n", {"a": ["01.02.2020"], "b": ["x,y"]}),
        ("a;b\r\n1,5;\r\n", {"a": [1.5], "b": [None]}),
        ("a\tb\n1\t2,x\n", {"a": [1], "b": ["2,x"]}),
    ],
)
def test_odd_files(tmp_path, text, expected):
    (tmp_path / "a.csv").write_text(text, newline="")
    assert read(tmp_path / "a.csv").replace({np.nan: None}).to_dict("list") == expected


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("a;b\n1,5;2\n3;2.5\n", "`b`"),
        ("a;b\n1.234,5;2\n", "`a`"),
        ("a\tb\n1,234\tx\n", "`a`"),  # a thousand and more, or one and less?
        ("a\tb\n1,234\t0.5\n", "`a`"),
    ],
)
def test_numbers_that_cannot_be_told_are_refused(tmp_path, text, columns):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(FusionError, match=f"numbers cannot be told of columns .*: {columns}"):
        read(tmp_path / "a.csv")
    survey = open_survey(str(tmp_path / "a.csv"))
    others = [name for name in survey.names if f"`{name}`" != columns]
    assert survey.read(others).column_names == others


def test_utf_16_without_a_mark_is_told(tmp_path):
    (tmp_path / "a.csv").write_bytes("a,b\n1,2\n".encode("utf-16-le"))
    with pytest.raises(ArgumentError, match="UTF-16 without the mark"):
        open_survey(str(tmp_path / "a.csv"))


def test_decimals_far_down_are_not_lost_in_silence(tmp_path):
    """What the first 2**20 bytes do not show does not end in text."""
    lines = ["a;b", *["1;2"] * 300_000, "1,5;2"]
    (tmp_path / "a.csv").write_text("\n".join(lines))
    with pytest.raises(FusionError, match=r"numbers cannot be told of columns .*: `a`"):
        read(tmp_path / "a.csv")


def test_a_long_line_with_quotes_is_quick(tmp_path):
    with gzip.open(tmp_path / "a.csv.gz", "wt") as file:
        file.write("a,b\n" + '"' * 2_000_001 + ",1\n")
    with pytest.raises(ArgumentError):
        read(tmp_path / "a.csv.gz")


@pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.csv.gz", "a.tsv"])
def test_verbs_tell_that_they_take_no_csv(tmp_path, name):
    (tmp_path / name).write_text("a;b\n1,5;2\n")
    for act in (
        lambda path: fusionpy.fuse(path, ARCHIVE, quiet=True),
        lambda path: fusionpy.analyze("mean(a)", path, quiet=True),
    ):
        with pytest.raises(ArgumentError, match="It is a CSV file"):
            act(tmp_path / name)
