"""Do 90 % margins hold the truth in 90 % of the cases? Fused means of domains, where the truth is known.

    python validation/coverage/run.py [--donors 1000 4000] [--recipients 1 10] [--replications 16] [--plain]
    python validation/coverage/run.py --tables    # tables and figure again, from replications/*.csv
    python validation/coverage/run.py --check     # one replication again: is it what replications.csv says?

Each replication draws donors and recipients from the embedded population model (simple random samples),
trains with and without refits, fuses M = 20 implicates, and looks with `analyze` whether each domain's 90 %
margin holds the population's value: from the implicates alone, and rectified by the donors' residuals.

All estimates go to `replications/`, which is not committed; `replications.csv` has a row of each replication
and way, from which the coverages of `summary.csv` and their standard errors can be had. Rows of sizes that
are not in `replications/` stay as they are. `truth.csv` is simulated anew if it is deleted.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from measuring import machine
from pages import fill, table

import fusionpy
from fusionpy import FusionModel, FusionWarning
from fusionpy.datasets import PREDICTORS, simulate_population

HERE = Path(__file__).resolve().parent
DIGITS = "%.6g"
TOLERANCE = 2e-5  # of --check, relative: the same library versions give the same digits, others nearly so
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
DEFAULT = "refits, redrawn"
SIZE = ["donors", "times"]
WAYS = [
    "one set of models",
    "... redrawn",
    "refits",
    DEFAULT,
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
    ways = {DEFAULT: models[refits]}
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
        if way == DEFAULT:
            tables.append(estimates(fused, recipient, model).assign(way="rectified"))
    # Two copies of the truth are implicates between which nothing varies: the margins of complete data.
    truth = pd.concat([recipient.assign(M=1), recipient.assign(M=2)], ignore_index=True)
    tables.append(estimates(truth, None, None).assign(way="complete data"))
    seconds = {each: round(model.seconds, 2) for each, model in models.items()}
    return pd.concat(tables).assign(replication=number, seconds=str(seconds))


def sums_of(seed: int) -> pd.DataFrame:
    """Add up the measures of two million households, and count them, by domain."""
    population = simulate_population(2_000_000, seed=seed)
    frame = pd.concat([population, derived(population)], axis=1)
    values = pd.DataFrame({m: frame[y] == level if level else frame[y] for (y, level), m in MEASURES.items()})
    values["solar"] = frame["solar"]
    values["households"] = 1
    parts = [values.groupby(domain + "=" + frame[domain].astype(str)).sum() for domain in DOMAINS]
    return pd.concat(parts).rename_axis("domain").astype(float)


def truths() -> pd.Series:
    """Means of the population, by measure and domain.

    Of 20 million households, fifty times the largest recipient: so the truth's own sampling error lowers the
    coverage by .003 at most.
    """
    sums = sum(sums_of(seed) for seed in range(1, 11))
    means = sums[list(MEASURES.values())].div(sums["households"], axis=0)
    long = means.reset_index().melt("domain", var_name="measure", value_name="truth")
    return long.set_index(["measure", "domain"])["truth"]


def read_truth() -> pd.Series:
    """Read what `truths` found."""
    return pd.read_csv(HERE / "truth.csv").set_index(["measure", "domain"])["truth"]


def condense(result: pd.DataFrame) -> pd.DataFrame:
    """One row per size, way and replication: margins that hold the truth, errors, widths."""
    error = (result["est"] - result["truth"]).abs()
    cells = result.assign(
        covered=error <= result["moe"],
        error_to_margin=error / result["moe"],
        margin_to_truth=result["moe"] / result["truth"].abs(),
    )
    rows = cells.groupby([*SIZE, "way", "replication"])
    return rows.agg(
        cells=("covered", "size"),
        covered=("covered", "sum"),
        error_to_margin=("error_to_margin", "mean"),
        margin_to_truth=("margin_to_truth", "mean"),
    ).reset_index()


def summarise(result: pd.DataFrame) -> pd.DataFrame:
    """One row per size and way."""
    plain = result[result["way"] == DEFAULT].set_index([*SIZE, "replication", "measure", "domain"])["moe"]
    result = result.join(plain.rename("default_moe"), on=plain.index.names)
    result["covered"] = (result["est"] - result["truth"]).abs() <= result["moe"]
    result["error"] = result["est"] - result["truth"]
    rows = []
    for key, group in result.groupby([*SIZE, "way"]):
        by_replication = group.groupby("replication")["covered"].mean()
        cell = group.groupby(["measure", "domain"])
        error, moe = cell["error"], cell["moe"].mean()
        rows.append(
            {
                **dict(zip([*SIZE, "way"], key, strict=True)),
                "replications": len(by_replication),
                "coverage": group["covered"].mean(),
                "coverage_se": by_replication.std(ddof=1) / np.sqrt(len(by_replication)),
                "margin_to_default": (group["moe"] / group["default_moe"]).median(),
                "bias_to_sd": (error.mean().abs() / error.std()).median(),
                "margin_to_error": (moe / (1.645 * np.sqrt((error.mean() ** 2) + error.var()))).median(),
            }
        )
    return pd.DataFrame(rows)


def draw(summary: pd.DataFrame, path: Path) -> None:
    """Plot coverage against the number of recipients."""
    import plotnine as p9

    shown = summary[summary["way"].isin(["one set of models", DEFAULT, "rectified", "complete data"])].copy()
    names = {DEFAULT: "10 refits (default)", "rectified": "10 refits, rectified"}
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
        + p9.scale_x_log10(breaks=[1, 3, 10, 30, 100], labels=["1", "3", "10", "30", "100"])
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


def number(value: float, digits: int = 3) -> str:
    """Write a number below 1 without its zero."""
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"


def page(summary: pd.DataFrame) -> dict[str, str]:
    """Make the tables and the sentence of README.md that hold numbers."""
    by = summary.set_index([*SIZE, "way"])

    def shown(size: tuple[int, int], way: str) -> str:
        found = by.loc[(*size, way)]
        return f"{number(found['coverage'])}\u00a0±\u00a0{number(found['coverage_se'])}"

    sizes = sorted(set(zip(by.index.get_level_values(0), by.index.get_level_values(1), strict=True)))
    head = ["donors", "recipients", "implicates alone (default)", "rectified", "complete data"]
    head += ["rectified margin ÷ default margin", "replications"]
    rows = []
    for n, times in sizes:
        ways = [shown((n, times), way) for way in (DEFAULT, "rectified", "complete data")]
        ways[1] = f"**{ways[1]}**"
        rectified = by.loc[(n, times, "rectified")]
        ratio, runs = number(rectified["margin_to_default"], 2), str(int(rectified["replications"]))
        rows.append([f"{n:,}", f"{times:,} ×", *ways, ratio, runs])
    labels = {
        "one set of models": "one set of models (cross-fitted), survey weights",
        "... redrawn": "… pool weights redrawn",
        "refits": "10 refits, pools weighted by the refit's resample",
        DEFAULT: "10 refits, pool weights redrawn independently (the default)",
        "refits, following": "10 refits, redrawn weights that follow the resample (with replicate weights)",
    }
    parts = []
    for way, label in labels.items():
        found = by.loc[(1000, 10, way)]
        numbers = [number(found[name], 2) for name in ("margin_to_default", "bias_to_sd")]
        parts.append([label, shown((1000, 10), way), *numbers])

    def reach(way: str, column: str, digits: int) -> str:
        found = summary.loc[summary["way"] == way, column]
        return f"{number(found.min(), digits)} to {number(found.max(), digits)}"

    alone = (f"{shown((n, times), DEFAULT)} ({n:,} donors)" for n, times in sizes if times == 100)
    findings = f"""\
