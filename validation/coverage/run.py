"""Do 90 % margins hold the truth in 90 % of the cases? Fused estimates, where the truth is known.

    python validation/coverage/run.py --population acs --donors 1000 --ratios 1,3,10,100 \
        --variants none,effects,areas,complete --replications 24
    python validation/coverage/run.py --tables    # tables and figure again, from replications/
    python validation/coverage/run.py --check     # one replication again: is it what replications.csv says?

Each replication draws donors and recipients from a population (`populations.py`), trains, fuses M = 20
implicates of the most recipients that are asked for, and looks with `analyze` whether each 90 % margin holds
the population's value; fewer recipients are the first of them. What a replication's variant finds is kept in
`replications/`, which is not committed: a run that was stopped goes on where it was. `replications.csv` has a
row of each replication and way, from which the coverages of `summary.csv` and their standard errors can be
had. Rows of sizes and ways that are not in `replications/` stay as they are. `truth.csv` is found anew if it
is deleted.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from estimating import read_truth
from measuring import machine
from pages import fill
from populations import POPULATIONS
from presenting import draw, page
from replicating import VARIANTS, Job, Replication, has_areas, run_job, without
from tabulating import DIGITS, KEY, beside_truth, condense, costs, read_replications, write_tables

import fusionpy
from fusionpy import FusionWarning

HERE = Path(__file__).resolve().parent
TOLERANCE = 2e-5  # of --check, relative: the same library versions give the same digits, others nearly so


def tabulate(folder: Path) -> None:
    """Write the tables, the figure and the page from the replications that are here."""
    studied = {path.name.partition("-")[0] for path in (folder / "replications").glob("*.parquet")}
    names = [name for name in POPULATIONS if name in studied and POPULATIONS[name].problem() is None]
    found = read_replications(folder / "replications", read_truth(folder / "truth.csv", names))
    if len(found):
        summary = write_tables(found, folder)
        note(folder, found)
        left_out = ["population", "bias_to_sd", "margin_to_error"]
        for name, rows in summary.groupby("population"):
            print(f"\n{name}\n{rows.drop(columns=left_out).round(3).to_string(index=False)}")
    summary, measures = (pd.read_csv(folder / name) for name in ("summary.csv", "by_measure.csv"))
    draw(summary, folder / "coverage.png")
    if folder == HERE:
        fill(HERE / "README.md", page(summary, measures))
    else:
        blocks = page(summary, measures).items()
        (folder / "page.md").write_text("\n".join(f"## {name}\n\n{text}" for name, text in blocks), "utf-8")


def note(folder: Path, found: pd.DataFrame) -> None:
    """Note in made.json when each part was made, by what, and what it cost."""
    path = folder / "made.json"
    parts = json.loads(path.read_text("utf-8")).get("parts", {}) if path.exists() else {}
    made = machine() | {"fusionpy": fusionpy.__version__, "seeds": "from 0", "parts": parts | costs(found)}
    path.write_text(json.dumps(made, indent=1, sort_keys=True) + "\n", "utf-8")


def check() -> bool:
    """Run the cheapest replication of each population again, and compare it with what is kept of it."""
    warnings.simplefilter("ignore", FusionWarning)
    truth, is_same = read_truth(HERE / "truth.csv", []), True
    all_kept = pd.read_csv(HERE / "replications.csv")
    for name, population in POPULATIONS.items():
        if problem := population.problem():
            print(problem)
            continue
        first = {"population": name, "donors": 1000, "times": 1, "replication": 0}
        kept = all_kept[(all_kept[list(first)] == pd.Series(first)).all(axis=1)]
        variants = [each for each in VARIANTS.values() if each.way in set(kept["way"])]
        variants = [each for each in variants if "areas" not in each.training or has_areas()]
        if not variants:
            print(f"{name}: no such replication is kept")
            continue
        replication = Replication(Job(name, 1000, [1], 0))
        again = beside_truth(pd.concat([replication.run(each) for each in variants]), truth)
        again = pd.read_csv(StringIO(condense(again).to_csv(index=False, float_format=DIGITS)))
        keys = [*KEY, "part", "replication"]
        both = kept.merge(again, on=keys, suffixes=("", "_again"), validate="one_to_one")
        print(both.drop(columns=[*first]).to_string())
        columns = ["cells", "covered", "error_to_margin", "margin_to_truth"]
        one, other = both[columns], both[[f"{each}_again" for each in columns]]
        counts = slice(0, 2)
        is_same &= len(both) == sum(kept["way"].isin([each.way for each in variants]))
        is_same &= bool((one.to_numpy()[:, counts] == other.to_numpy()[:, counts]).all())
        is_same &= np.allclose(one, other, rtol=TOLERANCE, atol=0)
    return is_same


def commas(text: str) -> list[str]:
    """Split an option at commas."""
    return [each for each in text.split(",") if each]


def asked() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--population", type=commas, default=list(POPULATIONS))
    parser.add_argument("--donors", type=commas, default=["1000", "4000"])
    parser.add_argument("--ratios", type=commas, default=["1", "3", "10", "100"], help="recipients per donor")
    parser.add_argument("--replications", type=int, default=24)
    known = ["none", "effects", "areas", "rectified", "complete"]
    parser.add_argument("--variants", type=commas, default=known, help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE, help="folder of results")
    parser.add_argument("--tables", action="store_true", help="no new replications")
    parser.add_argument("--check", action="store_true", help="one replication again; 1 if it differs")
    given = parser.parse_args()
    for option, possible in (("population", POPULATIONS), ("variants", VARIANTS)):
        if unknown := [each for each in getattr(given, option) if each not in possible]:
            parser.error(f"--{option}: {', '.join(unknown)}; there are {', '.join(possible)}")
    if "areas" in given.variants and not has_areas():
        print("areas are left out: this version of `train` does not know them")
        given.variants = [each for each in given.variants if each != "areas"]
    return given


def replicate(given: argparse.Namespace) -> None:
    """Run all replications that are not there, the first of all sizes first."""
    folder: Path = given.out / "replications"
    folder.mkdir(parents=True, exist_ok=True)
    commit, started = machine()["commit"], time.perf_counter()
    names = [name for name in given.population if POPULATIONS[name].problem() is None]
    for name in set(given.population) - set(names):
        print(POPULATIONS[name].problem())
    jobs = [
        (Job(name, int(donors), [int(each) for each in given.ratios], number), name)
        for number in range(given.replications)
        for name in names
        for donors in given.donors
    ]
    todo = [(job, without(POPULATIONS[name], given.variants), folder, commit) for job, name in jobs]
    if given.processes == 1:
        for each in todo:
            if told := run_job(*each):
                print(told, flush=True)
    else:
        spawn = multiprocessing.get_context("spawn")  # numba's threads do not live through a fork
        with ProcessPoolExecutor(given.processes, spawn) as pool:
            for done in as_completed([pool.submit(run_job, *each) for each in todo]):
                if told := done.result():
                    print(told, flush=True)
    print(f"{time.perf_counter() - started:.0f} s", flush=True)


def main() -> int:
    """Run the study, write its tables, print the summary."""
    given = asked()
    if given.check:
        return 0 if check() else 1
    if not given.tables:
        replicate(given)
    tabulate(given.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
