"""The schema: what is learned of a column, the same of every kind of table, and how it comes back."""

from __future__ import annotations

import string
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from polars.testing import assert_frame_equal as assert_polars_equal

import fusionpy
from fusionpy.errors import SchemaError
from fusionpy.frames.returned import return_table
from fusionpy.frames.tables import Unreadable, as_table
from fusionpy.model.schema import Schema
from fusionpy.model.variables import Variable, describe, is_r_name

N = 60
RNG = np.random.default_rng(9)
SIZES = ["small", "medium", "large", "vast"]  # an order that is not the alphabet's; no row is vast
REGIONS = ["west", "east", "north"]
WORDS = RNG.choice(["b", "a", "ä", "Z"], N).tolist()
SIZE = RNG.choice(SIZES[:3], N).tolist()
REGION = RNG.choice(REGIONS, N).tolist()
WHOLE = RNG.integers(-5, 2**31 - 1, N)
REAL = RNG.normal(size=N)
FLAG = RNG.random(N) < 0.5
GAP = np.arange(N) % 7 == 3


def pandas_frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "whole": WHOLE.astype(np.int32),
            "real": REAL,
            "flag": FLAG,
            "word": WORDS,
            "size": pd.Categorical(SIZE, SIZES, ordered=True),
            "region": pd.Categorical(REGION, REGIONS),
            "gap": np.where(GAP, np.nan, REAL),
        }
    )


def polars_frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "whole": pl.Series(WHOLE.tolist(), dtype=pl.Int32),
            "real": REAL,
            "flag": FLAG,
            "word": WORDS,
            "size": pl.Series(SIZE, dtype=pl.Enum(SIZES)),
            "region": pl.Series(REGION, dtype=pl.Categorical),
            "gap": pl.Series([None if g else v for g, v in zip(GAP, REAL.tolist(), strict=True)]),
        }
    )


def arrow_table() -> pa.Table:
    def dictionary(values: list[str], levels: list[str], ordered: bool) -> pa.Array:
        return pa.DictionaryArray.from_arrays(
            pa.array([levels.index(v) for v in values], pa.int8()), levels, ordered=ordered
        )

    return pa.table(
        {
            "whole": pa.array(WHOLE, pa.int32()),
            "real": REAL,
            "flag": FLAG,
            "word": WORDS,
            "size": dictionary(SIZE, SIZES, True),
            "region": dictionary(REGION, REGIONS, False),
            "gap": pa.array(np.where(GAP, 0, REAL), mask=GAP),
        }
    )


NAMES = list(pandas_frame().columns)


def learn(frame: object, x: list[str] | None = None, y: str = "real") -> Schema:
    table = as_table(frame)
    names = [name for name in table.names if name != y] if x is None else x
    return Schema.learn(table, names, [y])


def learn_one(column: object, name: str = "v") -> tuple[Variable, np.ndarray, Schema]:
    """Learn one column as a predictor; a constant would not do as a fusion variable."""
    table = as_table(pa.table({name: column, "y": np.arange(len(column))}) if is_arrow(column) else column)
    schema = Schema.learn(table, [name], ["y"])
    return schema[name], schema.encode(table, [name])[:, 0], schema


def is_arrow(column: object) -> bool:
    return isinstance(column, pa.Array | pa.ChunkedArray)


# The same of every kind of table


@pytest.mark.filterwarnings("ignore::fusionpy.FusionWarning")
def test_kinds_and_codes_do_not_depend_on_the_kind_of_table():
    frames = [pandas_frame(), polars_frame(), arrow_table()]
    schemas = [learn(frame) for frame in frames]
    kinds = {v.name: v.kind for v in (*schemas[0].x, *schemas[0].y)}
    assert kinds == {
        "whole": "continuous",
        "real": "continuous",
        "flag": "logical",
        "word": "nominal",
        "size": "ordered",
        "region": "nominal",
        "gap": "continuous",
    }
    assert schemas[0]["size"].levels == tuple(SIZES)
    assert schemas[0]["region"].levels == tuple(REGIONS)
    assert schemas[0]["word"].levels == ("Z", "a", "b", "ä")
    assert schemas[0] == schemas[2]
    # polars' Categorical has no levels but its values: they are sorted.
    assert schemas[1]["region"].levels == tuple(sorted(REGIONS))
    assert schemas[1].names == schemas[0].names
    for frame in frames:
        schemas[0].check_recipient(as_table(frame), [v.name for v in schemas[0].x], "the model")
        np.testing.assert_array_equal(
            schemas[0].encode(as_table(frame), NAMES), schemas[0].encode(as_table(frames[0]), NAMES)
        )


