"""Make the Parquet files of fusionpy/datasets from the synthetic population.

Run from the root of the checkout: ``python data-raw/make_samples.py [folder]``. The same versions of
numpy, pandas and pyarrow write the same bytes again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fusionpy import datasets

POPULATION_SIZE, POPULATION_SEED = 1_000_000, 20261121
DONOR_SIZE, DONOR_SEED = 4_000, 1
RECIPIENT_SIZE, RECIPIENT_SEED = 20_000, 2
FUSED = [
    name for entry in datasets.FUSION_VARIABLES for name in ([entry] if isinstance(entry, str) else entry)
]


def round_to_total(weight: pd.Series, total: int) -> pd.Series:
    """Round weights to one decimal such that they sum to `total`: the largest remainders are rounded up."""
    tenths = np.floor(weight.to_numpy() * 10)
    n_up = round(total * 10 - tenths.sum())
    tenths[np.argsort(tenths - weight.to_numpy() * 10, kind="stable")[:n_up]] += 1
    return pd.Series(tenths / 10, index=weight.index)


def draw(population: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the donor survey, then the recipient survey from the households left."""
    donor = datasets.sample_survey(population, DONOR_SIZE, DONOR_SEED, design="donor", replicates=False)
    recipient = datasets.sample_survey(
        population.drop(donor.index),
        RECIPIENT_SIZE,
        RECIPIENT_SEED,
        design="recipient",
        control=population,
        replicates=False,
    )
    for survey in (donor, recipient):
        survey["weight"] = round_to_total(survey["weight"], len(population))
        survey["unit"] = survey["unit"].astype(np.int32)
        survey.insert(0, "hid", survey.index.to_numpy(dtype=np.int32) + 1)
    replicates = datasets.replicate_weights(donor).round().astype(np.int32)
    return donor.join(replicates), recipient


def write(data: pd.DataFrame, path: Path) -> None:
    """Write a table as compressed Parquet."""
    table = pa.Table.from_pandas(data.reset_index(drop=True), preserve_index=False)
    repeated = [name for name in data if name != "hid"]
    pq.write_table(table, path, compression="zstd", compression_level=19, use_dictionary=repeated)
    print(f"{path}: {len(data)} rows, {len(data.columns)} columns, {path.stat().st_size / 1e3:.0f} kB")


def main(folder: Path) -> None:
    """Simulate the population, draw both surveys and write them with the recipients' truth."""
    population = datasets.simulate_population(POPULATION_SIZE, POPULATION_SEED)
    donor, recipient = draw(population)
    folder.mkdir(parents=True, exist_ok=True)
    names = ["hid", *datasets.PREDICTORS]
    write(donor[[*names, *FUSED, "weight", *datasets.REPLICATE_WEIGHTS]], folder / "donor.parquet")
    write(recipient[[*names, "weight", "unit"]], folder / "recipient.parquet")
    write(recipient[["hid", *FUSED]], folder / "truth.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("fusionpy/datasets"))
