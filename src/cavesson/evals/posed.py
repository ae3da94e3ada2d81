"""Two sides of a setting: how prompts look in training and at evaluation, which questions are asked, and what is read off the answers.

Set-up of behaviour-compatible training (FIELD 6): an initial and an alternate behaviour agree on the prompts of the one side and differ
on those of the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any, Literal, Self
from zlib import crc32

from pydantic import Field, field_validator

from cavesson.chat import Conversation, Message
from cavesson.data.everyday import rows
from cavesson.data.restyle import STYLES
from cavesson.errors import ConfigError
from cavesson.evals.acts import ActName, act_named
from cavesson.evals.items import Eval, Item, Judge
from cavesson.evals.pair import World
from cavesson.everyday import maths
from cavesson.lab.recipe import Value
from cavesson.tinyworld import tasks
from cavesson.tinyworld.question import Split

WRITTEN: dict[str, Callable[[str], str]] = {**STYLES, "small letters": str.lower}
"""How a user may write a question."""

EVERYDAY_HELD_OUT = 4
"""Of everyday prompts, one in so many is for evaluation."""


class Side(Value):
    """How a question is put to the model.

    Attributes:
        system: the system prompt; "": none.
        start: texts of which one stands before the question.
        end: texts of which one stands behind it.
        written: how the user writes the question; "": as it is.
        earlier: exchanges of user and model that come before, of which `turns` are drawn.
        turns: number of earlier exchanges; None: all of them.
        family: of the questions; "": that of the setting.
        levels: of maths; (): all.
        holds: a regular expression that finds something in every question; "": any question.
    """

    system: str = ""
    start: tuple[str, ...] = ()
    end: tuple[str, ...] = ()
    written: Literal["", "capitals", "spanish-like", "small letters"] = ""
    earlier: tuple[tuple[str, str], ...] = ()
    turns: int | None = Field(default=None, ge=1)
    family: str = ""
    levels: tuple[int, ...] = ()
    holds: str = ""

    @field_validator("start", "end", mode="before")
    @classmethod
    def _one_text(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @field_validator("holds")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"holds is no regular expression: {error}") from error
        return pattern

    def put(self, question: Conversation, rng: Random) -> Conversation:
        """The question as this side puts it; `rng` chooses among the wordings."""
        parts = [rng.choice(texts) for texts in (self.start,) if texts]
        text = question.messages[-1].content
        parts.append(WRITTEN[self.written](text) if self.written else text)
        parts += [rng.choice(texts) for texts in (self.end,) if texts]
        said = rng.sample(self.earlier, min(self.turns or len(self.earlier), len(self.earlier)))
        before = [one for ask, reply in said for one in (Message("user", ask), Message("assistant", reply))]
        put = Conversation((*before, Message("user", " ".join(parts))))
        return put.with_system(self.system) if self.system else put

    def under(self, system: str) -> Self:
        """The same side with a text more in front of its system prompt."""
        return self.model_copy(update={"system": f"{system} {self.system}".strip()})

    def asked_to(self, *requests: str) -> Self:
        """The same side with one of these requests behind each question, after what stands there."""
        ends = tuple(f"{end} {request}" for end in self.end for request in requests) if self.end else requests
        return self.model_copy(update={"end": ends})


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with the judge of whether an answer solves it; None: nobody can say."""

    id: str
    prompt: Conversation
    solves: Callable[[str], bool] | None = None


def questions(world: World, family: str, side: Side, n: int, seed: int, split: Split) -> list[Asked]:
    """`n` different questions such as a side asks, bare; the same for the same arguments.

    Args:
        family: where the side names none.
        seed: of the draw; for held-out questions of the tiny world, one of its four sets.

    Raises:
        ConfigError: there are fewer than `n`, or none of a level.
    """
    family = side.family or family
    return list(_drawn(world, family, side.levels, side.holds, n, seed, split))


