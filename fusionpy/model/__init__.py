"""What training leaves and fusing needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fusionpy.engines.base import Model, Target, Tuning
from fusionpy.errors import counted
from fusionpy.figures.layout import Grid, Page
from fusionpy.model.areas import Area
from fusionpy.model.effects import Effects
from fusionpy.model.kinds import listed_kinds, told_kind
from fusionpy.model.options import Options
from fusionpy.model.ranges import Range, range_of
from fusionpy.model.rules import Rule
from fusionpy.model.schema import Schema

__all__ = ["FusionModel", "Known", "Pools", "Step"]

BLOCK_POOL = 30  # donors kept for each centre of a block; `fuse(kblock=)` uses the first of them


@dataclass(frozen=True, kw_only=True)
class Pools:
    """Donor pools of one step.

    Attributes
    ----------
    columns : tuple of str
        Names of the expectations.
    centre, scale : (d,) float64
        How expectations are scaled; NaN = not.
    centres : (c, d) float64
        Scaled cluster centres.
    start : (c + 1,) intp
        Pool boundaries in `member`.
    member : (m,) intp
        Donor rows, pool after pool, nearest first.
    r2 : float
        Weighted share of the variance of the centres' expected values that their pools' means explain;
        NaN for a block.
    """

    columns: tuple[str, ...]
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    centres: NDArray[np.float64]
    start: NDArray[np.intp]
    member: NDArray[np.intp]
    r2: float

    @property
    def sizes(self) -> NDArray[np.intp]:
        """Number of donors in each pool."""
        return np.diff(self.start)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a fusion: a variable, or a block of variables taken from one donor.

    Attributes
    ----------
    variables, predictors : tuple of str
        Predictors in the order that the models know them by.
    targets : tuple of Target
        The models, in the order of the expectations.
    final : dict of str to Model
        Fitted on all donors; key is the target's name.
    stand_ins : tuple of dict
        Fold models or refits, one of which stands in for `final` at every draw; empty: `final` does.
    calibrations : dict of str to tuple of float
        Temperature and class offsets of categorical and zero models; none where there is no entry.
    pools : Pools or None
        None for a categorical variable on its own: its classes are drawn directly.
    tuning : dict of str to Tuning
    effects : Effects or None
        What the models miss of the differences between groups.
    """

    variables: tuple[str, ...]
    predictors: tuple[str, ...]
    targets: tuple[Target, ...]
    final: Mapping[str, Model]
    stand_ins: tuple[Mapping[str, Model], ...]
    calibrations: Mapping[str, tuple[float, ...]]
    pools: Pools | None
    tuning: Mapping[str, Tuning]
    effects: Effects | None = None

    @property
    def is_block(self) -> bool:
        """Whether several variables are taken from one donor."""
        return len(self.variables) > 1

    @property
    def is_inflated(self) -> bool:
        """Whether it is of one variable of which it is drawn first whether it is 0."""
        return not self.is_block and self.targets[0].kind == "z"

    def models(self, stand_in: int) -> Mapping[str, Model]:
        """Models of one stand-in, or the final ones if there are no stand-ins."""
        return self.stand_ins[stand_in] if self.stand_ins else self.final


