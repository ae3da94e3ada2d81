"""What would fail later is refused before anything starts: a model that does not fit, or cannot be rendered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from cavesson.errors import ConfigError
from cavesson.evals.recipes import Probed
from cavesson.evals.world import Maths
from cavesson.models.notes import note
from cavesson.models.recipes import HFModel, LoRA
from cavesson.models.weights import weights_in
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.training import preflight as module
from cavesson.training.objectives import Distil
from cavesson.training.preflight import bytes_needed, bytes_on_top, preflight, runs_in
from cavesson.training.recipes import Trained

BILLION = 1_000_000_000


@pytest.fixture
def model(tmp_path: Path) -> HFModel:
    return HFModel(path=str(shutil.copytree(Shipped(name="student").folder, tmp_path / "model")))


def run(base, **settings) -> Trained:
    return Trained(base=base, data=Prompts(n=4), lr=1e-3, steps=1, **settings)


def test_weights_are_counted_from_the_headers(model):
    net = model.load(lambda recipe: Path()).net
    assert weights_in(Path(model.path)) == sum(weight.numel() for weight in net.parameters())


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda good: b"",
        lambda good: b"1234",
        lambda good: b"<html>not found</html>",
        lambda good: b"\xff" * 100,
        lambda good: (2).to_bytes(8, "little") + b"[]",
        lambda good: (3).to_bytes(8, "little") + b"\xff\xfe{",
        lambda good: (13).to_bytes(8, "little") + b'{"weight": 1}',
        lambda good: good[:-1],
    ],
)
def test_weights_that_are_not_whole_are_refused(spoilt, model):
    weights = Path(model.path) / "model.safetensors"
    weights.write_bytes(spoilt(weights.read_bytes()))
    with pytest.raises(ConfigError, match=r"model\.safetensors' is not a whole safetensors file"):
        preflight([run(HFModel(path=model.path))], workers=1)


def test_full_training_with_adam_takes_sixteen_bytes_a_weight(model):
    assert bytes_needed(BILLION, run(model), width=2048) == 16 * BILLION
    assert bytes_needed(BILLION, run(model, optimizer="sgd"), width=2048) == 8 * BILLION
    assert bytes_needed(BILLION, None, width=2048) == 4 * BILLION


def test_an_adapter_takes_little_more_than_the_weights(model):
    need = bytes_needed(BILLION, run(model, adapter=LoRA(rank=8)), width=2048, stored=2)
    assert 2 * BILLION < need < 2.3 * BILLION


SMOLLM2 = {"width": 576, "layers": 30, "vocabulary": 49_152, "quick": True}


@pytest.mark.parametrize(
    ("adapter", "precision", "batch", "measured"),
    [
        (None, "fp32", 4, 4.18),
        (None, "fp32", 16, 9.45),
        (None, "bf16", 4, 3.49),
        (None, "bf16", 16, 7.33),
        (LoRA(rank=8), "fp32", 4, 3.16),
        (LoRA(rank=8), "fp32", 16, 8.91),
        (LoRA(rank=8), "bf16", 4, 2.51),
        (LoRA(rank=8), "bf16", 16, 6.77),
    ],
)
def test_memory_is_foretold_within_a_tenth_of_what_smollm2_took(model, adapter, precision, batch, measured):
    """GiB, net of the libraries loaded before the run, as `benchmarks/memory.py` measured them."""
    one = run(model, batch_size=batch, adapter=adapter, precision=precision)
    need = bytes_needed(134_515_008, one, width=576) + bytes_on_top(134_515_008, one, **SMOLLM2)
    assert need / 2**30 == pytest.approx(measured, rel=0.1)


def test_other_architectures_take_what_transformers_takes(model):
    """Net of the interpreter's 0.39 GiB, a Llama shape of 150 million weights on 8 × 256 tokens took 4.89 GiB by its own code."""
    shape = {"width": 768, "layers": 16, "vocabulary": 32_000}
    for adapter, measured in ((None, 4.89), (LoRA(rank=8), 3.44)):
        one = run(model, batch_size=8, adapter=adapter, precision="bf16")
        need = bytes_needed(149_840_640, one, width=768) + bytes_on_top(149_840_640, one, **shape)
        assert need / 2**30 == pytest.approx(measured, rel=0.15)


def test_runs_in_memory_are_found(model):
    inside = run(model)
    probed = Probed(run=run(inside), steps=(1,), suite=(Maths(n=1),))
    assert set(runs_in(probed)) == {inside, probed.run}


