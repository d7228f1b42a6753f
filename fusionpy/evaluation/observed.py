"""What was observed beside implicates of the same records: the one reader of validate() and score()."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import Problems, SchemaError, alike, counted, few, grouped, meant
from fusionpy.evaluation.columns import (
    MOST_LEVELS,
    USABLE,
    Array,
    Codes,
    codes_of,
    column_of,
    held_values,
    levels_of,
    read_column,
    weights_of,
)
from fusionpy.evaluation.subsets import Subset, subset_of
from fusionpy.formats.implicates import Implicates, check_order
from fusionpy.frames.digests import finder
from fusionpy.frames.tables import Table, Unreadable, is_text, to_floats
from fusionpy.model.variables import describe, is_number

__all__ = ["ObservedVariable", "read_compared", "read_scored"]

Kind = Literal["continuous", "ordered", "nominal", "logical"]
TOO_MANY = "{:,} different levels; group them, or leave the variable out"


@dataclass(frozen=True)
class ObservedVariable:
    """A variable as it was observed and as it was drawn.

    Attributes
    ----------
    name : str
    kind : {"continuous", "ordered", "nominal", "logical"}
    levels : tuple of str
        Those observed in their order, then those that were drawn only; empty if it is continuous.
    observed : (n,) float64
        Values, or codes of levels; NaN: missing.
    drawn : (n, M) float64 or intp
        Empty for predictors. To compare, NaN where the observed value is missing.
    """

    name: str
    kind: Kind
    levels: tuple[str, ...]
    observed: Array
    drawn: NDArray[Any]

    @property
    def is_class(self) -> bool:
        """Whether it has classes rather than values."""
        return self.kind != "continuous"

    @property
    def is_carried(self) -> bool:
        """Whether every implicate has just what was observed, so that nothing was drawn."""
        has = ~np.isnan(self.observed)
        return bool((self.drawn[has] == self.observed[has, None]).all())

    def true(self, rows: Codes) -> NDArray[Any]:
        """Fetch observed values of rows that have them, classes as whole numbers."""
        return self.observed[rows].astype(np.intp) if self.is_class else self.observed[rows]


def read_compared(
    table: Table, simulated: Implicates, subset_names: list[str], wanted: list[str] | None, weight: str | None
) -> tuple[Array, list[Subset], list[ObservedVariable], list[str]]:
    """Read every column that `validate` needs, or say all that is wrong with them.

    Parameters
    ----------
    table : Table
        The n observed records.
    simulated : Implicates
    subset_names : list of str
    wanted : list of str or None
        Variables to compare; None: all that both have and that were simulated.
    weight : str or None

    Returns
    -------
    (n,) float64
        Weights.
    list of Subset
    list of ObservedVariable
    list of str
        What was left out, for people.

    Raises
    ------
    SchemaError
    """
    hint = "Pass the donor survey, and what `fuse()` made of the same rows in the same order."
    problems = Problems(SchemaError, "`observed` and `implicates` cannot be compared.", hint)
    n, m = table.n_rows, simulated.n_rows
    if n != m:
        problems.add(f"`observed` has {counted(n, 'row')}, an implicate has {counted(m, 'row')}.")
    else:
        check_order(simulated, "observed", table.names, finder(table))
    if simulated.M < 2:
        problems.add("`implicates` has one implicate: margins need at least two.")
    used = {"M", *subset_names, *([weight] if weight else [])}
    names = wanted
    if names is None:
        names = [name for name in simulated.names if name in table.names and name not in used]
        if not names:
            problems.add("They have no variables in common, other than `M`, `weight` and `subset_vars`.")
    found: list[tuple[str, str, str]] = []
    w = weights_of(table, weight, "`observed`")
    if isinstance(w, str):
        found.append(("weight", str(weight), w))
    subsets = [subset_of(table, name) for name in subset_names]
    fields = [
        "named in `subset_vars` or `weight` too"
        if name in used
        else _compared(table, simulated, name, n == m)
        for name in names
    ]
    for name, subset in zip(subset_names, subsets, strict=True):
        if isinstance(subset, str):
            found.append(("subset variable", name, subset))
    for name, field in zip(names, fields, strict=True):
        if isinstance(field, str):
            found.append(("variable", name, field))
    for problem in grouped(found):
        problems.add(problem)
    problems.stop()
    assert not isinstance(w, str)
    read = [field for field in fields if isinstance(field, ObservedVariable)]
    notes = []
    if wanted is None:
        carried = [field.name for field in read if field.is_carried]
        read = [field for field in read if field.name not in carried]
        notes = [f"Not simulated, so left out: {few(carried, '`')}."] if carried else []
        if not read:
            problems.add("Every variable is the same in all implicates as in `observed`: none was simulated.")
            problems.stop()
    for field in read:
        if n_missing := int(np.isnan(field.observed).sum()):
            notes.append(
                f"`{field.name}`: {counted(n_missing, 'record')} without an observed value left out."
            )
    return w, [each for each in subsets if isinstance(each, Subset)], read, notes


def _compared(table: Table, simulated: Implicates, name: str, same_rows: bool) -> ObservedVariable | str:
    """Read a variable's observed and simulated values, or say what is wrong with them."""
    column = column_of(table, name)
    if isinstance(column, str):
        return column
    if name not in simulated.names:
        return "not in `implicates`" + meant(name, simulated.names)
    is_numeric = is_number(column.type)
    levels = [] if is_numeric else levels_of(column)
    if len(levels) > MOST_LEVELS:
        return TOO_MANY.format(len(levels))
    observed = to_floats(column) if is_numeric else codes_of(column, levels)
    if np.isinf(observed).any() or np.isnan(observed).all():
        return "infinite values, which cannot be used" if np.isinf(observed).any() else "no values at all"
    drawn = np.full((simulated.M, simulated.n_rows), np.nan)
    for m, values in enumerate(_each(simulated, name)):
        if isinstance(values, Unreadable):
            return f"in `implicates` {values}"
        if is_number(values.type) != is_numeric:
            return f"{describe(column)} in `observed`, {describe(values)} in `implicates`"
        drawn[m] = to_floats(values) if is_numeric else codes_of(values, levels)
        if not is_numeric and (unseen := sorted({*held_values(values)} - {*levels})):
            if like := alike(unseen, levels):
                return f"level {like}"
            return f"levels {few(unseen)} of `implicates` are not among those of `observed`: {few(levels)}"
    if n_missing := int(np.isnan(drawn).sum() + np.isinf(drawn).sum()):
        return f"{counted(n_missing, 'missing or infinite value')} in `implicates`"
    if same_rows:
        drawn[:, np.isnan(observed)] = np.nan
    return ObservedVariable(name, _kind(column), tuple(levels), observed, drawn.T)


