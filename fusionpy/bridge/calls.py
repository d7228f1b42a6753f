"""The verbs as R calls them: R's arguments in, plain values and Arrow tables out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

import fusionpy
from fusionpy.errors import ArgumentError, FusionWarning, OutputError, Problems
from fusionpy.figures import ONE_SIZE, write_figure
from fusionpy.formats.implicates import open_implicates
from fusionpy.formats.rescue import rescued
from fusionpy.formats.stored import holds_fst, open_stored
from fusionpy.frames.tables import as_table
from fusionpy.model import FusionModel, Step
from fusionpy.model.archive import put_model, read_fsn
from fusionpy.progress import announce

__all__ = ["CALLS", "Reply"]

if TYPE_CHECKING:
    from fusionpy.analysis.estimand import Estimand

Arguments = dict[str, Any]
Frames = Mapping[str, Any]  # Arrow tables, paths, or None
DETAILS = ("n_eff", "se", "df", "lower", "upper", "fmi", "n_donors")


@dataclass(frozen=True)
class Reply:
    """What a call gives.

    Attributes
    ----------
    value : dict
        What JSON can hold.
    frames : dict of str to pyarrow.Table
    model : FusionModel or None
        Kept for the calls that follow.
    """

    value: dict[str, Any] = field(default_factory=dict)
    frames: dict[str, pa.Table] = field(default_factory=dict)
    model: FusionModel | None = None


def _open(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    opened = read_fsn(arguments["fsn"])
    names = {
        "predictors": [variable.name for variable in opened.schema.x],
        "outcomes": [variable.name for variable in opened.schema.y],
        "needed": opened.needed,
    }
    return Reply(names, model=opened)


def _sample(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    samples = fusionpy.datasets
    load = samples.load_donor if arguments["name"] == "donor" else samples.load_recipient
    return Reply(frames={"frame": _arrow(load())})


def _recs(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    """Open R's example survey: from a path, or from where it was kept."""
    from fusionpy.datasets.example import kept_example, read_example

    path = arguments["path"]
    file = kept_example() if path is None else Path(path).expanduser()
    if file is None:
        return Reply({"found": False})
    return Reply({"found": True}, {"frame": _narrow(read_example(file))})


