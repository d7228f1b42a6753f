"""What each part of the default method is worth, on held-out households of RECS 2020.

    python validation/holdout/run.py [--splits 0 1 2] [--ways default fusionModel ...] [--out FOLDER]

Needs ../shared beside the checkout: the survey, the judge (`bench/score.py`), and R's scores
(`holdout.json`). A split trains on 80 % of the households and fuses the rest (M = 20). Every way is scored
on the same splits; the summary gives its mean ratio to R's score, and the standard error of that over the
splits.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import fusionpy

SHARED = Path(__file__).resolve().parents[3] / "shared"
FUSED = [
    "heat_fuel", "ac_type", "window_ac", "ceiling_fans", "kwh", "disconnect_notice", "no_heat",
    "energy_assistance",
]  # fmt: skip
PREDICTORS = [
    "income_rank", "age", "hh_size", "children", "renter", "home_type", "year_built", "rooms", "female",
    "race", "education", "division", "hdd", "cdd",
]  # fmt: skip
M = 20
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "without refits": {"refits": 0},
    "in-sample expectations, no refits": {"crossfit": False, "refits": 0},
    "2 percentiles": {"nquantiles": 2},
    "patience 2": {"patience": 2},
    "GOSS": {"hyper": {"data_sample_strategy": "goss"}},
    "least divergence": {"tolerant": False},
    "least divergence, without calibration": {"tolerant": False, "calibrate": False},
    "least divergence, without redrawn weights": {"tolerant": False, "redraw": False},
    "least divergence, rank scale": {"tolerant": False, "rank_scale": True},
    "2024": {"method": "2024"},
    "fusionModel": {"method": "fusionModel"},
}


def load_judge() -> Any:
    """Import the judge from the shared folder."""
    spec = importlib.util.spec_from_file_location("judge", SHARED / "bench" / "score.py")
    assert spec is not None
    assert spec.loader is not None
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    return judge


def split(survey: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split as in holdout.json: 80 % donors, the rest recipients, both in the survey's order."""
    order = np.random.default_rng(seed).permutation(len(survey))
    cut = int(0.8 * len(survey))
    parts = (np.sort(order[:cut]), np.sort(order[cut:]))
    donor, recipient = (survey.iloc[rows].reset_index(drop=True) for rows in parts)
    return donor, recipient


def flatten(score: dict[str, Any]) -> dict[str, float]:
    """Name the numbers that are compared."""
    out = {name: score[name] for name in ("energy", "auc", "corr_err", "subgroup")}
    for variable, entry in score["by"].items():
        for kind in ("crps", "brier", "cover90"):
            if kind in entry:
                out[f"{kind} {variable}"] = entry[kind]
    return out


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
            rows.append({"way": "R fusionModel 2.4.0", "split": seed, **flatten(golden[str(seed)]["score"])})
        donor, recipient = split(survey, seed)
        for way in arguments.ways:
            model = fusionpy.train(
                donor, FUSED, PREDICTORS, weight="weight", cores=2, seed=seed, quiet=True, **WAYS[way]
            )
            fused = fusionpy.fuse(recipient, model, M=M, cores=2, seed=100 + seed, quiet=True)
            score = flatten(judge.score(recipient, fused, FUSED, PREDICTORS, "weight"))
            rows.append({"way": way, "split": seed, **score, "train_seconds": model.seconds})
            print(
                f"split {seed}, {way}: energy {score['energy']:.4f}, kwh {score['crps kwh']:.4f}", flush=True
            )
    scores = pd.DataFrame(rows)
    scores.to_csv(arguments.out / "scores.csv", index=False, float_format="%.5f")
    summary = summarise(scores)
    summary.to_csv(arguments.out / "summary.csv", float_format="%.4f")
    about = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, fusionpy {fusionpy.__version__}, splits "
    (arguments.out / "made.txt").write_text(f"{about}{arguments.splits}, M = {M}\n")
    print(summary.round(4).to_string())


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean paired ratio to R's score, or the mean itself for coverage; standard errors over the splits."""
    numbers = [name for name in scores.columns if name not in ("way", "split", "train_seconds")]
    table = scores.set_index(["way", "split"])[numbers]
    base_way = "R fusionModel 2.4.0" if "R fusionModel 2.4.0" in table.index else scores["way"].iloc[0]
    base = table.loc[base_way]
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
