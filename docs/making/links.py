"""Check the links of a built site: those within it lead somewhere, and others are well formed."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

__all__ = ["Document", "check", "read_page"]

ATTRIBUTES = {"href", "src", "poster", "data"}
SCHEMES = ("http", "https")
SECONDS = 20
AGENT = "Mozilla/5.0 (compatible; fusionpy-docs link check)"


class Document(HTMLParser):
    """What a page of HTML links to, and what of it can be linked to."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note links and anchors."""
        for name, value in attrs:
            if value is None:
                continue
            if name == "id" or (tag == "a" and name == "name"):
                self.anchors.add(value)
            elif name in ATTRIBUTES and not (tag == "object" and name == "href"):
                self.targets.append(value)
            elif name == "srcset":
                self.targets += [part.split()[0] for part in value.split(",") if part.strip()]


def read_page(file: Path) -> Document:
    """Parse a page."""
    document = Document()
    document.feed(file.read_text("utf-8"))
    return document


def check(site: Path, *, online: bool = False) -> list[str]:
    """Check all links of a site.

    Parameters
    ----------
    site : Path
        Folder of the built pages.
    online : bool
        Request every address elsewhere.

    Returns
    -------
    list of str
        What is broken: page, link and reason.
    """
    site = site.resolve()
    pages = {file: read_page(file) for file in sorted(site.rglob("*.html"))}
    broken: list[str] = []
    outside: dict[str, str] = {}
    for file, page in pages.items():
        shown = file.relative_to(site).as_posix()
        for target in dict.fromkeys(page.targets):
            scheme = urllib.parse.urlsplit(target).scheme if ":" in target else ""
            if scheme or target.startswith("//"):
                if problem := _malformed(target, scheme):
                    broken.append(f"{shown}: {target}: {problem}")
                elif scheme in SCHEMES:
                    outside.setdefault(target, shown)
            elif problem := _lost(target, file, site, pages):
                broken.append(f"{shown}: {target}: {problem}")
    if online:
        broken += _requested(outside)
    return broken


def _malformed(target: str, scheme: str) -> str | None:
    if scheme in ("mailto", "data", "javascript"):
        return "a link of javascript" if scheme == "javascript" else None
    if scheme not in SCHEMES:
        return "neither http, https nor mailto"
    host = urllib.parse.urlsplit(target).hostname or ""
    if re.search(r"\s", target) or not re.fullmatch(r"[\w-]+(\.[\w-]+)+|localhost|127\.0\.0\.1", host):
        return "not a well-formed address"
    return None


def _lost(target: str, file: Path, site: Path, pages: dict[Path, Document]) -> str | None:
    """Tell why a link within the site leads nowhere; nothing if it leads somewhere."""
    path, _, anchor = target.partition("#")
    path = urllib.parse.unquote(path.partition("?")[0])
    start = site if path.startswith("/") else file.parent
    found = Path(os.path.normpath(start / path.lstrip("/"))) if path else file
    if not found.is_relative_to(site):
        return "outside the site"
    if found.is_dir():
        found = found / "index.html"
    if not found.is_file():
        return "there is no such file"
    anchor = urllib.parse.unquote(anchor)
    if anchor and found in pages and anchor not in pages[found].anchors:
        return f"there is no such place in {found.relative_to(site).as_posix()}"
    return None


def _requested(addresses: dict[str, str]) -> Iterator[str]:
    """Request each address once; tell which do not answer."""
    with ThreadPoolExecutor(8) as pool:
        for (target, page), problem in zip(addresses.items(), pool.map(_request, addresses), strict=True):
            if problem:
                yield f"{page}: {target}: {problem}"


def _request(target: str) -> str | None:
    request = urllib.request.Request(target, headers={"User-Agent": AGENT})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):
            return None
    except urllib.error.HTTPError as error:
        # Refused to programs, as publishers do, is not gone.
        return None if error.code in (401, 403, 405, 418, 429) else f"answers {error.code}"
    except (OSError, ValueError) as error:
        return f"does not answer ({error})"
