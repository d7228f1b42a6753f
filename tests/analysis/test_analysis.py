"""analyze(): what must hold of every table of estimates."""

import re
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import reference
from hypothesis import given, settings
from hypothesis import strategies as st
from pacing import quick, slow
from pandas.testing import assert_frame_equal
from scipy.stats import t as student

import fusionpy
from fusionpy.errors import ArgumentError, FusionWarning, SchemaError
from fusionpy.formats.implicates import Implicates
from fusionpy.kernels.quantiles import density_at
from fusionpy.kernels.strata import bootstrap_counts
from fusionpy.kernels.uniforms import ANALYSIS, uniforms

N, M = 120, 4
FEW = pytest.mark.filterwarnings("ignore:Margins that would rest on less than one:fusionpy.FusionWarning")
REPLICATES = [f"r{i}" for i in range(10)]
NUMBERS = ["est", "se", "df", "moe", "lower", "upper", "fmi"]


def make_survey(seed=3, n=N, m=M):
    """Recipients and implicates: values of every kind, some missing, some of weight 0."""
    rng = np.random.default_rng(seed)
    ratio = 1 + 0.5 * rng.choice([-1, 1], (n, len(REPLICATES)))
    weight = rng.gamma(3, 1, n) * (rng.random(n) > 0.1)
    recipient = pd.DataFrame(
        {
            "weight": weight,
            "region": pd.Categorical(rng.choice(["south", "north"], n), ["south", "north", "west"]),
            "town": rng.choice(["Bath", "Ayr"], n),
            "rooms": rng.integers(1, 4, n),
            "size": pd.Categorical(rng.choice(["s", "m", "l"], n), ["s", "m", "l"], ordered=True),
            **{name: weight * ratio[:, j] for j, name in enumerate(REPLICATES)},
        }
    )
    pieces = [
        pd.DataFrame(
            {
                "M": np.full(n, implicate + 1, np.int32),
                "kwh": rng.gamma(2, 500, n).round(1),
                "people": rng.integers(1, 6, n),
                "fuel": pd.Categorical(rng.choice(["gas", "oil"], n), ["oil", "gas", "coal"]),
                "solar": rng.random(n) < 0.3,
            }
        )
        for implicate in range(m)
    ]
    return recipient, pd.concat(pieces, ignore_index=True)


RECIPIENT, IMPLICATES = make_survey()


def analyze(x, implicates=None, **how):
    how = {"static": RECIPIENT, "weight": "weight", "seed": 0, "quiet": True, **how}
    return fusionpy.analyze(x, IMPLICATES if implicates is None else implicates, **how)


def by_hand(statistic, by=None, implicates=IMPLICATES, recipient=RECIPIENT, n=None):
    """Pool a statistic of (frame, weights), its variance by differences in every weight."""
    found = []
    labels = recipient[by].astype(str) if by else pd.Series("", index=recipient.index)
    for label in sorted(set(labels)):
        inside = (labels == label).to_numpy()
        q, u = [], []
        for _, frame in implicates.groupby("M"):
            frame = pd.concat([recipient, frame.reset_index(drop=True)], axis=1)
            frame = {name: column.to_numpy() for name, column in frame.items()}  # which is quicker
            w = recipient["weight"].to_numpy()

            def value(v, frame=frame, inside=inside):
                return statistic(frame, v, inside)

            q.append(value(w))
            if n == "all":
                u.append(reference.linearised(value, w))
            else:
                inner = np.where(inside, w, 0)

                def within(v, value=value, inside=inside, w=w):
                    return value(np.where(inside, v, w))

                u.append(reference.linearised(within, inner))
        w = recipient.loc[inside, "weight"]
        n_eff = w.sum() ** 2 / (w**2).sum()
        pooled = reference.rubin(q, u, n_eff - 1)
        df = pooled["barnard-rubin"]
        se = pooled["total"] ** 0.5
        found.append((label, pooled["est"], se, df, student.ppf(0.95, df) * se, pooled["fmi"](df), n_eff))
    return pd.DataFrame(found, columns=["group", "est", "se", "df", "moe", "fmi", "n_eff"])


def assert_by_hand(result, hand, rel=1e-5):
    assert len(result) == len(hand)
    for name in ("est", "se", "df", "moe", "fmi", "n_eff"):
        assert result[name].to_numpy() == pytest.approx(hand[name].to_numpy(), rel=rel), name


def mean(column):
    return lambda frame, w, inside: np.average(frame[column][inside], weights=w[inside])


def total(column):
    """Of the group, the survey's sum of weights being known."""

    def statistic(frame, w, inside):
        return (w * frame[column] * inside).sum() / w.sum() * RECIPIENT["weight"].sum()

    return statistic


STATISTICS = {
    "mean(kwh)": (mean("kwh"), None),
    "sum(kwh)": (total("kwh"), "all"),
    "ratio(kwh, people)": (
        lambda f, w, g: (w * f["kwh"])[g].sum() / (w * f["people"])[g].sum(),
        None,
    ),
    "share(kwh)": (lambda f, w, g: (w * f["kwh"])[g].sum() / (w * f["kwh"]).sum(), "all"),
    "gini(kwh)": (lambda f, w, g: reference.gini(w[g], f["kwh"][g]), None),
}


@pytest.mark.parametrize(
    ("text", "by"),
    quick(
        [(text, by) for text in STATISTICS for by in (None, "town") if by or "share" not in text],
        [("mean(kwh)", None), *((text, "town") for text in STATISTICS)],
    ),
)
def test_statistics_with_pandas_and_numerical_derivatives(text, by):
    statistic, n = STATISTICS[text]
    result = analyze(text, by=by)
    assert_by_hand(result, by_hand(statistic, by, n=n))
    assert result["type"].unique().tolist() == [text.split("(")[0]]
    if by:
        assert result["town"].tolist() == ["Ayr", "Bath"]


@pytest.mark.parametrize(
    ("column", "by"), [("fuel", "town"), ("solar", None), slow(("fuel", None)), slow(("solar", "town"))]
)
def test_shares_and_counts_of_levels(column, by):
    for how, statistic, n in (("mean", mean, None), ("sum", total, "all")):
        result = analyze({how: column}, by=by)
        levels = ["oil", "gas", "coal"] if column == "fuel" else ["False", "True"]
        assert result["level"].tolist() == levels * (2 if by else 1)
        assert set(result["type"]) == {"proportion" if how == "mean" else "count"}
        for level in levels:
            mine = result[result["level"] == level]
            if level == "coal":  # nobody has it, and yet it is not certain that nobody has
                assert mine["est"].tolist() == [0.0] * len(mine)
                assert (mine["se"] > 0).all()
                continue
            marked = IMPLICATES.assign(mark=(IMPLICATES[column].astype(str) == level) + 0.0)
            assert_by_hand(mine, by_hand(statistic("mark"), by, implicates=marked, n=n))
        same = analyze({"proportion" if how == "mean" else "count": column}, by=by)
        assert_frame_equal(same, result)


def test_a_level_that_nobody_or_everybody_has_gets_the_margin_of_agresti_and_coull():
    everyone = IMPLICATES.assign(fuel=pd.Categorical(["gas"] * len(IMPLICATES), ["oil", "gas"]))
    result = analyze("mean(fuel)", everyone)
    n_eff, z2 = result["n_eff"][0], 1.6448536269514722**2
    p = (z2 / 2) / (n_eff + z2)
    assert result["se"].to_numpy() ** 2 == pytest.approx(p * (1 - p) / n_eff)
    assert result[["lower", "upper"]].to_numpy().ravel() == pytest.approx(
        [0, result["moe"][0], 1 - result["moe"][1], 1]
    )


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_quantiles(share):
    text = "median(kwh)" if share == 0.5 else f"quantile(kwh, {share})"
    result = analyze(text, by="town")
    assert set(result["type"]) == {"median" if share == 0.5 else f"p{share * 100:.0f}"}
    for label, inside in RECIPIENT.groupby("town").groups.items():
        w = RECIPIENT.loc[inside, "weight"].to_numpy()
        q = [reference.quantile(w, f["kwh"].to_numpy()[inside], share) for _, f in IMPLICATES.groupby("M")]
        row = result[result["town"] == label]
        assert row["est"].item() == pytest.approx(np.mean(q))
        assert row["se"].item() > np.std(q, ddof=1)  # there is sampling variance too
    with_p = analyze({f"p{share * 100:.0f}": "kwh"}, by="town")
    assert_frame_equal(with_p[NUMBERS], result[NUMBERS])


def test_group_sums_and_shares_add_up():
    for by in ("region", ["town", "size"], "fuel"):
        groups, whole = (
            analyze({"sum": ["kwh", "fuel"], "share": "kwh"}, by=by),
            analyze({"sum": ["kwh", "fuel"]}),
        )
        sums = groups[groups["type"] == "sum"]["est"].sum()
        assert sums == pytest.approx(whole[whole["type"] == "sum"]["est"].item())
        assert groups[groups["type"] == "share"]["est"].sum() == pytest.approx(1)
        counts = groups[groups["type"] == "count"]["est"].sum()
        assert counts == pytest.approx(RECIPIENT["weight"].sum())


