"""importance(): what a model's predictors are worth to it."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusionpy.engines.splits import split_totals
from fusionpy.errors import ArgumentError, shown
from fusionpy.formats.archive import read_fsn
from fusionpy.model import FusionModel

__all__ = ["MEASURES", "importance"]

MEASURES = ("gain", "cover", "frequency")


def importance(model: FusionModel | str | os.PathLike[str], *, detailed: bool = False) -> pd.DataFrame:
    """Tell how much each predictor contributes to the models of each fusion variable.

    Parameters
    ----------
    model : FusionModel or path
        What `train` returned, or wrote.
    detailed : bool
        One row per model and predictor, rather than per fusion variable and predictor.

    Returns
    -------
    pandas.DataFrame
        Columns `y`, `x`, `gain`, `cover`, `frequency`; with `detailed` also `model`: "m" (mean or class
        probabilities), "q1", "q2", … (percentiles), "z" (is it zero?). Fusion variables are in the model's
        order, predictors by falling gain. A predictor that no split uses has no row.

    Raises
    ------
    ArgumentError
        If `model` is something else.
    ArchiveError
        If the archive cannot be read.

    Notes
    -----
    All three are shares, and sum to 1 within a model. Gain is the share of the fall of the training loss that
    the splits on a predictor brought, cover that of the donors that these splits parted, frequency that of
    the number of splits. The summary averages a variable's models, each predictor over those that use it, and
    scales the averages to a sum of 1 for each variable, as `importance()` of R's fusionModel does. Models are
    those fitted on all donors; refits play no part.

    Predictors that are alike share what they are worth between them: a low gain does not mean that a
    predictor says nothing of the variable.

    Examples
    --------
    >>> import fusionpy
    >>> donor = fusionpy.datasets.load_donor()
    >>> model = fusionpy.train(donor, y="vehicles", x=["hh_size", "urban"], refits=0, seed=1, quiet=True)
    >>> importance(model)["x"].to_list()
    ['hh_size', 'urban']
    """
    if not isinstance(model, FusionModel | str | os.PathLike):
        wanted = "a FusionModel or the path of a `.fsn` archive"
        raise ArgumentError(
            f"`model` must be {wanted}, not {shown(model)}.", hint="Pass what `train()` returned, or wrote."
        )
    if not isinstance(detailed, bool):
        raise ArgumentError(f"`detailed` must be True or False, not {shown(detailed)}.")
    trained = model if isinstance(model, FusionModel) else read_fsn(model)
    frames = [
        model_shares(target.variable, target.kind, step.predictors, split_totals(step.final[target.name]))
        for step in trained.steps
        for target in step.targets
    ]
    every = pd.concat(frames, ignore_index=True)
    return every if detailed else summarise(every)


def model_shares(y: str, kind: str, predictors: tuple[str, ...], totals: NDArray[np.float64]) -> pd.DataFrame:
    """Shares of one model, of the predictors that it uses, by falling gain."""
    used = np.flatnonzero(totals[:, 2])
    used = used[np.argsort(-totals[used, 0], kind="stable")]
    shares = pd.DataFrame(totals[used] / totals[used].sum(axis=0), columns=list(MEASURES))
    names = pd.DataFrame({"y": y, "model": kind, "x": [predictors[j] for j in used]}, dtype="str")
    return pd.concat([names, shares], axis=1)


def summarise(detailed: pd.DataFrame) -> pd.DataFrame:
    """Average each fusion variable's models.

    Parameters
    ----------
    detailed : DataFrame
        Columns `y`, `model`, `x`, `gain`, `cover`, `frequency`.

    Returns
    -------
    DataFrame
        Columns `y`, `x`, `gain`, `cover`, `frequency`, the last three with a sum of 1 for each `y`.

    Examples
    --------
    >>> one = {"y": "a", "model": ["m", "m", "q1"], "x": ["b", "c", "b"]}
    >>> frame = pd.DataFrame(one | dict.fromkeys(MEASURES, [0.75, 0.25, 1]))
    >>> summarise(frame)[["x", "gain"]].to_dict("list")
    {'x': ['b', 'c'], 'gain': [0.777..., 0.222...]}
    """
    measures = list(MEASURES)
    means = detailed.groupby(["y", "x"], sort=False)[measures].mean().reset_index()
    means[measures] /= means.groupby("y", sort=False)[measures].transform("sum")
    order = {y: place for place, y in enumerate(means["y"].unique())}
    means["place"] = means["y"].map(order)
    means = means.sort_values(["place", "gain"], ascending=[True, False], kind="stable")
    return means.drop(columns="place").reset_index(drop=True)