def test_codes_are_values_level_numbers_and_gaps():
    with pytest.warns(fusionpy.FusionWarning, match="Text columns are taken as nominal.*`word`"):
        schema = learn(pandas_frame())
    codes = dict(zip(NAMES, schema.encode(as_table(pandas_frame()), NAMES).T, strict=True))
    np.testing.assert_array_equal(codes["whole"], WHOLE)
    np.testing.assert_array_equal(codes["gap"], np.where(GAP, np.nan, REAL))
    np.testing.assert_array_equal(codes["flag"], FLAG)
    np.testing.assert_array_equal(codes["size"], [SIZES.index(v) for v in SIZE])
    np.testing.assert_array_equal(codes["region"], [REGIONS.index(v) for v in REGION])


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["1", "2", "unknown"], "`rooms` has numbers, and 'unknown'; if it is a quantity, make it numeric."),
        (["1,000", "-2.5e3", "3"], None),  # codes, perhaps: every one is a number
        (["1", "two", "three"], None),
        (
            ["owner", "renter", "Owner "],
            "`rooms` has levels that differ by case or blanks only: 'Owner ', 'owner'.",
        ),
        (["own er", "owner"], None),
    ],
)
def test_texts_that_are_hardly_levels(texts, told):
    frame = pd.DataFrame({"rooms": texts * 20})
    with pytest.warns(fusionpy.FusionWarning) as warned:
        Schema.learn(as_table(frame), ["rooms"], [])
    plain = "Text columns are taken as nominal, their levels sorted: `rooms`."
    assert str(warned[0].message) == (plain if told is None else f"{plain} {told}")


def test_a_text_that_csv_readers_take_for_no_answer():
    frame = pd.DataFrame({"fuel": ["gas", None, "wood"] * 20, "kwh": [1.0, None, 2.0] * 20})
    with pytest.raises(SchemaError) as refused:
        Schema.learn(as_table(frame), [], ["fuel", "kwh"])
    fuel, kwh = (line for line in str(refused.value).splitlines() if "20 missing values" in line)
    assert "`fuel`" in fuel
    assert "was 'None' or 'NA' an answer" in fuel
    assert kwh.endswith("impute their values first.")


@pytest.mark.parametrize(
    ("column", "kind", "storage"),
    [
        (pd.Series([1, 2, None], dtype="Int64"), "continuous", "int64"),
        (pd.Series([1, 2, 3], dtype="UInt8"), "continuous", "uint8"),
        (pd.Series([1.5, None, 3], dtype="Float32"), "continuous", "float"),
        (pd.Series([1.5, None, 3], dtype="float64[pyarrow]"), "continuous", "double"),
        (pd.Series([1, None, 3], dtype="int16[pyarrow]"), "continuous", "int16"),
        (pd.Series([True, None, False], dtype="boolean"), "logical", "bool"),
        (pd.Series([True, None, False], dtype="bool[pyarrow]"), "logical", "bool"),
        (pd.Series([True, None, False], dtype=object), "logical", "bool"),
        (pd.Series(["b", None, "a"], dtype=object), "nominal", "string"),
        (pd.Series(["b", None, "a"], dtype="string"), "nominal", "string"),
        (pd.Series(["b", None, "a"], dtype="string[pyarrow]"), "nominal", "string"),
        (pd.Series(["b", None, "a"], dtype="category"), "nominal", "string"),
        (pd.Series([1, None, 3], dtype=object), "continuous", "int64"),
        (pd.Series([np.float16(1.5), 2, 3], dtype="float16"), "continuous", "halffloat"),
    ],
)
@pytest.mark.filterwarnings("ignore::fusionpy.FusionWarning")
def test_pandas_dtypes(column, kind, storage):
    frame = pd.DataFrame({"v": column, "y": [1, 2, 3]})
    variable, codes, _ = learn_one(frame)
    assert (variable.kind, variable.storage) == (kind, storage)
    np.testing.assert_array_equal(np.isnan(codes), column.isna())


