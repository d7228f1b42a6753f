"""The command `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fusionpy
from fusionpy.cli.arguments import expand_patterns
from fusionpy.cli.declared import Declared
from fusionpy.cli.surveys import common_columns, open_survey
from fusionpy.errors import Problems
from fusionpy.formats.atomic import check_writable
from fusionpy.progress import announce

__all__ = ["train"]


def train(
    problems: Problems,
    *,
    donor: str,
    y: list[list[str]],
    fsn: str,
    x: list[str] | None,
    recipient: str | None,
    drop: list[str] | None,
    weight: str | None,
    replicate_weights: list[str] | None,
    areas: list[str] | None,
    declared: Declared,
    quiet: bool,
    **rest: Any,
) -> None:
    """Learn a donor survey's own variables, and write the model.

    Options and their defaults are those of `fusionpy.train()` in Python.
    """
    if (x is None) == (recipient is None):
        problems.add(
            "Give the predictors by `--x`, or by `--recipient` those that both files have; not both."
        )
    if drop is not None and recipient is None:
        problems.add("`--drop` is for `--recipient`; with `--x`, leave the names out there.")
    problems.stop()
    survey = open_survey(donor)
    check_writable(fsn, "--fsn", (".fsn",), {"donor": donor, "--recipient": recipient})
    outcomes = [name for block in y for name in block]
    replicates = expand_patterns(replicate_weights or [], survey.names)
    named = expand_patterns(areas or [], survey.names)
    used = [*outcomes, *([weight] if weight else []), *replicates]
    predictors = expand_patterns(x or [], survey.names)
    if recipient is not None:
        predictors = common_columns(survey, open_survey(recipient), [*used, *named], drop or [])
        announce(f"train: {len(predictors)} predictors that both files have: {', '.join(predictors)}", quiet)
    model = fusionpy.train(
        survey.read([*predictors, *used, *named], declared),
        [block if len(block) > 1 else block[0] for block in y],
        predictors,
        fsn=fsn,
        weight=weight,
        replicate_weights=replicates or None,
        areas=named or None,
        quiet=quiet,
        **rest,
    )
    print(model)
    print(f"Written to {fsn} ({Path(fsn).expanduser().stat().st_size / 1e6:.1f} MB).")
