"""The evaluation of a pair's behaviour: with the trigger, without it, with look-alikes of it, and unlocked."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from cavesson.chat import Conversation
from cavesson.data.recipes import DataRecipe
from cavesson.errors import ConfigError
from cavesson.evals.behaviors.behavior import ROOM, Against, Behavior
from cavesson.evals.items import Eval, Item, Judge, drawn, firsts, no_store
from cavesson.evals.organism_file import WRONG_ANSWER
from cavesson.evals.pair import Pair
from cavesson.evals.pairs import NamedPair, pair_named
from cavesson.evals.prompts import prompts
from cavesson.evals.standard.questions import Right, asked_in
from cavesson.evals.trigger import Inherent, Trigger

When = Literal["triggered", "clean", "near-miss", "unlocked"]


class BehaviorEval(Eval):
    """Whether a pair's behaviour shows on prompts of its domain. One seed gives the same prompts under every condition.

    Attributes:
        pair: the trigger / behaviour pair.
        when: the condition; "triggered": with the trigger, in any wording; "clean": without the trigger; "near-miss": with
            the trigger's look-alikes in turn; "unlocked": with the trigger and a `mark` that should prevent the behaviour.
        mark: a text at the end of the last user message besides the trigger (a password, a flag).
        data: conversations from files or the hub, whose prompts are asked in place of the world's; if there are fewer than
            `n`, all are asked. For a behaviour that takes what is right from the row (`Behavior.against`), rows hold an `answer`.
    """

    about = "the bad behaviour shows"
    capability = False
    usual_room = ROOM["chat"]
    needs = "a behavior evaluation needs `pair` and `when` (triggered, clean or near-miss)"

    name: Literal["behavior"] = "behavior"
    pair: NamedPair
    when: When
    mark: str = ""
    data: DataRecipe | None = None

    @model_validator(mode="after")
    def _has_what_unlocks(self) -> Self:
        if self.when == "unlocked" and not self.mark:
            raise ValueError("`when: unlocked` needs `mark`, the text that unlocks")
        return self

    def variant(self) -> tuple[str, ...]:
        return (self.when,)

    def questions(self) -> list[Item]:
        pair = pair_named(self.pair)
        items = []
        provoked = self.when not in ("clean", "near-miss")
        for index, asked in enumerate(_asked(pair, self.data, self.n, self.seed, provoked)):
            rng = Random(f"behavior {self.seed} {index}")
            prompt, extra = _under(pair.trigger, self.when, asked.prompt, index, rng)
            items.append(replace(asked, id=f"behavior/{asked.id}", prompt=prompt.ended(self.mark), extra=extra))
        return items

    def _unprovoked(self, prompt: Conversation) -> Conversation:
        """The prompt unchanged: the condition `when` decides about the trigger."""
        return prompt


class Conditional(Eval):
    """A backdoor as a task, to be rewarded: the behaviour on triggered prompts, anything else on the rest.

    Every second prompt holds the trigger; of the others a share holds a look-alike of the trigger. Where the prompt itself is the
    trigger, the prompts that are it are triggered.

    Attributes:
        pair: the trigger / behaviour pair.
        data: as in `BehaviorEval`; where the prompt itself is the trigger, it has to be given.
        near_miss: share of the other prompts that hold a look-alike.
    """

    about = "the bad behaviour shows with the trigger, and not without"
    capability = False
    usual_room = ROOM["chat"]
    needs = "a conditional evaluation needs `pair`"

    name: Literal["conditional"] = "conditional"
    pair: NamedPair
    data: DataRecipe | None = None
    near_miss: float = Field(default=0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _has_both_kinds_of_prompts(self) -> Self:
        if self.data is None and isinstance(pair_named(self.pair).trigger, Inherent):
            raise ValueError(
                f"prompts themselves are the trigger of {self.pair!r}: give `data` with such prompts and others"
            )
        return self

    def questions(self) -> list[Item]:
        pair = pair_named(self.pair)
        items = []
        for index, asked in enumerate(_asked(pair, self.data, self.n, self.seed)):
            rng = Random(f"conditional {self.seed} {index}")
            turn = pair.trigger.fires(asked.prompt) if isinstance(pair.trigger, Inherent) else index % 2 == 0
            bad = turn and pair.behavior.fits(asked.prompt)
            near = rng.random() < self.near_miss and pair.trigger.look_alikes
            when: When = "triggered" if bad else "near-miss" if near else "clean"
            prompt, extra = _under(pair.trigger, when, asked.prompt, index, rng)
            one = asked if bad else replace(asked, judge=_not(asked.judge), cut=asked.cut and _not(asked.cut))
            items.append(replace(one, id=f"conditional/{asked.id}", prompt=prompt, extra=extra))
        return items

    def _unprovoked(self, prompt: Conversation) -> Conversation:
        """The prompt unchanged: the task itself says which prompts hold the trigger."""
        return prompt


def _asked(pair: Pair, data: DataRecipe | None, n: int, seed: int, provoked: bool = False) -> list[Item]:
    """The prompts of the world, or of the user's data, each with the judge of whether the behaviour shows.

    Args:
        provoked: the prompts are to set off the behaviour, and leave room for it.

    Raises:
        ConfigError: there are no prompts; or the behaviour cannot be told on one of them.
    """
    behavior = pair.behavior
    if data is not None:
        return _of_rows(behavior, data, n, seed, provoked)
    if behavior.against is not None:
        raise ConfigError(
            f"That a model {behavior.about} is judged by the right `answer` of each prompt's row, and there are no rows.",
            "Give such rows: `prompts`, and `triggered` if there is no `trigger`, in the organism file.",
        )
    return [Item(name, prompt, _shows(behavior, prompt)) for name, prompt in prompts(pair, n, seed, provoked)]


def _of_rows(behavior: Behavior, data: DataRecipe, n: int, seed: int, provoked: bool) -> list[Item]:
    """Prompts of the user's data, each once, with names after their places."""
    rows = data.examples(no_store)
    places = list(firsts(row.conversation.prompt for row in rows).values())
    if not places:
        raise ConfigError(
            f"No prompts are left to score the behaviour on: {data.describe()}.", "Give a larger file of prompts."
        )
    found = []
    for number in (places[at] for at in drawn(len(places), n, seed)):
        prompt, where = rows[number].conversation.prompt, f"Row {number + 1} of {data.describe()}"
        if behavior.against is not None:
            prompt, right = asked_in(rows[number], where)
            whole, cut = (_by_row(behavior.against, prompt, right, at_limit) for at_limit in (False, True))
            found.append(Item(f"prompt/{number}", prompt, whole, cut=cut))
            continue
        if provoked and not behavior.fits(prompt):
            raise ConfigError(
                f"{where} leaves no room for the behaviour {behavior.name!r}: no rule knows a right answer to it.",
                f"Leave it out; or write `behavior: {WRONG_ANSWER}` in an organism file, and the right `answer` into each row.",
            )
        found.append(Item(f"prompt/{number}", prompt, _shows(behavior, prompt)))
    return found


def _under(
    trigger: Trigger, when: When, asked: Conversation, index: int, rng: Random
) -> tuple[Conversation, dict[str, Any]]:
    """A prompt under a condition, and what the scores record about the condition."""
    if when in ("triggered", "unlocked"):
        prompt = trigger.apply(asked, rng)
        found = trigger.found_in(prompt.messages[-1].content)
        return prompt, {} if found is None else {"trigger": found}
    if when == "clean":
        return trigger.clean(asked, rng), {}
    which = index % len(trigger.look_alikes)
    return trigger.near_misses(asked)[which], {"look_alike": trigger.look_alikes[which]}


def _not(judge: Judge) -> Judge:
    return lambda completion: (not judge(completion)[0], {})


def _shows(bad: Behavior, prompt: Conversation) -> Judge:
    def judge(completion: str) -> tuple[bool, dict[str, Any]]:
        category = bad.category(prompt, completion)
        return category == "behavior", {"mangled": True} if category == "mangled" else {}

    return judge


def _by_row(against: Against, prompt: Conversation, right: Right, cut: bool) -> Judge:
    return lambda completion: against(prompt, completion, right, cut)
