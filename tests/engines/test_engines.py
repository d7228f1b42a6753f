"""An engine that is not LightGBM goes all the way, and the package is touched by its line only."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from patience import PATIENCE

import fusionpy
from fusionpy.engines import ENGINES
from fusionpy.errors import ArchiveError, ArgumentError, FusionError

TESTS = Path(__file__).parents[1]
X = ["region", "rooms", "income"]
Y = ["insulation", "electricity", ["vehicles", "solar"]]
HOW = {"weight": "weight", "refits": 2, "nfolds": 2, "nclusters": 30, "seed": 1, "quiet": True}


@pytest.fixture(scope="module")
def registered():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENGINES, "ridge", "engines.ridge")
        yield


@pytest.fixture(scope="module")
def donor():
    return fusionpy.datasets.load_donor().head(900)


@pytest.fixture(scope="module")
def recipient():
    return fusionpy.datasets.load_recipient().head(200)


@pytest.fixture(scope="module")
def model(donor, registered):
    return fusionpy.train(donor, Y, X, **HOW, engine="ridge")


@pytest.fixture(scope="module")
def fused(model, recipient):
    return fusionpy.fuse(recipient, model, M=3, seed=2, quiet=True)


@pytest.fixture(scope="module")
def path(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("engine") / "ridge.fsn"
    fusionpy.write_fsn(model, path)
    return path


def rewritten(path, to, change):
    """Copy an archive, its members changed by a function of name and content."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(to, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return to


def with_engine(value):
    def change(name, content):
        if name != "manifest.json":
            return content
        manifest = json.loads(content)
        del manifest["engine"]
        return json.dumps(manifest if value is None else {**manifest, "engine": value})

    return change


def manifest_of(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("manifest.json"))


def test_it_learns(model, fused, donor, recipient):
    tuned = [tuning for step in model.steps for tuning in step.tuning.values()]
    assert {tuning.params["penalty"] for tuning in tuned} == {0.1, 100.0}  # each is best for some
    assert all(len(tuning.grid) == 2 for tuning in tuned)
    assert set(model.versions) >= {"fusionpy", "numpy"}
    assert "lightgbm" not in model.versions
    slope = np.polyfit(donor["rooms"], donor["electricity"], 1)[0]
    assert slope > 0
    for _, implicate in fused.groupby("M"):
        found = np.polyfit(recipient["rooms"], implicate["electricity"], 1)[0]
        assert slope / 2 < found < 2 * slope


def test_cores_do_not_matter(model, donor, registered):
    again = fusionpy.train(donor, Y, X, **HOW, engine="ridge", cores=3)
    assert [step.final for step in again.steps] == [step.final for step in model.steps]
    assert all(np.array_equal(a.pools.member, b.pools.member) for a, b in [(again.steps[1], model.steps[1])])


def test_an_archive_names_its_engine(path, model):
    manifest = manifest_of(path)
    assert manifest["engine"] == "ridge"
    assert "engine" not in manifest["options"]  # where older releases would refuse it
    assert manifest["not_for_r"] == ["R does not read models of Ridge"]
    with zipfile.ZipFile(path) as archive:
        assert not {"metadata.rds", "donor.fst"} & set(archive.namelist())
    again = fusionpy.read_fsn(path)
    assert again.describe() == model.describe()
    assert again.options.engine == "ridge"


def test_a_fresh_process_reads_and_fuses(path, fused, recipient, tmp_path):
    """By the same bits, and without LightGBM."""
    recipient.to_parquet(tmp_path / "recipient.parquet")
    code = """
import sys
import pandas as pd
import fusionpy
from fusionpy.engines import ENGINES

ENGINES["ridge"] = "engines.ridge"
recipient = pd.read_parquet("recipient.parquet")
fusionpy.fuse(recipient, sys.argv[1], M=3, seed=2, quiet=True).to_parquet("fused.parquet")
assert "lightgbm" not in sys.modules
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=tmp_path, env=environment, timeout=PATIENCE, check=True
    )
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "fused.parquet"), fused)


def test_what_it_has_not_is_refused(model, donor, registered):
    with pytest.raises(ArgumentError, match="Models of Ridge have no splits"):
        fusionpy.importance(model)
    with pytest.raises(ArgumentError, match="`monotone`: Ridge cannot"):
        fusionpy.train(donor, Y, X, **HOW, engine="ridge", monotone={"electricity": {"rooms": 1}})
    with pytest.raises(ArgumentError, match="`hyper`: ridge has no num_leaves"):
        fusionpy.train(donor, Y, X, **HOW, engine="ridge", hyper={"num_leaves": 3})


def test_an_unknown_engine_is_refused(path, donor, monkeypatch):
    monkeypatch.delitem(ENGINES, "ridge")
    with pytest.raises(ArgumentError, match="`engine` must be one of 'lightgbm', not 'ridge'"):
        fusionpy.train(donor, Y, X, **HOW, engine="ridge")
    with pytest.raises(ArchiveError) as caught:
        fusionpy.read_fsn(path)
    assert str(caught.value) == (
        f"'{path}' cannot be read as a model archive.\n"
        "  x Its models are of the engine 'ridge'; this fusionpy has 'lightgbm'.\n"
        "  i Read it with the fusionpy that has this engine, or a newer one."
    )


def test_an_engine_without_its_library_is_refused(path, donor, monkeypatch):
    monkeypatch.setitem(ENGINES, "ridge", "engines.no_such_module")
    with pytest.raises(FusionError, match="The engine 'ridge' cannot be imported"):
        fusionpy.train(donor, Y, X, **HOW, engine="ridge")
    with pytest.raises(ArchiveError, match=r"cannot be imported.*\n.*no_such_module"):
        fusionpy.read_fsn(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (with_engine(7), "manifest.json/engine must be text, not 7"),
        (with_engine(["ridge"]), "manifest.json/engine must be text"),
        (with_engine("x" * 10_000), "of the engine 'xxx"),
        (with_engine("lightgbm"), "is not a model of LightGBM: its header is damaged"),
        (with_engine(None), "is not a model of LightGBM: its header is damaged"),
        (
            lambda name, content: b"{}" if name[:2] == "1/" else content,
            "not a model of Ridge: it is no ridge",
        ),
        (
            lambda name, content: b"\xff" if name[:2] == "1/" else content,
            "not a model of Ridge: it is not text",
        ),
    ],
)
def test_archives_are_distrusted(change, told, path, tmp_path, registered):
    with pytest.raises(ArchiveError, match=told) as caught:
        fusionpy.read_fsn(rewritten(path, tmp_path / "other.fsn", change))
    assert len(str(caught.value)) < 700


def test_archives_without_an_engine_are_of_lightgbm(donor, recipient, tmp_path):
    path = tmp_path / "model.fsn"
    model = fusionpy.train(donor, "vehicles", X, **HOW, hyper={"num_iterations": 5}, fsn=path)
    assert manifest_of(path)["engine"] == "lightgbm"
    older = fusionpy.read_fsn(rewritten(path, tmp_path / "older.fsn", with_engine(None)))
    assert older.options == model.options
    both = [fusionpy.fuse(recipient, each, M=2, seed=1, quiet=True) for each in (model, older)]
    pd.testing.assert_frame_equal(*both)
