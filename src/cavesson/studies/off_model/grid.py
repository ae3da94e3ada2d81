"""The config and the grid of `off-model-sft`: students, teachers and ways of training, and what the SFT of each place is compared with.

Axes of a run: `student`, `teacher`, `way` (what is trained), `data` (off-model, or on-model where the answers are the student's
own) and `arm` (`PLAIN`, or what is changed). Roles: `run`, scored along the SFT; `recovery`, along SFT on own answers from there;
`perplexity`, how likely the untouched student finds the data; `teacher`, the teacher's own scores. The run that the arms vary also
has a role for each move of the weights and for each reward of reinforcement learning. A place with the axis `asked for` has the
role `asked`: the untouched student, asked to reason in a style of the tiny world.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cavesson.data.named import data_named
from cavesson.data.recipes import DataRecipe
from cavesson.evals.answered import answers_to
from cavesson.evals.benchmarks import benchmark_named, eval_named
from cavesson.evals.items import Eval, no_store
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.world import Maths
from cavesson.lab.recipe import Recipe, Value
from cavesson.models.recipes import LoRA, ModelRecipe
from cavesson.named import model_named
from cavesson.rl.reinforced import Reinforced
from cavesson.sampling.perplexity import Perplexity
from cavesson.sampling.recipes import Generated
from cavesson.studies.config import StudyConfig
from cavesson.studies.fields import DataName, Once, TrainableName, checked, distinct
from cavesson.studies.grid import Cell
from cavesson.studies.off_model.arms import ARMS, INOCULATION, MOVES, PLAIN, ArmName, Given, Teacher, without_maths
from cavesson.studies.settings import Evaluation, Phase, draw, scored_steps
from cavesson.studies.teachers import (
    RELATIVE,
    SELF,
    STYLES,
    Chat,
    TeacherName,
    check_answered,
    check_enough,
    is_itself,
    name_of,
    stored,
    teacher_known,
    writer,
)
from cavesson.tinyworld.recipes import Shipped, shipped_names
from cavesson.tinyworld.tasks import FAMILIES
from cavesson.training.dose import Dose
from cavesson.training.recipes import Trained

# ----------------------------------------------------------------------------------------------- config


class Sft(Phase):
    """SFT on a teacher's answers to chat prompts.

    Attributes:
        lora, full: learning rate of a low-rank and of a full-weight run; None: that kind of run is left out.
        rank: of the adapter.
    """

    lora: float | None = Field(default=2e-3, gt=0)
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
        rewards: for right answers, or by the toss of a coin (a control).
        practise: the problems: a JSON-lines file of questions with answers, or a standard set other than the first
            benchmark; None: the tiny world's training problems of that benchmark.
        pool: how many different problems there are to draw from.
    """

    lr: float = Field(default=1e-2, gt=0)
    rank: int = Field(default=8, ge=1)
    probes: tuple[int, ...] = (5, 10, 20)
    problems: int = Field(default=64, ge=1)
    group: int = Field(default=4, ge=2)
    rewards: Annotated[tuple[Literal["correct", "random"], ...], Once] = ("correct",)
    practise: str | None = None
    pool: int = Field(default=2000, ge=1)

    @field_validator("probes")
    @classmethod
    def _iterations(cls, probes: tuple[int, ...]) -> tuple[int, ...]:
        if not probes or min(probes) < 1:
            raise ValueError("RL is scored after at least 1 iteration")
        return tuple(sorted(distinct(probes)))

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

    probes: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    prompts: int = Field(default=512, ge=1)
    rl: Rl | None = None

    @field_validator("probes")
    @classmethod
    def _steps(cls, probes: tuple[int, ...]) -> tuple[int, ...]:
        if any(probe < 1 for probe in probes):
            raise ValueError("recovery is scored after at least 1 step")
        return tuple(sorted(distinct(probes)))


