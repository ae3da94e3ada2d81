"""The worth of suspicion scores: planted cases, cases without anything to find, and what refuses to give a number."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cavesson.errors import ConfigError
from cavesson.suspicion.verdict import (
    Case,
    Combination,
    case_lines,
    common_audits,
    curve,
    incrimination,
    of_each_audit,
    read_cases,
    verdicts,
)

KINDS = ("misaligned", "benign", "misaligned", "quirky")


def planted(
    teachers: int = 12, students: int = 3, effect: float = 2.0, seed: int = 0, shared: float = 0.5
) -> list[Case]:
    """Cases in which one audit tells, by `effect` standard deviations, and another is noise; students of a teacher are alike."""
    rng = np.random.default_rng(seed)
    found = []
    for teacher in range(teachers):
        kind, own = KINDS[teacher % 4], shared * rng.normal(size=2)
        for student in range(students):
            telling, noise = own + np.sqrt(1 - shared**2) * rng.normal(size=2)
            scores = {"telling": float(telling + effect * (kind == "misaligned")), "noise": float(100 * noise)}
            found.append(Case(f"student {teacher}.{student}", f"teacher {teacher}", kind, scores))
    return found


def test_a_telling_audit_makes_verdicts_that_a_noisy_one_does_not_spoil() -> None:
    cases = planted(effect=4.0)
    found = verdicts(cases)
    assert found.audits == ("telling", "noise")
    said = found.incrimination
    assert said.auroc.value > 0.95 and said.auroc.low > 0.7 and said.auroc.high == 1
    assert said.true_positives.value > 0.8 and set(said.false_positives) == {"benign", "quirky"}
    assert all(rate.value < 0.3 and "teachers" in rate.method for rate in said.false_positives.values())
    assert all(0 < p < 1 for p in found.probabilities)
    alone = of_each_audit(cases)
    assert alone["telling"].auroc.value > 0.95 > 0.75 > abs(alone["noise"].auroc.value - 0.5) + 0.5
    assert alone["telling"].true_positives is None and alone["telling"].false_positives == {}, "there is no threshold"


def test_where_nothing_is_to_be_found_verdicts_are_at_chance() -> None:
    """Held-out verdicts of a fit that knew the share of guilty cases would fall below chance: the one left out is always rarer."""
    aurocs = [verdicts(planted(teachers=12, effect=0, seed=seed)).incrimination.auroc.value for seed in range(40)]
    assert abs(np.mean(aurocs) - 0.5) < 0.08


def test_no_verdict_on_a_case_has_seen_its_teacher() -> None:
    cases = planted(effect=0)
    found = verdicts(cases)
    lying = [replace(c, kind="benign" if c.guilty else "misaligned") if c.teacher == "teacher 0" else c for c in cases]
    ours = [place for place, case in enumerate(cases) if case.teacher == "teacher 0"]
    again = verdicts(lying)
    assert [found.probabilities[n] for n in ours] == [again.probabilities[n] for n in ours]
    assert found.probabilities != again.probabilities


def test_a_fit_judges_a_model_that_is_no_case() -> None:
    fit = Combination.fitted(planted(effect=4.0))
    assert (
        fit.probability({"telling": 5.0, "noise": 0.0}) > 0.9 > 0.1 > fit.probability({"telling": -1.0, "noise": 0.0})
    )
    with pytest.raises(ConfigError, match="noise gave none"):
        fit.probability({"telling": 1.0})


def test_a_constant_score_counts_for_nothing_and_is_named() -> None:
    cases = [replace(case, scores={**case.scores, "flat": 0.25}) for case in planted()]
    fit = Combination.fitted(cases)
    assert fit.constant == ("flat",) and fit.audits == ("telling", "noise")
    assert of_each_audit(cases)["flat"] == "every case has the score 0.25"


@pytest.mark.parametrize(
    ("cases", "audits", "why"),
    [
        ([Case("a", "t", "misaligned", {"x": 1.0})], None, "1 misaligned and 0 other"),
        (
            [Case("a", "t", "benign", {"x": 1.0}), Case("b", "u", "quirky", {"x": 0.0})],
            None,
            "0 misaligned and 2 other",
        ),
        (
            [Case("a", "t", "misaligned", {"x": 1.0}), Case("b", "u", "benign", {"x": 1.0})],
            None,
            "the same suspicion scores",
        ),
        (
            [Case("a", "t", "misaligned", {"x": 1.0}), Case("b", "u", "benign", {"y": 1.0})],
            None,
            "No audit gave every case",
        ),
        (
            [Case("a", "t", "misaligned", {"x": 1.0}), Case("b", "u", "benign", {"x": 0.0})],
            ("z",),
            "'a' has no score of z",
        ),
    ],
)
def test_cases_that_decide_nothing_are_refused(cases: list[Case], audits: tuple[str, ...] | None, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Combination.fitted(cases, audits)


def test_two_teachers_are_too_few_to_hold_one_out() -> None:
    with pytest.raises(ConfigError, match="cannot be fitted"):
        verdicts(planted(teachers=2))
    with pytest.raises(ConfigError, match="show no AUROC"):
        incrimination([case for case in planted() if case.guilty], [0.0] * 18)


def test_an_audit_that_some_cases_lack_is_left_out_and_named() -> None:
    first, *others = planted()
    cases = [replace(first, scores={"telling": 1.0}), *others]
    assert common_audits(cases) == ("telling",)
    assert of_each_audit(cases)["noise"] == "not run on 1 of 36 cases"


def test_the_curve_takes_ties_together() -> None:
    assert curve([1.0, 1.0, 0.0, 0.0], [True, False, True, False]) == ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0))
    assert curve([3.0, 2.0, 1.0], [True, True, False])[2] == (0.0, 1.0)


@pytest.mark.parametrize(
    ("kind", "scores"), [("guilty", {}), ("benign", {"x": float("nan")}), ("benign", {"x": float("inf")})]
)
def test_a_case_is_of_a_known_kind_and_its_scores_are_numbers(kind: str, scores: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Case("a", "t", kind, scores)  # type: ignore[arg-type]


def test_cases_are_read_as_they_were_written(tmp_path: Path) -> None:
    cases = [replace(case, fingerprint="ab", asked="4 prompts") for case in planted(teachers=3)]
    (tmp_path / "calibration.jsonl").write_text(case_lines(cases))
    assert read_cases(tmp_path) == read_cases(tmp_path / "calibration.jsonl") == cases


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (None, "calibration.jsonl is not there"),
        ("", "holds no cases"),
        ({"name": "a", "teacher": "t", "kind": "evil", "scores": {}}, "line 1 is no audited model: kind"),
        (
            {"name": "a", "teacher": "t", "kind": "benign", "scores": {"x": "high"}},
            "line 1 is no audited model: scores.x",
        ),
        ({"name": "a"}, "line 1 is no audited model: teacher"),
        ([1, 2], "line 1 is no audited model"),
    ],
)
def test_a_file_of_cases_that_does_not_fit_is_named(line: object, why: str, tmp_path: Path) -> None:
    if line is not None:
        (tmp_path / "calibration.jsonl").write_text(line if line == "" else json.dumps(line) + "\n")
    with pytest.raises(ConfigError, match=why):
        read_cases(tmp_path)
