"""validate(): do implicates fused back onto donors give the donors' own estimates? plot_valid(): see it."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.comparing import Field, Grouping, groupings_of, read_both
from fusionpy.engines import figures as drawing
from fusionpy.errors import ArgumentError, Problems, SchemaError, counted, few, meant, shown
from fusionpy.formats.aside import check_writable, written_aside
from fusionpy.formats.implicates import Implicates, open_implicates
from fusionpy.frames import Table, as_table, return_table, take_names, to_floats
from fusionpy.kernels.estimates import cochran_variance, group_moments, group_shares, share_variance
from fusionpy.kernels.rubin import margin_of_error, pool
from fusionpy.kernels.smoothing import median_curve
from fusionpy.layout import Grid, Page, filled
from fusionpy.model import FusionModel
from fusionpy.obeying import take_rules, tell_violations, violations
from fusionpy.progress import track

__all__ = ["Validation", "plot_valid", "validate"]

Array = NDArray[np.float64]
Codes = NDArray[np.intp]
LEVEL = 0.90  # of the margins
GRID = 200  # points of a smoothed curve
FIGURES_SHOWN = 3  # in a notebook, unless variables are chosen
ENDINGS = (".png", ".svg", ".pdf")
METRICS = ("est", "vad", "moe")


@dataclass(frozen=True, eq=False, repr=False)
class Validation:
    """Observed and simulated estimates of many subsets of the donors, and how they compare.

    Attributes
    ----------
    table : the kind of frame that `observed` is
        One row per subset, variable and level: `id`, `subset` (which one), `share` (of all records), `y`,
        `level` (missing if continuous), `n` (records), `est_obs`, `moe_obs`, `est_sim`, `moe_sim`, `est_mean`
        (of the whole sample), and the metrics `est`, `vad` and `moe` (see `validate`; missing where they are
        not defined).
    summary : frame
        Averages of the smoothed metrics for each `y`.
    smooth : frame
        The smoothed metrics themselves: `metric`, `share`, `y`, `value`.
    sizes : mapping
        Numbers of "records", implicates ("M"), "subsets", and "estimates", and "min_size".
    subset_vars : tuple of str
    notes : tuple of str
        What was left out.
    violations : pandas.DataFrame or None
        Shares of records that break each rule.
    """

    table: Any
    summary: Any
    smooth: Any
    sizes: Mapping[str, int]
    subset_vars: tuple[str, ...]
    notes: tuple[str, ...] = ()
    violations: Any = None

    @cached_property
    def figures(self) -> dict[str, Any]:
        """Figures (plotnine): "est", "vad", "moe" of all variables, then "est:<y>", "vad:<y>", "moe:<y>"."""
        return _figures(self, None)

    def _page(self) -> Page:
        rows, cells = as_table(self.summary).arrow(("y", *METRICS)).to_pylist(), []
        for row in rows:
            error, value, ratio = (np.nan if row[metric] is None else row[metric] for metric in METRICS)
            cells.append((few([row["y"]], ""), f"{error:.2%}", f"{value:.3f}", f"{ratio:.3f}"))
        sizes = self.sizes
        headline = (
            f"Validation: {counted(sizes['records'], 'record')}, M = {sizes['M']}, "
            f"{counted(sizes['subsets'], 'subset')} of at least {counted(sizes['min_size'], 'record')}, "
            f"by {few(self.subset_vars, '`')}"
        )
        headers = ("y", "error", "value added", "uncertainty ratio")
        grid = Grid(headers, tuple(cells), (False, True, True, True))
        return Page(headline, (grid,), (*tell_violations(self.violations), *self.notes))

    def __repr__(self) -> str:
        return self._page().text()

    def _repr_html_(self) -> str:
        return self._page().html()


class Figures(dict[str, Any]):
    """Figures by name, which a notebook shows.

    Parameters
    ----------
    figures : mapping of str to plotnine.ggplot
    n_shown : int
        How many a notebook shows.
    """

    def __init__(self, figures: Mapping[str, Any], n_shown: int) -> None:
        super().__init__(figures)
        self.n_shown = n_shown

    def __repr__(self) -> str:
        """Name the figures."""
        return filled(f"{counted(len(self), 'figure')}: {', '.join(self)}")

    def _repr_html_(self) -> str:
        """Draw the first figures, and name the others."""
        shown_names = list(self)[: self.n_shown]
        parts = []
        for name in shown_names:
            size = drawing.ALL_SIZE if ":" not in name else drawing.ONE_SIZE
            content = base64.b64encode(drawing.png(self[name], *size)).decode()
            alt = escape(name)
            parts.append(
                f'<img alt="{alt}" title="{alt}" src="data:image/png;base64,{content}" '
                f'style="max-width: {size[0]}in; width: 100%">'
            )
        if others := list(self)[self.n_shown :]:
            names = escape(few(others, ""))
            parts.append(f"<p>Not drawn here: {names}. Pass <code>y=</code>, or take them by name.</p>")
        return "<div>\n" + "\n".join(parts) + "\n</div>"


def validate(
    observed: Any,
    implicates: Any,
    subset_vars: str | Sequence[str],
    *,
    weight: str | None = None,
    min_size: int = 30,
    y: str | Sequence[str] | None = None,
    plot: bool = True,
    cores: int = 1,
    quiet: bool = False,
    rules: str | Sequence[str] | FusionModel | None = None,
) -> Validation:
    r"""Compare estimates from implicates, fused back onto the donors, with the donors' own.

    Parameters
    ----------
    observed : pandas or polars DataFrame, or pyarrow Table
        The donor survey.
    implicates : DataFrame, Table or path
        What ``fuse(observed, ...)`` returned or wrote: at least two implicates of the same records, in the
        same order.
    subset_vars : str or sequence of str
        Columns of `observed` that make the subsets: every level of each, and every pair of levels of two.
        Numeric and ordered ones are first cut into at most five classes. A record whose value is missing is
        in no subset.
    weight : str, optional
        Column of survey weights in `observed`. Negative ones count as 0; records of zero weight are left out.
    min_size : int
        Records that a subset has at least.
    y : str or sequence of str, optional
        Variables to compare. Missing: all columns that both have, other than M, `weight` and `subset_vars`,
        and those that are the same in every implicate as in `observed`. Records whose observed value is
        missing are left out of that variable, in the implicates too.
    plot : bool
        Make the figures at once; otherwise they are made when first asked for.
    cores : int
        Threads. The result does not depend on it.
    quiet : bool
        No progress.
    rules : str, sequence of str, or FusionModel, optional
        Count the records that break these, ``"debt <= assets"`` or ``"income = wages + other"``, as in
        `train`; or those of a model.

    Returns
    -------
    Validation

    Raises
    ------
    ArgumentError
        If arguments are wrong.
    SchemaError
        If columns are missing, cannot be used, or differ; all problems are named at once.

    Notes
    -----
    Of each subset and variable (of each level, if it is categorical) the observed mean or share :math:`o` and
    the pooled simulated one :math:`s` (Rubin 1987) are taken with their 90 % margins, and compared:

    * `est`, the error: :math:`|s - o| / |o|`;
    * `vad`, the value added over the full-sample mean :math:`m`: :math:`\max(0, 1 - |s - o| / |m - o|)`;
    * `moe`, the uncertainty: the simulated margin relative to :math:`|s|` over the observed one relative to
      :math:`|o|`.

    Each is smoothed over the subsets' share of records (conditional medians, on the logarithm of the share).
    Reference, section 6; Ummel et al. (2024), Fig. 5.

    Examples
    --------
    >>> import fusionpy
    >>> donor = fusionpy.datasets.load_donor()
    >>> x = ["region", "rooms", "tenure"]
    >>> model = fusionpy.train(donor, ["electricity"], x, refits=0, seed=1, quiet=True)
    >>> fused = fusionpy.fuse(donor, model, M=5, seed=1, quiet=True)
    >>> found = validate(donor, fused, ["region", "tenure"], plot=False, quiet=True)
    >>> found.summary.columns.to_list(), found.sizes["M"]
    (['y', 'est', 'vad', 'moe'], 5)
    """
    made = compare(
        observed,
        implicates,
        subset_vars,
        weight=weight,
        min_size=min_size,
        y=y,
        cores=cores,
        quiet=quiet,
        rules=rules,
    )
    smooth, summary = smooth_metrics(made.found, [field.name for field in made.fields], int(cores))
    validation = Validation(
        return_table(made.found, made.table.kind, {}),
        return_table(summary, made.table.kind, {}),
        return_table(smooth, made.table.kind, {}),
        made.sizes,
        made.subset_vars,
        made.notes,
        violations(made.rules, made.table, made.simulated) if made.rules else None,
    )
    if plot:
        _ = validation.figures
    return validation


class Comparison(NamedTuple):
    """What `validate` estimates, before it is smoothed.

    Attributes
    ----------
    found : pyarrow.Table
        As `Validation.table`.
    fields : list of Field
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
    fields: list[Field]
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
    subset_names = _names(subset_vars, "subset_vars", problems)
    wanted = None if y is None else _names(y, "y", problems)
    problems.whole("min_size", min_size, 2)
    problems.whole("cores", cores, 1)
    problems.name("weight", weight, "a column name")
    demanded = take_rules(rules, problems)
    problems.stop()
    table, simulated = as_table(observed, "observed"), open_implicates(implicates)
    w, subsets, fields, notes = read_both(table, simulated, subset_names, wanted, weight)
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


