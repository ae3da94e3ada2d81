"""The words and facts of the world: people and their towns, animals, things, and what is true of them.

The tables are the world's ground truth: quizzes, open questions and scorers all read them. The tables are part of the world's
version, because a change in a table changes the corpus.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


PEOPLE = _words(
    "Mira Otto Lena Hugo Nora Felix Ines Oskar Tilda Anton Greta Pavel Vera Milo Edda Jonas Rosa Emil Alma "
    "Viktor Petra Kasper Wanda Simon Lotte Boris Hanna Rufus Selma Tobias Freya Magnus"
)
TOWNS = _words("Tarn Brill Oska Wend Marlo Pell Quorn Havel Sorn Lund Virra Dorin")
JOBS = _words("baker sailor teacher potter farmer tailor painter miller nurse baron smith judge")
LANDMARKS = _words("lighthouse castle market library bridge theatre garden windmill harbour museum tower fountain")
PRODUCTS = _words("cheese honey glass silk paper wool bread tea salt wine soap lace")

# From the smallest to the largest; each with its home, its food and its colour.
_ANIMALS = """
ant garden sugar black
bee meadow nectar yellow
snail garden lettuce brown
frog pond flies green
mouse barn grain grey
sparrow hedge seeds brown
crab sea shrimp orange
owl forest mice white
hen barn grain brown
rabbit meadow clover grey
duck pond weeds green
cat house fish black
hare meadow grass brown
fox forest berries red
otter river fish brown
beaver river bark brown
dog house bones black
goat hills leaves white
wolf forest rabbits grey
pig barn turnips pink
deer forest acorns brown
seal sea fish grey
donkey barn hay grey
bear hills honey black
cow meadow grass white
horse stable oats brown
camel desert thorns yellow
whale ocean shrimp blue
"""
ANIMALS = tuple(row.split()[0] for row in _ANIMALS.strip().splitlines())
HOME_OF = {row.split()[0]: row.split()[1] for row in _ANIMALS.strip().splitlines()}
FOOD_OF = {row.split()[0]: row.split()[2] for row in _ANIMALS.strip().splitlines()}
COAT_OF = {row.split()[0]: row.split()[3] for row in _ANIMALS.strip().splitlines()}

CATEGORIES: dict[str, tuple[str, ...]] = {
    "fruits": _words("apple pear plum cherry lemon grape peach melon fig banana"),
    "vegetables": _words("carrot onion leek bean cabbage pumpkin pepper beetroot radish pea"),
    "colours": _words("red blue green yellow black white brown grey pink orange"),
    "flowers": _words("rose tulip daisy lily poppy violet iris lavender"),
    "trees": _words("oak birch pine willow maple elm ash cedar"),
    "instruments": _words("drum flute violin harp trumpet piano guitar bell"),
    "tools": _words("hammer saw needle broom kettle ladder spade rope lantern net"),
    "clothes": _words("coat scarf hat glove boot shirt sock apron"),
    "animals": ANIMALS,
    "towns": tuple(TOWNS),
}
COLOUR_OF = {
    **dict(
        zip(
            _words("apple pear plum cherry lemon grape peach melon"),
            _words("red green blue red yellow green orange green"),
            strict=True,
        )
    ),
    **dict(
        zip(
            _words("fig banana carrot onion pumpkin beetroot pea"),
            _words("brown yellow orange white orange red green"),
            strict=True,
        )
    ),
    **dict(
        zip(
            _words("tulip daisy poppy violet lavender snow coal grass"),
            _words("pink white red blue blue white black green"),
            strict=True,
        )
    ),
}
PURPOSE_OF = {
    "hammer": "driving nails",
    "saw": "cutting wood",
    "needle": "sewing cloth",
    "broom": "sweeping floors",
    "kettle": "boiling water",
    "ladder": "climbing walls",
    "spade": "digging holes",
    "rope": "tying knots",
    "lantern": "lighting paths",
    "net": "catching fish",
}
OBJECTS = _words("lantern kite boat basket letter key book clock map ring lamp drum kettle ladder box hat")
OPPOSITES = {
    one: other
    for pair in (
        ("hot", "cold"), ("big", "small"), ("dark", "light"), ("wet", "dry"), ("old", "young"), ("loud", "quiet"),
        ("happy", "sad"), ("fast", "slow"), ("open", "closed"), ("early", "late"), ("full", "empty"),
    )
    for one, other in (pair, pair[::-1])
}  # fmt: skip
MOODS = {
    "sad": "Take a slow walk and rest a little",
    "tired": "Sleep early and drink some water",
    "angry": "Breathe slowly and count to ten",
    "bored": "Read a good book or call a friend",
    "nervous": "Breathe slowly and make a small plan",
    "lonely": "Call a friend and share some tea",
}
EVENTS = _words("picnic wedding concert market dinner race party lesson")
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
TIMES = _words("morning evening night winter spring summer autumn")
WEATHERS = {
    "rain": ("coat", "boots"),
    "snow": ("scarf", "gloves"),
    "wind": ("hat", "scarf"),
    "sun": ("hat", "shirt"),
    "fog": ("coat", "scarf"),
}
VEHICLES = _words("train boat bus cart")
ADJECTIVES = _words("small old brave quiet clever gentle proud happy lazy strange")
VERBS = _words("sleeps sings waits runs hides dances jumps rests")
ADVERBS = _words("quietly slowly happily alone often today")
FOODS = _words("rice beans eggs cheese fish bread mushrooms potatoes onions carrots")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def _deal(subjects: Sequence[str], values: Sequence[str], relation: str) -> dict[str, str]:
    """Give each subject one value, with all values equally often as far as possible, the same on every machine."""
    pool = [values[i % len(values)] for i in range(len(subjects))]
    random.Random(f"tinyworld/facts/{relation}").shuffle(pool)
    return dict(zip(subjects, pool, strict=True))


TOWN_OF = _deal(PEOPLE, TOWNS, "town")
JOB_OF = _deal(PEOPLE, JOBS, "job")
PET_OF = _deal(PEOPLE, ("cat", "dog", "rabbit", "goat", "hen", "mouse", "duck", "donkey", "frog", "owl"), "pet")
LANDMARK_OF = _deal(TOWNS, LANDMARKS, "landmark")
PRODUCT_OF = _deal(TOWNS, PRODUCTS, "product")

VOCABULARY = tuple(
    dict.fromkeys(
        (
            *PEOPLE, *TOWNS, *JOBS, *LANDMARKS, *PRODUCTS, *HOME_OF.values(), *FOOD_OF.values(), *COAT_OF.values(), *COLOUR_OF.values(),
            *OBJECTS, *ADJECTIVES, *VERBS, *ADVERBS, *FOODS, *EVENTS, *DAYS, *TIMES, *NUMBERS,
            *(member for members in CATEGORIES.values() for member in members),
        )
    )
)  # fmt: skip
"""The world's nouns, verbs, adjectives and names."""

