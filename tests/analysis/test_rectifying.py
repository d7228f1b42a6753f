"""analyze(rectify=): estimates mended by what the donors show the model to have wrong."""

from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest
import reference
from pacing import slow
from pandas.testing import assert_frame_equal
from scipy.stats import t as student

import fusionpy
from fusionpy import datasets
from fusionpy.drawing.steps import simulate
from fusionpy.drawing.urns import NEVER
from fusionpy.errors import ArgumentError, FusionWarning
from fusionpy.training.out_of_fold import expected_by_others

X = ["region", "urban", "tenure", "rooms", "age"]
Y = ["heating_fuel", "electricity", ["food_share", "housing_share", "other_share"], "gas_bill", "solar"]
TINY = {
    "refits": 3,
    "seed": 5,
    "quiet": True,
    "hyper": {"num_iterations": 8},
    "nclusters": 40,
    "krange": (5, 30),
}
M = 6


@pytest.fixture(scope="module")
def donor():
    frame = datasets.load_donor().head(500).copy()
    frame.loc[frame.index[:20], "weight"] = 0.0
    return frame


@pytest.fixture(scope="module")
def recipient():
    return datasets.load_recipient().head(400)


@pytest.fixture(scope="module")
def model(donor):
    return fusionpy.train(donor, Y, X, weight="weight", **TINY)


@pytest.fixture(scope="module")
def fused(model, recipient):
    return fusionpy.fuse(recipient, model, M=M, seed=1, quiet=True)


def analyze(x, fused, recipient, **how):
    return fusionpy.analyze(x, fused, **{"static": recipient, "weight": "weight", "quiet": True, **how})


def known_donors(model, donor):
    """Donors of positive weight, beside what the model keeps of them."""
    frame = donor[donor["weight"] > 0].reset_index(drop=True)
    assert len(frame) == len(model.known.x)
    return frame


def first_column(model, name):
    """Of a variable's expectations."""
    names = [v.name for v in model.schema.y]
    return sum(max(v.n_classes, 1) for v in model.schema.y[: names.index(name)])


def by_hand(model, donor, recipient, fused, values, residual, inside_donor, inside, how="mean"):
    """Estimate, variance and degrees of freedom of one group."""
    w = recipient["weight"].to_numpy()
    mean_value = values.reshape(M, -1).mean(axis=0)
    wr = np.where(inside, w, 0)
    seen = inside_donor & ~np.isnan(residual)
    wd, e = model.weight[seen], residual[seen]
    total = wr.sum()
    pooled = (wr * mean_value).sum() / total
    if how == "sum":
        recipients = (
            reference.linearised(lambda v: (v * inside * mean_value).sum() / v.sum(), w) * w.sum() ** 2
        )
    else:
        recipients = reference.linearised(lambda v: (v * mean_value).sum() / v.sum(), wr)
    donors = reference.linearised(lambda v: (v * e).sum() / v.sum(), wd)
    factor = total if how == "sum" else 1.0
    estimate = factor * (pooled + (wd * e).sum() / wd.sum())
    donors *= factor**2
    n_r, n_d = (v.sum() ** 2 / (v**2).sum() for v in (wr, wd))
    simulation = np.var(factor * (values.reshape(M, -1) @ wr) / total, ddof=1) / M
    variance = recipients + donors + simulation
    df = variance**2 / (recipients**2 / (n_r - 1) + donors**2 / (n_d - 1))
    se = np.sqrt(variance)
    return {
        "est": estimate,
        "se": se,
        "df": df,
        "moe": student.ppf(0.95, df) * se,
        "fmi": 1 - recipients / variance,
        "n_donors": seen.sum(),
    }


def assert_row(row, hand):
    for name, value in hand.items():
        assert row[name] == pytest.approx(value, rel=1e-5), name


@pytest.mark.parametrize("how", ["mean", "sum"])
@pytest.mark.parametrize("name", ["electricity", "food_share", "gas_bill"])
def test_means_and_sums_by_hand(how, name, model, donor, recipient, fused):
    donors = known_donors(model, donor)
    result = analyze({how: name}, fused, recipient, by="urban", rectify=model)
    residual = donors[name].to_numpy() - model.known.expected[:, first_column(model, name)]
    for urban in (False, True):
        hand = by_hand(
            model,
            donors,
            recipient,
            fused,
            fused[name].to_numpy(),
            residual,
            (donors["urban"] == urban).to_numpy(),
            (recipient["urban"] == urban).to_numpy(),
            how,
        )
        assert_row(result[result["urban"] == urban].iloc[0], hand)


