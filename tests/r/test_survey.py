"""Agreement with R: the survey package for estimates and their variances, mitools and mice for pooling.

`pytest -m r` runs these; they need Rscript with the packages survey, mitools, mice and jsonlite.
"""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from patience import PATIENCE
from scipy.stats import norm

import fusionpy
from fusionpy import datasets
from fusionpy.kernels.rubin import combine

pytestmark = pytest.mark.r
HERE = Path(__file__).parent
VARIABLES = ["electricity", "gas_bill", "heating_fuel", "solar"]
DESIGNS = {
    "brr": "brr",
    "fay": "fay",
    "fay 0.3": ("fay", 0.3),
    "jk1": "jk1",
    "sdr": "sdr",
    "bootstrap": "bootstrap",
}
SHARES = [0.1, 0.25, 0.5, 0.9]


def run_r(script, given, folder):
    """Let R read one file and write another."""
    if shutil.which("Rscript") is None:
        pytest.skip("Rscript is not installed")
    target = folder / "numbers.json"
    command = ["Rscript", "--vanilla", str(HERE / script), str(given), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode and "there is no package called" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[0])
    assert done.returncode == 0, done.stderr
    return json.loads(target.read_text())


@pytest.fixture(scope="module")
def donor():
    return datasets.load_donor()


