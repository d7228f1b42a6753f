"""RECS 2015: implicates of donors and of held-out households, fusionpy's beside those of R's fusionModel.

    python validation/recs2015/run.py [--seeds 1 2 3 4 5] [--ways default fusionModel] [--out FOLDER]
    python validation/recs2015/run.py --quick    # a smoke run: one seed, few implicates, a temporary folder
    python validation/recs2015/run.py --tables   # summary, figures and page, from runs.csv and curves.csv

Odd households are donors, even ones are held out. The donors are fused back onto themselves and compared
with what they said, as in Figure 5 of Ummel et al. (2024); then the same with the held-out households, which
no model has seen, and their scores. Needs ../shared beside the checkout: the survey, the implicates of R's
fusionModel 2.4.0 (one run), and the judge `bench/score.py`. The same seeds give the same tables, to the last
digit.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from judging import load_judge
from measuring import machine
from pages import BLACK, BLUE, VERMILION, fill, save_figure, table

import fusionpy

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared"
FUSED = ["insulation", "aircon", "square_feet", "electricity", "natural_gas"]
SUBSETS = ["income", "age", "race", "education"]
R, OWN, DEFAULT = "R fusionModel 2.4.0", "fusionModel", "default"
DONORS, HELD_OUT = "donors", "held-out"
IMPLICATES = {
    DONORS: ("implicates_readme_donor_M40.csv.gz", 40),
    HELD_OUT: ("implicates_readme_recipient_M20.csv.gz", 20),
}
METRICS = {
    "est": "Error of estimates, %",
    "vad": "Value added",
    "moe": "Uncertainty ratio",
}
LEVEL = 0.90  # of all intervals
KEYS = ["sample", "judge", "y", "measure"]
# Between runs of the judge the last digits of its auc differ, as LightGBM's threads do. Ours is kept.
NOT_KEPT = {"auc"}
NOT_SCORED = {"mean", "top1"}  # measures that came after the runs that are kept
NOT_AVERAGED = {"q90", "q99", *NOT_SCORED}  # errors of both signs would cancel


def read_survey() -> pd.DataFrame:
    """Read the survey, with the levels of its schema."""
    return typed(SHARED / "data" / "recs2015.csv.gz")


def typed(path: Path) -> pd.DataFrame:
    """Read a table of RECS 2015 variables."""
    frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    for name, about in json.loads((SHARED / "data" / "recs2015_schema.json").read_text()).items():
        if name in frame and about["levels"]:
            ordered = about["kind"] == "ordered"
            frame[name] = pd.Categorical(frame[name].astype(str), about["levels"], ordered=ordered)
    return frame


def compared(truth: pd.DataFrame, implicates: pd.DataFrame, cores: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Validate, unweighted: averages of the smoothed metrics, medians over the estimates, and the curves."""
    found = fusionpy.validate(truth, implicates, SUBSETS, y=FUSED, plot=False, cores=cores, quiet=True)
    averages = found.summary.melt("y", list(METRICS), "measure")
    medians = found.table.groupby("y")[list(METRICS)].median().reset_index()
    medians = medians.melt("y", list(METRICS), "measure").replace(
        {"measure": {m: f"{m}_median" for m in METRICS}}
    )
    return pd.concat([averages, medians]).assign(judge="validate"), found.smooth


def scored(
    truth: pd.DataFrame, implicates: pd.DataFrame, x: Sequence[str], cores: int, quick: bool
) -> pd.DataFrame:
    """Score with the package's scorecard and with the shared judge, unweighted."""
    card = fusionpy.score(
        truth, implicates, FUSED, x=x, classifier=not quick, cores=cores, quiet=True, seed=0
    )
    own = card.table[~card.table["measure"].isin(NOT_SCORED)].assign(judge="score")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the judge's own libraries
        theirs = load_judge().score(truth, implicates, FUSED, list(x))
    rows = [(None, name, theirs[name]) for name in ("energy", "corr_err", "subgroup", "auc")]
    rows += [(y, name, value) for y, of_y in theirs["by"].items() for name, value in of_y.items()]
    judged = pd.DataFrame(rows, columns=["y", "measure", "value"]).assign(judge="bench", way="fused")
    kept = pd.concat([own, judged[~judged["measure"].isin(NOT_KEPT)]])
    return kept[["way", "judge", "y", "measure", "value"]]


