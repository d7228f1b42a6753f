"""What the sections without tables need to know: methods, limits, how to repeat it."""

from __future__ import annotations

import numpy as np

from fusionpy.kernels.inflation import is_inflated
from fusionpy.kernels.pools import TAIL_POOL
from fusionpy.kernels.scaling import percentiles
from fusionpy.kernels.ties import is_tied
from fusionpy.model import FusionModel
from fusionpy.reporting.exhibits import Section
from fusionpy.reporting.model import train_call
from fusionpy.reporting.numbers import count, significant

__all__ = ["limits_section", "methods_section", "reproducibility_section"]


def methods_section(
    model: FusionModel | None,
    *,
    validation: Section | None,
    scores: Section | None,
    estimates: Section | None,
) -> Section:
    """Tell what the methods text has to say of this model and these results.

    Parameters
    ----------
    model : FusionModel, optional
    validation, scores, estimates : Section, optional
        Those that the report has.

    Returns
    -------
    Section
    """
    results = {"validation": validation, "scores": scores, "estimates": estimates}
    facts: dict[str, object] = {name: section and section.facts for name, section in results.items()}
    facts["model"] = model is not None
    if model is not None:
        options = model.options
        targets = [target for step in model.steps for target in step.targets]
        pooled = [step for step in model.steps if step.pools is not None]
        facts |= {
            "continuous": any(target.objective == "regression" for target in targets),
            "categorical": any(t.kind == "m" and t.objective in ("binary", "multiclass") for t in targets),
            "inflated": any(target.kind == "z" for target in targets),
            "percentiles": _listed([significant(100 * share) for share in percentiles(options.nquantiles)]),
            "folds": options.nfolds if options.nfolds >= 1 else None,
            "patience": options.patience,
            "crossfit": options.crossfit,
            "untied": options.untie and _has_ties(model),
            "pools": bool(pooled),
            "solo_pools": any(not step.is_block for step in pooled),
            "blocks": any(step.is_block for step in pooled),
            "clusters": count(options.nclusters) if options.nclusters else None,
            "krange": options.krange,
            "tolerant": options.tolerant,
            "tails": options.tails,
            "effects": options.effects,
            "areas": _listed([area.name for area in model.areas]) if model.areas else None,
            "tail_pool": TAIL_POOL,
            "calibrated": any(len(each) for step in model.steps for each in step.calibrations.values()),
            "refits": options.refits,
            "design": options.follow,
            "redraw": options.redraw,
        }
    return Section("methods", "Methods", (), facts)


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _has_ties(model: FusionModel) -> bool:
    """Whether there is a continuous variable of which many donors share a value."""
    columns = zip(model.donor_columns, model.donors.T, strict=True)
    numbers = [values for name, values in columns if not model.schema[name].is_categorical]
    return any(is_tied(values[values != 0] if is_inflated(values) else values) for values in numbers)


def limits_section(model: FusionModel | None, *, validated: bool) -> Section:
    """Tell what a reader must bear in mind.

    Parameters
    ----------
    model : FusionModel, optional
    validated : bool
        Whether the report says how good the fused values are.

    Returns
    -------
    Section
    """
    facts: dict[str, object] = {"model": model is not None, "validated": validated}
    if model is not None:
        facts |= {"refits": model.options.refits, "design": model.options.follow}
    return Section("limits", "Limits", (), facts)


def reproducibility_section(model: FusionModel, weight: str | None) -> Section:
    """Tell how the model can be trained again.

    Parameters
    ----------
    model : FusionModel
    weight : str, optional
        The weights' column, if it is known.

    Returns
    -------
    Section
    """
    unknown = []
    if weight is None and not np.allclose(model.weight, 1):
        unknown.append(
            "The donors were weighted: the column’s name, which the model does not keep, goes in `weight`."
        )
    if model.options.follow:
        unknown.append("The names of the replicate weights go where the dots are.")
    facts = {
        "seed": model.seed,
        "seconds": f"{significant(model.seconds, 2)} seconds",
        "versions": ", ".join(
            f"{name} {version}"
            for name, version in model.versions.items()
            if model.seed is not None or name != "fusionpy"  # which reads what R trained
        ),
        "code": train_call(model, weight),
        "unknown": " ".join(unknown),
    }
    return Section("reproducibility", "Reproducibility", (), facts)
