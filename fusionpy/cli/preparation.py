"""The commands around a fusion: `prep`, `impute` and `importance`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import typer

import fusionpy
from fusionpy.categories import noted_levels
from fusionpy.cli.arguments import expand_patterns, split_names
from fusionpy.cli.commands import Cores, Missing, Nominal, Ordered, Quiet, Text, app
from fusionpy.cli.declared import read_declared, spelled
from fusionpy.cli.evaluation import TABLE_ENDINGS, Weight, write_table
from fusionpy.cli.surveys import common_columns, open_survey
from fusionpy.errors import ArgumentError, OutputError, Problems
from fusionpy.formats.aside import check_writable, written_aside
from fusionpy.formats.rescue import rescued
from fusionpy.layout import Grid

__all__ = ["importance", "impute", "prep"]

PREP_EXAMPLES = """\b
Examples:
  fusionpy prep donor.parquet --y fuel,bill,heating_share+cooling_share --x 'age,income,c_*' --weight weight
  Predictors are what both files have; train what it proposes.
    fusionpy prep donor.parquet --y fuel,bill --recipient recipient.parquet --drop hid --weight weight

It ends with the command that trains in the order found. Predictors that no step needs are left out of it;
each step's own choice of predictors is used from Python: train(data, y=prep.y, x=prep.x)."""
IMPUTE_EXAMPLES = """\b
Examples:
  fusionpy impute survey.parquet --out complete.parquet --ignore hid --weight weight
  fusionpy impute survey.csv --out complete.parquet -M 10 --seed 1 --cores 2

With -M the result has a column M, and the survey's rows M times over: ready for `fusionpy analyze`."""
IMPORTANCE_EXAMPLES = """\b
Examples:
  fusionpy importance model.fsn
  fusionpy importance model.fsn --detailed --out importance.csv
  Increase in loss when a predictor is permuted, on donors that were held out.
    fusionpy importance model.fsn --data heldout.parquet --weight weight"""


@app.command(epilog=PREP_EXAMPLES)
def prep(
    donor: Annotated[str, typer.Argument(help="Donor survey: a Parquet or CSV file.", show_default=False)],
    y: Annotated[str, typer.Option(metavar="NAMES", help="Fusion variables; a block is joined by +.")],
    x: Annotated[str | None, typer.Option(metavar="NAMES", help="Candidates; patterns too.")] = None,
    recipient: Annotated[
        str | None, typer.Option(metavar="FILE", help="Instead of --x: what both surveys have.")
    ] = None,
    drop: Annotated[str | None, typer.Option(metavar="NAMES", help="Not these, with --recipient.")] = None,
    weight: Weight = None,
    cor_thresh: Annotated[float, typer.Option(help="Rank correlation that a predictor must exceed.")] = 0.05,
    lasso_thresh: Annotated[float, typer.Option(help="Share of what can be explained.")] = 0.95,
    xmax: Annotated[int, typer.Option(help="Most columns with a coefficient.")] = 100,
    xforce: Annotated[str | None, typer.Option(metavar="NAMES", help="For every step.")] = None,
    fraction: Annotated[float, typer.Option(help="Share of the donors to work on.")] = 1.0,
    solver: Annotated[str, typer.Option(help="gram or glmnet.")] = "gram",
    method: Annotated[str, typer.Option(help="default or fusionModel.")] = "default",
    ordered: Ordered = None,
    nominal: Nominal = None,
    text: Text = None,
    missing: Missing = None,
    cores: Cores = 1,
    seed: Annotated[int | None, typer.Option(help="Same seed, same result.")] = None,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Write the scores (.csv).")] = None,
    quiet: Quiet = False,
) -> None:
    """Order fusion variables, and choose their predictors, by LASSO."""
    problems = Problems(ArgumentError, "`fusionpy prep` cannot start.", "See `fusionpy prep --help`.")
    blocks = [split_names(block, "--y", problems, "+") for block in split_names(y, "--y", problems) if block]
    declared = read_declared(ordered, nominal, text, missing, problems)
    forced = split_names(xforce, "--xforce", problems)
    dropped = split_names(drop, "--drop", problems)
    if (x is None) == (recipient is None):
        problems.add(
            "Give the predictors by `--x`, or by `--recipient` those that both files have; not both."
        )
    problems.stop()
    survey = open_survey(donor)
    inputs = {"donor": donor, "--recipient": recipient}
    target = check_writable(out, "--out", TABLE_ENDINGS, inputs) if out is not None else None
    used = [*(name for block in blocks for name in block), *([weight] if weight else [])]
    if recipient is not None:
        predictors = common_columns(survey, open_survey(recipient), used, dropped)
    else:
        predictors = expand_patterns(split_names(x, "--x", problems), survey.names)
    found = fusionpy.prep_xy(
        survey.read([*predictors, *used], declared),
        [block if len(block) > 1 else block[0] for block in blocks],
        predictors,
        weight=weight,
        cor_thresh=cor_thresh,
        lasso_thresh=lasso_thresh,
        xmax=xmax,
        xforce=forced or None,
        fraction=fraction,
        cores=cores,
        seed=seed,
        solver=solver,  # type: ignore[arg-type]  # prep_xy() refuses others
        method=method,  # type: ignore[arg-type]
        quiet=quiet,
    )
    print(found)
    steps = ",".join(step if isinstance(step, str) else "+".join(step) for step in found.y)
    more = f" --weight {weight}" if weight else ""
    more += spelled(ordered=ordered, nominal=nominal, text=text, missing=missing)
    print(f"\nfusionpy train {donor} --y {steps} --x {','.join(found.xpredictors)}{more} --fsn model.fsn")
    if target is not None:
        write_table(_pandas(found.scores), target)


