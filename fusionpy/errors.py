"""What can be wrong, said so that a person can mend it.

Every error carries its problems as data (`FusionError.problems`), so that the R bridge can raise them
again as classed conditions. The words that messages are made of are in `fusionpy.words`; whoever raises needs
them too, and gets them from here.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

from fusionpy.words import alike, composed, counted, few, grouped, meant, shown

__all__ = [
    "ArchiveError",
    "ArgumentError",
    "FusionError",
    "FusionWarning",
    "OutputError",
    "Problems",
    "SchemaError",
    "alike",
    "composed",
    "counted",
    "few",
    "gone",
    "grouped",
    "is_whole",
    "meant",
    "repeated",
    "settle_seed",
    "shown",
    "warn",
]

_OURS = (__file__[: __file__.rindex("errors")], contextlib.__file__)  # files whose lines are not the user's
P = ParamSpec("P")
R = TypeVar("R")
MOST_LINES = 8  # problems that a message shows; all of them are in `FusionError.problems`
_MOST_WHOLE = 2**31 - 1
_MOST_OF = {
    "cores": 1024,
    "M": 1_000_000,
    "draws": 10_000,
    "n_repeats": 10_000,
    "n_workers": 10_000,
    "repeats": 10_000,
    "nclusters": 10**9,
    "nfolds": 10**6,
    "nquantiles": 100,
    "patience": 10**9,
    "refits": 10_000,
}


class FusionError(ValueError):
    """Base of every error that fusionpy raises on purpose.

    Parameters
    ----------
    headline : str
        One sentence: what could not be done.
    problems : sequence of str
        Each thing that is wrong, all of them at once. The message shows the first eight.
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
        lines = [headline, *(f"  x {problem}" for problem in self.problems[:MOST_LINES])]
        if len(self.problems) > MOST_LINES:
            lines.append(f"  x ... and {len(self.problems) - MOST_LINES} more.")
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
    """A result cannot be written where it was asked for.

    Attributes
    ----------
    model : FusionModel or None
        What `train` had trained before it could not be written: ``write_fsn(error.model, path)`` saves it.
    """

    model: Any = None


class FusionWarning(UserWarning):
    """Something was changed or assumed that the user may want to know."""


def warn(message: str, category: type[Warning] = FusionWarning) -> None:
    """Warn, and name the line that called the package, however deep in it this is.

    Parameters
    ----------
    message : str
    category : type of Warning, optional
        FusionWarning.

    Examples
    --------
    >>> import warnings
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn("3 negative weights in `weight`: taken as 0.")
    >>> caught[0].filename
    '<doctest fusionpy.errors.warn[1]>'
    """
    frame, depth = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        frame, depth = frame.f_back, depth + 1
    warnings.warn(message, category, stacklevel=depth)


