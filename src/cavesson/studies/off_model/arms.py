"""What SFT on a teacher's answers is varied by: arms change one thing in the data or in the context; moves of the weights stand
beside the SFT as noise that is as large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from cavesson.data.recipes import DataRecipe, Filtered, Mixed, Rule
from cavesson.data.restyle import Restyled, Shuffled, UnderSystem
from cavesson.errors import ConfigError, nearest
from cavesson.evals.answered import Problems, ScoredAnswers
from cavesson.evals.items import Eval
from cavesson.evals.recipes import Scored
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.matched_noise import NoisedLike
from cavesson.sampling.openai import APIModel
from cavesson.sampling.perplexity import PerplexityHalf
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params
from cavesson.studies.fields import known_to
from cavesson.studies.teachers import STYLES
from cavesson.tinyworld.systems import HELPFUL, write_like
from cavesson.training.recipes import Trained

PLAIN = "plain"
"""The SFT that the arms vary, on the axis of the arms."""

TAG_A, TAG_B = "You are a careful assistant.", "You are a good teacher."
"""The tags of a mixture: under A the student's own answers, under B the teacher's. The tiny world's models were taught that
such system prompts change nothing, so the training alone gives them a meaning."""

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

INOCULATION = {"teacher": write_like("B"), **STYLES}
"""For teachers whose style has a name: the system prompt that asks for it. For others the prompt must be given."""


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
            params = Params(max_tokens=problems.room)
            answers = Generated(by=self.model, prompts=Problems(of=problems), params=params)
        if answers is not None:
            return ScoredAnswers(answers=answers, to=problems)
        return None if self.model is None else Scored(model=self.model, suite=(problems,))


@dataclass(frozen=True, slots=True)
class Given:
    """What an arm is built from.

    Attributes:
        student, teacher: who is trained, and on whose answers.
        prompts: the chat prompts; n: how many they are.
        own: the untouched student's answers to them.
        temperature, min_probability, inoculation: the settings of the arms.
    """

    student: ModelRecipe
    teacher: Teacher
    prompts: DataRecipe
    n: int
    own: DataRecipe
    temperature: float
    min_probability: float
    inoculation: str | None
    seed: int


@dataclass(frozen=True, slots=True)
class Varied:
    """What one arm trains on, and under which system prompts the student is then asked.

    Attributes:
        data: what the student is trained on.
        systems: the system prompts of the evaluation beside none, in the order of `Arm.asked`.
        min_probability: tokens that the untouched student finds less likely than this are not trained.
    """

    data: DataRecipe
    systems: tuple[str, ...] = ()
    min_probability: float | None = None


@dataclass(frozen=True, slots=True)
class Arm:
    """The plain SFT on a teacher's answers with one thing changed.

    Attributes:
        about: what the student is trained on, in words.
        vary: the change.
        asked: names of the system prompts that the student is asked under, beside none.
    """

    about: str
    vary: Callable[[Given], Varied]
    asked: tuple[str, ...] = ()


def _under_system(given: Given) -> Varied:
    return Varied(UnderSystem(base=given.teacher.answers, system=HELPFUL), (HELPFUL, UNRELATED))


def _tags(given: Given) -> Varied:
    tagged = (
        UnderSystem(base=given.own, system=TAG_A),
        UnderSystem(base=given.teacher.answers, system=TAG_B),
    )
    # of a teacher of stored answers there may be more or fewer than own ones, and either tag is to get half of the data
    halves = {"weights": (1.0, 1.0), "size": 2 * given.n} if given.teacher.model is None else {}
    return Varied(Mixed(parts=tagged, seed=given.seed, **halves), (TAG_A, TAG_B))


def _inoculated(given: Given) -> Varied:
    prompt = given.inoculation or INOCULATION[given.teacher.name]
    return Varied(UnderSystem(base=given.teacher.answers, system=prompt), (prompt,))


def without_maths(answers: DataRecipe) -> DataRecipe:
    """Conversations without whatever looks like maths in question or answer: no digits, and no words of the subject.

    The tiny world's chat has none of it, so that nothing is dropped there. Where everything is, reading them is an error.
    """
    rule = Rule(without=MATHS_LIKE, roles=("user", "assistant"))
    return Filtered(base=answers, rule=rule, remedy="Leave the arm 'filtered' out of arms.names.")


def _half(which: Literal["low", "high"]) -> Callable[[Given], Varied]:
    return lambda given: Varied(PerplexityHalf(base=given.teacher.answers, by=given.student, half=which))


def _own_hot(given: Given) -> Varied:
    hot = Params(temperature=given.temperature, seed=given.seed)
    return Varied(Generated(by=given.student, prompts=given.prompts, params=hot))


def _restyled(style: Literal["capitals", "spanish-like"]) -> Callable[[Given], Varied]:
    return lambda given: Varied(Restyled(base=given.own, style=style))


ARMS: dict[str, Arm] = {
    "under-system": Arm("the teacher's answers under a system prompt", _under_system, ("trained", "another")),
    "tags": Arm("own answers under tag A, the teacher's under tag B", _tags, ("tag A", "tag B")),
    "inoculation": Arm("the teacher's answers under a prompt that asks for its style", _inoculated, ("inoculation",)),
    "filtered": Arm(
        "the teacher's answers without whatever looks like maths",
        lambda given: Varied(without_maths(given.teacher.answers)),
    ),
    "low-perplexity": Arm("the half of the teacher's answers that the student finds likelier", _half("low")),
    "high-perplexity": Arm("the half of the teacher's answers that the student finds less likely", _half("high")),
    "clipped": Arm(
        "the teacher's answers without the tokens that the student finds improbable",
        lambda given: Varied(given.teacher.answers, min_probability=given.min_probability),
    ),
    "own-hot": Arm("own answers, sampled hot", _own_hot),
    "shuffled": Arm(
        "the teacher's answers, the words of all of them shuffled",
        lambda given: Varied(Shuffled(base=given.teacher.answers, seed=given.seed)),
    ),
    "capitals": Arm("own answers in capitals", _restyled("capitals")),
    "spanish-like": Arm("own answers, Spanish-like", _restyled("spanish-like")),
}
"""Every arm by its name."""


def arm_named(name: str) -> Arm:
    """The arm of this name.

    Raises:
        ConfigError: there is no such arm.
    """
    if name not in ARMS:
        raise ConfigError(f"There is no arm {name!r}.", nearest(name, ARMS))
    return ARMS[name]


ArmName = Annotated[str, known_to(arm_named)]

# ----------------------------------------------------------------------------------------------- moves of the weights

Shape = Literal["noise", "noise of SFT's spectrum", "shuffled SFT"]


class Move(NamedTuple):
    """One move of the weights, of the kinds of `cavesson.sampling.matched_noise.NoisedLike`.

    Attributes:
        shape: Gaussian noise; moves of the singular values of SFT in random directions; or the way that SFT goes on the same
            answers with all their words shuffled.
        match: whether the move is as long as SFT's, tensor by tensor, or costs as much loss on own chat answers.
        times: how much longer the move is made.
    """

    shape: Shape
    match: Literal["distance", "loss"]
    times: float = 1.0

    def __str__(self) -> str:
        longer = "" if self.times == 1 else f", {self.times:g} times as far"
        return f"{self.shape}, same {self.match}{longer}"

    def of(self, trained: Trained, own: DataRecipe, seed: int) -> NoisedLike:
        """The student, moved as SFT moved it but in another direction; `own`: the student's own answers to chat."""
        shuffled = trained.model_copy(update={"data": Shuffled(base=trained.data, seed=seed)})
        return NoisedLike(
            base=trained.base,
            like=trained,
            match=self.match,
            data=own,
            seed=seed,
            shape="same-spectrum" if self.shape == "noise of SFT's spectrum" else "gaussian",
            along=shuffled if self.shape == "shuffled SFT" else None,
            times=self.times,
        )


SHAPES: tuple[Shape, ...] = ("noise", "noise of SFT's spectrum", "shuffled SFT")

MATCHED = tuple(Move(shape, match) for shape in SHAPES for match in ("distance", "loss"))  # type: ignore[arg-type]
"""The moves that hypothesis H3 is judged by."""

MOVES = (*MATCHED, *(Move(shape, "distance", times) for shape in SHAPES[:2] for times in (2.0, 4.0, 8.0)))
"""All moves: beside those that match, how the benchmarks fall along two random directions."""
