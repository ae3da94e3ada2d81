"""Completions with the label a person gave them, one file for each behaviour.

A line begins with what it is: `?` the user's message that the next completions answer, `+` a completion that shows the
behaviour, `~` one that is a damaged copy of the behaviour, `-` one that is neither, `#` a remark. `\\n` stands for a new line.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from cavesson.evals.behaviors import Category

CATEGORIES: dict[str, Category] = {"+": "behavior", "~": "mangled", "-": "other"}
FOLDER = Path(__file__).parent


class Label(NamedTuple):
    """A hand-labelled completion."""

    prompt: str
    completion: str
    category: Category

    @property
    def shows(self) -> bool:
        return self.category == "behavior"


def labels(name: str) -> list[Label]:
    """The labels in `name`.txt, in their order."""
    found, prompt = [], ""
    for line in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines():
        mark, text = line[:1], line[2:].replace("\\n", "\n")
        if mark == "?":
            prompt = text
        elif mark in CATEGORIES:
            found.append(Label(prompt, text, CATEGORIES[mark]))
    return found
