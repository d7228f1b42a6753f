"""train() against the straightforward loop: fresh Dataset per model, lgb.cv, all threads in each model.

    python validation/benchmarks/train.py [--cores 2] [--repeats 3] [--refits 10] [--large]

Fits the models of RECS 2020 (18,496 donors, 14 predictors, 8 variables: 19 targets, each cross-validated in
5 folds, fitted on all donors, and refitted). `ours` is `learn_steps` with its pools, and predictions of
donors. `loop` has none of these: it only fits the same models, in LightGBM's own threads, one model after
another: "spin" as LightGBM comes, "passive" with threads that sleep while they wait
(OMP_WAIT_POLICY=passive), "one" with one thread. Trees must be those of "one" to the last digit; those of
two threads are the same only where LightGBM's own result does not depend on threads: `same` counts targets.

--large: train() itself on 100,000 simulated donors, 40 predictors, 10 variables; its memory beside the
encoded matrix. Writes train.csv, or train_large.csv.
"""

from __future__ import annotations

import hashlib
import os
import re
from typing import Any

from measuring import SHARED, Clock, compare, left_out, options, piece, save, summary

FUSED = "kwh,heat_fuel,ac_type,window_ac,ceiling_fans,disconnect_notice,no_heat,energy_assistance"
PREDICTORS = "income_rank,age,hh_size,children,renter,home_type,year_built,rooms,female,race,education"
PREDICTORS += ",division,hdd,cdd"
SEED = 1
OTHERWISE = re.compile(r"\nparameters:.*?end of parameters", re.S)


def donors(small: bool, variables: int) -> tuple[Any, list[str], list[str]]:
    """Read RECS 2020, or make a few rows that look like it."""
    import numpy as np
    import pandas as pd

    if not small:
        table = pd.read_parquet(SHARED / "recs2020_donor.parquet")
        return table, FUSED.split(",")[:variables], PREDICTORS.split(",")
    rng = np.random.default_rng(0)
    x = rng.integers(0, 30, (1500, 6)).astype(float)
    table = pd.DataFrame(x, columns=[f"x{j}" for j in range(6)])
    table["a"] = np.where(x[:, 0] > 10, x[:, 0] * x[:, 1] + rng.normal(size=1500), 0)
    table["b"] = pd.Categorical.from_codes(
        np.digitize(x[:, 2] + rng.normal(size=1500), [10, 20]), ["l", "m", "h"]
    )
    table["weight"] = rng.gamma(3, 1, 1500)
    return table, ["a", "b"], [f"x{j}" for j in range(6)]


def posed(small: bool, refits: int, variables: int = 8) -> dict[str, Any]:
    """Prepare the arguments of `learn_steps`, as train() does."""
    import numpy as np

    from fusionpy.errors import Problems, SchemaError
    from fusionpy.frames.tables import as_table
    from fusionpy.model.options import usual_options
    from fusionpy.model.rules import read_rules
    from fusionpy.model.schema import Schema
    from fusionpy.training.planning import plan_steps
    from fusionpy.training.refits import refit_counts

    table, y, x = donors(small, variables)
    problems = Problems(SchemaError, "", "")
    plans, predictors = plan_steps(y, x, problems, read_rules(None, None, None, problems))
    data = as_table(table)
    schema = Schema.learn(data, predictors, y, problems)
    problems.stop()
    weight = table["weight"].to_numpy(np.float64)
    return {
        "plans": plans,
        "schema": schema,
        "matrix": schema.encode(data, schema.names),
        "weight": weight / weight.mean(),
        "draw_weight": weight / weight.mean(),
        "counts": refit_counts(len(weight), refits, SEED, None),
        # Percentiles of ties start at the mean: LightGBM's own loop, the baseline, has no such models.
        "options": usual_options("default").having(refits=refits, untie=False),
        "seed": SEED,
    }


