"""Does a fix name the mechanism? A model answers `fixes.question` with yes or no."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cavesson.audit.agents.inspecting import inspect, model_named, run_task
from cavesson.audit.cases import Case
from cavesson.audit.fixes import Grade, question
from cavesson.audit.verdicts import Verdict

if TYPE_CHECKING:
    from inspect_ai.model import Model

_FORM = "\n\nThink briefly. Then end with a line that says exactly ANSWER: YES or ANSWER: NO."
_ANSWER = re.compile(r"^\W*ANSWER:\s*(YES|NO)\W*$", re.MULTILINE | re.IGNORECASE)


def ask(questions: Sequence[str], model: str | Model, logs: Path) -> list[bool | None]:
    """A model's answers to questions of yes or no; None where the model says neither, or both.

    Raises:
        ModelFailed: the model cannot be reached.
    """
    package, asked = inspect(), model_named(model)
    from inspect_ai.dataset import Sample
    from inspect_ai.solver import generate

    if not questions:
        return []
    key = hashlib.sha256("\0".join([str(asked), *questions]).encode()).hexdigest()[:12]
    samples = [Sample(id=f"question-{at}", input=text + _FORM) for at, text in enumerate(questions)]
    task = package.Task(dataset=samples, solver=generate(), name="grade")
    return [read_answer(one.text) for one in run_task(task, asked, logs / f"grade-{key}")]


def read_answer(text: str) -> bool | None:
    """Yes or no, if the text holds exactly one of the two as its answer."""
    said = {found.upper() for found in _ANSWER.findall(text)}
    return said == {"YES"} if len(said) == 1 else None


def grade_mechanisms(
    cases: Sequence[Case], verdicts: Sequence[Verdict], grades: Sequence[Grade], model: str | Model, logs: Path
) -> list[Grade]:
    """Grades with a model's judgement of every fix that restores the findings and has no judgement yet.

    A fix that does not restore the findings cannot count, so the model is not asked about such a fix. Unclear answers
    leave a grade open.

    Raises:
        ModelFailed: the model cannot be reached.
    """
    by_id = {case.id: case for case in cases}
    said = {(verdict.case, verdict.auditor, verdict.affordance): verdict for verdict in verdicts}
    grader = model_named(model)
    open_ = [
        grade
        for grade in grades
        if grade.restores and grade.names_mechanism is None and grade.case in by_id
        and (verdict := said.get((grade.case, grade.auditor, grade.affordance))) is not None and grade.is_of(verdict)
    ]  # fmt: skip
    questions = [
        question(by_id[grade.case], said[grade.case, grade.auditor, grade.affordance].fixes[grade.fix])
        for grade in open_
    ]
    answers = dict(zip(open_, ask(questions, grader, logs), strict=True))
    return [grade if (answer := answers.get(grade)) is None else grade.judged(answer, str(grader)) for grade in grades]
