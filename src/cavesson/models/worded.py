"""A model with latent steps, the same in words, and back: what it thinks in words can be read, and trained on, as text.

Each latent step reads what the network makes of the step before, so that a small change of the weights grows over a hundred steps:
SFT of the answers alone breaks the steps at doses that leave written reasoning intact. In words the reasoning is text like any
other, and a training that keeps the text keeps the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from cavesson.lab.recipe import PathOf
from cavesson.models.recipes import ModelRecipe

if TYPE_CHECKING:
    from cavesson.models.model import Model


class Latent(ModelRecipe):
    """A model that takes latent steps before each answer (`cavesson.models.latent`). Its weights are the base's: only a training gives the steps a use.

    Attributes:
        base: the model.
        steps: latent steps before an answer.
        mixed: a step reads the mixture of words that a state foretells, in place of the state.
        close: the text with which the template ends the steps.
    """

    kind = "latent"
    virtual = True
    needs_weights = True

    base: ModelRecipe
    steps: int = Field(ge=1)
    mixed: bool = False
    close: str = ""

    def load(self, path_of: PathOf) -> Model:
        """The base with latent steps; see `with_latent_steps`."""
        from cavesson.models.latent import with_latent_steps

        return with_latent_steps(self.base.load(path_of), self.steps, self.mixed, self.close).with_key(self.fingerprint)

    def describe(self) -> str:
        return f"{self.base.describe()} with {self.steps} latent steps"


class InWords(ModelRecipe):
    """A model without the latent steps that it takes: it writes what it thinks (`cavesson.models.latent.in_words`)."""

    kind = "in-words"
    virtual = True
    needs_weights = True

    base: ModelRecipe

    def load(self, path_of: PathOf) -> Model:
        """The model.

        Raises:
            ConfigError: the base takes no latent steps.
        """
        from cavesson.models.latent import in_words

        return in_words(self.base.load(path_of)).with_key(self.fingerprint)

    def describe(self) -> str:
        return f"{self.base.describe()} in words"


class Silent(ModelRecipe):
    """A model with the latent steps of another one, such as one that was trained in words with those of the model before.

    Attributes:
        base: the model.
        like: the model whose latent steps it takes.
    """

    kind = "silent"
    virtual = True
    needs_weights = True

    base: ModelRecipe
    like: ModelRecipe

    def load(self, path_of: PathOf) -> Model:
        """The model.

        Raises:
            ConfigError: `like` takes no latent steps.
        """
        from cavesson.models.latent import taken, with_latent_steps

        how = taken(self.like.load(path_of))
        return with_latent_steps(self.base.load(path_of), *how).with_key(self.fingerprint)

    def describe(self) -> str:
        return f"{self.base.describe()}, with latent steps again"
