"""Adapters: attach, merge, save, load."""

from __future__ import annotations

import json

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from cavesson.errors import ConfigError
from cavesson.models.adapters import attach, load_adapter, save_adapter
from cavesson.models.loading import open_folder, save_folder
from cavesson.models.model import Model, merged
from cavesson.models.recipes import LoRA
from families import ARCHITECTURES, tiny_folder


@pytest.fixture
def model(tmp_path) -> Model:
    return open_folder(tiny_folder(tmp_path / "base"), key="base")


def logits(model: Model) -> torch.Tensor:
    ids = (torch.arange(40).reshape(2, 20) % 50 + 5).to(model.device)
    with torch.no_grad():
        return model.net.eval()(ids).logits


def trained(model: Model) -> Model:
    """As if some steps had been made: the adapter's second factor is zero at first."""
    for name, weight in model.net.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return model


def test_a_fresh_adapter_changes_nothing_and_alone_is_trainable(model):
    before = logits(model)
    adapted = attach(model, LoRA(rank=4), seed=0)
    assert torch.equal(logits(adapted), before)
    trainable = {name for name, weight in adapted.net.named_parameters() if weight.requires_grad}
    assert trainable and all("lora_" in name for name in trainable)
    assert not any("lm_head" in name or "embed" in name for name in trainable)
    assert adapted.key != model.key


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_merging_an_adapter_changes_nothing(architecture, tmp_path):
    adapted = trained(attach(open_folder(tiny_folder(tmp_path, architecture), key="k"), LoRA(), seed=0))
    whole = merged(adapted)
    assert not isinstance(whole.net, PeftModel) and isinstance(adapted.net, PeftModel)
    torch.testing.assert_close(logits(whole), logits(adapted), atol=1e-5, rtol=1e-5)
    assert all(weight.requires_grad for weight in whole.net.parameters())


def test_a_saved_adapter_loads_onto_its_base(model, tmp_path):
    base = tmp_path / "base"
    adapted = trained(attach(model, LoRA(rank=2, targets=("q_proj", "v_proj")), seed=0))
    save_adapter(adapted, tmp_path / "adapter")
    assert {file.suffix for file in (tmp_path / "adapter").iterdir()} == {".safetensors", ".json"}
    again = load_adapter(open_folder(base, key="base"), tmp_path / "adapter")
    assert torch.equal(logits(again), logits(adapted))
    assert not any(weight.requires_grad for weight in again.net.parameters())
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), tmp_path / "adapter").eval()
    torch.testing.assert_close(logits(again).cpu(), theirs(torch.arange(40).reshape(2, 20) % 50 + 5).logits)
    more = load_adapter(open_folder(base, key="base"), tmp_path / "adapter", trainable=True)
    assert any(weight.requires_grad for weight in more.net.parameters())


def test_an_adapters_files_name_no_place_of_this_machine(model, tmp_path):
    save_adapter(attach(model, LoRA(), seed=0), tmp_path / "adapter")
    for file in (tmp_path / "adapter").iterdir():
        assert str(tmp_path).encode() not in file.read_bytes(), file.name


def test_a_second_adapter_stands_on_the_first_one_merged(model):
    first = trained(attach(model, LoRA(), seed=0))
    before = logits(first)
    second = attach(first, LoRA(rank=2), seed=1)
    torch.testing.assert_close(logits(second), before, atol=1e-5, rtol=1e-5)
    assert len(second.net.peft_config) == 1
    assert {m.r["default"] for m in second.net.modules() if hasattr(m, "lora_A")} == {2}


def test_saving_an_adapted_model_writes_the_whole_model(model, tmp_path):
    adapted = trained(attach(model, LoRA(), seed=0))
    save_folder(adapted, tmp_path / "whole")
    torch.testing.assert_close(logits(open_folder(tmp_path / "whole", key="k")), logits(adapted), atol=1e-5, rtol=1e-5)


def test_the_seed_decides_the_adapter_and_nothing_else(tmp_path):
    folder = tiny_folder(tmp_path)
    torch.manual_seed(7)
    expected = torch.rand(3)
    factors = []
    for seed in (0, 0, 1):
        torch.manual_seed(7)
        net = attach(open_folder(folder, key="k"), LoRA(), seed).net
        assert torch.equal(torch.rand(3), expected)
        factors.append(torch.cat([w.flatten() for n, w in net.named_parameters() if "lora_A" in n]))
    assert torch.equal(factors[0], factors[1]) and not torch.equal(factors[0], factors[2])


def test_alpha_is_twice_the_rank_where_it_is_not_given(model):
    assert LoRA(rank=4).scale == 8 and LoRA(rank=4, alpha=1).scale == 1
    config = attach(model, LoRA(rank=4), 0).net.peft_config["default"]
    assert (config.r, config.lora_alpha) == (4, 8)


def test_targets_that_are_not_there_are_refused(model):
    with pytest.raises(ConfigError, match="'wrong_proj'"):
        attach(model, LoRA(targets=("wrong_proj",)), seed=0)


def test_a_folder_without_a_safe_adapter_is_refused(model, tmp_path):
    with pytest.raises(ConfigError, match="no adapter"):
        load_adapter(model, tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match="no adapter in safetensors"):
        load_adapter(model, tmp_path)
