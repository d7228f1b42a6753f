"""The one place where columns become arrays and back.

A column is continuous (a number), ordered or nominal (levels, coded from 0), or logical.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import (
    Problems,
    SchemaError,
    alike,
    composed,
    counted,
    few,
    grouped,
    meant,
    repeated,
    warn,
)
from fusionpy.frames import Table, Unreadable, is_text, to_floats
from fusionpy.kernels.magnitudes import telling_exponent

__all__ = [
    "Kind",
    "Schema",
    "Variable",
    "describe",
    "is_number",
    "positive_weights",
    "warn_of_negative",
    "weight_column",
]

Kind = Literal["continuous", "ordered", "nominal", "logical"]
RESERVED = ("M", "W..", "R..")
_R_NAME = re.compile(r"(?:[^\W\d_]|\.(?!\d))[\w.]*", re.UNICODE)
_R_DOTS = re.compile(r"\.\.(\.|\d+)")
_R_WORDS = frozenset(
    "if else repeat while function for next break TRUE FALSE NULL Inf NaN NA NA_integer_ NA_real_ "
    "NA_character_ NA_complex_ in".split()
)
_NUMBER = re.compile(r"\s*[-+]?(\d+([.,]\d*)*|\.\d+)([eE][-+]?\d+)?\s*")
_MANY_LEVELS = 1000
_LONGEST = 10_000  # bytes of a name
UNFIT, RECODE = "`data` cannot be trained on.", "Mend these columns, or leave them out."
NO_COLUMN = "not in `data`"
EMPTY = "no values at all"
LOGICAL = "logical (True or False)"
INSTEAD = "only numbers, categories, text and booleans can be used"
_MOST = 1e100  # of a fusion variable: squared distances stay finite
_MOST_WHOLE = 2**53  # beyond, whole numbers are not exact in floating point


def is_r_name(name: str) -> bool:
    """Tell whether R would take a column's name as it is.

    Examples
    --------
    >>> is_r_name("home.type_2"), is_r_name("2nd home"), is_r_name(".5x"), is_r_name("for")
    (True, False, False, False)
    """
    return bool(_R_NAME.fullmatch(name)) and name not in _R_WORDS and not _R_DOTS.fullmatch(name)


@dataclass(frozen=True)
class Variable:
    """One column: its kind, its levels in order, and how it was stored.

    Attributes
    ----------
    name : str
    kind : {"continuous", "ordered", "nominal", "logical"}
    levels : tuple
        Empty unless ordered or nominal.
    storage : str
        Arrow type of the values (of the levels, if there are levels).
    text : bool
        A nominal column that was stored as plain strings: it comes back as such.
    exponent : int
        Power of 2 that boosters see its values multiplied by.
    """

    name: str
    kind: Kind
    levels: tuple[Any, ...] = ()
    storage: str = "double"
    text: bool = False
    exponent: int = 0

    @property
    def is_categorical(self) -> bool:
        """Whether it has classes rather than values."""
        return self.kind != "continuous"

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 if continuous."""
        return {"continuous": 0, "logical": 2}.get(self.kind, len(self.levels))

    @property
    def model_type(self) -> str:
        """The reference's name for it: continuous, binary or multiclass."""
        if not self.is_categorical:
            return "continuous"
        return "binary" if self.n_classes == 2 else "multiclass"

    def decode(self, codes: NDArray[Any]) -> pa.Array:
        """Turn codes, or values, into a column of the donor's own type."""
        if self.kind == "continuous":
            return pa.array(codes).cast(pa.type_for_alias(self.storage), safe=False)
        if self.kind == "logical":
            return pa.array(codes.astype(bool))
        levels = pa.array(list(self.levels), type=pa.type_for_alias(self.storage))
        if self.text:
            return levels.take(pa.array(codes.astype(np.int32)))
        return pa.DictionaryArray.from_arrays(
            pa.array(codes.astype(np.int32)), levels, ordered=self.kind == "ordered"
        )

    @property
    def arrow_type(self) -> pa.DataType:
        """Type of the column that `decode` makes."""
        if self.kind == "logical":
            return pa.bool_()
        values = pa.type_for_alias(self.storage)
        if self.kind == "continuous" or self.text:
            return values
        return pa.dictionary(pa.int32(), values, ordered=self.kind == "ordered")


