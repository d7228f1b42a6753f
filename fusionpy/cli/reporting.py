"""The command `report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import fusionpy
from fusionpy.cli.declared import Declared
from fusionpy.cli.surveys import Survey, open_survey
from fusionpy.cli.tables import read_table
from fusionpy.errors import OutputError, Problems
from fusionpy.formats.atomic import absolute, check_writable, shown_path
from fusionpy.formats.leftovers import scratch_folder
from fusionpy.frames.returned import to_pandas
from fusionpy.model import FusionModel

__all__ = ["report"]

REPORT_ENDINGS = (".html", ".pdf")


def report(
    problems: Problems,
    *,
    path: list[str],
    model: str,
    donor: str | None,
    recipient: str | None,
    weight: str | None,
    validate_by: list[str] | None,
    M: int,
    folds: int,
    estimates: list[str] | None,
    tables: str | None,
    declared: Declared,
    cores: int,
    seed: int | None,
    quiet: bool,
    **rest: Any,
) -> None:
    """Write a report of a fusion, fit for publication."""
    subsets = validate_by or []
    if donor is None and (subsets or folds):
        problems.add("`--validate-by` and `--folds` need `--donor`.")
    problems.stop()
    _check_report(
        path, tables, {"--model": model, "--donor": donor, "--recipient": recipient}, estimates or []
    )
    fitted = fusionpy.read_fsn(model)
    x, y = ([v.name for v in part] for part in (fitted.schema.x, fitted.schema.y))
    areas = [name for name in fitted.needed if name not in x]
    beside = [name for name in subsets if name not in fitted.needed]
    more = [*areas, *([weight] if weight else []), *beside]
    declared.settle([*x, *y, *more], problems)
    problems.stop()
    donors = None if donor is None else _survey_like(open_survey(donor), [*x, *y, *more], declared, fitted)
    recipients = None if recipient is None else _recipients(recipient, weight, declared, fitted)
    validation = scores = None
    if subsets and donors is not None:
        validation = _validated(donors, fitted, subsets, weight, M, cores, seed, quiet)
    if folds and donors is not None:
        scores = _scored(donors, fitted, folds, weight, cores, seed, quiet)
    written = fusionpy.report(
        path,
        model=fitted,
        donor=donors,
        recipient=recipients,
        validation=validation,
        scores=scores,
        estimates={Path(each).stem: read_table(each) for each in estimates} if estimates else None,
        tables=tables,
        weight=weight,
        quiet=quiet,
        **rest,
    )
    print("\n".join(written))


def _check_report(
    paths: Sequence[str], tables: str | None, inputs: Mapping[str, Any], estimates: Sequence[str]
) -> None:
    """Refuse a report, or tables, in the place of what they are made of."""
    every = {**inputs, **{f"--estimates {each}": each for each in estimates}}
    for each in paths:
        check_writable(each, "path", REPORT_ENDINGS, every)
    if tables is None:
        return
    headline = f"`--tables` cannot be written: {shown_path(tables)}"
    folder = absolute(tables, headline)
    for name, source in every.items():
        if source is None or not source.lower().endswith((".csv", ".tex")) or not folder.is_dir():
            continue
        if Path(source).expanduser().absolute().parent.samefile(folder):
            problem = f"The file of `{name}` is in it, which a table could replace."
            raise OutputError(headline, [problem], "Name another folder.")


def _validated(
    donors: pd.DataFrame,
    model: FusionModel,
    subsets: Sequence[str],
    weight: str | None,
    M: int,
    cores: int,
    seed: int | None,
    quiet: bool,
) -> Any:
    """Fuse the donors with their own model, and compare."""
    with scratch_folder() as folder:
        back = fusionpy.fuse(
            donors, model, f"{folder}/back.parquet", M=M, cores=cores, seed=seed, quiet=quiet
        )
        return fusionpy.validate(donors, back, subsets, weight=weight, cores=cores, quiet=quiet)


def _scored(
    donors: pd.DataFrame,
    model: FusionModel,
    folds: int,
    weight: str | None,
    cores: int,
    seed: int | None,
    quiet: bool,
) -> Any:
    """Train and score on parts of the donors, as the model was trained."""
    return fusionpy.cross_score(
        donors,
        [list(step.variables) if step.is_block else step.variables[0] for step in model.steps],
        [variable.name for variable in model.schema.x],
        weight=weight,
        nfolds=folds,
        cores=cores,
        seed=seed,
        quiet=quiet,
        method=model.options.method,
        refits=model.options.refits,
        areas=[area.name for area in model.areas] or None,
    )


def _recipients(path: str, weight: str | None, declared: Declared, model: FusionModel) -> pd.DataFrame:
    """Read the recipients' predictors, and their weights if they are there."""
    survey = open_survey(path)
    wanted = [*(variable.name for variable in model.schema.x), *([weight] if weight else [])]
    return _survey_like(survey, [name for name in wanted if name in survey.names], declared, model)


def _survey_like(
    survey: Survey, names: Sequence[str], declared: Declared, model: FusionModel
) -> pd.DataFrame:
    """Read columns of a survey, with the levels that the model knows."""
    known = {v.name: v for v in (*model.schema.x, *model.schema.y) if v.name not in declared.ordered}
    said = survey.with_areas(declared.within(names), model, names)
    frame: pd.DataFrame = to_pandas(survey.read(names, said, known))
    return frame
