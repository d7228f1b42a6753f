"""train() and fuse() together: what must hold of every result."""

import signal
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pacing import slow
from pandas.testing import assert_frame_equal
from patience import PATIENCE, until

import fusionpy
from fusionpy import datasets

Y = ["heating_fuel", "electricity", "gas_bill", ["food_share", "housing_share", "other_share"], "solar"]
X = datasets.PREDICTORS
SHARES = ["food_share", "housing_share", "other_share"]
FAST = {"hyper": {"num_iterations": 8}, "nclusters": 80, "krange": (10, 60), "quiet": True}


@pytest.fixture(scope="module")
def donor():
    frame = datasets.load_donor().head(900).copy()
    frame.loc[frame.index[:40], "weight"] = 0.0  # never to be drawn
    return frame


@pytest.fixture(scope="module")
def recipient():
    return datasets.load_recipient().head(601)


@pytest.fixture(scope="module", params=["refits", slow("folds"), slow("final")])
def model(request, donor):
    how = {
        "refits": {"refits": 2},
        "folds": {"refits": 0, "redraw": False},
        "final": {"method": "fusionModel"},
    }[request.param]
    return fusionpy.train(donor, Y, X, weight="weight", seed=5, **FAST, **how)


def fuse(data, model, **arguments):
    return fusionpy.fuse(data, model, **{"M": 3, "seed": 11, "quiet": True, "retain": "hid", **arguments})


def test_shape_order_and_types(model, donor, recipient):
    fused = fuse(recipient, model)
    assert list(fused.columns) == ["M", "hid", "heating_fuel", "electricity", "gas_bill", *SHARES, "solar"]
    assert fused["M"].tolist() == [m for m in (1, 2, 3) for _ in range(len(recipient))]
    assert fused["hid"].tolist() == recipient["hid"].tolist() * 3
    for name in fused.columns[2:]:
        assert fused[name].dtype == donor[name].dtype
        assert not fused[name].isna().any()
    assert fused.attrs["fusionpy"]["seed"] == 11


def test_every_value_was_observed_and_blocks_come_from_one_donor(model, donor, recipient):
    used = donor[donor["weight"] > 0]
    fused = fuse(recipient, model, M=4)
    for name in ("electricity", "gas_bill", *SHARES):
        assert np.isin(fused[name], used[name]).all()
    assert set(fused["heating_fuel"]) <= set(used["heating_fuel"])
    real = set(map(tuple, used[SHARES].to_numpy()))
    assert set(map(tuple, fused[SHARES].to_numpy())) <= real
    assert fused[SHARES].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-9)
    # Implicates differ, and so do records.
    assert fused.groupby("M")["electricity"].mean().nunique() == 4


def test_zero_weight_donors_are_never_drawn(donor, recipient):
    marked = donor.assign(mark=np.where(donor["weight"] == 0, -1e6, 1.0) * np.arange(1, len(donor) + 1))
    for method in ("default", "fusionModel"):
        model = fusionpy.train(
            marked,
            ["mark"],
            X,
            weight="weight",
            method=method,
            seed=1,
            refits=2 if method == "default" else 0,
            **FAST,
        )
        assert model.n_donors == len(donor) - 40
        assert (fuse(recipient, model)["mark"] > 0).all()


def test_same_seed_same_result(model, recipient):
    base = fuse(recipient, model)
    for other in (
        {"cores": 2},
        {"chunk": 100},
        {"chunk": 1_000_000},
        {"chunk": 1, "M": 3, "data": 40},
        {"margin": -7, "cores": 2},
    ):
        part = other.pop("data", len(recipient))
        again = fuse(recipient.head(part), model, **other)
        expected = base[base["M"].notna() & (np.tile(np.arange(len(recipient)), 3) < part)].reset_index(
            drop=True
        )
        assert_frame_equal(again, expected)
    more = fuse(recipient, model, M=5)
    assert_frame_equal(more.head(len(base)), base)
    assert not fuse(recipient, model, seed=12)["electricity"].equals(base["electricity"])


def test_a_recipient_in_two_halves(model, recipient):
    whole = fuse(recipient, model, M=2)
    first, second = recipient.iloc[:500], recipient.iloc[500:]
    halves = pd.concat([fuse(first, model, M=2), fuse(second, model, M=2, offset=500)])
    halves = halves.sort_values("M", kind="stable").reset_index(drop=True)
    assert_frame_equal(halves, whole)