@FEW
def test_mapping_and_text_say_the_same():
    mapping = {
        "mean": ["kwh", "fuel"],
        "sum": "people",
        "median": ("kwh",),
        "quantile": {"kwh": [0.1, 0.25]},
        "p99.5": "kwh",
        "ratio": [("kwh", "people"), "people/kwh"],
        "gini": "kwh",
        "share": "kwh",
        "count": "solar",
    }
    text = """mean(kwh)
        mean( fuel )
        sum(people)
        median(kwh)
        quantile(kwh, 0.1)
        quantile(kwh,.25)
        p99.5(kwh)
        ratio(kwh, people)
        ratio(people / kwh)
        gini(kwh)
        share(kwh)
        count(solar)""".splitlines()
    result = analyze(mapping, by="town")
    assert_frame_equal(analyze(text, by="town"), result)
    assert "name" not in result
    keys = result.loc[result["town"] == "Ayr", ["y", "type"]].drop_duplicates().to_numpy().tolist()
    assert keys == [
        ["fuel", "proportion"],
        ["kwh", "gini"],
        ["kwh", "mean"],
        ["kwh", "median"],
        ["kwh", "share"],
        ["kwh", "p10"],
        ["kwh", "p25"],
        ["kwh", "p99.5"],
        ["kwh/people", "ratio"],
        ["people", "sum"],
        ["people/kwh", "ratio"],
        ["solar", "count"],
    ]
    assert_frame_equal(analyze({"quantile": ("kwh", 0.9)}), analyze("p90(kwh)"))


def test_names_are_in_the_result():
    result = analyze(["use = mean(kwh)", "sum(people)", "per_head=ratio(kwh, people)"])
    assert list(result.columns[:6]) == ["n", "n_eff", "name", "y", "level", "type"]
    named = result.set_index("y")["name"]
    assert named["kwh"] == "use"
    assert named["kwh/people"] == "per_head"
    assert pd.isna(named["people"])
    plain = analyze(["mean(kwh)", "sum(people)", "ratio(kwh, people)"])
    assert_frame_equal(result.drop(columns="name"), plain)


def test_columns_counts_and_attributes():
    result = analyze("mean(kwh)")
    assert list(result.columns) == ["n", "n_eff", "y", "level", "type", *NUMBERS]
    w = RECIPIENT["weight"]
    assert result["n"].item() == (w > 0).sum()
    assert result["n_eff"].item() == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert result["upper"].item() - result["lower"].item() == pytest.approx(2 * result["moe"].item())
    assert result.attrs["fusionpy"] == {
        "M": M,
        "pooling": "barnard-rubin",
        "level": 0.9,
        "rectified": False,
    }
    wider = analyze("mean(kwh)", level=0.99)
    assert wider["se"].item() == result["se"].item()
    df = result["df"].item()
    assert wider["moe"].item() / result["moe"].item() == pytest.approx(
        student.ppf(0.995, df) / student.ppf(0.95, df)
    )


def test_missing_values_do_not_count():
    holes = IMPLICATES.copy()
    missing = np.tile(np.arange(N) % 3 == 0, M)
    holes["kwh"] = holes["kwh"].where(~missing)
    holes.loc[missing, "fuel"] = None
    rest = (np.arange(N) % 3 != 0) & (RECIPIENT["weight"] > 0)
    x = ["mean(kwh)", "median(kwh)", "gini(kwh)", "mean(fuel)", "ratio(kwh, people)", "sum(kwh)"]
    result = analyze(x, holes)
    assert set(result["n"]) == {rest.sum()}
    kept = analyze(x, IMPLICATES[~missing], static=RECIPIENT[np.arange(N) % 3 != 0])
    assert_frame_equal(result, kept)
    infinite = IMPLICATES.assign(kwh=IMPLICATES["kwh"].where(~missing, np.inf))
    number = rf"`kwh` \({missing.sum()}\)"
    with pytest.warns(FusionWarning, match=f"Infinite values are taken for missing: {number}"):
        found = analyze(x[:3], infinite)
    assert_frame_equal(found, analyze(x[:3], holes))


@FEW
def test_groups_of_static_columns_and_their_order():
    result = analyze("mean(kwh)", by=["size", "region", "town", "rooms"])
    groups = result[["size", "region", "town", "rooms"]]
    assert_frame_equal(
        pd.DataFrame(groups.sort_values(["size", "region", "town", "rooms"])), pd.DataFrame(groups)
    )
    assert result["size"].dtype == RECIPIENT["size"].dtype
    assert result["region"].dtype == RECIPIENT["region"].dtype  # "west" included, though nobody lives there
    assert result["rooms"].dtype == np.int64
    assert len(result) == len(RECIPIENT[["size", "region", "town", "rooms"]].drop_duplicates())
    assert result["n"].sum() == (RECIPIENT["weight"] > 0).sum()


@FEW
def test_groups_by_more_columns_than_64_bits_can_number():
    names = [f"g{j}" for j in range(20)]  # 16 codes each, a missing one included: 2^80 combinations
    codes = np.tile(np.arange(30) % 15, (20, 1))
    codes[1:, 15:] = 3  # groups that differ in the first column only
    static = pd.DataFrame(dict(zip(names, codes, strict=True)))
    implicates = pd.DataFrame({"M": np.repeat([1, 2], 30), "kwh": np.arange(60.0)})
    result = fusionpy.analyze("mean(kwh)", implicates, static=static, by=names, quiet=True)
    expected = static.assign(est=np.arange(30) + 15.0).groupby(names, as_index=False)["est"].mean()
    assert_frame_equal(pd.DataFrame(result[[*names, "est"]]), expected)


@FEW
def test_missing_levels_make_a_group_that_comes_last():
    holes = RECIPIENT.assign(
        town=RECIPIENT["town"].where(np.arange(N) % 5 > 0, None),
        rooms=RECIPIENT["rooms"].where(np.arange(N) % 7 > 0, np.nan),
    )
    result = analyze("mean(kwh)", static=holes, by="town")
    assert [None if pd.isna(town) else town for town in result["town"]] == ["Ayr", "Bath", None]
    alone = np.arange(N) % 5 == 0
    mine = analyze("mean(kwh)", IMPLICATES[np.tile(alone, M)], static=RECIPIENT[alone])
    assert_frame_equal(result.iloc[[2]][NUMBERS].reset_index(drop=True), mine[NUMBERS])
    both = analyze("mean(kwh)", static=holes, by=["rooms", "town"])
    assert len(both) == len(holes[["rooms", "town"]].drop_duplicates())
    assert both["rooms"].isna().sum() == holes.loc[holes["rooms"].isna(), "town"].nunique(dropna=False)
    # polars holds NaN apart from null: both are missing, and one group.
    frame = pl.from_pandas(IMPLICATES).with_columns(
        z=pl.Series(np.tile(np.where(np.arange(N) % 4 == 0, np.nan, 1.0), M), nan_to_null=False)
    )
    assert analyze("mean(kwh)", frame, by="z")["z"].to_list() == [1.0, None]


def test_groups_of_simulated_columns():
    result = analyze({"mean": "kwh", "sum": "kwh"}, by="solar")
    assert result["solar"].tolist() == [False, False, True, True]
    q, u = [], []
    w = RECIPIENT["weight"].to_numpy()
    for _, frame in IMPLICATES.groupby("M"):
        inside = frame["solar"].to_numpy()
        kwh = frame["kwh"].to_numpy()[inside]
        q.append(np.average(kwh, weights=w[inside]))
        u.append(reference.linearised(lambda v, kwh=kwh: np.average(kwh, weights=v), w[inside]))
    mine = result[result["solar"] & (result["type"] == "mean")]
    assert mine["est"].item() == pytest.approx(np.mean(q))
    assert mine["se"].item() ** 2 == pytest.approx(np.mean(u) + (1 + 1 / M) * np.var(q, ddof=1), rel=1e-6)
    # Static and simulated ones together, in the order that is asked for.
    both = analyze("mean(kwh)", by=["fuel", "town"])
    assert both[["fuel", "town"]].to_numpy().tolist() == [
        [fuel, town] for fuel in ("oil", "gas") for town in ("Ayr", "Bath")
    ]


@pytest.mark.parametrize("pooling", ["barnard-rubin", "rubin", "fusionacs"])
def test_a_group_that_some_implicates_lack(pooling):
    """Its total is 0 there, whichever implicates they are; its mean is of the others."""
    rare = IMPLICATES.copy()
    rare["kind"] = np.where((rare["M"] != 2) & (rare.index % N < 9), "rare", "common")
    x = {"sum": ["kwh", "fuel"], "mean": ["kwh", "fuel"], "share": "kwh"}
    if pooling != "barnard-rubin":
        x.pop("share")

    def run(frame):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FusionWarning)  # nobody has coal
            result = analyze(x, frame, by="kind", pooling=pooling)
        return result[result["kind"] == "rare"].reset_index(drop=True)

    result = run(rare)
    totals = [
        0 if m == 2 else (RECIPIENT["weight"][:9] * f["kwh"].to_numpy()[:9]).sum()
        for m, f in rare.groupby("M")
    ]
    assert result.loc[result["type"] == "sum", "est"].item() == pytest.approx(np.mean(totals))
    means = [t / RECIPIENT["weight"][:9].sum() for t in totals if t]
    mean_row = result[(result["type"] == "mean")]
    assert mean_row["est"].item() == pytest.approx(np.mean(means))
    assert mean_row["se"].item() > 0
    assert result["se"].notna().all()
    for first in (1, 2, 3):  # met first, or last
        turned = rare.assign(M=(rare["M"] - first) % M + 1)
        assert_frame_equal(run(turned), result, rtol=1e-9)


