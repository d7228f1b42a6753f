"""Run one document, and write it as a page with what its code shows.

``python execute.py DOCUMENT.md PAGE.md`` is a process of its own for each document. Its cells are a notebook,
which nbclient runs in a kernel of this Python, in a temporary folder.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # this file is run as a program, too

from making.documents import Cell, DocumentError, find_cells

__all__ = ["execute", "main", "render"]

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
SHARED = REPOSITORY.parent / "shared"  # surveys that are not the repository's
MAGIC = {"python": "", "bash": "%%bash\n", "r": "%%R\n"}  # what kernel.py registers
CELL_SECONDS = 900
START_SECONDS = 300
COLUMNS = 100
DENSITY = 2  # pixels of a picture for one of the page
PREPARE = f"""
import runpy
runpy.run_path({str(HERE / "kernel.py")!r})
del runpy
"""
# What verbs say of their progress, on standard error; the seconds differ every time.
PROGRESS = re.compile(r"(?m)^\w+: \d+/\d+ \(\d+ s\).*\n")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
Output = dict[str, Any]


def execute(document: Path, page: Path, name: str | None = None) -> str:
    """Run a document and write its page; pictures go in a folder beside it that has its name.

    Parameters
    ----------
    document : Path
    page : Path
        Replaced if it is there.
    name : str, optional
        What to call the document in errors.

    Returns
    -------
    str
        What there is to say of it: cells, seconds and the slowest cell.

    Raises
    ------
    DocumentError
        If a cell fails.
    """
    name = name or str(document)
    text = document.read_text("utf-8")
    cells = find_cells(text)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fusionpy-docs-", ignore_cleanup_errors=True) as folder:
        outputs, seconds = _run(name, cells, Path(folder))
        outputs = [[_without_folder(each, folder) for each in of_cell] for of_cell in outputs]
    pictures = page.with_suffix("")
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(_page(text, cells, outputs, pictures), "utf-8")
    slowest = max(range(len(cells)), key=seconds.__getitem__)
    return (
        f"{len(cells)} cells in {time.monotonic() - began:.1f} s, "
        f"the slowest {seconds[slowest]:.1f} s (line {cells[slowest].line})"
    )


def _run(name: str, cells: list[Cell], folder: Path) -> tuple[list[list[Output]], list[float]]:
    """Run the cells in order; give the outputs and the seconds of each."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from traitlets.config import Config

    notebook = _notebook(cells)
    outside = folder / "jupyter"  # nobody's own settings or kernels
    work = folder / "work"
    work.mkdir()
    with _Environment(outside):
        config = Config()
        if sys.platform == "linux":  # elsewhere the names of temporary files are too long for it
            config.KernelManager.transport = "ipc"
            config.KernelManager.ip = str(outside / "kernel")
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            startup_timeout=START_SECONDS,
            config=config,
            timeout=CELL_SECONDS,
            resources={"metadata": {"path": str(work)}},
            extra_arguments=["--HistoryManager.enabled=False"],
        )
        seconds: list[float] = []
        with client.setup_kernel():
            for index, cell in enumerate(notebook.cells):
                began = time.monotonic()
                place = cells[index - 1] if index else Cell(1, 1, "python", PREPARE)
                try:
                    client.execute_cell(cell, index)
                except CellExecutionError:
                    raise DocumentError(name, *_failure(place, cell.outputs)) from None
                except CellTimeoutError:
                    problem = f"this cell took more than {CELL_SECONDS} s"
                    raise DocumentError(name, place.line, problem) from None
                except DeadKernelError:
                    raise DocumentError(name, place.line, "the kernel died in this cell") from None
                seconds.append(time.monotonic() - began)
                if index:
                    _check_raised(name, place, cell.outputs)
    return [cell.outputs for cell in notebook.cells[1:]], seconds[1:]


