"""What every test may use: the hypothesis profiles and the shared material."""

from __future__ import annotations

import gc
import os
import sys
from importlib import metadata
from pathlib import Path

import pytest
from hypothesis import settings
from packaging.requirements import Requirement

# Dask's workers may look for tests' functions by their modules' names. Behind all else, lest the checkout
# hides what is installed.
sys.path.append(str(Path(__file__).resolve().parents[1]))

# Libraries that numbers depend on.
NUMERICAL = ("lightgbm", "numba", "numpy", "pandas", "pyarrow", "scipy")

# Threads that wait for work of a few microseconds are to sleep, and not to keep a core from others.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Nor are those of OpenBLAS, which do not sleep: small matrices cost eight times as much on a busy machine.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Compiling a kernel can take seconds, so no example has a deadline.
settings.register_profile("dev", deadline=None, max_examples=50)
settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True, print_blob=True)
settings.register_profile("brief", deadline=None, max_examples=10, derandomize=True)
settings.register_profile("thorough", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_collection_finish() -> None:
    """Let no later search for garbage go through all tests and libraries again: that took half a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """Surveys, golden numbers and specifications in `shared`, beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"../shared is absent: there is no folder {folder}")
    return folder


@pytest.fixture(scope="session")
def pinned() -> None:
    """Skip unless the libraries that numbers depend on have the versions of `.ci/constraints.txt`."""
    lines = (Path(__file__).parents[1] / ".ci/constraints.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    here = [pin for pin in pins if pin.name in NUMERICAL and (not pin.marker or pin.marker.evaluate())]
    assert {pin.name for pin in here} == set(NUMERICAL)
    other = [pin.name for pin in here if not pin.specifier.contains(metadata.version(pin.name))]
    if other:
        pytest.skip(f"{', '.join(other)} are not of the versions in .ci/constraints.txt: a digit may differ.")
