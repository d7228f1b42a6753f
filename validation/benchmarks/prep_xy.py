"""prep_xy() as fusionData calls it: 300 candidate predictors, 40 fusion variables, 20,000 donors.

    python validation/benchmarks/prep_xy.py [--rows 40000] [--x 300] [--y 40] [--paths 12] [--out .]

Simulates a donor survey of that shape, runs `prep_xy` on it (cor_thresh .025, lasso_thresh .99, xmax 100, at
least 20,000 donors), and prints seconds, CPU seconds and peak memory. Then it fits some of the same paths, at
random, with scikit-learn's `lasso_path` on the same columns and penalties: from the rows, and from a Gram
matrix. All paths at that rate, over all that prep_xy took, is the ratio that is printed.
"""

from __future__ import annotations

import argparse
import platform
import resource
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lasso_path

import fusionpy.screening.ordering as ordering
from fusionpy.kernels.lasso import Path as LassoPath
from fusionpy.screening import prep_xy


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


def record(found: list[tuple[Any, Any, Any, LassoPath]]) -> None:
    """Keep what each path was fitted to."""
    path = ordering._Models.path

    def recorded(self: Any, target: Any, columns: Any) -> LassoPath:
        fitted = path(self, target, columns)
        found.append((self.design, target, columns, fitted))
        return fitted

    ordering._Models.path = recorded  # type: ignore[method-assign]


def by_sklearn(
    design: Any, target: Any, columns: Any, fitted: LassoPath
) -> tuple[float, float, float, float]:
    """Seconds from the rows, from a Gram matrix, and of that matrix; the largest gap in deviance."""
    rows = design.subsets[target.subset]
    w = design.weight[rows] / design.weight[rows].sum()
    both = design.matrix[rows][:, [*columns, target.column]]
    both = both - w @ both
    sd = np.sqrt(w @ both**2)
    both = both / np.where(sd > 0, sd, 1) * np.sqrt(w * len(w))[:, None]
    X, y = np.asfortranarray(both[:, :-1]), both[:, -1]
    began = time.perf_counter()
    _, coefficient, _ = lasso_path(X, y, alphas=fitted.penalty, precompute=False)
    direct = time.perf_counter() - began
    began = time.perf_counter()
    gram, outer = X.T @ X, X.T @ y
    made = time.perf_counter() - began
    began = time.perf_counter()
    lasso_path(X, y, alphas=fitted.penalty, precompute=gram, Xy=outer)
    given = time.perf_counter() - began
    deviance = 1 - ((y[:, None] - X @ coefficient) ** 2).mean(axis=0)
    return direct, given, made, float(np.abs(deviance - fitted.deviance).max())


def main() -> None:
    """Time prep_xy, then scikit-learn on some of its paths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--x", type=int, default=300)
    parser.add_argument("--y", type=int, default=40)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--paths", type=int, default=12)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args()
    data, y, x = make(given.rows, given.x, given.y)
    fraction = min(1.0, max(20_000, 0.1 * given.rows) / given.rows)
    how: dict[str, Any] = {"cor_thresh": 0.025, "lasso_thresh": 0.99, "xmax": 100, "seed": 1, "quiet": True}
    prep_xy(data.head(300), y[:2], x[:10], **how)  # compiled kernels come from numba's cache

    at_start = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    prepared = prep_xy(data, y, x, weight="weight", fraction=fraction, cores=given.cores, **how)
    seconds = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = used.ru_utime + used.ru_stime - at_start.ru_utime - at_start.ru_stime
    peak, before = used.ru_maxrss / 2**20, at_start.ru_maxrss / 2**20
    print(prepared)
    print(f"\n{seconds:.1f} s, {cpu:.1f} CPU s, peak memory {peak:.2f} GB ({before:.2f} GB before the call)")

    found: list[tuple[Any, Any, Any, LassoPath]] = []
    record(found)
    again = prep_xy(data, y, x, weight="weight", fraction=fraction, cores=1, **how)
    assert again.y == prepared.y, "the result depends on cores"
    assert again.x == prepared.x, "the result depends on cores"
    drawn = np.random.default_rng(1).choice(len(found), given.paths, replace=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        times = np.array([by_sklearn(*found[i]) for i in drawn])
    direct, of_gram, made, gap = times[:, 0].mean(), times[:, 1].mean(), times[:, 2].mean(), times[:, 3].max()
    n = len(found)
    print(f"{n:,} paths; the mean of {given.paths} by scikit-learn: {direct:.2f} s from the rows,")
    print(f"{of_gram:.3f} s from a Gram matrix, and {made:.2f} s for that; deviances differ by {gap:.1e}")
    print(f"all paths by scikit-learn, over all of prep_xy: {n * direct / seconds:.0f} from the rows,")
    print(f"{n * (of_gram + made) / seconds:.0f} with a Gram matrix for each path")
    about = f"{datetime.now(UTC):%Y-%m-%d} {platform.machine()}, {given.rows} rows, fraction {fraction:.2f}"
    row = {
        "x": given.x,
        "y": given.y,
        "donors": round(fraction * given.rows),
        "cores": given.cores,
        "paths": n,
        "seconds": seconds,
        "cpu": cpu,
        "peak_gb": peak,
        "sklearn_rows_s_per_path": direct,
        "sklearn_gram_s_per_path": of_gram + made,
        "ratio_rows": n * direct / seconds,
        "ratio_gram": n * (of_gram + made) / seconds,
        "deviance_gap": gap,
        "made": about,
    }
    pd.DataFrame([row]).to_csv(given.out / "prep_xy.csv", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
