"""Build the documentation: run documents, assemble pages in build/docs, make a site of them.

    python docs/build.py                     # all of it (`make docs`)
    python docs/build.py --only 3-analysis   # run one document, show the others as they were last run
    python docs/build.py --only 3-analysis --no-site

A document whose text, and the package's, have not changed since it was run is not run again (build/executed).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from making.assembling import Page, assemble, find_pages
from making.documents import DocumentError, problems
from making.running import R_PACKAGES, Runner, alone, r_is_there

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"


def main(arguments: list[str] | None = None) -> int:
    """Build what the command line asks for; give 0 if all is well."""
    given = _parse(arguments)
    began = time.monotonic()
    pages = find_pages(ROOT)
    runner = Runner(ROOT, BUILD / "executed", given.jobs, given.no_cache)
    try:
        failures = _execute(pages, runner, given)
        if not failures and not given.no_site:
            with alone(BUILD / "executed" / "locks" / "site"):
                failures = _make_site(pages, runner, given)
    except DocumentError as error:
        failures = [str(error)]
    if failures:
        print("", *failures, "", sep="\n", file=sys.stderr)
        count = f"{len(failures)} problem{'s' if len(failures) > 1 else ''}"
        print(f"The documentation is not built: {count}.", file=sys.stderr)
        return 1
    where = f"pages are in {BUILD / 'executed'}" if given.no_site else f"the site is in {given.site}"
    print(f"Done in {time.monotonic() - began:.0f} s: {where}")
    if not given.no_site:
        print(f"  {Path(sys.executable).name} -m http.server --directory {given.site}  # shows it")
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    about = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="docs/build.py", description=__doc__, formatter_class=about)
    add = parser.add_argument
    add("--only", nargs="+", metavar="NAME", help="run only these documents (3-analysis, how-to/report)")
    add("--no-site", action="store_true", help="run the documents, and stop there")
    add("--no-cache", action="store_true", help="run documents although they were run before")
    add("--require-r", action="store_true", help="fail where R is absent; so it is where CI is 'true'")
    add("--site", type=Path, default=ROOT / "site", help="folder of the site, which is emptied first (site)")
    add("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="documents run at a time (2)")
    given = parser.parse_args(arguments)
    given.require_r = given.require_r or os.environ.get("CI") == "true"
    return given


def _choose(pages: list[Page], only: list[str] | None) -> list[Page]:
    """Find the documents to run: those that are named, or all."""
    documents = [page for page in pages if page.executed]
    if only is None:
        return documents
    chosen = []
    for name in only:
        wanted = name.removesuffix(".md").removeprefix("docs/")
        found = [page for page in documents if wanted in (page.name, page.name.rpartition("/")[2])]
        if not found:
            known = ", ".join(page.name for page in documents)
            raise DocumentError(name, 1, f"there is no such document with code to run; there are: {known}")
        chosen += found
    return chosen


def _execute(pages: list[Page], runner: Runner, given: argparse.Namespace) -> list[str]:
    """Check the form of documents, then run them; give what is wrong."""
    chosen = _choose(pages, given.only)
    failures = [
        f"{page.shown}, line {line}: {problem}"
        for page in (chosen if given.only else pages)
        for line, problem in problems(page.source.read_text("utf-8"), executed=page.is_document)
    ]
    if given.require_r and not r_is_there():
        failures.append(f"R is needed here (--require-r, CI=true) with its packages {', '.join(R_PACKAGES)}.")
    return failures or runner.run(chosen)


def _make_site(pages: list[Page], runner: Runner, given: argparse.Namespace) -> list[str]:
    """Assemble the pages and call mkdocs, which checks links and anchors; give what is wrong.

    Drafts may have faults.
    """
    is_draft = given.only is not None
    folder = BUILD / "docs"
    assemble(ROOT, pages, folder, runner.page_of)
    command = [sys.executable, "-m", "mkdocs", "build", "--clean"]
    command += ["--config-file", str(ROOT / "mkdocs.yml"), "--site-dir", str(given.site)]
    command += [] if is_draft else ["--strict"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    made = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode == 0
    return [] if made else ["mkdocs did not make the site."]


if __name__ == "__main__":
    sys.exit(main())
