"""Build a release and try it where nothing else of this repository is: `make release`.

    python .ci/release.py [--rehearse] [--strict] [--out dist]

Refuses a tree with changes, versions that disagree, a CHANGELOG without the version's section, copyleft among
the required libraries and known vulnerabilities. Builds sdist, wheel and the R source packages from a copy of
the commit's files, each twice, and compares the bytes; looks into them; installs wheel, sdist and R packages
apart and runs them; leaves them in `dist/` with SHA256SUMS.

--rehearse, as CI does, accepts changes and an *Unreleased* section, and looks no vulnerabilities up. --strict
refuses when the advisories cannot be had. Without R the R packages are left out, unless CI=true.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import yaml
from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MOST_BYTES = 3_000_000  # of the wheel
FUSIONMODEL = (2, 4, 0)  # the version of R's fusionModel whose place the façade takes
COMPILED = {
    *(".a", ".bundle", ".class", ".dll", ".dylib", ".exe", ".lib", ".nbc", ".nbi", ".o", ".obj", ".pyc"),
    *(".pyd", ".pyo", ".so", ".wasm"),
}
# ELF, Windows, Mach-O of all kinds, static libraries, WebAssembly.
MAGIC = (
    *(b"\x7fELF", b"MZ", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe"),
    *(b"\xca\xfe\xba\xbe", b"!<arch>\n", b"\x00asm"),
)
NOT_LOOKED_UP = 3  # exit code of dependencies.py --audit
R_PACKAGES = ("fusionpy", "fusionModel")
R_NEEDS = ("cli", "data.table", "ggplot2", "jsonlite", "knitr", "reticulate", "rmarkdown", "tibble")


class Refusal(Exception):  # noqa: N818  (what it says is no fault of this program)
    """Why there is no release."""


def run(*command: str | Path, where: Path | None = None, **variables: str) -> str:
    """Run a command, where nothing points to this checkout, and return what it printed."""
    drop = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in drop} | variables
    done = subprocess.run(
        command,
        cwd=where,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        shown = " ".join(map(str, command))
        raise Refusal(f"{shown}\nended with {done.returncode}:\n{done.stdout[-6000:]}")
    return done.stdout


def say(text: str) -> None:
    """Tell what was found."""
    print(f"  {text}", flush=True)


# What the repository says of itself.


def description(root: Path, package: str) -> dict[str, str]:
    """Return the fields of an R package's DESCRIPTION."""
    text = (root / "r" / package / "DESCRIPTION").read_text("utf-8")
    return dict(line.split(": ", 1) for line in re.sub(r"\n\s+", " ", text).splitlines() if ": " in line)


def agreed_version(root: Path) -> str:
    """Return the version that all files have."""
    version = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise Refusal(f"pyproject.toml has version {version}, which is not of the form 1.2.3.")
    news = re.search(r"(?m)^# fusionpy (\S+)", (root / "r/fusionpy/NEWS.md").read_text("utf-8"))
    others = {
        "CITATION.cff": yaml.safe_load((root / "CITATION.cff").read_text("utf-8")).get("version"),
        "r/fusionpy/DESCRIPTION": description(root, "fusionpy").get("Version"),
        "r/fusionpy/NEWS.md": news and news[1],
    }
    wrong = [f"{name} has {found}" for name, found in others.items() if found != version]
    if wrong:
        raise Refusal(f"pyproject.toml has version {version}, but {', '.join(wrong)}.")
    facade = description(root, "fusionModel")
    if tuple(map(int, facade["Version"].split("."))) <= FUSIONMODEL:
        raise Refusal(f"r/fusionModel has version {facade['Version']}, not above the original's.")
    (needed,) = [Requirement(line) for line in facade["Imports"].split(",") if "fusionpy" in line]
    if not needed.specifier or not needed.specifier.contains(version):
        raise Refusal(f"r/fusionModel imports {needed}, but this is fusionpy {version}.")
    return str(version)


def check_changelog(text: str, version: str, rehearse: bool) -> str:
    """Return the title of the section of this version, which must say something."""
    parts = re.split(r"(?m)^## ", text)[1:]
    sections = {title.strip(): body.strip() for title, _, body in (part.partition("\n") for part in parts)}
    dated = re.compile(rf"\[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d")
    titles = [title for title in sections if dated.fullmatch(title)]
    if not titles and rehearse and "[Unreleased]" in sections:
        titles = ["[Unreleased]"]
    if not titles or not sections[titles[0]]:
        raise Refusal(f"CHANGELOG.md has no section '## [{version}] - year-month-day' that says something.")
    return titles[0]


def check_tree(root: Path, rehearse: bool) -> None:
    """Refuse a tree that is not the commit's."""
    changed = run("git", "status", "--porcelain", where=root).splitlines()
    if changed and not rehearse:
        shown = "\n".join(changed[:5])
        raise Refusal(f"{len(changed)} files are changed or new; commit or remove them:\n{shown}")
    say(f"{len(changed)} files are not as in the commit" if changed else "the tree is the commit's")


