"""The held-out scorecard: check arguments, read both surveys, measure, print."""

from fusionpy.scoring.judging import score
from fusionpy.scoring.scorecard import Scorecard

__all__ = ["Scorecard", "score"]
