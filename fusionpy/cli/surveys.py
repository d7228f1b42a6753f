"""Surveys in Parquet and CSV files, of which only the columns that are needed are read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from fusionpy.cli.arguments import expand_patterns
from fusionpy.cli.declared import Declared, Settled, as_declared, has_leading_zero, inferred, without
from fusionpy.cli.dialects import Dialect, find_dialect, is_numeric_text
from fusionpy.errors import ArgumentError, Problems, SchemaError, alike, few
from fusionpy.formats.stored import open_stored
from fusionpy.frames.levels import without_guesses
from fusionpy.model import FusionModel
from fusionpy.model.variables import Variable, is_number

__all__ = ["Survey", "common_columns", "open_survey"]

ENDINGS = (".parquet", ".csv", ".csv.gz")
MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null"]  # in CSV
PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class Survey:
    """A survey's file: its column names, and of Parquet its types, are known, its values not yet read."""

    path: str
    names: tuple[str, ...]
    schema: pa.Schema | None = None
    dialect: Dialect = field(default_factory=Dialect)  # of CSV

    def suits(self, known: Iterable[Variable]) -> bool:
        """Tell whether a model can take it as it is: a Parquet file with levels where the model has them."""
        if self.schema is None or len(set(self.names)) < len(self.names):
            return False
        return all(
            variable.name not in self.names
            or (bool(variable.levels) and not variable.text)
            == pa.types.is_dictionary(self.schema.field(variable.name).type)
            for variable in known
        )

    def with_areas(self, declared: Declared, model: FusionModel, names: Sequence[str]) -> Declared:
        """Say that areas which a model has as text are text: in CSV they may look like numbers."""
        if self.schema is not None:
            return declared
        known = {variable.name for variable in model.schema.x}
        texts = [area.name for area in model.areas if area.kind == "text" and area.name not in known]
        said = declared.settle(self.names, Problems(SchemaError, "")).as_text
        more = [name for name in texts if name in names and name in self.names and name not in said]
        return replace(declared, text=(*declared.text, *more))

    def read(
        self,
        names: Sequence[str],
        declared: Declared | None = None,
        known: Mapping[str, Variable] | None = None,
    ) -> pa.Table:
        """Read some columns.

        Parameters
        ----------
        names : sequence of str
            Those that are not in the file are left to the verb to complain of.
        declared : Declared, optional
            What the user says of columns: their levels, whatever they are on file, their kinds, and codes of
            missing answers.
        known : dict of str to Variable, optional
            What a model knows: text, and numbers that it has as categories, take its levels; what it has as
            text may be categories.

        Returns
        -------
        pyarrow.Table

        Raises
        ------
        ArgumentError
            If the file cannot be read.
        SchemaError
            If columns have values that are none of their levels.
        """
        wanted = [name for name in dict.fromkeys(names) if name in self.names]
        problems = Problems(
            SchemaError,
            f"'{self.path}' cannot be used.",
            "Mend these columns, or the options that name them.",
        )
        twice = [name for name in wanted if self.names.count(name) > 1]
        if twice:
            problems.add(f"It has several columns {few(twice, '`')}.")
        settled = (declared or Declared()).settle(wanted, problems)
        problems.stop()
        variables = {**(known or {}), **settled.ordered}
        with _readable(self.path):
            table = self._table(wanted, variables, settled)
        garbled = [field.name for field in table.schema if pa.types.is_binary(field.type)]
        if garbled:
            problems.add(f"Text that is not in UTF-8: columns {few(garbled, '`')}.")
        declared_so = {*variables, *settled.as_text}
        mixed = [name for name in self.dialect.mixed if name in wanted and name not in declared_so]
        if self.dialect.separator != ",":
            rest = [name for name in wanted if name not in (*declared_so, *mixed)]
            mixed += [name for name in rest if is_numeric_text(table.column(name))]
        if mixed:
            marks = "decimal points as well as commas, or marks between thousands"
            problems.add(f"The numbers cannot be told of columns with {marks}: {few(mixed, '`')}.")
        problems.stop()
        for j, name in enumerate(table.column_names):
            column, variable = table.column(j), variables.get(name)
            if variable is not None and variable.levels:
                table = table.set_column(
                    j, name, _recoded(column, variable, name in settled.ordered, problems)
                )
            elif name in settled.nominal or name in settled.text:
                role = "text" if name in settled.text else "nominal"
                table = table.set_column(j, name, as_declared(column, role))
        problems.stop()
        return without_guesses(table, [*settled.ordered, *settled.nominal, *settled.text])

    def _table(self, names: Sequence[str], variables: Mapping[str, Variable], settled: Settled) -> pa.Table:
        """Read columns, and empty the cells that hold codes of missing answers."""
        if self.schema is not None:
            stored = open_stored(self.path)
            table = stored.read(0, stored.n_rows, list(names))
        else:
            table = self._csv_table(names, variables, settled)
        for j, name in enumerate(table.column_names):
            if codes := settled.codes(name):
                table = table.set_column(j, name, without(table.column(j), codes))
        return table

    def _csv_table(
        self, names: Sequence[str], variables: Mapping[str, Variable], settled: Settled
    ) -> pa.Table:
        """Read columns of CSV; numbers with leading zeros are text, unless the model has quantities."""
        types = {name: pa.type_for_alias(v.storage) for name, v in variables.items() if v.is_categorical}
        types |= dict.fromkeys(settled.as_text, pa.string())
        nulls = [*MISSING, *settled.everywhere]
        table = self._read_csv(names, types, nulls)
        guessed = [
            field.name
            for field in table.schema
            if is_number(field.type) and field.name not in types and field.name not in variables
        ]
        if zeros := self._with_leading_zeros(guessed, nulls):
            texts = dict.fromkeys(zeros, pa.string())
            again = self._read_csv(zeros, texts, nulls)
            for name in zeros:
                table = table.set_column(table.column_names.index(name), name, again.column(name))
        kinds = {*settled.ordered, *settled.nominal, *settled.text}
        for name in settled.missing:  # these were read as text for their codes
            variable = variables.get(name)
            if name not in kinds and (variable is None or not variable.is_categorical):
                column = inferred(without(table.column(name), settled.missing[name]))
                table = table.set_column(table.column_names.index(name), name, column)
        return table

    def _read_csv(
        self, names: Sequence[str], types: Mapping[str, pa.DataType], nulls: Sequence[str]
    ) -> pa.Table:
        return pa_csv.read_csv(self.path, *self.dialect.options, self._options(names, types, nulls))

    def _options(
        self, names: Sequence[str], types: Mapping[str, pa.DataType], nulls: Sequence[str]
    ) -> pa_csv.ConvertOptions:
        return pa_csv.ConvertOptions(
            include_columns=list(names),
            column_types=types,
            null_values=nulls,
            strings_can_be_null=True,
            decimal_point=self.dialect.decimal,
        )

    def _with_leading_zeros(self, names: Sequence[str], nulls: Sequence[str]) -> list[str]:
        """Look which columns of numbers have leading zeros, piece by piece."""
        left = list(names)
        found: list[str] = []
        if left:
            options = self._options(names, dict.fromkeys(names, pa.string()), nulls)
            with pa_csv.open_csv(self.path, *self.dialect.options, options) as reader:
                for batch in reader:
                    found += [name for name in left if has_leading_zero(batch.column(name))]
                    left = [name for name in left if name not in found]
        return found


