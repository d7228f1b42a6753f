"""One replication: donors and recipients are drawn, models trained, implicates fused and analysed."""

from __future__ import annotations

import inspect
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from estimating import complete, estimates
from populations import POPULATIONS, Population
from threadpoolctl import threadpool_limits

import fusionpy
from fusionpy import FusionModel, FusionWarning

M = 20
REFITS = 10
BASE = "refits, redrawn"  # the default without effects, with which others are compared


@dataclass(frozen=True)
class Variant:
    """A way to fuse.

    Attributes
    ----------
    way : str
        What tables call it.
    training : mapping
        Arguments of `train`.
    drawing : mapping
        What is changed of the model's options.
    is_rectified : bool
    """

    way: str
    training: Mapping[str, Any] = field(default_factory=dict)
    drawing: Mapping[str, Any] = field(default_factory=dict)
    is_rectified: bool = False


_NONE: dict[str, Any] = {"refits": REFITS, "effects": False}
_ONE: dict[str, Any] = {"refits": 0, "effects": False}
# Those of one model stand together, as do those of the same implicates: what was made last is kept.
VARIANTS = {
    "complete": Variant("complete data"),
    "one": Variant("one set of models", _ONE, {"redraw": False}),
    "one-redrawn": Variant("... redrawn", _ONE),
    "refits": Variant("refits", _NONE, {"redraw": False}),
    "following": Variant("refits, following", _NONE, {"follow": True}),
    "none": Variant(BASE, _NONE),
    "rectified": Variant("rectified", _NONE, is_rectified=True),
    "effects": Variant("effects", {"refits": REFITS, "effects": True}),
    "areas": Variant("effects, areas", {"refits": REFITS, "effects": True, "areas": True}),
}
WAYS = [each.way for each in VARIANTS.values()]


def has_areas() -> bool:
    """Tell whether this version of `train` knows areas."""
    return "areas" in inspect.signature(fusionpy.train).parameters


@dataclass(frozen=True)
class Job:
    """A replication of a population and number of donors.

    Attributes
    ----------
    population : str
    donors : int
    ratios : sequence of int
        Recipients per donor.
    number : int
        Of the replication, from 0: seeds follow from it.
    """

    population: str
    donors: int
    ratios: Sequence[int]
    number: int

    def path(self, folder: Path, variant: str) -> Path:
        """Name the file of what a variant finds."""
        return folder / f"{self.population}-{self.donors}-{variant}-{self.number:03}.parquet"

    def done(self, folder: Path, variant: str) -> set[int]:
        """Tell at which ratios a variant was run."""
        path = self.path(folder, variant)
        return set(pd.read_parquet(path, columns=["times"])["times"]) if path.exists() else set()


