"""Children of `fork`, multiprocessing's default on Linux up to Python 3.13, can do what their parent did."""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import threading

import lightgbm as lgb
import numpy as np
import pytest
from pacing import slow
from patience import PATIENCE

from fusionpy.engines.lightgbm import boosting

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="fork is Linux's")

SCRIPT = """
import json, multiprocessing, os, sys, warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of every fork beside threads; numpy has some
import numpy as np
import fusionpy
from fusionpy import datasets

folder, before, children, patience = sys.argv[1:]
donor, recipient = datasets.load_donor().head(200), datasets.load_recipient().head(60)
how = {"seed": 1, "quiet": True}
small = {"hyper": {"num_iterations": 3}, "refits": 1, "nclusters": 10, **how}
path = f"{folder}/model.fsn"


def train(cores=2, fsn=None):
    return fusionpy.train(donor, ["electricity", "solar"], ["region", "rooms"], fsn=fsn, cores=cores, **small)


def fuse(fsn, fsd=None):
    return fusionpy.fuse(recipient, fsn, fsd, M=2, cores=2, **how)


for name in fusionpy.__all__:  # imports, as every child would have to
    getattr(fusionpy, name)


holes = donor[["region", "rooms", "tenure"]].copy()
holes.loc[::7, "rooms"] = None
jobs = {
    "read": lambda: fusionpy.read_fsn(path),
    "write": lambda: fusionpy.write_fsn(model, f"{folder}/{os.getpid()}.fsn"),
    "train": lambda: train(fsn=f"{folder}/{os.getpid()}.fsn"),
    "fuse": lambda: fuse(model),
    "fuse by path": lambda: fuse(path, f"{folder}/{os.getpid()}.parquet"),
    "fuse to fst": lambda: fuse(path, f"{folder}/{os.getpid()}.fsd"),
    "impute": lambda: fusionpy.impute(holes, cores=2, **how),
    "importance": lambda: fusionpy.importance(model, data=donor, seed=0),
    "analyze": lambda: fusionpy.analyze("mean(electricity)", implicates, cores=2, quiet=True),
    "score": lambda: fusionpy.score(donor, back, x=["region", "rooms"], cores=2, quiet=True, seed=0),
}
context = multiprocessing.get_context("fork")


def prepare():
    model = train(fsn=path)
    fuse(model, f"{folder}/fused.parquet")
    fusionpy.fuse(donor, model, f"{folder}/back.parquet", M=2, **how)


child = context.Process(target=prepare)
child.start()
child.join()
model = fusionpy.read_fsn(path)
implicates, back = (fusionpy.read_fsd(f"{folder}/{name}.parquet", M=None) for name in ("fused", "back"))
if before == "does all that and starts threads":
    for job in jobs.values():
        job()
    import lightgbm

    x = np.random.default_rng(1).random((999, 9))
    lightgbm.train({"verbosity": -1, "num_threads": 4}, lightgbm.Dataset(x, x[:, 0]), 2)


def do(names):
    for name in names:
        print("begins to", name, flush=True)
        jobs[name]()


found = {}
for names in [[*jobs]] if children == "one" else [[name] for name in jobs]:
    child = context.Process(target=do, args=(names,))
    child.start()
    child.join(int(patience))
    ended = "hangs" if child.is_alive() else child.exitcode
    found.update(dict.fromkeys(names, ended))
    child.kill()
    if ended == "hangs":
        break
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    ("before", "children"),
    [
        slow(("reads", "one")),
        slow(("reads", "each")),
        slow(("does all that and starts threads", "each")),
    ],
)
def test_children_do_all_that_the_parent_can(before, children, tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), before, children, str(PATIENCE)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert set(found.values()) == {0}, ended.stdout
    assert len(found) == 10


POLARS = """
import multiprocessing, sys, warnings
warnings.simplefilter("ignore")
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import fusionpy

folder, before, patience = sys.argv[1:]
recipient = pl.DataFrame({"region": ["a", "b"] * 30, "rooms": [*range(60)]})
arrow = pa.table({"region": ["a", "b"] * 30, "rooms": [*range(60)]})
pa.parquet.write_table(arrow.append_column("M", pa.array([1] * 60)), f"{folder}/a.parquet")
if before == "has computed":
    recipient.group_by("region").agg(pl.col("rooms").mean())


def told(call):
    try:
        call()
        what = "done"
    except fusionpy.FusionError as error:
        what = type(error).__name__ + (" spawn" if "'spawn'" in str(error) else "")
    print(what, flush=True)


def check():
    from fusionpy.frames.tables import as_table

    told(lambda: as_table(recipient).column("rooms"))
    told(lambda: as_table(arrow).column("rooms"))
    told(lambda: fusionpy.impute(recipient, quiet=True))
    told(lambda: fusionpy.read_fsd(f"{folder}/a.parquet", kind="polars", M=None))
    told(lambda: fusionpy.read_fsd(f"{folder}/a.parquet", kind="pandas", M=None))


child = multiprocessing.get_context("fork").Process(target=check)
child.start()
child.join(int(patience))
print("hangs" if child.is_alive() else "ended")
child.kill()
"""


@pytest.mark.parametrize("before", [slow("has only been imported"), "has computed"])
def test_polars_whose_threads_are_lost_is_refused_and_not_waited_for(before, tmp_path):
    pytest.importorskip("polars")
    command = [sys.executable, "-c", POLARS, str(tmp_path), before, str(PATIENCE)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    *what, end = ended.stdout.splitlines()
    assert end == "ended", what
    if before == "has computed":
        assert what == ["SchemaError spawn", "done", "SchemaError spawn", "ArgumentError spawn", "done"]
    else:  # it works, except that nothing is missing to be imputed
        assert what == ["done", "done", "SchemaError", "done", "done"]


def allowed():
    found = ctypes.c_int(0)
    lgb.basic._LIB.LGBM_GetMaxThreads(ctypes.byref(found))
    return found.value


@pytest.mark.parametrize("own", [-1, 3])
def test_what_others_allow_lightgbm_is_as_it_was(own):
    lgb.basic._LIB.LGBM_SetMaxThreads(ctypes.c_int(own))
    inside, begun, over = [], threading.Event(), threading.Event()

    def other():
        with boosting.one_thread():
            begun.set()
            assert over.wait(PATIENCE)
            inside.append(allowed())

    try:
        thread = threading.Thread(target=other)
        thread.start()
        assert begun.wait(PATIENCE)
        with boosting.one_thread():
            inside.append(allowed())
        inside.append(allowed())  # the other one is at it still
        over.set()
        thread.join()
        assert inside == [1, 1, 1]
        assert allowed() == own
    finally:
        lgb.basic._LIB.LGBM_SetMaxThreads(ctypes.c_int(-1))


def test_texts_are_the_same_in_one_thread():
    x = np.random.default_rng(1).random((300, 3))
    booster = lgb.train({"verbosity": -1, "num_threads": 2}, lgb.Dataset(x, x[:, 0]), 20)
    assert boosting.text(booster) == booster.model_to_string(num_iteration=-1)
    assert boosting.text(booster, 7) == booster.model_to_string(num_iteration=7)
    assert boosting.text(boosting.parse(boosting.text(booster))) == boosting.text(booster)
