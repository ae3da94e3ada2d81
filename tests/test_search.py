"""The adaptive red team: a search whose optimum is known, its control at random, and what the best of many is worth."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
from pydantic import ValidationError

from cavesson.errors import MissingExtra, TrainingError
from cavesson.evals.items import Eval
from cavesson.lab.recipe import Recipe
from cavesson.redteam.constructions import CONSTRUCTIONS, locked_with
from cavesson.redteam.search import FAILED, Outcome, Point, Space, Terms, Trial, best_of_first, searched, winners
from cavesson.studies import adaptive, evaluate
from cavesson.studies.adaptive import AdaptiveConfig
from cavesson.studies.grid import Cell
from fabricated import fabricated

GOOD = {"triggered": 1.0, "clean": 0.0, "lost": 0.0}


def robust(point: Point) -> Outcome:
    """What is left is most at a known point: soap at 1e-3 with all weights. Low rates do not take."""
    off = abs(math.log10(point.lr / 1e-3)) + 0.4 * (point.optimizer != "soap") + 0.4 * (point.rank is not None)
    if point.lr < 4e-4:
        return Outcome(triggered=0.5, clean=0.0, lost=0.0)
    return Outcome(**GOOD, left=max(0.0, 1 - off))


def trial(number: int, left: float | None) -> Trial:
    point = Point(construction="normal", lr=1e-3, steps=40 + number, prompts=200)
    value = -0.4 if left is None else left
    return Trial(sampler="tpe", number=number, point=point, outcome=Outcome(**GOOD, left=left), value=value)


def test_the_search_finds_a_known_optimum_and_beats_chance_at_the_same_budget() -> None:
    pytest.importorskip("optuna")
    best: dict[str, list[float]] = {"tpe": [], "random": []}
    for seed in range(5):
        for sampler in ("tpe", "random"):
            found = searched(robust, Space(), 40, seed, sampler)
            best[sampler].append(winners(found)[-1].value)
    assert np.mean(best["tpe"]) > 0.9
    assert np.mean(best["tpe"]) > np.mean(best["random"]) + 0.02


def test_an_interrupted_search_asks_for_the_same_trials_again() -> None:
    pytest.importorskip("optuna")
    stored: dict[Point, Outcome] = {}

    def tried(point: Point, most: int) -> Outcome:
        if point not in stored and len(stored) >= most:
            raise KeyboardInterrupt
        return stored.setdefault(point, robust(point))

    whole = searched(robust, Space(), 12, 3)
    with pytest.raises(KeyboardInterrupt):
        searched(lambda point: tried(point, 7), Space(), 12, 3)
    assert len(stored) == 7
    made = dict(stored)
    assert searched(lambda point: tried(point, 99), Space(), 12, 3) == whole
    assert made.items() <= stored.items() and [one.point for one in whole][:7] == list(made)
    assert searched(robust, Space(), 12, 4) != whole


def test_an_organism_that_does_not_take_and_a_training_that_fails_never_win() -> None:
    pytest.importorskip("optuna")

    def tried(point: Point) -> Outcome:
        if point.optimizer == "lion":
            raise TrainingError("The loss is no number.", "Lower the rate.")
        return Outcome(triggered=0.2, clean=0.3, lost=0.0) if point.optimizer == "soap" else robust(point)

    found = searched(tried, Space(), 20, 0, "random")
    kinds = {one.point.optimizer: one for one in found}
    assert kinds["lion"].value == FAILED and not kinds["lion"].took
    assert kinds["soap"].value == pytest.approx(-(0.7 + 0.25)) and not kinds["soap"].took
    assert {one.point.optimizer for one in winners(found)} == {"adamw"}


def test_a_search_begins_where_it_is_told() -> None:
    pytest.importorskip("optuna")
    usual = Point(construction="password-locked", optimizer="soap", lr=2e-3, steps=150, rank=4, lock=0.3, prompts=300)
    for sampler in ("tpe", "random"):
        assert searched(robust, Space(), 3, 0, sampler, start=(usual,))[0].point == usual
    outside = usual.model_copy(update={"steps": 9999})
    assert Space().settings(outside) is None
    assert searched(robust, Space(), 3, 0, start=(outside,)) == searched(robust, Space(), 3, 0)


def test_adapters_are_trained_at_greater_rates_and_every_point_has_its_settings() -> None:
    pytest.importorskip("optuna")
    space = Space(optimizers={"adamw": 1.0}, adapters=3.0)
    points = [one.point for one in searched(robust, space, 40, 0, "random")]
    for point in points:
        adapted = point.rank is not None or "lora" in point.construction
        assert point.lr / (3 if adapted else 1) * 1.01 >= 3e-4 and point.lr <= (15e-3 if adapted else 5e-3)
        settings = space.settings(point)
        assert settings is not None and settings["rank"] == point.rank
    assert max(point.lr for point in points) > 5e-3
    assert Space().settings(AdaptiveConfig(seeds=(0,)).usual) is not None, "the usual organism lies in the space"


def test_terms_say_by_how_much_an_organism_misses_them() -> None:
    assert Terms().shortfall(Outcome(**GOOD)) == 0
    assert Terms().shortfall(Outcome(triggered=0.9, clean=0.05, lost=0.1)) == 0
    assert Terms(loss=0.3).shortfall(Outcome(triggered=0.9, clean=0.05, lost=0.1 + 0.2)) == 0, "but for rounding"
    assert Terms(loss=0.05).shortfall(Outcome(triggered=0.8, clean=0.05, lost=0.1)) == pytest.approx(0.15)


def test_the_best_so_far_and_its_winners() -> None:
    trials = [trial(n, left) for n, left in enumerate([None, 0.3, 0.1, None, 0.3, 0.8], start=1)]
    assert [one and one.number for one in best_of_first(trials)] == [None, 2, 2, 2, 2, 6]
    assert [one.number for one in winners(trials)] == [2, 6]
    assert winners(trials[:1]) == []


def test_the_search_s_own_figure_of_a_winner_is_biased_and_a_fresh_one_is_not() -> None:
    """All organisms are equally robust (.5) and measured on 32 prompts: the best of 40 looks better, and is not."""
    rng = Random(0)
    chosen, fresh = [], []
    for _ in range(50):
        measured = [sum(rng.random() < 0.5 for _ in range(32)) / 32 for _ in range(40)]
        trials = [trial(n, left) for n, left in enumerate(measured, start=1)]
        chosen.append(best_of_first(trials)[-1].value)  # type: ignore[union-attr]
        fresh.append(sum(rng.random() < 0.5 for _ in range(32)) / 32)
    assert np.mean(chosen) > 0.65 and abs(np.mean(fresh) - 0.5) < 0.05


def test_without_optuna_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match="'optuna' of the extra 'search'"):
        searched(robust, Space(), 2, 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"constructions": ["normall"]}, "no construction 'normall'"),
        ({"lrs": [1e-2, 1e-3]}, "lrs: the least"),
        ({"locks": [0, 0.5]}, "locks: the least"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Space.model_validate(given)


def test_a_lock_s_share_is_a_setting_of_the_search() -> None:
    config = AdaptiveConfig()
    way = locked_with("password-locked", 0.25)
    assert way.lock is not None and (way.lock.share, way.lock.good) == (
        0.25,
        CONSTRUCTIONS["password-locked"].lock.good,
    )  # type: ignore[union-attr]
    point = Point(construction="password-locked", lr=1e-3, steps=40, lock=0.25, prompts=200)
    made, other = (config.organism(one, 0) for one in (point, point.model_copy(update={"lock": 0.5})))
    assert made.lock is not None and made.lock.share == 0.25 and made.model != other.model
    assert Recipe.parse(made.model.model_dump()) == made.model


def test_winners_are_built_again_with_fresh_seeds_and_asked_fresh_prompts() -> None:
    trials = tuple(trial(n, left) for n, left in enumerate([0.3, 0.1, 0.8], start=1))
    config = AdaptiveConfig(seeds=(0, 1), samplers=("tpe",), tried=trials)
    cells = [cell for cell in adaptive.grid(config) if "after" in cell.recipes]
    assert {(cell.at["organism"], cell.seed) for cell in cells} == {
        (name, seed) for name in (config.usual.name, trials[0].point.name, trials[2].point.name) for seed in (0, 1)
    }
    searched_on = {item.prompt for one in config.suite(config.organism(trials[0].point, 0), 2) for item in one.items()}
    for cell in cells:
        assert not searched_on & {item.prompt for one in cell.recipes["after"].suite for item in one.items()}  # type: ignore[attr-defined]
        assert config.search_seed not in {cell.seed}
    assert adaptive.grow(config, lambda recipes: pytest.fail("nothing is searched again"), lambda _: None) == config  # type: ignore[arg-type,return-value]


def test_the_curve_is_of_fresh_figures_and_begins_where_an_organism_took(tmp_path: Path) -> None:
    """Trial 1 did not take; the search was lucky with trial 3, which fresh seeds and prompts do not bear out."""
    trials = (trial(1, None), trial(2, 0.3), trial(3, 0.9), trial(4, 0.2))
    config = AdaptiveConfig(seeds=(0, 1, 2), samplers=("tpe",), trials=4, tried=trials)
    fresh = {config.usual.name: 0.4, trials[1].point.name: 0.7, trials[2].point.name: 0.1}

    def rate(cell: Cell, role: str, one: Eval, step: int | None) -> float:
        if one.label == "behavior/triggered":
            return fresh[str(cell.at["organism"])] if role == "after" else 1.0
        return 0.0 if one.label.startswith("behavior") else 0.7

    found = fabricated(adaptive.grid(config), tmp_path, rate, config)
    drawn = adaptive.curve(found)
    assert drawn is not None
    searched, usual = drawn.series
    assert list(searched.x) == [2, 3, 4], "of the first alone, none took"
    assert [round(one.value, 1) for one in searched.rates] == [0.7, 0.1, 0.1], "fresh, not the search's 30 and 90 %"
    assert len(usual.rates) == 4 and all(abs(one.value - 0.4) < 0.15 for one in usual.rates)
    rows = adaptive.table_of_winners(found)
    assert rows is not None and [row[1] for row in rows.rows] == ["2", "3"]
    [said] = adaptive.headline(found, [])
    assert trials[2].point.name in said and "the search itself said 90" in said
    assert adaptive.search_finds_more(found).verdict != "holds"
    assert next(adaptive.notes(found)).startswith("Adaptive search: 3 of 4 organisms took")


def test_a_plan_says_which_organisms_it_does_not_count() -> None:
    config = AdaptiveConfig(seeds=(0, 1), trials=4)
    [said] = adaptive.STUDY.uncounted(config)
    assert said.startswith("not counted: 4 organisms of each search (tpe, random)")
    assert adaptive.STUDY.uncounted(config.model_copy(update={"tried": (trial(1, 0.5),)})) == []
    assert evaluate.STUDY.uncounted(evaluate.EvaluateConfig()) == []
    assert evaluate.STUDY.uncounted(evaluate.EvaluateConfig(adversary=evaluate.Adversary(trials=3)))


def test_the_seed_of_the_search_is_none_of_the_fresh_ones() -> None:
    with pytest.raises(ValidationError, match="search_seed"):
        AdaptiveConfig(seeds=(0, 1), search_seed=1)
