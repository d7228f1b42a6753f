"""fuse() with areas: the same bits whatever rows they are in, draws of their own where no donor is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import fusionpy
from fusionpy import SchemaError
from fusionpy.drawing.predictions import prepare_predictions
from fusionpy.drawing.shifts import draw_shifts

SMALL = {"hyper": {"num_iterations": 20}, "refits": 3, "nclusters": 60, "quiet": True}
Y = ["amount", "has", ["gift", "rest"]]
HOW = {"M": 4, "seed": 2, "quiet": True}


def survey(seed, n, n_states):
    """Donors are in some of the states; a state has five counties, coded by numbers."""
    differences = np.random.default_rng(9).normal(0, 0.8, 40)
    rng = np.random.default_rng(seed)
    state = rng.integers(0, n_states, n)
    frame = pd.DataFrame({"z": rng.normal(size=n), "state": [f"{each:02d}" for each in state]})
    frame["county"] = state * 1_000_000_000 + rng.integers(0, 5, n)
    frame["amount"] = 10 + frame["z"] + differences[state] + rng.normal(0, 1, n)
    frame["has"] = rng.random(n) < 1 / (1 + np.exp(-2 * differences[state]))
    frame["gift"] = np.where(rng.random(n) < 0.5, rng.gamma(2, 1, n) * np.exp(differences[state]), 0.0)
    frame["rest"] = rng.gamma(2, 1, n)
    frame["county"] = frame["county"].astype("Int64").mask(rng.random(n) < 0.05)
    return frame


@pytest.fixture(scope="module")
def model():
    return fusionpy.train(survey(1, 500, 15), Y, ["z"], areas=["state", "county"], seed=1, **SMALL)


@pytest.fixture(scope="module")
def recipient():
    return survey(2, 900, 30)


@pytest.fixture(scope="module")
def fused(model, recipient):
    return fusionpy.fuse(recipient, model, **HOW)


def test_chunks_cores_and_memory_change_nothing(model, recipient, fused):
    for how in ({"chunk": 41}, {"cores": 2, "chunk": 200}, {"memory": "30MB"}):
        pd.testing.assert_frame_equal(fused, fusionpy.fuse(recipient, model, **HOW, **how))


def test_files_are_fused_as_frames_are(model, recipient, fused, tmp_path, monkeypatch):
    recipient.to_parquet(tmp_path / "r.parquet", row_group_size=130)
    monkeypatch.setattr("fusionpy.fusion.recipients.WINDOW", 130)
    for memory in ("1GB", "10KB"):  # of which the second spills
        found = fusionpy.fuse(tmp_path / "r.parquet", model, chunk=100, memory=memory, **HOW)
        pd.testing.assert_frame_equal(fused, found)
    fusionpy.write_fsn(model, tmp_path / "m.fsn")
    pd.testing.assert_frame_equal(fused, fusionpy.fuse(recipient, tmp_path / "m.fsn", **HOW))


def test_other_rows_and_their_order_change_nothing(model, recipient, fused):
    """Levels without donors get codes in the order in which they are met; draws know only their names."""
    tail = fusionpy.fuse(recipient.iloc[600:], model, offset=600, **HOW)
    wanted = fused[fused.groupby("M").cumcount() >= 600].reset_index(drop=True)
    pd.testing.assert_frame_equal(tail, wanted)
    many = pd.concat([recipient, recipient.iloc[::-1], recipient, recipient], ignore_index=True)
    more = fusionpy.fuse(many, model, **HOW)  # by compiled forests
    first = more[more.groupby("M").cumcount() < 900].reset_index(drop=True)
    pd.testing.assert_frame_equal(fused, first)


def test_any_kind_of_frame_is_fused_alike(model, recipient, fused):
    for frame in (
        pl.from_pandas(recipient),
        pa.Table.from_pandas(recipient, preserve_index=False),
        recipient.assign(
            state=recipient["state"].astype("category"), county=recipient["county"].astype(float)
        ),
    ):
        found = fusionpy.fuse(frame, model, **HOW)
        found = found.to_pandas() if not isinstance(found, pd.DataFrame) else found
        assert np.array_equal(found["amount"], fused["amount"])
        assert np.array_equal(found["gift"], fused["gift"])


def test_recipients_must_have_the_areas(model, recipient, tmp_path):
    lacking = recipient.drop(columns="state").assign(county="x")
    lacking.to_parquet(tmp_path / "r.parquet")
    for data in (lacking, tmp_path / "r.parquet"):
        with pytest.raises(SchemaError) as error:
            fusionpy.fuse(data, model, **HOW)
        assert "`state`: not in `data`, and an area that has effects" in str(error.value)
        assert "`county`: must be whole numbers, as in training, not text or categories" in str(error.value)
    parts = recipient.assign(county=recipient["county"].astype(float) + 0.5)
    parts.to_parquet(tmp_path / "r.parquet")
    with pytest.raises(SchemaError, match=r"`county`: numbers that are not whole"):
        fusionpy.fuse(tmp_path / "r.parquet", model, **HOW)


def test_it_is_noted_that_the_areas_are_known(fused):
    assert fused.attrs["fusionpy_rows"]["known"] == ["z", "state", "county"]


def shifts(model, implicate, unseen, **how):
    coding = prepare_predictions(model, [0, 1, 2], None).coding
    return draw_shifts(model, coding, 5, implicate, unseen=unseen, **how)


def by_loop(effects, place, b, levels):
    """Add up an effect's areas, record by record; `levels` has a row of levels for each record."""
    first = effects.first()
    every = np.zeros(first[-1] + 1)
    every[effects.each[place].columns] = b
    at = first[len(effects.factors) :]
    return [every[-1] + sum(every[at[a] + level] for a, level in enumerate(row)) for row in levels]


