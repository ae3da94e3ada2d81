"""The web app: every address, and what it shows. Runs and artifacts are named by keys, so no address holds a path."""

from __future__ import annotations

import hashlib
import json
import re
from functools import partial
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from cavesson.errors import CavessonError
from cavesson.findings.compare import side_by_side
from cavesson.lab import disk
from cavesson.report.page import asset, templates
from cavesson.view import lineage, shown
from cavesson.view.answers import storable
from cavesson.view.labelling import Labelling
from cavesson.view.library import Library, Listed
from cavesson.view.runs import REPORT, STATES
from cavesson.view.search import Filters, Search
from cavesson.web.guard import POLICY, Guard

PACKAGE = "cavesson.view"
_FORMS = POLICY.replace("form-action 'none'", "form-action 'self'")
_REPORT_POLICY = (
    "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
)
"""A report is a file of the user's folder: it may draw its charts, and reach neither this server nor its cookie."""
_LARGEST_REPORT = 1 << 28
_CHARTS = ("text.js", "plot.js", "frontier.js", "lines.js", "sections.js")
"""The report's scripts that draw."""


def view_app(library: Library, *, token: str, port: int) -> ASGIApp:
    """The app of one library.

    Args:
        token: the secret that lets a person in.
        port: the port of 127.0.0.1 that will serve the app.
    """
    pages = _Pages(library)
    app = Starlette(
        routes=[
            Route("/", pages.runs),
            Route("/run/{key}", pages.run),
            Route("/run/{key}/report", pages.report),
            Route("/compare", pages.compare),
            Route("/transcripts", pages.transcripts),
            Route("/transcripts/found", pages.found),
            Route("/transcripts/rows", pages.rows),
            Route("/transcripts/{number}", pages.answer),
            Route("/label", pages.labelling.show),
            Route("/label", pages.labelling.add, methods=["POST"]),
            Route("/artifact/{fingerprint}", pages.artifact),
            *(Route(f"/{name}", partial(_static, text, kind)) for name, (text, kind) in _files().items()),
        ],
        exception_handlers={CavessonError: pages.refused, 404: pages.missing},  # type: ignore[dict-item]
    )
    return Guard(app, token, port, policy=_FORMS)


def _files() -> dict[str, tuple[str, str]]:
    """The style sheet and the scripts: names, texts and kinds."""
    page = "\n".join([asset("text.js"), asset("view.js", PACKAGE)])
    charts = "\n".join([*map(asset, _CHARTS), asset("charts.js", PACKAGE)])
    closed = {
        name: f"(() => {{\n'use strict';\n{text}\n}})();" for name, text in (("page.js", page), ("charts.js", charts))
    }
    return {
        "page.css": (asset("report.css") + asset("view.css", PACKAGE), "text/css"),
        **{name: (text, "text/javascript") for name, text in closed.items()},
    }


def _static(text: str, kind: str, request: Request) -> Response:
    return Response(text, media_type=kind)


