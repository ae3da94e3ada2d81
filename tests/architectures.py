"""A tiny network of every architecture of transformers that writes text, and what becomes of it here.

`python tests/architectures.py` prints the table; names of architectures as arguments print these alone.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from cavesson.errors import CavessonError
from cavesson.models.loading import open_folder
from cavesson.sampling.manner import manner_of
from cavesson.sampling.native import NativeSampler
from cavesson.sampling.sampler import Params
from cavesson.sampling.window import Alike, Anew, Keys, Window
from families import CHATML, tokenizer_for

VOCABULARY, STOP, TOKENS = 450, 1, 10  # a few more than the tokenizer has, as in many models
SMALL: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "sliding_window": 9,
    "attention_chunk_size": 9,
    "moe_intermediate_size": 16,
    "shared_expert_intermediate_size": 16,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "q_lora_rank": 16,
    "kv_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
    "rotary_dim": 8,
    "index_topk": 64,
    "index_head_dim": 16,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_head_dim": 8,
    "encoder_layers": 2,
    "encoder_ffn_dim": 48,
    "encoder_attention_heads": 4,
    "decoder_layers": 2,
    "decoder_ffn_dim": 48,
    "decoder_attention_heads": 4,
    "ffn_dim": 48,
    "word_embed_proj_dim": 32,
    "ssm_state_size": 8,
    "mamba_num_heads": 4,
    "mamba_head_dim": 8,
}
"""Settings that many architectures share."""
_MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 16}
_LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10_000.0,
    "short_factor": [1.0] * 4,
    "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 32,
}
OWN: dict[str, dict[str, Any]] = {
    "bamba": {**_MAMBA, "attn_layer_indices": [1]},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0, "rope_theta": 10_000.0},
        "ffn_config": {"ffn_hidden_size": 48, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "bailing_hybrid": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "kimi_linear": {"layer_types": ["linear_attention", "full_attention"] * 2},
    "dots1": {"num_key_value_heads": 2, "head_dim": 8},
    "dots3_note_text": {"num_key_value_heads": 4},
    "falcon_h1": {**_MAMBA, "mamba_d_ssm": 32, "mamba_n_heads": 4},
    "gemma3n_text": {
        "num_kv_shared_layers": 0,
        "vocab_size_per_layer_input": VOCABULARY,
        "hidden_size_per_layer_input": 8,
    },
    "gemma4_text": {"vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]], "window_size": 9},
    "granitemoehybrid": {**_MAMBA, "mamba_n_groups": 1, "layer_types": ["mamba", "attention"] * 2},
    "jamba": {"mamba_d_state": 8, "attn_layer_period": 2, "attn_layer_offset": 1},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "longcat_flash": {"ffn_hidden_size": 48, "expert_ffn_hidden_size": 16, "zero_expert_num": 2, "num_layers": 2},
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 8, "chunk_size": 16},
    "nemotron_h": {"hybrid_override_pattern": "M*M-", "n_groups": 1, "chunk_size": 16},
    "recurrent_gemma": {"lru_width": 32, "attention_window_size": 16},
    "reformer": {"is_decoder": True},
    "rwkv": {"context_length": 128},
    "whisper": {"d_model": 32},
    "xlstm": {"num_heads": 4, "num_blocks": 2},
    "zamba2": {
        "mamba_d_state": 8,
        "n_mamba_heads": 8,
        "mamba_headdim": 8,
        "mamba_ngroups": 1,
        "chunk_size": 16,
        "num_key_value_heads": 4,
        "layers_block_type": ["mamba", "hybrid"] * 2,
    },
    "zamba": {
        "attention_head_dim": 16,
        "attention_hidden_size": 64,
        "mamba_d_state": 8,
        "n_mamba_heads": 2,
        "num_hidden_layers": 6,
        "attn_layer_period": 3,
        "attn_layer_offset": 2,
        "num_key_value_heads": 4,
    },
    "zaya": {"num_experts_per_tok": 1},
}
"""Settings that an architecture needs besides."""
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "falcon, ALiBi": ("falcon", {"alibi": True, "new_decoder_architecture": False}),
    "llama, yarn": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "factor": 2.0,
                "rope_theta": 10_000.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "llama, linear scaling": (
        "llama",
        {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}},
    ),
    "llama, dynamic scaling": (
        "llama",
        {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10_000.0}},
    ),
    "phi3, longrope": ("phi3", {"original_max_position_embeddings": 32, "rope_parameters": _LONGROPE}),
    "qwen2, some layers slide": ("qwen2", {"use_sliding_window": True, "max_window_layers": 2}),
}
"""Settings that change how an architecture reads."""


COMPOSITE = {
    "gemma3": "gemma3_text",
    "gemma4": "gemma4_text",
    "llama4": "llama4_text",
    "qwen3_5": "qwen3_5_text",
    "qwen3_5_moe": "qwen3_5_moe_text",
}
"""Architectures that see images as well, and the architecture of the part that writes."""
_VISION = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_heads": 4,
    "depth": 1,
    "out_hidden_size": 32,
    "image_size": 28,
    "patch_size": 14,
}
ALL = (*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *VARIANTS)
"""Every architecture of this version of transformers that may write text, and the variants."""


def tiny_config(name: str) -> PretrainedConfig:
    """A small config of the architecture or variant."""
    if name in COMPOSITE:
        parts = {"text_config": tiny_config(COMPOSITE[name]).to_dict(), "vision_config": _VISION}
        config = CONFIG_MAPPING[name](**parts)
        config.bos_token_id, config.eos_token_id, config.pad_token_id = 0, STOP, STOP
        return config
    kind, own = VARIANTS.get(name, (name, OWN.get(name, {})))
    config = CONFIG_MAPPING[kind]
    usual = config().to_dict()
    names = {**{key: key for key in usual}, **getattr(config, "attribute_map", {})}
    small = {names[key]: value for key, value in SMALL.items() if key in names and names[key] not in own}
    if "kv_lora_rank" in small:  # every head has keys and values of its own, in two parts
        small = {key: value for key, value in small.items() if key != "head_dim"} | {"num_key_value_heads": 4}
    return config(**{**small, **own, "bos_token_id": 0, "eos_token_id": STOP, "pad_token_id": STOP})


def tiny_network(name: str) -> PreTrainedModel:
    """A network whose attention and experts differ between tokens: the weights are larger than a training starts with."""
    config = tiny_config(name)
    with torch.device("meta"):
        size = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
    if size > 5_000_000:
        raise NotImplementedError(f"{size} parameters")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for key, weight in net.named_parameters():
            if weight.ndim >= 2 and "A_log" not in key:
                weight.mul_(3.0)
    return net


@dataclass(frozen=True)
class Outcome:
    """What becomes of an architecture.

    Attributes:
        manner: how the sampler reads; None: the model is refused.
        refusal: the sentence that refuses the model.
        wrong: completions that are not those of the network alone, without a cache, each text for itself.
        unlike: completions that are not those of `generate`, one at a time; None: `generate` raises.
    """

    manner: type[Keys] | None = None
    refusal: str = ""
    wrong: int = 0
    unlike: int | None = 0

    @property
    def words(self) -> str:
        if self.manner is None:
            return f"refused: {self.refusal}"
        how = {
            Window: "works",
            Alike: "works, texts of one length together",
            Anew: "works, reads the text anew for every token",
        }
        apart = "; `generate` raises" if self.unlike is None else "; `generate` writes otherwise" if self.unlike else ""
        return "WRONG" if self.wrong else how[self.manner] + apart


def outcome(name: str, folder: Path) -> Outcome:
    """Open a tiny network of the architecture as a user does, and compare greedy completions."""
    tiny_network(name).save_pretrained(folder)
    tokenizer_for(CHATML).save_pretrained(folder)
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    draw = torch.Generator().manual_seed(1)
    prompts = [torch.randint(3, 300, (length,), generator=draw).tolist() for length in (3, 17, 30, 5, 40, 30, 11)]
    try:
        model = open_folder(folder, key=name)
        found = [_ids(NativeSampler(model, seats), prompts) for seats in (None, 1)]
    except CavessonError as error:
        return Outcome(refusal=error.problem)
    truth = [_without_cache(plain, prompt) for prompt in prompts]
    try:
        generated = [_generated(plain, prompt) for prompt in prompts]
    except Exception:  # transformers' own, of many kinds
        generated = []
    return Outcome(
        manner=manner_of(model.net),
        wrong=sum(ids != expected for ours in found for ids, expected in zip(ours, truth, strict=True)),
        unlike=sum(a != b for a, b in zip(found[0], generated, strict=True)) if generated else None,
    )


def _ids(sampler: NativeSampler, prompts: list[list[int]]) -> list[list[int]]:
    return [list(answer.ids) for [answer] in sampler.continue_ids(prompts, Params(max_tokens=TOKENS))]


def _without_cache(net: PreTrainedModel, prompt: list[int]) -> list[int]:
    written: list[int] = []
    with torch.no_grad():
        while len(written) < TOKENS and STOP not in written:
            written.append(int(net(input_ids=torch.tensor([prompt + written]), use_cache=False).logits[0, -1].argmax()))
    return written


def _generated(net: PreTrainedModel, prompt: list[int]) -> list[int]:
    ids = torch.tensor([prompt])
    written = net.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=TOKENS, do_sample=False)
    return written[0, len(prompt) :].tolist()


def table(names: Iterable[str]) -> str:
    """Architecture and outcome, as a table in Markdown; architectures that cannot be built small are left out."""
    rows = ["| architecture | outcome |", "| --- | --- |"]
    for name in names:
        with tempfile.TemporaryDirectory() as folder, suppress(Exception):
            rows.append(f"| {name} | {outcome(name, Path(folder)).words} |")
    return "\n".join(rows)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_num_threads(1)
    print(table(sys.argv[1:] or ALL))
