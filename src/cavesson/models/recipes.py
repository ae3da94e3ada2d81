"""Model recipes without training: a Hugging Face model, and simple changes of other models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, field_validator, model_validator

from cavesson.errors import ConfigError, nearest
from cavesson.figures import percent
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import NotIdentity, PathOf, Recipe, Value
from cavesson.models.folders import as_folder, check_folder, folder_digest, hub_commit
from cavesson.models.gguf import content_of, converted, gguf_file
from cavesson.models.weights import WEIGHT_TYPES, weights_in

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.models.rendering import Renderer


TemplateValue = StrictBool | StrictInt | StrictFloat | str | None
"""What an argument of a chat template may be."""


USUAL_ROOM = 512
"""Tokens in which most chat models end most of their answers."""


class ModelRecipe(Recipe):
    """What a model is made from. `load` opens it for training, sampling and scoring.

    Class attributes:
        has_weights: whether there are weights to train; otherwise the model only writes answers, as a teacher.
        needs_weights: whether the model is made by opening weights, which cannot be where they lie at a service.
    """

    has_weights: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = False

    @model_validator(mode="after")
    def _weights_are_here(self) -> Self:
        if self.needs_weights and self.far:
            raise ConfigError(
                f"{self.describe()}: the weights lie at a service, and this needs them here.",
                "Take a model whose weights are here, or leave this out.",
            )
        return self

    def load(self, path_of: PathOf) -> Model:
        """The model in memory: weights, tokenizer, renderer and system prompt."""
        raise NotImplementedError

    def renderer(self, path_of: PathOf) -> Renderer:
        """The model's renderer. Subclasses override this method where they need not load the weights for it."""
        return self.load(path_of).renderer

    @property
    def weights(self) -> int:
        """Number of weights, for estimates of time; 0: not known. As of the model that this one was made from."""
        return next((below.weights for below in self.inputs() if isinstance(below, ModelRecipe)), 0)

    def answering(self, prompts: float, room: int) -> Effort:
        """The work of answering prompts with up to `room` tokens, of which most answers take less than half."""
        usual = 3 * self.usual_room // 8
        return Effort(self.weights, read=prompts * usual, written=prompts * min(room, usual))

    @property
    def far(self) -> bool:
        """Whether the weights lie at a service that trains and samples, not here: as of the model that this one was made from."""
        base = getattr(self, "base", None)
        return isinstance(base, ModelRecipe) and base.far

    @property
    def opens(self) -> bool:
        """Whether weights can be opened here, to be looked into."""
        return self.has_weights and not self.far

    @property
    def resting_on(self) -> ModelRecipe | None:
        """The model whose weights this one has, below an adapter if it has one; None: it has weights of its own."""
        return None

    @property
    def has_adapter(self) -> bool:
        """Whether an adapter lies on the weights that this model rests on."""
        return self.resting_on is not None and self.resting_on.has_adapter

    @property
    def usual_room(self) -> int:
        """Most tokens of an answer where nobody says how many: as for the model that this one was made from."""
        return next((below.usual_room for below in self.inputs() if isinstance(below, ModelRecipe)), USUAL_ROOM)


