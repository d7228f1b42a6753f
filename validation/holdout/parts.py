"""What each part of the default method is worth, on held-out households of RECS 2020.

    python validation/holdout/parts.py [--splits 0 1 2] [--ways default "without refits" ...] [--out FOLDER]

The same splits and judge as in `run.py`. The summary gives each way's mean paired ratio to R's score, and the
standard error of that over the splits.
"""

from __future__ import annotations

import argparse
import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from run import FUSED, PREDICTORS, REFERENCE, SHARED, M, flatten, load_judge, split

import fusionpy

WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    # The ways below were tried before percentiles of ties started at the mean, and are held against this one.
    "ties as they are": {},
    "without refits": {"refits": 0},
    "in-sample expectations, no refits": {"crossfit": False, "refits": 0},
    "2 percentiles": {"nquantiles": 2},
    "patience 2": {"patience": 2},
    "GOSS": {"hyper": {"data_sample_strategy": "goss"}},
    "least divergence": {"tolerant": False},
    "least divergence, without calibration": {"tolerant": False, "calibrate": False},
    "least divergence, without redrawn weights": {"tolerant": False, "redraw": False},
    "2024": {"method": "2024"},
    "fusionModel": {"method": "fusionModel"},
}
for way, given in WAYS.items():
    if way != "default" and "method" not in given:
        given["untie"] = False
KINDS = ("energy", "auc", "corr_err", "subgroup", "crps", "brier", "cover90")


def main() -> None:
    """Run the study, write its tables, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--splits", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    judge = load_judge()
    survey = pd.read_parquet(SHARED / "data" / "recs2020_donor.parquet")
    golden = json.loads((SHARED / "reference" / "holdout.json").read_text())["seeds"]
    rows: list[dict[str, Any]] = []
    for seed in arguments.splits:
        if str(seed) in golden:
            rows.append({"way": REFERENCE, "split": seed, **compared(golden[str(seed)]["score"])})
        donor, recipient = split(survey, seed)
        for way in arguments.ways:
            model = fusionpy.train(
                donor, FUSED, PREDICTORS, weight="weight", cores=2, seed=seed, quiet=True, **WAYS[way]
            )
            fused = fusionpy.fuse(recipient[PREDICTORS], model, M=M, cores=2, seed=100 + seed, quiet=True)
            score = compared(judge.score(recipient, fused, FUSED, PREDICTORS, "weight"))
            rows.append({"way": way, "split": seed, **score, "train_seconds": model.seconds})
            print(
                f"split {seed}, {way}: energy {score['energy']:.4f}, kwh {score['crps kwh']:.4f}", flush=True
            )
    scores = pd.DataFrame(rows)
    scores.to_csv(arguments.out / "parts.csv", index=False, float_format="%.5f")
    summary = summarise(scores)
    summary.to_csv(arguments.out / "parts_summary.csv", float_format="%.4f")
    about = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, fusionpy {fusionpy.__version__}, splits "
    (arguments.out / "parts_made.txt").write_text(f"{about}{arguments.splits}, M = {M}\n")
    print(summary.round(4).to_string())


def compared(score: dict[str, Any]) -> dict[str, float]:
    """Take the judge's numbers that are compared here."""
    return {name: value for name, value in flatten(score).items() if name.startswith(KINDS)}


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean paired ratio to R's score, or the mean itself for coverage; standard errors over the splits."""
    numbers = [name for name in scores.columns if name not in ("way", "split", "train_seconds")]
    table = scores.set_index(["way", "split"])[numbers]
    base = table.loc[REFERENCE if REFERENCE in table.index else scores["way"].iloc[0]]
    out = {}
    for way in table.index.unique("way"):
        own = table.loc[way]
        common = own.index.intersection(base.index)
        ratio = own.loc[common] / base.loc[common]
        level = [name for name in numbers if name.startswith("cover90")]
        ratio[level] = own.loc[common, level]
        out[way, "mean"] = ratio.mean()
        out[way, "se"] = ratio.std(ddof=1) / np.sqrt(len(common))
    return pd.DataFrame(out).T


if __name__ == "__main__":
    main()
