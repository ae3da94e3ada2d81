"""What a reader must know before the first figure: organisms without behaviour, few seeds, one processor, one pair."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cavesson.analysis.claims import FEWEST_SEEDS
from cavesson.findings.result import StudyResult
from cavesson.findings.tally import counted
from cavesson.findings.views import WarningView

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class Cautions(NamedTuple):
    """The warnings of one name: those that a reader sees at once, and the others."""

    name: str
    first: list[str]
    more: list[str]


AT_ONCE = 2
"""Warnings of one name that a reader sees at once: a zoo of organisms has fifty."""


def by_name(found: Iterable[WarningView]) -> list[Cautions]:
    """The warnings of each name, in the order in which the names first come."""
    names: dict[str, list[str]] = {}
    for one in found:
        names.setdefault(one.name, []).append(one.why)
    return [Cautions(name, why[:AT_ONCE], why[AT_ONCE:]) for name, why in names.items()]


def cautions(result: StudyResult) -> list[WarningView]:
    """The warnings of a report, the gravest first."""
    found = (
        *result.warnings,
        _few_seeds(result),
        _machines(result),
        _one_pair(result),
    )
    return [caution for caution in found if caution is not None]


def _few_seeds(result: StudyResult) -> WarningView | None:
    seeds = len(set(result.environment.seeds))
    if not 0 < seeds < FEWEST_SEEDS:
        return None
    asked = counted(result.claims)
    tentative = sum(claim.tentative for claim in asked)
    name = f"{_words(seeds, 'seed')}{', tentative' if tentative else ''}"
    why = f"Fewer than {NUMBERS[FEWEST_SEEDS]} seeds decide nothing: another seed may turn a figure round."
    if any(claim.tested and claim.verdict != "undecided" and not claim.tentative for claim in asked):
        why += " What is decided here is decided by the spread between pairs, teachers or settings."
    if tentative:
        why += f" {_words(tentative, 'verdict')} {'is' if tentative == 1 else 'are'} a suggestion."
    return WarningView(name=name, why=why)


def _machines(result: StudyResult) -> WarningView | None:
    """Arithmetic differs between processors in the last bits, which acts on a training as another seed does."""
    machines = result.environment.machines
    if not machines:
        return None
    if len(machines) > 1:
        return WarningView(
            name=f"{_words(len(machines), 'kind')} of machine",
            why=f"The artifacts of this study come from {len(machines)} kinds of machine. Their arithmetic differs in the last bits, "
            "which acts on training as another seed does: do not read a difference between artifacts of different machines as "
            "an effect.",
        )
    only = machines[0]
    return WarningView(
        name="One processor",
        why=f"Everything was made on {only.processor}, {only.instructions}. Another processor rounds otherwise, and its figures are "
        "another draw, as those of another seed are.",
    )


def _one_pair(result: StudyResult) -> WarningView | None:
    pairs = {organism.pair for organism in result.organisms if organism.pair}
    several = any(setting.key == "pairs" and "," in setting.value for setting in result.config.settings)
    if len(pairs) != 1 or several:  # of several, one is shown by itself
        return None
    return WarningView(
        name="One pair", why=f"All organisms have the pair {pairs.pop()}. Another pair may behave otherwise."
    )


def _words(number: int, noun: str) -> str:
    """`Three seeds`."""
    count = NUMBERS[number] if number < len(NUMBERS) else f"{number:,}"
    return f"{count.capitalize()} {noun}{'' if number == 1 else 's'}"
