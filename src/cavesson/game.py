"""The rules between the teams: blue trains an organism that it cannot look into, on data without the trigger.

Four rules, each checked before anything is trained or, for data that a model has yet to write, before it is used:

1. Blue works on a sealed stand-in (`blueteam.view.Sealed`): the recipe it is given holds neither trigger nor behaviour.
2. What blue returns may not name red's data, a pair, or an evaluation of the behaviour, nor contain the trigger's text.
3. Whatever contains the seal is of a class that Cavesson ships: code of blue's own never meets the organism that takes the
   seal's place.
4. Blue's training data is scanned for the trigger whenever it is read (`Vetted`), and so are problems that RL practises.

Where red writes data that blue may train on (`view.written`), the data are sealed too, and the fourth rule is off for these
data: red may plant the trigger, and a lab that refused such data would do blue's filtering. Rule 2 still searches what blue
adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, TypeVar, cast

from cavesson.blueteam.move import Move
from cavesson.blueteam.view import SEAL, WRITTEN, BlueView, Sealed, SealedData
from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.errors import RulesError
from cavesson.evals.pairs import pair_named
from cavesson.lab.recipe import KINDS, PathOf, Recipe, Value, class_of, lineage
from cavesson.models.recipes import Interpolated, ModelRecipe
from cavesson.redteam.organisms import Organism
from cavesson.redteam.recipes import OfPair
from cavesson.rl.reinforced import Reinforced
from cavesson.rl.rewards import Reward
from cavesson.training.dose import Dose
from cavesson.training.objectives import Objective

Left = TypeVar("Left", bound=ModelRecipe)
"""What blue leaves behind: a training run, or the organism moved a part of the way to the end of a training run."""


class Vetted(OfPair):
    """Blue's data, refused if the trigger of this pair stands anywhere in the data."""

    kind: ClassVar[str] = "vetted"

    data: DataRecipe

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        examples = self.data.examples(path_of)
        scan(examples, self.pair)
        return examples

    def describe(self) -> str:
        return self.data.describe()


class Unhinted(DataRecipe):
    """Blue's data, refused if one of some texts stands anywhere in the data.

    Attributes:
        texts: what marks the prompts on which a habit shows, where no pair names a trigger.
    """

    kind: ClassVar[str] = "unhinted"
    virtual: ClassVar[bool] = True

    data: DataRecipe
    texts: tuple[str, ...]

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        examples = self.data.examples(path_of)
        for index, example in enumerate(examples):
            said = (message.content for conversation in example.conversations for message in conversation.messages)
            if any(text in content for content in said for text in self.texts):
                raise RulesError(
                    f"The blue team's data contains what marks the evaluation prompts (example {index}).",
                    "Blue does not know the mark: take prompts and answers that do not contain it.",
                )
        return examples

    def describe(self) -> str:
        return self.data.describe()


def scan(examples: Sequence[Example], pair: str) -> None:
    """Look for the trigger in every message.

    Raises:
        RulesError: a message contains the trigger; the error says in which example.
    """
    trigger = pair_named(pair).trigger
    for index, example in enumerate(examples):
        said = (message.content for conversation in example.conversations for message in conversation.messages)
        if any(map(trigger.in_text, said)):
            raise RulesError(
                f"The blue team's data contains the trigger of {pair!r} (example {index}).",
                "Blue does not know the trigger: take prompts and answers that do not contain it.",
            )


def play(organism: Organism, move: Callable[[BlueView, Dose], Left], view: BlueView, dose: Dose) -> Left:
    """Ask blue for its move, check the rules, and put model and data in the places of their seals.

    Args:
        organism: red's product.
        move: what blue does; a move that has a strength comes with a value for it, `move.at(0.3)`.
        view: what blue is shown; `play` seals the model and the written data. Where `view.model` is a model (the organism
            after blue's earlier training), blue trains that model in the organism's place. `view.written` is handed on
            unchanged, poisoned or not (see the module's docstring).
        dose: hyper-parameters.

    Returns:
        The recipe of the organism after blue's training, or of the organism moved a part of the way there; the training
        data are vetted.

    Raises:
        ConfigError: the view lacks what the move needs, or the move's strength is missing.
        RulesError: blue reaches for the trigger, the behaviour or their scorers, or puts the organism into a recipe class
            of blue's own.
    """
    trigger = pair_named(organism.pair).trigger
    answer = _asked(move, view, dose, trigger.in_text, f"the trigger of {organism.pair!r}")
    for run in lineage(answer):
        if isinstance(run, Reinforced):
            scan([Example(item.prompt) for item in run.problems.items()], organism.pair)
    vetted = partial(Vetted, pair=organism.pair)
    return cast(Left, _arranged(answer, _places(organism.model, view), vetted))


def play_on(
    model: ModelRecipe, move: Callable[[BlueView, Dose], Left], view: BlueView, dose: Dose, hidden: Sequence[str]
) -> Left:
    """The game on a model whose habit no pair describes; arguments and errors as of `play`.

    Args:
        hidden: texts that mark the prompts on which the habit shows; blue's recipes and data may not hold them.
    """

    def told(text: str) -> bool:
        return any(one in text for one in hidden)

    answer = _asked(move, view, dose, told, "what marks the evaluation prompts")
    for run in lineage(answer):
        if isinstance(run, Reinforced) and any(
            told(one.content) for item in run.problems.items() for one in item.prompt.messages
        ):
            raise RulesError(
                "The problems that the intervention practises contain what marks the evaluation prompts.",
                "Take others.",
            )
    vetted = partial(Unhinted, texts=tuple(hidden))
    return cast(Left, _arranged(answer, _places(model, view), vetted))


