"""Reinforcement learning: advantages, what an iteration is made of, and the invariants of any training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cavesson.chat import Conversation
from cavesson.errors import ConfigError, Stopped
from cavesson.evals.benchmarks import eval_named
from cavesson.evals.recipes import Probed
from cavesson.evals.world import Facts, Maths
from cavesson.lab.recipe import Recipe
from cavesson.models.model import Model
from cavesson.models.recipes import LoRA
from cavesson.rl.reinforced import ROLLOUTS, Reinforced
from cavesson.rl.rollouts import Rollouts, groups, rows
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.sampler import Completion, Params
from cavesson.tinyworld.recipes import Fresh
from cavesson.tinyworld.tasks import items
from cavesson.training.batches import Batch, Row
from cavesson.training.forward import Forward
from cavesson.training.objectives import PolicyGradient
from training_world import Folders


def nothing_stored(recipe: Recipe) -> Path:
    raise AssertionError(f"{recipe.describe()} needs no store")


@pytest.fixture(autouse=True)
def _a_letter_is_a_right_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrained model solves nothing; here an answer with an "m" in it is right."""
    monkeypatch.setattr("cavesson.evals.world.tasks.score", lambda task, completion: "m" in completion)


def practice(**settings: Any) -> Reinforced:
    """A few iterations of an untrained model."""
    problems = Facts(n=12, seed=1, split="train", max_tokens=6)
    small = {"base": Fresh(size="small"), "problems": problems, "steps": 3, "per_step": 4, "group": 4, "lr": 1e-3}
    return Reinforced(**{**small, "precision": "fp32", **settings})


def run(recipe: Reinforced, job: Folders) -> Model:
    return recipe.train(recipe.base.load(nothing_stored), job)


def weights(model: Model) -> list[torch.Tensor]:
    return [weight.detach() for weight in model.net.parameters()]


def notes(job: Folders) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job.folder / ROLLOUTS).read_text().splitlines()]


def test_answers_weigh_what_they_are_better_than_their_group() -> None:
    answers = [[Completion("", (5, 6), True), Completion("", (7,), True)], [Completion("", (8,), True)] * 2]
    found = rows([[1, 2], [3]], answers, np.array([[0.5, -0.5], [0, 0]], np.float32))
    assert [row.ids.tolist() for row in found] == [[1, 2, 5, 6], [1, 2, 7]]
    assert [row.weights.tolist() for row in found] == [[0, 0, 0.5, 0.5], [0, 0, -0.5]]


def test_a_problem_that_comes_twice_gets_two_groups_of_answers_of_its_own() -> None:
    sampler = sampler_for(Fresh(size="small").load(nothing_stored))
    prompts = sampler.prompts_ids([Conversation.of(text) for text in ("Say a.", "Say b.", "Say a.")])
    params = Params(max_tokens=6, temperature=1.0, n=3, seed=5)
    first, other, second = groups(sampler, prompts, params)
    assert not {answer.ids for answer in first} & {answer.ids for answer in second}
    assert [first, other] == sampler.continue_ids(prompts[:2], params), "what comes once is drawn as ever"
    assert [len(group) for group in (first, other, second)] == [3, 3, 3]


def test_the_gradient_raises_what_was_better_and_lowers_what_was_worse() -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    batch = Batch.of([Row(np.array([2, 0, 1], np.int32), np.array([0, 0.5, -0.5], np.float32))])
    PolicyGradient()(Forward(batch, lambda _: logits), batch).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1] and logits.grad[1, 1] > 0 > logits.grad[1, 0]


def test_a_step_is_divided_by_the_tokens_of_all_answers_and_holds_those_with_an_advantage(tmp_path: Path) -> None:
    recipe = practice(per_step=12, group=2)
    step = next(Rollouts(recipe, recipe.base.load(nothing_stored), Folders(tmp_path)).after(0))
    held = [row for rows in step.micro_batches for row in rows]
    assert step.cursor == 12 and 0 < len(held) < 24
    assert step.total_weight > sum(int((row.weights != 0).sum()) for row in held)
    sums = [float(row.weights[-1]) for row in held]
    assert sum(sums) == pytest.approx(0, abs=1e-5) and max(sums) > 0 > min(sums)


