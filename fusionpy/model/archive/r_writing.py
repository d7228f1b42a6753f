"""What R's fusionModel reads of a `.fsn` archive: `metadata.rds` and `donor.fst`, of any model it can use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.engines import find_engine
from fusionpy.engines.base import Tuning
from fusionpy.errors import few, repeated
from fusionpy.formats.fst import pack_fst
from fusionpy.formats.rds.values import (
    NA_INTEGER,
    RValue,
    as_r_text,
    call,
    character,
    data_frame,
    double,
    factor,
    integer,
    logical,
    matrix,
    r_list,
)
from fusionpy.formats.rds.writer import write_rds
from fusionpy.kernels.integer_weights import integerize_weights
from fusionpy.kernels.scaling import percentiles
from fusionpy.model import FusionModel, Pools, Step
from fusionpy.model.archive.r_metadata import METADATA
from fusionpy.model.archive.r_reading import R_DONORS
from fusionpy.model.variables import Variable

__all__ = ["obstacles", "r_members"]

COMPRESS = 50  # as R writes `donor.fst`
MOST_NAME = 255  # bytes of a file's name, nearly everywhere
VERSIONS = {"fusionModel": "2.4.0", "R": "4.2.2"}  # whose layout it is
_MOST_INTEGER = 2**31 - 1
_FOUND = ("best_score", "best_iter", "final_model")


def obstacles(model: FusionModel) -> list[str]:
    """Say why the original `fuse()` could not use a model, or would draw something else from it.

    Parameters
    ----------
    model : FusionModel

    Returns
    -------
    list of str
        Empty if it can.

    Notes
    -----
    Calibrations, refits and redrawn weights are passed over by R: it predicts with the models of all donors,
    and draws by the donors' integer weights.
    """
    found = []
    if not (engine := find_engine(model.options.engine)).for_r:
        found.append(f"R does not read models of {engine.title}")
    simulated = {name for step in model.steps for name in step.variables}
    if sums := [v.name for v in model.schema.y if v.name not in simulated]:
        found.append(f"{few(sums, '`')} are added up of others, which R does not do")
    blocks = [set(step.variables) for step in model.steps]
    for rule in model.rules:
        trend = rule.kind in ("rises", "falls")  # is in the boosters
        held = any(set(rule.names) <= block for block in blocks)  # by every donor
        if not trend and not held and rule.variable not in sums:
            found.append(f"R would not obey the rule '{rule.text}'")
    if "W" in model.donor_columns:
        found.append("R keeps the donors' weights under the name `W`, which a fusion variable has")
    if extreme := [v.name for v in (*model.schema.x, *model.schema.y) if v.exponent]:
        found.append(
            f"LightGBM does not tell values of {few(extreme, '`')} apart in R, so small or large they are"
        )
    files = {t.variable for s in model.steps for t in s.targets if len(f"{t.name}.txt".encode()) > MOST_NAME}
    if files:
        found.append(
            f"R unpacks a file for each model, and the names of {few(sorted(files), '`')} are too long"
        )
    for variable in (*model.schema.x, *model.schema.y):
        if twice := repeated(_levels(variable)):
            found.append(f"levels of `{variable.name}` would be the same in R: {few(twice)}")
    return found


def r_members(model: FusionModel) -> dict[str, Callable[[], bytes]]:
    """Make the members that R's fusionModel needs beside the boosters.

    Parameters
    ----------
    model : FusionModel
        Without `obstacles`.

    Returns
    -------
    dict of str to callable
        What makes `donor.fst` and `metadata.rds`; the same bytes for the same model.
    """
    return {R_DONORS: partial(_donors, model), METADATA: lambda: write_rds(_metadata(model))}


def _donors(model: FusionModel) -> bytes:
    donors = {name: pa.array(model.donors[:, j]) for j, name in enumerate(model.donor_columns)}
    return pack_fst(pa.table({**donors, "W": pa.array(_whole_weights(model))}), COMPRESS)


def _whole_weights(model: FusionModel) -> NDArray[np.int32]:
    weight = model.weight
    is_whole = bool((weight == np.round(weight)).all() and weight.max() <= _MOST_INTEGER)
    whole = weight if model.options.integer_weights and is_whole else integerize_weights(weight)
    return np.minimum(whole, _MOST_INTEGER).astype(np.int32)


def _metadata(model: FusionModel) -> RValue:
    x, y = model.schema.x, model.schema.y
    steps, engine = model.steps, find_engine(model.options.engine)
    return r_list(
        {
            "xclass": r_list({v.name: character(_class(model, v)) for v in x}),
            "xlevels": _all_levels(x),
            "yclass": r_list({v.name: character(_class(model, v)) for v in y}),
            "ylevels": _all_levels(y),
            "ylist": r_list(character(step.variables) for step in steps),
            "ytype": character([v.model_type for v in y], [v.name for v in y]),
            "ptiles": double(_ptiles(model)),
            "dnames": character(model.schema.names),
            "nobs": integer([model.n_donors]),
            "timing": _timing(model.seconds),
            "version": r_list({name: _version(model, name) for name in VERSIONS}),
            "call": call("train"),
            "xpreds": r_list(character(step.predictors) for step in steps),
            "ycenter": _of_pools(model, lambda p: double(p.centre, p.columns)),
            "yscale": _of_pools(model, lambda p: double(p.scale, p.columns)),
            "kcenters": _of_pools(model, lambda p: _centres(p, model.options.nclusters)),
            "kneighbors": _of_pools(model, lambda p: matrix(_padded(p))),
            "cluster_mean_r2": _of_pools(model, lambda p: None if np.isnan(p.r2) else double([p.r2])),
            "hyper_results": r_list(_grids(step, engine.one_value) for step in steps),
        }
    )


def _of_pools(model: FusionModel, make: Callable[[Pools], RValue | None]) -> RValue:
    """List something of each step's pools, NULL where there are none."""
    return r_list(None if step.pools is None else make(step.pools) for step in model.steps)