@pytest.fixture(scope="module")
def theirs(donor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    donor.to_csv(folder / "donor.csv", index=False)
    found = pd.DataFrame(run_r("survey.R", folder / "donor.csv", folder))
    return found.set_index(["design", "statistic", "group", "level"]).sort_index()


def ours(donor, x, by="region", **how):
    """Estimate the donor survey, as two implicates that agree: the standard error is that of each."""
    twice = pd.concat([donor[VARIABLES].assign(M=m) for m in (1, 2)], ignore_index=True)
    static = donor.drop(columns=VARIABLES)
    return fusionpy.analyze(x, twice, static=static, weight="weight", by=by, quiet=True, **how)


X = {
    "mean": VARIABLES,
    "sum": VARIABLES,
    "ratio": ("electricity", "rooms"),
}
NAMES = {"mean": "mean", "proportion": "mean", "sum": "total", "count": "total", "ratio": "ratio"}


def compared(table, theirs, design):
    """Ours beside theirs, row by row."""
    keys = [
        (design, f"{NAMES[row.type]} {row.y}", row.region, row.level if isinstance(row.level, str) else "")
        for row in table.itertuples()
    ]
    found = theirs.loc[keys]
    assert len(found) == len(table) == (2 * (1 + 1 + 5 + 2) + 1) * 5
    return table.reset_index(drop=True).assign(
        their_est=found["est"].to_numpy(), their_se=found["se"].to_numpy(), n_all=found["n"].to_numpy()
    )


@pytest.mark.parametrize("design", DESIGNS)
def test_replicate_variances(donor, theirs, design):
    table = ours(donor, X, rep_weights=datasets.REPLICATE_WEIGHTS, var_scale=DESIGNS[design])
    both = compared(table, theirs, design)
    assert both["est"].to_numpy() == pytest.approx(both["their_est"].to_numpy(), rel=1e-9)
    assert both["se"].to_numpy() == pytest.approx(both["their_se"].to_numpy(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("design", DESIGNS)
def test_replicate_variances_of_quantiles(donor, theirs, design):
    x = {"quantile": {"electricity": SHARES}}
    table = ours(donor, x, by=None, rep_weights=datasets.REPLICATE_WEIGHTS, var_scale=DESIGNS[design])
    for share, row in zip(SHARES, table.itertuples(), strict=True):
        found = theirs.loc[(design, f"quantile {share}", "", "")]
        assert row.est == pytest.approx(found["est"], rel=1e-6)
        assert row.se == pytest.approx(found["se"], rel=1e-6)


def is_known(both):
    """All but shares of levels that a region has none of, which get a margin here and none there."""
    return both["their_se"].to_numpy() > 0


def test_linearised_variances(donor, theirs):
    """Theirs count the whole survey's n / (n - 1) in every domain, ours the domain's own."""
    both = compared(ours(donor, X), theirs, "linear")
    assert both["est"].to_numpy() == pytest.approx(both["their_est"].to_numpy(), rel=1e-9)
    mean = both["type"].isin(["mean", "proportion", "ratio"]).to_numpy() & is_known(both)
    assert mean.sum() > 30
    n, n_all = both["n"].to_numpy(), both["n_all"].to_numpy()
    factor = np.sqrt(n / (n - 1) / (n_all / (n_all - 1)))
    assert both["se"][mean].to_numpy() == pytest.approx(
        (factor * both["their_se"])[mean].to_numpy(), rel=1e-6
    )


def test_linearised_variances_of_totals_whose_sum_of_weights_is_known(donor, theirs):
    both = compared(ours(donor, X), theirs, "known")
    total = both["type"].isin(["sum", "count"]).to_numpy() & is_known(both)
    assert total.sum() > 30
    assert both["se"][total].to_numpy() == pytest.approx(both["their_se"][total].to_numpy(), rel=1e-6)


def test_quantiles_and_woodruff_intervals(donor, theirs):
    """Their rule "hf5" is ours.

    Their limits depend on the order of equal values, ours do not.
    Their interval is around the share of records up to the quantile, ours around the share that is wanted.
    The former is larger where records of one value meet, as here, by the ten: the widths differ a little.
    """
    table = ours(donor, {"quantile": {"electricity": SHARES}}, by=None)
    w, x, n = donor["weight"].to_numpy(), donor["electricity"].to_numpy(), len(donor)
    order = np.argsort(x, kind="stable")
    middles = (np.cumsum(w[order]) - w[order] / 2) / w.sum()
    for share, row in zip(SHARES, table.itertuples(), strict=True):
        found = theirs.loc[("linear", f"quantile {share}", "", "")]
        assert row.est == pytest.approx(found["est"], rel=1e-9)
        below = x <= row.est
        around = np.average(below, weights=w)
        s = np.sqrt(n / (n - 1) * ((w * (below - around)) ** 2).sum()) / w.sum()
        ends = np.interp(around + norm.ppf([0.05, 0.95]) * s, middles, x[order])
        assert found["se"] == pytest.approx((ends[1] - ends[0]) / (2 * norm.ppf(0.95)), rel=1e-6)
        assert row.se == pytest.approx(found["se"], rel=0.1)


def tied(seed):
    """Records of few values and unequal weights."""
    rng = np.random.default_rng(seed)
    return {"x": rng.integers(0, 8, 40).tolist(), "w": rng.gamma(1, 3, 40).tolist(), "shares": SHARES}


@pytest.mark.filterwarnings("ignore:.* 0. nothing varies")
def test_quantiles_of_equal_values_with_unequal_weights_in_both_orders(tmp_path):
    """Theirs depend on the order of equal values, unless they share their weight; ours never do."""
    given = tmp_path / "tied.json"
    few = {"x": [1, 2, 2, 3], "w": [1, 1, 3, 1], "shares": [0.25, 0.5, 0.75]}
    every = [few, *map(tied, range(20))]
    given.write_text(json.dumps(every))
    n_apart = 0
    for case, found in zip(every, run_r("quantiles.R", given, tmp_path), strict=True):
        x, w = np.array(case["x"], dtype=float), np.array(case["w"])
        for rows in (np.lexsort([w, x]), np.lexsort([-w, x])):
            fused = pd.DataFrame({"M": np.repeat([1, 2], len(x)), "x": np.tile(x[rows], 2)})
            static = pd.DataFrame({"w": w[rows]})
            asked = {"quantile": {"x": case["shares"]}}
            table = fusionpy.analyze(asked, fused, static=static, weight="w", quiet=True)
            for theirs in found["shared"]:
                assert table["est"].to_numpy() == pytest.approx(np.array(theirs, dtype=float), rel=1e-9)
            ends = np.sort(np.array(found["apart"], dtype=float), axis=0)
            assert ((ends[0] - 1e-9 <= table["est"]) & (table["est"] <= ends[1] + 1e-9)).all()
        n_apart += (ends[1] - ends[0] > 1e-6).any()
    assert n_apart > 5


def cases():
    """Published ones, then random ones of every shape."""
    # SAS/STAT User's Guide, PROC MIANALYZE: see tests/kernels/test_rubin.py.
    oxygen = [47.0120, 47.2407, 47.4995, 47.1485, 47.0042], [0.95984, 0.93540, 1.00766, 0.95439, 0.96528]
    pulse = [171.216, 171.244, 171.909, 171.146, 172.072], [1.59910, 1.75638, 1.85795, 1.75011, 1.84807]
    found = [{"q": q, "u": [s**2 for s in se], "complete": 30} for q, se in (oxygen, pulse)]
    rng = np.random.default_rng(11)
    for m in (2, 3, 5, 20, 40):
        for ratio in (0.1, 1.0, 10.0):
            q, u = rng.normal(5, 1, m), ratio * rng.gamma(3, 1, m)
            found.append({"q": q.tolist(), "u": u.tolist(), "complete": int(rng.integers(3, 2000))})
    return found


def test_pooling(tmp_path):
    given = tmp_path / "cases.json"
    given.write_text(json.dumps(cases()))
    for case, found in zip(cases(), run_r("pooling.R", given, tmp_path), strict=True):
        q, u = (np.array(case[name])[:, None] for name in "qu")
        rubin = combine(q, u, rule="rubin")
        assert rubin.est[0] == pytest.approx(found["est"], rel=1e-8)
        assert rubin.se[0] ** 2 == pytest.approx(found["variance"], rel=1e-8)
        assert rubin.df[0] == pytest.approx(found["df"], rel=1e-8)
        assert rubin.fmi[0] == pytest.approx(found["fmi"], rel=1e-8)
        adjusted = combine(q, u, complete_df=float(case["complete"]))
        assert adjusted.est[0] == pytest.approx(found["mice_est"], rel=1e-8)
        assert adjusted.se[0] ** 2 == pytest.approx(found["mice_variance"], rel=1e-8)
        assert adjusted.between[0] == pytest.approx(found["mice_between"], rel=1e-8)
        assert adjusted.df[0] == pytest.approx(found["mice_df"], rel=1e-8)
        assert adjusted.fmi[0] == pytest.approx(found["mice_fmi"], rel=1e-8)
