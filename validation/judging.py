"""The judge of held-out quality, which is not part of fusionpy: ``../shared/bench/score.py``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

SHARED = Path(__file__).resolve().parents[2] / "shared"


def load_judge() -> Any:
    """Import the judge from the shared folder."""
    spec = importlib.util.spec_from_file_location("judge", SHARED / "bench" / "score.py")
    assert spec is not None
    assert spec.loader is not None
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    return judge
