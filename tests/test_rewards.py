"""Rewards: what an answer earns, by each reward, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import CavessonError, ConfigError
from cavesson.evals.answered import Problems
from cavesson.evals.world import Facts, Maths
from cavesson.lab import trust
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.models.model import Model
from cavesson.rl.reinforced import Reinforced
from cavesson.rl.rewards import AnyReward, Coin, Correct, Group, Label, Own, Reward, Shuffled, reasoning_of
from cavesson.sampling.choice import sampler_for
from cavesson.sampling.sampler import Completion, Params
from cavesson.tinyworld.recipes import Fresh, Shipped


def nothing_stored(recipe: Recipe) -> Path:
    raise AssertionError(f"{recipe.describe()} needs no store")


class Sevens(DataRecipe):
    """A labeller that answers every problem with a number of its own."""

    kind = "test_rewards:Sevens"
    virtual = True

    problems: Maths
    answer: str = "<think>hidden</think> 7"

    def examples(self, path_of: PathOf) -> list[Example]:
        return [Example(item.prompt.answered(self.answer)) for item in self.problems.items()]


SUMS = Maths(n=8, split="train", levels=(1, 2))


def said(*texts: str) -> Group:
    return Group(SUMS.items()[0], [Completion(text, (1, 2), True) for text in texts])


def paid(reward: Reward, groups: list[Group], policy: Model | None = None, seed: int = 3) -> Any:
    return reward.ready(nothing_stored)(groups, policy, seed)  # type: ignore[arg-type]


def test_a_reward_is_named_as_ever_and_has_a_fingerprint_of_its_own() -> None:
    read = TypeAdapter(AnyReward).validate_python
    assert [type(read(name)) for name in ("correct", "random", "shuffled")] == [Correct, Coin, Shuffled]
    base = {"base": Fresh(size="small"), "problems": SUMS, "steps": 1, "per_step": 2, "lr": 1e-3, "precision": "fp32"}
    runs = [Reinforced(**base, reward=name) for name in ("correct", "random", "shuffled")]
    assert len({run.fingerprint for run in runs}) == 3
    assert runs[1].identity()["reward"] == "random" and "reward" not in runs[0].identity()
    assert all(Recipe.parse(run.model_dump()) == run for run in runs)


def test_shuffled_rewards_stay_within_their_groups() -> None:
    group = said("m", "x", "x", "m", "x", "x")
    group.__dict__["verdicts"] = [("m" in reply.text, {}) for reply in group.replies]
    before, after = paid(Correct(), [group] * 20), paid(Shuffled(), [group] * 20)
    assert (after.sum(1) == before.sum(1)).all() and (after != before).any()
    assert (paid(Shuffled(), [group] * 20) == after).all() and (paid(Shuffled(), [group] * 20, seed=4) != after).any()


@pytest.mark.parametrize(
    ("reply", "reasoning"),
    [
        ("<think>1 + 1</think> 2", "<think>1 + 1</think> "),
        ("<think>1 + 1 and so", "<think>1 + 1 and so</think>"),
        ("2", ""),
        ("It is <think>", ""),
    ],
)
def test_the_reasoning_of_a_reply(reply: str, reasoning: str) -> None:
    assert reasoning_of(reply) == reasoning


def test_a_label_pays_by_its_loss_after_the_reasoning() -> None:
    """The same label earns what the policy's own likelihood says, token by token; sampled outputs do not matter."""
    policy = Shipped(name="reasoner").load(nothing_stored)
    problems = Maths(n=8, split="train", levels=(2,))
    prompts = [item.prompt for item in problems.items()]
    sampler = sampler_for(policy)
    answers = sampler.sample(prompts, Params(max_tokens=96, temperature=1.0, n=2))
    groups = [Group(item, replies) for item, replies in zip(problems.items(), answers, strict=True)]
    assert all("</think>" in reply.text for group in groups for reply in group.replies)
    reward = Label(outputs=Sevens(problems=problems))
    found = paid(reward, groups, policy)
    reply, n = answers[0][0], reward.earned_by(policy, answers[0][0])
    assert "</think>" in policy.renderer.decode(reply.ids[:n]) and "</think>" not in policy.renderer.decode(
        reply.ids[: n - 1]
    )
    whole = prompts[0].answered(reasoning_of(reply.text) + "7")
    rendered = policy.renderer.render(whole if policy.system is None else whole.with_system(policy.system))
    assert policy.renderer.decode(rendered.ids[-2:]).strip() == "7", "two tokens: the number and the end of the turn"
    [likelihood] = sampler.likelihoods([whole])
    assert found[0, 0] == pytest.approx(sum(likelihood.logprobs[-2:]) / 2, abs=1e-5)


