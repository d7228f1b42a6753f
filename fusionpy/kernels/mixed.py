"""Shrunken effects of the levels of several factors: mixed models of what is left to explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import expit, logit

from fusionpy.kernels.equations import Equations, find_firsts, sum_levels

__all__ = [
    "Mixed",
    "add_effects",
    "effective_weights",
    "fit_logits",
    "fit_normal",
    "lower_root",
    "project",
    "safe_logit",
]

ROUNDS = 40
FEWEST = 2  # effective records that tell of effects
CLOSE = 0.01  # relative change of variances at which they are taken as found
# Twice the power of a variance that its likelihood is multiplied by, so that it is not 0: of an area's, of
# another factor's of a mean; that of an area's at most a level that has records.
OF_AREA, OF_MEAN, A_LEVEL = 2.0, 0.5, 0.25
SHRUNK = 0.01  # share of its own mean that a level of average size keeps: below, a factor is left out
FAR = 1e-4  # probabilities are kept this far from 0 and 1
LOGIT = 1.0  # prior variance of the constant of logits: what never happens says nothing of how rare it is
WIDEST = 4.0  # variance of effects on logits: more is a level in which all or none happen
TINY = 1e-300
NOTHING = 1e-14  # share of a mean square that is rounding

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Mixed:
    """Effects of the levels of factors, by a mixed model.

    Attributes
    ----------
    variances : (f,) float64
        Of each factor's effects; 0 for one that is left out.
    columns : (k,) intp
        Places of the effects that are kept among the levels of all factors; the last one, behind them all, is
        that of the constant.
    mean : (k,) float64
        Their posterior means.
    covariance : (r, r) float64
        Their posterior covariance; without the effects that are solved for apart.
    ties : (q, r) float64
        Minus by how much the mean of an effect apart rises with each of the others.
    alone : (q,) float64
        Variance of the effects apart, given the others.
    """

    variances: Floats
    columns: Codes
    mean: Floats
    covariance: Floats
    ties: Floats
    alone: Floats


@njit(cache=True, nogil=True)
def add_effects(codes, rows, tables, start, out):  # type: ignore[no-untyped-def]
    """Add up, for each record, the effects of its levels.

    Parameters
    ----------
    codes : (p, n)
        Codes of columns.
    rows : (r,) intp
        Records that are wanted.
    tables : (t, k) float64
        Effects of each code, factor after factor.
    start : (f, 2) intp
        Each factor's column, and its first row in `tables`.
    out : (r, k) float64
        To which they are added.

    Examples
    --------
    >>> codes, tables = np.array([[0, 1], [1, 1]]), np.array([[0.5], [2.0], [10.0], [20.0]])
    >>> out = np.zeros((2, 1))
    >>> add_effects(codes, np.arange(2), tables, np.array([[0, 0], [1, 2]]), out)
    >>> out.ravel().tolist()
    [20.5, 22.0]
    """
    for i in range(len(rows)):
        row = rows[i]
        for f in range(len(start)):
            entry = start[f, 1] + np.intp(codes[start[f, 0], row])
            for k in range(out.shape[1]):
                out[i, k] += tables[entry, k]


def safe_logit(p: Floats) -> Floats:
    """Logit of probabilities, which are kept a little away from 0 and 1."""
    return np.asarray(logit(np.clip(p, FAR, 1 - FAR)))


@dataclass(frozen=True)
class _Solution:
    """Effects and their posterior, as `Mixed` has them; `spread` are all their variances."""

    b: Floats
    spread: Floats
    covariance: Floats
    ties: Floats
    alone: Floats

    @classmethod
    def of(cls, equations: Equations, precision: Floats, noise: float) -> _Solution:
        """Solve the equations."""
        matrix, right, ties, diagonal = equations.reduced(precision, noise)
        covariance: Floats = np.asarray(np.linalg.inv(matrix), dtype=np.float64)
        b = equations.all_of(covariance @ right / noise, ties, diagonal, noise)
        rest, alone = np.diag(covariance), 1 / diagonal
        apart = alone + np.einsum("ij,ij->i", ties @ covariance, ties)
        return cls(b, np.concatenate([rest[:-1], apart, rest[-1:]]), covariance, ties, alone)

    def mixed(self, variances: _Variances, columns: Codes) -> Mixed:
        """Leave out what the last step has left out."""
        stay = np.isin(columns, variances.kept)
        n_rest = len(self.covariance) - 1
        rest = np.append(stay[:n_rest], stay[-1])
        apart = stay[n_rest:-1]
        return Mixed(
            variances.values,
            columns[stay],
            self.b[stay],
            self.covariance[np.ix_(rest, rest)],
            self.ties[np.ix_(apart, rest)],
            self.alone[apart],
        )


def effective_weights(weight: Floats) -> Floats:
    """Scale weights so that they add up to the effective number of records (Kish)."""
    return np.asarray(weight * (weight.sum() / max(float(weight @ weight), TINY)))


def _nothing(sizes: Sequence[int]) -> Mixed:
    """No effects at all, as where fewer than two records tell."""
    last, none = np.array([int(np.sum(sizes))]), np.empty(0)
    return Mixed(np.zeros(len(sizes)), last, np.zeros(1), np.zeros((1, 1)), np.empty((0, 1)), none)


def lower_root(covariance: Floats) -> Floats:
    """Lower triangle, the square of which is a covariance, though that may be nearly singular.

    Examples
    --------
    >>> lower_root(np.array([[4.0, 2.0], [2.0, 1.0]])).round(6).tolist()
    [[2.0, 0.0], [1.0, 0.0]]
    """
    try:
        return np.asarray(np.linalg.cholesky(covariance))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        upper = np.asarray(np.linalg.qr((vectors * np.sqrt(np.maximum(values, 0.0))).T, mode="r"))
        return np.asarray(upper.T * np.where(np.diag(upper) < 0, -1.0, 1.0))


class _Variances:
    """The factors' variances on the way to those of greatest restricted likelihood."""

    def __init__(
        self, sizes: Sequence[int], start: float, codes: Codes, areas: int, power: float = 0.0
    ) -> None:
        self.sizes = np.asarray(sizes, dtype=np.intp)
        self.first = find_firsts(self.sizes)
        self.values = np.full(len(sizes), start)
        self.is_area = np.arange(len(sizes)) >= len(sizes) - areas
        most = np.where(self.is_area, OF_AREA, power)
        seen = np.array([len(np.unique(each)) for each in codes])
        self.adjusted = most * np.minimum(A_LEVEL / OF_AREA * seen, 1.0)
        self.kept = np.arange(self.first[-1] + 1)

    def drop(self, f: int) -> None:
        """Leave a factor out."""
        self.values[f] = 0.0
        self.kept = self.kept[(self.kept < self.first[f]) | (self.kept >= self.first[f + 1])]

    def screen(self, equations: Equations, noise: float) -> None:
        """Leave out, for a start, whose levels' means are no further apart than noise puts them.

        That is the analysis of variance, a factor at a time. Of factors without effects half go, and what
        follows takes an eighth of the time. Areas stay.
        """
        weight, moment = np.diag(equations.gram), equations.moment
        n = max(float(weight[-1]), TINY)
        for f in np.flatnonzero(~self.is_area):
            levels = slice(self.first[f], self.first[f + 1])
            seen = weight[levels] > 0
            own = weight[levels][seen]
            apart = moment[levels][seen] / own - moment[-1] / n
            spread = float(own @ apart**2) - noise * (len(own) - 1)
            if spread < SHRUNK * noise * len(own) * max(1 - float(own @ own) / n**2, TINY):
                self.drop(int(f))

    def equations(self, codes: Codes, weight: Floats, value: Floats, apart: bool) -> Equations:
        """Set up the equations of the effects that are kept."""
        alive = np.flatnonzero(self.values)
        apart = apart and bool(self.values[-1])
        return Equations.of(codes[alive], find_firsts(self.sizes[alive]), weight, value, apart)

    def precision(self, flat: float) -> Floats:
        """Prior precision of the effects that are kept; `flat`: of the constant."""
        every = np.repeat(1 / np.maximum(self.values, TINY), np.diff(self.first))
        return np.append(every, flat)[self.kept]

    def improve(self, b: Floats, spread: Floats, unit: float) -> tuple[bool, float]:
        """Take a step; tell whether anything moved, and how many effects were fitted.

        `unit` is the variance of the mean of all records, so that of a level's is larger by the number of
        levels.
        """
        fitted, moved = 0.0, False
        for f in np.flatnonzero(self.values):
            mine = (self.kept >= self.first[f]) & (self.kept < self.first[f + 1])
            own = max(mine.sum() - spread[mine].sum() / self.values[f], TINY)
            found = (float(b[mine] @ b[mine]) + self.adjusted[f] * self.values[f]) / own
            fitted += own
            moved |= abs(found - self.values[f]) > CLOSE * self.values[f]
            self.values[f] = found
            if found < SHRUNK * unit * mine.sum():
                self.drop(int(f))
                b, spread, moved = b[~mine], spread[~mine], True
        return moved, fitted


