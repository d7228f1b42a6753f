"""R within this process: found, started once, and kept quiet."""

from __future__ import annotations

import importlib
import locale
import logging
import os
import shutil
import signal
import subprocess
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from typing import Any

from fusionpy.errors import FusionError

__all__ = ["find_r", "helper", "rinterface"]

# No profile and no saved workspace: what a folder happens to hold is not to run.
OPTIONS = ("rpy2", "--quiet", "--no-save", "--no-restore", "--no-init-file")
NEEDED = ("R_", "PYTHON_SESSION_INITIALIZED")  # variables that R and its packages need once it runs
INSTALL = 'pip install "fusionpy[r]"'


def find_r() -> Path:
    """Find R's home: what `R_HOME` says, or else the R on the path.

    Raises
    ------
    FusionError
        If there is none.
    """
    told = os.environ.get("R_HOME")
    program = shutil.which("R")
    if not told and program:
        done = subprocess.run([program, "RHOME"], capture_output=True, text=True, check=False)
        told = (done.stdout.strip().splitlines() or [""])[-1]
    if told and Path(told).is_dir():
        return Path(told)
    problem = f"`R_HOME` is '{told}', which is no folder." if told else "There is no R on the path."
    hint = "Install R (Debian: apt-get install r-base-core), or set `R_HOME` to what `R RHOME` prints."
    raise FusionError("R cannot be found.", [problem], hint)


@cache
def rinterface() -> Any:
    """Start R, unless it runs, and return rpy2's low-level interface.

    Raises
    ------
    ImportError
        If rpy2 is not installed, or does not go with this R.
    FusionError
        If there is no R.
    """
    try:
        distribution("rpy2-rinterface")  # folders alone may be left of one that was removed
    except PackageNotFoundError:
        raise ImportError(f"fusionpy.r needs rpy2, which is not installed: {INSTALL}") from None
    home = find_r()
    with _silent("rpy2"):
        try:
            low = importlib.import_module("rpy2.rinterface")
            embedded = importlib.import_module("rpy2.rinterface_lib.embedded")
        except (ImportError, AttributeError, OSError, ValueError) as error:
            raise ImportError(
                f"rpy2 cannot use the R in {home}: {error}\n"
                f'With R before 4.5: pip install rpy2 "rpy2-rinterface<3.6.6" ({INSTALL} does so).'
            ) from error
        if not embedded.isinitialized():
            with _as_it_was():
                embedded.set_initoptions(OPTIONS)
                low.initr(interactive=False)
    return low


@contextmanager
def _silent(library: str) -> Iterator[None]:
    """Keep what a library logs, short of disasters, from the terminal."""
    logger = logging.getLogger(library)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _as_it_was() -> Iterator[None]:
    """Undo what starting R does to this process: the handler of Ctrl-C, the locale, the environment."""
    handler = signal.getsignal(signal.SIGINT)
    spoken = locale.setlocale(locale.LC_ALL)
    before = dict(os.environ)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rpy2 warns of another thread's Ctrl-C
            yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        locale.setlocale(locale.LC_ALL, spoken)
        for name in [name for name in os.environ if not name.startswith(NEEDED)]:
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


@cache
def _helpers() -> dict[str, Any]:
    low = rinterface()
    found = low.evalr(files("fusionpy.r").joinpath("helpers.R").read_text(encoding="utf-8"))
    return dict(zip(found.names, found, strict=True))


def helper(name: str) -> Any:
    """Fetch one of the functions in ``helpers.R``, starting R if need be."""
    return _helpers()[name]
