"""Do 90 % margins hold the truth in 90 % of the cases? Fused means of domains, where the truth is known.

    python validation/coverage/run.py [--donors 1000 4000] [--recipients 1 10] [--replications 16] [--plain]
    python validation/coverage/run.py --tables    # summary and figure again, from replications/*.csv

Each replication draws donors and recipients from the embedded population model (simple random samples),
trains with and without refits, fuses M = 20 implicates, and looks with `analyze` whether each domain's 90 %
margin holds the population's value: from the implicates alone, and rectified by the donors' residuals.
"""

from __future__ import annotations

import argparse
import platform
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

import fusionpy
from fusionpy import FusionModel, FusionWarning
from fusionpy.datasets import PREDICTORS, simulate_population

HERE = Path(__file__).parent
FUSED = ["heating_fuel", "solar", "vehicles", "electricity"]
MEASURES = {  # variable and level
    ("heating_fuel", "piped_gas"): "gas-heated",
    ("heating_fuel", "electricity"): "all-electric",
    ("solar", "True"): "solar",
    ("vehicles", None): "vehicles",
    ("electricity", None): "electricity",
}
DOMAINS = ["region", "education", "tenure", "dwelling", "year_built", "size", "age_urban"]
M = 20
WAYS = [
    "one set of models",
    "... redrawn",
    "refits",
    "refits, redrawn",
    "refits, following",
    "rectified",
    "complete data",
]


def derived(frame: pd.DataFrame) -> pd.DataFrame:
    """Make the domains that are no predictors."""
    age = pd.cut(frame["age"], [0, 34, 49, 64, 120], labels=["18-34", "35-49", "50-64", "65+"])
    urban = np.where(frame["urban"], " urban", " rural")
    return pd.DataFrame({"size": frame["hh_size"].clip(upper=4), "age_urban": age.astype(str) + urban})


def estimates(frame: pd.DataFrame, static: pd.DataFrame | None, model: FusionModel | None) -> pd.DataFrame:
    """Means of all measures in all domains."""
    tables = []
    for domain in DOMAINS:
        found = fusionpy.analyze(
            {"mean": FUSED},
            frame,
            static=static,
            by=domain,
            fun=derived if domain in ("size", "age_urban") else None,
            rectify=model,
            quiet=True,
        )
        found["domain"] = domain + "=" + found[domain].astype(str)
        tables.append(found.drop(columns=domain))
    table = pd.concat(tables, ignore_index=True)
    level = table["level"].astype(object).where(table["level"].notna(), None)
    table["measure"] = [MEASURES.get(key) for key in zip(table["y"], level, strict=True)]
    return table.dropna(subset="measure")[["measure", "domain", "n", "est", "se", "moe"]]


def one_replication(n: int, times: int, refits: int, number: int, plain: bool) -> pd.DataFrame:
    """Every way's estimates in one replication."""
    warnings.simplefilter("ignore", FusionWarning)  # constants in small domains
    donor = simulate_population(n, seed=10_000 + number)
    recipient = simulate_population(n * times, seed=20_000 + number)
    models = {
        each: fusionpy.train(donor, FUSED, PREDICTORS, refits=each, seed=number, quiet=True)
        for each in ((0, refits) if plain else (refits,))
    }
    ways = {"refits, redrawn": models[refits]}
    if plain:
        none, several = models[0], models[refits]
        ways |= {
            "one set of models": replace(none, options=replace(none.options, redraw=False)),
            "... redrawn": none,
            "refits": replace(several, options=replace(several.options, redraw=False)),
            "refits, following": replace(several, options=replace(several.options, follow=True)),
        }
    tables = []
    for way, model in ways.items():
        fused = fusionpy.fuse(recipient, model, M=M, seed=number, quiet=True)
        tables.append(estimates(fused, recipient, None).assign(way=way))
        if way == "refits, redrawn":
            tables.append(estimates(fused, recipient, model).assign(way="rectified"))
    # Two copies of the truth are implicates between which nothing varies: the margins of complete data.
    truth = pd.concat([recipient.assign(M=1), recipient.assign(M=2)], ignore_index=True)
    tables.append(estimates(truth, None, None).assign(way="complete data"))
    seconds = {each: round(model.seconds, 2) for each, model in models.items()}
    return pd.concat(tables).assign(replication=number, seconds=str(seconds))


def truths() -> pd.Series:
    """Means of the population, by measure and domain."""
    population = simulate_population(2_000_000, seed=1)
    frame = pd.concat([population, derived(population)], axis=1)
    values = pd.DataFrame({m: frame[y] == level if level else frame[y] for (y, level), m in MEASURES.items()})
    values["solar"] = frame["solar"]
    means = {
        f"{domain}={level}": group.mean()
        for domain in DOMAINS
        for level, group in values.groupby(frame[domain].astype(str))
    }
    wide = pd.DataFrame(means).rename_axis(index="measure").reset_index()
    return wide.melt("measure", var_name="domain", value_name="truth").set_index(["measure", "domain"])[
        "truth"
    ]


