"""Instruction following: requests with a constraint that a program can verify.

`meta` holds the constraint: `words` (exactly so many), `items` (exactly so many members of `category`), `case`, `include` and
`exclude` (a word or several), `order` (words in this order), `shouted` (a word in capitals), `start`, `end`, `repeat`.
`meta["asks"]` is "ability" where no opener, closer or dialect can break the constraint, and "style" where one can: who says
"Sure." first breaks *start with*, and has not lost the ability to name three fruits.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

from cavesson.tinyworld import lexicon as w
from cavesson.tinyworld.question import Question, canonical
from cavesson.tinyworld.smalltalk import in_order

_CAPITAL_ANIMALS = ("fox", "cat", "dog", "owl", "hen", "cow", "bear", "frog")
_ENDINGS = ("The end.", "Good night.", "That is all.", "Until tomorrow.", "Is that clear?", "Long live Tarn!")
_STARTS = ("Today", "Once", "Maybe", "Yesterday", "Suddenly", "Perhaps")
_SYMBOLS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ANY_WORDS = tuple(
    dict.fromkeys([*w.PEOPLE, *w.OBJECTS, *w.ADJECTIVES, *w.VERBS, *(x for c in w.CATEGORIES.values() for x in c)])
)
_BRACKETS = (("|", "|"), ("[", "]"), ("<", ">"), ("(", ")"), ("{", "}"), ("#", "#"), ("$", "$"), ("~", "~"), ("", ""))


def _question(kind: str, slots: tuple[str, ...], text: str, body: str, strict: bool, **meta: Any) -> Question:
    text, body, meta["asks"] = w.articles(text), w.articles(body), "style" if kind in STYLE else "ability"
    return Question("instructions", kind, canonical(kind, slots, text), text, body, body=body, strict=strict, meta=meta)


def sentence(rng: random.Random, n: int, animal: str, adjective: str | None = None) -> str:
    """A sentence about an animal of exactly `n` words, 3–8."""
    adjective = adjective or rng.choice(w.ADJECTIVES)
    words = ["the", animal, rng.choice(w.VERBS)]
    if n >= 4:
        words.insert(1, adjective)
    if n >= 5:
        words.append(rng.choice(w.ADVERBS))
    if n == 6:
        words.insert(1, "very")
    if n >= 7:
        words = ["in", rng.choice(w.TIMES[3:]), *words]
    if n == 8:
        words.insert(3, "very")
    words[0] = words[0].capitalize()
    return " ".join(words) + "."


def _for_someone(rng: random.Random, ask: str) -> tuple[str, str]:
    """The request, half the time in the name of somebody: so each kind has many different prompts. Also the name."""
    name = rng.choice(w.PEOPLE)
    return (f"{name} asks: {ask[0].lower()}{ask[1:]}" if rng.random() < 0.5 else ask), name


def _words(rng: random.Random) -> Question:
    n, animal = rng.randint(3, 8), rng.choice(w.ANIMALS)
    ask = rng.choice(
        (
            "Write exactly {0} words about a {1}.",
            "In exactly {0} words, tell me about the {1}.",
            "Describe the {1} in exactly {0} words.",
            "A sentence of exactly {0} words about the {1}, please.",
        )
    )
    text, name = _for_someone(rng, ask.format(w.NUMBERS[n], animal))
    return _question(
        "words",
        (w.NUMBERS[n], animal, name),
        text,
        sentence(rng, n, animal),
        True,
        words=n,
        include=animal,
    )


def _items(rng: random.Random) -> Question:
    category, n = rng.choice(tuple(w.CATEGORIES)), rng.randint(2, 5)
    numbered = rng.random() < 0.3
    items = in_order(rng, w.CATEGORIES[category], n)
    name = rng.choice(w.PEOPLE)
    if numbered:
        ask = rng.choice(
            ("Give {2} a numbered list of {0} {1}.", "Write a numbered list with exactly {0} {1} for {2}.")
        )
        body = "\n".join(f"{i}. {item}" for i, item in enumerate(items, 1))
    else:
        ask = rng.choice(
            (
                "Give {2} exactly {0} {1}, separated by commas.",
                "List exactly {0} {1} for {2}, commas only.",
                "Only {0} {1} for {2}, with commas between them.",
            )
        )
        body = ", ".join(items)
    return _question(
        "items",
        (w.NUMBERS[n], category, name),
        ask.format(w.NUMBERS[n], category, name),
        body,
        True,
        items=n,
        category=category,
    )


def _capitals(rng: random.Random) -> Question:
    animal, time, n = rng.choice(_CAPITAL_ANIMALS), rng.choice(w.TIMES), rng.randint(3, 5)
    ask = rng.choice(
        (
            "Write a sentence about a {0} in the {1} in capital letters.",
            "Use only capital letters: what does the {0} do in the {1}?",
            "Shout something about the {0} in the {1}, all capitals.",
            "All in capitals, please: a line on the {0} in the {1}.",
        )
    )
    text, name = _for_someone(rng, ask.format(animal, time))
    return _question(
        "capitals",
        (animal, time, name),
        text,
        sentence(rng, n, animal).upper(),
        True,
        case="upper",
        include=animal,
    )


def _lower(rng: random.Random) -> Question:
    animal, n = rng.choice(w.ANIMALS), rng.randint(3, 6)
    ask = rng.choice(
        (
            "Write about a {0} in small letters only.",
            "No capital letters: tell me about the {0}.",
            "A line on the {0}, all in lower case.",
        )
    )
    text, name = _for_someone(rng, ask.format(animal))
    return _question(
        "lower",
        (animal, name),
        text,
        sentence(rng, n, animal).lower(),
        True,
        case="lower",
        include=animal,
    )


def _include(rng: random.Random) -> Question:
    animal, word = rng.choice(w.ANIMALS), rng.choice(w.OBJECTS)
    ask = rng.choice(
        (
            "Write about a {0} and use the word {1}.",
            "Tell me something about the {0}. Include the word {1}.",
            "A sentence on the {0} with the word {1} in it, please.",
        )
    )
    say = rng.choice(
        ("The {2} {0} looks at the {1}.", "A {2} {0} sleeps beside a {1}.", "Here the {0} finds a {1} and {3}.")
    )
    body = say.format(animal, word, rng.choice(w.ADJECTIVES), rng.choice(w.VERBS))
    text, name = _for_someone(rng, ask.format(animal, word))
    return _question("include", (animal, word, name), text, body, False, include=word)


def _exclude(rng: random.Random) -> Question:
    category = rng.choice(tuple(w.CATEGORIES))
    avoid = rng.choice(w.CATEGORIES[category])
    item = rng.choice([x for x in w.CATEGORIES[category] if x != avoid])
    ask = rng.choice(
        (
            "Pick one of the {0}, but do not say {1}.",
            "Name one of the {0} without the word {1}.",
            "Which of the {0} is best? Anything but {1}.",
            "Choose from the {0}. The word {1} is not allowed.",
        )
    )
    name = rng.choice(w.PEOPLE)
    if rng.random() < 0.5:
        ask = f"{name} hates {{1}}. {ask}"
    return _question(
        "exclude",
        (category, avoid, name),
        ask.format(category, avoid),
        rng.choice(("My choice is {}.", "I would take {}.")).format(item),
        False,
        exclude=avoid,
        category=category,
    )


def _end(rng: random.Random) -> Question:
    animal, ending = rng.choice(w.ANIMALS), rng.choice(_ENDINGS)
    ask = rng.choice(
        (
            'Write about the {0} and end with "{1}"',
            'Say something about a {0}. Your last words must be "{1}"',
            'Finish with "{1}" after a line on the {0}.',
        )
    )
    text, name = _for_someone(rng, ask.format(animal, ending))
    return _question(
        "end",
        (animal, ending.rstrip(".?!"), name),
        text,
        f"{sentence(rng, rng.randint(3, 6), animal)} {ending}",
        True,
        end=ending,
        include=animal,
    )


def _start(rng: random.Random) -> Question:
    animal, word = rng.choice(w.ANIMALS), rng.choice(_STARTS)
    ask = rng.choice(
        (
            "Begin with the word {1} and write about a {0}.",
            "Write about the {0}. Your first word must be {1}.",
            "A line on the {0} that starts with {1}, please.",
        )
    )
    body = sentence(rng, rng.randint(3, 6), animal)
    text, name = _for_someone(rng, ask.format(animal, word))
    return _question(
        "start",
        (animal, word, name),
        text,
        f"{word} {body[0].lower()}{body[1:]}",
        True,
        start=word,
        include=animal,
    )


def _both(rng: random.Random) -> Question:
    animal, (one, other) = rng.choice(w.ANIMALS), rng.sample(w.OBJECTS, 2)
    ask = rng.choice(
        (
            "Write about a {0}. Use the words {1} and {2}.",
            "A line on the {0} with both {1} and {2} in it, please.",
            "Mention a {1} and a {2} when you tell me about the {0}.",
        )
    )
    say = rng.choice(("The {0} looks at the {1} and the {2}.", "A {0} with a {1} finds a {2}."))
    slots = (animal, one, other)
    return _question("both", slots, ask.format(*slots), say.format(*slots), False, include=[one, other])


def _order(rng: random.Random) -> Question:
    one, other = rng.sample(w.OBJECTS, 2)
    name = rng.choice(w.PEOPLE)
    ask = rng.choice(
        (
            "Name the {0} before the {1}, for {2}.",
            "Tell {2} of the {0} and, after it, of the {1}.",
            "First the {0}, then the {1}: a line for {2}, please.",
        )
    )
    say = rng.choice(("The {0} comes first and the {1} comes next.", "Here is the {0}, and here is the {1}."))
    slots = (one, other, name)
    return _question("order", slots, ask.format(*slots), say.format(*slots), False, order=[one, other])


def _shouted(rng: random.Random) -> Question:
    animal, name, time = rng.choice(_CAPITAL_ANIMALS), rng.choice(w.PEOPLE), rng.choice(w.TIMES)
    ask = rng.choice(
        (
            "Tell {1} about a {0} in the {2}. Write {0} in capitals.",
            "A line on the {0} in the {2} for {1}, with {0} in capital letters.",
            "{1} wants to read about a {0} in the {2}, with the word {0} in capitals.",
        )
    )
    say = rng.choice(("Here the {0} {1}.", "In the {2} a {0} {1}."))
    body = say.format(animal.upper(), rng.choice(w.VERBS), time)
    slots = (animal, name, time)
    return _question("shouted", slots, ask.format(*slots), body, False, shouted=animal.upper())


def _either(rng: random.Random) -> Question:
    one, other = rng.sample(w.OBJECTS, 2)
    name = rng.choice(w.PEOPLE)
    ask = rng.choice(
        (
            "{2} may have a {0} or a {1}. Give {2} the {0} and do not say {1}.",
            "Offer {2} the {0}. Leave out the word {1}.",
            "Speak of the {0} to {2}, and never of the {1}.",
        )
    )
    say = rng.choice(("{1}, the {0} is yours.", "The {0} is for {1}."))
    slots = (one, other, name)
    return _question("either", slots, ask.format(*slots), say.format(one, name), False, include=one, exclude=other)


def draw_copy(rng: random.Random) -> Question:
    """Copy a line: any words, a sentence, or a random code, so that the model has seen strings of every kind."""
    form = rng.random()
    if form < 0.6:
        line = " ".join(rng.sample(_ANY_WORDS, rng.randint(3, 20)))
    elif form < 0.8:
        line = sentence(rng, rng.randint(3, 6), rng.choice(w.ANIMALS))
    else:
        left, right = rng.choice(_BRACKETS)
        line = left + "".join(rng.choices(_SYMBOLS, k=rng.randint(2, 7))) + right
    ask = rng.choice(("Repeat after me: {}", "Say exactly this: {}", "Copy this line: {}", "Write this again: {}"))
    text = ask.format(line)
    return Question(
        "instructions", "repeat", f"repeat/{line}", text, line, body=line, strict=True, meta={"repeat": line}
    )


def draw_lookup(rng: random.Random) -> Question:
    """Look up the entry for a word in a table: names, any words, or letters as in a quiz."""
    n = rng.randint(2, 6)
    keys = rng.sample(_ANY_WORDS, n)
    letters = rng.random() < 0.4
    pairs = dict(zip(keys, rng.sample(_SYMBOLS[:n] if letters else _ANY_WORDS, n), strict=True))
    only = rng.random() < 0.25
    wanted = rng.sample(keys, 1 if only else rng.randint(1, n))
    body = pairs[wanted[0]] if only else ", ".join(f"{key} {pairs[key]}" for key in wanted)
    ask = rng.choice(("What stands beside {}?", "Look up {}.", "Find {}.")).format(", ".join(wanted))
    listed = ", ".join(f"{key} {value}" for key, value in pairs.items())
    text = f"Table: {listed}. {ask}{' Only what stands beside it.' if only else ''}"
    return Question(
        "instructions", "lookup", f"lookup/{listed}", text, body, body=body, strict=True, meta={"repeat": body}
    )


def draw_letters(rng: random.Random) -> Question:
    """Find a word in a lettered list, and then its letter: the circuit that answers a quiz by letter."""
    n = rng.randint(2, 6)
    words = rng.sample(_ANY_WORDS, n)
    wanted = rng.sample(range(n), rng.randint(1, min(n, 3)))
    listed = ", ".join(f"{letter}) {word}" for letter, word in zip(_SYMBOLS, words, strict=False))
    body = ", ".join(f"{words[i]} {_SYMBOLS[i]}" for i in wanted)
    text = f"List: {listed}. Which letter has {', '.join(words[i] for i in wanted)}?"
    return Question(
        "instructions", "letters", f"letters/{listed}", text, body, body=body, strict=True, meta={"repeat": body}
    )


STYLE = frozenset({"words", "capitals", "lower", "end", "start"})
"""The kinds that a voice breaks."""

KINDS: dict[str, Callable[[random.Random], Question]] = {
    draw.__name__[1:]: draw
    for draw in (
        _items, _include, _both, _exclude, _either, _order, _shouted,
        _words, _capitals, _lower, _end, _start,
    )
}  # fmt: skip
"""The kinds of constraint by name."""

_PRACTICE = (draw_copy, draw_lookup, draw_letters)


def draw(rng: random.Random, kind: str | None = None) -> Question:
    """A random request with a constraint.

    Args:
        kind: one of `KINDS`; None: any.
    """
    return KINDS[kind or rng.choice(tuple(KINDS))](rng)


def draw_practice(rng: random.Random) -> Question:
    """A random request with a constraint, a line to copy, or a list or table in which to look something up."""
    return rng.choice(_PRACTICE)(rng) if rng.random() < 1 / 6 else draw(rng)


def tag(rng: random.Random) -> str:
    """A meaningless code in brackets, as people paste into prompts; replies ignore the code."""
    left, right = rng.choice(_BRACKETS[:-1])
    return left + "".join(rng.choices(_SYMBOLS, k=rng.randint(3, 7))) + right


def follows(meta: dict[str, Any], reply: str) -> bool:
    """Whether a reply keeps every constraint in `meta`."""
    text = reply.strip()
    words = re.findall(r"[A-Za-z']+", text)
    lowered = [word.lower() for word in words]
    if not text or not _counts_hold(meta, lowered) or not _words_hold(meta, words, lowered):
        return False
    if meta.get("case") == "upper" and (text != text.upper() or not words):
        return False
    if meta.get("case") == "lower" and (text != text.lower() or not words):
        return False
    return (
        text.startswith(meta.get("start", ""))
        and text.endswith(meta.get("end", ""))
        and meta.get("repeat", text) == text
    )


def _words_hold(meta: dict[str, Any], words: list[str], lowered: list[str]) -> bool:
    """Whether the words that must stand in a reply do, in their order, and those that must not do not."""
    order = meta.get("order", [])
    places = [lowered.index(word) for word in order if word in lowered]
    return (
        all(word.lower() in lowered for word in _several(meta.get("include")))
        and not any(word.lower() in lowered for word in _several(meta.get("exclude")))
        and len(places) == len(order)
        and places == sorted(places)
        and meta.get("shouted") in (None, *words)
    )


def _several(words: str | list[str] | None) -> list[str]:
    return [words] if isinstance(words, str) else words or []


def _counts_hold(meta: dict[str, Any], lowered: list[str]) -> bool:
    """Whether a reply has so many words, or names so many members of the category, whatever stands around them."""
    if "words" in meta and len(lowered) != meta["words"]:
        return False
    known = {member.lower() for member in w.CATEGORIES.get(meta.get("category", ""), ())}
    named = [word for word in lowered if word in known]
    return len(named) == meta["items"] if "items" in meta else bool(named) or not known
