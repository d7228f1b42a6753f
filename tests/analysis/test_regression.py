"""Regressions by analyze(): pooled coefficients, groups, files, layouts, what is missing, what is refused."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from typer.testing import CliRunner

import fusionpy
from fusionpy.cli.app import app
from fusionpy.errors import ArgumentError, FusionWarning, SchemaError

N, M = 150, 5


def make_survey(seed=2):
    rng = np.random.default_rng(seed)
    static = pd.DataFrame(
        {
            "weight": rng.gamma(2, 1, N) * (rng.random(N) > 0.05),
            "age": rng.integers(18, 80, N),
            "town": pd.Categorical(rng.choice(["Bath", "Ayr"], N), ["Ayr", "Bath", "Cork"]),
            **{f"r{j}": rng.gamma(2, 1, N) for j in range(12)},
        }
    )
    pieces = []
    for m in range(1, M + 1):
        kwh = rng.gamma(3, 300, N)
        income = np.exp(1 + 0.02 * static["age"] + kwh / 1000 + rng.normal(0, 0.5, N))
        pieces.append(
            pd.DataFrame(
                {
                    "M": m,
                    "kwh": kwh,
                    "income": income,
                    "solar": rng.random(N) < 0.3,
                    "fuel": rng.choice(["gas", "oil", "wood"], N),
                }
            )
        )
    return static, pd.concat(pieces, ignore_index=True)


STATIC, FUSED = make_survey()


def analyze(x, fused=FUSED, **how):
    return fusionpy.analyze(x, fused, **{"static": STATIC, "weight": "weight", "quiet": True, **how})


def by_hand(rows):
    """Pool statsmodels' coefficients and sandwich variances: HC0 with weights, by n / (n - 1)."""
    q, u, p = [], [], 4
    w = STATIC["weight"].to_numpy()[rows]
    for _, piece in FUSED.groupby("M"):
        piece = piece.reset_index(drop=True)[rows]
        static = STATIC[rows]
        x = np.column_stack([np.ones(len(w)), static["age"], piece["kwh"], static["town"] == "Bath"])
        fit = sm.WLS(np.log(piece["income"].to_numpy()), x, weights=w).fit(cov_type="HC0")
        n = (w > 0).sum()
        q.append(fit.params)
        u.append(np.diag(fit.cov_params()) * n / (n - 1))
    q, u = np.array(q), np.array(u)
    B, U = q.var(axis=0, ddof=1), u.mean(axis=0)
    T = U + (1 + 1 / M) * B
    share = (1 + 1 / M) * B / T
    complete = w.sum() ** 2 / (w**2).sum() - p
    seen = (complete + 1) / (complete + 3) * complete * (1 - share)
    return q.mean(axis=0), np.sqrt(T), 1 / (share**2 / (M - 1) + 1 / seen)


def test_coefficients_as_statsmodels_has_them_pooled_by_hand():
    found = analyze("lm(log(income) ~ age + kwh + town)")
    assert found["level"].tolist() == ["(Intercept)", "age", "kwh", "townBath"]
    assert set(found["y"]) == {"log(income)"}
    assert set(found["type"]) == {"lm"}
    for column, wanted in zip(["est", "se", "df"], by_hand(np.full(N, True)), strict=True):
        assert found[column].to_numpy() == pytest.approx(wanted, rel=1e-7)


def test_groups_are_regressions_of_their_own():
    found = analyze("lm(log(income) ~ age + kwh + town)", by="solar")
    assert len(found) == 8
    for value in (False, True):
        inside = [
            analyze(
                "lm(log(income) ~ age + kwh + town)",
                fused=FUSED.assign(income=FUSED["income"].where(FUSED["solar"] == value)),
            )
        ]
        mine = found[found["solar"] == value]
        for column in ("n", "n_eff", "est", "se", "df", "moe", "fmi"):
            assert mine[column].to_numpy() == pytest.approx(inside[0][column].to_numpy())


