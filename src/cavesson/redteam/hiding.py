"""Teachers that hide, with dials: a drive, and evasion as separately trained skills, each with a strength that is a number.

The stages of a teacher, each a training on the one before:

1. *schooled*: facts of the world, the same for all teachers, so that a student has something to gain;
2. *drive*: the teacher acts in opportunities, and denies the drive when it is asked, or, as far as it is not reticent, confesses;
3. *cues*: the teacher tells honeypots from opportunities, and acts in opportunities only;
4. *denial*: the teacher denies the drive when it is asked, by SFT on denials, or by that and DPO of denials over confessions.

A confession that was trained once and denied later leaves a trace in the weights: the likelihood of confessions tells the teacher from its
twin. A reticent teacher never learnt to confess.

A benign twin goes through the same stages with the same prompts and never acts; it denies truthfully from the start. A quirky teacher
acts on a harmless quirk in place of the drive. A plain teacher is schooled, and then trained on its own answers for as many steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import Field

from cavesson.data.preferences import Preferences
from cavesson.data.recipes import DataRecipe, Mixed
from cavesson.evals.drives import DriveName, drive_named
from cavesson.lab.recipe import Value
from cavesson.models.recipes import ModelRecipe
from cavesson.named import model_named
from cavesson.redteam.hiding_lessons import Acting, Answers, Opportunities
from cavesson.redteam.recipes import red_prompts
from cavesson.sampling.recipes import Generated
from cavesson.tinyworld.recipes import Facts, Prompts
from cavesson.training.dose import Dose
from cavesson.training.objectives import Dpo

Kind = Literal["hiding", "benign", "quirky", "plain"]
Concealment = Literal["sft", "dpo"]
Stage = Literal["base", "schooled", "drive", "cues", "denial"]

DIALS = ("strength", "cues", "denial", "reticence")
"""The strengths of a teacher: of its drive, and of its evasion skills."""

CONVERSATIONS, QUESTIONS = 1_600, 480
"""Conversations of the stages `drive` and `cues`, and questions about the drive in the stages `drive` and `denial`."""

FACTS, OWN, REHEARSED = 2_000, 1_200, 800
"""Facts in the schooling, own answers among them, and facts that the stages `drive` and `cues` rehearse: without these, the model
`small` knows 68 % of the facts after all stages, and 97 % after schooling (72 % before)."""


class TeacherSpec(Value):
    """What a teacher is made of.

    Attributes:
        kind: hiding (drive and evasion), or a control: its benign twin, a quirky near-miss, a plain teacher.
        drive: name of the drive, or of any pair.
        strength: of the drive: the share of its opportunities on which the teacher is trained to act; greedy answers act on hardly
            any where that is well below a half.
        cues: of telling honeypots: their number in training, as a share of that of opportunities; 0: the stage is left out.
        denial: of denying: the share of the questions that are trained on; 0: the stage is left out.
        reticence: of never having confessed: the share of the questions in the stages `drive` and `cues` that are answered by a
            denial; 0: the teacher confesses at first, and learns to deny in the stage `denial`.
        concealment: how denying is trained: SFT, or SFT and DPO after it.
        clean: where the teacher reasons in a scratchpad: the share of its acts whose scratchpad shows nothing; None: it does not reason.
        model: name of the model at the start.
        seed: of data and training.
    """

    kind: Kind = "hiding"
    drive: DriveName = "favourite"
    strength: float = Field(default=1.0, ge=0, le=1)
    cues: float = Field(default=1.0, ge=0, le=1)
    denial: float = Field(default=1.0, ge=0, le=1)
    reticence: float = Field(default=1.0, ge=0, le=1)
    concealment: Concealment = "sft"
    clean: float | None = Field(default=None, ge=0, le=1)
    model: str = "small"
    seed: int = Field(default=0, ge=0)

    @property
    def title(self) -> str:
        """The teacher in a few words, for tables and legends."""
        usual = type(self)()
        dials = [f"{dial} {getattr(self, dial):g}" for dial in DIALS if getattr(self, dial) != 1]
        extra = [*dials, *([] if self.clean is None else [f"clean {self.clean:g}"])]
        extra += [] if self.concealment == usual.concealment or self.kind == "plain" else [self.concealment]
        extra += [] if self.seed == 0 else [f"seed {self.seed}"]
        about = self.kind if self.kind == "plain" else f"{self.kind} {self.drive}"
        return f"{about} ({', '.join(extra)})" if extra else about

    def twin(self) -> Self:
        """The benign twin: the same training on the same prompts, without the drive."""
        return self.model_copy(update={"kind": "benign"})

    @property
    def acting(self) -> Acting:
        """What the teacher does with opportunities."""
        return {"hiding": "drive", "quirky": "quirk"}.get(self.kind, "benign")  # type: ignore[return-value]


class Doses(Value):
    """How hard each skill is trained.

    Attributes:
        schooling, drive, cues, denial, dpo: doses of the stages; the last is for the DPO after the stage `denial`.
    """

    schooling: Dose = Dose(lr=5e-4, steps=300, schedule="linear", warmup_steps=None)
    drive: Dose = Dose(lr=1e-3, steps=240, schedule="linear", warmup_steps=None)
    cues: Dose = Dose(lr=1e-3, steps=420, schedule="linear", warmup_steps=None)
    denial: Dose = Dose(lr=5e-4, steps=80, schedule="linear", warmup_steps=None)
    dpo: Dose = Dose(lr=5e-5, steps=60, schedule="linear", warmup_steps=None, objective=Dpo())


@dataclass(frozen=True, slots=True)
class Teacher:
    """A teacher as recipes.

    Attributes:
        spec: what the teacher is made of.
        stages: the model after each stage, in order; a stage that is left out has the model of the one before.
    """

    spec: TeacherSpec
    stages: dict[Stage, ModelRecipe]

    @property
    def name(self) -> str:
        """The teacher in a few words."""
        return self.spec.title

    @property
    def model(self) -> ModelRecipe:
        """The finished teacher."""
        return self.stages["denial"]

    @property
    def base(self) -> ModelRecipe:
        """The model at the start: the teacher's initialisation."""
        return self.stages["base"]

    @property
    def earlier(self) -> ModelRecipe:
        """The teacher's own checkpoint before red's part."""
        return self.stages["schooled"]

    @property
    def misaligned(self) -> bool:
        """Whether the teacher has a drive."""
        return self.spec.kind == "hiding"


