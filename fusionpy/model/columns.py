"""What is wrong with a column: of donors, or of a recipient that does not fit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import (
    alike,
    composed,
    counted,
    few,
    meant,
)
from fusionpy.frames.tables import Table, Unreadable, is_text
from fusionpy.kernels.magnitudes import telling_exponent
from fusionpy.model.variables import (
    EMPTY,
    INSTEAD,
    NUMBER,
    Variable,
    codes_of,
    describe,
    is_number,
    is_r_name,
    learn_variable,
    wanted,
)

__all__ = ["check_column", "check_donor_column", "odd_texts"]

RESERVED = ("M", "W..", "R..")

_MANY_LEVELS = 1000

_LONGEST = 10_000  # bytes of a name

NO_COLUMN = "not in `data`"

_MOST = 1e100  # of a fusion variable: squared distances stay finite

_MOST_WHOLE = 2**53  # beyond, whole numbers are not exact in floating point


def _check_name(name: str, role: str) -> list[str]:
    if name in RESERVED and role != "predictor":
        return ["the name is reserved for the result; rename it"]
    if len(name.encode(errors="replace")) > _LONGEST:
        return [f"a name of more than {_LONGEST:,} bytes, R's limit; rename it"]
    if not is_r_name(name):
        return ["not a name for R; rename it with letters, digits, '.' and '_' only, a letter first"]
    return []


def check_donor_column(
    table: Table, name: str, role: str, boosted: bool
) -> tuple[Variable | None, list[str]]:
    """Learn one donor column and say all that is wrong with it."""
    problems = _check_name(name, role)
    if name not in table.names:
        return None, [NO_COLUMN + meant(name, table.names)]
    try:
        array = table.column(name)
    except Unreadable as error:
        return None, [*problems, f"{error}; {INSTEAD}"]
    if array.null_count == len(array):
        return None, [*problems, EMPTY]
    variable = learn_variable(name, array)
    if isinstance(variable, str):
        return None, [*problems, variable]
    values = codes_of(variable, array)
    n_missing = int(np.isnan(values).sum())
    problems += _check_numbers(variable, array, values, infinite=boosted and role == "predictor")
    if variable.kind == "continuous" and not problems:
        variable = replace(variable, exponent=telling_exponent(values))
    if n_missing == len(values):
        return variable, [*problems, EMPTY]
    if role == "fusion variable":
        if n_missing:
            problem = (
                f"{counted(n_missing, 'missing value')}; drop those donors, or impute their values first"
            )
            if variable.text:  # readers of CSV files take these words for no answer
                problem += " (was 'None' or 'NA' an answer, lost when the file was read?)"
            problems.append(problem)
        seen = np.unique(values[~np.isnan(values)])
        if variable.kind == "continuous" and np.abs(seen[np.isfinite(seen)]).max(initial=0) > _MOST:
            problems.append(f"values beyond {_MOST:g}, which no model can be made of")
    if variable.n_classes > _MANY_LEVELS and (variable.text or role == "fusion variable"):
        what = "texts" if variable.text else "levels"
        problems.append(f"{variable.n_classes:,} different {what}; group them, or leave the variable out")
    return variable, problems


def odd_texts(levels: Sequence[str]) -> str | None:
    """Say what makes one doubt that these are the levels that were meant."""
    words = [level for level in levels if not NUMBER.fullmatch(level)]
    if 0 < 2 * len(words) < len(levels):  # a stray word in a column of numbers
        return f"has numbers, and {few(words)}; if it is a quantity, make it numeric"
    same: dict[str, list[str]] = {}
    for level in levels:
        same.setdefault(" ".join(composed(level).casefold().split()), []).append(level)
    if group := next((group for group in same.values() if len(group) > 1), None):
        if like := alike(group[:1], group[1:]):
            return f"has levels that are the same to the eye: {like}"
        return f"has levels that differ by case or blanks only: {few(group)}"
    return None


def _check_numbers(
    variable: Variable, array: pa.Array, values: NDArray[np.float64], *, infinite: bool
) -> list[str]:
    """Refuse numbers that floating point cannot hold, and infinite ones unless they may be there."""
    if variable.kind != "continuous":
        return []
    problems = []
    n_infinite = 0 if infinite else int(np.isinf(values).sum())
    if n_infinite:
        problems.append(f"{counted(n_infinite, 'infinite value')}, which cannot be used")
    if pa.types.is_integer(array.type) and not _is_exact(array):
        problems.append("whole numbers beyond 2**53, too long to be kept exactly (an identifier?)")
    return problems


def _is_exact(array: pa.Array) -> bool:
    """Tell whether floating point holds every one of these whole numbers."""
    ends = pc.min_max(array).as_py().values()
    return all(end is None or abs(end) <= _MOST_WHOLE for end in ends)


def check_column(variable: Variable, table: Table) -> str | None:
    """Say what is wrong with a recipient column."""
    if variable.name not in table.names:
        return NO_COLUMN + meant(variable.name, table.names)
    try:
        array = table.column(variable.name)
    except Unreadable as error:
        return f"must be {wanted(variable)}, not {error}"
    if table.infers_levels(variable.name):
        if variable.kind == "ordered":
            return "must be ordered categories: a polars Enum with the levels in order"
        array = array.cast(array.type.value_type)
    if pa.types.is_null(array.type) or array.null_count == len(array):
        return EMPTY if len(array) else None
    if variable.name in table.guessed and variable.levels and pa.types.is_dictionary(array.type):
        return _guess_mismatch(variable, array, table.guessed[variable.name])
    return _mismatch(variable, array)


def _guess_mismatch(variable: Variable, array: pa.Array, n_levels: int) -> str | None:
    """Say how levels that were taken from the values differ: some may be missing, in any order."""
    learned = learn_variable(variable.name, array)
    if isinstance(learned, str):
        return learned
    if n_levels in (0, len(variable.levels)) and not _unseen(learned.levels, variable):
        learned = replace(learned, levels=variable.levels)
    return _level_mismatch(variable, learned)


def _mismatch(variable: Variable, array: pa.Array) -> str | None:
    """Say how a recipient column differs from what was learned."""
    if variable.kind == "continuous":
        if not is_number(array.type):
            return f"must be {wanted(variable)}, not {describe(array)}"
        values = codes_of(variable, array)
        if np.isnan(values).all():
            return EMPTY
        return next(iter(_check_numbers(variable, array, values, infinite=True)), None)
    if variable.kind == "logical":
        return (
            None if pa.types.is_boolean(array.type) else f"must be {wanted(variable)}, not {describe(array)}"
        )
    if is_text(array.type) and variable.kind == "nominal":
        return _unseen(pc.unique(array).drop_null().to_pylist(), variable)
    if not pa.types.is_dictionary(array.type):
        return f"must be {wanted(variable)}, not {describe(array)}"
    learned = learn_variable(variable.name, array)
    return learned if isinstance(learned, str) else _level_mismatch(variable, learned)


def _level_mismatch(variable: Variable, found: Variable) -> str | None:
    unseen = _unseen(found.levels, variable)
    if unseen:
        return unseen
    if found.kind != variable.kind:
        kinds = {"ordered": "ordered", "nominal": "unordered"}
        return f"its categories must be {kinds[variable.kind]}, not {kinds[found.kind]}"
    absent = [level for level in variable.levels if level not in found.levels]
    if absent:
        return f"levels {few(absent)} are missing; declare all of training's, even those that no row has"
    if found.levels != variable.levels:
        new, old = next(
            pair for pair in zip(found.levels, variable.levels, strict=True) if pair[0] != pair[1]
        )
        return f"levels in another order: {few([new])} where training has {few([old])}"
    return None


def _unseen(levels: Sequence[Any], variable: Variable) -> str | None:
    """Say which levels training did not have."""
    known = set(variable.levels)
    unseen = [level for level in levels if level not in known]
    if not unseen:
        return None
    if isinstance(unseen[0], str) != isinstance(variable.levels[0], str):
        kinds = ("text", "numbers") if isinstance(unseen[0], str) else ("numbers", "text")
        return f"its levels are {kinds[0]}, in training {kinds[1]} (such as {few(variable.levels[:2])})"
    if like := alike(unseen, known):
        return f"level {like}"
    some = f"level {few(unseen)} was" if len(unseen) == 1 else f"levels {few(unseen)} were"
    return f"{some} not in training ({variable.n_classes} levels)"