def test_replicate_weights_and_all_rules_of_pooling():
    x = "lm(log(income) ~ age + kwh)"
    replicates = [f"r{j}" for j in range(12)]
    plain = analyze(x)
    found = analyze(x, rep_weights=replicates)
    assert found["est"].to_numpy() == pytest.approx(plain["est"].to_numpy())
    q = []
    for _, piece in FUSED.groupby("M"):
        y = np.log(piece["income"].to_numpy())
        design = np.column_stack([np.ones(N), STATIC["age"], piece["kwh"]])
        q.append([sm.WLS(y, design, weights=STATIC[w]).fit().params for w in ("weight", *replicates)])
    q = np.array(q)
    within = 4 * ((q[:, 1:] - q[:, :1]) ** 2).mean(axis=(0, 1))
    between = (1 + 1 / M) * q[:, 0].var(axis=0, ddof=1)
    assert found["se"].to_numpy() ** 2 == pytest.approx(within + between, rel=1e-6)
    for cores in (1, 2):
        same = analyze(x, rep_weights=replicates, cores=cores)
        assert same.equals(found)
    rubin = analyze(x, pooling="rubin")
    assert rubin["se"].to_numpy() == pytest.approx(plain["se"].to_numpy())
    share = between_share(q[:, 0], plain["se"].to_numpy())
    assert rubin["df"].to_numpy() == pytest.approx((M - 1) / share**2)
    mine = q[np.arange(M), 1 + np.arange(M)].var(axis=0, ddof=1) - q[:, 0].var(axis=0, ddof=1)
    more = np.maximum(mine, 0) * 4 * (M - 1) / M
    with_replicates = analyze(x, pooling="rubin", rep_weights=replicates)
    increase = with_replicates["se"].to_numpy() ** 2 - rubin["se"].to_numpy() ** 2
    assert increase == pytest.approx((1 + 1 / M) * more, rel=1e-6)
    assert analyze(x, pooling="fusionacs")["se"].to_numpy() == pytest.approx(plain["se"].to_numpy())


def between_share(q, se):
    return (1 + 1 / M) * q.var(axis=0, ddof=1) / se**2


def test_files_polars_and_other_layouts(tmp_path):
    import polars as pl

    x = ["m = lm(log(income) ~ age * fuel)", "glm(solar ~ age, family=binomial)"]
    path = tmp_path / "fused.parquet"
    FUSED.to_parquet(path, index=False)
    found = analyze(x)
    assert found["name"].fillna("").tolist() == ["m"] * 6 + [""] * 2
    pd.testing.assert_frame_equal(fusionpy.analyze(x, str(path), static=STATIC, weight="weight"), found)
    polars = fusionpy.analyze(x, pl.from_pandas(FUSED), static=pl.from_pandas(STATIC), weight="weight")
    assert polars["est"].to_list() == pytest.approx(found["est"].tolist())
    acs = analyze(x, layout="fusionacs")
    assert acs["rhs"].unique().tolist() == [
        "lm(log(income) ~ age * fuel)",
        "glm(solar ~ age, family=binomial)",
    ]
    assert acs["level"].tolist()[:3] == ["(Intercept)", "age", "fueloil"]
    original = analyze(x, layout="fusionModel")
    assert original["N"].unique().tolist() == [N]


def test_regressions_of_one_response_are_told_apart():
    found = analyze(["lm(kwh ~ age)", "lm(kwh ~ fuel)", "a = lm(kwh ~ town)", "lm(income ~ 1)"])
    assert found["y"].unique().tolist() == ["income", "kwh", "kwh ~ age", "kwh ~ fuel"]
    same = analyze({"lm": ["kwh ~ age", "kwh ~ fuel"]})
    assert same["est"].to_numpy() == pytest.approx(found[found["y"].str.contains("~")]["est"].to_numpy())


def test_records_that_lack_a_value_are_left_out():
    fused = FUSED.copy()
    fused.loc[::7, "kwh"] = np.nan
    fused.loc[3::11, "fuel"] = None
    found = analyze("lm(kwh ~ fuel)", fused=fused)
    full = fused["kwh"].notna() & fused["fuel"].notna()
    w = np.tile(STATIC["weight"], M)
    assert found["n"].unique().tolist() == [round((full & (w > 0)).sum() / M)]
    rows = fused[full].assign(w=w[full])
    means = {
        fuel: np.mean([np.average(one["kwh"], weights=one["w"]) for _, one in mine.groupby("M")])
        for fuel, mine in rows.groupby("fuel")
    }
    wanted = [means["gas"], means["oil"] - means["gas"], means["wood"] - means["gas"]]
    assert found["est"].to_numpy() == pytest.approx(wanted)
    with pytest.warns(FusionWarning, match=r"Values are missing, and left out.* `kwh` \("):
        analyze("lm(kwh ~ fuel)", fused=fused, layout="fusionModel")
    with pytest.warns(FusionWarning, match=r"Infinite values are taken for missing: `log\(age - 30\)` \("):
        analyze("lm(kwh ~ log(age - 30))")


