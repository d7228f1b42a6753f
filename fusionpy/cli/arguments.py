"""What is given as text on the command line, turned into what the verbs take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from fusionpy.errors import Problems

if TYPE_CHECKING:
    from fusionpy.model.variables import Variable

__all__ = [
    "expand_patterns",
    "read_design",
    "read_groupings",
    "read_hyper",
    "read_labels",
    "read_levels",
    "read_range",
    "read_rectify",
    "read_rules",
    "read_steps",
    "read_trends",
    "split_names",
    "whole_number",
]

# What only some values need is imported when they are read: `--help` needs the functions, not their work.


def split_names(text: str | None, option: str, problems: Problems, separator: str = ",") -> list[str]:
    """Split a list of names.

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> split_names("fuel, heating+cooling", "--y", Problems(ArgumentError, ""))
    ['fuel', 'heating+cooling']
    """
    names = [name.strip() for name in text.split(separator)] if text is not None else []
    if not all(names):
        problems.add(f"`{option}` has an empty name: '{text}'.")
    return names


def expand_patterns(names: Sequence[str], available: Sequence[str]) -> list[str]:
    """Replace patterns by the columns that they match.

    A pattern that matches none stays, to be complained of where a column would be.

    Examples
    --------
    >>> expand_patterns(["age", "rep_*", "x?"], ["rep_1", "rep_2", "age"])
    ['age', 'rep_1', 'rep_2', 'x?']
    """
    found: list[str] = []
    for name in names:
        matches = [each for each in available if fnmatchcase(each, name)] if re.search(r"[*?[]", name) else []
        found += [each for each in matches if each not in found] if matches else [name]
    return found


def read_range(text: str | None, option: str, problems: Problems) -> tuple[int, int] | None:
    """Read two whole numbers.

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> read_range("10,500", "--krange", Problems(ArgumentError, ""))
    (10, 500)
    """
    match = re.fullmatch(r"\s*(\d+)\s*,\s*(\d+)\s*", text or "")
    if match is not None:
        return int(match[1]), int(match[2])
    if text is not None:
        problems.add(f"`{option}` must be two whole numbers such as 10,500, not '{text}'.")
    return None


def read_hyper(texts: Sequence[str], option: str, problems: Problems) -> dict[str, Any] | None:
    """Read hyperparameters: one value, or several for a grid.

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> read_hyper(["num_leaves=16,32", "learning_rate=0.05"], "--hyper", Problems(ArgumentError, ""))
    {'num_leaves': [16, 32], 'learning_rate': 0.05}
    """
    hyper: dict[str, Any] = {}
    for text in texts:
        name, _, rest = text.partition("=")
        values = [_value(value.strip()) for value in rest.split(",")]
        if not name.strip() or "" in values or name.strip() in hyper:
            problems.add(f"`{option}` must be NAME=VALUE or NAME=VALUE,VALUE, each name once, not '{text}'.")
        hyper[name.strip()] = values if len(values) > 1 else values[0]
    return hyper or None


def _value(text: str) -> int | float | bool | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text.lower(), text)


def read_levels(texts: Sequence[str], problems: Problems) -> dict[str, Variable]:
    """Read the levels of ordered columns.

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> read_levels(["education=none<school<college"], Problems(ArgumentError, ""))["education"].levels
    ('none', 'school', 'college')
    """
    from fusionpy.model.variables import Variable

    ordered: dict[str, Variable] = {}
    for text in texts:
        name, _, rest = (part.strip() for part in text.partition("="))
        levels = tuple(level.strip() for level in rest.split("<"))
        if (
            not name
            or len(levels) < 2
            or not all(levels)
            or len(set(levels)) < len(levels)
            or name in ordered
        ):
            problems.add(f"`--ordered` must be NAME=LOW<HIGH, each name and each level once, not '{text}'.")
        ordered[name] = Variable(name, "ordered", levels, "string")
    return ordered


def read_trends(texts: Sequence[str], option: str, problems: Problems) -> dict[str, dict[str, int]] | None:
    """Read directions of expectations.

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> read_trends(
    ...     ["rent rises with rooms", "rent falls with age"], "--monotone", Problems(ArgumentError, "")
    ... )
    {'rent': {'rooms': 1, 'age': -1}}
    """
    from fusionpy.model.rules import parse_rule

    found: dict[str, dict[str, int]] = {}
    for text in texts:
        rule = parse_rule(text)
        if rule is None or rule.kind not in ("rises", "falls"):
            problems.add(f"`{option}` must be such as 'rent rises with rooms', not '{text}'.")
        else:
            found.setdefault(rule.variable, {})[rule.other] = 1 if rule.kind == "rises" else -1
    return found or None


def read_steps(text: str, option: str, problems: Problems) -> list[list[str]]:
    """Read steps, some of them blocks.

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> read_steps("fuel,heating+cooling", "--y", Problems(ArgumentError, ""))
    [['fuel'], ['heating', 'cooling']]
    """
    return [
        split_names(block, option, problems, "+") for block in split_names(text, option, problems) if block
    ]


def read_groupings(texts: Sequence[str], option: str, problems: Problems) -> list[list[str]]:
    """Read several lists of names."""
    return [split_names(text, option, problems) for text in texts]


def read_design(text: str, option: str, problems: Problems) -> float | str | tuple[str, float]:
    """Read a number, a design, or a design with its parameter.

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> [read_design(text, "--var-scale", Problems(ArgumentError, "")) for text in ("4", "sdr", "fay:0.3")]
    [4.0, 'sdr', ('fay', 0.3)]
    """
    name, _, parameter = text.partition(":")
    try:
        return (name, float(parameter)) if parameter else float(text)
    except ValueError:
        return text


def read_rectify(text: str, option: str, problems: Problems) -> str | tuple[str, str]:
    """Read the path of a model, or what is to be shrunk, and the path.

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> problems = Problems(ArgumentError, "")
    >>> [read_rectify(text, "--rectify", problems) for text in ("m.fsn", "shrunk:m.fsn", "C:m.fsn")]
    ['m.fsn', ('shrunk', 'm.fsn'), 'C:m.fsn']
    """
    name, _, path = text.partition(":")
    return (name, path) if name == "shrunk" and path else text


def read_labels(texts: Sequence[str], option: str, problems: Problems) -> dict[str, str]:
    """Read what variables mean.

    Examples
    --------
    >>> from fusionpy.errors import ArgumentError
    >>> read_labels(["kwh=Electricity, kWh"], "--labels", Problems(ArgumentError, ""))
    {'kwh': 'Electricity, kWh'}
    """
    labels: dict[str, str] = {}
    for text in texts:
        name, _, label = (part.strip() for part in text.partition("="))
        if not name or not label or name in labels:
            problems.add(f"`{option}` must be NAME=TEXT, each name once, not '{text}'.")
        labels[name] = label
    return labels


def read_rules(texts: Sequence[str], option: str, problems: Problems) -> Any:
    """Leave rules as they are, or read the model that is named in their place."""
    models = [text for text in texts if text.lower().endswith(".fsn")]
    if models and len(texts) > 1:
        problems.add(f"`{option}` must be rules, or one model; not both.")
    if len(models) != 1:
        return list(texts)
    from fusionpy import read_fsn

    return read_fsn(models[0])


def whole_number(number: float, option: str, problems: Problems) -> float:
    """Make a number whole if it is: typer has no type for both."""
    return int(number) if number.is_integer() else number