def check_dependencies(rehearse: bool, strict: bool) -> None:
    """Refuse copyleft, a table of dependencies that is out of date, and known vulnerabilities."""
    script = HERE / "dependencies.py"
    say(run(sys.executable, script, "--check").strip())
    if rehearse:
        say("LEFT OUT: known vulnerabilities are looked up for a release only")
        return
    done = subprocess.run([sys.executable, script, "--audit"], capture_output=True, text=True, check=False)
    found = (done.stdout + done.stderr).strip()
    if done.returncode and (strict or done.returncode != NOT_LOOKED_UP):
        raise Refusal(f"{found}\nRaise the bounds in pyproject.toml, or renew .ci/constraints.txt.")
    say(found.replace("\n", "\n  "))


# Building.


def tracked(root: Path, *folders: str) -> set[str]:
    """Return the files that git has, or would have, in these folders or in all."""
    options = ("-z", "--cached", "--others", "--exclude-standard", "--", *folders)
    names = run("git", "ls-files", *options, where=root).split("\0")
    return {name for name in names if name and (root / name).is_file()}


def export(root: Path, folder: Path) -> Path:
    """Copy the files that git has, and no others."""
    for name in tracked(root):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target)
    return folder


def build_python(source: Path, out: Path, epoch: int) -> list[Path]:
    """Build the sdist, and from it the wheel."""
    out.mkdir(parents=True, exist_ok=True)
    run(
        *(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source),
        SOURCE_DATE_EPOCH=str(epoch),
    )
    return sorted(out.iterdir())


def repack(path: Path, epoch: int) -> None:
    """Pack a source package of R again, without the builder's name, the hour, and the order of its files.

    `R CMD build` knows no SOURCE_DATE_EPOCH: it writes who packed when into DESCRIPTION, and times of files.
    """
    when = f"{datetime.fromtimestamp(epoch, UTC):%Y-%m-%d %H:%M:%S}"
    packed = io.BytesIO()
    with (
        tarfile.open(path) as old,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            info = tarfile.TarInfo(member.name)
            info.type, info.mtime = member.type, epoch
            info.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            file = old.extractfile(member)
            content = file.read() if file else b""
            if PurePosixPath(member.name).match("*/DESCRIPTION"):
                content = re.sub(rb"(?m)^Packaged: .*$", f"Packaged: {when} UTC; fusionpy".encode(), content)
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))
    path.write_bytes(gzip.compress(packed.getvalue(), mtime=epoch))


def build_r(source: Path, out: Path, epoch: int, python: Path) -> list[Path]:
    """Build the R source packages; the vignette runs on a Python that has the wheel."""
    for package in R_PACKAGES:
        run(
            *("R", "CMD", "build", source / "r" / package),
            where=out,
            RETICULATE_PYTHON=str(python),
            LC_ALL="C.UTF-8",
            TZ="UTC",
        )
    found = sorted(out.glob("*_*.tar.gz"))
    for path in found:
        repack(path, epoch)
    return found


def build_twice(
    build: Callable[[Path, Path], list[Path]], root: Path, scratch: Path, name: str
) -> list[Path]:
    """Build from two copies of the sources, and refuse results that differ."""
    builds = []
    for which in ("first", "second"):
        out = scratch / name / which
        out.mkdir(parents=True)
        builds.append(build(export(root, scratch / name / f"{which}-source"), out))
    for one, other in zip(*builds, strict=True):
        if one.name != other.name or one.read_bytes() != other.read_bytes():
            raise Refusal(f"Two builds of {one.name} differ; compare {one} with {other}.")
        say(f"{one.name}: {one.stat().st_size:,} bytes, the same in two builds")
    return builds[0]


# Looking into what was built.


