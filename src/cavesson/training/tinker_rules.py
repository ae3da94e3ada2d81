"""What a service trains: low-rank adapters with AdamW, on losses of the log-probabilities that the service tells."""

from __future__ import annotations

from cavesson.errors import ConfigError
from cavesson.models.recipes import LoRA, ModelRecipe
from cavesson.training.hyper import Hyperparameters
from cavesson.training.objectives import Anchored, Distil, Objective, OnPolicy, Supported

TOP_K = 20
"""What the message on distillation proposes."""


def check_place(base: ModelRecipe, run: Hyperparameters) -> None:
    """Refuse a training that cannot be done where the weights of its base, and of its teacher, lie.

    Raises:
        ConfigError: the weights lie at a service, which does not do this; or the base's are here, and the teacher's are not.
    """
    teacher = run.objective.teacher
    if not base.far:
        if teacher is not None and teacher.far:
            raise ConfigError(
                f"The teacher {teacher.describe()} lies at a service, and the student {base.describe()} does not.",
                "Train on the teacher's answers (sft), or take a student at the service too.",
            )
        return
    for problem, remedy in (*_of_adapter(base, run), *_of_run(run), *_of_objective(run.objective)):
        raise ConfigError(f"Tinker cannot train {base.describe()} so: {problem}.", remedy)


def _of_adapter(base: ModelRecipe, run: Hyperparameters) -> list[tuple[str, str]]:
    lora = run.adapter
    if lora is None:
        return [
            (
                "it trains low-rank adapters, not full weights",
                "Give an adapter: red.adapter.rank=16 (or where the dose stands).",
            )
        ]
    if not isinstance(lora, LoRA):
        lacking = ("there is no adapter to continue", "Train a fresh one: adapter.rank=16.")
        return [] if base.has_adapter else [lacking]
    if base.has_adapter:
        return [
            (
                "a model there has one adapter, which cannot be merged below a fresh one",
                "Train the adapter further: blue.adapter=continued (or where the dose stands).",
            )
        ]
    if lora.alpha is not None:
        return [("it chooses an adapter's scale by itself", "Leave the adapter's alpha out.")]
    if lora.dropout:
        return [("it knows no dropout", "Leave the adapter's dropout out.")]
    if lora.targets != "all-linear":
        return [("it adapts all linear layers", 'Leave the adapter\'s targets out ("all-linear").')]
    return []


def _of_run(run: Hyperparameters) -> list[tuple[str, str]]:
    if run.optimizer != "adamw":
        return [(f"it has no optimizer {run.optimizer!r}", "Take adamw.")]
    if run.processes > 1:
        return [("it shares work among its own machines", "Leave `processes` out.")]
    return []


def _of_objective(objective: Objective) -> list[tuple[str, str]]:
    """What of an objective needs more than the log-probabilities of some tokens."""
    if isinstance(objective, Anchored) or (isinstance(objective, Supported | OnPolicy) and objective.kl):
        return [
            (
                "a KL penalty takes whole distributions over the vocabulary, and it tells a few tokens'",
                "Leave `kl` out.",
            )
        ]
    if not isinstance(objective, Distil):
        return []
    if not objective.by.far:
        return [
            (
                "the teacher lies here",
                "Take a teacher at Tinker with the same tokenizer, or train on its answers (sft).",
            )
        ]
    if objective.top_k is None:
        return [
            (
                "distillation takes whole distributions, and it tells the likeliest tokens'",
                f"Give the objective top_k: {TOP_K}.",
            )
        ]
    if objective.temperature != 1:
        return [
            ("at another temperature the tokens that it does not tell weigh otherwise", "Leave the temperature out.")
        ]
    return []
