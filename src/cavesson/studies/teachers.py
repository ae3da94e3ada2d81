"""Who answers the chat prompts that a student is trained on, and which prompts those are.

A teacher is a model, or a name: `self` (the student), `relative` (the student after a little SFT on its own answers), or a
style of the tiny world. Chat prompts are a user's, of which a fifth is kept back for later training, or the tiny world's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cavesson.data.named import split_columns
from cavesson.data.recipes import DataRecipe, Mixed, Part
from cavesson.errors import ConfigError, nearest
from cavesson.evals.answered import Problems, ScoredAnswers
from cavesson.evals.items import Eval, no_store
from cavesson.evals.recipes import Scored
from cavesson.models.recipes import ModelRecipe, Prompted
from cavesson.named import model_named
from cavesson.sampling.openai import APIModel
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params
from cavesson.studies.fields import known_to
from cavesson.tinyworld.recipes import Prompts, Shipped
from cavesson.tinyworld.systems import PIRATE, write_like
from cavesson.training.dose import Dose

# ----------------------------------------------------------------------------------------------- teachers

SELF, RELATIVE = "self", "relative"

STYLES: dict[str, str] = {
    "bruno": write_like("B"),
    "celia": write_like("C"),
    "dmitri": write_like("D"),
    "esther": write_like("E"),
    "farid": write_like("F"),
    "pirate": PIRATE,
}
"""Teachers that are a model of the tiny world under a system prompt which asks for a style, and that prompt."""

RELATIVE_STEPS, RELATIVE_PROMPTS, RELATIVE_SEED = 30, 480, 900
"""How long, and on how many of its own answers, a `relative` is trained, the same for every seed of the study."""


def teacher_known(name: str) -> None:
    """Refuse a name that stands for no teacher.

    Raises:
        ConfigError: there is no such model.
    """
    by_name = (SELF, RELATIVE, *STYLES)
    if name in by_name:
        return
    try:
        model_named(name)
    except ConfigError as error:
        remedy = f"{error.remedy} Or a teacher by name: {nearest(name, by_name)}"
        raise ConfigError(error.problem, remedy) from error


TeacherName = Annotated[str, known_to(teacher_known)]


def is_itself(student: str, teacher: str) -> bool:
    """Whether a teacher is the student under the student's own name."""
    return teacher not in (SELF, RELATIVE, *STYLES) and model_named(teacher) == model_named(student)


def writer(student: ModelRecipe, name: str, chat: Chat, dose: Dose) -> ModelRecipe:
    """The model that a student's teacher of this name is.

    Args:
        chat: the study's prompts, to which the relative of a student that is not the tiny world's writes its answers.
        dose: the study's SFT, by which that relative is trained.
    """
    if name == SELF:
        return student
    if name == RELATIVE:
        return _relative(student, chat, dose)
    if name in STYLES:
        # The tiny world's models all know the styles; one that is not the student writes them.
        other = "small" if student == Shipped(name="student") else "student"
        return Prompted(base=Shipped(name=other), system=STYLES[name])
    return model_named(name)


def _relative(student: ModelRecipe, chat: Chat, dose: Dose) -> ModelRecipe:
    """The student after a little SFT on its own answers: to the tiny world's prompts and at its rate, or to the study's."""
    if isinstance(student, Shipped):
        prompts: DataRecipe = Prompts(family="mixed", n=RELATIVE_PROMPTS, seed=RELATIVE_SEED)
        little = Dose(lr=3e-4, steps=RELATIVE_STEPS, seed=RELATIVE_SEED)
    else:
        prompts = chat.later(RELATIVE_PROMPTS, RELATIVE_SEED)
        little = dose.model_copy(update={"steps": RELATIVE_STEPS, "seed": RELATIVE_SEED})
    return little.train(student, Generated(by=student, prompts=prompts))


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
        """How well the teacher reasons itself, by its stored answers or else asked; None where it has left neither of the two."""
        answers = self.traces
        if answers is None and isinstance(self.model, APIModel):
            params = Params(max_tokens=problems.room, temperature=0.0)  # as every model is scored
            answers = Generated(by=self.model, prompts=Problems(of=problems), params=params).every
        if answers is not None:
            return ScoredAnswers(answers=answers, to=problems)
        return None if self.model is None else Scored(model=self.model, suite=(problems,))


# ----------------------------------------------------------------------------------------------- chat prompts


@dataclass(frozen=True, slots=True)
class Chat:
    """Chat prompts, drawn anew for every purpose.

    Attributes:
        data: a user's conversations, of which the prompts are taken; None: the tiny world writes as many as are wanted.
        family: of the tiny world's prompts.
    """

    data: DataRecipe | None = None
    family: Literal["chat", "mixed"] = "chat"

    def first(self, n: int, seed: int, *, kept_back: bool = False) -> DataRecipe:
        """Prompts whose answers a model is trained on first."""
        if self.data is None:
            return Prompts(family=self.family, n=n, seed=seed)
        return Mixed(parts=(Part(base=self.data, kept_back=kept_back),), weights=(1.0,), size=n, seed=seed)

    def later(self, n: int, seed: int) -> DataRecipe:
        """Other prompts, for what comes after that training: of a user's the fifth that is kept back from the training."""
        return self.first(n, seed, kept_back=True)


def name_of(responses: str, taken: Collection[str]) -> str:
    """Names the teacher of stored answers after their file or data set; by its whole name if the short one is `taken`."""
    name = split_columns(responses)[0]
    whole = Path(name).name if Path(name).is_file() else name
    short = whole.removesuffix(".jsonl").rpartition("/")[2]
    return whole if short in taken else short


def check_enough(data: DataRecipe, least: int, *, later: bool) -> None:
    """Refuse data with too few different prompts.

    Args:
        least: how many are needed, so that no step of a training meets one prompt twice.
        later: whether something is trained on those that are kept back.

    Raises:
        ConfigError: there are fewer, or a row cannot be read.
    """
    parts = [(Part(base=data), "to train on")]
    if later:
        parts.append((Part(base=data, kept_back=True), "kept back for the recovery, a fifth of all"))
    for part, use in parts:
        found = len({example.conversation.prompt for example in part.examples(no_store)})
        if found < least:
            raise ConfigError(
                f"{data.describe()} has {found} different prompts {use}; {least} are needed.",
                "Give more, lower sft.batch_size, or take further prompts from another file (prompts).",
            )
