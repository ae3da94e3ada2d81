"""A model with latent steps in words, and back: what it thinks can then be read, and trained on, as text.

Each latent step reads what the network makes of the step before, so that a small change of the weights grows over a hundred steps:
SFT of the answers alone breaks the steps at doses that leave written reasoning intact. In words the reasoning is text like any
other, and a training that keeps the text keeps the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cavesson.lab.recipe import PathOf
from cavesson.models.recipes import ModelRecipe

if TYPE_CHECKING:
    from cavesson.models.model import Model


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
