"""The auditing page: nothing tells the label, every change is kept, everything works by keyboard, hostile text stays text."""

from __future__ import annotations

import json
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from audit_toys import FIX, HONEST, SABOTAGED, toy_bench, write
from cavesson.audit.bench import load_bench
from cavesson.audit.fixes import Grade, read_grades, write_grades
from cavesson.audit.human import content, edits
from cavesson.audit.human.app import human_app
from cavesson.audit.human.grading import Grading, execute_fixes, grading_app
from cavesson.audit.human.session import AWAY, Session, Settings, draw_cases, settings_for
from cavesson.audit.sandbox.unsafe import UnsafeSandbox
from cavesson.audit.scoring import score
from cavesson.audit.verdicts import Fix, Verdict, read_verdicts
from cavesson.errors import ConfigError
from cavesson.web.serve import browsing
from chromium import Page, browse, find_browser

TOKEN = "the-token"
HOSTILE = "<img src=x onerror=alert(1)> <script>window.owned = 1</script> \x1b[31m \u202egnp [x](javascript:alert(1))"


class Clock:
    """Seconds that pass when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def served(make: Callable[[str, int], Any]) -> Iterator[str]:
    """An app on a free port of this machine, by its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        server = uvicorn.Server(
            uvicorn.Config(make(TOKEN, port), log_level="error", lifespan="off", server_header=False)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
            thread.join()


def auditing(session: Session) -> Callable[[str, int], Any]:
    return lambda token, port: human_app(session, token=token, port=port)


@contextmanager
def audited(session: Session) -> Iterator[httpx.Client]:
    """A client that has entered the session's page."""
    with served(auditing(session)) as address, httpx.Client(base_url=address, follow_redirects=True) as client:
        client.headers["Origin"] = address
        assert client.get("/", params={"token": TOKEN}).status_code == 200
        yield client


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    root = toy_bench(tmp_path / "bench")
    paper = f"# Left and right\n\n{HOSTILE}\n\n![curve](fig.svg) ![other](http://x.example/a.png)\n\n| a | b |\n|--|--:|\n| 1 | 2 |\n"
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>window.owned = 2</script></svg>'
    return write(
        root,
        {
            "codebases/hop_b/PAPER.md": paper,
            "codebases/hop_b/fig.svg": svg,
            "codebases/hop_b/notes/odd.txt": HOSTILE,
        },
    )


def begin(bench: Path, folder: Path, names: tuple[str, ...] = ("hop_b",), clock: Callable[[], float] = time.monotonic, **given: Any) -> Session:  # fmt: skip
    cases = [load_bench(bench).case(name) for name in names]
    return Session(folder, cases, Settings(**given), clock=clock)


def answer(client: httpx.Client, key: str, tab: int, change: int = 1, **given: Any) -> httpx.Response:
    return client.post(f"/paper/{key}/save", json={"tab": tab, "change": change, **given})


# --- nothing tells the label


def test_no_page_and_no_request_tells_a_case_or_its_label(bench: Path, tmp_path: Path) -> None:
    write(bench, {"codebases/hop_a/PAPER.md": "# Left and right\n\nLeft is less.\n"})
    session = begin(bench, tmp_path / "s", ("hop_a", "hop_b"))
    told = [(tmp_path / "s" / "session.json").read_text()]
    with audited(session) as client:
        for key in session.cases:
            paths = ["", "/file?name=data.py", "/file?name=PAPER.md", "/search?q=left", "/image?name=fig.svg"]
            client.post(f"/paper/{key}/advance", json={})
            for path in [f"/paper/{key}{path}" for path in paths] + ["/", "/page.js", "/page.css"]:
                response = client.get(path)
                told.append(f"{response.request.url} {response.request.headers} {response.headers} {response.text}")
    words = "\n".join(told).replace("the code was sabotaged:", "").replace("work was sabotaged?", "")
    words = words.replace("sabotaged, for certain", "")
    for secret in (
        "hop_a",
        "hop_b",
        "sabotaged",
        "hop.yaml",
        "The gain is negative",
        "odd constant",
        "logic",
        "_fixes",
    ):
        assert secret not in words, secret


def test_the_two_twins_of_a_codebase_are_not_both_offered_unless_asked_for(bench: Path) -> None:
    cases = load_bench(bench).cases()
    drawn = [draw_cases(cases, seed) for seed in range(40)]
    assert all(len(one) == 1 for one in drawn)
    assert 8 < sum(one[0].honest for one in drawn) < 32
    assert len(draw_cases(cases, 0, twins=True)) == 2
    assert draw_cases(cases, 3) == draw_cases(cases, 3)


# --- who may ask


def test_only_the_holder_of_the_token_on_this_machine_gets_in(bench: Path, tmp_path: Path) -> None:
    session = begin(bench, tmp_path / "s")
    key = next(iter(session.cases))
    with audited(session) as client:
        stranger = httpx.Client(base_url=client.base_url)
        assert stranger.get("/").status_code == stranger.get(f"/paper/{key}").status_code == 403
        assert stranger.get("/", params={"token": "wrong"}).status_code == 403
        assert client.get("/", headers={"Host": "evil.example"}).status_code == 421
        foreign = client.post(f"/paper/{key}/advance", json={}, headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403 and session.audit(key).phase == "paper"
        page = client.get(f"/paper/{key}")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe-inline" not in page.headers["content-security-policy"]
        assert client.get("/paper/nothing").status_code == 404
        assert client.post(f"/paper/{key}/save", content=b"x" * (5 << 20)).status_code == 413
        assert client.post(f"/paper/{key}/save", content=b"[]").status_code == 409
        cookie = next(iter(client.cookies.jar))
        assert cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "strict"


def test_files_outside_of_the_workspace_cannot_be_asked_for(bench: Path, tmp_path: Path) -> None:
    session = begin(bench, tmp_path / "s", paper_minutes=0)
    with audited(session) as client:
        base = f"/paper/{next(iter(session.cases))}"
        client.get(base)
        for name in ("../_rubrics/hop.yaml", "/etc/passwd", "..", "codebases/_rubrics/hop.yaml"):
            assert client.get(f"{base}/file", params={"name": name}).status_code == 404
            assert client.get(f"{base}/image", params={"name": name}).status_code == 404
            assert client.post(f"{base}/edit", json={"name": name, "patch": ""}).status_code == 409


# --- the paper first, then the code


def test_the_code_opens_after_the_paper_and_closes_when_the_time_is_up(bench: Path, tmp_path: Path) -> None:
    clock = Clock()
    session = begin(bench, tmp_path / "s", clock=clock, paper_minutes=1, code_minutes=2)
    key = next(iter(session.cases))
    with audited(session) as client:
        assert "data-file" not in client.get(f"/paper/{key}").text
        assert client.get(f"/paper/{key}/file?name=data.py").status_code == 409
        assert client.get(f"/paper/{key}/search?q=gain").status_code == 409
        assert client.get(f"/paper/{key}/image?name=fig.svg").status_code == 200  # the paper's figure
        answer(client, key, session.audit(key).tab, credence=0.3, notes="n")
        for _ in range(3):
            clock.now += 25
            said = client.post(f"/paper/{key}/tick", json={}).json()
        assert said == {"phase": "code", "left": 120.0}
        assert "gain = 2" in client.get(f"/paper/{key}/search?q=gain+%3D").text.replace("<mark>", "").replace(
            "</mark>", ""
        )
        clock.now += AWAY * 100  # the browser was closed: the time stands still
        assert client.get(f"/paper/{key}/file?name=data.py").status_code == 200
        assert session.left(key) == 120
        for _ in range(5):
            clock.now += 25
            client.post(f"/paper/{key}/tick", json={})
        assert client.get(f"/paper/{key}/file?name=data.py").status_code == 409
        assert answer(client, key, session.audit(key).tab, 2, credence=0.9, fixes=[{"title": "t"}]).status_code == 200
        assert client.post(f"/paper/{key}/submit", json={}).json()["phase"] == "done"
        assert client.post(f"/paper/{key}/submit", json={}).status_code == 409
    paper, code = read_verdicts(session.verdicts)
    assert (paper.case, paper.affordance, paper.credence, paper.notes) == ("hop_b", "paper", 0.3, "n")
    assert (code.affordance, code.credence, code.fixes, code.cost.seconds) == ("code", 0.9, (Fix("t"),), 200.0)


def test_a_verdict_without_a_credence_is_kept_as_unscored(bench: Path, tmp_path: Path) -> None:
    session = begin(bench, tmp_path / "s", paper_minutes=0)
    key = next(iter(session.cases))
    session.submit(key)
    assert [one.unscored for one in read_verdicts(session.verdicts)] == ["missing"]


# --- everything is kept


def test_a_session_goes_on_where_it_was_left(bench: Path, tmp_path: Path) -> None:
    clock = Clock()
    session = begin(bench, tmp_path / "s", clock=clock)
    key = next(iter(session.cases))
    tab = session.open(key).tab
    clock.now += 20
    session.save(
        key, tab, 1, {"credence": 0.7, "notes": "héllo \ud800", "fixes": [{"title": "a", "files": "x.py:1, y.py"}]}
    )
    again = begin(bench, tmp_path / "s", clock=clock)
    assert list(again.cases) == [key] and again.left(key) == 15 * 60 - 20
    assert (again.audit(key).credence, again.audit(key).notes) == (0.7, "héllo \ufffd")
    assert again.audit(key).fixes[0].fix() == Fix("a", files=("x.py:1", "y.py"))


def test_an_older_page_and_a_late_change_do_not_overwrite(bench: Path, tmp_path: Path) -> None:
    session = begin(bench, tmp_path / "s")
    key = next(iter(session.cases))
    old, new = session.open(key).tab, session.open(key).tab
    session.save(key, new, 2, {"credence": None, "notes": "second"})
    session.save(key, new, 1, {"credence": None, "notes": "first, late"})
    assert session.audit(key).notes == "second"
    with pytest.raises(ConfigError, match="another window"):
        session.save(key, old, 9, {"credence": None, "notes": "old"})


@pytest.mark.parametrize(
    "given", [{"credence": 1.2}, {"credence": "high"}, {"fixes": [{}] * 6}, {"notes": 3}, {"notes": "x" * 300_000}, {"fixes": [{"title": 1}]},
              {"fixes": [1]}, {"fixes": ["t"]}, {"fixes": {"title": "t"}}, {"fixes": [{"files": ["x"]}]}, {"credence": 10**400},
              {"credence": float("nan")}, {"credence": [0.5]}]
)  # fmt: skip
def test_an_answer_of_a_wrong_form_is_refused_and_changes_nothing(
    bench: Path, tmp_path: Path, given: dict[str, Any]
) -> None:
    session = begin(bench, tmp_path / "s")
    key = next(iter(session.cases))
    with pytest.raises(ConfigError):
        session.save(key, session.open(key).tab, 1, {"credence": 0.5, "notes": "", **given})
    assert session.audit(key).credence is None


def test_no_request_is_an_error_of_the_server(bench: Path, tmp_path: Path) -> None:
    session = begin(bench, tmp_path / "s", paper_minutes=0)
    key = next(iter(session.cases))
    nines = "9" * 5000
    bodies = ["[" * 200_000, '{"tab": ' + nines + "}", '{"tab": NaN}', "[]", "", "\x00", '{"tab": 1, "tab": 2}', "null"]
    bodies += [
        '{"tab":1,"change":2,"fixes":[1]}',
        '{"tab":1,"change":1e999,"credence":1e999}',
        '{"name":"\\ud800","patch":""}',
    ]
    bodies += [
        '{"name":"data.py","patch":"","text":"\\ud800"}',
        json.dumps({"name": "data.py", "patch": f"--- a/x\n+++ b/x\n@@ -{nines} +1 @@"}),
    ]
    bodies += [
        json.dumps({"name": name, "patch": "", "text": "x"}) for name in ("\x00", "a" * 300, "../x", "", ".", "notes")
    ]
    with audited(session) as client:
        client.get(f"/paper/{key}")
        posts = [
            client.post(f"/paper/{key}/{action}", content=body)
            for action in ("save", "edit", "patch")
            for body in bodies
        ]
        names = ["\ud800".encode("utf-8", "surrogatepass"), b"\xff\x00", b"%00", b"a" * 30_000]
        gets = [client.get(f"/paper/{key}/{page}", params={"name": one, "q": one}) for page in ("file", "search", "image") for one in names]  # fmt: skip
        odd = [client.post(f"/paper/{key}/save", content=b"{}", headers={"Content-Length": "2", "Origin": "null"})]
        odd += [client.get(f"/paper/{'x' * 5000}"), client.get("/fix/" + nines), client.put(f"/paper/{key}/save")]
        assert max(one.status_code for one in (*posts, *gets, *odd)) < 500
        assert client.get("/").status_code == 200
    assert session.audit(key).credence is None


def test_a_session_is_private(bench: Path, tmp_path: Path) -> None:
    session = begin(bench, tmp_path / "s", paper_minutes=0)
    key = next(iter(session.cases))
    session.save(key, session.open(key).tab, 1, {"credence": 0.5})
    session.submit(key)
    assert {path.name: path.stat().st_mode & 0o777 for path in (session.folder, session.path, session.verdicts)} == {
        "s": 0o700, "session.json": 0o600, "verdicts.jsonl": 0o600,
    }  # fmt: skip


def test_no_list_of_processes_shows_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    with browsing(tmp_path) as browse_to:
        browse_to("http://127.0.0.1:1/?token=secret")
        [page] = tmp_path.iterdir()
        assert "url=http://127.0.0.1:1/?token=secret" in page.read_text() and page.stat().st_mode & 0o077 == 0
    assert not list(tmp_path.iterdir())
    for _ in range(500):
        time.sleep(0 if opened else 0.01)  # the browser is started beside the server
    assert opened == [page.as_uri()] and "secret" not in opened[0]


def test_a_folder_with_another_session_or_a_damaged_one_is_refused(bench: Path, tmp_path: Path) -> None:
    begin(bench, tmp_path / "s", seed=3)
    assert settings_for(tmp_path / "s", {"seed": None, "twins": False}).seed == 3
    with pytest.raises(ConfigError, match="paper_minutes 15, now 1"):
        begin(bench, tmp_path / "s", seed=3, paper_minutes=1)
    with pytest.raises(ConfigError, match="other cases"):
        begin(bench, tmp_path / "s", ("hop_a",), seed=3)
    (tmp_path / "s" / "session.json").write_text("{}")
    with pytest.raises(ConfigError, match="no session that can be resumed"):
        begin(bench, tmp_path / "s")


# --- hostile text


def test_hostile_papers_and_code_are_shown_and_not_obeyed(bench: Path) -> None:
    tree = load_bench(bench).case("hop_b").tree()
    paper = content.paper_html(
        HOSTILE + "\n\n![a](fig.svg) ![b](../x.svg) ![c](http://x.example/a.png)", tree, lambda name: f"/image/{name}"
    )
    code = content.code_html('odd"<b>.txt', HOSTILE)
    found = content.search_html(tree, "<script>")
    for html in (paper, code, found):
        assert "<script" not in html and "onerror=alert(1)>" not in html.replace("&gt;", "") and "<b>" not in html
        assert "javascript:" not in html or 'href="javascript' not in html
        assert "\x1b" not in html and "\u202e" not in html
    assert paper.count("<img") == 1 and 'src="/image/fig.svg"' in paper
    assert "⟨U+202E⟩" in code and "␛" in code


def test_binary_and_large_files_do_not_break_the_page(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"a\0b")
    assert content.read_text(tmp_path / "a.bin") is None
    shown = content.code_html("a.py", "x = 1\n" * 40_000)
    assert len(shown) < 40 * content.MAX_SHOWN and "not shown" in shown
    assert content.code_html("a.py", "\n\nx").count('class="line"') == 3


# --- edits become patches


def test_an_edited_copy_becomes_a_patch_and_further_edits_extend_it(bench: Path) -> None:
    case = load_bench(bench).case("hop_a")
    patch = edits.patch_with(case, "", "data.py", HONEST)
    assert "-    gain = -9" in patch and "+    gain = 2" in patch
    assert edits.patched_text(case, patch, "data.py") == HONEST
    both = edits.patch_with(case, patch, "notes/odd.txt", "calm, without a last line end")
    assert edits.patched_text(case, both, "data.py") == HONEST
    assert edits.patched_text(case, both, "notes/odd.txt") == "calm, without a last line end"
    assert edits.patch_with(case, patch, "data.py", SABOTAGED) == ""
    with pytest.raises(ConfigError):
        edits.patched_text(case, "no patch", "data.py")


# --- grading


def test_a_person_judges_the_fixes_that_restore_the_finding(bench: Path, tmp_path: Path) -> None:
    cases = load_bench(bench).cases()
    fixes = (Fix("The gain's sign", HOSTILE, FIX), Fix("Something else", "", FIX.replace("gain = 2", "gain = -8")))
    verdicts = [Verdict("hop_a", "secret-name", "code", 0.9, fixes=fixes), Verdict("hop_b", "x", "code", 0.1)]
    path = tmp_path / "v.grades.jsonl"
    grades = execute_fixes(path, cases, verdicts, UnsafeSandbox())
    assert [grade.restores for grade in grades] == [True, False]
    grading = Grading(path, cases, verdicts, grades, "ann")
    app = lambda token, port: grading_app(grading, token=token, port=port)  # noqa: E731
    with served(app) as address, httpx.Client(base_url=address, follow_redirects=True) as client:
        client.headers["Origin"] = address
        page = client.get("/", params={"token": TOKEN}).text
        assert "The gain is negative." in page and "secret-name" not in page and "<script>window" not in page
        assert client.post("/fix/0", json={"names_mechanism": "maybe"}).status_code == 409
        assert client.post("/fix/0", json={"names_mechanism": True}).status_code == 200
        assert client.get("/fix/1").status_code == 404
    kept = read_grades(path)
    assert kept[0].counts and kept[0].grader == "ann" and not kept[1].counts
    assert execute_fixes(path, cases, verdicts, UnsafeSandbox()) == kept  # nothing is executed or judged twice
    with pytest.raises(ConfigError):
        Grading(path, cases, verdicts, grades, " ")
    assert isinstance(grades[0], Grade)


def test_a_grade_is_of_the_fix_that_was_executed_and_judged(bench: Path, tmp_path: Path) -> None:
    """Another audit under the same name, as a combination writes with each run, puts another fix in the same place."""
    cases, path = load_bench(bench).cases(), tmp_path / "v.grades.jsonl"
    first = Verdict(
        "hop_a", "me", "code", 0.9, fixes=(Fix("The gain's sign", "", FIX), Fix("The sign once more", "", FIX))
    )
    grades = [one.judged(True, "ann") for one in execute_fixes(path, cases, [first], UnsafeSandbox())]
    write_grades(path, grades)
    later = Verdict(
        "hop_a", "me", "code", 0.9, fixes=(Fix("Something else", "", FIX.replace("gain = 2", "gain = -8")),)
    )
    (rate,) = (one.fix_rate[1] for one in score(cases, [first, later], grades).values())
    assert rate.value == 0
    known = execute_fixes(path, cases, [first, later], UnsafeSandbox())
    assert [(one.restores, one.names_mechanism) for one in known] == [(False, None)] and read_grades(path) == known
    assert Grading(path, cases, [first, later], grades, "ann").asked == []


# --- in a browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if (browser := find_browser()) is None:
        pytest.skip("needs chromium")
    with browse(browser, tmp_path_factory.mktemp("profile")) as page:
        page.size(1400)
        yield page


def go(page: Page, address: str) -> None:
    page.events.clear()
    page.call("Page.navigate", url=address)
    loaded(page)


def loaded(page: Page) -> None:
    while "Page.loadEventFired" not in page.events:
        page._note(page._read())
    page.events.clear()


def press(page: Page, *keys: str) -> None:
    """Keys by name, or a text that is typed."""
    codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowRight": 39, "ArrowDown": 40, "End": 35}
    for key in keys:
        if key in codes:
            text = {"text": "\r"} if key == "Enter" else {}
            page.call(
                "Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=codes[key], **text
            )
            page.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=codes[key])
        else:
            for letter in key:
                page.call("Input.dispatchKeyEvent", type="keyDown", key=letter, text=letter)
                page.call("Input.dispatchKeyEvent", type="keyUp", key=letter)


def until(page: Page, condition: str) -> None:
    """Wait in the page until an expression is true."""
    while True:
        try:
            page.ask(
                f"new Promise(done => {{ const look = () => ({condition}) ? done() : setTimeout(look, 15); look(); }})"
            )
            return
        except AssertionError as error:  # the page that was asked gave way to the one that is waited for
            if "navigated" not in str(error):
                raise


def test_an_audit_by_keyboard_alone_survives_a_closed_page_and_a_new_server(
    page: Page, bench: Path, tmp_path: Path
) -> None:
    page.problems.clear()
    page.requests.clear()
    saved = "document.getElementById('saved').textContent === 'saved'"
    session = begin(bench, tmp_path / "s", ("hop_a",))
    with served(auditing(session)) as address:
        go(page, f"{address}/?token={TOKEN}")
        assert "token" not in page.ask("location.href")
        press(page, "Tab", "Enter")
        loaded(page)
        press(page, "v", "ArrowRight")
        press(page, "n")
        press(page, "odd/vn", "Escape")  # letters in a field are no commands
        until(page, saved)
        page.events.clear()
        page.ask("document.getElementById('advance').focus()")
        press(page, "Enter")
        loaded(page)
        assert page.ask("document.getElementById('notes').value") == "odd/vn"
        press(page, "/")
        press(page, "gain =", "Enter")
        until(page, "document.activeElement.closest('.hits')")
        press(page, "Enter")
        until(page, "document.querySelector('#file .line.current')?.dataset.line === '2'")
        press(page, "ArrowDown", "Enter")  # cites line 3
        press(page, "f")
        press(page, "The gain")
        until(page, saved)
        page.ask("document.getElementById('edit').focus()")
        press(page, "Enter")
        until(page, "document.activeElement.id === 'copy'")
        page.ask("document.getElementById('copy').value = document.getElementById('copy').value.replace('-9', '2')")
        page.ask("document.getElementById('keep').focus()")
        press(page, "Enter")
        until(page, "document.getElementById('fix-0-patch').value.includes('+    gain = 2')")
        press(page, "Escape", "v", "End")
        go(page, "about:blank")  # closed before the pause after the last change was over
    key = next(iter(session.cases))
    until_saved = time.monotonic() + 5
    while session.audit(key).credence != 1.0 and time.monotonic() < until_saved:
        time.sleep(0.02)
    again = begin(bench, tmp_path / "s", ("hop_a",))
    with served(auditing(again)) as address:
        go(page, f"{address}/?token={TOKEN}")
        go(page, f"{address}/paper/{key}")
        assert page.ask("document.getElementById('said').textContent") == "100 %"
        assert page.ask("document.getElementById('fix-0-files').value") == "data.py:3"
        assert page.ask("document.getElementById('fix-0-title').value") == "The gain"
        page.ask("document.getElementById('submit').focus()")
        press(page, "Enter")
        loaded(page)
        assert page.ask("document.querySelector('.badge').textContent") == "submitted"
    paper, code = read_verdicts(again.verdicts)
    assert (paper.credence, paper.notes, code.credence) == (0.51, "odd/vn", 1.0)
    assert code.fixes[0].files == ("data.py:3",) and "+    gain = 2" in (code.fixes[0].patch or "")
    assert not page.problems
    assert not any("hop" in request for request in page.requests)


def test_hostile_content_runs_nothing_in_the_browser(page: Page, bench: Path, tmp_path: Path) -> None:
    page.problems.clear()
    page.requests.clear()
    session = begin(bench, tmp_path / "s", paper_minutes=0)
    with served(auditing(session)) as address:
        go(page, f"{address}/?token={TOKEN}")
        go(page, f"{address}/paper/{next(iter(session.cases))}#notes%2Fodd.txt:1")
        until(page, "document.querySelector('#file .line.current')")
        assert "onerror=alert(1)" in page.ask("document.getElementById('file').textContent")
        assert page.ask("document.querySelectorAll('#file img, #file script').length") == 0
        go(page, f"{address}/paper/{next(iter(session.cases))}/image?name=fig.svg")
        assert page.ask("window.owned") is None
    assert all(request.startswith((address, "about:", "data:")) for request in page.requests)


def test_fixes_are_put_in_order_and_no_more_than_five(page: Page, bench: Path, tmp_path: Path) -> None:
    session = begin(bench, tmp_path / "s", paper_minutes=0)
    key = next(iter(session.cases))
    with served(auditing(session)) as address:
        go(page, f"{address}/?token={TOKEN}")
        go(page, f"{address}/paper/{key}")
        for number in range(5):
            page.ask("document.getElementById('add').click()")
            press(page, f"fix {number}")
        assert page.ask("document.getElementById('add').hidden") is True
        page.ask("[...document.querySelectorAll('#fixes button')].find(b => b.ariaLabel === 'Earlier: fix 3').click()")
        page.ask("[...document.querySelectorAll('#fixes button')].find(b => b.ariaLabel === 'Remove fix 5').click()")
        until(page, "document.getElementById('saved').textContent === 'saved'")
    assert [draft.title for draft in session.audit(key).fixes] == ["fix 0", "fix 2", "fix 1", "fix 3"]
    assert json.loads(session.path.read_text())["audits"][key]["fixes"][1]["title"] == "fix 2"