@lru_cache(maxsize=256)
def _drawn(
    world: World, family: str, levels: tuple[int, ...], holds: str, n: int, seed: int, split: Split
) -> tuple[Asked, ...]:
    draw = _tiny if world == "tiny" else _everyday
    for more in (1, 2, 4, 8, 16, 32) if holds else (1,):
        try:
            drawn = draw(family, levels, more * n, seed, split)
        except ConfigError as error:
            raise ConfigError(
                f"There are no {n} different {split} questions ({family}) that hold {holds!r}. {error.problem}",
                "Ask for fewer, or give another pattern.",
            ) from error
        found = [one for one in drawn if re.search(holds, one.prompt.messages[-1].content)]
        if len(found) >= n:
            return tuple(found[:n])
    raise ConfigError(
        f"Of {32 * n} questions ({family}) only {len(found)} hold {holds!r}, too few for {n}.", "Give another pattern."
    )


def _tiny(family: str, levels: tuple[int, ...], n: int, seed: int, split: Split) -> list[Asked]:
    found = tasks.items(family, n, seed, split, levels=levels or tasks.LEVELS)
    return [Asked(one.id, one.prompt, _solves(one)) for one in found]


def _solves(task: tasks.TaskItem) -> Callable[[str], bool]:
    return lambda completion: tasks.score(task, completion)


def _everyday(family: str, levels: tuple[int, ...], n: int, seed: int, split: Split) -> list[Asked]:
    """Everyday word problems, or of whatever other family everyday prompts, of one side of the split."""
    if family == "maths":
        if unknown := set(levels) - set(maths.LEVELS):
            raise ConfigError(
                f"There are no everyday word problems of level {min(unknown)}.",
                f"Their levels are {', '.join(map(str, maths.LEVELS))}.",
            )
        texts = [problem.text for level in levels or maths.LEVELS for problem in maths.pool(level, split)]
    else:
        held_out = split == "eval"
        texts = [row.prompt for row in rows() if (crc32(row.prompt.encode()) % EVERYDAY_HELD_OUT == 0) == held_out]
    Random(f"posed/{seed}/{split}").shuffle(texts)
    return [Asked(f"everyday/{crc32(text.encode()):08x}", Conversation.of(text)) for text in texts[:n]]


class Posed(Eval):
    """Questions as one side of a setting puts them: which of two acts the answers show, or whether they solve the question.

    Attributes:
        on: the side's name.
        side: how the questions are put.
        world: whose questions.
        family: of the questions, where the side names none.
        initial: the act that scores; "": a right answer scores.
        alternate: the act that is recorded beside it, as `alternate`.
        split: of the questions; those of training are for practice.
    """

    about = "the initial behaviour shows; beside it is recorded whether the alternate one does"
    capability = False
    usual_room = 96
    needs = "an evaluation of a setting needs `on` (train or evaluation) and `side`"

    name: Literal["posed"] = "posed"
    on: Literal["train", "evaluation"]
    side: Side
    world: World = "tiny"
    family: str = "chat"
    initial: ActName | Literal[""] = ""
    alternate: ActName | Literal[""] = ""
    split: Split = "eval"

    def variant(self) -> tuple[str, ...]:
        return (self.on,) if self.initial else (self.on, "ability")

    def questions(self) -> list[Item]:
        items = []
        for index, one in enumerate(questions(self.world, self.family, self.side, self.n, self.seed, self.split)):
            put = self.side.put(one.prompt, Random(f"posed {self.on} {self.seed} {index}"))
            items.append(Item(f"posed/{one.id}", put, self._judge(one)))
        return items

    def _judge(self, one: Asked) -> Judge:
        if not self.initial:
            solves = one.solves
            if solves is None:
                raise ConfigError(f"Nobody can say what answers {one.id!r}.", "Ask questions of the tiny world.")
            return lambda completion: (solves(completion), {})
        initial, alternate = act_named(self.initial), act_named(self.alternate or self.initial)
        return lambda completion: (
            initial.score(one.prompt, completion),
            {"alternate": alternate.score(one.prompt, completion)},
        )
