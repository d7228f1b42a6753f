"""importance(): what a model's predictors are worth to it. plot_importance(): see it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fusionpy.engines import find_engine
from fusionpy.errors import ArgumentError, Problems, settle_seed, shown
from fusionpy.evaluation.permutation import PERMUTATION, read_held_out, rises
from fusionpy.figures.importance import measure_bars
from fusionpy.frames.tables import as_table
from fusionpy.model import FusionModel
from fusionpy.model.archive import as_model
from fusionpy.progress import tell_of_seed

__all__ = ["MEASURES", "importance", "plot_importance"]

MEASURES = ("gain", "cover", "frequency")


def importance(
    model: FusionModel | str | os.PathLike[str],
    *,
    detailed: bool = False,
    data: Any = None,
    n_repeats: int = 5,
    seed: int | None = None,
    cores: int = 1,
    weight: str | None = None,
) -> pd.DataFrame:
    """Tell how much each predictor contributes to the models of each fusion variable.

    Parameters
    ----------
    model : FusionModel or path
        What `train` returned, or wrote.
    detailed : bool
        One row per model and predictor, rather than per fusion variable and predictor.
    data : pandas or polars DataFrame, or pyarrow Table, optional
        Donors that the model was not trained on, with its predictors and fusion variables: for how much worse
        these are predicted when a predictor is permuted. Donors that it was trained on tell what the models
        use, be it of use or not.
    n_repeats : int
        Permutations of each predictor.
    seed : int, optional
        Of the permutations: same seed, same result. Missing: drawn, and told on standard error.
    cores : int
        Threads. The result does not depend on it.
    weight : str, optional
        Column of survey weights in `data`; negative ones count as 0, records of zero weight are left out.

    Returns
    -------
    pandas.DataFrame
        Columns `y`, `x`, `gain`, `cover`, `frequency`; with `detailed` also `model`: "m" (mean or class
        probabilities), "q1", "q2", … (percentiles), "z" (is it zero?). Fusion variables are in the model's
        order, predictors by falling gain. A predictor that no split uses has no row. With `data` also
        `permutation` and its standard error, `permutation_se`.

    Raises
    ------
    ArgumentError
        If arguments are wrong.
    SchemaError
        If columns of `data` are not what the model's were.
    ArchiveError
        If the archive cannot be read.

    Notes
    -----
    The first three are shares, and sum to 1 within a model. Gain is the share of the fall of the training
    loss that the splits on a predictor brought, cover that of the donors that these splits parted, frequency
    that of the number of splits. The summary averages a variable's models, each predictor over those that use
    it, and scales the averages to a sum of 1 for each variable, as `importance()` of R's fusionModel does.
    Models are those fitted on all donors; refits play no part.

    Permutation importance is how much the weighted mean loss on `data` rises when a predictor's values change
    hands; about 0 or below says that the predictor is of no use beyond the donors it was learned from
    (Breiman 2001, *Machine Learning* 45:5; Fisher, Rudin and Dominici 2019, *Journal of Machine Learning
    Research* 20:177). For a mean, where the loss is the squared error, and a percentile, where it is the
    quantile loss, the rise is a share of the loss: .1 is 10 % more. For classes, and whether a value is zero,
    it is the rise of the log loss itself, in nats. Models of the size of a zero-inflated variable are judged
    on records where it is not 0, those of a variable fitted on its rank-normal scale on that; fusion
    variables of earlier steps have their observed values. The summary averages over all of a variable's
    models, with 0 for those that do not use the predictor. The standard error is that of a sample of records,
    by linearisation. A squared error or quantile loss of exactly 0 leaves both missing.

    Predictors that are alike share what they are worth between them: a low number does not mean that a
    predictor says nothing of the variable.

    Examples
    --------
    >>> import fusionpy
    >>> donor = fusionpy.datasets.load_donor()
    >>> x = ["hh_size", "urban"]
    >>> model = fusionpy.train(donor.head(2000), y="vehicles", x=x, refits=0, seed=1, quiet=True)
    >>> table = importance(model, data=donor.tail(1000), weight="weight", seed=0)
    >>> table["x"].to_list(), (table["permutation"] > 0).to_list()
    (['hh_size', 'urban'], [True, True])
    """
    if not isinstance(detailed, bool):
        raise ArgumentError(f"`detailed` must be True or False, not {shown(detailed)}.")
    every, averages = importance_tables(
        model, data=data, n_repeats=n_repeats, seed=seed, cores=cores, weight=weight
    )
    return every if detailed else averages


def importance_tables(
    model: FusionModel | str | os.PathLike[str],
    *,
    data: Any = None,
    n_repeats: int = 5,
    seed: int | None = None,
    cores: int = 1,
    weight: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give both tables of `importance`, whose arguments these are: the detailed one, and averages."""
    if not isinstance(model, FusionModel | str | os.PathLike):
        wanted = "a FusionModel or the path of a `.fsn` archive"
        raise ArgumentError(
            f"`model` must be {wanted}, not {shown(model)}.", hint="Pass what `train()` returned, or wrote."
        )
    settled = _check_permuting(data, n_repeats, seed, cores, weight)
    trained = as_model(model)
    engine = find_engine(trained.options.engine)
    if (split_totals := engine.split_totals) is None:
        told = f"Models of {engine.title} have no splits, of which gain, cover and frequency are shares."
        raise ArgumentError(
            "`importance()` cannot say what predictors are worth.", [told], "Train with another `engine`."
        )
    held = None if data is None else read_held_out(trained, as_table(data), weight)
    frames = [
        model_shares(target.variable, target.kind, step.predictors, split_totals(step.final[target.name]))
        for step in trained.steps
        for target in step.targets
    ]
    every = pd.concat(frames, ignore_index=True)
    averages = summarise(every)
    if held is None:
        return every, averages
    if seed is None:
        tell_of_seed("importance", settled, quiet=False)
    of_models, of_variables = rises(trained, held, every, int(n_repeats), settled, int(cores))
    every = every.merge(of_models, how="left", on=["y", "model", "x"])
    return every, averages.merge(of_variables, how="left", on=["y", "x"])


