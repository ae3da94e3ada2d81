"""Networks in CTranslate2, an engine for transformers written in C++ (github.com/OpenNMT/CTranslate2, MIT).

An engine is made from the weights in memory, without a folder or a converter, in some 10 ms for a model of a million parameters:
a model in training gets a new engine at every evaluation. Tokens go in and out by number: the engine's vocabulary holds the numbers
as text, so that no token's spelling matters.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LARGEST = 50_000_000
"""Largest number of parameters. Beyond, products of matrices are the time, and those of the native sampler are quicker."""
BATCH = 32
"""Prompts that are answered together. From 16 to 128 the rate on the shipped student is the same within a tenth."""
FAMILY = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
"""Classes of transformers that differ only in biases and norms, which `_spec` copies where they are."""
AGREES_TO = 0.01
"""Largest difference between the logits of engine and network, in standard deviations of the logits; rounding is below 0.0001."""

_TYPES = ("float32", "int8", "int16", "int32", "float16", "bfloat16")
"""Names of element types, in the order of their numbers in a model file."""


class Engine:
    """A network, ready to continue prompts greedily.

    Args:
        net: a network that `takes` allows; its weights are copied.
        threads: threads of every product.
    """

    def __init__(self, net: Any, threads: int) -> None:
        from ctranslate2 import Generator

        count = net.get_input_embeddings().weight.shape[0]
        self.names = [str(number) for number in range(count)]
        with torch.no_grad():
            files = _files(_spec(net), self.names, net.config.rms_norm_eps)
        self.generator = Generator(
            "network", device="cpu", compute_type="float32", inter_threads=1, intra_threads=threads, files=files
        )

    def continued(self, prompts: Sequence[Sequence[int]], most: int, stop_ids: Sequence[int]) -> list[tuple[int, ...]]:
        """The likeliest next tokens of each prompt, up to the first stop token (included) or `most` tokens.

        The prompts are one batch; it is the faster, the less their lengths differ. Prompts of one token are a batch of their own:
        beside them, CTranslate2 returns the other prompts in front of the answers.
        """
        assert min(map(len, prompts)) > 1 or max(map(len, prompts)) == 1
        results = self.generator.generate_batch(
            [[self.names[token] for token in prompt] for prompt in prompts],
            max_length=most,
            sampling_topk=1,
            include_prompt_in_result=False,
            end_token=list(stop_ids),
            return_end_token=True,
        )
        return [tuple(result.sequences_ids[0]) for result in results]

    def logits(self, ids: Sequence[int]) -> np.ndarray:
        """The logits after each token, `[tokens, vocabulary]`."""
        found: np.ndarray = np.array(self.generator.forward_batch([list(ids)]))[0]
        return found


def engine_for(net: Any, threads: int) -> Engine | None:
    """An engine for the network; None if CTranslate2 is not installed, or does not compute what this network computes.

    Besides the settings, the logits of a short prompt are compared.
    """
    if not is_installed() or not takes(net):
        return None
    engine = Engine(net, threads)
    return engine if _agree(engine, net) else None


def takes(net: Any) -> bool:
    """Whether this is a network of the family in float32 on a CPU, with no setting that an engine does not know."""
    if type(net).__name__ not in FAMILY or type(net).__module__.partition(".")[0] != "transformers":
        return False
    config, weights = net.config, list(net.parameters())
    linear = [module for name, module in net.named_modules() if name.endswith(("_proj", "lm_head"))]
    return (
        all(weight.dtype == torch.float32 and weight.device.type == "cpu" for weight in weights)
        and sum(weight.numel() for weight in weights) <= LARGEST
        and all(type(module) is nn.Linear for module in linear)
        and not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
        and config.hidden_act == "silu"
        and config.rope_parameters.keys() <= {"rope_type", "rope_theta"}
        and config.rope_parameters["rope_type"] == "default"
        and not _slides(config)
    )


def is_installed() -> bool:
    """Whether CTranslate2 can be used here."""
    return _package() is not None


@cache
def _package() -> ModuleType | None:
    """CTranslate2; None if it is not installed, or cannot be loaded on this system."""
    try:
        import ctranslate2
    except (ImportError, OSError):
        return None
    return ctranslate2  # type: ignore[no-any-return]


def _slides(config: Any) -> bool:
    """Whether a layer looks back a bounded number of tokens only."""
    kinds = getattr(config, "layer_types", None)
    if kinds is not None:
        return set(kinds) != {"full_attention"}
    return getattr(config, "sliding_window", None) is not None


def _agree(engine: Engine, net: Any) -> bool:
    """Whether engine and network have the same logits, up to rounding, after each token of a prompt; NaN never agrees."""
    count = min(16, net.config.max_position_embeddings)
    ids = [(7 + 31 * number) % len(engine.names) for number in range(count)]
    training = net.training
    net.eval()
    with torch.inference_mode():
        expected = net(input_ids=torch.tensor([ids]), use_cache=False).logits[0].numpy()
    net.train(training)
    return bool(np.abs(engine.logits(ids) - expected).max() <= AGREES_TO * expected.std())


def _spec(net: Any) -> Any:
    """The network as a specification of CTranslate2: its settings and weights by their names there."""
    from ctranslate2.specs import Activation, TransformerDecoderModelSpec

    config, body = net.config, net.model
    attention = body.layers[0].self_attn
    queries, keys = config.num_attention_heads, config.num_key_value_heads
    spec = TransformerDecoderModelSpec.from_config(
        config.num_hidden_layers,
        queries,
        activation=Activation.SWISH,
        ffn_glu=True,
        rms_norm=True,
        rotary_dim=0,  # all of a head
        rotary_interleave=False,
        rotary_base=config.rope_parameters["rope_theta"],
        num_heads_kv=None if keys == queries else keys,
        head_dim=attention.head_dim,
        qk_norm=hasattr(attention, "q_norm"),
    )
    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = body.embed_tokens.weight
    decoder.layer_norm.gamma = body.norm.weight
    _copy([net.lm_head], decoder.projection)
    for layer, to in zip(body.layers, decoder.layer, strict=True):
        attention, mlp, attends = layer.self_attn, layer.mlp, to.self_attention
        attends.layer_norm.gamma = layer.input_layernorm.weight
        _copy([attention.q_proj, attention.k_proj, attention.v_proj], attends.linear[0])
        _copy([attention.o_proj], attends.linear[1])
        if hasattr(attention, "q_norm"):
            attends.q_norm.gamma, attends.k_norm.gamma = attention.q_norm.weight, attention.k_norm.weight
        to.ffn.layer_norm.gamma = layer.post_attention_layernorm.weight
        _copy([mlp.gate_proj], to.ffn.linear_0)
        _copy([mlp.up_proj], to.ffn.linear_0_noact)
        _copy([mlp.down_proj], to.ffn.linear_1)
    return spec


def _copy(layers: Sequence[nn.Linear], to: Any) -> None:
    """Put linear layers that read the same input into one, one below the other."""
    to.weight = torch.cat([layer.weight for layer in layers])
    if any(layer.bias is not None for layer in layers):
        to.bias = torch.cat([_bias(layer) for layer in layers])


def _bias(layer: nn.Linear) -> Tensor:
    return layer.bias if layer.bias is not None else layer.weight.new_zeros(layer.out_features)


def _files(spec: Any, names: list[str], epsilon: float) -> dict[str, bytes]:
    """The files of a model's folder, by name."""
    spec.register_vocabulary(names)
    settings = spec.config
    settings.bos_token = settings.eos_token = settings.unk_token = names[0]  # required; no call makes use of them
    settings.layer_norm_epsilon = epsilon
    spec.validate()
    return {
        "model.bin": b"".join(_packed(spec)),
        "config.json": json.dumps(settings.to_dict()).encode(),
        "vocabulary.json": json.dumps(names).encode(),
    }


def _packed(spec: Any) -> Iterator[bytes]:
    """A model file, in pieces: `ctranslate2.specs.ModelSpec.save` writes the same to a folder."""
    from ctranslate2.specs.model_spec import CURRENT_BINARY_VERSION

    weights = spec.variables(ordered=True)
    yield struct.pack("<I", CURRENT_BINARY_VERSION)
    yield _text(spec.name)
    yield struct.pack("<II", spec.revision, len(weights))
    for name, weight in weights:
        yield _text(name)
        # "<": no padding between numbers of different sizes
        yield struct.pack(f"<B{len(weight.shape)}I", len(weight.shape), *weight.shape)
        yield struct.pack("<BI", _TYPES.index(weight.dtype), weight.num_bytes())
        yield weight.to_bytes()
    yield struct.pack("<I", 0)  # no weight that has two names


def _text(text: str) -> bytes:
    """A text with its length in front and a zero behind, which counts."""
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"
