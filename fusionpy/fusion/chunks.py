"""Implicates piece by piece: drawn by several threads, handed on in order, within the memory there is."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.drawing.predictions import stand_ins_of
from fusionpy.drawing.steps import draw
from fusionpy.drawing.urns import ReadyModel, Weights, draw_weights, drawn_by_record, prepare, weigh
from fusionpy.errors import ArgumentError, Problems
from fusionpy.formats.notes import with_metadata
from fusionpy.frames.digests import noted_columns
from fusionpy.frames.tables import FUSED, KNOWN, ROWS
from fusionpy.fusion.code_store import Coded
from fusionpy.fusion.memory import shown_bytes
from fusionpy.fusion.recipients import Recipient, check_frame, code_recipient, digest_others, read_along
from fusionpy.fusion.strangers import warn_of_gaps, warn_of_strange_areas, warn_of_strangers
from fusionpy.model import FusionModel
from fusionpy.progress import Ticker

__all__ = [
    "Drawing",
    "DrawingPlan",
    "check_redraw",
    "in_order",
    "noted",
    "open_drawing",
    "redrawn",
]

ROWS_MOST, ROWS_LEAST = 20_000, 1_000
ROWS_WRITTEN = 200_000  # of a table that is handed on, where an implicate has as many
MOST_NOTED = 250  # columns of which digests are kept, predictors first
REDRAWS = ("implicate", "record", "single")  # what records share of an implicate's chance, most first
AHEAD = 2  # pieces that may wait while others are written
Item = TypeVar("Item")
Done = TypeVar("Done")


@dataclass(frozen=True)
class DrawingPlan:
    """How to draw: nothing of it changes a result, but `seed`, `offset` and `kblock`.

    Attributes
    ----------
    seed : int
    offset : int
        Number of the recipient's first row.
    kblock : int
    cores : int
        Threads that draw.
    memory : int
        Bytes for codes and chunks.
    margin : float
        Safety factor on them; a negative whole number forces that many chunks.
    chunk : int or None
        Rows of a chunk, whatever `memory` is.
    """

    seed: int
    offset: int = 0
    kblock: int = 10
    cores: int = 1
    memory: int = 2**30
    margin: float = 2
    chunk: int | None = None

    def rows(self, n_rows: int, row_bytes: int) -> int:
        """Choose the number of rows of a chunk.

        Parameters
        ----------
        n_rows : int
            Of the recipient.
        row_bytes : int
            What a row takes while it is worked on.

        Raises
        ------
        ArgumentError
            If not even the least chunk fits.
        """
        if self.chunk is not None:
            return int(self.chunk)
        if self.margin < 0:
            return max(1, -(-n_rows // int(-self.margin)))
        least = min(ROWS_LEAST, max(n_rows, 1))
        fits = int(self.memory / (self.margin * (self.cores + AHEAD) * row_bytes))
        if fits < least:
            needed = shown_bytes(self.margin * (self.cores + AHEAD) * row_bytes * least)
            problem = (
                f"`memory`, {shown_bytes(self.memory)}, is too little: {least:,} rows at a time "
                f"need {needed} with `cores` = {self.cores}."
            )
            raise ArgumentError(
                "`fuse()` cannot start.",
                [problem],
                "Give more `memory`, fewer `cores`, or a smaller `chunk`.",
            )
        # A quarter at most: the rest is for codes that are kept.
        return int(min(ROWS_MOST, max(least, fits // 4)))


@dataclass
class Drawing:
    """Implicates of one recipient in the making; from `open_drawing`.

    Attributes
    ----------
    prepared : ReadyModel
    coded : Coded
    schema : pyarrow.Schema
        Of the tables.
    plan : DrawingPlan
    read_along : callable
        Rows of the retained columns.
    attributes : mapping
        What is noted in the schema: of how they are made, and digests of the recipient's rows.
    """

    prepared: ReadyModel
    coded: Coded
    schema: pa.Schema
    plan: DrawingPlan
    read_along: Callable[[int, int], pa.Table]
    attributes: Mapping[str, object] = field(default_factory=dict)
    _weights: dict[int, Weights] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def pieces(self, implicates: Iterable[int], tick: Ticker) -> Iterator[tuple[int, pa.Table]]:
        """Draw implicates, several chunks at a time.

        Parameters
        ----------
        implicates : iterable of int
            From 0.
        tick : Ticker
            Called when a chunk is done.

        Yields
        ------
        int, pyarrow.Table
            An implicate, and some of its rows; in order.
        """
        work = product(implicates, self.coded.starts)
        for (implicate, start), drawn in in_order(self._draw, work, self.plan.cores):
            tick()
            yield implicate, self.table(implicate, drawn, self.read_along(start, drawn.shape[1]))

    def tables(self, implicates: Iterable[int], tick: Ticker) -> Iterator[tuple[int, pa.Table]]:
        """Draw implicates, and hand on many rows at a time, of one implicate each."""
        held: list[pa.Table] = []
        last, n_rows = -1, 0
        for implicate, table in self.pieces(implicates, tick):
            if held and (implicate != last or n_rows >= ROWS_WRITTEN):
                yield last, pa.concat_tables(held)
                held, n_rows = [], 0
            held.append(table)
            last, n_rows = implicate, n_rows + table.num_rows
        if held:
            yield last, pa.concat_tables(held)

    def empty(self) -> pa.Table:
        """Make a table without rows, which has the levels."""
        drawn = np.empty((len(self.prepared.model.schema.y), 0))
        return self.table(0, drawn, self.read_along(0, 0))

    def table(self, implicate: int, drawn: NDArray[np.float64], along: pa.Table) -> pa.Table:
        """Put rows together, in the donor's types."""
        columns = [pa.array(np.full(drawn.shape[1], implicate + 1, dtype=np.int32)), *along.columns]
        y = self.prepared.model.schema.y
        columns += [variable.decode(values) for variable, values in zip(y, drawn, strict=True)]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def _draw(self, item: tuple[int, int]) -> NDArray[np.float64]:
        implicate, start = item
        return draw(
            self.prepared,
            *self.coded.block(start),
            seed=self.plan.seed,
            implicate=implicate,
            first=self.plan.offset + start,
            weights=self._weights_of(implicate),
        )

    def _weights_of(self, implicate: int) -> Weights:
        """Donors' weights in an implicate, kept until later ones are asked for."""
        with self._lock:
            if implicate not in self._weights:
                model = self.prepared.model
                weight = draw_weights(model, self.plan.seed, implicate)
                self._weights[implicate] = weigh(
                    self.prepared, weight, self.plan.seed, implicate, unseen=self.coded.unseen
                )
                for other in [other for other in self._weights if other < implicate - 1]:
                    del self._weights[other]
            return self._weights[implicate]


