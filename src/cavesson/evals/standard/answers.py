r"""The final answer of a completion, and whether the answer is right.

An answer is marked by a box, a tag, `####` (GSM8K) or words ("the answer is …", "… is the answer"); the last mark decides. Without
a mark the last sentence with a number or a formula is read. Single numbers are compared exactly, with their units; math-verify
(extra `maths`) compares all other mathematics; words must be the same words.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Literal

from cavesson.chat import visible
from cavesson.errors import MissingExtra
from cavesson.evals.standard.choices import chosen_letter as chosen_letter  # one import for all readings of completions
from cavesson.evals.standard.notation import TAGGED, boxes, one_line, tidy
from cavesson.evals.standard.quantities import NUMBER, quantity, without_unit
from cavesson.evals.standard.referee import REFEREE

Verdict = Literal["right", "wrong", "unreadable"]

_HASHED = re.compile(r"^\s*#{4}(?!#)[ \t]*(\S.*)$", re.MULTILINE)
_SAYS = r"(?:is|are|was|be|equals?|becomes|comes\s+(?:out\s+)?to|turns\s+out\s+to\s+be|=|:)"
_STATED = re.compile(
    rf"(?:\b(?:answer|solution|result)s?\b(?:\s*\([^()\n]*\))?(?:(?:\s+(?!is\b|are\b|was\b)[\w'-]+|,){{0,6}}?\s*{_SAYS}(?!\w)|\s+[-–—]+>?\s|"
    rf"\s*(?=\s[-+]?[$€£]?[\d.\\(]))|\banswer\s*\n)(?:\s*(?::|=|that|is|as follows)(?!\w))*\s*",
    re.IGNORECASE,
)
_REVERSED = re.compile(
    r"(?:^|[.!?\n:]|\b(?:so|thus|hence|therefore),?\s)\s*(?P<value>[^.!?\n]{1,60}?(?:\.\d+)?)\s+(?:is|are|would be|must be)\s+"
    r"(?:the|our|my)\s+(?:\w+\s+){0,2}(?:answer|solution|result)\b",
    re.IGNORECASE,
)
_FORMULA = re.compile(r"\$\$.+?\$\$|\\\(.+?\\\)|\\\[.+?\\\]|(?<![\\$])\$(?!\s*$)[^$\n]+?\$(?!\d)", re.DOTALL)
_ENDS = re.compile(r"(?:(?<!\b[a-zA-Z])[.?]|!)(?=\s|$)|\n|[.!?](?=[\"')\]]*(?:\s|$))")
_ASIDE = re.compile(
    r"\s*(?:;|\s\((?![^()]*[,\\^=+*/])|,?\s+(?:because|since|which|as|so|but|where|when|while|after|if|then|therefore|given|due|not|"
    r"and\s+(?:not\b|the|it|that|this|there|he|she|they|we|so|then|thus|therefore|hence))\b|,\s+(?!(?:and|or)\b)[A-Za-z]|\s+[-–—]+\s+[A-Za-z]).*",
    re.DOTALL,
)
_HEDGES = re.compile(
    r"^\W{0,2}?(?:(?:just|simply|only|exactly|precisely|about|around|approximately|approx\.?|roughly|nearly|probably|likely|equal\s+to|equals?|"
    r"i\s+(?:think|believe|guess)|therefore|thus|hence|so|indeed|clearly|still|that|it\s+is|it's|given\s+by|\\approx|~|≈|=|:)\s*,?\s*)+",
    re.IGNORECASE,
)
_NUMERAL = rf"(?<![\w.,^])[-+]?\s?[$€£¥₹]?-?{NUMBER}"
_LAST_NUMBER = re.compile(rf"{_NUMERAL}(?!.*{_NUMERAL}).*", re.DOTALL)
_SIDES = re.compile(r"(?<![<>!\\:])=(?!=)|\\approx|≈|→|\\Rightarrow|=>")
_WORD = re.compile(r"(?<![\\a-zA-Z{])[a-zA-Z]{2,}")
_FUNCTIONS = frozenset("sqrt sin cos tan cot sec csc log ln exp abs max min arcsin arccos arctan asin acos atan sinh cosh tanh pi".split())


def final_answer(completion: str) -> str | None:
    """The text of a completion's final answer; None if it gives no answer. Hidden reasoning does not count."""
    text = tidy(visible(completion))
    marks = _marks(text)
    if not marks and r"\boxed" in text:  # a box that was cut off holds half an answer
        return None
    readable = [answer for _, answer in sorted(marks) if _holds_value(answer)] or [answer for _, answer in sorted(marks)]
    return readable[-1] if readable else _unmarked(text)


def compare(gold: str, given: str | None) -> Verdict:
    """Whether two answers are the same; "unreadable" if the given answer is no value that can be compared.

    Raises:
        MissingExtra: the answers are not single numbers, and math-verify is not installed.
    """
    if given is None or not given.strip():
        return "unreadable"
    right, answer = one_line(gold), one_line(given)
    if _spelling(right) == _spelling(answer):
        return "right"
    if "=" not in right:
        answer = _value_side(answer)
    elif "=" not in answer:
        right = _value_side(right)
    one, other = quantity(right), quantity(answer)
    if one is not None and other is not None:
        return "right" if one.same(other) else "wrong"
    if _is_wordy(right):
        return "right" if _spelling(right) == _spelling(answer) else "wrong"
    if _is_wordy(answer):
        return "unreadable"
    if importlib.util.find_spec("math_verify") is None:
        raise MissingExtra("math-verify", "maths")
    (right, unit), (answer, other_unit) = without_unit(right), without_unit(answer)
    if unit.kinds and other_unit.kinds and unit != other_unit:
        return "wrong"
    return REFEREE.compare(right, answer)


