"""Rectify estimates from implicates: add what the donors of a group show the model to have wrong there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.analysis.combining import Piece
from fusionpy.analysis.estimand import Estimand
from fusionpy.analysis.estimates import Answer, answer
from fusionpy.analysis.groups import Groups
from fusionpy.analysis.measured import Measured, Replicates
from fusionpy.analysis.questions import Question, refuse_own
from fusionpy.errors import ArgumentError, Problems, counted, few, meant, warn
from fusionpy.frames.returned import own_copy, return_table
from fusionpy.frames.tables import Unreadable, as_table
from fusionpy.kernels.estimates import Moments, between_groups, cochran_variance, group_moments
from fusionpy.kernels.rubin import Combined, margin_of_error
from fusionpy.model import FusionModel, Known
from fusionpy.model.archive import as_model
from fusionpy.model.variables import Variable

__all__ = ["Rectifier", "check_rectifiable", "take_rectify"]

Array = NDArray[np.float64]
RECTIFIABLE = ("mean", "proportion", "sum", "count")


def take_rectify(rectify: Any) -> tuple[FusionModel | None, bool]:
    """Take the model whose donors mend estimates, and whether their residuals are to be shrunk.

    Raises
    ------
    ArgumentError
        If it is neither a model, nor a path, nor "shrunk" with one of these.
    """
    if rectify is None:
        return None, False
    is_several = isinstance(rectify, tuple | list)
    if is_several and len(rectify) == 2 and rectify[0] == "shrunk":
        return as_model(rectify[1]), True
    if is_several or rectify == "shrunk":
        wanted = 'a model, its path, or ("shrunk", model): shrunk residuals are of its donors'
        problem = f"`rectify` must be {wanted}."
        raise ArgumentError("`rectify` cannot be done.", [problem], 'Pass `rectify=("shrunk", model)`.')
    return as_model(rectify), False


def check_rectifiable(
    model: FusionModel, estimands: Sequence[Estimand], by: Sequence[str], fun: Callable[[Any], Any] | None
) -> None:
    """Refuse what the donors cannot rectify.

    Raises
    ------
    ArgumentError
        If the model does not keep its donors; for statistics other than means, proportions and sums of the
        model's fusion variables; for groups that are not of its predictors.
    """
    problems = Problems(ArgumentError, "`rectify` cannot be done.")
    if model.known is None:
        problems.add("The model has no record of its donors.")
        problems.hint = "Train with refits (the default) and `keep_donors=True`."
    y = [variable.name for variable in model.schema.y]
    x = [variable.name for variable in model.schema.x]
    others = [each.type for each in estimands if each.how not in RECTIFIABLE]
    if others:
        problems.add(f"Only means, proportions and sums can be rectified, not {few(dict.fromkeys(others))}.")
    strange = [each.y for each in estimands if each.how in RECTIFIABLE and each.y not in y]
    if strange:
        close = meant(strange[0], y)
        problems.add(f"{few(dict.fromkeys(strange), '`')}: not among the model's fusion variables{close}.")
    outside = [name for name in by if name not in x] if fun is None else []
    if outside:
        problems.add(f"`by` has {few(outside, '`')}, not among the model's predictors {few(x, '`')}.")
        problems.hint = (
            problems.hint or "Group by predictors, or by columns that `fun` makes of predictors alone."
        )
    refuse_own(by, ("n_donors",), problems)
    problems.stop()


class Rectifier:
    """Gathers each recipient's mean over the implicates, then puts donors' residuals beside it.

    Parameters
    ----------
    model : FusionModel
        With a record of its donors.
    question : Question
        Its function makes columns of predictors that groups may be of.
    kind : str
        Of frame that the function takes.
    is_shrunk : bool
        Add of the residuals only what is more than chance.
    """

    def __init__(self, model: FusionModel, question: Question, kind: str, is_shrunk: bool = False) -> None:
        assert model.known is not None
        self.model = model
        self.known: Known = model.known
        self.question = question
        self.kind = kind
        self.is_shrunk = is_shrunk
        self.total: list[Array | None] = [None] * len(question.estimands)
        self.cell: NDArray[np.intp] | None = None
        self.M = 0

    def add(self, measured: Sequence[Measured]) -> None:
        """Add one implicate.

        Raises
        ------
        ArgumentError
            If groups are not the same in all implicates; if a variable is not what the model has.
        """
        self.M += 1
        if self.cell is None:
            self.cell = measured[0].cell
        elif not np.array_equal(self.cell, measured[0].cell):
            problem = "`by` puts recipients in other groups in other implicates."
            hint = "Group by predictors, or by columns that `fun` makes of predictors alone."
            raise ArgumentError("`rectify` cannot be done.", [problem], hint)
        self._check_variables(measured)
        for e, data in enumerate(measured):
            n_levels = self.model.schema[data.estimand.y].n_classes or 1
            total = self.total[e]
            if total is None:
                total = self.total[e] = np.zeros((len(data.cell), n_levels))
            if data.levels is None:
                total[:, 0] += data.x
            else:
                total[np.arange(len(data.x)), data.x] += 1
                total[data.x < 0] = np.nan

    def _check_variables(self, measured: Sequence[Measured]) -> None:
        problems = Problems(ArgumentError, "`rectify` cannot be done.", "Pass the model that was fused.")
        for data in measured:
            variable = self.model.schema[data.estimand.y]
            labels = [] if data.levels is None else data.levels.labels
            strange = [label for label in labels if label not in _labels(variable)]
            if (data.levels is None) != (variable.n_classes == 0):
                problems.add(f"`{variable.name}` is {variable.kind} in the model, not in `implicates`.")
            elif strange:
                problems.add(f"`{variable.name}` has levels that the model does not know: {few(strange)}.")
        problems.stop()

    def rectify(
        self,
        pieces: Sequence[Piece],
        measured: Sequence[Measured],
        groups: Groups,
        weights: tuple[Array, Replicates | None],
    ) -> tuple[list[Piece], Array]:
        r"""Rectify pooled estimates.

        Parameters
        ----------
        pieces : sequence of Piece
            What the implicates alone say.
        measured : sequence of Measured
            Of the last implicate.
        groups : Groups
        weights : (n,) float64, and Replicates or None

        Returns
        -------
        list of Piece, and (k,) float64
            Estimates where the donors know the group; the number of donors that do.

        Notes
        -----
        With f a recipient's mean over the implicates and e a donor's value minus its out-of-fold
        expectation, the estimate in a group is :math:`\bar f + \bar e`, and its variance that of
        :math:`\bar f` over recipients plus that of :math:`\bar e` over donors: prediction-powered
        inference (Angelopoulos et al. 2023, *Science* 382:669), which for surveys is the difference
        estimator (Särndal, Swensson and Wretman 1992, chapter 6; Breidt and Opsomer 2017). What models
        have wrong cancels between the two terms, so of the variance between implicates only its Mth part is
        counted, the simulation error of their mean; degrees of freedom are Satterthwaite's. Shares that would
        be negative are set to 0, those above 1 to 1.

        Shrunk, the estimate is :math:`\bar f + s \bar e` with :math:`s = \tau^2 / (\tau^2 + v)`, where v is
        the variance of :math:`\bar e` by that of all residuals, and :math:`\tau^2` the variance of what
        models have wrong between groups, by Paule and Mandel's (1982) estimator about 0 (Fay and Herriot
        1979, *Journal of the American Statistical Association* 74:269). Its variance is
        :math:`(1 - s) T + s (V + B/M) + s v`: of the implicates' total variance T where residuals tell
        nothing, of the unshrunk estimate where they tell all.
        """
        n_cells = len(groups)
        cell = self._donor_cells(groups)
        cell = np.where(cell < n_cells, cell, -1)
        cell[np.isnan(self.known.expected).any(axis=1)] = -1  # no refit is without them
        n_donors = np.bincount(cell[cell >= 0], minlength=n_cells).astype(np.float64)
        unknown = int((n_donors < 2).sum())
        if unknown:
            message = (
                f"{counted(unknown, 'group')} of {n_cells:,} have fewer than two donors: their estimates are "
                "not rectified."
            )
            warn(message)
        out = [
            self._rectify_piece(piece, data, total, cell, n_donors > 1, weights)
            for piece, data, total in zip(pieces, measured, self.total, strict=True)
        ]
        return out, n_donors

    def _rectify_piece(
        self,
        piece: Piece,
        data: Measured,
        total: Array | None,
        cell: NDArray[np.intp],
        known: NDArray[np.bool_],
        weights: tuple[Array, Replicates | None],
    ) -> Piece:
        w, replicates = weights
        level, seed = self.question.level, self.question.seed
        assert total is not None
        how = "mean" if data.estimand.how in ("mean", "proportion") else "sum"
        weight = np.bincount(data.cell, w, data.n_cells)
        factor = np.ones(data.n_cells) if how == "mean" else weight
        fields = {name: getattr(piece.pooled, name).copy() for name in Combined._fields}
        residuals = self._residuals(data)
        for j in range(total.shape[1]):
            if j >= piece.pooled.est.shape[1]:
                break
            mine = Measured(Estimand(how, data.estimand.y), data.cell, data.n_cells, total[:, j] / self.M)
            found: Answer = answer(mine, w, "barnard-rubin", replicates, 0, seed)
            moments = group_moments(cell, data.n_cells, self.model.weight, residuals[:, j])
            donors = cochran_variance(moments) * factor**2
            share = np.ones(len(donors))
            if self.is_shrunk:
                share = _share_told(moments, known)
            recipients = found.variance[:, 0]
            with np.errstate(invalid="ignore", divide="ignore"):
                # What refits and redrawn weights do to all recipients of an implicate at once.
                simulation = np.nan_to_num(piece.pooled.between[:, j]) / self.M
                own = piece.pooled
                rest = _rest(share, own.se[:, j] ** 2)
                recipients, donors, simulation = share * recipients, share * donors, share * simulation
                variance = recipients + donors + simulation + rest
                df = variance**2 / (
                    recipients**2 / np.maximum(found.n_eff - 1, 1)
                    + donors**2 / np.maximum(moments.n_eff - 1, 1)
                    + rest**2 / np.fmax(own.df[:, j], 1)
                )
                se = np.sqrt(variance)
                better = {
                    "est": own.est[:, j] + factor * share * moments.mean,
                    "within": recipients + _rest(share, own.within[:, j]),
                    "between": donors + simulation + _rest(share, own.between[:, j]),
                    "se": se,
                    "df": df,
                    "moe": margin_of_error(se, np.nan_to_num(df), level),
                    "fmi": (donors + simulation + _rest(share, (own.se**2 * own.fmi)[:, j])) / variance,
                }
            if data.levels is not None:  # no share is negative, nor above one
                better["est"] = np.clip(better["est"], 0, factor)
            for name, values in better.items():
                fields[name][known, j] = values[known]
        return Piece(piece.n, piece.n_eff, Combined(**fields))

    def _residuals(self, data: Measured) -> Array:
        """(donors, L) What donors have beyond their expectations, levels coded as in the implicates."""
        schema = self.model.schema
        variable = schema[data.estimand.y]
        place = [each.name for each in schema.y].index(variable.name)
        first = sum(max(each.n_classes, 1) for each in schema.y[:place])
        value = self.known.y[:, place]
        if data.levels is None:
            return np.asarray(value - self.known.expected[:, first])[:, None]
        levels = _labels(variable)
        out = np.full((len(value), len(levels)), np.nan)
        for code, label in enumerate(data.levels.labels):
            mine = levels.index(label)
            out[:, code] = (value == mine) - self.known.expected[:, first + mine]
        return out

    def _donor_cells(self, groups: Groups) -> NDArray[np.intp]:
        """Find the recipients' group that each donor is of; groups that they alone have come after."""
        groups = copy.deepcopy(groups)
        schema, n = self.model.schema, len(self.known.x)
        columns = {v.name: _decoded(v, self.known.x[:, j]) for j, v in enumerate(schema.x)}
        if (fun := self.question.fun) is not None and any(name not in columns for name in groups.names):
            columns |= {v.name: _decoded(v, self.known.y[:, j]) for j, v in enumerate(schema.y)}
            frame = own_copy(return_table(pa.table(columns), self.kind, {}))
            made = as_table(fun(frame), "what `fun` returned")
            try:
                columns |= {name: made.plain_column(name) for name in groups.names if name in made.names}
            except Unreadable as error:
                raise ArgumentError(
                    "`rectify` cannot be done.", [f"`fun` makes {error} of the donors."]
                ) from None
        return groups.cells([columns[name] for name in groups.names], n)