def _learn_variable(name: str, array: pa.Array) -> Variable | str:
    """Tell a column's kind, or what is wrong with it."""
    kind = array.type
    if pa.types.is_boolean(kind):
        return Variable(name, "logical", storage="bool")
    if is_number(kind):
        return Variable(name, "continuous", storage=str(kind))
    if pa.types.is_dictionary(kind):
        levels = array.dictionary.to_pylist()
        if not _is_level_type(kind.value_type):
            return f"categories whose levels are {_plain_type(kind.value_type)}; make the levels text"
        if None in levels or any(level != level for level in levels):
            return "a missing value among the levels; drop that level"
        if repeated(levels):
            return f"the same level more than once: {few(repeated(levels))}"
        if odd := _with_zero(levels):
            return odd
        value_type = "string" if is_text(kind.value_type) else str(kind.value_type)
        return Variable(name, "ordered" if kind.ordered else "nominal", tuple(levels), value_type)
    if is_text(kind):
        levels = sorted(pc.unique(array).drop_null().to_pylist())
        if odd := _with_zero(levels):
            return odd
        return Variable(name, "nominal", tuple(levels), "string", text=True)
    if pa.types.is_null(kind):
        return EMPTY
    return f"{_plain_type(kind)}; {INSTEAD}"


def _with_zero(levels: Sequence[Any]) -> str | None:
    """Name levels that no archive can hold, as R's texts cannot."""
    odd = [level for level in levels if isinstance(level, str) and "\0" in level]
    return f"levels with a zero byte, which R's texts cannot have: {few(odd)}" if odd else None


def _is_level_type(kind: pa.DataType) -> bool:
    return is_text(kind) or any(
        test(kind)
        for test in (pa.types.is_integer, pa.types.is_float32, pa.types.is_float64, pa.types.is_boolean)
    )


def _plain_type(kind: pa.DataType) -> str:
    """Name a type that is not supported."""
    if pa.types.is_temporal(kind):
        return "dates or times"
    if pa.types.is_decimal(kind):
        return "decimal numbers (Arrow's decimal type)"
    if pa.types.is_nested(kind):
        return "lists or records"
    if isinstance(kind, pa.BaseExtensionType):
        return f"values of type '{kind.extension_name}'"
    return f"values of type '{kind}'"


