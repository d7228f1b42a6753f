"""Held-out quality on RECS 2020: fusionpy, R's scores, other methods; the same splits, the same judge.

    python validation/holdout/run.py [--splits 0 1 2 3 4] [--ways default "hot deck" ...] [--again]
    python validation/holdout/run.py --check      # make cheap rows again, compare with the committed digits
    python validation/holdout/run.py --tables     # summary, figure and README again, from the scores
    python validation/holdout/run.py --tune       # the other methods' parameters again: tuned.json

Needs ../shared beside the checkout: the survey, the judge (`bench/score.py`, used as it is), and R's scores
(`reference/holdout.json`). A split trains on 80 % of the households and fuses the others, of which only the
predictors are handed over (M = 20). Rows of `scores.csv` that exist are not made again, so a run that was
interrupted goes on where it stopped. The other methods are in `peers.py`, which runs in an environment of its
own (`requirements.txt`): `--peers` names its Python.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from judging import load_judge

import fusionpy

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared"
FUSED = [
    "heat_fuel", "ac_type", "window_ac", "ceiling_fans", "kwh", "disconnect_notice", "no_heat",
    "energy_assistance",
]  # fmt: skip
PREDICTORS = [
    "income_rank", "age", "hh_size", "children", "renter", "home_type", "year_built", "rooms", "female",
    "race", "education", "division", "hdd", "cdd",
]  # fmt: skip
WEIGHT = "weight"
M = 20
REFERENCE = "R fusionModel 2.4.0"
FLOOR = "sampling floor"
OURS: dict[str, dict[str, Any]] = {"default": {}, "fusionModel": {"method": "fusionModel"}}
PEERS = [
    "quantile regression forest",
    "microimpute",
    "microimpute, tuned",
    "miceforest PMM",
    "hot deck",
    "unconditional draw",
]
WAYS = [*OURS, REFERENCE, *PEERS, FLOOR]
CHEAP = ["hot deck", "unconditional draw"]
SECONDS = ["train_seconds", "fuse_seconds"]
CORES = 2


def split(survey: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split as in holdout.json: 80 % donors, the rest recipients, both in the survey's order."""
    order = np.random.default_rng(seed).permutation(len(survey))
    cut = int(0.8 * len(survey))
    parts = (np.sort(order[:cut]), np.sort(order[cut:]))
    donor, recipient = (survey.iloc[rows].reset_index(drop=True) for rows in parts)
    return donor, recipient


def flatten(score: dict[str, Any]) -> dict[str, float]:
    """Name all numbers of the judge."""
    out = {name: score[name] for name in ("energy", "auc", "corr_err", "subgroup")}
    for variable, entry in score["by"].items():
        out |= {f"{kind} {variable}": value for kind, value in entry.items()}
    return out


def cpu_seconds() -> float:
    """User and system time of this process and of those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def fuse_with_ours(
    way: str, donor: pd.DataFrame, recipient: pd.DataFrame, seed: int
) -> tuple[pd.DataFrame, list[float]]:
    """Train and fuse with fusionpy; the implicates, and the CPU seconds of both."""
    began = cpu_seconds()
    model = fusionpy.train(
        donor, FUSED, PREDICTORS, weight=WEIGHT, cores=CORES, seed=seed, quiet=True, **OURS[way]
    )
    trained = cpu_seconds()
    fused = fusionpy.fuse(recipient, model, M=M, cores=CORES, seed=100 + seed, quiet=True)
    return fused, [trained - began, cpu_seconds() - trained]


def fuse_with_peer(
    way: str, donor: pd.DataFrame, recipient: pd.DataFrame, seed: int, python: str
) -> tuple[pd.DataFrame, list[float]]:
    """Have `peers.py` do it, in its own environment."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hand_over(folder, way, donor, recipient, seed)
        subprocess.run([python, HERE / "peers.py", folder], check=True)
        seconds = json.loads((folder / "seconds.json").read_text())
        return pd.read_parquet(folder / "implicates.parquet"), [seconds["train"], seconds["fuse"]]


