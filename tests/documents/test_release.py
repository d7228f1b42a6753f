"""What is released: versions, citation, licences, what wheel and sdist hold. `make release` installs them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tarfile
import tomllib
import types
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import fusionpy

ROOT = Path(__file__).parents[2]


def script(name: str) -> types.ModuleType:
    """Import a script of `.ci`, which is no package."""
    path = ROOT / ".ci" / f"{name}.py"
    if not path.exists():
        pytest.skip(f"{path} is not here: this is not a clone.", allow_module_level=True)
    spec = importlib.util.spec_from_file_location(f"ci_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look it up
    spec.loader.exec_module(module)
    return module


release = script("release")
dependencies = script("dependencies")


@pytest.fixture
def repository(tmp_path):
    """A repository with the files that a release looks at."""
    folder = tmp_path / "clone"
    names = ["pyproject.toml", "CITATION.cff", "CHANGELOG.md"]
    names += ["r/fusionpy/DESCRIPTION", "r/fusionpy/NEWS.md", "r/fusionModel/DESCRIPTION"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "--message", "x")
    return folder


def git(folder, *arguments):
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def replace(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


# Versions, citation, changelog.


def test_versions_agree():
    assert release.agreed_version(ROOT) == fusionpy.__version__ == metadata.version("fusionpy")


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("CITATION.cff", "\nversion: ", "\nversion: 9", "CITATION.cff has 9"),
        ("r/fusionpy/DESCRIPTION", "\nVersion: ", "\nVersion: 9", "r/fusionpy/DESCRIPTION has 9"),
        ("r/fusionpy/NEWS.md", "# fusionpy ", "# fusionpy 9", "NEWS.md has 9"),
        ("r/fusionModel/DESCRIPTION", "\nVersion: 2.5", "\nVersion: 2.4", "not above the original's"),
        ("r/fusionModel/DESCRIPTION", "fusionpy (>= ", "fusionpy (>= 9", "imports fusionpy"),
        ("pyproject.toml", '\nversion = "', '\nversion = "v', "not of the form"),
    ],
)
def test_versions_that_disagree_are_refused(repository, name, old, new, said):
    release.agreed_version(repository)
    replace(repository / name, old, new)
    with pytest.raises(release.Refusal, match=re.escape(said)):
        release.agreed_version(repository)


def test_citation():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    article = citation["preferred-citation"]
    for part in (citation, article):
        assert {"title", "authors", "type"} <= set(part)
        assert all(
            {"name"} == set(each) or {"family-names", "given-names"} == set(each) for each in part["authors"]
        )
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert citation["license"] == project["license"]
    assert article["doi"] in (ROOT / "README.md").read_text("utf-8")
    assert article["doi"] in fusionpy.__doc__
    assert article["url"] == project["urls"]["Method"]
    assert (article["journal"], article["year"], article["volume"], article["start"]) == (
        "Scientific Data",
        2024,
        11,
        "142",
    )


def test_changelog_has_a_section_of_this_version_or_the_next():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert release.check_changelog(text, fusionpy.__version__, rehearse=True)


def test_changelog():
    text = "# Changelog\n\n## [Unreleased]\n\n- This.\n\n## [1.2.3] - 2026-11-21\n\n- That.\n\n"
    text += "## [1.2.2] - 2026-11-20\n"
    assert release.check_changelog(text, "1.2.3", rehearse=False) == "[1.2.3] - 2026-11-21"
    assert release.check_changelog(text, "1.2.4", rehearse=True) == "[Unreleased]"
    for version in ("1.2.4", "1.2.2", "1.2"):  # none, one that says nothing, another
        with pytest.raises(release.Refusal, match="no section"):
            release.check_changelog(text, version, rehearse=False)
    with pytest.raises(release.Refusal, match="no section"):
        release.check_changelog(text.replace("- This.", ""), "1.2.4", rehearse=True)


def test_a_tree_with_changes_is_refused(repository, capsys):
    release.check_tree(repository, rehearse=False)
    (repository / "new.py").touch()
    with pytest.raises(release.Refusal, match=r"(?s)1 files are changed or new.*new\.py"):
        release.check_tree(repository, rehearse=False)
    release.check_tree(repository, rehearse=True)
    assert "1 files are not as in the commit" in capsys.readouterr().out


# Dependencies.


def page_rows():
    """Return the rows of the page: those of what is required, and those of extras."""
    lines = (ROOT / "docs/dependencies.md").read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    rows = [row for row in rows if row[0] not in ("library", "extra", "---")]
    return [row for row in rows if len(row) == 4], [row for row in rows if len(row) == 5]


def named(requirements):
    return {canonicalize_name(Requirement(line).name) for line in requirements}


def test_the_page_names_what_pyproject_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required, extras = page_rows()
    assert {row[0] for row in required if not row[3].startswith("needed by")} == named(
        project["dependencies"]
    )
    for extra in dependencies.EXTRAS:
        direct = {row[1] for row in extras if row[0] == f"`{extra}`" and not row[4].startswith("needed by")}
        assert direct == named(project["optional-dependencies"][extra])


def test_nothing_required_is_copyleft_by_the_page():
    required, extras = page_rows()
    assert len(required) > 30
    assert all(dependencies.is_permissive(row[2]) for row in required)
    theirs = {row[1]: row[3] for row in extras if not dependencies.is_permissive(row[3])}
    assert set(theirs) == {"python-glmnet", "rpy2", "rpy2-rinterface", "rpy2-robjects"}
    assert all(licence.startswith("GPL-2.0") for licence in theirs.values())


def pins():
    lines = (ROOT / ".ci/constraints.txt").read_text("utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_constraints_pin_what_the_page_names():
    required, extras = page_rows()
    names = {row[0] for row in required} | {row[1] for row in extras}
    assert names <= {canonicalize_name(pin.name) for pin in pins()}


def test_the_page_is_what_is_installed(capsys, monkeypatch):
    here = {canonicalize_name(each.name): each.version for each in metadata.distributions() if each.name}
    pinned = [pin for pin in pins() if canonicalize_name(pin.name) in here]
    other = [
        pin.name
        for pin in pinned
        if (not pin.marker or pin.marker.evaluate())
        and not pin.specifier.contains(here[canonicalize_name(pin.name)])
    ]
    if other or sys.version_info[:2] != (3, 11) or not {"dask", "polars", "python-glmnet"} <= set(here):
        pytest.skip(
            f"The page is of Python 3.11 with all of .ci/constraints.txt; here differ {other[:5]} or extras."
        )
    monkeypatch.setattr(sys, "argv", ["dependencies.py", "--check"])
    assert dependencies.main() == 0, capsys.readouterr().out


@pytest.mark.parametrize(
    ("licence", "is_permissive"),
    [
        ("MIT", True),
        ("BSD-2-Clause AND Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only OR MIT", True),
        ("MIT AND LGPL-2.1-or-later", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("MPL-2.0", False),
        ("(MIT OR GPL-2.0-only) AND ISC", False),  # parentheses are not judged
        (dependencies.UNKNOWN, False),
        ("", False),
    ],
)
def test_what_is_copyleft(licence, is_permissive):
    assert dependencies.is_permissive(licence) == is_permissive
    library = dependencies.Library("x", dependencies.REQUIRED, "1", licence, ("fusionpy",))
    assert (not dependencies.copyleft([library])) == is_permissive


@pytest.mark.parametrize(
    ("lines", "licence"),
    [
        ({"License-Expression": "mit and zlib"}, "MIT AND Zlib"),
        ({"License": "BSD-3-Clause"}, "BSD-3-Clause"),
        ({"License": "Copyright (c) 2022\n All rights reserved."}, dependencies.UNKNOWN),
        ({"License": "text", "Classifier": "License :: OSI Approved :: BSD License"}, "BSD"),
        ({"Classifier": "License :: OSI Approved :: GNU General Public License v2 (GPLv2)"}, "GPL-2.0-only"),
        ({}, dependencies.UNKNOWN),
    ],
)
def test_licence_of(lines, licence):
    about = metadata.metadata("fusionpy")
    for field in ("License-Expression", "License", "Classifier"):
        del about[field]
    for field, value in lines.items():
        about[field] = value
    assert dependencies.licence_of(about) == licence


def test_an_extra_must_be_of_users_or_of_developers():
    project = {"dependencies": ["numpy"], "optional-dependencies": {"polars": [], "dask": [], "odd": []}}
    with pytest.raises(SystemExit, match="odd"):
        dependencies.direct(project)


def test_audit(monkeypatch):
    said = {}
    asked = []

    def pip_audit(command, **options):
        asked.append(Path(command[command.index("--requirement") + 1]).read_text())
        return subprocess.CompletedProcess(command, 1, **said)

    monkeypatch.setattr(dependencies.subprocess, "run", pip_audit)
    monkeypatch.setattr(dependencies, "find_spec", lambda name: name)
    library = dependencies.Library("x", dependencies.REQUIRED, "1.0", "MIT", ("fusionpy",))
    absent = dependencies.Library("y", "r", "", "", ("fusionpy",))
    said.update(stdout="", stderr="Traceback\nConnectionError: no route to host")
    assert dependencies.audit([library, absent]) == ([], ["all of them: ConnectionError: no route to host"])
    flaw = '[{"id": "PYSEC-1", "fix_versions": ["1.1"]}]'
    said.update(stdout=f'{{"dependencies": [{{"name": "x", "version": "1.0", "vulns": {flaw}}}]}}', stderr="")
    assert dependencies.audit([library, absent]) == (["x 1.0: PYSEC-1, mended in ['1.1']"], [])
    said.update(stdout='{"dependencies": [{"name": "x", "skip_reason": "not found"}]}')
    assert dependencies.audit([library, absent]) == ([], ["x: not found"])
    assert asked == ["x==1.0\n"] * 3
    monkeypatch.setattr(dependencies, "find_spec", lambda name: None)
    flaws, unknown = dependencies.audit([library])
    assert not flaws
    assert "-m pip install pip-audit" in unknown[0]


@pytest.mark.parametrize(
    ("found", "code"),
    [((["x 1.0: PYSEC-1"], []), 1), ((["x 1.0: PYSEC-1"], ["y"]), 1), (([], ["y: none"]), 3), (([], []), 0)],
)
def test_what_audit_tells_the_shell(monkeypatch, capsys, found, code):
    monkeypatch.setattr(dependencies, "audit", lambda libraries: found)
    monkeypatch.setattr(sys, "argv", ["dependencies.py", "--audit"])
    assert dependencies.main() == code
    told = capsys.readouterr().out
    assert all(line in told for line in [*found[0], *found[1]])


@pytest.mark.parametrize(
    ("code", "strict", "is_refused"),
    [(0, True, False), (1, False, True), (3, False, False), (3, True, True)],
)
def test_vulnerabilities_are_refused(monkeypatch, code, strict, is_refused):
    asked = []

    def ran(command, **options):
        asked.append(command[-1])
        return subprocess.CompletedProcess(command, code if command[-1] == "--audit" else 0, "told", "")

    monkeypatch.setattr(release.subprocess, "run", ran)
    if is_refused:
        with pytest.raises(release.Refusal, match="told"):
            release.check_dependencies(rehearse=False, strict=strict)
    else:
        release.check_dependencies(rehearse=False, strict=strict)
    assert asked == ["--check", "--audit"]
    release.check_dependencies(rehearse=True, strict=strict)  # as in CI, which reaches no advisories
    assert asked[2:] == ["--check"]


# What is packed.


@pytest.mark.slow
def test_importing_opens_no_connection():
    code = f"import sys; sys.path.append({str(ROOT / '.ci')!r}); import smoke; "
    code += "sys.addaudithook(smoke.refuse_network); "
    for what in ("fusionpy, fusionpy.cli, fusionpy.bridge, fusionpy.r", "fusionpy.distributed"):
        subprocess.run([sys.executable, "-c", code + f"import {what}"], check=True)
    opened = "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = subprocess.run([sys.executable, "-c", code + opened], capture_output=True, text=True, check=False)
    assert "fusionpy opened a connection" in done.stderr


def test_nothing_of_the_package_is_compiled_and_it_is_small():
    files = {path: path.read_bytes() for path in (ROOT / "fusionpy").rglob("*") if path.is_file()}
    ours = {str(path): content for path, content in files.items() if path.parent.name != "__pycache__"}
    assert len(ours) > 80
    assert release.compiled(ours) == []
    assert sum(map(len, ours.values())) < release.MOST_BYTES


def test_compiled_files_are_known():
    files = {
        "a.py": b"x = 1",
        "b.txt": b"\x7fELF\x02",
        "c/d.SO": b"",
        "__pycache__/e.pyc": b"",
        "f.parquet": b"PAR1",
    }
    assert release.compiled(files) == ["b.txt", "c/d.SO", "__pycache__/e.pyc"]


@pytest.mark.parametrize(
    ("name", "files", "said"),
    [
        ("x-1-py3-none-any.whl", {"fusionpy/a.py": b"1", "x-1.dist-info/METADATA": b""}, None),
        ("x-1-py3-none-any.whl", {"fusionpy/a.py": b"1", "fusionpy/b.so": b""}, "compiled files"),
        ("x-1-py3-none-any.whl", {}, r"\['fusionpy/a.py'\] are missing or too many"),
        ("x-1-py3-none-any.whl", {"fusionpy/a.py": b"1", "tests/b.py": b""}, "tests/b.py"),
        ("x-1-cp311-linux.whl", {"fusionpy/a.py": b"1"}, "some platforms only"),
    ],
)
def test_wheels_that_are_refused(tmp_path, name, files, said):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    if said is None:
        release.inspect(tmp_path / name, {"fusionpy/a.py"})
    else:
        with pytest.raises(release.Refusal, match=said):
            release.inspect(tmp_path / name, {"fusionpy/a.py"})


def test_r_packages_are_packed_without_hour_and_builder(tmp_path):
    packed = []
    for which, (when, names) in enumerate([("2026-11-21 10:00:00", "ab"), ("2026-11-22 11:11:11", "ba")]):
        folder = tmp_path / str(which) / "fusionpy"
        folder.mkdir(parents=True)
        (folder / "DESCRIPTION").write_text(
            f"Package: fusionpy\nPackaged: {when} UTC; builder{which}\nLicense: MIT\n"
        )
        for name in names:
            (folder / name).write_text(name)
        path = tmp_path / f"{which}.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name in ("DESCRIPTION", *names):
                archive.add(folder / name, f"fusionpy/{name}")
        release.repack(path, 1_700_000_000)
        packed.append(path.read_bytes())
    assert packed[0] == packed[1]
    assert release.contents(path) == {
        "DESCRIPTION": b"Package: fusionpy\nPackaged: 2023-11-14 22:13:20 UTC; fusionpy\nLicense: MIT\n",
        "a": b"a",
        "b": b"b",
    }


def test_builds_that_differ_are_refused(repository, tmp_path):
    count = iter(range(2))

    def build(source, out):
        assert (source / "pyproject.toml").exists()
        (out / "x.tar.gz").write_text(str(next(count)))
        return [out / "x.tar.gz"]

    with pytest.raises(release.Refusal, match=r"Two builds of x\.tar\.gz differ"):
        release.build_twice(build, repository, tmp_path, "x")


def test_checksums(tmp_path):
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "old.whl").touch()
    for name in ("b.whl", "a.tar.gz"):
        (tmp_path / name).write_text(name)
    release.publish([tmp_path / "b.whl", tmp_path / "a.tar.gz"], tmp_path / "dist")
    assert sorted(path.name for path in (tmp_path / "dist").iterdir()) == ["SHA256SUMS", "a.tar.gz", "b.whl"]
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path / "dist", check=True)


@pytest.mark.slow
def test_wheel_and_sdist(tmp_path):
    """Two builds of this tree are the same, small, without compiled files, and have what they should."""
    pytest.importorskip("build")
    built = release.build_twice(
        lambda source, out: release.build_python(source, out, 1_700_000_000), ROOT, tmp_path, "python"
    )
    assert [path.name for path in built] == [
        f"fusionpy-{fusionpy.__version__}-py3-none-any.whl",
        f"fusionpy-{fusionpy.__version__}.tar.gz",
    ]
    for path in built:
        release.inspect(path, release.tracked(ROOT, "fusionpy"))
    wheel, sdist = (release.contents(path) for path in built)
    assert "fusionpy/datasets/donor.parquet" in wheel
    assert {"pyproject.toml", "LICENSE", "CITATION.cff", ".ci/constraints.txt"} <= set(sdist)
    assert {Path(__file__).relative_to(ROOT).as_posix(), ".github/SECURITY.md"} <= set(sdist)
    text = next(content for name, content in wheel.items() if name.endswith(".dist-info/METADATA")).decode()
    assert f"\nVersion: {fusionpy.__version__}\n" in text
    assert "\nLicense-Expression: MIT\n" in text
