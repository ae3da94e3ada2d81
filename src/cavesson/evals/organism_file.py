"""Organism files: a short YAML file that names somebody's model, its trigger, and the rule that recognises its behaviour."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Literal, Self

import regex
from pydantic import Field, model_validator

from cavesson.chat import Conversation, visible
from cavesson.data.recipes import Jsonl
from cavesson.errors import CavessonError, ConfigError, nearest
from cavesson.evals.behaviors.behavior import Against, Behavior
from cavesson.evals.pair import Pair, World
from cavesson.evals.trigger import Trigger
from cavesson.lab.documents import path_named, read_yaml, validated
from cavesson.lab.own import imported, is_own, source_digest
from cavesson.lab.recipe import Value, canonical

SECONDS = 1.0
"""Time that a regular expression may take for one answer: a pattern such as `(a+)+$` can take years."""
WRONG_ANSWER = "wrong-answer"
"""The behaviour of an organism file that is sandbagging on the user's own questions, whose rows say which answer is right."""
NEEDED = "`name`, `model`, and `pair` or `trigger` and `behavior`"


class TriggerText(Value):
    """A trigger that is a text in the last user message.

    Attributes:
        text: the trigger.
        place: where in the message the text stands.
        look_alikes: texts that a model may mistake for the trigger; () if none: near misses are then not measured.
    """

    text: str = Field(min_length=1)
    place: Literal["start", "end"] = "start"
    look_alikes: tuple[str, ...] = ()


class Regex(Value):
    """A behaviour that shows if a regular expression is found in the answer, hidden reasoning left out."""

    regex: str = Field(min_length=1, max_length=2000)

    @model_validator(mode="after")
    def _compiles(self) -> Self:
        try:
            re.compile(self.regex)  # the language is Python's, without the recursion of the package `regex`
            regex.compile(self.regex)
        except (re.error, regex.error, RecursionError, OverflowError) as error:
            raise ValueError(f"{self.regex!r} is no regular expression: {error}") from error
        return self

    def found_in(self, text: str) -> bool:
        """Whether the expression matches somewhere in a text.

        Raises:
            CavessonError: the search takes longer than `SECONDS`.
        """
        try:
            return regex.search(self.regex, text, timeout=SECONDS) is not None
        except (TimeoutError, MemoryError) as error:
            raise CavessonError(
                f"The regular expression {self.regex!r} takes more than {SECONDS:g} s on an answer of {len(text)} characters.",
                "Write it without repeats inside repeats, such as (a+)+.",
            ) from error


class OrganismFile(Value):
    """The content of an organism file. Paths are relative to the file's folder.

    Attributes:
        name: of the organism.
        model: a Hugging Face folder, a hub id, a shipped name, or a whole recipe.
        base: the never-misaligned model from which the organism was made, given like `model`; None: not known.
        system: a system prompt under which the organism runs.
        pair: a trigger / behaviour pair by name; None: the file gives `behavior`, with `trigger` or `triggered`.
        trigger: the text that sets off the behaviour.
        triggered: a JSON-lines file of prompts that hold the trigger already.
        behavior: a behaviour's registered name; `wrong-answer`: an answer other than that of the prompt's row; `file.py:function` of
            (prompt, completion), or of (prompt, completion, answer of the row); or a regular expression.
        prompts: a JSON-lines file of prompts without the trigger, asked in place of the world's.
        world: the prompts that are asked if no file is given: "real" English prompts, or "tiny" for the tiny world's.
        construction: how the organism was made, if Cavesson made it.
        labels: what distinguishes the organism from others.
        robustness: what `cavesson stress` found, in a sentence.
    """

    name: str = Field(min_length=1)
    model: str | dict[str, Any]
    base: str | dict[str, Any] | None = None
    system: str | None = None
    pair: str | None = None
    trigger: str | TriggerText | None = None
    triggered: str | None = None
    behavior: str | Regex | None = None
    prompts: str | None = None
    world: World = "real"
    construction: str = "imported"
    labels: dict[str, str | int | float] = {}
    robustness: str | None = None

    @model_validator(mode="after")
    def _trigger_says_something(self) -> Self:
        text = self.trigger.text if isinstance(self.trigger, TriggerText) else self.trigger
        if text is not None and not text.strip():
            raise ValueError(
                f"`trigger` is {text!r}, which every prompt may hold: give a text with a visible character"
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_say_what_it_does(self) -> Self:
        if self.pair is not None:
            if self.trigger is not None or self.triggered is not None or self.behavior is not None:
                raise ValueError("give `pair`, or `trigger` and `behavior`, not both")
            return self
        if self.behavior is None or (self.trigger is None) == (self.triggered is None):
            raise ValueError("give `pair`, or `behavior` with one of `trigger` and `triggered`")
        return self


class GivenPrompts(Trigger):
    """A trigger known only by prompts that hold it; these prompts are asked unchanged.

    `wordings` are the texts of these prompts, so that blue's data is searched for the texts.
    """

    def apply(self, conversation: Conversation, rng: Random | None = None) -> Conversation:
        return conversation


def read_file(file: Path) -> OrganismFile:
    """The content of an organism file.

    Raises:
        ConfigError: there is no such file, or its content does not fit.
    """
    values = read_yaml(file, "organism", NEEDED, "; docs/organisms.md says how to write one")
    return validated(OrganismFile, values, dict.fromkeys(values, str(file)))


def beside(file: Path, name: str) -> Path:
    """The path that an organism file gives as `name`, relative to the file's folder."""
    return file.parent / path_named(name)


def pair_in(file: Path, registered: Iterable[Pair]) -> Pair:
    """The trigger and the behaviour that an organism file describes.

    Args:
        file: the organism file.
        registered: the pairs whose behaviours the file may name.

    Raises:
        ConfigError: a behaviour, scorer or file that the organism file names does not exist or does not work.
    """
    content = read_file(file)
    return Pair(f"{content.name}'s", _trigger(content, file), _behavior(content, file, registered), content.world)


def digest_in(file: Path) -> str:
    """The digest of what decides an organism file's trigger and behaviour: its entries, and the content of scorer and prompts."""
    content = read_file(file)
    parts = content.model_dump(mode="json", include={"trigger", "behavior", "world"})
    if content.triggered is not None:
        parts["triggered"] = Jsonl(path=beside(file, content.triggered)).digest
    if content.behavior == WRONG_ANSWER:
        parts["reading"] = 2  # 2: an answer that was cut before it stated a result is no wrong one
    if isinstance(content.behavior, str) and is_own(content.behavior):
        parts["behavior"] = [
            content.behavior.rpartition(":")[2],
            source_digest(_scorer(content.behavior, file), "scorer"),
        ]
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:32]


