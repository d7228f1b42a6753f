"""Archives with nothing left in them but what R reads."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import original
import pandas as pd
from archived import SURVEY

RNG = np.random.default_rng(3)


MORE = {
    "gas": np.where(RNG.random(len(SURVEY)) < 0.5, 0.0, RNG.gamma(3, 200, len(SURVEY))),
    "share": np.where(RNG.random(len(SURVEY)) < 0.6, 0.0, RNG.random(len(SURVEY))),
    **{f"y{j}": RNG.normal(size=len(SURVEY)) + SURVEY["rooms"] * j for j in range(101)},
}


MANY = pd.concat([SURVEY, pd.DataFrame(MORE)], axis=1)


BLOCK = ["gas", "share", "heat"]


TINY = {"nclusters": 10, "hyper": {"num_iterations": 1, "min_data_in_leaf": 30}}


RECIPIENTS = SURVEY.head(5)


def as_text(column: pd.Series) -> pd.Series:
    return column.cat.rename_categories([original.text(level) for level in column.cat.categories])


def strip(path: Path, to: Path) -> Path:
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(to, "w") as left:
        for name in archive.namelist():
            if not name.startswith(("fusionpy~", "manifest")):
                left.writestr(name, archive.read(name))
    return to