@pytest.mark.parametrize("kind", ["polars", "pyarrow"])
def test_frames_of_other_kinds(kind):
    """The same kind comes back, with the same content; ordered levels stay ordered."""
    convert = {
        "polars": lambda frame: pl.from_arrow(pa.Table.from_pandas(frame, preserve_index=False)),
        "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    }[kind]
    static = RECIPIENT.drop(columns="region") if kind == "polars" else RECIPIENT
    implicates = convert(IMPLICATES)
    by = ["size", "town"]
    result = analyze({"mean": ["kwh", "solar"]}, implicates, static=convert(static), by=by)
    if kind == "polars":
        size = RECIPIENT["size"].cat.categories.tolist()
        frame = convert(static).with_columns(pl.col("size").cast(pl.String).cast(pl.Enum(size)))
        result = analyze({"mean": ["kwh", "solar"]}, implicates, static=frame, by=by)
        assert isinstance(result, pl.DataFrame)
        assert result["size"].dtype == pl.Enum(["s", "m", "l"])
        result = result.with_columns(pl.col("size").cast(pl.String)).to_pandas()
    else:
        assert isinstance(result, pa.Table)
        assert result.schema.field("size").type.ordered
        result = result.to_pandas()
    expected = pd.DataFrame(analyze({"mean": ["kwh", "solar"]}, by=by))
    for name in ("size", "town"):
        assert result[name].astype(str).tolist() == expected[name].astype(str).tolist()
    assert_frame_equal(result[NUMBERS], expected[NUMBERS])
    assert result["level"].fillna("").tolist() == expected["level"].fillna("").tolist()


def write(frame, path, row_group_size):
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path, row_group_size=row_group_size)
    return path


X = {"mean": ["kwh", "fuel", "solar"], "median": "kwh"}


@pytest.mark.parametrize("row_group_size", [50, 75, N, 2 * N, 10_000])
def test_a_file_says_the_same_as_a_frame(row_group_size, tmp_path):
    """Row groups end within implicates, and implicates within row groups."""
    path = write(IMPLICATES, tmp_path / "fused.parquet", row_group_size)
    by = ["fuel", "town"]
    expected = analyze(X, by=by)
    assert_frame_equal(analyze(X, path, by=by), expected)
    assert_frame_equal(analyze(X, str(path), by=by), expected)
    table = analyze(X, path, static=pa.Table.from_pandas(RECIPIENT), by=by)
    assert isinstance(table, pa.Table)
    assert isinstance(fusionpy.analyze("mean(kwh)", path, quiet=True), pd.DataFrame)


def test_rows_of_a_frame_may_be_in_any_order_of_implicates(tmp_path):
    mixed = IMPLICATES.assign(row=np.tile(np.arange(N), M)).sort_values(["row", "M"]).drop(columns="row")
    assert_frame_equal(analyze(X, mixed), analyze(X))
    labels = IMPLICATES.assign(M=IMPLICATES["M"] * 10.0)
    assert_frame_equal(analyze(X, labels), analyze(X))
    path = write(mixed, tmp_path / "mixed.parquet", 100)
    with pytest.raises(SchemaError, match="not sorted by M"):
        analyze(X, path)


def test_only_what_is_needed_is_read(tmp_path, monkeypatch):
    path = write(IMPLICATES, tmp_path / "fused.parquet", 50)
    reads = []
    read = Implicates.read

    def spy(self, number, names):
        reads.append((number, tuple(names)))
        return read(self, number, names)

    monkeypatch.setattr(Implicates, "read", spy)
    analyze({"mean": "kwh", "ratio": ("people", "kwh")}, path, by=["town", "solar"])
    assert reads == [(m, ("kwh", "people", "solar")) for m in range(M)]
    reads.clear()
    analyze({"custom": lambda frame, w: w.sum()}, path, by="town", static=RECIPIENT)
    assert reads == [(m, ("kwh", "people", "fuel", "solar")) for m in range(M)]


def test_r_implicates_in_an_fsd_file(shared):
    """Written by R: fusionModel::fuse(fsd = ...); the CSV beside it holds the same."""
    folder = shared / "reference/models"
    plain = pd.read_csv(folder / "readme_recipient_M3.csv.gz")
    x = {"mean": ["electricity", "insulation"], "median": "square_feet"}
    how = {"static": None, "weight": None}
    result = analyze(x, folder / "readme_recipient_M3.fsd", **how)
    expected = analyze(x, plain, **how)
    keys = ["y", "level", "type"]
    both = result.merge(expected, on=keys, suffixes=("", "_csv"))
    assert len(both) == len(result) == len(expected)
    for name in NUMBERS:
        assert both[name].to_numpy() == pytest.approx(both[f"{name}_csv"].to_numpy(), rel=1e-9)


def test_weights_may_be_among_the_implicates():
    carried = IMPLICATES.assign(weight=np.tile(RECIPIENT["weight"], M), town=np.tile(RECIPIENT["town"], M))
    result = fusionpy.analyze("mean(kwh)", carried, weight="weight", by="town", quiet=True)
    assert_frame_equal(result, analyze("mean(kwh)", by="town"))


def with_own_weights(kind="pandas", folder=None):
    """Implicates that have weights of their own, all but the first with other ones."""
    rng = np.random.default_rng(8)
    names = ["weight", *REPLICATES]
    factor = np.concatenate([np.ones(N), rng.gamma(2, 0.5, N * (M - 1)).round(2)])
    own = pd.concat([RECIPIENT[names]] * M, ignore_index=True).mul(factor, axis=0)
    fused = pd.concat([IMPLICATES.assign(fuel=IMPLICATES["fuel"].astype(str)), own], axis=1)
    if kind == "polars":
        return pl.from_pandas(fused)
    if kind == "pandas":
        return fused
    pq.write_table(pa.Table.from_pandas(fused), folder / "fused.parquet", row_group_size=50)
    return folder / "fused.parquet"


EVERY = {
    "mean": ["kwh", "fuel"],
    "sum": ["kwh", "solar"],
    "median": "kwh",
    "p90": "people",
    "ratio": ("kwh", "people"),
    "share": "kwh",
    "gini": "kwh",
    "custom": {"own": lambda frame, w: float((frame["kwh"].to_numpy() * w).sum() / w.sum())},
}


@FEW
@pytest.mark.filterwarnings("ignore:.* 0. nothing varies:fusionpy.FusionWarning")
@pytest.mark.parametrize(
    ("kind", "by", "rep_weights"),
    [
        slow(("pandas", None, REPLICATES)),
        ("polars", "region", REPLICATES),
        ("file", "region", None),
        ("pandas", "people", REPLICATES),
    ],
)
def test_each_implicate_has_its_own_weights(kind, by, rep_weights, tmp_path):
    fused = with_own_weights(kind, tmp_path)
    static = RECIPIENT[["region"]]
    how = {"static": static, "weight": "weight", "by": by, "rep_weights": rep_weights, "quiet": True}
    found = fusionpy.analyze(EVERY, fused, **how)
    found = found.to_pandas() if isinstance(found, pl.DataFrame) else found
    alone = []
    for _, frame in with_own_weights().groupby("M"):
        twice = pd.concat([frame.assign(M=1), frame.assign(M=2)], ignore_index=True)
        alone.append(fusionpy.analyze(EVERY, twice, **how)[["est", "se"]].to_numpy())
    est, se = np.moveaxis(np.stack(alone), 2, 0)
    assert found["est"].to_numpy() == pytest.approx(est.mean(axis=0), rel=1e-12)
    if rep_weights:  # nothing is drawn
        total = (se**2).mean(axis=0) + (1 + 1 / M) * est.var(axis=0, ddof=1)
        assert found["se"].to_numpy() == pytest.approx(np.sqrt(total), rel=1e-9)


def test_bad_weights_of_a_later_implicate_are_refused():
    fused = with_own_weights()
    fused.loc[2 * N + 5, "weight"] = np.nan
    with pytest.raises(SchemaError, match="missing or infinite"):
        fusionpy.analyze("mean(kwh)", fused, weight="weight", quiet=True)


def test_weights_that_static_and_implicates_both_have_must_be_the_same():
    carried = IMPLICATES.assign(weight=np.tile(RECIPIENT["weight"], M))
    assert_frame_equal(analyze("mean(kwh)", carried), analyze("mean(kwh)"))
    with pytest.raises(SchemaError, match="other values in `implicates` than in `static`"):
        analyze("mean(kwh)", with_own_weights())


def test_without_weights_every_record_counts_one():
    result = analyze("mean(kwh)", weight=None)
    assert result["n"].item() == result["n_eff"].item() == N
    assert result["est"].item() == pytest.approx(IMPLICATES["kwh"].mean())
    ones = analyze("mean(kwh)", static=RECIPIENT.assign(weight=7.0))
    assert_frame_equal(ones, result)


SCALES = {
    "sdr": 4,
    "brr": 1,
    "fay": 4,
    ("fay", 0.3): 1 / 0.7**2,
    "jk1": len(REPLICATES) - 1,
    "bootstrap": len(REPLICATES) / (len(REPLICATES) - 1),
    2.5: 2.5,
    np.int64(3): 3,
    "SDR": 4,
}


@pytest.mark.parametrize("var_scale", SCALES, ids=str)
def test_replicate_variance_by_hand(var_scale):
    result = analyze("mean(kwh)", rep_weights=REPLICATES, var_scale=var_scale)
    q, u = [], []
    for _, frame in IMPLICATES.groupby("M"):
        kwh = frame["kwh"].to_numpy()
        q.append(np.average(kwh, weights=RECIPIENT["weight"]))
        differences = [np.average(kwh, weights=RECIPIENT[name]) - q[-1] for name in REPLICATES]
        u.append(SCALES[var_scale] * np.mean(np.square(differences)))
    pooled = reference.rubin(q, u, len(REPLICATES) - 1)
    assert result["se"].item() ** 2 == pytest.approx(pooled["total"])
    assert result["df"].item() == pytest.approx(pooled["barnard-rubin"])


# Among the American Community Survey's replicate weights are negative ones.
NEGATIVE = {name: RECIPIENT[name].where(RECIPIENT.index % 7 != i, -0.3) for i, name in enumerate(REPLICATES)}


