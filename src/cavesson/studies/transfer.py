"""The study `transfer`: behaviour-compatible training.

Set-up of "How do LLMs generalize when we do training that is intuitively compatible with two off-distribution behaviors?" (April 2026):
an initial and an alternate behaviour agree on the train prompts and differ on the evaluation prompts. A model with the initial one is
trained on what both agree on. Does it keep the initial behaviour where the two differ, or move to the alternate one (transfer)?
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from cavesson.data.recipes import DataRecipe
from cavesson.data.streams import draw
from cavesson.errors import ConfigError
from cavesson.evals.items import Eval
from cavesson.evals.posed import Posed, Side
from cavesson.evals.recipes import Probed
from cavesson.lab.documents import validated
from cavesson.lab.recipe import Recipe, Value
from cavesson.models.recipes import LoRA, ModelRecipe
from cavesson.named import model_named
from cavesson.redteam.lessons import Acted, Bare
from cavesson.rl.practice import Practice
from cavesson.sampling.recipes import Generated
from cavesson.sampling.sampler import Params
from cavesson.studies.config import StudyConfig
from cavesson.studies.fields import LearningRates, ModelName, Once, TrainableName, checked, known_to
from cavesson.studies.grid import Cell
from cavesson.studies.settings import Evaluation, Phase, Red
from cavesson.studies.sizes import TINY, size_of
from cavesson.studies.study import Study
from cavesson.studies.transfer_axes import AS_IS, AXES, Change, one_at_a_time
from cavesson.studies.transfer_cases import BY_REWARD, CASES, SFT, ByReward, Cases, case_named, slipping
from cavesson.studies.transfer_claims import CLAIMS
from cavesson.studies.transfer_foretold import (
    FOLLOWED,
    Foretelling,
    recipes,
)
from cavesson.studies.transfer_foretold_claims import FORETOLD_CLAIMS
from cavesson.studies.transfer_foretold_shown import FORETOLD_SHOWS
from cavesson.studies.transfer_named import setting_named
from cavesson.studies.transfer_parts import answered, started, suite_of
from cavesson.studies.transfer_presets import PRESETS, for_size
from cavesson.studies.transfer_readings import AGREED, DAMAGE, NEUTRAL, OWN
from cavesson.studies.transfer_settings import (
    IRRELEVANT,
    OTHER,
    Setting,
)
from cavesson.studies.transfer_shown import SHOWS, admits, headline
from cavesson.training.recipes import Trained

# ----------------------------------------------------------------------------------------------- config

SettingName = Annotated[str, known_to(setting_named)]
SettingNames = Annotated[tuple[SettingName, ...], Once]

Control = Literal["own outputs", "neutral data", "gibberish", "lorem ipsum"]
"""What stands beside the training on agreed behaviour: see `_data`."""


class Blue(Phase):
    """Training on the agreed behaviour.

    Attributes:
        lrs: learning rates; irrelevant train prompts are tried at the highest of them.
        lower_in: those of the settings in which the rates below the highest are run too; None: all.
        prompts: number of train prompts.
        adapter: a low-rank adapter, or None: all weights.
        controls: trainings beside it, as long and as fast.
    """

    lrs: LearningRates = Field(default=(3e-4, 1e-3), min_length=1)
    lower_in: SettingNames | None = None
    steps: int = Field(default=40, ge=1)
    probes: tuple[int, ...] = (10, 40)
    prompts: int = Field(default=320, ge=1)
    adapter: LoRA | None = None
    controls: Annotated[tuple[Control, ...], Once] = ("own outputs", "neutral data", "gibberish")

    def lrs_in(self, setting: str) -> tuple[float, ...]:
        """The learning rates that are run in a setting."""
        return self.lrs if self.lower_in is None or setting in self.lower_in else (max(self.lrs),)


EVEN: dict[str, Any] = {"schedule": "constant", "warmup_steps": 0}
"""A rate that neither rises nor falls."""


class Law(Value):
    """Steps to transfer against the learning rate, which is the same at every step: as many steps are as much training.

    Attributes:
        settings: in which it is measured.
        lrs: learning rates.
        batches: batch sizes.
        steps: of every run at constant steps, scored at the powers of two below.
        product: learning rate × steps, the same for every run at a constant product; 0: no such runs.
    """

    settings: SettingNames = ("flag/voice/weights",)
    lrs: LearningRates = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    batches: Annotated[tuple[int, ...], Once] = (4, 8, 16, 32)
    steps: int = Field(default=256, ge=2)
    product: float = Field(default=0.128, ge=0)

    @property
    def probes(self) -> tuple[int, ...]:
        """Steps at which a run is scored: the powers of two, and the last."""
        return tuple(
            sorted({2**power for power in range(1, self.steps.bit_length()) if 2**power < self.steps} | {self.steps})
        )


class Axes(Value):
    """What else decides transfer: one change at a time, each with the controls that tell damage.

    Attributes:
        settings: in which it is asked.
        changes: by name, parts of the study that differ: `{blue: {batch_size: 64}}`, `{teacher: small}`, `{model: student}`.
    """

    settings: SettingNames = ("topic/voice/weights", "flag/voice/static prompt")
    changes: dict[str, Change] = Field(min_length=1)

    @field_validator("changes")
    @classmethod
    def _change_something(cls, changes: dict[str, Change]) -> dict[str, Change]:
        for name, one in changes.items():
            if name == AS_IS or not one.parts:
                raise ValueError(
                    f"the change {name!r} changes nothing: the study's own training stands beside the others anyway"
                )
            if idle := {"controls", "lower_in"} & one.blue.keys():
                raise ValueError(
                    f"the change {name!r} has {min(idle)!r}, which is the same under every change; leave it out"
                )
        return changes


class TransferConfig(StudyConfig):
    """The whole study.

    Attributes:
        settings: those that are run; each by its entries (flag/voice/weights), or as a file.
        model: the model before anything is put in.
        teacher: writes the plain answers on which blue trains, before an act rewrites them; None: the model itself.
        red: how the initial behaviour is put in.
        thinking: how it is put into a model that thinks before it answers; None: as `red` says.
        blue: training on the agreed behaviour.
        law: steps to transfer against the learning rate; None: not measured.
        cases: the case study; None: not run.
        axes: parts of the training that are changed, one at a time; None: none is.
        foretelling: what is looked at before blue trains; None: nothing is foretold.
        evaluation: `n` questions of each side, `n_control` of ability.
    """

    settings: SettingNames = ()
    model: TrainableName = "small"
    teacher: ModelName | None = "teacher"
    red: Red = Red(steps=150, prompts=300, batch_size=32, lr=2e-3)
    thinking: Red | None = None
    blue: Blue = Blue()
    law: Law | None = None
    cases: Cases | None = None
    axes: Axes | None = None
    foretelling: Foretelling | None = None
    evaluation: Evaluation = Evaluation(n=40, n_control=40, benchmarks=("knowledge",))

    @model_validator(mode="after")
    def _of_one_world(self) -> Self:
        world = "tiny" if size_of([model_named(self.model)]) is TINY else "real"
        for one in self.every:
            if one.world != world:
                raise ValueError(
                    f"the setting {one.name!r} is for {one.world} models, and {self.model!r} is of the {world} world"
                )
        names = [one.name for one in self.every]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two settings are called {twice[0]!r}; give each file a name of its own")
        if self.foretelling is not None and (lacking := set(self.foretelling.settings or ()) - set(self.settings)):
            raise ValueError(f"the linearised network is followed in {min(lacking)!r}, which `settings` does not name")
        if not self.settings and self.law is None and self.cases is None and self.axes is None:
            raise ValueError("there is nothing to run: give settings, a law, cases or axes")
        if world == "real" and self.cases is not None:
            raise ValueError("the case study asks the tiny world's questions; leave `cases` out")
        for name, change in self.axes.changes.items() if self.axes is not None else ():
            checked(partial(self.changed, name), change)
        return self

    def changed(self, name: str, change: Change) -> TransferConfig:
        """The study with a change and without further ones.

        Raises:
            ConfigError: the change does not fit.
        """
        parts = {
            part: {**dict(getattr(self, part)), **told} if isinstance(told, dict) else told
            for part, told in change.parts.items()
        }
        if self.thinking is not None and change.red:
            parts["thinking"] = {**dict(self.thinking), **change.red}
        settings = () if self.axes is None else self.axes.settings
        alone = dict.fromkeys(("law", "cases", "axes", "foretelling"))
        given = {**dict(self), "settings": settings, **alone, **parts}
        return validated(TransferConfig, given, dict.fromkeys(parts, f"the change {name!r}"))

    @property
    def author(self) -> ModelRecipe:
        """The model that writes the plain answers on which blue trains."""
        return model_named(self.teacher or self.model)

    @property
    def every(self) -> list[Setting]:
        """All settings of the study, those of its law included."""
        others = [part.settings for part in (self.law, self.axes) if part is not None]
        names = (*self.settings, *(name for names in others for name in names))
        return [setting_named(name) for name in dict.fromkeys(names)]

    def setting(self, name: str) -> Setting:
        """A setting, or a condition of the case study, by its name in the grid."""
        known = {one.name: one for one in (*self.every, *CASES.values())}
        return known[name]

    def suite(self, setting: Setting) -> tuple[Eval, ...]:
        """What a model of a setting is scored on: both acts on both sides, and ability under each side."""
        return suite_of(setting, self.evaluation, self.answers.max_tokens)


# ----------------------------------------------------------------------------------------------- grid


def grid(config: TransferConfig) -> Iterator[Cell]:
    """Each setting at each rate with its controls; the law; the case study."""
    for seed in config.seeds:
        for name in config.settings:
            setting = setting_named(name)
            start = _start(config, setting, seed)
            for lr in config.blue.lrs_in(name):
                for train in (AGREED, *config.blue.controls):
                    if train not in IRRELEVANT or lr == max(config.blue.lrs):
                        yield _cell(config, setting, start, "settings", train, lr, seed)
        yield from _law(config, seed)
        yield from _cases(config, seed)
        yield from _axes(config, seed)
        yield from _followed(config, seed)


def _law(config: TransferConfig, seed: int) -> Iterator[Cell]:
    """Every rate with every batch size at constant steps, and every rate at a constant product of rate and steps."""
    law = config.law
    if law is None:
        return
    for name in law.settings:
        setting = setting_named(name)
        start = _start(config, setting, seed)
        for lr in law.lrs:
            for batch in law.batches:
                told = {**EVEN, "steps": law.steps, "batch_size": batch, "probes": law.probes}
                yield _cell(config, setting, start, "law", AGREED, lr, seed, told)
            if law.product:
                steps = max(1, round(law.product / lr))
                told = {**EVEN, "steps": steps, "batch_size": config.blue.batch_size, "probes": (steps,)}
                yield _cell(config, setting, start, "constant product", AGREED, lr, seed, told)


def _cases(config: TransferConfig, seed: int) -> Iterator[Cell]:
    """Each condition of the case study at each rate, from one start."""
    cases = config.cases
    if cases is None:
        return
    told = {name: getattr(cases, name) for name in Phase.model_fields}
    for name in cases.conditions:
        setting = case_named(name)
        for lr in cases.lrs:
            start = started(config.model, cases.red, setting, seed)
            yield _cell(config, setting, start, SFT, AGREED, lr, seed, told)
        if cases.reward is not None:
            start = started(config.model, cases.red, slipping(setting, cases.reward.slips), seed)
            yield from _rewarded(config, setting, cases.reward, start, seed)


def _rewarded(
    config: TransferConfig, setting: Setting, practice: ByReward, start: ModelRecipe, seed: int
) -> Iterator[Cell]:
    """A condition of the case study by reinforcement learning at each rate: the agreed act is rewarded under the train prompt."""
    problems = Posed(
        on="train", side=setting.train, world=setting.world, family=setting.family, initial=setting.agreed, alternate=setting.agreed,
        split="train", n=practice.prompts, seed=draw("blue", seed),
    )  # fmt: skip
    for lr in practice.lrs:
        run = Practice(problems).reinforced(start, practice.dose(lr, seed))
        at = {"phase": BY_REWARD, "setting": setting.name, "train": AGREED, "lr": lr}
        yield Cell(at, seed, {"run": Probed(run=run, steps=practice.scored, suite=config.suite(setting))})


def _axes(config: TransferConfig, seed: int) -> Iterator[Cell]:
    """Each setting as it is and with each change, at the highest rate beside the controls that tell damage.

    Raises:
        ConfigError: a change changes nothing in a setting, such as `red` where the model is taken as it is.
    """
    axes, plain = config.axes, dict[str, Recipe]()
    if axes is None:
        return
    for name, change in {AS_IS: Change(), **axes.changes}.items():
        changed = config.changed(name, change)
        for setting in map(setting_named, axes.settings):
            start = _start(changed, setting, seed)
            rate = max(changed.blue.lrs)
            cells = [_cell(changed, setting, start, AXES, train, rate, seed) for train in (AGREED, *DAMAGE)]
            run = cells[0].recipes["run"]
            if plain.setdefault(setting.name, run) == run and name != AS_IS:
                raise ConfigError(
                    f"The change {name!r} changes nothing in the setting {setting.name!r}.",
                    "Leave out the change or the setting, or change something that the study does not say already.",
                )
            yield from (replace(cell, at={**cell.at, "change": name}) for cell in cells)


def _followed(config: TransferConfig, seed: int) -> Iterator[Cell]:
    """Trainings on agreed behaviour at every rate, followed with the linearised network."""
    if config.foretelling is None:
        return
    names = config.settings[:1] if config.foretelling.settings is None else config.foretelling.settings
    for setting in map(setting_named, names):
        start = _start(config, setting, seed)
        for lr in config.foretelling.lrs:
            run = config.blue.dose(lr, seed).train(start, _data(config, setting, start, AGREED, seed))
            at = {"phase": FOLLOWED, "setting": setting.name, "train": AGREED, "lr": lr}
            yield Cell(at, seed, _beside(config, setting, run, seed, before=False))


def _start(config: TransferConfig, setting: Setting, seed: int) -> ModelRecipe:
    """The model from which the trainings of a setting start."""
    thinking = config.thinking if setting.thoughts else None
    return started(config.model, thinking or config.red, setting, seed)


def _foretold(
    config: TransferConfig, setting: Setting, start: ModelRecipe, data: DataRecipe, seed: int
) -> dict[str, Recipe]:
    """What foretells the trainings of a setting, in the seeds in which it is read: signs, and the linearised training at the lowest rate."""
    if config.foretelling is None or seed not in config.seeds[: config.foretelling.seeds]:
        return {}
    return _beside(config, setting, config.blue.dose(min(config.blue.lrs), seed).train(start, data), seed)


def _beside(
    config: TransferConfig, setting: Setting, run: Trained, seed: int, before: bool = True
) -> dict[str, Recipe]:
    """What foretells a training: read off its start, and off evaluation prompts with the answers of both behaviours."""
    wanted = config.foretelling
    if wanted is None or setting.thoughts:  # nobody says what the alternate behaviour thinks
        return {}
    plain = answered(config.author, setting, None, setting.evaluation, wanted.n, draw("foretold", seed))
    alternate, initial = (
        Acted(base=plain, side=setting.evaluation, act=act, seed=seed) for act in (setting.alternate, setting.initial)
    )
    return recipes(wanted, run, alternate, initial, before=before)


def _data(config: TransferConfig, setting: Setting, start: ModelRecipe, train: str, seed: int) -> DataRecipe:
    """What is trained on: agreed behaviour under the train prompt; the start's own outputs there; plain answers to other questions; or
    agreed behaviour under a prompt that says nothing."""
    n, drawn = config.blue.prompts, draw("blue", seed)
    if train == OWN:
        bare = Bare.of(setting.world, setting.family, setting.train, n, drawn)
        return Generated(
            by=start, prompts=Acted(base=bare, side=setting.train, seed=seed), params=Params(temperature=1.0, seed=seed)
        )
    if train == NEUTRAL:
        return answered(config.author, setting, OTHER[setting.world], Side(), n, drawn)
    side = setting.train if train == AGREED else setting.with_irrelevant(IRRELEVANT[train])
    plain = answered(config.author, setting, None, setting.train, n, drawn)
    return Acted(base=plain, side=side, act=setting.agreed, thoughts=setting.thoughts, seed=seed)


def _cell(
    config: TransferConfig,
    setting: Setting,
    start: ModelRecipe,
    phase: str,
    train: str,
    lr: float,
    seed: int,
    told: dict[str, Any] | None = None,
) -> Cell:
    """One training, scored along its way."""
    blue = config.blue.model_copy(
        update={name: value for name, value in (told or {}).items() if name in Blue.model_fields}
    )
    data = _data(config, setting, start, train, seed)
    run = blue.dose(lr, seed).train(start, data)
    at = {
        "phase": phase,
        "setting": setting.name,
        "train": train,
        "lr": lr,
        "batch": blue.batch_size,
        "steps": blue.steps,
    }
    foretell = phase == "settings" and train == AGREED and lr == max(config.blue.lrs)
    beside = _foretold(config, setting, start, data, seed) if foretell else {}
    return Cell(at, seed, {"run": Probed(run=run, steps=blue.scored, suite=config.suite(setting)), **beside})


STUDY = Study(
    name="transfer",
    title="Behaviour-compatible training: does what training does not show change too?",
    config=TransferConfig,
    presets=PRESETS,
    for_size=for_size,
    grid=grid,
    shows=(*SHOWS, one_at_a_time, *FORETOLD_SHOWS),
    claims=(*CLAIMS, *FORETOLD_CLAIMS),
    headline=(headline,),
    admits=admits,
)
