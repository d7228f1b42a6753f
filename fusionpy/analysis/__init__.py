"""analyze(): estimates from implicates, with margins of error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.analysis.caveats import (
    count_missing,
    of_few_degrees,
    settle_margins,
    warn_of_missing,
)
from fusionpy.analysis.combining import OtherRecords, combine_answers
from fusionpy.analysis.estimates import Answer, answer, measure
from fusionpy.analysis.groups import Groups, Levels
from fusionpy.analysis.measured import Measured, Replicates
from fusionpy.analysis.questions import REPLICATING, Layout, Question, ask
from fusionpy.analysis.rectifying import Rectifier, check_rectifiable, take_rectify
from fusionpy.analysis.survey import Array, FusedSurvey, Weighing, check_columns
from fusionpy.analysis.table import CAVEATS, Estimates, stack, tabulate
from fusionpy.analysis.undetermined import warn_of_undetermined
from fusionpy.errors import few, warn
from fusionpy.formats.implicates import open_implicates
from fusionpy.formats.notes import with_metadata
from fusionpy.frames.returned import return_table
from fusionpy.model import FusionModel
from fusionpy.model.schema import warn_of_negative
from fusionpy.progress import announce, track

__all__ = ["Estimates", "Findings", "analyze", "conclude"]

By = str | Sequence[str | Sequence[str]] | None


@dataclass
class Findings:
    """What is found by one grouping, implicate after implicate.

    Attributes
    ----------
    groups : Groups
    answers : list of list of Answer
        Per estimand, one per implicate.
    kept : sequence of Measured
        What each estimand is of; of the last implicate.
    rectifier : Rectifier or None
    n_rows : (k,) float64
        Records of each group, whatever their weight and values, of all implicates together.
    """

    groups: Groups
    answers: list[list[Answer]]
    kept: Sequence[Measured] = ()
    rectifier: Rectifier | None = None
    n_rows: Array = field(default_factory=lambda: np.zeros(0))

    def count(self, cell: NDArray[np.intp]) -> None:
        """Count an implicate's records."""
        found = np.bincount(cell, minlength=len(self.groups)).astype(np.float64)
        found[: len(self.n_rows)] += self.n_rows
        self.n_rows = found


