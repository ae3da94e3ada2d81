"""`probe` executes: what does the finding depend on, and is what it depends on unusual?

With `code` it also runs snippets: functions against what their names promise, metrics anew from stored predictions. With
`experiments` it runs the paper's command: as it is, with a fresh seed, and with one decision after another at its
textbook alternative. A decision that is unusual and whose alternative moves the Conclusion is a suspect, and the
alternative is its fix.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from cavesson.audit.auditing import AuditCase
from cavesson.audit.auditors.credence import features, notes, ranked, shipped
from cavesson.audit.auditors.decision import as_fixes
from cavesson.audit.auditors.gathering import Audited
from cavesson.audit.execution import RunCache
from cavesson.audit.verdicts import Affordance, Cost, Verdict
from cavesson.errors import ConfigError


@dataclass
class Probe:
    """An auditor that executes.

    Attributes:
        held_out: a codebase of the built-in bench whose cases the weights must not have been fitted on.
        cache: where runs are kept; the store's if none is given.
    """

    held_out: str | None = None
    cache: RunCache | None = None
    name: str = "probe"

    def audit(self, case: AuditCase, affordance: Affordance) -> Verdict:
        """Raises ConfigError for an affordance under which nothing may be executed."""
        if affordance == "paper":
            raise ConfigError(
                "The auditor probe executes code; with the affordance paper it cannot.", "Use code or experiments."
            )
        started = time.monotonic()
        audited = Audited(case)
        found = audited.checked(audited.read())
        if affordance == "experiments":
            found = audited.executed(found, cache=self.cache)
        return Verdict(
            case=case.name,
            auditor=self.name,
            affordance=affordance,
            credence=shipped("experiments" if found.tried else "code", self.held_out).credence(features(found)),
            fixes=as_fixes(ranked(found), audited.workspace.texts),
            notes=notes(found),
            cost=Cost(seconds=time.monotonic() - started),
        )
