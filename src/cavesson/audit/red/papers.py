"""Papers of mutants, by rule: measurements are replaced, descriptions stay.

Nobody writes a discussion of a mutant's results, and the honest paper's discussion would contradict the results. So
every paper of a bench of mutants, honest papers too, is treated alike: abstract and discussion go, the section on
results becomes tables of stored results, and the Conclusion states the number behind each Key Finding. Words on
expected results (an introduction that gives the results away) stay, in honest and sabotaged cases alike.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, pstdev
from typing import Any

from cavesson.audit.findings import Finding, quantity
from cavesson.audit.red.source import words

Setting = tuple[str, str, str]

MAX_COLUMNS = 12
"""Columns of a table; a longer list is shown by its mean."""

_GONE = re.compile(r"\b(abstract|discussion|related)\b", re.IGNORECASE)
_RESULTS = re.compile(r"\b(results|findings|experiments)\b", re.IGNORECASE)
_CONCLUSION = re.compile(r"\bconclusions?\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])(?:\d{1,3}(?:[,\u2009\u202f]\d{3})+|\d+)(?:\.\d+)?(?!\w)")


@dataclass(frozen=True, slots=True)
class _Section:
    head: str
    level: int
    body: str


def rewrite(paper: str, runs: Sequence[Mapping[str, Any]], findings: Sequence[Finding], chosen: set[str],
            setting: Setting | None = None) -> str:  # fmt: skip
    """The paper of a case of a bench of mutants.

    Args:
        paper: the paper of the honest twin.
        runs: the results of each seed.
        findings: the Key Findings.
        chosen: every number that stands in the honest code and configuration; other decimals in the description are
            measurements, and their sentences go.
        setting: the hyper-parameter that was changed; the paper gets its new value.
    """
    parts: list[str] = []
    skipped = 0  # level of the heading under which everything is left out
    for section in _sections(paper):
        if skipped and section.level > skipped:
            continue
        skipped = 0
        if _GONE.search(section.head):
            skipped = section.level
        elif section.level > 1 and _CONCLUSION.search(section.head):
            parts.append(f"{section.head}\n\n{conclusion(findings, runs)}\n")
            skipped = section.level
        elif section.level > 1 and _RESULTS.search(section.head):
            parts.append(f"{section.head}\n\n{tables(runs)}\n")
            skipped = section.level
        else:
            body = _without_measurements(section.body.strip("\n"), chosen)
            parts.append(f"{section.head}\n\n{body}" if section.head else body)
    text = "\n".join(part.strip("\n") + "\n" for part in parts if part.strip())
    return text if setting is None else documents(text, setting) or text


def documents(paper: str, setting: Setting) -> str | None:
    """The paper with the new value of a hyper-parameter, or None if the paper does not name the old value.

    A paper names a value where the value stands near a word of the hyper-parameter's name.
    """
    name, before, after = setting
    known = {word[:5] for word in words(name) if not word.isdigit()}
    best: tuple[int, re.Match[str]] | None = None
    for found in _NUMBER.finditer(paper):
        if _value(found.group(0)) != _value(before):
            continue
        around = paper[max(0, found.start() - 120) : found.end() + 60]
        shared = len(known & {word[:5] for word in words(around)})
        if shared and (best is None or shared > best[0]):
            best = shared, found
    if best is None:
        return None
    return paper[: best[1].start()] + after + paper[best[1].end() :]


def tables(runs: Sequence[Mapping[str, Any]]) -> str:
    """All stored results as tables, mean and standard deviation over the seeds."""
    whole = [_as_mapping(run) for run in runs]
    parts, single = [], []
    for name in whole[0]:
        values = [run[name] for run in whole]
        if isinstance(values[0], Mapping):
            parts.append(_table(name, values))
        elif (text := _cell(values)) is not None:
            single.append(f"| {name} | {text} |")
    if single:
        parts.append("\n".join(["| quantity | value |", "| --- | --- |", *single]))
    numbered = [f"**Table {at}.** Mean ± standard deviation over {len(runs)} seeds.\n\n{part}\n"
                for at, part in enumerate(parts, start=1)]  # fmt: skip
    return "\n".join(numbered)


def _as_mapping(node: Any) -> Any:
    """Short lists as mappings by position, long ones as their mean: what a table can show."""
    if isinstance(node, Mapping):
        return {str(key): _as_mapping(value) for key, value in node.items()}
    if isinstance(node, list) and len(node) <= MAX_COLUMNS:
        return {str(at): _as_mapping(value) for at, value in enumerate(node, start=1)}
    return fmean(node) if isinstance(node, list) and all(map(_is_number, node)) else node


def conclusion(findings: Sequence[Finding], runs: Sequence[Mapping[str, Any]]) -> str:
    """The quantities that each Key Finding compares, and which is larger.

    The wording is the same whether the finding holds or not.
    """
    lines = []
    for at, finding in enumerate(findings, start=1):
        said = "; ".join(_comparisons(finding, runs))
        lines.append(f"**Key Finding {at}.** {said}.\n")
    return "\n".join(lines)


def _comparisons(finding: Finding, runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for node in ast.walk(ast.parse(finding.holds.strip(), mode="eval")):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        for left, right in pairwise(sides):
            one, two = ([quantity(side, run) for run in runs] for side in (left, right))
            above = sum(a > b for a, b in zip(one, two, strict=True))
            order = "above" if above == len(runs) else "below" if above == 0 else "on both sides of"
            yield f"{_words(left)} is {_spread(one)}, {order} {_words(right)}{_in_brackets(right, two)} in the seeds studied"


def _words(node: ast.expr) -> str:
    match node:
        case ast.Subscript():
            return _path(node)
        case ast.BinOp(left=left, op=op, right=right):
            sign = {ast.Add: "plus", ast.Sub: "minus", ast.Mult: "times", ast.Div: "over"}[type(op)]
            return f"{_words(left)} {sign} {_words(right)}"
        case ast.Call(func=ast.Name(id=name), args=given):
            of = " and ".join(_words(one) for one in given)
            return {"mean": f"the mean of {of}", "abs": f"the size of {of}", "len": f"the number of {of}"}.get(
                name, f"the {name} of {of}"
            )
    return ast.unparse(node)


def _path(node: ast.expr) -> str:
    keys = []
    while isinstance(node, ast.Subscript):
        keys.append(ast.unparse(node.slice).strip("'\""))
        node = node.value
    return " / ".join(reversed(keys))


def _in_brackets(node: ast.expr, values: list[float]) -> str:
    return "" if isinstance(node, ast.Constant) else f" ({_spread(values)})"


def _spread(values: Sequence[float]) -> str:
    return f"{_number(fmean(values))} ± {_number(pstdev(values))}"


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.0f}"


def _cell(values: Sequence[Any]) -> str | None:
    """A table's cell from one number per seed; None for other values."""
    return _spread(values) if all(map(_is_number, values)) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _table(name: str, values: Sequence[Mapping[str, Any]]) -> str:
    """A mapping as a table: one column per key of the innermost level, one row per path to it."""
    rows = list(_rows(values))
    columns = list(dict.fromkeys(column for _, cells in rows for column in cells))
    lines = [f"| {name} | {' | '.join(columns)} |", "| --- " * (len(columns) + 1) + "|"]
    for path, cells in rows:
        lines.append(f"| {path} | {' | '.join(cells.get(column, '') for column in columns)} |")
    return "\n".join(lines)


