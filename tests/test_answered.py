"""Scores of answers that were written elsewhere, and what it takes to have a model behind an API write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cavesson.data.recipes import Jsonl, Mixed
from cavesson.errors import ConfigError
from cavesson.evals.answered import Problems, ScoredAnswers, answers_to
from cavesson.evals.items import Eval, no_store
from cavesson.evals.recipes import Scored
from cavesson.evals.standard.questions import Questions
from cavesson.evals.standard.sets import THINK
from cavesson.evals.world import Maths
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.sampling.openai import APIModel
from cavesson.sampling.recipes import Generated
from cavesson.sampling.requests import requests
from cavesson.sampling.sampler import Params
from cavesson.tinyworld.recipes import Prompts, Shipped

N = 12


def jsonl(path: Path, rows: list[dict]) -> Jsonl:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Jsonl(path=path)


@pytest.fixture
def sums(tmp_path: Path) -> Eval:
    rows = [{"prompt": f"What is\n{i} + {i}?\n\n{THINK}", "answer": str(2 * i)} for i in range(N)]
    return Questions(n=N, title="sums", data=jsonl(tmp_path / "sums.jsonl", rows))


def test_stored_answers_are_scored_as_those_of_the_model_that_gave_them(tmp_path):
    maths, model = Maths(n=N), Shipped(name="student")
    answers = Generated(by=model, prompts=Problems(of=maths), params=Params(max_tokens=192))
    with Lab(Store(tmp_path), workers=1) as lab:
        asked, stored = Scored(model=model, suite=(maths,)), ScoredAnswers(answers=answers, to=maths)
        lab.make([asked, stored])
        assert stored.scores(lab.path).rows == asked.scores(lab.path).rows


def test_a_question_is_known_by_its_text_alone(sums, tmp_path):
    rows = [
        {"prompt": "What is 0 + 0?", "response": "bare: 0"},
        {"prompt": f"What is 1 + 1? {THINK}", "response": "2"},
        {"prompt": "  What is 2 +\n 2?", "system": "Be brief.", "response": "in another layout: 4"},
        {"prompt": "What is 3 + 3?", "response": "6"},
        {"prompt": "What is 3 + 3?", "response": "a second answer: 7"},
        {"prompt": "What is 4 + 4?"},
        {"prompt": "What is 500 + 500?", "response": "not of the benchmark"},
        *({"prompt": f"What is {i} + {i}?", "response": "5"} for i in range(5, N)),
    ]
    found = answers_to(sums, jsonl(tmp_path / "answers.jsonl", rows), no_store)
    said = {item.prompt.messages[0].content.split()[2]: answer.text for item, answer in found}
    assert sorted(map(int, said)) == [i for i in range(N) if i != 4]
    assert said["0"] == "bare: 0" and said["2"] == "in another layout: 4" and said["3"] == "6"


def test_too_few_answers_are_refused_with_the_words_that_are_wanted(sums, tmp_path):
    rows = [{"prompt": f"What is {i} + {i}?", "response": "5"} for i in range(9)]
    with pytest.raises(
        ConfigError, match=r"answers\.jsonl has answers to 9 of the 12 problems of questions/sums.*10"
    ) as few:
        answers_to(sums, jsonl(tmp_path / "answers.jsonl", rows), no_store)
    assert "What is" in few.value.remedy
    all_of_few = sums.model_copy(update={"n": 4})
    assert len(answers_to(all_of_few, jsonl(tmp_path / "all.jsonl", [
        {"prompt": f"What is {i} + {i}?", "response": "5"} for i in range(N)
    ]), no_store)) == 4  # fmt: skip


def test_what_an_api_will_be_asked_is_known_before(sums, tmp_path):
    model, other = APIModel(model="m", url="http://here:1/v1"), APIModel(model="o", url="http://there/v1")
    chat = jsonl(tmp_path / "chat.jsonl", [{"prompt": "Hello"}, {"prompt": "Bye"}])
    often = Generated(by=model, prompts=Mixed(parts=(chat,), weights=(1.0,), size=1200))
    tested = ScoredAnswers(answers=Generated(by=model, prompts=Problems(of=sums)), to=sums)
    local = Generated(by=Shipped(name="student"), prompts=Prompts(family="chat", n=5))
    later = Generated(by=other, prompts=local)
    recipes = [often, tested, tested.answers, local, later]
    assert list(requests(recipes)) == [
        "at most 14 requests to m at here:1 (2 + 12)",
        "0 and more requests to o at there (prompts yet to be made)",
    ]
