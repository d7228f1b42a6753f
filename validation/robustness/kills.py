"""Kill whatever writes, at every step and any moment; see what is left of it, and whether the next mends it.

    python validation/robustness/kills.py [--kills 300] [--seed 1] [--only parquet,dask] [--out FOLDER]

Every case is a call in a process of its own, ended by SIGKILL. *Aimed* kills come just before one of the
call's steps in the file system (a file is opened, moved, removed, a folder is made or listed, as Python's
audit events tell), each in turn; the others at a moment that is drawn uniformly from the time which the call
takes. Then a second process makes the same call. Three things must hold: under the names of results there is
nothing, what was there before, or the whole; the second call succeeds, with the whole as its result; and
after it nothing else is left. ``kills.csv`` has the counts; with ``--only``, rows of other cases stay.

Processes are forked from this one, which has trained and fused before. Dask's workers are processes of a
cluster that outlives the calls; of some calls not the caller is killed but one of the workers, and some have
workers of their own, which die with the caller.
"""

from __future__ import annotations

import argparse
import csv
import faulthandler
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import cloudpickle

import fusionpy
import fusionpy.distributed
from fusionpy import datasets
from fusionpy.cli import main as cli
from fusionpy.formats.leftovers import is_left

HERE = Path(__file__).parent
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir", "os.chown"}
LOG = Path(tempfile.gettempdir()) / f"kills-{os.getpid()}.log"
LIMIT = 240  # seconds, of a call that hangs
HOW = {"seed": 1, "quiet": True}
COLUMNS = (
    "case",
    "kills",
    "aimed",
    "before_it_ended",
    "left_a_part",
    "half_files",
    "failed_again",
    "left_after",
)
CLUSTER = """
import sys
import dask
from dask.distributed import LocalCluster
if __name__ == "__main__":
    dask.config.set({"distributed.deploy.lost-worker-timeout": "600s"})  # for workers slow to start again
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


class Bench:
    """What all calls need: surveys and a model, in a folder and in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        donor, self.recipient = datasets.load_donor().head(300), datasets.load_recipient().head(120)
        small = {"hyper": {"num_iterations": 5}, "refits": 1, "nclusters": 10, **HOW}
        self.model = fusionpy.train(donor, ["electricity", "solar"], ["region", "rooms"], **small)
        fusionpy.write_fsn(self.model, folder / "model.fsn")
        self.recipient.to_parquet(folder / "recipient.parquet", row_group_size=40)
        donor.to_parquet(folder / "donor.parquet")
        holes = donor[["region", "rooms", "tenure"]].assign(rooms=donor["rooms"].where(donor.index % 7 > 0))
        holes.to_parquet(folder / "holes.parquet")
        self.implicates = folder / "implicates" / "fused.parquet"
        self.implicates.parent.mkdir()
        fusionpy.fuse(self.recipient, self.model, self.implicates, M=2, **HOW)
        self.address = ""

    def client(self):
        from dask.distributed import Client

        return Client(self.address, set_as_default=False)


@dataclass(frozen=True)
class Case:
    """A call, what it writes, and how often it is killed.

    `call` is given the folder to write to, and the bench; `share` is the part of all kills.
    """

    name: str
    call: Callable[[Path, Bench], object]
    share: float
    kills_worker: bool = False
    kills_all: bool = False  # the caller, and with it the workers that it has started for the call
    names: tuple[str, ...] = field(default=())  # of results that an older file may stand in place of


def command(*arguments: object) -> None:
    sys.argv = ["fusionpy", *map(str, arguments)]
    try:
        cli()
    except SystemExit as ended:
        if ended.code:
            raise RuntimeError("the command failed") from None


def fuse_on_dask(out: Path, bench: Bench, worker_step: int | None = None) -> None:
    with bench.client() as client:
        cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not import this script
        client.wait_for_workers(1 if worker_step is None else 2, timeout=600)
        before = client.run(os.getpid)
        if worker_step is not None:
            client.run(_aim, str(out), worker_step, workers=[sorted(before)[0]])
        survey, model = bench.folder / "recipient.parquet", bench.folder / "model.fsn"
        how = {"partition_rows": 40, "retain": "hid", "client": client, **HOW}
        fusionpy.distributed.fuse(survey, model, 3, out / "set", **how)
        if worker_step is not None and client.run(os.getpid) != before:
            out.with_suffix(".killed").touch()


def fuse_on_own_workers(out: Path, bench: Bench) -> None:
    survey, model = bench.folder / "recipient.parquet", bench.folder / "model.fsn"
    how = {"partition_rows": 40, "retain": "hid", "n_workers": 1, **HOW}
    fusionpy.distributed.fuse(survey, model, 3, out / "set", **how)