@pytest.mark.parametrize("name", ["heating_fuel", "solar"])
@pytest.mark.parametrize("how", ["proportion", "count"])
def test_shares_and_counts_by_hand(how, name, model, donor, recipient, fused):
    donors = known_donors(model, donor)
    result = analyze({how: name}, fused, recipient, by="tenure", rectify=model)
    levels = [False, True] if name == "solar" else list(donor[name].cat.categories)
    for j, level in enumerate(levels):
        expected = model.known.expected[:, first_column(model, name) + j]
        residual = (donors[name] == level).to_numpy() - expected
        for tenure in recipient["tenure"].unique():
            hand = by_hand(
                model,
                donors,
                recipient,
                fused,
                (fused[name] == level).to_numpy().astype(float),
                residual,
                (donors["tenure"] == tenure).to_numpy(),
                (recipient["tenure"] == tenure).to_numpy(),
                "mean" if how == "proportion" else "sum",
            )
            most = 1 if how == "proportion" else recipient.loc[recipient["tenure"] == tenure, "weight"].sum()
            hand["est"] = np.clip(hand["est"], 0, most)  # no share is negative, nor above one
            row = result[(result["tenure"] == tenure) & (result["level"] == str(level))]
            assert_row(row.iloc[0], hand)
    if how == "proportion":
        within = result.groupby("tenure", observed=True).filter(lambda rows: (rows["est"] > 0).all())
        assert within.groupby("tenure", observed=True)["est"].sum().to_numpy() == pytest.approx(1)
    assert result.attrs["fusionpy"]["rectified"]
    assert list(result.columns)[-1] == "n_donors"


def test_all_recipients_together_and_several_groupings(model, recipient, fused):
    whole = analyze("mean(electricity)", fused, recipient, rectify=model)
    assert whole["n_donors"].item() == (~np.isnan(model.known.expected[:, 0])).sum()
    groups = analyze("mean(electricity)", fused, recipient, by=["urban", "tenure"], rectify=model)
    both = X.index("urban"), X.index("tenure")
    counts = pd.DataFrame(model.known.x[~np.isnan(model.known.expected[:, 0])][:, both]).value_counts()
    tenures = list(recipient["tenure"].cat.categories)
    for row in groups.itertuples():
        assert row.n_donors == counts[(float(row.urban), float(tenures.index(row.tenure)))]


def test_replicate_weights_give_the_recipients_part(model, recipient, fused):
    rng = np.random.default_rng(0)
    names = [f"r{i}" for i in range(8)]
    ratio = 1 + 0.5 * rng.choice([-1, 1], (len(recipient), 8))
    frame = recipient.assign(**{n: recipient["weight"] * ratio[:, j] for j, n in enumerate(names)})
    how = {"rep_weights": names, "var_scale": "fay", "rectify": model}
    result = analyze("mean(electricity)", fused, frame, **how)
    values = fused["electricity"].to_numpy().reshape(M, -1).mean(axis=0)
    base = np.average(values, weights=frame["weight"])
    part = 4 * np.mean([(np.average(values, weights=frame[n]) - base) ** 2 for n in names])
    plain = analyze("mean(electricity)", fused, recipient, rectify=model)
    donors = plain["se"].item() ** 2 * plain["fmi"].item()
    assert result["se"].item() ** 2 == pytest.approx(part + donors)
    assert result["est"].item() == plain["est"].item()


def test_groups_that_donors_do_not_know_are_left_as_they_are(model, recipient, fused):
    """Their row says 0 donors; groups that only donors have are not in the result."""
    other = recipient.assign(rooms=np.where(np.arange(len(recipient)) % 2 == 0, 99, recipient["rooms"]))
    kept = other["rooms"] != 5
    implicates = fused[np.tile(kept, M)]
    with pytest.warns(FusionWarning, match="fewer than two donors: their estimates are not rectified"):
        result = analyze("mean(electricity)", implicates, other[kept], by="rooms", rectify=model)
    plain = analyze("mean(electricity)", implicates, other[kept], by="rooms")
    assert result["rooms"].tolist() == sorted(other.loc[kept, "rooms"].unique())
    unknown = result["n_donors"] < 2
    assert result.loc[result["rooms"] == 99, "n_donors"].item() == 0
    assert_frame_equal(
        pd.DataFrame(result.loc[unknown].drop(columns="n_donors")),
        pd.DataFrame(plain.loc[unknown.to_numpy()]),
    )
    assert (result.loc[~unknown, "est"] != plain.loc[~unknown.to_numpy(), "est"]).all()


