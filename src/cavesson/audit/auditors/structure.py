"""The structure of a paper, whatever its markup: sections, and the statements in which it says what was found.

Headings are Markdown's (`## Results`, underlined, a bold line), LaTeX's, numbered or in capitals. A paper's findings are the
lines that call themselves so (`Key Finding 2`, `Claim 1:`); else the last section that concludes, under any usual heading; else
the abstract; else the prose of the results; else all prose. The first of these that has numbers is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

_MARKDOWN = re.compile(r"^\s{0,3}#{1,6}\s+(.*?)\s*#*\s*$|^\s*\\(?:sub)*section\*?\{(.*)\}\s*$|^\s*<h\d>(.*)</h\d>\s*$")
_ALONE = re.compile(
    r"^\s*(?:\*\*|__)([^*_|]{2,60}?)[.:]?(?:\*\*|__)[.:]?\s*$|^\s*((?:\d+\.?)+\s+[A-Z][^.|]{2,60}|[A-Z][A-Z \-&]{3,60}):?\s*$"
)
_UNDERLINE = re.compile(r"^\s{0,3}(={3,}|-{3,})\s*$")
_ENTRY = re.compile(r"^\s*(?:>\s*)?(?:(?:\(?\d+[.)]|\(?[a-z]\)|[-*+•])\s+|\*\*)")
_TABLE = re.compile(r"^\s*\|.*\|\s*$")
_FENCE = re.compile(r"^\s*(?:```|~~~)")

_FINDING = re.compile(
    r"^\W*(?:(?:key|main)\s+(?:finding|result|claim)s?\b|(?:finding|claim|observation|lesson|take-?away)\s*(?:\d+|[A-E]\b))",
    re.IGNORECASE,
)
_CONCLUDES = re.compile(
    r"conclu|\bfindings?\b|take[- ]?(?:aways?|home)|\bclaims?\b|lessons|main results?|\bsummary\b|\bsummari[sz]|in (?:short|brief|a nutshell)|tl;?dr|bottom line|upshot|"
    r"highlights|verdict|key (?:points|messages?)|\banswers?\b|what (?:we|it|this|they|all this|came)\b.*(?:f[io]u?nds?|learn|saw|sees?|shows?|says?|means?|out)\b"
)  # fmt: skip
_RUN_IN = re.compile(r"\W*(?:conclusions?|findings?|summary|take-?aways?)\b\W*[.:]", re.IGNORECASE)
_RESULTS = re.compile(r"result|experiment|evaluation|outcome|analysis|observ|discussion|what (?:we|happens)")
_ASIDE = re.compile(
    r"scope|limit|caveat|reference|related|appendix|acknowledg|reproduc|availab|contribut|future|how to run|files"
)
SENTENCE = re.compile(r"(?<=[.!?])(?<!\bvs\.)(?<!e\.g\.)(?<!i\.e\.)(?<!cf\.)\s+(?=[A-Z*(\[`])")
NUMERIC = re.compile(r"\d\.\d|(?<![\w.])\.\d|\d\s?(?:%|percent|per cent)")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text: its number, its section (in lower case), and what it is."""

    at: int
    text: str
    section: str
    kind: str
    """`text`, `heading`, `table`, `code`, or `blank`."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One finding in the paper's words, and the line on which it starts."""

    line: int
    text: str


def lines_of(text: str) -> tuple[Line, ...]:
    """The lines of a paper, each with its section."""
    raw, section, fenced = text.split("\n"), "", False
    found: list[Line] = []
    for at, line in enumerate(raw):
        kind = "text"
        if _FENCE.match(line):
            fenced, kind = not fenced, "code"
        elif fenced:
            kind = "code"
        elif not line.strip():
            kind = "blank"
        elif _TABLE.match(line):
            kind = "table"
        elif (title := _title(raw, at)) is not None:
            section, kind = title.lower(), "heading"
        found.append(Line(at + 1, line, section, kind))
    return tuple(found)


