"""Reinforcement learning: advantages, what an iteration is made of, and the invariants of any training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cavesson.chat import Conversation
from cavesson.errors import ConfigError, Stopped
from cavesson.evals.benchmarks import benchmark_named, eval_named
from cavesson.evals.recipes import Probed
from cavesson.evals.world import Facts, Maths
from cavesson.lab.recipe import Recipe
from cavesson.models.model import Model
from cavesson.models.notes import note
from cavesson.models.recipes import LoRA
from cavesson.rl import kept
from cavesson.rl.kept import Minibatch
from cavesson.rl.reinforced import ROLLOUTS, Reinforced
from cavesson.rl.rollouts import Rollouts, advantages, groups, rows
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.sampler import Completion, Params
from cavesson.tinyworld.recipes import Fresh
from cavesson.tinyworld.tasks import items
from cavesson.training.batches import Batch, Row
from cavesson.training.forward import Forward, forwards
from cavesson.training.objectives import Cispo, PolicyGradient, Ppo, Reinforce
from cavesson.training.preflight import preflight
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


SEVERAL: dict[str, Any] = {"steps": 6, "per_step": 4, "minibatches": 2, "epochs": 2, "objective": {"name": "ppo"}}


@pytest.mark.parametrize("stopped_after", [1, 3, 5])
def test_a_run_stopped_between_steps_on_the_same_answers_resumes_to_the_same_bits(
    stopped_after: int, tmp_path: Path
) -> None:
    recipe = practice(**SEVERAL)

    def stop(step: float) -> None:
        if step == stopped_after:
            raise Stopped

    with pytest.raises(Stopped):
        run(recipe, Folders(tmp_path / "stopped", stop))
    resumed, whole = run(recipe, Folders(tmp_path / "stopped")), run(recipe, Folders(tmp_path / "whole"))
    assert all(torch.equal(one, other) for one, other in zip(weights(resumed), weights(whole), strict=True))
    assert notes(Folders(tmp_path / "stopped")) == notes(Folders(tmp_path / "whole"))
    assert [note["iteration"] for note in notes(Folders(tmp_path / "whole"))] == [0, 1], (
        "four steps, and two of the next"
    )


def test_answers_on_disk_are_those_in_memory(tmp_path: Path) -> None:
    made = [Row(np.array([1, 2, 3], np.int32), np.array([0, 0, 0.5], np.float32), np.array([0, 0, -1.5], np.float32))]
    parts = [Minibatch(made * 2, 6.0), Minibatch([], 4.0), Minibatch(made, 3.0)]
    kept.save(tmp_path / "deep" / "1.safetensors", parts)
    found = kept.load(tmp_path / "deep" / "1.safetensors")
    assert [(len(part.rows), part.divisor) for part in found] == [(2, 6.0), (0, 4.0), (1, 3.0)]
    for row in (*found[0].rows, *found[2].rows):
        assert all(np.array_equal(getattr(row, k), getattr(made[0], k)) for k in ("ids", "weights", "logprobs"))
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["1.safetensors"]


def test_steps_on_one_batch_cut_its_problems_and_come_again_in_each_epoch(tmp_path: Path) -> None:
    recipe = practice(**SEVERAL)
    steps = Rollouts(recipe, recipe.base.load(nothing_stored), Folders(tmp_path)).after(0)
    first = [next(steps) for _ in range(4)]
    held = [sorted(tuple(row.ids.tolist()) for rows in step.micro_batches for row in rows) for step in first]
    assert held[:2] == held[2:] and held[0] != held[1]
    assert [step.cursor for step in first] == [2, 4, 6, 8]
    assert [step.watch is not None for step in first] == [True, False, False, False]


@pytest.mark.parametrize("objective", ["reinforce", "ppo", "cispo"])
def test_with_one_step_a_batch_every_loss_has_the_gradient_of_reinforce(objective: str, tmp_path: Path) -> None:
    gradients = {}
    for name in ("policy_gradient", objective):
        recipe = practice(objective={"name": name}, per_step=12)
        model = recipe.base.load(nothing_stored)
        model.net.requires_grad_(True)
        step = next(Rollouts(recipe, model, Folders(tmp_path / name)).after(0))
        with forwards(model.net, None, None, None) as (forward, _):
            for rows_ in step.micro_batches:
                batch = Batch.of(rows_, total_weight=step.total_weight)
                recipe.objective(forward(batch), batch).backward()  # type: ignore[no-untyped-call]
        gradients[name] = [weight.grad for weight in model.net.parameters()]
    assert max(float(one.abs().max()) for one in gradients["policy_gradient"]) > 1e-3
    for one, other in zip(*gradients.values(), strict=True):
        assert torch.allclose(one, other, atol=1e-6, rtol=1e-3)


def test_clipped_tokens_have_no_gradient_and_cispos_keep_theirs() -> None:
    """Two tokens with positive advantages, one of them already twice as likely as when it was sampled."""
    found = {}
    for name, objective in {"ppo": Ppo(), "cispo": Cispo(most=1.5), "reinforce": Reinforce()}.items():
        logits = torch.zeros(2, 3, requires_grad=True)
        then = np.log(np.array([1, 1 / 6, 1 / 3], np.float32))
        batch = Batch.of([Row(np.array([2, 0, 1], np.int32), np.array([0, 1, 1], np.float32), then)])
        objective(Forward(batch, lambda _, logits=logits: logits), batch).backward()  # type: ignore[no-untyped-call]
        found[name] = logits.grad.abs().sum(1)  # type: ignore[union-attr]
    assert found["ppo"][0] == 0 < found["ppo"][1]
    assert found["cispo"][0] == pytest.approx(1.5 * found["cispo"][1])
    assert found["reinforce"][0] == pytest.approx(2 * found["reinforce"][1])


def test_groups_without_variance_leave_the_model_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cavesson.evals.world.tasks.score", lambda task, completion: True)
    recipe = practice(weight_decay=0.1)
    model = run(recipe, Folders(tmp_path))
    start = recipe.base.load(nothing_stored)
    assert all(torch.equal(one, other) for one, other in zip(weights(model), weights(start), strict=True))
    assert [note["groups_with_advantage"] for note in notes(Folders(tmp_path))] == [0, 0, 0]


def test_equal_rewards_that_no_float_holds_are_no_variance() -> None:
    assert (advantages(np.full((2, 3), 0.1, np.float32)) == 0).all()
    found = advantages(np.array([[1, 0, 0, 1], [2, 2, 2, 2]], np.float32), standardise=True)
    assert found[0].tolist() == pytest.approx([0.866, -0.866, -0.866, 0.866], abs=1e-3) and (found[1] == 0).all()


def test_the_trainer_is_compared_with_the_sampler_at_every_iteration(tmp_path: Path) -> None:
    run(practice(per_step=12), Folders(tmp_path))
    found = notes(Folders(tmp_path))
    assert all(0 < note["drift_mean"] <= note["drift_largest"] < 1e-4 for note in found)


def test_a_large_drift_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A sampler that says of each token that it was likelier than it was."""
    honest = NativeSampler.continue_ids

    def boasting(self: NativeSampler, *given: Any) -> list[list[Completion]]:
        answers = honest(self, *given)
        return [
            [replace(one, logprobs=tuple(value + 0.5 for value in one.logprobs or ())) for one in group]
            for group in answers
        ]

    monkeypatch.setattr(NativeSampler, "continue_ids", boasting)
    note.cache_clear()
    run(practice(per_step=12), Folders(tmp_path))
    assert [one["drift_mean"] for one in notes(Folders(tmp_path))] == pytest.approx([0.5] * 3, abs=1e-3)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1 and "differ by 0.5 nats a token" in said[0] and "rollouts.jsonl" in said[0]


