"""Reading and writing fst: 5 million rows of six columns, against Parquet on the same frame.

    python validation/benchmarks/fst.py [--rows 5000000] [--repeats 5] [--cores 1] [--out FOLDER]

Simulates a frame with an integer, a double, a factor, an ordered factor, a logical and a text column, writes
it with fusionpy (compress 0, 50 and 90) and with pyarrow as Parquet (zstd, as `fuse` writes it, and not
compressed), and reads all of it to Arrow again. Each run is a process of its own, and runs are interleaved.
Prints medians and spreads, megabytes (of the frame in memory) per second, peak memory, and ratios to Parquet.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fusionpy.formats.fst import open_fst, read_fst, write_fst

FILES = {"fst 0": 0, "fst 50": 50, "fst 90": 90, "parquet": "none", "parquet zstd": "zstd"}
LIMITS = {"fst 0": 2.0, "fst 90": 3.0}  # seconds for 5 million rows


def make(rows: int) -> pa.Table:
    """Simulate a frame as implicates are."""
    rng = np.random.default_rng(1)
    counties = pa.array([f"county {i:05d}" for i in range(3_000)])

    def factor(name: str, n: int, ordered: bool) -> pa.DictionaryArray:
        codes = pa.array(rng.integers(0, n, rows), pa.int32())
        return pa.DictionaryArray.from_arrays(codes, [f"{name} {i}" for i in range(n)], ordered=ordered)

    return pa.table(
        {
            "id": pa.array(rng.integers(0, 100_000, rows), pa.int32()),
            "kwh": np.exp(rng.normal(9, 1, rows)).round(2),
            "state": factor("state", 51, False),
            "income": factor("group", 12, True),
            "solar": pa.array(rng.random(rows) < 0.3, mask=rng.random(rows) < 0.05),
            "county": counties.take(pa.array(rng.integers(0, len(counties), rows))),
        }
    )


def one(task: str, file: str, folder: Path, cores: int) -> None:
    """Write or read one file, and print seconds and peak memory."""
    path = folder / f"{file.replace(' ', '_')}.{'fst' if file.startswith('fst') else 'parquet'}"
    table = pq.read_table(folder / "frame.parquet", memory_map=True) if task == "write" else None
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    if table is not None:
        if path.suffix == ".fst":
            write_fst([table], path, table.schema, compress=FILES[file])
        else:
            pq.write_table(table, path, compression=FILES[file])
    elif path.suffix == ".fst":
        table = open_fst(path).read(cores=cores)
    else:
        table = pq.ParquetFile(path).read(use_threads=cores > 1)
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    found = {"task": task, "file": file, "seconds": seconds, "cpu": cpu, "rows": table.num_rows}
    found |= {"file_mb": path.stat().st_size / 1e6, "memory_mb": table.nbytes / 1e6}
    print(json.dumps(found | {"peak_gb": used.ru_maxrss / 2**20, "before_gb": before.ru_maxrss / 2**20}))


def main() -> None:
    """Run all tasks in turn, print medians and ratios, write a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        one(given.one[0], given.one[1], Path(given.one[2]), given.cores)
        return
    found = []
    with tempfile.TemporaryDirectory() as name:
        frame = make(given.rows)
        pq.write_table(frame, Path(name) / "frame.parquet")
        for repeat in range(given.repeats):
            for task in ("write", "read"):
                for file in FILES:
                    command = [
                        sys.executable,
                        __file__,
                        "--cores",
                        str(given.cores),
                        "--one",
                        task,
                        file,
                        name,
                    ]
                    line = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                    found.append(json.loads(line.splitlines()[-1]))
            print(f"round {repeat + 1} of {given.repeats}", flush=True)
        for level in (0, 50, 90):
            again = read_fst(Path(name) / f"fst_{level}.fst")
            assert again.equals(frame), f"compress {level}: what is read is not what was written"
    every = pd.DataFrame(found)
    groups = every.groupby(["task", "file"], sort=False)
    table = groups[["seconds", "cpu", "file_mb", "memory_mb", "peak_gb"]].median()
    table["spread"] = groups["seconds"].max() - groups["seconds"].min()
    table["mb_per_s"] = table["memory_mb"] / table["seconds"]
    for task in ("write", "read"):
        reference = table.loc[(task, "parquet zstd"), "cpu"]
        table.loc[task, "cpu_to_parquet_zstd"] = (table.loc[task, "cpu"] / reference).to_numpy()
    print(f"\n{given.rows:,} rows, {given.cores} threads, medians of {given.repeats}, and longest - shortest")
    print(table.round(2).to_string())
    for file, limit in LIMITS.items():
        seconds = table.loc[("read", file), "seconds"]
        print(f"reading {file}: {seconds:.2f} s, at most {limit * given.rows / 5e6:.1f} s wanted")
    about = f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()}, {given.rows} rows, {given.cores} threads"
    table.reset_index().assign(made=about).to_csv(given.out / "fst.csv", index=False, float_format="%.3f")


if __name__ == "__main__":
    main()
