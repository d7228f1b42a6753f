"""Whoever is killed while writing leaves nothing half-written, and the next call mends the rest."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("dask", reason='Dask is absent: pip install "fusionpy[dask]"')
SCRIPT = Path(__file__).parents[2] / "validation" / "robustness" / "kills.py"
LIMIT = 900  # seconds; a case takes 20 to 120


def campaign(case: str, out: Path) -> list[dict[str, str]]:
    """Run the study's script: its processes fork, which one with the threads of other tests should not.

    What hangs is ended with all processes that it has started, or their pipes would keep this one waiting.
    """
    asked = [sys.executable, SCRIPT, "--kills", "8", "--seed", "3", "--only", case, "--out", out]
    log = out / "log.txt"
    with log.open("w") as said:
        process = subprocess.Popen(asked, stdout=said, stderr=said, start_new_session=True)
        try:
            code = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{case} hangs:\n{log.read_text()}")
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    assert code == 0, log.read_text()
    with (out / "kills.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="fork is Linux's")
@pytest.mark.parametrize("case", ["Parquet", "fsd", "fsn", "report", "command", "Dask"])
def test_kills(case, tmp_path):
    rows = [
        {name: int(count) for name, count in row.items() if name != "case"}
        for row in campaign(case, tmp_path)
    ]
    assert all(row["kills"] for row in rows)
    assert sum(row["kills"] for row in rows) >= 8 - len(rows) / 2  # shares of eight, each rounded
    for row in rows:
        assert row["half_files"] == row["failed_again"] == row["left_after"] == 0, row
    if case in ("Parquet", "fsd", "fsn"):  # or else it has killed nothing
        assert sum(row["left_a_part"] for row in rows) > 0
