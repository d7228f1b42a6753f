"""One column as a model knows it: its kind, its levels, and how its values become numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import (
    few,
    repeated,
)
from fusionpy.frames.tables import is_text, to_floats

__all__ = [
    "EMPTY",
    "INSTEAD",
    "NUMBER",
    "Kind",
    "Variable",
    "codes_of",
    "describe",
    "is_number",
    "is_r_name",
    "learn_variable",
    "wanted",
]

Kind = Literal["continuous", "ordered", "nominal", "logical"]

_R_NAME = re.compile(r"(?:[^\W\d_]|\.(?!\d))[\w.]*", re.UNICODE)

_R_DOTS = re.compile(r"\.\.(\.|\d+)")

_R_WORDS = frozenset(
    "if else repeat while function for next break TRUE FALSE NULL Inf NaN NA NA_integer_ NA_real_ "
    "NA_character_ NA_complex_ in".split()
)

NUMBER = re.compile(r"\s*[-+]?(\d+([.,]\d*)*|\.\d+)([eE][-+]?\d+)?\s*")

EMPTY = "no values at all"

LOGICAL = "logical (True or False)"

INSTEAD = "only numbers, categories, text and booleans can be used"


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


def learn_variable(name: str, array: pa.Array) -> Variable | str:
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
    learned = learn_variable("", array)
    if isinstance(learned, str):
        return _plain_type(array.type)
    return wanted(learned)


def codes_of(variable: Variable, array: pa.Array) -> NDArray[np.float64]:
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


def wanted(variable: Variable) -> str:
    """Name what a column must be."""
    if variable.text:
        return "text"
    kinds = {"continuous": "numeric", "ordered": "ordered categories", "nominal": "unordered categories"}
    return kinds.get(variable.kind, LOGICAL)
