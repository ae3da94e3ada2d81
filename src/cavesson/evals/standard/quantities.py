"""Quantities: a number with its scale and its unit, as people write them ("5.6 thousand", "$29.00", "12 cm^2", "3 1/2")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from cavesson.evals.standard.measures import DEGREES, NONE, Measure, measure_of, singular

_WHOLE = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d{1,3}(?: \d{3})+(?!\d)|\d+)"
NUMBER = rf"(?:(?:{_WHOLE}\s+)?\d+/\d+(?![\d./])|(?:{_WHOLE}(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+(?!\w))?)"
"""A mixed number, a fraction, or a decimal number with an exponent."""

_QUANTITY = re.compile(
    rf"(?P<sign>(?:negative|minus)\s+|[-+]\s*)?(?P<money>[$€£¥₹])?\s*(?P<inner>-)?(?P<number>{NUMBER})(?P<rest>.*)",
    re.DOTALL | re.IGNORECASE,
)
_SCALE = re.compile(r"(?i:\s*(hundred|thousand|million|billion|trillion|dozen|bn|mn)s?\b)|([kKMB])(?![\w^/])")
_SCALES = {
    "hundred": 10**2, "thousand": 10**3, "k": 10**3, "million": 10**6, "mn": 10**6, "m": 10**6, "billion": 10**9, "bn": 10**9,
    "b": 10**9, "trillion": 10**12, "dozen": 12,
}  # fmt: skip
_OTHER_NUMBER = re.compile(
    r"[\d\\^*=+/{}<>|_!]|-\s*\w|(?:times|or|nor|to|minus|plus|off|over|out|half|halves|\w*-?fold|squared|cubed|factorial|choose|root|"
    r"sqrt|pi|mod|modulo|and|versus|vs|base|bc|bce|\w+(?:th|rd)s?)\b",
    re.IGNORECASE,
)
"""What makes the number before another number, a range or a ratio: a digit anywhere, or one of these words at once."""
COMPARED = re.compile(
    r"\b(?:more|less|fewer|lower|higher|greater|smaller|larger|increase|decrease|points?)\b", re.IGNORECASE
)
_SHARE = (("share", 1),)
_TALKS_ON = frozenset(
    re.findall(
        r"\w+",
        """a an the every each in for at on of from by with that who which left total altogether remaining away so because when all
        now more fewer less only exactly still long tall wide high deep old apart today per but as if is are he she it they we""",
    )
)
"""Words that end the name of what is counted: "18 apples left"."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit.

    Attributes:
        value: the number.
        measure: its unit of measure, if it has one.
        things: what is counted, in words without order ("red apple"); empty if the unit is one of measure.
    """

    value: Fraction
    measure: Measure = NONE
    things: frozenset[str] = frozenset()

    def same(self, other: Quantity) -> bool:
        """Whether two quantities are equal. If only one has a unit, the other's is taken to be the same.

        A percentage without a unit beside it is its figure or its hundredth: 5% is 5, or 0.05.
        """
        if self.bare or other.bare:
            return any(_equal(one, another) for one in self._readings() for another in other._readings())
        if self.things and other.things:
            return _equal(self.value, other.value) and not self.things.isdisjoint(other.things)
        kinds = {kind for kind, _ in (*self.measure.kinds, *other.measure.kinds)}
        degrees = "angle" in kinds and kinds <= DEGREES
        alike = (degrees or self.measure.kinds == other.measure.kinds) and self.things == other.things
        return alike and _equal(self.value * self.measure.size, other.value * other.measure.size)

    @property
    def bare(self) -> bool:
        """The number stands alone."""
        return not self.measure.kinds and not self.things

    def _readings(self) -> set[Fraction]:
        return {self.value, self.value / 100} if self.measure.kinds == _SHARE else {self.value}


def _equal(one: Fraction, other: Fraction) -> bool:
    """Equal, or equal to six decimals where a fraction has no end of decimals: 0.333333 is 1/3, as for math-verify."""
    if one == other:
        return True
    has_end = all(10**30 % value.denominator == 0 for value in (one, other))
    return not has_end and abs(one) > Fraction(1, 1000) and abs(one - other) < Fraction(1, 2_000_000)


def quantity(text: str) -> Quantity | None:
    """The quantity that a text in one notation (`notation.one_line`) is; None if the text is not a single number with a unit."""
    inner = re.fullmatch(r"[(\[]\s*([^()\[\],]*?)\s*[)\]]", text)
    found = _QUANTITY.fullmatch(with_plain_numbers(inner[1] if inner else text))
    if found is None or (value := _value(found["number"])) is None:
        return None
    signs = ((found["sign"] or "").strip() not in ("", "+")) + bool(found["inner"])
    rest = found["rest"]
    if scale := _SCALE.match(rest):
        value *= _SCALES[(scale[1] or scale[2]).lower()]
        rest = rest[scale.end() :]
    return _with_unit(value * (-1) ** signs, rest, found["money"] or "")


def _with_unit(value: Fraction, rest: str, money: str) -> Quantity | None:
    """The quantity whose unit stands before the number (`money`) or after it; None if `rest` makes the number another one."""
    measure, after = measure_of(f" {money}{rest}" if money else rest)
    words = after.strip()
    if re.search(r"\d", words) or _OTHER_NUMBER.match(words) or (measure.kinds == _SHARE and COMPARED.search(words)):
        return None
    if measure.kinds:
        return Quantity(value, measure)
    things = _things(words)
    is_variable = bool(rest[:1].isalpha()) or (bool(things) and len(things[0]) < 3)
    return None if is_variable else Quantity(value, things=frozenset(things))


def _things(words: str) -> list[str]:
    """The words that name what is counted."""
    found = []
    for word in re.findall(r"[^\W_][\w'-]*", words.lower()):
        if word in _TALKS_ON:
            break
        found.append(singular(word))
    return found


def without_unit(formula: str) -> tuple[str, Measure]:
    """A formula without the unit of measure at its end, and the unit; one letter is a unit only where no other letter stands."""
    for place in re.finditer(r"(?<=[\w})])\s*(?=%|\^\s*\{?\s*\\circ)|(?<=[\w})])\s+(?=[A-Za-z])", formula):
        body, (unit, rest) = formula[: place.start()], measure_of(" " + formula[place.start() :].strip())
        is_name = re.match(r"\s*[A-Za-z]{2}", formula[place.start() :]) or not re.search(
            r"(?<![\\A-Za-z])[A-Za-z]", body
        )
        if unit.kinds and not rest.strip() and is_name:
            return body, unit
    return formula, NONE


def with_plain_numbers(text: str) -> str:
    r"""The text with `1/2` for `\frac{1}{2}`, and `1.5e3` for `1.5 \times 10^3`."""
    text = re.sub(r"\\frac\s*(?:\{\s*(-?)(\d+)\s*\}|()(\d))\s*(?:\{\s*(-?)(\d+)\s*\}|()(\d))", _fraction, text)
    text = re.sub(r"(?<=\d)\s*(?:\\times|\\cdot|\*|x)\s*10\s*(?:\^|\*\*)\s*[{(]?\s*([-+]?\d+)\s*[})]?", r"e\1", text)
    return re.sub(r"^(\s*)--", r"\1", re.sub(r"(\d)\s*/\s*(?=\d)", r"\1/", text))


def _fraction(found: re.Match[str]) -> str:
    first, top, _, digit, second, bottom, _, last = found.groups()
    is_negative = (first == "-") != (second == "-")
    beside = " " if found.start() and found.string[found.start() - 1].isdigit() else ""
    return f"{beside}{'-' if is_negative else ''}{top or digit}/{bottom or last}"


def _value(number: str) -> Fraction | None:
    """The value of a number; None for a division by zero, and for a whole number beside a fraction of one or more."""
    if len(number) > 400:
        return None
    front, _, bottom = number.partition("/")
    if not bottom:
        digits, _, power = re.sub(r"[, ]", "", number).lower().partition("e")
        return None if len(power) > 4 else Fraction(digits) * Fraction(10) ** int(power or 0)
    if not int(bottom):
        return None
    whole, _, top = front.rpartition(" ")
    part = Fraction(int(top), int(bottom))
    if not whole.strip():
        return part
    return Fraction(re.sub(r"[, ]", "", whole)) + part if part < 1 else None
