"""Giving cases to auditors by name, one verdict a line, so that a stopped run goes on where the run was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from cavesson.audit.agents.auditor import is_llm, llm_named
from cavesson.audit.auditing import Auditor, audit_all
from cavesson.audit.auditors import AUDITORS, CAN
from cavesson.audit.auditors.ensemble import NAME, ensemble
from cavesson.audit.auditors.own import Own
from cavesson.audit.cases import Case
from cavesson.audit.sandbox.protocol import Sandbox
from cavesson.audit.verdicts import AFFORDANCES, Affordance, Verdict, append_verdict, read_verdicts
from cavesson.errors import ConfigError, nearest
from cavesson.lab.own import is_own

Task = tuple[Case, str, Affordance]


def plan(cases: Sequence[Case], auditors: Sequence[str], affordances: Sequence[str]) -> list[Task]:
    """The tasks of a run: auditor, case, affordance. The ensemble is no task, because the ensemble needs the verdicts
    of other auditors.

    Raises:
        ConfigError: an unknown auditor or affordance, or nothing is left to do.
    """
    for name in auditors:
        if is_llm(name):
            llm_named(name)
        elif is_own(name):
            Own(name)  # loads the auditor, so that a mistake is reported before anything is audited
        elif name not in (*AUDITORS, NAME):
            known = f"{nearest(name, (*AUDITORS, NAME))} A model is llm:MODEL or llm+probes:MODEL, one of your own path/to/file.py:function."
            raise ConfigError(f"There is no auditor {name!r}.", known)
    for name in affordances:
        if name not in AFFORDANCES:
            raise ConfigError(f"There is no affordance {name!r}.", nearest(name, AFFORDANCES))
    pairs = [(name, affordance) for name in auditors for affordance in _can(name) if affordance in affordances]
    if not pairs and NAME not in auditors:
        can = "; ".join(f"{name}: {', '.join(_can(name))}" for name in auditors)
        raise ConfigError(f"Nothing to do with the affordances {', '.join(affordances)}.", f"Choose from {can}.")
    return [(case, name, affordance) for name, affordance in pairs for case in cases]


def audit_bench(tasks: Sequence[Task], sandbox: Sandbox, out: Path) -> Iterator[tuple[int, Verdict]]:
    """Carry out the tasks without a verdict in `out`; each verdict is on disk before the next case is opened.

    Yields:
        How many audits are still to be made, and the verdict.
    """
    done = {(one.case, one.auditor, one.affordance) for one in read_verdicts(out)} if out.is_file() else set()
    planned = [(case, _auditor(name, case), affordance) for case, name, affordance in tasks]
    missing = [task for task in planned if (task[0].id, task[1].name, task[2]) not in done]
    for at, (case, auditor, affordance) in enumerate(missing, start=1):
        for verdict in audit_all([case], auditor, affordance, sandbox):
            append_verdict(out, verdict)
            yield len(missing) - at, verdict


def _can(name: str) -> Sequence[Affordance]:
    return AFFORDANCES if is_own(name) or is_llm(name) else CAN.get(name, ())


def _auditor(name: str, case: Case) -> Auditor:
    if is_llm(name):
        return llm_named(name)
    return Own(name) if is_own(name) else AUDITORS[name](case.codebase)


def combine(cases: Sequence[Case], affordances: Sequence[str], out: Path) -> Iterator[Verdict]:
    """The ensemble's verdicts, from all other verdicts in `out`; made anew each time, and the last verdict on a case
    counts."""
    given = read_verdicts(out) if out.is_file() else []
    for affordance in AFFORDANCES:
        if affordance in affordances:
            for verdict in ensemble(cases, given, affordance):
                append_verdict(out, verdict)
                yield verdict