def evaluated(
    sample: str, truth: pd.DataFrame, implicates: pd.DataFrame, x: Sequence[str], asked: argparse.Namespace
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Compare and, if held out, score: rows of runs.csv, and curves."""
    rows, curves = compared(truth, implicates, asked.cores)
    rows["way"] = "fused"
    if sample == HELD_OUT:
        rows = pd.concat([rows, scored(truth, implicates, x, asked.cores, asked.quick)])
    return rows.assign(sample=sample), curves.assign(sample=sample)


def run_all(asked: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Evaluate R's run, then train, fuse and evaluate each of ours."""
    survey = read_survey()
    x = list(survey.columns[1:14])
    truths = {DONORS: survey.iloc[0::2], HELD_OUT: survey.iloc[1::2]}
    truths = {sample: part.reset_index(drop=True) for sample, part in truths.items()}
    many = {sample: 5 if asked.quick else M for sample, (_, M) in IMPLICATES.items()}
    rows, curves = [], []
    for way, seed in [(R, 0), *((way, seed) for seed in asked.seeds for way in asked.ways)]:
        began = time.process_time()
        if way != R:
            model = fusionpy.train(
                truths[DONORS], FUSED, x, method=way, cores=asked.cores, seed=seed, quiet=True
            )
        for sample, truth in truths.items():
            if way == R:
                fused = typed(SHARED / "reference" / IMPLICATES[sample][0])
                fused = fused[fused["M"] <= many[sample]]
            else:
                fused = fusionpy.fuse(truth, model, M=many[sample], cores=asked.cores, seed=seed, quiet=True)
            found, smooth = evaluated(sample, truth, fused, x, asked)
            if way != R:  # the baselines are the same for all
                found = found[found["way"] == "fused"]
            found["way"] = found["way"].replace("fused", way)
            rows.append(found.assign(seed=seed))
            curves.append(smooth.assign(way=way, seed=seed))
        print(f"{way}, seed {seed}: {time.process_time() - began:.0f} CPU seconds", flush=True)
    runs = pd.concat(rows)[["sample", "way", "seed", "judge", "y", "measure", "value"]]
    return runs, banded(pd.concat(curves))


def banded(curves: pd.DataFrame) -> pd.DataFrame:
    """Mean, least and largest of the seeds' curves; of the large shares every tenth place is enough."""
    keys = ["sample", "way", "metric", "y"]
    found = curves.groupby([*keys, "share"])["value"].agg(["mean", "min", "max"]).reset_index()
    place = found.groupby(keys).cumcount()
    return found[(place % 10 == 0) | (place < 40) & (place % 2 == 0)]


def summarise(runs: pd.DataFrame) -> pd.DataFrame:
    """One row per number and way: mean and interval over the seeds, and the difference to R's run.

    The variable "all" is the mean over the variables, or of measures that judge them together.

    R ran once. How far another run of it might have been is taken from our own method "fusionModel", which is
    the same method: its variance between seeds is R's, too.
    """
    each = runs[runs["y"].notna() & ~runs["measure"].isin(NOT_AVERAGED)]
    averages = each.groupby(["sample", "judge", "measure", "way", "seed"], sort=False)["value"].mean()
    runs = pd.concat([runs, averages.reset_index()]).assign(y=lambda rows: rows["y"].fillna("all"))
    wide = runs.pivot_table("value", [*KEYS, "way"], "seed", sort=False)
    of_r = wide.xs(R, level="way").iloc[:, 0] if R in wide.index.unique("way") else pd.Series(dtype=float)
    rows = []
    for (*keys, way), values in wide.iterrows():
        given = values.dropna().to_numpy()
        n = len(given)
        if n == 0:
            continue
        row = {**dict(zip(KEYS, keys, strict=True)), "way": way, "runs": n, "mean": given.mean()}
        if n > 1:
            row["se"] = given.std(ddof=1) / np.sqrt(n)
            row |= dict(zip(("low", "high"), interval(row["mean"], row["se"], n - 1), strict=True))
            own = wide.loc[(*keys, OWN)].dropna() if (*keys, OWN) in wide.index else given
            row |= difference(given, of_r.loc[tuple(keys)], None if way == OWN else np.asarray(own))
        rows.append(row)
    return pd.DataFrame(rows)


def interval(mean: float, se: float, df: float) -> tuple[float, float]:
    """Student's interval."""
    half = student.ppf((1 + LEVEL) / 2, df) * se
    return mean - half, mean + half


def difference(given: np.ndarray, of_r: float, own: np.ndarray | None) -> dict[str, float]:
    """Our mean less R's run, and its interval: `own` are runs that vary as R's would, None if `given` do.

    Then it is the interval within which one more run is expected, otherwise Welch's.
    """
    n, variance, apart = len(given), given.var(ddof=1), given.mean() - of_r
    if own is None:
        low, high = interval(apart, np.sqrt(variance * (1 + 1 / n)), n - 1)
    else:
        parts = np.array([variance / n, own.var(ddof=1)])
        freedom = np.array([n - 1, len(own) - 1])
        df = parts.sum() ** 2 / (parts**2 / freedom).sum() if parts.all() else 1
        low, high = interval(apart, np.sqrt(parts.sum()), df)
    return {"to_r": apart, "to_r_low": low, "to_r_high": high}


def draw(curves: pd.DataFrame, sample: str) -> Any:
    """Draw Figure 5's three metrics against the subset's share: a row each, a column for each variable."""
    import matplotlib.pyplot as plt

    looks = {R: (BLACK, (0, (4, 2)), 1.6), OWN: (VERMILION, "-", 1.3), DEFAULT: (BLUE, "-", 1.3)}
    names = {R: f"{R}, one run", OWN: 'fusionpy, method="fusionModel"', DEFAULT: "fusionpy, default"}
    part = curves[curves["sample"] == sample].set_index(["metric", "y", "way"]).sort_index()
    figure, axes = plt.subplots(3, len(FUSED), figsize=(11, 6.4), sharex=True, sharey="row")
    for i, (metric, title) in enumerate(METRICS.items()):
        scale = 100 if metric == "est" else 1
        for j, y in enumerate(FUSED):
            axis = axes[i, j]
            if metric == "moe":
                axis.axhline(1, color="#888888", linewidth=0.8)
            for way, (colour, stroke, width) in looks.items():
                if (metric, y, way) not in part.index:
                    continue
                curve = part.loc[[(metric, y, way)]].sort_values("share")
                at = np.sqrt(curve["share"])
                axis.fill_between(
                    at, scale * curve["min"], scale * curve["max"], color=colour, alpha=0.18, lw=0
                )
                axis.plot(at, scale * curve["mean"], color=colour, ls=stroke, lw=width, label=names[way])
            axis.grid(color="#e4e4e4", linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
            if i == 0:
                axis.set_title(y, fontsize=10, fontweight="bold")
        axes[i, 0].set_ylabel(title)
        axes[i, 0].set_ylim(bottom=0 if metric != "moe" else None)
    ticks = [0.02, 0.1, 0.3, 0.6]
    axes[0, 0].set_xticks(np.sqrt(ticks), [f"{100 * tick:.0f}%" for tick in ticks])
    figure.supxlabel("Subset’s share of the sample (square-root scale)", fontsize=10)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="upper center", ncols=3, frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 0.95))
    return figure


