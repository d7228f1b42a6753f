"""Text that is shown alike but spelt with other Unicode characters, as macOS and databases hand it out."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import fusionpy
from fusionpy import FusionWarning, SchemaError
from fusionpy.cli import app

N = 120
TINY: dict[str, Any] = {"refits": 0, "hyper": {"num_iterations": 5}, "seed": 1, "quiet": True}
PLACES = ["Québec", "Ångström", "plain"]
ALIKE = "is shown alike, but spelt with other Unicode characters: normalise both to NFC"


def spelt(form: Any, kind: str = "category") -> pd.Series:
    places = pd.Series(np.resize([unicodedata.normalize(form, each) for each in PLACES], N))
    return (
        places.astype(kind)
        if kind != "ordered"
        else places.astype(pd.CategoricalDtype(sorted(places.unique()), True))
    )


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(1)
    return pd.DataFrame({"x": rng.normal(size=N), "y": rng.normal(size=N)})


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("kind", ["category", "ordered", "str"])
@pytest.mark.filterwarnings("ignore:Text columns are taken as nominal")
def test_recipients_whose_levels_are_spelt_otherwise(numbers, tmp_path, form, kind):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    model = fusionpy.train(numbers.assign(c=spelt(form, kind)), y=["y"], x=["c"], **TINY)
    recipient = pd.DataFrame({"c": spelt(other, kind)})
    recipient.to_parquet(tmp_path / "r.parquet")
    for data in (
        recipient,
        pl.from_pandas(recipient),
        pa.Table.from_pandas(recipient),
        tmp_path / "r.parquet",
    ):
        if kind == "ordered" and isinstance(data, pl.DataFrame):
            continue
        with pytest.raises(SchemaError, match=f"`c`: level '(Québec|Ångström)' {ALIKE}"):
            fusionpy.fuse(data, model, seed=1, quiet=True)
    with pytest.raises(SchemaError, match="level 'x' was not in training"):
        fusionpy.fuse(pd.DataFrame({"c": ["x"] * N}, dtype="category"), model, seed=1, quiet=True)


@pytest.mark.parametrize("kind", ["category", "str"])
def test_donors_with_both_spellings_are_warned_of(numbers, kind):
    both = pd.concat([spelt("NFC", kind)[: N // 2], spelt("NFD", kind)[N // 2 :]]).astype(kind)
    with pytest.warns(FusionWarning, match=f"the same to the eye: .*'(Québec|Ångström)' {ALIKE}"):
        fusionpy.train(numbers.assign(c=both), y=["y"], x=["c"], **TINY)


def test_names_of_columns(numbers):
    donor = numbers.rename(columns={"x": unicodedata.normalize("NFD", "âge")})
    with pytest.raises(SchemaError, match=f"`âge`: not in `data` \\('âge' {ALIKE}\\)"):
        fusionpy.train(donor, y=["y"], x=["âge"], **TINY)


def test_validation(numbers):
    observed = numbers.assign(c=spelt("NFC"), g=pd.Categorical(["a", "b"] * (N // 2)))
    fused = pd.DataFrame({"M": np.repeat([1, 2], N), "c": pd.concat([spelt("NFD")] * 2, ignore_index=True)})
    with pytest.raises(SchemaError, match=f"level '(Québec|Ångström)' {ALIKE}"):
        fusionpy.validate(observed, fused, ["g"], quiet=True)


def test_rows_are_found_whatever_the_spelling(numbers, tmp_path):
    for form in ("NFC", "NFD"):
        fused = pa.table({"M": [1] * N, "c": pa.array(spelt(form, "str").to_list())})
        pa.parquet.write_table(fused, tmp_path / "f.parquet")
        for wanted in ("NFC", "NFD"):
            asked = unicodedata.normalize(wanted, "Québec")
            found = fusionpy.read_fsd(tmp_path / "f.parquet", where={"c": asked})
            assert len(found) == N // 3
            assert set(found["c"]) == {unicodedata.normalize(form, "Québec")}


def test_levels_on_the_command_line(numbers, tmp_path):
    numbers.assign(c=spelt("NFD", "str")).to_csv(tmp_path / "d.csv", index=False)
    ordered = "c=plain<Québec<Ångström"
    arguments = [
        "train",
        f"{tmp_path}/d.csv",
        "--y",
        "y",
        "--x",
        "c",
        "--ordered",
        ordered,
        "--fsn",
        f"{tmp_path}/m.fsn",
    ]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert ALIKE in " ".join(result.stderr.split())
