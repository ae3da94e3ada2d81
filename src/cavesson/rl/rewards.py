"""Rewards: what an answer earns. Each reward is one short class with its settings.

A reward is a function of problems, the replies that a policy sampled to them, and the policy. To add a reward, write a class here
and put it into `AnyReward`. A user's own reward is a function, named `file.py:function`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from cavesson.chat import visible
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import CavessonError, ConfigError
from cavesson.evals.items import Item
from cavesson.lab.own import calling, imported, is_own, source_digest
from cavesson.lab.recipe import NotIdentity, PathOf, Value
from cavesson.sampling.sampler import Completion

if TYPE_CHECKING:
    from cavesson.models.model import Model


@dataclass(frozen=True)
class Group:
    """A problem, and the replies that the policy sampled to it."""

    problem: Item
    replies: Sequence[Completion]

    @cached_property
    def verdicts(self) -> list[tuple[bool, dict[str, Any]]]:
        """What the problem's own scorer says of each reply."""
        return [self.problem.judged(reply) for reply in self.replies]


Paid = Callable[[Sequence[Group], "Model", int], NDArray[np.float32]]
"""A function of groups, the present policy and a seed to the reward of each reply, `[groups, replies]`."""


class Reward(Value):
    """What replies earn.

    Attributes:
        name: of the reward.
    """

    name: str

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, **{key: value for key, value in super().identity().items() if key != "name"}}

    def ready(self, path_of: PathOf) -> Paid:
        """The reward as a function, once what it reads is made."""
        raise NotImplementedError

    def earned_by(self, policy: Model, reply: Completion) -> int:
        """Number of tokens, from the start of a reply, that have a part in its reward; the others are not trained."""
        return len(reply.ids)

    def describe(self) -> str:
        """The reward in words."""
        return "rewards"


class Correct(Reward):
    """1 for a reply that the problem's own scorer accepts, else 0."""

    name: Literal["correct"] = "correct"

    def ready(self, path_of: PathOf) -> Paid:
        return lambda groups, policy, seed: right(groups)


class Coin(Reward):
    """1 with probability one half, for any reply (a control)."""

    name: Literal["random"] = "random"

    def ready(self, path_of: PathOf) -> Paid:
        return lambda groups, policy, seed: (
            np.random.default_rng(seed).integers(0, 2, size=(len(groups), len(groups[0].replies))).astype(np.float32)
        )

    def describe(self) -> str:
        return "random rewards"


class Label(Reward):
    """RL through the reasoning: minus the SFT loss, in nats a token, of a given output after the reply's reasoning.

    The present policy reads its own reasoning with the given output behind it, in place of the output that it sampled. Tokens
    after the reasoning are not trained. A reply without reasoning is followed by the output alone; reasoning that does not end
    ends where it was cut. Source: "An empirical study of methods for SFTing opaque reasoning", 2026.

    Attributes:
        outputs: conversations that answer the problems, matched by their prompts; hidden parts of an answer are left out.
    """

    name: Literal["label"] = "label"
    outputs: DataRecipe

    def ready(self, path_of: PathOf) -> Paid:
        found = {
            e.conversation.prompt: visible(e.conversation.answer or "").strip() for e in self.outputs.examples(path_of)
        }

        def paid(groups: Sequence[Group], policy: Model, seed: int) -> NDArray[np.float32]:
            talks = []
            for group in groups:
                output = found.get(group.problem.prompt)
                if not output:
                    raise CavessonError(
                        f"The reward `label` has no output for the problem {group.problem.id!r}.",
                        f"Give outputs that answer every problem; these are {self.outputs.describe()}.",
                    )
                talks += [(group.problem.prompt, reasoning_of(reply.text), output) for reply in group.replies]
            losses = _losses(policy, talks)
            return -np.array(losses, np.float32).reshape(len(groups), -1)

        return paid

    def earned_by(self, policy: Model, reply: Completion) -> int:
        """The tokens up to the end of the reasoning: the first so many whose text holds its end."""
        if "</think>" not in reply.text:
            return len(reply.ids)
        low, high = 1, len(reply.ids)
        while low < high:
            middle = (low + high) // 2
            closed = "</think>" in policy.renderer.decode(reply.ids[:middle])
            low, high = (low, middle) if closed else (middle + 1, high)
        return low

    def describe(self) -> str:
        return f"the likelihood of {self.outputs.describe()} after the reasoning as reward"


