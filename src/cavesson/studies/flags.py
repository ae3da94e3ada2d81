"""Options of the command line that a study's config has: every key at its top that is no section, and the marked keys of sections."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic.fields import FieldInfo

from cavesson.errors import ConfigError, quoted
from cavesson.lab.plain_yaml import YamlError, load_yaml
from cavesson.lab.recipe import Value

if TYPE_CHECKING:
    from cavesson.studies.config import StudyConfig
from cavesson.studies.option import Option

WIDEST = 30
"""Names of an option that are longer together would be cut in the help on a terminal of 80 columns: the plural is enough then."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One option of a study.

    Attributes:
        names: what the user types (`--model`).
        key: the dotted key of the config.
        many: the value is a list: parts with commas between them, or the option several times.
        words: a value is text; else the value is read as YAML (a number, true, null).
        help: what the key means, from the config's docstring.
    """

    names: tuple[str, ...]
    key: str
    many: bool
    words: bool
    help: str = ""

    def value(self, given: Sequence[str], typed: str = "") -> Any:
        """The value of the key from what was typed.

        `--seeds 5` and `--seeds auto` are no lists but a number of seeds, as in a study file; `--seed 5` is the seed 5.

        Args:
            given: the values.
            typed: the option's name.

        Raises:
            ConfigError: the option is given twice, or what was typed is empty or not YAML.
        """
        if not self.many and len(given) > 1:
            raise ConfigError(f"{self.names[0]} is given {len(given)} times.", "Give it once.")
        parts = [part.strip() for text in given for part in (text.split(",") if self.many else [text])]
        values = [self._read(part) for part in parts if part or not self.many]
        if typed == "--seeds" and self.key == "seeds" and len(values) == 1 and isinstance(values[0], int | str):
            return values[0]
        return values if self.many else values[0]

    def _read(self, text: str) -> Any:
        if self.words:
            return text
        if not text.strip():
            raise ConfigError(f"{self.names[0]} {text!r} is empty.", "Give a value; null means none.")
        try:
            return load_yaml(text)
        except YamlError as error:
            problem = f"{self.names[0]} {quoted(text)} is not YAML: {error.problem}."
            raise ConfigError(problem, "Give a number or a name.") from error


def flags_of(config: type[StudyConfig]) -> list[Flag]:
    """All options of a study with this config."""
    return [*_own(config), *_marked(config)]


def _own(config: type[StudyConfig]) -> Iterator[Flag]:
    about = _attributes(config)
    for key, field in config.model_fields.items():
        if not _is_section(field.annotation):
            many = _is_list(field.annotation)
            single = key.removesuffix("s") if many and key.removesuffix("s") not in config.model_fields else key
            names = list(dict.fromkeys(f"--{name.replace('_', '-')}" for name in (single, key)))
            fitting = names if len(",".join(names)) <= WIDEST else names[-1:]
            yield Flag(tuple(fitting), key, many, _is_text(field.annotation), about.get(key, ""))


def _marked(config: type[Value], prefix: str = "") -> Iterator[Flag]:
    """The marked keys of sections, at any depth."""
    about = _attributes(config)
    for key, field in config.model_fields.items():
        for option in _options(field):
            yield Flag(
                option.names,
                f"{prefix}{key}",
                _is_list(field.annotation),
                _is_text(field.annotation),
                about.get(key, ""),
            )
        section = _section(field.annotation)
        if section is not None:
            yield from _marked(section, f"{prefix}{key}.")


def _options(field: FieldInfo) -> list[Option]:
    return [mark for mark in field.metadata if isinstance(mark, Option)]


def _section(annotation: Any) -> type[Value] | None:
    """The section that a key holds, if the key is one."""
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, Value):
            return part
    return None


def _is_section(annotation: Any) -> bool:
    """Whether a key holds a section, a list of sections or a mapping: such a key is set in a study file or by `--set`."""
    if get_origin(annotation) is dict:
        return True
    if isinstance(annotation, type):
        return issubclass(annotation, Value)
    return any(_is_section(part) for part in get_args(annotation))


def _is_list(annotation: Any) -> bool:
    lists = (tuple, list, set, frozenset)
    return get_origin(annotation) in lists or any(get_origin(part) in lists for part in get_args(annotation))


def _is_text(annotation: Any) -> bool:
    """Whether the values of a key are text and nothing else."""
    parts = [part for part in get_args(annotation) if part not in (type(None), Ellipsis)]
    if not parts or isinstance(parts[0], str):  # a plain type, or names of a Literal
        return annotation is str or bool(parts)
    return all(_is_text(part) for part in parts if not hasattr(part, "func"))


def _attributes(config: type) -> dict[str, str]:
    """What the docstrings of a config and of the classes that it builds on say about each key, in the words of the command line."""
    found: dict[str, str] = {}
    for owner in reversed(config.__mro__):
        _, _, listed = (owner.__dict__.get("__doc__") or "").partition("Attributes:\n")
        for names, said in re.findall(r"^ {8}([\w, ]+): (.+(?:\n {9,}.+)*)", listed, flags=re.MULTILINE):
            told = re.sub(r"\s+", " ", said).replace("None: ", "without: ")
            found |= dict.fromkeys((name.strip() for name in names.split(",")), told)
    return found