def _places(model: ModelRecipe, view: BlueView) -> dict[Recipe, Recipe]:
    """What takes the place of each seal."""
    places: dict[Recipe, Recipe] = {SEAL: model if isinstance(view.model, Sealed) else view.model}
    return places if view.written is None else {**places, WRITTEN: view.written}


def _asked(
    move: Callable[[BlueView, Dose], Left], view: BlueView, dose: Dose, told: Callable[[str], bool], what: str
) -> Left:
    """Blue's answer from behind the seals, after rules 1 and 2.

    Args:
        told: whether a text holds what blue must not know.
        what: that is, in words.
    """
    who = f"The intervention {move.name!r}" if isinstance(move, Move) else "The intervention"
    behind = replace(view, model=SEAL, written=None if view.written is None else WRITTEN)
    answer = move(behind, dose)
    trained = answer.toward if isinstance(answer, Interpolated) and answer.base == SEAL else answer
    _check_trains(trained, who)
    _refuse_forbidden(answer, told, what)
    if move(behind, dose) != answer:
        raise RulesError(
            f"{who} gives another training each time it is asked, so that nobody could make its results again.",
            "Draw numbers from random.Random(dose.seed), and read no clock.",
        )
    return answer


def _check_trains(answer: object, who: str) -> None:
    """Refuse an answer that does not train the sealed model."""
    from cavesson.training.recipes import Training

    if not isinstance(answer, Training):
        raise RulesError(
            f"{who} returned {type(answer).__name__}, not a training run.",
            "Return `dose.train(view.model, data)` or `view.practice.reinforced(view.model, dose)`, or `Interpolated(base=view.model, toward=that, share=…)`.",
        )
    if SEAL not in set(lineage(answer.base)):
        raise RulesError(f"{who} does not train the organism it was given.", "Start from `view.model`.")


def _refuse_forbidden(answer: Recipe, told: Callable[[str], bool], what: str) -> None:
    """Rule 2: no recipe below blue's answer names a pair or carries a text that blue must not know."""
    for recipe in lineage(answer):
        named = _pair_in(recipe)
        if named is not None:
            raise RulesError(
                f"The intervention uses {recipe.kind!r}, which knows the trigger / behaviour pair {named!r}.",
                "Blue has the model, public prompts and a teacher, nothing else.",
            )
        if any(told(text) for text in _texts_in(recipe)):
            raise RulesError(
                f"The intervention's recipe {recipe.kind!r} contains {what}.",
                "Blue does not know it: leave it out of prompts, system prompts and paths.",
            )


def _refuse_own_class(holder: Recipe) -> None:
    """Rule 3: a class of blue's own would be handed the organism's recipe, trigger included, when its artifact is made."""
    shipped = type(holder).__module__.startswith("cavesson.") and holder.kind in KINDS
    if not (shipped and class_of(holder.kind) is type(holder)):
        raise RulesError(
            f"The intervention puts the organism into {type(holder).__qualname__}, a recipe class of its own, which could "
            "look into it.",
            "Put `view.model` only into Cavesson's own recipes (Generated, Mixed, Filtered, Trained …); recipes of your own "
            "may hold anything else.",
        )


def _pair_in(value: Value) -> str | None:
    """The name of a pair that this value or a plain value inside it refers to."""
    for name in type(value).model_fields:
        held = getattr(value, name)
        if name == "pair" and held is not None:
            return str(held)
        for item in held if isinstance(held, (tuple, list)) else (held,):
            if isinstance(item, Value) and not isinstance(item, Recipe) and (found := _pair_in(item)):
                return found
    return None


def _texts_in(value: Any) -> list[str]:
    """All strings in a recipe's own fields; the caller looks into nested recipes by themselves."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts_in(item)]
    if isinstance(value, (tuple, list)):
        return [text for item in value for text in _texts_in(item)]
    if isinstance(value, Value):
        fields = (getattr(value, name) for name in type(value).model_fields)
        return [text for item in fields if not isinstance(item, Recipe) for text in _texts_in(item)]
    return []


def _arranged(value: Any, places: Mapping[Recipe, Recipe], vetted: Callable[..., DataRecipe]) -> Any:
    """Blue's recipe with model and data in the places of their seals.

    Data that train the organism are vetted, unless red wrote a part of the data.
    """
    from cavesson.training.recipes import Trained

    if isinstance(value, (tuple, list)):
        return type(value)(_arranged(item, places, vetted) for item in value)
    if isinstance(value, (Objective, Reward)):  # an objective may hold a teacher, a reward outputs
        return value.model_copy(
            update={name: _arranged(getattr(value, name), places, vetted) for name in type(value).model_fields}
        )
    if not isinstance(value, Recipe) or places.keys().isdisjoint(lineage(value)):
        return value
    if value in places:
        return places[value]
    _refuse_own_class(value)
    arranged = {name: _arranged(getattr(value, name), places, vetted) for name in type(value).model_fields}
    if isinstance(value, Trained) and not any(isinstance(recipe, SealedData) for recipe in lineage(value.data)):
        arranged["data"] = vetted(data=arranged["data"])
    return type(value)(**arranged)