@pytest.mark.parametrize(
    ("array", "kind", "codes"),
    [
        (pa.array(["b", "a", None], pa.large_string()), "nominal", [1, 0, np.nan]),
        (pa.array(["b", "a", None], pa.string_view()), "nominal", [1, 0, np.nan]),
        (
            pa.DictionaryArray.from_arrays([1, 0, None], pa.array(["b", "a"], pa.string_view())),
            "nominal",
            [1, 0, np.nan],
        ),
        (pa.array([3, None, 1], pa.uint64()), "continuous", [3, np.nan, 1]),
        (pa.array([3, None, 1], pa.int8()), "continuous", [3, np.nan, 1]),
        (pa.array([0.5, None, 1], pa.float32()), "continuous", [0.5, np.nan, 1]),
        (pa.array([True, None, False]), "logical", [1, np.nan, 0]),
        (pa.array([5, None, 7], pa.int64()).dictionary_encode(), "nominal", [0, np.nan, 1]),
        (pa.array([0.5, None, 7]).dictionary_encode(), "nominal", [0, np.nan, 1]),
        (pa.array([True, None, False]).dictionary_encode(), "nominal", [0, np.nan, 1]),
        (pa.array(["x", "y", "x"], pa.large_string()).dictionary_encode(), "nominal", [0, 1, 0]),
    ],
)
@pytest.mark.filterwarnings("ignore::fusionpy.FusionWarning")
def test_arrow_types(array, kind, codes):
    variable, found, _ = learn_one(array)
    assert variable.kind == kind
    np.testing.assert_array_equal(found, codes)


def test_chunks_with_other_dictionaries():
    chunks = [
        pa.DictionaryArray.from_arrays([0, 1, None], ["b", "a"]),
        pa.DictionaryArray.from_arrays([0, 1, 2], ["c", "a", "b"]),
        pa.DictionaryArray.from_arrays(pa.array([], pa.int64()), ["d"]),
    ]
    variable, codes, _ = learn_one(pa.chunked_array(chunks))
    assert [variable.levels[int(c)] if c == c else None for c in codes] == ["b", "a", None, "c", "a", "b"]
    chunks = [pa.DictionaryArray.from_arrays([1, 0], ["low", "high"], ordered=True)] * 2
    variable, codes, _ = learn_one(pa.chunked_array(chunks))
    assert (variable.kind, variable.levels) == ("ordered", ("low", "high"))
    np.testing.assert_array_equal(codes, [1, 0, 1, 0])


def test_slices():
    table = arrow_table()
    schema = learn(table, ["size", "region", "gap", "flag"])
    names = schema.names
    whole = schema.encode(as_table(table), names)
    np.testing.assert_array_equal(schema.encode(as_table(table.slice(11, 23)), names), whole[11:34])
    frame = pandas_frame().iloc[11:34]
    np.testing.assert_array_equal(schema.encode(as_table(frame), names), whole[11:34])


def test_rows_are_in_order_whatever_the_index():
    frame = pandas_frame().drop(columns="word")
    shuffled = frame.set_index(pd.Index(RNG.permutation(N) // 2, name="hid"))
    names = [name for name in NAMES if name != "word"]
    schema = learn(frame)
    np.testing.assert_array_equal(
        schema.encode(as_table(shuffled), names), schema.encode(as_table(frame), names)
    )


def test_whole_numbers_stay_exact_up_to_2_to_the_53():
    values = [2**53, -(2**53), 2**53 - 1, 0]
    variable, codes, _ = learn_one(pa.array(values))
    assert variable.decode(codes).to_pylist() == values
    with pytest.raises(SchemaError, match=r"beyond 2\*\*53"):
        learn_one(pa.array([2**53 + 1, 0]))
    with pytest.raises(SchemaError, match=r"beyond 2\*\*53"):
        learn_one(pa.array([2**64 - 1, 0], pa.uint64()))


def test_numbers_that_python_cannot_make_one_column_of():
    with pytest.raises(SchemaError, match="`v`: values of different types"):
        learn_one(pd.DataFrame({"v": [2**70, "x"], "y": [1, 2]}))
    with pytest.raises(Unreadable, match="values of type Sparse"):
        as_table(pd.DataFrame({"v": pd.arrays.SparseArray([0, 0, 1])})).column("v")


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (pa.array([Decimal("1.50")]), "decimal numbers (Arrow's decimal type)"),
        (pa.array([1], pa.timestamp("ns")), "dates or times"),
        (pa.array([1], pa.duration("s")), "dates or times"),
        (pa.array([{"a": 1}]), "lists or records"),
        (pa.array([b"x"]), "values of type 'binary'"),
        (pa.array([None]), "values of type 'null'"),
        (pa.array(["x"]), "text"),
        (pa.array([1.5]), "numeric"),
        (pa.array([True]), "logical (True or False)"),
    ],
)
def test_columns_are_described(values, told):
    assert describe(values) == told


