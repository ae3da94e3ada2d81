"""`probe` executes: what does the Conclusion depend on, and does the paper say so?

With `code` it runs snippets: functions against what their names promise, metrics anew from stored predictions. With
`experiments` it runs the paper's command: do the results agree with the stored results, and do other seeds agree? For
each suspicion with a repair: does the Conclusion survive the repair? An oddity whose repair changes nothing is a
distractor; an oddity whose repair overturns the Conclusion is a suspect, and the repair is the fix.
"""

from __future__ import annotations

import ast
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cavesson.audit.auditing import AuditCase
from cavesson.audit.auditors import checks, perturb, recompute, rules
from cavesson.audit.auditors.evidence import Suspicion, combination, features, fixes, notes
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.results import Conclusion, Leaves, Results, leaves, read_results
from cavesson.audit.auditors.sources import Workspace
from cavesson.audit.execution import Job, Outcome, RunCache, RunFailed, run_many
from cavesson.audit.sandbox.protocol import Limits
from cavesson.audit.verdicts import Affordance, Cost, Verdict
from cavesson.errors import ConfigError

EXECUTIONS = 12
"""Runs of an audit, the first one included."""

LIMITS = Limits(cpu_s=20, wall_s=120, memory_mb=2048, processes=64, output_bytes=200_000, disk_mb=128)

REPRODUCED = 0.03
"""Relative difference up to which a result equals the stored result: another processor rounds otherwise, and long
training magnifies the difference."""

_EACH = 2
"""Repairs that are run for one rule, at most."""

FLIPS: Mapping[str, float] = {
    "folded": 3.0, "contradicted": 3.0, "swapped_arguments": 3.0, "labels": 2.0, "hidden_default": 2.0,
    "denominator": 2.0, "filtered": 2.0, "unequal": 1.5, "unusual": 1.5, "short_training": 1.5, "shared_draw": 2.0,
    "asymmetric": 1.5, "bounded": 2.0, "scaled": 1.5, "axis": 1.5, "shared_state": 2.0, "test_in_training": 1.5,
    "whole_normalised": 1.5, "same_generator": 1.0, "sliced": 1.5, "arm_order": 1.0, "undocumented": 1.0,
    **perturb.WEIGHTS,
}  # fmt: skip
"""The weight, in log odds, of a repair that overturns the Conclusion, by rule."""

_READING = {**rules.WEIGHTS, **checks.WEIGHTS, **recompute.WEIGHTS}
PRIOR: Mapping[Affordance, Mapping[str, float]] = {
    "code": _READING,
    "experiments": {
        **_READING,
        **{f"overturns:{name}": weight for name, weight in FLIPS.items()},
        "not_reproduced": 1.5,
        "does_not_run": 0.5,
        "unstable": 0.7,
    },
}


