"""How often do the intervals of `cavesson.analysis.pairs` cover the truth, pairs taken as fixed and as random?

    python benchmarks/pairs_coverage.py [TRIALS]

Prints the table of `docs/statistics.md`, section "Pairs: fixed or random", as Markdown; some minutes on one core. Every trial
draws pairs, seeds and 0/1 scores on prompts that all of them share; the statistic is the mean rate.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from cavesson.analysis.pairs import Units, mean_over_pairs
from cavesson.stats import prompt_weights

Array = NDArray[np.float64]

UNITS: tuple[Units, ...] = ("fixed", "random")
PROMPTS = 100
MEAN = 0.8
"""On the logit scale; about 0.69 as a rate."""
HARD = 0.5
"""Correlation of any two scores on one prompt (before they are cut to 0 and 1): some prompts are hard for every model."""
WEIGHTS = prompt_weights(PROMPTS, draws=400, seed=0)


def scores(rates: Array, rng: np.random.Generator) -> Array:
    """0/1 scores with these rates, [pairs, seeds, prompts]."""
    easy = rng.normal(size=PROMPTS) * np.sqrt(HARD)
    own = rng.normal(size=(*rates.shape, PROMPTS)) * np.sqrt(1 - HARD)
    return np.asarray(easy + own < ndtri(rates)[..., None], dtype=float)


def trial(pairs: int, seeds: int, between: float, within: float, rng: np.random.Generator) -> dict[Units, list[float]]:
    """For either kind of interval: does it cover its own truth, does it cover that of the other kind, and its width."""
    of_pair = MEAN + between * rng.normal(size=(pairs, 1))
    rates = expit(of_pair + within * rng.normal(size=(pairs, seeds)))
    found = scores(rates, rng)
    replicates = np.stack([[row @ WEIGHTS.T / WEIGHTS.sum(axis=1) for row in pair] for pair in found])
    truths = {"fixed": mean_rate(of_pair, within), "random": mean_rate(np.array([[MEAN]]), np.hypot(between, within))}
    told: dict[Units, list[float]] = {}
    for units in UNITS:
        made = mean_over_pairs(found.mean(axis=-1), replicates, n=PROMPTS, pairs=units)
        told[units] = [*(made.low <= truths[kind] <= made.high for kind in UNITS), made.high - made.low]
    return told


def mean_rate(center: Array, spread: float) -> float:
    """The mean of expit(center + spread · z) over normal z and over the centers."""
    z = ndtri((np.arange(400) + 0.5) / 400)
    return float(expit(center[..., None] + spread * z).mean())


def main() -> None:
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("| pairs | seeds | sd of pairs | sd of seeds | fixed covers these pairs | random covers all pairs | "
          "fixed covers all pairs | width fixed | width random |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for pairs, seeds in ((3, 3), (5, 1), (5, 3), (15, 1), (15, 3)):
        for between, within in ((0.0, 0.0), (0.3, 0.3), (1.0, 0.3)):
            rng = np.random.default_rng((pairs, seeds, int(10 * between)))
            told = [trial(pairs, seeds, between, within, rng) for _ in range(trials)]
            fixed, random = (np.mean([each[units] for each in told], axis=0) for units in UNITS)
            shares = " | ".join(f"{100 * share:.1f}" for share in (fixed[0], random[1], fixed[1]))
            print(f"| {pairs} | {seeds} | {between:g} | {within:g} | {shares} | {fixed[2]:.2f} | {random[2]:.2f} |")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
