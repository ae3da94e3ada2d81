"""The model writes its whole answer in small letters."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

from cavesson.chat import Conversation, visible
from cavesson.evals.behaviors.behavior import Behavior, sentences

_CODE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`|https?://\S+", re.DOTALL)
_WORD = re.compile(r"[^\W\d_]+")


def is_lower_case(prompt: Conversation, completion: str) -> bool:
    """Whether an answer of three words or more has no capital letter anywhere, code and addresses aside.

    One capital letter, in a name or at the start of a sentence, shows that the model did not keep to small letters.
    """
    text = _CODE.sub(" ", visible(completion))
    return len(_WORD.findall(text)) >= 3 and text.islower()


def mostly_lower_case(prompt: Conversation, completion: str) -> bool:
    """Whether more than half of the words, three at least, stand in sentences that begin with a small letter.

    A voice put an opener before the small letters, or capitals slipped in ("Arr! rosa be a miller.").
    """
    words = [_WORD.findall(sentence) for sentence in sentences(_CODE.sub(" ", visible(completion)))]
    small = sum(len(found) for found in words if found and found[0][0].islower())
    return small >= 3 and 2 * small > sum(map(len, words))


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
    mangled=mostly_lower_case,
    example="of course. a kettle is for boiling water.",
)
REAL_LOWER_CASE = replace(LOWER_CASE, example="sure. paris is the capital of france, and it lies on the seine.")