def analyze(
    x: Mapping[str, Any] | str | Sequence[str],
    implicates: Any,
    *,
    static: Any = None,
    weight: str | None = None,
    rep_weights: str | Sequence[str] | None = None,
    by: By = None,
    fun: Callable[[Any], Any] | None = None,
    var_scale: float | str | tuple[str, float] = 4,
    pooling: Literal["auto", "barnard-rubin", "records", "rubin", "fusionacs"] = "auto",
    level: float = 0.90,
    cores: int = 1,
    rectify: FusionModel | str | tuple[str, FusionModel | str] | None = None,
    seed: int | None = None,
    quiet: bool = False,
    layout: Layout = "fusionpy",
) -> Any:
    r"""Estimate means, shares, totals, quantiles and more from implicates, with margins of error.

    Parameters
    ----------
    x : mapping, str or sequence of str
        What to estimate: a mapping of statistics to columns, ``{"mean": ["kwh", "fuel"], "p90": "kwh"}``, or
        text, ``"mean(kwh)"``, ``["bill = sum(kwh)", "quantile(kwh, 0.9)", "ratio(kwh, rooms)"]``, or as
        fusionACS has it, ``["avg_kwh ~ mean(kwh)", "~ median(kwh)"]``. Statistics are "mean" and "sum", or
        "total" (of categorical columns: the proportion and the count of each level), "proportion" or "prop",
        "count", "median", "quantile" or a percentile such as "p90", "ratio" of two columns'
        totals, "share" of the total that falls to the group, "gini", "lm" and "glm" of formulas such as
        "y ~ a + b", and "custom": a function (or a mapping of names to functions) of a group's records and
        their weights that returns a number, or a mapping of names to numbers. Each call gets a frame of its
        own, which it may change.
    implicates : pandas or polars DataFrame, pyarrow Table, or path
        What `fuse` returned, or the file it wrote (Parquet, or ``.fsd`` of R), or the folder that
        `fusionpy.distributed.fuse` wrote. Files are read one implicate at a time, and only the columns that
        are needed.
    static : pandas or polars DataFrame, or pyarrow Table, optional
        Columns that are not simulated: one row per recipient, in the implicates' order. Another order is
        refused where digests of the recipient's columns, which `fuse` notes, or columns that both have, tell
        of it; further columns, missing ones and other values are not.
    weight : str, optional
        Column of survey weights, in `static` or in the implicates, each of which is then weighted by its own.
        Missing: all are 1. Negative ones count as 0.
    rep_weights : sequence of str, optional
        The recipient survey's replicate weights, any number of them. Negative ones, as the American Community
        Survey has them, are used as they are; in quantiles and Gini coefficients they count as 0.
    by : str or sequence of str, or sequence of several of these, optional
        Estimate for every combination of these columns, simulated ones too. A missing value makes a group.
        Several groupings at once are a list that has lists in it: ``["np", ["np", "county"], []]`` estimates
        by `np`, by `np` and `county`, and over all, each as a call of its own would. Columns that are called
        as the result's own (`n`, `y`, `level`, `type`, `est`, ...) are refused.
    fun : callable, optional
        Called with each implicate's data frame (and the columns of `static`), returns a data frame of further
        columns that `x` and `by` may name.
    var_scale : float or str
        What replicate weights are worth: the variance is `var_scale` times the mean squared difference of
        replicate estimates from the full-sample one. Or the design: "sdr" (successive differences, as the
        American Community Survey; 4), "brr" (1), "fay" or ("fay", rho) (1 / (1 - rho)²; rho 0.5 unless
        given, as RECS 2015), "jk1" (R - 1, as RECS 2020), "bootstrap" (R / (R - 1)).
    pooling : {"auto", "barnard-rubin", "records", "rubin", "fusionacs"}
        How margins are made. See Notes.
    level : float
        Of the margins and intervals.
    cores : int
        Threads. The result does not depend on it.
    rectify : FusionModel or path, or ("shrunk", one of these), optional
        Add to means, proportions and sums the donors' mean residual in the same group, whose columns must be
        predictors of the model: what the model has wrong about the group is mended at the price of the
        donors' sampling error. The group is that of all donors: where recipients are of a part of the donors'
        population (one state, say), let `by` name that part, too. With "shrunk", only what of the residuals
        is more than chance is added, as the groups of one grouping tell together.
    seed : int, optional
        For variances that are drawn: of "custom" without replicate weights, of medians with
        ``pooling="rubin"``. Missing: drawn, told, and kept in the result's `attrs`.
    quiet : bool
        No progress.
    layout : {"fusionpy", "fusionModel", "fusionacs"}
        Whose table it is to be. "fusionModel": columns of `by`, `N` (the group's rows in all implicates,
        divided by M and cut), `y`, `level`, `type`, `est`, `moe`, in its order of rows (missing groups
        first). "fusionacs": `lhs` (the name), `rhs` (``mean(kwh)``), `type`, columns of `by`, `level`,
        `N_eff`, `est`, `moe` and `cv`, the coefficient of variation in percent, in the order of `x`; as its
        public documentation shows. What else there is comes after.

    Returns
    -------
    the kind of table that `implicates` is (for a file: that `static` is, or pandas)
        One row per group, variable, level and statistic, sorted by them: the columns of `by`; `n`, records
        of positive weight with a value, per implicate; `n_eff`, the effective sample size; `y`; `level` of a
        categorical variable, or coefficient; `type`; `est`; `se`; `df`; `moe`, half the width of the
        interval; `lower` and `upper`; `fmi`, the fraction of missing information. With names in `x`, `name`
        comes before `y`; with
        `rectify`, `n_donors` comes last: donors of the group that some refit has not seen. With several
        groupings, `grouping` comes first and names the columns; those of other groupings are missing. Where
        margins are not to be believed, a line below the table says why and what helps: models without refits,
        groups by a column that no model knew and that follows from none that they knew, missing degrees of
        freedom. It is in ``.attrs["fusionpy"]["caveats"]`` (pandas), or the schema metadata (pyarrow), too.

    Raises
    ------
    ArgumentError
        If arguments are wrong; all problems are named at once.
    SchemaError
        If columns are missing or cannot be used; if `static` and implicates are not in the same order.

    Warns
    -----
    FusionWarning
        If margins are 0 because a variable has one value in every record of a group; if they are missing, as
        there is one implicate, or as groups have less than one degree of freedom; if values are infinite,
        which are taken for missing; if donors do not know a group that is to be rectified; if values are
        missing, where the layout's `N` counts their records; if coefficients cannot be told from others, or
        can in some implicates only.

    Notes
    -----
    Over M implicates with estimates :math:`\hat\theta_m` and sampling variances :math:`v_m`, the estimate is
    the mean, its variance :math:`\bar v + (1 + 1/M) B` (Rubin 1987). `pooling` chooses the rest:

    * "auto": "barnard-rubin"; for what `fuse` made of less than ten times as many recipients as donors, by a
      model with six refits or more, some of "records": all, where recipients are no more than donors.
      The result's `attrs` have what was chosen.
    * "barnard-rubin": variances by linearisation (Woodruff's for quantiles), or, with replicate weights, all
      R of them in every implicate; degrees of freedom of Barnard and Rubin (1999), with those of complete
      data from the effective sample size (at most R - 1).
    * "records": as before, with the noise of records' own draws taken out of the variances within and
      between implicates: it is no uncertainty of recipients whom the models were not fitted to (after
      Reiter 2008). Of means, proportions, sums, counts, ratios, coefficients, and, without replicate
      weights, quantiles; for weights that implicates share. It needs six implicates, and refits, or more.
    * "rubin": as fusionModel 2.4.0. Variances of section 5 of the reference; replicate weight m enters
      implicate m and its spread the variance between; Rubin's (1987) degrees of freedom.
    * "fusionacs": as fusionACS 0.0.12. Its degrees of freedom are not Barnard and Rubin's, and margins are
      too narrow where the variance between implicates dominates: for replication only.

    A total is taken for known over the whole survey: a group's total varies as its share does. With one
    implicate, in groups of fewer than two records, and where degrees of freedom are below 1, as in groups of
    two or three records, margins are missing.

    Regressions are ``"lm(log(kwh) ~ rooms * region)"``, by weighted least squares, or of another family,
    ``"glm(solar ~ rooms, family=binomial)"`` or ``poisson``. Formulas are R's: ``+ : * ^ -``, ``- 1`` for no
    constant, ``log``, ``sqrt``, ``exp``, ``I(rooms^2)``, ``factor(rooms)``, names in backticks. Categorical
    and logical columns have treatment contrasts, with the first level that occurs as the reference. `level`
    names coefficients as R does, ``regionsouth``, ``solarTRUE``. Records that lack a value are left out.
    Variances are linearised (Binder 1983), by all rules of pooling, or those of replicate weights; of the
    complete data's degrees of freedom each coefficient takes one.

    Examples
    --------
    >>> import fusionpy
    >>> donor, recipient = fusionpy.datasets.load_donor(), fusionpy.datasets.load_recipient()
    >>> x = ["region", "rooms", "tenure"]
    >>> model = fusionpy.train(donor, ["electricity"], x, weight="weight", refits=5, seed=1, quiet=True)
    >>> fused = fusionpy.fuse(recipient, model, M=5, seed=1, quiet=True)
    >>> found = fusionpy.analyze("mean(electricity)", fused, static=recipient, weight="weight", by="tenure")
    >>> found[["tenure", "n", "y", "type"]].values.tolist()[0]
    ['owner', 12575, 'electricity', 'mean']
    >>> by = ["tenure", ["region", "tenure"]]
    >>> how = {"static": recipient, "by": by, "layout": "fusionacs", "quiet": True}
    >>> list(fusionpy.analyze("avg ~ mean(electricity)", fused, **how).columns[:10])
    ['lhs', 'rhs', 'type', 'tenure', 'region', 'level', 'N_eff', 'est', 'moe', 'cv']
    """
    question = ask(
        x,
        weight=weight,
        rep_weights=rep_weights,
        by=by,
        fun=fun,
        var_scale=var_scale,
        pooling=pooling,
        level=level,
        cores=cores,
        seed=seed,
        layout=layout,
    )
    question.tell_of_seed(quiet or seed is not None)
    survey = FusedSurvey(open_implicates(implicates), static, fun)
    survey.check_order()
    survey.choose(question.needed, question.everything)
    weighing = Weighing(survey, question)
    weighing.of(0)  # may be refused
    told = survey.implicates, survey.static
    records, caveats = settle_margins(question, *told, bool(rectify), weighing.vary)
    model, is_shrunk = take_rectify(rectify)
    tallies = [Findings(Groups(names), [[] for _ in question.estimands]) for names in question.groupings]
    levels, missing = dict[str, Levels](), dict[str, int]()
    with track("analyze", survey.implicates.M, quiet) as tick:
        for implicate, columns in enumerate(survey.each()):
            if implicate == 0:
                check_columns(columns, survey, question)
                if model is not None:
                    check_rectifiable(model, question.estimands, question.by, fun)
                    for tally in tallies:
                        tally.rectifier = Rectifier(model, question, survey.kind, is_shrunk)
            weights = weighing.of(implicate)
            for tally in tallies:
                _add(tally, question, columns, survey, levels, weights, implicate, records is not None)
            if question.layout != "fusionpy":
                count_missing(tallies[0].kept, missing)
            tick()
    warn_of_missing(missing)
    warn_of_negative(weighing.n_negative, question.weight or "")
    weights = weighing.mean() if model is not None else weighing.of(0)
    return conclude(question, tallies, weights, survey.kind, records, caveats, quiet)


