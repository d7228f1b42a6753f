"""Lay out the estimates that `analyze` returns."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from fusionpy.analysis.combining import Piece
from fusionpy.analysis.estimand import Estimand
from fusionpy.analysis.groups import Groups, Levels
from fusionpy.analysis.measured import Measured
from fusionpy.analysis.questions import GROUPING, Layout
from fusionpy.analysis.statistics import statistic_of
from fusionpy.errors import counted, few, warn
from fusionpy.figures.layout import WIDTH, Grid

__all__ = ["CAVEATS", "Estimates", "readable", "stack", "tabulate"]

Array = NDArray[np.float64]
NUMBERS = ("n", "n_eff", "n_donors", "N", "N_eff", "est", "se", "df", "moe", "lower", "upper", "fmi", "cv")
Z_OF_CV = 1.645  # as fusionACS documents its coefficient of variation
DECIMALS_MOST = 7  # beyond, powers of ten are clearer
CAVEATS = "caveats"  # among the attributes: one line on margins that are not to be believed
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
        if not len(self.columns):
            return str(super().__repr__())
        text: str = self._grid().text()
        return f"{text}\n\n{fill(self._caveats, WIDTH, break_on_hyphens=False)}" if self._caveats else text

    def _repr_html_(self) -> str:
        below = f"\n<p>{escape(self._caveats)}</p>" if self._caveats else ""
        return f"{self._grid().html()}{below}"

    @property
    def _caveats(self) -> str:
        """One line on margins that are not to be believed, as long as the table shows some."""
        return str(self.attrs.get("fusionpy", {}).get(CAVEATS, "")) if "moe" in self.columns else ""


def tabulate(
    kept: Sequence[Measured],
    pieces: Sequence[Piece],
    groups: Groups,
    n_donors: Array | None,
    layout: Layout = "fusionpy",
    n_rows: Array | None = None,
    is_bare: bool = False,
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
    layout : str
        Whose columns and rows.
    n_rows : (k,) float64, optional
        Records of each group per implicate, for layouts other than ours.
    is_bare : bool
        Whether margins are missing where nothing varies, rather than 0.

    Returns
    -------
    pyarrow.Table

    Warns
    -----
    FusionWarning
        If margins are 0; if they would rest on less than one degree of freedom.
    """
    rows = _rows(kept, pieces, groups, layout)
    values = {
        name: np.array([getattr(pieces[e].pooled, name)[g, code] for e, g, code in rows], dtype=np.float64)
        for name in ("est", "se", "df", "moe", "fmi")
    }
    if is_bare:
        values["moe"] = np.where(values["se"] == 0, np.nan, values["moe"])
    types = [_type(kept[e]) for e, _, _ in rows]
    is_share = np.array([kind == "proportion" for kind in types], dtype=bool)
    low, high = values["est"] - values["moe"], values["est"] + values["moe"]
    values["lower"] = np.where(is_share, np.maximum(low, 0), low)
    values["upper"] = np.where(is_share, np.minimum(high, 1), high)
    _warn_of_zeros(values["moe"])
    _warn_of_few([g for (_, g, _), df in zip(rows, values["df"], strict=True) if df < 1], groups)
    texts = {
        "y": [kept[e].estimand.label for e, _, _ in rows],
        "level": [_level_name(kept[e], code, layout) for e, _, code in rows],
        "type": types,
    }
    has_names = any(data.estimand.name for data in kept)
    if has_names or layout == "fusionacs":
        texts["name"] = [kept[e].estimand.name for e, _, _ in rows]
    if layout == "fusionacs":
        texts |= _as_formulas(kept, rows, types)
    columns: dict[str, pa.Array] = {name: pa.array(text, pa.string()) for name, text in texts.items()}
    columns["n"] = pa.array([round(pieces[e].n[g]) for e, g, _ in rows], pa.int64())
    columns["n_eff"] = pa.array([pieces[e].n_eff[g] for e, g, _ in rows], pa.float64())
    if n_rows is not None and layout != "fusionpy":
        columns["N"] = pa.array([int(n_rows[g]) for _, g, _ in rows], pa.int32())
    if layout == "fusionacs":
        with np.errstate(invalid="ignore", divide="ignore"):
            values["cv"] = 100 * values["moe"] / Z_OF_CV / values["est"]
    columns |= {name: pa.array(found, from_pandas=True) for name, found in values.items()}
    if n_donors is not None:
        columns["n_donors"] = pa.array([round(n_donors[g]) for _, g, _ in rows], pa.int64())
    keys = list(groups.numbers)
    by = {
        name: _level_column(levels, [keys[g][j] for _, g, _ in rows])
        for j, (name, levels) in enumerate(zip(groups.names, groups.levels, strict=True))
    }
    return _in_order(by, columns, layout)