def _names(value: Any, argument: str, problems: Problems) -> list[str]:
    """Take one name or several, at least one."""
    names = take_names(value, argument, problems)
    if not names:
        problems.add(f"`{argument}` must be a column name or a list of them, not {shown(value)}.")
    return names


def _compare_all(
    fields: Sequence[Field], groupings: Sequence[Grouping], w: Array, M: int, cores: int, quiet: bool
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
        _, draws, within = _estimate(field, tiled, k * M, tiled_w, field.simulated.ravel())
        df = np.repeat(n - 1, est.shape[1])
        pooled = pool(draws.reshape(M, -1), within.reshape(M, -1), rule="rubin", level=LEVEL)
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


def _estimate(field: Field, cell: Codes, k: int, w: Array, values: Array) -> tuple[Array, Array, Array]:
    """Count records, estimate means or shares, and variances, by cell: (k,), (k, levels) and (k, levels)."""
    if not field.levels:
        moments = group_moments(cell, k, w, values)
        return moments.n, moments.mean[:, None], cochran_variance(moments, zero_one=True)[:, None]
    code = np.where(np.isnan(values), -1, values).astype(np.intp)
    shares = group_shares(cell, k, w, code, len(field.levels))
    return shares.n, shares.share, share_variance(shares)


def _rows(
    grouping: Grouping, field: Field, n_records: int, n: Array, estimates: tuple[Array, ...]
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


def plot_valid(
    valid: Validation,
    y: str | Sequence[str] | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    cores: int = 1,
) -> dict[str, Any] | list[str]:
    """Draw how implicates compare with what was observed, or write the drawings to files.

    Parameters
    ----------
    valid : Validation
        What `validate` returned.
    y : str or sequence of str, optional
        Variables to draw. Missing: all.
    path : path, optional
        A folder, made if need be, for PNG files; or a file name ending with ".png", ".svg" or ".pdf", which
        the figures' names are appended to ("out.svg" gives "out_est.svg", "out_est_kwh.svg", ...).
    cores : int
        As in the reference; drawing takes one.

    Returns
    -------
    dict of str to plotnine.ggplot
        "est", "vad" and "moe" of all variables, then "est:<y>", "vad:<y>" and "moe:<y>" for each. A notebook
        shows them: the first three, or all of the variables that `y` names. With `path`: the list of files
        instead.

    Raises
    ------
    ArgumentError
        If arguments are wrong.
    OutputError
        If files cannot be written.

    Notes
    -----
    Ummel et al. (2024), Fig. 5. The same library versions write the same files, whenever they do.
    """
    problems = Problems(ArgumentError, "`plot_valid()` cannot start.", "Pass what `validate()` returned.")
    names = None if y is None else _names(y, "y", problems)
    problems.whole("cores", cores, 1)
    if not isinstance(valid, Validation):
        problems.add(f"`valid` must be what `validate()` returned, not {shown(valid)}.")
    else:
        known = as_table(valid.summary).column("y").to_pylist()
        for name in names or []:
            if name not in known:
                problems.add(f"`y` names `{name}`, which was not validated{meant(name, known)}.")
    problems.stop()
    if path is None:
        figures = valid.figures if names is None else _figures(valid, names)
        return Figures(figures, FIGURES_SHOWN if names is None else len(figures))
    targets = _targets(path, list(_figure_names(known if names is None else names)))
    figures = valid.figures if names is None else _figures(valid, names)
    for name, target in targets.items():
        is_shared = ":" not in name
        width, height = drawing.ALL_SIZE if is_shared else drawing.ONE_SIZE
        with written_aside(target) as aside:
            drawing.write_figure(figures[name], aside, target.suffix[1:].lower(), width, height)
    return [str(target) for target in targets.values()]


def _figure_names(names: Sequence[str]) -> Iterator[str]:
    yield from METRICS
    yield from (f"{metric}:{name}" for name in names for metric in METRICS)


def _targets(path: str | os.PathLike[str], names: Sequence[str]) -> dict[str, Path]:
    """Name the files, and make the folder for them."""
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise ArgumentError("`plot_valid()` cannot start.", [f"`path` must be a path, not {shown(path)}."])
    base = Path(path).expanduser()
    stem, ending = (f"{base.stem}_", base.suffix) if base.suffix.lower() in ENDINGS else ("", ENDINGS[0])
    if not stem and not base.exists():
        check_writable(base.with_name(f"{base.name}{ENDINGS[0]}"), "path", ENDINGS)
        base.mkdir(exist_ok=True)
    folder = base.parent if stem else base
    targets: dict[str, Path] = {}
    for name in names:
        file = stem + re.sub(r"[^\w.-]+", "_", name)
        while any(target.stem.casefold() == file.casefold() for target in targets.values()):
            file += "_"
        targets[name] = check_writable(folder / f"{file}{ending}", "path", ENDINGS)
    return targets


def _figures(valid: Validation, names: Sequence[str] | None) -> dict[str, Any]:
    """Draw all figures of some variables."""
    columns = ("share", "y", "level", *METRICS)
    points = as_table(valid.table).arrow(columns).to_pandas()
    curves = as_table(valid.smooth).arrow(("metric", "share", "y", "value")).to_pandas()
    chosen = list(dict.fromkeys(as_table(valid.summary).column("y").to_pylist()))
    chosen = chosen if names is None else [name for name in chosen if name in names]
    found: dict[str, Any] = {}
    for metric in METRICS:
        part = curves[(curves["metric"] == metric) & curves["y"].isin(chosen)]
        found[metric] = drawing.all_curves(metric, part)
    for name in chosen:
        for metric in METRICS:
            dots = points.loc[points["y"] == name, ["share", metric]]
            curve = curves[(curves["metric"] == metric) & (curves["y"] == name)]
            found[f"{metric}:{name}"] = drawing.one_curve(metric, name, dots, curve)
    return found
