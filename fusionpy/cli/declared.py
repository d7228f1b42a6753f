"""What the user says of a file's columns: which are categories or text, and what stands for no answer."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fusionpy.cli.arguments import expand_patterns, read_levels, split_names
from fusionpy.errors import Problems, few
from fusionpy.frames.tables import is_text
from fusionpy.model.variables import Variable, is_number

__all__ = [
    "Declared",
    "Settled",
    "as_declared",
    "has_leading_zero",
    "inferred",
    "read_declared",
    "without",
]

LEADING_ZERO = r"^[+-]?0[0-9]"
EVERYWHERE = "*"


@dataclass(frozen=True)
class Declared:
    """What the options of a command say of columns.

    Attributes
    ----------
    ordered : mapping of str to Variable
        With the levels that were given.
    nominal, text : tuple of str
        Names and patterns.
    missing : mapping of str to tuple of str
        Codes of missing answers, by name or pattern of the columns.
    spelled : str
        The options as a shell takes them, each with a blank before it.
    """

    ordered: Mapping[str, Variable] = field(default_factory=dict)
    nominal: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    spelled: str = field(default="", compare=False)

    def __bool__(self) -> bool:
        """Whether anything is said."""
        return bool(self.ordered or self.nominal or self.text or self.missing)

    def within(self, names: Sequence[str]) -> Declared:
        """Leave out what is said of other columns, of which another file may have some."""

        def there(given: Sequence[str]) -> tuple[str, ...]:
            return tuple(name for name in expand_patterns(given, names) if name in names)

        return Declared(
            {name: variable for name, variable in self.ordered.items() if name in names},
            there(self.nominal),
            there(self.text),
            {name: codes for name, codes in self.missing.items() if name == EVERYWHERE or there([name])},
        )

    def settle(self, names: Sequence[str], problems: Problems) -> Settled:
        """Find the columns that are meant; note those that are not there.

        Parameters
        ----------
        names : sequence of str
            Columns that are going to be used.
        problems : Problems
        """
        roles = {"--ordered": tuple(self.ordered)}
        roles |= {
            option: tuple(expand_patterns(given, names))
            for option, given in (("--nominal", self.nominal), ("--text", self.text))
        }
        of: dict[str, tuple[str, ...]] = {}
        for pattern, codes in self.missing.items():
            for name in expand_patterns([pattern], names) if pattern != EVERYWHERE else ():
                of[name] = (*of.get(name, ()), *codes)
        for option, given in {**roles, "--missing": tuple(of)}.items():
            if absent := [name for name in given if name not in names]:
                problems.add(f"`{option}` names {few(absent, '`')}, not among the columns to be used.")
        taken: dict[str, str] = {}
        for option, given in roles.items():
            for name in given:
                if taken.setdefault(name, option) != option:
                    problems.add(f"`{name}` is named by `{taken[name]}` and by `{option}`; choose one.")
        return Settled(
            self.ordered, roles["--nominal"], roles["--text"], self.missing.get(EVERYWHERE, ()), of
        )


@dataclass(frozen=True)
class Settled:
    """What is said of the columns of one file.

    Attributes
    ----------
    ordered : mapping of str to Variable
    nominal, text : tuple of str
        Columns.
    everywhere : tuple of str
        Codes of missing answers in all columns.
    missing : mapping of str to tuple of str
        Codes of some columns only.
    """

    ordered: Mapping[str, Variable]
    nominal: tuple[str, ...]
    text: tuple[str, ...]
    everywhere: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]]

    @property
    def as_text(self) -> tuple[str, ...]:
        """Columns that are to be read just as they are written."""
        return tuple(dict.fromkeys((*self.ordered, *self.nominal, *self.text, *self.missing)))

    def codes(self, name: str) -> tuple[str, ...]:
        """List what stands for no answer in a column."""
        return (*self.everywhere, *self.missing.get(name, ()))


def read_declared(
    ordered: Sequence[str] | None,
    nominal: Sequence[str] | None,
    text: Sequence[str] | None,
    missing: Sequence[str] | None,
    problems: Problems,
) -> Declared:
    """Read the options that say what columns are.

    Parameters
    ----------
    ordered : sequence of str
        Such as "education=none<school<college".
    nominal, text : sequence of str
        Such as "code,region_*".
    missing : sequence of str
        Such as "-9,-8,." for all columns, "income=-9,-8" for one, or for those of a pattern.
    problems : Problems

    Returns
    -------
    Declared

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> found = read_declared([], ["code"], [], ["-9,.", "rent=0"], Problems(ArgumentError, ""))
    >>> found.nominal, found.missing
    (('code',), {'*': ('-9', '.'), 'rent': ('0',)})
    >>> found.spelled
    ' --nominal code --missing -9,. --missing rent=0'
    """
    named = {
        option: tuple(name for each in given or () for name in split_names(each, option, problems))
        for option, given in (("--nominal", nominal), ("--text", text))
    }
    codes: dict[str, tuple[str, ...]] = {}
    for each in missing or ():
        name, equals, rest = each.rpartition("=")
        values = tuple(value.strip() for value in rest.split(","))
        if not all(values) or (equals and not name.strip()):
            wanted = "'CODE,CODE' or 'NAME=CODE,CODE'"
            problems.add(f"`--missing` must be {wanted}, such as '-9,-8,.', not '{each}'.")
        key = name.strip() or EVERYWHERE
        codes[key] = (*codes.get(key, ()), *values)
    given = {"ordered": ordered, "nominal": nominal, "text": text, "missing": missing}
    spelled = [f" --{name} {shlex.quote(each)}" for name, every in given.items() for each in every or ()]
    levels = read_levels(ordered or (), problems)
    return Declared(levels, named["--nominal"], named["--text"], codes, "".join(spelled))


def without(column: pa.ChunkedArray, codes: Sequence[str]) -> pa.ChunkedArray:
    """Empty the cells that hold a code for no answer; numbers are compared as numbers.

    Examples
    --------
    >>> without(pa.chunked_array([[1.0, -9.0]]), ["-9", "."]).to_pylist()
    [1.0, None]
    """
    kind = column.type
    if not codes or not len(column):
        return column
    if pa.types.is_dictionary(kind):
        values = column.cast(kind.value_type)
        levels = pc.unique(pa.concat_arrays([chunk.dictionary for chunk in column.chunks]))
        kept = levels.filter(pc.invert(_is_code(levels, codes)))
        return _coded(without(values, codes), kept, kind.ordered)
    if not is_text(kind) and not is_number(kind):
        return column
    return pc.if_else(_is_code(column, codes), pa.scalar(None, kind), column)


def _is_code(values: pa.Array | pa.ChunkedArray, codes: Sequence[str]) -> pa.Array | pa.ChunkedArray:
    kind = values.type
    if is_text(kind):
        return pc.is_in(values, value_set=pa.array(list(codes), kind))
    if not is_number(kind):
        return pc.is_in(values, value_set=pa.array([], kind))
    numbers = [number for code in codes if (number := _number(code)) is not None]
    return pc.is_in(values.cast(pa.float64(), safe=False), value_set=pa.array(numbers, pa.float64()))


def _number(text: Any) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def inferred(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Take text for numbers, or for true and false, if all of it is; not if numbers have leading zeros.

    Examples
    --------
    >>> [str(inferred(pa.chunked_array([texts])).type) for texts in (["1", None], ["1.5", "2"], ["01", "2"])]
    ['int64', 'double', 'string']
    """
    if has_leading_zero(column):
        return column
    for kind in (pa.int64(), pa.float64()):
        try:
            return pc.utf8_trim_whitespace(column).cast(kind)
        except pa.ArrowInvalid:
            continue
    lowered = pc.utf8_lower(column)
    if pc.all(pc.is_in(lowered, value_set=pa.array(["true", "false", None]))).as_py():
        return pc.equal(lowered, "true")
    return column


