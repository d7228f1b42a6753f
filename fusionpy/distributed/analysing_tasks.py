"""What workers do for analyze(): read implicates, tell their groups and levels, and estimate."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from fusionpy.analysis.designs import level_columns
from fusionpy.analysis.estimates import Answer, answer, measure
from fusionpy.analysis.groups import Groups, Levels
from fusionpy.analysis.measured import Measured
from fusionpy.analysis.questions import Question
from fusionpy.analysis.statistics import has_levels
from fusionpy.analysis.survey import FusedSurvey, Weighing, check_columns
from fusionpy.errors import OutputError, SchemaError
from fusionpy.formats.atomic import shown_path
from fusionpy.formats.base import Stored
from fusionpy.formats.implicates import open_implicates
from fusionpy.formats.leftovers import own_file, sweep
from fusionpy.formats.stored import open_stored
from fusionpy.frames.digests import finder
from fusionpy.frames.tables import Unreadable, as_table
from fusionpy.kernels.digests import Digest

__all__ = ["Analysis", "Beside", "Met", "Numbering", "answers_of", "meet", "static_beside", "stored_finder"]

Numbering = tuple[Groups, dict[str, Levels]]
STATIC = "_static.arrow"
WINDOW = 2**20  # rows of a file that are digested at a time


@dataclass(frozen=True)
class Beside:
    """Where the static columns are.

    Attributes
    ----------
    path : str
        Of an Arrow file, which workers of a machine share in memory, or of what `open_stored` opens.
    names : tuple of str
        Columns that are needed.
    known : tuple of str
        All columns that there are, told in errors.
    is_arrow : bool
    """

    path: str
    names: tuple[str, ...]
    known: tuple[str, ...]
    is_arrow: bool = False

    def read(self) -> pa.Table | None:
        """Read the columns that are needed; nothing if there are none."""
        if not self.names:
            return None
        if self.is_arrow:
            with pa.memory_map(self.path) as source:
                return pa.ipc.open_file(source).read_all()
        stored = open_stored(self.path)
        return stored.read(0, stored.n_rows, self.names).unify_dictionaries().combine_chunks()


@dataclass(frozen=True)
class Analysis:
    """What is the same in all tasks of an analysis.

    Attributes
    ----------
    implicates : str
    static : Beside or None
    kind : str
        Of frame that functions of the user's take.
    question : Question
    compares : bool
        Whether every other implicate is compared with the one before.
    """

    implicates: str
    static: Beside | None
    kind: str
    question: Question
    compares: bool = False

    def survey(self, names: Sequence[str], everything: bool) -> FusedSurvey:
        """Open the survey."""
        static = self.static.read() if self.static is not None else None
        survey = FusedSurvey(open_implicates(self.implicates), static, self.question.fun)
        survey.kind = self.kind
        if self.static is not None:
            survey.known = [*survey.implicates.names, *self.static.known]
        survey.choose(names, everything)
        return survey


def stored_finder(stored: Stored) -> Callable[[str], Digest | None]:
    """Make a function that digests a column of a file, by its name, a window of rows at a time."""

    def find(name: str) -> Digest | None:
        total = Digest(0, 0, 0)
        for first, n_rows in stored.windows(0, stored.n_rows, WINDOW):
            digest = finder(as_table(stored.read(first, n_rows, [name])))(name)
            if digest is None:
                return None
            total += digest
        return total

    return find


@contextmanager
def static_beside(
    implicates: Path, survey: FusedSurvey, static: Any, question: Question
) -> Iterator[Beside | None]:
    """Put static columns where workers can read them, for as long as this lasts.

    Parameters
    ----------
    implicates : Path
    survey : FusedSurvey
        With the static columns if they are a frame.
    static : data frame, path or None
    question : Question

    Yields
    ------
    Beside or None

    Raises
    ------
    OutputError
        If they cannot be written there.
    """
    wanted = {*question.needed, *question.replicates, question.weight}
    if static is None:
        yield None
        return
    if survey.static is None:
        known = open_stored(static).names
        names = tuple(name for name in known if question.everything or name in wanted)
        yield Beside(os.fspath(Path(static).expanduser().absolute()), names, known)
        return
    known = survey.static.names
    names = tuple(name for name in known if question.everything or name in wanted)
    folder = implicates if implicates.is_dir() else implicates.parent
    path = folder / STATIC
    if not names:
        yield Beside(str(path), names, known)
        return
    try:
        sweep(folder)
        with own_file(path) as own:
            table = survey.static.arrow(names)
            with pa.ipc.new_file(own.path, table.schema) as writer:
                writer.write_table(table)
            yield Beside(str(own.path), names, known, is_arrow=True)
    except Unreadable as error:
        hint = "Recode or drop it."
        raise SchemaError("`static` cannot be used.", [f"It has a column of {error}."], hint) from None
    except (PermissionError, pa.ArrowException) as error:
        hint = "Write `static` to a Parquet file that the workers can read, and pass its path."
        raise OutputError(f"'{shown_path(path)}' cannot be written.", [f"{error}."], hint) from None


@dataclass(frozen=True)
class Met:
    """Groups and levels of one implicate, by one record of each.

    Attributes
    ----------
    implicate : int
    groups : list of pyarrow.Array of n_groups
        The columns of `by`, of the first record of every group; records in order.
    n_groups : int
        0 if they were not looked at.
    levels : dict of pyarrow.Array
        Every level of the variables that have some, in the order in which they are met.
    changing : tuple of str
        Columns with groups or levels that other implicates may not share.
    of_levels : tuple of bool
        Whether an estimand is of levels.
    n_negative : int
        Negative weights, if the survey was checked.
    """

    implicate: int
    groups: list[pa.Array]
    n_groups: int
    levels: dict[str, pa.Array]
    changing: tuple[str, ...]
    of_levels: tuple[bool, ...]
    n_negative: int


def meet(analysis: Analysis, implicates: Sequence[int], looked_at: Sequence[str] | None) -> list[Met]:
    """Tell the groups and levels of some implicates.

    Parameters
    ----------
    analysis : Analysis
    implicates : sequence of int
        From 0.
    looked_at : sequence of str, optional
        Columns that matter; without them, all do, and the survey is checked, too.

    Returns
    -------
    list of Met
    """
    question = analysis.question
    checks = looked_at is None
    names = question.needed if looked_at is None else looked_at
    survey = analysis.survey(names, question.fun is not None)
    weighing = Weighing(survey, question)
    if checks:
        for implicate in range(survey.implicates.M if weighing.vary else 1):
            weighing.of(implicate)
    found = []
    for implicate in implicates:
        columns = survey.columns(implicate)
        if checks:
            check_columns(columns, survey, question)
        of_levels = tuple(
            each.how != "custom"
            and each.formula is None
            and each.y in names
            and has_levels(each, columns[each.y].type)
            for each in question.estimands
        )
        has = [each.y for each, yes in zip(question.estimands, of_levels, strict=True) if yes]
        kinds = {name: columns[name].type for name in names if name in columns}
        of_formulas = [
            name
            for each in question.estimands
            if each.formula is not None
            for name in level_columns(each.formula, kinds)
        ]
        has = list(dict.fromkeys([*has, *of_formulas]))
        groups, n_groups = _groups(columns, question.by if set(question.by) <= set(names) else ())
        changing = [name for name in has if name not in survey.held]
        if any(name not in survey.held for name in question.by):
            changing += question.by
        levels = {name: _levels(columns[name], name in of_formulas) for name in has}
        varied = tuple(dict.fromkeys(changing))
        found.append(Met(implicate, groups, n_groups, levels, varied, of_levels, weighing.n_negative))
    return found


def _groups(columns: dict[str, pa.Array], by: Sequence[str]) -> tuple[list[pa.Array], int]:
    """Find the first record of every group."""
    if not by:
        return [], 0
    arrays = [columns[name] for name in by]
    cells = Groups(by).cells(arrays, len(arrays[0]))
    rows = pa.array(np.sort(np.unique(cells, return_index=True)[1]))
    return [array.take(rows) for array in arrays], len(rows)


def _levels(array: pa.Array, tells_used: bool) -> pa.Array:
    """Every level once; a column with a dictionary keeps all of it, be it without records."""
    if tells_used:
        return array.unique()
    return array.take(pa.array([], pa.int64())) if pa.types.is_dictionary(array.type) else array.unique()


def answers_of(
    analysis: Analysis, implicates: Sequence[int], numbering: Sequence[Numbering]
) -> list[list[tuple[Answer, list[str]]]]:
    """Estimate from some implicates.

    Parameters
    ----------
    analysis : Analysis
    implicates : sequence of int
        From 0.
    numbering : sequence of (Groups, dict of Levels)
        All that was met up to each of them.

    Returns
    -------
    list of list
        Per implicate and estimand: the answer, and the names of what a function of the user's returned.
    """
    question = analysis.question
    survey = analysis.survey(question.needed, question.everything)
    weighing = Weighing(survey, question)
    kept: list[Measured] = []
    found = []
    for implicate, (groups, levels) in zip(implicates, numbering, strict=True):
        columns = survey.columns(implicate)
        cell = groups.cells([columns[name] for name in groups.names], survey.n_rows)
        compares = analysis.compares and implicate % 2 == 1 and not weighing.vary
        before: list[Measured | None] = [*kept] if compares else [None] * len(question.estimands)
        kept = [
            measure(each, columns, cell, len(groups), levels, analysis.kind, kept)
            for each in question.estimands
        ]
        w, replicates = weighing.of(implicate)
        with survey.telling_of_unusable():
            answers = [
                answer(data, w, question.pooling, replicates, implicate, question.seed, old)
                for data, old in zip(kept, before, strict=True)
            ]
        found.append([(one, list(data.names)) for one, data in zip(answers, kept, strict=True)])
    return found