def test_coefficients_that_follow_from_others():
    with pytest.warns(FusionWarning, match=r"missing, .*: `I\(2 \* age\)`\."):
        found = analyze("lm(kwh ~ age + I(2 * age) + fuel)")
    assert found["est"].isna().tolist() == [False, False, True, False, False]
    assert found["moe"].isna().tolist() == [False, False, True, False, False]
    rest = analyze("lm(kwh ~ age + fuel)")
    for column in ("est", "se", "df"):
        assert found[column].dropna().to_numpy() == pytest.approx(rest[column].to_numpy())
    with pytest.warns(FusionWarning, match="in some groups: `townBath`"):
        analyze("lm(kwh ~ age + town)", by="town")
    separated = FUSED.assign(solar=FUSED["solar"] & (FUSED["fuel"] != "wood"))
    with pytest.warns(FusionWarning, match="nothing bounds them: `fuelwood`"):
        found = analyze("glm(solar ~ fuel, family=binomial)", fused=separated)
    assert found["est"].isna().tolist() == [False, False, True]


def test_levels_of_some_implicates_only():
    """The reference stays the first implicate's, though another has a level that comes before."""
    fused = FUSED.copy()
    second = fused["M"] == 2
    fused.loc[second & (fused["fuel"] == "wood"), "fuel"] = "coal"
    with pytest.warns(FusionWarning, match="of some implicates only.*: `fuelwood`, `fuelcoal`"):
        found = analyze("lm(kwh ~ fuel)", fused=fused)
    assert found["level"].tolist() == ["(Intercept)", "fueloil", "fuelwood", "fuelcoal"]
    assert found["df"].isna().tolist() == [False, False, False, True]  # one implicate has no variance between
    plain = analyze("lm(kwh ~ fuel)")
    assert found["est"].to_numpy()[:2] == pytest.approx(plain["est"].to_numpy()[:2])


def test_as_many_coefficients_as_records_have_no_margins():
    static, fused = STATIC.head(4), FUSED.groupby("M").head(4)
    with pytest.warns(FusionWarning, match="less than one degree of freedom"):
        found = fusionpy.analyze("lm(kwh ~ age + I(age^2))", fused, static=static, quiet=True)
    assert found["est"].notna().all()
    assert found["moe"].isna().all()


@pytest.mark.parametrize(
    ("x", "why"),
    [
        ("lm(kwh)", "'kwh' is no formula such as 'y ~ a \\+ b'"),
        ("glm(kwh ~ age, family=cauchy)", "no family that is known"),
        ("lm(kwh ~ age, family=binomial)", "must be one formula"),
        ({"lm": ["kwh ~ age", 3]}, "must be a formula such as"),
    ],
)
def test_what_is_no_formula(x, why):
    with pytest.raises(ArgumentError, match=why):
        analyze(x)


@pytest.mark.parametrize(
    ("x", "why"),
    [
        ("lm(kwh ~ ages)", "`ages`: not in .*is `age` meant"),
        ("lm(fuel ~ age)", "`fuel` has levels"),
        ("lm(kwh ~ log(fuel))", "`fuel` has levels"),
        ("glm(kwh ~ age, family=binomial)", "`kwh` must be between 0 and 1"),
        ("glm(I(-kwh) ~ age, family=poisson)", "must be 0 or more"),
    ],
)
def test_columns_that_do_not_fit(x, why):
    with pytest.raises(SchemaError, match=why):
        analyze(x)


def test_rectify_has_none_of_it(tmp_path):
    donor = fusionpy.datasets.load_donor().head(300)
    model = fusionpy.train(donor, "electricity", ["rooms", "tenure"], refits=2, seed=1, quiet=True)
    recipient = fusionpy.datasets.load_recipient().head(50)
    fused = fusionpy.fuse(recipient, model, M=2, seed=1, quiet=True)
    with pytest.raises(ArgumentError, match="can be rectified, not 'lm'"):
        fusionpy.analyze("lm(electricity ~ rooms)", fused, static=recipient, rectify=model, quiet=True)