def test_donors_that_every_refit_saw_do_not_count(model, recipient, fused):
    """Only they are in the group: it cannot be rectified."""
    seen_by_all = np.isnan(model.known.expected).any(axis=1)
    assert 0 < seen_by_all.sum() < len(seen_by_all)
    place = [v.name for v in model.schema.x].index("rooms")
    known = replace(model.known, x=model.known.x.copy())
    known.x[:, place] = np.where(seen_by_all, 77, 5)
    marked = replace(model, known=known)
    other = recipient.assign(rooms=np.where(np.arange(len(recipient)) % 2 == 0, 77, 5))
    with pytest.warns(FusionWarning, match="1 group of 2"):
        result = analyze("mean(electricity)", fused, other, by="rooms", rectify=marked)
    assert result["n_donors"].tolist() == [(~seen_by_all).sum(), 0]
    plain = analyze("mean(electricity)", fused, other, by="rooms")
    assert result["est"][1] == plain["est"][1]


def test_groups_may_be_made_of_predictors_by_fun(model, recipient, fused):
    def halves(frame):
        large = frame["rooms"] > 5
        return large.to_frame("large") if isinstance(frame, pd.DataFrame) else pl.DataFrame({"large": large})

    result = analyze("mean(electricity)", fused, recipient, by="large", fun=halves, rectify=model)
    assert result["n_donors"].sum() == (~np.isnan(model.known.expected[:, 0])).sum()
    known = pd.Series(model.known.x[:, [v.name for v in model.schema.x].index("rooms")])
    counts = (known > 5)[~np.isnan(model.known.expected[:, 0])].value_counts()
    assert dict(zip(result["large"], result["n_donors"], strict=True)) == counts.to_dict()
    same = analyze(
        "mean(electricity)",
        pl.from_pandas(fused),
        pl.from_pandas(recipient),
        by="large",
        fun=halves,
        rectify=model,
    )
    assert same["est"].to_list() == pytest.approx(result["est"].tolist())
    with pytest.raises(ArgumentError, match="in other groups in other implicates"):
        analyze(
            "mean(electricity)",
            fused,
            recipient,
            by="much",
            fun=lambda frame: pd.DataFrame({"much": frame["electricity"] > 9000}),
            rectify=model,
        )


def test_what_cannot_be_rectified(model, donor, recipient, fused):
    def refused(x, match, **how):
        with pytest.raises(ArgumentError, match=match):
            analyze(x, fused, recipient, **{"rectify": model, **how})

    refused("median(electricity)", "Only means, proportions and sums can be rectified, not 'median'")
    refused({"gini": "electricity", "p90": "gas_bill"}, "not 'gini', 'p90'")
    refused({"custom": lambda frame, w: 1.0}, "not 'custom'")
    refused("mean(rooms)", "`rooms`: not among the model's fusion variables")
    with pytest.raises(ArgumentError, match=r"`electrycity`, `rooms`: not .* \(is `electricity` meant"):
        analyze({"mean": ["electrycity", "rooms"]}, fused.assign(electrycity=1.0), recipient, rectify=model)
    refused("mean(electricity)", "`by` has `solar`, not among the model's predictors", by=["solar", "urban"])
    without = replace(model, known=None)
    refused("mean(electricity)", "no record of its donors", rectify=without)
    as_number = fused.assign(solar=fused["solar"].astype(int))
    with pytest.raises(ArgumentError, match="`solar` is logical in the model, not in `implicates`"):
        analyze("mean(solar)", as_number, recipient, rectify=model)
    renamed = fused.assign(heating_fuel=fused["heating_fuel"].astype(str) + "!")
    with pytest.raises(ArgumentError, match="`heating_fuel` has levels that the model does not know"):
        analyze("mean(heating_fuel)", renamed, recipient, rectify=model)


