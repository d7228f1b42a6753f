"""Numbers as a reader wants them: few digits, thousands parted, a true minus sign."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np

__all__ = ["MISSING", "any_cell", "count", "decimals_for", "fixed", "is_missing", "percent", "significant"]

MISSING = "–"
_LEAST, _MOST = 1e-4, 1e15  # beyond, powers of ten are clearer


def is_missing(value: Any) -> bool:
    """Tell whether a cell holds nothing: None, NaN or pandas' NA."""
    return value is None or type(value).__name__ in ("NAType", "NaTType") or value != value


def fixed(value: Any, decimals: int) -> str:
    """Write a number with so many decimals.

    Examples
    --------
    >>> fixed(-12345.678, 1), fixed(-0.001, 2), fixed(None, 2), fixed(float("inf"), 0)
    ('−12,345.7', '0.00', '–', '∞')
    """
    if is_missing(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    text = f"{float(value):,.{decimals}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", "−")


def significant(value: Any, digits: int = 3) -> str:
    """Write a number with so many significant digits, whole ones in full.

    Examples
    --------
    >>> significant(12345.6), significant(0.012345), significant(99.96), significant(2.5e-7)
    ('12,346', '0.0123', '100', '2.50 × 10⁻⁷')
    """
    if is_missing(value) or math.isinf(value) or value == 0:
        return fixed(value, 0)
    mantissa, exponent = f"{float(value):.{digits - 1}e}".split("e")
    power = int(exponent)
    if not _LEAST <= abs(value) < _MOST:
        raised = str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"{fixed(float(mantissa), digits - 1)} × 10{raised}"
    return fixed(value, max(0, digits - 1 - power))


def count(value: Any) -> str:
    """Write a whole number.

    Examples
    --------
    >>> count(4000), count(np.nan)
    ('4,000', '–')
    """
    return fixed(value, 0)


def percent(share: Any, decimals: int = 1) -> str:
    """Write a share as a percentage.

    Examples
    --------
    >>> percent(0.1234), percent(0.0004)
    ('12.3 %', '0.0 %')
    """
    return MISSING if is_missing(share) else f"{fixed(100 * float(share), decimals)} %"


def decimals_for(errors: Iterable[float], most: int = 6) -> int:
    """Choose the decimals that leave the smallest of these errors two significant digits.

    Examples
    --------
    >>> decimals_for([193.2]), decimals_for([1.6]), decimals_for([0.0123, 4.5]), decimals_for([])
    (0, 1, 3, 2)
    """
    known = [abs(error) for error in errors if not is_missing(error) and 0 < abs(error) < math.inf]
    if not known:
        return 2
    return min(most, max(0, 1 - math.floor(math.log10(min(known)))))


def any_cell(value: Any, digits: int = 3) -> str:
    """Write whatever a cell holds.

    Examples
    --------
    >>> any_cell(True), any_cell(1200), any_cell(0.12345), any_cell("poor"), any_cell(None)
    ('yes', '1,200', '0.123', 'poor', '–')
    """
    if is_missing(value):
        return MISSING
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if not isinstance(value, Real):
        return str(value)
    number = float(value)
    return count(number) if number.is_integer() and abs(number) < _MOST else significant(number, digits)
