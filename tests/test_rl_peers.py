"""Reinforcement learning through another library's trainer: on the same rollouts the same advantages, loss and gradient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cavesson.chat import Conversation
from cavesson.models.model import Model
from cavesson.rl.rollouts import advantages, groups, rows
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.sampler import Completion, Params
from cavesson.training.batches import Batch, Row
from cavesson.training.forward import forwards
from cavesson.training.objectives import Cispo, OnPolicy, Ppo, Reinforce
from training_world import llama

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

ROOM, GROUP = 12, 4
ASKED = [Conversation.of(f"Say {'very ' * k}much.") for k in range(3)]

OBJECTIVES: dict[str, tuple[OnPolicy, str, dict[str, Any]]] = {
    "DAPO: clipped, an average over tokens": (
        Ppo(low=0.2, high=0.28),
        "tokens",
        {"loss_type": "dapo", "epsilon_high": 0.28},
    ),
    "BNPO: the same within a batch": (Ppo(), "tokens", {"loss_type": "bnpo"}),
    "GRPO: clipped, an average over answers": (Ppo(), "answers", {"loss_type": "grpo"}),
    "Dr. GRPO: clipped, an average over the room": (Ppo(), "room", {"loss_type": "dr_grpo"}),
    "CISPO": (Cispo(most=1.2), "tokens", {"loss_type": "cispo", "epsilon_high": 1.2}),
    "importance sampling": (Reinforce(), "tokens", {"loss_type": "dapo", "epsilon": 0.999, "epsilon_high": 1e6}),
}


def length_reward(completions: list[str], **_: Any) -> list[float]:
    """How many of a text's letters stand before "n"; the first group's texts earn the same."""
    return [0.0 if k < GROUP else sum(letter < "n" for letter in text) / 4 for k, text in enumerate(completions)]


def rollouts(model: Model) -> tuple[list[list[int]], list[list[Completion]]]:
    """Answers, with log-probabilities of a policy a little apart, as after a few steps: ratios lie on both sides of 1."""
    sampler = sampler_for(model)
    prompts = sampler.prompts_ids(ASKED)
    found = groups(sampler, prompts, Params(max_tokens=ROOM, temperature=1.0, n=GROUP, seed=7, logprobs=True))
    rng = np.random.default_rng(0)
    apart = [
        [
            Completion(
                one.text, one.ids, one.finished, tuple(np.array(one.logprobs) + rng.normal(0, 0.3, len(one.ids)))
            )
            for one in group
        ]
        for group in found
    ]
    return prompts, apart


@pytest.mark.parametrize("name", list(OBJECTIVES))
@pytest.mark.parametrize("standardise", [False, True], ids=["centred", "standardised"])
def test_loss_and_gradient_are_trls(name: str, standardise: bool, tmp_path: Path) -> None:
    objective, average, theirs = OBJECTIVES[name]
    model = llama()
    prompts, answers = rollouts(model)
    their_advantages, their_loss, their_gradients = _trl(
        prompts, answers, {**theirs, "scale_rewards": "group" if standardise else "none"}, tmp_path
    )
    texts = [model.tokenizer.decode(one.ids, skip_special_tokens=True) for group in answers for one in group]
    gains = advantages(np.array(length_reward(texts), np.float32).reshape(-1, GROUP), standardise=standardise)
    assert gains.reshape(-1).tolist() == pytest.approx(their_advantages, abs=1e-5) and (gains[0] == 0).all()
    made = rows(prompts, answers, gains, by_length=average == "answers")
    count = len(prompts) * GROUP
    divisor = {
        "tokens": sum(len(one.ids) for group in answers for one in group),
        "answers": count,
        "room": count * ROOM,
    }
    loss, gradients = _ours(model, objective, made, divisor[average])
    assert loss == pytest.approx(their_loss, abs=1e-5)
    for key, gradient in gradients.items():
        assert torch.allclose(gradient, their_gradients[key], atol=1e-5, rtol=1e-4), key
    assert max(float(gradient.abs().max()) for gradient in gradients.values()) > 1e-2, "a gradient to compare"


def _ours(model: Model, objective: OnPolicy, made: list[Row], divisor: float) -> tuple[float, dict[str, torch.Tensor]]:
    batch = Batch.of(made, total_weight=divisor)
    model.net.train()
    with forwards(model.net, None, None, None) as (forward, _):
        loss = objective(forward(batch), batch)
        loss.backward()  # type: ignore[no-untyped-call]
    return loss.item(), {key: weight.grad.clone() for key, weight in model.net.named_parameters()}


def _trl(
    prompts: list[list[int]], answers: list[list[Completion]], settings: dict[str, Any], folder: Path
) -> tuple[list[float], float, dict[str, torch.Tensor]]:
    """Advantages, loss and gradients of TRL's trainer on these rollouts."""
    every = [(prompt, one) for prompt, group in zip(prompts, answers, strict=True) for one in group]

    def pinned(asked: list[Any], trainer: Any) -> dict[str, Any]:
        return {
            "prompt_ids": [prompt for prompt, _ in every],
            "completion_ids": [list(one.ids) for _, one in every],
            "logprobs": [list(one.logprobs or ()) for _, one in every],
        }

    model = llama()
    trainer = trl.GRPOTrainer(
        model=model.net,
        reward_funcs=length_reward,
        args=trl.GRPOConfig(
            output_dir=str(folder),
            per_device_train_batch_size=len(every),
            num_generations=GROUP,
            max_completion_length=ROOM,
            beta=0.0,
            bf16=False,
            use_cpu=True,
            gradient_checkpointing=False,
            report_to="none",
            disable_tqdm=True,
            **settings,
        ),
        train_dataset=datasets.Dataset.from_list([{"prompt": "unused"}] * len(every)),
        processing_class=model.tokenizer,
        rollout_func=pinned,
    )
    net = trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    inputs = trainer._generate_and_score_completions([{"prompt": "unused"}] * len(every))
    inputs["old_per_token_logps"] = inputs.pop("sampling_per_token_logps")
    loss = trainer._compute_loss(net, inputs)
    loss.backward()
    gradients = {key: weight.grad.clone() for key, weight in net.named_parameters()}
    return inputs["advantages"].tolist(), loss.item(), gradients
