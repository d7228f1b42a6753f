"""Truth and implicates as numbers, checked against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import Problems, SchemaError, counted, few, grouped, meant
from fusionpy.formats.implicates import Implicates, check_order
from fusionpy.frames.digests import finder
from fusionpy.frames.tables import Table, Unreadable, is_text, to_floats
from fusionpy.model.schema import positive_weights, weight_column
from fusionpy.model.variables import describe, is_number

__all__ = ["Array", "Codes", "ScoredVariable", "read"]

Array = NDArray[np.float64]
Codes = NDArray[np.intp]
Kind = Literal["continuous", "ordered", "nominal", "logical"]
MOST_LEVELS = 1000
INSTEAD = "only numbers, categories, text and booleans can be scored"


@dataclass(frozen=True)
class ScoredVariable:
    """A column as numbers.

    Attributes
    ----------
    name : str
    kind : {"continuous", "ordered", "nominal", "logical"}
    levels : tuple of str
        Those of the truth in their order, then those that were drawn only.
    truth : (n,) float64
        Values, or codes of levels; NaN: missing.
    drawn : (n, M) float64 or intp
        Empty for predictors.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...]
    truth: Array
    drawn: NDArray[Any]

    @property
    def is_class(self) -> bool:
        """Whether it has classes rather than values."""
        return self.kind != "continuous"

    def true(self, rows: Codes) -> NDArray[Any]:
        """Fetch true values of rows that have them, classes as whole numbers."""
        return self.truth[rows].astype(np.intp) if self.is_class else self.truth[rows]


def read(
    table: Table,
    drawn: Implicates,
    wanted: Sequence[str] | None,
    x: Sequence[str],
    weight: str | None,
    notes: list[str],
) -> tuple[list[ScoredVariable], list[ScoredVariable], Array]:
    """Read predictors, judged variables and weights, or say all that is wrong with them."""
    problems = Problems(
        SchemaError, "`implicates` cannot be compared with `truth`.", "Mend these columns, or leave them out."
    )
    if not table.n_rows:
        problems.add("`truth` has no rows.")
    elif drawn.n_rows != table.n_rows:
        rows = f"{counted(drawn.n_rows, 'row')} for each of M = 1 to {drawn.M}"
        problems.add(f"`implicates` has {rows}, and `truth` {counted(table.n_rows, 'row')}.")
    problems.stop()
    check_order(drawn, "truth", table.names, finder(table))
    taken = {"M", weight, *x}
    names = wanted or [name for name in table.names if name in drawn.names and name not in taken]
    bad: list[tuple[str, str, str]] = []
    fields: dict[str, ScoredVariable] = {}
    for name in (*x, *names):
        found = _learn(table, name)
        if isinstance(found, ScoredVariable):
            found = found if name in x else _with_draws(found, drawn, notes)
        elif wanted is None and name not in x:  # an identifier or a date that was carried along
            notes.append(f"`{name}` is left out: {found}.")
            continue
        if isinstance(found, ScoredVariable):
            fields[name] = found
        else:
            bad.append(("predictor" if name in x else "", name, found))
    w = _weights(table, weight)
    if isinstance(w, str):
        bad.append(("weight", str(weight), w))
    for problem in grouped(bad):
        problems.add(problem)
    ys = [fields[name] for name in names if name in fields]
    carried = [f.name for f in ys if wanted is None and _is_carried(f)]
    if carried:
        notes.append(f"{few(carried, '`')}: left out, as all implicates have the true values.")
        ys = [f for f in ys if f.name not in carried]
    if not ys and not bad:
        same = f" ({few(carried, '`')}: the true values in all implicates)" if carried else ""
        problems.add(f"They have no columns in common that could be judged{same}.")
        problems.hint = "Name the columns in `y`."
    problems.stop()
    assert not isinstance(w, str)
    if n_zero := int((w == 0).sum()):
        notes.append(f"{counted(n_zero, 'record')} without weight: in rank-based measures only.")
    for field in ys:
        if n_missing := int(np.isnan(field.truth).sum()):
            notes.append(f"`{field.name}`: {counted(n_missing, 'record')} without a true value left out.")
    return [fields[name] for name in x], ys, w / w.sum()


def _is_carried(field: ScoredVariable) -> bool:
    has = ~np.isnan(field.truth)
    return bool((field.drawn[has] == field.truth[has, None]).all())


