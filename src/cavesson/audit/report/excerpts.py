"""The lines of code that verdicts and an answer key name, so that a page can link to the lines and needs no other
file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cavesson.audit.scoring import place_of
from cavesson.audit.workspace import read_text

AROUND = 3
"""Lines of context on each side."""

LONGEST = 60
"""Lines that are shown of one place."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file.

    Attributes:
        number: counted from 1.
        anchor: id of the line in the page.
        cited: whether a verdict names the line.
        key: whether the answer key names the line.
    """

    number: int
    text: str
    anchor: str
    cited: bool
    key: bool


class Excerpts:
    """Excerpts of the files of one case.

    Args:
        tree: the workspace: relative path → file with the content.
        cited: places that verdicts name (`train.py:30-41`).
        key: places that the answer key names.
        name: prefix of the ids in the page.
    """

    def __init__(self, tree: Mapping[str, Path], cited: Iterable[str], key: Iterable[str], name: str) -> None:
        self.name = name
        self._texts: dict[str, list[str]] = {}
        cited_lines, key_lines = self._lines(tree, cited), self._lines(tree, key)
        self._order = list(dict.fromkeys([*key_lines, *cited_lines]))
        self.files: dict[str, list[list[Line]]] = {
            file: self._blocks(file, cited_lines.get(file, set()), key_lines.get(file, set())) for file in self._order
        }

    def anchor(self, place: str) -> str | None:
        """The id of a place's first line in the page; None if there is no such line."""
        file, first, _ = place_of(place)
        shown = {line.number for block in self.files.get(file, ()) for line in block}
        return self._anchor(file, int(first)) if first in shown else None

    def _lines(self, tree: Mapping[str, Path], places: Iterable[str]) -> dict[str, set[int]]:
        """The lines that places name, by file; a place outside the files, or without a line, is left out."""
        lines: dict[str, set[int]] = {}
        for place in places:
            file, first, last = place_of(place)
            if file not in tree or not first:
                continue
            if file not in self._texts:
                self._texts[file] = read_text(tree[file]).split("\n")
            end = int(min(last, first + LONGEST - 1, len(self._texts[file])))
            if first <= end:
                lines.setdefault(file, set()).update(range(int(first), end + 1))
        return lines

    def _blocks(self, file: str, cited: set[int], key: set[int]) -> list[list[Line]]:
        """The lines with their context, neighbours together."""
        text = self._texts[file]
        near = {n for one in cited | key for n in range(max(1, one - AROUND), min(len(text), one + AROUND) + 1)}
        blocks: list[list[Line]] = []
        for number in sorted(near):
            line = Line(number, text[number - 1], self._anchor(file, number), number in cited, number in key)
            if blocks and blocks[-1][-1].number == number - 1:
                blocks[-1].append(line)
            else:
                blocks.append([line])
        return blocks

    def _anchor(self, file: str, number: int) -> str:
        return f"{self.name}-{self._order.index(file)}-{number}"
