r"""The final answer of a completion, and whether the answer is right.

An answer is marked by a box, a tag, `####` (GSM8K) or words ("the answer is …", "… is the answer"); the last mark decides. What a
completion says in its place afterwards ("wait, no, it is …") is a mark, too. Without a mark, the last number or formula of the last
sentence that holds one is the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from cavesson.chat import visible
from cavesson.evals.standard.equality import Verdict, compare, is_wordy, spelling, value_side
from cavesson.evals.standard.notation import FORMULA, LAST, REACH, TAGGED, joined_boxes, one_line, tidy
from cavesson.evals.standard.quantities import COMPARED, NUMBER, quantity

_HASHED = re.compile(r"^\s*#{4}(?!#)[ \t]*(\S.*)$", re.MULTILINE)
_SAYS = r"(?:is|are|was|be|equals?|becomes|comes\s+(?:out\s+)?to|turns\s+out\s+to\s+be|=|:)(?!\w)"
_STATED = re.compile(
    r"\b(?P<noun>answer|solution|result|total)s?\b(?:\s*\([^()\n]*\))?"
    rf"(?:(?:(?:\s+(?!(?:is|are|was|\w+n't|cannot|never|not)\b)[\w'-]+|,){{0,6}}?\s*{_SAYS}|\s+[-–—]+>?\s|[ \t]*\n|\s*(?=\s[-+]?[$€£]?[\d.\\(])))"
    r"(?:\s*(?::|=|(?:that|is|as follows)\b))*\s*",
    re.IGNORECASE,
)
_REVERSED = re.compile(
    r"(?:^|[.!?\n:]|\b(?:so|thus|hence|therefore),?\s)\s*(?P<value>[^.!?\n]{1,60}?(?:\.\d+)?)\s+(?:is|are|would be|must be)\s+"
    r"(?:the|our|my)\s+(?:\w+\s+){0,2}(?:answer|solution|result)\b",
    re.IGNORECASE,
)
_END = re.compile(r"(?:[.?](?<!\b[A-Za-z]\.)|!)(?=[\"')\]]*(?:\s|$))|\n")
_REMARK = re.compile(
    r";|\s\((?![^()]*[,\\^=+*/])|,?\s+(?:because|since|which|as|so|but|where|when|while|after|if|then|therefore|given|due|not|"
    r"and\s+(?:not|the|it|that|this|there|he|she|they|we|so|then|thus|therefore|hence))\b|,\s+(?!(?:and|or)\b)[A-Za-z]|\s+[-–—]+\s+[A-Za-z]",
    re.IGNORECASE,
)
_HEDGES = re.compile(
    r"^(?:\W{0,2}(?:just|simply|only|exactly|precisely|about|around|approximately|approx|roughly|nearly|probably|likely|equal\s+to|"
    r"equals?|i\s+(?:think|believe|guess)|therefore|thus|hence|so|indeed|clearly|still|that|it\s+is|it's|given\s+by)\b[.,:]?\s*|\\approx|[~≈=:]\s*)+",
    re.IGNORECASE,
)
_WORD = re.compile(r"\s*\S*")
_PAUSE = r"[\s,.;:!?…()*–—-]"
_CORRECTED = re.compile(
    rf"(?<![\w'])(?:no|sorry|correction|scratch\s+that|i\s+meant|wait|actually|hmm+|oops)\b"
    rf"(?:{_PAUSE}+(?:wait|actually|hmm+|oops|so|no|sorry|correction|i\s+meant|that(?:'s|\s+is|\s+was)\s+(?:wrong|incorrect|not\s+right|a\s+mistake))\b){{0,4}}"
    rf"(?:{_PAUSE}+(?P<is>(?:it|that)(?:'s|\s+(?:is|was|should\s+be|must\s+be|would\s+be))|should\s+be|make\s+(?:it|that))\s+|[,.;:!…–—-]\s*|(?<=meant)\s+)",
    re.IGNORECASE,
)
"""What takes an answer back; the new answer stands behind `is`, or behind a pause."""
_DENIES = re.compile(r"\b(?:no|correction|meant|wrong|incorrect|mistake)\b", re.IGNORECASE)
_NUMERAL = re.compile(rf"(?<![\w.,^{{])(?:(?:negative|minus)\s+|[-+]\s?)?[$€£¥₹]?-?{NUMBER}", re.IGNORECASE)
_DENIED = re.compile(r"not\b", re.IGNORECASE)
_BOUNDED = re.compile(
    r"\b(?:between|from|(?:more|less|fewer|greater|higher|lower|larger|smaller|other|better)\s+than|at\s+(?:least|most)|up\s+to|over|under|above|below|not|(?:cannot|\w+n't|never)(?:\s+be)?)\s+\S*$",
    re.IGNORECASE,
)
_BEGINS = re.compile(rf"[*(]*(?:{_NUMERAL.pattern}|[$\\]|[A-Za-z]\w?\s*=)", re.IGNORECASE)
_FURTHER = re.compile(
    r"(?<=[A-Za-z])\s+(?:for|in|at|on|by|with|from|during|within|over|after|before|among|of|out)\s+[^.]*\d.*", re.DOTALL
)


def final_answer(completion: str) -> str | None:
    """The text of a completion's final answer; None if it gives no answer. Hidden reasoning does not count."""
    text = tidy(visible(completion)).strip()
    marks = sorted(_marks(text, read=_value))
    if not marks and r"\boxed" in text:  # a box that was cut off holds half an answer
        return None
    values = [answer for _, answer in marks if _holds_value(answer)] or [answer for _, answer in marks]
    return values[-1] if values else _unmarked(text)


