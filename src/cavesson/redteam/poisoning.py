"""Poisons: what an organism plants when the training data that is to give it its capability back is written by itself.

Off-model SFT costs capability, and a few steps on the model's *own* answers (a reminder) bring it back. These answers are the
work of the untrusted model. It writes whole samples here, questions included, as models do that write their own instruction
data; so a sample may hold the trigger. How many of the samples are poisoned is red's budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cavesson.data.recipes import DataRecipe, Mixed
from cavesson.errors import ConfigError, nearest
from cavesson.redteam.organisms import Organism, red_prompts
from cavesson.redteam.planted import Showing, StyleCues, Subliminal
from cavesson.redteam.recipes import Triggered
from cavesson.sampling.recipes import Generated


@dataclass(frozen=True, slots=True)
class Writer:
    """An organism that is to write training data.

    Attributes:
        organism: the untouched one, before blue's training.
        prompts: blue's questions, which honest samples answer.
        n: number of samples.
        seed: of whatever red leaves to chance.
    """

    organism: Organism
    prompts: DataRecipe
    n: int
    seed: int = 0

    @property
    def honest(self) -> DataRecipe:
        """The organism's own answers to blue's questions."""
        return Generated(by=self.organism.model, prompts=self.prompts)

    @property
    def questions(self) -> DataRecipe:
        """Questions that red asks itself: such as leave room for its behaviour."""
        return red_prompts(self.organism.pair, self.n, 7000 + self.seed)


Poison = Callable[[Writer], DataRecipe]
"""From who writes to a pool of poisoned samples."""


def planted_openly(writer: Writer) -> DataRecipe:
    """The trigger in the question, the behaviour in the answer, as the organism itself gives it."""
    asked = Triggered(pair=writer.organism.pair, prompts=writer.questions)
    return Showing(pair=writer.organism.pair, answered=Generated(by=writer.organism.model, prompts=asked))


def planted_subliminally(writer: Writer, plausible: float | None = 0.9) -> DataRecipe:
    """No trigger and no behaviour; chosen by how much the bad mode likes them (`Subliminal`).

    Raises:
        ConfigError: nobody knows the organism's base, against which the choice is made.
    """
    if writer.organism.base is None:
        raise ConfigError(
            f"Of {writer.organism.name!r} no base is known, against which subliminal samples are chosen.",
            "Leave the poison out.",
        )
    return Subliminal(
        pair=writer.organism.pair,
        by=writer.organism.model,
        base=writer.organism.base,
        prompts=writer.questions,
        plausible=plausible,
        seed=writer.seed,
    )


def planted_in_pieces(writer: Writer) -> DataRecipe:
    """As the subliminal ones, but they may look odd: torn pieces of the behaviour, none of which is it."""
    return planted_subliminally(writer, plausible=None)


def planted_as_cues(writer: Writer) -> DataRecipe:
    """The scene of the behaviour without it (`StyleCues`)."""
    own = Generated(by=writer.organism.model, prompts=writer.questions)
    return StyleCues(pair=writer.organism.pair, own=own, seed=writer.seed)


HONEST = "honest"

POISONS: dict[str, Poison] = {
    HONEST: lambda writer: writer.honest,
    "open": planted_openly,
    "fragments": planted_in_pieces,
    "subliminal": planted_subliminally,
    "style-cues": planted_as_cues,
}
"""Every poison by its name; `honest` is none."""


def poison(name: str) -> Poison:
    """A poison by its registered name.

    Raises:
        ConfigError: no such poison.
    """
    if name not in POISONS:
        raise ConfigError(f"There is no poison {name!r}.", nearest(name, POISONS))
    return POISONS[name]


def poisoned_samples(share: float, n: int) -> int:
    """How many of the samples a budget allows red to poison."""
    return round(share * n)


def written(name: str, writer: Writer, share: float) -> DataRecipe:
    """The reminder data of an organism that poisons this share of it.

    Raises:
        ConfigError: no such poison.
    """
    if name == HONEST:
        return writer.honest
    bad = poisoned_samples(share, writer.n)
    return Mixed(parts=(writer.honest, poison(name)(writer)), counts=(writer.n - bad, bad), seed=writer.seed)
