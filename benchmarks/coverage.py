"""How often do the intervals of `cavesson.stats` and `cavesson.analysis` cover the truth?

    python benchmarks/coverage.py [rates] [pairs] [seeds] [differences] [ratios] [units] [shares] … [looks] [clusters] [claims]

Prints the tables of `docs/notes/coverage.md` as Markdown, all of them if none is named; each takes one core a minute or so.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, ndtri
from scipy.stats import binom

from cavesson.analysis.contrasts import lowest_mean, mean_over_clusters, share_regained
from cavesson.analysis.frontier import frontier, hull_area
from cavesson.analysis.matrix_game import cross_fitted, solve
from cavesson.analysis.pairs import IMAGINED, mean_over_pairs, mean_table
from cavesson.analysis.points import share_removed
from cavesson.analysis.returns import backdoor_return
from cavesson.estimate import Estimate
from cavesson.stats import difference_over_seeds, mean_over_seeds, tango, wilson
from kinds_of_claim import rows as rows_of_kinds
from looks import looks
from simulated import HARD, NORMAL, SHAPES, Drawn, exactly, game, mean_rate, normal_seeds, sampled, two_groups

Array = NDArray[np.float64]
Z = 1.959964


def table(title: str, header: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n")
    print("| " + " | ".join(header) + " |\n| " + " | ".join("---" for _ in header) + " |")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()


def percent(share: float) -> str:
    return f"{100 * share:.1f}"


# ------------------------------------------------------------------------------------------------ one rate (exact)


def plain_wilson(k: Array, n: int) -> tuple[Array, Array]:
    rate, shrink = k / n, 1 + Z * Z / n
    center = (rate + Z * Z / (2 * n)) / shrink
    half = Z / shrink * np.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    return center - half, center + half


def rates() -> None:
    rows = []
    for n in (50, 200, 1000):
        k = np.arange(n + 1)
        ours = [wilson(int(each), n) for each in k]
        ends = {
            "ours": (np.array([e.low for e in ours]), np.array([e.high for e in ours])),
            "plain Wilson": plain_wilson(k, n),
            "Wald": (k / n - Z * np.sqrt(k * (n - k) / n**3), k / n + Z * np.sqrt(k * (n - k) / n**3)),
        }
        for low_rate, high_rate in ((0.002, 0.02), (0.02, 0.1), (0.1, 0.3), (0.3, 0.7)):
            truth = np.linspace(low_rate, high_rate, 1000)
            chance = binom.pmf(k, n, truth[:, None])
            cells = []
            for low, high in ends.values():
                cover = (chance * ((low <= truth[:, None]) & (truth[:, None] <= high))).sum(axis=1)
                cells.append(f"{percent(cover.mean())} ({percent(cover.min())})")
            rows.append([str(n), f"{low_rate}–{high_rate}", *cells])
    table("One rate: exact coverage in %, mean over the range of true rates (minimum)", ["n", "true rate", *ends], rows)


# ------------------------------------------------------------------------------------------------ paired differences


def newcombe_paired(counts: NDArray[np.int64], n: int) -> tuple[Array, Array]:
    """Newcombe (1998), paired method 10; counts [samples, 4] of (1,1), (1,0), (0,1), (0,0)."""
    a, b, c, d = counts.T.astype(float)
    first, second = (a + b) / n, (a + c) / n
    (low1, high1), (low2, high2) = plain_wilson(a + b, n), plain_wilson(a + c, n)
    product = (a + b) * (c + d) * (a + c) * (b + d)
    excess = a * d - b * c
    corrected = np.where(excess > n / 2, excess - n / 2, np.where(excess >= 0, 0, excess))
    phi = np.where(product > 0, corrected / np.sqrt(np.maximum(product, 1)), 0)

    def apart(one: Array, two: Array) -> Array:
        return np.sqrt(np.maximum(one**2 - 2 * phi * one * two + two**2, 0))

    value = first - second
    return value - apart(first - low1, high2 - second), value + apart(high1 - first, second - low2)


def bonett_price(up: Array, down: Array, n: int) -> tuple[Array, Array]:
    one, two = (up + 1) / (n + 2), (down + 1) / (n + 2)
    half = Z * np.sqrt((one + two - (one - two) ** 2) / (n + 2))
    return one - two - half, one - two + half


def wald_paired(up: Array, down: Array, n: int) -> tuple[Array, Array]:
    half = Z * np.sqrt(up + down - (up - down) ** 2 / n) / n
    return (up - down) / n - half, (up - down) / n + half


def percentile_bootstrap(up: Array, down: Array, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
    shares = np.stack([up, down, n - up - down], axis=1) / n
    low, high = [], []
    for share in shares:
        counts = rng.multinomial(n, share, size=400)
        ends = np.quantile((counts[:, 0] - counts[:, 1]) / n, [0.025, 0.975])
        low.append(ends[0])
        high.append(ends[1])
    return np.array(low), np.array(high)


def pairs() -> None:
    rng, rows = np.random.default_rng(0), []
    cases = ((1, 0.03, 0), (0.98, 0.02, 0), (0.97, 0.95, 0.3), (0.95, 0.85, 0.3), (0.9, 0.5, 0.2), (0.5, 0.4, 0.5))
    for n in (50, 200, 1000):
        for first, second, correlation in (*cases, (0.02, 0.06, 0.3), (0.02, 0.02, 0.0)):
            both = first * second + correlation * np.sqrt(first * (1 - first) * second * (1 - second))
            shares = np.array([both, first - both, second - both, 1 - first - second + both])
            counts = rng.multinomial(n, np.clip(shares, 0, 1), size=20_000)
            up, down = counts[:, 1].astype(float), counts[:, 2].astype(float)
            cells = []
            for low, high in (
                tango(up, down, n),
                newcombe_paired(counts, n),
                bonett_price(up, down, n),
                wald_paired(up, down, n),
                percentile_bootstrap(up[:1500], down[:1500], n, rng),
            ):
                truth = first - second
                cells.append(percent(np.mean((low <= truth + 1e-12) & (truth - 1e-12 <= high))))
            rows.append([str(n), f"{first} − {second}, r = {correlation}", *cells])
    methods = ["Tango (ours)", "Newcombe 10", "Bonett–Price", "Wald", "percentile bootstrap"]
    table("Paired differences: coverage in %", ["n", "true rates", *methods], rows)


# ------------------------------------------------------------------------------------------------ values of games


def noisy_game(rng: np.random.Generator, rows: int, columns: int, seeds: int = 3, prompts: int = 60) -> Array:
    """Measured payoffs that are all 0.2 in truth: chance of training, of the prompts, and of each answer."""
    shape = (rows, columns, seeds, prompts)
    chances = ((0.05, (*shape[:3], 1)), (0.2, (*shape[:2], 1, prompts)), (0.3, shape), (0.3, (1, 1, 1, prompts)))
    return np.asarray(0.2 + sum(size * rng.standard_normal(which) for size, which in chances))


def games() -> None:
    rows, trials = [], 100
    for shape in ((1, 6), (6, 1), (2, 6), (5, 6)):
        rng, off, covered = np.random.default_rng(1), [], 0
        for _ in range(trials):
            payoffs = noisy_game(rng, *shape)
            found = cross_fitted(payoffs, np.zeros(60, dtype=np.int64)).value
            value = found.estimate(lambda paid: mean_over_seeds(paid, bounds=(-3, 3)))
            off.append((solve(payoffs.mean(axis=(2, 3))).value - 0.2, value.value - 0.2))
            covered += value.low <= 0.2 <= value.high
        both = np.array(off)
        bias = [f"{m:+.3f} ± {e:.3f}" for m, e in zip(both.mean(axis=0), both.std(axis=0) / trials**0.5, strict=True)]
        rows.append([f"{shape[0]} × {shape[1]}", *bias, percent(covered / trials)])
    title = f"The value of a game whose payoffs are all alike, 3 seeds, 60 prompts, {trials} games"
    table(title, ["rows × columns", "bias, solved and valued on the same", "bias, cross-fitted", "coverage, %"], rows)


# ------------------------------------------------------------------------------------------------ seeds and prompts

SEEDS = (3, 5, 8, 12, 20)

AT_LEVELS: dict[str, Drawn] = {
    "alike, 0.5": normal_seeds(0.0),
    "alike, 0.93": normal_seeds(0.0, around=3.0),
    "logit-normal, sd 0.3": normal_seeds(0.3),
    "logit-normal, sd 1": normal_seeds(1.0),
    "logit-normal near 0, sd 1": normal_seeds(1.0, around=-3.0),
    "bimodal, 40 % of seeds high": two_groups(0.4),
    "bimodal, 80 % of seeds high": two_groups(0.8),
    "bimodal, modes overlap": two_groups(0.4, high=2.0, low=-1.0),
}


def answers(levels: Array, n: int, rng: np.random.Generator) -> Array:
    """0/1 scores on n prompts, [seeds, n]."""
    chance = 1 / (1 + np.exp(-(levels + HARD * rng.standard_normal((1, n)))))
    return (rng.random((len(levels), n)) < chance).astype(float)


def seeds(repeats: int = 1000) -> None:
    """A rate, at the numbers of seeds and prompts in use: (coverage, mean width), [kinds of seeds, seeds]."""
    rng, rows = np.random.default_rng(0), []
    for (name, drawn), n in product(AT_LEVELS.items(), (20, 60, 200)):
        truth, cells = mean_rate(drawn), []
        for count in SEEDS:
            found = [mean_over_seeds(answers(drawn(rng, count), n, rng)) for _ in range(repeats)]
            cells.append(coverage_and_width(found, truth))
        rows.append([f"{name}: {truth:.2f}", str(n), *cells])
    title = f"A rate over seeds and prompts: coverage in % (mean width), {repeats} studies a cell"
    table(title, ["seeds: true rate", "prompts", *(f"{count} seeds" for count in SEEDS)], rows)


CHANGES = {
    "1 → 0.03, sd 0.5": (7.0, -4.0, 0.5),
    "0.7 → 0.2, sd 1": (1.0, -1.7, 1.0),
    "0.9 → 0.85, sd 0.5": (2.6, 2.1, 0.5),
    "0.5 = 0.5, sd 1": (0.0, 0.0, 1.0),
}
"""Logits of two arms, and the spread of seeds about them."""


def differences(repeats: int = 1000) -> None:
    """A difference of two arms, paired by seed and prompt, at the numbers in use."""
    rng, rows = np.random.default_rng(0), []
    for (name, (one, two, sd)), n in product(CHANGES.items(), (20, 60, 200)):
        rates = [expit_mean(np.array([[level]]), float(np.hypot(sd, HARD))) for level in (one, two)]
        truth, cells = rates[0] - rates[1], []
        for count in SEEDS:
            found = [difference_over_seeds(*two_arms((one, two), sd, count, n, rng)) for _ in range(repeats)]
            below, above = np.mean([(each.high < truth, each.low > truth) for each in found], axis=0)
            cells.append(f"{percent(1 - below - above)} ({percent(below)} / {percent(above)})")
        rows.append([f"{name}: {truth:.2f}", str(n), *cells])
    title = "A difference over seeds and prompts: coverage in % (interval below / above the truth)"
    table(title, ["rates, sd of seeds (logit): difference", "prompts", *(f"{count} seeds" for count in SEEDS)], rows)


def two_arms(levels: tuple[float, float], sd: float, count: int, n: int, rng: np.random.Generator) -> list[Array]:
    """0/1 scores of two arms, [seeds, n] each; half of a seed's luck, and how hard a prompt is, is common to both."""
    hard, shared = HARD * rng.standard_normal((1, n)), rng.standard_normal((count, 1))
    own = [(shared + rng.standard_normal((count, 1))) / np.sqrt(2) for _ in levels]
    return [
        (rng.random((count, n)) < expit(level + sd * each + hard)).astype(float)
        for level, each in zip(levels, own, strict=True)
    ]


