"""For mkdocstrings: docstrings' formulas and tables, written as Sphinx reads them, in Markdown."""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["Markdown", "to_markdown"]

INLINE = re.compile(r":math:`([^`]+)`")
BLOCK = re.compile(
    r"(?m)^(?P<indent> *)\.\. math::[ ]*(?P<first>.*)\n(?P<rest>(?:\n|(?P=indent) +.*(?:\n|\Z))*)"
)
PARAMETERS = re.compile(r"(?ms)^Parameters\n-+\n.*?(?=^\w[\w ]*\n-{3,}\n|\Z)")
TOGETHER = re.compile(r"(?m)^(?P<names>\*{0,2}\w+(?:, \*{0,2}\w+)+)(?P<rest>.*\n(?:(?: .*)?\n)*(?: .*\Z)?)")
RULE = re.compile(r" *=+(?: +=+)+ *")


class Markdown(griffe.Extension):
    """Rewrite every docstring before it is parsed."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(text: str) -> str:
    r"""Rewrite formulas and simple tables, and tell parameters that share a description one by one.

    Examples
    --------
    >>> to_markdown(r"With :math:`\\nu > 2`.")
    'With $\\nu > 2$.'
    """
    text = PARAMETERS.sub(lambda section: TOGETHER.sub(_each, section[0]), text)
    return _tables(INLINE.sub(r"$\1$", BLOCK.sub(_block, text)))


def _each(match: re.Match[str]) -> str:
    """Repeat a description for each name: mkdocstrings gives all of them the type of the first."""
    rest = match["rest"] if match["rest"].endswith("\n") else f"{match['rest']}\n"
    return "".join(f"{name}{rest}" for name in match["names"].split(", "))


def _block(match: re.Match[str]) -> str:
    indent = match["indent"]
    lines = [match["first"].strip(), *(line.strip() for line in match["rest"].splitlines())]
    formula = "\n".join(f"{indent}{line}" for line in lines if line)
    if "&" in formula and r"\begin" not in formula:  # as Sphinx does
        formula = f"{indent}\\begin{{aligned}}\n{formula}\n{indent}\\end{{aligned}}"
    return f"{indent}$$\n{formula}\n{indent}$$\n\n"


def _tables(text: str) -> str:
    """Turn tables between rules of '=' into Markdown's."""
    lines = text.split("\n")
    rules = [number for number, line in enumerate(lines) if RULE.fullmatch(line)]
    for top, middle, bottom in reversed(list(zip(rules[::3], rules[1::3], rules[2::3], strict=False))):
        spans = [match.span() for match in re.finditer(r"=+", lines[top])]
        spans[-1] = (spans[-1][0], max(map(len, lines[top : bottom + 1])))
        indent = lines[top][: spans[0][0]]
        head, *body = (
            [line[slice(*span)].strip() for span in spans] for line in _between(lines, top, middle, bottom)
        )
        rows: list[list[str]] = []
        for cells in body:
            if cells[0] or not rows:
                rows.append(cells)
            else:  # the row before goes on
                rows[-1] = [f"{old} {new}".strip() for old, new in zip(rows[-1], cells, strict=True)]
        rows = [[_escaped(cell) for cell in cells] for cells in rows]
        table = [head, ["---"] * len(spans), *rows]
        lines[top : bottom + 1] = [f"{indent}| {' | '.join(cells)} |" for cells in table]
    return "\n".join(lines)


def _escaped(cell: str) -> str:
    """Keep Markdown from reading signs of a cell as its own; what is in backticks stays."""
    parts = re.split(r"(`+[^`]*`+)", cell)
    return "".join(part if part.startswith("`") else re.sub(r"([\[\]<|*])", r"\\\1", part) for part in parts)


def _between(lines: list[str], top: int, middle: int, bottom: int) -> list[str]:
    return [*lines[top + 1 : middle], *lines[middle + 1 : bottom]]
