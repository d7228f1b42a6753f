"""Reading and writing fst: 5 million rows of six columns, against Parquet on the same frame.

    python validation/benchmarks/fst.py [--rows 5000000] [--repeats 5] [--cores 1] [--out FOLDER]

Simulates a frame with an integer, a double, a factor, an ordered factor, a logical and a text column, writes
it with fusionpy (compress 0, 50 and 90) and with pyarrow as Parquet (not compressed; with zstd, as `fuse`
does: the baseline), and reads all of it to Arrow again. Megabytes are of the frame in memory.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import asked, compare, piece, save, summary

from fusionpy.formats.fst import open_fst, read_fst, write_fst

COMPRESS = {"fst_0": 0, "fst_50": 50, "fst_90": 90, "parquet": "none", "parquet_zstd": "zstd"}
LIMITS = {"fst_0": 2.0, "fst_90": 3.0}  # seconds for 5 million rows


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


def frame(clock: Any, *, folder: str, rows: int) -> None:
    pq.write_table(make(rows), f"{folder}/frame.parquet")


def write(clock: Any, *, variant: str, folder: str, **_: Any) -> dict[str, float]:
    table = pq.read_table(f"{folder}/frame.parquet", memory_map=True)
    path = Path(folder, variant)
    with clock:
        if variant.startswith("fst"):
            write_fst([table], path.with_suffix(".fst"), table.schema, compress=COMPRESS[variant])
        else:
            pq.write_table(table, path, compression=COMPRESS[variant])
    return sizes(folder, variant, table)


def read(clock: Any, *, variant: str, folder: str, cores: int, **_: Any) -> dict[str, float]:
    path = Path(folder, variant)
    with clock:
        if variant.startswith("fst"):
            table = open_fst(path.with_suffix(".fst")).read(cores=cores)
        else:
            table = pq.ParquetFile(path).read(use_threads=cores > 1)
    return sizes(folder, variant, table)


def sizes(folder: str, variant: str, table: pa.Table) -> dict[str, float]:
    path = Path(folder, variant)
    file = path.with_suffix(".fst") if variant.startswith("fst") else path
    return {"file_mb": file.stat().st_size / 1e6, "memory_mb": table.nbytes / 1e6}


def same(clock: Any, *, variant: str, folder: str) -> dict[str, bool]:
    wanted = pq.read_table(f"{folder}/frame.parquet")
    return {"same": read_fst(Path(folder, f"{variant}.fst")).equals(wanted)}


def main() -> None:
    """Run all tasks in turn, and save the table."""
    given = asked(__doc__, repeats=5, cores=1, rows=5_000_000)
    if given.small:
        given.rows, given.repeats = 20_000, 1
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        piece(__file__, "frame", {"folder": folder, "rows": given.rows})
        case = {"folder": folder, "rows": given.rows, "cores": given.cores}
        for task in ("write", "read"):
            runs = compare(__file__, [f"{task}:{variant}" for variant in COMPRESS], case, given.repeats)
            rows += summary(runs, baseline=f"{task}:parquet_zstd", by=["rows", "cores"])
        for variant in ("fst_0", "fst_50", "fst_90"):
            assert piece(__file__, f"same:{variant}", {"folder": folder})["same"], (
                f"{variant} is not what was written"
            )
    for row in rows:
        row["mb_per_s"] = row["memory_mb"] / row["seconds"]
    save("fst", rows, given)
    for variant, limit in LIMITS.items():
        seconds = next(row["seconds"] for row in rows if row["piece"] == f"read:{variant}")
        print(f"reading {variant}: {seconds:.2f} s, at most {limit * given.rows / 5e6:.1f} s wanted")


if __name__ == "__main__":
    main()