def fit_normal(codes: Codes, sizes: Sequence[int], residual: Floats, weight: Floats, areas: int = 0) -> Mixed:
    r"""Fit effects of levels on a mean.

    Parameters
    ----------
    codes : (f, n) intp
        Level of each factor.
    sizes : sequence of f int
        Numbers of levels.
    residual : (n,) float64
        What is left to explain.
    weight : (n,) float64
        Survey weights.
    areas : int
        So many of the last factors are areas, of which it is known that they differ. Of the last one, which
        may have many levels, the equations are diagonal, and eliminated.

    Returns
    -------
    Mixed

    Notes
    -----
    :math:`e = \mu + \sum_f b_f + \varepsilon`, :math:`b_f \sim N(0, \sigma_f^2)`, with variances of greatest
    restricted likelihood by the fixed point
    :math:`\sigma_f^2 = b_f'b_f / (q_f - \mathrm{tr} V_f / \sigma_f^2)` (Harville 1977, *Journal of the
    American Statistical Association* 72:320; MacKay 1992, *Neural Computation* 4:415). Weights count as
    precisions that add up to the effective number of donors. An area's variance is that of greatest
    :math:`\sigma_f^2` times the restricted likelihood: not zero where donors are few, and near its
    posterior mean (Morris and Tang 2011, *Statistical Science* 26:271; of fewer than eight levels a lower
    power of it).
    """
    weight = effective_weights(weight)
    n = float(weight.sum())
    if n < FEWEST:
        return _nothing(sizes)
    variances = _Variances(sizes, 1.0, codes, areas, OF_MEAN)
    whole = Equations.of(codes, variances.first, weight, residual, areas > 0)
    square = float(weight @ residual**2)
    noise = max(square - float(whole.moment[-1]) ** 2 / n, 0.0) / max(n - 1, 1.0)
    if noise <= NOTHING * square / n:  # nothing is left
        variances.values[:], variances.kept = 0.0, variances.kept[-1:]
    else:
        variances.screen(whole, noise)
    variances.values *= noise / 100
    for _ in range(ROUNDS):
        kept = variances.kept
        equations = whole.some(kept)
        found = _Solution.of(equations, variances.precision(0.0), max(noise, TINY))
        moved, fitted = variances.improve(found.b, found.spread, noise / n)
        noise = max(equations.left(found.b, square) / max(n - fitted - 1, 1.0), 0.0)
        if not moved:
            break
    return found.mixed(variances, kept)


