"""What a verb's source says of its parameters.

The source is read, not run: for `--help` a verb need not be imported, with all the libraries that brings.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

__all__ = ["REQUIRED", "Parameter", "read_docstring", "read_parameters"]

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """A parameter of a verb.

    Attributes
    ----------
    name : str
    annotation : str
        As it is written.
    default : object
        `REQUIRED`, if there is none.
    about : str
        What the docstring says of it, in one line.
    choices : tuple of str
        What the docstring allows: its type is written ``{"a", "b"}``.
    """

    name: str
    annotation: str
    default: Any
    about: str = ""
    choices: tuple[str, ...] = ()


def read_parameters(verb: str) -> dict[str, Parameter]:
    """Read the parameters of a public verb, in their order.

    Examples
    --------
    >>> found = read_parameters("fuse")
    >>> list(found)[:4], found["M"].default, found["M"].annotation, found["M"].about
    (['data', 'fsn', 'fsd', 'M'], 1, 'int', 'Implicates.')
    """
    node = _find("fusionpy", verb)
    types, told = _described(ast.get_docstring(node) or "")
    found = {}
    for name, annotation, default in _declared(node.args):
        choices = tuple(re.findall(r'"(.+?)"', types.get(name, ""))) if "{" in types.get(name, "") else ()
        found[name] = Parameter(name, annotation, default, told.get(name, ""), choices)
    return found


def read_docstring(module: str, function: str) -> str:
    """Read the docstring of a function.

    Examples
    --------
    >>> read_docstring("fusionpy", "fuse").partition(", ")[0]
    "Simulate a model's fusion variables for every record of a recipient survey"
    """
    return ast.get_docstring(_find(module, function)) or ""


def _find(module: str, function: str) -> ast.FunctionDef:
    """Find a function where it is defined, by way of the modules that import it from there."""
    tree = ast.parse(_source(module))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return node
    for imported in ast.walk(tree):  # those for type checkers, too
        if isinstance(imported, ast.ImportFrom) and any(each.name == function for each in imported.names):
            return _find(str(imported.module), function)
    raise LookupError(f"{module} has no {function}()")


def _source(module: str) -> str:
    *folders, last = module.split(".")[1:] or [""]
    folder = files("fusionpy").joinpath(*folders)
    file = folder.joinpath(f"{last}.py")
    return (file if file.is_file() else folder.joinpath(last, "__init__.py")).read_text(encoding="utf-8")


def _declared(given: ast.arguments) -> Iterator[tuple[str, str, Any]]:
    """Go through names, annotations and defaults."""
    positional = [*given.posonlyargs, *given.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults))
    rest = [given.kwarg] if given.kwarg is not None else []
    parameters = [*positional, *given.kwonlyargs, *rest]
    defaults = [*missing, *given.defaults, *given.kw_defaults, *(None for _ in rest)]
    for each, default in zip(parameters, defaults, strict=True):
        annotation = ast.unparse(each.annotation) if each.annotation is not None else ""
        yield each.arg, annotation, REQUIRED if default is None else ast.literal_eval(default)


def _described(docstring: str) -> tuple[dict[str, str], dict[str, str]]:
    """Take types and descriptions from the section of parameters, as numpydoc has it."""
    section = re.search(r"(?ms)^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n---|\Z)", docstring)
    types: dict[str, str] = {}
    told: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", section[1] if section else ""):
        head, _, text = entry.partition("\n")
        names, _, kind = head.partition(" : ")
        for name in names.replace("*", "").split(", "):
            types[name], told[name] = kind, " ".join(text.split())
    return types, told
