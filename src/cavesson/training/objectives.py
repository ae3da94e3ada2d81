"""Objectives: what a training step minimises. Each objective is one short class with its settings and its loss.

An objective is called with the models' logits (`Forward`) and a batch, and returns a scalar: the *sum* over the batch's
trained positions. The engine first divides the weights by their total over the whole step, so the losses of micro-batches
add up, and no objective needs to know how a step was cut. To add an objective, write a class here and put it into
`AnyObjective`.

Legend of shape suffixes: K = trained positions of a batch (those whose next token has a weight), V = vocabulary,
D = documents of a batch, P = pairs of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from cavesson.lab.recipe import Value
from cavesson.models.recipes import ModelRecipe

if TYPE_CHECKING:
    from torch import Tensor

    from cavesson.training.batches import Batch
    from cavesson.training.forward import Forward


class Objective(Value):
    """What a step minimises.

    Class attributes:
        title: a label for reports.
        pairs: the objective learns from examples with two answers (`cavesson.data.preferences`). Documents 2p and 2p + 1 of
            a batch are the chosen and the rejected conversation of pair p; the weights are divided by the number of pairs.
    """

    title: ClassVar[str]
    pairs: ClassVar[bool] = False

    name: str

    def __call__(self, forward: Forward, batch: Batch) -> Tensor:
        """The loss: a scalar, summed over the batch."""
        raise NotImplementedError

    @property
    def needs_base(self) -> bool:
        """Whether the loss needs the logits of the model before this training."""
        return False

    @property
    def teacher(self) -> ModelRecipe | None:
        """Another model whose logits the loss needs; None: no other model."""
        return None

    def details(self) -> list[str]:
        """The settings, each in a few words, for descriptions of recipes."""
        return []

    def settings(self) -> dict[str, Any]:
        """The settings that differ from their defaults, as plain JSON values."""
        return {key: value for key, value in Value.identity(self).items() if key != "name"}

    def identity(self) -> dict[str, Any]:
        return {"name": self.name, **self.settings()}


class Sft(Objective):
    """Supervised fine-tuning: the weighted negative log-likelihood of the next token, in nats."""

    title = "SFT"
    name: Literal["sft"] = "sft"

    def __call__(self, forward: Forward, batch: Batch) -> Tensor:
        from cavesson.training.losses import weighted_nll

        return weighted_nll(forward.policy_KV, batch.targets_K, batch.weights_K)


class Anchored(Objective):
    """`Sft` plus a KL penalty that keeps the policy close to the model before this training ("How to reduce…", June 2026).

    Attributes:
        kl: weight of KL(base || policy), averaged over the same tokens as the loss.
    """

    title = "SFT"
    name: Literal["anchored"] = "anchored"
    kl: float = Field(gt=0)

    @property
    def needs_base(self) -> bool:
        return True

    def __call__(self, forward: Forward, batch: Batch) -> Tensor:
        from cavesson.training.losses import anchored_nll

        return anchored_nll(forward.policy_KV, batch.targets_K, batch.weights_K, forward.base_KV, self.kl)

    def details(self) -> list[str]:
        return [f"KL {self.kl:g} to the base"]


class Supported(Objective):
    """`Sft`, or `Anchored`, without the tokens that the model before this training finds improbable.

    Attributes:
        min_probability: tokens with a smaller probability under the base are left out of the loss. They still count in the
            average: a step with few remaining tokens is not scaled up, and a step with none has no gradient.
        kl: as in `Anchored`; 0: no penalty.
    """

    title = "SFT"
    name: Literal["supported"] = "supported"
    min_probability: float = Field(gt=0, lt=1)
    kl: float = Field(default=0.0, ge=0)

    @property
    def needs_base(self) -> bool:
        return True

    def __call__(self, forward: Forward, batch: Batch) -> Tensor:
        from cavesson.training.losses import supported

        kept_K = supported(forward.base_KV, batch.targets_K, self.min_probability)
        kept = replace(batch, weights_K=batch.weights_K * kept_K)
        return Anchored(kl=self.kl)(forward, kept) if self.kl else Sft()(forward, kept)

    def details(self) -> list[str]:
        penalty = Anchored(kl=self.kl).details() if self.kl else []
        return [*penalty, f"tokens of probability {self.min_probability:g} and more"]


class OnPolicy(Objective):
    """What reinforcement learning minimises, on tokens that a policy sampled: the weights are advantages, of either sign.

    Attributes:
        kl: weight of KL(policy || base) at each token of an answer with an advantage; 0: no penalty.

    Class attributes:
        ratios: the loss weighs tokens by how much likelier they are under the policy than when they were sampled, so that
            several steps may train on the same answers.
    """

    title = "RL"
    ratios: ClassVar[bool] = True

    kl: float = Field(default=0.0, ge=0)

    @property
    def needs_base(self) -> bool:
        return self.kl > 0

    def __call__(self, forward: Forward, batch: Batch) -> Tensor:
        from cavesson.training.losses import divergence

        loss = self.surrogate(forward, batch)
        if not self.kl:
            return loss
        equal_K = (batch.weights_K != 0) * batch.unit
        return loss + self.kl * divergence(forward.policy_KV, forward.base_KV, equal_K, reverse=1.0)

    def surrogate(self, forward: Forward, batch: Batch) -> Tensor:
        """The loss without the penalty: a scalar, summed over the batch."""
        raise NotImplementedError

    def details(self) -> list[str]:
        return [f"KL {self.kl:g} to the base"] if self.kl else []


class PolicyGradient(OnPolicy):
    """REINFORCE on the policy's own samples: `Sft` whose weights are advantages, of either sign (Williams 1992)."""

    ratios = False
    name: Literal["policy_gradient"] = "policy_gradient"

    def surrogate(self, forward: Forward, batch: Batch) -> Tensor:
        return Sft()(forward, batch)


