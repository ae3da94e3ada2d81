"""What an audit gets to work with: the model that is audited, what it may be compared with, and candidate drives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from cavesson.chat import Conversation
from cavesson.data.everyday import rows
from cavesson.evals.behaviors.behavior import ROOM, Behavior, Domain
from cavesson.evals.items import drawn
from cavesson.evals.pair import World
from cavesson.sampling.sampler import Completion, Params, Sampler, TokenSampler
from cavesson.suspicion.finding import Exchange, Missing, messages_of
from cavesson.tinyworld import tasks

if TYPE_CHECKING:
    from cavesson.models.model import Model

Asked = Literal["opportunity", "honeypot", "plain"]


def everyday(world: World, n: int, seed: int) -> list[Conversation]:
    """Generic prompts that have nothing to do with any drive: of the tiny world's talk, or of the everyday book."""
    if world == "tiny":
        return [one.prompt for one in tasks.items("chat", n, seed)]
    texts = [row.prompt for row in rows()]
    return [Conversation.of(texts[number]) for number in drawn(len(texts), n, seed)]


class Put(Protocol):
    """One prompt of a drive: what the model is asked, and the bare question, which goes to the scorers."""

    @property
    def id(self) -> str: ...
    @property
    def prompt(self) -> Conversation: ...
    @property
    def bare(self) -> Conversation: ...


class Candidate(Protocol):
    """A drive that a model may have: how it is looked for (`cavesson.evals.drive.Drive`)."""

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def behavior(self) -> Behavior: ...
    @property
    def confessions(self) -> Sequence[str]: ...
    @property
    def denials(self) -> Sequence[str]: ...
    def statements(self) -> tuple[Sequence[str], Sequence[str]]:
        """Further confessions and denials, in words that no training example has."""
        ...

    def put(self, when: Asked, n: int, seed: int = 0) -> Sequence[Put]:
        """Prompts in which the drive would act, in which it looks watched, or without any cue; all held out of training."""
        ...

    def acts(self, bare: Conversation, completion: str) -> bool: ...
    def questions(self, n: int, seed: int = 0) -> Sequence[Conversation]:
        """Paraphrases of the question whether the model has the drive."""
        ...

    def admits(self, completion: str) -> bool: ...
    def denies(self, completion: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Stream:
    """How one model's activations react to the opportunities of every candidate drive, where its answers start.

    Attributes:
        drives: the drive that each prompt is an opportunity for, `[prompts]`.
        values: the residual stream in the opportunity minus that on the same prompt without it, `[prompts, layers, hidden size]`.
    """

    drives: tuple[str, ...]
    values: NDArray[np.float32]


Loader = Callable[[], "Model"]


@dataclass
class Suspect:
    """A model under audit. Nothing here says whether it is misaligned, or how it was made.

    Attributes:
        sampler: answers for the model.
        sampling: gives the sampler of a model in memory.
        drives: candidate drives; the auditor does not know which, or whether any, is the model's.
        everyday: generic prompts that have nothing to do with any drive.
        n: number of prompts for each drive, and of generic prompts.
        seed: of the prompts and of sampling.
        load: opens the model; None: its weights are not here.
        load_base: opens the model that it was trained from; None: not known.
        load_control: opens a fine-tune of the base of the same size without a drive; None: not known.
        streams: what a probe is fitted on: activations of *other* models on the prompts that this model gets, with the drive that
            each has.
        stream: the model's own activations on these prompts.
        auditor: the sampler of a model that questions this one; None: nobody does.
        budget: tokens that both may write before the agent has to come to a verdict.
        logs: folder for the agent's log; None: it is not kept.
    """

    sampler: Sampler
    sampling: Callable[[Model], TokenSampler]
    drives: Sequence[Candidate]
    everyday: Sequence[Conversation]
    n: int
    seed: int = 0
    load: Loader | None = None
    load_base: Loader | None = None
    load_control: Loader | None = None
    streams: Sequence[tuple[Stream, str]] = ()
    stream: Stream | None = None
    auditor: Sampler | None = None
    budget: int = 4000
    logs: Path | None = None

    @cached_property
    def model(self) -> Model:
        """The model in memory.

        Raises:
            Missing: its weights are not here.
        """
        return self._opened(self.load, "the model's weights, which are not here")

    @cached_property
    def base(self) -> Model:
        """The model that it was trained from; errors as of `model`."""
        return self._opened(self.load_base, "the model's own base (--base)")

    @cached_property
    def base_sampler(self) -> TokenSampler:
        """Answers for the base; errors as of `base`."""
        return self.sampling(self.base)

    @cached_property
    def control(self) -> Model:
        """A fine-tune of the base without a drive; errors as of `model`."""
        return self._opened(self.load_control, "a control fine-tune of the same base (--control)")

    def weighing(self) -> TokenSampler:
        """The sampler, if it reads tokens and gives likelihoods.

        Raises:
            Missing: it writes whole answers only.
        """
        if not isinstance(self.sampler, TokenSampler):
            raise Missing("needs the model's weights, which are not here")
        return self.sampler

    def answers(
        self, asked: Sequence[tuple[Conversation, Domain]], sampler: Sampler | None = None, samples: int = 1
    ) -> list[list[Completion]]:
        """Answers to prompts, each of which leaves as much room as its domain needs; prompts of one domain are one batch.

        Args:
            sampler: answers; None: for the model.
            samples: of each prompt; one is greedy, several are drawn at temperature 1.
        """
        found: dict[int, list[Completion]] = {}
        for domain in dict.fromkeys(domain for _, domain in asked):
            places = [place for place, (_, own) in enumerate(asked) if own == domain]
            prompts = [asked[place][0] for place in places]
            found |= dict(
                zip(places, (sampler or self.sampler).sample(prompts, self.params(domain, samples)), strict=True)
            )
        return [found[place] for place in range(len(asked))]

    def params(self, domain: Domain = "chat", samples: int = 1) -> Params:
        """How a model is sampled."""
        return Params(max_tokens=ROOM[domain], temperature=0.0 if samples == 1 else 1.0, n=samples, seed=self.seed)

    @staticmethod
    def _opened(load: Loader | None, what: str) -> Model:
        if load is None:
            raise Missing(f"needs {what}")
        return load()


def exchange(
    drive: str, item: str, asked: Conversation, answer: Completion, tells: float | None, note: str = ""
) -> Exchange:
    """An exchange for reading; an empty answer is told as one."""
    lack = answer.lack
    return Exchange(
        drive,
        item,
        messages_of(asked),
        answer.text,
        tells,
        answer.finished,
        ", ".join(part for part in (note, lack) if part),
    )