def ratios(repeats: int = 1000) -> None:
    """A share removed over seeds: one minus a ratio of rates; 95 % of the prompts showed the behaviour before."""
    rng, rows = np.random.default_rng(0), []
    for (name, drawn), n in product(AT_LEVELS.items(), (20, 60, 200)):
        truth, cells = 1 - mean_rate(drawn), []
        for count in SEEDS:
            found = []
            for _ in range(repeats):
                before = (rng.random((count, n)) < 0.95).astype(float)
                found.append(share_removed(before, before * answers(drawn(rng, count), n, rng)))
            cells.append(coverage_and_width(found, truth))
        rows.append([f"{name}: {truth:.2f}", str(n), *cells])
    table("A share removed over seeds and prompts: coverage in % (mean width)", ["seeds: true share", "prompts", *(f"{count} seeds" for count in SEEDS)], rows)  # fmt: skip


def coverage_and_width(found: Sequence[Estimate], truth: float) -> str:
    hits, width = np.mean([(e.low <= truth <= e.high, e.high - e.low) for e in found], axis=0)
    return f"{percent(float(hits))} ({width:.2f})"


# ------------------------------------------------------------------------------------------------ pairs, fixed or random


def units(repeats: int = 1000) -> None:
    """The mean rate over trigger / behaviour pairs on 100 prompts that all of them share, pairs fixed and random."""
    rows: list[list[str]] = []
    for (count, repetitions), (between, within) in product(((3, 3), (5, 1), (5, 5), (15, 1), (15, 5)), ((0, 0), (0.3, 0.3), (1, 0.3))):  # fmt: skip
        rng, told = np.random.default_rng((count, repetitions, int(10 * between))), []
        for _ in range(repeats):
            of_pair = 0.8 + between * rng.normal(size=(count, 1))
            rates = expit(of_pair + within * rng.normal(size=(count, repetitions)))
            easy, own = rng.normal(size=100), rng.normal(size=(count, repetitions, 100))
            scores = np.asarray((easy + own) / np.sqrt(2) < ndtri(rates)[..., None], dtype=float)
            truths = (expit_mean(of_pair, within), expit_mean(np.array([[0.8]]), float(np.hypot(between, within))))
            for_these, for_all = (mean_over_pairs(*mean_table(scores), n=100, pairs=kind, imagined=IMAGINED) for kind in ("fixed", "random"))  # type: ignore[arg-type]  # fmt: skip
            told.append(
                [
                    for_these.low <= truths[0] <= for_these.high,
                    for_all.low <= truths[1] <= for_all.high,
                    for_these.low <= truths[1] <= for_these.high,
                    for_these.high - for_these.low,
                    for_all.high - for_all.low,
                ]
            )
        *shares, one, two = np.mean(told, axis=0)
        rows.append([str(count), str(repetitions), f"{between:g}", f"{within:g}", *map(percent, shares), f"{one:.2f}", f"{two:.2f}"])  # fmt: skip
    header = ["pairs", "seeds", "sd of pairs", "sd of seeds", "fixed covers these pairs", "random covers all pairs", "fixed covers all pairs", "width fixed", "width random"]  # fmt: skip
    table("Pairs, fixed or random: coverage in %", header, rows)