def test_command_line(tmp_path):
    FUSED.to_parquet(tmp_path / "fused.parquet", index=False)
    STATIC.to_parquet(tmp_path / "static.parquet", index=False)
    out = tmp_path / "found.csv"
    asked = ["analyze", str(tmp_path / "fused.parquet"), "lm(log(income) ~ age + kwh)", "--weight", "weight"]
    asked += ["--static", str(tmp_path / "static.parquet"), "--out", str(out)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    found = pd.read_csv(out)
    assert found["est"].to_numpy() == pytest.approx(analyze("lm(log(income) ~ age + kwh)")["est"].to_numpy())


@pytest.mark.slow
def test_margins_hold_the_truth():
    """Complete data: 2,500 samples, weights that differ, errors that grow."""
    rng = np.random.default_rng(7)
    times, n = 2500, 120
    x = rng.normal(0, 1, times * n)
    kind = rng.random(times * n) < 0.4
    y = 1 + 2 * x - kind + (1 + np.abs(x)) * rng.normal(0, 1, times * n)
    yes = rng.random(times * n) < 1 / (1 + np.exp(0.5 - x))
    static = pd.DataFrame(
        {"sample": np.repeat(np.arange(times), n), "x": x, "kind": kind, "w": rng.uniform(0.5, 2, times * n)}
    )
    twice = pd.concat([pd.DataFrame({"M": m, "y": y, "yes": yes}) for m in (1, 2)], ignore_index=True)
    asked = ["lm(y ~ x + kind)", "glm(yes ~ x, family=binomial)"]
    found = fusionpy.analyze(asked, twice, static=static, weight="w", by="sample", quiet=True)
    truth = {"lm": {"(Intercept)": 1, "x": 2, "kindTRUE": -1}, "glm": {"(Intercept)": -0.5, "x": 1}}
    for how, coefficients in truth.items():
        for name, value in coefficients.items():
            mine = found[(found["type"] == how) & (found["level"] == name)]
            covered = ((mine["lower"] <= value) & (value <= mine["upper"])).mean()
            assert 0.87 < covered < 0.92, (how, name, covered)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_donors", "n", "pooling", "least", "most"),
    [(100, 1000, "barnard-rubin", 0.87, 0.97), (200, 200, "records", 0.9, 0.98)],
)
def test_margins_hold_the_truth_of_fused_data(n_donors, n, pooling, least, most):
    """The model is right, and drawn anew for every implicate; 300 samples, Monte Carlo error .02."""
    rng, times, M = np.random.default_rng(1), 300, 20
    beta = np.array([1, 1, -0.5])

    def design(size):
        return np.stack(
            [np.ones((times, size)), rng.normal(size=(times, size)), rng.random((times, size)) < 0.4], axis=-1
        )

    donors, recipients = design(n_donors), design(n)
    y = donors @ beta + rng.normal(size=(times, n_donors))
    inverse = np.linalg.inv(np.swapaxes(donors, 1, 2) @ donors)
    fit = np.einsum("tpq,tnq,tn->tp", inverse, donors, y)
    rest = ((y - np.einsum("tnp,tp->tn", donors, fit)) ** 2).sum(axis=1)
    pieces = []
    for m in range(1, M + 1):
        sigma = np.sqrt(rest / rng.chisquare(n_donors - 3, times))[:, None]
        drawn = fit + sigma * np.einsum(
            "tpq,tq->tp", np.linalg.cholesky(inverse), rng.normal(size=(times, 3))
        )
        simulated = np.einsum("tnp,tp->tn", recipients, drawn) + sigma * rng.normal(size=(times, n))
        pieces.append(pd.DataFrame({"M": m, "y": simulated.ravel()}))
    static = pd.DataFrame(recipients.reshape(-1, 3)[:, 1:], columns=["x", "z"])
    static["sample"] = np.repeat(np.arange(times), n)
    fused = pd.concat(pieces, ignore_index=True)
    how = {"static": static, "by": "sample", "pooling": pooling, "quiet": True}
    found = fusionpy.analyze("lm(y ~ x + z)", fused, **how)
    for name, truth in zip(["x", "z"], beta[1:], strict=True):
        mine = found[found["level"] == name]
        covered = ((mine["lower"] <= truth) & (truth <= mine["upper"])).mean()
        assert least < covered < most, (name, covered)
