"""Adapters: attach, merge, save, load."""

from __future__ import annotations

import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from cavesson.errors import ConfigError
from cavesson.models.adapters import attach, continued, load_adapter, save_adapter
from cavesson.models.loading import open_folder, save_folder
from cavesson.models.model import Model, merged
from cavesson.models.notes import note
from cavesson.models.recipes import LoRA
from cavesson.models.rendering import Renderer
from cavesson.named import model_named
from families import ARCHITECTURES, CHATML, tiny_folder, tokenizer_for


@pytest.fixture(autouse=True)
def _said_anew():
    note.cache_clear()


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


@pytest.mark.parametrize(
    ("targets", "wrong", "remedy"),
    [
        (("q_proj", "v_prj"), "'v_prj' is no linear layer", "Did you mean 'v_proj'?"),
        (("wrong",), "'wrong' is no linear layer", "gate_proj, k_proj"),
        ("all-lineer", "'all-lineer' is no linear layer", "Did you mean 'all-linear'?"),
        (("Q_PROJ",), "'Q_PROJ' is no linear layer", "Did you mean 'q_proj'?"),
        (("mlp",), "'mlp' is no linear layer", "up_proj"),
        (("q_proj", "lm_head"), "'lm_head' shares its weight with 'model.embed_tokens'", "untie"),
        (("embed_tokens",), "'model.embed_tokens' shares its weight with 'lm_head'", "untie"),
    ],
)
def test_a_target_that_cannot_be_adapted_is_refused(targets, wrong, remedy, model):
    with pytest.raises(ConfigError, match=wrong) as caught:
        attach(model, LoRA(targets=targets), seed=0)
    assert remedy in caught.value.remedy


def test_an_adapter_has_targets():
    for nothing in ((), "", ("q_proj", "")):
        with pytest.raises(ValueError, match="needs targets"):
            LoRA(targets=nothing)


def test_a_name_or_the_end_of_a_name_is_a_target(model):
    adapted = attach(model, LoRA(targets=("layers.1.mlp.up_proj", "k_proj")), seed=0)
    assert changed(adapted) == {
        f"model.layers.{n}" for n in ("1.mlp.up_proj", "0.self_attn.k_proj", "1.self_attn.k_proj")
    }


def changed(model: Model) -> set[str]:
    names = (name for name, weight in model.net.named_parameters() if weight.requires_grad)
    return {name.removeprefix("base_model.model.").partition(".lora_")[0].replace(".base_layer", "") for name in names}


SMALL = {
    "vocab_size": 800,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
FEW = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
MIXTURES = {
    "qwen2_moe": {**FEW, "num_experts": 4, "shared_expert_intermediate_size": 16, "num_key_value_heads": 2},
    "glm4_moe": {**FEW, "n_routed_experts": 4, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "num_key_value_heads": 2, "head_dim": 8},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "num_key_value_heads": 2, "head_dim": 8},
    "phimoe": {"num_local_experts": 4, "num_experts_per_tok": 2, "num_key_value_heads": 2},
    "jamba": {"num_experts": 2, "num_experts_per_tok": 1, "attn_layer_period": 2, "attn_layer_offset": 1, "use_mamba_kernels": False, "num_key_value_heads": 2},
}  # fmt: skip


def mixture(kind: str) -> Model:
    """A random network with routed experts; its matrices are large enough for experts to matter."""
    config = AutoConfig.for_model(kind, **SMALL, **MIXTURES[kind], bos_token_id=0, eos_token_id=1, pad_token_id=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for weight in net.parameters():
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(weight.numel()))
    tokenizer = tokenizer_for(CHATML)
    return Model(net=net, tokenizer=tokenizer, renderer=Renderer(tokenizer), key="mixture")


