"""Assemble the pages in one folder, as mkdocs wants them, and mend links between files that move."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from making.commands import describe_commands
from making.documents import find_cells, pieces
from making.layers import draw_layers

__all__ = ["STUDIES", "Page", "assemble", "find_pages"]

# The page in studies/ of each folder in validation/.
STUDIES = {
    "index": "README.md",
    "recs2015": "recs2015/README.md",
    "holdout": "holdout/README.md",
    "coverage": "coverage/README.md",
    "speed": "speed/README.md",
    "benchmarks": "benchmarks/README.md",
}
PICTURES = (".png", ".svg", ".jpg", ".css", ".js", ".ico")
# [text](target) and ![alt](target "title"); not what stands in backticks.
LINK = re.compile(
    r"(?P<code>`+[^`]*`+)|(?P<start>!?\[(?:[^\[\]]|\[[^\]]*\])*\]\()(?P<target>[^()\s]+)(?P<end>[^()]*\))"
)
COMMANDS = "<!-- commands -->"  # where api/cli.md has the commands' help
LAYERS = "<!-- layers -->"  # where architecture.md has the layers


@dataclass(frozen=True)
class Page:
    """A page of the site.

    Attributes
    ----------
    path : str
        Of its Markdown in the assembled folder, such as ``vignettes/3-analysis.md``.
    source : Path
        The file it is made from.
    shown : str
        That file's path in the repository.
    is_document : bool
        Whether code in it is run; in studies and the changelog it is not.
    """

    path: str
    source: Path
    shown: str
    is_document: bool = True

    @property
    def name(self) -> str:
        """The path without its ending."""
        return self.path.removesuffix(".md")

    @property
    def stem(self) -> str:
        """The last part of the name."""
        return self.name.rpartition("/")[2]

    @cached_property
    def languages(self) -> set[str]:
        """Of the code that is run."""
        if not self.is_document:
            return set()
        return {cell.language for cell in find_cells(self.source.read_text("utf-8"))}

    @property
    def executed(self) -> bool:
        """Whether there is code to run."""
        return bool(self.languages)

    @property
    def has_r(self) -> bool:
        """Whether some of it is R's."""
        return "r" in self.languages


def find_pages(root: Path) -> list[Page]:
    """Find all pages of the site in a repository."""
    docs, vignettes = root / "docs", root / "vignettes"
    found = {file.relative_to(docs).as_posix(): file for file in docs.rglob("*.md")}
    found |= {f"vignettes/{file.name}": file for file in vignettes.glob("*.md")}
    pages = [Page(path, file, file.relative_to(root).as_posix()) for path, file in found.items()]
    moved = {f"studies/{name}.md": f"validation/{file}" for name, file in STUDIES.items()}
    moved["changelog.md"] = "CHANGELOG.md"
    pages += [
        Page(path, root / file, file, is_document=False)
        for path, file in moved.items()
        if (root / file).exists()
    ]
    return sorted(pages, key=lambda page: page.path)


def assemble(
    root: Path, pages: list[Page], folder: Path, page_of: Callable[[Page], tuple[str, Path | None]]
) -> None:
    """Write all pages, pictures and files that pages link to.

    Parameters
    ----------
    root : Path
        The repository.
    pages : list of Page
    folder : Path
        Emptied first.
    page_of : callable
        Gives the Markdown of a page whose code was run, and the folder of its pictures.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for source, below in ((root / "docs", ""), (root / "vignettes", "vignettes")):
        for file in source.rglob("*"):
            if file.suffix in PICTURES:
                _copy(file, folder / below / file.relative_to(source))
    at = {page.source.resolve(): page.path for page in pages}
    for page in pages:
        text, pictures = page_of(page) if page.executed else (page.source.read_text("utf-8"), None)
        if COMMANDS in text:
            text = text.replace(COMMANDS, describe_commands())
        if LAYERS in text:
            text = text.replace(LAYERS, draw_layers(root))
        target = folder / page.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if pictures is not None:
            shutil.copytree(pictures, target.with_suffix(""))
        target.write_text(_mend_links(text, page, at, root, folder), "utf-8")


def _mend_links(text: str, page: Page, at: dict[Path, str], root: Path, folder: Path) -> str:
    """Let links lead where they do in the repository: to a page, or to a copy of the file beside the page."""
    here = Path(page.path).parent
    paths = set(at.values())

    def mend(match: re.Match[str]) -> str:
        target = match["target"]
        if match["code"] or re.match(r"[a-z]+:|#|/", target):
            return match[0]
        file, mark, anchor = target.partition("#")
        assembled = os.path.normpath(here / file)
        if assembled in paths or (folder / assembled).exists():
            return match[0]
        meant = (page.source.parent / file).resolve()
        if meant.is_dir() and (meant / "README.md") in at:
            meant = meant / "README.md"
        if meant in at:
            file = os.path.relpath(at[meant], here)
        elif meant.is_file() and meant.suffix != ".md" and meant.is_relative_to(root):
            copied = folder / page.name / meant.name
            _copy(meant, copied)
            file = f"{page.stem}/{meant.name}"
        return f"{match['start']}{file}{mark}{anchor}{match['end']}"

    return "".join(LINK.sub(mend, piece) if is_prose else piece for is_prose, piece in pieces(text))


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, target)
