"""What R calls, without R: columns both ways, errors and progress as data, every verb."""

import json
import threading
import time
import warnings

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patience import PATIENCE

import fusionpy
from fusionpy.bridge import Job, calls
from fusionpy.bridge.columns import Packed, read_frame
from fusionpy.bridge.words import in_r
from fusionpy.engines.lightgbm import boosting
from fusionpy.errors import ArchiveError, ArgumentError, FusionError, FusionWarning, OutputError, SchemaError
from fusionpy.formats.r_types import KINDS, field_of
from fusionpy.progress import announce, heard_by, track

NA = -(2**31)
NA_REAL = np.array([0x7FF00000000007A2], np.uint64).view(np.float64)[0]
X = ["region", "rooms", "income"]


def sent(kind, values, **more):
    """Tell of a column as R does, and give its buffers."""
    return {"name": "a", "kind": kind, "pieces": [{"rows": len(values), "buffer": 0}], **more}, [
        bytearray(values.tobytes())
    ]


def read_one(column, buffers, rows):
    return read_frame({"rows": rows, "columns": [column]}, buffers)["a"]


def there_and_back(table, most_rows=2**27):
    """Pack a table for R, and read it as if R had sent it."""
    buffers = []

    def put(buffer):
        buffers.append(buffer)
        return len(buffers) - 1

    packed = Packed(table, most_rows)
    columns = [packed.pack(place, put) for place in range(table.num_columns)]
    return read_frame({"rows": table.num_rows, "columns": columns}, buffers)


def finished(verb, arguments=None, frames=None, buffers=None, opened=None):
    """Run a job to its end: the job, and its reply."""
    request = {"verb": verb, "arguments": arguments or {}, "frames": frames or {}}
    job = Job(json.dumps(request), buffers or [], opened)
    assert json.loads(job.wait(PATIENCE))["done"]
    return job, json.loads(job.reply())


def packed_frame(table, buffers):
    """Add a table's buffers; tell of it."""

    def put(buffer):
        buffers.append(buffer)
        return len(buffers) - 1

    packed = Packed(table)
    columns = [packed.pack(place, put) for place in range(table.num_columns)]
    return {"rows": table.num_rows, "columns": columns}


def table_of(job, reply, name="frame"):
    """Fetch a frame of a finished job."""
    told = reply["frames"][name]
    columns, buffers = [], {}
    for place in range(len(told["columns"])):
        column = json.loads(job.pack(name, place))
        assert column.pop("status") == "done"
        for piece in [*column["pieces"], column.get("levels", {})]:
            for key in ("buffer", "missing"):
                if key in piece:
                    buffers[piece[key]] = bytearray(job.take(piece[key]))
                    job.drop(piece[key])
        columns.append(column)
    return read_frame({"rows": told["rows"], "columns": columns}, buffers)


@pytest.fixture(scope="module")
def donor():
    return pa.Table.from_pandas(fusionpy.datasets.load_donor().head(300), preserve_index=False)


@pytest.fixture(scope="module")
def fsn(donor, tmp_path_factory):
    path = tmp_path_factory.mktemp("bridge") / "m.fsn"
    hyper = {"num_iterations": 5}
    fusionpy.train(
        donor, ["solar", "vehicles"], X, fsn=path, hyper=hyper, refits=0, seed=1, nfolds=2, quiet=True
    )
    return str(path)


# What R has in memory.


def test_integers_na():
    column, buffers = sent("integer", np.array([7, NA, -1], np.int32))
    assert read_one(column, buffers, 3).to_pylist() == [7, None, -1]


def test_doubles_tell_na_from_nan():
    column, buffers = sent("double", np.array([1.5, NA_REAL, np.nan, np.inf]))
    array = read_one(column, buffers, 4)
    assert array.is_null().to_pylist() == [False, True, False, False]
    assert np.isnan(array[2].as_py())


