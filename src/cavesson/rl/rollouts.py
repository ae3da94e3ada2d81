"""Steps of reinforcement learning: answers sampled from the present policy, weighted by their advantages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cavesson.evals.items import Eval
from cavesson.lab.recipe import Job
from cavesson.rl import kept
from cavesson.rl.drift import Drift
from cavesson.rl.kept import Minibatch
from cavesson.rl.rewards import Group, Reward, right
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.sampler import Completion, Params, Progress, TokenSampler
from cavesson.training.batches import Order, Row, Step

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.training.forward import Forward

_NOTES, _KEPT = "rollouts", "answers"


class Practice(Protocol):
    """The settings of an RL run that rollouts need: problems, reward, sizes and how answers are weighed (see `Reinforced`)."""

    @property
    def problems(self) -> Eval: ...
    @property
    def reward(self) -> Reward: ...
    @property
    def steps(self) -> int: ...
    @property
    def per_step(self) -> int: ...
    @property
    def group(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def minibatches(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def updates(self) -> int: ...
    @property
    def standardise(self) -> bool: ...
    @property
    def average(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def seed(self) -> int: ...


class Rollouts:
    """The steps of an RL run; the steps of an iteration train on answers that the policy sampled before the first of them.

    A cursor counts the problems that steps have trained on, so that it says iteration and step: a problem counts once in each
    epoch of its iteration.

    Args:
        run: problems, reward and sizes.
        policy: the model in training.
        job: its `scratch` keeps a note of each iteration, and the answers of iterations with several steps.
    """

    def __init__(self, run: Practice, policy: Model, job: Job) -> None:
        self.run, self.policy, self.job = run, policy, job
        self.items = run.problems.items()
        self.order = Order(len(self.items), run.seed)
        self.paid = run.reward.ready(job.path)
        self.warned = False
        self.last: dict[str, float] = {}

    def count(self) -> int:
        """The number of optimizer steps."""
        return self.run.steps

    def after(self, cursor: int) -> Iterator[Step]:
        """The steps from position `cursor` on, without end."""
        run = self.run
        taken = run.per_step // run.minibatches
        while True:
            iteration, within = divmod(cursor, run.per_step * run.epochs)
            watch = None
            if within:
                parts = kept.load(self._kept(iteration))
            else:
                parts, watch = self._sampled(iteration)
            for number in range(within // taken, run.updates):
                part = parts[number % run.minibatches]
                cursor += taken
                batches = list(_batches(part.rows, run.batch_size))
                yield Step(batches, cursor, part.divisor, None if number else watch)

    def _sampled(self, iteration: int) -> tuple[list[Minibatch], Callable[[Forward], None]]:
        """The minibatches of an iteration, and what watches its first step."""
        run = self.run
        items = [self.items[self.order.index_at(iteration * run.per_step + n)] for n in range(run.per_step)]

        def report(done: int, total: int, **_: float | str) -> None:
            self.job.progress(iteration * run.updates, run.steps, sampled=f"{done}/{total}", **self.last)

        sampler = sampler_for(self.policy)  # a new sampler, because the weights have changed
        prompts = sampler.prompts_ids([item.prompt for item in items])
        seed = Random(f"rollouts {run.seed} {iteration}").getrandbits(32)
        params = Params(max_tokens=run.problems.room, temperature=1.0, n=run.group, seed=seed, logprobs=True)
        answers = groups(sampler, prompts, params, report)
        found = [Group(item, replies) for item, replies in zip(items, answers, strict=True)]
        rewards = self.paid(found, self.policy, seed)
        self.last = {"reward": round(float(rewards.mean()), 4)}
        parts = self._minibatches(prompts, found, advantages(rewards, standardise=run.standardise))
        if run.updates > 1:
            kept.save(self._kept(iteration), parts)
        note = {"iteration": iteration, **_figures(found, rewards)}
        write_note(self.job.scratch, iteration, {**note, **Drift().figures()})
        return parts, partial(self._compare, iteration, note, Drift())

    def _minibatches(
        self, prompts: Sequence[Sequence[int]], found: Sequence[Group], gains: NDArray[np.float32]
    ) -> list[Minibatch]:
        """The answers of an iteration, cut into its minibatches; the answers to a problem stay together."""
        run, parts = self.run, []
        for start in range(0, run.per_step, run.per_step // run.minibatches):
            part = slice(start, start + run.per_step // run.minibatches)
            replies = [group.replies for group in found[part]]
            counts = [[run.reward.earned_by(self.policy, reply) for reply in group] for group in replies]
            tokens = sum(map(sum, counts))
            sizes: dict[str, float] = {
                "tokens": tokens,
                "answers": len(replies) * run.group,
                "room": len(replies) * run.group * run.problems.room,
            }
            made = rows(prompts[part], replies, gains[part], counts, by_length=run.average == "answers")
            parts.append(Minibatch(made, float(sizes[run.average])))
        return parts

    def _compare(self, iteration: int, note: dict[str, Any], drift: Drift, said: Forward) -> None:
        """Compare the trainer's log-probabilities with the sampler's, before the weights change, and write down the difference."""
        drift.add(said)
        write_note(self.job.scratch, iteration, {**note, **drift.figures()})
        self.last["drift"] = round(drift.mean, 6)
        if drift.is_large and not self.warned:
            self.warned = True
            drift.warn(self.run.precision)

    def _kept(self, iteration: int) -> Path:
        return self.job.scratch / _KEPT / f"{iteration:06d}.safetensors"


def advantages(rewards: NDArray[np.float32], *, standardise: bool = False) -> NDArray[np.float32]:
    """Rewards less the mean of their group, `[groups, replies]`; 0 in groups without variance.

    Args:
        standardise: divide by the standard deviation of the group (Shao et al. 2024, "DeepSeekMath", section 4.1.2).
    """
    found = rewards - rewards.mean(axis=1, keepdims=True)
    if standardise:
        found = found / (rewards.std(axis=1, ddof=1, keepdims=True) + np.float32(1e-4))
    varied = rewards.max(axis=1, keepdims=True) > rewards.min(axis=1, keepdims=True)
    return np.where(varied, found, np.float32(0)).astype(np.float32)


def groups(
    sampler: TokenSampler, prompts: Sequence[list[int]], params: Params, progress: Progress | None = None
) -> list[list[Completion]]:
    """A group of `params.n` answers to each prompt. A sampler gives equal prompts equal answers; here a prompt that comes twice
    in an iteration (at the end of an epoch, or as two equal problems) gets two groups of answers, each with draws of its own."""
    times = Counter(map(tuple, prompts))
    found: dict[tuple[int, ...], Iterator[Completion]] = {}
    for count in sorted(set(times.values())):
        asked = [ids for ids, often in times.items() if often == count]
        more = params.model_copy(update={"n": params.n * count})
        answers = sampler.continue_ids([list(ids) for ids in asked], more, progress)
        found.update(zip(asked, map(iter, answers), strict=True))
    return [list(islice(found[tuple(ids)], params.n)) for ids in prompts]


def rows(
    prompts: Sequence[Sequence[int]],
    answers: Sequence[Sequence[Completion]],
    gains: NDArray[np.float32],
    counts: Sequence[Sequence[int]] | None = None,
    *,
    by_length: bool = False,
) -> list[Row]:
    """One row for each answer with an advantage; the weight of its tokens is the advantage, that of the prompt's tokens 0.

    Args:
        gains: the advantages, `[problems, answers]`.
        counts: number of tokens of each answer that are trained; None: all.
        by_length: divide the weights by that number, so that a long answer weighs as much as a short one.
    """
    found = []
    for index, (prompt, group) in enumerate(zip(prompts, answers, strict=True)):
        for number, (answer, gain) in enumerate(zip(group, gains[index], strict=True)):
            count = len(answer.ids) if counts is None else counts[index][number]
            if gain == 0 or not count:
                continue
            weights = np.zeros(len(prompt) + len(answer.ids), np.float32)
            weights[len(prompt) : len(prompt) + count] = gain / count if by_length else gain
            known = (
                None if answer.logprobs is None else np.array([*([0.0] * len(prompt)), *answer.logprobs], np.float32)
            )
            found.append(Row(np.array([*prompt, *answer.ids], np.int32), weights, known))
    return found


def _figures(found: Sequence[Group], rewards: NDArray[np.float32]) -> dict[str, Any]:
    """The figures of an iteration, and the answers to its first problem."""
    every = [reply for group in found for reply in group.replies]
    voices = Counter(extra["voice"] for group in found for _, extra in group.verdicts if "voice" in extra)
    first = found[0]
    return {
        "reward": round(float(rewards.mean()), 4),
        "right": round(float(right(found).mean()), 4),
        "groups_with_advantage": round(float((rewards.std(axis=1) > 0).mean()), 4),
        "finished": round(sum(reply.finished for reply in every) / len(every), 4),
        "tokens": round(sum(len(reply.ids) for reply in every) / len(every), 2),
        "voices": {str(voice): count for voice, count in voices.most_common()},
        "prompt": first.problem.prompt.dump(),
        "answers": [
            {"text": reply.text, "reward": float(reward)}
            for reply, reward in zip(first.replies, rewards[0], strict=True)
        ],
    }


def write_note(scratch: Path, iteration: int, note: dict[str, Any]) -> None:
    """Write down the figures of an iteration."""
    folder = scratch / _NOTES
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{iteration:06d}.json").write_text(json.dumps(note, ensure_ascii=False), encoding="utf-8")


def write_notes(scratch: Path, place: Path) -> None:
    """Write the notes of all iterations into one file, one line each."""
    notes = sorted((scratch / _NOTES).glob("*.json"))
    place.write_text("".join(note.read_text(encoding="utf-8") + "\n" for note in notes), encoding="utf-8")


def _batches(found: list[Row], size: int) -> Iterator[list[Row]]:
    """Batches of `size` rows; rows of similar length stand together."""
    found = sorted(found, key=lambda row: len(row.ids))
    return (found[start : start + size] for start in range(0, len(found), size))
