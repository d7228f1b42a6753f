"""Whoever is killed while writing leaves nothing half-written, and the next call mends the rest."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytest.importorskip("dask", reason='Dask is absent: pip install "fusionpy[dask]"')
SCRIPT = Path(__file__).parents[2] / "validation" / "robustness" / "kills.py"


@pytest.fixture(scope="module")
def kills():
    spec = importlib.util.spec_from_file_location("validation_kills", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="fork is Linux's")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of forks beside threads
@pytest.mark.parametrize("case", ["Parquet", "fsd", "fsn", "report", "command", "Dask"])
def test_kills(case, kills):
    rows = kills.campaign(8, 3, [case], print)
    assert all(row["kills"] for row in rows)
    assert sum(row["kills"] for row in rows) >= 8 - len(rows) / 2  # shares of eight, each rounded
    for row in rows:
        assert row["half_files"] == row["failed_again"] == row["left_after"] == 0, row
    if case in ("Parquet", "fsd", "fsn"):  # or else it has killed nothing
        assert sum(row["left_a_part"] for row in rows) > 0
