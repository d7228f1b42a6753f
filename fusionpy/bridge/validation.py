"""validate() and plot_valid() as R gets them: its order of rows, its names, figures of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.evaluation.comparisons import METRICS, compare, metrics_of, smooth_metrics
from fusionpy.evaluation.observed import ObservedVariable
from fusionpy.frames.tables import to_floats

__all__ = ["compared", "smoothed"]

ESTIMATES = ("est_obs", "moe_obs", "est_sim", "moe_sim", "est_mean")


def compared(observed: pa.Table, implicates: Any, **arguments: Any) -> tuple[dict[str, Any], pa.Table]:
    """Estimate as `fusionpy.validate` does.

    Returns
    -------
    dict
        ``sizes`` and ``notes`` of the `Validation`; ``categorical``, names of the variables that have levels;
        ``agreement``, correlations of observed with fused values.
    pyarrow.Table
        The estimates.
    """
    made = compare(observed, implicates, **arguments)
    y = made.found["y"].to_numpy()
    has_levels = np.isin(y, [field.name for field in made.fields if field.levels])
    ids = made.found["id"].to_numpy()
    subset = np.cumsum(np.append(False, ids[1:] != ids[:-1]))
    # In each subset the reference has numbers first, then what has levels.
    table = made.found.take(np.lexsort([has_levels, subset])).select(
        ("id", "share", "y", "level", *ESTIMATES)
    )
    place = table.column_names.index("moe_sim")
    # And no margin where every implicate has nobody, or everybody, of a level: its variance is 0 / 0.
    moe_sim = pc.if_else(pc.greater(table["moe_sim"], 0), table["moe_sim"], None)
    table = table.set_column(place, "moe_sim", moe_sim)
    value = {
        "sizes": made.sizes,
        "notes": list(made.notes),
        "categorical": [field.name for field in made.fields if field.levels],
        "agreement": _agreement(made.fields, made.w),
    }
    return value, _r_logicals(table, observed)


def _r_logicals(table: pa.Table, observed: pa.Table) -> pa.Table:
    """Call the levels of logicals as R does."""
    logicals = [
        name for name in observed.column_names if pa.types.is_boolean(observed.schema.field(name).type)
    ]
    place = table.column_names.index("level")
    is_logical = pc.is_in(table["y"], pa.array(logicals, pa.string()))
    named = pc.if_else(is_logical, pc.utf8_upper(table["level"]), table["level"])
    return table.set_column(place, "level", named)


def _agreement(fields: Sequence[ObservedVariable], w: NDArray[np.float64]) -> list[float]:
    """Correlate observed with fused values, of every variable, and of every level of what has levels."""
    found = []
    for each in fields:
        known = (w > 0) & ~np.isnan(each.observed)
        for level in range(max(1, len(each.levels))):
            pair = [each.observed, each.drawn.T]
            if each.levels:
                pair = [(values == level).astype(np.float64) for values in pair]
            observed, fused = (values[..., known] for values in pair)
            moments = np.cov(
                np.tile(observed, len(fused)), fused.ravel(), aweights=np.tile(w[known], len(fused))
            )
            if moments[0, 0] > 0 and moments[1, 1] > 0:
                found.append(float(moments[0, 1] / np.sqrt(moments[0, 0] * moments[1, 1])))
    return found


def smoothed(table: pa.Table, cores: int) -> tuple[list[str], dict[str, pa.Table]]:
    """Smooth the metrics of estimates, which `compared` made.

    Returns
    -------
    list of str
        Variables that have no averages.
    dict of str to pyarrow.Table
        ``points`` has the metrics of every estimate, ``smooth`` the curves, ``perf`` their averages.
    """
    estimates = [to_floats(table[name].combine_chunks()) for name in ESTIMATES]
    names = list(dict.fromkeys(table["y"].to_pylist()))
    points = pa.table({name: table[name] for name in ("share", "y", "level")} | metrics_of(*estimates))
    smooth, summary = smooth_metrics(points, names, cores)
    # The reference has no averages where an observed estimate is 0, so that some errors are not defined.
    nobody = table.filter(pc.equal(table["est_obs"], 0))["y"]
    is_defined = pc.invert(pc.is_in(summary["y"], pc.unique(nobody)))
    perf = {name: pc.if_else(is_defined, summary[name], None) for name in METRICS}
    made = {"points": points, "smooth": smooth, "perf": pa.table({"y": summary["y"], **perf})}
    return pc.unique(nobody).to_pylist(), made
