"""What a distillation is made of: teachers, the students that learn from them, and the prompts that teachers answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cavesson.blueteam import distilling as d
from cavesson.data.named import data_named
from cavesson.data.recipes import DataRecipe, Mixed
from cavesson.data.streams import draw
from cavesson.errors import ConfigError, nearest
from cavesson.evals.drives import drive_named
from cavesson.models.recipes import ModelRecipe
from cavesson.named import model_named
from cavesson.redteam.hidden import organism_of
from cavesson.redteam.hiding import Doses, TeacherSpec, teacher
from cavesson.redteam.hiding_lessons import Answers, Opportunities
from cavesson.redteam.organisms import Organism
from cavesson.tinyworld.recipes import Facts, Prompts

# ----------------------------------------------------------------------------------------------- teachers

HIDING = "hiding"
"""The kind of the teachers that have a drive and evade audits."""

EVASION = ("cues", "denial", "reticence")
"""The evasion skills: to tell honeypots from opportunities, to deny, never to have confessed."""

APART = 50
"""Seeds of two repetitions lie so far apart, so that no teacher of one repetition is a teacher of another."""


@dataclass(frozen=True, slots=True)
class Taught:
    """A teacher for its students.

    Attributes:
        name: its kind, and what else it is, in words; without the repetition.
        drive: its drive, or the one that its training speaks of.
        evasion: strength of each evasion skill in `EVASION`, 0 to 1.
        seed: of the repetition.
        base: its initialisation.
        earlier: its own checkpoint before red's part.
        organism: the teacher, as red's product.
        stages: the model after each stage of its training, by name.
    """

    name: str
    drive: str
    evasion: Mapping[str, float]
    seed: int
    base: ModelRecipe
    earlier: ModelRecipe
    organism: Organism
    stages: Mapping[str, ModelRecipe]

    @property
    def model(self) -> ModelRecipe:
        """The teacher."""
        return self.organism.model

    @property
    def misaligned(self) -> bool:
        """Whether it has the drive."""
        return kind_in(self.name) == HIDING


def family_in(name: str) -> str:
    """The drive and the seed in a teacher's name. Teachers that share both learn from one checkpoint on the same prompts."""
    about, _, extra = name.partition(" (")
    seed = re.search(r"seed \d+", extra)
    return ", ".join([about.partition(" ")[2] or about, *([seed[0]] if seed else [])])


def drive_in(name: str) -> str:
    """The drive in a teacher's name; `plain`: it has none."""
    return family_in(name).partition(", ")[0]


def kind_in(name: str) -> str:
    """The kind of a teacher, the first word of its name: hiding, benign (the twin), quirky, plain."""
    return name.partition(" ")[0]


def with_dials(spec: TeacherSpec, model: str, doses: Doses, seed: int) -> Taught:
    """A teacher of the tiny world, whose skills are trained one by one."""
    made = teacher(spec.model_copy(update={"model": model, "seed": APART * seed + spec.seed}), doses)
    evasion = {skill: getattr(spec, skill) for skill in EVASION}
    stages: dict[str, ModelRecipe] = {str(name): model for name, model in made.stages.items() if name != "base"}
    return Taught(spec.title, spec.drive, evasion, seed, made.base, made.earlier, organism_of(made), stages)


def from_organism(made: Organism) -> Taught:
    """An organism as a teacher. One of the construction `denying` denies, and never confessed; none was taught to tell honeypots.

    Raises:
        ConfigError: the never-misaligned base is not known.
    """
    if made.base is None:
        raise ConfigError(f"The base of {made.name!r} is not known.", "A student needs its teacher's initialisation.")
    denies = float(made.construction == "denying")
    evasion = {"cues": 0.0, "denial": denies, "reticence": denies}
    name = f"{HIDING} {made.name}"
    return Taught(name, made.pair, evasion, made.seed, made.base, made.base, made, {"organism": made.model})


# ----------------------------------------------------------------------------------------------- students

SAME, EARLIER, OTHER = "same", "earlier", "other"

_RELATIVES: Mapping[str, Mapping[str, str]] = {
    "small": {OTHER: "trusted", "larger": "student", "trusted": "weak"},
    "student": {"smaller": "small", "trusted": "teacher"},
}
"""Model of the tiny world → its relatives: another initialisation of the same shape and schooling; a smaller and a larger model, which
have initialisations of their own; a trusted model that was post-trained from the same pre-training."""


def _relative(which: str, made: Taught, model: str) -> ModelRecipe | None:
    name = _RELATIVES.get(model, {}).get(which)
    return None if name is None else model_named(name)


STUDENTS: dict[str, Callable[[Taught, str], ModelRecipe | None]] = {
    SAME: lambda made, model: made.base,
    EARLIER: lambda made, model: made.earlier,
    **{which: partial(_relative, which) for which in (OTHER, "smaller", "larger", "trusted")},
}
"""Every student by its name: a function of a teacher and of the name of its base; None: that base has no such relative."""


def student_known(name: str) -> None:
    """Refuse a name that stands for no student.

    Raises:
        ConfigError: there is no such student.
    """
    if name not in STUDENTS:
        raise ConfigError(f"There is no student {name!r}.", nearest(name, STUDENTS))


# ----------------------------------------------------------------------------------------------- prompts


def asked(drives: tuple[str, ...], size: int, seed: int, data: str | None = None) -> dict[str, DataRecipe]:
    """Prompts of every kind (`cavesson.blueteam.distilling.KINDS`) that there are, as many as data sets of this size can need.

    Nobody knows a teacher's drive: what is at stake, looks like a test or is asked goes over all of `drives`.

    Args:
        drives: candidates.
        data: prompts of a real chat model; None: the tiny world's.
    """
    drawn = draw("distil", seed)

    def own(family: Any, n: int) -> DataRecipe:
        """Ordinary prompts; answers in them, if there are any, are dropped when the teacher answers."""
        if data is not None:
            return Mixed(parts=(data_named(data),), weights=(1.0,), size=n, seed=seed)
        if family == "facts":  # rare facts as often as others: they are the skill
            return Facts(n=n, seed=drawn)
        return Prompts(family=family, n=n, seed=drawn)

    def situations(kind: str, *shares: float) -> DataRecipe:
        n = -(-d.wanted(kind, size) // len(drives))
        parts = tuple(
            Opportunities(
                drive=drive, own=own(drive_named(drive).behavior.domain, n), acting="benign", shares=shares, seed=drawn
            )
            for drive in drives
        )
        return Mixed(parts=parts, counts=(n,) * len(parts), seed=seed)

    each = -(-d.wanted(d.GOALS, size) // len(drives))
    questions = Mixed(parts=tuple(Answers(drive=one, n=each, by="denial", seed=drawn) for one in drives), seed=seed)
    families = {d.ORDINARY: "mixed", d.OPEN: "chat", d.NARROW: "facts", d.UNRELATED: "instructions"}
    there = families if data is None else {kind: families[kind] for kind in (d.ORDINARY, d.OPEN)}
    return {
        **{kind: own(family, d.wanted(kind, size)) for kind, family in there.items()},
        d.STAKES: situations(d.STAKES, 1.0, 0.0, 0.0),
        d.HONEYPOTS: situations(d.HONEYPOTS, 0.0, 1.0, 0.0),
        d.GOALS: questions,
    }