def _class(model: FusionModel, variable: Variable) -> tuple[str, ...]:
    """R's class of a column."""
    if variable.kind != "continuous":
        return {"logical": ("logical",), "nominal": ("factor",), "ordered": ("ordered", "factor")}[
            variable.kind
        ]
    fits = True
    if variable.name in model.donor_columns:
        values = model.donors[:, model.donor_columns.index(variable.name)]
        fits = bool((np.abs(values) <= _MOST_INTEGER).all())
    return ("integer",) if "int" in variable.storage and fits else ("numeric",)


def _levels(variable: Variable) -> list[str]:
    """Levels as R's `factor` would name them."""
    return [_level(level) for level in variable.levels]


def _level(level: Any) -> str:
    if isinstance(level, bool):
        return str(level).upper()
    return as_r_text(level) if isinstance(level, float) else str(level)


def _all_levels(variables: Sequence[Variable]) -> RValue:
    return r_list({v.name: character(_levels(v)) for v in variables if v.levels})


def _ptiles(model: FusionModel) -> list[float]:
    """Percentiles in full; the boosters may have them rounded, as R hands them to LightGBM."""
    given = [t.alpha for step in model.steps for t in step.targets if t.objective == "quantile"]
    usual = percentiles(model.options.nquantiles).tolist()
    found = given[: len(usual)]
    rounded = [float(f"{share:.7g}") for share in usual]
    return usual if not found or found == rounded else found


def _timing(seconds: float) -> RValue:
    """Make a difftime, in the unit that R would choose."""
    unit, size = next(
        (name, size)
        for name, size in (("days", 86_400), ("hours", 3600), ("mins", 60), ("secs", 0))
        if seconds >= size
    )
    attributes = {"class": character(["difftime"]), "units": character([unit])}
    return RValue("double", double([seconds / (size or 1)]).values, attributes)


def _version(model: FusionModel, name: str) -> RValue:
    parts = [int(part) for part in model.versions.get(name, VERSIONS[name]).split(".")]
    classes = ["package_version", "numeric_version"]
    own = ["R_system_version", *classes] if name == "R" else classes
    return RValue("list", (integer(parts),), {"class": character(own)})


def _centres(pools: Pools, nclusters: int) -> RValue:
    """Make the matrix of centres; R numbers the rows that k-means made."""
    return matrix(pools.centres, pools.columns, rows=len(pools.centres) == nclusters)


def _padded(pools: Pools) -> NDArray[np.int32]:
    """Donors of each pool in a row, counted from 1, NA behind them."""
    sizes = pools.sizes
    out = np.full((len(sizes), int(sizes.max())), NA_INTEGER, dtype=np.int32)
    out[np.arange(out.shape[1]) < sizes[:, None]] = pools.member + 1
    return out


def _grids(step: Step, one_value: Sequence[str]) -> RValue:
    """Make the data frames of what was tried; of a block R keeps its last variable's only.

    Columns are in the caller's order.
    """
    last = step.variables[-1]
    mine = [target for target in step.targets if target.variable == last]
    return r_list({target.kind: _grid(step.tuning[target.name], one_value) for target in mine})


def _grid(tuning: Tuning, one_value: Sequence[str]) -> RValue:
    rows = tuning.grid or [
        {**tuning.params, "best_score": tuning.loss, "best_iter": tuning.rounds, "final_model": True}
    ]
    tried = dict.fromkeys(name for row in rows for name in row if name not in (*_FOUND, *one_value))
    names = [*tried, *_FOUND]
    columns = {name: _column(name, [row.get(name) for row in rows]) for name in names}
    return data_frame(columns, len(rows))


def _column(name: str, values: list[Any]) -> RValue:
    """Make a column with R's types: text as a factor, numbers as double but for the rounds."""
    if all(isinstance(v, bool) or v is None for v in values):
        return logical(values)
    if any(isinstance(v, str) for v in values):
        return factor([str(v) for v in values])
    if name == "best_iter":
        return integer([NA_INTEGER if v is None else v for v in values])
    return double([np.nan if v is None else v for v in values])
