"""What donors have of each predictor, coarsely, and whether recipients have it too."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fusionpy.model.schema import Schema

__all__ = ["QUARTILES", "Range", "Tally", "learn_ranges", "range_of", "strangers", "tally", "told_range"]

QUARTILES = (0.25, 0.5, 0.75)
OUTSIDE = 0.05  # share of recipients beyond the donors' range that is too much
LEEWAY = 0.2  # of the way from the median to an end, beyond it: bands end in the middle of their last one
SCALE = (5.0, 7.0)  # times the donors' quartiles, and their median: other units; leaves room around ten
ALIKE = 0.5  # of the donors' spread (on a logarithmic scale) that recipients in other units have at least
_TAIL, _FEWEST = 0.005, 5  # the donor at whom the range ends, from either side: a share, at least this one
_FEW_DONORS, _FEW_RECIPIENTS = 30, 8  # records other than 0 without which sizes say nothing
_DIGITS = 3
_LARGEST = sys.float_info.max
_SHIFT = np.uint64(49)  # leaves exponent and three bits of the mantissa: eight classes of size an octave
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Range:
    """What donors have of a predictor, too coarse to tell a record by.

    Attributes
    ----------
    low, high : float
        Of a number: the range without its ends (half a percent of the donors, at least five records), rounded
        outwards to three digits. Infinite for categories.
    median : float
        To three digits.
    sizes : tuple of float
        Quartiles of the absolute values other than 0, to three digits; empty if there are few.
    absent : tuple of int
        Codes of the levels that no donor has.
    """

    low: float = -math.inf
    high: float = math.inf
    median: float = 0.0
    sizes: tuple[float, ...] = ()
    absent: tuple[int, ...] = ()

    @property
    def bounds(self) -> tuple[float, float]:
        """What is below or above has next to no donor near it; no sign is there that no donor has."""
        low = self.low - LEEWAY * max(self.median - self.low, 0)
        high = self.high + LEEWAY * max(self.high - self.median, 0)
        return (max(low, 0.0) if self.low >= 0 else low), (min(high, 0.0) if self.high <= 0 else high)


@dataclass(frozen=True)
class Tally:
    """Counts of a predictor's recipients against the donors' range; those of parts can be added.

    Attributes
    ----------
    n_records : int
        With a known value.
    n, below, above, absent : float
        Their weight, and that of those below and above the range, or at levels that no donor has.
    places : (k,) intp
        Classes of size, among absolute values other than 0, that occur.
    records : (k,) intp
        In each of them.
    """

    n_records: int = 0
    n: float = 0.0
    below: float = 0.0
    above: float = 0.0
    absent: float = 0.0
    places: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp), repr=False)
    records: NDArray[np.intp] = field(default_factory=lambda: np.empty(0, dtype=np.intp), repr=False)

    def __add__(self, other: Tally) -> Tally:
        """Count two parts together."""
        places = np.concatenate([self.places, other.places])
        sizes = np.bincount(places, np.concatenate([self.records, other.records])).astype(np.intp)
        seen = np.flatnonzero(sizes)
        return Tally(
            self.n_records + other.n_records,
            self.n + other.n,
            self.below + other.below,
            self.above + other.above,
            self.absent + other.absent,
            seen,
            sizes[seen],
        )

    @property
    def outside(self) -> float:
        """Share of the recipients that have what donors have not."""
        return (self.below + self.above + self.absent) / self.n if self.n else 0.0

    def sizes(self) -> tuple[float, ...]:
        """Quartiles of the absolute values other than 0, within 7 percent; nothing if there are few."""
        cumulated = np.cumsum(self.records)
        if not len(cumulated) or cumulated[-1] < _FEW_RECIPIENTS:
            return ()
        found = np.searchsorted(cumulated, np.array(QUARTILES) * cumulated[-1])
        edges = (self.places[found].astype(np.uint64) << _SHIFT).view(np.float64)
        return tuple((edges * 1.06).tolist())


def learn_ranges(schema: Schema, x: Array) -> dict[str, Range]:
    """Learn what donors have of the predictors; all records count alike.

    Parameters
    ----------
    schema : Schema
    x : (n, p) float64
        Its predictors, as `Schema.encode` gives them.

    Returns
    -------
    dict of str to Range
        None of a predictor of which all donors have the same: no model can use it.
    """
    found = {}
    for variable, column in zip(schema.x, x.T, strict=True):
        values = column[~np.isnan(column)]
        if not len(values) or (values == values[0]).all():
            continue
        if variable.is_categorical:
            codes = np.unique(values).astype(np.intp).tolist()
            found[variable.name] = Range(absent=tuple(sorted(set(range(variable.n_classes)) - set(codes))))
        else:
            # Of a predictor that is infinite for some donors, nothing is out of range.
            found |= {variable.name: range_of(values)} if np.isfinite(values).all() else {}
    return found


def range_of(values: Array) -> Range:
    """Find the range of numbers, none of which is missing."""
    order, size = np.sort(values), np.abs(values[values != 0])
    rank = _rank(len(order))
    low, high = _outwards(order[rank - 1], math.floor), _outwards(order[-rank], math.ceil)
    sizes = np.quantile(size, QUARTILES, method="inverted_cdf").tolist() if len(size) >= _FEW_DONORS else []
    return Range(low, high, _rounded(float(order[(len(order) - 1) // 2])), tuple(map(_rounded, sizes)))


def _rank(n: int) -> int:
    """Rank, from either end, of the donor at whom the range ends."""
    return min(max(math.ceil(_TAIL * n), _FEWEST), (n + 1) // 2)


def _outwards(value: float, rounding: Callable[[float], int]) -> float:
    """Round to three digits, down or up."""
    if value == 0 or not math.isfinite(value):
        return float(value)
    step = 10.0 ** (math.floor(math.log10(abs(value))) - _DIGITS + 1)
    if step == 0 or not math.isfinite(value / step):
        return float(value)
    return _rounded(min(max(rounding(value / step) * step, -_LARGEST), _LARGEST))


def _rounded(value: float) -> float:
    found = float(f"{value:.{_DIGITS}g}")
    return found if math.isfinite(found) else float(value)  # next to the largest number that there is


def tally(known: Range, values: Array, weight: Array | None = None) -> Tally:
    """Count recipients against the donors' range.

    Parameters
    ----------
    known : Range
    values : (n,) float64
        Values, or level codes; NaN where missing.
    weight : (n,) float64, optional
        Not negative; 1 each unless given.

    Returns
    -------
    Tally

    Examples
    --------
    >>> counts = tally(Range(0, 9, sizes=(1, 2, 4)), np.array([0.0, 8, 12, np.nan]))
    >>> counts.n, counts.above, counts.outside
    (3.0, 1.0, 0.3333333333333333)
    """
    there = ~np.isnan(values) if weight is None else ~np.isnan(values) & (weight > 0)
    if not there.all():
        values, weight = values[there], None if weight is None else weight[there]

    def total(rows: NDArray[np.bool_]) -> float:
        return float(np.count_nonzero(rows) if weight is None else weight[rows].sum())

    n = float(len(values) if weight is None else weight.sum())
    if math.isinf(known.low):
        return Tally(len(values), n, absent=total(np.isin(values, known.absent)) if known.absent else 0.0)
    low, high = known.bounds
    classes = (np.abs(values[np.isfinite(values) & (values != 0)]).view(np.uint64) >> _SHIFT).astype(np.intp)
    sizes = np.bincount(classes)
    seen = np.flatnonzero(sizes)
    return Tally(len(values), n, total(values < low), total(values > high), 0.0, seen, sizes[seen])


def strangers(ranges: Mapping[str, Range], tallies: Mapping[str, Tally], n_donors: int) -> dict[str, str]:
    """Find the predictors of which recipients have what donors have not.

    Parameters
    ----------
    ranges : mapping of str to Range
    tallies : mapping of str to Tally
    n_donors : int

    Returns
    -------
    dict of str to str
        What is strange about each.

    Notes
    -----
    More than 5 % of the recipients (by weight, if there is one) outside of the donors' range, and more than
    chance does where donors or recipients are few; or the median of the absolute values other than 0 seven
    times that of the donors or more (or a seventh or less), both quartiles five times, and the spread much as
    it is: as with other units, which differ by powers of ten, and not as where all recipients are of one
    place.
    """
    found = {}
    for name, counts in tallies.items():
        if name not in ranges or not counts.n_records:
            continue
        known = ranges[name]
        parts = [text for text in (_outside(known, counts, n_donors), _other_scale(known, counts)) if text]
        if parts:
            found[name] = " and ".join(parts)
    return found


def _outside(known: Range, counts: Tally, n_donors: int) -> str | None:
    rank = 0 if math.isinf(known.low) else _rank(n_donors)
    expected, error = 2 * rank / n_donors, math.sqrt(2 * rank) / n_donors
    by_chance = counts.n_records * max(0.01, expected)
    least = max(
        counts.n_records * max(OUTSIDE, expected + 3 * error), by_chance + 4 * math.sqrt(by_chance) + 2
    )
    if counts.outside * counts.n_records <= least:
        return None
    if counts.absent:
        return f"{_percent(counts.outside)} have levels that no donor has"
    both = min(counts.below, counts.above) > 0.005 * counts.n
    side = f", {_percent(counts.below / counts.n)} below it" if both else ""
    return f"{_percent(counts.outside)} are outside the donors' range, {told_range(known)}{side}"


def _other_scale(known: Range, counts: Tally) -> str | None:
    theirs = counts.sizes()
    if not theirs or not known.sizes or min(theirs[0], known.sizes[0]) < sys.float_info.min:
        return None
    ratios = [one / other for one, other in zip(theirs, known.sizes, strict=True)]
    steps = [math.log(one) - math.log(other) for one, other in zip(theirs, known.sizes, strict=True)]
    steps = steps if steps[1] > 0 else [-step for step in steps]
    if min(steps) < math.log(SCALE[0]) or steps[1] < math.log(SCALE[1]):
        return None
    if math.log(theirs[-1] / theirs[0]) < ALIKE * math.log(known.sizes[-1] / known.sizes[0]):
        return None  # all in one place, of a climate for instance
    times = ratios[1] if ratios[1] > 1 else 1 / ratios[1]
    power = 10 ** round(math.log10(times))
    near = power if 0.5 < times / power < 2 else _rounded(float(f"{times:.1g}"))
    word = "larger" if ratios[1] > 1 else "smaller"
    return f"values are about {near:,.0f} times {word} than the donors' (other units?)"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %"


def _plain(value: float) -> str:
    """Write a number of three digits."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1e15 else f"{value:g}"


def told_range(known: Range | None) -> str | None:
    """Say from where to where a number goes.

    Examples
    --------
    >>> told_range(Range(0, 120_000)), told_range(Range(absent=(1,)))
    ('0 to 120,000', None)
    """
    if known is None or math.isinf(known.low):
        return None
    return f"{_plain(known.low)} to {_plain(known.high)}"
