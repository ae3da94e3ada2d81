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
from functools import cache

from cavesson.lab.content import is_import, meaning, statements
from cavesson.lab.recipe import Recipe

UNNAMED = {
    "cavesson.chat",  # what a conversation is; a change of it is a change of everything
    "cavesson.errors",
    "cavesson.figures",  # how numbers are written, not what they are
    "cavesson.lab.documents",  # how a file is read, not what it says
    "cavesson.lab.content",  # how things are named, as the next two
    "cavesson.lab.recipe",
    "cavesson.lab.shelf",
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
        if (definition := _definition(module, name)) is not None:
            found[f"{module}.{name}"], used = definition
            todo += used
        elif name in _imported(module):
            todo.append(_imported(module)[name])
    return found


@cache
def _definition(module: str, name: str) -> tuple[str, tuple[Place, ...]] | None:
    """What a definition means, and the definitions of this project that it names; None: the module has none of that name."""
    known = statements(importlib.import_module(module))
    if name not in known:
        return None
    used = dict.fromkeys(place for statement in known[name] for place in _used(module, statement))
    return " ".join(map(meaning, known[name])), tuple(used)


@cache
def _imported(module: str) -> dict[str, Place]:
    """What a module imports from this project, by the name in the module."""
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    return {name: place for statement in body if is_import(statement) for name, place in _imports(statement).items()}


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
    bound: dict[str, Place] = _imported(module) | _imports(statement)
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
