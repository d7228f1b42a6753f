"""One default of `seed` wherever there is one: drawn, and told or kept, so that a result can be repeated."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pandas as pd
import pytest
from typer.main import get_command

import fusionpy
from fusionpy import datasets, distributed
from fusionpy.cli import app

VERBS = {
    f"{module.__name__}.{name}": inspect.signature(getattr(module, name)).parameters["seed"]
    for module in (fusionpy, distributed)
    for name in module.__all__
    if inspect.isfunction(getattr(module, name))
    and "seed" in inspect.signature(getattr(module, name)).parameters
}
COMMANDS = {
    name: option
    for name, command in get_command(app).commands.items()
    for option in command.params
    if option.name == "seed" and name != "demo"  # which shows the same to all
}
IMPLICATES = pd.concat(
    [
        datasets.load_donor()
        .head(300)[["electricity"]]
        .sample(frac=1, replace=True, random_state=m)
        .assign(M=m)
        for m in range(1, 13)
    ],
    ignore_index=True,
)
MEDIAN = {"x": "median(electricity)", "implicates": IMPLICATES, "pooling": "rubin"}


def test_verbs_have_one_default():
    assert len(VERBS) >= 10
    assert {name: each.default for name, each in VERBS.items() if each.default is not None} == {}


def test_commands_have_it_too():
    assert len(COMMANDS) >= 6
    assert {name: each.default for name, each in COMMANDS.items() if each.default is not None} == {}


def test_functions_of_r_have_it_too():
    folder = Path(__file__).parents[2] / "r" / "fusionpy" / "R"
    if not folder.is_dir():
        pytest.skip("the R packages are not here")
    found = [
        each
        for file in folder.glob("*.R")
        for head in re.findall(r"^\w+ <- function\(((?:[^()]|\([^()]*\))*)\)", file.read_text(), re.MULTILINE)
        for each in re.findall(r"\bseed = (\w+)", head)
    ]
    assert len(found) >= 7
    assert set(found) == {"NULL"}


def repeated(capsys, verb, call):
    """Call without a seed; again with the one that was told."""
    found = call()
    told = re.findall(rf"^{verb}: seed (\d+) was drawn", capsys.readouterr().err, re.MULTILINE)
    assert len(told) == 1
    again = call(seed=int(told[0]))
    assert "was drawn" not in capsys.readouterr().err
    return found, again, int(told[0])


def test_analyze_draws_one_where_it_matters(capsys):
    found, again, seed = repeated(capsys, "analyze", lambda **how: fusionpy.analyze(**MEDIAN, **how))
    assert found.equals(again)
    assert found.attrs["fusionpy"]["seed"] == again.attrs["fusionpy"]["seed"] == seed
    assert not found.equals(fusionpy.analyze(**MEDIAN, seed=seed + 1))
    capsys.readouterr()
    plain = fusionpy.analyze("mean(electricity)", IMPLICATES)
    assert "was drawn" not in capsys.readouterr().err
    assert "seed" not in plain.attrs["fusionpy"]


def test_score_draws_one(capsys):
    truth = datasets.load_donor().head(300)
    found, again, seed = repeated(
        capsys,
        "score",
        lambda **how: fusionpy.score(truth, IMPLICATES, "electricity", classifier=False, **how),
    )
    assert found.seed == again.seed == seed
    assert found.table.equals(again.table)


def test_importance_draws_one_where_it_permutes(capsys):
    donor = datasets.load_donor().head(200)
    x = ["rooms", "income"]
    model = fusionpy.train(
        donor, "electricity", x, refits=0, nfolds=2, hyper={"num_iterations": 9}, seed=1, quiet=True
    )
    found, again, _ = repeated(
        capsys, "importance", lambda **how: fusionpy.importance(model, data=donor, **how)
    )
    assert found.equals(again)
    fusionpy.importance(model)
    assert "was drawn" not in capsys.readouterr().err
