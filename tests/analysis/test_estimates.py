"""What can make groups, and what is taken for a level that an implicate lacks."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import fusionpy
from fusionpy.analysis.estimates import can_group, count_infinite


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.int8(), True),
        (pa.float64(), True),
        (pa.string(), True),
        (pa.bool_(), True),
        (pa.date32(), True),
        (pa.float16(), False),
        (pa.list_(pa.int8()), False),
        (pa.struct({"a": pa.int8()}), False),
        (pa.month_day_nano_interval(), False),
        *([(pa.uuid(), False)] if hasattr(pa, "uuid") else []),  # not in the oldest pyarrow
    ],
    ids=str,
)
def test_types_that_can_make_groups(kind, expected):
    assert can_group(kind) is expected


def test_infinite_values_are_counted():
    assert count_infinite(pa.array([1.0, np.inf, None, -np.inf, np.nan])) == 2
    assert count_infinite(pa.array([1.0, None])) == count_infinite(pa.array([1, 2])) == 0


@pytest.mark.parametrize("lacking", [1, 2, 3])
def test_a_level_that_an_implicate_lacks_has_a_share_of_zero_there(lacking):
    rng = np.random.default_rng(2)
    parts = [pd.DataFrame({"M": m, "fuel": rng.choice(["gas", "oil", "wood"], 90)}) for m in (1, 2, 3)]
    parts[lacking - 1]["fuel"] = parts[lacking - 1]["fuel"].replace("wood", "gas")
    static = pd.DataFrame({"w": rng.uniform(1, 2, 90)})
    result = fusionpy.analyze("mean(fuel)", pd.concat(parts), static=static, weight="w", quiet=True)
    for level in ("gas", "oil", "wood"):
        shares = [np.average(part["fuel"] == level, weights=static["w"]) for part in parts]
        assert result.loc[result["level"] == level, "est"].item() == pytest.approx(np.mean(shares))
