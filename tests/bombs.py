"""Files of a few kB that would take gigabytes, or hours: made here, byte by byte, and kept nowhere.

python tests/bombs.py            what each does to this fusionpy: error, seconds, MB
"""

from __future__ import annotations

import gzip
import io
import itertools
import json
import random
import resource
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow as pa
from fuzzing import Seed, rehash

from fusionpy.formats.fst import pack_fst

SOUND = Path(__file__).with_name("archives") / "format-2.fsn"
DONORS, MANIFEST = "fusionpy~donor.parquet", "manifest.json"
INT32, INT64, DOUBLE, TEXT, FIXED = 1, 2, 5, 6, 7
PLAIN, RLE, BY_PREFIX, BY_DICTIONARY = 0, 3, 7, 8
ZSTD = 6


# Parquet, by hand: what Arrow would not write


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def zigzag(number: int) -> bytes:
    return varint(number << 1 if number >= 0 else (-number << 1) - 1)


class Long(int):
    """A number of eight bytes."""


def thrift(*fields: tuple[int, int | str | bytes | list | None]) -> bytes:
    """A structure in Thrift's compact protocol: numbers, text, and lists of either or of structures."""
    out, before = bytearray(), 0
    for number, value in fields:
        if value is None:
            continue
        kind = (
            (6 if isinstance(value, Long) else 5)
            if isinstance(value, int)
            else 8
            if isinstance(value, str)
            else 9
        )
        kind = 12 if isinstance(value, bytes) else kind
        out += bytes([(number - before) << 4 | kind]) + element(value)
        before = number
    return bytes([*out, 0])