def test_the_learning_rate_anneals_over_steps_not_iterations(tmp_path: Path) -> None:
    job = Folders(tmp_path)
    run(practice(**{**SEVERAL, "schedule": "linear", "warmup_steps": 0, "lr": 1e-3}), job)
    rates = [json.loads(line)["lr"] for line in (job.folder / "losses.jsonl").read_text().splitlines()]
    assert rates == pytest.approx([1e-3 * (1 - k / 6) for k in range(6)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"minibatches": 3}, "4 problems an iteration cannot be cut into 3 equal minibatches"),
        ({"epochs": 2}, "policy_gradient has no importance weights, and 2 steps train on the same answers"),
        ({"average": "answers", "objective": {"name": "ppo", "kl": 0.1}}, "a KL penalty is an average over tokens"),
        ({"objective": "sft"}, "policy_gradient"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        practice(**settings)


def test_problems_that_no_rule_scores_and_too_few_problems_are_refused_beforehand(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"compares the likelihoods of options"):
        practice(problems=eval_named("everyday-knowledge", n=20))
    file = tmp_path / "few.jsonl"
    file.write_text("".join(f'{{"prompt": "1 + {n}?", "answer": "{1 + n}"}}\n' for n in range(3)))
    with pytest.raises(ConfigError, match=r"takes 4 problems, and questions.few has 3\."):
        preflight([practice(problems=benchmark_named(str(file), n=100))], workers=1)


@pytest.mark.learnt
def test_several_steps_a_batch_learn_more_from_as_many_answers(tmp_path: Path) -> None:
    rates = {}
    for steps, settings in ((4, {}), (16, {"minibatches": 2, "epochs": 2, "objective": {"name": "ppo"}})):
        job = Folders(tmp_path / str(steps))
        run(practice(steps=steps, per_step=12, group=8, lr=5e-3, **settings), job)
        rates[steps] = [note["right"] for note in notes(job)]
    assert len(rates[4]) == len(rates[16]) == 4
    assert rates[16][-1] > rates[4][-1] and rates[16][-1] > rates[16][0] + 0.2


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
