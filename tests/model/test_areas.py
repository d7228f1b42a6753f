"""Levels of areas: read from whatever holds them, and found again whatever rows they are met in."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fusionpy.frames.tables import as_table
from fusionpy.model.areas import Area, AreaCodes, area_problems, code_areas, learn_area, read_levels

STATE = Area(name="state", kind="text", levels=("01", "02", "6"))
PUMA = Area(name="puma", kind="number", levels=("-1", "7", "900000000000"))
TEXTS = st.lists(st.none() | st.sampled_from(["01", "02", "6", "1", "x", ""]), max_size=30)


@pytest.mark.parametrize(
    ("array", "kind", "found"),
    [
        (pa.array(["06", None, "6"]), "text", ["06", None, "6"]),
        (pa.array(["b", "a", "b"]).dictionary_encode(), "text", ["b", "a", "b"]),
        (pa.array([6, None, 2**62]), "number", ["6", None, str(2**62)]),
        (pa.array([6.0, np.nan, -3.0, None]), "number", ["6", None, "-3", None]),
        (pa.array([7, 7, 1], pa.int8()).dictionary_encode(), "number", ["7", "7", "1"]),
        (pa.array([None, None]), None, [None, None]),
        (pa.array([None, None], pa.string()), None, [None, None]),
        (pa.array([2**63 + 1], pa.uint64()), "number", [str(2**63 + 1)]),
    ],
)
def test_levels_are_text_categories_or_whole_numbers(array, kind, found):
    read_kind, levels, codes = read_levels(array)
    assert read_kind == kind
    assert [None if code < 0 else levels[code] for code in codes] == found


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (pa.array([0.5, 1.0]), r"not whole \(such as 0.5\)"),
        (pa.array([1e300]), "not whole"),
        (pa.array([np.inf]), "not whole"),
        (pa.array([True]), "logical .*areas are text, categories or whole numbers"),
        (pa.array([Decimal("1.0")]), "areas are text"),
        (pa.array([True, False]).dictionary_encode(), "areas are text"),
    ],
)
def test_what_is_no_area_is_told(array, words):
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(read_levels(array))


def test_levels_of_donors_are_those_that_occur_among_those_that_count():
    frame = pd.DataFrame({"a": pd.Categorical(["c", "b", None, "z"], categories=["z", "c", "b", "q"])})
    area, codes = learn_area(as_table(frame), "a", np.array([0, 1, 2]))
    assert area == Area(name="a", kind="text", levels=("b", "c"))
    assert codes.tolist() == [1, 0, 2]
    number, _ = learn_area(as_table(pd.DataFrame({"a": [10, 9, -1]})), "a", np.arange(3))
    assert number.levels == ("-1", "9", "10")
    assert learn_area(as_table(frame), "a", np.array([0])).startswith("one level only")
    assert learn_area(as_table(frame), "a", np.array([2])) == "no values at all"
    assert learn_area(as_table(frame), "b", np.array([2])).startswith("not in `data`")


@given(st.lists(TEXTS, max_size=5))
def test_codes_of_parts_are_those_of_a_plain_loop(parts):
    coder, seen = AreaCodes([STATE]), []
    for part in parts:
        found = coder.encode(0, pa.array(part, pa.string()))
        for text, code in zip(part, found, strict=True):
            if text is None:
                assert code == 3
            elif text in STATE.levels:
                assert code == STATE.levels.index(text)
            else:
                seen += [text] if text not in seen else []
                assert code == 4 + seen.index(text)
    assert coder.unseen()[0].tolist() == [STATE.key(text) for text in seen]
    n_known = sum(text in STATE.levels for part in parts for text in part)
    assert coder.matched() == {"state": (n_known, tuple(seen[:3]))}
    assert not coder.problems


def test_keys_tell_areas_and_levels_apart_and_stay():
    keys = {area.key(level) for area in (STATE, PUMA) for level in ("1", "01", "7", "")}
    assert len(keys) == 8
    assert all(0 <= key < 2**64 for key in keys)
    assert STATE.key("06") == 14935555028668020321  # draws of models in archives depend on it


def test_any_kind_of_frame_has_the_same_codes():
    plain = {"state": ["6", "zz", None, "01"], "puma": [7, 8, 900000000000, -1]}
    wanted, _ = code_areas([STATE, PUMA], as_table(pd.DataFrame(plain)))
    assert wanted.tolist() == [[2, 4, 3, 0], [1, 4, 2, 0]]
    frames = [
        pl.DataFrame(plain),
        pl.DataFrame(plain).with_columns(pl.col("state").cast(pl.Categorical)),
        pa.table(plain),
        pd.DataFrame(plain).astype({"state": "category", "puma": "float64"}),
    ]
    for frame in frames:
        assert np.array_equal(code_areas([STATE, PUMA], as_table(frame))[0], wanted)


def test_columns_that_do_not_fit_are_told():
    found = area_problems([STATE, PUMA], as_table(pd.DataFrame({"state": [6, 7], "Puma": [1, 2]})))
    assert found["state"] == "must be text or categories, as in training, not whole numbers"
    assert found["puma"].startswith("not in `data`, and an area that has effects")
    assert area_problems([PUMA], as_table(pd.DataFrame({"puma": [0.5]}))) == {
        "puma": "numbers that are not whole (such as 0.5)"
    }
    assert area_problems([STATE, PUMA], as_table(pd.DataFrame({"state": [None], "puma": [None]}))) == {}
    coder = AreaCodes([PUMA])
    assert coder.encode(0, pa.array(["7"])).tolist() == [3]
    assert coder.problems == {"puma": "must be whole numbers, as in training, not text or categories"}
