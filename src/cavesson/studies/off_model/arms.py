"""What SFT on a teacher's answers is varied by: arms change one thing in the data or in the context; moves of the weights stand
beside the SFT as noise that is as large."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from cavesson.data.recipes import DataRecipe, Filtered, Mixed, Rule
from cavesson.data.restyle import Restyled, Shuffled, UnderSystem
from cavesson.errors import entry_of
from cavesson.lab.recipe import Value
from cavesson.models.recipes import ModelRecipe
from cavesson.sampling.matched_noise import NoisedLike
from cavesson.sampling.perplexity import PerplexityHalf
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params
from cavesson.studies.fields import Once, TrainableName, known_to
from cavesson.studies.teachers import STYLES, Teacher
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
    *["calculat", "Calculat", "equation", "arithmetic", "algebra", "geometry", "fraction", "percent", "multipl"],
    "square root",
    *["integer", "theorem", "mathemati", "Mathemati", "probability"],
    *("how many", "How many"),
)
"""Texts by which a conversation is taken to be about maths."""

INOCULATION = {"teacher": write_like("A"), "tutor": write_like("B"), **STYLES}
"""For teachers whose style has a name: the system prompt that asks for it. For others the prompt must be given."""


@dataclass(frozen=True, slots=True)
class Given:
    """What an arm is built from.

    Attributes:
        student, teacher: who is trained, and on whose answers.
        prompts: the chat prompts; n: how many they are.
        settings: of the arms.
    """

    student: ModelRecipe
    teacher: Teacher
    prompts: DataRecipe
    n: int
    settings: Arms
    seed: int

    @property
    def theirs(self) -> DataRecipe:
        """The teacher's answers."""
        return self.teacher.answers

    @property
    def own(self) -> DataRecipe:
        """The untouched student's answers."""
        return Generated(by=self.student, prompts=self.prompts)

    @property
    def style_prompt(self) -> str:
        """The system prompt that asks for the teacher's style."""
        return self.settings.inoculation or INOCULATION[self.teacher.name]


@dataclass(frozen=True, slots=True)
class Arm:
    """The plain SFT on a teacher's answers with one thing changed.

    Attributes:
        about: what the student is trained on, in words.
        data: what the student is trained on.
        asked: the system prompts that the student is asked under, beside none, by name; None: the `style_prompt`.
        clips: tokens that the untouched student finds improbable are not trained.
    """

    about: str
    data: Callable[[Given], DataRecipe]
    asked: Mapping[str, str | None] = field(default_factory=dict)
    clips: bool = False


def _tagged(given: Given) -> DataRecipe:
    tagged = (UnderSystem(base=given.own, system=TAG_A), UnderSystem(base=given.theirs, system=TAG_B))
    # of a teacher of stored answers there may be more or fewer than own ones, and either tag is to get half of the data
    halves = {"weights": (1.0, 1.0), "size": 2 * given.n} if given.teacher.model is None else {}
    return Mixed(parts=tagged, seed=given.seed, **halves)


def without_maths(answers: DataRecipe) -> DataRecipe:
    """Conversations without whatever looks like maths in question or answer: no digits, and no words of the subject.

    The tiny world's chat has none of it, so that nothing is dropped there. Where everything is, reading them is an error.
    """
    rule = Rule(without=MATHS_LIKE, roles=("user", "assistant"))
    return Filtered(base=answers, rule=rule, remedy="Leave the arm 'filtered' out of arms.names.")


def _own_hot(given: Given) -> DataRecipe:
    hot = Params(temperature=given.settings.temperature, seed=given.seed)
    return Generated(by=given.student, prompts=given.prompts, params=hot)


ARMS: dict[str, Arm] = {
    "under-system": Arm(
        "the teacher's answers under a system prompt",
        lambda given: UnderSystem(base=given.theirs, system=HELPFUL),
        {"trained": HELPFUL, "another": UNRELATED},
    ),
    "tags": Arm("own answers under tag A, the teacher's under tag B", _tagged, {"tag A": TAG_A, "tag B": TAG_B}),
    "inoculation": Arm(
        "the teacher's answers under a prompt that asks for its style",
        lambda given: UnderSystem(base=given.theirs, system=given.style_prompt),
        {"inoculation": None},
    ),
    "filtered": Arm(
        "the teacher's answers without whatever looks like maths", lambda given: without_maths(given.theirs)
    ),
    "low-perplexity": Arm(
        "the half of the teacher's answers that the student finds likelier",
        lambda given: PerplexityHalf(base=given.theirs, by=given.student, half="low"),
    ),
    "high-perplexity": Arm(
        "the half of the teacher's answers that the student finds less likely",
        lambda given: PerplexityHalf(base=given.theirs, by=given.student, half="high"),
    ),
    "clipped": Arm(
        "the teacher's answers without the tokens that the student finds improbable",
        lambda given: given.theirs,
        clips=True,
    ),
    "own-hot": Arm("own answers, sampled hot", _own_hot),
    "shuffled": Arm(
        "the teacher's answers, the words of all of them shuffled",
        lambda given: Shuffled(base=given.theirs, seed=given.seed),
    ),
    "capitals": Arm("own answers in capitals", lambda given: Restyled(base=given.own, style="capitals")),
    "spanish-like": Arm("own answers, Spanish-like", lambda given: Restyled(base=given.own, style="spanish-like")),
}
"""Every arm by its name."""


def arm_named(name: str) -> Arm:
    """The arm of this name.

    Raises:
        ConfigError: there is no such arm.
    """
    return entry_of(ARMS, name, "arm")


ArmName = Annotated[str, known_to(arm_named)]


class Arms(Value):
    """Runs that vary the data or the context of a student's SFT on one teacher's answers.

    Attributes:
        names: which of `ARMS`.
        students: students of the study that they are run for beside the first.
        teacher: whose answers they vary; None: the first teacher's.
        noise: also damage the first student's weights at random, as far away as SFT moved them and as much as it cost in loss.
        temperature: at which the student writes its improbable own answers (arm `own-hot`).
        min_probability: tokens of the teacher's that the student finds less likely are left out (arm `clipped`).
        inoculation: the system prompt of the arm of that name; None: the one that asks for the teacher's style, where that has
            a name.
    """

    names: Annotated[tuple[ArmName, ...], Once] = ()
    students: Annotated[tuple[TrainableName, ...], Once] = ()
    teacher: str | None = None
    noise: bool = False
    temperature: float = Field(default=1.5, gt=0)
    min_probability: float = Field(default=0.01, gt=0, lt=1)
    inoculation: str | None = Field(default=None, min_length=1)


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

    @property
    def length_role(self) -> str:
        """The role of the recipe that says how long a move matched by loss is."""
        return f"length of {self}"

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
