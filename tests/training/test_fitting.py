"""Training as a whole: shared data, any number of cores, interrupts, and donors' expectations."""

import gc
import itertools
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest
from pacing import quick, slow
from patience import PATIENCE, until

import fusionpy
from fusionpy.engines.lightgbm import boosting
from fusionpy.engines.lightgbm.searching import Search
from fusionpy.kernels.draws import fit_calibration
from fusionpy.training import donor_predictions, fitting

HYPER = {"num_leaves": 5, "num_iterations": 8, "min_data_in_leaf": 5, "learning_rate": 0.3}
GIVEN = {"weight": "w", "hyper": HYPER, "nclusters": 20, "krange": (3, 20), "seed": 3, "quiet": True}
Y = ["rooms", ["fuel", "area"], "kwh", "people", "owner"]


@pytest.fixture(scope="module")
def donor():
    rng = np.random.default_rng(1)
    n = 160
    x = rng.normal(size=(n, 3))
    x[rng.random((n, 3)) < 0.05] = np.nan
    signal = np.nan_to_num(x[:, 0]) + rng.normal(size=n)
    return pd.DataFrame(
        {
            "a": x[:, 0],
            "b": x[:, 1],
            "c": pd.Categorical.from_codes(rng.integers(0, 4, n), list("uvwx")),
            "rooms": np.exp(signal),
            "fuel": pd.Categorical.from_codes(np.digitize(signal, [-0.5, 0.5]), ["gas", "oil", "wood"]),
            "area": signal + rng.normal(size=n),
            "kwh": np.where(signal > 0, signal * rng.random(n), 0),
            "people": 1 + np.round(np.exp(signal / 2)),
            "owner": signal + x[:, 2] > 0,
            "w": rng.gamma(3, 1, n),
        }
    )


def said(model):
    """Everything that a model holds, as text."""
    parts = [model.known.expected.tobytes() if model.known else ""]
    for step in model.steps:
        for stand_ins in (step.final, *step.stand_ins):
            parts += [boosting.text(booster) for booster in stand_ins.values()]
        parts += [repr(step.tuning), repr(step.calibrations)]
        if step.pools is not None:
            parts += [step.pools.centres.tobytes(), step.pools.start.tobytes(), step.pools.member.tobytes()]
    return parts


@pytest.mark.parametrize(
    "extra", [{"refits": 2}, {"refits": 0, "nfolds": 0.7}, slow({"refits": 0, "nfolds": 3})]
)
def test_same_model_on_any_number_of_cores(donor, extra):
    models = [fusionpy.train(donor, Y, ["a", "b", "c"], **GIVEN, **extra, cores=cores) for cores in (1, 3)]
    first = said(models[0])
    assert all(said(model) == first for model in models[1:])


def test_no_more_threads_than_cores(donor, monkeypatch):
    busy, most, lock = 0, 0, threading.Lock()
    update = lgb.Booster.update
    barrier = threading.Barrier(2, timeout=PATIENCE)  # the first two rounds wait for each other
    number = itertools.count(1)

    def counted(self, fobj=None):
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        if next(number) <= 2:
            barrier.wait()
        done = update(self)
        with lock:
            busy -= 1
        return done

    monkeypatch.setattr(lgb.Booster, "update", counted)
    fusionpy.train(donor, Y, ["a", "b", "c"], **GIVEN, refits=1, cores=3)
    assert 1 < most <= 3


def test_data_are_binned_once_per_step_and_donors(donor, monkeypatch):
    binned, handles = [], []
    init = lgb.Dataset.__init__

    def counted(self, data, *rest, **named):
        if data is not None:
            binned.append(data.shape)
            handles.append(data.nbytes)
        init(self, data, *rest, **named)

    monkeypatch.setattr(lgb.Dataset, "__init__", counted)
    model = fusionpy.train(donor, Y, ["a", "b", "c"], **GIVEN, refits=2, cores=2)
    n, n_nonzero = len(donor), int((donor["kwh"] != 0).sum())
    assert [len(step.targets) for step in model.steps] == [4, 5, 5, 4, 1]
    # One for each step, and one for the donors whose kwh is not zero.
    assert sorted(binned) == sorted([(n, 3), (n, 4), (n, 6), (n_nonzero, 6), (n, 7), (n, 8)])
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, lgb.Dataset)]


