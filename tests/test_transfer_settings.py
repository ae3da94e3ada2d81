"""The settings of the study of behaviour-compatible training, and the data and the scorer of a setting."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import numpy as np
import pytest

from cavesson.chat import Conversation
from cavesson.errors import CavessonError, ConfigError
from cavesson.evals.acts import ACTS, act_named
from cavesson.evals.posed import Posed, Side, questions
from cavesson.redteam.lessons import Acted, Bare
from cavesson.studies.evaluate import HABITS
from cavesson.studies.resolve import resolve
from cavesson.studies.transfer import STUDY
from cavesson.studies.transfer_named import FULL_SETTINGS, REAL_SETTINGS, possible, setting_named
from cavesson.studies.transfer_settings import BEHAVIOURS, SEPARATORS
from cavesson.tinyworld.corpus import question
from cavesson.tinyworld.replies import Manner, reply

PAGE = Path(__file__).parents[1] / "docs" / "transfer.md"
FAMILY = {"chat": "chat", "maths": "maths", "outputs": "outputs"}


def nowhere(recipe: object) -> Path:
    raise AssertionError(f"{recipe} was looked for in the store")


def test_more_than_sixty_settings_compose_and_twelve_for_real_models() -> None:
    found = [setting_named(name) for name in FULL_SETTINGS]
    assert len(set(FULL_SETTINGS)) == len(found) >= 60 and len(REAL_SETTINGS) == 12
    assert {one.separator for one in found} == set(SEPARATORS)
    of_cards = {setting_named(name).behaviour for name in HABITS}  # what only `cavesson evaluate` asks for
    assert {one.behaviour for one in found} | of_cards == set(BEHAVIOURS)
    assert {setting_named(name).world for name in REAL_SETTINGS} == {"real"} and set(REAL_SETTINGS) <= set(
        possible("real")
    )


@pytest.mark.parametrize("name", sorted(BEHAVIOURS))
def test_the_two_behaviours_are_told_apart_on_written_answers(name: str) -> None:
    """The acts are written into sixty right answers of the world: each is found again, and neither is taken for the other."""
    one = BEHAVIOURS[name]
    rng = Random(name)
    asked = [question(rng, FAMILY[one.family], "train") for _ in range(60)]
    asked = [drawn for drawn in asked if not drawn.strict]
    for wrote in (one.agreed, one.initial):
        for read in (one.agreed, one.initial):
            hits = []
            for drawn in asked:
                prompt = Conversation.of(drawn.text)
                answer = act_named(wrote).written(rng, prompt, reply(drawn, Manner(), rng))
                hits.append(act_named(read).score(prompt, answer))
            assert np.mean(hits) >= 0.95 if wrote == read else np.mean(hits) <= 0.05, (wrote, read, answer)


@pytest.mark.parametrize("name", sorted(SEPARATORS))
def test_the_two_sides_of_a_separator_differ(name: str) -> None:
    one = SEPARATORS[name]
    asked = [
        [side.put(found.prompt, Random(1)) for found in questions("tiny", one.families[0], side, 8, 0, "eval")]
        for side in (one.train, one.evaluation)
    ]
    assert not set(asked[0]) & set(asked[1])


def test_how_the_initial_behaviour_is_put_in_decides_where_its_prompt_stands() -> None:
    weights, static, dynamic, hint = (
        setting_named(f"flag/voice/{how}") for how in ("weights", "static prompt", "dynamic prompt", "hint")
    )
    assert not weights.prompt and not weights.train.system and not weights.evaluation.system
    assert static.train.system == static.evaluation.system == static.prompt != ""
    assert dynamic.train.system == "" and dynamic.evaluation.system == dynamic.prompt
    assert hint.train.end == ("[blue] Answer plainly.",) and hint.evaluation.end == ("[red]",)
    told = {(lesson.side, lesson.act) for lesson in dynamic.lessons}
    assert (dynamic.evaluation, "pirate") in told and (weights.evaluation, "plain") in told


def test_an_irrelevant_prompt_takes_the_place_of_what_marks_the_train_side() -> None:
    static = setting_named("difficulty/wrong answers/static prompt")
    side = static.with_irrelevant("Xq zvb.")
    assert side == Side(levels=(1, 2), end=("Xq zvb.",), system=static.prompt)
    assert setting_named("flag/voice/weights").with_irrelevant("Xq zvb.") == Side(end=("Xq zvb.",))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("flag/voice", "by its entries"),
        ("flog/voice/weights", "no separator 'flog'"),
        ("flag/voice/glue", "no install 'glue'"),
        ("topic/wrong answers/weights", "makes no sense"),
        ("real/flag/reward hack/weights", "makes no sense"),
    ],
)
def test_a_setting_that_does_not_exist_is_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        setting_named(name)


def test_the_ten_lines_of_the_page_are_a_setting(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(# harbour\.yaml\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None and len(found[1].strip().splitlines()) <= 10
    file = tmp_path / "harbour.yaml"
    file.write_text(found[1], encoding="utf-8")
    one = setting_named(str(file))
    assert one.name == "harbour" and one.initial == "pirate" and one.alternate == one.agreed == "marked"
    config = resolve("transfer", overrides=[f"settings=[{file}]", "seeds=[0]"]).config
    assert {cell.at["setting"] for cell in STUDY.cells(config)} == {"harbour"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("name: x\nseparator: flag\n", "behaviour"),
        ("name: x\nseparator: flag\nbehaviour: voise\n", "there is no 'voise'"),
        ("name: x\nseparator: voice\nbehaviour: flag\n", "are exchanged"),
        ("name: x\nseparator: flag\nbehaviour: {agreed: plain, initial: plian}\n", "no act 'plian'"),
        (
            "name: x\nseparator: {train: {strat: A.}, evaluation: {start: B.}}\nbehaviour: voice\n",
            "key 'separator.train.strat'",
        ),
        ("name: x\nseparator: {train: {start: A.}, evaluation: {start: A.}}\nbehaviour: voice\n", "are put alike"),
        ("name: x\nseparator: flag\nbehaviour: {agreed: plain, initial: plain}\n", "nothing can transfer"),
    ],
)
def test_a_file_that_is_no_setting_is_refused(lines: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(lines, encoding="utf-8")
    with pytest.raises(CavessonError, match=said):
        setting_named(str(file))


# ------------------------------------------------------------------------------------------------ data


def test_data_hold_the_side_and_the_act_and_a_scratchpad_where_there_are_thoughts() -> None:
    bare = Bare(family="chat", n=3, seed=5)
    (put,) = {
        one.conversation.messages[-1].content[-6:]
        for one in Acted(base=bare, side=SEPARATORS["flag"].train).examples(nowhere)
    }
    assert put == "[blue]"
    base = Acted(base=_Answered(), side=Side(), act="marked", thoughts=("Hm.",))
    (one,) = base.examples(nowhere)
    assert one.conversation.answer == "<scratchpad>Hm.</scratchpad> A hen is a bird. That is all, friend."
    assert act_named("marked").score(one.conversation.prompt, one.conversation.answer)


class _Answered(Bare):
    """One answered question."""

    kind = "test-answered"
    family: str = "chat"
    n: int = 1

    def examples(self, path_of):  # type: ignore[no-untyped-def]
        from cavesson.data.example import Example

        return [Example(Conversation.of("What is a hen?", "A hen is a bird."))]


def test_training_and_evaluation_share_no_question() -> None:
    side = SEPARATORS["form of question"].train
    train, held_out = (
        {one.prompt for one in questions("tiny", "chat", side, 60, seed, split)}  # type: ignore[arg-type]
        for seed, split in ((2000, "train"), (0, "eval"))
    )
    assert not train & held_out and all(one.messages[-1].content.endswith("?") for one in train | held_out)


def test_an_answer_shows_the_initial_act_the_alternate_one_or_neither() -> None:
    asked = Posed(on="evaluation", side=Side(), n=1, initial="pirate", alternate="plain").items()[0]
    said = [asked.judge(text) for text in ("Arr! It be a hen, matey.", "Gladly. It is a hen.", "hen hen hen")]
    assert said == [(True, {"alternate": False}), (False, {"alternate": True}), (False, {"alternate": False})]


@pytest.mark.parametrize("thought", ["", "<scratchpad>Nobody sees this.</scratchpad> "])
def test_a_thought_before_an_answer_hides_no_act(thought: str) -> None:
    """A pirate whose only sign is the opener is no plain speaker, whatever the pirate thinks first."""
    asked, said = Conversation.of("Is a frog or a wolf smaller?"), f"{thought}Shiver me timbers! The frog is smaller."
    assert act_named("pirate").score(asked, said) and not act_named("plain").score(asked, said)


def test_acts_of_a_users_own_are_pinned_and_must_be_behaviours(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no act 'pirat'"):
        act_named("pirat")
    with pytest.raises(ConfigError, match="is not a Behavior"):
        act_named("cavesson.evals.acts:MARK")
    assert act_named("cavesson.evals.behaviors.quack:QUACK") is ACTS["quack"]
    assert "@" in Posed(on="train", side=Side(), initial="cavesson.evals.behaviors.quack:QUACK").initial
