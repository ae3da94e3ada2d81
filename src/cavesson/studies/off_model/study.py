"""The study `off-model-sft`: why training on another model's answers costs capability.

Set-up of "Why does off-model SFT degrade capabilities?" (May 2026): a student is trained on a teacher's answers to chat
prompts, nothing about maths among them, and scored along the way on knowledge, instruction following and maths; then it is
trained for a few steps on its own earlier answers. Arms change one thing at a time in the data or in the context.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cavesson.data.named import data_named
from cavesson.data.recipes import DataRecipe
from cavesson.data.restyle import Shuffled
from cavesson.evals.answered import ScoredAnswers
from cavesson.evals.benchmarks import benchmark_named, eval_named
from cavesson.evals.items import Eval
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.world import Maths
from cavesson.findings.about import About
from cavesson.findings.result import StudyResult
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.models.recipes import LoRA, ModelRecipe
from cavesson.named import model_named
from cavesson.rl.reinforced import Reinforced
from cavesson.sampling.matched_noise import NoisedLike
from cavesson.sampling.perplexity import Perplexity
from cavesson.sampling.recipes import Generated
from cavesson.studies.games import scored_steps
from cavesson.studies.off_model.chat import Chat, stored
from cavesson.studies.off_model.config import PRESETS, OffModelConfig
from cavesson.studies.off_model.noise import NOISES, Noise
from cavesson.studies.off_model.teachers import ARMS, SELF, VOICES, Given, Teacher, writer
from cavesson.studies.resolve import Resolved
from cavesson.studies.study import OldStudy
from cavesson.tinyworld.recipes import Shipped
from cavesson.training.dose import Dose


@dataclass(frozen=True, slots=True)
class Run:
    """SFT of one student on one teacher's answers, with one seed.

    Attributes:
        way: what is trained: "LoRA 8" or "full".
        probed: the scores along the way.
        recovery: those of the training on the student's own answers from there.
        perplexity: how likely the student finds the teacher's answers.
    """

    student: str
    teacher: Teacher
    way: str
    seed: int
    probed: Probed
    recovery: Probed | None
    perplexity: Perplexity


@dataclass(frozen=True, slots=True)
class ArmRun:
    """One arm of one student, with one seed: a run of `cavesson.studies.off_model.teachers.Arm`, its scores and how likely its
    data are."""

    student: str
    name: str
    seed: int
    systems: dict[str, str]
    probed: Probed
    perplexity: Perplexity
    min_probability: float | None = None


@dataclass(frozen=True, slots=True)
class NoiseRun:
    """The student with its weights moved as the SFT of one seed moved them, but in another direction."""

    noise: Noise
    seed: int
    scored: Scored


@dataclass(frozen=True, slots=True)
class RlRun:
    """Reinforcement learning from the end of the SFT of one seed, with one kind of reward, and its scores along the way."""

    reward: str
    seed: int
    probed: Probed


@dataclass(frozen=True, slots=True)
class Layout:
    """All recipes of the study, by their place in it.

    Attributes:
        teachers: scores of the teachers themselves, by student and teacher; one of stored answers to chat alone has none.
        foreign: the untouched student asked for a voice of the tiny world, by student and voice: how well it reasons in it.
    """

    runs: list[Run]
    teachers: dict[tuple[str, str], Scored | ScoredAnswers]
    foreign: dict[tuple[str, str], Scored]
    arms: list[ArmRun]
    noise: list[NoiseRun]
    rl: list[RlRun] = field(default_factory=list)

    def recipes(self) -> list[Recipe]:
        """Everything to make, the main curve first."""
        return [
            *(run.probed for run in self.runs),
            *(run.recovery for run in self.runs if run.recovery is not None),
            *self.teachers.values(),
            *self.foreign.values(),
            *(run.perplexity for run in self.runs),
            *(recipe for run in self.arms for recipe in (run.probed, run.perplexity)),
            *(run.scored for run in self.noise),
            *(run.probed for run in self.rl),
        ]


def layout(config: OffModelConfig) -> Layout:
    """The recipes that this config asks for."""
    runs = [run for name in config.models for seed in config.seeds for run in _runs(config, name, seed)]
    return Layout(
        runs=runs,
        teachers=_teachers(config, runs),
        foreign=_foreign(config),
        arms=[arm for name in config.arms_students for seed in config.seeds for arm in _arms(config, name, seed)],
        noise=list(_noise(config, runs)),
        rl=[one for run in _varied(config, runs) for one in _rl(config, run)],
    )


def suite(config: OffModelConfig) -> tuple[Eval, ...]:
    """What every student is scored on: the benchmarks and, with the tiny world's maths, the same without reasoning."""
    benchmarks = config.evaluation.capability()
    extra = [Maths(n=one.n, seed=one.seed, cot=False) for one in benchmarks if one.label == "maths"]
    return (*benchmarks, *extra)


