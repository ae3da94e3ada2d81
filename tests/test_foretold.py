"""What foretells a training: the recipes, and how well signs foretell outcomes of settings that the forecast has not seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cavesson.analysis.foretelling import (
    better_than_kind,
    by_kind,
    error_of_forecast,
    explained,
    fails_from,
    forecast,
    kind_r2,
    left_out_r2,
    rank_correlation,
    resampled_rank_correlation,
)
from cavesson.data.recipes import DataFile
from cavesson.errors import ConfigError
from cavesson.estimate import Estimate
from cavesson.inside.foretold import Foretold, Linearised
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.models.recipes import LoRA
from cavesson.tinyworld.recipes import Shipped
from cavesson.training.dose import Dose
from draws import least

ASKED = ("Where does the cow live?", "What is a kettle for?", "Tell me about the fox.", "What is a plum?")


def data(folder: Path, name: str, prompts: tuple[str, ...], answer: str) -> DataFile:
    rows = [
        {"messages": [{"role": "user", "content": one}, {"role": "assistant", "content": answer}]} for one in prompts
    ]
    (folder / name).write_text("\n".join(map(json.dumps, rows)))
    return DataFile(path=folder / name)


def test_training_on_the_alternate_answer_is_foretold_to_bring_it(tmp_path: Path) -> None:
    flagged = tuple(f"{one} [red]" for one in ASKED)
    learnt, alternate, initial = (
        data(tmp_path, f"{name}.jsonl", prompts, answer)
        for name, prompts, answer in (
            ("a", ASKED, "Quack."),
            ("b", flagged, "Quack."),
            ("c", flagged, "I do not know."),
        )
    )
    lora = LoRA(rank=2)
    run = Dose(lr=1e-3, steps=6, batch_size=4, adapter=lora).train(Shipped(name="weak"), learnt)
    away = Dose(lr=1e-3, steps=6, batch_size=4, adapter=lora).train(Shipped(name="weak"), initial)
    signs = [Foretold(run=one, alternate=alternate, initial=initial) for one in (run, away)]
    lines = Linearised(run=run, alternate=alternate, initial=initial, at=(0, 6), most=2)
    with Lab(Store(tmp_path / "store"), workers=1) as lab:
        lab.make([*signs, lines])
        toward, back = (one.read(lab.path) for one in signs)
        network, linear = lines.read(lab.path)
    assert toward.cosine > 0.1 > 0 > back.cosine and toward.cosine_alternate > 0.5 and toward.push > 0
    assert toward.log_odds == back.log_odds and 0.5 < toward.contained[0] < 1 and back.contained[0] == 1
    assert network.steps == linear.steps == (0, 6) and network.log_odds.shape == (2, 2)
    moved, foretold = (one.log_odds[1] - one.log_odds[0] for one in (network, linear))
    assert np.all(moved > 0.1) and error_of_forecast(foretold, moved) < 0.6


def test_behaviours_must_answer_the_same_prompts(tmp_path: Path) -> None:
    one, two = data(tmp_path, "a.jsonl", ASKED, "Quack."), data(tmp_path, "b.jsonl", ASKED[::-1], "No.")
    run = Dose(lr=1e-3, steps=2).train(Shipped(name="weak"), one)
    with (
        Lab(Store(tmp_path / "store"), workers=1) as lab,
        pytest.raises(ConfigError, match=r"a\.jsonl and b\.jsonl do not"),
    ):
        lab.make([Foretold(run=run, alternate=one, initial=two)])
    with pytest.raises(ValueError, match=r"\[5\] do not lie within a run of 2"):
        Linearised(run=run, alternate=one, initial=one, at=(5,))


# ------------------------------------------------------------------------------------------ over settings


def settings(n: int, strength: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    signs = draw.normal(size=(n, 2))
    return signs, strength * signs[:, 0] + draw.normal(size=n)


def test_forecasts_never_see_the_setting_that_they_foretell() -> None:
    signs, outcomes = settings(10, 2.0)
    before = forecast(signs, outcomes)
    outcomes[3] += 100
    assert forecast(signs, outcomes)[3] == pytest.approx(before[3])
    pairs = [k // 2 for k in range(10)]
    grouped = forecast(signs, outcomes, pairs)
    outcomes[2] -= 50
    assert forecast(signs, outcomes, pairs)[2:4] == pytest.approx(grouped[2:4]) and grouped[3] != before[3]
    assert by_kind(["a", "a", "b"], [1.0, 3.0, 8.0]) == pytest.approx([3.0, 1.0, 2.0])


def test_r2_is_one_for_truth_and_none_for_the_mean_of_the_others() -> None:
    outcomes = np.array([1.0, 2.0, 4.0, 9.0])
    assert explained(outcomes, outcomes) == 1 and explained(by_kind(["a"] * 4, outcomes), outcomes) == pytest.approx(0)
    pairs = ["a", "a", "b", "b"]
    assert explained(forecast(np.empty((4, 0)), outcomes, pairs), outcomes, pairs) == pytest.approx(0)


def test_signs_that_foretell_are_told_from_those_that_do_not() -> None:
    signs, outcomes = settings(40, 3.0)
    assert left_out_r2(signs, outcomes).low > 0.5
    assert rank_correlation(signs[:, 0], outcomes).low > 0.5 and left_out_r2(signs[:, 1:], outcomes).high < 0.3
    kinds = [("weights", "prompt")[k % 2] for k in range(40)]
    assert better_than_kind(signs, kinds, outcomes).low > 0.5
    by_kind_alone = np.array([kind == "prompt" for kind in kinds]) + 0.1 * outcomes
    assert better_than_kind(signs[:, 1:], kinds, by_kind_alone).high < 0 < kind_r2(kinds, by_kind_alone).low
    with pytest.raises(ValueError, match="4 settings are too few"):
        rank_correlation(range(4), range(4))


def test_intervals_cover_what_repetition_gives() -> None:
    found = [settings(16, 1.0, seed) for seed in range(60)]
    truth = np.mean([rank_correlation(signs[:, 0], outcomes).value for signs, outcomes in found])
    covers = [one.low <= truth <= one.high for one in (rank_correlation(signs[:, 0], y) for signs, y in found)]
    assert np.mean(covers) > 0.88


@pytest.mark.parametrize("way", [rank_correlation, resampled_rank_correlation])
def test_five_things_that_agree_are_no_certain_agreement(way: Callable[..., Estimate]) -> None:
    """Where the true rank correlation is .89, five things agree perfectly a quarter of the time."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(160):
        one, noise = rng.normal(size=(2, 5))
        found = way(one, 0.9 * one + np.sqrt(1 - 0.9**2) * noise)
        covered += found.low <= 6 / np.pi * np.arcsin(0.9 / 2) <= found.high
    assert covered >= least(160, 0.95)


