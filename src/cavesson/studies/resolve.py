"""From a study's name or a YAML file to a validated config, with where each value came from.

Later sources win over earlier ones: the study's defaults, its preset, the file, the command line. Whatever does not fit is
one `ConfigError` that names what the user typed, the value and the nearest allowed name; nothing is started before that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from cavesson.errors import ConfigError, nearest, quoted
from cavesson.findings.origin import Setting
from cavesson.findings.origin import StudyConfig as ConfigView
from cavesson.lab.documents import read_yaml, validated
from cavesson.lab.plain_yaml import MOST_DEPTH, YamlError, dump_yaml, load_yaml
from cavesson.lab.recipe import Recipe, Value
from cavesson.studies.config import StudyConfig
from cavesson.studies.grid import Cell, recipes_of
from cavesson.studies.sizes import AT_A_SERVICE, TINY, check_world, size_of, subjects
from cavesson.studies.study import STUDIES, Study, study_named


@dataclass(frozen=True)
class Resolved:
    """A validated config and its history.

    Attributes:
        study: the study.
        named: what names the study: its registered name, or `file.py:NAME`.
        preset: the preset it started from.
        config: the validated values.
        origin: dotted key → where its value came from (`preset quick`, a file's name, `--set`); others are defaults.
    """

    study: Study
    named: str
    preset: str
    config: StudyConfig
    origin: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def cells(self) -> list[Cell]:
        """The places of the study's grid, looked over once; errors as of `Study.cells`."""
        return self.study.cells(self.config)

    @property
    def recipes(self) -> list[Recipe]:
        """Everything that the study needs; errors as of `cells`."""
        return recipes_of(self.cells)

    def settings(self) -> list[Setting]:
        """Every setting: dotted key, value, and where it came from."""
        flat = _flat(self.config.model_dump(mode="json"))
        return [Setting(key=key, value=str(value), source=_origin(key, self.origin)) for key, value in flat.items()]

    def view(self) -> ConfigView:
        """The config as it stands in a result."""
        return ConfigView(yaml=self.to_yaml(), settings=self.settings())

    def to_yaml(self) -> str:
        """The whole config as a study file that runs again by path, each line marked with its origin."""
        head = {"study": self.named, "preset": self.preset}
        lines = dump_yaml(head).splitlines()
        body = dump_yaml(self.config.model_dump(mode="json"), default_flow_style=None, width=100)
        return "\n".join([*lines, *_annotated(body.splitlines(), self.origin)]) + "\n"


def resolve(
    target: str,
    preset: str | None = None,
    overrides: Sequence[str] = (),
    flags: Mapping[str, tuple[str, Any]] | None = None,
) -> Resolved:
    """The config of a study.

    Args:
        target: a registered study's name, or the path of a YAML file with a `study:` key.
        preset: overrides the file's `preset:`; `quick` if neither is given.
        overrides: `dotted.key=value` strings, values read as YAML; of two for one key, the later counts.
        flags: options of the command line, by what the user typed (`--model`): the dotted key and the value.

    Raises:
        ConfigError: anything that does not fit, or a real chat model would be treated in the tiny world's terms.
    """
    named, given, where = _read(target)
    study = study_named(named)
    own = _text(given.pop("preset", "quick"), "preset", where)
    chosen = preset or own
    if chosen not in study.presets:
        apart = f"{chosen} is a study of its own: cavesson run {chosen} --preset full."
        remedy = apart if chosen in STUDIES else nearest(chosen, study.presets)
        raise ConfigError(f"The study {study.name!r} has no preset {chosen!r}.", remedy)

    values = _sections(study.config)  # a key of a section is set beside the study's own defaults of that section
    origin: dict[str, str] = {}
    _merge(values, study.presets[chosen], origin, f"preset {chosen}")
    _merge(values, given, origin, where)
    for flag, (key, value) in (flags or {}).items():
        _merge(values, _nested(key, value), origin, flag)
    for text in overrides:
        _merge(values, _override(text), origin, "--set")
    _suit_models(study, values, origin, preset=f"preset {chosen}")
    for key, other in study.config.gives_way.items():
        if values.get(other) is not None and origin.get(key) == f"preset {chosen}" != origin[other]:
            del values[key], origin[key]
    config = validated(study.config, values, origin)
    check_world(config)
    return Resolved(study, named, chosen, config, origin)


def _suit_models(study: Study, values: dict[str, Any], origin: dict[str, str], preset: str) -> None:
    """Put the study's settings for models of this size, and for models at a service, in the place of defaults and of the preset's
    values."""
    defaults = {name: field.default for name, field in study.config.model_fields.items()}
    models = subjects({**defaults, **values})
    typed = [key for key, where in origin.items() if where != preset]
    leaves = [key for key in typed if not any(other.startswith(f"{key}.") for other in typed)]
    suited: list[tuple[str, dict[str, Any]]] = []
    if study.for_size is not None and (size := size_of(models)) is not TINY:
        suited.append((f"models of {size.words}", _flat(dict(study.for_size(size)))))
    if any(model.far for model in models):
        phases = {name for name, phase in defaults.items() if hasattr(phase, "adapter")}
        suited.append(
            ("models at a service", {f"{name}.adapter": how for name, how in AT_A_SERVICE.items() if name in phases})
        )
    for where, settings in suited:
        for key, value in settings.items():
            if not any(f"{one}.".startswith(f"{key}.") or f"{key}.".startswith(f"{one}.") for one in leaves):
                _merge(values, _nested(key, value), origin, where)


def study_in(target: str) -> Study:
    """The study that a name or a study file means; errors as of `resolve`."""
    return study_named(_read(target)[0])


def _read(target: str) -> tuple[str, dict[str, Any], str]:
    """What names the study, what its file says beside the name, and what to call the file in messages."""
    path = Path(target)
    if path.suffix == ".py":
        raise ConfigError(f"{target} is a Python file.", f"Name the study in it: {target}:STUDY.")
    if path.suffix not in {".yaml", ".yml"} and not path.is_file():
        return target, {}, "the command line"
    given = read_yaml(path)
    return _text(given.pop("study", None), "study", target), given, target


def _sections(config: type[StudyConfig]) -> dict[str, Any]:
    """The sections of a config at the study's own defaults, as nested dictionaries."""
    defaults = {name: field.default for name, field in config.model_fields.items()}
    return {name: dict(section) for name, section in defaults.items() if isinstance(section, Value)}


def _override(text: str) -> dict[str, Any]:
    """`a.b=value` as nested dictionaries."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {quoted(text)} is not key=value.", "Write, for example, --set blue.steps=60.")
    if key.count(".") >= MOST_DEPTH:
        raise ConfigError(
            f"--set {quoted(text)}: no setting stands that deep.", "Write, for example, --set blue.steps=60."
        )
    try:
        parsed = load_yaml(value)
    except YamlError as error:
        problem = f"--set {quoted(text)}: the value is not YAML: {error.problem}."
        raise ConfigError(problem, "Quote text; write lists as [1, 2].") from error
    return _nested(key.strip(), parsed)


def refuse_repeats(overrides: Sequence[str], flags: Mapping[str, tuple[str, Any]]) -> None:
    """Refuse a key that the command line gives twice: one of the two would be swallowed. Arguments as of `resolve`.

    Raises:
        ConfigError: there is such a key.
    """
    typed = [(flag, _nested(key, value)) for flag, (key, value) in flags.items()]
    typed += [(f"--set {text}", _override(text)) for text in overrides]
    before: dict[str, str] = {}
    for said, nested in typed:
        keys = _flat(nested)
        for key in keys:
            twice = next((by for other, by in before.items() if f"{key}.".startswith(f"{other}.")), None)
            twice = twice or next((by for other, by in before.items() if f"{other}.".startswith(f"{key}.")), None)
            if twice is not None:
                raise ConfigError(f"Both {twice} and {said} give the key {key!r}.", "Leave one of the two out.")
        before |= dict.fromkeys(keys, said)


def _nested(key: str, value: Any) -> dict[str, Any]:
    """`a.b` and a value as nested dictionaries."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def _merge(into: dict[str, Any], new: Mapping[str, Any], origin: dict[str, str], where: str, prefix: str = "") -> None:
    """Put new values over old ones: mappings are merged key by key, everything else is replaced."""
    for name, value in new.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping):
            inner = into.get(name)
            into[name] = dict(inner) if isinstance(inner, Mapping) else {}
            _merge(into[name], value, origin, where, f"{key}.")
        else:
            into[name] = value
        origin[key] = where


def _text(value: Any, key: str, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{where}: {key} = {value!r} is not a name.", f"Write `{key}: NAME`.")
    return value


def _annotated(lines: Sequence[str], origin: Mapping[str, str]) -> list[str]:
    """YAML lines with the origin of their key as a comment."""
    marked = []
    path: list[tuple[int, str]] = []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        name, colon, rest = line.strip().partition(":")
        if colon and not name.startswith(("-", "{", "[")):
            path = [(depth, key) for depth, key in path if depth < indent] + [(indent, name)]
            where = origin.get(".".join(key for _, key in path))
            if where is not None and rest.strip():
                line = f"{line}  # {where}"
        marked.append(line)
    return marked


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _origin(key: str, origin: Mapping[str, str]) -> str:
    parts = key.split(".")
    prefixes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((origin[prefix] for prefix in prefixes if prefix in origin), "default")
