"""The recipe of a model with an adapter out of a folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import model_validator

from cavesson.errors import ConfigError
from cavesson.lab.recipe import NotIdentity, PathOf
from cavesson.models.folders import folder_digest
from cavesson.models.recipes import ModelRecipe

if TYPE_CHECKING:
    from cavesson.models.model import Model
    from cavesson.models.rendering import Renderer


class Adapted(ModelRecipe):
    """A model with a low-rank adapter from a folder that peft's `save_pretrained` wrote; the adapter stays an adapter.

    Attributes:
        base: the model that the adapter was trained on.
        path: the adapter's folder.
        content: a digest of the folder's files, found from the path.
    """

    kind = "adapted"
    virtual = True
    needs_weights = True

    base: ModelRecipe
    path: Annotated[str, NotIdentity]
    content: str = ""

    @model_validator(mode="before")
    @classmethod
    def _find_content(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("path") is None or data.get("content"):
            return data
        return {**data, "content": folder_digest(Path(str(data["path"])))}

    @property
    def resting_on(self) -> ModelRecipe | None:
        return None if self.base.has_adapter else self.base  # the base's own adapter is merged

    @property
    def has_adapter(self) -> bool:
        return True

    def load(self, path_of: PathOf) -> Model:
        """Load the base and the adapter onto it.

        Raises:
            ConfigError: the adapter does not fit the base (see `load_adapter`), or has changed since the recipe was made.
        """
        from cavesson.models.adapters import load_adapter

        if folder_digest(Path(self.path)) != self.content:
            raise ConfigError(
                f"The adapter {self.path!r} has changed since the recipe was made.", "Make the recipe anew."
            )
        return replace(load_adapter(self.base.load(path_of), self.path), key=self.fingerprint)

    def renderer(self, path_of: PathOf) -> Renderer:
        return self.base.renderer(path_of)

    def describe(self) -> str:
        place = Path(self.path)
        on_hub = place.parent.parent.name if place.parent.name == "snapshots" else ""  # in the hub's cache
        name = on_hub.removeprefix("models--").replace("--", "/", 1) or place.name
        return f"{self.base.describe()} with the adapter {name}"