def analyze_on_dask(out: Path, bench: Bench) -> None:
    beside = out / "fused.parquet"
    if not beside.exists():
        shutil.copyfile(bench.implicates, beside)
    with bench.client() as client:
        how = {"static": bench.recipient, "by": "region", "client": client, "quiet": True}
        fusionpy.distributed.analyze("mean(electricity)", beside, **how)


def report(out: Path, bench: Bench) -> None:
    how = {"model": bench.model, "date": "2026-01-01", "tables": out / "tables", "quiet": True}
    fusionpy.report(out / "report.html", **how)


CASES = [
    Case(
        "fuse to Parquet",
        lambda out, b: fusionpy.fuse(b.recipient, b.model, out / "fused.parquet", M=3, **HOW),
        0.15,
        names=("fused.parquet",),
    ),
    Case(
        "fuse to .fsd",
        lambda out, b: fusionpy.fuse(b.recipient, b.model, out / "fused.fsd", M=3, **HOW),
        0.15,
        names=("fused.fsd",),
    ),
    Case(
        "model to .fsn",
        lambda out, b: fusionpy.write_fsn(b.model, out / "model.fsn"),
        0.13,
        names=("model.fsn",),
    ),
    Case("report and tables", report, 0.08, names=("report.html",)),
    Case(
        "command: fuse",
        lambda out, b: command(
            *("fuse", b.folder / "recipient.parquet", b.folder / "model.fsn", "--fsd", out / "fused.parquet"),
            *("-M", 3, "--seed", 1, "--quiet"),
        ),
        0.1,
        names=("fused.parquet",),
    ),
    Case(
        "command: impute to CSV",
        lambda out, b: command(
            "impute", b.folder / "holes.parquet", "--out", out / "full.csv", "--seed", 1, "--quiet"
        ),
        0.1,
        names=("full.csv",),
    ),
    Case(
        "command: analyze to CSV",
        lambda out, b: command(
            "analyze", b.implicates, "mean(electricity)", "--out", out / "table.csv", "-q"
        ),
        0.06,
        names=("table.csv",),
    ),
    Case("Dask: fuse to a folder", fuse_on_dask, 0.14),
    Case("Dask: one of its workers", fuse_on_dask, 0.05, kills_worker=True),
    Case("Dask: with its own workers", fuse_on_dask, 0.04, kills_all=True),
    Case("Dask: analyze", analyze_on_dask, 0.04),
]


def _aim(folder: str, step: int) -> list[int]:
    """Kill this process just before its call's so-manieth step in a folder; count them if `step` is 0."""
    import os
    import signal
    import sys

    count, at = [0], os.path.realpath(folder)

    def hook(event: str, arguments: tuple) -> None:
        if event not in EVENTS or not arguments or not isinstance(arguments[0], str | bytes | os.PathLike):
            return
        if not os.fsdecode(arguments[0]).startswith(at):
            return
        count[0] += 1
        if count[0] == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    return count