def _learn(table: Table, name: str) -> ScoredVariable | str:
    """Read a column of the truth, or say why it cannot be used."""
    if name not in table.names:
        return "not in `truth`" + meant(name, table.names)
    try:
        array = table.plain_column(name)
    except Unreadable as error:
        return f"{error}; {INSTEAD}"
    if array.null_count == len(array):
        return "no values at all in `truth`"
    no_draws = np.empty((len(array), 0))
    if is_number(array.type):
        values = to_floats(array)
        if n_infinite := int(np.isinf(values).sum()):
            return f"{counted(n_infinite, 'infinite value')} in `truth`"
        return (
            "no values at all in `truth`"
            if np.isnan(values).all()
            else ScoredVariable(name, "continuous", (), values, no_draws)
        )
    kind: Kind = "logical" if pa.types.is_boolean(array.type) else "nominal"
    if pa.types.is_dictionary(array.type):
        kind = "ordered" if array.type.ordered else "nominal"
    elif kind == "nominal" and not is_text(array.type):
        return f"{describe(array)}; {INSTEAD}"
    codes, levels = _codes(array, ["false", "true"] if kind == "logical" else [])
    if is_text(array.type):
        rank = np.argsort(np.argsort(levels))
        codes, levels = np.where(codes < 0, -1, rank[codes]), sorted(levels)
    if len(levels) > MOST_LEVELS:
        return f"{len(levels):,} different levels; group them, or leave the variable out"
    return ScoredVariable(name, kind, tuple(levels), np.where(codes < 0, np.nan, codes), no_draws)


def _with_draws(field: ScoredVariable, drawn: Implicates, notes: list[str]) -> ScoredVariable | str:
    """Read all implicates of a variable, or say why they cannot be compared."""
    if field.name not in drawn.names:
        return "not in `implicates`" + meant(field.name, drawn.names)
    values = np.empty((drawn.n_rows, drawn.M), dtype=np.intp if field.is_class else np.float64)
    levels = list(field.levels)
    for m in range(drawn.M):
        try:
            array = drawn.read(m, [field.name]).column(0).combine_chunks()
        except Unreadable as error:
            return f"{error} in `implicates`"
        array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
        if wrong := _unlike(field, array):
            return wrong
        if field.is_class:
            values[:, m], levels = _codes(array, levels)
        else:
            values[:, m] = to_floats(array)
    if n_infinite := int(np.isinf(values).sum()):
        return f"{counted(n_infinite, 'infinite value')} in `implicates`"
    if n_missing := int(((values < 0) if field.is_class else np.isnan(values)).sum()):
        return f"{counted(n_missing, 'missing value')} in `implicates`; every record needs a draw"
    if new := [level for level in levels[len(field.levels) :] if (values == levels.index(level)).any()]:
        known = (
            "level that `truth` does not have was"
            if len(new) == 1
            else "levels that `truth` does not have were"
        )
        notes.append(f"`{field.name}`: {known} drawn: {few(new)}.")
    return replace(field, levels=tuple(levels), drawn=values)


def _unlike(field: ScoredVariable, array: pa.Array) -> str | None:
    """Say how a drawn column differs in kind from the truth."""
    kind = array.type
    fits = {
        "continuous": is_number(kind),
        "logical": pa.types.is_boolean(kind),
    }.get(field.kind, is_text(kind) or pa.types.is_dictionary(kind) or pa.types.is_integer(kind))
    wanted = {"continuous": "numeric", "logical": "logical (True or False)"}.get(field.kind, "categorical")
    return None if fits else f"{wanted} in `truth`, {describe(array)} in `implicates`"


def _codes(array: pa.Array, levels: Sequence[str]) -> tuple[Codes, list[str]]:
    """Codes of a column's levels as text, -1 where missing, and the levels, new ones at the end."""
    if pa.types.is_boolean(array.type) or pa.types.is_integer(array.type):
        array = array.cast(pa.string())
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    texts = array.dictionary.cast(pa.string()).to_pylist()
    place = {level: code for code, level in enumerate(levels)}
    codes = [place.setdefault(text, len(place)) for text in texts if text is not None]
    at = pc.fill_null(array.indices.cast(pa.int64()), len(texts)).to_numpy(zero_copy_only=False)
    return np.array([*codes, -1], dtype=np.intp)[at], list(place)


def _weights(table: Table, weight: str | None) -> Array | str:
    """Survey weights, or why they cannot be had."""
    if weight is None:
        return np.ones(table.n_rows)
    return positive_weights(weight_column(table, weight, "records", "`truth`"), weight)