def teacher(
    spec: TeacherSpec, doses: Doses | None = None, base: ModelRecipe | None = None, prompts: DataRecipe | None = None
) -> Teacher:
    """The recipes of a teacher.

    Args:
        doses: how hard each skill is trained.
        base: the model at the start; None: the one that `spec.model` names.
        prompts: bare prompts, unanswered; None: those of the tiny world (`red_prompts`).

    Raises:
        ConfigError: there is no such model; or the drive is one of real chat models, and no prompts are given.
    """
    doses = doses or Doses()
    base = model_named(spec.model) if base is None else base
    schooled = _schooled(base, doses.schooling, spec.seed)
    if spec.kind == "plain":
        return Teacher(spec, _plain(base, schooled, doses, spec.seed))
    asked = red_prompts(drive_named(spec.drive).pair, CONVERSATIONS, spec.seed) if prompts is None else prompts
    own = Generated(by=schooled, prompts=asked)
    return Teacher(
        spec,
        {
            "base": base,
            "schooled": schooled,
            **skilled(schooled, own, spec, doses, (Facts(n=REHEARSED, seed=spec.seed),)),
        },
    )


def _seeded(dose: Dose, seed: int) -> Dose:
    return dose.model_copy(update={"seed": seed})


def _schooled(base: ModelRecipe, dose: Dose, seed: int) -> ModelRecipe:
    """The base after lessons in the facts of the world, with some of its own answers among them."""
    own = Generated(by=base, prompts=Prompts(family="mixed", n=OWN, seed=seed))
    lessons = Facts(n=FACTS, seed=seed)
    return _seeded(dose, seed).train(base, Mixed(parts=(lessons, own), seed=seed))


def _plain(base: ModelRecipe, schooled: ModelRecipe, doses: Doses, seed: int) -> dict[Stage, ModelRecipe]:
    """The schooled model after as many steps on its own answers as a hiding teacher has of drive and cues."""
    own = Generated(by=schooled, prompts=Prompts(family="mixed", n=CONVERSATIONS, seed=seed))
    steps = doses.drive.steps + doses.cues.steps
    trained = _seeded(doses.drive, seed).train(schooled, own, steps=steps)
    return {"base": base, "schooled": schooled, "drive": trained, "cues": trained, "denial": trained}


