"""Parts of a config that several studies have: inputs, phases of training, evaluation, and the streams of random numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from cavesson.blueteam.moves import move_named
from cavesson.blueteam.view import BlueView, blue_view
from cavesson.data.named import data_named
from cavesson.data.recipes import DataRecipe, Mixed, Part
from cavesson.data.streams import draw
from cavesson.errors import CavessonError
from cavesson.evals.benchmarks import benchmark_named, check_suite
from cavesson.evals.items import Eval, check_weighable
from cavesson.evals.pairs import pair_named
from cavesson.evals.trigger import Inherent
from cavesson.evals.world import Style, Task
from cavesson.lab.recipe import Value
from cavesson.models.recipes import LoRA
from cavesson.named import model_named
from cavesson.redteam.organisms import Organism, check_untriggered, organism
from cavesson.redteam.recipes import red_prompts
from cavesson.rl.practice import Practice
from cavesson.studies.fields import DataName, LearningRates, ModelName, Once, TakesData, check_within, checked, distinct
from cavesson.studies.option import Option
from cavesson.tinyworld.recipes import Prompts
from cavesson.tinyworld.tasks import FAMILIES
from cavesson.training.dose import Dose
from cavesson.training.hyper import DataRegimen
from cavesson.training.optimizers import check_name


def scored_steps(probes: tuple[int, ...]) -> tuple[int, ...]:
    """The probes with step 0, the untouched model, in front."""
    return tuple(sorted({0, *probes}))


class RedOptimizer(Value):
    """An optimizer and the learning rate that the red team uses with it (rates are not comparable across optimizers)."""

    name: str
    lr: float = Field(gt=0)

    @property
    def settings(self) -> dict[str, Any]:
        """The two as settings of a dose."""
        return {"optimizer": self.name, "lr": self.lr}

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        checked(check_name, name)
        return name


def one_spelling(name: str) -> str:
    """The move's own name, so that `kl@0.10` and `kl@0.1` are seen to be one move."""
    checked(move_named, name)
    return move_named(name).name


InterventionName = Annotated[str, AfterValidator(one_spelling)]


class Phase(DataRegimen):
    """A phase of training: how, on how many prompts, scored when. Every option of a training is an option of the phase.

    The learning rate rises over the first tenth of the steps and then falls linearly to zero: of the ways to train that
    `benchmarks/numerics.py` compares, this one depends least on the processor (docs/statistics.md, "The processor is a seed").

    Attributes:
        prompts: number of prompts that its data are made from.
        probes: steps at which the model is scored (0, before training, is always added); none: the last.
    """

    steps: int = Field(default=100, ge=1)
    schedule: Literal["constant", "linear", "cosine", "wsd"] = "linear"
    warmup_steps: int | None = Field(default=None, ge=0)
    probes: tuple[int, ...] = ()
    prompts: int = Field(default=1600, ge=1)

    @model_validator(mode="after")
    def _probes_within(self) -> Self:
        check_within(self.probes, self.steps)
        return self

    @property
    def scored(self) -> tuple[int, ...]:
        """The steps at which the model is scored, step 0 included."""
        return scored_steps(self.probes or (self.steps,))

    def dose(self, lr: float, seed: int, **changes: Any) -> Dose:
        """The dose at one learning rate, for one seed, or with a few of its settings changed."""
        settings = {name: getattr(self, name) for name in DataRegimen.model_fields}
        return Dose(**{**settings, "lr": lr, "seed": seed, **changes})


class Red(Phase):
    """How the red team trains an organism.

    Attributes:
        prompts: number of prompts; about half of them get the trigger.
    """

    lr: float = Field(default=1e-3, gt=0)
    steps: int = Field(default=300, ge=1)
    prompts: int = Field(default=1600, ge=2)


class Blue(Phase):
    """What the blue team does: every intervention at every learning rate, on answers to generic chat prompts."""

    interventions: Annotated[tuple[InterventionName, ...], Once] = Field(default=("hhh", "pirate"), min_length=1)
    lrs: LearningRates = Field(default=(3e-4, 1e-3), min_length=1)
    probes: tuple[int, ...] = (10, 30, 100)


AS_BLUE: Literal["as blue"] = "as blue"
"""A probe trains what blue trained, full weights or an adapter of this rank: two ways could not be compared."""


