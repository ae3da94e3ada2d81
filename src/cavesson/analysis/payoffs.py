"""Games about training an organism: blue's payoff for the trained organism, who wins, and by how much.

Blue's payoff is a weighted mean of the capability kept and the share of the behaviour removed, each relative to the untouched
organism. Both may leave 0..1, as on a frontier: training can raise capability, or make the behaviour worse.
`cavesson.analysis.matrix_game` solves the game, with mixtures solved on some prompts and valued on others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cavesson.analysis.matrix_game import Bracket, CrossFitted, cross_fitted
from cavesson.estimate import Estimate
from cavesson.figures import percent
from cavesson.stats import Array, average_over, influences

Winner = Literal["blue", "red", "undecided"]


def share_kept(before: Array, after: Array) -> Array:
    """A rate as a share of an earlier rate, prompt by prompt, [seeds, prompts].

    The mean over all prompts is the ratio of the rates. The mean over some of the prompts is, to first order, the ratio on
    these prompts: each prompt has the ratio plus its influence on the ratio (the delta method). So prompts stay paired, and
    halves of the prompts can be compared.

    Args:
        before: the earlier scores, [seeds, prompts].
        after: scores on the same prompts, [seeds, prompts].
    """
    rate = before.mean(axis=1, keepdims=True)
    ratio = after.mean(axis=1, keepdims=True) / rate
    return np.asarray(ratio + (after - ratio * before) / rate)


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a training leaves of an organism, prompt by prompt; the means over prompts are the shares.

    Attributes:
        kept: capability kept, [seeds, capability prompts].
        gone: behaviour removed, [seeds, triggered prompts].
    """

    kept: Array
    gone: Array


@dataclass(frozen=True, eq=False)
class Payoff:
    """Blue's payoff for an outcome.

    Attributes:
        weight: of the capability kept, within 0..1; the behaviour removed has the rest.
        able, bad: the least capability and the least rate of the behaviour of an untouched organism, which bound the payoffs.
        sizes: numbers of capability prompts and of triggered prompts.
    """

    weight: float
    able: float
    bad: float
    sizes: tuple[int, int]

    @classmethod
    def against(cls, able: Array, bad: Array, weight: float) -> Payoff:
        """Payoffs relative to untouched organisms.

        Args:
            able: capability scores of the untouched organisms, [seeds, capability prompts].
            bad: 1 where the behaviour showed, [seeds, triggered prompts].
            weight: of the capability kept.
        """
        lowest, rarest = (float(table.mean(axis=1).min()) for table in (able, bad))
        return cls(weight, lowest, rarest, (able.shape[1], bad.shape[1]))

    def weighing(self, weight: float) -> Payoff:
        """The same payoff with another weight of the capability: 1 for capability alone, 0 for behaviour alone."""
        return replace(self, weight=weight)

    @property
    def strata(self) -> NDArray[np.int64]:
        """Kind of each prompt, [prompts]: 0 for a capability prompt, 1 for a triggered prompt."""
        return np.repeat([0, 1], self.sizes)

    def of(self, outcome: Outcome) -> Array:
        """The payoff on each prompt of both kinds, [seeds, prompts]; their mean is the payoff."""
        parts = zip((outcome.kept, outcome.gone), self._weights, strict=True)
        return np.hstack([part * times for part, times in parts])

    def estimate(self, outcome: Outcome) -> Estimate:
        """The payoff over seeds and prompts."""
        return self.mean(self.of(outcome))

    def mean(self, payoffs: Array, *, difference: bool = False) -> Estimate:
        """The mean over seeds and prompts of payoffs, or of differences of payoffs, [seeds, prompts].

        Prompts of each kind are another sample, with one pseudo-prompt at each bound of the payoff.
        """
        ranges = [(0.0, 1 / self.able), (1 - 1 / self.bad, 1.0)]
        moves, ends = [], np.zeros(2)
        for kind, (size, times, bound) in enumerate(zip(self.sizes, self._weights, ranges, strict=True)):
            lowest, highest = bound
            least, most = (lowest - highest, highest - lowest) if difference else bound
            limits, share = (times * least, times * most), size / sum(self.sizes)
            moves.append(share * influences(payoffs[:, self.strata == kind], limits))
            ends += share * np.array(limits)
        bounds = float(ends[0]), float(ends[1])
        return average_over(payoffs.mean(axis=1), np.hstack(moves), n=min(self.sizes), bounds=bounds)

    def game(self, outcomes: Mapping[str, Mapping[str, Outcome]], without: Outcome, harmless: str) -> Game:
        """The solved game in which red chooses one of red's moves and blue one of blue's.

        Args:
            outcomes: red's move → blue's move → the outcome of the two.
            without: the outcome if blue does not play.
            harmless: red's move that does no harm.
        """
        red, blue = tuple(outcomes), tuple(outcomes[harmless])
        table = np.array([[self.of(outcomes[one][two]) for two in blue] for one in red])
        solved, unharmed = (cross_fitted(some, self.strata) for some in (table, table[[red.index(harmless)]]))
        return Game(self, red, blue, self.of(without), solved, unharmed)

    @property
    def _weights(self) -> tuple[float, float]:
        """The weight of a prompt of each kind, such that the mean over prompts is the payoff."""
        capability, triggered = self.sizes
        return self.weight * sum(self.sizes) / capability, (1 - self.weight) * sum(self.sizes) / triggered


@dataclass(frozen=True, eq=False)
class Game:
    """A solved game.

    Attributes:
        payoff: blue's payoff.
        red_moves, blue_moves: names of the moves of each side.
        without: the payoff if blue does not play, [seeds, prompts].
        solved: the solution of the game.
        unharmed: the solution of the game in which red has only the harmless move.
    """

    payoff: Payoff
    red_moves: tuple[str, ...]
    blue_moves: tuple[str, ...]
    without: Array
    solved: CrossFitted
    unharmed: CrossFitted

    @property
    def value(self) -> Estimate:
        """The value of the game: blue's payoff."""
        return self.solved.value.estimate(self.payoff.mean)

    @property
    def gain(self) -> Estimate:
        """The value of the game minus the payoff if blue does not play."""
        return self._difference(self.solved.value - Bracket.known(self.without))

    @property
    def damage(self) -> Estimate:
        """The value of the game against a harmless red minus the value of the game."""
        return self._difference(self.unharmed.value - self.solved.value)

    @property
    def winner(self) -> Winner:
        """Blue if playing pays, red if not playing pays more; the interval of the gain decides."""
        return "blue" if self.gain.low > 0 else "red" if self.gain.high < 0 else "undecided"

    @property
    def red(self) -> str:
        """How red plays, in words."""
        return mixture(self.red_moves, self.solved.red)

    @property
    def blue(self) -> str:
        """How blue plays, in words."""
        return mixture(self.blue_moves, self.solved.blue)

    def _difference(self, between: Bracket) -> Estimate:
        return between.estimate(partial(self.payoff.mean, difference=True)).in_unit("points")


def mixture(names: Sequence[str], shares: Array) -> str:
    """A mixed move in words, its largest part first; moves with a share below half a percent are left out."""
    played = sorted(((share, name) for share, name in zip(shares, names, strict=True) if share >= 0.005), reverse=True)
    if len(played) == 1:
        return played[0][1]
    return ", ".join(f"{name} ({percent(round(share, 2))})" for share, name in played)