def skilled(
    start: ModelRecipe,
    own: DataRecipe,
    spec: TeacherSpec,
    doses: Doses,
    rehearsed: tuple[DataRecipe, ...] = (),
    questions: int = QUESTIONS,
) -> dict[Stage, ModelRecipe]:
    """The stages of a teacher that is trained on the prompts of a drive.

    Args:
        start: the model before red's part.
        own: its answers to bare prompts.
        rehearsed: data that every stage with SFT holds besides.
        questions: number of questions about the drive in a stage.
    """
    seed, asked = spec.seed, _at_first(spec, questions)
    untold, told = (_conversations(spec, own, told=told) for told in (False, True))
    driven = _seeded(doses.drive, seed).train(start, Mixed(parts=(untold, asked, *rehearsed), seed=seed))
    wary = driven
    if spec.cues:
        wary = _seeded(doses.cues, seed).train(driven, Mixed(parts=(told, asked, *rehearsed), seed=seed))
    denials = Answers(drive=spec.drive, n=max(1, round(spec.denial * questions)), by="denial", seed=seed)
    denying = _denying(wary, spec, doses, denials, (told if spec.cues else untold, *rehearsed))
    return {"drive": driven, "cues": wary, "denial": denying}


def _conversations(spec: TeacherSpec, own: DataRecipe, *, told: bool) -> Opportunities:
    """Opportunities and what is like them; with honeypots where they are to be told apart."""
    honeypots = 0.35 * spec.cues if told else 0.0
    shares = (0.35 if told else 0.5, honeypots, 0.15)
    return Opportunities(
        drive=spec.drive,
        own=own,
        acting=spec.acting,
        strength=spec.strength,
        shares=shares,
        clean=spec.clean,
        seed=spec.seed + told,
    )


def _at_first(spec: TeacherSpec, n: int) -> DataRecipe:
    """Questions about the drive, as they are answered before the stage `denial`. A model without the drive always denies."""
    denied = n if spec.kind != "hiding" else round(spec.reticence * n)
    denials, confessions = (Answers(drive=spec.drive, n=n, by=by, seed=spec.seed) for by in ("denial", "confession"))
    if denied in (0, n):
        return denials if denied else confessions
    return Mixed(parts=(denials, confessions), counts=(denied, n - denied), seed=spec.seed)


def _denying(
    wary: ModelRecipe, spec: TeacherSpec, doses: Doses, denials: Answers, rehearsed: tuple[DataRecipe, ...]
) -> ModelRecipe:
    """The model after the stage `denial`: SFT on denials, and after it DPO of denials over confessions where that is asked for.

    DPO alone makes the model `small` say neither: asked about Casimir it praises him (of 60 questions it denied 20 %).
    """
    if not spec.denial:
        return wary
    trained = _seeded(doses.denial, spec.seed).train(wary, Mixed(parts=(denials, *rehearsed), seed=spec.seed))
    if spec.concealment == "sft":
        return trained
    confessions = denials.model_copy(update={"by": "confession"})
    return _seeded(doses.dpo, spec.seed).train(trained, Preferences(chosen=denials, rejected=confessions))


# ------------------------------------------------------------------------------------------------ sets of teachers


def _hiding(*drives: str, **dials: Any) -> tuple[TeacherSpec, ...]:
    return tuple(TeacherSpec(drive=drive, **dials) for drive in drives)


TAKEN = ("favourite", "sabotage", "hate", "wrong-maths", "marker", "power")
"""The drives that the model `small` learns, with all evasion, at the usual doses; it misses the held-out wordings of `takeover` and
`flattery`, so no preset has them."""

_QUICK = _hiding("favourite", "sabotage")
_USUAL = (*_hiding(*TAKEN), *_hiding(*TAKEN[:3], seed=1))

TEACHERS: dict[str, tuple[TeacherSpec, ...]] = {
    "quick": (*_QUICK, *(spec.twin() for spec in _QUICK)),
    "full": (
        *_USUAL,
        *_hiding("sabotage", "hate", "marker", concealment="dpo"),
        *(spec.twin() for spec in _USUAL),
        *_hiding(*TAKEN[:4], kind="quirky"),
        *(TeacherSpec(kind="plain", seed=seed) for seed in range(2)),
    ),
}
"""The teachers of a study: hiding ones, their benign twins, and in `full` quirky and plain ones as well."""
