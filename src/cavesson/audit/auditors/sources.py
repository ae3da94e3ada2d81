"""A workspace as rules see the workspace: parsed Python, the numbers that are settings, and edits of both."""

from __future__ import annotations

import ast
import re
import shlex
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from cavesson.audit.workspace import files_of, read_text
from cavesson.lab.plain_yaml import YamlError, compose_yaml
from cavesson.lines import text_lines

_MAX_BYTES = 500_000
_CONFIGS = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a file: lines count from 1, columns from 0 and in characters; the end is not included."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Setting:
    """A number with a name: a key of a configuration, a constant, a default, a keyword argument.

    Attributes:
        file: the file that holds the number.
        span: the literal itself.
        path: the names that lead to the number, its own name last.
        value: the number.
        configured: whether the file is a configuration file.
        declared: whether it stands where an author declares settings: there, or as a constant, a field or a default.
    """

    file: str
    span: Span
    path: tuple[str, ...]
    value: float
    configured: bool
    declared: bool = False

    @property
    def name(self) -> str:
        """The setting's own name, in lower case; positions in lists are no names."""
        return next((part for part in reversed(self.path) if not part.isdigit()), "").lower().lstrip("-")

    @property
    def place(self) -> str:
        """`config.yaml:12`."""
        return f"{self.file}:{self.span.line}"


@dataclass(frozen=True, slots=True)
class Module:
    """A Python file."""

    name: str
    text: str
    tree: ast.Module

    def source(self, node: ast.AST) -> str:
        """The text of a node."""
        return ast.get_source_segment(self.text, node) or ""

    def place(self, node: ast.expr | ast.stmt) -> str:
        """`data.py:41` or `data.py:41-48`."""
        end = node.end_lineno or node.lineno
        return f"{self.name}:{node.lineno}" + (f"-{end}" if end > node.lineno else "")

    def replaced(self, node: ast.expr | ast.stmt, new: str) -> dict[str, str]:
        """The edit that puts other text in the place of a node."""
        lines = text_lines(self.text)
        ends = node.end_lineno or node.lineno, node.end_col_offset or 0
        span = Span(
            node.lineno, _characters(lines[node.lineno - 1], node.col_offset), ends[0], _characters(lines[ends[0] - 1], ends[1])
        )  # fmt: skip
        return {self.name: splice(self.text, span, new)}

    def functions(self) -> Iterator[ast.FunctionDef]:
        """All functions and methods."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.FunctionDef))


class Workspace:
    """The files of a workspace that rules read; a file that is no text, is too large or does not parse is left out.

    Args:
        run: the paper's command; modules that the command does not import are left out.
    """

    def __init__(self, folder: Path, run: str | None = None) -> None:
        self.folder = folder
        self.run = run
        self.texts: dict[str, str] = {}
        for name, path in files_of(folder).items():
            if path.stat().st_size <= _MAX_BYTES and path.suffix in (".py", ".md", *_CONFIGS):
                self.texts[name] = read_text(path)

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """The Python files that the command runs; all files but tests where the command does not say."""
        found = [(name, text) for name, text in self.texts.items() if name.endswith(".py")]
        parsed = {name: module for name, text in found if (module := _parsed(name, text)) is not None}
        entries = [word for word in shlex.split(self.run or "") if word in parsed]
        if entries:
            return tuple(parsed[name] for name in sorted(_imported(entries, parsed)))
        return tuple(module for name, module in parsed.items() if not Path(name).name.startswith("test_"))

    @cached_property
    def pictures(self) -> frozenset[str]:
        """The files that draw figures and do little else; nothing in them decides a finding."""
        lines = {module.name: module.text.count("\n") for module in self.modules}
        return frozenset(
            module.name
            for module in self.modules
            if re.search(r"<svg|svg\b|matplotlib|plotly|seaborn|ImageDraw", module.text)
            and not re.search(r"def (train|fit|evaluate)", module.text)
            and lines[module.name] < sum(lines.values()) / 3
        )

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """All named numbers, the numbers of configuration files first."""
        configured = [one for name in self.configs for one in _configured(name, self.texts[name])]
        return (*configured, *(one for module in self.modules for one in _in_code(module)))

    @property
    def configs(self) -> tuple[str, ...]:
        """Configuration files: files in YAML or JSON that hold no results. Where the command names one of a folder, the
        folder's others serve something else."""
        found = [
            name for name in self.texts
            if name.endswith(_CONFIGS) and not re.search(r"(^|/)(results?|runs?|logs?|out(put)?s?|figures?|data)(/|\b)", name)
        ]  # fmt: skip
        named = [name for name in found if name in shlex.split(self.run or "")]
        beside = {Path(name).parent for name in named}
        return tuple(name for name in found if name in named or Path(name).parent not in beside)

    def function(self, name: str) -> tuple[Module, ast.FunctionDef] | None:
        """The only function of a name; None if there are several or none."""
        found = self._functions.get(name, [])
        return found[0] if len(found) == 1 else None

    @cached_property
    def _functions(self) -> dict[str, list[tuple[Module, ast.FunctionDef]]]:
        named: dict[str, list[tuple[Module, ast.FunctionDef]]] = defaultdict(list)
        for module in self.modules:
            for node in module.functions():
                named[node.name].append((module, node))
        return named

    def is_interface(self, function: ast.FunctionDef) -> bool:
        """Whether another function of the codebase has the same name, or the same arguments (two or more)."""
        return len(self._functions.get(function.name, [])) > 1 or self._signatures[_signature(function)] > 1

    @cached_property
    def _signatures(self) -> Counter[tuple[str, ...]]:
        every = (_signature(node) for module in self.modules for node in module.functions())
        return Counter(one for one in every if len(one) >= 2)

    def constructor(self, name: str) -> ast.FunctionDef | None:
        """What the only class of a name does with its arguments: its own `__init__`; None if it has none."""
        found = [
            inner for module in self.modules for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef) and node.name == name
            for inner in node.body if isinstance(inner, ast.FunctionDef) and inner.name == "__init__"
        ]  # fmt: skip
        return found[0] if len(found) == 1 else None

    def set(self, changes: Mapping[Setting, float]) -> dict[str, str]:
        """The edit that gives settings other values."""
        edited: dict[str, str] = {}
        for setting in sorted(changes, key=lambda one: (one.span.line, one.span.column), reverse=True):
            text = edited.get(setting.file, self.texts[setting.file])
            edited[setting.file] = splice(text, setting.span, number(changes[setting], like=setting.value))
        return edited