def test_ctrl_c_ends_it_within_a_round(donor, monkeypatch):
    rounds, given_up = [], threading.Event()
    number = itertools.count(1)  # each of its numbers is had by one thread
    update, shutdown = lgb.Booster.update, ThreadPoolExecutor.shutdown

    def interrupted(self, fobj=None):
        rounds.append(1)
        if (mine := next(number)) == 5:
            given_up.clear()
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        if mine >= 5:
            assert given_up.wait(PATIENCE)
        return update(self)

    def giving_up(self, *rest, **named):  # called when the threads have been told to stop
        given_up.set()
        return shutdown(self, *rest, **named)

    monkeypatch.setattr(lgb.Booster, "update", interrupted)
    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", giving_up)
    before = threading.active_count()
    # A shell that starts the tests in the background has them ignore it.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            fusionpy.train(donor, Y, ["a", "b", "c"], **GIVEN, refits=1, cores=2)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert 5 <= len(rounds) <= 6  # of some 600: those that two threads were at
    until(lambda: threading.active_count() == before)  # one that was just starting ends a little later


@pytest.mark.parametrize(
    ("refits", "kind"),
    quick(itertools.product((0, 3), ("gbdt", "dart", "rf")), [(3, "gbdt"), (0, "dart"), (0, "rf")]),
)
def test_expectations_are_those_of_models_that_did_not_see_the_donor(donor, monkeypatch, refits, kind):
    seen, base = {}, {}
    finish = fitting._finish

    def kept(work, plan, fits):
        for fit in fits:
            seen[fit.target.name] = (work, fit, fit.predicted)
            base[fit.target.name] = None if fit.base is None else fit.base.predicted
        return finish(work, plan, fits)

    monkeypatch.setattr(fitting, "_finish", kept)
    monkeypatch.setattr(donor_predictions, "AT_ONCE", 50)
    folds = {}
    tune = Search.settle

    def noted(self):
        over = tune(self)
        if over:
            folds[self._problem.target.name] = self.models()
        return over

    monkeypatch.setattr(Search, "settle", noted)
    given = {**GIVEN, "hyper": {**HYPER, "boosting": kind}}
    model = fusionpy.train(donor, Y, ["a", "b", "c"], **given, refits=refits, cores=2)
    if kind != "gbdt":  # some are cut before the last round, so that trees of dart have to be redone
        assert (
            min(tuning.rounds for step in model.steps for tuning in step.tuning.values())
            < HYPER["num_iterations"]
        )
    assert set(seen) == set(folds)
    assert len(seen) == 19
    for name, (work, fit, predicted) in seen.items():
        x = work.matrix[:, fit.sample.bins.columns]
        out, mixture = np.empty_like(predicted), np.empty_like(predicted)
        for i in range(len(x)):
            model = folds[name][fit.sample.fold[i]]
            left_out = [b for b in range(refits) if work.counts[b][i] == 0]
            if left_out:
                assert work.assigned[i] in left_out
                model = fit.refits[work.assigned[i]]
            out[i] = boosting.predict(model, x[i : i + 1])
            if base[name] is not None and not left_out:  # this one tells what the mean leaves
                out[i] += base[name][i]
            others = [boosting.predict(fit.refits[b], x[i : i + 1]) for b in left_out]
            mixture[i] = sum(others) / len(others) if others else out[i]
        assert np.array_equal(predicted, out)
        if fit.target.objective in ("binary", "multiclass") and name != "fuel_m":
            p = np.hstack([1 - mixture, mixture]) if mixture.shape[1] == 1 else mixture
            expected = fit_calibration(p, fit.problem.label.astype(int), fit.problem.weight)
            assert fit.calibration == expected
        else:
            assert fit.calibration == ()