@app.command(epilog=IMPUTE_EXAMPLES)
def impute(
    data: Annotated[str, typer.Argument(help="Survey with holes: Parquet or CSV.", show_default=False)],
    out: Annotated[str, typer.Option(metavar="FILE", help="Write the result: .parquet or .csv.")],
    weight: Weight = None,
    ignore: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Keep as they are, and do not use; patterns too.")
    ] = None,
    M: Annotated[int, typer.Option("-M", "--M", help="Completed data sets.")] = 1,
    ordered: Ordered = None,
    nominal: Nominal = None,
    text: Text = None,
    missing: Missing = None,
    cores: Cores = 1,
    seed: Annotated[int | None, typer.Option(help="Same seed, same values. Default: drawn.")] = None,
    quiet: Quiet = False,
) -> None:
    """Fill the missing values of a survey, once or M times over."""
    problems = Problems(ArgumentError, "`fusionpy impute` cannot start.", "See `fusionpy impute --help`.")
    declared = read_declared(ordered, nominal, text, missing, problems)
    ignored = split_names(ignore, "--ignore", problems)
    problems.stop()
    survey = open_survey(data)
    target = check_writable(out, "--out", (".parquet", ".csv"), {"data": data})
    completed = fusionpy.impute(
        survey.read(survey.names, declared),
        weight=weight,
        ignore=expand_patterns(ignored, survey.names) or None,
        cores=cores,
        seed=seed,
        M=M,
        quiet=quiet,
    )
    try:
        _write(completed, target)
    except (OutputError, pa.ArrowException) as error:
        failed = OutputError(f"{target} could not be written.", [f"{error}."])
        failed = error if isinstance(error, OutputError) else failed
        raise rescued(
            failed, lambda path: pq.write_table(noted_levels(completed), path), ".parquet"
        ) from None
    print(f"{target}: {completed.num_rows:,} rows" + (f" (M = {M})" if M > 1 else ""))


@app.command(epilog=IMPORTANCE_EXAMPLES)
def importance(
    fsn: Annotated[str, typer.Argument(help="The model: a .fsn file.", show_default=False)],
    detailed: Annotated[bool, typer.Option("--detailed", help="One row per model.")] = False,
    data: Annotated[str | None, typer.Option(metavar="FILE", help="Held-out donors, to permute.")] = None,
    weight: Weight = None,
    n_repeats: Annotated[int, typer.Option(help="Permutations.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the permutations.")] = 0,
    out: Annotated[str | None, typer.Option(metavar="FILE", help="Write the table (.csv).")] = None,
    ordered: Ordered = None,
    nominal: Nominal = None,
    text: Text = None,
    missing: Missing = None,
    cores: Cores = 1,
) -> None:
    """Show what predictors are worth to a model: gain, cover, frequency, and permutation on request."""
    hint = "See `fusionpy importance --help`."
    problems = Problems(ArgumentError, "`fusionpy importance` cannot start.", hint)
    declared = read_declared(ordered, nominal, text, missing, problems)
    if declared and data is None:
        problems.add("`--ordered`, `--nominal`, `--text` and `--missing` are for `--data`.")
    problems.stop()
    inputs = {"fsn": fsn, "--data": data}
    target = check_writable(out, "--out", TABLE_ENDINGS, inputs) if out is not None else None
    model = fusionpy.read_fsn(fsn)
    donors = None
    if data is not None:
        survey = open_survey(data)
        known = {v.name: v for v in (*model.schema.x, *model.schema.y)}
        learned = {name: v for name, v in known.items() if name not in declared.ordered}
        donors = survey.read([*known, *([weight] if weight else [])], declared, learned)
    table = fusionpy.importance(
        model, detailed=detailed, data=donors, weight=weight, n_repeats=n_repeats, seed=seed, cores=cores
    )
    print(_grid(table).text())
    if target is not None:
        write_table(table, target)


def _write(completed: pa.Table, target: Path) -> None:
    """Write completed data sets, whole or not at all."""
    with written_aside(target, private=True) as aside:
        if target.suffix.lower() == ".parquet":
            pq.write_table(noted_levels(completed), aside, compression="zstd")
            return
        plain = [
            c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in completed.columns
        ]
        pa_csv.write_csv(pa.table(plain, names=completed.column_names), aside)


def _grid(table: pd.DataFrame) -> Grid:
    """Lay out numbers with four decimals, or three digits where that would be 0."""
    columns, numeric = [], []
    for name in table.columns:
        is_float = pd.api.types.is_float_dtype(table[name])
        numeric.append(bool(pd.api.types.is_numeric_dtype(table[name])))
        columns.append([_number(value) if is_float else str(value) for value in table[name]])
    rows = tuple(zip(*columns, strict=True))
    return Grid(tuple(map(str, table.columns)), rows, tuple(numeric))


def _number(value: float) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2e}"


def _pandas(table: Any) -> Any:
    return table.to_pandas() if hasattr(table, "to_pandas") else table
