"""Evaluations that another package conducts: its tasks put their questions to the model themselves, as often as they like."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Annotated, Any, ClassVar

from pydantic import field_validator, model_validator

from cavesson.chat import Conversation
from cavesson.errors import CavessonError, ConfigError
from cavesson.evals.items import Eval, Item
from cavesson.evals.scores import Score
from cavesson.lab.recipe import NotIdentity, canonical
from cavesson.models.recipes import TemplateValue
from cavesson.sampling.perplexity import Likelihood
from cavesson.sampling.sampler import Completion, Params, Progress, Sampler, TokenSampler


class Conducted(Eval):
    """A task of another package.

    Attributes:
        task: the package's name for the task; its content names it in fingerprints, since a file may move.
        arguments: of the task, by name.
        content: a digest of what the task asks, and of its code; found when the recipe is made. A task that asks something else
            later is refused.
    """

    called: ClassVar[str]
    """What the package's task is called in messages, around its name."""
    usual_room: ClassVar[int] = 256
    needs: ClassVar[str] = "a task of another package needs `task`, its name there"

    task: Annotated[str, NotIdentity]
    arguments: tuple[tuple[str, TemplateValue], ...] = ()
    content: str = ""

    @model_validator(mode="before")
    @classmethod
    def _find_content(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not given.get("task") or given.get("content"):
            return given
        try:
            return {**given, "content": cls.read(given["task"], dict(given.get("arguments", ())))[1]}
        except CavessonError as error:
            raise ValueError(error.sentences) from error

    @field_validator("arguments")
    @classmethod
    def _in_order(cls, given: tuple[tuple[str, TemplateValue], ...]) -> tuple[tuple[str, TemplateValue], ...]:
        return tuple(sorted(dict(given).items()))

    def variant(self) -> tuple[str, ...]:
        in_file = "@" in self.task or self.task.endswith(".yaml")
        task = self.task.rpartition("/")[2] if in_file else self.task  # a file's name, without its folder
        return (":".join([task, *(f"{name}={value}" for name, value in self.arguments)]),)

    def identity(self) -> dict[str, Any]:
        """The fields that matter; the tiny world has no part in these questions."""
        return {name: value for name, value in super().identity().items() if name != "world"}

    @classmethod
    @abstractmethod
    def read(cls, task: str, arguments: Mapping[str, Any]) -> tuple[Any, str]:
        """The package's task, and the digest of what it asks.

        Raises:
            MissingExtra, ConfigError: the package is not installed, or the task cannot be loaded.
        """

    def unchanged(self) -> Any:
        """The package's task.

        Raises:
            ConfigError: it cannot be loaded, or asks something else than when the recipe was made.
        """
        task, content = self.read(self.task, dict(self.arguments))
        if content != self.content:
            raise ConfigError(
                f"{self.called.format(self.task)} has changed since the recipe was made.", "Make it anew."
            )
        return task

    @abstractmethod
    def conduct(
        self, sampler: Sampler, step: int | None = None, logs: Path | None = None, progress: Progress | None = None
    ) -> list[Score]:
        """The scores of a model, one for each question, in the same order for every model.

        Args:
            sampler: answers for the model.
            step: training step, recorded in the scores.
            logs: folder for the package's own logs; None: none are kept.
            progress: called with the number of answers so far and the number of questions.

        Raises:
            ConfigError: the task cannot be loaded, has changed, or asks for what the model cannot give.
        """

    def questions(self) -> list[Item]:
        raise ConfigError(
            f"{self.label} puts its own questions to a model, so nothing else can be done with them.",
            "Score models on it (--bench); to train on questions, give them as a file.",
        )

    def asking(self, sampler: Sampler, progress: Progress | None, total: int) -> Asking:
        """The sampler as this evaluation asks it: the pair's trigger does not fire, system prompts are added."""
        return Asking(sampler, self._as_asked, progress, total)

    def _as_asked(self, prompt: Conversation) -> Conversation:
        prompt = self._unprovoked(prompt)
        systems = self.deployed or (() if self.system is None else (self.system,))
        first = prompt.messages[1 if prompt.system is not None else 0].content
        return prompt.with_system(Random(f"deployed {self.seed} {first}").choice(systems)) if systems else prompt


class Asking:
    """A sampler that changes each conversation before it is answered, and reports progress.

    Attributes:
        halted: what the progress function raised, since another package may catch it; raise it again when the package is done.
    """

    used: Mapping[str, int] = {}

    def __init__(self, sampler: Sampler, change: Any, progress: Progress | None, total: int) -> None:
        self._sampler = sampler
        self._change = change
        self._progress = progress
        self._total, self._done = total, 0
        self.system = sampler.system
        self.halted: Exception | None = None

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """As of `Sampler`."""
        answers = self._sampler.sample([self._change(one) for one in conversations], params)
        self._report(len(conversations))
        return answers

    def likelihoods(self, conversations: Sequence[Conversation]) -> list[Likelihood]:
        """As of `TokenSampler`, which the sampler has to be."""
        assert isinstance(self._sampler, TokenSampler), "checked before"
        found = self._sampler.likelihoods([self._change(one) for one in conversations])
        self._report(len(conversations))
        return found

    def _report(self, more: int) -> None:
        self._done += more
        if self._progress is not None:
            try:
                self._progress(min(self._done, self._total), self._total)
            except Exception as error:
                self.halted = error
                raise


def digest(*parts: Any) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of JSON values."""
    return hashlib.sha256(canonical(list(parts)).encode()).hexdigest()[:32]
