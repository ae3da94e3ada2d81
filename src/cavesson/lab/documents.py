"""Files that users write, and their names: strict YAML, and errors that name file, key, value and the nearest allowed name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cavesson.errors import ConfigError, nearest, quoted
from cavesson.lab.plain_yaml import YamlError, load_yaml

C = TypeVar("C", bound=BaseModel)


def validated(schema: type[C], values: Mapping[str, Any], origin: Mapping[str, str]) -> C:
    """The values, checked against a schema.

    Args:
        origin: where each key's value came from (a file, `--set`), by dotted name.

    Raises:
        ConfigError: some values do not fit; the one error lists every problem.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = [_explain(detail, schema, origin) for detail in found if not _follows_from_others(detail, found)]
        first, *others = problems
        more = "".join(f"\n  {problem} ({remedy})" for problem, remedy in others)
        raise ConfigError(first[0] + more, first[1]) from error


def read_yaml(
    path: Path, what: str = "study", need: str = "`study: NAME`; `cavesson list` shows the names"
) -> dict[str, Any]:
    """The mapping in a YAML file.

    Args:
        what: the kind of file, for the messages.
        need: the least that such a file holds, for the messages.

    Raises:
        ConfigError: no such file, not UTF-8 text, not YAML, a key that stands twice, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no {what} file {path}.", "Give a path that exists, or a name: `cavesson list`."
        ) from error
    except IsADirectoryError as error:
        raise ConfigError(
            f"{path} is a folder, not a file: a {what} file is wanted.", "Name the YAML file inside it."
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not a text file: {error.reason}.", "Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", "Check the file's permissions.") from error
    try:
        data = load_yaml(text.removeprefix("\ufeff"))
    except YamlError as error:
        at = f", {error.place}" if error.place else ""
        raise ConfigError(f"{path}{at}: {error.problem}.", "Correct the YAML there.") from error
    if data is None:
        raise ConfigError(f"{path} is empty.", f"Write at least {need}.")
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds a {type(data).__name__}, not keys and values.", f"Write at least {need}.")
    return {str(key): value for key, value in data.items()}


def path_named(text: str | Path) -> Path:
    """The path that a user's text names; `~` is the user's own folder.

    Raises:
        ConfigError: no file can have that name: too long, a NUL in it, or the folder of a user who is not there.
    """
    try:
        path = Path(text).expanduser()
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except (OSError, ValueError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{quoted(str(text))} cannot be looked up: {why}.", "Give a path.") from error
    return path


def _explain(detail: ErrorDetails, schema: type[BaseModel], origin: Mapping[str, str]) -> tuple[str, str]:
    """One of pydantic's errors in our words: (problem, remedy)."""
    path = _keys(schema, [str(part) for part in detail["loc"]])
    key = ".".join(path)
    where = next((origin[k] for k in _prefixes(path) if k in origin), "the defaults")
    if detail["type"] == "extra_forbidden":
        allowed = _fields_at(schema, path[:-1])
        return f"{where}: unknown key {key!r}.", nearest(path[-1], allowed) if allowed else "Remove it."
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not path:  # settings that do not go together: the message names them
        return f"The config does not fit: {message.rstrip('.')}.", "Change the settings that the message names."
    if detail["type"] == "missing":
        return f"{where}: the key {key!r} is missing.", "Add it."
    message = message if message.endswith("?") else f"{message.rstrip('.')}."
    if detail["type"] == "value_error" and isinstance(detail["input"], Mapping):  # settings of one section
        return f"{where}: {key}: {message}", f"Change the settings of {key} that the message names."
    given = quoted(detail["input"])
    if where.startswith("-") and where != "--set":  # an option of the command line: the user typed no key
        return f"{where} {given} does not fit: {message}", f"Change {where}."
    return f"{where}: {key} = {given} does not fit: {message}", f"Change {key}."


def _follows_from_others(detail: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Whether a list is called too short only because some of its items were refused; those items have their own errors."""
    loc = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in found
    )


def _keys(schema: type[BaseModel], loc: Sequence[str]) -> list[str]:
    """The keys and numbers of `loc` that a user can have typed; pydantic's names of union members are left out."""
    keys: list[str] = []
    for number, part in enumerate(loc):
        last = number == len(loc) - 1
        if part.isdigit() or last or part in _fields_at(schema, keys) or not _fields_at(schema, keys):
            keys.append(part)
    return keys


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
