"""Speed: the table and the figure of this page, from the tables of validation/benchmarks.

    python validation/speed/run.py

Measures nothing itself: `make bench` does. Reads what that left, writes summary.csv, speed.png and the
table in README.md. What R's fusionModel takes is cited, not measured here.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from pages import BLACK, BLUE, GREY, VERMILION, fill, find_row, save_figure, table

HERE = Path(__file__).resolve().parent
# Cited from the project's brief (issue 6, speed and scale): on a machine like this one, two cores.
R_TRAIN = {"seconds": 10.8, "cpu": 13.5}  # 14,796 donors of RECS 2020, 8 variables, no refits
R_FUSE = {"cpu": 48.5}  # one implicate of 1,348,408 households, 43 to 50 s by the clock
R_GB = 1.1  # of memory, more for each implicate
R = "fusionModel 2.4.0 (cited)"


@dataclass(frozen=True)
class Task:
    """A piece of work: where our row is, and the baseline's (or its numbers, if they are cited)."""

    name: str
    file: str  # of validation/
    ours: Mapping[str, str]
    baseline: str = ""
    theirs: Mapping[str, str] = field(default_factory=dict)
    cited: Mapping[str, float] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)  # other names of seconds, cpu, peak_gb


TASKS = [
    Task(
        "train, 18,496 donors, 8 variables, 2 refits",
        "benchmarks/train.csv",
        {"piece": "ours", "small": "False"},
        "the same models by LightGBM in one thread",
        {"piece": "loop:one", "small": "False"},
    ),
    Task(
        "train, 18,496 donors, 8 variables, 2 refits",
        "benchmarks/train.csv",
        {"piece": "ours", "small": "False"},
        "the same models by LightGBM in two threads, as it comes",
        {"piece": "loop:spin", "small": "False"},
    ),
    Task(
        'train(method="fusionModel"), 14,796 donors, 8 variables',
        "holdout/summary.csv",
        {"way": "fusionModel", "measure": "train_seconds"},
        R,
        cited=R_TRAIN,
        columns={"cpu": "mean"},
    ),
    Task(
        "train(), default (10 refits), 14,796 donors, 8 variables",
        "holdout/summary.csv",
        {"way": "default", "measure": "train_seconds"},
        R + ", which has no refits",
        cited=R_TRAIN,
        columns={"cpu": "mean"},
    ),
    Task(
        "`fusionpy train` as a command, 18,496 donors, 8 variables, default (10 refits)",
        "benchmarks/fullscale.csv",
        {"survey": "train", "piece": "today"},
    ),
    Task(
        "train, 100,000 donors, 40 predictors, 10 variables, 1 refit",
        "benchmarks/train_large.csv",
        {"refits": "1"},
    ),
    Task(
        "fuse 8 variables to 1,348,408 households, one implicate",
        "benchmarks/fuse.csv",
        {"piece": "nation", "M": "1"},
        R,
        cited=R_FUSE,
    ),
    Task(
        "fuse 8 variables to 1,348,408 households, each of 40 implicates",
        "benchmarks/fuse.csv",
        {"piece": "nation", "M": "40"},
        R,
        cited=R_FUSE,
        columns={"cpu": "cpu_per_implicate"},
    ),
    Task(
        "`fusionpy fuse` as a command, the same 40 implicates, model and survey read from files",
        "benchmarks/fullscale.csv",
        {"survey": "nation, paper's M", "piece": "today"},
    ),
    Task(
        "fuse to 200,000 households, one implicate",
        "benchmarks/fuse.csv",
        {"piece": "by_forest"},
        "the same with `Booster.predict`",
        {"piece": "by_lightgbm"},
    ),
    Task(
        'fuse to 20,000,000 recipients, `memory="200MB"`',
        "benchmarks/fuse.csv",
        {"piece": "larger_than_memory"},
    ),
    Task(
        "analyze 54 million rows from a file: means of 204 groups",
        "benchmarks/analyze.csv",
        {"piece": "by_fusionpy", "source": "file"},
        "pandas `groupby`",
        {"piece": "by_pandas", "source": "file"},
    ),
    Task(
        "prep_xy, 20,000 donors, 300 predictors, 40 variables",
        "benchmarks/prep_xy.csv",
        {"piece": "by_fusionpy", "baseline": "by_sklearn:gram"},
        "its LASSO paths by scikit-learn (a sample of them, scaled up)",
        {"piece": "by_sklearn:gram"},
    ),
    Task(
        "read an fst file of 5 million rows, 6 columns",
        "benchmarks/fst.csv",
        {"piece": "read:fst_50"},
        "pyarrow, the same rows as Parquet (zstd)",
        {"piece": "read:parquet_zstd"},
    ),
    Task(
        "fuse() called from R, 1,348,408 recipients, a small model",
        "benchmarks/r_bridge.csv",
        {"what": "fuse", "piece": "from_r"},
        "called from Python",
        {"what": "fuse", "piece": "from_python"},
    ),
]
COLUMNS = ["task", "seconds", "cpu", "baseline", "baseline_seconds", "baseline_cpu", "ratio", "low", "high"]
COLUMNS += ["clock_ratio", "peak_gb", "baseline_peak_gb", "load", "processor", "cores", "date", "command"]
COLUMNS += ["source", "line"]


