"""The coverage study: its samples and truth, its arithmetic, and how a run goes on."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import fusionpy

VALIDATION = Path(__file__).parents[2] / "validation"
FOLDER = VALIDATION / "coverage"
MODULES = ["populations", "estimating", "replicating", "tabulating", "presenting", "run"]


@pytest.fixture
def study(monkeypatch):
    """Import the study's modules, which find each other and the other studies' by `sys.path`."""
    for folder in (VALIDATION / "benchmarks", VALIDATION, FOLDER):
        monkeypatch.syspath_prepend(str(folder))
    found = {}
    for name in MODULES:
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        found[name] = module
    return SimpleNamespace(**found)


def call(study, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", ["run.py", *map(str, options)])
    assert study.run.main() == 0


# Populations --------------------------------------------------------------------------------------------


def test_first_households_are_the_same_whatever_the_number(study, shared):
    for population in study.populations.POPULATIONS.values():
        few, many = population.draw(50, 3), population.draw(500, 3)
        pd.testing.assert_frame_equal(few, many[:50])
        assert not population.draw(50, 4).equals(few)


def test_truth_of_the_acs_is_what_the_file_has(study, shared):
    truth = pd.read_csv(FOLDER / "truth.csv").query("population == 'acs'")
    truth = truth.set_index(["statistic", "measure", "domain"])
    acs = pd.read_parquet(shared / "data" / "acs2024_recipient.parquet")
    of_state = acs.groupby("state", observed=True)
    for state in ("WY", "CA"):
        own = of_state.get_group(state)
        assert truth.loc[("mean", "rooms", f"state={state}"), "truth"] == pytest.approx(own["rooms"].mean())
        share = len(own) / len(acs)
        assert truth.loc[("mean", "renter", f"state={state}"), "share"] == pytest.approx(share)
    women = acs[acs["female"] & (acs["age"] > 64)]
    shown = truth.loc[("mean", "renter", "age_sex=65+ women"), "truth"]
    assert shown == pytest.approx(women["renter"].mean())
    assert truth.loc[("p90", "income_rank", "all"), "truth"] == pytest.approx(
        np.quantile(acs["income_rank"], 0.9), abs=0.05
    )
    x = np.column_stack([np.ones(len(acs)), acs["rooms"], acs["age"]])
    slope = np.linalg.lstsq(x, acs["income_rank"], rcond=None)[0]
    assert truth.loc[("lm", "rooms", "all"), "truth"] == pytest.approx(slope[1])


def test_every_cell_has_its_truth(study, shared):
    for name, population in study.populations.POPULATIONS.items():
        found = study.estimating.complete(population, population.draw(2000, 1))
        found = found.assign(population=name, donors=2000, times=1)
        truth = pd.read_csv(FOLDER / "truth.csv")
        beside = study.tabulating.beside_truth(found, truth)
        own = truth[(truth["population"] == name) & (truth["share"] * 2000 >= 10)]
        assert len(beside) == len(own)


def test_without_the_file_the_acs_is_left_out_and_told(study, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(study.populations, "ACS_FILE", tmp_path / "no.parquet")
    (tmp_path / "replications").mkdir()
    given = SimpleNamespace(
        out=tmp_path, population=["acs"], donors=["100"], ratios=["1"], replications=1, processes=1
    )
    given.variants = ["complete"]
    study.run.replicate(given)
    assert "the ACS is left out: there is no" in capsys.readouterr().out
    assert not list((tmp_path / "replications").iterdir())


# Replications -------------------------------------------------------------------------------------------


def test_first_recipients_are_as_if_no_others_were_fused(study):
    """Values, and what `analyze` makes of them: by the number of recipients it chooses how to pool."""
    population = study.populations.EMBEDDED
    donor, recipient = population.draw(200, 1), population.draw(800, 2)
    known = recipient.drop(columns=list(population.fused))
    x, y = population.predictors[:4], list(population.fused)
    model = fusionpy.train(donor, y, x, refits=6, hyper={"num_iterations": 10}, seed=1, quiet=True)
    few, many = (fusionpy.fuse(known[:n], model, M=6, seed=1, quiet=True) for n in (200, 800))
    first = study.replicating.first_recipients(many, 200)
    pd.testing.assert_frame_equal(first, few)
    with pytest.warns(fusionpy.FusionWarning):  # constants in small domains
        found, expected = (
            study.estimating.estimates(population, each, recipient[:200]) for each in (first, few)
        )
    pd.testing.assert_frame_equal(found, expected)
    question = {"static": recipient[:200], "quiet": True}
    table = fusionpy.analyze("mean(electricity)", first, **question)
    assert table.attrs["fusionpy"]["pooling"] == "records"
    whole = fusionpy.analyze("mean(electricity)", many, static=recipient, quiet=True)
    mine = expected.query("part == 'statistics'")
    assert set(mine["measure"]) == {"electricity", "electricity/hh_size", "vehicles", "hh_size"}
    assert whole["est"].iloc[0] != table["est"].iloc[0]


def test_a_run_goes_on_where_it_was(study, monkeypatch, tmp_path, capsys, truth_there):
    truth_there(tmp_path)
    how = "--population", "embedded", "--donors", 200, "--variants", "complete", "--processes", 1
    how += "--out", tmp_path
    call(study, monkeypatch, *how, "--ratios", "1", "--replications", 1)
    (first,) = (tmp_path / "replications").iterdir()
    content = first.read_bytes()
    call(study, monkeypatch, *how, "--ratios", "1", "--replications", 2)
    assert first.read_bytes() == content
    assert "embedded, 200 donors, replication 1: complete" in capsys.readouterr().out
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert set(summary["part"]) == {"domains", "statistics"}
    assert (summary["replications"] == 2).all()
    assert summary["coverage"].between(0.6, 1).all()
    # Other ratios are added to those that there are.
    call(study, monkeypatch, *how, "--ratios", "3", "--replications", 1)
    assert set(pd.read_parquet(first)["times"]) == {1, 3}
    runs = pd.read_csv(tmp_path / "summary.csv").query("part == 'domains'").set_index("times")
    assert runs["replications"].to_dict() == {1: 2, 3: 1}


@pytest.mark.slow
def test_variants_of_the_acs_have_their_parts(study, monkeypatch, tmp_path, shared, truth_there):
    truth_there(tmp_path)
    how = "--population", "acs", "--donors", 300, "--ratios", "1,4", "--replications", 1
    how += "--variants", "none,effects,areas,rectified", "--processes", 1, "--out", tmp_path
    call(study, monkeypatch, *how)
    summary = pd.read_csv(tmp_path / "summary.csv").set_index(["times", "way", "part"])
    assert len(summary) == 2 * (3 + 3 + 3 + 1)
    assert summary["coverage"].between(0.5, 1).all()
    default = summary.xs(study.replicating.BASE, level="way")
    assert (default[["rmse_to_base", "margin_to_base"]] == 1).all(axis=None)
    effects = summary.xs("effects", level="way")
    assert effects.xs("domains", level="part")["rmse_to_base"].between(0.5, 1.2).all()
    assert (effects["rmse_to_base"] != 1).all()
    areas = summary.xs("effects, areas", level="way")
    assert (areas["rmse_to_base"] != effects["rmse_to_base"]).all()


@pytest.fixture
def truth_there():
    return lambda folder: (folder / "truth.csv").write_bytes((FOLDER / "truth.csv").read_bytes())


# Arithmetic ---------------------------------------------------------------------------------------------


def cells(way, errors, moe):
    """Two replications of two measures in one domain each."""
    table = pd.DataFrame({"replication": [0, 0, 1, 1], "measure": ["a", "b"] * 2, "error": errors})
    table["moe"], table["covered"] = moe, table["error"].abs() <= moe
    return table.assign(
        population="acs", donors=10, times=1, way=way, part="domains", statistic="mean", domain="all"
    )


def test_errors_and_margins_are_compared_in_pairs(study):
    default = cells(study.replicating.BASE, [1.0, 2.0, 3.0, 4.0], 2.0)
    other = cells("effects", [1.0, 1.0, 1.0, 2.0], 3.0)
    found = study.tabulating.summarise(pd.concat([default, other])).set_index("way")
    assert found.loc[study.replicating.BASE, "coverage"] == 0.5
    effects = found.loc["effects"]
    assert effects["margin_to_base"] == pytest.approx(1.5)
    ratio = [np.sqrt(2 / 10), np.sqrt(5 / 20)]
    assert effects["rmse_to_base"] == pytest.approx(np.mean(ratio))
    without = [(1 / 3 + 1 / 2) / 2, (1 / 1 + 1 / 2) / 2]  # replication 1 alone, replication 0 alone
    assert effects["rmse_se"] == pytest.approx(np.std(without))
    # What the default lacks is not compared.
    alone = study.tabulating.summarise(pd.concat([default[:2], other])).set_index("way").loc["effects"]
    assert alone["rmse_to_base"] == pytest.approx((1 + 1 / 2) / 2)
    assert alone["replications"] == 2


def test_rows_of_other_sizes_and_ways_are_kept(study, tmp_path):
    path = tmp_path / "table.csv"
    both = pd.concat([cells("effects", 1.0, 2.0), cells("rectified", 1.0, 2.0)])
    study.tabulating.keep(both, path, "%.4f")
    found = study.tabulating.keep(cells("effects", 9.0, 2.0), path, "%.4f")
    assert found.groupby("way")["error"].unique().map(list).to_dict() == {"effects": [9], "rectified": [1]}


# What is committed --------------------------------------------------------------------------------------


def test_page_is_what_the_tables_make(study):
    summary, measures = (pd.read_csv(FOLDER / f"{name}.csv") for name in ("summary", "by_measure"))
    made = study.presenting.page(summary, measures)
    blocks = study.run.fill.__globals__["blocks_of"](FOLDER / "README.md")
    assert blocks == {name: text.strip() for name, text in made.items()}
