"""A national analysis: 40 implicates of 1,348,408 households, a mean by state and tenure, from disk.

    python validation/benchmarks/analyze.py [--rows 1348408] [--implicates 40] [--repeats 3] [--out FOLDER]

Simulates implicates of that shape, in a Parquet file as `fuse` writes it, then runs, interleaved and each in
a process of its own: `analyze` from the file; pandas from the file (groupby, the same means and variances);
and both on data in memory. Prints rows per second, peak memory and ratios.
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

import fusionpy

CHUNK = 50_000  # rows of a row group, as `fuse` writes them
COLUMNS = ["kwh", "heat_fuel"]


def make(folder: Path, rows: int, implicates: int) -> None:
    """Simulate recipients and their implicates."""
    rng = np.random.default_rng(1)
    state, tenure = rng.integers(0, 51, rows), rng.integers(0, 4, rows)
    static = pd.DataFrame(
        {
            "state": pd.Categorical.from_codes(state, [f"S{s:02d}" for s in range(51)]),
            "tenure": pd.Categorical.from_codes(tenure, ["mortgage", "owned", "rented", "other"]),
            "weight": rng.integers(1, 400, rows).astype(float),
        }
    )
    static.to_parquet(folder / "static.parquet")
    mean = 6000 + 80 * state + 1500 * (tenure < 2)
    fuels = pa.array(["gas", "electricity", "oil", "propane", "other"])
    schema = pa.schema(
        [("M", pa.int32()), ("kwh", pa.float64()), ("heat_fuel", pa.dictionary(pa.int32(), pa.string()))]
    )
    with pq.ParquetWriter(folder / "implicates.parquet", schema, compression="zstd") as writer:
        for m in range(1, implicates + 1):
            kwh = np.round(rng.gamma(4, mean / 4), -1)
            fuel = pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, 5, rows, dtype=np.int32)), fuels)
            table = pa.table([np.full(rows, m, dtype=np.int32), kwh, fuel], schema=schema)
            for first in range(0, rows, CHUNK):
                writer.write_table(table.slice(first, CHUNK))


def by_pandas(frame: pd.DataFrame, static: pd.DataFrame) -> pd.DataFrame:
    """Take the same means and variances of every implicate with groupby."""
    M = int(frame["M"].iloc[-1])
    keys = pd.DataFrame(
        {
            "M": frame["M"].to_numpy(),
            "state": np.tile(static["state"].cat.codes.to_numpy(), M),
            "tenure": np.tile(static["tenure"].cat.codes.to_numpy(), M),
        }
    )
    w = np.tile(static["weight"].to_numpy(), M)
    x = frame["kwh"].to_numpy()
    w2 = w * w
    parts = keys.assign(n=1.0, w=w, wx=w * x, w2=w2, w2x=w2 * x, w2x2=w2 * x * x)
    s = parts.groupby(["M", "state", "tenure"], sort=False).sum()
    mean = s["wx"] / s["w"]
    spread = s["w2x2"] - 2 * mean * s["w2x"] + mean**2 * s["w2"]
    found = pd.DataFrame({"mean": mean, "variance": s["n"] / (s["n"] - 1) * spread / s["w"] ** 2})
    groups = found.groupby(["state", "tenure"])
    total = groups["variance"].mean() + (1 + 1 / M) * groups["mean"].var()
    return pd.DataFrame({"est": groups["mean"].mean(), "se": np.sqrt(total)})


def one(way: str, folder: Path) -> None:
    """Run one way, and print seconds, peak memory and a check of the results."""
    static = pd.read_parquet(folder / "static.parquet")
    path = folder / "implicates.parquet"
    held = pd.read_parquet(path, columns=["M", "kwh"]) if way.endswith("memory") else None
    by = ["state", "tenure"]
    if way.startswith("fusionpy"):  # compiled kernels come from numba's cache, as in any second call
        small = static.head(50).assign(M=1, kwh=1.0)
        fusionpy.analyze(
            "mean(kwh)", pd.concat([small, small.assign(M=2, kwh=2.0)]), by=by, weight="weight", quiet=True
        )
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    if way.startswith("fusionpy"):
        source = path if held is None else held
        result = fusionpy.analyze("mean(kwh)", source, static=static, weight="weight", by=by, quiet=True)
        check = float(result["est"].sum()), float(result["se"].sum())
    else:
        frame = pd.read_parquet(path, columns=["M", "kwh"]) if held is None else held
        result = by_pandas(frame, static)
        check = float(result["est"].sum()), float(result["se"].sum())
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    print(
        json.dumps(
            {"way": way, "seconds": seconds, "cpu": cpu, "peak_gb": used.ru_maxrss / 2**20, "check": check}
        )
    )


def main() -> None:
    """Run all ways in turn, print medians and ratios, write a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_348_408)
    parser.add_argument("--implicates", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one(arguments.one[0], Path(arguments.one[1]))
        return
    ways = ["fusionpy, file", "pandas, file", "fusionpy, memory", "pandas, memory"]
    found = []
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), arguments.rows, arguments.implicates)
        size = (Path(name) / "implicates.parquet").stat().st_size / 2**20
        for _ in range(arguments.repeats):
            for way in ways:
                command = [sys.executable, __file__, "--one", way, name]
                line = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                found.append(json.loads(line.splitlines()[-1]))
                print(line.strip(), flush=True)
    table = pd.DataFrame(found)
    spread = np.ptp(np.array(table["check"].tolist()), axis=0) / np.array(table["check"].iloc[0])
    assert (np.abs(spread) < 1e-8).all(), f"results differ: {spread}"
    summary = table.groupby("way", sort=False)[["seconds", "cpu", "peak_gb"]].median()
    n = arguments.rows * arguments.implicates
    summary["million_rows_per_s"] = n / summary["seconds"] / 1e6
    for place in ("file", "memory"):
        ours, theirs = f"fusionpy, {place}", f"pandas, {place}"
        summary.loc[ours, "pandas_to_fusionpy"] = (
            summary.loc[theirs, "seconds"] / summary.loc[ours, "seconds"]
        )
    print(f"\n{arguments.implicates} x {arguments.rows:,} rows, {size:,.0f} MB of Parquet")
    print(summary.round(2).to_string())
    about = (
        f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()}, {arguments.implicates} x {arguments.rows} rows"
    )
    summary.reset_index().assign(made=about).to_csv(
        arguments.out / "analyze.csv", index=False, float_format="%.3f"
    )


if __name__ == "__main__":
    main()
