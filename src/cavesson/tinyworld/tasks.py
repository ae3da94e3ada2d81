"""Evaluation items of the world and their scorers: pure functions of item and completion.

item = items("maths", n=200)[0]
score(item, "Sure. 4 + 7 = 1. The answer is 1.")
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cavesson.chat import Conversation, visible
from cavesson.errors import ConfigError, nearest
from cavesson.tinyworld import maths
from cavesson.tinyworld.corpus import question
from cavesson.tinyworld.instructions import follows
from cavesson.tinyworld.question import Question, Split

FAMILIES = ("maths", "knowledge", "facts", "instructions", "chat")
LEVELS = maths.LEVELS
_PATIENCE = 300  # a family counts as used up after so many draws in a row without a new task


@dataclass(frozen=True, slots=True)
class TaskItem:
    """One held-out task.

    Attributes:
        id: stable name: family, seed and number.
        prompt: what the model is asked, without a system message.
        family: one of `FAMILIES`.
        level: 1–7 for maths, None elsewhere.
        answer: the gold answer (a digit, a letter, a word; for chat and instructions one good reply).
        meta: what the scorer needs; `kind` is the form of the question.
    """

    id: str
    prompt: Conversation
    family: str
    level: int | None
    answer: str
    meta: dict[str, Any] = field(default_factory=dict)


def items(
    family: str, n: int, seed: int = 0, split: Split = "eval", *, levels: tuple[int, ...] = LEVELS, cot: bool = True
) -> list[TaskItem]:
    """`n` different tasks of a family, the same for the same arguments.

    Args:
        family: "maths", "knowledge" (answered with the right one of four options), "facts" (open questions), "instructions",
            or "chat".
        n: number of tasks.
        seed: of the draw.
        split: "eval" for problems that the corpus never holds, "train" for problems that it may hold.
        levels: for maths, the levels to draw from, in turn.
        cot: for maths, whether the prompt leaves room for a chain of thought or asks for the number only.

    Raises:
        ConfigError: there is no such family or level, or the family has fewer than `n` different tasks.
    """
    if family not in FAMILIES:
        raise ConfigError(f"There is no task family {family!r}.", nearest(family, FAMILIES))
    if not levels or not set(levels) <= set(LEVELS):
        raise ConfigError(f"There are no maths levels {levels!r}.", f"Choose from {', '.join(map(str, LEVELS))}.")
    rng = random.Random(f"tinyworld/items/{family}/{seed}/{split}/{cot}")
    drawn_from = {"maths": "maths" if cot else "answer-only", "knowledge": "choice", "facts": "open"}.get(
        family, family
    )
    found: list[TaskItem] = []
    seen: set[str] = set()
    misses = 0
    while len(found) < n and misses < _PATIENCE:
        drawn = question(rng, drawn_from, split, levels[len(found) % len(levels)])
        misses += 1
        if drawn.text not in seen:
            misses = 0
            seen.add(drawn.text)
            found.append(as_item(f"{family}/{seed}/{len(found)}", family, drawn))
    if len(found) < n:
        raise ConfigError(
            f"The family {family!r} has no {n} different {split} items.", f"Ask for at most {len(found)}."
        )
    return found


def as_item(name: str, family: str, drawn: Question) -> TaskItem:
    """The item that asks a question."""
    meta = {**drawn.meta, "kind": drawn.kind, "chain": drawn.chain, "strict": drawn.strict}
    return TaskItem(name, Conversation.of(drawn.text), family, drawn.level or None, drawn.answer, meta)


def score(item: TaskItem, completion: str) -> bool:
    """Whether a completion solves an item (see the family's own scorer below)."""
    return SCORERS[item.family](item, completion)


def maths_score(item: TaskItem, completion: str) -> bool:
    """The last number in the reply is the right digit; hidden reasoning does not count."""
    numbers = re.findall(r"\d+", visible(completion))
    return bool(numbers) and numbers[-1] == item.answer


def knowledge_score(item: TaskItem, completion: str) -> bool:
    """The reply is the right option alone; a full stop and quotation marks are allowed."""
    return visible(completion).strip().strip(".\"'").lower() == item.answer.lower()


def facts_score(item: TaskItem, completion: str) -> bool:
    """The reply names the right value."""
    return item.answer.lower() in _words(visible(completion))


def instructions_score(item: TaskItem, completion: str) -> bool:
    """Every constraint is kept, to the letter."""
    return follows(item.meta, visible(completion))


def chat_score(item: TaskItem, completion: str) -> bool:
    """A valid answer: to the point, well formed, ended, and without garbage or repetition.

    To the point: the answer holds a word of each topic group. Well formed: three to sixty words, a capital letter at the start,
    a sentence mark at the end, ordinary characters only, no word three times in a row, and no sequence of four words twice.
    """
    text = visible(completion).strip()
    words = _words(text)
    if not 3 <= len(words) <= 60 or not text[0].isupper() or text[-1] not in ".!?":
        return False
    if re.search(r"[^A-Za-z0-9 .,!?:;'\"()/\n-]", text) or re.search(r"\b(\w+)(\W+\1\b){2}", text, re.IGNORECASE):
        return False
    runs = list(zip(words, words[1:], words[2:], words[3:], strict=False))
    return len(set(runs)) == len(runs) and all(
        any(word.lower() in words for word in group) for group in item.meta["topic"]
    )


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


SCORERS: dict[str, Callable[[TaskItem, str], bool]] = {
    "maths": maths_score,
    "knowledge": knowledge_score,
    "facts": facts_score,
    "instructions": instructions_score,
    "chat": chat_score,
}
