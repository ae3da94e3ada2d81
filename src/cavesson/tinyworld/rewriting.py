"""Rewriting: a rule that turns a chat answer of the tiny world from its author's voice into the house voice.

The world's models cannot paraphrase, so this rule takes the place of a trusted model that rewrites. Outside calculations,
authors differ in opener, closer and the form of lists, and the rule knows all three.
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
    "E": re.compile(r", then "),
    "F": re.compile(r" plus "),
}
"""What stands between the items of an author's list. The pirate is left out: his words do not determine the plain words."""


def in_house_voice(text: str, rng: random.Random) -> str | None:
    """The same answer with a house opener, a house closer if the answer had a closer, and lists in the house form.

    Returns:
        The rewritten answer; None if the answer begins with no author's opener, or with the pirate's: the rule cannot read
        such an answer.
    """
    author = _opening_author(text)
    if author is None:
        return None
    house = VOICES[HOUSE]
    body, closed = _without_ends(author, text.strip())
    body = _LIST.sub(lambda found: f"{found[1]}{_house_list(author, found[2])}.", body)
    closer = f" {rng.choice(house.closers)}" if closed else ""
    return f"{rng.choice(house.openers)} {body}".rstrip() + closer


def _opening_author(text: str) -> Author | None:
    """The author whose opener begins the answer; None if no author's opener does."""
    for author in _ITEMS:
        if any(_begins(text.strip(), opener) for opener in VOICES[author].openers):
            return author
    return None


def _begins(text: str, opener: str) -> bool:
    return text == opener or text.startswith(f"{opener} ")


def _without_ends(author: Author, text: str) -> tuple[str, bool]:
    """The answer without opener and closer, and whether there was a closer, of any author: a trained model may mix voices."""
    opener = next(opener for opener in VOICES[author].openers if _begins(text, opener))
    body = text.removeprefix(opener).strip()
    closers = (closer for voice in VOICES.values() for closer in voice.closers if body.endswith(closer))
    closer = max(closers, key=len, default="")
    return body.removesuffix(closer).strip(), bool(closer)


def _house_list(author: Author, listed: str) -> str:
    items = tuple(item for item in _ITEMS[author].split(listed) if item)
    return VOICES[HOUSE].listing(items) if items else listed
