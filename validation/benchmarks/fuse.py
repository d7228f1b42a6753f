"""fuse(): a nation's households, M from 1 to 40, and a recipient larger than memory.

    python validation/benchmarks/fuse.py [--repeats 3] [--cores 2] [--model recs.fsn] [--out FOLDER]

What is measured, each time in a process of its own:

* `nation`: 1,348,408 households of the ACS 2024 from a Parquet file to a Parquet file, M = 1, 5 and 40, by a
  model of eight variables of RECS 2020 (`--model`, or trained here with the defaults); once each
* `by_forest`, `by_lightgbm`: the same on 200,000 of them, M = 1, in turn: what fuse() does, and the same
  pipeline on ``Booster.predict``; results are compared
* `larger_than_memory`: 20 million made-up records with 14 predictors (2.2 GB as numbers) in a process whose
  address space (`ulimit -v`) may grow by 0.5 GB
* `importing`: ``import fusionpy``
* `first_call`, `second_call`: a fuse() of few rows, with and without compiling what it needs (an empty
  NUMBA_CACHE_DIR, and the same again)
"""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from pathlib import Path
from typing import Any

from measuring import SHARED, asked, compare, piece, save, shown, summary

Y = ["heat_fuel", "ac_type", "window_ac", "ceiling_fans", "kwh", "disconnect_notice", "no_heat"]
Y += ["energy_assistance"]
X = ["income_rank", "age", "hh_size", "children", "renter", "home_type", "year_built", "rooms", "female"]
X += ["race", "education", "division", "hdd", "cdd"]
ROOM = 500_000_000  # bytes of address space beyond what libraries take
SEED = 1


def learn(clock: Any, *, folder: str, cores: int) -> None:
    """Train the model of RECS 2020."""
    import pandas as pd

    import fusionpy

    donor = pd.read_parquet(SHARED / "recs2020_donor.parquet")
    with clock:
        how = {"fsn": Path(folder) / "model.fsn", "weight": "weight", "seed": SEED, "cores": cores}
        fusionpy.train(donor, Y, X, quiet=True, **how)


def head(clock: Any, *, folder: str, rows: int) -> None:
    """Keep some of the nation's households."""
    import pyarrow.parquet as pq

    table = pq.read_table(SHARED / "acs2024_recipient.parquet").slice(0, rows)
    pq.write_table(table, Path(folder) / "recipient.parquet")


def make_up(clock: Any, *, folder: str, rows: int) -> None:
    """Write a wide recipient window by window, and a model for it."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    import fusionpy

    rng = np.random.default_rng(SEED)
    names = [f"x{j}" for j in range(14)]
    donor = pd.DataFrame({name: rng.normal(size=4_000).round(3) for name in names})
    donor["level"] = np.exp(donor["x0"] + 0.3 * donor["x1"] + rng.normal(size=4_000)).round(2)
    donor["flag"] = rng.random(4_000) < 1 / (1 + np.exp(-donor["x2"]))
    how = {"refits": 2, "hyper": {"num_iterations": 20}, "seed": SEED, "quiet": True}
    fusionpy.train(donor, ["level", "flag"], names, fsn=Path(folder) / "model.fsn", **how)
    schema = pa.schema([(name, pa.float64()) for name in names])
    with pq.ParquetWriter(Path(folder) / "recipient.parquet", schema) as writer:
        for first in range(0, rows, 250_000):
            n = min(250_000, rows - first)
            writer.write_table(pa.table([rng.normal(size=n).round(3) for _ in names], schema=schema))


def _fuse(folder: str, model: Any, **how: Any) -> dict[str, Any]:
    import fusionpy

    paths = Path(folder) / "recipient.parquet", Path(folder) / "fused.parquet"
    fusionpy.fuse(paths[0], model, paths[1], seed=SEED, quiet=True, **how)
    return {"gb_written": paths[1].stat().st_size / 1e9}


def _warm_up(folder: str) -> Any:
    """Read the model, and call compiled code once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    import fusionpy
    from fusionpy.drawing import predictions

    few = next(pq.ParquetFile(Path(folder) / "recipient.parquet").iter_batches(1_000))
    model = fusionpy.read_fsn(Path(folder) / "model.fsn")
    before, predictions.WORTHWHILE = predictions.WORTHWHILE, 0
    fusionpy.fuse(pa.Table.from_batches([few]), model, seed=SEED, quiet=True)
    predictions.WORTHWHILE = before
    return model


