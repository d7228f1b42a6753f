"""read_fsd() on a file that R's fusionModel wrote, against the CSV of the same implicates."""

import numpy as np
import pandas as pd
import pytest

import fusionpy


@pytest.fixture(scope="module")
def both(shared):
    folder = shared / "reference" / "models"
    expected = pd.read_csv(folder / "readme_recipient_M3.csv.gz", dtype=str)
    return folder / "readme_recipient_M3.fsd", expected


def assert_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    for name in found:
        text = expected[name].to_numpy()
        if isinstance(found[name].dtype, pd.CategoricalDtype):
            assert found[name].astype(str).tolist() == text.tolist(), name
        else:
            np.testing.assert_array_equal(found[name].to_numpy(), text.astype(float), err_msg=name)


def test_all_implicates(both):
    path, expected = both
    found = fusionpy.read_fsd(path, M=None, cores=2)
    assert_same(found, expected)
    assert any(isinstance(dtype, pd.CategoricalDtype) and dtype.ordered for dtype in found.dtypes)


@pytest.mark.parametrize("M", [1, 2, 3])
def test_the_first_implicates(both, M):
    path, expected = both
    assert_same(fusionpy.read_fsd(path, M=M), expected[expected["M"].astype(int) <= M])


def test_rows_that_match(both):
    path, expected = both
    names = [name for name in expected if name != "M"]
    whole = fusionpy.read_fsd(path, M=3)
    wanted = whole[["M", names[-1]]].iloc[[5, 5, 8000, 700]]
    found = fusionpy.read_fsd(path, M=3, where=wanted)
    # R: data[df, on = names(df), nomatch = NULL], rows in the file's order
    keep = pd.MultiIndex.from_frame(whole[wanted.columns]).isin(pd.MultiIndex.from_frame(wanted))
    assert_same(found, expected[keep])
    assert 3 <= len(found) < len(expected)
