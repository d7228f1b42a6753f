"""The command line: parse, call a verb, print."""

from fusionpy.cli.commands import app, main
from fusionpy.cli.evaluation import analyze, report, score, validate

__all__ = ["analyze", "app", "main", "report", "score", "validate"]
