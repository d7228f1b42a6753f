"""What the original's train() accepts (train_accepts.json), in Python; test-train.R tries all of it in R."""

from __future__ import annotations

import itertools
import json
import re
import warnings

import numpy as np
import pytest
from pacing import quick

import fusionpy
from fusionpy import ArgumentError, FusionError, FusionWarning, SchemaError
from fusionpy.engines.lightgbm import boosting
from fusionpy.kernels.scaling import percentiles

X = ["region", "rooms", "income"]
HOW = {"seed": 1, "quiet": True, "nfolds": 0.8}
FEW = {"num_iterations": 8}
NAMES = {"list": dict, "c": lambda *each: [*each], "Inf": float("inf"), "NULL": None}

# Entries to which Python answers otherwise, and why.
OTHERWISE = {
    "nfolds_.999": "one donor is enough to validate",
    "nclusters_1": "a single pool is a pool",
}
NOT_PYTHON = {
    "hyper_unnamed": "a mapping has names",
    "hyper_not_list_vector": "R's named vectors",
    "hyper_dataframe": "R's lists of columns",
    "fsn_tilde": "of paths test_outputs.py has tests",
    "weights_equal": "R's transform()",
    "weight_changes_data": "data are never changed here",
}


@pytest.fixture(scope="module")
def donor():
    return fusionpy.datasets.load_donor().head(400)


@pytest.fixture(scope="module")
def entries(shared):
    found = json.loads((shared / "reference/original/train_accepts.json").read_text("utf-8"))
    return {**found["hyper"], **found["opts"]}


def given(entry):
    """An entry's arguments, as Python writes them."""
    text = re.sub(r"\b(\d+)L\b", r"\1", entry["args"])
    found = eval(f"dict({text})", {"__builtins__": {}, "dict": dict, **NAMES})
    return {"hyper": None if "grid" in entry else FEW, **found}


def rows_of(grid):
    """A grid of R's as rows; R writes one row without brackets."""
    columns = {name: value if isinstance(value, list) else [value] for name, value in grid.items()}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::fusionpy.FusionWarning")
def test_every_setting_is_answered_as_the_original_does(entries, donor):
    y = "electricity"
    assert {*OTHERWISE, *NOT_PYTHON} <= set(entries)
    for name, entry in entries.items():
        if name in NOT_PYTHON:
            continue
        arguments = {**HOW, **given(entry), "method": "fusionModel"}
        data = donor.head(60) if name == "nfolds_1000" else donor
        if entry["accepted"] == (name in OTHERWISE):
            with pytest.raises(FusionError):
                fusionpy.train(data, **{"y": y, "x": X, **arguments})
            continue
        if arguments.get("y"):
            arguments["y"] = "housing_share"
        model = fusionpy.train(data, **{"y": y, "x": X, **arguments})
        if not entry["accepted"]:
            continue
        (step,) = model.steps
        if "ptiles" in entry:
            wanted = np.atleast_1d(entry["ptiles"])
            assert np.allclose(percentiles(model.options.nquantiles), wanted), name
            found = [target.kind for target in step.targets if target.objective == "quantile"]
            assert found == [f"q{j + 1}" for j in range(len(wanted))], name
        for kind, grid in entry.get("grid", {}).items():
            check_grid(name, step.tuning[f"{y}_{kind}"].grid, rows_of(grid), arguments["hyper"])


def check_grid(name, mine, theirs, hyper):
    """Rows and columns in R's order, where `num_iterations` was typed last; the first of equals is chosen."""
    found = ("best_score", "best_iter", "final_model")
    order = sorted(hyper or {}, key=lambda entry: entry == "num_iterations")
    columns = [key for key in theirs[0] if key not in found]
    assert [key for key in order if key in columns] == columns[: len(set(columns) & set(order))], name
    tried = [{key: row[key] for key in columns} for row in mine]
    assert tried == [{key: row[key] for key in columns} for row in theirs], name
    scores = [row["best_score"] for row in mine]
    assert [row["final_model"] for row in mine] == [k == int(np.argmin(scores)) for k in range(len(mine))], (
        name
    )