def test_logicals_are_integers_in_r():
    column, buffers = sent("logical", np.array([1, 0, NA, 5], np.int32))
    assert read_one(column, buffers, 4).to_pylist() == [True, False, None, True]


def test_factors_count_from_one_and_keep_levels():
    levels = {"rows": 3, "buffer": 1}
    column, buffers = sent("ordered", np.array([3, NA, 1], np.int32), levels=levels)
    array = read_one(column, [*buffers, bytearray(b"lo\0mid\0hi\0")], 3)
    assert array.to_pylist() == ["hi", None, "lo"]
    assert array.type.ordered
    assert array.chunk(0).dictionary.to_pylist() == ["lo", "mid", "hi"]


@pytest.mark.parametrize("code", [0, 4, -5])
def test_broken_factors_are_refused(code):
    column, buffers = sent("factor", np.array([1, code], np.int32), levels={"rows": 3, "buffer": 1})
    with pytest.raises(SchemaError, match="`a`: a factor with codes"):
        read_one(column, [*buffers, bytearray(b"a\0b\0c\0")], 2)


def test_texts_end_with_zero():
    piece = {"rows": 4, "buffer": 0, "missing": 1}
    column = {"name": "a", "kind": "character", "pieces": [piece]}
    buffers = [bytearray("é\0\0NA\0NA\0".encode()), bytearray(np.array([3], np.int32).tobytes())]
    assert read_one(column, buffers, 4).to_pylist() == ["é", "", "NA", None]


def test_pieces_are_put_together():
    column = {"name": "a", "kind": "integer", "pieces": [{"rows": 1, "buffer": k} for k in (1, 0)]}
    buffers = [bytearray(np.array([k], np.int32).tobytes()) for k in (1, 2)]
    assert read_one(column, buffers, 2).to_pylist() == [2, 1]


def test_columns_not_sent_are_known_by_name():
    table = read_frame({"rows": 3, "columns": [{"name": "a", "kind": "absent"}]}, [])
    assert table.schema.field("a").type == pa.null()
    assert table.num_rows == 3


def test_numbers_are_not_copied():
    column, buffers = sent("double", np.arange(5.0))
    array = read_one(column, buffers, 5)
    assert array.chunk(0).buffers()[1].address == np.frombuffer(buffers[0]).ctypes.data


def test_what_r_gets_of_missing_values():
    table = pa.table(
        {"d": [1.0, None, np.nan], "i": pa.array([1, None, 2], pa.int32()), "l": [True, None, False]}
    )
    buffers = []
    frame = packed_frame(table, buffers)
    d, i, logical = (buffers[column["pieces"][0]["buffer"]] for column in frame["columns"])
    bits = np.frombuffer(d, np.uint64)
    assert bits[1] == 0x7FF00000000007A2
    assert int(bits[2]) & 0xFFFFFFFF != 1954
    assert np.frombuffer(i, np.int32).tolist() == [1, NA, 2]
    assert np.frombuffer(logical, np.int32).tolist() == [1, NA, 0]


def test_zero_bytes_in_texts_are_left_out():
    assert there_and_back(pa.table({"a": ["x\0y", None]}))["a"].to_pylist() == ["xy", None]


def test_columns_that_r_does_not_have():
    with pytest.raises(SchemaError, match="`a`: list"):
        Packed(pa.table({"a": [[1], [2]]}))
    with pytest.raises(SchemaError, match=r"`a`: .*NA to R"):
        there_and_back(pa.table({"a": pa.array([NA], pa.int32())}))
    packed = Packed(pa.table({"a": [1.0]}))
    packed.pack(0, lambda buffer: 0)
    with pytest.raises(SchemaError, match="packed before"):
        packed.pack(0, lambda buffer: 0)


def test_chunks_with_levels_of_their_own():
    pieces = [pa.array(each).dictionary_encode() for each in (["a", "b"], ["c", None, "a"], [])]
    pieces[2] = pieces[2].cast(pieces[0].type)
    column = pa.chunked_array(pieces)
    assert there_and_back(pa.table({"f": column}))["f"].to_pylist() == ["a", "b", "c", None, "a"]


