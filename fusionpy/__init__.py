"""fusionpy: fuse survey microdata.

Train on a donor survey (`train`), simulate its variables for every record of a recipient (`fuse`), M times
over. The method is that of Ummel et al. (2024), *Scientific Data* 11:142, doi 10.1038/s41597-023-02788-7.
"""

from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fusionpy.frames import forking as _forking  # noqa: F401  (it must see every fork that happens from now on)

if TYPE_CHECKING:
    from fusionpy import datasets
    from fusionpy.analysis import analyze
    from fusionpy.analysis.completed import pool, split_implicates
    from fusionpy.errors import (
        ArchiveError,
        ArgumentError,
        FusionError,
        FusionWarning,
        OutputError,
        SchemaError,
    )
    from fusionpy.evaluation.cross_scoring import cross_score
    from fusionpy.evaluation.importances import importance, plot_importance
    from fusionpy.evaluation.scorecard import Scorecard
    from fusionpy.evaluation.scoring import score
    from fusionpy.evaluation.validation import Validation, plot_valid, validate
    from fusionpy.formats.reading import read_fsd
    from fusionpy.fusion import fuse
    from fusionpy.model import FusionModel
    from fusionpy.model.archive import read_fsn, write_fsn
    from fusionpy.preparation.imputation import impute
    from fusionpy.preparation.monotone import monotonic
    from fusionpy.preparation.screening import Prepared, prep_xy
    from fusionpy.reporting import report
    from fusionpy.training import train

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
    "pool",
    "prep_xy",
    "read_fsd",
    "read_fsn",
    "report",
    "score",
    "split_implicates",
    "train",
    "validate",
    "write_fsn",
]

# Each name is imported when it is first used, with the libraries that it needs and no others.
_HOMES = {
    "analysis": ("analyze",),
    "analysis.completed": ("pool", "split_implicates"),
    "errors": ("ArchiveError", "ArgumentError", "FusionError", "FusionWarning", "OutputError", "SchemaError"),
    "evaluation.cross_scoring": ("cross_score",),
    "evaluation.importances": ("importance", "plot_importance"),
    "evaluation.scorecard": ("Scorecard",),
    "evaluation.scoring": ("score",),
    "evaluation.validation": ("Validation", "plot_valid", "validate"),
    "formats.reading": ("read_fsd",),
    "fusion": ("fuse",),
    "model": ("FusionModel",),
    "model.archive": ("read_fsn", "write_fsn"),
    "preparation.imputation": ("impute",),
    "preparation.monotone": ("monotonic",),
    "preparation.screening": ("Prepared", "prep_xy"),
    "reporting": ("report",),
    "training": ("train",),
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
