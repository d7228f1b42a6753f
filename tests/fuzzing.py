"""Damages fst files at random, and makes Parquet files at random, and reads them, watching time and memory.

    python tests/fuzzing.py [--inputs 1000000] [--seed 1] [--golden ../shared/reference/fst]
    python tests/fuzzing.py --parquet [--inputs 100000] [--seed 1]

What comes of it depends on the seed and the input's number only, so that a finding can be had again.
"""

from __future__ import annotations

import argparse
import random
import struct
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from fusionpy.errors import ArgumentError
from fusionpy.formats.fst import FstFile, open_fst, pack_fst
from fusionpy.formats.fst.codecs import hashed

MOST_SECONDS = 2.0
MOST_RATIO = 10  # of memory to the file's size
MUCH_MORE = 3  # a sound file that unpacks to more than this may take as much as its rows do, instead
FIXED = 2**18  # bytes that reading may take whatever the file's size
MOST_PARQUET = 200 * 2**20  # bytes that reading a small Parquet file may take
HEAD = 48
POOLS: list[pa.MemoryPool] = []  # kept for good: an array that outlives its pool crashes
WORDS = [0, 1, 2, 3, 4, 7, 8, 12, 13, 255, 2047, 2048, 4096, 4097, 16384, 2**16, 2**24, 2**31 - 1, 2**31]
WORDS += [2**32 - 1, 2**40, 2**48 - 1, 2**62, 2**63, 2**64 - 1]


