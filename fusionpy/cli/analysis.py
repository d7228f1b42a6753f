"""The command `analyze`."""

from __future__ import annotations

from typing import Any

import fusionpy
from fusionpy.analysis.reading import read_estimands
from fusionpy.cli.arguments import expand_patterns
from fusionpy.cli.declared import Declared
from fusionpy.cli.surveys import open_survey
from fusionpy.cli.tables import TABLE_ENDINGS, write_table
from fusionpy.errors import Problems
from fusionpy.formats.atomic import check_writable
from fusionpy.formats.implicates import open_implicates
from fusionpy.frames.digests import read_note
from fusionpy.frames.returned import to_pandas
from fusionpy.frames.tables import ROWS

__all__ = ["analyze"]


def analyze(
    problems: Problems,
    *,
    implicates: str,
    x: list[str],
    static: str | None,
    weight: str | None,
    rep_weights: list[str] | None,
    by: list[list[str]] | None,
    rectify: str | tuple[str, str] | None,
    out: str | None,
    declared: Declared,
    **rest: Any,
) -> None:
    """Estimate means, shares, totals and quantiles with margins of error.

    Implicates are read one at a time, and only the columns that are needed. Options and their defaults
    are those of `fusionpy.analyze()` in Python.
    """
    groupings, replicates = by or [], rep_weights or []
    estimands = read_estimands(x, problems)
    problems.stop()
    model = rectify[1] if isinstance(rectify, tuple) else rectify
    inputs = {"implicates": implicates, "--static": static, "--rectify": model}
    target = check_writable(out, "--out", TABLE_ENDINGS, inputs) if out is not None else None
    opened = open_implicates(implicates)
    names, table = opened.names, None
    if static is not None:
        survey = open_survey(static)
        replicates = expand_patterns(replicates, survey.names)
        variables = [name for each in estimands for name in each.variables]
        groups = [name for grouping in groupings for name in grouping]
        wanted = [*groups, *([weight] if weight else []), *replicates, *variables]
        if survey.schema is not None:  # others of Parquet tell whether the rows are those that were fused
            wanted += [name for name in read_note(opened.attributes.get(ROWS)) if name in survey.names]
        table = survey.read([name for name in wanted if name in survey.names], declared)
    result = fusionpy.analyze(
        x,
        implicates,
        static=None if table is None else to_pandas(table),
        weight=weight,
        rep_weights=expand_patterns(replicates, names) or None,
        by=groupings if len(groupings) > 1 else [name for grouping in groupings for name in grouping],
        rectify=rectify,
        **rest,
    )
    print(result)
    if target is not None:
        write_table(result, target)
