"""A national analysis: 40 implicates of 1,348,408 households, a mean by state and tenure.

    python validation/benchmarks/analyze.py [--rows 1348408] [--implicates 40] [--repeats 3] [--out FOLDER]

Simulates implicates of that shape, in a Parquet file as `fuse` writes it. The baseline is pandas' groupby,
with the same means and variances; both from the file, and both on data in memory.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from measuring import asked, compare, piece, save, summary

CHUNK = 50_000  # rows of a row group, as `fuse` writes them
COLUMNS = ["kwh", "heat_fuel"]


def make(clock: Any, *, folder: str, rows: int, implicates: int) -> None:
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
    static.to_parquet(f"{folder}/static.parquet")
    mean = 6000 + 80 * state + 1500 * (tenure < 2)
    fuels = pa.array(["gas", "electricity", "oil", "propane", "other"])
    schema = pa.schema(
        [("M", pa.int32()), ("kwh", pa.float64()), ("heat_fuel", pa.dictionary(pa.int32(), pa.string()))]
    )
    with pq.ParquetWriter(f"{folder}/implicates.parquet", schema, compression="zstd") as writer:
        for m in range(1, implicates + 1):
            kwh = np.round(rng.gamma(4, mean / 4), -1)
            fuel = pa.DictionaryArray.from_arrays(pa.array(rng.integers(0, 5, rows, dtype=np.int32)), fuels)
            table = pa.table([np.full(rows, m, dtype=np.int32), kwh, fuel], schema=schema)
            for first in range(0, rows, CHUNK):
                writer.write_table(table.slice(first, CHUNK))


def grouped(frame: pd.DataFrame, static: pd.DataFrame) -> pd.DataFrame:
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


def by_fusionpy(clock: Any, *, folder: str, source: str, **_: Any) -> dict[str, float]:
    import fusionpy

    static = pd.read_parquet(f"{folder}/static.parquet")
    how: dict[str, Any] = {"by": ["state", "tenure"], "weight": "weight", "quiet": True}
    small = static.head(50).assign(
        M=1, kwh=1.0
    )  # compiled kernels come from numba's cache, as in any second call
    fusionpy.analyze("mean(kwh)", pd.concat([small, small.assign(M=2, kwh=2.0)]), **how)
    file = Path(folder, "implicates.parquet")
    implicates = file if source == "file" else pd.read_parquet(file, columns=["M", "kwh"])
    with clock:
        result = fusionpy.analyze("mean(kwh)", implicates, static=static, **how)
    return {"est": float(result["est"].sum()), "se": float(result["se"].sum())}


def by_pandas(clock: Any, *, folder: str, source: str, **_: Any) -> dict[str, float]:
    static = pd.read_parquet(f"{folder}/static.parquet")
    file = f"{folder}/implicates.parquet"
    held = None if source == "file" else pd.read_parquet(file, columns=["M", "kwh"])
    with clock:
        frame = pd.read_parquet(file, columns=["M", "kwh"]) if held is None else held
        result = grouped(frame, static)
    return {"est": float(result["est"].sum()), "se": float(result["se"].sum())}


def main() -> None:
    """Run both in turn on both sources, and save the table."""
    given = asked(__doc__, rows=1_348_408, implicates=40)
    if given.small:
        given.rows, given.implicates, given.repeats = 5_000, 3, 1
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        size = {"rows": given.rows, "implicates": given.implicates}
        piece(__file__, "make", {"folder": folder, **size})
        for source in ("file", "memory"):
            case = {"folder": folder, "source": source, **size}
            runs += compare(__file__, ["by_fusionpy", "by_pandas"], case, given.repeats)
    for what in ("est", "se"):
        found = np.array([run[what] for run in runs])
        assert np.allclose(found, found[0], rtol=1e-8, atol=0), f"{what} differ: {found}"
    rows = summary(runs, baseline="by_pandas", by=["source", "rows", "implicates"])
    for row in rows:
        row["million_rows_per_cpu_s"] = given.rows * given.implicates / row["cpu"] / 1e6
    save("analyze", rows, given)


if __name__ == "__main__":
    main()