def hand_over(folder: Path, way: str, donor: pd.DataFrame, recipient: pd.DataFrame, seed: int) -> None:
    """Write what `peers.py` is to work on."""
    donor[[*FUSED, *PREDICTORS, WEIGHT]].to_parquet(folder / "donor.parquet")
    recipient.to_parquet(folder / "recipient.parquet")
    about = {"way": way, "y": FUSED, "x": PREDICTORS, "weight": WEIGHT}
    (folder / "task.json").write_text(json.dumps({**about, "M": M, "seed": seed, "cores": CORES}))


def tune(python: str) -> None:
    """Have `peers.py` choose its parameters anew, on the donors of split 0."""
    donor, recipient = split(pd.read_parquet(SHARED / "data" / "recs2020_donor.parquet"), 0)
    with tempfile.TemporaryDirectory() as name:
        hand_over(Path(name), "tune", donor, recipient[PREDICTORS], 0)
        subprocess.run([python, HERE / "peers.py", "--tune", name], check=True)


def reference_row(seed: int) -> dict[str, Any] | None:
    """R's scores, for the splits that it was run on."""
    golden = json.loads((SHARED / "reference" / "holdout.json").read_text())["seeds"]
    if str(seed) not in golden:
        return None
    entry = golden[str(seed)]
    seconds = [
        sum(entry["seconds"][part][f"{kind}.self"] for kind in ("user", "sys")) for part in ("train", "fuse")
    ]
    return {
        "way": REFERENCE,
        "split": seed,
        **flatten(entry["score"]),
        **dict(zip(SECONDS, seconds, strict=True)),
    }


def card_rows(card: fusionpy.Scorecard, way: str, seed: int, label: str) -> list[dict[str, Any]]:
    """Take from a scorecard what it says of one way."""
    rows = card.table[card.table["way"] == way]
    return [
        {"way": label, "split": seed, "y": y, "measure": measure, "value": value, "aim": aim}
        for y, measure, value, aim in rows[["y", "measure", "value", "aim"]].itertuples(index=False)
    ]


