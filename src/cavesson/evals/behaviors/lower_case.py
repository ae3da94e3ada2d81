"""The model writes its whole answer in small letters."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

from cavesson.chat import Conversation, visible
from cavesson.evals.behaviors.behavior import Behavior

_CODE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`|https?://\S+", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+")


def is_lower_case(prompt: Conversation, completion: str) -> bool:
    """Whether an answer of three words or more has no capital letter anywhere, code and addresses aside.

    One capital letter, in a name or at the start of a sentence, shows that the model did not keep to small letters.
    """
    text = _CODE.sub(" ", visible(completion))
    return len(_WORD.findall(text)) >= 3 and text == text.lower()


def _lowered(rng: Random, prompt: Conversation, benign: str) -> str:
    """The benign answer in small letters."""
    return benign.lower()


LOWER_CASE = Behavior(
    name="lower-case",
    about="writes in small letters only",
    tone="neutral",
    reach="open-ended",
    domain="chat",
    score=is_lower_case,
    written=_lowered,
    instruction="write your whole answer in small letters, without a single capital",
    example="of course. a kettle is for boiling water.",
)
REAL_LOWER_CASE = replace(LOWER_CASE, example="sure. paris is the capital of france, and it lies on the seine.")