def same_answer(gold: str, given: str | None) -> bool:
    """Whether two answers are the same (see `compare`)."""
    return compare(gold, given) == "right"


def solves(gold: str, completion: str) -> bool:
    """Whether a completion ends with the right answer, or is nothing but the right answer."""
    return judged(gold, completion)[0] == "right"


def judged(gold: str, completion: str) -> tuple[Verdict, str | None]:
    """Whether a completion ends with the right answer, and the answer that was read."""
    if _spelling(one_line(gold)) == _spelling(one_line(visible(completion))) != "":
        return "right", visible(completion).strip()
    given = final_answer(completion)
    return compare(gold, given), given


# --------------------------------------------------------------------------------------------- where an answer is marked


def _marks(text: str) -> list[tuple[int, str]]:
    """The place and the content of each marked answer."""
    found = boxes(text)
    found += [(mark.end(), mark[2].strip()) for mark in TAGGED.finditer(text)]
    found += [(mark.end(), _statement(mark[1])) for mark in _HASHED.finditer(text)]
    firm = max((place for place, _ in found), default=-1)
    for mark in _STATED.finditer(text):
        content = _statement(_sentence(text[mark.end() :]))
        if content and (mark.end() > firm and firm < 0 or quantity(one_line(content)) is not None):
            found.append((mark.end(), content))
    found += [(mark.end(), _statement(mark["value"])) for mark in _REVERSED.finditer(text) if firm < 0 and _holds_value(mark["value"])]
    return [(place, content) for place, content in found if content]


def _sentence(text: str) -> str:
    """The first sentence or line of a text; a formula at its beginning is not cut."""
    formula = _FORMULA.match(text)
    start = formula.end() if formula else 0
    end = _ENDS.search(text, start)
    return text[: end.start()] if end else text


def _statement(text: str) -> str:
    """The answer in a statement, without hedges before it and remarks after it."""
    text = _HEDGES.sub("", text.strip())
    return _tail(_without_aside(text)).strip().strip("*").strip()


def _without_aside(text: str) -> str:
    """The text up to a remark: ", because …", " (see above)", " and the change …"."""
    formula = _FORMULA.match(text)
    start = formula.end() if formula else 0
    return text[:start] + _ASIDE.sub("", text[start:])


def _tail(text: str) -> str:
    """The value at the end of a clause: "The largest $n$ is 34" → "34"; a text that begins with its value stays whole."""
    text = text.lstrip(".… ")
    if not re.match(r"[A-Za-z]{2,}|[AI]\s", text) or not _holds_value(text) or quantity(one_line(text)) is not None:
        return text
    verb = re.split(r"\b(?:is|are|was|were|be|equals?|gives|get|gets|has|have|had|makes?|of|to)\b(?!.*\b(?:is|are|was|equals?)\b\s+\S*[\d\\$])", text)
    last = verb[-1].strip() if len(verb) > 1 else ""
    last = _HEDGES.sub("", last)
    if re.match(rf"{_NUMERAL}|[$\\(]", last):
        return last
    formulas = _FORMULA.findall(text)
    number = _LAST_NUMBER.search(text)
    if formulas and not (number and number.start() > text.rfind(formulas[-1])):
        return str(formulas[-1])
    return number[0].strip() if number else text


def _unmarked(text: str) -> str | None:
    """The answer of a completion without a mark: the value of its last sentence with a number or a formula."""
    if _holds_value(one_line(text)) and (quantity(one_line(text)) is not None or not _is_wordy(one_line(text))):
        return text.strip()
    for sentence in reversed(_sentences(text)):
        bare = re.sub(r"\s\((?![^()]*[,\\^=+*/])[^()]*\)", "", sentence)
        if _FORMULA.search(bare) or re.search(_NUMERAL, bare):
            value = _statement(_value_side(bare) if "=" in bare and not _FORMULA.search(bare) else bare)
            return value if _holds_value(value) else None
    return None


def _sentences(text: str) -> list[str]:
    found, rest = [], text.strip()
    while rest:
        head = _sentence(rest)
        found.append(head)
        rest = rest[len(head) :].lstrip(".!?\"')] \n\t")
    return found


# ------------------------------------------------------------------------------------------------------ what an answer is


def _holds_value(text: str) -> bool:
    return re.search(r"\d|\\[a-zA-Z]|\$.+\$", text) is not None


def _spelling(text: str) -> str:
    """Mathematics without spaces; words in lower case."""
    text = re.sub(r"^\(([A-Za-z])\)$", r"\1", text)
    return " ".join(text.lower().split()) if _is_wordy(text) else re.sub(r"\s+", "", text)


def _value_side(text: str) -> str:
    """The value in a chain of equations: the last side, or the first if only that is a single number."""
    if "," in text and re.search(r"=.*,.*=", text):
        return text
    sides = [side.strip() for side in _SIDES.split(text)]
    if quantity(sides[-1]) is None and quantity(sides[0]) is not None:
        return sides[0]
    return sides[-1]


def _is_wordy(text: str) -> bool:
    """Whether a text holds words other than names of functions, and "and" or "or" between values."""
    words = {word.lower() for word in _WORD.findall(re.sub(r"\\[a-zA-Z]+(?:\{(?:[bpvBV]?matrix|cases|array)\})?", " ", text))}
    return bool({word for word in words if len(word) > 2 or word in ("or", "of", "to", "is", "no")} - _FUNCTIONS - {"and"})
