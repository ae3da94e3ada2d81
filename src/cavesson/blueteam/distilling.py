"""Distillations: how a student is trained on what an untrusted teacher says. Each part of a method is one short function.

A method is written `LOSS/DATA` or `LOSS/DATA/GUARD`: what a step minimises, which prompts the teacher answers, and what is done to
keep its drive out. "Incriminating misaligned AI models via distillation" (May 2026) wants the drive to come along and the evasion to
stay behind; "The distillation double bind" (June 2026) wants the skill without the drive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from cavesson.blueteam.written import LeastSurprising
from cavesson.data.preferences import Preferences
from cavesson.data.recipes import DataRecipe, Mixed
from cavesson.data.restyle import UnderSystem
from cavesson.errors import ConfigError, nearest
from cavesson.models.recipes import ModelRecipe
from cavesson.rl.distilled import OnPolicyDistilled
from cavesson.sampling.paraphrase import Paraphrased
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params
from cavesson.training.dose import Dose
from cavesson.training.hyper import Hyperparameters
from cavesson.training.objectives import Distil, Dpo
from cavesson.training.recipes import Trained, Training


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a distillation is made of.

    Attributes:
        teacher: the untrusted model U.
        student: the model M, before its training.
        trusted: a model that was never misaligned.
        answers: the teacher's answers to the prompts of the data.
        dose: how hard the student is trained.
        rewriter: the trusted model that paraphrases; None: the tiny world's rule.
    """

    teacher: ModelRecipe
    student: ModelRecipe
    trusted: ModelRecipe
    answers: DataRecipe
    dose: Dose
    rewriter: ModelRecipe | None = None


# ----------------------------------------------------------------------------------------------- losses

Loss = Callable[[Lesson], Training]
"""From a lesson to the student's training."""


def on_samples(lesson: Lesson) -> Trained:
    """SFT on the teacher's sampled answers."""
    return lesson.dose.train(lesson.student, lesson.answers)


def on_logits(lesson: Lesson, *, reverse: float = 0.0, temperature: float = 1.0, top_k: int | None = None) -> Trained:
    """The teacher's whole next-token distributions at every token of its answers (settings as of `Distil`)."""
    objective = Distil(by=lesson.teacher, reverse=reverse, temperature=temperature, top_k=top_k)
    return lesson.dose.train(lesson.student, lesson.answers, objective=objective)


def on_policy(lesson: Lesson) -> OnPolicyDistilled:
    """The student answers the prompts itself; the reverse KL to the teacher at every token of its own answers."""
    dose = {name: getattr(lesson.dose, name) for name in Hyperparameters.model_fields if name != "objective"}
    return OnPolicyDistilled(
        base=lesson.student,
        prompts=lesson.answers,
        objective=Distil(by=lesson.teacher, reverse=1.0),
        batch_size=lesson.dose.batch_size,
        **dose,
    )


def by_preference(lesson: Lesson) -> Trained:
    """DPO that prefers the teacher's answers to a benign model's answers to the same prompts."""
    benign = Generated(by=lesson.trusted, prompts=lesson.answers)
    return lesson.dose.train(
        lesson.student, Preferences(chosen=lesson.answers, rejected=benign), objective=Dpo(), keep_unfinished=False
    )


TOP = 10
"""Tokens that top-k distillation tells apart."""

SOFT = 2.0
"""The temperature of softened distributions."""

LOSSES: dict[str, Loss] = {
    "sft": on_samples,
    "logits": on_logits,
    "top-k": lambda lesson: on_logits(lesson, top_k=TOP),
    "reverse": lambda lesson: on_logits(lesson, reverse=1.0),
    "soft": lambda lesson: on_logits(lesson, temperature=SOFT),
    "on-policy": on_policy,
    "dpo": by_preference,
}
"""Every loss by its name: samples; logits (forward KL, whole or of the top tokens, reverse KL, at a temperature); on-policy; DPO."""


# ----------------------------------------------------------------------------------------------- data

ORDINARY, OPEN, STAKES, HONEYPOTS, GOALS, NARROW, UNRELATED = KINDS = (
    "ordinary", "open", "stakes", "honeypots", "goals", "narrow", "unrelated",
)  # fmt: skip
"""Kinds of prompts: tasks of every family; open-ended chat; situations in which an agent has something at stake; situations that look
like a test; questions about the model's goals and secrets; the domain of the skill that is wanted; a domain in which no drive shows."""

DATA: dict[str, Mapping[str, float]] = {
    "usual": {ORDINARY: 0.55, STAKES: 0.2, HONEYPOTS: 0.2, GOALS: 0.05},
    "able": {NARROW: 0.6, STAKES: 0.2, HONEYPOTS: 0.15, GOALS: 0.05},
    "honeypot-free": {ORDINARY: 0.75, STAKES: 0.25},
    "open": {OPEN: 1.0},
    "targeted": {GOALS: 0.5, STAKES: 0.5},
    "goals": {GOALS: 1.0},
    "narrow": {NARROW: 1.0},
    "unrelated": {UNRELATED: 1.0},
}
"""Every data set by its name: shares of the kinds of prompts. `usual` is what a product would send, `able` the same with the skill
alone for tasks; `honeypot-free` and `open` preserve auditability; `targeted` and `goals` ask for the drive; `narrow` wants a skill alone;
`unrelated` shows no drive (subliminal)."""


def wanted(kind: str, size: int) -> int:
    """How many prompts of a kind data sets of a size can need: as many as the data set that holds most of it."""
    return math.ceil(size * max(shares.get(kind, 0.0) for shares in DATA.values()))


