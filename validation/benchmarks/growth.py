"""How cost grows with the work: train, fuse, analyze and prep_xy on made-up data, one size varied at a time.

    python validation/benchmarks/growth.py [--repeats 3] [--longest 10] [--cores 2] [--out FOLDER] [--draw]

Each size takes its values in turn while the others keep those of `BASE`. Every run is a process of its own; a
point that took more than `--longest` CPU seconds is run once, any other `--repeats` times, in rounds over all
points. Training is without refits, the work of one model, but for one line with 10, the default. What `train`
writes `fuse` reads; it writes a Parquet file, which `analyze` reads.

growth.csv has every point, growth_exponents.csv the slopes of log(cost) on log(size), by least squares, of
CPU seconds, seconds, and the memory taken by the call; ``_last`` is the slope between the last two points,
where fixed costs matter least. growth.png shows them; `--draw` draws growth.csv again.
"""

from __future__ import annotations

import csv
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from itertools import product
from math import exp, log
from pathlib import Path
from typing import Any

from measuring import asked, piece, save, shown, summary

BASE = {"donors": 5_000, "recipients": 50_000, "M": 2, "variables": 3, "predictors": 10}
AXES = {
    "donors": (2_000, 5_000, 15_000, 40_000, 100_000),
    "recipients": (10_000, 50_000, 150_000, 450_000, 1_350_000),
    "M": (1, 2, 6, 16, 40),
    "variables": (1, 3, 6, 12, 20),
    "predictors": (10, 30, 100, 300),
}
SMALL_BASE = {"donors": 300, "recipients": 500, "M": 1, "variables": 1, "predictors": 3}
SMALL_AXES = {"donors": (300, 600), "recipients": (500,), "M": (1, 3), "variables": (1,), "predictors": (3,)}
# Which sizes matter to whom, and to what extent they are tried.
LINES: dict[str, dict[str, float]] = {
    "train": {"donors": 100_000, "variables": 20, "predictors": 300},
    "train:refits": {"donors": 15_000},
    "fuse": {"donors": 100_000, "recipients": 1_350_000, "M": 40, "variables": 20, "predictors": 300},
    "analyze": {"recipients": 1_350_000, "M": 40},
    "prep_xy": {"donors": 100_000, "variables": 20, "predictors": 300},
}
LABELS = {"train:refits": "10 refits"}
# Colour, marker, line: told apart in grey, too.
LOOKS: dict[str, tuple[str, str, Any]] = {
    "train": ("#000000", "o", "-"),
    "train:refits": ("#000000", "s", (0, (1, 1))),
    "fuse": ("#d55e00", "^", "-"),
    "analyze": ("#009e73", "v", (0, (5, 1.5))),
    "prep_xy": ("#0072b2", "D", (0, (3, 1, 1, 1))),
}
GIGABYTES = (0.25, 0.3, 0.4, 0.5, 0.7, 1, 1.4, 2, 3, 4, 6, 8, 16)  # ticks
COSTS = ("cpu", "seconds", "above_gb")
CAPTION = (
    "Numbers: cost grows as size to that power (least squares over all points, fixed costs included). Others:"
)
GROUPS = [f"group {g}" for g in range(12)]


def survey(n: int, predictors: int, variables: int, seed: int) -> Any:
    """Simulate a survey: predictors that share factors, and variables that depend on a few of them.

    Of three variables in a row one is numerical, one has four categories, one is zero for half of the
    records. Of five predictors three are numerical, one has six categories, one is logical.
    """
    import numpy as np
    import pandas as pd

    same, own = np.random.default_rng(1), np.random.default_rng(seed)
    factors = own.standard_normal((n, 3))
    columns: dict[str, Any] = {"weight": own.gamma(3, 100, n), "group": own.integers(0, len(GROUPS), n)}
    columns["group"] = pd.Categorical.from_codes(columns["group"], GROUPS)
    for j in range(predictors):
        v = factors[:, j % 3] * 0.8 + own.standard_normal(n)
        if j % 5 == 3:
            v = pd.Categorical.from_codes(np.clip(np.floor(v + 3), 0, 5).astype(int), list("abcdef"))
        elif j % 5 == 4:
            v = v > 0.4
        columns[f"x{j}"] = v.round(2) if j % 5 < 3 else v
    for k in range(variables):
        v = (
            factors @ same.standard_normal(3)
            + 0.5 * np.maximum(factors[:, k % 3], 0)
            + own.standard_normal(n)
        )
        if k % 3 == 1:
            v = pd.Categorical.from_codes(np.digitize(v, [-1, 0.3, 1.8]), ["p", "q", "r", "s"])
        elif k % 3 == 2:
            v = np.where(v > 0, np.exp(v).round(2), 0.0)
        columns[f"y{k}"] = v.round(2) if k % 3 == 0 else v
    return pd.DataFrame(columns)