def page(summary: pd.DataFrame, made: dict[str, Any]) -> dict[str, str]:
    """Make the page's tables."""
    found = summary.set_index(["sample", "judge", "y", "measure", "way"]).sort_index()

    def cell(*key: str, digits: int, scale: float = 1) -> str:
        if key not in found.index:
            return ""
        row = found.loc[key]
        text = f"{scale * row['mean']:.{digits}f}"
        if not np.isnan(row["se"]):
            text += f" ± {scale * row['se']:.{digits}f}"
            text += "\\*" if row["to_r_low"] > 0 or row["to_r_high"] < 0 else ""
        return text

    blocks = {}
    head = [f"{sample}: {way}" for sample in ("donors", "held out") for way in ("R", OWN, DEFAULT)]
    for metric in METRICS:
        digits, scale = (2, 100) if metric == "est" else (3, 1)
        rows = [
            ["mean" if y == "all" else y]
            + [
                cell(sample, "validate", y, metric, way, digits=digits, scale=scale)
                for sample in (DONORS, HELD_OUT)
                for way in (R, OWN, DEFAULT)
            ]
            for y in [*FUSED, "all"]
        ]
        blocks[metric] = table(["", *head], rows)
    counted = [(sample, "validate", y, m) for sample in (DONORS, HELD_OUT) for y in FUSED for m in METRICS]
    ways = [R, OWN, DEFAULT, "random hot deck", "sampling floor"]
    shown = [("all", "energy"), ("insulation", "brier"), ("aircon", "brier")]
    shown += [(y, "crps") for y in FUSED[2:]] + [(y, "cover90") for y in FUSED[2:]]
    shown += [("all", "subgroup"), ("all", "corr_err"), ("all", "auc")]
    counted += [(HELD_OUT, "score", y, measure) for y, measure in shown]
    rows = []
    for y, measure in shown:
        cells = [cell(HELD_OUT, "score", y, measure, way, digits=4) for way in ways]
        gap = found.loc[HELD_OUT, "score", y, measure, DEFAULT]
        apart = f"{gap['to_r']:+.4f} ({gap['to_r_low']:+.4f} to {gap['to_r_high']:+.4f})"
        rows.append([measure if y == "all" else f"{measure} {y}", *cells, apart])
    blocks["scores"] = table(["", "R", *ways[1:], "default − R (90 % interval)"], rows)
    apart = found.loc[[(*key, way) for key in counted for way in (OWN, DEFAULT)]]
    apart = (apart["to_r_low"] > 0) | (apart["to_r_high"] < 0)
    many = {way: int(apart.xs(way, level="way").sum()) for way in (OWN, DEFAULT)}
    blocks["asterisks"] = (
        f"Of {len(counted)} numbers in these four tables (means over the variables left out), "
        f'{many[OWN]} of `method="fusionModel"` have an asterisk, and {many[DEFAULT]} of the default; by '
        f"chance alone it would be about {(1 - LEVEL) * len(counted):.0f}."
    )
    versions = ", ".join(f"{name} {made['versions'][name]}" for name in ("lightgbm", "numpy"))
    blocks["machine"] = (
        f"Made {made['date']} on {made['processor']}, {made['cores']} cores, Python {made['python']}, "
        f"{versions}, fusionpy {made['fusionpy']} ({made['commit']}); "
        f"seeds {', '.join(map(str, made['seeds']))}; {made['cpu_seconds']} CPU seconds."
    )
    return blocks


