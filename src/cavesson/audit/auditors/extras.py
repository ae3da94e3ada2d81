"""What stands within an expression and could be left out: one of several sources, a thinning call, a start value, a term.

The textbook alternative is the expression without it, as for the steps of steps.py.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from cavesson.audit.auditors.decision import Decision, decided
from cavesson.audit.auditors.paper import Paper
from cavesson.audit.auditors.sources import Module, Workspace, literal
from cavesson.audit.auditors.trees import called, own_nodes, root, scopes

_JOINS = frozenset(("concat", "concatenate", "vstack", "hstack", "cat", "append", "union"))
_METHODS = frozenset(("plus", "concat", "union", "merge", "join"))
_SPLIT = re.compile(
    r"(?:^|_)(train|tr|fit|pool|calib|cal|val|valid|dev|test|te|hold|held|query)(?:$|_|ing|ation|idation|out)"
)
_THINS = frozenset(("subset", "query", "filter", "drop", "dropna", "drop_duplicates", "head", "tail", "sample", "nlargest", "nsmallest", "truncate", "trim", "select"))  # fmt: skip
_FITS = re.compile(r"fit|train|learn|model|regress|classif|calib", re.IGNORECASE)


def extras(workspace: Workspace, paper: Paper) -> Iterator[Decision]:
    """All such parts in the files that the command runs."""
    for module in workspace.modules:
        if module.name not in workspace.pictures:
            for finder in (unions, masked, thinned, start_values, terms):
                yield from finder(module, paper)


def unions(module: Module, paper: Paper) -> Iterator[Decision]:
    """Two sources that are joined where something is fitted, or two splits that are joined anywhere: each of them alone."""
    for name, statements, _scope in scopes(module):
        for node in own_nodes(statements):
            if not isinstance(node, ast.Call):
                continue
            parts = _joined(node)
            if len(parts) != 2 or ast.dump(parts[0]) == ast.dump(parts[1]):
                continue
            splits = [_split(one) for one in parts]
            apart = bool(splits[0] and splits[1] and splits[0] != splits[1])
            if apart or (_FITS.search(name) and called(node) in _JOINS):
                for kept in parts:
                    yield decided("step", "union", 0.6 if apart else 0.5, module, node, f"{name} joins {module.source(parts[0])[:30]} and {module.source(parts[1])[:30]}",
                                  "What is fitted sees both; where the parts serve to fit and to check, the check has been seen.",
                                  module.replaced(node, f"({module.source(kept)})"), paper)  # fmt: skip


def _joined(node: ast.Call) -> list[ast.expr]:
    """What a call joins: `concat([a, b])`, or `a.plus(b)` where a method joins its object and its argument."""
    if not node.args:
        return []
    if called(node) in _JOINS and isinstance(node.args[0], ast.List | ast.Tuple):
        return list(node.args[0].elts)
    own = isinstance(node.func, ast.Attribute) and called(node) in _METHODS and len(node.args) == 1
    return [node.func.value, node.args[0]] if own and isinstance(node.func, ast.Attribute) else []


def _split(part: ast.expr) -> str:
    """The split that an expression names (`splits.train`, `te`), by its first letters; empty if none."""
    words = [one.id if isinstance(one, ast.Name) else one.attr for one in ast.walk(part) if isinstance(one, ast.Name | ast.Attribute)]  # fmt: skip
    found = (match.group(1)[:2] for word in words if (match := _SPLIT.search(word.lower())))
    return next(found, "")


def masked(module: Module, paper: Paper) -> Iterator[Decision]:
    """`f(x[kept], y[kept])` where `kept` is a condition: all of them instead."""
    for _, statements, _scope in scopes(module):
        nodes = list(own_nodes(statements))
        conditions = {
            line.targets[0].id
            for line in nodes
            if isinstance(line, ast.Assign)
            and isinstance(line.targets[0], ast.Name)
            and isinstance(line.value, ast.Compare | ast.BoolOp | ast.BinOp)
            and any(isinstance(one, ast.Compare) for one in ast.walk(line.value))
        }
        for node in nodes:
            if not isinstance(node, ast.Call):
                continue
            taken = [
                one for one in node.args
                if isinstance(one, ast.Subscript) and isinstance(one.slice, ast.Name) and one.slice.id in conditions
            ]  # fmt: skip
            masks = {module.source(one.slice) for one in taken}
            if len(taken) < 2 or len(masks) != 1:
                continue
            (mask,) = masks
            inner = module.source(node)
            for one in taken:
                inner = inner.replace(module.source(one), module.source(one.value), 1)
            yield decided("step", "selection", 0.5, module, node, f"{called(node)} sees only what meets {mask}",
                          "What is fitted or measured is chosen by a condition; a choice that depends on the outcome or on the model is a bias of its own.",
                          module.replaced(node, inner), paper)  # fmt: skip


def thinned(module: Module, paper: Paper) -> Iterator[Decision]:
    """`x.subset(…)`, `x.query(…)`, `x.head(n)` as a value: the whole instead."""
    for _, statements, _scope in scopes(module):
        for node in own_nodes(statements):
            if (
                isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Attribute)
                and called(node.value) in _THINS and root(node.value.func.value) not in ("np", "numpy", "torch", "rng", "random", "")
            ):  # fmt: skip
                whole = module.source(node.value.func.value)
                yield decided("step", "thinned", 0.5, module, node, f"{whole[:40]} is thinned out by {called(node.value)}",
                              "What follows sees a part only, chosen by a rule.", module.replaced(node.value, whole), paper)  # fmt: skip


def start_values(module: Module, paper: Paper) -> Iterator[Decision]:
    """`full(shape, c)`, `fill_(c)`: zero instead."""
    for _, statements, _scope in scopes(module):
        for node in own_nodes(statements):
            if not (isinstance(node, ast.Call) and called(node) in ("full", "full_like", "fill", "fill_", "constant_")):
                continue
            last = node.args[-1] if node.args else None
            value = literal(last) if last is not None else None
            if last is not None and value not in (None, 0) and abs(value or 0) < 1e6:
                said = 0.0 if value is None or not paper.mentions(abs(value)) else 1.0
                yield Decision("step", "start_value", 0.5, f"{module.source(node)[:60]} starts from {value:g}",
                               "A start value other than zero can decide what is found early on.", (module.place(node),), module.replaced(last, "0.0"), said)  # fmt: skip


def terms(module: Module, paper: Paper) -> Iterator[Decision]:
    """`min(a, b, c)`, `max(a, b, c)`: without each of the terms."""
    for _, statements, _scope in scopes(module):
        for node in own_nodes(statements):
            if (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and called(node) in ("min", "max")
                and len(node.args) >= 3 and not node.keywords
            ):  # fmt: skip
                for left_out in node.args:
                    if literal(left_out) is None:
                        kept = ", ".join(module.source(arg) for arg in node.args if arg is not left_out)
                        yield decided("step", "term", 0.4, module, node, f"{module.source(left_out)[:40]} bounds {module.source(node)[:40]}",
                                      "One of several bounds takes effect where it is the tightest; without it the others rule.",
                                      module.replaced(node, f"{called(node)}({kept})"), paper)  # fmt: skip
