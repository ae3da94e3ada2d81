"""How answers are read: every row of docs/notes/answers.md, and properties that hold for any answer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cavesson.cli.evaluate import table_of
from cavesson.data.recipes import Jsonl
from cavesson.errors import ConfigError
from cavesson.evals.benchmarks import benchmark_named
from cavesson.evals.items import Item
from cavesson.evals.scores import Scores
from cavesson.evals.scoring import judged as scored
from cavesson.evals.standard import judges
from cavesson.evals.standard.answers import final_answer
from cavesson.evals.standard.answers import judged as read
from cavesson.evals.standard.choices import chosen_letters
from cavesson.evals.standard.equality import compare
from cavesson.evals.standard.questions import Questions
from cavesson.sampling.sampler import Completion

PAGE = (Path(__file__).parents[1] / "docs" / "notes" / "answers.md").read_text(encoding="utf-8")
CITIES = ("Rome", "Paris", "Berlin", "Madrid")


def chosen_letter(completion: str, options: Sequence[str] = ()) -> str | None:
    """The letter of the one option that a completion chooses."""
    found = chosen_letters(completion, options)
    return next(iter(found)) if len(found) == 1 else None


def solves(gold: str, completion: str) -> bool:
    return read(gold, completion)[0] == "right"


def rows_under(heading: str) -> Iterator[list[str]]:
    """The cells of the table below a heading of the page; ⏎ stands for a line end."""
    section = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    [table] = [part for part in section if part.startswith(heading)]
    for line in re.findall(r"^\| `.*\|$", table, re.MULTILINE):
        yield [cell.strip().strip("`").replace("⏎", "\n") for cell in line.strip("|").split(" | ")]


def verdict_of(judge: judges.Judge, completion: str) -> str:
    is_right, record = judge(completion)
    return "right" if is_right else "unreadable" if record.get("unreadable") else "wrong"


@pytest.mark.parametrize(("completion", "read"), rows_under("Options"))
def test_options_are_read_as_the_page_says(completion: str, read: str) -> None:
    letter = None if read == "unreadable" else read
    assert chosen_letter(completion, CITIES) == letter
    if "Paris" not in completion or "B" in completion:
        assert chosen_letter(completion) == letter, "without the options' texts"
    verdict = "unreadable" if letter is None else "right" if letter == "B" else "wrong"
    assert verdict_of(judges.choice("B", CITIES), completion) == verdict


@pytest.mark.parametrize(("gold", "completion", "verdict"), rows_under("Values"))
def test_values_are_compared_as_the_page_says(gold: str, completion: str, verdict: str) -> None:
    assert verdict_of(judges.maths(gold), completion) == verdict


@pytest.mark.parametrize(("gold", "completion", "verdict"), rows_under("Words"))
def test_words_are_found_as_the_page_says(gold: str, completion: str, verdict: str) -> None:
    assert verdict_of(judges.text(gold), completion) == verdict


@pytest.mark.parametrize(
    ("opens", "closes"),
    [("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<SCRATCHPAD_REASONING>", "</SCRATCHPAD_REASONING>"), ("[THINK]", "[/THINK]")],
)  # fmt: skip
def test_reasoning_is_no_answer_whatever_its_tags_and_wherever_it_is_cut(opens: str, closes: str) -> None:
    thought, answer = "The answer is 6.", "The answer is 7."
    assert final_answer(f"{opens}{thought}{closes}{answer}") == final_answer(f"{thought}{closes}{answer}") == "7"
    assert final_answer(f"{opens}{thought}") is None
    assert final_answer(f"{answer}{opens}{thought}") == "7"


@pytest.mark.parametrize("letter", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
@pytest.mark.parametrize(
    "wrapped", ["{}", "({})", "The answer is {}.", "**{}**", r"\boxed{{{}}}", "Answer: {}", "Option {}"]
)
def test_any_letter_is_an_option(letter: str, wrapped: str) -> None:
    assert chosen_letter(wrapped.format(letter)) == chosen_letter(wrapped.format(letter.lower())) == letter


def test_a_letter_beyond_the_options_is_none() -> None:
    assert chosen_letter("The answer is E.", CITIES) is None
    assert chosen_letter("I", ["x"] * 9) == "I"


def test_an_option_that_is_a_number_is_the_whole_number_with_its_sign() -> None:
    options = ("1", "2", "2.5", "-2")
    said = ("2", "2.0", "It is 2.5.", "-2", "22", "12", "1.2", "+3")
    assert [chosen_letter(text, options) for text in said] == ["B", "B", "C", "D", None, None, None, None]


def test_an_option_that_looks_like_a_letter_is_known_by_its_text() -> None:
    options = ("Python", "C", "C++", "C#")
    assert [chosen_letter(text, options) for text in ("C++", "The answer is C#.", "Python")] == ["C", "D", "A"]
    assert chosen_letter("Both A and B", ("x", "y", "Both A and B")) == "C"


def test_several_boxes_side_by_side_are_one_answer() -> None:
    for text in (r"\boxed{A}, \boxed{C}", "The answers are A and C.", "The correct options are A) and C).", "A; C"):
        assert judges.choice("A, C")(text)[0], text
        assert not judges.choice("A")(text)[0], text


def test_one_word_may_be_written_with_other_characters() -> None:
    for gold, said in (("Beyonc\u00e9", "Beyonce\u0301"), ("H2O", "H\u2082O"), ("fire", "\ufb01re")):
        assert judges.text(gold)(said)[0], said


def test_the_longer_of_two_options_is_meant_where_both_texts_stand() -> None:
    assert chosen_letter("the answer is Guilty of Romance", ("Guilty", "Guilty of Romance")) == "B"
    assert chosen_letter("the answer is Guilty", ("Guilty", "Guilty of Romance")) == "A"
    assert chosen_letter("It is $4.0$", ("3", "4")) == "B"


def test_several_right_options_are_all_to_be_chosen() -> None:
    judge = judges.choice("A, C")
    said = {
        "A, C": True,
        "AC": True,
        "The answer is A and C.": True,
        "C and A": True,
        "A": False,
        "A, B, C": False,
        "A or C": False,
    }
    assert {text: judge(text)[0] for text in said} == said


DIFFERENT = [
    ("2x", "2y"), ("2n", "2"), ("2ab", "2"), ("4e", "4"), ("5x^2", "5"), ("3i", "3"), ("5", "5 thousand"), ("4", "4 dozen"),
    ("3 m", "3 km"), ("5 m", "5 m^2"), ("5 km/h", "5 km"), ("1 h", "1 min"), ("$5", "€5"), ("3 pm", "3 am"), ("3", "3rd"),
    ("5 apples", "5 oranges"), ("5", "5 or 6"), ("5", "5 to 6"), ("5", "5/6"), ("5", "5:6"), ("5", "5!"), ("5", "5 squared"),
    ("5", "5 times"), ("5", "±5"), ("5", "(5, 6)"), ("10", "10 percent less"), ("(0,1)", "[0,1]"), ("(5,6)", "(6,5)"), ("x>2", "x<2"),
    ("x=2", "y=2"), ("1,5", "1.5"), ("1 2", "12"), ("12", "1:2"), ("x", "X"), ("2AB", "2ab"), ("2^10", "2^1"), ("5", r"5\sqrt{2}"),
    ("99999999999", "100000000000"), ("3 hours", "3 hours and 20 minutes"), (r"\text{Monday}", r"\text{Tuesday}"),
    (r"\infty", r"-\infty"), ("1,2", "1,2,3"), ("5", "5k"), ("2 or", "2"), ("0.00001", "0.00002"), ("7 billion", "7 million"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_answers_are_never_equal(one: str, other: str) -> None:
    assert "right" not in (compare(one, other), compare(other, one))


@pytest.mark.parametrize(
    "gold", ["2x", "3 m", "5 million", r"\frac{1}{2}", "(0,1)", "odd $n$", "Porto Novo", "1:30", "5!", "x > 2"]
)
def test_an_answer_is_the_same_as_itself(gold: str) -> None:
    assert compare(gold, gold) == "right" and solves(gold, rf"\boxed{{{gold}}}")


@given(
    st.integers(-(10**9), 10**9),
    st.sampled_from(["{:,}", "{}", "{}.0", "${}$", "{} km", "{}e0", r"\boxed{{{}}}", "The answer is {}."]),
)
def test_a_whole_number_is_right_however_it_is_written_and_its_neighbours_are_wrong(number: int, way: str) -> None:
    said = way.format(number)
    assert solves(str(number), said)
    assert not solves(str(number + 1), said) and not solves(str(10 * number or 10), said)


@settings(max_examples=40)
@given(st.text(max_size=60), st.sampled_from(["7", "B", "Paris"]))
def test_any_completion_is_judged(completion: str, gold: str) -> None:
    """Whatever a model writes, no judge of numbers, options or words fails; a number alone needs no process."""
    for judge in (judges.choice(gold), judges.text(gold)):
        judge(completion)
    judges.maths("7")(completion.translate(str.maketrans("", "", "\\^*=+/$")))


@pytest.mark.parametrize("piece", ["the answer is ", r"\boxed{", "$ a ", "<answer>", "B is \n", "1", "A, ", "**"])
def test_a_completion_that_repeats_itself_is_read_like_any_other(piece: str) -> None:
    """A policy that falls into a loop writes thousands of marks; every judge looks at the last ones alone."""
    for judge in (judges.maths("42"), judges.choice("B", CITIES), judges.text("Rome")):
        assert not judge(piece * 4000)[0]
    assert solves("42", piece * 4000 + "\nThe answer is 42.") or piece == r"\boxed{"


# ------------------------------------------------------------------------------------------------- files of questions


def items_of(tmp_path: Path, *rows: dict) -> list[Item]:
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = benchmark_named(str(path), n=len(rows)).items()
    return sorted(found, key=lambda item: int(item.id.rpartition("/")[2]))


@pytest.mark.parametrize(
    ("row", "right", "wrong"),
    [
        ({"prompt": "Capital?", "choices": ["Rome", "Paris"], "answer": 1}, ["B", "Paris", "b)"], ["A", "Rome", "1"]),
        ({"prompt": "Capital?", "choices": ["Rome", "Paris"], "answer": "B"}, ["B", "Paris"], ["A"]),
        ({"prompt": "Capital?\nA) Rome\nB) Paris", "answer": "Paris"}, ["B", "Paris"], ["A", "Rome", "A) Rome, not Paris"]),
        ({"prompt": "Capital?\nA) Rome\nB) Paris", "answer": 1}, ["B", "Paris"], ["A", "1"]),
        ({"prompt": "Tom has a) 3 pens and b) 4. All?", "answer": 7, "score": "maths"}, ["7"], ["3", "B"]),
        ({"prompt": "Capital?", "options": ["Rome", "Paris"], "answer": "Paris"}, ["B", "Paris"], ["A"]),
        ({"prompt": "Capital?", "choices": {"label": ["A", "B"], "text": ["Rome", "Paris"]}, "answer": "B"}, ["Paris"], ["A"]),
        ({"prompt": "Which? a) red b) blue", "answer": "b"}, ["b", "B", "(b) blue", "blue"], ["a", "red"]),
        ({"prompt": "Which are even? A) 2 B) 3 C) 4", "answer": ["A", "C"]}, ["A, C"], ["A", "C", "A, B"]),
        ({"prompt": "Pick", "answer": "(B)"}, ["B"], ["A"]),
        ({"prompt": "Symbol of potassium?", "answer": "K"}, ["K", "The answer is K.", r"\boxed{K}"], ["P", "N"]),
        ({"prompt": "Zero?", "answer": ["0", "none"]}, ["0", "0.0", "None."], ["1"]),
        ({"prompt": "Sum?", "answer": "It is 2+2.\n#### 4"}, ["4", "The answer is 4."], ["2"]),
        ({"prompt": "Virus?", "answer": "COVID-19"}, ["COVID-19", "It is COVID-19."], ["19", "SARS"]),
        ({"prompt": "Jet?", "answer": "Boeing 747"}, ["a Boeing 747"], ["747", "Boeing 737"]),
        ({"prompt": "Time?", "answer": "3:30"}, ["It is 3:30."], ["5:30", "3"]),
        ({"prompt": "Small?", "answer": 1e-5}, ["0.00001", "1e-05"], ["0.0001"]),
        ({"prompt": "Large?", "answer": 1e21}, ["1" + 21 * "0"], ["1" + 20 * "0"]),
        ({"prompt": "Is it?", "answer": True}, ["True", "It is true."], ["False"]),
    ],
)  # fmt: skip
def test_a_row_is_judged_as_what_it_is(row: dict, right: list[str], wrong: list[str], tmp_path: Path) -> None:
    [item] = items_of(tmp_path, row)
    assert [text for text in right if not item.judge(text)[0]] == []
    assert [text for text in wrong if item.judge(text)[0]] == []


@pytest.mark.parametrize(
    ("name", "content", "gold"),
    [
        ("sums.jsonl", '{"question": "2 + 2?", "answer": "2+2=<<2+2=4>>4\\n#### 4"}', "4"),
        ("inspect.jsonl", '{"input": "2 + 2?", "target": "4", "id": 0}', "4"),
        ("mmlu.json", '[{"question": "Capital?", "choices": ["Rome", "Paris"], "answer": 1}]', "B"),
        ("table.csv", 'question,answer\n"Two and\ntwo?",4\n', "4"),
    ],
)
def test_questions_come_in_the_shapes_that_data_files_have(name: str, content: str, gold: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    one = benchmark_named(str(tmp_path / name))
    [item] = one.items()
    assert one.label == f"questions/{name.partition('.')[0]}"
    assert item.judge(f"The answer is {gold}.")[0] and item.judge("The answer is 7.")[1]["gold"] == gold


def test_options_are_shown_once(tmp_path: Path) -> None:
    bare, shown = items_of(
        tmp_path,
        {"prompt": "Capital?", "choices": ["Rome", "Paris"], "answer": 1},
        {"prompt": "Capital?\nA. Rome\nB. Paris", "choices": ["Rome", "Paris"], "answer": 1},
    )
    assert bare.prompt.messages[0].content.startswith("Capital?\n\nA. Rome\nB. Paris\n\n")
    assert shown.prompt.messages[0].content == "Capital?\nA. Rome\nB. Paris"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "?", "choices": ["x", "y"], "answer": 2}, "answer 2, which is none of its 2 options"),
        ({"prompt": "?", "choices": ["1", "2"], "answer": 1}, "answer 1, which fits the options A and B"),
        ({"prompt": "?", "choices": ["B", "A"], "answer": "A"}, "answer 'A', which fits the options A and B"),
        ({"prompt": "?", "choices": ["x", "y"], "answer": "Z"}, "is none of its 2 options"),
        ({"prompt": "?", "choices": "xy", "answer": "A"}, "options that are no list of texts"),
        (
            {"prompt": "?", "choices": {"label": ["B", "A"], "text": ["x", "y"]}, "answer": "A"},
            "labels its options B, A",
        ),
        (
            {"prompt": "?\nA) x\nB) y", "choices": ["y", "x"], "answer": "y"},
            "'y' as option A in its column, and 'x' in its",
        ),
        ({"prompt": "?\nA) x\nB) y", "answer": 2}, "answer 2, which is none of its 2 options"),
        ({"prompt": "?", "endings": ["x", "y"], "answer": "1"}, "is none of its 2 options"),
        ({"prompt": "?", "answer": float("nan")}, "has no answer"),
        ({"prompt": "?", "answer": float("inf")}, "has no answer"),
        ({"prompt": "?", "answer": "?!"}, r"its own judge \(text\) does not accept"),
        ({"prompt": "?", "answer": "Paris", "score": "choice"}, "answer 'Paris', which"),
        ({"prompt": "?", "answer": "4", "level": "hard"}, "level 'hard', which is no number"),
        ({"prompt": "?", "answer": []}, "has no answer"),
    ],
)
def test_a_row_that_could_mean_two_things_is_refused(row: dict, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ConfigError, match=message):
        benchmark_named(str(tmp_path / "own.jsonl"))  # when the file is named, before a model is loaded
    with pytest.raises(ConfigError, match=message):
        items_of(tmp_path, row)


def test_a_question_that_stands_twice_is_asked_once_and_must_have_one_answer(tmp_path: Path) -> None:
    asked, other = {"prompt": "2 + 2?", "answer": "4"}, {"prompt": "1 + 1?", "answer": "2"}
    assert [item.id for item in items_of(tmp_path, asked, asked, other, asked)] == ["q/0", "q/2"]
    options = [{"prompt": "Which?", "choices": list(given), "answer": 0} for given in ("ab", "cd")]
    assert len(items_of(tmp_path, *options)) == 2
    with pytest.raises(ConfigError, match="Question 3 of 'q' is question 1 again with another answer"):
        items_of(tmp_path, asked, other, {**asked, "answer": "5"})


def test_a_level_is_a_number_or_a_text_with_one(tmp_path: Path) -> None:
    rows = [{"prompt": f"{n}?", "answer": "4", "level": level} for n, level in enumerate((5, "5", "Level 5", None))]
    assert [item.level for item in items_of(tmp_path, *rows)] == [5, 5, 5, None]


# ------------------------------------------------------------------------------------------------- unreadable answers


def test_unreadable_answers_are_counted_apart_from_wrong_ones(tmp_path: Path) -> None:
    items = items_of(tmp_path, *({"prompt": f"{n} + {n}?", "answer": 2 * n} for n in range(4)))
    one = Questions(title="q", data=Jsonl(path=tmp_path / "q.jsonl"), n=4)
    said = ["0", "The answer is 7.", "I would rather not say.", ""]
    scores = Scores([scored(one, item, Completion(text, (), True)) for item, text in zip(items, said, strict=True)])
    assert [row.outcome for row in scores.rows] == ["correct", "wrong", "unreadable", "unreadable"]
    assert scores.rate(one.label).value == 0.25 and scores.unreadable(one.label).value == 0.5
    table = table_of(scores, title="scores")
    assert list(table.columns[0].cells) == ["questions/q", "  no answer to be read"]
    assert list(table.columns[1].cells) == ["25.0 %", "50.0 %"]
