"""The command itself: `fusionpy`, whose commands are built when they are first asked for."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
import warnings
from collections import UserDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

import fusionpy
from fusionpy.cli.commands import COMMANDS
from fusionpy.cli.derived import derive_options
from fusionpy.cli.examples import ROOT
from fusionpy.cli.options import DECLARED, Option
from fusionpy.cli.signatures import read_docstring
from fusionpy.errors import ArgumentError, FusionError, FusionWarning, OutputError, Problems

__all__ = ["app", "main"]

MEND, INTERRUPTED = 2, 130  # exit codes: something for the user to mend, Ctrl-C

HELP = """Fuse survey microdata: train on a donor survey, simulate its variables for a recipient.

Surveys are read from Parquet or CSV (.csv, .csv.gz) files, results are written to Parquet."""
NAMES = {command.verb: name for name, command in COMMANDS.items()} | {"cross_score": "score"}  # of verbs


class _Later(UserDict[str, Any]):
    """Commands by name, each of them built when it is first looked up."""

    def __getitem__(self, name: str) -> Any:
        if self.data[name] is None:
            self.data[name] = _build(name)
        return self.data[name]


class _Commands(TyperGroup):
    """Commands whose errors and warnings are told in words."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Later(dict.fromkeys(COMMANDS))

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands without building them."""
        room = formatter.width - 6 - max(map(len, COMMANDS))
        rows = [
            (name, textwrap.shorten(each.summary, room, placeholder="...")) for name, each in COMMANDS.items()
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: Any) -> Any:
        with _warnings_told():
            try:
                return super().invoke(ctx)
            except FusionError as error:
                print(_worded(_rescued(error)), file=sys.stderr)
                raise typer.Exit(MEND) from None
            except KeyboardInterrupt:
                print("Interrupted: nothing was written.", file=sys.stderr)
                raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="fusionpy",
    cls=_Commands,
    help=HELP,
    epilog=ROOT,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main() -> None:
    """Run the command that the arguments name; exit with 0, 2 (something to mend) or 130 (interrupted)."""
    app()


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if version:
        print(f"fusionpy {fusionpy.__version__}")
    elif ctx.invoked_subcommand is None:
        print(ctx.get_help())


def _build(name: str) -> Any:
    """Build a command; the module that does its work is imported when it is called, not for its help."""
    command = COMMANDS[name]
    home, _, function = f"fusionpy.cli.{command.does}".rpartition(".")
    options = derive_options(command.verb, command.options, tuple(command.without))

    def call(**given: Any) -> None:
        hint = f"See `fusionpy {name} --help`."
        problems = Problems(ArgumentError, f"`fusionpy {name}` cannot start.", hint)
        getattr(import_module(home), function)(problems, **_read(options, given, problems))

    call.__doc__ = read_docstring(home, function)
    parameters = [option.as_parameter() for option in options]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in parameters}
    single = typer.Typer(add_completion=False, rich_markup_mode=None)
    single.command(name, epilog=command.examples)(call)
    return typer.main.get_command(single)


def _read(options: Sequence[Option], given: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """Turn what was given into what is taken: a verb's values, and what is said of columns in one."""
    values = {
        option.name: given[option.name]
        if option.read is None or given[option.name] is None
        else option.read(given[option.name], option.spelled, problems)
        for option in options
    }
    if all(option in options for option in DECLARED):
        from fusionpy.cli.declared import read_declared

        values["declared"] = read_declared(
            **{each.name: values.pop(each.name) for each in DECLARED}, problems=problems
        )
    return values


def _rescued(error: FusionError) -> FusionError:
    """Put a model that could not be written where it can."""
    if not isinstance(error, OutputError) or (trained := error.model) is None:
        return error
    from fusionpy.formats.rescue import rescued
    from fusionpy.model.archive import put_model

    return rescued(error, lambda path: put_model(trained, path), ".fsn")


def _worded(error: FusionError) -> str:
    """Word an error for a terminal, where help is had by commands rather than functions."""
    return "Error: " + re.sub(
        r"`help\(fusionpy\.(\w+)\)`",
        lambda found: f"`fusionpy {NAMES.get(found[1], found[1])} --help`",
        str(error),
    )


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