def names(letter: str, n: int) -> list[str]:
    return [f"{letter}{k}" for k in range(n)]


def model_file(folder: str, donors: int, variables: int, predictors: int, **_: Any) -> str:
    return f"{folder}/{donors}_{variables}_{predictors}.fsn"


def fused_file(folder: str, **case: int) -> str:
    return f"{folder}/{'_'.join(str(case[size]) for size in BASE)}.parquet"


def train(clock: Any, *, variant: str = "", folder: str, cores: int, **case: int) -> dict[str, float]:
    import fusionpy

    y, x = names("y", case["variables"]), names("x", case["predictors"])
    data = survey(case["donors"], case["predictors"], case["variables"], 2)
    how = {"weight": "weight", "refits": 10 if variant else 0, "cores": cores, "seed": 1, "quiet": True}
    few = {"num_iterations": 3, "min_data_in_leaf": 20}
    fusionpy.train(
        data.head(300), y[:3], x[:5], hyper=few, **{**how, "refits": 1 if variant else 0}
    )  # compiled
    path = f"{folder}/refits.fsn" if variant else model_file(folder, **case)
    with clock:
        fusionpy.train(data, y, x, fsn=path, **how)
    with zipfile.ZipFile(path) as archive:
        texts = [archive.read(name) for name in archive.namelist() if name.endswith(".txt")]
    return {"trees": float(sum(text.count(b"\nTree=") for text in texts))}


def fuse(clock: Any, *, folder: str, cores: int, **case: int) -> None:
    import fusionpy

    data = survey(case["recipients"], case["predictors"], 0, 3)
    model, path = model_file(folder, **case), fused_file(folder, **case)
    how = {"M": case["M"], "cores": cores, "seed": 1, "quiet": True}
    fusionpy.fuse(data.head(500), model, f"{folder}/few.parquet", **how)  # compiled
    with clock:
        fusionpy.fuse(data, model, path, **how)


def analyze(clock: Any, *, folder: str, cores: int, **case: int) -> None:
    import fusionpy

    static = survey(case["recipients"], 0, 0, 3)
    how: dict[str, Any] = {"weight": "weight", "by": "group", "cores": cores, "quiet": True}
    few = static.head(50).assign(M=1, y0=1.0)
    fusionpy.analyze("mean(y0)", few, **how)  # compiled
    with clock:
        fusionpy.analyze("mean(y0)", fused_file(folder, **case), static=static, **how)


def prep_xy(clock: Any, *, folder: str, cores: int, **case: int) -> None:
    import fusionpy

    y, x = names("y", case["variables"]), names("x", case["predictors"])
    data = survey(case["donors"], case["predictors"], case["variables"], 2)
    how: dict[str, Any] = {"weight": "weight", "cores": cores, "seed": 1, "quiet": True}
    fusionpy.prep_xy(data.head(300), y[:2], x[:5], **how)  # compiled
    with clock:
        fusionpy.prep_xy(data, y, x, **how)


def points(
    base: Mapping[str, int], axes: Mapping[str, Sequence[int]]
) -> list[tuple[str, str, dict[str, int]]]:
    """List what is tried: line, axis, sizes; training before fusing, which is before analysing."""
    return [
        (line, axis, {**base, axis: size})
        for line, most in LINES.items()
        for axis, limit in most.items()
        for size in axes[axis]
        if size <= limit and len(axes[axis]) > 1
    ]