With a hundred times as many recipients as donors, the share of margins from implicates alone that hold the
truth is {" and ".join(alone)}. Of rectified margins it is {reach("rectified", "coverage", 3)},
whatever the size, and of complete data's {reach("complete data", "coverage", 3)}. The median bias of an
estimate is {reach(DEFAULT, "bias_to_sd", 2)} of its error's standard deviation from implicates alone, and
{reach("rectified", "bias_to_sd", 2)} when rectified.
"""
    return {
        "coverage": table(head, rows),
        "findings": findings,
        "parts": table(["implicates", "coverage", "margin ÷ default's", "median bias ÷ its sd"], parts),
    }


def keep(new: pd.DataFrame, path: Path, digits: str) -> pd.DataFrame:
    """Write a table, with the rows that it had of other sizes."""
    if path.exists():
        old = pd.read_csv(path)
        is_other = ~pd.MultiIndex.from_frame(old[SIZE]).isin(pd.MultiIndex.from_frame(new[SIZE]))
        new = pd.concat([old[is_other], new], ignore_index=True)
    order = {way: place for place, way in enumerate(WAYS)}
    keys = [*SIZE, "way", *(["replication"] if "replication" in new else [])]
    new = new.sort_values(keys, key=lambda each: each.map(order) if each.name == "way" else each)
    new.to_csv(path, index=False, float_format=digits)
    return pd.read_csv(path)


def write_tables() -> None:
    """Write the tables and the figure from the replications that are here."""
    if not (HERE / "truth.csv").exists():
        truths().to_csv(HERE / "truth.csv", float_format="%.12g")
    truth = read_truth()
    result = pd.concat([pd.read_csv(path) for path in sorted((HERE / "replications").glob("*.csv"))])
    result = result.join(truth, on=["measure", "domain"])
    keep(condense(result), HERE / "replications.csv", DIGITS)
    summary = keep(summarise(result), HERE / "summary.csv", "%.5f")
    result["covered"] = (result["est"] - result["truth"]).abs() <= result["moe"]
    by_measure = result.pivot_table("covered", index=[*SIZE, "way"], columns="measure").reset_index()
    by_measure = keep(by_measure, HERE / "by_measure.csv", "%.3f")
    draw(summary, HERE / "coverage.png")
    fill(HERE / "README.md", page(summary))
    print(summary.round(3).to_string(index=False))
    print(by_measure.to_string(index=False))


def check() -> bool:
    """Run the cheapest replication again, and compare it with what is kept of it."""
    truth = read_truth()
    again = one_replication(1000, 1, 10, 0, plain=False).assign(donors=1000, times=1)
    again = pd.read_csv(StringIO(again.to_csv(index=False, float_format=DIGITS)))
    keys = [*SIZE, "way", "replication"]
    new = condense(again.join(truth, on=["measure", "domain"])).set_index(keys)
    kept = pd.read_csv(HERE / "replications.csv").set_index(keys).loc[new.index]
    print(pd.concat({"kept": kept, "again": new}, axis=1).to_string())
    counts = ["cells", "covered"]
    is_same = kept[counts].equals(new[counts])
    return is_same and np.allclose(kept, new, rtol=TOLERANCE, atol=0)


def main() -> int:
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
    parser.add_argument("--check", action="store_true", help="one replication again; 1 if it differs")
    arguments = parser.parse_args()
    if arguments.check:
        return 0 if check() else 1
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
        table.to_csv(HERE / "replications" / f"{n}x{times}.csv", index=False, float_format=DIGITS)
        made = machine() | {"fusionpy": fusionpy.__version__, "seeds": "from 0"}
        (HERE / "made.json").write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
        print(f"{n} donors, {times} x recipients: done", flush=True)
    write_tables()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
