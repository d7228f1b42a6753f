"""What learns and predicts. Each engine wraps one outside library, which it imports when it is first used."""

from __future__ import annotations

from importlib import import_module

from fusionpy.engines.base import Engine
from fusionpy.errors import FusionError

__all__ = ["ENGINES", "USUAL_ENGINE", "find_engine"]

# A name for users and archives, and the module that has the `Engine`.
ENGINES = {
    "lightgbm": "fusionpy.engines.lightgbm.engine",
}
USUAL_ENGINE = "lightgbm"  # and that of all archives which do not name one, R's among them


def find_engine(name: str) -> Engine:
    """Take an engine, which is imported the first time.

    Parameters
    ----------
    name : str
        One of `ENGINES`.

    Returns
    -------
    Engine

    Raises
    ------
    FusionError
        If a library that it needs is not installed.

    Examples
    --------
    >>> find_engine("lightgbm").title
    'LightGBM'
    """
    try:
        engine: Engine = import_module(ENGINES[name]).ENGINE
    except ImportError as error:
        hint = "Install what it needs."
        raise FusionError(f"The engine '{name}' cannot be imported.", [f"{error}."], hint) from None
    return engine