def _notebook(cells: list[Cell]) -> Any:
    """Make a notebook of the cells."""
    from nbformat.v4 import new_code_cell, new_notebook

    codes = [new_code_cell(PREPARE), *(new_code_cell(MAGIC[cell.language] + cell.source) for cell in cells)]
    for cell, code in zip(cells, codes[1:], strict=True):
        if "raises" in cell.directives:
            code.metadata["tags"] = ["raises-exception"]
    return new_notebook(cells=codes)


class _Environment:
    """The environment variables of the kernel, and of what it starts."""

    def __init__(self, outside: Path) -> None:
        library = os.environ.get("FUSIONPY_R_LIBRARY")
        self.wanted = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "FUSIONPY_REPOSITORY": str(REPOSITORY),
            **({"FUSIONPY_SHARED": str(SHARED)} if SHARED.is_dir() else {}),
            "RETICULATE_PYTHON": sys.executable,
            "JUPYTER_CONFIG_DIR": str(outside),
            "JUPYTER_DATA_DIR": str(outside),
            "JUPYTER_RUNTIME_DIR": str(outside),
            "IPYTHONDIR": str(outside),
            "COLUMNS": str(COLUMNS),
            "NO_COLOR": "1",
            "TERM": "dumb",
            "OMP_WAIT_POLICY": "passive",
            **({"R_LIBS": library} if library else {}),
        }
        self.given: dict[str, str | None] = {}

    def __enter__(self) -> None:
        self.given = {name: os.environ.get(name) for name in self.wanted}
        os.environ.update(self.wanted)

    def __exit__(self, *_: object) -> None:
        for name, value in self.given.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _failure(cell: Cell, outputs: list[Output]) -> tuple[int, str]:
    """Find the line of the document at which a cell failed, and what was said."""
    error = next(output for output in outputs if output["output_type"] == "error")
    traceback = ESCAPES.sub("", "\n".join(error["traceback"]))
    said = "".join(o["text"] for o in outputs if o["output_type"] == "stream")
    found = re.search(r"Cell In\[\d+\], line (\d+)", traceback) or re.search(
        r"^line (\d+) of the cell$", traceback, re.M
    )
    line = cell.line + (int(found[1]) if found else 1)
    return line, f"this cell of {cell.language} failed\n{ESCAPES.sub('', said)}{traceback}"


def _check_raised(name: str, cell: Cell, outputs: list[Output]) -> None:
    wanted = cell.directives.get("raises")
    if wanted is None:
        return
    raised = [output["ename"] for output in outputs if output["output_type"] == "error"]
    if raised != [wanted]:
        found = f"raised {raised[0]}" if raised else "raised nothing"
        raise DocumentError(name, cell.line, f"this cell should raise {wanted}, and {found}")


def _without_folder(output: Output, folder: str) -> Output:
    """Name files as the reader would see them, not in the temporary folder."""
    inside = re.compile(rf"(?:file://)?{re.escape(folder)}/work/?")

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            return inside.sub("", value)
        if isinstance(value, list):
            return [clean(each) for each in value]
        return {key: clean(each) for key, each in value.items()} if isinstance(value, dict) else value

    return {key: clean(value) for key, value in output.items()}


def _page(text: str, cells: list[Cell], outputs: list[list[Output]], pictures: Path) -> str:
    """Put the outputs after their cells."""
    lines = text.splitlines()
    parts: list[str] = []
    at = 0
    count = 0
    for cell, of_cell in zip(cells, outputs, strict=True):
        parts += lines[at : cell.line - 1]
        at = cell.end
        if "hidden" in cell.directives:
            continue
        parts += [f"```{cell.language}", cell.shown, "```", ""]
        for rendered, picture in render(of_cell, progress="progress" in cell.directives):
            if picture is not None:
                count += 1
                alt = cell.directives.get("alt") or _described(lines[: cell.line], cell)
                rendered = _save(picture, alt, pictures / f"figure-{count}")
            parts += [rendered, ""]
    return "\n".join([*parts, *lines[at:], ""])