def test_models_without_the_record(donor):
    short = donor.head(200)
    how = {**TINY, "hyper": {"num_iterations": 2}}
    assert fusionpy.train(short, "electricity", X, keep_donors=False, **how).known is None
    assert fusionpy.train(short, "electricity", X, **{**how, "refits": 0}).known is None
    with pytest.raises(ArgumentError, match="`keep_donors` must be True or False"):
        fusionpy.train(short, "electricity", X, keep_donors=1, **how)


def test_the_record_is_in_the_archive(model, recipient, fused, tmp_path):
    path = tmp_path / "model.fsn"
    fusionpy.write_fsn(model, path)
    again = fusionpy.read_fsn(path)
    for name in ("x", "y", "expected"):
        assert np.array_equal(getattr(again.known, name), getattr(model.known, name), equal_nan=True)
    x = {"mean": ["electricity", "heating_fuel"], "sum": "solar"}
    expected = analyze(x, fused, recipient, by="urban", rectify=model)
    assert_frame_equal(analyze(x, fused, recipient, by="urban", rectify=path), expected)
    fusionpy.write_fsn(replace(model, known=None), tmp_path / "without.fsn")
    assert fusionpy.read_fsn(tmp_path / "without.fsn").known is None


def test_the_record_is_what_the_donors_said(model, donor):
    donors = known_donors(model, donor)
    for j, variable in enumerate(model.schema.y):
        values = model.known.y[:, j]
        column = donors[variable.name]
        codes = column.cat.codes if variable.levels else column
        assert values.tolist() == codes.astype(float).tolist()
    rooms = [v.name for v in model.schema.x].index("rooms")
    assert model.known.x[:, rooms].tolist() == donors["rooms"].astype(float).tolist()


def simulate_refit(model, x, implicate, refit, expected=None, certain=False):
    weight = model.weight * np.maximum(model.counts[refit], NEVER)
    how = {"seed": 9, "implicate": implicate, "first": 0, "kblock": 10, "certain": certain}
    return simulate(model, x, weight=weight, expected=expected, **how)


def indicator(model, drawn):
    """Draws in the columns of expectations."""
    columns = []
    for j, variable in enumerate(model.schema.y):
        n = variable.n_classes
        columns += [drawn[:, j] == c for c in range(n)] if n else [drawn[:, j]]
    return np.stack(columns, axis=1).astype(float)


@pytest.mark.parametrize("refit", [slow(0), 2])
def test_expectations_are_averages_of_draws(refit, model):
    """Over 400 sets of draws, for each donor and variable: steps that follow condition on the draws."""
    times, n = 250, 25
    x = model.known.x[:n]
    total, total2, expected_total, sets = 0.0, 0.0, 0.0, []
    for time in range(times):
        expected = np.full((n, model.known.expected.shape[1]), np.nan)
        drawn = indicator(model, simulate_refit(model, x, refit + 3 * time, refit, expected))
        assert not np.isnan(expected).any()
        difference = drawn - expected
        total, total2 = total + difference, total2 + difference**2
        expected_total += expected
        sets.append(drawn)
    mean = total / times
    error = np.sqrt(np.maximum(total2 / times - mean**2, 0) / times)
    varies = (np.std(sets, axis=0) > 1e-6) & (error > 1e-6 * (1 + np.abs(expected_total / times)))
    assert np.abs(mean[~varies]).max(initial=0) < 0.015  # classes so rare that none was drawn in 400
    assert varies.mean() > 0.5
    z = np.abs(mean[varies]) / error[varies]
    assert z.max() < 5
    assert np.sqrt((z**2).mean()) == pytest.approx(1, abs=0.15)
    # Shares of a categorical variable add up to one.
    fuel = first_column(model, "heating_fuel")
    levels = model.schema["heating_fuel"].n_classes
    assert expected_total[:, fuel : fuel + levels].sum(axis=1) == pytest.approx(times)


def test_draws_are_the_same_whether_their_averages_are_asked_for(model):
    x = model.known.x[:100]
    expected = np.empty((100, model.known.expected.shape[1]))
    assert np.array_equal(simulate_refit(model, x, 4, 1), simulate_refit(model, x, 4, 1, expected))


