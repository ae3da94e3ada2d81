"""Judging proposed fixes: does the auditor name the mechanism? Only fixes that restore the finding are asked about.

The page shows the answer key, so a person who judges can no longer audit the same bench. The page hides the auditor's
name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cavesson.audit.cases import Case
from cavesson.audit.execution import RunCache
from cavesson.audit.fixes import Grade, grade_fixes, question, read_grades, write_grades
from cavesson.audit.human.app import PACKAGE, json_of, refused, static_routes
from cavesson.audit.sandbox.protocol import Sandbox
from cavesson.audit.verdicts import Fix, Verdict
from cavesson.errors import CavessonError, ConfigError
from cavesson.report.page import templates
from cavesson.web.guard import Guard

Name = tuple[str, str, str]
"""Case, auditor, affordance."""


def execute_fixes(
    path: Path, cases: Sequence[Case], verdicts: Sequence[Verdict], sandbox: Sandbox, *, cache: RunCache | None = None
) -> list[Grade]:
    """Execute the patches of all fixes without a grade in `path`, and keep the grades there.

    A grade of a fix that an auditor has since replaced is given up.

    Raises:
        ConfigError: `path` holds other lines than grades.
    """
    latest = {name_of(verdict): verdict for verdict in verdicts}
    read = read_grades(path) if path.exists() else ()
    known = {
        (*name_of(grade), grade.fix): grade
        for grade in read
        if (verdict := latest.get(name_of(grade))) is None or grade.is_of(verdict)
    }
    for verdict in latest.values():
        if all((*name_of(verdict), at) in known for at in range(len(verdict.fixes))):
            continue
        for grade in grade_fixes(cases, [verdict], sandbox, cache=cache):
            known.setdefault((*name_of(grade), grade.fix), grade)
        write_grades(path, list(known.values()))
    return list(known.values())


def name_of(one: Grade | Verdict) -> Name:
    """Of which audit a grade or a verdict is."""
    return one.case, one.auditor, one.affordance


class Grading:
    """The judgements of one person over a list of grades; each judgement is written at once.

    Args:
        path: file of the grades.
        grader: the person's name.
    """

    def __init__(
        self, path: Path, cases: Sequence[Case], verdicts: Sequence[Verdict], grades: Sequence[Grade], grader: str
    ) -> None:
        if not grader.strip():
            raise ConfigError("A judgement needs a name.", "Give yours with --name.")
        self.path, self.grader, self.grades = path, grader, list(grades)
        self.cases: Mapping[str, Case] = {case.id: case for case in cases}
        self.verdicts: dict[Name, Verdict] = {name_of(verdict): verdict for verdict in verdicts}
        self.asked = [
            at
            for at, grade in enumerate(self.grades)
            if grade.restores
            and grade.case in self.cases
            and (verdict := self.verdicts.get(name_of(grade))) is not None
            and grade.is_of(verdict)
        ]

    def question(self, number: int) -> tuple[str, Fix, Grade]:
        """The question, the fix in question, and the grade of the fix."""
        grade = self.grades[self.asked[number]]
        fix = self.verdicts[name_of(grade)].fixes[grade.fix]
        return question(self.cases[grade.case], fix), fix, grade

    def judge(self, number: int, names_mechanism: bool | None) -> None:
        """Keep a judgement; None takes the judgement back."""
        at = self.asked[number]
        grade = self.grades[at]
        self.grades[at] = (
            replace(grade, names_mechanism=None, grader=None)
            if names_mechanism is None
            else grade.judged(names_mechanism, self.grader)
        )
        write_grades(self.path, self.grades)


def grading_app(grading: Grading, *, token: str, port: int) -> ASGIApp:
    """The page on which fixes are judged; the arguments are those of `human_app`."""
    pages = templates(PACKAGE)

    async def index(request: Request) -> Response:
        undone = [at for at in range(len(grading.asked)) if grading.question(at)[2].names_mechanism is None]
        return page(undone[0] if undone else max(0, len(grading.asked) - 1))

    async def one(request: Request) -> Response:
        return page(number_of(request))

    async def judge(request: Request) -> Response:
        answer = (await json_of(request)).get("names_mechanism")
        if answer not in (True, False, None):
            raise ConfigError("The answer is neither yes nor no.", "Load the page anew.")
        grading.judge(number_of(request), answer)
        return JSONResponse({})

    def number_of(request: Request) -> int:
        given = request.path_params["number"]
        if not (given.isascii() and given.isdecimal() and len(given) < 9 and int(given) < len(grading.asked)):
            raise HTTPException(404)
        return int(given)

    def page(number: int) -> Response:
        asked, fix, grade = grading.question(number) if grading.asked else ("", None, None)
        answers = [grading.question(at)[2].names_mechanism for at in range(len(grading.asked))]
        page = pages.get_template("grade.html").render(
            number=number, answers=answers, asked=asked, fix=fix, grade=grade, grader=grading.grader
        )
        return HTMLResponse(page)

    routes = [
        Route("/", index),
        Route("/fix/{number}", one),
        Route("/fix/{number}", judge, methods=["POST"]),
        *static_routes("grade.js"),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={CavessonError: refused}), token, port)  # type: ignore[dict-item]
