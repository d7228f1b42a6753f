"""Data sets of many Parquet files: what a folder holds, and what a distributed run notes there of itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import accumulate
from pathlib import Path
from typing import Any

from fusionpy.errors import counted
from fusionpy.formats.atomic import written_aside
from fusionpy.formats.notes import read_json

__all__ = ["MODEL", "RECORD", "Part", "Record", "part_path", "parts_of", "read_record", "write_record"]

RECORD, MODEL = "_fusionpy.json", "_model.fsn"  # readers of data sets pass over names that begin so
FORMAT_VERSION = 1
MOST_FILES = 10_000_000


@dataclass(frozen=True)
class Part:
    """One file of a data set.

    Attributes
    ----------
    path : Path
    label : int or None
        The value of column M in all of its rows, where the file's folder tells it.
    n_rows : int or None
        Where a record tells it.
    noted : mapping
        What all files of the data set must say of themselves, where a record tells it.
    place : (int, int)
        Number of the partition, and that of its first row; said too.
    """

    path: Path
    label: int | None = None
    n_rows: int | None = None
    noted: Mapping[str, Any] = field(default_factory=dict)
    place: tuple[int, int] = (0, 0)

    @property
    def notes(self) -> dict[str, Any]:
        """What the file must say of itself; nothing where no record tells it."""
        own = {"implicate": self.label, "partition": self.place[0], "first_row": self.place[1]}
        return {**self.noted, **own} if self.noted else {}

    def amiss(self, n_rows: int, notes: Mapping[str, Any]) -> str | None:
        """Say why a file cannot be this part; nothing if it can.

        Parameters
        ----------
        n_rows : int
            That it has.
        notes : mapping
            What it says of itself.

        Examples
        --------
        >>> part = Part(Path("a"), 2, 9, {"M": 3}, (1, 9))
        >>> part.amiss(9, {**part.notes, "more": 1}), part.amiss(5, part.notes)
        (None, 'It has 5 rows, and should have 9')
        >>> part.amiss(9, {**part.notes, "implicate": 1})
        'It says that its `implicate` is 1, and should be 2'
        """
        if self.n_rows is not None and n_rows != self.n_rows:
            return f"It has {n_rows:,} rows, and should have {self.n_rows:,}"
        for name, wanted in self.notes.items():
            if notes.get(name, wanted) != wanted:
                return f"It says that its `{name}` is {notes[name]}, and should be {wanted}"
        return None


@dataclass(frozen=True)
class Record:
    """What a distributed run is to write, and of what: two runs with the same record write the same.

    Attributes
    ----------
    attributes : mapping
        What `fuse` notes: seed, M, offset, method, the model's seed and fusionpy's version.
    model : str
        SHA-256 of the model's archive.
    recipient : str
        Digest of the predictors and of what is carried along, over all partitions.
    retain : tuple of str
    kblock : int
    rows : tuple of int
        Of each partition of the recipient.
    """

    attributes: Mapping[str, Any]
    model: str
    recipient: str
    retain: tuple[str, ...]
    kblock: int
    rows: tuple[int, ...]

    @property
    def M(self) -> int:
        """Number of implicates."""
        return int(self.attributes["M"])

    def parts(self, folder: Path) -> list[Part]:
        """List all files, whether they are there or not, implicate after implicate."""
        noted = {**self.attributes, "model": self.model}
        firsts = list(accumulate(self.rows, initial=0))
        return [
            Part(part_path(folder, label, number), label, n_rows, noted, (number, firsts[number]))
            for label in range(1, self.M + 1)
            for number, n_rows in enumerate(self.rows)
        ]

    def differences(self, other: Record) -> list[str]:
        """Say how another run differs from this one.

        Examples
        --------
        >>> first = Record({"seed": 1, "M": 2}, "a", "b", ("hid",), 10, (5, 5))
        >>> second = Record({"seed": 2, "M": 2}, "a", "b", ("hid",), 10, (10,))
        >>> first.differences(second)
        ['`seed` is 2, there it is 1.', 'The recipient is in 1 partition of 10 rows, there in 2 of 5 to 5.']
        """
        found = [
            f"`{name}` is {other.attributes.get(name)}, there it is {self.attributes.get(name)}."
            for name in ("seed", "M", "redraw")
            if other.attributes.get(name) != self.attributes.get(name)
        ]
        if other.kblock != self.kblock:
            found.append(f"`kblock` is {other.kblock}, there it is {self.kblock}.")
        if other.retain != self.retain:
            found.append("`retain` names other columns.")
        if other.model != self.model:
            found.append("The model is another.")
        if other.rows != self.rows:
            found.append(f"The recipient is in {_sizes(other.rows, True)}, there in {_sizes(self.rows)}.")
        elif other.recipient != self.recipient:
            found.append("The recipient holds other values.")
        return found or (["The model's options are others."] if other != self else [])


def _sizes(rows: Sequence[int], told: bool = False) -> str:
    ends = f"{min(rows):,}" if len(rows) == 1 else f"{min(rows):,} to {max(rows):,}"
    return f"{counted(len(rows), 'partition')} of {ends} rows" if told else f"{len(rows):,} of {ends}"


def part_path(folder: Path, label: int, number: int) -> Path:
    """Name the file of one partition in one implicate.

    Examples
    --------
    >>> part_path(Path("out"), 1, 7).as_posix()
    'out/M=1/part-00007.parquet'
    """
    return folder / f"M={label}" / f"part-{number:05d}.parquet"


def write_record(folder: Path, record: Record) -> None:
    """Note in a folder what is written there."""
    with written_aside(folder / RECORD) as aside:
        aside.write_text(json.dumps({"format": FORMAT_VERSION, **asdict(record)}, indent=1))


def read_record(folder: Path) -> Record | None:
    """Read what a run has noted in a folder; nothing if there is no such note.

    Raises
    ------
    OSError
        If it cannot be read, or is not one of ours; the message says why.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        found = read_json(path.read_bytes())
        if found["format"] != FORMAT_VERSION:
            raise OSError(f"Its '{RECORD}' is of a newer fusionpy")
        record = Record(**{each.name: found[each.name] for each in fields(Record)})
        numbers = [record.M, record.kblock, *record.rows]
        if not all(isinstance(each, int) and each >= 0 for each in [record.attributes["M"], *numbers]):
            raise TypeError
        if not record.rows or not 0 < record.M * len(record.rows) <= MOST_FILES:
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise OSError(f"Its '{RECORD}' is damaged") from None
    return Record(
        record.attributes,
        record.model,
        record.recipient,
        tuple(record.retain),
        record.kblock,
        tuple(record.rows),
    )