def rehash(content: bytes) -> bytes:
    """Make the hashes of the head right again, as whoever damages a file on purpose would."""
    out = bytearray(content)
    try:
        n_columns, n_keys = struct.unpack_from("<i", out, 28)[0], struct.unpack_from("<i", out, 40)[0]
        if not (0 <= n_columns < 1000 and 0 <= n_keys < 1000):
            n_columns = n_keys = 0
        sizes = [48, *([8 + 4 * (n_keys + n_keys % 2)] if n_keys else []), 80 + 8 * n_columns, 24]
        at = 0
        for size in [*sizes, 0, 96, 24 + 8 * n_columns]:
            if size == 0:  # the names; they have no hash
                per_block = struct.unpack_from("<I", out, at + 4)[0]
                if per_block == 0:
                    break
                n_blocks = -(-n_columns // per_block)
                at += struct.unpack_from("<Q", out, at + 8 * n_blocks)[0] if n_blocks else 0
                continue
            if at + size <= len(out):
                struct.pack_into("<Q", out, at, hashed(bytes(out[at + 8 : at + size])))
            at += size
    except struct.error:
        pass
    return bytes(out)


@dataclass(frozen=True)
class Seed:
    """A sound file to be damaged."""

    name: str
    content: bytes = field(repr=False)
    places: tuple[int, ...]  # where its parts begin
    row_counts: tuple[int, ...]  # where the number of rows is written
    held: int  # bytes of it in memory, read, if that is much more than the file has; else 0

    @classmethod
    def of(cls, name: str, content: bytes) -> Seed:
        file = open_fst(content)
        n_keys = struct.unpack_from("<i", content, 40)[0]
        chunkset = HEAD + (8 + 4 * (n_keys + n_keys % 2) if n_keys else 0)
        names = chunkset + 80 + 8 * len(file.names) + 24
        size = struct.unpack_from("<Q", content, names + 8)[0] if file.names else 0
        places = [0, chunkset, names - 24, names, names + size, names + size + 96]
        for column in file.columns:
            places.append(column.position)
            if column.kind.storage == 7:  # a factor's codes
                places.append(struct.unpack_from("<Q", content, column.position + 8)[0])
        within = tuple(place for place in places if place < len(content))
        held = file.read().nbytes
        held = held if held > MUCH_MORE * len(content) else 0
        return cls(name, content, within, (chunkset + 64, names + size + 64), held)


def made_seeds() -> list[Seed]:
    """Files of our own writer: all types and ways of packing, small and not so small."""
    seeds = []
    for n, levels in ((70, (0, 45, 100)), (5_000, (0, 60)), (40_000, (0, 50, 90))):
        for compress in levels:
            table = everything(n)
            seeds.append(Seed.of(f"everything {n} at {compress}", pack_fst(table, compress, ["int"])))
    packed = pa.table(
        {"M": pa.array(np.repeat([1, 2], 50_000), pa.int32()), "y": np.tile(np.arange(20.0), 5_000)}
    )
    seeds.append(Seed.of("packed tightly", pack_fst(packed, 100, ["M"])))
    bare = pa.DictionaryArray.from_arrays(pa.array([None] * 20_000, pa.int32()), pa.array([], pa.string()))
    table = pa.table({"bare": bare, "a": np.arange(20_000.0)})
    seeds.append(Seed.of("a factor without levels", pack_fst(table, 30)))
    seeds.append(Seed.of("no columns", pack_fst(pa.table({}))))
    return seeds


def everything(n: int) -> pa.Table:
    """Make a table with most of the types there are."""
    rng = np.random.default_rng(n)
    some = rng.random(n) < 0.2
    words = pa.array(["", "a", "bcd", "été", "中文", "long " * 40, *(f"word {i}" for i in range(300))])
    levels = pa.array([f"level {i}" for i in range(200)])
    few = pa.array(rng.integers(0, 9, n), pa.int32(), mask=some)
    return pa.table(
        {
            "int": pa.array(rng.integers(-(2**31) + 1, 2**31, n), pa.int32(), mask=some),
            "dbl": pa.array(rng.normal(size=n), mask=some),
            "lgl": pa.array(rng.random(n) < 0.5, mask=some),
            "chr": words.take(pa.array(rng.integers(0, len(words), n), mask=some)),
            "few": pa.DictionaryArray.from_arrays(few, levels[:9]),
            "many": pa.DictionaryArray.from_arrays(
                pa.array(rng.integers(0, 200, n), pa.int32()), levels, ordered=True
            ),
            "i64": pa.array(rng.integers(-(2**63) + 1, 2**63, n), mask=some),
            "day": pa.array(rng.integers(0, 20_000, n), pa.int32(), mask=some).cast(pa.date32()),
            "time": pa.array(rng.integers(0, 2**41, n), pa.timestamp("us", "Europe/Berlin"), mask=some),
            "raw": pa.array(rng.integers(0, 9, n), pa.uint8()),
        }
    )


def golden_seeds(folder: Path) -> list[Seed]:
    """Files that R wrote; without the four that are damaged already."""
    return [
        Seed.of(path.stem, path.read_bytes())
        for path in sorted(folder.glob("*.fst"))
        if not path.stem.startswith("bad_")
    ]


def damaged(seed: Seed, others: Sequence[Seed], rng: random.Random) -> bytes:
    """Damage a file in one to three ways; usually as if on purpose, with sound hashes."""
    content = bytearray(seed.content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        way = rng.choices([_flip, _set_field, _set_rows, _truncate, _splice, _repeat], [3, 8, 2, 1, 2, 1])[0]
        way(content, seed, others, rng)
    return rehash(bytes(content)) if rng.random() < 0.9 else bytes(content)


def _place(content: bytearray, seed: Seed, rng: random.Random) -> int:
    """Choose a byte, near the start of a part more often than not."""
    if rng.random() < 0.8:
        at = rng.choice(seed.places) + int(rng.expovariate(1 / 24))
    else:
        at = rng.randrange(len(content) + 1)
    return min(at, max(len(content) - 1, 0))


def _flip(content: bytearray, seed: Seed, others: Sequence[Seed], rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 2, 8])):
        if content:
            content[_place(content, seed, rng)] ^= 1 << rng.randrange(8)


def _set_field(content: bytearray, seed: Seed, others: Sequence[Seed], rng: random.Random) -> None:
    size = rng.choice([1, 2, 4, 4, 8, 8])
    at = _place(content, seed, rng)
    if rng.random() < 0.7:
        at = max(min(seed.places, key=lambda place: abs(place - at)), at - (at - min(seed.places)) % size)
    _pack(content, at, size, _value(int.from_bytes(content[at : at + size], "little"), len(content), rng))


def _set_rows(content: bytearray, seed: Seed, others: Sequence[Seed], rng: random.Random) -> None:
    at = seed.row_counts[0]
    value = _value(int.from_bytes(content[at : at + 8], "little"), len(content), rng)
    for at in seed.row_counts:
        _pack(content, at, 8, value)