class Reinforce(OnPolicy):
    """REINFORCE with importance weights: minus the advantage times the ratio of the policy's probability of the token to the
    sampler's, as large as it is (`importance_sampling` elsewhere)."""

    name: Literal["reinforce"] = "reinforce"

    def surrogate(self, forward: Forward, batch: Batch) -> Tensor:
        return -(forward.ratios_K * batch.weights_K).sum()

    def details(self) -> list[str]:
        return ["importance weights", *super().details()]


class Ppo(OnPolicy):
    """The clipped loss of PPO (Schulman et al. 2017, equation 7): a token that has become likelier or less likely by more than
    so much, in the direction of its advantage, has no gradient.

    Attributes:
        low, high: how far the ratio may fall below 1 and rise above 1; different numbers are DAPO's "clip higher".
    """

    name: Literal["ppo"] = "ppo"
    low: float = Field(default=0.2, gt=0)
    high: float = Field(default=0.2, gt=0)

    def surrogate(self, forward: Forward, batch: Batch) -> Tensor:
        clipped_K = forward.ratios_K.clamp(1 - self.low, 1 + self.high)
        return -(forward.ratios_K * batch.weights_K).minimum(clipped_K * batch.weights_K).sum()

    def details(self) -> list[str]:
        return [f"PPO clip {self.low:g}/{self.high:g}", *super().details()]


class Cispo(OnPolicy):
    """CISPO (MiniMax-M1, 2025): REINFORCE weighted by the ratio, cut at `most`; every token keeps a gradient.

    Attributes:
        most: largest weight of a token (ScaleRL, 2025, takes 5).
    """

    name: Literal["cispo"] = "cispo"
    most: float = Field(default=5.0, gt=0)

    def surrogate(self, forward: Forward, batch: Batch) -> Tensor:
        cut_K = forward.ratios_K.detach().clamp(max=self.most)
        return -(cut_K * batch.weights_K * forward.log_likelihoods_K).sum()

    def details(self) -> list[str]:
        return [f"CISPO cut {self.most:g}", *super().details()]


class Distil(Objective):
    """Distillation of another model's whole next-token distributions on the data's answers (Hinton et al. 2015; the two
    divergences: Agarwal et al. 2024, "On-policy distillation", section 2).

    Attributes:
        by: the teacher; it must have the student's tokenizer and the student's system prompt.
        reverse: share of KL(student || teacher) in the loss; the rest is KL(teacher || student). 0: forward, 1: reverse.
        temperature: divides both models' logits. The loss is not scaled back by the square of the temperature.
        top_k: distinguish only the teacher's `top_k` likeliest tokens and treat all others as one outcome; None: distinguish
            the whole vocabulary.
    """

    title = "distillation"
    name: Literal["distil"] = "distil"
    by: ModelRecipe
    reverse: float = Field(default=0.0, ge=0, le=1)
    temperature: float = Field(default=1.0, gt=0)
    top_k: int | None = Field(default=None, ge=1)

    @property
    def teacher(self) -> ModelRecipe | None:
        return self.by

    def __call__(self, forward: Forward, batch: Batch) -> Tensor:
        from cavesson.training.losses import divergence

        return divergence(
            forward.policy_KV,
            forward.teacher_KV,
            batch.weights_K,
            reverse=self.reverse,
            temperature=self.temperature,
            top_k=self.top_k,
        )

    def details(self) -> list[str]:
        kind = {0.0: "forward KL", 1.0: "reverse KL"}.get(self.reverse, f"{self.reverse:g} reverse KL")
        softened = [] if self.temperature == 1 else [f"temperature {self.temperature:g}"]
        cut = [] if self.top_k is None else [f"top {self.top_k}"]
        return [f"{kind} to {self.by.describe()}", *softened, *cut]


class Dpo(Objective):
    """Direct preference optimisation (Rafailov et al. 2023, equation 7): `-log sigmoid(beta * margin)`, averaged over pairs.

    The margin is the policy's log-likelihood ratio of chosen and rejected answer minus that of the base, in nats.

    Attributes:
        beta: strength of the pull to the base; with a smaller beta the policy may go further from the base.
    """

    title = "DPO"
    pairs = True
    name: Literal["dpo"] = "dpo"
    beta: float = Field(default=0.1, gt=0)

    @property
    def needs_base(self) -> bool:
        return True

    def __call__(self, forward: Forward, batch: Batch) -> Tensor:
        from torch.nn.functional import logsigmoid

        from cavesson.training.losses import log_likelihoods

        policy_K = log_likelihoods(forward.policy_KV, batch.targets_K)
        base_K = log_likelihoods(forward.base_KV, batch.targets_K)
        gains_D = batch.per_document((policy_K - base_K) * batch.weights_K / batch.unit)
        margins_P = gains_D[0::2] - gains_D[1::2]
        return -logsigmoid(self.beta * margins_P).sum() * batch.unit

    def details(self) -> list[str]:
        return [f"beta {self.beta:g}"]


AnyOnPolicy = Annotated[PolicyGradient | Reinforce | Ppo | Cispo, Field(discriminator="name")]
"""Every objective of reinforcement learning."""

AnyObjective = Annotated[
    Sft | Anchored | Supported | PolicyGradient | Reinforce | Ppo | Cispo | Distil | Dpo, Field(discriminator="name")
]
"""Every objective, told apart by its `name`. A new objective is added here."""
