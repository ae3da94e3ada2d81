"""Models at the Tinker service: `tinker:MODEL`, or `tinker:MODEL@TOKENIZER`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import Field

from cavesson.errors import ConfigError
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.models.recipes import ModelRecipe
from cavesson.models.tinker_service import URL, Service, home, service_at

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.models.rendering import Renderer

PREFIX = "tinker:"


class TinkerModel(ModelRecipe):
    """A base model at the Tinker service, which trains low-rank adapters on it and samples from both. Texts are rendered here.

    Attributes:
        model: the base's name at the service.
        tokenizer: a model here, or on the hub, with the base's tokenizer and a chat template; its weights are not opened.
        url: the service.
    """

    kind: ClassVar[str] = "tinker"
    virtual: ClassVar[bool] = True

    model: str = Field(min_length=1)
    tokenizer: ModelRecipe
    url: str = URL

    def inputs(self) -> tuple[Recipe, ...]:
        """Nothing: the tokenizer's model is not opened."""
        return ()

    @property
    def far(self) -> bool:
        return True

    @property
    def weights(self) -> int:
        return self.tokenizer.weights

    @property
    def service(self) -> Service:
        """The service; errors as of `service_at`."""
        return service_at(self.url)

    def check(self, *, trained: bool) -> None:
        """Refuse a model that the service does not have, or does not train, and a tokenizer that cannot be used.

        Raises:
            MissingExtra: the client's package is not installed.
            ConfigError: see `Service.look_up` and `Renderer.check`; or there is no key.
        """
        self.service.look_up(self.model, trained=trained)
        self.renderer(lambda recipe: Path()).check(train=trained)

    def load(self, path_of: PathOf) -> Model:
        from cavesson.models.far import Far
        from cavesson.models.model import Model

        told, renderer = self.service.look_up(self.model), self.renderer(path_of)
        net = cast(Any, Far(self.service, self.model, told.max_context_length))
        return Model(net=net, tokenizer=renderer.tokenizer, renderer=renderer, key=self.fingerprint)

    def renderer(self, path_of: PathOf) -> Renderer:
        return self.tokenizer.renderer(path_of)

    def describe(self) -> str:
        return f"{self.model} at Tinker"


def tinker_parts(name: str) -> tuple[str, str]:
    """Model and tokenizer in a name such as `tinker:Qwen/Qwen3-8B` or `tinker:meta-llama/Llama-3.1-8B@path/to/tokenizer`.

    Raises:
        ConfigError: one of them is empty.
    """
    model, at, tokenizer = name.removeprefix(PREFIX).partition("@")
    usual = "/".join(model.split(":")[0].split("/")[:2])  # the service has variants of a model: owner/name/variant
    if not model or (at and not tokenizer):
        raise ConfigError(
            f"{name!r} names no model at Tinker.",
            f"Write {PREFIX}MODEL, or {PREFIX}MODEL@TOKENIZER with a folder or hub id that has its tokenizer and chat template.",
        )
    return model, tokenizer or usual


def tinker_model(model: str, tokenizer: ModelRecipe) -> TinkerModel:
    """The recipe of a model at the user's Tinker service."""
    return TinkerModel(model=model, tokenizer=tokenizer, url=home())
