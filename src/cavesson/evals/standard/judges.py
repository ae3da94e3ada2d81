"""Judges for questions whose right answer is known: by mathematical value, by option, or by words.

A judge tells a wrong answer from a completion in which no answer could be read: what it records then has `unreadable`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from cavesson.chat import visible
from cavesson.evals.items import Judge
from cavesson.evals.standard.answers import judged, stated
from cavesson.evals.standard.choices import chosen_letters, letters_of
from cavesson.evals.standard.equality import Verdict
from cavesson.evals.standard.notation import DENIED, words

_BINARY = ({"yes", "no"}, {"true", "false"})
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_WRONG = re.compile(
    r" (?:(?:is|was|are|were|would be|seems|looks) )?(?:clearly |definitely |also )?(?:wrong|incorrect|false)\b|"
    r" no$|"
    r" (?:(?:is|was|are) not|(?:is|was|are)n t) (?:right|correct|true|it|the (?:right |correct )?(?:answer|one))\b"
)


def maths(gold: str) -> Judge:
    """A judge: the completion ends with this value, in any notation."""

    def judge(completion: str) -> tuple[bool, dict[str, Any]]:
        verdict, given = judged(gold, completion)
        return _recorded(verdict, {"answer": given, "gold": gold})

    return judge


def choice(gold: str, options: Sequence[str] = ()) -> Judge:
    """A judge: the completion chooses the option with this letter; with several letters ("A, C"), these options and no other.

    Args:
        gold: the letter, in any of the usual brackets.
        options: the texts of the options, by which a completion may choose, too; () if they are not known.
    """
    wanted = letters_of(gold)

    def judge(completion: str) -> tuple[bool, dict[str, Any]]:
        found = chosen_letters(completion, options)
        is_one = found and (len(found) == 1 or len(wanted) > 1)
        verdict: Verdict = "right" if found and found == wanted else "wrong" if is_one else "unreadable"
        return _recorded(verdict, {"answer": ", ".join(sorted(found)) or None, "gold": gold})

    return judge


def text(gold: str) -> Judge:
    """A judge: the completion says these words one after the other, and does not deny them; case and punctuation do not matter.

    Where the completion marks its answer (a box, a tag, "the answer is …"), the words must stand there.
    """
    wanted = _words(gold)
    spellings = _spellings(wanted)
    opposites = next((pair for pair in _BINARY if wanted in pair), set())

    def judge(completion: str) -> tuple[bool, dict[str, Any]]:
        shown = stated(completion) or visible(completion)
        said = _affirmed(words(shown)) if opposites else _words(shown)
        answers = [word for word in said.split() if word in opposites]
        if not said or (opposites and (not answers or (len(set(answers)) > 1 and said.split()[0] not in opposites))):
            return _recorded("unreadable", {"gold": gold})
        is_right = answers[0] == wanted if opposites else any(_says(spelling, said) for spelling in spellings)
        return _recorded("right" if is_right else "wrong", {"gold": gold})

    return judge


def any_of(judges: Sequence[Judge]) -> Judge:
    """A judge: one of several judges accepts the completion."""

    def judge(completion: str) -> tuple[bool, dict[str, Any]]:
        verdicts = [one(completion) for one in judges]
        return next((verdict for verdict in verdicts if verdict[0]), verdicts[0])

    return judge


def accepts(judge: Judge, gold: str) -> bool:
    """Whether a judge accepts its own right answer: alone, in a box, and in a sentence."""
    return all(judge(said)[0] for said in (gold, rf"\boxed{{{gold}}}", f"The answer is {gold}."))


def _recorded(verdict: Verdict, record: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    return verdict == "right", record | ({"unreadable": True} if verdict == "unreadable" else {})


def _spellings(words: str) -> tuple[str, ...]:
    """A date in both orders, day first and month first; other words as they are."""
    date = re.fullmatch(
        rf"(?:(?P<day>\d{{1,2}}) (?P<month>{_MONTHS})|(?P<first>{_MONTHS}) (?P<second>\d{{1,2}}))(?P<year> \d{{4}})?",
        words,
    )
    if date is None:
        return (words,)
    day, month, year = date["day"] or date["second"], date["month"] or date["first"], date["year"] or ""
    return f"{day} {month}{year}", f"{month} {day}{year}"


def _affirmed(said: str) -> str:
    """The words with "false" for "not true", and "true" for "not false"."""
    turned = {"true": "false", "false": "true"}
    return re.sub(r"\b(?:not|isn t|never) (true|false)\b", lambda found: turned[found[1]], said)


def _says(wanted: str, said: str) -> bool:
    """Whether a text says words at a place where it does not deny them."""
    places = list(re.finditer(rf"(?<!\S){re.escape(wanted)}(?!\S)", said)) if wanted else []
    return any(not DENIED.search(said[: place.start()]) and not _WRONG.match(said, place.end()) for place in places)


def _words(content: str) -> str:
    r"""The words of a text without LaTeX's `\text{…}`, and without "no," before them; the day of a date is a number alone."""
    plain = re.sub(r"^\W*no\s*[,;:—–-]\s*(?=\w)", " ", re.sub(r"\\[a-z]+(?=\s*\{)", " ", content), flags=re.IGNORECASE)
    return re.sub(
        rf"\b(\d{{1,2}})(?:st|nd|rd|th) (?:of )?(?={_MONTHS})|(?<=[a-z] )(\d{{1,2}})(?:st|nd|rd|th)(?= \d{{4}})",
        r"\1\2 ",
        words(plain),
    ).replace("  ", " ")


JUDGES: dict[str, Callable[[str], Judge]] = {"maths": maths, "choice": choice, "text": text}
