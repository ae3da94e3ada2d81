"""`static` reads paper, code and stored results, runs nothing and asks no model."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cavesson.audit.auditing import AuditCase
from cavesson.audit.auditors.claims import denied, levelled
from cavesson.audit.auditors.credence import features, notes, ranked, shipped
from cavesson.audit.auditors.decision import as_fixes
from cavesson.audit.auditors.gathering import Audited, Evidence
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.verdicts import Affordance, Cost, Verdict


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
        if affordance == "paper":
            found, texts = from_paper(Paper(case.paper)), {}
        else:
            audited = Audited(case)
            found, texts = audited.read(), audited.workspace.texts
        return Verdict(
            case=case.name,
            auditor=self.name,
            affordance=affordance,
            credence=shipped("paper" if affordance == "paper" else "code", self.held_out).credence(features(found)),
            fixes=as_fixes(ranked(found), texts),
            notes=notes(found),
            cost=Cost(seconds=time.monotonic() - started),
        )


def from_paper(paper: Paper) -> Evidence:
    """What the paper shows by itself: findings that tell nothing apart, or say so."""
    return Evidence((), shares={"levelled": levelled(paper), "denied": denied(paper)})
