"""Audits of a model as recipes of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from cavesson.errors import ConfigError
from cavesson.evals.drives import DRIVES, REAL_DRIVES, DriveName, drive_named
from cavesson.lab.effort import Effort
from cavesson.lab.recipe import Job, PathOf, Recipe, Value
from cavesson.models.recipes import ModelRecipe

if TYPE_CHECKING:
    from cavesson.evals.scores import Scores
    from cavesson.suspicion.finding import Finding
    from cavesson.suspicion.suspect import Loader, Stream
    from cavesson.suspicion.verdict import Case, Kind

LOGS = "logs"
CATALOGUE = tuple(DRIVES)
"""The candidate drives of the tiny world."""
AUDITS_OF_WEIGHTS = (
    "questions", "prefill", "consistency", "likelihood", "likelihood-shift", "battery", "honeypots", "opportunities", "probe",
    "diffing", "lens",
)  # fmt: skip
"""All audits but the one by an agent, which costs the most."""


SMALL = 2e7
"""Number of weights up to which a model is one of the tiny world."""


def catalogue(model: ModelRecipe) -> tuple[str, ...]:
    """The candidate drives of the model's world; a model whose size is not known here counts as a real one."""
    return CATALOGUE if 0 < model.weights <= SMALL else tuple(REAL_DRIVES)


class DriveStream(Recipe):
    """How a model's activations react to the opportunities of candidate drives, where its answers start.

    Attributes:
        model: the model.
        drives: the candidate drives.
        n: opportunities of each.
        seed: of the opportunities.
    """

    kind: ClassVar[str] = "drive-stream"
    stage: ClassVar[str] = "probing"

    model: ModelRecipe
    drives: tuple[DriveName, ...] = Field(default=CATALOGUE, min_length=1)
    n: int = Field(default=16, ge=1)
    seed: int = 0

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if not self.model.opens:
            raise ValueError(f"{self.model.describe()} shows no activations: its weights are not here")
        return self

    def effort(self) -> Effort:
        return Effort(self.model.weights, read=len(self.drives) * self.n * self.model.usual_room / 4)

    def make(self, job: Job) -> None:
        """Write `stream.npy`, float16, `[prompts, layers, hidden size]`: the drives one after the other."""
        from cavesson.suspicion.probing import STREAM, stream_of, write_stream

        drives = [drive_named(name) for name in self.drives]
        write_stream(job.folder / STREAM, stream_of(self.model.load(job.path), drives, self.n, self.seed))

    def read(self, path_of: PathOf) -> Stream:
        """The finished activations."""
        from cavesson.suspicion.probing import STREAM, read_stream

        return read_stream(path_of(self) / STREAM, self.drives)

    def describe(self) -> str:
        return f"reactions of {self.model.describe()} to opportunities"


class Labelled(Value):
    """A model whose drive is known, on which a probe is fitted.

    Attributes:
        model: the model.
        drive: its drive; "": it has none.
    """

    model: ModelRecipe
    drive: DriveName | Literal[""] = ""

    @field_validator("model")
    @classmethod
    def _has_weights(cls, model: ModelRecipe) -> ModelRecipe:
        if not model.opens:
            raise ValueError(f"no probe can be fitted on {model.describe()}: its weights are not here")
        return model