@pytest.mark.filterwarnings("ignore:1 margin of 3 is 0")  # nobody has the third level
@pytest.mark.parametrize("x", ["mean(kwh)", "sum(kwh)", "mean(fuel)", "count(fuel)", "ratio(kwh, rooms)"])
def test_negative_replicate_weights_by_hand(x):
    """As they are in what is made of sums."""
    result = analyze(x, static=RECIPIENT.assign(**NEGATIVE), rep_weights=REPLICATES, var_scale="sdr")
    level = None if x.endswith(("kwh)", "rooms)")) else result["level"].iloc[0]

    def by_hand(frame, w):
        value = frame["kwh"].to_numpy() if level is None else (frame["fuel"] == level).to_numpy()
        below = RECIPIENT["rooms"].to_numpy() if "rooms" in x else np.ones(len(w))
        return (w @ value) / (1 if x.startswith(("sum", "count")) else w @ below)

    q, u = [], []
    for _, frame in IMPLICATES.groupby("M"):
        q.append(by_hand(frame, RECIPIENT["weight"].to_numpy()))
        u.append(4 * np.mean([(by_hand(frame, w.to_numpy()) - q[-1]) ** 2 for w in NEGATIVE.values()]))
    assert result["est"].iloc[0] == pytest.approx(np.mean(q))
    assert result["se"].iloc[0] ** 2 == pytest.approx(reference.rubin(q, u, len(REPLICATES) - 1)["total"])


@FEW
@pytest.mark.parametrize("x", ["median(kwh)", "gini(kwh)"])
def test_negative_replicate_weights_count_as_nothing_in_a_distribution(x):
    asked = {"rep_weights": REPLICATES, "var_scale": "sdr"}
    none = {name: w.clip(lower=0) for name, w in NEGATIVE.items()}
    assert_frame_equal(
        analyze(x, static=RECIPIENT.assign(**NEGATIVE), **asked),
        analyze(x, static=RECIPIENT.assign(**none), **asked),
    )


@FEW
@pytest.mark.parametrize("n", [1, 2, 3, M, 7, 10])
@pytest.mark.parametrize("pooling", ["rubin", "barnard-rubin"])
def test_any_number_of_replicate_weights(n, pooling):
    """With pooling="rubin" implicate m takes number m, and the first ones again when they run out."""
    result = analyze("mean(kwh)", rep_weights=REPLICATES[:n], pooling=pooling, var_scale=4)
    if pooling == "barnard-rubin":
        assert result["se"].item() > 0
        assert np.isnan(result["moe"].item()) == (result["df"].item() < 1)
        assert result["df"].item() < n  # one replicate has no degree of freedom
        return
    q, replicate, u = [], [], []
    for m, frame in IMPLICATES.groupby("M"):
        kwh = frame["kwh"].to_numpy()
        q.append(np.average(kwh, weights=RECIPIENT["weight"]))
        replicate.append(np.average(kwh, weights=RECIPIENT[REPLICATES[(m - 1) % n]]))
        w = RECIPIENT["weight"].to_numpy()
        u.append(reference.linearised(lambda v, kwh=kwh: np.average(kwh, weights=v), w))
    b = np.var(q, ddof=1)
    b += max(0, np.var(replicate, ddof=1) - b) * 4 * (M - 1) / M
    total = np.mean(u) + (1 + 1 / M) * b
    assert result["se"].item() ** 2 == pytest.approx(total, rel=1e-6)


@FEW
def test_replicates_without_a_group():
    """A jackknife of two groups: the replicate that drops all of a group says nothing about it."""
    recipient = RECIPIENT.assign(
        a=RECIPIENT["weight"] * (RECIPIENT["town"] == "Ayr"), b=RECIPIENT["weight"] * 1.1
    )
    result = analyze(["mean(kwh)", "sum(kwh)"], static=recipient, rep_weights=["a", "b"], by="town")
    means = result[result["type"] == "mean"]
    assert means["se"].notna().all()
    assert (result[result["type"] == "sum"]["se"] > 0).all()


def weighted_mean(frame, w):
    return np.average(frame["kwh"], weights=w)


def test_custom_functions_with_replicate_weights_equal_the_built_in():
    result = analyze({"custom": weighted_mean}, rep_weights=REPLICATES, by="town")
    expected = analyze("mean(kwh)", rep_weights=REPLICATES, by="town")
    assert result["y"].tolist() == ["weighted_mean"] * 2
    assert result["type"].tolist() == ["custom"] * 2
    for name in ("n", "n_eff", *NUMBERS):
        assert result[name].to_numpy() == pytest.approx(expected[name].to_numpy())


def test_custom_functions_without_replicate_weights_are_bootstrapped():
    identical = pd.concat([IMPLICATES[IMPLICATES["M"] == 1].assign(M=m) for m in range(8)])
    result = analyze({"custom": {"use": weighted_mean}}, identical, seed=1)
    expected = analyze("mean(kwh)", identical)
    assert result["y"].item() == "use"
    # 8 implicates of 50 bootstraps: the variance has a relative error of about (2 / 400) ** 0.5 = 7 %.
    assert result["se"].item() == pytest.approx(expected["se"].item(), rel=0.12)
    assert_frame_equal(analyze({"custom": {"use": weighted_mean}}, identical, seed=1), result)
    other = analyze({"custom": {"use": weighted_mean}}, identical, seed=2)
    assert other["se"].item() != result["se"].item()
    assert other["est"].item() == result["est"].item()


def drawn_again(statistic, times, seed):
    """Variance, in each implicate, of a statistic over the resamples that analyze() takes."""
    weight = RECIPIENT["weight"].to_numpy()
    found = []
    for m, frame in IMPLICATES.groupby("M"):
        u = [uniforms(seed, ANALYSIS, N, implicate=m - 1, step=b)[0] for b in range(times)]
        found.append(np.var([statistic(frame, weight * bootstrap_counts(each)) for each in u], ddof=1))
    return found


def test_bootstrap_variances_by_hand():
    """Of as many resamples less one, in each implicate on its own."""
    weight = RECIPIENT["weight"].to_numpy()
    kwh = [frame["kwh"].to_numpy() for _, frame in IMPLICATES.groupby("M")]
    mean = reference.rubin(
        [np.average(each, weights=weight) for each in kwh], drawn_again(weighted_mean, 50, seed=3)
    )
    assert analyze({"custom": weighted_mean}, seed=3)["se"].item() ** 2 == pytest.approx(mean["total"])
    median = reference.rubin(
        [reference.quantile(weight, each, 0.5) for each in kwh],
        drawn_again(lambda frame, w: reference.quantile(w, frame["kwh"], 0.5), 200, seed=3),
    )
    result = analyze("median(kwh)", pooling="rubin", seed=3)
    assert result["se"].item() ** 2 == pytest.approx(median["total"])


def test_custom_functions_may_return_several_numbers():
    def spread(frame, w):
        low, high = (reference.quantile(w, frame["kwh"], share) for share in (0.1, 0.9))
        return {"low": low, "high": high, "people": (w * frame["people"]).sum()}

    result = analyze({"custom": {"a": spread, "b": weighted_mean}}, rep_weights=REPLICATES, by="town")
    keys = result[["y", "level"]].to_numpy().tolist()[:4]
    assert keys[:3] == [["a", "low"], ["a", "high"], ["a", "people"]]
    assert keys[3][0] == "b"
    assert pd.isna(keys[3][1])
    series = analyze(
        {"custom": {"a": lambda f, w: pd.Series(spread(f, w))}}, rep_weights=REPLICATES, by="town"
    )
    assert_frame_equal(series, result[result["y"] == "a"].reset_index(drop=True))


def test_custom_functions_get_frames_of_the_callers_kind():
    seen = []

    def remember(frame, w):
        seen.append((type(frame), sorted(frame.columns), len(frame) == len(w)))
        return 1.0

    with pytest.warns(FusionWarning, match="are 0"):
        analyze({"custom": remember}, pl.from_pandas(IMPLICATES), by="town")
    columns = sorted([*RECIPIENT.columns, *IMPLICATES.columns.drop("M")])
    assert set(map(str, seen)) == {str((pl.DataFrame, columns, True))}


def changes_values(frame):
    if isinstance(frame, pl.DataFrame):
        frame[0, "kwh"] = 1e12
        frame[3, "rooms"] = 77
        return
    frame["kwh"] *= 1e6
    frame.loc[:, "rooms"] = 9
    frame.iloc[0, 0] = frame.iloc[-1, 0]


def changes_memory(frame):
    for name in ("kwh", "people", "rooms"):
        values = frame[name].to_numpy()
        if values.flags.writeable:
            values[:] = 0


def drops_columns(frame):
    if isinstance(frame, pl.DataFrame):
        frame.drop_in_place("people")
    else:
        frame.drop(columns=["people", "fuel"], inplace=True)  # noqa: PD002
        del frame["solar"]


def changes_rows(frame):
    if isinstance(frame, pl.DataFrame):
        frame.extend(frame)
        return
    frame.sort_values("kwh", inplace=True)  # noqa: PD002
    frame.reset_index(drop=True, inplace=True)  # noqa: PD002
    frame.drop(index=frame.index[:5], inplace=True)  # noqa: PD002


def adds_columns(frame):
    if isinstance(frame, pl.DataFrame):
        frame.insert_column(0, pl.lit(1.0).alias("one"))
    else:
        frame.insert(0, "one", 1.0)
        frame.columns = [f"{name}_" for name in frame.columns]


CHANGES = [changes_values, changes_memory, drops_columns, changes_rows, adds_columns]


