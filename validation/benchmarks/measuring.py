"""Measure pieces of work: every run a process of its own, runs in turn, medians and spread, machine and date.

A benchmark is a script here. Its pieces are functions at its top level: they take a clock and keyword
arguments (what JSON can hold), make or read what they need, call compiled code once on a few rows, and do
within ``with clock:`` what is measured. What they return (a dictionary, often with a ``"check"`` of the
result) goes into the table, too (numbers as floats: their medians; what identifies a case otherwise)::

    from measuring import asked, compare, save, summary


    def by_lightgbm(clock, *, rows, cores):
        columns = make(rows)
        with clock:
            found = ...
        return {"check": float(found.sum())}


    def by_forest(clock, *, rows, cores): ...


    if __name__ == "__main__":
        given = asked(__doc__)  # --out FOLDER, --repeats N, --cores N, --small
        case = {"rows": 1_000 if given.small else 1_348_408, "cores": given.cores}
        runs = compare(__file__, ["by_forest", "by_lightgbm"], case, given.repeats)
        assert len({run["check"] for run in runs}) == 1
        save("forest", summary(runs, baseline="by_lightgbm"), given)

`save` writes forest.csv and prints it, and puts processor, versions, commit, date and arguments under
"forest" in made.json. `make bench` calls every script with ``--out``, for a smoke run with ``--small`` too: a
few seconds on made-up data, nothing from ../shared. What cannot run here (``not SHARED.exists()``) ends with
`left_out`. Scripts must not read or make large data in the process that calls `compare`: it is idle,
but they would stay in memory.

What the columns are:

``seconds, cpu``
    By the clock, and of all threads and processes, within ``with clock:``.
``peak_gb``
    Peak resident memory of the process (or of its largest child) from the start of the clock, libraries and
    data included, by `wait4`. Linux counts the starting process's peak, too, so a small one is put between.
``before_gb, above_gb``
    What was resident when the clock was started, and how far the peak within ``with clock:`` was above.
``load, others``
    The load average (1 minute) at the start; and how many cores other processes kept busy meanwhile. Above
    about .2 `seconds` say little, and `cpu` is some per cent too high (shared caches, half cores).
``cpu_ratio, seconds_ratio``
    How many times as much the baseline took in the same round; median, smallest and largest of the rounds.

This module imports the standard library only, and must: see `peak_gb`.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "data"
LIBRARIES = ("numpy", "numba", "pandas", "pyarrow", "scipy", "lightgbm", "scikit-learn", "dask")
MEASURED = ("seconds", "cpu", "peak_gb", "before_gb", "above_gb", "load", "others")
GB = 2**30
LEFT_OUT = 77  # exit code of a benchmark that cannot run here


class Clock:
    """Seconds, CPU seconds and the resident memory before, of what is done within ``with clock:``."""

    def __init__(self) -> None:
        self.told: dict[str, float | None] = {}

    def __enter__(self) -> Clock:
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        self.told = {"load": os.getloadavg()[0], "before_gb": _resident("VmRSS")}
        self._busy, self._cpu, self._began = _busy(), _cpu(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        seconds = time.perf_counter() - self._began
        cpu, busy = _cpu() - self._cpu, _busy()
        others = None
        if (
            busy is not None and self._busy is not None and seconds > 0.1
        ):  # the kernel counts in steps of 10 ms
            others = max(0.0, (busy - self._busy - cpu) / seconds)
        self.told |= {"seconds": seconds, "cpu": cpu, "others": others}
        if (peak := _resident("VmHWM")) is not None and self.told["before_gb"] is not None:
            self.told["above_gb"] = max(0.0, peak - self.told["before_gb"])


def _cpu() -> float:
    each = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in each)


def _busy() -> float | None:
    """CPU seconds of the whole machine since it was started."""
    try:
        user, nice, system, _, _, hard, soft, *_ = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    except (OSError, ValueError):
        return None
    return sum(map(int, (user, nice, system, hard, soft))) / os.sysconf("SC_CLK_TCK")


def _resident(what: str) -> float | None:
    """Resident memory of this process in GB, now (VmRSS) or at its peak (VmHWM), where Linux tells."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(f"{what}:")).split()[1]) / 2**20
    except (OSError, StopIteration):
        return None


