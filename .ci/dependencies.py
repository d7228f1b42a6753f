"""What fusionpy needs: licences, and known vulnerabilities.

    python .ci/dependencies.py --write    # docs/dependencies.md, from what is installed beside this Python
    python .ci/dependencies.py --check    # is that what --write would write, and nothing under copyleft?
    python .ci/dependencies.py --audit    # look the installed versions up in the advisories (pip-audit)

The page has what Python 3.11 on Linux installs in the versions of `.ci/constraints.txt`. A library that is
not installed here, such as rpy2 where R is not, keeps its row.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "dependencies.md"
REQUIRED = ""  # stands among the extras for what is always installed
EXTRAS = ("polars", "dask", "glmnet", "r")  # of users; the others are tools of whoever works on fusionpy
TOOLS = ("test", "dev", "docs", "mutation", "release")
COPYLEFT = ("glmnet", "r")  # extras that may be under it, as the page says
PURPOSES = {
    "formulaic": "takes formulas of regressions apart",
    "jinja2": "the page of `report()`",
    "lightgbm": "gradient boosting: conditional means, percentiles and class probabilities",
    "llvmlite": "vector instructions of compiled kernels",
    "lz4": "fst files, unpacked and packed",
    "matplotlib": "figures",
    "narwhals": "tables of pandas, polars and pyarrow alike",
    "numba": "kernels, compiled when they are first used",
    "numpy": "arrays",
    "pandas": "tables",
    "plotnine": "figures",
    "pyarrow": "Parquet and CSV files, tables in memory",
    "rich": "what the terminal shows",
    "scipy": "nearest neighbours, special functions, optimisation",
    "typer": "the command line",
    "xxhash": "checksums of fst files",
    "zstandard": "fst files, unpacked and packed",
    "polars": "takes and returns polars frames",
    "dask": "`fusionpy.distributed`",
    "python-glmnet": '`prep_xy(solver="glmnet")`: LASSO paths by glmnet itself',
    "rdata": "R's data files for `fusionpy.r`",
    "rpy2": "R's data frames for `fusionpy.r`",
    "rpy2-rinterface": "a bound on the version of this part of rpy2, for R 4.2",
}
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "HPND", "ISC", "MIT", "MIT-0"),
    *("MIT-CMU", "PSF-2.0", "Unlicense", "Zlib"),
}
# What libraries that do not use SPDX's names say. A classifier does not tell the BSD licences apart.
NAMES = {
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD",
    "BSD License": "BSD",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
UNKNOWN = "unknown"
INTRODUCTION = """\
# Dependencies and their licences

fusionpy is under the MIT licence. What `pip install fusionpy` brings is under permissive licences throughout,
so that any institution and any product can use it; the release script refuses anything else. Licences are
those that each library's metadata names, versions those that Python 3.11 on Linux gets with
`.ci/constraints.txt`. `.ci/dependencies.py` writes this page.
"""
EXTRAS_TEXT = """\
## Extras

Installed only by those who ask for them, as in `pip install "fusionpy[dask]"`, and imported only when used.