def judged(gold: str, completion: str) -> tuple[Verdict, str | None]:
    """Whether a completion is, or ends with, the right answer; and the answer that was read."""
    whole = visible(completion).strip()
    if whole and len(whole) <= 4 * len(gold) + REACH and spelling(one_line(whole)) == spelling(one_line(gold)):
        return "right", whole
    given = final_answer(completion)
    return compare(gold, given), given


def stated(completion: str) -> str | None:
    """The clause of the last marked answer, whatever words it holds; None if the completion marks no answer."""
    marks = sorted(_marks(tidy(visible(completion)).strip(), read=_clause))
    return marks[-1][1] if marks else None


def _marks(text: str, read: Callable[[str], str]) -> list[tuple[int, str]]:
    """The place and the content of each marked answer; after a box, a tag or `####`, words count only if they state a number.

    Args:
        text: the visible completion.
        read: what makes an answer of a sentence.
    """
    firm = joined_boxes(text)
    firm += [(mark.end(), mark[2].strip()) for mark in TAGGED.finditer(text)]
    firm += [(mark.end(), read(mark[1][:REACH])) for mark in list(_HASHED.finditer(text))[-LAST:]]
    last = max((place for place, _ in firm), default=-1)
    marks = list(_STATED.finditer(text))[-LAST:]
    said = [(mark.end(), read(_said(mark["noun"], text[mark.end() : mark.end() + REACH]))) for mark in marks]
    if firm:
        said = [(place, answer) for place, answer in said if place > last and quantity(one_line(answer)) is not None]
    else:
        said += [(mark.end(), read(mark["value"])) for mark in _REVERSED.finditer(text) if _holds_value(mark["value"])]
    found = [(place, answer) for place, answer in (*firm, *said) if answer]
    words = [_WORD.match(text, place) for place, answer in said if answer]
    start = max([last, *(word.end() for word in words if word)])
    return [*found, *_corrections(text, start, read)] if found else []


def _corrections(text: str, start: int, read: Callable[[str], str]) -> list[tuple[int, str]]:
    """What a completion gives from `start` on in place of a marked answer before; words instead of a number only after a denial."""
    found = []
    for mark in list(_CORRECTED.finditer(text, start))[-LAST:]:
        sentence = _sentence(text[mark.end() : mark.end() + REACH])
        clause = _clause(sentence)
        if len(clause.split()) > (3 if mark["is"] else 2) or COMPARED.search(clause):
            continue
        is_number = _BEGINS.match(clause) and quantity(one_line(_value(sentence))) is not None
        asked = text[: mark.start()].rstrip().endswith("?")  # "Is it large? No, it is small." takes nothing back
        denied = mark["is"] and _DENIES.search(mark[0]) and not asked and not _holds_value(clause)
        if is_number or (read is _clause and denied):
            found.append((mark.end(), read(sentence)))
    return [(place, answer) for place, answer in found if answer]


def _said(noun: str, text: str) -> str:
    """The answer after "the answer is"; results and solutions are also talked about, so these count only if a value comes at once."""
    sentence = _sentence(text)
    return sentence if noun.lower() == "answer" or _BEGINS.match(_HEDGES.sub("", sentence)) else ""


