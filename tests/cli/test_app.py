"""The command line: the same results as the verbs, and errors that say what to do."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pacing import quick
from typer.testing import CliRunner

import fusionpy
from fusionpy.cli import app
from fusionpy.cli.demo_table import thin

EDUCATION = "education=less_than_high_school<high_school<some_college<bachelor<graduate"
INSULATION = "insulation=poor<fair<good<excellent"
PREDICTORS = ["region", "urban", "age", "education", "income"]
STEPS = ["insulation", ["electricity", "gas_bill"]]
FAST = "--refits 0 --nclusters 20 --hyper num_iterations=5 --seed 1 --quiet".split()
FAST_API: dict[str, Any] = {
    "refits": 0,
    "nclusters": 20,
    "hyper": {"num_iterations": 5},
    "seed": 1,
    "quiet": True,
}


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def succeed(*arguments: object) -> Any:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def fail(*arguments: object) -> str:
    """Run what cannot work; return what it says."""
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) <= 24
    return result.stderr


@pytest.fixture(scope="module")
def donor() -> pd.DataFrame:
    wanted = ["hid", *PREDICTORS, "insulation", "electricity", "gas_bill", "weight", "rep_1", "rep_2"]
    return thin(fusionpy.datasets.load_donor(), 400)[wanted].astype({"region": "str"})


@pytest.fixture(scope="module")
def recipient() -> pd.DataFrame:
    wanted = ["hid", *PREDICTORS, "rooms", "weight"]
    return thin(fusionpy.datasets.load_recipient(), 150)[wanted].astype({"region": "str"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, donor: pd.DataFrame, recipient: pd.DataFrame) -> Path:
    """Both surveys as Parquet and as CSV, and a model trained from either."""
    path = tmp_path_factory.mktemp("surveys")
    for name, frame in (("donor", donor), ("recipient", recipient)):
        frame.to_parquet(path / f"{name}.parquet")
        frame.to_csv(path / f"{name}.csv", index=False)
        frame.to_csv(path / f"{name}.csv.gz", index=False)
    y = ("--y", "insulation,electricity+gas_bill", "--x", ",".join(PREDICTORS), "--weight", "weight")
    succeed("train", path / "donor.parquet", *y, "--fsn", path / "parquet.fsn", *FAST)
    levels = ("--ordered", EDUCATION, "--ordered", INSULATION)
    succeed("train", path / "donor.csv.gz", *y, "--fsn", path / "csv.fsn", *levels, *FAST)
    return path


@pytest.fixture
def train(folder: Path, tmp_path: Path) -> Callable[..., list[object]]:
    """Arguments that train one step; those given replace or add."""

    def arguments(donor: object = "donor.parquet", **given: object) -> list[object]:
        options = {"y": "insulation", "x": "age,income", "fsn": tmp_path / "model.fsn"} | given
        path = donor if isinstance(donor, Path) else folder / str(donor)
        flags = [
            (f"--{name.replace('_', '-')}", value) for name, value in options.items() if value is not None
        ]
        return ["train", path, *(part for flag in flags for part in flag), *FAST]

    return arguments


# --- Same results as the verbs


def test_train_and_fuse_do_what_the_verbs_do(
    folder: Path, tmp_path: Path, donor: pd.DataFrame, recipient: pd.DataFrame
) -> None:
    with pytest.warns(fusionpy.FusionWarning, match="Text columns"):
        model = fusionpy.train(donor, STEPS, PREDICTORS, weight="weight", **FAST_API)
    expected = fusionpy.fuse(recipient, model, M=2, retain=["hid", "weight"], seed=5, quiet=True)
    out = tmp_path / "fused.parquet"
    result = succeed(
        *("fuse", folder / "recipient.parquet", folder / "parquet.fsn", "--fsd", out),
        *("-M", 2, "--retain", "hid,weight", "--seed", 5, "--chunk", 40, "--memory", "1GB", "--quiet"),
    )
    pd.testing.assert_frame_equal(pd.read_parquet(out), expected, check_dtype=False)
    assert pq.read_schema(out).field("insulation").type.ordered
    assert result.stdout.startswith(f"{out}: 300 rows (2 x 150), seed 5, ")
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ((), str),
        (
            ("--ordered", "education=less_than_high_school<high_school<some_college<bachelor<graduate"),
            pa.Table,
        ),
    ],
)
def test_a_parquet_file_is_read_as_a_whole_only_if_it_is_recoded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], kind: type
) -> None:
    given = []
    fuse = fusionpy.fuse

    def note(data: Any, *rest: Any, **others: Any) -> Any:
        given.append(type(data))
        return fuse(data, *rest, **others)

    monkeypatch.setattr(fusionpy, "fuse", note)
    out = tmp_path / "out.parquet"
    result = succeed("fuse", folder / "recipient.parquet", folder / "parquet.fsn", "--fsd", out, *options)
    assert given == [kind]
    assert "150 rows (1 x 150)" in result.stdout


@pytest.mark.parametrize(
    ("model", "ending"),
    quick(
        itertools.product(("csv.fsn", "parquet.fsn"), ("csv", "csv.gz", "parquet")),
        [("csv.fsn", "csv.gz"), ("csv.fsn", "parquet"), ("parquet.fsn", "csv")],
    ),
)
def test_csv_gives_what_parquet_gives(folder: Path, tmp_path: Path, ending: str, model: str) -> None:
    out, expected = tmp_path / "out.parquet", tmp_path / "expected.parquet"
    options = ("--retain", "h*", "--seed", 2, "--quiet")
    succeed("fuse", folder / f"recipient.{ending}", folder / model, "--fsd", out, *options)
    succeed("fuse", folder / "recipient.parquet", folder / "parquet.fsn", "--fsd", expected, *options)
    found = pq.read_table(out)
    assert found.column_names == ["M", "hid", "insulation", "electricity", "gas_bill"]
    assert found.cast(pq.read_schema(expected)).equals(pq.read_table(expected))


def test_a_model_of_text_takes_categories_in_any_order(
    folder: Path, tmp_path: Path, recipient: pd.DataFrame
) -> None:
    regions = pd.Categorical(recipient["region"], ["south", "pacific", "northeast", "mountain", "midwest"])
    recipient.assign(region=regions).to_parquet(tmp_path / "categories.parquet")
    outs = tmp_path / "a.parquet", tmp_path / "b.parquet"
    for source, out in zip((folder / "recipient.csv", tmp_path / "categories.parquet"), outs, strict=True):
        succeed("fuse", source, folder / "csv.fsn", "--fsd", out, "--seed", 1, "-q")
    assert pq.read_table(outs[0]).equals(pq.read_table(outs[1]))


def test_numbers_that_a_model_has_as_categories(
    tmp_path: Path, donor: pd.DataFrame, recipient: pd.DataFrame
) -> None:
    """Neither CSV nor Parquet tells that a number is a level."""
    levels = [3, 1, 2]
    code = pd.Categorical(1 + donor["age"] % 3, levels, ordered=True)
    model = fusionpy.train(donor.assign(code=code), "electricity", ["code", "age"], **FAST_API)
    fusionpy.write_fsn(model, tmp_path / "model.fsn")
    code = 1 + recipient["age"] % 3
    recipient = recipient.assign(code=pd.Categorical(code, levels, ordered=True))
    expected = fusionpy.fuse(recipient, model, seed=1, quiet=True)
    recipient.to_csv(tmp_path / "r.csv")
    recipient.to_parquet(tmp_path / "r.parquet")
    for source in ("r.csv", "r.parquet"):
        out = tmp_path / "out.parquet"
        succeed("fuse", tmp_path / source, tmp_path / "model.fsn", "--fsd", out, "--seed", 1, "-q")
        assert pd.read_parquet(out)["electricity"].to_list() == expected["electricity"].to_list()


def test_csv_missing_values_and_booleans(
    tmp_path: Path, train: Callable[..., list[object]], donor: pd.DataFrame
) -> None:
    frame = donor.assign(urban=donor["urban"].map({True: "TRUE", False: "false"}))
    frame.loc[:9, "income"] = np.nan
    frame.loc[:9, "region"] = None
    frame.to_csv(tmp_path / "donor.csv", index=False, na_rep="NA")
    succeed(*train(tmp_path / "donor.csv", y="electricity", x="urban,income,region"))
    schema = fusionpy.read_fsn(tmp_path / "model.fsn").schema
    assert [variable.kind for variable in schema.x] == ["logical", "continuous", "nominal"]
    assert schema["region"].levels == ("midwest", "mountain", "northeast", "pacific", "south")


def test_only_needed_columns_are_read(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[pa.Table] = []
    monkeypatch.setattr(fusionpy, "fuse", lambda data, *_, **__: seen.append(data))
    options = ("--fsd", tmp_path / "out.parquet", "--retain", "hid")
    recoded = ("--ordered", "education=less_than_high_school<high_school<some_college<bachelor<graduate")
    succeed("fuse", folder / "recipient.csv", folder / "csv.fsn", *options)
    succeed("fuse", folder / "recipient.parquet", folder / "csv.fsn", *options, *recoded)
    assert [table.column_names for table in seen] == [[*PREDICTORS, "hid"]] * 2


def test_options_reach_the_model(tmp_path: Path, train: Callable[..., list[object]]) -> None:
    given = {"nfolds": 3, "nquantiles": 4, "krange": "5,60", "patience": 3, "method": "2024"}
    succeed(
        *train(**given),
        "--hyper",
        "num_leaves=8,16",
        "--hyper",
        "learning_rate=0.2",
        "--crossfit",
        "--redraw",
    )
    options = fusionpy.read_fsn(tmp_path / "model.fsn").options
    assert (options.method, options.nfolds, options.nquantiles) == ("2024", 3, 4)
    assert (options.krange, options.patience, options.nclusters, options.refits) == ((5, 60), 3, 20, 0)
    assert options.crossfit
    assert options.redraw
    assert options.hyper["num_leaves"] == [8, 16]
    assert options.hyper["learning_rate"] == 0.2


# --- Predictors that both files have


def test_common_columns(folder: Path, tmp_path: Path, train: Callable[..., list[object]]) -> None:
    arguments = train(x=None, recipient=folder / "recipient.csv", weight="weight", drop="hid,inc*")
    result = succeed(*(argument for argument in arguments if argument != "--quiet"))
    model = fusionpy.read_fsn(tmp_path / "model.fsn")
    assert [variable.name for variable in model.schema.x] == ["region", "urban", "age", "education"]
    assert "train: 4 predictors that both files have: region, urban, age, education\n" in result.stderr


def test_replicate_weights_by_pattern(
    folder: Path, tmp_path: Path, train: Callable[..., list[object]], donor: pd.DataFrame
) -> None:
    arguments = train(x=None, recipient=folder / "donor.parquet", weight="weight", replicate_weights="rep_*")
    succeed(*arguments, "--drop", "hid,region,education", "--refits", 1)
    model = fusionpy.read_fsn(tmp_path / "model.fsn")
    x = ["urban", "age", "income", "electricity", "gas_bill"]
    assert [variable.name for variable in model.schema.x] == x
    replicates = ["rep_1", "rep_2"]
    expected = fusionpy.train(
        donor, "insulation", x, weight="weight", replicate_weights=replicates, **FAST_API | {"refits": 1}
    )
    assert np.array_equal(model.counts, expected.counts)


def test_no_common_columns(tmp_path: Path, folder: Path, train: Callable[..., list[object]]) -> None:
    pd.DataFrame({"other": [1.0], "weight": [1.0]}).to_csv(tmp_path / "r.csv", index=False)
    said = fail(*train(x=None, recipient=tmp_path / "r.csv", weight="weight"))
    assert said == (
        "Error: The predictors cannot be chosen.\n"
        f"  x No column is left that '{folder / 'donor.parquet'}' and '{tmp_path / 'r.csv'}' "
        "have in common.\n"
        "  i Name them with `--x`.\n"
    )


def test_unknown_names_to_drop(folder: Path, train: Callable[..., list[object]]) -> None:
    said = fail(*train(x=None, recipient=folder / "recipient.csv", drop="hid,hidd"))
    assert "`--drop` names `hidd`, not among the common columns `hid`, `region`, `urban`, `age`" in said


# --- Errors


def test_predictors_are_needed(train: Callable[..., list[object]]) -> None:
    assert fail(*train(x=None)) == (
        "Error: `fusionpy train` cannot start.\n"
        "  x Give the predictors by `--x`, or by `--recipient` those that both files have; not both.\n"
        "  i See `fusionpy train --help`.\n"
    )


def test_arguments_are_refused_all_at_once(train: Callable[..., list[object]]) -> None:
    arguments = train(y="insulation,,electricity", krange="5", drop="hid")
    said = fail(*arguments, "--hyper", "num_leaves", "--ordered", "age=a", "--ordered", "education=a<b<a")
    assert said == (
        "Error: `fusionpy train` cannot start.\n"
        "  x `--y` has an empty name: 'insulation,,electricity'.\n"
        "  x `--krange` must be two whole numbers such as 10,500, not '5'.\n"
        "  x `--hyper` must be NAME=VALUE or NAME=VALUE,VALUE, each name once, not 'num_leaves'.\n"
        "  x `--ordered` must be NAME=LOW<HIGH, each name and each level once, not 'age=a'.\n"
        "  x `--ordered` must be NAME=LOW<HIGH, each name and each level once, not 'education=a<b<a'.\n"
        "  x `--drop` is for `--recipient`; with `--x`, leave the names out there.\n"
        "  i See `fusionpy train --help`.\n"
    )


def test_the_verb_refuses_values(train: Callable[..., list[object]]) -> None:
    said = fail(*train(method="best", cores=0))
    assert "`method` must be one of" in said
    assert "`cores` must be" in said
    assert "`fusionpy train --help`" in said
    assert "help(" not in said


def test_columns_that_are_not_there(train: Callable[..., list[object]]) -> None:
    said = fail(*train(x="age,incom", weight="wait", replicate_weights="w_*"))
    for name in ("incom", "wait", "w_*"):
        assert f"`{name}`" in said


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("absent.csv", None, "There is no such file."),
        ("donor.xlsx", b"PK", "It ends with '.xlsx'."),
        ("bad.parquet", b"PAR1 but not really PAR2", "arquet"),
        ("bad.csv.gz", b"not gzip at all", "zlib inflate failed"),
        ("empty.csv", b"", "Empty CSV file"),
        ("ragged.csv", b"age,income,insulation\n1,2,poor\n3\n", "Expected 3 columns, got 1"),
        (
            "latin.csv",
            "age,income,insulation\n1,2,sehr dürftig\n".encode("latin-1"),
            "not in UTF-8: columns `insul",
        ),
        ("latin.csv", "âge,income,insulation\n1,2,3\n".encode("latin-1"), "column names are not in UTF-8."),
    ],
)
def test_files_that_cannot_be_read(
    tmp_path: Path, train: Callable[..., list[object]], name: str, content: bytes | None, problem: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    said = fail(*train(tmp_path / name))
    assert said.startswith(f"Error: '{tmp_path / name}' cannot be ")
    assert problem in said


def test_folders_are_not_surveys(tmp_path: Path, train: Callable[..., list[object]]) -> None:
    assert "It is a folder." in fail(*train(tmp_path))


def test_truncated_files(folder: Path, tmp_path: Path, train: Callable[..., list[object]]) -> None:
    for name in ("donor.parquet", "donor.csv.gz"):
        content = (folder / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        assert "cannot be read." in fail(*train(tmp_path / name))
    content = (folder / "csv.fsn").read_bytes()
    (tmp_path / "cut.fsn").write_bytes(content[: len(content) // 2])
    assert "cannot be read as a model archive." in fail("info", tmp_path / "cut.fsn")


def test_columns_of_the_same_name(tmp_path: Path, train: Callable[..., list[object]]) -> None:
    (tmp_path / "d.csv").write_text("age,income,insulation,age\n1,2,poor,4\n")
    assert "It has several columns `age`." in fail(*train(tmp_path / "d.csv"))


def test_values_that_are_not_levels(folder: Path, tmp_path: Path, train: Callable[..., list[object]]) -> None:
    said = fail(*train("donor.csv"), "--ordered", "insulation=poor<fair<good")
    assert said == (
        f"Error: '{folder / 'donor.csv'}' cannot be used.\n"
        "  x `insulation`: values 'excellent' are not among its levels 'poor', 'fair', 'good'.\n"
        "  i Mend these columns, or the options that name them.\n"
    )
    text = (folder / "recipient.csv").read_text().replace("graduate", "doctor").replace("south", "deep south")
    (tmp_path / "r.csv").write_text(text)
    said = fail("fuse", tmp_path / "r.csv", folder / "csv.fsn", "--fsd", tmp_path / "out.parquet")
    assert "`education`: values 'doctor' are not among its levels 'less_than_high_school', " in said
    (tmp_path / "r.csv").write_text(text.replace("doctor", "graduate"))
    said = fail("fuse", tmp_path / "r.csv", folder / "csv.fsn", "--fsd", tmp_path / "out.parquet")
    assert "'deep south'" in said
    assert not (tmp_path / "out.parquet").exists()


def test_values_of_another_type(folder: Path, tmp_path: Path) -> None:
    text = (folder / "recipient.csv").read_text().replace("True", "maybe", 1)
    (tmp_path / "r.csv").write_text(text)
    said = fail("fuse", tmp_path / "r.csv", folder / "csv.fsn", "--fsd", tmp_path / "out.parquet")
    assert "CSV conversion error to bool: invalid value 'maybe'" in said


def test_levels_of_unused_columns(train: Callable[..., list[object]]) -> None:
    said = fail(*train("donor.csv"), "--ordered", EDUCATION)
    assert "`--ordered` names `education`, not among the columns to be used." in said


def test_outputs_that_cannot_be_written(
    folder: Path, tmp_path: Path, train: Callable[..., list[object]]
) -> None:
    assert "`--fsn` cannot be written" in fail(*train(fsn=tmp_path / "model.zip"))
    assert "`--fsn` cannot be written" in fail(*train(fsn=tmp_path / "nowhere" / "model.fsn"))
    source, model = folder / "recipient.parquet", folder / "csv.fsn"
    assert "`--fsd` cannot be written" in fail("fuse", source, model, "--fsd", tmp_path / "out.csv")
    before = source.read_bytes()
    said = fail("fuse", source, model, "--fsd", source)
    assert "`--fsd` cannot be written" in said
    assert "It is the file of `recipient`, which would be lost." in said
    assert source.read_bytes() == before


def test_a_recipient_without_the_predictors(folder: Path, tmp_path: Path) -> None:
    pd.DataFrame({f"v{i}": [1.0] for i in range(3)}).to_parquet(tmp_path / "r.parquet")
    said = fail(
        "fuse", tmp_path / "r.parquet", folder / "csv.fsn", "--fsd", tmp_path / "o.parquet", "--retain", "no"
    )
    for name in (*PREDICTORS, "no"):
        assert f"`{name}`" in said


def test_many_problems_fit_on_a_screen(tmp_path: Path, train: Callable[..., list[object]]) -> None:
    texts = [part for i in range(40) for part in ("--hyper", f"wrong_{i}")]
    assert "  x ... and 32 more.\n" in fail(*train(), *texts)


def test_usage_errors(folder: Path) -> None:
    assert "Missing option '--fsd'" in fail("fuse", folder / "recipient.csv", folder / "csv.fsn")
    assert "No such command" in fail("fusion")
    assert "No such option" in fail("info", folder / "csv.fsn", "--yaml")


# --- Exit codes, warnings, help


def test_an_interrupt_is_130(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(fusionpy, "fuse", interrupt)
    result = run("fuse", folder / "recipient.csv", folder / "csv.fsn", "--fsd", tmp_path / "out.parquet")
    assert result.exit_code == 130
    assert result.stderr == "Interrupted: nothing was written.\n"


def test_the_unexpected_is_1(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(fusionpy, "read_fsn", break_down)
    result = run("info", folder / "csv.fsn")
    assert result.exit_code == 1
    assert isinstance(result.exception, RuntimeError)


def test_the_installed_command(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from fusionpy.cli import main; main()",
        "info",
        str(tmp_path / "no.fsn"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: '{tmp_path / 'no.fsn'}' cannot be read as a model archive.\n")
    assert "Traceback" not in done.stderr


def test_warnings_are_lines(tmp_path: Path, train: Callable[..., list[object]], donor: pd.DataFrame) -> None:
    donor.assign(weight=donor["weight"].where(donor.index > 1, -1.0)).to_parquet(tmp_path / "d.parquet")
    result = succeed(*train(tmp_path / "d.parquet", x="region,age", weight="weight"))
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("Warning: ") for line in lines)


def test_version_and_help() -> None:
    assert succeed("--version").stdout == f"fusionpy {fusionpy.__version__}\n"
    assert succeed().stdout == succeed("--help").stdout
    for command in ("train", "fuse", "info"):
        assert f"  fusionpy {command} " in succeed(command, "--help").stdout


# --- info and demo


def test_info(folder: Path) -> None:
    shown = succeed("info", folder / "csv.fsn").stdout
    assert shown.startswith(f"{fusionpy.read_fsn(folder / 'csv.fsn')}\n")
    assert max(map(len, shown.splitlines())) <= 100
    text = " ".join(shown.split())
    for part in (
        "method default",
        "lightgbm",
        "num_iterations 5",
        "quantities age (",
        "ordered education (5",
    ):
        assert part in text


def test_info_as_json(folder: Path) -> None:
    about = json.loads(succeed("info", folder / "csv.fsn", "--json").stdout)
    assert about["steps"] == [["insulation"], ["electricity", "gas_bill"]]
    assert about["predictors"] == PREDICTORS
    assert about["options"]["krange"] == [10, 500]
    assert about["seed"] == 1
    assert about["not_for_r"] == []
    kinds = {each["name"]: each["kind"] for each in about["variables"]}
    assert kinds == dict(
        zip(
            [*PREDICTORS, "insulation", "electricity", "gas_bill"],
            [
                "nominal",
                "logical",
                "continuous",
                "ordered",
                "continuous",
                "ordered",
                "continuous",
                "continuous",
            ],
            strict=True,
        )
    )
    assert {row["variable"] for row in about["models"]} == {"insulation", "electricity", "gas_bill"}


@pytest.mark.slow
def test_demo() -> None:
    small = ("--donors", 250, "--recipients", 300, "--refits", 0, "-M", 2, "--cores", 1, "--quiet")
    result = succeed("demo", *small)
    assert result.stderr == ""
    for part in ("Training on 250 donors", "All households", "By region", "Correlations", "Margin (90 %)"):
        assert part in result.stdout
    assert max(len(line) for line in result.stdout.splitlines()) <= 80

    def numbers(text: str) -> list[str]:
        return text.splitlines()[:-1]  # the last line tells the time

    assert numbers(succeed("demo", *small).stdout) == numbers(result.stdout)