def has_leading_zero(column: pa.Array | pa.ChunkedArray) -> bool:
    """Tell whether numbers are written with leading zeros, as codes are."""
    return bool(pc.any(pc.match_substring_regex(column, LEADING_ZERO)).as_py())


def as_declared(column: pa.ChunkedArray, role: str) -> pa.ChunkedArray:
    """Make a column "text" or "nominal".

    Parameters
    ----------
    column : pyarrow.ChunkedArray
    role : {"text", "nominal"}

    Returns
    -------
    pyarrow.ChunkedArray
        Strings; or categories whose levels are the values, in order.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        if role == "nominal":
            levels = pc.unique(pa.concat_arrays([chunk.dictionary for chunk in column.chunks]))
            return _coded(column.cast(kind.value_type), levels, False) if kind.ordered else column
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_floating(kind) and pc.all(pc.equal(pc.floor(column), column)).as_py():
        column = column.cast(pa.int64())  # whole numbers beside missing values
    if role == "text":
        return column.cast(pa.string())
    values = [value for value in pc.unique(column).to_pylist() if value is not None]
    numbers = [number for value in values if (number := _number(value)) is not None]
    if len(numbers) == len(values):
        values = [value for _, value in sorted(zip(numbers, values, strict=True))]
    else:
        values.sort()
    return _coded(column, pa.array(values, column.type), False)


def _coded(values: pa.ChunkedArray, levels: pa.Array, ordered: bool) -> pa.ChunkedArray:
    indices = pc.index_in(values, value_set=levels).combine_chunks().cast(pa.int32())
    return pa.chunked_array([pa.DictionaryArray.from_arrays(indices, levels, ordered=ordered)])
