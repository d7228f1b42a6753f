"""fusionpy.distributed: what a cluster writes and estimates is what one machine does, whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
from itertools import pairwise
from pathlib import Path

import cloudpickle
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from pacing import slow
from pandas.testing import assert_frame_equal
from patience import PATIENCE, until

import fusionpy
from fusionpy import ArgumentError, FusionError, FusionWarning, OutputError, SchemaError, datasets
from fusionpy.formats.folders import part_path, read_record
from fusionpy.formats.implicates import open_implicates
from fusionpy.frames.digests import read_note

dd = pytest.importorskip("dask.dataframe", reason='Dask is absent: pip install "fusionpy[dask]"')
import dask  # noqa: E402
from dask.distributed import Client, LocalCluster  # noqa: E402

from fusionpy import distributed  # noqa: E402
from fusionpy.distributed.client import at_work, results  # noqa: E402

Y = ["heating_fuel", "electricity", ["food_share", "housing_share", "other_share"], "solar"]
X = ["region", "income", "rooms", "tenure"]
N, M, SEED = 700, 3, 11
HOW = {"retain": ["hid", "tenure"], "seed": SEED, "quiet": True}


@pytest.fixture(scope="module")
def recipient():
    return datasets.load_recipient(replicates=True).head(N)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="module")
def model(place):
    """Path of a small model."""
    donor = datasets.load_donor().head(500)
    hyper = {"num_iterations": 5}
    how = {"nclusters": 60, "krange": (10, 40), "refits": 2, "seed": 5, "quiet": True}
    fusionpy.train(donor, Y, X, fsn=f"{place}/model.fsn", weight="weight", hyper=hyper, **how)
    return place / "model.fsn"


@pytest.fixture(scope="module")
def survey(place, recipient):
    """Path of the recipient, in row groups of 150."""
    recipient.to_parquet(place / "recipient.parquet", row_group_size=150)
    return place / "recipient.parquet"


@pytest.fixture(scope="module")
def alone(place, recipient, model):
    """What one machine writes."""
    return fusionpy.fuse(recipient, model, f"{place}/alone.parquet", M=M, **HOW)


@pytest.fixture(scope="module")
def cluster():
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not import tests
    idle = {"worker.profile.enabled": False, "admin.tick.interval": "1s"}  # less to do for idle workers
    patient = {"deploy.lost-worker-timeout": f"{PATIENCE}s"}  # or a worker slow to start again is given up
    with (
        dask.config.set({f"distributed.{name}": value for name, value in (idle | patient).items()}),
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
    ):
        yield cluster
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def sized(cluster, client, n_workers):
    """Give the cluster so many workers, and wait until those are there and no other that is about to go."""
    cluster.scale(n_workers)
    until(lambda: len(client.nthreads()) == n_workers)


@pytest.fixture
def client(cluster):
    with Client(cluster, set_as_default=False) as client:
        yield client


@pytest.fixture(scope="module")
def written(cluster, place, survey, model):
    """What the cluster writes."""
    with Client(cluster, set_as_default=False) as client:
        return distributed.fuse(survey, model, M, place / "out", partition_rows=300, client=client, **HOW)


def read(path, **arguments):
    return fusionpy.read_fsd(path, M=None, **arguments)


def state(out):
    """What tells whether a file was written anew."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in Path(out).glob("M=*/*")}


def assert_same(out, alone):
    assert_frame_equal(read(out), read(alone), check_exact=True)
    left = [path.name for path in Path(out).rglob(".*")]
    assert not left


# fuse ------------------------------------------------------------------------------------------------------


def test_files_and_what_they_tell(written, alone, model):
    names = sorted(str(path.relative_to(written)) for path in Path(written).rglob("*") if path.is_file())
    parts = [f"M={m}/part-{p:05d}.parquet" for m in (1, 2, 3) for p in range(3)]
    assert names == [*parts, "_fusionpy.json", "_model.fsn"]
    record = read_record(Path(written))
    assert (record.rows, record.M, record.kblock) == ((300, 300, 100), M, 10)
    assert (record.attributes["seed"], record.retain) == (SEED, ("hid", "tenure"))
    assert Path(written, "_model.fsn").read_bytes() == model.read_bytes()
    noted = json.loads(pq.read_schema(f"{written}/M=2/part-00001.parquet").metadata[b"fusionpy"])
    own = {"implicate": 2, "partition": 1, "first_row": 300}
    assert noted == {**record.attributes, "model": record.model, **own}
    assert read(written).attrs["fusionpy"] == {**read(alone).attrs["fusionpy"], "model": record.model}


def test_others_read_it(written, alone):
    expected = read(alone, kind="polars")
    found = pl.scan_parquet(f"{written}/*/*.parquet", hive_partitioning=True).collect()
    found = found.sort("M", maintain_order=True).select(expected.columns)
    assert found.drop("M", "tenure", "heating_fuel").equals(expected.drop("M", "tenure", "heating_fuel"))
    arrow = pa.dataset.dataset(written, partitioning="hive").to_table()
    assert sorted(arrow["hid"].to_pylist()) == sorted(expected["hid"].to_list())
    assert arrow["M"].type == pa.int32()
    assert len(dd.read_parquet(f"{written}/M=2")) == N


