"""Do 90 % margins hold the truth in 90 % of the cases? Fused means of domains, where the truth is known.

    python validation/coverage/run.py [--donors 1000 4000] [--recipients 10] [--replications 16] [--out
    FOLDER]

Each replication draws donors and recipients from the embedded population model (simple random samples),
trains with and without refits, fuses M = 20 implicates with and without redrawn pool weights, and looks
whether each domain's 90 % margin (Rubin's rules, Barnard and Rubin's degrees of freedom) holds the
population's value.
"""

from __future__ import annotations

import argparse
import platform
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

import fusionpy
from fusionpy.datasets import PREDICTORS, simulate_population

FUSED = ["heating_fuel", "solar", "vehicles", "electricity"]
M = 20
LEVEL = 0.90


def measures(frame: pd.DataFrame) -> pd.DataFrame:
    """Take the numbers whose domain means are estimated."""
    return pd.DataFrame(
        {
            "gas-heated": (frame["heating_fuel"] == "piped_gas").astype(float),
            "all-electric": (frame["heating_fuel"] == "electricity").astype(float),
            "solar": frame["solar"].astype(float),
            "vehicles": frame["vehicles"].astype(float),
            "electricity": frame["electricity"],
        }
    )


def domains(frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """Rows of every domain: levels of the predictors, and age by urban."""
    age = pd.cut(frame["age"], [0, 34, 49, 64, 120], labels=["18-34", "35-49", "50-64", "65+"])
    size = frame["hh_size"].clip(upper=4)
    keys = {
        **{name: frame[name] for name in ("region", "education", "tenure", "dwelling", "year_built")},
        "hh_size": size,
        "age x urban": age.astype(str) + frame["urban"].map({True: " urban", False: " rural"}),
    }
    return {
        f"{name}={level}": np.flatnonzero((key == level).to_numpy())
        for name, key in keys.items()
        for level in sorted(key.unique(), key=str)
    }


def pooled(values: np.ndarray) -> tuple[float, float]:
    """Estimate and margin from (M, n) values: Rubin 1987, degrees of freedom Barnard and Rubin 1999."""
    n = values.shape[1]
    estimates = values.mean(axis=1)
    within = (values.var(axis=1, ddof=1) / n).mean()
    between = estimates.var(ddof=1)
    total = within + (1 + 1 / M) * between
    missing = (1 + 1 / M) * between / total if total > 0 else 0.0
    observed = n / (n + 2) * (n - 1) * (1 - missing)  # (df + 1) / (df + 3) × df with df = n - 1
    df = 1 / (1 / observed + missing**2 / (M - 1))
    return float(estimates.mean()), float(student.ppf(0.5 + LEVEL / 2, df) * np.sqrt(total))


def one_replication(
    n: int, times: int, refits: int, number: int, truth: pd.DataFrame
) -> list[dict[str, object]]:
    """Coverage of every domain and measure, for each way of making implicates."""
    donor = simulate_population(n, seed=10_000 + number)
    recipient = simulate_population(n * times, seed=20_000 + number)
    rows = domains(recipient)
    real = measures(recipient)
    ways = {}
    for each in (0, refits):
        model = fusionpy.train(donor, FUSED, PREDICTORS, refits=each, seed=number, cores=2, quiet=True)
        for redraw, follow in (("no", False), ("yes", False), ("following", True)):
            if follow and not each:
                continue
            options = replace(model.options, redraw=redraw != "no", follow=follow)
            ways[each, redraw] = replace(model, options=options)
    found: list[dict[str, object]] = []
    for (each, redraw), model in ways.items():
        fused = fusionpy.fuse(recipient, model, M=M, seed=number, cores=2, quiet=True)
        drawn = measures(fused)
        for measure in real:
            values = drawn[measure].to_numpy().reshape(M, -1)
            for domain, index in rows.items():
                estimate, margin = pooled(values[:, index])
                target = truth.loc[domain, measure]
                found.append(
                    {
                        "donors": n, "times": times, "replication": number, "refits": each, "redraw": redraw,
                        "measure": measure, "domain": domain, "n": len(index), "estimate": estimate,
                        "margin": margin, "truth": target, "covered": abs(estimate - target) <= margin,
                        "seconds": model.seconds,
                    }
                )  # fmt: skip
    return found


def complete_coverage(n: int, number: int, truth: pd.DataFrame) -> list[bool]:
    """Tell the yardstick: margins of the recipients' own true values."""
    sample = simulate_population(n, seed=20_000 + number)
    real, out = measures(sample), []
    for measure in real:
        for domain, index in domains(sample).items():
            y = real[measure].to_numpy()[index]
            margin = student.ppf(0.5 + LEVEL / 2, len(y) - 1) * y.std(ddof=1) / np.sqrt(len(y))
            out.append(bool(abs(y.mean() - truth.loc[domain, measure]) <= margin))
    return out


def main() -> None:
    """Run the study, write its tables, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--donors", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--recipients", type=int, nargs="+", default=[10], help="times as many as donors")
    parser.add_argument("--refits", type=int, default=10)
    parser.add_argument("--replications", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    population = simulate_population(2_000_000, seed=1)
    values = measures(population)
    truth = pd.DataFrame({name: values.iloc[rows].mean() for name, rows in domains(population).items()}).T
    found, complete = [], {}
    for n in arguments.donors:
        for times in arguments.recipients:
            whole: list[bool] = []
            for number in range(arguments.replications):
                found += one_replication(n, times, arguments.refits, number, truth)
                whole += complete_coverage(n * times, number, truth)
                print(f"{n} donors, {times} x recipients: replication {number + 1} done", flush=True)
            complete[n, times] = float(np.mean(whole))
    result = pd.DataFrame(found)
    summary = summarise(result, complete)
    summary.to_csv(arguments.out / "summary.csv", index=False, float_format="%.4f")
    way = ["donors", "times", "refits", "redraw"]
    by_measure = result.pivot_table("covered", index=way, columns="measure")
    by_measure.to_csv(arguments.out / "by_measure.csv", float_format="%.3f")
    about = (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, fusionpy {fusionpy.__version__}, seeds 0 to "
    )
    (arguments.out / "made.txt").write_text(f"{about}{arguments.replications - 1}\n")
    print(summary.to_string(index=False))
    print(by_measure.round(3).to_string())


def summarise(result: pd.DataFrame, complete: dict[tuple[int, int], float]) -> pd.DataFrame:
    """One row per way of making implicates."""
    rows = []
    for key, group in result.groupby(["donors", "times", "refits", "redraw"]):
        donors, times, refits, redraw = key
        base = result.query("donors == @donors and times == @times and refits == 0 and redraw == 'no'")
        error = group["estimate"] - group["truth"]
        per_cell = group.assign(error=error).groupby(["measure", "domain"])
        by_replication = group.groupby("replication")["covered"].mean()
        rows.append(
            {
                "donors": donors, "recipients": f"{times}x", "refits": refits, "redraw": redraw,
                "coverage": group["covered"].mean(),
                "coverage_se": by_replication.std(ddof=1) / np.sqrt(len(by_replication)),
                "margin_ratio": (group["margin"].to_numpy() / base["margin"].to_numpy()).mean(),
                "bias_over_sd": (per_cell["error"].mean().abs() / per_cell["error"].std()).median(),
                "margin_over_error": (per_cell["margin"].mean() / (1.645 * per_cell["error"].std())).median(),
                "complete_data": complete[donors, times],
                "train_seconds": group["seconds"].mean(),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
