"""Implicates drawn from codes, in pieces, equal those of the plainest loop, bit for bit."""

import dataclasses
import threading

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import slow_fuse
from pacing import quick
from patience import PATIENCE

import fusionpy
from fusionpy import datasets
from fusionpy.engines.lightgbm import engine
from fusionpy.errors import ArgumentError
from fusionpy.formats.notes import noted_attributes
from fusionpy.frames.tables import as_table
from fusionpy.fusion.chunks import DrawingPlan, in_order, noted, open_drawing
from fusionpy.fusion.recipients import open_recipient

# Recipients lack what no donor did, as LightGBM's way with that is a case, too.
pytestmark = pytest.mark.filterwarnings("ignore:Recipients have missing values that no donor had")

X = datasets.PREDICTORS
SHARES = ["food_share", "housing_share", "other_share"]
Y = ["heating_fuel", "electricity", "gas_cap", "gas_bill", SHARES, "solar", "energy"]
FAST = {"nclusters": 60, "krange": (5, 30), "weight": "weight", "seed": 5, "quiet": True}
HYPER = {"num_iterations": 6}
RULES = {
    "identities": ["energy = electricity + gas_bill"],
    "bounds": ["gas_bill <= gas_cap", "gas_bill = 0 unless heating_fuel in piped_gas", "gas_cap <= 20000"],
}
WAYS = {
    "refits": {"refits": 2, "hyper": HYPER, "effects": False},
    "folds": {"refits": 0, "hyper": HYPER},
    "fusionModel": {"method": "fusionModel", "hyper": HYPER},
    "2024": {"method": "2024", "hyper": {**HYPER, "num_leaves": [8, 32]}},
    "many quantiles": {"refits": 2, "effects": False, "nquantiles": 9, "hyper": {**HYPER, "max_depth": -1}},
    "rules": {"refits": 2, "hyper": HYPER, "effects": False, **RULES},
}


@pytest.fixture(scope="module", params=quick(WAYS, ["folds", "rules"]))
def model(request):
    donor = datasets.load_donor().head(700)
    donor = donor.assign(energy=donor.electricity + donor.gas_bill, gas_cap=donor.gas_bill * 1.5 + 5)
    y = Y if request.param == "rules" else [name for name in Y if name not in ("gas_cap", "energy")]
    return fusionpy.train(donor, y, X, **FAST, **WAYS[request.param])


@pytest.fixture(scope="module")
def recipient():
    frame = datasets.load_recipient().head(150).copy()
    frame.loc[frame.index[::7], ["age", "rooms"]] = None
    frame.loc[frame.index[3::11], ["tenure", "education"]] = None
    return frame


@pytest.fixture(scope="module")
def expected(model, recipient):
    """Two implicates, by the plainest loop."""
    x = model.schema.encode(as_table(recipient), X)
    assert np.isnan(x).any(axis=0).sum() >= 4
    return [
        slow_fuse.fuse(model, x, seed=11, implicate=implicate, offset=70, kblock=8) for implicate in range(2)
    ]


def assert_same(fused, model, expected):
    codes = model.schema.encode(as_table(fused), [variable.name for variable in model.schema.y])
    for j, variable in enumerate(model.schema.y):
        values = np.concatenate([implicate[variable.name] for implicate in expected])
        assert np.array_equal(codes[:, j], values), variable.name


@pytest.mark.parametrize("rows", [0, 10**9], ids=["compiled", "by LightGBM"])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"chunk": 97, "cores": 3},
        *(
            pytest.param(how, marks=pytest.mark.slow)
            for how in ({"chunk": 1}, {"margin": -2}, {"memory": "20MB"})
        ),
    ],
    ids=str,
)
def test_equal_to_the_plainest_loop(how, rows, model, recipient, expected, monkeypatch):
    monkeypatch.setattr("fusionpy.drawing.predictions.WORTHWHILE", rows)
    if not rows:
        mute = dataclasses.replace(engine.ENGINE, predict=None)  # nobody asks LightGBM
        monkeypatch.setattr(engine, "ENGINE", mute)
    if how == {"chunk": 1}:
        recipient, expected = recipient.head(9), [{k: v[:9] for k, v in one.items()} for one in expected]
    fused = fusionpy.fuse(recipient, model, M=2, seed=11, offset=70, kblock=8, quiet=True, **how)
    assert_same(fused, model, expected)


