"""What columns of a file are: by themselves, and as `--nominal`, `--text` and `--missing` say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import fusionpy
from fusionpy.cli import app
from fusionpy.cli.declared import Declared, as_declared, inferred, read_declared, without
from fusionpy.cli.surveys import open_survey
from fusionpy.errors import ArgumentError, Problems, SchemaError

OPTIONS = ("ordered", "nominal", "text", "missing")
FAST = "--refits 0 --nclusters 20 --hyper num_iterations=5 --seed 1 -q".split()


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def succeed(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def fail(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    return result.stderr


def declared(**given: str | list[str]) -> Declared:
    problems = Problems(ArgumentError, "Wrong.")
    lists = [[v] if isinstance(v := given.get(name, []), str) else v for name in OPTIONS]
    found = read_declared(*lists, problems)
    problems.stop()
    return found


def column(path: Path, name: str, **given: str | list[str]) -> pa.ChunkedArray:
    return open_survey(str(path)).read([name], declared(**given)).column(name)


def levels(array: pa.ChunkedArray) -> list[Any]:
    return array.combine_chunks().dictionary.to_pylist()


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "codes.csv"
    path.write_text(
        "fips,code,quoted,amount,rate,yes,half,when\n"
        '01001,10,"1","5",.5,true,05.5,-9\n'
        '36061,-7,"-7","-9",-9,false,1.5,2\n'
        '06037,2,"2",".",-8,true,2,.\n'
    )
    return path


def test_numbers_with_leading_zeros_stay_text(csv: Path) -> None:
    assert column(csv, "fips").to_pylist() == ["01001", "36061", "06037"]
    assert column(csv, "half").to_pylist() == ["05.5", "1.5", "2"]
    assert column(csv, "code").type == pa.int64()
    assert column(csv, "rate").type == pa.float64()


def test_a_late_leading_zero_is_seen(tmp_path: Path) -> None:
    """In a later block than the one from which types are guessed."""
    path = tmp_path / "late.csv"
    path.write_text("a,b\n" + "1,1\n" * 400_000 + "01,1\n")
    read = open_survey(str(path)).read(["a", "b"])
    assert read.schema.types == [pa.string(), pa.int64()]
    assert read.column("a")[-1].as_py() == "01"


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_fips_codes_come_through_a_fusion(ending: str, tmp_path: Path) -> None:
    """As predictor with the model's levels, and as a column that is carried along."""
    r = np.random.default_rng(1)
    fips = r.choice(["01001", "06037", "36061"], 300)
    frame = pd.DataFrame({"fips": fips, "age": r.integers(18, 90, 300), "y": r.normal(0, 1, 300)})
    paths = [tmp_path / f"{name}.{ending}" for name in ("donor", "recipient")]
    for path, part in zip(paths, (frame, frame.drop(columns="y").assign(id=fips)), strict=True):
        part.to_parquet(path) if ending == "parquet" else part.to_csv(path, index=False)
    fsn, fsd = tmp_path / "m.fsn", tmp_path / "f.parquet"
    succeed("train", paths[0], "--y", "y", "--x", "fips,age", "--fsn", fsn, *FAST)
    assert fusionpy.read_fsn(fsn).schema["fips"].levels == ("01001", "06037", "36061")
    succeed("fuse", paths[1], fsn, "--fsd", fsd, "--retain", "id", "-q")
    assert pd.read_parquet(fsd)["id"].tolist() == fips.tolist()


def test_a_quantity_of_the_model_may_be_written_with_zeros(tmp_path: Path) -> None:
    r = np.random.default_rng(1)
    age = r.integers(1, 90, 200)
    pd.DataFrame({"age": age, "y": age + r.normal(0, 1, 200)}).to_csv(tmp_path / "d.csv", index=False)
    pd.DataFrame({"age": [f"{a:03d}" for a in age]}).to_csv(tmp_path / "r.csv", index=False)
    succeed("train", tmp_path / "d.csv", "--y", "y", "--x", "age", "--fsn", tmp_path / "m.fsn", *FAST)
    succeed("fuse", tmp_path / "r.csv", tmp_path / "m.fsn", "--fsd", tmp_path / "f.parquet", "-q")


# --- Options