The extras `glmnet` and `r` are under the **GNU General Public License**: glmnet and R are, and so are the
libraries by which Python reaches them. fusionpy contains no part of either and works without them. Whoever
passes on fusionpy together with one of them must keep to that licence.
"""


@dataclass(frozen=True)
class Library:
    """A library that is needed: for which extra, or `REQUIRED`, and by whom there."""

    name: str
    extra: str
    version: str
    licence: str
    needed_by: tuple[str, ...]  # "fusionpy" is among them if pyproject.toml names it

    @property
    def is_direct(self) -> bool:
        """Tell whether fusionpy itself names it."""
        return "fusionpy" in self.needed_by


def direct(project: Mapping[str, object]) -> dict[str, list[Requirement]]:
    """Return what `pyproject.toml` names, by extra of users; `REQUIRED` is one of them."""
    extras: Mapping[str, list[str]] = project["optional-dependencies"]  # type: ignore[assignment]
    strange = set(extras) - {*EXTRAS, *TOOLS}
    if strange:
        raise SystemExit(f".ci/dependencies.py does not know whom these extras are for: {sorted(strange)}.")
    needed: dict[str, list[str]] = {REQUIRED: project["dependencies"]}  # type: ignore[dict-item]
    needed |= {extra: extras[extra] for extra in EXTRAS}
    return {extra: [Requirement(line) for line in lines] for extra, lines in needed.items()}


def licence_of(about: metadata.PackageMetadata) -> str:
    """Return the licence that a library's metadata names: an SPDX expression, "BSD", or `UNKNOWN`."""
    for field in ("License-Expression", "License"):
        try:
            return str(canonicalize_license_expression(about.get(field) or ""))
        except InvalidLicenseExpression:
            continue
    classifiers = [line.rsplit(" :: ", 1)[-1] for line in about.get_all("Classifier") or []]
    found = sorted({NAMES[line] for line in [*classifiers, about.get("License")] if line in NAMES})
    return " AND ".join(found) if found else UNKNOWN


def is_permissive(licence: str) -> bool:
    """Tell whether nothing in an SPDX expression is copyleft. What cannot be judged is taken for copyleft."""
    alternatives = [part.split(" OR ") for part in licence.split(" AND ")]
    return all(any(term.split(" WITH ")[0] in PERMISSIVE for term in terms) for terms in alternatives)


def needed_by(name: str, extras: Iterable[str]) -> list[Requirement]:
    """Return what a library that is installed needs, with these extras of its own, on this machine."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    found = [Requirement(line) for line in lines]
    choices = [{"extra": extra} for extra in (REQUIRED, *extras)]
    return [each for each in found if not each.marker or any(map(each.marker.evaluate, choices))]


def gather(named: Mapping[str, list[Requirement]]) -> list[Library]:
    """Return all libraries, each where it is first needed: among the required ones, or in an extra."""
    places: dict[str, str] = {}
    parents: dict[str, list[str]] = {}
    for extra, requirements in named.items():
        queue = [(each, "fusionpy") for each in requirements]
        while queue:
            requirement, parent = queue.pop(0)
            name = canonicalize_name(requirement.name)
            is_new = name not in places
            if places.setdefault(name, extra) == extra and parent not in parents.setdefault(name, []):
                parents[name].append(parent)
            if is_new or requirement.extras:
                queue += [(each, name) for each in needed_by(name, requirement.extras)]
    libraries = []
    for name, extra in places.items():
        try:
            about = metadata.metadata(name)
            version, licence = about["Version"], licence_of(about)
        except metadata.PackageNotFoundError:
            version = licence = ""
        libraries.append(Library(name, extra, version, licence, tuple(parents[name])))
    return libraries


def row(library: Library) -> str:
    """Return a library's row of the page."""
    others = sorted(set(library.needed_by) - {"fusionpy"})
    purpose = PURPOSES[library.name] if library.is_direct else f"needed by {', '.join(others)}"
    place = [f"`{library.extra}`"] if library.extra else []
    cells = [*place, library.name, library.version, library.licence, purpose]
    return f"| {' | '.join(cells)} |"


def table(libraries: Iterable[Library], old: str, in_extras: bool) -> str:
    """Return a table of the page; rows of what is not installed are those of the old page."""
    head = ["extra", "library", "version", "licence", "what for"][0 if in_extras else 1 :]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for library in sorted(
        libraries, key=lambda each: (EXTRAS.index(each.extra) if in_extras else 0, each.name)
    ):
        if library.version:
            lines.append(row(library))
            continue
        place = rf"`{library.extra}` \| " if in_extras else ""
        kept = re.search(rf"(?m)^\| {place}{re.escape(library.name)} \|.*$", old)
        if kept is None:
            raise SystemExit(f"{library.name} is not installed here, and {PAGE.name} has no row of it.")
        lines.append(kept[0])
    return "\n".join(lines) + "\n"


