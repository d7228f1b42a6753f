"""Categories of numbers, truth values, dates and periods: files give back the kind and the levels."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing import quick
from pandas.testing import assert_frame_equal
from typer.testing import CliRunner

import fusionpy
from fusionpy.cli import app
from fusionpy.errors import FusionWarning, SchemaError
from fusionpy.frames.level_notes import LevelNotes, noted_levels, told_levels
from fusionpy.frames.levels import restored_table, text_levels, typed_levels
from fusionpy.frames.returned import return_table, to_pandas

N = 240
TINY: dict[str, Any] = {"refits": 0, "hyper": {"num_iterations": 5}, "seed": 1, "quiet": True}
TRAINABLE = {
    "integers": [3, 1, 2, 7],
    "negative": [-9, -1, 0, 4],
    "booleans": [True, False],
    "floats": [0.5, 2.5, -1.0],
    "text": ["b", "a", "c d"],
}
LEVELS: dict[str, Any] = {
    **TRAINABLE,
    "unsigned": pd.Index([2**64 - 1, 3, 2**63], dtype="uint64"),
    "long": [2**60 + 1, 2**60, 5],
    "dates": pd.Index([pd.Timestamp("2020-02-01").date(), pd.Timestamp("2019-01-01").date()], dtype=object),
    "times": pd.DatetimeIndex(["2020-02-01 10:30", "2019-01-01 00:00", "2021-01-01 00:00"]),
    "zoned": pd.to_datetime(["2020-02-01", "2019-01-01", "2021-07-01"]).tz_localize("Europe/Paris"),
    "spans": pd.to_timedelta([3, 1, 2], unit="h"),
    "periods": pd.PeriodIndex(["2020-02", "2019-01", "2021-01"], freq="M"),
    "intervals": pd.IntervalIndex.from_breaks([0, 1.5, 3, 9]),
}
HALF = [(name, place % 2 == 0) for place, name in enumerate(LEVELS)]


def coded(levels: Any, ordered: bool, n: int = N, seed: int = 0) -> pd.Categorical:
    """Draw from levels; the last of three or more is used by nobody."""
    index = pd.Index(levels)
    used = len(index) - (len(index) > 2)
    codes = np.random.default_rng(seed).integers(0, used, n)
    codes[: 2 * used] = np.tile(np.arange(used), 2)
    return pd.Categorical.from_codes(codes, index, ordered=ordered)


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(1)
    x = rng.normal(size=N)
    return pd.DataFrame({"x": x, "y": x + rng.normal(size=N)})


@pytest.fixture(scope="module")
def model(numbers):
    return fusionpy.train(numbers, y=["y"], x=["x"], **TINY)


@pytest.fixture(scope="module")
def client():
    pytest.importorskip("distributed", reason='Dask is absent: pip install "fusionpy[dask]"')
    from dask.distributed import Client

    with Client(processes=False, n_workers=1, threads_per_worker=1, dashboard_address=None) as client:
        yield client


def answers(implicates: Any, static: Any = None) -> list[pd.DataFrame]:
    how = {"static": static, "quiet": True}
    found = [
        fusionpy.analyze("mean(c)", implicates, **how),
        fusionpy.analyze("mean(y)", implicates, by="c", **how),
    ]
    return [to_pandas(each) if isinstance(each, pa.Table) else pd.DataFrame(each) for each in found]


def assert_same_answers(found: list[pd.DataFrame], wanted: list[pd.DataFrame], texts: bool = False) -> None:
    for one, other in zip(found, wanted, strict=True):
        if texts and "c" in other:
            one, other = (each.assign(c=each["c"].astype(str)) for each in (one, other))
        assert_frame_equal(one, other)


@pytest.mark.parametrize(
    ("name", "ordered", "ending"),
    quick(
        [*((*kind, ".parquet") for kind in HALF), *((name, not ordered, ".fsd") for name, ordered in HALF)],
        [
            (name, ordered if place % 2 else not ordered, ".parquet" if place % 2 else ".fsd")
            for place, (name, ordered) in enumerate(HALF)
        ],
    ),
)
def test_retained_levels_go_through_files(numbers, model, tmp_path, name, ordered, ending):
    recipient = numbers[["x"]].assign(c=coded(LEVELS[name], ordered))
    how = {"M": 2, "retain": ["x", "c"], "seed": 1, "quiet": True}
    memory = fusionpy.fuse(recipient, model, **how)
    path = fusionpy.fuse(recipient, model, tmp_path / f"f{ending}", **how)
    wanted = answers(memory)
    assert wanted[0]["type"].eq("proportion").all()
    assert len(wanted[0]) == len(LEVELS[name])  # those that nobody has, too
    assert_same_answers(answers(path), wanted)
    back = fusionpy.read_fsd(path, M=None)["c"]
    assert back.cat.ordered == ordered
    assert_same_answers(answers(fusionpy.read_fsd(path, M=None)), wanted)
    assert_same_answers(answers(fusionpy.read_fsd(path, M=None, kind="pyarrow")), wanted)
    polars = fusionpy.read_fsd(path, M=None, kind="polars")
    assert str(polars.schema["c"]).startswith("Enum" if ordered else "Categorical")
    if name not in ("periods", "intervals"):
        assert back.cat.categories.equals(memory["c"].cat.categories)
    else:
        assert back.cat.categories.to_list() == [str(level) for level in LEVELS[name]]
    if ending == ".parquet":
        assert_same_answers(answers(pq.read_table(path)), wanted)
        again = fusionpy.fuse(path, model, tmp_path / "again.parquet", **how)  # a file of a file
        levels = fusionpy.read_fsd(again)["c"].cat.categories
        assert levels.equals(back.cat.categories)


@pytest.mark.parametrize(("name", "ordered"), HALF)
def test_what_pandas_notes_is_read(numbers, model, tmp_path, name, ordered):
    if name in ("periods", "intervals"):
        pytest.skip("pandas cannot write them")
    recipient = numbers[["x"]].assign(
        c=pd.Categorical(coded(LEVELS[name], ordered).remove_unused_categories())
    )
    recipient["c"] = recipient["c"].cat.reorder_categories(
        sorted(recipient["c"].cat.categories), ordered=ordered
    )
    levels = pa.Table.from_pandas(recipient).schema.field("c").type.value_type
    if name == "zoned" and levels.tz is None:
        pytest.skip("pandas 2 writes the levels' times without their zone")
    recipient.to_parquet(tmp_path / "r.parquet")
    how = {"M": 2, "seed": 1, "quiet": True}
    wanted = answers(fusionpy.fuse(recipient, model, retain="c", **how))
    assert_same_answers(answers(fusionpy.fuse(tmp_path / "r.parquet", model, retain="c", **how)), wanted)
    fused = fusionpy.fuse(recipient, model, **how)
    if name not in ("zoned", "spans"):  # Arrow's own reader keeps the type of neither
        assert_same_answers(answers(fused, pq.read_table(tmp_path / "r.parquet")), wanted)


def test_a_table_that_was_recoded_since_keeps_its_numbers():
    frame = pd.DataFrame(
        {"c": pd.Categorical([1, 2] * 20), "d": pd.Categorical(["b", "a"] * 20, ordered=True)}
    )
    table = pa.Table.from_pandas(frame)
    changed = table.set_column(0, "c", pa.array(np.arange(40)))
    assert restored_table(changed).schema.field("c").type == pa.int64()
    plain = table.set_column(0, "c", pa.array([1, 2] * 20))
    restored = restored_table(plain)  # as it is when it was read from a file
    assert pa.types.is_dictionary(restored.schema.field("c").type)
    back = restored.set_column(0, "c", plain["c"])
    assert restored_table(back).schema.field("c").type == pa.int64()
    texts = table.set_column(1, "d", pa.array(["b", "a"] * 20))  # Parquet would have kept levels of text
    assert restored_table(texts).schema.field("d").type == pa.string()


def test_levels_that_are_declared_are_no_guess(numbers, tmp_path):
    levels = pd.Categorical([1, 2, 3] * (N // 3), ordered=True)
    numbers.assign(c=levels).to_parquet(tmp_path / "d.parquet")
    fast = "--refits 0 --nclusters 20 --hyper num_iterations=5 --seed 1 --quiet".split()
    train = ["train", f"{tmp_path}/d.parquet", "--y", "y", "--x", "c", "--fsn", f"{tmp_path}/m.fsn", *fast]
    for more, order in (([], (1, 2, 3)), (["--ordered", "c=3<1<2"], (3, 1, 2))):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            result = CliRunner().invoke(app, [*train, *more])
        assert result.exit_code == 0, result.output
        model = fusionpy.read_fsn(tmp_path / "m.fsn")
        assert tuple(int(level) for level in model.schema["c"].levels) == order
        said = result.output + "".join(str(each.message) for each in caught)
        assert ("taken as ascending" in said) == (not more)


@pytest.mark.parametrize(("name", "ordered"), quick(HALF[: len(TRAINABLE)], [HALF[0], HALF[2], HALF[3]]))
def test_trained_levels_go_through_files(numbers, tmp_path, name, ordered):
    """Fusion variables and predictors, donors and recipients, archives, files of both."""
    donor = numbers.assign(c=coded(LEVELS[name], ordered), z=coded(LEVELS[name], ordered, seed=4))
    fusionpy.train(donor, y=["c", "y"], x=["x", "z"], fsn=tmp_path / "m.fsn", **TINY)
    memory = fusionpy.fuse(donor[["x", "z"]], tmp_path / "m.fsn", M=2, seed=1, quiet=True)
    assert memory["c"].dtype == donor["c"].dtype
    wanted = answers(memory)
    donor[["x", "z"]].to_parquet(tmp_path / "r.parquet")  # pandas keeps neither order nor unused levels
    for recipient, ending in (
        (donor[["x", "z"]], ".parquet"),
        (tmp_path / "r.parquet", ".fsd"),
        (pq.read_table(tmp_path / "r.parquet"), ".parquet"),
    ):
        fused = tmp_path / f"f{ending}"
        path = fusionpy.fuse(recipient, tmp_path / "m.fsn", fused, M=2, seed=1, quiet=True)
        assert_same_answers(answers(path), wanted)
    table = pa.Table.from_pandas(donor[["x", "z"]])
    fused = fusionpy.fuse(table, tmp_path / "m.fsn", M=2, seed=1, quiet=True)
    assert_same_answers(answers(fused), wanted)
    polars = return_table(fused, "polars", {})
    shares = fusionpy.analyze("mean(c)", polars, quiet=True)
    assert set(shares["type"]) == {"proportion"}
    assert {*shares["est"]} | {0.0} == {*wanted[0]["est"]} | {0.0}


@pytest.mark.slow
def test_levels_go_through_a_cluster(numbers, model, tmp_path, client):
    from fusionpy import distributed

    recipient = numbers[["x"]]
    for name in LEVELS:
        recipient = recipient.assign(**{name: coded(LEVELS[name], name < "f")})
    writable = [name for name in LEVELS if name not in ("periods", "intervals")]
    path = fusionpy.fuse(
        recipient, model, tmp_path / "memory.parquet", M=2, retain=writable, seed=1, quiet=True
    )
    first, last = recipient.iloc[: N // 3], recipient.iloc[N // 3 :]
    import dask.dataframe as dd

    frame = dd.concat([dd.from_pandas(part[["x", *writable]], npartitions=1) for part in (first, last)])
    out = distributed.fuse(
        frame, model, 2, tmp_path / "out", retain=writable, seed=1, client=client, quiet=True
    )
    assert_frame_equal(fusionpy.read_fsd(out, M=None), fusionpy.read_fsd(path, M=None))
    for name in writable:
        how = {"by": name, "quiet": True}
        here = fusionpy.analyze("mean(y)", path, **how)
        assert_frame_equal(fusionpy.analyze("mean(y)", out, **how), here)
    there = distributed.analyze(f"mean({writable[0]})", out, by=writable[1], client=client, quiet=True)
    assert_frame_equal(there, fusionpy.analyze(f"mean({writable[0]})", path, by=writable[1], quiet=True))
    recipient[["integers"]].to_parquet(tmp_path / "static.parquet")
    bare = fusionpy.fuse(recipient, model, tmp_path / "bare.parquet", M=2, seed=1, quiet=True)
    static = {"static": tmp_path / "static.parquet", "by": "integers", "quiet": True}
    there = distributed.analyze("mean(y)", bare, client=client, **static)
    here = fusionpy.analyze("mean(y)", bare, static=recipient, by="integers", quiet=True)
    assert (
        there["est"].to_list() == here.sort_values("integers", key=lambda c: c.astype(int))["est"].to_list()
    )


def test_folders_whose_parts_have_some_of_the_values(numbers, model, tmp_path):
    """The levels of a folder that pandas wrote are those of all its files."""
    recipient = numbers[["x"]].assign(c=pd.Categorical(np.sort(np.random.default_rng(0).integers(0, 4, N))))
    recipient.iloc[: N // 2].to_parquet(tmp_path / "part.0.parquet")
    recipient.iloc[N // 2 :].to_parquet(tmp_path / "part.1.parquet")
    how = {"M": 2, "retain": "c", "seed": 1, "quiet": True}
    found = fusionpy.fuse(tmp_path, model, **how)
    assert_same_answers(answers(found), answers(fusionpy.fuse(recipient, model, **how)))


@pytest.mark.parametrize("ordered", [False, True])
def test_levels_on_the_command_line(numbers, tmp_path, ordered):
    def run(*arguments: object) -> str:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result.output

    levels = coded([1, 2, 3], ordered).remove_unused_categories()
    donor = numbers.assign(c=levels, z=levels[::-1])
    donor.to_parquet(tmp_path / "donor.parquet")
    donor[["x", "z"]].to_parquet(tmp_path / "recipient.parquet")
    fast = "--refits 0 --nclusters 20 --hyper num_iterations=5 --seed 1 --quiet".split()
    place = {name: tmp_path / name for name in ("m.fsn", "f.parquet", "a.csv", "s.csv")}
    run("train", tmp_path / "donor.parquet", "--y", "c,y", "--x", "x,z", "--fsn", place["m.fsn"], *fast)
    model = fusionpy.read_fsn(place["m.fsn"])
    assert [model.schema[name].kind for name in "cz"] == 2 * ["ordered" if ordered else "nominal"]
    assert model.schema["c"].levels == (1, 2)
    fused = ["--fsd", place["f.parquet"], "-M", 2, "--seed", 1, "--quiet"]
    run("fuse", tmp_path / "recipient.parquet", place["m.fsn"], *fused)
    run("analyze", place["f.parquet"], "mean(c)", "--out", place["a.csv"])
    assert pd.read_csv(place["a.csv"])["level"].to_list() == [1, 2]
    static = ["--static", tmp_path / "recipient.parquet", "--by", "z"]
    run("analyze", place["f.parquet"], "mean(y)", *static, "--out", place["s.csv"])
    assert pd.read_csv(place["s.csv"])["z"].to_list() == [1, 2]


@pytest.mark.parametrize("ordered", [False, True])
def test_imputed_levels_go_through_files(numbers, tmp_path, ordered):
    levels = coded([3, 1, 2], ordered)
    codes = levels.codes.copy()
    codes[5:9] = -1
    holes = numbers.assign(c=pd.Categorical.from_codes(codes, dtype=levels.dtype))
    wanted = fusionpy.impute(holes, seed=1, quiet=True)
    assert wanted["c"].dtype == holes["c"].dtype
    pq.write_table(noted_levels(pa.Table.from_pandas(holes, preserve_index=False)), tmp_path / "h.parquet")
    result = CliRunner().invoke(
        app, ["impute", f"{tmp_path}/h.parquet", "--out", f"{tmp_path}/i.parquet", "--seed", "1", "--quiet"]
    )
    assert result.exit_code == 0, result.output
    back = restored_table(pq.read_table(tmp_path / "i.parquet")).to_pandas()
    assert_frame_equal(back, wanted, check_categorical=True)


def test_train_tells_of_levels_that_a_file_has_lost(numbers, tmp_path):
    donor = numbers.assign(c=pd.Categorical([1, 2] * (N // 2), categories=[1, 2, 3]))
    donor.to_parquet(tmp_path / "d.parquet")
    with pytest.warns(FusionWarning, match=r"`c` \(2 of 3 levels occur\)"):
        fusionpy.train(pq.read_table(tmp_path / "d.parquet"), y=["y"], x=["c"], **TINY)
    donor["c"] = donor["c"].cat.remove_unused_categories().cat.as_ordered()
    donor.to_parquet(tmp_path / "d.parquet")
    with pytest.warns(FusionWarning, match=r"`c` \(taken as ascending: '1', '2'\)"):
        fusionpy.train(pq.read_table(tmp_path / "d.parquet"), y=["y"], x=["c"], **TINY)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fusionpy.train(donor, y=["y"], x=["c"], **TINY)


def test_recipients_with_other_levels_are_refused(numbers, tmp_path):
    donor = numbers.assign(c=pd.Categorical([1, 2, 3] * (N // 3)))
    model = fusionpy.train(donor, y=["y"], x=["c"], **TINY)
    for levels in ([1, 2, 4], [1, 2], [1, 2, 3, 4]):
        recipient = pd.DataFrame({"c": pd.Categorical(np.resize(levels, N))})
        recipient.to_parquet(tmp_path / "r.parquet")
        for data in (recipient, tmp_path / "r.parquet", pq.read_table(tmp_path / "r.parquet")):
            with pytest.raises(SchemaError, match="`c`: level"):
                fusionpy.fuse(data, model, seed=1, quiet=True)
    recipient["c"] = pd.Categorical([1, 2] * (N // 2), categories=[1, 2, 3], ordered=True)
    recipient.to_parquet(tmp_path / "r.parquet")
    with pytest.raises(SchemaError, match="must be unordered, not ordered"):
        fusionpy.fuse(tmp_path / "r.parquet", model, seed=1, quiet=True)


values = st.one_of(
    st.sampled_from([pa.int8(), pa.int32(), pa.int64()]).flatmap(
        lambda kind: st.lists(st.integers(-128, 127), min_size=1, max_size=6, unique=True).map(
            lambda levels: pa.array(levels, kind)
        )
    ),
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=6, unique=True).map(
        lambda levels: pa.array(levels, pa.uint64())
    ),
    st.lists(st.floats(allow_nan=False), min_size=1, max_size=6, unique=True).map(pa.array),
    st.sampled_from([[True, False], [False], [False, True]]).map(pa.array),
    st.lists(st.dates(), min_size=1, max_size=6, unique=True).map(pa.array),
    st.lists(st.datetimes(), min_size=1, max_size=6, unique=True).map(
        lambda levels: pa.array(levels, pa.timestamp("us"))
    ),
    st.lists(st.times(), min_size=1, max_size=6, unique=True).map(
        lambda levels: pa.array(levels, pa.time64("us"))
    ),
)


@given(levels=values, ordered=st.booleans(), seed=st.integers(0, 99))
def test_any_levels_come_back_from_notes_and_from_text(levels, ordered, seed):
    codes = np.random.default_rng(seed).integers(0, len(levels), 7)
    array = pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes % 3 == 1), levels, ordered=ordered)
    back = restored_table(noted_levels(pa.table({"a": array}))).column("a").combine_chunks()
    assert back.dictionary.equals(levels)
    assert back.type.ordered == ordered
    assert back.to_pylist() == array.to_pylist()
    typed = typed_levels(text_levels(levels), str(levels.type))
    assert typed is not None
    assert typed.equals(levels)


def test_levels_that_come_with_later_rows_are_noted():
    notes = LevelNotes()
    for levels in ([1, 2], [1, 2], [2, 5]):
        notes.meet(pa.table({"a": pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(levels))}))
    assert notes.packed() == '{"a": {"ordered": false, "levels": [1, 2, 5]}}'


@pytest.mark.parametrize(
    "note",
    [b"no json", b"[1]", b"{}", b'{"a": 1}', b'{"a": {"levels": [1, 1], "ordered": true}}', b'{"b": {}}',
     b'{"a": {"levels": ["x"], "ordered": true}}', b'{"a": {"levels": [[1]], "ordered": true}}',
     b'{"a": {"levels": [1e400], "ordered": true}}', b'{"a": {"levels": null}}', b"[" * 20_000],
)  # fmt: skip
def test_damaged_notes_are_passed_over(note):
    table = pa.table({"a": [1, 2]})
    for key in (b"fusionpy.levels", b"pandas"):
        schema = table.schema.with_metadata({key: note})
        assert told_levels(schema) == {}
        assert restored_table(table.replace_schema_metadata(schema.metadata))["a"].type == pa.int64()


def test_values_that_are_none_of_the_noted_levels(tmp_path):
    note = {b"fusionpy.levels": b'{"a": {"levels": [1], "ordered": true}}'}
    table = pa.table({"M": [1, 1], "a": [1, 2]}).replace_schema_metadata(note)
    pq.write_table(table, tmp_path / "f.parquet")
    with pytest.raises(fusionpy.ArgumentError, match="none of the levels noted"):
        fusionpy.read_fsd(tmp_path / "f.parquet")
    assert restored_table(table)["a"].type == pa.int64()


@pytest.mark.parametrize("name", ["integers", "floats", "booleans", "text"])
def test_what_pandas_has_made_of_levels_is_told(numbers, model, tmp_path, name):
    """pandas.read_parquet() makes numbers of levels that are numbers; it has no way to know better."""
    recipient = numbers[["x"]].assign(c=coded(LEVELS[name], ordered=False))
    path = fusionpy.fuse(recipient, model, tmp_path / "f.parquet", retain="c", M=2, seed=1, quiet=True)
    frame = pd.read_parquet(path)
    if name in ("booleans", "text"):
        fusionpy.analyze("mean(c)", frame, quiet=True)
        return
    with pytest.warns(FusionWarning, match="`c`: categories in the file, of which pandas has made numbers"):
        fusionpy.analyze("mean(c)", frame, quiet=True)
    fusionpy.analyze("mean(y)", frame, quiet=True)
    fusionpy.analyze("mean(c)", frame.astype({"c": "category"}), quiet=True)
    fusionpy.analyze("mean(c)", fusionpy.read_fsd(path, M=None), quiet=True)