def number(row: Mapping[str, str], column: str) -> float | None:
    """Give a number of a row, if it is there."""
    return float(row[column]) if row.get(column) else None


def collect(validation: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Give a row for each task, and the tasks whose rows are not there."""
    rows, missing = [], []
    made = json.loads((validation / "benchmarks" / "made.json").read_text(encoding="utf-8"))
    for task in TASKS:
        file = validation / task.file
        ours = find_row(file, task.ours) if file.exists() else None
        theirs = find_row(file, task.theirs) if ours and task.theirs else None
        if ours is None or (task.theirs and theirs is None):
            missing.append(f"{task.name} ({task.file})")
            continue
        rows.append(as_row(task, ours, theirs[1] if theirs else None, made))
    return rows, missing


def as_row(
    task: Task, ours: tuple[int, dict[str, str]], theirs: dict[str, str] | None, made: dict[str, Any]
) -> dict[str, Any]:
    """Lay out one task: ours, the baseline, and how many times as much CPU time that takes."""
    line, own = ours
    names = {column: task.columns.get(column, column) for column in ("seconds", "cpu", "peak_gb")}
    row: dict[str, Any] = {"task": task.name, "baseline": task.baseline}
    row |= {column: number(own, name) for column, name in names.items()} | {"load": number(own, "load")}
    if task.columns:
        row["seconds"] = None  # of the whole, not of this part
    other: Mapping[str, Any] = task.cited
    if theirs is not None:
        other = {column: number(theirs, column) for column in ("seconds", "cpu", "peak_gb")}
        row |= {"low": number(own, "cpu_ratio_min"), "high": number(own, "cpu_ratio_max")}
        if row["low"] is None:  # not paired by rounds: the least and the most that they leave possible
            few, many = ("cpu_min", "cpu_max"), ("cpu_max", "cpu_min")
            ends = {"low": few, "high": many}
            row |= {end: number(theirs, a) / number(own, b) for end, (a, b) in ends.items()}
    row |= {f"baseline_{column}": other.get(column) for column in names}
    if other:
        row["ratio"] = number(own, "cpu_ratio") if theirs else None  # median of the rounds
        row["ratio"] = row["ratio"] or other["cpu"] / row["cpu"]
        if other.get("seconds") and row["seconds"]:
            row["clock_ratio"] = other["seconds"] / row["seconds"]
    study, name = Path(task.file).parent.name, Path(task.file).stem
    about = made.get(name, {}) if study == "benchmarks" else {}
    row |= {key: about.get(key) for key in ("processor", "cores")} | {"date": about.get("date", "")[:10]}
    command = f"make bench ONLY={name}" if study == "benchmarks" else f"python validation/{study}/run.py"
    return row | {"command": command, "source": task.file, "line": line}


def shown(value: float | None) -> str:
    """Give three digits, or two of what is small."""
    if value is None:
        return ""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def page(rows: list[dict[str, Any]]) -> str:
    """Make the page's table."""

    def pair(row: Mapping[str, Any], before: str) -> str:
        cpu, seconds = shown(row.get(f"{before}cpu")), shown(row.get(f"{before}seconds"))
        return f"{cpu} ({seconds})" if seconds else cpu

    lines = []
    for row in rows:
        ratio = shown(row.get("ratio"))
        if row.get("low"):
            ratio += f" ({shown(row['low'])} to {shown(row['high'])})"
        memory = shown(row["peak_gb"])
        if memory and row.get("baseline_peak_gb"):
            memory += f" ({shown(row['baseline_peak_gb'])})"
        where = f"{row['processor'] or ''}, {row['cores']} cores, {row['date']}" if row["date"] else ""
        lines.append(
            [
                row["task"],
                pair(row, ""),
                row["baseline"],
                pair(row, "baseline_"),
                f"**{ratio}**" if ratio else "",
                shown(row.get("clock_ratio")),
                memory,
                shown(row["load"]),
                where,
                f"`{row['command']}`",
                f"`{row['source']}:{row['line']}`",
            ]
        )
    head = ["task", "CPU s (by the clock)", "baseline", "CPU s (by the clock)", "ratio of CPU time"]
    head += ["by the clock", "peak memory, GB", "load", "machine, date", "command", "file:line"]
    return table(head, lines)


def draw(rows: list[dict[str, Any]], validation: Path) -> Any:
    """Draw how many times as long the baselines take, and how memory grows with M."""
    import matplotlib.pyplot as plt

    compared = [row for row in rows if row.get("ratio")]
    size = (11, 1.6 + 0.5 * len(compared))
    figure, (left, right) = plt.subplots(1, 2, figsize=size, width_ratios=[1.25, 1])
    for place, row in enumerate(compared):
        cited = row["baseline"].startswith(R)
        colour = GREY if cited else BLUE
        left.barh(
            place,
            row["ratio"] - 1,
            left=1,
            color=colour,
            height=0.62,
            hatch="//" if cited else None,
            ec="white",
        )
        if row.get("low"):
            left.plot([row["low"], row["high"]], [place, place], color=BLACK, lw=1.2)
        end = max(row["ratio"], row.get("high") or 0, 1)
        left.text(end * 1.08, place, f"{shown(row['ratio'])} ×", va="center", fontsize=9)
    left.invert_yaxis()
    left.set_xscale("log")
    left.set_xlim(0.2, 120)
    left.set_xticks([0.25, 0.5, 1, 2, 5, 10, 20, 50], ["¼", "½", "1", "2", "5", "10", "20", "50"])
    left.axvline(1, color=BLACK, lw=0.8)
    labels = [f"{row['task'].split(':')[0]}\nagainst {row['baseline'].split(',')[0]}" for row in compared]
    left.set_yticks(range(len(compared)), [label.replace("`", "") for label in labels], fontsize=8)
    left.set_title("CPU time of the baseline ÷ fusionpy’s", fontsize=10, fontweight="bold", loc="left")
    left.set_xlabel("to the right of 1: fusionpy takes less", fontsize=9)
    with (validation / "benchmarks" / "fuse.csv").open(newline="", encoding="utf-8") as file:
        nation = [row for row in csv.DictReader(file) if row["piece"] == "nation"]
    M, memory = [int(row["M"]) for row in nation], [float(row["peak_gb"]) for row in nation]
    right.plot([1, 40], [R_GB, 40 * R_GB], color=VERMILION, ls=(0, (4, 2)))
    right.text(
        0.82,
        13,
        "fusionModel 2.4.0:\n1.1 GB more for each\nimplicate (cited)",
        color=VERMILION,
        fontsize=9,
        ha="left",
        va="bottom",
    )
    right.plot(M, memory, color=BLUE, marker="o")
    for m, gb in zip(M, memory, strict=True):
        right.text(m, gb * 1.15, f"{gb:.2f}", color=BLUE, ha="center", fontsize=9)
    right.text(6, memory[0] * 0.62, "fusionpy, measured", color=BLUE, ha="center")
    right.set_xscale("log")
    right.set_yscale("log")
    right.set_xticks([1, 5, 10, 20, 40], ["1", "5", "10", "20", "40"])
    right.set_yticks([0.3, 1, 3, 10, 30], ["0.3", "1", "3", "10", "30"])
    right.set_ylim(0.25, 60)
    right.set_xlim(0.75, 53)
    right.minorticks_off()
    left.minorticks_off()
    right.set_xlabel("implicates M, of 1,348,408 households", fontsize=9)
    right.set_title("Peak memory of fuse(), GB", fontsize=10, fontweight="bold", loc="left")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_axisbelow(True)
        axis.grid(color="#e4e4e4", lw=0.6, axis="x" if axis is left else "both")
    figure.tight_layout()
    return figure


def main() -> None:
    """Make the page's table and figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE)
    out = parser.parse_args().out.resolve()
    rows, missing = collect(HERE.parent)
    with (out / "summary.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: f"{v:.4g}" if isinstance(v, float) else v for key, v in row.items()})
    save_figure(draw(rows, HERE.parent), out / "speed")
    if out == HERE:
        fill(HERE / "README.md", {"table": page(rows)})
    for task in missing:
        print(f"not there: {task}", file=sys.stderr)


if __name__ == "__main__":
    main()
