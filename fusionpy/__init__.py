"""fusionpy: fuse survey microdata.

Train on a donor survey (`train`), simulate its variables for every record of a recipient (`fuse`), M times
over. The method is that of Ummel et al. (2024), *Scientific Data* 11:142, doi 10.1038/s41597-023-02788-7.
"""

from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fusionpy import forking as _forking  # noqa: F401  (it must see every fork that happens from now on)

if TYPE_CHECKING:
    from fusionpy import datasets
    from fusionpy.analysis import analyze
    from fusionpy.crossval import cross_score
    from fusionpy.errors import (
        ArchiveError,
        ArgumentError,
        FusionError,
        FusionWarning,
        OutputError,
        SchemaError,
    )
    from fusionpy.formats.archive import read_fsn, write_fsn
    from fusionpy.fusion import fuse
    from fusionpy.importances import importance, plot_importance
    from fusionpy.imputation import impute
    from fusionpy.model import FusionModel
    from fusionpy.monotone import monotonic
    from fusionpy.reading import read_fsd
    from fusionpy.reporting import report
    from fusionpy.scoring import Scorecard, score
    from fusionpy.screening import Prepared, prep_xy
    from fusionpy.training import train
    from fusionpy.validity import Validation, plot_valid, validate

__version__ = version("fusionpy")

__all__ = [
    "ArchiveError",
    "ArgumentError",
    "FusionError",
    "FusionModel",
    "FusionWarning",
    "OutputError",
    "Prepared",
    "SchemaError",
    "Scorecard",
    "Validation",
    "analyze",
    "cross_score",
    "datasets",
    "fuse",
    "importance",
    "impute",
    "monotonic",
    "plot_importance",
    "plot_valid",
    "prep_xy",
    "read_fsd",
    "read_fsn",
    "report",
    "score",
    "train",
    "validate",
    "write_fsn",
]

# Each name is imported when it is first used, with the libraries that it needs and no others.
_HOMES = {
    "analysis": ("analyze",),
    "crossval": ("cross_score",),
    "errors": ("ArchiveError", "ArgumentError", "FusionError", "FusionWarning", "OutputError", "SchemaError"),
    "formats.archive": ("read_fsn", "write_fsn"),
    "fusion": ("fuse",),
    "importances": ("importance", "plot_importance"),
    "imputation": ("impute",),
    "model": ("FusionModel",),
    "monotone": ("monotonic",),
    "reading": ("read_fsd",),
    "reporting": ("report",),
    "scoring": ("Scorecard", "score"),
    "screening": ("Prepared", "prep_xy"),
    "training": ("train",),
    "validity": ("Validation", "plot_valid", "validate"),
}


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is not None:
        found = globals()[name] = getattr(import_module(f"fusionpy.{home}"), name)
        return found
    if name.startswith("_") or find_spec(f"fusionpy.{name}") is None:
        raise AttributeError(f"module 'fusionpy' has no attribute '{name}'")
    return import_module(f"fusionpy.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
