"""How the claims of a study came out: counts, in words, and how many of them chance alone would have made hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from cavesson.findings.views import ClaimView

WORDS = {
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "suggests it holds": ("is suggested to hold", "are suggested to hold"),
    "suggests it does not hold": ("is suggested not to hold", "are suggested not to hold"),
    "this seed: yes": ("holds in this one seed", "hold in this one seed"),
    "this seed: no": ("does not hold in this one seed", "do not hold in this one seed"),
    "undecided": ("is undecided", "are undecided"),
    "not run": ("was not run", "were not run"),
    "not applicable": ("is not applicable", "are not applicable"),
}
"""Every verdict as it is told, of one statement and of several."""

TESTED = ("holds", "does not hold", "undecided")
"""The verdicts of claims that were put to the test."""

ONE_SIDE = 0.025
"""Chance that a statement which is false by a hair holds: one side of a 95 % interval."""


def counted(claims: Iterable[ClaimView]) -> list[ClaimView]:
    """The replications, each interval once: checks of the machinery and second readings of an interval do not count."""
    return [claim for claim in claims if claim.kind == "replication" and not claim.shares]


def counts(claims: Iterable[ClaimView]) -> dict[str, int]:
    """How many statements came out in each way, in the order of `WORDS` and in the words of that number: "hold" of several."""
    found = Counter(claim.words for claim in counted(claims))
    return {words[found[way] > 1]: found[way] for way, words in WORDS.items() if found[way]}


def told(claims: Sequence[ClaimView]) -> str:
    """`Of 22 statements, 9 hold, 1 does not hold and 12 are undecided.`, with what does not count told after it."""
    found, checks = counted(claims), [claim for claim in claims if claim.kind == "check"]
    parts = [f"{number} {words}" for words, number in counts(claims).items()]
    sentences = []
    if found:
        sentences.append(f"Of {_several(len(found), 'statement')}, {_listed(parts)}.")
    if checks:
        made = [check for check in checks if check.verdict in TESTED]
        passed = sum(check.verdict == "holds" for check in made)
        as_meant = f"{passed} came out as {'it' if passed == 1 else 'they'} should"
        lacking = "" if len(made) == len(checks) else f"{len(made)} {'was' if len(made) == 1 else 'were'} made and "
        sentences.append(f"Of {_several(len(checks), 'check')} of the machinery, {lacking}{as_meant}.")
    return " ".join(sentences)


def by_chance(claims: Iterable[ClaimView]) -> str:
    """How many of the statements that an interval was asked about would hold by chance, were all of them false by a hair."""
    asked = sum(claim.verdict in TESTED for claim in counted(claims))
    return (
        f"Every statement is tested at 95 % on its own. If all {asked} that were tested were just barely false, "
        f"{ONE_SIDE * asked:.1f} of them would hold by chance."
    )


def _several(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(parts: Sequence[str]) -> str:
    *most, last = parts
    return f"{', '.join(most)} and {last}" if most else last