def command(
    arguments: Sequence[str | os.PathLike[str]], env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run a program; tell its seconds, CPU seconds, peak memory, and what it printed ("printed")."""
    starter = [sys.executable, "-S", __file__, "start", *map(os.fspath, arguments)]
    done = subprocess.run(starter, stdout=subprocess.PIPE, text=True, env=env, check=False)
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(map(os.fspath, arguments))}")
    return json.loads(done.stdout)


def _start(arguments: Sequence[str]) -> int:
    """Be the small process between: run a program, and print what it used."""
    clock = Clock()
    with clock:
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        printed = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / GB  # macOS tells bytes, Linux KiB
    told = {key: clock.told[key] for key in ("seconds", "cpu", "load", "others")}
    print(json.dumps(told | {"peak_gb": peak, "printed": printed}))
    return os.waitstatus_to_exitcode(status)


def piece(script: str | os.PathLike[str], name: str, case: Mapping[str, Any]) -> dict[str, Any]:
    """Run a function of a script, with `case` for arguments, in a process of its own.

    Of ``"write:fst"`` the function is `write`, and "fst" its argument `variant`.
    """
    outside = command([sys.executable, __file__, "piece", script, name, json.dumps(dict(case))])
    inside = json.loads(outside["printed"].splitlines()[-1])
    return {"piece": name, **case, **inside, "peak_gb": outside["peak_gb"]}


def _piece(script: str, name: str, case: str) -> int:
    clock = Clock()
    sys.path.insert(0, str(Path(script).resolve().parent))
    function, _, variant = name.partition(":")
    arguments = json.loads(case) | ({"variant": variant} if variant else {})
    told = getattr(importlib.import_module(Path(script).stem), function)(clock, **arguments)
    print()
    print(json.dumps(clock.told | (told or {})))
    return 0


def compare(
    script: str | os.PathLike[str], pieces: Sequence[str], case: Mapping[str, Any], repeats: int
) -> list[dict[str, Any]]:
    """Run pieces of a script in turn, `repeats` times, each round beginning with another one."""
    runs = []
    for turn in range(repeats):
        first = turn % len(pieces)
        for name in [*pieces[first:], *pieces[:first]]:
            runs.append({**piece(script, name, case), "round": turn})
            shown(runs[-1])
    return runs


def shown(run: Mapping[str, Any]) -> None:
    """Print a run as it ends, to standard error."""
    numbers = (f"{key} {run[key]:.3g}" for key in MEASURED if run.get(key) is not None)
    case = {
        k: v for k, v in run.items() if k not in {*MEASURED, "check", "folder"} and not isinstance(v, float)
    }
    others = (f"{key} {value}" for key, value in case.items())
    print(", ".join((*others, *numbers)), file=sys.stderr, flush=True)


def summary(
    runs: Iterable[Mapping[str, Any]], baseline: str | None = None, by: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Medians and spread of each piece in each case, a row each.

    `by` names what tells cases apart: everything but what is measured, unless said. With a baseline, runs of
    the same case and round are compared.
    """
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for run in runs:
        told = {*MEASURED, "round", "check"} | {k for k, v in run.items() if isinstance(v, float)}
        keys = [k for k in run if k != "piece" and k not in told] if by is None else list(by)
        groups.setdefault((*((k, run.get(k)) for k in keys), ("piece", run["piece"])), []).append(run)
    rows = []
    for key, group in groups.items():
        row = {**dict(key), "runs": len(group)}
        for name in ("seconds", "cpu"):
            values = [run[name] for run in group]
            row |= {name: statistics.median(values), f"{name}_min": min(values), f"{name}_max": max(values)}
        for name in MEASURED[2:]:
            values = [run[name] for run in group if run.get(name) is not None]
            row |= {name: max(values)} if values else {}
        for name, value in group[0].items():
            if isinstance(value, float) and name not in row:
                row[name] = statistics.median(run[name] for run in group)
        same = groups.get((*key[:-1], ("piece", baseline)), [])
        theirs = {} if same is group else {run["round"]: run for run in same}
        for name in ("cpu", "seconds"):
            ratios = [theirs[run["round"]][name] / run[name] for run in group if run["round"] in theirs]
            if ratios:
                ends = {f"{name}_ratio_min": min(ratios), f"{name}_ratio_max": max(ratios)}
                row |= {f"{name}_ratio": statistics.median(ratios), **ends}
        rows.append(row)
    return rows


def save(name: str, rows: Sequence[Mapping[str, Any]], given: argparse.Namespace) -> None:
    """Write ``<name>.csv`` to the folder of results, print it, and note in made.json how it was made."""
    folder = results(given)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    lines = [[_text(row.get(column)) for column in columns] for row in rows]
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *lines])
    widths = [max(map(len, column)) for column in zip(columns, *lines, strict=True)]
    for line in [columns, *lines]:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))
    note(name, given)


