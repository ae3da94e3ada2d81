"""The config of `off-model-sft`: students, teachers, ways of training, recoveries, and what is varied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cavesson.data.everyday import EVERYDAY
from cavesson.data.named import data_named
from cavesson.data.recipes import Part
from cavesson.evals.answered import answers_to
from cavesson.evals.benchmarks import benchmark_named
from cavesson.evals.items import no_store
from cavesson.lab.recipe import Value
from cavesson.models.recipes import LoRA
from cavesson.studies.fields import DataName, Once, Rising, TakesData, TrainableName, checked, distinct
from cavesson.studies.off_model.arms import ARMS, INOCULATION, Arms, without_maths
from cavesson.studies.settings import Evaluation, Phase
from cavesson.studies.sizes import REAL_BLUE, REAL_INPUTS, Size
from cavesson.studies.teachers import (
    RELATIVE,
    SELF,
    STYLES,
    Chat,
    TeacherName,
    check_enough,
    is_itself,
    name_of,
    teacher_known,
)
from cavesson.tinyworld.recipes import shipped_names
from cavesson.tinyworld.tasks import FAMILIES
from cavesson.training.dose import Dose
from cavesson.training.given import check_trainable

Later = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Rising]
"""Numbers of steps or iterations after which a student is scored; before the first, it is scored always."""


class Sft(Phase):
    """SFT on a teacher's answers to chat prompts.

    The default rate of the tiny world is the highest of 2e-4, 5e-4, 1e-3 and 2e-3 at which SFT on the student's own answers costs
    no benchmark more than a point (docs/off-model-sft.md): what is lost with other answers is then not lost to the rate.

    Attributes:
        lora, full: learning rate of a low-rank and of a full-weight run; None: that kind of run is left out.
        rank: of the adapter.
    """

    lora: float | None = Field(default=5e-4, gt=0)
    full: float | None = Field(default=None, gt=0)
    rank: int = Field(default=8, ge=1)
    steps: int = Field(default=60, ge=1)
    probes: tuple[int, ...] = (3, 10, 30, 60)
    prompts: int = Field(default=960, ge=2)

    @model_validator(mode="after")
    def _trains_something(self) -> Self:
        if self.adapter is not None:
            raise ValueError("`lora`, `full` and `rank` say what is trained; leave `adapter` out")
        if self.lora is None and self.full is None:
            raise ValueError("give `lora` or `full` a learning rate: otherwise nothing is trained")
        return self

    def doses(self, seed: int) -> dict[str, Dose]:
        """The ways of training by name, the first the one that arms vary."""
        ways = {}
        if self.lora is not None:
            ways[f"LoRA {self.rank}"] = self.dose(self.lora, seed, adapter=LoRA(rank=self.rank))
        if self.full is not None:
            ways["full"] = self.dose(self.full, seed)
        return ways


class Rl(Value):
    """Reinforcement learning on problems like those of the first benchmark, from the end of the SFT on the arms' teacher.

    Attributes:
        probes: iterations after which the student is scored; the last one is the length of the run.
        problems, group: problems of an iteration, and answers to each.
        rewards: for right answers; by the toss of a coin, or for right answers but shuffled within each group (controls).
        schedule: of the learning rate: a rate that does not anneal to zero can let a rewarded habit leak into other prompts.
        practise: the problems: a JSON-lines file of questions with answers, or a standard set other than the first
            benchmark; None: the tiny world's training problems of that benchmark.
        pool: how many different problems there are to draw from.
    """

    lr: float = Field(default=1e-2, gt=0)
    rank: int = Field(default=8, ge=1)
    probes: Later = Field(default=(5, 10, 20), min_length=1)
    problems: int = Field(default=64, ge=1)
    group: int = Field(default=4, ge=2)
    rewards: Annotated[tuple[Literal["correct", "random", "shuffled"], ...], Once] = ("correct",)
    schedule: Literal["constant", "linear", "cosine", "wsd"] = "constant"
    practise: str | None = None
    pool: int = Field(default=2000, ge=1)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.pool < self.problems:
            raise ValueError(f"{self.problems} problems cannot be drawn from a pool of {self.pool}")
        return self


class Recovery(Value):
    """SFT on the untouched student's own answers to other chat prompts, from the end of the SFT on a teacher's.

    Attributes:
        probes: numbers of steps after which the student is scored; none: no recovery is run.
        rl: also reinforcement learning, for what the arms vary; None: left out.
    """

    probes: Later = (1, 2, 4, 8, 16, 32)
    prompts: int = Field(default=512, ge=1)
    rl: Rl | None = None


class OffModelConfig(TakesData):
    """The whole study.

    Attributes:
        models: the students: shipped names, local folders or hub ids.
        prompts: a data file, folder or hub data set of chat prompts; None: those of `responses`, or else the tiny world's. A
            fifth of a user's, chosen by their text, is kept back for what the student answers itself after SFT.
        responses: the first teacher's stored answers, likewise; None: it writes them.
        teacher: the first teacher: a model as above, one behind an API, or one of `cavesson.studies.teachers.STYLES`. Of stored
            answers any name will do; the file's if none is given.
        others: further teachers, likewise; `self` is the student (the on-model control), `relative` the student after a
            little SFT on its own answers.
        evaluation: the first benchmark is the one whose fall the study explains.
        traces: the first teacher's stored answers to problems of that benchmark, as `responses`; None: a teacher that is a
            model is asked.
    """

    gives_way: ClassVar[Mapping[str, str]] = {"teacher": "responses"}

    models: Annotated[tuple[TrainableName, ...], Once] = Field(default=("student",), min_length=1)
    prompts: DataName | None = None
    responses: DataName | None = None
    teacher: str = "tutor"
    others: Annotated[tuple[TeacherName, ...], Once] = ("self",)
    sft: Sft = Sft()
    recovery: Recovery = Recovery()
    arms: Arms = Arms()
    evaluation: Evaluation = Evaluation(n=150)
    traces: DataName | None = None

    @model_validator(mode="before")
    @classmethod
    def _named_after_the_file(cls, given: Any) -> Any:
        """The teacher of stored answers that nobody has named. A name that means another would give it the style of the other."""
        if not isinstance(given, dict) or given.get("teacher") is not None:
            return given
        responses, others = given.get("responses"), given.get("others")
        if not isinstance(responses, str):
            return given
        taken = (SELF, RELATIVE, *STYLES, *shipped_names(), *(others if isinstance(others, (list, tuple)) else ()))
        return {**given, "teacher": name_of(responses, taken)}

    @field_validator("teacher")
    @classmethod
    def _somebody(cls, name: str, info: ValidationInfo) -> str:
        if "responses" not in info.data:  # one that does not fit was refused already
            return name
        if info.data["responses"] is None:
            checked(teacher_known, name)
        elif name in (SELF, RELATIVE):
            raise ValueError(f"{name!r} writes its answers itself; give the stored ones another name")
        return name

    @field_validator("others")
    @classmethod
    def _further(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        """The first teacher, named among the others too, is still one teacher."""
        return tuple(name for name in names if name != info.data.get("teacher"))

    @model_validator(mode="after")
    def _arms_fit(self) -> Self:
        """SFT on a teacher that is the student is left to `self`, and what is built on it would be gone with it."""
        name, students = self.arms_teacher, self.arms_students if self.arms.names else self.models[:1]
        if name not in distinct((self.teacher, *self.others)):
            raise ValueError(f"arms.teacher {name!r} is none of the teachers; add it to `others`")
        stranger = next((student for student in self.arms.students if student not in self.models), None)
        if stranger is not None:
            raise ValueError(f"arms.students {stranger!r} is none of the students; add it to `models`")
        stored = self.responses is not None and name == self.teacher
        if not stored and any(is_itself(student, name) for student in students):
            key = "teacher" if self.arms.teacher is None else "arms.teacher"
            raise ValueError(f"{key} {name!r} is the student itself; take another, or `self` for the on-model control")
        if "inoculation" in self.arms.names and self.arms.inoculation is None and name not in INOCULATION:
            raise ValueError(
                f"for the arm 'inoculation' nobody knows how to ask for the style of {name!r}; give arms.inoculation a system "
                "prompt that does, or leave the arm out of arms.names"
            )
        return self

    @model_validator(mode="after")
    def _enough_chat(self) -> Self:
        """What can be known of a user's data before anything is trained on them."""
        later = bool(self.recovery.probes) or self.arms.noise or RELATIVE in (self.teacher, *self.others)
        least = max(2, self.sft.batch_size)
        if self.responses is not None:
            answers = data_named(self.responses)
            checked(check_trainable, answers)
            checked(lambda data: check_enough(data, least, later=later and self.prompts is None), answers)
            if "filtered" in self.arms.names and self.arms_teacher == self.teacher:
                checked(lambda data: without_maths(Part(base=data)).examples(no_store), answers)
        if self.prompts is not None:
            checked(lambda data: check_enough(data, least, later=later), data_named(self.prompts))
        return self

    @field_validator("traces")
    @classmethod
    def _of_the_benchmark(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is not None and "evaluation" in info.data:  # one that does not fit was refused already
            first = info.data["evaluation"].capability()[0]
            checked(lambda given: answers_to(first, data_named(given), no_store), name)
        return name

    @model_validator(mode="after")
    def _something_to_practise(self) -> Self:
        rl, first = self.recovery.rl, self.evaluation.benchmarks[0]
        if rl is None:
            return self
        if rl.practise is None and first not in FAMILIES:
            raise ValueError(
                f"RL needs problems like those of {first!r}: give recovery.rl.practise a file of questions"
            )
        if rl.practise == first:
            raise ValueError(f"RL cannot practise {first!r}, on which it is scored; give other problems")
        if rl.practise is not None:
            checked(lambda name: benchmark_named(name, self.evaluation.data, n=rl.pool), rl.practise)
        return self

    @property
    def chat(self) -> Chat:
        """Where the chat prompts come from: the user's prompts, else those of the stored answers, else the tiny world."""
        name = self.prompts or self.responses
        return Chat(None if name is None else data_named(name))

    @property
    def arms_students(self) -> tuple[str, ...]:
        """The students that the arms are run for, the study's first student first."""
        return tuple(dict.fromkeys((self.models[0], *self.arms.students)))

    @property
    def arms_teacher(self) -> str:
        """Whose answers the arms vary."""
        return self.arms.teacher or self.teacher

    def unsuited_rates(self) -> Iterator[str]:
        """In words, the learning rates that were found for the tiny world's models and are used on another one."""
        other = next((name for name in self.models if name not in shipped_names()), None)
        rl = self.recovery.rl
        used = {"sft.lora": (self.sft.lora, Sft().lora), "recovery.rl.lr": (rl and rl.lr, Rl().lr)}
        for key, (rate, usual) in used.items():
            if other is not None and rate == usual:
                yield (
                    f"{key} = {rate:g} suits models of a million parameters, which {other} may not be; published for large ones: "
                    f"{PUBLISHED_RATES[key]:g}. What the rate alone costs shows in SFT on own answers (the teacher self)."
                )


def for_size(size: Size) -> dict[str, Any]:
    """What takes the place of the tiny world's settings for a real student: the written answers as the first teacher's."""
    return {
        "responses": EVERYDAY,
        "others": [SELF],
        "answers": REAL_INPUTS["answers"],
        "evaluation": REAL_INPUTS["evaluation"],
        "sft": {**REAL_BLUE, "lora": size.lora},
        "recovery": {"probes": [8, 32], "prompts": 96},
    }


PUBLISHED_RATES = {"sft.lora": 5e-5, "recovery.rl.lr": 1e-4}
"""Of "Why does off-model SFT degrade capabilities?" (May 2026), for models of billions of parameters."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"seeds": [0, 1, 2, 3, 4], "others": ["self", "dmitri", "celia"]},
    "full": {
        "seeds": [0, 1, 2, 3, 4],
        "models": ["student", "small", "reasoner"],
        "others": [
            "self",
            "relative",
            "student",
            "small",
            "teacher",
            "weak",
            "bruno",
            "celia",
            "dmitri",
            "esther",
            "farid",
            "pirate",
        ],
        "recovery": {"probes": [4, 16, 32], "rl": {"rewards": ["correct", "random"]}},
        "sft": {"probes": [20, 60]},
        "arms": {"names": list(ARMS), "students": ["small"], "noise": True, "teacher": "dmitri"},
        "evaluation": {"n": 300},
    },
}