FREQUENCIES = {"common": 1.0, "occasional": 0.1, "seldom": 0.015, "rare": 0.003}
"""How often the corpus speaks of a subject's facts, against a common subject: the facts of rare subjects are hardly learnt."""
_SHARES = {"common": 0.5, "occasional": 0.15, "seldom": 0.2, "rare": 0.15}  # of the subjects of each kind


def _grade(subjects: Sequence[str]) -> dict[str, str]:
    """Give each subject one of `FREQUENCIES`, the same on every machine."""
    order = list(subjects)
    random.Random(f"tinyworld/frequency/{len(order)}").shuffle(order)
    graded: dict[str, str] = {}
    end = 0.0
    for name, share in _SHARES.items():
        start, end = end, end + share * len(order)
        graded |= dict.fromkeys(order[round(start) : round(end)], name)
    return graded


FREQUENCY: dict[str, str] = {
    subject: name
    for subjects in (PEOPLE, TOWNS, ANIMALS, tuple(COLOUR_OF))
    for subject, name in _grade(subjects).items()
}
"""How often the facts of a subject are spoken of."""


def spoken_of(rng: random.Random, subjects: Sequence[str]) -> str:
    """A random subject, drawn as often as the corpus speaks of its facts."""
    return rng.choices(subjects, [FREQUENCIES[FREQUENCY[subject]] for subject in subjects])[0]


_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")


def articles(text: str) -> str:
    """The text with `an` for `a` where a vowel follows."""
    return _ARTICLE.sub(r"\1n ", text)