@pytest.mark.parametrize("n_workers", [1, slow(2), slow(3)])
def test_any_number_of_workers_and_partitions(n_workers, cluster, client, tmp_path, survey, model, alone):
    sized(cluster, client, n_workers)
    rows = {1: None, 2: 100, 3: 333}[n_workers]
    out = distributed.fuse(survey, model, M, tmp_path / "out", partition_rows=rows, client=client, **HOW)
    assert_same(out, alone)
    sizes = {1: (700,), 2: (75, 75, 75, 75, 75, 75, 75, 75, 100), 3: (300, 300, 100)}[n_workers]
    assert read_record(Path(out)).rows == sizes


def test_two_workers_in_this_process(tmp_path, survey, model, alone):
    """They start at once, so that the fast tests have two as well."""
    how = {"processes": False, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with Client(**how, set_as_default=False) as client:
        assert len(client.nthreads()) == 2
        out = distributed.fuse(survey, model, M, tmp_path / "out", partition_rows=300, client=client, **HOW)
    assert_same(out, alone)


@pytest.mark.parametrize("n_partitions", [1, slow(3)])
def test_dask_data_frames(n_partitions, client, tmp_path, recipient, model, alone):
    frame = dd.from_pandas(recipient, npartitions=n_partitions)
    out = distributed.fuse(frame, fusionpy.read_fsn(model), M, tmp_path / "out", client=client, **HOW)
    assert len(read_record(Path(out)).rows) == n_partitions
    assert_same(out, alone)


def test_empty_partitions(client, tmp_path, recipient, model, alone):
    ends = [0, 0, 200, N, N]
    parts = [recipient.iloc[a:b] for a, b in pairwise(ends)]
    frame = dd.from_map(lambda part: part, parts, meta=recipient.head(0))
    out = distributed.fuse(frame, model, M, tmp_path / "out", client=client, **HOW)
    assert read_record(Path(out)).rows == (0, 200, 500, 0)
    assert_same(out, alone)


def test_a_folder_of_files(client, tmp_path, recipient, model, alone):
    (tmp_path / "parts").mkdir()
    for number in range(6):
        part = recipient.iloc[120 * number : 120 * (number + 1)]
        part.to_parquet(tmp_path / "parts" / f"part.{number}.parquet")
    out = distributed.fuse(
        tmp_path / "parts", model, M, tmp_path / "out", partition_rows=250, client=client, **HOW
    )
    assert read_record(Path(out)).rows == (240, 240, 220)
    assert_same(out, alone)


def test_areas(client, tmp_path, recipient):
    """Levels without donors are met in other partitions, and in another order: their draws are the same."""
    donor = datasets.load_donor().head(400)
    area = recipient["hid"].astype("int64") % 37
    recipient = recipient.assign(area=area, code=area.astype(str).str.zfill(3))
    donor = donor.assign(area=donor.index % 30, code=(donor.index % 20).astype(str).str.zfill(3))
    how = {"hyper": {"num_iterations": 5}, "nclusters": 20, "refits": 2, "seed": 5, "quiet": True}
    small = fusionpy.train(donor, ["electricity", "solar"], ["rooms"], areas=["area", "code"], **how)
    recipient.to_parquet(tmp_path / "r.parquet", row_group_size=150)
    here = fusionpy.fuse(recipient, small, tmp_path / "here.parquet", M=2, retain="area", seed=1, quiet=True)
    kept = {"retain": "area", "seed": 1, "quiet": True, "client": client}
    for name, data in (("a", tmp_path / "r.parquet"), ("b", dd.from_pandas(recipient, npartitions=3))):
        rows = 200 if name == "a" else None
        out = distributed.fuse(data, small, 2, tmp_path / name, partition_rows=rows, **kept)
        assert_frame_equal(read(out), read(here), check_exact=True)
    lacking = dd.from_pandas(recipient.drop(columns="code"), npartitions=2)
    with pytest.raises(SchemaError, match="`code`: not in `data`, and an area"):
        distributed.fuse(lacking, small, 2, tmp_path / "c", **kept)
    strange = dd.from_pandas(recipient.assign(code="x"), npartitions=2)
    with pytest.warns(FusionWarning, match=r"`code` \(such as 'x'\)"):
        distributed.fuse(strange, small, 2, tmp_path / "d", **kept)


@pytest.mark.slow
def test_a_cluster_for_the_call(tmp_path, survey, model, alone, capfd):
    out = distributed.fuse(survey, model, M, tmp_path / "out", n_workers=1, **{**HOW, "quiet": False})
    assert_same(out, alone)
    said = capfd.readouterr().err
    assert "fuse: partitions: 1/1" in said
    assert "fuse: 3/3" in said


def test_another_thread_count_and_kblock(client, tmp_path, recipient, survey, model):
    how = {"kblock": 7, "seed": 1, "cores": 2, "quiet": True}
    out = distributed.fuse(survey, model, 10, tmp_path / "out", client=client, **how)
    expected = fusionpy.fuse(recipient, model, M=10, **how)
    assert_frame_equal(read(out), expected, check_exact=True)


# going on --------------------------------------------------------------------------------------------------


def part_of(number, recipient, marker, how):
    """Make a partition; once, when it is made for the second time (the first is to look at it), fail."""
    if number == 1:
        times = len(list(marker.parent.glob(f"{marker.name}*")))
        Path(f"{marker}{times}").touch()
        if times == 1 and how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if times == 1:
            raise RuntimeError("the power went")
    return recipient.iloc[250 * number : 250 * (number + 1)]


def failing(recipient, marker, how):
    return dd.from_map(part_of, range(3), recipient=recipient, marker=marker, how=how, meta=recipient.head(0))


@pytest.mark.slow
def test_a_worker_that_is_killed(cluster, client, tmp_path, recipient, model, alone):
    sized(cluster, client, 1)
    before = set(client.run(os.getpid).values())
    frame = failing(recipient, tmp_path / "made", "kill")
    out = distributed.fuse(frame, model, M, tmp_path / "out", client=client, **HOW)
    assert len(list(tmp_path.glob("made*"))) > 2
    assert_same(out, alone)
    client.wait_for_workers(len(before), timeout=PATIENCE)
    assert set(client.run(os.getpid).values()) != before


@pytest.mark.slow
def test_workers_that_are_killed_while_they_write(cluster, client, tmp_path, survey, recipient, model):
    sized(cluster, client, 2)
    out, victims, killed = tmp_path / "out", list(client.run(os.getpid).values()), []

    def kill():
        for wanted, victim in zip((2, 9), victims, strict=True):
            until(lambda wanted=wanted: len(list(out.glob("M=*/*.parquet"))) >= wanted)
            os.kill(victim, signal.SIGKILL)
            killed.append(victim)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    distributed.fuse(survey, model, 20, out, partition_rows=100, client=client, **HOW)
    thread.join(PATIENCE)
    assert killed == victims
    assert_frame_equal(read(out), fusionpy.fuse(recipient, model, M=20, **HOW), check_exact=True)


def test_a_run_that_stops_goes_on(client, tmp_path, recipient, model, alone):
    frame, out = failing(recipient, tmp_path / "made", "fail"), tmp_path / "out"
    with pytest.raises(RuntimeError, match="the power went"):
        distributed.fuse(frame, model, M, out, client=client, **HOW)
    with pytest.raises(ArgumentError, match=r"is not complete \(\d+ of 9 files are there\)"):
        read(out)
    part_path(out, 2, 0).parent.mkdir(exist_ok=True)
    (out / "M=2" / ".part-00000.parquet.0123.part").touch()  # left by a process that was killed
    (out / "._model.fsn.00000000-01234567.part").touch()  # on another machine
    before = state(out)
    again = distributed.fuse(frame, model, M, out, client=client, **{**HOW, "seed": None})
    assert_same(again, alone)
    after = state(out)
    assert {path: after[path] for path in before if path.suffix == ".parquet"} == {
        path: each for path, each in before.items() if path.suffix == ".parquet"
    }


@pytest.mark.slow  # beside the next one
def test_finished_files_are_left_alone(client, tmp_path, survey, model, alone):
    def fuse():
        return distributed.fuse(survey, model, M, tmp_path / "out", partition_rows=150, client=client, **HOW)

    out = Path(fuse())
    before = state(out)
    gone = [part_path(out, 1, 0), part_path(out, 3, 0), part_path(out, 2, 4)]
    content = [path.read_bytes() for path in gone]
    for path in gone:
        path.unlink()
    with pytest.raises(ArgumentError, match=r"not complete \(12 of 15 files are there\)"):
        open_implicates(out)
    fuse()
    assert [path.read_bytes() for path in gone] == content
    after = state(out)
    assert {path for path in after if after[path] != before[path]} == set(gone)
    fuse()
    assert state(out) == after
    assert_same(out, alone)


def empty(path):
    path.write_bytes(b"")


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def of_another_implicate(path):
    path.write_bytes(part_path(path.parents[1], 3, 4).read_bytes())


def of_another_partition(path):
    path.write_bytes(part_path(path.parents[1], 1, 1).read_bytes())


def without_rows(path):
    table = pq.read_table(path)
    pq.write_table(table.slice(1), path)


def without_notes(path):
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(None), path)