def write(out: Path) -> None:
    """Write summary, figures and the page from runs.csv and curves.csv."""
    runs, curves = pd.read_csv(out / "runs.csv"), pd.read_csv(out / "curves.csv")
    summary = summarise(runs)
    summary.to_csv(out / "summary.csv", index=False, float_format="%.5f")
    for sample, name in ((DONORS, "donors"), (HELD_OUT, "held_out")):
        save_figure(draw(curves, sample), out / name)
    if out == HERE:
        made = json.loads((out / "made.json").read_text())
        fill(out / "README.md", page(pd.read_csv(out / "summary.csv"), made))


def main() -> None:
    """Run the study, and write its tables, figures and page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--ways", nargs="+", default=[OWN, DEFAULT], choices=[OWN, DEFAULT])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--quick", action="store_true", help="a smoke run; its results are not kept here")
    parser.add_argument("--tables", action="store_true", help="no new runs")
    asked = parser.parse_args()
    if asked.quick:
        asked.seeds = asked.seeds[:1]
        asked.out = Path(tempfile.mkdtemp(prefix="recs2015-")) if asked.out == HERE else asked.out
    asked.out = asked.out.resolve()
    asked.out.mkdir(parents=True, exist_ok=True)
    if not asked.tables:
        began = time.process_time()
        runs, curves = run_all(asked)
        runs.to_csv(asked.out / "runs.csv", index=False, float_format="%.5f")
        curves.to_csv(asked.out / "curves.csv", index=False, float_format="%.4g")
        made = machine() | {
            "fusionpy": fusionpy.__version__,
            "seeds": asked.seeds,
            "cpu_seconds": round(time.process_time() - began),
        }
        (asked.out / "made.json").write_text(json.dumps(made, indent=1, sort_keys=True) + "\n")
    write(asked.out)
    print(f"results are in {asked.out}")


if __name__ == "__main__":
    main()
