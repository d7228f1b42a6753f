"""fuse() on a cluster: every partition of a recipient by itself, all implicates in one data set."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import dask
import numpy as np
import pyarrow as pa

from fusionpy.distributed.client import at_work, check_cluster, n_threads, ranges, results
from fusionpy.distributed.fusing_tasks import Looked, Run, digest_of, fuse_part, look
from fusionpy.distributed.partitions import check_data, partitions_of
from fusionpy.drawing.predictions import stand_ins_of
from fusionpy.errors import ArgumentError, OutputError, Problems, SchemaError, few, settle_seed, shown
from fusionpy.formats.atomic import absolute, check_apart, shown_path, written_aside
from fusionpy.formats.folders import MODEL, RECORD, Record, read_record, write_record
from fusionpy.formats.leftovers import is_left, own_file, sweep, sync_folder
from fusionpy.formats.partitioned import is_finished
from fusionpy.formats.widths import common_type
from fusionpy.frames.digests import noted_columns
from fusionpy.frames.tables import ROWS, take_names
from fusionpy.fusion.chunks import check_redraw, noted, redrawn
from fusionpy.fusion.strangers import warn_of_strange_areas, warn_of_strangers
from fusionpy.model import BLOCK_POOL, FusionModel
from fusionpy.model.archive import as_model, put_model
from fusionpy.model.ranges import Tally
from fusionpy.progress import announce, track

__all__ = ["fuse"]

TASKS_PER_THREAD = 3  # at least, so that threads end together
READERS = 16  # of the feet of files, for which a shared file system lets wait


def fuse(
    data: Any,
    fsn: FusionModel | str | os.PathLike[str],
    M: int,
    out: str | os.PathLike[str],
    *,
    retain: str | Sequence[str] | None = None,
    kblock: int = 10,
    cores: int = 1,
    seed: int | None = None,
    partition_rows: int | None = None,
    client: Any = None,
    n_workers: int | None = None,
    quiet: bool = False,
    redraw: Literal["implicate", "record", "single"] = "implicate",
) -> str:
    """Simulate a model's fusion variables on a Dask cluster, into a data set of Parquet files.

    Parameters
    ----------
    data : Dask DataFrame, or path
        The recipient survey: every predictor of the model, of the same kind, categories with the same levels
        in the same order, and its areas. A path is that of a Parquet file or of a folder of Parquet files,
        which are taken in the order of their names (``part.2`` before ``part.10``). A Dask DataFrame is
        computed twice: to look at it, and to fuse; `persist` it if that is dear.
    fsn : FusionModel or path
        What `train` returned, or wrote.
    M : int
        Implicates.
    out : path
        Folder of the data set, on a file system that the workers share. Its own folder must be there.
    retain : str or sequence of str, optional
        Columns of `data` to carry along just as they are, an identifier for instance.
    kblock : int
        Nearest donors (5 to 30) that make a block's pool.
    cores : int
        Threads of one task, beside those of the workers. The result does not depend on it.
    seed : int, optional
        Same seed, same draws. Missing: drawn, and recorded; or that of the run that goes on.
    partition_rows : int, optional
        Most rows of a partition if `data` is a path; 100,000 unless given. Row groups and whole files are
        put together, or cut. The draws do not depend on it, the files do.
    client : dask.distributed.Client, optional
        Of the cluster to work on. Missing: the client that is open, or else processes on this machine for
        the time of the call.
    n_workers : int, optional
        How many processes, if they are started for the call; as many as there are cores unless given.
    quiet : bool
        No progress.
    redraw : {"implicate", "record", "single"}
        As `fusionpy.fuse` has it.

    Returns
    -------
    str
        The folder: ``M=1/part-00000.parquet``, ..., where every file has the rows of one partition in one
        implicate, with the retained columns and the fusion variables. `read_fsd`, `analyze` and the other
        verbs take it for the file that `fusionpy.fuse` would write; so do pyarrow
        (``dataset(out, partitioning="hive")``), polars (``scan_parquet(out + "/*/*.parquet",
        hive_partitioning=True)``), DuckDB and Dask. ``_fusionpy.json`` says how it was made and
        ``_model.fsn`` is the model.

    Raises
    ------
    ArgumentError
        If arguments are wrong.
    SchemaError
        If columns do not match the model's; before anything is drawn.
    ArchiveError
        If `fsn` cannot be read.
    OutputError
        If `out` cannot be written, holds something else, or a run with other arguments.
    FusionError
        If workers died time after time.

    Warns
    -----
    FusionWarning
        If recipients are unlike the donors, as `fusionpy.fuse` does.

    Notes
    -----
    Draws are a function of seed, implicate, step and row number alone, so that they are bit for bit those of
    `fusionpy.fuse`, whatever the partitions and workers are. Files are written aside and moved into place: if
    a worker is killed, Dask runs its tasks again, and if the run is, the same call goes on and leaves
    finished files alone. Workers need fusionpy, `out`, and `data` if that is a path; the model goes to them
    in its archive.

    In a script, call this under ``if __name__ == "__main__":``, as workers of this machine import the
    script. On a cluster under SLURM (package dask-jobqueue)::

        from dask.distributed import Client
        from dask_jobqueue import SLURMCluster

        if __name__ == "__main__":
            cluster = SLURMCluster(cores=16, processes=16, memory="64GB", walltime="02:00:00")
            cluster.scale(jobs=8)
            with Client(cluster) as client:
                fusionpy.distributed.fuse("recipient/", "model.fsn", 40, "fused", seed=1, client=client)

    Examples
    --------
    >>> import tempfile, fusionpy.distributed
    >>> donor, recipient = fusionpy.datasets.load_donor(), fusionpy.datasets.load_recipient()
    >>> model = fusionpy.train(donor, y=["electricity"], x=["region", "rooms"], refits=0, seed=1, quiet=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     recipient.head(5).to_parquet(f"{folder}/recipient.parquet")
    ...     out = fusionpy.distributed.fuse(
    ...         f"{folder}/recipient.parquet", model, 2, f"{folder}/fused", seed=1, n_workers=1, quiet=True
    ...     )
    ...     fused = fusionpy.read_fsd(out, M=2)
    >>> fused["M"].to_list()
    [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    """
    problems = Problems(
        ArgumentError, "`fuse()` cannot start.", "See `help(fusionpy.distributed.fuse)` for what it takes."
    )
    _check_arguments(M, kblock, cores, partition_rows, problems)
    check_data(data, problems)
    check_cluster(client, n_workers, problems)
    check_redraw(redraw, M, problems)
    kept = take_names(retain, "retain", problems, once=True)
    drawn_seed = seed is None
    seed = settle_seed(seed, problems)
    problems.stop()
    model = redrawn(as_model(fsn), redraw)
    _check_retained(kept, model)
    folder, before = _settle_folder(out, data)
    if drawn_seed and before is not None:
        seed = int(before.attributes["seed"])
    attributes = noted(model, seed, int(M), 0, 0, redraw)
    names = [*model.needed, *kept]
    parts = partitions_of(data, names, None if partition_rows is None else int(partition_rows))
    with _model_beside(folder, fsn, before) as digest, at_work(client, n_workers) as client:
        run = Run(str(folder), digest, attributes, tuple(kept), int(kblock), int(cores))
        looked_at = _look_at(client, parts, run, quiet)
        _warn(model, looked_at)
        types = _types_of(looked_at)
        record = Record(
            {**attributes, "n_recipients": sum(each.n_rows for each in looked_at), **_note_rows(looked_at)},
            digest,
            digest_of(repr(looked_at).encode()),
            tuple(kept),
            int(kblock),
            tuple(each.n_rows for each in looked_at),
        )
        _settle_record(folder, record, before)
        if drawn_seed:
            announce(f"fuse: seed {seed} {'was drawn' if before is None else 'goes on'}", quiet)
        n_stand_ins = len(stand_ins_of(model, range(int(M))))
        n_rows = sum(record.rows) * int(M) // n_stand_ins
        run = replace(run, attributes=record.attributes, n_rows=n_rows, types=types)
        _work(client, parts, run, record, quiet)
    for place in (folder, *folder.glob("M=*")):  # of workers and runs that were killed, on any machine
        sweep(place, everyone=True)
    return str(folder)


def _note_rows(looked_at: Sequence[Looked]) -> dict[str, str]:
    """Note digests of the whole recipient's columns, from those of its partitions."""
    digests = dict(looked_at[0].digests)
    for each in looked_at[1:]:
        digests = {name: one + each.digests[name] for name, one in digests.items() if name in each.digests}
    return {ROWS: noted_columns(digests)} if digests else {}


def _look_at(client: Any, parts: Sequence[Any], run: Run, quiet: bool) -> list[Looked]:
    """Check all partitions before anything is drawn."""
    task = dask.delayed(look, pure=False)
    found: dict[int, Looked] = {}
    with track("fuse: partitions", len(parts), quiet) as tick:
        for number, looked in results(client, [task(part, run) for part in parts]):
            found[number] = looked
            tick()
    return [found[n] for n in range(len(parts))]


def _types_of(looked_at: Sequence[Looked]) -> dict[str, pa.DataType]:
    """Find types that hold the retained columns of all partitions, where those differ."""
    first = looked_at[0].types
    kinds = dict(first)
    differ = []
    for number, looked in enumerate(looked_at):
        for name, kind in looked.types.items():
            both = common_type(kinds[name], kind)
            if both is None:
                differ.append(f"`{name}` is {first[name]} in partition 0, {kind} in partition {number}.")
            else:
                kinds[name] = both
        if differ:
            raise SchemaError("`retain` cannot be carried along.", differ, "Give it one type.")
    return {name: kind for name, kind in kinds.items() if any(p.types[name] != kind for p in looked_at)}


def _warn(model: FusionModel, looked_at: Sequence[Looked]) -> None:
    """Warn of predictors of which recipients, all partitions together, have what donors have not."""
    names = model.ranges if looked_at else ()
    warn_of_strangers(model, {name: sum((p.tallies[name] for p in looked_at), Tally()) for name in names})
    matched = {}
    for area in model.areas if looked_at else ():
        mine = [part.matched[area.name] for part in looked_at]
        matched[area.name] = sum(n for n, _ in mine), next((levels for _, levels in mine if levels), ())
    warn_of_strange_areas(matched)


def _work(client: Any, parts: Sequence[Any], run: Run, record: Record, quiet: bool) -> None:
    """Write all files that are not there, or are not what they should be."""
    folder = Path(run.folder)
    missing = _missing(folder, record)
    for label in range(1, record.M + 1):
        (folder / f"M={label}").mkdir(exist_ok=True)
    sync_folder(folder)
    n_ranges = -(-TASKS_PER_THREAD * n_threads(client) // max(1, len(missing)))
    first = np.cumsum([0, *record.rows]).tolist()
    task = dask.delayed(fuse_part, pure=False)
    tasks = [
        task(parts[number], run, number, first[number], tuple(labels))
        for number, every in missing.items()
        for labels in ranges(every, n_ranges)
    ]
    n_files = record.M * len(parts)
    with track("fuse", n_files, quiet) as tick:
        if done := n_files - sum(map(len, missing.values())):
            tick(done)
        for _, n_written in results(client, tasks):
            tick(n_written)


def _missing(folder: Path, record: Record) -> dict[int, list[int]]:
    """Tell, for each partition, the implicates of which it has no finished file."""
    wanted = record.parts(folder)
    there = {str(path) for path in folder.glob("M=*/part-*.parquet")}
    found = [part for part in wanted if str(part.path) in there]
    with ThreadPoolExecutor(READERS) as pool:
        finished = {part.path for part, yes in zip(found, pool.map(is_finished, found), strict=True) if yes}
    missing: dict[int, list[int]] = {}
    for part in wanted:
        if part.path not in finished:
            missing.setdefault(part.place[0], []).append(part.label or 0)
    return dict(sorted(missing.items()))


def _check_arguments(M: Any, kblock: Any, cores: Any, partition_rows: Any, problems: Problems) -> None:
    """Note impossible values."""
    for name, value in (("M", M), ("cores", cores), ("partition_rows", partition_rows)):
        if value is None and name == "partition_rows":
            continue
        problems.whole(name, value, 1)
    problems.between("kblock", kblock, 5, BLOCK_POOL)


def _check_retained(kept: Sequence[str], model: FusionModel) -> None:
    taken = {"M", *(variable.name for variable in model.schema.y)}
    if both := [name for name in kept if name in taken]:
        problem = f"`retain` names {few(both, '`')}, which the result has of its own."
        raise SchemaError("`retain` cannot be carried along.", [problem], "Rename or leave them out.")


def _settle_folder(out: Any, data: Any) -> tuple[Path, Record | None]:
    """Find or make the folder, and read what was noted there of the run that goes on."""
    if not isinstance(out, str | os.PathLike) or not os.fspath(out):
        raise OutputError(f"`out` must be the path of a folder, not {shown(out)}.")
    headline = f"`out` cannot be written: {shown_path(out)}"
    folder = absolute(out, headline)
    check_apart(folder, "out", {"data": data}, folder=True)
    try:
        folder.mkdir(exist_ok=True)
        sweep(folder)
        with own_file(folder / RECORD):
            pass
        before = read_record(folder)
        names = [path.name for path in folder.iterdir() if path.name not in (MODEL, RECORD)]
        others = [name for name in names if not is_left(name)]  # those of other machines are of no harm
    except FileNotFoundError:
        problem, hint = "The folder that it is in does not exist.", "Create that first, or choose another."
        raise OutputError(headline, [problem], hint) from None
    except FileExistsError:
        raise OutputError(headline, ["It is a file, not a folder."], "Choose another name.") from None
    except (OSError, ValueError) as error:
        raise OutputError(
            headline, [f"{getattr(error, 'strerror', None) or error}."], "Choose another."
        ) from None
    if before is None and others:
        problem = f"It holds other things: {few(sorted(others))}."
        raise OutputError(headline, [problem], "Name a folder that is empty, or is not there yet.")
    return folder, before


def _settle_record(folder: Path, record: Record, before: Record | None) -> None:
    """Note what the run is, or refuse to put it into the folder of another."""
    if before is None:
        write_record(folder, record)
    elif differences := before.differences(record):
        raise _another(folder, differences)


def _another(folder: Path, differences: Sequence[str]) -> OutputError:
    headline = f"`out` holds another run: {shown_path(folder)}"
    hint = "Name another folder, or repeat the call that this one is of; it then goes on where it stopped."
    return OutputError(headline, differences, hint)


@contextlib.contextmanager
def _model_beside(folder: Path, fsn: Any, before: Record | None) -> Iterator[str]:
    """Put the model's archive where workers find it, and give its digest; leave nothing if all fails."""
    target = folder / MODEL
    with written_aside(target, private=True) as aside:
        if isinstance(fsn, FusionModel):
            put_model(fsn, aside)
        else:
            shutil.copyfile(Path(fsn).expanduser(), aside)
        digest = digest_of(aside.read_bytes())
        if before is not None and before.model != digest:
            raise _another(folder, ["The model is another."])
    try:
        yield digest
    finally:
        if not (folder / RECORD).exists():
            target.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # others may have put something there
                folder.rmdir()
