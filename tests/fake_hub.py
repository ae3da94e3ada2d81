"""A small Hugging Face hub on this machine: repositories with commits, LFS uploads, private ones that need a token.

It speaks as much of the hub's protocol as `huggingface_hub` uses to create, upload and download, and keeps files in memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlparse

TOKEN = "hf_of_the_tests"


@dataclass
class Repository:
    """Files by commit, the newest last."""

    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    def commit(self, files: dict[str, bytes]) -> str:
        new = {**self.commits[self.head], **files}
        name = hashlib.sha1(repr(sorted(new.items())).encode()).hexdigest()
        self.commits[name] = new
        return name


class Hub(ThreadingHTTPServer):
    """The server; `repositories` by name."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None: ...

    def answer(self, status: int, value: Any = None, headers: dict[str, str] | None = None) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code: str, message: str) -> None:
        self.answer(404, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    @property
    def known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def seen(self, name: str) -> Repository | None:
        found = self.server.repositories.get(name)
        return found if found is not None and (self.known or not found.private) else None

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "models"]:
            name, rest = "/".join(parts[2:4]), parts[4:]
        else:
            name, rest = "/".join(parts[:2]), parts[2:]
        repository = self.seen(name)
        if repository is None:
            return self.missing("RepoNotFound", "Repository not found")
        wanted = rest[1] if len(rest) > 1 else "main"
        commit = repository.head if wanted == "main" else wanted
        if commit not in repository.commits:
            return self.missing("RevisionNotFound", "Revision not found")
        files = repository.commits[commit]
        if rest[:1] == ["resolve"]:
            path = "/".join(rest[2:])
            if path not in files:
                return self.missing("EntryNotFound", "Entry not found")
            tag = f'"{hashlib.sha256(files[path]).hexdigest()}"'
            return self.answer(200, files[path], {"ETag": tag, "X-Repo-Commit": commit})
        if rest[:1] == ["tree"]:
            tree = [{"type": "file", "path": path, "size": len(data), "oid": "0"} for path, data in files.items()]
            return self.answer(200, tree)
        siblings = [{"rfilename": path} for path in files]
        self.answer(200, {"id": name, "sha": commit, "private": repository.private, "siblings": siblings, "tags": []})

    def do_PUT(self) -> None:
        data = self.body()
        self.server.stored[hashlib.sha256(data).hexdigest()] = data
        self.answer(200, {})

    def do_POST(self) -> None:
        path, data = unquote(urlparse(self.path).path).strip("/"), self.body()
        if not self.known:
            return self.answer(401, {"error": "Invalid username or password."})
        if path == "api/repos/create":
            asked = json.loads(data)
            name = f"{asked['organization']}/{asked['name']}" if asked.get("organization") else asked["name"]
            self.server.repositories[name] = Repository(asked.get("visibility") == "private")
            return self.answer(200, {"url": f"{self.server.url}/{name}", "name": name, "id": name})
        if path == "api/validate-yaml":
            return self.answer(200, {"errors": [], "warnings": []})
        if path.endswith("/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{self.server.url}/lfs/{one['oid']}"}}}
                for one in json.loads(data)["objects"]
            ]
            return self.answer(200, {"transfer": "basic", "objects": objects})
        name = "/".join(path.split("/")[2:4])
        if "/preupload/" in path:
            modes = [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                }
                for one in json.loads(data)["files"]
            ]
            return self.answer(200, {"files": modes})
        assert "/commit/" in path, path
        files = {}
        for line in map(json.loads, data.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.server.stored[value["oid"]]
        commit = self.server.repositories[name].commit(files)
        address = f"{self.server.url}/{name}/commit/{commit}"
        self.answer(200, {"success": True, "commitOid": commit, "commitUrl": address})


@contextmanager
def fake_hub() -> Iterator[Hub]:
    """A hub that serves until the block ends."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
