"""The command `demo`."""

from __future__ import annotations

import os
import time

import fusionpy
from fusionpy.cli.demo_table import show_comparison, thin
from fusionpy.errors import Problems

__all__ = ["demo"]


def demo(
    problems: Problems,
    *,
    M: int,
    cores: int | None,
    refits: int | None,
    seed: int,
    donors: int,
    recipients: int,
    quiet: bool,
) -> None:
    """Fuse two sample surveys, and compare with the truth.

    Both surveys are of one synthetic population. Energy use, budgets and savings are in the donor survey
    only; what the recipients would have answered is known because all is simulated.
    """
    sample = fusionpy.datasets
    donor = thin(sample.load_donor(), donors)
    recipient = thin(sample.load_recipient(), recipients)
    truth = thin(sample.load_truth(), recipients)
    cores = cores or _all_cores()
    print(
        f"Training on {len(donor):,} donors: {len(sample.PREDICTORS)} predictors, "
        f"{len(truth.columns) - 1} fusion variables in {len(sample.FUSION_VARIABLES)} steps."
    )
    began = time.monotonic()
    model = fusionpy.train(
        donor,
        sample.FUSION_VARIABLES,
        sample.PREDICTORS,
        weight="weight",
        refits=M if refits is None else refits,
        cores=cores,
        seed=seed,
        quiet=quiet,
    )
    trained = time.monotonic()
    print(f"Fusing onto {len(recipient):,} recipients, {M} implicates.")
    fused = fusionpy.fuse(recipient, model, M=M, cores=cores, seed=seed, quiet=quiet)
    done = time.monotonic()
    show_comparison(recipient, fused, truth, M)
    print(f"Training took {trained - began:.0f} s and fusing {done - trained:.0f} s on {cores} threads.")


def _all_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