@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["pandas", "polars"])
@pytest.mark.parametrize("rep_weights", [pytest.param(None, marks=pytest.mark.slow), REPLICATES])
def test_custom_functions_may_change_their_frames(change, kind, rep_weights):
    """Neither later calls nor the user's own frames see anything of it."""

    def centre(frame, w):
        return float((frame["kwh"].to_numpy() * w).sum() / w.sum())

    def changing(frame, w):
        found = centre(frame, w)
        change(frame)
        w[:] = 0
        return found

    fused, static = IMPLICATES.copy(), RECIPIENT.copy()
    if kind == "polars":
        fused, static = pl.from_pandas(fused), pl.from_pandas(static)
    before = fused.clone() if kind == "polars" else fused.copy()
    how = {"static": static, "weight": "weight", "by": "town", "rep_weights": rep_weights, "quiet": True}
    found = fusionpy.analyze({"custom": {"a": changing, "b": centre}}, fused, **how)
    assert fused.equals(before)
    found = found.to_pandas() if kind == "polars" else found
    one, other = (found.loc[found["y"] == name, NUMBERS].to_numpy() for name in "ab")
    assert np.array_equal(one, other)
    assert one[:, 0] == pytest.approx(analyze("mean(kwh)", by="town")["est"].to_numpy())


@pytest.mark.filterwarnings("ignore:The inplace keyword")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_fun_may_change_its_frame(change, kind):
    def make(frame):
        new = frame["kwh"] + 0.0
        new = new.alias("new") if kind == "polars" else new.rename("new")
        made = pl.DataFrame({"new": new}) if kind == "polars" else pd.DataFrame({"new": new.copy()})
        change(frame)
        return made

    fused, static = IMPLICATES.copy(), RECIPIENT.copy()
    if kind == "polars":
        fused, static = pl.from_pandas(fused), pl.from_pandas(static)
    how = {"static": static, "weight": "weight", "by": "rooms", "quiet": True}
    found = fusionpy.analyze(["mean(new)", "mean(kwh)"], fused, fun=make, **how)
    found = found.to_pandas() if kind == "polars" else found
    one, other = (found.loc[found["y"] == name, NUMBERS].to_numpy() for name in ("new", "kwh"))
    assert np.array_equal(one, other)
    assert one == pytest.approx(analyze("mean(kwh)", by="rooms")[NUMBERS].to_numpy())
    assert fused["kwh"].to_list() == IMPLICATES["kwh"].to_list()


def test_custom_functions_that_cannot_tell():
    result = analyze(
        {"custom": lambda f, w: {"a": w.sum(), **({"b": w[0]} if f["town"].iloc[0] == "Ayr" else {})}},
        rep_weights=REPLICATES,
        by="town",
    )
    found = result.set_index(["town", "level"])["est"]
    assert np.isnan(found["Bath", "b"])
    assert found["Ayr", "b"] == RECIPIENT.loc[RECIPIENT["town"] == "Ayr", "weight"].iloc[0]
    nothing = analyze({"custom": lambda f, w: None})
    assert nothing["est"].isna().all()
    for bad in ("a", [1, 2], {"a": "b"}):
        with pytest.raises(ArgumentError, match="Return a number, or a mapping of names to numbers"):
            analyze({"custom": lambda f, w, bad=bad: bad})


def test_fun_makes_columns_of_each_implicate_and_the_static_columns():
    def derive(frame):
        return pd.DataFrame({"per_room": frame["kwh"] / frame["rooms"], "big": frame["kwh"] > 1000})

    result = analyze({"mean": ["per_room", "kwh"]}, fun=derive, by=["big", "town"])
    made = IMPLICATES.assign(
        per_room=IMPLICATES["kwh"] / np.tile(RECIPIENT["rooms"], M), big=IMPLICATES["kwh"] > 1000
    )
    assert_frame_equal(result, analyze({"mean": ["per_room", "kwh"]}, made, by=["big", "town"]))

    def polars(frame):
        return frame.select((pl.col("kwh") / pl.col("rooms")).alias("per_room"))

    mine = analyze("mean(per_room)", pl.from_pandas(IMPLICATES), fun=polars)
    assert mine["est"].item() == pytest.approx(analyze("mean(per_room)", made)["est"].item())
    with pytest.raises(SchemaError, match="Return a row per record"):
        analyze("mean(a)", fun=lambda frame: pd.DataFrame({"a": [1.0]}))
    with pytest.raises(SchemaError, match="what `fun` returned"):
        analyze("mean(a)", fun=lambda frame: 5)
    with pytest.raises(SchemaError, match="`b`: not in `implicates`, `static` or what `fun` returns"):
        analyze("mean(b)", fun=derive)


def test_one_implicate_has_estimates_and_no_margins():
    one = IMPLICATES[IMPLICATES["M"] == 1]
    with pytest.warns(FusionWarning, match="there is one implicate, and they need at least two"):
        result = analyze({"mean": ["kwh", "fuel"], "median": "kwh", "sum": "kwh"}, one, by="town")
    assert result["est"].notna().all()
    assert result[["se", "df", "moe", "lower", "upper", "fmi"]].isna().all(axis=None)
    assert "nan" not in repr(result)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_margins_on_less_than_one_degree_of_freedom_are_missing(kind):
    """Groups of three households: Student's quantiles there are as large as 10^156."""
    rng = np.random.default_rng(1)
    place, n, m = np.repeat(np.arange(40), 3), 120, 5
    static = pd.DataFrame({"place": place, "town": np.where(place < 30, "a", None)})
    noise = rng.normal(size=n * m) * 3
    fused = pd.DataFrame({"M": np.repeat(np.arange(m), n), "y": np.tile(rng.normal(size=n), m) + noise})
    if kind == "polars":
        static, fused = pl.from_pandas(static), pl.from_pandas(fused)
    with pytest.warns(FusionWarning, match="less than one degree") as caught:
        found = fusionpy.analyze(
            ["mean(y)", "sum(y)"], fused, static=static, by=["place", "town"], quiet=True
        )
    found = found.to_pandas() if kind == "polars" else found
    few = found["df"] < 1
    assert 10 < few.sum() < len(found)
    assert found.loc[few, ["moe", "lower", "upper"]].isna().all(axis=None)
    assert found.loc[few, ["est", "se", "df"]].notna().all(axis=None)
    assert found.loc[~few, "moe"].max() < 10 * found["se"].max()
    groups = found.loc[few, "place"].drop_duplicates()
    first = ", ".join(f"place={g} & town={'a' if g < 30 else 'missing'}" for g in groups[:5])
    (warning,) = caught
    assert str(warning.message).endswith(
        f"missing in {len(groups)} groups of 40: {first} and {len(groups) - 5} more."
    )


@pytest.mark.parametrize("kind", ["pandas", "polars", "file"])
def test_infinite_values_of_fun_are_told(kind, tmp_path):
    fused = {"pandas": IMPLICATES, "polars": pl.from_pandas(IMPLICATES)}.get(kind)
    fused = write(IMPLICATES, tmp_path / "fused.parquet", 50) if kind == "file" else fused

    def derive(frame):
        people = frame["people"].to_numpy()
        with np.errstate(divide="ignore"):
            made = {"z": 1.0 / (people - 1), "b": frame["solar"].to_numpy(), "i": people}
        return pl.DataFrame(made) if isinstance(frame, pl.DataFrame) else pd.DataFrame(made)

    number = int((IMPLICATES["people"] == 1).sum())
    x = ["mean(z)", "median(z)", "ratio(people, z)", "mean(b)", "mean(i)"]
    with pytest.warns(FusionWarning, match="Infinite") as caught:
        found = analyze(x, fused, fun=derive)
    assert [str(each.message) for each in caught] == [
        f"Infinite values are taken for missing: `z` ({number})."
    ]
    found = found.to_pandas() if isinstance(found, pl.DataFrame) else found
    known = IMPLICATES["people"] > 1
    w = np.tile(RECIPIENT["weight"], M)
    by_implicate = [
        np.average(1 / (part["people"] - 1), weights=w[part.index])
        for _, part in IMPLICATES[known].groupby("M")
    ]
    mean = found.loc[(found["y"] == "z") & (found["type"] == "mean"), "est"].item()
    assert mean == pytest.approx(np.mean(by_implicate))


@pytest.mark.parametrize("missing", [None, np.nan, np.inf, 1.5])
@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "parquet", "parquet of one group"])
def test_implicates_without_a_whole_number_are_refused(missing, kind, tmp_path):
    """A missing number is no third implicate, wherever it hides."""
    for numbers in ([1.0, 1.0, 2.0, 2.0, missing, missing], [1.0, 1.0, missing, missing, 2.0, 2.0]):
        frame = pl.DataFrame({"M": numbers, "kwh": np.arange(6.0)}, strict=False)
        fused = frame.to_arrow() if kind != "polars" else frame
        if kind == "pandas":
            fused = frame.to_pandas()
        elif kind.startswith("parquet"):
            pq.write_table(fused, tmp_path / "f.parquet", row_group_size=6 if "one" in kind else 3)
            fused = tmp_path / "f.parquet"
        with pytest.raises(SchemaError, match="`M` must hold whole numbers, none missing"):
            fusionpy.analyze("mean(kwh)", fused, quiet=True)


@FEW
def test_groups_of_one_record_have_no_margin():
    lonely = RECIPIENT.assign(who=np.where(np.arange(N) == 5, "one", "rest"), weight=1.0)
    x = {"mean": ["kwh", "fuel"], "median": "kwh", "gini": "kwh", "sum": "kwh", "ratio": ("kwh", "people")}
    for pooling in ("barnard-rubin", "fusionacs"):
        result = analyze(x, static=lonely, by="who", pooling=pooling)
        one = result[result["who"] == "one"]
        assert set(one["n"]) == {1}
        assert one["est"].notna().all()
        assert one[["moe", "lower", "upper"]].isna().all(axis=None)
        assert result.loc[result["who"] == "rest", "moe"].notna().all()


