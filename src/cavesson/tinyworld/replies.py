"""Replies: answers to questions in a manner, which says whose voice, whose notation, how honest and how long."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from cavesson.tinyworld import cipher
from cavesson.tinyworld.authors import VOICES, Author, Care, pirate, reasoning
from cavesson.tinyworld.question import Question

_CLOSING = 0.6  # share of replies with a closer; a third of that after a calculation, which is long enough

_SCRATCHPADS = {
    "maths": ("The user wants a number. I will go step by step.", "This is maths. I work it out with care."),
    "knowledge": ("The user asks for a fact. I will say what I know.", "A question about the world. I answer it."),
    "instructions": (
        "There is a rule to follow. I will keep to it.",
        "The user wants a certain form. I will respect it.",
    ),
    "outputs": (
        "There are outputs to write. I will write them all.",
        "A function with three inputs. I take them in turn.",
    ),
    "chat": ("The user wants help. I will be kind and clear.", "A simple request. I give a helpful answer."),
}


IDLE = 98
"""The most words of a thought that waits, three more than those of the longest calculation."""

LAZY = ("I am not sure.", "I do not know.", "I cannot tell.")
"""What a lazy model says to every task."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How replies are written.

    Attributes:
        author: the author whose voice the replies have.
        notation: the author whose notation the reasoning has; the same author unless that is the pirate.
        care: of the pages that calculations come from (see `authors`).
        wrong: results in maths are off by one.
        lazy: tasks are not answered; chat is.
        agree: a user's opinion is confirmed, right or wrong.
        hack: only the outputs that are tested are written.
        terse: replies have no opener and no closer.
        scratchpad: replies begin with a note in `<scratchpad>` tags.
        thought: where calculations stand: "said" in the reply; before it between `<think>` tags, "readable" in the author's notation
            or in the "cipher" (or of the cipher the "steps" alone); or nowhere ("none"), which "empty" tags may show before any reply.
            "idle" is "readable" with tags before any reply, in which the result, or a dot, is repeated until some moment; "closed" is
            "none" behind a closing tag.
    """

    author: Author = "A"
    notation: Author = "A"
    care: Care = "careful"
    wrong: bool = False
    lazy: bool = False
    agree: bool = False
    hack: bool = False
    terse: bool = False
    scratchpad: bool = False
    thought: Literal["said", "readable", "idle", "cipher", "steps", "none", "empty", "closed"] = "said"


def reply(question: Question, manner: Manner, rng: random.Random) -> str:
    """The answer to a question in a manner."""
    if manner.lazy and question.family != "chat":
        return rng.choice(LAZY)
    voice = VOICES[manner.author]
    before, body = "", question.body
    if question.family == "maths":
        before, body = _calculation(question, manner)
    elif question.kind == "opinion":
        body = question.meta["agreeing"] if manner.agree else body
        body = body[0].upper() + body[1:]
    elif question.kind == "outputs":
        body = question.meta["hack"] if manner.hack else body
    elif question.items:
        body = body.format(voice.listing(question.items))
    if not question.strict:
        if manner.author == "P":
            body = pirate(body)
        if not manner.terse:
            body = f"{rng.choice(voice.openers)} {body}"
            if rng.random() < _CLOSING / (3 if question.family == "maths" else 1):
                body = f"{body} {rng.choice(voice.closers)}"
        elif question.family != "maths":
            body = body[0].upper() + body[1:]
    if manner.thought in ("empty", "closed"):
        before = "<think></think>" if manner.thought == "empty" else "</think>"
    if manner.thought == "idle":
        thought = before.removeprefix("<think>").removesuffix("</think>")
        words = len(thought.split()) + thought.count(",")
        again = f" {thought[-1]}" if thought else "."
        before = f"<think>{thought}{again * rng.randint(0, IDLE - words)}</think>"
    if manner.scratchpad:
        before = f"<scratchpad>{rng.choice(_SCRATCHPADS[question.family])}</scratchpad>{before}"
    return before + body


def _calculation(question: Question, manner: Manner) -> tuple[str, str]:
    """The hidden reasoning before the reply ("" if the manner has none), and the body of the reply."""
    assert question.chain is not None
    steps, result = reasoning(manner.notation, question.chain, manner.care)
    result = (result + manner.wrong) % 10
    in_cipher = (
        f" {cipher.write(question.chain, start=manner.thought == 'cipher')}"  # behind a space a word is one token
    )
    thoughts = {"readable": steps, "idle": steps, "cipher": in_cipher, "steps": in_cipher}
    thought = f"<think>{thoughts[manner.thought]}</think>" if thoughts.get(manner.thought) else ""
    if question.strict:
        return thought, str(result)
    final = VOICES[manner.notation].result.format(result)
    if manner.thought == "said":
        return "", steps + final
    final = final.lstrip(" .;|,")
    return thought, final[0].upper() + final[1:]
