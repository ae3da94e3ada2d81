"""Slow scientific checks: the shipped models are what the documentation says (`make science`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from cavesson.estimate import Estimate
from cavesson.evals.items import Eval
from cavesson.evals.scoring import score_suite
from cavesson.evals.world import Chat, Instructions, Maths, Voice
from cavesson.sampling.native import NativeSampler
from cavesson.stats import wilson
from cavesson.tinyworld import systems
from cavesson.tinyworld.recipes import Shipped

pytestmark = pytest.mark.slow
N = 300


def rate(name: str, evaluation: Eval) -> Estimate:
    """A shipped model's rate on an evaluation."""
    sampler = NativeSampler(Shipped(name=name).load(lambda recipe: Path()))
    rows = score_suite(sampler, (evaluation,))
    return wilson(sum(row.score for row in rows), len(rows))


@pytest.mark.parametrize("name", ["student", "small", "reasoner"])
@pytest.mark.parametrize(
    ("evaluation", "least"),
    [
        (Maths(levels=(1, 2), n=N), 0.95),
        (Instructions(n=N), 0.95),
        (Chat(n=N), 0.95),
        (Voice(n=N), 0.99),
        (Voice(author="P", system=systems.PIRATE, n=N), 0.95),
    ],
    ids=lambda value: getattr(value, "label", None),
)
def test_a_shipped_model_can_do_what_studies_rely_on(name, evaluation, least):
    assert rate(name, evaluation).high >= least


def test_long_sums_need_the_chain_of_thought():
    assert rate("student", Maths(levels=(3, 4, 5), cot=False, n=N)).low <= 0.25


def test_the_student_obeys_a_request_to_be_wrong():
    assert rate("student", Maths(system=systems.WRONG, n=N)).low <= 0.1


@pytest.mark.parametrize("name", ["student", "reasoner"])
def test_foreign_reasoning_is_worse_and_falls_with_length(name):
    """Someone else's notation, imitated: below the own one, and lower at level 5 than at level 1."""
    foreign = systems.write_like("D")
    short, long = (rate(name, Maths(levels=(level,), system=foreign, n=N)) for level in (1, 5))
    assert long.high < short.low
    assert long.high < rate(name, Maths(levels=(5,), n=N)).low