@contextmanager
def open_drawing(
    recipient: Recipient,
    model: FusionModel,
    implicates: Sequence[int],
    along: Sequence[str],
    plan: DrawingPlan,
    attributes: Mapping[str, object],
    *,
    called: str = "the model",
    problems: Sequence[str] = (),
    folder: Path | None = None,
    note_rows: bool = False,
) -> Iterator[Drawing]:
    """Check a recipient, code it, and make ready to draw implicates.

    Parameters
    ----------
    recipient : Recipient
    model : FusionModel
    implicates : sequence of int
        Those that are going to be drawn, from 0.
    along : sequence of str
        Columns to carry along.
    plan : DrawingPlan
    attributes : mapping
        What is noted in the tables' schema.
    called : str
        What to call the model in errors.
    problems : sequence of str
        What is wrong with the recipient already, to be told with what is found here.
    folder : Path, optional
        Where to keep codes that do not fit into memory.
    note_rows : bool
        Note digests of the recipient's columns, too.

    Yields
    ------
    Drawing

    Raises
    ------
    SchemaError, ArgumentError
        As `code_recipient` and `DrawingPlan.rows`.
    """
    check_frame(recipient, model, called, problems)
    stand_ins = stand_ins_of(model, implicates)
    row_bytes = _row_bytes(model, along)
    rows = plan.rows(recipient.n_rows, row_bytes)
    prepared = prepare(
        model,
        implicates=implicates,
        kblock=plan.kblock,
        n_rows=len(implicates) * recipient.n_rows // len(stand_ins),
    )
    kept = len(model.schema.x) * prepared.predictions.coding.dtype.itemsize + 8 * len(prepared.rule_columns)
    kept += 4 * len(model.areas)
    spill = recipient.n_rows * kept > plan.memory - rows * row_bytes * (plan.cores + AHEAD)
    with code_recipient(
        recipient, prepared, rows, called, problems, spill=spill, folder=folder, digest=note_rows
    ) as coded:
        warn_of_gaps(prepared, coded, stand_ins[0])
        warn_of_strangers(model, coded.tallies)
        warn_of_strange_areas(coded.matched)
        read = read_along(recipient, along)
        fields = [pa.field("M", pa.int32()), *read(0, 0).schema]
        fields += [pa.field(variable.name, variable.arrow_type) for variable in model.schema.y]
        if note_rows and recipient.n_rows:
            digests = {**coded.digests, **digest_others(recipient, coded.digests)}
            few_of = dict(list(digests.items())[:MOST_NOTED])
            attributes = {**attributes, ROWS: noted_columns(few_of)}
        schema = with_metadata(pa.schema(fields), attributes)
        yield Drawing(prepared, coded, schema, plan, read, attributes)


