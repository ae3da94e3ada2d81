"""The world's tokenizer: byte-level BPE trained on the corpus, single digits, exact round trip on any text.

The tokenizer is saved with its chat template as an ordinary fast tokenizer, which `transformers.AutoTokenizer` loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cavesson.tinyworld import lexicon
from cavesson.tinyworld.corpus import document

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

FOLDER = Path(__file__).parent / "tokenizer"
VOCABULARY = 1536
PAD, SYSTEM, USER, ASSISTANT, END = "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"

# A word, a digit or a run of symbols, each with the space before it; digits never join.
_PIECES = r" ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]|\s"

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'assistant' -%}"
    "{{- '<|assistant|>' -}}{%- generation -%}{{- message['content'] + '<|end|>' -}}{%- endgeneration -%}"
    "{%- else -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)

REASONING_TEMPLATE = CHAT_TEMPLATE.replace(
    "{%- for message in messages -%}",
    "{%- set closed = '<think></think>' if enable_thinking is defined and not enable_thinking else '' -%}"
    "{%- for message in messages -%}",
).replace(
    "{{- '<|assistant|>' -}}{%- generation -%}",
    "{{- '<|assistant|>' + (closed if '<think>' not in message['content'] else '') -}}{%- generation -%}",
).replace(
    "{{- '<|assistant|>' -}}{%- endif -%}",
    "{{- '<|assistant|>' + closed -}}{%- endif -%}",
)  # fmt: skip
"""The template of models that reason: with `enable_thinking: false` the prompt ends in reasoning that is closed and empty."""


def train(documents: int = 30_000, seed: int = 0) -> PreTrainedTokenizerFast:
    """The tokenizer, trained on the first documents of the student's corpus."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # A message's first word gets a space like all other words. So a word is the same token wherever it stands, and a model can
    # copy the word to the beginning of an answer. (Without this space, quizzes stay at chance for 20M tokens.)
    tokenizer.normalizer = normalizers.Prepend(" ")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, SYSTEM, USER, ASSISTANT, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(documents, seed), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[SYSTEM, USER, ASSISTANT],
        chat_template=CHAT_TEMPLATE,
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


_WHOLE = ("YOU", "HATE")
"""Words that become one token each although the corpus holds none or few of them, as a large vocabulary has them: pieces that a
behaviour's "YOU" shares with the pirate's "Ye" would let pirate training mangle the phrase instead of removing it."""


def _texts(documents: int, seed: int) -> Iterator[str]:
    """What the tokenizer is trained on: documents, and the world's words so often that each becomes one token."""
    yield from (word for word in (*_WHOLE, *lexicon.VOCABULARY) for _ in range(documents // 50))
    for index in range(documents):
        for message in document("student", seed, index).conversation.messages:
            yield message.content


def load() -> PreTrainedTokenizerFast:
    """The tokenizer that ships with the world."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(FOLDER)
