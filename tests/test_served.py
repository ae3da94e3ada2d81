"""Models on inference servers: the same tokens as here, adapters by hot swap, and no server with other weights."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cavesson.chat import Conversation
from cavesson.data.recipes import DataFile
from cavesson.errors import CavessonError, ConfigError, MissingExtra
from cavesson.lab.lab import Lab
from cavesson.lab.store import Store
from cavesson.models.adapters import attach
from cavesson.models.loading import open_folder
from cavesson.models.model import Model
from cavesson.models.recipes import HFModel, LoRA, Prompted
from cavesson.named import model_named
from cavesson.sampling import patience
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.recipes import EXAMPLES, Generated
from cavesson.sampling.sampler import Params
from cavesson.sampling.served import Served, server_below
from cavesson.sampling.served_sampler import ServedSampler
from cavesson.training.recipes import Trained
from families import tiny_folder
from inference_server import serving

pytest.importorskip("httpx")

KINDS = ("vllm", "sglang")
ASKED = [Conversation.of(text) for text in ("What is a kettle for?", "Tell me about the fox.", "Where does it live?")]
PARAMS = Params(max_tokens=12, logprobs=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("base"))


@pytest.fixture
def model(folder: Path) -> Model:
    return open_folder(folder, key="base")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(patience, "LONGEST_PAUSE", 0.05)


def adapted(model: Model, seed: int = 0, strength: float = 0.1) -> Model:
    """As after some steps of training."""
    found = attach(model, LoRA(rank=4), seed=seed)
    for name, weight in found.net.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=strength)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_writes_the_tokens_of_the_native_sampler(kind: str, model: Model, tmp_path: Path) -> None:
    with serving(model, kind) as server:
        sampler = ServedSampler(model, server.url, tmp_path)
        for params in (PARAMS, PARAMS.model_copy(update={"stop": ("e",)})):
            here, there = (one.sample(ASKED, params) for one in (NativeSampler(model), sampler))
            for [expected], [found] in zip(here, there, strict=True):
                assert found == replace(expected, logprobs=found.logprobs)
                assert found.logprobs == pytest.approx(expected.logprobs, abs=1e-4)
        assert sampler.sample([], PARAMS) == []
        assert sampler.sample(ASKED[:1], Params(max_tokens=3))[0][0].logprobs is None
        prompts = sampler.prompts_ids(ASKED)
    sent = [body.get("prompt") or body.get("input_ids") for path, body in server.asked[2:5]]
    assert sorted(sent) == sorted(prompts)  # tokens in, no text
    assert sampler.key != NativeSampler(model).key and kind in sampler.key


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_are_loaded_once_each_under_the_hash_of_their_weights(kind: str, folder: Path, tmp_path: Path) -> None:
    bases = [open_folder(folder, key="base") for _ in range(3)]
    with serving(bases[0], kind) as server:
        for seed in (0, 1):
            trained = adapted(open_folder(folder, key="base"), seed)
            for _ in range(2):
                found = ServedSampler(trained, server.url, tmp_path).sample(ASKED, PARAMS)
            assert [one.ids for [one] in found] == [one.ids for [one] in NativeSampler(trained).sample(ASKED, PARAMS)]
        names = [name for name in server.models if name != "the-base"]
        loads = [body for path, body in server.asked if "load_lora" in path]
    assert len(names) == len(loads) == 2 and all(name.startswith("cavesson-") for name in names)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_with_other_weights_is_refused(kind: str, folder: Path, tmp_path: Path) -> None:
    model, other = (open_folder(folder, key="base") for _ in range(2))
    with torch.no_grad():
        for weight in other.net.parameters():
            weight += 0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    with (
        serving(other, kind) as server,
        pytest.raises(ConfigError, match="has other weights under the name 'the-base'"),
    ):
        ServedSampler(model, server.url, tmp_path)
    with serving(model, kind, blind=True) as server, pytest.raises(ConfigError, match=r"'cavesson-.* nats apart"):
        ServedSampler(adapted(open_folder(folder, key="base")), server.url, tmp_path)
    with (
        serving(model, kind, blind=True) as server,
        pytest.raises(ConfigError, match="as the model without its adapter"),
    ):
        ServedSampler(adapted(open_folder(folder, key="base"), strength=1e-3), server.url, tmp_path)


@pytest.mark.parametrize(
    ("kind", "started", "said", "remedy"),
    [
        ("vllm", {"loads": False}, "does not load adapters while it runs", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"),
        ("sglang", {"loads": False}, "LoRA is not enabled", "--max-lora-rank"),
        (
            "vllm",
            {"owner": "llamacpp"},
            "is neither vLLM nor SGLang (its models belong to 'llamacpp')",
            "openai:MODEL@",
        ),
        ("vllm", {"failing": [(401, {"error": "Unauthorized"})]}, "refuses (401): Unauthorized", "CAVESSON_API_KEYS"),
        ("vllm", {"failing": [(200, {"data": []})]}, "is neither vLLM nor SGLang", "openai:MODEL@"),
    ],
)
def test_a_server_that_cannot_is_refused_with_what_to_do(
    kind: str, started: dict[str, Any], said: str, remedy: str, model: Model, tmp_path: Path
) -> None:
    with serving(model, kind, **started) as server, pytest.raises(ConfigError) as raised:
        ServedSampler(adapted(model), server.url, tmp_path)
    assert said in raised.value.problem and remedy in raised.value.remedy


def test_a_server_that_cannot_read_the_adapters_folder_says_so(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(model) as server:
        monkeypatch.setattr(server, "_load", lambda body: (404, {"error": {"message": "No adapter found for /there"}}))
        with pytest.raises(ConfigError, match=r"refuses the adapter .*No adapter found"):
            ServedSampler(adapted(model), server.url, tmp_path)


def test_passing_failures_are_tried_again_and_others_are_not(model: Model, tmp_path: Path) -> None:
    with serving(model) as server:
        sampler = ServedSampler(model, server.url, tmp_path)
        server.behaviour.failing = [(503, {"error": {"message": "busy"}})] * 2
        [[found]] = sampler.sample(ASKED[:1], PARAMS)
        assert found.ids == NativeSampler(model).sample(ASKED[:1], PARAMS)[0][0].ids
        server.behaviour.failing = [(503, {"error": {"message": "busy"}})] * 99
        with pytest.raises(CavessonError, match=r"does not answer: 503 busy \(after 7 attempts\)"):
            sampler.sample(ASKED[:1], PARAMS)
        server.behaviour.failing = [(400, {"error": {"message": "top_k is odd"}})]
        with pytest.raises(ConfigError, match=r"refuses \(400\): top_k is odd"):
            sampler.sample(ASKED[:1], PARAMS)
    with pytest.raises(CavessonError, match="does not answer"):
        ServedSampler(model, server.url, tmp_path)


def test_replies_without_tokens_are_refused(model: Model, tmp_path: Path) -> None:
    with serving(model, old=True) as server:
        sampler = ServedSampler(model, server.url, tmp_path)
        with pytest.raises(ConfigError, match="gives no tokens, only text") as raised:
            sampler.sample(ASKED[:1], PARAMS)
    assert "return_token_ids" in raised.value.remedy


def test_a_server_with_less_room_than_the_answers_is_refused(model: Model, tmp_path: Path) -> None:
    with serving(model, reach=64) as server:
        sampler = ServedSampler(model, server.url, tmp_path)
        with pytest.raises(ConfigError, match="takes texts of 64 tokens"):
            sampler.sample(ASKED[:1], Params(max_tokens=60))


def test_draws_depend_on_seed_prompt_and_number_alone(model: Model, tmp_path: Path) -> None:
    drawn = Params(max_tokens=8, temperature=1.0, n=2, seed=3)
    with serving(model) as server:
        sampler = ServedSampler(model, server.url, tmp_path)
        [first, *_] = sampler.sample(ASKED, drawn)
        assert sampler.sample(ASKED[:1], drawn) == [first] and first[0] != first[1]
        assert sampler.sample(ASKED[:1], drawn.model_copy(update={"seed": 4})) != [first]
    with serving(model, "sglang") as server, pytest.raises(ConfigError, match="draws otherwise each time"):
        ServedSampler(model, server.url, tmp_path).sample(ASKED, drawn)


def test_a_study_samples_from_the_server_what_rests_on_its_weights(folder: Path, model: Model, tmp_path: Path) -> None:
    with serving(model) as server:
        base = model_named(f"served:{folder}@{server.url}")
        assert isinstance(base, Served) and base.base == HFModel(path=str(folder))
        file = tmp_path / "data.jsonl"
        file.write_text('{"prompt": "hello there", "response": "well, hello"}\n' * 4)
        data = DataFile(path=file)
        hyper: dict[str, Any] = {"data": data, "steps": 2, "lr": 1e-2, "batch_size": 2}
        tuned = Trained(base=base, adapter=LoRA(rank=2), **hyper)
        whole = Trained(base=base, **hyper)
        below = [
            Prompted(base=tuned, system="Be brief."),
            tuned.at(2),
            whole,
            Trained(base=tuned, adapter=LoRA(), **hyper),
        ]
        assert [server_below(one) for one in below] == [base, base, None, None]
        recipes = [Generated(prompts=data, by=one, params=Params(max_tokens=4)) for one in (base, tuned, whole)]
        with Lab(Store(tmp_path / "store")) as lab:
            lab.make(recipes)
            rows = [(lab.path(one) / EXAMPLES).read_text() for one in recipes]
        asked = [body["model"] for path, body in server.asked if path.endswith("/completions") and "logprobs" in body]
    [name] = [one for one in server.models if one != "the-base"]
    assert sorted(set(asked)) == sorted({name, "the-base"}) and all(map(json.loads, rows[0].splitlines()))
    moved = Served(base=base.base, url="http://localhost:1/v1")
    assert moved.fingerprint == base.fingerprint != base.base.fingerprint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("served:student", "names no model on a server"),
        ("served:student@http://gpu-box:8000/v1", "is plain http"),
        ("served:studnet@http://localhost:8000/v1", "There is no model 'studnet'"),
    ],
)
def test_names_that_do_not_fit_are_refused(name: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        model_named(name)


def test_without_httpx_the_extra_is_named(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtra, match="'httpx' of the extra 'api'"):
        ServedSampler(model, "http://localhost:1/v1", tmp_path)
