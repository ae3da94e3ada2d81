"""Papers in the ways in which different hands write them: the findings are read, whatever the headings, order and markup."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit_toys import write
from cavesson.audit.auditors.claims import NULLS, denied, levelled, planned_null
from cavesson.audit.auditors.conclusion import Conclusion, contrast
from cavesson.audit.auditors.credence import fit
from cavesson.audit.auditors.paper import Paper, numbers_in
from cavesson.audit.auditors.results import read_results

EFFECT = "Arm left reaches 0.91 ± 0.02, arm right 0.40 ± 0.03."
NULL = "Arm left does not help: it reaches 0.41 ± 0.02, arm right 0.40 ± 0.03."

WRITTEN = {
    "key findings": "## Conclusion\n\n**Key Finding 1.** {}\n",
    "numbered heading": "## 5. Conclusion\n\n{}\n",
    "a list over lines": "## Findings\n\n1. {}\n   It holds for all seeds.\n2. Both were run thrice.\n",
    "underlined": "Take-aways\n----------\n\n- {}\n\nNotes\n=====\n\nA rate of 0.1, then 0.1.\n",
    "bold heading": "**What we found**\n\n{}\n",
    "capitals": "5 CONCLUSIONS\n\n{}\n",
    "latex": "\\section{{Summary of results}}\n\n{}\n",
    "run-in heading": "## Text\n\nWe tried two arms, 0.7 and 0.7.\n\n**Conclusion.** {}\n",
    "a summary, details, and a bottom line": "**Summary.** It was 0.7 and 0.7.\n\n## Findings\n\nHere 0.7, there 0.7.\n\n## Bottom line\n\n{}\n",
    "what to take home": "## In brief\n\nFrom 0.7 to 0.7.\n\n## What came out\n\nIt was 0.7 and 0.7.\n\n## Take-home\n\n{}\n",
    "findings before all else": "# Title\n\n## TL;DR\n\n{}\n\n## Method\n\nA rate of 0.1, then 0.1.\n",
    "claims in a table": "## Claims\n\n| # | claim | holds in |\n| --- | --- | --- |\n| C1 | {} | all seeds |\n",
    "an abstract alone": "## Abstract\n\nWe compare two arms. {}\n\n## Method\n\nA rate of 0.1, then 0.1.\n",
    "results alone": "## Set-up\n\nA rate of 0.1, then 0.1.\n\n## Experiments\n\n{}\n",
    "no headings": "We compare two arms on ten tasks. {} That is all.\n",
    "a notebook": "# Notebook\n\nIn [3]:\n\n```python\nrate = 0.1\n```\n\n### What the numbers say\n\n> {}\n",
    "named in the results": "## Results\n\nFinding 1: {}\n\n## Conclusion\n\nWe were pleased.\n",
    "with a limit that has numbers": "## Conclusions\n\n{}\n\n## Limitations\n\nOnly 0.22 and 0.22 of the data.\n",
}


@pytest.mark.parametrize("form", WRITTEN.values(), ids=WRITTEN)
def test_findings_are_read_in_whatever_way_they_are_written(form: str) -> None:
    effect, null = Paper(form.format(EFFECT)), Paper(form.format(NULL))
    assert [one.value for one in effect.conclusion if one.decimals] == [0.91, 0.40]
    assert levelled(effect) == 0 and denied(effect) == 0
    assert levelled(null) > 0.9 and denied(null) > 0
    line = next(one.line for one in effect.conclusion if one.value == 0.91)
    assert "0.91" in form.format(EFFECT).split("\n")[line - 1]


def test_a_paragraph_with_several_findings_is_read_sentence_by_sentence() -> None:
    paper = Paper(
        "## Conclusion\n\nOn reading, a has 0.91 and\nb 0.40. On sums, a has 0.55 and b 0.56. Sums were few.\n"
    )
    assert [one.line for one in paper.findings] == [3, 4] and 0.4 < levelled(paper) < 0.6


def test_a_number_is_told_from_its_spread() -> None:
    def read(text: str) -> list[tuple[float, float]]:
        return [(one.value, one.noise) for one in numbers_in(text) if not one.spread]

    assert read("0.81 ± 0.02, .79 (0.03), 0.5 [0.4, 0.6]") == [(0.81, 0.02), (0.79, 0.03), (0.5, pytest.approx(0.05))]
    assert read("it is 0.87 (0.64 before) and 0.87 (0.64)") == [(0.87, 0), (0.64, 0), (0.87, 0), (0.64, 0)]
    assert [(one.value, one.percent) for one in numbers_in("12 %, 7 percent, 3.5 per cent, 4")] == [
        (12, True), (7, True), (3.5, True), (4, False),
    ]  # fmt: skip


def test_a_finding_is_levelled_as_far_as_its_numbers_lie_together() -> None:
    def said(*findings: str) -> float:
        return levelled(Paper("## Conclusion\n\n" + "\n\n".join(f"**Key Finding.** {one}" for one in findings) + "\n"))

    assert said("It is 0.41 and 0.40.") > 0.9 and said("It is 0.91 and 0.40.") == 0 and said("It is 0.9.") == 0.5
    assert said("It is 0.41 and 0.41.", "It is 0.91 and 0.40.") == 0.5
    assert said("Its bias is 0.91.", "The other's is 0.40.") == 0
    assert said("It is 0.91 and 0.40.", "With permuted labels it is 0.50 and 0.50.") == 0
    assert contrast(0.02, 0.04) == 1.0 and contrast(120.0, 121.0) < 0.02 and contrast(-3.0, 3.0) == 1.0


@pytest.mark.parametrize(
    "method",
    [
        "We run an equivalence test with a margin of 0.05.",
        "The smallest effect size of interest is 0.05.",
        "The study was pre-registered.",
        "We report a null result.",
        "By theory we expect no difference.",
    ],
)
def test_a_null_result_that_was_planned_is_not_held_against_the_code(method: str) -> None:
    paper = Paper(f"## Method\n\n{method}\n\n## Conclusion\n\n**Key Finding 1.** {NULL}\n")
    assert planned_null(paper) and levelled(paper) == 0.5 and denied(paper) == 0


def test_weights_expect_null_results_among_honest_papers_even_if_the_bench_has_none() -> None:
    rows = [{"levelled": 0.0}] * 4 + [{"levelled": 1.0}] * 4
    model = fit(rows, [False] * 4 + [True] * 4, ["a", "b", "c", "d"] * 2, ["levelled"])
    assert 0.5 < model.credence({"levelled": 1.0}) < 1 / (1 + NULLS)
    one_sided = fit([{"levelled": 1.0}], [True], ["a"], ["levelled"])
    assert one_sided.weights["levelled"] >= 0


RUN = {"acc": {"left": 0.91, "right": 0.40}}
STORED = {
    "a run": {"out/seed_0/results.json": json.dumps(RUN)},
    "JSON elsewhere": {"output/all.json": json.dumps(RUN)},
    "a table": {"results/summary.csv": "arm,acc\nleft,0.91\nright,0.40\n"},
    "a table with tabs": {"metrics.tsv": "arm\tacc\nleft\t0.91\nright\t0.40\n"},
    "lines of JSON": {"logs/scores.jsonl": '{"arm": "left", "acc": 0.91}\n{"arm": "right", "acc": 0.40}\n'},
    "text": {"results.txt": "accuracy\n  left: 0.91\n  right = 0.40\nIt took long.\n"},
}


@pytest.mark.parametrize("files", STORED.values(), ids=STORED)
def test_results_are_read_in_whatever_form_they_are_stored(tmp_path: Path, files: dict[str, str]) -> None:
    config = {"config.json": '{"lr": 0.5}', "data/words.csv": "word,n\nand,0.77\n"}
    results = read_results(write(tmp_path, files | config), "results.json")
    assert sorted(results.means.values())[:2] == [0.40, 0.91] and 0.5 not in results.means.values()
    found = Conclusion(Paper(f"## Conclusion\n\n**Key Finding 1.** {EFFECT}\n"), results)
    assert len(found.findings[0]) == 2 and not found.lost


@pytest.mark.parametrize("text", ["{", "a,b\n" + "x" * 200_000, '{"a": NaN}\n[1]\n', "\0\0"])
def test_stored_files_that_cannot_be_read_hold_no_results(tmp_path: Path, text: str) -> None:
    files = {f"results/r.{ending}": text for ending in ("json", "csv", "tsv", "jsonl", "txt")}
    assert not any(read_results(write(tmp_path, files), "results.json").means.values())
