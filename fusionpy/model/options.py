"""How a model is trained: the methods, and every setting that they differ in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fusionpy.engines import USUAL_ENGINE, find_engine

__all__ = ["METHODS", "Options", "usual_options"]


@dataclass(frozen=True)
class Options:
    """How a model is trained: a method's choices, each of which an argument of `train` can replace.

    Attributes
    ----------
    method : str
        The preset it began as.
    nfolds : float
    nquantiles : int
    nclusters : int
    krange : (int, int)
    hyper : dict
        The engine's hyperparameters; lists make a grid.
    patience : int
        Rounds without gain after which boosting stops.
    crossfit : bool
        Donors' expectations come from models that did not see them, recipients' from one such model.
    refits : int
        Refits on donor bootstraps; implicate m is drawn with refit ``(m - 1) % refits``.
    redraw : bool
        Donor weights are redrawn in the pools for every implicate (Bayesian bootstrap).
    follow : bool
        Redrawn weights follow the refit's resample, as they must where that has the survey's design in it.
    untie : bool
        Percentiles of variables with many equal values are boosted on values that are spread apart, and
        start at the mean.
    calibrate : bool
        Class probabilities are calibrated on left-out donors.
    effects : bool
        What models miss of the differences between levels of predictors is learned and put right.
    tolerant : bool
        Pool sizes by fusionModel's tolerance rule rather than the least divergence.
    tails : bool
        Centres beyond the fences of the donors' values have pools of a fixed size, so that no value decides
        whether it is in; others end before their donors' expectations drift off.
    sort_quantiles : bool
        Predicted quantiles are sorted, so that they do not cross.
    integer_weights : bool
        Donors are drawn by integerized weights.
    engine : str
        What learns and predicts: one of `fusionpy.engines.ENGINES`.
    """

    method: str
    nfolds: float = 5
    nquantiles: int = 3
    nclusters: int = 2000
    krange: tuple[int, int] = (10, 500)
    hyper: Mapping[str, Any] = field(default_factory=dict)
    patience: int = 10
    crossfit: bool = True
    refits: int = 10
    redraw: bool = True
    follow: bool = False
    untie: bool = True
    calibrate: bool = True
    effects: bool = True
    tolerant: bool = True
    tails: bool = True
    sort_quantiles: bool = True
    integer_weights: bool = False
    engine: str = USUAL_ENGINE

    def having(self, **given: Any) -> Options:
        """Replace what was given; None leaves the method's choice."""
        return replace(self, **{k: v for k, v in given.items() if v is not None})


# Without hyperparameters, which are the engine's: see `usual_options`.
METHODS = {
    "default": Options("default"),
    "2024": Options(
        "2024",
        nclusters=0,
        krange=(1, 500),
        patience=2,
        crossfit=False,
        refits=0,
        redraw=False,
        untie=False,
        calibrate=False,
        effects=False,
        tolerant=False,
        tails=False,
    ),
    "fusionModel": Options(
        "fusionModel",
        nquantiles=2,
        patience=2,
        crossfit=False,
        refits=0,
        redraw=False,
        untie=False,
        calibrate=False,
        effects=False,
        tails=False,
        integer_weights=True,
    ),
}


def usual_options(method: str, engine: str = USUAL_ENGINE) -> Options:
    """Take a method's choices, with the hyperparameters that its models have by an engine.

    Examples
    --------
    >>> usual_options("fusionModel").hyper["data_sample_strategy"]
    'goss'
    """
    return replace(METHODS[method], engine=engine, hyper=find_engine(engine).usual(method))
