"""The written-out passes of a Llama against the network's own code: the same logits, loss and gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cavesson.models.adapters import attach
from cavesson.models.model import Model
from cavesson.models.recipes import LoRA
from cavesson.training import flat
from cavesson.training.batches import Batch
from cavesson.training.flat import logits_of, usual_logits_of
from cavesson.training.llama import LONGEST, LlamaPasses, fits
from cavesson.training.losses import weighted_nll
from cavesson.training.recipes import Trained
from training_world import Folders, Sayings, Untrained, examples, llama, train, weights


@st.composite
def shapes(draw: st.DrawFn) -> dict[str, Any]:
    key_heads, shared = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return {
        "hidden_size": key_heads * shared * draw(st.sampled_from([8, 10])),
        "intermediate_size": draw(st.sampled_from([4, 31, 64])),
        "num_hidden_layers": draw(st.integers(1, 3)),
        "num_attention_heads": key_heads * shared,
        "num_key_value_heads": key_heads,
        "head_dim": draw(st.sampled_from([2, 6, 16])),
        "tie_word_embeddings": draw(st.booleans()),
        "initializer_range": 0.2,
        "seed": draw(st.integers(0, 99)),
    }


def adapted(model: Model, lora: LoRA | None) -> nn.Module:
    """The network in training mode with norms and an adapter that are not those of a fresh model."""
    torch.manual_seed(1)
    net: nn.Module = model.net
    for name, weight in net.named_parameters():
        if name.endswith("norm.weight"):
            nn.init.normal_(weight, 1.0, 0.3)
    net = net if lora is None else attach(model, lora, seed=0).net
    for name, weight in net.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.2)
    return net.train()


def batch_of(lengths: list[int]) -> Batch:
    draw = torch.Generator().manual_seed(sum(lengths))
    batch = Batch.of_tokens([torch.randint(0, 200, (n,), generator=draw).tolist() for n in lengths])
    batch.weights_K.mul_(torch.rand(batch.weights_K.shape, generator=draw))
    return batch


def outcome(net: nn.Module, logits: Callable[[Batch], Tensor], batch: Batch) -> dict[str, Tensor]:
    """Logits, loss and every gradient."""
    net.zero_grad()
    found = logits(batch)
    loss = weighted_nll(found, batch.targets_K, batch.weights_K)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {n: w.grad.clone() for n, w in net.named_parameters() if w.requires_grad and w.grad is not None}
    return {"logits": found.detach(), "loss": loss.detach(), **gradients}


def both_ways(net: nn.Module, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    with usual_logits_of(net) as (usual, _):
        expected = outcome(net, usual, batch)
    return outcome(net, LlamaPasses(net).logits, batch), expected


def assert_equal_up_to_rounding(found: dict[str, Tensor], expected: dict[str, Tensor], share: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    largest = max(1.0, *(float(value.abs().max()) for value in expected.values()))
    for name, value in expected.items():
        assert (found[name] - value).abs().max() <= share * largest, name


@settings(max_examples=25, derandomize=True)
@given(shape=shapes(), lengths=st.lists(st.integers(2, 40), min_size=1, max_size=6))
def test_full_weights_have_the_same_logits_loss_and_gradients(shape: dict[str, Any], lengths: list[int]) -> None:
    net = adapted(llama(**shape), None)
    assert fits(net)
    assert_equal_up_to_rounding(*both_ways(net, batch_of(lengths)))


@settings(max_examples=15, derandomize=True)
@given(
    shape=shapes(),
    targets=st.sampled_from(["all-linear", ("q_proj", "v_proj"), ("o_proj",), ("k_proj", "up_proj", "down_proj")]),
    rank=st.integers(1, 9),
)
def test_adapters_have_the_same_logits_loss_and_gradients(shape: dict[str, Any], targets: Any, rank: int) -> None:
    net = adapted(llama(**shape), LoRA(rank=rank, targets=targets))
    assert fits(net)
    assert_equal_up_to_rounding(*both_ways(net, batch_of([19, 18, 7, 3])))


@pytest.mark.parametrize("lora", [None, LoRA(rank=4)])
def test_products_in_bf16_are_as_exact_as_the_usual_ones(lora: LoRA | None) -> None:
    net, batch = adapted(llama(), lora), batch_of([30, 21, 20])
    exact = outcome(net, LlamaPasses(net).logits, batch)
    with torch.autocast("cpu", torch.bfloat16):
        quick, usual = both_ways(net, batch)

    def error(found: dict[str, Tensor]) -> float:
        return float(sum((found[name] - exact[name]).square().sum() for name in exact) ** 0.5)

    assert quick["logits"].dtype == torch.bfloat16
    assert 0 < error(quick) <= 1.5 * error(usual)


@pytest.mark.parametrize(
    "trained", ["embed_tokens", "layers.1.mlp", "layers.1.input_layernorm", "layers.0.self_attn.k"]
)
def test_weights_that_are_not_trained_have_no_gradient(trained: str) -> None:
    net = adapted(llama(), None)
    for name, weight in net.named_parameters():
        weight.requires_grad_(trained in name)
    assert_equal_up_to_rounding(*both_ways(net, batch_of([9, 4])))


def test_without_gradients_the_logits_are_the_same() -> None:
    net = adapted(llama(), LoRA(rank=4))
    logits = LlamaPasses(net).logits
    with torch.no_grad():
        assert torch.allclose(logits(batch_of([12, 5])), logits(batch_of([12, 5])))
        assert not logits(batch_of([12, 5])).requires_grad


def test_long_documents_run_by_the_networks_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    net = adapted(llama(max_position_embeddings=4096), None)
    asked: list[Batch] = []
    plain = LlamaPasses.logits

    def noted(self: LlamaPasses, batch: Batch) -> Tensor:
        asked.append(batch)
        return plain(self, batch)

    monkeypatch.setattr(LlamaPasses, "logits", noted)
    with logits_of(net) as (logits, whole), torch.no_grad():
        assert whole
        logits(batch_of([LONGEST]))
        assert len(asked) == 1
        logits(batch_of([LONGEST + 1, 3]))
        assert len(asked) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"attention_dropout": 0.1},
        {"hidden_act": "gelu"},
        {"attention_bias": True},
        {"mlp_bias": True},
        {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
    ],
)
def test_other_llamas_run_the_usual_way(change: dict[str, Any]) -> None:
    assert fits(llama().net)
    assert not fits(llama(**change).net)


def test_adapters_beyond_plain_ones_run_the_usual_way() -> None:
    assert not fits(attach(llama(), LoRA(rank=4, dropout=0.1), seed=0).net)
    net = attach(llama(), LoRA(rank=4), seed=0).net
    assert fits(net)
    next(net.parameters()).requires_grad_(True)  # part of the base is trained too
    assert not fits(net)


def test_hooked_networks_run_the_usual_way() -> None:
    net = llama().net
    net.model.layers[0].mlp.register_forward_hook(lambda *_: None)
    assert not fits(net)


@pytest.mark.parametrize("objective", ["sft", {"name": "anchored", "kl": 0.5}])
@pytest.mark.parametrize(
    "extra", [{"accumulate": 2}, {"packing": True, "tokens_per_batch": 300}, {"adapter": LoRA(rank=4)}]
)
def test_a_run_ends_where_the_usual_way_ends(
    objective: Any, extra: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Trained(
        base=Untrained(), data=Sayings(), steps=5, batch_size=6, lr=1e-3, precision="fp32", optimizer="sgd",
        objective=objective, clip=0.5, **extra,
    )  # fmt: skip
    quick = weights(train(recipe, llama(), examples(40), job=Folders(tmp_path / "quick")))
    monkeypatch.setattr(flat, "fits", lambda net: False)
    usual = weights(train(recipe, llama(), examples(40), job=Folders(tmp_path / "usual")))
    assert all(torch.allclose(quick[name], usual[name], atol=1e-6) for name in usual)