@contextmanager
def forked(call: Callable[[], object], counts: Path | None = None, aim: tuple[str, int] | None = None):
    """Make a call in a forked process; give its number."""
    pid = os.fork()
    if pid:
        try:
            yield pid
        finally:  # one that lived on would hold this process's pipes open, which others wait for
            with suppress(ChildProcessError, ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        return
    code = 1
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        if counts is None:  # what a process that is killed or hangs has said is shown if all is not well
            os.dup2(os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 2)
        # No watchdog thread: one that the parent had, pytest's for instance, would be waited for in vain.
        faulthandler.register(signal.SIGALRM, all_threads=True)
        signal.alarm(LIMIT - 5)
        warnings.simplefilter("ignore")
        met = _aim(*aim) if aim is not None else [0]
        call()
        if counts is not None:
            counts.write_text(str(met[0]))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(pid: int, seconds: float) -> int | None:
    """Wait for a process; None if it is at it still."""
    until = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        if time.monotonic() > until:
            return None
        time.sleep(0.0005)


def state(folder: Path) -> dict[str, str]:
    """Digest every file that is no process's own."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not is_left(path.name)
    }


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if is_left(path.name)]


def whole(case: Case, bench: Bench, scratch: Path) -> tuple[dict[str, str], int, float]:
    """Make the call undisturbed: its result, its steps and its time."""
    seconds = []
    for number in range(2):  # the first time compiles, and loads what is loaded late
        out = scratch / f"whole-{number}"
        out.mkdir()
        counts, began = scratch / "counts", time.monotonic()
        with forked(lambda out=out: case.call(out, bench), counts, (str(out), 0)) as pid:
            assert ended(pid, LIMIT) == 0, f"{case.name}:\n{LOG.read_text() if LOG.exists() else ''}"
        seconds.append(time.monotonic() - began)
    return state(out), int(counts.read_text()), seconds[-1]


def kill_once(
    case: Case, bench: Bench, out: Path, step: int | None, delay: float, expected: dict[str, str], old: bool
) -> Counter[str]:
    """Kill one call, make it again, and count what went wrong."""
    found: Counter[str] = Counter(kills=1, aimed=step is not None)
    for name in case.names if old else ():
        (out / name).write_bytes(b"what was there before")
    before = state(out)
    if case.kills_worker:
        call, aim = (lambda: fuse_on_dask(out, bench, step)), None
    elif case.kills_all:
        call, aim = (lambda: fuse_on_own_workers(out, bench)), None
    else:
        call, aim = (lambda: case.call(out, bench)), (str(out), step) if step is not None else None
    with forked(call, aim=aim) as pid:
        until, status = time.monotonic() + LIMIT, None
        while case.kills_all and status is None and len(state(out)) < (step or 0):
            assert time.monotonic() < until, f"{case.name}, step {step} is never reached"
            status = ended(pid, 0.0005)
        if status is None:
            status = ended(pid, LIMIT if step is not None and not case.kills_all else delay)
        if status is None and step is not None and not case.kills_all:
            print(f"{case.name}, step {step} hangs:\n{LOG.read_text()}", file=sys.stderr)
        found["before_it_ended"] += (
            status is None or os.WIFSIGNALED(status) or out.with_suffix(".killed").exists()
        )
        found["failed_again"] += case.kills_worker and status != 0  # Dask is to mend that by itself
    found["left_a_part"] += bool(left(out))
    for name, digest in state(out).items():
        found["half_files"] += digest not in (expected.get(name), before.get(name))
    with forked(lambda: case.call(out, bench)) as pid:
        if ended(pid, LIMIT) != 0 or state(out) != expected:
            found["failed_again"] += 1
            print(f"{case.name}, step {step}, {delay:.4f} s:\n{LOG.read_text()}", file=sys.stderr)
    found["left_after"] += bool(left(out))
    return found


@contextmanager
def cluster(bench: Bench):
    """Start Dask's scheduler and two workers."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    script = bench.folder / "cluster.py"
    script.write_text(CLUSTER)
    with subprocess.Popen([sys.executable, script], **pipes) as process:
        bench.address = process.stdout.readline().strip()
        try:
            yield
        finally:
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            process.kill()


def campaign(
    kills: int, seed: int, only: list[str], say: Callable[[str], object] = print
) -> list[dict[str, object]]:
    """Kill all cases, and count."""
    rng = random.Random(seed)
    chosen = [case for case in CASES if not only or any(each.lower() in case.name.lower() for each in only)]
    shares = sum(case.share for case in chosen)
    rows = []
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        bench = Bench(Path(name).resolve())
        for case in chosen:
            number = max(1, round(kills * case.share / shares))
            total: Counter[str] = Counter()
            # Dask does not always bring back a worker that was killed.
            at_once = 1 if case.kills_worker else number
            for first in range(0, number, at_once):
                with cluster(bench) if case.name.startswith("Dask") else nullcontext():
                    some = range(first, min(first + at_once, number))
                    total += kill_some(case, bench, some, rng)
            rows.append({"case": case.name, **{name: total[name] for name in COLUMNS[1:]}})
            say(f"{case.name}: " + ", ".join(f"{name} {total[name]}" for name in COLUMNS[1:]))
    LOG.unlink(missing_ok=True)
    return rows


def kill_some(case: Case, bench: Bench, kills: range, rng: random.Random) -> Counter[str]:
    """Kill one case time after time."""
    place = bench.folder / f"{case.name.replace(': ', '-').replace(' ', '_')}-{kills.start}"
    place.mkdir()
    expected, steps, seconds = whole(case, bench, place)
    total: Counter[str] = Counter()
    every = rng.sample(range(1, steps + 1), steps)
    for kill in kills:
        if case.kills_worker:
            step = rng.randint(1, 15)  # of which a worker makes some more
        elif case.kills_all:
            step, seconds = rng.randint(1, 10), 0.01  # so many files are there
        else:
            step = every[kill // 2 % steps] if kill % 2 == 0 else None
        out = place / f"kill-{kill}"
        out.mkdir()
        old = bool(case.names) and rng.random() < 0.5
        total += kill_once(case, bench, out, step, rng.uniform(0, seconds), expected, old)
        shutil.rmtree(out)
    return total


def main() -> None:
    warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, which are others' here
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--out", type=Path, default=HERE)
    asked = parser.parse_args()
    rows = campaign(asked.kills, asked.seed, [each for each in asked.only.split(",") if each])
    table, known = asked.out / "kills.csv", {}
    if asked.only and table.exists():  # the rows of other cases stay
        with table.open(newline="") as file:
            known = {row["case"]: row for row in csv.DictReader(file)}
    known |= {str(row["case"]): row for row in rows}
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(known[case.name] for case in CASES if case.name in known)
    bad = sum(int(row[name]) for row in rows for name in ("half_files", "failed_again", "left_after"))
    print(f"{sum(int(row['kills']) for row in rows)} kills, {bad} faults")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