DAMAGES = [empty, cut, of_another_implicate, of_another_partition, without_rows, without_notes]


def test_files_that_are_not_what_they_should_be_are_made_again(client, tmp_path, survey, model, alone):
    def fuse():
        return distributed.fuse(survey, model, M, tmp_path / "out", partition_rows=150, client=client, **HOW)

    out = Path(fuse())
    paths = [part_path(out, m, p) for m, p in ((2, 1), (1, 0), (2, 4), (1, 3), (2, 0), (1, 2))]
    content = [path.read_bytes() for path in paths]
    for damage, path, whole in zip(DAMAGES, paths, content, strict=True):
        damage(path)
        if damage is not without_notes:  # whoever only reads sees the others, too
            with pytest.raises(ArgumentError, match=rf"'.*{path.name}' cannot be read") as caught:
                read(out)
            assert "fusionpy.distributed.fuse()` again" in caught.value.hint
        path.write_bytes(whole)
    before = state(out)
    for damage, path in zip(DAMAGES, paths, strict=True):
        damage(path)
    gone = part_path(out, 3, 0)
    gone.unlink()
    fuse()
    assert [path.read_bytes() for path in paths] == content
    after = state(out)
    assert {each for each in after if after[each] != before[each]} == {*paths, gone}
    assert_same(out, alone)
    fuse()
    assert state(out) == after