def test_goss_is_gradient_boosting_with_that_sampling(donor):
    def trees(boosting_kind, method, **more):
        hyper = {**FEW, "num_iterations": 20, "boosting": boosting_kind, **more}
        model = fusionpy.train(donor, "electricity", X, hyper=hyper, method=method, refits=0, **HOW)
        step = model.steps[0]
        return [boosting.text(each) for each in step.final.values()], step.tuning["electricity_m"].grid

    assert trees("goss", "fusionModel")[0] == trees("gbdt", "fusionModel")[0]
    both, grid = trees(["gbdt", "goss"], "fusionModel")
    assert both == trees("gbdt", "fusionModel")[0]
    assert [(row["boosting"], row["final_model"]) for row in grid] == [("gbdt", True), ("goss", False)]
    assert grid[0]["best_score"] == grid[1]["best_score"]
    # The default method samples only where it is asked to.
    assert trees("goss", "default")[0] == trees("gbdt", "default", data_sample_strategy="goss")[0]
    assert trees("goss", "default")[0] != trees("gbdt", "default")[0]


@pytest.mark.parametrize(
    ("kind", "method"),
    quick(
        itertools.product(("rf", "dart"), ("default", "2024", "fusionModel")),
        [("rf", "default"), ("dart", "default"), ("rf", "fusionModel"), ("dart", "2024")],
    ),
)
def test_models_of_forests_and_dart_can_be_written_and_fuse(kind, method, donor, tmp_path):
    """Of variables far from 0, and with ties, too, whose models are rewritten."""
    frame = donor.assign(far=donor["electricity"] + 1e9, ties=donor["electricity"].round(-4))
    hyper = {"boosting": kind, "num_iterations": 12, "num_leaves": 8, "learning_rate": 0.5}
    y = ["insulation", "far", "ties"]
    path = tmp_path / "model.fsn"
    how = {"refits": 2} if method == "default" else {}
    model = fusionpy.train(frame, y, X, hyper=hyper, method=method, fsn=path, **{**HOW, "nfolds": 2}, **how)
    again = fusionpy.read_fsn(path)
    fused = fusionpy.fuse(frame, model, M=2, seed=1, quiet=True)
    assert fused.equals(fusionpy.fuse(frame, again, M=2, seed=1, quiet=True))
    far = boosting.text(model.steps[1].final["far_m"])
    assert f"[boosting: {kind}]" in far
    assert abs(fused["far"].mean() - frame["far"].mean()) < 3 * frame["far"].std()


def test_objective_does_not_replace_that_of_percentiles(donor):
    hyper = {**FEW, "objective": "huber"}
    with pytest.warns(FusionWarning, match="'objective' has no effect"):
        model = fusionpy.train(donor, "electricity", X, hyper=hyper, method="fusionModel", **HOW)
    objectives = {
        name: re.search(r"\nobjective=(\w+)", boosting.text(each))[1]
        for name, each in model.steps[0].final.items()
    }
    assert objectives == {
        "electricity_m": "regression",
        "electricity_q1": "quantile",
        "electricity_q2": "quantile",
    }


def test_roles_that_make_wrong_models_are_refused(donor):
    wrong = [
        ("electricity", [*X, "electricity"], "both name `electricity`"),
        (["insulation", "electricity"], [[*X, "electricity"], X], "which only a later step simulates"),
        (["electricity", "electricity"], X, "more than once"),
        ([["electricity", "vehicles"], "electricity"], X, "more than once"),
    ]
    for y, x, told in wrong:
        with pytest.raises(ArgumentError, match=told):
            fusionpy.train(donor, y, x, method="fusionModel", **HOW)


