"""What is written: never in the place of an input, with whose permissions, and what is left of it or lost."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import quick
from typer.testing import CliRunner

import fusionpy
from fusionpy import ArgumentError, FusionError, OutputError, SchemaError, datasets
from fusionpy.cli import app
from fusionpy.formats import leftovers, rescue
from fusionpy.formats.atomic import check_apart, check_writable, written_aside
from fusionpy.formats.leftovers import MACHINE, is_left, own_file, scratch_folder, sweep
from fusionpy.model import archive as archive_module

Y, X = ["electricity"], ["region", "rooms"]
SMALL = {"hyper": {"num_iterations": 5}, "refits": 0, "nclusters": 10, "seed": 1, "quiet": True}
HOW = {"seed": 1, "quiet": True}


@pytest.fixture(scope="module")
def donor():
    return datasets.load_donor().head(300)[["hid", *X, *Y]]


@pytest.fixture(scope="module")
def recipient():
    return datasets.load_recipient().head(50)[["hid", *X]]


@pytest.fixture(scope="module")
def model(donor):
    return fusionpy.train(donor, Y, X, **SMALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory, donor, recipient, model):
    """A folder of what verbs read."""
    folder = tmp_path_factory.mktemp("made")
    donor.to_parquet(folder / "donor.parquet")
    recipient.to_parquet(folder / "r.parquet")
    recipient.iloc[:, :1].to_csv(folder / "r.csv", index=False)
    holes = recipient.assign(rooms=recipient["rooms"].where(recipient["hid"] % 7 > 0))
    holes.to_parquet(folder / "holes.parquet")
    fusionpy.write_fsn(model, folder / "model.fsn")
    fusionpy.fuse(recipient, model, folder / "r.fsd", M=2, retain=["hid", *X], **HOW)
    fusionpy.fuse(recipient, model, folder / "fused.parquet", M=2, retain="hid", **HOW)
    fusionpy.fuse(donor, model, folder / "back.parquet", M=2, **HOW)
    (folder / "parts").mkdir()
    for half, name in ((recipient.head(25), "part.0"), (recipient.tail(25), "part.1")):
        half.to_parquet(folder / "parts" / f"{name}.parquet")
    return folder


@pytest.fixture
def surveys(tmp_path, made):
    """The same, to be spoilt."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def content(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def command(*arguments):
    return CliRunner().invoke(app, [str(each) for each in arguments])


# An output that is an input --------------------------------------------------------------------------------

OTHER_NAMES = {
    "the same": lambda path: path,
    "another spelling": lambda path: path.parent / "parts" / ".." / path.name,
    "relative": lambda path: Path(os.path.relpath(path)),
    "a link": lambda path: linked(path, Path.symlink_to),
    "a hard link": lambda path: linked(path, Path.hardlink_to),
    "a link to its folder": lambda path: (
        linked(path.parent, Path.symlink_to, path.parent / "here") / path.name
    ),
}


def linked(path, how, link=None):
    link = link or path.parent / f"other{path.suffix}"
    how(link, path)
    return link


@pytest.mark.parametrize("ending", [".parquet", ".fsd"])
@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_recipient_is_not_replaced_by_its_implicates(surveys, model, name, ending, monkeypatch):
    monkeypatch.chdir(surveys)
    source = surveys / f"r{ending}"
    target = OTHER_NAMES[name](source)
    before = content(surveys)
    for data, fsd in ((source, target), (target, source)):
        with pytest.raises(OutputError, match="It is the file of `data`, which would be lost") as caught:
            fusionpy.fuse(data, model, fsd, **HOW)
        assert "Name another file" in caught.value.hint
    assert content(surveys) == before


@pytest.mark.parametrize("inside", ["new.parquet", "part.0.parquet", "M=1/new.parquet"])
def test_nothing_is_put_into_the_recipients_folder(surveys, model, inside):
    (surveys / "parts" / "M=1").mkdir()
    (surveys / "link").symlink_to(surveys / "parts")
    before = content(surveys)
    for data, folder in (("parts", "parts"), ("parts", "link"), ("link", "parts")):
        with pytest.raises(OutputError, match="It is inside the folder of `data`"):
            fusionpy.fuse(surveys / data, model, surveys / folder / inside, **HOW)
    assert content(surveys) == before
    out = surveys / "beside.parquet"  # beside the folder, and beside other surveys, is where it belongs
    assert fusionpy.fuse(surveys / "parts", model, out, **HOW) == str(out)