def fit_logits(
    codes: Codes,
    sizes: Sequence[int],
    happened: NDArray[np.bool_],
    chance: Floats,
    weight: Floats,
    areas: int = 0,
) -> Mixed:
    r"""Fit effects of levels on the logit of a chance.

    Parameters
    ----------
    codes, sizes, weight, areas
        As for `fit_normal`.
    happened : (n,) bool
    chance : (n,) float64
        What it was thought to be.

    Returns
    -------
    Mixed

    Notes
    -----
    :math:`\mathrm{logit}\,\mu = \mathrm{logit}\,p + \sum_f b_f` by penalised quasi-likelihood (Breslow and
    Clayton 1993, *Journal of the American Statistical Association* 88:9).
    """
    weight = effective_weights(weight)
    if weight.sum() < FEWEST:
        return _nothing(sizes)
    variances = _Variances(sizes, 0.02, codes, areas)
    offset = safe_logit(chance)
    every = np.zeros(variances.first[-1] + 1)
    for number in range(ROUNDS):
        alive = np.flatnonzero(variances.values)  # the others' effects are 0
        eta = sum_levels(every, np.append(variances.first[alive], -1), codes[alive])
        mu = expit(offset + eta)
        steep = np.maximum(mu * (1 - mu), FAR)
        working = eta + (happened - mu) / steep
        equations = variances.equations(codes, weight * steep, working, areas > 0)
        if not number:
            variances.screen(equations, 1.0)
            equations = equations.some(variances.kept)
        kept = variances.kept
        found = _Solution.of(equations, variances.precision(1 / LOGIT), 1.0)
        step = found.b - every[kept]
        longest = float(np.abs(step).max())
        near = longest < CLOSE
        found = replace(found, b=every[kept] + step / max(longest, 1.0))  # or Newton's steps may overshoot
        every[:] = 0.0
        every[kept] = found.b
        total = float(equations.gram[-1, -1])
        # One step a round: working values are far out where a chance near 0 came true, and spread variances.
        moved, _ = variances.improve(found.b, found.spread, 1 / max(total, TINY))
        np.minimum(variances.values, WIDEST, out=variances.values)
        every[np.setdiff1d(kept, variances.kept)] = 0.0
        if near and not moved:
            break
    return found.mixed(variances, kept)


def project(
    codes: Codes, sizes: Sequence[int], value: Floats, weight: Floats, found: Mixed, areas: int = 0
) -> Floats:
    """Find what of some values is differences between the levels of a mixed model.

    Parameters
    ----------
    codes, sizes, weight, areas
        As for `fit_normal`.
    value : (n,) float64
    found : Mixed
        Whose variances shrink the differences.

    Returns
    -------
    (k,) float64
        As ``found.mean``.
    """
    if not (weight * value).any():
        return np.zeros(len(found.columns))
    weight = effective_weights(weight)
    equations = Equations.of(codes, find_firsts(sizes), weight, value, areas > 0).some(found.columns)
    noise = max(float(weight @ value**2) / float(weight.sum()), TINY)
    prior = np.append(np.repeat(1 / np.maximum(found.variances, TINY), sizes), 0.0)[found.columns]
    matrix, right, ties, diagonal = equations.reduced(prior, noise)
    rest = np.asarray(np.linalg.solve(matrix, right / noise), dtype=np.float64)
    return equations.all_of(rest, ties, diagonal, noise)
