"""Units of measure, as people write them after a number: "cm^2", "square metres", "miles per hour", "$", "percent"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_TABLE = r"""
length: mm millimeter millimetre = 1/1000; cm centimeter centimetre = 1/100; m meter metre = 1; km kilometer kilometre = 1000
length: inch inches = 127/5000; ft foot feet = 381/1250; yd yard = 1143/1250; mi mile = 201168/125
weight: mg milligram = 1/1000000; g gram = 1/1000; kg kilogram = 1; ton tonne = 1000; lb pound = 45359237/100000000
weight: oz ounce = 45359237/1600000000
time: ms millisecond = 1/1000; s sec second = 1; min minute = 60; h hr hour = 3600; day = 86400; week = 604800
months: month = 1; yr year = 12
volume: ml milliliter millilitre = 1/1000; l L liter litre = 1
gallons: gal gallon = 1
dollars: $ dollar usd buck = 1; cent ¢ = 1/100
euros: € euro eur = 1
pounds-sterling: £ gbp quid = 1; penny pence = 1/100
yen: ¥ yen jpy = 1
rupees: ₹ rupee inr = 1
angle: ^\circ degree deg = 1
celsius: celsius centigrade = 1
fahrenheit: fahrenheit = 1
radians: radian rad = 1
share: % percent pct percentage = 1
morning: am a.m = 1
afternoon: pm p.m = 1
power: W watt = 1; kw kilowatt = 1000
force: N newton = 1
energy: J joule = 1; kj kilojoule = 1000
voltage: V volt = 1
current: A amp ampere = 1
"""
"""Kind of measure: the names of a unit = its size; units of one kind are converted."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A unit: its kinds of measure with their powers, and its size."""

    kinds: tuple[tuple[str, int], ...] = ()
    size: Fraction = Fraction(1)


NONE = Measure()


def _read(table: str) -> dict[str, tuple[str, Fraction]]:
    found = {}
    for line in table.strip().splitlines():
        kind, _, units = line.partition(": ")
        for unit in units.split("; "):
            names, _, size = unit.partition(" = ")
            found.update({name: (kind, Fraction(size)) for name in names.split()})
    return found


_UNITS = _read(_TABLE)
_SHORT = {"mph": "mi/h", "kph": "km/h", "kmh": "km/h", "kmph": "km/h", "fps": "ft/s", "bps": "bit/s"}
_UNIT = re.compile(
    r"\s*(?P<per>(?:/|\bper\b|\ban?\b)\s*)?(?:(?P<before>square|sq|cubic|cu)\b\.?\s*)?"
    r"(?P<name>%|\^\s*\{?\s*\\circ\s*\}?|[$€£¥₹¢]|[ap]\.m\b\.?|per\s?cent(?:age)?\b|[A-Za-z]+)"
    r"(?:\s*\^\s*\{?\s*(?P<power>-?\d)\s*\}?|(?P<figure>[23])(?!\d)|\s+(?P<after>squared|cubed)\b)?"
)
_TEMPERATURE = re.compile(
    r"^\s*(?:\^\s*\{?\s*\\circ\s*\}?|(?i:degrees?)\b)\s*(?:(C|(?i:celsius|centigrade))|(?:F|(?i:fahrenheit)))\b"
)
DEGREES = frozenset({"angle", "celsius", "fahrenheit"})
"""Kinds of measure that are written as degrees: "5 degrees" may be of any of them."""
_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}


def measure_of(text: str) -> tuple[Measure, str]:
    """The unit of measure with which the text after a number begins, and the text after the unit.

    One letter right after the number is a variable (`5m`), not a unit (`5 m`), unless it has a power (`5m^2`).
    """
    text = _TEMPERATURE.sub(lambda found: " celsius" if found[1] else " fahrenheit", text)
    for short, spelt in _SHORT.items():
        text = re.sub(rf"^\s*{short}\b", f" {spelt}", text)
    kinds: dict[str, int] = {}
    size, rest = Fraction(1), text
    while (found := _UNIT.match(rest)) and bool(found["per"]) == bool(kinds):
        unit, power = _unit(found["name"]), _power(found)
        is_variable = rest is text and not text[:1].isspace() and len(found["name"]) == 1 and found["name"].isalpha()
        if unit is None or (is_variable and power == 1):
            break
        sign = -1 if found["per"] else 1
        kinds[unit[0]] = kinds.get(unit[0], 0) + sign * power
        size *= unit[1] ** (sign * power)
        rest = rest[found.end() :]
    return Measure(tuple(sorted(kinds.items())), size), rest


def _power(found: re.Match[str]) -> int:
    return int(found["power"] or found["figure"] or _POWERS.get(found["before"] or found["after"] or "", 1))


def _unit(name: str) -> tuple[str, Fraction] | None:
    """The kind and the size of a unit, in singular or plural; capitals matter in symbols only."""
    name = re.sub(r"[\s{}]", "", name).removesuffix(".").replace("percentage", "percent")
    forms = (name, name.lower(), singular(name.lower())) if len(name) > 1 else (name,)
    return next((_UNITS[form] for form in forms if form in _UNITS), None)


def singular(word: str) -> str:
    """An English word without the ending of the plural."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
