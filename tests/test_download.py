"""A hub model is downloaded with a word about it: how much, and where to; the hub here is a server of the test's own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cavesson.figures import bytes_text
from cavesson.tinyworld.recipes import Shipped

COMMIT = "a" * 40


class Hub(BaseHTTPRequestHandler):
    """The part of the hub's protocol by which a public model is read: its commit, its tree, its files."""

    folder = Shipped(name="small").folder

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/owner/name/tree/"):
            self.answer(json.dumps([self.entry(file) for file in self.folder.iterdir()]).encode())
        elif path.startswith("/api/models/owner/name"):
            self.answer(json.dumps({"id": "owner/name", "sha": COMMIT, "siblings": []}).encode())
        elif (file := self.folder / path.rpartition("/")[2]).is_file():
            content = file.read_bytes()
            self.answer(content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": COMMIT})
        else:
            self.send_error(404)

    def entry(self, file: Path) -> dict[str, object]:
        oid = hashlib.sha1(file.read_bytes()).hexdigest()
        return {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": oid}

    def answer(self, content: bytes, headers: dict[str, str] | None = None) -> None:
        first, last = 0, len(content) - 1
        if wanted := self.headers.get("Range"):
            first, last = (int(end or last) for end in wanted.removeprefix("bytes=").split("-"))
        self.send_response(206 if wanted else 200)
        for name, value in {
            "Content-Length": str(last + 1 - first),
            "Accept-Ranges": "bytes",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[first : last + 1])


@pytest.fixture
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def online(hub: str, tmp_path: Path) -> dict[str, str]:
    """The environment of a process for which the hub is the test's own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE_"))}
    return {**clean, "HF_ENDPOINT": hub, "HF_HOME": str(tmp_path / "hf"), "CAVESSON_HOME": str(tmp_path / "store")}


def test_the_benchmark_of_a_real_model_refuses_a_name_on_the_hub_and_says_what_to_name(online: dict[str, str]) -> None:
    script = Path(__file__).parents[1] / "benchmarks" / "real_model.py"
    done = subprocess.run([sys.executable, str(script), "owner/name"], env=online, capture_output=True, text=True)
    assert done.returncode == 2 and "`hf download owner/name`" in done.stderr, done.stderr


def test_a_download_is_announced_with_its_size_and_place_and_only_once(online: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cavesson.cli.main", "eval", "owner/name", "--bench", "maths", "-n", "1"]
    said = []
    for _ in range(2):
        done = subprocess.run(command, env=online, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said.append([line for line in done.stderr.splitlines() if "downloaded" in line])
    size = bytes_text((Hub.folder / "model.safetensors").stat().st_size)
    place = tmp_path / "hf" / "hub"
    assert said == [
        [f"note: owner/name: {size} of weights are downloaded from the hub, once, to {place} (HF_HOME moves it)."],
        [],
    ]
