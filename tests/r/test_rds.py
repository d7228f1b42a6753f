"""RDS files between R and fusionpy: all that R writes is read, and R takes what we write for its own."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from rvalues import identical

from fusionpy.formats.rds import read_rds
from fusionpy.formats.rds.reader import NotPlain
from fusionpy.formats.rds.values import is_na
from fusionpy.formats.rds.writer import write_rds

pytestmark = pytest.mark.r
SCRIPT = Path(__file__).with_name("rds.R")
FORMS = ("gzip", "plain", "bzip2", "xz", "ascii", "hex", "native")
# R keeps the digits of 1/3 only in part in text.
INEXACT = {("doubles", "ascii"), ("deferred_real", "ascii")}


def run(*arguments):
    done = subprocess.run(["Rscript", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("rds")
    run(SCRIPT, "write", path)
    return path


def names(folder):
    return sorted({path.name.split(".")[0] for path in folder.glob("*.rds")})


def test_every_form_holds_the_same(folder):
    assert len(names(folder)) > 30
    for name in names(folder):
        first = read_rds((folder / f"{name}.2.plain.rds").read_bytes())
        for version in (2, 3):
            for form in FORMS:
                found = read_rds((folder / f"{name}.{version}.{form}.rds").read_bytes())
                if (name, form) in INEXACT and found.kind == "double":
                    np.testing.assert_allclose(found.values, first.values, rtol=1e-15)
                    assert is_na(found.values).tolist() == is_na(first.values).tolist()
                else:
                    assert identical(found, first), (name, version, form)


def test_r_takes_what_we_write_for_its_own(folder):
    for name in names(folder):
        value = read_rds((folder / f"{name}.3.gzip.rds").read_bytes())
        (folder / f"{name}.mine.rds").write_bytes(write_rds(value))
    told = dict(line.split() for line in run(SCRIPT, "compare", folder).splitlines())
    assert told == dict.fromkeys(told, "TRUE")
    assert sorted(told) == names(folder)


def test_our_bytes_are_those_of_r(folder):
    """But for the version of R in the head, and what R keeps in short."""
    seen = 0
    for name in names(folder):
        content = (folder / f"{name}.3.plain.rds").read_bytes()
        if b"base" not in content and name != "latin":
            mine = zlib.decompress(write_rds(read_rds(content)), 31)
            assert mine[14:] == content[14:], name
            seen += 1
    assert seen > 20


def test_values_of_r(folder):
    def values(name):
        return read_rds((folder / f"{name}.3.gzip.rds").read_bytes()).values

    assert values("characters") == ("a", None, "NA", "", "é中", "tab\there", 'q"uote\\', "a b\nc")
    assert values("latin") == ("é",)
    assert values("deferred_real")[:4] == ("0.1", "1e+05", "123456", "0.333333333333333")
    assert is_na(values("doubles")).tolist() == [False, True, *[False] * 6]
    assert np.isnan(values("doubles")).tolist() == [False, True, True, *[False] * 5]
    assert values("falling").tolist() == list(range(10, 0, -1))


def test_what_could_act_is_refused(tmp_path):
    things = {
        "function": "function(x) x",
        "closure": "stats::sd",
        "builtin": "sum",
        "environment": "globalenv()",
        "new": "new.env()",
        "formula": "y ~ x",
        "expression": "expression(a)",
        "s4": "{setClass('A', representation(x = 'numeric')); new('A', x = 1)}",
        "in_a_call": "as.call(list(mean, 1))",
        "in_an_attribute": "structure(1, a = sum)",
    }
    code = "; ".join(f"saveRDS({{{value}}}, '{tmp_path}/{name}.rds')" for name, value in things.items())
    run("-e", code)
    for name in things:
        with pytest.raises(NotPlain):
            read_rds((tmp_path / f"{name}.rds").read_bytes())