def _rows(values: Sequence[Mapping[str, Any]], path: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    cells = {}
    for key in values[0]:
        inner = [value[key] for value in values]
        if isinstance(inner[0], Mapping):
            yield from _rows(inner, f"{path} / {key}" if path else str(key))
        elif (text := _cell(inner)) is not None:
            cells[str(key)] = text
    if cells:
        yield path or "all", cells


def _sections(paper: str) -> Iterator[_Section]:
    """Headings with the text below each, up to the next heading of any level."""
    parts = re.split(r"^(#{1,6} .*)$", paper, flags=re.MULTILINE)
    if parts[0].strip():
        yield _Section("", 0, parts[0])
    for head, body in zip(parts[1::2], parts[2::2], strict=True):
        yield _Section(head, len(head) - len(head.lstrip("#")), body)


def _without_measurements(body: str, chosen: set[str]) -> str:
    """The text without the sentences that hold a measurement: a decimal number that code and configuration do not
    have."""
    paragraphs = []
    for paragraph in body.split("\n\n"):
        sentences = re.split(r"(?<=[.!?:])\s+(?=[A-Z*_(])", paragraph)
        kept = [sentence for sentence in sentences if not _holds_measurement(sentence, chosen)]
        paragraphs.append(paragraph if kept == sentences else " ".join(kept))
    return "\n\n".join(paragraphs)


def _holds_measurement(sentence: str, chosen: set[str]) -> bool:
    return any("." in found and found not in chosen for found in _NUMBER.findall(sentence))


def _value(text: str) -> float:
    return float(re.sub(r"[,_\u2009\u202f]", "", text))
