"""Files that users write, and their names: strict YAML, and errors that name file, key, value and the nearest allowed name."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from cavesson.errors import CavessonError, ConfigError, nearest, quoted
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
    path: Path,
    what: str = "study",
    need: str = "`study: NAME`; `cavesson list` shows the names",
    instead: str = ", or a name: `cavesson list`",
) -> dict[str, Any]:
    """The mapping in a YAML file.

    Args:
        what: the kind of file, for the messages.
        need: the least that such a file holds, for the messages.
        instead: what else may be given, for the message on a file that does not exist.

    Raises:
        ConfigError: no such file, not UTF-8 text, not YAML, a key that stands twice, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"There is no {what} file {path}.", f"Give a path that exists{instead}.") from error
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
        why = error.strerror if isinstance(error, OSError) else str(error).rstrip(".")
        raise ConfigError(f"{quoted(str(text))} cannot be looked up: {why}.", "Give a path.") from error
    return path


def in_words(detail: ErrorDetails) -> str:
    """One of pydantic's errors as a sentence without a full stop: `'yes' is no whole number`."""
    phrase = _phrase(detail)
    if phrase:
        return f"{_given(detail['input'])} {phrase}"
    return detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ").rstrip(".")


def nearest_key(schema: type[BaseModel], path: Sequence[str]) -> str:
    """A sentence with the keys that an unknown key may mean, in full (`Did you mean 'blue.lrs'?`), or with the allowed keys."""
    beside = _fields_at(schema, path[:-1])
    close = difflib.get_close_matches(path[-1], beside, n=1)
    found = [".".join([*path[:-1], *close])] if close else keys_called(schema, path[-1])
    if found:
        return f"Did you mean {' or '.join(map(repr, found))}?"
    whole = ".".join(path)
    if "." in path[-1] and whole in _dotted(schema):
        return f"Write {path[-1].split('.')[-1]} below {'.'.join(whole.split('.')[:-1])}, as a key of its own line."
    prefix = "".join(f"{part}." for part in path[:-1])
    return f"Allowed: {', '.join(f'{prefix}{name}' for name in sorted(beside))}." if beside else "Remove it."


def keys_called(schema: type[BaseModel], name: str) -> list[str]:
    """The dotted keys of a schema, at any depth, whose last part is `name`; if there are none, is nearly `name`."""
    every = dict.fromkeys(_dotted(schema))
    lasts = {key.rpartition(".")[2] for key in every}
    wanted = [name] if name in lasts else difflib.get_close_matches(name, sorted(lasts), n=1, cutoff=0.75)
    return [key for key in every if key.rpartition(".")[2] in wanted][:4]


def _explain(detail: ErrorDetails, schema: type[BaseModel], origin: Mapping[str, str]) -> tuple[str, str]:
    """One of pydantic's errors in our words: (problem, remedy)."""
    path = _keys(schema, [str(part) for part in detail["loc"]], whole=detail["type"] in ("extra_forbidden", "missing"))
    key = ".".join(path)
    where = next((origin[k] for k in _prefixes(path) if k in origin), "the defaults")
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}.", nearest_key(schema, path)
    if detail["type"] == "missing":
        places = set(origin.values())  # a key that nobody gave is missing in the file that gave the others
        where = places.pop() if len(places) == 1 else where
        return f"{where}: the key {key!r} is missing.", "Add it."
    cause = getattr(detail.get("ctx", {}).get("error"), "__cause__", None)
    # an error of ours brings its own remedy
    told = cause if isinstance(cause, CavessonError) and cause.remedy else None
    message = told.problem.rstrip(".") if told else in_words(detail)
    own = told and told.remedy[:1].upper() + told.remedy[1:]
    if not path:  # settings that do not go together: the message names them
        return f"The config does not fit: {_ended(message)}", own or "Change the settings that the message names."
    if detail["type"] == "value_error" and isinstance(detail["input"], Mapping):  # settings of one section
        return f"{where}: {key}: {_ended(message)}", own or f"Change the settings of {key} that the message names."
    typed = where.startswith("-") and where != "--set"  # an option of the command line: the user typed no key
    said = f"{where} {_given(detail['input'], commas=True)}" if typed else f"{where}: {key} = {_given(detail['input'])}"
    problem = f"{said} {_phrase(detail)}." if _phrase(detail) else f"{said} does not fit: {_ended(message)}"
    return problem, own or _remedy(detail, where if typed else key, _fields_at(schema, path))