def read_scored(
    table: Table,
    drawn: Implicates,
    wanted: Sequence[str] | None,
    x: Sequence[str],
    weight: str | None,
    notes: list[str],
) -> tuple[list[ObservedVariable], list[ObservedVariable], Array]:
    """Read what `score` needs: predictors, judged variables, weights; or say all that is wrong with them."""
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
    fields: dict[str, ObservedVariable] = {}
    for name in (*x, *names):
        found = _learn(table, name)
        if isinstance(found, ObservedVariable):
            found = found if name in x else _with_draws(found, drawn, notes)
        elif wanted is None and name not in x:  # an identifier or a date that was carried along
            notes.append(f"`{name}` is left out: {found}.")
            continue
        if isinstance(found, ObservedVariable):
            fields[name] = found
        else:
            bad.append(("predictor" if name in x else "", name, found))
    w = weights_of(table, weight, "`truth`")
    if isinstance(w, str):
        bad.append(("weight", str(weight), w))
    for problem in grouped(bad):
        problems.add(problem)
    ys = [fields[name] for name in names if name in fields]
    carried = [f.name for f in ys if wanted is None and f.is_carried]
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
        if n_missing := int(np.isnan(field.observed).sum()):
            notes.append(f"`{field.name}`: {counted(n_missing, 'record')} without a true value left out.")
    return [fields[name] for name in x], ys, w / w.sum()


def _learn(table: Table, name: str) -> ObservedVariable | str:
    """Read a column of the truth, or say why it cannot be used."""
    array = read_column(table, name, "`truth`", "scored")
    if isinstance(array, str):
        return array
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
            else ObservedVariable(name, "continuous", (), values, no_draws)
        )
    kind = _kind(array)
    if not (kind == "logical" or pa.types.is_dictionary(array.type) or is_text(array.type)):
        return f"{describe(array)}; {USABLE.format('scored')}"
    codes, levels = _codes(array, ["false", "true"] if kind == "logical" else [])
    if is_text(array.type):
        rank = np.argsort(np.argsort(levels))
        codes, levels = np.where(codes < 0, -1, rank[codes]), sorted(levels)
    if len(levels) > MOST_LEVELS:
        return TOO_MANY.format(len(levels))
    return ObservedVariable(name, kind, tuple(levels), np.where(codes < 0, np.nan, codes), no_draws)


def _with_draws(field: ObservedVariable, drawn: Implicates, notes: list[str]) -> ObservedVariable | str:
    """Read all implicates of a variable, or say why they cannot be compared."""
    if field.name not in drawn.names:
        return "not in `implicates`" + meant(field.name, drawn.names)
    values = np.empty((drawn.n_rows, drawn.M), dtype=np.intp if field.is_class else np.float64)
    levels = list(field.levels)
    for m, array in enumerate(_each(drawn, field.name)):
        if isinstance(array, Unreadable):
            return f"{array} in `implicates`"
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


def _each(implicates: Implicates, name: str) -> Iterator[pa.Array | Unreadable]:
    """Read a column of one implicate after another; the last is what is wrong with it, if anything is."""
    for m in range(implicates.M):
        try:
            column = implicates.read(m, [name]).column(0).combine_chunks()
        except Unreadable as error:
            yield error
            return
        yield column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _kind(column: pa.Array) -> Kind:
    if is_number(column.type):
        return "continuous"
    if pa.types.is_boolean(column.type):
        return "logical"
    return "ordered" if pa.types.is_dictionary(column.type) and column.type.ordered else "nominal"


def _unlike(field: ObservedVariable, array: pa.Array) -> str | None:
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