def test_names_that_r_takes():
    for name in ("income", ".x", "a.b_c2", "Einkommen.für.Öl", "T", "TRUE.", "...x"):
        assert is_r_name(name), name
    for name in (
        "",
        "2x",
        "_x",
        "a b",
        "a-b",
        "if",
        "TRUE",
        "NA_real_",
        ".2x",
        "...",
        "..1",
        "a\n",
        "x\u200b",
    ):
        assert not is_r_name(name), name


# And back


@st.composite
def columns(draw: st.DrawFn) -> pa.Array:
    """A column of any kind that is supported, with gaps."""
    n = draw(st.integers(2, 30))

    def gappy(values: st.SearchStrategy) -> list:
        return draw(
            st.lists(st.none() | values, min_size=n, max_size=n).filter(
                lambda v: any(x is not None for x in v)
            )
        )

    kind = draw(st.sampled_from(["whole", "real", "logical", "text", "levels"]))
    if kind == "whole":
        width, signed = draw(st.sampled_from([8, 16, 32, 54])), draw(st.booleans())
        most = 2 ** (width - 1) - 1
        kind = pa.type_for_alias(f"{'int' if signed else 'uint'}{64 if width == 54 else width}")
        return pa.array(gappy(st.integers(-most if signed else 0, most)), kind)
    if kind == "real":
        width = draw(st.sampled_from([32, 64]))
        return pa.array(gappy(st.floats(allow_nan=False, allow_infinity=False, width=width)), f"float{width}")
    if kind == "logical":
        return pa.array(gappy(st.booleans()), pa.bool_())
    letters = st.text(string.printable + "äß漢", max_size=8)
    if kind == "text":
        return pa.array(gappy(letters), draw(st.sampled_from([pa.string(), pa.large_string()])))
    level = draw(st.sampled_from([letters, st.integers(-5, 10**6), st.floats(allow_nan=False, width=64)]))
    levels = draw(st.lists(level, min_size=1, max_size=8, unique=True))
    codes = pa.array(gappy(st.integers(0, len(levels) - 1)), pa.int16())
    return pa.DictionaryArray.from_arrays(codes, pa.array(levels), ordered=draw(st.booleans()))


@given(columns())
@settings(suppress_health_check=[HealthCheck.too_slow])
@pytest.mark.filterwarnings("ignore::fusionpy.FusionWarning")
def test_decoding_undoes_encoding(array):
    variable, codes, schema = learn_one(array)
    known = ~np.isnan(codes)
    back = variable.decode(codes[known])
    assert back.to_pylist() == array.drop_null().to_pylist()
    assert back.type == variable.arrow_type
    if pa.types.is_dictionary(array.type):
        assert back.dictionary.to_pylist() == array.dictionary.to_pylist()
        assert back.type.ordered == array.type.ordered
    elif not pa.types.is_large_string(array.type):
        assert back.type == array.type
    schema.check_recipient(as_table(pa.table({"v": array})), ["v"], "the model")


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=20), st.permutations(["a", "b", "c"]))
def test_codes_follow_the_levels_of_training(values, order):
    """Whatever a recipient's dictionary looks like inside, a level has the code that training gave it."""
    schema = Schema((Variable("v", "nominal", ("a", "b", "c"), "string"),), ())
    own = pa.DictionaryArray.from_arrays(pa.array([order.index(v) for v in values]), order)
    for column in (own, pa.array(values), pa.array(values, pa.large_string())):
        codes = schema.encode(as_table(pa.table({"v": column})), ["v"])
        assert ["abc"[int(c)] for c in codes[:, 0]] == values


# Results


@pytest.fixture(scope="module")
def donor() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    n = 120
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "region": pd.Categorical(rng.choice(REGIONS, n), REGIONS),
            "whole": rng.integers(0, 200, n).astype(np.int32),
            "nullable": pd.array(rng.integers(0, 9, n), dtype="Int64"),
            "real": rng.normal(size=n).astype(np.float32),
            "flag": rng.random(n) < 0.5,
            "size": pd.Categorical(rng.choice(SIZES[:3], n), SIZES, ordered=True),
            "kind": pd.Categorical(rng.choice(REGIONS, n), [*REGIONS, "never"]),
            "code": pd.Categorical(rng.choice([30, 10, 20], n), [30, 10, 20]),
            "grade": pd.Categorical(rng.choice([0.5, 1.5], n), [1.5, 0.5], ordered=True),
            "word": rng.choice(["yes", "no", "perhaps"], n),
        }
    )


