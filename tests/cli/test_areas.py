"""`--areas` on the command line: the same as in Python, codes with leading zeros too."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import fusionpy
from fusionpy.cli import app

FAST = "--hyper num_iterations=5 --refits 2 --nclusters 20 --seed 1 --quiet".split()


def succeed(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("areas")
    rng = np.random.default_rng(1)
    state = rng.integers(0, 20, 500)
    frame = pd.DataFrame({"z": rng.normal(size=500), "state": state, "county": state * 10 + 1000})
    frame["y"] = rng.normal(0, 1, 20)[state] + rng.normal(size=500)
    frame["state"] = [f"{each:02d}" for each in state]
    for name, rows in (("donor", frame.iloc[:300]), ("recipient", frame.iloc[300:])):
        rows.to_parquet(path / f"{name}.parquet", index=False)
        rows.to_csv(path / f"{name}.csv", index=False)
    # In which no code happens to have a leading zero.
    frame[frame["state"] >= "10"].to_csv(path / "west.csv", index=False)
    frame[frame["state"] >= "10"].to_parquet(path / "west.parquet", index=False)
    for kind in ("csv", "parquet"):
        model = path / f"{kind}.fsn"
        succeed(
            *("train", path / f"donor.{kind}", "--y", "y", "--recipient", path / f"recipient.{kind}"),
            *("--areas", "sta*,county", "--fsn", model, *FAST),
        )
    return path


def test_train_does_what_the_verb_does(folder):
    donor = pd.read_parquet(folder / "donor.parquet")
    how = {"hyper": {"num_iterations": 5}, "refits": 2, "nclusters": 20, "seed": 1, "quiet": True}
    wanted = fusionpy.train(donor, ["y"], ["z"], areas=["state", "county"], **how)
    for kind in ("csv", "parquet"):
        found = fusionpy.read_fsn(folder / f"{kind}.fsn")
        assert found.areas == wanted.areas
        assert [variable.name for variable in found.schema.x] == ["z"]  # areas are not taken for predictors
        effects = (model.steps[0].effects.each[0].mean for model in (found, wanted))
        assert np.allclose(*effects)


@pytest.mark.parametrize("name", ["recipient", "west"])
def test_fuse_reads_areas_from_any_file(folder, tmp_path, name):
    model = folder / "parquet.fsn"
    data = pd.read_parquet(folder / f"{name}.parquet")
    wanted = fusionpy.fuse(data, model, M=2, seed=1, quiet=True)
    for kind in ("csv", "parquet"):
        out = tmp_path / f"{kind}.parquet"
        succeed("fuse", folder / f"{name}.{kind}", model, "--fsd", out, "-M", 2, "--seed", 1, "--quiet")
        assert np.allclose(pd.read_parquet(out)["y"], wanted["y"])


def test_info_names_areas(folder):
    shown = " ".join(succeed("info", folder / "csv.fsn").split())
    assert "areas with effects of their own: state (20 levels), county (20 levels)" in shown
    told = json.loads(succeed("info", folder / "csv.fsn", "--json"))
    assert told["areas"] == ["state", "county"]


def test_a_report_of_a_model_with_areas(folder, tmp_path):
    surveys = ("--donor", folder / "donor.csv", "--recipient", folder / "recipient.csv")
    succeed(
        *("report", tmp_path / "r.html", "--model", folder / "csv.fsn", *surveys),
        *("--validate-by", "z", "--folds", 2, "--M", 2, "--seed", 1, "--quiet"),
    )
    assert "Areas with effects of their own" in (tmp_path / "r.html").read_text()