def told(models: dict[str, list[Any]]) -> dict[str, Any]:
    """Condense the trees of each target's models: what LightGBM was told of them is left out."""
    check = {}
    for name in models:
        found = hashlib.sha256()
        for model in models[name]:
            found.update(OTHERWISE.sub("", model.model_to_string(num_iteration=-1)).encode())
        check[name] = found.hexdigest()[:16]
    return {"models": sum(map(len, models.values())), "check": check}


def ours(clock: Clock, *, small: bool, refits: int, variables: int, cores: int) -> dict[str, Any]:
    """Fit with fusionpy, pools and all."""
    from fusionpy.training.fitting import learn_steps

    def tick(done: int = 1, doing: str | None = None) -> None:
        pass

    given = posed(small, refits, variables)
    learn_steps(**posed(True, 1), cores=1, tick=tick)  # compiled code is there
    with clock:
        steps = learn_steps(**given, cores=cores, tick=tick)
    models = {
        t.name: [step.final[t.name], *(m[t.name] for m in step.stand_ins)]
        for step in steps
        for t in step.targets
    }
    return told(models)


def loop(
    clock: Clock, *, variant: str, small: bool, refits: int, variables: int, cores: int
) -> dict[str, Any]:
    """Fit one model after the other, each from data of its own, by all threads."""
    if variant == "passive":
        os.environ["OMP_WAIT_POLICY"] = "passive"  # read when LightGBM is loaded
    import lightgbm as lgb
    import numpy as np

    from fusionpy.progress import track
    from fusionpy.training import targets

    given = posed(small, refits, variables)
    threads = 1 if variant == "one" else cores
    with track("", 0, True) as tick:
        work = targets.Work(  # targets, labels and folds as train() has them
            given["plans"],
            given["schema"],
            given["matrix"],
            np.arange(len(given["weight"])),
            given["weight"],
            given["draw_weight"],
            given["counts"],
            np.zeros(0, dtype=np.intp),
            given["options"],
            SEED,
            tick,
        )
    hyper = dict(given["options"].hyper)
    most = hyper.pop("num_iterations")
    metric = {"binary": "binary_logloss", "multiclass": "multi_logloss", "regression": "l2"}

    def fresh(sample: Any) -> Any:
        columns = given["matrix"][:, sample.bins.columns]
        return lgb.Dataset(
            columns[sample.rows],
            label=sample.label,
            weight=sample.weight,
            feature_name=sample.bins.names,
            categorical_feature=sample.bins.categorical,
            params={"feature_pre_filter": False, "verbosity": -1, "num_threads": threads},
        )

    models: dict[str, list[Any]] = {}
    number = 0
    with clock:
        for step in range(len(work.plans)):
            for target, sample, _ in targets.pose(work, step):
                params = hyper | {
                    "objective": target.objective,
                    "metric": metric.get(target.objective, "quantile"),
                    "num_threads": threads,
                    "verbosity": -1,
                    "feature_pre_filter": False,
                    "deterministic": True,
                    "force_col_wise": True,
                    "seed": targets.seed_of(SEED, number),
                }
                if target.objective == "multiclass":
                    params["num_class"] = target.n_classes
                if target.objective == "quantile":
                    params["alpha"] = target.alpha
                stop = lgb.early_stopping(given["options"].patience, verbose=False)
                found = lgb.cv(
                    params, fresh(sample), num_boost_round=most, folds=sample.folds(), callbacks=[stop]
                )
                rounds = len(next(iter(found.values())))
                models[target.name] = [lgb.train(params, fresh(sample), num_boost_round=rounds)]
                for refit, counts in enumerate(given["counts"]):
                    count = counts[sample.rows]
                    rows = np.flatnonzero(count)
                    weight = sample.weight[rows] * count[rows]
                    data = fresh(sample).subset(rows.tolist())
                    data.construct().set_weight(weight / weight.mean())
                    params["seed"] = targets.seed_of(SEED, number, refit + 1)
                    models[target.name].append(lgb.train(params, data, num_boost_round=rounds))
                number += 1
    return told(models)


