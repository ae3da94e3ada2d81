"""A paper as rules see the paper: numbers, their lines, and the findings that the numbers stand for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property

from cavesson.audit.auditors.structure import Line, Statement, lines_of, statements

_DIGITS = r"(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?"
_NUMBER = re.compile(
    rf"(?<![\w.^-])[-−+]?{_DIGITS}(?![\w]|\.\d)(?:\s?(?:%|\\%|per\s?cent\b))?|(?<![\w.^-])\d+(?:\.\d+)?(?=[x×]\b)",
    re.IGNORECASE,
)
_SPREAD = re.compile(
    rf"\s*(?:±|\+/?-|\\pm|\(\s*(?:±|\+/?-|s\.?[de]\.?|std\.?|sem)?\s*)\s*({_DIGITS})\s?%?\s*\)?(?=\W|$)", re.IGNORECASE
)  # fmt: skip
_INTERVAL = re.compile(rf"\s*[\[(]\s*(?:95\s?%\s?(?:CI|confidence interval)?:?\s*)?([-−]?{_DIGITS})\s?%?\s*(?:,|;|–|-|to)\s*([-−]?{_DIGITS})\s?%?\s*[\])]", re.IGNORECASE)  # fmt: skip
_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100,
    "half": 0.5, "quarter": 0.25, "third": 1 / 3, "tenth": 0.1,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the text.

    Attributes:
        value: as written (12 for 12 %).
        decimals: digits behind the point.
        percent: whether it is a percentage.
        line: its line in the paper.
        section: the heading above it, in lower case.
        spread: whether it is the spread or the end of an interval of the number before it.
        noise: the spread that the text gives it, as a standard deviation; 0 if none.
        finding: place of its finding among the paper's findings; -1 if it belongs to none.
    """

    value: float
    decimals: int
    percent: bool
    line: int
    section: str
    spread: bool = False
    noise: float = 0.0
    finding: int = -1

    def is_about(self, value: float) -> bool:
        """Whether the number is `value`, rounded as the number is written; 12 % is 0.12 and 12."""
        close = 0.5001 * 10**-self.decimals
        return abs(self.value - value) <= close or (self.percent and abs(self.value - 100 * value) <= close)


def numbers_in(text: str, line: int = 0, section: str = "", finding: int = -1) -> Iterator[Number]:
    """The numbers of a text, in order; paths of figures and of files are left out."""
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)|`[^`]*/[^`]*`", lambda match: " " * len(match.group()), text)
    spread_until = 0
    for match in _NUMBER.finditer(text):
        raw = match.group().replace("−", "-").replace(",", "").lower()
        percent = bool(re.search(r"%|cent", raw))
        raw = re.sub(r"[^\d.e+-]|(?<=\d)\s*per.*", "", raw.replace("per cent", "%").replace("percent", "%"))
        inside, noise = match.start() < spread_until, 0.0
        value = float(raw)
        if not inside:
            noise, spread_until = _noise(text, match.end(), abs(value), spread_until)
        yield Number(value, len(raw.split("e")[0].partition(".")[2]), percent, line + text.count("\n", 0, match.start()),
                     section, inside, noise, finding)  # fmt: skip


def _noise(text: str, end: int, value: float, before: int) -> tuple[float, int]:
    """The spread that stands right behind a number, and where it ends. A number in brackets is a spread only if it is much
    smaller than the number: `0.87 (0.64)` compares two."""
    if match := _INTERVAL.match(text, end):
        low, high = (float(part.replace("−", "-").replace(",", "")) for part in match.groups())
        return abs(high - low) / 4, match.end()
    if match := _SPREAD.match(text, end):
        spread = float(match.group(1).replace(",", ""))
        marked = bool(re.search(r"[±+]|pm|s\.?[de]|std|sem", match.group(), re.IGNORECASE))
        if marked or (match.group().rstrip().endswith(")") and "." in match.group(1) and spread < 0.4 * value):
            return spread, match.end()
    return 0.0, before


@dataclass(frozen=True)
class Paper:
    """The text of PAPER.md."""

    text: str

    @cached_property
    def _lines(self) -> tuple[Line, ...]:
        return lines_of(self.text)

    @cached_property
    def numbers(self) -> tuple[Number, ...]:
        """All numbers of the text, in order; headings are left out."""
        return tuple(
            number for line in self._lines if line.kind != "heading" for number in numbers_in(line.text, line.at, line.section)
        )  # fmt: skip

    @cached_property
    def findings(self) -> tuple[Statement, ...]:
        """What the paper says that it found, a statement each."""
        return statements(self._lines)

    @cached_property
    def conclusion(self) -> tuple[Number, ...]:
        """The numbers of the findings, without spreads."""
        return tuple(
            number
            for at, one in enumerate(self.findings)
            for number in numbers_in(one.text, one.line, "", at)
            if not number.spread
        )

    @cached_property
    def tables(self) -> tuple[Number, ...]:
        """The numbers in the rows of tables."""
        rows = {line.at for line in self._lines if line.kind == "table"}
        return tuple(one for one in self.numbers if one.line in rows)

    @cached_property
    def method(self) -> tuple[Number, ...]:
        """The numbers of the sections that describe what was done, tables included."""
        skipped = (
            "abstract",
            "introduction",
            "result",
            "discussion",
            "conclusion",
            "finding",
            "related",
            "limitation",
            "scope",
        )
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
            (line.at, sentence)
            for line in self._lines
            for sentence in re.split(r"(?<=[.;:?!|])\s+", line.text)
            if sentence.strip()
        )

    @cached_property
    def _powers(self) -> tuple[tuple[float, float], ...]:
        found = re.findall(r"(\d+)\s*\^\s*\{?([-−]?\d+)\}?", self.text)
        return tuple((float(base), float(power.replace("−", "-"))) for base, power in found)


def _same(one: float, two: float) -> bool:
    return abs(one - two) <= 1e-9 * max(1.0, abs(one), abs(two))
