"""Arithmetic of columns, as formulas have it: ``log(income)``, ``I(age^2)``, ``I(fuel == "gas")``.

Only what is listed here is computed: text is read as a tree, never run.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fusionpy.analysis.groups import Array, column_values
from fusionpy.model.variables import is_number

__all__ = ["FUNCTIONS", "Expression", "Result", "as_name", "evaluate_expression", "read_expression"]

FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "I": np.asarray,
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "exp": np.exp,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "abs": np.abs,
}
LEVELS_OF = ("factor", "C")  # a column whose values are taken for levels
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_SIGNS: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: operator.pos}
_PARTS = re.compile(r"(`[^`]*`)|('[^']*'|\"[^\"]*\")|\^")
_PLAIN = re.compile(r"(?!\d|_|\.\d)[\w.]+")
_CONSTANTS = {name: np.float64(value) for name, value in (("TRUE", 1), ("FALSE", 0), ("pi", np.pi))}


class Expression(NamedTuple):
    """What is computed of columns.

    Attributes
    ----------
    label : str
        As R writes it.
    text : str
        As Python reads it, where names that it cannot read have others.
    names : tuple of (str, str)
        These, and the columns.
    variables : tuple of str
        Columns that it needs.
    levels_of : str
        The column, if it is one alone, or one whose values are taken for levels.
    as_levels : bool
        Whether its values are levels even if they are numbers.
    """

    label: str
    text: str
    names: tuple[tuple[str, str], ...]
    variables: tuple[str, ...]
    levels_of: str = ""
    as_levels: bool = False


class Result(NamedTuple):
    """Values of an expression.

    Attributes
    ----------
    values : (n,) float64
        NaN where missing.
    is_logical : bool
    n_undefined : int
        Values that are not finite, though the columns' are: logarithms of 0, roots of what is negative.
    """

    values: Array
    is_logical: bool
    n_undefined: int


def as_name(column: str) -> str:
    """Write a column's name as R does in a formula.

    Examples
    --------
    >>> as_name("kwh"), as_name("my var")
    ('kwh', '`my var`')
    """
    return column if _PLAIN.fullmatch(column) else f"`{column}`"


def read_expression(text: str) -> Expression:
    """Read an expression.

    Parameters
    ----------
    text : str
        As `formulaic` writes it: names in backticks, ``^`` for powers.

    Returns
    -------
    Expression

    Raises
    ------
    ValueError
        Saying what of it is not known.

    Examples
    --------
    >>> found = read_expression("log(`my var` + 1)")
    >>> found.label, found.variables
    ('log(`my var` + 1)', ('my var',))
    """
    names: dict[str, str] = {}

    def replace(part: re.Match[str]) -> str:
        if part[1]:
            return names.setdefault(part[1][1:-1], f"_{len(names)}")
        return part[2] or "**"

    python = _PARTS.sub(replace, text)
    hidden = {own: column for column, own in names.items()}
    try:
        tree = ast.parse(python, mode="eval").body
    except (SyntaxError, ValueError):
        raise ValueError(f"'{text}' is not understood") from None
    variables: list[str] = []
    label = text.replace("'", '"').replace(" ^ ", "^")
    if isinstance(tree, ast.Call) and _name(tree.func) in LEVELS_OF:
        column = _column(tree.args[0], hidden) if len(tree.args) == 1 and not tree.keywords else None
        if column is None:
            raise ValueError(f"'{text}' must be of one column")
        return Expression(label, python, tuple(hidden.items()), (column,), column, as_levels=True)
    _check(tree, text, hidden, variables)
    used = tuple(dict.fromkeys(variables))
    return Expression(label, python, tuple(hidden.items()), used, _column(tree, hidden) or "")


def _name(node: ast.AST) -> str | None:
    """Put together a name that may have dots, as R's have."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _name(node.value)):
        return f"{before}.{node.attr}"
    return None


def _column(node: ast.AST, hidden: Mapping[str, str]) -> str | None:
    name = _name(node)
    return None if name is None else hidden.get(name, name)


def _function(node: ast.Call) -> Callable[[Array], Array] | None:
    name = _name(node.func) or ""
    return FUNCTIONS.get(name.removeprefix("np.")) if len(node.args) == 1 and not node.keywords else None


