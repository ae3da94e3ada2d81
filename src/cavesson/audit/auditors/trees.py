"""Questions about syntax trees that several finders ask."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from cavesson.audit.auditors.sources import Module

_RANDOM = re.compile(r"^(rng|random|gen|generator|g|rs|prng|rand)$|_rng$|^rng_", re.IGNORECASE)

TEST = re.compile(r"(^|_)(test|held_?out|heldout|eval|valid|val|te)($|_|s$)", re.IGNORECASE)
TRAIN = re.compile(r"(^|_)(train|training|tr|trn)($|_)", re.IGNORECASE)
MEASURES = re.compile(
    r"eval|metric|score|measur|accura|calib|ece|auroc|auc|analys|aggreg|summar|stat|rate|gap|effect|corr|cos|align|dist|report|f1|error",
    re.IGNORECASE,
)
"""Names of functions and files that compute results."""


def called(node: ast.Call) -> str:
    """The name of the called function: `np.mean(x)` → mean."""
    return (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )


def root(node: ast.AST) -> str:
    """The name that an expression is about: `test["x"]` → x, `data.x_test` → x_test."""
    while isinstance(node, ast.Subscript | ast.Starred):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
        ):
            return node.slice.value
        node = node.value
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def bodies(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    """All lists of statements of a tree."""
    for node in ast.walk(tree):
        for name in ("body", "orelse"):
            if isinstance(body := getattr(node, name, None), list) and body and isinstance(body[0], ast.stmt):
                yield body


def draws(node: ast.expr) -> bool:
    """Whether an expression draws at random: a method of a generator, or a call with a generator as argument."""
    for child in ast.walk(node):
        if isinstance(child, ast.Call):
            owner = root(child.func.value) if isinstance(child.func, ast.Attribute) else ""
            if _RANDOM.search(owner) or any(_RANDOM.search(root(arg)) for arg in child.args):
                return not re.search(r"rng|seed", called(child))
    return False


def stored_names(node: ast.AST) -> set[str]:
    """The names that a piece of code assigns."""
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store)}


def loaded_names(node: ast.AST) -> set[str]:
    """The names that a piece of code reads."""
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load)}


def scopes(module: Module) -> Iterator[tuple[str, list[ast.stmt], ast.AST]]:
    """The module's own code and each function: name, statements, node."""
    yield "", [one for one in module.tree.body if not isinstance(one, ast.FunctionDef | ast.ClassDef)], module.tree
    for function in module.functions():
        yield function.name, function.body, function


def own_nodes(statements: list[ast.stmt]) -> Iterator[ast.AST]:
    """The nodes of statements, functions and classes within them left out."""
    waiting: list[ast.AST] = list(statements)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += [
            child for child in ast.iter_child_nodes(node)
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]  # fmt: skip