def test_effects_of_areas_are_added_as_a_plain_loop_does(model):
    levels = np.array([[0, 1], [15, 3], [7, len(model.areas[1].levels)], [14, 30]])
    values = np.full((1, 4), np.nan)
    for step, shift in zip(model.steps, shifts(model, 0, (), certain=True), strict=True):
        for place, effect in enumerate(step.effects.each):
            column = shift.places[effect.target].index(place)
            coded = values, levels.T.astype(np.int32)
            found = shift._total(effect.target, coded, None)[:, column]
            some = shift._total(effect.target, coded, np.array([3, 1]))[:, column]
            assert np.array_equal(some, found[[3, 1]])
            z = np.zeros(step.effects.first()[-1] + 1)
            z[effect.columns] = effect.mean
            missing = z[step.effects.first()[1] - 1]  # of `z`, the one predictor
            assert np.allclose(found, np.array(by_loop(step.effects, place, effect.mean, levels)) + missing)


def test_levels_without_donors_are_drawn_from_how_levels_differ(model):
    area = model.areas[0]
    keys = (np.array([area.key(f"s{i}") for i in range(400)], dtype=np.uint64), np.empty(0, dtype=np.uint64))
    effects = model.steps[0].effects
    (start,) = [int(first) for place, first in shifts(model, 0, keys)[0].areas.start if place == 0]
    drawn = []
    for implicate in range(3):
        tables = shifts(model, implicate, keys)[0].areas.rows
        drawn.append(tables[start + area.n_levels : start + area.n_levels + 400, 0])
    spread = effects.each[0].sds[len(effects.factors)]
    assert spread > 0.3
    for each in drawn:
        assert each.std() == pytest.approx(spread, rel=0.15)
        assert abs(each.mean()) < 4 * spread / 20
    assert abs(np.corrcoef(drawn)[np.triu_indices(3, 1)]).max() < 0.2
    assert len(np.unique(drawn)) == 1200
    # Other levels beside it, or another place among them, change nothing.
    some = (keys[0][[7, 3]], keys[1])
    few = shifts(model, 2, some)[0].areas.rows[start + area.n_levels :][:2, 0]
    assert few.tolist() == drawn[2][[7, 3]].tolist()
    sure = shifts(model, 2, keys, certain=True)[0].areas.rows[start + area.n_levels :][:400]
    assert not sure.any()


def test_all_records_of_a_level_share_its_effect(model):
    """In one implicate the means of two halves of a state without donors are both off in the same way."""
    frame = pd.DataFrame({"z": np.zeros(4_000), "state": np.repeat([f"n{i}" for i in range(20)], 200)})
    frame["county"] = np.arange(4_000)  # each has one of its own
    found = fusionpy.fuse(pd.concat([frame, frame.assign(state="03")]), model, M=1, seed=4, quiet=True)
    own = found["amount"].to_numpy()[:4_000].reshape(20, 2, 100).mean(axis=2)
    assert np.corrcoef(own[:, 0], own[:, 1])[0, 1] > 0.8
    known = found["amount"].to_numpy()[4_000:].reshape(20, 200).mean(axis=1)
    assert own.mean(axis=1).std() > 3 * known.std()


def test_deviations_have_the_posteriors_covariance(model):
    every = [effect for step in model.steps for effect in step.effects.each]
    effect = next(effect for effect in every if len(effect.alone))
    q, r = len(effect.alone), len(effect.root)
    assert q == model.areas[-1].n_levels
    linear = np.stack([effect.around(each) for each in np.eye(r + q)], axis=1)
    follow = np.vstack([np.eye(r)[:-1], -effect.ties, np.eye(r)[-1:]])
    own = np.concatenate([np.zeros(r - 1), effect.alone**2, [0]])
    wanted = follow @ effect.root @ effect.root.T @ follow.T + np.diag(own)
    assert np.allclose(linear @ linear.T, wanted)