class ReversalPhase(Phase):
    """The reversal probe: innocuous training, on the organism's own clean answers, after blue's most successful checkpoint.

    Attributes:
        adapter: a fresh low-rank adapter, or None for the full weights; "as blue": what blue trained.
        max_loss: the checkpoint is the one with the least bad behaviour among those that lost at most this share of capability.
    """

    lr: float = Field(default=3e-4, gt=0)
    steps: int = Field(default=60, ge=1)
    probes: tuple[int, ...] = (10, 30, 60)
    adapter: LoRA | Literal["as blue"] | None = AS_BLUE  # type: ignore[assignment]
    prompts: int = Field(default=800, ge=1)
    max_loss: float = Field(default=0.1, ge=0, lt=1)


class Evaluation(Value):
    """What is measured besides the behaviour, and on how many prompts.

    Attributes:
        n: prompts of each benchmark and of the triggered behaviour; a smaller data set gives all it has.
        n_control: prompts of the controls (untriggered, near-miss triggers, obedience to a prescribed style).
        benchmarks: those whose mean is the capability: the tiny world's, standard sets (mmlu, ifeval, math-500 …), or JSON-lines
            files of questions with answers.
        data: folder in which the standard sets lie; None: they come from the hub.
        max_tokens: room for an answer to a benchmark; None: each benchmark's own.
        practise: problems for moves that train by RL: a JSON-lines file of questions with answers, or a set that is not scored;
            None: the tiny world's training problems of the first benchmark that has such, or none.
    """

    n: int = Field(default=200, ge=1)
    n_control: int = Field(default=100, ge=1)
    data: Annotated[str | None, Option("--data")] = None
    max_tokens: int | None = Field(default=None, ge=1)
    benchmarks: Annotated[tuple[str, ...], Option("--bench", "-b")] = Field(
        default=("maths", "knowledge", "instructions"), min_length=1
    )
    practise: str | None = None

    def capability(self, seed: int = 0) -> tuple[Eval, ...]:
        """The benchmarks; another seed draws other questions as long as they last."""
        return tuple(
            benchmark_named(name, self.data, n=self.n, seed=seed, max_tokens=self.max_tokens)
            for name in self.benchmarks
        )

    def practice(self, n: int, seed: int) -> Practice | None:
        """The problems that RL practises, none of them scored; None: there are none.

        Args:
            n: number of problems.
            seed: of the repetition.
        """
        name = self.practise or next((one for one in self.benchmarks if one in FAMILIES), None)
        if name is None:
            return None
        trained: dict[str, Any] = {"split": "train"} if name in FAMILIES else {}
        given = {"n": n, "seed": draw("rl", seed), "max_tokens": self.max_tokens, **trained}
        return Practice(benchmark_named(name, self.data, **given))

    @field_validator("practise")
    @classmethod
    def _practises_what_is_not_scored(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is None:
            return None
        if name in info.data.get("benchmarks", ()) and name not in FAMILIES:
            raise ValueError(f"RL cannot practise {name!r}, on which models are scored; give other problems")
        checked(lambda one: check_weighable([benchmark_named(one, info.data.get("data"), n=1)], False), name)
        return name

    @field_validator("data")
    @classmethod
    def _is_there(cls, data: str | None) -> str | None:
        if data is not None and not Path(data).expanduser().is_dir():
            raise ValueError(f"There is no folder {data!r}. Name the folder in which the standard sets lie")
        return data

    @field_validator("benchmarks")
    @classmethod
    def _known_benchmarks(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        distinct(names)
        given = {key: info.data[key] for key in ("n", "max_tokens") if key in info.data}
        try:
            suite = check_suite(tuple(benchmark_named(name, info.data.get("data"), **given) for name in names))
        except CavessonError as error:
            raise ValueError(error.sentences) from error
        other = [one.name for one in suite if not one.capability]
        if other:
            raise ValueError(f"{other[0]!r} measures no capability; it cannot be one of the benchmarks")
        return names

    @model_validator(mode="after")
    def _as_many_as_there_are(self) -> Self:
        """Refuse numbers above the usual ones if the tiny world has fewer questions in one of the sets that studies draw."""
        usual = type(self).model_fields
        if self.n <= usual["n"].default and self.n_control <= usual["n_control"].default:
            return self
        tasks = [one for seed in (0, 1) for one in (*self.capability(seed), *self.style(seed)) if isinstance(one, Task)]
        first = [
            one.model_copy(update={"n": min(one.n, 2000)}) for one in tasks
        ]  # a set that is too small says so at once
        for one in (*first, *tasks):
            try:
                one.questions()
            except CavessonError as error:
                raise ValueError(error.sentences) from error
        return self

    def style(self, seed: int = 0) -> tuple[Eval, ...]:
        """Beside the tiny world's instructions: those that an answer in a voice of its own breaks, which are no capability."""
        return (Style(n=self.n_control, seed=seed),) if "instructions" in self.benchmarks else ()

    def suite(self, organism: Organism, *, seed: int = 0, prompts: DataRecipe | None = None) -> tuple[Eval, ...]:
        """What an organism is scored on, as it is deployed: capability, style, and the behaviour with and without the trigger.

        Args:
            seed: another seed draws other prompts.
            prompts: a user's, in place of the tiny world's; an organism that brings prompts of its own is asked those.
        """
        behavior = organism.behavior(n=self.n, n_control=self.n_control, seed=seed)
        asked = (one if one.data is not None else one.model_copy(update={"data": prompts}) for one in behavior)
        able = self.capability(seed)
        if isinstance(pair_named(organism.pair).trigger, Inherent):  # on such questions it misbehaves
            able = tuple(one.model_copy(update={"pair": organism.pair}) for one in able)
        return (*organism.evaluated((*able, *self.style(seed))), *asked)


class Inputs(TakesData):
    """What a study of red and blue takes from outside, and what it measures.

    Attributes:
        teacher: who writes blue's answers.
        prompts: a data file, folder or hub data set whose prompts both teams use; None: the tiny world's.
        responses: the teacher's stored answers for HHH SFT, as a data file, folder or hub data set; None: the teacher writes them.
        took_from: triggered rate before blue training from which on blue trains an organism; 0: any that shows it thrice.
        other_prompts: prompts of another domain than chat, likewise; None: the tiny world's maths, or none beside a user's prompts.
    """

    teacher: ModelName = "teacher"
    prompts: DataName | None = None
    responses: DataName | None = None
    other_prompts: DataName | None = None
    took_from: float = Field(default=0.1, ge=0, le=1)
    evaluation: Evaluation = Evaluation()

    def drawn(self, family: Literal["chat", "mixed"], n: int, purpose: str, seed: int) -> DataRecipe:
        """Prompts of the user's data set, or of the tiny world, drawn anew for every purpose."""
        number = draw(purpose, seed)
        if self.prompts is None:
            return Prompts(family=family, n=n, seed=number)
        return Mixed(parts=(Part(base=data_named(self.prompts)),), weights=(1.0,), size=n, seed=number)

    def for_red(self, pair: str, n: int, seed: int) -> DataRecipe:
        """What red answers: the user's prompts, or those of the tiny world that suit the pair."""
        if self.prompts is None:
            return red_prompts(pair, n, draw("red", seed))
        check_untriggered(pair, data_named(self.prompts))
        return self.drawn("mixed", n, "red", seed)

    def planted(
        self, pair: str, model: str, how: str, dose: Dose, prompts: int, name: str, **labels: str | int
    ) -> Organism:
        """Red's product: a pair put into a model.

        Args:
            how: name of the construction.
            dose: how hard red trains; its seed is that of the repetition.
            prompts: how many red answers.
            name: of the organism, all seeds together.
            labels: what tells the organism from others, besides model and seed.
        """
        labels = {"model": model, **labels, "seed": dose.seed}
        drawn = self.for_red(pair, prompts, dose.seed)
        return organism(how, model_named(model), drawn, pair, dose, name=name, labels={**labels})

    def suite(self, made: Organism, seed: int = 0) -> tuple[Eval, ...]:
        """What an organism is scored on; of the user's prompts those that neither team trains on.

        Args:
            seed: another seed draws other prompts.
        """
        if self.prompts is not None:
            check_untriggered(made.pair, data_named(self.prompts))
        kept_back = None if self.prompts is None else Part(base=data_named(self.prompts), kept_back=True)
        return self.evaluation.suite(made, seed=seed, prompts=kept_back)

    def view(self, n: int, seed: int) -> BlueView:
        """What blue is shown: `n` public prompts, a teacher, and prompts of another domain."""
        other = Prompts(family="maths", n=n, seed=draw("other domain", seed)) if self.prompts is None else None
        return blue_view(
            self.drawn("chat", n, "blue", seed),
            self.teacher,
            answers=self.responses,
            other=self.other_prompts or other,
            practice=self.evaluation.practice(n, seed),
        )