def test_expectations_come_from_the_refits_that_did_not_see_the_donor(model):
    found = expected_by_others(model, model.known.x, 5, 2).average  # effects are taken at their means
    assert np.array_equal(found, expected_by_others(model, model.known.x, 5, 1).average, equal_nan=True)
    in_all = (np.array([*model.counts]) > 0).all(axis=0)
    assert np.isnan(found).any(axis=1).tolist() == in_all.tolist()
    assert np.array_equal(found, model.known.expected, equal_nan=True)
    # Of the first step, which conditions on no draws, they are the plain average over those refits.
    fuel = slice(first_column(model, "heating_fuel"), first_column(model, "heating_fuel") + 2)
    by_refit = []
    for refit in range(3):
        expected = np.empty(found.shape)
        simulate_refit(model, model.known.x, refit, refit, expected, certain=True)
        expected[model.counts[refit] > 0] = np.nan
        by_refit.append(expected[:, fuel])
    assert np.nanmean(np.stack(by_refit)[:, ~in_all], axis=0) == pytest.approx(found[~in_all, fuel])


def test_no_donor_outside_the_resample_draws_itself(donor):
    """With a predictor that tells donors apart, each would be its own nearest donor."""
    own = donor[donor["weight"] > 0].head(300).reset_index(drop=True)
    own = own.assign(place=np.arange(300.0), mark=np.arange(300) * 1.0 + 1)
    how = {**TINY, "hyper": {"num_iterations": 40, "min_data_in_leaf": 2}, "krange": (5, 10)}
    model = fusionpy.train(own, "mark", "place", weight="weight", **how)
    out = np.asarray(model.counts[0]) == 0
    assert out.sum() > 80
    for time in range(30):
        drawn = simulate_refit(model, model.known.x, 3 * time, 0)[:, 0]
        assert not np.isin(drawn, own["mark"][out]).any()
    # Those inside do: the test would notice.
    assert (drawn == own["mark"].to_numpy())[~out].any()


def test_a_model_that_is_wrong_is_mended():
    """Its pools hold nearly all donors, whatever their group; the groups' donors say what that misses."""
    rng = np.random.default_rng(8)

    def survey(n):
        group = pd.Categorical(rng.choice(["a", "b"], n))
        x = rng.normal(size=n)
        return pd.DataFrame({"group": group, "x": x, "y": 3.0 * (group == "b") + x + rng.normal(size=n)})

    donor, recipient = survey(1500), survey(3000)
    how = {**TINY, "krange": (1100, 1300), "refits": 5}
    model = fusionpy.train(donor, "y", ["group", "x"], **how)
    fused = fusionpy.fuse(recipient[["group", "x"]], model, M=10, seed=2, quiet=True)
    truth = recipient.groupby("group", observed=True)["y"].mean().to_numpy()
    arguments = {"static": recipient[["group", "x"]], "by": "group", "quiet": True}
    plain = fusionpy.analyze("mean(y)", fused, **arguments)
    mended = fusionpy.analyze("mean(y)", fused, rectify=model, **arguments)
    wrong, left = np.abs(plain["est"] - truth), np.abs(mended["est"] - truth)
    assert (wrong > 0.7).all()
    assert (left < 0.15 * wrong).all()


def test_a_group_called_as_the_number_of_donors_is_refused(donor, recipient):
    renamed = {"tenure": "n_donors"}
    x = ["region", "n_donors"]
    model = fusionpy.train(donor.rename(columns=renamed), ["gas_bill"], x, **TINY)
    static = recipient.rename(columns=renamed)
    fused = fusionpy.fuse(static, model, M=2, seed=1, quiet=True)
    assert "n_donors" in analyze("mean(gas_bill)", fused, static, by="n_donors", pooling="rubin")
    with pytest.raises(ArgumentError, match="`by` names `n_donors`, which the result has"):
        analyze("mean(gas_bill)", fused, static, by="n_donors", rectify=model)


