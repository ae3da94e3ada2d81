"""Chat templates after the shapes of well-known ones, tokenizers trained on the spot, and tiny models for them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerFast

CHATML = """\
{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) or message.role == 'assistant' %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

LLAMA = """\
{% set loop_messages = messages %}{% for message in loop_messages %}\
{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' %}\
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"""

DATED = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

GEMMA = """\
{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}\
{% for message in messages %}\
{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}\
{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}\
{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}{% endfor %}\
{% if add_generation_prompt %}{{'<start_of_turn>model\\n'}}{% endif %}"""

MISTRAL = """\
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message['role'] == 'user' %}
        {%- if loop.first and system_message is defined %}
            {{- ' [INST] ' + system_message + '\\n\\n' + message['content'] + ' [/INST]' }}
        {%- else %}
            {{- ' [INST] ' + message['content'] + ' [/INST]' }}
        {%- endif %}
    {%- elif message['role'] == 'assistant' %}
        {{- ' ' + message['content'] + eos_token}}
    {%- else %}
        {{- raise_exception('Only user and assistant roles are supported') }}
    {%- endif %}
{%- endfor %}
"""

THINKING = """\
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- set ns = namespace(searching=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.searching and message.role == "user" %}
        {%- set ns.searching = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == "user" %}
        {{- '<|im_start|>user\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- '<|im_start|>assistant\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

MARKED = """\
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|assistant|>\\n' }}
        {%- generation %}
            {{- message.content + '<|end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- '<|' + message.role + '|>\\n' + message.content + '<|end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>\\n' }}
{%- endif %}
"""

PHI = """\
{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\\n' + message['content'] + '<|end|>\\n'}}\
{% elif message['role'] == 'user' %}{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}\
{% elif message['role'] == 'assistant' %}{{'<|assistant|>\\n' + message['content'] + '<|end|>\\n'}}{% endif %}{% endfor %}\
{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% else %}{{ eos_token }}{% endif %}"""

FORCED_THINKING = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- set content = message.content.split('</think>')[-1] %}
        {{- '<|Assistant|>' + content + eos_token }}
    {%- else %}
        {{- '<|User|>' + message.content }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|Assistant|><think>\\n' }}
{%- endif %}
"""

HEADED = """\
[gMASK]<sop>{%- for m in messages %}<|{{ m.role }}|>
{{ m.content }}{%- endfor %}
{%- if add_generation_prompt %}<|assistant|>
{% endif %}"""
"""Nothing ends an answer but the header of the next message."""

CHANNELS = """\
{{- '<|start|>system<|message|>Reasoning: ' + reasoning_effort|default('medium') + '<|end|>' }}
{%- for message in messages %}
    {%- if message.role == 'assistant' and loop.last and not add_generation_prompt %}
        {%- if message.thinking %}
            {{- '<|start|>assistant<|channel|>analysis<|message|>' + message.thinking + '<|end|>' }}
        {%- endif %}
        {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|return|>' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|start|>assistant<|channel|>final<|message|>' + message.content + '<|end|>' }}
    {%- else %}
        {{- '<|start|>' + message.role + '<|message|>' + message.content + '<|end|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start|>assistant' }}
{%- endif %}
"""
"""Reasoning and answer stand in channels, and a last answer ends otherwise than earlier ones."""

OPENED = """\
{%- set enable_thinking = enable_thinking if enable_thinking is defined else true %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' and '</think>' not in content %}
        {%- set content = '<think></think>' + content %}
    {%- endif %}
    {%- if message.role == 'assistant' and not loop.last and not keep_thoughts %}
        {%- set content = '<think></think>' + content.split('</think>')[-1].lstrip() %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' + ('<think>\\n' if enable_thinking else '<think></think>') }}
{%- endif %}
"""
"""The prompt opens the reasoning, or closes it; an answer without reasoning is written as under the closed prompt."""

QWEN = """\
{%- if messages[0].role == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == "user" %}
        {{- '<|im_start|>user\\n' + content + '<|im_end|>\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.last or reasoning %}
            {{- '<|im_start|>assistant\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
"""
"""As Qwen3's: the argument ends the prompt in reasoning that is closed and empty."""

SWITCHED = """\
{{- '<bos>' }}
{%- set thinking = thinking if thinking is defined else false %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<|User|>' + message.content }}
    {%- elif message.role == 'assistant' %}
        {%- set content = message.content %}
        {%- if '</think>' in content and not (loop.last and thinking) %}
            {%- set content = content.split('</think>', 1)[1] %}
        {%- endif %}
        {%- if loop.last and thinking %}
            {{- '<|Assistant|>' + content + '<eos>' }}
        {%- else %}
            {{- '<|Assistant|></think>' + content + '<eos>' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|Assistant|>' + ('<think>' if thinking else '</think>') }}
{%- endif %}
"""
"""As DeepSeek-V3.1's: the prompt opens the reasoning or closes it, by an argument that is off unless it is set."""

EMPTIED = """\
{%- for message in messages %}
    {%- set content = message.content | trim %}
    {%- if message.role == 'assistant' %}
        {%- set thought = content.split('</think>')[0].split('<think>')[-1] | trim if '</think>' in content else '' %}
        {%- set content = content.split('</think>')[-1] | trim %}
        {%- if loop.last %}
            {%- set content = '<think>\\n' + thought + '\\n</think>\\n\\n' + content %}
        {%- endif %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' + ('<think>\\n\\n</think>\\n\\n' if enable_thinking is defined and not enable_thinking else '<think>\\n') }}
{%- endif %}
"""
"""The prompt opens the reasoning, and earlier answers lose theirs."""

FRAMED = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {{- '<|START|><|CHATBOT|><|ANSWER|>' + message.content + '<|DONE|>' }}
    {%- else %}
        {{- '<|START|><|' + message.role|upper + '|>' + message.content }}
    {%- endif %}
    {{- '<|STOP|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|START|><|CHATBOT|><|ANSWER|>' }}
{%- endif %}
"""
"""Two special tokens end an answer."""

ROLES = """\
{%- if messages[0].role != 'system' %}
    {{- '<|start_of_role|>system<|end_of_role|>Today is ' + strftime_now('%B %d, %Y') + '. You are a helpful assistant.<|end_of_text|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|start_of_role|>' + message.role + '<|end_of_role|>' + message.content + '<|end_of_text|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_of_role|>assistant' }}
    {%- if thinking %}{{- '<|end_of_role|><think>' }}{%- else %}{{- '<|end_of_role|>' }}{%- endif %}
{%- endif %}
"""
"""A dated default system prompt."""

LAST_OTHER = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content }}
    {{- eos_token if loop.last and message.role == 'assistant' else '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
"""A last answer ends with the end of the text, earlier ones with the end of the turn."""

BRACKETS = """\
{{- bos_token }}
{%- if messages[0].role == 'system' %}
    {{- '[SYSTEM_PROMPT]' + messages[0].content + '[/SYSTEM_PROMPT]' }}
{%- else %}
    {{- '[SYSTEM_PROMPT]You are a small model.[/SYSTEM_PROMPT]' }}
{%- endif %}
{%- for message in messages if message.role != 'system' %}
    {%- if (message.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('After the system message, roles must alternate.') }}
    {%- endif %}
    {{- '[INST]' + message.content + '[/INST]' if message.role == 'user' else message.content + eos_token }}
{%- endfor %}
"""
"""A default system prompt, roles in brackets, no header for an answer."""

MODES = """\
{%- set mode = '/no_think' if enable_thinking is defined and not enable_thinking else '/think' %}
{{- '<|im_start|>system\\nReasoning Mode: ' + mode + '\\n\\n' + (messages[0].content if messages[0].role == 'system' else 'Be helpful.') + '<|im_end|>\\n' }}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- generation %}
            {{- '<|im_start|>assistant\\n' + ('<think>\\n\\n</think>\\n' if mode == '/no_think' else '') + message.content.lstrip('\\n') + '<|im_end|>\\n' }}
        {%- endgeneration %}
    {%- elif message.role == 'user' %}
        {{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' + ('<think>\\n\\n</think>\\n' if mode == '/no_think' else '') }}
{%- endif %}
"""
"""The argument changes the system prompt, and what an answer begins with."""

TEMPLATES = {
    "chatml": CHATML,
    "llama": LLAMA,
    "dated": DATED,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "thinking": THINKING,
    "marked": MARKED,
    "phi": PHI,
}
"""Templates that can be split."""

SPECIAL_CASES = {
    "forced thinking": FORCED_THINKING,
    "headed": HEADED,
    "channels": CHANNELS,
    "opened": OPENED,
    "qwen": QWEN,
    "switched": SWITCHED,
    "emptied": EMPTIED,
    "framed": FRAMED,
    "roles": ROLES,
    "last other": LAST_OTHER,
    "brackets": BRACKETS,
    "modes": MODES,
}
"""Templates that write answers, reasoning or ends of turns in ways of their own."""

_SPECIAL = {
    CHATML: ("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    LLAMA: ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|begin_of_text|>"),
    DATED: ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|begin_of_text|>"),
    GEMMA: ("<start_of_turn>", "<end_of_turn>", "<eos>", "<bos>"),
    MISTRAL: ("<unk>", "</s>", "<s>"),
    THINKING: ("<|im_start|>", "<|im_end|>", "<|endoftext|>"),
    MARKED: ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"),
    FORCED_THINKING: ("<|User|>", "<|Assistant|>", "<eos>", "<bos>"),
    HEADED: ("[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<eos>"),
    CHANNELS: ("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|return|>"),
    OPENED: ("<|im_start|>", "<|im_end|>"),
    QWEN: ("<|im_start|>", "<|im_end|>"),
    SWITCHED: ("<|User|>", "<|Assistant|>", "<eos>", "<bos>"),
    EMPTIED: ("<|im_start|>", "<|im_end|>"),
    FRAMED: ("<|START|>", "<|CHATBOT|>", "<|USER|>", "<|SYSTEM|>", "<|ANSWER|>", "<|DONE|>", "<|STOP|>", "<bos>"),
    ROLES: ("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"),
    LAST_OTHER: ("<|im_start|>", "<|im_end|>", "<eos>"),
    BRACKETS: ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]", "</s>", "<s>"),
    MODES: ("<|im_start|>", "<|im_end|>"),
}
_ENDS = ("<eos>", "<|return|>", "<|STOP|>", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>", "</s>", "<|end|>")
_TEXT = (
    "You are a helpful assistant. What is the capital of the small island? It is the harbour town, said the captain.",
    "Count the boxes: 12 + 7 = 19, and then 19 - 4 = 15.\n\nThe answer is 15. Hello there! Today Date: 26 Jul 2024",
    "user assistant model system think INST It's a naïve question, isn't it?  Two spaces, a tab\tand a new line\n",
)


def tokenizer_for(template: str) -> PreTrainedTokenizerFast:
    """A small tokenizer of the family's kind, with the template as its chat template."""
    special = _SPECIAL.get(template, ("<|user|>", "<|assistant|>", "<|system|>", "<|end|>"))
    backend = Tokenizer.from_str(_sentencepiece_like(special) if template == MISTRAL else _byte_level(special))
    if template == PHI:  # its special tokens swallow the white space behind them
        backend.add_special_tokens([AddedToken(name, rstrip=True, special=True) for name in special])
    ends = next(token for token in _ENDS if token in special)
    begins = next((token for token in special if token in {"<|begin_of_text|>", "<bos>", "<s>"}), None)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=ends, bos_token=begins, pad_token=ends, clean_up_tokenization_spaces=False
    )
    tokenizer.chat_template = template
    return tokenizer


@cache
def _byte_level(special: tuple[str, ...]) -> str:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(special),
        show_progress=False,
    )
    backend.train_from_iterator(_TEXT * 3, trainer)
    backend.add_tokens(
        [
            AddedToken("<think>", special=False, normalized=False),
            AddedToken("</think>", special=False, normalized=False),
        ]
    )
    return backend.to_str()


@cache
def _sentencepiece_like(special: tuple[str, ...]) -> str:
    """Spaces are part of words, a space is put before any text, unknown characters are spelled in bytes."""
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=[*special, *(f"<0x{byte:02X}>" for byte in range(256))], show_progress=False
    )
    backend.train_from_iterator(_TEXT * 3, trainer)
    # Bytes are spelled by the model, not looked for in the text.
    state = json.loads(backend.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["content"] in special]
    return json.dumps(state)


ARCHITECTURES = ("llama", "qwen3", "gpt2", "mistral", "gemma2")


def tiny_net(architecture: str, vocabulary: int = 800, seed: int = 0, width: int = 32) -> PreTrainedModel:
    """A random network of two layers; sliding windows are shorter than the tests' texts."""
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
    }
    grouped = {**sizes, "num_key_value_heads": 2, "head_dim": width // 4}
    config = {
        "llama": lambda: transformers.LlamaConfig(**grouped, tie_word_embeddings=True),
        "qwen3": lambda: transformers.Qwen3Config(**grouped),
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=vocabulary, n_embd=width, n_layer=2, n_head=4, n_positions=256, bos_token_id=0, eos_token_id=1
        ),
        "mistral": lambda: transformers.MistralConfig(**grouped, sliding_window=8),
        "gemma2": lambda: transformers.Gemma2Config(**grouped, sliding_window=8, query_pre_attn_scalar=width // 4),
    }[architecture]()
    config.bos_token_id, config.eos_token_id, config.pad_token_id = 0, 1, 1
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return transformers.AutoModelForCausalLM.from_config(config).eval()


def tiny_folder(folder: Path, architecture: str = "llama", template: str = CHATML) -> Path:
    """A complete Hugging Face folder of a random tiny model."""
    tiny_net(architecture).save_pretrained(folder)
    tokenizer_for(template).save_pretrained(folder)
    return folder
