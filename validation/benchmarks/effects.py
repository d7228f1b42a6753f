"""What effects cost: train() and fuse() with the default method, and with effects=False.

    python validation/benchmarks/effects.py [--cores 1] [--repeats 3] [--refits 10] [--recipients 200000]

Donors are those of RECS 2020 (18,496, 14 predictors, 8 variables), recipients rows of the same survey, drawn
with replacement, 8 implicates of each. `train:on` and `train:off` are run in turn, as are `fuse:on` and
`fuse:off`; the ratios are those of one round. Writes effects.csv.
"""

from __future__ import annotations

from typing import Any

from measuring import SHARED, Clock, compare, left_out, options, save, summary
from train import FUSED, PREDICTORS, SEED


def surveys(small: bool, recipients: int) -> tuple[Any, list[str], list[str], Any]:
    """Read RECS 2020, or the embedded donors, and draw recipients."""
    import pandas as pd

    from fusionpy import datasets

    if small:
        donor, y, x = datasets.load_donor(), ["electricity", "insulation"], list(datasets.PREDICTORS)
    else:
        donor = pd.read_parquet(SHARED / "recs2020_donor.parquet")
        y, x = FUSED.split(","), PREDICTORS.split(",")
    return donor, y, x, donor[x].sample(recipients, replace=True, random_state=SEED, ignore_index=True)


def train(
    clock: Clock, *, variant: str, small: bool, refits: int, recipients: int, cores: int
) -> dict[str, Any]:
    """Train with effects or without."""
    import fusionpy

    donor, y, x, _ = surveys(small, recipients)
    given: dict[str, Any] = {"seed": SEED, "quiet": True, "cores": cores, "weight": "weight"}
    given["effects"] = variant == "on"
    fusionpy.train(
        donor[:500], y, x, refits=2, hyper={"num_iterations": 4}, **given
    )  # compiled code is there
    with clock:
        fusionpy.train(donor, y, x, refits=refits, **given)
    return {}


def fuse(
    clock: Clock, *, variant: str, small: bool, refits: int, recipients: int, cores: int
) -> dict[str, Any]:
    """Fuse with effects or without: one model, whose effects are there or not."""
    from dataclasses import replace

    import fusionpy

    donor, y, x, recipient = surveys(small, recipients)
    how: dict[str, Any] = {"seed": SEED, "quiet": True}
    model = fusionpy.train(donor[:4000], y, x, refits=refits, cores=2, weight="weight", **how)
    if variant == "off":
        model = replace(model, steps=tuple(replace(step, effects=None) for step in model.steps))
    fusionpy.fuse(recipient[:2000], model, M=1, cores=cores, **how)
    with clock:
        fusionpy.fuse(recipient, model, M=8, cores=cores, **how)
    return {}


def main() -> None:
    """Run what the command line asks for."""
    parser = options(__doc__)
    parser.add_argument("--refits", type=int, default=10, help="refits of each model")
    parser.add_argument("--recipients", type=int, default=200_000)
    given = parser.parse_args()
    if not given.small and not SHARED.exists():
        left_out("it needs RECS 2020 in ../shared")
    case = {
        "small": given.small,
        "refits": given.refits,
        "recipients": given.recipients,
        "cores": given.cores,
    }
    if given.small:
        case |= {"refits": 2, "recipients": 5000}
    rows = []
    for what in ("train", "fuse"):
        # The baseline's ratio is how many times as much it takes: that of `on` to `off` is wanted.
        runs = compare(__file__, [f"{what}:off", f"{what}:on"], case, given.repeats)
        rows += summary(runs, baseline=f"{what}:on", by=list(case))
    save("effects", rows, given)


if __name__ == "__main__":
    main()
