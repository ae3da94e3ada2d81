"""The grid of `off-model-sft`: every student on every teacher's answers, what each SFT is compared with, and the arms.

Axes of a run: `student`, `teacher`, `way` (what is trained), `data` (off-model, or on-model where the answers are the student's
own) and `arm` (`PLAIN`, or what is changed). Roles: `run`, scored along the SFT; `recovery`, along SFT on own answers from there;
`perplexity`, how likely the untouched student finds the data; `teacher`, the teacher's own scores. The run that the arms vary also
has a role for each move of the weights and for each reward of reinforcement learning. A place with the axis `asked for` has the
role `asked`: the untouched student, asked to reason in a style of the tiny world.
"""

from __future__ import annotations

from collections.abc import Iterator

from cavesson.data.named import data_named
from cavesson.data.recipes import DataRecipe, Part
from cavesson.data.streams import draw
from cavesson.evals.benchmarks import benchmark_named, eval_named
from cavesson.evals.items import Eval
from cavesson.evals.recipes import Probed, Scored
from cavesson.evals.world import Maths
from cavesson.lab.recipe import Recipe
from cavesson.models.recipes import LoRA, ModelRecipe
from cavesson.named import model_named
from cavesson.rl.reinforced import Reinforced
from cavesson.sampling.perplexity import Perplexity
from cavesson.sampling.recipes import Generated
from cavesson.studies.grid import Cell
from cavesson.studies.off_model.arms import ARMS, MOVES, PLAIN, Given
from cavesson.studies.off_model.config import OffModelConfig
from cavesson.studies.settings import scored_steps
from cavesson.studies.teachers import SELF, STYLES, Teacher, writer
from cavesson.tinyworld.recipes import Shipped
from cavesson.training.hyper import Adapter
from cavesson.training.recipes import Trained


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


def _teacher(config: OffModelConfig, student: ModelRecipe, name: str, seed: int) -> Teacher:
    first = name == config.teacher
    traces = data_named(config.traces) if config.traces and first else None
    if config.responses and first:
        return Teacher(name, None, Part(base=data_named(config.responses)), traces=traces)
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
    own = Generated(by=student, prompts=config.chat.later(config.recovery.prompts, draw("recovery", seed)))
    for teacher_name in names:
        teacher = _teacher(config, student, teacher_name, seed)
        if teacher.on_model and teacher_name != SELF and SELF in names:
            continue
        for number, (way, dose) in enumerate(config.sft.doses(seed).items()):
            trained = dose.train(student, teacher.answers)
            varied = (name, teacher_name, number) == (config.models[0], config.arms_teacher, 0)
            recovery = None
            if config.recovery.probes and not teacher.on_model:
                longest = {"steps": max(config.recovery.probes), "adapter": _further(trained, dose.adapter)}
                again = dose.model_copy(update=longest).train(trained, own)
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
        moved = move.of(trained, own, seed)
        roles[str(move)] = Scored(model=moved, suite=suite(config))
        if moved.length is not None:
            roles[move.length_role] = moved.length
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
            schedule=rl.schedule,
            adapter=_further(trained, LoRA(rank=rl.rank)),
            seed=seed,
        )
        roles[rl_role(reward)] = Probed(run=practised, steps=scored_steps(rl.probes), suite=suite(config))
    return roles


def _further(trained: Trained, adapter: Adapter | None) -> Adapter | None:
    """What a further training trains: where the weights lie at a service, the adapter that is there, which cannot be merged."""
    return "continued" if trained.far else adapter


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
    student = model_named(name)
    way, dose = next(iter(config.sft.doses(seed).items()))
    teacher = _teacher(config, student, config.arms_teacher, seed)
    given = Given(student, teacher, _prompts(config, seed), config.sft.prompts, config.arms, seed)
    for name_of_arm in config.arms.names:
        arm = ARMS[name_of_arm]
        data, clip = arm.data(given), config.arms.min_probability if arm.clips else None
        systems = [given.style_prompt if system is None else system for system in arm.asked.values()]
        suites = (_reasoning(config), *(_reasoning(config, system) for system in systems))
        yield Cell.of(
            _place(name, teacher, way, name_of_arm),
            seed,
            run=Probed(run=dose.train(student, data, min_probability=clip), steps=(0, config.sft.steps), suite=suites),
            perplexity=Perplexity(model=student, data=data),
        )
