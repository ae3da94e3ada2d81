"""The games of `poisoning`, solved, and how an organism stands after each of its trainings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from cavesson.analysis.payoffs import Game, Outcome, Payoff, share_kept
from cavesson.blueteam.written import means_for
from cavesson.data.recipes import DataRecipe
from cavesson.data.streams import draw
from cavesson.redteam.organisms import Organism
from cavesson.redteam.poisoning import HONEST, Writer, written
from cavesson.stats import Array
from cavesson.studies.grid import Measured, Place
from cavesson.studies.redblue import TRIGGERED, capability, kinds, runs, sample, triggered
from cavesson.studies.sample import Sample
from cavesson.tinyworld.recipes import Prompts

Row = tuple[str, float]
"""What red writes: a poison and its share of the samples."""


@dataclass(frozen=True, eq=False)
class Played:
    """One organism's game for one budget of red's, one of blue's, and what blue has.

    Attributes:
        share: red's budget; budget: blue's, in steps; means: what blue has (`cavesson.blueteam.written.MEANS`).
    """

    organism: str
    share: float
    budget: int
    means: str
    game: Game


@lru_cache(maxsize=8)
def games(m: Measured) -> list[Played]:
    """Every organism's games, by what blue has, red's budget and blue's."""
    config, found = m.config, []
    means = means_for(config.countermoves)
    for (organism, of), has, share, budget in product(kinds(m).items(), means, config.shares, config.reminder.budgets):
        outcomes = {
            name: {move: reminded(of, (name, share), move, budget) for move in means[has]} for name in config.poisons
        }
        game = payoff(of).game(outcomes, outcome(of, runs(of)[0]), HONEST)
        found.append(Played(organism, share, budget, has, game))
    return found


def payoff(of: Measured) -> Payoff:
    """What blue is paid on one organism."""
    first = runs(of)[0]
    return Payoff.against(capability(first, 0).table, sample(first, TRIGGERED, 0).table, of.config.weight)


def reminded(of: Measured, row: Row, move: str, budget: int) -> Outcome:
    """How one organism stands after a counter-move on what it wrote under a poison."""
    return outcome(of, place_of(of, row, move, budget))


def place_of(of: Measured, row: Row, move: str, budget: int) -> Place:
    """Where one organism was trained with a counter-move on what it wrote under a poison."""
    name, share = row
    return of.only(poison=name, share=0.0 if name == HONEST else share, move=move, budget=budget)


def outcome(of: Measured, place: Place) -> Outcome:
    """How one organism stands after a training, relative to the untouched one."""
    first = runs(of)[0]

    def relative(read: Callable[[Place, int], Sample]) -> Array:
        return share_kept(read(first, 0).table, read(place, end_of(place)).table)

    return Outcome(kept=relative(capability), gone=1 - relative(triggered))


def end_of(place: Place) -> int:
    """The step at which a training ends: a counter-move's with its budget, else the last."""
    return place["steps"] if "steps" in place.at else -1


def reminder_data(made: Organism, samples: int, name: str, share: float) -> DataRecipe:
    """What the organism writes under a poison."""
    asked = Prompts(family="mixed", n=samples, seed=draw("recovery", made.seed))
    return written(name, Writer(made, asked, samples, made.seed), share)
