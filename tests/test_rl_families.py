"""Reinforcement learning of networks of several architectures, with several templates: trainer and sampler say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from architectures import tiny_network
from cavesson.evals.benchmarks import benchmark_named
from cavesson.lab import trust
from cavesson.lab.recipe import Recipe
from cavesson.models.recipes import HFModel, LoRA
from cavesson.rl.reinforced import ROLLOUTS, Reinforced
from families import CHATML, OPENED, THINKING, tokenizer_for
from training_world import Folders


def nothing_stored(recipe: Recipe) -> Path:
    raise AssertionError(f"{recipe.describe()} needs no store")


@pytest.mark.parametrize(
    ("architecture", "template", "adapter"),
    [("gpt2", CHATML, None), ("qwen3", THINKING, None), ("qwen3", OPENED, LoRA(rank=2)), ("gemma3_text", CHATML, None)],
    ids=["gpt2", "qwen3, thinking", "qwen3, reasoning opened, adapter", "gemma3, sliding window"],
)
def test_any_model_is_trained_on_what_it_sampled(
    architecture: str, template: str, adapter: LoRA | None, tmp_path: Path
) -> None:
    folder, asked, code = tmp_path / "model", tmp_path / "asked.jsonl", tmp_path / "reward.py"
    network = tiny_network(architecture)
    for name in ("resid_pdrop", "embd_pdrop", "attn_pdrop"):  # with dropout, trainer and sampler are two policies
        if hasattr(network.config, name):
            setattr(network.config, name, 0.0)
    network.save_pretrained(folder)
    tokenizer_for(template).save_pretrained(folder)
    asked.write_text("".join(json.dumps({"prompt": f"{k} + 1?", "answer": str(k + 1)}) + "\n" for k in range(6)))
    code.write_text("def vowels(problem, reply):\n    return sum(letter in 'aeiou' for letter in reply)\n")
    trust.trust(code)
    settings: dict[str, Any] = {"steps": 4, "per_step": 4, "group": 4, "minibatches": 2, "objective": {"name": "ppo"}}
    run = Reinforced(
        base=HFModel(path=str(folder)),
        problems=benchmark_named(str(asked), n=6, max_tokens=10),
        reward=f"{code}:vowels",
        adapter=adapter,
        lr=1e-3,
        precision="fp32",
        **settings,
    )
    run.check()
    job = Folders(tmp_path / "job")
    trained = run.train(run.base.load(nothing_stored), job)
    rows = [json.loads(line) for line in (job.folder / ROLLOUTS).read_text().splitlines()]
    assert len(rows) == 2 and all(row["drift_largest"] < 1e-3 and row["groups_with_advantage"] > 0 for row in rows)
    start = run.base.load(nothing_stored).net
    moved = [weight for name, weight in trained.net.named_parameters() if "lora_B" in name and weight.any()]
    assert moved or any(
        not torch.equal(one, other) for one, other in zip(start.parameters(), trained.net.parameters(), strict=False)
    )
