"""What all records of an implicate share of its chance: pool weights and refit, the refit, or nothing."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import slow_fuse
from pandas.testing import assert_frame_equal

import fusionpy
from fusionpy.drawing.urns import draw_weights, drawn_by_record
from fusionpy.errors import ArgumentError

RNG = np.random.default_rng(2)
N, REFITS = 900, 4


def population(n):
    frame = pd.DataFrame({"age": RNG.integers(18, 90, n), "urban": RNG.random(n) < 0.7})
    frame["kwh"] = np.round(100 * frame["age"] + RNG.normal(0, 900, n), 3)
    frame["fuel"] = pd.Categorical(np.where(RNG.random(n) < 0.3 + 0.4 * frame["urban"], "gas", "oil"))
    return frame.assign(weight=RNG.uniform(0.2, 3, n))


DONOR, RECIPIENT = population(400), population(N)[["age", "urban"]]


@pytest.fixture(scope="module")
def model():
    how = {"refits": REFITS, "nfolds": 2, "nclusters": 40, "seed": 1, "quiet": True, "effects": False}
    return fusionpy.train(DONOR, ["kwh", "fuel"], ["age", "urban"], weight="weight", **how)


def fuse(model, data=RECIPIENT, **how):
    return fusionpy.fuse(data, model, **{"seed": 3, "quiet": True, **how})


def test_weights_are_the_surveys(model):
    by_record = drawn_by_record(model)
    for implicate in range(3):
        np.testing.assert_array_equal(draw_weights(by_record, 3, implicate), model.weight)
        assert not np.array_equal(draw_weights(model, 3, implicate), model.weight)
    assert (by_record.assignment, drawn_by_record(model, with_refits=True).assignment) == (
        "implicate",
        "record",
    )


def test_it_is_what_a_model_with_these_options_draws(model):
    plain = replace(model, options=replace(model.options, redraw=False), counts=np.ones_like(model.counts))
    expected = fuse(plain, M=3)
    assert_frame_equal(fuse(model, M=3, redraw="record"), expected)
    assert not fuse(model, M=3).equals(expected)
    assert_frame_equal(fuse(model, M=3, redraw="implicate"), fuse(model, M=3))


def test_the_slow_twin_draws_the_same(model):
    """Of one record after the other, by a refit that its own uniform chooses, and by survey weight."""
    single = drawn_by_record(model, with_refits=True)
    names = [variable.name for variable in model.schema.x]
    x = np.column_stack([RECIPIENT[name] for name in names]).astype(float)[:200]
    drawn = slow_fuse.fuse(single, x, seed=3, implicate=0)
    found = fuse(model, RECIPIENT[:200], redraw="single")
    np.testing.assert_array_equal(found["kwh"], drawn["kwh"])
    np.testing.assert_array_equal(found["fuel"].cat.codes, drawn["fuel"])


@pytest.mark.parametrize("redraw", ["record", "single"])
def test_same_seed_same_draws(model, redraw, tmp_path):
    whole = fuse(model, redraw=redraw)
    assert_frame_equal(fuse(model, redraw=redraw, cores=3, chunk=77), whole)
    parts = [fuse(model, RECIPIENT[a:b], offset=a, redraw=redraw) for a, b in ((0, 400), (400, N))]
    assert_frame_equal(pd.concat(parts, ignore_index=True), whole)
    path = fuse(model, fsd=tmp_path / "fused.parquet", redraw=redraw)
    assert_frame_equal(fusionpy.read_fsd(path), whole)
    assert fusionpy.read_fsd(path).attrs["fusionpy"]["redraw"] == redraw


def test_donors_repeat_less(model):
    """Exponential weights give half of the chances to a fifth of a pool's donors."""
    distinct = {each: fuse(model, redraw=each)["kwh"].nunique() for each in ("implicate", "record", "single")}
    assert min(distinct["record"], distinct["single"]) > 1.05 * distinct["implicate"]


def test_shares_and_refits(model):
    """A single file has of all refits; an implicate of redraw="record" of one alone."""
    one = replace(model, steps=tuple(replace(s, stand_ins=s.stand_ins[:1]) for s in model.steps))
    one = replace(one, options=replace(one.options, refits=1), counts=one.counts[:1])
    assert_frame_equal(fuse(one, redraw="record"), fuse(model, redraw="record"))
    assert not fuse(one, redraw="single").equals(fuse(model, redraw="single"))


def test_what_is_refused(model):
    with pytest.raises(
        ArgumentError, match="`redraw` must be one of 'implicate', 'record', 'single', not 'row'"
    ):
        fuse(model, redraw="row")
    with pytest.raises(ArgumentError, match=r"`redraw` = 'single' makes one implicate.*`M` must be 1"):
        fuse(model, M=2, redraw="single")


def test_one_implicate_is_told_of_it(model, capsys):
    def said(**how):
        capsys.readouterr()
        fuse(model, quiet=False, **how)
        return capsys.readouterr().err

    assert 'one implicate has no margins of error; redraw="single" makes it look more' in said()
    for how in ({"M": 2}, {"redraw": "single"}, {"redraw": "record"}):
        assert "margins" not in said(**how)


def test_one_file_has_no_caveat_of_refits(model):
    fused = fuse(model, redraw="single")
    with pytest.warns(fusionpy.FusionWarning, match="Margins are missing"):
        found = fusionpy.analyze("mean(kwh)", fused, quiet=True)
    assert "caveats" not in found.attrs["fusionpy"]
