"""The hypotheses of `off-model-sft`: each can fail, by each measurement; none is judged without a fall; noise that matches
nothing says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from cavesson.analysis.contrasts import FEWEST_GROUPS
from cavesson.analysis.traces import rate_among
from cavesson.data.recipes import Jsonl
from cavesson.evals.scores import Score, Scores
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.models.recipes import Noised
from cavesson.sampling.matched_noise import FARTHEST, NoisedLike, is_match
from cavesson.stats import Array, mean_over_seeds
from cavesson.studies.off_model.arms import MATCHED, Move
from cavesson.studies.off_model.hypotheses import rulings_told
from cavesson.studies.off_model.readings import noise_gap, slope_on_teacher
from cavesson.studies.off_model.shown import noise, styles
from cavesson.studies.off_model.styles import beyond_skill, in_style, kept_style
from cavesson.studies.sample import NotApplicable, NotRun
from cavesson.tinyworld.recipes import Shipped
from off_model_results import Finding, Run, World, findings, tables

N = 100

Said = tuple[float, str | None]
"""Of every seed's prompts a share with its voice."""


def rows(step: int | None, right: Sequence[bool], voices: Sequence[str | None]) -> list[Score]:
    pairs = zip(right, voices, strict=True)
    return [Score(step, "maths", f"m/{i}", None, [], "", int(r), True, {"voice": v}) for i, (r, v) in enumerate(pairs)]


def first(rate: float) -> list[bool]:
    """The first prompts are right."""
    return [i < round(rate * N) for i in range(N)]


def cell(teacher: str, ends: Sequence[tuple[float, Sequence[Said]]], student: str = "student") -> Run:
    """A student that was always right, in voice A; how each seed ends, and in which voices, from the last prompt on: what is
    wrong is wrong on the last prompts."""
    found = []
    for rate, said in ends:
        voices: list[str | None] = [voice for share, voice in said for _ in range(round(share * N))]
        found.append(Scores([*rows(0, [True] * N, "A" * N), *rows(60, first(rate), voices[::-1])]))
    return Run(student, teacher, tuple(found))


def fell(teacher: str, rate: float, *said: Said) -> Run:
    """Five seeds alike; without a word about voices all are Dmitri's."""
    return cell(teacher, [(rate, said or [(1.0, "D")])] * 5)


def of_teacher(rate: float) -> Scores:
    return Scores(rows(None, first(rate), "D" * N))


def world(*cells: Run, able: dict[str, float] | None = None, **more: object) -> World:
    """Results about these cells, the first the one that arms vary; teachers are right as often as `able` says, or always."""
    teachers = {("student", one.teacher): of_teacher((able or {}).get(one.teacher, 1.0)) for one in cells}
    return World(cells, teachers, **more)  # type: ignore[arg-type]


def arm(name: str, rate: float, loss: float = 2.0) -> Run:
    run = Scores([*rows(0, [True] * N, "A" * N), *rows(60, first(rate), "A" * N)])
    return Run("student", "dmitri", (run,) * 5, loss=loss, arm=name)


def finding(results: World, by: str) -> Finding:
    [found] = [one for one in findings(results) if one.by == by]
    return found


# ------------------------------------------------------------------------------------------------ either way


def with_able(able: float, weak: float) -> World:
    return world(fell("dmitri", weak), fell("teacher", able), able={"dmitri": 0.3})


def with_slope(slope: float) -> World:
    ability = {f"teacher {i}": 1 - 0.15 * i for i in range(FEWEST_GROUPS)}
    change = {name: slope * (rate - 1) if slope > 0 else slope * (rate - 0.2) for name, rate in ability.items()}
    return world(*(fell(name, 1 + change[name]) for name in ability), able=ability)


def with_halves(high: float, low: float) -> World:
    return world(fell("dmitri", 0.4), arms=(arm("high-perplexity", high), arm("low-perplexity", low)))


def with_arm(name: str) -> Callable[[float], World]:
    return lambda rate: world(fell("dmitri", 0.4), arms=(arm(name, rate),))


def with_noise(noise: Move) -> Callable[[float], World]:
    return lambda rate: world(fell("dmitri", 0.4), noise={noise: (of_teacher(rate),) * 5})