def is_number(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type is one of numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def describe(array: pa.Array) -> str:
    """Name a column's kind, for errors."""
    if is_text(array.type):
        return "text"
    learned = _learn_variable("", array)
    if isinstance(learned, str):
        return _plain_type(array.type)
    return _wanted(learned)


def _codes(variable: Variable, array: pa.Array) -> NDArray[np.float64]:
    """Values, or level codes, as float64 with NaN for missing."""
    if len(array) == 0:
        return np.empty(0)
    if pa.types.is_dictionary(array.type):
        places = pc.index_in(
            array.dictionary, value_set=pa.array(list(variable.levels), type=array.type.value_type)
        )
        array = places.take(array.indices)
    elif pa.types.is_boolean(array.type):
        array = array.cast(pa.int8())
    elif variable.kind == "nominal":
        array = pc.index_in(array, value_set=pa.array(list(variable.levels), type=array.type))
    return to_floats(array)


@dataclass(frozen=True)
class Schema:
    """What training has learned of the columns, to be replayed on recipients.

    Attributes
    ----------
    x, y : tuple of Variable
        Predictors and fusion variables, in the order given to `train`.
    """

    x: tuple[Variable, ...]
    y: tuple[Variable, ...]

    def __getitem__(self, name: str) -> Variable:
        """Find a variable by its name."""
        return next(variable for variable in (*self.x, *self.y) if variable.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the model matrix: predictors, then fusion variables."""
        return tuple(variable.name for variable in (*self.x, *self.y))

    @classmethod
    def learn(
        cls,
        table: Table,
        x: Sequence[str],
        y: Sequence[str],
        problems: Problems | None = None,
        *,
        boosted: bool = False,
    ) -> Schema:
        """Learn the columns of a donor survey.

        Parameters
        ----------
        table : Table
        x, y : sequence of str
            Predictors and fusion variables.
        problems : Problems, optional
            What has been found wrong with the table already, to be raised together with what is found here.
        boosted : bool
            Whether it is for trees, which need not know how far away an infinite predictor is.

        Returns
        -------
        Schema

        Raises
        ------
        SchemaError
            Naming every column that cannot be used, and why.

        Warns
        -----
        FusionWarning
            If text columns were taken as nominal.

        Notes
        -----
        Reference, section 1.
        """
        problems = problems or Problems(SchemaError, UNFIT, RECODE)
        learned: dict[str, Variable] = {}
        found: list[tuple[str, str, str]] = []
        for name in (*x, *y):
            role = "fusion variable" if name in y else "predictor"
            variable, wrong = _check_donor_column(table, name, role, boosted)
            found += [(role, name, problem) for problem in wrong]
            if variable is not None:
                learned[name] = variable
        for problem in grouped(found):
            problems.add(problem)
        problems.stop()
        text = [variable.name for variable in learned.values() if variable.text]
        if text:
            message = f"Text columns are taken as nominal, their levels sorted: {few(text, '`')}."
            odd = [
                f"`{v.name}` {what}" for v in learned.values() if v.text and (what := _odd_texts(v.levels))
            ]
            warn(" ".join([message, *(f"{each}." for each in odd)]))
        _warn_of_guesses(table, list(learned.values()))
        _warn_of_twins(list(learned.values()))
        return cls(tuple(learned[name] for name in x), tuple(learned[name] for name in y))

    def exponents(self, names: Sequence[str]) -> NDArray[np.intp] | None:
        """Powers of 2 that boosters see columns multiplied by.

        Parameters
        ----------
        names : (p,) sequence of str

        Returns
        -------
        (p,) intp, or None
            None if all are 0.
        """
        found = np.array([self[name].exponent for name in names], dtype=np.intp)
        return found if found.any() else None

    def encode(self, table: Table, names: Sequence[str]) -> NDArray[np.float64]:
        """Turn columns into a matrix: values, or level codes from 0, NaN where missing.

        Parameters
        ----------
        table : Table
            With columns that fit this schema.
        names : sequence of str

        Returns
        -------
        (n, p) float64
        """
        matrix = np.empty((table.n_rows, len(names)))
        for j, name in enumerate(names):
            matrix[:, j] = _codes(self[name], table.column(name))
        return matrix

    def check_recipient(
        self, table: Table, names: Sequence[str], model: str, more: Sequence[str] = ()
    ) -> None:
        """Refuse recipients whose columns are not what the donors' were.

        Parameters
        ----------
        table : Table
        names : sequence of str
            The predictors needed.
        model : str
            What to call the model in the error.
        more : sequence of str
            Other problems, to be told after those that are found here.

        Raises
        ------
        SchemaError
            Naming every column that differs, and how.

        Notes
        -----
        Same kind, and for categories identical levels in identical order (reference, section 1).
        """
        found = [("", name, problem) for name in names if (problem := _check_column(self[name], table))]
        if found:
            raise SchemaError(
                f"`data` does not match the predictors of {model}.",
                [*grouped(found), *more],
                "Recode these columns, or train again on data that has them.",
            )


def _warn_of_guesses(table: Table, learned: Sequence[Variable]) -> None:
    """Say which levels were taken from the values, where that may not be what was meant."""
    guessed = [variable for variable in learned if variable.name in table.guessed]
    unsure = []
    for v in guessed:
        if v.n_classes < table.guessed[v.name]:
            unsure.append(f"`{v.name}` ({v.n_classes:,} of {table.guessed[v.name]:,} levels occur)")
        elif v.kind == "ordered":
            unsure.append(f"`{v.name}` (taken as ascending: {few(v.levels)})")
    if unsure:
        more = f" and {len(unsure) - 5} more" if len(unsure) > 5 else ""
        message = (
            "Parquet does not keep levels that are not text, so they are taken from the values: "
            f"{', '.join(unsure[:5])}{more}. Make levels text before a file is written, if these are wrong."
        )
        warn(message)


def _warn_of_twins(learned: Sequence[Variable]) -> None:
    """Warn of levels that nobody can tell apart by looking at them."""
    twins = []
    for variable in learned:
        texts = [level for level in variable.levels if isinstance(level, str)]
        if not variable.text and len({composed(text) for text in texts}) < len(texts):
            twin = repeated(map(composed, texts))[0]
            one, *others = (text for text in texts if composed(text) == twin)
            twins.append(f"`{variable.name}`: {alike([one], others)}")
    if twins:
        message = f"Levels are the same to the eye: {'; '.join(twins[:5])}."
        warn(message)


def _check_name(name: str, role: str) -> list[str]:
    if name in RESERVED and role != "predictor":
        return ["the name is reserved for the result; rename it"]
    if len(name.encode(errors="replace")) > _LONGEST:
        return [f"a name of more than {_LONGEST:,} bytes, R's limit; rename it"]
    if not is_r_name(name):
        return ["not a name for R; rename it with letters, digits, '.' and '_' only, a letter first"]
    return []


def _check_donor_column(
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
    variable = _learn_variable(name, array)
    if isinstance(variable, str):
        return None, [*problems, variable]
    values = _codes(variable, array)
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


def _odd_texts(levels: Sequence[str]) -> str | None:
    """Say what makes one doubt that these are the levels that were meant."""
    words = [level for level in levels if not _NUMBER.fullmatch(level)]
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


def _check_column(variable: Variable, table: Table) -> str | None:
    """Say what is wrong with a recipient column."""
    if variable.name not in table.names:
        return NO_COLUMN + meant(variable.name, table.names)
    try:
        array = table.column(variable.name)
    except Unreadable as error:
        return f"must be {_wanted(variable)}, not {error}"
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
    learned = _learn_variable(variable.name, array)
    if isinstance(learned, str):
        return learned
    if n_levels in (0, len(variable.levels)) and not _unseen(learned.levels, variable):
        learned = replace(learned, levels=variable.levels)
    return _level_mismatch(variable, learned)


def _mismatch(variable: Variable, array: pa.Array) -> str | None:
    """Say how a recipient column differs from what was learned."""
    if variable.kind == "continuous":
        if not is_number(array.type):
            return f"must be {_wanted(variable)}, not {describe(array)}"
        values = _codes(variable, array)
        if np.isnan(values).all():
            return EMPTY
        return next(iter(_check_numbers(variable, array, values, infinite=True)), None)
    if variable.kind == "logical":
        return (
            None if pa.types.is_boolean(array.type) else f"must be {_wanted(variable)}, not {describe(array)}"
        )
    if is_text(array.type) and variable.kind == "nominal":
        return _unseen(pc.unique(array).drop_null().to_pylist(), variable)
    if not pa.types.is_dictionary(array.type):
        return f"must be {_wanted(variable)}, not {describe(array)}"
    learned = _learn_variable(variable.name, array)
    return learned if isinstance(learned, str) else _level_mismatch(variable, learned)


def _wanted(variable: Variable) -> str:
    """Name what a column must be."""
    if variable.text:
        return "text"
    kinds = {"continuous": "numeric", "ordered": "ordered categories", "nominal": "unordered categories"}
    return kinds.get(variable.kind, LOGICAL)


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


def weight_column(
    table: Table, name: str, whose: str = "donors", home: str = "`data`"
) -> NDArray[np.float64] | str:
    """Fetch a column of weights, or say why it cannot be had.

    Parameters
    ----------
    table : Table
    name : str
    whose : str
        Who has the weights.
    home : str
        The argument that `table` came in.

    Returns
    -------
    (n,) float64, or str
        Finite; of negative ones `positive_weights` takes care.
    """
    if name not in table.names:
        return f"not in {home}" + meant(name, table.names)
    try:
        array = table.column(name)
    except Unreadable as error:
        return f"{error}; weights must be numeric"
    if not is_number(array.type):
        return f"weights must be numeric, not {describe(array)}"
    values = to_floats(array)
    if n_missing := int(np.isnan(values).sum()):
        return f"{counted(n_missing, 'missing value')}; drop those {whose}, or give them a weight"
    if n_infinite := int(np.isinf(values).sum()):
        return f"{counted(n_infinite, 'infinite value')}, which cannot be used"
    return values


def positive_weights(
    values: NDArray[np.float64] | str, name: str, quiet: bool = False
) -> NDArray[np.float64] | str:
    """Take negative survey weights as 0, with a warning: what every verb does.

    Nobody stands for less than nobody, but a few negative weights, as calibration or an adjustment for
    nonresponse may leave them, are no reason not to start. Replicate weights are another matter: those of the
    American Community Survey are negative by design, and are used as they are.

    Parameters
    ----------
    values : (n,) float64, or str
        From `weight_column`; what is wrong with them is handed on. NaN stays.
    name : str
        Of the column.
    quiet : bool
        Do not warn.

    Returns
    -------
    (n,) float64, or str
        None negative and one positive, or what is wrong with them.

    Examples
    --------
    >>> positive_weights(np.array([2.0, -1.0]), "w", quiet=True).tolist(), positive_weights(np.zeros(2), "w")
    ([2.0, 0.0], 'no weight is positive')
    """
    if isinstance(values, str):
        return values
    if not (values > 0).any():
        return "no weight is positive"
    if not quiet:
        warn_of_negative(int((values < 0).sum()), name)
    return np.maximum(values, 0.0)


def warn_of_negative(n_negative: int, name: str) -> None:
    """Warn of negative weights, if there are any."""
    if n_negative:
        warn(f"{counted(n_negative, 'negative weight')} in `{name}`: taken as 0.")
