"""Gathering evidence on a case: what reading shows, what snippets show, and what the finding depends on.

Three steps, each a widening of the one before: `read` (paper, code, stored results), `checked` (functions and metrics
worked out anew in the sandbox), `executed` (the paper's command, as it is and with decisions at their textbook
alternative).
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cavesson.audit.auditing import AuditCase
from cavesson.audit.auditors import checks, recompute
from cavesson.audit.auditors.alignment import Line, alignment, misaligned, shares
from cavesson.audit.auditors.arms import asymmetries
from cavesson.audit.auditors.claims import denied, levelled
from cavesson.audit.auditors.conclusion import Conclusion, Effect, unstable
from cavesson.audit.auditors.decision import Decision, parses
from cavesson.audit.auditors.extras import extras
from cavesson.audit.auditors.focus import Focus
from cavesson.audit.auditors.mistakes import mistakes
from cavesson.audit.auditors.numbers import numbers
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.results import Leaves, Results, leaves, read_results
from cavesson.audit.auditors.slips import slips
from cavesson.audit.auditors.sources import Workspace
from cavesson.audit.auditors.steps import steps
from cavesson.audit.auditors.swaps import swaps
from cavesson.audit.execution import Job, Outcome, RunCache, RunFailed, run_many
from cavesson.audit.sandbox.protocol import Limits

EXECUTIONS = 12
"""Runs of an audit, the two of the code as it is included."""

SURE = 0.6
"""A mistake this unusual, whose repair moves the Conclusion in full, ends the search."""

LIMITS = Limits(cpu_s=40, wall_s=120, memory_mb=2048, processes=64, output_bytes=200_000, disk_mb=128)

_EACH = 3
"""Alternatives of one family that are run, at most."""

_SHARES = (("code", 0.6), ("number", 0.2), ("single", 0.2))
"""How the runs are shared between decisions in the code, decisions about kinds of numbers, and numbers one by one."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found out about a case.

    Attributes:
        decisions: all decisions with their alternatives.
        table: paper, code and results side by side.
        shares: how far these agree.
        tried: decisions whose alternative ran, and what the alternative did to the Conclusion; None if its run failed.
        unstable: how far a seed that the paper does not report moves the Conclusion.
        fails: why the paper's command does not run.
    """

    decisions: tuple[Decision, ...]
    table: tuple[Line, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    tried: tuple[tuple[Decision, Effect | None], ...] = ()
    unstable: float = 0.0
    fails: str = ""


class Audited:
    """A case under audit, parsed once."""

    def __init__(self, case: AuditCase) -> None:
        self.case = case
        self.workspace, self.paper = Workspace(case.folder, case.run), Paper(case.paper)
        self.results = read_results(case.folder, case.results)
        self.conclusion = Conclusion(self.paper, self.results)

    def read(self) -> Evidence:
        """What reading shows; nothing is executed."""
        table = alignment(self.workspace, self.paper, self.results)
        found = [
            *mistakes(self.workspace, self.paper),
            *slips(self.workspace, self.results),
            *asymmetries(self.workspace, self.paper, self.results),
            *steps(self.workspace, self.paper),
            *extras(self.workspace, self.paper),
            *swaps(self.workspace, self.paper),
            *numbers(self.workspace, self.paper),
            *misaligned(table, self.workspace, self.conclusion),
        ]
        focus = Focus(self.workspace, self.paper, self.conclusion)
        return Evidence(
            tuple(replace(one, near=focus.near(one)) for one in found),
            table,
            {**shares(table), "levelled": levelled(self.paper), "denied": denied(self.paper)},
        )

    def checked(self, evidence: Evidence) -> Evidence:
        """Also: functions with well-known names against what the name promises, metrics anew from stored predictions."""
        wrong = [*checks.wrong_functions(self.workspace, self.case.sandbox), *recompute.disagreements(self.results)]
        return replace(evidence, decisions=(*evidence.decisions, *wrong))

    def executed(self, evidence: Evidence, runs: int = EXECUTIONS, cache: RunCache | None = None) -> Evidence:
        """Also: the paper's command, with the stored seed, a fresh seed, and each alternative that may tell something."""
        case = self.case
        if case.run is None or not case.seeds:
            return evidence
        seed, fresh = case.seeds[0], max(case.seeds) + 1
        first, other = self._run([seed, fresh], [{}, {}], cache)
        if isinstance(first, RunFailed):
            return replace(evidence, fails=first.problem)
        before = leaves(first.results)
        again = leaves(other.results) if isinstance(other, Outcome) else before
        if not self.results.stored:
            self.results = Results({"seed": before, "fresh": again}, {})
            self.conclusion = Conclusion(self.paper, self.results)
        longest = max(4.0, 3.5 * first.seconds)
        tried: list[tuple[Decision, Effect | None]] = []
        for one, changed in self._one_by_one(seed, worth_a_run(evidence.decisions, runs - 2), cache, longest):
            effect = (
                self.conclusion.effect(before, leaves(changed.results), again) if isinstance(changed, Outcome) else None
            )
            tried.append((one, effect))
            if effect is not None and one.group == "mistake" and one.unusual * effect.specific >= SURE:
                break
        return replace(
            evidence,
            tried=tuple(tried),
            unstable=unstable(self.conclusion, before, again),
        )

    def effect(
        self, edits: Mapping[str, str], cache: RunCache | None = None
    ) -> tuple[Effect | None, Leaves, Leaves, str]:
        """What an edit does to the Conclusion: effect, results before, results after, and why the run failed."""
        case = self.case
        first, other, changed = self._run([case.seeds[0], max(case.seeds) + 1, case.seeds[0]], [{}, {}, edits], cache)
        if isinstance(first, RunFailed):
            return None, {}, {}, f"the code as it is does not run: {first.problem}"
        before = leaves(first.results)
        if isinstance(changed, RunFailed):
            return None, before, {}, changed.problem
        after = leaves(changed.results)
        return (
            self.conclusion.effect(before, after, leaves(other.results) if isinstance(other, Outcome) else before),
            before,
            after,
            "",
        )

    def _one_by_one(
        self, seed: int, decisions: Sequence[Decision], cache: RunCache | None, longest: float
    ) -> Iterator[tuple[Decision, Outcome | RunFailed]]:
        """Decisions with the runs of their alternatives, as many at a time as there are processors. What a search has found when
        it ends does not depend on their number."""
        width = len(os.sched_getaffinity(0))
        for at in range(0, len(decisions), width):
            chunk = decisions[at : at + width]
            runs = self._run([seed] * len(chunk), [one.edits for one in chunk], cache, longest)
            yield from zip(chunk, runs, strict=True)

    def _run(
        self,
        seeds: Sequence[int],
        edits: Sequence[Mapping[str, str]],
        cache: RunCache | None,
        longest: float = LIMITS.cpu_s,
    ) -> list[Outcome | RunFailed]:
        limits = replace(LIMITS, cpu_s=math.ceil(min(longest, LIMITS.cpu_s)))
        jobs = [Job(self.case.folder, self.case, seed, edit) for seed, edit in zip(seeds, edits, strict=True)]
        return run_many(jobs, self.case.sandbox, limits=limits, cache=cache)


