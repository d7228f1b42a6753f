"""The commands that judge implicates: `validate` and `score`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fusionpy
from fusionpy.cli.arguments import expand_patterns
from fusionpy.cli.declared import Declared
from fusionpy.cli.surveys import open_survey
from fusionpy.cli.tables import TABLE_ENDINGS, write_table
from fusionpy.errors import ArgumentError, Problems, few
from fusionpy.formats.atomic import absolute, check_writable, shown_path
from fusionpy.formats.implicates import open_implicates
from fusionpy.frames.returned import to_pandas
from fusionpy.model import FusionModel
from fusionpy.model.rules import parse_rule

__all__ = ["score", "validate"]


def validate(
    problems: Problems,
    *,
    observed: str,
    implicates: str,
    subset_vars: list[str],
    weight: str | None,
    y: list[str] | None,
    plot: bool,
    rules: Any,
    out: str | None,
    declared: Declared,
    **rest: Any,
) -> None:
    """Compare implicates of the donors with what the donors said, in many subsets."""
    problems.stop()
    survey = open_survey(observed)
    folder = None if out is None else _folder(out, {"observed": observed, "implicates": implicates})
    has = open_implicates(implicates).names
    wanted = [*subset_vars, *([weight] if weight else []), *(y or [n for n in survey.names if n in has])]
    wanted += [name for name in _named_by(rules) if name in survey.names]
    found = fusionpy.validate(
        to_pandas(survey.read(wanted, declared)),
        implicates,
        subset_vars,
        weight=weight,
        y=y or None,
        plot=False,
        rules=rules,
        **rest,
    )
    print(found)
    if folder is not None:
        write_table(found.table, folder / "validation.csv")
        if plot:
            fusionpy.plot_valid(found, path=folder)
        print(f"Written to {folder}")


def score(
    problems: Problems,
    *,
    truth: str,
    implicates: str | None,
    y: list[list[str]] | None,
    x: list[str] | None,
    weight: str | None,
    folds: int,
    M: int,
    rules: Any,
    baselines: bool,
    draws: int | None,
    min_size: int,
    out: str | None,
    declared: Declared,
    **rest: Any,
) -> None:
    """Score implicates against the truth, beside two baselines and the sampling floor."""
    if implicates is None and not (y and x):
        problems.add(
            "Without implicates, `--y` and `--x` are needed: models are trained on parts of the survey."
        )
    if implicates is None and (unused := _only_of_implicates(rules, baselines, draws)):
        problems.add(f"Without implicates, there is no use for {few(unused, '`')}.")
    problems.stop()
    survey = open_survey(truth)
    inputs = {"truth": truth, "implicates": implicates}
    target = check_writable(out, "--out", TABLE_ENDINGS, inputs) if out is not None else None
    predictors = expand_patterns(x or [], survey.names)
    outcomes = [name for block in y or [] for name in block]
    used = [*predictors, *([weight] if weight else [])]
    if implicates is None:
        steps = [block if len(block) > 1 else block[0] for block in y or []]
        data = survey.read([*used, *outcomes], declared)
        found = fusionpy.cross_score(data, steps, predictors, weight=weight, nfolds=folds, M=M, **rest)
    else:
        has = open_implicates(implicates).names
        shared = outcomes or [name for name in survey.names if name in has]
        ruled = [name for name in _named_by(rules) if name in survey.names]
        data = survey.read([*used, *shared, *ruled], declared)
        found = fusionpy.score(
            to_pandas(data),
            implicates,
            outcomes or None,
            x=predictors or None,
            weight=weight,
            rules=rules,
            baselines=baselines,
            draws=draws,
            min_size=min_size,
            **rest,
        )
    print(found)
    if target is not None:
        write_table(found.table, target)


def _folder(path: str, inputs: Mapping[str, Any]) -> Path:
    folder = absolute(path, f"`--out` cannot be written: {shown_path(path)}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"'{folder}' cannot be made: {error.strerror}."
        raise ArgumentError("`--out` cannot be written.", [problem], "Choose another folder.") from None
    check_writable(folder / "validation.csv", "--out", TABLE_ENDINGS, inputs)
    return folder


def _named_by(rules: Any) -> list[str]:
    """List the columns that rules, or those of a model, speak of."""
    parsed = rules.rules if isinstance(rules, FusionModel) else map(parse_rule, rules or ())
    return [name for rule in parsed if rule is not None for name in rule.names]


def _only_of_implicates(rules: Any, baselines: bool, draws: int | None) -> list[str]:
    """Name the options given that only implicates can use."""
    given = {"--rules": rules is not None, "--no-baselines": not baselines, "--draws": draws is not None}
    return [option for option, is_given in given.items() if is_given]