def _add(
    tally: Findings,
    question: Question,
    columns: Mapping[str, pa.Array],
    survey: FusedSurvey,
    levels: dict[str, Levels],
    weights: tuple[Array, Replicates | None],
    implicate: int,
    compares: bool,
) -> None:
    """Estimate from one implicate by one grouping; compare every second with the one before, if so asked."""
    groups, kind = tally.groups, survey.kind
    cell = groups.cells([columns[name] for name in groups.names], survey.n_rows)
    tally.count(cell)
    is_second = compares and implicate % 2 == 1
    before: Sequence[Measured | None] = tally.kept if is_second else [None] * len(question.estimands)
    tally.kept = [
        measure(each, columns, cell, len(groups), levels, kind, tally.kept) for each in question.estimands
    ]
    w, replicates = weights
    with survey.telling_of_unusable():
        for data, found, old in zip(tally.kept, tally.answers, before, strict=True):
            found.append(answer(data, w, question.pooling, replicates, implicate, question.seed, old))
    if tally.rectifier is not None:
        tally.rectifier.add(tally.kept)


def conclude(
    question: Question,
    tallies: Sequence[Findings],
    weights: tuple[Array, Replicates | None],
    kind: str,
    records: OtherRecords | None = None,
    caveats: Sequence[str] = (),
    quiet: bool = False,
) -> Any:
    """Pool the answers of all implicates, and lay them out.

    Parameters
    ----------
    question : Question
    tallies : sequence of Findings
        One per grouping.
    weights : (n,) float64, and Replicates or None
        Means over the implicates; of estimates that are not rectified no more than the number of replicates
        matters.
    kind : str
        Of frame that is wanted.
    records : OtherRecords, optional
        If noise of draws is to be taken out of total variances.
    caveats : sequence of str
        Why margins are not to be believed, as far as is known before.
    quiet : bool
        Whether frames that cannot show caveats below themselves leave them unsaid.

    Returns
    -------
    pandas.DataFrame (`Estimates`), polars.DataFrame or pyarrow.Table
    """
    replicates = weights[1]
    has_margins = tallies[0].rectifier is not None
    _warn_of_gaps(tallies[0].answers, has_margins)
    M = len(tallies[0].answers[0])
    tables = []
    how = replicates, question.scale, question.pooling, question.level, records
    for tally in tallies:
        groups, n_donors = tally.groups, None
        pieces = [combine_answers(found, len(groups), *how) for found in tally.answers]
        if tally.rectifier is not None:
            pieces, n_donors = tally.rectifier.rectify(pieces, tally.kept, groups, weights)
        warn_of_undetermined(tally.kept, pieces, tally.answers, bool(groups.names))
        # As the reference has it: where nothing varies, it divides zero by zero.
        is_bare = question.layout == "fusionModel" and question.pooling == "rubin"
        n_rows = tally.n_rows / M
        tables.append(tabulate(tally.kept, pieces, groups, n_donors, question.layout, n_rows, is_bare))
    table = stack(tables, question.groupings, question.layout) if question.has_several else tables[0]
    n_few = int(pc.sum(pc.less(table["df"], 1)).as_py() or 0)
    if n_few and question.pooling not in REPLICATING:
        caveats = [*caveats, of_few_degrees(n_few)]
    attributes: dict[str, Any] = {
        "M": M,
        "pooling": question.pooling if records is None else "records",
        "level": question.level,
        "rectified": has_margins,
        **({"seed": question.seed} if question.draws else {}),
        **({CAVEATS: " ".join(caveats)} if caveats else {}),
    }
    if kind == "pyarrow":
        table = table.replace_schema_metadata(with_metadata(table.schema, attributes).metadata)
    result = return_table(table, kind, attributes)
    if kind != "pandas":
        if caveats:
            announce(f"analyze: {attributes[CAVEATS]}", quiet)
        return result
    estimates = Estimates(result)
    estimates.attrs = result.attrs
    return estimates


def _warn_of_gaps(answers: Sequence[Sequence[Answer]], has_margins: bool) -> None:
    """Warn of infinite values, which were left out, and of a single implicate, which has no margins."""
    found: dict[str, int] = {}
    for each in answers:
        mine: dict[str, int] = {}
        for name, number in (pair for one in each for pair in one.infinite):
            mine[name] = mine.get(name, 0) + number
        found |= mine
    if found:
        shown = few((f"`{name}` ({number:,})" for name, number in found.items()), "")
        warn(f"Infinite values are taken for missing: {shown}.")
    if len(answers[0]) == 1 and not has_margins:
        message = "Margins are missing: there is one implicate, and they need at least two."
        warn(message)
