"""The commands: what each is called with, where its work is done, and how it is explained.

Only what differs from the verb stands here: `derive_options` takes the rest from its signature and docstring.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fusionpy.cli import examples
from fusionpy.cli.arguments import (
    read_design,
    read_groupings,
    read_labels,
    read_rectify,
    read_steps,
    split_names,
)
from fusionpy.cli.options import DECLARED, DONOR, MODEL, OUT, RECIPIENT, STEPS, Option
from fusionpy.cli.signatures import REQUIRED, read_docstring

__all__ = ["COMMANDS", "Command"]


@dataclass(frozen=True)
class Command:
    """A command.

    Attributes
    ----------
    summary : str
        First line of the docstring of `does`, which is its help.
    does : str
        Function to call, in the module of `fusionpy.cli` that is named before it.
    options : tuple of str, Option or Ellipsis
        See `derive_options`.
    examples : str
    verb : str, optional
        Public function that the options are derived from.
    without : mapping of str to str
        Its parameters that are no options, and why.
    """

    summary: str
    does: str
    options: tuple[Any, ...] = ()
    examples: str = ""
    verb: str | None = None
    without: Mapping[str, str] = field(default_factory=dict)


def _statistics() -> str:
    """Say which statistics there are, as the verb's docstring does; functions are for Python only."""
    told = re.search(r'(Statistics are .*?), and "custom"', read_docstring("fusionpy", "analyze"), re.DOTALL)
    assert told is not None
    return " ".join(told[1].replace('"', "").split()) + "."


