"""Messages in R's words."""

from __future__ import annotations

import re

__all__ = ["in_r"]

# In this order: what is more particular comes first.
_WORDS = [
    (r"See `help\(fusionpy\.(\w+)\)`( for what it takes)?", r"See `?fusionpy::\1`"),
    (r"\bprep_xy\b", "prepXY"),
    (r"\bTrue or False\b", "TRUE or FALSE"),
    (r"`(\w+)=False`", r"`\1 = FALSE`"),
    (r"`(\w+)` is True\b", r"`\1` is TRUE"),
    (r"\bNone\b", "NULL"),
    (r"\bnumbers, categories, text and booleans\b", "numbers, factors, characters and logicals"),
    (
        r"\bits categories must be (un)?ordered, not (un)?ordered\b",
        r"must be an \1ordered factor, not an \2ordered one",
    ),
    (r"\bunordered categories\b", "an unordered factor"),
    (r"\bordered categories\b", "an ordered factor"),
    (r"\b(must be|not|make the levels) text\b", r"\1 character"),
    (r"\bcategories whose\b", "a factor whose"),
    (r"\bnot as categories\b", "not as factors"),
    (r"\bmake them categories, or True and False\b", "make them factors, or TRUE and FALSE"),
    (r"\bText columns are taken as nominal\b", "Character columns are taken as unordered factors"),
    (r"\ba FusionModel or the path of\b", "the path of"),
    (r"\bdrop them: `data\.columns = .*`", "drop them"),
    (r"\bPass a pandas or polars DataFrame or a pyarrow Table\b", "Pass a data frame"),
]
_RENAMED = {"importance": {"model": "fsn"}, "read_fsd": {"where": "df"}}


def in_r(text: str, verb: str) -> str:
    """Say what Python says in R's words.

    Parameters
    ----------
    text : str
        A message, or a part of one.
    verb : str
        R's name of what was called.

    Returns
    -------
    str

    Examples
    --------
    >>> in_r("`heat`: must be ordered categories, not text.", "fuse")
    '`heat`: must be an ordered factor, not character.'
    """
    for pattern, instead in _WORDS:
        text = re.sub(pattern, instead, text)
    for name, instead in _RENAMED.get(verb, {}).items():
        text = text.replace(f"`{name}`", f"`{instead}`")
    return text