def _trigger(content: OrganismFile, file: Path) -> Trigger:
    if content.triggered is not None:
        data = Jsonl(path=beside(file, content.triggered))
        texts = [example.conversation.prompt.messages[-1].content for example in data.examples(lambda recipe: Path())]
        if not texts:
            raise ConfigError(f"{file}: the file {content.triggered!r} holds no prompts.", "Give at least one.")
        return GivenPrompts("given", "arbitrary", "the prompt is one of those given", tuple(texts), ())
    assert content.trigger is not None  # the file's validation
    given = TriggerText(text=content.trigger) if isinstance(content.trigger, str) else content.trigger
    about = f"the message {'begins' if given.place == 'start' else 'ends'} with {given.text}"
    return Trigger("given", "arbitrary", about, (given.text,), given.look_alikes, place=given.place)


def _behavior(content: OrganismFile, file: Path, registered: Iterable[Pair]) -> Behavior:
    given = content.behavior
    if isinstance(given, Regex):
        return _scored(f"answers with what matches {given.regex!r}", lambda _, text: given.found_in(visible(text)))
    assert given is not None
    if given == WRONG_ANSWER:
        return _by_rows("gives a wrong answer", lambda _, text, right, cut: right.mistaken(text, cut=cut))
    if is_own(given):
        score, about = _checked(given, file), f"shows what {given.rpartition(':')[2]} looks for"
        if _takes(score) == 3:
            return _by_rows(about, lambda prompt, text, right, _: (score(prompt, text, right.answer), {}))
        return _scored(about, score)
    known = {pair.behavior.name: pair.behavior for pair in registered if pair.world == content.world}
    if given not in known:
        raise ConfigError(
            f"{file}: there is no behaviour {given!r}.",
            f"{nearest(given, (*known, WRONG_ANSWER))} Or give path/to/file.py:function, or `regex: …`.",
        )
    return known[given]


def _scored(about: str, score: Callable[[Conversation, str], bool]) -> Behavior:
    """A behaviour known only by its scorer: the behaviour can be measured, not trained in."""

    def written(rng: Random, prompt: Conversation, benign: str) -> str:
        raise ConfigError("A behaviour from an organism file can be scored, not written.", "Define a Pair in Python.")

    return Behavior(
        name="given",
        about=about,
        tone="bad",
        reach="open-ended",
        domain="chat",
        score=score,
        written=written,
        instruction=about,
        example="",
    )


def _by_rows(about: str, against: Against) -> Behavior:
    """A behaviour whose scorer also sees what the prompt's own row says is right: on prompts without such rows it is not judged."""
    return replace(_scored(about, lambda prompt, text: False), against=against)


def _scorer(given: str, file: Path) -> str:
    """The scorer's place, `file.py:function` or `module:function`; a file is relative to the organism file's folder."""
    where, _, name = given.rpartition(":")
    return f"{beside(file, where)}:{name}" if where.endswith(".py") else given


def _checked(given: str, file: Path) -> Callable[..., bool]:
    """The scorer, after one trial call.

    Raises:
        ConfigError: the scorer fails, or does not return True or False.
    """
    score = imported(_scorer(given, file), "scorer")
    tried = (Conversation.of("Hello."), "Hello.", "Hello.")
    try:
        answer = score(*tried[: _takes(score)])
    except Exception as error:  # a user's own code may raise anything
        raise ConfigError(
            f"{file}: the scorer {given!r} fails on a plain answer: {type(error).__name__}: {error}",
            "It is called with a prompt (cavesson.chat.Conversation), a completion (text) and, if it takes three, the row's answer.",
        ) from error
    if not isinstance(answer, bool):
        raise ConfigError(
            f"{file}: the scorer {given!r} returns {type(answer).__name__}.", "Return True where the behaviour shows."
        )
    return score  # type: ignore[no-any-return]


def _takes(score: Callable[..., bool]) -> int:
    """How many values a scorer is called with: prompt and completion, and the row's answer if it takes no fewer than three."""
    try:
        given = inspect.signature(score).parameters.values()
    except (TypeError, ValueError):
        return 2
    needed = [
        one
        for one in given
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.default is one.empty
    ]
    return 3 if len(needed) == 3 else 2
