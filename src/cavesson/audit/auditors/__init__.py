"""Auditors: one module each, in one registry.

`static` reads, `probe` executes; both need no model. `ensemble` (ensemble.py) combines the verdicts of others.

    reading    structure.py and paper.py (findings and numbers of a paper), claims.py (an effect, or none); decision.py (a
               decision and its textbook alternative), found by mistakes.py, slips.py, steps.py, extras.py, swaps.py,
               numbers.py (with textbook.py) and arms.py; alignment.py compares paper, code and results
    executing  checks.py and recompute.py work functions and metrics out anew; conclusion.py says how far a change
               moves the findings; gathering.py runs the alternatives
    judging    credence.py: few features, weights fitted on other codebases

A case of a built-in codebase is judged with weights that were fitted without it.
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
"""Name → a function from a codebase's name to an auditor whose weights were fitted without this codebase."""

CAN: Mapping[str, tuple[Affordance, ...]] = {"static": ("paper", "code"), "probe": ("code", "experiments")}
"""The affordances that make a difference to each auditor."""
