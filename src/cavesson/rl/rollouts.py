"""Steps of reinforcement learning: answers sampled from the present policy, weighted by their advantages."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from cavesson.evals.items import Eval, Item
from cavesson.lab.recipe import Job
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.sampler import Completion, Params, Progress, TokenSampler
from cavesson.training.batches import Order, Row, Step

if TYPE_CHECKING:
    from cavesson.models.model import Model

_NOTES = "rollouts"


class Practice(Protocol):
    """The settings of an RL run that rollouts need: the problems, the reward and the sizes (see `Reinforced`)."""

    @property
    def problems(self) -> Eval: ...
    @property
    def reward(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def per_step(self) -> int: ...
    @property
    def group(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def seed(self) -> int: ...


class Rollouts:
    """The steps of an RL run; each step is sampled from the policy after the step before.

    Args:
        run: problems, reward and sizes.
        policy: the model in training.
        job: its `scratch` keeps a note of each iteration.
    """

    def __init__(self, run: Practice, policy: Model, job: Job) -> None:
        self.run, self.policy, self.job = run, policy, job
        self.items = run.problems.items()
        self.order = Order(len(self.items), run.seed)

    def count(self) -> int:
        """The number of steps: one for each iteration."""
        return self.run.steps

    def after(self, cursor: int) -> Iterator[Step]:
        """The steps from position `cursor` in the order of problems on, without end."""
        while True:
            yield self._step(cursor)
            cursor += self.run.per_step

    def _step(self, cursor: int) -> Step:
        run, iteration = self.run, cursor // self.run.per_step
        items = [self.items[self.order.index_at(cursor + n)] for n in range(run.per_step)]

        def report(done: int, total: int, **_: float | str) -> None:
            self.job.progress(iteration, run.steps, sampled=f"{done}/{total}")

        sampler = sampler_for(self.policy)  # a new sampler, because the weights have changed
        prompts = sampler.prompts_ids([item.prompt for item in items])
        seed = Random(f"rollouts {run.seed} {iteration}").getrandbits(32)
        params = Params(max_tokens=run.problems.room, temperature=1.0, n=run.group, seed=seed)
        answers = groups(sampler, prompts, params, report)
        verdicts = [[item.judge(answer.text) for answer in group] for item, group in zip(items, answers, strict=True)]
        right = np.array([[score for score, _ in group] for group in verdicts], np.float32)
        rewards = right if run.reward == "correct" else _coins(right.shape, seed)
        advantages = rewards - rewards.mean(axis=1, keepdims=True)
        voices = Counter(extra["voice"] for group in verdicts for _, extra in group if "voice" in extra)
        self._note(iteration, items, answers, right, rewards, voices)
        return Step(
            micro_batches=list(_batches(rows(prompts, answers, advantages), run.batch_size)),
            cursor=cursor + run.per_step,
            divisor=float(sum(len(answer.ids) for group in answers for answer in group)),
        )

    def _note(
        self,
        iteration: int,
        items: Sequence[Item],
        answers: Sequence[Sequence[Completion]],
        right: NDArray[np.float32],
        rewards: NDArray[np.float32],
        voices: Counter[str | None],
    ) -> None:
        """Write down the figures of an iteration, and the answers to its first problem."""
        every = [answer for group in answers for answer in group]
        note = {
            "iteration": iteration,
            "reward": round(float(rewards.mean()), 4),
            "right": round(float(right.mean()), 4),
            "groups_with_advantage": round(float((rewards.std(axis=1) > 0).mean()), 4),
            "finished": round(sum(answer.finished for answer in every) / len(every), 4),
            "tokens": round(sum(len(answer.ids) for answer in every) / len(every), 2),
            "voices": {str(voice): count for voice, count in voices.most_common()},
            "prompt": items[0].prompt.dump(),
            "answers": [
                {"text": answer.text, "reward": float(reward)}
                for answer, reward in zip(answers[0], rewards[0], strict=True)
            ],
        }
        folder = self.job.scratch / _NOTES
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{iteration:06d}.json").write_text(json.dumps(note, ensure_ascii=False), encoding="utf-8")


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
    prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[Completion]], advantages: NDArray[np.float32]
) -> list[Row]:
    """One row for each answer with an advantage; the weight of its tokens is the advantage, that of the prompt's tokens 0."""
    found = []
    for prompt, group, group_advantages in zip(prompts, answers, advantages, strict=True):
        for answer, advantage in zip(group, group_advantages, strict=True):
            if advantage != 0:
                weights = np.zeros(len(prompt) + len(answer.ids), np.float32)
                weights[len(prompt) :] = advantage
                found.append(Row(np.array([*prompt, *answer.ids], np.int32), weights))
    return found


def write_notes(scratch: Path, place: Path) -> None:
    """Write the notes of all iterations into one file, one line each."""
    notes = sorted((scratch / _NOTES).glob("*.json"))
    place.write_text("".join(note.read_text(encoding="utf-8") + "\n" for note in notes), encoding="utf-8")


def _batches(found: list[Row], size: int) -> Iterator[list[Row]]:
    """Batches of `size` rows; rows of similar length stand together."""
    found = sorted(found, key=lambda row: len(row.ids))
    return (found[start : start + size] for start in range(0, len(found), size))


def _coins(shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).integers(0, 2, size=shape).astype(np.float32)
