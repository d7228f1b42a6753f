"""score(): the held-out scorecard of implicates whose truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fusionpy.errors import ArgumentError, Problems, few, repeated, settle_seed, shown
from fusionpy.evaluation.measures import (
    N_FOLDS,
    Errors,
    Found,
    How,
    ScoredRecords,
    group_codes,
    make_part,
    scaled_predictors,
    score_all,
    score_one,
)
from fusionpy.evaluation.observed import ObservedVariable, read_scored
from fusionpy.evaluation.scorecard import AIMS, FLOOR, FUSED, HOT_DECK, UNCONDITIONAL, Scorecard
from fusionpy.evaluation.violations import take_rules, violations
from fusionpy.formats.implicates import open_implicates
from fusionpy.frames.tables import as_table
from fusionpy.model import FusionModel
from fusionpy.progress import tell_of_seed, track

__all__ = ["score"]

FEWEST_DRAWS = 19  # whose central 90 % range can be told


def score(
    truth: Any,
    implicates: Any,
    y: str | Sequence[str | Sequence[str]] | None = None,
    *,
    x: str | Sequence[str] | None = None,
    weight: str | None = None,
    baselines: bool = True,
    draws: int | None = None,
    min_size: int = 50,
    classifier: bool = True,
    cores: int = 1,
    seed: int | None = None,
    quiet: bool = False,
    rules: str | Sequence[str] | FusionModel | None = None,
) -> Scorecard:
    r"""Judge implicates of records whose true values are known but were held out.

    Parameters
    ----------
    truth : pandas or polars DataFrame, or pyarrow Table
        One row per recipient, with the true values. Rows without a true value are left out variable by
        variable.
    implicates : DataFrame, Table or path
        What `fuse` returned or wrote: column M, and the drawn values, rows of each implicate in the order of
        `truth`. Files are read column by column.
    y : str or sequence of str, optional
        Variables to judge; blocks are taken apart. Missing: all columns that both have, other than M, `x` and
        `weight`, and those that are the same in every implicate as in `truth`.
    x : str or sequence of str, optional
        Predictors, columns of `truth`: without them there are no subgroups and no hot deck.
    weight : str, optional
        Column of survey weights in `truth`; negative ones count as 0.
    baselines : bool
        Score the baselines and the sampling floor too.
    draws : int, optional
        Draws of each baseline, at least 2. Missing: M, or 20 if M = 1.
    min_size : int
        Records that a subgroup has at least.
    classifier : bool
        Compute `auc`, which takes most of the time.
    cores : int
        Threads. The result does not depend on it.
    seed : int, optional
        Of the baselines' draws and the classifier. Missing: drawn, told, and kept in the result.
    quiet : bool
        No progress.
    rules : str, sequence of str, or FusionModel, optional
        Count the records that break these, ``"debt <= assets"`` or ``"income = wages + other"``, as in
        `train`; or those of a model.

    Returns
    -------
    Scorecard
        Prints as a table: one row per variable and measure, one column per way.

    Raises
    ------
    ArgumentError
        If arguments are wrong.
    SchemaError
        If columns cannot be compared.

    Notes
    -----
    Measures, weighted unless said; lower is better unless an aim is given:

    ============= ====================================================================================
    ``crps``      Continuous: fair continuous ranked probability score over that of unconditional draws
    ``brier``     Categorical: fair Brier score over that of the true shares
    ``energy``    All y: fair energy score over that of unconditional draws; numbers on the rank-normal
                  scale of the truth, different classes at distance 1
    ``cover90``   Share of true values within the central 90 % range of the record's own draws; aim 0.9,
                  with M < 19 draws (M - 1) / (M + 1)
    ``zero_err``  Absolute difference of the shares of zeros
    ``share_err`` Largest absolute difference of a class's share
    ``w1``        Wasserstein-1 distance of the two distributions over the true standard deviation
    ``q90``       90th percentile, drawn over true; aim 1
    ``q99``       99th percentile, drawn over true; aim 1
    ``mean``      Mean, drawn over true; aim 1
    ``top1``      Share of the total that the highest hundredth of the records holds, drawn over true; aim 1
    ``corr_err``  Mean absolute difference of Spearman's correlations (unweighted) between all columns of x
                  and y, nominal ones as dummies; first implicate
    ``auc``       How well boosted trees tell the first implicate, joined to x, from the truth, joined to x,
                  in folds that they have not seen: area under the curve; aim 0.5
    ``subgroup``  Median relative error of means (of shares above 0.02) over the groups of every x, numbers
                  grouped by their fifths
    ============= ====================================================================================

    The first three are zero only if the truth can be foreseen; they tell methods apart on the same records.
    "Fair" scores do not depend on M, but need M > 1 (Ferro 2014).

    The other ways, for comparison:

    unconditional draw
        Whole true records drawn with probability proportional to weight, whatever x.
    random hot deck
        The whole true record of one of the 10 other records that are nearest on x, chosen at random anew for
        each implicate. Distances are Euclidean, over numbers, ordered levels and booleans in standard
        deviations (missing ones at the mean) and dummies of nominal predictors, scaled so that the variances
        of a predictor's dummies add up to 1. Of more than 20,000 records, 20,000 are candidates.
    sampling floor
        What is left when the distribution is right, as the truth is a sample too: the truth is compared with
        ten bootstrap resamples of its rows, x, y and weight together (one resample for ``auc``). Given is the
        aim plus the mean distance from it. Scores of single records have no floor. Implicates may score a
        little below it, as their x are those of the truth.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> truth = pd.DataFrame({"age": rng.integers(20, 80, 400)})
    >>> truth["kwh"] = truth["age"] + rng.normal(size=400)
    >>> drawn = [pd.DataFrame({"M": m, "kwh": truth["age"] + rng.normal(size=400)}) for m in range(1, 21)]
    >>> score(truth, pd.concat(drawn), x="age", classifier=False, seed=0, quiet=True)
    Scorecard: 400 records, M = 20, seed 0
    ...
    """
    problems = Problems(
        ArgumentError, "`score()` cannot start.", "See `help(fusionpy.score)` for what it takes."
    )
    seed_given = seed is not None
    seed = _check_arguments(cores, draws, min_size, seed, problems)
    wanted, predictors = _names(y, "y", problems), _names(x, "x", problems) or []
    _check_roles(wanted or [], predictors, weight, problems)
    demanded = take_rules(rules, problems)
    problems.stop()
    table, drawn = as_table(truth, "truth"), open_implicates(implicates, "implicates")
    notes: list[str] = []
    xs, ys, w = read_scored(table, drawn, wanted, predictors, weight, notes)
    if not seed_given:
        tell_of_seed("score", seed, quiet)
    n_draws = int(draws) if draws is not None else drawn.M if drawn.M > 1 else 20
    how = How(n_draws, int(min_size), baselines, classifier, seed, int(cores))
    points = scaled_predictors(xs) if baselines and xs else None
    groups = [group_codes(field) for field in xs]
    parts: dict[bytes, ScoredRecords | None] = {}

    def part_of(fields: Sequence[ObservedVariable]) -> ScoredRecords | None:
        known = ~np.any([np.isnan(field.observed) for field in fields], axis=0)
        if (key := known.tobytes()) not in parts:
            parts[key] = make_part(known, w, points, how)
        return parts[key]

    found: Found = {}
    errors: Errors = {}
    n_ways = 3 + (points is not None) if baselines else 1
    with track("score", len(ys) + n_ways, quiet) as tick:
        for field in ys:
            if (part := part_of([field])) is not None:
                score_one(field, part, groups, how, found, errors)
            tick(doing=field.name)
        if (part := part_of(ys)) is not None:
            score_all(xs, ys, part, how, found, tick)
    for way in dict.fromkeys(way for way, _ in errors):
        each = [np.concatenate(e) for (of, _), e in errors.items() if of == way and e]
        medians = [np.median(e) for e in each if len(e)]
        found[way, None, "subgroup"] = (float(np.mean(medians)) if medians else np.nan, table.n_rows)
    _tell(bool(xs), ys, part, drawn.M, how, found, notes)
    broken = violations(demanded, table, drawn) if demanded else None
    return Scorecard(_as_frame(found, drawn.M, how), table.n_rows, drawn.M, seed, tuple(notes), broken)


def aim_of(measure: str, n_draws: int) -> float:
    """Tell what a measure should be near: few draws cannot cover 90 %."""
    if measure == "cover90" and n_draws < FEWEST_DRAWS:
        return (n_draws - 1) / (n_draws + 1)
    return AIMS[measure]


def _as_frame(found: Found, M: int, how: How) -> pd.DataFrame:
    ways = [FUSED, UNCONDITIONAL, HOT_DECK, FLOOR]
    rows = [
        (way, name, measure, value, aim_of(measure, M if way == FUSED else how.draws), n)
        for (way, name, measure), (value, n) in sorted(found.items(), key=lambda item: ways.index(item[0][0]))
    ]
    frame = pd.DataFrame(rows, columns=["way", "y", "measure", "value", "aim", "n"])
    frame["y"] = pd.Series([row[1] for row in rows], dtype=object)
    return frame


def _tell(
    has_x: bool,
    ys: Sequence[ObservedVariable],
    part: ScoredRecords | None,
    M: int,
    how: How,
    found: Found,
    notes: list[str],
) -> None:
    """Note what could not be computed, and why."""
    if not has_x:
        notes.append("Without `x` there are no subgroups" + (" and no hot deck." if how.baselines else "."))
    if M == 1:
        notes.append("M = 1: crps, brier, energy and cover90 need more than one implicate.")
    elif M < FEWEST_DRAWS:
        aim = aim_of("cover90", M)
        notes.append(f"With {M} draws the range of cover90 holds less than 90 %: its aim is {aim:.2f}.")
    if part is None:
        notes.append("No record of positive weight has all true values: measures of all y are left out.")
    elif how.classifier and len(part.rows) < N_FOLDS:
        notes.append(f"Fewer than {N_FOLDS} records: auc is not defined.")
    unweighted = [f.name for f in ys if not any(name == f.name for _, name, _ in found)]
    if unweighted:
        notes.append(f"{few(unweighted, '`')}: no record with a true value has weight.")
    judged = [f for f in ys if f.name not in unweighted]
    constant = [f.name for f in judged if len(np.unique(f.observed[~np.isnan(f.observed)])) == 1]
    if constant:
        notes.append(f"{few(constant, '`')}: one true value only, so crps, brier and w1 are not defined.")
    for measure in ("q90", "q99"):
        zero = [f.name for f in judged if np.isnan(found.get((FUSED, f.name, measure), (0.0, 0))[0])]
        if zero:
            notes.append(f"{few(zero, '`')}: the true percentile is 0, so {measure} is not defined.")
    for measure, why in (("mean", "the true mean is 0"), ("top1", "a total is not positive")):
        nought = [f.name for f in judged if np.isnan(found.get((FUSED, f.name, measure), (0.0, 0))[0])]
        if nought:
            notes.append(f"{few(nought, '`')}: {why}, so {measure} is not defined.")
    if has_x and any(
        measure == "subgroup" and np.isnan(value) for (_, _, measure), (value, _) in found.items()
    ):
        notes.append(f"No group has {how.min_size} records: subgroup is not defined.")


def _check_arguments(cores: Any, draws: Any, min_size: Any, seed: Any, problems: Problems) -> int:
    for name, value, low in (("cores", cores, 1), ("draws", draws, 2), ("min_size", min_size, 1)):
        if not (name == "draws" and value is None):
            problems.whole(name, value, low)
    return settle_seed(seed, problems)


def _names(given: Any, argument: str, problems: Problems) -> list[str] | None:
    """Take names of columns, blocks taken apart; None if none are given."""
    if given is None or isinstance(given, str):
        return None if given is None else [given]
    is_list = isinstance(given, Sequence | np.ndarray) or hasattr(given, "to_list")
    parts = [part if isinstance(part, list | tuple) else [part] for part in (given if is_list else [given])]
    names: list[Any] = [name for part in parts for name in part]
    if not names or not all(isinstance(name, str) for name in names):
        problems.add(f"`{argument}` must be a column name or a list of them, not {shown(given)}.")
        return []
    if twice := repeated(names):
        problems.add(f"`{argument}` names {few(twice, '`')} more than once.")
    return names


def _check_roles(y: Sequence[str], x: Sequence[str], weight: Any, problems: Problems) -> None:
    problems.name("weight", weight, "a column name")
    if both := [name for name in y if name in x]:
        problems.add(f"{few(both, '`')}: in both `x` and `y`.")
    if weight in (*y, *x):
        problems.add(f"`weight` {few([weight], '`')} is in `x` or `y` too.")
    if "M" in (*y, *x):
        problems.add("`M` numbers the implicates: it cannot be in `x` or `y`.")
