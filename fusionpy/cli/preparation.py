"""The commands before a fusion: `prep` and `impute`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

import fusionpy
from fusionpy.cli.arguments import expand_patterns
from fusionpy.cli.declared import Declared
from fusionpy.cli.surveys import common_columns, open_survey
from fusionpy.cli.tables import TABLE_ENDINGS, write_table
from fusionpy.errors import OutputError, Problems
from fusionpy.formats.atomic import check_writable, written_aside
from fusionpy.formats.rescue import rescued
from fusionpy.frames.level_notes import noted_levels

__all__ = ["impute", "prep"]


def prep(
    problems: Problems,
    *,
    donor: str,
    y: list[list[str]],
    x: list[str] | None,
    recipient: str | None,
    drop: list[str] | None,
    weight: str | None,
    xforce: list[str] | None,
    declared: Declared,
    out: str | None,
    **rest: Any,
) -> None:
    """Order fusion variables, and choose their predictors, by LASSO."""
    if (x is None) == (recipient is None):
        problems.add(
            "Give the predictors by `--x`, or by `--recipient` those that both files have; not both."
        )
    problems.stop()
    survey = open_survey(donor)
    inputs = {"donor": donor, "--recipient": recipient}
    target = check_writable(out, "--out", TABLE_ENDINGS, inputs) if out is not None else None
    used = [*(name for block in y for name in block), *([weight] if weight else [])]
    if recipient is not None:
        predictors = common_columns(survey, open_survey(recipient), used, drop or [])
    else:
        predictors = expand_patterns(x or [], survey.names)
    found = fusionpy.prep_xy(
        survey.read([*predictors, *used], declared),
        [block if len(block) > 1 else block[0] for block in y],
        predictors,
        weight=weight,
        xforce=xforce or None,
        **rest,
    )
    print(found)
    steps = ",".join(step if isinstance(step, str) else "+".join(step) for step in found.y)
    more = (f" --weight {weight}" if weight else "") + declared.spelled
    print(f"\nfusionpy train {donor} --y {steps} --x {','.join(found.xpredictors)}{more} --fsn model.fsn")
    if target is not None:
        write_table(_pandas(found.scores), target)


def impute(
    problems: Problems,
    *,
    data: str,
    out: str,
    ignore: list[str] | None,
    M: int,
    declared: Declared,
    **rest: Any,
) -> None:
    """Fill the missing values of a survey, once or M times over."""
    problems.stop()
    survey = open_survey(data)
    target = check_writable(out, "--out", (".parquet", ".csv"), {"data": data})
    completed = fusionpy.impute(
        survey.read(survey.names, declared),
        ignore=expand_patterns(ignore or [], survey.names) or None,
        M=M,
        **rest,
    )
    try:
        _write(completed, target)
    except (OutputError, pa.ArrowException) as error:
        failed = OutputError(f"{target} could not be written.", [f"{error}."])
        failed = error if isinstance(error, OutputError) else failed
        raise rescued(
            failed, lambda path: pq.write_table(noted_levels(completed), path), ".parquet"
        ) from None
    print(f"{target}: {completed.num_rows:,} rows" + (f" (M = {M})" if M > 1 else ""))


def _write(completed: pa.Table, target: Path) -> None:
    """Write completed data sets, whole or not at all."""
    with written_aside(target, private=True) as aside:
        if target.suffix.lower() == ".parquet":
            pq.write_table(noted_levels(completed), aside, compression="zstd")
            return
        plain = [
            c.cast(c.type.value_type) if pa.types.is_dictionary(c.type) else c for c in completed.columns
        ]
        pa_csv.write_csv(pa.table(plain, names=completed.column_names), aside)


def _pandas(table: Any) -> Any:
    return table.to_pandas() if hasattr(table, "to_pandas") else table
