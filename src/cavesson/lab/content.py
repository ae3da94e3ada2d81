"""What plain Python values are made of, for fingerprints: the texts and numbers of a value, and the code of its functions.

Comments, docstrings and layout do not count, and the result is the same with every version of Python.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
import sys
from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, partial
from types import FunctionType, ModuleType
from typing import Any

from cavesson.lab.recipe import Value, canonical


@cache
def digest_of(*values: Hashable) -> str:
    """32 hexadecimal digits that name what some values are made of."""
    return hashlib.sha256(canonical(content(values)).encode()).hexdigest()[:32]


def content(value: Any) -> Any:
    """What a value is made of, as plain JSON values.

    A data class gives the fields that differ from their defaults, so that a new field changes no digest. A function gives what its
    own file says of it (imports do not count) and the values that it was made with. Of any other object the class alone counts.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [content(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): content(one) for key, one in value.items()}
    if isinstance(value, re.Pattern):
        return [value.pattern, value.flags]
    if isinstance(value, Value):
        return value.identity()
    if isinstance(value, partial):
        return [content(one) for one in (value.func, value.args, value.keywords)]
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return [_code(value), *map(content, (cells, value.__defaults__, value.__kwdefaults__))]
    if is_dataclass(value) and not isinstance(value, type):
        held = {one.name: (getattr(value, one.name), one.default) for one in fields(value)}
        return {name: content(now) for name, (now, default) in held.items() if now != default}
    return getattr(value, "__qualname__", type(value).__qualname__)


def _code(function: FunctionType) -> dict[str, str] | str:
    """The definitions of its own file that a function uses, itself included; its name if it has no file."""
    try:
        known = statements(sys.modules[function.__module__])
    except (KeyError, OSError, TypeError):
        return function.__qualname__
    line, found = function.__code__.co_firstlineno, dict[str, str]()
    todo = {name for name, parts in known.items() if any(_first(one) <= line <= (one.end_lineno or 0) for one in parts)}
    while todo:
        name = todo.pop()
        found[name] = " ".join(map(meaning, known[name]))
        todo |= {
            node.id
            for statement in known[name]
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and node.id in known and node.id not in found
        }
    return found


def _first(statement: ast.stmt) -> int:
    """The first line of a statement, decorators included."""
    decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
    return min([statement.lineno, *(one.lineno for one in decorators)])


def meaning(node: Any) -> str:
    """A syntax tree as text, without docstrings; the same on every version of Python."""
    if isinstance(node, list):
        return "[" + " ".join(meaning(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    held = {name: value for name, value in ast.iter_fields(node) if value not in (None, [])}
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
        node, clean=False
    ):
        held["body"] = node.body[1:]
    inner = " ".join(f"{name}={meaning(value)}" for name, value in held.items())
    return f"({type(node).__name__} {inner})"


@cache
def statements(module: ModuleType) -> dict[str, list[ast.stmt]]:
    """The statements of a module that define or change each of its names, by name; imports left out.

    Raises:
        OSError, TypeError: the module has no source.
    """
    found: dict[str, list[ast.stmt]] = {}
    for statement in ast.parse(inspect.getsource(module)).body:
        if not is_import(statement):
            for name in _defined(statement):
                found.setdefault(name, []).append(statement)
    return found


def is_import(statement: ast.stmt) -> bool:
    """Whether a statement imports, at once or for the type checker alone."""
    for_types = isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test)
    return for_types or isinstance(statement, ast.Import | ast.ImportFrom)


def _defined(statement: ast.stmt) -> set[str]:
    """The names that a statement defines, or may change (a registry that a loop fills)."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    assigns = isinstance(statement, ast.Assign | ast.AnnAssign)
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    return {node.id for node in names if not assigns or isinstance(node.ctx, ast.Store)}
