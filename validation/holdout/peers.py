"""The other methods of the held-out study; run by `run.py`, in an environment that has `requirements.txt`.

    python peers.py FOLDER           # task.json, donor.parquet, recipient.parquet -> implicates.parquet
    python peers.py --tune FOLDER    # choose parameters on the donors, write tuned.json

The recipients come without the fused variables. Each method is a function that fits and returns a function
that draws implicates, one frame after another.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

HERE = Path(__file__).resolve().parent
N_NEAREST = 10  # of the hot deck
N_TREES = 200
GRID = {"min_samples_leaf": [2, 5, 10, 20, 40], "max_features": [1 / 3, 1.0]}


@dataclass(frozen=True)
class Task:
    """Donors, and how to draw."""

    donor: pd.DataFrame
    y: list[str]
    x: list[str]
    weight: str
    M: int
    seed: int
    cores: int

    @property
    def w(self) -> np.ndarray:
        """Survey weights of the donors, mean 1."""
        values = self.donor[self.weight].to_numpy(float)
        return values / values.mean()


Draw = Callable[[pd.DataFrame], Iterator[pd.DataFrame]]


def is_class(values: pd.Series) -> bool:
    """Whether a variable has classes: categories, or true and false."""
    return isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == bool


def columns_of(frame: pd.DataFrame, nominal_scale: bool = False) -> np.ndarray:
    """Code predictors as numbers: ordered levels by rank, others as dummies, true and false as 1 and 0.

    With `nominal_scale`, numbers are in standard deviations, and the dummies of a variable are scaled so that
    their variances add up to 1; the caller hands over donors and recipients together.
    """
    out = []
    for name in frame:
        values = frame[name]
        if isinstance(values.dtype, pd.CategoricalDtype) and not values.cat.ordered:
            part = pd.get_dummies(values).to_numpy(float)
        elif isinstance(values.dtype, pd.CategoricalDtype):
            part = values.cat.codes.to_numpy(float)[:, None]
        else:
            part = values.to_numpy(float)[:, None]
        out.append(part / np.sqrt(part.var(axis=0).sum()) if nominal_scale else part)
    return np.hstack(out)


# Whole records -------------------------------------------------------------------------------------------


def unconditional(task: Task) -> Draw:
    """Draw whole donors by weight, whatever x."""
    share = task.w / task.w.sum()

    def draw(recipient: pd.DataFrame) -> Iterator[pd.DataFrame]:
        rng = np.random.default_rng(task.seed)
        for _ in range(task.M):
            rows = rng.choice(len(share), len(recipient), p=share)
            yield task.donor[task.y].iloc[rows]

    return draw


def hot_deck(task: Task) -> Draw:
    """Draw one of the 10 donors nearest on x by weight, and take its whole record."""

    def draw(recipient: pd.DataFrame) -> Iterator[pd.DataFrame]:
        rng = np.random.default_rng(task.seed)
        n = len(task.donor)
        both = columns_of(pd.concat([task.donor[task.x], recipient[task.x]]), nominal_scale=True)
        both += rng.normal(scale=1e-6, size=both.shape)  # ties are broken at random
        _, near = cKDTree(both[:n]).query(both[n:], k=N_NEAREST, workers=task.cores)
        reached = np.cumsum(task.w[near], axis=1)
        for _ in range(task.M):
            u = rng.random(len(recipient)) * reached[:, -1]
            pick = (reached <= u[:, None]).sum(axis=1)
            yield task.donor[task.y].iloc[near[np.arange(len(near)), pick]]

    return draw


# Forests -------------------------------------------------------------------------------------------------


def forests(task: Task) -> Draw:
    """Quantile regression forests for numbers, random forests for classes, each given those before.

    A number is drawn by inverting the forest's weighted distribution function at a uniform: that is a tree
    chosen at random, then a donor from the leaf that the recipient falls into, by weight. quantile-forest 1.4
    weights the splits alone and takes the donors of a leaf as equal; 1.5 weights both, as is done here.
    """
    tuned = json.loads((HERE / "tuned.json").read_text())
    models = [
        fit_forest(task, k, task.donor, task.w, {**tuned[name], "n_estimators": N_TREES})
        for k, name in enumerate(task.y)
    ]

    def draw(recipient: pd.DataFrame) -> Iterator[pd.DataFrame]:
        rng = np.random.default_rng(task.seed)
        for _ in range(task.M):
            known = recipient[task.x].copy()
            for name, (model, leaves) in zip(task.y, models, strict=True):
                matrix = columns_of(known)
                like = task.donor[name]
                if is_class(like):
                    known[name] = draw_class(model.predict_proba(matrix), model.classes_, like, rng)
                else:
                    rows = draw_from_leaves(leaves, model.apply(matrix), task.w, rng)
                    known[name] = like.to_numpy()[rows]
            yield known[task.y]

    return draw


def fit_forest(
    task: Task, k: int, donor: pd.DataFrame, w: np.ndarray, parameters: dict[str, Any]
) -> tuple[Any, np.ndarray]:
    """Fit the forest of one variable given those before; return it, and the leaves that the donors are in."""
    from quantile_forest import RandomForestQuantileRegressor
    from sklearn.ensemble import RandomForestClassifier

    how = {**parameters, "random_state": 1000 * task.seed + k, "n_jobs": task.cores}
    matrix = columns_of(donor[task.x + task.y[:k]])
    values = donor[task.y[k]]
    if is_class(values):
        forest = RandomForestClassifier(**how).fit(matrix, values.astype(str), sample_weight=w)
    else:
        forest = RandomForestQuantileRegressor(**how).fit(matrix, values.to_numpy(float), sample_weight=w)
    return forest, forest.apply(matrix)


def draw_class(
    probability: np.ndarray, classes: np.ndarray, like: pd.Series, rng: np.random.Generator
) -> Any:
    """Draw classes by their probabilities, as a column like the donors' one."""
    reached = np.cumsum(probability, axis=1)
    u = rng.random(len(reached)) * reached[:, -1]
    drawn = np.asarray(classes).astype(str)[(reached <= u[:, None]).sum(axis=1)]
    return drawn == "True" if like.dtype == bool else pd.Categorical(drawn, dtype=like.dtype)


