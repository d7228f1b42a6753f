"""Signatures and docstrings that are read from source: as Python has them."""

from __future__ import annotations

import ast
import inspect

import pytest

import fusionpy
from fusionpy.cli.commands import COMMANDS
from fusionpy.cli.signatures import read_docstring, read_parameters

VERBS = ["cross_score", *(each.verb for each in COMMANDS.values() if each.verb)]


@pytest.mark.parametrize("verb", VERBS)
def test_signatures_are_read_as_python_has_them(verb: str) -> None:
    found = read_parameters(verb)
    wanted = inspect.signature(getattr(fusionpy, verb)).parameters
    assert list(found) == list(wanted)
    for name, parameter in wanted.items():
        assert found[name].default == parameter.default
        assert found[name].annotation == ast.unparse(ast.parse(parameter.annotation))
        assert found[name].about or (verb, name) in {
            ("report", "title"),
            ("report", "authors"),
        }


def test_docstrings_are_read_as_python_has_them() -> None:
    assert read_docstring("fusionpy", "fuse") == inspect.getdoc(fusionpy.fuse)
    with pytest.raises(LookupError, match="fusionpy has no nothing"):
        read_parameters("nothing")
