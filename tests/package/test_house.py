"""The house stays one to live in: few modules at its top, no long file, no long function."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import fusionpy

PACKAGE = Path(fusionpy.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MOST_LINES, MOST_LINES_OF_FUNCTION = 400, 60


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many lines a function has beside its docstring."""
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function, clean=False) is None:
        return lines
    told = function.body[0]
    assert told.end_lineno is not None
    return lines - (told.end_lineno - told.lineno + 1)


def test_modules_at_the_top():
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "errors", "progress", "words"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_file_and_no_function_is_long(path: Path):
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= MOST_LINES
    functions = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    long = {function.name: n for function in functions if (n := lines_of(function)) > MOST_LINES_OF_FUNCTION}
    assert long == {}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_name_of_a_module_is_assigned_twice(path: Path):
    """The second would take the place of the first without a word."""
    targets = [
        target
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    ]
    names = [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    assert sorted(names) == sorted(set(names))
