"""What workers do for fuse(): look at a partition, and write its implicates."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fusionpy.distributed.partitions import table_of
from fusionpy.drawing.urns import ReadyModel, prepare
from fusionpy.errors import OutputError, SchemaError, few
from fusionpy.formats.atomic import shown_path
from fusionpy.formats.folders import MODEL, Part, part_path
from fusionpy.formats.notes import with_metadata
from fusionpy.formats.partitioned import is_finished
from fusionpy.formats.stored import write_stored
from fusionpy.formats.widths import Different, brought
from fusionpy.frames.digests import digest_columns
from fusionpy.frames.tables import Unreadable
from fusionpy.fusion.chunks import Drawing, DrawingPlan, redrawn
from fusionpy.fusion.recipients import code_recipient, open_recipient, read_along
from fusionpy.kernels.digests import Digest
from fusionpy.model import FusionModel
from fusionpy.model.archive import read_fsn
from fusionpy.model.areas import area_problems, code_areas
from fusionpy.model.ranges import Tally, tally

__all__ = ["Looked", "Run", "digest_of", "fuse_part", "look"]

ROWS = 2**14  # that are drawn at a time


@dataclass(frozen=True)
class Run:
    """What is the same in all tasks of a run.

    Attributes
    ----------
    folder : str
        Of the data set, with the model in it.
    digest : str
        Of the model's archive.
    attributes : mapping
        What is noted in the files; the seed is one of them.
    retain : tuple of str
    kblock : int
    cores : int
        Threads of a task.
    n_rows : int
        That each stand-in of the model is going to predict, as far as that is known.
    types : mapping of str to pyarrow.DataType
        Of retained columns that are of other types in some partitions.
    """

    folder: str
    digest: str
    attributes: Mapping[str, Any]
    retain: tuple[str, ...]
    kblock: int
    cores: int
    n_rows: int = 0
    types: Mapping[str, pa.DataType] = field(default_factory=dict)

    def model(self) -> FusionModel:
        """Read the model, once in every process."""
        model = _model_at(f"{self.folder}/{MODEL}", self.digest)
        return redrawn(model, self.attributes.get("redraw"))

    def prepared(self) -> ReadyModel:
        """Make the model ready to draw from, once in every process."""
        redraw = self.attributes.get("redraw")
        return _prepared_at(f"{self.folder}/{MODEL}", self.digest, self.kblock, self.n_rows, redraw)


@functools.lru_cache(maxsize=1)
def _model_at(path: str, digest: str) -> FusionModel:
    if digest_of(Path(path).read_bytes()) != digest:
        raise OutputError(f"'{shown_path(path)}' was changed.", ["It is not the model that the run is of."])
    return read_fsn(path)


@functools.lru_cache(maxsize=1)
def _prepared_at(path: str, digest: str, kblock: int, n_rows: int, redraw: object) -> ReadyModel:
    return prepare(redrawn(_model_at(path, digest), redraw), kblock=kblock, n_rows=n_rows)


def digest_of(content: bytes | bytearray) -> str:
    """Digest some bytes: SHA-256."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Looked:
    """What a partition was found to be.

    Attributes
    ----------
    n_rows : int
    digest : str
        Of its encoded predictors and the retained columns.
    retained : tuple of (str, str)
        Names and types of the retained columns.
    tallies : dict of str to Tally
        How the predictors lie in the donors' ranges.
    types : dict of str to pyarrow.DataType
        Of the retained columns.
    digests : dict of str to Digest
        Of the columns that can be digested.
    matched : dict of str to (int, tuple of str)
        Of each area the number of records at levels of donors, and some of the other levels.
    """

    n_rows: int
    digest: str
    retained: tuple[tuple[str, str], ...]
    tallies: Mapping[str, Tally] = field(default_factory=dict, repr=False, compare=False)
    types: Mapping[str, pa.DataType] = field(default_factory=dict, repr=False, compare=False)
    digests: Mapping[str, Digest] = field(default_factory=dict, repr=False, compare=False)
    matched: Mapping[str, tuple[int, tuple[str, ...]]] = field(
        default_factory=dict, repr=False, compare=False
    )