def expit_mean(center: Array, spread: float) -> float:
    """The mean of expit(center + spread · z) over normal z and over the centers."""
    return float(expit(center[..., None] + spread * NORMAL).mean())


# ------------------------------------------------------------------------------------------------ shares of a loss


def fieller(before: Array, damaged: Array, now: Array) -> tuple[float, float]:
    found = share_regained(before, damaged, now)
    return found.low, found.high


def shares() -> None:
    methods = {"Fieller": fieller}
    rng, rows, repeats = np.random.default_rng(0), [], 300
    population = rng.standard_normal(200_000)
    for loss, share, between in product((0.05, 0.2, 0.6), (0.2, 0.8), (0.0, 0.5)):
        stages = [(0.95, 0.0), (0.95 - loss, between), (0.95 - loss + share * loss, between)]
        levels = [(level(rate, np.sqrt(1 + sd**2) * population), sd) for rate, sd in stages]
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
        for _ in range(repeats):
            hard, luck = rng.standard_normal(100), rng.random(100)  # of the prompts, the same at every stage
            shifts = [middle + sd * rng.standard_normal((3, 1)) + hard for middle, sd in levels]
            before, damaged, now = ((luck < 1 / (1 + np.exp(-each))).astype(float) for each in shifts)
            if before.mean() > damaged.mean():
                for name, method in methods.items():
                    found[name].append(method(before, damaged, now))
        cells = []
        for ends in found.values():
            hits = np.mean([low <= share <= high for low, high in ends])
            cells.append(f"{percent(float(hits))} ({np.median(np.diff(ends)):.2f})")
        rows.append([f"{loss:g}", f"{share:g}", f"{between:g}", *cells])
    header = ["lost", "share regained", "sd of seeds (logit)", *methods]
    table("The share of a loss that comes back, 3 seeds, 100 prompts: coverage in % (median width)", header, rows)