COMMANDS = {
    "train": Command(
        "Learn a donor survey's own variables, and write the model.",
        "training.train",
        (
            DONOR,
            STEPS,
            Option("fsn", "Write the model to this .fsn file.", str, REQUIRED, "FILE"),
            Option("x", "Predictors, comma separated.", str, None, "NAMES", read=split_names),
            RECIPIENT,
            Option(
                "drop", "Not to be predictors, with --recipient; patterns too.", str, None, "NAMES",
                read=split_names,
            ),
            "weight",
            "replicate_weights",
            *DECLARED,
            ...,
        ),
        examples.TRAIN,
        "train",
        {"data": "the file DONOR"},
    ),
    "fuse": Command(
        "Simulate a model's variables for a recipient, M times over.",
        "fusion.fuse",
        (
            Option("recipient", "Recipient survey: a Parquet or CSV file.", str, REQUIRED, is_argument=True),
            MODEL,
            Option("fsd", "Write the result to this .parquet, .fsd or .fst file.", str, REQUIRED, "FILE"),
            "M",
            "retain",
            *DECLARED,
            ...,
        ),
        examples.FUSE,
        "fuse",
        {"data": "the file RECIPIENT"},
    ),
    "info": Command(
        "Show a model's steps, rounds, losses, pools and options.",
        "models.info",
        (
            replace(MODEL, default=REQUIRED),
            Option("as_json", "Everything, as JSON.", bool, False, flags=("--json",)),
        ),
        examples.INFO,
    ),
    "clean": Command(
        "Remove the unfinished files (.part) that killed runs have left; they hold microdata.",
        "leftovers.clean",
        (
            Option("folder", "Folder; those inside it too.", str, REQUIRED, is_argument=True),
            Option(
                "everyone", "Those of other machines and older releases too: only if none is at work there.",
                bool, False, flags=("--all",),
            ),
        ),
        examples.CLEAN,
    ),
    "demo": Command(
        "Fuse two sample surveys, and compare with the truth.",
        "demo.demo",
        (
            Option("M", "Implicates.", int, 5, least=2),
            Option("cores", "Threads. Default: all.", int, None, least=1),
            Option("refits", "Refits. Default: as many as implicates.", int, None),
            Option("seed", "Seed of the training and of the draws.", int, 1),
            Option("donors", "So many rows only.", int, 4_000, is_hidden=True),
            Option("recipients", "So many rows only.", int, 20_000, is_hidden=True),
            Option("quiet", "No progress.", bool, False, flags=("--quiet", "-q")),
        ),
    ),
    "analyze": Command(
        "Estimate means, shares, totals and quantiles with margins of error.",
        "analysis.analyze",
        (
            Option("implicates", "Implicates: a Parquet (or .fsd) file.", str, is_argument=True),
            Option("x", "Such as 'mean(a)'.", list[str], metavar="ESTIMATES...", is_argument=True),
            Option("static", "The recipient survey.", str, metavar="FILE"),
            "weight",
            "rep_weights",
            Option(
                "by", "Estimate for all combinations of these; again, for another grouping.", list[str],
                metavar="NAMES", read=read_groupings,
            ),
            Option(
                "var_scale", "A number, or the design: sdr, brr, fay, fay:0.3, jk1, bootstrap.", str, "4",
                read=read_design,
            ),
            ...,
            Option(
                "rectify", "Add what this model's donors show it to have wrong (shrunk:FSN: what is more than"
                " chance).", str, metavar="FSN", read=read_rectify,
            ),
            Option("seed", "For variances that are drawn. Default: drawn, and told."),
            Option("layout", "Of the table: fusionpy, fusionModel or fusionacs."),
            OUT,
            *DECLARED,
            "cores",
            "quiet",
        ),
        examples.ANALYZE.format(statistics=_statistics()),
        "analyze",
        {"fun": "a function, which only Python has"},
    ),
    "validate": Command(
        "Compare implicates of the donors with what the donors said, in many subsets.",
        "evaluation.validate",
        (
            Option("observed", "Donor survey: Parquet or CSV.", str, is_argument=True),
            Option("implicates", "The donors' implicates: a Parquet (or .fsd) file.", str, is_argument=True),
            Option("subset_vars", "Compare in their levels, and in those of every pair of them."),
            "weight",
            "min_size",
            Option("y", "Variables. Default: all that both have."),
            Option("plot", "Draw the figures."),
            ...,
            Option("out", "Write table and figures there.", str, None, "FOLDER"),
            *DECLARED,
            "cores",
            "quiet",
        ),
        examples.VALIDATE,
        "validate",
    ),
    "score": Command(
        "Score implicates against the truth, beside two baselines and the sampling floor.",
        "evaluation.score",
        (
            Option("truth", "The true values: Parquet or CSV.", str, is_argument=True),
            Option("implicates", "Implicates: a Parquet (or .fsd) file.", str, None, is_argument=True),
            Option("y", "Variables; a block is joined by +.", str, metavar="NAMES", read=read_steps),
            Option("x", "Predictors."),
            "weight",
            Option("folds", "Parts of the survey, without implicates.", int, 5),
            Option("M", "Implicates, without a file of them.", int, 20),
            ...,
            OUT,
            *DECLARED,
            "cores",
            "seed",
            "quiet",
        ),
        examples.SCORE,
        "score",
    ),
    "report": Command(
        "Write a report of a fusion, fit for publication.",
        "reporting.report",
        (
            Option(
                "path", "report.html, report.pdf, or both.", list[str], metavar="FILES...", is_argument=True
            ),
            Option("model", "The model: a .fsn file.", str, REQUIRED, "FSN"),
            Option("donor", "Donor survey: Parquet or CSV.", str, metavar="FILE"),
            Option("recipient", "Recipient survey.", str, metavar="FILE"),
            "weight",
            Option(
                "validate_by", "Fuse the donors back, and compare in subsets of these.", str, None, "NAMES",
                read=split_names,
            ),
            Option("M", "Implicates for that.", int, 40),
            Option("folds", "Score held-out parts of the donors; 0: do not.", int, 0),
            Option(
                "estimates", "Table that `analyze --out` wrote. Repeatable.", list[str], metavar="FILE"
            ),
            Option("title", "Of the report."),
            Option("authors", "Comma separated.", str, read=split_names),
            Option("notes", "Paragraph of your own, before all else. Repeatable.", list[str], metavar="TEXT"),
            Option("tables", "Write all tables as CSV and LaTeX.", str, metavar="FOLDER"),
            Option("date", "Of the report, such as 2026-11-05. Default: today.", str, metavar="DATE"),
            Option(
                "labels", "What a variable means, with its unit. Repeatable.", list[str],
                metavar="NAME=TEXT", read=read_labels,
            ),
            ...,
            *DECLARED,
            Option("cores", "Threads. The result does not depend on it.", int, 1),
            Option("seed", "Same seed, same report. Default: drawn.", int, None),
            "quiet",
        ),
        examples.REPORT,
        "report",
        {"validation": "made by --validate-by", "scores": "made by --folds"},
    ),
    "prep": Command(
        "Order fusion variables, and choose their predictors, by LASSO.",
        "preparation.prep",
        (
            DONOR,
            replace(STEPS, help="Fusion variables; a block is joined by +."),
            Option("x", "Candidates; patterns too.", default=None),
            replace(RECIPIENT, help="Instead of --x: what both surveys have."),
            Option("drop", "Not these, with --recipient.", str, None, "NAMES", read=split_names),
            "weight",
            "cor_thresh",
            "lasso_thresh",
            "xmax",
            Option("xforce", "For every step."),
            "fraction",
            "solver",
            "method",
            ...,
            *DECLARED,
            "cores",
            "seed",
            replace(OUT, help="Write the scores (.csv)."),
            "quiet",
        ),
        examples.PREP,
        "prep_xy",
        {"data": "the file DONOR"},
    ),
    "impute": Command(
        "Fill the missing values of a survey, once or M times over.",
        "preparation.impute",
        (
            Option("data", "Survey with holes: Parquet or CSV.", str, is_argument=True),
            Option("out", "Write the result: .parquet or .csv.", str, REQUIRED, "FILE"),
            "weight",
            Option("ignore", "Keep as they are, and do not use; patterns too."),
            "M",
            ...,
            *DECLARED,
            "cores",
            "seed",
            "quiet",
        ),
        examples.IMPUTE,
        "impute",
    ),
    "importance": Command(
        "Show what predictors are worth to a model: gain, cover, frequency, and permutation on request.",
        "models.importance",
        (
            replace(MODEL, default=REQUIRED),
            "detailed",
            Option("data", "Held-out donors, to permute.", str, metavar="FILE"),
            "weight",
            "n_repeats",
            "seed",
            ...,
            replace(OUT, help="Write the table (.csv)."),
            *DECLARED,
            "cores",
        ),
        examples.IMPORTANCE,
        "importance",
        {"model": "the file FSN"},
    ),
}  # fmt: skip
