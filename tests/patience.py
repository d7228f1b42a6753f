"""How long tests wait for other threads and processes: so long that only what hangs is given up."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE = 600  # seconds


def until(happened: Callable[[], object]) -> None:
    """Look again and again whether something has happened."""
    end = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < end, "it has not happened"
        time.sleep(0.002)
