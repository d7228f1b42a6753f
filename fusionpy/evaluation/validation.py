"""validate(): do implicates fused back onto donors give the donors' own estimates? plot_valid(): see it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fusionpy import figures as drawing
from fusionpy.errors import ArgumentError, Problems, counted, few, meant, shown
from fusionpy.evaluation.comparisons import METRICS, compare, names_compared, smooth_metrics
from fusionpy.evaluation.validation_figures import (
    FIGURES_SHOWN,
    Figures,
    draw_figures,
    figure_files,
    figure_names,
)
from fusionpy.evaluation.violations import tell_violations, violations
from fusionpy.figures.layout import Grid, Page
from fusionpy.formats.atomic import written_aside
from fusionpy.frames.returned import return_table
from fusionpy.frames.tables import as_table
from fusionpy.model import FusionModel

__all__ = ["Validation", "plot_valid", "validate"]


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
        return draw_figures(self.table, self.smooth, self.summary)

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
    names = None if y is None else names_compared(y, "y", problems)
    problems.whole("cores", cores, 1)
    if not isinstance(valid, Validation):
        problems.add(f"`valid` must be what `validate()` returned, not {shown(valid)}.")
    else:
        known = as_table(valid.summary).column("y").to_pylist()
        for name in names or []:
            if name not in known:
                problems.add(f"`y` names `{name}`, which was not validated{meant(name, known)}.")
    problems.stop()
    drawn = valid.table, valid.smooth, valid.summary
    if path is None:
        figures = valid.figures if names is None else draw_figures(*drawn, names)
        return Figures(figures, FIGURES_SHOWN if names is None else len(figures))
    targets = figure_files(path, list(figure_names(known if names is None else names)))
    figures = valid.figures if names is None else draw_figures(*drawn, names)
    for name, target in targets.items():
        is_shared = ":" not in name
        width, height = drawing.ALL_SIZE if is_shared else drawing.ONE_SIZE
        with written_aside(target) as aside:
            drawing.write_figure(figures[name], aside, target.suffix[1:].lower(), width, height)
    return [str(target) for target in targets.values()]
