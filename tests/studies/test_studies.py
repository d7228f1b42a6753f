"""The studies' committed numbers, had again: one cheap, seeded part of each.

Those of coverage, holdout and RECS 2015 are to be the same to the printed digits with the library versions of
`.ci/constraints.txt`, in which they were made; other versions may move a digit, so there the tests are
skipped. Benchmarks measure a machine, so only the form of their tables is tested.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
VALIDATION = ROOT / "validation"
BENCHMARKS = sorted((VALIDATION / "benchmarks").glob("*.csv"))


def run(script: str, *options: str | Path) -> str:
    done = subprocess.run(
        [sys.executable, VALIDATION / script, *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# Coverage.


@pytest.mark.slow
def test_coverage_of_one_replication(pinned):
    told = run("coverage/run.py", "--check")
    assert "rectified" in told


def test_summary_of_coverage_is_that_of_its_replications():
    """Coverages and their standard errors, from one row a replication."""
    folder = VALIDATION / "coverage"
    keys = ["population", "donors", "times", "way", "part"]
    rows = pd.read_csv(folder / "replications.csv")
    share = (rows["covered"] / rows["cells"]).groupby([rows[key] for key in keys])
    again = pd.DataFrame(
        {
            "replications": share.size(),
            "coverage": share.mean(),
            "coverage_se": share.std(ddof=1) / np.sqrt(share.size()),
        }
    )
    kept = pd.read_csv(folder / "summary.csv").set_index(keys)[list(again)]
    assert (rows.query("population == 'embedded' and part == 'domains'")["cells"] == 175).all()
    assert len(kept) == len(again)
    # Half a unit of the fifth digit, which summary.csv has.
    pd.testing.assert_frame_equal(
        kept.sort_index(), again.sort_index(), check_dtype=False, rtol=0, atol=5.001e-6
    )


def test_coverage_is_studied_from_1_to_100_times_as_many_recipients():
    summary = pd.read_csv(VALIDATION / "coverage" / "summary.csv").query("population == 'embedded'")
    times = summary[["donors", "times"]].drop_duplicates().groupby("donors")["times"].apply(list)
    assert all(min(found) == 1 and max(found) == 100 and 10 in found for found in times)


# Held-out quality.


@pytest.mark.slow
def test_holdout_of_one_split(pinned, shared):
    ways = ("fusionModel", "hot deck", "unconditional draw")
    told = run("holdout/run.py", "--check", "--ways", *ways)
    assert len(re.findall(r"split 0: \d\d numbers, 0 differ", told)) == len(ways)


# RECS 2015.


@pytest.mark.slow
def test_recs2015_with_one_seed(pinned, shared, tmp_path):
    """R's implicates, and one run of ours, compared and scored again: every row of theirs in `runs.csv`."""
    run("recs2015/run.py", "--seeds", "1", "--ways", "fusionModel", "--out", tmp_path)
    keys = ["sample", "way", "seed", "judge", "y", "measure"]
    again, kept = (pd.read_csv(folder / "runs.csv") for folder in (tmp_path, VALIDATION / "recs2015"))
    assert {"R fusionModel 2.4.0", "fusionModel"} <= set(again["way"])
    kept = kept[kept["way"].isin(again["way"]) & kept["seed"].isin(again["seed"])]
    assert len(kept) == len(again)
    both = kept.merge(again, on=keys, suffixes=("_kept", "_again"), validate="one_to_one")
    assert len(both) == len(again)
    # One in the last of five digits: rounded sums may end on either side.
    apart = both[(both["value_kept"] - both["value_again"]).abs() > 1.5e-5]
    assert apart.empty, apart.to_string()


# Benchmarks.


@pytest.mark.parametrize("path", BENCHMARKS, ids=lambda path: path.stem)
def test_form_of_benchmarks(path):
    """Every table has rows; measures are positive; a median lies between the smallest and the largest."""
    table = pd.read_csv(path)
    assert len(table) > 0
    assert not table.duplicated().any()
    measures = [name for name in ("seconds", "cpu", "peak_gb") if name in table]
    assert (table[measures].dropna() > 0).all(axis=None)
    for name in table:
        if f"{name}_min" in table:
            found = table[[f"{name}_min", name, f"{name}_max"]].dropna()
            assert (found.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None), name
