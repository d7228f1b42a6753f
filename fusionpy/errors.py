"""What can be wrong, said so that a person can mend it.

Every error carries its problems as data (`FusionError.problems`), so that the R bridge can raise them
again as classed conditions.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from numbers import Integral

__all__ = [
    "ArchiveError",
    "ArgumentError",
    "FusionError",
    "FusionWarning",
    "OutputError",
    "Problems",
    "SchemaError",
    "few",
    "is_whole",
    "settle_seed",
]


class FusionError(ValueError):
    """Base of every error that fusionpy raises on purpose.

    Parameters
    ----------
    headline : str
        One sentence: what could not be done.
    problems : sequence of str
        Each thing that is wrong, all of them at once.
    hint : str, optional
        What to do about it.

    Examples
    --------
    >>> print(FusionError("`data` has no rows.", ["0 rows."], "Pass the donor survey."))
    `data` has no rows.
      x 0 rows.
      i Pass the donor survey.
    """

    def __init__(self, headline: str, problems: Sequence[str] = (), hint: str | None = None) -> None:
        self.headline = headline
        self.problems = tuple(problems)
        self.hint = hint
        lines = [headline, *(f"  x {problem}" for problem in self.problems)]
        if hint:
            lines.append(f"  i {hint}")
        super().__init__("\n".join(lines))


class ArgumentError(FusionError):
    """An argument of a verb has a value that it cannot have."""


class SchemaError(FusionError):
    """A data frame's columns are not what the task, or the model, needs."""


class ArchiveError(FusionError):
    """A model archive cannot be read, or is not what it claims to be."""


class OutputError(FusionError):
    """A result cannot be written where it was asked for."""


class FusionWarning(UserWarning):
    """Something was changed or assumed that the user may want to know."""


class Problems:
    """Collects what is wrong, so that all of it can be raised at once.

    Examples
    --------
    >>> problems = Problems(ArgumentError, "`train()` cannot start.")
    >>> problems.add("`nfolds` must be at least 2, not 1.")
    >>> problems.stop()
    Traceback (most recent call last):
    ...
    fusionpy.errors.ArgumentError: `train()` cannot start.
      x `nfolds` must be at least 2, not 1.
    """

    def __init__(self, kind: type[FusionError], headline: str, hint: str | None = None) -> None:
        self.kind = kind
        self.headline = headline
        self.hint = hint
        self.found: list[str] = []

    def add(self, problem: str) -> None:
        """Note one more problem."""
        if problem not in self.found:
            self.found.append(problem)

    def stop(self) -> None:
        """Raise if anything was noted."""
        if self.found:
            raise self.kind(self.headline, self.found, self.hint)


def few(names: Iterable[object], quote: str = "'", most: int = 5) -> str:
    """List at most `most` names, then how many more there are.

    Examples
    --------
    >>> few(["a", "b"]), few("abcdefg", quote="`")
    ("'a', 'b'", '`a`, `b`, `c`, `d`, `e` and 2 more')
    """
    every = [f"{quote}{name}{quote}" for name in names]
    shown = ", ".join(every[:most])
    return shown if len(every) <= most else f"{shown} and {len(every) - most} more"


def is_whole(value: object, low: int) -> bool:
    """Tell whether an argument is a whole number of at least `low`; True and False are not numbers here.

    Examples
    --------
    >>> is_whole(5, 2), is_whole(5.0, 2), is_whole(True, 0), is_whole(1.5, 0)
    (True, True, False, False)
    """
    if isinstance(value, bool):
        return False
    if isinstance(value, float):  # R hands over 5 as 5.0
        return value.is_integer() and value >= low
    return isinstance(value, Integral) and int(value) >= low


def settle_seed(seed: object) -> int:
    """Check a seed, or draw one.

    Raises
    ------
    ArgumentError
        If it is not a whole number in [0, 2**63).
    """
    if seed is None:
        return secrets.randbelow(2**31)
    if not is_whole(seed, 0) or int(seed) >= 2**63:  # type: ignore[call-overload]
        raise ArgumentError(
            f"`seed` must be a whole number from 0 to 2**63 - 1, not {seed!r}.", hint="Leave it out to draw one."
        )
    return int(seed)  # type: ignore[call-overload, no-any-return]
