"""What it costs to call from R instead of from Python: fuse() on 1,348,408 recipients of 17 columns.

    python validation/benchmarks/r_bridge.py [--rows 1348408] [--repeats 3] [--out FOLDER]

Needs R with reticulate and data.table; r/fusionpy is installed in a folder that is deleted afterwards. What
is measured is the call alone: the frame is there already and libraries are loaded. The baseline is the call
from Python. In R also 60 columns of every kind go to Python and come back, and monotonic() is called on 40
groups of 50 records, two calls each, a hundred times (the original took .03 CPU s for 40 calls), and once on
all rows.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from measuring import HERE, asked, command, left_out, piece, save, shown, summary

import fusionpy

NOISE = [f"noise_{k}" for k in range(1, 6)]


def widened(survey: pd.DataFrame, n: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    wide = survey.iloc[rng.integers(0, len(survey), n)].reset_index(drop=True)
    return wide.assign(**{name: rng.standard_normal(n) for name in NOISE})


def make_model(clock: Any, *, path: str) -> None:
    donor = fusionpy.datasets.load_donor()
    donor = donor.assign(
        **{name: np.random.default_rng(k).standard_normal(len(donor)) for k, name in enumerate(NOISE)}
    )
    recipient = fusionpy.datasets.load_recipient()
    x = [name for name in recipient.columns if name not in ("hid", "weight")] + NOISE
    y = ["insulation", "electricity", "solar", "vehicles"]
    hyper = {"num_iterations": 10}
    fusionpy.train(donor, y, x, fsn=path, weight="weight", hyper=hyper, refits=0, seed=1, quiet=True)


def from_python(clock: Any, *, model: str, rows: int) -> dict[str, float]:
    data = widened(fusionpy.datasets.load_recipient(), rows)
    for _ in range(2):
        fusionpy.fuse(data.head(1000), model, seed=1, quiet=True)
    with clock:
        fused = fusionpy.fuse(data, model, seed=1, retain="hid", quiet=True)
    assert len(fused) == rows
    return {"frame_gb": data.memory_usage(index=False).sum() / 2**30}


def from_r(model: Path, rows: int, library: str) -> list[dict[str, Any]]:
    """Run r_bridge.R, which fuses, and sends a frame both ways."""
    environment = {**os.environ, "RETICULATE_PYTHON": sys.executable, "R_LIBS": library}
    outside = command(["Rscript", HERE / "r_bridge.R", model, str(rows)], env=environment)
    measured = []
    for what, _, *numbers in csv.reader(outside["printed"].splitlines()):
        seconds, cpu, above_mb, frame_mb = map(float, numbers)
        inside = {"seconds": seconds, "cpu": cpu, "above_gb": above_mb / 1024, "frame_gb": frame_mb / 1024}
        measured.append({"piece": "from_r", "what": what, "load": outside["load"], **inside})
    return measured


def install(library: str) -> None:
    """Install r/fusionpy; without R the benchmark is left out."""
    if not shutil.which("Rscript"):
        left_out("R is not here")
    installed = subprocess.run(
        ["R", "CMD", "INSTALL", "--no-docs", f"--library={library}", HERE.parents[1] / "r" / "fusionpy"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if installed.returncode:
        left_out(f"r/fusionpy cannot be installed:\n{installed.stdout}")


def main() -> None:
    """Run both in turn, and save the table."""
    given = asked(__doc__, cores=1, rows=1_348_408)
    if given.small:
        given.rows, given.repeats = 2_000, 1
    runs = []
    with TemporaryDirectory() as folder:
        model = Path(folder) / "model.fsn"
        install(folder)
        piece(__file__, "make_model", {"path": str(model)})
        case = {"model": str(model), "rows": given.rows}
        for turn in range(given.repeats):
            for way in ("Python", "R") if turn % 2 == 0 else ("R", "Python"):
                if way == "R":
                    measured = from_r(model, given.rows, folder)
                else:
                    measured = [{"what": "fuse", **piece(__file__, "from_python", case)}]
                for run in measured:
                    runs.append({**run, "rows": given.rows, "round": turn})
                    shown(runs[-1])
    save("r_bridge", summary(runs, baseline="from_python", by=["what", "rows"]), given)


if __name__ == "__main__":
    main()