def test_another_run_is_refused(client, written, survey, recipient, model, tmp_path):
    before = state(written)
    other = recipient.assign(rooms=recipient["rooms"].to_numpy()[::-1])
    renamed = recipient.assign(hid=recipient["hid"].to_numpy()[::-1])
    other.to_parquet(tmp_path / "other.parquet", row_group_size=150)
    renamed.to_parquet(tmp_path / "renamed.parquet", row_group_size=150)
    donor, tiny = datasets.load_donor().head(300), {"nclusters": 20, "hyper": {"num_iterations": 5}}
    second = fusionpy.train(donor, ["electricity"], X, refits=0, seed=1, quiet=True, **tiny)
    for changed, problem in [
        ({"seed": 12}, "`seed` is 12, there it is 11"),
        ({"M": 4}, "`M` is 4, there it is 3"),
        ({"kblock": 9}, "`kblock` is 9, there it is 10"),
        ({"retain": "hid"}, "`retain` names other columns"),
        ({"partition_rows": 150}, "in 5 partitions of 100 to 150 rows, there in 3 of 100 to 300"),
        ({"data": tmp_path / "other.parquet"}, "The recipient holds other values"),
        ({"data": tmp_path / "renamed.parquet"}, "The recipient holds other values"),
        ({"fsn": second}, "The model is another"),
    ]:
        call = {"data": survey, "fsn": model, "M": M, "partition_rows": 300, **HOW, **changed}
        with pytest.raises(OutputError, match=f"`out` holds another run.*\n(.*\n)*.*{problem}"):
            distributed.fuse(out=written, client=client, **call)
    assert state(written) == before
    assert Path(written, "_model.fsn").read_bytes() == model.read_bytes()


# errors ----------------------------------------------------------------------------------------------------


def test_data_that_do_not_fit_leave_nothing(client, tmp_path, recipient, model):
    out = tmp_path / "out"
    wrong = recipient.assign(rooms=recipient["rooms"].astype(str)).drop(columns="income")
    with pytest.raises(SchemaError, match=r"`data` does not match the predictors.*\n.*`income`") as raised:
        distributed.fuse(dd.from_pandas(wrong, npartitions=2), model, M, out, client=client, **HOW)
    assert len(raised.value.problems) == 2
    assert "Recode" in raised.value.hint
    frame = dd.from_pandas(recipient, npartitions=2)
    with pytest.raises(SchemaError, match="`retain` names `no`, not in `data`"):
        distributed.fuse(frame, model, M, out, retain="no", client=client, quiet=True)
    parts = [recipient.head(5), recipient.tail(5).astype({"hid": "str"})]
    frame = dd.from_map(lambda part: part, parts, meta=parts[0].head(0), enforce_metadata=False)
    with pytest.raises(SchemaError, match=r"`hid` is int32 in partition 0, (large_)?string in partition 1"):
        distributed.fuse(frame, model, M, out, client=client, **HOW)
    assert not out.exists()