def plot_importance(table: pd.DataFrame, measure: str = "gain", *, most: int = 12) -> Any:
    """Draw what predictors are worth, a panel for each fusion variable.

    Parameters
    ----------
    table : pandas.DataFrame
        What `importance` returned, without `detailed`.
    measure : {"gain", "cover", "frequency", "permutation"}
        "permutation" comes with its 90 % margins.
    most : int
        Predictors in a panel, those of most worth.

    Returns
    -------
    plotnine.ggplot
        Of a size at which the bars have room; ``.save(path)`` writes it.

    Raises
    ------
    ArgumentError
        If arguments are wrong, or there is nothing to draw.

    Examples
    --------
    >>> table = pd.DataFrame({"y": "a", "x": ["u", "v"], "gain": [0.7, 0.3]})
    >>> plot_importance(table).labels.x
    'Share of gain, %'
    """
    problems = Problems(
        ArgumentError,
        "`plot_importance()` cannot start.",
        "Pass what `importance(model)` returned; with `data=` it has permutations.",
    )
    known = (*MEASURES, PERMUTATION[0])
    if not isinstance(measure, str) or measure not in known:
        problems.add(f"`measure` must be one of {', '.join(known)}, not {shown(measure)}.")
    problems.whole("most", most, 1)
    if not isinstance(table, pd.DataFrame):
        problems.add(f"`table` must be a pandas DataFrame, not {shown(table)}.")
        problems.stop()
    if "model" in table:
        problems.add("`table` is detailed; leave out `detailed=True`.")
    problems.stop()
    wanted = [measure, *([PERMUTATION[1]] if measure == PERMUTATION[0] else [])]
    missing = [name for name in ("y", "x", *wanted) if name not in table]
    if missing:
        problems.add(f"`table` has no column `{missing[0]}`.")
    elif table[wanted].dropna().empty:
        problems.add("`table` has no rows: no model has a split.")
    problems.stop()
    whole = table.dropna(subset=wanted)
    order = {y: place for place, y in enumerate(whole["y"].unique())}
    ranked = whole.assign(place=whole["y"].map(order)).sort_values(
        ["place", measure], ascending=[True, False], kind="stable"
    )
    return measure_bars(ranked.groupby("y", sort=False).head(int(most)), measure)


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


def _check_permuting(data: Any, n_repeats: int, seed: int | None, cores: int, weight: str | None) -> int:
    """Refuse impossible values; settle the seed."""
    problems = Problems(
        ArgumentError, "`importance()` cannot start.", "See `help(fusionpy.importance)` for what it takes."
    )
    for name, value in (("n_repeats", n_repeats), ("cores", cores)):
        problems.whole(name, value, 1)
    settled = settle_seed(seed, problems)
    if weight is not None and not isinstance(weight, str):
        problems.add(f"`weight` must be the name of a column of `data`, not {shown(weight)}.")
    elif weight is not None and data is None:
        problems.add("`weight` is a column of `data`, which is missing.")
    problems.stop()
    return settled
