"""Run documents, two at a time, each in a process of its own, unless they ran before and have not changed."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from making.assembling import Page
from making.documents import find_cells

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["R_PACKAGES", "Runner", "alone", "r_is_there"]

HERE = Path(__file__).parent
R_PACKAGES = ("data.table", "evaluate", "ggplot2", "jsonlite", "reticulate", "cli", "tibble")
WITHOUT_R = """
!!! warning "Not run"

    This page runs code of R, which was not there when this copy of the site was built. Its code is shown as
    it was written, without what it gives.
"""


@functools.cache
def r_is_there() -> bool:
    """Tell whether R and the packages that documents need are on this machine."""
    if shutil.which("Rscript") is None:
        return False
    code = "for (name in commandArgs(TRUE)) loadNamespace(name)"
    command = ["Rscript", "--vanilla", "-e", code, *R_PACKAGES]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Runner:
    """Runs documents and keeps their pages.

    Parameters
    ----------
    root : Path
        The repository.
    kept : Path
        Folder of the pages of documents that were run, each with the key of what it was made from.
    jobs : int
        Documents at a time.
    afresh : bool
        Run all, although they were run before.
    """

    def __init__(self, root: Path, kept: Path, jobs: int, afresh: bool) -> None:
        self.root = root
        self.kept = kept
        self.jobs = jobs
        self.afresh = afresh
        self.lock = threading.Lock()

    def run(self, pages: list[Page]) -> list[str]:
        """Run what needs to be; give the failures."""
        stale = [page for page in pages if self.afresh or not self._is_fresh(page)]
        runnable = [page for page in stale if not page.has_r or r_is_there()]
        for page in stale:
            if page not in runnable:
                print(f"  {page.shown}: not run, as R or one of {', '.join(R_PACKAGES)} is absent")
        if len(pages) > len(stale):
            print(f"  {len(pages) - len(stale)} documents were run before and have not changed")
        if any(page.has_r for page in runnable):
            with alone(self.kept / "locks" / "r-library"):
                self._install_r_packages()
        # The longest first, so that none is waited for alone.
        runnable.sort(key=self._seconds, reverse=True)
        with ThreadPoolExecutor(self.jobs) as pool:
            return [failure for failure in pool.map(self._run_one, runnable) if failure]

    def page_of(self, page: Page) -> tuple[str, Path | None]:
        """Give the Markdown of a document's page and the folder of its pictures, if it has one."""
        folder = self._folder(page)
        made = folder / f"{page.stem}.md"
        if made.exists() and (self._is_fresh(page) or not page.has_r or r_is_there()):
            pictures = folder / page.stem
            return made.read_text("utf-8"), pictures if pictures.is_dir() else None
        text = page.source.read_text("utf-8")
        if page.has_r and not r_is_there():
            title, _, rest = text.lstrip().partition("\n")
            return f"{title}\n{WITHOUT_R}\n{rest}", None
        return text, None  # a draft: --only named others

    def _folder(self, page: Page) -> Path:
        return self.kept / page.name

    def _is_fresh(self, page: Page) -> bool:
        key = self._folder(page) / "key"
        return key.exists() and key.read_text("utf-8") == self._key(page)

    def _key(self, page: Page) -> str:
        """Digest all that a page is made from: its text, the package, what runs it, files that it names."""
        text = page.source.read_text("utf-8")
        named = {self.root / path for path in re.findall(r"[\w.-]+(?:/[\w.-]+)+", text)}
        digest = hashlib.sha256(text.encode())
        digest.update(self._package.encode())
        if page.has_r:
            digest.update(_digest((self.root / "r").glob("fusion*/**/*")).encode())
        digest.update(_digest(named).encode())
        for name in sorted(set(re.findall(r"FUSIONPY_[A-Z]+", text))):
            digest.update(f"{name}={os.environ.get(name)}\n".encode())
            if name == "FUSIONPY_SHARED":  # surveys, by what the system knows of them
                files = sorted((self.root.parent / "shared" / "data").glob("*.parquet"))
                stats = [(file.name, file.stat()) for file in files if file.name in text]
                digest.update(str([(file, stat.st_size, stat.st_mtime) for file, stat in stats]).encode())
        return digest.hexdigest()

    @functools.cached_property
    def _package(self) -> str:
        files = [*(self.root / "fusionpy").rglob("*.py"), *(self.root / "fusionpy").rglob("*.parquet")]
        files += [self.root / "fusionpy/reporting/templates", self.root / ".ci/constraints.txt"]
        files += [HERE / name for name in ("documents.py", "execute.py", "kernel.py", "session.R")]
        return sys.version + _digest(files)

    def _seconds(self, page: Page) -> float:
        """How long a document took when it was last run."""
        file = self._folder(page) / "seconds"
        return (
            float(file.read_text("utf-8"))
            if file.exists()
            else 1.0 + len(find_cells(page.source.read_text("utf-8")))
        )

    def _run_one(self, page: Page) -> str | None:
        with alone(self.kept / "locks" / page.name.replace("/", "-")):
            if not self.afresh and self._is_fresh(page):
                return None  # another build has just run it
            return self._run_now(page)

    def _run_now(self, page: Page) -> str | None:
        folder = self._folder(page)
        shutil.rmtree(folder, ignore_errors=True)
        key = self._key(page)  # of the text that is about to be read
        command = [
            sys.executable,
            str(HERE / "execute.py"),
            str(page.source),
            str(folder / f"{page.stem}.md"),
        ]
        began = time.monotonic()
        environment = {**os.environ, "FUSIONPY_R_LIBRARY": str(self.kept / "r-library")}
        done = subprocess.run(
            [*command, "--name", page.shown], capture_output=True, text=True, env=environment, check=False
        )
        with self.lock:
            if done.returncode:
                print(f"  {page.shown}: failed", flush=True)
                return done.stderr.strip()
            print(f"  {page.shown}: {done.stdout.strip()}", flush=True)
        (folder / "key").write_text(key, "utf-8")
        (folder / "seconds").write_text(f"{time.monotonic() - began:.1f}", "utf-8")
        return None

    def _install_r_packages(self) -> None:
        """Install the packages in r/ in a library of their own, unless they are there as they are now."""
        library = self.kept / "r-library"
        key = _digest((self.root / "r").glob("fusion*/**/*"))
        if (library / "key").exists() and (library / "key").read_text("utf-8") == key:
            return
        print("  installing the packages of r/", flush=True)
        shutil.rmtree(library, ignore_errors=True)
        library.mkdir(parents=True)
        for name in ("fusionpy", "fusionModel"):
            command = [
                "R",
                "CMD",
                "INSTALL",
                f"--library={library}",
                "--no-docs",
                str(self.root / "r" / name),
            ]
            environment = {**os.environ, "R_LIBS": str(library)}
            subprocess.run(command, capture_output=True, env=environment, check=True)
        (library / "key").write_text(key, "utf-8")


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Keep other builds from the same meanwhile, where the system can."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _digest(paths: Iterable[Path]) -> str:
    """Digest files, and those in folders, by name and content; paths that are not there are left out."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in files:
            if file.is_file():
                digest.update(f"{file}\0".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
