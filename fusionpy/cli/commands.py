"""The commands: `train`, `fuse`, `info`, `clean` and `demo`."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import pyarrow.parquet as pq
import typer
from typer.core import TyperGroup

import fusionpy
from fusionpy.cli.arguments import (
    expand_patterns,
    read_hyper,
    read_range,
    read_trends,
    split_names,
)
from fusionpy.cli.comparison import show_comparison, thin
from fusionpy.cli.declared import read_declared
from fusionpy.cli.surveys import common_columns, open_survey
from fusionpy.errors import (
    ArgumentError,
    FusionError,
    FusionWarning,
    OutputError,
    Problems,
    counted,
    settle_seed,
)
from fusionpy.formats.archive import put_model
from fusionpy.formats.aside import check_writable, shown_path
from fusionpy.formats.leftovers import sweep
from fusionpy.formats.r_members import obstacles
from fusionpy.formats.rescue import rescued
from fusionpy.formats.stored import ENDINGS as IMPLICATES
from fusionpy.layout import Grid
from fusionpy.progress import announce

__all__ = ["app", "main"]

MEND, INTERRUPTED = 2, 130  # exit codes: something for the user to mend, Ctrl-C

HELP = """Fuse survey microdata: train on a donor survey, simulate its variables for a recipient.

Surveys are read from Parquet or CSV (.csv, .csv.gz) files, results are written to Parquet."""
EXAMPLES = """\b
Examples:
  fusionpy demo
  fusionpy train donor.parquet --y fuel,bill --x income,age --weight weight --fsn model.fsn
  fusionpy info model.fsn
  fusionpy fuse recipient.parquet model.fsn --fsd fused.parquet -M 10 --retain hid,weight"""
TRAIN_EXAMPLES = """\b
Examples:
  Two steps: fuel, then a block of two shares that are taken from the same donor.
    fusionpy train donor.parquet --y fuel,heating_share+cooling_share \\
      --x income,age,region --weight weight --fsn model.fsn
  Predictors are what both files have, but not the identifier; refits follow the design.
    fusionpy train donor.parquet --y fuel --recipient recipient.parquet --drop hid \\
      --weight weight --replicate-weights 'rep_*' --fsn model.fsn --cores 4
  CSV, with the levels of an ordered column (quote them: the shell reads '<' itself).
    fusionpy train donor.csv --y fuel --x education,age --fsn model.fsn \\
      --ordered 'education=none<school<college'

  Codes are no quantities; -9 and -8 are no answers.
    fusionpy train donor.csv --y fuel --x age,region --nominal region,fuel --missing '-9,-8' --fsn model.fsn

In CSV, empty fields and NA are missing, true and false make a logical column, text a nominal one; numbers
with leading zeros stay text. What each column was taken for is shown with the model."""
FUSE_EXAMPLES = """\b
Examples:
  fusionpy fuse recipient.parquet model.fsn --fsd fused.parquet -M 10
  fusionpy fuse recipient.csv.gz model.fsn --fsd fused.fsd -M 40 --retain hid,weight --seed 1

Text columns, and those of a CSV file, take the types and levels that the model knows for them."""


class _Commands(TyperGroup):
    """Commands whose errors and warnings are told in words."""

    def invoke(self, ctx: Any) -> Any:
        with _warnings_told():
            try:
                return super().invoke(ctx)
            except FusionError as error:
                if isinstance(error, OutputError) and (trained := error.model) is not None:
                    error = rescued(error, lambda path: put_model(trained, path), ".fsn")
                print(_told(error), file=sys.stderr)
                raise typer.Exit(MEND) from None
            except KeyboardInterrupt:
                print("Interrupted: nothing was written.", file=sys.stderr)
                raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="fusionpy",
    cls=_Commands,
    help=HELP,
    epilog=EXAMPLES,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main() -> None:
    """Run the command that the arguments name; exit with 0, 2 (something to mend) or 130 (interrupted)."""
    app()


def _told(error: FusionError) -> str:
    """Word an error for a terminal, where help is had by commands rather than functions."""
    return "Error: " + re.sub(r"`help\(fusionpy\.(\w+)\)`", r"`fusionpy \1 --help`", str(error))


@contextmanager
def _warnings_told() -> Iterator[None]:
    """Show every FusionWarning as one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", FusionWarning)
        usual = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, FusionWarning):
                print(f"Warning: {message}", file=sys.stderr)
            else:
                usual(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Cores = Annotated[int, typer.Option(help="Threads. The result does not depend on it.")]
Ordered = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=A<B<C", help="Make a column ordered, with exactly these levels. Repeatable."),
]
Nominal = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAMES", help="Make columns unordered categories, codes for instance; patterns too."
    ),
]
Text = Annotated[
    list[str] | None,
    typer.Option(metavar="NAMES", help="Take columns just as they are written; patterns too."),
]
Missing = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME=]CODES", help="No answer: '-9,-8,.' in all columns, 'rent=-9' in one. Repeatable."
    ),
]


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        print(f"fusionpy {fusionpy.__version__}")
    elif ctx.invoked_subcommand is None:
        print(ctx.get_help())