def test_no_rows_and_no_columns():
    assert there_and_back(pa.table({})).num_columns == 0
    empty = pa.table(
        {"f": pa.array([], pa.dictionary(pa.int32(), pa.string())), "c": pa.array([], pa.string())}
    )
    assert there_and_back(empty).num_rows == 0
    assert (
        there_and_back(pa.table({"f": pa.chunked_array([], pa.dictionary(pa.int32(), pa.string()))})).num_rows
        == 0
    )


whole = st.integers(NA + 1, 2**31 - 1)
text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6)
MADE = {
    "integer": (whole, pa.int32()),
    "double": (st.floats(allow_nan=False), pa.float64()),
    "logical": (st.booleans(), pa.bool_()),
    "character": (text, pa.string()),
    "integer64": (st.integers(-(2**63) + 1, 2**63 - 1), pa.int64()),
    "Date": (st.dates(), pa.date32()),
    "POSIXct": (st.integers(-(2**40), 2**40), pa.timestamp("us", "UTC")),
}


@given(st.data(), st.integers(0, 12), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_random_frames_come_back(data, rows, most_rows):
    columns = {}
    for name, (values, kind) in MADE.items():
        drawn = data.draw(st.lists(st.none() | values, min_size=rows, max_size=rows), label=name)
        columns[name] = pa.array(drawn, kind)
    levels = data.draw(st.lists(text, min_size=1, max_size=4, unique=True))
    codes = data.draw(st.lists(st.none() | st.integers(0, len(levels) - 1), min_size=rows, max_size=rows))
    for name in ("factor", "ordered"):
        columns[name] = pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int32()), pa.array(levels, pa.string()), ordered=name == "ordered"
        )
    table = pa.table(columns)
    back = there_and_back(table, most_rows)
    assert back.schema.names == table.schema.names
    for name in columns:
        assert back[name].to_pylist() == table[name].to_pylist()
        assert back[name].type == table[name].type
    if rows:
        assert back["factor"].chunk(0).dictionary.to_pylist() == levels


@pytest.mark.parametrize("name", sorted(set(KINDS) - {"factor", "ordered", "raw"}))
def test_every_kind_of_r_comes_back_as_that_kind(name):
    kind = KINDS[name]
    field = field_of("a", kind, "Europe/Paris" if kind.has_zone else None)
    told = Packed(pa.table([pa.array([None], field.type)], schema=pa.schema([field]))).told
    assert told["columns"][0]["kind"] == name
    assert told["columns"][0].get("zone") == ("Europe/Paris" if kind.has_zone else None)


# R's words.


@pytest.mark.parametrize(
    ("python", "r"),
    [
        ("See `help(fusionpy.fuse)` for what it takes.", "See `?fusionpy::fuse`."),
        ("See `help(fusionpy.prep_xy)`.", "See `?fusionpy::prepXY`."),
        ("`prep_xy()` cannot start.", "`prepXY()` cannot start."),
        ("`fast` must be True or False, not 1.", "`fast` must be TRUE or FALSE, not 1."),
        ("must be numeric, not text", "must be numeric, not character"),
        ("must be text, not numeric", "must be character, not numeric"),
        ("must be numeric, not unordered categories", "must be numeric, not an unordered factor"),
        (
            "its categories must be ordered, not unordered",
            "must be an ordered factor, not an unordered one",
        ),
        (
            "dates or times; only numbers, categories, text and booleans can be used",
            "dates or times; only numbers, factors, characters and logicals can be used",
        ),
        (
            "Text columns are taken as nominal, their levels sorted: `a`.",
            "Character columns are taken as unordered factors, their levels sorted: `a`.",
        ),
        ("`income` has a context and None.", "`income` has a context and NULL."),
    ],
)
def test_words(python, r):
    assert in_r(python, "fuse") == r


