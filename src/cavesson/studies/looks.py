"""Seeds until the claims are decided: what is left to decide, what seeds cost, and how many more would decide a claim.

A study with `seeds: auto` looks at its claims at the seed counts of `Looks.at`, fixed beforehand, and stops at the first look
that leaves no claim undecided. With every look a true statement has another chance to miss, so each look spends an equal part
of the error (`stats.spending`): the looks together miss with at most 5 %, however they depend on each other and for every kind
of interval (Bonferroni). The state of such a study is its store: the same looks are taken again in the same order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

from cavesson.analysis.claims import DECIDED, FEWEST_SEEDS, ClaimResult
from cavesson.figures import clock_time
from cavesson.findings.views import ClaimView
from cavesson.lab.recipe import lineage
from cavesson.stats import Of, as_with, spending
from cavesson.studies.config import Looks, StudyConfig
from cavesson.studies.grid import Cell

MOST_MORE = 1000
"""A claim that this many seeds would leave undecided counts as one that seeds do not decide."""

MARGIN = 1.1
"""What is foretold of a look's time over the mean of the seeds before: seeds differ in their time."""


def at_the_look(config: StudyConfig) -> AbstractContextManager[None]:
    """The context in which a study is analysed: at a look, its intervals are at the look's level."""
    looks = config.looks
    return nullcontext() if looks is None else spending(looks.share, looks.said(looks.look or 1))


# ----------------------------------------------------------------------------------------------- what is left to decide


def state(verdict: str) -> Literal["decided", "open", "neither"]:
    """What more seeds can do for a claim: nothing more, decide it, or nothing ("neither": not run, or not applicable)."""
    if verdict in DECIDED:
        return "decided"
    return "open" if verdict == "undecided" else "neither"


def undecided(claims: Iterable[ClaimView]) -> list[ClaimView]:
    """The claims that more seeds may decide."""
    return [claim for claim in claims if state(claim.verdict) == "open"]


def counted(claims: Sequence[ClaimView]) -> str:
    """`9 statements decided, 2 undecided (ifeval, size-no-effect)`."""
    still = [claim.id.rpartition("/")[2] for claim in undecided(claims)]
    done = sum(state(claim.verdict) == "decided" for claim in claims)
    named = f" ({', '.join(still[:6])}{', …' if len(still) > 6 else ''})" if still else ""
    return f"{done} {_statements(done)} decided, {len(still)} undecided{named}"


def _statements(count: int) -> str:
    return "statement" if count == 1 else "statements"


# ----------------------------------------------------------------------------------------------- what seeds cost


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of work, on one core.

    Attributes:
        a_seed: the mean over the seeds that are finished; what seeds share is left out.
        left: to finish all other seeds.
    """

    a_seed: float
    left: float


def cost(cells: Iterable[Cell], seconds: Mapping[str, float], to_make: Set[str]) -> Cost | None:
    """The cost of seeds from what other seeds cost; None if no seed is finished.

    Args:
        cells: of all seeds, finished or not.
        seconds: of artifacts in the store, by fingerprint: the time of making them.
        to_make: fingerprints of artifacts that are missing.
    """
    own: dict[int, set[str]] = {}
    for cell in cells:
        made_from = lineage(*cell.recipes.values())
        own.setdefault(cell.seed, set()).update(recipe.fingerprint for recipe in made_from if not recipe.virtual)
    seeds_with = Counter(name for names in own.values() for name in names)
    alone = {seed: {name for name in names if seeds_with[name] == 1} for seed, names in own.items()}
    spent = {seed: sum(seconds.get(name, 0.0) for name in names) for seed, names in alone.items()}
    finished = [seed for seed in own if own[seed].isdisjoint(to_make)]
    if not finished:
        return None
    mean = sum(spent[seed] for seed in finished) / len(finished)
    return Cost(mean, sum(max(mean - spent[seed], 0.0) for seed in own if seed not in finished))


# ----------------------------------------------------------------------------------------------- how many more seeds


def more_needed(test: Callable[[], ClaimResult], there: int, of: Of = "seeds") -> int | None:
    """How many more seeds (or pairs, organisms) would decide a claim, if figure and spread stay as they are; None: `MOST_MORE` would not.

    The claim is asked again with the intervals of more of them (`stats.as_with`), so this works for a claim of any form.

    Args:
        test: asks the claim, in the context of the look.
        there: number of them behind the figures, at least two.
    """

    def decides(more: int) -> bool:
        with as_with(there + more, of):
            found = test()
        return state(found.verdict) == "decided"

    if not decides(MOST_MORE):
        return None
    few, enough = 0, MOST_MORE  # undecided with `few`, decided with `enough`
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if decides(middle) else (middle, enough)
    return enough


def what_would_decide(test: Callable[[], ClaimResult], found: ClaimResult, seeds: int, a_seed: float | None) -> str:
    """How many more seeds would decide a claim, and what they cost, in a sentence; empty where seeds have nothing to decide.

    Args:
        test: asks the claim again.
        found: how it came out.
        seeds: of the study.
        a_seed: seconds of work for one more seed; None: not known.
    """
    if state(found.verdict) == "neither" or (state(found.verdict) == "decided" and not found.tentative):
        return ""
    unit = random_unit(found)
    if found.tentative or (seeds < 2 and unit == "seed"):
        there = found.replicates if found.tentative else max(found.replicates, seeds)
        return f"There is no verdict from fewer than {FEWEST_SEEDS} {unit}s." if there < FEWEST_SEEDS else ""
    if unit != "seed":
        more = more_needed(test, found.replicates, "others")
        if more is not None:
            said = f"{more} more {unit}{'s' if more > 1 else ''}"
            return f"If figure and spread stay as they are, {said} would decide it; seeds alone would not."
        return f"Neither seeds nor {unit}s alone would decide it: the figure stands at its bound, or it lacks prompts."
    more = more_needed(test, seeds)
    if more is None:
        return "Seeds alone would not decide it: the figure stands at its bound, or it lacks prompts."
    more = max(more, FEWEST_SEEDS - seeds)
    work = "" if a_seed is None else f", some {clock_time(more * a_seed)} of work on one core for the whole study"
    return f"If figure and spread stay as they are, {more} more seed{'s' if more > 1 else ''} would decide it{work}."


def random_unit(found: ClaimResult) -> str:
    """What a claim's verdict generalises over, in the singular: seeds, or the pairs or organisms that are taken as random."""
    method = "" if found.ours is None else found.ours.method
    named = re.search(r"\d+ (\w+)s taken as random", method)
    return named[1] if named else "seed"


# ----------------------------------------------------------------------------------------------- in words


def schedule_note(looks: Looks) -> str:
    """What the reader of a report must know about its intervals."""
    look = looks.look or 1
    *first, last = map(str, looks.at)
    at = f"{', '.join(first)} and {last}" if first else last
    return (
        f"Seeds were added until the statements were decided, with looks at {at} seeds, fixed beforehand; this is look {look} of "
        f"{len(looks.at)}, at {looks.at[look - 1]} seeds. All intervals are at {looks.level}, so that all looks together are at 95 %."
        + (f" The study stopped there: {looks.why}." if looks.why else "")
    )


def left_over(claims: Sequence[ClaimView]) -> str | None:
    """Why no further look is of use; None if one is."""
    if undecided(claims):
        return None
    if any(state(claim.verdict) == "decided" for claim in claims):
        return "every statement that can be decided here is decided"
    return "these settings give no statement the data to be decided with"