@pytest.fixture(scope="module")
def model(donor) -> fusionpy.FusionModel:
    with pytest.warns(fusionpy.FusionWarning, match="`word`"):
        return fusionpy.train(
            donor,
            ["flag", "size", ["whole", "nullable", "real", "kind", "code", "grade", "word"]],
            ["age", "region"],
            refits=0,
            nfolds=2,
            nquantiles=2,
            seed=1,
            quiet=True,
            hyper={"num_iterations": 2},
        )


TYPES = {
    "flag": pa.bool_(),
    "size": pa.dictionary(pa.int32(), pa.string(), ordered=True),
    "whole": pa.int32(),
    "nullable": pa.int64(),
    "real": pa.float32(),
    "kind": pa.dictionary(pa.int32(), pa.string()),
    "code": pa.dictionary(pa.int32(), pa.int64()),
    "grade": pa.dictionary(pa.int32(), pa.float64(), ordered=True),
    "word": pa.string(),
}


@pytest.mark.parametrize("rows", [0, 1, 25])
def test_the_same_kind_of_table_comes_back_with_the_donor_types(donor, model, rows):
    recipient = donor[["age", "region"]].head(rows)
    fused = fusionpy.fuse(recipient, model, M=2, seed=1, quiet=True)
    assert list(fused.columns) == ["M", *TYPES]
    assert len(fused) == 2 * rows
    for name in TYPES:
        if name != "nullable":  # without missing values there is no need of pandas' own integers
            assert fused[name].dtype == donor[name].dtype, name
    assert fused["nullable"].dtype == np.int64
    assert fused["size"].cat.categories.tolist() == SIZES
    assert fused.attrs["fusionpy"]["seed"] == 1

    arrow = fusionpy.fuse(pa.Table.from_pandas(recipient), model, M=2, seed=1, quiet=True)
    assert {name: arrow.schema.field(name).type for name in TYPES} == TYPES
    assert arrow.column("kind").combine_chunks().dictionary.to_pylist() == [*REGIONS, "never"]
    assert arrow.to_pandas()["code"].cat.categories.tolist() == [30, 10, 20]
    assert b"fusionpy" in arrow.schema.metadata
    assert_frame_equal(arrow.to_pandas(), fused)

    polars = fusionpy.fuse(pl.from_pandas(recipient), model, M=2, seed=1, quiet=True)
    assert polars.schema["size"] == pl.Enum(SIZES)
    assert polars.schema["kind"] == pl.Categorical
    assert polars.schema["whole"] == pl.Int32
    assert polars.schema["word"] == pl.String
    assert polars.schema["flag"] == pl.Boolean
    assert polars.schema["code"] == pl.Categorical  # of text: polars has no levels that are numbers
    for name in TYPES:
        values = fused[name].astype(str) if name in ("code", "grade") else fused[name]
        assert polars[name].to_list() == values.tolist(), name


def test_a_file_has_the_same_types(donor, model, tmp_path):
    for rows in (0, 25):
        recipient = donor[["age", "region", "word"]].head(rows)
        path = fusionpy.fuse(
            recipient, model, tmp_path / f"{rows}.parquet", retain="age", M=2, seed=1, quiet=True
        )
        found = pq.read_table(path)
        assert found.num_rows == 2 * rows
        assert found.schema.field("age").type == pa.int64()
        # Parquet gives back levels of text only: other levels come as their values.
        plain = {"code": pa.int64(), "grade": pa.float64()}
        assert {name: found.schema.field(name).type for name in TYPES} == TYPES | plain
        assert found.column("size").combine_chunks().dictionary.to_pylist() == (SIZES if rows else [])


def test_polars_donors_come_back_as_polars_has_them():
    frame = polars_frame().with_columns(x=pl.Series(RNG.normal(size=N)))
    with pytest.warns(fusionpy.FusionWarning, match="`word`"):
        model = fusionpy.train(
            frame,
            [["region", "size", "word", "whole"]],
            "x",
            refits=0,
            nfolds=2,
            nquantiles=2,
            seed=1,
            quiet=True,
            hyper={"num_iterations": 1},
        )
    assert not model.schema["region"].text
    fused = fusionpy.fuse(frame, model, seed=1, quiet=True)
    assert fused.columns == ["M", "region", "size", "word", "whole"]
    types = [pl.Int32, pl.Categorical, pl.Enum(SIZES), pl.String, pl.Int32]
    assert all(found == wanted for found, wanted in zip(fused.dtypes, types, strict=True))


