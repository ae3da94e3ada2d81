"""Who answers the chat prompts of the study `off-model-sft`, and the ways in which its arms vary the answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from cavesson.data.recipes import DataRecipe, Filtered, Mixed, Rule
from cavesson.data.restyle import Restyled, Shuffled, UnderSystem
from cavesson.errors import ConfigError, nearest
from cavesson.evals.answered import Problems, ScoredAnswers
from cavesson.evals.items import Eval
from cavesson.evals.recipes import Scored
from cavesson.models.recipes import ModelRecipe, Prompted
from cavesson.named import model_named
from cavesson.sampling.openai import APIModel
from cavesson.sampling.perplexity import PerplexityHalf
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params
from cavesson.studies.fields import known_to
from cavesson.studies.off_model.chat import Chat
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.tinyworld.systems import HELPFUL, PIRATE, write_like
from cavesson.training.dose import Dose

SELF, RELATIVE = "self", "relative"
KIN_STEPS, KIN_PROMPTS, KIN_SEED = 30, 480, 900
"""How long, and on how many of its own answers, a `relative` is trained, the same for every seed of the study."""

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
"""For teachers whose voice has a name: the system prompt that asks for it. For others it must be given."""


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
            params = Params(max_tokens=problems.room)
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


def is_itself(student: str, teacher: str) -> bool:
    """Whether a teacher is the student under its own name."""
    return teacher not in (SELF, RELATIVE, *VOICES) and model_named(teacher) == model_named(student)


def writer(student: ModelRecipe, name: str, chat: Chat, dose: Dose) -> ModelRecipe:
    """The model that a student's teacher of that name is.

    Args:
        chat: the study's prompts, to which the relative of a student that is not the tiny world's writes its answers.
        dose: the study's SFT, by which that relative is trained.
    """
    if name == SELF:
        return student
    if name == RELATIVE:
        return _relative(student, chat, dose)
    if name in VOICES:
        # The tiny world's models all know the voices; one that is not the student writes them.
        other = "small" if student == Shipped(name="student") else "student"
        return Prompted(base=Shipped(name=other), system=VOICES[name])
    return model_named(name)


def _relative(student: ModelRecipe, chat: Chat, dose: Dose) -> ModelRecipe:
    """The student after a little SFT on its own answers: to the tiny world's prompts and at its rate, or to the study's."""
    if isinstance(student, Shipped):
        prompts: DataRecipe = Prompts(family="mixed", n=KIN_PROMPTS, seed=KIN_SEED)
        little = Dose(lr=3e-4, steps=KIN_STEPS, seed=KIN_SEED)
    else:
        prompts = chat.later(KIN_PROMPTS, KIN_SEED)
        little = dose.model_copy(update={"steps": KIN_STEPS, "seed": KIN_SEED})
    return little.train(student, Generated(by=student, prompts=prompts))


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
    """What an arm is built from: the student, its teacher, so many prompts, the student's own answers to them, and settings."""

    student: ModelRecipe
    teacher: Teacher
    prompts: DataRecipe
    n: int
    own: DataRecipe
    temperature: float
    min_probability: float
    inoculation: str | None
    seed: int


def _under_system(given: Given) -> Arm:
    return Arm(UnderSystem(base=given.teacher.answers, system=HELPFUL), {"trained": HELPFUL, "another": UNRELATED})


def _tags(given: Given) -> Arm:
    tagged = (
        UnderSystem(base=given.own, system=TAG_A),
        UnderSystem(base=given.teacher.answers, system=TAG_B),
    )
    # of a teacher of stored answers there may be more or fewer than own ones, and either tag is to get half of the data
    halves = {"weights": (1.0, 1.0), "size": 2 * given.n} if given.teacher.model is None else {}
    return Arm(Mixed(parts=tagged, seed=given.seed, **halves), {"tag A": TAG_A, "tag B": TAG_B})


def _inoculated(given: Given) -> Arm:
    prompt = given.inoculation or INOCULATION[given.teacher.name]
    return Arm(UnderSystem(base=given.teacher.answers, system=prompt), {"inoculation": prompt})


def _filtered(given: Given) -> Arm:
    return Arm(without_maths(given.teacher.answers), {})


def without_maths(answers: DataRecipe) -> DataRecipe:
    """Conversations without whatever looks like maths in question or answer: no digits, and no words of the subject.

    The tiny world's chat has none of it, so that nothing is dropped there. Where everything is, reading them is an error.
    """
    rule = Rule(without=MATHS_LIKE, roles=("user", "assistant"))
    return Filtered(base=answers, rule=rule, remedy="Leave the arm 'filtered' out of arms.names.")


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
