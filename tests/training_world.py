"""A world of a few words for the tests of training: a byte-level tokenizer, tiny models, jobs without a lab."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.lab.recipe import Job, PathOf, Recipe
from cavesson.models.model import Model, merged
from cavesson.models.recipes import ModelRecipe
from cavesson.models.rendering import Renderer
from cavesson.training import engine
from cavesson.training.batches import Row, Stream
from cavesson.training.recipes import Trained

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<|end|>{% endgeneration %}"
    "{% else %}{{ m.content }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token; four special tokens mark turns."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"])
    made = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|end|>")
    made.chat_template = TEMPLATE
    return made


def llama(seed: int = 0, **settings: Any) -> Model:
    """An untrained Llama of a few thousand parameters."""
    names = tokenizer()
    torch.manual_seed(seed)
    config = LlamaConfig(
        **{
            "vocab_size": len(names),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "tie_word_embeddings": True,
            "eos_token_id": names.eos_token_id,
            "bos_token_id": None,
            **settings,
        }
    )
    return Model(net=LlamaForCausalLM(config).eval(), tokenizer=names, renderer=Renderer(names), key=f"llama-{seed}")


def examples(n: int) -> list[Example]:
    """Conversations of different lengths, one to three turns."""
    rows = []
    for i in range(n):
        ask, tell = f"Say {'very ' * (i % 7)}much {i}.", f"{'so ' * (i * 5 % 11)}{i}!"
        system = "Be kind." if i % 5 == 0 else None
        rows.append(Example(Conversation.of(ask, tell, system)))
    return rows


class Untrained(ModelRecipe):
    """The untrained Llama as a recipe."""

    kind = "training_world:Untrained"
    virtual = True
    seed: int = 0

    def load(self, path_of: PathOf) -> Model:
        return llama(self.seed)


class Sayings(DataRecipe):
    """The conversations as a recipe."""

    kind = "training_world:Sayings"
    virtual = True
    n: int = 40

    def examples(self, path_of: PathOf) -> list[Example]:
        return examples(self.n)


def train(run: Trained, model: Model, data: Sequence[Example], *, job: Job, **visits: Any) -> Model:
    """Train a model in memory on examples, whatever the recipe's own base and data are."""
    return engine.train(run, model, data, name=run.fingerprint, job=job, **visits)


def weights(model: Model) -> dict[str, torch.Tensor]:
    """A copy of every weight, by name."""
    return {name: weight.detach().clone() for name, weight in model.net.named_parameters()}


def same(one: Model, other: Model) -> bool:
    """Whether two models have the same weights, to the bit."""
    mine, theirs = weights(one), weights(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def close(one: Model, other: Model) -> bool:
    """Whether two models have the same weights, up to rounding."""
    pairs = zip(weights(merged(one)).values(), weights(merged(other)).values(), strict=True)
    return all(torch.allclose(mine, theirs, atol=1e-5, rtol=1e-4) for mine, theirs in pairs)


def rows_of(stream: Stream, start: int, end: int | None = None) -> Iterator[Row]:
    """The rows of a stream, one example after the other."""
    return (row for group in stream.groups(start, end) for row in group)


@dataclass
class Folders:
    """A job whose folders lie under `root`; `watch(step)` is called at every report of progress."""

    root: Path
    watch: Callable[[float], None] = lambda step: None
    threads: int = 1
    seen: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder, self.scratch, self.cache = (self.root / name for name in ("artifact", "scratch", "cache"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.scratch.mkdir(parents=True, exist_ok=True)

    def path(self, recipe: Recipe) -> Path:
        """The one artifact there is."""
        return self.folder

    def progress(self, done: float, total: float, **figures: float | str) -> None:
        """Note the step and tell the watcher."""
        self.seen.append(done)
        self.watch(done)