def page(libraries: list[Library], old: str) -> str:
    """Return the whole page."""
    required = [each for each in libraries if each.extra == REQUIRED]
    extras = [each for each in libraries if each.extra != REQUIRED]
    # What an extra needs that is not installed is unknown here: the old page's rows of that extra stay.
    absent = {each.extra for each in extras if not each.version}
    known = {each.name for each in libraries}
    for extra, name in re.findall(r"(?m)^\| `(\w+)` \| ([^ ]+) \|", old):
        if extra in absent and name not in known:
            extras.append(Library(name, extra, "", "", ()))
    return "\n".join(
        [
            INTRODUCTION,
            "## What fusionpy needs\n",
            table([each for each in required if each.is_direct], old, False),
            "## What these need in turn\n",
            table([each for each in required if not each.is_direct], old, False),
            EXTRAS_TEXT,
            table(extras, old, True),
        ]
    )


def copyleft(libraries: Iterable[Library]) -> list[str]:
    """Return what is under copyleft, or an unknown licence, and must not be."""
    judged = [each for each in libraries if each.version and each.extra not in COPYLEFT]
    return [f"{each.name} ({each.licence})" for each in judged if not is_permissive(each.licence)]


def audit(libraries: Iterable[Library]) -> tuple[list[str], list[str]]:
    """Return known vulnerabilities of the installed versions, and what could not be looked up, and why."""
    if find_spec("pip_audit") is None:
        return [], [f"all of them: pip-audit is missing. Run: {sys.executable} -m pip install pip-audit"]
    pins = "".join(f"{each.name}=={each.version}\n" for each in libraries if each.version)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pins.txt")
        path.write_text(pins)
        options = ["--no-deps", "--disable-pip", "--format=json", "--progress-spinner=off", "--timeout=20"]
        done = subprocess.run(
            [sys.executable, "-m", "pip_audit", "--requirement", path, *options],
            capture_output=True,
            text=True,
            check=False,
        )
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        lines = done.stderr.strip().splitlines() or ["pip-audit said nothing."]
        return [], [f"all of them: {lines[-1][:200]}"]
    # Of a mirror without advisories pip-audit says no more than that it has no such library.
    unknown = [f"{each['name']}: {each['skip_reason']}" for each in found if "skip_reason" in each]
    flaws = [
        f"{each['name']} {each['version']}: {flaw['id']}, mended in {flaw['fix_versions'] or 'none yet'}"
        for each in found
        for flaw in each.get("vulns", [])
    ]
    return flaws, unknown


def main() -> int:
    """Do what is asked for; 1 where something is wrong, 3 where advisories are not had."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    group = parser.add_mutually_exclusive_group(required=True)
    for name in ("write", "check", "audit"):
        group.add_argument(f"--{name}", action="store_true")
    asked = parser.parse_args()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    libraries = gather(direct(project))
    if asked.audit:
        flaws, unknown = audit(libraries)
        if unknown:
            print(f"Not looked up in the advisories ({len(unknown)}): {unknown[0]}")
        if flaws or not unknown:
            print("\n".join(flaws) or f"No vulnerability is known in {len(libraries)} libraries.")
        return 1 if flaws else 3 if unknown else 0
    old = PAGE.read_text("utf-8") if PAGE.exists() else ""
    new = page(libraries, old)
    if asked.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(new, "utf-8")
    elif new != old:
        lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm=""))
        print("\n".join(["docs/dependencies.md is not what is installed here (- page, + here):", *lines[2:]]))
        print("Install the versions of .ci/constraints.txt, or run: python .ci/dependencies.py --write")
        return 1
    refused = copyleft(libraries)
    if refused:
        print(f"Not under a permissive licence that .ci/dependencies.py knows: {', '.join(refused)}.")
        return 1
    print(f"{len(libraries)} libraries, licences as they must be.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