ODD = {
    "id": [2**62 + i for i in range(8)],
    "note": ["a", None, "b", "c", "d", "e", "f", "g"],
}


def test_retained_columns_come_back_as_they_were_in_pandas(donor, model):
    recipient = (
        donor[["age", "region"]]
        .head(8)
        .assign(
            id=pd.array([None, *ODD["id"][1:]], dtype="Int64"),
            mixed=[1, "a", None, [3], {}, 2.5, True, b"x"],
            when=pd.date_range("2020-01-01", periods=8, tz="Europe/Rome"),
            slot=pd.cut(pd.Series(range(8)), 3),
            note=pd.Series(ODD["note"], dtype="string"),
        )
    )
    recipient.index = [5] * 8
    names = ["slot", "id", "mixed", "when", "note", "region"]
    fused = fusionpy.fuse(recipient, model, M=3, retain=names, seed=1, quiet=True)
    assert list(fused.columns[:7]) == ["M", *names]
    assert fused.index.tolist() == list(range(24))
    for m in range(3):
        part = fused.iloc[m * 8 : m * 8 + 8].reset_index(drop=True)
        assert_frame_equal(part[names], recipient[names].reset_index(drop=True))


def test_retained_columns_come_back_as_they_were_in_polars_and_arrow(donor, model):
    base = pl.from_pandas(donor[["age", "region"]].head(8))
    frame = base.with_columns(
        id=pl.Series(ODD["id"], dtype=pl.UInt64),
        thing=pl.Series([object() for _ in range(8)], dtype=pl.Object),
        money=pl.Series([Decimal("1.10")] * 8, dtype=pl.Decimal(10, 2)),
        bag=pl.Series([[1, 2]] * 8),
        note=pl.Series(ODD["note"], dtype=pl.Categorical),
    )
    names = ["id", "thing", "money", "bag", "note"]
    fused = fusionpy.fuse(frame, model, M=2, retain=names, seed=1, quiet=True)
    assert fused.columns[:6] == ["M", *names]
    assert_polars_equal(fused.select(names).drop("thing"), pl.concat([frame.select(names).drop("thing")] * 2))
    assert fused["thing"].to_list() == frame["thing"].to_list() * 2

    table = pa.table({**{n: base[n].to_arrow() for n in base.columns}, "id": ODD["id"], "bag": [[1, 2]] * 8})
    table = table.set_column(1, "region", pa.array(donor["region"].head(8)))
    fused = fusionpy.fuse(table, model, M=2, retain=["bag", "id"], seed=1, quiet=True)
    assert fused.column_names[:3] == ["M", "bag", "id"]
    assert fused.column("id").to_pylist() == ODD["id"] * 2
    assert fused.schema.field("bag").type == table.schema.field("bag").type


def test_a_table_is_returned_without_company():
    table = pa.table({"a": [1], "b": pa.DictionaryArray.from_arrays([0], ["x"], ordered=True)})
    assert return_table(table, "pyarrow", {}).equals(table)
    assert return_table(table, "polars", {}).schema["b"] == pl.Enum(["x"])
    assert return_table(table, "pandas", {"seed": 3}).attrs == {"fusionpy": {"seed": 3}}


def test_an_empty_frame_without_types_gives_an_empty_result(donor, model):
    fused = fusionpy.fuse(pd.DataFrame({"age": [], "region": []}, dtype=object), model, quiet=True, seed=1)
    assert fused["size"].dtype == donor["size"].dtype
    assert len(fused) == 0


def test_narwhals_frames_are_read(donor, model):
    import narwhals as nw

    fused = fusionpy.fuse(nw.from_native(donor.head(3)), model, seed=1, quiet=True, retain="age")
    assert isinstance(fused, pd.DataFrame)


def test_text_for_levels_and_levels_for_text(donor, model):
    """A nominal column may come as plain text, and text as categories; ordered ones must have their order."""
    asked = {"M": 1, "seed": 3, "quiet": True}
    expected = fusionpy.fuse(donor, model, **asked)
    as_text = donor.assign(region=donor["region"].astype(str))
    assert_frame_equal(fusionpy.fuse(as_text, model, **asked), expected)
    as_view = pa.table(
        {"age": donor["age"], "region": pa.array(donor["region"].astype(str), pa.string_view())}
    )
    assert_frame_equal(fusionpy.fuse(as_view, model, **asked).to_pandas(), expected)
