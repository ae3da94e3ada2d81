"""Do the intervals from a few labels cover? Kappa and the prediction-powered rate of `cavesson.analysis.labelled`, simulated.

python benchmarks/labels.py        # 72 settings of rate, scorer and number of labels, 300 draws each: two minutes
"""

from __future__ import annotations

import itertools

import numpy as np

from cavesson.analysis.labelled import cohens_kappa, prediction_powered
from cavesson.stats import wilson

RATES, SHARES, LABELS, REST, DRAWS = (0.05, 0.3, 0.6, 0.95), (1.0, 0.95, 0.7), (20, 50), 400, 300
"""Rates of the behaviour; shares of hits and of right rejections of the scorer; labels; other scores; draws of each setting."""


def true_kappa(rate: float, hits: float, rejects: float) -> float:
    """Kappa of a person who is right and a scorer with these shares."""
    seen = rate * hits + (1 - rate) * (1 - rejects)
    chance = rate * seen + (1 - rate) * (1 - seen)
    return (rate * hits + (1 - rate) * rejects - chance) / (1 - chance)


def setting(rate: float, hits: float, rejects: float, labels: int, seed: int) -> tuple[float, float, float]:
    """How often the two intervals cover, and the width of the powered one as a share of that from labels alone."""
    rng, covered, kappas, widths = np.random.default_rng(seed), [], [], []
    kappa = true_kappa(rate, hits, rejects)
    for _ in range(DRAWS):
        truth = rng.random(labels + REST) < rate
        scorer = np.where(truth, rng.random(labels + REST) < hits, rng.random(labels + REST) >= rejects)
        found = prediction_powered(truth[:labels], scorer[:labels], scorer[labels:])
        alone = wilson(int(truth[:labels].sum()), labels)
        covered.append(found.low <= rate <= found.high)
        widths.append((found.high - found.low) / (alone.high - alone.low))
        if (agreed := cohens_kappa(truth[:labels], scorer[:labels])) is not None:
            kappas.append(agreed.low <= kappa <= agreed.high)
    return float(np.mean(covered)), float(np.mean(kappas)), float(np.mean(widths))


def main() -> None:
    """One row for each setting, and the smallest coverage of all."""
    print("rate  hits  rejects  labels  rate covered  kappa covered  width / labels alone")
    least = [1.0, 1.0]
    for seed, (rate, hits, rejects, labels) in enumerate(itertools.product(RATES, SHARES, SHARES, LABELS)):
        covered, kappa, width = setting(rate, hits, rejects, labels, seed)
        least = [min(least[0], covered), min(least[1], kappa)]
        print(f"{rate:<5} {hits:<5} {rejects:<8} {labels:<7} {covered:<13.3f} {kappa:<14.3f} {width:.2f}")
    print(f"least coverage: rate {least[0]:.3f}, kappa {least[1]:.3f}")


if __name__ == "__main__":
    main()
