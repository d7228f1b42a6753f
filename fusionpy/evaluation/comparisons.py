"""Estimates from implicates beside those from the donors themselves, subset by subset."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import ArgumentError, Problems, SchemaError, counted, shown
from fusionpy.evaluation.observed import ObservedVariable, read_compared
from fusionpy.evaluation.subsets import Grouping, groupings_of
from fusionpy.evaluation.violations import take_rules
from fusionpy.formats.implicates import Implicates, open_implicates
from fusionpy.frames.tables import Table, as_table, take_names, to_floats
from fusionpy.kernels.estimates import cochran_variance, group_moments, group_shares, share_variance
from fusionpy.kernels.rubin import combine, margin_of_error
from fusionpy.kernels.smoothing import median_curve
from fusionpy.model import FusionModel
from fusionpy.progress import track

__all__ = ["METRICS", "compare", "names_compared", "smooth_metrics"]

Array = NDArray[np.float64]

Codes = NDArray[np.intp]

LEVEL = 0.90  # of the margins

GRID = 200  # points of a smoothed curve

METRICS = ("est", "vad", "moe")


class Comparison(NamedTuple):
    """What `validate` estimates, before it is smoothed.

    Attributes
    ----------
    found : pyarrow.Table
        As `Validation.table`.
    fields : list of ObservedVariable
        The variables that are compared.
    w : (n,) float64
        Weights of the records.
    table : Table
        The donor survey.
    simulated : Implicates
    sizes, subset_vars, notes
        As those of `Validation`.
    rules
        That are to be counted.
    """

    found: pa.Table
    fields: list[ObservedVariable]
    w: Array
    table: Table
    simulated: Implicates
    sizes: dict[str, int]
    subset_vars: tuple[str, ...]
    notes: tuple[str, ...]
    rules: Any


def compare(
    observed: Any,
    implicates: Any,
    subset_vars: str | Sequence[str],
    *,
    weight: str | None = None,
    min_size: int = 30,
    y: str | Sequence[str] | None = None,
    cores: int = 1,
    quiet: bool = False,
    rules: str | Sequence[str] | FusionModel | None = None,
) -> Comparison:
    """Check the arguments of `validate`, which these are, and make its estimates."""
    problems = Problems(
        ArgumentError, "`validate()` cannot start.", "See `help(fusionpy.validate)` for what it takes."
    )
    subset_names = names_compared(subset_vars, "subset_vars", problems)
    wanted = None if y is None else names_compared(y, "y", problems)
    problems.whole("min_size", min_size, 2)
    problems.whole("cores", cores, 1)
    problems.name("weight", weight, "a column name")
    demanded = take_rules(rules, problems)
    problems.stop()
    table, simulated = as_table(observed, "observed"), open_implicates(implicates)
    w, subsets, fields, notes = read_compared(table, simulated, subset_names, wanted, weight)
    groupings = list(groupings_of(subsets, w, int(min_size)))
    if not any(len(grouping.sizes) for grouping in groupings):
        problem = f"No subset has {min_size} records: the sample has {counted(int((w > 0).sum()), 'record')}."
        raise SchemaError("`observed` has no subsets.", [problem], "Lower `min_size`.")
    found = _compare_all(fields, groupings, w, simulated.M, int(cores), quiet)
    found = found.filter(pc.greater_equal(found["n"], int(min_size)))
    sizes = {
        "records": int((w > 0).sum()),
        "M": simulated.M,
        "subsets": sum(len(grouping.sizes) for grouping in groupings),
        "estimates": len(found),
        "min_size": int(min_size),
    }
    return Comparison(found, fields, w, table, simulated, sizes, tuple(subset_names), tuple(notes), demanded)


def names_compared(value: Any, argument: str, problems: Problems) -> list[str]:
    """Take one name or several, at least one."""
    names = take_names(value, argument, problems)
    if not names:
        problems.add(f"`{argument}` must be a column name or a list of them, not {shown(value)}.")
    return names


def _compare_all(
    fields: Sequence[ObservedVariable],
    groupings: Sequence[Grouping],
    w: Array,
    M: int,
    cores: int,
    quiet: bool,
) -> pa.Table:
    """Estimate every variable in every subset, observed and simulated."""
    tiled_w = np.tile(w, M)
    whole = np.where(w > 0, 0, -1)
    means = [_estimate(field, whole, 1, w, field.observed)[1][0] for field in fields]
    work = [(g, f) for g in range(len(groupings)) if len(groupings[g].sizes) for f in range(len(fields))]

    def compare(g: int, f: int) -> pa.Table:
        cell = groupings[g].cell
        k = len(groupings[g].sizes)
        shifts = k * np.arange(M)[:, None]
        tiled = np.where(cell < 0, -1, cell + shifts).ravel()
        field = fields[f]
        n, est, variance = _estimate(field, cell, k, w, field.observed)
        _, draws, within = _estimate(field, tiled, k * M, tiled_w, field.drawn.T.ravel())
        df = np.repeat(n - 1, est.shape[1])
        pooled = combine(draws.reshape(M, -1), within.reshape(M, -1), rule="rubin", level=LEVEL)
        moe_sim = margin_of_error(pooled.se, np.where(np.isinf(pooled.df), df, pooled.df), LEVEL)
        moe_obs = margin_of_error(np.sqrt(variance.ravel()), df, LEVEL)
        mean = np.tile(means[f], k)
        return _rows(groupings[g], field, len(w[w > 0]), n, (est.ravel(), moe_obs, pooled.est, moe_sim, mean))

    with track("validate", len(work), quiet) as tick, ThreadPoolExecutor(cores) as threads:
        pieces = {}
        for item, piece in zip(work, threads.map(lambda item: compare(*item), work), strict=True):
            pieces[item] = piece
            tick()
    found = pa.concat_tables(pieces.values())
    place = [(g, np.arange(len(pieces[g, f])) // max(1, len(fields[f].levels)), f) for g, f in work]
    size = [len(pieces[item]) for item in work]
    keys = [np.repeat([f for _, f in work], size), np.concatenate([each[1] for each in place])]
    return found.take(pa.array(np.lexsort([*keys, np.repeat([g for g, _ in work], size)])))


def _estimate(
    field: ObservedVariable, cell: Codes, k: int, w: Array, values: Array
) -> tuple[Array, Array, Array]:
    """Count records, estimate means or shares, and variances, by cell: (k,), (k, levels) and (k, levels)."""
    if not field.levels:
        moments = group_moments(cell, k, w, values)
        return moments.n, moments.mean[:, None], cochran_variance(moments, zero_one=True)[:, None]
    code = np.where(np.isnan(values), -1, values).astype(np.intp)
    shares = group_shares(cell, k, w, code, len(field.levels))
    return shares.n, shares.share, share_variance(shares)


def _rows(
    grouping: Grouping, field: ObservedVariable, n_records: int, n: Array, estimates: tuple[Array, ...]
) -> pa.Table:
    """Lay out one variable's estimates in one grouping, with the metrics."""
    times = max(1, len(field.levels))
    k = len(grouping.sizes)
    level = pa.array(field.levels * k if field.levels else [None] * k, pa.string())
    columns: dict[str, Any] = {
        "id": pa.array(grouping.ids).take(pa.array(np.repeat(np.arange(k), times))),
        "subset": pa.array(grouping.labels).take(pa.array(np.repeat(np.arange(k), times))),
        "share": np.repeat(grouping.sizes / n_records, times),
        "y": pa.array([field.name] * (k * times)),
        "level": level,
        "n": np.repeat(n.astype(np.int64), times),
        **dict(zip(("est_obs", "moe_obs", "est_sim", "moe_sim", "est_mean"), estimates, strict=True)),
    }
    return pa.table(columns | metrics_of(*estimates))