def summarise(result: pd.DataFrame) -> pd.DataFrame:
    """One row per size and way."""
    size = ["donors", "times"]
    plain = result[result["way"] == "refits, redrawn"].set_index([*size, "replication", "measure", "domain"])[
        "moe"
    ]
    result = result.join(plain.rename("default_moe"), on=plain.index.names)
    result["covered"] = (result["est"] - result["truth"]).abs() <= result["moe"]
    result["error"] = result["est"] - result["truth"]
    rows = []
    for key, group in result.groupby([*size, "way"]):
        by_replication = group.groupby("replication")["covered"].mean()
        cell = group.groupby(["measure", "domain"])
        error, moe = cell["error"], cell["moe"].mean()
        rows.append(
            {
                **dict(zip([*size, "way"], key, strict=True)),
                "replications": len(by_replication),
                "coverage": group["covered"].mean(),
                "coverage_se": by_replication.std(ddof=1) / np.sqrt(len(by_replication)),
                "margin_to_default": (group["moe"] / group["default_moe"]).median(),
                "bias_to_sd": (error.mean().abs() / error.std()).median(),
                "margin_to_error": (moe / (1.645 * np.sqrt((error.mean() ** 2) + error.var()))).median(),
            }
        )
    table = pd.DataFrame(rows)
    table["way"] = pd.Categorical(table["way"], WAYS)
    return table.sort_values([*size, "way"], ignore_index=True)


def draw(summary: pd.DataFrame, path: Path) -> None:
    """Plot coverage against the number of recipients."""
    import plotnine as p9

    shown = summary[
        summary["way"].isin(["one set of models", "refits, redrawn", "rectified", "complete data"])
    ].copy()
    names = {"refits, redrawn": "10 refits (default)", "rectified": "10 refits, rectified"}
    shown["way"] = shown["way"].astype(str).replace(names)
    order = ["complete data", "10 refits, rectified", "10 refits (default)", "one set of models"]
    shown["way"] = pd.Categorical(shown["way"], order)
    # Side by side, as some of them agree.
    shown["times"] *= 1.09 ** (shown["way"].cat.codes.to_numpy() - 1.5)
    shown["low"] = shown["coverage"] - 1.96 * shown["coverage_se"]
    shown["high"] = shown["coverage"] + 1.96 * shown["coverage_se"]
    shown["panel"] = shown["donors"].map("{:,} donors".format)
    figure = (
        p9.ggplot(shown, p9.aes("times", "coverage", color="way", shape="way"))
        + p9.annotate("rect", xmin=0.7, xmax=140, ymin=0.88, ymax=0.92, fill="#dddddd", alpha=0.6)
        + p9.geom_hline(yintercept=0.9, linetype="dashed", color="#888888")
        + p9.geom_line()
        + p9.geom_errorbar(p9.aes(ymin="low", ymax="high"), width=0.06)
        + p9.geom_point(size=2.5)
        + p9.scale_x_log10(breaks=[1, 10, 100], labels=["1", "10", "100"])
        + p9.scale_color_manual(["#000000", "#009E73", "#0072B2", "#D55E00"])
        + p9.facet_wrap("panel")
        + p9.labs(
            x="Recipients per donor",
            y="Share of 90 % margins that hold the truth",
            color="",
            shape="",
            title="Coverage of domain means and proportions",
            caption="Bars: 95 % intervals over replications. Band: .88 to .92.",
        )
        + p9.theme_minimal(base_size=10)
        + p9.theme(
            figure_size=(7, 3.8),
            legend_position="bottom",
            plot_background=p9.element_rect(fill="white", color="none"),
        )
    )
    figure.save(path, dpi=150, verbose=False)


def write_tables() -> None:
    """Write summary, table by measure and figure from the replications."""
    truth = truths()
    result = pd.concat([pd.read_csv(path) for path in sorted((HERE / "replications").glob("*.csv"))])
    result = result.join(truth, on=["measure", "domain"])
    summary = summarise(result)
    summary.to_csv(HERE / "summary.csv", index=False, float_format="%.4f")
    result["covered"] = (result["est"] - result["truth"]).abs() <= result["moe"]
    by_measure = result.pivot_table("covered", index=["donors", "times", "way"], columns="measure")
    by_measure.to_csv(HERE / "by_measure.csv", float_format="%.3f")
    draw(summary, HERE / "coverage.png")
    print(summary.round(3).to_string(index=False))
    print(by_measure.round(3).to_string())


def main() -> None:
    """Run the study, write its tables, print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--donors", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--recipients", type=int, nargs="+", default=[1, 10], help="times as many as donors")
    parser.add_argument("--refits", type=int, default=10)
    parser.add_argument("--replications", type=int, default=16)
    parser.add_argument(
        "--plain", action="store_true", help="the ways without refits, and other weights, too"
    )
    parser.add_argument("--tables", action="store_true", help="no new replications")
    arguments = parser.parse_args()
    (HERE / "replications").mkdir(exist_ok=True)
    sizes = (
        [] if arguments.tables else [(n, times) for n in arguments.donors for times in arguments.recipients]
    )
    for n, times in sizes:
        with ProcessPoolExecutor(2) as pool:
            runs = [
                pool.submit(one_replication, n, times, arguments.refits, number, arguments.plain)
                for number in range(arguments.replications)
            ]
            table = pd.concat([run.result() for run in runs]).assign(donors=n, times=times)
        table.to_csv(HERE / "replications" / f"{n}x{times}.csv", index=False, float_format="%.6g")
        print(f"{n} donors, {times} x recipients: done", flush=True)
    about = f"{datetime.now(UTC):%Y-%m-%d}, {platform.machine()}, fusionpy {fusionpy.__version__}"
    if sizes:
        (HERE / "made.txt").write_text(f"{about}, seeds from 0, python {' '.join(__import__('sys').argv)}\n")
    write_tables()


if __name__ == "__main__":
    main()