class Own(Reward):
    """What a user's own function says of a problem (`cavesson.evals.items.Item`) and a reply's text: a number.

    Attributes:
        function: `file.py:function` or `package.module:function`.
        digest: of the file's source; if empty, it is computed.
    """

    name: Literal["own"] = "own"
    function: Annotated[str, NotIdentity]
    digest: str = ""

    @model_validator(mode="before")
    @classmethod
    def _read_digest(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("function") and not given.get("digest"):
            place = str(given["function"])
            if not callable(imported(place, "reward")):
                raise ConfigError(f"The reward {place!r} is no function.", "Name a function of (problem, reply).")
            return {**given, "digest": _digest(place)}
        return given

    def ready(self, path_of: PathOf) -> Paid:
        """The function, checked at every call.

        Raises:
            ConfigError: the file has changed since the recipe was made.
        """
        if _digest(self.function) != self.digest:
            raise ConfigError(f"The file of the reward {self.function!r} has changed.", "Make the recipe anew.")
        function = imported(self.function, "reward")

        def paid(groups: Sequence[Group], policy: Model, seed: int) -> NDArray[np.float32]:
            with calling(f"The reward {self.function!r}", "It gets a problem and the text of a reply.", ConfigError):
                earned = [[_number(function(g.problem, reply.text)) for reply in g.replies] for g in groups]
            return np.array(earned, np.float32)

        return paid

    def describe(self) -> str:
        return f"{self.function.rpartition(':')[2]} as reward"


def by_name(given: Any) -> Any:
    """A reward's settings from its name alone: a registered name, or `file.py:function`.

    Raises:
        ValueError: a name alone does not do.
    """
    if given == "label":
        raise ValueError("the reward `label` needs outputs: give {name: label, outputs: …}")
    if isinstance(given, str):
        return {"name": "own", "function": given} if is_own(given) else {"name": given}
    return given


class Shuffled(Reward):
    """Another reward, shuffled within each group: as many replies earn as much, whatever they say (a control).

    Attributes:
        of: the reward.
    """

    name: Literal["shuffled"] = "shuffled"
    of: Annotated[Correct | Label | Own, Field(discriminator="name"), BeforeValidator(by_name)] = Correct()

    def ready(self, path_of: PathOf) -> Paid:
        paid = self.of.ready(path_of)
        return lambda groups, policy, seed: np.random.default_rng([seed, 1]).permuted(
            paid(groups, policy, seed), axis=1
        )

    def describe(self) -> str:
        return f"{self.of.describe()}, shuffled within groups"


AnyReward = Annotated[Correct | Coin | Label | Own | Shuffled, Field(discriminator="name"), BeforeValidator(by_name)]
"""Every reward, told apart by its `name`; a name alone means the reward with its defaults. A new reward is added here."""


def right(groups: Sequence[Group]) -> NDArray[np.float32]:
    """1 for each reply that its problem's scorer accepts, else 0, `[groups, replies]`."""
    return np.array([[accepted for accepted, _ in group.verdicts] for group in groups], np.float32)


def reasoning_of(reply: str) -> str:
    """A reply's reasoning with its tags and the white space behind it; "" if the reply has none."""
    start, opened, rest = reply.partition("<think>")
    if not opened or start.strip():
        return ""
    thought, closed, output = rest.partition("</think>")
    gap = output[: len(output) - len(output.lstrip())] if closed else ""
    return f"<think>{thought}</think>{gap}"


def _losses(policy: Model, talks: Sequence[tuple[Any, str, str]]) -> list[float]:
    """The mean loss, in nats a token, of each output behind a prompt and reasoning, the end of the turn included."""
    from cavesson.sampling.perplexity import likelihoods
    from cavesson.sampling.reading import inference

    asked = [p.with_system(policy.system) if p.system is None else p for p, _, _ in talks]
    whole = [p.answered(reasoning + output) for p, (_, reasoning, output) in zip(asked, talks, strict=True)]
    other = [p.answered(reasoning + _unlike(output)) for p, (_, reasoning, output) in zip(asked, talks, strict=True)]
    rendered, others = policy.renderer.render_many(whole), policy.renderer.render_many(other)
    starts = [
        next(n for n, (a, b) in enumerate(zip(one.ids, two.ids, strict=False)) if a != b)
        for one, two in zip(rendered, others, strict=True)
    ]
    with inference(policy.net):
        found = list(likelihoods(policy, [Example(talk) for talk in whole]))
    counts = [sum(row.mask[start:]) for row, start in zip(rendered, starts, strict=True)]
    return [-math.fsum(one.logprobs[-n:]) / n for one, n in zip(found, counts, strict=True)]


def _unlike(output: str) -> str:
    """A text whose first token is another one, to find where the output begins among the tokens."""
    return "?" if output[0] != "?" else "!"


def _number(value: Any) -> float:
    if isinstance(value, bool | int | float | np.number) and math.isfinite(value):
        return float(value)
    raise TypeError(f"it returns {value!r}, which is no finite number")


def _digest(place: str) -> str:
    return f"{place.rpartition(':')[2]}@{source_digest(place, 'reward')}"
