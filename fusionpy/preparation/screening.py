"""prep_xy(): put fusion variables in order, and choose the predictors of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from fusionpy.engines.glmnet import has_glmnet
from fusionpy.errors import ArgumentError, Problems, counted, few, settle_seed, shown
from fusionpy.figures.layout import Grid, Page
from fusionpy.figures.screening import explained_chart
from fusionpy.frames.returned import return_table
from fusionpy.frames.tables import as_table
from fusionpy.preparation.design import build_design
from fusionpy.preparation.donors import read_donors
from fusionpy.preparation.ordering import Criteria, Judged, count_judgements, order_steps
from fusionpy.progress import announce, track
from fusionpy.training.planning import check_roles, plan_steps

__all__ = ["Prepared", "prep_xy"]

SOLVERS = ("gram", "glmnet")
METHODS = ("default", "fusionModel")


@dataclass(frozen=True, eq=False, repr=False)
class Prepared:
    """An order of steps, and predictors for each: pass `y` and `x` to `train`.

    Attributes
    ----------
    y : list
        Fusion variables in their new order; blocks are lists.
    x : list of list of str
        Predictors of each step: fusion variables of earlier steps first, then those that the recipient has,
        as they were given; by ``method="fusionModel"`` in the order of the R package.
    xpredictors : list of str
        Those of `xoriginal` that some step uses.
    xforce : list of str
        What every step was made to use.
    xoriginal : list of str
        The predictors that were given.
    scores : the kind of frame that `data` is
        One row per round and step: `round` (from 1), `step` (its names), `deviance` (share of variance
        explained by the predictors and the steps placed so far), `best` (that could be explained, with all
        other fusion variables), `ratio` of the two, `chosen`.
    seed : int
        That repeats the result.
    notes : tuple of str
        What was left out or filled.
    """

    y: list[str | list[str]]
    x: list[list[str]]
    xpredictors: list[str]
    xforce: list[str]
    xoriginal: list[str]
    scores: Any
    seed: int
    notes: tuple[str, ...] = ()

    @cached_property
    def figure(self) -> Any:
        """Figure (plotnine) of the share of what could be explained, round by round."""
        return explained_chart(as_table(self.scores).arrow(("round", "step", "ratio", "chosen")).to_pandas())

    def _page(self) -> Page:
        rows = as_table(self.scores).arrow(("step", "deviance", "ratio", "chosen")).to_pylist()
        cells = tuple(
            (f"{i + 1}", row["step"], f"{row['deviance']:.3f}", f"{row['ratio']:.0%}", f"{len(self.x[i])}")
            for i, row in enumerate(row for row in rows if row["chosen"])
        )
        n_y = sum(1 if isinstance(step, str) else len(step) for step in self.y)
        headline = (
            f"Prepared: {counted(len(self.y), 'step')} for {counted(n_y, 'fusion variable')}, "
            f"{len(self.xpredictors)} of {counted(len(self.xoriginal), 'predictor')} used"
        )
        headers = ("", "step", "explained", "of what could be", "predictors")
        return Page(headline, (Grid(headers, cells, (True, False, True, True, True)),), self.notes)

    def __repr__(self) -> str:
        return self._page().text()

    def _repr_html_(self) -> str:
        return self._page().html()


def prep_xy(
    data: Any,
    y: str | Sequence[str | Sequence[str]],
    x: str | Sequence[str],
    *,
    weight: str | None = None,
    cor_thresh: float = 0.05,
    lasso_thresh: float = 0.95,
    xmax: int = 100,
    xforce: str | Sequence[str] | None = None,
    fraction: float = 1,
    cores: int = 1,
    seed: int | None = None,
    solver: Literal["gram", "glmnet"] = "gram",
    method: Literal["default", "fusionModel"] = "default",
    quiet: bool = False,
) -> Prepared:
    """Put fusion variables in the order in which to simulate them, and choose the predictors of each.

    Parameters
    ----------
    data : pandas or polars DataFrame, or pyarrow Table
        The donor survey, one row per respondent.
    y : str or sequence
        Fusion variables, in any order. An element that is itself a sequence is a block, which stays together.
        No missing values. Those that do not vary are left out, with a warning.
    x : str or sequence of str
        Predictors, known in the recipient too. Missing values are filled; what does not vary is left out.
    weight : str, optional
        Column of survey weights. Missing: all are 1. Negative ones count as 0; donors of weight 0 play no
        part.
    cor_thresh : float
        A predictor whose rank correlation with a fusion variable is not above this, in absolute value, is not
        considered for it; but at least the best 20 columns are.
    lasso_thresh : float
        How much of what its LASSO model explains, at most, a variable's predictors must explain: the higher,
        the more predictors.
    xmax : int
        Most columns with a coefficient in a LASSO model.
    xforce : str or sequence of str, optional
        Predictors, among `x`, that every step is to use.
    fraction : float
        Share of the donors, drawn at random, to work on: (0, 1].
    cores : int
        Threads. The result does not depend on it.
    seed : int, optional
        Same seed, same result; missing: drawn. It matters only to `fraction` and to missing categories.
    solver : {"gram", "glmnet"}
        "gram": our own, on one weighted Gram matrix for all models. "glmnet": glmnet's code on the rows
        themselves, through the package python-glmnet; slower by far, same result but for rounding.
    method : {"default", "fusionModel"}
        "fusionModel" repeats what version 2.4.0 of the R package gives (see Notes).
    quiet : bool
        No progress.

    Returns
    -------
    Prepared
        Its `y` and `x` are what `train` takes. Prints the steps, what of them is explained, and the number of
        their predictors.

    Raises
    ------
    ArgumentError
        If arguments are wrong; all problems are named at once.
    SchemaError
        If columns cannot be used.

    Warns
    -----
    FusionWarning
        For fusion variables that do not vary, text columns (taken as nominal), and negative weights.

    Notes
    -----
    Each round fits, for every step that is left, a weighted LASSO on its predictors and the fusion variables
    placed so far, and takes along the path the first penalty that explains `lasso_thresh` of the most that
    is explained on it (all of that, if `xmax` ended the path). That share of deviance, over the share that is
    explained once all other fusion variables are known, is the step's score. The best step is placed next,
    with the predictors that have a coefficient there, topped up to 20 columns by rank correlation. So
    variables that need others come behind them.

    Nominal variables are dummies (of predictors: the four most frequent levels and the others together), an
    inflated continuous one is two models (is it zero; its value if not). Correlations are weighted ones of
    ranks. For the best share of a block its own members count among the other variables, though they never
    predict each other: so blocks whose members are tied to each other come late.

    "fusionModel" answers as version 2.4.0 of the R package does, faults included, down to the order of `x`:
    it takes the values of categorical variables of five or more levels, predictors and fusion variables
    alike, in sorted order, apart from the records that they belong to, so that they tell nothing; its
    correlations are unweighted; members of a block do not count for the block's best share. Use it to repeat
    earlier work.

    Ummel et al. (2024), *Scientific Data* 11:142, doi 10.1038/s41597-023-02788-7.

    Examples
    --------
    >>> import fusionpy
    >>> donor = fusionpy.datasets.load_donor()
    >>> prepared = prep_xy(
    ...     donor,
    ...     y=["insulation", "electricity", "gas_bill"],
    ...     x=["region", "rooms", "income", "dwelling"],
    ...     weight="weight",
    ...     quiet=True,
    ... )
    >>> len(prepared.y), len(prepared.x)
    (3, 3)
    """
    problems = Problems(ArgumentError, "`prep_xy()` cannot start.", "See `help(fusionpy.prep_xy)`.")
    criteria = _check_criteria(problems, cor_thresh, lasso_thresh, xmax, solver)
    _check_rest(problems, fraction, cores, method, quiet)
    seed = settle_seed(seed, problems)
    blocks, predictors, forced = _check_names(y, x, xforce, weight, problems)
    problems.stop()
    table = as_table(data)
    donors = read_donors(
        table, predictors, [name for block in blocks for name in block], weight, fraction, seed
    )
    for note in donors.notes:
        announce(f"prep_xy: {note}", quiet)
    blocks = [left for block in blocks if (left := tuple(name for name in block if name in donors.y))]
    design = build_design(
        donors.schema, donors.matrix, donors.weight, donors.x, donors.y, as_reference=method == "fusionModel"
    )
    with track("prep_xy", count_judgements(len(blocks)), quiet) as tick:
        order, chosen, rounds = order_steps(design, blocks, donors.x, criteria, int(cores), tick)
    placed = [name for i in order for name in blocks[i]]
    always = [name for name in forced if name in donors.x]
    lists = [list(dict.fromkeys([*names, *always])) for names in chosen]
    if method == "default":
        lists = [sorted(names, key=[*placed, *donors.x].index) for names in lists]
    return Prepared(
        y=[list(blocks[i]) if len(blocks[i]) > 1 else blocks[i][0] for i in order],
        x=lists,
        xpredictors=[name for name in donors.x if any(name in names for names in lists)],
        xforce=forced,
        xoriginal=list(predictors),
        scores=return_table(_scores(rounds, blocks), table.kind, {"seed": seed}),
        seed=seed,
        notes=donors.notes,
    )


def _check_criteria(
    problems: Problems, cor_thresh: Any, lasso_thresh: Any, xmax: Any, solver: Any
) -> Criteria:
    problems.share("cor_thresh", cor_thresh)
    problems.share("lasso_thresh", lasso_thresh, above=True)
    problems.whole("xmax", xmax, 1)
    if problems.choice("solver", solver, SOLVERS) and solver == "glmnet" and not has_glmnet():
        problems.add(
            "`solver` 'glmnet' needs python-glmnet: `pip install 'fusionpy[glmnet]'`, or use 'gram'."
        )
    if problems.found:
        return Criteria(0.05, 0.95, 100, "gram")
    return Criteria(float(cor_thresh), float(lasso_thresh), int(xmax), solver)


def _check_rest(problems: Problems, fraction: Any, cores: Any, method: Any, quiet: Any) -> None:
    problems.share("fraction", fraction, above=True)
    problems.whole("cores", cores, 1)
    problems.choice("method", method, METHODS)
    problems.flag("quiet", quiet)


def _check_names(
    y: Any, x: Any, xforce: Any, weight: Any, problems: Problems
) -> tuple[list[tuple[str, ...]], list[str], list[str]]:
    """Note what is wrong with names; return blocks, predictors, and those that are forced."""
    lists = (
        not isinstance(x, str) and isinstance(x, Sequence) and any(not isinstance(name, str) for name in x)
    )
    if lists:
        problems.add(
            "`x` must be one list of names: which of them each step uses is what `prep_xy()` chooses."
        )
        x = [name for name in x if isinstance(name, str)] or "x"
    plans, predictors = plan_steps(y, x, problems)
    blocks = [plan.variables for plan in plans]
    check_roles(predictors, [name for block in blocks for name in block], weight, None, problems)
    if xforce is None:
        return blocks, predictors, []
    forced = (
        [xforce]
        if isinstance(xforce, str)
        else list(xforce)
        if isinstance(xforce, Sequence | np.ndarray)
        else []
    )
    if any(not isinstance(name, str) for name in forced) or (not forced and not isinstance(xforce, Sequence)):
        problems.add(f"`xforce` must be a name or a list of names, not {shown(xforce)}.")
    elif not lists and predictors and (strange := [name for name in forced if name not in predictors]):
        problems.add(f"`xforce` names {few(strange, '`')}, which `x` does not.")
    return blocks, predictors, list(dict.fromkeys(forced))


def _scores(rounds: Sequence[Judged], blocks: Sequence[tuple[str, ...]]) -> pa.Table:
    return pa.table(
        {
            "round": pa.array([row.round for row in rounds], pa.int32()),
            "step": [", ".join(blocks[row.step]) for row in rounds],
            "deviance": [row.deviance for row in rounds],
            "best": [row.best for row in rounds],
            "ratio": [row.ratio for row in rounds],
            "chosen": [row.chosen for row in rounds],
        }
    )