def _fetch_recs_example(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    fusionpy.datasets.fetch_recs_example(arguments["path"])
    return _recs({"path": None}, frames, model)


def _train(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    try:
        model = fusionpy.train(frames["data"], **arguments)
    except OutputError as error:
        if (trained := error.model) is None:
            raise
        raise rescued(error, lambda path: put_model(trained, path), ".fsn") from None
    steps = [_told_step(step) for step in model.steps]
    return Reply({"path": _absolute(arguments["fsn"]), "steps": steps, "seconds": model.seconds})


def _told_step(step: Step) -> dict[str, Any]:
    """Tell what R shows of a step: its variables; of a single continuous one its pools' fit and sizes."""
    told: dict[str, Any] = {"variables": list(step.variables)}
    if step.pools is not None and not step.is_block:
        sizes = step.pools.sizes
        low, first, middle, third, high = np.quantile(sizes, [0, 0.25, 0.5, 0.75, 1]).tolist()
        told["r2"] = None if np.isnan(step.pools.r2) else step.pools.r2
        told["sizes"] = [low, first, middle, float(sizes.mean()), third, high]
    return told


def _fuse(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    from fusionpy.fusion import Key, fuse_keyed

    fsn, fsd, key = arguments.pop("fsn"), arguments.pop("fsd"), arguments.pop("key", None) or []
    by = fsn if model is None else model
    if fsd is not None:
        order = None if frames.get("order") is None else frames["order"].column(0).to_numpy()
        found = fuse_keyed(frames["data"], by, fsd, Key(tuple(key), order), **arguments)
        return Reply({"path": _absolute(found)})
    found = fusionpy.fuse(frames["data"], by, **arguments)
    # R has the retained columns, and carries them along itself.
    found = found.drop_columns(arguments["retain"] or [])
    donors = {} if model is None else dict(zip(model.donor_columns, model.donors.T, strict=True))
    return Reply(frames={"frame": _narrow(found, donors)})


def _prep_xy(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    found = fusionpy.prep_xy(frames["data"], **arguments)
    value = {
        "y": [[step] if isinstance(step, str) else list(step) for step in found.y],
        "x": [list(names) for names in found.x],
        "xpredictors": list(found.xpredictors),
        "xforce": list(found.xforce),
        "xoriginal": list(found.xoriginal),
    }
    return Reply(value)


def _analyze(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    detailed = arguments.pop("detailed")
    problems = Problems(ArgumentError, "`analyze()` cannot start.", "See `?analyze` for what it takes.")
    x: Any = _estimands(arguments.pop("x"), problems)
    problems.stop()
    implicates = frames["implicates"]
    if isinstance(implicates, str):
        M = open_implicates(implicates).M
        text = "One implicate: there are no margins of error." if M == 1 else f"Using {M} implicates."
        announce(text, False)
    with warnings.catch_warnings():
        # That there is one implicate R has been told.
        warnings.filterwarnings("ignore", "Margins are missing: there is one implicate")
        found = fusionpy.analyze(x, implicates, static=frames["static"], **arguments)
    if caveats := getattr(found, "attrs", {}).get("fusionpy", {}).get("caveats"):  # of a path, as pandas
        announce(f"analyze: {caveats}", False)
    table = _arrow(found)
    by = arguments["by"] or []
    groups = {name for each in ([by] if isinstance(by, str) else by) for name in _names_in(each)}
    beside = (*DETAILS, "N") if arguments["layout"] == "fusionacs" else DETAILS
    names = [name for name in table.column_names if detailed or name in groups or name not in beside]
    return Reply(frames={"frame": _counts_as_integers(table.select(names))})


def _check_static(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    from fusionpy.analysis.survey import FusedSurvey  # with pandas, which R has no need of else

    FusedSurvey(open_implicates(frames["implicates"]), frames["static"], None).check_order()
    return Reply()


def _names_in(grouping: str | list[str]) -> list[str]:
    return [grouping] if isinstance(grouping, str) else grouping


def _estimands(asked: list[dict[str, Any]], problems: Problems) -> list[Estimand]:
    """Understand analyses, each of which may have a name."""
    from fusionpy.analysis.reading import read_estimands  # with pandas, which R has no need of else

    found: list[Estimand] = []
    for each in asked:
        known = read_estimands({each["how"]: each["what"]}, problems)
        found += [replace(one, name=each["name"]) for one in known]
    if not asked:
        read_estimands({}, problems)
    return list(dict.fromkeys(found))


def _validate(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    from fusionpy.bridge.validation import compared

    value, table = compared(**frames, **arguments)
    return Reply(value, {"table": table})


def _plot_valid(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    from fusionpy.bridge.validation import smoothed

    undefined, tables = smoothed(frames["table"], **arguments)
    return Reply({"undefined": undefined}, tables)


def _impute(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    data = frames["data"]
    with _said():
        completed = fusionpy.impute(data, **arguments)
    ignored = arguments["ignore"] or []
    holes = [name for name in data.column_names if name not in ignored and _has_holes(data[name])]
    return Reply(frames={"frame": completed.select(holes)})


def _has_holes(column: pa.ChunkedArray) -> bool:
    is_missing = pc.any(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type)))
    return bool(is_missing.as_py()) and not pa.types.is_null(column.type)


def _importance(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    from fusionpy.evaluation.importances import importance_tables

    fsn = arguments.pop("fsn")
    of = read_fsn(fsn) if model is None else model
    detailed, summary = importance_tables(of, data=frames["data"], **arguments)
    # The reference reads models as the archive's members come: a block's by the names of their files.
    step = {target.variable: i for i, each in enumerate(of.steps) for target in each.targets}
    member = detailed["y"] + "_" + detailed["model"] + ".txt"
    places = detailed.assign(step=detailed["y"].map(step), member=member)
    detailed = detailed.loc[places.sort_values(["step", "member"], kind="stable").index]
    # And sorts the summary by y as text; gains fall already.
    summary = summary.sort_values("y", kind="stable")
    return Reply(frames={"summary": _arrow(summary), "detailed": _arrow(detailed)})


def _monotonic(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    path = arguments.pop("figure", None)
    x, y, w = (None if frames[name] is None else frames[name].column(0) for name in ("x", "y", "w"))
    found = fusionpy.monotonic(x, y, w=w, **arguments)
    value = {}
    if arguments["plot"]:
        found, figure = found
        write_figure(figure, Path(path), "png", *ONE_SIZE)
        value = {"figure": path}
    return Reply(value, {"frame": pa.table({"y": found})})


def _read_fsd(arguments: Arguments, frames: Frames, model: FusionModel | None) -> Reply:
    path = arguments.pop("path")
    with _said():
        found = fusionpy.read_fsd(path, where=frames["where"], kind="pyarrow", **arguments)
    keys = list(open_stored(path).keys)
    return Reply({"keys": keys}, {"frame": found if holds_fst(Path(path).expanduser()) else _narrow(found)})


def _narrow(table: pa.Table, donors: Mapping[str, NDArray[np.float64]] | None = None) -> pa.Table:
    """Make whole numbers R's integers where all of them fit: its integer64 needs a package to be seen.

    The donors' values, if given, decide for the columns drawn from them, rather than what was drawn.
    """
    for place, each in enumerate(table.schema):
        if not pa.types.is_int64(each.type) and not pa.types.is_uint32(each.type):
            continue
        if donors is not None and each.name in donors:
            low, high = float(donors[each.name].min()), float(donors[each.name].max())
        else:
            low, high = (end or 0 for end in pc.min_max(table.column(place)).as_py().values())
        if low > -(2**31) and high < 2**31:
            narrow = table.column(place).cast(pa.int32())
            table = table.set_column(place, each.with_type(pa.int32()), narrow)
    return table


CALLS: dict[str, Callable[[Arguments, Frames, FusionModel | None], Reply]] = {
    "analyze": _analyze,
    "check_static": _check_static,
    "fetch_recs_example": _fetch_recs_example,
    "fuse": _fuse,
    "importance": _importance,
    "impute": _impute,
    "monotonic": _monotonic,
    "open": _open,
    "plot_valid": _plot_valid,
    "prepXY": _prep_xy,
    "read_fsd": _read_fsd,
    "recs": _recs,
    "sample": _sample,
    "train": _train,
    "validate": _validate,
}


@contextmanager
def _said() -> Iterator[None]:
    """Say what Python warns of: scripts that take warnings for errors run where the original has none."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FusionWarning)
        yield
    for each in caught:
        if issubclass(each.category, FusionWarning):
            announce(str(each.message), quiet=False)


def _arrow(frame: Any) -> pa.Table:
    """Turn any kind of table into Arrow's."""
    if isinstance(frame, pa.Table):
        return frame
    table = as_table(frame, "result")
    return table.arrow(table.names)


def _counts_as_integers(table: pa.Table) -> pa.Table:
    """Give R plain integers, where 64 bits are more than counts need."""
    fields = [f.with_type(pa.int32()) if pa.types.is_int64(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


def _absolute(path: str) -> str:
    return str(Path(os.fspath(path)).expanduser().absolute())
