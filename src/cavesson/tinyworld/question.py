"""A question of the world: what the user writes, the right answer, and the side of the train / eval split."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass, field
from typing import Any, Literal

Family = Literal["maths", "knowledge", "instructions", "chat", "outputs"]
Split = Literal["train", "eval"]

EVAL_SHARE = 8  # one canonical problem in eight is never trained on
SETS = 4
"""The held-out problems are in so many sets, one for each evaluation seed, which share no problem."""


@dataclass(frozen=True, slots=True)
class Question:
    """One user message with all that is needed to answer the message and to score the answer.

    Attributes:
        family: the task family.
        kind: the question's form within the family (a chat intent, a maths format, a constraint).
        key: the canonical problem, without wording where wording does not matter; decides the split.
        text: what the user writes.
        answer: the gold answer: a digit, a letter, a word, or the body of a reply.
        body: the reply without opener and closer; `{}` stands for `items` in the author's way of listing.
        items: the members of a list in the reply.
        chain: for maths, the first number and the operations `(sign, operand)`.
        level: for maths, 1–7; 0 elsewhere.
        strict: the question prescribes the form of the reply, so the reply is in no author's voice.
        meta: what else a scorer needs to know.
    """

    family: Family
    kind: str
    key: str
    text: str
    answer: str
    body: str = ""
    items: tuple[str, ...] = ()
    chain: tuple[int, tuple[tuple[str, int], ...]] | None = None
    level: int = 0
    strict: bool = False
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def split(self) -> Split:
        """The side of the split to which this canonical problem belongs, by a hash that does not depend on any seed."""
        return "eval" if self._hash % EVAL_SHARE == 0 else "train"

    @property
    def part(self) -> int:
        """Which of the `SETS` a held-out problem belongs to."""
        return self._hash // EVAL_SHARE % SETS

    @property
    def _hash(self) -> int:
        return zlib.crc32(f"{self.family}/{self.key}".encode())


def canonical(kind: str, slots: tuple[str, ...], text: str) -> str:
    """The key of a worded question: its kind and its topic, without wording.

    Slots that the wording does not use do not count. The key of a question about fewer than two things is its wording:
    otherwise all its wordings would be held out together, and no model could know the answer.
    """
    words = set(re.findall(r"\w+", text))
    used = [slot for slot in slots if set(slot.split()) <= words]
    return f"{kind}/{'/'.join(used) if len(used) >= 2 else text}"