def test_a_model_is_not_replaced_by_implicates(surveys):
    (surveys / "out.parquet").symlink_to(surveys / "model.fsn")
    before = content(surveys)
    with pytest.raises(OutputError, match="It is the file of `fsn`"):
        fusionpy.fuse(surveys / "r.parquet", surveys / "model.fsn", surveys / "out.parquet", **HOW)
    (surveys / "out.html").symlink_to(surveys / "model.fsn")
    with pytest.raises(OutputError, match="It is the file of `model`"):
        fusionpy.report(surveys / "out.html", model=surveys / "model.fsn", quiet=True)
    (surveys / "out.html").unlink()
    assert content(surveys) == before


COMMANDS = {
    "train": "train donor.parquet --y electricity --x region,rooms --fsn OUT",
    "train, recipient": "train donor.parquet --y electricity --recipient r.parquet --fsn OUT",
    "fuse": "fuse r.parquet model.fsn --fsd OUT",
    "fuse, model": "fuse r.parquet model.fsn --fsd OUT",
    "fuse, csv": "fuse r.csv model.fsn --fsd OUT",
    "impute": "impute holes.parquet --out OUT",
    "prep": "prep donor.parquet --y electricity --x region,rooms --out OUT",
    "prep, recipient": "prep donor.parquet --y electricity --recipient r.parquet --out OUT",
    "analyze": "analyze fused.parquet mean(electricity) --out OUT",
    "analyze, static": "analyze fused.parquet mean(electricity) --static r.parquet --by region --out OUT",
    "score": "score donor.parquet back.parquet --x region --out OUT",
    "score, implicates": "score donor.parquet back.parquet --x region --out OUT",
    "importance": "importance model.fsn --data donor.parquet --out OUT",
    "report": "report OUT --model model.fsn --donor donor.parquet",
    "report, estimates": "report OUT --model model.fsn --estimates r.csv",
}
READ = {  # the input that the output is a link to, by a name of an allowed ending
    **{name: (name.split(", ")[-1], ".parquet") for name in COMMANDS},
    "train": ("donor", ".fsn"),
    "train, recipient": ("r", ".fsn"),
    "fuse": ("r", ".parquet"),
    "fuse, model": ("model", ".fsd"),
    "fuse, csv": ("r", ".parquet"),
    "impute": ("holes", ".parquet"),
    "prep": ("donor", ".csv"),
    "prep, recipient": ("r", ".parquet"),
    "analyze": ("fused", ".csv"),
    "analyze, static": ("r", ".parquet"),
    "score": ("donor", ".tex"),
    "score, implicates": ("back", ".parquet"),
    "importance": ("donor", ".parquet"),
    "report": ("donor", ".html"),
    "report, estimates": ("r", ".pdf"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_do_not_replace_what_they_read(surveys, name, monkeypatch):
    monkeypatch.chdir(surveys)
    stem, ending = READ[name]
    suffix = {"model": ".fsn"}.get(stem, ".csv" if "csv" in name or "estimates" in name else ".parquet")
    Path(f"out{ending}").hardlink_to(f"{stem}{suffix}")
    before = content(surveys)
    done = command(*COMMANDS[name].replace("OUT", f"out{ending}").split())
    assert done.exit_code == 2, done.output
    assert "which would be lost" in done.stderr
    assert content(surveys) == before


def test_tables_do_not_replace_what_they_are_made_of(surveys, monkeypatch):
    monkeypatch.chdir(surveys)
    arguments = ["report", "new.html", "--model", "model.fsn", "--tables", ".", "--estimates", "r.csv"]
    done = command(*arguments)
    assert done.exit_code == 2
    assert "The file of `--estimates r.csv` is in it, which a table could replace." in done.stderr
    assert not Path("new.html").exists()
    Path("validation.csv").hardlink_to("donor.parquet")
    done = command("validate", "donor.parquet", "back.parquet", "--subset-vars", "region", "--out", ".")
    assert done.exit_code == 2
    assert "which would be lost" in done.stderr


@pytest.mark.parametrize("where", ["parts", "parts/out", "link/out", "."])
def test_a_data_set_is_kept_apart_from_its_recipient(surveys, where):
    distributed = pytest.importorskip("fusionpy.distributed")
    (surveys / "link").symlink_to(surveys / "parts")
    before = content(surveys)
    with pytest.raises(OutputError, match=r"`out` cannot be written.*\n.*It is (inside )?the folder"):
        distributed.fuse(surveys / "parts", surveys / "model.fsn", 1, surveys / where, **HOW)
    assert content(surveys) == before


def test_what_cannot_be_compared_is_left_to_its_reader(tmp_path):
    for source in (None, 3, "no\0path", "~nobody-of-that-name/x", tmp_path / ("x" * 300), tmp_path / "none"):
        check_apart(tmp_path / "out.parquet", "fsd", {"data": source})


# Permissions and kinds of files ----------------------------------------------------------------------------

HOLDS_MICRODATA = {
    "model.fsn": lambda path, model, data: fusionpy.write_fsn(model, path),
    "trained.fsn": lambda path, model, data: fusionpy.train(model, Y, X, fsn=path, **SMALL),
    "fused.parquet": lambda path, model, data: fusionpy.fuse(data, model, path, **HOW),
    "fused.fsd": lambda path, model, data: fusionpy.fuse(data, model, path, **HOW),
    "full.parquet": lambda path, model, data: completed(path, data),
    "full.csv": lambda path, model, data: completed(path, data),
}
HOLDS_NONE = {
    "report.html": lambda path, model, data: fusionpy.report(path, model=model, quiet=True),
    "table.csv": lambda path, model, data: importance(path, model),
    "table.parquet": lambda path, model, data: importance(path, model),
}


def completed(path, data):
    data.assign(rooms=data["rooms"].where(data["hid"] % 7 > 0)).to_parquet(path.parent / "holes.parquet")
    done = command("impute", path.parent / "holes.parquet", "--out", path, "--seed", 1, "--quiet")
    assert done.exit_code == 0, done.output


def importance(path, model):
    fusionpy.write_fsn(model, path.parent / "model.fsn")
    done = command("importance", path.parent / "model.fsn", "--out", path)
    assert done.exit_code == 0, done.output


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize("name", [*HOLDS_MICRODATA, *HOLDS_NONE])
def test_modes(name, tmp_path, model, recipient, donor, umask):
    def write():
        {**HOLDS_MICRODATA, **HOLDS_NONE}[name](path, donor if name == "trained.fsn" else model, recipient)

    path = tmp_path / name
    write()
    assert mode(path) == (0o600 if name in HOLDS_MICRODATA else 0o644)
    for before in (0o640, 0o664):
        path.chmod(before)
        number = path.stat().st_ino
        write()
        assert mode(path) == before
        assert path.stat().st_ino != number  # written anew


@pytest.mark.parametrize(
    ("mask", "private", "expected"), [(0o277, True, 0o400), (0, True, 0o600), (0, False, 0o666)]
)
def test_the_umask_takes_its_part(mask, private, expected, tmp_path, umask):
    umask(mask)
    if os.geteuid():
        mask &= 0o77
    with written_aside(tmp_path / "new", private=private) as aside:
        assert mode(aside) == expected
        with aside.open("wb") as file:
            file.write(b"x")
    assert mode(tmp_path / "new") == expected


def test_nobody_reads_what_replaces_a_private_file(tmp_path, umask):
    (tmp_path / "old").write_text("old")
    (tmp_path / "old").chmod(0o600)
    with written_aside(tmp_path / "old") as aside:
        assert mode(aside) == 0o600
        aside.write_text("new")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_an_owner_keeps_a_file(tmp_path):
    path = tmp_path / "theirs"
    path.write_text("old")
    path.chmod(0o640)
    os.chown(path, 12345, 23456)
    with written_aside(path) as aside:
        aside.write_text("new")
    assert (path.stat().st_uid, path.stat().st_gid, mode(path)) == (12345, 23456, 0o640)


def test_without_its_group_a_file_is_not_the_groups(tmp_path, monkeypatch):
    path = tmp_path / "theirs"
    path.write_text("old")
    path.chmod(0o664)
    real = Path.stat

    def other(self, **how):
        found = real(self, **how)
        if self != path:
            return found
        return os.stat_result([*found[:4], found.st_uid + 1, found.st_gid + 1, *found[6:]])

    def deny(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "stat", other)
    monkeypatch.setattr(os, "chown", deny)
    with written_aside(path) as aside:
        aside.write_text("new")
    monkeypatch.undo()
    assert mode(path) == 0o604


@pytest.mark.parametrize("ending", [".parquet", ".fsd"])
def test_a_link_is_followed(ending, tmp_path, model, recipient):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / f"file{ending}", tmp_path / f"link{ending}"
    link.symlink_to(target)
    for _ in range(2):  # where the link leads nowhere yet, and where it does
        assert fusionpy.fuse(recipient, model, link, **HOW) == str(link)
        assert link.is_symlink()
        assert len(fusionpy.read_fsd(target)) == len(recipient)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([link.name, "real"])
        assert [path.name for path in (tmp_path / "real").iterdir()] == [target.name]


def test_links_that_lead_nowhere(tmp_path, model, recipient):
    (tmp_path / "a.parquet").symlink_to(tmp_path / "b.parquet")
    (tmp_path / "b.parquet").symlink_to(tmp_path / "a.parquet")
    (tmp_path / "c.parquet").symlink_to(tmp_path / "none" / "c.parquet")
    with pytest.raises(OutputError, match="It is a link that leads to itself"):
        fusionpy.fuse(recipient, model, tmp_path / "a.parquet", **HOW)
    assert fusionpy.fuse(recipient, model, tmp_path / "c.parquet", **HOW) == str(tmp_path / "c.parquet")
    assert (tmp_path / "none" / "c.parquet").is_file()


def test_what_is_no_file_is_refused(tmp_path, model, recipient):
    os.mkfifo(tmp_path / "pipe.parquet")
    (tmp_path / "device.fsn").symlink_to("/dev/null")
    with pytest.raises(OutputError, match="It is a pipe, a socket or a device"):
        fusionpy.fuse(recipient, model, tmp_path / "pipe.parquet", **HOW)
    with pytest.raises(OutputError, match="It is a pipe, a socket or a device"):
        fusionpy.write_fsn(model, tmp_path / "device.fsn")
    assert stat.S_ISFIFO((tmp_path / "pipe.parquet").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_read_only_file_is_left_alone(tmp_path, model, monkeypatch):
    path = tmp_path / "model.fsn"
    path.write_bytes(b"kept")
    monkeypatch.setattr(os, "access", lambda path, how: False)  # root may write to all
    with pytest.raises(OutputError, match="may not be written to"):
        fusionpy.write_fsn(model, path)
    assert path.read_bytes() == b"kept"


# What killed processes leave -------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from fusionpy.formats.atomic import written_aside
from fusionpy.formats.leftovers import scratch_folder
with scratch_folder() as folder, written_aside(Path(sys.argv[1])) as aside:
    aside.write_text("half of a survey")
    (folder / "back.parquet").write_text("half of a survey")
    print("ready", flush=True)
    sys.stdin.read()
    {end}
"""


def run(target, end, **how):
    script = textwrap.dedent(KILLED).replace("{end}", end)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", script, str(target)], **pipes, **how)
    assert process.stdout.readline() == b"ready\n"
    return process


def left(folder):
    return sorted(path for path in folder.rglob("*") if is_left(path.name))


def test_the_next_call_removes_what_a_killed_one_left(tmp_path, model, recipient, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    out = tmp_path / "out"
    out.mkdir()
    with run(out / "fused.parquet", "pass", env={**os.environ, "TMPDIR": str(temporary)}) as process:
        assert len(left(out)) == 1
        assert mode(left(out)[0]) == 0o644
        assert sweep(out) == []  # its process lives
        assert len(left(out)) == 1
        with scratch_folder():
            assert len(list(temporary.iterdir())) == 2
        os.kill(process.pid, signal.SIGKILL)
    assert len(left(out)) == 1
    fusionpy.fuse(recipient, model, out / "other.parquet", **HOW)  # whatever is written there
    assert [path.name for path in out.iterdir()] == ["other.parquet"]
    with scratch_folder() as folder:
        assert list(temporary.iterdir()) == [folder]
    assert list(temporary.iterdir()) == []


def test_what_others_may_be_writing_stays(tmp_path):
    kept = [".a.parquet.00000000-12345678.part", "a.part", ".a.part", ".a.parquet.1234567.parts", "a"]
    for name in kept:
        (tmp_path / name).write_text("other")
    (tmp_path / f".a.parquet.{MACHINE}-12345678.part").mkdir()
    (tmp_path / f".b.parquet.{MACHINE}-12345678.part").symlink_to(tmp_path / "a")
    gone = tmp_path / f".c.parquet.{MACHINE}-12345678.part"
    gone.write_text("mine")
    with own_file(tmp_path / "d") as own:
        assert sweep(tmp_path) == [gone]
        assert own.path.exists()
        assert sweep(tmp_path, everyone=True) == [tmp_path / kept[0]]
        assert own.path.exists()
    assert (tmp_path / "a").read_text() == "other"
    assert len(list(tmp_path.iterdir())) == 6


def test_without_locks_nobody_is_taken_for_dead(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def no_locks(*_):
        raise OSError(38, "Function not implemented")

    path = tmp_path / f".a.{MACHINE}-12345678.part"
    path.touch()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with written_aside(tmp_path / "b") as aside:
        aside.write_text("b")
    assert sweep(tmp_path) == []
    assert sweep(tmp_path, everyone=True) == [path]


def test_a_file_taken_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    made = leftovers._is_at
    seen = []

    def once_gone(descriptor, path):
        seen.append(path)
        if len(seen) == 1:
            path.unlink()
        return made(descriptor, path)

    monkeypatch.setattr(leftovers, "_is_at", once_gone)
    with written_aside(tmp_path / "a") as aside:
        aside.write_text("a")
    assert len(set(seen)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_name_may_be_written_aside(name):
    if name in (".", ".."):
        return
    with scratch_folder() as folder, written_aside(folder / name) as aside:
        aside.write_text("a")
        assert is_left(aside.name)
        assert len(os.fsencode(aside.name)) < 256
    assert not folder.exists()


def test_clean(tmp_path):
    (tmp_path / "M=1").mkdir()
    with run(tmp_path / "M=1" / "part.parquet", "pass") as process:
        process.kill()
    (tmp_path / ".x.parquet.01234567.part").touch()  # of an older release
    done = command("clean", tmp_path)
    assert done.exit_code == 0
    assert "1 file removed." in done.stdout
    assert [path.name for path in left(tmp_path)] == [".x.parquet.01234567.part"]
    assert "1 file removed." in command("clean", tmp_path, "--all").stdout
    assert left(tmp_path) == []
    assert command("clean", tmp_path / "none").exit_code == 2
    assert "There is no such folder." in command("clean", tmp_path / "none").stderr


@pytest.mark.parametrize("what", ["file", "folder"])
def test_files_are_on_the_disk_before_they_get_their_name(what, tmp_path, monkeypatch):
    done, sync, replace = [], os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda d: (done.append(stat.S_IFMT(os.fstat(d).st_mode)), sync(d)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (done.append("replaced"), replace(self, to)))
    with written_aside(tmp_path / "a") as aside:
        aside.write_text("a")
    assert done == [stat.S_IFREG, "replaced", stat.S_IFDIR]


# What was computed is not lost -----------------------------------------------------------------------------


def broken(*_, **__):
    raise UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")


def full(*_, **__):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("fail", [broken, full, lambda *_: 1 / 0])
def test_a_model_that_cannot_be_written_comes_with_the_error(donor, model, tmp_path, monkeypatch, fail):
    monkeypatch.setattr(archive_module, "r_members", fail)
    with pytest.raises(OutputError, match="The model is not lost: it is the error's `model`") as caught:
        fusionpy.train(donor, Y, X, fsn=tmp_path / "model.fsn", **SMALL)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    fusionpy.write_fsn(caught.value.model, tmp_path / "model.fsn")
    found, wanted = fusionpy.read_fsn(tmp_path / "model.fsn"), model
    assert found.summary() == wanted.summary()
    assert found.schema == wanted.schema


@contextmanager
def little_room():
    """Let no file grow beyond 700 bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


FILLED = {
    "train": lambda b, p: fusionpy.train(b.donor, Y, X, fsn=p / "a.fsn", **SMALL),
    "write": lambda b, p: fusionpy.write_fsn(b.model, p / "a.fsn"),
    "fuse": lambda b, p: fusionpy.fuse(b.recipient, b.model, p / "a.parquet", M=9, retain=["hid"], **HOW),
    "fuse to fst": lambda b, p: fusionpy.fuse(b.recipient, b.model, p / "a.fsd", M=9, retain=["hid"], **HOW),
    "report": lambda b, p: fusionpy.report(p / "a.html", model=b.model, quiet=True),
    "tables": lambda b, p: fusionpy.report(p / "a.html", model=b.model, tables=p, quiet=True),
}


@pytest.mark.parametrize("old", [pytest.param(None, marks=pytest.mark.slow), b"old"])
@pytest.mark.parametrize("name", quick(FILLED, [name for name in FILLED if name != "report"]))
def test_a_full_disk_leaves_what_was_there(name, old, tmp_path, donor, recipient, model, capfd):
    path = tmp_path / {"train": "a.fsn", "write": "a.fsn", "fuse": "a.parquet", "fuse to fst": "a.fsd"}.get(
        name, "a.html"
    )
    if old is not None:
        path.write_bytes(old)
    bench = Bench(tmp_path, donor, recipient, model)
    with little_room(), pytest.raises(OutputError, match="File too large") as caught:
        FILLED[name](bench, tmp_path)
    assert (caught.value.model is not None) == (name == "train")
    del caught
    gc.collect()  # nobody complains late
    assert capfd.readouterr().err == ""
    assert content(tmp_path) == ({} if old is None else {path: old})


def failing_in(folder, monkeypatch):
    """Let nothing be written into a folder."""

    def put(self, target, mode):
        if target.parent == folder:
            raise OSError(28, "No space left on device")
        return move(self, target, mode)

    move = leftovers.OwnFile.move
    monkeypatch.setattr(leftovers.OwnFile, "move", put)


@pytest.mark.parametrize("verb", ["train", "impute", "impute to csv"])
def test_commands_write_to_another_place(surveys, verb, monkeypatch):
    away, home = surveys / "away", surveys / "home"
    away.mkdir()
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home)
    failing_in(away, monkeypatch)
    lines = {
        "train": ["train", "../donor.parquet", "--y", "electricity", "--x", "region,rooms", "--fsn"],
        "impute": ["impute", "../holes.parquet", "--out"],
        "impute to csv": ["impute", "../holes.parquet", "--out"],
    }
    ending = {"train": ".fsn", "impute": ".parquet", "impute to csv": ".csv"}[verb]
    options = ["--refits", 0] if verb == "train" else []
    done = command(*lines[verb], away / f"out{ending}", "--seed", 1, "--quiet", *options)
    assert done.exit_code == 2
    (found,) = home.iterdir()
    assert f"What was computed is not lost: it is in {found}" in done.stderr
    assert mode(found) == 0o600
    if verb == "train":
        assert fusionpy.read_fsn(found).n_donors == 300
    else:
        assert pq.read_table(found)["rooms"].null_count == 0
    assert left(away) == []


def test_r_is_told_where_its_model_is(donor, tmp_path, monkeypatch):
    from fusionpy.bridge.calls import CALLS

    (tmp_path / "away").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    failing_in(tmp_path / "away", monkeypatch)
    arguments = {"y": Y, "x": X, "fsn": f"{tmp_path}/away/model.fsn", **SMALL}
    with pytest.raises(OutputError, match="What was computed is not lost: it is in") as caught:
        CALLS["train"](arguments, {"data": pa.Table.from_pandas(donor)}, None)
    (found,) = (tmp_path / "here").iterdir()
    assert str(found) in str(caught.value)
    assert fusionpy.read_fsn(found).n_donors == 300


def test_what_can_be_written_nowhere(tmp_path, monkeypatch):
    error = OutputError("a could not be written.", ["No space left on device."])
    told = rescue.rescued(error, full, ".fsn")
    assert "It could not be written elsewhere either." in told.problems
    assert not list(Path().glob("fusionpy-rescued-*"))


ODD = {"zero byte": "a\0b", "surrogate": "a\ud800b", "half of a byte": "b\udce9"}


@pytest.mark.parametrize("role", ["x", "y", "ordered"])
@pytest.mark.parametrize(
    ("name", "kind"),
    # polars and pyarrow refuse the others themselves
    [(name, kind) for name in ODD for kind in ("text", "categories")]
    + [("zero byte", "polars"), ("zero byte", "pyarrow")],
)
def test_levels_that_no_file_can_hold_are_refused_at_the_start(name, kind, role, tmp_path, monkeypatch):
    monkeypatch.setattr("fusionpy.training.learn_steps", None)  # nothing is trained
    rng = np.random.default_rng(1)
    codes, levels = rng.integers(0, 2, 99), pd.Index(["u", ODD[name]], dtype=object)
    frame = pd.DataFrame({"v": rng.normal(size=99), "w": rng.normal(size=99)})
    if kind == "text":
        frame["c"] = pd.Series(levels.to_numpy()[codes], dtype=object)
    else:
        frame["c"] = pd.Categorical.from_codes(codes, levels, ordered=role == "ordered")
    if kind == "polars":
        frame = pl.from_pandas(frame)
    elif kind == "pyarrow":
        frame = pa.Table.from_pandas(frame)
    y, x = (["c"], ["v"]) if role == "y" else (["v"], ["c", "w"])
    with pytest.raises(SchemaError, match=r"`c`: .*(zero byte|not Unicode)"):
        fusionpy.train(frame, y, x, fsn=tmp_path / "model.fsn", **SMALL)


def test_names_that_no_archive_can_hold(tmp_path):
    frame = pd.DataFrame({"n" * 70_000: np.arange(99.0), "x": np.arange(99.0)})
    with pytest.raises(SchemaError, match="a name of more than 10,000 bytes"):
        fusionpy.train(frame, [frame.columns[0]], ["x"], fsn=tmp_path / "model.fsn", **SMALL)


@pytest.mark.parametrize("ending", [".fsd", ".parquet"])
@pytest.mark.parametrize("name", ODD)
def test_retained_text_that_no_file_can_hold(name, ending, tmp_path, model, recipient):
    values = pd.Series([ODD[name], *["b"] * (len(recipient) - 1)], dtype=object, index=recipient.index)
    frame = recipient.assign(t=values)
    if name == "zero byte" and ending == ".parquet":
        fusionpy.fuse(frame, model, tmp_path / "o.parquet", retain="t", **HOW)
        assert fusionpy.read_fsd(tmp_path / "o.parquet")["t"][0] == ODD[name]
        return
    with pytest.raises(FusionError, match="`t`"):
        fusionpy.fuse(frame, model, tmp_path / f"o{ending}", retain="t", **HOW)
    assert list(tmp_path.iterdir()) == []


# Places that are not -------------------------------------------------------------------------------------

VERBS = {
    "train": lambda b: fusionpy.train(b.donor, Y, X, fsn="model.fsn", **SMALL),
    "write": lambda b: fusionpy.write_fsn(b.model, "model.fsn"),
    "fuse": lambda b: fusionpy.fuse(b.recipient, b.model, "out.parquet", **HOW),
    "fuse to fst": lambda b: fusionpy.fuse(b.recipient, b.model, "out.fsd", **HOW),
    "fuse from a file": lambda b: fusionpy.fuse("r.parquet", b.model, **HOW),
    "fuse from a model": lambda b: fusionpy.fuse(b.recipient, "model.fsn", **HOW),
    "read": lambda b: fusionpy.read_fsd("r.parquet"),
    "read a model": lambda b: fusionpy.read_fsn("model.fsn"),
    "analyze": lambda b: fusionpy.analyze("mean(a)", "r.parquet"),
    "report": lambda b: fusionpy.report("report.html", model=b.model, quiet=True),
    "tables": lambda b: fusionpy.report(b.folder / "r.html", model=b.model, tables="tables", quiet=True),
}


class Bench:
    def __init__(self, folder, donor, recipient, model):
        self.folder, self.donor, self.recipient, self.model = folder, donor, recipient, model


@pytest.mark.parametrize("name", VERBS)
def test_a_working_directory_that_was_deleted(name, tmp_path, donor, recipient, model, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FusionError, match=r"working directory|no such file|no such folder"):
        VERBS[name](Bench(tmp_path, donor, recipient, model))
    assert list(tmp_path.iterdir()) == []


WRITE = {
    "train": lambda b, p: fusionpy.train(b.donor, Y, X, fsn=f"{p}.fsn", **SMALL),
    "write": lambda b, p: fusionpy.write_fsn(b.model, f"{p}.fsn"),
    "fuse": lambda b, p: fusionpy.fuse(b.recipient, b.model, f"{p}.parquet", **HOW),
    "fuse to fst": lambda b, p: fusionpy.fuse(b.recipient, b.model, f"{p}.fsd", **HOW),
    "report": lambda b, p: fusionpy.report(f"{p}.html", model=b.model, quiet=True),
    "tables": lambda b, p: fusionpy.report(b.folder / "r.html", model=b.model, tables=p, quiet=True),
}
READS = {
    "fuse": lambda b, p: fusionpy.fuse(f"{p}.parquet", b.model, **HOW),
    "fuse from a folder": lambda b, p: fusionpy.fuse(p, b.model, **HOW),
    "read": lambda b, p: fusionpy.read_fsd(f"{p}.parquet"),
    "analyze": lambda b, p: fusionpy.analyze("mean(electricity)", f"{p}.parquet"),
}


@pytest.mark.parametrize("odd", ["b\udce9", "a\ud800", "b\udce9/a"])
@pytest.mark.parametrize("name", WRITE)
def test_names_that_are_no_text_are_not_written(name, odd, tmp_path, donor, recipient, model, monkeypatch):
    monkeypatch.setattr("fusionpy.training.learn_steps", None)
    monkeypatch.setattr("fusionpy.fusion.open_drawing", None)
    with pytest.raises(OutputError, match="is not in UTF-8"):
        WRITE[name](Bench(tmp_path, donor, recipient, model), f"{tmp_path}/{odd}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", READS)
def test_names_that_are_no_text_are_not_read(name, tmp_path, donor, recipient, model, surveys):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/b\xe9")
    (surveys / "fused.parquet").rename(f"{odd}.parquet")
    (surveys / "parts").rename(odd)
    with pytest.raises(ArgumentError, match="cannot be read") as caught:
        READS[name](Bench(tmp_path, donor, recipient, model), odd)
    str(caught.value).encode()


def test_a_folder_for_tables_that_cannot_be_written_to(tmp_path, model, monkeypatch):
    monkeypatch.setattr("fusionpy.reporting.render", None)
    for folder in ("/proc", "/proc/none/tables"):
        with pytest.raises(OutputError, match="`tables` cannot be made"):
            fusionpy.report(tmp_path / "r.html", model=model, tables=folder, quiet=True)


@pytest.mark.parametrize("path", [b"out.parquet", 3, "", None, ["a"]])
def test_paths_that_are_none(path):
    with pytest.raises(OutputError, match="`fsd` must be the path of a file"):
        check_writable(path, "fsd", [".parquet"])


def test_absent_folders_of_a_model_are_made_when_it_is_written(tmp_path, monkeypatch, donor):
    monkeypatch.chdir(tmp_path)
    fusionpy.train(donor, "electricity", ["region"], fsn="a/b/model.fsn", **SMALL)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["model.fsn"]
    fusionpy.write_fsn(fusionpy.read_fsn("a/b/model.fsn"), tmp_path / "c" / "again.fsn")
    assert (tmp_path / "c" / "again.fsn").read_bytes() == (tmp_path / "a" / "b" / "model.fsn").read_bytes()
    with pytest.raises(OutputError, match="is a file, not a folder"):
        fusionpy.train(donor, "electricity", ["region"], fsn="a/b/model.fsn/d/model.fsn", **SMALL)


def test_no_folder_is_left_of_a_training_that_fails(tmp_path, monkeypatch, donor):
    (tmp_path / "kept").mkdir()
    target = tmp_path / "kept" / "new" / "newer" / "model.fsn"
    with pytest.raises(FusionError):
        fusionpy.train(donor.head(10), "electricity", ["region"], fsn=target, **SMALL)
    assert not [*(tmp_path / "kept").iterdir()]
    assert check_writable(target, "fsn", (".fsn",), folders=True) == target
    assert not [*(tmp_path / "kept").iterdir()]

    def fail():
        with written_aside(target) as path:
            assert path.parent.is_dir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not [*(tmp_path / "kept").iterdir()]


def test_no_folder_is_left_if_the_next_one_cannot_be_made(tmp_path, monkeypatch):
    make = Path.mkdir

    def refuse(self, *rest, **how):
        if self.name == "newer":
            raise PermissionError(13, "no", str(self))
        return make(self, *rest, **how)

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError), written_aside(tmp_path / "new" / "newer" / "newest" / "model.fsn"):
        pass
    assert not [*tmp_path.iterdir()]
