"""How transfer is read off scores, and what the claims of the study of behaviour-compatible training say."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from cavesson.errors import CavessonError
from cavesson.evals.scores import Score, Scores
from cavesson.stats import mean_over_seeds
from cavesson.studies.grid import Cell, Measured
from cavesson.studies.report import claims_of
from cavesson.studies.resolve import resolve
from cavesson.studies.sample import NotRun, mean_of_figures
from cavesson.studies.transfer import STUDY
from cavesson.studies.transfer_axes import AS_IS, one_at_a_time
from cavesson.studies.transfer_claims import CLAIMS
from cavesson.studies.transfer_named import FULL_SETTINGS
from cavesson.studies.transfer_readings import (
    ABLE,
    AGREED,
    LOOSE,
    NEUTRAL,
    ON_EVALUATION,
    ON_TRAIN,
    OWN,
    STRICT,
    agreed,
    confounded,
    faults,
    runs_that,
    steps_to_transfer,
)
from cavesson.studies.transfer_shown import notes
from measured import Scored, at, together


def _table(rates: dict[str, tuple[float, float]], steps: tuple[int, ...], n: int = 100) -> Scores:
    """Scores at some steps: of each evaluation the rate at the first and from the second step on; `alternate` is recorded."""
    rows = []
    for label in (ON_TRAIN, ON_EVALUATION, *ABLE):
        for number, step in enumerate(steps):
            for index in range(n):
                place = (index + 0.5) / n
                extra = {}
                if label == ON_EVALUATION:
                    extra = {"alternate": place >= 1 - rates["alternate"][min(number, 1)]}
                rate = rates.get(label, (1.0, 1.0))[min(number, 1)]
                rows.append(Score(step, label, f"{label}/{index}", None, [], "", int(place < rate), True, extra))
    return Scores(rows)


def results(
    ends: dict[tuple[str, str, float], tuple[float, float, float]], *, start: float = 1.0, seeds: int = 5, n: int = 100
) -> Measured:
    """Runs (setting, data, rate) with the final initial and alternate rates and the final ability."""
    config = resolve("transfer", preset="full").config
    parts = []
    for (setting, train, lr), (initial, alternate, able) in ends.items():
        rates = {ON_EVALUATION: (start, initial), "alternate": (0.0, alternate), **dict.fromkeys(ABLE, (0.6, able))}
        place = dict(at(phase="settings", setting=setting, train=train, lr=lr, batch=16, steps=40))
        cells = [Cell(place, seed, {"run": Scored(partial(_table, rates, (0, 40), n))}) for seed in range(seeds)]  # type: ignore[dict-item]
        parts.append(Measured.read(cells, lambda recipe: Path("nowhere"), config))
    return together(*parts, config=config)


FLAG = "flag/voice/weights"
STILL = (1.0, 0.0, 0.6)


@pytest.mark.parametrize(
    ("end", "own", "neutral", "strict"),
    [
        ((0.0, 1.0, 0.6), STILL, STILL, 1.0),
        ((0.0, 0.0, 0.6), STILL, STILL, 0.0),  # neither: the alternate behaviour did not rise
        ((0.0, 1.0, 0.3), STILL, STILL, 0.0),  # ability went
        ((0.0, 1.0, 0.6), (0.1, 0.9, 0.6), STILL, 0.0),  # own outputs do the same
        ((0.0, 1.0, 0.6), STILL, (0.1, 0.9, 0.6), 0.0),  # neutral data do the same
    ],
)
def test_strict_transfer_is_more_than_a_fall(end, own, neutral, strict) -> None:  # type: ignore[no-untyped-def]
    m = results({(FLAG, AGREED, 1e-3): end, (FLAG, OWN, 1e-3): own, (FLAG, NEUTRAL, 1e-3): neutral})
    places = agreed(m).places
    assert runs_that(m, places, LOOSE).mean == 1.0 and runs_that(m, places, STRICT).mean == strict


def test_settings_whose_controls_move_are_named() -> None:
    told = results({(FLAG, AGREED, 1e-3): STILL, (FLAG, OWN, 1e-3): STILL, (FLAG, NEUTRAL, 1e-3): (0.5, 0.5, 0.6)})
    assert confounded(told, agreed(told).places[0]) == [NEUTRAL]
    said = " ".join(str(note) for note in notes(told))
    assert f"{FLAG} at 0.001 ({NEUTRAL})" in said


def verdict(name: str, m: Measured) -> str:
    return next(claim for claim in CLAIMS if claim.id == name).test(m).verdict


def test_a_setting_that_fails_its_check_is_left_out_and_named() -> None:
    good, bad = {(FLAG, AGREED, 1e-3): STILL}, {("rephrased/voice/weights", AGREED, 1e-3): STILL}
    m = together(results(good), results(bad, start=0.5), config=resolve("transfer").config)
    admitted, notes = STUDY.admits(m)  # type: ignore[misc]
    assert [place["setting"] for place in admitted] == [FLAG]
    assert len(notes) == 1 and "rephrased/voice/weights is left out" in notes[0] and "50.0 %" in notes[0]
    with pytest.raises(CavessonError, match="No setting passes"):
        STUDY.admits(results(bad, start=0.5))  # type: ignore[misc]


@pytest.mark.parametrize(("moved", "said"), [((0.0, 1.0, 0.6), "holds"), (STILL, "does not hold")])
def test_a_higher_rate_transfers_more_or_not(moved: tuple[float, float, float], said: str) -> None:
    assert verdict("rate", results({(FLAG, AGREED, 3e-4): STILL, (FLAG, AGREED, 1e-3): moved}, n=200)) == said
    static, dynamic = (f"flag/voice/{how} prompt" for how in ("static", "dynamic"))
    assert (
        verdict("static-dynamic", results({(static, AGREED, 1e-3): moved, (dynamic, AGREED, 1e-3): STILL}, n=200))
        == said
    )
    assert verdict("own-leaves", results({(FLAG, OWN, 1e-3): moved}, n=200)) == (
        "holds" if moved == STILL else "does not hold"
    )


def test_damage_counts_by_the_loose_criterion_alone() -> None:
    names = [name for name in FULL_SETTINGS if name.endswith("/voice/weights")][:12]
    still = {(name, train, 1e-3): STILL for name in names for train in (OWN, NEUTRAL)}
    damaged, moved = (
        dict.fromkeys([(name, AGREED, 1e-3) for name in names], end) for end in ((0.0, 0.0, 0.6), (0.0, 1.0, 0.6))
    )
    assert verdict("loose", results({**damaged, **still}, n=10)) == "holds"
    assert verdict("loose", results({**moved, **still}, n=10)) == "undecided"  # both criteria count all twelve


def test_one_run_that_the_loose_criterion_counts_alone_is_no_proof() -> None:
    names = [name for name in FULL_SETTINGS if name.endswith("/voice/weights")][:12]
    still = {(name, train, 1e-3): STILL for name in names for train in (OWN, NEUTRAL)}
    runs = {(name, AGREED, 1e-3): STILL for name in names} | {(names[0], AGREED, 1e-3): (0.0, 0.0, 0.6)}
    assert verdict("loose", results({**runs, **still}, n=10)) == "undecided"


def test_settings_that_share_what_separates_them_are_no_independent_runs() -> None:
    """Three settings with a flag transfer and three under monitoring do not: two draws, however many settings there are of each."""
    one, two = (
        [f"{apart}/{does}/weights" for does in ("voice", "marker", "refusal")] for apart in ("flag", "monitored")
    )
    ends = {(name, AGREED, 1e-3): (0.0, 1.0, 0.6) for name in one} | {(name, AGREED, 1e-3): STILL for name in two}
    m = results(ends)
    shared = runs_that(m, agreed(m).places, LOOSE)
    assert shared.mean == 0.5 and shared.prompts == ("flag",) * 3 + ("monitored",) * 3
    alone = mean_over_seeds(shared.table)
    assert shared.estimate.high - shared.estimate.low > alone.high - alone.low


def law(rises: dict[float, int], steps: int = 256) -> Measured:
    """Runs of the law at some rates, each of which shows the alternate behaviour from a step on, scored at the powers of two."""
    config = resolve("transfer", preset="law").config
    scored = (0, *(2**power for power in range(1, steps.bit_length()) if 2**power < steps), steps)
    parts = []
    for lr, first in rises.items():
        place = dict(at(phase="law", setting=FLAG, train=AGREED, lr=lr, batch=16, steps=steps))
        rows = [
            Score(step, ON_EVALUATION, f"{ON_EVALUATION}/{k}", None, [], "", 0, True, {"alternate": step >= first})
            for step in scored
            for k in range(200)
        ]
        cells = [Cell(place, seed, {"run": Scored(Scores(rows))}) for seed in range(5)]  # type: ignore[dict-item]
        parts.append(Measured.read(cells, lambda recipe: Path("nowhere"), config))
    return together(*parts, config=config)


@pytest.mark.parametrize(
    ("rises", "said"),
    [
        ({8e-3: 4, 1e-3: 257}, "holds"),  # not within the 192 steps that six times N = 8 of the 4 are
        ({8e-3: 4, 1e-3: 64}, "does not hold"),  # well within the least that it can be: 6 · 8 · 3 = 144
        ({8e-3: 4, 1e-3: 256}, "undecided"),  # somewhere from 129 to 256, where between 144 and 192 was asked for
        ({8e-3: 4, 4e-3: 8}, "not applicable"),  # N = 2: what was published is of N from 6 on
    ],
)
def test_how_much_longer_a_lower_rate_needs_is_known_between_two_scored_steps(
    rises: dict[float, int], said: str
) -> None:
    views = claims_of("transfer", [claim for claim in CLAIMS if claim.id == "six-n"], law(rises))
    assert views[0].verdict == said


@pytest.mark.parametrize(("rate", "said"), [(0.0, "does not hold"), (1.0, "holds")])
def test_a_condition_leaks_or_not(rate: float, said: str) -> None:
    m = results({("none → none", AGREED, 1e-3): (1 - rate, rate, 0.6)})
    cells = [Cell({**cell.at, "phase": "cases"}, cell.seed, cell.recipes) for place in m for cell in place.cells]
    found = Measured.read(cells, lambda recipe: Path("nowhere"), m.config)
    assert verdict("case-none", found) == said and verdict("case-inoculation", found) == "not run"


def test_steps_to_transfer_are_the_first_at_half() -> None:
    place = results({(FLAG, AGREED, 1e-3): (0.4, 0.6, 0.6)}).places[0]
    assert steps_to_transfer(place) == 40 and steps_to_transfer(place, half=0.7) is None and faults(place) == []


def test_rates_are_compared_where_both_were_run() -> None:
    """A setting that was run at the higher rate alone says nothing about rates."""
    other = ("rephrased/voice/weights", AGREED, 1e-3)
    moved = (0.0, 1.0, 0.6)
    m = results({(FLAG, AGREED, 3e-4): STILL, (FLAG, AGREED, 1e-3): STILL, other: moved}, n=200)
    assert verdict("rate", m) == "does not hold"


def test_goal_guarding_is_compared_with_an_organism_without_a_reason() -> None:
    config = resolve("transfer", preset="guarding").config
    guarding, naive, apart = config.every
    assert apart.train == naive.train and set(apart.thoughts) == set(naive.thoughts)
    assert {one.thoughts == naive.thoughts for one in apart.lessons[:2]} == {
        True,
        False,
    }  # other words where it is not watched
    assert (guarding.train, guarding.agreed, guarding.initial) == (naive.train, naive.agreed, naive.initial)
    assert guarding.thoughts and naive.thoughts and guarding.thoughts != naive.thoughts


def test_one_figure_a_seed_has_its_interval_over_seeds() -> None:
    of_two = mean_of_figures([0.04, 0.06], bounds=(0.0, 10.0))
    assert of_two.method == "Student's t over 2 seeds taken as random"
    assert of_two.value == pytest.approx(0.05) and 0.0 == of_two.low < of_two.high < 1.0
    with pytest.raises(NotRun, match="a second seed"):
        mean_of_figures([0.04])


def test_a_change_stands_beside_its_own_controls_and_the_unchanged_training() -> None:
    ends = {(FLAG, AGREED, 1e-3): (0.5, 0.5, 0.6), (FLAG, OWN, 1e-3): STILL, (FLAG, NEUTRAL, 1e-3): STILL}
    more = {**ends, (FLAG, AGREED, 1e-3): (0.0, 1.0, 0.6), (FLAG, NEUTRAL, 1e-3): (0.7, 0.3, 0.6)}
    cells = [
        Cell({**cell.at, "phase": "axes", "change": change}, cell.seed, cell.recipes)
        for change, of in ((AS_IS, ends), ("batch 64", more))
        for place in results(of)
        for cell in place.cells
    ]
    m = Measured.read(cells, lambda recipe: Path("nowhere"), resolve("transfer").config)
    shown = one_at_a_time(m)
    assert shown is not None
    rows = {row[1]: dict(zip(shown.columns[3:], row[3:], strict=True)) for row in shown.rows}
    assert rows[AS_IS]["changed"] is None and rows["batch 64"]["changed"].value == pytest.approx(0.5)  # type: ignore[union-attr]
    assert rows["batch 64"]["beyond the controls"].value == pytest.approx(0.7)  # type: ignore[union-attr]
