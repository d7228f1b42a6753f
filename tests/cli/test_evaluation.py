"""The commands that judge and use implicates: the same results as the verbs, errors in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import fusionpy
from fusionpy.cli import app
from fusionpy.cli.demo_table import thin

X = ["region", "urban", "age", "tenure"]
Y = ["insulation", "electricity", "gas_bill"]


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def succeed(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def fail(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.stderr
    return str(result.stderr)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Surveys, a model with few trees, and its implicates of recipients and of donors."""
    folder = tmp_path_factory.mktemp("evaluation")
    donor = thin(fusionpy.datasets.load_donor(), 500)
    recipient = thin(fusionpy.datasets.load_recipient(), 300)
    truth = fusionpy.datasets.load_truth().merge(recipient, on="hid")
    model = fusionpy.train(
        donor, Y, X, weight="weight", refits=3, nclusters=20, hyper={"num_iterations": 15}, seed=1, quiet=True
    )
    fusionpy.write_fsn(model, folder / "model.fsn")
    for name, frame in (("donor", donor), ("recipient", recipient), ("truth", truth)):
        frame.to_parquet(folder / f"{name}.parquet")
    fusionpy.fuse(recipient, model, folder / "fused.parquet", M=3, retain="hid", seed=1, quiet=True)
    fusionpy.fuse(donor, model, folder / "back.parquet", M=3, seed=1, quiet=True)
    return folder


@pytest.mark.filterwarnings("ignore:Margins that would rest on less than one:fusionpy.FusionWarning")
def test_analyze(folder: Path, tmp_path: Path) -> None:
    asked = ["bill = sum(gas_bill)", "mean(insulation)", "ratio(gas_bill, rooms)"]
    recipient = pd.read_parquet(folder / "recipient.parquet")
    expected = fusionpy.analyze(
        asked,
        pd.read_parquet(folder / "fused.parquet"),
        static=recipient,
        weight="weight",
        by=["tenure", "urban"],
        quiet=True,
    )
    for ending in ("csv", "parquet"):
        out = tmp_path / f"table.{ending}"
        said = succeed(
            "analyze", folder / "fused.parquet", *asked,
            "--static", folder / "recipient.parquet", "--weight", "weight", "--by", "tenure,urban",
            "--out", out, "--quiet",
        )  # fmt: skip
        assert said.rstrip("\n") == repr(expected)
        found = pd.read_csv(out) if ending == "csv" else pd.read_parquet(out)
        for column in ("est", "moe"):  # small groups have no margin
            wanted = expected[column].to_numpy()
            assert found[column].to_numpy() == pytest.approx(wanted, rel=1e-12, nan_ok=True)
    succeed("analyze", folder / "fused.parquet", "p90(electricity)", "--out", tmp_path / "t.tex", "-q")
    assert "\\begin{tabular}" in (tmp_path / "t.tex").read_text()


@pytest.mark.filterwarnings("ignore:Margins that would rest on less than one degree of freedom")
def test_analyze_with_replicate_weights_and_rectified(folder: Path) -> None:
    donor = pd.read_parquet(folder / "donor.parquet")
    back, model = folder / "back.parquet", folder / "model.fsn"
    given: dict[str, Any] = {"static": donor, "weight": "weight", "by": "tenure", "quiet": True}
    replicates = fusionpy.datasets.REPLICATE_WEIGHTS
    own = ("--static", folder / "donor.parquet", "--weight", "weight", "--by", "tenure", "--quiet")
    expected = fusionpy.analyze(
        "mean(electricity)", back, rep_weights=replicates, var_scale=("fay", 0.5), level=0.8, **given
    )
    options = ("--rep-weights", "rep_*", "--var-scale", "fay:0.5", "--level", 0.8)
    assert succeed("analyze", back, "mean(electricity)", *own, *options).strip() == repr(expected)
    expected = fusionpy.analyze("mean(electricity)", back, rectify=model, **given)
    assert succeed("analyze", back, "mean(electricity)", *own, "--rectify", model).strip() == repr(expected)
    shrunk = fusionpy.analyze("mean(electricity)", back, rectify=("shrunk", model), **given)
    found = succeed("analyze", back, "mean(electricity)", *own, "--rectify", f"shrunk:{model}").strip()
    assert found == repr(shrunk) != repr(expected)


@pytest.mark.slow
def test_validate(folder: Path, tmp_path: Path) -> None:
    said = succeed(
        "validate", folder / "donor.parquet", folder / "back.parquet", "--subset-vars", "region,tenure",
        "--weight", "weight", "--out", tmp_path / "validation", "--quiet",
    )  # fmt: skip
    expected = fusionpy.validate(
        pd.read_parquet(folder / "donor.parquet"),
        folder / "back.parquet",
        ["region", "tenure"],
        weight="weight",
        plot=False,
        quiet=True,
    )
    assert repr(expected) in said
    table = pd.read_csv(tmp_path / "validation" / "validation.csv")
    assert table["est_sim"].to_numpy() == pytest.approx(expected.table["est_sim"].to_numpy(), rel=1e-12)
    assert len(list((tmp_path / "validation").glob("*.png"))) == 3 + 3 * len(Y)


def test_score(folder: Path, tmp_path: Path) -> None:
    options = ("--x", ",".join(X), "--weight", "weight", "--no-classifier", "--seed", 0, "--quiet")
    out = tmp_path / "scores.csv"
    said = succeed("score", folder / "truth.parquet", folder / "fused.parquet", *options, "--out", out)
    expected = fusionpy.score(
        pd.read_parquet(folder / "truth.parquet"),
        folder / "fused.parquet",
        x=X,
        weight="weight",
        classifier=False,
        seed=0,
        quiet=True,
    )
    assert repr(expected) in said
    assert len(pd.read_csv(out)) == len(expected.table)