def test_infinite_predictors_and_fusion_variables(donor, tmp_path):
    infinite = np.where(donor.index % 9 == 0, np.inf, np.where(donor.index % 7 == 0, -np.inf, donor["age"]))
    frame = donor.assign(age=infinite)
    vast = frame.assign(age=np.clip(infinite, -1e200, 1e200))
    x, how = ["age", "rooms"], {**HOW, "hyper": FEW, "refits": 2}
    path = tmp_path / "model.fsn"
    model = fusionpy.train(frame, ["solar", "electricity"], x, fsn=path, **how)
    assert not model.schema["age"].exponent
    fused = fusionpy.fuse(frame, model, M=2, seed=1, quiet=True)
    assert fused.equals(fusionpy.fuse(frame, fusionpy.read_fsn(path), M=2, seed=1, quiet=True))
    assert fused.equals(fusionpy.fuse(vast, model, M=2, seed=1, quiet=True))
    with pytest.raises(SchemaError, match="`electricity`: 1 infinite value"):
        fusionpy.train(
            frame.assign(electricity=donor["electricity"].where(donor.index > 0, np.inf)),
            **{"y": "electricity", "x": x, **how},
        )


@pytest.mark.parametrize("method", ["default", "fusionModel"])
def test_fusion_variables_of_one_value_come_back(method, donor):
    frame = donor.assign(five=5, never=donor["solar"] & False, zero=0.0)
    y = ["five", ["never", "electricity"], "zero"]
    how = {"refits": 2} if method == "default" else {}
    with pytest.warns(FusionWarning, match="^`five`, `never`, `zero`: all donors of positive weight have"):
        model = fusionpy.train(frame, y, X, hyper=FEW, method=method, **HOW, **how)
    fused = fusionpy.fuse(frame, model, M=2, seed=1, quiet=True)
    assert (fused["five"] == 5).all()
    assert not fused["never"].any()
    assert (fused["zero"] == 0).all()
    if method == "fusionModel":  # percentiles other than 1/4 and 3/4 are not exact, and noise looks like gain
        assert set(fusionpy.importance(model)["y"]) <= {"electricity"}


def test_sizes_of_pools(donor):
    def sizes(**how):
        arguments = {**HOW, "hyper": FEW, "method": "fusionModel", **how}
        return fusionpy.train(donor, "electricity", X, **arguments).steps[0].pools.sizes

    assert np.array_equal(sizes(krange=(20, 10)), sizes(krange=(10, 20)))
    assert (sizes(krange=(30, 30)) == 30).all()
    with pytest.warns(FusionWarning, match=r"taken as \(6, 20\)"):
        assert np.array_equal(sizes(krange=(5.5, 20.5)), sizes(krange=(6, 20)))
    with pytest.warns(FusionWarning, match="taken as 16"):
        assert len(sizes(nclusters=15.5)) == len(sizes(nclusters=16))
    # The only percentile tells no spread: the original takes as many donors as it may.
    assert (sizes(nquantiles=1) == 400).all()
    assert (sizes(nquantiles=1, krange=(10, 50)) == 50).all()
    assert sizes(nquantiles=1, method="default", refits=0).min() < 400
    with pytest.raises(ArgumentError, match="of at least 5"):
        sizes(krange=(4, 20))
    assert (sizes(krange=(1, 3), method="2024") <= 3).all()


def test_what_stops_the_original_by_a_limit_of_its_own(donor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    how = {"hyper": FEW, "method": "fusionModel", "seed": 1, "quiet": True}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fusionpy.train(donor, "electricity", X, nclusters=1, nfolds=0.999, fsn="new/m.fsn", **how)
        again = fusionpy.train(donor, "electricity", X, nclusters=1, nfolds=0.999, cores=100, **how)
    assert len(model.steps[0].pools.sizes) == 1
    assert (tmp_path / "new" / "m.fsn").exists()
    assert [boosting.text(each) for each in again.steps[0].final.values()] == [
        boosting.text(each) for each in model.steps[0].final.values()
    ]
