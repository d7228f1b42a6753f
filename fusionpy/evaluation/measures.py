"""Every measure, for implicates, baselines and resamples alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.lightgbm.classifier import held_out_probability
from fusionpy.evaluation.columns import Array, Codes
from fusionpy.evaluation.observed import ObservedVariable
from fusionpy.evaluation.scorecard import AIMS, FLOOR, FUSED, HOT_DECK, UNCONDITIONAL
from fusionpy.kernels.cells import group_errors, means_by_group, quantile_cells, shares_by_group
from fusionpy.kernels.clusters import nearest_others
from fusionpy.kernels.dependence import normal_places, pairwise_rank_correlations
from fusionpy.kernels.detection import paired_folds, weighted_auc
from fusionpy.kernels.marginals import marginal_errors
from fusionpy.kernels.scores import fair_brier, fair_crps, fair_energy, own_range

__all__ = [
    "N_FOLDS",
    "Errors",
    "Found",
    "How",
    "ScoredRecords",
    "group_codes",
    "make_part",
    "scaled_predictors",
    "score_all",
    "score_one",
]

N_NEAREST = 10  # of the hot deck
N_RESAMPLES = 10  # of the sampling floor
N_FOLDS = 5
LEAST_SHARE = 0.02  # of a class in a group, to count among the subgroups
MOST_CANDIDATES = 20_000  # for the hot deck
CELLS_AT_ONCE = 2**21

Found = dict[tuple[str, str | None, str], tuple[float, int]]  # way, variable, measure: value, records
Errors = dict[tuple[str, int], list[Array]]  # way, resample: relative errors of subgroups


@dataclass(frozen=True)
class How:
    """The arguments of `score` that the scoring itself needs."""

    draws: int
    min_size: int
    baselines: bool
    classifier: bool
    seed: int
    cores: int


@dataclass(frozen=True)
class ScoredRecords:
    """The records that are scored together: those with a true value.

    Attributes
    ----------
    rows : (n,) intp
        Rows of `truth`.
    weight : (n,) float64
        Sums to 1.
    donors : mapping of str to (n, draws) intp
        For each baseline the records, as places in `rows`, whose true values it draws.
    resamples : (R, n) intp
        Bootstrap samples of the records.
    """

    rows: Codes
    weight: Array
    donors: Mapping[str, Codes]
    resamples: Codes

    def ways(self, baselines: bool) -> list[str]:
        """Ways of making implicates, this side of the sampling floor."""
        return [FUSED, *self.donors] if baselines else [FUSED]

    def draws(
        self, field: ObservedVariable, way: str, first: int = 0, last: int | None = None
    ) -> NDArray[Any]:
        """Drawn values of consecutive records, one column an implicate."""
        if way == FUSED:
            return field.drawn[self.rows[first:last]]
        return field.true(self.rows)[self.donors[way][first:last]]


def make_part(known: NDArray[np.bool_], w: Array, points: Array | None, how: How) -> ScoredRecords | None:
    """Choose records and draw their baselines; None if they have no weight."""
    rows = np.flatnonzero(known)
    n, total = len(rows), w[known].sum()
    if not total > 0:
        return None
    weight = w[rows] / total
    rng = np.random.default_rng(how.seed)
    donors = {UNCONDITIONAL: np.stack([rng.choice(n, n, p=weight) for _ in range(how.draws)], axis=1)}
    if points is not None and n > 1:
        rng = np.random.default_rng([how.seed, 1])
        some = rng.choice(n, MOST_CANDIDATES, replace=False) if n > MOST_CANDIDATES else np.arange(n)
        near = nearest_others(points[rows], N_NEAREST, some, rng)
        pick = rng.integers(0, near.shape[1], (n, how.draws))
        donors[HOT_DECK] = np.take_along_axis(near, pick, axis=1)
    n_resamples = N_RESAMPLES if how.baselines else 0
    resamples = np.random.default_rng([how.seed, 2]).integers(0, n, (n_resamples, n))
    return ScoredRecords(rows, weight, donors, resamples)


def score_one(
    field: ObservedVariable,
    part: ScoredRecords,
    cells: Sequence[Codes],
    how: How,
    found: Found,
    errors: Errors,
) -> None:
    """Score one variable, all ways."""
    truth, w = field.true(part.rows), part.weight
    n, n_levels = len(truth), len(field.levels)
    groups = [_large(codes[part.rows], how.min_size) for codes in cells]
    if field.is_class:  # of the true shares themselves, not of draws
        share = np.bincount(truth, w, n_levels)
        base = {"brier": float(1 - share @ share)}
    else:
        base = _record_scores(truth, part.draws(field, UNCONDITIONAL), w, 0)
    for way in part.ways(how.baselines):
        draws = part.draws(field, way)
        single = _record_scores(truth, draws, w, n_levels)
        for name, value in single.items():
            divisor = base.get(name, 0.0) if name != "cover90" else 1.0
            found[way, field.name, name] = (value / divisor if divisor > 0 else np.nan, n)
        for name, value in _marginals(truth, w, draws, w, n_levels).items():
            found[way, field.name, name] = (value, n)
        errors.setdefault((way, 0), []).extend(_subgroups(truth, w, groups, draws, w, groups, n_levels))
    resampled: list[dict[str, float]] = []
    for r, index in enumerate(part.resamples):
        if not (w_r := w[index]).any():
            continue
        draws, groups_r = truth[index][:, None], [codes[index] for codes in groups]
        resampled.append(_marginals(truth, w, draws, w_r / w_r.sum(), n_levels))
        errors.setdefault((FLOOR, r), []).extend(_subgroups(truth, w, groups, draws, w_r, groups_r, n_levels))
    for name in resampled[0] if resampled else ():
        found[FLOOR, field.name, name] = (_typical(name, [each[name] for each in resampled]), n)


def _typical(measure: str, values: Sequence[float]) -> float:
    """Add to the aim the mean distance from it."""
    return AIMS[measure] + float(np.mean(np.abs(np.asarray(values) - AIMS[measure])))


def _record_scores(truth: NDArray[Any], draws: NDArray[Any], w: Array, n_levels: int) -> dict[str, float]:
    """Scores of records by their own draws, averaged; undefined for a single draw."""
    if n_levels:
        one = draws.shape[1] < 2
        return {"brier": np.nan if one else float(w @ fair_brier(draws, truth, n_levels))}
    if draws.shape[1] < 2:
        return {"crps": np.nan, "cover90": np.nan}
    low, high = own_range(draws)
    covered = (truth >= low) & (truth <= high)
    return {"crps": float(w @ fair_crps(draws, truth)), "cover90": float(w @ covered)}


def _marginals(
    truth: NDArray[Any], w: Array, draws: NDArray[Any], draws_w: Array, n_levels: int
) -> dict[str, float]:
    """Compare the distribution over all records."""
    if not n_levels:
        return marginal_errors(truth, w, draws, draws_w)
    share = np.bincount(truth, w, n_levels)
    drawn = shares_by_group(np.zeros(len(draws), np.intp), 1, draws, n_levels, draws_w)[0]
    return {"share_err": float(np.abs(drawn - share).max())}


def _subgroups(
    truth: NDArray[Any],
    w: Array,
    groups: Sequence[Codes],
    draws: NDArray[Any],
    draws_w: Array,
    draws_groups: Sequence[Codes],
    n_levels: int,
) -> list[Array]:
    """Relative errors of means or shares in the groups of each predictor."""
    out = []
    for cell, draws_cell in zip(groups, draws_groups, strict=True):
        k = int(cell.max(initial=-1)) + 1
        if n_levels:
            true = shares_by_group(cell, k, truth[:, None], n_levels, w)
            drawn = shares_by_group(draws_cell, k, draws, n_levels, draws_w)
        else:
            true = means_by_group(cell, k, truth, w)
            drawn = means_by_group(draws_cell, k, draws.mean(axis=1), draws_w)
        out.append(group_errors(drawn, true, LEAST_SHARE if n_levels else 0.0))
    return out


def _large(codes: Codes, min_size: int) -> Codes:
    """Leave out the groups that are too small."""
    size = np.bincount(codes + 1)
    return np.where(size[codes + 1] >= min_size, codes, -1)


class _Joint:
    """All variables of some records together, true ones and drawn ones."""

    def __init__(
        self, xs: Sequence[ObservedVariable], ys: Sequence[ObservedVariable], part: ScoredRecords, how: How
    ) -> None:
        self.ys, self.part, self.how = ys, part, how
        rows, n = part.rows, len(part.rows)
        self.place = [np.sort(field.observed[rows]) for field in ys]
        self.is_class = np.array([field.is_class for field in ys])
        scaled = [_scaled(f, s, f.observed[rows]) for f, s in zip(ys, self.place, strict=True)]
        self.true = np.stack(scaled, axis=1)
        self.x = [model_columns(field, field.observed[rows]) for field in xs]
        self.joined = np.hstack([*self.x, *(model_columns(field, field.observed[rows]) for field in ys)])
        self.correlations = pairwise_rank_correlations(self.joined)
        self.fold = _folds(n, how.seed) if how.classifier and n >= N_FOLDS else None

    def first_draws(self, way: str) -> Array:
        """Model matrix of the predictors and the first implicate."""
        draws = (self.part.draws(field, way)[:, 0].astype(np.float64) for field in self.ys)
        return np.hstack([*self.x, *(model_columns(f, v) for f, v in zip(self.ys, draws, strict=True))])

    def energy(self, way: str) -> float:
        """Fair energy score; undefined for a single draw."""
        part, w = self.part, self.part.weight
        total, M = 0.0, self.ys[0].drawn.shape[1] if way == FUSED else self.how.draws
        if M < 2:
            return np.nan
        step = max(1, CELLS_AT_ONCE // (M * len(self.ys)))
        for first in range(0, len(w), step):
            last = first + step
            if way == FUSED:
                each = [
                    _scaled(f, s, part.draws(f, way, first, last))
                    for f, s in zip(self.ys, self.place, strict=True)
                ]
                drawn = np.stack(each, axis=2)
            else:
                drawn = self.true[part.donors[way][first:last]]
            total += float(w[first:last] @ fair_energy(drawn, self.true[first:last], self.is_class))
        return total

    def corr_err(self, drawn: Array) -> float:
        """Mean absolute difference of rank correlations."""
        apart = np.abs(self.correlations - pairwise_rank_correlations(drawn))
        apart = apart[np.triu_indices(len(self.correlations), 1)]
        return float(np.nanmean(apart)) if np.isfinite(apart).any() else np.nan

    def auc(self, drawn: Array, index: Codes | slice = slice(None)) -> float:
        """Area under the curve of a classifier that tells drawn records (of `index`) from true ones."""
        if self.fold is None:
            return np.nan
        w, n = self.part.weight, len(self.part.rows)
        label = np.repeat([True, False], n)
        weight = np.concatenate([w, w[index]]) * n
        both = np.concatenate([self.fold, self.fold[index]])
        rows = np.vstack([self.joined, drawn])
        value = held_out_probability(rows, label, weight, both, seed=self.how.seed, cores=self.how.cores)
        return weighted_auc(label, value, weight)


def score_all(
    xs: Sequence[ObservedVariable],
    ys: Sequence[ObservedVariable],
    part: ScoredRecords,
    how: How,
    found: Found,
    tick: Callable[..., None],
) -> None:
    """Score all variables together, all ways."""
    n, joint = len(part.rows), _Joint(xs, ys, part, how)
    base = joint.energy(UNCONDITIONAL)
    for way in part.ways(how.baselines):
        drawn = joint.first_draws(way)
        value = base if way == UNCONDITIONAL else joint.energy(way)
        found[way, None, "energy"] = (value / base if base > 0 else np.nan, n)
        found[way, None, "corr_err"] = (joint.corr_err(drawn), n)
        if how.classifier:
            found[way, None, "auc"] = (joint.auc(drawn), n)
        tick(doing=way)
    if len(part.resamples):
        apart = [joint.corr_err(joint.joined[index]) for index in part.resamples]
        found[FLOOR, None, "corr_err"] = (_typical("corr_err", apart), n)
        if how.classifier:
            index = part.resamples[0]
            found[FLOOR, None, "auc"] = (_typical("auc", [joint.auc(joint.joined[index], index)]), n)
        tick(doing=FLOOR)


def _scaled(field: ObservedVariable, ascending: Array, values: NDArray[Any]) -> Array:
    """Values on the rank-normal scale of the truth; codes as they are."""
    return values.astype(np.float64) if field.is_class else normal_places(ascending, values)


def _folds(n: int, seed: int) -> Codes:
    """Folds of the records, as scikit-learn's `StratifiedGroupKFold` makes them of records in pairs."""
    order = np.arange(n)
    np.random.RandomState(seed % 2**32).shuffle(order)
    fold = np.empty(n, dtype=np.intp)
    fold[order] = paired_folds(n, N_FOLDS)
    return fold


