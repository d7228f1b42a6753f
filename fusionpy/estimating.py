"""Estimate what is asked for in one implicate: values by group, and their sampling variances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import ArgumentError, shown
from fusionpy.estimands import Estimand
from fusionpy.frames import own_copy, to_floats
from fusionpy.kernels.estimates import (
    Moments,
    Shares,
    cochran_variance,
    group_moments,
    group_shares,
    share_variance,
)
from fusionpy.kernels.quantiles import (
    Sorted,
    density_at,
    gini_variance,
    group_gini,
    group_quantiles,
    sort_groups,
    woodruff_variance,
)
from fusionpy.kernels.rubin import Rule
from fusionpy.kernels.strata import bootstrap_counts
from fusionpy.kernels.uniforms import ANALYSIS, uniforms

__all__ = [
    "Answer",
    "Groups",
    "Levels",
    "Measured",
    "Replicates",
    "answer",
    "can_group",
    "column_values",
    "count_infinite",
]

Array = NDArray[np.float64]
Cells = NDArray[np.intp]
MOST_LOOKED_UP = 2**22  # combinations of levels that are found by table rather than by sorting
MOST_KEYS = 2**62  # what a combination of levels is numbered by must fit into 64 bits
QUANTILES = ("median", "quantile")
MEDIAN_BOOTSTRAPS, MEDIAN_MOST = 200, 1000  # the reference's, section 5
Z = 1.6448536269514722  # 95th percentile of the normal distribution, by which variances of quantiles are had


class Levels:
    """Levels of a column, as they are met: implicate after implicate, they keep their codes."""

    def __init__(self) -> None:
        self.labels: list[Any] = []
        self.place: dict[Any, int] = {}
        self.type: pa.DataType | None = None  # of the column that was met first

    def codes(self, array: pa.Array) -> Cells:
        """Code a column: (n,) intp, -1 where missing."""
        self.type = self.type or array.type
        if not pa.types.is_dictionary(array.type):
            if pa.types.is_boolean(array.type) and not self.labels:
                self._learn([False, True])
            array = array.dictionary_encode()
        known = self._learn(array.dictionary.to_pylist())
        indices = array.indices.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
        return np.asarray(np.append(known, -1)[indices])

    def _learn(self, values: Iterable[Any]) -> Cells:
        known = [None if value != value else value for value in values]  # polars keeps NaN apart from null
        for value in known:
            if value not in self.place and value is not None:
                self.place[value] = len(self.labels)
                self.labels.append(value)
        return np.array([-1 if v is None else self.place[v] for v in known], dtype=np.intp)

    @property
    def order(self) -> list[int]:
        """Codes in the order in which results show them: the column's own, or ascending."""
        if self.type is not None and pa.types.is_dictionary(self.type):
            return list(range(len(self.labels)))
        return sorted(range(len(self.labels)), key=lambda code: self.labels[code])


