"""The command line: parse, call a verb, print."""

from fusionpy.cli.commands import app, main
from fusionpy.cli.evaluation import analyze, report, score, validate
from fusionpy.cli.preparation import importance, impute, prep

__all__ = ["analyze", "app", "importance", "impute", "main", "prep", "report", "score", "validate"]
