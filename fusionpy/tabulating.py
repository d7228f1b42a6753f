"""Lay out the estimates that `analyze` returns."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.errors import FusionWarning, counted, few
from fusionpy.estimands import Estimand
from fusionpy.estimating import Groups, Levels, Measured
from fusionpy.layout import Grid
from fusionpy.pooling import Piece

__all__ = ["Estimates", "readable", "tabulate"]

Array = NDArray[np.float64]
NUMBERS = ("n", "n_eff", "n_donors", "est", "se", "df", "moe", "lower", "upper", "fmi")
DECIMALS_MOST = 7  # beyond, powers of ten are clearer
MOST_NAMED = 5  # groups, and columns of each, in a warning


class Estimates(pd.DataFrame):  # type: ignore[misc]
    """The data frame that `analyze` returns: an ordinary one that prints with as many digits as are meant."""

    @property
    def _constructor(self) -> type[Estimates]:
        return Estimates

    def _constructor_from_mgr(self, mgr: Any, axes: Any) -> Estimates:
        made: Estimates = Estimates._from_mgr(mgr, axes)  # pandas 2.2.0 warns of its own way
        return made

    def _grid(self) -> Grid:
        """Lay out the table: names of rows that a user has given, but no numbers of rows."""
        table: pd.DataFrame = pd.DataFrame(self)
        if self.index.name is not None or self.index.dtype.kind not in "iu":
            index = self.index.to_frame(index=False)
            index.columns = pd.Index([name if name is not None else "" for name in self.index.names])
            table = pd.concat([index, table.reset_index(drop=True)], axis=1)
        most = pd.get_option("display.max_rows")
        cut = most is not None and len(table) > most
        if cut:
            half = max(most // 2, 1)
            table = pd.concat([table[:half], table[-half:]])
        text = readable(table)
        rows = [tuple(row) for row in text.itertuples(index=False, name=None)]
        if cut:
            rows.insert(half, tuple("…" for _ in text.columns))
        names = list(text.columns)
        grid = Grid(tuple(map(str, names)), tuple(rows), tuple(name in NUMBERS for name in names))
        if grid.fits() or len(set(names)) < len(names):
            return grid
        # What is looked for first comes first, where not all fits side by side.
        chief = [name for name in names if name not in NUMBERS]
        chief += [name for name in ("est", "moe", "lower", "upper") if name in names]
        order = [names.index(name) for name in (*chief, *(name for name in names if name not in chief))]
        return Grid(
            tuple(grid.headers[j] for j in order),
            tuple(tuple(row[j] for j in order) for row in grid.rows),
            tuple(grid.numeric[j] for j in order),
        )

    def __repr__(self) -> str:
        """Show the table with two digits of each margin, and its estimates to the same place."""
        return self._grid().text() if len(self.columns) else super().__repr__()

    def _repr_html_(self) -> str:
        return self._grid().html()


def tabulate(
    kept: Sequence[Measured], pieces: Sequence[Piece], groups: Groups, n_donors: Array | None
) -> pa.Table:
    """Lay out the result: a row per group, variable, level and statistic, sorted by them.

    Parameters
    ----------
    kept : sequence of Measured
        What each estimand is of; of the last implicate.
    pieces : sequence of Piece
        Its pooled answers.
    groups : Groups
    n_donors : (k,) float64 or None
        Donors of each group, if estimates are rectified.

    Returns
    -------
    pyarrow.Table

    Warns
    -----
    FusionWarning
        If margins are 0; if they would rest on less than one degree of freedom.
    """
    keys = list(groups.numbers)
    orders = [{code: place for place, code in enumerate(levels.order)} for levels in groups.levels]
    rows: list[tuple[Any, ...]] = []  # sort key, estimand, group, level
    for e, (data, piece) in enumerate(zip(kept, pieces, strict=True)):
        order = data.levels.order if data.levels else range(piece.pooled.est.shape[1])
        for g, key in enumerate(keys):
            place = tuple(order.get(code, len(order)) for order, code in zip(orders, key, strict=True))
            of = data.estimand
            for rank, code in enumerate(order):
                rows.append(((place, of.label, _type_rank(of), of.type, e, rank), e, g, code))
    rows.sort(key=lambda row: row[0])
    columns: dict[str, Any] = {}
    for j, (name, levels) in enumerate(zip(groups.names, groups.levels, strict=True)):
        columns[name] = _level_column(levels, [keys[g][j] for _, _, g, _ in rows])
    columns["n"] = pa.array([round(pieces[e].n[g]) for _, e, g, _ in rows], pa.int64())
    columns["n_eff"] = pa.array([pieces[e].n_eff[g] for _, e, g, _ in rows], pa.float64())
    if any(data.estimand.name for data in kept):
        columns["name"] = pa.array([kept[e].estimand.name for _, e, _, _ in rows], pa.string())
    columns["y"] = pa.array([kept[e].estimand.label for _, e, _, _ in rows], pa.string())
    columns["level"] = pa.array([_level_name(kept[e], code) for _, e, _, code in rows], pa.string())
    columns["type"] = pa.array([_type(kept[e]) for _, e, _, _ in rows], pa.string())
    values = {
        name: np.array([getattr(pieces[e].pooled, name)[g, code] for _, e, g, code in rows], dtype=np.float64)
        for name in ("est", "se", "df", "moe", "fmi")
    }
    is_share = np.array([kind == "proportion" for kind in columns["type"].to_pylist()], dtype=bool)
    low, high = values["est"] - values["moe"], values["est"] + values["moe"]
    values["lower"] = np.where(is_share, np.maximum(low, 0), low)
    values["upper"] = np.where(is_share, np.minimum(high, 1), high)
    _warn_of_zeros(values["moe"])
    _warn_of_few([g for (_, _, g, _), df in zip(rows, values["df"], strict=True) if df < 1], groups)
    for name in ("est", "se", "df", "moe", "lower", "upper", "fmi"):
        columns[name] = pa.array(values[name], from_pandas=True)
    if n_donors is not None:
        columns["n_donors"] = pa.array([round(n_donors[g]) for _, _, g, _ in rows], pa.int64())
    return pa.table(columns)


def _warn_of_zeros(moe: Array) -> None:
    if n_zero := int((moe == 0).sum()):
        message = (
            f"{counted(n_zero, 'margin')} of {len(moe):,} {'is' if n_zero == 1 else 'are'} 0: nothing "
            "varies, as where all records of a group have the same value in every implicate."
        )
        warnings.warn(message, FusionWarning, stacklevel=5)


def _warn_of_few(of_rows: Sequence[int], groups: Groups) -> None:
    """Warn of groups whose margins are missing as they have less than one degree of freedom."""
    if not of_rows:
        return
    keys = list(groups.numbers)
    names = [_group_name(groups, keys[g]) for g in dict.fromkeys(of_rows)]
    shown = ", ".join(names[:MOST_NAMED])
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    where = f" in {counted(len(names), 'group')} of {len(keys):,}: {shown}{more}" if groups.names else ""
    message = f"Margins that would rest on less than one degree of freedom are missing{where}."
    warnings.warn(message, FusionWarning, stacklevel=5)


def _group_name(groups: Groups, key: Sequence[int]) -> str:
    parts = [
        f"{few([name], '')}={'missing' if code < 0 else few([levels.labels[code]], '')}"
        for name, levels, code in zip(groups.names, groups.levels, key, strict=True)
    ]
    return " & ".join([*parts[:MOST_NAMED], *(["..."] if len(parts) > MOST_NAMED else [])])


def _level_column(levels: Levels, codes: Sequence[int]) -> pa.Array:
    """Levels of a grouping column in the rows of the result, typed as they came."""
    kind = levels.type
    if kind is not None and pa.types.is_dictionary(kind):
        places = pa.array([None if code < 0 else code for code in codes], pa.int32())
        return pa.DictionaryArray.from_arrays(
            places, pa.array(levels.labels, kind.value_type), ordered=kind.ordered
        )
    return pa.array([None if code < 0 else levels.labels[code] for code in codes], kind)


def _level_name(data: Measured, code: int) -> str | None:
    if data.levels is not None:
        return str(data.levels.labels[code])
    return data.names[code] or None if data.names else None


def _type(data: Measured) -> str:
    how = data.estimand.how
    if data.levels is not None:
        return {"mean": "proportion", "sum": "count"}.get(how, how)
    return data.estimand.type


def _type_rank(estimand: Estimand) -> float:
    """Quantiles in the order of their shares, after all else."""
    return estimand.share if estimand.how == "quantile" else -1.0


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """Format a table of estimates for reading.

    Parameters
    ----------
    table : pandas.DataFrame
        What `analyze` returned, or rows and columns of it.

    Returns
    -------
    pandas.DataFrame
        Of text: two digits of each margin, the estimates to the same place, blanks for what is missing.

    Examples
    --------
    >>> frame = pd.DataFrame({"y": ["kwh"], "est": [10643.0008], "moe": [286.96], "fmi": [0.25]})
    >>> readable(frame)
         y     est  moe  fmi
    0  kwh  10,640  290 0.25
    """
    shown = pd.DataFrame(index=table.index)
    margin = table["moe"] if "moe" in table else pd.Series(np.nan, index=table.index)
    for name in table.columns:
        column = table[name]
        if name in ("est", "se", "moe", "lower", "upper"):
            shown[name] = [_to_margin(value, of) for value, of in zip(column, margin, strict=True)]
        elif name in ("n", "n_eff", "n_donors"):
            shown[name] = ["" if pd.isna(value) else f"{value:,.0f}" for value in column]
        elif name in ("df", "fmi"):
            digits = 1 if name == "df" else 2
            shown[name] = ["" if pd.isna(value) else f"{value:,.{digits}f}" for value in column]
        else:
            shown[name] = ["" if pd.isna(value) else str(value) for value in column]
    return shown


def _to_margin(value: float, margin: float) -> str:
    """Round a number to the second digit of its margin."""
    if pd.isna(value):
        return ""
    if pd.isna(margin) or margin == 0 or not np.isfinite([value, margin]).all():
        return f"{value:,.6g}"
    digits = 1 - int(np.floor(np.log10(margin)))
    if digits > DECIMALS_MOST and value:
        return f"{value:.{max(digits + int(np.floor(np.log10(abs(value)))), 0)}e}"
    return f"{round(value, digits):,.{max(digits, 0)}f}"