class Groups:
    """Groups of records by their levels in some columns, as they are met."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.levels = [Levels() for _ in names]
        self.numbers: dict[tuple[int, ...], int] = {} if names else {(): 0}
        self._last: tuple[list[pa.Array], Cells] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def cells(self, columns: Sequence[pa.Array], n_rows: int) -> Cells:
        """Find the group of every record: (n,) intp; a missing level makes a group of its own."""
        before, cells = self._last or ([], np.empty(0, dtype=np.intp))
        is_same = len(cells) == n_rows and len(before) == len(columns)
        if is_same and all(new is old for new, old in zip(columns, before, strict=True)):
            return cells  # static columns are the same in every implicate
        cells = self._cells(columns, n_rows)
        self._last = list(columns), cells
        return cells

    def _cells(self, columns: Sequence[pa.Array], n_rows: int) -> Cells:
        if not self.names:
            return np.zeros(n_rows, dtype=np.intp)
        codes = [levels.codes(column) for levels, column in zip(self.levels, columns, strict=True)]
        key, n_keys = np.zeros(n_rows, dtype=np.intp), 1
        for code, levels in zip(codes, self.levels, strict=True):
            size = len(levels.labels) + 1
            if n_keys * size > MOST_KEYS:  # only those that occur go on
                key = np.unique(key, return_inverse=True)[1].ravel()
                n_keys = int(key.max(initial=0)) + 1
            key, n_keys = key * size + (code + 1), n_keys * size
        if n_keys <= MOST_LOOKED_UP:
            first = np.full(n_keys, -1, dtype=np.intp)
            first[key[::-1]] = np.arange(n_rows)[::-1]
            found, place = np.flatnonzero(first >= 0), key
            first, number = first[found], np.full(n_keys, -1, dtype=np.intp)
        else:
            found, first, place = np.unique(key, return_index=True, return_inverse=True)
            found, number = np.arange(len(found)), np.empty(len(found), dtype=np.intp)
        met = zip(*(code[first].tolist() for code in codes), strict=True)
        number[found] = [self.numbers.setdefault(levels, len(self.numbers)) for levels in met]
        return number[place.ravel()]


@dataclass
class Replicates:
    """Replicate weights and what their spread is worth.

    Attributes
    ----------
    weights : (n, R) float64, one column after the other
    scale : float
        The variance is ``scale`` times the sum of squared differences from the full-sample estimate.
    cores : int
        Threads that work on them.
    """

    weights: Array
    scale: float
    cores: int = 1

    def __len__(self) -> int:
        return int(self.weights.shape[1])


@dataclass
class Measured:
    """What one estimand needs of one implicate.

    Attributes
    ----------
    estimand : Estimand
    cell : (n,) intp
    n_cells : int
    x : (n,) float64
        Values, NaN where missing; of a categorical variable its codes, -1 where missing.
    levels : Levels or None
    other : (n,) float64, of a ratio
    frame : callable, of a user's function
        Makes the frame of some rows.
    names : list of str
        Of what the user's function returns, once that is known.
    infinite : tuple of (str, int)
        Columns with infinite values, which are taken for missing, and how many.
    """

    estimand: Estimand
    cell: Cells
    n_cells: int
    x: Any
    levels: Levels | None = None
    other: Array | None = None
    frame: Callable[[NDArray[np.intp]], Any] | None = None
    names: list[str] = field(default_factory=list)
    infinite: tuple[tuple[str, int], ...] = ()
    _moments: tuple[Array, Moments] | None = None  # with the weights last used
    _shares: tuple[Array, Shares] | None = None
    _order: Sorted | None = None
    _parts: list[tuple[NDArray[np.intp], Any]] | None = None

    @property
    def order(self) -> Sorted:
        """Rows by group and value."""
        if self._order is None:
            self._order = sort_groups(self.cell, self.n_cells, self.x)
        return self._order

    @property
    def parts(self) -> list[tuple[NDArray[np.intp], Any]]:
        """Rows of each group, and their frame."""
        if self._parts is None:
            assert self.frame is not None
            start, row = sort_groups(self.cell, self.n_cells, np.zeros(len(self.cell)))
            rows = [row[start[c] : start[c + 1]] for c in range(self.n_cells)]
            self._parts = [(each, self.frame(each)) for each in rows]
        return self._parts

    def moments(self, w: Array, x: Array | None = None) -> Moments:
        """Moments by group of the variable, or of another in its place."""
        if x is not None and x is not self.x:
            return group_moments(self.cell, self.n_cells, w, x)
        found = self._moments  # threads share this: what is looked at must be what is returned
        if found is None or found[0] is not w:
            found = self._moments = w, group_moments(self.cell, self.n_cells, w, self.x)
        return found[1]

    def shares(self, w: Array) -> Shares:
        """Weights of the levels by group."""
        assert self.levels is not None
        found = self._shares
        if found is None or found[0] is not w:
            levels = len(self.levels.labels)
            found = self._shares = w, group_shares(self.cell, self.n_cells, w, self.x, levels)
        return found[1]


class Answer(NamedTuple):
    """One implicate's answer to one estimand, for k groups and L levels.

    Attributes
    ----------
    n, n_eff : (k,) float64
    estimate, variance : (k, L) float64
        NaN where not defined.
    replicate : (k, L) float64
        The estimate with this implicate's replicate weight; of no use without.
    absent : (group, level) of float
        What is to be taken for groups and levels that other implicates have, and this one does not.
    infinite : tuple of (str, int)
        As of `Measured`.
    """

    n: Array
    n_eff: Array
    estimate: Array
    variance: Array
    replicate: Array
    absent: tuple[float, float]
    infinite: tuple[tuple[str, int], ...] = ()


def can_group(kind: pa.DataType) -> bool:
    """Tell whether records can be put into groups by the values of an Arrow type.

    Examples
    --------
    >>> can_group(pa.dictionary("int8", "string")), can_group(pa.list_(pa.int8()))
    (True, False)
    """
    is_ = pa.types
    if is_.is_nested(kind) or is_.is_interval(kind) or isinstance(kind, pa.BaseExtensionType):
        return False
    return not is_.is_float16(kind)


def column_values(array: pa.Array) -> Array:
    """Numbers of a numeric or logical column, NaN where missing or infinite."""
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    values = to_floats(array)
    return values if np.isfinite(values).all() else np.where(np.isfinite(values), values, np.nan)


def count_infinite(array: pa.Array) -> int:
    """Count infinite values of a numeric column, which `column_values` takes for missing."""
    return int(pc.sum(pc.is_inf(array)).as_py() or 0) if pa.types.is_floating(array.type) else 0


def evaluate(data: Measured, w: Array) -> Array:
    """Estimate with some weights.

    Parameters
    ----------
    data : Measured
    w : (n,) float64

    Returns
    -------
    (k, L) float64
    """
    how = data.estimand.how
    if data.levels is not None:
        shares = data.shares(w)
        return shares.share if how in ("mean", "proportion") else shares.weight
    if how == "custom":
        return _custom(data, w)
    if how in ("mean", "sum", "share"):
        moments = data.moments(w)
        amount = np.nan_to_num(moments.mean) * moments.total
        whole = amount.sum()
        shared = amount / whole if whole != 0 else np.full_like(amount, np.nan)
        return {"mean": moments.mean, "sum": amount, "share": shared}[how][:, None]
    if how == "ratio":
        return np.asarray(_ratio(data, w)[0])[:, None]
    if how == "gini":
        return np.asarray(group_gini(*data.order, data.x, w))[:, None]
    share = np.full(data.n_cells, data.estimand.share)
    return np.asarray(group_quantiles(*data.order, data.x, w, share))[:, None]


def answer(
    data: Measured, w: Array, rule: Rule, replicates: Replicates | None, implicate: int, seed: int
) -> Answer:
    """Estimate in one implicate, with the sampling variance that a way of pooling wants.

    Parameters
    ----------
    data : Measured
    w : (n,) float64
    rule : str
        "rubin" and "fusionacs" take the reference's variances, "barnard-rubin" ours.
    replicates : Replicates or None
    implicate : int
        From 0.
    seed : int
        For what has to be drawn: the variance of a user's function, or of a median as the reference has it.

    Returns
    -------
    Answer
    """
    estimate = evaluate(data, w)
    basis: Moments | Shares
    basis = data.shares(w) if data.levels is not None else data.moments(w, _validity(data))
    replicate = np.full_like(estimate, np.nan)
    if replicates is not None and rule == "rubin":
        replicate = evaluate(data, replicates.weights[:, implicate % len(replicates)])[:, : estimate.shape[1]]
    if replicates is not None and rule != "rubin":
        variance = _replicate_variance(data, estimate, replicates)
    elif data.estimand.how == "custom":
        variance = _bootstrap_variance(data, w, estimate, implicate, seed)
    else:
        variance = _variance(data, w, estimate, rule, implicate, seed)
    of_nothing = 0.0 if data.estimand.how in ("sum", "count", "share") else np.nan
    absent = of_nothing, 0.0 if data.levels is not None else np.nan
    variance = np.where(basis.n[:, None] > 0, variance, of_nothing)
    return Answer(basis.n, basis.n_eff, estimate, variance, replicate, absent, data.infinite)


def _validity(data: Measured) -> Array:
    """Zeros where a record counts, NaN where it lacks a value."""
    if data.estimand.how == "custom":
        return np.zeros(len(data.cell))
    return np.asarray(data.x if data.other is None else 0 * data.x + 0 * data.other)


def _replicate_variance(data: Measured, estimate: Array, replicates: Replicates) -> Array:
    """Scaled sum of squared differences; a replicate without a value for a group is left out of it."""
    total, number = np.zeros_like(estimate), np.zeros_like(estimate)
    cores = 1 if data.estimand.how == "custom" else replicates.cores  # the user's function may have a state
    if data.estimand.how in (*QUANTILES, "gini"):
        _ = data.order  # once, for all threads
    with ThreadPoolExecutor(cores) as pool:
        for found in pool.map(lambda r: evaluate(data, replicates.weights[:, r]), range(len(replicates))):
            difference = found[:, : estimate.shape[1]] - estimate
            total += np.nan_to_num(difference) ** 2
            number += ~np.isnan(difference)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(replicates.scale * len(replicates) * total / number)


def _bootstrap_variance(
    data: Measured, w: Array, estimate: Array, implicate: int, seed: int, times: int = 50
) -> Array:
    drawn = [evaluate(data, w * _resample(len(w), implicate, b, seed)) for b in range(times)]
    stacked = np.stack([each[:, : estimate.shape[1]] for each in drawn])
    known = (~np.isnan(stacked)).sum(axis=0)
    centre = np.nansum(stacked, axis=0) / np.maximum(known, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.nansum((stacked - centre) ** 2, axis=0) / (known - 1)
    return np.where(np.isnan(estimate) | (known < 2), np.nan, variance)


def _resample(n: int, implicate: int, number: int, seed: int) -> Array:
    return bootstrap_counts(uniforms(seed, ANALYSIS, n, implicate=implicate, step=number)[0])


def _variance(data: Measured, w: Array, estimate: Array, rule: Rule, implicate: int, seed: int) -> Array:
    """Estimate the sampling variance by formula."""
    how = data.estimand.how
    if data.levels is not None:
        shares = data.shares(w)
        if how in ("mean", "proportion"):
            return _share_variance(shares, rule)
        simple = _share_variance(shares, rule) * shares.total[:, None] ** 2
        if rule != "barnard-rubin":
            return simple
        p, rest = shares.share, shares.squares[:, None] - shares.weight2
        spread2, tilt = (1 - p) ** 2 * shares.weight2 + p**2 * rest, (1 - p) * shares.weight2 - p * rest
        linear = _total_variance(shares, p, spread2, tilt)
        return np.where(linear > 0, linear, simple)
    if how == "ratio":
        ratio, below = _ratio(data, w)
        moments = data.moments(w, data.x - np.append(ratio, 0.0)[data.cell] * data.other)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(cochran_variance(moments) * moments.total**2 / below**2)[:, None]
    if how == "gini":
        return np.asarray(gini_variance(*data.order, data.x, w, estimate[:, 0]))[:, None]
    if how in QUANTILES:
        return _quantile_variance(data, w, estimate[:, 0], rule, implicate, seed)[:, None]
    moments = data.moments(w)
    if how == "mean":
        return _mean_variance(moments, rule)[:, None]
    if how == "sum" and rule != "barnard-rubin":
        return (_mean_variance(moments, rule) * moments.total**2)[:, None]
    mean, spread2 = np.nan_to_num(moments.mean), np.nan_to_num(moments.spread2)
    # Σw²(x - mean), which is 0 with equal weights.
    tilt = np.nan_to_num(data.moments(w**2, data.x + 0.0).mean - moments.mean) * moments.squares
    if how == "sum":
        return _total_variance(moments, mean[:, None], spread2[:, None], tilt[:, None])
    second = np.maximum(spread2 + 2 * mean * tilt + mean**2 * moments.squares, 0.0)  # Σw²x²
    whole, share = (mean * moments.total).sum(), estimate[:, 0]
    n = moments.n.sum()
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = n / (n - 1) * ((1 - share) ** 2 * second + share**2 * (second.sum() - second)) / whole**2
    return np.asarray(variance)[:, None]


def _mean_variance(moments: Moments, rule: Rule) -> Array:
    if rule == "barnard-rubin":
        return cochran_variance(moments)
    if rule == "rubin":
        # A variable that is 0 or 1 throughout is a proportion; in one group alone that is chance (fault 10).
        return cochran_variance(moments, zero_one=bool(moments.zero_one.all()))
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = moments.spread / (moments.total - 1) / moments.n_eff
    return np.where(moments.n > 1, variance, np.nan)


def _share_variance(shares: Shares, rule: Rule) -> Array:
    if rule == "rubin":
        return share_variance(shares)
    p = shares.share
    with np.errstate(invalid="ignore", divide="ignore"):
        n_eff = shares.n_eff[:, None]
        adjusted = (p * n_eff + Z**2 / 2) / (n_eff + Z**2)  # Agresti and Coull (1998)
        simple = adjusted * (1 - adjusted) / n_eff
        if rule == "fusionacs":
            return np.where(shares.n[:, None] > 1, simple, np.nan)
        spread2 = (1 - p) ** 2 * shares.weight2 + p**2 * (shares.squares[:, None] - shares.weight2)
        n = shares.n[:, None]
        linear = n / (n - 1) * spread2 / shares.total[:, None] ** 2
    # A share of none or of all has no spread in the sample, which does not make it certain.
    return np.where(n > 1, np.where((p <= 0) | (p >= 1), simple, linear), np.nan)


def _total_variance(basis: Moments | Shares, mean: Array, spread2: Array, tilt: Array) -> Array:
    r"""Estimate the sampling variance of totals of groups where the whole's sum of weights is known.

    With z = x in the group and 0 elsewhere, and mean :math:`\bar z` over all records,
    :math:`n / (n - 1) \sum w^2 (z - \bar z)^2`, from the group's mean, :math:`\sum w^2 (x - \bar x)^2` and
    :math:`\sum w^2 (x - \bar x)`, so that a large mean does not drown the spread.
    """
    n, squares = basis.n.sum(), basis.squares[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        overall = mean * (basis.total / basis.total.sum())[:, None]
        beside = overall**2 * (squares.sum() - squares)
        spread = spread2 + 2 * (mean - overall) * tilt + (mean - overall) ** 2 * squares + beside
        return np.asarray(n / (n - 1) * np.maximum(spread, 0.0) if n > 1 else np.full_like(spread, np.nan))


def _ratio(data: Measured, w: Array) -> tuple[Array, Array]:
    """Ratio of two totals by group, and the total below the line."""
    assert data.other is not None
    above = data.moments(w, data.x + 0 * data.other)
    below = data.moments(w, data.other + 0 * data.x)
    with np.errstate(invalid="ignore", divide="ignore"):
        under = below.mean * below.total
        return np.where(under != 0, above.mean * above.total / under, np.nan), under


def _quantile_variance(
    data: Measured, w: Array, found: Array, rule: Rule, implicate: int, seed: int
) -> Array:
    share = data.estimand.share
    if rule == "barnard-rubin":
        return woodruff_variance(data.order, data.x, w, share, Z)
    if rule == "fusionacs":
        return _spacing_variance(data, w, share)
    start, row = data.order
    sizes = np.diff(start)
    out = np.full(data.n_cells, np.nan)
    drawn = np.zeros((0, data.n_cells))
    if (sizes <= MEDIAN_MOST).any() or (found == 0).any():
        each = np.full(data.n_cells, share)
        drawn = np.stack(
            [
                group_quantiles(start, row, data.x, w * _resample(len(w), implicate, b, seed), each)
                for b in range(MEDIAN_BOOTSTRAPS)
            ]
        )
    for c in np.flatnonzero(~np.isnan(found)):
        rows = row[start[c] : start[c + 1]]
        rows = rows[w[rows] > 0]
        values = data.x[rows]
        if len(rows) <= 1 or values.min() == values.max():
            out[c] = 0.0 if len(rows) > 1 else np.nan
        elif len(rows) > MEDIAN_MOST and found[c] != 0:
            density = density_at(values, w[rows], found[c])
            out[c] = share * (1 - share) / (len(rows) * density**2)
        else:
            out[c] = np.nanvar(drawn[:, c], ddof=1)
    return out


def _spacing_variance(data: Measured, w: Array, share: float) -> Array:
    """Variance of quantiles from the spacing of those beside them, as fusionACS has it (section 5)."""
    moments = data.moments(w)
    start, row = data.order
    low, high = (
        group_quantiles(start, row, data.x, w, np.full(data.n_cells, np.clip(share + d, 0, 1)))
        for d in (-0.025, 0.025)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        density = 0.05 / (high - low)
        se = np.sqrt(share * (1 - share)) / density / np.sqrt(moments.n_eff)
        se = np.where(high > low, se, np.sqrt(_mean_variance(moments, "fusionacs")) * np.pi / 2)
    return np.where(moments.n > 1, se**2, np.nan)


def _custom(data: Measured, w: Array) -> Array:
    """Call the user's function for every group; NaN for groups without weight."""
    function = data.estimand.function
    assert function is not None
    found: list[Mapping[str, float] | None] = []
    for rows, frame in data.parts:
        weight = w[rows]
        result = function(own_copy(frame), weight) if weight.sum() > 0 else None
        found.append(None if result is None else _numbers(result, data.estimand.y))
    for result in found:
        data.names += [name for name in result or () if name not in data.names]
    out = np.full((data.n_cells, max(len(data.names), 1)), np.nan)
    for c, result in enumerate(found):
        for name, value in (result or {}).items():
            out[c, data.names.index(name)] = value
    return out


def _numbers(result: Any, function: str) -> dict[str, float]:
    """Take what the user's function returned: a number, or names and numbers."""
    try:
        items = result.items() if hasattr(result, "items") else [("", result)]
        return {str(name): float(value) for name, value in items}
    except (TypeError, ValueError):
        raise ArgumentError(
            "`x` cannot be estimated.",
            [f"The function `{function}` returned {shown(result)}."],
            "Return a number, or a mapping of names to numbers.",
        ) from None