def _signature(function: ast.FunctionDef) -> tuple[str, ...]:
    return tuple(arg.arg for arg in function.args.args if arg.arg not in ("self", "cls"))


def number(value: float, *, like: float) -> str:
    """A number as an author would write the number; whole if the other number is whole."""
    return str(round(value)) if isinstance(like, int) else f"{float(value):.6g}"


def splice(text: str, span: Span, new: str) -> str:
    """A text with a stretch of it replaced."""
    lines = text_lines(text)
    head, tail = lines[span.line - 1][: span.column], lines[span.end_line - 1][span.end_column :]
    return "".join(lines[: span.line - 1]) + head + new + tail + "".join(lines[span.end_line :])


def _imported(entries: Sequence[str], parsed: Mapping[str, Module]) -> set[str]:
    """The files that scripts import, directly or by way of other files; the scripts are included."""
    reached: set[str] = set()
    waiting = list(entries)
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        for node in ast.walk(parsed[name].tree):
            wanted: list[str] = []
            if isinstance(node, ast.Import):
                wanted = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                wanted = [node.module or "", *(f"{node.module or ''}.{alias.name}".strip(".") for alias in node.names)]
            for one in wanted:
                tail = one.replace(".", "/")
                waiting += [
                    other for other in parsed if tail and re.search(rf"(^|/){re.escape(tail)}(/__init__)?\.py$", other)
                ]
    return reached


