"""Pool the answers of all implicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusionpy.analysis.estimates import Answer
from fusionpy.analysis.measured import Replicates
from fusionpy.kernels.other_records import by_refits, without_noise
from fusionpy.kernels.rubin import Combined, Combining, combine

__all__ = ["OtherRecords", "Piece", "combine_answers"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class OtherRecords:
    """How implicates were made of records that the models were not fitted to.

    Attributes
    ----------
    refits : int
    share : float or None
    at_least : float
        As of `without_noise`.
    share_of_refits : float
        As of `by_refits`.
    """

    refits: int
    share: float | None = None
    at_least: float = 1.0
    share_of_refits: float = 0.0

    def pool(self, pooled: Combined, noise: Array, M: int, complete_df: Array, level: float) -> Combined:
        """Pool again what Rubin's rules have pooled."""
        by_records = without_noise(
            pooled,
            noise,
            M,
            refits=self.refits,
            complete_df=complete_df,
            level=level,
            share=self.share,
            at_least=self.at_least,
        )
        return by_refits(by_records, noise, M, refits=self.refits, level=level, share=self.share_of_refits)


@dataclass(frozen=True)
class Piece:
    """Combined answers to one estimand.

    Attributes
    ----------
    n, n_eff : (k,) float64
        Records and effective sample sizes of the groups, means over the implicates.
    pooled : Combined of (k, L) float64
    """

    n: Array
    n_eff: Array
    pooled: Combined


def combine_answers(
    answers: Sequence[Answer],
    n_cells: int,
    replicates: Replicates | None,
    scale: float,
    pooling: Combining,
    level: float,
    records: OtherRecords | None = None,
) -> Piece:
    """Pool the implicates' answers to one estimand.

    Parameters
    ----------
    answers : sequence of Answer
        One per implicate; groups and levels that a later one met first are missing from those before.
    n_cells : int
    replicates : Replicates or None
    scale : float
        What the mean squared difference of replicate estimates is multiplied by.
    pooling : str
    level : float
    records : OtherRecords, optional
        If noise of draws is to be taken out of total variances.

    Returns
    -------
    Piece

    Notes
    -----
    With ``pooling="rubin"`` replicates enter the variance between implicates (reference, section 5):
    ``max(0, var(replicate estimates) - var(estimates)) * scale * (M - 1) / M``.
    """
    M = len(answers)
    n_levels = max(each.estimate.shape[1] for each in answers)
    shape = (n_cells, n_levels)
    estimate, variance, replicate = (
        np.stack([_padded(getattr(each, name), shape, each.absent) for each in answers]).reshape(M, -1)
        for name in ("estimate", "variance", "replicate")
    )
    n, n_eff = (
        np.stack([_padded(getattr(each, name)[:, None], (n_cells, 1), (0.0, 0.0))[:, 0] for each in answers])
        for name in ("n", "n_eff")
    )
    n, n_eff = n.mean(axis=0), n_eff.mean(axis=0)
    estimate[:, np.repeat(n == 0, n_levels)] = np.nan
    spent = np.stack(
        [
            _padded(np.broadcast_to(each.spent, each.n.shape)[:, None], (n_cells, 1), (1.0, 1.0))
            for each in answers
        ]
    )[:, :, 0]
    complete_df = np.maximum(n_eff - spent.mean(axis=0), 0)
    more: Array | float = 0.0
    if replicates is not None and pooling == "rubin" and M > 1:
        excess = _variance(replicate) - _variance(estimate)
        more = np.nan_to_num(np.maximum(excess, 0)) * scale * (M - 1) / M
    elif replicates is not None:
        complete_df = np.minimum(complete_df, len(replicates) - 1)
    complete_df = np.repeat(complete_df, n_levels)
    pooled = combine(
        estimate,
        variance,
        rule=pooling,
        complete_df=complete_df,
        level=level,
        more_between=more,
    )
    noises = [each.noise for each in answers if each.noise is not None]
    if records is not None and noises:
        noise = np.stack([_padded(each, shape, (np.nan, 0.0)) for each in noises]).mean(axis=0).ravel()
        pooled = records.pool(pooled, noise, M, complete_df, level)
    return Piece(n, n_eff, Combined(*(each.reshape(shape) for each in pooled)))


def _padded(values: Array, shape: tuple[int, int], absent: tuple[float, float]) -> Array:
    """Add the groups and levels that this implicate does not have."""
    out = np.full(shape, absent[0])
    out[: values.shape[0], : values.shape[1]] = values
    out[: values.shape[0], values.shape[1] :] = absent[1]
    return out


def _variance(values: Array) -> Array:
    known = ~np.isnan(values)
    number = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(values, axis=0) / number
        return np.asarray(np.nansum((values - mean) ** 2, axis=0) / (number - 1))
