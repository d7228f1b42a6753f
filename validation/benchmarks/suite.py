"""Run every benchmark, one after the other: `make bench`.

    python validation/benchmarks/suite.py [--small] [--out FOLDER] [--only NAME,NAME] [--cores 2]

Each writes ``<name>.csv`` to the folder, and to made.json on what machine and when. `--small` is a smoke run
on made-up data. Benchmarks that need what is not here (../shared, R) are left out, with a message. Run it on
a machine that does nothing else: the columns `load` and `others` tell whether it did.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fullscale import PROGRAM, RECS
from measuring import HERE, LEFT_OUT, SHARED, asked, note, results

NAMES = "forest fuse train train_large effects growth fullscale analyze prep_xy fst r_bridge r_script".split()
# What is measured is the package of this checkout, whatever is installed.
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join(filter(None, (str(HERE.parents[1]), os.environ.get("PYTHONPATH"))))
}


def learn(model: Path) -> None:
    """Train on RECS 2020 what `forest` and `fuse` predict with."""
    what = ["--y", RECS["y"], "--x", RECS["x"], "--weight", "weight", "--seed", "1", "--cores", "2"]
    command = [*PROGRAM, "train", SHARED / "recs2020_donor.parquet", *what, "--fsn", model, "--quiet"]
    subprocess.run(command, env=ENVIRONMENT, check=True)


def run(name: str, given: argparse.Namespace, model: Path) -> int:
    """Run a benchmark; give its exit code."""
    options = ["--out", str(given.out)]
    options += ["--cores", str(given.cores)] if given.cores else []  # otherwise each has its own default
    options += ["--small", "--repeats", "1"] if given.small else []
    real = SHARED.exists() and not given.small
    if name in ("forest", "fuse") and real and not model.exists():
        learn(model)
    environment = ENVIRONMENT
    if name == "forest":  # it takes a model, and real surveys
        if not real:
            return LEFT_OUT
        options = [str(model), "--out", str(given.out)]
        environment = environment | {"OMP_WAIT_POLICY": "passive"}
    elif name == "fuse" and real:
        options += ["--model", str(model)]
    elif name == "train_large":
        options += ["--large"]
    script = HERE / f"{'train' if name == 'train_large' else name}.py"
    code = subprocess.run([sys.executable, script, *options], env=environment, check=False).returncode
    if name == "forest" and code == 0:
        note(name, given)
    return code


def main() -> int:
    """Run them, and tell how it went."""
    given = asked(__doc__, only=",".join(NAMES), cores=0)
    wanted = given.only.split(",")
    if unknown := [name for name in wanted if name not in NAMES]:
        raise SystemExit(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(NAMES)}")
    if not given.small and not SHARED.exists():
        print(f"{SHARED} is not there: what needs RECS and ACS is left out", file=sys.stderr)
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"load average {load:.1f}: others are at work, seconds will say little", file=sys.stderr)
    results(given)
    outcomes = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted:
            print(f"\n=== {name}", flush=True)
            began = time.monotonic()
            code = run(name, given, Path(folder, "recs.fsn"))
            outcome = {0: "done", LEFT_OUT: "left out"}.get(code, "failed")
            outcomes[name] = f"{outcome}, {time.monotonic() - began:.0f} s"
    print()
    for name, outcome in outcomes.items():
        print(f"{name:12} {outcome}")
    print(f"results are in {given.out}")
    return int(any(outcome.startswith("failed") for outcome in outcomes.values()))


if __name__ == "__main__":
    raise SystemExit(main())
