"""Coefficients that data do not determine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fusionpy.analysis.combining import Piece
from fusionpy.analysis.estimates import Answer
from fusionpy.analysis.measured import Measured
from fusionpy.errors import few, warn

__all__ = ["warn_of_undetermined"]


def warn_of_undetermined(
    kept: Sequence[Measured],
    pieces: Sequence[Piece],
    answers: Sequence[Sequence[Answer]],
    has_groups: bool,
) -> None:
    """Warn of coefficients that are missing, in all implicates or in some.

    Parameters
    ----------
    kept : sequence of Measured
        What each estimand is of.
    pieces : sequence of Piece
        Its pooled answers.
    answers : sequence of sequence of Answer
        Its answers, one per implicate.
    has_groups : bool

    Warns
    -----
    FusionWarning
    """
    missing: list[str] = []
    partial: list[str] = []
    for data, piece, mine in zip(kept, pieces, answers, strict=True):
        if data.estimand.formula is None:
            continue
        unknown = np.isnan(piece.pooled.est) & (piece.n > 0)[:, None]
        lacking = np.zeros_like(unknown)
        for one in mine:
            k, width = one.estimate.shape
            has_records = (one.n > 0)[:, None]
            lacking[:k, :width] |= np.isnan(one.estimate) & has_records
            lacking[:k, width:] |= has_records
        lacking &= ~unknown
        for found, where in ((missing, unknown), (partial, lacking)):
            found += [data.names[j] for j in np.flatnonzero(where.any(axis=0))]
    place = " in some groups" if has_groups else ""
    if missing:
        warn(
            "Coefficients are missing, as they follow from those before or nothing bounds them"
            f"{place}: {few(dict.fromkeys(missing), '`')}."
        )
    if partial:
        warn(
            "Coefficients are of some implicates only, as others do not determine them"
            f"{place}: {few(dict.fromkeys(partial), '`')}."
        )
