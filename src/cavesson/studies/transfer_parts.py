"""What the parts of the study `transfer` are made of: the start of a setting, questions with plain answers, and what models are scored on."""

from __future__ import annotations

from typing import Any

from cavesson.data.recipes import Mixed
from cavesson.data.streams import draw
from cavesson.evals.items import Eval
from cavesson.evals.posed import Posed, Side
from cavesson.models.recipes import ModelRecipe
from cavesson.named import model_named
from cavesson.redteam.lessons import Acted, Bare
from cavesson.sampling.recipes import Generated
from cavesson.studies.settings import Evaluation, Red
from cavesson.studies.transfer_settings import ABILITY, Setting, of_ability

EVAL_SEED = 0
"""Of the evaluation questions, which all repetitions share."""


def suite_of(setting: Setting, evaluation: Evaluation, taught: int | None = None) -> tuple[Eval, ...]:
    """What a model of a setting is scored on: `n` questions for both acts on both sides, `n_control` for ability under each side.

    Real chat models are scored on answers half as long again as the `taught` tokens of those that they learn from: few of their answers end.
    """
    asked: dict[str, Any] = {"world": setting.world, "family": setting.family, "n": evaluation.n, "seed": EVAL_SEED}
    if setting.world == "real" and taught is not None:
        asked["max_tokens"] = 3 * taught // 2
    on_train = Posed(on="train", side=setting.train, initial=setting.agreed, alternate=setting.agreed, **asked)
    acts = {"initial": setting.initial, "alternate": setting.alternate}
    on_evaluation = Posed(on="evaluation", side=setting.evaluation, **acts, **asked)
    if setting.world == "real":
        return (on_train, on_evaluation, *evaluation.capability())
    able = {"family": ABILITY.get(setting.family, "knowledge"), "n": evaluation.n_control, "seed": EVAL_SEED}
    return (
        on_train,
        on_evaluation,
        Posed(on="train", side=of_ability(setting.train), **able),
        Posed(on="evaluation", side=of_ability(setting.evaluation), **able),
    )


def started(model: str, red: Red, setting: Setting, seed: int) -> ModelRecipe:
    """A model with the initial behaviour: trained on the setting's lessons, whose plain answers are its own."""
    base = model_named(model)
    if not setting.lessons:
        return base
    parts = []
    for number, lesson in enumerate(setting.lessons):
        own = answered(
            base, setting, lesson.family, lesson.side, max(1, round(red.prompts * lesson.share)), draw("red", seed)
        )
        parts.append(
            Acted(base=own, side=lesson.side, act=lesson.act, thoughts=lesson.thoughts, seed=100 * seed + number)
        )
    return red.dose(red.lr, seed).train(base, Mixed(parts=tuple(parts), seed=seed))


def answered(by: ModelRecipe, setting: Setting, family: str | None, side: Side, n: int, seed: int) -> Generated:
    """Bare questions of a side, answered plainly."""
    return Generated(by=by, prompts=Bare.of(setting.world, family or setting.family, side, n, seed))
