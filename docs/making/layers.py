"""The layers of the package, drawn from the contract that import-linter checks."""

from __future__ import annotations

import ast
import html
import re
import tomllib
from pathlib import Path

__all__ = ["draw_layers", "layers"]


def layers(root: Path) -> list[list[str]]:
    """Read the contract in pyproject.toml: the modules of each layer, the highest first."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (contract,) = [each for each in contracts if each["id"] == "layers"]
    return [re.findall(r"\w+", layer) for layer in contract["layers"]]


def draw_layers(root: Path) -> str:
    """Draw the layers as a list of rows, with what each module says of itself in its first line."""
    rows = []
    for modules in layers(root):
        boxes = "".join(
            f"<div><code>{module}</code> {_said(root / 'fusionpy' / module)}</div>" for module in modules
        )
        rows.append(f"<li>{boxes}</li>")
    return "\n".join(['<ol class="layers" aria-label="Layers, the highest first">', *rows, "</ol>"])


def _said(module: Path) -> str:
    """Give the first line of the docstring of a module or a folder of them."""
    file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
    text = (ast.get_docstring(ast.parse(file.read_text("utf-8"))) or "").partition("\n")[0]
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", html.escape(text, quote=False))
