"""What keeps margins from being honest, as far as is noted of how implicates were made, and what helps."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.analysis.combining import OtherRecords
from fusionpy.analysis.groups import Levels
from fusionpy.analysis.measured import Measured
from fusionpy.analysis.questions import REPLICATING, Question
from fusionpy.errors import counted, few, is_whole, warn
from fusionpy.formats.implicates import Implicates
from fusionpy.frames.tables import FUSED, KNOWN, Table, Unreadable
from fusionpy.kernels.other_records import (
    FEWEST_REFITS,
    least_of_rule,
    share_of_refits,
    share_of_rule,
)

__all__ = [
    "MOST_LOOKED_AT",
    "Making",
    "count_missing",
    "find_caveats",
    "of_few_degrees",
    "settle_margins",
    "warn_of_missing",
]

MOST_LOOKED_AT = 5000  # records, about
ROWS_PER_CELL = 20  # fewer records agree by chance
MOST_COLUMNS = 40  # beside a grouping column


@dataclass(frozen=True)
class Making:
    """What `fuse` has noted of how implicates were made; None where it has not, or somebody else made them.

    Attributes
    ----------
    refits : int or None
    n_donors, n_recipients : int or None
    effects : bool
        Whether the models have effects.
    fused : frozenset of str or None
        The fusion variables.
    known : frozenset of str or None
        Other columns that the models know.

    Examples
    --------
    >>> Making.of({"refits": 10, "fused": ["kwh"], "known": ["rooms"]}).refits
    10
    >>> Making.of({"refits": "ten"})
    Making(refits=None, n_donors=None, n_recipients=None, fused=None, known=None, effects=False)
    """

    refits: int | None = None
    n_donors: int | None = None
    n_recipients: int | None = None
    fused: frozenset[str] | None = None
    known: frozenset[str] | None = None
    effects: bool = False

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Making:
        """Take it from an implicates' notes, which may be anybody's."""
        refits, n_donors, n = (
            _number(attributes.get(each)) for each in ("refits", "n_donors", "n_recipients")
        )
        return cls(
            refits,
            n_donors,
            n,
            _names(attributes.get(FUSED)),
            _names(attributes.get(KNOWN)),
            attributes.get("effects") is True,
        )

    def concerns(self, question: Question) -> bool:
        """Tell whether what is asked for has to do with fusion variables, as far as that can be told."""
        return question.everything or self.fused is None or not self.fused.isdisjoint(question.needed)


def _number(noted: Any) -> int | None:
    return int(noted) if is_whole(noted, 0) else None


def _names(noted: Any) -> frozenset[str] | None:
    is_list = isinstance(noted, list) and all(isinstance(name, str) for name in noted)
    return frozenset(noted) if is_list else None


def settle_margins(
    question: Question,
    implicates: Implicates,
    static: Table | None,
    is_rectified: bool,
    weights_vary: bool,
) -> tuple[OtherRecords | None, list[str]]:
    """Settle how margins are made, by what is noted of the implicates, and say why not to believe them.

    Parameters
    ----------
    question : Question
    implicates : Implicates
    static : Table or None
        The recipients' own columns, or the first rows of them.
    is_rectified : bool
        Whether donors' residuals make the margins.
    weights_vary : bool
        Whether implicates have weights of their own.

    Returns
    -------
    OtherRecords or None
        Whether, and to what part, noise of draws is taken out of total variances. If asked to settle it, only
        of implicates that `fuse` made, of recipients less than ten times the donors, by a model with refits
        enough.
    list of str
        Sentences, as of `find_caveats`.
    """
    if is_rectified:
        return None, []
    records = None if weights_vary else _settle_records(question, implicates)
    return records, find_caveats(question, implicates, static)


def _settle_records(question: Question, implicates: Implicates) -> OtherRecords | None:
    making, M = Making.of(implicates.attributes), implicates.M
    if question.asked_pooling is None:
        return None
    refits = making.refits or M
    if question.asked_pooling == "records":
        return OtherRecords(refits)
    if not making.refits or not making.n_donors or not making.n_recipients or not making.concerns(question):
        return None
    sizes = making.n_donors, making.n_recipients, making.effects
    share, of_refits = share_of_rule(*sizes), share_of_refits(*sizes)
    if share == of_refits == 0 or min(refits, M) < FEWEST_REFITS:
        return None
    return OtherRecords(refits, share, least_of_rule(*sizes), of_refits)


def find_caveats(question: Question, implicates: Implicates, static: Table | None) -> list[str]:
    """Say why margins of what is asked for would be too narrow, and what helps.

    Parameters
    ----------
    question : Question
    implicates : Implicates
    static : Table or None
        The recipients' own columns, or the first rows of them.

    Returns
    -------
    list of str
        Sentences, none if nothing is noted.
    """
    making = Making.of(implicates.attributes)
    if question.pooling in REPLICATING or not making.concerns(question):
        return []
    found = []
    if making.refits == 0 and implicates.M > 1:
        found.append(
            "Margins leave out the uncertainty of the models, which were trained without refits: train with"
            " `refits=10`, the default."
        )
    if strange := _unknown(question, making, implicates, static):
        one = len(strange) == 1
        found.append(
            f"Margins by {few(strange, '`')} may be too narrow, as no model knew {'it' if one else 'them'}:"
            f" train with {'it' if one else 'them'} among the predictors."
        )
    return found


def of_few_degrees(n: int) -> str:
    """Say that margins are missing for want of degrees of freedom, and what helps.

    Examples
    --------
    >>> of_few_degrees(2)
    '2 margins would rest on less than one degree of freedom, and are missing: make larger groups.'
    """
    what = f"would rest on less than one degree of freedom, and {'is' if n == 1 else 'are'} missing"
    return f"{counted(n, 'margin')} {what}: make larger groups."


def _unknown(question: Question, making: Making, implicates: Implicates, static: Table | None) -> list[str]:
    """Find grouping columns that no model knew, and that are not made of what it knew."""
    if making.known is None or making.fused is None:
        return []
    known = making.known | making.fused
    names = implicates.names if static is None else (*static.names, *implicates.names)
    # What a function makes may be made of anything: nothing is told of it.
    strange = [name for name in question.by if name not in known and name in names]
    if not strange:
        return []
    columns = _Sample(implicates, static)
    beside = [codes for name in sorted(known - making.fused) if (codes := columns.codes(name)) is not None]
    return [
        name for name in strange if (own := columns.codes(name)) is not None and not _follows(own, beside)
    ]


class _Sample:
    """Codes of some records' columns, of the recipients' own or of the first implicate's."""

    def __init__(self, implicates: Implicates, static: Table | None) -> None:
        self.implicates, self.static = implicates, static
        n_rows = implicates.n_rows if static is None else static.n_rows
        self.rows = np.arange(0, n_rows, max(n_rows // MOST_LOOKED_AT, 1))

    def codes(self, name: str) -> NDArray[np.intp] | None:
        """(n,) ranks of a column's values, -1 where missing; None if there is no such column."""
        try:
            if self.static is not None and name in self.static.names:
                array = self.static.plain_column(name).take(self.rows)
            elif name in self.implicates.names and name not in self.implicates.unusable([name]):
                array = self.implicates.read(0, [name]).column(name).combine_chunks().take(self.rows)
            else:
                return None
            levels = Levels()
            found = levels.codes(array)
            rank = np.empty(len(levels.labels) + 1, dtype=np.intp)
            rank[levels.order], rank[-1] = np.arange(len(levels.labels)), -1
        except (Unreadable, TypeError, ValueError, pa.ArrowException):  # what has no order tells nothing
            return None
        return rank[found]


def _follows(own: NDArray[np.intp], beside: Sequence[NDArray[np.intp]]) -> bool:
    """Tell whether a column is cut from another, or the same in each cell of two others."""
    for one in beside:
        order = np.lexsort((own, one))
        sorted_own, sorted_one = own[order], one[order]
        changes = sorted_own[1:] != sorted_own[:-1]
        if not (changes & (sorted_one[1:] == sorted_one[:-1])).any():
            n_values, n_groups = len(np.unique(one)), len(np.unique(own))
            if n_values * ROWS_PER_CELL <= len(own) or int(changes.sum()) < 2 * n_groups:
                return True
    coarse = [one for one in beside if len(np.unique(one)) * 2 * ROWS_PER_CELL <= len(own)][:MOST_COLUMNS]
    for one, other in itertools.combinations(coarse, 2):
        cell = (one + 1) * (int(other.max(initial=0)) + 2) + other + 1
        n_cells = len(np.unique(cell))
        if n_cells * ROWS_PER_CELL > len(own):
            continue
        both = cell * (int(own.max(initial=0)) + 2) + own + 1
        if len(np.unique(both)) == n_cells:
            return True
    return False


def count_missing(kept: Sequence[Measured], found: dict[str, int]) -> None:
    """Count an implicate's missing values of what is estimated, infinite ones apart."""
    mine = {}
    for data in kept:
        if data.levels is not None:
            mine[data.estimand.y] = int(np.count_nonzero(data.x < 0))
        elif data.x is not None:
            values = data.x if data.other is None else data.x + data.other
            mine[data.estimand.label] = int(np.isnan(values).sum()) - sum(n for _, n in data.infinite)
        elif data.design is not None:
            n_missing = int(np.isnan(data.design.validity).sum())
            mine[data.estimand.label] = n_missing - sum(n for _, n in data.infinite)
    for name, number in mine.items():
        found[name] = found.get(name, 0) + max(number, 0)


def warn_of_missing(found: Mapping[str, int]) -> None:
    """Warn of values that are left out, where the result's N counts their records all the same."""
    if some := [f"`{name}` ({number:,})" for name, number in found.items() if number]:
        message = f"Values are missing, and left out, though `N` counts their records: {few(some, '')}."
        warn(message)