def test_folders_that_cannot_be(client, tmp_path, survey, model, written):
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "_fusionpy.json").write_text('{"format": 1, "rows": "x"}')
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "_fusionpy.json").write_text('{"format": 2}')
    for name, problem in [
        ("file", "It is a file, not a folder"),
        ("full", "It holds other things: 'thesis.txt'"),
        ("no/out", "The folder that it is in does not exist"),
        ("broken", "'_fusionpy.json' is damaged"),
        ("newer", "is of a newer fusionpy"),
    ]:
        with pytest.raises(OutputError, match=f"`out` cannot be written.*\n.*{problem}"):
            distributed.fuse(survey, model, M, tmp_path / name, client=client, **HOW)
    with pytest.raises(OutputError, match="`out` must be the path of a folder"):
        distributed.fuse(survey, model, M, 5, client=client, **HOW)
    with pytest.raises(ArgumentError, match="holds implicates, in folders 'M=1'"):
        distributed.fuse(written, model, M, tmp_path / "out", client=client, **HOW)


def test_all_problems_at_once(recipient, model, tmp_path):
    with pytest.raises(ArgumentError) as raised:
        distributed.fuse(
            recipient, model, 0, tmp_path, kblock=1, cores=0, seed=-1, partition_rows=0, client=5, n_workers=0
        )
    assert len(raised.value.problems) == 8
    with pytest.raises(ArgumentError) as raised:
        distributed.analyze(
            "mean(a)",
            recipient,
            static="a.parquet",
            rectify=fusionpy.read_fsn(model),
            client=1,
            by=[["a"], ["b"]],
        )
    assert len(raised.value.problems) == 4
    assert "`by` has several groupings: call it once for each." in raised.value.problems


@pytest.mark.slow
def test_workers_that_die_time_after_time(cluster, client):
    sized(cluster, client, 2)
    allowed = cluster.scheduler.allowed_failures
    cluster.scheduler.allowed_failures = 0
    try:
        die = dask.delayed(lambda: os.kill(os.getpid(), signal.SIGKILL), pure=False)
        with pytest.raises(FusionError, match="Workers died, time after time"):
            list(results(client, [die()]))
    finally:
        cluster.scheduler.allowed_failures = allowed
    client.wait_for_workers(2, timeout=PATIENCE)


def test_workers_slow_to_start_again_are_not_given_up(monkeypatch):
    """By the cluster of a call: Dask's own patience is 15 seconds."""
    patience, told = "distributed.deploy.lost-worker-timeout", []

    class Light:
        def __init__(self, *given, **how):
            told.append(dask.config.get(patience))

        def __enter__(self):
            return self

        def __exit__(self, *error):
            told.append(dask.config.get(patience))

    monkeypatch.setattr(distributed.client.distributed, "LocalCluster", Light)
    monkeypatch.setattr(distributed.client.distributed, "Client", Light)
    with dask.config.set({patience: "15s"}):
        with at_work(None, 1) as client:
            assert isinstance(client, Light)
        assert [dask.utils.parse_timedelta(each) for each in told] == [600] * 4
        assert dask.config.get(patience) == "15s"


def test_dask_is_imported_only_when_it_is_asked_for():
    code = textwrap.dedent("""
        import importlib.util as util, sys
        import fusionpy
        find = util.find_spec
        util.find_spec = lambda name, package=None: None if name == "dask" else find(name, package)
        try:
            import fusionpy.distributed
        except ImportError as error:
            print(error)
        print("fusionpy.distributed" in sys.modules)
    """)
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    wanted = 'fusionpy.distributed needs Dask, which is not installed: pip install "fusionpy[dask]"\nFalse\n'
    assert said == wanted


# analyze ---------------------------------------------------------------------------------------------------


def centre(frame, weight):
    return {"centre": np.average(frame["electricity"], weights=weight), **gas(frame)}


def gas(frame):
    """Another name in every other group, so that implicates may meet names in another order."""
    n = int(frame["solar"].sum())
    return {f"solar{n % 3}": float(n)}


def more(frame):
    return pd.DataFrame(
        {"per_room": frame["electricity"] / frame["rooms"], "fuel": frame["heating_fuel"].astype(str)}
    )


REPLICATES = datasets.REPLICATE_WEIGHTS[:5]
FEW = pytest.mark.filterwarnings("ignore:Margins that would rest on less than one:fusionpy.FusionWarning")
QUESTIONS = {
    "static groups": ("mean(electricity)", {"by": ["tenure", "region"], "weight": "weight"}),
    "simulated groups": (
        [
            "mean(solar)",
            "sum(heating_fuel)",
            "share(electricity)",
            "gini(electricity)",
            "ratio(electricity, rooms)",
        ],
        {"by": ["heating_fuel", "solar", "region", "income"], "weight": "weight"},
    ),
    "everything": (["mean(tenure)", "mean(solar)", "quantile(electricity, 0.9)"], {}),
    "replicates": (
        ["median(electricity)", "mean(heating_fuel)"],
        {"rep_weights": REPLICATES, "by": "region", "weight": "weight", "cores": 2},
    ),
    "rubin": (
        ["median(electricity)", "sum(electricity)"],
        {"rep_weights": REPLICATES, "by": "solar", "pooling": "rubin", "seed": 3},
    ),
    "custom": ({"custom": centre}, {"by": "region", "weight": "weight", "rep_weights": REPLICATES}),
    "custom, bootstrapped": ({"custom": centre}, {"by": "region", "weight": "weight"}),
    "fun": (["mean(per_room)", "mean(fuel)"], {"fun": more, "by": ["fuel", "tenure"]}),
}