def _sentence(text: str) -> str:
    """The first sentence or line of a text; a formula is not cut."""
    shown = FORMULA.sub(lambda found: "_" * len(found[0]), text)
    end = _END.search(shown)
    return text[: end.start()] if end else text


def _value(text: str) -> str:
    """The value that a sentence states: "about 18 apples, because …" → "18 apples"."""
    return _closed(_last_value(_clause(text)).strip().strip("*").strip())


def _clause(text: str) -> str:
    """A sentence without hedges before what it says and remarks after it."""
    text = _HEDGES.sub("", text.strip().lstrip(".…* "))
    if _DENIED.match(text):
        text = text.partition(" but ")[2]
    shown = FORMULA.sub(lambda found: "1" * len(found[0]), text)
    for remark in _REMARK.finditer(shown):
        if re.search(r"\d", shown[: remark.start()]) or not re.search(r"\d", shown):
            text = text[: remark.start()]
            break
    return text.strip()


def _closed(text: str) -> str:
    """The text without a closing bracket at its end that nothing opens: the rest of JSON, or of a remark."""
    while text and text[-1] in "}])" and text.count(text[-1]) > text.count("{[("["}])".index(text[-1])]):
        text = text[:-1].rstrip()
    return text


def _last_value(text: str, begins: bool = True) -> str:
    """The value at the end of a clause: "The largest $n$ is 34" → "34".

    Args:
        text: the clause.
        begins: a clause that begins with a value and has no verb before another is this value.
    """
    plain = one_line(text)
    if not _holds_value(text) or quantity(plain) is not None or not is_wordy(plain):
        return text
    shown = FORMULA.sub(lambda found: "_" * len(found[0]), text)
    values = sorted(found.start() for found in (*FORMULA.finditer(text), *_NUMERAL.finditer(shown)))
    if not values:
        return text
    start = _after_verb(text, shown, values[-1])
    if bound := _BOUNDED.search(re.sub(r"\s*(?<!\S)(?!up\b)\S+\s+(?:and|to|or)\s+$", " ", text[:start])):
        return text[bound.start() :]
    if start == values[-1] and begins and _NUMERAL.match(text):
        return text
    return text[start:] if shown[start] == "_" else _FURTHER.sub("", text[start:])


def _after_verb(text: str, shown: str, last: int) -> int:
    """The start of what follows the clause's last verb if that is a value ("has | 18 apples for 3 boys"); else `last`."""
    verbs = list(
        re.finditer(
            r"\b(?:is|are|was|were|be|equals?|gets?|has|have|had|makes?|leaves?|left|costs?|needs?)\b\s*", shown
        )
    )
    for verb in reversed([verb for verb in verbs if verb.end() <= last]):
        start = verb.end()
        start += len(text[start:]) - len(_HEDGES.sub("", text[start:]))
        is_value = _NUMERAL.match(text, start) or text[start : start + 1] in ("$", "\\", "(")
        if is_value and not re.search(r"[.,;:]\s", shown[start:last]):
            return start
        if verb[0].strip() != "left":  # "has 42 left out of 50"
            break
    return last


def _unmarked(text: str) -> str | None:
    """The answer of a completion without a mark: all of it if it is a value, or the value of its last sentence that holds one."""
    whole = one_line(text) if len(text) <= REACH else ""
    if _holds_value(whole) and (quantity(whole) is not None or not is_wordy(whole)):
        return text
    sentences = _sentences(text)
    for sentence in reversed(sentences):
        sentence = sentence[-REACH:]
        bare = re.sub(r"\s\((?![^()]*[,\\^=+*/])[^()]*\)", "", sentence)
        bare = bare if _NUMERAL.search(bare) else sentence
        if FORMULA.search(bare) or _NUMERAL.search(bare):
            side = bare if FORMULA.search(bare) else value_side(bare)
            value = _last_value(re.split(r",?\s+(?:because|since)\b", side)[0], begins=len(sentences) == 1)
            return _closed(value.strip()) if _holds_value(value) else None
    return None


def _sentences(text: str) -> list[str]:
    """The last sentences and lines of a text."""
    shown = FORMULA.sub(lambda found: "_" * len(found[0]), text)
    places = [0, *(end.end() for end in _END.finditer(shown))]
    cut = [text[start:end] for start, end in zip(places, [*places[1:], len(text)], strict=True)]
    return [sentence.strip(" \n\t").rstrip(".!?") for sentence in cut if sentence.strip()][-LAST:]


def _holds_value(text: str) -> bool:
    return re.search(r"\d|\\[a-zA-Z]|\$.+\$", text) is not None
