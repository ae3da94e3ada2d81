"""From a study's name or a YAML file to a validated config, with where each value came from.

Later sources win over earlier ones: the study's defaults, its preset, the file, `--set`. Whatever does not fit is one
`ConfigError` that names file, key, value and the nearest allowed name; nothing is started before that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from bridle.errors import ConfigError, nearest
from bridle.lab.recipe import Value

if TYPE_CHECKING:
    from bridle.studies.study import Study


C = TypeVar("C", bound="StudyConfig")


class StudyConfig(Value):
    """What every study's config has.

    Attributes:
        seeds: each seeds one independent repetition, red team included. Three or more for a result to quote.
    """

    seeds: tuple[int, ...] = Field(default=(0,), min_length=1)

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("a seed stands twice; repetitions with one seed are copies, not evidence")
        return seeds


@dataclass(frozen=True, slots=True)
class Resolved:
    """A validated config and its history.

    Attributes:
        study: the registered study.
        preset: the preset it started from.
        config: the validated values.
        origin: dotted key → where its value came from (`preset quick`, a file's name, `--set`); others are defaults.
    """

    study: Study
    preset: str
    config: StudyConfig
    origin: Mapping[str, str] = field(default_factory=dict)

    def to_yaml(self) -> str:
        """The whole config as a study file that runs again by path, each line marked with its origin."""
        head = {"study": self.study.name, "preset": self.preset}
        lines = yaml.safe_dump(head, sort_keys=False).splitlines()
        body = yaml.safe_dump(self.config.model_dump(mode="json"), sort_keys=False, default_flow_style=None, width=100)
        return "\n".join([*lines, *_annotated(body.splitlines(), self.origin)]) + "\n"


def resolve(target: str, preset: str | None = None, overrides: Sequence[str] = ()) -> Resolved:
    """The config of a study.

    Args:
        target: a registered study's name, or the path of a YAML file with a `study:` key.
        preset: overrides the file's `preset:`; `quick` if neither is given.
        overrides: `dotted.key=value` strings, values read as YAML.

    Raises:
        ConfigError: anything that does not fit.
    """
    from bridle.studies.study import study_named

    path = Path(target)
    is_file = path.suffix in {".yaml", ".yml"} or path.is_file()
    given = read_yaml(path) if is_file else {}
    where = str(path) if is_file else "the command line"
    study = study_named(_text(given.pop("study", None if is_file else target), "study", where))
    own = _text(given.pop("preset", "quick"), "preset", where)
    chosen = preset or own
    if chosen not in study.presets:
        raise ConfigError(f"The study {study.name!r} has no preset {chosen!r}.", nearest(chosen, study.presets))

    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    _merge(values, study.presets[chosen], origin, f"preset {chosen}")
    _merge(values, given, origin, where)
    for text in overrides:
        _merge(values, _override(text), origin, "--set")
    return Resolved(study, chosen, validated(study.config, values, origin), origin)


def validated(schema: type[C], values: Mapping[str, Any], origin: Mapping[str, str]) -> C:
    """The values as this schema, or one error that says all that is wrong with them."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problems = [_explain(detail, schema, origin) for detail in error.errors(include_url=False)]
        first, *others = problems
        more = "".join(f"\n  {problem} ({remedy})" for problem, remedy in others)
        raise ConfigError(first[0] + more, first[1]) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: no such file, not UTF-8 text, not YAML, a key that stands twice, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no study file {path}.", "Give a path that exists, or a study's name: `bridle list`."
        ) from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder, not a study file.", "Name the YAML file inside it.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text file: {error.reason}.", "Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", "Check the file's permissions.") from error
    try:
        data = yaml.load(text, Loader=_StrictLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(
            f"{path}{line}: {getattr(error, 'problem', None) or 'not YAML'}.", "Mend the YAML there."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not YAML that can be read: {error}.", "Mend the YAML there.") from error
    if data is None:
        raise ConfigError(f"{path} is empty.", "Write at least `study: NAME`; `bridle list` shows the names.")
    if not isinstance(data, dict):
        raise ConfigError(
            f"{path} holds a {type(data).__name__}, not keys and values.", "Write `study: NAME` and so on."
        )
    return {str(key): value for key, value in data.items()}


class _StrictLoader(yaml.SafeLoader):
    """YAML without silent surprises: a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _override(text: str) -> dict[str, Any]:
    """`a.b=value` as nested dictionaries."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r} is not key=value.", "Write, for example, --set blue.steps=60.")
    try:
        parsed = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"--set {text!r}: the value is not YAML.", "Quote text; write lists as [1, 2].") from error
    for part in reversed(key.strip().split(".")):
        parsed = {part: parsed}
    return parsed  # type: ignore[no-any-return]


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


def _explain(detail: ErrorDetails, schema: type[BaseModel], origin: Mapping[str, str]) -> tuple[str, str]:
    """One of pydantic's complaints in our words: (problem, remedy)."""
    path = [str(part) for part in detail["loc"]]
    key = ".".join(path) or "the config"
    where = next((origin[k] for k in _prefixes(path) if k in origin), "the defaults")
    if detail["type"] == "extra_forbidden":
        allowed = _fields_at(schema, path[:-1])
        return f"{where}: unknown key {key!r}.", nearest(path[-1], allowed) if allowed else "Remove it."
    given = repr(detail["input"])
    given = given if len(given) <= 80 else given[:77] + "…"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if detail["type"] == "missing":
        return f"{where}: the key {key!r} is missing.", "Add it."
    return f"{where}: {key} = {given} does not fit: {message.rstrip('.')}.", f"Change {key}."


def _prefixes(path: Sequence[str]) -> list[str]:
    """The dotted key and its parents, longest first."""
    return [".".join(path[:end]) for end in range(len(path), 0, -1)]


def _fields_at(schema: type[BaseModel], path: Sequence[str]) -> list[str]:
    """The field names of the model that stands at this path of a schema."""
    current: Any = schema
    for part in path:
        if part.isdigit():
            continue
        info = current.model_fields.get(part)
        current = _model_in(info.annotation) if info is not None else None
        if current is None:
            return []
    return list(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model inside an annotation such as `tuple[Red, ...]` or `Red | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


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