@pytest.mark.slow  # beside test_fitting's
def test_training_does_not_depend_on_cores(donor, recipient):
    one, two = (
        fusionpy.train(donor, Y, X, weight="weight", seed=3, refits=2, cores=cores, **FAST)
        for cores in (1, 2)
    )
    assert_frame_equal(fuse(recipient, one), fuse(recipient, two))
    other = fusionpy.train(donor, Y, X, weight="weight", seed=4, refits=2, cores=2, **FAST)
    assert not fuse(recipient, other).equals(fuse(recipient, one))


def test_without_a_seed_one_is_drawn_and_recorded(model, recipient):
    fused = fuse(recipient, model, seed=None)
    again = fuse(recipient, model, seed=fused.attrs["fusionpy"]["seed"])
    assert_frame_equal(fused, again)


def test_streamed_equals_in_memory(model, recipient, tmp_path):
    path = fuse(recipient, model, fsd=tmp_path / "fused.parquet", chunk=500, cores=2)
    assert path == str(tmp_path / "fused.parquet")
    assert_frame_equal(pd.read_parquet(path), fuse(recipient, model))
    metadata = pq.read_schema(path).metadata
    assert b'"seed": 11' in metadata[b"fusionpy"]
    assert [path.name for path in tmp_path.iterdir()] == ["fused.parquet"]


def test_the_same_kind_of_table_comes_back(model, recipient):
    base = fuse(recipient, model, retain=None)
    arrow = fuse(pa.Table.from_pandas(recipient), model, retain=None)
    assert isinstance(arrow, pa.Table)
    assert_frame_equal(arrow.to_pandas(), base)
    frame = pl.from_pandas(recipient).with_columns(
        [
            pl.col(c).cast(pl.String).cast(pl.Enum(recipient[c].cat.categories))
            for c in ("education", "year_built")
        ]
    )
    polars = fuse(frame, model, retain=None)
    assert isinstance(polars, pl.DataFrame)
    for name in base:
        assert polars[name].cast(pl.String).to_list() == pl.from_pandas(base)[name].cast(pl.String).to_list()


def test_predictor_lists_per_step(donor, recipient):
    model = fusionpy.train(
        donor,
        ["electricity", "solar"],
        [["region", "rooms"], ["electricity", "urban"]],
        weight="weight",
        seed=1,
        refits=0,
        **FAST,
    )
    assert [step.predictors for step in model.steps] == [("region", "rooms"), ("electricity", "urban")]
    assert len(fuse(recipient[["hid", "region", "rooms", "urban"]], model)) == 3 * len(recipient)


def test_earlier_variables_predict_later_ones(model):
    assert model.steps[2].predictors == ("heating_fuel", "electricity", *X)
    assert model.steps[3].variables == tuple(SHARES)
    assert not set(SHARES) & set(model.steps[3].predictors)


@pytest.mark.parametrize(
    "how",
    [
        {"nfolds": 0.8, "refits": 0},
        slow({"nfolds": 0.8, "refits": 2}),
        {"nquantiles": 5, "refits": 0},
        {"nclusters": 0, "refits": 0},
        {"crossfit": False, "refits": 0},
        {"calibrate": False, "redraw": False, "refits": 2},
        {"tolerant": False, "refits": 0},
        {"patience": 2, "refits": 0, "hyper": {"num_leaves": [8, 16], "num_iterations": 12}},
        {"method": "2024", "hyper": {"num_leaves": [8, 16], "num_iterations": 8}},
        {"refits": 3, "replicate_weights": datasets.REPLICATE_WEIGHTS},
    ],
)
def test_every_switch_works(how, donor, recipient):
    arguments = {**FAST, "hyper": {"num_iterations": 8}, **how}
    donor = donor.head(500)
    model = fusionpy.train(
        donor,
        ["heating_fuel", "electricity", "gas_bill"],
        ["region", "rooms", "urban"],
        weight="weight",
        seed=1,
        **arguments,
    )
    fused = fuse(recipient, model)
    assert fused["electricity"].between(donor["electricity"].min(), donor["electricity"].max()).all()
    assert ("2024" in repr(model)) == (how.get("method") == "2024")


def test_grids_choose_by_validation_loss(donor):
    model = fusionpy.train(
        donor,
        ["electricity"],
        X,
        seed=1,
        refits=0,
        quiet=True,
        hyper={"num_leaves": [2, 31], "num_iterations": 40},
    )
    tuning = model.steps[0].tuning["electricity_m"]
    assert [row["num_leaves"] for row in tuning.grid] == [2, 31]
    best = min(tuning.grid, key=lambda row: row["best_score"])
    assert tuning.loss == best["best_score"]
    assert tuning.params["num_leaves"] == best["num_leaves"]
    assert [row["final_model"] for row in tuning.grid] == [row is best for row in tuning.grid]


