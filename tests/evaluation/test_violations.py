"""Records that break rules are counted, observed and fused."""

import numpy as np
import pandas as pd
import pytest

from fusionpy.errors import ArgumentError, Problems, SchemaError
from fusionpy.evaluation.violations import take_rules, tell_violations, violations
from fusionpy.formats.implicates import open_implicates
from fusionpy.frames.tables import as_table

OBSERVED = pd.DataFrame(
    {"debt": [1.0, 5.0, 2.0, 9.0], "assets": [2.0, 4.0, 2.0, 9.5], "own": [True, False] * 2}
)
FUSED = pd.DataFrame({"M": np.repeat([1, 2], 4).astype("int32"), "debt": [3.0, 1, 1, 1, 2, 5, 3, 1]})


def taken(given):
    problems = Problems(ArgumentError, "No.")
    rules = take_rules(given, problems)
    problems.stop()
    return rules


def test_shares_are_of_the_observed_and_of_all_implicates():
    """Of four records, and of two times four; what is not fused is as it was observed."""
    rules = taken(["debt <= assets", "debt >= 0"])
    table = violations(rules, as_table(OBSERVED), open_implicates(FUSED))
    assert table["rule"].tolist() == ["debt <= assets", "debt >= 0"]
    assert table["observed"].tolist() == [1 / 4, 0]
    assert table["fused"].tolist() == [3 / 8, 0]
    assert table["n"].tolist() == [3, 0]
    assert next(iter(tell_violations(table))) == (
        "'debt <= assets': 37.50% of fused and 25.00% of observed records break it"
    )
    assert list(tell_violations(None)) == []


def test_rules_are_text_that_records_can_break():
    assert [rule.text for rule in taken("debt <= assets")] == ["debt <= assets"]
    assert taken(None) == []
    for text in ("debt is small", "debt rises with assets"):
        with pytest.raises(ArgumentError, match=f"'{text}' is not understood"):
            taken(["debt <= assets", text])
    for other in (3, [3], {"a": 1}):
        with pytest.raises(ArgumentError, match="`rules` must be text such as"):
            taken(other)


def test_columns_that_a_rule_needs_are_told():
    with pytest.raises(SchemaError, match=r"`asset`: not in the observed data \(is `assets` meant"):
        violations(taken("debt <= asset"), as_table(OBSERVED), open_implicates(FUSED))