def model_columns(field: ObservedVariable, values: Array) -> Array:
    """Columns of the model matrix: dummies if nominal, else the values or codes."""
    if field.kind == "nominal":
        return np.asarray(values[:, None] == np.arange(len(field.levels)), dtype=np.float64)
    # A missing ordered level comes before the first, a missing number stays missing.
    return np.where(np.isnan(values), -1.0, values)[:, None] if field.kind == "ordered" else values[:, None]


def group_codes(field: ObservedVariable) -> Codes:
    """Group records by a predictor: its levels (missing ones too), or fifths; -1: in no group."""
    if not field.is_class:
        return quantile_cells(field.observed)
    return np.where(np.isnan(field.observed), len(field.levels), field.observed).astype(np.intp)


def scaled_predictors(xs: Sequence[ObservedVariable]) -> Array:
    """Predictors on comparable scales, for distances."""
    columns: list[Array] = []
    for field in xs:
        if field.kind == "nominal":
            dummies = model_columns(field, field.observed)
            columns.append(dummies / np.sqrt(max(dummies.var(axis=0).sum(), 1e-12)))
            continue
        has = ~np.isnan(field.observed)
        mean, sd = field.observed[has].mean(), field.observed[has].std()
        columns.append((np.where(has, field.observed, mean) - mean)[:, None] / (sd if sd > 0 else 1.0))
    return np.hstack(columns)
