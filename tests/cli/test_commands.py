"""The commands: none of a verb's parameters is missing, and what is said of each is true."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import typer

import fusionpy
from fusionpy.cli import app
from fusionpy.cli.commands import COMMANDS
from fusionpy.cli.signatures import REQUIRED

VERBS = {
    "train": "train",
    "fuse": "fuse",
    "analyze": "analyze",
    "validate": "validate",
    "score": "score",
    "cross_score": "score",
    "report": "report",
    "prep_xy": "prep",
    "impute": "impute",
    "importance": "importance",
}
# Options of another name, and parameters that are no options.
NAMED = {
    ("train", "data"): "donor",
    ("fuse", "data"): "recipient",
    ("prep_xy", "data"): "donor",
    ("importance", "model"): "fsn",
    ("cross_score", "data"): "truth",
    ("cross_score", "nfolds"): "folds",
    ("report", "validation"): "validate_by",  # which makes one
    ("report", "scores"): "folds",
}
NONE = {
    ("analyze", "fun"): "a function, which only Python has",
    ("cross_score", "train_arguments"): "the models of the parts are trained by default",
}
# Defaults other than the verb's.
OTHER = {
    ("analyze", "var_scale"): "4",  # text, which may name a design
    ("score", "implicates"): None,  # `cross_score` makes them
    ("report", "model"): REQUIRED,
    ("fuse", "fsd"): REQUIRED,
    ("train", "fsn"): REQUIRED,
    ("train", "x"): None,  # or --recipient
    ("prep_xy", "x"): None,
    ("cross_score", "x"): None,  # not needed with implicates
    ("cross_score", "y"): None,
}


def command(name: str) -> Any:
    return typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]


def of_verbs() -> Iterable[tuple[str, inspect.Parameter]]:
    for verb in VERBS:
        for parameter in inspect.signature(getattr(fusionpy, verb)).parameters.values():
            yield verb, parameter


def test_every_parameter_of_every_verb_is_an_option_or_there_is_a_reason() -> None:
    missing = []
    for verb, parameter in of_verbs():
        key = (verb, parameter.name)
        has = {each.name for each in command(VERBS[verb]).params}
        if NAMED.get(key, parameter.name) not in has and key not in NONE:
            missing.append(key)
    assert missing == []


def test_each_exception_is_one() -> None:
    known = {(verb, parameter.name) for verb, parameter in of_verbs()}
    assert {*NAMED, *NONE, *OTHER} <= known
    for verb, name in NONE:
        assert name not in {each.name for each in command(VERBS[verb]).params}


def test_verbs_without_a_command_are_few() -> None:
    verbs = {name for name in fusionpy.__all__ if inspect.isfunction(getattr(fusionpy, name))}
    rest = {"monotonic", "plot_importance", "plot_valid", "pool", "read_fsd", "read_fsn", "split_implicates"}
    rest.add("write_fsn")
    assert verbs - set(VERBS) == rest


def test_defaults_are_the_verbs() -> None:
    for verb, parameter in of_verbs():
        key = (verb, parameter.name)
        if key in NONE or key in NAMED:
            continue
        [option] = [each for each in command(VERBS[verb]).params if each.name == parameter.name]
        wanted = OTHER.get(key, parameter.default)
        assert option.required == (wanted is REQUIRED), key
        if wanted is not REQUIRED:
            assert option.default == wanted, key


def test_each_option_has_help_of_at_most_a_few_lines() -> None:
    for name in COMMANDS:
        for each in command(name).params:
            if each.name != "help":
                assert each.help, (name, each.name)
                assert each.help.endswith((".", "?")), (name, each.name)
                assert len(each.help) <= 250, (name, each.name)
                assert "``" not in each.help


def test_summaries_are_first_lines_of_what_is_done() -> None:
    for name, each in COMMANDS.items():
        module, _, function = each.does.rpartition(".")
        does = getattr(import_module(f"fusionpy.cli.{module}"), function)
        assert each.summary == inspect.getdoc(does).partition("\n")[0]
        assert command(name).help == inspect.getdoc(does)
        # Options that a function does not take by name go to the verb as they are.
        taken = inspect.signature(does).parameters
        rest = {option.name for option in command(name).params} - set(taken) - {"help"}
        if "declared" in taken:
            assert {"ordered", "nominal", "text", "missing"} <= rest
            rest -= {"ordered", "nominal", "text", "missing"}
        assert not rest or "rest" in taken
        for verb in [verb for verb, named in VERBS.items() if named == name]:
            assert rest <= set(inspect.signature(getattr(fusionpy, verb)).parameters), (name, verb)
