"""Slow, obvious versions of the kernels, to test them against."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm


def choose_pool_sizes(neighbour, values, weight, mean, quantiles, ptiles, low, tolerant):
    """Pool sizes, straight from section 2 of the reference, every sum from scratch."""
    sizes = []
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
                for a, b in zip(y, w, strict=True):
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
