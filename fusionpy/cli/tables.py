"""Tables that commands print, write and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from fusionpy.cli.surveys import open_survey
from fusionpy.figures.layout import Grid
from fusionpy.formats.atomic import written_aside
from fusionpy.formats.spreadsheets import as_csv, without_marks
from fusionpy.frames.level_notes import noted_levels
from fusionpy.frames.returned import to_pandas

__all__ = ["TABLE_ENDINGS", "lay_out", "read_table", "write_table"]

TABLE_ENDINGS = (".csv", ".parquet", ".tex")


def write_table(table: Any, target: Path) -> None:
    """Write a table as its name says, whole or not at all."""
    frame = pd.DataFrame(table)
    with written_aside(target) as aside:
        if target.suffix.lower() == ".parquet":
            pq.write_table(noted_levels(pa.Table.from_pandas(frame, preserve_index=False)), aside)
        elif target.suffix.lower() == ".tex":
            aside.write_text(frame.style.hide(axis="index").to_latex(hrules=True))
        else:
            aside.write_text(as_csv(frame), encoding="utf-8", newline="")


def read_table(path: str) -> pd.DataFrame:
    """Read a table as `write_table` wrote it."""
    survey = open_survey(path)
    frame: pd.DataFrame = to_pandas(survey.read(survey.names))
    return frame if survey.schema is not None else without_marks(frame)  # of CSV, as `write_table` made it


def lay_out(table: pd.DataFrame) -> Grid:
    """Lay out numbers with four decimals, or three digits where that would be 0."""
    columns, numeric = [], []
    for name in table.columns:
        is_float = pd.api.types.is_float_dtype(table[name])
        numeric.append(bool(pd.api.types.is_numeric_dtype(table[name])))
        columns.append([_number(value) if is_float else str(value) for value in table[name]])
    rows = tuple(zip(*columns, strict=True))
    return Grid(tuple(map(str, table.columns)), rows, tuple(numeric))


def _number(value: float) -> str:
    if pd.isna(value):
        return ""
    return f"{value:.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:.2e}"
