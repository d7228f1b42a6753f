"""The search for hyperparameters and rounds of boosting: cross-validation in pieces for several threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.base import Cancelled, Folds, Problem, Tuning
from fusionpy.engines.lightgbm.binning import refusals_told, subset
from fusionpy.engines.lightgbm.boosting import Booster, parameters, parse, text
from fusionpy.engines.lightgbm.hyper import settled
from fusionpy.engines.lightgbm.rewriting import restate, unit_of

__all__ = ["Search"]

_ROUNDS = 2500  # of boosting at most, where no hyperparameter says so


class Search:
    """Cross-validation of every candidate in a grid, in pieces that can be done side by side.

    Until `settle` says that it is over, `boost` every fold, in any order or at once, and call `settle`.
    Then `tuning` is what was found, and the chosen candidate's models of the folds, cut at the chosen round,
    are there to `predict` with, or to be kept (`models`).

    Parameters
    ----------
    problem : Problem
    grid : sequence of dict
        Candidates; `num_iterations` bounds the rounds.
    folds : sequence of (train rows, validation rows)
    patience : int
        Boosting stops when the mean validation loss has not improved for so many rounds.
    seed : int

    Notes
    -----
    The rounds, losses and models are those of ``lightgbm.cv`` with its early stopping, which moves all folds
    a round at a time. Here a fold is boosted by itself as far as is certain to be wanted: `patience` rounds
    beyond the best of the rounds that all folds have had. So none is fitted in vain.
    """

    def __init__(
        self,
        problem: Problem,
        grid: Sequence[Mapping[str, Any]],
        folds: Folds,
        patience: int,
        seed: int,
    ) -> None:
        self.tuning: Tuning | None = None
        self._problem, self._grid, self._folds, self._seed = problem, grid, folds, seed
        self._patience = patience
        self._unit = unit_of(problem.label, problem.target.objective)
        self._rows: list[dict[str, Any]] = []  # of the table of candidates
        self._best: tuple[float, int, int, list[Booster]] | None = None
        self._begin()

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return len(self._folds)

    def _begin(self) -> None:
        """Turn to the next candidate."""
        self._turn_to(len(self._rows))

    def _turn_to(self, number: int) -> None:
        """Begin with a candidate, from its first round."""
        self._hyper = hyper = self._grid[number]
        self._most = int(hyper.get("num_iterations", _ROUNDS))
        # Rounds of dart change earlier trees, so that LightGBM never stops it early, nor can they be cut off.
        self._endless = settled(hyper).get("boosting") == "dart"
        self._horizon = self._most if self._endless else min(self._patience + 1, self._most)
        self._losses: list[list[float]] = [[] for _ in self._folds]
        self._means: list[float] = []  # of the rounds that all folds have had
        self._least = 0  # the first round of least mean loss
        self._models: list[Booster | None] = [None for _ in self._folds]

    def boost(self, fold: int, interrupted: Callable[[], bool] = lambda: False) -> None:
        """Boost one fold as far as is certain to be wanted.

        Parameters
        ----------
        fold : int
            Different folds may be boosted at the same time.
        interrupted : callable
            Asked at every round.

        Raises
        ------
        Cancelled
            If `interrupted` said so.
        """
        losses = self._losses[fold]
        with refusals_told(self._problem.target):
            booster = self._models[fold]
            if booster is None:
                booster = self._models[fold] = self._start(*self._folds[fold])
            else:
                # How much LightGBM says is up to the thread, and to what this one last told LightGBM.
                subset(self._problem, np.zeros(1, dtype=np.intp), {}, self._unit)
            while len(losses) < self._horizon:
                booster.update()
                losses.append(float(booster.eval_valid()[0][2]))
                if interrupted():
                    raise Cancelled

    def _start(self, train: NDArray[np.intp], valid: NDArray[np.intp]) -> Booster:
        import lightgbm as lgb

        params = {**parameters(self._problem, self._hyper, self._seed), "num_iterations": self._most}
        booster = lgb.Booster(params, subset(self._problem, train, params, self._unit))
        booster.add_valid(subset(self._problem, valid, params, self._unit), "valid")
        return booster

    def settle(self) -> bool:
        """Find how much further the folds must be boosted; turn to the next candidate if no further.

        Returns
        -------
        bool
            Whether all candidates are done.
        """
        if self.tuning is not None:  # the chosen candidate's folds have been boosted again
            return True
        means = self._means
        for number in range(len(means), self._horizon):
            means.append(float(np.mean([losses[number] for losses in self._losses])))
            if means[number] < means[self._least]:
                self._least = number
        wanted = min(self._least + self._patience + 1, self._most)
        if not self._endless and wanted > len(means):
            self._horizon = wanted
            return False
        self._judge(means if self._endless else means[: self._least + 1])
        if len(self._rows) < len(self._grid):
            self._begin()
            return False
        return self._choose()

    def _judge(self, means: list[float]) -> None:
        """Note what a candidate achieved, and keep its models if none before it was as good."""
        rounds = int(np.argmin(means)) + 1
        loss = self._unit.restate_loss(means[rounds - 1], self._problem.target.objective)
        if self._best is None or loss < self._best[0]:
            models = [model for model in self._models if model is not None]
            self._best = loss, rounds, len(self._rows), models
        hyper = self._grid[len(self._rows)]
        self._rows.append({**hyper, "best_score": loss, "best_iter": rounds, "final_model": False})
        self._models = []

    def _choose(self) -> bool:
        """Settle what was found; tell whether the folds' models are there: those of dart must be redone."""
        assert self._best is not None
        loss, rounds, number, models = self._best
        chosen = dict(self._grid[number])
        self._rows[number]["final_model"] = True
        self.tuning = Tuning(chosen, rounds, loss, self._rows)
        self._turn_to(number)
        if not self._endless or rounds == self._most:
            self._models = list(models)
            return True
        self._horizon = rounds
        return False

    def predict(self, fold: int, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predict with the model of a fold.

        Parameters
        ----------
        fold : int
        matrix : (n, p) float64

        Returns
        -------
        (n, k) float64
            What `boosting.predict` gives with this one of the `models`.
        """
        model = self._models[fold]
        assert self.tuning is not None
        assert model is not None
        found = model.predict(matrix, num_iteration=self.tuning.rounds, num_threads=1)
        return self._unit.undo(np.asarray(found, dtype=np.float64)).reshape(len(matrix), -1)

    def models(self) -> list[Booster]:
        """Models of the folds without the data that they were fitted on."""
        assert self.tuning is not None
        texts = [text(model, self.tuning.rounds) for model in self._models if model is not None]
        return [parse(restate(each, self._unit)) for each in texts]
