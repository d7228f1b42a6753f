"""Run in a document's kernel before its first cell: what a cell of shell or of R does.

One R process serves all cells of R. It is given each as a file, and answers with a file (`session.R`).
"""

from __future__ import annotations

import atexit
import json
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from IPython import get_ipython
from IPython.display import Image, display

HERE = Path(__file__).parent
SHELL = "trap 'echo \"fusionpy-docs: line $LINENO\" >&2' ERR\n"


class CellError(Exception):
    """A cell of shell or of R failed."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class RSession:
    """A process of R, which starts with the first cell."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fusionpy-r-"))
        self.log = (self.folder / "log").open("w+b")
        self.count = 0
        self.process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run code; return what it wrote, as `session.R` tells it."""
        if self.process is None:
            command = ["Rscript", "--vanilla", str(HERE / "session.R")]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=self.log, stderr=subprocess.STDOUT
            )
        self.count += 1
        job = self.folder / f"cell{self.count}"
        job.with_suffix(".R").write_text(code + "\n", "utf-8")
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{job}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # told below
        answer = job.with_suffix(".json")
        while not answer.exists():
            if self.process.poll() is not None:
                raise CellError(f"R has ended.\n{self.said()}")
            time.sleep(0.02)
        outputs: list[dict[str, Any]] = json.loads(answer.read_text("utf-8"))
        return outputs

    def said(self) -> str:
        """Give what R said outside its own output: messages, and what Python wrote below it."""
        self.log.flush()
        return (self.folder / "log").read_text("utf-8", errors="replace")[-4000:]

    def close(self) -> None:
        """End R."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


_r = RSession()


def run_r(_line: str, code: str) -> None:
    """Run a cell of R, and show what it prints and draws."""
    messages = []
    for output in _r.run(code):
        match output["kind"]:
            case "text":
                print(output["text"], end="")
            case "message":  # told only if the cell fails
                messages.append(output["text"])
            case "picture":
                display(Image(filename=output["file"], width=output["width"], height=output["height"]))
            case "error":
                told = "".join(messages) + _r.said()
                raise CellError(f"{output['text']}\n{told}\nline {output['line']} of the cell")


def run_bash(_line: str, code: str) -> None:
    """Run a cell of shell as a script that stops at the first failure, and show what it writes."""
    command = ["bash", "-Eeuo", "pipefail", "-c", SHELL + code]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        for raw in process.stdout:
            line = raw.decode("utf-8", errors="replace")
            if not line.startswith("fusionpy-docs: line "):
                print(line, end="")
            lines.append(line)
    if process.returncode:
        said = "".join(lines)
        # The trap is in a line of its own before the code, which bash counts.
        found = re.findall(r"^fusionpy-docs: line (\d+)$", said, re.M)
        said = re.sub(r"(?m)^fusionpy-docs: line \d+\n", "", said)
        where = int(found[0]) - 1 if found else 1
        raise CellError(f"{said}exit status {process.returncode}\nline {where} of the cell")


shell = get_ipython()
shell.register_magic_function(run_r, "cell", "R")
shell.register_magic_function(run_bash, "cell", "bash")
