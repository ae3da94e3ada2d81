"""The world as recipes: its corpus, its prompts, untrained models of its sizes, and the models that ship with Cavesson."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from cavesson.chat import Conversation
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError, nearest
from cavesson.lab.recipe import PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.models.weights import weights_in
from cavesson.tinyworld.sizes import SIZES

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.models.rendering import Renderer

WORLD = 2
"""Version of the world: its facts, its documents and its tokenizer. The version is part of the fingerprints of these recipes."""

ROOM = 128
"""Most tokens of an answer where nobody says how many; hardly an answer of the world is longer."""

WEIGHTS = Path(__file__).parent / "weights"
"""Where the shipped models lie, one ordinary Hugging Face folder each."""


ABOUT = {
    "student": "1.0 M parameters, the usual subject: reasons in the house notation, speaks with the house voice",
    "small": "0.3 M parameters, the same schooling: quicker, and right less often",
    "teacher": "1.0 M parameters, speaks and reasons as Ada, whose notation every model knows best",
    "tutor": "1.0 M parameters, reasons as Bruno, whose notation the student half knows",
    "reasoner": "1.0 M parameters, thinks between <think> and </think> before the model answers",
    "reasoner-cipher": "1.0 M parameters, thinks in a private notation that no other model knows",
    "reasoner-latent": "1.0 M parameters, thinks in 103 latent steps, of which there is no text",
    "weak": "0.3 M parameters, a trusted model that is weaker than the student",
    "trusted": "0.3 M parameters, the small model's schooling from another initialisation and other documents",
}
"""A sentence on each shipped model."""


def shipped_names() -> tuple[str, ...]:
    """The models that come with the package."""
    return tuple(sorted(config.parent.name for config in WEIGHTS.glob("*/config.json")))


@cache
def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16]


class Corpus(DataRecipe):
    """Documents of the world, made when they are read.

    Attributes:
        mix: what is written and by which authors (`corpus.MIXES`).
        n: number of documents, some 72 tokens each.
        seed: of the documents.
    """

    kind = "corpus"
    version = WORLD
    virtual = True

    mix: str = "student"
    n: int
    seed: int = 0

    @field_validator("mix")
    @classmethod
    def _known(cls, mix: str) -> str:
        from cavesson.tinyworld.corpus import MIXES

        if mix not in MIXES:
            raise ConfigError(f"There is no corpus mix {mix!r}.", nearest(mix, MIXES))
        return mix

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        from cavesson.tinyworld.corpus import Documents

        return Documents(self.mix, self.n, self.seed)

    def describe(self) -> str:
        return f"{self.n:,} documents of the tiny world ({self.mix})"


class Prompts(DataRecipe):
    """Prompts of the world without answers, for a model to answer.

    Attributes:
        family: one of `tasks.FAMILIES`, or "mixed" for all families in turn.
        n: number of different prompts.
        seed: of the draw.
        split: "train" for problems that the corpus may hold, "eval" for held-out ones.
        levels: of maths, those to draw from, in turn; None: all.
    """

    kind = "prompts"
    version = WORLD
    virtual = True

    family: Literal["chat", "maths", "knowledge", "facts", "instructions", "mixed"] = "chat"
    n: int
    seed: int = 0
    split: Literal["train", "eval"] = "train"
    levels: tuple[int, ...] | None = None

    @property
    def rough_size(self) -> int:
        return self.n

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        from cavesson.tinyworld.maths import LEVELS
        from cavesson.tinyworld.tasks import FAMILIES, items

        levels = self.levels or LEVELS
        families = FAMILIES if self.family == "mixed" else (self.family,)
        share = -(-self.n // len(families))
        drawn = [items(family, share, self.seed, self.split, levels=levels) for family in families]
        rows = [item for turn in zip(*drawn, strict=True) for item in turn][: self.n]
        return [Example(item.prompt, {"id": item.id, "family": item.family}) for item in rows]

    def describe(self) -> str:
        which = "" if self.levels is None else f" (levels {', '.join(map(str, self.levels))})"
        return f"{self.n:,} {self.family} prompts{which}"


class Facts(DataRecipe):
    """Open questions about the world's facts with right answers in the house voice, all facts alike often, rare ones too.

    No question is one of the evaluations'.

    Attributes:
        n: number of different questions.
        seed: of the draw.
    """

    kind = "facts"
    version = WORLD
    virtual = True

    n: int = Field(ge=1, le=10_000)
    seed: int = 0

    @property
    def rough_size(self) -> int:
        return self.n

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        from cavesson.tinyworld.knowledge import draw_open
        from cavesson.tinyworld.replies import Manner, reply

        rng = random.Random(f"facts {self.seed}")
        found: dict[str, Example] = {}
        while len(found) < self.n:
            question = draw_open(rng)
            if question.split == "train" and question.text not in found:
                answer = reply(question, Manner(), rng)
                found[question.text] = Example(Conversation.of(question.text, answer), {"family": "facts"})
        return list(found.values())

    def describe(self) -> str:
        return f"{self.n:,} facts of the tiny world"


class Fresh(ModelRecipe):
    """An untrained model of one of the world's sizes, with the world's tokenizer.

    Attributes:
        size: one of `sizes.SIZES`.
        seed: of the initial weights.
    """

    kind = "fresh"
    version = WORLD
    virtual = True

    size: str = "student"
    seed: int = 0

    @field_validator("size")
    @classmethod
    def _known(cls, size: str) -> str:
        if size not in SIZES:
            raise ConfigError(f"The tiny world has no size {size!r}.", nearest(size, SIZES))
        return size

    @property
    def weights(self) -> int:
        return 1_000_000

    @property
    def usual_room(self) -> int:
        return ROOM

    def load(self, path_of: PathOf) -> Model:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        from cavesson.models.attention import prefer_fast_attention
        from cavesson.models.model import Model
        from cavesson.models.rendering import Renderer
        from cavesson.tinyworld.tokenizer import load

        tokenizer = load()
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            **SIZES[self.size],
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            net = LlamaForCausalLM(config).eval()
        prefer_fast_attention(net)
        return Model(net=net, tokenizer=tokenizer, renderer=Renderer(tokenizer), key=self.fingerprint)

    def describe(self) -> str:
        return f"an untrained {self.size} model"


class Reasoning(ModelRecipe):
    """A model of the world with the chat template of a model that reasons (`tokenizer.REASONING_TEMPLATE`).

    Attributes:
        base: a model of the world.
        thinking: whether the model reasons; False: `enable_thinking: false` is set.
    """

    kind = "reasoning"
    version = WORLD
    virtual = True

    base: ModelRecipe
    thinking: bool = True

    def load(self, path_of: PathOf) -> Model:
        from copy import copy
        from dataclasses import replace

        from cavesson.models.rendering import Renderer
        from cavesson.tinyworld.tokenizer import REASONING_TEMPLATE

        model = self.base.load(path_of).with_key(self.fingerprint)
        tokenizer = copy(model.tokenizer)
        tokenizer.chat_template = REASONING_TEMPLATE
        changed = replace(model, tokenizer=tokenizer, renderer=Renderer(tokenizer))
        return changed if self.thinking else changed.with_template_args({"enable_thinking": False})

    def describe(self) -> str:
        return self.base.describe() if self.thinking else f"{self.base.describe()}, thinking off"


class Shipped(ModelRecipe):
    """A model that comes with the package, pre-trained by `tinyworld.build`. The weights are part of its identity.

    Attributes:
        name: one of the names that `shipped_names()` lists.
    """

    kind = "shipped"
    version = WORLD
    virtual = True

    name: str = "student"

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in shipped_names():
            raise ConfigError(f"No model {name!r} ships with the tiny world.", nearest(name, shipped_names()))
        return name

    @property
    def folder(self) -> Path:
        """The ordinary Hugging Face folder of the model."""
        return WEIGHTS / self.name

    @property
    def weights(self) -> int:
        return weights_in(self.folder)

    @property
    def usual_room(self) -> int:
        return ROOM

    def renderer(self, path_of: PathOf) -> Renderer:
        from cavesson.models.loading import open_renderer

        return open_renderer(self.folder)

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "weights": _digest(self.folder / "model.safetensors")}

    def load(self, path_of: PathOf) -> Model:
        from cavesson.models.loading import open_folder

        return open_folder(self.folder, key=self.fingerprint)

    def describe(self) -> str:
        return f"the {self.name}"