def _rows(
    kept: Sequence[Measured], pieces: Sequence[Piece], groups: Groups, layout: Layout
) -> list[tuple[int, int, int]]:
    """Order the rows of the result, each of an estimand, a group and a level."""
    keys = list(groups.numbers)
    orders = [{code: place for place, code in enumerate(levels.order)} for levels in groups.levels]
    rows: list[tuple[Any, ...]] = []
    for e, (data, piece) in enumerate(zip(kept, pieces, strict=True)):
        order = data.levels.order if data.levels else range(piece.pooled.est.shape[1])
        for g, key in enumerate(keys):
            # A missing level comes last here, first in R.
            lost = [len(order) if layout == "fusionpy" else -1 for order in orders]
            place = tuple(order.get(code, at) for order, code, at in zip(orders, key, lost, strict=True))
            of = data.estimand
            kind = of.type if layout == "fusionpy" else _type(data)
            if layout == "fusionacs":
                rows += [((e, place, rank), (e, g, code)) for rank, code in enumerate(order)]
            else:
                rows += [
                    ((place, of.label, _type_rank(of), kind, e, rank), (e, g, code))
                    for rank, code in enumerate(order)
                ]
    return [row for _, row in sorted(rows, key=lambda row: row[0])]


def _as_formulas(
    kept: Sequence[Measured], rows: Sequence[tuple[int, int, int]], types: Sequence[str]
) -> dict[str, list[str | None]]:
    """Name estimates as fusionACS does: sides of a formula, short types."""
    asked = [data.estimand for data in kept]
    names = [each.name or f"{each.call.partition('(')[0]}_{each.label}" for each in asked]
    return {
        "lhs": [names[e] for e, _, _ in rows],
        "rhs": [asked[e].call for e, _, _ in rows],
        "type": ["prop" if kind == "proportion" else kind for kind in types],
    }


def _in_order(by: dict[str, pa.Array], columns: dict[str, pa.Array], layout: Layout) -> pa.Table:
    """Put columns in the order of a layout, what only we have last."""
    if layout == "fusionacs":
        first, chief = ["lhs", "rhs", "type"], ["level", "N_eff", "est", "moe", "cv"]
        columns["N_eff"] = columns.pop("n_eff")
    elif layout == "fusionModel":
        first, chief = [], ["N", "name", "y", "level", "type", "est", "moe"]
    else:
        first, chief = [], ["n", "n_eff", "name", "y", "level", "type", "est", "se", "df", "moe"]
    rest = ["N", "n_eff", "se", "df", "lower", "upper", "fmi", "n_donors"]
    named = {name: columns[name] for name in first}
    named |= by
    named |= {name: columns[name] for name in (*chief, *rest) if name in columns}
    return pa.table(named)


def stack(
    tables: Sequence[pa.Table], groupings: Sequence[Sequence[str]], layout: Layout = "fusionpy"
) -> pa.Table:
    """Put the tables of several groupings one below the other; columns of other groupings are missing.

    Parameters
    ----------
    tables : sequence of pyarrow.Table
    groupings : sequence of sequence of str
        Columns of each, which column ``grouping`` names.
    layout : str

    Returns
    -------
    pyarrow.Table

    Examples
    --------
    >>> tables = [pa.table({"np": [1, 2], "est": [0.1, 0.2]}), pa.table({"est": [0.3]})]
    >>> stack(tables, [["np"], []]).to_pydict()
    {'grouping': ['np', 'np', ''], 'np': [1, 2, None], 'est': [0.1, 0.2, 0.3]}
    """
    every = list(dict.fromkeys(name for grouping in groupings for name in grouping))
    own = [name for name in tables[0].column_names if name not in groupings[0]]
    named = [
        table.append_column(GROUPING, pa.array([", ".join(grouping)] * len(table), pa.string()))
        for table, grouping in zip(tables, groupings, strict=True)
    ]
    whole = pa.concat_tables(named, promote_options="default").unify_dictionaries()
    if layout != "fusionacs":
        return whole.select([GROUPING, *every, *own])
    place = own.index("cv") + 1
    whole = whole.select([*own[:3], *every, *own[3:place], GROUPING, *own[place:]])
    # Analyses come in the order of `x`, each by all groupings.
    asked = list(zip(whole["lhs"].to_pylist(), whole["rhs"].to_pylist(), strict=True))
    rank = {each: place for place, each in enumerate(dict.fromkeys(asked))}
    return whole.take(pa.array(sorted(range(len(asked)), key=lambda row: rank[asked[row]]), pa.int64()))


def _warn_of_zeros(moe: Array) -> None:
    if n_zero := int((moe == 0).sum()):
        message = (
            f"{counted(n_zero, 'margin')} of {len(moe):,} {'is' if n_zero == 1 else 'are'} 0: nothing "
            "varies, as where all records of a group have the same value in every implicate."
        )
        warn(message)


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
    warn(message)


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


def _level_name(data: Measured, code: int, layout: Layout) -> str | None:
    if data.levels is not None:
        label = data.levels.labels[code]
        return str(label) if layout == "fusionpy" or not isinstance(label, bool) else str(label).upper()
    return data.names[code] or None if data.names else None


def _type(data: Measured) -> str:
    return statistic_of(data).name if data.levels is not None else data.estimand.type


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
        elif name in ("n", "n_eff", "n_donors", "N", "N_eff"):
            shown[name] = ["" if pd.isna(value) else f"{value:,.0f}" for value in column]
        elif name in ("df", "fmi", "cv"):
            digits = 2 if name == "fmi" else 1
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