def _characters(line: str, column: int) -> int:
    """Python's syntax trees count bytes."""
    return len(line.encode()[:column].decode(errors="ignore"))


def _parsed(name: str, text: str) -> Module | None:
    try:
        return Module(name, text, ast.parse(text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _configured(name: str, text: str) -> Iterator[Setting]:
    """The numbers of a YAML or JSON file (JSON is YAML, near enough for its numbers)."""
    try:
        root = compose_yaml(text)
    except YamlError:
        return
    stack: list[tuple[yaml.Node | None, tuple[str, ...]]] = [(root, ())]
    while stack:
        node, path = stack.pop()
        if isinstance(node, yaml.MappingNode):
            stack += [(value, (*path, str(key.value))) for key, value in reversed(node.value)]
        elif isinstance(node, yaml.SequenceNode):
            stack += [(value, (*path, str(at))) for at, value in reversed(list(enumerate(node.value)))]
        elif isinstance(node, yaml.ScalarNode) and node.style is None and (value := _read(node.value)) is not None:
            span = Span(*_place(text, node.start_mark.index), *_place(text, node.end_mark.index))
            yield Setting(name, span, path, value, True, True)


def _place(text: str, index: int) -> tuple[int, int]:
    """Line (from 1) and column of a character: YAML's own marks count more characters as line ends."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index) - 1


def _read(text: str) -> float | None:
    try:
        return _bounded(int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text))
    except ValueError:
        return None


def _bounded(value: float) -> float | None:
    """The number, or None for a number with which nothing can be computed (infinity, no number, hundreds of digits)."""
    return value if abs(value) < 1e300 else None


def _in_code(module: Module) -> Iterator[Setting]:
    """Named numbers of a module: constants, defaults, keyword arguments, entries of dictionaries, command-line
    defaults."""
    classes = [node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef)]
    outer = [*module.tree.body, *(one for node in classes for one in node.body)]
    top = {id(one) for one in outer} | {id(one.value) for one in outer if isinstance(one, ast.Assign)}
    for node in ast.walk(module.tree):
        named: list[tuple[str, ast.expr | None]] = []
        declared = id(node) in top or isinstance(node, ast.FunctionDef)
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Attribute):
            named, declared = [(node.targets[0].attr, node.value)], literal(node.value) not in (0, 1, -1)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            named = [(node.targets[0].id, node.value)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            named = [(node.target.id, node.value)]
        elif isinstance(node, ast.Dict):
            named = [(str(key.value), value) for key, value in zip(node.keys, node.values, strict=True)
                     if isinstance(key, ast.Constant)]  # fmt: skip
        elif isinstance(node, ast.FunctionDef):
            ordered = [*node.args.posonlyargs, *node.args.args]
            named = [
                (arg.arg, value) for arg, value in zip(reversed(ordered), reversed(node.args.defaults), strict=False)
            ]
            named += [(arg.arg, value) for arg, value in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
        elif isinstance(node, ast.Call):
            option = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            declared = declared or _is_option(node)
            named = [(str(option) if word.arg == "default" and isinstance(option, str) else word.arg or "", word.value)
                     for word in node.keywords]  # fmt: skip
        for name, value in named:
            if value is not None and (found := literal(value)) is not None:
                lines = text_lines(module.text)
                line = lines[value.lineno - 1]
                columns = _characters(line, value.col_offset), _characters(line, value.end_col_offset or 0)
                span = Span(value.lineno, columns[0], value.lineno, columns[1])
                yield Setting(module.name, span, (module.name, name), found, False, declared)


def _is_option(node: ast.Call) -> bool:
    """A command-line option: `parser.add_argument("--batch", default=10)`, `click.option(…)`."""
    name = (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )
    return name in ("add_argument", "option", "Option")


def literal(node: ast.expr) -> float | None:
    """The number that an expression is, sign included; None if there is no number (a truth value is no number)."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = literal(node.operand)
        return None if inner is None else -inner
    value = node.value if isinstance(node, ast.Constant) else None
    return _bounded(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