def test_arguments_have_rs_names():
    assert in_r("`model` must be", "importance") == "`fsn` must be"
    assert in_r("`model` must be", "fuse") == "`model` must be"
    assert in_r("`where` has", "read_fsd") == "`df` has"


# Jobs.


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (ArgumentError, "argument"),
        (SchemaError, "schema"),
        (ArchiveError, "archive"),
        (OutputError, "output"),
        (FusionError, "argument"),
    ],
)
def test_errors_are_data(kind, name, monkeypatch):
    def refuse(arguments, frames, model):
        warnings.warn("Text columns are taken as nominal.", FusionWarning, stacklevel=1)
        warnings.warn("not for users", DeprecationWarning, stacklevel=1)
        raise kind("No: True or False.", ["`a`: not text."], "See `help(fusionpy.train)`.")

    monkeypatch.setitem(calls.CALLS, "train", refuse)
    _, reply = finished("train")
    assert reply == {
        "status": "failed",
        "class": name,
        "headline": "No: TRUE or FALSE.",
        "problems": ["`a`: not character."],
        "hint": "See `?fusionpy::train`.",
        "warnings": ["Character columns are taken as unordered factors."],
    }


def test_faults_are_data(monkeypatch):
    monkeypatch.setitem(calls.CALLS, "train", lambda *_: 1 / 0)
    _, reply = finished("train")
    assert (reply["status"], reply["class"]) == ("failed", "internal")
    assert "ZeroDivisionError" in reply["hint"]


def test_what_is_said_is_kept_until_asked_for(monkeypatch):
    reached, go_on = threading.Event(), threading.Event()

    def work(arguments, frames, model):
        announce("prep_xy: None", quiet=False)
        announce("unheard", quiet=True)
        with track("prep_xy", 3, quiet=False) as tick:
            tick()
            tick(doing="two")
        reached.set()
        assert go_on.wait(PATIENCE)
        return calls.Reply({"n": 1})

    monkeypatch.setitem(calls.CALLS, "prepXY", work)
    job = Job('{"verb": "prepXY", "arguments": {}, "frames": {}}', [])
    assert reached.wait(PATIENCE)
    progress = {"title": "prepXY", "done": 2, "total": 3, "doing": "two"}
    assert json.loads(job.wait(0)) == {"done": False, "said": [{"text": "prepXY: NULL"}, progress]}
    go_on.set()
    assert json.loads(job.wait(PATIENCE)) == {"done": True, "said": []}
    assert json.loads(job.reply())["value"] == {"n": 1}


def test_cancelling_stops_the_work(monkeypatch):
    begun, stopped = threading.Event(), []

    def work(arguments, frames, model):
        try:
            begun.set()
            while True:
                time.sleep(0.001)
        finally:
            stopped.append(True)

    monkeypatch.setitem(calls.CALLS, "fuse", work)
    job = Job('{"verb": "fuse", "arguments": {}, "frames": {}}', [])
    assert begun.wait(PATIENCE)
    job.cancel()
    assert json.loads(job.wait(PATIENCE))["done"]
    assert stopped == [True]
    assert json.loads(job.reply())["status"] == "interrupted"
    job.cancel()  # as often as one likes


def test_cancelling_reaches_the_threads_of_the_work(monkeypatch):
    begun, reached = threading.Event(), threading.Event()

    def work(arguments, frames, model):
        with track("fuse", 10, quiet=False) as tick:

            def piece():
                try:
                    while True:
                        tick(0)
                        begun.set()
                        time.sleep(0.001)
                except KeyboardInterrupt:
                    reached.set()

            thread = threading.Thread(target=piece)
            thread.start()
            thread.join()

    monkeypatch.setitem(calls.CALLS, "fuse", work)
    job = Job('{"verb": "fuse", "arguments": {}, "frames": {}}', [])
    assert begun.wait(PATIENCE)
    job.cancel()
    assert reached.wait(PATIENCE)
    assert json.loads(job.wait(PATIENCE))["done"]
    assert json.loads(job.reply())["status"] == "interrupted"


