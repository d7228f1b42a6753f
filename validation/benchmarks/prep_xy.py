"""prep_xy() as fusionData calls it: 300 candidate predictors, 40 fusion variables, 20,000 donors.

    python validation/benchmarks/prep_xy.py [--rows 40000] [--x 300] [--y 40] [--paths 8] [--out FOLDER]

Simulates a donor survey of that shape and runs `prep_xy` on it (cor_thresh .025, lasso_thresh .99, xmax 100,
20,000 donors or more). The baselines are scikit-learn's `lasso_path` on the same columns and penalties, from
the rows, and with a Gram matrix for each path. They fit some of the paths, drawn at random: their `seconds`
and `cpu` are those of all paths at that rate.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from measuring import asked, compare, save, summary
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

import fusionpy.preparation.ordering as ordering
from fusionpy.kernels.lasso import Path as LassoPath
from fusionpy.preparation.screening import prep_xy

HOW: dict[str, Any] = {"cor_thresh": 0.025, "lasso_thresh": 0.99, "xmax": 100, "seed": 1, "quiet": True}


def make(rows: int, n_x: int, n_y: int) -> tuple[pd.DataFrame, list[Any], list[str]]:
    """Simulate predictors that share factors, and fusion variables that depend on some of them."""
    rng = np.random.default_rng(1)
    factors = rng.normal(size=(rows, 12))
    latent = factors @ rng.normal(size=(12, n_x)) + 2.5 * rng.normal(size=(rows, n_x))
    latent /= latent.std(axis=0)
    columns: dict[str, Any] = {}
    for j in range(n_x):
        kind, v = j % 5, latent[:, j]
        if kind == 0:
            cuts = np.quantile(v, np.linspace(0, 1, 5 + j % 6)[1:-1])
            names = [f"level {k}" for k in range(len(cuts) + 1)]
            columns[f"x{j}"] = pd.Categorical.from_codes(np.searchsorted(cuts, v), names)
        elif kind == 1:
            columns[f"x{j}"] = v > 0.3
        else:
            columns[f"x{j}"] = np.exp(v).round(2) if kind == 2 else v.round(2)
    y: list[Any] = []
    last = np.zeros(rows)
    for k in range(n_y):
        used = rng.choice(n_x, 25, replace=False)
        value = latent[:, used] @ rng.normal(size=25) + factors[:, k % 12] + 4 * rng.normal(size=rows)
        value += 3 * last  # the fusion variable before this one
        last = (value - value.mean()) / value.std()
        name, kind = f"y{k}", k % 4
        if kind == 0:
            columns[name] = np.where(last > 0.4, np.exp(last).round(2), 0.0)
        elif kind == 1:
            cuts = np.quantile(last, [0.2, 0.5, 0.8])
            columns[name] = pd.Categorical.from_codes(
                np.searchsorted(cuts, last), list("abcd"), ordered=k % 8 == 1
            )
        else:
            columns[name] = np.exp(last).round(3) if kind == 2 else last > 0
        y.append(name)
    y[-4:] = [y[-4:-2], y[-2], y[-1]]
    columns["weight"] = rng.gamma(3, 100, rows)
    return pd.DataFrame(columns), y, [f"x{j}" for j in range(n_x)]


def screened(data: pd.DataFrame, y: list[Any], x: list[str], cores: int) -> str:
    """Run prep_xy on about half of the donors, and tell its result as text."""
    fraction = min(1.0, max(20_000, 0.1 * len(data)) / len(data))
    prepared = prep_xy(data, y, x, weight="weight", fraction=fraction, cores=cores, **HOW)
    return repr((prepared.y, prepared.x))


def by_fusionpy(clock: Any, *, rows: int, x: int, y: int, cores: int, **_: Any) -> dict[str, Any]:
    data, names, predictors = make(rows, x, y)
    prep_xy(data.head(300), names[:2], predictors[:10], **HOW)  # compiled kernels come from numba's cache
    with clock:
        result = screened(data, names, predictors, cores)
    return {"check": result}


def by_sklearn(
    clock: Any, *, variant: str, rows: int, x: int, y: int, paths: int, **_: Any
) -> dict[str, Any]:
    found: list[tuple[Any, Any, Any, LassoPath]] = []
    record(found)
    result = screened(*make(rows, x, y), 1)
    drawn = np.random.default_rng(1).choice(len(found), min(paths, len(found)), replace=False)
    with warnings.catch_warnings(), clock:
        warnings.simplefilter("ignore", ConvergenceWarning)
        times = np.array([fitted(*found[i], by_gram=variant == "gram") for i in drawn])
    seconds, cpu, gap = times[:, 0].mean(), times[:, 1].mean(), times[:, 2].max()
    n = len(found)
    return {"seconds": n * seconds, "cpu": n * cpu, "deviance_gap": gap, "n_paths": float(n), "check": result}


def record(found: list[tuple[Any, Any, Any, LassoPath]]) -> None:
    """Keep what each path was fitted to."""
    path = ordering._Models.path

    def recorded(self: Any, target: Any, columns: Any) -> LassoPath:
        fitted = path(self, target, columns)
        found.append((self.design, target, columns, fitted))
        return fitted

    ordering._Models.path = recorded  # type: ignore[method-assign]


def fitted(
    design: Any, target: Any, columns: Any, path: LassoPath, by_gram: bool
) -> tuple[float, float, float]:
    """Fit a path by scikit-learn: seconds, CPU seconds, and the largest difference in deviance."""
    rows = design.subsets[target.subset]
    w = design.weight[rows] / design.weight[rows].sum()
    both = design.matrix[rows][:, [*columns, target.column]]
    both = both - w @ both
    sd = np.sqrt(w @ both**2)
    both = both / np.where(sd > 0, sd, 1) * np.sqrt(w * len(w))[:, None]
    X, y = np.asfortranarray(both[:, :-1]), both[:, -1]
    began, cpu = time.perf_counter(), time.process_time()
    if by_gram:
        _, coefficient, _ = lasso_path(X, y, alphas=path.penalty, precompute=X.T @ X, Xy=X.T @ y)
    else:
        _, coefficient, _ = lasso_path(X, y, alphas=path.penalty, precompute=False)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    deviance = 1 - ((y[:, None] - X @ coefficient) ** 2).mean(axis=0)
    return seconds, cpu, float(np.abs(deviance - path.deviance).max())


def main() -> None:
    """Run the three in turn, and save the table."""
    given = asked(__doc__, rows=40_000, x=300, y=40, paths=8)
    if given.small:
        given.rows, given.x, given.y, given.paths, given.repeats = 2_000, 30, 6, 2, 1
    case = {"rows": given.rows, "x": given.x, "y": given.y, "paths": given.paths, "cores": given.cores}
    baselines = ["by_sklearn:rows", "by_sklearn:gram"]
    runs = compare(__file__, ["by_fusionpy", *baselines], case, given.repeats)
    assert len({run["check"] for run in runs}) == 1, "the result depends on cores"
    table = []
    for baseline in baselines:
        ours, theirs = summary(
            [run for run in runs if run["piece"] in ("by_fusionpy", baseline)], baseline, [*case]
        )
        table += [{**ours, "baseline": baseline}, theirs]
    save("prep_xy", table, given)


if __name__ == "__main__":
    main()
