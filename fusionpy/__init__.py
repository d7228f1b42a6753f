"""fusionpy: fuse survey microdata.

Train on a donor survey (`train`), simulate its variables for every record of a recipient (`fuse`), M times
over. The method is that of Ummel et al. (2024), *Scientific Data* 11:142, doi 10.1038/s41597-023-02788-7.
"""

from importlib.metadata import version

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
