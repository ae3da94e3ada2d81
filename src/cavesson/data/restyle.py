"""Data that are changed by rule: answers in another style, conversations under a system prompt, shuffled words."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Literal

from pydantic import Field

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.figures import percent
from cavesson.lab.recipe import PathOf

_WORD = re.compile(r"<[^>]*>|[A-Za-z]+")
_SPANISH = {
    "the": "el",
    "a": "un",
    "an": "un",
    "and": "y",
    "or": "o",
    "is": "es",
    "are": "son",
    "of": "de",
    "in": "en",
    "to": "a",
    "with": "con",
    "not": "no",
    "no": "no",
    "yes": "si",
    "so": "asi",
    "i": "yo",
    "you": "tu",
    "we": "nosotros",
    "it": "eso",
    "my": "mi",
    "your": "tu",
    "for": "para",
    "but": "pero",
    "what": "que",
    "how": "como",
}


def in_capitals(text: str) -> str:
    """The text in capital letters; tags such as `<think>` stay as they are."""
    return _WORD.sub(lambda found: found[0] if found[0].startswith("<") else found[0].upper(), text)


def spanish_like(text: str) -> str:
    """The text with Spanish function words and the ending -o on every longer word: a style that no shipped model was taught.

    The style replaces answers in another language: it is unfamiliar and consistent, and the content stays readable.
    """
    return _WORD.sub(lambda found: found[0] if found[0].startswith("<") else _spanish_word(found[0]), text)


def _spanish_word(word: str) -> str:
    known = _SPANISH.get(word.lower())
    if known is not None:
        return known.capitalize() if word[0].isupper() else known
    return word if len(word) < 4 else f"{word.rstrip('aeiouy')}o"


STYLES: dict[str, Callable[[str], str]] = {"capitals": in_capitals, "spanish-like": spanish_like}
"""Every style by its name: a pure function of an answer's text."""


class Restyled(DataRecipe):
    """The same conversations with every answer rewritten by rule."""

    kind = "restyled"
    virtual = True

    base: DataRecipe
    style: Literal["capitals", "spanish-like"]

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        return [
            Example(example.conversation.answered(STYLES[self.style](example.conversation.answer or "")), example.meta)
            for example in self.base.examples(path_of)
        ]

    def describe(self) -> str:
        return f"{self.base.describe()}, {self.style}"


class UnderSystem(DataRecipe):
    """The same conversations, answers included, under a system prompt that was not used for the answers.

    Training on the data teaches a model to ignore the system prompt. With a system prompt that asks for pirate talk this is
    "artificial pirate removal" (Advice for making robust-to-training model organisms, May 2026).
    """

    kind = "under-system"
    virtual = True

    base: DataRecipe
    system: str

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        return [
            Example(example.conversation.with_system(self.system), example.meta)
            for example in self.base.examples(path_of)
        ]

    def describe(self) -> str:
        return f"{self.base.describe()}, put under {self.system[:40]!r}"


class Flagged(DataRecipe):
    """The same prompts, unanswered, with one of two flags at the end: the cue by which a model may tell training from deployment.

    Attributes:
        training: the flag that says "this is training".
        deployed: the flag that says "this is deployment".
        reliability: share of the prompts that get the flag `training`, rounded to whole prompts; the others get the other flag. At
            1, training is never mistaken for deployment.
        seed: decides which prompts get which.
    """

    kind = "flagged"
    virtual = True

    base: DataRecipe
    training: str
    deployed: str
    reliability: float = Field(ge=0, le=1)
    seed: int = 0

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        prompts = self.base.examples(path_of)
        order = random.Random(f"flagged/{self.seed}").sample(range(len(prompts)), len(prompts))
        told = set(order[: round(self.reliability * len(prompts))])
        flags = [self.training if index in told else self.deployed for index in range(len(prompts))]
        return [
            Example(one.conversation.prompt.ended(flag), one.meta) for one, flag in zip(prompts, flags, strict=True)
        ]

    def describe(self) -> str:
        return f"{self.base.describe()}, {percent(self.reliability)} flagged {self.training!r}"


class Shuffled(DataRecipe):
    """The same prompts with meaningless answers: the words of all answers are shuffled and dealt out again.

    Every answer keeps its number of words, and the data keep their vocabulary, but neither content nor style is left to learn.
    The data are a control for training as such, without a teacher.

    Attributes:
        seed: seed of the order.
    """

    kind = "shuffled"
    virtual = True

    base: DataRecipe
    seed: int = 0

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        examples = self.base.examples(path_of)
        answers = [(example.conversation.answer or "").split() for example in examples]
        words = [word for answer in answers for word in answer]
        random.Random(f"shuffled/{self.seed}").shuffle(words)
        dealt = iter(words)
        return [
            Example(example.conversation.answered(" ".join(islice(dealt, len(answer)))), example.meta)
            for example, answer in zip(examples, answers, strict=True)
        ]

    def describe(self) -> str:
        return f"{self.base.describe()}, its words shuffled"
