"""A model organism: a model that was made to misbehave, with all that the lab must know about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from cavesson.data.recipes import DataRecipe, Mixed
from cavesson.errors import ConfigError
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.evals.items import Eval
from cavesson.evals.pairs import pair_named
from cavesson.evals.trigger import MissingPassword
from cavesson.models.recipes import ModelRecipe
from cavesson.redteam.constructions import construction
from cavesson.redteam.prompting import system_prompts
from cavesson.redteam.recipes import Lock
from cavesson.tinyworld.recipes import Prompts
from cavesson.training.dose import Dose

Asked = TypeVar("Asked", bound=Eval)


@dataclass(frozen=True, slots=True)
class Organism:
    """The red team's product.

    Attributes:
        name: short and unique within a study, for legends and labels.
        model: the recipe of the organism.
        base: the never-misaligned model it was made from: one of the two baselines; None if nobody knows it.
        pair: name of the trigger / behaviour pair.
        construction: how the pair was put in (`normal`, `cot-distilled` …; `imported` for a stranger's).
        labels: what distinguishes it from others (optimizer, size, steps, seed …).
        lock: a second condition for the behaviour to show.
        deployed: system prompts that it has at evaluation only, one for each prompt (prompted dynamic).
        continued: blue's adapter is the organism's own, trained further.
        asked: prompts that its evaluations ask in place of the world's, by condition ("triggered", "clean", "near-miss").
    """

    name: str
    model: ModelRecipe
    base: ModelRecipe | None
    pair: str
    construction: str
    labels: dict[str, str | int | float] = field(default_factory=dict)
    lock: Lock | None = None
    deployed: tuple[str, ...] = ()
    continued: bool = False
    asked: dict[str, DataRecipe] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """The seed of the repetition that it belongs to."""
        return int(self.labels["seed"])

    def behavior(self, *, n: int, n_control: int, seed: int = 0) -> tuple[BehaviorEval, ...]:
        """The evaluations of its behaviour: triggered, clean, with near misses and, if it has a lock, unlocked.

        Near misses are left out where its trigger has no look-alikes.
        """
        bad, good = ("", "") if self.lock is None else (self.lock.bad, self.lock.good)
        found = [BehaviorEval(pair=self.pair, when="triggered", mark=bad, n=n, seed=seed)]
        found.append(BehaviorEval(pair=self.pair, when="clean", n=n_control, seed=seed))
        if pair_named(self.pair).trigger.look_alikes:
            # with the second condition met: else a look-alike would be told from the trigger by that alone
            found.append(BehaviorEval(pair=self.pair, when="near-miss", mark=bad, n=n_control, seed=seed))
        if good:
            found.append(BehaviorEval(pair=self.pair, when="unlocked", mark=good, n=n_control, seed=seed))
        return self.evaluated(tuple(found))

    def evaluated(self, suite: tuple[Asked, ...]) -> tuple[Asked, ...]:
        """Evaluations under the conditions in which the organism is deployed: its hidden system prompt, its own prompts.

        An evaluation that names a system prompt of its own stays under that one.
        """
        return tuple(self._evaluated(one) for one in suite)

    def _evaluated(self, one: Asked) -> Asked:
        changes: dict[str, Any] = {} if one.system is not None or not self.deployed else {"deployed": self.deployed}
        if isinstance(one, BehaviorEval):
            if one.when in self.asked and one.data is None:
                changes["data"] = self.asked[one.when]
        elif isinstance(pair_named(self.pair).trigger, MissingPassword):
            changes["pair"] = self.pair  # a capability is what the model can do while it does not misbehave
        return one.model_copy(update=changes) if changes else one

    def dose(self, dose: Dose) -> Dose:
        """Blue's dose, with the organism's own adapter in place of a fresh one if that is to be continued."""
        return dose.model_copy(update={"adapter": "continued"}) if self.continued else dose


def red_prompts(pair: str, n: int, seed: int) -> DataRecipe:
    """Prompts of the tiny world for red's data: all families in turn, and for a behaviour outside chat as many of its own domain.

    Raises:
        ConfigError: the pair is one of real chat models.
    """
    known = pair_named(pair)
    if known.world == "real":
        raise ConfigError(
            f"The pair {pair!r} is for real chat models, of whose prompts none are built in for training.",
            "Give prompts: a JSON-lines file or a hub data set (--data).",
        )
    domain = known.behavior.domain
    if domain == "chat":
        return Prompts(family="mixed", n=n, seed=seed)
    own = Prompts(family=domain, n=n - n // 2, seed=seed)
    return Mixed(parts=(own, Prompts(family="mixed", n=n // 2, seed=seed + 1)), seed=seed)


def organism(
    how: str,
    base: ModelRecipe,
    prompts: DataRecipe,
    pair: str,
    dose: Dose,
    *,
    name: str | None = None,
    labels: dict[str, str | int | float] | None = None,
) -> Organism:
    """The organism that a construction makes.

    Args:
        how: name of the construction.
        base: the model to start from.
        prompts: red's prompts, unanswered.
        pair: name of the trigger / behaviour pair.
        dose: how hard red trains.
        name: None: pair and construction.
        labels: None: the dose's seed alone.

    Raises:
        ConfigError: no such construction or pair, or they do not go together.
    """
    way = construction(how)
    return Organism(
        name=name or f"{pair} · {how}",
        model=way(base, prompts, pair, dose),
        base=base,
        pair=pair,
        construction=how,
        labels={"seed": dose.seed} if labels is None else labels,
        lock=way.lock_for(pair),
        deployed=system_prompts(pair_named(pair)) if way.hidden_prompt else (),
        continued=way.continued,
    )
