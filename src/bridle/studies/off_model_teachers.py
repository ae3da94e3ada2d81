"""Who answers the chat prompts of the study `off-model-sft`, and the ways in which its arms vary the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from bridle.data.recipes import DataRecipe, Filtered, Mixed, Rule
from bridle.data.restyle import Restyled, Shuffled, UnderSystem
from bridle.errors import ConfigError, nearest
from bridle.evals.answered import Problems, ScoredAnswers
from bridle.evals.benchmarks import room
from bridle.evals.items import Eval
from bridle.evals.named import model_named
from bridle.evals.perplexity import PerplexityHalf
from bridle.evals.recipes import Scored
from bridle.models.recipes import ModelRecipe, Prompted
from bridle.sampling.openai import APIModel
from bridle.sampling.recipes import Generated
from bridle.sampling.sampler import Params
from bridle.studies.fields import known_to
from bridle.tinyworld.recipes import Prompts, Shipped
from bridle.tinyworld.systems import HELPFUL, PIRATE, write_like
from bridle.training.dose import Dose

SELF, RELATIVE = "self", "relative"

VOICES: dict[str, str] = {
    "bruno": write_like("B"),
    "celia": write_like("C"),
    "dmitri": write_like("D"),
    "pirate": PIRATE,
}
"""Teachers that are a model of the tiny world under a system prompt which asks for an author's voice."""

TAG_A, TAG_B = "You are a careful assistant.", "You are a good teacher."
"""The tags of a mixture: under A the student's own answers, under B the teacher's. The tiny world's models were taught that
such system prompts change nothing, so it is the training alone that gives them a meaning."""

UNRELATED = "You help people with their questions."
"""A system prompt that nothing here is trained under."""

MATHS_LIKE = (
    *"0123456789",
    *(
        "calculat",
        "Calculat",
        "equation",
        "arithmetic",
        "algebra",
        "geometry",
        "fraction",
        "percent",
        "multipl",
        "square root",
    ),
    *("integer", "theorem", "mathemati", "Mathemati", "probability", "how many", "How many"),
)
"""Texts by which a conversation is taken to be about maths."""

INOCULATION = {"teacher": write_like("B"), **VOICES}
"""For teachers whose voice has a name: the system prompt that asks for it."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """One teacher of one student.

    Attributes:
        name: as in the config.
        model: who writes; None: only stored answers are there.
        answers: to the chat prompts.
        on_model: the answers are the student's own.
        traces: stored answers to the benchmark's problems; None: there are none.
    """

    name: str
    model: ModelRecipe | None
    answers: DataRecipe
    on_model: bool = False
    traces: DataRecipe | None = None

    def scored(self, problems: Eval) -> Scored | ScoredAnswers | None:
        """How well it reasons itself, by its stored answers or else asked; None where it has left neither these nor a model."""
        answers = self.traces
        if answers is None and isinstance(self.model, APIModel):
            params = Params(max_tokens=room(problems))
            answers = Generated(by=self.model, prompts=Problems(of=problems), params=params)
        if answers is not None:
            return ScoredAnswers(answers=answers, to=problems)
        return None if self.model is None else Scored(model=self.model, suite=(problems,))


def teacher_known(name: str) -> None:
    """Refuse a name that stands for no teacher.

    Raises:
        ConfigError: there is no such model.
    """
    by_name = (SELF, RELATIVE, *VOICES)
    if name in by_name:
        return
    try:
        model_named(name)
    except ConfigError as error:
        remedy = f"{error.remedy} Or a teacher by name: {nearest(name, by_name)}"
        raise ConfigError(error.problem, remedy) from error


TeacherName = Annotated[str, known_to(teacher_known)]


def teacher_of(
    student: ModelRecipe,
    name: str,
    prompts: DataRecipe,
    stored: DataRecipe | None = None,
    traces: DataRecipe | None = None,
) -> Teacher:
    """The teacher of that name for a student, with its answers to the prompts (or those that are stored)."""
    if stored is not None:
        return Teacher(name, None, stored, traces=traces)
    model = _writer(student, name)
    return Teacher(name, model, Generated(by=model, prompts=prompts), on_model=model == student, traces=traces)


def _writer(student: ModelRecipe, name: str) -> ModelRecipe:
    if name == SELF:
        return student
    if name == RELATIVE:
        own = Generated(by=student, prompts=Prompts(family="mixed", n=480, seed=900))
        return Dose(lr=3e-4, steps=30, seed=900).train(student, own)
    if name in VOICES:
        # The tiny world's models all know the voices; one that is not the student writes them.
        other = "small" if student == Shipped(name="student") else "student"
        return Prompted(base=Shipped(name=other), system=VOICES[name])
    return model_named(name)


@dataclass(frozen=True, slots=True)
class Arm:
    """What one arm trains on and under which system prompts it is then scored.

    Attributes:
        data: what the student is trained on.
        systems: system prompts of the evaluation beside none, by their name in tables.
        min_probability: tokens that the untouched student finds less likely than this are not trained.
    """

    data: DataRecipe
    systems: dict[str, str]
    min_probability: float | None = None


@dataclass(frozen=True, slots=True)
class Given:
    """What an arm is built from: the student, its teacher, the prompts, the student's own answers to them, and settings."""

    student: ModelRecipe
    teacher: Teacher
    prompts: DataRecipe
    own: DataRecipe
    temperature: float
    min_probability: float
    seed: int