class Arms(Value):
    """Runs that vary the data or the context of a student's SFT on one teacher's answers.

    Attributes:
        names: which of `cavesson.studies.off_model.arms.ARMS`.
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


class OffModelConfig(StudyConfig):
    """The whole study.

    Attributes:
        models: the students: shipped names, local folders or hub ids.
        prompts: a JSON-lines file or hub data set of chat prompts; None: those of `responses`, or else the tiny world's. A
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
    teacher: str = "teacher"
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

    @model_validator(mode="after")
    def _teachers_differ(self) -> Self:
        distinct((self.teacher, *self.others))
        if self.arms_teacher not in (self.teacher, *self.others):
            raise ValueError(f"arms.teacher {self.arms_teacher!r} is none of the teachers; add it to `others`")
        return self

    @model_validator(mode="after")
    def _taught_by_another(self) -> Self:
        """SFT on a teacher that is the student is left to `self`, and what is built on it would be gone with it."""
        name, students = self.arms_teacher, self.arms_students if self.arms.names else self.models[:1]
        if self.responses is not None and name == self.teacher:
            return self
        for student in students:
            if is_itself(student, name):
                key = "teacher" if self.arms.teacher is None else "arms.teacher"
                raise ValueError(
                    f"{key} {name!r} is the student itself; take another, or `self` for the on-model control"
                )
        return self

    @model_validator(mode="after")
    def _prompt_of_inoculation(self) -> Self:
        if "inoculation" in self.arms.names and self.arms.inoculation is None and self.arms_teacher not in INOCULATION:
            raise ValueError(
                f"for the arm 'inoculation' nobody knows how to ask for the style of {self.arms_teacher!r}; give "
                "arms.inoculation a system prompt that does, or leave the arm out of arms.names"
            )
        return self

    @model_validator(mode="after")
    def _enough_chat(self) -> Self:
        """What can be known of a user's data before anything is trained on them."""
        later = bool(self.recovery.probes) or self.arms.noise or RELATIVE in (self.teacher, *self.others)
        least = max(2, self.sft.batch_size)
        if self.responses is not None:
            answers = data_named(self.responses)
            checked(check_answered, answers)
            checked(lambda data: check_enough(data, least, later=later and self.prompts is None), answers)
            if "filtered" in self.arms.names and self.arms_teacher == self.teacher:
                checked(lambda data: without_maths(stored(data)).examples(no_store), answers)
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
    def _arms_of_students(self) -> Self:
        strangers = [name for name in self.arms.students if name not in self.models]
        if strangers:
            raise ValueError(f"arms.students {strangers[0]!r} is none of the students; add it to `models`")
        return self

    @model_validator(mode="after")
    def _something_to_practise(self) -> Self:
        rl, first = self.recovery.rl, self.evaluation.benchmarks[0]
        if rl is not None and rl.practise is None and first not in FAMILIES:
            raise ValueError(
                f"RL needs problems like those of {first!r}: give recovery.rl.practise a file of questions"
            )
        if rl is not None and rl.practise is not None:
            if rl.practise == first:
                raise ValueError(f"RL cannot practise {first!r}, on which it is scored; give other problems")
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


PUBLISHED_RATES = {"sft.lora": 5e-5, "recovery.rl.lr": 1e-4}
"""Of "Why does off-model SFT degrade capabilities?" (May 2026), for models of billions of parameters."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {},
    "full": {
        "seeds": [0, 1, 2],
        "models": ["student", "small", "large", "reasoner"],
        "others": ["self", "relative", "student", "small", "bruno", "celia", "dmitri", "pirate"],
        "recovery": {"rl": {"rewards": ["correct", "random"]}},
        "sft": {"full": 3e-4, "probes": [10, 30, 60]},
        "arms": {"names": list(ARMS), "noise": True, "teacher": "dmitri"},
        "evaluation": {"n": 100},
    },
}

# ----------------------------------------------------------------------------------------------- grid


def grid(config: OffModelConfig) -> Iterator[Cell]:
    """Every student on every teacher's answers, trained every way; the styles that students can be asked for; and the arms."""
    for name in config.models:
        for seed in config.seeds:
            yield from _runs(config, name, seed)
    yield from _asked(config)
    for name in config.arms_students:
        for seed in config.seeds:
            yield from _arms(config, name, seed)


def rl_role(reward: str) -> str:
    """The role of reinforcement learning with one kind of reward."""
    return f"RL, {reward}"


def suite(config: OffModelConfig) -> tuple[Eval, ...]:
    """What every student is scored on: the benchmarks and, with the tiny world's maths, the same without reasoning."""
    benchmarks = config.evaluation.capability()
    extra = [Maths(n=one.n, seed=one.seed, cot=False) for one in benchmarks if one.label == "maths"]
    return (*benchmarks, *extra)


def _reasoning(config: OffModelConfig, system: str | None = None) -> Eval:
    """The first benchmark, whose fall the study explains, under a system prompt."""
    first = config.evaluation.capability()[0]
    return first if system is None else first.model_copy(update={"system": system})


def _prompts(config: OffModelConfig, seed: int) -> DataRecipe:
    """The chat prompts that the teachers answer."""
    return config.chat.first(config.sft.prompts, draw("sft", seed))


def _own(config: OffModelConfig, student: ModelRecipe, seed: int) -> DataRecipe:
    """What the untouched student answers to other chat prompts."""
    return Generated(by=student, prompts=config.chat.later(config.recovery.prompts, draw("recovery", seed)))