def look(part: Any, run: Run) -> Looked:
    """Check a partition, and tell what it holds.

    Parameters
    ----------
    part : pandas.DataFrame or Window
    run : Run

    Returns
    -------
    Looked

    Raises
    ------
    SchemaError
        If its columns are not what the model, or `retain`, needs.
    """
    model = run.model()
    names = [variable.name for variable in model.schema.x]
    needed = model.needed
    table = table_of(part, [*needed, *run.retain])
    unknown = [name for name in run.retain if name not in table.names]
    clashes = [f"`retain` names {few(unknown, '`')}, not in `data`."] if unknown else []
    for name in set(run.retain) & set(table.names):
        try:
            table.plain_column(name)
        except Unreadable as error:
            clashes.append(f"`retain` names `{name}`: a file cannot hold its {error}.")
    unfit = area_problems(model.areas, table)
    model.schema.check_recipient(table, names, "the model", clashes, unfit)
    if clashes:
        hint = "Rename or recode these columns, or leave them out."
        raise SchemaError("`retain` cannot be carried along.", clashes, hint)
    retained, sink = table.arrow(run.retain), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, retained.schema) as writer:
        writer.write_table(retained)
    values = np.ascontiguousarray(model.schema.encode(table, names))
    areas, coder = code_areas(model.areas, table)
    of_areas = areas.tobytes() + b"".join(keys.tobytes() for keys in coder.unseen())
    digest = digest_of(values.tobytes() + of_areas + memoryview(sink.getvalue()))
    types = {each.name: each.type for each in retained.schema}
    told = tuple((name, str(kind)) for name, kind in types.items())
    ranges = model.ranges
    tallies = {name: tally(ranges[name], values[:, j]) for j, name in enumerate(names) if name in ranges}
    digests = digest_columns(table, [*needed, *run.retain])
    return Looked(table.n_rows, digest, told, tallies, types, digests, coder.matched())


def fuse_part(part: Any, run: Run, number: int, first: int, labels: Sequence[int]) -> int:
    """Write some implicates of a partition.

    Parameters
    ----------
    part : pandas.DataFrame or Window
    run : Run
    number : int
        Of the partition.
    first : int
        Number of its first row.
    labels : sequence of int
        Of the implicates, from 1.

    Returns
    -------
    int
        How many there are now.
    """
    prepared, seed = run.prepared(), int(run.attributes["seed"])
    model = prepared.model
    table = table_of(part, [*model.needed, *run.retain])
    recipient = open_recipient(table.frame.to_native())
    read = _in_types(read_along(recipient, run.retain), run.types)
    fields = [
        *read(0, 0).schema,
        *(pa.field(variable.name, variable.arrow_type) for variable in model.schema.y),
    ]
    schema = pa.schema(fields)
    noted = {**run.attributes, "model": run.digest}
    labelled = schema.insert(0, pa.field("M", pa.int32()))
    plan = DrawingPlan(seed, offset=first, kblock=run.kblock, cores=run.cores)
    with code_recipient(recipient, prepared, ROWS, "the model") as coded:
        drawing = Drawing(prepared, coded, labelled, plan, read)
        for label in labels:
            target = part_path(Path(run.folder), label, number)
            wanted = Part(target, label, table.n_rows, noted, (number, first))
            if is_finished(wanted):  # written by a worker that was lost afterwards
                continue
            with write_stored(target, with_metadata(schema, wanted.notes)) as write:
                for _, drawn in drawing.tables([label - 1], _nobody):
                    write(drawn.select(schema.names))
                if not recipient.n_rows:
                    write(drawing.empty().select(schema.names))
    return len(labels)


def _in_types(
    read: Callable[[int, int], pa.Table], types: Mapping[str, pa.DataType]
) -> Callable[[int, int], pa.Table]:
    """Bring retained columns to the types that they have in all partitions."""
    if not types:
        return read

    def brought_along(first: int, n_rows: int) -> pa.Table:
        table = read(first, n_rows)
        fields = [each.with_type(types.get(each.name, each.type)) for each in table.schema]
        try:
            return brought(table, pa.schema(fields, table.schema.metadata))
        except Different as difference:
            problems, hint = [f"Partitions differ: {difference}."], "Give it one type."
            raise SchemaError("`retain` cannot be carried along.", problems, hint) from None

    return brought_along


def _nobody(done: int = 1, doing: str | None = None) -> None:
    """Tell nobody of progress: the caller counts tasks."""