def nation(clock: Any, *, folder: str, M: int, cores: int, memory: str | None = None) -> dict[str, Any]:
    """Fuse from file to file."""
    model = _warm_up(folder)
    with clock:
        told = _fuse(folder, model, M=M, cores=cores, memory=memory, retain="hid")
    return told | {"cpu_per_implicate": clock.told["cpu"] / M}


def by_forest(clock: Any, *, folder: str, M: int, cores: int) -> dict[str, Any]:
    """Fuse as fuse() does."""
    return nation(clock, folder=folder, M=M, cores=cores) | {"check": _digest(folder)}


def by_lightgbm(clock: Any, *, folder: str, M: int, cores: int) -> dict[str, Any]:
    """Fuse by the boosters' own predictions."""
    from fusionpy.drawing import predictions

    model = _warm_up(folder)
    predictions.WORTHWHILE = 10**18
    with clock:
        told = _fuse(folder, model, M=M, cores=cores, retain="hid")
    return told | {"cpu_per_implicate": clock.told["cpu"] / M, "check": _digest(folder)}


def _digest(folder: str) -> str:
    import hashlib

    import pandas as pd

    frame = pd.read_parquet(Path(folder) / "fused.parquet")
    return hashlib.sha256(pd.util.hash_pandas_object(frame).to_numpy().tobytes()).hexdigest()[:16]


def larger_than_memory(clock: Any, *, folder: str, M: int, cores: int, memory: str) -> dict[str, Any]:
    """Fuse in little address space."""
    model = _warm_up(folder)
    lines = Path("/proc/self/status").read_text().splitlines()
    limit = 1024 * int(next(line for line in lines if line.startswith("VmSize")).split()[1]) + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with clock:
        told = _fuse(folder, model, M=M, cores=cores, memory=memory)
    return told | {"cpu_per_implicate": clock.told["cpu"] / M}


def importing(clock: Any) -> None:
    """Import the package."""
    with clock:
        import fusionpy  # noqa: F401


def call(clock: Any, *, folder: str, cache: str) -> None:
    """Fuse few rows."""
    os.environ["NUMBA_CACHE_DIR"] = cache
    import fusionpy
    from fusionpy.drawing import predictions

    model = fusionpy.read_fsn(Path(folder) / "model.fsn")

    predictions.WORTHWHILE = 0
    with clock:
        _fuse(folder, model, M=1, cores=1)


def _tell(name: str, case: dict[str, Any], label: str | None = None, turn: int = 0) -> dict[str, Any]:
    run = piece(__file__, name, case) | {"piece": label or name, "round": turn}
    shown(run)
    return run


def _nation(folder: Path, given: Any) -> list[dict[str, Any]]:
    """Measure what needs the surveys in ../shared."""
    if Path(given.model).is_file():
        shutil.copy(given.model, folder / "model.fsn")
    else:
        piece(__file__, "learn", {"folder": str(folder), "cores": given.cores})
    part = folder / "part"
    part.mkdir()
    (part / "model.fsn").symlink_to(folder / "model.fsn")
    piece(__file__, "head", {"folder": str(part), "rows": 200_000})
    case = {"folder": str(part), "M": 1, "cores": given.cores}
    runs = compare(__file__, ["by_forest", "by_lightgbm"], case, given.repeats)
    if len({run["check"] for run in runs}) != 1:
        raise SystemExit("by_forest and by_lightgbm differ")
    (folder / "recipient.parquet").symlink_to(SHARED / "acs2024_recipient.parquet")
    runs += [_tell("nation", case | {"folder": str(folder), "M": M}) for M in (1, 5, 40)]
    return runs


def main() -> None:
    given = asked(__doc__, model="")
    with tempfile.TemporaryDirectory(prefix="fuse-") as name:
        folder = Path(name)
        runs = [_tell("importing", {}, turn=turn) for turn in range(given.repeats)]
        made = folder / "made"
        made.mkdir()
        rows = 100_000 if given.small else 20_000_000
        piece(__file__, "make_up", {"folder": str(made), "rows": rows})
        case = {"folder": str(made), "M": 1, "cores": given.cores, "memory": "200MB"}
        runs.append(_tell("larger_than_memory", case))
        few = {"folder": str(folder / "few"), "cache": str(folder / "cache")}
        (folder / "few").mkdir()
        piece(__file__, "make_up", {"folder": few["folder"], "rows": 1_000})
        runs += [_tell("call", few, label) for label in ("first_call", "second_call")]
        if SHARED.exists() and not given.small:
            runs += _nation(folder, given)
        rows_ = [
            {k: v for k, v in row.items() if k not in ("folder", "cache")}
            for row in summary(runs, "by_lightgbm")
        ]
        save("fuse", rows_, given)


if __name__ == "__main__":
    main()