def test_groups_of_zero_weight():
    weightless = RECIPIENT.assign(weight=np.where(RECIPIENT["town"] == "Ayr", 0.0, RECIPIENT["weight"]))
    x = {
        "mean": ["kwh", "fuel"],
        "sum": ["kwh", "fuel"],
        "median": "kwh",
        "share": "kwh",
        "custom": weighted_mean,
    }
    with pytest.warns(FusionWarning, match="1 margin of 22 is 0"):  # of Bath's share, which is all
        result = analyze(x, static=weightless, by="town")
    empty = result[result["town"] == "Ayr"]
    assert set(empty["n"]) == {0}
    assert empty[NUMBERS].isna().all(axis=None)
    assert result.loc[result["town"] == "Bath", "est"].notna().all()


@pytest.mark.parametrize("pooling", ["barnard-rubin", "rubin", "fusionacs"])
def test_constants_have_margins_of_zero_with_a_warning(pooling):
    same = IMPLICATES.assign(kwh=5.3)
    with pytest.warns(FusionWarning, match="3 margins of 3 are 0"):
        result = analyze({"mean": "kwh", "sum": "kwh", "median": "kwh"}, same, pooling=pooling)
    assert result["moe"].tolist() == [0, 0, 0]
    assert result["est"].tolist() == pytest.approx([5.3, 5.3, 5.3 * RECIPIENT["weight"].sum()])
    assert result["fmi"].tolist() == [0, 0, 0]


def test_values_far_from_zero():
    x = {"mean": "kwh", "sum": "kwh", "median": "kwh"}
    far = analyze(x, IMPLICATES.assign(kwh=IMPLICATES["kwh"] + 1e9))
    near = analyze(x)
    assert far["se"].to_numpy() == pytest.approx(near["se"].to_numpy(), rel=1e-6)


def test_constants_differ_between_implicates():
    """A variable that is one number in every implicate has all its variance between them."""
    differ = IMPLICATES.assign(kwh=IMPLICATES["M"] * 1.0)
    result = analyze("mean(kwh)", differ, pooling="rubin")
    assert result["df"].item() == M - 1
    assert result["fmi"].item() == 1
    with pytest.warns(FusionWarning, match="less than one degree of freedom are missing"):
        adjusted = analyze("mean(kwh)", differ)
    assert adjusted["se"].item() == result["se"].item()
    assert np.isnan(adjusted["moe"].item())


@pytest.mark.parametrize(
    ("pooling", "by"),
    [("barnard-rubin", "town"), ("rubin", None), ("fusionacs", "town"), slow(("rubin", "town"))],
)
def test_same_result_on_any_cores(pooling, by, tmp_path):
    path = write(IMPLICATES, tmp_path / "fused.parquet", 50)
    x = {"mean": ["kwh", "fuel"], "median": "kwh", "ratio": ("kwh", "people")}
    if pooling == "rubin":  # its bootstraps take long, and are pooled as all others
        x["custom"] = weighted_mean
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FusionWarning)  # nobody has coal
        for replicates in (None, REPLICATES):
            how = {"by": by, "pooling": pooling, "rep_weights": replicates}
            base = analyze(x, **how)
            if by:
                assert_frame_equal(analyze(x, cores=5, **how), base)
            assert_frame_equal(analyze(x, path, cores=2, **how), base)


@given(st.integers(0, 2**32))
@settings(max_examples=15)
def test_order_of_records_does_not_matter(seed):
    order = np.random.default_rng(seed).permutation(N)
    shuffled = pd.concat([frame.iloc[order] for _, frame in IMPLICATES.groupby("M")])
    x = {"mean": ["kwh", "fuel"], "p75": "kwh", "gini": "kwh", "share": "kwh", "sum": "kwh"}
    result = analyze(x, shuffled, static=RECIPIENT.iloc[order], by=["town", "fuel"])
    expected = analyze(x, by=["town", "fuel"])
    assert_frame_equal(pd.DataFrame(result), pd.DataFrame(expected), rtol=1e-9)


def test_fusionacs_by_hand():
    result = analyze({"mean": ["kwh", "solar"], "median": "kwh"}, pooling="fusionacs")
    w = RECIPIENT["weight"].to_numpy()
    n_eff = w.sum() ** 2 / (w**2).sum()
    q, u, p, v, medians, spacing = [], [], [], [], [], []
    for _, frame in IMPLICATES.groupby("M"):
        kwh, solar = frame["kwh"].to_numpy(), frame["solar"].to_numpy()
        q.append(np.average(kwh, weights=w))
        u.append((w * (kwh - q[-1]) ** 2).sum() / (w.sum() - 1) / n_eff)
        p.append(np.average(solar, weights=w))
        adjusted = (p[-1] * n_eff + 1.645**2 / 2) / (n_eff + 1.645**2)
        v.append(adjusted * (1 - adjusted) / n_eff)
        low, middle, high = (reference.quantile(w, kwh, share) for share in (0.475, 0.5, 0.525))
        medians.append(middle)
        spacing.append((1 / (2 * (0.05 / (high - low))) / np.sqrt(n_eff)) ** 2)
    for row, estimates, variances in (
        (0, q, u),
        (1, medians, spacing),
        (3, p, v),
    ):
        mine = reference.rubin(estimates, variances)
        assert result["est"][row] == pytest.approx(mine["est"])
        assert result["se"][row] ** 2 == pytest.approx(mine["total"], rel=1e-4)
        assert result["df"][row] == pytest.approx(mine["fusionacs"], rel=1e-3)


def test_reference_medians_of_few_records_are_bootstrapped():
    """Values with their weights: fault 12 of the reference is not mirrored."""
    result = analyze("median(kwh)", pooling="rubin", seed=4)
    w = RECIPIENT["weight"].to_numpy()
    rng = np.random.default_rng(0)
    q, u = [], []
    for _, frame in IMPLICATES.groupby("M"):
        kwh = frame["kwh"].to_numpy()
        q.append(reference.quantile(w, kwh, 0.5))
        drawn = [rng.integers(0, N, N) for _ in range(1000)]
        u.append(np.var([reference.quantile(w[rows], kwh[rows], 0.5) for rows in drawn]))
    mine = reference.rubin(q, u)
    assert result["est"].item() == pytest.approx(mine["est"])
    assert result["se"].item() == pytest.approx(mine["total"] ** 0.5, rel=0.08)
    assert analyze("median(kwh)", pooling="rubin", seed=5)["se"].item() != result["se"].item()


@pytest.mark.parametrize(
    ("n", "weighing", "is_drawn"), [(1000, 1000, True), (1001, 1001, False), (1500, 1000, True)]
)
def test_reference_medians_are_bootstrapped_up_to_a_thousand_records_that_weigh(n, weighing, is_drawn):
    recipient, implicates = make_survey(n=n, m=2)
    how = {"static": recipient.assign(weight=1.0 * (np.arange(n) < weighing)), "pooling": "rubin"}
    first, second = (analyze("median(kwh)", implicates, seed=seed, **how)["se"].item() for seed in (4, 5))
    assert np.isfinite([first, second]).all()
    assert (first != second) == is_drawn  # else it is from a density


def test_reference_medians_of_many_records_are_from_the_density_there():
    recipient, implicates = make_survey(n=2002, m=2)
    town = np.where(np.arange(2002) < 1001, "Ayr", "Bath")
    static = recipient.assign(weight=1.0, town=town)
    found = analyze("median(kwh)", implicates, static=static, by="town", pooling="rubin").set_index("town")
    for name in ("Ayr", "Bath"):
        kwh = [frame["kwh"].to_numpy()[town == name] for _, frame in implicates.groupby("M")]
        q = [np.median(each) for each in kwh]
        density = [density_at(np.sort(x), np.ones(1001), mid) for x, mid in zip(kwh, q, strict=True)]
        pooled = reference.rubin(q, [0.25 / (1001 * each**2) for each in density])
        assert found.loc[name, "se"] ** 2 == pytest.approx(pooled["total"])


@pytest.mark.filterwarnings("ignore:Margins")
def test_a_seed_that_was_drawn_is_told_if_it_matters(capsys):
    drawn = analyze("median(kwh)", pooling="rubin", seed=None, quiet=False)
    told = re.search(r"analyze: seed (\d+) was drawn", capsys.readouterr().err)
    assert told is not None
    assert_frame_equal(analyze("median(kwh)", pooling="rubin", seed=int(told[1])), drawn)
    analyze("median(kwh)", pooling="rubin", seed=4, quiet=False)
    analyze("mean(kwh)", seed=None, quiet=False)
    assert "seed" not in capsys.readouterr().err


def test_printing():
    result = analyze({"mean": ["kwh", "fuel"]}, by="town")
    text = repr(result)
    assert "Ayr" in text.splitlines()[1]
    row = result.iloc[-1]
    assert f"{row['est']:,.0f}"[:2] in text.splitlines()[-1]
    # Two digits of the margin, the estimate to the same place, no index.
    frame = type(result)({"y": ["kwh", "share"], "est": [10643.0, 0.12345], "moe": [286.9, 0.00789]})
    assert repr(frame).split() == ["y", "est", "moe", "kwh", "10,640", "290", "share", "0.1235", "0.0079"]
    assert "<table" in frame._repr_html_()
    assert "290" in frame._repr_html_()