def test_cancelling_what_is_done_does_nothing(fsn):
    job, reply = finished("open", {"fsn": fsn})
    job.cancel()
    assert reply["status"] == json.loads(job.reply())["status"] == "done"


def test_listeners_hear_only_of_their_own(capsys):
    heard = []

    class Listener:
        def announce(self, message):
            heard.append(message)

        def follow(self, title, done, total, doing):
            heard.append((title, done, total, doing))

    with heard_by(Listener()):
        announce("one", quiet=False)
        with track("t", 2, quiet=False) as tick:
            tick(2, "x")
    announce("two", quiet=False)
    assert heard == ["one", ("t", 2, 2, "x")]
    assert capsys.readouterr().err == "two\n"


# Verbs.


def test_train(donor, tmp_path):
    buffers = []
    arguments = {
        "y": [["solar"], ["vehicles", "electricity"]],
        "x": X,
        "fsn": str(tmp_path / "m.fsn"),
        "hyper": {"boosting": "goss", "num_iterations": [3, 4]},
        "nfolds": 2,
        "refits": 0,
        "seed": 1,
    }
    job, reply = finished("train", arguments, {"data": packed_frame(donor, buffers)}, buffers)
    model = fusionpy.read_fsn(tmp_path / "m.fsn")
    assert reply["value"]["path"] == str(tmp_path / "m.fsn")
    assert reply["value"]["steps"] == [{"variables": ["solar"]}, {"variables": ["vehicles", "electricity"]}]
    assert reply["value"]["seconds"] == model.seconds
    assert [step.variables for step in model.steps] == [("solar",), ("vehicles", "electricity")]
    parameters = boosting.text(model.steps[0].final["solar_m"])
    assert "[boosting: gbdt]" in parameters
    assert "[data_sample_strategy: goss]" in parameters
    assert job.model is None


def test_train_tells_pools_and_notes(donor, tmp_path):
    buffers = []
    arguments = {
        "y": ["electricity"],
        "x": X,
        "fsn": str(tmp_path / "m.fsn"),
        "hyper": {"num_iterations": 4, "nonsense": 3, "max_bin": [63, 31], "objective": "huber"},
        "nfolds": 2,
        "refits": 0,
        "seed": 1,
    }
    frames = {"data": packed_frame(donor, buffers)}
    job = Job(json.dumps({"verb": "train", "arguments": arguments, "frames": frames}), buffers)
    said = []
    while True:
        state = json.loads(job.wait(1))
        said += [each["text"] for each in state["said"] if "text" in each]
        if state["done"]:
            break
    assert any("'nonsense' has no effect" in text for text in said)
    assert any("'max_bin' takes one value only: the first, 63," in text for text in said)
    reply = json.loads(job.reply())
    assert [text for text in reply["warnings"] if "'objective' has no effect" in text] == reply["warnings"]
    pools = fusionpy.read_fsn(tmp_path / "m.fsn").steps[0].pools
    step = reply["value"]["steps"][0]
    assert step["r2"] == pools.r2
    assert step["sizes"][0] == pools.sizes.min()
    assert step["sizes"][2:4] == [np.median(pools.sizes), pools.sizes.mean()]


def test_fuse_is_that_of_python(donor, fsn):
    opened, reply = finished("open", {"fsn": fsn})
    assert reply["value"] == {"predictors": X, "outcomes": ["solar", "vehicles"], "needed": X}
    buffers = []
    frame = packed_frame(donor.select(X), buffers)
    frame["columns"].append({"name": "hid", "kind": "absent"})
    arguments = {"fsn": fsn, "fsd": None, "M": 2, "retain": ["hid"], "seed": 3}
    job, reply = finished("fuse", arguments, {"data": frame}, buffers, opened)
    wanted = fusionpy.fuse(donor, fsn, M=2, seed=3, quiet=True)
    found = table_of(job, reply)
    assert found.column_names == ["M", "solar", "vehicles"]
    assert found.to_pydict() == wanted.to_pydict()


