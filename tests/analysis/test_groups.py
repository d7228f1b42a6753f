"""Groups of records: each record's levels are those of its group, whichever way the groups are found."""

import numpy as np
import pyarrow as pa
import pytest

from fusionpy.analysis import groups
from fusionpy.analysis.groups import Groups


def assert_right(found, columns, names):
    """Records have one group if and only if their levels are the same; its numbers stand for those."""
    cells = found.cells([pa.array(column) for column in columns], len(columns[0]))
    labels = {number: key for key, number in found.numbers.items()}
    assert sorted(labels) == list(range(len(found)))
    for cell, *values in zip(cells, *columns, strict=True):
        codes = labels[cell]
        said = [
            None if code < 0 else level.labels[code] for code, level in zip(codes, found.levels, strict=True)
        ]
        assert said == list(values)
    return cells


@pytest.mark.parametrize("most", ["by table", "by sorting", "few numbers"])
def test_every_record_is_in_the_group_of_its_levels(most, monkeypatch):
    if most != "by table":
        monkeypatch.setattr(groups, "MOST_LOOKED_UP", 0)
    if most == "few numbers":
        monkeypatch.setattr(groups, "MOST_KEYS", 5)
    found = Groups(["town", "rooms", "owner"])
    rng = np.random.default_rng(1)
    for n in (1, 7, 200):
        towns = rng.choice(["Ayr", "Bath", "Cork", ""], n).tolist()
        rooms = [None if each == 3 else int(each) for each in rng.integers(0, 6, n)]
        owner = rng.choice([True, False], n).tolist()
        assert_right(found, [towns, rooms, owner], found.names)
    assert len(found) > 20
    assert found.levels[0].order == sorted(range(4), key=lambda code: found.levels[0].labels[code])
    assert found.levels[2].labels == [False, True]


def test_without_columns_all_are_one_group():
    found = Groups([])
    assert len(found) == 1
    assert found.cells([], 3).tolist() == [0, 0, 0]


def test_the_same_columns_are_looked_up_once():
    found, column = Groups(["a"]), pa.array(["x", "y", "x"])
    cells = found.cells([column], 3)
    assert found.cells([column], 3) is cells
    assert found.cells([pa.array(["y", "y", "x"])], 3).tolist() == [cells[1], cells[1], cells[0]]
    assert found.cells([pa.array(["z"])], 1).tolist() == [2]
