"""Rows that are those, and in the order, that were fused: digests of columns, and who is held to them."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import fusionpy
from fusionpy import datasets
from fusionpy.cli import app
from fusionpy.errors import SchemaError
from fusionpy.formats.implicates import open_implicates
from fusionpy.frames.digests import digest_of, noted_columns, read_note
from fusionpy.frames.tables import as_table
from fusionpy.kernels.digests import Digest

N, M = 200, 3
VALUES = st.lists(st.one_of(st.none(), st.floats(allow_nan=True)), max_size=12)
TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=12)
STATIC_MOVED = "`static` is in another order than `implicates`"
FUSED_MOVED = "`implicates` are in another order than `static`"


@pytest.fixture(scope="module")
def recipient():
    frame = datasets.load_recipient().head(N)
    return frame[["hid", "region", "rooms", "tenure", "income", "weight"]].assign(urban=np.arange(N) % 3 == 0)


@pytest.fixture(scope="module")
def model():
    donor = datasets.load_donor().head(600)
    hyper = {"num_iterations": 10}
    y = ["electricity", "insulation"]
    return fusionpy.train(donor, y, ["region", "rooms", "tenure"], refits=0, seed=1, hyper=hyper, quiet=True)


def as_kind(frame, kind):
    if kind == "polars":
        return pl.from_pandas(frame)
    return pa.Table.from_pandas(frame, preserve_index=False) if kind == "pyarrow" else frame


def analyze(fused, static, **how):
    return fusionpy.analyze(
        "mean(electricity)", fused, static=static, **{"weight": "weight", "quiet": True, **how}
    )


def fuse(data, model, *target, **how):
    return fusionpy.fuse(data, model, *target, **{"M": M, "seed": 1, "quiet": True, **how})


# digests ----------------------------------------------------------------------------------------------------


def slow_digest(hashes):
    """Digest by its definition."""
    step = 0x5851F42D4C957F2D
    n = len(hashes)
    ordered = sum(h * pow(step, n - 1 - i, 2**64) for i, h in enumerate(hashes)) % 2**64
    return Digest(n, ordered, sum(hashes) % 2**64)


def hash_of(value):
    (one,) = [digest_of(pa.array([value], pa.string() if isinstance(value, str) else pa.float64()))]
    return one.unordered


@given(st.one_of(VALUES, TEXTS))
def test_digests_are_sums_over_the_rows(values):
    is_text = any(isinstance(value, str) for value in values)
    array = pa.array(values, pa.string() if is_text else pa.float64())
    assert digest_of(array) == slow_digest([hash_of(value) for value in values])
    for cut in range(len(values) + 1):  # of slices, too, whose buffers begin elsewhere
        assert digest_of(array.slice(0, cut)) + digest_of(array.slice(cut)) == digest_of(array)
    assert digest_of(array.dictionary_encode()) == digest_of(array)
    if is_text:
        assert digest_of(array.cast(pa.large_string())) == digest_of(array)


@given(st.lists(st.integers(-4, 4), min_size=2, max_size=12), st.randoms())
def test_another_order_has_another_digest_and_the_same_sum(values, random):
    moved = random.sample(values, len(values))
    one, other = digest_of(pa.array(values)), digest_of(pa.array(moved))
    assert one.unordered == other.unordered
    assert (one.ordered == other.ordered) == (values == moved)
    changed = digest_of(pa.array([*values[:-1], values[-1] + 1]))
    assert one.unordered != changed.unordered


def test_digests_do_not_depend_on_types():
    numbers = [pa.array([1, 0, None], kind) for kind in (pa.int8(), pa.uint64(), pa.float32(), pa.float64())]
    numbers += [pa.array([True, False, None]), pa.array([1, -0.0, np.nan]), numbers[0].dictionary_encode()]
    assert len({digest_of(array) for array in numbers}) == 1
    assert digest_of(pa.array(["1", "0", None])) != digest_of(numbers[0])
    for strange in ([[1], [2]], [b"a"], [pd.Timestamp(2020, 1, 1)], [{"a": 1}]):
        assert digest_of(pa.array(strange)) is None


@pytest.mark.parametrize("text", [None, 5, "", "[]", "{}", '{"rows": 2}', '{"rows": "a", "columns": {}}'])
def test_notes_that_are_none(text):
    assert read_note(text) == {}


# what fuse() notes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["pandas", "polars", "pyarrow", "parquet", "fsd", "file", "chunks"])
def test_all_routes_note_the_same(route, recipient, model, tmp_path):
    wanted = {name: digest_of(as_table(recipient).column(name)) for name in recipient}
    if route in ("parquet", "fsd"):
        fused = fuse(recipient, model, tmp_path / f"fused.{route}")
    elif route == "file":
        recipient.to_parquet(tmp_path / "recipient.parquet", row_group_size=70)
        fused = fuse(tmp_path / "recipient.parquet", model, chunk=30)
    else:
        fused = fuse(as_kind(recipient, route), model, chunk=7 if route == "chunks" else None)
    opened = open_implicates(fused)
    assert read_note(opened.attributes["rows"]) == wanted
    assert opened.attributes["seed"] == 1
    assert ("first" in opened.attributes) == opened.in_memory


def test_notes_of_wide_files_and_of_odd_columns(recipient, model, tmp_path):
    wide = recipient.assign(
        **{f"more{j}": np.arange(N) * j for j in range(20)}, when=pd.Timestamp(2020, 1, 1)
    )
    wide["list"] = [[j] for j in range(N)]
    noted = read_note(open_implicates(fuse(wide, model)).attributes["rows"])
    assert set(noted) == set(wide) - {"when", "list"}
    wide.to_parquet(tmp_path / "wide.parquet")
    of_file = read_note(open_implicates(fuse(tmp_path / "wide.parquet", model)).attributes["rows"])
    assert {"region", "rooms", "tenure", "weight"} <= set(of_file)  # those that are read, and a few beside
    assert of_file.items() <= noted.items()
    assert not {"rows", "first"} & fuse(recipient.head(0), model).attrs["fusionpy_rows"].keys()


# static -----------------------------------------------------------------------------------------------------


def sources(recipient, model, kind, folder):
    """Implicates by every route."""
    if kind in ("parquet", "fsd", "read parquet", "read fsd"):
        path = fuse(recipient, model, folder / f"fused.{kind.split()[-1]}")
        return fusionpy.read_fsd(path, M=None) if kind.startswith("read") else path
    if kind == "from a file":
        recipient.to_parquet(folder / "recipient.parquet")
        return fuse(folder / "recipient.parquet", model)
    return fuse(as_kind(recipient, kind), model)


@pytest.mark.parametrize(
    "kind", ["pandas", "polars", "pyarrow", "parquet", "fsd", "read parquet", "read fsd", "from a file"]
)
def test_static_in_another_order_is_refused(kind, recipient, model, tmp_path):
    fused = sources(recipient, model, kind, tmp_path)
    frame = kind if kind in ("polars", "pyarrow") else "pandas"
    analyze(fused, as_kind(recipient, frame), by="tenure")
    shuffled = recipient.sample(frac=1, random_state=1).reset_index(drop=True)
    two = recipient.iloc[[1, 0, *range(2, N)]]
    for moved in (shuffled, shuffled[["weight"]], recipient.sort_values("region"), two, recipient.iloc[::-1]):
        with pytest.raises(SchemaError, match=STATIC_MOVED):
            analyze(fused, as_kind(moved, frame))


def test_static_may_differ_in_all_else(recipient, model):
    fused = fuse(recipient, model)
    expected = analyze(fused, recipient, by="tenure")["est"].tolist()
    region = recipient["region"].astype(str)
    for static in (
        recipient[recipient.columns[::-1]],
        recipient[["tenure", "weight"]],
        recipient.assign(more=np.arange(N)[::-1], income=recipient["income"].round(-5), rooms=3),
        recipient.assign(
            region=region, rooms=recipient["rooms"].astype(float), hid=recipient["hid"].astype(str)
        ),
        recipient.assign(placebo=region.sample(frac=1, random_state=2).to_numpy()),
        recipient.set_index("hid"),
        pl.from_pandas(recipient),
    ):
        assert analyze(fused, static, by="tenure")["est"].to_list() == expected
    moved = recipient.assign(income=recipient["income"].to_numpy()[::-1])
    with pytest.raises(SchemaError, match="`income`: the values that were fused, but not in the same rows"):
        analyze(fused, moved)


def test_without_digests_all_is_as_it_was(recipient, model):
    """Where a frame was made anew, nothing tells the order; nor where it is of other rows."""
    shuffled = recipient.sample(frac=1, random_state=1)
    lost = pd.DataFrame(fuse(recipient, model).to_dict("list"))
    analyze(lost, shuffled)
    polars = fuse(pl.from_pandas(recipient), model)
    analyze(polars.filter(pl.col("M") > 0), pl.from_pandas(shuffled))
    kept = (recipient["tenure"] == "owner").to_numpy()
    fused = fuse(recipient, model)
    some = fused[np.tile(kept, M)]
    assert some.attrs["fusionpy_rows"]
    analyze(some, recipient[kept].iloc[::-1])
    analyze(fused[fused["M"] > 1], shuffled)  # of the first implicate alone the order is known
    table = fuse(as_kind(recipient, "pyarrow"), model)
    damaged = json.dumps({"seed": 1, "rows": "{", "first": 3}).encode()
    analyze(table.replace_schema_metadata({"fusionpy": damaged}), shuffled)
    retained = fuse(recipient, model, retain="hid")
    retained.attrs = {}
    with pytest.raises(SchemaError, match="`hid` has the same values, but not in the same rows"):
        analyze(retained, shuffled)


@pytest.mark.parametrize("kind", ["pandas", "pyarrow", "read parquet"])
def test_implicates_in_another_order_are_refused(kind, recipient, model, tmp_path):
    fused = sources(recipient, model, kind, tmp_path)
    by = [("M", "ascending"), ("electricity", "ascending")]
    moved = fused.sort_by(by) if kind == "pyarrow" else fused.sort_values(["M", "electricity"])
    static = as_kind(recipient, "pyarrow" if kind == "pyarrow" else "pandas")
    with pytest.raises(SchemaError, match=FUSED_MOVED):
        analyze(moved, static)
    fusionpy.analyze("mean(electricity)", moved, quiet=True)  # without static no order matters
    rounded = moved if kind == "pyarrow" else moved.assign(electricity=moved["electricity"].round(-2))
    with pytest.raises(SchemaError, match=FUSED_MOVED):
        analyze(rounded, static)


def test_both_in_the_same_new_order_are_taken(recipient, model):
    fused = fuse(recipient, model)
    order = np.random.default_rng(1).permutation(N)
    moved = pd.concat([frame.iloc[order] for _, frame in fused.groupby("M")])
    moved.attrs = fused.attrs
    found = analyze(moved, recipient.iloc[order], by="region")
    assert found["est"].to_numpy() == pytest.approx(analyze(fused, recipient, by="region")["est"].to_numpy())


# other verbs ------------------------------------------------------------------------------------------------


def test_validate_and_score_are_held_to_them_too(recipient, model, tmp_path):
    observed = datasets.load_donor().head(N)
    for fused in (fuse(observed, model), fuse(observed, model, tmp_path / "fused.parquet")):
        fusionpy.validate(observed, fused, "tenure", plot=False, quiet=True)
        how = {"x": ["region"], "classifier": False, "baselines": False, "quiet": True}
        fusionpy.score(observed, fused, "electricity", **how)
        moved = observed.sort_values("electricity")
        with pytest.raises(SchemaError, match="`observed` is in another order than `implicates`"):
            fusionpy.validate(moved, fused, "tenure", plot=False, quiet=True)
        with pytest.raises(SchemaError, match="`truth` is in another order than `implicates`"):
            fusionpy.score(moved, fused, "electricity", **how)


def test_the_command_line_is_held_to_them_too(recipient, model, tmp_path):
    path = fuse(recipient, model, tmp_path / "fused.parquet")
    recipient.to_parquet(tmp_path / "right.parquet")
    recipient.assign(weight=np.arange(N)).sort_values("income").to_parquet(tmp_path / "wrong.parquet")
    for name, code in (("right", 0), ("wrong", 1)):
        how = ["--static", f"{tmp_path}/{name}.parquet", "--weight", "weight", "--quiet"]
        found = CliRunner().invoke(app, ["analyze", path, "mean(electricity)", *how])
        assert (found.exit_code != 0) == bool(code)
    with pytest.raises(SchemaError, match=STATIC_MOVED):
        analyze(path, pq.read_table(tmp_path / "wrong.parquet"))


def test_names_of_any_kind_are_noted():
    noted = {'a "b" \\ ü': Digest(2, 1, 2**64 - 1), "": Digest(2, 0, 5)}
    assert read_note(noted_columns(noted)) == noted
