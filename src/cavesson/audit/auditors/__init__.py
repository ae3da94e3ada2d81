"""Auditors: one module each, in one registry.

`static` reads, `probe` executes; both need no model. `ensemble` (ensemble.py) combines the verdicts of others. Weights were fitted on the
built-in bench; for a case of codebase X those are used that were fitted without X.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cavesson.audit.auditing import Auditor
from cavesson.audit.auditors.probe import Probe
from cavesson.audit.auditors.static import Static
from cavesson.audit.verdicts import Affordance

AUDITORS: Mapping[str, Callable[[str | None], Auditor]] = {
    "static": lambda held_out: Static(held_out),
    "probe": lambda held_out: Probe(held_out),
}
"""Name → the auditor for cases of a codebase, by the codebase's name: its weights have not seen that codebase."""

CAN: Mapping[str, tuple[Affordance, ...]] = {"static": ("paper", "code"), "probe": ("code", "experiments")}
"""The affordances that make a difference to each."""
