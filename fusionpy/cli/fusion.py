"""The command `fuse`."""

from __future__ import annotations

import time
from typing import Any

import pyarrow.parquet as pq

import fusionpy
from fusionpy.cli.arguments import expand_patterns
from fusionpy.cli.declared import Declared
from fusionpy.cli.surveys import open_survey
from fusionpy.errors import Problems, settle_seed
from fusionpy.formats.atomic import check_writable
from fusionpy.formats.stored import ENDINGS

__all__ = ["fuse"]


def fuse(
    problems: Problems,
    *,
    recipient: str,
    fsn: str,
    fsd: str,
    M: int,
    retain: list[str] | None,
    declared: Declared,
    seed: int | None,
    **rest: Any,
) -> None:
    """Simulate a model's variables for a recipient, M times over.

    Only the columns that are needed are read, and the result is written as it is made.
    """
    began = time.monotonic()
    problems.stop()
    settled = settle_seed(seed)
    survey = open_survey(recipient)
    check_writable(fsd, "--fsd", ENDINGS, {"recipient": recipient, "fsn": fsn})
    model = fusionpy.read_fsn(fsn)
    kept = expand_patterns(retain or [], survey.names)
    data: Any = recipient  # read piece by piece, if nothing has to be recoded
    n_rows = pq.read_metadata(recipient).num_rows if survey.schema is not None else 0
    if declared or not survey.suits(model.schema.x):
        learned = {v.name: v for v in model.schema.x if v.name not in declared.ordered}
        said = survey.with_areas(declared, model, model.needed)
        data = survey.read([*model.needed, *kept], said, learned)
        n_rows = data.num_rows
    path = fusionpy.fuse(
        data,
        model,
        fsd,
        M=M,
        retain=kept,
        seed=settled,
        **rest,
    )
    rows = f"{M * n_rows:,} rows ({M} x {n_rows:,})"
    print(f"{path}: {rows}, seed {settled}, {time.monotonic() - began:.1f} s")
