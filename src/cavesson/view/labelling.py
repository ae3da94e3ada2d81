"""The page on which a person labels answers, one after the other, without seeing what the scorer says or which model answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cavesson.view import labels
from cavesson.view.library import Library, Listed
from cavesson.view.search import Filters, Search

COUNT = 50
"""Answers that are drawn if the user says nothing."""


class Labelling:
    """The endpoints of the page.

    Args:
        page: a response from the name of a template and its values.
    """

    def __init__(self, library: Library, search: Search, page: Callable[..., Response]) -> None:
        self.library, self.search, self.page = library, search, page

    def show(self, request: Request) -> Response:
        """The next answer to label, and what the labels so far say."""
        answer = self._shown(request)
        answer.headers["Referrer-Policy"] = "same-origin"  # else a browser does not say where the form was sent from
        return answer

    def _shown(self, request: Request) -> Response:
        given = dict(request.query_params)
        filters, seed, count = _asked(given)
        run = self.library.one(filters.run)
        choices = self.search.choices(filters.run)
        values: dict[str, Any] = {
            "filters": filters,
            "seed": seed,
            "count": count,
            "runs": [one for one in self.library.listed() if one.run.has_result or one.run.store is not None],
            "choices": {**choices, "eval": [name for name in choices["eval"] if name.startswith(labels.BEHAVIOURS)]},
            "file": None,
        }
        if run is None or not filters.eval:
            return self.page("label.html", **values)
        drawn = labels.draw(self.search.index, filters, seed)
        known = labels.read_labels(run.run.folder)
        asked = drawn[:count]
        left = [one for one in asked if one.key not in known]
        chosen = next((one for one in asked if one.key == given.get("at")), left[0] if left else None)
        answer = self.search.answer(chosen.id) if chosen is not None else None
        given_here = {one.key: known[one.key] for one in asked if one.key in known}
        return self.page(
            "label.html",
            **values | {"file": run.run.folder / labels.FILE},
            fits=len(drawn),
            asked=asked,
            left=len(left),
            chosen=chosen,
            answer=answer,
            known=given_here,
            found=labels.agreement(drawn, given_here),
            words=labels.LABELS,
            shown=labels.SHOWN,
            query=urlencode(_query(filters, seed, count)),
        )

    async def add(self, request: Request) -> Response:
        """Keep one label, and go on to the next answer."""
        body = (await request.body()).decode("utf-8", "replace")
        given = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=20))
        return await run_in_threadpool(self._added, given)

    def _added(self, given: Mapping[str, str]) -> Response:
        filters, seed, count = _asked(given)
        run: Listed | None = self.library.one(filters.run)
        if run is None:
            raise HTTPException(404)
        asked = labels.draw(self.search.index, filters, seed)[:count]
        answer = next((one for one in asked if one.key == given.get("answer")), None)
        if answer is None:  # the run was made again in the meantime
            raise HTTPException(404)
        labels.add_label(run.run.folder, answer, given.get("label", ""), seed)
        return RedirectResponse(f"/label?{urlencode(_query(filters, seed, count))}", 303)


def _asked(given: Mapping[str, str]) -> tuple[Filters, int, int]:
    """Filters, seed and number of answers in an address or a form."""
    numbers = {name: given.get(name, "") for name in ("seed", "count")}
    seed, count = (int(text) if re.fullmatch("[0-9]{1,6}", text) else None for text in numbers.values())
    filters = Filters(**{name: given.get(name, "")[:500] for name in ("run", "model", "step", "eval")})
    return filters, seed or 0, count or COUNT


def _query(filters: Filters, seed: int, count: int) -> dict[str, str]:
    names = {"run": filters.run, "model": filters.model, "step": filters.step, "eval": filters.eval}
    return {**{name: value for name, value in names.items() if value}, "seed": str(seed), "count": str(count)}
