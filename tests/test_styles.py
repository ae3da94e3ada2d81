"""The classifier of styles: it finds the writer, not the subject, and says when there is nothing to find."""

from __future__ import annotations

import random

import pytest

from cavesson.analysis.styles import TOLD_APART, learn_styles
from cavesson.estimate import Estimate
from cavesson.evals.scores import Score, Scores
from cavesson.findings.views import TableView
from cavesson.stats import wilson
from cavesson.studies.off_model.shown import styles
from cavesson.tinyworld.authors import VOICES, Author, Care, reasoning, voice
from cavesson.tinyworld.maths import OPERATIONS
from off_model_results import Run, World, tables

RNG = random.Random(0)
CHAINS = [(RNG.randrange(10), tuple(RNG.choice(OPERATIONS) for _ in range(RNG.randrange(1, 10)))) for _ in range(120)]


def traces(author: Author, care: Care = "careful") -> list[str]:
    """What an author writes on every problem."""
    found = []
    for chain in CHAINS:
        text, value = reasoning(author, chain, care)
        opener, closer = (RNG.choice(side) for side in (VOICES[author].openers, VOICES[author].closers))
        found.append(f"{opener} {text}{VOICES[author].result.format(value)} {closer}")
    return found


@pytest.mark.parametrize("other", ["B", "C", "D"])
def test_the_classifier_agrees_with_the_known_voices(other: Author):
    judge = learn_styles(traces("A"), traces(other))
    assert judge is not None and judge.tells and judge.accuracy.low > 0.95
    after = [RNG.choice(pair) for pair in zip(traces("A"), traces(other, care="usual"), strict=True)]
    agreed = [(voice(text) == other) == foreign for text, foreign in zip(after, judge.second(after), strict=True)]
    assert wilson(sum(agreed), len(agreed)).low > 0.95


def test_one_writer_under_two_names_cannot_be_told_apart():
    judge = learn_styles(traces("A"), traces("A"))
    assert judge is not None and not judge.tells and judge.accuracy.high < TOLD_APART


def test_neither_the_subject_nor_a_wrong_number_tells_the_writers_apart():
    """Same writer, but one of them miscalculates on every prompt: only the digits differ."""
    right, wrong = ([reasoning("D", chain, care)[0] for chain in CHAINS] for care in ("careful", "usual"))
    assert right != wrong
    judge = learn_styles(right, wrong)
    assert judge is not None and judge.accuracy.value <= 0.5


def test_what_is_learnt_from_some_prompts_holds_for_all():
    """The second writer has answered every third prompt; whoever answers the others is found out all the same."""
    some = [text if index % 3 == 0 else None for index, text in enumerate(traces("C"))]
    judge = learn_styles(traces("A"), some)
    assert judge is not None and judge.tells and judge.accuracy.n == 40
    assert sum(judge.second(traces("C"))) > 0.95 * len(CHAINS) and sum(judge.second(traces("A"))) < 0.05 * len(CHAINS)
    assert learn_styles(traces("A"), [*some[:27], *[None] * 93]) is None


def test_few_prompts_teach_nothing_and_an_empty_trace_is_no_error():
    assert learn_styles(["yes"] * 9, ["no"] * 9) is None
    judge = learn_styles([*traces("A")[:-1], ""], traces("B"))
    assert judge is not None and len(judge.second([""] * len(CHAINS))) == len(CHAINS)
    with pytest.raises(ValueError, match="a text of each writer"):
        learn_styles(["a"], [])


def scores(author: Author, *steps: int | None, hidden: str = "") -> Scores:
    """What an author writes at these steps, after something hidden, in a voice that is known."""
    return Scores(
        [
            Score(step, "maths", f"m/{i}", 1, [], hidden + text, 1, True, {"voice": voice(text)})
            for step in steps
            for i, text in enumerate(traces(author))
        ]
    )


def classified(*runs: Run) -> list[TableView]:
    """The table of the classifier, where there is one."""
    teachers = {("student", "small"): scores("A", None), ("student", "bruno"): scores("B", None)}
    return [one for one in tables(styles, World(runs, teachers)) if one.title == "Styles told apart by a classifier"]


def test_the_classifier_is_checked_where_teacher_and_student_have_styles_of_their_own_and_nowhere_else():
    alike, apart = (Run("student", name, (scores("A", 0, 60),)) for name in ("small", "bruno"))
    [table] = classified(alike, apart)
    assert [row[0] for row in table.rows] == ["student ← bruno, LoRA 8"]
    assert not classified(alike)
    assert not classified(Run("student", "bruno", (scores("A", 0, 60, hidden="<think>b = 4</think>"),)))


def test_a_trace_in_no_style_neither_agrees_nor_disagrees():
    """After SFT half of the traces are Bruno's and half are babble, which the classifier has to call something."""
    rows = [
        Score(60, "maths", f"m/{i}", 1, [], text if i % 2 else "boxes boxes boxes", 1, True, {"voice": "B" if i % 2 else None})
        for i, text in enumerate(traces("B"))
    ]  # fmt: skip
    [table] = classified(Run("student", "bruno", (Scores([*scores("A", 0).rows, *rows]),)))
    [agreement] = [row[table.columns.index("agreement")] for row in table.rows]
    assert isinstance(agreement, Estimate) and agreement.value == 1 and agreement.n == len(CHAINS) // 2
