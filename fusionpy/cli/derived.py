"""Options that are derived from what the verbs take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fusionpy.cli.arguments import split_names
from fusionpy.cli.options import KNOWN, UNSAID, Option, flag
from fusionpy.cli.signatures import Parameter, read_parameters

__all__ = ["derive_options"]

MOST_HELP = 160  # letters of a verb's docstring


def derive_options(verb: str | None, items: Sequence[Any], without: Sequence[str]) -> list[Option]:
    """List a command's options.

    Parameters
    ----------
    verb : str, optional
        Public function whose parameters they are.
    items : sequence of str, Option or Ellipsis
        In their order: names of the verb's parameters, options that differ from them or that only the command
        has, and once ``...``, which stands for all that the verb has besides.
    without : sequence of str
        Parameters for which there is no option.
    """
    parameters = read_parameters(verb) if verb is not None else {}
    named = {item if isinstance(item, str) else item.name for item in items if item is not ...}
    rest = [name for name in parameters if name not in named and name not in without]
    flat = [each for item in items for each in (rest if item is ... else [item])]
    options = [KNOWN.get(item, Option(item)) if isinstance(item, str) else item for item in flat]
    names = {option.name for option in options}
    return [_completed(option, parameters.get(option.name), names) for option in options]


def _completed(option: Option, parameter: Parameter | None, names: set[str]) -> Option:
    """Take from the verb's parameter what the command line does not have otherwise."""
    if parameter is not None:
        option = replace(
            option,
            help=option.help or _help(parameter, names),
            default=parameter.default if option.default is UNSAID else option.default,
        )
        if option.kind is None:
            option = _typed(option, parameter)
    if len(option.name) == 1 and option.name.isupper():
        option = replace(option, flags=(f"-{option.name}", f"--{option.name}"))
    if option.default is False and not option.flags:
        option = replace(option, flags=(flag(option.name),))  # without a --no-...
    return option


def _typed(option: Option, parameter: Parameter) -> Option:
    """Tell from the annotation what is given on the command line."""
    kinds = set(parameter.annotation.split(" | ")) - {"None"}
    plain = {"bool": bool, "int": int, "float": float, "str": str}
    if parameter.choices:
        return replace(option, kind=str)
    if len(kinds) == 1 and (kind := plain.get(*kinds)) is not None:
        return replace(option, kind=kind)
    if kinds in ({"str", "Sequence[str]"}, {"Sequence[str]"}):
        metavar = option.metavar or "NAMES"
        return replace(option, kind=str, metavar=metavar, read=option.read or split_names)
    if kinds == {"str", "os.PathLike[str]"}:
        return replace(option, kind=str, metavar=option.metavar or "FILE")
    raise TypeError(f"How is `{parameter.name}: {parameter.annotation}` given on the command line?")


def _help(parameter: Parameter, names: set[str]) -> str:
    """Word a docstring's first sentences, and its word on the default, for the command line."""
    if parameter.choices:
        *most, last = parameter.choices
        return f"{', '.join(most)} or {last}."
    sentences = re.split(r"(?<=\.)\s+(?=[A-Z(`])", parameter.about)
    kept = sentences[:1]
    for sentence in sentences[1:]:
        is_short = len(" ".join([*kept, sentence])) <= MOST_HELP
        if is_short or sentence.startswith(("Default", "Missing:")):
            kept.append(sentence)
    text = " ".join(kept).replace("``", "`").replace("Missing:", "Default:")
    return re.sub(r"`(\w+)`", lambda found: flag(found[1]) if found[1] in names else found[0], text)