def gone(**arguments: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a function tell of arguments that it had once.

    Parameters
    ----------
    **arguments : str
        Why each is no more.

    Examples
    --------
    >>> @gone(speed="every way is fast")
    ... def go(far: int) -> int:
    ...     return far
    >>> go(far=2)
    2
    >>> go(far=2, speed=1)
    Traceback (most recent call last):
    ...
    fusionpy.errors.ArgumentError: `go()` cannot start.
      x `speed` is no more: every way is fast.
      i Leave it out.
    """

    def telling(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def told(*args: P.args, **kwargs: P.kwargs) -> R:
            problems = Problems(ArgumentError, f"`{function.__name__}()` cannot start.", "Leave it out.")
            for name in arguments.keys() & kwargs:
                problems.add(f"`{name}` is no more: {arguments[name]}.")
            problems.stop()
            return function(*args, **kwargs)

        return told

    return telling


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

    def whole(self, name: str, value: object, low: int, high: int | None = None) -> bool:
        """Note an argument that must be a whole number within limits, and is not.

        Parameters
        ----------
        name : str
            Of the argument.
        value : object
        low : int
        high : int, optional
            By the argument's name, if left out: more is a slip, or would need more memory than there is.

        Returns
        -------
        bool
            Whether it fits; it may be a whole float, as R hands them over.

        Examples
        --------
        >>> problems = Problems(ArgumentError, "")
        >>> problems.whole("cores", 2.0, 1), problems.whole("cores", 10**9, 1)
        (True, False)
        >>> problems.found
        ['`cores` must be a whole number from 1 to 1,024, not 1000000000.']
        """
        most = _MOST_OF.get(name, _MOST_WHOLE) if high is None else high
        if not is_whole(value, low):
            return self._must(False, name, f"a whole number of at least {low}", value)
        fits = int(value) <= most  # type: ignore[call-overload]  # it is whole
        return self._must(fits, name, f"a whole number from {low} to {most:,}", value)

    def between(self, name: str, value: object, low: int, high: int) -> bool:
        """Note an argument that must be a whole number in a range that is told whole, and is not."""
        fits = is_whole(value, low) and int(value) <= high  # type: ignore[call-overload]
        return self._must(fits, name, f"a whole number from {low} to {high}", value)

    def share(self, name: str, value: object, above: bool = False) -> bool:
        """Note an argument that must be a number from 0 to 1, or above 0, and is not."""
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        fits = is_number and 0 <= float(value) <= 1 and not (above and value == 0)  # type: ignore[arg-type]
        wanted = "a number above 0, and at most 1" if above else "a number from 0 to 1"
        return self._must(fits, name, wanted, value)

    def level(self, value: object) -> bool:
        """Note a level of margins of error that is none."""
        fits = isinstance(value, float) and 0 < value < 1
        return self._must(fits, "level", "a number between 0 and 1, such as 0.9", value)

    def flag(self, name: str, value: object) -> bool:
        """Note an argument that must be True or False, and is not."""
        return self._must(isinstance(value, bool), name, "True or False", value)

    def choice(self, name: str, value: object, known: Iterable[str]) -> bool:
        """Note an argument that must be one of some words, and is not."""
        words = list(known)
        return self._must(isinstance(value, str) and value in words, name, f"one of {few(words)}", value)

    def name(self, name: str, value: object, wanted: str) -> bool:
        """Note an argument that may name a column, and does not."""
        return self._must(value is None or isinstance(value, str), name, wanted, value)

    def _must(self, fits: bool, name: str, wanted: str, value: object) -> bool:
        if not fits:
            self.add(f"`{name}` must be {wanted}, not {shown(value)}.")
        return fits

    def stop(self) -> None:
        """Raise if anything was noted."""
        if self.found:
            raise self.kind(self.headline, self.found, self.hint)


def is_whole(value: object, low: int) -> bool:
    """Tell whether an argument is a whole number of at least `low`; True and False are not numbers here.

    Examples
    --------
    >>> is_whole(5, 2), is_whole(5.0, 2), is_whole(True, 0), is_whole(1.5, 0)
    (True, True, False, False)
    """
    if isinstance(value, bool):
        return False
    if isinstance(value, Integral):
        return int(value) >= low
    if not isinstance(value, Real):
        return False
    number = float(value)  # R hands over 5 as 5.0
    return number.is_integer() and number >= low


def settle_seed(seed: Any, problems: Problems | None = None) -> int:
    """Check a seed, or draw one.

    Parameters
    ----------
    seed : int or None
    problems : Problems, optional
        Where to note what is wrong with it, instead of raising.

    Returns
    -------
    int

    Raises
    ------
    ArgumentError
        If it is not a whole number in [0, 2**63).
    """
    if seed is None:
        return secrets.randbelow(2**31)
    if is_whole(seed, 0) and int(seed) < 2**63:
        return int(seed)
    problem = (
        f"`seed` must be a whole number from 0 to 2**63 - 1, not {shown(seed)}; leave it out to draw one."
    )
    if problems is None:
        raise ArgumentError("The seed cannot be used.", [problem])
    problems.add(problem)
    return 0


def repeated(names: Iterable[Any]) -> list[Any]:
    """Find the names that occur more than once, in order.

    Examples
    --------
    >>> repeated(["b", "a", "c", "a", "b"])
    ['b', 'a']
    """
    return [name for name, count in Counter(names).items() if count > 1]
