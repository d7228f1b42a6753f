"""report(): one publication-grade page, and its tables, of a fusion."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from fusionpy.errors import ArgumentError, OutputError, Problems, few, shown
from fusionpy.figures.browser import find_browser, print_pdf
from fusionpy.formats.atomic import check_writable, shown_path, written_aside
from fusionpy.formats.leftovers import scratch_folder
from fusionpy.model import FusionModel
from fusionpy.model.archive import as_model
from fusionpy.progress import announce
from fusionpy.reporting.arguments import check_texts, take_date, take_paths, take_samples, take_texts
from fusionpy.reporting.data import data_section
from fusionpy.reporting.exhibits import Section, Table, numbered
from fusionpy.reporting.files import prepare_folder, write_tables
from fusionpy.reporting.methods import limits_section, methods_section, reproducibility_section
from fusionpy.reporting.model import importance_section, model_section
from fusionpy.reporting.numbers import count
from fusionpy.reporting.page import render
from fusionpy.reporting.results import (
    ScorecardLike,
    ValidationLike,
    estimates_section,
    scores_section,
    validation_section,
)
from fusionpy.reporting.samples import Respondents

__all__ = ["report"]

ENDINGS = (".html", ".pdf")


def report(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    model: FusionModel | str | os.PathLike[str] | None = None,
    donor: Any = None,
    recipient: Any = None,
    validation: ValidationLike | None = None,
    scores: ScorecardLike | None = None,
    estimates: Any = None,
    title: str | None = None,
    authors: str | Sequence[str] | None = None,
    notes: str | Sequence[str] | None = None,
    tables: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    date: datetime.date | str | None = None,
    weight: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> list[str]:
    """Write a report of a fusion, fit for publication: data, model, validation, estimates, methods.

    Parameters
    ----------
    path : path, or sequence of two
        ``report.html``, ``report.pdf``, or both. The page is one file that needs nothing else. A PDF is
        printed by Chromium, Chrome or Edge, if the machine has one.
    model : FusionModel or path, optional
        What `train` returned, or wrote.
    donor, recipient : pandas or polars DataFrame, or pyarrow Table, optional
        The surveys: their sizes, and how alike their predictors are.
    validation : optional
        What `validate` returned.
    scores : optional
        What `score` returned.
    estimates : table, or mapping of caption to table, optional
        What `analyze` returned.
    title : str, optional
    authors : str or sequence of str, optional
    notes : str or sequence of str, optional
        Paragraphs of your own, which come first.
    tables : path, optional
        Folder to which every table is written too: as CSV with all digits, and as LaTeX.
    quiet : bool
        Do not say what was written.
    date : datetime.date or str, optional
        Of the report, such as "2026-11-05". Missing: today. All else depends on what is given here alone.
    weight : str, optional
        Column of survey weights, in `donor` and `recipient` or in one of them.
    labels : mapping, optional
        What variables mean, with their units: ``{"electricity": "Electricity use, kWh a year"}``.

    Returns
    -------
    list of str
        Paths of all files written: reports in the order given, then tables.

    Raises
    ------
    ArgumentError
        If arguments are wrong, or there is nothing to report.
    SchemaError
        If a survey's columns are not those of the model.
    ArchiveError
        If `model` cannot be read.
    OutputError
        If a file cannot be written, or there is no browser for the PDF; the HTML is written all the same.

    Notes
    -----
    Sections of what is not given are left out. The report shows sizes, shares and means of the surveys, and
    no records; extremes and small groups are up to what `estimates` and `validation` hold.

    Examples
    --------
    >>> import tempfile, fusionpy
    >>> donor = fusionpy.datasets.load_donor()
    >>> model = fusionpy.train(donor, y="vehicles", x=["hh_size", "urban"], refits=0, seed=1, quiet=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = report(f"{folder}/report.html", model=model, title="Vehicles", quiet=True)
    ...     [Path(file).name for file in written]
    ['report.html']
    """
    problems = Problems(
        ArgumentError, "`report()` cannot start.", "See `help(fusionpy.report)` for what it takes."
    )
    contents = {"model": model, "donor": donor, "recipient": recipient}
    contents |= {"validation": validation, "scores": scores, "estimates": estimates}
    _check_contents(contents, problems)
    day = take_date(date, problems)
    people, paragraphs = take_texts(authors, "authors", problems), take_texts(notes, "notes", problems)
    check_texts(title, weight, labels, problems)
    paths = take_paths(path, problems)
    problems.stop()
    every = [check_writable(each, "path", ENDINGS, {"model": model}) for each in paths]
    targets = {target.suffix.lower(): target for target in every}
    folder = None if tables is None else prepare_folder(tables)
    # Without a page to leave behind, a missing browser is told before any work is done.
    browser = find_browser() if ".html" not in targets else None

    trained = None if model is None else as_model(model)
    samples = take_samples(donor, recipient, weight)
    results = _results(trained, *samples, validation, scores, estimates, dict(labels or {}))
    first = [Section("notes", "Notes")] if paragraphs else []
    sections = numbered([*first, *results, *_texts_sections(trained, results, weight)])
    html = render(
        sections,
        title=title or "Data fusion report",
        authors=people,
        date=day,
        notes=paragraphs,
        version=metadata.version("fusionpy"),
        glance=_glance(trained, *samples),
    )
    if ".html" in targets:
        with written_aside(targets[".html"]) as aside:
            aside.write_text(html, encoding="utf-8", newline="\n")
    files = [str(target) for target in targets.values()]
    if folder is not None:
        shown_tables = [each for section in sections for each in section.exhibits if isinstance(each, Table)]
        files += write_tables(shown_tables, folder)
    if ".pdf" in targets:
        _write_pdf(html, targets[".pdf"], browser, targets.get(".html"))
    announce(f"Written: {', '.join(map(shown_path, targets.values()))}", quiet)
    return files


def _check_contents(contents: Mapping[str, Any], problems: Problems) -> None:
    """Note that there is nothing to report, or a model that is none."""
    if all(each is None for each in contents.values()):
        problems.add(f"There is nothing to report: pass one of {few(contents, '`', most=6)}.")
    model = contents["model"]
    if model is not None and not isinstance(model, FusionModel | str | os.PathLike):
        problems.add(f"`model` must be a FusionModel or the path of a `.fsn` archive, not {shown(model)}.")


def _results(
    model: FusionModel | None,
    donor: Respondents | None,
    recipient: Respondents | None,
    validation: ValidationLike | None,
    scores: ScorecardLike | None,
    estimates: Any,
    labels: Mapping[str, str],
) -> list[Section]:
    """Sections that have tables and figures."""
    sections = [
        data_section(model, donor, recipient, labels),
        None if model is None else model_section(model),
        None if model is None else importance_section(model),
        None if validation is None else validation_section(validation),
        None if scores is None else scores_section(scores),
        None if estimates is None else estimates_section(estimates),
    ]
    return [section for section in sections if section is not None]


def _texts_sections(
    model: FusionModel | None, results: Sequence[Section], weight: str | None
) -> list[Section]:
    """Sections that are text."""
    by_key = {section.key: section for section in results}
    has = {key: by_key.get(key) for key in ("validation", "scores", "estimates")}
    methods = [methods_section(model, **has)] if model is not None or any(has.values()) else []
    return [
        *methods,
        limits_section(model, validated=has["validation"] is not None or has["scores"] is not None),
        *([] if model is None else [reproducibility_section(model, weight)]),
        Section("citation", "How to cite"),
        Section("references", "References"),
    ]


def _glance(
    model: FusionModel | None, donor: Respondents | None, recipient: Respondents | None
) -> dict[str, str]:
    """Sizes that stand at the top of the page."""
    sizes: dict[str, int | None] = {
        "Donors": model.n_donors if model is not None else donor.table.n_rows if donor is not None else None,
        "Recipients": None if recipient is None else recipient.table.n_rows,
        "Fusion variables": None if model is None else len(model.schema.y),
        "Predictors": None if model is None else len(model.schema.x),
    }
    return {name: count(size) for name, size in sizes.items() if size is not None}


def _write_pdf(html: str, target: Path, browser: str | None, page: Path | None) -> None:
    """Print the page; if that fails, say that the page itself is there."""
    try:
        with scratch_folder() as folder, written_aside(target) as aside:
            source = folder / "report.html"
            source.write_text(html, encoding="utf-8", newline="\n")
            print_pdf(browser or find_browser(), source, aside)
    except OutputError as error:
        kept = [] if page is None else [f"The page itself is written: {shown_path(page)}"]
        raise OutputError(error.headline, [*error.problems, *kept], error.hint) from None