@app.command(epilog=TRAIN_EXAMPLES)
def train(
    donor: Annotated[str, typer.Argument(help="Donor survey: a Parquet or CSV file.", show_default=False)],
    y: Annotated[
        str,
        typer.Option(
            metavar="NAMES", help="Fusion variables in their order, comma separated; a block is joined by +."
        ),
    ],
    fsn: Annotated[str, typer.Option(metavar="FILE", help="Write the model to this .fsn file.")],
    x: Annotated[str | None, typer.Option(metavar="NAMES", help="Predictors, comma separated.")] = None,
    recipient: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Instead of --x: take what both surveys have as predictors."),
    ] = None,
    drop: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Not to be predictors, with --recipient; patterns too."),
    ] = None,
    weight: Annotated[str | None, typer.Option(metavar="NAME", help="Column of survey weights.")] = None,
    replicate_weights: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Replicate weights: names, or a pattern such as 'rep_*'."),
    ] = None,
    ordered: Ordered = None,
    nominal: Nominal = None,
    text: Text = None,
    missing: Missing = None,
    nfolds: Annotated[
        float | None, typer.Option(help="Cross-validation folds; below 1, the share that trains. Default 5.")
    ] = None,
    nquantiles: Annotated[int | None, typer.Option(help="Conditional percentiles. Default 3.")] = None,
    nclusters: Annotated[
        int | None, typer.Option(help="Clusters of expectations. Default 2000; 0: none.")
    ] = None,
    krange: Annotated[
        str | None, typer.Option(metavar="LEAST,MOST", help="Donors in a pool. Default 10,500.")
    ] = None,
    hyper: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES", help="Hyperparameter of LightGBM; values make a grid. Repeatable."
        ),
    ] = None,
    cores: Cores = 1,
    seed: Annotated[int | None, typer.Option(help="Same seed, same model. Default: drawn, and kept.")] = None,
    method: Annotated[str, typer.Option(help="default, 2024 or fusionModel.")] = "default",
    refits: Annotated[int | None, typer.Option(help="Refits on bootstraps. Default 10; 0: none.")] = None,
    patience: Annotated[int | None, typer.Option(help="Rounds without gain that end boosting.")] = None,
    crossfit: Annotated[bool | None, typer.Option(help="Cross-fit the donors' expectations.")] = None,
    redraw: Annotated[bool | None, typer.Option(help="Redraw donor weights for every implicate.")] = None,
    untie: Annotated[bool | None, typer.Option(help="Spread equal values to learn percentiles.")] = None,
    calibrate: Annotated[bool | None, typer.Option(help="Calibrate class probabilities.")] = None,
    tolerant: Annotated[bool | None, typer.Option(help="Pool sizes by fusionModel's tolerance rule.")] = None,
    keep_donors: Annotated[
        bool, typer.Option(help="Keep donors' records in the model, for `analyze --rectify`.")
    ] = True,
    bounds: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE", help="'debt <= assets', 'gas = 0 unless has_gas'. Repeatable."),
    ] = None,
    identities: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help="'income = wages + other'. Repeatable.")
    ] = None,
    monotone: Annotated[
        list[str] | None, typer.Option(metavar="RULE", help="'rent rises with rooms'. Repeatable.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Learn a donor survey's own variables, and write the model.

    Options and their defaults are those of `fusionpy.train()` in Python.
    """
    problems = Problems(ArgumentError, "`fusionpy train` cannot start.", "See `fusionpy train --help`.")
    blocks = [split_names(block, "--y", problems, "+") for block in split_names(y, "--y", problems) if block]
    least_most = read_range(krange, "--krange", problems)
    grid = read_hyper(hyper or [], problems)
    declared = read_declared(ordered, nominal, text, missing, problems)
    trends = read_trends(monotone or [], problems)
    if (x is None) == (recipient is None):
        problems.add(
            "Give the predictors by `--x`, or by `--recipient` those that both files have; not both."
        )
    if drop is not None and recipient is None:
        problems.add("`--drop` is for `--recipient`; with `--x`, leave the names out there.")
    problems.stop()
    survey = open_survey(donor)
    check_writable(fsn, "--fsn", (".fsn",), {"donor": donor, "--recipient": recipient})
    outcomes = [name for block in blocks for name in block]
    replicates = expand_patterns(
        split_names(replicate_weights, "--replicate-weights", problems), survey.names
    )
    used = [*outcomes, *([weight] if weight else []), *replicates]
    dropped = split_names(drop, "--drop", problems)
    predictors = expand_patterns(split_names(x, "--x", problems), survey.names)
    problems.stop()
    if recipient is not None:
        predictors = common_columns(survey, open_survey(recipient), used, dropped)
        announce(f"train: {len(predictors)} predictors that both files have: {', '.join(predictors)}", quiet)
    model = fusionpy.train(
        survey.read([*predictors, *used], declared),
        [block if len(block) > 1 else block[0] for block in blocks],
        predictors,
        fsn=fsn,
        weight=weight,
        replicate_weights=replicates or None,
        nfolds=int(nfolds) if nfolds is not None and nfolds.is_integer() else nfolds,
        nquantiles=nquantiles,
        nclusters=nclusters,
        krange=least_most,
        hyper=grid,
        cores=cores,
        seed=seed,
        method=method,  # type: ignore[arg-type]  # train() refuses others
        refits=refits,
        patience=patience,
        crossfit=crossfit,
        redraw=redraw,
        untie=untie,
        calibrate=calibrate,
        tolerant=tolerant,
        keep_donors=keep_donors,
        bounds=bounds,
        identities=identities,
        monotone=trends,
        quiet=quiet,
    )
    print(model)
    print(f"Written to {fsn} ({Path(fsn).expanduser().stat().st_size / 1e6:.1f} MB).")


@app.command(epilog=FUSE_EXAMPLES)
def fuse(
    recipient: Annotated[
        str, typer.Argument(help="Recipient survey: a Parquet or CSV file.", show_default=False)
    ],
    fsn: Annotated[str, typer.Argument(help="The model: a .fsn file.", show_default=False)],
    fsd: Annotated[
        str, typer.Option(metavar="FILE", help="Write the result to this .parquet, .fsd or .fst file.")
    ],
    M: Annotated[int, typer.Option("-M", "--M", help="Implicates.")] = 1,
    retain: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Columns to carry along, comma separated; patterns too."),
    ] = None,
    ordered: Ordered = None,
    nominal: Nominal = None,
    text: Text = None,
    missing: Missing = None,
    kblock: Annotated[int, typer.Option(help="Nearest donors (5 to 30) that make a block's pool.")] = 10,
    margin: Annotated[
        float, typer.Option(help="Safety factor on a chunk's memory; negative: so many chunks.")
    ] = 2,
    cores: Cores = 1,
    seed: Annotated[
        int | None, typer.Option(help="Same seed, same draws. Default: drawn, and shown.")
    ] = None,
    offset: Annotated[int, typer.Option(help="Number of the first row, for a recipient in parts.")] = 0,
    chunk: Annotated[int | None, typer.Option(help="Rows worked on at a time, instead of --margin.")] = None,
    quiet: Quiet = False,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="For codes and chunks, such as 2GB. Default: half of what is free."
        ),
    ] = None,
) -> None:
    """Simulate a model's variables for a recipient, M times over.

    Only the columns that are needed are read, and the result is written as it is made.
    """
    began = time.monotonic()
    problems = Problems(ArgumentError, "`fusionpy fuse` cannot start.", "See `fusionpy fuse --help`.")
    declared = read_declared(ordered, nominal, text, missing, problems)
    carried = split_names(retain, "--retain", problems)
    problems.stop()
    settled = settle_seed(seed)
    survey = open_survey(recipient)
    check_writable(fsd, "--fsd", IMPLICATES, {"recipient": recipient, "fsn": fsn})
    model = fusionpy.read_fsn(fsn)
    kept = expand_patterns(carried, survey.names)
    data: Any = recipient  # read piece by piece, if nothing has to be recoded
    n_rows = pq.read_metadata(recipient).num_rows if survey.schema is not None else 0
    if declared or not survey.suits(model.schema.x):
        learned = {v.name: v for v in model.schema.x if v.name not in declared.ordered}
        data = survey.read([*(v.name for v in model.schema.x), *kept], declared, learned)
        n_rows = data.num_rows
    path = fusionpy.fuse(
        data,
        model,
        fsd,
        M=M,
        retain=kept,
        kblock=kblock,
        margin=margin,
        cores=cores,
        seed=settled,
        offset=offset,
        chunk=chunk,
        quiet=quiet,
        memory=memory,
    )
    rows = f"{M * n_rows:,} rows ({M} x {n_rows:,})"
    print(f"{path}: {rows}, seed {settled}, {time.monotonic() - began:.1f} s")


@app.command(epilog="\b\nExamples:\n  fusionpy info model.fsn\n  fusionpy info model.fsn --json")
def info(
    fsn: Annotated[str, typer.Argument(help="The model: a .fsn file.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """Show a model's steps, rounds, losses, pools and options."""
    model = fusionpy.read_fsn(fsn)
    about = model.describe()
    if as_json:
        known = {name: each for name, each in model.ranges.items() if not model.schema[name].is_categorical}
        variables = [
            {"name": v.name, "role": role, "kind": v.kind, "levels": list(v.levels)}
            | ({"range": [known[v.name].low, known[v.name].high]} if v.name in known else {})
            for role, those in (("x", model.schema.x), ("y", model.schema.y))
            for v in those
        ]
        more = {"variables": variables, "models": model.summary(), "not_for_r": obstacles(model)}
        print(json.dumps(_plain(about | more), indent=2))
        return
    print(model)
    options = about["options"]
    named = {
        "options": {name: value for name, value in options.items() if name != "hyper"},
        "hyper": options["hyper"],
        "versions": about["versions"],
    }
    rows = [
        (title, ", ".join(f"{name}\xa0{_plain(value)}" for name, value in items.items()))
        for title, items in named.items()
    ]
    rows += [("not for R", obstacle) for obstacle in obstacles(model)]
    print("\n" + Grid(("how", ""), tuple(rows), (False, False)).text())


@app.command(epilog="\b\nExamples:\n  fusionpy clean results\n  fusionpy clean results --all")
def clean(
    folder: Annotated[str, typer.Argument(help="Folder; those inside it too.", show_default=False)],
    everyone: Annotated[
        bool,
        typer.Option(
            "--all", help="Those of other machines and older releases too: only if none is at work there."
        ),
    ] = False,
) -> None:
    """Remove the unfinished files (.part) that killed runs have left; they hold microdata.

    Files of running processes stay. The next run that writes to a folder does the same for that folder.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        problem = "It is a file." if place.exists() else "There is no such folder."
        raise ArgumentError(f"'{shown_path(folder)}' cannot be cleaned.", [problem], "Name a folder.")
    removed = [path for each, _, _ in os.walk(place) for path in sweep(Path(each), everyone=everyone)]
    for path in removed:
        print(shown_path(path))
    print(f"{counted(len(removed), 'file')} removed.")


@app.command()
def demo(
    M: Annotated[int, typer.Option("-M", "--M", min=2, help="Implicates.")] = 5,
    cores: Annotated[int | None, typer.Option(min=1, help="Threads. Default: all.")] = None,
    refits: Annotated[int | None, typer.Option(help="Refits. Default: as many as implicates.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the training and of the draws.")] = 1,
    donors: Annotated[int, typer.Option(hidden=True, help="So many rows only.")] = 4_000,
    recipients: Annotated[int, typer.Option(hidden=True, help="So many rows only.")] = 20_000,
    quiet: Quiet = False,
) -> None:
    """Fuse two sample surveys, and compare with the truth.

    Both surveys are of one synthetic population. Energy use, budgets and savings are in the donor survey
    only; what the recipients would have answered is known because all is simulated.
    """
    sample = fusionpy.datasets
    donor = thin(sample.load_donor(), donors)
    recipient = thin(sample.load_recipient(), recipients)
    truth = thin(sample.load_truth(), recipients)
    cores = cores or _all_cores()
    print(
        f"Training on {len(donor):,} donors: {len(sample.PREDICTORS)} predictors, "
        f"{len(truth.columns) - 1} fusion variables in {len(sample.FUSION_VARIABLES)} steps."
    )
    began = time.monotonic()
    model = fusionpy.train(
        donor,
        sample.FUSION_VARIABLES,
        sample.PREDICTORS,
        weight="weight",
        refits=M if refits is None else refits,
        cores=cores,
        seed=seed,
        quiet=quiet,
    )
    trained = time.monotonic()
    print(f"Fusing onto {len(recipient):,} recipients, {M} implicates.")
    fused = fusionpy.fuse(recipient, model, M=M, cores=cores, seed=seed, quiet=quiet)
    done = time.monotonic()
    show_comparison(recipient, fused, truth, M)
    print(f"Training took {trained - began:.0f} s and fusing {done - trained:.0f} s on {cores} threads.")


def _all_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plain(value: Any) -> Any:
    """Make data fit for JSON: lists for tuples, null for NaN."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