@pytest.mark.parametrize("name", ["readme", "block"])
def test_models_of_r(name, shared, monkeypatch):
    model = fusionpy.read_fsn(shared / f"reference/models/{name}.fsn")
    rng = np.random.default_rng(1)
    columns = {}
    for variable in model.schema.x:
        codes = rng.integers(0, max(variable.n_classes, 1), 300)
        if variable.kind == "continuous":
            columns[variable.name] = np.where(rng.random(300) < 0.1, np.nan, rng.gamma(2, 20, 300).round(1))
        elif variable.kind == "logical":
            columns[variable.name] = codes == 1
        else:
            columns[variable.name] = pd.Categorical.from_codes(
                codes, list(variable.levels), ordered=variable.kind == "ordered"
            )
    frame = pd.DataFrame(columns)
    x = model.schema.encode(as_table(frame), [variable.name for variable in model.schema.x])
    expected = [slow_fuse.fuse(model, x, seed=3, implicate=implicate) for implicate in range(2)]
    monkeypatch.setattr("fusionpy.drawing.predictions.WORTHWHILE", 0)
    assert_same(fusionpy.fuse(frame, model, M=2, seed=3, chunk=111, quiet=True), model, expected)


def test_pieces_of_chosen_implicates(model, recipient, tmp_path):
    path = tmp_path / "fused.parquet"
    fusionpy.fuse(recipient, model, path, M=5, retain=["hid", "tenure"], seed=1, offset=9, quiet=True)
    whole = pq.read_table(path)
    plan = DrawingPlan(1, 9, 10, 2, 2**30, chunk=100)
    with open_drawing(
        open_recipient(recipient),
        model,
        [4, 1],
        ["hid", "tenure"],
        plan,
        noted(model, 1, 5, 9, len(recipient)),
    ) as drawing:
        found = list(drawing.pieces([4, 1], lambda done=1, doing=None: None))
    for implicate in (4, 1):
        table = pa.concat_tables([piece for number, piece in found if number == implicate])
        assert table.schema.names == whole.schema.names
        kept = noted_attributes(whole.schema)  # but for digests of the recipient's rows
        assert noted_attributes(table.schema) == {name: kept[name] for name in kept if name != "rows"}
        part = whole.slice(implicate * len(recipient), len(recipient))
        assert table.to_pandas().equals(part.to_pandas())
    with open_drawing(
        open_recipient(recipient.head(0)), model, [0], ["tenure"], plan, {"by": "us"}
    ) as drawing:
        empty = drawing.empty()
    assert empty.num_rows == 0
    assert empty.schema.metadata == {b"fusionpy": b'{"by": "us"}'}
    levels = empty.column("tenure").combine_chunks().dictionary.to_pylist()
    assert levels == list(recipient["tenure"].cat.categories)


def test_a_piece_waits_for_few_others():
    begun, reached = [], threading.Semaphore(0)

    def work(item):
        begun.append(item)
        reached.release()
        return item * 10

    pieces = in_order(work, range(100), 2)
    assert next(pieces) == (0, 0)
    for _ in range(4):
        assert reached.acquire(timeout=PATIENCE)
    assert len(begun) <= 5
    assert list(pieces) == [(item, item * 10) for item in range(1, 100)]


def test_a_failure_is_told_and_the_rest_given_up():
    def work(item):
        if item == 2:
            raise ValueError("no")
        return item

    pieces = in_order(work, range(1000), 1)
    with pytest.raises(ValueError, match="no"):
        list(pieces)


def test_rows_of_a_chunk():
    plan = DrawingPlan(1, memory=10**6, margin=2, cores=2)
    assert plan.rows(10**6, 100) == 1_000
    assert DrawingPlan(1, memory=10**8, cores=2).rows(10**6, 100) == 20_000
    assert DrawingPlan(1, memory=8 * 10**6, cores=2).rows(10**6, 100) == 2_500
    assert DrawingPlan(1, memory=1, margin=-7).rows(100, 10**9) == 15
    assert DrawingPlan(1, memory=1, chunk=8).rows(100, 10**9) == 8
    with pytest.raises(ArgumentError, match="800 kB with `cores` = 2") as error:
        DrawingPlan(1, memory=10**5, margin=2, cores=2).rows(10**6, 100)
    assert "`memory`, 100 kB, is too little: 1,000 rows" in str(error.value)
    assert DrawingPlan(1, memory=10**5, margin=2, cores=2).rows(100, 100) == 100  # a small recipient fits


def test_memory_is_checked(recipient, model):
    for given in ("much", 0, -5, "0GB", True, [1]):
        with pytest.raises(ArgumentError, match="`memory` must be a number of bytes, or text such as '2GB'"):
            fusionpy.fuse(recipient, model, memory=given, quiet=True)
    with pytest.raises(ArgumentError, match="is too little"):
        fusionpy.fuse(recipient, model, memory="1 kB", quiet=True)


def test_an_arrow_table_keeps_its_levels_without_rows(recipient, model):
    fused = fusionpy.fuse(pa.Table.from_pandas(recipient.head(0)), model, seed=1, quiet=True)
    assert fused.num_rows == 0
    assert fused.column("heating_fuel").combine_chunks().dictionary.to_pylist() == list(
        model.schema["heating_fuel"].levels
    )
