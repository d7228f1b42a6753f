"""Whether two sets of implicates come from one distribution: all marginals, and by a group, t-tested."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

M = 20


def marginals(fused, income):
    """Each implicate's means, deciles, share of zeros and shares of levels; also by income.

    Within an implicate steps build on each other; implicates are independent. So each is one observation.
    """
    implicate, group = fused["M"].to_numpy(), np.tile(income, M)
    found = {}
    for y in fused.columns.drop("M"):
        values = fused[y]
        numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        if numeric:
            for q in np.arange(1, 10) / 10:
                found[y, f"{q:.0%}", "all"] = values.groupby(implicate).quantile(q).to_numpy()
        parts = {"mean": values, "zero": values == 0} if numeric else {}
        parts |= {} if numeric else {level: values.astype(str) == level for level in set(values.astype(str))}
        for part, each in parts.items():
            found[y, part, "all"] = each.groupby(implicate).mean().to_numpy()
            by_income = each.groupby([group, implicate]).mean()
            found |= {(y, part, level): by_income[level].to_numpy() for level in set(income)}
    return found


def t_statistics(mine, theirs):
    """Two-sample t of each statistic, 20 implicates against 20."""
    assert mine.keys() == theirs.keys()
    found = []
    for key, a in mine.items():
        b = theirs[key]
        se = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / M)
        same = a.mean() == b.mean()
        found.append((a.mean() - b.mean()) / se if se > 0 else 0.0 if same else np.inf)
    return np.array(found)


def differs(t):
    """Tell whether t's are not those of one distribution, by the largest (Bonferroni) or the mean square."""
    p = 2 * stats.t.sf(np.abs(t), 2 * M - 2)
    return bool(p.min() * len(p) < 0.001 or np.mean(np.minimum(np.abs(t), 100) ** 2) > 2)


def spoilt(model, *, what, by=0.02):
    """Change the pools of a model; centres by so much."""
    make = {
        "donor": lambda p: replace(p, member=(p.member + 1) % model.n_donors),
        "scale": lambda p: replace(p, scale=1.05 * p.scale),
        "centre": lambda p: replace(p, centre=(1 + by) * p.centre),
    }[what]
    steps = [s if s.pools is None else replace(s, pools=make(s.pools)) for s in model.steps]
    return replace(model, steps=tuple(steps))
