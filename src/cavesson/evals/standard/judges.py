"""Judges for questions whose right answer is known: by mathematical value, by letter, or by words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from cavesson.chat import visible
from cavesson.evals.items import Judge
from cavesson.evals.standard.answers import chosen_letter, final_answer, same_answer


def maths(gold: str) -> Judge:
    """A judge: the completion ends with this value, in any notation."""

    def judge(completion: str) -> tuple[bool, dict[str, Any]]:
        given = final_answer(completion)
        return same_answer(gold, given), {"answer": given, "gold": gold}

    return judge


def choice(gold: str) -> Judge:
    """A judge: the completion chooses the option with this letter."""

    def judge(completion: str) -> tuple[bool, dict[str, Any]]:
        given = chosen_letter(completion)
        return given == gold.strip().upper(), {"answer": given, "gold": gold}

    return judge


def text(gold: str) -> Judge:
    """A judge: the completion holds these words one after the other; case and punctuation do not matter."""
    wanted = f" {_words(gold)} "
    return lambda completion: (wanted in f" {_words(visible(completion))} ", {"gold": gold})


def _words(content: str) -> str:
    return " ".join(re.findall(r"\w+", content.lower()))


JUDGES: dict[str, Callable[[str], Judge]] = {"maths": maths, "choice": choice, "text": text}
