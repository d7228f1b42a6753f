"""Recipients on disk: read by windows, checked as frames are, and never held as a whole."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pacing import slow
from pandas.testing import assert_frame_equal

import fusionpy
from fusionpy import datasets
from fusionpy.errors import ArgumentError, FusionWarning, SchemaError
from fusionpy.formats.fst.writer import write_fst
from fusionpy.frames.digests import read_note
from fusionpy.fusion import recipients
from fusionpy.fusion.code_store import Coded

X = datasets.PREDICTORS
Y = ["heating_fuel", "electricity", ["food_share", "housing_share"], "solar"]


@pytest.fixture(scope="module")
def model():
    donor = datasets.load_donor().head(600)
    how = {"refits": 2, "effects": False, "hyper": {"num_iterations": 10}, "nclusters": 50, "krange": (5, 30)}
    return fusionpy.train(
        donor, Y, X, weight="weight", seed=5, quiet=True, bounds="electricity >= rooms", **how
    )


@pytest.fixture(scope="module")
def recipient():
    frame = datasets.load_recipient().head(1_100)
    return frame.assign(name=[f"household {i % 17}" for i in range(len(frame))])


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(recipients, "WINDOW", 300)


def fuse(data, model, fsd=None, **how):
    return fusionpy.fuse(
        data, model, fsd, **{"M": 2, "seed": 3, "quiet": True, "retain": ["hid", "tenure"], **how}
    )


def written(recipient, folder, how):
    """Write a recipient in one of several ways."""
    table = pa.Table.from_pandas(recipient, preserve_index=False)
    if how == "fst":
        write_fst([table], folder / "recipient.fst", table.schema)
        return folder / "recipient.fst"
    if how == "folder":
        place = folder / "recipient"
        place.mkdir()
        for number, start in enumerate(range(0, len(recipient), 100)):
            pq.write_table(table.slice(start, 100), place / f"part.{number}.parquet")
        return place
    rows = {"one group": 10_000, "small groups": 70, "groups": 450}[how]
    pq.write_table(table, folder / "recipient.parquet", row_group_size=rows)
    return str(folder / "recipient.parquet")


@pytest.fixture(
    scope="module",
    params=[pytest.param(0, id="compiled"), pytest.param(10**9, id="by LightGBM", marks=pytest.mark.slow)],
)
def of_frame(request, model, recipient, tmp_path_factory):
    """Whether kernels or LightGBM predict; what is fused of the frame, in memory and in files."""
    folder = tmp_path_factory.mktemp("frame")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fusionpy.drawing.predictions.WORTHWHILE", request.param)
        paths = {end: fuse(recipient, model, folder / f"again.{end}") for end in ("parquet", "fsd")}
        return request.param, fuse(recipient, model), {end: fusionpy.read_fsd(paths[end]) for end in paths}


@pytest.mark.parametrize("how", ["one group", slow("groups"), "small groups", slow("folder"), "fst"])
def test_a_path_gives_what_the_frame_gives(
    how, of_frame, model, recipient, tmp_path, monkeypatch, small_windows
):
    rows, base, files = of_frame
    monkeypatch.setattr("fusionpy.drawing.predictions.WORTHWHILE", rows)
    path = written(recipient, tmp_path, how)
    again = fuse(path, model, chunk=128, cores=2)
    assert again.attrs["fusionpy"] == base.attrs["fusionpy"]
    told, known = (read_note(each.attrs["fusionpy_rows"]["rows"]) for each in (again, base))
    assert len(told) > len(model.schema.x)
    assert told.items() <= known.items()
    assert_frame_equal(again, base)
    for ending in ("parquet", "fsd"):
        target = fuse(path, model, tmp_path / f"fused.{ending}", chunk=97)
        assert_frame_equal(fusionpy.read_fsd(target), files[ending])


@pytest.mark.slow
def test_codes_that_do_not_fit_are_kept_in_a_file(model, recipient, tmp_path, monkeypatch, small_windows):
    spilled = []
    original = tempfile.TemporaryFile

    def spy(**how):
        if "__pycache__" not in str(how["dir"]):  # where numba tries whether it can write
            spilled.append(how)
        return original(**how)

    monkeypatch.setattr(tempfile, "TemporaryFile", spy)
    monkeypatch.setattr("fusionpy.drawing.predictions.WORTHWHILE", 0)
    path, base = written(recipient, tmp_path, "groups"), fuse(recipient, model)
    assert not spilled
    monkeypatch.setattr(recipients, "WINDOW", 20_000)
    large = pd.concat([recipient] * 150, ignore_index=True)
    assert_frame_equal(fuse(recipient, model, memory=10_000, chunk=201), base)
    assert_frame_equal(fuse(path, model, memory=10_000, chunk=201, cores=2), base)
    target = fuse(large, model, tmp_path / "large.parquet", memory="5MB", cores=2, M=1)
    assert [how["dir"] for how in spilled] == [None, None, tmp_path]
    assert_frame_equal(fusionpy.read_fsd(target), fuse(large, model, M=1))


def test_a_level_of_the_last_window_is_told_before_anything_is_written(
    model, recipient, tmp_path, small_windows
):
    last = recipient.astype({"tenure": str, "region": str, "rooms": float})
    last.loc[last.index[-1], ["tenure", "region"]] = ["squatter", None]
    last["tenure"] = last["tenure"].astype("category")
    path = written(last.drop(columns="age"), tmp_path, "small groups")
    with pytest.raises(SchemaError) as of_path:
        fuse(path, model, tmp_path / "fused.parquet", retain=["hid", "pid"])
    with pytest.raises(SchemaError) as of_frame:
        fuse(last.drop(columns="age"), model, tmp_path / "fused.parquet", retain=["hid", "pid"])
    assert str(of_path.value) == str(of_frame.value)
    text = str(of_path.value)
    for part in ("level 'squatter'", "`age`: not in `data`", "`pid`, not in"):
        assert part in text
    assert not (tmp_path / "fused.parquet").exists()


def odd(recipient):
    """Recipients that do not fit, each in another way."""
    level = recipient["education"].cat.categories
    return {
        "text for numbers": recipient.assign(age=recipient["age"].astype(str)),
        "numbers for text": recipient.assign(region=1.5),
        "logical for categories": recipient.assign(tenure=True),
        "levels in another order": recipient.assign(
            education=recipient["education"].cat.reorder_categories(level[::-1], ordered=True)
        ),
        "unordered": recipient.assign(education=recipient["education"].cat.as_unordered()),
        "all missing": recipient.assign(age=np.nan),
        "an identifier": recipient.assign(age=recipient["hid"].astype("int64") + 2**60),
        "dates": recipient.assign(age=pd.Timestamp("2020-01-01")),
        "retained like a result": recipient.assign(solar=True),
    }


@pytest.mark.parametrize("how", odd(datasets.load_recipient().head(2)))
def test_a_path_is_refused_in_the_same_words(how, model, recipient, tmp_path, small_windows):
    frame = odd(recipient)[how]
    retain = "solar" if "retained" in how else None
    with pytest.raises(SchemaError) as of_frame:
        fuse(frame, model, retain=retain)
    with pytest.raises(SchemaError) as of_path:
        fuse(written(frame, tmp_path, "groups"), model, retain=retain)
    assert str(of_path.value) == str(of_frame.value)


def test_a_window_without_values_is_no_column_without(model, recipient, tmp_path, small_windows):
    frame = recipient.copy()
    frame.loc[frame.index[:900], ["age", "tenure", "region"]] = None
    path = written(frame, tmp_path, "small groups")
    with pytest.warns(FusionWarning, match=r"`region` \(900\), .*`age` \(900\)"):
        of_path = fuse(path, model)
    with pytest.warns(FusionWarning, match="no donor had"):
        of_frame = fuse(frame, model)
    assert_frame_equal(of_path, of_frame)


@pytest.mark.parametrize("rows", [0, 10**9], ids=["compiled", "by LightGBM"])
def test_missing_values_that_no_donor_had(rows, model, recipient, monkeypatch):
    """LightGBM takes them for 0; a user would not know. Donors lacked incomes, and nothing else."""
    monkeypatch.setattr("fusionpy.drawing.predictions.WORTHWHILE", rows)
    gaps = recipient.copy()
    gaps.loc[gaps.index[:200], ["rooms", "income"]] = None
    with pytest.warns(FusionWarning) as warned:
        fused = fuse(gaps, model)
    (message,) = (str(w.message) for w in warned)
    assert message == (
        "Recipients have missing values that no donor had: `rooms` (200). They are fused as if these were 0,"
        " or none of the levels. Fill them first, with `impute()` for instance."
    )
    zeros = gaps.assign(rooms=gaps["rooms"].fillna(0).astype(recipient["rooms"].dtype))
    with pytest.warns(FusionWarning, match="`rooms`: 19 % are outside the donors' range, 2 to 9"):
        assert_frame_equal(fuse(zeros, model), fused)


def test_no_recipients(model, recipient, tmp_path):
    path = written(recipient.head(0), tmp_path, "one group")
    fused = fuse(path, model)
    assert len(fused) == 0
    assert list(fused.columns) == list(fuse(recipient, model).columns)
    assert pq.read_metadata(fuse(path, model, tmp_path / "fused.parquet")).num_rows == 0


def test_paths_that_cannot_be_read(model, recipient, tmp_path):
    (tmp_path / "a.parquet").write_text("no")
    (tmp_path / "d").mkdir()
    for name, words in (
        ("a.parquet", "Parquet"),
        ("b.parquet", "no such file"),
        ("d", "without Parquet files"),
    ):
        with pytest.raises(ArgumentError, match="cannot be read") as error:
            fuse(tmp_path / name, model)
        assert words in str(error.value)
    assert "Pass a data frame, a Parquet file or a folder of them, or an fst file." in str(error.value)


def test_blocks_come_back_from_memory_and_file(tmp_path):
    rng = np.random.default_rng(1)
    codes, values = rng.integers(0, 60_000, (5, 1_003)).astype(np.uint16), rng.normal(size=(2, 1_003))
    areas = rng.integers(0, 3_000, (3, 1_003)).astype(np.int32)
    with (tmp_path / "codes").open("w+b") as file:
        for kept in (None, file):
            coded = Coded(1_003, 100, (5, 2, 3), codes.dtype, kept)
            for first, last in ((0, 37), (37, 640), (640, 640), (640, 1_003)):
                coded.append(codes[:, first:last], values[:, first:last], areas[:, first:last])
            assert list(coded.starts) == list(range(0, 1_003, 100))
            for start in reversed(coded.starts):
                found = coded.block(start)
                assert np.array_equal(found[0], codes[:, start : start + 100])
                assert np.array_equal(found[1], values[:, start : start + 100])
                assert np.array_equal(found[2], areas[:, start : start + 100])
        os.truncate(file.fileno(), 5_000)
        with pytest.raises(OSError, match="cut short"):
            coded.block(1_000)


@pytest.mark.parametrize("portable", [False, True])
def test_blocks_come_from_a_file_to_several_threads(portable, tmp_path, monkeypatch):
    """Windows has no `pread`: there threads take turns at the file's one position."""
    if portable:
        monkeypatch.delattr(os, "pread", raising=False)
    codes, values = np.arange(30_000, dtype=np.uint16).reshape(3, -1), np.arange(10_000.0)[None]
    none = np.empty((0, 10_000), dtype=np.int32)
    with (tmp_path / "codes").open("w+b") as file, ThreadPoolExecutor(8) as pool:
        coded = Coded(10_000, 100, (3, 1, 0), codes.dtype, file)
        coded.append(codes[:, :5_000], values[:, :5_000], none[:, :5_000])
        assert np.array_equal(coded.block(200)[1], values[:, 200:300])  # moves the file's position
        coded.append(codes[:, 5_000:], values[:, 5_000:], none[:, 5_000:])
        starts = [*coded.starts] * 20
        for start, found in zip(starts, pool.map(coded.block, starts), strict=True):
            assert np.array_equal(found[0], codes[:, start : start + 100])
            assert np.array_equal(found[1], values[:, start : start + 100])
