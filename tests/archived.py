"""A small survey, ways to train on it, and what is in an archive: for all tests of archives."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

import fusionpy

N = 260


X = ["age", "region", "size", "owner", "é.1"]


Y = ["kind", "owns.car", "income", ["rent", "heat", "rooms"], "grade"]


FAST = {"nfolds": 2, "seed": 4, "quiet": True, "hyper": {"num_iterations": 3, "min_data_in_leaf": 10}}


METHODS = {
    "refits": {"refits": 2, "areas": ["region"]},
    "folds": {"refits": 0, "redraw": False},
    "final": {"method": "fusionModel"},
    "2024": {"method": "2024", "nclusters": 15},
    "split": {"refits": 0, "nfolds": 0.7},
}


def make_survey(n: int = N) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 95, n).astype(np.int16),
            "region": pd.Categorical(rng.integers(1, 5, n) * 10),
            "size": pd.Categorical(rng.choice([0.5, 1.5, 2.5], n), ordered=True),
            "owner": rng.random(n) < 0.6,
            "é.1": rng.normal(size=n).astype(np.float32),
            "kind": pd.Categorical(rng.choice(["flat", "house", "other"], n)),
            "owns.car": rng.random(n) < 0.7,
            "income": rng.gamma(2, 20_000, n),
            "rent": np.where(rng.random(n) < 0.4, 0.0, rng.gamma(3, 300, n)),
            "heat": pd.Categorical(
                rng.choice(["gas", "oil", "wood"], n), categories=["wood", "oil", "gas", "sun"]
            ),
            "rooms": rng.integers(1, 9, n).astype(np.int32),
            "grade": pd.Categorical(rng.integers(1, 4, n), ordered=True),
            "w": rng.uniform(0.2, 3, n),
        }
    )
    return frame.assign(age=frame["age"].where(rng.random(n) > 0.1))


SURVEY = make_survey()


def read_members(members: dict[str, bytes], path: Path) -> fusionpy.FusionModel:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return fusionpy.read_fsn(path)