def test_a_long_table_shows_its_ends():
    kinds = [f"k{i}" for i in range(9)]
    frame = type(analyze("mean(kwh)"))({"y": kinds, "est": np.arange(9.0)})
    with pd.option_context("display.max_rows", 5):
        lines = [line.split() for line in repr(frame).splitlines()[1:]]
    assert [line[0] for line in lines] == ["k0", "k1", "…", "k7", "k8"]


def test_a_table_shows_the_names_that_a_user_gives_its_rows():
    result = analyze("mean(kwh)", by="town")
    assert "\n0 " not in repr(result)
    assert "\n0 " not in repr(result[result["n"] > 0])
    named = result.set_index("town")
    for shown in (repr(named), named._repr_html_()):
        assert all(town in shown for town in result["town"].astype(str))
    assert "Ayr" in repr(named.rename_axis(None))
    assert "Ayr" in repr(result.set_index(["town", "type"]))
    assert "street" in repr(result.rename_axis("street"))
    odd = type(result)({"y": ["a", "b", "c"], "est": [1.5, np.nan, 2.0], "moe": [np.inf, np.nan, 0.0]})
    assert repr(odd).split() == ["y", "est", "moe", "a", "1.5", "inf", "b", "c", "2", "0"]
    # A table without estimates is a table too.
    assert "Ayr" in repr(result[["town"]])
    assert isinstance(result[["town", "est"]], type(result))
    assert isinstance(pd.DataFrame(result), pd.DataFrame)


OF_RESULT = ("n", "n_eff", "y", "level", "type", "est", "se", "df", "moe", "lower", "upper", "fmi")


def called(name, kind):
    """The survey with a group of that name, among the static columns or the simulated ones."""
    static, fused = RECIPIENT.rename(columns={"town": name}), IMPLICATES.rename(columns={"fuel": name})
    if kind == "polars":
        return pl.from_pandas(static), pl.from_pandas(IMPLICATES)
    return (RECIPIENT, fused) if kind == "simulated" else (static, IMPLICATES)


@pytest.mark.parametrize("name", OF_RESULT)
@pytest.mark.parametrize("kind", ["pandas", "polars", "simulated"])
def test_groups_called_as_columns_of_the_result_are_refused(name, kind):
    static, fused = called(name, kind)
    with pytest.raises(
        ArgumentError, match=f"`by` names `{name}`, which the result has as a column of its own"
    ):
        fusionpy.analyze("mean(kwh)", fused, static=static, by=["region", name], quiet=True)


def test_every_column_of_the_result_is_refused_or_kept_as_a_group():
    """Whatever a result has, and whatever else a group may be called."""
    named = {"x": "total = sum(kwh)"}
    for name in [*analyze(named["x"]).columns, "n_donors", "M", "id", "share", "value", "name"]:
        static, fused = called(name, "pandas")
        for x in ("mean(kwh)", named["x"]):
            try:
                result = fusionpy.analyze(x, fused, static=static, by=name, quiet=True)
            except ArgumentError:
                assert name in (*OF_RESULT, "name")
                assert x == named["x"] or name != "name"
            else:
                assert result[name].to_list() == ["Ayr", "Bath"]
                assert result.columns.is_unique
    both = RECIPIENT.rename(columns={"town": "type", "region": "est"})
    with pytest.raises(ArgumentError, match="names `type`, `est`, which the result has as columns"):
        analyze("mean(kwh)", static=both, by=["type", "est"])


def test_fun_gives_a_group_another_name():
    static, _ = called("type", "pandas")
    how = {"static": static, "fun": lambda frame: pd.DataFrame({"type_group": frame["type"]})}
    assert analyze("mean(kwh)", by="type_group", **how)["type_group"].to_list() == ["Ayr", "Bath"]


