"""The arguments of train(), checked and settled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from fusionpy.engines import ENGINES, USUAL_ENGINE, find_engine
from fusionpy.engines.base import Engine
from fusionpy.errors import (
    Problems,
    few,
    is_whole,
    shown,
    warn,
)
from fusionpy.kernels.inflation import is_inflated
from fusionpy.model.options import METHODS, Options, usual_options
from fusionpy.progress import note
from fusionpy.training.donors import Donors

__all__ = ["check_options", "settle"]


def check_options(
    problems: Problems, method: str, engine: str, cores: int, hyper: Any, **given: Any
) -> Options:
    """Note impossible values; lay the others over the method's."""
    if not isinstance(method, str) or method not in METHODS:
        problems.add(f"`method` must be one of {few(METHODS)}, not {shown(method)}.")
        method = "default"
    if not isinstance(engine, str) or engine not in ENGINES:
        problems.add(f"`engine` must be one of {few(ENGINES)}, not {shown(engine)}.")
        engine = USUAL_ENGINE
    known, learner = usual_options(method, engine), find_engine(engine)
    if given["monotone"] and not learner.can_slope:
        problems.add(f"`monotone`: {learner.title} cannot be told which way expectations move.")
    problems.whole("cores", cores, 1)
    settled: dict[str, Any] = {}
    if (nfolds := given["nfolds"]) is not None:
        settled["nfolds"] = int(nfolds) if is_whole(nfolds, 2) else nfolds
        if is_whole(nfolds, 2):
            problems.whole("nfolds", nfolds, 2)
        elif not _is_share(nfolds):
            wanted = "a whole number of folds (2 or more), or a share of donors between 0 and 1"
            problems.add(f"`nfolds` must be {wanted}, not {shown(nfolds)}.")
    if isinstance(nclusters := given["nclusters"], float) and nclusters >= 0:  # as R does
        given["nclusters"] = 0 if nclusters == float("inf") else math.ceil(nclusters)
        if given["nclusters"] != nclusters != float("inf"):
            note(f"`nclusters` is taken as {given['nclusters']}: a whole number.")
    for name, low in (("nquantiles", 1), ("nclusters", 0), ("refits", 0), ("patience", 1)):
        value = given[name]
        if value is not None and problems.whole(name, value, low):
            settled[name] = int(value)
    for name in ("crossfit", "redraw", "untie", "calibrate", "effects", "tolerant", "tails"):
        settled[name] = given[name]
        if given[name] is not None:
            problems.flag(name, given[name])
    if (krange := given["krange"]) is not None:
        settled["krange"] = _settle_krange(krange, 5 if method == "fusionModel" else 1, problems)
    settled["hyper"] = None if hyper is None else _settle_hyper(hyper, known.hyper, learner, problems)
    options = known.having(**settled)
    if options.effects and not (options.refits and options.crossfit):
        if given["effects"]:
            note("`effects` are left out: without refits no model has left the donors out.")
        options = options.having(effects=False)
    return options


def _settle_krange(krange: Any, low: int, problems: Problems) -> tuple[int, int] | None:
    """Take two sizes of pools in any order; of fractions what lies between them."""
    pair = sorted(krange) if isinstance(krange, list | tuple | np.ndarray) and _are_sizes(krange, low) else []
    if len(pair) != 2:
        wanted = "two whole numbers, the least and the most donors of a pool, such as (10, 500)"
        least = f"; with method 'fusionModel' both of at least {low}" if low > 1 else ""
        problems.add(f"`krange` must be {wanted}{least}, not {shown(krange)}.")
        return None
    whole = math.ceil(pair[0]), max(math.ceil(pair[0]), math.floor(pair[1]))
    if [*whole] != [*pair]:
        note(f"`krange` is taken as {whole}: a pool has a whole number of donors.")
    return whole


def _are_sizes(krange: Any, low: int) -> bool:
    numbers = all(isinstance(k, Real) and not isinstance(k, bool) for k in krange)
    return numbers and all(low <= k <= 10**9 for k in krange)


def _settle_hyper(hyper: Any, usual: Mapping[str, Any], engine: Engine, problems: Problems) -> dict[str, Any]:
    """Lay what is given before the method's own, in the order of the caller: so rows of the grid vary."""
    found = engine.check(hyper, usual)
    for problem in found.problems:
        problems.add(problem)
    for text in found.idle:
        note(text)
    for text in found.replacing:
        warn(text)
    for name, values in found.values.items():
        if name in engine.one_value and len(values) > 1:
            text = f"`hyper` entry '{name}' takes one value only: the first, {values[0]}, is used."
            note(text)
            del values[1:]
    given = {name: values if len(values) > 1 else values[0] for name, values in found.values.items()}
    return {**given, **{name: value for name, value in usual.items() if name not in given}}


def _is_share(value: object) -> bool:
    return isinstance(value, float) and 0 < value < 1


def settle(options: Options, donors: Donors) -> Options:
    """Settle what depends on the data, or on other choices."""
    n = len(donors.matrix)
    known = zip(donors.schema.y, donors.y.T, strict=True)
    y = [values for variable, values in known if not variable.is_categorical]
    fewest = min([n, *(int((values != 0).sum()) for values in y if is_inflated(values))])
    if options.nfolds > fewest:  # of the rows that some model is fitted on: no fold is empty
        text = f"`nfolds`: {fewest} folds, as a model has no more donors, instead of {options.nfolds}."
        note(text)
        options = options.having(nfolds=fewest)
    options = options.having(hyper=find_engine(options.engine).settle(options.hyper, n))
    # With a split there are no fold models, so only refits can leave donors out.
    if options.nfolds < 1 and not options.refits:
        options = options.having(crossfit=False)
    return options.having(follow=bool(donors.replicates is not None and options.refits))
