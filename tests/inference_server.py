"""A local server that answers as vLLM or SGLang does, from a real model: routes, fields and errors after their sources.

vLLM: vllm/entrypoints/openai/{completion,models} and serve/lora; SGLang: srt/entrypoints/http_server.py and its native API page.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch

from cavesson.models.adapters import load_adapter
from cavesson.models.model import Model

Reply = tuple[int, Any]


@dataclass
class Behaviour:
    """How the server was started, and what goes wrong.

    Attributes:
        loads: it loads adapters while it runs.
        blind: it keeps the name of an adapter and answers from the base.
        old: it does not know `return_token_ids`.
        failing: replies to give first, whatever is asked.
        reach: longest text.
        owner: what `owned_by` says, if not the kind.
    """

    loads: bool = True
    blind: bool = False
    old: bool = False
    failing: list[Reply] = field(default_factory=list)
    reach: int = 256
    owner: str | None = None


class InferenceServer(ThreadingHTTPServer):
    def __init__(self, model: Model, kind: str, behaviour: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.kind, self.behaviour = kind, behaviour
        self.models: dict[str, tuple[Model, str | None]] = {"the-base": (model, None)}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def answer(self, path: str, body: dict[str, Any]) -> Reply:
        if self.behaviour.failing:
            return self.behaviour.failing.pop(0)
        if path == "/v1/models":
            owner = self.behaviour.owner or self.kind
            return 200, {"object": "list", "data": [self._card(name, owner) for name in self.models]}
        routes = {
            ("vllm", "/v1/completions"): self._complete,
            ("vllm", "/v1/load_lora_adapter"): self._load,
            ("sglang", "/generate"): self._generate,
            ("sglang", "/load_lora_adapter"): self._load,
        }
        route = routes.get((self.kind, path))
        if route is None or (route == self._load and self.kind == "vllm" and not self.behaviour.loads):
            return 404, {"detail": "Not Found"}
        return route(body)

    def _card(self, name: str, owner: str) -> dict[str, Any]:
        parent = None if name == "the-base" else "the-base"
        reach = self.behaviour.reach if parent is None else None
        return {
            "id": name,
            "object": "model",
            "owned_by": owner,
            "root": name,
            "parent": parent,
            "max_model_len": reach,
        }

    def _complete(self, body: dict[str, Any]) -> Reply:
        if body["model"] not in self.models:
            return _error(404, f"The model `{body['model']}` does not exist.", "NotFoundError")
        prompt = body["prompt"]
        if len(prompt) + body["max_tokens"] > self.behaviour.reach:
            return _error(
                400, f"This model's maximum context length is {self.behaviour.reach} tokens.", "BadRequestError"
            )
        model = self.models[body["model"]][0]
        ids, logprobs, why = write(model, prompt, body["max_tokens"], body)
        choice: dict[str, Any] = {"index": 0, "text": model.renderer.decode(ids), "finish_reason": why}
        if body.get("return_token_ids") and not self.behaviour.old:
            choice |= {"token_ids": ids, "prompt_token_ids": prompt}
        if body.get("logprobs") is not None:
            choice["logprobs"] = {"token_logprobs": logprobs, "tokens": [model.renderer.decode([one]) for one in ids]}
        if body.get("prompt_logprobs") is not None:
            pairs = zip(prompt[1:], reading(model, prompt), strict=True)
            read = [{str(token): {"logprob": value, "rank": 1}} for token, value in pairs]
            choice["prompt_logprobs"] = [None, *read]
        return 200, {"object": "text_completion", "model": body["model"], "choices": [choice]}

    def _generate(self, body: dict[str, Any]) -> Reply:
        name = body.get("lora_path") or "the-base"
        if name not in self.models:
            return _error(400, f"The following requested LoRA adapters are not loaded: {name}", "BadRequestError")
        model, prompt, asked = self.models[name][0], body["input_ids"], body["sampling_params"]
        ids, logprobs, why = write(model, prompt, asked["max_new_tokens"], asked)
        meta: dict[str, Any] = {"finish_reason": {"type": why}, "completion_tokens": len(ids)}
        if body.get("return_logprob"):
            meta["output_token_logprobs"] = [[value, token, None] for value, token in zip(logprobs, ids, strict=True)]
            if body.get("logprob_start_len") == 0:
                before = [None, *reading(model, prompt)]
                meta["input_token_logprobs"] = [
                    [value, token, None] for value, token in zip(before, prompt, strict=True)
                ]
        return 200, {"text": model.renderer.decode(ids), "output_ids": ids, "meta_info": meta}

    def _load(self, body: dict[str, Any]) -> Reply:
        name, folder = body["lora_name"], Path(body["lora_path"])
        sglang = self.kind == "sglang"
        if sglang and not self.behaviour.loads:
            return 400, {"success": False, "error_message": "LoRA is not enabled. Please set `--enable-lora`."}
        if name in self.models:
            said = f"The lora adapter '{name}' has already been loaded."
            return (400, {"success": False, "error_message": said}) if sglang else _error(400, said, "InvalidUserInput")
        if not (folder / "adapter_config.json").exists():
            said = f"Loading lora {name} failed: No adapter found for {folder}"
            return (400, {"success": False, "error_message": said}) if sglang else _error(404, said, "NotFoundError")
        base = self.models["the-base"][0]
        if self.behaviour.blind:
            self.models[name] = (base, str(folder))
        else:
            copy = Model(deepcopy(base.net), base.tokenizer, base.renderer, name)
            self.models[name] = (load_adapter(copy, folder), str(folder))
        return 200, {
            "success": True,
            "loaded_adapters": list(self.models),
        } if sglang else f"Success: LoRA adapter '{name}'"


class _Handler(BaseHTTPRequestHandler):
    server: InferenceServer

    def do_GET(self) -> None:
        self._reply({})

    def do_POST(self) -> None:
        self._reply(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _reply(self, body: dict[str, Any]) -> None:
        with self.server.lock:
            self.server.asked.append((self.path, body))
            status, value = self.server.answer(self.path, body)
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def serving(model: Model, kind: str = "vllm", **behaviour: Any) -> Iterator[InferenceServer]:
    server = InferenceServer(model, kind, Behaviour(**behaviour))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@torch.inference_mode()
def write(model: Model, prompt: list[int], room: int, asked: dict[str, Any]) -> tuple[list[int], list[float], str]:
    """Token by token, without a cache: the plainest sampler there is."""
    ids, logprobs = list(prompt), []
    generator = torch.Generator().manual_seed(asked.get("seed") or 0)
    while len(ids) < len(prompt) + room:
        logits = model.net(input_ids=torch.tensor([ids])).logits[0, -1].float()
        token = int(logits.argmax())
        if asked["temperature"] > 0:
            token = int(torch.multinomial((logits / asked["temperature"]).softmax(-1), 1, generator=generator))
        logprobs.append(float(logits.log_softmax(-1)[token]))
        ids.append(token)
        text = model.renderer.decode(ids[len(prompt) :])
        if token in asked.get("stop_token_ids", ()) or any(stop in text for stop in asked.get("stop", ())):
            return ids[len(prompt) :], logprobs, "stop"
    return ids[len(prompt) :], logprobs, "length"


@torch.inference_mode()
def reading(model: Model, ids: list[int]) -> list[float]:
    """The log-probability of each token but the first."""
    logprobs = model.net(input_ids=torch.tensor([ids])).logits[0, :-1].float().log_softmax(-1)
    return logprobs.gather(1, torch.tensor(ids[1:])[:, None])[:, 0].tolist()


def _error(status: int, message: str, kind: str) -> Reply:
    return status, {"error": {"message": message, "type": kind, "param": None, "code": status}}