def _check(node: ast.AST, text: str, hidden: Mapping[str, str], variables: list[str]) -> None:
    """Go through a tree: refuse what is not known, and note the columns."""
    column = _column(node, hidden)
    if column is not None:
        if column not in _CONSTANTS:
            variables.append(column)
        return
    inside: list[ast.AST]
    if isinstance(node, ast.Call):
        if _function(node) is None:
            known = ", ".join([*FUNCTIONS, "factor"])
            raise ValueError(
                f"'{text}' has a function that formulas lack; they have {known}, each of one argument; "
                "let `fun` make other columns"
            )
        inside = list(node.args)
    elif isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        inside = [node.left, node.right]
    elif isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
        inside = [node.operand]
    elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
        inside = [node.left, node.comparators[0]]
        inside = [each for each in inside if not _is_text(each)] if len(inside) == 2 else inside
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
        inside = []
    else:
        raise ValueError(f"'{text}' is not understood; formulas have + - * / ^ and comparisons")
    for each in inside:
        _check(each, text, hidden, variables)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def evaluate_expression(expression: Expression, columns: Mapping[str, pa.Array]) -> Result:
    """Compute an expression of columns.

    Parameters
    ----------
    expression : Expression
    columns : mapping
        Of one implicate.

    Returns
    -------
    Result

    Raises
    ------
    ValueError
        If a column is not what the expression needs.

    Examples
    --------
    >>> found = evaluate_expression(read_expression("I(x^2 > 1)"), {"x": pa.array([0.0, 2.0, None])})
    >>> found.values, found.is_logical
    (array([ 0.,  1., nan]), True)
    """
    hidden = dict(expression.names)
    met: list[Array] = []
    is_logical = False

    def value(node: ast.AST) -> Any:
        nonlocal is_logical
        if (name := _column(node, hidden)) is not None:
            if name in _CONSTANTS:
                return _CONSTANTS[name]
            array = columns[name]
            if not (is_number(array.type) or pa.types.is_boolean(array.type)):
                raise ValueError(f"`{name}` has levels, of which there is no '{expression.label}'")
            met.append(column_values(array))
            is_logical = pa.types.is_boolean(array.type)
            return met[-1]
        if isinstance(node, ast.Constant):
            is_logical = False
            return np.float64(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.Compare):
            found = _compared(node, columns, hidden, value)
            if any(map(_is_text, (node.left, *node.comparators))):
                met.append(found)
            is_logical = True
            return found
        if isinstance(node, ast.Call):
            function = _function(node)
            assert function is not None
            of = value(node.args[0])
            is_logical = is_logical and function is np.asarray
            return function(of)
        if isinstance(node, ast.UnaryOp):
            found = _SIGNS[type(node.op)](value(node.operand))
        else:
            assert isinstance(node, ast.BinOp)
            found = _ARITHMETIC[type(node.op)](value(node.left), value(node.right))
        is_logical = False
        return found

    with np.errstate(all="ignore"):
        values = np.asarray(value(ast.parse(expression.text, mode="eval").body), dtype=np.float64)
    if values.ndim == 0:
        values = np.full(len(next(iter(columns.values()))), float(values))
    known = np.isfinite(values)
    missing = np.any([np.isnan(each) for each in met], axis=0) if met else np.zeros(len(values), dtype=bool)
    return Result(np.where(known, values, np.nan), is_logical, int(np.count_nonzero(~known & ~missing)))


def _compared(
    node: ast.Compare, columns: Mapping[str, pa.Array], hidden: Mapping[str, str], value: Callable[[Any], Any]
) -> Array:
    """Compare numbers, or a column's levels with one of them; NaN where one is missing."""
    left, right = node.left, node.comparators[0]
    if _is_text(left):
        left, right = right, left
    if _is_text(right):
        name = _column(left, hidden)
        if name is None or not isinstance(node.ops[0], ast.Eq | ast.NotEq):
            raise ValueError("text can only be compared with a column, by == or !=")
        array = columns[name]
        if is_number(array.type) or pa.types.is_boolean(array.type):
            raise ValueError(f"`{name}` is not text")
        plain = array.cast(pa.string())
        is_same = pc.equal(plain, right.value).cast(pa.float64())  # type: ignore[attr-defined]
        found = column_values(is_same)
        return found if isinstance(node.ops[0], ast.Eq) else 1 - found
    a, b = value(left), value(right)
    found = np.asarray(_COMPARISONS[type(node.ops[0])](a, b), dtype=np.float64)
    return np.asarray(np.where(np.isnan(a) | np.isnan(b), np.nan, found))