def _share_told(moments: Moments, known: NDArray[np.bool_]) -> Array:
    """How much of each group's mean residual is more than chance: between 0 and 1."""
    share = np.zeros(len(known))
    n_eff = moments.n_eff[known]
    pooled = float((moments.spread[known]).sum() / moments.total[known].sum()) if known.any() else 0.0
    variance, mean = pooled / np.maximum(n_eff - 1, 1), moments.mean[known]
    if pooled > 0:
        between = between_groups(mean, variance)
        share[known] = between / (between + variance)
    return share


def _rest(share: Array, own: Array) -> Array:
    """Keep of the implicates' own numbers what residuals do not tell; nothing where they tell all."""
    return np.where(share < 1, (1 - share) * own, 0.0)


def _labels(variable: Variable) -> list[Any]:
    return [False, True] if variable.kind == "logical" else list(variable.levels)


def _decoded(variable: Variable, codes: Array) -> pa.Array:
    """Restore a donors' column, missing values included."""
    missing = np.isnan(codes)
    column = variable.decode(np.where(missing, 0, codes))
    return pa.array([None] * len(codes), column.type) if missing.all() else _masked(column, missing)


def _masked(column: pa.Array, missing: NDArray[np.bool_]) -> pa.Array:
    if not missing.any():
        return column
    places = pa.array(np.arange(len(column)), mask=missing)
    return column.take(places)
