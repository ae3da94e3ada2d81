"""YAML that means what the person who typed the YAML means: version 1.2's numbers and words, and nothing without bounds.

The YAML that PyYAML reads by default is version 1.1: `010` is eight, `1:30` is ninety, `no` is false, `1e-3` is a text. Here
`yes`, `no`, `1:30` and a date are texts, `1e-3` is a number, and `010` is refused, because the two versions disagree about its
value. Source: YAML 1.2.2, section 10.3 (core schema).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import yaml

T = TypeVar("T")

MOST_CHARACTERS = 500_000
MOST_DEPTH = 50
MOST_VALUES = 100_000
"""Limits of one text. Values are counted after aliases (`*name`) are written out: nine lines can mean a billion."""

_WORDS = {
    "tag:yaml.org,2002:null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "tag:yaml.org,2002:bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "tag:yaml.org,2002:int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "tag:yaml.org,2002:float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "tag:yaml.org,2002:merge": (r"<<", ["<"]),
}


class YamlError(ValueError):
    """A text that is not plain YAML; the message says what and, where known, in which line and column."""

    def __init__(self, problem: str, mark: yaml.Mark | None = None) -> None:
        self.problem = problem
        self.place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        super().__init__(f"{self.place}: {problem}" if mark else problem)


def load_yaml(text: str) -> Any:
    """The value of a YAML text: mappings, lists, texts, numbers, truth values, null.

    Raises:
        YamlError: not YAML, a key that stands twice, a tag (`!!python/…`), an ambiguous number, or beyond the limits.
    """
    return _read(text, lambda loader, root: None if root is None else loader.construct_document(root))


def compose_yaml(text: str) -> yaml.Node | None:
    """The nodes of a YAML text, with their places in the text; None if the text is empty. Raises as `load_yaml`."""
    return _read(text, lambda _, root: root)


def _read(text: str, finish: Callable[[_Loader, yaml.Node | None], T]) -> T:
    if len(text) > MOST_CHARACTERS:
        raise YamlError(f"the text has {len(text):,} characters, more than {MOST_CHARACTERS:,}")
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is not None:
            _count(root, {}, ())
        return finish(loader, root)
    except yaml.MarkedYAMLError as error:
        raise YamlError(error.problem or "not YAML", error.problem_mark) from error
    except yaml.YAMLError as error:  # the reader's: a character that YAML does not allow
        raise YamlError(str(error).partition("\n")[0]) from error
    except RecursionError as error:
        raise YamlError(f"lists or mappings stand more than {MOST_DEPTH} deep") from error


def dump_yaml(value: Any, **style: Any) -> str:
    """A value as YAML that `load_yaml` and readers of version 1.1 read back alike; `style` as of `yaml.dump`."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **style))


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer, which quotes the texts that are no texts to version 1.1; here also those of version 1.2 (`1e-3`)."""


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the words of version 1.2, and without silent surprises."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is not a word", key.start_mark)
            if key.value in seen:
                problem = f"the key {key.value!r} stands twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _whole(loader: _Loader, node: yaml.ScalarNode) -> int:
    digits = node.value.lstrip("-+")
    problem = ""
    if len(digits) > 400:
        problem = f"a number of {len(digits)} digits"
    elif len(digits) > 1 and digits.isdigit() and digits[0] == "0":
        problem = (
            f"{node.value} is {int(digits)} to some readers of YAML and octal to others; write the number without the 0"
        )
    if problem:
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    return int(node.value, 0)


def _real(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(re.sub(r"\.(?=inf|nan)", "", node.value.lower()))


for _tag, (_pattern, _first) in _WORDS.items():
    for _one in (_Loader, _Dumper):
        _one.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor("tag:yaml.org,2002:float", _real)


def _count(node: yaml.Node, known: dict[int, int], above: tuple[int, ...]) -> int:
    """How many values a node means once its aliases are written out."""
    if id(node) in above:
        raise YamlError("a value holds itself (an alias inside its own anchor)", node.start_mark)
    if len(above) > MOST_DEPTH:
        raise YamlError(f"lists or mappings stand more than {MOST_DEPTH} deep", node.start_mark)
    if id(node) not in known:
        inside = (part for pair in node.value for part in pair) if isinstance(node, yaml.MappingNode) else ()
        inside = node.value if isinstance(node, yaml.SequenceNode) else inside
        known[id(node)] = 1 + sum(_count(part, known, (*above, id(node))) for part in inside)
    if known[id(node)] > MOST_VALUES:
        raise YamlError(f"more than {MOST_VALUES:,} values once every alias is written out", node.start_mark)
    return known[id(node)]
