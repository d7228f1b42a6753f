"""Choose the order of steps and their predictors by LASSO."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.glmnet import glmnet_path
from fusionpy.kernels.grams import Gram, glmnet_gram, weighted_gram
from fusionpy.kernels.lasso import Path, lasso_path
from fusionpy.kernels.ranks import rank_correlations, rank_scores
from fusionpy.preparation.design import Design, LassoTarget
from fusionpy.progress import Ticker

__all__ = ["Criteria", "Judged", "count_judgements", "order_steps"]

Array = NDArray[np.float64]
Index = NDArray[np.intp]
Each = Callable[..., Iterator[Any]]  # map, over threads
Block = tuple[str, ...]

FEWEST = 20  # columns that a target keeps, and that its predictors are topped up to


@dataclass(frozen=True)
class Criteria:
    """What `prep_xy` was told: see there."""

    cor_thresh: float
    lasso_thresh: float
    xmax: int
    solver: str


class LassoFit(NamedTuple):
    """What was explained of a target or a step: share of deviance, and the columns that do it."""

    deviance: float
    columns: tuple[int, ...]


class Judged(NamedTuple):
    """A step in a round: what was explained, of what could be, and was it placed."""

    round: int
    step: int
    deviance: float
    best: float
    ratio: float
    chosen: bool


def count_judgements(n_steps: int) -> int:
    """Count how often `order_steps` explains a step: once as far as can be, then in each round until placed.

    Examples
    --------
    >>> count_judgements(3)
    9
    """
    return n_steps + n_steps * (n_steps + 1) // 2


def order_steps(
    design: Design, blocks: Sequence[Block], x: Sequence[str], criteria: Criteria, cores: int, tick: Ticker
) -> tuple[list[int], list[list[str]], list[Judged]]:
    """Place one step after the other, the best explained first.

    Parameters
    ----------
    design : Design
    blocks : sequence of tuple of str
        Steps.
    x : sequence of str
        Predictors that the recipient has.
    criteria : Criteria
    cores : int
        Threads. The result does not depend on it.
    tick : Ticker

    Returns
    -------
    order : list of int
        Places of the steps in `blocks`.
    predictors : list of list of str
        Of each step, in that order: earlier fusion variables, then those of `x`; as the reference has them:
        target by target, those of its model in the order in which it was given them, then those added.
    rounds : list of Judged

    Notes
    -----
    Reference, section 4, parts 3 to 5. Version 2.4.0 of it leaves the members of a block out of what explains
    its members best. It keeps columns by falling correlation, but if at least 20 of them pass the threshold,
    in their own order, and that is the order in which the models are given them, and columns are added. Of
    two columns that say the same (two dummies for two levels) glmnet's rounding decides whether the second
    one comes into the model too: hence `glmnet_gram`.
    """
    with ThreadPoolExecutor(cores) as pool:
        kept = _keep(design, x, criteria.cor_thresh, pool.map)
        gram = glmnet_gram if design.as_reference else weighted_gram
        grams = list(pool.map(lambda rows: gram(design.matrix, design.weight, rows), design.subsets))
        models = _Models(design, grams, kept, criteria, tick)
        names = [name for block in blocks for name in block]
        best = list(pool.map(partial(models.best, names=names), blocks))

        order: list[int] = []
        predictors: list[list[str]] = []
        rounds: list[Judged] = []
        while len(order) < len(blocks):
            left = [i for i in range(len(blocks)) if i not in order]
            placed = [name for i in order for name in blocks[i]]
            fits = list(pool.map(partial(models.explain, placed=placed), [blocks[i] for i in left]))
            judged = [
                _judge(len(order) + 1, i, fit.deviance, best[i]) for i, fit in zip(left, fits, strict=True)
            ]
            first = int(np.argmax([row.ratio for row in judged]))  # of equals, the one named first
            rounds += [row._replace(chosen=k == first) for k, row in enumerate(judged)]
            used = dict.fromkeys(design.owner[j] for j in fits[first].columns)
            listed = used if design.as_reference else (*placed, *x)
            predictors.append([name for name in listed if name and name in used])
            order.append(left[first])
    return order, predictors, rounds


def _judge(number: int, step: int, deviance: float, best: float) -> Judged:
    """Compare what is explained of a step with what could be; if that is nothing, any place will do."""
    return Judged(number, step, deviance, best, deviance / best if best > 0 else 1.0, False)


def _keep(design: Design, x: Sequence[str], cor_thresh: float, each: Each) -> dict[int, Index]:
    """Find the columns of `x` that go with each target, by falling rank correlation."""
    columns = np.array([j for name in x for j in design.columns[name]], dtype=np.intp)
    targets: list[list[LassoTarget]] = [[] for _ in design.subsets]
    for target in (target for every in design.targets.values() for target in every):
        targets[target.ranked].append(target)

    def score(subset: int) -> Array:
        rows = design.subsets[subset]
        mine = [rank_scores(design.matrix[rows, t.column], design.rank_weight[rows]) for t in targets[subset]]
        return np.stack(mine, axis=1) if mine else np.empty((len(rows), 0))

    def correlate(column: int) -> Array:
        values = design.matrix[:, column]
        return np.concatenate(rank_correlations(values, design.rank_weight, design.subsets, scores))

    scores = list(each(score, range(len(design.subsets))))
    size = np.abs(np.stack(list(each(correlate, columns))))
    kept = {}
    for k, target in enumerate(target for mine in targets for target in mine):
        falling = np.argsort(-size[:, k].round(12), kind="stable")
        n_passed = int((size[:, k] > cor_thresh).sum())
        chosen = columns[falling[: max(FEWEST, n_passed)]]
        kept[target.column] = np.sort(chosen) if design.as_reference and n_passed >= FEWEST else chosen
    return kept


def _combine(targets: Sequence[LassoTarget], deviance: Sequence[float]) -> float:
    """Mean over targets, each with its share."""
    share = [target.share for target in targets]
    return sum(s * each for s, each in zip(share, deviance, strict=True)) / sum(share)


@dataclass(frozen=True, eq=False)
class _Models:
    """Fits paths of targets; safe to call from several threads."""

    design: Design
    grams: Sequence[Gram]
    kept: dict[int, Index]
    criteria: Criteria
    tick: Ticker

    def best(self, block: Block, names: Sequence[str]) -> float:
        """Share of a step's deviance that its predictors and all other fusion variables explain."""
        targets, most = [], []
        for name in block:
            apart = block if self.design.as_reference else (name,)
            others = [other for other in names if other not in apart]
            for target in self.design.targets[name]:
                targets.append(target)
                most.append(float(self.path(target, self.columns(target, others)).deviance.max()))
        self.tick()
        return _combine(targets, most)

    def explain(self, block: Block, placed: Sequence[str]) -> LassoFit:
        """Explain a step by its predictors and the variables placed so far."""
        targets = [target for name in block for target in self.design.targets[name]]
        fits = [self.fit(target, placed) for target in targets]
        self.tick()
        columns = tuple(dict.fromkeys(j for fit in fits for j in fit.columns))
        return LassoFit(_combine(targets, [fit.deviance for fit in fits]), columns)

    def fit(self, target: LassoTarget, placed: Sequence[str]) -> LassoFit:
        """Explain one target: as far as the criteria ask, with predictors added until there are enough."""
        columns = self.columns(target, placed)
        path = self.path(target, columns)
        wanted = path.deviance.max() * (1.0 if path.full else self.criteria.lasso_thresh)
        first = int(np.argmax(path.deviance >= wanted))
        used = [int(j) for j in columns[path.coefficient[first] != 0]]
        for j in self.kept[target.column]:
            if len(used) >= FEWEST:
                break
            if j not in used:
                used.append(int(j))
        return LassoFit(float(path.deviance[first]), tuple(used))

    def columns(self, target: LassoTarget, names: Sequence[str]) -> Index:
        """Kept columns, and those of other fusion variables."""
        others = [j for name in names for j in self.design.columns[name]]
        kept = self.kept[target.column]
        return np.concatenate(
            [kept if self.design.as_reference else np.sort(kept), np.array(others, dtype=np.intp)]
        )

    def path(self, target: LassoTarget, columns: Index) -> Path:
        """LassoFit the path of one target."""
        if self.criteria.solver == "gram":
            return lasso_path(self.grams[target.subset], target.column, columns, most=self.criteria.xmax)
        rows, design = self.design.subsets[target.subset], self.design
        part = design.matrix[rows]
        return glmnet_path(
            part[:, columns], part[:, target.column], design.weight[rows], most=self.criteria.xmax
        )
