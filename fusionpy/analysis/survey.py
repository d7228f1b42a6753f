"""What `analyze` works on: implicates, the recipients' own columns, and their weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.analysis.alignment import n_moved, same_numbers
from fusionpy.analysis.designs import formula_problem
from fusionpy.analysis.estimates import can_group
from fusionpy.analysis.groups import column_values
from fusionpy.analysis.measured import Replicates
from fusionpy.analysis.questions import Question
from fusionpy.analysis.statistics import misfit
from fusionpy.errors import SchemaError, counted, few, grouped, meant, warn
from fusionpy.formats.implicates import Implicates, check_order
from fusionpy.frames.digests import finder
from fusionpy.frames.level_notes import LOST
from fusionpy.frames.returned import own_copy, return_table
from fusionpy.frames.tables import Table, Unreadable, as_table
from fusionpy.model.variables import is_number

__all__ = ["Array", "FusedSurvey", "Weighing", "check_columns"]


Array = NDArray[np.float64]
TWOFOLD = "has other values in `implicates` than in `static`"


class FusedSurvey:
    """The implicates, the recipients' own columns, and those that are made of both."""

    def __init__(self, implicates: Implicates, static: Any, fun: Callable[[Any], Any] | None) -> None:
        self.implicates = implicates
        self.static: Table | None = None if static is None else as_table(static, "static")
        self.fun = fun
        self.kind = implicates.kind if implicates.in_memory or self.static is None else self.static.kind
        self.n_rows = implicates.n_rows
        self.known = [*implicates.names, *(self.static.names if self.static else ())]  # told in errors
        self.names: list[str] = []  # to be read of each implicate
        self.held: dict[str, pa.Array] = {}  # of the static columns
        self.needed: frozenset[str] = frozenset()
        self.unusable: dict[str, str] = {}  # columns that are left out, and why
        if self.static is not None and self.static.n_rows != self.n_rows:
            raise SchemaError(
                "`static` does not belong to `implicates`.",
                [f"It has {counted(self.static.n_rows, 'row')}, an implicate {counted(self.n_rows, 'row')}."],
                "Pass one row per recipient, in the implicates' order.",
            )

    def choose(self, names: Sequence[str], everything: bool) -> None:
        """Say which columns will be needed; of all others, those that can be had are at hand, if so asked."""
        self.needed = frozenset(names)
        everything = everything or self.fun is not None
        self.names = [name for name in self.implicates.names if everything or name in names]
        self.unusable = self.implicates.unusable(self.names)
        for name in [name for name in self.unusable if name in names]:
            raise _unusable(name, self.unusable[name])
        self.names = [name for name in self.names if name not in self.unusable]
        if self.static is None:
            return
        wanted = self.static.names if everything else [n for n in names if n in self.static.names]
        for name in [name for name in wanted if name not in self.names]:
            try:
                self.held[name] = self.static.plain_column(name)
            except Unreadable as error:
                if name in names:
                    raise _unusable(name, error) from None
                self.unusable[name] = str(error)

    def check_order(self) -> None:
        """Refuse static columns in another order than the implicates', where that can be told.

        Raises
        ------
        SchemaError
        """
        if self.static is not None:
            check_order(self.implicates, "static", self.static.names, finder(self.static))
        both = [name for name in self.implicates.names if self.static and name in self.static.names]
        if not both or self.static is None or not self.implicates.M:
            return
        odd = self.implicates.unusable(both)
        static = {name: array for name in both if (array := _readable(self.static, name)) is not None}
        both = [name for name in both if name in static and name not in odd]
        table = self.implicates.read(0, both)
        found = [
            f"`{name}` has the same values, but not in the same rows: {n:,} of {self.n_rows:,} differ."
            for name in both
            if (n := n_moved(_whole(table.column(name)), static[name]))
        ]
        if found:
            raise SchemaError(
                "`static` is in another order than `implicates`.",
                found,
                "Sort it as the recipient was when it was fused.",
            )

    def each(self) -> Iterator[dict[str, pa.Array]]:
        """Columns of one implicate after another; the next is read meanwhile."""
        with ThreadPoolExecutor(1) as pool:

            def start(number: int) -> Future[pa.Table] | None:
                return (
                    pool.submit(self.implicates.read, number, self.names)
                    if number < self.implicates.M
                    else None
                )

            coming = start(0)
            for number in range(self.implicates.M):
                assert coming is not None
                table = coming.result()
                coming = start(number + 1)
                yield self._with_others(table)

    def columns(self, number: int) -> dict[str, pa.Array]:
        """Columns of one implicate, from 0."""
        return self._with_others(self.implicates.read(number, self.names))

    def _with_others(self, table: pa.Table) -> dict[str, pa.Array]:
        """Put static and derived columns beside those of an implicate."""
        columns = dict(self.held)
        columns |= {name: _whole(table.column(name)) for name in table.column_names}
        return columns | self._derived(columns)

    def _derived(self, columns: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """Columns that the user's function makes of others."""
        if self.fun is None:
            return {}
        n_rows = len(next(iter(columns.values()), []))
        frame = own_copy(return_table(pa.table(dict(columns)), self.kind, {}))
        with self.telling_of_unusable():
            made = self.fun(frame)
        table = as_table(made, "what `fun` returned")
        if table.n_rows != n_rows:
            problem = f"It has {counted(table.n_rows, 'row')} for {counted(n_rows, 'record')}."
            raise SchemaError(
                "What `fun` returned cannot be used.", [problem], "Return a row per record, in order."
            )
        return {name: array for name in table.names if (array := self._made(table, name)) is not None}

    def _made(self, table: Table, name: str) -> pa.Array | None:
        """Take a column that a function of the user's made; nothing if it cannot be had."""
        try:
            return table.plain_column(name)
        except Unreadable as error:
            if name in self.needed:
                raise _unusable(name, error) from None
            return None

    @contextmanager
    def telling_of_unusable(self) -> Iterator[None]:
        """Say why a column is missing that a function of the user's asks for.

        Raises
        ------
        SchemaError
        """
        try:
            yield
        except Exception as error:  # whatever a frame raises for a column that it has not
            asked = set(re.findall("['\"`]([^'\"`]+)['\"`]", str(error)))
            found = [("", name, f"holds {why}") for name, why in self.unusable.items() if name in asked]
            if not found:
                raise
            hint = "Recode these columns before they are passed: functions do not get them."
            raise SchemaError("A function uses columns that it cannot have.", grouped(found), hint) from error

    def vary(self, names: Sequence[str]) -> bool:
        """Tell whether some columns are the implicates' own, so that they can differ between them."""
        return any(name in self.implicates.names for name in names)

    def weights(self, names: Sequence[str], role: str, implicate: int = 0) -> list[Array]:
        """Columns of weights: numbers, none missing, as they are.

        Parameters
        ----------
        names : sequence of str
        role : str
            What to call them in errors.
        implicate : int
            From 0; its own weights, where it has some.

        Raises
        ------
        SchemaError
            If they cannot be used, or if implicates and static columns have different ones.
        """
        found: list[tuple[str, str, str]] = []
        values = []
        own = [name for name in names if name in self.implicates.names]
        for name, why in self.implicates.unusable(own).items():
            raise _unusable(name, why)
        table = self.implicates.read(implicate, own) if own else pa.table({})
        for name in names:
            static = self._static(name)
            array = _whole(table.column(name)) if name in own else static
            is_twofold = name in own and static is not None and not same_numbers(array, static)
            problem = TWOFOLD if is_twofold else _weight_problem(array, self.known, name, role)
            if problem is None and array is not None:
                values.append(column_values(array))
            else:
                found.append((role, name, problem or ""))
        if found:
            raise SchemaError(
                "The weights cannot be used.", grouped(found), "Mend these columns, or name others."
            )
        return values

    def _static(self, name: str) -> pa.Array | None:
        return _column(self.static, name) if self.static is not None and name in self.static.names else None


class Weighing:
    """The weights of each implicate: its own, if it has some.

    Parameters
    ----------
    survey : FusedSurvey
    question : Question

    Attributes
    ----------
    n_negative : int
        Negative weights, taken as 0, of the first implicate that had some.
    """

    def __init__(self, survey: FusedSurvey, question: Question) -> None:
        self.survey, self.question = survey, question
        names = [*question.replicates, *([question.weight] if question.weight is not None else [])]
        self.vary = survey.vary(names)
        self.n_negative = 0
        self._fixed: tuple[Array, Replicates | None] | None = None

    def of(self, implicate: int) -> tuple[Array, Replicates | None]:
        """Fetch the weights, (n,) float64, and the replicate weights if there are any.

        Raises
        ------
        SchemaError
            If they cannot be used.
        """
        if self.vary:
            return self._read(implicate)
        if self._fixed is None:
            self._fixed = self._read(0)
        return self._fixed

    def mean(self) -> tuple[Array, Replicates | None]:
        """Average the weights over the implicates."""
        w, replicates = self.of(0)
        if not self.vary:
            return w, replicates
        M = self.survey.implicates.M
        w = w.copy()
        for implicate in range(1, M):
            more, beside = self.of(implicate)
            w += more
            if replicates is not None and beside is not None:
                replicates.weights += beside.weights
        if replicates is not None:
            replicates.weights /= M
        return w / M, replicates

    def _read(self, implicate: int) -> tuple[Array, Replicates | None]:
        survey, names, weight = self.survey, self.question.replicates, self.question.weight
        w = np.ones(survey.n_rows)
        if weight is not None:
            given = survey.weights([weight], "weight", implicate)[0]
            self.n_negative = self.n_negative or int((given < 0).sum())
            w = np.maximum(given, 0.0)
        if not names:
            return w, None
        columns = survey.weights(names, "replicate weight", implicate)
        scale = self.question.scale / len(columns)
        return w, Replicates(np.asfortranarray(np.stack(columns, axis=1)), scale, self.question.cores)


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _column(table: Table, name: str) -> pa.Array:
    try:
        return table.plain_column(name)
    except Unreadable as error:
        raise _unusable(name, error) from None


def _readable(table: Table, name: str) -> pa.Array | None:
    try:
        return table.plain_column(name)
    except Unreadable:
        return None


def _unusable(name: str, why: object) -> SchemaError:
    return SchemaError(f"Column `{name}` cannot be used.", [f"It holds {why}."], "Recode or drop it.")


def _weight_problem(array: pa.Array | None, known: Sequence[str], name: str, role: str) -> str | None:
    if array is None:
        return "neither in `static` nor in `implicates`" + meant(name, known)
    if not is_number(array.type):
        return f"weights must be numeric, not {array.type}"
    values = column_values(array)
    if n_missing := int(np.isnan(values).sum()):
        return (
            f"{counted(n_missing, 'missing or infinite value')}; drop those recipients, or give them a weight"
        )
    has_some = (values > 0).any() if role == "weight" else values.any()
    return None if has_some else "no weight is positive"


def check_columns(columns: Mapping[str, pa.Array], survey: FusedSurvey, question: Question) -> None:
    """Refuse columns that are not there, or are not what a statistic is of.

    Raises
    ------
    SchemaError
    """
    known = [*survey.known, *columns]
    has_fun = question.fun is not None
    places = "`implicates`, `static` or what `fun` returns" if has_fun else "`implicates` or `static`"
    found: list[tuple[str, str, str]] = []
    for name in question.by:
        if name not in columns:
            found.append(("by", name, f"not in {places}" + meant(name, known)))
        elif not can_group(columns[name].type):
            found.append(("by", name, f"holds {columns[name].type}, which makes no groups; make it text"))
    for estimand in question.estimands:
        for name in estimand.variables:
            if name not in columns:
                found.append(("variable", name, f"not in {places}" + meant(name, known)))
                continue
            kind = columns[name].type
            if pa.types.is_temporal(kind) or pa.types.is_decimal(kind) or not can_group(kind):
                found.append(
                    (
                        "variable",
                        name,
                        f"holds {kind}; only numbers, categories, text and booleans can be used",
                    )
                )
            elif problem := misfit(estimand, kind):
                found.append(("variable", name, problem))
    unmet = {name for _, name, _ in found}
    for estimand in question.estimands:
        if estimand.formula is None or not unmet.isdisjoint(estimand.variables):
            continue
        if problem := formula_problem(estimand.formula, columns):
            found.append(("formula", estimand.y, problem))
    lost = survey.implicates.attributes.get(LOST, ())
    used = dict.fromkeys(name for estimand in question.estimands for name in estimand.variables)
    if codes := [name for name in used if name in lost and name in columns and is_number(columns[name].type)]:
        message = (
            f"{few(codes, '`')}: categories in the file, of which pandas has made numbers, so that estimates "
            "are of codes. Pass the file, or read it with `read_fsd()`."
        )
        warn(message)
    if found:
        hint = f"Columns there are: {few(dict.fromkeys(known), '`', most=12)}."
        raise SchemaError("`x` and `by` do not fit the data.", grouped(dict.fromkeys(found)), hint)
