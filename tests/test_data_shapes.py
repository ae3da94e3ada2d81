"""Data sets in the shapes that people have: read as what they are, or refused in one sentence. Nothing is dropped.

`python tests/test_data_shapes.py` writes the tables of docs/notes/data-shapes.md from the cases below.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cavesson.chat import Conversation
from cavesson.data.example import Preference
from cavesson.data.named import data_named, with_columns
from cavesson.data.rows import Reader
from cavesson.data.shapes import SHAPES, recognised
from cavesson.data.sources import stored_examples, write_examples
from cavesson.errors import ConfigError

PAGE = Path(__file__).parents[1] / "docs" / "notes" / "data-shapes.md"
USER, ANSWER = {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Since."}
HUMAN, GPT = {"from": "human", "value": "Why?"}, {"from": "gpt", "value": "Since."}
ASKED = Conversation.of("Why?", "Since.")
BOTH = {"chosen": "Since.", "rejected": "No."}


def said(talk: Conversation) -> str:
    return " ".join(f"{one.role[0]}{'' if one.trained else '-'}:{one.content}" for one in talk.messages)


# ------------------------------------------------------------------------------------------ shapes

ROWS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("OpenAI, TRL", {"messages": [USER, ANSWER]}),
    ("Anthropic's API", {"system": "Be kind.", "messages": [USER, ANSWER]}),
    ("ShareGPT", {"conversations": [HUMAN, GPT]}),
    ("OpenThoughts", {"system": "Be kind.", "conversations": [{**HUMAN, "from": "user"}, {**GPT, "from": "assistant"}]}),
    ("LMSYS, WildChat", {"conversation": [USER, ANSWER]}),
    ("Cavesson's own", {"prompt": "Why?", "response": "Since.", "system": "Be kind."}),
    ("TRL", {"prompt": [USER], "completion": [ANSWER]}),
    ("TRL", {"prompt": "Why?", "completion": "Since."}),
    ("prompt and output", {"prompt": "Why?", "output": "Since."}),
    ("Alpaca", {"instruction": "Why?", "input": "It rains.", "output": "Since."}),
    ("Dolly", {"instruction": "Why?", "context": "It rains.", "response": "Since.", "category": "qa"}),
    ("OpenOrca", {"system_prompt": "Be kind.", "question": "Why?", "response": "Since."}),
    ("GSM8K, questions", {"question": "Why?", "answer": "Since."}),
    ("Cavesson's own questions", {"prompt": "Why?", "answer": "Since.", "level": 3}),
    ("MetaMathQA", {"query": "Why?", "response": "Since."}),
    ("query and answer", {"Query": "Why?", "Answer": "Since."}),
    ("MATH, NuminaMath", {"problem": "Why?", "solution": "Since.", "answer": "4"}),
    ("problem and answer", {"problem": "Why?", "answer": "Since."}),
    ("columns by role", {"system": "Be kind.", "user": "Why?", "assistant": "Since."}),
    ("input and output", {"input": "Why?", "output": "Since."}),
    ("Inspect's data sets", {"input": "Why?", "target": "Since.", "id": 1}),
    ("lm-eval `--log_samples`", {"arguments": {"gen_args_0": {"arg_0": "Why?", "arg_1": {"until": []}}}, "resps": [["Since."]], "target": "4"}),
    ("TRL preferences, UltraFeedback", {"prompt": "Why?", "chosen": [USER, ANSWER], "rejected": [USER, {**ANSWER, "content": "No."}]}),
    ("orca_dpo_pairs", {"system": "Be kind.", "question": "Why?", **BOTH}),
    ("Alpaca preferences", {"instruction": "Why?", "input": "It rains.", **BOTH}),
    ("ShareGPT preferences", {"conversations": [HUMAN], "chosen": GPT, "rejected": {**GPT, "value": "No."}}),
    ("HH-RLHF", {"chosen": "\n\nHuman: Why?\n\nAssistant: Since.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."}),
    ("HH-RLHF", {"prompt": "\n\nHuman: Why?\n\nAssistant:", "chosen": "\n\nHuman: Why?\n\nAssistant: Since.", "rejected": "\n\nHuman: Why?\n\nAssistant: No."}),
    ("HH-RLHF for DPO", {"prompt": "\n\nHuman: Why?\n\nAssistant:", "chosen": " Since.", "rejected": " No."}),
    ("an Inspect log (`.eval`)", {"messages": [USER, ANSWER], "target": "4"}),
)  # fmt: skip
"""Whose shape it is, and a row: asked "Why?" (perhaps about rain, perhaps asked to be kind), the answer is "Since."."""


@pytest.mark.parametrize(("whose", "row"), ROWS, ids=[whose for whose, _ in ROWS])
def test_a_shape_that_people_have_is_read_whole(whose, row):
    example = Reader().read(row, "row 1")
    asked = "\n\n".join(["Why?"] + ["It rains."] * ("It rains." in row.values()))
    kind = "Be kind." if "Be kind." in row.values() else None
    assert example.conversation == Conversation.of(asked, "Since.", kind)
    assert isinstance(example, Preference) == ("rejected" in row)
    if isinstance(example, Preference):
        assert example.rejected == "No."


def test_every_shape_has_a_case():
    assert {recognised(row)[0].name for _, row in ROWS} == {shape.name for shape in SHAPES}


def test_what_was_recognised_is_said_with_the_columns_that_were_used():
    reader = Reader()
    for extra in ("It rains.", "", None):
        reader.read({"instruction": "Why?", "input": extra, "output": "Since."}, "row")
    assert (
        reader.summary("data.json")
        == "read 3 rows of data.json as Alpaca: prompt = instruction + input, response = output"
    )
    reader.read({"prompt": "Why?", "response": None}, "row")
    assert (
        reader.summary("x").endswith("; and as prompt/response without answers: prompt = prompt") and reader.hollow == 1
    )


def test_a_column_that_says_what_the_conversation_says_already_is_no_loss():
    row = {"prompt": "Why?", "prompt_id": 7, "messages": [USER, ANSWER]}  # as UltraChat has it
    assert Reader().read(row, "row").conversation == ASKED
    assert (
        Reader()
        .read({**row, "chosen": [USER, ANSWER], "rejected": [USER, {**ANSWER, "content": "No."}]}, "row")
        .rejected
        == "No."
    )


def test_columns_that_are_in_no_message_are_named():
    reader = Reader()
    reader.read({"prompt": "Why?", "response": "Since.", "lang": "en", "few_shot": "Q: …"}, "row")
    assert reader.summary("x").endswith("response = response; in no message: 'lang', 'few_shot'")
    reader.read({"question": "Which?", "choices": ["a", "b"], "answer": 1, "level": 2}, "row")
    assert reader.summary("x").endswith("; in no message: 'lang', 'few_shot'")


def test_what_stands_beside_a_conversation_and_is_in_it_is_no_loss():
    row = {"prompt": "Why?", "response": "<think>It rains.</think>Since.", "thinking": "It rains.", "label": 1}
    assert Reader().read(row, "row").conversation.answer == "<think>It rains.</think>Since."
    assert Reader().read({"prompt": "Why?", "label": True}, "row").conversation == Conversation.of("Why?")
    talk = [{"role": "system", "content": "Be kind."}, USER, ANSWER]
    assert Reader().read({"messages": talk, "system_message": "Be kind."}, "row").conversation.system == "Be kind."


def test_all_else_in_a_row_and_in_its_messages_is_kept_beside_the_conversation():
    row = {"conversation": [{**USER, "country": "FR"}, {**ANSWER, "country": None}], "model": "m"}
    assert Reader().read(row, "row").meta == {"messages": [{"country": "FR"}, {}], "model": "m"}


def test_an_options_number_is_the_right_answer_and_nothing_that_is_said():
    example = Reader().read({"question": "Which?", "choices": ["a", "b"], "answer": 1}, "row")
    assert example.conversation == Conversation.of("Which?") and example.meta == {"choices": ["a", "b"], "answer": 1}
    letter = Reader().read({"question": "Which?", "choices": ["a", "b"], "answer": "B"}, "row")
    assert letter.conversation.answer is None and letter.meta["answer"] == "B"


def message(**keys: Any) -> dict[str, Any]:
    return {"messages": [USER, {**ANSWER, **keys}]}


REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    (message(tool_calls=[{"function": {"name": "f"}}], content=None), "calls a tool"),
    ({"messages": [USER, {"role": "tool", "content": "4"}, ANSWER]}, "a tool's"),
    ({"messages": [USER, ANSWER], "tools": [{"name": "f"}]}, "offers tools"),
    (message(reasoning_content="Hm."), "hidden reasoning"),
    (message(content=[{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "x"}]), "holds 'thinking'"),
    (message(content=[{"type": "image_url"}]), "holds 'image_url'"),
    (message(content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "has 2 parts"),
    (message(content=""), "is empty"),
    (message(content=None), "is null"),
    (message(name="Ann"), "names its speaker"),
    (message(prefix=True), "start of an answer"),
    (message(refusal="No."), "a refusal in place"),
    (message(weight=0.5), "weight 0.5"),
    ({"messages": [{**USER, "trainable": True}, ANSWER]}, "is no answer"),
    ({"messages": [USER, ANSWER], "weight": 0}, "The row has weight 0"),
    ({"messages": [USER, ANSWER, ANSWER]}, "are both answers"),
    ({"messages": [USER, {"role": "system", "content": "Be kind."}, ANSWER]}, "after the first message"),
    ({"messages": [{"role": "system", "content": "One."}, USER, ANSWER], "system": "Two."}, "another one in them"),
    ({"messages": [ANSWER]}, "No message is a user's"),
    ({"messages": json.dumps([USER, ANSWER])}, "not a list"),
    ({"prompt": [USER, ANSWER], "response": "x"}, "there is another one"),
    ({"prompt": "Why?", "response": ["a", "b"]}, "list of 2 answers"),
    ({"prompt": "Why?", "response": "a", "instruction": "Be kind."}, "has 'instruction' beside prompt and response"),
    ({"prompt": "Why?", "response": "a", "input": "It rains."}, "has 'input' beside"),
    ({"question": "Why?", "answer": "a", "context": "It rains."}, "has 'context' beside"),
    ({"prompt": "Why?", "completion": "a", "label": False}, "KTO"),
    ({"prompt": "Why?", "completion": "a", "label": 0}, "KTO"),
    ({"prompt": "Why?", "completion": "a", "label": "False"}, "KTO"),
    ({"prompt": "Why?", "completion": "a", "label": "1"}, "KTO"),
    ({"prompt": "Why?", "response": "a", "weight": "0.5"}, "weight '0.5'"),
    (
        {"prompt": "Why?", "chosen": "a", "rejected": "b", "score_chosen": 1, "score_rejected": 5},
        "scored 1 and the rejected one 5",
    ),
    ({"prompt": "Why?", "response": "a", "loss_mask": [0, 1]}, "which of its parts are trained"),
    (message(mask=0), "has a mask"),
    (message(training_detail=[{"begin_offset": 0, "end_offset": 2, "train": False}]), "trained in parts"),
    (message(channel="analysis"), "has channel 'analysis'"),
    (message(recipient="browser"), "has recipient 'browser'"),
    (message(end_turn=False), "has end_turn False"),
    ({"prompt": json.dumps([USER]), "response": "a"}, "a list of messages written as one text"),
    ({"prompt": str([HUMAN]), "response": "a"}, "a list of messages written as one text"),
    ({"question": "Why?", "answers": ["a"]}, "'answers' beside question: an answer"),
    ({"prompt": "Why?", "reply": "a"}, "'reply' beside prompt: an answer"),
    ({"prompt": "Why?", "Prompt": "How?", "Response": "a"}, "'Response' beside prompt: an answer"),
    ({"prompt": "Why?", "response_0": "a", "response_1": "b", "better_response_id": 1}, "'response_0' beside prompt"),
    ({"instruction": "Why?", "output": "a", "history": [["x", "y"]]}, "earlier turns"),
    ({"prompt": "<|im_start|>user\nWhy?<|im_end|>", "response": "a"}, "markup of a chat template"),
    ({"messages": [USER, ANSWER], "documents": [{"text": "It rains."}]}, "brings documents"),
    ({"prompt": "Why?", "response": "a", "reasoning_content": "It rains."}, "hidden reasoning beside its answer"),
    ({"prompt": "Why?", "response": "a", "chain_of_thought": "It rains."}, "hidden reasoning beside its answer"),
    ({"messages": [USER, ANSWER], "thinking": "It rains."}, "hidden reasoning beside its answer"),
    ({"prompt": "Why?", "response": "<think>It rains. So"}, "without an answer behind it: it was cut"),
    ({"prompt": "Why?", "response": "[THINK]It rains.[/THINK]"}, "without an answer behind it: it was cut"),
    (message(content="<reasoning>It rains. So"), "without an answer behind it: it was cut"),
    (
        {"prompt": "Why?", "response": "a", "system_message": "Be kind."},
        "'system_message' beside its conversation: a system prompt",
    ),
    (
        {"prompt": "Why?", "response": "a", "systemPrompt": "Be kind."},
        "'systemPrompt' beside its conversation: a system prompt",
    ),
    ({"prompt": "Why?", "response": "a", "System": "Be kind."}, "'System' beside its conversation: a system prompt"),
    ({"question": "Why?", "answer": True, "passage": "It rains."}, "has 'passage' beside"),
    ({"prompt": "Why?", "response": "a", "document": "It rains."}, "has 'document' beside"),
    ({"prompt": "Why?", "response": "a", "prefill": "Since "}, "the beginning of its answer in a column"),
    ({"prompt": "Why?", "response": "a", "image_path": "x.png"}, "holds an image"),
    ({"messages": [{**USER, "images": ["x.png"]}, ANSWER]}, "has an image"),
    ({"messages": [{**USER, "attachments": [{"file": "x"}]}, ANSWER]}, "has a file"),
    ({"messages": [USER, ANSWER], "label": False}, "KTO"),
    ({"instruction": "Why?", "output": "a", "kto_tag": True}, "KTO"),
    ({"prompt": "", "response": ""}, "The row is empty"),
    ({"prompt": "Why?", "response": "a</s>"}, "markup of a chat template, '</s>'"),
    ({"prompt": "<｜User｜>Why?<｜Assistant｜>", "response": "a"}, "markup of a chat template, '<｜User｜>'"),
    ({"prompt": "<|user|>\nWhy?<|end|>\n<|assistant|>", "response": "a"}, "markup of a chat template, '<|user|>'"),
    (
        {"prompt": "Why?", "response": "<|channel|>final<|message|>a<|return|>"},
        "markup of a chat template, '<|channel|>'",
    ),
    (
        {"prompt": "Below is an instruction.\n\n### Instruction:\nWhy?\n\n### Response:", "response": "a"},
        "'### Response:'",
    ),
    ({"prompt": "USER: Why? ASSISTANT:", "response": "a"}, "markup of a chat template, 'ASSISTANT:'"),
    ({"prompt": "Why?", "response": "\ud800"}, "half a character"),
    ({"text": "Why? Since."}, "neither messages nor a prompt .its columns: text"),
    ({"results": {}, "configs": {}}, "results of lm-eval"),
    ({"arguments": [["Why?", " a"], ["Why?", " b"]], "resps": [[1], [2]], "target": 1}, "by likelihood"),
)


@pytest.mark.parametrize(("row", "problem"), REFUSED)
def test_what_a_model_would_not_be_given_or_trained_on_as_written_is_refused(row, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        Reader().read(row, "row 7")
    assert caught.value.problem.startswith("row 7: ") and caught.value.remedy


def test_what_tables_fill_in_is_no_content():
    row = {
        "messages": [{**USER, "tool_calls": None, "name": None}, {**ANSWER, "tool_calls": [], "refusal": None}],
        "tools": None,
    }
    assert Reader().read(row, "row").conversation == ASKED


def test_an_answer_of_weight_0_is_read_and_not_trained(tmp_path):
    bad = {"role": "assistant", "content": "Bad."}
    for key in ("weight", "trainable", "train"):
        example = Reader().read({"messages": [{**USER, key: 0}, {**bad, key: 0}, USER, {**ANSWER, key: 1}]}, "row")
        assert said(example.conversation) == "u:Why? a-:Bad. u:Why? a:Since."
    assert (
        said(Reader().read({"prompt": [USER, bad, USER], "completion": "Since."}, "row").conversation).count("a-") == 1
    )
    write_examples(tmp_path / "kept", [example])
    kept = stored_examples(tmp_path / "kept")[0].conversation
    assert [one.trained for one in kept.messages] == [True, False, True, True]


# ------------------------------------------------------------------------------------------ columns


@pytest.mark.parametrize("text", ["prompt=Q+Extra,response=A", "prompt = Q + Extra, response = A"])
def test_columns_of_any_name_are_named_by_the_user(tmp_path, text):
    file = tmp_path / "data.csv"
    file.write_text("Q,Extra,A,instruction\nWhy?,It rains.,Since.,Be kind.\nWhy?,,Since.,Be kind.\n")
    one, two = data_named(str(file), text).read()[0]
    assert one.conversation == Conversation.of("Why?\n\nIt rains.", "Since.") and two.conversation == ASKED
    assert data_named(f"{file}[{text}]") == data_named(str(file), text) != data_named(str(file), "prompt=Q")
    assert with_columns(f"{file}[prompt=Q]", "prompt=A") == f"{file}[prompt=Q]"


def test_a_data_set_without_a_name_is_none() -> None:
    with pytest.raises(ConfigError, match="name of a data set is empty"):
        data_named(" ")


def test_a_user_may_take_prompts_alone_from_rows_with_answers() -> None:
    row = {"question": "Why?", "best_answer": "Since."}
    assert said(Reader("prompt=question").read(row, "row").conversation) == "u:Why?"
    assert said(Reader("prompt=question,response=best_answer").read(row, "row").conversation) == "u:Why? a:Since."


@pytest.mark.parametrize("key", ["weight", "trainable", "train", "loss", "loss_mask"])
def test_each_tools_word_for_an_untrained_answer_is_known(key: str) -> None:
    row = {"messages": [USER, {**ANSWER, key: False}, USER, {**ANSWER, key: True}]}
    assert said(Reader().read(row, "row").conversation) == "u:Why? a-:Since. u:Why? a:Since."


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ("prompt=Qu,response=A", "no column 'Qu'"),
        ("prompt=Q,response=B", "no column 'B'"),
        ("promt=Q", "names 'promt'"),
        ("prompt", "no KEY=COLUMN"),
        ("prompt=Q+", "no KEY=COLUMN"),
        ("response=A", "names no prompt"),
        ("prompt=Q,prompt=A", "names 'prompt' twice"),
        ("messages=Q,response=A", "messages and their parts"),
        ("prompt=Q,chosen=A", "'chosen' without the other"),
    ],
)
def test_columns_that_make_no_sense_are_refused(tmp_path, columns, problem):
    (tmp_path / "data.csv").write_text("Q,A\nWhy?,Since.\n")
    with pytest.raises(ConfigError, match=problem):
        data_named(str(tmp_path / "data.csv"), columns).read()


# ------------------------------------------------------------------------------------------ files

TEXT = '{"prompt": "Why?", "response": "Since."}'


def parquet(path: Path) -> None:
    from pyarrow import Table
    from pyarrow.parquet import write_table

    write_table(Table.from_pylist([json.loads(TEXT)]), path)


def zstd(path: Path) -> None:
    from pyarrow import CompressedOutputStream

    with CompressedOutputStream(str(path), "zstd") as data:
        data.write(TEXT.encode())


def parquet_folder(path: Path) -> None:
    path.mkdir()
    parquet(path / "train-00000-of-00001.parquet")


def saved_set(path: Path) -> None:
    from datasets import Dataset, DatasetDict
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    DatasetDict(train=Dataset.from_list([json.loads(TEXT)])).save_to_disk(str(path))


def inspect_log(path: Path, *asked: tuple[str, str], target: str = "4", choices: list[str] | None = None) -> None:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, write_eval_log
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    of = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
    talk = [of[role](content=text) for role, text in (asked or (("user", "Why?"), ("assistant", "Since.")))]
    spec = EvalSpec(
        created="2026-01-01T00:00:00+00:00", task="t", dataset=EvalDataset(), model="m", config=EvalConfig()
    )
    sample = EvalSample(id=1, epoch=1, input="Why?", target=target, choices=choices, messages=talk)
    write_eval_log(EvalLog(eval=spec, status="success", samples=[sample]), str(path))


FILES: tuple[tuple[str, str, Callable[[Path], object], str], ...] = (
    ("x.jsonl", "JSON lines; a byte-order mark and line ends of Windows do no harm", lambda p: p.write_bytes(b"\xef\xbb\xbf" + TEXT.encode() + b"\r\n\r\n"), "–"),
    ("x.json", "a list of objects, on one line or many; also JSON lines under this name", lambda p: p.write_text(f"[\n {TEXT}\n]\n"), "–"),
    ("x.csv", "commas, the first line names the columns; every cell is text as it stands", lambda p: p.write_text('prompt,response,note\nWhy?,Since.,"a ""b""\nc"\n'), "–"),
    ("x.tsv", "the same with tabs", lambda p: p.write_text("prompt\tresponse\nWhy?\tSince.\n"), "–"),
    ("x.jsonl.gz", "any of the above, compressed (`.gz`, `.bz2`, `.xz`; `.zst` with `hub`)", lambda p: p.write_bytes(gzip.compress(TEXT.encode())), "–"),
    ("x.csv.bz2", "the same", lambda p: p.write_bytes(bz2.compress(b"prompt,response\nWhy?,Since.\n")), "–"),
    ("x.json.xz", "the same", lambda p: p.write_bytes(lzma.compress(f"[{TEXT}]".encode())), "–"),
    ("x.jsonl.zst", "the same", zstd, "`hub`"),
    ("x.parquet", "Parquet, whatever the name", parquet, "`hub`"),
    ("folder", "a folder of such files, its `train` split, as `datasets` reads it", parquet_folder, "`hub`"),
    ("saved", "what `Dataset.save_to_disk` or `DatasetDict.save_to_disk` wrote", saved_set, "`hub`"),
    ("x.eval", "a log of Inspect: what was asked and answered, and the target", inspect_log, "`audit`"),
)  # fmt: skip
"""A name, what the format is, how a file of it is made, and the extra that reading takes."""


@pytest.mark.parametrize(("name", "make"), [(name, make) for name, _, make, _ in FILES], ids=[row[0] for row in FILES])
def test_a_file_of_each_format_is_read(tmp_path, name, make):
    pytest.importorskip(
        {"x.eval": "inspect_ai", "x.parquet": "pyarrow", "x.jsonl.zst": "pyarrow"}.get(name, "datasets")
    )
    make(tmp_path / name)
    examples, reader = data_named(str(tmp_path / name)).read()
    assert [example.conversation for example in examples] == [ASKED] and reader.rows == 1


def test_cells_of_csv_stay_what_they_are(tmp_path):
    (tmp_path / "x.csv").write_text(f'prompt,response\nNA,007\n"two\nlines",{"x" * 200_000}\n')
    one, two = data_named(str(tmp_path / "x.csv")).read()[0]
    assert one.conversation == Conversation.of("NA", "007")
    assert two.conversation == Conversation.of("two\nlines", "x" * 200_000)


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0c"])
def test_a_sign_that_some_take_for_a_line_end_stays_in_its_text(tmp_path, sign):
    (tmp_path / "x.jsonl").write_text(json.dumps({"prompt": "Why?", "response": f"a{sign}b"}, ensure_ascii=False))
    (tmp_path / "x.csv").write_text(f"prompt,response\nWhy?,a{sign}b\n")
    for name in ("x.jsonl", "x.csv"):
        assert [one.conversation.answer for one in data_named(str(tmp_path / name)).read()[0]] == [f"a{sign}b"]


def test_an_inspect_log_gives_the_question_as_it_was_asked(tmp_path):
    pytest.importorskip("inspect_ai")
    inspect_log(
        tmp_path / "a.eval", ("system", "Be kind."), ("user", "Why?"), ("assistant", "Since."), choices=["a", "b"]
    )
    inspect_log(
        tmp_path / "b.eval", ("user", "Pick one: Why?\nA) a\nB) b"), ("assistant", "B"), choices=["a", "b"], target="B"
    )
    plain, wrapped = (data_named(str(tmp_path / name)).read()[0][0] for name in ("a.eval", "b.eval"))
    assert plain.conversation == Conversation.of("Why?", "Since.", "Be kind.")
    assert plain.meta["answer"] == "4" and plain.meta["choices"] == ["a", "b"]
    assert wrapped.conversation.answer == "B" and wrapped.meta["choices"] is None  # the options stand in the question


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("x.csv", b"prompt;response\nWhy?;Since.\n", "separated by ';'"),
        ("x.csv", b"prompt,response\nWhy?,Since.,more\n", "row 1: 3 cells for 2 columns"),
        ("x.csv", b"prompt,prompt\na,b\n", "two columns 'prompt'"),
        ("x.csv", "prompt,response\nq,caf\xe9\n".encode("latin-1"), "is not UTF-8 text"),
        ("x.csv", b'prompt,response\nq,"open\n', "row 1: the quotes do not fit"),
        ("x.json", b'{\n "data": []\n}', "one JSON object .'data'., not a list"),
        ("x.json", b'[{"prompt": "a"', "is not JSON"),
        ("x.jsonl", b'{"prompt": "a", "prompt": "b"}', "line 1 is not JSON .the key 'prompt' stands twice"),
        ("x.jsonl", b"[" * 100_000, "is not JSON"),
        ("x.jsonl.gz", gzip.compress(TEXT.encode() * 9, mtime=0)[:30], "cannot be read"),
        ("x.jsonl", b"\x28\xb5\x2f\xfdabc", "format that is not read"),
        ("x.jsonl", gzip.compress(TEXT.encode(), mtime=0), "compressed by gzip"),
        ("x.tar.gz", gzip.compress(b"x.jsonl\0\0" * 9, mtime=0), "format that is not read"),
        ("x.parquet", b"PAR1 cut", "no whole Parquet file"),
        ("x.eval", b"PK cut", "no log that Inspect can read"),
    ],
)  # fmt: skip
def test_a_broken_or_foreign_file_is_one_message(tmp_path, name, content, problem):
    if name in ("x.eval", "x.parquet"):
        pytest.importorskip({"x.eval": "inspect_ai", "x.parquet": "pyarrow"}[name])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=problem) as caught:
        data_named(str(tmp_path / name)).read()
    assert name in caught.value.problem


@pytest.mark.parametrize(("coding", "named"), [("latin-1", "WINDOWS-1252"), ("utf-16", "UTF-16")])
def test_text_in_another_coding_comes_with_the_command_that_converts_it(tmp_path, coding, named):
    (tmp_path / "x.csv").write_bytes("prompt,response\nq,caf\xe9\n".encode(coding))
    with pytest.raises(ConfigError) as caught:
        data_named(str(tmp_path / "x.csv")).read()
    assert f"iconv -f {named} -t UTF-8 x.csv" in caught.value.remedy


def test_a_folder_of_csv_keeps_answers_that_look_like_nothing(tmp_path):
    pytest.importorskip("datasets")
    (tmp_path / "a.csv").write_text("prompt,response\nWhy?,NA\nHow?,None\n")
    assert [one.conversation.answer for one in data_named(str(tmp_path)).read()[0]] == ["NA", "None"]


def test_what_json_cannot_hold_is_kept_beside_a_conversation_as_text(tmp_path):
    from datetime import date
    from decimal import Decimal

    row = {
        "prompt": "Why?",
        "response": "Since.",
        "day": date(2026, 11, 30),
        "cost": Decimal("1.5"),
        "logo": b"\xff",
        "at": {"p": [float("nan")]},
    }
    write_examples(tmp_path / "x.jsonl", [Reader().read(row, "row 1")])
    (kept,) = stored_examples(tmp_path / "x.jsonl")
    assert kept.meta == {"day": "2026-11-30", "cost": "1.5", "logo": "1 bytes", "at": {"p": [None]}}


def test_a_setting_called_reasoning_is_no_reasoning():
    assert Reader().read({"prompt": "Why?", "response": "Since.", "reasoning": "on"}, "row 1").conversation == ASKED


def test_turns_of_hh_rlhf_in_a_prompt_are_messages_and_the_answer_loses_the_space_behind_its_name():
    prompt = "\n\nHuman: One?\n\nAssistant: Yes.\n\nHuman: Why?\n\nAssistant:"
    example = Reader().read({"prompt": prompt, "chosen": " Since.", "rejected": " No."}, "row 1")
    assert said(example.conversation) == "u:One? a-:Yes. u:Why? a:Since." and example.rejected == "No."


@pytest.mark.parametrize(
    ("row", "remedy"),
    [
        ({"prompt": "Why?", "answers": [{"answer": "a", "rank": 1.0}]}, "a row for each answer"),
        ({"question": "Why?", "solution": "a", "attempt": "b"}, "--columns prompt=question,response=solution;"),
        ({"messages": [USER, ANSWER], "solution": "a"}, "--columns messages=messages;"),
        ({"question": "Why?", "correct answer": "a"}, "--columns 'prompt=question,response=correct answer'"),
    ],
)
def test_the_columns_that_a_remedy_names_can_be_read(row, remedy):
    with pytest.raises(ConfigError) as caught:
        Reader().read(row, "row 1")
    assert remedy in caught.value.remedy


def test_preferences_whose_scores_are_swapped_are_read_as_the_user_says(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text(" prompt , chosen,rejected,score_chosen,score_rejected,weight\nWhy?,bad,good,1,5,1.0\n")
    with pytest.raises(ConfigError, match="row 1: The chosen answer scored 1"):
        data_named(str(path)).read()
    ((example,), _) = data_named(f"{path}[prompt=prompt,chosen=rejected,rejected=chosen]").read()
    assert example.conversation.answer == "good" and example.rejected == "bad"


def test_a_folder_of_files_that_do_not_fit_together_says_so(tmp_path):
    pytest.importorskip("datasets")
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "response": "b"}\n')
    (tmp_path / "b.jsonl").write_text('{"question": "a", "level": 1}\n')
    with pytest.raises(ConfigError, match=r"The folder .* cannot be loaded: .*(?:cast|column)") as caught:
        data_named(str(tmp_path)).read()
    assert "the same columns" in caught.value.remedy


def test_the_present_folder_is_a_data_set_like_any_other(tmp_path, monkeypatch):
    pytest.importorskip("datasets")
    monkeypatch.chdir(tmp_path)
    for _ in ("an empty folder", "one without data"):
        with pytest.raises(ConfigError, match=r"The folder '\.' holds no data files"):
            data_named(".").read()
        (tmp_path / "notes.md").write_text("# Notes")
    (tmp_path / "a.jsonl").write_text('{"prompt": "a"}\n')
    assert data_named(".").read()[0][0].conversation.prompt.messages[-1].content == "a"


def test_a_saved_set_without_the_split_names_those_it_has(tmp_path):
    datasets = pytest.importorskip("datasets")
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()
    datasets.DatasetDict(test=datasets.Dataset.from_list([json.loads(TEXT)])).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(ConfigError, match=r"no split 'train'.*\n.*test"):
        data_named(str(tmp_path / "saved")).read()
    assert len(data_named(str(tmp_path / "saved" / "test")).read()[0]) == 1


# ------------------------------------------------------------------------------------------ the page


def tables() -> str:
    """The tables of the page: the shapes of `ROWS`, and the formats of `FILES`."""
    lines = ["| shape | whose | columns |", "| --- | --- | --- |"]
    for whose, row in ROWS:
        reader = Reader()
        reader.read(row, "row")
        name, keys = next(iter(reader.seen.items()))
        line = f"| {name} | {whose} | {', '.join(filled(key, columns) for key, columns in keys.items())} |"
        lines += [] if line == lines[-1] else [line]
    lines += ["", "| file | what | extra |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {what} | {extra} |" for name, what, _, extra in FILES if what != "the same"]
    return "\n".join(lines)


def filled(key, columns):
    """What fills a key: its column; the key is named where the column has another name."""
    found = "`" + "` + `".join(columns) + "`"
    return found if (key,) == tuple(columns) else f"{key} = {found}"


BEGIN, END = "<!-- tables: python tests/test_data_shapes.py -->\n\n", "\n\n<!-- end of tables -->"


def test_the_page_lists_what_is_read():
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    assert rest.partition(END)[0] == tables(), "python tests/test_data_shapes.py writes the tables"


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + tables() + END + rest.partition(END)[2], encoding="utf-8")