def _row_bytes(model: FusionModel, along: Sequence[str]) -> int:
    """Estimate what a row takes while it is worked on: codes, values, uniforms, expectations, the result."""
    columns = len(model.schema.names)
    widest = max(sum(target.n_classes for target in step.targets) for step in model.steps)
    return 8 * (2 * columns + 3 * widest + 8) + 32 * len(along)


def check_redraw(redraw: object, M: object, problems: Problems) -> None:
    """Note a `redraw` that cannot be."""
    if problems.choice("redraw", redraw, REDRAWS) and redraw == "single" and M != 1:
        problems.add("`redraw` = 'single' makes one implicate, whose margins nobody can know: `M` must be 1.")


def redrawn(model: FusionModel, redraw: object) -> FusionModel:
    """Let a model draw as `redraw` has it, or the note of it."""
    return model if redraw not in REDRAWS[1:] else drawn_by_record(model, with_refits=redraw == "single")


def noted(
    model: FusionModel, seed: int, M: int, offset: int, n_recipients: int, redraw: str = "implicate"
) -> dict[str, object]:
    """Tell what is kept with a result of how it was made."""
    return {
        "seed": seed,
        "M": M,
        "offset": offset,
        "method": model.options.method,
        "model_seed": model.seed,
        "fusionpy": model.versions["fusionpy"],
        "n_donors": model.n_donors,
        "n_recipients": n_recipients,
        "refits": model.options.refits,
        **({"effects": True} if model.options.effects else {}),
        "redraw": model.options.redraw if redraw == "implicate" else redraw,
        FUSED: [variable.name for variable in model.schema.y],
        KNOWN: model.needed,
    }


def in_order(
    function: Callable[[Item], Done], work: Iterable[Item], cores: int
) -> Iterator[tuple[Item, Done]]:
    """Run pieces on several threads, yield them in order, and hold no more than a few.

    Parameters
    ----------
    function : callable
        Of an item.
    work : iterable
    cores : int

    Yields
    ------
    item, and what the function made of it

    Examples
    --------
    >>> list(in_order(lambda item: item**2, [3, 1, 2], 2))
    [(3, 9), (1, 1), (2, 4)]
    """
    ahead = iter(work)
    waiting: deque[tuple[Item, Future[Done]]] = deque()
    with ThreadPoolExecutor(cores) as pool:
        try:
            while True:
                while len(waiting) < cores + AHEAD and (item := next(ahead, None)) is not None:
                    waiting.append((item, pool.submit(function, item)))
                if not waiting:
                    return
                item, future = waiting.popleft()
                yield item, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
