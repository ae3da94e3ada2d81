"""Models that an inference server samples from, while their weights lie here as well: `served:MODEL@http://host:8000/v1`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, ValidationError, field_validator

from cavesson.errors import ConfigError
from cavesson.lab.documents import in_words
from cavesson.lab.recipe import NotIdentity, PathOf
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.endpoint import check_open, checked_address

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.models.rendering import Renderer

PREFIX = "served:"


class Served(ModelRecipe):
    """A model that a server samples from. Its numbers round otherwise than those of `base`, so they have names of their own.

    Attributes:
        base: the model; its weights are opened here, to be trained and to be compared with the server's.
        url: the server, up to and including `/v1`.
    """

    kind: ClassVar[str] = "served"
    virtual: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = True

    base: ModelRecipe
    url: Annotated[str, NotIdentity] = Field(min_length=1)

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: str) -> str:
        return checked_address(url)

    def load(self, path_of: PathOf) -> Model:
        return self.base.load(path_of)

    def renderer(self, path_of: PathOf) -> Renderer:
        return self.base.renderer(path_of)

    def describe(self) -> str:
        return f"{self.base.describe()} (served)"


def served_parts(name: str) -> tuple[str, str]:
    """Model and address in a name such as `served:path/to/model@http://localhost:8000/v1`.

    Raises:
        ConfigError: one of them is missing, or the address is plain http to another machine.
    """
    found = re.fullmatch(r"(.+?)@(https?://\S+)", name.removeprefix(PREFIX))
    if found is None:
        raise ConfigError(
            f"{name!r} names no model on a server.",
            f"Write {PREFIX}MODEL@http://localhost:8000/v1, MODEL as without a server.",
        )
    check_open(found[2])
    return found[1], found[2]


def served_model(base: ModelRecipe, url: str) -> Served:
    """The recipe of a model on a server.

    Raises:
        ConfigError: this is no address.
    """
    try:
        return Served(base=base, url=url)
    except ValidationError as error:
        raise ConfigError(
            f"{url!r} is no server: {in_words(error.errors()[0])}.", "Write http://host:8000/v1."
        ) from error


def server_below(model: ModelRecipe) -> Served | None:
    """The served model whose weights a model has, below an adapter perhaps; None: no server can sample this model."""
    below: ModelRecipe | None = model
    while below is not None and not isinstance(below, Served):
        below = below.resting_on
    return below