class Replication:
    """Draw the samples, and keep the model and implicates that were made last."""

    def __init__(self, job: Job) -> None:
        self.job, self.population = job, POPULATIONS[job.population]
        self.donor = self.population.draw(job.donors, 10_000 + job.number)
        self.recipient = self.population.draw(job.donors * max(job.ratios), 20_000 + job.number)
        self._model: tuple[Mapping[str, Any], FusionModel, float] | None = None
        self._fused: tuple[Variant, pd.DataFrame, float] | None = None

    def model(self, training: Mapping[str, Any]) -> tuple[FusionModel, float]:
        """Train, and give the seconds of CPU that it took."""
        if self._model is None or self._model[0] != training:
            how, started = dict(training), time.process_time()
            if how.pop("areas", False):
                how["areas"] = list(self.population.areas)
            model = fusionpy.train(
                self.donor,
                list(self.population.fused),
                list(self.population.predictors),
                seed=self.job.number,
                quiet=True,
                **how,
            )
            self._model = training, model, time.process_time() - started
        return self._model[1:]

    def fused(self, variant: Variant) -> tuple[pd.DataFrame, float]:
        """Fuse all recipients, and give the seconds of CPU that it took."""
        basis = replace(variant, way="", is_rectified=False)
        if self._fused is None or self._fused[0] != basis:
            self._fused = None  # its memory
            model, _ = self.model(variant.training)
            if variant.drawing:
                model = replace(model, options=replace(model.options, **variant.drawing))
            started = time.process_time()
            known = self.recipient.drop(columns=list(self.population.fused))
            fused = fusionpy.fuse(known, model, M=M, seed=self.job.number, quiet=True)
            self._fused = basis, fused, time.process_time() - started
        return self._fused[1:]

    def run(self, variant: Variant) -> pd.DataFrame:
        """Find a variant's estimates, at all ratios."""
        warnings.simplefilter("ignore", FusionWarning)  # constants in small domains
        is_complete = variant == VARIANTS["complete"]
        fused, to_fuse = (None, 0.0) if is_complete else self.fused(variant)
        model, to_train = (None, 0.0) if is_complete else self.model(variant.training)
        tables = []
        for times in sorted(self.job.ratios):
            started, n = time.process_time(), times * self.job.donors
            if fused is None:
                found = complete(self.population, self.recipient[:n])
            else:
                of_first = first_recipients(fused, n), self.recipient[:n]
                found = estimates(self.population, *of_first, model if variant.is_rectified else None)
            seconds = time.process_time() - started
            tables.append(found.assign(times=times, analyze_cpu=seconds))
        own = {"population": self.job.population, "donors": self.job.donors, "way": variant.way}
        own |= {"replication": self.job.number, "train_cpu": to_train, "fuse_cpu": to_fuse}
        return pd.concat(tables, ignore_index=True).assign(**own)


def first_recipients(fused: pd.DataFrame, n: int) -> pd.DataFrame:
    """Take the first recipients' implicates, as if no others had been fused.

    Records are drawn each by itself, so these are the same values; of how they were made, the number of
    recipients is another, by which `analyze` chooses how to pool.
    """
    n_all = len(fused) // int(fused["M"].iloc[-1])
    if n == n_all:
        return fused
    rows = np.arange(n) + n_all * np.arange(len(fused) // n_all)[:, None]
    found = fused.take(rows.ravel()).reset_index(drop=True)
    notes = {name: fused.attrs["fusionpy_rows"][name] for name in ("fused", "known")}  # no digests of rows
    found.attrs = {"fusionpy": {**fused.attrs["fusionpy"], "n_recipients": n}, "fusionpy_rows": notes}
    return found


def run_job(job: Job, variants: Sequence[str], folder: Path, commit: str) -> str:
    """Run what is not there of a replication, keep each variant when it is done, and tell of its time."""
    done = {name: job.done(folder, name) for name in VARIANTS if name in variants}
    missing = [name for name in done if not set(job.ratios) <= done[name]]
    if not missing:
        return ""
    job = replace(job, ratios=sorted(set(job.ratios).union(*(done[name] for name in missing))))
    replication, told = Replication(job), []
    for name in missing:
        started = time.perf_counter()
        with threadpool_limits(1, "blas"):  # threads that wait for each other make regressions slower
            table = replication.run(VARIANTS[name])
        table = table.assign(date=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", commit=commit)
        path = job.path(folder, name)
        unfinished = path.with_suffix(".unfinished")
        table.to_parquet(unfinished, index=False)
        unfinished.replace(path)
        analyze = table.groupby("times")["analyze_cpu"].first().sum()
        first = table.iloc[0]
        told.append(
            f"{name} {time.perf_counter() - started:.0f} s (CPU: train {first['train_cpu']:.1f}, fuse"
            f" {first['fuse_cpu']:.1f}, analyze {analyze:.1f})"
        )
    where = f"{job.population}, {job.donors} donors, replication {job.number}"
    return f"{where}: {'; '.join(told)}"


def without(population: Population, variants: Sequence[str]) -> list[str]:
    """Leave out what a population does not have, areas."""
    return [name for name in variants if name != "areas" or population.areas]