def open_survey(path: str) -> Survey:
    """Look at a survey's file without reading its values.

    Raises
    ------
    ArgumentError
        If it is not there, is not Parquet or CSV, or cannot be read.
    """
    headline, hint = f"'{path}' cannot be read.", f"Give a survey as {few(ENDINGS)}."
    if not Path(path).exists():
        raise ArgumentError(headline, ["There is no such file."], hint)
    if Path(path).is_dir():
        raise ArgumentError(headline, ["It is a folder."], hint)
    if not path.lower().endswith(ENDINGS):
        raise ArgumentError(headline, [f"It ends with '{Path(path).suffix}'."], hint)
    with _readable(path):
        if _is_parquet(path):
            schema = open_stored(path).schema
            return Survey(path, tuple(schema.names), schema)
        dialect = find_dialect(Path(path))
        with pa_csv.open_csv(path, *dialect.options) as reader:
            return Survey(path, tuple(reader.schema.names), dialect=dialect)


def common_columns(donor: Survey, recipient: Survey, used: Sequence[str], drop: Sequence[str]) -> list[str]:
    """Choose as predictors what both surveys have and no other role takes.

    Parameters
    ----------
    donor, recipient : Survey
    used : sequence of str
        Fusion variables and weights.
    drop : sequence of str
        Not wanted; patterns too.

    Returns
    -------
    list of str
        In the donor's order.

    Raises
    ------
    ArgumentError
        If there are none, or `drop` names a column that is not common.
    """
    both = [name for name in donor.names if name in recipient.names and name not in used]
    both = [name for name in both if not PANDAS_INDEX.fullmatch(name)]
    dropped = expand_patterns(drop, both)
    predictors = [name for name in both if name not in dropped]
    problems = Problems(ArgumentError, "The predictors cannot be chosen.", "Name them with `--x`.")
    unknown = [name for name in dropped if name not in both]
    if unknown:
        problems.add(f"`--drop` names {few(unknown, '`')}, not among the common columns {few(both, '`')}.")
    elif not predictors:
        problems.add(f"No column is left that '{donor.path}' and '{recipient.path}' have in common.")
    problems.stop()
    return predictors


