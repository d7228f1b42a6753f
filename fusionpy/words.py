"""How messages name, count and show things: on one line, and on a part of it."""

from __future__ import annotations

import difflib
import reprlib
import unicodedata
from collections.abc import Iterable

__all__ = ["alike", "composed", "counted", "few", "grouped", "meant", "shown"]

MOST_LETTERS = 22  # of a name


def few(names: Iterable[object], quote: str = "'", most: int = 5) -> str:
    """List at most `most` names, then how many more there are.

    Examples
    --------
    >>> few(["a", "b"]), few("abcdefg", quote="`")
    ("'a', 'b'", '`a`, `b`, `c`, `d`, `e` and 2 more')
    """
    every = [f"{quote}{_short(str(name))}{quote}" for name in names]
    listed = ", ".join(every[:most])
    return listed if len(every) <= most else f"{listed} and {len(every) - most} more"


def _short(name: str) -> str:
    """Keep a name on one line, and on a part of it."""
    name = name if name.isprintable() else repr(name)[1:-1]
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 3]}..."


def grouped(found: Iterable[tuple[str, str, str]]) -> list[str]:
    """Tell what is wrong with columns, once for all those with which the same is wrong.

    Parameters
    ----------
    found : iterable of (role, name, problem)
        An empty role is not told.

    Returns
    -------
    list of str

    Examples
    --------
    >>> grouped([("predictor", "a", "not in `data`"), ("", "c", "no"), ("predictor", "b", "not in `data`")])
    ['predictors `a`, `b`: not in `data`.', '`c`: no.']
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for role, name, problem in found:
        groups.setdefault((role, problem), []).append(name)
    return [
        f"{role}{'s' if len(names) > 1 and role else ''} {few(names, '`')}: {problem}.".lstrip()
        for (role, problem), names in groups.items()
    ]


def counted(n: int, thing: str) -> str:
    """Count things.

    Examples
    --------
    >>> counted(1, "row"), counted(1200, "missing value")
    ('1 row', '1,200 missing values')
    """
    return f"{n:,} {thing}{'' if n == 1 else 's'}"


def composed(text: str) -> str:
    """Bring what is shown alike to one spelling: Unicode's NFC."""
    return unicodedata.normalize("NFC", text)


def alike(found: Iterable[object], known: Iterable[object]) -> str:
    """Say that texts are shown as others are, but spelt otherwise; nothing if none is.

    Examples
    --------
    >>> alike(["Que\u0301bec"], ["Qu\u00e9bec", "Ontario"])
    "'Québec' is shown alike, but spelt with other Unicode characters: normalise both to NFC"
    >>> alike(["Manitoba"], ["Ontario"])
    ''
    """
    texts = {text for text in known if isinstance(text, str)}
    same = {composed(text): text for text in texts}
    for text in found:
        if isinstance(text, str) and text not in texts and composed(text) in same:
            called = few([composed(text)])
            return f"{called} is shown alike, but spelt with other Unicode characters: normalise both to NFC"
    return ""


def meant(name: str, known: Iterable[str], quote: str = "`") -> str:
    """Ask whether another name is meant that is much like this one; nothing if there is none.

    Examples
    --------
    >>> meant("incme", ["income", "age"]), meant("size", ["income", "age"])
    (' (is `income` meant?)', '')
    """
    names = list(known)
    if like := alike([name], names):
        return f" ({like})"
    found = difflib.get_close_matches(name, names, 1, 0.75)
    return f" (is {few(found, quote)} meant?)" if found else ""


def shown(value: object) -> str:
    """Show an argument as it was given, on part of a line.

    Examples
    --------
    >>> shown("5"), shown([1, 2, 3, 4, 5, 6, 7]), shown(Exception)
    ("'5'", '[1, 2, 3, 4, ...]', 'type')
    """
    value = value.item() if hasattr(value, "item") and getattr(value, "shape", None) == () else value
    if value is not None and not isinstance(value, str | int | float | list | tuple | dict | set):
        return type(value).__name__
    brief = reprlib.Repr()
    brief.maxlist = brief.maxtuple = brief.maxdict = brief.maxset = 4
    brief.maxlevel, brief.maxstring, brief.maxlong, brief.maxother = (
        2,
        MOST_LETTERS,
        MOST_LETTERS,
        MOST_LETTERS,
    )
    return brief.repr(value)