def test_model_prints_itself(model):
    text = repr(model)
    for word in ("heating_fuel", "zero-inflated", "unordered", "yes/no", "quantity", "donors", "seed 5"):
        assert word in text
    for line in text.splitlines():
        assert len(line) <= 100


def test_distribution_is_learned(donor):
    """A donor with strong structure: fused values follow it, conditionally and jointly."""
    rng = np.random.default_rng(0)
    n = 3000
    x = rng.integers(0, 3, n)
    flag = rng.random(n) < np.array([0.1, 0.5, 0.9])[x]
    y = np.where(flag, 100.0, 10.0) * (1 + x) * rng.lognormal(0, 0.2, n)
    data = pd.DataFrame({"x": x, "flag": flag, "y": y})
    model = fusionpy.train(data, ["flag", "y"], ["x"], seed=1, refits=4, quiet=True)
    target = pd.DataFrame({"x": np.repeat([0, 1, 2], 2000)})
    fused = fusionpy.fuse(target, model, M=4, seed=2, quiet=True)
    fused["x"] = np.tile(target["x"], 4)
    share = fused.groupby("x")["flag"].mean()
    assert share.to_numpy() == pytest.approx([0.1, 0.5, 0.9], abs=0.04)
    mean = fused.groupby(["x", "flag"])["y"].mean()
    for (level, on), value in mean.items():
        assert value == pytest.approx((100 if on else 10) * (1 + level) * np.exp(0.02), rel=0.06)


def test_rare_and_unused_classes(recipient):
    rng = np.random.default_rng(0)
    n = 600
    label = pd.Categorical.from_codes(rng.choice(3, n, p=[0.6, 0.39, 0.01]), ["a", "b", "rare", "never"])
    data = pd.DataFrame({"x": rng.normal(size=n), "label": label})
    for refits in (0, 3):
        model = fusionpy.train(data, ["label"], ["x"], seed=1, refits=refits, quiet=True)
        fused = fusionpy.fuse(pd.DataFrame({"x": rng.normal(size=5000)}), model, M=10, seed=1, quiet=True)
        assert list(fused["label"].cat.categories) == ["a", "b", "rare", "never"]
        assert (fused["label"] == "never").sum() == 0
        assert (fused["label"] == "rare").mean() == pytest.approx((data["label"] == "rare").mean(), abs=0.01)


def test_boosters_read_again_predict_the_same(model, recipient, tmp_path):
    fusionpy.write_fsn(model, tmp_path / "model.fsn")
    again = fusionpy.read_fsn(tmp_path / "model.fsn")
    assert_frame_equal(fuse(recipient, again), fuse(recipient, model))
    assert again.summary() == model.summary()


ENDLESS = """
    import sys, fusionpy
    model = fusionpy.read_fsn(sys.argv[1])
    recipient = fusionpy.datasets.load_recipient().head(5_000)
    print("ready", flush=True)
    fusionpy.fuse(recipient, model, sys.argv[2], M=8000, seed=1, chunk=500, cores=2, quiet=True)
"""


def _size(path):
    """Bytes of a file that another process may have taken away since its folder was listed."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@pytest.mark.parametrize("name", ["SIGINT", slow("SIGKILL")])
def test_interrupting_leaves_nothing_that_reads_as_complete(name, donor, tmp_path):
    model = fusionpy.train(donor, ["electricity"], ["rooms"], seed=1, refits=0, **FAST)
    fusionpy.write_fsn(model, tmp_path / "model.fsn")
    out = tmp_path / "out"
    out.mkdir()
    target = out / "fused.parquet"
    command = [sys.executable, "-c", textwrap.dedent(ENDLESS), str(tmp_path / "model.fsn"), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            # Some chunks are on disk.
            until(lambda: process.poll() is not None or any(_size(path) > 10_000 for path in out.iterdir()))
            assert process.poll() is None
            process.send_signal(getattr(signal, name))
            process.wait(PATIENCE)
        finally:
            process.kill()
    assert process.returncode != 0
    assert not target.exists()
    left = list(out.iterdir())
    if name == "SIGINT":
        assert left == []
    for path in left:  # killed: what was written aside is no Parquet file, nor named like one
        assert path.name.endswith(".part")
        with pytest.raises(pa.ArrowInvalid):
            pq.read_table(path)
