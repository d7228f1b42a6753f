"""validate() and plot_valid()."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import t as student

from fusionpy.errors import ArgumentError, FusionError, OutputError, SchemaError
from fusionpy.evaluation.validation import Validation, plot_valid, validate
from fusionpy.evaluation.validation_figures import Figures

N, M = 300, 4
SUBSETS = ["region", "size"]
LEVELS = ["gas", "oil", "wood"]


def make_observed(n=N):
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "id": np.arange(n),
            "region": pd.Categorical(rng.choice(["north", "south", "west"], n)),
            "size": pd.Categorical(rng.choice(["s", "m", "l"], n), ["s", "m", "l"], ordered=True),
            "age": rng.integers(18, 90, n),
            "kwh": rng.gamma(2, 500, n),
            "fuel": pd.Categorical(rng.choice(LEVELS, n), LEVELS),
            "solar": rng.random(n) < 0.3,
            "w": rng.uniform(0.5, 3, n),
        }
    )


def make_fused(observed, m=M):
    rng = np.random.default_rng(6)
    names = ["kwh", "fuel", "solar"]
    parts = [observed[names].iloc[rng.permutation(len(observed))].assign(M=k + 1) for k in range(m)]
    return pd.concat(parts, ignore_index=True)[["M", *names]]


@pytest.fixture(scope="module")
def observed():
    return make_observed()


@pytest.fixture(scope="module")
def fused(observed):
    return make_fused(observed)


def run(observed, fused, subsets=SUBSETS, **options):
    return validate(observed, fused, subsets, **{"plot": False, "quiet": True, **options})


def estimate(x, w):
    """Mean and variance, term by term as in section 5 of the reference."""
    n, mean, wbar = len(x), np.sum(w * x) / np.sum(w), np.mean(w)
    if np.isin(x, (0, 1)).all():
        return mean, mean * (1 - mean) * np.sum((w / w.sum()) ** 2)
    a, b = w * x - wbar * mean, w - wbar
    terms = np.sum(a**2) - 2 * mean * np.sum(b * a) + mean**2 * np.sum(b**2)
    return mean, n / ((n - 1) * np.sum(w) ** 2) * terms


def slow_rows(observed, fused, subsets, w, min_size):
    """Every subset with a mask, every formula written out."""
    n_implicates = fused["M"].nunique()
    out = []
    used = w > 0
    for names in [*((s,) for s in subsets), *itertools.combinations(subsets, 2)]:
        for key in itertools.product(*(observed[s].cat.categories for s in names)):
            mask = used & np.logical_and.reduce([observed[s] == k for s, k in zip(names, key, strict=True)])
            if mask.sum() < min_size:
                continue
            for y in ("kwh", "fuel", "solar"):
                known = observed[y].notna().to_numpy()
                rows = mask & known
                if rows.sum() < min_size:
                    continue
                levels = {"kwh": [None], "fuel": LEVELS, "solar": [False, True]}[y]
                for level in levels:
                    as_x = lambda s, level=level: (s if level is None else s == level).to_numpy(float)  # noqa: E731
                    obs, within = estimate(as_x(observed[y][rows]), w[rows])
                    mean = estimate(as_x(observed[y][known & used]), w[known & used])[0]
                    each = [
                        estimate(as_x(part.reset_index(drop=True)[y][rows]), w[rows])
                        for _, part in fused.groupby("M")
                    ]
                    q, u = np.array(each).T
                    b = (1 + 1 / n_implicates) * q.var(ddof=1)
                    df = (n_implicates - 1) * (1 + u.mean() / b) ** 2 if b > 0 else rows.sum() - 1
                    moe_obs = np.sqrt(within) * student.ppf(0.95, rows.sum() - 1)
                    moe_sim = np.sqrt(u.mean() + b) * student.ppf(0.95, df)
                    label = " & ".join(f"{s}={k}" for s, k in zip(names, key, strict=True))
                    out.append(
                        {
                            "subset": label,
                            "y": y,
                            "level": None if level is None else str(level),
                            "share": mask.sum() / used.sum(),
                            "n": rows.sum(),
                            "est_obs": obs,
                            "moe_obs": moe_obs,
                            "est_sim": q.mean(),
                            "moe_sim": moe_sim,
                            "est_mean": mean,
                            "est": abs(q.mean() - obs) / abs(obs),
                            "vad": max(0, 1 - abs(q.mean() - obs) / abs(mean - obs)),
                            "moe": (moe_sim / abs(q.mean())) / (moe_obs / abs(obs)),
                        }
                    )
    return pd.DataFrame(out)


def assert_equal_rows(table, slow):
    assert len(table) == len(slow)
    keys = ["subset", "y", "level"]
    table, slow = (
        f.astype({"level": object}).fillna({"level": ""}).sort_values(keys, ignore_index=True)
        for f in (table, slow)
    )
    assert table[keys].astype(str).equals(slow[keys].astype(str))
    for name in slow.columns.drop(keys):
        assert table[name].to_numpy(float) == pytest.approx(slow[name].to_numpy(float), rel=1e-9), name


@pytest.mark.parametrize("weighted", [False, True])
def test_table_equals_brute_force(observed, fused, weighted):
    observed = observed.copy()
    observed.loc[::7, "kwh"] = np.nan
    observed.loc[1::9, "fuel"] = None
    observed.loc[2::11, "region"] = None
    observed.loc[3::10, "w"] = 0.0
    w = observed["w"].to_numpy() if weighted else np.ones(N)
    found = run(observed, fused, weight="w" if weighted else None, min_size=20)
    assert_equal_rows(found.table, slow_rows(observed, fused, SUBSETS, w, 20))
    assert found.sizes["records"] == (w > 0).sum()
    assert any("`kwh`: 43 records" in note for note in found.notes)


def test_subsets_numbers_follow_the_sorted_records(observed, fused):
    table = run(observed, fused, min_size=2).table
    first = observed.sort_values(SUBSETS).drop_duplicates(SUBSETS)
    pairs = [f"region={r} & size={s}" for r, s in zip(first["region"], first["size"], strict=True)]
    by_id = dict(zip(table["id"], table["subset"], strict=True))
    assert [by_id[f"3_{k + 1}"] for k in range(9)] == pairs
    assert [by_id[f"1_{k}"] for k in (1, 2, 3)] == ["region=north", "region=south", "region=west"]


def test_numeric_subset_variables_are_cut(observed, fused):
    observed = observed.assign(children=np.arange(N) % 3)
    subsets = set(run(observed, fused, ["age", "children"]).table["subset"])
    ages = sorted(s for s in subsets if s.startswith("age=") and "&" not in s)
    ranges = [tuple(map(int, s.removeprefix("age=").split(" to "))) for s in ages]
    assert len(ranges) == 5
    assert all(high < low for (_, high), (low, _) in itertools.pairwise(ranges))
    assert (ranges[0][0], ranges[-1][1]) == (observed["age"].min(), observed["age"].max())
    assert {"children=0", "children=1", "children=2"} <= subsets


@pytest.mark.parametrize("kind", ["polars", "pyarrow", "parquet", "shuffled", "cores"])
def test_same_for_every_kind_of_frame(observed, fused, kind, tmp_path):
    expected = run(observed, fused, weight="w", min_size=20)
    options = {"weight": "w", "min_size": 20}
    if kind == "polars":
        enum = pl.col("size").cast(pl.String).cast(pl.Enum(["s", "m", "l"]))
        found = run(pl.from_pandas(observed).with_columns(enum), pl.from_pandas(fused), **options)
        assert isinstance(found.table, pl.DataFrame)
        tables = [getattr(found, name).to_pandas() for name in ("table", "summary", "smooth")]
    elif kind == "pyarrow":
        as_arrow = [pa.Table.from_pandas(f, preserve_index=False) for f in (observed, fused)]
        found = run(*as_arrow, **options)
        assert isinstance(found.table, pa.Table)
        tables = [getattr(found, name).to_pandas() for name in ("table", "summary", "smooth")]
    else:
        if kind == "parquet":
            pq.write_table(pa.Table.from_pandas(fused, preserve_index=False), tmp_path / "f.parquet")
            fused = tmp_path / "f.parquet"
        elif kind == "shuffled":
            fused = pd.concat([part for _, part in fused.groupby("M")][::-1])
        else:
            options["cores"] = 3
        found = run(observed, fused, **options)
        tables = [found.table, found.summary, found.smooth]
    for mine, other in zip(tables, (expected.table, expected.summary, expected.smooth), strict=True):
        for name in other.columns:
            if name not in ("id", "subset", "y", "level", "metric"):
                assert mine[name].to_numpy(float) == pytest.approx(other[name].to_numpy(float), nan_ok=True)
            else:
                assert mine[name].fillna("").tolist() == other[name].fillna("").tolist()


def test_perfect_and_useless_implicates(observed):
    names = ["kwh", "fuel", "solar"]
    same = pd.concat([observed[names].assign(M=k) for k in (1, 2)], ignore_index=True)
    found = run(observed, same, y=names, min_size=20)
    assert found.table["est"].dropna().max() < 1e-12
    assert found.table["vad"].dropna().min() == 1
    assert found.table["moe"].dropna().to_numpy() == pytest.approx(1.0)
    assert found.summary["vad"].tolist() == pytest.approx([1, 1, 1])
    with pytest.raises(SchemaError, match="none was simulated"):
        run(observed, same)
    flat = same.assign(kwh=observed["kwh"].mean())
    found = run(observed, flat, y="kwh", min_size=20).table
    assert found["est_sim"].to_numpy() == pytest.approx(observed["kwh"].mean())
    assert found["vad"].max() < 1e-9


def test_what_the_observed_say_is_never_divided_by_nothing(observed, fused):
    observed = observed.assign(kwh=np.where(observed["region"] == "north", 0.0, observed["kwh"]))
    found = run(observed, fused, min_size=20).table
    none = found[(found["y"] == "kwh") & (found["subset"] == "region=north")]
    assert none["est"].isna().all()
    assert none["moe"].isna().all()
    assert np.isfinite(found[["est", "vad", "moe"]].to_numpy(float)).mean() > 0.9


def test_summary_is_the_mean_of_the_curves(observed, fused):
    found = run(observed, fused, ["region", "size", "age"], min_size=10)
    means = found.smooth.pivot_table(index="y", columns="metric", values="value", aggfunc="mean")
    for metric in ("est", "vad", "moe"):
        mine = found.summary.set_index("y")[metric]
        assert mine.to_numpy() == pytest.approx(means.loc[mine.index, metric].to_numpy())
    shares = found.table["share"]
    assert (found.smooth["share"].min(), found.smooth["share"].max()) == (shares.min(), shares.max())
    assert len(found.smooth) == 3 * 3 * 200


def test_one_subset_is_enough(observed, fused):
    found = run(observed.assign(all="x"), fused, "all")
    assert found.sizes["subsets"] == 1
    assert len(found.smooth) == 6  # the whole sample's mean adds nothing to itself
    assert found.summary[["est", "moe"]].notna().all(axis=None)
    assert found.summary["vad"].isna().all()
    assert "nan" in repr(found)
    assert len(found.figures) == 12


def test_variables_that_were_not_simulated_are_left_out(observed, fused):
    carried = fused.assign(id=list(observed["id"]) * M)
    found = run(observed, carried)
    assert found.summary["y"].tolist() == ["kwh", "fuel", "solar"]
    assert found.notes == ("Not simulated, so left out: `id`.",)


def test_repr_tells_the_summary(observed, fused):
    lines = repr(run(observed, fused)).splitlines()
    assert (
        lines[0] == "Validation: 300 records, M = 4, 13 subsets of at least 30 records, by `region`, `size`"
    )
    assert lines[2].split() == ["y", "error", "value", "added", "uncertainty", "ratio"]
    assert [line.split()[0] for line in lines[3:]] == ["kwh", "fuel", "solar"]


def message(*args, **options):
    with pytest.raises(FusionError) as found:
        run(*args, **options)
    return str(found.value)


def test_bad_arguments_are_told_together(observed, fused):
    text = message(observed, fused, 7, min_size=1, weight=3, cores=0, y=[])
    assert text == (
        "`validate()` cannot start.\n"
        "  x `subset_vars` must be a column name or a list of them, not 7.\n"
        "  x `y` must be a column name or a list of them, not [].\n"
        "  x `min_size` must be a whole number of at least 2, not 1.\n"
        "  x `cores` must be a whole number of at least 1, not 0.\n"
        "  x `weight` must be a column name, not 3.\n"
        "  i See `help(fusionpy.validate)` for what it takes."
    )


def test_bad_columns_are_told_together(observed, fused):
    observed = observed.assign(w=-1, when=pd.Timestamp("2020-01-01"), empty=np.nan, kwh2=1.0)
    fused = fused[fused["M"] == 1].iloc[:-1]
    fused = fused.assign(fuel="coal", solar=0.5, kwh2=np.nan)
    subsets = ["regionn", "when", "empty"]
    text = message(observed, fused, subsets, weight="w", y=["kwh", "fuel", "solar", "kwh2", "nowhere", "w"])
    lines = text.splitlines()
    assert lines[0] == "`observed` and `implicates` cannot be compared."
    assert lines[1] == "  x `observed` has 300 rows, an implicate has 299 rows."
    assert lines[2] == "  x `implicates` has one implicate: margins need at least two."
    assert "no weight is positive" in lines[3]
    assert "subset variable `regionn`: not in `observed` (is `region` meant?)." in lines[4]
    assert "subset variable `when`: dates or times" in lines[5]
    assert "subset variable `empty`: no values at all." in lines[6]
    assert "levels 'coal' of `implicates` are not among those of `observed`: 'gas', 'oil', 'wood'" in lines[7]
    with pytest.raises(SchemaError) as found:
        run(observed, fused, subsets, weight="w", y=["kwh", "fuel", "solar", "kwh2", "nowhere", "w"])
    rest = " ".join(found.value.problems)
    assert "`solar`: logical (True or False) in `observed`, numeric in `implicates`." in rest
    assert "`kwh2`: 299 missing or infinite values in `implicates`." in rest
    assert "`nowhere`: not in `observed`" in rest
    assert "`w`: named in `subset_vars` or `weight` too." in rest


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"implicates": "no M"}, "no column `M`"),
        ({"implicates": "uneven"}, "differ in rows"),
        ({"implicates": "nothing in common"}, "no variables in common"),
        ({"weight": "gone"}, "weight `gone`: not in `observed`"),
        ({"weight": "region"}, "weights must be numeric"),
        ({"min_size": 299}, "No subset has 299 records"),
        ({"min_size": 299, "weight": "w"}, "No subset has 299 records: the sample has 300 records."),
        ({"implicates": "/nowhere.parquet"}, "There is no such file"),
    ],
)
def test_other_bad_inputs(observed, fused, change, expected):
    made = {
        "no M": fused.drop(columns="M"),
        "uneven": fused.iloc[:-1],
        "nothing in common": fused[["M"]].assign(z=1.0),
    }
    change = dict(change)
    implicates = change.pop("implicates", fused)
    implicates = made.get(implicates, implicates) if isinstance(implicates, str) else implicates
    assert expected in message(observed, implicates, **change)


def test_a_thousand_levels_are_as_many_as_can_be_compared():
    observed = pd.DataFrame({"half": ["a", "b"] * 501, "y": [str(min(i, 999)) for i in range(1002)]})
    fused = pd.concat([observed[["y"]].assign(M=m) for m in (1, 2)])
    assert run(observed, fused, "half", y="y").sizes["estimates"] == 2000
    observed.loc[1001, "y"] = "more"
    assert "`y`: 1,001 different levels" in message(observed, fused, "half", y="y")


def test_missing_weights_are_refused(observed, fused):
    holes = observed.assign(w=observed["w"].where(observed["id"] > 4))
    assert "5 missing values; drop those records" in message(holes, fused, weight="w")
    assert "no weight is positive" in message(observed.assign(w=0.0), fused, weight="w")


@pytest.mark.slow
def test_plot_valid_names_and_files(observed, fused, tmp_path):
    found = run(observed, fused[["M", "kwh", "fuel", "solar"]], min_size=20)
    assert "figures" not in vars(found)  # made only when asked for
    figures = plot_valid(found)
    expected = [
        "est",
        "vad",
        "moe",
        *(f"{m}:{y}" for y in ("kwh", "fuel", "solar") for m in ("est", "vad", "moe")),
    ]
    assert list(figures) == expected
    assert plot_valid(found)["est"] is figures["est"]
    assert figures.n_shown == 3
    assert figures["est:kwh"].data["value"].tolist() == found.table.query("y == 'kwh'")["est"].tolist()
    some = plot_valid(found, "kwh")
    assert list(some) == expected[:6]
    assert set(some["est"].data["y"]) == {"kwh"}
    paths = plot_valid(found, ["kwh"], tmp_path / "out.svg")
    assert [p.removeprefix(f"{tmp_path}/") for p in paths] == [
        "out_est.svg",
        "out_vad.svg",
        "out_moe.svg",
        "out_est_kwh.svg",
        "out_vad_kwh.svg",
        "out_moe_kwh.svg",
    ]
    assert sorted(str(p) for p in tmp_path.iterdir()) == sorted(paths)  # and nothing half-written
    before = (tmp_path / "out_est.svg").read_bytes()
    plot_valid(found, ["kwh"], tmp_path / "out.svg")
    assert (tmp_path / "out_est.svg").read_bytes() == before


def test_a_notebook_shows_the_first_figures_in_their_sizes(monkeypatch):
    asked = []
    monkeypatch.setattr("fusionpy.figures.png", lambda figure, *size: asked.append((figure, size)) or b"png")
    shown = Figures({"est": 1, "est:kwh": 2, "moe:kwh": 3}, 2)._repr_html_()
    assert asked == [(1, (7.0, 4.2)), (2, (5.4, 4.0))]
    assert shown.count("<img") == 2
    assert "Not drawn here: moe:kwh." in shown
    assert "Not drawn" not in Figures({"est": 1}, 1)._repr_html_()


def test_plot_valid_into_a_folder(observed, fused, tmp_path):
    found = run(observed, fused.rename(columns={"kwh": "k/h"}), y=None, min_size=20)
    renamed = run(observed.rename(columns={"kwh": "k/h"}), fused.rename(columns={"kwh": "k/h"}), y="k/h")
    paths = plot_valid(renamed, path=tmp_path / "new")
    assert [p.rsplit("/", 1)[1] for p in paths[3:]] == ["est_k_h.png", "vad_k_h.png", "moe_k_h.png"]
    assert all(Path(p).read_bytes()[:4] == b"\x89PNG" for p in paths)
    assert found.summary["y"].tolist() == ["fuel", "solar"]


def test_plot_valid_refuses(observed, fused, tmp_path):
    found = run(observed, fused)
    with pytest.raises(ArgumentError, match="must be what `validate\\(\\)` returned, not 'x'"):
        plot_valid("x")
    with pytest.raises(ArgumentError, match="`kw`, which was not validated \\(is `kwh` meant"):
        plot_valid(found, ["kw"])
    with pytest.raises(ArgumentError, match="`path` must be a path"):
        plot_valid(found, path=3)
    with pytest.raises(OutputError, match="folder does not exist"):
        plot_valid(found, path=tmp_path / "no" / "where")
    with pytest.raises(OutputError, match="folder does not exist"):
        plot_valid(found, path=tmp_path / "no" / "where.png")
    assert list(tmp_path.iterdir()) == []


def test_a_validation_can_be_made_with_its_figures(observed, fused):
    found = validate(observed, fused, "region", y="kwh", quiet=True)
    assert isinstance(found, Validation)
    assert "figures" in vars(found)
    assert len(found.figures) == 6