def worth_a_run(decisions: Sequence[Decision], count: int) -> list[Decision]:
    """The decisions whose alternatives are worth a run, the most unusual first: few of one family, no edit twice, and a
    share of the runs for each kind of decision (what one kind does not need goes to the others)."""
    ranked: list[Decision] = []
    used: Counter[str] = Counter()
    seen: set[str] = set()
    for one in sorted(decisions, key=lambda one: -one.promise):
        if not one.edits or (text := repr(sorted(one.edits.items()))) in seen or not parses(one.edits):
            continue
        if one.family == "single" or used[one.family] < (_EACH - 1 if one.family == "unequal" else _EACH):
            used[one.family] += 1
            seen.add(text)
            ranked.append(one)
    kinds = {name: [one for one in ranked if _kind(one) == name] for name, _ in _SHARES}
    chosen = [one for name, share in _SHARES for one in kinds[name][: round(share * count)]]
    chosen += [one for one in ranked if one not in chosen][: max(0, count - len(chosen))]
    return sorted(chosen[:count], key=lambda one: -one.promise)


def _kind(one: Decision) -> str:
    return (
        "single"
        if one.family == "single"
        else "number"
        if (one.group == "setting" and one.family not in ("default", "factor", "hidden_default"))
        or one.family == "unequal"
        else "code"
    )