def level(rate: float, spread: Array) -> float:
    """The logit at which the mean over a population with this spread is the rate."""
    return float(brentq(lambda middle: (1 / (1 + np.exp(-(middle + spread)))).mean() - rate, -12, 12))


# ------------------------------------------------------------------------------------------------ the lowest of several means


def bonferroni(tables: Array) -> Estimate:
    """The lowest ends of intervals that all hold together."""
    found = [mean_over_seeds(table, bounds=(-1, 1), confidence=1 - 0.05 / len(tables)) for table in tables]
    value, low, high = (min(getattr(each, end) for each in found) for end in ("value", "low", "high"))
    return Estimate(value, low, high, found[0].n, "Bonferroni")


def changes(rng: np.random.Generator, means: Array, spreads: Array) -> Array:
    """After minus before, [cases, 3 seeds, 100 prompts]; a case has its mean, and its seeds their own spread about it."""
    rates = 0.7 + means[:, None, None] + spreads[:, None, None] * rng.standard_normal((len(means), 3, 1))
    hard = np.where(rng.random((len(means), 3, 100)) < 0.5, rng.random(100), rng.random((len(means), 3, 100)))
    return (hard < np.clip(rates, 0, 1)).astype(float) - (rng.random(100) < 0.7)


def lowest() -> None:
    methods = {"ours": lowest_mean, "Bonferroni": bonferroni}
    rng, rows = np.random.default_rng(0), []
    for cases, fall, spread in product((1, 8, 60), (0.0, 0.3), ("0.02", "0.08", "0.02 to 0.15")):
        means = np.where(np.arange(cases) == 0, -fall, 0.0)
        calmest, _, wildest = spread.partition(" to ")
        spreads = np.where(np.arange(cases) % 2, float(wildest or calmest), float(calmest))
        trials = [changes(rng, means, spreads) for _ in range(100 if cases > 8 else 300)]
        cells = []
        for method in methods.values():
            found = [method(tables) for tables in trials]
            covered = np.mean([one.low <= -fall <= one.high for one in found])
            fell = np.mean([one.high < 0 for one in found])
            cells.append(f"{percent(float(covered))} ({percent(float(fell))})")
        rows.append([str(cases), f"{fall:g}", spread, *cells])
    header = ["cases", "fall of one", "sd of seeds", *methods]
    table("The lowest of several means, 3 seeds, 100 prompts: coverage in % (a fall is found in %)", header, rows)