@FEW
@pytest.mark.filterwarnings("ignore:.* 0. nothing varies:fusionpy.FusionWarning")
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "pandas") for name in QUESTIONS if not name.startswith(("custom", "replicates"))),
        *((name, "path") for name in ("replicates", "custom")),
        *(slow((name, "pandas")) for name in ("replicates", "custom")),
        *(pytest.param("custom, bootstrapped", kind, marks=pytest.mark.slow) for kind in ("pandas", "path")),
    ],
)
def test_estimates_are_the_same_bit_for_bit(name, kind, client, written, alone, recipient, survey):
    x, how = QUESTIONS[name]
    static = recipient.drop(columns="tenure")
    given = static if kind == "pandas" else survey
    if kind == "path":
        static = recipient
    how = {"seed": 0, **how}
    expected = fusionpy.analyze(x, alone, static=static, quiet=True, **how)
    here = fusionpy.analyze(x, written, static=static, quiet=True, **how)
    there = distributed.analyze(x, written, static=given, client=client, quiet=True, **how)
    assert_frame_equal(here, expected, check_exact=True)
    assert_frame_equal(there, expected, check_exact=True)
    assert type(there) is type(expected)
    assert there.attrs == expected.attrs
    assert not list(Path(written).rglob(".*"))


@FEW
def test_pairs_of_implicates_are_compared_in_one_task(client, recipient, tmp_path):
    few = recipient.head(150)
    tiny = {"nclusters": 20, "nfolds": 2, "refits": 6, "seed": 1, "quiet": True}
    donor = datasets.load_donor().head(200)
    model = fusionpy.train(donor, ["electricity"], ["region", "rooms"], **tiny)
    path = fusionpy.fuse(few, model, tmp_path / "fused.parquet", M=7, seed=1, quiet=True)
    how = {"static": few, "by": "tenure", "quiet": True}
    here = fusionpy.analyze("mean(electricity)", path, **how)
    assert here.attrs["fusionpy"]["pooling"] == "records"
    assert not here.equals(fusionpy.analyze("mean(electricity)", path, pooling="barnard-rubin", **how))
    there = distributed.analyze("mean(electricity)", path, client=client, **how)
    assert_frame_equal(there, here, check_exact=True)
    assert there.attrs == here.attrs


@FEW
@pytest.mark.filterwarnings("ignore:.* 0. nothing varies:fusionpy.FusionWarning")
def test_groups_and_levels_that_later_implicates_meet_first(client, tmp_path):
    rng = np.random.default_rng(3)
    n = 90
    towns = [["b", "a"], ["c", "a", "d"], ["a", "e", "b"], ["d", "f", None]]
    tables = [
        pa.table(
            {
                "M": pa.array(np.full(n, m + 1), pa.int32()),
                "town": rng.choice(np.array(places, dtype=object), n),
                "fuel": rng.choice(np.array(["x", "y"][: m + 1] + ["z"] * (m % 2), dtype=object), n),
                "y": rng.normal(size=n),
            }
        )
        for m, places in enumerate(towns)
    ]
    pq.write_table(pa.concat_tables(tables), tmp_path / "fused.parquet")
    how = {"by": ["town", "fuel"], "quiet": True}
    x = ["mean(y)", "share(y)", "mean(fuel)", "sum(town)"]
    expected = fusionpy.analyze(x, tmp_path / "fused.parquet", **how)
    found = distributed.analyze(x, tmp_path / "fused.parquet", client=client, **how)
    assert_frame_equal(found, expected, check_exact=True)