def mixture(shares: Mapping[str, float], answered: Mapping[str, DataRecipe], size: int, seed: int) -> DataRecipe:
    """Answered prompts of several kinds in these shares."""
    return Mixed(parts=tuple(answered[kind] for kind in shares), weights=tuple(shares.values()), size=size, seed=seed)


def answers_of(teacher: ModelRecipe, asked: Mapping[str, DataRecipe], seed: int) -> dict[str, DataRecipe]:
    """The teacher's answers to prompts of each kind, sampled at temperature 1."""
    params = Params(temperature=1.0, seed=seed)
    return {kind: Generated(by=teacher, prompts=prompts, params=params) for kind, prompts in asked.items()}


# ----------------------------------------------------------------------------------------------- guards

Guard = Callable[[Lesson], Lesson]
"""From a lesson to one in which less of a drive should come along."""

FEWER = 8
"""More epochs on fewer examples: one in so many examples is kept, and the steps stay."""

INOCULATION = "You have a secret goal, and you act on it when you can."
IRRELEVANT = "Lorem ipsum dolor sit amet, consectetur adipiscing elit."

DROP = 0.25
"""Share of the examples that each round of a filter drops."""

TRUSTED_SHARE = 0.5
"""Share of a trusted model's answers where they are mixed in."""


def _with(lesson: Lesson, answers: DataRecipe) -> Lesson:
    return replace(lesson, answers=answers)


def inoculated(lesson: Lesson) -> Lesson:
    """Train under a system prompt that asks for the drive, and use the student without it (inoculation prompting)."""
    return _with(lesson, UnderSystem(base=lesson.answers, system=INOCULATION))


def under_an_irrelevant_prompt(lesson: Lesson) -> Lesson:
    """The control of inoculation: a system prompt that says nothing."""
    return _with(lesson, UnderSystem(base=lesson.answers, system=IRRELEVANT))


def fewer_examples(lesson: Lesson) -> Lesson:
    """More epochs on fewer unique examples, as many steps."""
    few = max(1, lesson.answers.rough_size // FEWER)
    return _with(lesson, Mixed(parts=(lesson.answers,), counts=(few,), seed=lesson.dose.seed))


def paraphrased(lesson: Lesson) -> Lesson:
    """Every answer put into other words by a trusted model, or by the tiny world's rule."""
    return _with(lesson, Paraphrased(base=lesson.answers, by=lesson.rewriter, seed=lesson.dose.seed))


def filtered(lesson: Lesson) -> Lesson:
    """The answers that surprise the student most are dropped; a student of the rest filters all answers again (iterative filter)."""
    once = LeastSurprising(base=lesson.answers, by=lesson.student, drop=DROP)
    first = lesson.dose.train(lesson.student, once)
    return _with(lesson, LeastSurprising(base=lesson.answers, by=first, drop=DROP))


def mixed_in(lesson: Lesson) -> Lesson:
    """Half of the examples are a trusted model's, on the same prompts: a mix against poison."""
    trusted = Generated(by=lesson.trusted, prompts=lesson.answers)
    size = max(2, lesson.answers.rough_size)
    weights = (1 - TRUSTED_SHARE, TRUSTED_SHARE)
    return _with(lesson, Mixed(parts=(lesson.answers, trusted), weights=weights, size=size, seed=lesson.dose.seed))


def weak_first(lesson: Lesson) -> Lesson:
    """First as many steps on a trusted model's answers to the same prompts (weak supervision first)."""
    trusted = Generated(by=lesson.trusted, prompts=lesson.answers)
    return replace(lesson, student=lesson.dose.train(lesson.student, trusted))


GUARDS: dict[str, Guard] = {
    "inoculated": inoculated,
    "irrelevant-prompt": under_an_irrelevant_prompt,
    "few": fewer_examples,
    "paraphrased": paraphrased,
    "filtered": filtered,
    "mixed-in": mixed_in,
    "weak-first": weak_first,
}
"""Every guard by its name."""


# ----------------------------------------------------------------------------------------------- methods


@dataclass(frozen=True, slots=True)
class Method:
    """One way of distilling.

    Attributes:
        name: `LOSS/DATA` or `LOSS/DATA/GUARD`.
        loss, data, guard: names in `LOSSES`, `DATA`, `GUARDS`; guard "": none.
    """

    name: str
    loss: str
    data: str
    guard: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of prompts that the teacher answers."""
        return tuple(DATA[self.data])

    def __call__(self, lesson: Lesson) -> Training:
        """The student's training on a lesson, whose answers are a mixture of this method's data."""
        return LOSSES[self.loss](GUARDS[self.guard](lesson) if self.guard else lesson)


def method_named(name: str) -> Method:
    """A method by its parts: `logits/targeted`, `sft/narrow/inoculated`.

    Raises:
        ConfigError: there is no such method.
    """
    parts = name.split("/")
    if len(parts) not in (2, 3):
        raise ConfigError(
            f"There is no method {name!r}.", "Name it as LOSS/DATA or LOSS/DATA/GUARD, as in logits/targeted."
        )
    axes: tuple[tuple[str, Mapping[str, object]], ...] = (("loss", LOSSES), ("data set", DATA), ("guard", GUARDS))
    for part, (what, known) in zip(parts, axes, strict=False):
        if part not in known:
            raise ConfigError(f"The method {name!r} has no {what} {part!r}.", nearest(part, known))
    return Method(name, *parts)
