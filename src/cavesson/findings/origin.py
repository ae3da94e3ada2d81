"""How a result was made, as plain data: recipes, machines, time, and the resolved configuration."""

from __future__ import annotations

from typing import Any, Self

from pydantic import AwareDatetime, Field, model_validator

from cavesson.findings.views import Text, View


class LossView(View):
    """The loss of one training, thinned: the mean loss of a stretch of steps, at the last step of the stretch."""

    steps: list[int] = Field(min_length=1)
    losses: list[float]

    @model_validator(mode="after")
    def _aligned(self) -> Self:
        if len(self.steps) != len(self.losses):
            raise ValueError(f"a loss curve has {len(self.steps)} steps for {len(self.losses)} losses")
        return self


class RecipeView(View):
    """A recipe from which the result was made.

    Attributes:
        title: the recipe in a few words (`recipe.describe()`).
        called: what the study calls the artifact, the role first ("pirate · seed 2"); empty: the study has no name for it.
        loss: of a training, its loss; None: the artifact is no training, or has no record of the loss.
        stage: part of the study.
        recipe: the whole recipe as JSON (`recipe.model_dump()`).
        command: the command line that makes the artifact again.
        seconds: wall time that the artifact took, in this run or an earlier one; None: there is no artifact, or unknown.
        reused: the artifact was in the store already.
    """

    fingerprint: str
    kind: str
    title: str
    called: Text = ""
    stage: str = ""
    recipe: dict[str, Any]
    command: str
    seconds: float | None = Field(default=None, ge=0)
    reused: bool = False
    loss: LossView | None = None

    @property
    def name(self) -> str:
        """What the artifact is called on a page."""
        return self.called or self.title


class StageTime(View):
    """Wall time of one stage: `seconds` in this run; an earlier run spent `reused` seconds, which this run saved."""

    stage: str
    seconds: float = Field(ge=0)
    reused: float = Field(default=0.0, ge=0)


class MachineView(View):
    """A kind of machine that artifacts of the study were made on.

    Attributes:
        processor: its model.
        instructions: the instruction sets that its kernels use.
        threads: of a stage.
        numerics: the named numerics of the trainings among the artifacts.
        artifacts: number of artifacts.
    """

    processor: Text
    instructions: Text
    threads: Text
    numerics: list[Text] = []
    artifacts: int = Field(ge=1)


class Environment(View):
    """The machine and the software of a run.

    Attributes:
        command: the command line of the whole study.
        created: when the result was complete, with time zone.
        versions: of Python and of every package that decides a figure.
        machine: where the result was put together, in words ({"cores": "2"}).
        machines: kinds of machine that made the artifacts; more than one is a source of variance of its own.
        seeds: the seeds of the study.
        wall: wall time of each stage, in order.
    """

    command: str
    created: AwareDatetime
    versions: dict[str, str]
    machine: dict[str, str] = {}
    machines: list[MachineView] = []
    seeds: list[int]
    wall: list[StageTime] = []


class Setting(View):
    """One resolved setting: dotted key, value in YAML, and origin ("default", "--set", a file)."""

    key: str
    value: Text
    source: Text


class StudyConfig(View):
    """The resolved configuration: as a YAML file that `cavesson run` accepts, and each setting with its origin."""

    yaml: Text
    settings: list[Setting] = []