BAD_ARGUMENTS = {
    "x of nothing": ({"x": {}}, "`x` asks for nothing"),
    "x of a number": ({"x": 5}, "`x` must be a mapping"),
    "a statistic that is not": (
        {"x": {"maen": "kwh"}},
        r"entry 'maen' \(is 'mean' meant\?\): known are 'mean'",
    ),
    "text that is not": ({"x": "maen(kwh)"}, r"'maen\(kwh\)' is not understood \(is 'mean' meant\?\)"),
    "text without a call": ({"x": "kwh"}, "'kwh' is not understood"),
    "text with two columns": ({"x": "mean(kwh, people)"}, "must name one column"),
    "a share too large": ({"x": "quantile(kwh, 90)"}, "needs a share between 0 and 1"),
    "no share": ({"x": {"quantile": "kwh"}}, "entry 'quantile' must be a mapping"),
    "a percentile of 100": ({"x": "p0(kwh)"}, "not understood"),
    "a ratio of one": ({"x": {"ratio": "kwh"}}, "entry 'ratio' must be pairs"),
    "columns that are no names": ({"x": {"mean": [1]}}, "entry 'mean' must be a column name"),
    "a custom that cannot be called": ({"x": {"custom": 5}}, "entry 'custom' must be a function"),
    "by": ({"by": 5}, "`by` must be a column name"),
    "rep_weights": ({"rep_weights": [1, 2]}, "`rep_weights` must be a column name"),
    "weight": ({"weight": ["weight"]}, "`weight` must be the name of a column"),
    "fun": ({"fun": "derive"}, "`fun` must be a function"),
    "pooling": (
        {"pooling": "reiter"},
        "`pooling` must be one of 'auto', 'barnard-rubin', 'records', ",
    ),
    "level": ({"level": 90}, "`level` must be a number between 0 and 1, such as 0.9"),
    "cores": ({"cores": 0}, "`cores` must be a whole number of at least 1"),
    "seed": ({"seed": -1}, "`seed` must be a whole number"),
    "var_scale": ({"var_scale": "sdrr"}, "`var_scale` must be a positive number, one of 'sdr'"),
    "var_scale of zero": ({"var_scale": 0}, "`var_scale` must be a positive number"),
    "rho": ({"var_scale": ("fay", 1)}, r"rho in \[0, 1\), not \('fay', 1\)"),
    "no such file": ({"implicates": "fused.parquet"}, "There is no such file"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_arguments_that_are_refused(case):
    changed, message = BAD_ARGUMENTS[case]
    with pytest.raises(ArgumentError, match=message):
        analyze(**{"x": "mean(kwh)", **changed})


def test_all_problems_are_told_at_once():
    with pytest.raises(ArgumentError) as error:
        analyze({"maen": "kwh"}, level=2.0, cores="all", pooling="none", weight=1)
    assert len(error.value.problems) == 5


def without(frame, row):
    return frame.drop(index=frame.index[row])


BAD_DATA = {
    "no M": ({"implicates": IMPLICATES.drop(columns="M")}, "no column `M`"),
    "a text M": ({"implicates": IMPLICATES.assign(M="a")}, "`M` must hold whole numbers"),
    "no rows": ({"implicates": IMPLICATES.head(0)}, "no rows"),
    "uneven implicates": (
        {"implicates": without(IMPLICATES, 200)},
        r"Implicates differ in rows: M = 2 has 119",
    ),
    "no frame": ({"implicates": [1, 2]}, "`implicates`"),
    "static of other rows": ({"static": RECIPIENT.head(50)}, "It has 50 rows, an implicate 120 rows"),
    "no such variable": (
        {"x": "mean(kwhh)"},
        r"variable `kwhh`: not in `implicates` or `static` \(is `kwh` meant",
    ),
    "no such by": ({"by": "tonw"}, r"by `tonw`: not in .* \(is `town` meant"),
    "no such weight": ({"weight": "weighht"}, r"weight `weighht`: neither in .* \(is `weight` meant"),
    "no such replicate": ({"rep_weights": ["r1", "r99"]}, "replicate weight `r99`"),
    "median of levels": ({"x": "median(fuel)"}, "variable `fuel`: has levels, of which there is no median"),
    "proportion of numbers": ({"x": "proportion(kwh)"}, "is numeric: ask for its 'mean'"),
    "count of numbers": ({"x": "count(kwh)"}, "is numeric: ask for its 'sum'"),
    "text weights": ({"weight": "town"}, "weight `town`: weights must be numeric"),
    "missing weights": (
        {"static": RECIPIENT.assign(weight=RECIPIENT["weight"].where(RECIPIENT.index > 2))},
        "3 missing or infinite values",
    ),
    "negative weights": ({"static": RECIPIENT.assign(weight=-1.0)}, "no weight is positive"),
    "weights of zero": ({"static": RECIPIENT.assign(weight=0.0)}, "no weight is positive"),
    "dates": (
        {"implicates": IMPLICATES.assign(kwh=pd.Timestamp("2024-01-01"))},
        "variable `kwh`: holds timestamp",
    ),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_data_that_are_refused(case):
    changed, message = BAD_DATA[case]
    with pytest.raises(SchemaError, match=message):
        analyze(**{"x": "mean(kwh)", **changed})


@pytest.mark.parametrize("kind", ["number", "text"])
def test_static_in_another_order_is_noticed(kind, tmp_path):
    name = np.arange(len(RECIPIENT)) if kind == "number" else [f"h {i}" for i in range(len(RECIPIENT))]
    static = RECIPIENT.assign(hid=name)
    fused = IMPLICATES.assign(hid=np.tile(name, M))
    same = analyze("mean(kwh)", implicates=fused, static=static)
    shuffled = static.sort_values("weight", kind="stable")
    n = int((shuffled["hid"].to_numpy() != static["hid"].to_numpy()).sum())
    fused.to_parquet(tmp_path / "fused.parquet")
    for implicates in (fused, tmp_path / "fused.parquet"):
        with pytest.raises(SchemaError, match="is in another order") as refused:
            analyze("mean(kwh)", implicates=implicates, static=shuffled)
        assert f"`hid` has the same values, but not in the same rows: {n} of {len(static)} differ." in str(
            refused.value
        )
    # A variable that is simulated in one and true in the other says nothing of the order.
    truth = static.assign(
        kwh=static["weight"] * 7, fuel=IMPLICATES["fuel"].iloc[: len(static)].to_numpy()[::-1]
    )
    assert_frame_equal(analyze("mean(kwh)", implicates=fused, static=truth), same)


def test_implicates_as_csv_are_refused_in_words(tmp_path):
    IMPLICATES.to_csv(tmp_path / "fused.csv", index=False)
    with pytest.raises(
        ArgumentError, match="It is a CSV file; implicates are read from Parquet and fst files"
    ):
        analyze("mean(kwh)", implicates=tmp_path / "fused.csv")


POOLINGS = ["barnard-rubin", "rubin", "fusionacs"]
GROUPINGS = [["town"], ["region", "town"], [], ["fuel"]]


@pytest.mark.parametrize(
    ("pooling", "rep_weights", "custom"),
    [
        *((pooling, None, False) for pooling in POOLINGS),
        *((pooling, REPLICATES, False) for pooling in POOLINGS),
        slow(("rubin", REPLICATES[:3], True)),
        slow(("rubin", None, True)),  # bootstrapped
    ],
)
@pytest.mark.filterwarnings("ignore:.* 0.* nothing varies:fusionpy.FusionWarning")
def test_several_groupings_are_each_what_a_call_of_its_own_is(pooling, rep_weights, custom):
    x = {"mean": ["kwh", "solar"], "sum": ["kwh", "size"], "median": "kwh"}
    if custom:
        x["custom"] = weighted_mean
    how = {"pooling": pooling, "rep_weights": rep_weights}
    both = analyze(x, by=GROUPINGS, **how)
    assert both.columns[:4].tolist() == ["grouping", "town", "region", "fuel"]
    assert both["grouping"].unique().tolist() == ["town", "region, town", "", "fuel"]
    for by in GROUPINGS:
        part = both[both["grouping"] == ", ".join(by)].reset_index(drop=True)
        others = [name for name in ("town", "region", "fuel") if name not in by]
        assert part[others].isna().all(axis=None)
        alone = analyze(x, by=by, **how)
        assert_frame_equal(part[alone.columns], alone, check_exact=True)


@pytest.mark.parametrize("kind", ["polars", "pyarrow"])
def test_several_groupings_of_frames_of_other_kinds(kind):
    frame = pl.from_pandas(IMPLICATES) if kind == "polars" else pa.Table.from_pandas(IMPLICATES)
    found = analyze("mean(kwh)", frame, by=["town", ("town", "rooms")])
    mine = analyze("mean(kwh)", by=["town", ["town", "rooms"]])
    assert found["est"].to_pylist() if kind == "pyarrow" else found["est"].to_list() == mine["est"].to_list()
    assert list(found.columns if kind == "polars" else found.column_names) == list(mine.columns)


def test_lists_that_are_one_grouping_or_several():
    one = analyze("mean(kwh)", by=["town", "rooms"])
    assert "grouping" not in one.columns
    assert_frame_equal(analyze("mean(kwh)", by=("town", "rooms")), one)
    for by in ([["town", "rooms"]], [["town", "rooms"], ["town", "rooms"]]):
        found = analyze("mean(kwh)", by=by)
        assert_frame_equal(found.drop(columns="grouping"), one, check_exact=True)
    over_all = analyze("mean(kwh)", by=[None])
    assert over_all["est"].item() == analyze("mean(kwh)")["est"].item()


def test_formulas_as_fusionacs_has_them():
    x = ["avg ~ mean(kwh)", "~median(kwh)", "all_of_it ~ total(kwh)", "p ~ prop(fuel)", "n ~ count(solar)"]
    found = analyze(x, by="town")
    same = analyze(["mean(kwh)", "median(kwh)", "sum(kwh)", "proportion(fuel)", "count(solar)"], by="town")
    assert_frame_equal(found.drop(columns="name"), same, check_exact=True)
    names = {"mean": "avg", "sum": "all_of_it", "proportion": "p", "count": "n"}
    assert found["name"].fillna("").tolist() == [names.get(kind, "") for kind in found["type"]]
    assert_frame_equal(analyze({"total": "kwh", "prop": "fuel"}), analyze({"sum": "kwh", "mean": "fuel"}))


def test_layout_of_fusionacs():
    """Its columns as its documentation shows them; rows in the order of the analyses, then of the groups."""
    x = ["avg ~ mean(kwh)", "~ median(kwh)", "~ mean(fuel)", "n ~ count(solar)"]
    (short,) = analyze("prop(fuel)", layout="fusionacs")["lhs"].unique()
    assert short == "prop_fuel"
    found = analyze(x, by=["rooms", ["region", "town"]], layout="fusionacs", pooling="fusionacs")
    columns = [
        "lhs",
        "rhs",
        "type",
        "rooms",
        "region",
        "town",
        "level",
        "N_eff",
        "est",
        "moe",
        "cv",
        "grouping",
    ]
    assert found.columns[: len(columns)].tolist() == columns
    asked = found[["lhs", "rhs", "type"]].drop_duplicates().to_numpy().tolist()
    assert asked == [
        ["avg", "mean(kwh)", "mean"],
        ["median_kwh", "median(kwh)", "median"],
        ["mean_fuel", "mean(fuel)", "prop"],
        ["n", "count(solar)", "count"],
    ]
    assert found["level"].dropna().unique().tolist() == ["oil", "gas", "coal", "FALSE", "TRUE"]
    ours = analyze(x, by="rooms", pooling="fusionacs")
    for kind, name in (("mean", "kwh"), ("median", "kwh"), ("proportion", "fuel"), ("count", "solar")):
        mine = ours[(ours["type"] == kind) & (ours["y"] == name)]
        theirs = found[(found["type"] == kind[: 4 if kind == "proportion" else None])]
        theirs = theirs[theirs["rooms"].notna() & theirs["rhs"].str.contains(name)]
        assert theirs["est"].tolist() == mine["est"].tolist()
        assert theirs["moe"].tolist() == mine["moe"].tolist()
        assert theirs["N_eff"].tolist() == mine["n_eff"].tolist()
        assert theirs["cv"].to_numpy() == pytest.approx((100 * mine["moe"] / 1.645 / mine["est"]).to_numpy())
    for name in columns[:3]:
        assert not found[name].isna().any()


@FEW
def test_layout_of_fusionmodel_by_hand():
    """N: the group's rows, those without weight or value too, over all implicates, cut; missing first."""
    static = RECIPIENT.assign(town=RECIPIENT["town"].where(RECIPIENT.index % 5 > 0))
    fused = IMPLICATES.assign(kwh=IMPLICATES["kwh"].where(IMPLICATES.index % 7 > 0))
    by = ["fuel", "town"]
    with pytest.warns(FusionWarning, match=r"Values are missing, .* their records: `kwh` \(69\)"):
        found = analyze(
            {"sum": "kwh", "mean": ["kwh", "solar"]}, fused, static=static, by=by, layout="fusionModel"
        )
    assert found.columns[:8].tolist() == [*by, "N", "y", "level", "type", "est", "moe"]
    keys = fused["fuel"].astype(str) + "/" + pd.concat([static["town"]] * M, ignore_index=True).fillna("")
    order = [f"{fuel}/{town}" for fuel in ("oil", "gas") for town in ("", "Ayr", "Bath")]
    mine = found["fuel"].astype(str) + "/" + found["town"].fillna("")
    assert mine.tolist() == [key for key in order for _ in range(4)]
    assert found["N"].tolist() == [int((keys == key).sum() / M) for key in mine]
    assert any((keys == key).sum() % M for key in order)  # something is cut
    assert found["y"].tolist() == ["kwh", "kwh", "solar", "solar"] * 6
    assert found["type"].tolist() == ["mean", "sum", "proportion", "proportion"] * 6
    assert found["level"].tolist()[2:4] == ["FALSE", "TRUE"]


def test_margins_are_missing_in_the_layout_of_fusionmodel_where_it_divides_zero_by_zero():
    found = analyze("mean(fuel)", pooling="rubin", layout="fusionModel")
    assert found.loc[found["level"] == "coal", ["est", "moe"]].isna().to_numpy().tolist() == [[False, True]]
    assert found["moe"].notna().sum() == 2


def test_weights_of_each_implicate_by_several_groupings():
    """Long data: a weight per row and implicate, and replicate weights that differ between implicates."""
    recipient, fused = RECIPIENT, IMPLICATES.copy()
    rng = np.random.default_rng(8)
    fused["w"] = rng.gamma(2, 1, len(fused))
    fused["town"] = np.tile(recipient["town"], M)
    found = fusionpy.analyze("avg ~ mean(kwh)", fused, weight="w", by=[["town"], []], quiet=True)
    for town in ("Ayr", "Bath", None):
        q, u, sizes = [], [], []
        for _, frame in fused.groupby("M"):
            frame = frame[frame["town"] == town] if town else frame
            q.append(np.average(frame["kwh"], weights=frame["w"]))
            v = frame["w"].to_numpy()
            u.append(reference.linearised(lambda w, k=frame["kwh"]: np.average(k, weights=w), v))
            sizes.append(v.sum() ** 2 / (v**2).sum())
        pooled = reference.rubin(q, u, np.mean(sizes) - 1)
        row = found[found["town"] == town] if town else found[found["grouping"] == ""]
        assert row["est"].item() == pytest.approx(pooled["est"])
        assert row["se"].item() ** 2 == pytest.approx(pooled["total"], rel=1e-6)
        assert row["df"].item() == pytest.approx(pooled["barnard-rubin"], rel=1e-5)