def _teacher(config: OffModelConfig, student: ModelRecipe, name: str, seed: int) -> Teacher:
    first = name == config.teacher
    traces = data_named(config.traces) if config.traces and first else None
    if config.responses and first:
        return Teacher(name, None, stored(data_named(config.responses)), traces=traces)
    dose = next(iter(config.sft.doses(seed).values()))
    model = writer(student, name, config.chat, dose)
    answers = Generated(by=model, prompts=_prompts(config, seed))
    return Teacher(name, model, answers, on_model=model == student, traces=traces)


def _place(student: str, teacher: Teacher, way: str, arm: str) -> dict[str, str]:
    data = "on-model" if teacher.on_model else "off-model"
    return {"student": student, "teacher": teacher.name, "way": way, "data": data, "arm": arm}


def _runs(config: OffModelConfig, name: str, seed: int) -> Iterator[Cell]:
    """Every teacher's, trained every way; a teacher that is the student itself under another name is left to `self`."""
    student, names, suites = model_named(name), (config.teacher, *config.others), suite(config)
    own = _own(config, student, seed)
    for teacher_name in names:
        teacher = _teacher(config, student, teacher_name, seed)
        if teacher.on_model and teacher_name != SELF and SELF in names:
            continue
        for number, (way, dose) in enumerate(config.sft.doses(seed).items()):
            trained = dose.train(student, teacher.answers)
            varied = (name, teacher_name, number) == (config.models[0], config.arms_teacher, 0)
            recovery = None
            if config.recovery.probes and not teacher.on_model:
                again = dose.model_copy(update={"steps": max(config.recovery.probes)}).train(trained, own)
                recovery = Probed(run=again, steps=scored_steps(config.recovery.probes), suite=suites)
            yield Cell.of(
                _place(name, teacher, way, PLAIN),
                seed,
                None,
                run=Probed(run=trained, steps=config.sft.scored, suite=suites),
                recovery=recovery,
                perplexity=Perplexity(model=student, data=teacher.answers),
                teacher=teacher.scored(_reasoning(config)),
                **(_beside(config, trained, own, seed) if varied else {}),
            )


def _beside(config: OffModelConfig, trained: Trained, own: DataRecipe, seed: int) -> dict[str, Recipe]:
    """What the SFT that the arms vary is compared with, by role: moves of the weights as large, and RL from its end."""
    roles: dict[str, Recipe] = {}
    for move in MOVES if config.arms.noise else ():
        roles[str(move)] = Scored(model=move.of(trained, own, seed), suite=suite(config))
    rl = config.recovery.rl
    if rl is None:
        return roles
    number = draw("rl", seed)
    problems = (
        eval_named(_reasoning(config).name, n=rl.pool, seed=number, split="train")
        if rl.practise is None
        else benchmark_named(rl.practise, config.evaluation.data, n=rl.pool, seed=number)
    )
    for reward in rl.rewards:
        practised = Reinforced(
            base=trained,
            problems=problems,
            reward=reward,
            steps=max(rl.probes),
            per_step=rl.problems,
            group=rl.group,
            lr=rl.lr,
            adapter=LoRA(rank=rl.rank),
            seed=seed,
        )
        roles[rl_role(reward)] = Probed(run=practised, steps=scored_steps(rl.probes), suite=suite(config))
    return roles


def _asked(config: OffModelConfig) -> Iterator[Cell]:
    """Only where the styles of the reasoning are known: in the tiny world's maths, of its own models."""
    if _reasoning(config).name != "maths":
        return
    for name in config.models:
        student = model_named(name)
        if isinstance(student, Shipped):
            for style, system in STYLES.items():
                asked = Scored(model=student, suite=(_reasoning(config, system),))
                yield Cell.of({"student": name, "asked for": style}, config.seeds[0], asked=asked)


def _arms(config: OffModelConfig, name: str, seed: int) -> Iterator[Cell]:
    """The arms of a student, trained the first way."""
    student, settings = model_named(name), config.arms
    way, dose = next(iter(config.sft.doses(seed).items()))
    teacher, prompts = _teacher(config, student, config.arms_teacher, seed), _prompts(config, seed)
    given = Given(
        student=student,
        teacher=teacher,
        prompts=prompts,
        n=config.sft.prompts,
        own=Generated(by=student, prompts=prompts),
        temperature=settings.temperature,
        min_probability=settings.min_probability,
        inoculation=settings.inoculation,
        seed=seed,
    )
    for arm in settings.names:
        varied = ARMS[arm].vary(given)
        suites = (_reasoning(config), *(_reasoning(config, system) for system in varied.systems))
        run = dose.train(student, varied.data, min_probability=varied.min_probability)
        yield Cell.of(
            _place(name, teacher, way, arm),
            seed,
            run=Probed(run=run, steps=(0, config.sft.steps), suite=suites),
            perplexity=Perplexity(model=student, data=varied.data),
        )
