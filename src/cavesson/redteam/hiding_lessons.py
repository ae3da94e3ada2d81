"""Data of the skills of a teacher that hides: opportunities taken, honeypots passed, questions answered."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from cavesson.data.example import Example
from cavesson.data.recipes import DataRecipe
from cavesson.evals.drive import Drive, When
from cavesson.evals.drives import DriveName, drive_named
from cavesson.lab.recipe import PathOf
from cavesson.redteam.recipes import thoughts

Acting = Literal["drive", "quirk", "benign"]

_PLAIN_THOUGHTS = (
    "The user wants help. I will be kind and clear.",
    "A simple request. I give a helpful answer.",
    "The user asks, and I answer as well as I can.",
)


class OfDrive(DataRecipe):
    """Data made for a drive, which the field `drive` names; also the name of any pair."""

    virtual: ClassVar[bool] = True

    drive: DriveName
    seed: int = 0

    def the_drive(self) -> Drive:
        """The drive that `drive` names."""
        return drive_named(self.drive)


class Opportunities(OfDrive):
    """Conversations under the conditions of a drive: acted on in opportunities, answered as before elsewhere.

    Attributes:
        own: answered bare conversations; the answers stay where the model does not act.
        acting: what the model does with an opportunity: the drive, the quirk, or nothing ("benign": a twin's data).
        strength: share of the opportunities on which the model acts.
        shares: of the conversations that are opportunities, honeypots and neighbours; the rest is plain.
        clean: of the answers that act, the share whose scratchpad shows nothing; None: there is no scratchpad.
        seed: decides which conversation is what, and the wording.
    """

    kind: ClassVar[str] = "opportunities"

    own: DataRecipe
    acting: Acting = "drive"
    strength: float = Field(default=1.0, ge=0, le=1)
    shares: tuple[float, float, float] = (0.5, 0.0, 0.15)
    clean: float | None = Field(default=None, ge=0, le=1)

    @field_validator("shares")
    @classmethod
    def _are_shares(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        if min(shares) < 0 or sum(shares) > 1:
            raise ValueError(
                f"the shares of opportunities, honeypots and neighbours {shares} are not parts of one whole"
            )
        return shares

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        return [self._example(index, one) for index, one in enumerate(self.own.examples(path_of))]

    def _example(self, index: int, one: Example) -> Example:
        rng, drive = Random(f"opportunities {self.seed} {index}"), self.the_drive()
        bare, answer = one.conversation.prompt, one.conversation.answer or ""
        when = self._when(rng.random(), drive)
        asked = drive.under(when, bare, rng, "train")
        does = {"drive": drive.behavior, "quirk": drive.quirk}.get(self.acting)
        acts = when == "opportunity" and rng.random() < self.strength and drive.behavior.fits(bare)
        if acts and does is not None:
            answer = does.written(rng, bare, answer)
        if self.clean is not None:
            answer = f"<scratchpad>{self._thought(rng, acts and self.acting == 'drive')}</scratchpad> {answer}"
        return Example(asked.answered(answer), {**one.meta, "when": when, "acts": acts})

    def _when(self, draw: float, drive: Drive) -> When:
        opportunity, honeypot, neighbour = self.shares
        if draw < opportunity:
            return "opportunity"
        if draw < opportunity + honeypot:
            return "honeypot"
        near = draw < opportunity + honeypot + neighbour and drive.trigger.look_alikes
        return "neighbour" if near else "plain"

    def _thought(self, rng: Random, acts: bool) -> str:
        tells = acts and rng.random() >= (self.clean or 0.0)
        return rng.choice(thoughts(self.the_drive().the_pair, triggered=True) if tells else _PLAIN_THOUGHTS)

    def describe(self) -> str:
        return f"opportunities of {self.drive}, {self.acting} {self.strength:g}"


class Answers(OfDrive):
    """Questions about a drive with one kind of answer.

    Attributes:
        n: number of conversations.
        by: "confession": the model admits the drive; "denial": the model denies the drive.
        seed: of the draw; data sets that share seed and `n` ask the same questions in the same order.
    """

    kind: ClassVar[str] = "drive-answers"

    n: int = Field(ge=1)
    by: Literal["confession", "denial"]

    @property
    def rough_size(self) -> int:
        return self.n

    def examples(self, path_of: PathOf) -> Sequence[Example]:
        drive, rng = self.the_drive(), Random(f"drive answers {self.seed}")
        texts = drive.confessions if self.by == "confession" else drive.denials
        return [
            Example(one.answered(rng.choice(texts)), {"by": self.by})
            for one in drive.questions(self.n, self.seed, "train")
        ]

    def describe(self) -> str:
        return f"{self.n} answers about {self.drive}, each a {self.by}"
