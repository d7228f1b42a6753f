"""Two reports on real surveys: RECS 2015 validated on itself, and RECS 2020 scored on held-out households.

    python validation/recs/run.py [--only 2015 2020] [--cores 2] [--out FOLDER]

Needs ../shared beside the checkout. RECS 2015 repeats the internal validation of Ummel et al. (2024, Fig. 5):
half of the households are donors, fused back onto themselves 40 times, and compared with what they said in
many subsets. RECS 2020 is a study of prediction: 80 % of the households are donors, the rest recipients whose
true values are known.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import fusionpy

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
AUTHORS = "fusionpy developers"
SUBSETS = ["income", "age", "race", "education"]
FUSED_2015 = ["insulation", "aircon", "square_feet", "electricity", "natural_gas"]
LABELS_2015 = {
    "square_feet": "Floor area, square feet",
    "electricity": "Electricity use, kWh a year",
    "natural_gas": "Natural gas use, hundred cubic feet a year",
    "insulation": "Adequacy of insulation",
    "aircon": "Type of air conditioning",
}
FUSED_2020 = [
    "heat_fuel", "ac_type", "window_ac", "ceiling_fans", "kwh", "disconnect_notice", "no_heat",
    "energy_assistance",
]  # fmt: skip
PREDICTORS_2020 = [
    "income_rank", "age", "hh_size", "children", "renter", "home_type", "year_built", "rooms", "female",
    "race", "education", "division", "hdd", "cdd",
]  # fmt: skip
LABELS_2020 = {
    "kwh": "Electricity use, kWh a year",
    "heat_fuel": "Main heating fuel",
    "ac_type": "Air conditioning",
}


def recs_2015() -> pd.DataFrame:
    """Read the survey with the levels of its schema."""
    frame = pd.read_csv(SHARED / "recs2015.csv.gz", keep_default_na=False, na_values=[""])
    for name, about in json.loads((SHARED / "recs2015_schema.json").read_text()).items():
        if about["levels"]:
            frame[name] = pd.Categorical(
                frame[name].astype(str), about["levels"], ordered=about["kind"] == "ordered"
            )
    return frame


def report_2015(out: Path, cores: int) -> None:
    """Validate RECS 2015 on itself."""
    survey = recs_2015()
    donor, recipient = survey.iloc[0::2].reset_index(drop=True), survey.iloc[1::2].reset_index(drop=True)
    x = list(survey.columns[1:14])
    model = fusionpy.train(donor, FUSED_2015, x, weight="weight", cores=cores, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        back = fusionpy.fuse(donor, model, f"{folder}/back.parquet", M=40, cores=cores, seed=1)
        validation = fusionpy.validate(donor, back, SUBSETS, weight="weight", cores=cores)
        fused = fusionpy.fuse(recipient, model, f"{folder}/fused.parquet", M=40, cores=cores, seed=1)
        replicates = [name for name in survey if name.startswith("rep_")]
        estimates = fusionpy.analyze(
            {"mean": ["electricity", "natural_gas", "insulation"]},
            fused,
            static=recipient,
            weight="weight",
            rep_weights=replicates,
            var_scale="fay",
            by="climate",
            cores=cores,
        )
        scores = fusionpy.score(recipient, fused, FUSED_2015, x=x, weight="weight", cores=cores, seed=0)
    fusionpy.plot_valid(validation, path=out / "figures")
    validation.summary.to_csv(out / "validation_summary.csv", index=False, float_format="%.5f")
    fusionpy.report(
        [out / "recs2015.html", out / "recs2015.pdf"],
        model=model,
        donor=donor,
        recipient=recipient,
        validation=validation,
        scores=scores,
        estimates={"Means by climate zone (Fay replicate weights)": estimates},
        title="RECS 2015: fused onto its other half, and back onto itself",
        authors=AUTHORS,
        tables=out / "tables2015",
        weight="weight",
        labels=LABELS_2015,
        notes="Odd households are the donors, even ones the recipients. The design is that of Figure 5 of "
        "Ummel et al. (2024), on the half of the survey that the reference's golden results were made from.",
    )


def report_2020(out: Path, cores: int) -> None:
    """Score RECS 2020 on held-out households."""
    survey = pd.read_parquet(SHARED / "recs2020_donor.parquet")
    order = np.random.default_rng(0).permutation(len(survey))  # the first split of validation/holdout
    cut = int(0.8 * len(survey))
    donor, recipient = (
        survey.iloc[np.sort(part)].reset_index(drop=True) for part in (order[:cut], order[cut:])
    )
    model = fusionpy.train(donor, FUSED_2020, PREDICTORS_2020, weight="weight", cores=cores, seed=0)
    fused = fusionpy.fuse(recipient, model, M=20, cores=cores, seed=100)
    scores = fusionpy.score(
        recipient, fused, FUSED_2020, x=PREDICTORS_2020, weight="weight", cores=cores, seed=0
    )
    scores.table.to_csv(out / "scores2020.csv", index=False, float_format="%.5f")
    estimates = fusionpy.analyze(
        {"mean": ["kwh", "heat_fuel"]}, fused, static=recipient, weight="weight", by="division", rectify=model
    )
    fusionpy.report(
        [out / "recs2020.html", out / "recs2020.pdf"],
        model=model,
        donor=donor,
        recipient=recipient,
        scores=scores,
        estimates={"Means by division, rectified by the donors' residuals": estimates},
        title="RECS 2020: scored on held-out households",
        authors=AUTHORS,
        tables=out / "tables2020",
        weight="weight",
        labels=LABELS_2020,
        notes="A random 80 % of the households are donors; the others are recipients whose true values are "
        "known.",
    )


def main() -> None:
    """Write the reports and their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=["2015", "2020"], default=["2015", "2020"])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    for name, make in (("2015", report_2015), ("2020", report_2020)):
        if name in arguments.only:
            make(arguments.out, arguments.cores)


if __name__ == "__main__":
    main()
