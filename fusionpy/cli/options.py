"""Options of the command line, and how those of the verbs differ there."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from fusionpy.cli.arguments import read_hyper, read_range, read_rules, read_steps, read_trends, whole_number
from fusionpy.cli.signatures import REQUIRED
from fusionpy.errors import Problems

__all__ = ["DECLARED", "DONOR", "KNOWN", "MODEL", "OUT", "RECIPIENT", "STEPS", "UNSAID", "Option", "flag"]

Reader = Callable[[Any, str, Problems], Any]
UNSAID: Any = object()


@dataclass(frozen=True)
class Option:
    """An option or argument of a command; what is not said here is derived from the verb's parameter.

    Attributes
    ----------
    name : str
        That of the verb's parameter, unless only the command line has it.
    help : str
    kind : type
        What typer is to take: str, int, float, bool, list[str].
    default : object
        `REQUIRED`, if it must be given.
    metavar : str
    flags : tuple of str
        How it is spelled, if not by its name.
    is_argument : bool
        Whether it is told by its place rather than its name.
    least : int
    read : callable
        Turns what was given into what the verb takes: value, option as it is spelled, problems.
    is_hidden : bool
    """

    name: str
    help: str = ""
    kind: Any = None
    default: Any = UNSAID
    metavar: str | None = None
    flags: tuple[str, ...] = ()
    is_argument: bool = False
    least: int | None = None
    read: Reader | None = None
    is_hidden: bool = False

    @property
    def spelled(self) -> str:
        """The option, as messages have it."""
        return next((flag for flag in self.flags if flag.startswith("--")), flag(self.name))

    def as_parameter(self) -> inspect.Parameter:
        """Make it a parameter of a function as typer reads it."""
        more: dict[str, Any] = {"help": self.help, "metavar": self.metavar}
        if self.is_argument:
            info: Any = typer.Argument(**more, show_default=False)
        else:
            info = typer.Option(*self.flags, **more, min=self.least, hidden=self.is_hidden)
        kind = self.kind | None if self.default is None else self.kind
        keyword = inspect.Parameter.KEYWORD_ONLY
        return inspect.Parameter(self.name, keyword, default=self.default, annotation=Annotated[kind, info])


def flag(name: str) -> str:
    """Spell the option of a parameter.

    Examples
    --------
    >>> flag("rep_weights")
    '--rep-weights'
    """
    return f"--{name.replace('_', '-')}"


# How parameters of these names are given, whatever the verb.
KNOWN = {
    option.name: option
    for option in (
        Option("quiet", "No progress.", flags=("--quiet", "-q")),
        Option("weight", "Column of survey weights.", metavar="NAME"),
        Option("rep_weights", "Replicate weights: names, or a pattern such as 'rep_*'."),
        Option("replicate_weights", "Replicate weights: names, or a pattern such as 'rep_*'."),
        Option("nfolds", read=whole_number),
        Option("krange", "Donors in a pool. Default 10,500.", str, metavar="LEAST,MOST", read=read_range),
        Option(
            "hyper", "Hyperparameter of LightGBM; values make a grid. Repeatable.", list[str],
            metavar="NAME=VALUES", read=read_hyper,
        ),
        Option("tolerant", "Pool sizes by fusionModel's tolerance rule, or by least divergence."),
        Option("keep_donors", "Keep donors' records in the model, for `analyze --rectify`."),
        Option(
            "bounds", "'debt <= assets', 'gas = 0 unless has_gas'. Repeatable.", list[str], metavar="RULE"
        ),
        Option("identities", "'income = wages + other'. Repeatable.", list[str], metavar="RULE"),
        Option(
            "monotone", "'rent rises with rooms'. Repeatable.", list[str], metavar="RULE", read=read_trends
        ),
        Option(
            "rules", "Count the records that break it: 'debt <= assets', or a model's (.fsn). Repeatable.",
            list[str], metavar="RULE", read=read_rules,
        ),
        Option("areas", "Columns whose levels get effects of their own, nested or not; patterns too."),
        Option("retain", "Columns to carry along, comma separated; patterns too."),
        Option(
            "memory", "For codes and chunks, such as 2GB. Default: half of what is free.", str, metavar="SIZE"
        ),
    )
}  # fmt: skip

# What the columns of a file are, which a frame tells by its types.
DECLARED = (
    Option(
        "ordered", "Make a column ordered, with exactly these levels. Repeatable.", list[str], None,
        "NAME=A<B<C",
    ),
    Option(
        "nominal", "Make columns unordered categories, codes for instance; patterns too.", list[str], None,
        "NAMES",
    ),
    Option("text", "Take columns just as they are written; patterns too.", list[str], None, "NAMES"),
    Option(
        "missing", "No answer: '-9,-8,.' in all columns, 'rent=-9' in one. Repeatable.", list[str], None,
        "[NAME=]CODES",
    ),
)  # fmt: skip
DONOR = Option("donor", "Donor survey: a Parquet or CSV file.", str, REQUIRED, is_argument=True)
MODEL = Option("fsn", "The model: a .fsn file.", str, is_argument=True)
OUT = Option("out", "Write the table: .csv, .parquet or .tex.", str, None, "FILE")
STEPS = Option(
    "y", "Fusion variables in their order, comma separated; a block is joined by +.", str, metavar="NAMES",
    read=read_steps,
)  # fmt: skip
RECIPIENT = Option(
    "recipient", "Instead of --x: take what both surveys have as predictors.", str, None, "FILE"
)
