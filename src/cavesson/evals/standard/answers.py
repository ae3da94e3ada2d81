r"""The final answer of a completion, and whether the answer is right.

The answer is looked for in this order: the last whole `\boxed{…}`, `<answer>…</answer>`, `#### …` (GSM8K), "the answer is …",
the last formula or number. Plain numbers are compared exactly; math-verify (extra `maths`) compares everything else.
"""

from __future__ import annotations

import importlib.util
import re
from fractions import Fraction

from cavesson.chat import visible
from cavesson.errors import MissingExtra
from cavesson.evals.standard.referee import REFEREE

_TAGGED = re.compile(r"<answer>(.*?)</answer>", re.DOTALL | re.IGNORECASE)
_HASHED = re.compile(r"^\s*#{4}\s*(.+)$", re.MULTILINE)
_STATED = re.compile(r"\banswer\b(?:\s+is\b|\s*[:=])(?:\s*:)?\s*(.+)", re.IGNORECASE)
_FORMULA = re.compile(r"\$\$?([^$]+)\$\$?|\\\((.+?)\\\)|\\\[(.+?)\\\]", re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.,])[-−]?\$?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:/\d+)?|(?<![\w.,])-?\.\d+")
_NUMBER_AND_MORE = re.compile(rf"({_NUMBER.pattern})(?:,?\s+[A-Za-z(]|\s*\().*", re.DOTALL)
_LETTER = r"\(?\*{0,2}\(?([A-J])\b"
_CHOICES = (
    re.compile(rf"\b(?i:answer)\b(?:\s+is\b|\s*:)(?:\s*:)?\W*?{_LETTER}"),
    re.compile(r"^\W*([A-J])\W*$"),
    re.compile(r"^\W*([A-J])\s*[.):]"),
)


def final_answer(completion: str) -> str | None:
    """The text of a completion's final answer; None if it gives no answer. Hidden reasoning does not count."""
    text = visible(completion)
    boxed = _last_boxed(text)
    if boxed is not None or r"\boxed" in text:  # a box that was cut off holds half an answer
        return boxed
    for marked in (_TAGGED, _HASHED):
        if found := marked.findall(text):
            return str(found[-1]).strip()
    if found := _STATED.findall(text):
        return _sentence(str(found[-1]))
    formulas = [next(filter(None, groups)) for groups in _FORMULA.findall(text)]
    numbers = _NUMBER.findall(text)
    last = formulas[-1:] or numbers[-1:]
    return last[0].strip() if last else None


def same_answer(gold: str, given: str | None) -> bool:
    """Whether two answers are mathematically the same.

    Raises:
        MissingExtra: the answers are not plain numbers, and math-verify is not installed.
    """
    if given is None:
        return False
    one, other = _plain(gold), _plain(given)
    if one == other:
        return True
    right, value = _number(one), _number(other)
    if right is not None and value is not None:
        return right == value
    if importlib.util.find_spec("math_verify") is None:
        raise MissingExtra("math-verify", "maths")
    return REFEREE.same(one, other)


def solves(gold: str, completion: str) -> bool:
    """Whether a completion ends with the right answer."""
    return same_answer(gold, final_answer(completion))


def chosen_letter(completion: str) -> str | None:
    """The letter of the option that a completion chooses; None if it names no letter plainly."""
    text = visible(completion).strip()
    marked = _last_boxed(text) or next(iter(_TAGGED.findall(text)[-1:]), None)
    if marked is not None:
        text = _unwrapped(marked).strip()
    for pattern in _CHOICES:
        if found := pattern.findall(text):
            return str(found[-1]).upper()
    return None


def _last_boxed(text: str) -> str | None:
    r"""The content of the last whole `\boxed{…}` or `\fbox{…}`, inner braces included; None if there is none."""
    for start in reversed([match.end() for match in re.finditer(r"\\(?:boxed|fbox)\s*(?=\{)", text)]):
        depth = 0
        for place in range(start, len(text)):
            depth += (text[place] == "{") - (text[place] == "}")
            if not depth:
                return text[start + 1 : place].strip()
    return None


def _sentence(text: str) -> str:
    """The first sentence without the marks around it; only the last side of a chain of equations."""
    first = re.split(r"[.!?](?=\s|\*|$)", text)[0]
    first = first.strip().strip("*").strip()
    formula = _FORMULA.search(first)
    if formula:
        first = next(filter(None, formula.groups()))
    first = first.rpartition("=")[2].strip() if "=" in first else first
    number = _NUMBER_AND_MORE.fullmatch(first)
    return number[1] if number else first


def _unwrapped(text: str) -> str:
    r"""The text without `\text{…}`, `\mathrm{…}`, `\textbf{…}` around its parts."""
    return re.sub(r"\\(?:text|mathrm|textbf|mathbf|mbox)\s*\{([^{}]*)\}", r"\1", text)


def _plain(text: str) -> str:
    """An answer without what does not change its value: dollar signs, thin spaces, thousands separators, units in words."""
    text = text.strip().strip("$").replace("−", "-").replace(" ", " ")
    text = re.sub(r"\\[dt]frac", r"\\frac", text)
    text = re.sub(r"\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[,!;:]\s*|\\ |~", "", text.replace("{,}", ","))
    text = re.sub(r"(?<!\d)(\d{1,3})((?:,\d{3})+)(?![\d,])", lambda m: m[1] + m[2].replace(",", ""), text)
    text = re.sub(r"(?<![\d,.])(\d{1,3})((?: \d{3})+)(?!\d)", lambda m: m[1] + m[2].replace(" ", ""), text)
    text = re.sub(r"\^\s*\{?\s*\\circ\s*\}?|°|\\?%|\\\$|(?<=\d)\s*degrees?$", "", text)
    with_unit = re.fullmatch(r"\$?\s*(-?\$?[\d./]+)\s*(?:\\text\{[^{}]*\}|[A-Za-z][A-Za-z ]*)(?:\^\{?\d\}?)?\.?", text)
    text = with_unit[1] if with_unit else _unwrapped(text)
    return text.strip().rstrip(".").strip().removeprefix("$").replace("-$", "-")


def _number(text: str) -> Fraction | None:
    r"""A whole number, a decimal, `a/b` or `\frac{a}{b}`; None for anything else."""
    compact = re.sub(r"\s+", "", text)
    frac = re.fullmatch(r"(-?)\\frac(?:\{(-?\d+)\}|(\d))(?:\{(-?\d+)\}|(\d))", compact)
    if frac:
        compact = f"{frac[1]}{frac[2] or frac[3]}/{frac[4] or frac[5]}".replace("--", "")
    if not re.fullmatch(r"[-+]?(\d+(\.\d*)?|\.\d+|\d+/-?\d+)", compact):
        return None
    top, _, bottom = compact.partition("/")
    return None if bottom and not int(bottom) else Fraction(top) / (int(bottom) if bottom else 1)
