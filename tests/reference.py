"""Slow, obvious versions of the kernels, to test them against."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from scipy.stats import norm


def choose_pool_sizes(neighbour, values, weight, mean, quantiles, ptiles, low, tolerant, ranked=None):
    """Pool sizes, straight from section 2 of the reference, every sum from scratch."""
    sizes = []
    ranked = values if ranked is None else ranked
    for c, near in enumerate(neighbour):
        width = norm.ppf(ptiles[-1]) - norm.ppf(ptiles[0])
        s = abs(max(quantiles[c]) - min(quantiles[c])) / width
        total = []
        for k in range(1, len(near) + 1):
            y, w = values[near[:k]], weight[near[:k]]
            # Running sums, as sums of floats depend on their order.
            sw = swy = 0.0
            for a, b in zip(y, w, strict=True):
                sw, swy = sw + b, swy + b * a
            gap = swy / sw - mean[c]
            if s > 0:
                error = 1.0 - math.exp(-0.5 * (gap / s) * (gap / s))
            else:
                error = 0.0 if gap == 0 else 1.0
            for q, p in zip(quantiles[c], ptiles, strict=True):
                below = 0.0
                for a, b in zip(ranked[near[:k]], w, strict=True):
                    below += b if a <= q else 0.0
                error += abs(below / sw - p) / max(p, 1.0 - p)
            total.append(error)
        sizes.append(_tolerant(total, low) if tolerant else _least(total, low))
    return np.array(sizes)


def _least(total, low):
    allowed = range(min(low, len(total)), len(total) + 1)
    return min(allowed, key=lambda k: (total[k - 1], k))


def _tolerant(total, low):
    n = len(total)
    smooth = {}
    for k in range(min(max(low, 5), n), n + 1):
        window = total[max(k - 5, 0) : k]
        s = 0.0
        for value in window:
            s += value
        smooth[k] = s / len(window)
    best = min(smooth.values())
    good = [k for k, v in smooth.items() if v <= max(best, 0.01) or v <= max(1.05 * best, best + 0.005)]
    return min(good)


def draw_donors(centre, start, member, weight, u):
    """Walk through each pool until the running weight exceeds the uniform's share."""
    out = []
    for c, v in zip(centre, u, strict=True):
        pool = member[start[c] : start[c + 1]]
        total = 0.0
        for donor in pool:
            total += weight[donor]
        target, reached = v * total, 0.0
        for donor in pool:
            reached += weight[donor]
            if reached > target:
                out.append(donor)
                break
        else:
            raise AssertionError("a uniform below 1 falls on a donor")
    return np.array(out)


def draw_classes(probability, u):
    """Walk through the classes until the running probability exceeds the uniform."""
    out = []
    for p, v in zip(probability, u, strict=True):
        total = 0.0
        for value in p:
            total += value
        reached = 0.0
        for k, value in enumerate(p):
            reached += value
            if reached > v * total:
                out.append(k)
                break
        else:
            raise AssertionError("a uniform below 1 falls on a class")
    return np.array(out)


def nearest(query, points, k):
    """Sort all distances."""
    distance = ((query[:, None, :] - points[None, :, :]) ** 2).sum(axis=2)
    return np.argsort(distance, axis=1, kind="stable")[:, :k]


def lloyd(points, centres, rounds=30):
    """k-means from given centres, one row at a time."""
    centres = centres.copy()
    for _ in range(rounds):
        label = nearest(points, centres, 1)[:, 0]
        new = [
            points[label == c].mean(axis=0) if (label == c).any() else centres[c] for c in range(len(centres))
        ]
        if np.allclose(new, centres, atol=1e-15):
            break
        centres = np.array(new)
    return centres


def moments(w, x):
    """Sums of one group's moments, straight from their definitions, in exact arithmetic where it matters."""
    kept = [(float(a), float(b)) for a, b in zip(w, x, strict=True) if a > 0 and not math.isnan(b)]
    if not kept:
        return {
            "n": 0,
            "total": 0.0,
            "squares": 0.0,
            "mean": math.nan,
            "spread": math.nan,
            "spread2": math.nan,
        }
    total = math.fsum(a for a, _ in kept)
    mean = sum(Fraction(a) * Fraction(b) for a, b in kept) / sum(Fraction(a) for a, _ in kept)
    return {
        "n": len(kept),
        "total": total,
        "squares": math.fsum(a * a for a, _ in kept),
        "mean": float(mean),
        "spread": math.fsum(a * float(Fraction(b) - mean) ** 2 for a, b in kept),
        "spread2": math.fsum((a * float(Fraction(b) - mean)) ** 2 for a, b in kept),
    }


def quantile(w, x, share):
    """Interpolate between the middles of records' weights, which those of equal value share equally."""
    kept = [(float(b), float(a)) for a, b in zip(w, x, strict=True) if a > 0 and not math.isnan(b)]
    equal = {value: [weight for other, weight in kept if other == value] for value, _ in kept}
    kept = [(value, sum(equal[value]) / len(equal[value])) for value, _ in kept]
    kept.sort(key=lambda each: each[0])
    if not kept:
        return math.nan
    total = sum(weight for _, weight in kept)
    middles, reached = [], 0.0
    for _, weight in kept:
        middles.append((reached + weight / 2) / total)
        reached += weight
    return float(np.interp(share, middles, [value for value, _ in kept]))


def gini(w, x):
    """Mean absolute difference of all pairs, over twice the mean."""
    mean = (w * x).sum() / w.sum()
    pairs = np.abs(x[:, None] - x[None, :]) * w[:, None] * w[None, :]
    return pairs.sum() / w.sum() ** 2 / (2 * mean)


def linearised(statistic, w, n=None):
    """Variance of a statistic of weights, by central differences in every weight."""
    influence = np.zeros(len(w))
    for i in np.flatnonzero(w > 0):
        step = np.zeros(len(w))
        step[i] = 1e-5 * w[i]
        influence[i] = (statistic(w + step) - statistic(w - step)) / (2 * step[i])
    n = (w > 0).sum() if n is None else n
    return n / (n - 1) * ((w * influence) ** 2).sum()


def rubin(estimates, variances, complete=math.inf):
    """Rubin's rules by the letter: estimate, total variance, three counts of degrees of freedom, share."""
    q, u = [float(v) for v in estimates], [float(v) for v in variances]
    m = len(q)
    mean, within = sum(q) / m, sum(u) / m
    between = sum((v - mean) ** 2 for v in q) / (m - 1)
    total = within + (1 + 1 / m) * between
    r = (1 + 1 / m) * between / within
    old = (m - 1) * (1 + 1 / r) ** 2
    if math.isinf(complete):
        adjusted = old
    else:
        observed = (complete + 1) / (complete + 3) * complete * (1 - r / (1 + r))
        adjusted = old * observed / (old + observed)
    squares = sum(v**2 for v in u)
    acs = (m - 1) * (1 + within / between) ** 2 / (1 / (m - 1) + squares / (m**2 * between**2))
    return {
        "est": mean,
        "total": total,
        "rubin": old,
        "barnard-rubin": adjusted,
        "fusionacs": acs,
        "fmi": lambda df: (r + 2 / (df + 3)) / (r + 1),
    }
