"""Damaged fst files by the thousand: none crashes, hangs, or takes much more memory than it has bytes.

`python tests/fuzzing.py --inputs 1000000` tries more.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import fuzzing
import numpy as np
import pyarrow as pa
import pytest
from fuzzing import FIXED, Seed, attempt, damaged, fuzz, golden_seeds, inputs, made_seeds, rehash
from hypothesis import given
from hypothesis import strategies as st

from fusionpy.formats.fst import pack_fst

GOLDEN = Path(__file__).resolve().parents[4] / "shared" / "reference" / "fst"
SMALL = Seed.of("small", pack_fst(pa.table({"a": pa.array([1, None], pa.int32()), "b": ["x", "y"]}), 60))


@pytest.fixture(scope="module")
def made() -> list[Seed]:
    return made_seeds()


def check(seeds: list[Seed], n: int, seed: int, first: int = 0) -> None:
    found = fuzz(seeds, n, seed, first)
    assert not found.wrong, "\n".join(found.wrong[:20])
    # The damage is neither so coarse that nothing is read, nor so fine that everything is.
    assert min(found.outcomes.values()) > n / 30
    assert len(found.outcomes) == 4


@pytest.mark.parametrize("n", [60, pytest.param(250, marks=pytest.mark.slow)])
def test_damaged_files_of_our_own(made, n):
    check(made, n, seed=1)


@pytest.mark.parametrize("n", [75, pytest.param(350, marks=pytest.mark.slow)])
def test_damaged_files_of_r(shared, n):
    seeds = golden_seeds(shared / "reference" / "fst")
    assert len(seeds) > 65
    check(seeds, n, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 15_000, 3_000))
def test_many_damaged_files(made, first):
    check([*made, *(golden_seeds(GOLDEN) if GOLDEN.is_dir() else [])], 3_000, seed=3, first=first)


@given(content=st.binary(max_size=600), is_head_sound=st.booleans(), at=st.integers(0, 400))
def test_any_bytes(content, is_head_sound, at):
    if is_head_sound:
        content = rehash(SMALL.content[:at] + content)
    assert attempt(content) in ("refused", "refused, but for its head", "read in part", "read")


# That the test would see what it looks for.


def test_inputs_can_be_had_again(made):
    one = [(label, content) for label, _, content in inputs(made, 40, 5, first=10)]
    again = [(label, content) for label, _, content in inputs(made, 60, 5, first=0)]
    assert one == again[10:50]
    assert len({content for _, content in one}) > 35


@pytest.mark.parametrize(
    ("misbehave", "problem"),
    [
        (lambda: 1 // 0, "ZeroDivisionError"),
        (lambda: np.ones(FIXED // 8 + 100_000), "bytes for"),
        (lambda: pa.array(range(200_000), pa.int64()), "bytes for"),
    ],
)
def test_what_is_wrong_is_found(monkeypatch, misbehave, problem):
    calls = []

    def attempted(content: bytes) -> str:
        calls.append(misbehave() if calls else None)  # the first is a sound file
        return "read"

    monkeypatch.setattr(fuzzing, "attempt", attempted)
    found = fuzz([SMALL], 3, 1)
    assert len(found.wrong) == 3
    assert problem in found.wrong[0]


def test_what_takes_long_is_found(monkeypatch):
    monkeypatch.setattr(fuzzing, "MOST_SECONDS", 0.02)
    ends = iter(range(10**6))

    def attempted(content: bytes) -> str:
        began = time.process_time()
        while time.process_time() < began + 0.03:
            next(ends)
        return "read"

    monkeypatch.setattr(fuzzing, "attempt", attempted)
    assert " s" in fuzz([SMALL], 1, 1).wrong[0]


def test_a_file_that_is_not_damaged_is_read(made):
    assert {attempt(seed.content) for seed in made} == {"read"}
    assert any(damaged(SMALL, made, random.Random(i)) != SMALL.content for i in range(5))
