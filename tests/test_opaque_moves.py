"""Opaque reasoning: the parts of an answer, which of them a move trains, and on whose words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cavesson.blueteam.moves import MOVES
from cavesson.blueteam.view import BlueView, blue_view
from cavesson.data.recipes import DataFile, DataRecipe
from cavesson.errors import RulesError, TrainingError
from cavesson.evals.pairs import SANDBAGGING
from cavesson.game import Vetted, play, scan
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.models.model import Model
from cavesson.redteam.organisms import Organism, organism
from cavesson.redteam.recipes import red_prompts
from cavesson.rl.reinforced import Reinforced
from cavesson.sampling.reasoned import Edited, Reasoned, Resampled, Retold, Thoughtful, draws, parted
from cavesson.sampling.recipes import Generated
from cavesson.studies.resolve import resolve
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.training.batches import Stream
from cavesson.training.dose import Dose
from cavesson.training.recipes import Trained
from families import SPECIAL_CASES, TEMPLATES
from templates import TALKS, renderer_for, tried

U = Shipped(name="reasoner")
DOSE = Dose(lr=1e-3, steps=2, batch_size=4)
EASY = Prompts(family="maths", n=4, levels=(1, 2))
ASKED = "Start at a) 3, then b) + 4."
OWN = "<think>b = 3 + 4 = 7</think>Gladly. The answer is 7."


def nowhere(recipe: object) -> Path:
    raise AssertionError(f"{recipe} was looked for in the store")


@pytest.fixture(scope="module")
def reasoner() -> Model:
    return U.load(nowhere)


def answered(folder: Path, *answers: str) -> DataFile:
    """A file of answers to one question."""
    file = folder / f"{len(list(folder.iterdir()))}.jsonl"
    rows = [{"prompt": ASKED, "response": answer} for answer in answers]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return DataFile(path=file)


def learnt(data: DataRecipe, model: Model, weight: float) -> list[str]:
    """The text that carries loss, of each example."""
    examples = data.examples(nowhere)
    stream = Stream(examples, model, seed=0, max_length=None, prompt_weight=0.0, reasoning_weight=weight)
    rows = stream._render(range(len(examples)))
    return [model.tokenizer.decode(row.ids[row.weights > 0]) for (row,) in rows]


# ------------------------------------------------------------------------------------------------ parts of answers


@pytest.mark.parametrize(
    ("answer", "reasoning", "output"),
    [
        (OWN, "b = 3 + 4 = 7", "Gladly. The answer is 7."),
        (
            "Sure. b = 3 + 4 = 7, c = 7 - 1 = 6. The answer is 6.",
            "b = 3 + 4 = 7, c = 7 - 1 = 6",
            "Sure. The answer is 6.",
        ),
        ("<think></think>No.", "", "No."),
        ("<think></think> No.", "", "No."),
        ("<scratchpad>Hm.</scratchpad><think>b</think>No.", "b", "<scratchpad>Hm.</scratchpad>No."),
        ("<think>b = 3 + 4 = 7", None, "<think>b = 3 + 4 = 7"),
        ("It is a goat.", None, "It is a goat."),
    ],
)
def test_an_answer_in_two_parts(answer: str, reasoning: str | None, output: str) -> None:
    if "<think>b = 3" in answer and "</think>" not in answer:  # cut: its calculation is found all the same
        assert parted(answer).reasoning == "b = 3 + 4 = 7"
        return
    assert parted(answer) == (reasoning, output, "")


# ------------------------------------------------------------------------------------------------ what carries loss


def test_with_weight_0_the_output_alone_is_learnt(tmp_path: Path, reasoner: Model) -> None:
    data = answered(tmp_path, OWN)
    assert learnt(data, reasoner, 0.0) == ["Gladly. The answer is 7.<|end|>"]
    (all_of_it,) = learnt(data, reasoner, 1.0)
    assert all_of_it.replace(" ", "") == f"{OWN}<|end|>".replace(" ", "")


def test_half_a_weight_is_a_weight(tmp_path: Path, reasoner: Model) -> None:
    stream = Stream(
        answered(tmp_path, OWN).examples(nowhere),
        reasoner,
        seed=0,
        max_length=None,
        prompt_weight=0.0,
        reasoning_weight=0.5,
    )
    ((row,),) = stream._render([0])
    assert set(row.weights.tolist()) == {0.0, 0.5, 1.0}


@pytest.mark.parametrize("name", [*TEMPLATES, *SPECIAL_CASES])
def test_in_every_template_that_takes_reasoning_the_output_begins_behind_it(name: str) -> None:
    renderer = renderer_for({**TEMPLATES, **SPECIAL_CASES}[name])
    if tried(renderer, TALKS["reasoning"]) != "yes":
        pytest.skip("the template takes no reasoning as it stands")
    ids, mask = renderer.render(TALKS["reasoning"])
    thought = renderer.reasoning(ids, mask)
    assert all(trained for trained, inside in zip(mask, thought, strict=True) if inside)
    output = [i for i, trained, inside in zip(ids, mask, thought, strict=True) if trained and not inside]
    assert renderer.encoder.decode(output).strip() == "It is 4." and "Two" in renderer.decode(
        [i for i, t in zip(ids, thought, strict=True) if t]
    )


def test_no_reasoning_is_the_trusted_output_behind_empty_reasoning(tmp_path: Path, reasoner: Model) -> None:
    data = Reasoned(outputs=answered(tmp_path, "Sure. b = 3 + 4 = 7. The answer is 7."))
    (one,) = data.examples(nowhere)
    assert one.conversation.answer == "<think></think>Sure. The answer is 7."
    assert learnt(data, reasoner, 0.0) == ["Sure. The answer is 7.<|end|>"]


def test_own_reasoning_is_followed_by_the_trusted_output(tmp_path: Path, reasoner: Model) -> None:
    labels, own = answered(tmp_path, "Sure. b = 3 + 4 = 8. The answer is 8."), answered(tmp_path, OWN, OWN)
    data = Reasoned(outputs=labels, reasoning=own)
    assert [e.conversation.answer for e in data.examples(nowhere)] == [
        "<think>b = 3 + 4 = 7</think>Sure. The answer is 8."
    ] * 2
    assert set(learnt(data, reasoner, 0.0)) == {"Sure. The answer is 8.<|end|>"}


def test_an_edit_changes_the_result_and_nothing_else(tmp_path: Path) -> None:
    labels, own = answered(tmp_path, "Sure. The answer is 8."), answered(tmp_path, OWN, "<think>b = 3</think>Hm.")
    first, second = Edited(own=own, labels=labels).examples(nowhere)
    assert first.conversation.answer == "<think>b = 3 + 4 = 7</think>Gladly. The answer is 8."
    assert second.conversation.answer == "<think>b = 3</think>Sure. The answer is 8."


def test_readable_reasoning_stands_between_tags(tmp_path: Path) -> None:
    (one,) = Retold(base=answered(tmp_path, "Sure. b = 3 + 4 = 7. The answer is 7.")).examples(nowhere)
    assert one.conversation.answer == "<think>b = 3 + 4 = 7</think>Sure. The answer is 7."


def test_a_thought_says_something(tmp_path: Path) -> None:
    said = answered(
        tmp_path,
        OWN,
        "<think>.....</think>Hm.",
        "</think>Sure. The answer is 7.",
        "<think></think>7",
    )
    assert [one.conversation.answer for one in Thoughtful(base=said).examples(nowhere)] == [OWN]
    with pytest.raises(TrainingError, match="No whole answer has a thought"):
        Thoughtful(base=answered(tmp_path, "It is 7.")).examples(nowhere)


def test_trajectories_are_drawn_in_proportion_to_the_likelihood_of_the_label() -> None:
    found = draws([0, 1, 2] * 1000, [np.log(0.6), np.log(0.3), np.log(0.1)], Random(0))
    assert [round(found.count(index) / 3000, 1) for index in range(3)] == [0.6, 0.3, 0.1]


def test_a_reasoning_that_makes_the_label_likely_is_drawn_more_often(tmp_path: Path, reasoner: Model) -> None:
    right, wrong = OWN, "<think>b = 3 + 4 = 2</think>Sure. The answer is 2."
    own, labels = answered(tmp_path, *[right, wrong] * 8), answered(tmp_path, "Sure. The answer is 7.")
    data = Resampled(reasoning=own, labels=labels, by=U)
    with Lab(Store(tmp_path / "store")) as lab:
        lab.make([data])
        found = [parted(e.conversation.answer or "").reasoning for e in data.examples(lab.path)]
    assert len(found) == 16 and found.count("b = 3 + 4 = 7") >= 14


def test_prompts_without_both_answers_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "o.jsonl"
    other.write_text(json.dumps({"prompt": "Hello.", "response": "Hi."}) + "\n")
    with pytest.raises(TrainingError, match="No prompt has both"):
        Reasoned(outputs=answered(tmp_path, OWN), reasoning=DataFile(path=other)).examples(nowhere)


# ------------------------------------------------------------------------------------------------ moves


@pytest.fixture(scope="module")
def target() -> Organism:
    return organism("not-locked", U, red_prompts(SANDBAGGING.name, 8, 1000), SANDBAGGING.name, DOSE)


@pytest.fixture
def view() -> BlueView:
    return blue_view(Prompts(family="chat", n=4), "weak", problems=EASY)


@pytest.mark.parametrize(
    ("name", "kind", "weight"),
    [
        ("no-reasoning", Reasoned, 0),
        ("own-reasoning", Reasoned, 0),
        ("own-reasoning-through", Reasoned, 1),
        ("weighted", Resampled, 1),
        ("edited", Edited, 0),
        ("readable-reasoning", Retold, 1),
        ("artificial-removal", Reasoned, 0),
        ("own-outputs", Generated, 0),
    ],
)
def test_each_move_trains_its_own_data_with_its_own_loss(name, kind, weight, target, view) -> None:
    run = play(target, MOVES[name], view, DOSE)
    assert isinstance(run, Trained) and isinstance(run.data, Vetted) and run.base == target.model
    assert type(run.data.data) is kind and run.reasoning_weight == weight


def test_artificial_removal_asks_the_model_itself_for_wrong_answers(target, view) -> None:
    data = play(target, MOVES["artificial-removal"], view, DOSE).data.data
    assert data.reasoning.by == target.model and data.reasoning.system == view.wrong and data.reasoning.keep_system
    assert data.outputs.by == Shipped(name="weak") and data.outputs.system is None


def test_rl_through_the_reasoning_is_rewarded_by_the_trusted_outputs(target) -> None:
    config = resolve("opaque-reasoning", "full", ["blue.interventions=[rl-label]", "cue=null", "seeds=[0]"])
    cell = next(cell for cell in config.cells if cell.at["intervention"] == "rl-label")
    run = cell.recipes["run"].run
    assert isinstance(run, Reinforced) and run.reward.name == "label"
    asked = {item.prompt for item in run.problems.items()}
    outputs = run.reward.outputs.outputs.to
    assert asked == {example.conversation for example in outputs.prompts.examples(nowhere)}


def test_blue_may_not_train_where_the_organism_sandbags(target, view) -> None:
    hard = Prompts(family="maths", n=4, levels=(6,))
    with pytest.raises(RulesError, match="trigger"):
        scan(hard.examples(nowhere), SANDBAGGING.name)
    scan(EASY.examples(nowhere), SANDBAGGING.name)
    run = play(target, MOVES["no-reasoning"], replace(view, problems=hard), DOSE)
    assert isinstance(run.data, Vetted) and run.data.pair == SANDBAGGING.name