@pytest.mark.slow
def test_report(folder: Path, tmp_path: Path) -> None:
    succeed("analyze", folder / "fused.parquet", "mean(electricity)", "--out", tmp_path / "means.csv", "-q")
    surveys = ("--donor", folder / "donor.parquet", "--recipient", folder / "recipient.parquet")
    succeed(
        "report", tmp_path / "report.html", "--model", folder / "model.fsn", *surveys,
        "--weight", "weight", "--validate-by", "region,tenure", "-M", 3,
        "--estimates", tmp_path / "means.csv", "--title", "A < B", "--tables", tmp_path / "tables", "--quiet",
    )  # fmt: skip
    page = (tmp_path / "report.html").read_text()
    assert "A &lt; B" in page
    assert "Validation" in page
    assert list((tmp_path / "tables").glob("*.tex"))


def test_rules_are_counted(folder: Path, tmp_path: Path) -> None:
    """Of columns, too, that are not compared."""
    donor = pd.read_parquet(folder / "donor.parquet")
    rules = ["gas_bill >= 0", "electricity <= 5000", "vehicles <= 2"]
    given = [part for rule in rules for part in ("--rules", rule)]
    own = (folder / "donor.parquet", folder / "back.parquet")
    y = ("--y", "electricity", "--quiet")
    said = succeed("validate", *own, "--subset-vars", "region", *y, *given)
    found = fusionpy.validate(donor, own[1], "region", y="electricity", plot=False, rules=rules, quiet=True)
    assert "'vehicles <= 2': " in repr(found)
    assert repr(found) in said
    options = (*y, "--draws", 2, "--no-classifier", "--min-size", 20, "--seed", 0)
    said = succeed("score", *own, *options, *given)
    scored = fusionpy.score(
        donor, own[1], "electricity", draws=2, classifier=False, min_size=20, rules=rules, seed=0, quiet=True
    )
    assert "'vehicles <= 2': " in repr(scored)
    assert repr(scored) in said
    ruled = fusionpy.train(
        donor,
        "electricity",
        X,
        bounds="electricity <= 90000",
        refits=0,
        hyper={"num_iterations": 5},
        quiet=True,
    )
    fusionpy.write_fsn(ruled, tmp_path / "ruled.fsn")
    assert "'electricity <= 90000': " in succeed("score", *own, *options, "--rules", tmp_path / "ruled.fsn")
    both = fail("score", *own, "--rules", tmp_path / "ruled.fsn", "--rules", "gas_bill >= 0")
    assert "`--rules` must be rules, or one model; not both." in both
    assert "is not understood" in fail("validate", *own, "--subset-vars", "region", "--rules", "nonsense")


def test_scoring_parts_has_no_use_for_some_options(folder: Path) -> None:
    parts = ("score", folder / "donor.parquet", "--y", "electricity", "--x", "age")
    said = fail(*parts, "--rules", "gas_bill >= 0", "--no-baselines", "--draws", 3)
    assert "Without implicates, there is no use for `--rules`, `--no-baselines`, `--draws`." in said


def test_report_with_notes_labels_and_date(folder: Path, tmp_path: Path) -> None:
    said = ("--notes", "First of all.", "--notes", "Then, more.", "--date", "2026-11-05")
    labels = ("--labels", "electricity=Electricity use, kWh a year")
    page, model = tmp_path / "report.html", folder / "model.fsn"
    succeed("report", page, "--model", model, "--authors", "A. B, C. D", *said, *labels, "--quiet")
    text = page.read_text()
    for part in ("First of all.", "Then, more.", "5 November 2026", "Electricity use, kWh a year", "C. D"):
        assert part in text, part
    said = fail("report", page, "--model", model, "--labels", "electricity")
    assert "`--labels` must be NAME=TEXT, each name once, not 'electricity'." in said


def test_errors(folder: Path, tmp_path: Path) -> None:
    fused = folder / "fused.parquet"
    assert "is not understood" in fail("analyze", fused, "electricity", "-q")
    assert "'--out'" in fail("analyze", fused, "mean(electricity)", "--out", tmp_path / "t.xlsx").replace(
        "`", "'"
    )
    assert "There is no such file" in fail("analyze", tmp_path / "none.parquet", "mean(electricity)")
    assert "which the result has" in fail("analyze", fused, "mean(electricity)", "--by", "type,level")
    assert "`var_scale`" in fail("analyze", fused, "mean(electricity)", "--var-scale", "jackknife")
    assert "--y" in fail("score", folder / "truth.parquet")
    assert "--donor" in fail("report", tmp_path / "r.html", "--model", folder / "model.fsn", "--folds", 3)


@pytest.mark.filterwarnings("ignore:Margins that would rest on less than one:fusionpy.FusionWarning")
def test_analyze_by_several_groupings(folder: Path, tmp_path: Path) -> None:
    asked = ["avg ~ mean(electricity)", "~ prop(insulation)"]
    out = tmp_path / "table.parquet"
    succeed(
        "analyze", folder / "fused.parquet", *asked, "--static", folder / "recipient.parquet",
        "--by", "tenure", "--by", "urban,tenure", "--layout", "fusionacs", "--out", out, "--quiet",
    )  # fmt: skip
    expected = fusionpy.analyze(
        asked,
        folder / "fused.parquet",
        static=pd.read_parquet(folder / "recipient.parquet"),
        by=[["tenure"], ["urban", "tenure"]],
        layout="fusionacs",
        quiet=True,
    )
    found = pd.read_parquet(out)
    assert found.columns.tolist() == expected.columns.tolist()
    assert found["est"].tolist() == expected["est"].tolist()
    assert found["grouping"].unique().tolist() == ["tenure", "urban, tenure"]