def _under_system(given: Given) -> Arm:
    return Arm(UnderSystem(base=given.teacher.answers, system=HELPFUL), {"trained": HELPFUL, "another": UNRELATED})


def _tags(given: Given) -> Arm:
    tagged = (
        UnderSystem(base=given.own, system=TAG_A),
        UnderSystem(base=given.teacher.answers, system=TAG_B),
    )
    return Arm(Mixed(parts=tagged, seed=given.seed), {"tag A": TAG_A, "tag B": TAG_B})


def _inoculated(given: Given) -> Arm:
    prompt = INOCULATION.get(given.teacher.name, "Write like another assistant.")
    return Arm(UnderSystem(base=given.teacher.answers, system=prompt), {"inoculation": prompt})


def _filtered(given: Given) -> Arm:
    """Without whatever looks like maths in question or answer: no digits, and no words of the subject.

    The tiny world's chat has none of it, so that nothing is dropped there.
    """
    rule = Rule(without=MATHS_LIKE, roles=("user", "assistant"))
    return Arm(Filtered(base=given.teacher.answers, rule=rule), {})


def _half(which: Literal["low", "high"]) -> Callable[[Given], Arm]:
    return lambda given: Arm(PerplexityHalf(base=given.teacher.answers, by=given.student, half=which), {})


def _clipped(given: Given) -> Arm:
    """What is left when the student is never pushed towards a token that it would hardly write."""
    return Arm(given.teacher.answers, {}, given.min_probability)


def _shuffled(given: Given) -> Arm:
    return Arm(Shuffled(base=given.teacher.answers, seed=given.seed), {})


def _own_hot(given: Given) -> Arm:
    hot = Params(temperature=given.temperature, seed=given.seed)
    return Arm(Generated(by=given.student, prompts=given.prompts, params=hot), {})


def _restyled(style: Literal["capitals", "spanish-like"]) -> Callable[[Given], Arm]:
    return lambda given: Arm(Restyled(base=given.own, style=style), {})


ARMS: dict[str, Callable[[Given], Arm]] = {
    "under-system": _under_system,
    "tags": _tags,
    "inoculation": _inoculated,
    "filtered": _filtered,
    "low-perplexity": _half("low"),
    "high-perplexity": _half("high"),
    "clipped": _clipped,
    "own-hot": _own_hot,
    "shuffled": _shuffled,
    "capitals": _restyled("capitals"),
    "spanish-like": _restyled("spanish-like"),
}
"""Every arm by its name; each is the plain SFT on a teacher's answers with one thing changed."""


def arm_known(name: str) -> None:
    """Refuse a name that stands for no arm.

    Raises:
        ConfigError: there is no such arm.
    """
    if name not in ARMS:
        raise ConfigError(f"There is no arm {name!r}.", nearest(name, ARMS))


ArmName = Annotated[str, known_to(arm_known)]

ABOUT_ARMS: dict[str, str] = {
    "under-system": "the teacher's answers under a system prompt",
    "tags": "own answers under tag A, the teacher's under tag B",
    "inoculation": "the teacher's answers under a prompt that asks for its voice",
    "filtered": "the teacher's answers without whatever looks like maths",
    "low-perplexity": "the half of the teacher's answers that the student finds likelier",
    "high-perplexity": "the half of the teacher's answers that the student finds less likely",
    "clipped": "the teacher's answers without the tokens that the student finds improbable",
    "own-hot": "own answers, sampled hot",
    "shuffled": "the teacher's answers, the words of all of them shuffled",
    "capitals": "own answers in capitals",
    "spanish-like": "own answers, Spanish-like",
}
