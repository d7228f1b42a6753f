"""Which total variance is right for recipients that the models were not fitted to? A model without bias.

    python validation/coverage/pooling.py [--replications 600]

Donors have y = b x + noise, recipients x alone. A line is fitted to ten bootstraps of the donors; implicate m
of 20 adds to the line of refit m mod 10 residuals of the donors, drawn by weights that are redrawn for each
implicate. Counted is how often 90 % margins of the mean of y, and of that where x > .5, hold the truth, by
Barnard and Rubin's rule, by `without_noise`, and by Reiter's (2008) from what varies in and between refits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from fusionpy.kernels.other_records import without_noise
from fusionpy.kernels.rubin import combine, margin_of_error

HERE = Path(__file__).resolve().parent
M, REFITS, DONORS = 20, 10, 200
RATIOS = (0.3, 1, 3, 10, 30)
SHARES = (0.2, 0.6)  # of the variance of y that x explains


def implicates(rng: np.random.Generator, n: int, explained: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw recipients' x, and y in each implicate."""
    b, s = np.sqrt(explained), np.sqrt(1 - explained)
    x = rng.normal(size=DONORS)
    y = b * x + s * rng.normal(size=DONORS)
    recipients = rng.normal(size=n)
    lines = [np.polyfit(x[rows], y[rows], 1) for rows in rng.integers(DONORS, size=(REFITS, DONORS))]
    values = np.empty((M, n))
    for m in range(M):
        line, weight = lines[m % REFITS], rng.exponential(size=DONORS)
        residual = y - np.polyval(line, x)
        values[m] = np.polyval(line, recipients) + rng.choice(residual, n, p=weight / weight.sum())
    return recipients, values


def margins(values: np.ndarray) -> tuple[float, dict[str, float]]:
    """Estimate a mean, with its margin by each rule."""
    n = values.shape[1]
    means = values.mean(axis=1)
    within = values.var(axis=1, ddof=1) / n
    noise = (values[1::2] - values[::2]).var(axis=1, ddof=1) / 2 / n
    rubin = combine(means[:, None], within[:, None], complete_df=n - 1)
    ours = without_noise(rubin, np.array([noise.mean()]), M, refits=REFITS, complete_df=n - 1)
    nests = np.array([means[r::REFITS] for r in range(REFITS)])
    S = nests.shape[1]
    w, b = nests.var(axis=1, ddof=1).mean(), nests.mean(axis=1).var(ddof=1)
    parts = np.array([(1 + 1 / REFITS) * b, (1 + 1 / S) * w])
    total = max(within.mean() + parts[0] - parts[1], within.mean())
    df = max(total**2 / (parts**2 / [REFITS - 1, M - REFITS]).sum(), REFITS - 1)
    nested = margin_of_error(np.array([np.sqrt(total)]), np.array([df]), 0.9)[0]
    return float(rubin.est[0]), {"rubin": rubin.moe[0], "records": ours.moe[0], "nested": nested}


def main() -> None:
    """Run the simulation, write and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=600)
    replications = parser.parse_args().replications
    rows = []
    for explained in SHARES:
        upper = np.sqrt(explained) * norm.pdf(0.5) / norm.sf(0.5)
        for ratio in RATIOS:
            for number in range(replications):
                rng = np.random.default_rng([number, int(10 * ratio)])
                x, values = implicates(rng, int(DONORS * ratio), explained)
                for truth, mine in ((0.0, slice(None)), (upper, x > 0.5)):
                    est, found = margins(values[:, mine])
                    rows += [
                        (explained, ratio, rule, abs(est - truth) <= moe, moe / found["rubin"])
                        for rule, moe in found.items()
                    ]
    names = ["explained", "recipients per donor", "rule", "coverage", "margin to rubin"]
    table = pd.DataFrame(rows, columns=names).groupby(names[:3], sort=False).mean().round(3)
    table.to_csv(HERE / "pooling.csv")
    print(table.reset_index().pivot_table(index=names[:2], columns="rule", values=names[3:]).to_string())


if __name__ == "__main__":
    main()