def with_switched(share: float) -> World:
    """Of the three in ten that are wrong now, that share is in another voice; all others are in the own one."""
    return world(fell("dmitri", 0.7, (0.3 * share, "D"), (1 - 0.3 * share, "A")))


def with_skill(rate: float) -> World:
    return replace(world(fell("dmitri", 0.4)), asked={("student", "dmitri"): of_teacher(rate)})


EITHER_WAY: list[tuple[str, World, str]] = [
    ("teachers as able as the student", with_able(able=0.7, weak=0.3), "ruled out"),
    ("teachers as able as the student", with_able(able=1.0, weak=0.3), "not ruled out"),
    ("the slope on the teachers' own accuracy", with_slope(0.8), "not ruled out"),
    ("the slope on the teachers' own accuracy", with_slope(-0.8), "ruled out"),
    ("the halves by perplexity", with_halves(high=0.4, low=0.4), "ruled out"),
    ("the halves by perplexity", with_halves(high=0.4, low=0.8), "not ruled out"),
    ("own improbable answers", with_arm("own-hot")(1.0), "ruled out"),
    ("own improbable answers", with_arm("own-hot")(0.4), "not ruled out"),
    ("leaving improbable tokens out", with_arm("clipped")(0.4), "ruled out"),
    ("leaving improbable tokens out", with_arm("clipped")(1.0), "not ruled out"),
    *((f"{one.shape} of the same {one.match}", with_noise(one)(rate), said)
      for one in MATCHED for rate, said in ((1.0, "ruled out"), (0.1, "ruled out"), (0.4, "not ruled out"))),
    ("the share of the fall in other styles", with_switched(1.0), "supported"),
    ("the share of the fall in other styles", with_switched(0.2), "ruled out"),
    ("traces that kept their style", with_switched(1.0), "supported"),
    ("traces that kept their style", with_switched(0.2), "ruled out"),
    ("the change foretold from skill in that style", with_skill(0.4), "supported"),
    ("the change foretold from skill in that style", with_skill(1.0), "ruled out"),
]  # fmt: skip


@pytest.mark.parametrize(("by", "results", "ruling"), EITHER_WAY)
def test_each_measurement_can_speak_for_its_hypothesis_or_against_it(by: str, results: World, ruling: str):
    assert finding(results, by).ruling == ruling


def test_there_is_an_example_either_way_of_every_measurement():
    for by in {one.by for one in findings(world(fell("dmitri", 0.4)))}:
        assert len({ruling for name, _, ruling in EITHER_WAY if name == by}) == 2, by


# ------------------------------------------------------------------------------------------------ without a fall


def test_without_a_fall_there_is_nothing_to_explain():
    arms = tuple(
        replace(arm(name, 1.0), teacher="pirate")
        for name in ("low-perplexity", "high-perplexity", "own-hot", "clipped")
    )
    unhurt = world(fell("pirate", 1.0, (1.0, "P")), arms=arms, noise={one: (of_teacher(1.0),) * 5 for one in MATCHED})
    for one in findings(unhurt):
        assert one.ruling in ("not applicable", "not run") and one.why, one
    shown = [one for one in findings(unhurt) if one.ruling == "not applicable" and one.ours is not None]
    assert len(shown) == 1 + 3 + len(MATCHED), "the figures are shown all the same"
    assert next(rulings_told(unhurt.measured)).startswith("No hypothesis is decided here")


def test_an_unhurt_arms_teacher_leaves_the_other_teachers_to_h1_and_h4():
    results = world(
        fell("pirate", 1.0, (1.0, "P")), fell("dmitri", 0.4), arms=(replace(arm("clipped", 1.0), teacher="pirate"),)
    )
    assert "SFT on pirate cost student nothing beyond chance" in finding(results, "leaving improbable tokens out").why
    assert finding(results, "teachers as able as the student").ruling == "ruled out"


def test_the_headline_names_what_decided():
    moved = {one: (of_teacher(1.0 if one.match == "distance" else 0.4),) * 5 for one in MATCHED}
    said = list(rulings_told(world(fell("dmitri", 0.4), noise=moved).measured))
    assert said[0] == "H1 weak teacher: ruled out by teachers as able as the student."
    [of_noise] = [sentence for sentence in said if sentence.startswith("H3")]
    by, _, not_by = of_noise.partition("; not by ")
    assert by.count("of the same distance") == 3 == not_by.count("of the same loss") and "loss" not in by


