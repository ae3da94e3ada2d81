"""What the report of the study `five-approaches` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from cavesson.analysis.claims import FEWEST_SEEDS
from cavesson.analysis.foretelling import bits
from cavesson.estimate import Estimate
from cavesson.figures import clock_time
from cavesson.findings.views import ClaimView, TableView
from cavesson.stats import spending
from cavesson.studies.evaluate_zoo import organisms_of
from cavesson.studies.five_readings import (
    EXPENSIVE,
    LASTING,
    foretells,
    minutes,
    names,
    ratings,
    repeats,
    share_trainings,
)
from cavesson.studies.grid import Measured
from cavesson.studies.redblue import title
from cavesson.studies.sample import NotApplicable
from cavesson.studies.shown import Note, table


def matrix(m: Measured) -> TableView | None:
    """Interventions × ways to evaluate."""
    return table(
        "What each way to evaluate says of each intervention",
        "The share of what is bad that is gone, as each way measures it; production: the share of the cost that is saved. By blue's "
        "checkpoint unless another is named.",
        {title(name): name for name in names(m)},
        {way: partial(lambda found, name: found[name], found) for way, found in ratings(m).items()},
        first="intervention",
    )


def correlations(m: Measured) -> TableView | None:
    """Ways × ways."""
    return table(
        "Do they rank alike?",
        f"Rank correlations over {len(names(m))} interventions, resampled for the interval. The zoo and production read the same trainings. "
        "Itself: some of a way's seeds against its others; what does not repeat itself cannot be foretold.",
        {way: way for way in ratings(m)},
        {f"{other}": partial(_apart, m, other) for other in EXPENSIVE}
        | {"itself, by other seeds": partial(repeats, m)},
        first="way",
        unit="plain",
    )


def _apart(m: Measured, other: str, way: str) -> Estimate:
    if way == other:
        raise NotApplicable("a way is not compared with itself")
    return foretells(m, way, other)


def worth(m: Measured) -> TableView | None:
    """What a bit costs."""

    def cost(way: str) -> str:
        spent = minutes(m, way)
        return "–" if spent is None else clock_time(60 * spent)

    def price(way: str) -> str:
        spent, found = minutes(m, way), _apart(m, LASTING, way)
        if spent is None:
            return "–"
        least, most = (bits(end) for end in _ends(found))
        told = clock_time(60 * spent / most) if most > 0 else "no bit at any price"
        return f"{told} or more" if least <= 0 else f"{told} to {clock_time(60 * spent / least)}"

    return table(
        "What a bit costs",
        f"Work on one core for one intervention, and for one bit about how it ranks by {LASTING!r}: from the ends of the interval of the "
        "rank correlation, as if the two rankings had a Gaussian copula.",
        {way: way for way in ratings(m)},
        {"an intervention": cost, "a bit": price},
        first="way",
    )


def _ends(found: Estimate) -> tuple[float, float]:
    """The least and the greatest size of a correlation within its interval."""
    least = 0.0 if found.low <= 0 <= found.high else min(abs(found.low), abs(found.high))
    return least, max(abs(found.low), abs(found.high))


def foretold(m: Measured, expensive: str) -> Iterator[str]:
    """Which other way foretells an expensive one best, in sentences; none where the expensive one was not run."""
    others = [way for way in ratings(m) if way not in EXPENSIVE]
    if expensive not in ratings(m) or not others:
        return
    if len(m.config.seeds) > 1 and (itself := repeats(m, expensive)).low <= 0:
        yield (
            f"Nothing can be said to foretell the ranking by {expensive!r}: by other seeds it is not shown to repeat itself "
            f"(rank correlation {itself})."
        )
        return
    best, found = _best(m, expensive, others)
    shared = share_trainings(m, best, expensive)
    whence = ", which reads the same trainings" if shared else ""
    if found.low > 0:
        yield f"The ranking by {expensive!r} is foretold best by {best!r}{whence}: rank correlation {found}."
    else:
        yield f"No other way can be said to foretell the ranking by {expensive!r}; the nearest is {best!r}{whence}: rank correlation {found}."
    apart = [way for way in others if not share_trainings(m, way, expensive)]
    if shared and apart:
        best, found = _best(m, expensive, apart)
        does = "foretells it best" if found.low > 0 else "is nearest, and cannot be said to foretell it"
        yield f"Of the ways that share no training with it, {best!r} {does}: rank correlation {found}."


def _best(m: Measured, expensive: str, ways: Sequence[str]) -> tuple[str, Estimate]:
    """The way whose correlation with an expensive one is the greatest by its lower end; the interval allows for the choice."""
    with spending(1 / len(ways), f"for the best of {len(ways)} ways"):
        found = {way: foretells(m, way, expensive) for way in ways}
    best = max(found, key=lambda way: found[way].low)
    return best, found[best]


def headline(m: Measured, judged: Sequence[ClaimView]) -> Iterator[str]:
    """Which cheap way foretells which expensive one."""
    seeds = len(m.config.seeds)
    caution = f"Of fewer than {FEWEST_SEEDS} seeds, this only suggests something. " if seeds < FEWEST_SEEDS else ""
    found = [said for one in EXPENSIVE for said in foretold(m, one)]
    yield from (f"{caution if number == 0 else ''}{said}" for number, said in enumerate(found))
    yield f"{len(names(m))} interventions, {len(organisms_of(m))} organisms, {seeds} seed{'s' if seeds > 1 else ''}."


def notes(m: Measured) -> Iterator[Note]:
    """What the reader must know."""
    yield Note(
        "A structured argument (approach 5) rests on the figures of the other approaches, so its ranking is theirs by construction; it is "
        "left out here and stands on each card."
    )
