"""What a column was taken for, in words: the commonest mistake must be seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from fusionpy.model.ranges import Range, told_range
from fusionpy.model.variables import Variable

__all__ = ["KINDS", "is_code_like", "listed_kinds", "told_kind"]

KINDS = {"continuous": "quantity", "ordered": "ordered", "nominal": "unordered", "logical": "yes/no"}
_PLURAL = {"continuous": "quantities", "ordered": "ordered", "nominal": "unordered", "logical": "yes/no"}
_LEVELS_MOST, _LETTERS_MOST = 3, 20
_CODES_MOST = 10  # 1 to 10 may be a scale; a count often has 0


def told_kind(variable: Variable, known: Range | None = None) -> str:
    """Say what a column is, with its range or the number of its levels.

    Examples
    --------
    >>> told_kind(Variable("age", "continuous", storage="int64"), Range(18, 95))
    'quantity, 18 to 95'
    >>> told_kind(Variable("school", "ordered", ("low", "mid", "high"), "string"))
    'ordered, 3 levels'
    """
    of = told_range(known) if variable.kind == "continuous" else None
    if variable.levels:
        of = f"{variable.n_classes:,} level{'s' * (variable.n_classes > 1)}"
    return ", ".join([KINDS[variable.kind], *([of] if of else [])])


def listed_kinds(variables: Iterable[Variable], ranges: Mapping[str, Range]) -> list[tuple[str, str]]:
    """List columns by their kind, each with its range or first levels.

    Returns
    -------
    list of (str, str)
        A kind, and its columns.

    Examples
    --------
    >>> school = Variable("school", "ordered", ("low", "mid", "high", "top"), "string")
    >>> listed_kinds([school, Variable("age", "continuous", storage="int64")], {"age": Range(18, 95)})
    [('quantities', 'age (18 to 95)'), ('ordered', 'school (4 levels: low < mid < high < …)')]
    """
    found: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for variable in variables:
        of = told_range(ranges.get(variable.name))
        if variable.levels:
            link = " < " if variable.kind == "ordered" else ", "
            first = [_short(str(level)) for level in variable.levels[:_LEVELS_MOST]]
            more = ["…"] if variable.n_classes > _LEVELS_MOST else []
            of = f"{variable.n_classes:,} level{'s' * (variable.n_classes > 1)}: {link.join([*first, *more])}"
        found[variable.kind].append(variable.name + (f" ({of})" if of else ""))
    return [(_PLURAL[kind], ", ".join(names)) for kind, names in found.items() if names]


def is_code_like(values: NDArray[np.float64]) -> bool:
    """Tell whether numbers look like codes: 0 and 1, or 1 to 10 at most, beside negative whole numbers.

    Examples
    --------
    >>> [is_code_like(np.array(v)) for v in ([0.0, 1], [1.0, 2, 5, -9], [0.0, 1, 2], [1.0, 1.5], [1.0, 40])]
    [True, True, False, False, False]
    """
    distinct = np.unique(values[~np.isnan(values)])
    rest = distinct[distinct >= 0]
    if len(distinct) > 2 * _CODES_MOST or (distinct != np.floor(distinct)).any() or len(rest) < 2:
        return False
    return bool(rest[0] >= 0 and rest[-1] <= _CODES_MOST and (rest[0] > 0 or rest.tolist() == [0, 1]))


def _short(text: str) -> str:
    text = text if text.isprintable() else repr(text)[1:-1]
    return text if len(text) <= _LETTERS_MOST else f"{text[: _LETTERS_MOST - 1]}…"