# ------------------------------------------------------------------------------------------------ frontiers


def areas() -> None:
    rng, rows = np.random.default_rng(0), []
    for shape, (kept, removed, steps) in SHAPES.items():
        exact = frontier(*exactly(kept, removed, 3000, steps=steps))
        truths = (hull_area(kept, removed), exact.share_removed_within(0.1).value, exact.loss_at_half().value)
        for n, repeats in ((50, 200), (200, 200), (1000, 50)):
            found = [frontier(*sampled(kept, removed, n, rng, steps=steps), seed=i) for i in range(repeats)]
            read = [(f.auc, f.share_removed_within(0.1), f.loss_at_half()) for f in found]
            values = np.array([[e.value for e in each] for each in read])
            covers = np.mean(
                [[e.low <= t <= e.high for e, t in zip(each, truths, strict=True)] for each in read], axis=0
            )
            naive = np.mean([f.naive_auc for f in found]) - truths[0]
            error = values[:, 0].std() / np.sqrt(repeats)
            bias = f"{values[:, 0].mean() - truths[0]:+.3f} ± {error:.3f}"
            rows.append([f"{shape}, {truths[0]:.2f}", str(n), f"{naive:+.3f}", bias, *map(percent, covers)])
    header = ["frontier, true AUC", "n", "bias of plain hull", "bias cross-fitted", "AUC covers, %"]
    table("Robustness AUC, one seed", [*header, "removed within 10 %: covers, %", "loss at half: covers, %"], rows)


