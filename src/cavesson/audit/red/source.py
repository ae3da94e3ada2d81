"""A codebase as sabotage operators see the codebase: parsed files, and edits that keep the rest of the text as it is.

Operators never print a syntax tree back: comments, spacing and style of the author stay, and a diff shows one small
change.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from cavesson.audit.workspace import files_of, read_text
from cavesson.lab.plain_yaml import YamlError, compose_yaml
from cavesson.lines import text_lines

CONFIG = (".yaml", ".yml", ".json", ".toml")

_NOT_CODE = re.compile(r"(plot|figure|svg|chart|draw|report|summar|aggregat)", re.IGNORECASE)
"""Files that draw and average what has been measured; their edits change no run's numbers."""

_WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters `start` to `end` of a file become `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """One candidate sabotage.

    Attributes:
        operator: name of the operator.
        path: the file, relative to the workspace.
        line: first changed line, counted from 1.
        edits: the edits of the file.
        setting: name and values (before, after) of the changed hyper-parameter, or None.
    """

    operator: str
    path: str
    line: int
    edits: tuple[Edit, ...]
    setting: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True)
class Number:
    """A number that somebody chose: a leaf of a configuration, or a named constant in code."""

    name: str
    value: float
    start: int
    end: int
    line: int


@dataclass(frozen=True)
class TextFile:
    """A file of the workspace that operators may edit."""

    path: str
    text: str

    def mutated(self, edits: tuple[Edit, ...]) -> str:
        """The text with edits applied; they must not overlap."""
        text = self.text
        for edit in sorted(edits, key=lambda edit: -edit.start):
            text = text[: edit.start] + edit.text + text[edit.end :]
        return text

    def numbers(self) -> Iterator[Number]:
        """The numbers of the file that have a name."""
        return iter(())


@dataclass(frozen=True)
class ConfigFile(TextFile):
    """A configuration in YAML or JSON (which is YAML)."""

    def numbers(self) -> Iterator[Number]:
        try:
            root = compose_yaml(self.text)
        except YamlError:
            return
        yield from self._leaves(root, "")

    def _leaves(self, node: yaml.Node | None, name: str) -> Iterator[Number]:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                yield from self._leaves(value, f"{name}.{key.value}".lstrip("."))
        elif isinstance(node, yaml.SequenceNode):
            for at, value in enumerate(node.value):
                yield from self._leaves(value, f"{name}.{at}")
        elif isinstance(node, yaml.ScalarNode) and node.tag.endswith((":int", ":float")):
            start, end = node.start_mark.index, node.end_mark.index
            with suppress(ValueError):  # 0x10
                yield Number(name, float(node.value), start, end, self.text.count("\n", 0, start) + 1)


@dataclass(frozen=True)
class PythonFile(TextFile):
    """A module with its syntax tree."""

    tree: ast.Module = field(default_factory=lambda: ast.Module([], []))

    @cached_property
    def parents(self) -> Mapping[ast.AST, ast.AST]:
        """Each node's parent."""
        return {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def _lines(self) -> list[tuple[int, bytes]]:
        """Offset in characters and the bytes of each line: the tree counts columns in bytes."""
        lines, at = [], 0
        for line in text_lines(self.text):
            lines.append((at, line.encode()))
            at += len(line)
        return lines

    def offset(self, line: int, column: int) -> int:
        """The character at a line (from 1) and a column in bytes."""
        at, content = self._lines[line - 1]
        return at + len(content[:column].decode())

    def span(self, node: Any) -> tuple[int, int]:
        """The first character of a node, and the character after its last."""
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset)

    def segment(self, node: ast.AST) -> str:
        """The text of a node."""
        start, end = self.span(node)
        return self.text[start:end]

    def replace(self, node: ast.AST, text: str) -> Edit:
        """The edit that puts a text in a node's place."""
        return Edit(*self.span(node), text)

    def walk(self, *kinds: type[ast.AST]) -> Iterator[Any]:
        """The nodes of some kinds, in the order of the text; nodes inside f-strings have no place of their own and are
        left out."""
        found = [
            node
            for node in ast.walk(self.tree)
            if isinstance(node, kinds) and not any(isinstance(up, ast.JoinedStr) for up in self.above(node))
        ]
        return iter(sorted(found, key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))))

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """A node's parent, its parent, and so on."""
        while (parent := self.parents.get(node)) is not None:
            yield parent
            node = parent

    def statement(self, node: ast.AST) -> ast.stmt | None:
        """The innermost statement that holds a node."""
        return next((up for up in (node, *self.above(node)) if isinstance(up, ast.stmt)), None)

    def imports(self, name: str) -> bool:
        """Whether a package is imported, under whatever name."""
        return re.search(rf"^\s*(import|from)\s+{name}\b", self.text, re.MULTILINE) is not None

    def numbers(self) -> Iterator[Number]:
        """Constants with a name: assignments, defaults of parameters, keywords of calls, values of dicts."""
        for name, node in self._named():
            if isinstance(node, ast.Constant) and isinstance(node.value, int | float) and type(node.value) is not bool:
                yield Number(name, float(node.value), *self.span(node), node.lineno)

    def _named(self) -> Iterator[tuple[str, ast.expr]]:
        for node in self.walk(ast.Assign, ast.AnnAssign, ast.arguments, ast.Call, ast.Dict):
            match node:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    yield name, value
                case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                    yield name, value
                case ast.arguments(args=given, defaults=defaults, kwonlyargs=only, kw_defaults=only_defaults):
                    yield from zip([arg.arg for arg in given[len(given) - len(defaults) :]], defaults, strict=True)
                    yield from ((arg.arg, value) for arg, value in zip(only, only_defaults, strict=True) if value)
                case ast.Call(keywords=keywords):
                    yield from ((word.arg, word.value) for word in keywords if word.arg and word.arg != "axis")
                case ast.Dict(keys=keys, values=values):
                    for key, value in zip(keys, values, strict=True):
                        if isinstance(key, ast.Constant) and isinstance(key.value, str):
                            yield key.value, value


def editable(name: str) -> bool:
    """Whether a sabotage may change a file: code and configuration, but not papers, results and drawings."""
    path = Path(name)
    if path.parts[0] == "results" or _NOT_CODE.search(path.stem):
        return False
    return path.suffix in (".py", *CONFIG)


def read_codebase(folder: Path) -> list[TextFile]:
    """The files of a workspace that operators work on; a file that does not parse is left out."""
    files: list[TextFile] = []
    for name, path in files_of(folder).items():
        if not editable(name):
            continue
        text = read_text(path)
        if path.suffix != ".py":
            files.append(ConfigFile(name, text))
            continue
        try:
            files.append(PythonFile(name, text, ast.parse(text)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return files


def words(name: str) -> frozenset[str]:
    """The words of a name, in lower case: `train_batch.lr2` has train, batch, lr and 2."""
    return frozenset(word.lower() for word in _WORDS.findall(name))
