r"""The option that a completion chooses, by its letter or by its text.

A box or a tag decides, then the last statement ("the answer is B", "B is correct", "wait, it's C"), then the letter with which the
completion begins or ends, then the only option whose text the completion names. "A" and "I" before a word are words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from string import ascii_uppercase

from cavesson.chat import visible
from cavesson.evals.standard.notation import (
    DENIED,
    LAST,
    REACH,
    TAGGED,
    joined_boxes,
    one_line,
    tidy,
    undelimited,
    unwrapped,
    words,
)
from cavesson.evals.standard.quantities import quantity

_NOUN = r"(?:option|choice|letter|alternative|answer|statement|selection)"
_IS = r"(?:is|was|be|should\s+be|would\s+be|must\s+be|has\s+to\s+be|seems\s+to\s+be|appears\s+to\s+be|remains)"
_DENIES = r"(?:cannot|never|neither|nor|\w+n't)\b"
_ANSWERS = re.compile(
    rf"\b(?:(?:answer|ans\.?|choice|option|selection|solution|pick|response|letter|guess|statement|one)s?(?!\w)[\"']?(?:\s*\((?![A-Za-z]\))[^()\n]*\))?"
    rf"(?:(?:\s+(?!is\b|isn|not\b|{_DENIES}|[A-HJ-Z]\b)[\w'-]+|,){{0,8}}?\s*(?:{_IS}\b|[:=]|[-–—]+>?\s|=?[>→])|\s*\n)|(?:correct|final)\s*:"
    rf"|ans\.?\s+(?=[(\[]?[A-Z]\b)|answers\s+are\b|(?:correct|right|true)\s+{_NOUN}s\s+are\b|(?:final|correct|best|right|my)\s+{_NOUN}\s+(?=[(\[]?[A-Z]\b))",
    re.IGNORECASE,
)
_CHOOSES = re.compile(
    r"\b(?:(?:choose|pick|select|go(?:ing)?\s+with|opt(?:ing)?\s+for|settle\s+on|vote\s+for|mark|say|leav(?:es|ing)(?:\s+only)?|i\s+(?:think|believe|guess|suspect)(?:\s+that)?)\b|"
    r"(?:it|that)(?:'s|\s+(?:is|must\s+be|should\s+be|would\s+be|has\s+to\s+be))"
    r"\b|(?:^|(?<=[.\n]\s)|(?<=\n))(?:so|therefore|thus|hence|finally|definitely|clearly|probably|in\s+conclusion)\b,?:?)",
    re.IGNORECASE,
)
_CORRECTS = re.compile(
    r"\b(?:wait|actually|no|sorry|correction|hmm|oops|i\s+mean(?:t)?|rather(?!\s+than)|scratch\s+that|edit|instead(?!\s+of)|make\s+(?:it|that)|change(?:d)?\s+(?:it|my\s+answer|that)?\s*to)\b",
    re.IGNORECASE,
)
_RIGHT = re.compile(
    rf"(?P<before>(?:{_NOUN}\s+)?)(?P<open>[(\[\"']?)(?P<letter>[A-Za-z])(?P<close>[)\]\"'.:]?)(?P<text>(?<=[)\]:])\s[^.\n]{{0,80}}?)??,?\s+"
    r"(?:is|looks|seems|must\s+be|would\s+be|should\s+be|fits)\s+(?:(?:clearly|therefore|thus|definitely|also|indeed|the|my|our|only|most|best|one)\s+)*"
    r"(?:(?:correct|right|true|best|better(?!\s+than)|answer|likely|plausible|accurate|appropriate)\b)",
    re.IGNORECASE,
)
_HEDGES = re.compile(
    r"^(?:[\s:=,>*_#—–-]|(?:that|is|it|it's|be|i\s+(?:think|believe|guess|would\s+say|choose|pick)|probably|likely|definitely|clearly|most|just|simply|"
    r"therefore|thus|hence|so|either|both|indeed|actually|should|would|must|the|correct|right|best|final|my|with|to|only|"
    rf"{_NOUN}s?|as\s+follows)\b(?!\s*[)\]]))*",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"(?P<open>[(\[{<\"'`*]*)(?P<letter>[A-Za-z])(?P<close>[)\]}>\"'`*]*)(?![\w']|-\w|\+\+|#)")
_JOINT = re.compile(
    r"\s*(?:[,;]\s*and|[,;]\s*or|[,;]|and|or|&|/|\+)\s*(?:(?:maybe|perhaps|possibly|probably|even)\s+)?(?=[(\[{<\"'`*]*[A-Za-z](?![\w']))"
)
_VERBS = re.compile(r"\s+(?:is|was|because|since|as|would|must|and|or|but|due|not|rather|instead)\b")
_TALKS_OF_IT = re.compile(
    r"\s+(?:is|was|isn't|looks|seems|would|could|must|should|can|cannot|can't|has|does|says|means|also)\b"
)
_NOT = re.compile(
    r"\b(?:not|isn't|never|neither|nor|cannot\s+be|can't\s+be|n't\s+be|than|instead\s+of|except|wrong|incorrect|false|eliminate|rule\s+out)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"^(?:not|neither)\s+[(\[]?[A-Za-z][)\]]?(?:\s*(?:,|or|nor|and)\s*[(\[]?[A-Za-z][)\]]?)*\s*[,;]?\s*(?:but\s+(?:rather\s+)?)?",
    re.IGNORECASE,
)
_MENTIONS = re.compile(
    rf"\b{_NOUN}\s+[(\[]?(?P<letter>[A-Z])\b[)\]]?\s*(?=$|[.,;:!(\n–—-]|because\b|since\b|as\b|and\b|or\b)",
    re.IGNORECASE,
)
"""An option that is named, and of which nothing is said."""
_DENIED_BEFORE = re.compile(rf"(?:\bnot|{_DENIES})\s+(?:\w+\s+){{0,2}}$", re.IGNORECASE)
_BUT = re.compile(
    r"\b(?:except(?:\s+for)?|other\s+than|excluding|besides|unlike|not|(?:all|anything|everything|any|nothing)\s+but)\s+$",
    re.IGNORECASE,
)
_STARTS = re.compile(
    r"^(?P<open>[(\[{<\"'`*]*)(?P<letter>[A-Za-z])(?P<close>[)\]}>\"'`*]*)\s*(?P<mark>[.):\],;!]|\s[-–—]+\s|\s[✓✔✅✗✘❌]|$)",
    re.MULTILINE,
)


def chosen_letters(completion: str, options: Sequence[str] = ()) -> frozenset[str]:
    """The letters of all options that a completion chooses ("A and C")."""
    letters = ascii_uppercase[: len(options)] if options else ascii_uppercase
    raw = tidy(visible(completion)).strip()
    text = re.sub(r"^#{1,6}\s+", "", unwrapped(undelimited(raw)), flags=re.MULTILINE)
    same = [letter for letter, option in zip(letters, options, strict=False) if words(option) == words(text)]
    if len(same) == 1 and len(words(text)) > 1:
        return frozenset(same)
    for statement in _statements(text):
        found = _named(statement, letters) or _by_text(statement, options, letters)
        if found is not None:
            return found
    return _bare(text, letters) or _mentioned(text, letters) or _by_text(text, options, letters) or frozenset()


def letters_of(gold: str) -> frozenset[str]:
    """The letters that a right answer names: "B", "(b)", "B.", "A, C", "AC"; none if the answer is no such list."""
    listed = re.fullmatch(r"\W*([A-Za-z](?:\W{0,3}\s*(?:and\s+)?\W{0,2}[A-Z]){0,9})\W*", gold.strip())
    return frozenset(re.findall(r"[A-Z]", listed[1].replace("and", "").upper())) if listed else frozenset()


def options_in(question: str) -> tuple[str, ...]:
    """The options that a question lists as "A) … B) …", "(a) …" or "A. …", from A on; () if it lists none."""
    marks = list(re.finditer(r"(?:(?<=\s)|^)\(?([A-Za-z])[).:](?=\s)", question))
    for first, mark in enumerate(marks):
        if mark[1] in "Aa":
            labels = ascii_uppercase if mark[1] == "A" else ascii_uppercase.lower()
            run = [one for one, label in zip(marks[first:], labels, strict=False) if one[1] == label]
            in_order = run == marks[first : first + len(run)]
            if in_order and len(run) > 1:
                ends = [one.start() for one in run[1:]] + [len(question)]
                return tuple(
                    question[one.end() : end].strip().partition("\n")[0].strip()
                    for one, end in zip(run, ends, strict=True)
                )
    return ()


def listed(question: str, options: Sequence[str]) -> str:
    """A question with its options below, and the request for a letter."""
    lines = "\n".join(f"{letter}. {option}" for letter, option in zip(ascii_uppercase, options, strict=False))
    return f"{question}\n\n{lines}\n\nAnswer with the letter of the right option alone."


def _statements(text: str) -> Iterator[str]:
    """What the completion says about its choice, the last statement first; after a box or a tag, only answers and corrections."""
    firm = joined_boxes(text)
    firm += [(mark.end(), mark[2]) for mark in TAGGED.finditer(text)]
    after = max((place for place, _ in firm), default=-1)
    patterns = (_ANSWERS, _CORRECTS) if firm else (_ANSWERS, _CORRECTS, _CHOOSES)
    loose = [
        (mark.end(), _sentence(text[mark.end() : mark.end() + REACH]))
        for pattern in patterns
        for mark in list(pattern.finditer(text))[-LAST:]
        if not _DENIED_BEFORE.search(text[max(0, mark.start() - 40) : mark.start()]) and not _supposes(mark, text)
    ]
    if not firm:
        loose += [(mark.end(), mark["letter"]) for mark in list(_RIGHT.finditer(text))[-LAST:] if _affirms(mark, text)]
    every = [*firm, *((place, said) for place, said in loose if place > after)]
    return (said for _, said in sorted(every, reverse=True) if said)


def _supposes(mark: re.Match[str], text: str) -> bool:
    """Whether a statement is one about another case: "if it were Italy, the answer would be A"."""
    return bool(
        re.search(r"\bwould\s+be$", mark[0])
        and re.search(r"\b(?:if|were|had|otherwise)\b", _before(text, mark.start()), re.IGNORECASE)
    )


def _affirms(mark: re.Match[str], text: str) -> bool:
    """Whether "B is correct" names an option: not inside a word, not a pronoun, not a question or a condition."""
    before = text[max(0, mark.start() - 1) : mark.start()]
    if before.isalnum() or before == "'" or _NOT.search(mark["text"] or ""):
        return False
    if mark["letter"].islower() and not (mark["before"] or mark["open"] or mark["close"]):
        return False
    if _BUT.search(text[max(0, mark.start() - 20) : mark.start()]):
        return False
    rest = re.split(r"[.\n]", text[mark.end() : mark.end() + REACH])[0]
    return "?" not in rest and not re.search(
        r"\b(?:if|whether|neither|nor)\b[^.\n]{0,20}$", text[max(0, mark.start() - 40) : mark.start()], re.IGNORECASE
    )


def _mentioned(text: str, letters: str) -> frozenset[str] | None:
    """The only option that a completion names without saying anything of the option: "Option B, because …"."""
    marks = [mark for mark in _MENTIONS.finditer(text) if mark["letter"].upper() in letters]
    denied = [_NOT.search(_before(text, mark.start())) or options_in(text) for mark in marks]
    named = {mark["letter"].upper() for mark in marks}
    return frozenset(named) if len(named) == 1 and not any(denied) else None


def _before(text: str, place: int) -> str:
    """What stands before a place in the same sentence."""
    return re.split(r"[.\n]", text[max(0, place - REACH) : place])[-1]


def _sentence(rest: str) -> str:
    """The sentence after a mark, or the next line if the mark ends a line; "" for a question."""
    lead = re.match(r"[\s:=*_#>—–-]*", rest)
    assert lead is not None
    rest = rest[lead.end() :]
    end = re.search(r"(?<![\s(\[][A-Za-z])(?<!^[A-Za-z])[.](?=\s|$)|[?!](?=\s|$)|\n|(?<=[A-Z])\.(?=\s|$)", rest)
    if end and end[0] == "?":
        return ""
    return rest[: end.start()] if end else rest


def _named(statement: str, letters: str) -> frozenset[str] | None:
    """The letters that a statement names: at its beginning, as "option D" or "(D)" inside, or alone at its end."""
    said = _HEDGES.sub("", unwrapped(statement).strip())
    while denied := _DENIED.match(said):
        said = _HEDGES.sub("", said[denied.end() :])
        if not said:
            return None
    first = _TOKEN.match(said)
    if first and _is_option(first, said, letters):
        return _joined(said, letters)
    for pattern in (rf"\b{_NOUN}\s+[(\[]?([A-Za-z])\b", r"\(([A-Za-z])\)", r"(?<![\w'])([A-Z])(?![+#])(?=\W*$)"):
        found = list(re.finditer(pattern, said, re.IGNORECASE if "A-Za-z" in pattern else 0))
        named = [
            mark[1].upper() for mark in found if mark[1].upper() in letters and not _NOT.search(said[: mark.start()])
        ]
        if named:
            return frozenset(named[-1:])
    return None


def _joined(said: str, letters: str) -> frozenset[str] | None:
    """The letters at the beginning of a statement: "A", "A, B", "A and B"; "A or B" decides nothing."""
    found, place = [], 0
    while (token := _TOKEN.match(said, place)) and _is_option(token, said, letters):
        found.append(token["letter"].upper())
        joint = _JOINT.match(said, token.end())
        if joint is None or _NOT.match(said, joint.end()):
            break
        if "or" in joint[0]:
            return frozenset(letters)
        place = joint.end()
    return frozenset(found)


def _is_option(token: re.Match[str], said: str, letters: str) -> bool:
    """Whether one letter stands for an option: not the word "a" or "I", and no lower-case letter in the middle of a sentence."""
    letter, after = token["letter"], said[token.end() :]
    if letter.upper() not in letters:
        return False
    if token["open"].strip("*\"'`") or token["close"].strip("*\"'`") or not re.match(r"\s+[A-Za-z]", after):
        return True
    if letter.islower():
        return bool(_VERBS.match(after))
    return letter not in "AI" or bool(_VERBS.match(after))


def _bare(text: str, letters: str) -> frozenset[str] | None:
    """The letter that is the whole completion, its last line, or the beginning of its only line that begins with a letter."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for whole in (text, *lines[-1:], *lines[:1]):
        only = re.fullmatch(r"[^\w✗✘❌]*([A-Za-z](?:\s*(?:,\s*and|[,;]|and|&)?\s*[A-Z])*)(?:[^\w✗✘❌]|_)*", whole)
        tokens = re.findall(r"[A-Za-z]", only[1].replace("and", "")) if only else []
        if tokens and all(token.upper() in letters for token in tokens):
            return frozenset(map(str.upper, tokens))
    begun = [mark for line in lines for mark in _STARTS.finditer(line) if mark["letter"].upper() in letters]
    marked = [
        mark
        for mark in begun
        if mark["letter"].isupper() or mark["open"] or mark["mark"] in (")", ".", ":") or mark["close"]
    ]
    chosen = {mark["letter"].upper() for mark in marked}
    if len(chosen) == 1 and not options_in(text) and (marked[0].string == lines[0] or len(lines) == 1):
        return _joined(marked[0].string, letters) or frozenset(chosen)
    right = {
        mark["letter"].upper()
        for mark in marked
        if re.search(r"(?<!not )(?<!in)\b(?:correct|right|true)\W*$|[✓✔✅]\W*$", mark.string, re.IGNORECASE)
    }
    if len(right) == 1:
        return frozenset(right)
    first = _TOKEN.match(lines[0]) if lines and not chosen else None
    if (
        first is None
        or lines[0].startswith("?", first.end())
        or first["letter"].islower()
        or _TALKS_OF_IT.match(lines[0], first.end())
    ):
        return None
    return _joined(lines[0], letters) if _is_option(first, lines[0], letters) else None


def _by_text(said: str, options: Sequence[str], letters: str) -> frozenset[str] | None:
    """The only option whose text a statement is or names; None if it names none or several."""
    if not options:
        return None
    plain, content = [words(option) for option in options], words(said)
    alike = [
        letter
        for letter, option, text in zip(letters, options, plain, strict=True)
        if text == content or _same(option, said)
    ]
    if len(alike) == 1:
        return frozenset(alike)
    named, rest = [], f" {content} "
    for text, letter in sorted(zip(plain, letters, strict=True), key=lambda pair: -len(pair[0])):
        if text and f" {text} " in rest:
            before = rest.partition(f" {text} ")[0]
            rest = rest.replace(f" {text} ", " ")
            if not DENIED.search(before + " "):
                named.append(letter)
    return frozenset(named) if len(named) == 1 else None


def _same(option: str, said: str) -> bool:
    one, other = quantity(one_line(option)), quantity(one_line(said))
    return one is not None and other is not None and one.same(other)