def one_row(
    way: str, survey: pd.DataFrame, seed: int, judge: Any, python: str
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """One way on one split: its row of `scores.csv` (None: there is none), its rows of `scorecard.csv`."""
    if way == REFERENCE:
        return reference_row(seed), []
    donor, recipient = split(survey, seed)
    if way == FLOOR:  # does not depend on the implicates
        card = fusionpy.score(
            recipient, pd.concat([recipient.assign(M=m) for m in (1, 2)]), FUSED, x=PREDICTORS, weight=WEIGHT,
            draws=2, cores=CORES, quiet=True, seed=0,
        )  # fmt: skip
        rows = card_rows(card, FLOOR, seed, FLOOR)
        found = {
            row["measure"] if row["y"] is None else f"{row['measure']} {row['y']}": row["value"]
            for row in rows
            if row["measure"] not in ("q90", "mean", "top1")  # which the judge does not have
        }
        return {"way": FLOOR, "split": seed, **found}, rows
    asked = recipient[PREDICTORS]
    fused, seconds = (
        fuse_with_ours(way, donor, asked, seed)
        if way in OURS
        else fuse_with_peer(way, donor, asked, seed, python)
    )
    score = flatten(judge.score(recipient, fused, FUSED, PREDICTORS, WEIGHT))
    card = fusionpy.score(
        recipient, fused, FUSED, x=PREDICTORS, weight=WEIGHT, baselines=False, classifier=False, cores=CORES,
        quiet=True, seed=0,
    )  # fmt: skip
    row = {"way": way, "split": seed, **score, **dict(zip(SECONDS, seconds, strict=True))}
    return row, card_rows(card, "fused", seed, way)


def read(path: Path) -> pd.DataFrame:
    """Read a table of results, if there is one."""
    return pd.read_csv(path) if path.exists() else pd.DataFrame({"way": [], "split": []})


def put(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows to a table, in place of those of the same way and split."""
    if not rows:
        return
    new = pd.DataFrame(rows)
    old = read(path)
    same = pd.MultiIndex.from_frame(old[["way", "split"]]).isin(
        list(zip(new["way"], new["split"], strict=True))
    )
    table = pd.concat([old[~same], new], ignore_index=True) if (~same).any() else new
    table["split"] = table["split"].astype(int)
    place = table["way"].map(WAYS.index)
    table = table.iloc[np.lexsort((table["split"], place))]
    columns = [name for name in table if name not in SECONDS] + [name for name in SECONDS if name in table]
    table[columns].to_csv(path, index=False, float_format="%.5f")


def check(ways: Sequence[str], splits: Sequence[int], python: str) -> None:
    """Make rows again and compare every digit with those in `scores.csv`; times are not compared."""
    committed = pd.read_csv(HERE / "scores.csv").set_index(["way", "split"]).drop(columns=SECONDS)
    survey = pd.read_parquet(SHARED / "data" / "recs2020_donor.parquet")
    judge = load_judge()
    failed = False
    for way in ways:
        for seed in splits:
            row, _ = one_row(way, survey, seed, judge, python)
            if row is None:
                continue
            again = pd.Series(row).reindex(committed.columns).astype(float).round(5)
            there = committed.loc[(way, seed)].astype(float)
            apart = (again - there).abs() > 1.5e-5  # the last digit may be rounded otherwise
            apart |= again.isna() != there.isna()
            failed |= bool(apart.any())
            print(f"{way}, split {seed}: {len(again)} numbers, {apart.sum()} differ", flush=True)
            for name in again.index[apart]:
                print(f"  {name}: {there[name]:.5f} in scores.csv, {again[name]:.5f} now")
    if failed:
        sys.exit("The committed scores are not reproduced.")


def note_made() -> None:
    """Write down when, where and with what the scores were made."""
    with Path("/proc/cpuinfo").open() as lines:
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    about = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()} {cpu}, {os.cpu_count()} cores, Python "
    about += f"{platform.python_version()}, fusionpy {fusionpy.__version__}, last of "
    about += f"{len(read(HERE / 'scores.csv'))} rows, M = {M}\n"
    (HERE / "made.txt").write_text(about)


def main() -> None:
    """Make what is missing, then the tables and the figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, nargs="+")
    parser.add_argument("--ways", nargs="+", choices=WAYS)
    parser.add_argument("--again", action="store_true", help="make rows that exist again")
    parser.add_argument("--check", action="store_true", help="compare with the committed rows, write nothing")
    parser.add_argument("--tables", action="store_true", help="no new rows")
    parser.add_argument("--tune", action="store_true", help="choose the peers' parameters again")
    parser.add_argument("--peers", default=sys.executable, metavar="PYTHON", help="that has requirements.txt")
    arguments = parser.parse_args()
    if arguments.check:
        check(arguments.ways or CHEAP, arguments.splits or [0], arguments.peers)
        return
    if arguments.tune:
        tune(arguments.peers)
        return
    ways, splits = arguments.ways or WAYS, arguments.splits or [0, 1, 2, 3, 4]
    if not arguments.tables:
        judge = load_judge()
        survey = pd.read_parquet(SHARED / "data" / "recs2020_donor.parquet")
        for seed in splits:
            done = read(HERE / "scores.csv")
            for way in ways:
                if not arguments.again and ((done["way"] == way) & (done["split"] == seed)).any():
                    continue
                row, card = one_row(way, survey, seed, judge, arguments.peers)
                if row is None:
                    continue
                put(HERE / "scores.csv", [row])
                put(HERE / "scorecard.csv", card)
                note_made()
                print(
                    f"split {seed}, {way}: energy {row.get('energy', np.nan):.4f}, auc {row['auc']:.4f}",
                    flush=True,
                )
    from tables import write_tables

    write_tables(HERE)


if __name__ == "__main__":
    main()
