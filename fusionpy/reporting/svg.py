"""Figures' SVG made fit to stand in a page: nothing in it acts, loads, or clashes with another figure."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from markupsafe import Markup

__all__ = ["inline_svg"]

_FORBIDDEN = frozenset(["script", "foreignObject", "metadata", "iframe", "a", "title", "desc", "style"])
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_LONG = re.compile(r"-?\d+\.\d{3,}")
_PLACES = frozenset(["d", "x", "y", "cx", "cy", "r", "width", "height", "points"])
_FONTS = re.compile(r"font-family:[^;]*;?\s*")  # the page has its own
_LINES = {"stroke-linejoin": "round", "stroke-linecap": "butt"}  # the one style rule that matplotlib writes


def inline_svg(svg: str, prefix: str, title: str, description: str) -> Markup:
    """Prepare a drawing for a page.

    Parameters
    ----------
    svg : str
        A whole SVG file.
    prefix : str
        What its identifiers are to begin with.
    title, description : str
        Its text alternative.

    Returns
    -------
    Markup
        An ``svg`` element that scales with its box, without scripts, links or files from elsewhere.

    Raises
    ------
    ValueError
        If `svg` is not SVG.

    Examples
    --------
    >>> drawing = '<svg width="9pt" viewBox="0 0 9 9"><g id="a"><path/></g></svg>'
    >>> print(inline_svg(drawing, "f1", "Cars", "No."))  # doctest: +NORMALIZE_WHITESPACE
    <svg viewBox="0 0 9 9" role="img" aria-labelledby="f1-title f1-desc" stroke-linejoin="round"
    stroke-linecap="butt"><title id="f1-title">Cars</title><desc id="f1-desc">No.</desc><g><path /></g></svg>
    """
    try:
        root = ElementTree.fromstring(svg)
    except ElementTree.ParseError as error:
        raise ValueError(f"not SVG: {error}") from None
    # Numbered anew: matplotlib's own identifiers are not the same at every run in all its versions.
    found = dict.fromkeys(re.findall(r"#([^\s)\"'<>]+)", svg))
    named = {name: f"{prefix}-{number}" for number, name in enumerate(found)}
    for element in root.iter():
        element.tag = _local(element.tag)
        for child in list(element):
            if _local(child.tag) in _FORBIDDEN or (_local(child.tag) == "g" and not len(child)):
                element.remove(child)
        if element.tag not in ("text", "tspan"):
            element.text = None
        element.tail = None
        element.attrib = _attributes(element.attrib, named)
    if root.tag != "svg" or "viewBox" not in root.attrib:
        raise ValueError("not SVG: it has no `svg` element with a view box")
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{prefix}-title {prefix}-desc",
        **_LINES,
    }
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{prefix}-{tag}"})
        element.text = text
        root.insert(place, element)
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _attributes(attributes: dict[str, str], named: dict[str, str]) -> dict[str, str]:
    """Keep attributes that only draw; identifiers that are referred to, and references, get new names."""
    kept: dict[str, str] = {}
    for key, value in attributes.items():
        name = _local(key)
        if name.startswith("on") or name in ("version", "xmlns"):
            continue
        if name == "href":
            if value.startswith("#") and value[1:] in named:
                kept[name] = f"#{named[value[1:]]}"
            elif value.startswith("data:image/png;base64,"):
                kept[name] = value
        elif name == "id":
            if value in named:
                kept[name] = named[value]
        elif name in _PLACES:
            # A hundredth of a point is finer than any screen; the file is a third smaller for it.
            kept[name] = _LONG.sub(lambda number: f"{float(number[0]):.2f}", " ".join(value.split()))
        elif name == "style" or "url(" in value:
            if "url(" not in _REFERENCE.sub("", value):
                plain = _FONTS.sub("", value)
                kept[name] = _REFERENCE.sub(lambda match: f"url(#{named.get(match[1], '')})", plain)
        else:
            kept[name] = value
    return kept
