"""The commands that judge and use implicates: `analyze`, `validate`, `score` and `report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer

import fusionpy
from fusionpy.categories import noted_levels
from fusionpy.cli.arguments import expand_patterns, split_names
from fusionpy.cli.commands import Cores, Missing, Nominal, Ordered, Quiet, Text, app
from fusionpy.cli.declared import Declared, read_declared
from fusionpy.cli.surveys import Survey, open_survey
from fusionpy.digests import read_note
from fusionpy.errors import ArgumentError, OutputError, Problems
from fusionpy.estimands import read_estimands
from fusionpy.formats.aside import absolute, check_writable, shown_path, written_aside
from fusionpy.formats.implicates import open_implicates
from fusionpy.formats.leftovers import scratch_folder
from fusionpy.formats.spreadsheets import as_csv, without_marks
from fusionpy.frames import ROWS, to_pandas
from fusionpy.model import FusionModel

__all__ = ["TABLE_ENDINGS", "Weight", "analyze", "report", "score", "validate", "write_table"]

ANALYZE_EXAMPLES = """\b
Examples:
  fusionpy analyze fused.parquet 'mean(electricity)' 'mean(insulation)'
  fusionpy analyze fused.parquet 'bill = sum(gas_bill)' 'p90(electricity)' \\
    --static recipient.parquet --weight weight --by region,tenure --out bills.csv
  By region and by tenure in one go; as fusionACS asks, and lays the table out.
    fusionpy analyze fused.parquet 'avg ~ mean(electricity)' --static recipient.parquet --weight weight \\
      --by region --by region,tenure --layout fusionacs
  Replicate weights of the American Community Survey; estimates rectified by the model's donors.
    fusionpy analyze fused.parquet 'mean(electricity)' --static acs.parquet --weight wgtp \\
      --rep-weights 'wgtp?*' --var-scale sdr --by state --rectify model.fsn

Statistics: mean, sum (of categories: proportions, counts), median, quantile(a, 0.9) or p90(a), ratio(a, b),
share, gini."""
VALIDATE_EXAMPLES = """\b
Examples:
  fusionpy fuse donor.parquet model.fsn --fsd back.parquet -M 40
  fusionpy validate donor.parquet back.parquet --subset-vars income,age,region --weight weight \\
    --out validation

Implicates are of the donors themselves. `--out` gets the table and the figures."""
SCORE_EXAMPLES = """\b
Examples:
  fusionpy score truth.parquet fused.parquet --x income,age,region --weight weight
  fusionpy score donor.parquet --y fuel,bill --x income,age,region --folds 5 --cores 2

