"""A report's sections as one page of HTML that needs nothing else."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from fusionpy.reporting.exhibits import Figure, Section
from fusionpy.reporting.references import Citations
from fusionpy.reporting.svg import inline_svg

if TYPE_CHECKING:
    import jinja2

__all__ = ["long_date", "render"]

MONTHS = ("January February March April May June July August September October November December").split()


def long_date(date: datetime.date) -> str:
    """Write a date out, whatever the locale.

    Examples
    --------
    >>> long_date(datetime.date(2026, 11, 5))
    '5 November 2026'
    """
    return f"{date.day} {MONTHS[date.month - 1]} {date.year}"


def _source(name: str) -> str:
    return (resources.files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _environment() -> jinja2.Environment:
    import jinja2  # only when a report is made

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )


def _drawing(figure: Figure) -> Markup:
    """All panels of a figure; they share its text alternative."""
    panels = [
        inline_svg(svg, f"{figure.anchor}-{place}", figure.label, figure.alt)
        for place, svg in enumerate(figure.svgs, 1)
    ]
    return Markup("\n").join(panels)


def render(
    sections: Sequence[Section],
    *,
    title: str,
    authors: Sequence[str],
    date: datetime.date,
    notes: Sequence[str],
    version: str,
    glance: Mapping[str, Any],
) -> str:
    """Write the page.

    Parameters
    ----------
    sections : sequence of Section
        Numbered.
    title : str
    authors : sequence of str
    date : datetime.date
    notes : sequence of str
        Paragraphs.
    version : str
        Of fusionpy.
    glance : mapping
        The figures that stand at the top, by their name.

    Returns
    -------
    str
        HTML.
    """
    citations = Citations()
    template = _environment().get_template("page.html.j2")
    html = template.render(
        sections=sections,
        present={section.key: section for section in sections},
        title=title,
        authors=authors,
        date=date,
        long_date=long_date(date),
        notes=notes,
        version=version,
        glance=glance,
        style=Markup(_source("style.css")),
        drawing=_drawing,
        cite=citations.cite,
        cited=citations.cited,
    )
    return re.sub(r"\n\s*\n", "\n", html).strip() + "\n"