def test_nominal_makes_categories_of_codes(csv: Path) -> None:
    found = column(csv, "quoted", nominal="quoted")
    assert not found.type.ordered
    assert levels(found) == ["-7", "1", "2"]
    assert levels(column(csv, "code", nominal="co*")) == ["-7", "2", "10"]
    assert levels(column(csv, "fips", nominal="fips")) == ["01001", "06037", "36061"]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([3, 1, None], [1, 3]),
        ([3.0, 1.0, None], [1, 3]),
        ([1.5, 0.5, None], [0.5, 1.5]),
        (["b", "a", None], ["a", "b"]),
        ([True, False, None], [False, True]),
        (pd.Categorical(["b", "a", None], ["b", "a"], ordered=True), ["b", "a"]),
    ],
    ids=lambda value: str(type(value[0])) if isinstance(value, list) else "category",
)
def test_nominal_and_text_in_parquet(values: Any, wanted: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pd.DataFrame({"a": values}).to_parquet(path)
    found = column(path, "a", nominal="a")
    assert levels(found) == wanted
    assert not found.type.ordered
    text = column(path, "a", text="a")
    assert text.type == pa.string()
    assert text.to_pylist()[2] is None


def test_text_is_taken_as_it_is_written(csv: Path) -> None:
    assert column(csv, "code", text="code").to_pylist() == ["10", "-7", "2"]
    assert column(csv, "rate", text="*").to_pylist() == [".5", "-9", "-8"]


def test_missing_codes_in_all_columns(csv: Path) -> None:
    assert column(csv, "amount", missing="-9,-8,.").to_pylist() == [5, None, None]
    assert column(csv, "rate", missing="-9,-8,.").to_pylist() == [0.5, None, None]
    assert column(csv, "when", missing="-9,.").type == pa.int64()
    assert column(csv, "quoted", missing="-7", nominal="quoted").to_pylist() == ["1", None, "2"]
    assert levels(column(csv, "quoted", missing="-7", nominal="quoted")) == ["1", "2"]


def test_missing_codes_of_one_column(csv: Path) -> None:
    both = open_survey(str(csv)).read(
        ["amount", "rate", "when"], declared(missing=["amount=-9,.", "wh*=-9,."])
    )
    assert both.column("amount").to_pylist() == [5, None, None]
    assert both.column("rate").to_pylist() == [0.5, -9, -8]
    assert both.column("when").to_pylist() == [None, 2, None]
    assert column(csv, "fips", missing="fips=36061").to_pylist() == ["01001", None, "06037"]
    assert column(csv, "yes", missing="yes=-1").to_pylist() == [True, False, True]


def test_codes_are_compared_as_numbers_in_columns_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b\n-9.0,-9\n1.5, -9\n")
    assert column(path, "a", missing="-9").to_pylist() == [None, 1.5]
    assert column(path, "b", missing="-9").to_pylist() == [None, None]


@pytest.mark.parametrize("where", ["-9,x", "a=-9,x"])
def test_missing_codes_in_parquet(where: str, tmp_path: Path) -> None:
    kinds = {
        "int": [1, -9, 2],
        "float": [1.5, -9.0, 2],
        "text": ["u", "-9", "x"],
        "category": pd.Categorical(["u", "-9", "x"], ["x", "-9", "u"], ordered=True),
        "codes": pd.Categorical([1, -9, 2], [-9, 1, 2]),
        "bool": [True, False, True],
    }
    for name, values in kinds.items():
        pd.DataFrame({"a": values}).to_parquet(tmp_path / "a.parquet")
        found = column(tmp_path / "a.parquet", "a", missing=where)
        assert found.null_count == {"text": 2, "category": 2, "bool": 0}.get(name, 1), name
        if name == "category":
            assert (levels(found), found.type.ordered) == (["u"], True)


def test_ordered_after_missing(csv: Path) -> None:
    found = column(csv, "quoted", ordered="quoted=1<2", missing="quoted=-7")
    assert found.to_pylist() == ["1", None, "2"]
    assert found.type.ordered


def test_the_model_knows_better_than_the_recipients_file(tmp_path: Path) -> None:
    """Codes that were made nominal in training are so in recipients, whatever their file makes of them."""
    r = np.random.default_rng(1)
    frame = pd.DataFrame({"region": r.integers(1, 5, 300), "age": r.integers(18, 90, 300)})
    frame.assign(y=frame["region"] % 2 + r.normal(0, 0.1, 300)).to_csv(tmp_path / "d.csv", index=False)
    frame.to_parquet(tmp_path / "r.parquet")
    frame.to_csv(tmp_path / "r.csv", index=False)
    out = ("--y", "y", "--x", "region,age", "--nominal", "region", "--fsn", tmp_path / "m.fsn")
    succeed("train", tmp_path / "d.csv", *out, *FAST)
    assert fusionpy.read_fsn(tmp_path / "m.fsn").schema["region"].levels == ("1", "2", "3", "4")
    for name in ("r.csv", "r.parquet"):
        for more in ((), ("--nominal", "region"), ("--missing", "-9")):
            fsd = tmp_path / f"f_{name}_{len(more)}.parquet"
            succeed("fuse", tmp_path / name, tmp_path / "m.fsn", "--fsd", fsd, "--seed", 1, "-q", *more)
    written = [pq.read_table(path).column("y") for path in tmp_path.glob("f_*")]
    assert len(written) == 6 - 2  # two of the same name
    assert all(one.equals(written[0]) for one in written)


def test_every_command_that_reads_a_survey_takes_them() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name in ("train", "fuse", "prep", "impute", "importance", "analyze", "validate", "score", "report"):
        assert set(OPTIONS) <= {parameter.name for parameter in commands[name].params}, name


def test_they_reach_every_verb(tmp_path: Path) -> None:
    r = np.random.default_rng(1)
    n = 240
    frame = pd.DataFrame(
        {"region": r.integers(1, 4, n), "age": r.integers(18, 90, n).astype(float), "w": np.ones(n)}
    )
    frame["y"] = 2 * frame["region"] + frame["age"] / 9 + r.normal(0, 1, n)
    frame.loc[:20, "age"] = -9
    frame["age"] = frame["age"].astype(int)
    path, fsn, fsd = tmp_path / "d.csv", tmp_path / "m.fsn", tmp_path / "f.parquet"
    frame.to_csv(path, index=False)
    say = ("--nominal", "region", "--missing", "age=-9")
    common = ("--y", "y", "--x", "region,age")
    assert "--nominal region --missing age=-9" in succeed("prep", path, *common, *say, "--seed", 1, "-q")
    succeed("train", path, *common, *say, "--fsn", fsn, *FAST)
    model = fusionpy.read_fsn(fsn)
    assert model.schema["region"].kind == "nominal"
    assert model.ranges["age"].low >= 18
    succeed("fuse", path, fsn, "--fsd", fsd, "-M", 2, "--seed", 1, "-q", *say)
    out = succeed("analyze", fsd, "mean(y)", "--static", path, "--by", "region", "--nominal", "region", "-q")
    assert len(out.partition("\n\n")[0].splitlines()) == 4
    succeed("importance", fsn, "--data", path, *say)
    succeed("validate", path, fsd, "--subset-vars", "region", "--no-plot", "-q", "--nominal", "region")
    succeed("score", path, fsd, "--y", "y", "-q", "--missing", "y=-9", "--no-classifier")
    succeed("impute", path, "--out", tmp_path / "i.parquet", "--seed", 1, "-q", *say)
    assert pd.read_parquet(tmp_path / "i.parquet")["age"].min() >= 18
    succeed("report", tmp_path / "r.html", "--model", fsn, "--donor", path, "--recipient", path, "-q", *say)
    assert 'class="bold"' not in (tmp_path / "r.html").read_text()


# --- Mistakes


def test_mistakes_are_told_at_once(csv: Path, tmp_path: Path) -> None:
    out = ("--y", "amount", "--x", "code", "--fsn", tmp_path / "m.fsn", *FAST)
    message = fail("train", csv, *out, "--nominal", "cod,code", "--text", "fipz,code", "--missing", "when=1")
    assert "`--nominal` names `cod`, not among the columns to be used." in message
    assert "`--text` names `fipz`" in message
    assert "`--missing` names `when`" in message
    assert "`code` is named by `--nominal` and by `--text`; choose one." in message
    for text in ("", "a=", "=1", "1,,2"):
        assert "`--missing` must be 'CODE,CODE' or 'NAME=CODE,CODE'" in fail(
            "train", csv, *out, "--missing", text
        )
    assert "`--nominal` has an empty name" in fail("train", csv, *out, "--nominal", "a,,b")
    fsn = tmp_path / "none.fsn"
    assert "are for `--data`" in fail("importance", fsn, "--missing", "-9")
    with pytest.raises(SchemaError, match="choose one"):
        column(csv, "code", ordered="code=1<2", nominal="code")


@given(
    values=st.lists(st.one_of(st.none(), st.integers(-99, 99)), min_size=1, max_size=30),
    codes=st.lists(st.integers(-99, 99).map(str), max_size=4),
    kind=st.sampled_from(["int", "float", "text", "category"]),
)
def test_only_codes_are_emptied(values: list[int | None], codes: list[str], kind: str) -> None:
    texts = pa.chunked_array([pa.array([None if v is None else str(v) for v in values], pa.string())])
    of = {
        "int": texts.cast(pa.int64()),
        "float": texts.cast(pa.float64()),
        "text": texts,
        "category": texts.dictionary_encode(),
    }[kind]
    found = without(of, codes)
    wanted = [None if v is None or str(v) in codes else v for v in values]
    assert [None if v is None else int(v) for v in found.to_pylist()] == wanted
    assert found.type == of.type


@given(st.lists(st.one_of(st.none(), st.integers(-9999, 9999)), min_size=1, max_size=30), st.booleans())
def test_text_and_back(values: list[int | None], zero: bool) -> None:
    texts = pa.chunked_array([pa.array([None if v is None else str(v) for v in values], pa.string())])
    assert inferred(texts).to_pylist() == values
    assert as_declared(pa.chunked_array([pa.array(values, pa.int64())]), "text").equals(texts)
    if zero:
        led = pa.chunked_array([*texts.chunks, pa.array(["007"])])
        assert inferred(led).equals(led)
