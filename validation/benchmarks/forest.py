"""Compiled prediction against Booster.predict: every booster of a refit, on real recipients.

    OMP_WAIT_POLICY=passive python validation/benchmarks/forest.py MODEL.fsn [--rows 200000] [--repeats 5]

MODEL is one trained on RECS 2020 as by `fullscale.py`; recipients are the first households of the ACS 2024
(from `../shared`), their fusion variables drawn by `fuse`. All predict the same rows in turn, on one thread
and on two (halves of the rows side by side), each booster alone and the boosters of a step together; `plain`
is the machine that takes over where numba does not compile the other. Predictions are compared bit for bit.
Without OMP_WAIT_POLICY idle threads of LightGBM burn the time that is measured. Prints CPU nanoseconds per
row and tree, medians and spread.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

import fusionpy
from fusionpy.engines.lightgbm import boosting
from fusionpy.engines.lightgbm.trees import trees_of
from fusionpy.frames.tables import as_table
from fusionpy.kernels.forest import cuts_of, encode_columns, grow, predict

SHARED = Path(__file__).resolve().parents[3] / "shared"


def values_of(model: fusionpy.FusionModel, rows: int) -> tuple[list[str], np.ndarray]:
    """Names and values of all columns that boosters see."""
    recipient = pq.read_table(SHARED / "data" / "acs2024_recipient.parquet").slice(0, rows)
    fused = as_table(fusionpy.fuse(recipient, model, seed=1, cores=2, quiet=True))
    x_names, y_names = ([v.name for v in side] for side in (model.schema.x, model.schema.y))
    parts = [(fused, y_names), (as_table(recipient), x_names)]
    return y_names + x_names, np.hstack([model.schema.encode(*part) for part in parts])


def seconds(work: Callable[[], np.ndarray], threads: int = 1) -> tuple[float, float, np.ndarray]:
    """CPU seconds (on one thread its own), seconds by the clock, and what was predicted."""
    used = time.thread_time if threads == 1 else time.process_time
    cpu, clock = used(), time.perf_counter()
    found = work()
    return used() - cpu, time.perf_counter() - clock, found


def main() -> None:
    """Measure everything in turn, print medians and ratios, write a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    model = fusionpy.read_fsn(given.model)
    names, values = values_of(model, given.rows)
    groups: dict[str, list[tuple[str, boosting.Booster, list[int]]]] = {}
    for step in model.steps:
        places = [names.index(name) for name in step.predictors]
        groups["+".join(step.variables)] = [
            (target.name, step.models(0)[target.name], places) for target in step.targets
        ]
    every = [one for group in groups.values() for one in group]
    models = {name: trees_of(booster) for name, booster, _ in every}
    cuts = cuts_of(list(models.values()), [places for *_, places in every])
    codes = encode_columns(values, cuts)
    tasks = {name: [(name, booster, places)] for name, booster, places in every}
    tasks |= {f"step {name}": group for name, group in groups.items()}
    found = []
    with ThreadPoolExecutor(2) as pool:
        for repeat in range(given.repeats):
            found.append(("encode", 1, "forest", repeat, *seconds(lambda: encode_columns(values, cuts))[:2]))
            for task, group in tasks.items():
                forest = grow([models[name] for name, *_ in group], cuts, [places for *_, places in group])
                matrices = [np.ascontiguousarray(values[:, places]) for *_, places in group]
                middle = given.rows // 2
                halves = slice(middle), slice(middle, None)
                parts = [codes[:, half] for half in halves]

                def compiled(threads: int, machine=None, forest=forest, parts=parts) -> np.ndarray:
                    if threads == 1:
                        return predict(forest, codes, machine=machine)
                    return np.vstack(
                        list(pool.map(lambda part: predict(forest, part, machine=machine), parts))
                    )

                def own(threads: int, group=group, matrices=matrices, halves=halves) -> np.ndarray:
                    def part(rows: slice) -> np.ndarray:
                        pairs = zip(group, matrices, strict=True)
                        return np.hstack([boosting.predict(b, matrix[rows]) for (_, b, _), matrix in pairs])

                    return part(slice(None)) if threads == 1 else np.vstack(list(pool.map(part, halves)))

                for threads in (1, 2):
                    works = {"forest": compiled, "plain": partial(compiled, machine="loops"), "lightgbm": own}
                    results = {by: seconds(partial(work, threads), threads) for by, work in works.items()}
                    for by, (cpu, clock, predicted) in results.items():
                        assert np.array_equal(predicted, results["lightgbm"][2]), (
                            f"{task}: predictions differ"
                        )
                        found.append((task, threads, by, repeat, cpu, clock))
            print(f"round {repeat + 1} of {given.repeats}", flush=True)
    table = pd.DataFrame(found, columns=["task", "threads", "by", "repeat", "cpu", "clock"])
    summarise(
        table, {task: sum(len(models[n].n_leaves) for n, *_ in group) for task, group in tasks.items()}, given
    )


def summarise(table: pd.DataFrame, n_trees: dict[str, int], given: argparse.Namespace) -> None:
    """Print and write medians over the rounds."""
    kept = table[table["repeat"] > 0] if given.repeats > 1 else table  # the first compiles
    keys = {"index": ["task", "threads"], "columns": "by", "sort": False}
    middle = kept.pivot_table(values="cpu", aggfunc=["median", "min", "max"], **keys)
    clock = kept.pivot_table(values="clock", aggfunc="median", **keys)
    out = pd.DataFrame({"trees": [n_trees.get(task, 0) for task, _ in middle.index]}, index=middle.index)
    scale = 1e9 / given.rows / out["trees"].replace(0, 1)
    for by in ("forest", "plain", "lightgbm"):
        out[f"{by}_ns"] = middle["median"][by] * scale
        out[f"{by}_spread"] = (middle["max"][by] - middle["min"][by]) * scale
    out["ratio_cpu"] = middle["median"]["lightgbm"] / middle["median"]["forest"]
    out["ratio_clock"] = clock["lightgbm"] / clock["forest"]
    encoding = middle["median"]["forest"]["encode", 1]
    for threads in (1, 2):
        steps = [key for key in middle.index if key[0].startswith("step ") and key[1] == threads]
        total = middle["median"].loc[steps].sum()
        wall = clock.loc[steps].sum()
        trees = sum(n_trees[task] for task, _ in steps)
        for label, more in (("all steps", 0.0), ("all steps and encoding", encoding)):
            out.loc[(label, threads), ["trees", "forest_ns", "plain_ns", "lightgbm_ns", "ratio_cpu"]] = [
                trees,
                (total["forest"] + more) * 1e9 / given.rows / trees,
                (total["plain"] + more) * 1e9 / given.rows / trees,
                total["lightgbm"] * 1e9 / given.rows / trees,
                total["lightgbm"] / (total["forest"] + more),
            ]
        out.loc[("all steps", threads), "ratio_clock"] = wall["lightgbm"] / wall["forest"]
    about = f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()}, {given.rows} rows, {given.repeats} rounds"
    print(f"CPU nanoseconds per row and tree (encode: per row); {about}")
    print(out.round(3).to_string())
    out.reset_index().assign(made=about).to_csv(given.out / "forest.csv", index=False, float_format="%.3f")


if __name__ == "__main__":
    main()