def draw_from_leaves(
    leaves: np.ndarray, reached: np.ndarray, w: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw a tree for each recipient, and one of the donors in its leaf by weight: rows of donors."""
    n_trees = leaves.shape[1]
    tree = rng.integers(0, n_trees, len(reached))
    u = rng.random(len(reached))
    out = np.empty(len(reached), dtype=np.intp)
    for t in range(n_trees):
        rows = np.flatnonzero(tree == t)
        order = np.argsort(leaves[:, t], kind="stable")
        total = np.concatenate([[0.0], np.cumsum(w[order])])
        first, last = (
            np.searchsorted(leaves[order, t], reached[rows, t], side) for side in ("left", "right")
        )
        goal = total[first] + u[rows] * (total[last] - total[first])
        out[rows] = order[np.clip(np.searchsorted(total, goal, "right") - 1, first, last - 1)]
    return out


def tune_forests(task: Task) -> dict[str, dict[str, float]]:
    """Choose leaf size and features of a split for each variable, on a quarter of the donors held out."""
    rng = np.random.default_rng(task.seed)
    held = rng.permutation(len(task.donor)) < len(task.donor) // 4
    rest, others = task.donor[~held], task.donor[held]
    chosen = {}
    for k, name in enumerate(task.y):
        matrix, losses = columns_of(others[task.x + task.y[:k]]), {}
        for leaf in GRID["min_samples_leaf"]:
            for features in GRID["max_features"]:
                how = {"min_samples_leaf": leaf, "max_features": features}
                forest, leaves = fit_forest(task, k, rest, task.w[~held], {**how, "n_estimators": 100})
                if is_class(others[name]):
                    true = others[name].astype(str).to_numpy()[:, None] == forest.classes_
                    loss = ((forest.predict_proba(matrix) - true) ** 2).sum(axis=1)
                else:
                    into = forest.apply(matrix)
                    rows = [draw_from_leaves(leaves, into, task.w[~held], rng) for _ in range(20)]
                    loss = crps(
                        rest[name].to_numpy(float)[np.stack(rows, axis=1)], others[name].to_numpy(float)
                    )
                losses[leaf, features] = float(np.average(loss, weights=task.w[held]))
                print(f"{name}: {how} {losses[leaf, features]:.5f}", flush=True)
        leaf, features = min(losses, key=losses.__getitem__)
        chosen[name] = {"min_samples_leaf": leaf, "max_features": features}
    return chosen


def crps(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Fair continuous ranked probability score of (n, M) draws."""
    M = draws.shape[1]
    spread = np.sort(draws, axis=1) @ (2.0 * np.arange(1, M + 1) - M - 1) / (M * (M - 1))
    return np.abs(draws - truth[:, None]).mean(axis=1) - spread


def microimpute(task: Task) -> Draw:
    """Use the QRF of microimpute with its defaults."""
    return draw_by_microimpute(task, {})


def microimpute_tuned(task: Task) -> Draw:
    """Use the QRF of microimpute with the leaf sizes and features that `tune_forests` chose."""
    return draw_by_microimpute(task, json.loads((HERE / "tuned.json").read_text()))


def draw_by_microimpute(task: Task, parameters: dict[str, Any]) -> Draw:
    """Impute one variable after the other, by microimpute's public interface.

    Asked for several variables at once, it takes the most probable class in every draw, and hands that on to
    the next variable. So it is asked for one at a time, and classes are drawn by the probabilities it gives.
    """
    from microimpute.models import QRF

    models = []
    for k, name in enumerate(task.y):
        x = task.x + task.y[:k]
        how = {**parameters.get(name, {}), "n_jobs": task.cores}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = QRF(seed=1000 * task.seed + k, log_level="ERROR").fit(
                plain(task.donor[[*x, name, task.weight]]), x, [name], weight_col=task.weight, **how
            )
        models.append(model)

    def draw(recipient: pd.DataFrame) -> Iterator[pd.DataFrame]:
        rng = np.random.default_rng(task.seed)
        for _ in range(task.M):
            known = recipient[task.x].copy()
            for k, (name, model) in enumerate(zip(task.y, models, strict=True)):
                like = task.donor[name]
                found = model.predict(plain(known[task.x + task.y[:k]]), return_probs=True)
                if isinstance(found, dict):
                    about = found["probabilities"][name]
                    known[name] = draw_class(about["probabilities"], about["classes"], like, rng)
                else:
                    values = found[name].to_numpy(float)  # interpolated between the donors'
                    known[name] = np.rint(values).astype(int) if like.dtype.kind == "i" else values
            yield known[task.y]

    return draw


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Categories as text, which microimpute takes."""
    return frame.astype(
        {name: object for name in frame if isinstance(frame[name].dtype, pd.CategoricalDtype)}
    )


# Predictive mean matching --------------------------------------------------------------------------------


def miceforest(task: Task) -> Draw:
    """Match the expectations of each variable, given those before, to the donors' by miceforest.

    Numbers are those of one of the 5 donors whose expectation is nearest, classes are drawn by their
    probabilities (the strategy "fast"; "normal" stops at probabilities of 0). The donors have no missing
    values, so more datasets or iterations would train the same models again: one of each is enough, and every
    implicate is another draw from it. It takes no survey weights.

    It is asked for one variable at a time: in new data, version 6.0.5 predicts every variable from the random
    values that it began with, not from those that it drew for the variables before. For the same reason its
    draws are those of iteration 1; without being told, `complete_data` gives the random values. Draws come
    from the kernel's random state; the one given to `impute_new_data` is that of the random values alone.
    """
    tuned = json.loads((HERE / "tuned.json").read_text())["miceforest"]
    kernels = []
    for k, name in enumerate(task.y):
        kernel = mice_kernel(task, task.y[: k + 1], [name], seed=1000 * task.seed + k)
        kernel.mice(1, variable_parameters={name: tuned[name]}, num_threads=task.cores)
        kernels.append(kernel)

    def draw(recipient: pd.DataFrame) -> Iterator[pd.DataFrame]:
        for m in range(task.M):
            known = for_mice(recipient[task.x])
            for name, kernel in zip(task.y, kernels, strict=True):
                dtype = kernel.working_data[name].dtype
                known[name] = pd.Series(np.nan, index=known.index).astype(dtype)
                found = kernel.impute_new_data(known, iterations=1, random_state=m)
                known[name] = found.complete_data(0, iteration=1)[name]
            yield pd.DataFrame({name: like_donors(known[name], task.donor[name]) for name in task.y})

    return draw


def mice_kernel(task: Task, y: list[str], trained: list[str], seed: int) -> Any:
    """Give miceforest the donors, and for each variable its predictors: x and the variables before it.

    One more row, without y, makes it count the rows of each variable in numbers that are large enough: where
    nothing is missing, version 6.0.5 counts in eight bits, and trains on the first 256 rows over and over.
    """
    from miceforest import ImputationKernel

    donor = for_mice(task.donor[task.x + y])
    donor = pd.concat([donor, donor.iloc[:1]], ignore_index=True)
    for name in trained:
        donor[name] = donor[name].where(donor.index < len(task.donor))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*very rare categories")
        return ImputationKernel(
            donor,
            num_datasets=1,
            variable_schema={name: task.x + y[: y.index(name)] for name in trained},
            imputation_order="roman",
            mean_match_strategy={name: "fast" for name in trained if is_class(task.donor[name])},
            random_state=seed,
        )


def tune_mice(task: Task) -> dict[str, Any]:
    """Have miceforest choose LightGBM's parameters, as its documentation does it."""
    kernel = mice_kernel(task, task.y, task.y, task.seed)
    kernel.mice(1, num_threads=task.cores)
    found = kernel.tune_parameters(
        dataset=0, variables=task.y, use_gbdt=True, num_iterations=500, nfold=5, optimization_steps=5,
        random_state=0, verbose=True, num_threads=task.cores,
    )  # fmt: skip
    left_out = ("seed", "num_threads", "objective", "num_class", "verbosity")
    return {
        name: {
            key: getattr(value, "item", lambda value=value: value)()
            for key, value in how.items()
            if key not in left_out
        }
        for name, how in found.items()
    }


def for_mice(frame: pd.DataFrame) -> pd.DataFrame:
    """Make categories of true and false, and floats of numbers."""
    out = {}
    for name in frame:
        values = frame[name]
        if values.dtype == bool:
            out[name] = pd.Categorical(values.astype(str), categories=["False", "True"])
        else:
            out[name] = values if is_class(values) else values.astype(float)
    return pd.DataFrame(out, index=frame.index)


def like_donors(values: pd.Series, like: pd.Series) -> pd.Series:
    """Undo `for_mice`."""
    return values.astype(str) == "True" if like.dtype == bool else values.astype(like.dtype)


WAYS: dict[str, Callable[[Task], Draw]] = {
    "quantile regression forest": forests,
    "microimpute": microimpute,
    "microimpute, tuned": microimpute_tuned,
    "miceforest PMM": miceforest,
    "hot deck": hot_deck,
    "unconditional draw": unconditional,
}


def cpu_seconds() -> float:
    """User and system time of this process and of those that it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def main() -> None:
    """Carry out the task in a folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tune", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder
    about = json.loads((folder / "task.json").read_text())
    way = about.pop("way")
    task = Task(pd.read_parquet(folder / "donor.parquet"), **about)
    if arguments.tune:
        tuned = {**tune_forests(task), "miceforest": tune_mice(task)}
        (HERE / "tuned.json").write_text(json.dumps(tuned, indent=1) + "\n")
        return
    recipient = pd.read_parquet(folder / "recipient.parquet")
    began = cpu_seconds()
    draw = WAYS[way](task)
    fitted = cpu_seconds()
    frames = [frame.reset_index(drop=True).assign(M=m) for m, frame in enumerate(draw(recipient), start=1)]
    seconds = {"train": fitted - began, "fuse": cpu_seconds() - fitted}
    pd.concat(frames, ignore_index=True).to_parquet(folder / "implicates.parquet")
    (folder / "seconds.json").write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()
