"""RDS files: what is written comes back, R's own files are read, and no bytes make reading fail otherwise."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import random
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import slow
from rvalues import identical

from fusionpy.formats.rds import Damaged, read_rds
from fusionpy.formats.rds.reader import NotPlain
from fusionpy.formats.rds.values import (
    NA_INTEGER,
    NA_REAL,
    RValue,
    as_r_text,
    call,
    character,
    data_frame,
    double,
    factor,
    integer,
    is_na,
    logical,
    matrix,
    r_list,
)
from fusionpy.formats.rds.writer import write_rds

HEAD = b"X\n" + struct.pack(">3i", 2, 0x40000, 0x20300)


# What is written comes back

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
NAMES = st.lists(TEXTS.filter(bool), unique=True, max_size=4)
INTEGERS = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=8)
VECTORS = st.one_of(
    INTEGERS.map(integer),
    st.lists(st.sampled_from([True, False, None]), max_size=8).map(logical),
    st.lists(st.one_of(st.none(), TEXTS), max_size=8).map(character),
    st.lists(st.floats(allow_nan=False), max_size=8).map(double),
    st.binary(max_size=9).map(lambda raw: RValue("raw", np.frombuffer(raw, np.uint8))),
    st.lists(st.integers(0, 2**64 - 1), max_size=4).map(
        lambda bits: RValue("double", np.array(bits, np.uint64).view(np.float64))
    ),
)


def of_parts(parts):
    listed = st.lists(st.one_of(st.none(), parts), max_size=4)
    named = NAMES.flatmap(
        lambda names: st.tuples(*[parts] * len(names)).map(lambda v: dict(zip(names, v, strict=True)))
    )
    return st.one_of(
        listed.map(r_list),
        named.map(r_list),
        st.tuples(VECTORS, named).map(lambda pair: RValue(pair[0].kind, pair[0].values, pair[1])),
        named.filter(bool).map(
            lambda v: RValue("call", (RValue("symbol", ("f",)), *v.values()), {"names": character(["", *v])})
        ),
    )


@given(st.recursive(VECTORS, of_parts, max_leaves=12))
def test_what_is_written_comes_back(value):
    content = write_rds(value)
    assert identical(read_rds(content), value)
    assert write_rds(read_rds(content)) == content
    assert identical(read_rds(zlib.decompress(content, 31)), value)  # not packed
    assert identical(read_rds(bz2.compress(zlib.decompress(content, 31))), value)
    assert identical(read_rds(lzma.compress(zlib.decompress(content, 31))), value)


def test_the_rdata_library_reads_the_same():
    """A reader that we did not write."""
    rdata = pytest.importorskip("rdata")
    value = r_list(
        {
            "a": integer([1, NA_INTEGER, 3], ["x", "y", "z"]),
            "b": double([0.5, np.nan]),
            "c": character(["é", None]),
            "d": matrix(np.arange(6, dtype=np.float64).reshape(3, 2), ["u", "v"]),
            "e": data_frame({"f": factor(["q", "p", "q"]), "g": logical([True, None, False])}, 3),
            "n": None,
        }
    )
    content = zlib.decompress(write_rds(value), 31)
    found = rdata.conversion.convert(rdata.parser.parse_data(content, extension=".rds"))
    assert found["c"].tolist() == ["é", None] or list(found["c"]) == ["é", None]
    assert np.asarray(found["d"]).tolist() == [[0, 1], [2, 3], [4, 5]]
    assert found["e"]["f"].tolist() == ["q", "p", "q"]
    assert found["n"] is None


def test_every_na_stays_apart():
    value = read_rds(
        write_rds(r_list([double([np.nan, 1]), RValue("double", np.array([np.nan, NA_REAL[0]]))]))
    )
    mine, theirs = (each.values for each in value.values)
    assert is_na(mine).tolist() == [True, False]
    assert is_na(theirs).tolist() == [False, True]
    assert character([None, "NA"]).values == (None, "NA")


def test_parts_can_be_looked_up():
    value = r_list({"a": integer([1]), "b": None})
    assert value.names == ("a", "b")
    assert value.entries()["b"] is None
    assert factor(["u", "v"]).classes == ("factor",)
    assert matrix(np.zeros((2, 3))).dim == (2, 3)
    assert integer([1]).dim == ()


def test_zero_bytes_cannot_be_written():
    with pytest.raises(ValueError, match="zero byte"):
        write_rds(character(["a\0b"]))


# No harm


def flagged(kind, flags=0):
    return struct.pack(">i", kind | flags)


@pytest.mark.parametrize(
    ("kind", "what"),
    {
        **{3: "function", 4: "environment", 5: "promise", 8: "function", 20: "expression", 21: "byte code"},
        **{
            22: "pointer",
            23: "weak reference",
            25: "S4",
            249: "environment",
            253: "environment",
            99: "unknown",
        },
    }.items(),
)
def test_what_is_not_plain_is_refused(kind, what):
    with pytest.raises(NotPlain, match=what):
        read_rds(HEAD + flagged(kind) + bytes(40))
    with pytest.raises(NotPlain, match=what):
        read_rds(HEAD + flagged(19) + struct.pack(">i", 1) + flagged(kind) + bytes(40))


@pytest.mark.parametrize(
    "body",
    [
        flagged(13) + struct.pack(">i", 2**31 - 1),  # a vector of 8 GB
        flagged(13) + struct.pack(">iii", -1, 2**30, 0),  # and one of 2**64
        flagged(19) + struct.pack(">i", 2**31 - 1),
        flagged(16) + struct.pack(">i", 2**31 - 1),
        flagged(16) + struct.pack(">i", 1) + flagged(9) + struct.pack(">i", 2**31 - 1),
        flagged(13) + struct.pack(">i", -5),
        flagged(255, 7 << 8),  # a name that is not there
        (flagged(19) + struct.pack(">i", 1)) * 20_000,  # nested
        (flagged(6)) * 20_000,
        flagged(6) + flagged(2) * 5_000,
        flagged(238) * 3_000,
        b"",
        flagged(254) + b"more",
        flagged(2, 0x400) + flagged(254) + flagged(254) + flagged(254) + b"x",
    ],
)
def test_impossible_parts_are_refused(body):
    with pytest.raises(Damaged):
        read_rds(HEAD + body)


def compact(n, first=1.0, step=1.0, name=b"compact_intseq"):
    symbol = flagged(1) + flagged(9) + struct.pack(">i", len(name)) + name
    about = flagged(2) + symbol + flagged(254)
    return flagged(238) + about + flagged(14) + struct.pack(">iddd", 3, n, first, step) + flagged(254)


def test_sequences_stay_short():
    assert read_rds(HEAD + compact(5.0)).values.tolist() == [1, 2, 3, 4, 5]
    assert read_rds(HEAD + compact(3.0, 3.0, -1.0)).values.tolist() == [3, 2, 1]
    for n in (1e9, 2.5, -1.0, float("nan"), float("inf")):
        with pytest.raises(Damaged):
            read_rds(HEAD + compact(n))
    for first in (float("nan"), 1e300, 2.0**31 - 2):
        with pytest.raises(Damaged):
            read_rds(HEAD + compact(5.0, first))
    many = flagged(19) + struct.pack(">i", 50) + compact(1e6) * 50  # 200 MB of 4 kB
    with pytest.raises(Damaged, match="length"):
        read_rds(HEAD + many)
    with pytest.raises(Damaged, match="unknown kind"):
        read_rds(HEAD + compact(5.0, name=b"mmap_integer"))


@pytest.mark.parametrize("pack", [gzip.compress, slow(bz2.compress), slow(lzma.compress)])
def test_bombs_do_not_go_off(pack):
    bomb = pack(HEAD + flagged(13) + struct.pack(">i", 25_000_000) + bytes(100_000_000))
    tracemalloc.start()
    with pytest.raises(Damaged, match="unpacks to more"):
        read_rds(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24 + 3 * (2**20 + 400 * len(bomb))  # xz has a dictionary of 8 MB


def test_headers_of_others_are_refused():
    for content in (b"", b"X", b"X\n", b"RDX3\nX\n", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", b"X\n" + bytes(12)):
        with pytest.raises(Damaged):
            read_rds(content)
    for version in (1, 4, -1):
        with pytest.raises(Damaged, match="version"):
            read_rds(b"X\n" + struct.pack(">4i", version, 0, 0, 254))


def sample():
    return r_list(
        {
            "a": integer(range(40), [str(i) for i in range(40)]),
            "b": matrix(np.arange(12.0).reshape(4, 3), ["u", "v", "w"]),
            "c": data_frame({"f": factor(["q", "p"]), "g": logical([True, None])}, 2),
            "d": call("train"),
            "e": character(["é", None, "x" * 50]),
        }
    )


@pytest.mark.parametrize("n", [350, pytest.param(2_500, marks=pytest.mark.slow)])
@pytest.mark.parametrize("form", ["xdr", "native", "ascii"])
def test_no_bytes_make_reading_fail_otherwise(form, n):
    """Read or refused, each within two seconds of CPU, in no more memory than sequences may take."""
    rng = random.Random(3)
    plain = zlib.decompress(write_rds(sample()), 31)
    if form == "native":
        plain = b"B" + plain[1:]  # its numbers are of the wrong order then, which is a mutation as well
    if form == "ascii":
        plain = ASCII
    slowest = 0.0
    tracemalloc.start()
    read = 0
    for _ in range(n):
        data = bytearray(plain)
        for _ in range(rng.choice([1, 1, 2, 8])):
            place = rng.randrange(14 if form == "xdr" else 2, len(data))
            data[place] = rng.choice([rng.randrange(256), 0, 255, 127, 238, 19, 13])
        if rng.random() < 0.1:
            del data[rng.randrange(len(data)) :]
        began = time.process_time()
        try:
            read_rds(bytes(data))
            read += 1
        except Damaged:
            pass
        slowest = max(slowest, time.process_time() - began)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert slowest < 2
    assert peak < 150 * 2**20
    assert read < n


@given(st.binary(max_size=300))
def test_random_bytes(data):
    for content in (data, HEAD + data, b"A\n" + data, b"A\n2\n1\n1\n" + data, b"B\n" + data):
        with contextlib.suppress(Damaged):
            read_rds(content)


# Text, as R writes it

ASCII = b"""A
3
262658
197888
5
UTF-8
787
3
14
3
1.5
NA
-Inf
13
2
NA
7
16
3
262153
3
a\\040b
9
-1
32777
2
\\303\\251
1026
1
262153
5
names
16
3
262153
1
x
262153
1
y
262153
1
z
1026
1
262153
5
class
16
1
262153
1
k
254
"""


def test_text_form_by_hand():
    """Written out after "R Internals"."""
    found = read_rds(ASCII)
    assert found.names == ("x", "y", "z")
    assert found.classes == ("k",)
    x, y, z = found.values
    assert x.values[[0, 2]].tolist() == [1.5, -np.inf]
    assert is_na(x.values).tolist() == [False, True, False]
    assert y.values.tolist() == [NA_INTEGER, 7]
    assert z.values == ("a b", None, "é")


def test_numbers_as_r_writes_them():
    """R 4.2: as.character(c(...))."""
    pairs = {0.1: "0.1", 1 / 3: "0.333333333333333", 1e5: "1e+05", 123456.0: "123456", 1e15: "1e+15"}
    pairs |= {1e-5: "1e-05", 123456.789: "123456.789", 2.0**31: "2147483648", -1e-300: "-1e-300"}
    pairs |= {5e-324: "4.94065645841247e-324", -0.5: "-0.5", 0.0: "0", 100000.1: "100000.1", 1e4: "10000"}
    pairs |= {float("inf"): "Inf", 1.5e-4: "0.00015", 1e22: "1e+22"}
    assert {value: as_r_text(value) for value in pairs} == pairs
    assert as_r_text(float("nan")) == "NaN"
