"""The command line's help as Markdown, from the commands themselves."""

from __future__ import annotations

import inspect
import re
from typing import Any

__all__ = ["describe_commands"]


def describe_commands() -> str:
    """Describe every command: how it is called, what it does, its arguments, options and examples."""
    import typer

    from fusionpy.cli import app

    root = typer.main.get_command(app)
    top = root.make_context("fusionpy", [], resilient_parsing=True)
    parts = [_describe(root, top, 2)]
    for name in root.list_commands(top):
        command = root.get_command(top, name)
        with command.make_context(name, [], parent=top, resilient_parsing=True) as context:
            parts.append(_describe(command, context, 2))
    return "\n\n".join(parts)


def _describe(command: Any, context: Any, level: int) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [
        f"{'#' * level} {context.command_path}",
        _fence(usage),
        _escape(inspect.cleandoc(command.help or "")),
    ]
    arguments = [_row(each, context) for each in command.params if each.param_type_name == "argument"]
    options = [_row(each, context) for each in command.params if each.param_type_name == "option"]
    for title, rows in (("Argument", arguments), ("Option", options)):
        rows = [row for row in rows if row is not None]
        if rows:
            parts.append("\n".join([f"| {title} | |", "| --- | --- |", *rows]))
    if command.epilog:
        parts.append(_epilog(command.epilog))
    return "\n\n".join(part for part in parts if part)


def _row(parameter: Any, context: Any) -> str | None:
    """One parameter, as its own help tells it."""
    record = parameter.get_help_record(context)
    if record is None:
        return None
    name, text = record
    cell = name.replace("|", "\\|")
    return f"| `{cell}` | {_escape(text).replace('|', chr(92) + '|')} |"


def _epilog(text: str) -> str:
    r"""Examples, which follow the mark ``\b`` up to an empty line, and the text after them."""
    blocks = inspect.cleandoc(text).split("\n\n")
    parts = []
    for block in blocks:
        if block.startswith("\b"):
            head, _, rest = block.removeprefix("\b").lstrip("\n").partition("\n")
            parts += [head, _fence(inspect.cleandoc(rest))]
        else:
            parts.append(_escape(" ".join(block.split())))
    return "\n\n".join(parts)


def _escape(text: str) -> str:
    r"""Keep Markdown from reading help as its own marks; what is in backticks stays."""
    text = text.replace("\b\n", "")
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_<>$\[\]])", r"\\\1", part)
        for part in re.split(r"(`[^`]*`)", text)
    )


def _fence(text: str) -> str:
    return f"```text\n{text}\n```"