def parts_of(folder: Path) -> tuple[list[Part], Mapping[str, Any] | None]:
    """List the files of a data set in the order of its rows.

    Parameters
    ----------
    folder : Path
        What `fusionpy.distributed.fuse` wrote; or with folders ``M=1``, ``M=2``, ... of Parquet files; or
        with Parquet files. Files come in the order of their names, in which numbers count as such: ``part.2``
        before ``part.10``, as Dask has it.

    Returns
    -------
    list of Part, and what is noted of how they were made, if anything is

    Raises
    ------
    OSError
        If there are none, or not all of them yet; the message says so.
    """
    record = read_record(folder)
    if record is not None:
        there = {path for place in folder.glob("M=*") for path in place.glob("*.parquet")}
        n_parts = record.M * len(record.rows)
        # A record of a few bytes can claim any number of files: they are listed if that many are there.
        parts = record.parts(folder) if len(there) >= n_parts else []
        n_there = sum(part.path in there for part in parts) if parts else len(there)
        if n_there < n_parts:
            written = f"{n_there:,} of {counted(n_parts, 'file')} are there"
            raise OSError(f"It is not complete ({written}): call `fusionpy.distributed.fuse()` again")
        return parts, {**record.attributes, "model": record.model}
    parts = [
        Part(path, int(match[1]))
        for place in folder.iterdir()
        if place.is_dir() and (match := re.fullmatch(r"M=(\d{1,9})", place.name))
        for path in _files(place)
    ]
    parts.sort(key=lambda part: part.label or 0)  # stable: files of an implicate stay in order
    if not parts:
        parts = [Part(path) for path in _files(folder)]
    if not parts:
        raise OSError("It is a folder without Parquet files")
    return parts, None


def _files(folder: Path) -> list[Path]:
    paths = [path for path in folder.glob("*.parquet") if path.name[0] not in "._" and path.is_file()]
    return sorted(paths, key=lambda path: _natural(path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key of a name; its numbers sort as such.

    Examples
    --------
    >>> sorted(["part.10", "part.2", "part.02"], key=_natural)
    ['part.02', 'part.2', 'part.10']
    """
    pieces = re.split(r"(\d+)", name)
    key = [(int(piece), "") if place % 2 else (-1, piece) for place, piece in enumerate(pieces)]
    return [*key, (-1, name)]