@dataclass(frozen=True)
class Known:
    """What is known of the donors themselves, for estimates to be rectified by.

    Attributes
    ----------
    x : (n, p) float64
        Predictors: values or level codes, NaN where missing.
    y : (n, q) float64
        Fusion variables.
    expected : (n, e) float64
        What fusing the donor would give on average, by models that did not see it: a column per continuous
        variable, one per class of the others. NaN for a donor that is in every refit's resample.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    expected: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, repr=False)
class FusionModel:
    """A trained fusion: hand it to `fuse`, or write it to a `.fsn` archive.

    Attributes
    ----------
    schema : Schema
        Predictors and fusion variables with their kinds and levels.
    steps : tuple of Step
    options : Options
        How it was trained.
    seed : int or None
        The seed that was given, or drawn; None if R trained it.
    donors : (n, q) float64
        Values (level codes) of the fusion variables that are taken from donors.
    donor_columns : tuple of str
        Their names.
    weight : (n,) float64
        Positive donor weights, mean 1.
    counts : (refits, n) float64
        How often each donor is in each refit; no rows without refits.
    seconds : float
        Time that training took.
    versions : dict
        Of fusionpy and the libraries behind it.
    known : Known or None
        The donors' predictors, values and out-of-fold expectations, for ``analyze(rectify=)``.
    rules : tuple of Rule
        What every fused record satisfies.
    ranges : dict of str to Range
        What donors have of the predictors, coarsely, for recipients to be held against; empty if R, or an
        older release, trained it.

    Notes
    -----
    It holds records of the donor survey: share it as you would share the survey.
    """

    schema: Schema
    steps: tuple[Step, ...]
    options: Options
    seed: int | None
    donors: NDArray[np.float64]
    donor_columns: tuple[str, ...]
    weight: NDArray[np.float64]
    counts: NDArray[np.float64]
    seconds: float = 0.0
    versions: Mapping[str, str] = field(default_factory=dict)
    known: Known | None = None
    rules: tuple[Rule, ...] = ()
    ranges: Mapping[str, Range] = field(default_factory=dict)

    @property
    def n_donors(self) -> int:
        """Donors of positive weight."""
        return len(self.weight)

    @property
    def areas(self) -> tuple[Area, ...]:
        """Areas that have effects of their own, which recipients must have; the one with most levels last."""
        effects = self.steps[0].effects
        return () if effects is None else effects.areas

    @property
    def needed(self) -> list[str]:
        """Columns that recipients must have: predictors, and areas."""
        names = [*(variable.name for variable in self.schema.x), *(area.name for area in self.areas)]
        return list(dict.fromkeys(names))

    @property
    def assignment(self) -> Literal["final", "record", "implicate"]:
        """Which stand-in predicts a recipient: none, one drawn per record, or one per implicate."""
        if self.options.refits:
            return "implicate"
        return "record" if self.steps[0].stand_ins else "final"

    def summary(self) -> list[dict[str, Any]]:
        """One row per model of each step.

        Returns
        -------
        list of dict
            step, variable, type, model, rounds, loss (of validation), pool_median, pool_range, r2.
        """
        rows = []
        for number, step in enumerate(self.steps, 1):
            sizes = step.pools.sizes if step.pools else np.array([], dtype=np.intp)
            for target in step.targets:
                tuning = step.tuning[target.name]
                rows.append(
                    {
                        "step": number,
                        "variable": target.variable,
                        "type": self.schema[target.variable].model_type
                        + (" (zero-inflated)" if f"{target.variable}_z" in step.tuning else ""),
                        "model": target.kind,
                        "rounds": tuning.rounds,
                        "loss": tuning.loss,
                        "pool_median": float(np.median(sizes)) if len(sizes) else None,
                        "pool_range": (int(sizes.min()), int(sizes.max())) if len(sizes) else None,
                        "r2": step.pools.r2 if step.pools and not step.is_block else None,
                    }
                )
        return rows

    def _page(self) -> Page:
        """Lay out steps, kinds, rounds, losses and pool sizes, a line per variable; then the predictors."""
        options = self.options
        refits = f"{options.refits} refits" if options.refits else "no refits"
        origin = "trained by R" if self.seed is None else f"seed {self.seed}"
        headline = (
            f"FusionModel: {counted(len(self.steps), 'step')} from {self.n_donors:,} donors and "
            f"{counted(len(self.schema.x), 'predictor')} (method {options.method}, {refits}, {origin}, "
            f"{self.seconds:.1f} s)"
        )
        rows, known = self.summary(), self._outcome_ranges()
        cells = []
        for number, step in enumerate(self.steps, 1):
            for name in step.variables:
                mine = [row for row in rows if row["step"] == number and row["variable"] == name]
                models = ", ".join(
                    f"{row['model']}:\xa0{row['rounds']}\xa0({row['loss']:.3g})" for row in mine
                )
                kind = told_kind(self.schema[name], known.get(name))
                zeros = "; zero-inflated" if f"{name}_z" in step.tuning else ""
                cells.append((str(number), name, kind + zeros, models, _pool_text(mine[0])))
        headers = ("step", "variable", "kind", "models: rounds (loss)", "pools")
        steps = Grid(headers, tuple(cells), (True, *[False] * 4))
        listed = listed_kinds(self.schema.x, self.ranges)
        predictors = Grid(("predictors", ""), tuple(listed), (False, False))
        notes = [f"rule: {rule.text}" for rule in self.rules]
        areas = [f"{area.name} ({len(area.levels):,} levels)" for area in self.areas]
        notes += [f"areas with effects of their own: {', '.join(areas)}"] if areas else []
        notes += [line for step in self.steps if step.effects for line in step.effects.told(self.schema)]
        return Page(headline, (steps, predictors), tuple(notes))

    def _outcome_ranges(self) -> dict[str, Range]:
        """Find the ranges of the numeric fusion variables, coarsely."""
        names = [name for name in self.donor_columns if self.schema[name].kind == "continuous"]
        return {name: range_of(self.donors[:, self.donor_columns.index(name)]) for name in names}

    def __repr__(self) -> str:
        """Show steps, what every column was taken for, rounds, losses and pool sizes."""
        return self._page().text()

    def _repr_html_(self) -> str:
        return self._page().html()

    def describe(self) -> dict[str, Any]:
        """Options, seed, sizes and versions, as plain data."""
        return {
            "options": asdict(self.options),
            "seed": self.seed,
            "n_donors": self.n_donors,
            "predictors": [variable.name for variable in self.schema.x],
            "steps": [list(step.variables) for step in self.steps],
            "rules": [rule.text for rule in self.rules],
            "areas": [area.name for area in self.areas],
            "effects": [
                line for step in self.steps if step.effects for line in step.effects.told(self.schema)
            ],
            "seconds": self.seconds,
            "versions": dict(self.versions),
        }


def _pool_text(row: Mapping[str, Any]) -> str:
    if row["pool_median"] is None:
        return "drawn from probabilities"
    low, high = row["pool_range"]
    fit = "" if row["r2"] is None else f", R²\xa0{row['r2']:.3f}"
    spread = "" if low == high else f" ({low}-{high})"
    return f"{row['pool_median']:.0f} donors{spread}{fit}"
