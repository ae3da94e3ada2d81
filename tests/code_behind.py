"""The code behind a recipe: every definition that its class uses, directly or through other definitions.

A definition is a function, a class or a value at the top of a module. Which definitions a definition uses is read from the
names in its source, annotations and imports inside functions included.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from cavesson.lab.recipe import Recipe

UNNAMED = {
    "cavesson.chat",  # what a conversation is; a change of it is a change of everything
    "cavesson.errors",
    "cavesson.lab.documents",  # how a file is read, not what it says
    "cavesson.lab.recipe",
    "cavesson.lines",  # how lines are written and read, not what they say
    "cavesson.evals.scores",  # how scores are written and counted, not what they are
    "cavesson.sampling.cache",  # has a version of its own
    "cavesson.training.resume",  # tests compare resumed runs with others to the last bit
}
"""Modules that do not decide what an artifact holds."""

Place = tuple[str, str | None]
"""A module and a name in it; None: the module itself."""


def code_behind(recipe: type) -> dict[str, str]:
    """What each definition behind a recipe's class means, by the place of the definition (`module.name`).

    Other recipes that the class names do not count: each of them has a version of its own.
    """
    found: dict[str, str] = {}
    todo: list[Place] = [(recipe.__module__, recipe.__name__)]
    while todo:
        module, name = todo.pop()
        if name is None or module in UNNAMED or f"{module}.{name}" in found or _is_another(recipe, module, name):
            continue
        known = _read(module)
        if name in known.statements:
            found[f"{module}.{name}"] = " ".join(map(meaning, known.statements[name]))
            todo += [place for statement in known.statements[name] for place in _used(module, statement)]
        elif name in known.imported:
            todo.append(known.imported[name])
    return found


def meaning(node: Any) -> str:
    """A syntax tree as text, without docstrings; the same on every version of Python."""
    if isinstance(node, list):
        return "[" + " ".join(meaning(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
        node, clean=False
    ):
        fields["body"] = node.body[1:]
    inner = " ".join(f"{name}={meaning(value)}" for name, value in fields.items())
    return f"({type(node).__name__} {inner})"


@dataclass
class _Module:
    """The statements that define or change each name of a module, and what the module imports from this project."""

    statements: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imported: dict[str, Place] = field(default_factory=dict)


@cache
def _read(module: str) -> _Module:
    found = _Module()
    for statement in ast.parse(inspect.getsource(importlib.import_module(module))).body:
        if (isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)) or isinstance(
            statement, ast.Import | ast.ImportFrom
        ):
            found.imported.update(_imports(statement))
        else:
            for name in _defined(statement):
                found.statements.setdefault(name, []).append(statement)
    return found


def _defined(statement: ast.stmt) -> set[str]:
    """The names that a statement defines, or may change (a registry that a loop fills)."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    assigns = isinstance(statement, ast.Assign | ast.AnnAssign)
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return {node.id for node in names if not assigns or isinstance(node.ctx, ast.Store)}


def _imports(statement: ast.AST) -> dict[str, Place]:
    """The names that import statements bind to this project's definitions and modules, wherever they stand."""
    bound: dict[str, Place] = {}
    for node in ast.walk(statement):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "cavesson":
            for name in node.names:
                full = f"{node.module}.{name.name}"
                bound[name.asname or name.name] = (full, None) if _is_module(full) else (str(node.module), name.name)
        elif isinstance(node, ast.Import):
            assert not any(name.name.startswith("cavesson.") for name in node.names), "write: from cavesson.x import y"
    return bound


def _used(module: str, statement: ast.stmt) -> Iterator[Place]:
    """The definitions of this project that a statement names."""
    bound: dict[str, Place] = _read(module).imported | _imports(statement)
    whole = {name for name, (_, inner) in bound.items() if inner is None}
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in whole:
            yield bound[node.value.id][0], node.attr
        elif isinstance(node, ast.Name):
            yield bound.get(node.id, (module, node.id))


@cache
def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the last part is a name in a module
        return False


def _is_another(recipe: type, module: str, name: str) -> bool:
    value = getattr(importlib.import_module(module), name, None)
    return isinstance(value, type) and issubclass(value, Recipe) and value not in recipe.__mro__