def test_whole_numbers_are_integers_if_all_donors_values_fit(donor, tmp_path):
    path = str(tmp_path / "m.fsn")
    wide = donor.select(X).append_column("vehicles", donor["vehicles"].cast(pa.int64()))
    fusionpy.train(wide, "vehicles", X, fsn=path, refits=0, nfolds=2, hyper={"num_iterations": 3}, quiet=True)
    buffers = []
    frames = {"data": packed_frame(donor.select(X), buffers)}
    arguments = {"fsn": path, "fsd": None, "M": 1, "retain": None, "seed": 3}
    opened, _ = finished("open", {"fsn": path})
    _, reply = finished("fuse", arguments, frames, buffers, opened)
    assert [column["kind"] for column in reply["frames"]["frame"]["columns"]] == ["integer", "integer"]


def test_impute_gives_the_columns_that_had_holes(donor):
    survey = donor.select(["rooms", "income", "hid"])
    buffers = []
    frame = packed_frame(survey.select(["rooms", "income"]), buffers)
    frame["columns"].append({"name": "hid", "kind": "absent"})
    job, reply = finished("impute", {"ignore": ["hid"], "seed": 1}, {"data": frame}, buffers)
    found = table_of(job, reply)
    assert survey["income"].null_count
    assert found.column_names == ["income"]
    assert found["income"].null_count == 0


def test_monotonic_gives_the_kind_that_y_is():
    buffers = []
    x = packed_frame(pa.table({"value": [0.0, 1, 2, 3, 4]}), buffers)
    y = packed_frame(pa.table({"value": pa.array([0, 10, 15, 30, 40], pa.int32())}), buffers)
    job, reply = finished("monotonic", {"plot": False, "seed": 1}, {"x": x, "y": y, "w": None}, buffers)
    assert table_of(job, reply)["y"].type == pa.int32()


def test_buffers_are_given_back_once():
    job, _ = finished("sample", {"name": "recipient"})
    column = json.loads(job.pack("frame", 0))
    place = column["pieces"][0]["buffer"]
    buffer = job.take(place)
    assert len(buffer) == 4 * 20_000
    job.drop(place)
    assert len(buffer) == 0
    assert json.loads(job.pack("frame", 0))["status"] == "failed"


@pytest.mark.parametrize("by", ["N", ["region", "N"]])
def test_groups_called_as_a_column_of_rs_result_are_refused(by):
    x = [{"how": "mean", "what": ["kwh"], "name": None}]
    arguments = {"x": x, "by": by, "detailed": False, "layout": "fusionModel"}
    with pytest.raises(ArgumentError, match="`by` names `N`, which the result has"):
        calls.CALLS["analyze"](arguments, {"implicates": None, "static": None}, None)


def test_r_is_warned_of_recipients_unlike_the_donors(donor, fsn):
    frame = donor.to_pandas()[X]
    frame["income"] /= 1000
    buffers = []
    told = {"data": packed_frame(pa.Table.from_pandas(frame, preserve_index=False), buffers)}
    _, reply = finished(
        "fuse", {"fsn": fsn, "fsd": None, "retain": None, "seed": 1, "quiet": True}, told, buffers
    )
    (warning,) = reply["warnings"]
    assert warning.startswith("Recipients are unlike the donors. `income`: ")
    assert "about 1,000 times smaller" in warning


def test_r_hears_of_codes_in_its_own_words():
    said = (
        "a quantity, not as categories: `a` (0, 1). If it is a code, make them categories, or True and False."
    )
    assert in_r(said, "train").endswith("a code, make them factors, or TRUE and FALSE.")
    assert "not as factors" in in_r(said, "train")
