"""A second engine: ridge regression, as JSON. It does what any must, and nothing of what it may."""

import json
import math
from dataclasses import dataclass

import numpy as np

from fusionpy.engines.base import Cancelled, Engine, Entries, Tuning


@dataclass
class Ridge:
    """A linear model of each class, or of one number.

    Nominal predictors are told by the levels that donors have, others by centre and scale.
    """

    objective: str
    columns: list
    coefficients: list

    def design(self, matrix):
        parts = [np.ones((len(matrix), 1))]
        for values, known in zip(matrix.T, self.columns, strict=True):
            if isinstance(known, dict):
                scaled = (values - known["centre"]) / known["scale"]
                parts.append(np.where(np.isnan(scaled), 0, scaled)[:, None])
            else:
                parts.append(values[:, None] == np.array(known))
        return np.hstack(parts)


def described(values, is_nominal):
    values = values[~np.isnan(values)]
    if is_nominal:
        return np.unique(values).tolist()
    return {"centre": values.mean(), "scale": values.std() or 1.0}


def solve(problem, penalty, rows, weight):
    target, x, y = problem.target, problem.bins.values(rows), problem.label[rows]
    columns = [described(each, j in problem.bins.categorical) for j, each in enumerate(x.T)]
    model = Ridge(target.objective, columns, [])
    design, root = model.design(x), np.sqrt(weight)[:, None]
    truth = y[:, None] == np.arange(target.n_classes) if target.objective == "multiclass" else y[:, None]
    gram = (design * root).T @ (design * root) + penalty * np.eye(design.shape[1])
    found = np.linalg.solve(gram, (design * root).T @ (truth * root))
    if target.objective == "quantile":
        found[0] += np.quantile(y - design @ found[:, 0], target.alpha)
    model.coefficients = found.T.tolist()
    return model


def fit(problem, tuning, seed, count, interrupted):
    if interrupted():
        raise Cancelled
    weight = problem.weight if count is None or not count.any() else problem.weight * count
    rows = np.flatnonzero(weight)
    return solve(problem, tuning.params["penalty"], rows, weight[rows])


def predict(model, matrix):
    # Row by row the same numbers, whatever rows are beside it.
    found = np.einsum("np,kp->nk", model.design(matrix), np.array(model.coefficients))
    if model.objective not in ("binary", "multiclass"):
        return found
    found = np.clip(found, 0.01, 0.99)
    return found / found.sum(axis=1, keepdims=True) if model.objective == "multiclass" else found


class Search:
    """Every fold fits all candidates at once."""

    def __init__(self, problem, grid, folds, patience, seed):
        self.tuning = None
        self.problem, self.grid, self.folds = problem, grid, folds
        self.found = [[] for _ in folds]

    @property
    def n_folds(self):
        return len(self.folds)

    def boost(self, fold, interrupted=lambda: False):
        train, _ = self.folds[fold]
        for candidate in self.grid:
            self.found[fold].append(
                solve(self.problem, candidate["penalty"], train, self.problem.weight[train])
            )

    def settle(self):
        losses = [
            np.mean([self.loss(fold, j) for fold in range(self.n_folds)]) for j in range(len(self.grid))
        ]
        best = int(np.argmin(losses))
        rows = [
            {**candidate, "best_score": float(loss), "best_iter": 1, "final_model": j == best}
            for j, (candidate, loss) in enumerate(zip(self.grid, losses, strict=True))
        ]
        self.tuning = Tuning(dict(self.grid[best]), 1, float(losses[best]), rows)
        self.found = [models[best] for models in self.found]
        return True

    def loss(self, fold, candidate):
        _, valid = self.folds[fold]
        found, truth = (
            predict(self.found[fold][candidate], self.problem.bins.values(valid)),
            self.problem.label,
        )
        return float(((found[:, -1] - truth[valid]) ** 2).mean())

    def predict(self, fold, matrix):
        return predict(self.found[fold], matrix)

    def models(self):
        return list(self.found)


def check(hyper, usual):
    values = {name: value if isinstance(value, list) else [value] for name, value in dict(hyper).items()}
    strange = [name for name in values if name != "penalty"]
    return Entries(values=values, problems=[f"`hyper`: ridge has no {name}." for name in strange])


def write(model):
    return json.dumps(vars(model))


def read(text, target, n_features):
    try:
        model = Ridge(**json.loads(text))
        finite = all(math.isfinite(number) for row in model.coefficients for number in row)
        predict(model, np.zeros((1, n_features)))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ValueError("it is no ridge") from error
    if not finite or model.objective != target.objective or len(model.coefficients) != target.n_classes:
        raise ValueError("it is another ridge")
    return model


ENGINE = Engine(
    title="Ridge",
    libraries=("numpy",),
    usual=lambda method: {"penalty": [0.1, 100.0]},
    check=check,
    settle=lambda hyper, n: dict(hyper),
    bin=lambda problem, hyper: None,
    search=Search,
    fit=fit,
    predict=predict,
    write=write,
    read=read,
)
