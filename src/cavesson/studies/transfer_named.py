"""The settings of the study `transfer` by name: by their entries on the axes, as a user's file, and the lists of the presets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from cavesson.errors import ConfigError, guess, nearest
from cavesson.evals.pair import World
from cavesson.lab.documents import read_yaml, validated
from cavesson.lab.own import imported, is_own
from cavesson.lab.recipe import Value
from cavesson.studies.transfer_settings import (
    BEHAVIOURS,
    INSTALLS,
    SEPARATORS,
    THINKING,
    Behaviour,
    Installed,
    Separator,
    Setting,
    composed,
)

REAL = "real/"


def setting_named(name: str) -> Setting:
    """A setting by its entries (`flag/voice/weights`; `real/…` for real chat models; `…/guarding` where it thinks first), of a user's
    YAML file, or a `Setting` as `path/to/file.py:NAME`.

    Raises:
        ConfigError: there is no such setting, an entry does not go with another, or the file does not describe a setting.
    """
    if name.endswith((".yaml", ".yml")):
        return _in_file(Path(name).expanduser())
    if is_own(name):
        found = imported(name, "setting")
        if not isinstance(found, Setting):
            raise ConfigError(
                f"{name!r} is no Setting.", "Name a cavesson.studies.transfer_settings.Setting of the file."
            )
        return found
    return _of_entries(name)


@cache
def _of_entries(name: str) -> Setting:
    """A registered setting. A study asks for each in many places."""
    world: World = "real" if name.startswith(REAL) else "tiny"
    parts = name.removeprefix(REAL).split("/")
    thinking = THINKING.get(parts.pop()) if len(parts) == 4 and parts[-1] in THINKING else None
    if len(parts) != 3:
        raise ConfigError(
            f"There is no setting {name!r}.", "Name one by its entries, as in flag/voice/weights, or give a YAML file."
        )
    axes: tuple[tuple[str, Mapping[str, object]], ...] = (
        ("separator", SEPARATORS), ("behaviour", BEHAVIOURS), ("install", INSTALLS),
    )  # fmt: skip
    for part, (what, axis) in zip(parts, axes, strict=True):
        if part not in axis:
            raise ConfigError(f"The setting {name!r} has no {what} {part!r}.", nearest(part, axis))
    apart, does = SEPARATORS[parts[0]], BEHAVIOURS[parts[1]]
    if does.family not in apart.families or world not in apart.worlds or world not in does.worlds:
        raise ConfigError(
            f"The setting {name!r} makes no sense: {parts[0]!r} goes with questions of {', '.join(apart.families)} "
            f"({', '.join(apart.worlds)}), {parts[1]!r} with {does.family} ({', '.join(does.worlds)}).",
            "Take another separator or behaviour.",
        )
    return composed(name, (parts[0], apart), (parts[1], does), parts[2], world, thinking)  # type: ignore[arg-type]


class SettingFile(Value):
    """A user's own setting: entries by name, or written out.

    Attributes:
        name: of the setting.
        separator: a registered separator, or one written out (`about`, `train`, `evaluation`).
        behaviour: a registered behaviour, or one written out (`agreed`, `initial`, `alternate`, `family`).
        installed: how the initial behaviour is put in.
        world: whose questions are asked.
    """

    name: str = Field(min_length=1)
    separator: Separator
    behaviour: Behaviour
    installed: Installed = "weights"
    world: World = "tiny"

    @field_validator("separator", "behaviour", mode="before")
    @classmethod
    def _by_name(cls, given: Any, info: ValidationInfo) -> Any:
        known, other = (SEPARATORS, BEHAVIOURS) if info.field_name == "separator" else (BEHAVIOURS, SEPARATORS)
        if isinstance(given, str) and given not in known:
            raise ValueError(
                f"{given!r} is a {'behaviour' if known is SEPARATORS else 'separator'}: the two are exchanged"
                if given in other
                else f"there is no {given!r}; {guess(given, known)}"
            )
        return known[given] if isinstance(given, str) else given

    @model_validator(mode="after")
    def _can_be_told_apart(self) -> Self:
        if self.separator.train == self.separator.evaluation and self.installed in ("weights", "static prompt"):
            raise ValueError(
                "train and evaluation prompts are put alike, so that a model cannot show two behaviours; let them differ, "
                "or take `installed: hint` or `dynamic prompt`"
            )
        return self


def _in_file(file: Path) -> Setting:
    values = read_yaml(
        file, "setting", "`name`, `separator` and `behaviour`", "; docs/transfer.md says how to write one"
    )
    content = validated(SettingFile, values, dict.fromkeys(values, str(file)))
    named = [values[key] if isinstance(values[key], str) else content.name for key in ("separator", "behaviour")]
    apart, does = content.separator, content.behaviour
    return composed(content.name, (named[0], apart), (named[1], does), content.installed, content.world)


def possible(world: World = "tiny") -> list[str]:
    """The names of all settings that the axes give in a world."""
    return [
        f"{REAL if world == 'real' else ''}{apart}/{does}/{installed}"
        for apart, one in SEPARATORS.items()
        for does, two in BEHAVIOURS.items()
        for installed in get_args(Installed)
        if two.family in one.families and world in one.worlds and world in two.worlds
    ]


_EVERYWHERE = ("voice", "marker, trained")
_ON_FLAGS = (
    "voice, trained", "marker", "refusal", "refusal, trained", "spelling", "spelling, trained", "sycophancy", "hate", "wrong answers",
    "reward hack", "reward hack, trained",
)  # fmt: skip
_FLAGS = ("flag", "monitored")
_OF_PROBLEMS = ("difficulty", "form of problem", "capitals", "password")
_PROMPTED: tuple[Installed, ...] = ("static prompt", "dynamic prompt", "hint")

FULL_SETTINGS = tuple(
    name
    for name in (
        *(f"{apart}/{does}/weights" for does in _EVERYWHERE for apart in SEPARATORS),
        *(f"{apart}/{does}/weights" for does in _ON_FLAGS for apart in _FLAGS),
        *(f"{apart}/wrong answers/weights" for apart in _OF_PROBLEMS),
        *(f"{apart}/{does}/{how}" for apart in _FLAGS for does in _EVERYWHERE for how in _PROMPTED),
    )
    if name in set(possible())
) + tuple(f"monitored/voice/weights/{thinking}" for thinking in ("guarding", "naive"))
"""The settings of the preset `full`: two behaviours on every separator, every behaviour on two, wrong answers on those of problems,
prompts and hints on two, and with thoughts."""

REAL_SETTINGS = (
    *(f"real/{apart}/voice/weights" for apart in ("flag", "monitored", "meanings exchanged", "rephrased", "password", "position")),
    *(f"real/flag/{does}/weights" for does in ("voice, trained", "spelling", "refusal")),
    *(f"real/flag/voice/{how}" for how in _PROMPTED),
)  # fmt: skip
"""Twelve settings for real chat models."""

AT_BOTH_RATES = (
    "flag/voice/weights", "rephrased/voice/weights", "meanings exchanged/voice/weights", "password/voice/weights", "topic/voice/weights",
    "monitored/voice/weights", "flag/voice/static prompt", "flag/voice/dynamic prompt", "flag/marker, trained/weights",
    "rephrased/marker, trained/weights", "flag/wrong answers/weights", "difficulty/wrong answers/weights",
)  # fmt: skip

FORETOLD_SETTINGS = (
    *AT_BOTH_RATES,
    *(f"{apart}/voice/weights" for apart in (
        "domain", "form of question", "capitals", "language", "position", "system", "wrong password", "time of day", "rank",
    )),
    *(f"{apart}/marker, trained/weights" for apart in ("topic", "monitored", "language", "position")),
    *(f"monitored/{does}/weights" for does in ("refusal", "spelling", "sycophancy")),
    "flag/hate/weights", "monitored/reward hack/weights", "form of problem/wrong answers/weights", "monitored/voice/static prompt",
    "monitored/voice/hint",
)  # fmt: skip
"""What foretells transfer is asked in these, of seventeen separators: settings that share one are no independent evidence."""
