"""The one place where columns become arrays and back.

A column is continuous (a number), ordered or nominal (levels, coded from 0), or logical.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from fusionpy.errors import (
    Problems,
    SchemaError,
    alike,
    composed,
    counted,
    few,
    grouped,
    meant,
    repeated,
    warn,
)
from fusionpy.frames.tables import Table, Unreadable, to_floats
from fusionpy.model.columns import check_column, check_donor_column, odd_texts
from fusionpy.model.variables import Variable, codes_of, describe, is_number

__all__ = ["Schema", "positive_weights", "warn_of_negative", "weight_column"]

UNFIT, RECODE = "`data` cannot be trained on.", "Mend these columns, or leave them out."


@dataclass(frozen=True)
class Schema:
    """What training has learned of the columns, to be replayed on recipients.

    Attributes
    ----------
    x, y : tuple of Variable
        Predictors and fusion variables, in the order given to `train`.
    """

    x: tuple[Variable, ...]
    y: tuple[Variable, ...]

    def __getitem__(self, name: str) -> Variable:
        """Find a variable by its name."""
        return next(variable for variable in (*self.x, *self.y) if variable.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the model matrix: predictors, then fusion variables."""
        return tuple(variable.name for variable in (*self.x, *self.y))

    @classmethod
    def learn(
        cls,
        table: Table,
        x: Sequence[str],
        y: Sequence[str],
        problems: Problems | None = None,
        *,
        boosted: bool = False,
    ) -> Schema:
        """Learn the columns of a donor survey.

        Parameters
        ----------
        table : Table
        x, y : sequence of str
            Predictors and fusion variables.
        problems : Problems, optional
            What has been found wrong with the table already, to be raised together with what is found here.
        boosted : bool
            Whether it is for trees, which need not know how far away an infinite predictor is.

        Returns
        -------
        Schema

        Raises
        ------
        SchemaError
            Naming every column that cannot be used, and why.

        Warns
        -----
        FusionWarning
            If text columns were taken as nominal.

        Notes
        -----
        Reference, section 1.
        """
        problems = problems or Problems(SchemaError, UNFIT, RECODE)
        learned: dict[str, Variable] = {}
        found: list[tuple[str, str, str]] = []
        for name in (*x, *y):
            role = "fusion variable" if name in y else "predictor"
            variable, wrong = check_donor_column(table, name, role, boosted)
            found += [(role, name, problem) for problem in wrong]
            if variable is not None:
                learned[name] = variable
        for problem in grouped(found):
            problems.add(problem)
        problems.stop()
        text = [variable.name for variable in learned.values() if variable.text]
        if text:
            message = f"Text columns are taken as nominal, their levels sorted: {few(text, '`')}."
            odd = [f"`{v.name}` {what}" for v in learned.values() if v.text and (what := odd_texts(v.levels))]
            warn(" ".join([message, *(f"{each}." for each in odd)]))
        _warn_of_guesses(table, list(learned.values()))
        _warn_of_twins(list(learned.values()))
        return cls(tuple(learned[name] for name in x), tuple(learned[name] for name in y))

    def exponents(self, names: Sequence[str]) -> NDArray[np.intp] | None:
        """Powers of 2 that boosters see columns multiplied by.

        Parameters
        ----------
        names : (p,) sequence of str

        Returns
        -------
        (p,) intp, or None
            None if all are 0.
        """
        found = np.array([self[name].exponent for name in names], dtype=np.intp)
        return found if found.any() else None

    def encode(self, table: Table, names: Sequence[str]) -> NDArray[np.float64]:
        """Turn columns into a matrix: values, or level codes from 0, NaN where missing.

        Parameters
        ----------
        table : Table
            With columns that fit this schema.
        names : sequence of str

        Returns
        -------
        (n, p) float64
        """
        matrix = np.empty((table.n_rows, len(names)))
        for j, name in enumerate(names):
            matrix[:, j] = codes_of(self[name], table.column(name))
        return matrix

    def check_recipient(
        self,
        table: Table,
        names: Sequence[str],
        model: str,
        more: Sequence[str] = (),
        areas: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Refuse recipients whose columns are not what the donors' were.

        Parameters
        ----------
        table : Table
        names : sequence of str
            The predictors needed.
        model : str
            What to call the model in the error.
        more : sequence of str
            Other problems, to be told after those that are found here.
        areas : mapping of str to str
            What is wrong with columns of areas.

        Raises
        ------
        SchemaError
            Naming every column that differs, and how.

        Notes
        -----
        Same kind, and for categories identical levels in identical order (reference, section 1).
        """
        found = [("", name, problem) for name in names if (problem := check_column(self[name], table))]
        told = {name for _, name, _ in found}
        found += [("", name, problem) for name, problem in areas.items() if name not in told]
        if found:
            raise SchemaError(
                f"`data` does not match the predictors of {model}.",
                [*grouped(found), *more],
                "Recode these columns, or train again on data that has them.",
            )


def _warn_of_guesses(table: Table, learned: Sequence[Variable]) -> None:
    """Say which levels were taken from the values, where that may not be what was meant."""
    guessed = [variable for variable in learned if variable.name in table.guessed]
    unsure = []
    for v in guessed:
        if v.n_classes < table.guessed[v.name]:
            unsure.append(f"`{v.name}` ({v.n_classes:,} of {table.guessed[v.name]:,} levels occur)")
        elif v.kind == "ordered":
            unsure.append(f"`{v.name}` (taken as ascending: {few(v.levels)})")
    if unsure:
        more = f" and {len(unsure) - 5} more" if len(unsure) > 5 else ""
        message = (
            "Parquet does not keep levels that are not text, so they are taken from the values: "
            f"{', '.join(unsure[:5])}{more}. Make levels text before a file is written, if these are wrong."
        )
        warn(message)


def _warn_of_twins(learned: Sequence[Variable]) -> None:
    """Warn of levels that nobody can tell apart by looking at them."""
    twins = []
    for variable in learned:
        texts = [level for level in variable.levels if isinstance(level, str)]
        if not variable.text and len({composed(text) for text in texts}) < len(texts):
            twin = repeated(map(composed, texts))[0]
            one, *others = (text for text in texts if composed(text) == twin)
            twins.append(f"`{variable.name}`: {alike([one], others)}")
    if twins:
        message = f"Levels are the same to the eye: {'; '.join(twins[:5])}."
        warn(message)


def weight_column(
    table: Table, name: str, whose: str = "donors", home: str = "`data`"
) -> NDArray[np.float64] | str:
    """Fetch a column of weights, or say why it cannot be had.

    Parameters
    ----------
    table : Table
    name : str
    whose : str
        Who has the weights.
    home : str
        The argument that `table` came in.

    Returns
    -------
    (n,) float64, or str
        Finite; of negative ones `positive_weights` takes care.
    """
    if name not in table.names:
        return f"not in {home}" + meant(name, table.names)
    try:
        array = table.column(name)
    except Unreadable as error:
        return f"{error}; weights must be numeric"
    if not is_number(array.type):
        return f"weights must be numeric, not {describe(array)}"
    values = to_floats(array)
    if n_missing := int(np.isnan(values).sum()):
        return f"{counted(n_missing, 'missing value')}; drop those {whose}, or give them a weight"
    if n_infinite := int(np.isinf(values).sum()):
        return f"{counted(n_infinite, 'infinite value')}, which cannot be used"
    return values


def positive_weights(
    values: NDArray[np.float64] | str, name: str, quiet: bool = False
) -> NDArray[np.float64] | str:
    """Take negative survey weights as 0, with a warning: what every verb does.

    Nobody stands for less than nobody, but a few negative weights, as calibration or an adjustment for
    nonresponse may leave them, are no reason not to start. Replicate weights are another matter: those of the
    American Community Survey are negative by design, and are used as they are.

    Parameters
    ----------
    values : (n,) float64, or str
        From `weight_column`; what is wrong with them is handed on. NaN stays.
    name : str
        Of the column.
    quiet : bool
        Do not warn.

    Returns
    -------
    (n,) float64, or str
        None negative and one positive, or what is wrong with them.

    Examples
    --------
    >>> positive_weights(np.array([2.0, -1.0]), "w", quiet=True).tolist(), positive_weights(np.zeros(2), "w")
    ([2.0, 0.0], 'no weight is positive')
    """
    if isinstance(values, str):
        return values
    if not (values > 0).any():
        return "no weight is positive"
    if not quiet:
        warn_of_negative(int((values < 0).sum()), name)
    return np.maximum(values, 0.0)


def warn_of_negative(n_negative: int, name: str) -> None:
    """Warn of negative weights, if there are any."""
    if n_negative:
        warn(f"{counted(n_negative, 'negative weight')} in `{name}`: taken as 0.")
