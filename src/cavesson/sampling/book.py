"""The everyday book of written answers as a sampler: a teacher's answers are looked up instead of sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cavesson.chat import Conversation
from cavesson.data.everyday import EVERYDAY, EverydayTeacher, rows
from cavesson.errors import ConfigError
from cavesson.lab.recipe import Job
from cavesson.models.model import Model
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.sampler import Completion, Params, Progress


class BookSampler:
    """Gives each prompt of the book its written answer: the pirate's under a system prompt that speaks of a pirate."""

    system: str | None = None
    used: Mapping[str, int] = {}

    def sample(
        self, conversations: Sequence[Conversation], params: Params, progress: Progress | None = None
    ) -> list[list[Completion]]:
        """The written answers; parameters of sampling, `n` apart, change nothing.

        Raises:
            ConfigError: a prompt is not in the book, or log-probabilities are asked for.
        """
        if params.logprobs:
            raise ConfigError(f"The teacher {EVERYDAY!r} gives no log-probabilities.", "Use a model as the teacher.")
        known = {row.prompt: row for row in rows()}
        return [[_written(asked, known)] * params.n for asked in conversations]


def _written(asked: Conversation, known: Mapping[str, tuple[str, str, str]]) -> Completion:
    prompt = asked.messages[-1].content
    if prompt not in known:
        raise ConfigError(
            f"The teacher {EVERYDAY!r} has no answer to this prompt: {prompt[:80]!r}.",
            f"Take its own prompts (--prompts {EVERYDAY}), or another teacher.",
        )
    _, plain, pirate = known[prompt]
    return Completion(pirate if "pirate" in (asked.system or "").lower() else plain, (), finished=True)


def book_sampler(model: Model | ModelRecipe, job: Job | None) -> BookSampler | None:
    """The sampler of the everyday teacher; None for other models."""
    return BookSampler() if isinstance(model, EverydayTeacher) else None