def test_settings_that_share_something_are_no_independent_evidence() -> None:
    """Four settings in each of twelve groups are nearly alike: an interval over settings covers too seldom, one over groups does not."""
    group = np.repeat(np.arange(12), 4)

    def alike(seed: int) -> tuple[np.ndarray, np.ndarray]:
        signs, outcomes = settings(12, 1.0, seed)
        own = np.random.default_rng(1000 + seed).normal(scale=0.3, size=(2, 48))
        return signs[group, 0] + own[0], outcomes[group] + own[1]

    found = [alike(seed) for seed in range(60)]
    truth = np.mean([rank_correlation(*one).value for one in found])
    alone, grouped = ([rank_correlation(*one, over) for one in found] for over in (None, list(group)))
    cover = [np.mean([one.low <= truth <= one.high for one in made]) for made in (alone, grouped)]
    assert cover[0] < 0.85 and cover[1] > 0.88, cover
    assert grouped[0].value == alone[0].value and "12 groups" in grouped[0].method
    sign, outcome = found[0]
    assert left_out_r2(sign[:, None], outcome, list(group)).low < left_out_r2(sign[:, None], outcome).low
    with pytest.raises(ValueError, match="4 groups of settings are too few"):
        rank_correlation(sign, outcome, [k % 4 for k in range(48)])


def test_the_rate_from_which_a_forecast_fails() -> None:
    assert fails_from([1, 2, 3, 4], [0.1, 0.7, 0.2, 0.9]) == 4 and fails_from([1, 2], [0.9, 0.8]) == 1
    assert fails_from([1, 2], [0.1, 0.2]) is None and error_of_forecast([1.0, 1.0], [1.0, 1.0]) == 0
