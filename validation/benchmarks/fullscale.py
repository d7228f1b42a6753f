"""Time and peak memory of the command line on real surveys: RECS 2020 to the ACS.

    python validation/benchmarks/fullscale.py [--cores 2] [--out FOLDER]

Needs ../shared beside the checkout. Trains the eight variables of `holdout.json` once, fuses Washington's
32,451 households 5 times and all 1,348,408 twice, each as one command, and prints wall time and peak
resident memory.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
FUSED = "heat_fuel,ac_type,window_ac,ceiling_fans,kwh,disconnect_notice,no_heat,energy_assistance"
PREDICTORS = "income_rank,age,hh_size,children,renter,home_type,year_built,rooms,female,race,education"
PREDICTORS += ",division,hdd,cdd"


def measured(*arguments: str) -> tuple[float, float]:
    """Run one command; tell its seconds and its peak resident memory in GB."""
    began = time.monotonic()
    program = Path(sys.executable).with_name("fusionpy")
    process = subprocess.Popen([program, *arguments, "--quiet"])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: fusionpy {' '.join(arguments)}")
    return time.monotonic() - began, usage.ru_maxrss / 2**20


def main() -> None:
    """Run the three commands, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cores", default="2")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        model, fused = f"{folder}/recs.fsn", f"{folder}/fused.parquet"
        same = ("--cores", given.cores, "--seed", "1")
        what = ("--y", FUSED, "--x", PREDICTORS, "--weight", "weight", "--fsn", model)
        commands = {
            "train, 18,496 donors": ("train", str(SHARED / "recs2020_donor.parquet"), *what, *same),
            "fuse Washington, M = 5": (
                "fuse",
                str(SHARED / "acs2024_recipient_WA.parquet"),
                model,
                "-M",
                "5",
            ),
            "fuse the nation, M = 2": ("fuse", str(SHARED / "acs2024_recipient.parquet"), model, "-M", "2"),
        }
        for name, command in commands.items():
            extra = () if command[0] == "train" else ("--fsd", fused, "--retain", "hid,weight", *same)
            seconds, memory = measured(*command, *extra)
            n = pq.read_metadata(fused).num_rows if extra else 0
            rows.append({"command": name, "rows": n, "seconds": f"{seconds:.1f}", "peak_gb": f"{memory:.2f}"})
            print(rows[-1], flush=True)
    with (given.out / "fullscale.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
