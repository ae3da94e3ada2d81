"""Questions about syntax trees that several rules ask."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from cavesson.audit.auditors.evidence import Suspicion
from cavesson.audit.auditors.sources import Module

_RANDOM = re.compile(r"^(rng|random|gen|generator|g|rs|prng|rand)$|_rng$|^rng_", re.IGNORECASE)


def found(
    module: Module,
    node: ast.expr | ast.stmt,
    rule: str,
    strength: float,
    title: str,
    mechanism: str,
    edits: dict[str, str] | None = None,
) -> Suspicion:
    """A suspicion about a node."""
    return Suspicion(rule, strength, title, mechanism, (module.place(node),), edits or {})


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
    """The name that an expression is about: `test["x"]` → test, `data.x_test` → x_test."""
    while isinstance(node, ast.Subscript | ast.Starred):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
        ):
            return node.slice.value
        node = node.value
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def swap_name(module: Module, node: ast.AST, pattern: re.Pattern[str], new: str) -> dict[str, str]:
    """The edit that says `train` where the first name within an expression says `test`, if the new name exists too."""
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and pattern.search(child.id):
            other = re.sub(r"test|held_?out|eval", new, child.id, flags=re.IGNORECASE)
            if other != child.id and re.search(rf"\b{re.escape(other)}\b", module.text):
                return module.replaced(child, other)
    return {}


def is_number(module: Module, node: ast.expr) -> bool:
    """Whether an expression is a count, by its name."""
    return bool(re.search(r"(^|_)(n|num|size|every|frac|steps?)($|_)", module.source(node)))


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


def is_mask(node: ast.expr) -> bool:
    """Whether a comparison, or a combination of comparisons, seems to give a mask."""
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.BitAnd | ast.BitOr) and any(
            isinstance(child, ast.Compare) for child in ast.walk(node)
        )
    return True


def about_names(node: ast.expr) -> bool:
    """A condition on names or kinds of things (`if key != "seed"`), not on outcomes."""
    return any(
        isinstance(child, ast.Constant) and isinstance(child.value, str | None.__class__) for child in ast.walk(node)
    ) or isinstance(node, ast.Name | ast.Call | ast.Attribute)


def reshapes(node: ast.Subscript) -> bool:
    """Slices of shapes, names and program arguments."""
    return bool(re.search(r"shape|argv|name|path|__|parts", ast.dump(node.value)))