def _reasoning(config: OffModelConfig, system: str | None = None) -> Eval:
    """The first benchmark, whose fall the study explains, under a system prompt."""
    first = config.evaluation.capability()[0]
    return first if system is None else first.model_copy(update={"system": system})


def chat_of(config: OffModelConfig) -> Chat:
    """Where the chat prompts come from: the user's prompts, else those of the stored answers, else the tiny world."""
    name = config.prompts or config.responses
    return Chat(None if name is None else data_named(name))


def _dose(config: OffModelConfig, lr: float, adapter: LoRA | None, seed: int) -> Dose:
    """That of the SFT, trained one way."""
    return Dose(lr=lr, steps=config.sft.steps, batch_size=config.sft.batch_size, adapter=adapter, seed=seed)


def _prompts(config: OffModelConfig, seed: int) -> DataRecipe:
    """The chat prompts that the teachers answer."""
    return chat_of(config).first(config.sft.prompts, 5000 + seed)


def _own(config: OffModelConfig, student: ModelRecipe, seed: int) -> DataRecipe:
    """What the untouched student answers to other chat prompts."""
    return Generated(by=student, prompts=chat_of(config).later(config.recovery.prompts, 6000 + seed))


def _teacher(config: OffModelConfig, student: ModelRecipe, name: str, seed: int) -> Teacher:
    first = name == config.teacher
    traces = data_named(config.traces) if config.traces and first else None
    if config.responses and first:
        return Teacher(name, None, stored(data_named(config.responses)), traces=traces)
    _, lr, adapter = config.sft.ways()[0]
    model = writer(student, name, chat_of(config), _dose(config, lr, adapter, seed))
    answers = Generated(by=model, prompts=_prompts(config, seed))
    return Teacher(name, model, answers, on_model=model == student, traces=traces)


def _runs(config: OffModelConfig, name: str, seed: int) -> Iterator[Run]:
    """Every teacher's, trained every way; a teacher that is the student itself under another name is left to `self`."""
    student, names = model_named(name), (config.teacher, *config.others)
    own = _own(config, student, seed)
    for teacher_name in names:
        teacher = _teacher(config, student, teacher_name, seed)
        if teacher.on_model and teacher_name != SELF and SELF in names:
            continue
        for way, lr, adapter in config.sft.ways():
            dose = _dose(config, lr, adapter, seed)
            run = dose.train(student, teacher.answers)
            yield Run(
                name,
                teacher,
                way,
                seed,
                Probed(run=run, steps=scored_steps(config.sft.probes), suite=suite(config)),
                _recovery(config, run, own, dose) if not teacher.on_model else None,
                Perplexity(model=student, data=teacher.answers),
            )


def _recovery(config: OffModelConfig, damaged: ModelRecipe, own: DataRecipe, dose: Dose) -> Probed | None:
    """Training goes on as before, on the student's own answers."""
    probes = config.recovery.probes
    if not probes:
        return None
    run = dose.model_copy(update={"steps": max(probes)}).train(damaged, own)
    return Probed(run=run, steps=scored_steps(probes), suite=suite(config))


def _teachers(config: OffModelConfig, runs: list[Run]) -> dict[tuple[str, str], Scored | ScoredAnswers]:
    found = {(run.student, run.teacher.name): run.teacher.scored(_reasoning(config)) for run in runs}
    return {place: scored for place, scored in found.items() if scored is not None}


