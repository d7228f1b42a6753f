"""Count the records that break rules, among those that were observed and those that were fused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fusionpy.errors import Problems, SchemaError, few, meant, shown
from fusionpy.formats.implicates import Implicates
from fusionpy.frames.tables import Table, Unreadable, to_floats
from fusionpy.model import FusionModel
from fusionpy.model.rules import Rule, broken, parse_rule
from fusionpy.model.schema import Schema
from fusionpy.model.variables import Variable, is_number

__all__ = ["take_rules", "tell_violations", "violations"]

Array = NDArray[np.float64]


def take_rules(given: Any, problems: Problems) -> list[Rule]:
    """Take rules as text, or a model's; what cannot be understood is noted.

    Parameters
    ----------
    given : str, sequence of str, FusionModel, or None
    problems : Problems

    Returns
    -------
    list of Rule
        Those that records can break.
    """
    if isinstance(given, FusionModel):
        return [rule for rule in given.rules if rule.kind not in ("rises", "falls")]
    texts = [given] if isinstance(given, str) else [] if given is None else given
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        problems.add(
            f"`rules` must be text such as 'debt <= assets', a list of it, or a model, not {shown(given)}."
        )
        return []
    rules = []
    for text in texts:
        rule = parse_rule(text)
        if rule is None or rule.kind in ("rises", "falls"):
            problems.add(
                f"`rules`: '{text}' is not understood; write 'debt <= assets' or 'income = wages + other'."
            )
        else:
            rules.append(rule)
    return rules


def violations(rules: Sequence[Rule], observed: Table, implicates: Implicates) -> pd.DataFrame:
    """Count the records that break rules.

    Parameters
    ----------
    rules : sequence of Rule
    observed : Table
        The same records with their true values, and whatever else the rules speak of.
    implicates : Implicates

    Returns
    -------
    pandas.DataFrame
        One row per rule: `rule`; `observed`, `fused`, the shares of records that break it; `n`, the fused
        records that do, of all implicates.

    Raises
    ------
    SchemaError
        If a rule speaks of columns that are not there.
    """
    names = list(dict.fromkeys(name for rule in rules for name in rule.names))
    problems = Problems(SchemaError, "`rules` do not fit the data.")
    absent = [name for name in names if name not in observed.names]
    if absent:
        problems.add(f"{few(absent, '`')}: not in the observed data{meant(absent[0], observed.names)}.")
    problems.stop()
    try:
        columns = {name: observed.column(name) for name in names}
    except Unreadable as error:
        raise SchemaError("`rules` do not fit the data.", [f"A column holds {error}."]) from None
    schema = _schema_of(rules, columns)
    values = {name: _values(schema[name], column) for name, column in columns.items()}
    before = [_broken(rule, values, schema) for rule in rules]
    after = np.zeros(len(rules), dtype=np.int64)
    drawn = [name for name in names if name in implicates.names]
    for m in range(implicates.M):
        table = implicates.read(m, drawn)
        fused = values | {name: _values(schema[name], table.column(name)) for name in drawn}
        after += [_broken(rule, fused, schema) for rule in rules]
    return pd.DataFrame(
        {
            "rule": [rule.text for rule in rules],
            "observed": np.array(before) / observed.n_rows,
            "fused": after / (implicates.n_rows * implicates.M),
            "n": after,
        }
    )


def tell_violations(table: pd.DataFrame | None) -> Iterable[str]:
    """Word the counts, a line per rule."""
    for row in () if table is None else table.itertuples():
        yield f"'{row.rule}': {row.fused:.2%} of fused and {row.observed:.2%} of observed records break it"


def _broken(rule: Rule, values: dict[str, Array], schema: Schema) -> int:
    return int(broken(rule, values.__getitem__, schema)[0].sum())


def _schema_of(rules: Sequence[Rule], columns: dict[str, pa.Array]) -> Schema:
    """Learn enough of the columns to look levels up."""
    found = []
    for name, column in columns.items():
        if is_number(column.type):
            found.append(Variable(name, "continuous"))
        elif pa.types.is_boolean(column.type):
            found.append(Variable(name, "logical", storage="bool"))
        else:
            named = [level for rule in rules if rule.other == name for level in rule.levels]
            seen = pc.unique(column.cast(pa.string())).drop_null().to_pylist()
            found.append(Variable(name, "nominal", tuple(dict.fromkeys([*named, *seen])), "string"))
    return Schema(tuple(found), ())


def _values(variable: Variable, column: pa.Array | pa.ChunkedArray) -> Array:
    """Numbers, or codes of levels; NaN where missing, and for levels that were not observed."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if variable.kind == "logical":
        column = column.cast(pa.int8())
    elif variable.kind == "nominal":
        column = pc.index_in(column.cast(pa.string()), value_set=pa.array(variable.levels, pa.string()))
    return to_floats(column)