@dataclass
class Probe:
    """An auditor that executes.

    Attributes:
        held_out: a codebase of the built-in bench whose cases the weights must not have been fitted on.
        cache: where runs are kept; the store's if none is given.
        workers: runs at a time.
    """

    held_out: str | None = None
    cache: RunCache | None = None
    workers: int | None = None
    name: str = "probe"

    def audit(self, case: AuditCase, affordance: Affordance) -> Verdict:
        """Raises ConfigError for an affordance under which nothing may be executed."""
        if affordance == "paper":
            raise ConfigError(
                "The auditor probe executes code; with the affordance paper it cannot.", "Use code or experiments."
            )
        started = time.monotonic()
        found = self.evidence(case, affordance)
        weights = combination(f"{self.name}/{affordance}", PRIOR[affordance], self.held_out)
        ranked = sorted(
            (one for one in found if weights.rank(one) > 0), key=lambda one: (not one.edits, -weights.rank(one))
        )
        if affordance == "experiments":
            ranked.sort(key=lambda one: (not one.rule.startswith("overturns:"), -weights.rank(one)))
        return Verdict(
            case=case.name,
            auditor=self.name,
            affordance=affordance,
            credence=weights.credence(features(found)),
            fixes=fixes(ranked, Workspace(case.folder).texts),
            notes=notes(found, weights),
            cost=Cost(seconds=time.monotonic() - started),
        )

    def evidence(self, case: AuditCase, affordance: Affordance) -> list[Suspicion]:
        """All suspicions against a case, from reading, snippets and runs."""
        workspace, paper, results = (
            Workspace(case.folder, case.run),
            Paper(case.paper),
            read_results(case.folder, case.results),
        )
        found = rules.suspicions(workspace, paper, results)
        found += [*checks.wrong_functions(workspace, case.sandbox), *recompute.disagreements(results)]
        if affordance == "experiments" and case.run is not None and case.seeds:
            found = self._executed(case, workspace, Conclusion(paper, results), found)
        return found

    def _executed(
        self, case: AuditCase, workspace: Workspace, conclusion: Conclusion, found: list[Suspicion]
    ) -> list[Suspicion]:
        seed = case.seeds[0]
        fresh = max(case.seeds) + 1
        first, other = self._run(case, [seed, fresh], [{}, {}])
        if isinstance(first, RunFailed):
            return [*found, Suspicion("does_not_run", 1.0, "the paper's command fails", first.problem)]
        before = leaves(first.results)
        after = leaves(other.results) if isinstance(other, Outcome) else {}
        if not conclusion.results.stored:
            conclusion = Conclusion(Paper(case.paper), Results({"seed": before, "fresh": after or before}, {}))
        noise = conclusion.overturned(before, after)
        extra = [*_reproduced(before, conclusion.results), Suspicion(
            "unstable", noise, f"the Conclusion changes with the seed {fresh}", "A seed that the paper does not report gives other results.")]  # fmt: skip
        tried = _chosen([*found, *perturb.perturbations(workspace)], EXECUTIONS - 2)
        outcomes = self._run(case, [seed] * len(tried), [one.edits for one in tried])
        for suspicion, outcome in zip(tried, outcomes, strict=True):
            if isinstance(outcome, Outcome):
                share = max(0.0, conclusion.overturned(before, leaves(outcome.results)) - noise) / max(0.2, 1 - noise)
                extra.append(_decided(suspicion, share))
                found = [replace(one, strength=one.strength * share) if one is suspicion else one for one in found]
        return found + extra

    def _run(
        self, case: AuditCase, seeds: Sequence[int], edits: Sequence[Mapping[str, str]]
    ) -> list[Outcome | RunFailed]:
        jobs = [Job(case.folder, case, seed, edit) for seed, edit in zip(seeds, edits, strict=True)]
        return run_many(jobs, case.sandbox, workers=self.workers, limits=LIMITS, cache=self.cache)


def _decided(suspicion: Suspicion, share: float) -> Suspicion:
    """A suspicion whose repair has run: the suspicion counts as far as the repair overturns the Conclusion."""
    return replace(
        suspicion,
        rule=f"overturns:{suspicion.rule}",
        strength=min(1.0, share) * (0.5 + 0.5 * suspicion.strength),
        mechanism=f"{suspicion.mechanism} Executed: undoing this overturns the Conclusion by {share:.0%}.",
    )


def _chosen(suspicions: list[Suspicion], count: int) -> list[Suspicion]:
    """The suspicions whose repairs are worth a run: the heaviest first, few of one rule, no repair twice."""
    ranked = sorted(
        (one for one in suspicions if one.edits and _sound(one.edits)),
        key=lambda one: -FLIPS.get(one.rule, 0.0) * one.strength,
    )
    chosen: list[Suspicion] = []
    used: Counter[str] = Counter()
    for one in ranked:
        if (
            used[one.rule] < _EACH
            and FLIPS.get(one.rule, 0.0) > 0
            and all(dict(one.edits) != dict(two.edits) for two in chosen)
        ):
            used[one.rule] += 1
            chosen.append(one)
    return chosen[:count]


def _sound(edits: Mapping[str, str]) -> bool:
    """Whether edited Python still parses."""
    for name, text in edits.items():
        if name.endswith(".py"):
            try:
                ast.parse(text)
            except (SyntaxError, ValueError):
                return False
    return True


def _reproduced(before: Leaves, results: Results) -> list[Suspicion]:
    """Whether a run gives one of the stored results."""
    if not results.stored:
        return []
    best = min(_distance(before, run) for run in results.stored.values())
    if best <= REPRODUCED:
        return []
    return [Suspicion("not_reproduced", min(1.0, 0.4 + best), "the stored results are not what the command gives",
                      f"A run of the paper's command differs from every stored result, by up to {best:.1%}.", tuple(list(results.stored)[:1]))]  # fmt: skip


def _distance(one: Leaves, other: Leaves) -> float:
    shared = one.keys() & other.keys()
    if not shared:
        return 1.0
    return max(abs(one[path] - other[path]) / max(0.02, abs(one[path]), abs(other[path])) for path in shared)