def note(name: str, given: argparse.Namespace) -> None:
    """Note in made.json how results were made: machine, versions, date, arguments."""
    path = results(given) / "made.json"
    made = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    how = {key: str(value) for key, value in vars(given).items() if key != "out"}
    made[name] = {**machine(), "arguments": how}
    path.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
    return "" if value is None else str(value)


def left_out(why: str) -> NoReturn:
    """End a benchmark that cannot run here: the suite goes on, and says so."""
    print(f"left out: {why}", file=sys.stderr)
    raise SystemExit(LEFT_OUT)


def machine() -> dict[str, Any]:
    """Tell what ran it, and when: processor, memory, system, versions, commit."""
    processor = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next((line.split(": ")[1] for line in lines if line.startswith("model name")), processor)
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": f"{processor} ({platform.machine()})",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GB, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "versions": versions,
        "commit": _commit(),
    }


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", HERE, *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "../../fusionpy")
        return git("rev-parse", "--short=12", "HEAD") + (" and changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def options(doc: str | None, repeats: int = 3, cores: int = 2) -> argparse.ArgumentParser:
    """Make the parser of what every benchmark takes; a script may add to it."""
    parser = argparse.ArgumentParser(
        description=(doc or "").split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results")
    parser.add_argument("--repeats", type=int, default=repeats, help="runs of each piece")
    parser.add_argument("--cores", type=int, default=cores, help="threads")
    parser.add_argument("--small", action="store_true", help="a smoke run of seconds, made-up data only")
    return parser


def asked(doc: str | None, repeats: int = 3, cores: int = 2, **more: Any) -> argparse.Namespace:
    """Read the command line; more options by their defaults, False for a flag."""
    parser = options(doc, repeats, cores)
    for name, default in more.items():
        how: dict[str, Any] = {"action": "store_true"} if default is False else {"type": type(default)}
        parser.add_argument(f"--{name}", default=default, help="see above", **how)
    return parser.parse_args()


def results(given: argparse.Namespace) -> Path:
    """Make and give the folder of results: a new one for a smoke run, unless one was asked for."""
    if given.small and given.out == HERE:
        given.out = Path(tempfile.mkdtemp(prefix="benchmarks-"))
        print(f"results go to {given.out}", file=sys.stderr)
    given.out.mkdir(parents=True, exist_ok=True)
    return given.out


if __name__ == "__main__":
    how, *rest = sys.argv[1:]
    raise SystemExit({"start": lambda: _start(rest), "piece": lambda: _piece(*rest)}[how]())
