"""Implicates for other libraries, and pooled results of theirs."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import statsmodels.api as sm
from pandas.testing import assert_frame_equal
from statsmodels.imputation.bayes_mi import MI

import fusionpy
from fusionpy.errors import ArgumentError, FusionWarning, SchemaError

N, M = 80, 4
RNG = np.random.default_rng(8)
STATIC = pd.DataFrame({"x": RNG.normal(size=N), "w": RNG.gamma(2, 1, N), "town": RNG.choice(["a", "b"], N)})
FUSED = pd.DataFrame({"M": np.repeat(np.arange(1, M + 1), N), "y": RNG.normal(size=N * M)})
FUSED["y"] += np.tile(STATIC["x"], M)


def fits(**how):
    frames = fusionpy.split_implicates(FUSED, static=STATIC)
    return [sm.WLS.from_formula("y ~ x + town", each, weights=each["w"]).fit(**how) for each in frames]


def test_frames_are_the_implicates_with_the_recipients_columns(tmp_path):
    FUSED.to_parquet(tmp_path / "fused.parquet", index=False)
    in_memory = list(fusionpy.split_implicates(FUSED, static=STATIC))
    from_file = list(fusionpy.split_implicates(tmp_path / "fused.parquet", static=STATIC))
    assert len(in_memory) == len(from_file) == M
    for m, (one, other) in enumerate(zip(in_memory, from_file, strict=True), 1):
        assert_frame_equal(one, other)
        assert sorted(one.columns) == ["town", "w", "x", "y"]
        assert_frame_equal(one[["y"]], FUSED.loc[FUSED["M"] == m, ["y"]].reset_index(drop=True))
        assert_frame_equal(one[STATIC.columns], STATIC)


def test_some_columns_and_other_kinds():
    frames = list(fusionpy.split_implicates(pl.from_pandas(FUSED), static=STATIC, columns=["w", "y"]))
    assert all(isinstance(each, pl.DataFrame) and each.columns == ["w", "y"] for each in frames)
    assert [list(each) for each in fusionpy.split_implicates(FUSED)] == [["y"]] * M


def test_what_cannot_be_split():
    with pytest.raises(SchemaError, match="`z`: neither in `implicates` nor in `static`"):
        fusionpy.split_implicates(FUSED, static=STATIC, columns=["z"])
    with pytest.raises(SchemaError, match="It has 3 rows, an implicate 80 rows"):
        fusionpy.split_implicates(FUSED, static=STATIC.head(3))
    with pytest.raises(ArgumentError, match="`columns`"):
        fusionpy.split_implicates(FUSED, columns=3)


class Sequentially:
    """What statsmodels' MI takes for an imputer: one implicate after the other."""

    def __init__(self):
        self.frames = fusionpy.split_implicates(FUSED, static=STATIC)
        self.data = None

    def update(self):
        self.data = next(self.frames)


def test_as_statsmodels_combines():
    how = {"model_args_fn": lambda data: [data], "formula": "y ~ x + town", "burn": 0, "skip": 0, "nrep": M}
    theirs = MI(Sequentially(), sm.OLS, **how).fit()
    frames = fusionpy.split_implicates(FUSED, static=STATIC)
    ours = fusionpy.pool([sm.OLS.from_formula("y ~ x + town", each).fit() for each in frames])
    assert ours["est"].to_numpy() == pytest.approx(theirs.params)
    assert np.array(ours.attrs["fusionpy"]["covariance"]) == pytest.approx(theirs.cov_params())
    assert ours["se"].to_numpy() == pytest.approx(theirs.bse)


def test_as_analyze_pools():
    """HC0 times n / (n - 1) is the linearised variance; degrees of freedom from Kish's size."""
    asked = fusionpy.analyze("lm(y ~ x + town)", FUSED, static=STATIC, weight="w", quiet=True)
    found = fits(cov_type="HC0")
    n_eff = STATIC["w"].sum() ** 2 / (STATIC["w"] ** 2).sum()
    covariances = [each.cov_params() * N / (N - 1) for each in found]
    pooled = fusionpy.pool([each.params for each in found], covariances, complete_df=n_eff - 3)
    assert pooled["term"].tolist() == ["Intercept", "town[T.b]", "x"]
    rows = asked.set_index("level").loc[["(Intercept)", "townb", "x"]]
    for name in ("est", "se", "df", "moe", "lower", "upper", "fmi"):
        assert pooled[name].to_numpy() == pytest.approx(rows[name].to_numpy(), rel=1e-7)


def test_results_tell_degrees_of_freedom_and_names():
    found = fits()
    covariances = [each.cov_params() for each in found]
    explicit = fusionpy.pool([each.params for each in found], covariances, complete_df=N - 3)
    assert_frame_equal(fusionpy.pool(found), explicit)
    x = sm.add_constant(STATIC["x"].to_numpy())
    arrays = [sm.OLS(y, x).fit() for y in FUSED["y"].to_numpy().reshape(M, N)]
    assert fusionpy.pool(arrays)["term"].tolist() == ["const", "x1"]


def test_terms_in_another_order():
    a = [{"p": 1.0, "q": 5.0}, {"q": 6.0, "p": 2.0}]
    v = [pd.Series({"q": 0.5, "p": 0.1}), {"p": 0.1, "q": 0.5}]
    found = fusionpy.pool(a, v)
    assert found["term"].tolist() == ["p", "q"]
    assert found["est"].tolist() == [1.5, 5.5]
    assert found["se"].to_numpy() ** 2 == pytest.approx([0.1 + 1.5 * 0.5, 0.5 + 1.5 * 0.5])


@pytest.mark.parametrize(
    ("estimates", "variances", "how", "why"),
    [
        ([1.0], [1.0], {}, "at least two implicates"),
        ([1.0, 2.0], None, {}, "`variances` is missing"),
        ([1.0, 2.0], [1.0], {}, "for each of the 2 implicates"),
        ([[1.0, 2.0], [1.0]], [1.0, 1.0], {}, "different numbers of estimates"),
        ([{"a": 1.0}, {"b": 1.0}], [1.0, 1.0], {}, "different terms"),
        ([[1.0, 2.0]] * 2, [[1.0, 2.0, 3.0]] * 2, {}, "2 estimates need as many variances"),
        ([1.0, np.nan], [1.0, 1.0], {}, "must be finite"),
        ([1.0, 2.0], [-1.0, 1.0], {}, "must not be negative"),
        ([1.0, 2.0], [1.0, 1.0], {"level": 90}, "`level` must be"),
        ([1.0, 2.0], [1.0, 1.0], {"complete_df": -2}, "`complete_df` must be"),
    ],
)
def test_what_cannot_be_pooled(estimates, variances, how, why):
    with pytest.raises(ArgumentError, match=why):
        fusionpy.pool(estimates, variances, **how)


def test_too_few_degrees_of_freedom():
    with pytest.warns(FusionWarning, match="less than one degree"):
        found = fusionpy.pool([1.0, 9.0], [0.1, 0.1], complete_df=3)
    assert found["moe"].isna().all()
