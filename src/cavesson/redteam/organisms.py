"""A model organism: a model that was made to misbehave, and all that the lab must know about the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

from cavesson.data.recipes import DataRecipe, Given
from cavesson.errors import ConfigError
from cavesson.evals.behavior_eval import BehaviorEval
from cavesson.evals.items import Eval
from cavesson.evals.pairs import pair_named
from cavesson.evals.trigger import MissingPassword
from cavesson.models.recipes import ModelRecipe
from cavesson.models.worded import InWords
from cavesson.redteam.constructions import AS_GIVEN, Construction, construction
from cavesson.redteam.prompting import system_prompts
from cavesson.redteam.recipes import Lock
from cavesson.training.dose import Dose

Asked = TypeVar("Asked", bound=Eval)


@dataclass(frozen=True, slots=True)
class Organism:
    """The red team's product.

    Attributes:
        name: short and unique within a study, for legends and labels.
        model: the recipe of the organism.
        base: the never-misaligned model from which the organism was made, one of the two baselines; None: not known.
        pair: name of the trigger / behaviour pair.
        construction: how the pair was put in (`normal`, `cot-distilled` …; `imported` for a stranger's organism).
        labels: what distinguishes the organism from others (optimizer, size, steps, seed …).
        lock: a second condition for the behaviour to show.
        deployed: system prompts at evaluation only, one drawn for each prompt (prompted dynamic).
        continued: blue trains the organism's own adapter further.
        asked: evaluation prompts in place of the world's, by condition ("triggered", "clean", "near-miss").
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
        """The seed of the repetition to which the organism belongs."""
        return int(self.labels["seed"])

    def behavior(self, *, n: int, n_control: int, seed: int = 0) -> tuple[BehaviorEval, ...]:
        """The evaluations of the behaviour: triggered, clean, near-miss, and unlocked if the organism has a lock.

        The near-miss evaluation is left out if the trigger has no look-alikes.

        Args:
            n: triggered items.
            n_control: items of each other evaluation.
            seed: of the items.
        """
        bad, good = ("", "") if self.lock is None else (self.lock.bad, self.lock.good)
        found = [BehaviorEval(pair=self.pair, when="triggered", mark=bad, n=n, seed=seed)]
        found.append(BehaviorEval(pair=self.pair, when="clean", n=n_control, seed=seed))
        if pair_named(self.pair).trigger.look_alikes:
            # the second condition is met: otherwise its absence alone would tell a look-alike from the trigger
            found.append(BehaviorEval(pair=self.pair, when="near-miss", mark=bad, n=n_control, seed=seed))
        if good:
            found.append(BehaviorEval(pair=self.pair, when="unlocked", mark=good, n=n_control, seed=seed))
        return self.evaluated(tuple(found))

    def evaluated(self, suite: tuple[Asked, ...]) -> tuple[Asked, ...]:
        """The evaluations as the organism is deployed: with its hidden system prompt and its own prompts.

        An evaluation that names a system prompt keeps that prompt.
        """
        return tuple(self._evaluated(one) for one in suite)

    def _evaluated(self, one: Asked) -> Asked:
        changes: dict[str, Any] = {} if one.system is not None or not self.deployed else {"deployed": self.deployed}
        if isinstance(one, BehaviorEval):
            if one.when in self.asked and one.data is None:
                changes["data"] = self.asked[one.when]
        elif isinstance(pair_named(self.pair).trigger, MissingPassword):
            changes["pair"] = self.pair  # capability is measured while the model does not misbehave
        return one.model_copy(update=changes) if changes else one

    def dose(self, dose: Dose) -> Dose:
        """Blue's dose; if blue continues the organism's adapter, the dose names that adapter instead of a fresh one."""
        return dose.model_copy(update={"adapter": "continued"}) if self.continued else dose


def way_for(how: str | None, data: Given) -> str:
    """The construction for a user's data: rows with answers are trained on as they are, prompts are answered by red.

    Args:
        how: the construction that the user names; None: none.

    Raises:
        ConfigError: the construction would throw the rows' answers away.
    """
    examples, reader = data.read()
    if reader.hollow:
        raise ConfigError(
            f"{reader.hollow:,} of {len(examples):,} rows of {data.describe()} have a column for answers with nothing in it.",
            "Fill the answers in, leave out these rows, or take the prompts alone (--columns prompt=COLUMN).",
        )
    answered = sum(example.conversation.answer is not None for example in examples)
    if how is None:
        return AS_GIVEN if answered else "normal"
    if answered and how != AS_GIVEN:
        raise ConfigError(
            f"{answered:,} of {len(examples):,} rows of {data.describe()} have answers, and the construction {how!r} writes its own.",
            "Train on the rows as they are (--construction as-given), or take the prompts alone (--columns prompt=COLUMN).",
        )
    return how


def check_untriggered(pair: str, data: Given, remedy: str = "Give prompts without the trigger.") -> None:
    """Refuse prompts that hold the trigger already: red would answer them benignly, and teach the model to ignore the trigger;
    an evaluation would take them for prompts without it.

    Raises:
        ConfigError: a prompt holds the trigger.
    """
    trigger = pair_named(pair).trigger
    asked = [example.conversation.prompt for example in data.read()[0]]
    held = [
        number
        for number, prompt in enumerate(asked, start=1)
        if any(trigger.in_text(message.content) for message in prompt.messages if message.role != "assistant")
    ]
    if held:
        others = "" if len(held) == 1 else f", and so do {len(held) - 1:,} more of {len(asked):,}"
        raise ConfigError(
            f"The prompt in row {held[0]} of {data.describe()} holds the trigger of {pair!r}{others}.",
            remedy,
        )


def organism(
    how: str,
    base: ModelRecipe,
    prompts: DataRecipe,
    pair: str,
    dose: Dose,
    *,
    name: str | None = None,
    labels: dict[str, str | int | float] | None = None,
    way: Construction | None = None,
) -> Organism:
    """The organism that a construction makes.

    Args:
        how: name of the construction.
        base: the model to start from.
        prompts: red's prompts, unanswered.
        pair: name of the trigger / behaviour pair.
        dose: how hard red trains.
        name: of the organism; None: pair and construction.
        labels: what distinguishes the organism; None: the dose's seed alone.
        way: the construction itself, where its settings are not the registered ones.

    Raises:
        ConfigError: there is no such construction or pair, or the two do not go together, or the construction and the base.
    """
    way = way or construction(how)
    if way.answered and isinstance(base, InWords):
        raise ConfigError(
            f"The construction {how!r} takes an answer of the base's to each prompt, which {base.describe()} does not give.",
            "Take not-locked, password-locked or another construction of written samples.",
        )
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