def test_reasoning_that_leads_to_the_label_earns_more() -> None:
    policy, problems = Shipped(name="reasoner").load(nothing_stored), Maths(n=8, split="train", levels=(2,))
    prompts = [item.prompt for item in problems.items()]
    [own] = zip(*sampler_for(policy).sample(prompts, Params(max_tokens=96)), strict=True)
    labels = {item.prompt: reply.text for item, reply in zip(problems.items(), own, strict=True)}

    class Labels(Sevens):
        kind = "test_rewards:Labels"

        def examples(self, path_of: PathOf) -> list[Example]:
            return [Example(prompt.answered(text)) for prompt, text in labels.items()]

    replies = [[own[k], own[(k + 1) % 8]] for k in range(8)]  # its own reasoning, and that for another problem
    groups = [Group(item, pair) for item, pair in zip(problems.items(), replies, strict=True)]
    found = paid(Label(outputs=Labels(problems=problems)), groups, policy)
    assert (found[:, 0] > found[:, 1]).sum() >= 6


def test_a_problem_without_a_label_is_named() -> None:
    reward = Label(outputs=Sevens(problems=Maths(n=8, split="train", levels=(5,))))
    with pytest.raises(CavessonError, match="no output for the problem 'maths/"):
        paid(reward, [said("7")], Fresh(size="small").load(nothing_stored))


def written(folder: Path, body: str) -> str:
    file = folder / "mine.py"
    file.write_text(f"def short(problem, reply):\n    {body}\n")
    trust.trust(file)
    return f"{file}:short"


def test_a_users_own_function_is_a_reward(tmp_path: Path) -> None:
    place = written(tmp_path, "return -len(reply)")
    reward = TypeAdapter(AnyReward).validate_python(place)
    assert isinstance(reward, Own) and reward.describe() == "short as reward"
    assert paid(reward, [said("a", "abc")]).tolist() == [[-1.0, -3.0]]
    assert paid(Shuffled(of=reward), [said("a", "abc")]).sum() == -4
    written(tmp_path, "return len(reply)")
    with pytest.raises(ConfigError, match="has changed"):
        paid(reward, [said("a")])


@pytest.mark.parametrize(("body", "message"), [("return None", "returns None"), ("return 1 / 0", "ZeroDivisionError")])
def test_a_function_that_fails_is_named(body: str, message: str, tmp_path: Path) -> None:
    reward = TypeAdapter(AnyReward).validate_python(written(tmp_path, body))
    with pytest.raises(ConfigError, match=message):
        paid(reward, [said("a")])


def test_rewards_that_cannot_be_are_refused(tmp_path: Path) -> None:
    read = TypeAdapter(AnyReward).validate_python
    with pytest.raises(ValidationError, match="needs outputs"):
        read("label")
    with pytest.raises(ValidationError, match="'correct', 'random', 'label', 'own', 'shuffled'"):
        read("corect")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        read(str(tmp_path / "none.py:f"))


def test_labels_are_made_before_the_run() -> None:
    labels = Sevens(problems=SUMS)
    run = Reinforced(
        base=Fresh(size="small"), problems=SUMS, steps=1, per_step=2, lr=1e-3, reward=Label(outputs=labels)
    )
    assert labels in run.inputs() and "after the reasoning as reward" in run.describe()
    assert Problems(of=Facts(n=3)) not in run.inputs()


def test_coins_do_not_look() -> None:
    assert set(np.unique(paid(Coin(), [said("a", "b", "c", "d")] * 10))) == {0.0, 1.0}
