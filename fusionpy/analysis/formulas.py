"""Formulas of regressions, as R has them: ``log(income) ~ age + kwh * region``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from fusionpy.analysis.expressions import Expression, as_name, read_expression

__all__ = ["FAMILIES", "Formula", "read_formula"]

FAMILIES = {  # by R's names
    "gaussian": "gaussian",
    "binomial": "binomial",
    "quasibinomial": "binomial",
    "poisson": "poisson",
    "quasipoisson": "poisson",
}
CONSTANT = "literal"  # as formulaic calls its kind
LINKS = {"gaussian": "identity", "binomial": "logit", "poisson": "log"}
_FAMILY = re.compile(
    r"""(?:family\s*=\s*)?(?P<quote>["']?)(?P<name>\w+)(?P=quote)"""
    r"""(?:\(\s*(?:(?:link\s*=\s*)?["']?(?P<link>\w+)["']?)?\s*\))?"""
)


@dataclass(frozen=True)
class Formula:
    """What is regressed on what.

    Attributes
    ----------
    text : str
        As it was written.
    response : Expression
    factors : tuple of Expression
        Each once, in the order in which they are met.
    terms : tuple of tuple of int
        Factors that are multiplied, by number; the constant, of none, apart.
    has_constant : bool
    family : str
        "gaussian", "binomial" or "poisson".
    """

    text: str
    response: Expression
    factors: tuple[Expression, ...]
    terms: tuple[tuple[int, ...], ...]
    has_constant: bool
    family: str = "gaussian"

    @property
    def variables(self) -> tuple[str, ...]:
        """Columns that it needs."""
        every = (self.response, *self.factors)
        return tuple(dict.fromkeys(name for each in every for name in each.variables))

    @property
    def of_levels(self) -> tuple[str, ...]:
        """Columns that are levels even if they hold numbers."""
        return tuple(dict.fromkeys(each.levels_of for each in self.factors if each.as_levels))

    @property
    def alone(self) -> tuple[str, ...]:
        """Columns that are predictors by themselves: levels, if they are no numbers."""
        return tuple(dict.fromkeys(each.levels_of for each in self.factors if each.levels_of))


def read_formula(text: str, *, takes_family: bool = False) -> Formula:
    """Read a formula.

    Parameters
    ----------
    text : str
        ``y ~ terms``, and with `takes_family` ``, family=binomial`` after it.
    takes_family : bool

    Returns
    -------
    Formula

    Raises
    ------
    ValueError
        Saying what of it is wrong.

    Examples
    --------
    >>> found = read_formula("log(income) ~ age * region - 1")
    >>> [":".join(found.factors[f].label for f in term) for term in found.terms], found.has_constant
    (['age', 'region', 'age:region'], False)
    >>> read_formula("solar ~ rooms, family=binomial()", takes_family=True).family
    'binomial'
    """
    formula, rest = _in_two(text)
    if rest and not takes_family:
        raise ValueError(f"'{text}' must be one formula, such as 'y ~ a + b'")
    family = _family(rest) if rest else "gaussian"
    left, right, order = _parsed(formula)
    if len(left) != 1 or len(left[0]) != 1:
        raise ValueError(f"'{formula}' must have one response, as in 'y ~ a + b'")
    response = _expression(*left[0][0])
    if response.as_levels or not response.variables:
        raise ValueError(f"'{response.label}' cannot be a response")
    found = {expr: _expression(expr, kind) for term in right for expr, kind in term if kind != CONSTANT}
    if any(len(term) > 1 and (expr, CONSTANT) in term for term in right for expr, _ in term):
        raise ValueError(f"'{formula}' multiplies a term by a number, which formulas do not do here")
    factors = sorted(found, key=order.index)
    places = tuple(
        tuple(sorted(factors.index(expr) for expr, _ in term)) for term in right if term != [("1", CONSTANT)]
    )
    has_constant = len(places) < len(right)
    if not right:
        raise ValueError(f"'{formula}' has no terms")
    of = tuple(found[expr] for expr in factors)
    return Formula(formula, response, of, places, has_constant, family)


def _in_two(text: str) -> tuple[str, str]:
    """Part a formula from what follows its first comma outside of brackets and quotes."""
    depth, quote = 0, ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "`'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth == 0:
            return " ".join(text[:place].split()), text[place + 1 :].strip()
    return " ".join(text.split()), ""


def _family(text: str) -> str:
    found = _FAMILY.fullmatch(text)
    family = FAMILIES.get(found["name"]) if found else None
    if not found or family is None or found["link"] not in (None, LINKS[family]):
        known = ", ".join(FAMILIES)
        raise ValueError(f"'{text}' is no family that is known: {known}, each with its usual link")
    return family


Terms = list[list[tuple[str, str]]]


def _parsed(text: str) -> tuple[Terms, Terms, list[str]]:
    """Have a formula taken apart: factors of the terms on either side, with their kinds, and their order."""
    from formulaic import Formula as Parsed  # with what it imports in turn, only when it is used
    from formulaic.parser import DefaultFormulaParser

    plain = re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"", "", text)
    if plain.count("~") != 1 or not text.split("~")[0].strip():
        raise ValueError(f"'{text}' is no formula such as 'y ~ a + b'")
    if odd := next((each for each in "|{}[]" if each in plain), ""):
        raise ValueError(f"'{text}' has a '{odd}', which formulas do not have here")
    if re.search(r"(?<![\w.])\.(?![\w.])", plain):
        raise ValueError(f"'{text}' has a '.', which stands for no columns here: name them")
    text = re.sub(r"(?<![\w.`])as\.factor\s*\(", "factor(", text)
    try:
        parsed = Parsed(text)
        order = [each.token for each in DefaultFormulaParser().get_tokens(text)]
        return _terms(parsed.lhs), _terms(parsed.rhs), order
    except Exception as error:  # parsers raise many kinds
        first = re.sub(r"\s*\(tip:.*", "", str(error).strip().splitlines()[0]) if str(error).strip() else ""
        raise ValueError(f"'{text}' is not understood: {first.rstrip('.') or type(error).__name__}") from None


def _terms(side: Any) -> Terms:
    return [[(factor.expr, factor.eval_method.value) for factor in term.factors] for term in side]


def _expression(expr: str, kind: str) -> Expression:
    if kind != "lookup":
        return read_expression(expr)
    return Expression(as_name(expr), "_0", (("_0", expr),), (expr,), expr)
