"""The command line's help as Markdown, by typer, from the commands themselves."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

__all__ = ["describe_commands"]

EXAMPLES = re.compile(r"(?m)^Examples:\n(?P<lines>(?:  .*\n)+)")


def describe_commands() -> str:
    """Describe every command: how it is called, what it does, its arguments, options and examples."""
    command = [sys.executable, "-m", "typer", "fusionpy.cli", "utils", "docs", "--name", "fusionpy"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    told = told.replace("\b\n", "").replace("```console\n", "```text\n")
    told = re.sub(r"(?m)^(#+) `(.*)`$", r"#\1 \2", told)  # the page has a title of its own
    return EXAMPLES.sub(
        lambda found: f"Examples:\n\n```text\n{inspect.cleandoc(found['lines'])}\n```\n", told
    )