class _Pages:
    """The endpoints."""

    def __init__(self, library: Library) -> None:
        self.library, self.search, self.templates = library, Search(library.index), templates(PACKAGE)
        self.templates.filters["ago"] = shown.ago
        self.results = shown.Results()
        self.labelling = Labelling(library, self.search, self._page)

    # --- runs

    def runs(self, request: Request) -> Response:
        """The list of runs; with `part`, the list alone, or nothing if it is as it was."""
        given = request.query_params
        every = self.library.listed()
        found = [one for one in every if shown.fits(one, given)]
        values: dict[str, Any] = {
            "found": found,
            "every": len(every),
            "answers": self.library.index.size(),
            "left": self.library.left,
        }
        if "part" in given:
            return self._part(request, "runs_list.html", **values)
        return self._page(
            "runs.html",
            **values,
            given={name: given.get(name, "") for name in ("q", "study", "state")},
            studies=sorted({one.study for one in every}),
            states=STATES,
            roots=self.library.roots,
        )

    def run(self, request: Request) -> Response:
        """One run; with `part`, its progress alone."""
        one = self._run(request.path_params["key"])
        if "part" in request.query_params:
            return self._part(request, "run_progress.html", **self._progress(one))
        verdict = request.query_params.get("verdict", "")
        values: dict[str, Any] = {"result": None, "problem": one.summary.problem}
        if one.run.has_result:
            try:
                result = self.results.of(one.run)
                values = {"problem": None, **shown.of_result(result, verdict, one.run.key)}
            except CavessonError as error:
                values["problem"] = error.problem
        others = [other for other in self.library.listed() if other.run.has_result and other.run.key != one.run.key]
        others.sort(key=lambda other: other.study != one.study)
        return self._page("run.html", **values, **self._progress(one), others=others, verdict=verdict)

    def report(self, request: Request) -> Response:
        """The report of a run, as it lies on disk."""
        run = self._run(request.path_params["key"]).run
        try:
            page = disk.read_plain(run.folder / REPORT, _LARGEST_REPORT)
        except OSError as error:
            raise HTTPException(404) from error
        return HTMLResponse(page, headers={"Content-Security-Policy": _REPORT_POLICY})

    def compare(self, request: Request) -> Response:
        """Two runs side by side."""
        one, two = (self._run(request.query_params.get(name, "")) for name in ("one", "two"))
        rows = list(side_by_side(self.results.of(one.run), self.results.of(two.run)))
        return self._page("compare.html", one=one, two=two, rows=rows)

    # --- transcripts

    def transcripts(self, request: Request) -> Response:
        """The page of transcripts; its script fetches them."""
        filters = Filters.of(request.query_params)
        return self._page(
            "transcripts.html",
            filters=filters,
            choices=self.search.choices(filters.run),
            artifact=self._called(filters.artifact),
            runs=[one for one in self.library.listed() if one.run.has_result or one.run.store is not None],
        )

    def found(self, request: Request) -> Response:
        """How many transcripts fit the filters, what the filters can be set to, and where one answer stands among them."""
        filters, wanted = Filters.of(request.query_params), _number(request.query_params.get("answer", ""))
        at = None if wanted is None else self.search.place(filters, wanted)
        return JSONResponse({
            "count": self.search.count(filters),
            "left": self.library.left,
            "choices": self.search.choices(filters.run),
            "at": at,
        })  # fmt: skip

    def rows(self, request: Request) -> Response:
        """Some rows of the list."""
        given = request.query_params
        start, count = (_number(given.get(name, "")) or 0 for name in ("start", "count"))
        return JSONResponse(self.search.rows(Filters.of(given), start, count))

    def answer(self, request: Request) -> Response:
        """One answer and the others to its prompt."""
        number = _number(request.path_params["number"])
        found = None if number is None else self.search.answer(number)
        if found is None:
            raise HTTPException(404)
        names = {one.run.key: storable(one.run.name) for one in self.library.listed()}
        for other in found["others"]:
            other["run"] = names.get(other["run"], "")
        found["runs"] = [[key, names[key]] for key in found["runs"] if key in names]
        return JSONResponse(found)

    # --- artifacts

    def artifact(self, request: Request) -> Response:
        """An artifact, and what it was made from."""
        fingerprint = request.path_params["fingerprint"]
        if not re.fullmatch("[0-9a-f]{32}", fingerprint):
            raise HTTPException(404)
        one = self.library.manifest(fingerprint)
        if one is None:
            raise HTTPException(404)
        unfolded = frozenset(request.query_params.get("open", "").split())
        graph = lineage.graph_of(one, self.library.manifest, unfolded)

        called = self.library.index.called(node.key for node in graph.nodes)

        def more(group: str) -> str:
            return f"/artifact/{fingerprint}?{urlencode({'open': ' '.join(sorted(unfolded | {group}))})}#graph"

        return self._page(
            "artifact.html",
            one=one,
            graph=lineage.drawn(graph, more, called),
            whole=graph,
            folded=bool(unfolded),
            called=called.get(fingerprint, ""),
            recipe=json.dumps(one.recipe, indent=2, ensure_ascii=False),
        )

    # --- within

    def refused(self, request: Request, error: Exception) -> Response:
        """A user's error: as JSON for the script, as a page for a person."""
        assert isinstance(error, CavessonError)
        if request.url.path.startswith("/transcripts/"):
            return JSONResponse({"problem": error.problem, "remedy": error.remedy}, 409)
        return self._page("problem.html", 409, problem=error.problem, remedy=error.remedy)

    def missing(self, request: Request, error: Exception) -> Response:
        """Something that is not there."""
        return self._page("problem.html", 404, problem="There is nothing at this address.",
                          remedy="The run or the artifact may have been removed. Go back to the list of runs.")  # fmt: skip

    def _run(self, key: str) -> Listed:
        if (one := self.library.one(key)) is None:
            raise HTTPException(404)
        return one

    def _called(self, artifact: str) -> str:
        """What stands in the filter of artifacts, in words."""
        digits = artifact.split()
        if len(digits) != 1:
            return f"{len(digits)} together"
        return self.library.index.called_like(digits[0]) or digits[0]

    def _progress(self, one: Listed) -> dict[str, Any]:
        watch = self.library.watches.get(one.run.store) if one.run.store is not None else None
        latest = watch.latest(self.library.needs(one.run)) if watch is not None and one.state != "finished" else []
        return {"one": one, "latest": [(self.library.manifest(name), name, when) for name, when in latest]}

    def _page(self, template: str, status: int = 200, **values: Any) -> Response:
        return HTMLResponse(storable(self.templates.get_template(template).render(**values)), status)

    def _part(self, request: Request, template: str, **values: Any) -> Response:
        """A part of a page that the script fetches again and again; 204 if it is as the script has it."""
        text = storable(self.templates.get_template(template).render(**values))
        mark = hashlib.sha256(text.encode()).hexdigest()[:16]
        if request.query_params.get("have") == mark:
            return Response(status_code=204)
        return HTMLResponse(text, headers={"X-Mark": mark})


def _number(text: str) -> int | None:
    """The number in an address; None: it is none, or too large for any answer."""
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else None