@FEW
@pytest.mark.filterwarnings("ignore:Coefficients are:fusionpy.FusionWarning")
def test_regressions_whose_levels_later_implicates_meet_first(client, tmp_path):
    rng = np.random.default_rng(4)
    n = 90
    towns = [["b", "c"], ["c", "a", "b"], ["c", "b", None]]
    columns = {
        "M": np.repeat(np.arange(1, 4, dtype=np.int32), n),
        "town": np.concatenate([rng.choice(np.array(each, dtype=object), n) for each in towns]),
        "fuel": pd.Categorical(rng.choice(["y", "z"], 3 * n), ["x", "y", "z"]),
        "rooms": rng.integers(1, 4, 3 * n),
        "on": rng.random(3 * n) < 0.5,
        "y": rng.normal(size=3 * n),
    }
    pd.DataFrame(columns).to_parquet(tmp_path / "fused.parquet", index=False)
    x = [
        "lm(y ~ town * on + fuel)",
        "glm(on ~ factor(rooms) + y, family=binomial)",
        "mean(fuel)",
        "mean(town)",
    ]
    for by in (None, "fuel"):
        expected = fusionpy.analyze(x, tmp_path / "fused.parquet", by=by, quiet=True)
        found = distributed.analyze(x, tmp_path / "fused.parquet", by=by, client=client, quiet=True)
        assert_frame_equal(found, expected, rtol=1e-9)
    assert "towna" in set(expected["level"])
    assert "townb" not in set(expected["level"])  # the first implicate's first
    assert "fuely" not in set(expected["level"])


@FEW
def test_each_implicate_has_its_own_weights(client, tmp_path, alone, recipient):
    """In statistics, groups and replicates; the rectified take the mean weight."""
    table = pq.read_table(alone)
    names = ["weight", *REPLICATES]
    factor = np.random.default_rng(5).gamma(4, 0.25, len(table))
    for name in names:
        table = table.append_column(name, pa.array(np.tile(recipient[name], M) * factor))
    pq.write_table(table, tmp_path / "own.parquet")
    how = {"static": recipient.drop(columns=names), "weight": "weight", "by": "tenure", "quiet": True}
    for x, more in (("mean(electricity)", {}), ("median(electricity)", {"rep_weights": REPLICATES})):
        expected = fusionpy.analyze(x, tmp_path / "own.parquet", **how, **more)
        found = distributed.analyze(x, tmp_path / "own.parquet", client=client, **how, **more)
        assert_frame_equal(found, expected, check_exact=True)
        shared = fusionpy.analyze(x, alone, **{**how, **more, "static": recipient})
        assert (found["est"] != shared["est"]).all()


@FEW
def test_negative_weights_count_as_zero(client, tmp_path, alone, recipient):
    """Of `static`, and of a later implicate's own; told once, here and not by the workers."""
    static = recipient.assign(weight=recipient["weight"].mask(recipient.index % 50 == 3, -1.0))
    table = pq.read_table(alone)
    own = np.tile(recipient["weight"].to_numpy(), M)
    own[len(recipient) + 3] = -1
    pq.write_table(table.append_column("weight", pa.array(own)), tmp_path / "own.parquet")
    for path, beside in ((alone, static), (tmp_path / "own.parquet", recipient.drop(columns="weight"))):
        how = {"static": beside, "weight": "weight", "quiet": True}
        found = []
        for verb, more in ((fusionpy.analyze, {}), (distributed.analyze, {"client": client})):
            with pytest.warns(FusionWarning, match=r"negative weights? in `weight`: taken as 0") as caught:
                found.append(verb("mean(electricity)", path, **how, **more))
            assert len(caught) == 1
            assert caught[0].filename == __file__
        assert_frame_equal(*found, check_exact=True)


def inverse(frame):
    return pd.DataFrame({"z": 1 / (frame["rooms"] - 4), "one": frame["electricity"] > frame["rooms"].mean()})


@FEW
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_warnings_are_those_of_one_machine(client, written, alone, recipient):
    """Of infinite values, of few degrees of freedom, of a single implicate."""
    how = {"static": recipient, "fun": inverse, "quiet": True}
    told = []
    for verb, source, more in (
        (fusionpy.analyze, alone, {}),
        (distributed.analyze, written, {"client": client}),
    ):
        with pytest.warns(fusionpy.FusionWarning, match="Infinite") as caught:
            verb(["mean(z)", "median(z)"], source, by=["region", "income"], **how, **more)
        told.append({str(each.message) for each in caught if each.category is fusionpy.FusionWarning})
    assert told[0] == told[1]
    assert any("less than one degree of freedom" in message for message in told[0])
    one = fusionpy.read_fsd(alone, M=1).assign(M=1)
    with pytest.warns(fusionpy.FusionWarning, match="there is one implicate"):
        fusionpy.analyze("mean(electricity)", one, quiet=True)


def test_rectified_and_polars(client, written, alone, recipient, model):
    static = pl.from_pandas(recipient.drop(columns="tenure"))
    how = {"static": static, "by": "region", "weight": "weight", "rectify": str(model), "quiet": True}
    x = ["mean(electricity)", "mean(heating_fuel)"]
    expected = fusionpy.analyze(x, alone, **how)
    assert distributed.analyze(x, written, client=client, **how).equals(expected)