def element(value: int | str | bytes | list) -> bytes:
    if isinstance(value, int):
        return zigzag(value)
    if isinstance(value, str):
        return varint(len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return value
    kind = {int: 5, str: 8, bytes: 12}[type(value[0])] if value else 12
    head = bytes([len(value) << 4 | kind]) if len(value) < 15 else bytes([240 | kind]) + varint(len(value))
    return head + b"".join(map(element, value))


def run(value: int, n: int, width: int = 1) -> bytes:
    """A run of equal numbers."""
    return varint(n << 1) + value.to_bytes(-(-width // 8), "little")


def deltas(values: Sequence[int]) -> bytes:
    """Numbers as differences, packed."""
    out = varint(128) + varint(4) + varint(len(values)) + zigzag(values[0])
    steps = [b - a for a, b in itertools.pairwise(values)]
    for start in range(0, len(steps), 128):
        block = steps[start : start + 128]
        least = min(block)
        minis = [[each - least for each in block[at : at + 32]] for at in range(0, 128, 32)]
        widths = [max(mini, default=0).bit_length() for mini in minis]
        out += zigzag(least) + bytes(widths)
        for mini, width in zip(minis, widths, strict=True):
            packed = sum(each << (at * width) for at, each in enumerate(mini))
            out += packed.to_bytes(4 * width, "little")
    return out


@dataclass(frozen=True)
class Column:
    """A column of one row group: its pages, and what the file's end says of them."""

    name: str
    kind: int
    data: bytes  # of the data page, unpacked
    n_values: int  # as the page has it
    encoding: int = BY_DICTIONARY
    dictionary: bytes | None = None
    claimed: int | None = None  # number of values at the file's end
    width: int | None = None  # of values of fixed length
    repeated: bool = False


def repeat(name: str, kind: int, value: bytes, n: int, **more: object) -> Column:
    """One value, over and over."""
    head = struct.pack("<i", len(value)) if kind == TEXT else b""
    return Column(name, kind, b"\1" + run(0, n), n, dictionary=head + value, **more)


def parquet(columns: Sequence[Column], n_rows: int, notes: dict[str, str] | None = None) -> bytes:
    out = bytearray(b"PAR1")
    chunks, schema = [], [thrift((4, "schema"), (5, len(columns)))]
    for column in columns:
        start = len(out)
        if column.dictionary is not None:
            out += _page(2, column.dictionary, (7, thrift((1, 1), (2, PLAIN))))
        at = len(out)
        about = thrift((1, column.n_values), (2, column.encoding), (3, RLE), (4, RLE))
        out += _page(0, column.data, (5, about))
        repetition = 2 if column.repeated else 0
        text = 0 if column.kind == TEXT else None
        schema.append(
            thrift((1, column.kind), (2, column.width), (3, repetition), (4, column.name), (6, text))
        )
        meta = thrift(
            (1, column.kind),
            (2, [PLAIN, RLE, column.encoding]),
            (3, [column.name]),
            (4, ZSTD),
            (5, Long(column.n_values if column.claimed is None else column.claimed)),
            (6, Long(len(out) - start)),
            (7, Long(len(out) - start)),
            (9, Long(at)),
            (11, Long(start) if at > start else None),
        )
        chunks.append(thrift((2, Long(start)), (3, meta)))
    group = thrift((1, chunks), (2, Long(len(out))), (3, Long(n_rows)))
    pairs = [thrift((1, key), (2, value)) for key, value in (notes or {}).items()]
    foot = thrift((1, 2), (2, schema), (3, Long(n_rows)), (4, [group]), (5, pairs or None))
    return bytes(out) + foot + struct.pack("<i", len(foot)) + b"PAR1"


def _page(kind: int, data: bytes, about: tuple[int, bytes]) -> bytes:
    packed = pa.compress(data, "zstd", asbytes=True)
    return thrift((1, kind), (2, len(data)), (3, len(packed)), about) + packed


def long_text(name: str, n: int = 6_000) -> Column:
    return repeat(name, TEXT, b"x" * 2**20, n)


def shared_prefix(name: str, n: int = 6_000, size: int = 2**20) -> Column:
    data = deltas([0, *[size] * (n - 1)]) + deltas([size, *[0] * (n - 1)]) + b"x" * size
    return Column(name, TEXT, data, n, BY_PREFIX)


def long_list(name: str, n: int = 2**28, text: bytes = b"", **more: object) -> Column:
    """One row, a list of a number or a text over and over."""
    levels = [run(0, 1) + run(1, n - 1), run(1, n)]
    data = b"".join(struct.pack("<i", len(each)) + each for each in levels) + b"\1" + run(0, n)
    value = struct.pack("<i", len(text)) + text if text else bytes(8)
    return Column(name, TEXT if text else DOUBLE, data, n, dictionary=value, repeated=True, **more)


def parquet_bombs(first: Sequence[Column], names: Sequence[str]) -> dict[str, bytes]:
    """Tables of which one column is a bomb; the first ones are as they should be, of 6,000 rows or of one."""
    n = 6_000
    rest = [repeat(name, DOUBLE, struct.pack("<d", 1), n) for name in names[1:]]
    sound = [*first, *rest]
    one = [replace(column, data=b"\1" + run(0, 1), n_values=1) for column in sound]
    many = [replace(column, data=b"\1" + run(0, 2**30), n_values=2**30) for column in sound]
    name = names[0]
    return {
        "a long text repeated": parquet([*sound, long_text(name)], n),
        "texts with a long beginning in common": parquet([*sound, shared_prefix(name)], n),
        "a long value of fixed length repeated": parquet(
            [*sound, repeat(name, FIXED, b"x" * 2**20, n, width=2**20)], n
        ),
        "a list of 2**28 numbers": parquet([*one, long_list(name)], 1),
        "a list whose length the end denies": parquet([*one, long_list(name, claimed=1)], 1),
        "a run of 2**30 numbers": parquet([*many, repeat(name, DOUBLE, bytes(8), 2**30)], 2**30),
        "a run whose length the end denies": parquet(
            [*sound, repeat(name, DOUBLE, bytes(8), 2**30, claimed=n)], n
        ),
        "a page of 128 MB": parquet([*sound, Column(name, DOUBLE, bytes(2**27), n, PLAIN)], n),
        "more rows than the page has": parquet([*sound, repeat(name, DOUBLE, bytes(8), 9)], n),
    }


# Archives


def members_of(path: Path = SOUND) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def archive_with(**members: bytes) -> bytes:
    return zipped(members_of() | members)


def manifest_with(**entries: object) -> bytes:
    return json.dumps(json.loads(members_of()[MANIFEST]) | entries).encode()


def r_archive(metadata: bytes, donor: bytes = b"") -> bytes:
    return zipped({"metadata.rds": metadata, "donor.fst": donor})


RDS = b"X\n" + struct.pack(">3i", 2, 0x40000, 0x20300)


def compact(n: float, deferred: bool) -> bytes:
    """A sequence that R keeps in short, or the texts of one."""
    name = b"compact_intseq"
    symbol = struct.pack(">3i", 1, 9 | 64 << 12, len(name)) + name
    about = struct.pack(">i", 2) + symbol + struct.pack(">i", 254)
    state = struct.pack(">2i3d", 14, 3, n, 1, 1)
    found = struct.pack(">i", 238) + about + state + struct.pack(">i", 254)
    if not deferred:
        return found
    name = b"deferred_string"
    symbol = struct.pack(">3i", 1, 9 | 64 << 12, len(name)) + name
    about = struct.pack(">i", 2) + symbol + struct.pack(">i", 254)
    return struct.pack(">i", 238) + about + struct.pack(">i", 2) + found + struct.pack(">2i", 254, 254)


def listed(items: bytes, n: int) -> bytes:
    return RDS + struct.pack(">2i", 19, n) + items


def overlapping(n: int, content: bytes) -> bytes:
    """Many members that are all the same bytes of the file."""
    archive = zipped({"0": content})
    end = archive.rindex(b"PK\5\6")
    start = struct.unpack_from("<I", archive, end + 16)[0]
    entry = archive[start:end]
    head = entry[:28] + struct.pack("<H", 6) + entry[30:46]
    entries = b"".join(head + b"%06d" % number for number in range(n))
    few = min(n, 2**16 - 1)
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, few, few, len(entries), start, 0)
    return archive[:start] + entries + tail


def false_size(name: str, content: bytes, claimed: int) -> bytes:
    """An archive whose head tells another size of a member than it has."""
    out = bytearray(archive_with(**{name: content}))
    for signature, place, at in ((b"PK\1\2", 24, 46), (b"PK\3\4", 22, 30)):
        begin = -1
        while (begin := out.find(signature, begin + 1)) >= 0:
            if out[begin + at : begin + at + len(name)] == name.encode():
                struct.pack_into("<I", out, begin + place, claimed)
    return bytes(out)


def archive_bombs() -> dict[str, bytes]:
    first, *others = json.loads(members_of()[MANIFEST])["donor_columns"]
    tables = {
        name: archive_with(**{DONORS: content})
        for name, content in parquet_bombs([], [first, *others, "W.."]).items()
    }
    empty = struct.pack(">2i", 13, 0)
    mixed = b"".join(struct.pack(">2i", 13 if each is None else 16, 0) for each in _mixed(2**19))
    text = members_of()
    model = next(name for name in text if name.endswith(".txt"))
    lines = b"tree\n" + b"0 " * 2**19
    return {
        **{f"donors: {name}": content for name, content in tables.items()},
        "JSON of empty lists": archive_with(**{MANIFEST: b"[" + b"[]," * 2**21 + b"[]]"}),
        "JSON of lists and objects": archive_with(**{MANIFEST: manifest_with(not_for_r=_mixed(2**20))}),
        "JSON nested deep": archive_with(**{MANIFEST: b"[" * 300_000 + b"]" * 300_000}),
        "JSON with a long number": archive_with(
            **{MANIFEST: manifest_with(seconds=0)[:-1] + b',"a":' + b"9" * 900_000 + b"}"}
        ),
        "JSON with infinite numbers": archive_with(
            **{MANIFEST: manifest_with().replace(b'"seconds": ', b'"seconds": 1e999, "_": ')}
        ),
        "RDS packed twice": r_archive(gzip.compress(gzip.compress(listed(bytes(2**26), 2**24), 1), 1)),
        "RDS of zeros": r_archive(gzip.compress(RDS + struct.pack(">2i", 13, 2**24) + bytes(2**26), 1)),
        "RDS of empty vectors": r_archive(gzip.compress(listed(empty * 2**17, 2**17))),
        "RDS of lists and vectors": r_archive(gzip.compress(listed(mixed, 2**19))),
        "RDS of sequences in short": r_archive(gzip.compress(listed(compact(4e6, False), 1))),
        "RDS of texts in short": r_archive(gzip.compress(listed(compact(4e6, True), 1))),
        "RDS nested deep": r_archive(gzip.compress(RDS + struct.pack(">2i", 19, 1) * 100_000)),
        "a model of zeros": archive_with(**{model: lines}),
        "a member of 64 MB": zipped({MANIFEST: bytes(2**26)}),
        "many members that are one": overlapping(5_000, bytes(2**20)),
        "a member larger than it says": false_size(DONORS, bytes(2**24), 1000),
        "a member that says 4 GB": false_size(DONORS, text[DONORS], 2**32 - 2),
        "200,001 members": overlapping(200_001, b""),
    }


def _mixed(n: int) -> list[list[object] | None]:
    """Empty lists and nothing in no order: they cannot be packed as tightly as zeros."""
    rng = random.Random(1)
    return [[] if rng.random() < 0.5 else None for _ in range(n)]


# Tables


def table_bombs(name: str, *others: str) -> dict[str, bytes]:
    m = repeat("M", INT32, struct.pack("<i", 1), 6_000)
    found = parquet_bombs([m], [name, *others])
    return {**found, **_bombs_in_m(name)} if not others else found


def _bombs_in_m(name: str) -> dict[str, bytes]:
    n = 6_000
    one = repeat("M", INT32, struct.pack("<i", 1), 1)
    number = repeat(name, DOUBLE, bytes(8), n)
    return {
        "M: a long text repeated": parquet([long_text("M"), number], n),
        "M: a list": parquet([long_list("M"), replace(number, data=one.data, n_values=1)], 1),
        "a long text in a list": parquet([one, long_list(name, n, text=b"x" * 2**20)], 1),
    }


def fst_bomb() -> bytes:
    """Ten rows that say they are 2**31."""
    table = pa.table({"M": pa.array([1] * 10, pa.int32()), "x": [0.5] * 10})
    seed = Seed.of("", pack_fst(table, 50, ["M"]))
    content = bytearray(seed.content)
    for place in seed.row_counts:
        struct.pack_into("<Q", content, place, 2**31)
    return rehash(bytes(content))


def folder_bombs(folder: Path) -> dict[str, Path]:
    record = {"format": 1, "model": "", "recipient": "", "retain": [], "kblock": 10, "rows": [1]}
    contents = {
        "a record of five million implicates": json.dumps(record | {"attributes": {"M": 5_000_000}}).encode(),
        "a record of ten million files": json.dumps(
            record | {"attributes": {"M": 10}, "rows": [1] * 1000}
        ).encode(),
        "a record of lists": json.dumps(record | {"attributes": {"M": 1, "a": [[]] * 300_000}}).encode(),
        "a record nested deep": b"[" * 300_000,
    }
    found = {}
    for name, content in contents.items():
        (folder / name).mkdir()
        (folder / name / "_fusionpy.json").write_bytes(content)
        found[name] = folder / name
    return found


def csv_bombs() -> dict[str, bytes]:
    return {
        "half a million columns": gzip.compress(
            b"a" + b",b" * 500_000 + b"\n" + b"1" + b",1" * 500_000 + b"\n"
        ),
        "128 MB of zeros": gzip.compress(b"a,b\n" + b"0,0\n" * 2**25),
        "a line of 128 MB": gzip.compress(b"a,b\n0," + b"0" * 2**27),
    }


# What they do


@dataclass(frozen=True)
class Outcome:
    """What came of reading a bomb."""

    name: str
    size: int
    error: str
    seconds: float
    megabytes: float


def attempts(folder: Path) -> list[tuple[str, Path, Callable[[], object]]]:
    """Write all bombs; tell how each is set off."""
    import fusionpy
    from fusionpy.cli.surveys import open_survey

    found: list[tuple[str, Path, Callable[[], object]]] = []

    def write(name: str, ending: str, content: bytes) -> Path:
        path = folder / f"{len(list(folder.iterdir()))}{ending}"
        path.write_bytes(content)
        return path

    for name, content in archive_bombs().items():
        path = write(name, ".fsn", content)
        found.append((f"read_fsn: {name}", path, lambda path=path: fusionpy.read_fsn(path)))
    for name, content in table_bombs("x").items():
        path = write(name, ".parquet", content)
        alone = folder / f"in {path.stem}"
        (alone / "M=1").mkdir(parents=True)
        (alone / "M=1" / "part.parquet").write_bytes(content)
        ways = {
            "read_fsd": lambda path=path: fusionpy.read_fsd(path),
            "read_fsd of a folder": lambda path=alone: fusionpy.read_fsd(path),
            "analyze": lambda path=path: fusionpy.analyze("mean(x)", path, quiet=True),
            "command line": lambda path=path: open_survey(str(path)).read(["x", "M"]).to_pandas(),
        }
        if name.startswith("M:"):  # where the folder's name tells M, the column is not read
            del ways["read_fsd of a folder"]
        found += [(f"{way}: {name}", path, act) for way, act in ways.items()]
    x = [variable.name for variable in fusionpy.read_fsn(SOUND).schema.x]
    for name, content in table_bombs(*x).items():
        path = write(name, ".parquet", content)
        found.append((f"fuse: {name}", path, lambda path=path: fusionpy.fuse(path, SOUND, quiet=True)))
    path = write("", ".fsd", fst_bomb())
    found.append(
        ("read_fsd: ten rows that say they are 2**31", path, lambda path=path: fusionpy.read_fsd(path))
    )
    for name, path in folder_bombs(folder).items():
        found.append(
            (f"read_fsd: {name}", path / "_fusionpy.json", lambda path=path: fusionpy.read_fsd(path))
        )
    for name, content in csv_bombs().items():
        path = write(name, ".csv.gz", content)
        act = lambda path=path: open_survey(str(path)).read(["a", "b"])  # noqa: E731
        found.append((f"command line: {name}", path, act))
    return found


def peak() -> float:
    """Most MB that this process has held since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def set_off(folder: Path) -> Iterator[Outcome]:
    """Read every bomb, in this process, which may hold so much only that nothing else is harmed."""
    import fusionpy

    fusionpy.read_fsn(SOUND)  # what is loaded once is no bomb's
    bombs = attempts(folder)
    resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30, resource.RLIM_INFINITY))
    for name, path, act in bombs:
        forget_peak()
        before, began = peak(), time.process_time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                act()
            error = ""
        except fusionpy.errors.FusionError as found:
            error = str(found)
        except BaseException as found:  # a bug, MemoryError among others
            error = f"!{type(found).__name__}: {found}"
        yield Outcome(name, path.stat().st_size, error, time.process_time() - began, peak() - before)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for each in set_off(Path(folder)):
            if "--json" in sys.argv:
                print(json.dumps(asdict(each)), flush=True)
                continue
            said = each.error.replace("\n", " ").replace(folder, "")[:150] or "READ"
            figures = f"{each.size:>10,} B {each.seconds:6.2f} s {each.megabytes:6.0f} MB"
            print(f"{figures}  {each.name}: {said}", flush=True)


if __name__ == "__main__":
    main()