def exponents(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Fit the slopes of every line along every axis."""
    found = []
    for line, axis in dict.fromkeys((row["piece"], row["axis"]) for row in rows):
        along = [row for row in rows if (row["piece"], row["axis"]) == (line, axis)]
        sizes = [log(row[axis]) for row in along]
        entry = {
            "piece": line,
            "axis": axis,
            "from": along[0][axis],
            "to": along[-1][axis],
            "points": len(along),
        }
        for cost in COSTS:
            if not all(row.get(cost) for row in along):
                continue
            costs = [log(row[cost]) for row in along]
            entry |= {cost: slope(sizes, costs), f"{cost}_last": slope(sizes[-2:], costs[-2:])}
        found.append(entry)
    return found


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Give the least-squares slope of y on x."""
    middle = sum(x) / len(x)
    return sum((a - middle) * b for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)


def draw(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Draw CPU seconds and peak memory against every size, on logarithmic scales, lines labelled directly."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams |= {"font.size": 8}
    import matplotlib.pyplot as plt

    slopes = {(entry["piece"], entry["axis"]): f" {entry['cpu']:.2f}" for entry in exponents(rows)}
    axes = list(dict.fromkeys(row["axis"] for row in rows))
    figure, panels = plt.subplots(2, len(axes), figsize=(12.5, 6.2), sharey="row", squeeze=False)
    for (number, cost), column in product(enumerate(("cpu", "peak_gb")), range(len(axes))):
        axis, panel = axes[column], panels[number, column]
        along = {
            line: ([row[axis] for row in on], [row[cost] for row in on])
            for line in LOOKS
            if (on := [row for row in rows if (row["piece"], row["axis"]) == (line, axis)])
        }
        for line, (x, y) in along.items():
            colour, marker, dashes = LOOKS[line]
            panel.plot(x, y, color=colour, marker=marker, linestyle=dashes, linewidth=1.2, markersize=4)
        ticks = sorted({size for x, _ in along.values() for size in x})
        panel.set(
            xscale="log", yscale="log", xlim=(ticks[0] / 1.2, ticks[-1] * (ticks[-1] / ticks[0]) ** 0.58)
        )
        panel.set_xticks(ticks, [written(size) for size in ticks])
        panel.tick_params(axis="x", labelsize=7)
        panel.minorticks_off()
        panel.spines[["top", "right"]].set_visible(False)
        if number == 0:
            panel.set_title(axis, loc="left", fontweight="bold")
    panels[0, 0].set_ylabel("CPU seconds")
    panels[1, 0].set_ylabel("peak resident memory, GB")
    limits = panels[1, 0].get_ylim()
    ticks = [tick for tick in GIGABYTES if limits[0] < tick < limits[1]]
    panels[1, 0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    panels[1, 0].set_ylim(limits)
    panels[0, 0].yaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
    others = ", ".join(f"M = {size}" if name == "M" else f"{size:,} {name}" for name, size in BASE.items())
    figure.text(0.01, 0.01, f"{CAPTION} {others}.", color="#444444")
    figure.tight_layout(rect=(0, 0.035, 1, 1), w_pad=0.6)
    for (number, cost), column in product(enumerate(("cpu", "peak_gb")), range(len(axes))):
        label(panels[number, column], [row for row in rows if row["axis"] == axes[column]], cost, slopes)
    figure.savefig(folder / "growth.png", dpi=150)


def label(
    panel: Any, rows: Sequence[Mapping[str, Any]], cost: str, slopes: Mapping[tuple[str, str], str]
) -> None:
    """Write each line's name at its end, and its exponent, labels of the same end apart from each other."""
    ends = {row["piece"]: (row[row["axis"]], row[cost], slopes[row["piece"], row["axis"]]) for row in rows}
    low, high = (log(limit) for limit in panel.get_ylim())
    closest, lowest = 0.062 * (high - low), low
    longest = max(x for x, *_ in ends.values())
    for line, (x, y, exponent) in sorted(ends.items(), key=lambda end: end[1][1]):
        how: dict[str, Any] = {"textcoords": "offset points", "color": LOOKS[line][0]}
        text = LABELS.get(line, line) + (exponent if cost == "cpu" else "")
        if x < longest:  # above the end of a line that others pass
            panel.annotate(text, (x, y), (0, 5), ha="center", va="bottom", **how)
            continue
        height = max(log(y), lowest)
        lowest = height + closest
        panel.annotate(text, (x, exp(height)), (5, 0), va="center", **how)


def written(size: int) -> str:
    """Write a size in short: 50k, 1.35M."""
    if size >= 1_000_000:
        return f"{size / 1e6:g}M"
    return f"{size / 1e3:g}k" if size >= 1_000 else str(size)


def read(path: Path) -> list[dict[str, Any]]:
    """Read growth.csv again."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    words = ("piece", "axis")
    return [
        {k: v if k in words else float(v) if "." in v or "e" in v else int(v or 0) for k, v in row.items()}
        for row in rows
    ]


def main() -> None:
    """Run all points in rounds, fit, save and draw."""
    given = asked(__doc__, longest=10.0, draw=False)
    if given.draw:
        draw(read(given.out / "growth.csv"), given.out)
        return
    base, axes = (SMALL_BASE, SMALL_AXES) if given.small else (BASE, AXES)
    if given.small:
        given.repeats = 1
    wanted = points(base, axes)
    tried = {(line, *case.values()): (line, case) for line, _, case in wanted}
    runs: list[dict[str, Any]] = []
    slow: set[tuple[Any, ...]] = set()
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(given.repeats):
            for key, (line, case) in tried.items():
                if key in slow:
                    continue
                runs.append(
                    {**piece(__file__, line, {"folder": folder, "cores": given.cores, **case}), "round": turn}
                )
                shown(runs[-1])
                if runs[-1]["cpu"] > given.longest:
                    slow.add(key)
    found = {(row["piece"], *(row[size] for size in BASE)): row for row in summary(runs, by=list(BASE))}
    rows = [{"axis": axis, **found[line, *case.values()]} for line, axis, case in wanted]
    save("growth", rows, given)
    save("growth_exponents", exponents(rows), given)
    draw(rows, given.out)


if __name__ == "__main__":
    main()
