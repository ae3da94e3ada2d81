"""`cavesson audit human`: a person audits, or judges fixes, in a local web page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cavesson.audit.cli.options import BenchAt, Cases, Unsafe, loaded_bench, words

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from cavesson.audit.bench import Bench

    Make = Callable[[str, int], ASGIApp]

PAGE_NEEDS = {"pygments": "pygments", "markdown_it": "markdown-it-py"}
"""The modules that this page alone imports, and the packages that hold them."""


def human(
    bench: BenchAt = None,
    cases: Cases = None,
    out: Annotated[Path, typer.Option(help="Folder of the session; an existing session is resumed.")] = Path(
        "human-audit"
    ),
    name: Annotated[
        str | None, typer.Option(help="Name of the person, for the verdicts and grades.", show_default="human")
    ] = None,
    paper_minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Minutes for each paper alone; 0 leaves the step out.", show_default="15"),
    ] = None,
    code_minutes: Annotated[
        float | None, typer.Option(min=0.1, help="Minutes for each paper with its code.", show_default="105")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Draws the cases and their order.", show_default="random")] = None,
    twins: Annotated[
        bool,
        typer.Option(
            "--twins", help="All cases; else one case of each codebase, because one twin gives away the other."
        ),
    ] = False,
    grade: Annotated[
        Path | None,
        typer.Option(
            metavar="VERDICTS",
            help="Judge the fixes of these verdicts instead: execute their patches, then ask of each fix that restores the "
            "finding whether it names the mechanism. Shows answer keys.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On 127.0.0.1.", show_default="a free one")] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    unsafe: Unsafe = False,
) -> None:
    """Audit as a person, in a local web page: the paper, then its code, under a timer; every change is saved.

    Example: cavesson audit human --out my-audit --open
    """

    from cavesson.web.needs import SERVER, require

    require({**SERVER, **PAGE_NEEDS})
    loaded = loaded_bench(bench)
    chosen = words(cases)
    if grade is not None:
        _serve(_grading(loaded, chosen, grade, name or "human", unsafe), port, grade.parent if open_ else None)
        return
    from cavesson.audit.human.session import Session, draw_cases, settings_for

    given = {
        "auditor": name,
        "seed": seed,
        "paper_minutes": paper_minutes,
        "code_minutes": code_minutes,
        "twins": twins,
    }
    settings = settings_for(out, given)
    session = Session(out, draw_cases(loaded.cases(chosen), settings.seed, twins=settings.twins), settings)
    typer.echo(f"{len(session.cases)} cases; what you submit goes to {session.verdicts}", err=True)

    def make(token: str, port: int) -> ASGIApp:
        from cavesson.audit.human.app import human_app

        return human_app(session, token=token, port=port)

    _serve(make, port, out if open_ else None)


def _grading(bench: Bench, chosen: tuple[str, ...], path: Path, grader: str, unsafe: bool) -> Make:
    """The function that makes the page for judging the fixes of a file of verdicts."""
    from cavesson.audit.fixes import grades_beside
    from cavesson.audit.human.grading import Grading, execute_fixes
    from cavesson.audit.sandbox.find import find_sandbox
    from cavesson.audit.verdicts import read_verdicts

    cases, verdicts, grades = bench.cases(chosen), read_verdicts(path), grades_beside(path)
    typer.echo("executing the patches …", err=True)
    known = execute_fixes(grades, cases, verdicts, find_sandbox(unsafe=unsafe, hidden=(bench.root,)))
    grading = Grading(grades, cases, verdicts, known, grader)
    typer.echo(f"{len(grading.asked)} of {len(known)} fixes restore their finding; grades go to {grades}", err=True)

    def make(token: str, port: int) -> ASGIApp:
        from cavesson.audit.human.grading import grading_app

        return grading_app(grading, token=token, port=port)

    return make


def _serve(make: Make, port: int, browse_from: Path | None) -> None:
    """Serve a page.

    Args:
        browse_from: a folder of the user's, from which a browser is sent to the page; None opens no browser.
    """
    from cavesson.web.serve import browsing, serve

    with browsing(browse_from) as browse:

        def announce(address: str) -> None:
            typer.echo(address)
            typer.echo("Ctrl-C ends the server; everything is saved.", err=True)
            browse(address)

        serve(make, announce, port=port)
