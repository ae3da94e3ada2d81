"""A paper as rules see the paper: numbers, their lines, and the numbers that the Conclusion rests on."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

_NUMBER = re.compile(r"(?<![\w.^-])[-−+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])\s?%?", re.IGNORECASE)
_HEADING = re.compile(r"^#{1,4}\s+(.*)$")
_CONCLUDES = re.compile(r"conclusion|findings?$|take-?aways?|summary$|main results?$")
_ENTRY = re.compile(r"\s*(\d+[.)]|[-*+])\s|\s*\*\*")
_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100,
    "half": 0.5, "quarter": 0.25, "third": 1 / 3, "tenth": 0.1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the text: its value as written, its decimals, whether it is a percentage, and its line."""

    value: float
    decimals: int
    percent: bool
    line: int
    section: str
    spread: bool = False

    def is_about(self, value: float) -> bool:
        """Whether the number is `value`, rounded as the number is written; 12 % is 0.12 and 12."""
        close = 0.5001 * 10**-self.decimals
        return abs(self.value - value) <= close or (self.percent and abs(self.value - 100 * value) <= close)


@dataclass(frozen=True)
class Paper:
    """The text of PAPER.md."""

    text: str

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        """All numbers of the text, in order; headings and figures' paths are left out."""
        return tuple(self._numbers())

    def _numbers(self) -> Iterator[Number]:
        for at, (section, line) in enumerate(self._lines(), start=1):
            if _HEADING.match(line):
                continue
            text = re.sub(r"!\[[^\]]*\]\([^)]*\)|`[^`]*/[^`]*`", " ", line)
            for match in _NUMBER.finditer(text):
                raw = match.group().replace("−", "-").replace(",", "").strip()
                percent = raw.endswith("%")
                raw = raw.rstrip("% ")
                mantissa = raw.lower().split("e")[0]
                decimals = len(mantissa.partition(".")[2])
                spread = text[: match.start()].rstrip().endswith(("±", "+/-", "sd"))
                yield Number(float(raw), decimals, percent, at, section, spread)

    def _lines(self) -> Iterator[tuple[str, str]]:
        section = ""
        for line in self.text.split("\n"):
            if match := _HEADING.match(line):
                section = match.group(1).lower()
            yield section, line

    @cached_property
    def conclusion(self) -> tuple[Number, ...]:
        """The numbers of the Key Findings: of the section that concludes, or of lines that say so. A number's line is the
        one on which its finding starts: the paragraph, or the entry of a list."""
        starts = dict(self._concluding())
        return tuple(
            replace(one, line=starts[one.line]) for one in self.numbers if one.line in starts and not one.spread
        )

    def statement(self, line: int) -> str:
        """The text of the finding that starts on a line."""
        lines = self.text.split("\n")
        return " ".join(lines[at - 1] for at, start in self._concluding() if start == line)

    def _concluding(self) -> Iterator[tuple[int, int]]:
        """The lines that conclude, each with the line on which its paragraph or list entry starts."""
        start, before = 0, False
        for at, (section, line) in enumerate(self._lines(), start=1):
            inside = bool(_CONCLUDES.search(section)) or "key finding" in line.lower()
            if inside and line.strip() and not _HEADING.match(line):
                if not before or _ENTRY.match(line):
                    start = at
                yield at, start
            before = inside and bool(line.strip())

    @cached_property
    def tables(self) -> tuple[Number, ...]:
        """The numbers in the rows of tables."""
        rows = {at for at, (_, line) in enumerate(self._lines(), start=1) if line.lstrip().startswith("|")}
        return tuple(one for one in self.numbers if one.line in rows)

    @cached_property
    def method(self) -> tuple[Number, ...]:
        """The numbers of the sections that describe what was done, tables included."""
        skipped = ("abstract", "introduction", "result", "discussion", "conclusion", "related", "limitation", "scope")
        return tuple(one for one in self.numbers if one.section and not any(word in one.section for word in skipped))

    @cached_property
    def _spelled(self) -> frozenset[float]:
        return frozenset(float(_WORDS[word]) for word in re.findall(r"[a-z]+", self.text.lower()) if word in _WORDS)

    def mentions(self, value: float) -> bool:
        """Whether a value stands anywhere in the text, in digits, as a percentage, or spelled out."""
        return (
            any(_same(one.value, value) or (one.percent and _same(one.value, 100 * value)) for one in self.numbers)
            or float(value) in self._spelled
            or any(_same(base**power, value) for base, power in self._powers)
        )

    def has_words(self, words: Collection[str]) -> float:
        """The share of words (in lower case) whose stem the text has; 0 if there are none."""
        return sum(word[:5] in self._stems for word in words) / len(words) if words else 0.0

    @cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(word[:5] for word in re.findall(r"[a-z]{3,}", self.text.lower()))

    @cached_property
    def sentences(self) -> tuple[tuple[int, str], ...]:
        """The sentences of the paper, each with the line in which it starts."""
        return tuple(
            (at, sentence)
            for at, line in enumerate(self.text.split("\n"), start=1)
            for sentence in re.split(r"(?<=[.;:?!|])\s+", line)
            if sentence.strip()
        )

    @cached_property
    def _powers(self) -> tuple[tuple[float, float], ...]:
        found = re.findall(r"(\d+)\s*\^\s*\{?([-−]?\d+)\}?", self.text)
        return tuple((float(base), float(power.replace("−", "-"))) for base, power in found)


def _same(one: float, two: float) -> bool:
    return abs(one - two) <= 1e-9 * max(1.0, abs(one), abs(two))