def _remedy(detail: ErrorDetails, named: str, keys: Sequence[str]) -> str:
    """What to do about a value, named as the user typed it; `keys`: what stands below, if the value is a section."""
    if detail["type"] == "literal_error":
        return nearest(str(detail["input"]), re.findall(r"'([^']*)'", detail["ctx"]["expected"]))
    if _phrase(detail) == NO_LIST and not isinstance(detail["input"], Mapping):
        return f"Write {named} as a list: [{detail['input']}]."
    if _phrase(detail) == NO_SECTION and keys:
        return f"Set a key of {named}: {', '.join(sorted(keys))}."
    return f"Change {named}."


NO_NUMBER, NO_WHOLE, NO_LIST, NO_SECTION = "is no number", "is no whole number", "is no list", "is no section with keys"

PHRASES = {
    "int_type": NO_WHOLE,
    "int_parsing": NO_WHOLE,
    "int_from_float": f"{NO_WHOLE}: it has a fractional part",
    "int_parsing_size": "has too many digits",
    "float_type": NO_NUMBER,
    "float_parsing": NO_NUMBER,
    "finite_number": "is no finite number",
    "bool_type": "is neither true nor false",
    "bool_parsing": "is neither true nor false",
    "string_type": "is no text",
    "string_too_short": "is too short",
    "path_type": "is no path",
    "tuple_type": NO_LIST,
    "list_type": NO_LIST,
    "set_type": NO_LIST,
    "frozen_set_type": NO_LIST,
    "dict_type": NO_SECTION,
    "mapping_type": NO_SECTION,
    "model_type": NO_SECTION,
    "model_attributes_type": NO_SECTION,
    "greater_than": "is not greater than {gt}",
    "greater_than_equal": "is below {ge}",
    "less_than": "is not below {lt}",
    "less_than_equal": "is above {le}",
    "too_short": "is too short a list: the least is {min_length}",
    "too_long": "is too long a list: the most is {max_length}",
    "literal_error": "is none of {expected}",
}
"""pydantic's types of errors → what we say of the value; the braces hold pydantic's figures."""


def _phrase(detail: ErrorDetails) -> str:
    """What is wrong with a value, to stand behind the value; "" for errors that bring a message of ours."""
    figures = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in detail.get("ctx", {}).items()}
    return PHRASES.get(detail["type"], "").format(**figures)


def _given(value: object, *, commas: bool = False) -> str:
    """A value as the user typed it: in YAML's words, or the parts of an option with commas between them."""
    if commas and isinstance(value, list | tuple):
        value = ",".join(map(str, value))
    return str(json.dumps(value)) if value is None or isinstance(value, bool) else quoted(value)


def _ended(message: str) -> str:
    return message if message.endswith("?") else f"{message}."


def _follows_from_others(detail: ErrorDetails, found: Sequence[ErrorDetails]) -> bool:
    """Whether a list is called too short only because some of its items were refused; those items have their own errors."""
    loc = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(loc) and other["loc"][: len(loc)] == loc for other in found
    )


def _keys(schema: type[BaseModel], loc: Sequence[str], *, whole: bool) -> list[str]:
    """The keys and numbers of `loc` that a user can have typed; pydantic's names of union members are left out.

    Args:
        whole: whether the last part is a key in any case, known or not.
    """
    keys: list[str] = []
    for number, part in enumerate(loc):
        last = whole and number == len(loc) - 1
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


def _dotted(schema: type[BaseModel], prefix: str = "", above: tuple[type, ...] = ()) -> Iterator[str]:
    """The dotted keys of a schema; those below a list of sections are left out, for they need a number."""
    for name, field in schema.model_fields.items():
        yield f"{prefix}{name}"
        below = _model_in(field.annotation)
        if below is not None and below not in above and not _holds_several(field.annotation):
            yield from _dotted(below, f"{prefix}{name}.", (*above, schema))


def _holds_several(annotation: Any) -> bool:
    return get_origin(annotation) in (tuple, list, dict) or any(_holds_several(part) for part in get_args(annotation))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The pydantic model inside an annotation such as `tuple[Red, ...]` or `Red | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)
