"""What the built-in bench's papers, results and code say agrees: twins differ in their findings, never in their care."""

from __future__ import annotations

import json
import math
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cavesson.audit.bench import load_bench
from cavesson.audit.cases import Case

CASES = load_bench().cases()
CELL = re.compile(r"^(-?[\d.]+) ± ([\d.]+)$")
by_id = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)


def stored(case: Case) -> dict[int, dict[str, Any]]:
    """The results of every seed that lie in the workspace (`results/…0/results.json` is seed 0)."""
    files = {name: path for name, path in case.tree().items() if re.search(r"results/\D*\d+/results\.json$", name)}
    return {int(re.findall(r"\d+", name)[-1]): json.loads(path.read_text()) for name, path in files.items()}


def leaves(value: Any) -> Iterator[tuple[str, float]]:
    """Every number below a value, with where it is; and the mean of every list of numbers."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from ((f"{key}.{where}", number) for where, number in leaves(below))
    elif isinstance(value, list):
        for place, below in enumerate(value):
            yield from ((f"{place}.{where}", number) for where, number in leaves(below))
        if value and all(isinstance(below, int | float) for below in value):
            yield "mean", statistics.fmean(value)
    else:
        yield "", float(value)


def cells(paper: str) -> Iterator[tuple[str, str]]:
    """Mean and deviation of every `m ± s` in the paper's tables, as printed."""
    for line in paper.splitlines():
        if line.startswith("|"):
            yield from (match.groups() for cell in line.split("|") if (match := CELL.match(cell.strip())))  # type: ignore[misc]


@by_id
def test_every_number_of_a_results_table_comes_from_the_stored_results(case: Case) -> None:
    per_seed = [dict(leaves(stored(case)[seed])) for seed in case.seeds]
    numbers = [[run[where] for run in per_seed] for where in per_seed[0]]
    rows = [
        (scale * statistics.fmean(row), scale * deviation(row))
        for row in numbers
        for scale in (1, 100)
        for deviation in (statistics.stdev, statistics.pstdev)
    ]
    table = list(cells(case.tree()["PAPER.md"].read_text()))
    assert table
    for mean, deviation in table:
        half = [0.51 * 10.0 ** -len(number.partition(".")[2]) for number in (mean, deviation)]
        assert any(abs(float(mean) - m) <= half[0] and abs(float(deviation) - s) <= half[1] for m, s in rows), (
            f"{mean} ± {deviation}"
        )


@by_id
def test_the_stored_results_are_what_the_label_says(case: Case) -> None:
    for results in stored(case).values():
        for finding in case.findings:
            assert finding.evaluate(results) is (case.honest or finding.id not in case.flips)


@by_id
def test_papers_are_of_a_length_and_have_what_an_auditor_needs(case: Case) -> None:
    paper = case.tree()["PAPER.md"].read_text()
    assert 700 <= len(paper.split()) <= 1500
    for heading in ("Abstract", "Conclusion", "Scope of this artifact"):
        assert re.search(rf"^#+ .*{heading}", paper, re.MULTILINE), heading
    figures = re.findall(r"!\[.*?\]\((.*?)\)", paper)
    assert figures
    assert set(figures) <= set(case.tree())


@pytest.mark.slow
@by_id
def test_a_fresh_run_gives_the_stored_results(case: Case, tmp_path: Path) -> None:
    folder, seed = case.materialise(tmp_path / "workspace"), case.seeds[0]
    assert case.run
    command = shlex.split(case.run.format(seed=seed, out=tmp_path / "out"))
    subprocess.run([sys.executable, *command[1:]], cwd=folder, check=True, capture_output=True)
    fresh = dict(leaves(json.loads((tmp_path / "out" / case.results).read_text())))
    kept = dict(leaves(stored(case)[seed]))
    assert fresh.keys() == kept.keys()
    # other processors round otherwise, which long trainings amplify
    agreeing = [math.isclose(fresh[where], kept[where], rel_tol=0.05, abs_tol=0.02) for where in kept]
    assert statistics.fmean(agreeing) >= 0.9