@pytest.mark.parametrize("kind", MIXTURES)
def test_all_linear_means_experts_routers_and_shared_experts_too(kind, tmp_path, caplog):
    model = mixture(kind)
    matrices = [
        name.removesuffix(".weight")
        for name, weight in model.net.named_parameters()
        if weight.ndim > 1 and not name.endswith("bias") and "embed" not in name and "lm_head" not in name
    ]
    adapted = attach(model, LoRA(rank=2), seed=0)
    with torch.no_grad():
        for name, weight in adapted.net.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.05)
    left = {
        name.rpartition(".")[2] for name in matrices if changed(adapted).isdisjoint((name, name.rpartition(".")[0]))
    }
    assert left == ({"A_log", "conv1d", "dt_proj", "out_proj"} if kind == "jamba" else set())
    assert sorted(left) == (caplog.text.strip().rstrip(".").partition("leaves out: ")[2].split(", ") if left else [])
    torch.testing.assert_close(logits(merged(adapted)), logits(adapted), atol=1e-4, rtol=1e-4)
    save_adapter(adapted, tmp_path)
    torch.testing.assert_close(logits(load_adapter(mixture(kind), tmp_path)), logits(adapted), atol=1e-5, rtol=1e-5)


def test_gate_and_up_projection_of_experts_are_one_target():
    with pytest.raises(ConfigError, match="'gate_proj' leaves out the experts"):
        attach(mixture("qwen2_moe"), LoRA(targets=("gate_proj", "up_proj", "down_proj")), seed=0)
    shared = attach(mixture("qwen2_moe"), LoRA(targets=("shared_expert.gate_proj",)), seed=0)
    assert changed(shared) == {f"model.layers.{n}.mlp.shared_expert.gate_proj" for n in range(2)}


def test_experts_know_no_dropout():
    with pytest.raises(ConfigError, match=r"dropout 0\.1.*experts"):
        attach(mixture("qwen2_moe"), LoRA(dropout=0.1), seed=0)


def test_an_adapter_on_a_weight_that_is_read_past_its_layer_would_have_no_effect(model, monkeypatch, caplog):
    block = type(model.net.model.layers[0].mlp)

    def past_the_layer(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * (x @ self.up_proj.weight.T))

    monkeypatch.setattr(block, "forward", past_the_layer)
    with pytest.raises(ConfigError, match=r"up_proj' would have no effect"):
        attach(model, LoRA(targets=("up_proj",)), seed=0)
    adapted = trained(attach(model, LoRA(), seed=0))
    assert "leaves out: model.layers.0.mlp.up_proj" in caplog.text
    torch.testing.assert_close(logits(merged(adapted)), logits(adapted), atol=1e-5, rtol=1e-5)


def test_merging_into_weights_in_16_bits_loses_nothing(tmp_path):
    half = open_folder(tiny_folder(tmp_path), key="k", dtype="bfloat16")
    before = {name: weight.float() for name, weight in half.net.state_dict().items()}
    adapted = attach(half, LoRA(rank=2, targets=("q_proj",)), seed=0)
    for name, weight in adapted.net.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=1e-5)
    name = "model.layers.0.self_attn.q_proj.weight"
    after = merged(adapted).net.state_dict()
    layer = adapted.net.get_base_model().model.layers[0].self_attn.q_proj
    change = (layer.lora_B["default"].weight @ layer.lora_A["default"].weight) * 2
    torch.testing.assert_close(after[name] - before[name], change, atol=1e-8, rtol=1e-2)


