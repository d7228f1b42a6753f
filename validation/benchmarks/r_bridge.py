"""What it costs to call from R instead of from Python: fuse() on 1,348,408 recipients of 17 columns.

    R_LIBS_USER=<library that has r/fusionpy> python validation/benchmarks/r_bridge.py [--runs 3]

Every run is a process of its own; those of the two languages take turns. What is measured is the call alone:
the frame is there already, libraries are loaded, and memory is the peak above what was resident before. In R
also 60 columns of every kind go to Python and come back.
"""

import argparse
import csv
import io
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

import fusionpy

HERE = Path(__file__).parent
NOISE = [f"noise_{k}" for k in range(1, 6)]
COLUMNS = ("what", "language", "seconds", "cpu_seconds", "peak_mb", "frame_mb")


def widened(survey: pd.DataFrame, n: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    wide = survey.iloc[rng.integers(0, len(survey), n)].reset_index(drop=True)
    return wide.assign(**{name: rng.standard_normal(n) for name in NOISE})


def make_model(path: Path) -> None:
    donor = fusionpy.datasets.load_donor()
    donor = donor.assign(
        **{name: np.random.default_rng(k).standard_normal(len(donor)) for k, name in enumerate(NOISE)}
    )
    recipient = fusionpy.datasets.load_recipient()
    x = [name for name in recipient.columns if name not in ("hid", "weight")] + NOISE
    y = ["insulation", "electricity", "solar", "vehicles"]
    hyper = {"num_iterations": 10}
    fusionpy.train(donor, y, x, fsn=path, weight="weight", hyper=hyper, refits=0, seed=1, quiet=True)


def status(name: str) -> float:
    return int(re.search(rf"{name}:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


def run_here(model: str, n: int) -> None:
    data = widened(fusionpy.datasets.load_recipient(), n)
    for _ in range(2):
        fusionpy.fuse(data.head(1000), model, seed=1, quiet=True)
    Path("/proc/self/clear_refs").write_text("5")
    before, began, cpu = status("VmRSS"), time.perf_counter(), time.process_time()
    fused = fusionpy.fuse(data, model, seed=1, retain="hid", quiet=True)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    assert len(fused) == n
    size = data.memory_usage(index=False).sum() / 2**20
    print(f"fuse,Python,{seconds:.3f},{cpu:.3f},{status('VmHWM') - before:.1f},{size:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_348_408)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--here", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        return run_here(given.here, given.rows)
    environment = {**os.environ, "RETICULATE_PYTHON": sys.executable}
    found = []
    with TemporaryDirectory() as folder:
        model = Path(folder) / "model.fsn"
        make_model(model)
        for _ in range(given.runs):
            for command in (
                [sys.executable, __file__, "--here", str(model), "--rows", str(given.rows)],
                ["Rscript", str(HERE / "r_bridge.R"), str(model), str(given.rows)],
            ):
                told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
                found += list(csv.reader(io.StringIO(told.stdout)))
    with (HERE / "r_bridge.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        writer.writerows(found)
    median = {
        key: [statistics.median(float(row[c]) for row in found if row[:2] == list(key)) for c in range(2, 6)]
        for key in dict.fromkeys((row[0], row[1]) for row in found)
    }
    for key, (seconds, cpu, peak, size) in median.items():
        print(f"{', '.join(key)}: {seconds:.1f} s, {cpu:.1f} CPU s, {peak:.0f} MB; frame {size:.0f} MB")
    (r_seconds, r_cpu, r_peak, size), (seconds, cpu, peak, _) = median["fuse", "R"], median["fuse", "Python"]
    print(
        f"overhead: {r_seconds - seconds:.1f} s, {r_cpu - cpu:.1f} CPU s, "
        f"{r_peak - peak:.0f} MB, {(r_peak - peak) / size:.2f} times the frame"
    )


if __name__ == "__main__":
    main()
