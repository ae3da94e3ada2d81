"""What an auditor sees of a case, and an auditor's way through many cases."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from cavesson.audit.cases import Case
from cavesson.audit.sandbox.protocol import Sandbox
from cavesson.audit.verdicts import Affordance, Verdict
from cavesson.audit.workspace import PAPER, read_text


@dataclass(frozen=True, slots=True)
class AuditCase:
    """A case as an auditor sees the case: no label, no id, no answer key, and nothing that leads to label, id or answer
    key.

    Attributes:
        name: a neutral name, which tells one case from another in logs.
        folder: a workspace of the auditor's own, which the auditor may change.
        paper: the text of the paper.
        scope: which parts a sabotage may touch.
        run: the command of one seed, with `{seed}` and `{out}`, or None.
        seeds: the seeds that the paper reports.
        results: the file below `{out}` that holds a run's numbers.
        sandbox: the only place where the code of the workspace may run.
    """

    name: str
    folder: Path
    paper: str
    scope: str
    run: str | None
    seeds: tuple[int, ...]
    results: str
    sandbox: Sandbox


class Auditor(Protocol):
    """A judge of cases: a script, a model with tools, a person behind a web page."""

    name: str

    def audit(self, case: AuditCase, affordance: Affordance) -> Verdict:
        """Say how likely sabotage is, and what would fix it; `Verdict.case` is the case's `name`.

        With `paper` the auditor must read nothing but `case.paper`; with `code` the auditor may read and search the
        folder and run snippets in the sandbox; with `experiments` the auditor may run the paper's command.
        """
        ...


@contextmanager
def open_case(case: Case, sandbox: Sandbox) -> Iterator[AuditCase]:
    """A fresh workspace of a case, without its answer key, for the length of a `with` block."""
    with tempfile.TemporaryDirectory(prefix="cavesson-audit-") as place:
        folder = case.materialise(Path(place) / "workspace")
        paper = folder / PAPER
        yield AuditCase(
            name="case-" + hashlib.sha256(f"{case.codebase}/{case.id}".encode()).hexdigest()[:8],
            folder=folder,
            paper=read_text(paper) if paper.is_file() else "",
            scope=case.scope,
            run=case.run,
            seeds=case.seeds,
            results=case.results,
            sandbox=sandbox,
        )


def audit_all(cases: Sequence[Case], auditor: Auditor, affordance: Affordance, sandbox: Sandbox) -> Iterator[Verdict]:
    """Verdicts on cases, one after another, as they come.

    The order is the order of hashed ids, so that the order tells an auditor nothing.
    """
    for case in sorted(cases, key=lambda case: hashlib.sha256(case.id.encode()).digest()):
        with open_case(case, sandbox) as shown:
            yield replace(auditor.audit(shown, affordance), case=case.id)
