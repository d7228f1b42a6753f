"""The held-out scorecard: check arguments, read both surveys, measure, print."""

from fusionpy.evaluation.scorecard import Scorecard
from fusionpy.evaluation.scoring import score

__all__ = ["Scorecard", "score"]