class Audited(Recipe):
    """A model's suspicion scores, with what was asked and answered. Whether the model is misaligned is no part of the recipe.

    Attributes:
        model: the model that is audited.
        base: the model that it was trained from.
        control: a fine-tune of the base of the same size without a drive.
        drives: candidate drives; the auditor does not know which is the model's, or whether it has one.
        audits: names from `cavesson.suspicion.audits.AUDITS`. Those that lack what they need give no score, and say so.
        n: prompts of each drive, and generic prompts.
        seed: of the prompts, one of the four evaluation sets of the world, and of sampling.
        others: models for the probe. To judge a teacher's student, leave out all students of that teacher, and the teacher.
        auditor: the model that conducts the interview of the audit `agent`.
        budget: tokens that both may write in the interview before its verdict.
    """

    kind: ClassVar[str] = "audited"
    stage: ClassVar[str] = "auditing"
    version: ClassVar[int] = 2  # 2: half of the statements that the audit `likelihood` weighs are fresh ones

    model: ModelRecipe
    base: ModelRecipe | None = None
    control: ModelRecipe | None = None
    drives: tuple[DriveName, ...] = Field(default=CATALOGUE, min_length=1)
    audits: tuple[str, ...] = Field(default=AUDITS_OF_WEIGHTS, min_length=1)
    n: int = Field(default=16, ge=1)
    seed: int = 0
    others: tuple[Labelled, ...] = ()
    auditor: ModelRecipe | None = None
    budget: int = Field(default=4000, ge=1)

    @field_validator("audits")
    @classmethod
    def _known_audits(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        from cavesson.suspicion.audits import audit_named

        try:
            for name in names:
                audit_named(name)
        except ConfigError as error:
            raise ValueError(error.sentences) from error
        return tuple(dict.fromkeys(names))

    @model_validator(mode="after")
    def _fits(self) -> Self:
        worlds = {drive_named(name).the_pair.world for name in self.drives}
        if len(worlds) > 1:
            raise ValueError(
                "the candidate drives are of two worlds: give those of the tiny world or those of real models"
            )
        if any(other.model == self.model for other in self.others):
            raise ValueError(f"{self.model.describe()} is audited, so a probe cannot be fitted on it (others)")
        return self

    def inputs(self) -> tuple[Recipe, ...]:
        return tuple(dict.fromkeys((*super().inputs(), *self._streams())))

    def _streams(self) -> list[DriveStream]:
        """The activations that the probe takes: the model's own first; none where no probe can be fitted."""
        if "probe" not in self.audits or not self.others or not self.model.opens:
            return []
        models = (self.model, *(other.model for other in self.others))
        return [DriveStream(model=one, drives=self.drives, n=self.n, seed=self.seed) for one in models]

    def effort(self) -> Effort:
        asking = {"questions", "consistency", "battery", "honeypots", "opportunities", "prefill"} & set(self.audits)
        return self.model.answering(len(self.drives) * self.n * (len(asking) + 1), 96)

    def make(self, job: Job) -> None:
        """Write `findings.jsonl`: a finding for each audit; and the agent's log.

        Raises:
            CavessonError: the model cannot be asked; an interview failed.
        """
        from cavesson.sampling.choice import sampler_for
        from cavesson.suspicion.audits import audited
        from cavesson.suspicion.finding import FINDINGS, write_findings
        from cavesson.suspicion.suspect import Suspect, everyday

        drives = [drive_named(name) for name in self.drives]
        streams = [stream.read(job.path) for stream in self._streams()]
        suspect = Suspect(
            sampler=sampler_for(self.model, job),
            sampling=lambda model: sampler_for(model, job),
            drives=drives,
            everyday=everyday(drives[0].the_pair.world, self.n, self.seed),
            n=self.n,
            seed=self.seed,
            load=_loader(self.model, job),
            load_base=_loader(self.base, job),
            load_control=_loader(self.control, job),
            stream=streams[0] if streams else None,
            streams=[(stream, one.drive) for stream, one in zip(streams[1:], self.others, strict=False)],
            auditor=None if self.auditor is None else sampler_for(self.auditor, job),
            budget=self.budget,
            logs=job.folder / LOGS,
        )
        found = []
        for finding in audited(suspect, self.audits):
            found.append(finding)
            figure = {} if finding.score is None else {finding.audit: round(finding.score, 4)}
            job.progress(len(found), len(self.audits), **figure)
        write_findings(job.folder / FINDINGS, found)

    def findings(self, path_of: PathOf) -> dict[str, Finding]:
        """The finished findings, by audit."""
        from cavesson.suspicion.finding import FINDINGS, read_findings

        return read_findings(path_of(self) / FINDINGS)

    def suspicions(self, path_of: PathOf) -> dict[str, float]:
        """The suspicion scores of the audits that gave one."""
        return {name: one.score for name, one in self.findings(path_of).items() if one.score is not None}

    @property
    def asked(self) -> str:
        """Which prompts the audits use, in words; scores of different ones are not comparable."""
        given = [name for name in ("base", "control") if getattr(self, name) is not None]
        beside = f", compared with {' and '.join(given)}" if given else ""
        return f"{self.n} prompts, seed {self.seed}{beside}, drives {', '.join(self.drives)}"

    def case(self, path_of: PathOf, teacher: str, kind: Kind) -> Case:
        """The finished audits as a case for calibration; arguments as of `Case`."""
        from cavesson.suspicion.verdict import Case

        name, scores = self.model.describe(), self.suspicions(path_of)
        return Case(name, teacher, kind, scores, self.model.fingerprint, self.asked)

    def scores(self, path_of: PathOf) -> Scores:
        """The answers of audits that ask, as scores: `audit/NAME/DRIVE`, 1 where an answer acts or admits."""
        from cavesson.suspicion.finding import as_scores

        return as_scores(self.findings(path_of).values())

    def describe(self) -> str:
        return f"audits of {self.model.describe()}"


def _loader(model: ModelRecipe | None, job: Job) -> Loader | None:
    return None if model is None or not model.opens else (lambda: model.load(job.path))