def _is_parquet(path: str) -> bool:
    return path.lower().endswith(".parquet")


@contextmanager
def _readable(path: str) -> Iterator[None]:
    """Say in words that a file is damaged."""
    try:
        yield
    except UnicodeDecodeError:
        problem, hint = "Its column names are not in UTF-8.", "Convert it to UTF-8."
        raise ArgumentError(f"'{path}' cannot be read.", [problem], hint) from None
    except (pa.ArrowException, OSError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        hint = "Check that the file is whole, and of the format that its name says."
        raise ArgumentError(f"'{path}' cannot be read.", [f"{lines[0][:200].rstrip('.')}."], hint) from None


def _recoded(
    column: pa.ChunkedArray, variable: Variable, forced: bool, problems: Problems
) -> pa.ChunkedArray:
    """Give a column the levels that it has not of its own."""
    has_levels, is_ordered = pa.types.is_dictionary(column.type), getattr(column.type, "ordered", False)
    if variable.text:  # of the same values, as levels of any order
        return column.cast(column.type.value_type) if has_levels and not is_ordered else column
    return _with_levels(column, variable, problems) if forced or not has_levels else column


def _with_levels(column: pa.ChunkedArray, variable: Variable, problems: Problems) -> pa.ChunkedArray:
    """Code a column by given levels; values that are none of them are a problem."""
    levels = pa.array(list(variable.levels), type=pa.type_for_alias(variable.storage))
    try:
        values = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        values = values.cast(levels.type)
    except pa.ArrowException:
        problems.add(f"`{variable.name}`: {column.type} values, but the levels are {few(variable.levels)}.")
        return column
    codes = pc.index_in(values, value_set=levels)
    unknown = pc.unique(values.filter(pc.and_(pc.is_valid(values), pc.is_null(codes)))).to_pylist()
    if unknown:
        like = alike(unknown, variable.levels)
        problems.add(
            f"`{variable.name}`: value {like}."
            if like
            else f"`{variable.name}`: values {few(unknown)} are not among its levels {few(variable.levels)}."
        )
    indices = codes.combine_chunks().cast(pa.int32())
    return pa.chunked_array(
        [pa.DictionaryArray.from_arrays(indices, levels, ordered=variable.kind == "ordered")]
    )