With implicates: the truth is of the same records, in the same order. Without: each part of the donor
survey is fused by a model of the others."""
REPORT_EXAMPLES = """\b
Examples:
  fusionpy report report.html --model model.fsn --donor donor.parquet --recipient recipient.parquet
  Validation and the held-out scorecard too, as HTML and PDF, all tables as CSV and LaTeX.
    fusionpy report report.html report.pdf --model model.fsn --donor donor.parquet --weight weight \\
      --validate-by income,region -M 40 --folds 5 --tables tables --cores 2"""

Weight = Annotated[str | None, typer.Option(metavar="NAME", help="Column of survey weights.")]
TABLE_ENDINGS = (".csv", ".parquet", ".tex")
REPORT_ENDINGS = (".html", ".pdf")


@app.command(epilog=ANALYZE_EXAMPLES)
def analyze(
    implicates: Annotated[
        str, typer.Argument(help="Implicates: a Parquet (or .fsd) file.", show_default=False)
    ],
    x: Annotated[
        list[str], typer.Argument(metavar="ESTIMATES...", help="Such as 'mean(a)'.", show_default=False)
    ],
    static: Annotated[str | None, typer.Option(metavar="FILE", help="The recipient survey.")] = None,
    weight: Weight = None,
    rep_weights: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Replicate weights: names, or a pattern such as 'rep_*'."),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES", help="Estimate for all combinations of these; again, for another grouping."
        ),
    ] = None,
    var_scale: Annotated[
        str, typer.Option(help="A number, or the design: sdr, brr, fay, fay:0.3, jk1, bootstrap.")
    ] = "4",
    pooling: Annotated[str, typer.Option(help="barnard-rubin, rubin or fusionacs.")] = "barnard-rubin",
    level: Annotated[float, typer.Option(help="Of the margins.")] = 0.90,
    rectify: Annotated[
        str | None, typer.Option(metavar="FSN", help="Add what this model's donors show it to have wrong.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For variances that are drawn.")] = 0,
    layout: Annotated[
        str, typer.Option(help="Of the table: fusionpy, fusionModel or fusionacs.")
    ] = "fusionpy",
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the table: .csv, .parquet or .tex.")
    ] = None,
    ordered: Ordered = None,
    nominal: Nominal = None,
    text: Text = None,
    missing: Missing = None,
    cores: Cores = 1,
    quiet: Quiet = False,
) -> None:
    """Estimate means, shares, totals and quantiles with margins of error.

    Implicates are read one at a time, and only the columns that are needed. Options and their defaults
    are those of `fusionpy.analyze()` in Python.
    """
    problems = Problems(ArgumentError, "`fusionpy analyze` cannot start.", "See `fusionpy analyze --help`.")
    declared = read_declared(ordered, nominal, text, missing, problems)
    groupings = [split_names(each, "--by", problems) for each in by or ()]
    replicates = split_names(rep_weights, "--rep-weights", problems)
    estimands = read_estimands(x, problems)
    scale = _design(var_scale)
    problems.stop()
    inputs = {"implicates": implicates, "--static": static, "--rectify": rectify}
    target = check_writable(out, "--out", TABLE_ENDINGS, inputs) if out is not None else None
    opened = open_implicates(implicates)
    names, table = opened.names, None
    if static is not None:
        survey = open_survey(static)
        replicates = expand_patterns(replicates, survey.names)
        variables = [name for each in estimands for name in each.variables]
        groups = [name for grouping in groupings for name in grouping]
        wanted = [*groups, *([weight] if weight else []), *replicates, *variables]
        if survey.schema is not None:  # others of Parquet tell whether the rows are those that were fused
            wanted += [name for name in read_note(opened.attributes.get(ROWS)) if name in survey.names]
        table = survey.read([name for name in wanted if name in survey.names], declared)
    result = fusionpy.analyze(
        x,
        implicates,
        static=None if table is None else to_pandas(table),
        weight=weight,
        rep_weights=expand_patterns(replicates, names) or None,
        by=groupings if len(groupings) > 1 else [name for grouping in groupings for name in grouping],
        var_scale=scale,
        pooling=pooling,  # type: ignore[arg-type]  # analyze() refuses others
        level=level,
        rectify=rectify,
        layout=layout,  # type: ignore[arg-type]
        seed=seed,
        cores=cores,
        quiet=quiet,
    )
    print(result)
    if target is not None:
        write_table(result, target)


@app.command(epilog=VALIDATE_EXAMPLES)
def validate(
    observed: Annotated[str, typer.Argument(help="Donor survey: Parquet or CSV.", show_default=False)],
    implicates: Annotated[
        str, typer.Argument(help="The donors' implicates: a Parquet (or .fsd) file.", show_default=False)
    ],
    subset_vars: Annotated[
        str,
        typer.Option(metavar="NAMES", help="Compare in their levels, and in those of every pair of them."),
    ],
    weight: Weight = None,
    min_size: Annotated[int, typer.Option(help="Fewest records of a subset.")] = 30,
    y: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Variables. Default: all that both have.")
    ] = None,
    plot: Annotated[bool, typer.Option(help="Draw the figures.")] = True,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="Write table and figures there.")] = None,
    ordered: Ordered = None,
    nominal: Nominal = None,
    text: Text = None,
    missing: Missing = None,
    cores: Cores = 1,
    quiet: Quiet = False,
) -> None:
    """Compare implicates of the donors with what the donors said, in many subsets."""
    problems = Problems(ArgumentError, "`fusionpy validate` cannot start.", "See `fusionpy validate --help`.")
    declared = read_declared(ordered, nominal, text, missing, problems)
    subsets = split_names(subset_vars, "--subset-vars", problems)
    variables = split_names(y, "--y", problems)
    problems.stop()
    survey = open_survey(observed)
    folder = None if out is None else _folder(out, {"observed": observed, "implicates": implicates})
    has = open_implicates(implicates).names
    wanted = [*subsets, *([weight] if weight else []), *(variables or [n for n in survey.names if n in has])]
    found = fusionpy.validate(
        to_pandas(survey.read(wanted, declared)),
        implicates,
        subsets,
        weight=weight,
        min_size=min_size,
        y=variables or None,
        plot=False,
        cores=cores,
        quiet=quiet,
    )
    print(found)
    if folder is not None:
        write_table(found.table, folder / "validation.csv")
        if plot:
            fusionpy.plot_valid(found, path=folder)
        print(f"Written to {folder}")


@app.command(epilog=SCORE_EXAMPLES)
def score(
    truth: Annotated[str, typer.Argument(help="The true values: Parquet or CSV.", show_default=False)],
    implicates: Annotated[
        str | None, typer.Argument(help="Implicates: a Parquet (or .fsd) file.", show_default=False)
    ] = None,
    y: Annotated[str | None, typer.Option(metavar="NAMES", help="Variables; a block is joined by +.")] = None,
    x: Annotated[str | None, typer.Option(metavar="NAMES", help="Predictors.")] = None,
    weight: Weight = None,
    folds: Annotated[int, typer.Option(help="Parts of the survey, without implicates.")] = 5,
    M: Annotated[int, typer.Option("-M", "--M", help="Implicates, without a file of them.")] = 20,
    classifier: Annotated[bool, typer.Option(help="Compute auc.")] = True,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write the table: .csv, .parquet or .tex.")
    ] = None,
    ordered: Ordered = None,
    nominal: Nominal = None,
    text: Text = None,
    missing: Missing = None,
    cores: Cores = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same scores.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Score implicates against the truth, beside two baselines and the sampling floor."""
    problems = Problems(ArgumentError, "`fusionpy score` cannot start.", "See `fusionpy score --help`.")
    declared = read_declared(ordered, nominal, text, missing, problems)
    blocks = [split_names(block, "--y", problems, "+") for block in split_names(y, "--y", problems) if block]
    if implicates is None and not (blocks and x):
        problems.add(
            "Without implicates, `--y` and `--x` are needed: models are trained on parts of the survey."
        )
    problems.stop()
    survey = open_survey(truth)
    inputs = {"truth": truth, "implicates": implicates}
    target = check_writable(out, "--out", TABLE_ENDINGS, inputs) if out is not None else None
    predictors = expand_patterns(split_names(x, "--x", problems), survey.names)
    outcomes = [name for block in blocks for name in block]
    if implicates is None:
        data = survey.read([*predictors, *outcomes, *([weight] if weight else [])], declared)
        steps = [block if len(block) > 1 else block[0] for block in blocks]
        found = fusionpy.cross_score(
            data, steps, predictors, weight=weight, nfolds=folds, M=M, cores=cores, seed=seed, quiet=quiet,
            classifier=classifier,
        )  # fmt: skip
    else:
        has = open_implicates(implicates).names
        shared = outcomes or [name for name in survey.names if name in has]
        data = survey.read([*predictors, *shared, *([weight] if weight else [])], declared)
        found = fusionpy.score(
            to_pandas(data), implicates, outcomes or None, x=predictors or None, weight=weight,
            classifier=classifier, cores=cores, seed=seed, quiet=quiet,
        )  # fmt: skip
    print(found)
    if target is not None:
        write_table(found.table, target)