def metrics_of(obs: Array, moe_obs: Array, sim: Array, moe_sim: Array, mean: Array) -> dict[str, pa.Array]:
    """Compute the metrics of estimates, one each: see `validate`. Missing where they are not defined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(sim - obs) / np.abs(obs)
        gap = np.abs(mean - obs)
        gap[gap <= 1e-12 * np.abs(obs)] = np.nan  # the same but for rounding: there is nothing to add
        value = np.maximum(0.0, 1 - np.abs(sim - obs) / gap)
        ratio = (moe_sim / np.abs(sim)) / (moe_obs / np.abs(obs))
    metrics = zip(METRICS, (error, value, ratio), strict=True)
    return {name: pa.array(values, mask=~np.isfinite(values)) for name, values in metrics}


def smooth_metrics(found: pa.Table, names: Sequence[str], cores: int) -> tuple[pa.Table, pa.Table]:
    """Smooth every metric of every variable over the subsets' share; average the curves."""
    shares = found["share"].to_numpy()
    grid = np.linspace(shares.min(), shares.max(), GRID) if len(shares) else np.zeros(0)
    is_y = {name: found["y"].to_numpy() == name for name in names}
    work = [(metric, name) for metric in METRICS for name in names]

    def smooth(metric: str, name: str) -> tuple[Array, Array]:
        values = to_floats(found[metric].combine_chunks())
        rows = is_y[name] & ~np.isnan(values)
        x = shares[rows]
        at = grid[(grid >= x.min()) & (grid <= x.max())] if len(x) else grid[:0]
        if len(x) and x.min() == x.max():
            at = x[:1]
        return at, median_curve(np.log(x), values[rows], np.log(at))

    with ThreadPoolExecutor(cores) as threads:
        curves = list(threads.map(lambda item: smooth(*item), work))
    size = [len(at) for at, _ in curves]
    smoothed = pa.table(
        {
            "metric": pa.array(np.repeat([metric for metric, _ in work], size).astype(object), pa.string()),
            "share": np.concatenate([at for at, _ in curves]),
            "y": pa.array(np.repeat([name for _, name in work], size).astype(object), pa.string()),
            "value": np.concatenate([value for _, value in curves]),
        }
    )
    averages = {item: float(v.mean()) if len(v) else None for item, (_, v) in zip(work, curves, strict=True)}
    columns = {metric: pa.array([averages[metric, n] for n in names], pa.float64()) for metric in METRICS}
    return smoothed, pa.table({"y": pa.array(list(names), pa.string()), **columns})