def hulls(repeats: int = 100) -> None:
    """The plain hull against the cross-fitted one by the number of checkpoints, one seed: what `frontier.MANY` rests on."""
    rng, rows = np.random.default_rng(0), []
    for (rates, steps), kind, n in product(((1, 3), (2, 3), (3, 4), (3, 8)), ("removes", "hardly", "for nothing"), (60, 200)):  # fmt: skip
        kept, removed, _ = game(kind, rates, steps)
        truth, cells = hull_area(kept, removed), []
        drawn = [sampled(kept, removed, n, rng, steps=steps) for _ in range(repeats)]
        for cross_fit in (False, True):
            found = [frontier(*each, cross_fit=cross_fit, seed=i).auc for i, each in enumerate(drawn)]
            off = np.array([one.value for one in found]) - truth
            covers = np.mean([one.low <= truth <= one.high for one in found])
            cells += [f"{off.mean():+.3f}", f"{np.sqrt((off**2).mean()):.3f}", f"{100 * covers:.0f}"]
        rows.append([str(rates * steps), f"{kind}, {truth:.2f}", str(n), *cells])
    header = [
        "checkpoints",
        "game, true AUC",
        "n",
        "plain: bias",
        "rmse",
        "covers, %",
        "cross-fitted: bias",
        "rmse",
        "covers, %",
    ]
    table("The hull by the number of checkpoints, one seed", header, rows)


def replicas() -> None:
    """Three seeds whose organisms differ: the cost of blue training varies between them."""
    rng, rows, repeats, (kept, removed, steps) = np.random.default_rng(0), [], 150, SHAPES["curve"]
    for between in (0.0, 0.3, 0.6):

        def drawn(between: float = between) -> Array:
            return np.maximum(1 - (1 - kept) * np.exp(between * rng.standard_normal()), 0)

        truth, hits, width = float(np.mean([hull_area(drawn(), removed) for _ in range(4000)])), 0, 0.0
        for i in range(repeats):
            made = [sampled(drawn(), removed, 100, rng, steps=steps, seed=seed) for seed in range(3)]
            auc = frontier([p for points, _ in made for p in points], [start for _, start in made], seed=i).auc
            hits += auc.low <= truth <= auc.high
            width += (auc.high - auc.low) / repeats
        rows.append([str(between), f"{truth:.3f}", percent(hits / repeats), f"{width:.3f}"])
    table("Robustness AUC, three seeds", ["sd of log cost between seeds", "true AUC", "covers, %", "mean width"], rows)


# ------------------------------------------------------------------------------------------------ backdoor return


