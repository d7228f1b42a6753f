"""The commands around a fusion: the same results as the verbs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import fusionpy
from fusionpy.cli import app
from fusionpy.cli.demo_table import thin

X = ["region", "urban", "age", "income"]


def succeed(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def fail(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.stderr
    return str(result.stderr)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preparation")
    wanted = ["hid", *X, "insulation", "electricity", "vehicles", "weight"]
    thin(fusionpy.datasets.load_donor(), 400)[wanted].to_parquet(folder / "donor.parquet")
    thin(fusionpy.datasets.load_recipient(), 50)[["hid", *X, "weight"]].to_parquet(
        folder / "recipient.parquet"
    )
    return folder


def test_prep(folder: Path, tmp_path: Path) -> None:
    donor, out = folder / "donor.parquet", tmp_path / "scores.csv"
    same = ("--weight", "weight", "--seed", 1, "--quiet")
    said = succeed(
        "prep", donor, "--y", "electricity,insulation+vehicles", "--x", ",".join(X), *same, "--out", out
    )
    expected = fusionpy.prep_xy(
        pd.read_parquet(donor),
        ["electricity", ["insulation", "vehicles"]],
        X,
        weight="weight",
        seed=1,
        quiet=True,
    )
    assert repr(expected) in said
    assert len(pd.read_csv(out)) == len(expected.scores)
    steps = ",".join("+".join(s) if isinstance(s, list) else s for s in expected.y)
    assert f"--y {steps} --x {','.join(expected.xpredictors)}" in said
    both = ("--recipient", folder / "recipient.parquet", "--drop", "hid")
    assert succeed("prep", donor, "--y", "electricity,insulation+vehicles", *both, *same) == said
    assert "not both" in fail("prep", donor, "--y", "electricity")


@pytest.mark.slow
def test_impute(folder: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(folder / "donor.parquet")
    rng = np.random.default_rng(0)
    for name in ("electricity", "insulation", "urban"):
        frame[name] = frame[name].mask(rng.random(len(frame)) < 0.1)
    frame.to_parquet(tmp_path / "holes.parquet")
    options = ("--ignore", "hid", "--weight", "weight", "--seed", 1, "-M", 2, "--quiet")
    for ending in ("parquet", "csv"):
        out = tmp_path / f"full.{ending}"
        assert "800 rows (M = 2)" in succeed("impute", tmp_path / "holes.parquet", "--out", out, *options)
        full = pd.read_parquet(out) if ending == "parquet" else pd.read_csv(out)
        assert not full.isna().any(axis=None)
        known = frame["electricity"].notna().to_numpy()
        values = full["electricity"].to_numpy().reshape(2, -1)
        assert (values[:, known] == frame["electricity"].to_numpy()[known]).all()
    assert (
        "nothing"
        in fail("impute", folder / "donor.parquet", "--out", tmp_path / "o.csv", "--ignore", "income").lower()
    )


def test_importance(folder: Path, tmp_path: Path) -> None:
    donor = pd.read_parquet(folder / "donor.parquet")
    model = fusionpy.train(
        donor, ["insulation", "electricity"], X, refits=0, hyper={"num_iterations": 10}, seed=1, quiet=True
    )
    fusionpy.write_fsn(model, tmp_path / "model.fsn")
    out = tmp_path / "importance.csv"
    said = succeed("importance", tmp_path / "model.fsn", "--detailed", "--out", out)
    assert "frequency" in said
    expected = fusionpy.importance(model, detailed=True)
    assert pd.read_csv(out)["gain"].to_numpy() == pytest.approx(expected["gain"].to_numpy())
    succeed(
        "importance",
        tmp_path / "model.fsn",
        "--data",
        folder / "donor.parquet",
        "--weight",
        "weight",
        "--seed",
        0,
        "--out",
        out,
    )
    expected = fusionpy.importance(model, data=donor, weight="weight", seed=0)
    assert pd.read_csv(out)["permutation"].to_numpy() == pytest.approx(
        expected["permutation"].to_numpy(), nan_ok=True
    )


def test_help_is_had_by_the_command(folder: Path) -> None:
    said = fail("prep", folder / "donor.parquet", "--y", "electricity", "--x", "age", "--cores", 0)
    assert "`fusionpy prep --help`" in said


def test_rules_reach_the_model(folder: Path, tmp_path: Path) -> None:
    donor = pd.read_parquet(folder / "donor.parquet")
    donor.assign(cars=donor["vehicles"] + donor["urban"]).to_parquet(tmp_path / "donor.parquet")
    succeed(
        "train", tmp_path / "donor.parquet", "--y", "vehicles,cars,electricity", "--x", ",".join(X),
        "--bounds", "vehicles <= cars", "--monotone", "electricity rises with income", "--monotone",
        "electricity falls with age", "--fsn", tmp_path / "m.fsn", "--refits", 0, "--seed", 1, "-q",
        "--hyper", "num_iterations=5",
    )  # fmt: skip
    rules = [rule.text for rule in fusionpy.read_fsn(tmp_path / "m.fsn").rules]
    assert rules == ["cars >= vehicles", "electricity rises with income", "electricity falls with age"]
