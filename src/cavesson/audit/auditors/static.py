"""`static` reads paper and code, runs nothing and asks no model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cavesson.audit.auditing import AuditCase
from cavesson.audit.auditors import rules
from cavesson.audit.auditors.evidence import Suspicion, combination, features, fixes, notes
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.results import read_results
from cavesson.audit.auditors.sources import Workspace
from cavesson.audit.verdicts import Affordance, Cost, Verdict

_PAPER = {"prose_and_tables": 0.5, "no_spread": 0.3}
PRIOR: Mapping[Affordance, Mapping[str, float]] = {"paper": _PAPER, "code": rules.WEIGHTS, "experiments": rules.WEIGHTS}


@dataclass
class Static:
    """An auditor that only reads; with the affordance `paper` only the paper.

    Attributes:
        held_out: a codebase of the built-in bench whose cases the weights must not have been fitted on.
    """

    held_out: str | None = None
    name: str = "static"

    def audit(self, case: AuditCase, affordance: Affordance) -> Verdict:
        """The affordances `experiments` and `code` give the same verdict."""
        started = time.monotonic()
        found = self.evidence(case, affordance)
        weights = combination(
            f"{self.name}/{'paper' if affordance == 'paper' else 'code'}", PRIOR[affordance], self.held_out
        )
        ranked = sorted((one for one in found if weights.rank(one) > 0), key=lambda one: -weights.rank(one))
        texts = {} if affordance == "paper" else Workspace(case.folder).texts
        return Verdict(
            case=case.name,
            auditor=self.name,
            affordance=affordance,
            credence=weights.credence(features(found)),
            fixes=fixes(ranked, texts),
            notes=notes(found, weights),
            cost=Cost(seconds=time.monotonic() - started),
        )

    def evidence(self, case: AuditCase, affordance: Affordance) -> list[Suspicion]:
        """All suspicions against a case."""
        paper = Paper(case.paper)
        if affordance == "paper":
            return list(_in_paper(paper))
        return rules.suspicions(Workspace(case.folder, case.run), paper, read_results(case.folder, case.results))


def _in_paper(paper: Paper) -> Iterator[Suspicion]:
    """Suspicions from the paper alone: a Conclusion with numbers that the tables do not have, results without a
    spread."""
    stated = [one for one in paper.conclusion if one.decimals or one.percent]
    missing = [
        one
        for one in stated
        if not any(other.is_about(one.value) or one.is_about(other.value) for other in paper.tables)
    ]
    if missing:
        yield Suspicion("prose_and_tables", len(missing) / len(stated), "the Conclusion has numbers that no table has",
                        "The Conclusion rests on numbers that the paper's tables do not show.", tuple(f"PAPER.md:{one.line}" for one in missing[:4]))  # fmt: skip
    if paper.tables and not any(one.spread for one in paper.numbers):
        yield Suspicion(
            "no_spread", 1.0, "no result has a spread", "No number comes with its variation over seeds.", ("PAPER.md",)
        )
