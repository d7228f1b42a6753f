"""Agreement with R's own super smoother, `stats::supsmu`.

`pytest -m r` runs these; they need Rscript with the package jsonlite.
"""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from patience import PATIENCE

from fusionpy.kernels.supersmoother import supersmooth

pytestmark = pytest.mark.r
HERE = Path(__file__).parent


def cases():
    """Points of every number, with and without ties, weights and bass; fewer than 4 hang R."""
    found = []
    for number, n in enumerate((4, 5, 6, 7, 10, 15, 20, 25, 35, 60, 100, 285, 300, 1000, 5000)):
        for bass in (0, 2, 10):
            rng = np.random.default_rng(100 * number + bass)
            for has_ties in (False, True):
                x = rng.integers(0, max(3, n // 3), n) / 4 if has_ties else rng.gamma(2, 1, n)
                y = np.sin(x) * 100 + 50 * rng.normal(size=n)
                w = rng.exponential(size=n) * 1e4 + 100 if bass else np.ones(n)
                found.append({"x": x.tolist(), "y": y.tolist(), "w": w.tolist(), "bass": bass})
    return found


def test_supsmu(tmp_path):
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    given, target = tmp_path / "points.json", tmp_path / "smooths.json"
    given.write_text(json.dumps(cases()))
    command = ["Rscript", "--vanilla", str(HERE / "supsmu.R"), str(given), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode and "there is no package called" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[0])
    assert done.returncode == 0, done.stderr
    for case, theirs in zip(cases(), json.loads(target.read_text()), strict=True):
        mine = supersmooth(*(np.array(case[name]) for name in "xyw"), float(case["bass"]))
        assert mine[0] == pytest.approx(np.array(theirs["x"]))
        assert mine[1] == pytest.approx(np.array(theirs["y"]), rel=1e-10, abs=1e-12)