def large(
    clock: Clock, *, donors: int, predictors: int, variables: int, refits: int, cores: int
) -> dict[str, Any]:
    """Train on simulated donors."""
    import numpy as np
    import pandas as pd

    import fusionpy

    rng = np.random.default_rng(0)
    x = rng.normal(size=(donors, predictors)).round(3)
    x[:, 3::5] = np.floor(6 * rng.random(x[:, 3::5].shape))
    table = pd.DataFrame({f"x{j}": x[:, j] for j in range(predictors)})
    for j in range(4, predictors, 5):
        table[f"x{j}"] = pd.Categorical.from_codes(
            rng.integers(0, 8, donors), [f"level {i}" for i in range(8)]
        )
    for k in range(variables):
        signal = x @ (rng.normal(size=predictors) * (rng.random(predictors) < 0.3))
        signal = signal / signal.std() + rng.normal(size=donors)
        kind = k % 4
        if kind == 0:
            table[f"y{k}"] = signal
        elif kind == 1:
            table[f"y{k}"] = pd.Categorical.from_codes(
                np.digitize(signal, [-1, 1]), ["low", "middle", "high"]
            )
        elif kind == 2:
            table[f"y{k}"] = np.where(signal > 0.5, np.exp(signal / 4), 0)
        else:
            table[f"y{k}"] = signal > 0
    table["weight"] = rng.gamma(4, 1, donors)
    y = [f"y{k}" for k in range(variables)]
    given: dict[str, Any] = {
        "x": list(table.columns[:predictors]),
        "weight": "weight",
        "seed": SEED,
        "quiet": True,
    }
    fusionpy.train(table[:2000], y=y[:4], refits=1, **given)  # compiled code is there
    with clock:
        model = fusionpy.train(table, y=y, refits=refits, cores=cores, **given)
    trees = sum(b.num_trees() for s in model.steps for m in (s.final, *s.stand_ins) for b in m.values())
    return {"trees": trees, "encoded_gb": donors * (predictors + variables) * 8 / 2**30}


def main() -> None:
    """Run what the command line asks for."""
    parser = options(__doc__)
    parser.add_argument("--refits", type=int, default=10, help="refits of each model")
    parser.add_argument("--variables", type=int, default=8, help="the first so many of RECS 2020")
    parser.add_argument(
        "--ways", nargs="+", default=["loop:spin", "loop:passive", "loop:one"], help="baselines"
    )
    parser.add_argument("--large", action="store_true", help="100,000 simulated donors")
    given = parser.parse_args()
    if given.large:
        case = {"donors": 100_000, "predictors": 40, "variables": 10}
        if given.small:
            case = {"donors": 2000, "predictors": 8, "variables": 4}
        run = piece(__file__, "large", {**case, "refits": given.refits, "cores": given.cores})
        save("train_large", [run], given)
        return
    if not given.small and not SHARED.exists():
        left_out("it needs RECS 2020 in ../shared")
    refits = 1 if given.small else given.refits
    case = {"small": given.small, "refits": refits, "variables": given.variables, "cores": given.cores}
    runs = compare(__file__, ["ours", *given.ways], case, given.repeats)
    ours_found = next(run["check"] for run in runs if run["piece"] == "ours")
    for run in runs:
        same = sum(run["check"][name] == ours_found[name] for name in ours_found)
        assert same == len(ours_found) or run["piece"] in ("loop:spin", "loop:passive")
        run["same"] = f"{same}/{len(ours_found)}"
    rows = summary(runs, baseline=given.ways[0], by=list(case))
    for row in rows:
        row["same"] = next(run["same"] for run in runs if run["piece"] == row["piece"])
    save("train", rows, given)


if __name__ == "__main__":
    main()