def _described(above: list[str], cell: Cell) -> str:
    """Say what a picture is, where the document does not: the section, and the code that draws it."""
    headings = [line.lstrip("#").strip() for line in above if re.match(r"#{1,4} ", line)]
    code = " ".join(cell.shown.split())
    return f"{headings[-1] if headings else 'Figure'}: what {code[-120:]} draws"


def _save(output: Output, alt: str, file: Path) -> str:
    """Write a picture beside the page; give the Markdown that shows it."""
    data = output["data"]
    alt = re.sub(r"([\[\]])", r"\\\1", alt)
    file.parent.mkdir(parents=True, exist_ok=True)
    if "image/svg+xml" in data:
        file = file.with_suffix(".svg")
        file.write_text(data["image/svg+xml"], "utf-8")
        return f"![{alt}]({file.parent.name}/{file.name})"
    file = file.with_suffix(".png")
    content = base64.b64decode(data["image/png"])
    file.write_bytes(content)
    wide, high = struct.unpack(">II", content[16:24])
    size = output.get("metadata", {}).get("image/png", {})
    width, height = size.get("width", wide // DENSITY), size.get("height", high // DENSITY)
    return f'![{alt}]({file.parent.name}/{file.name}){{ width="{width}" height="{height}" loading="lazy" }}'


def render(outputs: list[Output], *, progress: bool = False) -> Iterator[tuple[str, Output | None]]:
    """Turn a cell's outputs into Markdown; pictures are given as they are, for the caller to save."""
    for output in _merged(outputs):
        kind = output["output_type"]
        if kind == "stream":
            is_error = output["name"] == "stderr"
            text = PROGRESS.sub("", output["text"]) if is_error and not progress else output["text"]
            if text.strip():
                yield _fenced(text, "stderr" if is_error else ""), None
        elif kind == "error":
            yield _fenced(f"{output['ename']}: {output['evalue']}", "error"), None
        elif kind in ("execute_result", "display_data"):
            data = output["data"]
            if "text/markdown" in data:
                yield _text(data["text/markdown"]), None
            elif "image/svg+xml" in data or "image/png" in data:
                yield "", output
            elif _is_table(_text(data.get("text/html", ""))):
                yield _table(_text(data["text/html"])), None
            elif "text/plain" in data:
                yield _fenced(_text(data["text/plain"]), ""), None


def _merged(outputs: list[Output]) -> Iterator[Output]:
    """Join what is written to one stream in pieces."""
    last: Output | None = None
    for output in outputs:
        streams = last is not None and last["output_type"] == output["output_type"] == "stream"
        if last is not None and streams and last["name"] == output["name"]:
            last = {**last, "text": last["text"] + output["text"]}
            continue
        if last is not None:
            yield last
        last = dict(output)
    if last is not None:
        yield last


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def _fenced(text: str, kind: str) -> str:
    """Text that was written, without colours and overwritten lines."""
    text = ESCAPES.sub("", text)
    lines = [line.rstrip("\r").rpartition("\r")[2].rstrip() for line in text.rstrip().split("\n")]
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`{3,}", text)), default=0))
    classes = " ".join(f".{name}" for name in ("text", "output", "no-copy", kind) if name)
    return "\n".join([f"{fence} {{ {classes} }}", *lines, fence])


def _is_table(html: str) -> bool:
    return "<table" in html and ("dataframe" in html or "gt_table" in html)


def _table(html: str) -> str:
    """Wrap a table, which then scrolls within the page where it is wider, by the keyboard too."""
    html = re.sub(r"(?s)<style.*?</style>", "", html).strip()
    html = re.sub(r"\n\s*\n", "\n", html)  # a blank line would end it
    html = html.replace(' border="1"', "")
    attributes = 'class="scroll" tabindex="0" role="region" aria-label="Table" data-search-exclude'
    return f"<div {attributes}>\n{html}\n</div>"


def main() -> int:
    """Run the document that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("document", type=Path)
    parser.add_argument("page", type=Path)
    parser.add_argument("--name", help="what to call it in errors")
    given = parser.parse_args()
    try:
        print(execute(given.document, given.page, given.name))
    except DocumentError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
