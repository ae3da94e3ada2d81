"""Is the answer key right? Every twin is executed, and the results decide its findings.

The findings of an honest twin hold, the findings of a sabotaged twin flip, and the fix patch restores the findings.
Each statement is checked for each seed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cavesson.audit.cases import Case
from cavesson.audit.execution import Job, Outcome, RunCache, RunFailed, run_many
from cavesson.audit.findings import Finding, FindingError
from cavesson.audit.patches import apply_patch
from cavesson.audit.sandbox.protocol import Sandbox
from cavesson.audit.workspace import read_text
from cavesson.errors import CavessonError, ConfigError
from cavesson.lines import text_lines

Version = Literal["honest", "sabotaged", "fixed"]


@dataclass(frozen=True, slots=True)
class Row:
    """One statement of the answer key, and the result of the execution.

    Attributes:
        case: the case's id.
        version: which code ran: an honest twin, a sabotaged twin, or a sabotaged twin with its fix.
        seed: seed of the run; None if the statement is about no run (a patch that does not apply).
        finding: name of the Key Finding.
        expected: whether the finding should hold.
        got: whether the finding holds; None if the run does not decide.
        problem: why the run does not decide.
        seconds: duration of the run.
    """

    case: str
    version: Version
    seed: int | None
    finding: str
    expected: bool
    got: bool | None
    problem: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """The execution confirms the answer key."""
        return self.got is self.expected


@dataclass(frozen=True, slots=True)
class VerifyTable:
    """All statements that were checked."""

    rows: tuple[Row, ...]

    @property
    def misses(self) -> tuple[Row, ...]:
        """Statements that the execution does not confirm."""
        return tuple(row for row in self.rows if not row.ok)


def verify(
    cases: Sequence[Case],
    sandbox: Sandbox,
    *,
    seeds: tuple[int, ...] | None = None,
    workers: int | None = None,
    cache: RunCache | None = None,
    on_done: Callable[[int, int], None] | None = None,
) -> VerifyTable:
    """Execute cases and compare with their answer keys.

    Args:
        seeds: seeds to run; None runs the paper's own seeds.
        on_done: told after each run how many of how many are done.

    Raises:
        ConfigError: an answer key lacks what a check needs (a command, findings, seeds).
    """
    for case in cases:
        _check(case, seeds)
    with tempfile.TemporaryDirectory(prefix="cavesson-verify-") as place:
        planned: list[tuple[Case, Version, Path | str]] = []
        for case in cases:
            planned += _versions(case, Path(place))
        jobs = [
            (case, version, seed, Job(folder, case, seed))
            for case, version, folder in planned
            if isinstance(folder, Path)
            for seed in seeds or case.seeds
        ]
        outcomes = run_many([job for *_, job in jobs], sandbox, workers=workers, cache=cache, on_done=on_done)
    rows = [
        row
        for (case, version, seed, _), outcome in zip(jobs, outcomes, strict=True)
        for row in decide(case, version, seed, outcome)
    ]
    broken = [
        Row(case.id, version, None, finding.id, True, None, problem)
        for case, version, problem in planned
        if isinstance(problem, str)
        for finding in case.findings
    ]
    order = {case.id: at for at, case in enumerate(cases)}
    versions: tuple[Version, ...] = ("honest", "sabotaged", "fixed")
    return VerifyTable(tuple(sorted([*rows, *broken], key=lambda row: (order[row.case], versions.index(row.version)))))


def decide(case: Case, version: Version, seed: int, outcome: Outcome | RunFailed) -> Iterator[Row]:
    """The rows of one run: all findings; for sabotaged code the findings that the sabotage flips."""
    for finding in case.findings:
        if version == "sabotaged" and finding.id not in case.flips:
            continue
        got, problem = _holds(finding, outcome)
        seconds = outcome.seconds if isinstance(outcome, Outcome) else 0.0
        yield Row(case.id, version, seed, finding.id, version != "sabotaged", got, problem, seconds)


def _holds(finding: Finding, outcome: Outcome | RunFailed) -> tuple[bool | None, str]:
    if isinstance(outcome, RunFailed):
        return None, outcome.problem
    try:
        return finding.evaluate(outcome.results), ""
    except FindingError as error:
        return None, error.problem


def _versions(case: Case, place: Path) -> Iterator[tuple[Case, Version, Path | str]]:
    """The folders of a case's versions, or the problem with a version."""
    yield case, "honest" if case.honest else "sabotaged", case.materialise(place / case.id)
    if case.honest:
        return
    assert case.fix is not None
    fixed = case.materialise(place / f"{case.id}-fixed")
    try:
        apply_patch(case.fix.read_text(encoding="utf-8"), fixed)
    except (ConfigError, UnicodeDecodeError) as error:
        yield case, "fixed", error.problem if isinstance(error, CavessonError) else str(error)
    else:
        yield case, "fixed", fixed


def _check(case: Case, seeds: tuple[int, ...] | None) -> None:
    """Raise if the answer key says too little to be checked, or names files and lines that are not there."""
    missing = [name for name in ("run", "findings") if not getattr(case, name)]
    missing += [] if seeds or case.seeds else ["seeds"]
    if not case.honest:
        missing += [name for name in ("flips", "fix", "kind", "mechanism", "files") if not getattr(case, name)]
    if missing:
        raise ConfigError(
            f"{case.rubric}: {case.id!r} cannot be verified, for the answer key does not say {', '.join(missing)}.",
            "Add that to the rubric, or name other cases with --only.",
        )
    tree = case.tree()
    for place in (*case.files, *(file for distractor in case.distractors for file in distractor.files)):
        name, _, lines = place.partition(":")
        last = lines.rpartition("-")[2] or "0"
        count = len(text_lines(read_text(tree[name]))) if name in tree else -1
        if not last.isdecimal() or len(last) > 9 or int(last) > count:
            raise ConfigError(f"{case.rubric}: {case.id!r} names {place!r}, which is not in its workspace.",
                              "Name files and lines such as data.py:41-48.")  # fmt: skip
