"""Documents: Markdown files whose fenced code of Python, shell and R is run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Cell", "DocumentError", "find_cells", "pieces", "problems"]

LANGUAGES = ("python", "bash", "r")  # that are run
DIRECTIVE = re.compile(r"# (hidden|progress|alt:|raises:)[ ]*(.*)")
ADDRESS = re.compile(r"\]\(<?([a-z]+:[^)\s>]*)")
SOUND = re.compile(r"https?://([\w-]+\.)+[\w-]+(?::\d+)?(?:[/?#].*)?|mailto:.+")
OPENING = re.compile(r"(?P<indent>[ \t>]*)(?P<fence>`{3,}|~{3,})(?P<info>.*)")


class DocumentError(Exception):
    """A document cannot be made into a page: where, and why."""

    def __init__(self, document: str, line: int, message: str) -> None:
        self.document = document
        self.line = line
        self.message = message
        super().__init__(f"{document}, line {line}: {message}")


@dataclass(frozen=True)
class Cell:
    """One piece of fenced code.

    Attributes
    ----------
    line : int
        Of the opening fence, from 1.
    end : int
        Of the closing fence.
    language : str
        One of `LANGUAGES`.
    source : str
        What is run; directives are comments in it.
    """

    line: int
    end: int
    language: str
    source: str

    @property
    def directives(self) -> dict[str, str]:
        """What comments in it ask for.

        ``hidden``: run, and not shown. ``progress``: what verbs say of their progress is shown. ``alt``: the
        text of the pictures. ``raises``: the exception that it must raise.
        """
        found = (DIRECTIVE.fullmatch(line) for line in self.source.splitlines())
        return {match[1].rstrip(":"): match[2].strip() for match in found if match}

    @property
    def shown(self) -> str:
        """The source without its directives."""
        return "\n".join(line for line in self.source.splitlines() if not DIRECTIVE.fullmatch(line))


@dataclass(frozen=True)
class _Fence:
    line: int
    end: int  # 0: never closed
    indent: str
    info: str
    source: str


def find_cells(text: str) -> list[Cell]:
    r"""Find the code that is run, in order.

    Examples
    --------
    >>> find_cells("# Title\n\n```python\n1 + 1\n```\n")
    [Cell(line=3, end=5, language='python', source='1 + 1')]
    """
    return [
        Cell(fence.line, fence.end, fence.info, fence.source)
        for fence in _fences(text)
        if fence.info in LANGUAGES
    ]


def problems(text: str, *, executed: bool = True) -> Iterator[tuple[int, str]]:
    """Tell what is wrong with a document's form: pairs of line and problem.

    Parameters
    ----------
    text : str
    executed : bool
        Whether its code is run. In a page that is not, all fences are text.
    """
    lines = text.splitlines()
    start = next((number for number, line in enumerate(lines, 1) if line.strip()), 1)
    if not lines or not lines[start - 1].startswith("# "):
        yield start, "a document starts with its title, '# ...'"
    for fence in _fences(text):
        runs = fence.info in LANGUAGES
        if not fence.end:
            yield fence.line, "this fence is never closed"
        if executed and not runs and fence.info != "text":
            name = f"'{fence.info}'" if fence.info else "no language"
            yield fence.line, f"a fence is of python, bash, r (which are run) or text, not of {name}"
        elif not executed and fence.info not in ("", "text"):
            yield fence.line, f"a fence of '{fence.info}' in a page whose code is not run: make it text"
        if runs and fence.indent:
            yield fence.line, "code that is run starts at the margin, not in a list or a quotation"
    yield from _link_problems(text)


def _link_problems(text: str) -> Iterator[tuple[int, str]]:
    """Tell of links that mkdocs does not check: in HTML, and to other sites."""
    line = 1
    for is_prose, piece in pieces(text):
        for number, prose in enumerate(piece.splitlines() if is_prose else (), line):
            if re.search(r"<(a|img)\s", prose):
                yield number, "links and pictures are written in Markdown, which is checked, not in HTML"
            for address in ADDRESS.findall(prose):
                if not SOUND.fullmatch(address):
                    yield number, f"'{address}' is no address"
        line += piece.count("\n")


def pieces(text: str) -> Iterator[tuple[bool, str]]:
    r"""Cut a document into prose and fences: pairs of whether it is prose, and the piece.

    Examples
    --------
    >>> list(pieces("One.\n```text\ntwo\n```\n"))
    [(True, 'One.\n'), (False, '```text\ntwo\n```\n')]
    """
    lines = text.splitlines(keepends=True)
    at = 0
    for fence in _fences(text):
        last = fence.end or len(lines)
        yield True, "".join(lines[at : fence.line - 1])
        yield False, "".join(lines[fence.line - 1 : last])
        at = last
    if at < len(lines):
        yield True, "".join(lines[at:])


def _fences(text: str) -> Iterator[_Fence]:
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        opening = OPENING.fullmatch(lines[number])
        number += 1
        if not opening or (opening["fence"][0] == "`" and "`" in opening["info"]):
            continue
        start, fence = number, opening["fence"]
        closing = re.compile(rf"[ \t>]*{fence[0]}{{{len(fence)},}}[ \t]*")
        while number < len(lines) and not closing.fullmatch(lines[number]):
            number += 1
        end = number + 1 if number < len(lines) else 0
        yield _Fence(start, end, opening["indent"], opening["info"].strip(), "\n".join(lines[start:number]))
        number += 1