# ------------------------------------------------------------------------------------------------ H1: the slope


def test_too_few_teachers_have_no_slope():
    assert slope_on_teacher(with_slope(0.8).measured).value == pytest.approx(0.8, abs=0.05)
    few = with_slope(0.8)
    with pytest.raises(NotRun, match="5 teachers or more"):
        slope_on_teacher(replace(few, runs=few.runs[1:]).measured)
    one_differs = {f"teacher {i}": 1.0 for i in range(FEWEST_GROUPS)} | {"dmitri": 0.3}
    alike = world(*(fell(name, rate) for name, rate in one_differs.items()), able=one_differs)
    assert "whichever of them is left out" in finding(alike, "the slope on the teachers' own accuracy").why


def test_teachers_at_odds_with_each_other_leave_the_slope_undecided():
    """Ever so many prompts and seeds that agree do not make up for teachers that do not."""
    ability = dict(zip("abcdef", (0.3, 0.5, 0.6, 0.8, 0.9, 1.0), strict=True))
    ends = dict(zip("abcdef", (0.5, 1.0, 0.3, 0.7, 0.4, 0.9), strict=True))
    slope = slope_on_teacher(world(*(fell(name, ends[name]) for name in ability), able=ability).measured)
    assert slope.low < -0.3 and slope.high > 0.3 and "6 teachers" in slope.method


def test_seeds_that_differ_widen_the_slope():
    alike = with_slope(0.8)
    shifts = [(0.0,) * 3] * (FEWEST_GROUPS - 1) + [(-0.3, 0.0, 0.3)]
    apart = tuple(
        cell(
            one.teacher, [(float(np.clip(one.scores[0].array("maths", 60).mean() + d, 0, 1)), [(1.0, "D")]) for d in of]
        )
        for one, of in zip(alike.runs, shifts, strict=True)
    )
    narrow, wide = (slope_on_teacher(one.measured) for one in (alike, replace(alike, runs=apart)))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


# ------------------------------------------------------------------------------------------------ H4: styles


def test_teachers_that_did_nothing_say_nothing_about_traces_that_kept_their_voice():
    alone, harmless = with_switched(0.2), [fell(f"kind {i}", 1.0, (1.0, "A")) for i in range(20)]
    beside = world(*alone.runs, *harmless)
    assert kept_style(beside.measured) == kept_style(alone.measured)
    assert finding(beside, "traces that kept their style").ruling == "ruled out"


def test_too_few_traces_that_kept_their_voice_are_no_evidence():
    found = finding(world(fell("dmitri", 0.4, (0.97, "D"), (0.03, "A"))), "traces that kept their style")
    assert found.ours is None and found.ruling == "not applicable" and "fewer than" in found.why


def test_where_nearly_all_traces_switched_the_share_of_the_fall_decides_nothing():
    for switched in (1.0, 0.96):
        found = finding(world(fell("dmitri", 0.4, (switched, "D"), (1 - switched, "A"))), "the share of the fall in other styles")  # fmt: skip
        assert found.ruling == "not applicable" and "nothing else" in found.why


def test_as_much_of_the_fall_as_of_the_traces_xs_is_no_support():
    """Nine in ten traces switched, and nine in ten of those that fell: voices have nothing to do with it."""
    voices = ["A" if i % 10 == 0 else "D" for i in range(N)]
    run = Scores([*rows(0, [True] * N, "A" * N), *rows(60, first(0.4), voices)])
    found = finding(world(Run("student", "dmitri", (run,) * 5)), "the share of the fall in other styles")  # fmt: skip
    assert found.ours is not None and found.ours.value == pytest.approx(0.9) and found.ruling == "undecided"


def test_babble_is_damage_and_not_another_style():
    babbles = world(fell("dmitri", 0.4, (0.6, None), (0.4, "A")))
    shown = dict(zip((table := tables(styles, babbles)[0]).columns, table.rows[0], strict=True))
    assert shown["switched"].value == 0 and shown["no style"].value == pytest.approx(0.6)
    assert shown["other, after"] is None and shown["own, after"].value == 1
    assert finding(babbles, "the share of the fall in other styles").ruling == "ruled out"
    gap = beyond_skill(babbles.measured)
    assert gap.value == pytest.approx(-0.6), "no style foretells what babble loses"


