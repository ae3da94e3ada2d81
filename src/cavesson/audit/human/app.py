"""The page on which a person audits: first the paper, then its code, with a verdict that is saved at every change."""

from __future__ import annotations

import html
import json
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cavesson.audit.cases import Case
from cavesson.audit.human import content, edits
from cavesson.audit.human.session import Audit, Session
from cavesson.audit.verdicts import MAX_FIXES
from cavesson.audit.workspace import PAPER
from cavesson.errors import CavessonError, ConfigError
from cavesson.lines import parse_json
from cavesson.report.page import asset, templates
from cavesson.web.guard import Guard

PACKAGE = "cavesson.audit.human"

_IMAGE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
"""A picture that is opened by itself must not act either: an SVG can hold scripts."""


def human_app(session: Session, *, token: str, port: int) -> ASGIApp:
    """The auditing page of one session.

    Args:
        token: the secret that lets a person in.
        port: the port of 127.0.0.1 that will serve the page.
    """
    pages = _Pages(session)
    return Guard(
        Starlette(
            routes=[
                Route("/", pages.index),
                Route("/paper/{key}", pages.bench),
                Route("/paper/{key}/file", pages.file),
                Route("/paper/{key}/search", pages.search),
                Route("/paper/{key}/image", pages.image),
                Route("/paper/{key}/{action:str}", pages.change, methods=["POST"]),
                *static_routes("page.js"),
            ],
            exception_handlers={CavessonError: refused},  # type: ignore[dict-item]
        ),
        token,
        port,
    )


def static_routes(script: str) -> list[Route]:
    """The routes of the style sheet and of one script."""
    sheet = asset("report.css") + asset("human.css", PACKAGE) + content.colours()

    async def css(request: Request) -> Response:
        return Response(sheet, media_type="text/css")

    async def js(request: Request) -> Response:
        return Response(asset(script, PACKAGE), media_type="text/javascript")

    return [Route("/page.css", css), Route("/page.js", js)]


async def refused(request: Request, error: Exception) -> Response:
    """A user's error as JSON, for the page to show."""
    assert isinstance(error, CavessonError)
    return JSONResponse({"problem": error.problem, "remedy": error.remedy}, 409)


async def json_of(request: Request) -> dict[str, Any]:
    """The mapping that a request carries.

    Raises:
        ConfigError: the request carries something else.
    """
    try:
        text = json.dumps(parse_json(await request.body()), ensure_ascii=False)
        given = parse_json(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))  # no half characters
    except (ValueError, RecursionError) as error:
        raise ConfigError("The request holds no JSON.", "Load the page anew.") from error
    if not isinstance(given, dict):
        raise ConfigError("The request holds no mapping.", "Load the page anew.")
    return given


class _Pages:
    """The endpoints. No endpoint reads more of a case than its workspace, its paper's name and its scope."""

    def __init__(self, session: Session) -> None:
        self.session, self.templates = session, templates(PACKAGE)
        self.trees = {key: case.tree() for key, case in session.cases.items()}

    async def index(self, request: Request) -> Response:
        """All papers of the session."""
        rows = [(key, case.paper_name, self.session.audit(key)) for key, case in self.session.cases.items()]
        return self._page("index.html", rows=rows, settings=self.session.settings)

    async def bench(self, request: Request) -> Response:
        """One paper with its files (once they may be read) and the verdict."""
        key, case = self._case(request)
        audit, tree = self.session.open(key), self.trees[key]
        keys = list(self.session.cases)
        state = {
            "tab": audit.tab,
            "phase": audit.phase,
            "left": self.session.left(key),
            "maxFixes": MAX_FIXES,
            "answer": {name: asdict(audit)[name] for name in ("credence", "notes", "fixes")},
        }
        return self._page(
            "bench.html",
            number=keys.index(key) + 1,
            count=len(keys),
            scope=case.scope,
            title=case.paper_name,
            phase=audit.phase,
            paper=self._paper(key),
            tree=content.tree_html(tree) if audit.phase == "code" else "",
            state=state,
        )

    async def file(self, request: Request) -> Response:
        """One file, coloured."""
        key, name = self._file(request)
        if PurePosixPath(name).suffix in content.IMAGES:
            return HTMLResponse(Markup('<img src="{}" alt="{}">').format(_image_url(key, name), name))
        text = content.read_text(self.trees[key][name])
        if text is None:
            return HTMLResponse('<p class="quiet">This file is no text.</p>')
        return HTMLResponse(content.code_html(name, text))

    async def search(self, request: Request) -> Response:
        """Lines that hold a text."""
        key = self._readable(request)
        return HTMLResponse(content.search_html(self.trees[key], request.query_params.get("q", "")[:200]))

    async def image(self, request: Request) -> Response:
        """A picture: the paper's pictures at any time, other pictures with the code."""
        key, _ = self._case(request)
        name = request.query_params.get("name", "")
        kind = content.IMAGES.get(PurePosixPath(name).suffix)
        if kind is None or name not in self.trees[key]:
            raise HTTPException(404)
        if _image_url(key, name) not in html.unescape(self._paper(key)):
            self._readable(request)
        headers = {"Content-Security-Policy": _IMAGE_POLICY}
        return Response(self.trees[key][name].read_bytes(), media_type=kind, headers=headers)

    async def change(self, request: Request) -> Response:
        """The actions of the page: show that the page is open, save, go on to the code, submit, work out a patch."""
        key, case = self._case(request)
        given, action = await json_of(request), request.path_params["action"]
        if action == "save":
            self.session.save(key, _number(given, "tab"), _number(given, "change"), given)
        elif action == "tick":
            self.session.tick(key)
        elif action == "advance":
            self.session.advance(key)
        elif action == "submit":
            self.session.submit(key)
        elif action in ("edit", "patch"):
            self._readable(request)
            name, patch = str(given.get("name")), str(given.get("patch") or "")
            if action == "edit":
                return JSONResponse({"text": edits.patched_text(case, patch, name)})
            return JSONResponse({"patch": edits.patch_with(case, patch, name, str(given.get("text")))})
        else:
            raise HTTPException(404)
        return JSONResponse({"phase": self.session.audit(key).phase, "left": self.session.left(key)})

    # --- within

    def _case(self, request: Request) -> tuple[str, Case]:
        key = request.path_params["key"]
        if key not in self.session.cases:
            raise HTTPException(404)
        return key, self.session.cases[key]

    def _readable(self, request: Request) -> str:
        """The key of a case whose code may be read now."""
        key, _ = self._case(request)
        audit: Audit = self.session.tick(key)
        if audit.phase != "code" or not self.session.left(key):
            raise ConfigError(
                "The code cannot be read now.", "It opens after the paper, and closes when the time is up."
            )
        return key

    def _file(self, request: Request) -> tuple[str, str]:
        key, name = self._readable(request), request.query_params.get("name", "")
        if name not in self.trees[key]:
            raise HTTPException(404)
        return key, name

    def _paper(self, key: str) -> Markup:
        tree = self.trees[key]
        text = content.read_text(tree[PAPER]) if PAPER in tree else None
        return content.paper_html(text or f"There is no {PAPER}.", tree, lambda name: _image_url(key, name))

    def _page(self, template: str, **values: Any) -> Response:
        return HTMLResponse(self.templates.get_template(template).render(**values))


def _image_url(key: str, name: str) -> str:
    return f"/paper/{key}/image?name={quote(name, safe='', errors='surrogateescape')}"


def _number(given: dict[str, Any], name: str) -> int:
    value = given.get(name)
    if type(value) is not int:
        raise ConfigError(f"The request has no number {name}.", "Load the page anew.")
    return value
