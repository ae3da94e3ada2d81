"""A local service that speaks the wire protocol of the public `tinker` client, and really trains, samples and keeps weights.

Routes, fields and the protobuf messages are those of tinker 0.38; losses are after its documentation ("Loss functions"). Requests
of a training are done in the order of their `seq_id`, in whatever order they arrive.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tinker.proto import tinker_public_pb2 as pb
from torch import Tensor

from cavesson.models.adapters import attach
from cavesson.models.loading import open_folder
from cavesson.models.recipes import LoRA

MESSAGE = "application/x-protobuf"
KEY = "tml-a-key-of-the-tests"


class Refused(Exception):
    """A request that fails with this status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


@dataclass
class Training:
    """A training run: its network, its optimizer, and requests that wait for earlier ones."""

    base: str
    net: Any
    rank: int
    optimizer: torch.optim.AdamW | None = None
    done: int = 0
    waiting: dict[int, Callable[[], None]] = field(default_factory=dict)

    @property
    def weights(self) -> list[torch.nn.Parameter]:
        return [weight for weight in self.net.parameters() if weight.requires_grad]


@dataclass
class Kept:
    """What a `tinker://` path stands for."""

    base: str
    net: Any
    rank: int
    optimizer: dict[str, Any] | None


class TinkerService(ThreadingHTTPServer):
    """Args:
    bases: folder of each model, by its name at the service.
    context: longest text.
    """

    daemon_threads = True

    def __init__(self, bases: dict[str, Path], context: int | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.bases, self.context = dict(bases), context
        self.retired: set[str] = set()
        self.only_sampled: set[str] = set()
        self.failing: list[tuple[str, int]] = []
        """Parts of a path and statuses, each of which the next request to such a path gets."""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.runs: dict[str, Training] = {}
        self.kept: dict[str, Kept] = {}
        self.samplers: dict[str, Kept] = {}
        self.results: dict[str, Any] = {}
        self.lock = threading.RLock()
        self._networks: dict[str, Any] = {}

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that hang up."""

    def count(self, path: str) -> int:
        """How often a path was asked for, failures included."""
        return sum(asked.endswith(path) for asked, _ in self.asked)

    def network(self, base: str) -> Any:
        if base not in self.bases or base in self.retired:
            raise Refused(400, f"Base model {base} is not supported")
        if base not in self._networks:
            self._networks[base] = open_folder(self.bases[base], key=base)
        model = self._networks[base]
        return replace(model, net=deepcopy(model.net))

    # ------------------------------------------------------------------------------------------- routes

    def answer(self, path: str, body: Any, key: str) -> Any:
        if path.endswith("/retrieve_future") and body["request_id"] not in self.results:
            time.sleep(0.02)
        with self.lock:
            self.asked.append((path, body if isinstance(body, dict) else {}))
            failure = next((one for one in self.failing if one[0] in path), None)
            if failure is not None:
                self.failing.remove(failure)
                raise Refused(failure[1], f"a failure of the tests ({failure[1]})")
            if path.endswith("/client/config"):
                return {"use_pyqwest_transport": False, "fwdbwd_max_chunk_len": 3}
            if key != KEY:
                raise Refused(401, "Invalid API key")
            name = path.removeprefix("/api/v1/")
            if name.startswith("samplers/"):
                sampler = self.samplers[name.removeprefix("samplers/")]
                return {"sampler_id": name, "base_model": sampler.base}
            route = getattr(self, f"do_{name.replace('/', '_')}", None)
            if route is None:
                raise Refused(404, f"no route {path}")
            return route(body)

    def do_client_dynamic_config(self, body: Any) -> Any:
        return {}

    def do_create_session(self, body: Any) -> Any:
        return {"type": "create_session", "session_id": f"session-{len(self.asked)}"}

    def do_session_heartbeat(self, body: Any) -> Any:
        return {"type": "session_heartbeat"}

    def do_get_server_capabilities(self, body: Any) -> Any:
        names = [name for name in self.bases if name not in self.retired]
        told = {"max_context_length": self.context, "sampleable": True}
        return {
            "supported_models": [
                {"model_name": name, "trainable": name not in self.only_sampled, **told} for name in names
            ]
        }

    def do_create_model(self, body: Any) -> Any:
        lora = body["lora_config"]
        assert lora["train_mlp"] and lora["train_attn"] and not lora["train_unembed"]
        model = f"{body['session_id']}:train:{body['model_seq_id']}"
        fresh = attach(self.network(body["base_model"]), LoRA(rank=lora["rank"]), lora["seed"])
        self.runs[model] = Training(body["base_model"], fresh.net, lora["rank"])
        return self.result({"type": "create_model", "model_id": model})

    def do_get_info(self, body: Any) -> Any:
        run = self.runs[body["model_id"]]
        return {
            "type": "get_info",
            "model_id": body["model_id"],
            "model_data": {"model_name": run.base},
            "is_lora": True,
            "lora_rank": run.rank,
        }

    def do_load_weights(self, body: Any) -> Any:
        model = f"{body['session_id']}:train:{body['model_seq_id']}"
        saved = self.kept.get(body["path"])
        if saved is None:
            raise Refused(404, f"Checkpoint {body['path']} not found")
        run = self.runs[model] = Training(saved.base, deepcopy(saved.net), saved.rank)
        if body["optimizer"] and saved.optimizer is not None:
            run.optimizer = torch.optim.AdamW(run.weights)
            run.optimizer.load_state_dict(deepcopy(saved.optimizer))
        return self.result({"type": "load_weights", "path": body["path"], "model_id": model})

    def do_forward_backward(self, message: pb.ForwardBackwardRequest) -> Any:
        run = self.runs[message.model_id]
        return self.in_turn(run, message.seq_id, lambda: _forward_backward(run, message))

    def do_optim_step(self, body: Any) -> Any:
        run, adam = self.runs[body["model_id"]], body["adam_params"]

        def step() -> Any:
            settings = {"betas": (adam["beta1"], adam["beta2"]), "eps": adam["eps"], "lr": adam["learning_rate"]}
            settings["weight_decay"] = adam["weight_decay"]
            if run.optimizer is None:
                run.optimizer = torch.optim.AdamW(run.weights, **settings)
            for group in run.optimizer.param_groups:
                group.update(settings)
            if adam["grad_clip_norm"] > 0:
                torch.nn.utils.clip_grad_norm_(run.weights, adam["grad_clip_norm"])
            run.optimizer.step()
            run.optimizer.zero_grad()
            return {"metrics": {}}

        return self.in_turn(run, body["seq_id"], step)

    def do_save_weights(self, body: Any) -> Any:
        run = self.runs[body["model_id"]]

        def save() -> Any:
            path = f"tinker://{body['model_id']}/weights/{body['path']}"
            assert body["overwrite"] or path not in self.kept
            state = None if run.optimizer is None else deepcopy(run.optimizer.state_dict())
            self.kept[path] = Kept(run.base, deepcopy(run.net), run.rank, state)
            return {"type": "save_weights", "path": path}

        return self.in_turn(run, body["seq_id"], save)

    def do_save_weights_for_sampler(self, body: Any) -> Any:
        run = self.runs[body["model_id"]]

        def save() -> Any:
            kept = Kept(run.base, deepcopy(run.net).eval(), run.rank, None)
            if (name := body.get("path")) is None:
                session = f"{body['model_id']}:sampler:{body['sampling_session_seq_id']}"
                self.samplers[session] = kept
                return {"type": "save_weights_for_sampler", "sampling_session_id": session}
            path = f"tinker://{body['model_id']}/sampler_weights/{name}"
            if path in self.kept:
                raise Refused(400, f"{path} exists")
            self.kept[path] = kept
            return {"type": "save_weights_for_sampler", "path": path}

        return self.in_turn(run, body["seq_id"], save)

    def do_create_sampling_session(self, body: Any) -> Any:
        session = f"{body['session_id']}:sample:{body['sampling_session_seq_id']}"
        if (path := body.get("model_path")) is None:
            self.samplers[session] = Kept(body["base_model"], self.network(body["base_model"]).net, 0, None)
        elif path not in self.kept:
            raise Refused(404, f"Checkpoint {path} not found")
        else:
            self.samplers[session] = self.kept[path]
        return {"type": "create_sampling_session", "sampling_session_id": session}

    def do_asample(self, body: Any) -> Any:
        said = _sample(self.samplers[body["sampling_session_id"]].net, body)
        return self.result(said, sample_sequence_ids=[f"{n}" for n in range(body["num_samples"])])

    def do_retrieve_future(self, body: Any) -> Any:
        if body["request_id"] not in self.results:
            return {"type": "try_again", "request_id": body["request_id"], "queue_state": "active"}
        return self.results[body["request_id"]]

    # ------------------------------------------------------------------------------------------- futures

    def result(self, value: Any, **more: Any) -> Any:
        """A future with this result."""
        name = f"request-{len(self.asked)}"
        self.results[name] = value
        return {"request_id": name, **more}

    def in_turn(self, run: Training, seq: int, act: Callable[[], Any]) -> Any:
        """A future of an act that is done after the acts with smaller numbers."""
        name = f"request-{len(self.asked)}"

        def do() -> None:
            try:
                self.results[name] = act()
            except Refused as refused:
                self.results[name] = {"error": refused.detail, "category": "user"}

        run.waiting[seq] = do
        while (now := run.waiting.pop(run.done + 1, None)) is not None:
            run.done += 1
            now()
        return {"request_id": name}


def _forward_backward(run: Training, message: pb.ForwardBackwardRequest) -> pb.ForwardBackwardOutput:
    """The gradient of a sum over rows, added to that which is there."""
    settings = dict(message.loss_fn_config)
    said = pb.ForwardBackwardOutput(loss_fn_output_type="TorchLossReturn")
    total = 0.0
    for datum in message.data:
        ids = [int(one) for chunk in datum.model_input for one in np.frombuffer(chunk.encoded_text.tokens, np.int32)]
        inputs = {name: _tensor(one) for name, one in datum.loss_fn_inputs.items()}
        targets = inputs.pop("target_tokens")
        if len(targets) != len(ids):
            raise Refused(400, "target_tokens must be as long as model_input")
        with torch.set_grad_enabled(not message.forward_only):
            every = run.net(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
            logprobs = every.gather(1, targets.reshape(len(ids), -1)).reshape(targets.shape)
            loss = _loss(message.loss_fn, logprobs, inputs, settings)
        if not message.forward_only:
            loss.backward()
        total += float(loss.detach())
        array = logprobs.detach().numpy().astype(np.float32)
        record = said.loss_fn_outputs.add(num_datums=1)
        fields = record.fields["logprobs"]
        fields.data, fields.dtype = array.tobytes(), pb.DTYPE_FLOAT32
        fields.offsets = np.array([0, array.nbytes], np.int64).tobytes()
        fields.trailing_shape.extend(array.shape[1:])
    said.metrics["loss:sum"] = total
    return said


def _loss(name: str, logprobs: Tensor, inputs: dict[str, Tensor], settings: dict[str, float]) -> Tensor:
    """A documented loss of one row."""
    if name == "cross_entropy":
        return -(logprobs * inputs["weights"]).sum()
    ratio, gain = (logprobs - inputs["logprobs"]).exp(), inputs["advantages"]
    if name == "importance_sampling":
        return -(ratio * gain).sum()
    cut = ratio.clamp(settings["clip_low_threshold"], settings["clip_high_threshold"])
    if name == "ppo":
        return -torch.minimum(ratio * gain, cut * gain).sum()
    assert name == "cispo", name
    return -(cut.detach() * logprobs * gain).sum()


def _tensor(given: pb.Tensor) -> Tensor:
    kind = {pb.DTYPE_FLOAT32: np.float32, pb.DTYPE_INT64: np.int64}[given.dtype]
    if given.HasField("sparse_csr"):  # the client's choice, where most of a matrix is zero
        csr, whole = given.sparse_csr, np.zeros(tuple(given.shape), kind)
        starts, columns = (np.frombuffer(one, np.int64) for one in (csr.crow_indices, csr.col_indices))
        whole[np.repeat(np.arange(len(whole)), np.diff(starts)), columns] = np.frombuffer(csr.values, kind)
        return torch.from_numpy(whole)
    return torch.from_numpy(np.frombuffer(given.dense, kind).reshape(tuple(given.shape)).copy())


@torch.inference_mode()
def _sample(net: Any, asked: dict[str, Any]) -> pb.SampleResponse:
    """Token by token, without a cache; and what the prompt's tokens were worth."""
    prompt = [int(one) for chunk in asked["prompt"]["chunks"] for one in chunk["tokens"]]
    how = asked["sampling_params"]
    said = pb.SampleResponse()
    generator = torch.Generator().manual_seed(how.get("seed") or 0)
    for _ in range(asked["num_samples"]):
        ids, logprobs, reason = list(prompt), [], pb.STOP_REASON_LENGTH
        while len(ids) < len(prompt) + how["max_tokens"] and reason == pb.STOP_REASON_LENGTH:
            logits = net(input_ids=torch.tensor([ids])).logits[0, -1].float()
            token = int(logits.argmax())
            if how["temperature"] > 0:
                token = int(torch.multinomial((logits / how["temperature"]).softmax(-1), 1, generator=generator))
            logprobs.append(float(logits.log_softmax(-1)[token]))
            ids.append(token)
            if token in (how.get("stop") or ()):
                reason = pb.STOP_REASON_STOP
        one = said.sequences.add(stop_reason=reason)
        one.tokens = np.array(ids[len(prompt) :], np.int32).tobytes()
        one.logprobs = np.array(logprobs, np.float32).tobytes()
    if asked.get("prompt_logprobs"):
        every = net(input_ids=torch.tensor([prompt])).logits[0, :-1].float().log_softmax(-1)
        chosen = every.gather(1, torch.tensor(prompt[1:])[:, None])[:, 0].numpy()
        said.prompt_logprobs = np.concatenate([[np.nan], chosen]).astype(np.float32).tobytes()
        if k := asked.get("topk_prompt_logprobs"):
            top = every.topk(k)
            ids_Tk = np.concatenate([np.zeros((1, k)), top.indices.numpy()]).astype(np.int32)
            logprobs_Tk = np.concatenate([np.full((1, k), -99999.0), top.values.numpy()]).astype(np.float32)
            found = said.topk_prompt_logprobs
            found.token_ids, found.logprobs, found.k, found.length = (
                ids_Tk.tobytes(),
                logprobs_Tk.tobytes(),
                k,
                len(prompt),
            )
    return said


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: TinkerService

    def do_GET(self) -> None:
        self._reply(None)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if MESSAGE in self.headers.get("Content-Type", ""):
            message = pb.ForwardBackwardRequest()
            message.ParseFromString(raw)
            self._reply(message)
        else:
            self._reply(json.loads(raw or b"{}"))

    def _reply(self, body: Any) -> None:
        status, kind, said = 200, "application/json", b""
        try:
            found = self.server.answer(self.path, body, self.headers.get("X-API-Key", ""))
            if isinstance(found, dict):
                said = json.dumps(found).encode()
            else:
                kind, said = MESSAGE, found.SerializeToString()
        except Refused as refused:
            status, said = refused.status, json.dumps({"detail": refused.detail}).encode()
        except Exception as error:  # the service itself is wrong: no request is tried again over that
            traceback.print_exc()
            status, said = 422, json.dumps({"detail": f"the service of the tests fails: {error!r}"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(bases: dict[str, Path], context: int | None = None) -> Iterator[TinkerService]:
    """A running service."""
    server = TinkerService(bases, context)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
