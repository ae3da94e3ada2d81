"""Findings: a small language that decides, and refuses everything else."""

from __future__ import annotations

import pytest

from cavesson.audit.findings import Finding, FindingError

RESULTS = {"a": {"acc": [0.5, 0.7]}, "b": {"acc": [0.25, 0.15]}, "n": 3, "nan": float("nan"), "name": "x", "yes": True}


@pytest.mark.parametrize(
    ("holds", "answer"),
    [
        ("mean(r['a']['acc']) - mean(r['b']['acc']) > 0.1", True),
        ("mean(r['a']['acc']) < mean(r['b']['acc'])", False),
        ("0 < r['b']['acc'][1] < r['b']['acc'][0] <= 0.25", True),
        ("not r['n'] == 3 or r['n'] != 4 and -r['n'] < 0", True),
        ("len(r['a']['acc']) == 2 and sum(r['a']['acc'][:1]) == 0.5", True),
        ("sorted(r['b']['acc'])[0] == min(r['b']['acc']) and abs(0 - 2) / 2 * 3 + 1 == 4", True),
        ("max(r['n'], 5) == 5", True),
    ],
)
def test_a_finding_is_decided_on_results(holds: str, answer: bool) -> None:
    assert Finding("f", "text", holds).evaluate(RESULTS) is answer


@pytest.mark.parametrize(
    "holds",
    [
        "__import__('os').system('true')",
        "r.__class__",
        "r['a'].get('acc')",
        "[x for x in r]",
        "(lambda: 1)()",
        "open('/etc/passwd')",
        "f'{r}'",
        "2 ** 9 ** 9",
        "r['a'] if r else 1",
        "max(r, key=len)",
        "x > 1",
        "1 >",
        "",
        "(" * 500 + ")" * 500,
        "mean(*r)",
    ],
)
def test_whatever_is_not_in_the_language_is_refused_when_it_is_read(holds: str) -> None:
    with pytest.raises(FindingError, match=r"probe\.yaml: the finding 'f'"):
        Finding("f", "text", holds, rubric="probe.yaml")


@pytest.mark.parametrize(
    ("holds", "problem"),
    [
        ("r['missing'] > 1", "'missing', which the results do not have"),
        ("r['a']['acc'][7] > 1", "do not have"),
        ("r['nan'] > 1", "not a finite number"),
        ("not r['nan'] > 1", "not a finite number"),
        ("r['name'] > 1", "not a number"),
        ("r['yes'] > 0", "not a number"),
        ("r['a'] > 1", "not a number"),
        ("r['n'] / 0 > 1", "division by zero"),
        ("mean(r['a']['acc'][:0]) > 1", "cannot be decided"),
        ("r['n'] * 2", "not a yes or no"),
        ("r['name'] * 10000000 == 1", "not a number"),
    ],
)
def test_results_that_do_not_decide_are_no_answer(holds: str, problem: str) -> None:
    with pytest.raises(FindingError, match=problem):
        Finding("f", "text", holds).evaluate(RESULTS)
