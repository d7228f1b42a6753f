"""The command line on real surveys, RECS 2020 to the ACS 2024, today and before issue 6 (speed).

    python validation/benchmarks/fullscale.py [--repeats 3] [--cores 2] [--before COMMIT] [--out FOLDER]

Needs ../shared beside the checkout. Trains the eight variables of `holdout.json`, fuses Washington's 32,451
households 5 times, all 1,348,408 twice, and 40 times; each is one command from files to a file, the start of
the program included. The baseline is fusionpy as it was in the commit `--before`, taken out of git: the same
commands in turn with today's (all but M = 40). Models and implicates must be the same: if they are not, this
fails after the table is written.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from measuring import HERE, SHARED, asked, command, left_out, piece, save, shown, summary

BEFORE = "221e1046871b"
PYTHON = (sys.executable, "-P", "-c")  # -P: not the package of the folder that this is started in
PROGRAM = (*PYTHON, "from fusionpy.cli import main; main()")
RECS = {
    "y": "heat_fuel,ac_type,window_ac,ceiling_fans,kwh,disconnect_notice,no_heat,energy_assistance",
    "x": "income_rank,age,hh_size,children,renter,home_type,year_built,rooms,female,race,education,division,"
    "hdd,cdd",
}
SAMPLE = {"y": "insulation,electricity,solar", "x": "income,age,hh_size,rooms,tenure,region"}


def checkout(commit: str, folder: Path) -> bool:
    """Put the package as it was in a folder, if git has it."""
    done = subprocess.run(
        ["git", "-C", HERE.parents[1], "archive", commit, "fusionpy"], capture_output=True, check=False
    )
    if done.returncode:
        print(f"{commit} is not in this repository: no baseline", file=sys.stderr)
        return False
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return True


def digest(clock: Any, *, path: str) -> dict[str, Any]:
    """Tell results apart by their content: a model's trees and donors, or the rows of implicates."""
    if path.endswith(".fsn"):
        with zipfile.ZipFile(path) as archive:
            names = sorted(
                n for n in archive.namelist() if n.endswith(("_m.txt", "_q.txt", "_z.txt", ".parquet"))
            )
            # LightGBM appends the parameters, threads among them; archives no longer tell predictors' ranges.
            texts = [name.encode() + archive.read(name).split(b"\nparameters:")[0] for name in names]
            texts = [re.sub(rb"\nfeature_infos=.*", b"", text) for text in texts]
        return {"check": hashlib.sha256(b"\n".join(texts)).hexdigest()[:16], "rows": len(names)}
    import numpy as np
    import pandas as pd
    import pyarrow.parquet as pq

    total, n = 0, 0
    for batch in pq.ParquetFile(path).iter_batches(1 << 18):
        each = pd.util.hash_pandas_object(batch.to_pandas(), index=False).to_numpy()
        place = np.arange(n + 1, n + 1 + len(each), dtype=np.uint64)
        total += int(np.sum(each * (2 * place + 1), dtype=np.uint64))
        n += len(each)
    return {"check": f"{total % 2**64:016x}", "rows": n}


def head(clock: Any, *, path: str, to: str, rows: int) -> None:
    """Keep some rows of a survey."""
    import pyarrow.parquet as pq

    pq.write_table(pq.read_table(path).slice(0, rows), to)


def sample(clock: Any, *, folder: str, rows: int) -> None:
    """Write the sample surveys, for a smoke run."""
    import fusionpy

    fusionpy.datasets.load_donor().to_parquet(f"{folder}/donor.parquet")
    fusionpy.datasets.load_recipient().head(rows).to_parquet(f"{folder}/recipient.parquet")


def run(code: Path, *arguments: str | Path) -> dict[str, Any]:
    """Run one command of fusionpy, with the package that lies in `code`."""
    return command([*PROGRAM, *arguments, "--quiet"], env=_with(code))


def _with(code: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(code)}


def surveys(folder: Path, small: bool) -> tuple[Path, dict[str, tuple[Path, int]], dict[str, str]]:
    """Give the donors' file, the fusions (of which file, how many implicates), and the variables."""
    if small:
        piece(__file__, "sample", {"folder": str(folder), "rows": 500})
        return folder / "donor.parquet", {"sample": (folder / "recipient.parquet", 2)}, SAMPLE
    nation = SHARED / "acs2024_recipient.parquet"
    washington = SHARED / "acs2024_recipient_WA.parquet"
    fusions = {"Washington": (washington, 5), "nation": (nation, 2), "nation, paper's M": (nation, 40)}
    return SHARED / "recs2020_donor.parquet", fusions, RECS


def main() -> None:
    """Run the commands of both packages in turn, compare what they wrote, and save the table."""
    given = asked(__doc__, before=BEFORE)
    if not given.small and not SHARED.exists():
        left_out(f"{SHARED} is not there")
    if given.small:
        given.repeats = 1
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        donor, fusions, variables = surveys(folder, given.small)
        packages = {"today": HERE.parents[1]}
        if not given.small and checkout(given.before, folder / "before"):
            packages["before"] = folder / "before"
        same = ("--cores", str(given.cores), "--seed", "1")
        learn = ("--y", variables["y"], "--x", variables["x"], "--weight", "weight", *same)
        few = folder / "few.parquet"
        piece(__file__, "head", {"path": str(donor), "to": str(few), "rows": 1_000})
        for package in packages.values():
            where = command([*PYTHON, "import fusionpy; print(fusionpy.__file__)"], env=_with(package))[
                "printed"
            ]
            assert Path(where.strip()).is_relative_to(package), where
        for package in packages.values():  # compiled code comes from the cache, as in any second call
            run(package, "train", few, *learn, "--refits", "1", "--fsn", folder / "few.fsn")
            run(package, "fuse", few, folder / "few.fsn", "--fsd", folder / "few_fused.parquet", *same)
        checks: dict[tuple[str, int], set[str]] = {}
        for turn in range(given.repeats):
            for what, (file, M) in {"train": (donor, 0), **fusions}.items():
                for which in [*packages][:: -1 if turn % 2 else 1]:
                    if M > 5 and which == "before":
                        continue
                    model, fused = folder / f"{which}.fsn", folder / f"{which}.parquet"
                    if M:
                        ask = (
                            "fuse",
                            file,
                            model,
                            "--fsd",
                            fused,
                            "-M",
                            str(M),
                            "--retain",
                            "hid,weight",
                            *same,
                        )
                    else:
                        as_before = ("--no-untie",) if which == "today" else ()
                        ask = ("train", file, *learn, *as_before, "--fsn", model)
                    done = run(packages[which], *ask)
                    found = piece(__file__, "digest", {"path": str(fused if M else model)})
                    del done["printed"]
                    case = {"survey": what, "M": M, "cores": given.cores, "rows": found["rows"] if M else 0}
                    runs.append({"piece": which, **case, **done, "round": turn, "check": found["check"]})
                    shown(runs[-1])
                    checks.setdefault((what, M), set()).add(found["check"])
    save("fullscale", summary(runs, baseline="before"), given)
    differ = [f"{what}, M = {M}" if M else what for (what, M), found in checks.items() if len(found) > 1]
    if differ:
        raise SystemExit(f"not what it was before, or not the same twice: {'; '.join(differ)}")


if __name__ == "__main__":
    main()
