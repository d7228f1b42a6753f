"""The summary of the studies: one table in validation/README.md, each number with the cell it comes from.

    python validation/summary.py

Reads the studies' tables and nothing else; run it after any study. `tests/studies/test_summary.py` holds
the committed page to those tables.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import t as student

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pages import fill, find_row, table

HERE = Path(__file__).resolve().parent
LEVEL = 0.90  # of all intervals
HEAD = ["study", "what", "number", "90 % interval", "file:line, column", "command"]
ASKED = {"1": "1 10 --replications 24 --plain", "10": "1 10 --replications 24 --plain", "100": "3 30 100"}
WAYS = {
    "fusionModel": '`method="fusionModel"`',
    "default": "the default",
    "R fusionModel 2.4.0": "R's fusionModel 2.4.0",
}


@dataclass(frozen=True)
class Claim:
    """What a number is, the cell that holds it, and those of its interval."""

    text: str
    file: str  # study/name.csv
    where: Mapping[str, str]  # texts that only its row has
    column: str
    digits: int
    low: str = "low"
    high: str = "high"
    se: str = ""  # the interval is Student's, from this column and that of the number of runs
    runs: str = ""
    command: str = ""  # if not its study's

    def row(self) -> list[str]:
        """Give the claim's row of the table."""
        found = find_row(HERE / self.file, self.where)
        if found is None:
            raise SystemExit(f"{self.file} has no row with {dict(self.where)}: run its study first")
        line, row = found
        value = float(row[self.column])
        ends = [float(row[end]) for end in (self.low, self.high) if row.get(end)]
        if self.se:
            half = student.ppf((1 + LEVEL) / 2, int(row[self.runs]) - 1) * float(row[self.se])
            ends = [value - half, value + half]
        interval = " to ".join(f"{end:.{self.digits}f}" for end in ends)
        return [self.text, f"{value:.{self.digits}f}", interval, f"`{self.file}:{line}`, `{self.column}`"]


def recs2015() -> Iterator[Claim]:
    """Implicates of RECS 2015, less R's: fused back onto the donors, and onto the held-out half."""
    measures = {
        ("validate", "est"): "error of subsets' means and shares",
        ("validate", "vad"): "value added over the whole sample's",
        ("validate", "moe"): "relative margin of error, simulated over observed",
        ("score", "energy"): "energy score",
    }
    for sample, name in {"donors": "Donors", "held-out": "Held-out half"}.items():
        for (judge, measure), text in measures.items():
            if judge == "score" and sample == "donors":
                continue
            for way in ("fusionModel", "default"):
                where = {"sample": sample, "judge": judge, "y": "all", "measure": measure, "way": way}
                what = f"{name}, {text}: {WAYS[way]} less R's run"
                yield Claim(what, "recs2015/summary.csv", where, "to_r", 4, "to_r_low", "to_r_high")


def holdout() -> Iterator[Claim]:
    """Prediction of held-out households of RECS 2020, beside peers."""
    file = "holdout/summary.csv"
    peers = ["R fusionModel 2.4.0", "fusionModel", "quantile regression forest", "miceforest PMM"]
    for way in [*peers, "hot deck", "unconditional draw"]:
        where = {"way": way, "measure": "energy"}
        text = f"Energy score: {WAYS.get(way, way)} ÷ the default"
        yield Claim(text, file, where, "to_default", 4, "low_wide", "high_wide")
    text = "True values within the record's own 90 % range: the default (aim .90)"
    yield Claim(text, file, {"way": "default", "measure": "cover90"}, "mean", 4, "", "")


def coverage() -> Iterator[Claim]:
    """90 % margins of domain means, where the truth is known."""
    ways = {
        "effects": "implicates alone",
        "refits, redrawn": "without effects",
        "rectified": "rectified",
        "complete data": "complete data",
    }
    for times in ("1", "10", "100"):
        for way, name in ways.items():
            size = {"population": "embedded", "donors": "1000", "times": times}
            where = {**size, "way": way, "part": "domains"}
            text = f"Margins that hold the truth, {times} × as many recipients as donors: {name} (aim .90)"
            yield Claim(
                text, "coverage/summary.csv", where, "coverage", 3, se="coverage_se", runs="replications"
            )


def speed() -> Iterator[Claim]:
    """CPU time and memory."""
    with (HERE / "speed" / "summary.csv").open(newline="", encoding="utf-8") as file:
        compared = [row for row in csv.DictReader(file) if row["ratio"]]
    for row in compared:
        text = f"CPU time, baseline ÷ fusionpy: {row['task']}; baseline: {row['baseline']}"
        where = {"task": row["task"], "baseline": row["baseline"]}
        yield Claim(text, "speed/summary.csv", where, "ratio", 2)
    for M in ("1", "40"):
        text = f"Peak memory of fuse(), GB: 1,348,408 households, M = {M}"
        yield Claim(text, "benchmarks/fuse.csv", {"piece": "nation", "M": M}, "peak_gb", 2, "", "")


STUDIES = {  # and the commands that make their tables again
    recs2015: "python validation/recs2015/run.py",
    holdout: "python validation/holdout/run.py",
    coverage: "python validation/coverage/run.py",
    speed: "make bench",
}


def made() -> dict[str, str]:
    """Make the page's table; a study that was not run is left out."""
    rows = []
    for study, command in STUDIES.items():
        name = study.__name__
        if (HERE / name / "summary.csv").exists():
            rows += [[name, *claim.row(), f"`{claim.command or command}`"] for claim in study()]
        else:
            print(f"left out: there is no {name}/summary.csv", file=sys.stderr)
    return {"table": table(HEAD, rows)}


if __name__ == "__main__":
    fill(HERE / "README.md", made())