def _foreign(config: OffModelConfig) -> dict[tuple[str, str], Scored]:
    """Only where the voices of the reasoning are known: in the tiny world's maths, of its own models."""
    if _reasoning(config).name != "maths":
        return {}
    return {
        (name, voice): Scored(model=student, suite=(_reasoning(config, system),))
        for name in config.models
        if isinstance(student := model_named(name), Shipped)
        for voice, system in VOICES.items()
    }


def _arms(config: OffModelConfig, student_name: str, seed: int) -> Iterator[ArmRun]:
    """The arms of a student, trained the first way."""
    student, sft = model_named(student_name), config.sft
    _, lr, adapter = sft.ways()[0]
    prompts = _prompts(config, seed)
    given = Given(
        student=student,
        teacher=_teacher(config, student, config.arms_teacher, seed),
        prompts=prompts,
        n=sft.prompts,
        own=Generated(by=student, prompts=prompts),
        temperature=config.arms.temperature,
        min_probability=config.arms.min_probability,
        inoculation=config.arms.inoculation,
        seed=seed,
    )
    dose = _dose(config, lr, adapter, seed)
    for name in config.arms.names:
        arm = ARMS[name](given)
        suites = (_reasoning(config), *(_reasoning(config, system) for system in arm.systems.values()))
        run = dose.train(student, arm.data, min_probability=arm.min_probability)
        probed = Probed(run=run, steps=(0, sft.steps), suite=suites)
        likely = Perplexity(model=student, data=arm.data)
        yield ArmRun(student_name, name, seed, arm.systems, probed, likely, arm.min_probability)


def _varied(config: OffModelConfig, runs: list[Run]) -> list[Run]:
    """The SFT that the first student's arms vary: on the arms' teacher, trained the first way; one run a seed."""
    place = (config.models[0], config.arms_teacher, config.sft.ways()[0][0])
    return [run for run in runs if (run.student, run.teacher.name, run.way) == place]


def _rl(config: OffModelConfig, run: Run) -> Iterator[RlRun]:
    """Reinforcement learning on training problems, from the end of a run."""
    rl = config.recovery.rl
    if rl is None:
        return
    if rl.practise is None:
        problems = eval_named(_reasoning(config).name, n=rl.pool, seed=8000 + run.seed, split="train")
    else:
        problems = benchmark_named(rl.practise, config.evaluation.data, n=rl.pool, seed=8000 + run.seed)
    for reward in rl.rewards:
        practised = Reinforced(
            base=run.probed.run,
            problems=problems,
            reward=reward,
            steps=max(rl.probes),
            per_step=rl.problems,
            group=rl.group,
            lr=rl.lr,
            adapter=LoRA(rank=rl.rank),
            seed=run.seed,
        )
        yield RlRun(reward, run.seed, Probed(run=practised, steps=scored_steps(rl.probes), suite=suite(config)))


def _noise(config: OffModelConfig, runs: list[Run]) -> Iterator[NoiseRun]:
    """Moves as large as those of the SFT that the arms vary."""
    if not config.arms.noise:
        return
    for run in _varied(config, runs):
        base, trained = run.probed.run.base, run.probed.run
        own = _own(config, base, run.seed)
        shuffled = trained.model_copy(update={"data": Shuffled(base=run.teacher.answers, seed=run.seed)})
        for noise in NOISES:
            moved = NoisedLike(
                base=base,
                like=trained,
                match=noise.match,
                data=own,
                seed=run.seed,
                shape="same-spectrum" if noise.shape == "noise of SFT's spectrum" else "gaussian",
                along=shuffled if noise.shape == "shuffled SFT" else None,
                times=noise.times,
            )
            yield NoiseRun(noise, run.seed, Scored(model=moved, suite=suite(config)))


def recipes(config: OffModelConfig) -> list[Recipe]:
    """Everything the study needs."""
    return layout(config).recipes()


def analyse(resolved: Resolved, path_of: PathOf, about: About) -> StudyResult:
    """The study's result from its finished artifacts."""
    from cavesson.studies.off_model.report import report

    config = resolved.config
    assert isinstance(config, OffModelConfig)
    return report(resolved, layout(config), path_of, about)


STUDY = OldStudy(
    name="off-model-sft",
    title="Off-model SFT: why does training on another model's answers cost capability?",
    config=OffModelConfig,
    presets=PRESETS,
    recipes=recipes,
    analyse=analyse,
)