def _value(old: int, size: int, rng: random.Random) -> int:
    if rng.random() < 0.6:
        return rng.choice(
            [old + 1, old - 1, 2 * old, 4 * old, 16 * old, 100 * old, old // 2, old + 4096, old ^ 1 << 48]
        )
    return rng.choice([*WORDS, size, size * 8, size * 255, size * 2000, rng.randrange(2**34)])


def _pack(content: bytearray, at: int, size: int, value: int) -> None:
    if at >= 0 and at + size <= len(content):
        content[at : at + size] = (value % 2 ** (8 * size)).to_bytes(size, "little")


def _truncate(content: bytearray, seed: Seed, others: Sequence[Seed], rng: random.Random) -> None:
    del content[_place(content, seed, rng) :]


def _splice(content: bytearray, seed: Seed, others: Sequence[Seed], rng: random.Random) -> None:
    """Put a part of some file over, or between, what there is."""
    other = rng.choice([seed, rng.choice(others)])
    start = rng.choice(other.places) if rng.random() < 0.5 else rng.randrange(len(other.content))
    part = other.content[start : start + int(rng.expovariate(1 / 100))]
    at = _place(content, seed, rng)
    content[at : at + rng.choice([0, len(part)])] = part


def _repeat(content: bytearray, seed: Seed, others: Sequence[Seed], rng: random.Random) -> None:
    """Repeat some bytes many times, as long claims are made."""
    at = _place(content, seed, rng)
    part = bytes(content[at : at + rng.choice([1, 4, 8, 16])]) * rng.choice([2, 16, 300])
    content[at : at + rng.choice([0, len(part)])] = part


class Meter:
    """Measures the peak of what Python and Arrow allocate, input by input."""

    def __enter__(self) -> Meter:
        self._before = pa.default_memory_pool()
        tracemalloc.start()
        self.restart()
        return self

    def restart(self) -> None:
        POOLS.append(pa.proxy_memory_pool(self._before))  # the peak of an old one never falls
        pa.set_memory_pool(POOLS[-1])
        tracemalloc.reset_peak()
        self._base = tracemalloc.get_traced_memory()[0]

    def peak(self) -> int:
        """Bytes, of both together at most."""
        return tracemalloc.get_traced_memory()[1] - self._base + max(POOLS[-1].max_memory(), 0)

    def __exit__(self, *error: object) -> None:
        tracemalloc.stop()
        pa.set_memory_pool(self._before)


@dataclass
class Found:
    """What came of many inputs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    largest: tuple[float, str] = (0.0, "")  # memory beyond `FIXED`, over the file's size
    wrong: list[str] = field(default_factory=list)


def attempt(content: bytes) -> str:
    """Read what can be read; any exception but ours passes through, as does a table that is not sound."""
    try:
        file = open_fst(content)
    except ArgumentError:
        return "refused"
    fine = [_is_sound(file, name) for name in file.names]
    return "read" if all(fine) else "read in part" if any(fine) else "refused, but for its head"


def _is_sound(file: FstFile, name: str) -> bool:
    try:
        file.read(name).validate(full=True)
        file.read(name, file.n_rows // 2, 5).validate(full=True)
    except ArgumentError:
        return False
    return True


def inputs(seeds: Sequence[Seed], n: int, seed: int, first: int = 0) -> Iterator[tuple[str, Seed, bytes]]:
    """Make damaged files; large ones are damaged less often."""
    chance = [1 / (1 + len(each.content) / 100_000) for each in seeds]
    for number in range(first, first + n):
        rng = random.Random(f"{seed} {number}")
        chosen = rng.choices(seeds, chance)[0]
        yield f"{number} of seed {seed} ({chosen.name})", chosen, damaged(chosen, seeds, rng)


def fuzz(seeds: Sequence[Seed], n: int, seed: int, first: int = 0) -> Found:
    """Damage and read `n` files."""
    found = Found()
    with Meter() as meter:
        for each in seeds:  # what is allocated once is not an input's
            attempt(each.content)
        for label, origin, content in inputs(seeds, n, seed, first):
            meter.restart()
            began = time.process_time()
            try:
                found.outcomes[attempt(content)] += 1
            except Exception as error:
                found.wrong.append(f"{label}: {type(error).__name__}: {error}")
            seconds, memory = time.process_time() - began, max(meter.peak() - FIXED, 0)
            found.slowest = max(found.slowest, (seconds, label))
            ratio = memory / max(len(content), origin.held, 1)
            found.largest = max(found.largest, (ratio, label))
            if seconds > MOST_SECONDS:
                found.wrong.append(f"{label}: {seconds:.1f} s")
            if ratio > MOST_RATIO:
                found.wrong.append(f"{label}: {memory:,} bytes for {len(content):,}")
    return found


# Parquet


def random_parquet(rng: random.Random) -> bytes:
    """A small file that claims anything: long values, long lists, long runs, ends that lie; or is damaged."""
    import bombs

    n = rng.choice([1, 10, 1000, 2**16, 2**20, 2**24, 2**30])
    columns = [bombs.repeat("M", bombs.INT32, struct.pack("<i", rng.randrange(3)), n)]
    for j in range(rng.choice([1, 1, 2, 5])):
        size, name = rng.choice([0, 1, 8, 100, 2**10, 2**16, 2**20]), f"x{j}"
        lie = rng.choice([None, None, None, 0, 1, n, 2**31])
        way = rng.randrange(6)
        if way == 0:
            column = bombs.repeat(name, bombs.TEXT, b"x" * size, n, claimed=lie)
        elif way == 1:
            column = bombs.repeat(name, bombs.FIXED, b"x" * size, n, width=size, claimed=lie)
        elif way == 2:
            column = bombs.repeat(name, bombs.DOUBLE, bytes(8), rng.choice([n, n + 1, 2**30]), claimed=lie)
        elif way == 3:
            n_listed = rng.choice([1, 1000, 2**20, 2**28])
            column = bombs.long_list(name, n_listed, b"x" * rng.choice([0, size]), claimed=lie)
        elif way == 4:
            column = bombs.shared_prefix(name, min(n, 2**13), size)
        else:
            column = bombs.Column(name, bombs.DOUBLE, bytes(min(8 * n, 2**25)), n, bombs.PLAIN, claimed=lie)
        columns.append(column)
    content = bytearray(bombs.parquet(columns, n))
    if rng.random() < 0.4:
        for _ in range(rng.choice([1, 1, 3])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(content)


def fuzz_parquet(folder: Path, n: int, seed: int, first: int = 0) -> Found:
    """Make and read `n` files of implicates, as users do."""
    import fusionpy

    found = Found()
    path = folder / "random.parquet"
    with Meter() as meter:
        for number in range(first, first + n):
            content = random_parquet(random.Random(f"parquet {seed} {number}"))
            path.write_bytes(content)
            meter.restart()
            began = time.process_time()
            label = f"{number} of seed {seed}"
            try:
                found.outcomes["read" if fusionpy.read_fsd(path, M=None, kind="pyarrow") else "empty"] += 1
            except (ArgumentError, fusionpy.errors.SchemaError):
                found.outcomes["refused"] += 1
            except Exception as error:
                found.wrong.append(f"{label}: {type(error).__name__}: {error}")
            seconds, memory = time.process_time() - began, meter.peak()
            found.slowest = max(found.slowest, (seconds, label))
            found.largest = max(found.largest, (float(memory), label))
            if memory > MOST_PARQUET:
                found.wrong.append(f"{label}: {memory:,} bytes for {len(content):,}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    golden = Path(__file__).resolve().parents[2] / "shared" / "reference" / "fst"
    parser.add_argument("--golden", type=Path, default=golden)
    parser.add_argument("--parquet", action="store_true")
    given = parser.parse_args()
    if given.parquet:
        with tempfile.TemporaryDirectory() as folder:
            for first in range(given.first, given.first + given.inputs, 1000):
                found = fuzz_parquet(
                    Path(folder), min(1000, given.first + given.inputs - first), given.seed, first
                )
                print(
                    first,
                    dict(found.outcomes),
                    found.slowest,
                    found.largest,
                    *found.wrong,
                    sep="\n  ",
                    flush=True,
                )
        return
    seeds = [*made_seeds(), *golden_seeds(given.golden)]
    print(f"{len(seeds)} sound files, {sum(len(each.content) for each in seeds):,} bytes", flush=True)
    for first in range(given.first, given.first + given.inputs, 10_000):
        found = fuzz(seeds, min(10_000, given.first + given.inputs - first), given.seed, first)
        print(first, dict(found.outcomes), found.slowest, found.largest, *found.wrong, sep="\n  ")


if __name__ == "__main__":
    main()