def test_shrunk_by_hand(model, donor, recipient, fused):
    """Residuals of groups are shrunk by what they tell together, and so is what they add to variances."""
    how = {"by": ["region"]}
    plain = analyze("mean(electricity)", fused, recipient, **how)
    full = analyze("mean(electricity)", fused, recipient, rectify=model, **how)
    found = analyze("mean(electricity)", fused, recipient, rectify=("shrunk", model), **how)
    donors = known_donors(model, donor)
    residual = donors["electricity"] - model.known.expected[:, first_column(model, "electricity")]
    seen = residual.notna()
    parts = donors.assign(e=residual, w=model.weight)[seen].groupby("region", observed=True)
    spread, total, mean, variance = 0.0, 0.0, {}, {}
    for group, part in parts:
        if len(part) > 1:
            mean[group] = np.average(part["e"], weights=part["w"])
            spread += (part["w"] * (part["e"] - mean[group]) ** 2).sum()
            total += part["w"].sum()
            variance[group] = 1 / (part["w"].sum() ** 2 / (part["w"] ** 2).sum() - 1)
    v = pd.Series(variance) * spread / total
    e = pd.Series(mean)
    grid = np.linspace(0, 4 * e.abs().max() ** 2, 400_001)
    sums = ((e.to_numpy()[:, None] ** 2) / (grid + v.to_numpy()[:, None])).sum(axis=0)
    tau2 = grid[np.argmin(np.abs(sums - len(e)))] if sums[0] > len(e) else 0.0
    share = tau2 / (tau2 + v)
    assert share.max() < 1
    keys = ["region"]
    both = pd.DataFrame(plain).merge(pd.DataFrame(full), on=keys, suffixes=("", "_full"))
    both = both.merge(pd.DataFrame(found), on=keys, suffixes=("", "_shrunk")).set_index(keys)
    told = both.index.isin(e.index)
    s = share.reindex(both.index[told])
    mine = both[told]
    wanted = mine["est"] + s * (mine["est_full"] - mine["est"])
    np.testing.assert_allclose(mine["est_shrunk"], wanted, rtol=1e-4)
    variance = (1 - s) * mine["se"] ** 2 + s * mine["se_full"] ** 2
    np.testing.assert_allclose(mine["se_shrunk"], np.sqrt(variance), rtol=1e-4)
    np.testing.assert_allclose(both["est_shrunk"][~told], both["est"][~told])


def test_shrunk_errors_are_not_larger():
    """Where models miss nothing of groups it is the implicates' own; where they miss much, the rectified."""
    rng = np.random.default_rng(4)

    def survey(n, missed):
        frame = pd.DataFrame({"a": rng.integers(0, 6, n), "b": rng.integers(0, 6, n)})
        sign = np.where((frame["a"] + frame["b"]) % 2, 1.0, -1.0)  # of the two together only
        return frame.assign(y=10 + frame["a"] + missed * sign + rng.normal(0, 2, n))

    for missed in (0.0, 2.0):
        donor, recipient = survey(1200, missed), survey(6000, missed)
        how = {**TINY, "refits": 5, "hyper": {"num_iterations": 4, "num_leaves": 4}}
        model = fusionpy.train(donor, "y", ["a", "b"], **how)
        fused = fusionpy.fuse(recipient[["a", "b"]], model, M=10, seed=2, quiet=True)
        truth = survey(400_000, missed).groupby(["a", "b"])["y"].mean()
        arguments = {"static": recipient[["a", "b"]], "by": ["a", "b"], "quiet": True}
        errors, held = {}, {}
        for name, rectify in (("plain", None), ("full", model), ("shrunk", ("shrunk", model))):
            found = fusionpy.analyze("mean(y)", fused, rectify=rectify, **arguments).set_index(["a", "b"])
            errors[name] = np.sqrt(np.mean((found["est"] - truth) ** 2))
            held[name] = np.mean((found["est"] - truth).abs() <= found["moe"])
        assert errors["shrunk"] < 1.05 * min(errors["plain"], errors["full"])
        assert held["shrunk"] > 0.8


@pytest.mark.parametrize("wrong", ["shrunk", ("shrunk",), ("full", "a.fsn"), []])
def test_what_rectify_cannot_be(wrong, fused, recipient):
    with pytest.raises(ArgumentError, match=r'must be a model, its path, or \("shrunk", model\)'):
        analyze("mean(electricity)", fused, recipient, rectify=wrong)


def test_shrunk_to_nothing_is_what_the_implicates_say(model, fused, recipient, monkeypatch):
    """All of it: estimates, margins, and how much of the uncertainty is due to fusing."""
    monkeypatch.setattr("fusionpy.analysis.rectifying.between_groups", lambda mean, variance: 0.0)
    plain = analyze("mean(electricity)", fused, recipient, by="region", pooling="barnard-rubin")
    found = analyze("mean(electricity)", fused, recipient, by="region", rectify=("shrunk", model))
    for name in ("est", "se", "df", "moe", "fmi"):
        np.testing.assert_allclose(found[name], plain[name], rtol=1e-9, err_msg=name)