def test_a_model_that_does_not_fit_is_refused(model, monkeypatch):
    monkeypatch.setattr(module, "SMALL", 0)
    monkeypatch.setattr(module, "LIBRARIES", 0)
    short = {"batch_size": 1, "max_length": 2}
    weights = weights_in(Path(model.path))
    monkeypatch.setattr(module, "_free_memory", lambda: (weights * 20, "this machine", 4))
    preflight([run(model, **short)], workers=1)
    with pytest.raises(ConfigError, match=r"does not fit.*2 at the same time") as caught:
        preflight([run(model, **short)], workers=2)
    assert "--workers 1" in caught.value.remedy
    with pytest.raises(ConfigError, match="does not fit"):  # a teacher stands beside it
        preflight([run(model, objective=Distil(by=model), **short)], workers=1)
    monkeypatch.setattr(module, "_free_memory", lambda: (weights * 10, "this machine", 4))
    with pytest.raises(ConfigError, match="does not fit"):
        preflight([run(model, **short)], workers=1)
    preflight([run(model, adapter=LoRA(rank=1), **short)], workers=1)


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    for name, text in {"max": "1000\n", "current": "900\n", "stat": "anon 700\ninactive_file 200\n"}.items():
        (tmp_path / f"memory.{name}").write_text(text)
    assert module._allowed_memory(tmp_path) == 300
    (tmp_path / "memory.max").write_text("max\n")
    assert module._allowed_memory(tmp_path) is None and module._allowed_memory(tmp_path / "none") is None
    monkeypatch.setattr(module, "_allowed_memory", lambda group: 300)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert module._free_memory()[:2] == (300, "this container")


def test_a_model_on_the_hub_is_measured_before_it_is_downloaded(model, monkeypatch):
    class Metadata:
        parameter_count = {"BF16": 7 * BILLION}

    remote = HFModel(path="owner/large", content="owner/large@" + "a" * 40)
    renderer = model.renderer(lambda recipe: Path())
    monkeypatch.setattr(HFModel, "renderer", lambda self, path_of: renderer)
    monkeypatch.setattr(
        module, "shape_of", lambda model: {"width": 4096, "layers": 32, "vocabulary": 0, "quick": False}
    )
    monkeypatch.setattr("huggingface_hub.HfApi.get_safetensors_metadata", lambda *_, **__: Metadata)
    monkeypatch.setattr(module, "_free_memory", lambda: (16 << 30, "this machine", 4))
    with pytest.raises(
        ConfigError, match=r"'owner/large' does not fit: 7 billion weights, training it takes about 163 GiB"
    ):
        preflight([run(remote, precision="bf16")], workers=1)


def test_a_template_that_cannot_be_split_is_refused(model):
    folder = Path(model.path)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    assert json.loads((folder / "tokenizer_config.json").read_text()).get("chat_template") is None
    with pytest.raises(ConfigError):
        preflight([run(HFModel(path=str(folder)))], workers=1)


def test_a_misspelt_target_is_refused_before_anything_starts(model):
    for base in (model, Shipped(name="student")):
        with pytest.raises(ConfigError, match=r"'q_prj' is no linear layer") as caught:
            preflight([run(run(base), adapter=LoRA(targets=("q_prj",)))], workers=1)
        assert "'q_proj'" in caught.value.remedy


def test_a_rank_that_no_matrix_can_have_is_refused_before_anything_starts(model):
    for base in (model, Shipped(name="student")):
        preflight([run(base, adapter=LoRA(rank=128))], workers=1)
        with pytest.raises(ConfigError, match="rank 129 is more than 128"):
            preflight([run(base, adapter=LoRA(rank=129))], workers=1)
        with pytest.raises(ConfigError, match="rank 128 is more than 64"):
            preflight([run(base, adapter=LoRA(rank=128, targets=("k_proj", "v_proj")))], workers=1)


def test_weights_of_another_network_are_refused_before_anything_starts(model):
    config = Path(model.path) / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_hidden_layers": 1}))
    with pytest.raises(ConfigError, match="without a place in the network"):
        preflight([run(HFModel(path=model.path))], workers=1)


def test_the_type_of_stored_weights_is_said(model, caplog):
    note.cache_clear()
    preflight([run(model)], workers=1)
    stored = "the weights are stored in bfloat16, and held in float32 here."
    assert torch.cuda.is_available() or stored in caplog.text