def test_score_and_read(written, alone, recipient):
    truth = recipient.assign(electricity=recipient["rooms"] * 1000.0)
    assert fusionpy.score(truth, written, y="electricity", seed=1).to_dict() == (
        fusionpy.score(truth, alone, y="electricity", seed=1).to_dict()
    )
    for how in (
        {"where": {"tenure": "owner", "M": [2, 3]}, "columns": ["electricity", "M"]},
        {"columns": "M"},
    ):
        assert_frame_equal(read(written, **how), read(alone, **how))
    assert_frame_equal(fusionpy.read_fsd(written, M=2), fusionpy.read_fsd(alone, M=2))


def test_what_cannot_be_estimated(client, written, recipient):
    for x, how, problem in [
        ("mean(electricityx)", {}, r"`electricityx`: not in .* \(is `electricity` meant\?\)"),
        ("mean(room)", {"static": recipient}, r"`room`: not in .* \(is `rooms` meant\?\)"),
        ("mean(electricity)", {"weight": "wait", "static": recipient}, "weight `wait`: neither in"),
        ("mean(electricity)", {"static": recipient.head(3)}, "It has 3 rows, an implicate 700 rows"),
        ("median(heating_fuel)", {}, "has levels, of which there is no median"),
    ]:
        with pytest.raises(SchemaError, match=problem):
            distributed.analyze(x, written, client=client, quiet=True, **how)
    assert not list(Path(written).rglob(".*"))


# folders of files ------------------------------------------------------------------------------------------


def test_a_file_that_was_changed_is_noticed(written, tmp_path):
    out = shutil.copytree(written, tmp_path / "out")
    path = part_path(Path(out), 2, 1)
    content = path.read_bytes()
    pq.write_table(pq.read_table(path).slice(1), path)
    with pytest.raises(ArgumentError, match="It has 299 rows, and should have 300"):
        read(out)
    path.write_bytes(content[:-100])
    with pytest.raises(ArgumentError, match=r"part-00001.parquet' cannot be read"):
        read(out)
    assert len(fusionpy.read_fsd(out, M=1)) == N


@pytest.mark.parametrize("inside", [False, True])
def test_folders_that_others_wrote(inside, tmp_path, alone):
    """With M in the folders' names, in the files, or in both."""
    table = pq.read_table(alone)
    for m in range(M, 0, -1):
        (tmp_path / f"M={m}").mkdir()
        part = table.slice((m - 1) * N, N)
        for p, (low, high) in enumerate([(0, 100), (100, N)]):
            piece = part.slice(low, high - low)
            pq.write_table(
                piece if inside else piece.drop_columns(["M"]), tmp_path / f"M={m}" / f"{p}.parquet"
            )
    assert_frame_equal(read(tmp_path), read(alone), check_exact=True)
    assert open_implicates(tmp_path).labels == (1, 2, 3)


def test_plain_folders(tmp_path, alone):
    table = pq.read_table(alone)
    cuts = [0, 10, 900, 900, M * N]
    for number, (low, high) in enumerate(pairwise(cuts)):
        pq.write_table(
            table.slice(low, high - low), tmp_path / f"part{number + 8}.parquet", row_group_size=350
        )
    (tmp_path / "_metadata").touch()
    assert_frame_equal(read(tmp_path), read(alone), check_exact=True)
    how = {"by": "heating_fuel", "quiet": True}
    expected = fusionpy.analyze("mean(electricity)", alone, **how)
    assert_frame_equal(fusionpy.analyze("mean(electricity)", tmp_path, **how), expected, check_exact=True)
    pq.write_table(table.drop_columns(["hid"]), tmp_path / "part99.parquet")
    with pytest.raises(
        ArgumentError, match=r"'part99\.parquet' does not have the same columns as 'part8\.parquet'"
    ):
        open_implicates(tmp_path)


# rows ------------------------------------------------------------------------------------------------------


def test_static_in_another_order_is_refused(client, written, alone, recipient, tmp_path):
    """A frame and a path; what partitions noted is what one machine notes of the columns that both read."""
    there, here = (read_note(open_implicates(each).attributes["rows"]) for each in (written, alone))
    both = set(there) & set(here)
    assert {"region", "income", "rooms", "hid"} <= both
    assert all(there[name] == here[name] for name in both)
    moved = recipient.sort_values("income", kind="stable")
    moved.to_parquet(tmp_path / "moved.parquet", row_group_size=90)
    recipient.to_parquet(tmp_path / "right.parquet", row_group_size=90)
    how = {"client": client, "quiet": True}
    distributed.analyze("mean(electricity)", written, static=str(tmp_path / "right.parquet"), **how)
    for static in (moved, str(tmp_path / "moved.parquet")):
        with pytest.raises(SchemaError, match="`static` is in another order than `implicates`"):
            distributed.analyze("mean(electricity)", written, static=static, **how)
    with pytest.raises(SchemaError, match="`static` is in another order than `implicates`"):
        fusionpy.analyze("mean(electricity)", written, static=moved, quiet=True)