@pytest.mark.learnt
def test_what_is_rewarded_grows(tmp_path: Path) -> None:
    job = Folders(tmp_path)
    run(practice(steps=8, per_step=12, group=8, lr=1e-2), job)
    rates = [note["right"] for note in notes(job)]
    assert len(rates) == 8 and rates[-1] > rates[0] + 0.2


def test_random_rewards_do_not_look_at_the_answer(tmp_path: Path) -> None:
    job = Folders(tmp_path)
    run(practice(reward="random", per_step=12), job)
    assert {answer["reward"] for note in notes(job) for answer in note["answers"]} == {0.0, 1.0}
    assert all(0.2 < note["reward"] < 0.8 for note in notes(job))
    assert any(note["reward"] != note["right"] for note in notes(job))


@pytest.mark.parametrize("adapter", [None, LoRA(rank=2)])
@pytest.mark.parametrize("when", ["after a step", "while sampling"])
def test_a_stopped_run_resumes_to_the_same_bits(adapter: LoRA | None, when: str, tmp_path: Path) -> None:
    recipe = practice(adapter=adapter)
    seen: list[float] = []

    def stop(step: float) -> None:
        seen.append(step)
        if len(seen) == (2 if when == "after a step" else 3):  # each iteration reports its sampling, then itself
            raise Stopped

    with pytest.raises(Stopped):
        run(recipe, Folders(tmp_path / "stopped", stop))
    resumed, whole = run(recipe, Folders(tmp_path / "stopped")), run(recipe, Folders(tmp_path / "whole"))
    assert all(torch.equal(one, other) for one, other in zip(weights(resumed), weights(whole), strict=True))
    assert notes(Folders(tmp_path / "stopped")) == notes(Folders(tmp_path / "whole"))
    assert any(
        not torch.equal(one, other)
        for one, other in zip(weights(whole), weights(recipe.base.load(nothing_stored)), strict=False)
    )


@pytest.mark.learnt
def test_a_penalty_holds_the_policy_to_the_model_that_it_was(tmp_path: Path) -> None:
    settings = {"steps": 4, "per_step": 12, "group": 8, "lr": 1e-2}
    start = practice().base.load(nothing_stored)
    gone = {}
    for kl in (0.0, 100.0):
        model = run(practice(objective=PolicyGradient(kl=kl), **settings), Folders(tmp_path / str(kl)))
        pairs = zip(logits(start), logits(model), strict=True)
        gone[kl] = sum(float((before.exp() * (before - after)).sum()) for before, after in pairs)
    assert gone[100.0] < 0.8 * gone[0.0]  # the first step is the same: nothing has moved yet
    assert practice(objective=PolicyGradient(kl=0.0)).fingerprint == practice().fingerprint


def logits(model: Model) -> torch.Tensor:
    """Log-probabilities after each of a few tokens."""
    with torch.no_grad():
        return model.net(input_ids=torch.arange(5, 45)[None]).logits[0].log_softmax(-1)


def test_it_is_made_loaded_and_probed_like_any_training(tmp_path: Path) -> None:
    recipe = practice(checkpoints=(1,), adapter=LoRA(rank=2))
    job = Folders(tmp_path / "made")
    recipe.make(job)
    assert recipe.at(1).load(lambda _: job.folder).key == f"{recipe.fingerprint}@1"
    made = recipe.load(lambda _: job.folder)
    again = run(recipe, Folders(tmp_path / "again"))
    assert all(torch.equal(one, other) for one, other in zip(weights(made), weights(again), strict=True))
    probed = Probed(run=recipe, steps=(1, 3), suite=(Facts(n=3),))
    assert Recipe.parse(probed.model_dump()) == probed
    place = Folders(tmp_path / "probed")
    probed.make(place)
    assert probed.scores(lambda _: place.folder).steps == [1, 3]


def test_problems_to_practise_are_not_those_that_are_scored() -> None:
    practised, scored = (
        {item.prompt for item in Maths(n=200, seed=seed, split=split).items()}
        for seed, split in ((0, "train"), (0, "eval"))
    )
    assert not practised & scored and practised == {task.prompt for task in items("maths", 200, 0, "train")}
    with pytest.raises(ConfigError, match=r"`split` belongs to the evaluations maths, .*, not to 'memorised'"):
        eval_named("memorised", split="train")


def test_an_iteration_needs_as_many_problems_as_it_takes() -> None:
    with pytest.raises(ValueError, match="64 problems cannot be drawn from 12"):
        practice(per_step=64)
