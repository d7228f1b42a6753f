"""The README's commands and code, run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
# Text between fences, with the language (if any) that the fence names and the section's title.
BLOCKS = [
    (title, *block)
    for title, section in re.findall(r"(?ms)^## ([^\n]+)\n(.*?)(?=^## |\Z)", README.read_text("utf-8"))
    for block in re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", section)
]
PYTHON = [code for _, language, code in BLOCKS if language == "python"]
SHELL = "".join(code for title, language, code in BLOCKS if title == "From the command line" and not language)
# A command goes on in the next line after a backslash.
COMMANDS = re.findall(r"(?m)^(?:fusionpy|python -c) (?:.*\\\n)*.*$", SHELL)


def test_there_is_something_to_run() -> None:
    assert PYTHON
    assert {command.split()[0] for command in COMMANDS} == {"fusionpy", "python"}


def test_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for code in PYTHON:  # one script, told in pieces
        exec(compile(code, str(README), "exec"), names)
    assert (tmp_path / "report.html").stat().st_size > 100_000


@pytest.mark.slow
def test_shell(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in COMMANDS:
        done = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
