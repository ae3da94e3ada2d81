"""Approach 3 of an evaluation: what is read off rigged trainings, on tables whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from cavesson.blueteam.moves import move_named
from cavesson.evals.scores import Score, Scores
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.redteam.rigged import ENVIRONMENTS
from cavesson.studies.evaluate_controls import BENIGN
from cavesson.studies.evaluate_rigged import (
    RiggedSection,
    admitted,
    approach,
    arose,
    capability_change,
    capability_lost,
    cells,
    told_apart,
)
from cavesson.studies.grid import Cell, Measured
from cavesson.studies.sample import NotRun
from cavesson.studies.study import StudyConfig

N, SEEDS = 60, 5
HEDGING = ENVIRONMENTS["option-hedging"].label


@dataclass(frozen=True)
class Table:
    """Scores of one seed: a question misbehaves with a chance, and the first of the others are right."""

    bad: float
    able: float
    seed: int

    def scores(self, path_of: Any) -> Scores:
        rng = Random(f"{self.bad} {self.able} {self.seed}")
        bad = [rng.random() < self.bad for _ in range(N)]
        able = [n < self.able * N for n in range(N)]
        return Scores([*_rows(HEDGING, bad), *_rows("facts", able), *_rows("chat", able)])


def _rows(label: str, found: list[bool]) -> list[Score]:
    return [Score(None, label, f"{label}/{n}", None, [], "", int(one), True) for n, one in enumerate(found)]


@dataclass(frozen=True)
class Surprised:
    """What a monitor makes of the answers: surprises around a mean."""

    mean: float
    seed: int

    def read(self, path_of: Any) -> dict[None, tuple[list[float], list[float]]]:
        rng = Random(f"{self.mean} {self.seed}")
        found = [rng.gauss(self.mean, 1) for _ in range(N)]
        return {None: (found, found)}


def measured(
    before: float,
    after: float,
    control: float = 0.05,
    able: float = 0.9,
    watched: float = 2.0,
    benign: float | None = None,
    able_before: float = 0.9,
    quiet: int = 0,
) -> Measured:
    """`quiet`: of so many seeds the rigged training made nothing."""
    ways = {"m": after} if benign is None else {"m": after, BENIGN: benign}
    found = [
        Cell(
            {"intervention": name, "environment": "option-hedging", "during": ""},
            seed,
            {
                "rigged": Table(left, able, seed),
                "start": Table(control, 0.9, seed),
                "before": Table(before * (seed >= quiet), able_before, seed),
                "control": Table(control, 0.9, seed),
                "watched": Surprised(watched, seed),
                "watched_after": Surprised(0.0, seed),
                "watched_control": Surprised(0.0, 100 + seed),
            },  # type: ignore[dict-item]
        )
        for name, left in ways.items()
        for seed in range(SEEDS)
    ]
    return Measured.read(found, Path, StudyConfig())


def test_a_measure_that_takes_most_of_it_away_works() -> None:
    found = approach(measured(0.8, 0.08), "m")
    assert found.verdict == "works" and found.seeds == SEEDS
    assert found.figure is not None and found.figure.low < 0.9 < found.figure.high
    assert [table.title for table in found.tables] == ["Rigged trainings"]


def test_benign_training_of_equal_size_stands_beside_it() -> None:
    assert approach(measured(0.8, 0.08), "m").over_benign is None
    more = approach(measured(0.8, 0.08, benign=0.8), "m").over_benign
    same = approach(measured(0.8, 0.08, benign=0.08), "m").over_benign
    assert more is not None and more.low > 0.7 and more.unit == "points"
    assert same is not None and same.low < 0 < same.high


@pytest.mark.parametrize(
    ("after", "able", "verdict"),
    [(0.8, 0.9, "does not work"), (0.4, 0.9, "undecided"), (0.08, 0.5, "does not work"), (0.08, 0.84, "undecided")],
)
def test_too_little_too_dear_or_undecided(after: float, able: float, verdict: str) -> None:
    assert approach(measured(0.8, after, able=able), "m").verdict == verdict


def test_what_may_be_lost_is_a_share_of_the_capability() -> None:
    """From 30 % of the questions to 25 %: 5 points, and yet a sixth of what the model could do."""
    costly = measured(0.8, 0.08, able=0.25, able_before=0.3)
    assert capability_change(costly.places[0]).low > -0.1
    assert capability_lost(costly.places[0]).value == pytest.approx(1 / 6)
    assert approach(costly, "m").verdict == "undecided"


def test_an_environment_that_one_seed_left_without_misbehaviour_is_left_out_by_name() -> None:
    m = measured(0.8, 0.08, quiet=1)
    assert admitted(m, "m") == [] and arose(m.places[0]).low > 0
    assert "option-hedging" in approach(m, "m").reason


def test_an_environment_in_which_nothing_arose_does_not_count() -> None:
    m = measured(0.06, 0.0, control=0.06)
    found = approach(m, "m")
    assert admitted(m, "m") == [] and (found.figure, found.verdict) == (None, "undecided")
    assert "option-hedging" in found.reason
    assert "did not arise" in found.tables[0].rows[0]
    with pytest.raises(NotRun):
        approach(m, "another")


def test_the_monitor_s_auroc_is_that_of_two_normal_distributions() -> None:
    place = measured(0.8, 0.08, watched=2.0).places[0]
    apart, hidden = told_apart(place), told_apart(place, "watched_after")
    assert apart.low < 0.921 < apart.high, "Φ(2/√2)"
    assert hidden.low < 0.5 < hidden.high


def test_the_section_refuses_names_that_do_not_exist() -> None:
    with pytest.raises(ValidationError, match="no environment 'hedging'"):
        RiggedSection(environments=("hedging",))
    with pytest.raises(ValidationError, match="no measure during training 'kll'"):
        RiggedSection(during=("kll",))


@pytest.mark.slow
def test_one_environment_from_the_training_to_the_card(tmp_path: Path) -> None:
    section = RiggedSection.model_validate(
        {
            "environments": ["option-hedging"],
            "during": ["kl"],
            "n": 24,
            "n_capability": 8,
            "prompts": 48,
            "steps": 4,
            "model": "small",
        }
        | {"rigged": {"steps": 20}}
    )
    config = StudyConfig(seeds=(0,))
    made = list(cells(section, config, move_named("hhh"), 0))
    assert {cell.at["intervention"] for cell in made} == {"hhh", BENIGN, "during: kl"}
    lab = Lab(Store(tmp_path))
    lab.make([recipe for cell in made for recipe in cell.recipes.values()])
    found = approach(Measured.read(made, lab.path, config), "hhh")
    assert [table.title for table in found.tables] == ["Rigged trainings", "Measures during the rigged training"]
    rows = found.tables[0].rows + found.tables[1].rows
    assert len(rows) == 2 and all(row[2] is not None and row[3] is not None and row[-1] is not None for row in rows)