def returns() -> None:
    cases = {
        "stays at 0.02": [1, 0.6, 0.1, 0.02, 0.02, 0.02, 0.02],
        "stays at 0.3": [1, 0.6, 0.3, 0.3, 0.3, 0.3, 0.3],
        "rises to 0.2": [1, 0.6, 0.1, 0.02, 0.05, 0.1, 0.2],
        "rises to 0.4": [1, 0.6, 0.1, 0.02, 0.1, 0.25, 0.4],
    }
    rng, rows, repeats = np.random.default_rng(0), [], 300
    for n in (50, 100, 200, 500):
        for name, true in cases.items():
            runs = [(rng.random((7, n)) < np.array(true)[:, None]).astype(float) for _ in range(repeats)]
            verdicts = [backdoor_return(range(7), run).verdict for run in runs]
            naive = np.mean(
                [max(run[i:].mean(axis=1).max() - run[i].mean() for i in range(1, 7)) >= 0.1 for run in runs]
            )
            shares = [percent(verdicts.count(v) / repeats) for v in ("returned", "did not return", "undecided")]
            rows.append([str(n), name, *shares, percent(float(naive))])
    header = ["n", "after its fall the rate", "returned", "did not return", "undecided", "largest rise looks ≥ 0.1"]
    table("Backdoor return over 7 probed steps: verdicts in %", header, rows)


def clusters(repeats: int = 1000) -> None:
    """Shares of runs over settings of which some share a cause: one to six settings a kind, five seeds, most at 0 or 100 %."""
    rates, chances = np.array([0.02, 0.3, 0.95]), [0.6, 0.2, 0.2]
    truth, rows = float(rates @ chances), []
    for count, alike in product((6, 16, 20), (0.0, 0.5, 1.0)):
        rng, held, wide = np.random.default_rng(1), np.zeros(2), np.zeros(2)
        for _ in range(repeats):
            kinds = np.repeat(np.arange(count), rng.choice([1, 1, 1, 2, 2, 3, 4, 6], count))
            of_kind, own = rng.choice(rates, count, p=chances)[kinds], rng.choice(rates, len(kinds), p=chances)
            runs = (rng.random((5, len(kinds))) < np.where(rng.random(len(kinds)) < alike, of_kind, own)).astype(float)
            for k, found in enumerate((mean_over_clusters(runs, kinds.tolist()), mean_over_seeds(runs))):
                held[k] += found.low <= truth <= found.high
                wide[k] += found.high - found.low
        cells = [f"{percent(h)} ({w:.2f})" for h, w in zip(held / repeats, wide / repeats, strict=True)]
        rows.append([str(count), percent(alike), *cells])
    header = ["kinds", "settings that do as their kind, %", "over kinds", "as if independent"]
    table(f"A share of runs over settings of several kinds: coverage in % (width), {repeats} draws a row", header, rows)


def kinds_of_claim() -> None:
    """Every kind of claim in use, at the seeds and prompts of the `full` presets."""
    header = ["figure", "decides", "seeds × prompts", "truth", "covers, %", "below / above the truth, %"]
    table("The interval behind each kind of claim, 600 studies a row (150 of AUCs)", header, list(rows_of_kinds()))


PARTS = {
    "rates": rates,
    "pairs": pairs,
    "seeds": seeds,
    "differences": differences,
    "ratios": ratios,
    "units": units,
    "shares": shares,
    "lowest": lowest,
    "games": games,
    "areas": areas,
    "hulls": hulls,
    "replicas": replicas,
    "returns": returns,
    "looks": looks,
    "clusters": clusters,
    "claims": kinds_of_claim,
}

if __name__ == "__main__":
    wanted = sys.argv[1:] or list(PARTS)
    if not set(wanted) <= set(PARTS):
        sys.exit(f"usage: python benchmarks/coverage.py [{'|'.join(PARTS)}] …")
    for part in wanted:
        started = time.perf_counter()
        PARTS[part]()
        print(f"\n{part}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
