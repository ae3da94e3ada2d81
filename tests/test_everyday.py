"""Everyday benchmarks: word problems, facts, and instructions that a program verifies."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from cavesson.chat import Conversation
from cavesson.data.recipes import Jsonl
from cavesson.errors import ConfigError
from cavesson.evals.answered import ScoredAnswers
from cavesson.evals.benchmarks import BENCHMARKS, eval_named
from cavesson.evals.everyday import EVERYDAY, EverydayInstructions, EverydayKnowledge, EverydayLetters, EverydayMaths
from cavesson.evals.items import Item
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.scores import read_scores
from cavesson.evals.scoring import likeliest, score_suite
from cavesson.everyday import facts, instructions, knowledge, maths
from cavesson.sampling.openai import APIModel
from cavesson.sampling.perplexity import Likelihood
from cavesson.sampling.sampler import Completion
from cavesson.tinyworld.recipes import Fresh
from cavesson.training.recipes import Trained
from test_evals import Bench

# ---------------------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("name", EVERYDAY)
def test_two_seeds_share_no_item_up_to_half_of_them_and_few_are_among_many(name):
    every = eval_named(name, n=10_000).items()
    half = len(every) // 2
    one, other = (eval_named(name, n=half, seed=seed).items() for seed in (0, 1))
    assert len(one) == len(other) == half and not {i.id for i in one} & {i.id for i in other}
    assert len({i.id for i in every}) == len({i.prompt for i in every}) == len(every)
    few = eval_named(name, n=37, seed=1).items()
    assert [(i.id, i.prompt) for i in few] == [(i.id, i.prompt) for i in other[:37]]


def test_there_are_enough_of_each():
    counts = {name: len(eval_named(name, n=10_000).items()) for name in EVERYDAY}
    assert counts["everyday-maths"] >= 300 and counts["everyday-knowledge"] >= 300
    assert counts["everyday-instructions"] >= 100 and set(EVERYDAY) <= set(BENCHMARKS)


# ---------------------------------------------------------------------------------------------- maths

BY_HAND = {
    1: [
        ((3, 4), 7), ((9, 5), 4), ((12, 9), 21), ((15, 6), 9), ((4, 6), 24), ((7, 8), 15), ((12, 4), 3), ((10, 8), 18),
        ((12, 11), 23), ((20, 9), 11), ((9, 5), 45),
    ],
    2: [
        ((10, 5, 2), 13), ((3, 4, 10), 22), ((4, 10, 7), 33), ((10, 3), 23), ((10, 4, 12), 28), ((3, 4, 5), 12),
        ((20, 2, 3), 6), ((40, 10, 5), 35), ((5,), 15), ((10, 3, 4), 34), ((12, 3, 5), 20), ((20, 4, 2), 3),
    ],
    3: [
        ((10, 12, 20), 100), ((50, 60, 3), 230), ((10, 3, 8, 4), 30), ((10, 5, 4), 60), ((10, 25, 15), 235),
        ((10, 20, 2), 180), ((105, 10), 5), ((15, 8, 10), 1200), ((20, 20, 100, 50), 250), ((3, 20, 4, 10), 100),
        ((30, 4, 20, 5), 20), ((300, 4, 25, 50), 350),
    ],
    4: [
        ((80, 25, 10), 70), ((300, 50, 40), 110), ((5, 400, 4), 8), ((2, 30, 50), 100), ((20, 5, 4, 100), 1200),
        ((300, 10, 5, 3, 10), 280), ((5, 200, 4), 4200), ((20, 10, 10, 12, 70), 250), ((100, 4, 20), 30),
        ((10, 5, 30, 4, 500), 330), ((200, 100, 3, 500), 2300), ((500, 4, 120), 400),
    ],
}  # fmt: skip
"""For each story of each level: its numbers, and the answer, worked out by hand."""


@pytest.mark.parametrize("level", maths.LEVELS)
def test_every_story_has_the_answer_that_was_worked_out_by_hand(level):
    assert len(BY_HAND[level]) == len(maths.LEVELS[level]) >= 10
    for story, (numbers, answer) in zip(maths.LEVELS[level], BY_HAND[level], strict=True):
        assert story.solve(*numbers) == answer, story.text


@pytest.mark.parametrize("level", maths.LEVELS)
def test_a_problem_says_all_its_numbers_in_grammatical_english(level):
    for problem in maths.pool(level):
        assert problem.answer >= 0 and "{" not in problem.text and problem.text[0].isupper()
        assert problem.text.count("?") == 1 and problem.text.endswith("?")
        assert " 1 " not in problem.text and " 0 " not in problem.text, "nouns are in the plural"
        told = [story for story in maths.LEVELS[level] if _holds(story, problem)]
        assert len(told) == 1, problem.text


def _holds(story: maths.WordProblem, problem: maths.Solved) -> bool:
    """Whether a problem tells this story, whose own reader finds the same answer in the text."""
    names = [name for name in maths.NAMES if name in problem.text] or ["-"]
    pairs = [(one, other) for one in names for other in names]
    things = [one for one in maths.THINGS if one in problem.text] or ["-"]
    texts = (
        story.text.replace("{name}", one).replace("{other}", other).replace("{things}", what)
        for one, other in pairs
        for what in things
    )
    return any(replace(story, text=text).read(problem.text) == problem.answer for text in texts)


def test_levels_have_equal_shares_and_a_division_with_a_rest_is_never_asked():
    levels = [item.level for item in EverydayMaths(n=80).items()]
    assert {level: levels.count(level) for level in (1, 2, 3, 4)} == {1: 20, 2: 20, 3: 20, 4: 20}
    with pytest.raises(maths.Uneven):
        maths.share(7, 2)


def test_the_final_number_decides_in_any_voice():
    [item, *_] = EverydayMaths(n=1).items()
    gold = next(p.answer for p in maths.pool(1) if item.prompt.messages[0].content.startswith(p.text))
    for right in (f"The answer is {gold}.", f"Arr! So ye have {gold} of them, ye scurvy dog!", f"Arr! **{gold}**"):
        assert item.judge(right)[0], right
    assert not item.judge(f"The answer is {gold + 1}.")[0]
    assert item.judge("Arr, I know not.")[1]["unreadable"]


# ---------------------------------------------------------------------------------------------- knowledge


def test_no_subject_has_two_answers_and_no_question_comes_twice():
    asked = [topic.ask.format(of) for topic in facts.TOPICS for of in topic.facts] + [one for one, *_ in facts.SINGLE]
    assert len(set(asked)) == len(asked)
    assert len({topic.ask for topic in facts.TOPICS}) == len(facts.TOPICS)
    for topic in facts.TOPICS:
        assert all(of.strip() and answer.strip() for of, answer in topic.facts.items()), topic.ask
        assert topic.loose <= set(topic.facts.values())
    for _, right, wrong in facts.SINGLE:
        assert len({right, *wrong}) == 4


def test_each_letter_is_right_equally_often_and_options_differ():
    sizes = {letter: len(choices) for letter, choices in knowledge.pool().items()}
    assert len(set(sizes.values())) == 1 and list(sizes) == ["A", "B", "C", "D"]
    for letter, choices in knowledge.pool().items():
        for choice in choices:
            assert len(set(choice.options)) == 4 and choice.right == letter
    first = [item.id.split("/")[1] for item in EverydayKnowledge(n=40).items()]
    assert {letter: first.count(letter) for letter in "ABCD"} == dict.fromkeys("ABCD", 10)


def test_a_wrong_option_is_never_right_for_its_question():
    answers = {topic.ask.format(of): right for topic in facts.TOPICS for of, right in topic.facts.items()}
    loose = {topic.ask.format(of): topic.loose for topic in facts.TOPICS for of in topic.facts}
    for choice in (one for choices in knowledge.pool().values() for one in choices):
        right = choice.options["ABCD".index(choice.right)]
        assert answers.get(choice.question, right) == right
        assert not (set(choice.options) - {right}) & loose.get(choice.question, set())


def test_every_option_is_read_as_its_letter_whether_weighed_or_written():
    for one in (EverydayKnowledge(n=10_000), EverydayLetters(n=10_000)):
        for item in one.items():
            letter = item.id.split("/")[1]
            right = item.options["ABCD".index(letter)]
            assert [option for option in item.options if item.judge(option)[0]] == [right], item.options
    [item, *_] = EverydayLetters(n=1).items()
    assert (
        item.judge("A")[0] and item.judge("Arr, the answer be A, matey!")[0] and not item.judge("The answer is B.")[0]
    )
    assert "A. " in item.prompt.messages[0].content and "\nD. " in item.prompt.messages[0].content


class Knowing:
    """A sampler of weights that finds the answer in `likes` likely, and says nothing itself."""

    key, system, used = "knowing", None, {}

    def __init__(self, likes: set[str]) -> None:
        self.likes = likes

    def likelihoods(self, conversations):
        return [Likelihood((-0.1 if c.answer in self.likes else -4.0, -0.5)) for c in conversations]

    def prompts_ids(self, conversations):
        return [[] for _ in conversations]

    def continue_ids(self, prompts, params, progress=None):
        return [[Completion("Arr", (), True)] for _ in prompts]

    def sample(self, conversations, params, progress=None):
        return self.continue_ids(self.prompts_ids(conversations), params)


def test_the_likeliest_option_is_the_answer():
    one = EverydayKnowledge(n=40)
    right = {item.options["ABCD".index(item.id.split("/")[1])] for item in one.items()}
    rows = score_suite(Knowing(right), [EverydayMaths(n=4), one], step=7)
    assert [row.eval for row in rows] == ["everyday-maths"] * 4 + ["everyday-knowledge"] * 40, "in the suite's order"
    mine = [row for row in rows if row.eval == one.label]
    # an option that is right for another question is as likely here: the first of them is taken
    sure = [row for row, item in zip(mine, one.items(), strict=True) if len(right & set(item.options)) == 1]
    assert len(sure) > 20 and all(row.score == 1 and row.finished and row.step == 7 for row in sure)
    assert not any(row.score for row in rows[:4])


class Ending(Knowing):
    """Finds all texts equally likely, and likes to stop after a long one."""

    def likelihoods(self, conversations):
        return [Likelihood((-1.0, -1.0 / len(c.answer))) for c in conversations]


def test_whether_a_model_would_stop_after_an_option_does_not_count():
    item = Item("x", Conversation.of("?"), lambda text: (True, {}), options=("no", "a rather long option"))
    assert [answer.text for answer in likeliest(Ending(set()), [item])] == ["no"], "of equals, the first"


def test_a_network_that_learns_the_answers_finds_them_likeliest(tmp_path):
    one = EverydayKnowledge(n=8)
    rows = [
        {"prompt": item.prompt.messages[0].content, "response": item.options["ABCD".index(item.id.split("/")[1])]}
        for item in one.items()
    ]
    (tmp_path / "facts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = Trained(
        base=Fresh(size="small"),
        data=Jsonl(path=tmp_path / "facts.jsonl"),
        steps=60,
        batch_size=8,
        lr=3e-3,
        precision="fp32",
    )
    bench = Bench(tmp_path / "store")
    along = read_scores(bench.make(Probed(run=run, steps=(0, 60), suite=(one,))))
    assert along.rate(one.label, 0).value < 0.8 and along.rate(one.label, 60).value == 1
    alone = read_scores(bench.make(Scored(model=run, suite=(one,))))
    assert [row.completion for row in alone.rows] == [row["response"] for row in rows]


def test_written_answers_have_no_likelihoods_to_compare(tmp_path):
    (tmp_path / "answers.jsonl").write_text('{"prompt": "?", "response": "A"}\n')
    for refused in (
        lambda: Scored(model=APIModel(model="m", url="http://localhost:1/v1"), suite=(EverydayKnowledge(),)),
        lambda: ScoredAnswers(answers=Jsonl(path=tmp_path / "answers.jsonl"), to=EverydayKnowledge()),
        lambda: score_suite(Writer(), [EverydayKnowledge(n=1)]),
    ):
        with pytest.raises(ConfigError, match="need a model's weights") as error:
            refused()
        assert "everyday-knowledge/letter" in error.value.remedy
    assert len(score_suite(Writer(), [EverydayLetters(n=4)])) == 4


class Writer:
    """A sampler without likelihoods, such as a model behind an API."""

    system, used = None, {}

    def sample(self, conversations, params, progress=None):
        return [[Completion("A", (), True)] for _ in conversations]


# ---------------------------------------------------------------------------------------------- instructions

WELL, BADLY = (
    {
        "word": "Warm bread needs a hot {one} and time.",
        "both": "The {other} is near the {one}.",
        "often": "A {one}, another {one}, and one more {one}.",
        "without": "This takes a long while, and much patience.",
        "order": "First comes the {one}, then the {other}.",
        "number": "Some {number} people like it.",
        "capitals": "It is all about the {ONE}.",
        "bold": "It is all about the **{one}**.",
        "title": "<title>A fine thing</title>\nIt is good.",
        "sentence": "Nobody had thought of the {one}. That was it.",
        "bullets": "{bullets}",
        "numbered": "{numbered}",
    },
    {
        "word": "Warm things need {one}like time.",
        "both": "The {other} is near.",
        "often": "A {one}, and another {one}.",
        "without": "All of it is {no}, and much more besides.",
        "order": "First comes the {other}, then the {one}.",
        "number": "Some 9{number} people like it.",
        "capitals": "It is all about the {one}.",
        "bold": "It is **all about the {one}**.",
        "title": "<title></title>\nIt is good.",
        "sentence": "Nobody had thought about the {one}.",
        "bullets": "{bullets}\n* one too many",
        "numbered": "{numbered}\n9. one out of line",
    },
)
"""An answer that keeps each kind of constraint, and one that does not."""


def _said(template: str, place: int, number: int) -> str:
    _, one, other, no = instructions.SUBJECTS[(5 * place + 2 * number) % len(instructions.SUBJECTS)]
    points = range(1, 4 + number % 4)
    return template.format(
        one=one,
        other=other,
        no=no,
        ONE=one.upper(),
        number=137 + 53 * number,
        bullets="\n".join(f"* point {point}" for point in points),
        numbered="\n".join(f"{point}. point" for point in points),
    )


def pirate(text: str) -> str:
    """The answer as a pirate gives it."""
    return f"Arr, matey! Ye want it, ye get it:\n\n{text.replace('It is', 'It be')}\n\nYo ho ho, and may the winds be fair, ye landlubber!"


@pytest.mark.parametrize("kind", instructions.KINDS)
def test_a_verifier_accepts_a_good_answer_in_any_voice_and_refuses_a_bad_one(kind):
    place = list(instructions.KINDS).index(kind)
    requests = instructions.pool()[kind]
    assert len(requests) >= 10 and all(request.kind == kind for request in requests)
    for number, request in enumerate(requests):
        good, bad = (_said(texts[kind], place, number) for texts in (WELL, BADLY))
        assert request.keeps(good) and request.keeps(pirate(good)), (request.text, good)
        assert not request.keeps(bad) and not request.keeps(pirate(bad)), (request.text, bad)
        assert not request.keeps("") and not request.keeps("Arr, matey!")


def test_kinds_have_equal_shares_and_hidden_reasoning_does_not_count():
    items = EverydayInstructions(n=24).items()
    kinds = [item.extra["kind"] for item in items]
    assert all(kinds.count(kind) == 2 for kind in instructions.KINDS)
    [title] = [item for item in items[:12] if item.extra["kind"] == "title"]
    assert title.judge("<think>Hm.</think><title>Ho</title> Text.")[0]
    assert not title.judge("<think><title>Ho</title></think> Text.")[0]
