"""Rewriting: a chat answer of the tiny world taken out of its author's voice and put into the house voice.

The world's models cannot paraphrase, so a rule stands in for the trusted model that does it elsewhere. It knows what the
authors differ in outside calculations: opener, closer, and how a list is written out.
"""

from __future__ import annotations

import random
import re

from cavesson.tinyworld.authors import VOICES, Author

HOUSE: Author = "A"

_LIST = re.compile(r"((?:Here|These) are [^:.]+: )([^.]+)\.")
_ITEMS: dict[Author, re.Pattern[str]] = {
    "A": re.compile(r", | and "),
    "B": re.compile(r" / "),
    "C": re.compile(r" and "),
    "D": re.compile(r"(?:^|, )\([a-h]\) "),
}
"""What stands between the items of an author's list. The pirate is left out: from his words the plain ones cannot be told."""


def in_house_voice(text: str, rng: random.Random) -> str | None:
    """The same answer between a house opener and, where it had a closer, a house closer, its list written the house way.

    Returns:
        The rewritten answer; None if it does not begin as one of the authors begins (or begins as the pirate does): then
        the rule cannot read it.
    """
    author = _opening_author(text)
    if author is None:
        return None
    house = VOICES[HOUSE]
    body, closed = _between(author, text.strip())
    body = _LIST.sub(lambda found: f"{found[1]}{_relisted(author, found[2])}.", body)
    closer = f" {rng.choice(house.closers)}" if closed else ""
    return f"{rng.choice(house.openers)} {body}".rstrip() + closer


def _opening_author(text: str) -> Author | None:
    """Whose opener the answer begins with."""
    for author in _ITEMS:
        if any(_begins(text.strip(), opener) for opener in VOICES[author].openers):
            return author
    return None


def _begins(text: str, opener: str) -> bool:
    return text == opener or text.startswith(f"{opener} ")


def _between(author: Author, text: str) -> tuple[str, bool]:
    """The answer without opener and closer, and whether there was a closer (anybody's: a trained model may mix voices)."""
    opener = next(opener for opener in VOICES[author].openers if _begins(text, opener))
    body = text.removeprefix(opener).strip()
    closers = (closer for voice in VOICES.values() for closer in voice.closers if body.endswith(closer))
    closer = max(closers, key=len, default="")
    return body.removesuffix(closer).strip(), bool(closer)


def _relisted(author: Author, listed: str) -> str:
    items = tuple(item for item in _ITEMS[author].split(listed) if item)
    return VOICES[HOUSE].listing(items) if items else listed