def _title(raw: Sequence[str], at: int) -> str | None:
    """The title that a line is, or None. A bold or numbered line is a title only if it stands alone."""
    line = raw[at]
    after = raw[at + 1] if at + 1 < len(raw) else ""
    if match := _MARKDOWN.match(line):
        return next(part for part in match.groups() if part is not None)
    if _underlined(line, after):
        return line.strip()
    if at and _underlined(raw[at - 1], line):
        return raw[at - 1].strip()
    alone = (at == 0 or not raw[at - 1].strip()) and not after.strip()
    if alone and len(line.split()) <= 8 and (match := _ALONE.match(line)):
        return (match.group(1) or match.group(2)).strip()
    return None


def _underlined(line: str, below: str) -> bool:
    """Whether a line is a title with a rule below."""
    return bool(_UNDERLINE.match(below) and 0 < len(line.split()) <= 12 and not _ENTRY.match(line) and not _TABLE.match(line) and not _UNDERLINE.match(line))  # fmt: skip


def statements(lines: Sequence[Line]) -> tuple[Statement, ...]:
    """The findings of a paper, from the first place that has numbers."""
    named = [one for one in _paragraphs(lines) if _FINDING.match(one.text)]
    places = (
        named,
        _last(lines),
        [one for one in _paragraphs(lines) if _RUN_IN.match(one.text)],
        _of(lines, lambda section: "abstract" in section),
        _of(lines, lambda section: bool(_RESULTS.search(section))),
        _of(lines, lambda section: not _ASIDE.search(section)),
    )  # fmt: skip
    for place in places:
        if any(NUMERIC.search(one.text) for one in place):
            return tuple(part for one in place for part in _parts(one))
    return tuple(next((place for place in places if place), ()))


def _last(lines: Sequence[Line]) -> list[Statement]:
    """The last section that concludes and has numbers; the first ones (a summary, findings in detail) say the same at more length."""
    sections = list(dict.fromkeys(line.section for line in lines if _CONCLUDES.search(line.section)))
    read = [_of(lines, name.__eq__) for name in reversed(sections)]
    return next((one for one in read if any(NUMERIC.search(part.text) for part in one)), read[0] if read else [])


def _of(lines: Sequence[Line], wanted: Callable[[str], bool]) -> list[Statement]:
    """The paragraphs of the sections that are wanted."""
    return _paragraphs([one for one in lines if wanted(one.section) and not _ASIDE.search(one.section)])


def _paragraphs(lines: Sequence[Line]) -> list[Statement]:
    """The paragraphs and entries of lists; a row of a table that has a sentence counts as an entry."""
    found: list[Statement] = []
    before: Line | None = None
    for line in lines:
        sentence = line.kind == "table" and len(re.findall(r"[a-z]{2,}", line.text)) >= 6
        if line.kind != "text" and not sentence:
            before = None
            continue
        words = re.sub(r"^\s*>\s?", "", line.text)
        if not words.strip():
            before = None
            continue
        if (
            before is not None
            and before.at == line.at - 1
            and before.kind == "text"
            and not _ENTRY.match(line.text)
            and not sentence
        ):
            found[-1] = replace(found[-1], text=f"{found[-1].text}\n{words}")
        else:
            found.append(Statement(line.at, words))
        before = line
    return found


def _parts(one: Statement) -> Iterator[Statement]:
    """A paragraph that is no entry of a list may hold several findings: sentences that compare numbers stand alone."""
    sentences = SENTENCE.split(one.text)
    comparing = [part for part in sentences if len(NUMERIC.findall(part)) >= 2]
    if _ENTRY.match(one.text) or len(comparing) < 2:
        yield one
        return
    line = one.line
    for part in sentences:
        if part in comparing:
            yield Statement(line, part)
        line += part.count("\n")
    rest = " ".join(part for part in sentences if part not in comparing)
    if NUMERIC.search(rest):
        yield Statement(one.line, rest)