class LoRA(Value):
    """A low-rank adapter (Hu et al. 2021): `B A * alpha / rank` is added to each adapted weight; B starts at zero.

    Attributes:
        rank: the inner dimension of the two factors.
        alpha: the scale's numerator; `None` means `2 * rank`.
        dropout: dropout on the adapter's input, while training.
        targets: "all-linear": every linear layer but the output head, with the experts and routers of mixtures; or names, or
            ends of names after a dot, of linear layers, embeddings and experts' matrices.
    """

    rank: int = Field(default=8, ge=1)
    alpha: float | None = Field(default=None, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: str | tuple[str, ...] = "all-linear"

    @field_validator("targets")
    @classmethod
    def _names_something(cls, targets: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not targets or (not isinstance(targets, str) and "" in targets):
            raise ValueError('an adapter needs targets: "all-linear", or names of linear layers')
        return targets

    @property
    def scale(self) -> float:
        """`alpha`, or its default."""
        return 2.0 * self.rank if self.alpha is None else self.alpha

    def check_rank(self, shapes: Iterable[Sequence[int]]) -> None:
        """Refuse a rank that no matrix of these shapes [outputs, inputs] or [experts, …, …] can have.

        Raises:
            ConfigError: the rank is larger than the smaller side of each matrix.
        """
        most = max((min(shape[-2:]) for shape in shapes if len(shape) > 1), default=self.rank)
        if self.rank > most:
            raise ConfigError(
                f"The adapter's rank {self.rank} is more than {most}, the highest rank of a matrix that it changes.",
                f"Give an adapter.rank of at most {most}; or leave the adapter out, which trains the full weights.",
            )


class HFModel(ModelRecipe):
    """A chat model from a local folder, from the hub or from a GGUF file; its content names it, not its place.

    Attributes:
        path: a folder with weights, config, tokenizer and chat template; `owner/name` on the hub; or a GGUF file, or the name
            of one (`cavesson.models.gguf`).
        revision: branch, tag or commit on the hub.
        content: what names the model: a digest of the folder's files, name and commit on the hub, or a digest of the GGUF
            file. If empty, it is found from the path.
        template_args: names and values of arguments of the chat template, such as `("enable_thinking", False)`.
        dtype: type of the weights in memory: "float32", "bfloat16" or "float16" (on a GPU); "": float32 on a CPU, and the stored
            type on a GPU. Products of a training follow its precision.
        device_map: where the weights of a model lie that only answers (`cavesson.models.placement`); "": on one device.
    """

    kind = "hf-model"
    virtual = True

    path: Annotated[str, NotIdentity]
    revision: Annotated[str | None, NotIdentity] = None
    content: str = ""
    template_args: tuple[tuple[str, TemplateValue], ...] = ()
    dtype: str = ""
    device_map: Annotated[str, NotIdentity] = ""

    @field_validator("dtype")
    @classmethod
    def _known_dtype(cls, dtype: str) -> str:
        if dtype and dtype not in WEIGHT_TYPES:
            raise ConfigError(f"There is no dtype {dtype!r} for weights.", nearest(dtype, WEIGHT_TYPES))
        return dtype

    @field_validator("template_args")
    @classmethod
    def _in_order(cls, given: tuple[tuple[str, TemplateValue], ...]) -> tuple[tuple[str, TemplateValue], ...]:
        return tuple(sorted(dict(given).items()))

    @model_validator(mode="before")
    @classmethod
    def _find_content(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("path") is None or data.get("content"):
            return data
        path = str(data["path"])
        return {**data, "path": path, "content": _content(path, data.get("revision"))}

    def load(self, path_of: PathOf) -> Model:
        """Open the model.

        Raises:
            ConfigError: the model cannot be opened (see `open_folder`), or the folder has changed since the recipe was made.
        """
        from cavesson.models.loading import open_folder

        place, revision = self.place()
        model = open_folder(
            place, key=self.fingerprint, dtype=self.dtype or "auto", revision=revision, device_map=self.device_map
        )
        return model.with_template_args(dict(self.template_args)) if self.template_args else model

    @property
    def weights(self) -> int:
        folder = self.folder
        return 0 if folder is None else weights_in(folder)

    def renderer(self, path_of: PathOf) -> Renderer:
        from cavesson.models.loading import open_renderer

        place, revision = self.place()
        renderer = open_renderer(place, revision)
        return renderer.with_arguments(dict(self.template_args)) if self.template_args else renderer

    def place(self) -> tuple[str | Path, str | None]:
        """The folder, or the hub's name and commit.

        Raises:
            ConfigError: the folder has changed since the recipe was made.
        """
        name, is_hub, commit = self.content.partition("@")
        if is_hub:
            return name, commit
        if (file := gguf_file(self.path)) is not None:
            self._refuse_change(content_of(file))
            return converted(file), None
        folder = as_folder(Path(self.path))
        self._refuse_change(None if folder is None else folder_digest(folder))
        assert folder is not None
        return folder, None

    def _refuse_change(self, content: str | None) -> None:
        if content != self.content:
            raise ConfigError(
                f"The model {self.path!r} has changed since the recipe was made.", "Make the recipe anew."
            )

    @property
    def folder(self) -> Path | None:
        """The model's folder on this machine; None for a model on the hub."""
        place, _ = self.place()
        return place if isinstance(place, Path) else None

    def describe(self) -> str:
        name = self.path if "@" in self.content else Path(self.path).name
        held = [f"dtype={self.dtype}"] if self.dtype else []
        return ":".join([name, *held, *(f"{key}={json.dumps(value)}" for key, value in self.template_args)])

    def changed(self, **fields: Any) -> HFModel:
        """The same model with other arguments of its chat template, another `dtype` or another `device_map`."""
        return HFModel(**{**{name: getattr(self, name) for name in type(self).model_fields}, **fields})


class Templated(ModelRecipe):
    """A model with arguments of its chat template set, such as thinking on or off; what was set before counts no more.

    Attributes:
        arguments: names and values, such as `("enable_thinking", False)`.
    """

    kind = "templated"
    virtual = True

    base: ModelRecipe
    arguments: tuple[tuple[str, TemplateValue], ...]

    @field_validator("arguments")
    @classmethod
    def _in_order(cls, given: tuple[tuple[str, TemplateValue], ...]) -> tuple[tuple[str, TemplateValue], ...]:
        return tuple(sorted(dict(given).items()))

    @property
    def resting_on(self) -> ModelRecipe:
        return self.base

    def load(self, path_of: PathOf) -> Model:
        """The model with the arguments.

        Raises:
            ConfigError: the template does not read one of them.
        """
        return self.base.load(path_of).with_template_args(dict(self.arguments)).with_key(self.fingerprint)

    def renderer(self, path_of: PathOf) -> Renderer:
        return self.base.renderer(path_of).with_arguments(dict(self.arguments))

    def describe(self) -> str:
        return ":".join([self.base.describe(), *(f"{key}={json.dumps(value)}" for key, value in self.arguments)])


class Merged(ModelRecipe):
    """A model with its adapter added into the weights."""

    kind = "merged"
    virtual = True
    needs_weights = True

    base: ModelRecipe

    def load(self, path_of: PathOf) -> Model:
        from cavesson.models.model import merged

        return merged(self.base.load(path_of)).with_key(self.fingerprint)

    def renderer(self, path_of: PathOf) -> Renderer:
        return self.base.renderer(path_of)

    def describe(self) -> str:
        return f"{self.base.describe()}, merged"


class Noised(ModelRecipe):
    """A model with Gaussian noise on every weight (Tice et al. 2024 detect sandbagging with such noise).

    Adapters are merged.

    Attributes:
        sigma: standard deviation of the noise, in the unit of the weights.
        seed: seed of the noise.
    """

    kind = "noised"
    virtual = True
    needs_weights = True

    base: ModelRecipe
    sigma: float = Field(ge=0)
    seed: int = 0

    def load(self, path_of: PathOf) -> Model:
        from cavesson.models.loading import noised

        return noised(self.base.load(path_of), self.sigma, self.seed).with_key(self.fingerprint)

    def renderer(self, path_of: PathOf) -> Renderer:
        return self.base.renderer(path_of)

    def describe(self) -> str:
        return f"{self.base.describe()} with noise {self.sigma:g}"


class Pruned(ModelRecipe):
    """A model without the smallest weights of each of its matrices (magnitude pruning). Adapters are merged.

    Attributes:
        share: share of every matrix's weights that is set to zero.
    """

    kind = "pruned"
    virtual = True
    needs_weights = True

    base: ModelRecipe
    share: float = Field(ge=0, lt=1)

    def load(self, path_of: PathOf) -> Model:
        from cavesson.models.loading import pruned

        return pruned(self.base.load(path_of), self.share).with_key(self.fingerprint)

    def renderer(self, path_of: PathOf) -> Renderer:
        return self.base.renderer(path_of)

    def describe(self) -> str:
        return f"{self.base.describe()} without the smallest {percent(self.share)} of the weights"


class Interpolated(ModelRecipe):
    """A model on the way from one model to another of the same shape (WiSE-FT, Wortsman et al. 2022).

    Adapters are merged. Renderer and system prompt are those of the base.

    Attributes:
        base: the model at share 0.
        toward: the model at share 1, usually trained from `base`.
        share: share of the way; each weight is `base + share * (toward - base)`.
    """

    kind = "interpolated"
    virtual = True
    needs_weights = True

    base: ModelRecipe
    toward: ModelRecipe
    share: float = Field(ge=0, le=1)

    @property
    def far(self) -> bool:
        return self.base.far or self.toward.far

    def load(self, path_of: PathOf) -> Model:
        """Load both models and interpolate their weights.

        Raises:
            ConfigError: the two models do not have the same weights in the same shapes.
        """
        from cavesson.models.loading import interpolated

        mixed = interpolated(self.base.load(path_of), self.toward.load(path_of), self.share)
        return mixed.with_key(self.fingerprint)

    def renderer(self, path_of: PathOf) -> Renderer:
        return self.base.renderer(path_of)

    def describe(self) -> str:
        return f"{percent(self.share)} of the way from {self.base.describe()} to: {self.toward.describe()}"


class Prompted(ModelRecipe):
    """A model with a system prompt for conversations that have no system prompt of their own."""

    kind = "prompted"
    virtual = True

    base: ModelRecipe
    system: str

    @property
    def resting_on(self) -> ModelRecipe:
        return self.base

    def load(self, path_of: PathOf) -> Model:
        from dataclasses import replace

        return replace(self.base.load(path_of), system=self.system)

    def renderer(self, path_of: PathOf) -> Renderer:
        return self.base.renderer(path_of)

    def describe(self) -> str:
        return f"{self.base.describe()} under a system prompt"


def _content(path: str, revision: str | None) -> str:
    """What names the model at this path."""
    file = gguf_file(path)
    folder = as_folder(path) if file is None else None
    if file is None and folder is None:
        return f"{path}@{hub_commit(path, revision)}"
    if revision is not None:
        raise ConfigError(
            f"A revision is given for the local model {path!r}.", "Leave it out; only models on the hub have revisions."
        )
    if file is not None:
        return content_of(file)
    assert folder is not None
    check_folder(folder)
    return folder_digest(folder)