@app.command(epilog=REPORT_EXAMPLES)
def report(
    path: Annotated[list[str], typer.Argument(metavar="FILES...", help="report.html, report.pdf, or both.")],
    model: Annotated[str, typer.Option(metavar="FSN", help="The model: a .fsn file.")],
    donor: Annotated[str | None, typer.Option(metavar="FILE", help="Donor survey: Parquet or CSV.")] = None,
    recipient: Annotated[str | None, typer.Option(metavar="FILE", help="Recipient survey.")] = None,
    weight: Weight = None,
    validate_by: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Fuse the donors back, and compare in subsets of these."),
    ] = None,
    M: Annotated[int, typer.Option("-M", "--M", help="Implicates for that.")] = 40,
    folds: Annotated[int, typer.Option(help="Score held-out parts of the donors; 0: do not.")] = 0,
    estimates: Annotated[
        list[str] | None, typer.Option(metavar="FILE", help="Table that `analyze --out` wrote. Repeatable.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the report.")] = None,
    authors: Annotated[str | None, typer.Option(help="Comma separated.")] = None,
    tables: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Write all tables as CSV and LaTeX.")
    ] = None,
    ordered: Ordered = None,
    nominal: Nominal = None,
    text: Text = None,
    missing: Missing = None,
    cores: Cores = 1,
    seed: Annotated[int, typer.Option(help="Same seed, same report.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Write a report of a fusion, fit for publication."""
    problems = Problems(ArgumentError, "`fusionpy report` cannot start.", "See `fusionpy report --help`.")
    declared = read_declared(ordered, nominal, text, missing, problems)
    subsets = split_names(validate_by, "--validate-by", problems)
    if donor is None and (subsets or folds):
        problems.add("`--validate-by` and `--folds` need `--donor`.")
    problems.stop()
    _check_report(
        path, tables, {"--model": model, "--donor": donor, "--recipient": recipient}, estimates or []
    )
    fitted = fusionpy.read_fsn(model)
    x, y = ([v.name for v in part] for part in (fitted.schema.x, fitted.schema.y))
    more = [*([weight] if weight else []), *(name for name in subsets if name not in x)]
    declared.settle([*x, *y, *more], problems)
    problems.stop()
    donors = None if donor is None else _survey_like(open_survey(donor), [*x, *y, *more], declared, fitted)
    recipients = None
    if recipient is not None:
        survey = open_survey(recipient)
        wanted = [name for name in [*x, *([weight] if weight else [])] if name in survey.names]
        recipients = _survey_like(survey, wanted, declared, fitted)
    validation = scores = None
    if subsets and donors is not None:
        validation = _validated(donors, fitted, subsets, weight, M, cores, seed, quiet)
    if folds and donors is not None:
        steps = [list(step.variables) if step.is_block else step.variables[0] for step in fitted.steps]
        scores = fusionpy.cross_score(
            donors, steps, x, weight=weight, nfolds=folds, cores=cores, seed=seed, quiet=quiet,
            method=fitted.options.method, refits=fitted.options.refits,
        )  # fmt: skip
    written = fusionpy.report(
        path,
        model=fitted,
        donor=donors,
        recipient=recipients,
        validation=validation,
        scores=scores,
        estimates={Path(each).stem: _read_table(each) for each in estimates} if estimates else None,
        title=title,
        authors=split_names(authors, "--authors", problems) or None,
        tables=tables,
        weight=weight,
        quiet=quiet,
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


def _design(text: str) -> float | str | tuple[str, float]:
    """Read a number, a design, or a design with its parameter."""
    name, _, parameter = text.partition(":")
    try:
        return (name, float(parameter)) if parameter else float(text)
    except ValueError:
        return text


def _validated(
    donors: pd.DataFrame,
    model: FusionModel,
    subsets: Sequence[str],
    weight: str | None,
    M: int,
    cores: int,
    seed: int,
    quiet: bool,
) -> Any:
    """Fuse the donors with their own model, and compare."""
    with scratch_folder() as folder:
        back = fusionpy.fuse(
            donors, model, f"{folder}/back.parquet", M=M, cores=cores, seed=seed, quiet=quiet
        )
        return fusionpy.validate(donors, back, subsets, weight=weight, cores=cores, quiet=quiet)


def _survey_like(
    survey: Survey, names: Sequence[str], declared: Declared, model: FusionModel
) -> pd.DataFrame:
    """Read columns of a survey, with the levels that the model knows."""
    known = {v.name: v for v in (*model.schema.x, *model.schema.y) if v.name not in declared.ordered}
    frame: pd.DataFrame = to_pandas(survey.read(names, declared.within(names), known))
    return frame


def _folder(path: str, inputs: Mapping[str, Any]) -> Path:
    folder = absolute(path, f"`--out` cannot be written: {shown_path(path)}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = f"'{folder}' cannot be made: {error.strerror}."
        raise ArgumentError("`--out` cannot be written.", [problem], "Choose another folder.") from None
    check_writable(folder / "validation.csv", "--out", TABLE_ENDINGS, inputs)
    return folder


def write_table(table: Any, target: Path) -> None:
    """Write a table as its name says, whole or not at all."""
    frame = pd.DataFrame(table)
    with written_aside(target) as aside:
        if target.suffix.lower() == ".parquet":
            pq.write_table(noted_levels(pa.Table.from_pandas(frame, preserve_index=False)), aside)
        elif target.suffix.lower() == ".tex":
            aside.write_text(frame.style.hide(axis="index").to_latex(hrules=True))
        else:
            aside.write_text(as_csv(frame), encoding="utf-8", newline="")


def _read_table(path: str) -> pd.DataFrame:
    survey = open_survey(path)
    frame: pd.DataFrame = to_pandas(survey.read(survey.names))
    return frame if survey.schema is not None else without_marks(frame)  # of CSV, as `write_table` made it