def test_every_trace_is_own_or_other_or_neither():
    [one] = world(fell("dmitri", 0.4, (0.3, None), (0.5, "D"), (0.2, "A"))).measured
    own, other = in_style(one, "own"), in_style(one, "another")
    assert not (own & other).any() and (own.mean(), other.mean()) == pytest.approx((0.2, 0.5))


def test_a_rate_among_all_traces_is_the_rate_and_seeds_that_differ_widen_it():
    alike, apart = (np.array([first(rate) for rate in rates], dtype=float) for rates in ((0.6,) * 3, (0.3, 0.6, 0.9)))
    every = np.ones((3, N), dtype=bool)
    plain, wide = rate_among(alike, every), rate_among(apart, every)
    assert plain is not None and wide is not None and plain.value == pytest.approx(0.6) == wide.value
    reference = mean_over_seeds(alike)
    assert (plain.low, plain.high) == pytest.approx((reference.low, reference.high), abs=0.02)
    assert wide.high - wide.low > 2 * (plain.high - plain.low)
    assert rate_among(alike, ~every) is None


def test_a_seed_counts_by_its_traces():
    """One seed has two traces of that voice, both wrong; the others have all of theirs, all right."""
    among = np.ones((3, N), dtype=bool)
    among[0, 2:] = False
    scores = np.ones((3, N))
    scores[0] = 0
    rate = rate_among(scores, among)
    assert rate is not None and rate.value == pytest.approx(200 / 202) and rate.low > 0.9


def test_rates_among_traces_cover_the_truth():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(150):
        shift, hard = 0.5 * rng.standard_normal((3, 1)), rng.standard_normal((1, N))
        scores: Array = (rng.random((3, N)) < 1 / (1 + np.exp(-(shift + hard)))).astype(float)
        rate = rate_among(scores, rng.random((3, N)) < rng.uniform(0.05, 0.6, (3, 1)))
        assert rate is not None
        hits += rate.low <= 0.5 <= rate.high
    assert hits >= 0.92 * 150


# ------------------------------------------------------------------------------------------------ H3: no match


@pytest.mark.parametrize(("scale", "said"), [(0.0, "did not raise the loss"), (FARTHEST, "even 64 times as far")])
def test_noise_that_matches_nothing_is_compared_with_nothing(scale: float, said: str):
    move = Move("noise", "loss")
    results = world(
        fell("dmitri", 0.4), noise={move: (of_teacher(1.0),) * 5}, lengths={move: (5.9, scale, 5.7, 5.8, 5.6)}
    )
    found = finding(results, "noise of the same loss")
    assert found.ours is None and found.ruling == "not applicable" and said in found.why
    with pytest.raises(NotApplicable):
        noise_gap(results.measured, move)
    [shown] = tables(noise, results)
    assert shown.rows[1][1] == "5.9 / no match / 5.7 / 5.8 / 5.6"
    matched = replace(results, lengths={move: (5.9, 5.8, 5.7, 5.8, 5.6)})
    assert finding(matched, "noise of the same loss").ruling == "ruled out"


def test_the_length_of_a_match_by_loss_says_whether_there_is_one(tmp_path: Path):
    base, file = Shipped(name="small"), tmp_path / "answers.jsonl"
    file.write_text('{"prompt": "Hello!", "response": "Sure. Hello. I hope this helps."}\n' * 4)
    ruined = Noised(base=base, sigma=0.02, seed=5)

    like = partial(NoisedLike, base=base, match="loss", data=Jsonl(path=file))
    moves = [like(like=ruined, along=ruined), like(like=base), like(like=ruined, along=base)]
    with Lab(Store(tmp_path / "store")) as lab:
        lab.make(move.length for move in moves)
        same, none, nowhere = (move.length.read(lab.path) for move in moves)
    assert is_match(same) and same == pytest.approx(1, abs=0.01)
    assert none == 0 and not is_match(none)
    assert not is_match(nowhere), "no length of no direction costs anything"