def contents(path: Path) -> dict[str, bytes]:
    """Return the files within a wheel, or in a tarball below its one folder."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    with tarfile.open(path) as archive:
        files = [(member.name, archive.extractfile(member)) for member in archive.getmembers()]
        return {name.partition("/")[2]: file.read() for name, file in files if file}


def compiled(files: Mapping[str, bytes]) -> list[str]:
    """Return the files that are machine code or byte code."""
    return [
        name
        for name, content in files.items()
        if PurePosixPath(name).suffix.lower() in COMPILED or content.startswith(MAGIC)
    ]


def inspect(path: Path, package: set[str]) -> None:
    """Refuse compiled files, and a wheel that is too large, of one platform, or not the whole package."""
    files = contents(path)
    found = compiled(files)
    if found:
        raise Refusal(f"{path.name} has compiled files: {found[:5]}.")
    if path.suffix != ".whl":
        return
    if path.stat().st_size >= MOST_BYTES:
        raise Refusal(f"{path.name} has {path.stat().st_size:,} bytes, at most {MOST_BYTES:,} are allowed.")
    if not path.name.endswith("-py3-none-any.whl"):
        raise Refusal(f"{path.name} is for some platforms only.")
    packed = {name for name in files if not name.split("/")[0].endswith(".dist-info")}
    odd = sorted(packed ^ package)
    if odd:
        raise Refusal(f"{path.name} is not the package: {odd[:5]} are missing or too many.")


# Trying what was built.


def environment(folder: Path, package: Path) -> Path:
    """Install a package in an environment of its own, and return its Python."""
    venv.create(folder, with_pip=True, symlinks=True)
    python = folder / "bin" / "python"
    quiet = ("--disable-pip-version-check", "--quiet", "--no-input")
    run(
        *(python, "-m", "pip", "install", *quiet, "--constraint", HERE / "constraints.txt", package),
        where=folder,
    )
    return python


def try_python(python: Path, version: str, scratch: Path, *options: str) -> None:
    """Run a small fusion in an environment, in a folder of its own."""
    where = Path(tempfile.mkdtemp(dir=scratch))
    shutil.copy2(HERE / "smoke.py", where)
    say(run(python, "-I", where / "smoke.py", version, *options, where=where).strip().splitlines()[-1])


def missing_for_r() -> list[str]:
    """Return what this machine lacks to build and try the R packages."""
    missing = [tool for tool in ("Rscript", "pandoc") if shutil.which(tool) is None]
    if "Rscript" in missing:
        return missing
    script = "cat(setdiff(commandArgs(TRUE), rownames(installed.packages())))"
    return missing + run("Rscript", "--vanilla", "-e", script, *R_NEEDS).split()


def try_r(packages: Iterable[Path], python: Path, version: str, scratch: Path) -> None:
    """Install the R packages in a library of their own, and run them."""
    library = scratch / "library"
    library.mkdir()
    libraries = os.pathsep.join(filter(None, (str(library), os.environ.get("R_LIBS"))))
    for path in sorted(packages, key=lambda each: R_PACKAGES.index(each.name.split("_")[0])):
        run("R", "CMD", "INSTALL", f"--library={library}", path, where=scratch, R_LIBS=libraries)
    where = Path(tempfile.mkdtemp(dir=scratch))
    shutil.copy2(HERE / "smoke.R", where)
    told = run(
        *("Rscript", "--vanilla", "smoke.R", version),
        where=where,
        R_LIBS=libraries,
        RETICULATE_PYTHON=str(python),
    )
    say(told.strip().splitlines()[-1])


def publish(found: Iterable[Path], out: Path) -> None:
    """Move what was built to its folder, and write the checksums."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    lines = []
    for path in sorted(found, key=lambda each: each.name):
        shutil.copy2(path, out)
        lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    (out / "SHA256SUMS").write_text("".join(lines))
    say(f"{out} has {len(lines)} packages and SHA256SUMS")


def release(scratch: Path, asked: argparse.Namespace) -> None:
    """Do all of it."""
    print("Checking the repository")
    version = agreed_version(ROOT)
    say(f"version {version} wherever it stands")
    section = check_changelog((ROOT / "CHANGELOG.md").read_text("utf-8"), version, asked.rehearse)
    say(f"CHANGELOG.md has section {section}")
    check_tree(ROOT, asked.rehearse)
    check_dependencies(asked.rehearse, asked.strict)
    epoch = int(run("git", "log", "-1", "--format=%ct", where=ROOT))

    print("Wheel and sdist")
    ours = build_twice(lambda source, out: build_python(source, out, epoch), ROOT, scratch, "python")
    for path in ours:
        inspect(path, tracked(ROOT, "fusionpy"))
    run(sys.executable, "-m", "twine", "check", "--strict", *ours)
    say("metadata in order, nothing compiled, no file missing or too many")
    sdist, wheel = sorted(ours, key=lambda each: each.suffix)
    user = environment(scratch / "wheel", wheel)
    try_python(user, version, scratch, "--demo")
    try_python(environment(scratch / "sdist", sdist), version, scratch)

    print("R source packages")
    missing = missing_for_r()
    if missing and os.environ.get("CI") == "true":
        raise Refusal(f"The R packages cannot be built here without {', '.join(missing)}.")
    if missing:
        say(f"LEFT OUT: this machine has no {', '.join(missing)}")
        theirs = []
    else:
        theirs = build_twice(lambda source, out: build_r(source, out, epoch, user), ROOT, scratch, "r")
        for path in theirs:
            inspect(path, set())
        try_r(theirs, user, version, scratch)
    publish([*ours, *theirs], Path(asked.out).resolve())


def main(arguments: list[str] | None = None) -> int:
    """Make a release; 1 if there is a reason not to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rehearse", action="store_true", help="leave out what only a release needs")
    parser.add_argument("--strict", action="store_true", help="refuse if the advisories cannot be had")
    parser.add_argument("--out", default=ROOT / "dist", help="folder to write, made anew")
    asked = parser.parse_args(arguments)
    scratch = Path(tempfile.mkdtemp(prefix="fusionpy-release-"))
    try:
        release(scratch, asked)
    except Refusal as refusal:
        print(f"\nNo release. {refusal}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