FOREIGN = {
    "plain": ({}, {}, None),
    "rslora": ({"use_rslora": True}, {}, None),
    "DoRA": ({"use_dora": True}, {}, None),
    "whole layers": ({"modules_to_save": ["lm_head"]}, {}, None),
    "ranks by pattern": ({"rank_pattern": {"v_proj": 8}, "alpha_pattern": {"v_proj": 3}}, {}, None),
    "a pattern that fits nothing": ({}, {"alpha_pattern": {"v_prj": 64}}, "'v_prj' of its rank_pattern"),
    "another rank": ({}, {"r": 8}, "size mismatch"),
    "fewer targets": ({}, {"target_modules": ["q_proj"]}, "v_proj.lora_A.weight' has no place"),
    "more targets": ({}, {"target_modules": ["q_proj", "v_proj", "k_proj"]}, "k_proj.lora_A.* is missing"),
    "another kind": ({}, {"peft_type": "IA3"}, "of the kind 'IA3'"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_an_adapter_made_elsewhere_is_loaded_whole_or_refused(name, tmp_path):
    settings, edited, problem = FOREIGN[name]
    base = tiny_folder(tmp_path / "base", "qwen3")
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **settings)
    theirs = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    for weight in theirs.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.1)
    theirs.save_pretrained(tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **edited}))
    if problem is not None:
        with pytest.raises(ConfigError, match=problem):
            load_adapter(open_folder(base, key="k"), tmp_path / "adapter")
        return
    ours = load_adapter(open_folder(base, key="k"), tmp_path / "adapter")
    expected = theirs.eval()(torch.arange(40).reshape(2, 20) % 50 + 5).logits
    torch.testing.assert_close(logits(ours).cpu(), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(logits(merged(ours)).cpu(), expected, atol=1e-4, rtol=1e-4)
    again = {name for name, weight in continued(ours).net.named_parameters() if weight.requires_grad}
    assert again == {name for name, weight in theirs.named_parameters() if weight.requires_grad}


def test_an_adapter_trained_on_another_model_is_announced_or_refused(model, tmp_path, caplog):
    save_adapter(attach(model, LoRA(rank=2), seed=0), tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "base_model_name_or_path": "someone/else"}))
    load_adapter(open_folder(tmp_path / "base", key="k"), tmp_path / "adapter")
    assert "was trained on 'someone/else'" in caplog.text
    with pytest.raises(ConfigError, match="does not fit this model"):
        load_adapter(open_folder(tiny_folder(tmp_path / "qwen", "gpt2"), key="k"), tmp_path / "adapter")


def test_tensors_under_other_names_are_not_an_untrained_adapter(model, tmp_path):
    save_adapter(trained(attach(model, LoRA(rank=2), seed=0)), tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    renamed = {name.replace(".model.layers", ".model.language_model.layers"): t for name, t in tensors.items()}
    half = {name: tensor for name, tensor in tensors.items() if "layers.0." in name}
    for some, problem in ((renamed, "has no place"), (half, "is missing from the adapter")):
        save_file(some, tmp_path / "adapter_model.safetensors")
        with pytest.raises(ConfigError, match=problem):
            load_adapter(open_folder(tmp_path / "base", key="k"), tmp_path)


def test_an_adapter_whose_training_went_wrong_is_refused(model, tmp_path):
    save_adapter(trained(attach(model, LoRA(rank=2), seed=0)), tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    next(iter(weights.values()))[0, 0] = float("nan")
    save_file(weights, tmp_path / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match="holds values that are no numbers"):
        load_adapter(open_folder(tmp_path / "base", key="k"), tmp_path)


def test_a_folder_without_a_safe_adapter_is_refused(model, tmp_path):
    with pytest.raises(ConfigError, match="no adapter"):
        load_adapter(model, tmp_path)
    (tmp_path / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (tmp_path / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(ConfigError, match="no adapter in safetensors"):
        load_adapter(model, tmp_path)


def test_adapters_that_rest_on_each_other_are_refused(tmp_path):
    for name, base in (("one", "two"), ("two", "one")):
        (tmp_path / name).mkdir()
        said = {"base_model_name_or_path": str(tmp_path / base)}
        (tmp_path / name / "adapter_config.json").write_text(json.dumps(said))
    with pytest.raises(ConfigError, match=r"'.*one' rests on itself, by way of the base '.*two'"):
        model_named(str(tmp_path / "one"))
